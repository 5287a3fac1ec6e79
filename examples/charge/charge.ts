import { state } from "sandmill";

interface Customer {
  id: string;
}

/**
 * Charges a customer. How often it may, by what its runs are found again and who hears of a failure is not said here but in
 * `charge.script.toml`.
 * @param customer who pays
 * @param order number of the order
 * @param cents how much
 */
export function main(customer: Customer, order: string, cents: number) {
  if (cents > 100_000) {
    const error = new Error(`the bank declined ${cents} cents of ${customer.id}`);
    error.name = "Declined";
    throw error;
  }
  const number = (state.get<number>("charges") ?? 0) + 1;
  state.set("charges", number);
  console.log(`charge ${number}: ${cents} cents of ${customer.id} for ${order}`);
  return { order, number };
}

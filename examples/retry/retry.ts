import { context, state } from "sandmill";

/** Stands for a service that is busy now and then: it lets the third call through. */
function call(order: string): string {
  const calls = (state.get<number>(`calls of ${order}`) ?? 0) + 1;
  state.set(`calls of ${order}`, calls);
  if (calls < 3) {
    const error = new Error(`the service is busy (call ${calls})`);
    error.name = "Busy";
    throw error;
  }
  return `shipped at call ${calls}`;
}

/**
 * Ships an order. What happens when it fails is not said here but in `retry.script.toml`.
 * @param order number of the order
 */
export function main(order: string) {
  console.log(`attempt ${context.attempt} for order ${order}`);
  return { order, result: call(order), attempt: context.attempt };
}

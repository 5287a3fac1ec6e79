interface Charge {
  customer: { id: string };
  order: string;
}

/**
 * The error handler of `charge`.
 * @param run_id the run that failed
 * @param error what it ended with
 * @param args what it was started with
 */
export function main(run_id: string, error: { name: string; message: string }, args: Charge) {
  console.log(`run ${run_id} failed: ${error.name}`);
  return `told ${args.customer.id} that ${args.order} is not paid: ${error.message}`;
}

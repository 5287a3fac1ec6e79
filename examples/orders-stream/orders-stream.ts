interface Event {
  subject: string;
  body: { id: number; total: number };
}

/** The order comes as JSON; of which shop it is its subject says. */
export function preprocessor({ subject, body }: Event) {
  return { shop: subject.split(".")[1], id: body.id, total: body.total };
}

/**
 * Takes one order.
 * @param shop Where it was made
 * @param id Of the order
 * @param total In cents
 */
export function main(shop: string, id: number, total: number) {
  return `${shop} ${id}: ${(total / 100).toFixed(2)}`;
}

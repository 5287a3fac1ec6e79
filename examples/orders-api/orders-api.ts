import { state } from "sandmill";

interface Event {
  method: string;
  params: { id?: string };
  body: unknown;
}

interface Order {
  item: string;
  count: number;
}

const answer = (status: number, body?: unknown) => ({ $http: { status, ...(body === undefined ? {} : { body }) } });

/** What is wrong with the request is said before anything is done. */
export function preprocessor({ method, params, body }: Event) {
  if (method === "PUT" && !isOrder(body)) {
    throw Object.assign(new Error("an order is {item, count}"), { status: 400 });
  }
  return { method, id: params.id, order: body };
}

function isOrder(body: unknown): body is Order {
  const order = body as Order | null;
  return typeof order?.item === "string" && Number.isSafeInteger(order.count);
}

/** Orders by their ids. */
export function main(method: string, id?: string, order?: any) {
  const key = `order ${id}`;
  switch (method) {
    case "PUT":
      state.set(key, order);
      return order;
    case "DELETE":
      state.delete(key);
      return answer(204);
    default: {
      const found = state.get(key);
      return found ?? answer(404, { error: `there is no order ${id}` });
    }
  }
}

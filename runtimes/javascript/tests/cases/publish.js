import { publish } from "sandmill";
export const main = () => [
  publish("f/demo/broker", "orders.new", "ä", { headers: { a: "1", b: ["2", 3] }, id: 7, kept: true }),
  publish("f/demo/broker", "orders.new", { x: 1 }),
  publish("f/demo/broker", "orders.new", new Uint8Array([0, 255])),
];

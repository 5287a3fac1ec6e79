import { publish } from "sandmill";
export const main = () => publish("f/demo/db", "orders.new", "");

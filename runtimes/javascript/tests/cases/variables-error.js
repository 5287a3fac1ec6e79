import { variable } from "sandmill";
export const main = () => variable("f/demo/token");

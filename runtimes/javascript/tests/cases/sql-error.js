import { sql } from "sandmill";
export const main = () => sql("f/demo/db").query("FAIL");

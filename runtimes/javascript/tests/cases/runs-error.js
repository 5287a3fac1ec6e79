import { runs } from "sandmill";
export const main = () => runs.run("f/demo/child", { fail: 1 });

import { state } from "sandmill";
export const main = () => state.get("");

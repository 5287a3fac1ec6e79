import _ from "lodash";
export const main = () => 1;

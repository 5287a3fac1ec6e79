// Handles that nobody has any more are given back, or there would be no room for so many.
import { resource } from "sandmill";
export function main() {
  for (let n = 0; n < 10_000; n++) resource.open("f/demo/account");
  return resource.open("f/demo/account").path;
}

/**
 * Counts the words of a text.
 * @param text words between spaces
 */
export function main(text: string) {
  if (text.trim() === "") throw new RangeError("there is no word in it");
  return text.trim().split(/\s+/).length;
}

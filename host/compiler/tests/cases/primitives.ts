/**
 * Says hello.
 *
 * Over two lines.
 * @param name Who is greeted.
 * @param {integer} count - How often.
 * @returns a greeting
 */
export async function main(
  name: string,
  count = 3,
  loud: boolean | undefined,
  ratio: number | undefined = -1.5,
  big: bigint,
  when: Date = new Date(),
  photo: Uint8Array,
  site: URL,
  anything: unknown,
  whatever: any,
  obj: object,
  nothing: null,
  untyped,
  /** Documented in place. @ is not a tag here. */
  inline: string = `a template`,
  /** @integer
   * @minimum 1
   * @maximum 10 */
  small: number = 2,
): Promise<string> {
  return `${name} ${count} ${loud} ${ratio} ${big} ${when} ${photo} ${site}`;
}

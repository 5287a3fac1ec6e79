// What the host refuses, as errors: a class for each interface, `code` as its WIT names it.
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

// What a native answered: its value, or an error of the class.
export const taker =
  (Type) =>
  ([value, code, text, more]) => {
    if (code !== undefined) throw new Type(code, text, more);
    return value;
  };

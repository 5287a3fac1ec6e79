class PaymentError extends Error {
  constructor(message, code) {
    super(message, { cause: new TypeError("card") });
    this.name = "PaymentError";
    this.code = code;
  }
}
export async function main() {
  await null;
  throw new PaymentError("declined", 402);
}

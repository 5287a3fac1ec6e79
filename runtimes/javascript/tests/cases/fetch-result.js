// An answer that is passed on as it is.
export const main = () => fetch("http://a.test/chunks?n=2");

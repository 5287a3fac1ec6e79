class Money { constructor(n) { this.n = n; } toJSON() { return `${this.n} EUR`; } }
export const main = () => [new Money(3), new Map([[1, 2]]), new (class Point { x = 1; })()];

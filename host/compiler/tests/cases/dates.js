/** Tells the year. @param {Date} at - when @param {?Date} [until] till when @param {Date[]} all of them */
export const main = (at, until, all, first = all[0] ?? at) => at.getFullYear() + (until?.getFullYear() ?? 0);

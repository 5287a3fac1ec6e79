type When = Date;
interface Period { from: Date; to?: Date | null }
/** Plans. @param at when to @param until till when @returns nothing, mail a @ b or me@param.org, `@param x` */
export async function main(
  at: Date,
  both: Date | string,
  all: Date[],
  period: Period,
  until: Date | null,
  days: number = Math.round((until ?? new Date()).getTime() - at.getTime()),
  then?: When,
  later: (Date) | undefined = new Date(at.getTime() + days),
) {
  return [at, until, days, then, later, both, all, period];
}

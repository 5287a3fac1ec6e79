/**
 * Announces one item of the feed.
 * @param title Of the item
 * @param link To the item
 */
export function main(title: string, link: string) {
  return `${title}: ${link}`;
}

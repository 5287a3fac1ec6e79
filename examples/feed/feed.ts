import { state } from "sandmill";

const FEED = "https://api.example.com/feed.xml";
/** Ids that are remembered. A feed shows no more than some dozens at once. */
const SEEN_MAX = 500;

const text = (item: string, tag: string) => new RegExp(`<${tag}[^>]*>(?:<!\\[CDATA\\[)?(.*?)(?:\\]\\]>)?</${tag}>`, "s").exec(item)?.[1].trim() ?? "";

/** What is new in a feed, the oldest first. */
export async function main() {
  const response = await fetch(FEED);
  if (!response.ok) throw new Error(`the feed answers ${response.status}`);
  const seen = (state.get("seen") as string[] | null) ?? [];
  const items = (await response.text())
    .split("<item>")
    .slice(1)
    .map((item) => ({ id: text(item, "guid"), title: text(item, "title"), link: text(item, "link") }))
    .filter(({ id }) => id !== "" && !seen.includes(id))
    .reverse();
  if (items.length > 0) state.set("seen", [...seen, ...items.map(({ id }) => id)].slice(-SEEN_MAX));
  return items;
}

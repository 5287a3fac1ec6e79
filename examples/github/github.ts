import { log } from "sandmill";

interface Event {
  headers: Record<string, string>;
  body: { action: string; issue: { number: number; title: string }; repository: { full_name: string } };
}

/** What GitHub sends is far more than is needed; of an issue that is closed there is nothing to do. */
export function preprocessor({ headers, body }: Event) {
  if (headers["x-github-event"] !== "issues" || body.action !== "opened") return null;
  return { repository: body.repository.full_name, number: body.issue.number, title: body.issue.title };
}

/**
 * Says that an issue was opened.
 * @param repository Owner and name
 * @param number Of the issue
 * @param title Of the issue
 */
export function main(repository: string, number: number, title: string) {
  log.info("an issue was opened", { repository, number });
  return `${repository}#${number}: ${title}`;
}

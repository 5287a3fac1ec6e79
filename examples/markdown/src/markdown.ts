import { Marked } from "marked";

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string) => text.replace(/[&<>"']/g, (character) => escapes[character]);

/** Links to anywhere but the web and mail would run as code on a click. */
const isHarmless = (href: string) => /^(https?:|mailto:|[/#?.]|[\w-]+(?:[/?#]|$))/i.test(href.trim());

const marked = new Marked({
  renderer: {
    // Markdown lets HTML through; text from strangers must not.
    html: ({ text }) => escape(text),
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      return isHarmless(href) ? `<a href="${escape(href)}">${text}</a>` : text;
    },
    image: ({ href, text }) => (isHarmless(href) ? `<img src="${escape(href)}" alt="${escape(text)}">` : escape(text)),
  },
});

/** Renders Markdown as HTML that is safe to show. */
export function main(markdown: string): { html: string } {
  if (typeof markdown !== "string") throw new TypeError("markdown is a string");
  return { html: marked.parse(markdown, { async: false }) };
}

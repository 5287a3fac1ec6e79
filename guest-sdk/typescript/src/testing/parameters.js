// The names of a function's parameters, from its text. Types are gone at run time, names are not.

const CLOSING = { "(": ")", "[": "]", "{": "}" };
const NAME = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy;

// Just behind what begins at `at`, if that is a comment, a text, a template or a regular expression.
function skipped(text, at, previous) {
  const letter = text[at];
  if (text.startsWith("//", at)) return until(text, "\n", at);
  if (text.startsWith("/*", at)) return until(text, "*/", at + 2);
  if (letter === '"' || letter === "'") return quoted(text, at, letter);
  if (letter === "`") return template(text, at);
  // A division has something before it that can be divided.
  if (letter === "/" && /[=(,:?[{!&|;~+*%<>^-]/.test(previous)) return regularExpression(text, at);
  return at;
}

function until(text, end, from) {
  const at = text.indexOf(end, from);
  return at < 0 ? text.length : at + end.length;
}

function quoted(text, at, end) {
  for (at += 1; at < text.length && text[at] !== end; at++) if (text[at] === "\\") at += 1;
  return at + 1;
}

function template(text, at) {
  for (at += 1; at < text.length && text[at] !== "`"; at++) {
    if (text[at] === "\\") at += 1;
    else if (text.startsWith("${", at)) at = closed(text, at + 1) - 1;
  }
  return at + 1;
}

function regularExpression(text, at) {
  let isInClass = false;
  for (at += 1; at < text.length && (isInClass || text[at] !== "/"); at++) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "[") isInClass = true;
    else if (text[at] === "]") isInClass = false;
  }
  return at + 1;
}

// Calls `visit` with each letter of code from `at` on, until it says where to go on from by something else than undefined.
function walk(text, at, visit) {
  let previous = "(";
  while (at < text.length) {
    const next = skipped(text, at, previous);
    if (next > at) {
      // A text can be divided, and a comment is nothing.
      if (text[at] !== "/" || !"/*".includes(text[at + 1])) previous = '"';
      at = next;
      continue;
    }
    const found = visit(text[at], at);
    if (found !== undefined) return found;
    if (text[at].trim() !== "") previous = text[at];
    at += 1;
  }
  return text.length;
}

// Just behind the bracket that closes the one at `at`.
function closed(text, at) {
  const open = [];
  return walk(text, at, (letter, here) => {
    if (CLOSING[letter]) open.push(CLOSING[letter]);
    else if (letter === open.at(-1) && open.pop() && open.length === 0) return here + 1;
  });
}

// The parts between the commas of a list in brackets.
function parts(text) {
  const found = [];
  let from = 0;
  let depth = 0;
  walk(text, 0, (letter, at) => {
    if (CLOSING[letter]) depth += 1;
    else if (letter === ")" || letter === "]" || letter === "}") depth -= 1;
    else if (letter === "," && depth === 0) {
      found.push(text.slice(from, at));
      from = at + 1;
    }
  });
  return [...found, text.slice(from)];
}

// Past comments and white space.
function trimmed(text) {
  for (;;) {
    const rest = text.trimStart();
    if (!rest.startsWith("//") && !rest.startsWith("/*")) return rest;
    text = rest.slice(skipped(rest, 0, ""));
  }
}

function nameAt(text) {
  NAME.lastIndex = 0;
  return NAME.exec(text)?.[0];
}

export function parametersOf(main) {
  if (typeof main !== "function") throw new TypeError("`main` is not a function");
  const text = trimmed(Function.prototype.toString.call(main).replace(/^async(?![\p{ID_Continue}$(]|\s*=>)/u, ""));
  const single = nameAt(text);
  // `name => …`
  if (single !== undefined && trimmed(text.slice(single.length)).startsWith("=>")) return [single];
  const open = walk(text, 0, (letter, at) => (letter === "(" ? at : undefined));
  const list = text.slice(open + 1, closed(text, open) - 1);
  const found = parts(list).map(trimmed);
  // `main(a, )`, `main()`
  if (found.at(-1) === "") found.pop();
  return found.map((part) => {
    if (part.startsWith("...")) throw new TypeError("`main` cannot have a rest parameter: arguments have names; take an array instead");
    return nameAt(part) ?? taken();
  });
}

function taken() {
  throw new TypeError("a parameter of `main` needs a name and cannot be taken apart in place: arguments are passed by name");
}

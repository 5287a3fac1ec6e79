/** A fault in the input. The line counts from 1, as editors do. */
class CsvError extends Error {
  constructor(
    message: string,
    readonly line: number,
  ) {
    super(`line ${line}: ${message}`);
    this.name = "CsvError";
  }
}

type Row = Record<string, string>;

const ROWS_MAX = 100_000;

/**
 * Turns CSV with a heading into a list of objects (RFC 4180: quotes may hold separators, line breaks and doubled quotes).
 * @param csv The whole text, its first line the names of the columns
 * @param separator What stands between two fields
 * @param required Columns that must be there and must not be empty in any row
 */
export function main(csv: string, separator: "," | ";" | "\t" = ",", required: string[] = []): { columns: string[]; rows: Row[] } {
  const records = parse(csv.replace(/^\uFEFF/, ""), separator);
  const heading = records.shift();
  if (heading === undefined) throw new CsvError("there is no heading", 1);
  const columns = heading.fields.map((name) => name.trim());
  checkColumns(columns, required);
  const rows = records.map(({ fields, line }) => {
    if (fields.length !== columns.length) {
      throw new CsvError(`${fields.length} fields, but the heading has ${columns.length}`, line);
    }
    // A column may be called `__proto__`; it must not become anything but a column.
    const row: Row = Object.fromEntries(columns.map((name, index) => [name, fields[index]]));
    const missing = required.find((name) => row[name].trim() === "");
    if (missing !== undefined) throw new CsvError(`column "${missing}" is empty`, line);
    return row;
  });
  return { columns, rows };
}

function checkColumns(columns: string[], required: string[]) {
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twice !== undefined) throw new CsvError(`column "${twice}" is there twice`, 1);
  const unnamed = columns.indexOf("");
  if (unnamed >= 0) throw new CsvError(`column ${unnamed + 1} has no name`, 1);
  const missing = required.filter((name) => !columns.includes(name));
  if (missing.length > 0) throw new CsvError(`no column "${missing.join('", "')}"; there are "${columns.join('", "')}"`, 1);
}

interface Entry {
  fields: string[];
  line: number;
}

/** Records with the lines that they start on. Empty lines are none. */
function parse(text: string, separator: string): Entry[] {
  const records: Entry[] = [];
  let fields: string[] = [];
  let line = 1;
  let start = 1;
  let at = 0;
  const end = (field: string) => {
    fields.push(field);
    const ended = at >= text.length || text[at] !== separator;
    if (text[at] === "\r" && text[at + 1] === "\n") at++;
    if (ended) {
      if (fields.length > 1 || fields[0] !== "") records.push({ fields, line: start });
      if (records.length > ROWS_MAX) throw new CsvError(`more than ${ROWS_MAX} rows`, line);
      fields = [];
      line++;
      start = line;
    }
    at++;
  };
  while (at < text.length) {
    if (text[at] !== '"') {
      const from = at;
      while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") at++;
      end(text.slice(from, at));
      continue;
    }
    let field = "";
    const opened = line;
    for (at++; ; at++) {
      if (at >= text.length) throw new CsvError("a quote is opened and never closed", opened);
      if (text[at] === '"' && text[++at] !== '"') break;
      if (text[at] === "\n") line++;
      field += text[at];
    }
    if (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") {
      throw new CsvError("after a closing quote comes neither separator nor line end", line);
    }
    end(field);
  }
  if (fields.length > 0) records.push({ fields: [...fields, ""], line: start });
  return records;
}

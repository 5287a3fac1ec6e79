// Databases: functions of the test.
import { fail } from "./world.js";

const ROWS_MAX = 100_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const TRANSACTIONS_MAX = 4;
const FORBIDDEN = /^\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|START|SET|COPY|LISTEN|ATTACH|DETACH|PRAGMA|VACUUM)\b/i;

export class Sql {
  #databases;
  #open = 0;
  // What was sent, in its order; `ended` is there for those of a transaction that has.
  statements = [];

  constructor(databases) {
    this.#databases = databases;
  }

  has(path) {
    return Object.hasOwn(this.#databases, path);
  }

  query(resource, statement, parameters, transaction) {
    const rows = this.#ask(resource, statement, parameters, transaction);
    if (!Array.isArray(rows)) fail("invalid", "the fake of this database returned no rows, and a query has some");
    const json = JSON.stringify(rows);
    if (rows.length > ROWS_MAX || Buffer.byteLength(json) > ANSWER_BYTES_MAX) {
      fail("too-large", `an answer has at most ${ROWS_MAX} rows and ${ANSWER_BYTES_MAX} bytes`);
    }
    const plain = JSON.parse(json);
    return [plain, Object.keys(plain[0] ?? {}).map((name) => ({ name, type: "" }))];
  }

  execute(resource, statement, parameters, transaction) {
    const count = this.#ask(resource, statement, parameters, transaction);
    return typeof count === "number" ? count : (count?.length ?? 0);
  }

  begin(resource) {
    this.#database(resource);
    if (this.#open >= TRANSACTIONS_MAX) fail("invalid", `a run has at most ${TRANSACTIONS_MAX} transactions at once`);
    this.#open += 1;
    return { resource, statements: [], isOver: false };
  }

  queryWithin(transaction, statement, parameters) {
    return this.query(transaction.resource, statement, parameters, running(transaction));
  }

  executeWithin(transaction, statement, parameters) {
    return this.execute(transaction.resource, statement, parameters, running(transaction));
  }

  commit(transaction) {
    this.#end(running(transaction), "committed");
  }

  rollback(transaction) {
    if (!transaction.isOver) this.#end(transaction, "undone");
  }

  #end(transaction, how) {
    transaction.isOver = true;
    this.#open -= 1;
    for (const statement of transaction.statements) statement.ended = how;
  }

  #ask(resource, statement, parameters, transaction) {
    const database = this.#database(resource);
    if (FORBIDDEN.test(statement)) {
      fail("invalid", "statements that begin or end transactions or change the session are not run: use transaction()");
    }
    const asked = { path: resource.path, statement, parameters: JSON.parse(parameters) };
    this.statements.push(asked);
    transaction?.statements.push(asked);
    const answer = database(statement, asked.parameters);
    if (typeof answer?.then === "function") throw new TypeError("the fake of a database cannot be async: queries are not awaited");
    return answer;
  }

  #database({ path }) {
    if (!this.has(path)) fail("denied", `the database ${path} is not faked: say new Fakes({ sql: { "${path}": (statement, parameters) => … } })`);
    return this.#databases[path];
  }
}

function running(transaction) {
  if (transaction.isOver) fail("invalid", "the transaction has ended");
  return transaction;
}

// Thrown by the fake of a database, it is what the database says: `SqlError` with the code `database`.
export function databaseError(code, message, more = {}) {
  fail("database", message, { code, message, ...more });
}

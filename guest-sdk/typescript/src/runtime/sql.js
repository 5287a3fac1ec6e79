// Databases: `sql` of the module `sandmill`.
import { toJson } from "./arguments.js";
import { toBytes } from "./bytes.js";
import { Refused, taker } from "./errors.js";
import { native } from "./native.js";
import { handleOf } from "./resources.js";

export class SqlError extends Refused {
  constructor(code, message, database) {
    super(code, message);
    if (database !== undefined) this.database = database;
  }
}

const taken = taker(SqlError);

// What JSON cannot hold goes as the text from which the database makes it again.
function toParameter(value) {
  switch (typeof value) {
    case "bigint":
      return String(value);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "function":
    case "symbol":
      throw new TypeError(`sql: a ${typeof value} cannot be a parameter`);
    default:
      return ArrayBuffer.isView(value) || value instanceof ArrayBuffer ? toBytes(value, "sql").toBase64() : value;
  }
}

function toParameters(values) {
  if (!Array.isArray(values)) throw new TypeError("sql: the parameters must be an array");
  return toJson("sql", values.map(toParameter));
}

const toRows = ([rows, columns]) => Object.defineProperty(rows, "columns", { value: columns });

class Transaction {
  #running;

  constructor(running) {
    this.#running = running;
  }

  query(statement, parameters = []) {
    return toRows(taken(native.sqlQueryWithin(this.#running, String(statement), toParameters(parameters))));
  }

  execute(statement, parameters = []) {
    return taken(native.sqlExecuteWithin(this.#running, String(statement), toParameters(parameters)));
  }
}

class Database {
  #resource;

  constructor(resource) {
    this.#resource = resource;
  }

  query(statement, parameters = []) {
    return toRows(taken(native.sqlQuery(this.#resource, String(statement), toParameters(parameters))));
  }

  execute(statement, parameters = []) {
    return taken(native.sqlExecute(this.#resource, String(statement), toParameters(parameters)));
  }

  // Waits for what `work` returns only if that is a promise.
  transaction(work) {
    if (typeof work !== "function") throw new TypeError("transaction takes a function");
    const running = taken(native.sqlBegin(this.#resource));
    const commit = (result) => {
      taken(native.sqlCommit(running));
      return result;
    };
    const undo = (error) => {
      // If that fails, too, the database undoes it by itself; what counts is why.
      native.sqlRollback(running);
      throw error;
    };
    let result;
    try {
      result = work(new Transaction(running));
    } catch (error) {
      undo(error);
    }
    return typeof result?.then === "function" ? Promise.resolve(result).then(commit, undo) : commit(result);
  }
}

export const sql = (resource) => new Database(handleOf("sql", resource));

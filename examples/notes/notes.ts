import { sql } from "sandmill";

interface Note {
  id: number;
  text: string;
}

/** Keeps notes in a database; adds `add` to them and takes away the one with the number `remove`. */
export function main(add: string[] = [], remove?: number): { notes: Note[]; removed: boolean } {
  const database = sql("f/examples/notes-database");
  database.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE CHECK (text <> ''))");
  // All of it or nothing: with a note that is there already, or that is empty, nothing is added or removed.
  return database.transaction((transaction) => {
    for (const text of add) {
      transaction.execute("INSERT INTO notes (text) VALUES ($1)", [text]);
    }
    const removed = remove !== undefined && transaction.execute("DELETE FROM notes WHERE id = $1", [remove]) > 0;
    return { notes: transaction.query<Note>("SELECT id, text FROM notes ORDER BY id"), removed };
  });
}

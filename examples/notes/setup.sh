# The database: a file of the server. With `--type postgresql` and its fields it would be one in PostgreSQL, and the script the same.
sandmill resources put f/examples/notes-database --type sqlite --field name=notes --description "Notes of the example"

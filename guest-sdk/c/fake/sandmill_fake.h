/* A host in memory, for tests of scripts as programs of this machine: compile the script, the SDK and `fake/sandmill_fake.c`, without
 * `bindings/imports.c`. */
#ifndef SANDMILL_FAKE_H
#define SANDMILL_FAKE_H

#include "sandmill.h"

/* Forgets everything: state, log, variables, objects. */
void sandmill_fake_reset(void);

/* Runs the script with a text of JSON; so does a preprocessor, where the script has one, with an event. */
sandmill_result sandmill_fake_run(const char *args);
sandmill_result sandmill_fake_preprocess(const char *event);
/* NULL if the script has none. */
const char *sandmill_fake_schema(void);

/* What the script finds. Texts are kept by address. */
void sandmill_fake_variable(const char *path, const char *text);
/* A resource at a path; `rows` is the answer to every query on it, and every execution writes one row. */
void sandmill_fake_resource(const char *path, const char *kind, const char *fields, const char *rows);
/* What the broker of a resource says to every message. */
void sandmill_fake_broker(const char *path, const char *said);
/* A script that is not this one: its runs end at once, with this result. */
void sandmill_fake_script(const char *path, const char *result);

/* What it left: the value of a key of the state, NULL for none; the lines of the log, "info message {fields}", each ended by a newline; the
 * output stream. */
const char *sandmill_fake_state(const char *key);
const char *sandmill_fake_log(void);
const char *sandmill_fake_output(void);
/* The messages that were sent, "f/demo/broker orders.new {payload}\n". */
const char *sandmill_fake_messages(void);
/* The last progress; negative for none. */
double sandmill_fake_progress(void);

#endif

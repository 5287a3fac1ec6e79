/* Scripts of Sandmill in C: a WebAssembly component that is called once for each run.
 *
 *     #include "sandmill.h"
 *
 *     SANDMILL_SCHEMA("{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}},\"required\":[\"name\"]}")
 *
 *     SANDMILL_MAIN(args) {
 *         sandmill_writer out = {0};
 *         sandmill_write_json(&out, sandmill_json_get(args, "name"));
 *         return sandmill_result_json(&out);
 *     }
 *
 * Texts end in a NUL. What a function gives through a `char **` is to be freed with `free`; what is not ends with the run, as its whole
 * memory does. What a script does not call is not in its component. */
#ifndef SANDMILL_H
#define SANDMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandmill_json.h"

/* ---- What a script is ------------------------------------------------------------------------------------------------------------ */

/* How a run ends. It is made by the functions below. */
typedef struct {
    enum { SANDMILL_JSON_RESULT, SANDMILL_BYTES_RESULT, SANDMILL_SKIPPED, SANDMILL_FAILURE } kind;
    const char *name; /* a failure's name, the media type of bytes */
    const char *text; /* JSON, bytes or a failure's message */
    size_t length;
    const char *details; /* JSON, or NULL */
} sandmill_result;

/* What was written, which has to be one whole value. The writer's text belongs to the result. */
sandmill_result sandmill_result_json(sandmill_writer *out);
sandmill_result sandmill_result_null(void);
sandmill_result sandmill_result_bytes(const char *content_type, const void *data, size_t length);
/* Fails the run: a name like "PaymentError", and a message for people. */
sandmill_result sandmill_error(const char *name, const char *message);
/* The same with JSON that is kept with the run. */
sandmill_result sandmill_error_details(const char *name, const char *message, const char *details);
/* Fails the run with the error of the call that failed last. */
sandmill_result sandmill_failed(void);
/* Of a preprocessor: there is nothing to do. */
sandmill_result sandmill_skip(void);

#ifdef __wasm__
#define SANDMILL_EXPORT(name, function) __attribute__((export_name(name))) function
#else
/* In a program of this machine the fake calls the script. */
#define SANDMILL_EXPORT(name, function)
#endif

/* Defines what a run does: `SANDMILL_MAIN(args) { … }`, where `args` is a JSON object and the body returns a result. */
#define SANDMILL_MAIN(args)                                                                                      \
    sandmill_result sandmill_script_main(sandmill_json);                                                         \
    SANDMILL_EXPORT("sandmill:script/main@0.1.0#run", void *sandmill_export_main(char *text, size_t length) {    \
        return sandmill_lower_run(sandmill_script_main, text, length);                                           \
    })                                                                                                           \
    sandmill_result sandmill_script_main(sandmill_json args)

/* Defines how an event becomes the arguments of main: the body returns them as JSON, or `sandmill_skip()`. */
#define SANDMILL_PREPROCESSOR(event)                                                                             \
    sandmill_result sandmill_script_preprocess(sandmill_json);                                                   \
    SANDMILL_EXPORT("sandmill:script/preprocessor@0.1.0#preprocess",                                             \
                    void *sandmill_export_preprocess(char *text, size_t length) {                                \
                        return sandmill_lower_preprocess(sandmill_script_preprocess, text, length);              \
                    })                                                                                           \
    sandmill_result sandmill_script_preprocess(sandmill_json event)

/* JSON Schema 2020-12 of the arguments, an object schema, as a constant. It is checked before the sandbox starts. */
#define SANDMILL_SCHEMA(text)                                                                                    \
    const char *sandmill_script_schema(void) {                                                                   \
        return text;                                                                                             \
    }                                                                                                            \
    SANDMILL_EXPORT("sandmill:script/schema@0.1.0#describe", void *sandmill_export_schema(void) {                \
        return sandmill_lower_schema(sandmill_script_schema());                                                  \
    })

/* For the macros: call the script and lay its result out as the host reads it. */
void *sandmill_lower_run(sandmill_result (*function)(sandmill_json), const char *text, size_t length);
void *sandmill_lower_preprocess(sandmill_result (*function)(sandmill_json), const char *text, size_t length);
void *sandmill_lower_schema(const char *schema);

/* ---- Calls of the host ----------------------------------------------------------------------------------------------------------- */

/* How a call went. SANDMILL_NONE is no failure: nothing is there. */
typedef enum { SANDMILL_FAILED, SANDMILL_OK, SANDMILL_NONE } sandmill_status;

/* The error of the call that failed last. */
typedef struct {
    const char *name;    /* e.g. "StateError" */
    const char *code;    /* e.g. "too-large", as the WIT packages name it */
    const char *message;
    const char *details; /* JSON, or NULL */
} sandmill_fault;

sandmill_fault sandmill_last_fault(void);

/* Lines of the run's log. `fields` is the text of a JSON object, or NULL. What is printed lands in the same log. */
typedef enum { SANDMILL_TRACE, SANDMILL_DEBUG, SANDMILL_INFO, SANDMILL_WARN, SANDMILL_ERROR } sandmill_level;
void sandmill_log(sandmill_level level, const char *message, const char *fields);

/* For whoever follows the run: how far it is, from 0 to 100 percent, and pieces of output. */
void sandmill_progress(double percent, const char *text);
void sandmill_output(const void *chunk, size_t length);

/* State: JSON that a script keeps from one run to the next. A write is durable when the call returns. */
sandmill_status sandmill_state_get(const char *key, char **value);
bool sandmill_state_set(const char *key, const char *value);
bool sandmill_state_delete(const char *key);
/* Writes `replacement` (NULL deletes) if the value is `expected` (NULL: absent), compared as JSON values. */
bool sandmill_state_compare_and_swap(const char *key, const char *expected, const char *replacement, bool *wrote);
/* A JSON array of at most `limit` and at most 1,000 keys that begin with `prefix`, after the key `after` (NULL: from the first). */
bool sandmill_state_list(const char *prefix, const char *after, uint32_t limit, char **keys);

/* The text of a variable, and text that stands for a secret one's in requests. */
bool sandmill_variable(const char *path, char **text);
bool sandmill_secret(const char *path, char **placeholder);

/* A resource, used without its secrets being seen. It ends with the run. */
typedef struct {
    int32_t handle;
} sandmill_resource;
bool sandmill_resource_open(const char *path, sandmill_resource *resource);
char *sandmill_resource_path(sandmill_resource resource);
char *sandmill_resource_kind(sandmill_resource resource);
/* A JSON object: the fields that are not secret. */
char *sandmill_resource_fields(sandmill_resource resource);
bool sandmill_resource_placeholder(sandmill_resource resource, const char *pointer, char **placeholder);

/* SQL on a resource, one statement a call. `parameters` is a JSON array, bound to $1, $2, …; `rows` is a JSON array of objects. */
bool sandmill_sql_query(sandmill_resource on, const char *statement, const char *parameters, char **rows);
bool sandmill_sql_execute(sandmill_resource on, const char *statement, const char *parameters, uint64_t *written);

/* Several statements, all or none. One that is ended without a commit is undone. */
typedef struct {
    int32_t handle;
} sandmill_transaction;
bool sandmill_sql_begin(sandmill_resource on, sandmill_transaction *transaction);
bool sandmill_transaction_query(sandmill_transaction in, const char *statement, const char *parameters, char **rows);
bool sandmill_transaction_execute(sandmill_transaction in, const char *statement, const char *parameters, uint64_t *written);
bool sandmill_transaction_commit(sandmill_transaction in);
/* Ends it, committed or not: to be called once for each that began. */
void sandmill_transaction_end(sandmill_transaction in);

/* A message to a broker. Of a zero nothing is said. */
typedef struct {
    const char *name, *value;
} sandmill_header;
typedef struct {
    const char *to; /* subject, topic, queue: as the broker calls it */
    const void *payload;
    size_t length;
    const sandmill_header *headers; /* in this order; a name may be there several times */
    size_t headers_count;
    const char *id; /* by it the broker knows a repetition; only one that keeps messages does */
    bool kept;      /* the call returns only once the broker says that it keeps the message */
} sandmill_message;
/* Sends it over the resource of a broker. What the broker said is a JSON object of its kind. */
bool sandmill_publish(sandmill_resource via, const sandmill_message *message, char **said);

/* Runs that this run starts. Of a zero in the options, the script's manifest holds. */
typedef struct {
    uint64_t delay_ms;
    const int32_t *priority; /* NULL: this run's */
    const char *tag;
    const char *key; /* a later start with the same key is the same child */
} sandmill_run_options;

/* How a child ended: as a result. A failure has the child's own name, message and details; SANDMILL_SKIPPED had nothing to do. */
typedef sandmill_result sandmill_ending;

/* Waits as long as this run may take. */
#define SANDMILL_FOREVER UINT64_MAX

bool sandmill_run_start(const char *path, const char *args, const sandmill_run_options *options, char **run);
bool sandmill_run_wait(const char *run, uint64_t timeout_ms, sandmill_ending *ending);
/* Waits for all, or for any, of up to 1,000 children; gives those that have ended as a JSON array. */
typedef enum { SANDMILL_ALL, SANDMILL_ANY } sandmill_until;
bool sandmill_run_wait_many(const char *const *runs, size_t count, sandmill_until until, uint64_t timeout_ms, char **ended);
/* SANDMILL_NONE if it has not ended. */
sandmill_status sandmill_run_result(const char *run, sandmill_ending *ending);
bool sandmill_run_cancel(const char *run, bool *asked);

/* Objects: bytes under keys, for the workspace. */
sandmill_status sandmill_blob_get(const char *key, uint8_t **data, size_t *length);
bool sandmill_blob_put(const char *key, const char *content_type, const void *data, size_t length);
bool sandmill_blob_delete(const char *key);
/* As JSON: {"key", "size", "modified_ms", "content_type"}; a list is an array of them, without their media types. */
sandmill_status sandmill_blob_stat(const char *key, char **info);
bool sandmill_blob_list(const char *prefix, const char *after, uint32_t limit, char **infos);

/* What a script may know about its own run. Optional texts are NULL. */
typedef struct {
    char *run_id, *script, *version, *workspace, *trigger_kind, *trigger_path, *run_as;
    uint32_t attempt;
    uint64_t deadline_ms;
} sandmill_run_context;
sandmill_run_context sandmill_context(void);
/* The event's payload as it arrived; empty for a run that no event started. */
void sandmill_payload(uint8_t **data, size_t *length);

#endif

/* JSON, read in place and written into one growing buffer.
 *
 * A value that was read is a part of the text that it was read from: reading allocates nothing, and looking up a member walks the text.
 * What is written grows by doubling; a writer that could not grow ends the run, as the host's own allocations do. */
#ifndef SANDMILL_JSON_H
#define SANDMILL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values stand within each other at most so deep, in what is read and in what is written. */
#define SANDMILL_JSON_DEPTH_MAX 64

typedef enum {
    SANDMILL_JSON_MISSING, /* no such member or element */
    SANDMILL_JSON_NULL,
    SANDMILL_JSON_BOOLEAN,
    SANDMILL_JSON_NUMBER,
    SANDMILL_JSON_STRING,
    SANDMILL_JSON_ARRAY,
    SANDMILL_JSON_OBJECT,
} sandmill_json_kind;

/* A value: valid JSON, checked when it was read. */
typedef struct {
    const char *at;
    size_t length;
    sandmill_json_kind kind;
} sandmill_json;

/* Reads a text of `length` bytes. False if it is no JSON, goes too deep, or has something behind the value; `fault`, unless NULL, then
 * says what, as a constant. */
bool sandmill_json_read(const char *text, size_t length, sandmill_json *value, const char **fault);

/* The last member of that name; MISSING if there is none, or if the value is no object. */
sandmill_json sandmill_json_get(sandmill_json object, const char *name);

/* The element at `index`; MISSING if there is none, or if the value is no array. */
sandmill_json sandmill_json_at(sandmill_json array, size_t index);

/* How many members or elements there are; 0 for what has none. */
size_t sandmill_json_count(sandmill_json value);

/* Walks members and elements: `sandmill_json_each each = sandmill_json_begin(value); while (sandmill_json_next(&each)) …`.
 * `name` is a string for a member, MISSING for an element. */
typedef struct {
    sandmill_json name;
    sandmill_json value;
    const char *rest;
    const char *end;
} sandmill_json_each;

sandmill_json_each sandmill_json_begin(sandmill_json value);
bool sandmill_json_next(sandmill_json_each *each);

/* The number, or `otherwise` if the value is none. */
double sandmill_json_number(sandmill_json value, double otherwise);

/* The integer, exactly; false if the value is none, has a fraction or does not fit. 1.0 and 1e2 are integers. */
bool sandmill_json_integer(sandmill_json value, int64_t *integer);

bool sandmill_json_boolean(sandmill_json value, bool otherwise);

/* The string with its escapes resolved, ended by a NUL, to be freed; NULL if the value is no string. `length`, unless NULL, is that without
 * the end: a string can have a NUL within. Halves of surrogate pairs become U+FFFD. */
char *sandmill_json_string(sandmill_json value, size_t *length);

/* Whether a string is that text, without allocating. */
bool sandmill_json_equals(sandmill_json value, const char *text);

/* Writes one value. Commas and colons come by themselves; what is out of place (a member without a name, an end too many) is an error that
 * stays with the writer. */
typedef struct {
    char *text; /* ended by a NUL */
    size_t length;
    size_t capacity;
    const char *fault; /* NULL, or what was out of place */
    uint64_t objects; /* a bit for each level that is open: whether it is an object */
    uint64_t filled;  /* a bit for each level: whether something is in it */
    unsigned depth;
    bool named; /* a name was written, its value was not */
} sandmill_writer;

/* An empty writer is all zeros: `sandmill_writer out = {0};`. */
void sandmill_write_object(sandmill_writer *out);
void sandmill_write_array(sandmill_writer *out);
void sandmill_write_end(sandmill_writer *out);
void sandmill_write_name(sandmill_writer *out, const char *name);
void sandmill_write_null(sandmill_writer *out);
void sandmill_write_boolean(sandmill_writer *out, bool value);
void sandmill_write_integer(sandmill_writer *out, int64_t value);
/* The shortest text that reads as the same number; null for what is not finite, as JSON has no such numbers. */
void sandmill_write_number(sandmill_writer *out, double value);
void sandmill_write_string(sandmill_writer *out, const char *text);
void sandmill_write_string_n(sandmill_writer *out, const char *text, size_t length);
/* A value that was read, as it stands there. */
void sandmill_write_json(sandmill_writer *out, sandmill_json value);

/* Whether one whole value was written and nothing was out of place. */
bool sandmill_writer_done(const sandmill_writer *out);
/* Frees the text; the writer is empty again. */
void sandmill_writer_free(sandmill_writer *out);

#endif

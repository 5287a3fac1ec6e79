/* Results, and how the host reads them (the canonical ABI of the component model). */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static sandmill_result failure(const char *name, const char *message, const char *details) {
    return (sandmill_result){SANDMILL_FAILURE, name, message, strlen(message), details};
}

sandmill_result sandmill_result_json(sandmill_writer *out) {
    if (!sandmill_writer_done(out)) {
        return failure("ResultError", out->fault ? out->fault : "the result is not one whole value", NULL);
    }
    return (sandmill_result){SANDMILL_JSON_RESULT, NULL, out->text, out->length, NULL};
}

sandmill_result sandmill_result_null(void) {
    return (sandmill_result){SANDMILL_JSON_RESULT, NULL, "null", 4, NULL};
}

sandmill_result sandmill_result_bytes(const char *content_type, const void *data, size_t length) {
    return (sandmill_result){SANDMILL_BYTES_RESULT, content_type, data, length, NULL};
}

sandmill_result sandmill_error(const char *name, const char *message) {
    return failure(name, message, NULL);
}

sandmill_result sandmill_error_details(const char *name, const char *message, const char *details) {
    return failure(name, message, details);
}

sandmill_result sandmill_failed(void) {
    sandmill_fault fault = sandmill_last_fault();
    if (fault.details) {
        return failure(fault.name, fault.message, fault.details);
    }
    sandmill_writer details = {0};
    sandmill_write_object(&details);
    sandmill_write_name(&details, "code");
    sandmill_write_string(&details, fault.code);
    sandmill_write_end(&details);
    return failure(fault.name, fault.message, details.text);
}

sandmill_result sandmill_skip(void) {
    return (sandmill_result){SANDMILL_SKIPPED, NULL, NULL, 0, NULL};
}

#ifdef __wasm__

/* Words of 32 bits: first whether it is an error, then the larger of both, an error's ten. It stands until the instance ends, as does all
 * that it points to. */
static uint32_t area[11];

static void set_text(size_t word, imports_string_t text) {
    area[word] = (uint32_t)(uintptr_t)text.ptr;
    area[word + 1] = (uint32_t)text.len;
}

static void *lower_failure(sandmill_result result) {
    area[0] = 1;
    set_text(1, sandmill_in(result.name));
    set_text(3, sandmill_in_n(result.text, result.length));
    if (result.details) {
        area[8] = 1;
        set_text(9, sandmill_in(result.details));
    }
    return area;
}

static sandmill_result call(sandmill_result (*function)(sandmill_json), const char *text, size_t length) {
    sandmill_json value;
    const char *fault;
    memset(area, 0, sizeof area);
    return sandmill_json_read(text, length, &value, &fault) ? function(value) : failure("ArgumentError", fault, NULL);
}

/* result<output, error>: of an output, the case json is number 0, and bytes number 1. */
void *sandmill_lower_run(sandmill_result (*function)(sandmill_json), const char *text, size_t length) {
    sandmill_result result = call(function, text, length);
    switch (result.kind) {
    case SANDMILL_JSON_RESULT:
        set_text(2, sandmill_in_n(result.text, result.length));
        return area;
    case SANDMILL_BYTES_RESULT:
        area[1] = 1;
        set_text(2, sandmill_in(result.name));
        set_text(4, (imports_string_t){(uint8_t *)result.text, result.length});
        return area;
    case SANDMILL_SKIPPED:
        return lower_failure(failure("ResultError", "only a preprocessor can skip", NULL));
    default:
        return lower_failure(result);
    }
}

/* result<option<json>, error>. */
void *sandmill_lower_preprocess(sandmill_result (*function)(sandmill_json), const char *text, size_t length) {
    sandmill_result result = call(function, text, length);
    switch (result.kind) {
    case SANDMILL_JSON_RESULT:
        area[1] = 1;
        set_text(2, sandmill_in_n(result.text, result.length));
        return area;
    case SANDMILL_BYTES_RESULT:
        return lower_failure(failure("ResultError", "a preprocessor returns JSON", NULL));
    case SANDMILL_SKIPPED:
        return area;
    default:
        return lower_failure(result);
    }
}

void *sandmill_lower_schema(const char *schema) {
    set_text(0, sandmill_in(schema));
    return area;
}

/* The generated bindings want the object file that names their world. The world is embedded when the component is made. */
void __component_type_object_force_link_imports(void) {
}

#endif

/* Log, output, state, variables and what a run knows of itself. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void sandmill_log(sandmill_level level, const char *message, const char *fields) {
    imports_string_t text = sandmill_in(message), object;
    if (fields) {
        object = sandmill_in(fields);
    }
    sandmill_log_log_write((sandmill_log_log_level_t)level, &text, fields ? &object : NULL);
}

void sandmill_progress(double percent, const char *text) {
    imports_string_t in = sandmill_in(text);
    sandmill_output_output_progress(percent, &in);
}

void sandmill_output(const void *chunk, size_t length) {
    imports_list_u8_t bytes = {(uint8_t *)chunk, length};
    sandmill_output_output_write(&bytes);
}

/* All cases of the error carry a text. */
static bool state_failed(sandmill_state_state_error_t *error) {
    static const char *const codes[] = {"invalid-key", "invalid-json", "too-large", "unavailable"};
    return sandmill_fail("StateError", codes[error->tag], error->val.invalid_key);
}

sandmill_status sandmill_state_get(const char *key, char **value) {
    imports_string_t in = sandmill_in(key);
    sandmill_state_state_option_json_t found;
    sandmill_state_state_error_t error;
    *value = NULL;
    if (!sandmill_state_state_get(&in, &found, &error)) {
        state_failed(&error);
        return SANDMILL_FAILED;
    }
    if (!found.is_some) {
        return SANDMILL_NONE;
    }
    *value = sandmill_out(found.val);
    return SANDMILL_OK;
}

bool sandmill_state_set(const char *key, const char *value) {
    imports_string_t in = sandmill_in(key), json = sandmill_in(value);
    sandmill_state_state_error_t error;
    return sandmill_state_state_set(&in, &json, &error) || state_failed(&error);
}

bool sandmill_state_delete(const char *key) {
    imports_string_t in = sandmill_in(key);
    sandmill_state_state_error_t error;
    return sandmill_state_state_delete(&in, &error) || state_failed(&error);
}

bool sandmill_state_compare_and_swap(const char *key, const char *expected, const char *replacement, bool *wrote) {
    imports_string_t in = sandmill_in(key), before = sandmill_in(expected ? expected : ""), after = sandmill_in(replacement ? replacement : "");
    sandmill_state_state_error_t error;
    return sandmill_state_state_compare_and_swap(&in, expected ? &before : NULL, replacement ? &after : NULL, wrote, &error) || state_failed(&error);
}

bool sandmill_state_list(const char *prefix, const char *after, uint32_t limit, char **keys) {
    imports_string_t in = sandmill_in(prefix), begin = sandmill_in(after ? after : "");
    imports_list_string_t list;
    sandmill_state_state_error_t error;
    *keys = NULL;
    if (!sandmill_state_state_list(&in, after ? &begin : NULL, limit, &list, &error)) {
        return state_failed(&error);
    }
    sandmill_writer out = {0};
    sandmill_write_array(&out);
    for (size_t i = 0; i < list.len; i++) {
        sandmill_write_string_n(&out, (const char *)list.ptr[i].ptr, list.ptr[i].len);
    }
    sandmill_write_end(&out);
    imports_list_string_free(&list);
    *keys = out.text;
    return true;
}

static bool variable_failed(sandmill_variables_variables_error_t *error) {
    static const char *const codes[] = {"denied", "invalid", "not-found", "unavailable"};
    return sandmill_fail("VariableError", codes[error->tag], error->val.denied);
}

bool sandmill_variable(const char *path, char **text) {
    imports_string_t in = sandmill_in(path), out;
    sandmill_variables_variables_error_t error;
    *text = NULL;
    if (!sandmill_variables_variables_get(&in, &out, &error)) {
        return variable_failed(&error);
    }
    *text = sandmill_out(out);
    return true;
}

bool sandmill_secret(const char *path, char **placeholder) {
    imports_string_t in = sandmill_in(path), out;
    sandmill_variables_variables_error_t error;
    *placeholder = NULL;
    if (!sandmill_variables_variables_placeholder(&in, &out, &error)) {
        return variable_failed(&error);
    }
    *placeholder = sandmill_out(out);
    return true;
}

sandmill_run_context sandmill_context(void) {
    sandmill_context_context_info_t info;
    sandmill_context_context_get(&info);
    sandmill_run_context context = {
        .run_id = sandmill_out(info.run_id),
        .script = sandmill_out(info.script),
        .version = sandmill_out(info.version),
        .workspace = sandmill_out(info.workspace),
        .run_as = sandmill_out(info.run_as),
        .attempt = info.attempt,
        .deadline_ms = info.deadline_ms,
    };
    if (info.trigger.is_some) {
        context.trigger_kind = sandmill_out(info.trigger.val.kind);
        context.trigger_path = info.trigger.val.path.is_some ? sandmill_out(info.trigger.val.path.val) : NULL;
    }
    return context;
}

void sandmill_payload(uint8_t **data, size_t *length) {
    imports_list_u8_t bytes;
    sandmill_context_context_payload(&bytes);
    *data = bytes.ptr;
    *length = bytes.len;
}

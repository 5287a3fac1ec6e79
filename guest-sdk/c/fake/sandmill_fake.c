/* The functions of the generated bindings, on tables in memory. */
#include "sandmill_fake.h"

#include "tables.h"

static table state, variables;
static char *logged, *written;
static double progress = -1;

static void append(char **to, const char *text, size_t length) {
    size_t before = *to ? strlen(*to) : 0;
    *to = grown(*to, before + length + 1);
    memcpy(*to + before, text, length);
    (*to)[before + length] = '\0';
}

/* ---- For the test ---- */

void sandmill_fake_reset(void) {
    state.count = variables.count = 0;
    logged = written = NULL;
    progress = -1;
    sandmill_fake_reset_services();
}

#define OPTIONAL __attribute__((weak))
sandmill_result sandmill_script_main(sandmill_json args);
OPTIONAL sandmill_result sandmill_script_preprocess(sandmill_json event);
OPTIONAL const char *sandmill_script_schema(void);

static sandmill_result call(sandmill_result (*function)(sandmill_json), const char *text) {
    sandmill_json value;
    const char *fault;
    return sandmill_json_read(text, strlen(text), &value, &fault) ? function(value) : sandmill_error("ArgumentError", fault);
}

sandmill_result sandmill_fake_run(const char *args) {
    return call(sandmill_script_main, args);
}

sandmill_result sandmill_fake_preprocess(const char *event) {
    return sandmill_script_preprocess ? call(sandmill_script_preprocess, event) : sandmill_error("Error", "the script has no preprocessor");
}

const char *sandmill_fake_schema(void) {
    return sandmill_script_schema ? sandmill_script_schema() : NULL;
}

void sandmill_fake_variable(const char *path, const char *text) {
    put(&variables, path, text, strlen(text));
}

const char *sandmill_fake_state(const char *key) {
    entry *at = find(&state, key);
    return at ? at->value : NULL;
}

const char *sandmill_fake_log(void) {
    return logged ? logged : "";
}

const char *sandmill_fake_output(void) {
    return written ? written : "";
}

double sandmill_fake_progress(void) {
    return progress;
}

/* ---- For the script: as the bindings declare it ---- */

void sandmill_log_log_write(sandmill_log_log_level_t level, imports_string_t *message, imports_string_t *maybe_fields) {
    static const char *const levels[] = {"trace ", "debug ", "info ", "warn ", "error "};
    append(&logged, levels[level], strlen(levels[level]));
    append(&logged, (const char *)message->ptr, message->len);
    if (maybe_fields) {
        append(&logged, " ", 1);
        append(&logged, (const char *)maybe_fields->ptr, maybe_fields->len);
    }
    append(&logged, "\n", 1);
}

void sandmill_output_output_progress(double percent, imports_string_t *text) {
    (void)text;
    progress = percent;
}

void sandmill_output_output_write(imports_list_u8_t *chunk) {
    append(&written, (const char *)chunk->ptr, chunk->len);
}

static bool bad_key(const char *key, sandmill_state_state_error_t *err) {
    bool bad = key[0] == '\0' || strlen(key) > 512;
    for (const char *c = key; *c; c++) {
        bad = bad || (unsigned char)*c < 0x20;
    }
    if (bad) {
        *err = (sandmill_state_state_error_t){SANDMILL_STATE_STATE_ERROR_INVALID_KEY, {given("a key has 1 to 512 bytes and no control characters")}};
    }
    return bad;
}

bool sandmill_state_state_get(imports_string_t *key, sandmill_state_state_option_json_t *ret, sandmill_state_state_error_t *err) {
    char *name = text_of(key);
    if (bad_key(name, err)) {
        return false;
    }
    entry *at = find(&state, name);
    ret->is_some = at != NULL;
    if (at) {
        ret->val = given(at->value);
    }
    return true;
}

bool sandmill_state_state_set(imports_string_t *key, sandmill_state_state_json_t *value, sandmill_state_state_error_t *err) {
    char *name = text_of(key);
    sandmill_json json;
    if (bad_key(name, err)) {
        return false;
    }
    if (!sandmill_json_read((char *)value->ptr, value->len, &json, NULL)) {
        *err = (sandmill_state_state_error_t){SANDMILL_STATE_STATE_ERROR_INVALID_JSON, {given("no JSON")}};
        return false;
    }
    put(&state, name, value->ptr, value->len);
    return true;
}

bool sandmill_state_state_delete(imports_string_t *key, sandmill_state_state_error_t *err) {
    char *name = text_of(key);
    take_away(&state, name);
    return !bad_key(name, err);
}

/* Compared as texts; the host compares as JSON values. */
bool sandmill_state_state_compare_and_swap(imports_string_t *key, sandmill_state_state_json_t *maybe_expected, sandmill_state_state_json_t *maybe_new_,
                                           bool *ret, sandmill_state_state_error_t *err) {
    char *name = text_of(key);
    if (bad_key(name, err)) {
        return false;
    }
    entry *at = find(&state, name);
    *ret = maybe_expected ? at && strcmp(at->value, text_of(maybe_expected)) == 0 : !at;
    if (*ret && maybe_new_) {
        put(&state, name, maybe_new_->ptr, maybe_new_->len);
    } else if (*ret) {
        take_away(&state, name);
    }
    return true;
}

bool sandmill_state_state_list(imports_string_t *prefix, imports_string_t *maybe_after, uint32_t limit, imports_list_string_t *ret,
                               sandmill_state_state_error_t *err) {
    (void)err;
    char *begin = text_of(prefix), *after = maybe_after ? text_of(maybe_after) : NULL;
    qsort(state.entries, state.count, sizeof *state.entries, by_key);
    ret->ptr = grown(NULL, (state.count + 1) * sizeof *ret->ptr);
    ret->len = 0;
    for (size_t i = 0; i < state.count && ret->len < limit; i++) {
        char *key = state.entries[i].key;
        if (strncmp(key, begin, strlen(begin)) == 0 && (!after || strcmp(key, after) > 0)) {
            ret->ptr[ret->len++] = given(key);
        }
    }
    return true;
}

void imports_list_string_free(imports_list_string_t *ptr) {
    ptr->len = 0;
}

bool sandmill_variables_variables_get(imports_string_t *path, imports_string_t *ret, sandmill_variables_variables_error_t *err) {
    entry *at = find(&variables, text_of(path));
    if (!at) {
        *err = (sandmill_variables_variables_error_t){SANDMILL_VARIABLES_VARIABLES_ERROR_NOT_FOUND, {given("there is no such variable")}};
        return false;
    }
    *ret = given(at->value);
    return true;
}

bool sandmill_variables_variables_placeholder(imports_string_t *path, imports_string_t *ret, sandmill_variables_variables_error_t *err) {
    (void)err;
    (void)path;
    *ret = given("placeholder");
    return true;
}

void sandmill_context_context_get(sandmill_context_context_info_t *ret) {
    *ret = (sandmill_context_context_info_t){.run_id = given("run"), .script = given("f/demo/script"), .version = given("sha256:"),
                                             .workspace = given("default"), .attempt = 1, .run_as = given("u/test")};
}

void sandmill_context_context_payload(imports_list_u8_t *ret) {
    *ret = (imports_list_u8_t){NULL, 0};
}

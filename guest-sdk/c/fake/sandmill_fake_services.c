/* Resources, databases, runs and objects of the fake. */
#include "sandmill_fake.h"
#include "tables.h"

#include <stdio.h>

static table kinds, fields, answers, brokers, scripts, started, objects;
static char *messages;

/* A handle is the number of a path here, from 1. */
static char *paths[ENTRIES_MAX];
static int32_t opened;

/* The objects that are being read and written: their handles are those of `paths`, their bytes under the handle. */
static struct {
    char *data;
    size_t length;
} streams[ENTRIES_MAX];

void sandmill_fake_reset_services(void) {
    table *all[] = {&kinds, &fields, &answers, &brokers, &scripts, &started, &objects};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        all[i]->count = 0;
    }
    opened = 0;
    messages = NULL;
}

void sandmill_fake_resource(const char *path, const char *kind, const char *object, const char *rows) {
    const char *answer = rows ? rows : "[]";
    put(&kinds, path, kind, strlen(kind));
    put(&fields, path, object, strlen(object));
    put(&answers, path, answer, strlen(answer));
}

void sandmill_fake_broker(const char *path, const char *said) {
    put(&brokers, path, said, strlen(said));
}

const char *sandmill_fake_messages(void) {
    return messages ? messages : "";
}

void sandmill_fake_script(const char *path, const char *result) {
    put(&scripts, path, result, strlen(result));
}

static int32_t open_path(char *path) {
    if (opened + 1 == ENTRIES_MAX) abort();
    paths[++opened] = path;
    streams[opened].data = NULL;
    streams[opened].length = 0;
    return opened;
}

bool sandmill_resources_resources_open(imports_string_t *path, sandmill_resources_resources_own_handle_t *ret,
                                       sandmill_resources_resources_error_t *err) {
    char *name = text_of(path);
    if (!find(&kinds, name)) {
        *err = (sandmill_resources_resources_error_t){SANDMILL_RESOURCES_RESOURCES_ERROR_NOT_FOUND, {given("there is no such resource")}};
        return false;
    }
    ret->__handle = open_path(name);
    return true;
}

void sandmill_resources_resources_method_handle_path(sandmill_resources_resources_borrow_handle_t self, imports_string_t *ret) {
    *ret = given(paths[self.__handle]);
}

void sandmill_resources_resources_method_handle_kind(sandmill_resources_resources_borrow_handle_t self, imports_string_t *ret) {
    *ret = given(find(&kinds, paths[self.__handle])->value);
}

void sandmill_resources_resources_method_handle_fields(sandmill_resources_resources_borrow_handle_t self, sandmill_resources_resources_json_t *ret) {
    *ret = given(find(&fields, paths[self.__handle])->value);
}

bool sandmill_resources_resources_method_handle_placeholder(sandmill_resources_resources_borrow_handle_t self, imports_string_t *pointer,
                                                            imports_string_t *ret, sandmill_resources_resources_error_t *err) {
    (void)self, (void)pointer, (void)err;
    *ret = given("placeholder");
    return true;
}

/* The parameters have to be an array, as for the host. */
static bool bad_parameters(sandmill_sql_sql_json_t *parameters, sandmill_sql_sql_error_t *err) {
    sandmill_json json;
    if (sandmill_json_read((char *)parameters->ptr, parameters->len, &json, NULL) && json.kind == SANDMILL_JSON_ARRAY) {
        return false;
    }
    *err = (sandmill_sql_sql_error_t){SANDMILL_SQL_SQL_ERROR_INVALID, {.invalid = given("parameters are no JSON array")}};
    return true;
}

static bool answer(int32_t handle, sandmill_sql_sql_json_t *parameters, sandmill_sql_sql_answer_t *ret, sandmill_sql_sql_error_t *err) {
    if (bad_parameters(parameters, err)) {
        return false;
    }
    *ret = (sandmill_sql_sql_answer_t){{NULL, 0}, given(find(&answers, paths[handle])->value)};
    return true;
}

bool sandmill_sql_sql_query(sandmill_sql_sql_borrow_handle_t on, imports_string_t *statement, sandmill_sql_sql_json_t *parameters,
                            sandmill_sql_sql_answer_t *ret, sandmill_sql_sql_error_t *err) {
    (void)statement;
    return answer(on.__handle, parameters, ret, err);
}

bool sandmill_sql_sql_execute(sandmill_sql_sql_borrow_handle_t on, imports_string_t *statement, sandmill_sql_sql_json_t *parameters, uint64_t *ret,
                              sandmill_sql_sql_error_t *err) {
    (void)on, (void)statement;
    *ret = 1;
    return !bad_parameters(parameters, err);
}

/* A transaction is its resource: nothing is undone. */
bool sandmill_sql_sql_static_transaction_begin(sandmill_sql_sql_borrow_handle_t on, sandmill_sql_sql_own_transaction_t *ret,
                                               sandmill_sql_sql_error_t *err) {
    (void)err;
    ret->__handle = on.__handle;
    return true;
}

bool sandmill_sql_sql_method_transaction_query(sandmill_sql_sql_borrow_transaction_t self, imports_string_t *statement,
                                               sandmill_sql_sql_json_t *parameters, sandmill_sql_sql_answer_t *ret, sandmill_sql_sql_error_t *err) {
    (void)statement;
    return answer(self.__handle, parameters, ret, err);
}

bool sandmill_sql_sql_method_transaction_execute(sandmill_sql_sql_borrow_transaction_t self, imports_string_t *statement,
                                                 sandmill_sql_sql_json_t *parameters, uint64_t *ret, sandmill_sql_sql_error_t *err) {
    (void)self, (void)statement;
    *ret = 1;
    return !bad_parameters(parameters, err);
}

bool sandmill_sql_sql_method_transaction_commit(sandmill_sql_sql_borrow_transaction_t self, sandmill_sql_sql_error_t *err) {
    (void)self, (void)err;
    return true;
}

void sandmill_sql_sql_transaction_drop_own(sandmill_sql_sql_own_transaction_t handle) {
    (void)handle;
}

void sandmill_sql_sql_list_column_free(sandmill_sql_sql_list_column_t *ptr) {
    ptr->len = 0;
}

bool sandmill_publish_publish_publish(sandmill_publish_publish_borrow_handle_t via, sandmill_publish_publish_message_t *message,
                                      sandmill_publish_publish_json_t *ret, sandmill_publish_publish_error_t *err) {
    const char *path = paths[via.__handle];
    entry *broker = find(&brokers, path);
    if (!broker) {
        *err = (sandmill_publish_publish_error_t){SANDMILL_PUBLISH_PUBLISH_ERROR_DENIED, {given("this broker was not faked")}};
        return false;
    }
    char *to = text_of(&message->to), *payload = message->payload.len ? copy(message->payload.ptr, message->payload.len) : "";
    size_t before = messages ? strlen(messages) : 0, length = strlen(path) + strlen(to) + strlen(payload) + sizeof "  \n";
    messages = grown(messages, before + length);
    snprintf(messages + before, length, "%s %s %s\n", path, to, payload);
    *ret = given(broker->value);
    return true;
}

/* A run's id is its number; it ended when it was started. */
bool sandmill_runs_runs_start(imports_string_t *path, sandmill_runs_runs_json_t *args, sandmill_runs_runs_options_t *options,
                              sandmill_runs_runs_run_id_t *ret, sandmill_runs_runs_error_t *err) {
    (void)args, (void)options;
    entry *script = find(&scripts, text_of(path));
    if (!script) {
        *err = (sandmill_runs_runs_error_t){SANDMILL_RUNS_RUNS_ERROR_NOT_FOUND, {.not_found = given("nothing is deployed there")}};
        return false;
    }
    char id[24];
    snprintf(id, sizeof id, "%zu", started.count + 1);
    put(&started, id, script->value, script->length);
    *ret = given(id);
    return true;
}

bool sandmill_runs_runs_wait(sandmill_runs_runs_run_id_t *run, uint64_t *maybe_timeout_ms, sandmill_runs_runs_ending_t *ret,
                             sandmill_runs_runs_error_t *err) {
    (void)maybe_timeout_ms;
    entry *child = find(&started, text_of(run));
    if (!child) {
        *err = (sandmill_runs_runs_error_t){SANDMILL_RUNS_RUNS_ERROR_NOT_FOUND, {.not_found = given("there is no such child")}};
        return false;
    }
    *ret = (sandmill_runs_runs_ending_t){.tag = SANDMILL_RUNS_RUNS_ENDING_SUCCEEDED};
    ret->val.succeeded.val.json = given(child->value);
    return true;
}

bool sandmill_runs_runs_wait_many(sandmill_runs_runs_list_run_id_t *runs, sandmill_runs_runs_until_t until, uint64_t *maybe_timeout_ms,
                                  sandmill_runs_runs_list_run_id_t *ret, sandmill_runs_runs_error_t *err) {
    (void)until, (void)maybe_timeout_ms, (void)err;
    ret->ptr = grown(NULL, (runs->len + 1) * sizeof *ret->ptr);
    memcpy(ret->ptr, runs->ptr, runs->len * sizeof *ret->ptr);
    ret->len = runs->len;
    return true;
}

void sandmill_runs_runs_list_run_id_free(sandmill_runs_runs_list_run_id_t *ptr) {
    ptr->len = 0;
}

bool sandmill_runs_runs_get_result(sandmill_runs_runs_run_id_t *run, sandmill_runs_runs_option_ending_t *ret, sandmill_runs_runs_error_t *err) {
    ret->is_some = true;
    return sandmill_runs_runs_wait(run, NULL, &ret->val, err);
}

bool sandmill_runs_runs_cancel(sandmill_runs_runs_run_id_t *run, bool *ret, sandmill_runs_runs_error_t *err) {
    (void)run, (void)err;
    *ret = false;
    return true;
}

static sandmill_blob_blob_object_t object_of(const entry *at) {
    return (sandmill_blob_blob_object_t){.key = given(at->key), .size = at->length};
}

bool sandmill_blob_blob_get(imports_string_t *key, sandmill_blob_blob_option_own_reader_t *ret, sandmill_blob_blob_error_t *err) {
    (void)err;
    entry *at = find(&objects, text_of(key));
    ret->is_some = at != NULL;
    if (at) {
        ret->val.__handle = open_path(at->key);
        streams[opened].data = copy(at->value, at->length);
        streams[opened].length = at->length;
    }
    return true;
}

/* All at once. */
bool sandmill_blob_blob_method_reader_read(sandmill_blob_blob_borrow_reader_t self, uint32_t max, imports_option_list_u8_t *ret,
                                           sandmill_blob_blob_error_t *err) {
    (void)max, (void)err;
    ret->is_some = streams[self.__handle].length > 0;
    ret->val = (imports_list_u8_t){(uint8_t *)streams[self.__handle].data, streams[self.__handle].length};
    streams[self.__handle].length = 0;
    return true;
}

bool sandmill_blob_blob_put(imports_string_t *key, imports_string_t *maybe_content_type, sandmill_blob_blob_own_writer_t *ret,
                            sandmill_blob_blob_error_t *err) {
    (void)maybe_content_type, (void)err;
    ret->__handle = open_path(text_of(key));
    return true;
}

bool sandmill_blob_blob_method_writer_write(sandmill_blob_blob_borrow_writer_t self, imports_list_u8_t *bytes, sandmill_blob_blob_error_t *err) {
    (void)err;
    size_t before = streams[self.__handle].length;
    streams[self.__handle].data = grown(streams[self.__handle].data, before + bytes->len + 1);
    memcpy(streams[self.__handle].data + before, bytes->ptr, bytes->len);
    streams[self.__handle].length = before + bytes->len;
    return true;
}

bool sandmill_blob_blob_method_writer_finish(sandmill_blob_blob_borrow_writer_t self, sandmill_blob_blob_object_t *ret, sandmill_blob_blob_error_t *err) {
    (void)err;
    char *key = paths[self.__handle];
    put(&objects, key, streams[self.__handle].data ? streams[self.__handle].data : "", streams[self.__handle].length);
    *ret = object_of(find(&objects, key));
    return true;
}

bool sandmill_blob_blob_stat(imports_string_t *key, sandmill_blob_blob_option_object_t *ret, sandmill_blob_blob_error_t *err) {
    (void)err;
    entry *at = find(&objects, text_of(key));
    ret->is_some = at != NULL;
    if (at) {
        ret->val = object_of(at);
    }
    return true;
}

bool sandmill_blob_blob_delete(imports_string_t *key, sandmill_blob_blob_error_t *err) {
    (void)err;
    take_away(&objects, text_of(key));
    return true;
}

bool sandmill_blob_blob_list(imports_string_t *prefix, imports_string_t *maybe_after, uint32_t limit, sandmill_blob_blob_list_object_t *ret,
                             sandmill_blob_blob_error_t *err) {
    (void)err;
    char *begin = text_of(prefix), *after = maybe_after ? text_of(maybe_after) : NULL;
    qsort(objects.entries, objects.count, sizeof *objects.entries, by_key);
    ret->ptr = grown(NULL, (objects.count + 1) * sizeof *ret->ptr);
    ret->len = 0;
    for (size_t i = 0; i < objects.count && ret->len < limit; i++) {
        entry *at = &objects.entries[i];
        if (strncmp(at->key, begin, strlen(begin)) == 0 && (!after || strcmp(at->key, after) > 0)) {
            ret->ptr[ret->len++] = object_of(at);
        }
    }
    return true;
}

/* The memory of the fake is the test's until it ends. */
void sandmill_blob_blob_object_free(sandmill_blob_blob_object_t *ptr) { (void)ptr; }
void sandmill_blob_blob_list_object_free(sandmill_blob_blob_list_object_t *ptr) { (void)ptr; }
void imports_list_u8_free(imports_list_u8_t *ptr) { (void)ptr; }
void sandmill_blob_blob_reader_drop_own(sandmill_blob_blob_own_reader_t handle) { (void)handle; }
void sandmill_blob_blob_writer_drop_own(sandmill_blob_blob_own_writer_t handle) { (void)handle; }
sandmill_blob_blob_borrow_reader_t sandmill_blob_blob_borrow_reader(sandmill_blob_blob_own_reader_t handle) {
    return (sandmill_blob_blob_borrow_reader_t){handle.__handle};
}
sandmill_blob_blob_borrow_writer_t sandmill_blob_blob_borrow_writer(sandmill_blob_blob_own_writer_t handle) {
    return (sandmill_blob_blob_borrow_writer_t){handle.__handle};
}

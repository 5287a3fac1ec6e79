/* Runs that a run starts. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static bool runs_failed(sandmill_runs_runs_error_t *error) {
    static const char *const codes[] = {"denied", "invalid", "not-found", "invalid-arguments", "too-many", "timeout", "unavailable"};
    if (error->tag != SANDMILL_RUNS_RUNS_ERROR_INVALID_ARGUMENTS) {
        return sandmill_fail("RunsError", codes[error->tag], error->val.denied);
    }
    sandmill_runs_runs_script_error_t *said = &error->val.invalid_arguments;
    return sandmill_fail_details("RunsError", "invalid-arguments", sandmill_out(said->message), said->details.is_some ? sandmill_out(said->details.val) : NULL);
}

bool sandmill_run_start(const char *path, const char *args, const sandmill_run_options *options, char **run) {
    static const sandmill_run_options none = {0};
    const sandmill_run_options *said = options ? options : &none;
    imports_string_t in = sandmill_in(path), json = sandmill_in(args), id;
    sandmill_runs_runs_options_t lowered = {
        .delay_ms = {said->delay_ms > 0, said->delay_ms},
        .priority = {said->priority != NULL, said->priority ? *said->priority : 0},
        .tag = {said->tag != NULL, sandmill_in(said->tag ? said->tag : "")},
        .key = {said->key != NULL, sandmill_in(said->key ? said->key : "")},
    };
    sandmill_runs_runs_error_t error;
    *run = NULL;
    if (!sandmill_runs_runs_start(&in, &json, &lowered, &id, &error)) {
        return runs_failed(&error);
    }
    *run = sandmill_out(id);
    return true;
}

static sandmill_ending ending_of(sandmill_runs_runs_ending_t *ended) {
    if (ended->tag == SANDMILL_RUNS_RUNS_ENDING_SKIPPED) {
        return sandmill_skip();
    }
    if (ended->tag == SANDMILL_RUNS_RUNS_ENDING_FAILED) {
        sandmill_runs_runs_script_error_t *error = &ended->val.failed.error;
        return sandmill_error_details(sandmill_out(error->name), sandmill_out(error->message), error->details.is_some ? sandmill_out(error->details.val) : NULL);
    }
    sandmill_runs_runs_output_t *output = &ended->val.succeeded;
    if (output->tag == SANDMILL_SCRIPT_TYPES_OUTPUT_BYTES) {
        return sandmill_result_bytes(sandmill_out(output->val.bytes.content_type), output->val.bytes.data.ptr, output->val.bytes.data.len);
    }
    char *json = sandmill_out(output->val.json);
    return (sandmill_ending){SANDMILL_JSON_RESULT, NULL, json, strlen(json), NULL};
}

bool sandmill_run_wait(const char *run, uint64_t timeout_ms, sandmill_ending *ending) {
    imports_string_t in = sandmill_in(run);
    sandmill_runs_runs_ending_t ended;
    sandmill_runs_runs_error_t error;
    if (!sandmill_runs_runs_wait(&in, timeout_ms == SANDMILL_FOREVER ? NULL : &timeout_ms, &ended, &error)) {
        return runs_failed(&error);
    }
    *ending = ending_of(&ended);
    return true;
}

bool sandmill_run_wait_many(const char *const *runs, size_t count, sandmill_until until, uint64_t timeout_ms, char **ended) {
    imports_string_t *ids = malloc((count + 1) * sizeof *ids);
    if (!ids) abort();
    for (size_t i = 0; i < count; i++) {
        ids[i] = sandmill_in(runs[i]);
    }
    sandmill_runs_runs_list_run_id_t list = {ids, count}, done;
    sandmill_runs_runs_error_t error;
    *ended = NULL;
    bool waited = sandmill_runs_runs_wait_many(&list, (sandmill_runs_runs_until_t)until, timeout_ms == SANDMILL_FOREVER ? NULL : &timeout_ms, &done, &error);
    free(ids);
    if (!waited) {
        return runs_failed(&error);
    }
    sandmill_writer out = {0};
    sandmill_write_array(&out);
    for (size_t i = 0; i < done.len; i++) {
        sandmill_write_string_n(&out, (const char *)done.ptr[i].ptr, done.ptr[i].len);
    }
    sandmill_write_end(&out);
    sandmill_runs_runs_list_run_id_free(&done);
    *ended = out.text;
    return true;
}

sandmill_status sandmill_run_result(const char *run, sandmill_ending *ending) {
    imports_string_t in = sandmill_in(run);
    sandmill_runs_runs_option_ending_t ended;
    sandmill_runs_runs_error_t error;
    if (!sandmill_runs_runs_get_result(&in, &ended, &error)) {
        runs_failed(&error);
        return SANDMILL_FAILED;
    }
    if (!ended.is_some) {
        return SANDMILL_NONE;
    }
    *ending = ending_of(&ended.val);
    return SANDMILL_OK;
}

bool sandmill_run_cancel(const char *run, bool *asked) {
    imports_string_t in = sandmill_in(run);
    sandmill_runs_runs_error_t error;
    return sandmill_runs_runs_cancel(&in, asked, &error) || runs_failed(&error);
}

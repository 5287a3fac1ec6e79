/* Resources, and databases on them. */
#include "internal.h"

#include <stdlib.h>

static sandmill_resources_resources_borrow_handle_t of(sandmill_resource resource) {
    return (sandmill_resources_resources_borrow_handle_t){resource.handle};
}

static bool resource_failed(sandmill_resources_resources_error_t *error) {
    static const char *const codes[] = {"denied", "invalid", "not-found", "unavailable"};
    return sandmill_fail("ResourceError", codes[error->tag], error->val.denied);
}

bool sandmill_resource_open(const char *path, sandmill_resource *resource) {
    imports_string_t in = sandmill_in(path);
    sandmill_resources_resources_own_handle_t handle;
    sandmill_resources_resources_error_t error;
    if (!sandmill_resources_resources_open(&in, &handle, &error)) {
        return resource_failed(&error);
    }
    resource->handle = handle.__handle;
    return true;
}

char *sandmill_resource_path(sandmill_resource resource) {
    imports_string_t out;
    sandmill_resources_resources_method_handle_path(of(resource), &out);
    return sandmill_out(out);
}

char *sandmill_resource_kind(sandmill_resource resource) {
    imports_string_t out;
    sandmill_resources_resources_method_handle_kind(of(resource), &out);
    return sandmill_out(out);
}

char *sandmill_resource_fields(sandmill_resource resource) {
    imports_string_t out;
    sandmill_resources_resources_method_handle_fields(of(resource), &out);
    return sandmill_out(out);
}

bool sandmill_resource_placeholder(sandmill_resource resource, const char *pointer, char **placeholder) {
    imports_string_t in = sandmill_in(pointer), out;
    sandmill_resources_resources_error_t error;
    *placeholder = NULL;
    if (!sandmill_resources_resources_method_handle_placeholder(of(resource), &in, &out, &error)) {
        return resource_failed(&error);
    }
    *placeholder = sandmill_out(out);
    return true;
}

static void detail(sandmill_writer *out, const char *name, imports_option_string_t text) {
    if (text.is_some) {
        sandmill_write_name(out, name);
        sandmill_write_string_n(out, (const char *)text.val.ptr, text.val.len);
    }
}

/* What the database said is in the details. */
static bool sql_failed(sandmill_sql_sql_error_t *error) {
    static const char *const codes[] = {"denied", "invalid", "database", "too-large", "timeout", "unavailable"};
    if (error->tag != SANDMILL_SQL_SQL_ERROR_DATABASE) {
        return sandmill_fail("SqlError", codes[error->tag], error->val.denied);
    }
    sandmill_sql_sql_database_error_t *said = &error->val.database;
    sandmill_writer out = {0};
    sandmill_write_object(&out);
    detail(&out, "code", (imports_option_string_t){true, said->code});
    detail(&out, "message", (imports_option_string_t){true, said->message});
    detail(&out, "detail", said->detail);
    detail(&out, "hint", said->hint);
    detail(&out, "constraint", said->constraint);
    if (said->position.is_some) {
        sandmill_write_name(&out, "position");
        sandmill_write_integer(&out, said->position.val);
    }
    sandmill_write_end(&out);
    return sandmill_fail_details("SqlError", "database", sandmill_out(said->message), out.text);
}

/* The columns' names are in the rows. */
static bool rows_of(sandmill_sql_sql_answer_t *answer, char **rows) {
    sandmill_sql_sql_list_column_free(&answer->columns);
    *rows = sandmill_out(answer->rows);
    return true;
}

static sandmill_sql_sql_borrow_handle_t on_resource(sandmill_resource on) {
    return (sandmill_sql_sql_borrow_handle_t){on.handle};
}

bool sandmill_sql_query(sandmill_resource on, const char *statement, const char *parameters, char **rows) {
    imports_string_t text = sandmill_in(statement), bound = sandmill_in(parameters);
    sandmill_sql_sql_answer_t answer;
    sandmill_sql_sql_error_t error;
    *rows = NULL;
    return sandmill_sql_sql_query(on_resource(on), &text, &bound, &answer, &error) ? rows_of(&answer, rows) : sql_failed(&error);
}

bool sandmill_sql_execute(sandmill_resource on, const char *statement, const char *parameters, uint64_t *written) {
    imports_string_t text = sandmill_in(statement), bound = sandmill_in(parameters);
    sandmill_sql_sql_error_t error;
    return sandmill_sql_sql_execute(on_resource(on), &text, &bound, written, &error) || sql_failed(&error);
}

bool sandmill_sql_begin(sandmill_resource on, sandmill_transaction *transaction) {
    sandmill_sql_sql_own_transaction_t own;
    sandmill_sql_sql_error_t error;
    if (!sandmill_sql_sql_static_transaction_begin(on_resource(on), &own, &error)) {
        return sql_failed(&error);
    }
    transaction->handle = own.__handle;
    return true;
}

static sandmill_sql_sql_borrow_transaction_t within(sandmill_transaction in) {
    return (sandmill_sql_sql_borrow_transaction_t){in.handle};
}

bool sandmill_transaction_query(sandmill_transaction in, const char *statement, const char *parameters, char **rows) {
    imports_string_t text = sandmill_in(statement), bound = sandmill_in(parameters);
    sandmill_sql_sql_answer_t answer;
    sandmill_sql_sql_error_t error;
    *rows = NULL;
    return sandmill_sql_sql_method_transaction_query(within(in), &text, &bound, &answer, &error) ? rows_of(&answer, rows) : sql_failed(&error);
}

bool sandmill_transaction_execute(sandmill_transaction in, const char *statement, const char *parameters, uint64_t *written) {
    imports_string_t text = sandmill_in(statement), bound = sandmill_in(parameters);
    sandmill_sql_sql_error_t error;
    return sandmill_sql_sql_method_transaction_execute(within(in), &text, &bound, written, &error) || sql_failed(&error);
}

bool sandmill_transaction_commit(sandmill_transaction in) {
    sandmill_sql_sql_error_t error;
    return sandmill_sql_sql_method_transaction_commit(within(in), &error) || sql_failed(&error);
}

void sandmill_transaction_end(sandmill_transaction in) {
    sandmill_sql_sql_transaction_drop_own((sandmill_sql_sql_own_transaction_t){in.handle});
}

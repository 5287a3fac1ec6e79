/* Every call of the host, against the fake. */
#include "sandmill_fake.h"
#include "check.h"

#include <stdio.h>
#include <string.h>

SANDMILL_SCHEMA("{\"type\":\"object\"}")

SANDMILL_PREPROCESSOR(event) {
    sandmill_writer out = {0};
    if (sandmill_json_get(event, "body").kind == SANDMILL_JSON_MISSING) {
        return sandmill_skip();
    }
    sandmill_write_json(&out, sandmill_json_get(event, "body"));
    return sandmill_result_json(&out);
}

static void state(void) {
    char *value;
    bool wrote;
    CHECK(sandmill_state_get("a", &value) == SANDMILL_NONE && !value);
    CHECK(sandmill_state_compare_and_swap("a", NULL, "1", &wrote) && wrote);
    CHECK(sandmill_state_compare_and_swap("a", NULL, "2", &wrote) && !wrote);
    CHECK(sandmill_state_compare_and_swap("a", "1", "2", &wrote) && wrote);
    CHECK(sandmill_state_get("a", &value) == SANDMILL_OK && strcmp(value, "2") == 0);
    CHECK(sandmill_state_set("b/2", "{}") && sandmill_state_set("b/1", "[]"));
    CHECK(sandmill_state_list("b/", NULL, 10, &value) && strcmp(value, "[\"b/1\",\"b/2\"]") == 0);
    CHECK(sandmill_state_list("b/", "b/1", 10, &value) && strcmp(value, "[\"b/2\"]") == 0);
    CHECK(sandmill_state_delete("a") && sandmill_state_get("a", &value) == SANDMILL_NONE);
    CHECK(!sandmill_state_set("", "1") && strcmp(sandmill_last_fault().code, "invalid-key") == 0);
    CHECK(!sandmill_state_set("a", "{") && strcmp(sandmill_last_fault().code, "invalid-json") == 0);
}

static void others(void) {
    char *text;
    sandmill_log(SANDMILL_WARN, "bad \xff", "{\"n\":1}");
    sandmill_progress(50, "half");
    sandmill_output("chunk", 5);
    CHECK(strcmp(sandmill_fake_log(), "warn bad \xef\xbf\xbd {\"n\":1}\n") == 0);
    CHECK(strcmp(sandmill_fake_output(), "chunk") == 0 && sandmill_fake_progress() == 50);
    sandmill_fake_variable("f/demo/region", "north");
    CHECK(sandmill_variable("f/demo/region", &text) && strcmp(text, "north") == 0);
    CHECK(!sandmill_variable("f/demo/none", &text) && strcmp(sandmill_last_fault().code, "not-found") == 0);
    CHECK(sandmill_secret("f/demo/token", &text));
    CHECK(sandmill_context().attempt == 1 && sandmill_context().trigger_kind == NULL);
    uint8_t *payload;
    size_t length;
    sandmill_payload(&payload, &length);
    CHECK(length == 0);
}

static void databases(void) {
    char *text;
    uint64_t written;
    sandmill_resource db;
    sandmill_transaction transaction;
    sandmill_fake_resource("f/demo/db", "sqlite", "{\"file\":\"x\"}", "[{\"n\":1}]");
    CHECK(!sandmill_resource_open("f/demo/none", &db));
    CHECK(sandmill_resource_open("f/demo/db", &db));
    CHECK(strcmp(sandmill_resource_kind(db), "sqlite") == 0 && strcmp(sandmill_resource_path(db), "f/demo/db") == 0);
    CHECK(strcmp(sandmill_resource_fields(db), "{\"file\":\"x\"}") == 0 && sandmill_resource_placeholder(db, "/token", &text));
    CHECK(sandmill_sql_query(db, "SELECT $1", "[1]", &text) && strcmp(text, "[{\"n\":1}]") == 0);
    CHECK(!sandmill_sql_query(db, "SELECT $1", "1", &text) && strcmp(sandmill_last_fault().code, "invalid") == 0);
    CHECK(sandmill_sql_execute(db, "DELETE FROM t", "[]", &written) && written == 1);
    CHECK(sandmill_sql_begin(db, &transaction) && sandmill_transaction_query(transaction, "SELECT 1", "[]", &text));
    CHECK(sandmill_transaction_execute(transaction, "DELETE FROM t", "[]", &written) && sandmill_transaction_commit(transaction));
    sandmill_transaction_end(transaction);
}

static void messages(void) {
    char *said;
    sandmill_resource broker;
    sandmill_header headers[] = {{"x-shop", "eu"}, {"x-shop", "e\xffu"}};
    sandmill_message message = {.to = "orders.new", .payload = "{}", .length = 2, .headers = headers, .headers_count = 2, .id = "7", .kept = true};
    sandmill_fake_resource("f/demo/broker", "nats", "{}", NULL);
    CHECK(sandmill_resource_open("f/demo/broker", &broker));
    CHECK(!sandmill_publish(broker, &message, &said) && strcmp(sandmill_last_fault().name, "PublishError") == 0);
    CHECK(strcmp(sandmill_last_fault().code, "denied") == 0 && !said && strcmp(sandmill_fake_messages(), "") == 0);
    sandmill_fake_broker("f/demo/broker", "{\"sequence\":1}");
    CHECK(sandmill_publish(broker, &message, &said) && strcmp(said, "{\"sequence\":1}") == 0);
    CHECK(sandmill_publish(broker, &(sandmill_message){.to = "a"}, &said));
    CHECK(strcmp(sandmill_fake_messages(), "f/demo/broker orders.new {}\nf/demo/broker a \n") == 0);
}

static void runs_and_objects(void) {
    char *run, *text;
    bool asked;
    sandmill_ending ending;
    sandmill_fake_script("f/demo/child", "[7]");
    CHECK(!sandmill_run_start("f/demo/none", "{}", NULL, &run) && strcmp(sandmill_last_fault().name, "RunsError") == 0);
    CHECK(sandmill_run_start("f/demo/child", "{}", &(sandmill_run_options){.key = "k"}, &run));
    CHECK(sandmill_run_wait(run, SANDMILL_FOREVER, &ending) && ending.kind == SANDMILL_JSON_RESULT && strcmp(ending.text, "[7]") == 0);
    CHECK(sandmill_run_result(run, &ending) == SANDMILL_OK && sandmill_run_cancel(run, &asked) && !asked);
    CHECK(sandmill_run_wait_many((const char *const[]){run}, 1, SANDMILL_ANY, 1000, &text) && strcmp(text, "[\"1\"]") == 0);
    uint8_t *data;
    size_t length;
    CHECK(sandmill_blob_get("a/b", &data, &length) == SANDMILL_NONE);
    CHECK(sandmill_blob_put("a/b", "text/plain", "data", 4));
    CHECK(sandmill_blob_get("a/b", &data, &length) == SANDMILL_OK && length == 4 && memcmp(data, "data", 4) == 0);
    CHECK(sandmill_blob_stat("a/b", &text) == SANDMILL_OK && strcmp(text, "{\"key\":\"a/b\",\"size\":4,\"modified_ms\":0}") == 0);
    CHECK(sandmill_blob_list("a/", NULL, 10, &text) && text[0] == '[' && text[1] == '{');
    CHECK(sandmill_blob_delete("a/b") && sandmill_blob_stat("a/b", &text) == SANDMILL_NONE);
}

SANDMILL_MAIN(args) {
    (void)args;
    state();
    others();
    databases();
    messages();
    runs_and_objects();
    CHECK(!sandmill_state_delete(""));
    return sandmill_failed();
}

int main(void) {
    sandmill_fake_reset();
    sandmill_result result = sandmill_fake_run("{}");
    CHECK(result.kind == SANDMILL_FAILURE && strcmp(result.name, "StateError") == 0 && strcmp(result.details, "{\"code\":\"invalid-key\"}") == 0);
    CHECK(sandmill_fake_preprocess("{}").kind == SANDMILL_SKIPPED);
    CHECK(strcmp(sandmill_fake_preprocess("{\"body\":{\"a\":1}}").text, "{\"a\":1}") == 0);
    CHECK(strcmp(sandmill_fake_schema(), "{\"type\":\"object\"}") == 0);
    CHECK(sandmill_fake_run("{").kind == SANDMILL_FAILURE);
    return faults != 0;
}

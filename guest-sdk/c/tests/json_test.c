/* The reader and the writer of JSON. */
#include "sandmill_json.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Read from memory of exactly that size, so that a sanitizer sees what reads beyond it. */
static bool reads(const char *text) {
    size_t length = strlen(text);
    char *exact = malloc(length ? length : 1);
    memcpy(exact, text, length);
    sandmill_json value;
    bool valid = sandmill_json_read(exact, length, &value, NULL);
    free(exact);
    return valid;
}

static void valid_and_not(void) {
    const char *valid[] = {"0", "-0", "1.5e-7", "1E+2", "\"\"", "\"\\u00e4\\n\"", "[]", "{}", " [ 1 , 2 ] ", "{\"a\":{\"b\":[null,true,false]}}", "\"\x7f\""};
    const char *invalid[] = {"", " ", "01", "1.", ".5", "-", "1e", "+1", "nul", "nulls", "tru", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}",
                             "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "[", "[1", "{", "{\"a\":1", "1 2", "]", "[}", "NaN", "'a'"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        if (!reads(valid[i])) fprintf(stderr, "not read: %s\n", valid[i]), faults++;
    }
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        if (reads(invalid[i])) fprintf(stderr, "read: %s\n", invalid[i]), faults++;
    }
}

static void depth(void) {
    char text[2 * SANDMILL_JSON_DEPTH_MAX + 3];
    for (int extra = 0; extra < 2; extra++) {
        int levels = SANDMILL_JSON_DEPTH_MAX + extra;
        memset(text, '[', (size_t)levels);
        memset(text + levels, ']', (size_t)levels);
        text[2 * levels] = '\0';
        CHECK(reads(text) == (extra == 0));
    }
    sandmill_writer out = {0};
    for (int i = 0; i <= SANDMILL_JSON_DEPTH_MAX; i++) {
        sandmill_write_array(&out);
    }
    CHECK(out.fault && !sandmill_writer_done(&out));
    sandmill_writer_free(&out);
}

static sandmill_json read_one(const char *text) {
    sandmill_json value;
    CHECK(sandmill_json_read(text, strlen(text), &value, NULL));
    return value;
}

static void looking(void) {
    sandmill_json value = read_one(" {\"a\": [1, \"x,]}\", {\"n\": null}], \"\\u0062\": true, \"a b\" : -7, \"a\": [ ] , \"e\":{}} ");
    CHECK(sandmill_json_count(value) == 5);
    CHECK(sandmill_json_boolean(sandmill_json_get(value, "b"), false));
    CHECK(sandmill_json_number(sandmill_json_get(value, "a b"), 0) == -7);
    CHECK(sandmill_json_get(value, "a").kind == SANDMILL_JSON_ARRAY && sandmill_json_count(sandmill_json_get(value, "a")) == 0);
    CHECK(sandmill_json_count(sandmill_json_get(value, "e")) == 0);
    CHECK(sandmill_json_get(value, "none").kind == SANDMILL_JSON_MISSING);
    CHECK(sandmill_json_get(sandmill_json_get(value, "none"), "deeper").kind == SANDMILL_JSON_MISSING);
    sandmill_json_each each = sandmill_json_begin(value);
    CHECK(sandmill_json_next(&each) && sandmill_json_equals(each.name, "a"));
    CHECK(sandmill_json_equals(sandmill_json_at(each.value, 1), "x,]}"));
    CHECK(sandmill_json_get(sandmill_json_at(each.value, 2), "n").kind == SANDMILL_JSON_NULL);
    CHECK(sandmill_json_at(each.value, 3).kind == SANDMILL_JSON_MISSING);
}

static void numbers(void) {
    int64_t integer = 0;
    CHECK(sandmill_json_integer(read_one("9223372036854775807"), &integer) && integer == INT64_MAX);
    CHECK(sandmill_json_integer(read_one("-9223372036854775808"), &integer) && integer == INT64_MIN);
    CHECK(!sandmill_json_integer(read_one("9223372036854775808"), &integer));
    CHECK(!sandmill_json_integer(read_one("1.5"), &integer) && !sandmill_json_integer(read_one("1e300"), &integer));
    CHECK(sandmill_json_integer(read_one("1e2"), &integer) && integer == 100);
    CHECK(!sandmill_json_integer(read_one("\"1\""), &integer));
    CHECK(sandmill_json_number(read_one("0.1"), 0) == 0.1);
    CHECK(sandmill_json_number(read_one("null"), 7) == 7);
    char digits[1001];
    memset(digits, '9', 1000);
    digits[1000] = '\0';
    CHECK(isinf(sandmill_json_number(read_one(digits), 0)));
}

static void strings(void) {
    size_t length;
    char *text = sandmill_json_string(read_one("\"\\u00e4\\ud83d\\ude00\\ud83d!\\udc00\\u0000\\/\\\"\\\\\\t\""), &length);
    CHECK(length == 2 + 4 + 3 + 1 + 3 + 1 + 1 + 1 + 1 + 1);
    CHECK(memcmp(text, "\xc3\xa4\xf0\x9f\x98\x80\xef\xbf\xbd!\xef\xbf\xbd\0/\"\\\t", length) == 0 && text[length] == '\0');
    free(text);
    CHECK(sandmill_json_string(read_one("1"), NULL) == NULL);
    CHECK(sandmill_json_equals(read_one("\"\\u00e4\""), "ä") && !sandmill_json_equals(read_one("\"ab\""), "a") && !sandmill_json_equals(read_one("\"a\""), "ab"));
}

static void writing(void) {
    sandmill_writer out = {0};
    sandmill_write_object(&out);
    sandmill_write_name(&out, "a\"\n\x01");
    sandmill_write_array(&out);
    sandmill_write_integer(&out, INT64_MIN);
    sandmill_write_number(&out, 0.1);
    sandmill_write_number(&out, 1e300);
    sandmill_write_number(&out, NAN);
    sandmill_write_boolean(&out, true);
    sandmill_write_null(&out);
    sandmill_write_object(&out);
    sandmill_write_end(&out);
    sandmill_write_end(&out);
    sandmill_write_name(&out, "b");
    sandmill_write_json(&out, read_one("[1, 2]"));
    sandmill_write_name(&out, "c");
    sandmill_write_json(&out, (sandmill_json){0});
    sandmill_write_end(&out);
    CHECK(sandmill_writer_done(&out));
    CHECK(strcmp(out.text, "{\"a\\\"\\n\\u0001\":[-9223372036854775808,0.1,1e+300,null,true,null,{}],\"b\":[1, 2],\"c\":null}") == 0);
    CHECK(reads(out.text));
    sandmill_writer_free(&out);
}

static void out_of_place(void) {
    sandmill_writer second = {0}, unnamed = {0}, stray = {0}, early = {0}, open = {0};
    sandmill_write_null(&second);
    sandmill_write_null(&second);
    sandmill_write_object(&unnamed);
    sandmill_write_null(&unnamed);
    sandmill_write_end(&stray);
    sandmill_write_object(&early);
    sandmill_write_name(&early, "a");
    sandmill_write_end(&early);
    sandmill_write_array(&open);
    CHECK(second.fault && unnamed.fault && stray.fault && early.fault && !open.fault);
    CHECK(!sandmill_writer_done(&open));
    sandmill_writer *all[] = {&second, &unnamed, &stray, &early, &open};
    for (size_t i = 0; i < 5; i++) sandmill_writer_free(all[i]);
}

int main(void) {
    valid_and_not();
    depth();
    looking();
    numbers();
    strings();
    writing();
    out_of_place();
    return faults != 0;
}

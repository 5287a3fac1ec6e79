/* Writing: a buffer that grows, and a bit for each level that says whether a comma is due. */
#include "sandmill_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(sandmill_writer *out, const char *bytes, size_t length) {
    if (out->length + length + 1 > out->capacity) {
        size_t capacity = out->capacity ? out->capacity : 256;
        while (capacity < out->length + length + 1) {
            capacity *= 2;
        }
        char *text = realloc(out->text, capacity);
        if (!text) abort();
        out->text = text;
        out->capacity = capacity;
    }
    memcpy(out->text + out->length, bytes, length);
    out->length += length;
    out->text[out->length] = '\0';
}

static void fail(sandmill_writer *out, const char *fault) {
    if (!out->fault) {
        out->fault = fault;
    }
}

static bool in_object(const sandmill_writer *out) {
    return out->depth > 0 && (out->objects >> (out->depth - 1) & 1);
}

/* What comes before a value, or before a name: a comma, if it is not the first. */
static bool begin(sandmill_writer *out, bool name) {
    if (out->fault) {
        return false;
    }
    if (name != (in_object(out) && !out->named)) {
        fail(out, name ? "a name outside of an object" : "a member without a name");
        return false;
    }
    if (out->depth == 0) {
        if (out->length > 0) {
            fail(out, "a second value");
            return false;
        }
        return true;
    }
    if (out->named) {
        out->named = false;
        return true;
    }
    uint64_t level = (uint64_t)1 << (out->depth - 1);
    if (out->filled & level) {
        put(out, ",", 1);
    }
    out->filled |= level;
    return true;
}

static void open_level(sandmill_writer *out, bool object) {
    if (!begin(out, false)) {
        return;
    }
    if (out->depth == SANDMILL_JSON_DEPTH_MAX) {
        fail(out, "too deep");
        return;
    }
    uint64_t level = (uint64_t)1 << out->depth++;
    out->objects = object ? out->objects | level : out->objects & ~level;
    out->filled &= ~level;
    put(out, object ? "{" : "[", 1);
}

void sandmill_write_object(sandmill_writer *out) {
    open_level(out, true);
}

void sandmill_write_array(sandmill_writer *out) {
    open_level(out, false);
}

void sandmill_write_end(sandmill_writer *out) {
    if (out->fault) {
        return;
    }
    if (out->depth == 0 || out->named) {
        fail(out, out->named ? "a name without a value" : "an end too many");
        return;
    }
    put(out, in_object(out) ? "}" : "]", 1);
    out->depth--;
}

static void put_string(sandmill_writer *out, const char *text, size_t length) {
    put(out, "\"", 1);
    size_t plain = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        char escape[8];
        int bytes;
        if (c == '"' || c == '\\') {
            bytes = snprintf(escape, sizeof escape, "\\%c", c);
        } else if (c == '\n') {
            bytes = snprintf(escape, sizeof escape, "\\n");
        } else {
            bytes = snprintf(escape, sizeof escape, "\\u%04x", c);
        }
        put(out, text + plain, i - plain);
        put(out, escape, (size_t)bytes);
        plain = i + 1;
    }
    put(out, text + plain, length - plain);
    put(out, "\"", 1);
}

void sandmill_write_name(sandmill_writer *out, const char *name) {
    if (begin(out, true)) {
        put_string(out, name, strlen(name));
        put(out, ":", 1);
        out->named = true;
    }
}

void sandmill_write_string_n(sandmill_writer *out, const char *text, size_t length) {
    if (begin(out, false)) {
        put_string(out, text, length);
    }
}

void sandmill_write_string(sandmill_writer *out, const char *text) {
    sandmill_write_string_n(out, text, strlen(text));
}

static void put_word(sandmill_writer *out, const char *word) {
    if (begin(out, false)) {
        put(out, word, strlen(word));
    }
}

void sandmill_write_null(sandmill_writer *out) {
    put_word(out, "null");
}

void sandmill_write_boolean(sandmill_writer *out, bool value) {
    put_word(out, value ? "true" : "false");
}

void sandmill_write_integer(sandmill_writer *out, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_word(out, digits);
}

void sandmill_write_number(sandmill_writer *out, double value) {
    char digits[32];
    if (!isfinite(value)) {
        put_word(out, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) {
            break;
        }
    }
    put_word(out, digits);
}

void sandmill_write_json(sandmill_writer *out, sandmill_json value) {
    if (value.kind == SANDMILL_JSON_MISSING) {
        sandmill_write_null(out);
    } else if (begin(out, false)) {
        put(out, value.at, value.length);
    }
}

bool sandmill_writer_done(const sandmill_writer *out) {
    return !out->fault && out->depth == 0 && out->length > 0;
}

void sandmill_writer_free(sandmill_writer *out) {
    free(out->text);
    *out = (sandmill_writer){0};
}

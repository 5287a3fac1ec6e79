/* Reading: a text is checked once, in whole; everything after that walks text that is known to be valid. */
#include "sandmill_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *at;
    const char *end;
    const char *fault;
} cursor;

static bool fail(cursor *c, const char *fault) {
    c->fault = fault;
    return false;
}

static void skip_space(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r')) {
        c->at++;
    }
}

static bool is_digit(const cursor *c) {
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static bool check_word(cursor *c, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) {
        return fail(c, "not a value");
    }
    c->at += length;
    return true;
}

static bool check_number(cursor *c) {
    if (*c->at == '-') {
        c->at++;
    }
    if (!is_digit(c)) {
        return fail(c, "a number without digits");
    }
    if (*c->at == '0') {
        c->at++;
    } else {
        while (is_digit(c)) c->at++;
    }
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!is_digit(c)) {
            return fail(c, "a fraction without digits");
        }
        while (is_digit(c)) c->at++;
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-')) {
            c->at++;
        }
        if (!is_digit(c)) {
            return fail(c, "an exponent without digits");
        }
        while (is_digit(c)) c->at++;
    }
    return true;
}

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

static bool check_string(cursor *c) {
    for (c->at++; c->at < c->end; c->at++) {
        if (*c->at == '"') {
            c->at++;
            return true;
        }
        if ((unsigned char)*c->at < 0x20) {
            return fail(c, "a control character in a string");
        }
        if (*c->at != '\\') {
            continue;
        }
        c->at++;
        if (c->at == c->end || !strchr("\"\\/bfnrtu", *c->at) || *c->at == '\0') {
            return fail(c, "an unknown escape");
        }
        if (*c->at == 'u') {
            for (int i = 0; i < 4; i++) {
                c->at++;
                if (c->at == c->end || hex(*c->at) < 0) {
                    return fail(c, "an escape without four digits");
                }
            }
        }
    }
    return fail(c, "a string without an end");
}

static bool check_value(cursor *c, unsigned depth);

/* After the bracket: elements, or members, up to the bracket that closes. */
static bool check_inside(cursor *c, char closing, unsigned depth) {
    c->at++;
    skip_space(c);
    if (c->at < c->end && *c->at == closing) {
        c->at++;
        return true;
    }
    for (;;) {
        if (closing == '}') {
            skip_space(c);
            if (c->at == c->end || *c->at != '"') {
                return fail(c, "a member without a name");
            }
            if (!check_string(c)) {
                return false;
            }
            skip_space(c);
            if (c->at == c->end || *c->at != ':') {
                return fail(c, "a name without a colon");
            }
            c->at++;
        }
        if (!check_value(c, depth + 1)) {
            return false;
        }
        skip_space(c);
        if (c->at == c->end || (*c->at != ',' && *c->at != closing)) {
            return fail(c, "neither a comma nor an end after a value");
        }
        if (*c->at++ == closing) {
            return true;
        }
    }
}

static bool check_value(cursor *c, unsigned depth) {
    skip_space(c);
    if (c->at == c->end) {
        return fail(c, "a value is missing");
    }
    switch (*c->at) {
    case '{':
    case '[':
        if (depth >= SANDMILL_JSON_DEPTH_MAX) {
            return fail(c, "too deep");
        }
        return check_inside(c, *c->at == '{' ? '}' : ']', depth);
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        return check_number(c);
    }
}

static sandmill_json_kind kind_of(char first) {
    switch (first) {
    case '{':
        return SANDMILL_JSON_OBJECT;
    case '[':
        return SANDMILL_JSON_ARRAY;
    case '"':
        return SANDMILL_JSON_STRING;
    case 't':
    case 'f':
        return SANDMILL_JSON_BOOLEAN;
    case 'n':
        return SANDMILL_JSON_NULL;
    default:
        return SANDMILL_JSON_NUMBER;
    }
}

bool sandmill_json_read(const char *text, size_t length, sandmill_json *value, const char **fault) {
    cursor c = {text, text + length, NULL};
    skip_space(&c);
    const char *begin = c.at;
    bool valid = check_value(&c, 0);
    const char *end = c.at;
    skip_space(&c);
    if (valid && c.at != c.end) {
        valid = fail(&c, "something behind the value");
    }
    if (fault) {
        *fault = c.fault;
    }
    *value = (sandmill_json){0};
    if (valid) {
        *value = (sandmill_json){begin, (size_t)(end - begin), kind_of(*begin)};
    }
    return valid;
}

/* The end of a valid value, without going into it more than counting brackets. */
static const char *end_of(const char *at, const char *end) {
    unsigned open = 0;
    for (; at < end; at++) {
        switch (*at) {
        case '"':
            for (at++; *at != '"'; at++) {
                if (*at == '\\') at++;
            }
            break;
        case '{':
        case '[':
            open++;
            continue;
        case '}':
        case ']':
            if (open == 0) return at;
            open--;
            break;
        case ',':
        case ' ':
        case '\n':
        case '\t':
        case '\r':
            if (open == 0) return at;
            continue;
        default:
            continue;
        }
        if (open == 0) {
            return at + 1;
        }
    }
    return end;
}

sandmill_json_each sandmill_json_begin(sandmill_json value) {
    sandmill_json_each each = {0};
    if (value.kind == SANDMILL_JSON_OBJECT || value.kind == SANDMILL_JSON_ARRAY) {
        each.rest = value.at;
        each.end = value.at + value.length - 1;
    }
    return each;
}

static sandmill_json take(sandmill_json_each *each) {
    cursor c = {each->rest, each->end, NULL};
    skip_space(&c);
    const char *end = end_of(c.at, each->end);
    each->rest = end;
    return (sandmill_json){c.at, (size_t)(end - c.at), kind_of(*c.at)};
}

bool sandmill_json_next(sandmill_json_each *each) {
    if (!each->rest) {
        return false;
    }
    cursor c = {each->rest, each->end, NULL};
    skip_space(&c);
    if (c.at >= each->end) {
        return false;
    }
    /* A bracket before the first, a comma before the others. */
    char before = *c.at++;
    skip_space(&c);
    if (c.at >= each->end) {
        return false;
    }
    bool member = before == '{' || (before == ',' && each->name.kind == SANDMILL_JSON_STRING);
    each->rest = c.at;
    if (member) {
        each->name = take(each);
        cursor colon = {each->rest, each->end, NULL};
        skip_space(&colon);
        each->rest = colon.at + 1;
    }
    each->value = take(each);
    return true;
}

sandmill_json sandmill_json_get(sandmill_json object, const char *name) {
    sandmill_json found = {0};
    if (object.kind != SANDMILL_JSON_OBJECT) {
        return found;
    }
    sandmill_json_each each = sandmill_json_begin(object);
    while (sandmill_json_next(&each)) {
        if (sandmill_json_equals(each.name, name)) {
            found = each.value;
        }
    }
    return found;
}

sandmill_json sandmill_json_at(sandmill_json array, size_t index) {
    if (array.kind == SANDMILL_JSON_ARRAY) {
        sandmill_json_each each = sandmill_json_begin(array);
        while (sandmill_json_next(&each)) {
            if (index-- == 0) {
                return each.value;
            }
        }
    }
    return (sandmill_json){0};
}

size_t sandmill_json_count(sandmill_json value) {
    size_t count = 0;
    sandmill_json_each each = sandmill_json_begin(value);
    while (sandmill_json_next(&each)) {
        count++;
    }
    return count;
}

/* Numbers are read from a copy: the text goes on behind them. What is longer than this has digits that no double keeps. */
#define NUMBER_BYTES_MAX 400

double sandmill_json_number(sandmill_json value, double otherwise) {
    char digits[NUMBER_BYTES_MAX + 1];
    if (value.kind != SANDMILL_JSON_NUMBER) {
        return otherwise;
    }
    if (value.length <= NUMBER_BYTES_MAX) {
        memcpy(digits, value.at, value.length);
        digits[value.length] = '\0';
        return strtod(digits, NULL);
    }
    char *all = malloc(value.length + 1);
    if (!all) abort();
    memcpy(all, value.at, value.length);
    all[value.length] = '\0';
    double number = strtod(all, NULL);
    free(all);
    return number;
}

bool sandmill_json_integer(sandmill_json value, int64_t *integer) {
    if (value.kind != SANDMILL_JSON_NUMBER) {
        return false;
    }
    if (memchr(value.at, '.', value.length) || memchr(value.at, 'e', value.length) || memchr(value.at, 'E', value.length)) {
        /* Exact as far as doubles are. */
        double number = sandmill_json_number(value, 0);
        if (!(number >= -9007199254740992.0 && number <= 9007199254740992.0) || number != (double)(int64_t)number) {
            return false;
        }
        *integer = (int64_t)number;
        return true;
    }
    char digits[24];
    if (value.length >= sizeof digits) {
        return false;
    }
    memcpy(digits, value.at, value.length);
    digits[value.length] = '\0';
    errno = 0;
    long long number = strtoll(digits, NULL, 10);
    if (errno == ERANGE) {
        return false;
    }
    *integer = number;
    return true;
}

bool sandmill_json_boolean(sandmill_json value, bool otherwise) {
    return value.kind == SANDMILL_JSON_BOOLEAN ? *value.at == 't' : otherwise;
}

static uint32_t four_digits(const char *at) {
    return (uint32_t)(hex(at[0]) << 12 | hex(at[1]) << 8 | hex(at[2]) << 4 | hex(at[3]));
}

static size_t put_utf8(char *out, uint32_t point) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* One character, or a run of bytes that are none of an escape: 1 to 4 bytes into `out`. */
static size_t next_character(const char **at, char *out) {
    const char *c = *at;
    if (*c != '\\') {
        *at = c + 1;
        out[0] = *c;
        return 1;
    }
    static const char escapes[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    if (c[1] != 'u') {
        const char *known = strchr(escapes, c[1]);
        *at = c + 2;
        out[0] = known ? meanings[known - escapes] : c[1];
        return 1;
    }
    uint32_t point = four_digits(c + 2);
    *at = c + 6;
    if (point >= 0xd800 && point < 0xdc00 && c[6] == '\\' && c[7] == 'u') {
        uint32_t low = four_digits(c + 8);
        if (low >= 0xdc00 && low < 0xe000) {
            *at = c + 12;
            return put_utf8(out, 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    return put_utf8(out, point >= 0xd800 && point < 0xe000 ? 0xfffd : point);
}

char *sandmill_json_string(sandmill_json value, size_t *length) {
    if (value.kind != SANDMILL_JSON_STRING) {
        return NULL;
    }
    /* Nothing grows when its escapes are resolved. */
    char *text = malloc(value.length);
    if (!text) abort();
    size_t written = 0;
    for (const char *at = value.at + 1, *end = value.at + value.length - 1; at < end;) {
        written += next_character(&at, text + written);
    }
    text[written] = '\0';
    if (length) {
        *length = written;
    }
    return text;
}

bool sandmill_json_equals(sandmill_json value, const char *text) {
    if (value.kind != SANDMILL_JSON_STRING) {
        return false;
    }
    for (const char *at = value.at + 1, *end = value.at + value.length - 1; at < end;) {
        char character[4];
        size_t bytes = next_character(&at, character);
        for (size_t i = 0; i < bytes; i++, text++) {
            if (*text == '\0' || *text != character[i]) {
                return false;
            }
        }
    }
    return *text == '\0';
}

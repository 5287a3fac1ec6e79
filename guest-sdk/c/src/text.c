#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of the character that begins at `at`; 0 if it is none in UTF-8. */
static size_t character_bytes(const uint8_t *at, const uint8_t *end) {
    size_t bytes = *at < 0x80 ? 1 : *at >= 0xc2 && *at < 0xe0 ? 2 : (*at & 0xf0) == 0xe0 ? 3 : *at >= 0xf0 && *at < 0xf5 ? 4 : 0;
    if (bytes == 0 || (size_t)(end - at) < bytes) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    /* Longer than need be, halves of surrogate pairs, beyond Unicode. */
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] >= 0xa0) || (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] >= 0x90)) {
        return 0;
    }
    return bytes;
}

static bool is_utf8(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        size_t bytes = character_bytes(at, end);
        if (bytes == 0) return false;
        at += bytes;
    }
    return true;
}

imports_string_t sandmill_in_n(const char *text, size_t length) {
    const uint8_t *at = (const uint8_t *)text, *end = at + length;
    if (is_utf8(at, end)) {
        return (imports_string_t){(uint8_t *)text, length};
    }
    /* Nothing grows more than threefold. */
    uint8_t *clean = malloc(3 * length);
    if (!clean) abort();
    size_t written = 0;
    while (at < end) {
        size_t bytes = character_bytes(at, end);
        memcpy(clean + written, bytes ? (const char *)at : "\xef\xbf\xbd", bytes ? bytes : 3);
        written += bytes ? bytes : 3;
        at += bytes ? bytes : 1;
    }
    return (imports_string_t){clean, written};
}

imports_string_t sandmill_in(const char *text) {
    return sandmill_in_n(text, strlen(text));
}

char *sandmill_out(imports_string_t text) {
    /* An empty text is an address that nobody allocated. */
    char *ended = text.len ? realloc(text.ptr, text.len + 1) : malloc(1);
    if (!ended) abort();
    ended[text.len] = '\0';
    return ended;
}

static sandmill_fault last = {"Error", "none", "no call failed", NULL};

bool sandmill_fail_details(const char *name, const char *code, char *message, char *details) {
    last = (sandmill_fault){name, code, message, details};
    return false;
}

bool sandmill_fail(const char *name, const char *code, imports_string_t text) {
    return sandmill_fail_details(name, code, sandmill_out(text), NULL);
}

sandmill_fault sandmill_last_fault(void) {
    return last;
}

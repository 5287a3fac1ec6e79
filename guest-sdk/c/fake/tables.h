/* Tables of texts under keys, and texts as the bindings have them. */
#ifndef SANDMILL_FAKE_TABLES_H
#define SANDMILL_FAKE_TABLES_H

#include "../bindings/imports.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 4096

typedef struct {
    char *key;
    char *value;
    size_t length;
} entry;

typedef struct {
    entry entries[ENTRIES_MAX];
    size_t count;
} table;

static inline void *grown(void *before, size_t bytes) {
    void *memory = realloc(before, bytes);
    if (!memory) abort();
    return memory;
}

static inline char *copy(const void *bytes, size_t length) {
    char *text = grown(NULL, length + 1);
    memcpy(text, bytes, length);
    text[length] = '\0';
    return text;
}

static inline char *text_of(const imports_string_t *text) {
    return copy(text->ptr, text->len);
}

static inline imports_string_t given(const char *text) {
    size_t length = strlen(text);
    return (imports_string_t){(uint8_t *)copy(text, length), length};
}

static inline entry *find(table *in, const char *key) {
    for (size_t i = 0; i < in->count; i++) {
        if (strcmp(in->entries[i].key, key) == 0) return &in->entries[i];
    }
    return NULL;
}

static inline void put(table *in, const char *key, const void *value, size_t length) {
    entry *at = find(in, key);
    if (!at) {
        if (in->count == ENTRIES_MAX) abort();
        at = &in->entries[in->count++];
        at->key = copy(key, strlen(key));
    }
    at->value = copy(value, length);
    at->length = length;
}

static inline void take_away(table *in, const char *key) {
    entry *at = find(in, key);
    if (at) {
        *at = in->entries[--in->count];
    }
}

static inline int by_key(const void *one, const void *other) {
    return strcmp(((const entry *)one)->key, ((const entry *)other)->key);
}

/* Forgets what the other file of the fake keeps. */
void sandmill_fake_reset_services(void);

#endif

/* Objects, read and written by the megabyte. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES_MAX (1u << 20)

static bool blob_failed(sandmill_blob_blob_error_t *error) {
    static const char *const codes[] = {"denied", "invalid", "too-large", "unavailable"};
    return sandmill_fail("BlobError", codes[error->tag], error->val.denied);
}

/* All that is left in a reader. */
static bool read_all(sandmill_blob_blob_borrow_reader_t reader, uint8_t **data, size_t *length) {
    for (;;) {
        imports_option_list_u8_t chunk;
        sandmill_blob_blob_error_t error;
        if (!sandmill_blob_blob_method_reader_read(reader, CHUNK_BYTES_MAX, &chunk, &error)) {
            free(*data);
            *data = NULL;
            return blob_failed(&error);
        }
        if (!chunk.is_some) {
            return true;
        }
        uint8_t *grown = realloc(*data, *length + chunk.val.len + 1);
        if (!grown) abort();
        memcpy(grown + *length, chunk.val.ptr, chunk.val.len);
        *data = grown;
        *length += chunk.val.len;
        imports_list_u8_free(&chunk.val);
    }
}

sandmill_status sandmill_blob_get(const char *key, uint8_t **data, size_t *length) {
    imports_string_t in = sandmill_in(key);
    sandmill_blob_blob_option_own_reader_t reader;
    sandmill_blob_blob_error_t error;
    *data = NULL;
    *length = 0;
    if (!sandmill_blob_blob_get(&in, &reader, &error)) {
        blob_failed(&error);
        return SANDMILL_FAILED;
    }
    if (!reader.is_some) {
        return SANDMILL_NONE;
    }
    bool read = read_all(sandmill_blob_blob_borrow_reader(reader.val), data, length);
    sandmill_blob_blob_reader_drop_own(reader.val);
    return read ? SANDMILL_OK : SANDMILL_FAILED;
}

static bool write_all(sandmill_blob_blob_borrow_writer_t writer, const uint8_t *data, size_t length) {
    sandmill_blob_blob_error_t error;
    for (size_t written = 0; written < length;) {
        size_t rest = length - written;
        imports_list_u8_t chunk = {(uint8_t *)data + written, rest < CHUNK_BYTES_MAX ? rest : CHUNK_BYTES_MAX};
        if (!sandmill_blob_blob_method_writer_write(writer, &chunk, &error)) {
            return blob_failed(&error);
        }
        written += chunk.len;
    }
    sandmill_blob_blob_object_t object;
    if (!sandmill_blob_blob_method_writer_finish(writer, &object, &error)) {
        return blob_failed(&error);
    }
    sandmill_blob_blob_object_free(&object);
    return true;
}

bool sandmill_blob_put(const char *key, const char *content_type, const void *data, size_t length) {
    imports_string_t in = sandmill_in(key), type = sandmill_in(content_type ? content_type : "");
    sandmill_blob_blob_own_writer_t writer;
    sandmill_blob_blob_error_t error;
    if (!sandmill_blob_blob_put(&in, content_type ? &type : NULL, &writer, &error)) {
        return blob_failed(&error);
    }
    bool written = write_all(sandmill_blob_blob_borrow_writer(writer), data, length);
    sandmill_blob_blob_writer_drop_own(writer);
    return written;
}

bool sandmill_blob_delete(const char *key) {
    imports_string_t in = sandmill_in(key);
    sandmill_blob_blob_error_t error;
    return sandmill_blob_blob_delete(&in, &error) || blob_failed(&error);
}

static void write_object(sandmill_writer *out, sandmill_blob_blob_object_t *object) {
    sandmill_write_object(out);
    sandmill_write_name(out, "key");
    sandmill_write_string_n(out, (const char *)object->key.ptr, object->key.len);
    sandmill_write_name(out, "size");
    sandmill_write_integer(out, (int64_t)object->size);
    sandmill_write_name(out, "modified_ms");
    sandmill_write_integer(out, (int64_t)object->modified_ms);
    if (object->content_type.is_some) {
        sandmill_write_name(out, "content_type");
        sandmill_write_string_n(out, (const char *)object->content_type.val.ptr, object->content_type.val.len);
    }
    sandmill_write_end(out);
}

sandmill_status sandmill_blob_stat(const char *key, char **info) {
    imports_string_t in = sandmill_in(key);
    sandmill_blob_blob_option_object_t object;
    sandmill_blob_blob_error_t error;
    *info = NULL;
    if (!sandmill_blob_blob_stat(&in, &object, &error)) {
        blob_failed(&error);
        return SANDMILL_FAILED;
    }
    if (!object.is_some) {
        return SANDMILL_NONE;
    }
    sandmill_writer out = {0};
    write_object(&out, &object.val);
    sandmill_blob_blob_object_free(&object.val);
    *info = out.text;
    return SANDMILL_OK;
}

bool sandmill_blob_list(const char *prefix, const char *after, uint32_t limit, char **infos) {
    imports_string_t in = sandmill_in(prefix), begin = sandmill_in(after ? after : "");
    sandmill_blob_blob_list_object_t list;
    sandmill_blob_blob_error_t error;
    *infos = NULL;
    if (!sandmill_blob_blob_list(&in, after ? &begin : NULL, limit, &list, &error)) {
        return blob_failed(&error);
    }
    sandmill_writer out = {0};
    sandmill_write_array(&out);
    for (size_t i = 0; i < list.len; i++) {
        write_object(&out, &list.ptr[i]);
    }
    sandmill_write_end(&out);
    sandmill_blob_blob_list_object_free(&list);
    *infos = out.text;
    return true;
}

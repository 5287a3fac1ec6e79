/* Messages to brokers. */
#include "internal.h"

#include <stdlib.h>

static bool publish_failed(sandmill_publish_publish_error_t *error) {
    static const char *const codes[] = {"denied", "invalid", "too-large", "unavailable"};
    return sandmill_fail("PublishError", codes[error->tag], error->val.denied);
}

static imports_list_tuple2_string_string_t headers_of(const sandmill_message *message) {
    imports_list_tuple2_string_string_t list = {NULL, message->headers_count};
    if (list.len > 0) {
        list.ptr = calloc(list.len, sizeof *list.ptr);
        if (!list.ptr) abort();
    }
    for (size_t i = 0; i < list.len; i++) {
        list.ptr[i].f0 = sandmill_in(message->headers[i].name);
        list.ptr[i].f1 = sandmill_in(message->headers[i].value);
    }
    return list;
}

bool sandmill_publish(sandmill_resource via, const sandmill_message *message, char **said) {
    sandmill_publish_publish_message_t in = {
        .to = sandmill_in(message->to),
        .payload = {(uint8_t *)message->payload, message->length},
        .headers = headers_of(message),
        .id = {.is_some = message->id != NULL},
        .kept = message->kept,
    };
    if (message->id) {
        in.id.val = sandmill_in(message->id);
    }
    imports_string_t out;
    sandmill_publish_publish_error_t error;
    *said = NULL;
    bool sent = sandmill_publish_publish_publish((sandmill_publish_publish_borrow_handle_t){via.handle}, &in, &out, &error);
    free(in.headers.ptr);
    if (!sent) {
        return publish_failed(&error);
    }
    *said = sandmill_out(out);
    return true;
}

/* Tells a broker of an order, which keeps it: the example of the read-me, which the tests of this SDK also run on a server. */
#include "sandmill.h"

#include <string.h>

SANDMILL_MAIN(order) {
    char *id = sandmill_json_string(sandmill_json_get(order, "id"), NULL), *said;
    sandmill_writer payload = {0};
    sandmill_write_json(&payload, order);
    sandmill_header headers[] = {{"x-shop", "eu"}};
    sandmill_message message = {
        .to = "orders.new", .payload = payload.text, .length = payload.length, .headers = headers, .headers_count = 1, .id = id, .kept = true};
    sandmill_resource broker;
    if (!sandmill_resource_open("f/demo/broker", &broker) || !sandmill_publish(broker, &message, &said)) {
        return sandmill_failed();
    }
    sandmill_json parsed;
    sandmill_json_read(said, strlen(said), &parsed, NULL);
    sandmill_writer out = {0};
    sandmill_write_json(&out, sandmill_json_get(parsed, "sequence"));
    return sandmill_result_json(&out);
}

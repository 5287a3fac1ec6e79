/* Greets, and counts in twos. */
#include "sandmill.h"

SANDMILL_SCHEMA("{"
                "  \"type\": \"object\","
                "  \"properties\": {"
                "    \"name\": {\"type\": \"string\", \"description\": \"Whom to greet\"},"
                "    \"count\": {\"type\": \"integer\", \"minimum\": 0, \"default\": 3, \"description\": \"How many numbers\"}"
                "  },"
                "  \"required\": [\"name\"]"
                "}")

SANDMILL_MAIN(args) {
    int64_t count = 3;
    sandmill_json_integer(sandmill_json_get(args, "count"), &count);
    sandmill_writer out = {0};
    sandmill_write_object(&out);
    sandmill_write_name(&out, "hello");
    sandmill_write_json(&out, sandmill_json_get(args, "name"));
    sandmill_write_name(&out, "n");
    sandmill_write_array(&out);
    for (int64_t i = 1; i <= count; i++) {
        sandmill_write_integer(&out, 2 * i);
    }
    sandmill_write_end(&out);
    sandmill_write_end(&out);
    return sandmill_result_json(&out);
}

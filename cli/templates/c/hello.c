/* Greets somebody. */
#include "sandmill.h"

#include <stdlib.h>
#include <string.h>

SANDMILL_SCHEMA("{"
                "  \"type\": \"object\","
                "  \"properties\": {"
                "    \"name\": {\"type\": \"string\", \"description\": \"Whom to greet\"},"
                "    \"times\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000, \"default\": 1, \"description\": \"How often\"}"
                "  },"
                "  \"required\": [\"name\"]"
                "}")

SANDMILL_MAIN(args) {
    int64_t times = 1;
    char *name = sandmill_json_string(sandmill_json_get(args, "name"), NULL);
    sandmill_json_integer(sandmill_json_get(args, "times"), &times);
    sandmill_log(SANDMILL_INFO, "greeting", NULL);

    /* Memory of a script is gone with its run. */
    char *greeting = calloc((size_t)times + 1, strlen(name) + sizeof "Hello, ! ");
    if (greeting == NULL) {
        return sandmill_error("MemoryError", "there is not enough memory for that many greetings");
    }
    for (int64_t i = 0; i < times; i++) {
        strcat(greeting, i == 0 ? "Hello, " : " Hello, ");
        strcat(greeting, name);
        strcat(greeting, "!");
    }
    sandmill_writer out = {0};
    sandmill_write_object(&out);
    sandmill_write_name(&out, "greeting");
    sandmill_write_string(&out, greeting);
    sandmill_write_end(&out);
    return sandmill_result_json(&out);
}

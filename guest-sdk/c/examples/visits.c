/* Counts the visits of each name. */
#include "sandmill.h"

#include <stdio.h>
#include <stdlib.h>

SANDMILL_SCHEMA("{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 100}}, \"required\": [\"name\"]}")

/* One more than what is kept, as JSON. */
static int64_t next(const char *kept) {
    sandmill_json value;
    int64_t visits = 0;
    if (kept && sandmill_json_read(kept, __builtin_strlen(kept), &value, NULL)) {
        sandmill_json_integer(value, &visits);
    }
    return visits + 1;
}

SANDMILL_MAIN(args) {
    char *name = sandmill_json_string(sandmill_json_get(args, "name"), NULL);
    char key[512], visits[24];
    snprintf(key, sizeof key, "visits/%s", name);
    /* Others may count at the same time: only a value that is still the one that was read is replaced. */
    for (int tries = 0; tries < 1000; tries++) {
        char *kept;
        bool wrote;
        if (sandmill_state_get(key, &kept) == SANDMILL_FAILED) {
            return sandmill_failed();
        }
        snprintf(visits, sizeof visits, "%lld", (long long)next(kept));
        if (!sandmill_state_compare_and_swap(key, kept, visits, &wrote)) {
            return sandmill_failed();
        }
        free(kept);
        if (wrote) {
            sandmill_writer out = {0};
            sandmill_write_object(&out);
            sandmill_write_name(&out, "visits");
            sandmill_write_integer(&out, atoll(visits));
            sandmill_write_end(&out);
            sandmill_log(SANDMILL_INFO, "visit", out.text);
            return sandmill_result_json(&out);
        }
    }
    return sandmill_error("Busy", "others were first, a thousand times");
}

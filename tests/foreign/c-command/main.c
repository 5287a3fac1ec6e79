// Reads all of stdin and prints JSON about it: ordinary C that knows nothing of its host.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_all(size_t *length) {
    size_t capacity = 4096;
    char *text = malloc(capacity);
    *length = 0;
    while (text != NULL) {
        size_t got = fread(text + *length, 1, capacity - *length - 1, stdin);
        if (got == 0)
            break;
        *length += got;
        if (capacity - *length < 2)
            text = realloc(text, capacity *= 2);
    }
    if (text != NULL)
        text[*length] = '\0';
    return text;
}

// Whether the text has a pair `"mode":"<mode>"`. Enough of a parser for that.
static int asks_for(const char *text, const char *mode) {
    const char *at = strstr(text, "\"mode\"");
    if (at == NULL)
        return 0;
    at += strlen("\"mode\"");
    at += strspn(at, " \t\r\n:");
    size_t length = strlen(mode);
    return at[0] == '"' && strncmp(at + 1, mode, length) == 0 && at[1 + length] == '"';
}

int main(int argc, char **argv) {
    size_t length;
    char *text = read_all(&length);
    if (text == NULL) {
        fputs("c-command: no memory\n", stderr);
        return 1;
    }
    if (asks_for(text, "fail")) {
        fputs("c-command: asked to fail\n", stderr);
        return 3;
    }
    if (asks_for(text, "abort"))
        abort();
    if (asks_for(text, "text")) {
        puts("hello from c");
        return 0;
    }
    // The arguments are JSON and are put back as they came.
    printf("{\"language\":\"c\",\"bytes\":%zu,\"argc\":%d,\"args\":%s}\n", length, argc, length > 0 ? text : "null");
    (void)argv;
    free(text);
    return 0;
}

/* Between texts that end in a NUL and the generated bindings' texts with a length; and the one place for what failed last. */
#ifndef SANDMILL_INTERNAL_H
#define SANDMILL_INTERNAL_H

#include "../bindings/imports.h"
#include "sandmill.h"

/* A text for the host. One that is not UTF-8 would end the run: its bytes that are none become U+FFFD, in a copy. */
imports_string_t sandmill_in(const char *text);
imports_string_t sandmill_in_n(const char *text, size_t length);

/* A text of the host, ended by a NUL. It takes the text over. */
char *sandmill_out(imports_string_t text);

/* Keeps the fault, and is false. `text` is taken over. */
bool sandmill_fail(const char *name, const char *code, imports_string_t text);
bool sandmill_fail_details(const char *name, const char *code, char *message, char *details);

#endif

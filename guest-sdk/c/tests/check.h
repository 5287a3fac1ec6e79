/* What the tests in C share: a fault is told with its place, and counted. */
#ifndef SANDMILL_TESTS_CHECK_H
#define SANDMILL_TESTS_CHECK_H

#include <stdio.h>

static int faults;

#define CHECK(condition)                                              \
    do {                                                              \
        if (!(condition)) {                                           \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            faults++;                                                 \
        }                                                             \
    } while (0)

#endif

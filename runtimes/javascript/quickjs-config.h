// Put in front of each of QuickJS's files by `cargo xtask runtimes`. On WASI QuickJS switches its stack check
// off, and a deep recursion would be a trap that no script can catch. The check works well enough here, so the
// sources get to see another name of a C library that has malloc_usable_size, after the headers were read.
#include <alloca.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fenv.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#undef __wasi__
#define __GLIBC__ 2

// The check looks at the stack in linear memory, where a function of C keeps little: a parser goes through the
// machine's stack, which cannot be looked at, ten times as fast. So each function that checks is made to take some
// of the stack that is looked at: this is inlined into it, and its array becomes part of its frame.
#define __builtin_frame_address(level) \
    ({ char weight[384]; __asm__ volatile("" : : "r"(weight)); weight; })

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FETCH_H
#define SPANWARD_FETCH_H

/*
 * Fetching a line of memory ahead of its use.
 *
 * Into which cache depends on the maker. Intel's cores make a prefetch wait when their miss buffers are all taken, so
 * every one arrives. AMD's drop it: of three lines a packet, a burst of 32 at once, most were not there when they were
 * needed (Zen 4, measured: 100 of 170 ns a packet were waited once more). Into the second cache there is room for all,
 * and from there it is a few cycles. (Other processors of theirs are taken to be alike.)
 */

#include <stdbool.h>

/* Does a burst's worth of lines have to go to the second cache? */
static inline bool fetch_is_far(void)
{
#ifdef __x86_64__
    return __builtin_cpu_is("amd");
#else
    return false;
#endif
}

/* Always inline, here and wherever this is wrapped: a function that only fetches has no effect that GCC knows of, and
 * it drops the call. */
static inline __attribute__((always_inline)) void fetch(const void *line)
{
    if (fetch_is_far())
        __builtin_prefetch(line, 1, 2);
    else
        __builtin_prefetch(line, 1, 3);
}

/* A few lines that are needed soon, or that have come as far as the second cache. */
static inline __attribute__((always_inline)) void fetch_near(const void *line)
{
    __builtin_prefetch(line, 1, 3);
}

#endif

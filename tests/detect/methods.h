/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_METHODS_H
#define SPANWARD_TESTS_METHODS_H

/* Streaming detectors to compare: ours and textbook ones, each with the threshold that did best on other seeds. */

#include <stdint.h>

struct method {
    const char *name;
    void *(*start)(void);
    double (*step)(void *state, int64_t time_ns, double value);
    void (*end)(void *state);
};
extern const struct method methods[]; /* ends with name NULL */

#endif

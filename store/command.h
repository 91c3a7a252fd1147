/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_COMMAND_H
#define SPANWARD_STORE_COMMAND_H

/*
 * A command under construction: arguments by reference, numbers in scratch space of its own. For the files of this
 * folder. An argument that does not fit marks the command bad, and command_send then says -EINVAL, so that callers
 * check once.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "store/store.h"

#define COMMAND_ARGS    96
#define COMMAND_NUMBERS 64

struct command {
    struct store_arg arg[COMMAND_ARGS];
    size_t n;
    char number[COMMAND_NUMBERS][24];
    size_t n_numbers;
    bool bad;
};

static inline void command_bytes(struct command *c, const void *data, size_t len)
{
    if (c->n == COMMAND_ARGS)
        c->bad = true;
    else
        c->arg[c->n++] = (struct store_arg){data, len};
}

static inline void command_text(struct command *c, const char *text)
{
    command_bytes(c, text, strlen(text));
}

/* v in decimal digits, without an end; returns how many, at most 20. A tenth of what printf takes. */
static inline size_t command_decimal(char *ret, uint64_t v)
{
    char digit[20];
    size_t n = 0;

    do {
        digit[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (size_t i = 0; i < n; i++)
        ret[i] = digit[n - 1 - i];
    return n;
}

static inline void command_u64(struct command *c, uint64_t v)
{
    if (c->n_numbers == COMMAND_NUMBERS) {
        c->bad = true;
        return;
    }
    char *text = c->number[c->n_numbers++];
    command_bytes(c, text, command_decimal(text, v));
}

static inline void command_field(struct command *c, const char *name, uint64_t v)
{
    command_text(c, name);
    command_u64(c, v);
}

/* A key of len bytes; 0 marks the command bad, as the key builders say "does not fit" that way. */
static inline void command_start(struct command *c, const char *verb, const char *key, size_t len)
{
    c->n = c->n_numbers = 0;
    c->bad = len == 0;
    command_text(c, verb);
    command_bytes(c, key, len);
}

static inline int command_append(struct command *c, struct store *s)
{
    return c->bad ? -EINVAL : store_append(s, c->arg, c->n);
}

#endif

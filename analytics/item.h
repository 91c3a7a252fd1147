/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ITEM_H
#define SPANWARD_ITEM_H

/*
 * One thing on its way to the store, in memory or as bytes on disk. Items are made by the publisher's put functions,
 * and freed once the store has them. Owner: the list that holds it.
 */

#include "store/schema.h"

/* Numbers are written to disk: append only. */
enum item_kind { ITEM_WINDOW, ITEM_OBJECT, ITEM_PRUNE, ITEM_EVENT, ITEM_CLOSED, ITEM_TOP, ITEM_KIND_COUNT };

struct item {
    struct item *next;
    size_t bytes;                   /* of memory, roughly */
    uint64_t time_ns;               /* start of the window or list; data time of an event or marker */
    struct schema_id id;            /* of a stream entry; {0, 0} until first sent */
    uint32_t parts, parts_expected; /* ITEM_WINDOW: base windows in it */
    uint8_t kind, tier, scope, top;
    bool late; /* a stream entry that was refused while later ones were taken */
    union {
        struct schema_packed packed; /* ITEM_WINDOW */
        struct schema_closed closed; /* ITEM_CLOSED */
        struct schema_event *event;  /* ITEM_EVENT */
        struct {
            struct schema_flow *flow;
            size_t n;
        } list; /* ITEM_TOP */
    };
    char name[]; /* ITEM_WINDOW, ITEM_OBJECT; else "" */
};

/* NULL without memory. event and flows are NULL in it and the caller's to fill in. */
struct item *item_new(enum item_kind kind, enum schema_tier tier, uint64_t time_ns, const char *name);
void item_free(struct item *x);

/* A list of items in the order of sending. Owner: the publisher. All zero: empty. */
struct items {
    struct item *first, **end;
    size_t n, bytes;
};

void items_add(struct items *l, struct item *x);
/* The oldest item leaves the list, which is not empty. */
struct item *items_pop(struct items *l);
/* Takes a chain of items, which replaces what the list had. */
void items_set(struct items *l, struct item *chain);
/* Frees all. */
void items_clear(struct items *l);

/* Largest number of bytes that an item may need on disk; larger ones are not written. */
#define ITEM_BYTES_MAX (1u << 20)

/* Writes x as bytes; returns their number, 0 when they do not fit in `size`. */
size_t item_write(const struct item *x, uint8_t *ret, size_t size);
/* Reads what item_write wrote; trusts nothing. NULL on anything else, or without memory. */
struct item *item_read(const uint8_t *bytes, size_t len);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See journal.h. Only commands that may be repeated get here (route_is_repeatable): absolute values and stream entries
 * with explicit ids. Sent again in their old order, before anything newer, they leave the store as if it had forgotten
 * nothing; what it had not forgotten is written once more with the same value, or refused (XADD).
 *
 * What it heals is bounded: a sensor that dies together with its Redis takes its journal with it, and a server that is
 * cut off for longer than keep_ms while it still acknowledges has forgotten more than is kept here.
 */

#include "store/journal.h"

#include <stdlib.h>
#include <string.h>
#include "store/route.h"

#define BLOB_BYTES (16u << 10)

void journal_init(struct journal *j, size_t bytes_max, unsigned keep_ms)
{
    *j = (struct journal){.bytes_max = bytes_max, .keep_ms = keep_ms};
}

static void drop_first(struct journal *j)
{
    struct journal_blob *b = j->first;

    j->first = b->next;
    if (j->first == NULL)
        j->last = NULL;
    j->bytes -= sizeof(*b) + b->size;
    free(b);
}

void journal_fini(struct journal *j)
{
    while (j->first != NULL)
        drop_first(j);
}

static struct journal_blob *add_blob(struct journal *j, int slot, uint64_t serial, uint64_t now_ms, size_t len)
{
    size_t size = len > BLOB_BYTES ? len : BLOB_BYTES;
    struct journal_blob *b = malloc(sizeof(*b) + size);

    if (b == NULL)
        return NULL;
    *b = (struct journal_blob){.first_ms = now_ms, .serial = serial, .slot = slot, .size = size};
    if (j->last != NULL)
        j->last->next = b;
    else
        j->first = b;
    j->last = b;
    j->bytes += sizeof(*b) + size;
    return b;
}

/* The newest blob of the slot. Commands come in runs of one slot, so it is nearly always the last. */
static struct journal_blob *newest_of(const struct journal *j, int slot)
{
    struct journal_blob *newest = NULL;

    if (j->last != NULL && j->last->slot == slot)
        return j->last;
    for (struct journal_blob *b = j->first; b != NULL; b = b->next)
        if (b->slot == slot)
            newest = b;
    return newest;
}

void journal_add(struct journal *j, int slot, uint64_t serial, uint64_t now_ms, const char *bytes, size_t len)
{
    if (j->bytes_max == 0)
        return;
    struct journal_blob *b = newest_of(j, slot);
    /* A blob is forgotten as a whole, so it must not go on growing for long. */
    if (b == NULL || b->serial != serial || b->size - b->len < len || now_ms - b->first_ms > j->keep_ms / 8)
        b = add_blob(j, slot, serial, now_ms, len);
    if (b == NULL) {
        j->overflows++;
        return;
    }
    memcpy(b->bytes + b->len, bytes, len);
    b->len += len;
    b->n_commands++;
    while (j->first != b && now_ms - j->first->first_ms > j->keep_ms + j->keep_ms / 8)
        drop_first(j);
    while (j->first != NULL && j->bytes > j->bytes_max) {
        j->overflows += j->first->n_commands;
        drop_first(j);
    }
}

size_t journal_piece(const char *bytes, size_t len, size_t *ret_commands)
{
    struct store_arg verb;
    size_t at = 0, n_args, commands = 0;
    bool entry = false;

    while (at < len && !entry) {
        size_t size = route_split(bytes + at, len - at, &verb, 1, &n_args);
        if (size == 0)
            break;
        entry = route_is(&verb, "XADD");
        at += size;
        commands++;
    }
    *ret_commands = commands;
    return at;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_JOURNAL_H
#define SPANWARD_STORE_JOURNAL_H

/*
 * The writes of the last seconds that Redis has acknowledged, to be sent once more when another server takes over or
 * the same one comes back: Redis replicates and saves behind its acknowledgement, so these are what it may have
 * forgotten. For the files of this folder.
 *
 * Owner: one store. Blobs are in the order of acknowledgement; each holds commands of one slot that were acknowledged
 * over one connection (its serial number).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_blob {
    struct journal_blob *next;
    uint64_t first_ms; /* monotonic; when the first was acknowledged */
    uint64_t serial;   /* of the connection that acknowledged it */
    int slot;
    size_t n_commands, len, size;
    char bytes[];
};

/* Invariant: bytes is the sum over the blobs and stays below bytes_max. */
struct journal {
    struct journal_blob *first, *last;
    size_t bytes, bytes_max; /* bytes_max 0: keeps nothing */
    unsigned keep_ms;
    uint64_t overflows; /* commands that left before their time because memory was short */
};

void journal_init(struct journal *j, size_t bytes_max, unsigned keep_ms);
void journal_fini(struct journal *j);
/* Keeps one acknowledged command; forgets what is older than keep_ms. */
void journal_add(struct journal *j, int slot, uint64_t serial, uint64_t now_ms, const char *bytes, size_t len);
/*
 * How much of a blob may be sent before its answers are looked at: up to and with the next stream entry, and how many
 * commands that is. An entry that is refused must not be followed by one with a greater id.
 */
size_t journal_piece(const char *bytes, size_t len, size_t *ret_commands);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/* See spsc.h. Positions are byte counts that never wrap in practice (2^64); `& mask` finds the place. */

#include "common/spsc.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FILLER UINT64_MAX

struct spsc {
    uint8_t *buf;
    uint64_t capacity;

    /* producer's line */
    _Alignas(64) _Atomic uint64_t head; /* next byte to write, published */
    uint64_t tail_seen;                 /* consumer's position when last looked at */
    uint64_t reserved_head;             /* head after the pending commit */

    /* consumer's line */
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t head_seen;
    uint64_t peeked_len;
};

struct spsc *spsc_new(size_t capacity_bytes)
{
    assert(capacity_bytes >= 4096 && (capacity_bytes & (capacity_bytes - 1)) == 0);
    struct spsc *r = aligned_alloc(64, sizeof(*r));
    if (r == NULL)
        return NULL;
    *r = (struct spsc){.capacity = capacity_bytes};
    r->buf = aligned_alloc(64, capacity_bytes);
    if (r->buf == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void spsc_free(struct spsc *r)
{
    if (r == NULL)
        return;
    free(r->buf);
    free(r);
}

static uint64_t *word_at(struct spsc *r, uint64_t position)
{
    return (uint64_t *)(void *)(r->buf + (position & (r->capacity - 1)));
}

void *spsc_reserve(struct spsc *r, size_t len_bytes)
{
    assert(len_bytes % 8 == 0 && len_bytes + 8 <= r->capacity / 4);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t to_end = r->capacity - (head & (r->capacity - 1));
    uint64_t skip = to_end < len_bytes + 8 ? to_end : 0;
    uint64_t need = skip + len_bytes + 8;

    if (head + need - r->tail_seen > r->capacity) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head + need - r->tail_seen > r->capacity)
            return NULL;
    }
    if (skip != 0)
        *word_at(r, head) = FILLER;
    *word_at(r, head + skip) = len_bytes;
    r->reserved_head = head + need;
    return word_at(r, head + skip) + 1;
}

void spsc_commit(struct spsc *r)
{
    atomic_store_explicit(&r->head, r->reserved_head, memory_order_release);
}

const void *spsc_peek(struct spsc *r, size_t *ret_len_bytes)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (tail == r->head_seen) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail == r->head_seen)
            return NULL;
    }
    if (*word_at(r, tail) == FILLER) {
        tail += r->capacity - (tail & (r->capacity - 1));
        atomic_store_explicit(&r->tail, tail, memory_order_release);
    }
    r->peeked_len = *word_at(r, tail);
    *ret_len_bytes = r->peeked_len;
    return word_at(r, tail) + 1;
}

void spsc_pop(struct spsc *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + r->peeked_len + 8, memory_order_release);
}

size_t spsc_used_bytes(const struct spsc *r)
{
    struct spsc *w = (struct spsc *)(uintptr_t)r;

    return (size_t)(atomic_load_explicit(&w->head, memory_order_relaxed) -
                    atomic_load_explicit(&w->tail, memory_order_relaxed));
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* See aggregate.h. The hash here needs no seed: only configured names and automatic sites of seen flows get in. */

#include "dataplane/aggregate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "dataplane/memory.h"

int agg_table_init(struct agg_table *t, enum window_scope scope, uint32_t n_entries, uint32_t mirror)
{
    uint32_t n_chains = 16;

    while (n_chains < n_entries)
        n_chains <<= 1;
    *t = (struct agg_table){.n_entries = n_entries, .chain_mask = n_chains - 1, .fresh = 1, .scope = (uint8_t)scope};
    t->entry = memory_map(n_entries * sizeof(*t->entry));
    t->before = memory_map(n_entries * sizeof(*t->before));
    t->id = calloc(n_entries, sizeof(*t->id));
    t->chain = calloc(n_chains, sizeof(*t->chain));
    t->touched = calloc(n_entries, sizeof(*t->touched));
    t->closing = calloc(n_entries, sizeof(*t->closing));
    if (t->entry == NULL || t->before == NULL || t->id == NULL || t->chain == NULL || t->touched == NULL ||
        t->closing == NULL) {
        agg_table_fini(t);
        return -ENOMEM;
    }
    t->id[0].key = (struct rec_scope){.scope = (uint8_t)scope, .mirror = mirror};
    return 0;
}

void agg_table_fini(struct agg_table *t)
{
    memory_unmap(t->entry, t->n_entries * sizeof(*t->entry));
    memory_unmap(t->before, t->n_entries * sizeof(*t->before));
    free(t->id);
    free(t->chain);
    free(t->touched);
    free(t->closing);
    *t = (struct agg_table){0};
}

/* Words in pairs: the products do not wait for one another. */
static uint32_t chain_of(const struct agg_table *t, const struct rec_scope *key)
{
    static_assert(sizeof(*key) == 56, "hashed as words and compared as bytes");
    uint64_t w[7];

    memcpy(w, key, sizeof(w));
    uint64_t h = fold64(w[0] ^ 0x9e3779b97f4a7c15ull, w[1] ^ 0xc2b2ae3d27d4eb4full) ^
                 fold64(w[2] ^ 0xa0761d6478bd642full, w[3] ^ 0xe7037ed1a0b428dbull) ^
                 fold64(w[4] ^ 0x8ebc6af09c88c6e3ull, w[5] ^ 0x589965cc75374cc3ull);
    return (uint32_t)fold64(h ^ w[6], 0x9e3779b97f4a7c15ull) & t->chain_mask;
}

static uint32_t find(const struct agg_table *t, const struct rec_scope *key)
{
    uint32_t i = t->chain[chain_of(t, key)];

    while (i != 0 && memcmp(&t->id[i].key, key, sizeof(*key)) != 0)
        i = t->id[i].next;
    return i;
}

uint32_t agg_find(struct agg_table *t, const struct rec_scope *key)
{
    uint32_t i = find(t, key);

    if (i != 0)
        t->id[i].refs++;
    return i;
}

uint32_t agg_get(struct agg_table *t, const struct rec_scope *key)
{
    uint32_t index = agg_find(t, key);

    if (index != 0)
        return index;
    uint32_t *head = &t->chain[chain_of(t, key)];
    index = t->free_head;
    if (index != 0) {
        t->free_head = t->id[index].next;
    } else if (t->fresh < t->n_entries) {
        index = t->fresh++;
    } else {
        t->overflowed++;
        t->id[0].refs++;
        return 0;
    }
    t->id[index].key = *key;
    t->id[index].refs = 1;
    t->id[index].next = *head;
    *head = index;
    return index;
}

static void forget(struct agg_table *t, uint32_t index)
{
    uint32_t *link = &t->chain[chain_of(t, &t->id[index].key)];

    while (*link != index)
        link = &t->id[*link].next;
    *link = t->id[index].next;
    t->id[index].next = t->free_head;
    t->free_head = index;
}

static void forget_unused(struct agg_table *t, uint32_t index)
{
    if (index != 0 && t->id[index].refs == 0 && !t->entry[index].touched && !t->before[index].touched)
        forget(t, index);
}

void agg_put(struct agg_table *t, uint32_t index)
{
    if (--t->id[index].refs == 0)
        forget_unused(t, index);
}

/* hist items of all four histograms behind one another; returns the message's length. */
static size_t pack(const struct agg *a, struct rec_window *w, struct hist_item *items)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < WINDOW_HIST_COUNT; i++) {
        const struct hist *h = &a->hist[i];
        w->hist[i].n = h->n;
        w->hist[i].sum_ns = h->sum_ns;
        w->hist[i].min_ns = h->min_ns;
        w->hist[i].max_ns = h->max_ns;
        w->hist[i].n_items = h->n == 0 ? 0 : hist_to_items(h, items + n);
        n += w->hist[i].n_items;
    }
    return sizeof(*w) + n * sizeof(*items);
}

static void emit_one(const struct agg *a, const struct rec_scope *key, const struct agg_end *end)
{
    struct {
        struct rec_window w;
        struct hist_item items[WINDOW_HIST_COUNT * (HIST_BUCKETS + 1)];
    } message;

    memset(&message.w, 0, sizeof(message.w));
    message.w.key = *key;
    message.w.start_ns = end->start_ns;
    message.w.length_ns = end->length_ns;
    message.w.c = a->c;
    size_t len_bytes = pack(a, &message.w, message.items);
    struct rec_hdr *hdr = rec_reserve(end->out, REC_WINDOW, len_bytes);
    if (hdr == NULL)
        return;
    memcpy(hdr + 1, &message.w.hdr + 1, len_bytes - sizeof(*hdr));
    rec_commit(end->out);
}

static void clear(struct agg *a)
{
    memset(&a->c, 0, sizeof(a->c));
    for (unsigned i = 0; i < WINDOW_HIST_COUNT; i++)
        if (a->hist[i].n != 0)
            hist_clear(&a->hist[i]);
    a->touched = 0;
}

static void add_to(struct agg *total, const struct agg *a)
{
    window_counters_merge(&total->c, &a->c);
    for (unsigned i = 0; i < WINDOW_HIST_COUNT; i++)
        if (a->hist[i].n != 0)
            hist_merge(&total->hist[i], &a->hist[i]);
}

void agg_close(struct agg_table *t, const struct agg_end *end)
{
    struct agg *entry = t->before;
    uint32_t *list = t->closing;

    t->before = t->entry;
    t->entry = entry;
    t->closing = t->touched;
    t->touched = list;
    t->n_closing = t->n_touched;
    t->n_touched = t->sent = 0;
    t->end = *end;
}

uint32_t agg_emit_some(struct agg_table *t, uint32_t n)
{
    uint32_t last = agg_waiting(t) < n ? t->n_closing : t->sent + n, first = t->sent;

    while (t->sent < last) {
        uint32_t index = t->closing[t->sent++];
        struct agg *a = &t->before[index];
        agg_close_peak(a);
        if (t->end.total != NULL)
            add_to(t->end.total, a);
        emit_one(a, &t->id[index].key, &t->end);
        clear(a);
        forget_unused(t, index);
    }
    return last - first;
}

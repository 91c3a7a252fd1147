/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Redis calls a stream entry a repetition when its id is not beyond the stream's last one. It may be there, from before
 * a connection broke. It may also have been refused for another reason while a later one was taken (a server that was
 * full for a moment): then it is nowhere, and needs a new id. And it may be there under such a new id, if an earlier
 * process sent it again and died before it could cross it off its spool on disk. Then the ids of a whole segment may
 * have moved by some places, so an id alone proves nothing: entries are known by what they say.
 *
 * A batch's entries and the stream's, from the batch's lowest id on, are mostly in the same order, so each entry that
 * is read is first compared with the one behind the last that was found. Two entries that say the same of the same
 * window (the clock was set back) are two: each entry of the stream stands for one.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "analytics/publish_state.h"

#define PAGE_ENTRIES 1024u

/* The stream entries of a batch, of one stream. */
struct wanted {
    struct item **item;
    bool *found;
    size_t n, next; /* next: behind the last that was found */
};

static bool is_entry(const struct item *x, enum schema_stream which)
{
    return x->kind == (which == SCHEMA_STREAM_CLOSED ? ITEM_CLOSED : ITEM_EVENT);
}

bool publisher_is_entry(const struct item *x)
{
    return is_entry(x, SCHEMA_STREAM_CLOSED) || is_entry(x, SCHEMA_STREAM_EVENTS);
}

/* What continues windows of earlier runs changes parts and degraded, so they say nothing about who wrote a marker. */
static bool is_marker(const struct item *x, const void *entry)
{
    const struct schema_closed *c = entry;

    return x->closed.tier == c->tier && x->closed.start_ns == c->start_ns && x->closed.length_ns == c->length_ns;
}

static bool is_event(const struct item *x, const void *entry)
{
    const struct schema_event *ev = entry;

    return x->event->ts_ns == ev->ts_ns && strcmp(x->event->kind_name, ev->kind_name) == 0 &&
           strcmp(x->event->mirror, ev->mirror) == 0 && strcmp(x->event->subject, ev->subject) == 0 &&
           strcmp(x->event->detail, ev->detail) == 0;
}

static void find_one(struct wanted *w, const void *entry, bool (*is_same)(const struct item *, const void *))
{
    for (size_t k = 0; k < w->n; k++) {
        size_t i = w->next + k < w->n ? w->next + k : w->next + k - w->n;
        if (w->found[i] || !is_same(w->item[i], entry))
            continue;
        w->found[i] = true;
        w->next = i + 1 < w->n ? i + 1 : 0;
        return;
    }
}

/* Reads a page from a cursor on and moves it. Sets *ret_n to how many entries there were. */
static int find_page(struct publisher *p, enum schema_stream which, char cursor[SCHEMA_ID_BYTES], struct wanted *w,
                     size_t *ret_n)
{
    struct schema_closed *closed = NULL;
    struct schema_event *event = NULL;
    struct schema_skipped skipped = {0};
    size_t n = 0;
    int result = which == SCHEMA_STREAM_CLOSED ? schema_closed_read(p->store, p->options->sensor, cursor, PAGE_ENTRIES,
                                                                    0, &closed, &n, &skipped, &p->trouble)
                                               : schema_event_read(p->store, p->options->sensor, cursor, PAGE_ENTRIES,
                                                                   0, &event, &n, &skipped, &p->trouble);

    for (size_t i = 0; i < n && result == 0; i++) {
        if (which == SCHEMA_STREAM_CLOSED)
            find_one(w, &closed[i], is_marker);
        else
            find_one(w, &event[i], is_event);
    }
    if (n != 0)
        memcpy(cursor, which == SCHEMA_STREAM_CLOSED ? closed[n - 1].id : event[n - 1].id, SCHEMA_ID_BYTES);
    free(closed);
    free(event);
    *ret_n = n + skipped.corrupt;
    return result;
}

/* The id before the lowest that an entry has: reads begin behind it. */
static void cursor_before(const struct wanted *w, char ret[SCHEMA_ID_BYTES])
{
    struct schema_id low = w->item[0]->id;

    for (size_t i = 1; i < w->n; i++) {
        const struct schema_id *id = &w->item[i]->id;
        if (id->ms < low.ms || (id->ms == low.ms && id->seq < low.seq))
            low = *id;
    }
    if (low.seq != 0)
        low.seq--;
    else if (low.ms != 0)
        low = (struct schema_id){low.ms - 1, UINT64_MAX};
    schema_id_format(ret, low);
}

static int find_in(struct publisher *p, enum schema_stream which, struct wanted *w, size_t *ret_lost)
{
    char cursor[SCHEMA_ID_BYTES];
    size_t n = PAGE_ENTRIES;
    int result = 0;

    if (w->n == 0)
        return 0;
    cursor_before(w, cursor);
    while (n == PAGE_ENTRIES && result == 0)
        result = find_page(p, which, cursor, w, &n);
    if (result == -EPROTO) /* not even a stream: there is nothing to be done for it */
        return 0;
    for (size_t i = 0; i < w->n && result == 0; i++) {
        if (w->found[i])
            continue;
        w->item[i]->id = (struct schema_id){0, 0};
        w->item[i]->late = true;
        (*ret_lost)++;
    }
    return result;
}

int publisher_find_lost(struct publisher *p, const struct items *list, size_t n, size_t *ret_lost)
{
    struct wanted w = {.item = calloc(n, sizeof(struct item *)), .found = calloc(n, sizeof(bool))};
    int result = w.item != NULL && w.found != NULL ? 0 : error_set(&p->trouble, -ENOMEM, "no memory");

    for (int which = SCHEMA_STREAM_CLOSED; which <= SCHEMA_STREAM_EVENTS && result == 0; which++) {
        struct item *x = list->first;
        w.n = w.next = 0;
        for (size_t i = 0; i < n; i++, x = x->next)
            if (is_entry(x, which))
                w.item[w.n++] = x;
        memset(w.found, 0, n * sizeof(bool));
        result = find_in(p, which, &w, ret_lost);
    }
    free(w.item);
    free(w.found);
    return result;
}

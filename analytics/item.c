/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See item.h. On disk numbers are little-endian, texts have their length in front. The reader checks every length
 * against what is left, every enum against its range, and that nothing is left over.
 */

#include "analytics/item.h"

#include <stdlib.h>
#include <string.h>

#define MALLOC_OVERHEAD 16

struct item *item_new(enum item_kind kind, enum schema_tier tier, uint64_t time_ns, const char *name)
{
    size_t len = strlen(name) + 1;
    struct item *x = calloc(1, sizeof(*x) + len);

    if (x == NULL)
        return NULL;
    x->bytes = sizeof(*x) + len + MALLOC_OVERHEAD;
    x->kind = (uint8_t)kind;
    x->tier = (uint8_t)tier;
    x->time_ns = time_ns;
    memcpy(x->name, name, len);
    return x;
}

void item_free(struct item *x)
{
    if (x == NULL)
        return;
    if (x->kind == ITEM_TOP)
        schema_flows_free(x->list.flow, x->list.n);
    else if (x->kind == ITEM_EVENT)
        free(x->event);
    free(x);
}

/* A bounded cursor for both directions; bad: it ran over the end. */
struct cursor {
    uint8_t *out;
    const uint8_t *in;
    size_t at, size;
    bool bad;
};

static void put_bytes(struct cursor *c, const void *bytes, size_t len)
{
    if (c->bad || len > c->size - c->at) {
        c->bad = true;
        return;
    }
    memcpy(c->out + c->at, bytes, len);
    c->at += len;
}

static void put_number(struct cursor *c, uint64_t v, size_t width)
{
    uint8_t b[8];

    for (size_t i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    put_bytes(c, b, width);
}

static void put_text(struct cursor *c, const char *text)
{
    size_t len = strlen(text);

    put_number(c, len, 4);
    put_bytes(c, text, len);
}

static const uint8_t *get_bytes(struct cursor *c, size_t len)
{
    const uint8_t *p = c->in + c->at;

    if (c->bad || len > c->size - c->at) {
        c->bad = true;
        return NULL;
    }
    c->at += len;
    return p;
}

static uint64_t get_number(struct cursor *c, size_t width)
{
    const uint8_t *p = get_bytes(c, width);
    uint64_t v = 0;

    for (size_t i = 0; p != NULL && i < width; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* A text into an array of `size` with its end; bad when it does not fit or holds a NUL. */
static void get_text(struct cursor *c, char *ret, size_t size)
{
    size_t len = (size_t)get_number(c, 4);
    const uint8_t *p = len < size ? get_bytes(c, len) : NULL;

    if (p == NULL || memchr(p, 0, len) != NULL) {
        c->bad = true;
        return;
    }
    memcpy(ret, p, len);
    ret[len] = '\0';
}

static void put_body(struct cursor *c, const struct item *x)
{
    switch ((enum item_kind)x->kind) {
    case ITEM_WINDOW:
        put_number(c, x->parts, 4);
        put_number(c, x->parts_expected, 4);
        put_number(c, x->packed.traffic_len, 1);
        put_number(c, x->packed.quality_len, 1);
        put_bytes(c, x->packed.traffic, x->packed.traffic_len);
        put_bytes(c, x->packed.quality, x->packed.quality_len);
        break;
    case ITEM_CLOSED:
        put_number(c, x->closed.degraded, 1);
        put_number(c, x->closed.parts, 4);
        put_number(c, x->closed.parts_expected, 4);
        put_number(c, x->closed.start_ns, 8);
        put_number(c, x->closed.length_ns, 8);
        break;
    case ITEM_EVENT:
        put_number(c, x->event->kind, 2);
        put_number(c, x->event->severity, 1);
        put_text(c, x->event->kind_name);
        put_text(c, x->event->mirror);
        put_text(c, x->event->subject);
        put_text(c, x->event->detail);
        break;
    case ITEM_TOP:
        put_number(c, x->list.n, 4);
        for (size_t i = 0; i < x->list.n; i++) {
            put_number(c, x->list.flow[i].score, 8);
            put_text(c, x->list.flow[i].json);
        }
        break;
    case ITEM_OBJECT:
    case ITEM_PRUNE:
    case ITEM_KIND_COUNT:
        break;
    }
}

size_t item_write(const struct item *x, uint8_t *ret, size_t size)
{
    struct cursor c = {.out = ret, .size = size};

    put_number(&c, x->kind, 1);
    put_number(&c, x->tier, 1);
    put_number(&c, x->scope, 1);
    put_number(&c, x->top, 1);
    put_number(&c, x->time_ns, 8);
    put_number(&c, x->id.ms, 8);
    put_number(&c, x->id.seq, 8);
    put_text(&c, x->name);
    put_body(&c, x);
    return c.bad ? 0 : c.at;
}

static void get_packed(struct cursor *c, struct item *x)
{
    struct schema_packed *p = &x->packed;

    x->parts = (uint32_t)get_number(c, 4);
    x->parts_expected = (uint32_t)get_number(c, 4);
    p->traffic_len = (uint8_t)get_number(c, 1);
    p->quality_len = (uint8_t)get_number(c, 1);
    if (p->traffic_len == 0 || p->traffic_len > sizeof(p->traffic) || p->quality_len > sizeof(p->quality)) {
        c->bad = true;
        return;
    }
    const uint8_t *traffic = get_bytes(c, p->traffic_len), *quality = get_bytes(c, p->quality_len);
    if (c->bad)
        return;
    memcpy(p->traffic, traffic, p->traffic_len);
    memcpy(p->quality, quality, p->quality_len);
}

static void get_closed(struct cursor *c, struct item *x)
{
    x->closed.tier = x->tier;
    x->closed.degraded = get_number(c, 1) != 0;
    x->closed.parts = (uint32_t)get_number(c, 4);
    x->closed.parts_expected = (uint32_t)get_number(c, 4);
    x->closed.start_ns = get_number(c, 8);
    x->closed.length_ns = get_number(c, 8);
}

static void get_event(struct cursor *c, struct item *x)
{
    x->event = calloc(1, sizeof(*x->event));
    if (x->event == NULL) {
        c->bad = true;
        return;
    }
    x->bytes += sizeof(*x->event);
    x->event->ts_ns = x->time_ns;
    unsigned kind = (unsigned)get_number(c, 2), severity = (unsigned)get_number(c, 1);
    x->event->kind = kind < EVENT_KIND_COUNT ? kind : EVENT_KIND_COUNT;
    x->event->severity = severity;
    c->bad |= severity >= EVENT_SEVERITY_COUNT;
    get_text(c, x->event->kind_name, sizeof(x->event->kind_name));
    get_text(c, x->event->mirror, sizeof(x->event->mirror));
    get_text(c, x->event->subject, sizeof(x->event->subject));
    get_text(c, x->event->detail, sizeof(x->event->detail));
}

static void get_top(struct cursor *c, struct item *x)
{
    size_t n = (size_t)get_number(c, 4);

    if (n > SCHEMA_TOP_MAX) {
        c->bad = true;
        return;
    }
    x->list.flow = calloc(n + 1, sizeof(*x->list.flow));
    for (size_t i = 0; x->list.flow != NULL && i < n && !c->bad; i++) {
        uint64_t score = get_number(c, 8);
        size_t len = (size_t)get_number(c, 4);
        const uint8_t *p = get_bytes(c, len);
        char *json = p != NULL && memchr(p, 0, len) == NULL && memchr(p, '\n', len) == NULL
                         ? strndup((const char *)p, len)
                         : NULL;
        if (json == NULL) {
            c->bad = true;
            return;
        }
        x->list.flow[x->list.n++] = (struct schema_flow){score, json};
        x->bytes += sizeof(*x->list.flow) + len + 1;
    }
    c->bad |= x->list.flow == NULL;
}

struct item *item_read(const uint8_t *bytes, size_t len)
{
    struct cursor c = {.in = bytes, .size = len};
    unsigned kind = (unsigned)get_number(&c, 1), tier = (unsigned)get_number(&c, 1);
    unsigned scope = (unsigned)get_number(&c, 1), top = (unsigned)get_number(&c, 1);
    uint64_t time_ns = get_number(&c, 8), ms = get_number(&c, 8), seq = get_number(&c, 8);
    char name[WINDOW_NAME_BYTES];

    get_text(&c, name, sizeof(name));
    if (c.bad || kind >= ITEM_KIND_COUNT || tier >= SCHEMA_TIER_COUNT || scope >= WINDOW_SCOPE_COUNT ||
        top >= SCHEMA_TOP_COUNT)
        return NULL;
    struct item *x = item_new(kind, tier, time_ns, name);
    if (x == NULL)
        return NULL;
    x->scope = (uint8_t)scope;
    x->top = (uint8_t)top;
    x->id = (struct schema_id){ms, seq};
    if (kind == ITEM_WINDOW)
        get_packed(&c, x);
    else if (kind == ITEM_CLOSED)
        get_closed(&c, x);
    else if (kind == ITEM_EVENT)
        get_event(&c, x);
    else if (kind == ITEM_TOP)
        get_top(&c, x);
    if (c.bad || c.at != c.size) {
        item_free(x);
        return NULL;
    }
    return x;
}

/* ---- lists ---- */

void items_add(struct items *l, struct item *x)
{
    if (l->end == NULL)
        l->end = &l->first;
    x->next = NULL;
    *l->end = x;
    l->end = &x->next;
    l->n++;
    l->bytes += x->bytes;
}

struct item *items_pop(struct items *l)
{
    struct item *x = l->first;

    l->first = x->next;
    if (l->first == NULL)
        l->end = &l->first;
    l->n--;
    l->bytes -= x->bytes;
    return x;
}

void items_set(struct items *l, struct item *chain)
{
    *l = (struct items){.first = NULL};
    while (chain != NULL) {
        struct item *next = chain->next;
        items_add(l, chain);
        chain = next;
    }
}

void items_clear(struct items *l)
{
    while (l->first != NULL)
        item_free(items_pop(l));
}

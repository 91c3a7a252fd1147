/* SPDX-License-Identifier: BSD-3-Clause */

/* See dns.h. Only the question is read: names in it are never compressed, so a pointer there is an error. */

#include "dataplane/dns.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "dataplane/memory.h"

#define FLAG_RESPONSE 0x8000u
#define RCODE_MASK    0x000fu

int dns_pool_init(struct dns_pool *pool, uint32_t n)
{
    *pool = (struct dns_pool){.n = n, .fresh = 1};
    pool->entry = memory_map(((size_t)n + 1) * sizeof(*pool->entry));
    return pool->entry != NULL ? 0 : -ENOMEM;
}

void dns_pool_fini(struct dns_pool *pool)
{
    memory_unmap(pool->entry, ((size_t)pool->n + 1) * sizeof(*pool->entry));
    pool->entry = NULL;
}

static uint32_t entry_get(struct dns_pool *pool)
{
    uint32_t index = pool->free_head;

    if (index != 0) {
        pool->free_head = pool->entry[index].next;
    } else if (pool->fresh <= pool->n) {
        index = pool->fresh++;
    } else {
        pool->exhausted++;
        return 0;
    }
    pool->in_use++;
    memset(&pool->entry[index], 0, sizeof(pool->entry[index]));
    return index;
}

static void entry_put(struct dns_pool *pool, uint32_t index)
{
    pool->entry[index].next = pool->free_head;
    pool->free_head = index;
    pool->in_use--;
}

/* Labels to dotted text. Returns the byte behind the name, or NULL. */
static const uint8_t *parse_name(const uint8_t *p, const uint8_t *end, struct dns_question *q)
{
    uint32_t len = 0;

    while (p < end && *p != 0) {
        uint32_t label = *p++;
        if (label > 63 || (uint32_t)(end - p) < label || len + label + 1 > DNS_NAME_MAX)
            return NULL;
        if (len != 0)
            q->name[len++] = '.';
        memcpy(q->name + len, p, label);
        len += label;
        p += label;
    }
    q->name_len = (uint8_t)len;
    return p < end ? p + 1 : NULL;
}

int dns_parse(const uint8_t *message, uint32_t len, struct dns_question *ret)
{
    const uint8_t *end = message + len;

    if (len < 12 || load_be16(message + 4) != 1)
        return -EBADMSG;
    ret->id = load_be16(message);
    ret->flags = load_be16(message + 2);
    if ((ret->flags & 0x7800u) != 0) /* not a plain query */
        return -EBADMSG;
    const uint8_t *p = parse_name(message + 12, end, ret);
    if (p == NULL || end - p < 4)
        return -EBADMSG;
    ret->qtype = load_be16(p);
    return 0;
}

static bool same_name(const struct rec_dns *r, const struct dns_question *q)
{
    if (r->name_len != q->name_len)
        return false;
    for (uint32_t i = 0; i < q->name_len; i++) { /* resolvers may play with case (RFC 4343) */
        uint8_t a = r->name[i], b = q->name[i];
        if (a != b && !((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z'))
            return false;
    }
    return true;
}

/* The flow's list of transactions: in its record, or for TCP, which has no room there, in its block for trouble. */
static uint32_t *list_of(const struct meter *m)
{
    static uint32_t none;

    if (m->f->key.proto != 6)
        return &m->f->side[0].other.dns;
    return m->f->trouble != 0 ? &trouble_of(m)->dns : &none;
}

/* The latest transaction of this id and question. */
static struct dns_entry *find(const struct meter *m, struct dns_pool *pool, const struct dns_question *q)
{
    struct dns_entry *found = NULL;

    for (uint32_t i = *list_of(m); i != 0; i = pool->entry[i].next) {
        struct dns_entry *e = &pool->entry[i];
        if (e->rec.id == q->id && e->rec.qtype == q->qtype && same_name(&e->rec, q))
            found = e;
    }
    return found;
}

static struct dns_entry *add(struct meter *m, struct dns_pool *pool, const struct dns_question *q)
{
    bool has_list = m->f->key.proto != 6 || m->f->trouble != 0 || (trouble_make(m), m->f->trouble != 0);
    uint32_t *link = list_of(m), n = 0;

    for (; *link != 0 && n < DNS_PER_FLOW; n++)
        link = &pool->entry[*link].next;
    uint32_t index = has_list && n < DNS_PER_FLOW ? entry_get(pool) : 0;
    if (index == 0) {
        m->f->flags |= FLOW_DNS_TRUNCATED;
        return NULL;
    }
    *link = index;
    struct dns_entry *e = &pool->entry[index];
    e->rec.id = q->id;
    e->rec.qtype = q->qtype;
    e->rec.name_len = q->name_len;
    memcpy(e->rec.name, q->name, q->name_len);
    return e;
}

static void on_query(struct meter *m, struct dns_pool *pool, const struct dns_question *q)
{
    struct dns_entry *e = find(m, pool, q);

    if (e != NULL && !(e->rec.flags & RDNS_ANSWERED)) {
        e->rec.retries++;
        return;
    }
    METER_TALLY(m, dns_queries, 1);
    e = add(m, pool, q);
    if (e == NULL)
        return;
    e->asked_ns = m->now_ns;
    e->rec.flags |= RDNS_QUERY_SEEN;
}

static void on_answer(struct meter *m, struct dns_pool *pool, const struct dns_question *q)
{
    struct dns_entry *e = find(m, pool, q);

    if (e == NULL)
        e = add(m, pool, q);
    if (e == NULL || (e->rec.flags & RDNS_ANSWERED))
        return;
    e->rec.flags |= RDNS_ANSWERED;
    e->rec.rcode = q->flags & RCODE_MASK;
    if (e->rec.rcode != 0)
        METER_TALLY(m, dns_failures, 1);
    if (e->rec.flags & RDNS_QUERY_SEEN) {
        e->rec.rtt_ns = m->now_ns - e->asked_ns;
        meter_hist(m, WINDOW_HIST_DNS, e->rec.rtt_ns);
    }
}

void dns_message(struct meter *m, struct dns_pool *pool, const uint8_t *message, uint32_t captured)
{
    struct dns_question q;

    if (dns_parse(message, captured, &q) != 0)
        return;
    if (q.flags & FLAG_RESPONSE)
        on_answer(m, pool, &q);
    else
        on_query(m, pool, &q);
}

void dns_meter(struct meter *m, struct dns_pool *pool)
{
    if (m->p->flags & PKT_L4_OK)
        dns_message(m, pool, m->p->data + m->p->payload_off, m->p->payload_cap);
}

uint32_t dns_finish(struct meter *m, const struct dns_pool *pool)
{
    uint32_t n = 0;

    for (uint32_t i = *list_of(m); i != 0; i = pool->entry[i].next) {
        n++;
        if (!(pool->entry[i].rec.flags & RDNS_ANSWERED))
            METER_TALLY(m, dns_unanswered, 1);
    }
    return n;
}

void dns_take(struct meter *m, struct dns_pool *pool, struct rec_dns *ret, uint32_t max)
{
    uint32_t *list = list_of(m), n = 0;

    while (*list != 0) {
        uint32_t index = *list;
        if (n < max)
            ret[n++] = pool->entry[index].rec;
        *list = pool->entry[index].next;
        entry_put(pool, index);
    }
}

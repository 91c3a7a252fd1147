/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Path MTU (RFC 1191, RFC 8201, RFC 4821) and its black holes. Two ways to notice one:
 *
 *   told    a router said "fragmentation needed" or "packet too big"; the sender goes on with packets above that size
 *           for GRACE after it, three of them: it did not hear, or does not listen. A packet that fits, and none above
 *           within the grace, means that it adapted.
 *   silent  nobody said anything, but one large segment is sent four times at growing distance, of the same size, while
 *           the receiver is alive: it has sent something since the first repeat. The first segment below that size
 * which moves on means that the sender found out by itself.
 *
 * A sender that has adapted is watched no longer (2 s after it was told), until it sends something too big again, and
 * again: the flow's other packets need not pass here.
 *
 * Either is one event pmtu.blackhole per flow and sender. A dead receiver says nothing, so it is none; loss that hits
 * the same segment four times by chance has a probability of p^4. Sizes are IP total lengths. Where the router said no
 * size (RFC 792 routers), 576 and 1280 are assumed, the least that must pass.
 */

#include "dataplane/pmtu.h"

#include <stdio.h>
#include <string.h>

#include "common/events.h"
#include "common/timefmt.h"
#include "dataplane/rec_writer.h"

#define GRACE_NS    (200 * NS_PER_MS)
#define ADAPTED_NS  (2 * NS_PER_S)
#define TOO_BIG_MAX 3u
#define REPEATS_MAX 3u /* beside the first transmission */
#define LARGE_BYTES 1281u
#define APART_NS    (100 * NS_PER_MS)

enum pmtu_flags { PMTU_TOLD = 1, PMTU_FITS = 2, PMTU_REPORTED = 4 };

/* head.dir: the sender; head.count: packets above the size, or repeats. */
struct pmtu {
    struct app_head head;
    uint32_t mtu; /* told, or 0 */
    uint32_t seq; /* silent: of the segment that is sent again and again */
    uint32_t size_bytes;
    uint32_t peer_pkts; /* of the receiver at the first repeat */
    uint64_t since_ns, last_ns;
};
APP_STATE(pmtu);

static struct pmtu *find(const struct meter *m, unsigned sender)
{
    for (uint32_t i = m->f->app; i != 0; i = app_at(&m->pools->node, i)->next) {
        struct app_head *h = app_at(&m->pools->node, i);
        if (h->kind == APP_PMTU && h->dir == sender)
            return (struct pmtu *)(void *)h;
    }
    return NULL;
}

static struct pmtu *find_or_add(struct meter *m, unsigned sender)
{
    struct pmtu *s = find(m, sender);

    if (s != NULL)
        return s;
    s = app_add(m->f, &m->pools->node, APP_PMTU);
    if (s == NULL)
        return NULL;
    s->head.dir = (uint8_t)sender;
    return s;
}

static void watch(struct meter *m)
{
    m->f->flags |= FLOW_PMTU;
    m->f->is_clean = 0;
}

static bool is_watched(const struct pmtu *s, uint64_t now_ns)
{
    bool fits = s->head.flags & PMTU_FITS;

    if (s->head.flags & PMTU_TOLD)
        return !fits || now_ns - s->since_ns < ADAPTED_NS;
    return (s->head.flags & PMTU_REPORTED) && !fits;
}

static bool any_watched(const struct meter *m)
{
    for (unsigned e = 0; e < 2; e++) {
        const struct pmtu *s = find(m, e);
        if (s != NULL && is_watched(s, m->now_ns))
            return true;
    }
    return false;
}

static void put_text(struct rec_event *e, const char *key, const char *text)
{
    struct rec_kv *kv = &e->kv[e->n_kv++];

    snprintf(kv->key, sizeof(kv->key), "%s", key);
    snprintf(kv->text, sizeof(kv->text), "%s", text);
}

static void put_number(struct rec_event *e, const char *key, int64_t number)
{
    struct rec_kv *kv = &e->kv[e->n_kv++];

    snprintf(kv->key, sizeof(kv->key), "%s", key);
    kv->number = number;
}

/* Subject: the receiver; that is the way on which packets vanish. */
static void report(struct meter *m, struct pmtu *s)
{
    char text[48];

    s->head.flags |= PMTU_REPORTED;
    watch(m);
    if (m->out == NULL)
        return;
    struct rec_event *e = rec_reserve(m->out, REC_EVENT, sizeof(*e));
    if (e == NULL)
        return;
    memset((char *)e + sizeof(e->hdr), 0, sizeof(*e) - sizeof(e->hdr));
    e->ts_ns = m->now_ns;
    e->kind = EVENT_PMTU_BLACKHOLE;
    e->severity = (uint8_t)event_kind_severity(EVENT_PMTU_BLACKHOLE);
    e->mirror = m->out->mirror;
    snprintf(e->subject, sizeof(e->subject), "%s", ip_format(&m->key->addr[1 - s->head.dir], m->f->key.af, text));
    put_text(e, "sender", ip_format(&m->key->addr[s->head.dir], m->f->key.af, text));
    put_number(e, "packet_bytes", s->size_bytes);
    if (s->head.flags & PMTU_TOLD)
        put_number(e, "mtu_bytes", s->mtu);
    put_text(e, "told", (s->head.flags & PMTU_TOLD) ? "yes" : "no");
    rec_commit(m->out);
}

void pmtu_told(struct meter *m, unsigned sender, uint32_t mtu)
{
    struct pmtu *s = find_or_add(m, sender);
    uint32_t least = m->f->key.af == 4 ? 576 : 1280;

    if (s == NULL)
        return;
    mtu = mtu != 0 ? mtu : least;
    watch(m);
    if ((s->head.flags & PMTU_TOLD) && s->mtu == mtu)
        return; /* again: the grace runs from the first time */
    s->head.flags = (uint8_t)((s->head.flags | PMTU_TOLD) & ~PMTU_FITS);
    s->head.count = 0;
    s->mtu = mtu;
    s->since_ns = m->now_ns;
}

static void after_told(struct meter *m, struct pmtu *s)
{
    uint32_t bytes = m->p->ip_bytes;

    if (bytes <= s->mtu) {
        if (m->p->payload_len != 0)
            s->head.flags |= PMTU_FITS;
        return;
    }
    if (m->now_ns - s->since_ns < GRACE_NS)
        return;
    s->head.flags &= (uint8_t)~PMTU_FITS;
    s->size_bytes = bytes;
    if (s->head.count < UINT8_MAX && ++s->head.count == TOO_BIG_MAX && !(s->head.flags & PMTU_REPORTED))
        report(m, s);
}

void pmtu_repeat(struct meter *m)
{
    const struct pkt *p = m->p;
    unsigned sender = p->sender;

    if (p->ip_bytes < LARGE_BYTES)
        return;
    struct pmtu *s = find_or_add(m, sender);
    if (s == NULL)
        return;
    if (s->head.flags & PMTU_TOLD) {
        if (p->ip_bytes > s->mtu)
            watch(m);
        return;
    }
    if (s->head.count == 0 || s->seq != p->tcp_seq || s->size_bytes != p->ip_bytes) {
        s->seq = p->tcp_seq;
        s->size_bytes = p->ip_bytes;
        s->peer_pkts = m->f->side[1 - sender].pkts;
        s->head.count = 1;
    } else if (m->now_ns - s->last_ns >= APART_NS && s->head.count < UINT8_MAX) {
        s->head.count++;
    }
    s->last_ns = m->now_ns;
    bool alive = m->f->side[1 - sender].pkts > s->peer_pkts;
    if (s->head.count >= REPEATS_MAX && alive && !(s->head.flags & PMTU_REPORTED))
        report(m, s);
}

void pmtu_meter(struct meter *m)
{
    struct pmtu *s = find(m, m->p->sender);

    if (s != NULL && (s->head.flags & PMTU_TOLD))
        after_told(m, s);
    else if (s != NULL && m->p->payload_len != 0 && m->p->ip_bytes < s->size_bytes && (s->head.flags & PMTU_REPORTED))
        s->head.flags |= PMTU_FITS;
    if (!any_watched(m))
        m->f->flags &= (uint16_t)~FLOW_PMTU;
}

void pmtu_take(const struct flow *f, const struct app_head *h, struct rec_flow *r)
{
    const struct pmtu *s = (const struct pmtu *)(const void *)h;
    unsigned side = h->dir == f->client ? C2S : S2C;

    if (!(h->flags & (PMTU_TOLD | PMTU_REPORTED)))
        return;
    r->pmtu[side] = (struct rec_pmtu){.mtu_bytes = s->mtu,
                                      .too_big_pkts = h->count,
                                      .told = (h->flags & PMTU_TOLD) != 0,
                                      .adapted = (h->flags & PMTU_FITS) != 0,
                                      .black_hole = (h->flags & PMTU_REPORTED) != 0};
    r->flags |= RFLOW_PMTU;
}

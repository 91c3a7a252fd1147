/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * QUIC (RFC 8999, 9000, 9369 and the drafts) hides nearly everything, so there are two estimators.
 *
 * Handshake: a client's first Initial to the server's first packet is tap -> server -> tap, and from there to the
 * client's next packet is tap -> client -> tap, as with SYN, SYN/ACK and ACK; a Retry or Version Negotiation is an
 * answer, too. An Initial that is sent again later than 5 ms (one flight may be two datagrams) before the answer makes
 * the first ambiguous. Both include the endpoints' time for cryptography.
 *
 * Spin bit (RFC 9000 section 17.4, RFC 9312): the server repeats the client's value, the client inverts the server's,
 * so each value is an edge once a round trip. From an edge of the client's to the server's next is the server's side,
 * from the server's to the client's next the client's side; from edge to edge in one direction is the whole. Biases: an
 * application that pauses lengthens them; one packet in sixteen or more does not take part and sends a constant (no
 * edge, no sample) or noise. Noise and reordering make short false edges: an edge that comes sooner than a quarter of
 * the smaller of the handshake's whole round trip and the mean so far is dropped with its reference, and a connection
 * where more than a third of the edges are dropped publishes no spin figures.
 *
 * A bit that never made a whole turn does not spin: no figures.
 *
 * Only the first QUIC packet of a datagram is read. A connection is known by its Initial; picked up later, or after a
 * migration to other addresses, it is plain UDP.
 */

#include "dataplane/quic.h"

#include <errno.h>

#include "common/bytes.h"
#include "common/timefmt.h"

#define VERSION_1      0x00000001u
#define VERSION_2      0x6b3343cfu
#define FLIGHT_NS      (5 * NS_PER_MS)
#define SPIN_BIT       0x20u
#define FIXED_BIT      0x40u
#define EDGES_TO_JUDGE 8u

enum quic_flags {
    QUIC_ANSWERED = 1,
    QUIC_AMBIGUOUS = 2, /* the Initial was sent twice */
    QUIC_HAS_SERVER = 4,
    QUIC_HAS_CLIENT = 8,
    QUIC_SPIN_SEEN = 16,  /* << endpoint: its last spin value counts */
    QUIC_SPIN_VALUE = 64, /* << endpoint */
};

struct quic {
    struct app_head head; /* dir: the client; flags: enum quic_flags */
    uint32_t version;
    uint16_t edges, false_edges;
    uint64_t initial_ns, answer_ns;
    uint64_t server_ns, client_ns; /* round trips of the handshake */
    uint64_t edge_ns[2];           /* by sender, 0 = none that may be used */
};
APP_STATE(quic);

struct quic_sides {
    struct app_head head;
    struct rtt_small side[2]; /* tap <-> endpoint */
};
APP_STATE(quic_sides);

struct quic_full {
    struct app_head head;
    struct rtt_small whole;
};
APP_STATE(quic_full);

/* Versions that use the header of RFC 9000; the type of an Initial moved in version 2. */
static bool is_known(uint32_t version)
{
    return version == VERSION_1 || version == VERSION_2 || version >> 8 == 0xff0000u || version >> 8 == 0xfaceb0u;
}

int quic_parse(const uint8_t *payload, uint32_t captured, struct quic_header *ret)
{
    if (captured < 7 || (payload[0] & 0xc0) != 0xc0)
        return -EBADMSG;
    uint32_t version = load_be32(payload + 1), type = payload[0] >> 4 & 3;
    bool one_length_byte = version >> 8 == 0xff0000u && (version & 0xff) < 22; /* of both ids, in older drafts */
    if (!is_known(version) || (payload[5] > 20 && !one_length_byte))
        return -EBADMSG;
    *ret = (struct quic_header){.version = version, .is_initial = type == (version == VERSION_2 ? 1 : 0)};
    return 0;
}

/* A client's first datagram is padded to 1200 bytes (RFC 9000 section 14.1). */
static struct quic *begin(struct meter *m)
{
    const struct pkt *p = m->p;
    struct quic_header h;

    if (quic_parse(p->data + p->payload_off, p->payload_cap, &h) != 0 || !h.is_initial || p->payload_len < 1200)
        return NULL;
    struct quic *q = app_add(m->f, &m->pools->node, APP_QUIC);
    if (q == NULL)
        return NULL;
    q->head.dir = p->sender;
    q->version = h.version;
    q->initial_ns = m->now_ns;
    return q;
}

/* ---- handshake ---- */

static void on_handshake(struct meter *m, struct quic *q)
{
    bool from_client = m->p->sender == q->head.dir;
    struct quic_header h;

    if (!(q->head.flags & QUIC_ANSWERED)) {
        if (from_client) {
            bool again = m->now_ns - q->initial_ns > FLIGHT_NS;
            q->head.flags |= again ? QUIC_AMBIGUOUS : 0;
            return;
        }
        q->head.flags |= QUIC_ANSWERED;
        q->answer_ns = m->now_ns;
        if (!(q->head.flags & QUIC_AMBIGUOUS)) {
            q->server_ns = m->now_ns - q->initial_ns;
            q->head.flags |= QUIC_HAS_SERVER;
        }
    } else if (from_client && q->client_ns == 0) {
        q->client_ns = m->now_ns - q->answer_ns;
        q->head.flags |= QUIC_HAS_CLIENT;
        if (quic_parse(m->p->data + m->p->payload_off, m->p->payload_cap, &h) == 0)
            q->version = h.version; /* after negotiation */
    }
}

/* ---- spin bit ---- */

static uint64_t plausible_ns(const struct meter *m, const struct quic *q)
{
    const struct quic_full *full = app_find(m->f, &m->pools->node, APP_QUIC_FULL);
    uint64_t handshake_ns = q->server_ns + q->client_ns;
    uint32_t n = full != NULL ? rtt_small_n(&full->whole) : 0;
    uint64_t mean_ns = n != 0 ? rtt_small_sum_ns(&full->whole) / n : 0;

    if (mean_ns == 0 || (handshake_ns != 0 && handshake_ns < mean_ns))
        mean_ns = handshake_ns;
    return mean_ns / 4;
}

/* The edge of `s` is at now: what does it end? */
static void on_edge(struct meter *m, struct quic *q, unsigned s)
{
    uint64_t own_ns = q->edge_ns[s], other_ns = q->edge_ns[1 - s];

    q->edges = (uint16_t)(q->edges + (q->edges != UINT16_MAX));
    if (own_ns != 0 && m->now_ns - own_ns < plausible_ns(m, q)) {
        q->false_edges = (uint16_t)(q->false_edges + (q->false_edges != UINT16_MAX));
        q->edge_ns[0] = q->edge_ns[1] = 0;
        return;
    }
    if (other_ns > own_ns && other_ns != 0) {
        struct quic_sides *sides = app_get(m->f, &m->pools->node, APP_QUIC_SIDES);
        if (sides != NULL)
            rtt_small_add_most(&sides->side[s], m->now_ns - other_ns); /* the tap's edge came back from s */
    }
    if (own_ns != 0) {
        struct quic_full *full = app_get(m->f, &m->pools->node, APP_QUIC_FULL);
        if (full != NULL)
            rtt_small_add_most(&full->whole, m->now_ns - own_ns);
    }
    q->edge_ns[s] = m->now_ns;
}

static void on_spin(struct meter *m, struct quic *q, uint8_t first)
{
    unsigned s = m->p->sender;
    uint8_t seen = (uint8_t)(QUIC_SPIN_SEEN << s), value = (uint8_t)(QUIC_SPIN_VALUE << s);
    bool spin = (first & SPIN_BIT) != 0, before = (q->head.flags & value) != 0;

    if ((q->head.flags & seen) && spin != before)
        on_edge(m, q, s);
    q->head.flags = (uint8_t)((q->head.flags & ~value) | seen | (spin ? value : 0));
}

bool quic_meter(struct meter *m)
{
    const struct pkt *p = m->p;
    const uint8_t *payload = p->data + p->payload_off;
    struct quic *q = app_find(m->f, &m->pools->node, APP_QUIC);

    if (p->payload_cap == 0)
        return false;
    if (q == NULL) {
        bool may_begin = (payload[0] & 0xc0) == 0xc0 && app_count(m->f, &m->pools->node, APP_RTP) == 0;
        return may_begin && begin(m) != NULL;
    }
    on_handshake(m, q);
    if ((payload[0] & (0x80 | FIXED_BIT)) == FIXED_BIT)
        on_spin(m, q, payload[0]);
    return true;
}

/* Not a single turn, or too many edges that cannot be. */
static bool is_noise(const struct quic *q, const struct rec_flow *r)
{
    return r->spin_rtt_full.n == 0 || (q->edges >= EDGES_TO_JUDGE && 3u * q->false_edges > q->edges);
}

static void take_connection(const struct flow *f, const struct quic *q, struct rec_flow *r)
{
    r->flags |= RFLOW_QUIC;
    r->quic_version = q->version;
    r->quic_handshake_ns = (q->head.flags & QUIC_HAS_SERVER) ? q->server_ns : 0;
    r->quic_client_ns = (q->head.flags & QUIC_HAS_CLIENT) ? q->client_ns : 0;
    if (q->head.dir != f->client) { /* learnt by its port, which was wrong; the sides stay those of the record */
        r->quic_handshake_ns = r->quic_client_ns;
        r->quic_client_ns = (q->head.flags & QUIC_HAS_SERVER) ? q->server_ns : 0;
    }
    if (is_noise(q, r))
        r->spin_rtt[0] = r->spin_rtt[1] = r->spin_rtt_full = (struct rec_rtt){0};
}

void quic_take(const struct flow *f, const struct app_head *h, struct rec_flow *r)
{
    if (h->kind == APP_QUIC_SIDES) {
        const struct quic_sides *sides = (const struct quic_sides *)(const void *)h;
        for (unsigned side = 0; side < 2; side++)
            r->spin_rtt[side] = rtt_small_rec(&sides->side[side == 0 ? f->client : 1 - f->client]);
    } else if (h->kind == APP_QUIC_FULL) {
        r->spin_rtt_full = rtt_small_rec(&((const struct quic_full *)(const void *)h)->whole);
    } else if (h->kind == APP_QUIC) { /* the oldest, so the last in the list */
        take_connection(f, (const struct quic *)(const void *)h, r);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See fragment.h. What was seen of a datagram is a list of at most RANGES byte ranges, ascending in no order, merged as
 * they touch: in order, and in reverse, one is enough. A piece that lies within what was seen is a repeat.
 */

#include "dataplane/decode/fragment.h"

#include <errno.h>
#include <sys/random.h>

#include "dataplane/memory.h"

#define SETS      1024u
#define WAYS      4u
#define RANGES    4u
#define BYTES_MAX 65535u

/* Compared as bytes. */
struct fragment_key {
    struct ip_addr addr[2]; /* sender, receiver */
    uint32_t id;
    uint32_t tunnel_id;
    uint16_t vlan;
    uint8_t tunnel, af;
    uint8_t proto; /* 0 in IPv6: the first fragment's counts */
    uint8_t zero[3];
};
static_assert(sizeof(struct fragment_key) == 48, "fragment_key is compared as bytes");

struct byte_range {
    uint32_t start, end;
};

/* What the TCP header in the first fragment said. */
struct tcp_header {
    uint32_t seq, ack, tsval, tsecr;
    uint16_t window, flags; /* flags: enum pkt_flags that it set */
    uint8_t tcp_flags, n_sack;
    struct sack_block sack[MAX_SACK];
};

enum entry_flags {
    ENTRY_FIRST = 1 << 0,     /* ports, proto and kind count */
    ENTRY_TCP = 1 << 1,       /* tcp and head_bytes count */
    ENTRY_MALFORMED = 1 << 2, /* never judged */
    ENTRY_WHOLE = 1 << 3,
};

/* first_ns = 0: never used. */
struct fragment_entry {
    struct fragment_key key;
    uint64_t first_ns;
    uint16_t port[2];
    uint8_t proto, kind;
    uint8_t flags; /* enum entry_flags */
    uint8_t n_seen;
    uint32_t whole_bytes; /* 0: the last piece was not seen */
    uint32_t head_bytes;  /* in front of the TCP payload */
    struct byte_range seen[RANGES];
    struct tcp_header tcp;
};

int fragments_init(struct fragments *f)
{
    *f = (struct fragments){0};
    if (getrandom(f->seed, sizeof(f->seed), 0) != sizeof(f->seed))
        return -EIO;
    f->entry = memory_map(SETS * WAYS * sizeof(*f->entry));
    return f->entry != NULL ? 0 : -ENOMEM;
}

void fragments_fini(struct fragments *f)
{
    memory_unmap(f->entry, SETS * WAYS * sizeof(*f->entry));
    f->entry = NULL;
}

/* ---- the table ---- */

static struct fragment_entry *set_of(const struct fragments *f, const struct fragment_key *key)
{
    uint64_t word[sizeof(*key) / 8], h = f->seed[0];

    memcpy(word, key, sizeof(word));
    for (unsigned i = 0; i < sizeof(word) / 8; i++)
        h = mix64(h ^ word[i]) + f->seed[1];
    return &f->entry[(h >> 32) % SETS * WAYS];
}

static struct fragment_key key_of(const struct cursor *c, const struct pkt *p)
{
    struct fragment_key key = {.id = c->piece.id,
                               .tunnel_id = p->key.tunnel_id,
                               .vlan = vlan_for_key(c, p),
                               .tunnel = p->key.tunnel,
                               .af = p->key.af,
                               .proto = p->key.af == 4 ? p->key.proto : 0};
    memcpy(key.addr, p->key.addr, sizeof(key.addr));
    return key;
}

static void start(struct fragment_entry *e, const struct fragment_key *key, uint64_t now_ns)
{
    *e = (struct fragment_entry){.key = *key, .first_ns = now_ns};
}

static bool is_alive(const struct fragment_entry *e, uint64_t now_ns)
{
    return e->first_ns != 0 && now_ns - e->first_ns <= FRAGMENT_MAX_AGE_NS;
}

/* The datagram's entry, made if it is not there. */
static struct fragment_entry *get(struct fragments *f, const struct fragment_key *key, uint64_t now_ns, bool is_first)
{
    struct fragment_entry *set = set_of(f, key), *victim = set;

    for (unsigned i = 0; i < WAYS; i++) {
        struct fragment_entry *e = &set[i];
        if (is_alive(e, now_ns) && memcmp(&e->key, key, sizeof(*key)) == 0) {
            if (is_first && now_ns - e->first_ns > FRAGMENT_COPY_NS)
                start(e, key, now_ns);
            return e;
        }
        if (e->first_ns < victim->first_ns)
            victim = e;
    }
    f->evicted += is_alive(victim, now_ns) && !(victim->flags & ENTRY_WHOLE);
    start(victim, key, now_ns);
    return victim;
}

/* ---- what was seen ---- */

/* Takes in [r.start, r.end); false if it overlaps in part, or there are too many ranges. */
static bool add_range(struct fragment_entry *e, struct byte_range r)
{
    for (unsigned i = 0; i < e->n_seen; i++) {
        const struct byte_range *seen = &e->seen[i];
        if (r.start >= seen->start && r.end <= seen->end)
            return true;
        if (r.start < seen->end && seen->start < r.end)
            return false;
    }
    for (unsigned i = 0; i < e->n_seen;) { /* it takes its neighbours in */
        if (e->seen[i].end != r.start && e->seen[i].start != r.end) {
            i++;
            continue;
        }
        r.start = e->seen[i].start < r.start ? e->seen[i].start : r.start;
        r.end = e->seen[i].end > r.end ? e->seen[i].end : r.end;
        e->seen[i] = e->seen[--e->n_seen];
    }
    if (e->n_seen == RANGES)
        return false;
    e->seen[e->n_seen++] = r;
    return true;
}

static bool add_piece(struct fragment_entry *e, const struct piece *piece)
{
    uint32_t end = piece->from_bytes + piece->len_bytes;

    if (end > BYTES_MAX || piece->len_bytes == 0 || (piece->more && piece->len_bytes % 8 != 0))
        return false;
    if (!piece->more && e->whole_bytes != 0 && e->whole_bytes != end)
        return false;
    if (!piece->more)
        e->whole_bytes = end;
    return (e->whole_bytes == 0 || end <= e->whole_bytes) && add_range(e, (struct byte_range){piece->from_bytes, end});
}

static bool is_whole(const struct fragment_entry *e)
{
    return !(e->flags & ENTRY_MALFORMED) && (e->flags & ENTRY_FIRST) && e->whole_bytes != 0 && e->n_seen == 1 &&
           e->seen[0].start == 0 && e->seen[0].end == e->whole_bytes;
}

/* ---- ports, and the header of a segment ---- */

static void leave_tcp(struct fragment_entry *e, const struct piece *piece, const struct pkt *p)
{
    e->flags |= ENTRY_TCP;
    e->head_bytes = piece->len_bytes - p->payload_len;
    e->tcp = (struct tcp_header){.seq = p->tcp_seq,
                                 .ack = p->tcp_ack,
                                 .tsval = p->tsval,
                                 .tsecr = p->tsecr,
                                 .window = p->tcp_window,
                                 .flags = p->flags & (PKT_HAS_TS | PKT_HAS_SACK_PERM),
                                 .tcp_flags = p->tcp_flags,
                                 .n_sack = p->n_sack};
    memcpy(e->tcp.sack, p->sack, p->n_sack * sizeof(p->sack[0]));
}

static void take_tcp(const struct fragment_entry *e, struct pkt *p)
{
    p->tcp_seq = e->tcp.seq;
    p->tcp_ack = e->tcp.ack;
    p->tsval = e->tcp.tsval;
    p->tsecr = e->tcp.tsecr;
    p->tcp_window = e->tcp.window;
    p->tcp_flags = e->tcp.tcp_flags;
    p->n_sack = e->tcp.n_sack;
    memcpy(p->sack, e->tcp.sack, e->tcp.n_sack * sizeof(p->sack[0]));
    p->payload_len = e->whole_bytes - e->head_bytes;
    p->flags |= e->tcp.flags | PKT_L4_OK;
}

static void leave_ports(struct fragment_entry *e, const struct piece *piece, const struct pkt *p)
{
    bool has_header = p->flags & PKT_L4_OK;

    if (!(e->flags & ENTRY_FIRST)) {
        memcpy(e->port, p->key.port, sizeof(e->port));
        e->proto = p->key.proto;
        e->kind = p->key.kind;
        if (p->key.proto == 6 && has_header)
            leave_tcp(e, piece, p);
    }
    e->flags |= ENTRY_FIRST;
}

static void take_ports(struct fragments *f, const struct fragment_entry *e, struct pkt *p)
{
    if (!(e->flags & ENTRY_FIRST)) {
        f->unmatched++;
        return;
    }
    memcpy(p->key.port, e->port, sizeof(e->port));
    p->key.proto = e->proto;
    p->key.kind = e->kind;
}

/* A first fragment that is too small on the wire for its L4 header, not one of which the mirror kept too little. */
static bool is_tiny(const struct piece *piece, const struct pkt *p)
{
    return p->key.proto == 6 && piece->from_bytes == 0 && !(p->flags & (PKT_L4_OK | PKT_TRUNCATED));
}

void fragment_note(const struct cursor *c, struct pkt *p)
{
    struct fragments *f = c->options->fragments;
    const struct piece *piece = &c->piece;

    p->frag_off = (uint16_t)(piece->from_bytes / 8);
    if (f == NULL)
        return;
    struct fragment_key key = key_of(c, p);
    struct fragment_entry *e = get(f, &key, p->ts_ns, piece->from_bytes == 0);
    bool was_malformed = e->flags & ENTRY_MALFORMED, is_first = piece->from_bytes == 0;

    f->pieces++;
    if (!add_piece(e, piece) || is_tiny(piece, p))
        e->flags |= ENTRY_MALFORMED;
    f->malformed += !was_malformed && (e->flags & ENTRY_MALFORMED);
    if (is_first)
        leave_ports(e, piece, p);
    else
        take_ports(f, e, p);
    if (p->key.proto != 6)
        return;
    p->flags &= (uint16_t)~PKT_L4_OK;
    if (is_whole(e) && !(e->flags & ENTRY_WHOLE)) {
        e->flags |= ENTRY_WHOLE;
        if (e->flags & ENTRY_TCP)
            take_tcp(e, p);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DECODE_H
#define SPANWARD_DECODE_H

/*
 * Decoding a batch: from the link header to TCP, UDP or ICMP.
 *
 * A decoder looks at the bytes under the cursor and either ends the packet (a verdict) or names the next layer. The
 * cursor knows the captured end, and the *datagram's* end once an IP header was seen (padding behind it is not
 * payload). No wire length ever bounds a read: need() compares with the captured bytes. At most MAX_LAYERS layers.
 *
 * What is inside a tunnel over IP is tried: if it turns out to be no tunnel, or what it carries cannot be read (a type
 * that no decoder knows, a header that is cut or contradicts itself), the packet is decoded once more and the carrier
 * is then an ordinary UDP or other flow. So a decoder refuses by a drop, no state of p has to be taken back, and no
 * packet costs more than two walks. See tunnel.h.
 *
 * Adding a decoder: one file that defines `const struct decoder decoder_NAME`, one line in DECODERS below, its file in
 * ../meson.build, and the ethertype, IP protocol or UDP port that leads to it in next_*() of its parent.
 */

#include "common/bytes.h"
#include "dataplane/batch.h"

/* name: file and symbol of each decoder, in the order of enum layer. */
#define DECODERS(X)                                                                                                    \
    X(ethernet)                                                                                                        \
    X(raw_ip)                                                                                                          \
    X(sll)                                                                                                             \
    X(sll2)                                                                                                            \
    X(fddi)                                                                                                            \
    X(null)                                                                                                            \
    X(llc)                                                                                                             \
    X(vlan)                                                                                                            \
    X(ipv4)                                                                                                            \
    X(ipv6)                                                                                                            \
    X(tcp)                                                                                                             \
    X(udp)                                                                                                             \
    X(icmp)                                                                                                            \
    X(icmpv6)                                                                                                          \
    X(other_l4)                                                                                                        \
    X(mpls)                                                                                                            \
    X(pppoe)                                                                                                           \
    X(ppp)                                                                                                             \
    X(ip_in_ip)                                                                                                        \
    X(gre)                                                                                                             \
    X(vxlan)                                                                                                           \
    X(vxlan_gpe)                                                                                                       \
    X(geneve)                                                                                                          \
    X(gtpu)                                                                                                            \
    X(l2tp_ip)                                                                                                         \
    X(l2tp_udp)                                                                                                        \
    X(tzsp)

enum layer {
#define X(name) LAYER_##name,
    DECODERS(X)
#undef X
        LAYER_COUNT,
    LAYER_DONE = LAYER_COUNT, /* verdict is set */
};

/* A fragment: what an IP datagram of which there are several pieces says of this one. */
struct piece {
    bool is_set;
    bool more;           /* not the last */
    uint32_t id;         /* 16 bits in IPv4, 32 in IPv6 */
    uint32_t from_bytes; /* offset in the whole */
    uint32_t len_bytes;
};

struct cursor {
    const uint8_t *p;     /* next byte */
    const uint8_t *end;   /* captured end */
    uint32_t wire_left;   /* bytes from p to the end of the datagram or frame on the wire */
    uint8_t l4_proto;     /* what the last IP header announced */
    uint8_t fragment;     /* not the first fragment: no L4 header here */
    uint8_t vlan_base;    /* index of the first tag of the innermost Ethernet frame */
    uint16_t carrier_off; /* L4 header that carries the innermost tunnel, 0 = no tunnel over IP */
    uint16_t plain_off;   /* L4 header whose payload is not to be looked into, 0 = none */
    struct piece piece;   /* of the innermost IP datagram */
    const struct decode_options *options;
};

struct decoder {
    const char *name;
    enum layer (*decode)(struct cursor *c, struct pkt *p);
};

#define X(name) extern const struct decoder decoder_##name;
DECODERS(X)
#undef X

struct decode_options {
    bool vlan_in_key;
    struct fragments *fragments; /* of the worker; NULL: every fragment stands for itself */
};

/* Decodes every packet of the batch. */
void decode_batch(struct batch *b, const struct decode_options *options);

/* Which of the short ways is taken where it may be: asked of the processor at the first burst. A test sets it. */
enum { DECODE_ANY, DECODE_NARROW, DECODE_WIDE };
extern _Atomic int decode_ways;

/* Helpers for decoders. */
static inline bool need(const struct cursor *c, uint32_t bytes)
{
    return (uint64_t)(c->end - c->p) >= bytes;
}

static inline void advance(struct cursor *c, uint32_t bytes)
{
    c->p += bytes;
    c->wire_left = c->wire_left > bytes ? c->wire_left - bytes : 0;
}

static inline enum layer drop(struct pkt *p, enum ledger_drop why)
{
    p->verdict = PKT_DROP0 + why;
    return LAYER_DONE;
}

/* 0 unless the VLAN is part of the key: then the first tag of the innermost Ethernet frame. */
static inline uint16_t vlan_for_key(const struct cursor *c, const struct pkt *p)
{
    return c->options->vlan_in_key && p->n_vlans > c->vlan_base ? p->vlan[c->vlan_base] : 0;
}

/* Too few bytes: captured short, or a frame that is too short in itself. */
static inline enum layer drop_short(struct pkt *p)
{
    return drop(p, p->snap_len < p->wire_len ? LEDGER_decode_short : LEDGER_decode_bad);
}

/* The options that most segments have, and nothing else: two NOPs and timestamps, 12 bytes. */
#define TCP_OPTIONS_USUAL 0x0101080au

static inline void tcp_usual_options(struct pkt *p, const uint8_t *o)
{
    p->tsval = load_be32(o + 4);
    p->tsecr = load_be32(o + 8);
    p->flags |= PKT_HAS_TS;
}

/* The options of a TCP header, [o, end). */
void tcp_parse_options(struct pkt *p, const uint8_t *o, const uint8_t *end);

/* Of the two MAC addresses at h, which has 14 bytes; the same for both directions of a segment. */
static inline uint32_t l2_pair_hash(const uint8_t *h)
{
    uint64_t to, from;

    memcpy(&to, h, sizeof(to));
    memcpy(&from, h + 6, sizeof(from));
    return (uint32_t)fold64((to & 0xffffffffffffull) ^ 0x9e3779b97f4a7c15ull,
                            (from & 0xffffffffffffull) ^ 0x9e3779b97f4a7c15ull);
}

enum layer next_by_ethertype(struct pkt *p, uint16_t ethertype);
bool is_known_l2(uint16_t ethertype); /* frames that are known to carry no IP */
enum layer next_by_ip_proto(uint8_t proto);

/* Puts the endpoints of p->key in canonical order; call once both addresses and ports are in sender, receiver order. */
void key_finish(struct pkt *p);

#endif

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
    X(other_l4)

enum layer {
#define X(name) LAYER_##name,
    DECODERS(X)
#undef X
        LAYER_COUNT,
    LAYER_DONE = LAYER_COUNT, /* verdict is set */
};

struct cursor {
    const uint8_t *p;   /* next byte */
    const uint8_t *end; /* captured end */
    uint32_t wire_left; /* bytes from p to the end of the datagram or frame on the wire */
    uint8_t l4_proto;   /* what the last IP header announced */
    uint8_t fragment;   /* not the first fragment: no L4 header here */
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
};

/* Decodes every packet of the batch. */
void decode_batch(struct batch *b, const struct decode_options *options);

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

/* Too few bytes: captured short, or a frame that is too short in itself. */
static inline enum layer drop_short(struct pkt *p)
{
    return drop(p, p->snap_len < p->wire_len ? LEDGER_decode_short : LEDGER_decode_bad);
}

enum layer next_by_ethertype(struct pkt *p, uint16_t ethertype);
enum layer next_by_ip_proto(uint8_t proto);

/* Puts the endpoints of p->key in canonical order; call once both addresses and ports are in sender, receiver order. */
void key_finish(struct pkt *p);

#endif

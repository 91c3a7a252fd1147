/* SPDX-License-Identifier: BSD-3-Clause */

/* The loop that walks the layers of each packet; see decode.h. */

#include <stdatomic.h>

#include "dataplane/decode/decode.h"
#include "dataplane/decode/fragment.h"
#include "dataplane/decode/inside.h"
#include "dataplane/decode/plain.h"
#include "dataplane/decode/wide.h"

#define AHEAD   8u /* packets whose headers are fetched in advance */

#define X(name) [LAYER_##name] = &decoder_##name,
static const struct decoder *const decoders[LAYER_COUNT] = {DECODERS(X)};
#undef X

static enum layer first_layer(enum link_type link)
{
    static const enum layer first[LINK_COUNT] = {
        [LINK_ETHERNET] = LAYER_ethernet, [LINK_RAW_IP] = LAYER_raw_ip, [LINK_SLL] = LAYER_sll,
        [LINK_SLL2] = LAYER_sll2,         [LINK_FDDI] = LAYER_fddi,     [LINK_NULL] = LAYER_null,
    };
    return first[link];
}

/* They count as processed. */
bool is_known_l2(uint16_t ethertype)
{
    switch (ethertype) {
    case 0x0806: /* ARP */
    case 0x8035: /* RARP */
    case 0x88cc: /* LLDP */
    case 0x8809: /* slow protocols: LACP */
    case 0x8863: /* PPPoE discovery */
    case 0x888e: /* 802.1X */
    case 0x88e7: /* PBB */
    case 0x8902: /* CFM */
    case 0x88f7: /* PTP */
    case 0x88e5: /* MACsec */
    case 0x9000: /* loopback test */
    case 0x890d: /* TDLS */
        return true;
    default:
        return false;
    }
}

enum layer next_by_ethertype(struct pkt *p, uint16_t ethertype)
{
    switch (ethertype) {
    case 0x0800:
        return LAYER_ipv4;
    case 0x86dd:
        return LAYER_ipv6;
    case 0x8100:
    case 0x88a8:
    case 0x9100:
    case 0x9200:
        return LAYER_vlan;
    case 0x8847:
    case 0x8848: /* upstream-assigned labels, RFC 5332 */
        return LAYER_mpls;
    case 0x8864:
        return LAYER_pppoe;
    default:
        if (ethertype <= 1500)
            return LAYER_llc;
        if (!is_known_l2(ethertype))
            return drop(p, LEDGER_decode_unknown);
        p->verdict = PKT_L2;
        return LAYER_DONE;
    }
}

enum layer next_by_ip_proto(uint8_t proto)
{
    if (proto == 6)
        return LAYER_tcp;
    switch (proto) {
    case 17:
        return LAYER_udp;
    case 1:
        return LAYER_icmp;
    case 58:
        return LAYER_icmpv6;
    case 4:   /* IPv4 */
    case 41:  /* IPv6 */
    case 137: /* MPLS, RFC 4023 */
        return LAYER_ip_in_ip;
    case 47:
        return LAYER_gre;
    case 115:
        return LAYER_l2tp_ip;
    default:
        return LAYER_other_l4;
    }
}

void key_finish(struct pkt *p)
{
    int order = memcmp(&p->key.addr[0], &p->key.addr[1], sizeof(struct ip_addr));

    if (order < 0 || (order == 0 && p->key.port[0] <= p->key.port[1])) {
        p->sender = 0;
        return;
    }
    struct ip_addr addr = p->key.addr[0];
    uint16_t port = p->key.port[0];
    p->key.addr[0] = p->key.addr[1];
    p->key.port[0] = p->key.port[1];
    p->key.addr[1] = addr;
    p->key.port[1] = port;
    p->sender = 1;
}

/* All that decoders fill in. */
static inline void clear_decoded(struct pkt *p)
{
    static_assert(offsetof(struct pkt, copy_delay_ns) > offsetof(struct pkt, sack), "nothing of a decoder's behind");
    memset(&p->id, 0, offsetof(struct pkt, sack) - offsetof(struct pkt, id));
    p->has_id = p->has_key = 0;
    p->verdict = PKT_FLOW;
    p->l2_hash = 0;
}

/* plain_off: see struct cursor. Returns the carrier of the innermost tunnel. */
static uint16_t walk(struct pkt *p, enum layer layer, const struct decode_options *options, uint16_t plain_off)
{
    struct cursor c = {.p = p->data,
                       .end = p->data + p->cap_len,
                       .wire_left = p->wire_len,
                       .plain_off = plain_off,
                       .options = options};
    unsigned depth = 0;

    clear_decoded(p);
    if (p->snap_len < p->wire_len)
        p->flags |= PKT_TRUNCATED;
    if (p->rx_vlan != RX_NO_VLAN)
        p->vlan[p->n_vlans++] = p->rx_vlan;
    while (layer != LAYER_DONE) {
        if (depth++ == MAX_LAYERS) {
            drop(p, LEDGER_too_many_layers);
            return 0;
        }
        layer = decoders[layer]->decode(&c, p);
    }
    if (p->verdict == PKT_FLOW) {
        if (c.piece.is_set)
            fragment_note(&c, p);
        p->key.vlan = vlan_for_key(&c, p);
        key_finish(p);
        p->has_key = 1;
    }
    return c.carrier_off;
}

static void decode_one(struct pkt *p, enum layer first, const struct decode_options *options)
{
    uint16_t carrier_off = walk(p, first, options, 0);

    if (__builtin_expect(pkt_is_drop(p) && carrier_off != 0, 0))
        walk(p, first, options, carrier_off);
}

void decode_narrow(struct pkt *p, const struct decode_options *options)
{
    if (!decode_plain(p, 6) && !decode_inside(p) && !decode_plain(p, 17))
        decode_one(p, LAYER_ethernet, options);
}

_Atomic int decode_ways = DECODE_ANY;

/* Workers that ask at the same time find the same. */
static bool wide_may(void)
{
    int ways = atomic_load_explicit(&decode_ways, memory_order_relaxed);

    if (__builtin_expect(ways == DECODE_ANY, 0)) {
        ways = decode_wide_can() ? DECODE_WIDE : DECODE_NARROW;
        atomic_store_explicit(&decode_ways, ways, memory_order_relaxed);
    }
    return ways == DECODE_WIDE;
}

void decode_batch(struct batch *b, const struct decode_options *options)
{
    enum layer first = first_layer(b->link);
    bool may_be_plain = first == LAYER_ethernet && !options->vlan_in_key;

    for (uint32_t i = 0; i < b->n && i < DECODE_AHEAD; i++)
        decode_fetch(&b->pkt[i]);
    if (may_be_plain && wide_may()) {
        decode_wide(b, options);
        return;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (i + DECODE_AHEAD < b->n)
            decode_fetch(&b->pkt[i + DECODE_AHEAD]);
        if (may_be_plain)
            decode_narrow(&b->pkt[i], options);
        else
            decode_one(&b->pkt[i], first, options);
    }
}

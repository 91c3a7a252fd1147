/* SPDX-License-Identifier: BSD-3-Clause */

/* The loop that walks the layers of each packet; see decode.h. */

#include "dataplane/decode/decode.h"
#include "dataplane/decode/fragment.h"

#define AHEAD   8u /* packets whose first line is fetched in advance */

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

/* Endpoints in canonical order without a branch, since which one sent the packet nobody can foretell. */
static inline void set_plain_id(struct pkt *p, const uint8_t *ip, const uint8_t *tcp)
{
    uint64_t addrs, wire_addrs = load_be64(ip + 12);
    uint32_t ports = load_be32(tcp);

    memcpy(&addrs, ip + 12, sizeof(addrs));
    unsigned swap = (wire_addrs >> 32 << 16 | ports >> 16) > ((wire_addrs & UINT32_MAX) << 16 | (ports & UINT16_MAX));
    p->sender = (uint8_t)swap;
    p->id.w[0] = rotate64(addrs, 32 * swap);
    p->id.w[1] = rotate32(ports, 16 - 16 * swap); /* the first is in the low half */
    p->id.w[2] = 6u << 16 | 4u << 24;             /* proto and af */
    p->has_id = 1;
    p->has_key = 0;
}

/*
 * IPv4 without options from byte l3 on, whole, with TCP: the rest of try_plain_tcp. Every field that counts for such a
 * packet is set here, so nothing has to be cleared; a test compares with the walk.
 */
static inline __attribute__((always_inline)) bool plain_tcp(struct pkt *p, const uint32_t l3)
{
    const uint8_t *h = p->data, *ip = h + l3, *tcp = ip + 20;
    uint32_t ip_bytes = load_be16(ip + 2), header_bytes = (tcp[12] & 0xf0u) >> 2, payload_off = l3 + 20 + header_bytes;
    uint32_t end = l3 + ip_bytes;

    if ((load_be32(ip + 6) & 0x3fff00ff) != 6) /* no fragment; the protocol */
        return false;
    if (header_bytes < 20 || payload_off > end || end > p->wire_len || payload_off > p->cap_len)
        return false;
    p->l2_hash = l2_pair_hash(load_be64(h) >> 16, load_be64(h + 4) & 0xffffffffffffull);
    p->verdict = PKT_FLOW;
    p->ip_bytes = ip_bytes;
    p->l3_off = (uint16_t)l3;
    p->l4_off = (uint16_t)(l3 + 20);
    p->payload_off = (uint16_t)payload_off;
    p->flags = PKT_HAS_IP_ID | PKT_L4_OK;
    if (__builtin_expect(p->snap_len < p->wire_len, 0))
        p->flags |= PKT_TRUNCATED;
    p->payload_len = end - payload_off;
    p->payload_cap = (p->cap_len < end ? p->cap_len : end) - payload_off;
    p->ttl = ip[8];
    p->ip_id = load_be16(ip + 4);
    p->tcp_flags = tcp[13];
    p->tcp_window = load_be16(tcp + 14);
    p->tcp_seq = load_be32(tcp + 4);
    p->tcp_ack = load_be32(tcp + 8);
    p->n_sack = p->notice = p->tunnel = p->outer_af = 0;
    p->frag_off = 0;
    if (header_bytes == 32 && load_be32(tcp + 20) == TCP_OPTIONS_USUAL)
        tcp_usual_options(p, tcp + 20);
    else if (header_bytes != 20)
        tcp_parse_options(p, tcp + 20, tcp + header_bytes);
    set_plain_id(p, ip, tcp);
    return true;
}

/* What most packets are: TCP over IPv4 in Ethernet with at most one tag. Returns false for all others, which take the
 * walk. */
static inline bool try_plain_tcp(struct pkt *p)
{
    const uint8_t *h = p->data;

    if (__builtin_expect(p->cap_len < 54 || p->rx_vlan != RX_NO_VLAN, 0))
        return false;
    if (__builtin_expect(load_be32(h + 12) >> 8 == 0x080045, 1)) { /* type of the frame; version and header length */
        p->n_vlans = 0;
        return plain_tcp(p, 14);
    }
    if (load_be16(h + 12) != 0x8100 || p->cap_len < 58 || load_be32(h + 16) >> 8 != 0x080045)
        return false;
    p->vlan[0] = load_be16(h + 14) & 0x0fff;
    p->n_vlans = 1;
    return plain_tcp(p, 18);
}

void decode_batch(struct batch *b, const struct decode_options *options)
{
    enum layer first = first_layer(b->link);
    bool may_be_plain = first == LAYER_ethernet && !options->vlan_in_key;

    for (uint32_t i = 0; i < b->n && i < AHEAD; i++)
        __builtin_prefetch(b->pkt[i].data);
    for (uint32_t i = 0; i < b->n; i++) {
        if (i + AHEAD < b->n)
            __builtin_prefetch(b->pkt[i + AHEAD].data);
        if (!may_be_plain || !try_plain_tcp(&b->pkt[i]))
            decode_one(&b->pkt[i], first, options);
    }
}

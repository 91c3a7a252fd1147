/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Link headers: Ethernet II and 802.3, raw IP, Linux cooked v1 and v2, FDDI, BSD null/loop, LLC/SNAP and VLAN tags
 * (802.1Q, 802.1ad, and the older 0x9100/0x9200). Sources: IEEE 802.3, 802.2, 802.1Q, RFC 1042, and the link type
 * registry of the tcpdump project.
 */

#include "dataplane/decode/decode.h"

static enum layer decode_ethernet(struct cursor *c, struct pkt *p)
{
    if (!need(c, 14))
        return drop_short(p);
    p->l2_hash = p->l2_hash * 0x9e3779b1u + l2_pair_hash(c->p); /* in a tunnel the outer frame's counts as well */
    uint16_t ethertype = load_be16(c->p + 12);
    advance(c, 14);
    return next_by_ethertype(p, ethertype);
}
const struct decoder decoder_ethernet = {"ethernet", decode_ethernet};

static enum layer decode_raw_ip(struct cursor *c, struct pkt *p)
{
    if (!need(c, 1))
        return drop_short(p);
    switch (c->p[0] >> 4) {
    case 4:
        return LAYER_ipv4;
    case 6:
        return LAYER_ipv6;
    default:
        return drop(p, LEDGER_decode_unknown);
    }
}
const struct decoder decoder_raw_ip = {"raw_ip", decode_raw_ip};

/* LINKTYPE_LINUX_SLL: type, ARPHRD, address length, address[8], protocol. */
static enum layer decode_sll(struct cursor *c, struct pkt *p)
{
    if (!need(c, 16))
        return drop_short(p);
    uint16_t protocol = load_be16(c->p + 14);
    p->l2_hash = (uint32_t)mix64(load_be64(c->p + 6));
    advance(c, 16);
    return next_by_ethertype(p, protocol);
}
const struct decoder decoder_sll = {"sll", decode_sll};

/* LINKTYPE_LINUX_SLL2: protocol first, then 18 bytes of interface and address. */
static enum layer decode_sll2(struct cursor *c, struct pkt *p)
{
    if (!need(c, 20))
        return drop_short(p);
    uint16_t protocol = load_be16(c->p);
    p->l2_hash = (uint32_t)mix64(load_be64(c->p + 12));
    advance(c, 20);
    return next_by_ethertype(p, protocol);
}
const struct decoder decoder_sll2 = {"sll2", decode_sll2};

static enum layer decode_fddi(struct cursor *c, struct pkt *p)
{
    if (!need(c, 13))
        return drop_short(p);
    bool is_llc = (c->p[0] & 0xf0) == 0x50; /* asynchronous LLC frames; the rest is ring management */
    advance(c, 13);
    if (is_llc)
        return LAYER_llc;
    p->verdict = PKT_L2;
    return LAYER_DONE;
}
const struct decoder decoder_fddi = {"fddi", decode_fddi};

/* BSD loopback: the address family in the byte order of the capturing host. */
static enum layer decode_null(struct cursor *c, struct pkt *p)
{
    if (!need(c, 4))
        return drop_short(p);
    uint32_t family = load_be32(c->p);
    if (family > 0xffff)
        family = __builtin_bswap32(family);
    advance(c, 4);
    switch (family) {
    case 2:
        return LAYER_ipv4;
    case 10: /* Linux */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* Darwin */
        return LAYER_ipv6;
    default:
        return drop(p, LEDGER_decode_unknown);
    }
}
const struct decoder decoder_null = {"null", decode_null};

static enum layer decode_llc(struct cursor *c, struct pkt *p)
{
    if (!need(c, 3))
        return drop_short(p);
    bool is_snap = c->p[0] == 0xaa && c->p[1] == 0xaa && need(c, 8);
    if (is_snap && c->p[3] == 0 && c->p[4] == 0 && c->p[5] == 0) {
        uint16_t ethertype = load_be16(c->p + 6);
        advance(c, 8);
        if (ethertype > 1500)
            return next_by_ethertype(p, ethertype);
    }
    p->verdict = PKT_L2; /* STP, CDP, IS-IS, NetBIOS, ... */
    return LAYER_DONE;
}
const struct decoder decoder_llc = {"llc", decode_llc};

static enum layer decode_vlan(struct cursor *c, struct pkt *p)
{
    if (!need(c, 4))
        return drop_short(p);
    if (p->n_vlans < MAX_VLANS)
        p->vlan[p->n_vlans++] = load_be16(c->p) & 0x0fff;
    uint16_t ethertype = load_be16(c->p + 2);
    advance(c, 4);
    return next_by_ethertype(p, ethertype);
}
const struct decoder decoder_vlan = {"vlan", decode_vlan};

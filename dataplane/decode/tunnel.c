/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See tunnel.h. What all tunnels share, and those without a header of their own: IPv4 and IPv6 in IPv4 or IPv6
 * (RFC 2003, RFC 4213 for 6in4, RFC 2473), MPLS in IP (RFC 4023).
 *
 * Nested tunnels: the innermost is the flow's attribute, but one that is in the key keeps that place against later ones
 * that are not, since what separates two flows must be visible in their records. Of several ids in the key, a hash
 * goes into the key. MPLS and PPPoE have no outer addresses.
 *
 * Limits: an inner datagram that the carrier had to fragment is decoded from the first fragment, with all the bytes
 * that its own header states; the carrier's later fragments are counted as such in the carrier's flow.
 */

#include "dataplane/decode/tunnel.h"
#include "dataplane/decode/fragment.h"

static void forget_outside(struct cursor *c, struct pkt *p)
{
    uint32_t tunnel_id = p->key.tunnel_id;
    uint8_t tunnel = p->key.tunnel;

    p->key = (struct flow_key){.tunnel = tunnel, .tunnel_id = tunnel_id};
    p->flags &= (uint16_t)~PKT_HAS_IP_ID;
    p->ip_id = 0;
    p->ttl = 0;
    p->ip_bytes = 0;
    c->fragment = 0;
    c->piece.is_set = false;
}

enum layer enter_tunnel(struct cursor *c, struct pkt *p, enum tunnel_type type, uint32_t id, enum tunnel_key key,
                        enum layer next)
{
    if (c->piece.is_set)
        fragment_note(c, p);
    if (p->key.af != 0)
        c->carrier_off = p->l4_off;
    if (p->key.tunnel == TUNNEL_NONE || key == TUNNEL_IN_KEY) {
        p->tunnel = (uint8_t)type;
        p->tunnel_id = id;
        p->outer_af = p->key.af;
        p->outer_off = p->l3_off;
    }
    if (key == TUNNEL_IN_KEY) {
        p->key.tunnel_id = p->key.tunnel == TUNNEL_NONE ? id : (uint32_t)mix64((uint64_t)p->key.tunnel_id << 32 | id);
        p->key.tunnel = (uint8_t)type;
    }
    p->l2_hash = p->l2_hash * 0x9e3779b1u + (uint32_t)type;
    forget_outside(c, p);
    if (next == LAYER_ethernet)
        c->vlan_base = p->n_vlans;
    return next;
}

bool may_enter(struct cursor *c, const struct pkt *p)
{
    c->carrier_off = p->l4_off;
    return p->l4_off != c->plain_off;
}

enum layer try_udp_port(struct cursor *c, struct pkt *p)
{
    if (p->l4_off == c->plain_off)
        return LAYER_DONE;
    c->carrier_off = p->l4_off;
    advance(c, 8);
    switch (p->key.port[1]) {
    case UDP_GTPU:
        return LAYER_gtpu;
    case UDP_VXLAN:
    case UDP_VXLAN_OLD:
        return LAYER_vxlan;
    case UDP_VXLAN_GPE:
        return LAYER_vxlan_gpe;
    case UDP_GENEVE:
        return LAYER_geneve;
    case UDP_TZSP:
        return LAYER_tzsp;
    default:
        return LAYER_l2tp_udp;
    }
}

/* In the first fragment of a carrier only part of what it states is there. */
static bool fits(const struct cursor *c, const struct pkt *p, uint32_t bytes)
{
    return bytes <= c->wire_left || (p->flags & PKT_FRAGMENT);
}

bool looks_like_ip(const struct cursor *c, const struct pkt *p, uint32_t at)
{
    if (!need(c, at + 20))
        return false;
    const uint8_t *h = c->p + at;
    uint32_t header_bytes = (h[0] & 0x0fu) * 4u, total_bytes = load_be16(h + 2);

    if (h[0] >> 4 == 4)
        return header_bytes >= 20 && total_bytes >= header_bytes && fits(c, p, at + total_bytes);
    return h[0] >> 4 == 6 && need(c, at + 40) && fits(c, p, at + 40 + load_be16(h + 4));
}

/* 802.3: the length holds, but for padding, and both service access points are the same. */
static bool looks_like_llc(const struct cursor *c, uint32_t frame_at, uint32_t at, uint32_t len)
{
    if (len < 3 || at + len > c->wire_left || !need(c, at + 2))
        return false;
    bool padded = c->wire_left - frame_at <= 64;
    return (at + len == c->wire_left || padded) && (c->p[at] | 1) == (c->p[at + 1] | 1);
}

static bool looks_like_payload(const struct cursor *c, const struct pkt *p, uint32_t at, uint16_t ethertype)
{
    switch (ethertype) {
    case 0x0800:
        return looks_like_ip(c, p, at) && c->p[at] >> 4 == 4;
    case 0x86dd:
        return looks_like_ip(c, p, at) && c->p[at] >> 4 == 6;
    case 0x0806: /* Ethernet and IPv4 */
        return need(c, at + 4) && load_be32(c->p + at) == 0x00010800;
    case 0x8863:
    case 0x8864:
        return need(c, at + 1) && c->p[at] == 0x11;
    case 0x8847:
    case 0x8848:
        return need(c, at + 4);
    default:
        return is_known_l2(ethertype);
    }
}

static bool is_tag(uint16_t ethertype)
{
    return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100 || ethertype == 0x9200;
}

bool looks_like_ethernet(const struct cursor *c, const struct pkt *p, uint32_t frame_at)
{
    uint32_t at = frame_at + 14;

    if (!need(c, at) || (c->p[frame_at + 6] & 1)) /* nobody sends from a group address */
        return false;
    uint16_t ethertype = load_be16(c->p + at - 2);
    for (unsigned n = 0; n < MAX_VLANS && is_tag(ethertype); n++) {
        at += 4;
        if (!need(c, at))
            return false;
        ethertype = load_be16(c->p + at - 2);
    }
    return ethertype <= 1500 ? looks_like_llc(c, frame_at, at, ethertype) : looks_like_payload(c, p, at, ethertype);
}

static enum layer decode_ip_in_ip(struct cursor *c, struct pkt *p)
{
    if (!may_enter(c, p))
        return LAYER_other_l4;
    if (c->l4_proto == 137)
        return LAYER_mpls;
    bool six_in_four = c->l4_proto == 41 && p->key.af == 4;
    return enter_tunnel(c, p, six_in_four ? TUNNEL_6IN4 : TUNNEL_IPIP, 0, TUNNEL_ATTRIBUTE,
                        c->l4_proto == 4 ? LAYER_ipv4 : LAYER_ipv6);
}
const struct decoder decoder_ip_in_ip = {"ip_in_ip", decode_ip_in_ip};

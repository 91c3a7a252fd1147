/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DECODE_INSIDE_H
#define SPANWARD_DECODE_INSIDE_H

/*
 * The short way (plain.h) for plain TCP inside one of the common tunnels over IPv4: VXLAN, Geneve, GTP-U, GRE, NVGRE,
 * ERSPAN II and IPv4, in Ethernet with at most one tag, outside as inside. Of each tunnel only the usual form is taken:
 * no options, no extension headers, no checksum; the carrier is whole and its lengths agree. All others walk. A test
 * holds this way against the walk on mangled packets in each of the tunnels that are known. What of a tunnel is in the
 * key, and why, is in tunnel.h. (The walk, too, could take the short way once it is inside: tried, no faster.)
 */

#include "dataplane/decode/plain.h"
#include "dataplane/decode/tunnel.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#define INSIDE_LEAST (18u + 20 + 20 + 20) /* bytes: a tag, and IPv4 in IPv4, which is the shortest */

/* Adds a layer to the place where the packet was seen. */
static inline uint32_t inside_hash(uint32_t hash, uint32_t layer)
{
    return hash * 0x9e3779b1u + layer;
}

/* A datagram at `at`. */
static inline bool inside_ip(struct pkt *p, uint32_t at, unsigned n_vlans, const struct plain_tunnel *t)
{
    return p->cap_len >= at + 40 && p->data[at] == 0x45 && plain_ip(p, at, n_vlans, t, 4, 6);
}

/* A frame at `at`, and in it a datagram. */
static inline bool inside_ethernet(struct pkt *p, uint32_t at, unsigned n_vlans, struct plain_tunnel *t)
{
    const uint8_t *h = p->data + at;

    if (p->cap_len < at + 54)
        return false;
    t->l2_hash = inside_hash(t->l2_hash, l2_pair_hash(h));
    if (load_be32(h + 12) >> 8 == 0x080045)
        return plain_ip(p, at + 14, n_vlans, t, 4, 6);
    if (load_be16(h + 12) != 0x8100 || p->cap_len < at + 58 || load_be32(h + 16) >> 8 != 0x080045)
        return false;
    p->vlan[n_vlans] = load_be16(h + 14) & 0x0fff;
    return plain_ip(p, at + 18, n_vlans + 1, t, 4, 6);
}

/* Nobody sends from a group address: where nothing else tells, such a thing is no frame. */
static inline bool inside_likely(const struct pkt *p, uint32_t at)
{
    return (p->data[at + 6] & 1) == 0;
}

static inline void inside_tunnel(const struct pkt *p, struct plain_tunnel *t, enum tunnel_type type, uint32_t id,
                                 enum tunnel_key key)
{
    t->type = (uint8_t)type;
    t->id = id;
    t->key_type = key == TUNNEL_IN_KEY ? (uint8_t)type : 0;
    t->key_id = key == TUNNEL_IN_KEY ? id : 0;
    t->l2_hash = inside_hash(l2_pair_hash(p->data), (uint32_t)type);
}

/* The UDP header is at `at`. */
static inline bool inside_udp(struct pkt *p, uint32_t at, unsigned n_vlans, struct plain_tunnel *t)
{
    uint64_t udp = load_be64(p->data + at), head = load_be64(p->data + at + 8);
    uint32_t bytes = (uint32_t)udp >> 16, first = (uint32_t)(head >> 32), second = (uint32_t)head;

    if (at + bytes != t->wire_end)
        return false;
    switch ((uint32_t)(udp >> 32) & UINT16_MAX) {
    case UDP_VXLAN:
    case UDP_VXLAN_OLD:
        inside_tunnel(p, t, TUNNEL_VXLAN, second >> 8, TUNNEL_IN_KEY);
        return first == 0x08000000 && (second & 0xff) == 0 && inside_likely(p, at + 16) &&
               inside_ethernet(p, at + 16, n_vlans, t);
    case UDP_GENEVE:
        inside_tunnel(p, t, TUNNEL_GENEVE, second >> 8, TUNNEL_IN_KEY);
        return first == 0x00006558 && (second & 0xff) == 0 && inside_likely(p, at + 16) &&
               inside_ethernet(p, at + 16, n_vlans, t);
    case UDP_GTPU:
        inside_tunnel(p, t, TUNNEL_GTPU, second, TUNNEL_ATTRIBUTE);
        return first == (0x30ff0000 | (bytes - 16)) && inside_ip(p, at + 16, n_vlans, t);
    default:
        return false;
    }
}

/* A mirrored frame, of which the header may say which tag was taken off. */
static inline bool inside_erspan(struct pkt *p, uint32_t at, unsigned n_vlans, struct plain_tunnel *t)
{
    uint32_t word = load_be32(p->data + at), encapsulation = word >> 11 & 3;

    if (word >> 28 != 1 || (word & 0x400)) /* another type; the mirror cut the frame */
        return false;
    inside_tunnel(p, t, TUNNEL_ERSPAN, word & 0x3ff, TUNNEL_ATTRIBUTE);
    if (encapsulation == 1 || encapsulation == 2)
        p->vlan[n_vlans++] = word >> 16 & 0xfff;
    return inside_ethernet(p, at + 8, n_vlans, t);
}

/* The GRE header is at `at`. */
static inline bool inside_gre(struct pkt *p, uint32_t at, unsigned n_vlans, struct plain_tunnel *t)
{
    uint64_t head = load_be64(p->data + at);

    switch ((uint32_t)(head >> 32)) {
    case 0x00000800:
        inside_tunnel(p, t, TUNNEL_GRE, 0, TUNNEL_ATTRIBUTE);
        return inside_ip(p, at + 4, n_vlans, t);
    case 0x20000800: /* with a key */
        inside_tunnel(p, t, TUNNEL_GRE, (uint32_t)head, TUNNEL_IN_KEY);
        return inside_ip(p, at + 8, n_vlans, t);
    case 0x20006558: /* NVGRE */
        inside_tunnel(p, t, TUNNEL_GRE, nvgre_id((uint32_t)head), TUNNEL_IN_KEY);
        return inside_ethernet(p, at + 8, n_vlans, t);
    case 0x100088be: /* with a sequence number */
        return inside_erspan(p, at + 8, n_vlans, t);
    default:
        return false;
    }
}

/* What is no tunnel is to be recognised soon: all other UDP comes by here. */
static inline bool inside_may_be(const uint8_t *ip)
{
    uint16_t port = load_be16(ip + 22);

    if (ip[9] != 17)
        return ip[9] == 47 || ip[9] == 4;
    return port == UDP_VXLAN || port == UDP_VXLAN_OLD || port == UDP_GENEVE || port == UDP_GTPU;
}

/* The carrier's IP header is at l3. */
static inline bool inside_carrier(struct pkt *p, uint32_t l3, unsigned n_vlans)
{
    const uint8_t *ip = p->data + l3;
    if (!inside_may_be(ip))
        return false;
    uint64_t lengths = load_be64(ip);
    struct plain_tunnel t = {.outer_off = l3, .wire_end = l3 + ((uint32_t)(lengths >> 32) & UINT16_MAX)};

    if ((lengths & 0x3fff) != 0 || t.wire_end > p->wire_len)
        return false;
    switch (ip[9]) {
    case 17:
        return inside_udp(p, l3 + 20, n_vlans, &t);
    case 47:
        return inside_gre(p, l3 + 20, n_vlans, &t);
    case 4:
        inside_tunnel(p, &t, TUNNEL_IPIP, 0, TUNNEL_ATTRIBUTE);
        return inside_ip(p, l3 + 20, n_vlans, &t);
    default:
        return false;
    }
}

/* Returns false for all others. */
static inline bool decode_inside(struct pkt *p)
{
    const uint8_t *h = p->data;

    if (p->cap_len < INSIDE_LEAST || p->rx_vlan != RX_NO_VLAN)
        return false;
    if (load_be32(h + 12) >> 8 == 0x080045)
        return inside_carrier(p, 14, 0);
    if (load_be16(h + 12) != 0x8100 || load_be32(h + 16) >> 8 != 0x080045)
        return false;
    p->vlan[0] = load_be16(h + 14) & 0x0fff;
    return inside_carrier(p, 18, 1);
}

#else

static inline bool decode_inside(struct pkt *p)
{
    (void)p;
    return false;
}

#endif
#endif

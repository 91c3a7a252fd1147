/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DECODE_PLAIN_H
#define SPANWARD_DECODE_PLAIN_H

/*
 * The short way for what most packets are: TCP, or UDP that is no tunnel, over IPv4 without IP options or over IPv6
 * without extension headers, whole, in Ethernet with at most one tag.
 *
 * Headers are loaded eight bytes at a time and taken apart in registers; what lies together in struct pkt is stored
 * together. Every field that counts for such a packet is set, so that nothing has to be cleared before; the key over
 * IPv4 is left to pkt_complete_key. A test holds it against the walk on mangled packets. Words are put together for
 * little-endian machines only: others walk.
 */

#include "dataplane/decode/decode.h"
#include "dataplane/decode/tunnel.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/* Neighbours in struct pkt, as one word. */
static inline void store64(void *to, uint64_t word)
{
    memcpy(to, &word, sizeof(word));
}

static_assert(offsetof(struct pkt, frag_off) == offsetof(struct pkt, ip_id) + 2 &&
                  offsetof(struct pkt, ip_bytes) == offsetof(struct pkt, ip_id) + 4,
              "plain_ip_words");
static_assert(offsetof(struct pkt, tcp_flags) == offsetof(struct pkt, payload_len) + 4 &&
                  offsetof(struct pkt, tcp_window) == offsetof(struct pkt, payload_len) + 8,
              "payload_len, flags; n_sack, copy and notice are 0");
static_assert(offsetof(struct pkt, flags) == offsetof(struct pkt, tcp_window) + 2 &&
                  offsetof(struct pkt, sender) == offsetof(struct pkt, tcp_window) + 4 &&
                  offsetof(struct pkt, ttl) == offsetof(struct pkt, tcp_window) + 5 &&
                  offsetof(struct pkt, n_vlans) == offsetof(struct pkt, tcp_window) + 6,
              "window, flags, sender, TTL, tags");
static_assert(offsetof(struct pkt, payload_off) == offsetof(struct pkt, l3_off) + 4 &&
                  offsetof(struct pkt, payload_cap) == offsetof(struct pkt, l3_off) + 8 &&
                  offsetof(struct pkt, tunnel) == offsetof(struct pkt, payload_cap) + 4 &&
                  offsetof(struct pkt, outer_off) == offsetof(struct pkt, payload_cap) + 6,
              "offsets; what is captured, no tunnel");
static_assert(offsetof(struct pkt, l2_hash) == offsetof(struct pkt, verdict) + 4, "verdict and place");
static_assert(offsetof(struct short_key, tunnel_id) == 12 && offsetof(struct short_key, tunnel) == 21, "plain_tcp");

/* What is known of a tunnel over IPv4 when the datagram inside is reached. */
struct plain_tunnel {
    uint32_t type, id;         /* as in struct pkt */
    uint32_t key_type, key_id; /* as in struct flow_key */
    uint32_t outer_off;
    uint32_t wire_end; /* of what the carrier holds, on the wire */
    uint32_t l2_hash;
};

/* Endpoints in canonical order without a branch, since which one sent the packet nobody can foretell. Returns the
 * sender. */
static inline unsigned plain_id(struct pkt *p, const uint8_t *ip, const uint8_t *l4, uint64_t proto)
{
    uint64_t addrs, wire_addrs = load_be64(ip + 12);
    uint32_t ports = load_be32(l4);

    memcpy(&addrs, ip + 12, sizeof(addrs));
    unsigned swap = (wire_addrs >> 32 << 16 | ports >> 16) > ((wire_addrs & UINT32_MAX) << 16 | (ports & UINT16_MAX));
    p->id.w[0] = rotate64(addrs, 32 * swap);
    p->id.w[1] = rotate32(ports, 16 - 16 * swap); /* the first is in the low half */
    p->id.w[2] = proto << 16 | 4u << 24;          /* and af */
    return swap;
}

/* The key over IPv6, and none of the id but what tells that there is none: it takes a table's seed. Returns the sender.
 */
static inline unsigned plain_key6(struct pkt *p, const uint8_t *ip, const uint8_t *l4, uint64_t proto)
{
    uint64_t from[2] = {load_be64(ip + 8), load_be64(ip + 16)}, to[2] = {load_be64(ip + 24), load_be64(ip + 32)};
    uint32_t ports = load_be32(l4), port[2] = {ports >> 16, ports & UINT16_MAX};
    unsigned swap = from[0] != to[0] ? from[0] > to[0] : from[1] != to[1] ? from[1] > to[1] : port[0] > port[1];

    static_assert(offsetof(struct flow_key, port) == 2 * sizeof(struct ip_addr) && sizeof(struct ip_addr) == 16 &&
                      offsetof(struct flow_key, vlan) == 40 && offsetof(struct flow_key, proto) == 42,
                  "ports and tunnel_id; VLAN, proto and af");
    memcpy(&p->key.addr[swap], ip + 8, 16);
    memcpy(&p->key.addr[1 - swap], ip + 24, 16);
    store64(p->key.port, port[swap] | port[1 - swap] << 16);
    store64(&p->key.vlan, proto << 16 | 6u << 24);
    p->id.w[2] = 0;
    return swap;
}

/* What an IP header says of what is behind it. */
struct plain_ip {
    const uint8_t *header;
    uint32_t l3, l4, end; /* offsets */
    uint32_t bytes;       /* IP total length */
    unsigned id, flags, ttl, proto, af;
};

/* Returns false for a fragment. */
static inline __attribute__((always_inline)) bool plain_ipv4(const uint8_t *ip, struct plain_ip *ret)
{
    uint64_t lengths = load_be64(ip); /* .. length, id, fragment */

    ret->bytes = (uint32_t)(lengths >> 32) & UINT16_MAX;
    ret->id = (unsigned)(lengths >> 16) & UINT16_MAX;
    ret->flags = PKT_HAS_IP_ID | PKT_L4_OK;
    ret->ttl = ip[8];
    ret->l4 = ret->l3 + 20;
    return (lengths & 0x3fff) == 0;
}

/* Returns false for another version, and for a length of 0, as a jumbogram has it. */
static inline __attribute__((always_inline)) bool plain_ipv6(const uint8_t *ip, struct plain_ip *ret)
{
    uint32_t payload_bytes = load_be16(ip + 4);

    ret->bytes = 40 + payload_bytes;
    ret->id = 0;
    ret->flags = PKT_L4_OK;
    ret->ttl = ip[7];
    ret->l4 = ret->l3 + 40;
    return ip[0] >> 4 == 6 && payload_bytes != 0;
}

/* The key, or its id; returns the sender. */
static inline __attribute__((always_inline)) unsigned plain_endpoints(struct pkt *p, const struct plain_ip *i)
{
    p->has_id = i->af != 6;
    p->has_key = i->af == 6;
    return i->af == 6 ? plain_key6(p, i->header, p->data + i->l4, i->proto)
                      : plain_id(p, i->header, p->data + i->l4, i->proto);
}

/* What all have. kind: tcp_flags and its three neighbours, as one word. */
static inline __attribute__((always_inline)) void plain_store(struct pkt *p, const struct plain_ip *i, unsigned n_vlans,
                                                              uint32_t payload_off, uint32_t payload_bytes,
                                                              uint64_t kind, uint64_t window, unsigned flags)
{
    uint64_t sender = plain_endpoints(p, i), ttl = i->ttl;

    flags |= p->snap_len < p->wire_len ? PKT_TRUNCATED : 0;
    store64(&p->ip_id, i->id | (uint64_t)i->bytes << 32);
    store64(&p->payload_len, payload_bytes | kind << 32);
    store64(&p->tcp_window, window | (uint64_t)flags << 16 | sender << 32 | ttl << 40 | (uint64_t)n_vlans << 48);
    store64(&p->l3_off, i->l3 | i->l4 << 16 | (uint64_t)payload_off << 32);
}

/* The captured part of the payload, and the tunnel around all of it. */
static inline __attribute__((always_inline)) void plain_store_tunnel(struct pkt *p, uint32_t payload_cap,
                                                                     const struct plain_tunnel *t)
{
    if (t != NULL) {
        store64(&p->payload_cap, payload_cap | (uint64_t)t->type << 32 | 4ull << 40 | (uint64_t)t->outer_off << 48);
        p->tunnel_id = t->id;
        p->id.w[1] |= (uint64_t)t->key_id << 32;
        p->id.w[2] |= (uint64_t)t->key_type << 40;
    } else {
        store64(&p->payload_cap, payload_cap);
    }
    store64(&p->verdict, PKT_FLOW | (uint64_t)(t != NULL ? t->l2_hash : l2_pair_hash(p->data)) << 32);
}

/* Returns false where it is not whole. */
static inline __attribute__((always_inline)) bool plain_tcp(struct pkt *p, const struct plain_ip *i, unsigned n_vlans,
                                                            const struct plain_tunnel *t)
{
    const uint8_t *tcp = p->data + i->l4;
    uint32_t cap_len = p->cap_len, end = i->end;
    uint64_t middle = load_be64(tcp + 8); /* ACK, .. flags, window */
    uint32_t header_bytes = (uint32_t)(middle >> 28 & 15) * 4, payload_off = i->l4 + header_bytes;
    unsigned flags = i->flags;

    if (header_bytes < 20 || payload_off > end || payload_off > cap_len)
        return false;
    p->n_sack = 0;
    p->tcp_seq = load_be32(tcp + 4);
    p->tcp_ack = (uint32_t)(middle >> 32);
    if (__builtin_expect(header_bytes == 32 && load_be32(tcp + 20) == TCP_OPTIONS_USUAL, 1)) {
        uint64_t times = load_be64(tcp + 24);
        p->tsval = (uint32_t)(times >> 32);
        p->tsecr = (uint32_t)times;
        flags |= PKT_HAS_TS;
    } else if (header_bytes != 20) {
        p->flags = 0;
        tcp_parse_options(p, tcp + 20, tcp + header_bytes);
        flags |= p->flags;
    }
    plain_store(p, i, n_vlans, payload_off, end - payload_off, (uint64_t)p->n_sack << 8 | (middle >> 16 & 0xff),
                middle & UINT16_MAX, flags);
    plain_store_tunnel(p, (cap_len < end ? cap_len : end) - payload_off, t);
    return true;
}

/* Returns false where it is not whole, or may be a tunnel. Padding behind the datagram is none of the payload. */
static inline __attribute__((always_inline)) bool plain_udp(struct pkt *p, const struct plain_ip *i, unsigned n_vlans)
{
    const uint8_t *udp = p->data + i->l4;
    uint32_t udp_bytes = load_be16(udp + 4), payload_off = i->l4 + 8, end = i->l4 + udp_bytes;

    if (udp_bytes < 8 || end > i->end || payload_off > p->cap_len)
        return false;
    if (udp_may_be_tunnel(load_be16(udp), load_be16(udp + 2)))
        return false;
    store64(&p->tcp_seq, 0);
    store64(&p->tsval, 0);
    plain_store(p, i, n_vlans, payload_off, end - payload_off, 0, 0, i->flags);
    plain_store_tunnel(p, (p->cap_len < end ? p->cap_len : end) - payload_off, NULL);
    return true;
}

/* The IP header is at l3, and at least the shortest of TCP headers behind it is captured; the tags are taken. In a
 * tunnel: t; otherwise NULL, a constant; as are af and proto. */
static inline __attribute__((always_inline)) bool plain_ip(struct pkt *p, uint32_t l3, unsigned n_vlans,
                                                           const struct plain_tunnel *t, unsigned af, unsigned proto)
{
    struct plain_ip i = {.header = p->data + l3, .l3 = l3, .af = af, .proto = proto};

    if (i.header[af == 6 ? 6 : 9] != proto)
        return false;
    if (!(af == 6 ? plain_ipv6(i.header, &i) : plain_ipv4(i.header, &i)))
        return false;
    i.end = l3 + i.bytes;
    if (i.end > (t != NULL ? t->wire_end : p->wire_len))
        return false;
    return proto == 6 ? plain_tcp(p, &i, n_vlans, t) : plain_udp(p, &i, n_vlans);
}

/* proto, a constant: 6, or 17 for what is no tunnel. Returns false for all others. */
static inline __attribute__((always_inline)) bool decode_plain(struct pkt *p, unsigned proto)
{
    const uint8_t *h = p->data;

    if (__builtin_expect(p->cap_len < 54 || p->rx_vlan != RX_NO_VLAN, 0))
        return false;
    if (__builtin_expect(load_be32(h + 12) >> 8 == 0x080045, 1)) /* type of the frame; version and header length */
        return plain_ip(p, 14, 0, NULL, 4, proto);
    uint16_t type = load_be16(h + 12);
    if (type == 0x86dd && p->cap_len >= 74)
        return plain_ip(p, 14, 0, NULL, 6, proto);
    if (type != 0x8100 || p->cap_len < 58)
        return false;
    p->vlan[0] = load_be16(h + 14) & 0x0fff;
    if (load_be32(h + 16) >> 8 == 0x080045)
        return plain_ip(p, 18, 1, NULL, 4, proto);
    return load_be16(h + 16) == 0x86dd && p->cap_len >= 78 && plain_ip(p, 18, 1, NULL, 6, proto);
}

#else

static inline bool decode_plain(struct pkt *p, unsigned proto)
{
    (void)p;
    (void)proto;
    return false;
}

#endif
#endif

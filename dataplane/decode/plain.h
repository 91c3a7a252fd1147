/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DECODE_PLAIN_H
#define SPANWARD_DECODE_PLAIN_H

/*
 * The short way for what most packets are: TCP over IPv4 without IP options, or over IPv6 without extension headers,
 * whole, in Ethernet with at most one tag.
 *
 * Headers are loaded eight bytes at a time and taken apart in registers; what lies together in struct pkt is stored
 * together. Every field that counts for such a packet is set, so that nothing has to be cleared before; the key over
 * IPv4 is left to pkt_complete_key. A test holds it against the walk on mangled packets. Words are put together for
 * little-endian machines only: others walk.
 */

#include "dataplane/decode/decode.h"

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
static inline unsigned plain_id(struct pkt *p, const uint8_t *ip, const uint8_t *tcp)
{
    uint64_t addrs, wire_addrs = load_be64(ip + 12);
    uint32_t ports = load_be32(tcp);

    memcpy(&addrs, ip + 12, sizeof(addrs));
    unsigned swap = (wire_addrs >> 32 << 16 | ports >> 16) > ((wire_addrs & UINT32_MAX) << 16 | (ports & UINT16_MAX));
    p->id.w[0] = rotate64(addrs, 32 * swap);
    p->id.w[1] = rotate32(ports, 16 - 16 * swap); /* the first is in the low half */
    p->id.w[2] = 6u << 16 | 4u << 24;             /* proto and af */
    return swap;
}

/* The key over IPv6, and none of the id but what tells that there is none: it takes a table's seed. Returns the sender.
 */
static inline unsigned plain_key6(struct pkt *p, const uint8_t *ip, const uint8_t *tcp)
{
    uint64_t from[2] = {load_be64(ip + 8), load_be64(ip + 16)}, to[2] = {load_be64(ip + 24), load_be64(ip + 32)};
    uint32_t ports = load_be32(tcp), port[2] = {ports >> 16, ports & UINT16_MAX};
    unsigned swap = from[0] != to[0] ? from[0] > to[0] : from[1] != to[1] ? from[1] > to[1] : port[0] > port[1];

    static_assert(offsetof(struct flow_key, port) == 2 * sizeof(struct ip_addr) && sizeof(struct ip_addr) == 16 &&
                      offsetof(struct flow_key, vlan) == 40 && offsetof(struct flow_key, proto) == 42,
                  "ports and tunnel_id; VLAN, proto and af");
    memcpy(&p->key.addr[swap], ip + 8, 16);
    memcpy(&p->key.addr[1 - swap], ip + 24, 16);
    store64(p->key.port, port[swap] | port[1 - swap] << 16);
    store64(&p->key.vlan, 6u << 16 | 6u << 24);
    p->id.w[2] = 0;
    return swap;
}

/* What an IP header says of its segment. */
struct plain_ip {
    uint32_t header_bytes, bytes; /* bytes: IP total length */
    unsigned id, flags, ttl;      /* flags: enum pkt_flags */
};

/* Returns false for what is not whole or no TCP. */
static inline bool plain_ipv4(const uint8_t *ip, struct plain_ip *ret)
{
    uint64_t lengths = load_be64(ip); /* .. length, id, fragment */

    *ret = (struct plain_ip){.header_bytes = 20,
                             .bytes = (uint32_t)(lengths >> 32) & UINT16_MAX,
                             .id = (unsigned)(lengths >> 16) & UINT16_MAX,
                             .flags = PKT_HAS_IP_ID | PKT_L4_OK,
                             .ttl = ip[8]};
    return ip[9] == 6 && (lengths & 0x3fff) == 0;
}

/* A length of 0 would be a jumbogram's. */
static inline bool plain_ipv6(const uint8_t *ip, struct plain_ip *ret)
{
    uint32_t payload_bytes = load_be16(ip + 4);

    *ret = (struct plain_ip){.header_bytes = 40, .bytes = 40 + payload_bytes, .flags = PKT_L4_OK, .ttl = ip[7]};
    return ip[0] >> 4 == 6 && ip[6] == 6 && payload_bytes != 0;
}

/* The IP header is at l3; the tags are taken. In a tunnel: t; otherwise NULL, a constant; as is af. */
static inline __attribute__((always_inline)) bool plain_tcp(struct pkt *p, uint32_t l3, unsigned n_vlans,
                                                            const struct plain_tunnel *t, unsigned af)
{
    struct plain_ip i;
    const uint8_t *ip = p->data + l3;

    if (!(af == 6 ? plain_ipv6(ip, &i) : plain_ipv4(ip, &i)))
        return false;
    const uint8_t *tcp = ip + i.header_bytes;
    uint32_t cap_len = p->cap_len, wire_len = p->wire_len, l4 = l3 + i.header_bytes, end = l3 + i.bytes;
    uint64_t middle = load_be64(tcp + 8); /* ACK, .. flags, window */
    uint32_t header_bytes = (uint32_t)(middle >> 28 & 15) * 4, payload_off = l4 + header_bytes;
    unsigned flags = i.flags;

    if (header_bytes < 20 || payload_off > end || payload_off > cap_len)
        return false;
    if (end > (t != NULL ? t->wire_end : wire_len))
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
    flags |= p->snap_len < wire_len ? PKT_TRUNCATED : 0;
    uint64_t sender = af == 6 ? plain_key6(p, ip, tcp) : plain_id(p, ip, tcp), ttl = i.ttl;
    uint32_t captured_end = cap_len < end ? cap_len : end;
    store64(&p->ip_id, i.id | (uint64_t)i.bytes << 32);
    store64(&p->payload_len, (end - payload_off) | (uint64_t)p->n_sack << 40 | (middle << 16 & 0xff00000000ull));
    store64(&p->tcp_window,
            (middle & UINT16_MAX) | (uint64_t)flags << 16 | sender << 32 | ttl << 40 | (uint64_t)n_vlans << 48);
    store64(&p->l3_off, l3 | l4 << 16 | (uint64_t)payload_off << 32);
    if (t != NULL) {
        store64(&p->payload_cap,
                (captured_end - payload_off) | (uint64_t)t->type << 32 | 4ull << 40 | (uint64_t)t->outer_off << 48);
        p->tunnel_id = t->id;
        p->id.w[1] |= (uint64_t)t->key_id << 32;
        p->id.w[2] |= (uint64_t)t->key_type << 40;
    } else {
        store64(&p->payload_cap, captured_end - payload_off);
    }
    store64(&p->verdict, PKT_FLOW | (uint64_t)(t != NULL ? t->l2_hash : l2_pair_hash(p->data)) << 32);
    p->has_id = af != 6;
    p->has_key = af == 6;
    return true;
}

/* Returns false for all others. */
static inline bool decode_plain(struct pkt *p)
{
    const uint8_t *h = p->data;

    if (__builtin_expect(p->cap_len < 54 || p->rx_vlan != RX_NO_VLAN, 0))
        return false;
    if (__builtin_expect(load_be32(h + 12) >> 8 == 0x080045, 1)) /* type of the frame; version and header length */
        return plain_tcp(p, 14, 0, NULL, 4);
    uint16_t type = load_be16(h + 12);
    if (type == 0x86dd && p->cap_len >= 74)
        return plain_tcp(p, 14, 0, NULL, 6);
    if (type != 0x8100 || p->cap_len < 58)
        return false;
    p->vlan[0] = load_be16(h + 14) & 0x0fff;
    if (load_be32(h + 16) >> 8 == 0x080045)
        return plain_tcp(p, 18, 1, NULL, 4);
    return load_be16(h + 16) == 0x86dd && p->cap_len >= 78 && plain_tcp(p, 18, 1, NULL, 6);
}

#else

static inline bool decode_plain(struct pkt *p)
{
    (void)p;
    return false;
}

#endif
#endif

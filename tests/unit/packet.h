/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_PACKET_H
#define SPANWARD_TESTS_PACKET_H

/*
 * Packets from literal fields: each function appends one header to a `struct packet` and the lengths in the IP headers
 * are those that the caller states or, by packet_finish, those that are there. Nothing is checked: a test that
 * wants a header which contradicts itself writes one. L4 checksums are left as zero or as given: no decoder reads them,
 * and a copy is known by equal bytes.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define PACKET_MAX 65536u

struct packet {
    uint32_t len;
    uint32_t l3;         /* offset of the innermost IP header */
    uint32_t wire_extra; /* bytes that were on the wire behind the captured ones */
    uint8_t af;
    uint8_t byte[PACKET_MAX];
};

struct ip_spec {
    uint8_t from[16], to[16];
    uint8_t proto, ttl;
    uint16_t id, fragment; /* fragment: flags and offset as on the wire */
};

struct tcp_spec {
    uint16_t from, to, window;
    uint32_t seq, ack;
    uint8_t flags;
    uint8_t n_options; /* bytes, a multiple of 4 */
    uint8_t option[40];
};

static inline void packet_put(struct packet *p, const void *bytes, uint32_t n)
{
    assert(p->len + n <= PACKET_MAX);
    memcpy(p->byte + p->len, bytes, n);
    p->len += n;
}

static inline void packet_u8(struct packet *p, uint8_t v)
{
    packet_put(p, &v, 1);
}

static inline void packet_u16(struct packet *p, uint16_t v)
{
    const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    packet_put(p, b, 2);
}

static inline void packet_u32(struct packet *p, uint32_t v)
{
    packet_u16(p, (uint16_t)(v >> 16));
    packet_u16(p, (uint16_t)v);
}

static inline void packet_set_u16(struct packet *p, uint32_t at, uint16_t v)
{
    p->byte[at] = (uint8_t)(v >> 8);
    p->byte[at + 1] = (uint8_t)v;
}

/* MAC addresses 02:00:00:00:00:XX. */
static inline void packet_ethernet(struct packet *p, uint8_t to, uint8_t from, uint16_t ethertype)
{
    const uint8_t macs[12] = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from};

    p->len = 0;
    p->wire_extra = 0;
    packet_put(p, macs, sizeof(macs));
    packet_u16(p, ethertype);
}

static inline void packet_vlan(struct packet *p, uint16_t tag, uint16_t ethertype)
{
    packet_u16(p, tag);
    packet_u16(p, ethertype);
}

static inline void packet_ipv4(struct packet *p, const struct ip_spec *ip)
{
    p->l3 = p->len;
    p->af = 4;
    packet_u16(p, 0x4500);
    packet_u16(p, 0); /* total length: packet_finish */
    packet_u16(p, ip->id);
    packet_u16(p, ip->fragment);
    packet_u8(p, ip->ttl != 0 ? ip->ttl : 64);
    packet_u8(p, ip->proto);
    packet_u16(p, 0);
    packet_put(p, ip->from, 4);
    packet_put(p, ip->to, 4);
}

static inline void packet_ipv6(struct packet *p, const struct ip_spec *ip)
{
    p->l3 = p->len;
    p->af = 6;
    packet_u32(p, 0x60000000);
    packet_u16(p, 0);
    packet_u8(p, ip->proto);
    packet_u8(p, ip->ttl != 0 ? ip->ttl : 64);
    packet_put(p, ip->from, 16);
    packet_put(p, ip->to, 16);
}

static inline void packet_tcp(struct packet *p, const struct tcp_spec *t)
{
    packet_u16(p, t->from);
    packet_u16(p, t->to);
    packet_u32(p, t->seq);
    packet_u32(p, t->ack);
    packet_u8(p, (uint8_t)((20 + t->n_options) / 4 << 4));
    packet_u8(p, t->flags);
    packet_u16(p, t->window);
    packet_u32(p, 0); /* checksum, urgent pointer */
    packet_put(p, t->option, t->n_options);
}

static inline void packet_udp(struct packet *p, uint16_t from, uint16_t to, uint16_t payload_bytes)
{
    packet_u16(p, from);
    packet_u16(p, to);
    packet_u16(p, (uint16_t)(8 + payload_bytes));
    packet_u16(p, 0);
}

static inline void packet_icmp(struct packet *p, uint8_t type, uint8_t code, uint16_t id, uint16_t seq)
{
    packet_u8(p, type);
    packet_u8(p, code);
    packet_u16(p, 0);
    packet_u16(p, id);
    packet_u16(p, seq);
}

/* Payload whose bytes are a function of `seed` and place: byte i of seed s equals byte 0 of seed s + i. */
static inline void packet_payload(struct packet *p, uint32_t seed, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        packet_u8(p, (uint8_t)(((seed + i) * 2654435761u) >> 24));
}

/* Sets the IP length to what is there. */
static inline void packet_finish(struct packet *p)
{
    if (p->af == 4)
        packet_set_u16(p, p->l3 + 2, (uint16_t)(p->len - p->l3));
    else
        packet_set_u16(p, p->l3 + 4, (uint16_t)(p->len - p->l3 - 40));
}

#endif

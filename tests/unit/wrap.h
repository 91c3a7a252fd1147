/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_WRAP_H
#define SPANWARD_TESTS_WRAP_H

/*
 * Encapsulations as functions from an Ethernet frame to an Ethernet frame, so that they nest. `dir` is the direction of
 * the packet inside: the tunnel's ends are 192.0.2.1 (client's side) and 192.0.2.2, or 2001:db8:ffff::1 and ::2, and an
 * id that each receiver chooses differs by direction. Written from the RFCs that the decoders name, without their code.
 */

#include "common/record.h"
#include "tests/unit/packet.h"

enum { WRAP_ETHERNET, WRAP_IP }; /* what it carries */

static inline void wrap_outer_ip(struct packet *o, unsigned dir, uint8_t proto)
{
    struct ip_spec ip = {
        .from = {192, 0, 2, (uint8_t)(1 + dir)}, .to = {192, 0, 2, (uint8_t)(2 - dir)}, .proto = proto};

    packet_ethernet(o, (uint8_t)(0x21 - dir), (uint8_t)(0x20 + dir), 0x0800);
    packet_ipv4(o, &ip);
}

static inline void wrap_outer_ip6(struct packet *o, unsigned dir, uint8_t proto)
{
    struct ip_spec ip = {.from = {0x20, 1, 0xd, 0xb8, 0xff, 0xff, [15] = (uint8_t)(1 + dir)},
                         .to = {0x20, 1, 0xd, 0xb8, 0xff, 0xff, [15] = (uint8_t)(2 - dir)},
                         .proto = proto};

    packet_ethernet(o, (uint8_t)(0x21 - dir), (uint8_t)(0x20 + dir), 0x86dd);
    packet_ipv6(o, &ip);
}

static inline void wrap_udp(struct packet *o, unsigned dir, uint16_t port)
{
    wrap_outer_ip(o, dir, 17);
    packet_udp(o, 55555, port, 0);
}

/* Appends the rest and sets the outer lengths. */
static inline void wrap_rest(struct packet *o, const struct packet *in, uint32_t skip)
{
    bool udp = o->byte[o->l3 + (o->af == 4 ? 9 : 6)] == 17;
    uint32_t l4 = o->l3 + (o->af == 4 ? 20 : 40);

    packet_put(o, in->byte + skip, in->len - skip);
    packet_finish(o);
    if (udp)
        packet_set_u16(o, l4 + 4, (uint16_t)(o->len - l4));
}

static inline uint16_t wrap_type(const struct packet *in)
{
    return (uint16_t)(in->byte[12] << 8 | in->byte[13]);
}

static inline void wrap_mac(struct packet *o, unsigned dir, uint16_t ethertype)
{
    packet_ethernet(o, (uint8_t)(0x31 - dir), (uint8_t)(0x30 + dir), ethertype);
}

static inline void wrap_vlan(struct packet *o, const struct packet *in, unsigned dir)
{
    o->len = 0;
    packet_put(o, in->byte, 12);
    packet_u16(o, 0x88a8);
    packet_u16(o, (uint16_t)(100 + dir));
    packet_put(o, in->byte + 12, in->len - 12);
}

static inline void wrap_mpls_ip(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_mac(o, dir, 0x8847);
    packet_u32(o, (300 + dir) << 12 | 64);
    packet_u32(o, (400 + dir) << 12 | 0x100 | 64);
    packet_put(o, in->byte + 14, in->len - 14);
}

static inline void wrap_pw(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_mac(o, dir, 0x8847);
    packet_u32(o, (500 + dir) << 12 | 0x100 | 64);
    packet_put(o, in->byte, in->len);
}

static inline void wrap_pw_control(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_mac(o, dir, 0x8847);
    packet_u32(o, (600 + dir) << 12 | 0x100 | 64);
    packet_u32(o, 7); /* control word with a sequence number */
    packet_put(o, in->byte, in->len);
}

static inline void wrap_pppoe(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_mac(o, dir, 0x8864);
    packet_u32(o, 0x11000021);
    packet_u16(o, (uint16_t)(in->len - 14 + 2));
    packet_u16(o, wrap_type(in) == 0x0800 ? 0x0021 : 0x0057);
    packet_put(o, in->byte + 14, in->len - 14);
}

static inline void wrap_gre(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip(o, dir, 47);
    packet_u16(o, 0);
    packet_u16(o, wrap_type(in));
    wrap_rest(o, in, 14);
}

static inline void wrap_gre_key(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip6(o, dir, 47);
    packet_u16(o, 0xb000); /* checksum, key, sequence number */
    packet_u16(o, wrap_type(in));
    packet_u32(o, 0);
    packet_u32(o, 77);
    packet_u32(o, 1);
    wrap_rest(o, in, 14);
}

static inline void wrap_nvgre(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip(o, dir, 47);
    packet_u16(o, 0x2000);
    packet_u16(o, 0x6558);
    packet_u32(o, 0x123456u << 8 | dir); /* the flow id may differ */
    wrap_rest(o, in, 0);
}

static inline void wrap_pptp(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip(o, dir, 47);
    packet_u16(o, 0x3081);
    packet_u16(o, 0x880b);
    packet_u16(o, (uint16_t)(in->len - 14 + 4));
    packet_u16(o, (uint16_t)(21 + dir));
    packet_u32(o, 1);
    packet_u32(o, 2);
    packet_u32(o, 0xff030000 | (wrap_type(in) == 0x0800 ? 0x21 : 0x57));
    wrap_rest(o, in, 14);
}

static inline void wrap_erspan1(struct packet *o, const struct packet *in, unsigned dir)
{
    (void)dir; /* a mirror sends one way */
    wrap_outer_ip(o, 0, 47);
    packet_u32(o, 0x000088be);
    wrap_rest(o, in, 0);
}

static inline void wrap_erspan2(struct packet *o, const struct packet *in, unsigned dir)
{
    (void)dir;
    wrap_outer_ip(o, 0, 47);
    packet_u32(o, 0x100088be);
    packet_u32(o, 1);
    packet_u32(o, 1u << 28 | 55 << 16 | 2 << 11 | 9); /* VLAN 55 was taken off, session 9 */
    packet_u32(o, 3);
    wrap_rest(o, in, 0);
}

static inline void wrap_erspan3(struct packet *o, const struct packet *in, unsigned dir)
{
    (void)dir;
    wrap_outer_ip(o, 0, 47);
    packet_u32(o, 0x100022eb);
    packet_u32(o, 1);
    packet_u32(o, 2u << 28 | 9);
    packet_u32(o, 1000); /* time */
    packet_u32(o, 1);    /* unit 100 us; a platform's part follows */
    packet_u32(o, 0x11111111);
    packet_u32(o, 0x22222222);
    wrap_rest(o, in, 0);
}

static inline void wrap_vxlan(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 4789);
    packet_u32(o, 0x08000000);
    packet_u32(o, 0xabcdefu << 8);
    wrap_rest(o, in, 0);
}

static inline void wrap_gpe_ethernet(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 4790);
    packet_u32(o, 0x0c000003);
    packet_u32(o, 5u << 8);
    wrap_rest(o, in, 0);
}

static inline void wrap_gpe_ip(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 4790);
    packet_u32(o, wrap_type(in) == 0x0800 ? 0x0c000001 : 0x0c000002);
    packet_u32(o, 5u << 8);
    wrap_rest(o, in, 14);
}

static inline void wrap_geneve(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 6081);
    packet_u32(o, 3u << 24 | 0x6558); /* 12 bytes of options */
    packet_u32(o, 42u << 8);
    packet_u32(o, 0x01020301);
    packet_u32(o, 0xdeadbeef);
    packet_u32(o, 0x01020400);
    wrap_rest(o, in, 0);
}

static inline void wrap_geneve_bare(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 6081);
    packet_u32(o, 0x6558);
    packet_u32(o, 43u << 8);
    wrap_rest(o, in, 0);
}

static inline void wrap_gtpu(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 2152);
    packet_u16(o, 0x30ff);
    packet_u16(o, (uint16_t)(in->len - 14));
    packet_u32(o, 1000 + dir);
    wrap_rest(o, in, 14);
}

static inline void wrap_gtpu_extended(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 2152);
    packet_u16(o, 0x36ff); /* sequence number and extensions */
    packet_u16(o, (uint16_t)(in->len - 14 + 4 + 4 + 8));
    packet_u32(o, 1000 + dir);
    packet_u32(o, 0x00070085); /* PDU session container */
    packet_u32(o, 0x01100540);
    packet_u32(o, 0x02000000);
    packet_u32(o, 0);
    wrap_rest(o, in, 14);
}

static inline void wrap_ip_in_ip4(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip(o, dir, wrap_type(in) == 0x0800 ? 4 : 41);
    wrap_rest(o, in, 14);
}

static inline void wrap_ip_in_ip6(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip6(o, dir, wrap_type(in) == 0x0800 ? 4 : 41);
    wrap_rest(o, in, 14);
}

static inline void wrap_l2tpv3_ip(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_outer_ip(o, dir, 115);
    packet_u32(o, 70 + dir);
    wrap_rest(o, in, 0);
}

static inline void wrap_l2tpv3_udp(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 1701);
    packet_u32(o, 0x00030000);
    packet_u32(o, 70 + dir);
    packet_u32(o, 0xc00c1e00); /* 8 bytes of cookie and a sublayer */
    packet_u32(o, 0xfeedface);
    packet_u32(o, 0x40000001);
    wrap_rest(o, in, 0);
}

static inline void wrap_l2tpv2(struct packet *o, const struct packet *in, unsigned dir)
{
    wrap_udp(o, dir, 1701);
    packet_u16(o, 0x4802);
    packet_u16(o, (uint16_t)(12 + 4 + in->len - 14));
    packet_u32(o, (5 + dir) << 16 | 6);
    packet_u32(o, 1);
    packet_u32(o, 0xff030000 | (wrap_type(in) == 0x0800 ? 0x21 : 0x57));
    wrap_rest(o, in, 14);
}

static inline void wrap_tzsp(struct packet *o, const struct packet *in, unsigned dir)
{
    (void)dir;
    wrap_udp(o, 0, 37008);
    packet_u32(o, 0x01000001);
    packet_u32(o, 0x000a0142); /* padding, signal strength */
    packet_u8(o, 1);
    wrap_rest(o, in, 0);
}

struct wrap {
    const char *name;
    void (*fn)(struct packet *o, const struct packet *in, unsigned dir);
    uint8_t carries;
    uint8_t type; /* enum tunnel_type */
    uint8_t af;   /* of the outer addresses */
    bool in_key;
    uint32_t id; /* as in the packets of direction 0 */
};

static const struct wrap wraps[] = {
    {"802.1ad", wrap_vlan, WRAP_ETHERNET, TUNNEL_NONE, 0, false, 0},
    {"MPLS, two labels, IP", wrap_mpls_ip, WRAP_IP, TUNNEL_MPLS, 0, false, 400},
    {"MPLS pseudowire", wrap_pw, WRAP_ETHERNET, TUNNEL_MPLS, 0, false, 500},
    {"MPLS pseudowire, control word", wrap_pw_control, WRAP_ETHERNET, TUNNEL_MPLS, 0, false, 600},
    {"PPPoE", wrap_pppoe, WRAP_IP, TUNNEL_PPPOE, 0, false, 0x21},
    {"GRE", wrap_gre, WRAP_IP, TUNNEL_GRE, 4, false, 0},
    {"GRE over IPv6, checksum, key, sequence", wrap_gre_key, WRAP_IP, TUNNEL_GRE, 6, true, 77},
    {"NVGRE", wrap_nvgre, WRAP_ETHERNET, TUNNEL_GRE, 4, true, 0x123456},
    {"PPTP", wrap_pptp, WRAP_IP, TUNNEL_GRE, 4, false, 21},
    {"ERSPAN I", wrap_erspan1, WRAP_ETHERNET, TUNNEL_ERSPAN, 4, false, 0},
    {"ERSPAN II", wrap_erspan2, WRAP_ETHERNET, TUNNEL_ERSPAN, 4, false, 9},
    {"ERSPAN III", wrap_erspan3, WRAP_ETHERNET, TUNNEL_ERSPAN, 4, false, 9},
    {"VXLAN", wrap_vxlan, WRAP_ETHERNET, TUNNEL_VXLAN, 4, true, 0xabcdef},
    {"VXLAN-GPE, Ethernet", wrap_gpe_ethernet, WRAP_ETHERNET, TUNNEL_VXLAN_GPE, 4, true, 5},
    {"VXLAN-GPE, IP", wrap_gpe_ip, WRAP_IP, TUNNEL_VXLAN_GPE, 4, true, 5},
    {"Geneve, options", wrap_geneve, WRAP_ETHERNET, TUNNEL_GENEVE, 4, true, 42},
    {"Geneve", wrap_geneve_bare, WRAP_ETHERNET, TUNNEL_GENEVE, 4, true, 43},
    {"GTP-U", wrap_gtpu, WRAP_IP, TUNNEL_GTPU, 4, false, 1000},
    {"GTP-U, extension headers", wrap_gtpu_extended, WRAP_IP, TUNNEL_GTPU, 4, false, 1000},
    {"IP in IPv4", wrap_ip_in_ip4, WRAP_IP, TUNNEL_IPIP, 4, false, 0},
    {"IP in IPv6", wrap_ip_in_ip6, WRAP_IP, TUNNEL_IPIP, 6, false, 0},
    {"L2TPv3 over IP", wrap_l2tpv3_ip, WRAP_ETHERNET, TUNNEL_L2TP, 4, false, 70},
    {"L2TPv3 over UDP", wrap_l2tpv3_udp, WRAP_ETHERNET, TUNNEL_L2TP, 4, false, 70},
    {"L2TPv2", wrap_l2tpv2, WRAP_IP, TUNNEL_L2TP, 4, false, 5u << 16 | 6},
    {"TZSP", wrap_tzsp, WRAP_ETHERNET, TUNNEL_TZSP, 4, false, 0},
};
#define N_WRAPS ((unsigned)(sizeof(wraps) / sizeof(wraps[0])))

static inline const struct wrap *wrap_named(const char *name)
{
    for (unsigned i = 0; i < N_WRAPS; i++)
        if (strcmp(wraps[i].name, name) == 0)
            return &wraps[i];
    return NULL;
}

/* Can it carry what is in this frame? */
static inline bool wrap_fits(const struct wrap *w, const struct packet *in)
{
    return w->carries == WRAP_ETHERNET || wrap_type(in) == 0x0800 || wrap_type(in) == 0x86dd;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Decoders from literal bytes: every field of struct pkt, and every packet cut at every length. A cut packet lies in a
 * block of exactly its captured size, so that AddressSanitizer reports a read behind it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/decode/decode.h"
#include "dataplane/decode/plain.h"
#include "dataplane/decode/wide.h"
#include "dataplane/flow_table.h"
#include "dataplane/shard.h"
#include "tests/unit/packet.h"
#include "tests/unit/wrap.h"
#include "tests/unit/unit.h"

static const struct decode_options no_options;
static struct batch batch;
static struct packet packet;

/* Decodes the first `cap` bytes of p; the result's data pointer is dead. */
static const struct pkt *decode_cut(const struct packet *p, uint32_t cap, enum link_type link,
                                    const struct decode_options *options)
{
    uint8_t *bytes = malloc(cap != 0 ? cap : 1);

    memcpy(bytes, p->byte, cap);
    batch.n = 1;
    batch.link = link;
    memset(&batch.pkt[0], 0xa5, sizeof(batch.pkt[0]));
    batch.pkt[0].data = bytes;
    batch.pkt[0].cap_len = batch.pkt[0].snap_len = cap;
    batch.pkt[0].wire_len = p->len + p->wire_extra;
    batch.pkt[0].rx_vlan = RX_NO_VLAN;
    decode_batch(&batch, options);
    if (batch.pkt[0].verdict == PKT_FLOW)
        pkt_complete_key(&batch.pkt[0]);
    free(bytes);
    return &batch.pkt[0];
}

static const struct pkt *decode(const struct packet *p)
{
    return decode_cut(p, p->len, LINK_ETHERNET, &no_options);
}

static const struct ip_spec ip4 = {.from = {10, 0, 1, 2}, .to = {10, 0, 0, 1}, .proto = 6, .id = 0x1234, .ttl = 57};
static const struct ip_spec ip6 = {
    .from = {0x20, 1, 0xd, 0xb8, [15] = 2}, .to = {0x20, 1, 0xd, 0xb8, [15] = 1}, .proto = 6, .ttl = 57};

static void drops_as(const struct pkt *p, enum ledger_drop why)
{
    ck_assert_uint_eq(p->verdict, PKT_DROP0 + why);
}

static struct tcp_spec tcp_with(const uint8_t *options, uint8_t n)
{
    struct tcp_spec t = {
        .from = 443, .to = 50000, .seq = 0x01020304, .ack = 0xa0b0c0d0, .flags = TCP_ACK | TCP_PSH, .window = 512};

    memcpy(t.option, options, n);
    t.n_options = n;
    return t;
}

static void make_tcp4(const uint8_t *options, uint8_t n, uint32_t payload)
{
    struct tcp_spec t = tcp_with(options, n);

    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &ip4);
    packet_tcp(&packet, &t);
    packet_payload(&packet, 1, payload);
    packet_finish(&packet);
}

static const uint8_t timestamps_and_sack[] = {1, 1, 8, 10, 0, 0, 1, 2,  0, 0, 3, 4,  1, 1, 5, 18,
                                              0, 0, 0, 9,  0, 0, 0, 19, 0, 0, 0, 30, 0, 0, 0, 40};

START_TEST(every_field_of_tcp_over_ipv4)
{
    make_tcp4(timestamps_and_sack, sizeof(timestamps_and_sack), 7);
    const struct pkt *p = decode(&packet);

    ck_assert_uint_eq(p->verdict, PKT_FLOW);
    ck_assert_uint_eq(p->l3_off, 14);
    ck_assert_uint_eq(p->l4_off, 34);
    ck_assert_uint_eq(p->payload_off, 34 + 52);
    ck_assert_uint_eq(p->payload_len, 7);
    ck_assert_uint_eq(p->payload_cap, 7);
    ck_assert_uint_eq(p->ip_bytes, 20 + 52 + 7);
    ck_assert_uint_eq(p->ttl, 57);
    ck_assert_uint_eq(p->ip_id, 0x1234);
    ck_assert_uint_eq(p->flags, PKT_HAS_IP_ID | PKT_HAS_TS | PKT_L4_OK);
    ck_assert_uint_eq(p->tcp_seq, 0x01020304);
    ck_assert_uint_eq(p->tcp_ack, 0xa0b0c0d0);
    ck_assert_uint_eq(p->tcp_flags, TCP_ACK | TCP_PSH);
    ck_assert_uint_eq(p->tcp_window, 512);
    ck_assert_uint_eq(p->tsval, 0x102);
    ck_assert_uint_eq(p->tsecr, 0x304);
    ck_assert_uint_eq(p->n_sack, 2);
    ck_assert(p->sack[0].left == 9 && p->sack[0].right == 19 && p->sack[1].left == 30 && p->sack[1].right == 40);
    /* the smaller address is endpoint 0, and the sender was the other */
    ck_assert_uint_eq(p->sender, 1);
    ck_assert_mem_eq(p->key.addr[0].byte, ip4.to, 16);
    ck_assert_mem_eq(p->key.addr[1].byte, ip4.from, 16);
    ck_assert(p->key.port[0] == 50000 && p->key.port[1] == 443);
    ck_assert(p->key.af == 4 && p->key.proto == 6 && p->key.kind == KEY_PORTS && p->key.tunnel == TUNNEL_NONE);
}
END_TEST

/* At every captured length: a verdict, offsets within the bytes, and the payload's length still from the IP header. */
static void cut_everywhere(enum link_type link, uint32_t whole_header)
{
    for (uint32_t cap = 0; cap <= packet.len; cap++) {
        const struct pkt *p = decode_cut(&packet, cap, link, &no_options);
        ck_assert(p->verdict == PKT_FLOW || p->verdict == PKT_L2 || p->verdict == PKT_DROP0 + LEDGER_decode_short);
        ck_assert_uint_le(p->l4_off, cap);
        ck_assert_uint_le(p->payload_off + p->payload_cap, cap);
        ck_assert_int_eq((p->flags & PKT_TRUNCATED) != 0, cap < packet.len);
        if (cap >= whole_header) {
            ck_assert_uint_eq(p->verdict, PKT_FLOW);
            ck_assert(p->flags & PKT_L4_OK);
            ck_assert_uint_eq(p->payload_len, packet.len - whole_header);
        }
    }
}

START_TEST(cut_at_every_length)
{
    make_tcp4(timestamps_and_sack, sizeof(timestamps_and_sack), 9);
    cut_everywhere(LINK_ETHERNET, 14 + 20 + 52);
    struct ip_spec udp = ip6;
    udp.proto = 17;
    packet_ethernet(&packet, 1, 2, 0x88a8);
    packet_vlan(&packet, 100, 0x8100);
    packet_vlan(&packet, 200, 0x86dd);
    packet_ipv6(&packet, &udp);
    packet_udp(&packet, 5353, 53, 11);
    packet_payload(&packet, 1, 11);
    packet_finish(&packet);
    cut_everywhere(LINK_ETHERNET, 22 + 40 + 8);
    struct ip_spec icmp = ip4;
    icmp.proto = 1;
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &icmp);
    packet_icmp(&packet, 8, 0, 77, 3);
    packet_payload(&packet, 1, 11);
    packet_finish(&packet);
    cut_everywhere(LINK_ETHERNET, 42);
}
END_TEST

/* Between ports and options the packet belongs to its flow, but nothing reads its header. */
START_TEST(headers_cut_after_the_ports_keep_their_flow)
{
    make_tcp4(timestamps_and_sack, sizeof(timestamps_and_sack), 9);
    for (uint32_t cap = 34 + 4; cap < 34 + 20; cap++) {
        const struct pkt *p = decode_cut(&packet, cap, LINK_ETHERNET, &no_options);
        ck_assert_uint_eq(p->verdict, PKT_FLOW);
        ck_assert(!(p->flags & PKT_L4_OK));
        ck_assert(p->key.port[0] == 50000 && p->key.port[1] == 443);
    }
    const struct pkt *p = decode_cut(&packet, 34 + 25, LINK_ETHERNET, &no_options); /* inside the options */
    ck_assert(p->flags & PKT_L4_OK && !(p->flags & PKT_HAS_TS));
    ck_assert_uint_eq(p->payload_len, 9);
    ck_assert_uint_eq(p->payload_cap, 0);
}
END_TEST

START_TEST(options_that_lie_end_the_walk)
{
    static const uint8_t zero_length[] = {8, 0, 5, 0, 1, 1, 8, 10};
    static const uint8_t length_one[] = {8, 1, 1, 1, 3, 3, 7, 0};
    static const uint8_t too_long[] = {5, 200, 0, 0, 0, 1, 0, 0};
    static const uint8_t end_first[] = {0, 8, 10, 1, 1, 1, 4, 2};
    static const uint8_t odd_sack[] = {5, 9, 0, 0, 0, 1, 0, 0, 0, 4, 2, 0};
    static const uint8_t short_timestamps[] = {8, 6, 0, 0, 0, 1, 4, 2};

    make_tcp4(zero_length, 8, 0);
    ck_assert(!(decode(&packet)->flags & PKT_HAS_TS));
    make_tcp4(length_one, 8, 0);
    ck_assert_uint_eq(decode(&packet)->verdict, PKT_FLOW);
    make_tcp4(too_long, 8, 0);
    ck_assert_uint_eq(decode(&packet)->n_sack, 0);
    make_tcp4(end_first, 8, 0);
    ck_assert(!(decode(&packet)->flags & PKT_HAS_SACK_PERM));
    make_tcp4(odd_sack, 12, 0);
    ck_assert_uint_eq(decode(&packet)->n_sack, 0);
    ck_assert(decode(&packet)->flags & PKT_HAS_SACK_PERM); /* the walk goes on behind it */
    make_tcp4(short_timestamps, 8, 0);
    ck_assert(!(decode(&packet)->flags & PKT_HAS_TS));
    ck_assert(decode(&packet)->flags & PKT_HAS_SACK_PERM);
}
END_TEST

START_TEST(headers_that_contradict_themselves)
{
    static const struct {
        uint32_t at;
        uint8_t value;
    } lies[] = {
        {14, 0x44}, /* IPv4 header of 16 bytes */
        {14, 0x65}, /* version 6 under ethertype IPv4 */
        {17, 10},   /* total length less than the header */
        {46, 0x40}, /* TCP header of 16 bytes */
        {46, 0xf0}, /* TCP header longer than the datagram */
    };

    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        make_tcp4(timestamps_and_sack, 0, 3);
        packet.byte[lies[i].at] = lies[i].value;
        drops_as(decode(&packet), LEDGER_decode_bad);
    }
}
END_TEST

START_TEST(the_ip_length_counts_not_the_frame)
{
    make_tcp4(timestamps_and_sack, 0, 0);
    packet_payload(&packet, 1, 6); /* Ethernet padding */
    ck_assert_uint_eq(decode(&packet)->payload_len, 0);
    ck_assert_uint_eq(decode(&packet)->payload_cap, 0);
    ck_assert_uint_eq(decode(&packet)->ip_bytes, 40);

    make_tcp4(timestamps_and_sack, 0, 10);
    packet_set_u16(&packet, 16, 1500); /* more than the frame holds: somebody cut it */
    ck_assert_uint_eq(decode(&packet)->payload_len, 1460);
    ck_assert_uint_eq(decode(&packet)->payload_cap, 10);
    ck_assert(decode(&packet)->flags & PKT_TRUNCATED);

    make_tcp4(timestamps_and_sack, 0, 10);
    packet_set_u16(&packet, 16, 0); /* segmentation offload: the frame's length counts */
    ck_assert_uint_eq(decode(&packet)->payload_len, 10);
    ck_assert_uint_eq(decode(&packet)->verdict, PKT_FLOW);
}
END_TEST

START_TEST(fragments)
{
    struct ip_spec f = ip4;

    f.proto = 17;
    f.fragment = 0x2000; /* the first: its header is there */
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &f);
    packet_udp(&packet, 5000, 53, 2000);
    packet_payload(&packet, 1, 64);
    packet_finish(&packet);
    const struct pkt *p = decode(&packet);
    ck_assert(p->flags & PKT_FRAGMENT && p->flags & PKT_L4_OK);
    ck_assert_uint_eq(p->key.port[0] + p->key.port[1], 5053);

    f.fragment = 9;
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &f);
    packet_payload(&packet, 1, 64);
    packet_finish(&packet);
    p = decode(&packet);
    ck_assert(p->flags & PKT_FRAGMENT && !(p->flags & PKT_L4_OK));
    ck_assert_uint_eq(p->verdict, PKT_FLOW);
    ck_assert_uint_eq(p->key.port[0] + p->key.port[1], 0);
    ck_assert_uint_eq(p->key.proto, 17);

    f.fragment = 0x4000; /* don't fragment is none */
    packet_set_u16(&packet, 20, f.fragment);
    ck_assert(!(decode(&packet)->flags & PKT_FRAGMENT));
}
END_TEST

/* IPv6 with `chain`, each header being {type, length byte, fragment field}, then TCP. */
static void make_chain(const uint8_t (*chain)[2], unsigned n, uint16_t fragment)
{
    struct ip_spec ip = ip6;
    struct tcp_spec t = {.from = 443, .to = 50000, .flags = TCP_SYN};

    ip.proto = n != 0 ? chain[0][0] : 6;
    packet_ethernet(&packet, 1, 2, 0x86dd);
    packet_ipv6(&packet, &ip);
    for (unsigned i = 0; i < n; i++) {
        uint32_t bytes = chain[i][0] == 51 ? (chain[i][1] + 2u) * 4u : chain[i][0] == 44 ? 8u : (chain[i][1] + 1u) * 8u;
        packet_u8(&packet, i + 1 < n ? chain[i + 1][0] : 6);
        packet_u8(&packet, chain[i][0] == 44 ? 0 : chain[i][1]);
        packet_u16(&packet, chain[i][0] == 44 ? fragment : 0);
        packet_u32(&packet, 0x00001234);
        for (uint32_t k = 8; k < bytes; k++)
            packet_u8(&packet, 0);
    }
    packet_tcp(&packet, &t);
    packet_finish(&packet);
}

START_TEST(ipv6_extension_headers)
{
    static const uint8_t all[][2] = {{0, 0}, {43, 1}, {60, 0}, {51, 4}, {135, 0}, {139, 0}, {140, 2}};
    static const uint8_t whole[][2] = {{44, 0}};
    uint8_t endless[20][2] = {{0}};

    make_chain(all, 7, 0);
    const struct pkt *p = decode(&packet);
    ck_assert_uint_eq(p->verdict, PKT_FLOW);
    ck_assert_uint_eq(p->key.proto, 6);
    ck_assert_uint_eq(p->tcp_flags, TCP_SYN);
    ck_assert_uint_eq(p->l4_off, packet.len - 20);
    ck_assert(!(p->flags & PKT_HAS_IP_ID));
    for (uint32_t cap = 54; cap < packet.len - 20; cap++)
        drops_as(decode_cut(&packet, cap, LINK_ETHERNET, &no_options), LEDGER_decode_short);

    make_chain(whole, 1, 0); /* an atomic fragment is none */
    ck_assert(!(decode(&packet)->flags & PKT_FRAGMENT));
    make_chain(whole, 1, 1); /* first of several */
    ck_assert(decode(&packet)->flags & PKT_FRAGMENT && decode(&packet)->flags & PKT_L4_OK);
    ck_assert_uint_eq(decode(&packet)->ip_id, 0x1234);
    make_chain(whole, 1, 0x0100);
    ck_assert(decode(&packet)->flags & PKT_FRAGMENT && !(decode(&packet)->flags & PKT_L4_OK));
    make_chain(endless, 20, 0);
    drops_as(decode(&packet), LEDGER_too_many_layers);
}
END_TEST

START_TEST(tags)
{
    make_tcp4(timestamps_and_sack, 0, 0);
    struct packet tagged = {0};
    packet_put(&tagged, packet.byte, 12);
    for (unsigned i = 0; i < 5; i++) {
        packet_u16(&tagged, i == 0 ? 0x88a8 : 0x8100);
        packet_u16(&tagged, (uint16_t)(0xe000 | (10 + i))); /* priority is no part of the id */
    }
    packet_put(&tagged, packet.byte + 12, packet.len - 12);
    const struct pkt *p = decode(&tagged);
    ck_assert_uint_eq(p->verdict, PKT_FLOW);
    ck_assert_uint_eq(p->n_vlans, 4);
    ck_assert(p->vlan[0] == 10 && p->vlan[3] == 13);
    ck_assert_uint_eq(p->key.vlan, 0);
    p = decode_cut(&tagged, tagged.len, LINK_ETHERNET, &(struct decode_options){.vlan_in_key = true});
    ck_assert_uint_eq(p->key.vlan, 10);

    struct packet loop = {0};
    packet_put(&loop, packet.byte, 12);
    for (unsigned i = 0; i < 40; i++)
        packet_u32(&loop, 0x81000001);
    packet_u16(&loop, 0x0800);
    drops_as(decode(&loop), LEDGER_too_many_layers);
}
END_TEST

START_TEST(link_types)
{
    static const uint8_t nothing[20];
    struct packet inner, p = {0};

    make_tcp4(timestamps_and_sack, 0, 4);
    inner = packet;
    packet_put(&p, inner.byte + 14, inner.len - 14);
    ck_assert_uint_eq(decode_cut(&p, p.len, LINK_RAW_IP, &no_options)->payload_len, 4);
    p.byte[0] = 0x15;
    drops_as(decode_cut(&p, p.len, LINK_RAW_IP, &no_options), LEDGER_decode_unknown);

    p = (struct packet){0};
    packet_put(&p, nothing, 14);
    packet_put(&p, inner.byte + 12, inner.len - 12);
    ck_assert_uint_eq(decode_cut(&p, p.len, LINK_SLL, &no_options)->payload_len, 4);

    p = (struct packet){0};
    packet_u16(&p, 0x0800);
    packet_put(&p, nothing, 18);
    packet_put(&p, inner.byte + 14, inner.len - 14);
    ck_assert_uint_eq(decode_cut(&p, p.len, LINK_SLL2, &no_options)->payload_len, 4);

    static const uint8_t snap[] = {0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
    p = (struct packet){0};
    packet_u8(&p, 0x57);
    packet_put(&p, nothing, 12);
    packet_put(&p, snap, 8);
    packet_put(&p, inner.byte + 14, inner.len - 14);
    ck_assert_uint_eq(decode_cut(&p, p.len, LINK_FDDI, &no_options)->payload_len, 4);
    p.byte[0] = 0x41; /* ring management */
    ck_assert_uint_eq(decode_cut(&p, p.len, LINK_FDDI, &no_options)->verdict, PKT_L2);

    for (unsigned swapped = 0; swapped < 2; swapped++) {
        p = (struct packet){0};
        packet_u32(&p, swapped ? 0x02000000 : 2);
        packet_put(&p, inner.byte + 14, inner.len - 14);
        ck_assert_uint_eq(decode_cut(&p, p.len, LINK_NULL, &no_options)->payload_len, 4);
    }
    packet_set_u16(&p, 0, 0x6300);
    drops_as(decode_cut(&p, p.len, LINK_NULL, &no_options), LEDGER_decode_unknown);
}
END_TEST

START_TEST(frames_without_ip)
{
    static const uint16_t known[] = {0x0806, 0x88cc, 0x8809, 0x888e};

    for (unsigned i = 0; i < 4; i++) {
        packet_ethernet(&packet, 1, 2, known[i]);
        packet_payload(&packet, 1, 46);
        ck_assert_uint_eq(decode(&packet)->verdict, PKT_L2);
    }
    packet_ethernet(&packet, 1, 2, 38); /* a length: LLC */
    packet_payload(&packet, 1, 46);
    ck_assert_uint_eq(decode(&packet)->verdict, PKT_L2);
    packet_ethernet(&packet, 1, 2, 0x4242);
    packet_payload(&packet, 1, 46);
    drops_as(decode(&packet), LEDGER_decode_unknown);
    packet.len = 10; /* not even addresses, and not because of the mirror */
    drops_as(decode(&packet), LEDGER_decode_bad);
}
END_TEST

START_TEST(icmp_keys)
{
    struct ip_spec ip = ip4;

    ip.proto = 1;
    for (unsigned type = 0; type <= 8; type += 8) {
        packet_ethernet(&packet, 1, 2, 0x0800);
        packet_ipv4(&packet, &ip);
        packet_icmp(&packet, (uint8_t)type, 0, 77, 3);
        packet_finish(&packet);
        const struct pkt *p = decode(&packet);
        ck_assert_uint_eq(p->key.kind, KEY_ICMP_ECHO);
        ck_assert(p->key.port[0] == 77 && p->key.port[1] == 77 && p->icmp_seq == 3 && p->icmp_type == type);
    }
    packet.byte[34] = 11;
    const struct pkt *p = decode(&packet);
    ck_assert_uint_eq(p->key.kind, KEY_ICMP_OTHER);
    ck_assert(p->key.port[0] == 11 << 8 && p->key.port[1] == 11 << 8);
}
END_TEST

START_TEST(udp_length_bounds_the_payload)
{
    struct ip_spec ip = ip4;

    ip.proto = 17;
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &ip);
    packet_udp(&packet, 1, 2, 5);
    packet_payload(&packet, 1, 12);
    packet_finish(&packet);
    ck_assert_uint_eq(decode(&packet)->payload_len, 5);
    packet_set_u16(&packet, 38, 60000); /* larger than the datagram */
    ck_assert_uint_eq(decode(&packet)->payload_len, 12);
    packet_set_u16(&packet, 38, 3); /* smaller than its own header */
    ck_assert_uint_eq(decode(&packet)->payload_len, 12);
}
END_TEST

/* The same 16 address bytes as IPv4 (padded) and as IPv6 are two keys. */
START_TEST(ipv4_never_equals_ipv6)
{
    struct ip_spec six = {.from = {10, 0, 1, 2}, .to = {10, 0, 0, 1}, .proto = 6};
    struct tcp_spec t = {.from = 443, .to = 50000, .flags = TCP_ACK | TCP_PSH};

    make_tcp4(timestamps_and_sack, 0, 0);
    struct flow_key four = decode(&packet)->key;
    packet_ethernet(&packet, 1, 2, 0x86dd);
    packet_ipv6(&packet, &six);
    packet_tcp(&packet, &t);
    packet_finish(&packet);
    struct flow_key other = decode(&packet)->key;
    ck_assert_mem_eq(four.addr, other.addr, sizeof(four.addr));
    ck_assert(four.port[0] == other.port[0] && four.port[1] == other.port[1]);
    ck_assert_mem_ne(&four, &other, sizeof(four));
}
END_TEST

START_TEST(both_directions_have_one_key)
{
    struct tcp_spec there = {.from = 7, .to = 9}, back = {.from = 9, .to = 7};
    struct ip_spec same = ip4; /* one address at both ends: the ports decide */

    memcpy(same.to, same.from, 16);
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &same);
    packet_tcp(&packet, &there);
    packet_finish(&packet);
    struct pkt a = *decode(&packet);
    packet_ethernet(&packet, 2, 1, 0x0800);
    packet_ipv4(&packet, &same);
    packet_tcp(&packet, &back);
    packet_finish(&packet);
    struct pkt b = *decode(&packet);
    ck_assert_mem_eq(&a.key, &b.key, sizeof(a.key));
    ck_assert_uint_eq(a.sender + b.sender, 1);
    ck_assert_uint_eq(a.l2_hash, b.l2_hash);
}
END_TEST

/* What both ways must agree on; the VLAN in the key is what keeps the second from the short way. */
static void same_packet(const struct pkt *a, const struct pkt *b)
{
    ck_assert_uint_eq(a->verdict, b->verdict);
    if (a->verdict != PKT_FLOW)
        return;
    ck_assert(a->ip_bytes == b->ip_bytes && a->wire_len == b->wire_len && a->flags == b->flags && a->ttl == b->ttl);
    ck_assert(a->l3_off == b->l3_off && a->l4_off == b->l4_off && a->payload_off == b->payload_off);
    ck_assert(a->payload_len == b->payload_len && a->payload_cap == b->payload_cap && a->sender == b->sender);
    ck_assert(a->ip_id == b->ip_id && a->frag_off == b->frag_off && a->l2_hash == b->l2_hash);
    ck_assert(a->n_vlans == b->n_vlans && a->tunnel == b->tunnel && a->outer_af == b->outer_af);
    if (a->tunnel != TUNNEL_NONE)
        ck_assert(a->tunnel_id == b->tunnel_id && a->outer_off == b->outer_off);
    ck_assert_mem_eq(a->vlan, b->vlan, sizeof(a->vlan[0]) * a->n_vlans);
    ck_assert_mem_eq(a->key.addr, b->key.addr, sizeof(a->key.addr));
    ck_assert(a->key.port[0] == b->key.port[0] && a->key.port[1] == b->key.port[1] && a->key.proto == b->key.proto);
    ck_assert(a->key.af == b->key.af && a->key.kind == b->key.kind && a->key.tunnel_id == b->key.tunnel_id);
    ck_assert(a->tcp_flags == b->tcp_flags && a->n_sack == b->n_sack && a->copy == b->copy && a->notice == b->notice);
    if (a->key.proto != 6 || !(a->flags & PKT_L4_OK))
        return;
    ck_assert(a->tcp_flags == b->tcp_flags && a->tcp_window == b->tcp_window && a->tcp_seq == b->tcp_seq);
    ck_assert(a->tcp_ack == b->tcp_ack && a->n_sack == b->n_sack);
    if (a->flags & PKT_HAS_TS)
        ck_assert(a->tsval == b->tsval && a->tsecr == b->tsecr);
    ck_assert_mem_eq(a->sack, b->sack, sizeof(a->sack[0]) * a->n_sack);
}

static void put_tag(struct packet *p, uint8_t tag)
{
    memmove(p->byte + 16, p->byte + 12, p->len - 12);
    p->byte[12] = 0x81;
    p->byte[13] = 0;
    p->byte[14] = tag;
    p->len += 4;
}

/* A tag, padding, another bit, a cut: each sometimes. Returns how much of it is captured. */
static uint32_t mangle(struct packet *p, uint32_t random)
{
    if (random >> 16 & 1)
        put_tag(p, (uint8_t)(random >> 4));
    p->wire_extra = random >> 24 & 3 ? 0 : random >> 10 & 63;
    if (random >> 17 & 1)
        p->byte[random % p->len] ^= (uint8_t)(1u << (random >> 20 & 7));
    return random >> 18 & 3 ? p->len : random % (p->len + 1);
}

/* Bytes of the options of a segment: the usual timestamps, none, or SACK behind them. */
static uint8_t some_options(uint32_t random)
{
    unsigned one_of_16 = random >> 28;

    return one_of_16 < 8 ? 12 : one_of_16 < 12 ? 0 : 32;
}

/* Plain TCP takes a short way, of which there are two: whatever is done to a packet, it says the same as the walk. */
static void short_way_and_walk_agree(void)
{
    static const struct decode_options walk = {.vlan_in_key = true};
    static struct flow_table table;
    uint32_t random = 1, n_short = 0;

    ck_assert_int_eq(flow_table_init(&table, 64), 0);
    for (unsigned round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        make_tcp4(timestamps_and_sack, some_options(random), random >> 8 & 31);
        struct packet mangled = packet;
        uint32_t cap = mangle(&mangled, random);
        struct pkt fast = *decode_cut(&mangled, cap, LINK_ETHERNET, &no_options);
        struct pkt slow = *decode_cut(&mangled, cap, LINK_ETHERNET, &walk);
        same_packet(&fast, &slow);
        ck_assert(!slow.has_id);
        if (fast.has_id) {
            struct short_key id = {0};
            flow_key_shorten(&table, &fast.key, &id);
            ck_assert_mem_eq(&id, &fast.id, sizeof(id));
            n_short++;
        }
    }
    ck_assert_uint_gt(n_short, 8000);
    flow_table_fini(&table);
}

/* Mangles `packet` and decodes it by whatever way is chosen, by the walk, and, if all of it is captured, by the short
 * way for proto in the place of an IPv4 packet. All say the same. Returns whether the short way took it. */
static bool three_ways_agree(uint32_t random, unsigned proto, struct pkt *ret)
{
    static const struct decode_options walk = {.vlan_in_key = true};
    struct packet mangled = packet;
    uint32_t cap = mangle(&mangled, random);
    struct pkt fast = *decode_cut(&mangled, cap, LINK_ETHERNET, &no_options);
    struct pkt slow = *decode_cut(&mangled, cap, LINK_ETHERNET, &walk);

    same_packet(&fast, &slow);
    *ret = fast;
    ret->data = mangled.byte;
    ret->has_key = 0;
    ret->id.af = 4;
    if (cap != mangled.len || !decode_plain(ret, proto))
        return false;
    same_packet(ret, &slow);
    ck_assert_uint_eq(shard_of_pkt(ret), shard_of_pkt(&slow));
    return true;
}

/* UDP of some bytes, at times to a port where tunnels are, or with another length than IP's. */
static void put_udp(uint32_t random)
{
    static const uint16_t ports[] = {53, 443, 4789, 1701, 2152, 50000};
    uint32_t bytes = random >> 8 & 31;

    packet_udp(&packet, ports[random % 5], ports[random >> 3 & 3 ? 5 : random % 6], (uint16_t)bytes);
    packet_payload(&packet, random, random >> 29 == 0 ? bytes / 2 : bytes + (random >> 29 == 1));
    packet_finish(&packet);
}

START_TEST(the_short_way_and_the_walk_agree_about_udp)
{
    uint32_t random = 1, n_short[2] = {0};
    struct pkt p;

    for (unsigned round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        unsigned six = random >> 27 & 1;
        struct ip_spec ip = {.from = {10, 1}, .to = {10, 2}, .proto = 17, .ttl = 60, .id = random};
        ip.from[six ? 15 : 1] ^= random >> 22 & 3;
        packet_ethernet(&packet, 1, 2, six ? 0x86dd : 0x0800);
        six ? packet_ipv6(&packet, &ip) : packet_ipv4(&packet, &ip);
        put_udp(random);
        n_short[six] += three_ways_agree(random, 17, &p);
    }
    ck_assert(n_short[0] > 2500 && n_short[1] > 2500);
}
END_TEST

/* The same over IPv6, with addresses that differ early, late or not at all. */
START_TEST(the_short_way_and_the_walk_agree_over_ipv6)
{
    uint32_t random = 1, n_sender[2] = {0};
    struct pkt p;

    for (unsigned round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        struct ip_spec six = {.from = {0x20, 1}, .to = {0x20, 1}, .proto = 6, .ttl = 60};
        struct tcp_spec t = {
            .from = random >> 14, .to = 443, .seq = random, .ack = ~random, .flags = TCP_ACK, .window = 7};
        t.n_options = some_options(random);
        memcpy(t.option, timestamps_and_sack, t.n_options);
        six.from[random >> 12 & 15] ^= random >> 20 & 1;
        six.to[random >> 8 & 15] ^= random >> 21 & 1;
        packet_ethernet(&packet, 1, 2, 0x86dd);
        packet_ipv6(&packet, &six);
        packet_tcp(&packet, &t);
        packet_payload(&packet, random, random >> 8 & 31);
        packet_finish(&packet);
        if (three_ways_agree(random, 6, &p) && p.has_key)
            n_sender[p.sender]++;
    }
    ck_assert_uint_gt(n_sender[0] + n_sender[1], 8000);
    ck_assert(n_sender[0] > 1000 && n_sender[1] > 1000);
}
END_TEST

/* The same through each tunnel, some of which have a short way. */
static void short_way_and_walk_agree_inside(const struct wrap *wrap, unsigned least_short)
{
    static const struct decode_options walk = {.vlan_in_key = true};
    static struct flow_table table;
    uint32_t random = 1;
    unsigned n_short = 0;

    ck_assert_int_eq(flow_table_init(&table, 64), 0);
    for (unsigned round = 0; round < 2000; round++) {
        struct packet mangled = {.len = 0};
        random = random * 1664525 + 1013904223;
        make_tcp4(timestamps_and_sack, some_options(random), random >> 8 & 31);
        if (wrap->carries == WRAP_ETHERNET && (random >> 16 & 1))
            put_tag(&packet, (uint8_t)(random >> 4));
        wrap->fn(&mangled, &packet, random >> 15 & 1);
        if (random >> 7 & 1)
            put_tag(&mangled, (uint8_t)(random >> 5));
        mangled.wire_extra = random >> 24 & 3 ? 0 : random >> 10 & 63;
        for (unsigned n = random >> 17 & 3; n != 0 && n < 3; n--)
            mangled.byte[(random >> n) % mangled.len] ^= (uint8_t)(1u << (random >> (19 + n) & 7));
        uint32_t cap = random >> 18 & 3 ? mangled.len : random % (mangled.len + 1);
        struct pkt fast = *decode_cut(&mangled, cap, LINK_ETHERNET, &no_options);
        struct pkt slow = *decode_cut(&mangled, cap, LINK_ETHERNET, &walk);
        same_packet(&fast, &slow);
        if (!fast.has_id || fast.tunnel == TUNNEL_NONE)
            continue;
        struct short_key id = {0};
        flow_key_shorten(&table, &fast.key, &id);
        ck_assert_mem_eq(&id, &fast.id, sizeof(id));
        ck_assert(fast.key.tunnel == slow.key.tunnel && fast.tunnel == wrap->type);
        n_short++;
    }
    ck_assert_msg(n_short >= least_short, "%s: %u of 2000 by the short way", wrap->name, n_short);
    flow_table_fini(&table);
}

START_TEST(the_short_way_and_the_walk_agree_inside_tunnels)
{
    static const char *const has_short[] = {"VXLAN", "Geneve", "GTP-U", "GRE", "NVGRE", "ERSPAN II", "IP in IPv4"};

    for (unsigned i = 0; i < N_WRAPS; i++) {
        unsigned least = 0;
        for (unsigned k = 0; k < sizeof(has_short) / sizeof(has_short[0]); k++)
            least += strcmp(wraps[i].name, has_short[k]) == 0 ? 600 : 0;
        short_way_and_walk_agree_inside(&wraps[i], least);
    }
}
END_TEST

START_TEST(the_short_way_and_the_walk_agree)
{
    decode_ways = DECODE_NARROW;
    short_way_and_walk_agree();
}
END_TEST

START_TEST(the_wide_way_and_the_walk_agree)
{
    if (!decode_wide_can()) {
        printf("no AVX-512 with VBMI here: the wide way is not tested\n");
        return;
    }
    decode_ways = DECODE_WIDE;
    short_way_and_walk_agree();
}
END_TEST

UNIT_MAIN("decode", every_field_of_tcp_over_ipv4, cut_at_every_length, headers_cut_after_the_ports_keep_their_flow,
          options_that_lie_end_the_walk, headers_that_contradict_themselves, the_ip_length_counts_not_the_frame,
          fragments, ipv6_extension_headers, tags, link_types, frames_without_ip, icmp_keys,
          udp_length_bounds_the_payload, ipv4_never_equals_ipv6, both_directions_have_one_key,
          the_short_way_and_the_walk_agree, the_short_way_and_the_walk_agree_over_ipv6,
          the_short_way_and_the_walk_agree_about_udp, the_short_way_and_the_walk_agree_inside_tunnels,
          the_wide_way_and_the_walk_agree)

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tunnels through a worker. One story (TCP, DNS and echo, over IPv4 and IPv6) in every encapsulation, and in every pair
 * of them, must give the same flows as in none: all fields but tunnel, VLANs and frame bytes. Then what keeps tenants
 * apart, what copies are, what only looks like a tunnel, how deep it goes, and every packet cut at every length.
 */

#include <stdio.h>

#include "dataplane/decode/tunnel.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"
#include "tests/unit/wrap.h"

#define STORY_MAX 64u

/* Frames of 1 ms distance. */
static struct {
    struct packet frame[STORY_MAX];
    unsigned dir[STORY_MAX];
    unsigned n;
} story;

/* Opens a frame of the story; L4 and payload are the caller's. */
static struct packet *begin(unsigned af, unsigned dir, uint8_t proto)
{
    struct packet *p = &story.frame[story.n];
    struct ip_spec ip = {.proto = proto, .id = (uint16_t)(1000 + story.n)};

    ip.from[0] = ip.to[0] = af == 4 ? 10 : 0x20;
    ip.from[1] = ip.to[1] = af == 4 ? 0 : 1;
    ip.from[af == 4 ? 3 : 15] = (uint8_t)(1 + dir);
    ip.to[af == 4 ? 3 : 15] = (uint8_t)(2 - dir);
    story.dir[story.n++] = dir;
    packet_ethernet(p, (uint8_t)(2 - dir), (uint8_t)(1 + dir), af == 4 ? 0x0800 : 0x86dd);
    if (af == 4)
        packet_ipv4(p, &ip);
    else
        packet_ipv6(p, &ip);
    return p;
}

static void segment(unsigned af, unsigned dir, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes)
{
    struct tcp_spec t = {.from = dir == 0 ? 50000 : 443, .to = dir == 0 ? 443 : 50000, .window = 8000};
    struct packet *p = begin(af, dir, 6);

    t.flags = flags;
    t.seq = seq;
    t.ack = ack;
    packet_tcp(p, &t);
    packet_payload(p, seq, bytes);
    packet_finish(p);
}

static void tcp(unsigned af)
{
    segment(af, 0, TCP_SYN, 1000, 0, 0);
    segment(af, 1, TCP_SYN | TCP_ACK, 5000, 1001, 0);
    segment(af, 0, TCP_ACK, 1001, 5001, 0);
    segment(af, 0, TCP_ACK | TCP_PSH, 1001, 5001, 100);
    segment(af, 1, TCP_ACK, 5001, 1101, 900);
    segment(af, 1, TCP_ACK, 5901, 1101, 333);
    segment(af, 0, TCP_ACK, 1101, 6234, 0);
    segment(af, 0, TCP_FIN | TCP_ACK, 1101, 6234, 0);
    segment(af, 1, TCP_FIN | TCP_ACK, 6234, 1102, 0);
    segment(af, 0, TCP_ACK, 1102, 6235, 0);
}

static void dns(unsigned af)
{
    static const uint8_t question[] = {1, 'a', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};

    for (unsigned dir = 0; dir < 2; dir++) {
        struct packet *p = begin(af, dir, 17);
        packet_udp(p, dir == 0 ? 40000 : 53, dir == 0 ? 53 : 40000, 12 + sizeof(question));
        packet_u16(p, 0x4242);
        packet_u16(p, dir == 0 ? 0x0100 : 0x8183); /* query; NXDOMAIN */
        packet_u16(p, 1);
        packet_u16(p, 0);
        packet_u32(p, 0);
        packet_put(p, question, sizeof(question));
        packet_finish(p);
    }
}

static void ping(unsigned af)
{
    for (unsigned dir = 0; dir < 2; dir++) {
        struct packet *p = begin(af, dir, af == 4 ? 1 : 58);
        uint8_t request = af == 4 ? 8 : 128, reply = af == 4 ? 0 : 129;
        packet_icmp(p, dir == 0 ? request : reply, 0, 77, 1);
        packet_payload(p, 9, 56);
        packet_finish(p);
    }
}

static void tell(void)
{
    story.n = 0;
    for (unsigned af = 4; af <= 6; af += 2) {
        tcp(af);
        dns(af);
        ping(af);
    }
}

/* inner may be NULL, then outer must be, too. */
static struct drive *run(const struct wrap *outer, const struct wrap *inner)
{
    static struct packet once, twice;
    struct drive *d = drive_new(drive_options());

    tell();
    for (unsigned i = 0; i < story.n; i++) {
        const struct packet *p = &story.frame[i];
        unsigned dir = story.dir[i];
        if (inner != NULL) {
            inner->fn(&once, p, dir);
            p = &once;
        }
        if (outer != NULL) {
            if (!wrap_fits(outer, p)) {
                drive_free(d);
                return NULL;
            }
            outer->fn(&twice, p, dir);
            p = &twice;
        }
        drive_packet(d, DRIVE_START + i * NS_PER_MS, p);
    }
    drive_finish(d);
    return d;
}

static void forget_outside(struct rec_flow *f)
{
    f->tunnel = f->tunnel_af = f->n_vlans = 0;
    f->tunnel_id = 0;
    memset(&f->tunnel_src, 0, sizeof(f->tunnel_src));
    memset(&f->tunnel_dst, 0, sizeof(f->tunnel_dst));
    memset(f->vlan, 0, sizeof(f->vlan));
    f->dir[0].frame_bytes = f->dir[1].frame_bytes = 0;
}

static void same_flows(const struct drive *plain, const struct drive *d, const char *outer, const char *inner)
{
    ck_assert_msg(d->n_flows == plain->n_flows && d->n_dns == plain->n_dns, "%s in %s: %u flows, %u DNS", inner, outer,
                  d->n_flows, d->n_dns);
    for (uint32_t i = 0; i < d->n_flows; i++) {
        struct rec_flow a = plain->flow[i], b = d->flow[i];
        forget_outside(&a);
        forget_outside(&b);
        ck_assert_msg(memcmp(&a, &b, sizeof(a)) == 0, "%s in %s: flow %u differs", inner, outer, i);
    }
    ck_assert_msg(memcmp(plain->dns, d->dns, d->n_dns * sizeof(d->dns[0])) == 0, "%s in %s: DNS differs", inner, outer);
    ck_assert_uint_eq(ledger_drop_sum(worker_ledger(d->rig.worker)), 0);
}

static void has_outside(const struct rec_flow *f, const struct wrap *w)
{
    bool six_in_four = w->type == TUNNEL_IPIP && w->af == 4 && f->af == 6;
    uint8_t last = w->af == 4 ? 3 : 15;

    ck_assert_msg(f->tunnel == (six_in_four ? TUNNEL_6IN4 : w->type), "%s: type %u", w->name, f->tunnel);
    ck_assert_msg(f->tunnel_id == w->id, "%s: id %u", w->name, f->tunnel_id);
    ck_assert_msg(f->tunnel_af == w->af, "%s: af %u", w->name, f->tunnel_af);
    if (w->af != 0)
        ck_assert_msg(f->tunnel_src.byte[last] == 1 && f->tunnel_dst.byte[last] == 2, "%s: ends", w->name);
}

START_TEST(one_story_in_every_encapsulation)
{
    struct drive *plain = run(NULL, NULL);

    ck_assert_uint_eq(plain->n_flows, 6);
    ck_assert_uint_eq(plain->n_dns, 2);
    for (uint32_t i = 0; i < plain->n_flows; i++)
        ck_assert_uint_eq(plain->flow[i].tunnel, TUNNEL_NONE);
    for (unsigned i = 0; i < N_WRAPS; i++) {
        struct drive *d = run(NULL, &wraps[i]);
        same_flows(plain, d, "Ethernet", wraps[i].name);
        for (uint32_t k = 0; k < d->n_flows; k++)
            has_outside(&d->flow[k], &wraps[i]);
        drive_free(d);
    }
    drive_free(plain);
}
END_TEST

START_TEST(every_encapsulation_in_every_other)
{
    struct drive *plain = run(NULL, NULL);
    const struct wrap *inner = &wraps[_i];

    for (unsigned o = 0; o < N_WRAPS; o++) {
        struct drive *d = run(&wraps[o], inner);
        if (d == NULL)
            continue;
        same_flows(plain, d, wraps[o].name, inner->name);
        const struct wrap *shown = wraps[o].in_key && !inner->in_key ? &wraps[o] : inner;
        if (inner->type == TUNNEL_NONE)
            shown = &wraps[o];
        for (uint32_t k = 0; k < d->n_flows; k++)
            has_outside(&d->flow[k], shown);
        drive_free(d);
    }
    drive_free(plain);
}
END_TEST

/* Wraps the story's first data segment `n` times, and tells the ledger's drop, or LEDGER_DROP_COUNT. */
static unsigned nested(const struct wrap *w, unsigned n)
{
    static struct packet p[2];
    struct drive *d = drive_new(drive_options());

    tell();
    p[0] = story.frame[3];
    for (unsigned i = 0; i < n; i++)
        w->fn(&p[(i + 1) % 2], &p[i % 2], 0);
    drive_packet(d, DRIVE_START, &p[n % 2]);
    drive_finish(d);
    unsigned drop = 0;
    while (drop < LEDGER_DROP_COUNT && worker_ledger(d->rig.worker)->drops[drop] == 0)
        drop++;
    if (drop == LEDGER_DROP_COUNT)
        ck_assert_uint_eq(d->flow[0].port[S2C], 443);
    drive_free(d);
    return drop;
}

START_TEST(depth_has_a_limit)
{
    static const struct {
        const char *name;
        unsigned layers;
    } table[] = {{"IP in IPv4", 2}, {"GRE", 2}, {"VXLAN", 4}, {"ERSPAN II", 4}, {"MPLS pseudowire", 2}, {"802.1ad", 1}};

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct wrap *w = wrap_named(table[i].name);
        for (unsigned n = 0; n < 40; n++) {
            unsigned layers = 3 + n * table[i].layers; /* Ethernet, IP, TCP */
            if (strcmp(w->name, "ERSPAN II") == 0)
                layers -= n; /* GRE and ERSPAN are one */
            ck_assert_msg(nested(w, n) == (layers <= MAX_LAYERS ? LEDGER_DROP_COUNT : LEDGER_too_many_layers),
                          "%s %u times", w->name, n);
        }
    }
}
END_TEST

START_TEST(cut_at_every_byte)
{
    static struct packet p;
    struct drive *d = drive_new(drive_options());
    uint64_t n = 0;

    tell();
    for (unsigned i = 0; i < N_WRAPS; i++) {
        for (unsigned k = 3; k < story.n; k += 14) { /* data of either family */
            wraps[i].fn(&p, &story.frame[k], story.dir[k]);
            for (uint32_t cap = 0; cap < p.len; cap++)
                drive_cut(d, DRIVE_START + n++ * NS_PER_MS, &p, cap);
        }
    }
    drive_finish(d);
    const struct ledger *l = worker_ledger(d->rig.worker);
    ck_assert_uint_eq(l->offered, n);
    ck_assert_uint_eq(ledger_drop_sum(l), l->drops[LEDGER_decode_short] + l->drops[LEDGER_duplicate]);
    drive_free(d);
}
END_TEST

/* ---- tenants and copies ---- */

/* The story through `w`, then through `w` with the word at `at` behind the outer L4 header's start changed. */
static uint32_t flows_of_two(const char *name, uint32_t at, uint32_t other)
{
    const struct wrap *w = wrap_named(name);
    static struct packet p;
    struct drive *d = drive_new(drive_options());

    tell();
    for (unsigned i = 0; i < 2 * story.n; i++) {
        unsigned k = i % story.n;
        w->fn(&p, &story.frame[k], story.dir[k]);
        if (i >= story.n) {
            uint32_t len = p.len;
            p.len = p.l3 + (p.af == 4 ? 20 : 40) + at;
            packet_u32(&p, other);
            p.len = len;
        }
        drive_packet(d, DRIVE_START + i * NS_PER_S, &p);
    }
    drive_finish(d);
    uint32_t n = d->n_flows;
    drive_free(d);
    return n;
}

START_TEST(ids_that_separate_and_ids_that_do_not)
{
    struct drive *plain = run(NULL, NULL);
    uint32_t once = plain->n_flows, again = once + 2; /* connections that were closed begin anew */

    drive_free(plain);
    ck_assert_uint_eq(flows_of_two("VXLAN", 12, 7u << 8), 2 * once);
    ck_assert_uint_eq(flows_of_two("VXLAN-GPE, IP", 12, 7u << 8), 2 * once);
    ck_assert_uint_eq(flows_of_two("Geneve, options", 12, 7u << 8), 2 * once);
    ck_assert_uint_eq(flows_of_two("GRE over IPv6, checksum, key, sequence", 8, 7), 2 * once);
    ck_assert_uint_eq(flows_of_two("NVGRE", 4, 0x654321u << 8), 2 * once);
    ck_assert_uint_eq(flows_of_two("NVGRE", 4, 0x123456u << 8 | 9), again); /* only the flow id */
    ck_assert_uint_eq(flows_of_two("GTP-U", 12, 7), again);
    ck_assert_uint_eq(flows_of_two("L2TPv3 over IP", 0, 7), again);
}
END_TEST

/* Every packet of IPv4 as `first` and 1 ms later as `second` shows it. */
static struct drive *seen_twice(const struct wrap *first, const struct wrap *second, uint8_t second_mac)
{
    static struct packet p;
    struct drive *d = drive_new(drive_options());

    tell();
    for (unsigned i = 0; i < 2 * (story.n / 2); i++) {
        unsigned k = i / 2;
        const struct wrap *w = i % 2 == 0 ? first : second;
        if (w != NULL)
            w->fn(&p, &story.frame[k], story.dir[k]);
        else
            p = story.frame[k];
        if (i % 2 != 0)
            p.byte[4] = second_mac;
        drive_packet(d, DRIVE_START + k * 100 * NS_PER_MS + i % 2 * NS_PER_MS, &p);
    }
    drive_finish(d);
    return d;
}

static void all_second_hops(struct drive *d)
{
    uint64_t hops = 0, dups = 0;

    ck_assert_uint_eq(d->n_flows, 3);
    for (uint32_t i = 0; i < d->n_flows; i++) {
        for (unsigned s = 0; s < 2; s++) {
            hops += d->flow[i].dir[s].second_hop_pkts;
            dups += d->flow[i].dir[s].dup_pkts;
            ck_assert_uint_eq(d->flow[i].tcp[s].retrans_pkts, 0);
        }
    }
    ck_assert_uint_eq(hops, story.n / 2);
    ck_assert_uint_eq(dups, 0);
    drive_free(d);
}

START_TEST(inside_and_outside_of_a_tunnel)
{
    for (unsigned i = 0; i < N_WRAPS; i++) {
        if (!wraps[i].in_key) {
            all_second_hops(seen_twice(NULL, &wraps[i], 0));
            all_second_hops(seen_twice(&wraps[i], NULL, 0));
        }
        all_second_hops(seen_twice(&wraps[i], &wraps[i], 0x77)); /* two hops of the network that carries it */
    }
    struct drive *d = seen_twice(NULL, wrap_named("VXLAN"), 0); /* the id must separate: two flows, each whole */
    ck_assert_uint_eq(d->n_flows, 6);
    ck_assert_uint_eq(worker_ledger(d->rig.worker)->drops[LEDGER_duplicate], 0);
    drive_free(d);
}
END_TEST

START_TEST(vlan_of_the_innermost_frame)
{
    static struct packet tagged, tunnel, outer;
    struct worker_options o = drive_options();
    const struct wrap *tag = wrap_named("802.1ad");

    o.vlan_in_key = true;
    struct drive *d = drive_new(o);
    tell();
    for (unsigned i = 0; i < 2; i++) { /* tags inside: 100; outside: 100, then 101 */
        tag->fn(&tagged, &story.frame[0], 0);
        wrap_vxlan(&tunnel, &tagged, 0);
        tag->fn(&outer, &tunnel, i);
        drive_packet(d, DRIVE_START + i * NS_PER_S, &outer);
    }
    tag->fn(&tagged, &story.frame[0], 1);
    wrap_vxlan(&tunnel, &tagged, 0);
    drive_packet(d, DRIVE_START + 2 * NS_PER_S, &tunnel);
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_uint_eq(d->flow[0].n_vlans, 2);
    ck_assert_uint_eq(d->flow[1].n_vlans, 1);
    drive_free(d);
}
END_TEST

/* ---- what only looks like a tunnel ---- */

static void stays_in(struct packet *p, uint8_t proto, uint16_t port, const char *what)
{
    struct drive *d = drive_new(drive_options());

    drive_packet(d, DRIVE_START, p);
    drive_finish(d);
    ck_assert_msg(d->n_flows == 1 && d->flow[0].proto == proto && d->flow[0].tunnel == TUNNEL_NONE &&
                      d->flow[0].addr[0].byte[0] == 192 && (port == 0 || d->flow[0].port[S2C] == port) &&
                      d->flow[0].dir[0].bytes == p->len - 14,
                  "%s", what);
    ck_assert_uint_eq(ledger_drop_sum(worker_ledger(d->rig.worker)), 0);
    drive_free(d);
}

/* The named encapsulation of a data segment with one byte behind the outer IP header xored. */
static void spoilt(const char *name, uint32_t at, uint8_t bits)
{
    static struct packet p;
    const struct wrap *w = wrap_named(name);
    char what[96];

    tell();
    w->fn(&p, &story.frame[3], 0);
    p.byte[34 + at] ^= bits;
    snprintf(what, sizeof(what), "%s, byte %u ^ %02x", name, at, bits);
    bool udp = p.byte[23] == 17;
    stays_in(&p, p.byte[23], udp ? (uint16_t)(p.byte[36] << 8 | p.byte[37]) : 0, what);
}

START_TEST(spoilt_headers)
{
    static const struct {
        const char *name;
        uint32_t at;
        uint8_t bits;
    } table[] = {
        {"VXLAN", 8, 0x08},                 /* no VNI */
        {"VXLAN", 8, 0x10},                 /* reserved */
        {"VXLAN", 11, 0x01},                /* reserved */
        {"VXLAN", 15, 0x01},                /* reserved */
        {"VXLAN", 16 + 6, 0x01},            /* from a group address */
        {"VXLAN", 16 + 12, 0x70},           /* no such type */
        {"VXLAN", 16 + 14, 0x10},           /* version 5 */
        {"VXLAN", 16 + 14, 0x04},           /* header of 4 bytes */
        {"VXLAN", 16 + 14 + 2, 0x40},       /* longer than the datagram */
        {"VXLAN", 16 + 14 + 20 + 12, 0x40}, /* the inner TCP header contradicts itself */
        {"VXLAN-GPE, IP", 8, 0x10},         /* version 1 */
        {"VXLAN-GPE, IP", 8, 0x01},         /* OAM */
        {"VXLAN-GPE, IP", 11, 0x05},        /* NSH */
        {"VXLAN-GPE, IP", 11, 0x03},        /* IPv6 that is IPv4 */
        {"Geneve, options", 8, 0x40},       /* version 1 */
        {"Geneve, options", 8, 0x20},       /* options beyond the end */
        {"Geneve, options", 9, 0x80},       /* OAM */
        {"Geneve, options", 10, 0x01},
        {"Geneve, options", 19, 0x04}, /* options that do not add up */
        {"GTP-U", 8, 0x20},            /* version 0 */
        {"GTP-U", 8, 0x10},            /* GTP' */
        {"GTP-U", 9, 0xfe},            /* echo request */
        {"GTP-U", 11, 0x01},           /* another length */
        {"GTP-U", 16, 0x10},
        {"GTP-U, extension headers", 20, 0x01}, /* an extension of no length */
        {"GTP-U, extension headers", 20, 0xff},
        {"L2TPv3 over UDP", 8, 0x80}, /* control */
        {"L2TPv3 over UDP", 9, 0x01}, /* version 2 */
        {"L2TPv3 over UDP", 11, 0x01},
        {"L2TPv2", 11, 0x01}, /* another length */
        {"L2TPv2", 23, 0x10}, /* no IP */
        {"L2TPv3 over IP", 16, 0x70},
        {"TZSP", 8, 0x02},
        {"TZSP", 9, 0x04},      /* keep-alive */
        {"TZSP", 11, 0x12},     /* 802.11 */
        {"TZSP", 14, 0xf0},     /* a tag beyond the end */
        {"GRE", 0, 0x40},       /* routing */
        {"GRE", 1, 0x02},       /* version 2 */
        {"GRE", 1, 0x01},       /* version 1, which is not this */
        {"GRE", 2, 0x20},       /* NHRP and the like */
        {"GRE", 4, 0x10},       /* no IP inside */
        {"PPTP", 0, 0x10},      /* only acknowledges */
        {"PPTP", 4, 0x80},      /* longer than the datagram */
        {"PPTP", 19, 0xdc},     /* compressed or encrypted */
        {"ERSPAN II", 8, 0x20}, /* version 3 */
        {"ERSPAN III", 8, 0x10},
        {"ERSPAN III", 18, 0x0c}, /* no frame type known */
        {"IP in IPv4", 0, 0x10},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        spoilt(table[i].name, table[i].at, table[i].bits);
}
END_TEST

START_TEST(noise_on_the_ports_of_tunnels)
{
    static const uint16_t port[] = {1701, 2152, 4789, 4790, 6081, 8472, 37008};
    static struct packet p;
    uint64_t noise = 88172645463325252ull;

    for (unsigned i = 0; i < sizeof(port) / sizeof(port[0]); i++) {
        for (unsigned n = 0; n < 40; n++) {
            wrap_udp(&p, 0, port[i]);
            uint32_t bytes = n * 5;
            for (uint32_t k = 0; k < bytes; k++) {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                packet_u8(&p, (uint8_t)noise);
            }
            packet_finish(&p);
            packet_set_u16(&p, 38, (uint16_t)(8 + bytes));
            stays_in(&p, 17, port[i], "noise");
        }
    }
}
END_TEST

START_TEST(a_refusal_inside_leaves_the_outer_tunnel)
{
    static struct packet inner, p;

    wrap_udp(&inner, 0, 2152); /* no GTP-U, in VXLAN */
    packet_payload(&inner, 1, 64);
    packet_finish(&inner);
    packet_set_u16(&inner, 38, 72);
    wrap_vxlan(&p, &inner, 0);
    struct drive *d = drive_new(drive_options());
    drive_packet(d, DRIVE_START, &p);
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert_uint_eq(d->flow[0].tunnel, TUNNEL_VXLAN);
    ck_assert_uint_eq(d->flow[0].port[S2C], 2152);
    ck_assert_uint_eq(d->flow[0].dir[0].bytes, inner.len - 14);
    drive_free(d);
}
END_TEST

START_TEST(no_node_for_the_outside)
{
    static struct packet p;
    struct worker_options o = drive_options();

    o.trouble_blocks = 1;
    struct drive *d = drive_new(o);
    tell();
    for (unsigned i = 0; i < story.n; i++) {
        wrap_vxlan(&p, &story.frame[i], story.dir[i]);
        drive_packet(d, DRIVE_START + i * NS_PER_MS, &p);
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 6);
    unsigned with = 0;
    for (uint32_t i = 0; i < d->n_flows; i++) {
        ck_assert(d->flow[i].tunnel == TUNNEL_VXLAN && d->flow[i].tunnel_id == 0xabcdef);
        with += d->flow[i].tunnel_af != 0;
    }
    ck_assert_uint_eq(with, 1);
    drive_free(d);
}
END_TEST

START_TEST(time_of_the_mirror)
{
    uint8_t header[12] = {0x20, [4] = 0, 0, 0x03, 0xe8};
    uint64_t ns = 0;

    ck_assert(erspan3_timestamp(header, &ns));
    ck_assert_uint_eq(ns, 100000000);
    header[11] = 1 << 1;
    ck_assert(erspan3_timestamp(header, &ns));
    ck_assert_uint_eq(ns, 100000);
    header[11] = 2 << 1;
    ck_assert(erspan3_timestamp(header, &ns));
    ck_assert_uint_eq(ns, 1000);
    header[11] = 3 << 1;
    ck_assert(!erspan3_timestamp(header, &ns));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decap");
    TCase *tcase = tcase_create("decap");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, one_story_in_every_encapsulation);
    tcase_add_loop_test(tcase, every_encapsulation_in_every_other, 0, N_WRAPS);
    tcase_add_test(tcase, depth_has_a_limit);
    tcase_add_test(tcase, cut_at_every_byte);
    tcase_add_test(tcase, ids_that_separate_and_ids_that_do_not);
    tcase_add_test(tcase, inside_and_outside_of_a_tunnel);
    tcase_add_test(tcase, vlan_of_the_innermost_frame);
    tcase_add_test(tcase, spoilt_headers);
    tcase_add_test(tcase, noise_on_the_ports_of_tunnels);
    tcase_add_test(tcase, a_refusal_inside_leaves_the_outer_tunnel);
    tcase_add_test(tcase, no_node_for_the_outside);
    tcase_add_test(tcase, time_of_the_mirror);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

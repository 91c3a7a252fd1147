/* SPDX-License-Identifier: BSD-3-Clause */

/* ICMP errors find their flow by the header that they quote; path MTU, its black holes, and what is none. */

#include <errno.h>

#include "common/events.h"
#include "dataplane/decode/decode.h"
#include "dataplane/icmp_error.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

static const uint8_t client[16] = {10, 0, 0, 1}, server[16] = {10, 0, 1, 2}, router[16] = {10, 9, 9, 9};
static struct packet packet;
static uint16_t next_id;

static void begin(uint8_t af, const uint8_t *from, const uint8_t *to, uint8_t proto, uint8_t mac)
{
    struct ip_spec ip = {.proto = proto, .id = ++next_id};

    memcpy(ip.from, from, 16);
    memcpy(ip.to, to, 16);
    packet_ethernet(&packet, mac, (uint8_t)(mac + 1), af == 4 ? 0x0800 : 0x86dd);
    if (af == 4)
        packet_ipv4(&packet, &ip);
    else
        packet_ipv6(&packet, &ip);
}

static void send_at(struct drive *d, double ms)
{
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6), &packet);
}

static void tcp_at(struct drive *d, double ms, uint8_t af, bool back, uint8_t flags, uint32_t seq, uint32_t ack,
                   uint32_t payload)
{
    const struct tcp_spec tcp = {
        .from = back ? 443 : 50000, .to = back ? 50000 : 443, .seq = seq, .ack = ack, .flags = flags, .window = 8000};

    begin(af, back ? server : client, back ? client : server, 6, back ? 3 : 1);
    packet_tcp(&packet, &tcp);
    packet_payload(&packet, seq, payload);
    send_at(d, ms);
}

/* An error of `router` about the client's packet (or, `back`, the server's): type, code, the word behind, a quote. */
static void error_at(struct drive *d, double ms, uint8_t af, uint8_t type, uint8_t code, uint32_t word, bool back,
                     uint8_t proto, const uint8_t quoted_l4[8])
{
    const uint8_t *from = back ? server : client, *to = back ? client : server;
    uint8_t quote[40] = {af == 4 ? 0x45 : 0x60};

    begin(af, router, from, af == 4 ? 1 : 58, 7);
    packet_icmp(&packet, type, code, (uint16_t)(word >> 16), (uint16_t)word);
    if (af == 4) {
        quote[2] = 5;
        quote[3] = 0xdc; /* 1500 */
        quote[9] = proto;
        memcpy(quote + 12, from, 4);
        memcpy(quote + 16, to, 4);
    } else {
        quote[6] = proto;
        memcpy(quote + 8, from, 16);
        memcpy(quote + 24, to, 16);
    }
    packet_put(&packet, quote, af == 4 ? 20 : 40);
    packet_put(&packet, quoted_l4, 8);
    send_at(d, ms);
}

static const uint8_t ports[8] = {50000 >> 8, 50000 & 255, 443 >> 8, 443 & 255};
static const uint8_t ports_back[8] = {443 >> 8, 443 & 255, 50000 >> 8, 50000 & 255};

static const struct rec_flow *tcp_flow(const struct drive *d)
{
    for (uint32_t i = 0; i < d->n_flows; i++)
        if (d->flow[i].proto == 6)
            return &d->flow[i];
    ck_abort_msg("no TCP flow");
    return NULL;
}

static struct drive *connected(uint8_t af)
{
    struct drive *d = drive_new(drive_options());

    tcp_at(d, 0, af, false, TCP_SYN, 1000, 0, 0);
    tcp_at(d, 10, af, true, TCP_SYN | TCP_ACK, 5000, 1001, 0);
    tcp_at(d, 11, af, false, TCP_ACK, 1001, 5001, 0);
    return d;
}

START_TEST(errors_find_their_flow)
{
    struct drive *d = connected(4);

    error_at(d, 20, 4, 3, 1, 0, false, 6, ports);
    error_at(d, 21, 4, 11, 0, 0, false, 6, ports);
    error_at(d, 22, 4, 11, 0, 0, true, 6, ports_back);
    error_at(d, 23, 4, 11, 0, 0, false, 17, ports); /* of no flow that there is */
    drive_finish(d);
    const struct rec_flow *f = tcp_flow(d);
    ck_assert(f->flags & RFLOW_ICMP_ERRORS);
    ck_assert_uint_eq(f->icmp_unreachable, 1);
    ck_assert_uint_eq(f->icmp_ttl_exceeded, 2);
    ck_assert_uint_eq(f->icmp_too_big, 0);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].icmp_errors, 4);
    drive_free(d);
}
END_TEST

static void echo_at(struct drive *d, double ms, uint8_t af, uint16_t seq)
{
    begin(af, client, server, af == 4 ? 1 : 58, 1);
    packet_icmp(&packet, af == 4 ? 8 : 128, 0, 77, seq);
    packet_payload(&packet, next_id, 32);
    send_at(d, ms);
}

START_TEST(a_traceroutes_probes_are_answered)
{
    for (uint8_t af = 4; af <= 6; af += 2) {
        struct drive *d = drive_new(drive_options());
        for (uint16_t seq = 1; seq <= 5; seq++) {
            const uint8_t quoted[8] = {af == 4 ? 8 : 128, 0, 0, 0, 0, 77, 0, (uint8_t)seq};
            echo_at(d, 10 * seq, af, seq);
            if (seq != 4) /* one hop keeps silent */
                error_at(d, 10 * seq + 5, af, af == 4 ? 11 : 3, 0, 0, false, af == 4 ? 1 : 58, quoted);
        }
        drive_finish(d);
        ck_assert_uint_eq(d->sum[WINDOW_MIRROR].icmp_unanswered, 1);
        drive_free(d);
    }
}
END_TEST

START_TEST(a_sender_that_adapts)
{
    struct drive *d = connected(4);

    tcp_at(d, 20, 4, false, TCP_ACK, 1001, 5001, 1460);
    error_at(d, 25, 4, 3, 4, 1400, false, 6, ports);
    tcp_at(d, 30, 4, false, TCP_ACK, 1001, 5001, 1360);
    tcp_at(d, 400, 4, false, TCP_ACK, 2361, 5001, 1360);
    drive_finish(d);
    const struct rec_flow *f = tcp_flow(d);
    ck_assert(f->flags & RFLOW_PMTU);
    ck_assert(f->pmtu[C2S].told && f->pmtu[C2S].adapted && !f->pmtu[C2S].black_hole);
    ck_assert_uint_eq(f->pmtu[C2S].mtu_bytes, 1400);
    ck_assert_uint_eq(f->pmtu[C2S].too_big_pkts, 0);
    ck_assert(!f->pmtu[S2C].told);
    ck_assert_uint_eq(d->n_events, 0);
    drive_free(d);
}
END_TEST

/* Two seconds later nobody looks at its packets for that any more, until it repeats one that is too big. */
START_TEST(a_sender_that_forgets)
{
    struct drive *d = connected(4);

    tcp_at(d, 15, 4, true, TCP_ACK, 5001, 1001, 10);
    error_at(d, 25, 4, 3, 4, 1400, false, 6, ports);
    for (unsigned i = 0; i < 60; i++)
        tcp_at(d, 30 + 50 * i, 4, false, TCP_ACK, 1001 + 1000 * i, 5011, 1000);
    tcp_at(d, 3050, 4, true, TCP_ACK, 5011, 61001, 0);
    ck_assert_uint_lt(worker_general_pkts(d->rig.worker), 52);
    for (unsigned i = 0; i < 5; i++)
        tcp_at(d, 3100 + 300 * i, 4, false, TCP_ACK, 61001, 5011, 1460);
    drive_finish(d);
    const struct rec_flow *f = tcp_flow(d);
    ck_assert(f->pmtu[C2S].told && !f->pmtu[C2S].adapted && f->pmtu[C2S].black_hole);
    ck_assert_uint_eq(f->pmtu[C2S].too_big_pkts, 4);
    ck_assert_uint_eq(d->n_events, 1);
    drive_free(d);
}
END_TEST

START_TEST(a_sender_that_does_not_listen)
{
    struct drive *d = connected(6);

    error_at(d, 25, 6, 2, 0, 1280, false, 6, ports);
    tcp_at(d, 26, 6, false, TCP_ACK, 1001, 5001, 1440); /* on its way already */
    for (unsigned i = 0; i < 5; i++)
        tcp_at(d, 300 + 300 * i, 6, false, TCP_ACK, 1001, 5001, 1440);
    drive_finish(d);
    const struct rec_flow *f = tcp_flow(d);
    ck_assert(f->pmtu[C2S].told && !f->pmtu[C2S].adapted && f->pmtu[C2S].black_hole);
    ck_assert_uint_eq(f->pmtu[C2S].too_big_pkts, 5);
    ck_assert_uint_eq(d->n_events, 1); /* once */
    ck_assert_uint_eq(d->event[0].kind, EVENT_PMTU_BLACKHOLE);
    ck_assert_uint_eq(d->event[0].n_kv, 4);
    ck_assert_int_eq(d->event[0].kv[1].number, 1500);
    ck_assert_int_eq(d->event[0].kv[2].number, 1280);
    drive_free(d);
}
END_TEST

/* Nobody tells, but one large segment comes again and again while the receiver is there. */
static uint32_t silent(uint32_t payload, bool alive, bool *ret_black_hole)
{
    struct drive *d = connected(4);

    for (unsigned i = 0; i < 5; i++) {
        tcp_at(d, 20 + 300 * i, 4, false, TCP_ACK, 1001, 5001, payload);
        if (alive)
            tcp_at(d, 40 + 300 * i, 4, true, TCP_ACK, 5000, 1001, 1); /* a keep-alive of the receiver's */
    }
    drive_finish(d);
    uint32_t n_events = d->n_events;
    *ret_black_hole = tcp_flow(d)->pmtu[C2S].black_hole;
    ck_assert(!tcp_flow(d)->pmtu[C2S].told);
    drive_free(d);
    return n_events;
}

START_TEST(a_black_hole_without_a_word)
{
    bool black_hole;

    ck_assert_uint_eq(silent(1460, true, &black_hole), 1);
    ck_assert(black_hole);
    ck_assert_uint_eq(silent(1460, false, &black_hole), 0); /* a dead receiver is none */
    ck_assert(!black_hole);
    ck_assert_uint_eq(silent(500, true, &black_hole), 0); /* nor are small segments */
    ck_assert(!black_hole);
}
END_TEST

/* tcptraceroute: each SYN dies on the way and somebody says so. */
START_TEST(a_syn_that_a_hop_reports_is_not_unanswered)
{
    struct drive *d = drive_new(drive_options());

    tcp_at(d, 0, 4, false, TCP_SYN, 1000, 0, 0);
    error_at(d, 5, 4, 11, 0, 0, false, 6, ports);
    drive_finish(d);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].unanswered_connects, 0);
    ck_assert(!(tcp_flow(d)->flags & RFLOW_UNANSWERED));
    drive_free(d);
}
END_TEST

/* Any word of a message, cut anywhere: read within bounds, or refused. */
START_TEST(quotes_that_are_cut)
{
    struct drive *d = drive_new(drive_options());

    error_at(d, 0, 4, 3, 4, 1400, false, 6, ports);
    uint32_t whole = packet.len;
    for (uint32_t cut = 34; cut <= whole; cut++)
        drive_cut(d, DRIVE_START + cut * NS_PER_MS, &packet, cut);
    drive_finish(d);
    ck_assert_uint_eq(d->n_events, 0);
    drive_free(d);
}
END_TEST

UNIT_MAIN("icmp_error", errors_find_their_flow, a_traceroutes_probes_are_answered, a_sender_that_adapts,
          a_sender_that_forgets, a_sender_that_does_not_listen, quotes_that_are_cut, a_black_hole_without_a_word,
          a_syn_that_a_hop_reports_is_not_unanswered)

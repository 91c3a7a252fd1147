/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Fragments through a worker: later ones find their ports, in order and not; TCP judges the segment when it is whole;
 * and overlaps, tiny first fragments, floods and reused ids cost no more than what fragment.h says.
 */

#include "dataplane/decode/fragment.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"
#include "tests/unit/wrap.h"

static struct packet datagram; /* behind its Ethernet and IP headers lies what is cut */

/* A datagram from `dir` of either family without L4. */
static void begin(unsigned af, unsigned dir, uint8_t proto, uint16_t id)
{
    struct ip_spec ip = {.proto = proto, .id = id};

    ip.from[0] = ip.to[0] = af == 4 ? 10 : 0x20;
    ip.from[af == 4 ? 3 : 15] = (uint8_t)(1 + dir);
    ip.to[af == 4 ? 3 : 15] = (uint8_t)(2 - dir);
    packet_ethernet(&datagram, (uint8_t)(2 - dir), (uint8_t)(1 + dir), af == 4 ? 0x0800 : 0x86dd);
    if (af == 4)
        packet_ipv4(&datagram, &ip);
    else
        packet_ipv6(&datagram, &ip);
}

static void udp(unsigned af, uint16_t id, uint32_t bytes)
{
    begin(af, 0, 17, id);
    packet_udp(&datagram, 5000, 6000, (uint16_t)bytes);
    packet_payload(&datagram, id, bytes);
    packet_finish(&datagram);
}

static void segment(unsigned af, unsigned dir, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes)
{
    static uint16_t id = 100;
    struct tcp_spec t = {.from = dir == 0 ? 50000 : 443, .to = dir == 0 ? 443 : 50000, .window = 8000};

    t.flags = flags;
    t.seq = seq;
    t.ack = ack;
    begin(af, dir, 6, id++);
    packet_tcp(&datagram, &t);
    packet_payload(&datagram, seq, bytes);
    packet_finish(&datagram);
}

/* Bytes [from, from + n) of the datagram's payload as a fragment of their own. */
static const struct packet *cut(uint32_t from, uint32_t n, bool more)
{
    static struct packet f;
    uint32_t header = datagram.af == 4 ? 34 : 54;

    f.len = 0;
    f.wire_extra = 0;
    f.af = datagram.af;
    f.l3 = datagram.l3;
    packet_put(&f, datagram.byte, header);
    if (f.af == 4) {
        packet_set_u16(&f, 20, (uint16_t)(from / 8 | (more ? 0x2000 : 0)));
    } else {
        packet_u8(&f, f.byte[20]);
        packet_u8(&f, 0);
        packet_u16(&f, (uint16_t)(from | more));
        packet_u32(&f, datagram.len); /* id */
        f.byte[20] = 44;
    }
    packet_put(&f, datagram.byte + header + from, n);
    packet_finish(&f);
    return &f;
}

static uint32_t payload_bytes(void)
{
    return datagram.len - (datagram.af == 4 ? 34 : 54);
}

static const struct packet *piece_of_3(unsigned i)
{
    uint32_t third = payload_bytes() / 24 * 8;

    return i < 2 ? cut(i * third, third, true) : cut(2 * third, payload_bytes() - 2 * third, false);
}

static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

START_TEST(ports_of_later_fragments)
{
    unsigned af = _i / 6 == 0 ? 4 : 6;
    const unsigned *order = orders[_i % 6];
    struct drive *d = drive_new(drive_options());
    unsigned before_first = 0;

    udp(af, 7, 2000);
    for (unsigned i = 0; i < 3; i++) {
        drive_packet(d, DRIVE_START + i * NS_PER_MS, piece_of_3(order[i]));
        before_first += order[i] != 0 && before_first == i;
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, before_first != 0 ? 2 : 1);
    for (uint32_t i = 0; i < d->n_flows; i++) {
        const struct rec_flow *f = &d->flow[i];
        bool whole = f->port[0] != 0 || f->port[1] != 0;
        ck_assert_uint_eq(f->proto, 17);
        ck_assert_uint_eq(f->dir[0].pkts + f->dir[1].pkts, whole ? 3 - before_first : before_first);
    }
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].fragments, 3);
    ck_assert_uint_eq(d->end.fragments_unmatched, before_first);
    ck_assert_uint_eq(d->end.fragments_malformed, 0);
    drive_free(d);
}
END_TEST

/* A connection whose second data segment is in pieces, in the given order; each seen `times` times. */
static struct drive *conversation(unsigned af, const unsigned *order, unsigned times, unsigned n_pieces)
{
    struct drive *d = drive_new(drive_options());
    uint64_t now = DRIVE_START;

#define SEND(...)                                                                                                      \
    do {                                                                                                               \
        segment(af, __VA_ARGS__);                                                                                      \
        drive_packet(d, now += NS_PER_MS, &datagram);                                                                  \
    } while (0)
    SEND(0, TCP_SYN, 1000, 0, 0);
    SEND(1, TCP_SYN | TCP_ACK, 5000, 1001, 0);
    SEND(0, TCP_ACK, 1001, 5001, 0);
    SEND(0, TCP_ACK, 1001, 5001, 100);
    SEND(1, TCP_ACK, 5001, 1101, 0);
    segment(af, 0, TCP_ACK, 1101, 5001, 2000);
    if (order == NULL)
        drive_packet(d, now += NS_PER_MS, &datagram);
    for (unsigned i = 0; order != NULL && i < n_pieces; i++)
        for (unsigned k = 0; k < times; k++)
            drive_packet(d, now += 10 * NS_PER_US, piece_of_3(order[i]));
    SEND(1, TCP_ACK, 5001, 3101, 0);
    SEND(0, TCP_ACK, 3101, 5001, 100);
    SEND(1, TCP_ACK, 5001, 3201, 0);
    SEND(0, TCP_FIN | TCP_ACK, 3201, 5001, 0);
    SEND(1, TCP_FIN | TCP_ACK, 5001, 3202, 0);
    SEND(0, TCP_ACK, 3202, 5002, 0);
#undef SEND
    drive_finish(d);
    return d;
}

static const struct rec_flow *the_connection(const struct drive *d)
{
    for (uint32_t i = 0; i < d->n_flows; i++)
        if (d->flow[i].port[S2C] == 443)
            return &d->flow[i];
    ck_abort_msg("no connection");
    return NULL;
}

START_TEST(a_segment_is_judged_when_it_is_whole)
{
    unsigned af = _i / 6 == 0 ? 4 : 6;
    struct drive *plain = conversation(af, NULL, 1, 0), *d = conversation(af, orders[_i % 6], 1, 3);
    const struct rec_flow *a = the_connection(plain), *b = the_connection(d);

    ck_assert_uint_eq(a->tcp[C2S].data_pkts, 3);
    ck_assert(memcmp(a->tcp, b->tcp, sizeof(a->tcp)) == 0);
    ck_assert_uint_eq(a->rtt[S2C].n, b->rtt[S2C].n);
    ck_assert_uint_eq(b->tcp[C2S].retrans_pkts + b->tcp[C2S].capture_gaps, 0);
    drive_free(plain);
    drive_free(d);
}
END_TEST

START_TEST(copies_of_fragments_are_copies)
{
    struct drive *d = conversation(4, orders[0], 2, 3);
    const struct rec_flow *f = the_connection(d);

    ck_assert_uint_eq(f->dir[C2S].dup_pkts, 3);
    ck_assert_uint_eq(f->tcp[C2S].data_pkts, 3);
    ck_assert_uint_eq(f->tcp[C2S].retrans_pkts + f->tcp[C2S].capture_gaps, 0);
    ck_assert_uint_eq(d->end.fragments_malformed, 0);
    drive_free(d);
}
END_TEST

START_TEST(a_segment_that_is_never_whole)
{
    struct drive *d = conversation(4, orders[0], 1, 2); /* the last piece was not shown, but acknowledged */
    const struct rec_flow *f = the_connection(d);

    ck_assert_uint_eq(f->tcp[C2S].data_pkts, 2);
    ck_assert_uint_eq(f->tcp[C2S].capture_gaps, 1);
    ck_assert_uint_eq(f->tcp[C2S].capture_lost_bytes, 2000);
    ck_assert_uint_eq(f->tcp[C2S].retrans_pkts, 0);
    drive_free(d);
}
END_TEST

START_TEST(echo_in_fragments)
{
    struct drive *d = drive_new(drive_options());

    for (unsigned dir = 0; dir < 2; dir++) {
        begin(4, dir, 1, (uint16_t)(40 + dir));
        packet_icmp(&datagram, dir == 0 ? 8 : 0, 0, 77, 0); /* sequence number 0, as a later fragment seems to have */
        packet_payload(&datagram, 1, 3000);
        packet_finish(&datagram);
        for (unsigned i = 0; i < 3; i++)
            drive_packet(d, DRIVE_START + (dir * 10 + i) * NS_PER_MS, piece_of_3(i));
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert_uint_eq(d->flow[0].dir[C2S].pkts + d->flow[0].dir[S2C].pkts, 6);
    ck_assert_uint_eq(d->flow[0].icmp_echo.n, 1);
    ck_assert_uint_eq(d->flow[0].icmp_echo.sum_ns, 10 * NS_PER_MS);
    ck_assert_uint_eq(d->flow[0].icmp_unanswered, 0);
    drive_free(d);
}
END_TEST

START_TEST(dns_in_fragments)
{
    static const uint8_t header[12] = {0x42, 0x42, 1, 0, 0, 1}, question[] = {1, 'a', 0, 0, 16, 0, 1};
    struct drive *d = drive_new(drive_options());

    for (unsigned dir = 0; dir < 2; dir++) {
        begin(4, dir, 17, (uint16_t)(40 + dir));
        packet_udp(&datagram, dir == 0 ? 5000 : 53, dir == 0 ? 53 : 5000, 2000);
        packet_put(&datagram, header, 12);
        datagram.byte[datagram.len - 10] = dir == 0 ? 1 : 0x81;
        packet_put(&datagram, question, sizeof(question));
        for (unsigned i = 0; dir != 0 && i < 300; i++) /* what would be questions at the start of a fragment */
            packet_put(&datagram, header, 12);
        packet_finish(&datagram);
        if (dir == 0)
            drive_packet(d, DRIVE_START, &datagram);
        for (unsigned i = 0; dir != 0 && i < 3; i++)
            drive_packet(d, DRIVE_START + 5 * NS_PER_MS, piece_of_3(i));
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert_uint_eq(d->flow[0].dir[S2C].pkts, 3);
    ck_assert_uint_eq(d->n_dns, 1);
    ck_assert_uint_eq(d->dns[0].rtt_ns, 5 * NS_PER_MS);
    drive_free(d);
}
END_TEST

START_TEST(entries_age_and_ids_return)
{
    struct drive *d = drive_new(drive_options());

    udp(4, 7, 2000);
    drive_packet(d, DRIVE_START, piece_of_3(0));
    drive_packet(d, DRIVE_START + 29 * NS_PER_S, piece_of_3(1));
    drive_packet(d, DRIVE_START + 31 * NS_PER_S, piece_of_3(2)); /* too late */
    udp(4, 7, 3000); /* the id again, for a longer datagram: two ends, were it the same */
    for (unsigned i = 0; i < 3; i++)
        drive_packet(d, DRIVE_START + 32 * NS_PER_S, piece_of_3(i));
    udp(4, 7, 1000);
    for (unsigned i = 0; i < 3; i++)
        drive_packet(d, DRIVE_START + 33 * NS_PER_S, piece_of_3(i));
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_uint_eq(d->end.fragments_unmatched, 1);
    ck_assert_uint_eq(d->end.fragments_malformed, 0);
    ck_assert_uint_eq(d->flow[0].dir[0].pkts, 8);
    ck_assert_uint_eq(d->flow[1].dir[0].pkts, 1);
    drive_free(d);
}
END_TEST

/* Feeds a datagram of 200 bytes as fragments {from, bytes, more}; returns how many datagrams were malformed. */
static uint64_t malformed(const uint32_t (*fragment)[3], unsigned n)
{
    struct drive *d = drive_new(drive_options());

    udp(4, 9, PACKET_MAX - 42);
    for (unsigned i = 0; i < n; i++)
        drive_packet(d, DRIVE_START + i * NS_PER_MS, cut(fragment[i][0], fragment[i][1], fragment[i][2]));
    drive_finish(d);
    ck_assert_uint_eq(worker_ledger(d->rig.worker)->processed + worker_ledger(d->rig.worker)->drops[LEDGER_duplicate],
                      n);
    uint64_t count = d->end.fragments_malformed;
    drive_free(d);
    return count;
}

START_TEST(overlaps_and_other_nonsense)
{
    static const uint32_t fine[][3] = {{0, 80, 1}, {80, 80, 1}, {160, 40, 0}};
    static const uint32_t repeated[][3] = {{0, 80, 1}, {0, 80, 1}, {80, 80, 1}, {0, 80, 1}, {160, 40, 0}, {160, 40, 0}};
    static const uint32_t inside[][3] = {{0, 80, 1}, {8, 16, 1}, {80, 40, 0}};
    static const uint32_t teardrop[][3] = {{0, 80, 1}, {72, 80, 1}};
    static const uint32_t around[][3] = {{80, 80, 1}, {0, 168, 1}};
    static const uint32_t two_ends[][3] = {{0, 80, 1}, {160, 40, 0}, {160, 48, 0}};
    static const uint32_t beyond[][3] = {{160, 40, 0}, {200, 80, 1}};
    static const uint32_t odd[][3] = {{0, 81, 1}};
    static const uint32_t death[][3] = {{0, 80, 1}, {65480, 8, 0}, {65480, 14, 0}};
    static const uint32_t scattered[][3] = {{0, 8, 1}, {80, 8, 1}, {160, 8, 1}, {240, 8, 1}, {320, 8, 1}};

#define N(x) x, sizeof(x) / sizeof((x)[0])
    ck_assert_uint_eq(malformed(N(fine)), 0);
    ck_assert_uint_eq(malformed(N(repeated)), 0);
    ck_assert_uint_eq(malformed(N(inside)), 0);
    ck_assert_uint_eq(malformed(N(teardrop)), 1);
    ck_assert_uint_eq(malformed(N(around)), 1);
    ck_assert_uint_eq(malformed(N(two_ends)), 1);
    ck_assert_uint_eq(malformed(N(beyond)), 1);
    ck_assert_uint_eq(malformed(N(odd)), 1);
    ck_assert_uint_eq(malformed(N(death)), 1);
    ck_assert_uint_eq(malformed(N(scattered)), 1);
#undef N
}
END_TEST

START_TEST(tiny_first_fragments)
{
    static const uint32_t size[] = {8, 16, 24}; /* ports; up to the flags; a header without its options */

    for (unsigned i = 0; i < 3; i++) {
        struct tcp_spec t = {.from = 50000, .to = 443, .flags = TCP_ACK, .n_options = 12, .option = {1, 1, 8, 10}};
        struct drive *d = drive_new(drive_options());
        begin(4, 0, 6, 5);
        packet_tcp(&datagram, &t);
        packet_payload(&datagram, 1, 100);
        packet_finish(&datagram);
        drive_packet(d, DRIVE_START, cut(0, size[i], true));
        drive_packet(d, DRIVE_START, cut(size[i], payload_bytes() - size[i], false));
        drive_finish(d);
        ck_assert_uint_eq(d->n_flows, 1);
        ck_assert_uint_eq(d->flow[0].dir[C2S].pkts, 2);
        ck_assert_uint_eq(d->flow[0].tcp[C2S].data_pkts, 0);
        ck_assert_uint_eq(d->end.fragments_malformed, 1);
        drive_free(d);
    }
}
END_TEST

START_TEST(a_flood_costs_ports_only)
{
    struct drive *d = drive_new(drive_options());
    uint32_t n = 60000;

    udp(4, 0, 2000);
    for (uint32_t i = 0; i < n; i++) {
        packet_set_u16(&datagram, 18, (uint16_t)i);
        datagram.byte[14 + 15] = (uint8_t)(i >> 16);
        drive_packet(d, DRIVE_START + i * 1000, piece_of_3(i % 2 == 0 ? 0 : 1));
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_uint_eq(d->end.fragments_unmatched, n / 2);
    ck_assert_uint_ge(d->end.fragments_evicted, n - 4096);
    ck_assert_uint_le(d->end.fragments_evicted, n);
    ck_assert_uint_eq(d->end.fragments_malformed, 0);
    drive_free(d);
}
END_TEST

START_TEST(fragments_inside_and_outside_of_tunnels)
{
    static struct packet p;
    struct drive *d = drive_new(drive_options());

    udp(4, 7, 2000); /* inside: two tenants with the same addresses and id */
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned tenant = 0; tenant < 2; tenant++) {
            if (tenant == 1 && i == 0)
                continue;
            wrap_vxlan(&p, piece_of_3(i), 0);
            p.byte[46] ^= (uint8_t)tenant;
            drive_packet(d, DRIVE_START + i * NS_PER_MS, &p);
        }
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_uint_eq(d->end.fragments_unmatched, 2); /* this tenant's first was never seen */
    drive_free(d);

    d = drive_new(drive_options()); /* outside: the first shows what is in it, the rest counts with the carrier */
    wrap_vxlan(&p, &datagram, 0);
    datagram = p;
    datagram.l3 = 14;
    for (unsigned i = 0; i < 3; i++)
        drive_packet(d, DRIVE_START + i * NS_PER_MS, piece_of_3(i));
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct rec_flow *f = &d->flow[i];
        bool inner = f->tunnel == TUNNEL_VXLAN;
        ck_assert_uint_eq(f->port[S2C], inner ? 6000 : 4789);
        ck_assert_uint_eq(f->dir[C2S].pkts, inner ? 1 : 2);
        if (inner)
            ck_assert_uint_eq(f->dir[C2S].bytes, 2028);
    }
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].truncated_pkts, 0);
    drive_free(d);
}
END_TEST

START_TEST(cut_at_every_byte)
{
    struct drive *d = drive_new(drive_options());
    uint64_t n = 0;

    for (unsigned af = 4; af <= 6; af += 2) {
        for (unsigned i = 0; i < 3; i++) {
            segment(af, 0, TCP_ACK, 1101, 5001, 200);
            struct packet p = *piece_of_3(i);
            for (uint32_t cap = 0; cap < p.len; cap++)
                drive_cut(d, DRIVE_START + n++ * NS_PER_MS, &p, cap);
        }
    }
    drive_finish(d);
    ck_assert_uint_eq(worker_ledger(d->rig.worker)->offered, n);
    drive_free(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fragment");
    TCase *tcase = tcase_create("fragment");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, ports_of_later_fragments, 0, 12);
    tcase_add_loop_test(tcase, a_segment_is_judged_when_it_is_whole, 0, 12);
    tcase_add_test(tcase, copies_of_fragments_are_copies);
    tcase_add_test(tcase, a_segment_that_is_never_whole);
    tcase_add_test(tcase, echo_in_fragments);
    tcase_add_test(tcase, dns_in_fragments);
    tcase_add_test(tcase, entries_age_and_ids_return);
    tcase_add_test(tcase, overlaps_and_other_nonsense);
    tcase_add_test(tcase, tiny_first_fragments);
    tcase_add_test(tcase, a_flood_costs_ports_only);
    tcase_add_test(tcase, fragments_inside_and_outside_of_tunnels);
    tcase_add_test(tcase, cut_at_every_byte);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

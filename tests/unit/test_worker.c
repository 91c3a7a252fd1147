/* SPDX-License-Identifier: BSD-3-Clause */

/* The pipeline as a whole: windows and their edges, clocks, splits of long flows, a full table, totals that stay whole.
 */

#include "tests/unit/script.h"

static struct packet packet;

/* A UDP packet of 100 bytes payload between two hosts that `n` names, to port 9. */
static const struct packet *udp_packet(uint32_t n, uint16_t vlan)
{
    struct ip_spec ip = {
        .from = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}, .to = {11, 0, 0, 1}, .proto = 17};
    static uint16_t id;

    ip.id = ++id;
    packet_ethernet(&packet, 1, 2, vlan != 0 ? 0x8100 : 0x0800);
    if (vlan != 0)
        packet_vlan(&packet, vlan, 0x0800);
    packet_ipv4(&packet, &ip);
    packet_udp(&packet, 4000, 9, 100);
    packet_payload(&packet, id, 100);
    packet_finish(&packet);
    return &packet;
}

static void udp_at(struct drive *d, double s, uint32_t n)
{
    drive_packet(d, DRIVE_START + (uint64_t)(s * 1e9), udp_packet(n, 0));
}

START_TEST(a_vlan_has_windows_of_its_own)
{
    struct drive *d = drive_new(drive_options());

    drive_packet(d, DRIVE_START, udp_packet(1, 0)); /* tagged in its second packet only */
    drive_packet(d, DRIVE_START + 1000, udp_packet(1, 12));
    drive_packet(d, DRIVE_START + 2000, udp_packet(2, 12));
    drive_packet(d, DRIVE_START + 2 * NS_PER_MS, udp_packet(2, 13));
    drive_packet(d, DRIVE_START + 3 * NS_PER_MS, udp_packet(3, 0));
    drive_finish(d);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dir[C2S].pkts, 5);
    const struct window_counters *vlan = &d->sum[WINDOW_VLAN];
    ck_assert_uint_eq(vlan->dir[C2S].pkts, 3); /* a flow keeps its VLAN */
    ck_assert_uint_eq(vlan->new_flows, 1);
    ck_assert_uint_eq(vlan->ended_flows, 2);
    ck_assert_uint_eq(vlan->peak_1ms_bytes, 2 * vlan->dir[C2S].frame_bytes / 3);
    ck_assert_uint_eq(d->sum[WINDOW_TUNNEL].dir[C2S].pkts, 0);
    drive_free(d);
}
END_TEST

START_TEST(windows_begin_at_multiples_of_their_length)
{
    struct drive *d = drive_new(drive_options());

    drive_packet(d, DRIVE_START, udp_packet(1, 0));
    drive_packet(d, DRIVE_START + DRIVE_WINDOW - 1, udp_packet(1, 0));
    ck_assert_uint_eq(d->n_ends, 0);
    drive_packet(d, DRIVE_START + DRIVE_WINDOW, udp_packet(1, 0));
    ck_assert_uint_eq(d->n_ends, 1);
    ck_assert_uint_eq(d->end.start_ns, DRIVE_START);
    ck_assert_uint_eq(d->end.length_ns, DRIVE_WINDOW);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dir[C2S].pkts, 2);
    drive_finish(d);
    ck_assert_uint_eq(d->n_ends, 2);
    ck_assert_uint_eq(d->end.start_ns, DRIVE_START + DRIVE_WINDOW);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dir[C2S].pkts, 3);
    ck_assert_uint_eq(d->n_flows, 1);
    drive_free(d);
}
END_TEST

START_TEST(a_first_window_that_began_earlier)
{
    struct drive *d = drive_new(drive_options());

    udp_at(d, 7.5, 1);
    drive_finish(d);
    ck_assert_uint_eq(d->first_start_ns, DRIVE_START);
    drive_free(d);
}
END_TEST

START_TEST(a_clock_that_jumps_ahead_leaves_no_trail)
{
    struct drive *d = drive_new(drive_options());

    udp_at(d, 0, 1);
    udp_at(d, 86400 * 40, 2);
    ck_assert_uint_eq(d->n_ends, 1); /* not one for every empty window */
    drive_finish(d);
    ck_assert_uint_eq(d->n_ends, 2);
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_int_eq(d->flow[0].end, FLOW_END_IDLE);
    drive_free(d);
}
END_TEST

START_TEST(time_never_runs_backwards)
{
    struct drive *d = drive_new(drive_options());

    udp_at(d, 50, 1);
    udp_at(d, 20, 1);
    udp_at(d, 49, 2);
    drive_finish(d);
    ck_assert_uint_eq(d->end.clock_backwards, 2);
    ck_assert_uint_eq(d->n_flows, 2);
    for (unsigned i = 0; i < 2; i++)
        ck_assert(d->flow[i].first_ns == DRIVE_START + 50 * NS_PER_S && d->flow[i].last_ns == d->flow[i].first_ns);
    ck_assert_uint_eq(d->n_ends, 1);
    drive_free(d);
}
END_TEST

/* The gap of the flow itself splits it, whatever else the mirror shows or does not show meanwhile. */
START_TEST(idle_split_by_the_flows_own_gap)
{
    for (unsigned busy = 0; busy < 2; busy++) {
        struct drive *d = drive_new(drive_options());
        udp_at(d, 0, 1);
        for (unsigned s = 1; busy && s < 120; s++)
            udp_at(d, s, 2);
        udp_at(d, 120, 1); /* exactly the time-out: still the same */
        for (unsigned s = 121; busy && s < 241; s++)
            udp_at(d, s, 2);
        udp_at(d, 241, 1);
        drive_finish(d);
        unsigned n = 0;
        for (unsigned i = 0; i < d->n_flows; i++) {
            if (d->flow[i].addr[C2S].byte[3] != 1)
                continue;
            ck_assert_int_eq(d->flow[i].end, n == 0 ? FLOW_END_IDLE : FLOW_END_EOF);
            ck_assert_uint_eq(d->flow[i].dir[C2S].pkts, n == 0 ? 2 : 1);
            n++;
        }
        ck_assert_uint_eq(n, 2);
        drive_free(d);
    }
}
END_TEST

START_TEST(active_split)
{
    struct worker_options options = drive_options();
    options.active_ns = 10 * NS_PER_S;
    struct drive *d = drive_new(options);

    for (unsigned s = 0; s < 30; s++)
        udp_at(d, s, 1);
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 3);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(d->flow[i].end, i < 2 ? FLOW_END_ACTIVE : FLOW_END_EOF);
        ck_assert_uint_le(d->flow[i].last_ns - d->flow[i].first_ns, 10 * NS_PER_S);
    }
    ck_assert_uint_eq(d->flow[0].dir[C2S].pkts + d->flow[1].dir[C2S].pkts + d->flow[2].dir[C2S].pkts, 30);
    drive_free(d);
}
END_TEST

START_TEST(a_full_table_evicts_and_counts)
{
    struct worker_options options = drive_options();
    options.flows = 16;
    struct drive *d = drive_new(options);

    for (unsigned n = 0; n < 300; n++)
        udp_at(d, n * 0.001, n);
    drive_finish(d);
    unsigned evicted = 0;
    uint64_t pkts = 0;
    for (unsigned i = 0; i < d->n_flows; i++) {
        evicted += d->flow[i].end == FLOW_END_EVICTED;
        pkts += d->flow[i].dir[C2S].pkts;
    }
    ck_assert_uint_ge(evicted, 300 - 16 - (unsigned)worker_ledger(d->rig.worker)->drops[LEDGER_table_full]);
    ck_assert_uint_eq(d->end.flows_evicted, evicted);
    ck_assert_uint_eq(pkts + worker_ledger(d->rig.worker)->drops[LEDGER_table_full], 300);
    drive_free(d);
}
END_TEST

/* A segment of host 10.0.0.n to or from a server; `bytes` of payload. */
static void tcp_at(struct drive *d, double s, uint32_t n, bool answer, uint32_t seq, uint32_t ack, uint8_t flags,
                   uint32_t bytes)
{
    struct ip_spec ip = {
        .from = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}, .to = {11, 0, 0, 1}, .proto = 6};
    struct tcp_spec t = {.from = 40000, .to = 443, .window = 8000, .seq = seq, .ack = ack, .flags = flags};
    static uint16_t id;

    if (answer) {
        memcpy(ip.to, ip.from, 4);
        memcpy(ip.from, (const uint8_t[]){11, 0, 0, 1}, 4);
        t.from = 443;
        t.to = 40000;
    }
    ip.id = ++id;
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &ip);
    packet_tcp(&packet, &t);
    packet_payload(&packet, id, bytes);
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(s * 1e9), &packet);
}

/*
 * Twelve times as many SYNs as the table has room for, from addresses of their own: connections that were answered
 * stay, each in one record with all its packets and samples.
 */
START_TEST(a_flood_of_syns_evicts_its_own_kind)
{
    enum { LIVE = 100, ROUNDS = 20, SYNS = 150 };
    struct worker_options options = drive_options();
    options.flows = 256;
    struct drive *d = drive_new(options);
    double s = 0;

    for (uint32_t n = 0; n < LIVE; n++) {
        tcp_at(d, s += 1e-5, n, false, 100, 0, TCP_SYN, 0);
        tcp_at(d, s += 1e-5, n, true, 500, 101, TCP_SYN | TCP_ACK, 0);
        tcp_at(d, s += 1e-5, n, false, 101, 501, TCP_ACK, 0);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t n = 0; n < SYNS; n++)
            tcp_at(d, s += 1e-6, 0x10000 + round * SYNS + n, false, 7, 0, TCP_SYN, 0);
        for (uint32_t n = 0; n < LIVE; n++) {
            tcp_at(d, s += 1e-6, n, false, 101 + 10 * round, 501, TCP_ACK | TCP_PSH, 10);
            tcp_at(d, s += 1e-6, n, true, 501, 111 + 10 * round, TCP_ACK, 0);
        }
    }
    drive_finish(d);
    const struct ledger *l = worker_ledger(d->rig.worker);
    unsigned whole = 0;
    for (uint32_t i = 0; i < d->n_flows; i++)
        whole += d->flow[i].dir[C2S].pkts == 2 + ROUNDS && d->flow[i].dir[S2C].pkts == 1 + ROUNDS &&
                 d->flow[i].rtt[1].n == 1 + ROUNDS && d->flow[i].end == FLOW_END_EOF;
    ck_assert_uint_eq(whole, LIVE);
    ck_assert_uint_gt(d->end.flows_evicted, ROUNDS * SYNS / 2);
    ck_assert_uint_eq(l->offered, 3 * LIVE + ROUNDS * (SYNS + 2 * LIVE));
    ck_assert_uint_eq(l->processed + l->drops[LEDGER_table_full], l->offered);
    drive_free(d);
}
END_TEST

START_TEST(what_finds_no_room_is_in_other)
{
    struct worker_options options = drive_options();
    options.max_paths = 3;
    options.max_services = 2;
    struct drive *d = drive_new(options);

    for (unsigned n = 0; n < 50; n++)
        udp_at(d, n * 0.001, n << 8); /* a /24 each */
    drive_finish(d);
    for (unsigned scope = WINDOW_MIRROR; scope <= WINDOW_SERVICE; scope++) {
        ck_assert_uint_eq(d->sum[scope].dir[0].pkts + d->sum[scope].dir[1].pkts, 50);
        ck_assert_uint_eq(d->sum[scope].new_flows, 50);
        ck_assert_uint_eq(d->sum[scope].ended_flows, 50);
    }
    drive_free(d);
}
END_TEST

START_TEST(time_passes_without_packets)
{
    struct drive *d = drive_new(drive_options());

    udp_at(d, 0, 1);
    for (unsigned s = 1; s <= 130; s++) {
        worker_tick(d->rig.worker, DRIVE_START + s * NS_PER_S);
        drive_drain(d);
    }
    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert_int_eq(d->flow[0].end, FLOW_END_IDLE);
    ck_assert_uint_eq(d->n_ends, 13);
    ck_assert_uint_eq(d->end.flows_active, 0);
    drive_finish(d);
    drive_free(d);
}
END_TEST

START_TEST(left_out_packets_are_in_the_ledger)
{
    struct drive *d = drive_new(drive_options());

    worker_count_filtered(d->rig.worker, 5);
    worker_count_unknown(d->rig.worker, 2);
    udp_at(d, 0, 1);
    packet_ethernet(&packet, 1, 2, 0x4242);
    packet_payload(&packet, 1, 46);
    drive_packet(d, DRIVE_START, &packet);
    drive_finish(d);
    const struct ledger *l = worker_ledger(d->rig.worker);
    ck_assert_uint_eq(l->offered, 9);
    ck_assert_uint_eq(l->processed, 1);
    ck_assert_uint_eq(l->drops[LEDGER_filtered], 5);
    ck_assert_uint_eq(l->drops[LEDGER_decode_unknown], 3);
    ck_assert_uint_eq(d->end.ledger.offered, 9);
    drive_free(d);
}
END_TEST

START_TEST(the_busiest_millisecond)
{
    struct drive *d = drive_new(drive_options());

    udp_at(d, 0.0001, 1);
    udp_at(d, 1.0001, 1);
    udp_at(d, 1.0005, 2);
    udp_at(d, 1.0009, 3);
    udp_at(d, 1.0011, 4);
    drive_finish(d);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].peak_1ms_bytes, 3 * 142);
    drive_free(d);
}
END_TEST

START_TEST(vlans_in_the_key_or_not)
{
    for (unsigned in_key = 0; in_key < 2; in_key++) {
        struct worker_options options = drive_options();
        options.vlan_in_key = in_key;
        struct drive *d = drive_new(options);
        drive_packet(d, DRIVE_START, udp_packet(1, 10));
        drive_packet(d, DRIVE_START + NS_PER_S, udp_packet(1, 20));
        drive_finish(d);
        ck_assert_uint_eq(d->n_flows, in_key ? 2 : 1);
        ck_assert_uint_eq(d->flow[0].vlan[0], 10);
        drive_free(d);
    }
}
END_TEST

/* One burst, in which flows begin, repeat and end, gives what as many bursts of one packet give. */
START_TEST(bursts_change_nothing)
{
    static struct batch b;
    static struct packet copies[BATCH_MAX];
    struct drive *one = drive_new(drive_options()), *all = drive_new(drive_options());

    b.link = LINK_ETHERNET;
    for (b.n = 0; b.n < BATCH_MAX; b.n++) {
        uint64_t ts_ns = DRIVE_START + b.n * 9 * NS_PER_S;
        copies[b.n] = *udp_packet(b.n % 7 == 0 ? 1 : b.n % 3, 0);
        drive_packet(one, ts_ns, &copies[b.n]);
        b.pkt[b.n] = (struct pkt){.data = copies[b.n].byte,
                                  .ts_ns = ts_ns,
                                  .cap_len = copies[b.n].len,
                                  .snap_len = copies[b.n].len,
                                  .wire_len = copies[b.n].len,
                                  .rx_vlan = RX_NO_VLAN};
    }
    worker_process(all->rig.worker, &b);
    drive_drain(all);
    drive_finish(one);
    drive_finish(all);
    ck_assert_uint_eq(all->n_flows, one->n_flows);
    ck_assert_uint_eq(all->n_ends, one->n_ends);
    ck_assert_mem_eq(&all->sum, &one->sum, sizeof(all->sum));
    drive_free(one);
    drive_free(all);
}
END_TEST

/* Thousands of paths do not hold up the packets behind a window's end, and nothing gets into the wrong window. */
START_TEST(a_window_leaves_in_pieces)
{
    enum { PATHS = 800, PIECE = 64 };
    struct worker_options options = drive_options();
    options.max_paths = PATHS + 2;
    struct drive *d = drive_new(options);

    for (uint32_t n = 0; n < PATHS; n++)
        drive_packet(d, DRIVE_START + n, udp_packet(n << 8, 0));
    for (uint32_t n = 0; n < PATHS; n++) { /* the same paths again, at once behind the end */
        uint32_t before = d->n_windows;
        drive_packet(d, DRIVE_START + DRIVE_WINDOW + n, udp_packet(n << 8, 0));
        ck_assert_uint_le(d->n_windows - before, PIECE);
        if (n < PATHS / PIECE)
            ck_assert_uint_eq(d->n_ends, 0);
    }
    for (unsigned ms = 1; d->n_ends == 0; ms++) {
        ck_assert_uint_le(ms, 2000);
        worker_tick(d->rig.worker, DRIVE_START + DRIVE_WINDOW + ms * NS_PER_MS);
        drive_drain(d);
    }
    ck_assert_uint_eq(d->end.start_ns, DRIVE_START);
    ck_assert_uint_eq(d->end.ledger.processed, PATHS); /* as it was when the window ended */
    ck_assert_uint_eq(d->n_windows, PATHS + 2);        /* the service and the mirror, too */
    for (unsigned scope = 0; scope <= WINDOW_SERVICE; scope++)
        ck_assert_uint_eq(d->sum[scope].dir[0].pkts + d->sum[scope].dir[1].pkts, PATHS);
    drive_finish(d);
    ck_assert_uint_eq(d->n_ends, 2);
    for (unsigned scope = 0; scope <= WINDOW_SERVICE; scope++)
        ck_assert_uint_eq(d->sum[scope].dir[0].pkts + d->sum[scope].dir[1].pkts, 2 * PATHS);
    drive_free(d);
}
END_TEST

UNIT_MAIN("worker", a_window_leaves_in_pieces, a_vlan_has_windows_of_its_own,
          windows_begin_at_multiples_of_their_length, a_first_window_that_began_earlier,
          a_clock_that_jumps_ahead_leaves_no_trail, time_never_runs_backwards, idle_split_by_the_flows_own_gap,
          active_split, a_full_table_evicts_and_counts, a_flood_of_syns_evicts_its_own_kind,
          what_finds_no_room_is_in_other, time_passes_without_packets, left_out_packets_are_in_the_ledger,
          the_busiest_millisecond, vlans_in_the_key_or_not, bursts_change_nothing)

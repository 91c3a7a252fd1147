/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Clean packets take a quick way (clean.h) that has to do just what the general one does. Here traffic of the kind that
 * the benchmark makes, with what networks and mirrors do to it, goes through two workers, one of which knows no clean
 * packets: every message of theirs is compared byte for byte. (test_reshard.c does the same with whole captures.)
 * What only one order of events shows is played as a script, at the end.
 */

#include "dataplane/clean.h"
#include "tests/bench/traffic.h"
#include "tests/unit/script.h"

#define FLOWS  200u
#define CHUNK  2048u
#define CHUNKS 60u

static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(seed >> 8) * n >> 24);
}

START_TEST(samples_leave_the_ring_as_one_by_one)
{
    seed = 1;
    for (unsigned round = 0; round < 200000; round++) {
        uint32_t una = random_below(1 << 24) * 257, distance = 1 + random_below(round % 3 == 0 ? 70000 : 3000);
        unsigned live = random_below(SENT_INLINE + 1);
        uint16_t end[SENT_INLINE];
        uint32_t above = 0, time[SENT_INLINE] = {10, 11, 12, 13};
        for (unsigned i = 0; i < SENT_INLINE; i++) { /* what does not count is anything whatever */
            above += i < live ? 1 + random_below(1500) : random_below(65536);
            end[i] = (uint16_t)(una + above);
        }
        if (live != 0 && random_below(2)) /* just there, mostly */
            distance = (uint16_t)(end[random_below(live)] - una);
        struct clean_popped one = clean_pop_scalar(end, una, distance, live);
        struct clean_popped all = clean_pop(end, una, distance, live);
        ck_assert_uint_eq(all.n, one.n);
        ck_assert(all.exact == one.exact);
        uint16_t kept[SENT_INLINE];
        _Alignas(16) uint32_t kept_time[SENT_INLINE];
        memcpy(kept, end, sizeof(kept));
        memcpy(kept_time, time, sizeof(kept_time));
        clean_shift(kept_time, kept, one.n);
        for (unsigned i = one.n; i < live; i++)
            ck_assert(kept[i - one.n] == end[i] && kept_time[i - one.n] == time[i]);
    }
}
END_TEST

/* ---- both ways ---- */

static void way_open(struct rig *way, bool general_only)
{
    struct worker_options options = rig_options(NS_PER_S);

    options.flows = 1u << 16; /* enough for those of MIX_NEW: who is evicted depends on the seed of the hash */
    options.dns_entries = 64;
    options.max_paths = options.max_services = 16;
    options.tcp_idle_ns = options.other_idle_ns = 30 * NS_PER_S;
    options.active_ns = 40 * NS_PER_S;
    options.closed_linger_ns = NS_PER_S / 10;
    options.general_only = general_only;
    rig_init(way, 32u << 20);
    ck_assert_int_eq(site_table_add(way->sites, "Branch", "10.0.0.0/8"), 0);
    rig_start(way, options);
}

static unsigned compare_rings(struct rig way[2])
{
    const void *a, *b;
    size_t a_len, b_len;
    unsigned n = 0;

    for (;; n++) {
        a = spsc_peek(way[0].ring, &a_len);
        b = spsc_peek(way[1].ring, &b_len);
        if (a == NULL || b == NULL)
            break;
        ck_assert_uint_eq(a_len, b_len);
        if (memcmp(a, b, a_len) != 0) {
            size_t at = 0;
            while (((const uint8_t *)a)[at] == ((const uint8_t *)b)[at])
                at++;
            ck_abort_msg("message %u of type %u differs at byte %zu", n, ((const struct rec_hdr *)a)->type, at);
        }
        spsc_pop(way[0].ring);
        spsc_pop(way[1].ring);
    }
    ck_assert_ptr_null(a);
    ck_assert_ptr_null(b);
    return n;
}

/* A share of 1 / `often` of the frames is lost, sent twice, swapped with the next, cut, damaged or delayed by up to six
 * seconds; of SYNs none, so that flows live. */
static uint32_t mangle(struct frame *f, uint32_t n, uint32_t often, uint64_t *shift_ns)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        f[kept] = f[i];
        f[kept].ts_ns += *shift_ns;
        uint8_t *byte = (uint8_t *)(uintptr_t)f[kept].data;
        if (byte[29] & 1) /* half of the hosts have no IP ids: what the mirror is known to copy decides */
            byte[18] = byte[19] = 0;
        uint32_t fate = random_below(often * 7);
        if (fate == 0)
            continue;
        if (fate == 1 && kept != 0) {
            struct frame swap = f[kept - 1];
            f[kept - 1] = f[kept];
            f[kept] = swap;
        } else if (fate == 2) {
            f[kept].cap_len = 20 + random_below(f[kept].cap_len - 20);
        } else if (fate == 3) {
            byte[14 + random_below(52)] ^= (uint8_t)(1u << random_below(8));
        } else if (fate == 4 && random_below(200) == 0) {
            *shift_ns += (uint64_t)random_below(6000) * NS_PER_MS;
        } else if (fate == 5) {
            byte[48] = byte[49] = 0; /* window */
        }
        kept++;
        if (fate == 6 && kept <= i) { /* there is room */
            f[kept] = f[kept - 1];
            f[kept++].ts_ns += random_below(3000000);
        }
    }
    return kept;
}

static uint32_t sliced_bytes; /* what the mirror leaves of each frame; 0: all */

static void slice(struct frame *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (sliced_bytes != 0 && f[i].cap_len > sliced_bytes)
            f[i].cap_len = sliced_bytes;
}

static void feed(struct rig *way, const struct frame *frames, uint32_t n)
{
    static struct batch batch;

    for (uint32_t at = 0; at < n; at += batch.n) {
        uint32_t left = n - at;
        traffic_receive(&batch, frames + at, left < BATCH_MAX ? left : BATCH_MAX);
        worker_process(way->worker, &batch);
    }
}

/* often 0: nothing happens to the traffic. From chunk `turn` on its mix is `later`, and half of the hosts have no IP
 * ids.
 */
static void both_ways_turning(enum mix mix, uint32_t often, uint64_t gap_ns, unsigned turn, enum mix later)
{
    static struct frame frames[CHUNK];
    static uint32_t ids[CHUNK];
    struct traffic traffic;
    struct rig way[2];
    uint64_t shift_ns = 0;
    unsigned n_messages = 0;

    seed = 7 + often;
    ck_assert_int_eq(traffic_init(&traffic, FLOWS, mix, 64, CHUNK), 0);
    traffic.gap_ns = gap_ns;
    way_open(&way[0], false);
    way_open(&way[1], true);
    for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
        uint32_t n = CHUNK;
        if (chunk >= turn)
            traffic.mix = chunk % 8 < 6 ? later : mix;
        traffic_fill(&traffic, frames, n, ids);
        if (often != 0 && chunk > 2)
            n = mangle(frames, n, often, &shift_ns);
        slice(frames, n);
        feed(&way[0], frames, n);
        feed(&way[1], frames, n);
        n_messages += compare_rings(way);
    }
    worker_finish(way[0].worker);
    worker_finish(way[1].worker);
    n_messages += compare_rings(way);
    ck_assert_uint_gt(n_messages, FLOWS);
    if (mix == MIX_TCP && later == mix && often == 0) /* else both were the same way */
        ck_assert_uint_lt(10 * worker_general_pkts(way[0].worker), worker_general_pkts(way[1].worker));
    ck_assert_mem_eq(worker_ledger(way[0].worker), worker_ledger(way[1].worker), sizeof(struct ledger));
    rig_fini(&way[0]);
    rig_fini(&way[1]);
    traffic_fini(&traffic);
}

static void both_ways(enum mix mix, uint32_t often, uint64_t gap_ns)
{
    both_ways_turning(mix, often, gap_ns, CHUNKS, mix);
}

/* A mirror begins to copy everything after flows have settled that it does not, and stops, and begins. */
START_TEST(a_mirror_begins_to_copy)
{
    both_ways_turning(MIX_TCP, 0, 1000, 20, MIX_DUP);
    both_ways_turning(MIX_TCP, 300, 1000, 20, MIX_DUP);
    both_ways_turning(MIX_TCP, 300, 100000, 10, MIX_DUP);
}
END_TEST

/* Packets 1 us apart (a flow's 0.2 ms), and 1 ms (0.2 s: what waits in a record grows old). */
START_TEST(clean_packets_do_as_all)
{
    for (enum mix mix = 0; mix < MIX_COUNT; mix++) {
        both_ways(mix, 0, NS_PER_MS);
        both_ways(mix, 20, 1000);
        both_ways(mix, 20, NS_PER_MS);
        both_ways(mix, 400, NS_PER_MS);
    }
}
END_TEST

/* With the headers whole, nothing else is needed. */
START_TEST(sliced_packets_are_clean)
{
    sliced_bytes = 66; /* of 67 and 1518 */
    both_ways(MIX_TCP, 0, 1000);
    both_ways(MIX_IMIX, 400, NS_PER_MS);
    sliced_bytes = 0;
}
END_TEST

/* ---- what is settled ---- */

/* The i-th exchange: ten bytes each way. Only the client has IP ids. */
#define EXCHANGE_MS(i)   (20 + 10 * (i))
#define REQUEST(t, i, a) C(t, 1001 + 10 * (i), 10, 5001 + 10 * (a), .id = (uint16_t)(1000 + (i)))
#define ANSWER(t, i, n)  S(t, 5001 + 10 * (i), 10 * (n), 1001 + 10 * ((i) + (n)), .id = NO_ID)

static void exchange(struct drive *d, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        const struct step both[] = {REQUEST(EXCHANGE_MS(i), i, i), ANSWER(EXCHANGE_MS(i) + 5, i, 1)};
        play_on(d, both, 2);
    }
}

/* The requests of n exchanges in one go, and 1 ms later the mirror's copies of them all. */
static void requests_copied(struct drive *d, unsigned from, unsigned n)
{
    for (unsigned k = 0; k < 2 * n; k++) {
        const struct step request = REQUEST(EXCHANGE_MS(from) + k / n + 0.01 * (k % n), from + k % n, from);
        play_on(d, &request, 1);
    }
}

/* Datagrams between the same hosts: what such flows show of the mirror counts for both. */
static void datagrams(struct drive *d, double ms, unsigned n)
{
    static struct packet p;
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 1, 2}, .proto = 17};

    for (unsigned i = 0; i < n; i++) {
        ip.id = (uint16_t)(1 + i);
        packet_ethernet(&p, 2, 1, 0x0800);
        packet_ipv4(&p, &ip);
        packet_udp(&p, 4000, 9, 100);
        packet_payload(&p, i, 100);
        packet_finish(&p);
        drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6) + i * 10000, &p);
    }
}

static const struct rec_flow *tcp_flow(const struct drive *d)
{
    uint32_t i = 0;

    while (i < d->n_flows && d->flow[i].proto != 6)
        i++;
    ck_assert_uint_lt(i, d->n_flows);
    return &d->flow[i];
}

/*
 * A settled flow is copied a while, and before its next packet comes another flow between its hosts has made up for
 * that: nobody but the flow itself has anything to learn. It has to, or later two equal ACKs without IP ids are taken
 * for one that the mirror has copied. (All within two seconds: a record that ages would learn again anyway.)
 */
START_TEST(behind_copies_a_settled_flow_learns_again)
{
    struct drive *way[2];

    for (unsigned general_only = 0; general_only < 2; general_only++) {
        const struct step start[] = {HANDSHAKE};
        const struct step acks[] = {C(725, 1701, 0, 5701), ANSWER(730, 70, 0), ANSWER(730.1, 70, 0)};
        struct worker_options options = drive_options();
        options.general_only = general_only;
        struct drive *d = way[general_only] = drive_new(options);
        play_on(d, start, 3);
        exchange(d, 0, 40);
        requests_copied(d, 40, 20);
        datagrams(d, EXCHANGE_MS(40) + 2, 250);
        const struct step answer = ANSWER(EXCHANGE_MS(40) + 5, 40, 20);
        play_on(d, &answer, 1);
        exchange(d, 60, 10);
        play_on(d, acks, 3);
        drive_finish(d);
        ck_assert_uint_eq(tcp_flow(d)->dir[C2S].dup_pkts, 20);
        ck_assert_uint_eq(tcp_flow(d)->dir[S2C].dup_pkts, 0);
    }
    ck_assert_uint_lt(worker_general_pkts(way[0]->rig.worker) + 100, worker_general_pkts(way[1]->rig.worker));
    ck_assert_mem_eq(&way[0]->sum, &way[1]->sum, sizeof(way[0]->sum));
    drive_free(way[0]);
    drive_free(way[1]);
}
END_TEST

UNIT_MAIN("clean", samples_leave_the_ring_as_one_by_one, clean_packets_do_as_all, a_mirror_begins_to_copy,
          sliced_packets_are_clean, behind_copies_a_settled_flow_learns_again)

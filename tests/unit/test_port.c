/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What of a port can be tested without one: the prediction of RSS queues against DPDK's own Toeplitz hash, the line
 * from a NIC's counter to time, and who gets which processors.
 */

#include <rte_thash.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/site.h"
#include "dataplane/eal.h"
#include "dataplane/hw_clock.h"
#include "dataplane/port.h"
#include "tests/unit/unit.h"

/* ---- RSS ---- */

static uint64_t state = 88172645463325252ull;

static uint8_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint8_t)(state >> 32);
}

/* DPDK hashes 32-bit words in host order. */
static uint32_t toeplitz_of(const uint8_t *bytes, unsigned n)
{
    uint32_t words[10];

    for (unsigned i = 0; i < n / 4; i++)
        words[i] = load_be32(bytes + 4 * i);
    return rte_softrss(words, n / 4, port_rss_key());
}

START_TEST(queue_is_what_the_hash_says)
{
    static uint8_t queue_of[65536];
    uint16_t reta[128];
    unsigned seen[5] = {0};

    for (unsigned i = 0; i < 128; i++)
        reta[i] = (uint16_t)(i * 7 % 5);
    port_predict(queue_of, reta, 128);
    for (unsigned k = 0; k < 20000; k++) {
        struct ip_addr pair[2] = {{{0}}}, back[2];
        unsigned n = k % 2 == 0 ? 4 : 16;
        uint8_t wire[32];
        for (unsigned i = 0; i < n; i++) {
            pair[0].byte[i] = draw();
            pair[1].byte[i] = draw();
        }
        memcpy(wire, pair[0].byte, n);
        memcpy(wire + n, pair[1].byte, n);
        back[0] = pair[1];
        back[1] = pair[0];
        uint8_t queue = queue_of[port_fold(pair)];
        ck_assert_uint_eq(queue, reta[toeplitz_of(wire, 2 * n) % 128]);
        ck_assert_uint_eq(queue, queue_of[port_fold(back)]);
        seen[queue]++;
    }
    for (unsigned q = 0; q < 5; q++)
        ck_assert_uint_gt(seen[q], 2000);
}
END_TEST

START_TEST(ports_fold_in)
{
    static uint8_t queue_of[65536];
    uint16_t reta[512];

    for (unsigned i = 0; i < 512; i++)
        reta[i] = (uint16_t)(i % 3);
    port_predict(queue_of, reta, 512);
    for (unsigned k = 0; k < 5000; k++) {
        struct ip_addr pair[2] = {{{0}}};
        uint8_t wire[12];
        for (unsigned i = 0; i < 12; i++)
            wire[i] = draw();
        memcpy(pair[0].byte, wire, 4);
        memcpy(pair[1].byte, wire + 4, 4);
        uint16_t from = load_be16(wire + 8), to = load_be16(wire + 10);
        uint16_t fold = port_fold(pair) ^ __builtin_bswap16(from ^ to);
        ck_assert_uint_eq(queue_of[fold], reta[toeplitz_of(wire, 12) % 512]);
    }
}
END_TEST

/* ---- the clock ---- */

#define EPOCH 1700000000000000000ull
#define S     1000000000ull

/* A counter of `hz` that began at `start`, `off_ppm` away from its nominal rate, read with some jitter. */
static uint64_t ticks_at(double hz, uint64_t start, uint64_t ns)
{
    return start + (uint64_t)((double)ns * hz / 1e9);
}

START_TEST(counters_of_any_rate)
{
    static const double rates[] = {1e6, 25e6, 156.25e6, 1e9 * 1.00004, 3.2e9};
    static const uint64_t starts[] = {1, 77777777, UINT64_MAX / 8};

    for (unsigned i = 0; i < 5; i++) {
        for (unsigned k = 0; k < 3; k++) {
            struct hw_clock c = {0};
            uint64_t ns;
            ck_assert(!hw_clock_ns(&c, starts[k], EPOCH, &ns)); /* not yet */
            for (uint64_t t = 0; t <= 3600 * S; t += t < S ? S / 10 : 100 * S) {
                hw_clock_sample(&c, ticks_at(rates[i], starts[k], t), EPOCH + t);
                if (t == 0)
                    continue;
                for (uint64_t back = 0; back < S / 2; back += S / 10) { /* packets from before the reading, too */
                    if (back > t)
                        break;
                    ck_assert(hw_clock_ns(&c, ticks_at(rates[i], starts[k], t - back), EPOCH + t, &ns));
                    double error = (double)(int64_t)(ns - (EPOCH + t - back));
                    ck_assert_double_lt(error < 0 ? -error : error, 1e9 / rates[i] + 200);
                }
            }
        }
    }
}
END_TEST

START_TEST(jitter_of_readings_averages_out)
{
    struct hw_clock c = {0};
    uint64_t ns = 0;

    for (unsigned i = 0; i <= 1000; i++) {
        uint64_t t = i * (S / 10), jitter = draw() * 40u; /* read up to 10 us late */
        hw_clock_sample(&c, ticks_at(1e9, 5, t), EPOCH + t + jitter);
    }
    ck_assert(hw_clock_ns(&c, ticks_at(1e9, 5, 100 * S + S / 10), EPOCH + 100 * S, &ns));
    ck_assert_uint_lt(ns - (EPOCH + 100 * S), S / 10 + 20000);
    ck_assert_uint_gt(ns - (EPOCH + 100 * S), S / 10 - 20000);
}
END_TEST

START_TEST(nonsense_is_not_believed)
{
    struct hw_clock c = {0};
    uint64_t ns;

    hw_clock_sample(&c, 1000, EPOCH);
    hw_clock_sample(&c, 1000 + S, EPOCH + S);
    ck_assert(hw_clock_ns(&c, 1000 + S, EPOCH + S, &ns));
    ck_assert(!hw_clock_ns(&c, 1000 + 10 * S, EPOCH + S, &ns)); /* nine seconds ahead of us */
    ck_assert(!hw_clock_ns(&c, 0, EPOCH + 5 * S, &ns));
    hw_clock_sample(&c, 7, EPOCH + 6 * S); /* the counter began anew */
    hw_clock_sample(&c, 7 + S, EPOCH + 7 * S);
    ck_assert(hw_clock_ns(&c, 7 + S, EPOCH + 7 * S, &ns));
    ck_assert_uint_lt(ns - (EPOCH + 7 * S) + 1000, 2000);
}
END_TEST

/* ---- processors, addresses ---- */

START_TEST(lists_of_processors)
{
    ck_assert_int_eq(eal_nth_cpu("2", 0), 2);
    ck_assert_int_eq(eal_nth_cpu("2", 1), -1);
    ck_assert_int_eq(eal_nth_cpu("2,4-7,1", 1), 4);
    ck_assert_int_eq(eal_nth_cpu("2,4-7,1", 4), 7);
    ck_assert_int_eq(eal_nth_cpu("2,4-7,1", 5), 1);
    ck_assert_int_eq(eal_nth_cpu("2,4-7,1", 6), -1);
    static const char *const wrong[] = {"x", "1-", "-1", "1,,2", "3-1", "1;2", "1-2-3", " 1", "+1", "1-x", "1,-2"};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(eal_nth_cpu(wrong[i], 9) == -2, "%s", wrong[i]);
}
END_TEST

/* What this thread starts from now on has the processors that no lcore gets; a list that is wrong changes nothing. */
START_TEST(others_stand_aside)
{
    cpu_set_t before, after;
    int first = 0;
    char last[16] = "";

    ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
    while (!CPU_ISSET((unsigned)first, &before))
        first++;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &before))
            snprintf(last, sizeof(last), "%u", cpu);
    eal_stand_aside(1, "x");
    eal_stand_aside(2, last);
    ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));

    eal_stand_aside(1, last);
    ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
    if (CPU_COUNT(&before) > 1) {
        ck_assert_int_eq(CPU_COUNT(&after), CPU_COUNT(&before) - 1);
        ck_assert(!CPU_ISSET((unsigned)atoi(last), &after));
    } else {
        ck_assert(CPU_EQUAL(&before, &after));
    }
    ck_assert(CPU_ISSET((unsigned)first, &after));
    sched_setaffinity(0, sizeof(before), &before);
}
END_TEST

START_TEST(pci_addresses)
{
    ck_assert(eal_is_pci("0000:03:00.0"));
    ck_assert(eal_is_pci("03:00.1"));
    ck_assert(eal_is_pci("0000:03:00.0,rxq_cqe_comp_en=0"));
    ck_assert(!eal_is_pci("net_af_packet0,iface=eth1"));
    ck_assert(!eal_is_pci("0000:03:00.0x"));
    ck_assert(!eal_is_pci(""));
}
END_TEST

UNIT_MAIN("port", queue_is_what_the_hash_says, ports_fold_in, counters_of_any_rate, jitter_of_readings_averages_out,
          nonsense_is_not_believed, lists_of_processors, others_stand_aside, pci_addresses)

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The short way of quiet minutes leaves the same bytes as series_step for every metric and minute, however often it is
 * settled: five weeks of noise with faults, blind and missing minutes, holidays, other window lengths and a day of 25
 * hours.
 */

#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/quiet.h"
#include "tests/unit/unit.h"

#define START_MIN (20740u * 1440u) /* 2026-10-14 */
#define END_MIN   (START_MIN + 35u * 1440u)

struct world {
    struct series *series[METRIC_COUNT];
    struct quiet quiet;
    bool use_quiet;
    unsigned entered;
};

static void world_init(struct world *w, bool use_quiet)
{
    memset(w, 0, sizeof(*w));
    w->use_quiet = use_quiet;
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        w->series[m] = series_new(m);
}

static void world_fini(struct world *w)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        series_fini(w->series[m]);
        free(w->series[m]);
    }
}

static uint64_t noise(uint32_t minute, unsigned what)
{
    return mix64((uint64_t)minute * 64 + what);
}

static struct observation observe(uint32_t minute)
{
    uint64_t day = 40 + (minute / 60 % 24) * 8;
    struct observation o = {.quality = noise(minute / 30, 1) % 40 == 0   ? WINDOW_BLIND
                                       : noise(minute / 45, 2) % 40 == 0 ? WINDOW_UNSURE
                                                                         : WINDOW_OK};
    bool fault = noise(minute / 240, 3) % 12 == 0;

    for (unsigned d = 0; d < 2; d++) {
        o.dir[d].bytes = day * (80000 + noise(minute, 4 + d) % 40000) * (fault && d == 0 ? 9 : 1);
        o.dir[d].judged_pkts = o.dir[d].bytes / 1100 * (noise(minute / 20, 6) % 30 != 0);
        o.dir[d].lost_upstream_pkts = noise(minute, 7 + d) % 4 == 0 ? noise(minute, 9 + d) % 3 : 0;
        if (fault && d == 1)
            o.dir[d].lost_downstream_pkts = o.dir[d].judged_pkts * (noise(minute, 11) % 5) / 100;
        o.rtt_n[d] = noise(minute, 12 + d) % 60;
        o.rtt_p50_ns[d] = (20 + 30 * d) * 1000000 + noise(minute, 14 + d) % 4000000 * (fault ? 40 : 1);
    }
    o.connects = 10 + noise(minute, 16) % 80;
    o.failed_connects = fault ? noise(minute, 17) % 60 : noise(minute, 17) % 20 == 0;
    return o;
}

static void step(struct world *w, const struct detect_params *p, uint32_t start_minute, uint32_t minutes)
{
    struct observation o = observe(start_minute);
    struct detection d;
    struct local_time t;

    local_from_ns(start_minute * 60ull * NS_PER_S, &t);
    unsigned taken = w->use_quiet ? quiet_take(&w->quiet, p, &o, start_minute + minutes, minutes, &t) : 0;
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (taken & 1u << m)
            continue;
        series_step(w->series[m], p, &o, start_minute + minutes, minutes, &t, &d);
        w->entered += d.entered;
        if (w->use_quiet)
            quiet_join(&w->quiet, w->series[m], minutes);
    }
}

static void check_same(const struct world *a, const struct world *b)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        const struct series *x = a->series[m], *y = b->series[m];
        ck_assert_mem_eq(&x->s, &y->s, sizeof(x->s));
        ck_assert_mem_eq(x->exposure, y->exposure, sizeof(x->exposure));
        for (unsigned g = 0; g < BASELINE_GROUPS; g++) {
            ck_assert_int_eq(x->baseline.group[g] == NULL, y->baseline.group[g] == NULL);
            if (x->baseline.group[g] != NULL)
                ck_assert_mem_eq(x->baseline.group[g], y->baseline.group[g],
                                 baseline_group_bins(g) * sizeof(struct baseline_bin));
        }
    }
}

START_TEST(the_same_bytes)
{
    struct holidays holidays = {.n = 0};
    struct detect_params p = {.loss_share = 0.01, .rtt_factor = 3, .min_pkts = 200, .holidays = &holidays};
    struct world slow, quick, settled;
    struct error e;
    unsigned compared = 0;

    ck_assert_int_eq(local_init("Europe/Berlin", &e), 0);
    ck_assert_int_eq(holidays_parse(&holidays, "11-11", &e), 0);
    world_init(&slow, false);
    world_init(&quick, true);
    world_init(&settled, true);
    for (uint32_t at = START_MIN; at < END_MIN;) {
        uint32_t minutes = noise(at / 2000, 20) % 6 == 0 ? 5 : 1;
        if (noise(at / 50, 21) % 60 != 0) { /* else it is missing */
            step(&slow, &p, at, minutes);
            step(&quick, &p, at, minutes);
            step(&settled, &p, at, minutes);
            if (noise(at, 22) % 7 == 0)
                quiet_settle(&settled.quiet);
        }
        if (noise(at, 23) % 997 == 0) {
            quiet_settle(&quick.quiet);
            quiet_settle(&settled.quiet);
            check_same(&slow, &quick);
            check_same(&slow, &settled);
            compared++;
        }
        at += minutes;
    }
    ck_assert_uint_gt(compared, 20);
    ck_assert_uint_gt(slow.entered, 50);
    ck_assert_uint_eq(slow.entered, quick.entered);
    ck_assert_uint_eq(slow.entered, settled.entered);
    world_fini(&slow);
    world_fini(&quick);
    world_fini(&settled);
}
END_TEST

/* What the short way holds back is there after it was asked for, and what was not usual is back on the long way. */
START_TEST(leaves_when_it_is_not_usual)
{
    struct detect_params p = {.loss_share = 0.01, .rtt_factor = 3, .min_pkts = 200};
    struct observation good = {.quality = WINDOW_OK}, bad;
    struct series *x = series_new(METRIC_LOSS_A2B);
    struct quiet q = {0};
    struct detection d;
    struct local_time t;
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    good.dir[0].judged_pkts = 10000;
    bad = good;
    bad.dir[0].lost_downstream_pkts = 300;
    local_from_ns(START_MIN * 60ull * NS_PER_S, &t);
    series_step(x, &p, &good, START_MIN + 1, 1, &t, &d);
    quiet_join(&q, x, 1);
    ck_assert_uint_eq(quiet_take(&q, &p, &good, START_MIN + 2, 1, &t), 1u << METRIC_LOSS_A2B);
    ck_assert(x->s.counts.windows < 1.5);
    ck_assert_uint_eq(quiet_take(&q, &p, &bad, START_MIN + 3, 1, &t), 0);
    ck_assert(x->s.counts.windows > 1.5);
    ck_assert_uint_eq(q.metrics, 0);
    series_step(x, &p, &bad, START_MIN + 3, 1, &t, &d);
    ck_assert_int_eq(d.verdict, VERDICT_OUT);
    quiet_join(&q, x, 1);
    ck_assert_uint_eq(q.metrics, 0); /* one of its last minutes was out */
    series_fini(x);
    free(x);
}
END_TEST

UNIT_MAIN("quiet", the_same_bytes, leaves_when_it_is_not_usual)

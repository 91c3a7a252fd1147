/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From workers' parts to hours: histograms merge exactly in any order, windows close when all workers are done and not
 * before, late parts are counted, tiers close at their ends, sums are kept through all tiers, and gaps, odd lengths and
 * an early end are said.
 */

#include "analytics/rollup.h"
#include "common/bytes.h"
#include "tests/unit/messages.h"

START_TEST(sparse_histograms_equal_full_ones)
{
    struct sparse_hist all = {0}, part_hist = {0};
    struct hist full = {0};
    struct hist_item items[HIST_BUCKETS + 1];
    struct window_quantiles got, want;
    uint64_t x = 1;

    for (int round = 0; round < 50; round++) {
        struct hist h = {0};
        for (int i = 0; i < 200; i++) {
            x = mix64(x + 1);
            hist_add(&h, x >> (20 + x % 40)); /* some beyond the top */
        }
        uint32_t n = hist_to_items(&h, items);
        for (uint32_t i = n; i > 1; i--) { /* in any order */
            struct hist_item t = items[i - 1];
            x = mix64(x);
            items[i - 1] = items[x % i];
            items[x % i] = t;
        }
        sparse_hist_fini(&part_hist);
        ck_assert_int_eq(sparse_hist_add(&part_hist, h.n, h.sum_ns, h.min_ns, h.max_ns, items, n), 0);
        ck_assert_int_eq(sparse_hist_merge(&all, &part_hist), 0);
        hist_merge(&full, &h);
    }
    sparse_hist_quantiles(&all, &got);
    window_quantiles_of(&want, &full);
    ck_assert_mem_eq(&got, &want, sizeof(got));
    ck_assert_uint_eq(all.sum_ns, full.sum_ns);
    uint64_t count = 0;
    for (uint32_t i = 0; i < all.n_cells; i++)
        count += all.cell[i] & ((1ull << 48) - 1);
    ck_assert_uint_eq(count, full.n);
    /* the same bucket twice and one that does not exist */
    struct hist_item odd[] = {{.index = 5, .count = 2}, {.index = 5, .count = 3}, {.index = 9999, .count = 1}};
    sparse_hist_fini(&part_hist);
    ck_assert_int_eq(sparse_hist_add(&part_hist, 5, 5, 1, 1, odd, 3), 0);
    ck_assert_uint_eq(part_hist.n_cells, 1);
    ck_assert_uint_eq(part_hist.cell[0] & 0xff, 5);
    sparse_hist_fini(&part_hist);
    sparse_hist_fini(&all);
}
END_TEST

/* What was closed, written down. */
struct seen {
    struct {
        enum schema_tier tier;
        uint64_t start_ns, pkts, p50_ns, n_rtt;
        uint32_t parts, expected;
        size_t n_objects;
        bool degraded;
    } at[4096];
    size_t n;
    struct rollup *rollup;
};

static void note_closed(void *ctx, enum schema_tier tier, struct closed_window *w)
{
    struct seen *s = ctx;
    struct window_quantiles q = {0};
    uint64_t pkts = 0;

    for (size_t i = 0; i < w->objects->n; i++) {
        pkts += w->objects->at[i]->c.dir[0].pkts;
        sparse_hist_quantiles(&w->objects->at[i]->hist[0], &q);
    }
    s->at[s->n].tier = tier;
    s->at[s->n].start_ns = w->start_ns;
    s->at[s->n].pkts = pkts;
    s->at[s->n].p50_ns = q.p50_ns;
    s->at[s->n].n_rtt = q.n;
    s->at[s->n].parts = w->parts;
    s->at[s->n].expected = w->parts_expected;
    s->at[s->n].n_objects = w->objects->n;
    s->at[s->n].degraded = w->degraded;
    ck_assert_uint_lt(++s->n, 4096);
}

static void to_rollup(void *ctx, struct closed_window *w)
{
    struct seen *s = ctx;

    if (s->rollup != NULL)
        rollup_add(s->rollup, w);
    else
        note_closed(s, SCHEMA_BASE, w);
}

static void give(struct windows *w, unsigned worker, uint64_t start_ns, uint64_t pkts)
{
    uint64_t rtt_ns[] = {pkts * 100000, pkts * 100000 + 1000000};
    struct window_message m = part(path_key("10.0.0.0", "10.0.1.0"), start_ns, pkts, rtt_ns, 2);

    m.w.hdr.worker = (uint16_t)worker;
    ck_assert(windows_part(w, &m.w));
}

static void finish_window(struct windows *w, unsigned worker, uint64_t start_ns)
{
    struct rec_window_end e = window_end(start_ns, 0);

    windows_end(w, worker, &e);
}

START_TEST(windows_wait_for_all_workers)
{
    struct seen s = {.n = 0};
    struct windows w;

    ck_assert_int_eq(windows_init(&w, 2, 10 * SECOND, 1, to_rollup, &s), 0);
    give(&w, 0, T0, 5);
    finish_window(&w, 0, T0);
    give(&w, 0, T0 + 10 * SECOND, 6);
    finish_window(&w, 0, T0 + 10 * SECOND);
    ck_assert_uint_eq(s.n, 0);
    give(&w, 1, T0, 7);
    finish_window(&w, 1, T0);
    ck_assert_uint_eq(s.n, 1);
    ck_assert_uint_eq(s.at[0].start_ns, T0);
    ck_assert_uint_eq(s.at[0].pkts, 12);
    ck_assert_uint_eq(s.at[0].n_rtt, 4);
    ck_assert_uint_eq(s.at[0].n_objects, 1);
    give(&w, 1, T0, 9); /* too late */
    ck_assert_uint_eq(w.late_parts, 1);
    give(&w, 1, T0 + 20 * SECOND, 8);
    windows_worker_ended(&w, 0);
    ck_assert_uint_eq(s.n, 1);
    windows_worker_ended(&w, 1);
    ck_assert_uint_eq(s.n, 3);
    ck_assert_uint_eq(s.at[1].pkts, 6);
    ck_assert_uint_eq(s.at[2].pkts, 8);
    windows_fini(&w);
}
END_TEST

START_TEST(lost_messages_degrade_and_lag_is_bounded)
{
    struct seen s = {.n = 0};
    struct windows w;
    struct rec_window_end e = window_end(T0, 0);

    ck_assert_int_eq(windows_init(&w, 2, 10 * SECOND, 1, to_rollup, &s), 0);
    e.ring_dropped = 3;
    windows_end(&w, 0, &e);
    finish_window(&w, 1, T0);
    ck_assert_uint_eq(s.n, 1);
    ck_assert(s.at[0].degraded);
    e = window_end(T0 + 10 * SECOND, 0);
    e.ring_dropped = 3; /* no more than before */
    windows_end(&w, 0, &e);
    finish_window(&w, 1, T0 + 10 * SECOND);
    ck_assert(!s.at[1].degraded);
    for (uint64_t i = 2; i < 1100; i++) { /* worker 1 is stuck */
        give(&w, 0, T0 + i * 10 * SECOND, 1);
        finish_window(&w, 0, T0 + i * 10 * SECOND);
    }
    ck_assert_uint_le(w.n_open, WINDOWS_OPEN_MAX);
    ck_assert_uint_gt(w.forced, 0);
    ck_assert_uint_eq(s.n, 2 + w.forced);
    ck_assert(s.at[2].degraded);
    windows_fini(&w);
}
END_TEST

START_TEST(malformed_parts_are_refused)
{
    struct seen s = {.n = 0};
    struct windows w;
    struct window_message m = part(mirror_key(0), T0, 1, NULL, 0);

    ck_assert_int_eq(windows_init(&w, 1, 10 * SECOND, 1, to_rollup, &s), 0);
    m.w.hist[2].n_items = 1; /* more than its length holds */
    ck_assert(!windows_part(&w, &m.w));
    m.w.hist[2].n_items = UINT32_MAX;
    m.w.hist[3].n_items = UINT32_MAX;
    ck_assert(!windows_part(&w, &m.w));
    m = part(mirror_key(0), T0, 1, NULL, 0);
    m.w.key.scope = WINDOW_SCOPE_COUNT;
    ck_assert(!windows_part(&w, &m.w));
    ck_assert_uint_eq(w.n_open, 0);
    windows_fini(&w);
}
END_TEST

static uint64_t sum(const struct seen *s, enum schema_tier tier, size_t *ret_n)
{
    uint64_t pkts = 0;

    *ret_n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].tier == tier) {
            pkts += s->at[i].pkts;
            (*ret_n)++;
        }
    }
    return pkts;
}

START_TEST(tiers_keep_sums_and_close_on_time)
{
    static struct seen s;
    static struct rollup r;
    struct windows w;
    uint64_t total = 0;
    size_t n;

    s.rollup = &r;
    rollup_init(&r, 10 * SECOND, 1, note_closed, &s);
    ck_assert_int_eq(windows_init(&w, 1, 10 * SECOND, 1, to_rollup, &s), 0);
    for (uint64_t i = 0; i < 2 * 360 + 7; i++) { /* two hours and a bit */
        if (i >= 100 && i < 103)
            continue; /* a gap */
        give(&w, 0, T0 + i * 10 * SECOND, i + 1);
        finish_window(&w, 0, T0 + i * 10 * SECOND);
        total += i + 1;
    }
    ck_assert_uint_eq(sum(&s, SCHEMA_1H, &n), total - (721 + 722 + 723 + 724 + 725 + 726 + 727));
    ck_assert_uint_eq(n, 2);
    windows_worker_ended(&w, 0);
    rollup_finish(&r);
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++)
        ck_assert_uint_eq(sum(&s, t, &n), total);
    ck_assert_uint_eq(n, 3);
    for (size_t i = 0; i < s.n; i++) {
        uint64_t length_ns = schema_tier_length_ns(s.at[i].tier, 10 * SECOND);
        ck_assert_uint_eq(s.at[i].start_ns % length_ns, 0);
        ck_assert_uint_eq(s.at[i].expected, length_ns / (10 * SECOND));
        bool gap = s.at[i].start_ns < T0 + 1030 * SECOND && s.at[i].start_ns + length_ns > T0 + 1000 * SECOND;
        bool cut = s.at[i].start_ns + length_ns > T0 + 7270 * SECOND;
        if (!gap && !cut)
            ck_assert_uint_eq(s.at[i].parts, s.at[i].expected);
        else
            ck_assert_uint_lt(s.at[i].parts, s.at[i].expected);
        ck_assert_uint_eq(s.at[i].n_rtt, 2 * s.at[i].parts);
    }
    /* the first hour's median is that of its samples: 357 x 2 of them, around 0.1 ms * 181 + 0.5 ms */
    for (size_t i = 0; i < s.n; i++)
        if (s.at[i].tier == SCHEMA_1H && s.at[i].start_ns == T0) {
            ck_assert_uint_gt(s.at[i].p50_ns, 17500000);
            ck_assert_uint_lt(s.at[i].p50_ns, 20000000);
        }
    windows_fini(&w);
    rollup_fini(&r);
}
END_TEST

START_TEST(long_base_windows_skip_tiers)
{
    static struct seen s;
    static struct rollup r;
    struct objects o;
    struct closed_window c = {
        .start_ns = T0, .length_ns = 120 * SECOND, .parts = 1, .parts_expected = 1, .objects = &o};

    objects_init(&o, 1);
    s.n = 0;
    rollup_init(&r, 120 * SECOND, 1, note_closed, &s);
    for (int i = 0; i < 30; i++, c.start_ns += 120 * SECOND)
        rollup_add(&r, &c);
    size_t n;
    sum(&s, SCHEMA_1MIN, &n);
    ck_assert_uint_eq(n, 0);
    sum(&s, SCHEMA_15MIN, &n);
    ck_assert_uint_eq(n, 4);
    sum(&s, SCHEMA_1H, &n);
    ck_assert_uint_eq(n, 1);
    rollup_fini(&r);
    objects_fini(&o);
}
END_TEST

START_TEST(objects_are_bounded)
{
    struct objects o;
    struct rec_scope key = path_key("10.0.0.0", "10.0.1.0");

    objects_init(&o, 42);
    o.limit[WINDOW_PATH] = 100;
    for (uint32_t i = 0; i < 1000; i++) {
        memcpy(key.site[0].addr.byte, &i, 4);
        struct object *x = objects_get(&o, &key);
        ck_assert_ptr_nonnull(x);
        x->c.new_flows++;
    }
    ck_assert_uint_eq(o.n, 101);
    uint64_t flows = 0;
    for (size_t i = 0; i < o.n; i++)
        flows += o.at[i]->c.new_flows;
    ck_assert_uint_eq(flows, 1000);
    char name[WINDOW_NAME_BYTES];
    object_name(&(struct object_names){0}, &o.at[100]->key, name);
    ck_assert_str_eq(name, "(other)");
    objects_fini(&o);
}
END_TEST

UNIT_MAIN("rollup", sparse_histograms_equal_full_ones, windows_wait_for_all_workers,
          lost_messages_degrade_and_lag_is_bounded, malformed_parts_are_refused, tiers_keep_sums_and_close_on_time,
          long_base_windows_skip_tiers, objects_are_bounded)

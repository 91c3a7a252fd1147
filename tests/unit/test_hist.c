/* SPDX-License-Identifier: BSD-3-Clause */

/* The histogram's scheme: every value in the right bucket, midpoints within 1.6 %, exact merges, sane quantiles. */

#include <math.h>
#include <string.h>

#include "common/bytes.h"
#include "common/hist.h"
#include "tests/unit/unit.h"

START_TEST(buckets_are_contiguous_and_ordered)
{
    uint32_t last = 0;

    for (uint64_t units = 0; units < 5000; units++) {
        uint32_t i = hist_index(units << 10);
        ck_assert(i == last || i == last + 1);
        last = i;
    }
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        ck_assert_uint_eq(hist_index(hist_midpoint_ns(i)), i);
    ck_assert_uint_eq(hist_index(1023), 0);
    ck_assert_uint_eq(hist_index(1024), 1);
    ck_assert_uint_eq(hist_index((1ull << 36) - 1), HIST_BUCKETS - 1);
    ck_assert_uint_eq(hist_index(1ull << 36), HIST_BUCKETS);
    ck_assert_uint_eq(hist_index(UINT64_MAX), HIST_BUCKETS);
}
END_TEST

START_TEST(midpoints_are_close)
{
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t v = (64 << 10) + mix64(i) % ((1ull << 36) - (64 << 10));
        double error = fabs((double)hist_midpoint_ns(hist_index(v)) - (double)v) / (double)v;
        ck_assert_double_le(error, 0.016);
    }
}
END_TEST

START_TEST(merging_is_adding)
{
    static struct hist a, b, all, merged;

    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t v = mix64(i) >> (16 + i % 40);
        hist_add(i % 3 == 0 ? &a : &b, v);
        hist_add(&all, v);
    }
    hist_merge(&merged, &b);
    hist_merge(&merged, &a);
    ck_assert_mem_eq(&merged, &all, sizeof(all));
    ck_assert_uint_gt(all.overflow, 0);

    uint64_t sum = all.overflow;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        sum += all.bucket[i];
    ck_assert_uint_eq(sum, all.n);
    static struct hist empty;
    hist_merge(&merged, &empty);
    ck_assert_mem_eq(&merged, &all, sizeof(all));
    hist_clear(&merged);
    ck_assert_mem_eq(&merged, &empty, sizeof(empty));
}
END_TEST

START_TEST(quantiles)
{
    static struct hist h, one, high;

    ck_assert_uint_eq(hist_quantile_ns(&h, 0.5), 0);
    for (uint64_t ms = 1; ms <= 1000; ms++)
        hist_add(&h, ms * 1000000);
    for (double q = 0.01; q < 1; q += 0.01) {
        double got = (double)hist_quantile_ns(&h, q), want = ceil(q * 1000) * 1e6;
        ck_assert_double_le(fabs(got - want) / want, 0.017);
    }
    ck_assert_uint_eq(hist_quantile_ns(&h, 1), 1000000000);
    ck_assert_uint_ge(hist_quantile_ns(&h, 0), h.min_ns);

    hist_add(&one, 30107000); /* a single value is given back exactly */
    ck_assert_uint_eq(hist_quantile_ns(&one, 0.01), 30107000);
    ck_assert_uint_eq(hist_quantile_ns(&one, 0.99), 30107000);

    hist_add(&high, 1000);
    hist_add(&high, 90000000000ull);
    hist_add(&high, 95000000000ull);
    ck_assert_uint_eq(hist_quantile_ns(&high, 0.9), 95000000000ull);
}
END_TEST

START_TEST(items_carry_everything)
{
    static struct hist h, back;
    static struct hist_item items[HIST_BUCKETS + 1];

    for (uint64_t i = 0; i < 5000; i++)
        hist_add(&h, mix64(i) >> (20 + i % 40));
    uint32_t n = hist_to_items(&h, items);
    ck_assert_uint_le(n, HIST_BUCKETS + 1);
    hist_add_items(&back, items, n);
    ck_assert_mem_eq(back.bucket, h.bucket, sizeof(h.bucket));
    ck_assert_uint_eq(back.overflow, h.overflow);

    struct hist_item bad = {.index = HIST_BUCKETS + 1, .count = 7};
    hist_add_items(&back, &bad, 1);
    ck_assert_mem_eq(back.bucket, h.bucket, sizeof(h.bucket));
    ck_assert_uint_eq(back.overflow, h.overflow);
}
END_TEST

UNIT_MAIN("hist", buckets_are_contiguous_and_ordered, midpoints_are_close, merging_is_adding, quantiles,
          items_carry_everything)

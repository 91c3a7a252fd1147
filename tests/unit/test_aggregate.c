/* SPDX-License-Identifier: BSD-3-Clause */

/* Window entries: made once, kept while flows hold them or traffic touched them, and "(other)" when there is no room.
 */

#include "dataplane/aggregate.h"

#include "tests/unit/unit.h"

#define ENTRIES 4u /* with "(other)" */

static struct agg_table table;
static struct rec_writer out;

static struct rec_scope key_of(uint8_t n)
{
    return (struct rec_scope){.scope = WINDOW_PATH, .site = {{.af = 4, .prefix_len = 24, .addr = {{10, 0, n}}}}};
}

static uint32_t get(uint8_t n)
{
    struct rec_scope key = key_of(n);

    return agg_get(&table, &key);
}

static void setup(void)
{
    ck_assert_int_eq(agg_table_init(&table, WINDOW_PATH, ENTRIES, 7), 0);
    out = (struct rec_writer){.ring = spsc_new(1u << 20)};
}

static void teardown(void)
{
    agg_table_fini(&table);
    spsc_free(out.ring);
}

static unsigned emitted(uint64_t *ret_pkts)
{
    const struct rec_window *w;
    unsigned n = 0;
    size_t len;

    *ret_pkts = 0;
    agg_close(&table, &(struct agg_end){.out = &out, .start_ns = 1000, .length_ns = 10});
    agg_emit_some(&table, UINT32_MAX);
    ck_assert(agg_waiting(&table) == 0 && out.dropped == 0);
    while ((w = spsc_peek(out.ring, &len)) != NULL) {
        ck_assert(w->hdr.type == REC_WINDOW && w->hdr.len_bytes == len && w->start_ns == 1000 && w->length_ns == 10);
        *ret_pkts += w->c.dir[0].pkts;
        n++;
        spsc_pop(out.ring);
    }
    return n;
}

START_TEST(one_entry_a_key)
{
    setup();
    uint32_t a = get(1), b = get(2);
    ck_assert(a != 0 && b != 0 && a != b);
    ck_assert_uint_eq(get(1), a);
    ck_assert_uint_eq(table.id[a].refs, 2);
    teardown();
}
END_TEST

START_TEST(no_room_is_other)
{
    uint64_t pkts;

    setup();
    for (uint8_t n = 1; n < ENTRIES; n++)
        ck_assert_uint_ne(get(n), 0);
    ck_assert_uint_eq(get(100), 0);
    ck_assert_uint_eq(table.overflowed, 1);
    agg_at(&table, 0)->c.dir[0].pkts = 5;
    agg_at(&table, 1)->c.dir[0].pkts = 3;
    ck_assert_uint_eq(emitted(&pkts), 2);
    ck_assert_uint_eq(pkts, 8);
    ck_assert_uint_eq(emitted(&pkts), 0); /* cleared, and silent without traffic */
    teardown();
}
END_TEST

START_TEST(kept_while_held_or_touched)
{
    uint64_t pkts;

    setup();
    uint32_t a = get(1);
    agg_at(&table, a)->c.dir[0].pkts++;
    agg_put(&table, a); /* its flow is over, its window is not */
    ck_assert_uint_eq(get(1), a);
    agg_put(&table, a);
    ck_assert_uint_eq(emitted(&pkts), 1);
    ck_assert_uint_eq(pkts, 1);
    for (uint8_t n = 10; n < 10 + ENTRIES - 1; n++) /* its place is free again */
        ck_assert_uint_ne(get(n), 0);
    ck_assert_uint_eq(table.overflowed, 0);
    teardown();
}
END_TEST

START_TEST(a_full_ring_is_counted)
{
    setup();
    spsc_free(out.ring);
    out.ring = spsc_new(4096);
    uint64_t dropped = 0, kept = 0;
    size_t len;
    for (unsigned round = 0; round < 10; round++) {
        agg_at(&table, get(1))->c.dir[0].pkts = 1;
        uint64_t before = out.dropped;
        agg_close(&table, &(struct agg_end){.out = &out, .length_ns = 10});
        ck_assert_uint_eq(agg_emit_some(&table, 5), 1);
        dropped += out.dropped - before;
    }
    for (; spsc_peek(out.ring, &len) != NULL; kept++)
        spsc_pop(out.ring);
    ck_assert(dropped != 0 && kept != 0);
    ck_assert_uint_eq(dropped + kept, 10);
    ck_assert_uint_eq(dropped, out.dropped);
    teardown();
}
END_TEST

UNIT_MAIN("aggregate", one_entry_a_key, no_room_is_other, kept_while_held_or_touched, a_full_ring_is_counted)

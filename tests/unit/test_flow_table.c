/* SPDX-License-Identifier: BSD-3-Clause */

/* The flow table: look-up by full key, two buckets to choose from, eviction of the idlest, and the wheel. */

#include "dataplane/flow_table.h"

#include "common/timefmt.h"
#include "tests/unit/unit.h"

static struct flow_table table;

static struct flow_key key_of(uint32_t n)
{
    struct flow_key key = {.proto = 6, .af = 4, .port = {(uint16_t)n, 80}};

    memcpy(key.addr[0].byte, &n, sizeof(n));
    return key;
}

static uint32_t find(uint32_t n)
{
    struct flow_key key = key_of(n);

    return flow_table_find(&table, flow_hash(&table, &key), &key);
}

static uint32_t insert(uint32_t n, uint32_t *ret_victim)
{
    struct flow_key key = key_of(n);

    return flow_table_insert(&table, flow_hash(&table, &key), &key, ret_victim);
}

START_TEST(found_until_released)
{
    uint32_t victim, index[500];

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    for (uint32_t n = 0; n < 500; n++) {
        ck_assert_uint_eq(find(n), FLOW_NONE);
        index[n] = insert(n, &victim);
        ck_assert_uint_ne(index[n], FLOW_NONE);
        ck_assert_uint_eq(flow_at(&table, index[n])->first_ns, 0);
    }
    ck_assert_uint_eq(table.active, 500);
    for (uint32_t n = 0; n < 500; n += 2)
        flow_table_release(&table, index[n]);
    for (uint32_t n = 0; n < 500; n++)
        ck_assert_uint_eq(find(n), n % 2 == 0 ? FLOW_NONE : index[n]);
    uint32_t cursor = 0, live = 0;
    while (flow_table_next(&table, &cursor) != FLOW_NONE)
        live++;
    ck_assert_uint_eq(live, 250);
    flow_table_fini(&table);
}
END_TEST

/* Keys that differ in one byte anywhere are different flows, whatever their hash. */
START_TEST(every_byte_of_the_key_counts)
{
    struct flow_key key = key_of(1);
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    uint64_t hash = flow_hash(&table, &key);
    uint32_t index = flow_table_insert(&table, hash, &key, &victim);
    for (unsigned i = 0; i < sizeof(key); i++) {
        struct flow_key other = key;
        ((uint8_t *)&other)[i] ^= 1;
        ck_assert_uint_eq(flow_table_find(&table, hash, &other), FLOW_NONE);
        ck_assert_uint_ne(flow_hash(&table, &other), hash);
    }
    ck_assert_uint_eq(flow_table_find(&table, hash, &key), index);
    flow_table_fini(&table);
}
END_TEST

START_TEST(hashes_are_seeded)
{
    struct flow_key key = key_of(1);

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    uint64_t hash = flow_hash(&table, &key);
    flow_table_fini(&table);
    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    ck_assert_uint_ne(flow_hash(&table, &key), hash);
    flow_table_fini(&table);
}
END_TEST

/* One hash for all: two buckets of eight fill up, then the flow that was idle longest is named. */
START_TEST(full_buckets_name_the_idlest)
{
    const uint64_t hash = 0x1234567800000042ull;
    uint32_t victim = FLOW_NONE, index[16];

    ck_assert_int_eq(flow_table_init(&table, 4096), 0);
    for (uint32_t n = 0; n < 16; n++) {
        struct flow_key key = key_of(n);
        index[n] = flow_table_insert(&table, hash, &key, &victim);
        ck_assert_uint_ne(index[n], FLOW_NONE);
        flow_at(&table, index[n])->last_ns = 1000 + (n * 7) % 16; /* the idlest is n = 0 */
    }
    flow_at(&table, index[0])->last_ns = 5000;
    struct flow_key key = key_of(99);
    ck_assert_uint_eq(flow_table_insert(&table, hash, &key, &victim), FLOW_NONE);
    ck_assert_uint_eq(victim, index[7]); /* 7 * 7 % 16 = 1 */
    flow_table_release(&table, victim);
    ck_assert_uint_ne(flow_table_insert(&table, hash, &key, &victim), FLOW_NONE);
    key = key_of(7);
    ck_assert_uint_eq(flow_table_find(&table, hash, &key), FLOW_NONE);
    for (uint32_t n = 8; n < 16; n++) {
        key = key_of(n);
        ck_assert_uint_eq(flow_table_find(&table, hash, &key), index[n]);
    }
    flow_table_fini(&table);
}
END_TEST

START_TEST(all_records_can_be_used)
{
    uint32_t victim, n_full = 0;

    ck_assert_int_eq(flow_table_init(&table, 1000), 0);
    for (uint32_t n = 0; n < 1000; n++)
        n_full += insert(n, &victim) == FLOW_NONE;
    ck_assert_uint_eq(n_full, 0); /* buckets have room to spare */
    ck_assert_uint_eq(insert(5000, &victim), FLOW_NONE);
    flow_table_fini(&table);
}
END_TEST

/* ---- the wheel ---- */

static unsigned count_due(uint64_t now_ns)
{
    unsigned n = 0;

    for (uint32_t index; (index = flow_table_due(&table, now_ns)) != FLOW_NONE; n++)
        flow_table_release(&table, index);
    return n;
}

START_TEST(due_when_its_second_is_over)
{
    const uint64_t start = 1000000000ull * NS_PER_S;
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    ck_assert_uint_eq(flow_table_due(&table, start), FLOW_NONE);
    for (uint32_t n = 0; n < 100; n++)
        flow_table_arm(&table, insert(n, &victim), start + n * NS_PER_S);
    unsigned due = 0;
    for (uint32_t s = 0; s <= 101; s++) {
        due += count_due(start + s * NS_PER_S);
        ck_assert_uint_le(due, s); /* never early */
    }
    ck_assert_uint_eq(due, 100);
    flow_table_fini(&table);
}
END_TEST

START_TEST(a_clock_that_jumps_misses_nothing)
{
    const uint64_t start = 1000000000ull * NS_PER_S;
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    ck_assert_uint_eq(flow_table_due(&table, start), FLOW_NONE);
    for (uint32_t n = 0; n < 500; n++)
        flow_table_arm(&table, insert(n, &victim), start + n * 2 * NS_PER_S);
    ck_assert_uint_eq(count_due(start + 86400 * 365 * NS_PER_S), 500);
    /* with nothing armed it jumps, and what is armed then comes in time */
    ck_assert_uint_eq(count_due(start + 2ull * 86400 * 365 * NS_PER_S), 0);
    flow_table_arm(&table, insert(1, &victim), start + 2ull * 86400 * 365 * NS_PER_S + 3 * NS_PER_S);
    ck_assert_uint_eq(count_due(start + 2ull * 86400 * 365 * NS_PER_S + 2 * NS_PER_S), 0);
    ck_assert_uint_eq(count_due(start + 2ull * 86400 * 365 * NS_PER_S + 5 * NS_PER_S), 1);
    flow_table_fini(&table);
}
END_TEST

/* A deadline further off than the wheel comes round early, to be armed again; armed twice means moved. */
START_TEST(far_deadlines_and_moves)
{
    const uint64_t start = 1000000000ull * NS_PER_S;
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, 64), 0);
    ck_assert_uint_eq(flow_table_due(&table, start), FLOW_NONE);
    uint32_t far = insert(1, &victim), moved = insert(2, &victim), gone = insert(3, &victim);
    flow_table_arm(&table, far, start + 5000 * NS_PER_S);
    flow_table_arm(&table, moved, start + 5 * NS_PER_S);
    flow_table_arm(&table, moved, start + 50 * NS_PER_S);
    flow_table_arm(&table, gone, start + 5 * NS_PER_S);
    flow_table_release(&table, gone);
    ck_assert_uint_eq(flow_table_due(&table, start + 49 * NS_PER_S), FLOW_NONE);
    ck_assert_uint_eq(flow_table_due(&table, start + 52 * NS_PER_S), moved);
    flow_table_release(&table, moved);
    ck_assert_uint_eq(flow_table_due(&table, start + 1025 * NS_PER_S), far);
    flow_table_fini(&table);
}
END_TEST

UNIT_MAIN("flow_table", found_until_released, every_byte_of_the_key_counts, hashes_are_seeded,
          full_buckets_name_the_idlest, all_records_can_be_used, due_when_its_second_is_over,
          a_clock_that_jumps_misses_nothing, far_deadlines_and_moves)

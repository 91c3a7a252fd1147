/* SPDX-License-Identifier: BSD-3-Clause */

/* The flow table: look-up by full key, two buckets to choose from, eviction of the idlest, and the sweep. */

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

static uint64_t hash_of(const struct flow_key *key)
{
    struct short_key id = {0};

    flow_key_shorten(&table, key, &id);
    return flow_hash(&table, &id);
}

static uint32_t find_at(uint64_t hash, const struct flow_key *key)
{
    struct short_key id = {0};

    flow_key_shorten(&table, key, &id);
    return flow_table_find(&table, hash, &id, key);
}

static uint32_t insert_at(uint64_t hash, const struct flow_key *key, uint32_t *ret_victim)
{
    struct short_key id = {0};

    flow_key_shorten(&table, key, &id);
    return flow_table_insert(&table, hash, &id, key, ret_victim);
}

static uint32_t find(uint32_t n)
{
    struct flow_key key = key_of(n);

    return find_at(hash_of(&key), &key);
}

static uint32_t insert(uint32_t n, uint32_t *ret_victim)
{
    struct flow_key key = key_of(n);

    return insert_at(hash_of(&key), &key, ret_victim);
}

/* What was found stays found while the table grows, and nobody is evicted that a full one would have had room for. */
START_TEST(a_small_table_grows)
{
    uint32_t victim, index[3000];

    ck_assert_int_eq(flow_table_init(&table, 4096), 0);
    flow_table_start_small(&table, 4);
    size_t bytes = flow_table_bytes(&table);
    for (uint32_t n = 0; n < 3000; n++) {
        index[n] = insert(n, &victim);
        ck_assert_uint_ne(index[n], FLOW_NONE);
        if (n % 3 == 0)
            flow_table_release(&table, index[n]);
        if ((n & (n + 1)) != 0)
            continue;
        for (uint32_t k = 0; k <= n; k++)
            ck_assert_uint_eq(find(k), k % 3 == 0 ? FLOW_NONE : index[k]);
    }
    ck_assert_uint_eq(table.active, 2000);
    ck_assert_uint_gt(table.bucket_mask, 400);
    ck_assert_uint_eq(flow_table_bytes(&table), bytes);
    for (uint32_t n = 0; n < 3000; n++)
        ck_assert_uint_eq(find(n), n % 3 == 0 ? FLOW_NONE : index[n]);
    flow_table_fini(&table);
}
END_TEST

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

/* Keys that differ in one byte anywhere are different flows, whatever their hash. (Of an IPv4 address 4 bytes count.)
 */
static void check_every_byte(const struct flow_key *key)
{
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    uint64_t hash = hash_of(key);
    uint32_t index = insert_at(hash, key, &victim);
    for (unsigned i = 0; i < offsetof(struct flow_key, zero); i++) {
        struct flow_key other = *key;
        ((uint8_t *)&other)[i] ^= 1;
        bool counts = key->af == 6 || i >= sizeof(key->addr) || i % sizeof(struct ip_addr) < 4;
        ck_assert_uint_eq(find_at(hash, &other), counts ? FLOW_NONE : index);
        ck_assert(!counts || hash_of(&other) != hash);
    }
    ck_assert_uint_eq(find_at(hash, key), index);
    struct flow_key kept;
    flow_key_of(&table, flow_at(&table, index), &kept);
    ck_assert_mem_eq(&kept, key, sizeof(kept));
    flow_table_fini(&table);
}

START_TEST(every_byte_of_the_key_counts)
{
    struct flow_key key = key_of(1);

    key.tunnel_id = 77;
    check_every_byte(&key);
    key.af = 6;
    for (unsigned i = 0; i < sizeof(key.addr); i++)
        ((uint8_t *)key.addr)[i] = (uint8_t)(i * 7 + 1);
    check_every_byte(&key);
}
END_TEST

/* The window entry of a flow's tunnel is kept beside the key and is no part of it. */
START_TEST(the_tunnels_window_is_no_part_of_the_key)
{
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    uint32_t index = insert(1, &victim);
    flow_at(&table, index)->key.tunnel_agg = 0xffff;
    ck_assert_uint_eq(find(1), index);
    flow_table_release(&table, index);
    ck_assert_uint_eq(find(1), FLOW_NONE);
    flow_table_fini(&table);
}
END_TEST

START_TEST(signatures_match_with_and_without_vectors)
{
    struct bucket b __attribute__((aligned(64))) = {.index = {0}};
    uint32_t random = 1;

    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            random = random * 1664525 + 1013904223;
            b.sig[i] = (uint16_t)(random >> 24 & 3 ? 0 : random >> 16);
        }
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            ck_assert_uint_eq(bucket_matches(&b, b.sig[i]), bucket_matches_scalar(&b, b.sig[i]));
        ck_assert_uint_eq(bucket_matches(&b, 0), bucket_matches_scalar(&b, 0));
    }
}
END_TEST

START_TEST(hashes_are_seeded)
{
    struct flow_key key = key_of(1);

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    uint64_t hash = hash_of(&key);
    flow_table_fini(&table);
    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    ck_assert_uint_ne(hash_of(&key), hash);
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
        index[n] = insert_at(hash, &key, &victim);
        ck_assert_uint_ne(index[n], FLOW_NONE);
        flow_at(&table, index[n])->last_ns = 1000 + (n * 7) % 16; /* the idlest is n = 0 */
    }
    flow_at(&table, index[0])->last_ns = 5000;
    struct flow_key key = key_of(99);
    ck_assert_uint_eq(insert_at(hash, &key, &victim), FLOW_NONE);
    ck_assert_uint_eq(victim, index[7]); /* 7 * 7 % 16 = 1 */
    for (uint32_t n = 0; n < 16; n++)    /* all but one were answered: that one goes, though it is the least idle */
        flow_at(&table, index[n])->side[0].pkts = flow_at(&table, index[n])->side[1].pkts = n != 0;
    flow_at(&table, index[0])->side[0].pkts = 1;
    ck_assert_uint_eq(insert_at(hash, &key, &victim), FLOW_NONE);
    ck_assert_uint_eq(victim, index[0]);
    for (uint32_t n = 8; n < 16; n++) {
        key = key_of(n);
        ck_assert_uint_eq(find_at(hash, &key), index[n]);
    }
    flow_table_fini(&table);
}
END_TEST

/* No record is left: a flow that is over makes room, else one without an answer, else the idlest of those asked. */
START_TEST(a_full_table_names_who_can_be_missed)
{
    const uint32_t n_flows = 64; /* fewer than are asked, so that each is */
    uint32_t victim;

    ck_assert_int_eq(flow_table_init(&table, n_flows), 0);
    for (uint32_t n = 0; n < n_flows; n++) {
        struct flow *f = flow_at(&table, insert(n, &victim));
        f->last_ns = 1000 + (n * 7) % n_flows; /* n = 0 is the idlest */
        f->side[0].pkts = f->side[1].pkts = 1;
    }
    ck_assert_uint_eq(insert(n_flows, &victim), FLOW_NONE);
    ck_assert_uint_eq(flow_at(&table, victim)->last_ns, 1000);
    flow_at(&table, 40)->side[1].pkts = 0;
    for (unsigned i = 0; i < 3; i++) { /* whatever comes first in turn */
        ck_assert_uint_eq(insert(n_flows, &victim), FLOW_NONE);
        ck_assert_uint_eq(victim, 40);
    }
    flow_at(&table, 40)->side[1].pkts = 1;
    flow_at(&table, 20)->flags |= FLOW_CLOSED;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(insert(n_flows, &victim), FLOW_NONE);
        ck_assert_uint_eq(victim, 20);
    }
    flow_table_release(&table, victim);
    ck_assert_uint_ne(insert(n_flows, &victim), FLOW_NONE);
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

/* ---- the sweep ---- */

START_TEST(the_sweep_sees_every_flow_in_each_round)
{
    uint32_t victim, seen[500] = {0};

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    uint32_t records = 10;
    ck_assert_uint_eq(flow_table_sweep(&table, &records), FLOW_NONE); /* empty: it ends all the same */
    for (uint32_t n = 0; n < 500; n++)
        flow_table_release(&table, insert(1000 + n, &victim)); /* shuffles the free list a little */
    for (uint32_t n = 0; n < 500; n++)
        insert(n, &victim);
    for (uint32_t round = 1; round <= 3; round++) {
        records = table.fresh;
        for (uint32_t index; (index = flow_table_sweep(&table, &records)) != FLOW_NONE;) {
            ck_assert(flow_is_live(flow_at(&table, index)));
            uint32_t n;
            memcpy(&n, &flow_at(&table, index)->key.addrs, sizeof(n));
            seen[n]++;
        }
        ck_assert_uint_eq(records, 0);
        for (uint32_t n = 0; n < 500; n++)
            ck_assert_uint_eq(seen[n], round);
    }
    flow_table_fini(&table);
}
END_TEST

/* A call looks at no more than it may, and goes on where it stopped. */
START_TEST(the_sweep_is_bounded)
{
    uint32_t victim, n = 0, calls = 0;

    ck_assert_int_eq(flow_table_init(&table, 1024), 0);
    for (uint32_t i = 0; i < 900; i++)
        insert(i, &victim);
    for (; n < 900; calls++) {
        uint32_t records = 16;
        while (flow_table_sweep(&table, &records) != FLOW_NONE)
            n++;
    }
    ck_assert_uint_eq(calls, (900 + 15) / 16);
    flow_table_fini(&table);
}
END_TEST

UNIT_MAIN("flow_table", a_small_table_grows, found_until_released, every_byte_of_the_key_counts,
          the_tunnels_window_is_no_part_of_the_key, signatures_match_with_and_without_vectors, hashes_are_seeded,
          full_buckets_name_the_idlest, a_full_table_names_who_can_be_missed, all_records_can_be_used,
          the_sweep_sees_every_flow_in_each_round, the_sweep_is_bounded)

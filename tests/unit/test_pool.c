/* SPDX-License-Identifier: BSD-3-Clause */

/* The pool of nodes: zeroed, never index 0, bounded, and every node can be had again. */

#include "dataplane/pool.h"

#include "tests/unit/unit.h"

START_TEST(bounded_and_zeroed)
{
    struct pool pool;
    uint32_t index[8];

    ck_assert_int_eq(pool_init(&pool, 8, sizeof(union node)), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 8; i++) {
            index[i] = pool_get(&pool);
            ck_assert_uint_ne(index[i], 0);
            for (unsigned k = 0; k < i; k++)
                ck_assert_uint_ne(index[i], index[k]);
            const union node *n = pool_at(&pool, index[i]);
            for (unsigned k = 0; k < sizeof(n->line); k++)
                ck_assert_uint_eq(n->line[k], 0);
            pool_at(&pool, index[i])->range.flags = 0xffff;
        }
        ck_assert_uint_eq(pool.in_use, 8);
        ck_assert_uint_eq(pool_get(&pool), 0);
        ck_assert_uint_eq(pool.exhausted, round + 1);
        for (unsigned i = 0; i < 8; i++)
            pool_put(&pool, index[i]);
        ck_assert_uint_eq(pool.in_use, 0);
    }
    pool_fini(&pool);
}
END_TEST

START_TEST(lists_go_back_whole)
{
    struct pool pool;
    uint32_t head = 0;

    ck_assert_int_eq(pool_init(&pool, 8, sizeof(union node)), 0);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t index = pool_get(&pool);
        pool_at(&pool, index)->next = head;
        head = index;
    }
    pool_put_list(&pool, &head);
    ck_assert_uint_eq(head, 0);
    ck_assert_uint_eq(pool.in_use, 0);
    pool_put_list(&pool, &head); /* an empty one, too */
    ck_assert_uint_eq(pool.in_use, 0);
    pool_fini(&pool);
}
END_TEST

UNIT_MAIN("pool", bounded_and_zeroed, lists_go_back_whole)

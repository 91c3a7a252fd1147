/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Large tables: aligned, zeroed, and backed with memory at once as far as was asked, which the kernel is asked in turn.
 */

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/memory.h"
#include "tests/unit/unit.h"

#define MAPPED (16u << 20)
#define ASKED  (4u << 20)
#define LARGE  (2u << 20)

/* How many bytes from `from` to `to` have memory behind them. */
static size_t backed(char *p, size_t from, size_t to)
{
    static unsigned char pages[MAPPED / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;

    ck_assert_int_eq(mincore(p + from, to - from, pages), 0);
    for (size_t i = 0; i < (to - from) / page; i++)
        n += (pages[i] & 1) * page;
    return n;
}

static char *map(size_t most_bytes)
{
    memory_back_at_once(most_bytes);
    char *p = memory_map(MAPPED);
    memory_back_at_once(0);

    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % LARGE, 0);
    return p;
}

START_TEST(backed_as_far_as_asked)
{
    char *p = map(ASKED);

    ck_assert_uint_eq(backed(p, 0, ASKED), ASKED);
    ck_assert_uint_eq(backed(p, ASKED, MAPPED), 0);
    for (size_t i = 0; i < MAPPED; i += 64)
        ck_assert_int_eq(p[i], 0);
    memory_unmap(p, MAPPED);
    p = map(SIZE_MAX);
    ck_assert_uint_eq(backed(p, 0, MAPPED), MAPPED);
    memory_unmap(p, MAPPED);
}
END_TEST

START_TEST(else_when_touched)
{
    char *p = map(0);

    ck_assert_uint_eq(backed(p, 0, MAPPED), 0);
    p[0] = 1;
    ck_assert_uint_gt(backed(p, 0, MAPPED), 0);
    ck_assert_uint_lt(backed(p, 0, MAPPED), MAPPED);
    memory_unmap(p, MAPPED);
}
END_TEST

UNIT_MAIN("memory", backed_as_far_as_asked, else_when_touched)

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The external sort: the order is the same in memory, over a few runs and over several passes; lines longer than a
 * buffer survive; memory stays bounded while the file grows; a full disk is an error that says what to do, and no
 * output.
 */

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>
#include "analytics/flowsort.h"
#include "common/bytes.h"
#include "tests/unit/unit.h"

struct check {
    uint64_t last_key, n, sum;
    char last_line[64];
};

/* Lines are "%016x %u": key in hexadecimal and a number. */
static int take(void *ctx, const char *line, size_t len)
{
    struct check *c = ctx;
    char text[64];
    unsigned long long key;
    unsigned number;

    ck_assert_uint_lt(len, sizeof(text));
    memcpy(text, line, len);
    text[len] = '\0';
    ck_assert_int_eq(sscanf(text, "%llx %u", &key, &number), 2);
    if (c->n > 0) {
        ck_assert_uint_ge(key, c->last_key);
        if (key == c->last_key)
            ck_assert_int_ge(strcmp(text, c->last_line), 0);
    }
    c->last_key = key;
    strcpy(c->last_line, text);
    c->sum += number;
    c->n++;
    return 0;
}

static void sort_numbers(size_t memory, unsigned n, uint64_t *ret_spilled)
{
    struct flowsort *f = flowsort_new(memory);
    struct check c = {0};
    struct error e = {""};
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++) {
        char line[64];
        uint64_t key = mix64(i % (n / 2 + 1)), be = __builtin_bswap64(key);
        int len = snprintf(line, sizeof(line), "%016llx %u", (unsigned long long)key, i);
        ck_assert_msg(flowsort_add(f, &be, 8, line, (size_t)len, &e) == 0, "%s", e.text);
        sum += i;
    }
    ck_assert_msg(flowsort_finish(f, take, &c, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(c.n, n);
    ck_assert_uint_eq(c.sum, sum);
    *ret_spilled = flowsort_spilled_bytes(f);
    flowsort_free(f);
}

START_TEST(sorted_in_memory_and_over_runs)
{
    uint64_t spilled;

    sort_numbers(1 << 20, 1, &spilled);
    ck_assert_uint_eq(spilled, 0);
    sort_numbers(1 << 24, 50000, &spilled);
    ck_assert_uint_eq(spilled, 0);
    sort_numbers(1 << 20, 50000, &spilled); /* some runs */
    ck_assert_uint_gt(spilled, 50000 * 30);
    ck_assert_uint_lt(spilled, 50000 * 60);
    sort_numbers(1, 120000, &spilled); /* more runs than are merged at once */
    ck_assert_uint_gt(spilled, 120000 * 60);
}
END_TEST

static int count_long(void *ctx, const char *line, size_t len)
{
    uint64_t *n = ctx;

    ck_assert_uint_eq(len, 20000 + *n);
    ck_assert_int_eq(line[0], (char)('a' + *n % 26));
    ck_assert_int_eq(line[len - 1], (char)('a' + *n % 26));
    (*n)++;
    return 0;
}

START_TEST(long_lines)
{
    struct flowsort *f = flowsort_new(0);
    static char line[21000];
    uint64_t n = 0;

    for (int i = 299; i >= 0; i--) {
        memset(line, 'a' + i % 26, sizeof(line));
        uint8_t key[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        ck_assert_int_eq(flowsort_add(f, key, 2, line, (size_t)(20000 + i), NULL), 0);
    }
    ck_assert_int_eq(flowsort_finish(f, count_long, &n, NULL), 0);
    ck_assert_uint_eq(n, 300);
    flowsort_free(f);
}
END_TEST

static long resident_kb(void)
{
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    fclose(f);
    return kb;
}

static int nothing(void *ctx, const char *line, size_t len)
{
    (void)line;
    (void)len;
    ++*(uint64_t *)ctx;
    return 0;
}

START_TEST(memory_does_not_grow_with_the_lines)
{
    struct flowsort *f = flowsort_new(4 << 20);
    char line[400];
    uint64_t n = 0;
    long before = resident_kb();

    memset(line, 'x', sizeof(line));
    for (uint64_t i = 0; i < 80000; i++) { /* 32 MB */
        uint64_t key = mix64(i);
        ck_assert_int_eq(flowsort_add(f, &key, 8, line, sizeof(line), NULL), 0);
    }
    ck_assert_int_eq(flowsort_finish(f, nothing, &n, NULL), 0);
    ck_assert_uint_eq(n, 80000);
    long grown = resident_kb() - before;
    flowsort_free(f);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_int_lt(grown, 16 << 10);
#else
    (void)grown; /* a sanitizer's allocator keeps what was freed */
#endif
}
END_TEST

START_TEST(a_full_disk_is_said_and_gives_no_output)
{
    struct flowsort *f = flowsort_new(0);
    struct rlimit limit = {1 << 20, 1 << 20};
    struct error e = {""}, again = {""};
    char line[1000];
    uint64_t n = 0;
    int result = 0;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* as good as a disk of 1 MiB */
    memset(line, 'x', sizeof(line));
    for (uint64_t i = 0; i < 5000 && result == 0; i++)
        result = flowsort_add(f, &i, 8, line, sizeof(line), &e);
    ck_assert_int_eq(result, -EFBIG);
    ck_assert_ptr_nonnull(strstr(e.text, "cannot write in"));
    ck_assert_int_eq(flowsort_finish(f, nothing, &n, &again), -EFBIG);
    ck_assert_str_eq(again.text, e.text);
    ck_assert_uint_eq(n, 0);
    flowsort_free(f);
}
END_TEST

START_TEST(a_bad_tmpdir_is_named)
{
    struct flowsort *f = flowsort_new(0);
    struct error e = {""};
    char line[1000] = "x";
    int result = 0;

    setenv("TMPDIR", "/nonexistent", 1);
    for (uint64_t i = 0; i < 5000 && result == 0; i++)
        result = flowsort_add(f, &i, 8, line, sizeof(line), &e);
    ck_assert_int_eq(result, -ENOENT);
    ck_assert_ptr_nonnull(strstr(e.text, "/nonexistent"));
    flowsort_free(f);
}
END_TEST

UNIT_MAIN("flowsort", sorted_in_memory_and_over_runs, long_lines, memory_does_not_grow_with_the_lines,
          a_full_disk_is_said_and_gives_no_output, a_bad_tmpdir_is_named)

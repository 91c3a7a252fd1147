/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The spool on disk: items come back as they were written, in their order, after a death in the middle of a write, too;
 * what does not fit is dropped oldest first and counted to the unit, on a full disk as well; damage is counted and
 * skipped; one process has a directory.
 */

#include "analytics/segments.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include "tests/unit/messages.h"
#include "tests/unit/private_redis.h"

static char dir[64];
static uint64_t n_dropped, dropped_until;

static void set_up(void)
{
    make_temporary_dir(dir);
    n_dropped = dropped_until = 0;
}

static void tear_down(void)
{
    remove_dir(dir);
}

static void on_drop(void *ctx, const struct item *x)
{
    (void)ctx;
    n_dropped++;
    if (x != NULL && x->kind == ITEM_CLOSED)
        dropped_until = x->closed.start_ns + 1;
}

static struct segments *open_spool(uint64_t limit, uint64_t segment)
{
    const struct segments_options o = {.dir = dir, .sensor = "s", .limit_bytes = limit, .segment_bytes = segment};
    struct segments *s = NULL;
    struct error e = {""};

    ck_assert_msg(segments_open(&o, &s, &e) == 0, "%s", e.text);
    segments_on_drop(s, on_drop, NULL);
    return s;
}

static struct item *closed_item(uint64_t i)
{
    struct item *x = item_new(ITEM_CLOSED, SCHEMA_BASE, i, "");

    x->closed = (struct schema_closed){.start_ns = i, .length_ns = 10, .parts = 1, .parts_expected = 1};
    return x;
}

/* Items [from, to), each a marker. */
static int append(struct segments *s, uint64_t from, uint64_t to, struct error *e)
{
    struct item *first = NULL, **end = &first;

    for (uint64_t i = from; i < to; i++) {
        *end = closed_item(i);
        end = &(*end)->next;
    }
    int result = segments_append(s, &first, e);
    while (first != NULL) {
        struct item *next = first->next;
        item_free(first);
        first = next;
    }
    return result;
}

/* Reads all there is; the markers must count on from `from`. Returns how many there were. */
static uint64_t read_all(struct segments *s, uint64_t from)
{
    uint64_t n = 0;

    while (segments_items(s) != 0) {
        struct item *x = segments_read(s, 100);
        while (x != NULL) {
            struct item *next = x->next;
            ck_assert_uint_eq(x->closed.start_ns, from + n);
            n++;
            item_free(x);
            x = next;
        }
        segments_done(s);
    }
    return n;
}

static struct item *round_trip(struct item *x)
{
    static uint8_t bytes[ITEM_BYTES_MAX];
    size_t n = item_write(x, bytes, sizeof(bytes));

    ck_assert_uint_gt(n, 0);
    for (size_t cut = 0; cut < n; cut++)
        ck_assert_ptr_null(item_read(bytes, cut));
    struct item *got = item_read(bytes, n);
    ck_assert_ptr_nonnull(got);
    ck_assert(got->kind == x->kind && got->tier == x->tier && got->scope == x->scope && got->time_ns == x->time_ns &&
              got->id.ms == x->id.ms && got->id.seq == x->id.seq);
    ck_assert_str_eq(got->name, x->name);
    item_free(x);
    return got;
}

START_TEST(items_come_back)
{
    struct window w = {.scope = WINDOW_VLAN, .c.new_flows = 7, .q[0] = {1, 5, 5, 5, 5, 5, 5}}, got = {0};
    struct item *x = item_new(ITEM_WINDOW, SCHEMA_15MIN, 900, "100.20");
    x->scope = WINDOW_VLAN;
    x->parts = 80;
    x->parts_expected = 90;
    schema_pack(&w, &x->packed);
    x = round_trip(x);
    ck_assert(x->parts == 80 && x->parts_expected == 90 && schema_unpack(&x->packed, &got));
    ck_assert(got.c.new_flows == 7 && got.q[0].n == 1);
    item_free(x);
    x = item_new(ITEM_EVENT, SCHEMA_BASE, 5, "");
    x->id = (struct schema_id){4, 3};
    x->event = calloc(1, sizeof(*x->event));
    *x->event = (struct schema_event){.ts_ns = 5,
                                      .kind = EVENT_MIRROR_SILENT,
                                      .severity = EVENT_major,
                                      .kind_name = "mirror.silent",
                                      .mirror = "m",
                                      .subject = "s\x1b",
                                      .detail = "{}"};
    struct schema_event want = *x->event;
    x = round_trip(x);
    ck_assert_mem_eq(x->event, &want, sizeof(want));
    item_free(x);
    x = item_new(ITEM_TOP, SCHEMA_1H, 3600, "");
    x->list.flow = calloc(2, sizeof(*x->list.flow));
    x->list.n = 2;
    x->list.flow[0] = (struct schema_flow){9, strdup("{\"a\":1}")};
    x->list.flow[1] = (struct schema_flow){8, strdup("{}")};
    x = round_trip(x);
    ck_assert(x->list.n == 2 && x->list.flow[0].score == 9);
    ck_assert_str_eq(x->list.flow[0].json, "{\"a\":1}");
    item_free(x);
    item_free(round_trip(item_new(ITEM_OBJECT, SCHEMA_BASE, 1, "a~b")));
    item_free(round_trip(item_new(ITEM_PRUNE, SCHEMA_BASE, 1, "")));
    item_free(round_trip(closed_item(77)));
}
END_TEST

START_TEST(what_was_written_outlives_the_process)
{
    struct segments *s = open_spool(1 << 20, 4096), *second = NULL;
    struct segment_head head;
    struct error e = {""};

    segments_set_run(s, 42);
    ck_assert_int_eq(append(s, 0, 1000, &e), 0);
    ck_assert_uint_eq(segments_items(s), 1000);
    const struct segments_options o = {.dir = dir, .sensor = "s", .limit_bytes = 1};
    ck_assert_int_eq(segments_open(&o, &second, &e), -EBUSY);
    ck_assert_ptr_nonnull(strstr(e.text, "another probe uses the spool's directory"));
    segments_close(s);

    s = open_spool(1 << 20, 4096);
    ck_assert_uint_eq(segments_items(s), 1000);
    ck_assert(segments_head(s, &head) && head.run_ns == 42 && !head.ids_fixed && segments_is_fresh(s));
    ck_assert_int_eq(segments_fix_ids(s, (struct schema_id){1, 2}, (struct schema_id){3, 4}, &e), 0);
    struct item *x = segments_read(s, 10); /* ten are read and acknowledged, five more only read */
    for (int i = 0; i < 10; i++) {
        struct item *next = x->next;
        item_free(x);
        x = next;
    }
    segments_done(s);
    x = segments_read(s, 5);
    while (x != NULL) {
        struct item *next = x->next;
        item_free(x);
        x = next;
    }
    segments_rewind(s);
    ck_assert_uint_eq(segments_items(s), 990);
    segments_close(s);

    s = open_spool(1 << 20, 4096);
    ck_assert(segments_head(s, &head) && head.ids_fixed && head.closed.seq == 2 && head.event.ms == 3);
    ck_assert_int_eq(append(s, 1000, 1100, &e), 0);
    ck_assert_uint_eq(read_all(s, 10), 1090);
    ck_assert_uint_eq(n_dropped, 0);
    ck_assert_uint_eq(segments_bytes(s), 0);
    ck_assert(!segments_head(s, &head));
    segments_close(s);
}
END_TEST

START_TEST(the_oldest_are_dropped_and_counted)
{
    struct segments *s = open_spool(20000, 4096);
    struct error e = {""};

    for (uint64_t i = 0; i < 5000; i += 50) {
        ck_assert_int_eq(append(s, i, i + 50, &e), 0);
        ck_assert_uint_le(segments_bytes(s), 20000 + 4096);
    }
    ck_assert_uint_gt(n_dropped, 3000);
    ck_assert_uint_eq(n_dropped + segments_items(s), 5000);
    ck_assert_uint_eq(dropped_until, n_dropped);
    ck_assert_uint_eq(read_all(s, n_dropped), 5000 - n_dropped);
    segments_close(s);
}
END_TEST

START_TEST(a_full_disk_costs_the_oldest)
{
    struct rlimit limit = {.rlim_cur = 9000, .rlim_max = 9000};
    struct segments *s = open_spool(1 << 20, 1 << 20); /* one file, and that may not grow over 9000 bytes */
    struct error e = {""};
    uint64_t given = 0;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (; given < 2000; given += 40)
        ck_assert_msg(append(s, given, given + 40, &e) == 0, "%s", e.text);
    ck_assert_uint_gt(n_dropped, 1500);
    ck_assert_uint_eq(n_dropped + segments_items(s), given);
    ck_assert_uint_eq(read_all(s, n_dropped), given - n_dropped);
    /* and with no room at all the items stay with the caller */
    limit.rlim_cur = 10;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint64_t before = n_dropped;
    ck_assert_int_eq(append(s, 0, 40, &e), -EFBIG);
    ck_assert_ptr_nonnull(strstr(e.text, "cannot write the spool in"));
    ck_assert_uint_eq(n_dropped, before);
    ck_assert_uint_eq(segments_items(s), 0);
    segments_close(s);
}
END_TEST

static void damage(const char *name, long at, int bytes_cut)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "r+");
    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    if (bytes_cut != 0)
        ck_assert_int_eq(ftruncate(fileno(f), size - bytes_cut), 0);
    if (at > 0) {
        fseek(f, at, SEEK_SET);
        int c = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(c ^ 0x10, f);
    }
    fclose(f);
}

START_TEST(damage_is_counted_and_skipped)
{
    struct segments *s = open_spool(1 << 20, 1 << 20);
    struct error e = {""};
    uint64_t n = 0;

    ck_assert_int_eq(append(s, 0, 100, &e), 0);
    segments_close(s);
    damage("0000000000000000.seg", 160 + 30, 3); /* within the first record; the last is torn */
    s = open_spool(1 << 20, 1 << 20);
    ck_assert_uint_eq(segments_items(s), 99);
    for (int again = 0; again < 2; again++) {
        struct item *x = segments_read(s, 1000);
        n = 0;
        while (x != NULL) {
            struct item *next = x->next;
            ck_assert_uint_eq(x->closed.start_ns, 1 + n++);
            item_free(x);
            x = next;
        }
        if (again == 0)
            segments_rewind(s);
    }
    segments_done(s);
    ck_assert_uint_eq(n, 98);
    ck_assert_uint_eq(n_dropped, 1); /* once, however often it is read */
    ck_assert_uint_eq(segments_items(s), 0);
    segments_close(s);

    /* another sensor's segments, and what is none, are left alone */
    struct segments *other = NULL;
    const struct segments_options o = {.dir = dir, .sensor = "other", .limit_bytes = 1 << 20};
    ck_assert_int_eq(segments_open(&o, &other, &e), 0);
    ck_assert_int_eq(append(other, 0, 10, &e), 0);
    segments_close(other);
    s = open_spool(1 << 20, 1 << 20);
    ck_assert_uint_eq(segments_items(s), 0);
    ck_assert_int_eq(append(s, 5, 6, &e), 0);
    ck_assert_uint_eq(read_all(s, 5), 1);
    segments_close(s);
    ck_assert_int_eq(segments_open(&o, &other, &e), 0);
    ck_assert_uint_eq(segments_items(other), 10);
    segments_close(other);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {items_come_back, what_was_written_outlives_the_process,
                                  the_oldest_are_dropped_and_counted, a_full_disk_costs_the_oldest,
                                  damage_is_counted_and_skipped};
    Suite *suite = suite_create("segments");
    TCase *tcase = tcase_create("segments");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Analytics with a real store: everything arrives; a server killed half-way and started again gets all of it, nothing
 * twice; a server that stays away costs counted items, oldest first, and never blocks; a full server is an outage, not
 * a loss. Run under ThreadSanitizer, too.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "analytics/publish.h"
#include "store/schema.h"
#include "tests/unit/messages.h"
#include "tests/unit/private_redis.h"

static const char *const mirrors[] = {"m0"};
static char dir[64];
static struct store_private *server;
static char url[160];
static struct site_table *sites;
static struct service_table *services;
static struct spsc *ring;
static struct analytics_options options;

static struct store_private *start_kept(void)
{
    struct store_private *p = NULL;
    struct error e = {""};

    ck_assert_msg(store_private_start(dir, false, &p, &e) == 0, "%s", e.text);
    return p;
}

static void set_up(void)
{
    make_temporary_dir(dir);
    server = start_kept();
    snprintf(url, sizeof(url), "%s", store_private_url(server)); /* stays the same over restarts */
    sites = site_table_new();
    site_table_finish(sites);
    services = service_table_new();
    ring = spsc_new(1 << 20);
    options = (struct analytics_options){.rings = &ring,
                                         .n_rings = 1,
                                         .sites = sites,
                                         .services = services,
                                         .mirror_names = mirrors,
                                         .n_mirrors = 1,
                                         .sensor = "s",
                                         .version = "0.1",
                                         .window_ns = 10 * SECOND,
                                         .live = true,
                                         .store_url = url};
}

static void tear_down(void)
{
    spsc_free(ring);
    site_table_free(sites);
    service_table_free(services);
    store_private_stop(server);
    remove_dir(dir);
}

/* Window number i: three paths, one flow, an event now and then. */
static void give_window(uint64_t i)
{
    uint64_t start_ns = T0 + i * 10 * SECOND, rtt_ns[] = {1000000};
    static const char *const other[] = {"10.0.1.0", "10.0.2.0", "10.0.3.0"};
    struct rec_flow f = tcp_flow("10.0.1.5", "10.0.0.7", (uint16_t)(1000 + i), start_ns);

    f.tcp[0].lost_upstream_pkts = (uint32_t)i + 1;
    put_message(ring, &f);
    for (int p = 0; p < 3; p++) {
        struct window_message m = part(path_key("10.0.0.0", other[p]), start_ns, i + 1, rtt_ns, 1);
        put_message(ring, &m);
    }
    struct window_message m = part(mirror_key(0), start_ns, i + 1, rtt_ns, 1);
    put_message(ring, &m);
    if (i % 10 == 0) {
        struct rec_event ev = {.hdr = {.len_bytes = sizeof(ev), .type = REC_EVENT},
                               .ts_ns = start_ns,
                               .kind = EVENT_MIRROR_SILENT,
                               .severity = EVENT_major,
                               .subject = "x"};
        put_message(ring, &ev);
    }
    struct rec_window_end e = window_end(start_ns, (i + 1) * 10);
    put_message(ring, &e);
}

/* All of n windows are there, once. */
static void assert_stored(uint64_t n)
{
    struct store *s = connect_redis(url);
    struct schema_sensor sensor;
    struct schema_skipped skipped = {0};
    struct schema_closed *closed = NULL;
    struct schema_event *events = NULL;
    struct window *w = NULL;
    struct error e = {""};
    size_t got = 0;

    ck_assert_msg(schema_sensor_get(s, "s", &sensor, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(sensor.windows_closed, n);
    ck_assert_uint_eq(sensor.spool_dropped, 0);
    ck_assert(sensor.stopped);
    ck_assert_int_eq(schema_window_read(s, &sensor, WINDOW_PATH, "10.0.0.0/24~10.0.2.0/24", SCHEMA_BASE, 0, UINT64_MAX,
                                        &w, &got, &skipped, &e),
                     0);
    ck_assert_uint_eq(got, n);
    for (size_t i = 0; i < got; i++) {
        ck_assert_uint_eq(w[i].start_ns, T0 + i * 10 * SECOND);
        ck_assert_uint_eq(w[i].c.dir[0].pkts, i + 1);
        ck_assert_uint_eq(w[i].q[0].n, 1);
    }
    free(w);
    ck_assert_int_eq(schema_window_read(s, &sensor, WINDOW_PATH, "10.0.0.0/24~10.0.2.0/24", SCHEMA_1MIN, 0, UINT64_MAX,
                                        &w, &got, &skipped, &e),
                     0);
    uint64_t pkts = 0;
    for (size_t i = 0; i < got; i++)
        pkts += w[i].c.dir[0].pkts;
    ck_assert_uint_eq(pkts, n * (n + 1) / 2); /* a doubled window would show */
    free(w);
    ck_assert_int_eq(schema_closed_read(s, "s", "", 100000, 0, &closed, &got, &skipped, &e), 0);
    uint64_t base = 0;
    for (size_t i = 0; i < got; i++) {
        if (closed[i].tier == SCHEMA_BASE)
            ck_assert_uint_eq(closed[i].start_ns, T0 + base++ * 10 * SECOND);
        ck_assert(!closed[i].degraded);
    }
    ck_assert_uint_eq(base, n);
    free(closed);
    ck_assert_int_eq(schema_event_read(s, "s", "", 100000, 0, &events, &got, &skipped, &e), 0);
    ck_assert_uint_eq(got, (n + 9) / 10);
    free(events);
    struct schema_flow *flows = NULL;
    ck_assert_int_eq(schema_top_read(s, "s", SCHEMA_TOP_LOSS, 0, UINT64_MAX, 5, &flows, &got, &skipped, &e), 0);
    ck_assert_uint_eq(got, n < 5 ? n : 5);
    ck_assert_uint_eq(flows[0].score, n);
    schema_flows_free(flows, got);
    struct ledger l;
    ck_assert_int_eq(schema_ledger_get(s, "s", "m0", &l, &e), 0);
    ck_assert_uint_eq(l.offered, n * 10);
    ck_assert_uint_eq(l.offered, l.processed + ledger_drop_sum(&l));
    char *verdict = NULL;
    ck_assert_int_eq(schema_verdict_get(s, "s", "m0", &verdict, &e), 0);
    free(verdict);
    ck_assert_uint_eq(skipped.corrupt + skipped.foreign + skipped.unknown_version, 0);
    store_close(s);
}

START_TEST(all_arrives)
{
    struct analytics *a = NULL;
    struct analytics_result r;

    options.live = false;
    ck_assert_int_eq(analytics_start(&options, &a, NULL), 0);
    for (uint64_t i = 0; i < 130; i++)
        give_window(i);
    put_eof(ring);
    analytics_join(a, &r);
    ck_assert_msg(r.status == 0, "%s", r.error.text);
    ck_assert(r.stored);
    ck_assert_uint_eq(r.reconnects, 0);
    assert_stored(130);
}
END_TEST

static void wait_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void kill_server(void)
{
    struct store *s = connect_redis(url);
    pid_t pid = redis_pid(s);

    wait_ms(1200); /* what is older than the AOF's second is on disk */
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    store_private_stop(server);
    store_close(s);
}

START_TEST(a_killed_server_gets_all_of_it_once)
{
    struct analytics *a = NULL;
    struct analytics_result r;

    ck_assert_int_eq(analytics_start(&options, &a, NULL), 0);
    for (uint64_t i = 0; i < 40; i++)
        give_window(i);
    kill_server();
    for (uint64_t i = 40; i < 80; i++)
        give_window(i);
    wait_ms(300);
    server = start_kept();
    for (uint64_t i = 80; i < 100; i++)
        give_window(i);
    put_eof(ring);
    analytics_join(a, &r);
    ck_assert_msg(r.status == 0, "%s", r.error.text);
    ck_assert(r.stored);
    ck_assert_uint_ge(r.reconnects, 1);
    ck_assert_uint_eq(r.spool_dropped, 0);
    assert_stored(100);
}
END_TEST

START_TEST(a_store_that_stays_away_costs_counted_items)
{
    struct analytics *a = NULL;
    struct analytics_result r;
    struct timespec from, to;

    kill_server();
    server = NULL;
    options.spool_bytes = 100000;
    ck_assert_int_eq(analytics_start(&options, &a, NULL), 0); /* live: it may come */
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (uint64_t i = 0; i < 300; i++)
        give_window(i);
    put_eof(ring);
    analytics_join(a, &r);
    clock_gettime(CLOCK_MONOTONIC, &to);
    ck_assert_int_lt(to.tv_sec - from.tv_sec, 15);
    ck_assert_int_eq(r.status, -EIO);
    ck_assert_ptr_nonnull(strstr(r.error.text, "no Redis at unix:"));
    ck_assert(!r.stored);
    ck_assert_uint_eq(r.flows, 300); /* the rings were drained all the same */
    ck_assert_uint_eq(r.windows_closed, 300);
    ck_assert_uint_gt(r.spool_dropped, 300 * 4);
}
END_TEST

START_TEST(oldest_go_first_and_their_markers_say_so)
{
    struct publisher *p = NULL;
    struct window w = {.scope = WINDOW_PATH, .name = "a~b", .length_ns = 10 * SECOND};

    options.spool_bytes = 40000;
    ck_assert_int_eq(publisher_new(&options, &p, NULL), 0);
    for (uint64_t i = 0; i < 200; i++) {
        w.start_ns = T0 + i * 10 * SECOND;
        w.c.dir[0].pkts = i + 1;
        publisher_put_window(p, SCHEMA_BASE, &w, 1, 1);
        publisher_set_data_time(p, w.start_ns + w.length_ns);
        publisher_put_closed(p, &(struct schema_closed){.tier = SCHEMA_BASE,
                                                        .parts = 1,
                                                        .parts_expected = 1,
                                                        .start_ns = w.start_ns,
                                                        .length_ns = w.length_ns});
        ck_assert_double_le(publisher_fill(p), 1.0);
    }
    uint64_t dropped = publisher_dropped(p);
    ck_assert_uint_gt(dropped, 100);
    publisher_finish(p, 1000);
    ck_assert_uint_eq(publisher_dropped(p), dropped);
    publisher_free(p);

    struct store *s = connect_redis(url);
    struct schema_sensor sensor;
    struct window *got = NULL;
    struct schema_closed *closed = NULL;
    struct error e = {""};
    size_t n = 0, n_closed = 0;
    ck_assert_int_eq(schema_sensor_get(s, "s", &sensor, &e), 0);
    ck_assert_uint_eq(sensor.spool_dropped, dropped);
    ck_assert_int_eq(schema_window_read(s, &sensor, WINDOW_PATH, "a~b", SCHEMA_BASE, 0, UINT64_MAX, &got, &n, NULL, &e),
                     0);
    ck_assert_int_eq(schema_closed_read(s, "s", "", 1000, 0, &closed, &n_closed, NULL, &e), 0);
    ck_assert_uint_eq(n + n_closed, 400 - dropped);
    ck_assert_uint_eq(got[n - 1].c.dir[0].pkts, 200);
    for (size_t i = 0; i < n_closed; i++) {
        bool has_window = closed[i].start_ns >= got[0].start_ns;
        ck_assert_int_eq(closed[i].degraded, !has_window);
        ck_assert_uint_eq(closed[i].parts, has_window ? 1 : 0);
    }
    free(got);
    free(closed);
    store_close(s);
}
END_TEST

START_TEST(a_full_server_is_an_outage)
{
    struct analytics *a = NULL;
    struct analytics_result r;
    struct store *s = connect_redis(url);

    store_reply_free(store_command(s, "CONFIG SET maxmemory 1"));
    ck_assert_int_eq(analytics_start(&options, &a, NULL), 0);
    for (uint64_t i = 0; i < 20; i++)
        give_window(i);
    wait_ms(500);
    store_reply_free(store_command(s, "CONFIG SET maxmemory 0"));
    put_eof(ring);
    analytics_join(a, &r);
    ck_assert_msg(r.status == 0, "%s", r.error.text);
    ck_assert_uint_eq(r.spool_dropped, 0);
    store_close(s);
    assert_stored(20);
}
END_TEST

/* How often each of n markers and events is stored. */
static void count_entries(struct store *s, uint64_t n, unsigned *of_marker, unsigned *of_event)
{
    struct schema_closed *closed = NULL;
    struct schema_event *events = NULL;
    struct error e = {""};
    size_t n_closed = 0, n_events = 0;

    memset(of_marker, 0, n * sizeof(*of_marker));
    memset(of_event, 0, n * sizeof(*of_event));
    ck_assert_int_eq(schema_closed_read(s, "s", "", 100000, 0, &closed, &n_closed, NULL, &e), 0);
    ck_assert_int_eq(schema_event_read(s, "s", "", 100000, 0, &events, &n_events, NULL, &e), 0);
    for (size_t i = 0; i < n_closed; i++)
        of_marker[(closed[i].start_ns - T0) / (10 * SECOND)]++;
    for (size_t i = 0; i < n_events; i++)
        of_event[(events[i].ts_ns - T0) / (10 * SECOND)]++;
    free(closed);
    free(events);
}

static void put_marker_and_event(struct publisher *p, uint64_t i)
{
    uint64_t start_ns = T0 + i * 10 * SECOND;
    struct schema_event ev = {.ts_ns = start_ns, .kind_name = "mirror.silent", .severity = EVENT_info, .detail = "{}"};

    publisher_set_data_time(p, start_ns + 10 * SECOND);
    publisher_put_event(p, &ev);
    publisher_put_closed(
        p, &(struct schema_closed){
               .tier = SCHEMA_BASE, .parts = 1, .parts_expected = 1, .start_ns = start_ns, .length_ns = 10 * SECOND});
}

static struct publisher *connected(void)
{
    struct publisher *p = NULL;
    struct error e = {""};

    ck_assert_msg(publisher_new(&options, &p, &e) == 0, "%s", e.text);
    ck_assert_msg(publisher_connect(p, &e) == 0, "%s", e.text);
    publisher_step(p);
    return p;
}

/* The last entries of a batch are taken, those before them were refused: "smaller than the last" is no proof that an
 * entry is there. */
START_TEST(an_entry_refused_before_a_later_one_is_not_lost)
{
    struct store *s = connect_redis(url);
    struct publisher *p = connected();
    struct schema_closed last = {.tier = SCHEMA_BASE, .parts = 1, .parts_expected = 1, .length_ns = 10 * SECOND};
    struct schema_event ev = {
        .ts_ns = T0 + 20 * SECOND, .kind_name = "mirror.silent", .severity = EVENT_info, .detail = "{}"};
    struct schema_outcome o;
    struct schema_id none = {0, 0};
    unsigned of_marker[4], of_event[4];

    store_reply_free(store_command(s, "CONFIG SET maxmemory 1"));
    for (uint64_t i = 0; i < 3; i++)
        put_marker_and_event(p, i);
    ck_assert_uint_eq(publisher_step(p), 0); /* all refused */
    ck_assert(publisher_is_away(p));
    store_reply_free(store_command(s, "CONFIG SET maxmemory 0"));
    last.start_ns = T0 + 20 * SECOND; /* what the server would have taken, had it got room a moment earlier */
    schema_id_format(last.id, schema_id_next(&none, T0 + 30 * SECOND));
    none = (struct schema_id){0, 0};
    schema_id_format(ev.id, schema_id_next(&none, ev.ts_ns));
    ck_assert_int_eq(schema_put_closed(s, "s", &last), 0);
    ck_assert_int_eq(schema_put_event(s, "s", &ev), 0);
    ck_assert_int_eq(schema_flush(s, &o), 0);
    ck_assert_uint_eq(o.applied, store_pending(s) + 4); /* each with its expiry */
    publisher_finish(p, 5000);
    ck_assert_uint_eq(publisher_dropped(p), 0);
    publisher_free(p);
    count_entries(s, 4, of_marker, of_event);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(of_marker[i], 1);
        ck_assert_uint_eq(of_event[i], 1);
    }
    struct schema_sensor sensor;
    ck_assert_int_eq(schema_sensor_get(s, "s", &sensor, NULL), 0);
    ck_assert_uint_eq(sensor.latest_start_ns[SCHEMA_BASE], T0 + 20 * SECOND);
    store_close(s);
}
END_TEST

static void copy_dir(const char *from, const char *to)
{
    char line[400];

    snprintf(line, sizeof(line), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
    ck_assert_int_eq(system(line), 0);
}

/*
 * Entries on disk, refused while later ones were taken, sent again under new ids, and the process dies before they are
 * crossed off. The next finds them by what they say, and what the first had not come to, too.
 */
START_TEST(who_dies_after_mending_does_not_double)
{
    enum { N = 40, REFUSED = 3 };
    static unsigned of_marker[N], of_event[N];
    struct store *s = connect_redis(url);
    char spool[100], kept[100];
    struct schema_id none = {0, 0};
    struct schema_closed last = {.tier = SCHEMA_BASE, .parts = 1, .parts_expected = 1, .length_ns = 10 * SECOND};
    struct schema_outcome o;

    snprintf(spool, sizeof(spool), "%s/spool", dir);
    snprintf(kept, sizeof(kept), "%s/kept", dir);
    options.spool_dir = spool;
    options.spool_disk_bytes = 1 << 20;
    struct publisher *p = connected();
    store_reply_free(store_command(s, "CONFIG SET maxmemory 1"));
    for (uint64_t i = 0; i < N; i++)
        put_marker_and_event(p, i);
    publisher_begin(p, T0); /* what was put before goes to disk */
    ck_assert_uint_eq(publisher_waiting(p), 2 * N);
    ck_assert_uint_eq(publisher_step(p), 0); /* all refused; their ids are fixed */
    store_reply_free(store_command(s, "CONFIG SET maxmemory 0"));
    last.start_ns = T0 + REFUSED * 10 * SECOND;
    schema_id_format(last.id, schema_id_next(&none, T0 + (REFUSED + 1) * 10 * SECOND));
    ck_assert_int_eq(schema_put_closed(s, "s", &last), 0);
    ck_assert_int_eq(schema_flush(s, &o), 0);
    while (publisher_is_away(p))
        publisher_step(p); /* connects, sends: the first markers are nowhere */
    copy_dir(spool, kept);
    publisher_finish(p, 5000); /* they get new ids */
    publisher_free(p);
    count_entries(s, N, of_marker, of_event);
    for (unsigned i = 0; i < N; i++)
        ck_assert_msg(of_marker[i] == 1 && of_event[i] == 1, "%u: %u markers, %u events", i, of_marker[i], of_event[i]);
    copy_dir(kept, spool);
    ck_assert_int_eq(publisher_new(&options, &p, NULL), 0);
    ck_assert_uint_eq(publisher_waiting(p), 2 * N);
    ck_assert_int_eq(publisher_connect(p, NULL), 0);
    publisher_finish(p, 5000);
    ck_assert_uint_eq(publisher_waiting(p) + publisher_dropped(p), 0);
    publisher_free(p);
    count_entries(s, N, of_marker, of_event);
    for (unsigned i = 0; i < N; i++)
        ck_assert_msg(of_marker[i] == 1 && of_event[i] == 1, "%u: %u markers, %u events", i, of_marker[i], of_event[i]);
    store_close(s);
}
END_TEST

struct toggler {
    atomic_bool stop;
    unsigned times;
};

/* A server that is full every other millisecond. */
static void *toggle(void *ctx)
{
    struct toggler *t = ctx;
    struct store *s = connect_redis(url);

    for (; !atomic_load(&t->stop); t->times++) {
        store_reply_free(store_command(s, "CONFIG SET maxmemory %d", t->times % 2 == 0 ? 1 : 0));
        nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
    }
    store_reply_free(store_command(s, "CONFIG SET maxmemory 0"));
    store_close(s);
    return NULL;
}

/* Entries are put while the server takes some batches, parts of some, and none of others; disk: they wait there. */
static void put_to_toggled(bool disk)
{
    enum { N = 3000 };
    static unsigned of_marker[N], of_event[N];
    struct store *s = connect_redis(url);
    char spool[100];
    struct toggler t = {.times = 0};
    pthread_t thread;

    snprintf(spool, sizeof(spool), "%s/spool", dir);
    options.spool_dir = disk ? spool : NULL;
    options.spool_disk_bytes = disk ? 64 << 20 : 0;
    struct publisher *p = connected();
    ck_assert_int_eq(pthread_create(&thread, NULL, toggle, &t), 0);
    for (uint64_t i = 0; i < N; i++) {
        put_marker_and_event(p, i);
        if (i % 30 == 29) {
            publisher_step(p);
            wait_ms(10);
        }
    }
    for (int i = 0; i < 500; i++) {
        publisher_step(p);
        wait_ms(1);
    }
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    publisher_finish(p, 12000);
    ck_assert_uint_eq(publisher_dropped(p) + publisher_refused(p) + publisher_waiting(p), 0);
    publisher_free(p);
    count_entries(s, N, of_marker, of_event);
    for (unsigned i = 0; i < N; i++)
        ck_assert_msg(of_marker[i] == 1 && of_event[i] == 1, "%u: %u markers, %u events", i, of_marker[i], of_event[i]);
    store_close(s);
}

START_TEST(a_server_that_is_full_now_and_then_gets_all_of_it_once)
{
    put_to_toggled(false);
}
END_TEST

START_TEST(so_it_does_from_a_spool_on_disk)
{
    put_to_toggled(true);
}
END_TEST

START_TEST(a_refusal_for_good_is_told)
{
    struct analytics *a = NULL;
    struct analytics_result r;
    struct store *s = connect_redis(url);

    store_reply_free(store_command(s, "SET %s 1", "sw1:{s}:closed"));
    ck_assert_int_eq(analytics_start(&options, &a, NULL), 0);
    for (uint64_t i = 0; i < 3; i++)
        give_window(i);
    put_eof(ring);
    analytics_join(a, &r);
    ck_assert_int_eq(r.status, -EIO);
    ck_assert_msg(strstr(r.error.text, "WRONGTYPE") != NULL, "%s", r.error.text);
    ck_assert(!r.stored);
    store_close(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {all_arrives,
                                  a_killed_server_gets_all_of_it_once,
                                  a_store_that_stays_away_costs_counted_items,
                                  oldest_go_first_and_their_markers_say_so,
                                  a_full_server_is_an_outage,
                                  an_entry_refused_before_a_later_one_is_not_lost,
                                  who_dies_after_mending_does_not_double,
                                  a_server_that_is_full_now_and_then_gets_all_of_it_once,
                                  so_it_does_from_a_spool_on_disk,
                                  a_refusal_for_good_is_told};
    need_redis();
    Suite *suite = suite_create("publish");
    TCase *tcase = tcase_create("publish");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

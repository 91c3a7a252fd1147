/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One sensor, several runs: whatever way a run ends (in good order, killed, long ago, with the clock set back), the
 * minute, quarter and hour that it leaves open are the sum of all runs' base windows, once each.
 */

#include <sys/wait.h>
#include <time.h>
#include "analytics/carry.h"
#include "analytics/publish.h"
#include "analytics/sparse_hist.h"
#include "tests/unit/messages.h"
#include "tests/unit/private_redis.h"

#define HOUR_WINDOWS 360u

static const char *const mirrors[] = {"m0"};
static char dir[64], url[160], spool_dir[96];
static struct store_private *server;
static struct site_table *sites;
static struct service_table *services;
static struct analytics_options options;
static uint64_t truth[2 * HOUR_WINDOWS]; /* packets of each base window; 0: there is none */

static void set_up(void)
{
    struct error e = {""};

    make_temporary_dir(dir);
    ck_assert_msg(store_private_start(dir, false, &server, &e) == 0, "%s", e.text);
    snprintf(url, sizeof(url), "%s", store_private_url(server));
    snprintf(spool_dir, sizeof(spool_dir), "%s/spool", dir);
    sites = site_table_new();
    site_table_finish(sites);
    services = service_table_new();
    memset(truth, 0, sizeof(truth));
    options = (struct analytics_options){.n_rings = 1,
                                         .sites = sites,
                                         .services = services,
                                         .mirror_names = mirrors,
                                         .n_mirrors = 1,
                                         .sensor = "s",
                                         .window_ns = 10 * SECOND,
                                         .live = true,
                                         .store_url = url};
}

static void tear_down(void)
{
    site_table_free(sites);
    service_table_free(services);
    store_private_stop(server);
    remove_dir(dir);
}

static void give_window(struct spsc *ring, uint64_t i, uint64_t pkts)
{
    uint64_t start_ns = T0 + i * 10 * SECOND, rtt_ns[] = {1000000 + 10000 * i};
    struct rec_flow f = tcp_flow("10.0.1.5", "10.0.0.7", (uint16_t)(1000 + i), start_ns);
    struct window_message m = part(path_key("10.0.0.0", "10.0.1.0"), start_ns, pkts, rtt_ns, 1);
    struct rec_window_end e = window_end(start_ns, 10);

    f.tcp[0].lost_upstream_pkts = (uint32_t)i + 1;
    put_message(ring, &f);
    put_message(ring, &m);
    put_message(ring, &e);
}

enum ending { IN_GOOD_ORDER, KILLED };

static void wait_until_closed(uint64_t start_ns)
{
    struct store *s = connect_redis(url);
    struct schema_sensor sensor;

    for (int i = 0; i < 2000; i++) {
        if (schema_sensor_get(s, "s", &sensor, NULL) == 0 && sensor.latest_start_ns[SCHEMA_BASE] == start_ns)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    ck_assert_uint_eq(sensor.latest_start_ns[SCHEMA_BASE], start_ns);
    store_close(s);
}

/* A run in a process of its own over the windows [from, to), of `pkts` packets each; they replace the truth, or join it
 * in the first. */
static void run_windows(uint64_t from, uint64_t to, uint64_t pkts, enum ending ending, bool joins)
{
    for (uint64_t i = from; i < to; i++)
        truth[i] = pkts + (joins && i == from ? truth[i] : 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct analytics *a = NULL;
        struct analytics_result r;
        struct spsc *ring = spsc_new(1 << 20);
        struct error e = {""};
        options.rings = &ring;
        if (analytics_start(&options, &a, &e) != 0) {
            fprintf(stderr, "%s\n", e.text);
            _exit(1);
        }
        for (uint64_t i = from; i < to; i++)
            give_window(ring, i, pkts);
        if (ending == KILLED) {
            wait_until_closed(T0 + (to - 1) * 10 * SECOND);
            kill(getpid(), SIGKILL);
        }
        put_eof(ring);
        analytics_join(a, &r);
        _exit(r.status == 0 && r.stored ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (ending == KILLED)
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    else
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Every stored window of the tier, and its newest marker, agree with the truth; those that are still open may lack. */
static void assert_tier(struct store *s, const struct schema_sensor *sensor, enum schema_tier tier)
{
    uint64_t length = schema_tier_length_ns(tier, 10 * SECOND) / (10 * SECOND);
    struct schema_closed *closed = NULL;
    struct window *w = NULL;
    size_t n = 0, n_closed = 0, at = 0;
    struct error e = {""};

    struct schema_sensor all = *sensor;
    all.latest_start_ns[tier] = T0 + sizeof(truth) * 10 * SECOND;
    ck_assert_int_eq(
        schema_window_read(s, &all, WINDOW_PATH, "10.0.0.0/24~10.0.1.0/24", tier, 0, UINT64_MAX, &w, &n, NULL, &e), 0);
    ck_assert_int_eq(schema_closed_read(s, "s", "", 100000, 0, &closed, &n_closed, NULL, &e), 0);
    for (uint64_t from = 0; from < sizeof(truth) / sizeof(truth[0]); from += length) {
        uint64_t pkts = 0, parts = 0, start_ns = T0 + from * 10 * SECOND;
        for (uint64_t i = from; i < from + length; i++) {
            pkts += truth[i];
            parts += truth[i] != 0;
        }
        if (parts == 0)
            continue;
        ck_assert_uint_lt(at, n);
        ck_assert_uint_eq(w[at].start_ns, start_ns);
        ck_assert_msg(w[at].c.dir[0].pkts == pkts, "tier %d, window %llu: %llu packets instead of %llu", tier,
                      (unsigned long long)from, (unsigned long long)w[at].c.dir[0].pkts, (unsigned long long)pkts);
        ck_assert_uint_ge(w[at].q[WINDOW_HIST_RTT_A].n, parts);
        if (truth[from] != 0) /* the least of these rising times was in the first window; stored to 2^-11 */
            ck_assert_double_eq_tol((double)w[at].q[WINDOW_HIST_RTT_A].min_ns, 1e6 + 1e4 * (double)from, 3000.0);
        ck_assert_int_eq(w[at].missing_pct != 0, parts < length);
        if (tier != SCHEMA_BASE && parts < length)
            ck_assert_int_le(abs((int)w[at].missing_pct - (int)(100 - 100 * parts / length)), 2);
        size_t marker = n_closed;
        for (size_t i = 0; i < n_closed; i++)
            if (closed[i].tier == tier && closed[i].start_ns == start_ns)
                marker = i;
        ck_assert_uint_lt(marker, n_closed);
        ck_assert_uint_eq(closed[marker].parts, parts);
        ck_assert_uint_eq(closed[marker].parts_expected, length);
        at++;
    }
    ck_assert_uint_eq(at, n);
    free(w);
    free(closed);
}

static void assert_all(void)
{
    struct store *s = connect_redis(url);
    struct schema_sensor sensor;

    ck_assert_int_eq(schema_sensor_get(s, "s", &sensor, NULL), 0);
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++)
        assert_tier(s, &sensor, t);
    store_close(s);
}

START_TEST(stopped_and_started_within_a_minute)
{
    run_windows(0, 39, 7, IN_GOOD_ORDER, false);
    run_windows(40, 41, 5, IN_GOOD_ORDER, false);
    run_windows(41, 130, 3, IN_GOOD_ORDER, false);
    run_windows(130, HOUR_WINDOWS + 3, 2, IN_GOOD_ORDER, false);
    assert_all();
    /* and the worst flow of the whole hour is in its list */
    struct store *s = connect_redis(url);
    struct schema_flow *flows = NULL;
    size_t n = 0;
    ck_assert_int_eq(schema_top_read(s, "s", SCHEMA_TOP_LOSS, T0, T0 + SECOND, 1000, &flows, &n, NULL, NULL), 0);
    ck_assert_uint_eq(flows[0].score, HOUR_WINDOWS);
    schema_flows_free(flows, n);
    store_close(s);
}
END_TEST

START_TEST(killed_and_started_within_a_minute)
{
    run_windows(0, 39, 7, KILLED, false);
    run_windows(40, 95, 5, KILLED, false); /* into the next quarter */
    run_windows(95, HOUR_WINDOWS + 2, 3, IN_GOOD_ORDER, false);
    assert_all();
}
END_TEST

START_TEST(killed_and_started_much_later)
{
    run_windows(3, 39, 7, KILLED, false);
    run_windows(HOUR_WINDOWS + 20, HOUR_WINDOWS + 30, 5, IN_GOOD_ORDER, false);
    assert_all();
}
END_TEST

START_TEST(the_same_base_window_again)
{
    run_windows(0, 39, 7, IN_GOOD_ORDER, false);
    run_windows(38, 60, 5, KILLED, true);
    run_windows(60, HOUR_WINDOWS, 5, IN_GOOD_ORDER, false);
    assert_all();
}
END_TEST

START_TEST(the_clock_was_set_back)
{
    run_windows(0, 200, 7, KILLED, false);
    run_windows(100, 150, 5, IN_GOOD_ORDER, false); /* what was 150 to 199 stays, and is not in any sum of this run */
    run_windows(150, HOUR_WINDOWS, 3, IN_GOOD_ORDER, false);
    assert_all();
}
END_TEST

START_TEST(the_clock_jumped_ahead)
{
    run_windows(0, 10, 7, KILLED, false);
    run_windows(HOUR_WINDOWS + 300, HOUR_WINDOWS + 310, 5, IN_GOOD_ORDER, false);
    run_windows(10, 80, 3, IN_GOOD_ORDER, false); /* and back */
    struct store *s = connect_redis(url);
    struct schema_sensor sensor;
    ck_assert_int_eq(schema_sensor_get(s, "s", &sensor, NULL), 0);
    ck_assert_uint_eq(sensor.latest_start_ns[SCHEMA_BASE], T0 + 79 * 10 * SECOND);
    store_close(s);
    assert_all();
}
END_TEST

START_TEST(nothing_is_continued_when_reading_files)
{
    options.live = false; /* the same file again is the same windows again */
    run_windows(0, 39, 7, IN_GOOD_ORDER, false);
    run_windows(0, 39, 7, IN_GOOD_ORDER, false);
    assert_all();
}
END_TEST

START_TEST(quantiles_come_back)
{
    struct sparse_hist h = {0};
    uint64_t x = 1;

    for (int round = 0; round < 200; round++) {
        struct hist full = {0};
        struct window_quantiles q, got;
        for (int i = 0; i < 1 + round * 3; i++) {
            x = x * 6364136223846793005ull + 1442695040888963407ull;
            hist_add(&full, 1000 + (x >> 30) % (1000ull << (round % 24)));
        }
        window_quantiles_of(&q, &full);
        sparse_hist_fini(&h);
        ck_assert_int_eq(sparse_hist_add_quantiles(&h, &q), 0);
        sparse_hist_quantiles(&h, &got);
        ck_assert_mem_eq(&got, &q, sizeof(q));
    }
    sparse_hist_fini(&h);
}
END_TEST

START_TEST(a_spool_on_disk_outlives_its_sensor)
{
    struct store *s = connect_redis(url);
    pid_t pid = redis_pid(s);

    store_close(s);
    options.spool_dir = spool_dir;
    options.spool_disk_bytes = 64 << 20;
    run_windows(0, 20, 7, IN_GOOD_ORDER, false);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 200000000}, NULL);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    store_private_stop(server);
    for (uint64_t run = 0; run < 2; run++) { /* two sensors die before the store comes back */
        uint64_t from = 20 + 45 * run;
        for (uint64_t i = from; i < from + 45; i++)
            truth[i] = 5;
        pid_t child = fork();
        if (child == 0) {
            struct analytics *a = NULL;
            struct spsc *ring = spsc_new(1 << 20);
            options.rings = &ring;
            if (analytics_start(&options, &a, NULL) != 0)
                _exit(1);
            for (uint64_t i = from; i < from + 45; i++)
                give_window(ring, i, 5);
            nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
            kill(getpid(), SIGKILL);
        }
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
    }
    struct error e = {""};
    ck_assert_msg(store_private_start(dir, false, &server, &e) == 0, "%s", e.text);
    run_windows(110, HOUR_WINDOWS, 3, IN_GOOD_ORDER, false);
    assert_all();
    s = connect_redis(url);
    struct schema_closed *closed = NULL;
    size_t n = 0, base = 0;
    ck_assert_int_eq(schema_closed_read(s, "s", "", 100000, 0, &closed, &n, NULL, &e), 0);
    for (size_t i = 0; i < n; i++)
        base += closed[i].tier == SCHEMA_BASE;
    ck_assert_uint_eq(base, HOUR_WINDOWS); /* each once */
    free(closed);
    store_close(s);
}
END_TEST

START_TEST(a_second_sensor_of_that_name_is_refused)
{
    struct store *s = connect_redis(url);
    struct publisher *p = NULL;
    struct schema_holder other;
    struct error e = {""};
    char alive[SCHEMA_HOLDER_BYTES];

    /* the parent of this process lives, and is not this process */
    snprintf(alive, sizeof(alive), "elsewhere, process 1 (started 1, pids 1, boot 1)");
    ck_assert_int_eq(schema_lease_take(s, "s", alive, &other, &e), 0);
    ck_assert_int_eq(publisher_new(&options, &p, &e), 0);
    for (int i = 0; i < 6; i++) { /* a sensor on another machine renews its lease now and then */
        ck_assert_int_eq(publisher_step(p), 0);
        nanosleep(&(struct timespec){.tv_nsec = 260000000}, NULL);
        ck_assert_int_eq(schema_lease_take(s, "s", alive, &other, &e), 0);
    }
    ck_assert(publisher_lost_name(p));
    ck_assert_msg(strstr(publisher_trouble(p), "the sensor name \"s\" is taken by elsewhere, process 1") != NULL, "%s",
                  publisher_trouble(p));
    ck_assert_ptr_null(strchr(publisher_trouble(p), '\n'));
    publisher_finish(p, 100);
    publisher_free(p);
    ck_assert_int_eq(schema_lease_release(s, "s", alive, &e), 0);
    /* a dead one is replaced at once */
    ck_assert_int_eq(publisher_new(&options, &p, &e), 0);
    pid_t child = fork();
    if (child == 0) {
        struct publisher *q = NULL;
        if (publisher_new(&options, &q, &e) != 0 || publisher_connect(q, &e) != 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_msg(publisher_connect(p, &e) == 0, "%s", e.text);
    publisher_finish(p, 1000);
    publisher_free(p);
    store_close(s);
}
END_TEST

#define RIVALS 3

/* One sensor of the name "s", from when `start` is closed until it loses its name or is killed. */
static _Noreturn void be_a_rival(const int start[2])
{
    struct publisher *p = NULL;
    char c;

    close(start[1]);
    if (publisher_new(&options, &p, NULL) != 0 || read(start[0], &c, 1) != 0)
        _exit(1);
    while (!publisher_lost_name(p)) {
        publisher_step(p);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    _exit(2);
}

/* At once, for a name that is free, and for one whose holder was just killed: all but one give up. */
START_TEST(of_sensors_that_race_for_a_name_one_remains)
{
    for (int round = 0; round < 3; round++) {
        pid_t rival[RIVALS];
        int start[2], left = RIVALS;
        ck_assert_int_eq(pipe(start), 0);
        for (int i = 0; i < RIVALS; i++) {
            rival[i] = fork();
            if (rival[i] == 0)
                be_a_rival(start);
        }
        close(start[0]);
        close(start[1]);
        while (left > 1) {
            int status = 0;
            pid_t gone = wait(&status);
            for (int i = 0; i < RIVALS; i++) {
                if (rival[i] != gone)
                    continue;
                ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "status %x", (unsigned)status);
                rival[i] = 0;
                left--;
            }
        }
        for (int i = 0; i < RIVALS; i++) { /* it would not give up: it has outlived the others' last look */
            if (rival[i] == 0)
                continue;
            ck_assert_int_eq(waitpid(rival[i], NULL, WNOHANG), 0);
            kill(rival[i], SIGKILL);
            waitpid(rival[i], NULL, 0);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {stopped_and_started_within_a_minute,
                                  killed_and_started_within_a_minute,
                                  killed_and_started_much_later,
                                  the_same_base_window_again,
                                  the_clock_was_set_back,
                                  the_clock_jumped_ahead,
                                  nothing_is_continued_when_reading_files,
                                  quantiles_come_back,
                                  a_spool_on_disk_outlives_its_sensor,
                                  a_second_sensor_of_that_name_is_refused,
                                  of_sensors_that_race_for_a_name_one_remains};
    need_redis();
    Suite *suite = suite_create("carry");
    TCase *tcase = tcase_create("carry");
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

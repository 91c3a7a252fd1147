/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A master, two replicas and three Sentinels, all real: the master dies, and the writer goes on at the one that the
 * Sentinels choose; the master is cut off from the Sentinels but goes on answering us, and what it acknowledged
 * meanwhile is not lost; wrong names, dead Sentinels, Sentinels with a password.
 */

#include "tests/unit/servers.h"

#define SENTINELS 3

static char dir[64], url[256];
static struct server redis[3], sentinel[SENTINELS];

static void set_up(void)
{
    char master[8];

    make_temporary_dir(dir);
    redis[0].port = 0;
    start_server(&redis[0], dir, NULL);
    snprintf(master, sizeof(master), "%d", redis[0].port);
    for (int i = 1; i < 3; i++) {
        redis[i].port = 0;
        start_server(&redis[i], dir, (const char *const[]){"--replicaof", "127.0.0.1", master, NULL});
    }
    for (int i = 0; i < SENTINELS; i++)
        start_sentinel(&sentinel[i], dir, redis[0].port, "port", "");
    wait_sentinels(sentinel, SENTINELS, "", 2);
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/the-master", sentinel[0].port,
             sentinel[1].port, sentinel[2].port);
}

static void tear_down(void)
{
    stop_servers(redis, 3);
    stop_servers(sentinel, SENTINELS);
    remove_dir(dir);
}

static int open_url(const char *text, struct store **ret, struct error *e)
{
    return store_open(
        &(struct store_options){
            .url = text, .connect_timeout_ms = 500, .command_timeout_ms = 1000, .journal_bytes = 8 << 20},
        ret, e);
}

static void see_write(void *ctx, size_t index, const struct store_reply *r)
{
    bool *good = ctx;

    (void)index;
    if (store_reply_type(r) == STORE_ERROR && strstr(store_reply_string(r, NULL), "equal or smaller") == NULL)
        *good = false;
}

static struct store_arg arg(const char *text)
{
    return (struct store_arg){text, strlen(text)};
}

/* Repeats until entry i and field i are acknowledged; returns how often that failed before. */
static unsigned write_one(struct store *s, unsigned i, double patience_s)
{
    double end = seconds() + patience_s;
    struct error e = {""};
    char field[16], id[24];

    snprintf(field, sizeof(field), "%u", i);
    snprintf(id, sizeof(id), "%u-0", i + 1);
    for (unsigned failures = 0;; failures++) {
        bool good = true;
        if (!store_is_broken(s)) {
            store_append(s, (struct store_arg[]){arg("HSET"), arg("h"), arg(field), arg(field)}, 4);
            store_append(s, (struct store_arg[]){arg("XADD"), arg("x"), arg(id), arg("n"), arg(field)}, 5);
            if (store_flush(s, see_write, &good) == 0 && good)
                return failures;
        }
        ck_assert_msg(seconds() < end, "%u: %s; %s", i, store_why(s), e.text);
        usleep(20000);
        if (store_is_broken(s))
            store_reconnect(s, &e);
    }
}

static void check_all(struct store *s, unsigned n)
{
    struct store_reply *r = store_command(s, "HLEN h");
    ck_assert_int_eq(store_reply_integer(r), n);
    store_reply_free(r);
    r = store_command(s, "XRANGE x - +");
    ck_assert_uint_eq(store_reply_count(r), n);
    store_reply_free(r);
}

START_TEST(the_master_dies)
{
    struct store *s = NULL;
    struct error e = {""};
    unsigned i = 0;
    char said[4096];

    ck_assert_msg(open_url(url, &s, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(strstr(store_shown(s), "/the-master"));
    for (; i < 200; i++)
        write_one(s, i, 5);
    kill_server(&sentinel[0]); /* the one that we listen to, in the same moment */
    kill_server(&redis[0]);
    double begin = seconds();
    ck_assert_uint_gt(write_one(s, i++, 30), 0);
    printf("fail-over by Sentinels: %.1f s until the next acknowledgement\n", seconds() - begin);
    for (; i < 400; i++)
        write_one(s, i, 5);
    check_all(s, i);
    int found = 0;
    for (int k = 1; k < 3; k++) {
        cli(redis[k].port, said, sizeof(said), "ROLE");
        found += strncmp(said, "master", 6) == 0;
    }
    ck_assert_int_eq(found, 1);
    store_close(s);
}
END_TEST

/*
 * Cuts redis[0] off from Sentinels and replicas: whoever connects from now on is asked for a password that nobody has,
 * and their connections from before are ended. Ours stays.
 */
static void cut_off(void)
{
    static const char *const as_us = "-a unknown-to-all --no-auth-warning";
    char said[16384], answer[256];

    cli(redis[0].port, said, sizeof(said), "CONFIG SET requirepass unknown-to-all");
    ck_assert_str_eq(said, "OK");
    cli(redis[0].port, said, sizeof(said), "%s CLIENT LIST", as_us);
    for (char *line = strtok(said, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strstr(line, "name=sentinel-") != NULL)
            cli(redis[0].port, answer, sizeof(answer), "%s CLIENT KILL ID %d", as_us, atoi(strstr(line, "id=") + 3));
    cli(redis[0].port, said, sizeof(said), "%s CLIENT KILL TYPE replica", as_us);
}

START_TEST(a_master_that_is_cut_off_goes_on_answering)
{
    struct store *s = NULL;
    struct error e = {""};
    struct store_stats stats = {0};
    unsigned i = 0, in_vain;

    ck_assert_msg(open_url(url, &s, &e) == 0, "%s", e.text);
    for (; i < 100; i++)
        write_one(s, i, 5);
    cut_off();
    double begin = seconds();
    for (; stats.map_changes == 0; usleep(2000)) {
        ck_assert_double_lt(seconds(), begin + 30);
        write_one(s, i++, 25);
        store_stats_get(s, &stats);
    }
    in_vain = i - 101;
    printf("cut off: %u acknowledged in vain, %.1f s until the news\n", in_vain, seconds() - begin);
    ck_assert_uint_gt(in_vain, 50);
    ck_assert_uint_ge(stats.reconnects, 1); /* more, if the first attempt comes before all is settled */
    ck_assert_uint_ge(stats.repeated, 2 * in_vain);
    for (unsigned end = i + 100; i < end; i++)
        write_one(s, i, 25);
    check_all(s, i);
    store_close(s);
}
END_TEST

START_TEST(what_goes_wrong_is_told)
{
    struct store *s = NULL;
    struct error e = {""};
    char other[256], said[256];

    snprintf(other, sizeof(other), "redis+sentinel://127.0.0.1:%d/nobody", sentinel[0].port);
    ck_assert_int_eq(open_url(other, &s, &e), -ENOENT);
    ck_assert_ptr_nonnull(strstr(e.text, "knows no master \"nobody\""));
    ck_assert_int_eq(open_url("redis+sentinel://127.0.0.1:1/the-master", &s, &e), -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(e.text, "no Sentinel answers"));
    snprintf(other, sizeof(other), "redis://127.0.0.1:%d", sentinel[0].port);
    ck_assert_int_eq(open_url(other, &s, &e), -EINVAL);
    ck_assert_ptr_nonnull(strstr(e.text, "is a Sentinel; use redis+sentinel://"));
    snprintf(other, sizeof(other), "redis+sentinel://127.0.0.1:%d/the-master", redis[0].port);
    ck_assert_int_eq(open_url(other, &s, &e), -EACCES);

    cli(sentinel[0].port, said, sizeof(said), "CONFIG SET requirepass x"); /* Sentinel has no such command */
    cli(sentinel[0].port, said, sizeof(said), "ACL SETUSER default on resetpass '>geheim'");
    ck_assert_str_eq(said, "OK");
    snprintf(other, sizeof(other), "redis+sentinel://127.0.0.1:%d/the-master", sentinel[0].port);
    ck_assert_int_eq(open_url(other, &s, &e), -EACCES);
    struct store_options o = {.url = other, .sentinel_password = "geheim"};
    ck_assert_msg(store_open(&o, &s, &e) == 0, "%s", e.text);
    store_close(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_master_dies, a_master_that_is_cut_off_goes_on_answering, what_goes_wrong_is_told};

    need_redis();
    Suite *suite = suite_create("sentinel");
    TCase *tcase = tcase_create("sentinel");
    tcase_set_timeout(tcase, 120);
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

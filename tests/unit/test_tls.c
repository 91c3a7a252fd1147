/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TLS to a real redis-server with certificates made here: who is believed and who is refused (name, time, CA), the
 * client's own certificate, long pipelines, silence, death, a plain server behind a TLS URL and the other way round,
 * and a Cluster over TLS.
 */

#include "tests/unit/certificates.h"

static char dir[64];
static struct server server;

/* auth: whether clients need a certificate ("yes", "no", "optional"). */
static void start_tls(const char *name, const char *auth, const char *const *more)
{
    const char *extra[16] = {"--tls-auth-clients", auth};
    size_t n = 2;

    for (size_t i = 0; more != NULL && more[i] != NULL; i++)
        extra[n++] = more[i];
    start_tls_server(&server, dir, name, extra);
}

static void set_up(void)
{
    make_temporary_dir(dir);
    make_ca(dir, "ca");
    make_cert(dir, "good", "ca", "IP:127.0.0.1,DNS:redis.test", 2);
}

static void tear_down(void)
{
    kill_server(&server);
    remove_dir(dir);
}

/* "rediss://127.0.0.1:PORT?ca=DIR/ca.pem" and what follows. */
static int open_url(const char *rest, struct store **ret, struct error *e)
{
    char url[512];

    *ret = NULL;
    e->text[0] = '\0';
    snprintf(url, sizeof(url), "rediss://127.0.0.1:%d?%s", server.port, rest);
    return store_open(&(struct store_options){.url = url, .connect_timeout_ms = 2000, .command_timeout_ms = 1000}, ret,
                      e);
}

static struct store *must_open(const char *rest)
{
    struct store *s = NULL;
    struct error e;
    char text[400];

    snprintf(text, sizeof(text), "ca=%s/ca.pem%s", dir, rest);
    ck_assert_msg(open_url(text, &s, &e) == 0, "%s", e.text);
    struct store_reply *r = store_command(s, "SET a b");
    ck_assert_int_eq(store_reply_type(r), STORE_STATUS);
    store_reply_free(r);
    return s;
}

static void must_refuse(const char *rest, int code, const char *text)
{
    struct store *s = NULL;
    struct error e;
    char query[400];

    snprintf(query, sizeof(query), "ca=%s/%s", dir, rest);
    int result = open_url(query, &s, &e);
    ck_assert_msg(result == code, "%d: %s", result, e.text);
    ck_assert_msg(strstr(e.text, text) != NULL, "'%s' is not in: %s", text, e.text);
    ck_assert_ptr_null(s);
}

START_TEST(who_is_believed)
{
    struct store *s;
    struct error e;

    start_tls("good", "no", NULL);
    store_close(must_open(""));
    store_close(must_open("&name=redis.test"));
    must_refuse("ca.pem&name=redis.example", -EPROTO, "refused as that of \"redis.example\": hostname mismatch");
    must_refuse("ca.pem&name=127.0.0.2", -EPROTO, "IP address mismatch");
    make_ca(dir, "other");
    must_refuse("other.pem", -EPROTO, "refused");
    must_refuse("missing.pem", -ENOENT, "cannot read CA certificates");
    must_refuse("good.key", -EINVAL, "no CA certificate in");
    ck_assert_int_eq(open_url("verify=yes", &s, &e), -EPROTO); /* the system's CAs do not know ours */
    ck_assert_int_eq(open_url("verify=no", &s, &e), 0);
    store_close(s);
    ck_assert_int_eq(open_url("verify=no&name=redis.example", &s, &e), 0);
    store_close(s);
}
END_TEST

START_TEST(time_counts)
{
    make_cert(dir, "old", "ca", "IP:127.0.0.1", -1);
    start_tls("old", "no", NULL);
    must_refuse("ca.pem", -EPROTO, "certificate has expired");
}
END_TEST

START_TEST(a_client_may_have_to_prove_itself)
{
    char text[400];

    make_cert(dir, "client", "ca", "DNS:probe", 2);
    make_ca(dir, "other");
    make_cert(dir, "stranger", "other", "DNS:probe", 2);
    start_tls("good", "yes", NULL);
    must_refuse("ca.pem", -EIO, "client certificate");
    snprintf(text, sizeof(text), "&cert=%s/client.pem&key=%s/client.key", dir, dir);
    store_close(must_open(text));
    snprintf(text, sizeof(text), "ca.pem&cert=%s/stranger.pem&key=%s/stranger.key", dir, dir);
    must_refuse(text, -EIO, "client certificate");
    snprintf(text, sizeof(text), "ca.pem&cert=%s/client.pem&key=%s/good.key", dir, dir);
    must_refuse(text, -EINVAL, "");
    snprintf(text, sizeof(text), "ca.pem&cert=%s/client.pem", dir);
    must_refuse(text, -EINVAL, "needs both");
}
END_TEST

START_TEST(a_password_over_tls)
{
    const char *const more[] = {"--requirepass", "geheim", NULL};
    struct store *s = NULL;
    struct error e;
    char url[512];

    start_tls("good", "no", more);
    must_refuse("ca.pem", -EACCES, "NOAUTH");
    snprintf(url, sizeof(url), "rediss://:geheim@127.0.0.1:%d/3?ca=%s/ca.pem", server.port, dir);
    ck_assert_msg(store_open(&(struct store_options){.url = url}, &s, &e) == 0, "%s", e.text);
    ck_assert_ptr_null(strstr(store_shown(s), "geheim"));
    store_close(s);
}
END_TEST

static void count_bytes(void *ctx, size_t index, const struct store_reply *r)
{
    size_t *sum = ctx, len;

    (void)index;
    store_reply_string(r, &len);
    *sum += len;
}

START_TEST(long_pipelines_and_long_values)
{
    size_t sum = 0, size = 3 << 20;
    char *big = malloc(size);

    memset(big, 'x', size);
    start_tls("good", "no", NULL);
    struct store *s = must_open("");
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(store_append(s, (struct store_arg[]){{"ECHO", 4}, {big, size}}, 2), 0);
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(store_append(s, (struct store_arg[]){{"ECHO", 4}, {big, 100}}, 2), 0);
    ck_assert_int_eq(store_flush(s, count_bytes, &sum), 0);
    ck_assert_uint_eq(sum, 8 * size + 20000 * 100);
    store_close(s);
    free(big);
}
END_TEST

START_TEST(silence_and_death_end_in_time)
{
    struct error e;

    start_tls("good", "no", NULL);
    struct store *s = must_open("");
    kill(server.pid, SIGSTOP);
    double begin = seconds();
    ck_assert_ptr_null(store_command(s, "PING"));
    ck_assert_double_ge(seconds() - begin, 0.99);
    ck_assert_double_lt(seconds() - begin, 3);
    ck_assert_str_eq(store_why(s), "no answer for 1000 ms");
    begin = seconds();
    ck_assert_int_eq(store_reconnect(s, &e), -ETIMEDOUT); /* the kernel connects, nobody shakes hands */
    ck_assert_double_lt(seconds() - begin, 4);
    kill(server.pid, SIGCONT);
    ck_assert_int_eq(store_reconnect(s, &e), 0);
    for (int i = 0; i < 1000; i++)
        store_append(s, (struct store_arg[]){{"PING", 4}}, 1);
    kill_server(&server);
    ck_assert_int_eq(store_flush(s, NULL, NULL), -EIO);
    ck_assert_int_eq(store_reconnect(s, &e), -ECONNREFUSED);
    store_close(s);
}
END_TEST

START_TEST(the_wrong_kind_of_port_is_told)
{
    struct store *s = NULL;
    struct error e;
    char url[128];

    start_server(&server, dir, NULL);
    must_refuse("ca.pem", -ETIMEDOUT, "is it a TLS port?");
    kill_server(&server);
    start_tls("good", "no", NULL);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", server.port);
    ck_assert_int_ne(store_open(&(struct store_options){.url = url, .command_timeout_ms = 1000}, &s, &e), 0);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(a_cluster_over_tls)
{
    const char *const more[] = {"--cluster-enabled", "yes", "--tls-cluster", "yes", NULL};
    struct store *s = NULL;
    struct error e = {""};
    char url[400], said[256];

    start_tls("good", "no", more);
    cli(server.port, said, sizeof(said), "--tls --cacert %s/ca.pem CLUSTER ADDSLOTSRANGE 0 16383", dir);
    ck_assert_str_eq(said, "OK");
    for (double end = seconds() + 5; strstr(said, "cluster_state:ok") == NULL && seconds() < end; usleep(20000))
        cli(server.port, said, sizeof(said), "--tls --cacert %s/ca.pem CLUSTER INFO", dir);
    snprintf(url, sizeof(url), "rediss+cluster://127.0.0.1:%d?ca=%s/ca.pem", server.port, dir);
    ck_assert_msg(store_open(&(struct store_options){.url = url}, &s, &e) == 0, "%s", e.text);
    struct store_reply *r = store_command(s, "SET {a}b c");
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(store_reply_type(r) == STORE_STATUS, "%s", store_reply_string(r, NULL));
    store_reply_free(r);
    store_close(s);
    strcat(url, "&name=redis.example");
    ck_assert_int_eq(store_open(&(struct store_options){.url = url}, &s, &e), -EPROTO);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {who_is_believed,
                                  time_counts,
                                  a_client_may_have_to_prove_itself,
                                  a_password_over_tls,
                                  long_pipelines_and_long_values,
                                  silence_and_death_end_in_time,
                                  the_wrong_kind_of_port_is_told,
                                  a_cluster_over_tls};

    need_redis();
    need_openssl();
    Suite *suite = suite_create("tls");
    TCase *tcase = tcase_create("tls");
    tcase_set_timeout(tcase, 60);
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

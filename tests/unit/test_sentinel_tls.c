/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TLS together with Sentinel: a master, a replica and Sentinels that speak TLS only, each asking for a client's
 * certificate. The writer finds the master, keeps its certificate checks over a fail-over, and refuses Sentinels and
 * masters that nobody vouches for.
 */

#include "tests/unit/certificates.h"

#define SENTINELS 3

static char dir[64], url[400];
static struct server redis[2], sentinel[SENTINELS];

/* To peers as well; master_port 0: it is the master. */
static void start_tls(struct server *s, int master_port)
{
    char master[8];
    const char *more[] = {"--tls-replication", "yes",  master_port != 0 ? "--replicaof" : NULL,
                          "127.0.0.1",         master, NULL};

    snprintf(master, sizeof(master), "%d", master_port);
    start_tls_server(s, dir, "node", more);
}

static void start_sentinels(void)
{
    char more[512];

    snprintf(more, sizeof(more),
             "port 0\ntls-cert-file %s/node.pem\ntls-key-file %s/node.key\ntls-ca-cert-file %s/ca.pem\n"
             "tls-replication yes\n",
             dir, dir, dir);
    for (int i = 0; i < SENTINELS; i++)
        start_sentinel(&sentinel[i], dir, redis[0].port, "tls-port", more);
}

/* Words for redis-cli that make it speak TLS. */
static const char *with_tls(const char *words)
{
    static char text[512];

    snprintf(text, sizeof(text), "--tls --cert %s/node.pem --key %s/node.key --cacert %s/ca.pem %s", dir, dir, dir,
             words);
    return text;
}

static void set_up(void)
{
    make_temporary_dir(dir);
    make_ca(dir, "ca");
    make_ca(dir, "other");
    make_cert(dir, "node", "ca", "IP:127.0.0.1", 2);
    start_tls(&redis[0], 0);
    start_tls(&redis[1], redis[0].port);
    start_sentinels();
    wait_sentinels(sentinel, SENTINELS, with_tls(""), 1);
    snprintf(url, sizeof(url), "rediss+sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/the-master", sentinel[0].port,
             sentinel[1].port, sentinel[2].port);
}

static void tear_down(void)
{
    stop_servers(redis, 2);
    stop_servers(sentinel, SENTINELS);
    remove_dir(dir);
}

static int open_url(const char *ca, const char *cert, struct store **ret, struct error *e)
{
    char ca_file[128], cert_file[128], key_file[128];

    snprintf(ca_file, sizeof(ca_file), "%s/%s.pem", dir, ca);
    snprintf(cert_file, sizeof(cert_file), "%s/%s.pem", dir, cert);
    snprintf(key_file, sizeof(key_file), "%s/%s.key", dir, cert);
    return store_open(&(struct store_options){.url = url,
                                              .tls_ca = ca_file,
                                              .tls_cert = cert[0] != '\0' ? cert_file : NULL,
                                              .tls_key = cert[0] != '\0' ? key_file : NULL,
                                              .connect_timeout_ms = 1000,
                                              .command_timeout_ms = 1000,
                                              .journal_bytes = 8 << 20},
                      ret, e);
}

static bool write_number(struct store *s, unsigned i)
{
    struct store_reply *r = store_is_broken(s) ? NULL : store_command(s, "HSET h %d %d", (int)i, (int)i);
    bool good = r != NULL && store_reply_type(r) == STORE_INTEGER;

    store_reply_free(r);
    return good;
}

START_TEST(a_fail_over_keeps_the_checks)
{
    struct store *s = NULL;
    struct error e = {""};
    double end;

    ck_assert_msg(open_url("ca", "node", &s, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(strstr(store_shown(s), "rediss+sentinel://"));
    for (unsigned i = 0; i < 50; i++)
        ck_assert(write_number(s, i));
    kill_server(&redis[0]);
    end = seconds() + 40;
    for (unsigned i = 50; i < 100; i++) {
        while (!write_number(s, i)) {
            ck_assert_msg(seconds() < end, "%s; %s", store_why(s), e.text);
            usleep(50000);
            if (store_is_broken(s))
                store_reconnect(s, &e);
        }
    }
    struct store_reply *r = store_command(s, "HLEN h");
    ck_assert_int_ge(store_reply_integer(r), 50); /* single commands are not in the journal */
    store_reply_free(r);
    r = store_command(s, "ROLE");
    ck_assert_str_eq(store_reply_string(store_reply_element(r, 0), NULL), "master");
    store_reply_free(r);
    store_close(s);
}
END_TEST

START_TEST(nobody_is_believed_without_proof)
{
    struct store *s = NULL;
    struct error e = {""};
    char plain[400];

    ck_assert_int_lt(open_url("other", "node", &s, &e), 0); /* a CA that does not know them */
    ck_assert_msg(strstr(e.text, "refused") != NULL, "%s", e.text);
    ck_assert_int_lt(open_url("ca", "", &s, &e), 0); /* they ask for a certificate */
    ck_assert_int_lt(open_url("ca", "other", &s, &e), 0);
    snprintf(plain, sizeof(plain), "redis+sentinel://127.0.0.1:%d/the-master", sentinel[0].port);
    ck_assert_int_lt(store_open(&(struct store_options){.url = plain, .connect_timeout_ms = 1000}, &s, &e), 0);
    ck_assert_ptr_null(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentinel_tls");
    TCase *tcase = tcase_create("sentinel_tls");

    need_redis();
    need_openssl();
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_fail_over_keeps_the_checks);
    tcase_add_test(tcase, nobody_is_believed_without_proof);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

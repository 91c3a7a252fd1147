/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The router against a real Cluster of three masters and three replicas: pipelines over all nodes, redirections while a
 * slot moves, transactions, SCAN, a master killed under load, a reshard under load, and writes that a replica never
 * saw. Everything acknowledged is compared with the truth afterwards: hashes field by field, streams entry by entry, so
 * that a loss and a doubling both show.
 */

#include "store/route.h"
#include "tests/unit/servers.h"

#define SENSORS 8

static struct server node[CLUSTER_NODES];
static char dir[64], url[160];

static void set_up(void)
{
    make_temporary_dir(dir);
    start_cluster(node, dir);
    snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%d,127.0.0.1:%d", node[0].port, node[1].port);
}

static void tear_down(void)
{
    stop_servers(node, CLUSTER_NODES);
    if (getenv("KEEP") == NULL)
        remove_dir(dir);
}

static struct store *connect_cluster(size_t journal_bytes)
{
    struct store *s = NULL;
    struct error e = {""};

    ck_assert_msg(store_open(&(struct store_options){.url = url,
                                                     .connect_timeout_ms = 500,
                                                     .command_timeout_ms = 2000,
                                                     .journal_bytes = journal_bytes},
                             &s, &e) == 0,
                  "%s", e.text);
    return s;
}

static struct store_arg arg(const char *text)
{
    return (struct store_arg){text, strlen(text)};
}

/* ---- a load like a sensor's ---- */

/* What was told to be stored. Numbers 0 to acknowledged - 1 of each sensor were. */
struct load {
    struct store *s;
    unsigned acknowledged, refused, breaks;
    const char *filler; /* "": none */
    bool failed;
};

static void see_write(void *ctx, size_t index, const struct store_reply *r)
{
    struct load *l = ctx;

    (void)index;
    if (store_reply_type(r) != STORE_ERROR)
        return;
    const char *text = store_reply_string(r, NULL);
    if (strstr(text, "equal or smaller") == NULL) { /* that is a repetition */
        l->failed = true;
        l->refused++;
        ck_assert_msg(store_fault_of(text) == STORE_FAULT_PASSING, "%s", text);
    }
}

/* Writes number i of every sensor; repeats it until all of it is acknowledged. */
static void write_one(struct load *l, unsigned i, double patience_s)
{
    double end = seconds() + patience_s;
    struct error e = {""};

    for (;;) {
        for (int k = 0; k < SENSORS && !store_is_broken(l->s); k++) {
            char hash[32], stream[32], field[16], id[24];
            snprintf(hash, sizeof(hash), "sw1:{s%d}:h", k);
            snprintf(stream, sizeof(stream), "sw1:{s%d}:x", k);
            snprintf(field, sizeof(field), "%u", i);
            snprintf(id, sizeof(id), "%u-0", i + 1);
            store_append(l->s, (struct store_arg[]){arg("HSET"), arg(hash), arg(field), arg(field)}, 4);
            store_append(l->s, (struct store_arg[]){arg("XADD"), arg(stream), arg(id), arg("n"), arg(field)}, 5);
            if (*l->filler != '\0') {
                snprintf(hash, sizeof(hash), "sw1:{s%d}:f", k);
                store_append(l->s, (struct store_arg[]){arg("GETSET"), arg(hash), arg(l->filler)}, 3);
            }
        }
        l->failed = false;
        if (!store_is_broken(l->s) && store_flush(l->s, see_write, l) == 0 && !l->failed)
            break;
        l->breaks++;
        ck_assert_msg(seconds() < end, "number %u is not acknowledged after %.0f s: %s; %s", i, patience_s,
                      store_why(l->s), e.text);
        usleep(50000);
        if (store_is_broken(l->s))
            store_reconnect(l->s, &e);
    }
    l->acknowledged = i + 1;
}

static long long reply_number(struct store_reply *r)
{
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(store_reply_type(r) == STORE_INTEGER, "%s", store_reply_string(r, NULL));
    long long n = store_reply_integer(r);
    store_reply_free(r);
    return n;
}

/* How many of the acknowledged entries are not there as they should be. */
static unsigned missing(const struct load *l, unsigned n)
{
    struct store *s = connect_cluster(0);
    unsigned lost = 0;

    (void)l;
    for (int k = 0; k < SENSORS; k++) {
        struct store_reply *r = store_command(s, "XRANGE sw1:{s%d}:x - +", k);
        size_t found = store_reply_count(r);
        ck_assert_uint_le(found, n);
        lost += n - (unsigned)found;
        for (size_t i = 0; i < found && found == n; i++) {
            char id[24];
            snprintf(id, sizeof(id), "%zu-0", i + 1);
            ck_assert_str_eq(store_reply_string(store_reply_element(store_reply_element(r, i), 0), NULL), id);
        }
        store_reply_free(r);
        long long fields = reply_number(store_command(s, "HLEN sw1:{s%d}:h", k));
        ck_assert_int_le(fields, n);
        lost += n - (unsigned)fields;
    }
    store_close(s);
    return lost;
}

/* ---- the tests ---- */

static void want_number(void *ctx, size_t index, const struct store_reply *r)
{
    size_t *next = ctx;
    char want[24];

    ck_assert_uint_eq(index, *next);
    snprintf(want, sizeof(want), "%zu", index);
    ck_assert_str_eq(store_reply_string(r, NULL), want);
    (*next)++;
}

START_TEST(pipelines_go_to_their_nodes_and_come_back_in_order)
{
    struct store *s = connect_cluster(0);
    size_t seen = 0;
    char said[16];

    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 3000; i++) {
            char key[24], value[24];
            snprintf(key, sizeof(key), "key:%u", i);
            snprintf(value, sizeof(value), "%u", i);
            if (pass == 0)
                store_append(s, (struct store_arg[]){arg("SET"), arg(key), arg(value)}, 3);
            else
                store_append(s, (struct store_arg[]){arg("GET"), arg(key)}, 2);
        }
        ck_assert_int_eq(store_flush(s, pass == 0 ? NULL : want_number, &seen), 0);
    }
    ck_assert_uint_eq(seen, 3000);
    for (int i = 0; i < 3; i++) {
        cli(node[i].port, said, sizeof(said), "DBSIZE");
        ck_assert_int_gt(atoi(said), 700);
    }
    struct store_stats stats;
    store_stats_get(s, &stats);
    ck_assert_uint_eq(stats.redirects, 0);

    /* every key exactly once, over all masters */
    char cursor[32] = "0", *met = calloc(3000, 1);
    unsigned found = 0, steps = 0;
    do {
        struct store_reply *r = store_command(s, "SCAN %s MATCH key:* COUNT 200", cursor);
        ck_assert_uint_eq(store_reply_count(r), 2);
        snprintf(cursor, sizeof(cursor), "%s", store_reply_string(store_reply_element(r, 0), NULL));
        const struct store_reply *list = store_reply_element(r, 1);
        for (size_t i = 0; i < store_reply_count(list); i++) {
            int number = atoi(store_reply_string(store_reply_element(list, i), NULL) + 4);
            found += !met[number];
            met[number] = 1;
        }
        store_reply_free(r);
        ck_assert_uint_lt(++steps, 200);
    } while (strcmp(cursor, "0") != 0);
    ck_assert_uint_eq(found, 3000);
    free(met);
    store_close(s);
}
END_TEST

START_TEST(a_wrong_url_is_told)
{
    char other[64], expected[128];
    struct store *s = NULL;
    struct error e = {""};
    struct server single = {.port = 0};

    snprintf(other, sizeof(other), "redis://127.0.0.1:%d", node[0].port);
    ck_assert_int_eq(store_open(&(struct store_options){.url = other}, &s, &e), -EINVAL);
    snprintf(expected, sizeof(expected), "%s is a node of a Cluster; use redis+cluster://", other);
    ck_assert_str_eq(e.text, expected);
    start_server(&single, dir, NULL);
    snprintf(other, sizeof(other), "redis+cluster://127.0.0.1:%d", single.port);
    ck_assert_int_eq(store_open(&(struct store_options){.url = other}, &s, &e), -EINVAL);
    ck_assert_ptr_nonnull(strstr(e.text, "a single Redis, not a node of a Cluster; use redis://"));
    ck_assert_int_eq(store_open(&(struct store_options){.url = "redis+cluster://127.0.0.1:1"}, &s, &e), -ECONNREFUSED);
    kill_server(&single);
}
END_TEST

/* Replies of a transaction: the last is EXEC's. */
struct transaction {
    size_t n;
    bool done;
    char error[128];
};

static void see_exec(void *ctx, size_t index, const struct store_reply *r)
{
    struct transaction *t = ctx;

    (void)index;
    t->n++;
    t->done = store_reply_type(r) == STORE_ARRAY;
    if (store_reply_type(r) == STORE_ERROR)
        snprintf(t->error, sizeof(t->error), "%s", store_reply_string(r, NULL));
}

static int transact(struct store *s, const char *key_a, const char *key_b, struct transaction *t)
{
    *t = (struct transaction){0};
    store_append(s, (struct store_arg[]){arg("MULTI")}, 1);
    store_append(s, (struct store_arg[]){arg("SET"), arg(key_a), arg("1")}, 3);
    store_append(s, (struct store_arg[]){arg("SET"), arg(key_b), arg("2")}, 3);
    store_append(s, (struct store_arg[]){arg("EXEC")}, 1);
    return store_flush(s, see_exec, t);
}

START_TEST(a_slot_moves_key_by_key)
{
    struct store *s = connect_cluster(1 << 20), *fresh = connect_cluster(0);
    struct transaction t;
    struct store_stats stats;
    char from_id[64], to_id[64], said[1024];
    const int slot = route_key_slot("{moving}", 8);
    int from = master_of(node, CLUSTER_NODES, 0, "{moving}"), to = (from + 1) % 3;

    ck_assert_int_ge(from, 0);
    node_id(&node[from], from_id);
    node_id(&node[to], to_id);
    store_reply_free(store_command(s, "SET {moving}a old"));
    ck_assert_int_eq(transact(s, "{moving}x", "{moving}y", &t), 0);
    ck_assert(t.done);
    ck_assert_int_eq(transact(s, "{one}x", "{other}y", &t), -EXDEV);
    ck_assert(!store_is_broken(s));

    cli(node[to].port, said, sizeof(said), "CLUSTER SETSLOT %d IMPORTING %s", slot, from_id);
    ck_assert_str_eq(said, "OK");
    cli(node[from].port, said, sizeof(said), "CLUSTER SETSLOT %d MIGRATING %s", slot, to_id);
    ck_assert_str_eq(said, "OK");
    store_reply_free(store_command(s, "SET {moving}b new")); /* ASK: it is not in the old place */
    store_stats_get(s, &stats);
    ck_assert_uint_eq(stats.redirects, 1);
    cli(node[to].port, said, sizeof(said), "EXISTS '{moving}b'");
    ck_assert_ptr_nonnull(strstr(said, "MOVED")); /* without ASKING: it is there, but the slot is not */
    ck_assert_int_eq(transact(s, "{moving}n", "{moving}n", &t), 0); /* a transaction behind ASKING */
    ck_assert_msg(t.done, "%s", t.error);
    cli(node[from].port, said, sizeof(said), "MIGRATE 127.0.0.1 %d '{moving}x' 0 1000", node[to].port);
    ck_assert_str_eq(said, "OK");
    double begin = seconds();
    ck_assert_int_eq(transact(s, "{moving}x", "{moving}y", &t), 0); /* one key here, one there: TRYAGAIN to the end */
    ck_assert(!t.done);
    ck_assert_double_ge(seconds() - begin, 1.9);
    store_stats_get(s, &stats);
    ck_assert_uint_gt(stats.waits, 3);
    cli(node[from].port, said, sizeof(said), "MIGRATE 127.0.0.1 %d '' 0 1000 KEYS '{moving}a' '{moving}y'",
        node[to].port);
    ck_assert_str_eq(said, "OK");
    ck_assert_int_eq(transact(s, "{moving}x", "{moving}y", &t), 0);
    ck_assert(t.done);
    cli(node[to].port, said, sizeof(said), "CLUSTER SETSLOT %d NODE %s", slot, to_id);
    cli(node[from].port, said, sizeof(said), "CLUSTER SETSLOT %d NODE %s", slot, to_id);

    /* the slot has a new owner: single commands follow, a transaction makes its writer load first */
    ck_assert_int_eq(transact(fresh, "{moving}x", "{moving}y", &t), -EIO);
    ck_assert(store_is_broken(fresh));
    ck_assert_ptr_nonnull(strstr(store_why(fresh), "new owner"));
    ck_assert_int_eq(store_reconnect(fresh, NULL), 0);
    ck_assert_int_eq(transact(fresh, "{moving}x", "{moving}y", &t), 0);
    ck_assert(t.done);
    struct store_reply *r = store_command(s, "GET {moving}a");
    ck_assert_str_eq(store_reply_string(r, NULL), "old");
    store_reply_free(r);
    store_close(s);
    store_close(fresh);
}
END_TEST

START_TEST(a_master_is_killed_under_load)
{
    struct load l = {.s = connect_cluster(8 << 20), .filler = ""};
    int victim = master_of(node, CLUSTER_NODES, 0, "{s0}");
    unsigned i = 0;

    ck_assert_int_ge(victim, 0);
    for (; i < 300; i++)
        write_one(&l, i, 5);
    kill_server(&node[victim]);
    double begin = seconds();
    write_one(&l, i++, 20);
    printf("fail-over: %.1f s until the next acknowledgement\n", seconds() - begin);
    ck_assert_uint_gt(l.breaks, 0);
    for (; i < 600; i++)
        write_one(&l, i, 5);
    start_cluster_node(&node[victim], dir, NULL); /* back as a replica */
    wait_until(node[victim].port, "INFO replication", "master_link_status:up", 10);
    for (; i < 700; i++)
        write_one(&l, i, 5);
    ck_assert_uint_eq(missing(&l, i), 0);
    store_close(l.s);
}
END_TEST

/* The replica of the killed master is stopped while it should have listened; the kernel's buffers are filled over. */
static unsigned lose_what_no_replica_saw(size_t journal_bytes)
{
    char *filler = malloc(65536);
    struct load l = {.s = connect_cluster(journal_bytes), .filler = filler};
    char said[16384], id[64];
    int master = master_of(node, CLUSTER_NODES, 0, "{s0}"), replica = -1;
    unsigned i = 0;

    memset(filler, 'f', 65535);
    filler[65535] = '\0';
    node_id(&node[master], id);
    cli(node[master].port, said, sizeof(said), "CLUSTER REPLICAS %s", id);
    char *colon = strchr(said, ':');
    ck_assert_ptr_nonnull(colon);
    for (int k = 0; k < CLUSTER_NODES; k++)
        if (node[k].port == atoi(colon + 1))
            replica = k;
    ck_assert_int_ge(replica, 0);
    for (; i < 20; i++)
        write_one(&l, i, 5);
    kill(node[replica].pid, SIGSTOP);
    for (; i < 260; i++)
        write_one(&l, i, 5);
    l.filler = "";
    for (; i < 300; i++)
        write_one(&l, i, 5);
    kill_server(&node[master]);
    kill(node[replica].pid, SIGCONT);
    for (; i < 310; i++)
        write_one(&l, i, 25);
    unsigned lost = missing(&l, i);
    struct store_stats stats;
    store_stats_get(l.s, &stats);
    ck_assert_int_eq(stats.repeated > 0, journal_bytes > 0);
    ck_assert_uint_eq(stats.journal_overflows, 0);
    store_close(l.s);
    free(filler);
    return lost;
}

START_TEST(what_no_replica_saw_is_lost_without_a_journal)
{
    unsigned lost = lose_what_no_replica_saw(0);

    printf("without a journal: %u acknowledged writes lost\n", lost);
    ck_assert_uint_gt(lost, 0); /* else the next test proves nothing */
}
END_TEST

START_TEST(what_no_replica_saw_is_repeated)
{
    ck_assert_uint_eq(lose_what_no_replica_saw(256 << 20), 0);
}
END_TEST

START_TEST(slots_move_under_load)
{
    struct load l = {.s = connect_cluster(8 << 20), .filler = ""};
    char from_id[64], to_id[64], address[32], said[16384];
    unsigned i = 0;
    int status;

    for (; i < 100; i++)
        write_one(&l, i, 5);
    for (int round = 0; round < 3; round++) { /* all slots of one, to the next: every sensor moves at least once */
        node_id(&node[round], from_id);
        node_id(&node[(round + 1) % 3], to_id);
        snprintf(address, sizeof(address), "127.0.0.1:%d", node[0].port);
        const char *argv[] = {
            "redis-cli", "--cluster",       "reshard", address,         "--cluster-from",     from_id, "--cluster-to",
            to_id,       "--cluster-slots", "4000",    "--cluster-yes", "--cluster-pipeline", "100",   NULL};
        pid_t pid = spawn(dir, "reshard", argv);
        unsigned before = i;
        for (; waitpid(pid, &status, WNOHANG) == 0; usleep(2000))
            write_one(&l, i++, 10);
        ck_assert_int_eq(WEXITSTATUS(status), 0);
        ck_assert_uint_gt(i, before + 20);
        double end = seconds() + 20; /* the nodes have to agree before the next */
        while (cli(node[0].port, said, sizeof(said), "--cluster check %s", address) != 0) {
            ck_assert_msg(seconds() < end, "%s", said);
            write_one(&l, i++, 10);
        }
    }
    for (unsigned end = i + 100; i < end; i++)
        write_one(&l, i, 5);
    struct store_stats stats;
    store_stats_get(l.s, &stats);
    printf("reshard: %u rounds, %llu redirections, %llu changes of the map, %u breaks\n", i,
           (unsigned long long)stats.redirects, (unsigned long long)stats.map_changes, l.breaks);
    ck_assert_uint_gt(stats.redirects, 0);
    ck_assert_uint_gt(stats.map_changes, 0);
    ck_assert_uint_eq(missing(&l, i), 0);
    store_close(l.s);
}
END_TEST

START_TEST(fail_over_by_hand_loses_nothing_and_control_loads_again)
{
    struct load l = {.s = connect_cluster(8 << 20), .filler = ""};
    struct store *control = connect_cluster(0);
    struct transaction t;
    char said[1024];
    unsigned i = 0;

    ck_assert_int_eq(transact(control, "{s0}a", "{s0}b", &t), 0);
    ck_assert(t.done);
    for (; i < 100; i++)
        write_one(&l, i, 5);
    int old = master_of(node, CLUSTER_NODES, 0, "{s0}"), replica = 3;
    while (cli(node[replica].port, said, sizeof(said), "INFO replication") == 0) {
        char want[32];
        snprintf(want, sizeof(want), "master_port:%d\r", node[old].port);
        if (strstr(said, want) != NULL)
            break;
        ck_assert_int_lt(++replica, CLUSTER_NODES);
    }
    double end = seconds() + 20, again = 0;
    while (master_of(node, CLUSTER_NODES, 1, "{s0}") != replica) {
        ck_assert_double_lt(seconds(), end);
        if (seconds() > again) { /* the nodes give up after 5 s */
            cli(node[replica].port, said, sizeof(said), "CLUSTER FAILOVER");
            ck_assert_str_eq(said, "OK");
            again = seconds() + 6;
        }
        write_one(&l, i++, 10);
        usleep(2000);
    }
    for (unsigned last = i + 200; i < last; i++)
        write_one(&l, i, 10);
    ck_assert_uint_eq(missing(&l, i), 0);
    ck_assert_int_eq(transact(control, "{s0}a", "{s0}b", &t), -EIO);
    ck_assert_int_eq(store_reconnect(control, NULL), 0);
    ck_assert_int_eq(transact(control, "{s0}a", "{s0}b", &t), 0);
    ck_assert(t.done);
    store_close(control);
    store_close(l.s);
}
END_TEST

/* cluster: the quick ones; cluster --long: the ones that wait for fail-overs and reshards */
int main(int argc, char **argv)
{
    const TTest *const quick[] = {pipelines_go_to_their_nodes_and_come_back_in_order, a_wrong_url_is_told,
                                  a_slot_moves_key_by_key};
    const TTest *const slow[] = {a_master_is_killed_under_load, what_no_replica_saw_is_lost_without_a_journal,
                                 what_no_replica_saw_is_repeated, slots_move_under_load,
                                 fail_over_by_hand_loses_nothing_and_control_loads_again};
    bool is_long = argc == 2 && strcmp(argv[1], "--long") == 0;

    need_redis();
    Suite *suite = suite_create("cluster");
    TCase *tcase = tcase_create("cluster");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    size_t n = is_long ? sizeof(slow) / sizeof(slow[0]) : sizeof(quick) / sizeof(quick[0]);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, is_long ? slow[i] : quick[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

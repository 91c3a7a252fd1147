/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The connection: URLs, texts of errors, passwords, databases, long pipelines, what happens when the server dies, and
 * the private server's life: its directory's mode, joining, stopping, data that outlives a restart, and an end with its
 * parent.
 */

#include <errno.h>
#include <sys/wait.h>
#include "store/url.h"
#include "tests/unit/servers.h"

START_TEST(urls)
{
    static const struct {
        const char *text, *unix_path, *host, *user, *password, *shown;
        unsigned port, db;
    } good[] = {
        {"unix:/run/r.sock", "/run/r.sock", "", "", "", "unix:/run/r.sock", 0, 0},
        {"unix:///run/r.sock?db=3", "/run/r.sock", "", "", "", "unix:/run/r.sock", 0, 3},
        {"/run/r.sock", "/run/r.sock", "", "", "", "unix:/run/r.sock", 0, 0},
        {"redis://h", "", "h", "", "", "redis://h:6379", 6379, 0},
        {"redis://u:p%40:x@h.example:7000/2", "", "h.example", "u", "p@:x", "redis://h.example:7000", 7000, 2},
        {"redis://:secret@[::1]:1", "", "::1", "", "secret", "redis://[::1]:1", 1, 0},
        {"10.0.0.1:6380", "", "10.0.0.1", "", "", "redis://10.0.0.1:6380", 6380, 0},
        {"rediss://h:1?ca=/a%26b&verify=no", "", "h", "", "", "rediss://h:1", 1, 0},
    };
    static const char *const bad[] = {"",
                                      "unix:",
                                      "redis://",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:x",
                                      "h h:1",
                                      "redis://[::1",
                                      "http://h",
                                      "redis://%zz@h",
                                      "redis://a%00b:x@h",
                                      "redis://h/x",
                                      "unix:/a?x=1",
                                      "redis://a,b",
                                      "redis://h?ca=/a",
                                      "rediss://h?ca",
                                      "rediss://h?ca=",
                                      "rediss://h?verify=maybe",
                                      "rediss://h?password=x",
                                      "redis+cluster://h/1",
                                      "redis+cluster://a,,b",
                                      "redis+sentinel://h",
                                      "redis+sentinel://h/",
                                      "redis+sentinel://h/a%20b",
                                      "redis+sentinel://h/m/x"};
    char too_long[300] = "unix:/";

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct store_url u;
        ck_assert_msg(store_url_parse(good[i].text, &u, NULL) == 0, "%s", good[i].text);
        ck_assert_int_eq(u.mode, STORE_SINGLE);
        ck_assert_uint_eq(u.n, 1);
        ck_assert_str_eq(u.at[0].unix_path, good[i].unix_path);
        ck_assert_str_eq(u.at[0].host, good[i].host);
        ck_assert_str_eq(u.user, good[i].user);
        ck_assert_str_eq(u.password, good[i].password);
        ck_assert_uint_eq(u.at[0].port, good[i].port);
        ck_assert_uint_eq(u.db, good[i].db);
        ck_assert_str_eq(u.shown, good[i].shown);
    }
    memset(too_long + 6, 'a', 200);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct store_url u = {.db = 4711};
        struct error e = {""};
        ck_assert_msg(store_url_parse(bad[i], &u, &e) == -EINVAL, "%s", bad[i]);
        ck_assert_str_ne(e.text, "");
        ck_assert_uint_eq(u.db, 4711);
    }
    struct store_url u;
    ck_assert_int_eq(store_url_parse(too_long, &u, NULL), -EINVAL);
}
END_TEST

START_TEST(urls_of_several_hosts)
{
    struct store_url u;

    ck_assert_int_eq(store_url_parse("redis+sentinel://u:geheim@a,b:5,[::1]:6/my-master/4", &u, NULL), 0);
    ck_assert_int_eq(u.mode, STORE_SENTINEL);
    ck_assert(!u.use_tls);
    ck_assert_uint_eq(u.n, 3);
    ck_assert_uint_eq(u.at[0].port, 26379);
    ck_assert_str_eq(u.at[2].host, "::1");
    ck_assert_uint_eq(u.at[2].port, 6);
    ck_assert_str_eq(u.master, "my-master");
    ck_assert_uint_eq(u.db, 4);
    ck_assert_str_eq(u.shown, "redis+sentinel://a:26379,.../my-master");
    ck_assert_int_eq(store_url_parse("REDISS+CLUSTER://a,b/?name=x&cert=/c&key=/k", &u, NULL), 0);
    ck_assert_int_eq(u.mode, STORE_CLUSTER);
    ck_assert(u.use_tls && !u.tls.no_verify);
    ck_assert_uint_eq(u.n, 2);
    ck_assert_uint_eq(u.at[1].port, 6379);
    ck_assert_str_eq(u.tls.name, "x");
    ck_assert_str_eq(u.tls.cert, "/c");
    ck_assert_str_eq(u.tls.key, "/k");
    char many[400] = "redis+cluster://h";
    for (int i = 0; i < STORE_ENDPOINTS_MAX; i++)
        strcat(many, ",h");
    ck_assert_int_eq(store_url_parse(many, &u, NULL), -EINVAL);
}
END_TEST

START_TEST(refusals_are_told_apart)
{
    static const struct {
        const char *text;
        enum store_fault fault;
    } known[] = {{"LOADING Redis is loading the dataset in memory", STORE_FAULT_PASSING},
                 {"OOM command not allowed when used memory > 'maxmemory'.", STORE_FAULT_PASSING},
                 {"MISCONF Redis is configured to save RDB snapshots", STORE_FAULT_PASSING},
                 {"BUSY Redis is busy running a script.", STORE_FAULT_PASSING},
                 {"BUSYGROUP Consumer Group name already exists", STORE_FAULT_REFUSED},
                 {"CLUSTERDOWN The cluster is down", STORE_FAULT_PASSING},
                 {"CLUSTERDOWN", STORE_FAULT_PASSING},
                 {"READONLY You can't write against a read only replica.", STORE_FAULT_DEMOTED},
                 {"NOPERM this user has no permissions to run the 'set' command", STORE_FAULT_ACCESS},
                 {"NOAUTH Authentication required.", STORE_FAULT_ACCESS},
                 {"MOVED 3999 127.0.0.1:6381", STORE_FAULT_TOPOLOGY},
                 {"ERR max number of clients reached", STORE_FAULT_PASSING},
                 {"WRONGTYPE Operation against a key holding the wrong kind of value", STORE_FAULT_REFUSED},
                 {"", STORE_FAULT_REFUSED}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ck_assert_msg(store_fault_of(known[i].text) == known[i].fault, "%s", known[i].text);
        ck_assert_int_eq(store_fault_todo(known[i].text)[0] == '\0', known[i].fault == STORE_FAULT_REFUSED);
    }
    ck_assert_str_eq(store_fault_name(STORE_FAULT_DEMOTED), "demoted");
}
END_TEST

START_TEST(errors_say_what_and_where)
{
    struct store *s = NULL;
    struct error e = {""};

    ck_assert_int_eq(store_open(&(struct store_options){.url = "unix:/nonexistent/r.sock"}, &s, &e), -ENOENT);
    ck_assert_str_eq(e.text,
                     "no Redis at unix:/nonexistent/r.sock: No such file or directory; start it or give --redis");
    ck_assert_ptr_null(s);
    ck_assert_int_eq(store_open(&(struct store_options){.url = "127.0.0.1:1"}, &s, &e), -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(e.text, "redis://127.0.0.1:1: Connection refused"));
}
END_TEST

static void count_replies(void *ctx, size_t index, const struct store_reply *r)
{
    size_t *next = ctx;

    ck_assert_uint_eq(index, *next);
    ck_assert_int_eq(store_reply_type(r), STORE_STRING);
    char want[32];
    snprintf(want, sizeof(want), "message %zu", index);
    ck_assert_str_eq(store_reply_string(r, NULL), want);
    (*next)++;
}

START_TEST(pipelines_and_binary_arguments)
{
    char dir[64];
    make_temporary_dir(dir);
    struct store_private *p = start_redis(dir);
    struct store *s = connect_redis(store_private_url(p));
    size_t seen = 0;

    for (size_t i = 0; i < 5000; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "message %zu", i);
        ck_assert_int_eq(store_append(s, (struct store_arg[]){{"ECHO", 4}, {text, (size_t)len}}, 2), 0);
    }
    ck_assert_uint_eq(store_pending(s), 5000);
    ck_assert_int_eq(store_flush(s, count_replies, &seen), 0);
    ck_assert_uint_eq(seen, 5000);
    ck_assert_uint_eq(store_pending(s), 0);

    static const char binary[] = "a\0b\r\nc";
    struct store_reply *r = store_command_argv(s, (struct store_arg[]){{"SET", 3}, {"k", 1}, {binary, 6}}, 3);
    ck_assert_int_eq(store_reply_type(r), STORE_STATUS);
    store_reply_free(r);
    r = store_command(s, "GET %s", "k");
    size_t len;
    ck_assert_mem_eq(store_reply_string(r, &len), binary, 6);
    ck_assert_uint_eq(len, 6);
    store_reply_free(r);
    r = store_command(s, "NONSENSE");
    ck_assert_int_eq(store_reply_type(r), STORE_ERROR);
    ck_assert(!store_is_broken(s));
    store_reply_free(r);
    store_close(s);
    store_private_stop(p);
    remove_dir(dir);
}
END_TEST

START_TEST(password_and_database)
{
    char dir[64], url[160];
    struct store *bad = NULL;
    struct error e = {""};
    make_temporary_dir(dir);
    struct store_private *p = start_redis(dir);
    struct store *s = connect_redis(store_private_url(p));

    store_reply_free(store_command(s, "ACL SETUSER probe on >s3cret ~* +@all"));
    store_reply_free(store_command(s, "CONFIG SET requirepass other"));
    store_close(s);
    ck_assert_int_eq(store_open(&(struct store_options){.url = store_private_url(p)}, &bad, &e), -EACCES);
    ck_assert_ptr_nonnull(strstr(e.text, "NOAUTH"));
    ck_assert_int_eq(
        store_open(&(struct store_options){.url = store_private_url(p), .user = "probe", .password = "wrong-one"}, &bad,
                   &e),
        -EACCES);
    ck_assert_ptr_null(strstr(e.text, "wrong-one"));
    snprintf(url, sizeof(url), "%s?db=2", store_private_url(p));
    ck_assert_msg(store_open(&(struct store_options){.url = url, .user = "probe", .password = "s3cret"}, &s, &e) == 0,
                  "%s", e.text);
    struct store_reply *r = store_command(s, "CLIENT INFO");
    ck_assert_ptr_nonnull(strstr(store_reply_string(r, NULL), " db=2 "));
    ck_assert_ptr_nonnull(strstr(store_reply_string(r, NULL), " user=probe "));
    store_reply_free(r);
    store_close(s);
    store_private_stop(p);
    remove_dir(dir);
}
END_TEST

START_TEST(a_dead_server_breaks_and_comes_back)
{
    char dir[64];
    make_temporary_dir(dir);
    struct store_private *p = NULL;
    struct error e = {""};
    ck_assert_int_eq(store_private_start(dir, false, &p, &e), 0);
    struct store *s = connect_redis(store_private_url(p));

    store_reply_free(store_command(s, "SET kept 1"));
    store_reply_free(store_command(s, "WAITAOF 1 0 0")); /* unknown to 7.0: an error reply, no harm */
    store_append(s, (struct store_arg[]){{"PING", 4}}, 1);
    store_private_stop(p);
    ck_assert_int_eq(store_flush(s, NULL, NULL), -EIO);
    ck_assert(store_is_broken(s));
    ck_assert_ptr_null(store_command(s, "PING"));
    ck_assert_int_ne(store_reconnect(s, &e), 0);

    ck_assert_int_eq(store_private_start(dir, false, &p, &e), 0);
    ck_assert_int_eq(store_reconnect(s, &e), 0);
    struct store_reply *r = store_command(s, "GET kept");
    ck_assert_str_eq(store_reply_string(r, NULL), "1");
    store_reply_free(r);
    store_close(s);
    store_private_stop(p);
    remove_dir(dir);
}
END_TEST

START_TEST(private_server_is_private_joined_and_stopped)
{
    char dir[64], inner[80];
    struct stat st;
    make_temporary_dir(dir);
    snprintf(inner, sizeof(inner), "%s/state", dir);
    struct store_private *first = start_redis(inner);
    struct store *s = connect_redis(store_private_url(first));
    pid_t pid = redis_pid(s);

    ck_assert_int_eq(stat(inner, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    struct store_private *second = start_redis(inner);
    ck_assert_str_eq(store_private_url(second), store_private_url(first));
    store_private_stop(second);
    struct store_reply *r = store_command(s, "PING");
    ck_assert_ptr_nonnull(r);
    store_reply_free(r);
    store_close(s);
    store_private_stop(first);
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
    remove_dir(dir);
}
END_TEST

START_TEST(private_server_ends_with_its_parent)
{
    char dir[64];
    int report[2];
    make_temporary_dir(dir);
    ck_assert_int_eq(pipe(report), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store_private *p = NULL;
        struct store *s = NULL;
        pid_t pid = 0;
        if (store_private_start(dir, true, &p, NULL) == 0 &&
            store_open(&(struct store_options){.url = store_private_url(p)}, &s, NULL) == 0)
            pid = redis_pid(s);
        if (write(report[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        raise(SIGKILL);
    }
    pid_t server = 0;
    ck_assert_int_eq(read(report[0], &server, sizeof(server)), sizeof(server));
    waitpid(child, NULL, 0);
    ck_assert_int_gt(server, 1);
    char state[32] = "";
    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)server);
        FILE *f = fopen(path, "r");
        if (f == NULL)
            break;
        if (fscanf(f, "%*d %*s %31s", state) == 1 && state[0] == 'Z') { /* ended; nobody reaps it in some containers */
            fclose(f);
            break;
        }
        fclose(f);
        usleep(10000);
        ck_assert_int_lt(i, 299);
    }
    remove_dir(dir);
}
END_TEST

START_TEST(private_server_says_why_not)
{
    struct store_private *p = NULL;
    struct error e = {""};
    char path[300] = "/tmp/spanward-test-";

    ck_assert_int_eq(store_private_start("/proc/none", true, &p, &e), -ENOENT);
    memset(path + strlen(path), 'x', 100);
    ck_assert_int_eq(store_private_start(path, true, &p, &e), -ENAMETOOLONG);
    rmdir(path);
    char dir[64], *old = strdup(getenv("PATH"));
    make_temporary_dir(dir);
    setenv("PATH", "/nonexistent", 1);
    ck_assert_int_eq(store_private_start(dir, true, &p, &e), -ENOENT);
    ck_assert_ptr_nonnull(strstr(e.text, "redis-server is not installed"));
    setenv("PATH", old, 1);
    free(old);
    remove_dir(dir);
}
END_TEST

/* The class of Redis's own answer to a write; "" in ret_text: it was done. */
static enum store_fault try_write(struct store *s, char ret_text[160])
{
    struct store_reply *r = store_command(s, "SET k v");
    enum store_fault f = STORE_FAULT_NONE;

    ck_assert_msg(r != NULL, "%s", store_why(s));
    ret_text[0] = '\0';
    if (store_reply_type(r) == STORE_ERROR) {
        snprintf(ret_text, 160, "%s", store_reply_string(r, NULL));
        f = store_fault_of(ret_text);
    }
    store_reply_free(r);
    return f;
}

START_TEST(real_refusals_pass_and_the_connection_stays)
{
    static const struct {
        const char *begin, *word, *end;
        enum store_fault fault;
    } refusals[] = {
        {"CONFIG SET maxmemory 1", "OOM ", "CONFIG SET maxmemory 0", STORE_FAULT_PASSING},
        {"CONFIG SET min-replicas-to-write 1", "NOREPLICAS ", "CONFIG SET min-replicas-to-write 0",
         STORE_FAULT_PASSING},
        {"REPLICAOF 127.0.0.1 1", "READONLY ", "REPLICAOF NO ONE", STORE_FAULT_DEMOTED},
    };
    struct server server = {.port = 0};
    char dir[64], url[64], text[160], said[256];

    make_temporary_dir(dir);
    start_server(&server, dir, (const char *const[]){"--busy-reply-threshold", "20", NULL});
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", server.port);
    struct store *s = connect_redis(url);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        cli(server.port, said, sizeof(said), "%s", refusals[i].begin);
        ck_assert_str_eq(said, "OK");
        ck_assert_int_eq(try_write(s, text), refusals[i].fault);
        ck_assert_msg(strncmp(text, refusals[i].word, strlen(refusals[i].word)) == 0, "%s", text);
        ck_assert(!store_is_broken(s));
        cli(server.port, said, sizeof(said), "%s", refusals[i].end);
        ck_assert_int_eq(try_write(s, text), STORE_FAULT_NONE);
    }
    char port[8];
    snprintf(port, sizeof(port), "%d", server.port);
    pid_t script =
        spawn(dir, "script", (const char *const[]){"redis-cli", "-p", port, "EVAL", "while true do end", "0", NULL});
    for (double end = seconds() + 5; try_write(s, text) == STORE_FAULT_NONE; usleep(5000))
        ck_assert_double_lt(seconds(), end);
    ck_assert_msg(strncmp(text, "BUSY ", 5) == 0 && store_fault_of(text) == STORE_FAULT_PASSING, "%s", text);
    cli(server.port, said, sizeof(said), "SCRIPT KILL");
    ck_assert_str_eq(said, "OK");
    waitpid(script, NULL, 0);
    ck_assert_int_eq(try_write(s, text), STORE_FAULT_NONE);

    struct store *other = NULL;
    struct error e = {""};
    cli(server.port, said, sizeof(said), "CONFIG SET maxclients 1");
    ck_assert_int_eq(store_open(&(struct store_options){.url = url}, &other, &e), -EAGAIN);
    ck_assert_ptr_nonnull(strstr(e.text, "raise its maxclients"));
    store_close(s);
    kill_server(&server);
    remove_dir(dir);
}
END_TEST

START_TEST(a_server_that_loads_is_told_from_one_that_is_gone)
{
    struct server server = {.port = 0};
    struct store *s = NULL;
    struct error e = {""};
    char dir[64], url[64], said[256];

    make_temporary_dir(dir);
    start_server(&server, dir, (const char *const[]){"--enable-debug-command", "yes", NULL});
    cli(server.port, said, sizeof(said), "DEBUG POPULATE 3000 k 100");
    cli(server.port, said, sizeof(said), "SAVE");
    ck_assert_str_eq(said, "OK");
    kill_server(&server);
    start_server(
        &server, dir,
        (const char *const[]){"--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024", NULL});
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", server.port);
    struct store_options o = {.url = url};
    ck_assert_int_eq(store_open(&o, &s, &e), -EAGAIN);
    ck_assert_ptr_nonnull(strstr(e.text, "it is reading its data from disk; wait"));
    for (double end = seconds() + 20; store_open(&o, &s, &e) != 0; usleep(50000)) {
        ck_assert_msg(strstr(e.text, "LOADING") != NULL, "%s", e.text);
        ck_assert_double_lt(seconds(), end);
    }
    store_close(s);
    kill_server(&server);
    remove_dir(dir);
}
END_TEST

static void swallow(void *ctx, size_t index, const struct store_reply *r)
{
    (void)ctx;
    (void)index;
    (void)r;
}

/* A server that forgets (no AOF): what was acknowledged last is there again after the reconnect, once. */
START_TEST(a_journal_survives_a_server_that_forgets)
{
    struct server server = {.port = 0};
    struct store *s = NULL;
    struct error e = {""};
    char dir[64], url[64], said[256];

    make_temporary_dir(dir);
    start_server(&server, dir, NULL);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", server.port);
    ck_assert_int_eq(store_open(&(struct store_options){.url = url, .journal_bytes = 1 << 20}, &s, &e), 0);
    for (int i = 1; i <= 50; i++) {
        char id[24];
        int len = snprintf(id, sizeof(id), "%d-0", i);
        store_append(s, (struct store_arg[]){{"XADD", 4}, {"x", 1}, {id, (size_t)len}, {"f", 1}, {id, (size_t)len}}, 5);
        store_append(s, (struct store_arg[]){{"HINCRBY", 7}, {"n", 1}, {"f", 1}, {"1", 1}}, 4); /* not repeatable */
        ck_assert_int_eq(store_flush(s, swallow, NULL), 0);
    }
    kill_server(&server);
    ck_assert_ptr_null(store_command(s, "PING"));
    start_server(&server, dir, NULL);
    ck_assert_int_eq(store_reconnect(s, &e), 0);
    ck_assert_int_eq(store_reconnect(s, &e), 0); /* and once more over what is there */
    cli(server.port, said, sizeof(said), "XLEN x");
    ck_assert_str_eq(said, "50");
    cli(server.port, said, sizeof(said), "EXISTS n");
    ck_assert_str_eq(said, "0");
    struct store_stats stats;
    store_stats_get(s, &stats);
    ck_assert_uint_eq(stats.repeated, 100);
    ck_assert_uint_eq(stats.reconnects, 2);
    store_close(s);
    kill_server(&server);
    remove_dir(dir);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {urls,
                                  urls_of_several_hosts,
                                  refusals_are_told_apart,
                                  errors_say_what_and_where,
                                  pipelines_and_binary_arguments,
                                  password_and_database,
                                  a_dead_server_breaks_and_comes_back,
                                  private_server_is_private_joined_and_stopped,
                                  private_server_ends_with_its_parent,
                                  private_server_says_why_not,
                                  real_refusals_pass_and_the_connection_stays,
                                  a_server_that_loads_is_told_from_one_that_is_gone,
                                  a_journal_survives_a_server_that_forgets};

    need_redis();
    return unit_run("store", tests, sizeof(tests) / sizeof(tests[0]));
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The CLI from argv to exit code, stdout and stderr: options, help, completion, the report of `read`, and the commands
 * that look into Redis, on a private server that the test fills through the store's own writers.
 */

#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "apps/cli/child.h"
#include "apps/cli/command.h"
#include "apps/cli/report.h"
#include "apps/cli/rows.h"
#include "common/timefmt.h"
#include "store/entities.h"
#include "store/schema.h"
#include "store/store.h"

static char out[1 << 20], err[65536];

static void slurp(int fd, char *buf, size_t size)
{
    size_t used = 0;
    ssize_t n;

    while (used + 1 < size && (n = read(fd, buf + used, size - 1 - used)) > 0)
        used += (size_t)n;
    buf[used] = '\0';
    close(fd);
}

/* Runs cli_main in a child; words are separated by blanks. Returns its exit code; fills out and err. */
static int spanward(const char *line)
{
    char copy[512], *argv[40], *save;
    int argc = 0, status;
    FILE *o = tmpfile(), *e = tmpfile();

    snprintf(copy, sizeof(copy), "spanward %s", line);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(o), STDOUT_FILENO);
        dup2(fileno(e), STDERR_FILENO);
        exit(cli_main(argc, argv));
    }
    waitpid(pid, &status, 0);
    lseek(fileno(o), 0, SEEK_SET);
    lseek(fileno(e), 0, SEEK_SET);
    slurp(dup(fileno(o)), out, sizeof(out));
    slurp(dup(fileno(e)), err, sizeof(err));
    fclose(o);
    fclose(e);
    ck_assert_msg(WIFEXITED(status), "spanward %s died by signal %d\n%s", line, WTERMSIG(status), err);
    return WEXITSTATUS(status);
}

#define expect_in(text, part) ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text)

/* Exactly one line on stderr and nothing on stdout. */
static void expect_one_line(const char *part)
{
    expect_in(err, part);
    ck_assert_msg(strchr(err, '\n') == err + strlen(err) - 1, "not one line:\n%s", err);
    ck_assert_str_eq(out, "");
}

START_TEST(usage_errors)
{
    static const struct {
        const char *line;
        int code;
        const char *part;
    } cases[] = {
        {"raed x", CLI_USAGE, "did you mean 'read'"},
        {"\033[2J", CLI_USAGE, "\\x1b[2J"},
        {"read", CLI_USAGE, "needs FILE"},
        {"read --jsno f", CLI_USAGE, "did you mean --json"},
        {"read --zzzzzz f", CLI_USAGE, "spanward read --help"},
        {"read -q f", CLI_USAGE, "unknown option '-q'"},
        {"read f --config", CLI_USAGE, "--config needs a value"},
        {"read --utc=yes f", CLI_USAGE, "--utc takes no value"},
        {"flows --json --plain", CLI_USAGE, "exclude each other"},
        {"flows --limit x", CLI_USAGE, "--limit wants a whole number"},
        {"flows --limit -1", CLI_USAGE, "--limit wants a whole number"},
        {"flows --columns client,foo", CLI_USAGE, "no column 'foo'"},
        {"flows --sort foo", CLI_USAGE, "no column 'foo'"},
        {"flows --by colour", CLI_USAGE, "loss, latency and bytes"},
        {"flows x", CLI_USAGE, "does not take 'x'"},
        {"simulate", CLI_USAGE, "needs --out FILE"},
        {"simulate --out - --weeks 0", CLI_USAGE, "--weeks wants a whole number from 1 to 520"},
        {"simulate --out - --zone Mars/Base", CLI_USAGE, "Mars/Base"},
        {"simulate --out - --end soon", CLI_USAGE, "--end wants a date"},
        {"simulate --out /nonexistent/x", CLI_ERROR, "/nonexistent/x"},
        {"help nothing", CLI_USAGE, "no such command"},
        {"completion fish", CLI_USAGE, "only bash"},
        {"read /nonexistent/x.pcap", CLI_ERROR, "cannot open /nonexistent/x.pcap"},
        {"read /tmp", CLI_ERROR, "is a directory"},
        {"status --redis unix:/nonexistent/r.sock", CLI_ERROR, "no Redis at unix:/nonexistent/r.sock"},
        {"flows --redis ftp://x", CLI_ERROR, "Redis URL"},
        {"status --config /nonexistent/c.yaml", CLI_ERROR, "/nonexistent/c.yaml"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int code = spanward(cases[i].line);
        ck_assert_msg(code == cases[i].code, "%s: exit %d", cases[i].line, code);
        expect_one_line(cases[i].part);
    }
}
END_TEST

START_TEST(wrong_config_key)
{
    char path[] = "/tmp/spanward-test-XXXXXX.yaml", line[128];
    int fd = mkstemps(path, 5);

    ck_assert_int_eq(dprintf(fd, "store:\n  rediss: x\n"), 19);
    close(fd);
    snprintf(line, sizeof(line), "status --config %s", path);
    ck_assert_int_eq(spanward(line), CLI_ERROR);
    unlink(path);
    expect_one_line(":2:");
    expect_in(err, "rediss");
}
END_TEST

/* Help, completion and man name every command, option and column that the parser takes. */
struct texts {
    char *bash, *man;
};

static void check_option(void *ctx, const struct option_def *o)
{
    const struct texts *t = ctx;
    char text[80];

    snprintf(text, sizeof(text), " --%s", o->name);
    expect_in(out, text);
    expect_in(t->bash, text);
    ck_assert_uint_gt(strlen(o->text), 4);
    for (const char *p = snprintf(text, sizeof(text), "\\fB--%s", o->name) > 0 ? o->name : ""; *p != '\0'; p++)
        ck_assert(*p == '-' || (*p >= 'a' && *p <= 'z'));
}

START_TEST(help_covers_the_table)
{
    struct texts t;
    char line[80];

    ck_assert_int_eq(spanward("completion bash"), 0);
    t.bash = strdup(out);
    ck_assert_int_eq(spanward("man"), 0);
    t.man = strdup(out);
    ck_assert_int_eq(spanward("help"), 0);
    char *overview = strdup(out);
    for (size_t i = 0; command_table[i] != NULL; i++) {
        const struct command *c = command_table[i];
        expect_in(overview, c->name);
        expect_in(overview, c->summary);
        snprintf(line, sizeof(line), ".SS %s\n", c->name);
        expect_in(t.man, line);
        snprintf(line, sizeof(line), "%s --help", c->name);
        ck_assert_int_eq(spanward(line), 0);
        command_options(c, check_option, &t);
        ck_assert(strstr(out, "Examples") < strstr(out, "Options"));
        for (const struct column *col = c->columns; col != NULL && col->name != NULL; col++)
            expect_in(out, col->text);
    }
    free(t.bash);
    free(t.man);
    free(overview);
}
END_TEST

/* Every example of every command is a line that the parser takes (it may fail later: no such file, no Redis). */
START_TEST(examples_parse)
{
    for (size_t i = 0; command_table[i] != NULL; i++) {
        for (const struct example *x = command_table[i]->examples; x->line != NULL; x++) {
            char copy[256], *argv[32], *save;
            struct args args = {0};
            struct error e = {""};
            int argc = 0;
            snprintf(copy, sizeof(copy), "%s", x->line);
            copy[strcspn(copy, "|<>")] = '\0';
            for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
                argv[argc++] = w;
            ck_assert_str_eq(argv[0], command_table[i]->name);
            ck_assert_msg(args_parse(&args, command_table[i], argc - 1, argv + 1, &e) == 0, "%s: %s", x->line, e.text);
        }
    }
}
END_TEST

START_TEST(nothing_is_help_and_usage)
{
    ck_assert_int_eq(spanward(""), CLI_USAGE);
    expect_in(out, "spanward COMMAND --help");
    ck_assert_int_eq(spanward("--version"), 0);
    ck_assert_str_eq(out, "spanward " SPANWARD_VERSION "\n");
}
END_TEST

START_TEST(full_disk)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        char *argv[] = {"spanward", "help", NULL};
        int full = open("/dev/full", O_WRONLY);
        dup2(full, STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        exit(cli_main(2, argv));
    }
    waitpid(pid, &status, 0);
    ck_assert_int_eq(WEXITSTATUS(status), CLI_ERROR);
}
END_TEST

/* ---- child programs and lines ---- */

START_TEST(lines_of_a_pipe)
{
    int fds[2];
    struct line_reader r;
    char *line, big[200001];
    size_t len;

    ck_assert_int_eq(pipe(fds), 0);
    line_reader_init(&r, fds[0]);
    ck_assert_int_eq(line_reader_next(&r, 1, &line, &len), -EAGAIN);
    ck_assert_int_eq(write(fds[1], "one\n\ntw", 7), 7);
    ck_assert_int_eq(line_reader_next(&r, 1, &line, &len), 1);
    ck_assert_str_eq(line, "one");
    ck_assert_int_eq(line_reader_next(&r, 1, &line, &len), 1);
    ck_assert_str_eq(line, "");
    ck_assert_int_eq(line_reader_next(&r, 1, &line, &len), -EAGAIN);
    ck_assert_int_eq(write(fds[1], "o\n", 2), 2);
    ck_assert_int_eq(line_reader_next(&r, 1, &line, &len), 1);
    ck_assert_str_eq(line, "two");
    if (fork() == 0) {
        memset(big, 'x', sizeof(big));
        _exit(write(fds[1], big, sizeof(big)) != sizeof(big));
    }
    close(fds[1]);
    ck_assert_int_eq(line_reader_next(&r, 1000, &line, &len), 1); /* the last line, without its end */
    ck_assert_uint_eq(len, sizeof(big));
    ck_assert_int_eq(line_reader_next(&r, 1000, &line, &len), 0);
    line_reader_fini(&r);
    wait(NULL);
}
END_TEST

START_TEST(children)
{
    struct child c;
    struct error e = {""};
    char *sh[] = {"sh", "-c", "echo hello; exit 7", NULL}, *none[] = {"spanward-nothing", NULL};
    char *killed[] = {"sh", "-c", "kill -9 $$", NULL};
    char buf[32] = "";

    ck_assert_int_eq(child_start(&c, "sh", sh, CHILD_STDOUT_PIPE, &e), 0);
    ck_assert_int_eq(read(c.out_fd, buf, sizeof(buf)), 6);
    ck_assert_str_eq(buf, "hello\n");
    ck_assert_int_eq(child_wait(&c), 7);
    ck_assert_int_eq(child_start(&c, "sh", killed, CHILD_STDOUT_NULL, &e), 0);
    ck_assert_int_eq(child_wait(&c), 128 + 9);
    ck_assert_int_eq(child_start(&c, "spanward-nothing", none, CHILD_STDOUT_INHERIT, &e), -ENOENT);
    expect_in(e.text, "cannot start spanward-nothing");
}
END_TEST

START_TEST(progress_of_a_reader)
{
    char path[] = "/tmp/spanward-test-XXXXXX", buf[250];
    int fd = mkstemp(path);

    ck_assert_int_eq(ftruncate(fd, 1000), 0);
    ck_assert_int_eq(read(fd, buf, 250), 250);
    double at = child_progress(getpid(), path);
    close(fd);
    double closed = child_progress(getpid(), path);
    unlink(path);
    ck_assert_double_eq_tol(at, 0.25, 1e-9);
    ck_assert_double_lt(closed, 0);
}
END_TEST

/* ---- the report ---- */

static const char flow_format[] =
    "{\"type\":\"flow\",\"community_id\":\"1:x\",\"proto\":\"tcp\",\"client\":\"%s\",\"client_port\":%d,"
    "\"server\":\"2001:db8::1\",\"server_port\":443,\"first_ns\":1700000000000000000,\"last_ns\":1700000001000000000,"
    "\"path\":\"A~B\",\"service\":\"https\",\"c2s\":{\"pkts\":60,\"bytes\":1000},\"s2c\":{\"pkts\":40,\"bytes\":2000},"
    "\"tcp\":{\"syn_retries\":0,\"rtt_client_us\":{\"min\":1,\"max\":3,\"sum\":4.0,\"n\":2},"
    "\"rtt_server_us\":{\"min\":null,\"max\":null,\"sum\":0,\"n\":0},"
    "\"c2s\":{\"retrans_pkts\":1,\"lost_upstream_pkts\":%d,\"lost_downstream_pkts\":2,\"lost_unknown_pkts\":0},"
    "\"s2c\":{\"retrans_pkts\":2,\"lost_upstream_pkts\":3,\"lost_downstream_pkts\":4,\"lost_unknown_pkts\":1}}}";

START_TEST(loss_by_side)
{
    char text[2048];

    snprintf(text, sizeof(text), flow_format, "10.0.0.1", 51000, 1);
    json_t *row = row_of_flow(json_loads(text, 0, NULL));
    ck_assert_str_eq(json_string_value(row_value(row, "derived.client")), "10.0.0.1:51000");
    ck_assert_str_eq(json_string_value(row_value(row, "derived.server")), "[2001:db8::1]:443");
    ck_assert_int_eq(json_integer_value(row_value(row, "derived.lost_client_pkts")), 1 + 4);
    ck_assert_int_eq(json_integer_value(row_value(row, "derived.lost_server_pkts")), 2 + 3);
    ck_assert_int_eq(json_integer_value(row_value(row, "derived.lost_pkts")), 11);
    ck_assert_double_eq_tol(json_number_value(row_value(row, "derived.loss_pct")), 11, 1e-9);
    ck_assert_double_eq_tol(json_number_value(row_value(row, "derived.rtt_client_us")), 2, 1e-9);
    ck_assert_ptr_null(row_value(row, "derived.rtt_server_us")); /* n = 0 is not 0 us */
    json_object_set_new(json_object_get(json_object_get(row, "tcp"), "c2s"), "lost_upstream_pkts", json_null());
    row_of_flow(row);
    ck_assert_ptr_null(row_value(row, "derived.lost_client_pkts")); /* one unknown part: the sum is unknown */
    ck_assert_ptr_null(row_value(row, "derived.loss_pct"));
    ck_assert_ptr_nonnull(row_value(row, "derived.lost_server_pkts"));
    json_decref(row);
}
END_TEST

START_TEST(worst_are_kept)
{
    struct worst w;

    ck_assert_int_eq(worst_init(&w, 3), 0);
    for (unsigned i = 0; i < 1000; i++) {
        unsigned bad = i * 7919 % 1000;
        worst_offer(&w, json_integer(bad), (struct badness){{bad / 2, bad % 2}});
    }
    json_t *rows = worst_rows(&w);
    ck_assert_uint_eq(json_array_size(rows), 3);
    ck_assert_uint_eq(w.n_seen, 1000);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(json_integer_value(json_array_get(rows, i)), 999 - i);
    json_decref(rows);
    worst_fini(&w);
}
END_TEST

static char *report_text(struct report *r)
{
    struct table_view view = {.utc = true};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    report_print(f, r, &view);
    fclose(f);
    return text;
}

START_TEST(report_of_records)
{
    struct report r;
    struct error e = {""};
    char line[2048];
    const char *const others[] = {
        ("{\"type\":\"verdict\",\"mirror\":\"m\\u001b[2J\",\"both_directions\":false,\"duplicate_pct\":0.0,"
         "\"truncated\":true,"
         "\"capture_loss_pct\":null,\"notes\":[\"look \\u001bhere\"]}"),
        ("{\"type\":\"ledger\",\"mirror\":\"m\",\"offered\":10,\"processed\":7,\"drops\":{\"decode_short\":1,"
         "\"filtered\":null}}"),
        "{\"type\":\"event\",\"ts_ns\":2,\"kind\":\"bfd.down\",\"severity\":\"minor\",\"subject\":\"x\"}",
        "{\"type\":\"event\",\"ts_ns\":3,\"kind\":\"bfd.down\",\"severity\":\"major\",\"subject\":\"y\"}",
        "{\"type\":\"from_the_future\",\"x\":1}",
    };
    ck_assert_int_eq(report_init(&r), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof(line), flow_format, "10.0.0.1", 1000 + i, i);
        ck_assert_int_eq(report_add(&r, line, strlen(line), &e), 0);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_int_eq(report_add(&r, others[i], strlen(others[i]), &e), 0);
    char *text = report_text(&r);
    ck_assert_ptr_null(strchr(text, '\033'));
    expect_in(text, "ONE DIRECTION ONLY");
    expect_in(text, "capture loss unknown");
    expect_in(text, "look \\x1bhere");
    expect_in(text, "DOES NOT ADD UP"); /* 10 offered, 7 + 1 accounted for */
    expect_in(text, "8 of 100");
    expect_in(text, "10.0.0.1:1099");
    ck_assert_ptr_null(strstr(text, "10.0.0.1:1050"));
    expect_in(text, "major     bfd.down      2");
    free(text);
    report_fini(&r);
}
END_TEST

/* The heap after 30,000 flows is what it was after 1,000. (Under ASan mallinfo2 counts nothing; the plain build does.)
 */
START_TEST(report_memory_does_not_grow)
{
    struct report r;
    struct error e;
    char line[2048];
    size_t after_1000 = 0;

    ck_assert_int_eq(report_init(&r), 0);
    for (int i = 0; i < 30000; i++) {
        snprintf(line, sizeof(line), flow_format, "10.0.0.1", i % 65536, i * 7919 % 30000);
        ck_assert_int_eq(report_add(&r, line, strlen(line), &e), 0);
        if (i == 1000)
            after_1000 = mallinfo2().uordblks;
    }
    ck_assert_uint_le(mallinfo2().uordblks, after_1000 + 4096);
    report_fini(&r);
}
END_TEST

START_TEST(report_refuses_what_is_no_record)
{
    static const char *const bad[] = {
        "", "{", "null", "[]", "{\"type\":1}", "{\"a\":\"b\"}", "\xff", "{\"type\":\"flow\""};
    struct error e;
    struct report r;

    ck_assert_int_eq(report_init(&r), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(report_add(&r, bad[i], strlen(bad[i]), &e), -EBADMSG);
        expect_in(e.text, "line 1 is no record");
    }
    /* records of the right type and the wrong shape are taken as far as they go */
    ck_assert_int_eq(report_add(&r, "{\"type\":\"flow\",\"tcp\":7,\"c2s\":[]}", 32, &e), 0);
    ck_assert_int_eq(report_add(&r, "{\"type\":\"path\",\"path\":{}}", 25, &e), 0);
    ck_assert_int_eq(report_add(&r, "{\"type\":\"event\",\"kind\":{}}", 26, &e), 0);
    free(report_text(&r));
    report_fini(&r);
}
END_TEST

/* ---- commands that look into Redis ---- */

static struct store_private *redis;
static char dir[64], option[160];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

#define T0 (1700000040 * NS_PER_S) /* a full minute */

static void put_path(struct store *s, const char *name, enum window_quality quality, uint64_t lost_upstream)
{
    struct window w = {.scope = WINDOW_PATH, .quality = quality, .start_ns = T0, .length_ns = 60 * NS_PER_S};

    snprintf(w.name, sizeof(w.name), "%s", name);
    w.c.dir[0].pkts = w.c.dir[1].pkts = 5000;
    w.c.dir[0].data_pkts = w.c.dir[0].judged_pkts = 1000;
    w.c.dir[1].data_pkts = w.c.dir[1].judged_pkts = 1000;
    w.c.dir[1].lost_upstream_pkts = lost_upstream;
    w.q[WINDOW_HIST_RTT_A] = (struct window_quantiles){10, 1000000, 1000000, 2000000, 3000000, 4000000, 5000000};
    ck_assert_int_eq(schema_put_window(s, "s1", SCHEMA_1MIN, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s1", WINDOW_PATH, name, T0), 0);
}

static void put_service(struct store *s, const char *name, uint64_t judged)
{
    struct window w = {.scope = WINDOW_SERVICE, .start_ns = T0, .length_ns = 60 * NS_PER_S};

    snprintf(w.name, sizeof(w.name), "%s", name);
    w.c.refused_connects = 3;
    w.c.unanswered_connects = 4;
    w.c.dir[0].pkts = 10;
    for (int d = 0; d < 2; d++) {
        w.c.dir[d].data_pkts = 100;
        w.c.dir[d].judged_pkts = judged;
        w.c.dir[d].lost_upstream_pkts = judged ? 5 : 0;
    }
    ck_assert_int_eq(schema_put_window(s, "s1", SCHEMA_1MIN, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s1", WINDOW_SERVICE, name, T0), 0);
}

static void put_telemetry(struct store *s)
{
    struct schema_sensor sensor = {.name = "s1",
                                   .version = "0.1.0",
                                   .window_ns = 10 * NS_PER_S,
                                   .stopped = true,
                                   .data_ns = T0 + 70 * NS_PER_S,
                                   .n_mirrors = 1,
                                   .flows = 3,
                                   .mirror = {"cap.pcap"}};
    struct ledger ledger = {.offered = 100, .processed = 90, .unsupported = 1u << LEDGER_nic_missed};
    struct schema_event ev = {.ts_ns = T0,
                              .kind = EVENT_MIRROR_ONE_WAY,
                              .severity = EVENT_major,
                              .kind_name = "mirror.one_way",
                              .mirror = "cap.pcap",
                              .subject = "evil\033[31m",
                              .detail = "{\"share\":1}"};
    struct schema_id last = {0};
    struct schema_outcome outcome;
    char flow[2048];

    ledger.drops[LEDGER_decode_short] = 10;
    for (int t = 0; t < SCHEMA_TIER_COUNT; t++)
        sensor.latest_start_ns[t] = UINT64_MAX;
    sensor.latest_start_ns[SCHEMA_1MIN] = T0;
    snprintf(flow, sizeof(flow), flow_format, "10.0.0.9", 51000, 1);
    struct schema_flow top[] = {{.score = 11, .json = flow}};
    schema_id_format(ev.id, schema_id_next(&last, T0));
    ck_assert_int_eq(schema_put_sensor(s, &sensor), 0);
    ck_assert_int_eq(schema_put_ledger(s, "s1", "cap.pcap", &ledger), 0);
    ck_assert_int_eq(
        schema_put_verdict(s, "s1", "cap.pcap",
                           "{\"type\":\"verdict\",\"mirror\":\"cap.pcap\",\"both_directions\":true,"
                           "\"duplicate_pct\":2.5,\"truncated\":false,\"capture_loss_pct\":0.0,\"notes\":[]}"),
        0);
    ck_assert_int_eq(schema_put_event(s, "s1", &ev), 0);
    ck_assert_int_eq(
        schema_put_top(s, "s1", SCHEMA_TOP_LOSS, SCHEMA_1H, T0 / (3600 * NS_PER_S) * 3600 * NS_PER_S, top, 1), 0);
    put_path(s, "clean~hq", WINDOW_OK, 0);
    put_path(s, "branch~hq", WINDOW_UNSURE, 25);
    put_service(s, "https", 100);
    put_service(s, "one\377way", 0); /* no UTF-8 */
    ck_assert_int_eq(schema_flush(s, &outcome), 0);
    ck_assert_uint_eq(outcome.refused, 0);
}

static void put_entities(struct store *s)
{
    struct entity_problem p = {.id = "PRB-1",
                               .object = "branch~hq",
                               .state = PROBLEM_CONFIRMED,
                               .fault = FAULT_LOSS,
                               .direction = DIRECTION_B2A,
                               .value = 0.041,
                               .baseline = 0.0001,
                               .occurrences = 5,
                               .exposures = 6,
                               .p_value = 0.0004,
                               .pattern_text = "every Tuesday 08:00-11:00",
                               .ticket = "TKT-1"};
    struct entity_incident i = {.id = "INC-7",
                                .object = "branch~hq",
                                .state = INCIDENT_OPEN,
                                .onset_ns = T0,
                                .end_ns = T0 + 600 * NS_PER_S,
                                .fault = FAULT_LATENCY,
                                .direction = DIRECTION_SIDE_B,
                                .value = 250e6};
    struct entity_ticket t = {.id = "TKT-1",
                              .title = "Loss on branch~hq",
                              .body = "first line\nsecond line",
                              .dry_run = 1,
                              .version = 3,
                              .problem = "PRB-1"};
    struct entity_batch *b = entity_batch_new(s);
    struct error e = {""};

    entity_batch_put(b, ENTITY_PROBLEM, &p);
    entity_batch_put(b, ENTITY_INCIDENT, &i);
    entity_batch_put(b, ENTITY_TICKET, &t);
    ck_assert_msg(entity_batch_commit(b, &e) == 0, "%s", e.text);
}

static void fill_redis(bool with_data)
{
    struct error e = {""};
    struct store *s;

    snprintf(dir, sizeof(dir), "/tmp/spanward-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_msg(store_private_start(dir, true, &redis, &e) == 0, "%s", e.text);
    snprintf(option, sizeof(option), "--redis %s", store_private_url(redis));
    if (!with_data)
        return;
    ck_assert_int_eq(store_open(&(struct store_options){.url = store_private_url(redis)}, &s, &e), 0);
    put_telemetry(s);
    put_entities(s);
    store_close(s);
}

static void drop_redis(void)
{
    store_private_stop(redis);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int with_redis(const char *line)
{
    char full[640];

    snprintf(full, sizeof(full), "%s %s", line, option);
    return spanward(full);
}

START_TEST(an_empty_redis)
{
    static const char *const want_sensor[] = {"status", "sensors", "paths", "services", "flows", "events"};
    static const char *const want_none[] = {"incidents", "problems", "tickets"};
    char file[128], command[160];

    fill_redis(false);
    snprintf(file, sizeof(file), "%s/empty", dir);
    snprintf(command, sizeof(command), "backup %s", file);
    ck_assert_int_eq(with_redis(command), CLI_ERROR); /* nothing is no backup, and must not take the place of one */
    expect_one_line("nothing was written");
    ck_assert_int_ne(access(file, F_OK), 0);
    for (size_t i = 0; i < sizeof(want_sensor) / sizeof(want_sensor[0]); i++) {
        ck_assert_int_eq(with_redis(want_sensor[i]), CLI_ERROR);
        expect_one_line("no sensor has written to this Redis yet");
    }
    for (size_t i = 0; i < sizeof(want_none) / sizeof(want_none[0]); i++) {
        ck_assert_int_eq(with_redis(want_none[i]), CLI_OK);
        expect_one_line("No ");
    }
    drop_redis();
}
END_TEST

/* Every command's --json is one object per line; --plain has as many fields in each line as in the header. */
static void check_machine_formats(const char *command)
{
    char line[128];
    size_t tabs = 0, seen = 0;

    snprintf(line, sizeof(line), "%s --json", command);
    ck_assert_msg(with_redis(line) == 0, "%s: %s", line, err);
    ck_assert_str_ne(out, "");
    for (char *save, *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        json_t *row = json_loads(l, 0, NULL);
        ck_assert_msg(json_is_object(row), "%s: %s", line, l);
        json_decref(row);
    }
    snprintf(line, sizeof(line), "%s --plain", command);
    ck_assert_int_eq(with_redis(line), 0);
    for (char *save, *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save), seen++) {
        size_t n = 0;
        for (const char *p = l; *p != '\0'; p++)
            n += *p == '\t';
        if (seen == 0)
            tabs = n;
        ck_assert_msg(n == tabs, "%s: %s", line, l);
    }
    ck_assert_uint_ge(seen, 2);
    ck_assert_ptr_null(strchr(out, '\033'));
}

START_TEST(what_is_in_redis)
{
    static const char *const commands[] = {"status", "sensors",   "paths",    "flows",
                                           "events", "incidents", "problems", "tickets"};

    fill_redis(true);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        check_machine_formats(commands[i]);
    ck_assert_int_eq(with_redis("status --utc"), 0);
    expect_in(out, "s1      cap.pcap  done   2023-11-14 22:15:10Z");
    expect_in(out, "100 packets offered = 90 processed + 10 dropped (decode_short 10)");
    expect_in(out, "branch~hq");
    expect_in(out, "1 incidents open,  1 problems unsolved,  1 tickets open");
    ck_assert_int_eq(with_redis("status --json"), 0);
    expect_in(out, "\"nic_missed\":null"); /* what the driver cannot tell is null, not 0 */
    drop_redis();
}
END_TEST

START_TEST(windows_leave_as_lines_or_csv)
{
    fill_redis(true);
    ck_assert_int_eq(with_redis("export --since 1d --format csv"), 0);
    char *save, *head = strtok_r(out, "\n", &save), *first = strtok_r(NULL, "\n", &save);
    size_t commas = 0, of_head = 0;
    expect_in(head, "sensor,scope,object,tier,start_ns,length_ns,quality,missing_pct,a2b_pkts,a2b_bytes");
    expect_in(head, "rtt_a_us_n,rtt_a_us_min,rtt_a_us_p10");
    expect_in(first, "s1,path,branch~hq,1min,1700000040000000000,60000000000,unsure,0,5000,");
    expect_in(
        first,
        ",10,999.936,1007.616,2015.232,2981.888,4030.464,5001.216,0,,,,,,,0,"); /* as stored: to 2^-11 and a bucket */
    for (const char *p = head; *p != '\0'; p++)
        of_head += *p == ',';
    for (const char *p = first; *p != '\0'; p++)
        commas += *p == ',';
    ck_assert_uint_eq(commas, of_head);
    ck_assert_ptr_nonnull(strtok_r(NULL, "\n", &save));
    ck_assert_ptr_null(strtok_r(NULL, "\n", &save));

    ck_assert_int_eq(with_redis("export --scope service --since 2023-11-14T22:14Z --until @1700000041"), 0);
    unsigned n = 0;
    for (char *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save), n++) {
        json_t *row = json_loads(l, 0, NULL);
        ck_assert_msg(json_is_object(row), "%s", l);
        ck_assert_int_eq(json_integer_value(json_object_get(row, "refused_connects")), 3);
        bool known = strcmp(json_string_value(json_object_get(row, "object")), "https") == 0;
        ck_assert_int_eq(json_is_null(json_object_get(row, "c2s_lost_upstream_pkts")), !known);
        ck_assert(json_is_null(json_object_get(row, "rtt_client_us_p50")));
        json_decref(row);
    }
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(with_redis("export --since 2023-11-14T22:14Z --until 1700000040"), CLI_USAGE);
    expect_one_line("--until wants a duration such as 2h");
    ck_assert_int_eq(with_redis("export --until @1700000040"), 0);
    expect_one_line("No windows in that time.");
    ck_assert_int_eq(with_redis("export --scope circle"), CLI_USAGE);
    expect_one_line("--scope is one of mirror, path, service, host, circuit, vlan, tunnel, not 'circle'");
    drop_redis();
}
END_TEST

/* Changes one byte of a file in which `what` begins. */
static void damage(const char *path, const char *what, char by)
{
    FILE *f = fopen(path, "r+");
    char *text = calloc(1, 1 << 20);

    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, f), 0);
    char *at = strstr(text, what);
    ck_assert_ptr_nonnull(at);
    fseek(f, at - text, SEEK_SET);
    fputc(by, f);
    fclose(f);
    free(text);
}

static void copy_file(const char *from, const char *to)
{
    char line[600];

    snprintf(line, sizeof(line), "cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(line), 0);
}

static void refuses(const char *file, const char *reason)
{
    char line[400];

    snprintf(line, sizeof(line), "restore %s --replace", file);
    ck_assert_int_eq(with_redis(line), CLI_ERROR);
    expect_one_line(reason);
    expect_in(err, "nothing was changed");
    ck_assert_int_eq(with_redis("problems --json"), 0);
    expect_in(out, "\"PRB-1\"");
}

START_TEST(state_is_backed_up_and_restored)
{
    char line[400], file[128], bad[128];
    struct error e = {""};
    struct store *s;

    fill_redis(true);
    snprintf(file, sizeof(file), "%s/control.backup", dir);
    snprintf(bad, sizeof(bad), "%s/bad.backup", dir);
    ck_assert_int_eq(store_open(&(struct store_options){.url = store_private_url(redis)}, &s, &e), 0);
    store_reply_free(store_command(s, "HSET %s %s %b", "sw1:{ctl}:bins:a", "3",
                                   "\x00\xff\x80"
                                   "a",
                                   (size_t)4));
    store_reply_free(store_command(s, "XADD %s * verb x", "sw1:{ctl}:inbox"));
    snprintf(line, sizeof(line), "backup %s", file);
    ck_assert_int_eq(with_redis(line), 0);
    expect_in(err, "4 entries");
    struct stat st;
    ck_assert(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600);

    /* not over what is there, unless asked to; and not when it does not fit */
    snprintf(line, sizeof(line), "restore %s", file);
    ck_assert_int_eq(with_redis(line), CLI_ERROR);
    expect_one_line("--replace puts the backup in its place; nothing was changed");
    copy_file(file, bad);
    damage(bad, "PRB-1", 'Q');
    refuses(bad, "its checksum is wrong");
    copy_file(file, bad);
    damage(bad, "1,\"created", '7');
    refuses(bad, "the backup is of version 7, this program reads version 1");
    copy_file(file, bad);
    ck_assert_int_eq(truncate(bad, st.st_size - 70), 0);
    refuses(bad, "line ");
    ck_assert_int_eq(truncate(bad, 0), 0);
    refuses(bad, "this is no backup of spanward");
    ck_assert_int_eq(with_redis("restore /nonexistent/x --replace"), CLI_ERROR);
    expect_one_line("cannot read /nonexistent/x: No such file or directory");
    /* everything comes back, and what was new since is gone */
    store_reply_free(store_command(s, "DEL %s %s", "sw1:{ctl}:problem", "sw1:{ctl}:bins:a"));
    store_reply_free(store_command(s, "HSET %s 1 2", "sw1:{ctl}:history"));
    snprintf(line, sizeof(line), "restore %s --replace", file);
    ck_assert_msg(with_redis(line) == 0, "%s", err);
    ck_assert_int_eq(with_redis("problems --json"), 0);
    expect_in(out, "\"PRB-1\"");
    struct store_reply *r = store_command(s, "HGET %s 3", "sw1:{ctl}:bins:a");
    size_t len = 0;
    ck_assert_mem_eq(store_reply_string(r, &len),
                     "\x00\xff\x80"
                     "a",
                     4);
    ck_assert_uint_eq(len, 4);
    store_reply_free(r);
    r = store_command(s, "EXISTS %s", "sw1:{ctl}:history");
    ck_assert_int_eq(store_reply_integer(r), 0);
    store_reply_free(r);
    r = store_command(s, "XLEN %s", "sw1:{ctl}:inbox"); /* on its way, no state */
    ck_assert_int_eq(store_reply_integer(r), 1);
    store_reply_free(r);
    /* into an empty one without being asked */
    store_reply_free(store_command(s, "FLUSHALL"));
    snprintf(line, sizeof(line), "restore %s", file);
    ck_assert_int_eq(with_redis(line), 0);
    store_close(s);
    drop_redis();
}
END_TEST

START_TEST(the_organisation_at_a_glance)
{
    struct error e = {""};
    struct schema_outcome outcome;
    struct store *s;

    fill_redis(true);
    ck_assert_int_eq(store_open(&(struct store_options){.url = store_private_url(redis)}, &s, &e), 0);
    struct window w = {.scope = WINDOW_MIRROR, .name = "m", .start_ns = T0, .length_ns = 10 * NS_PER_S};
    w.c.dir[0].frame_bytes = 125000000;
    struct schema_sensor sensor = {.name = "s2",
                                   .version = "0.1.0",
                                   .live = true,
                                   .window_ns = 10 * NS_PER_S,
                                   .heartbeat_wall_ns = (uint64_t)time(NULL) * NS_PER_S,
                                   .data_ns = T0,
                                   .n_mirrors = 1,
                                   .spool_items = 12345,
                                   .fragments_evicted = 2,
                                   .fragments_unmatched = 3,
                                   .mirror = {"m"}};
    for (int t = 0; t < SCHEMA_TIER_COUNT; t++)
        sensor.latest_start_ns[t] = UINT64_MAX;
    sensor.latest_start_ns[SCHEMA_BASE] = T0;
    ck_assert_int_eq(schema_put_sensor(s, &sensor), 0);
    ck_assert_int_eq(schema_put_window(s, "s2", SCHEMA_BASE, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s2", WINDOW_MIRROR, "m", T0), 0);
    w.scope = WINDOW_VLAN;
    snprintf(w.name, sizeof(w.name), "100.20");
    w.c.peak_1ms_bytes = 125000;
    ck_assert_int_eq(schema_put_window(s, "s2", SCHEMA_BASE, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s2", WINDOW_VLAN, "100.20", T0), 0);
    ck_assert_int_eq(schema_flush(s, &outcome), 0);
    store_close(s);
    ck_assert_int_eq(with_redis("sensors --columns sensor,state,rate,waiting,fragments"), 0);
    expect_in(out, "2 sensors: 1 live, 1 done; 100 Mbit/s on 0 paths");
    expect_in(out, "12 345");
    check_machine_formats("sensors");
    check_machine_formats("vlans");
    ck_assert_int_eq(with_redis("vlans"), 0);
    expect_in(out, "100.20");
    expect_in(out, "100 Mbit/s");
    expect_in(out, "1 Gbit/s");
    ck_assert_int_eq(with_redis("tunnels"), 0);
    expect_one_line("No tunnel in the newest window.");
    drop_redis();
}
END_TEST

START_TEST(paths_worst_first)
{
    fill_redis(true);
    ck_assert_int_eq(with_redis("paths"), 0);
    ck_assert(strstr(out, "branch~hq") < strstr(out, "clean~hq"));
    expect_in(out, "2.5 %");
    expect_in(out, "unsure");
    ck_assert_int_eq(with_redis("paths --sort path --limit 1 --columns path,b-tap --plain"), 0);
    ck_assert_str_eq(out, "path\tb-tap\nbranch~hq\t2.5\n");
    ck_assert_int_eq(with_redis("paths clean~hq --utc"), 0);
    expect_in(out, "2023-11-14 22:14:00Z");
    ck_assert_ptr_null(strstr(out, "branch"));
    ck_assert_int_eq(with_redis("paths no~where"), CLI_ERROR);
    expect_one_line("no windows of this path in that time; see: spanward paths");
    ck_assert_int_eq(with_redis("paths no~where --json"), CLI_ERROR);
    ck_assert_int_eq(with_redis("paths --tier week"), CLI_USAGE);
    expect_one_line("--tier is one of");
    ck_assert_int_eq(with_redis("paths clean~hq --since soon"), CLI_USAGE);
    expect_one_line("--since wants a duration");
    ck_assert_int_eq(with_redis("paths --sensor s2"), CLI_ERROR);
    expect_one_line("no sensor named 's2'");
    drop_redis();
}
END_TEST

START_TEST(flows_events_entities)
{
    fill_redis(true);
    ck_assert_int_eq(with_redis("services --columns name,failed,lost-client,lost-server --plain"), 0);
    ck_assert_str_eq(out, "name\tfailed\tlost-client\tlost-server\nhttps\t7\t5\t5\none\\xffway\t7\t-\t-\n");
    ck_assert_int_eq(with_redis("flows"), 0);
    expect_in(out, "10.0.0.9:51000");
    expect_in(out, "11 %");
    ck_assert_int_eq(with_redis("events"), 0);
    expect_in(out, "mirror.one_way");
    expect_in(out, "evil\\x1b[31m");
    ck_assert_int_eq(with_redis("incidents"), 0);
    expect_in(out, "latency side_b  250 ms");
    expect_in(out, "10 min");
    ck_assert_int_eq(with_redis("incidents --state closed"), 0);
    expect_one_line("No incidents");
    ck_assert_int_eq(with_redis("problems"), 0);
    expect_in(out, "every Tuesday 08:00-11:00");
    expect_in(out, "loss b2a  4.1 %  0.01 %");
    expect_in(out, "5 of 6");
    ck_assert_int_eq(with_redis("tickets"), 0);
    expect_in(out, "dry run");
    ck_assert_int_eq(with_redis("tickets TKT-1"), 0);
    expect_in(out, "first line\n");
    expect_in(out, " second line\n");
    ck_assert_int_eq(with_redis("tickets TKT-2"), CLI_ERROR);
    expect_one_line("there is no 'TKT-2'");
    drop_redis();
}
END_TEST

/* The order of places: option before environment before the private server's socket. */
START_TEST(where_redis_is)
{
    char saved[160];

    fill_redis(true);
    snprintf(saved, sizeof(saved), "%s", option + strlen("--redis "));
    setenv("SPANWARD_REDIS", saved, 1);
    ck_assert_int_eq(spanward("sensors"), 0);
    ck_assert_int_eq(spanward("sensors --redis unix:/nonexistent/r.sock"), CLI_ERROR);
    unsetenv("SPANWARD_REDIS");
    char path[] = "/tmp/spanward-test-XXXXXX.yaml", line[128];
    int fd = mkstemps(path, 5);
    ck_assert_int_gt(dprintf(fd, "sensor:\n  state_dir: %s\n", dir), 0);
    close(fd);
    snprintf(line, sizeof(line), "sensors --config %s", path);
    int code = spanward(line);
    unlink(path);
    ck_assert_msg(code == 0, "%s", err);
    drop_redis();
}
END_TEST

/* ---- read, with programs that behave as told (tests/stack runs the real ones) ---- */

static char programs[64];

static void put_program(const char *name, const char *body)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", programs, name);
    FILE *f = fopen(path, "w");
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    ck_assert_int_eq(chmod(path, 0755), 0);
}

static size_t count_entries(const char *path, const char *prefix)
{
    DIR *d = opendir(path);
    size_t n = 0;

    for (struct dirent *x; (x = readdir(d)) != NULL;)
        n += strncmp(x->d_name, prefix, strlen(prefix)) == 0;
    closedir(d);
    return n;
}

/* A folder with a probe of that body, a control that does nothing, and a file to read. */
static void make_programs(const char *probe)
{
    char path[256];

    snprintf(programs, sizeof(programs), "/tmp/spanward-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(programs));
    put_program("spanward-probe", probe);
    put_program("spanward-control", "echo \"$@\" >\"$(dirname \"$0\")/control.args\"");
    snprintf(path, sizeof(path), "%s:/usr/bin:/bin", programs);
    setenv("PATH", path, 1);
    setenv("TMPDIR", programs, 1);
    snprintf(path, sizeof(path), "%s/x.pcap", programs);
    FILE *f = fopen(path, "w");
    fclose(f);
    ck_assert_int_eq(chdir(programs), 0);
    f = fopen("c.yaml", "w");
    fputs("sensor:\n  name: s\n", f);
    fclose(f);
}

static int read_with(const char *probe, const char *options)
{
    char line[256];

    make_programs(probe);
    snprintf(line, sizeof(line), "read %s/x.pcap %s", programs, options);
    int code = spanward(line);
    ck_assert_uint_eq(count_entries(programs, "spanward-XXXXXX"), 0);
    ck_assert_uint_eq(count_entries(programs, "spanward-"), 2); /* the programs; no temporary Redis is left behind */
    nftw(programs, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return code;
}

#define VERDICT "echo '{\"type\":\"verdict\",\"mirror\":\"m\",\"both_directions\":true,\"notes\":[]}'; "

START_TEST(read_hands_exit_codes_through)
{
    ck_assert_int_eq(read_with(VERDICT "exit 0", ""), CLI_OK);
    expect_in(out, "m: both directions");
    expect_in(out, "Incidents, problems, tickets  none");
    expect_in(out, "Next");
    ck_assert_str_eq(err, "");
    ck_assert_int_eq(read_with(VERDICT "echo 'probe: x.pcap is cut' >&2; exit 3", "--no-next"), CLI_CUT);
    expect_in(out, "m: both directions");
    ck_assert_ptr_null(strstr(out, "Next"));
    ck_assert_str_eq(err, "probe: x.pcap is cut\n");
    for (int code = 1; code <= 2; code++) {
        char probe[64];
        snprintf(probe, sizeof(probe), "echo 'probe: why' >&2; exit %d", code);
        ck_assert_int_eq(read_with(probe, ""), code);
        ck_assert_str_eq(err, "probe: why\n");
        ck_assert_str_eq(out, "");
        ck_assert_int_eq(read_with(probe, "--json"), code);
        ck_assert_str_eq(err, "probe: why\n");
    }
    ck_assert_int_eq(read_with("kill -SEGV $$", ""), CLI_ERROR);
    expect_one_line("spanward-probe was ended by signal 11");
    ck_assert_int_eq(read_with("echo nonsense; sleep 30", ""), CLI_ERROR);
    expect_one_line("line 1 is no record");
}
END_TEST

START_TEST(read_for_programs)
{
    ck_assert_int_eq(read_with("echo \"$@\"", "--json --config c.yaml --name n1"), CLI_OK);
    expect_in(out, "--read ");
    expect_in(out, "/x.pcap --config c.yaml --name n1 --json\n");
    ck_assert_ptr_null(strstr(out, "--redis")); /* nothing but records is asked for */
    ck_assert_int_eq(read_with("echo \"$@\"", "--json --redis unix:/r.sock"), CLI_OK);
    expect_in(out, "--redis unix:/r.sock --json");
}
END_TEST

/* Ended by a signal while the probe works: its children end, nothing is left in the temporary directory. */
START_TEST(read_interrupted)
{
    char path[128], *argv[] = {"spanward", "read", path, NULL};
    int status, waited = 0;

    make_programs("touch \"$TMPDIR/started\"; exec sleep 30");
    snprintf(path, sizeof(path), "%s/x.pcap", programs);
    pid_t pid = fork();
    if (pid == 0)
        exit(cli_main(3, argv));
    while (count_entries(programs, "started") == 0 && waited++ < 1000)
        usleep(10000);
    ck_assert_int_eq(kill(pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM);
    ck_assert_uint_eq(count_entries(programs, "spanward-"), 2);
    nftw(programs, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

START_TEST(read_without_programs)
{
    char line[128];

    make_programs("exit 0");
    snprintf(line, sizeof(line), "%s/spanward-control", programs);
    unlink(line);
    snprintf(line, sizeof(line), "read %s/x.pcap", programs);
    ck_assert_int_eq(spanward(line), CLI_ERROR);
    expect_in(err, "cannot start spanward-control");
    snprintf(line, sizeof(line), "%s/spanward-probe", programs);
    unlink(line);
    snprintf(line, sizeof(line), "read %s/x.pcap", programs);
    ck_assert_int_eq(spanward(line), CLI_ERROR);
    expect_one_line("cannot start spanward-probe");
    nftw(programs, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {read_hands_exit_codes_through,
                                  read_for_programs,
                                  read_interrupted,
                                  read_without_programs,
                                  usage_errors,
                                  wrong_config_key,
                                  help_covers_the_table,
                                  examples_parse,
                                  nothing_is_help_and_usage,
                                  full_disk,
                                  lines_of_a_pipe,
                                  children,
                                  progress_of_a_reader,
                                  loss_by_side,
                                  worst_are_kept,
                                  report_of_records,
                                  report_memory_does_not_grow,
                                  report_refuses_what_is_no_record,
                                  an_empty_redis,
                                  what_is_in_redis,
                                  windows_leave_as_lines_or_csv,
                                  state_is_backed_up_and_restored,
                                  the_organisation_at_a_glance,
                                  paths_worst_first,
                                  flows_events_entities,
                                  where_redis_is};

    unsetenv("COLUMNS");
    unsetenv("SPANWARD_REDIS");
    unsetenv("SPANWARD_CONFIG");
    setenv("HOME", "/nonexistent", 1);
    term_init();
    return unit_run("cli", tests, sizeof(tests) / sizeof(tests[0]));
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The CLI from argv to exit code, stdout and stderr: options, help, completion, child programs, and `read`.
 * test_cli_report.c has what `read` prints, test_cli_redis.c the commands that look into Redis.
 */

#include "tests/unit/cli_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include "apps/cli/child.h"

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

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
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

CLI_MAIN("cli", usage_errors, wrong_config_key, help_covers_the_table, examples_parse, nothing_is_help_and_usage,
         full_disk, lines_of_a_pipe, children, progress_of_a_reader, read_hands_exit_codes_through, read_for_programs,
         read_interrupted, read_without_programs)

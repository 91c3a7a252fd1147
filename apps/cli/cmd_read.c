/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward read: the whole line on capture files.
 *
 * For programs (--json) it is the probe alone, whose records go straight to our stdout. For people the probe
 * writes its records into a pipe that ends in a report of constant size, and its windows into Redis; spanward-control
 * then looks at these once, as it would live, and what it found is shown below. Redis is a private, volatile one in a
 * temporary directory unless --redis names another. Control files no ticket here, whatever the configuration says: an
 * old capture must not reach anybody's ticketing system.
 *
 * Ctrl-C reaches the children too (one process group); we then only clean up. Everything that was started is stopped
 * and the directory is removed on every way out, except when we are killed: then the kernel ends the children
 * (PR_SET_PDEATHSIG), and the directory stays.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "apps/cli/child.h"
#include "apps/cli/entity_rows.h"
#include "apps/cli/report.h"
#include "apps/place.h"
#include "common/bytes.h"
#include "common/config.h"
#include "store/store.h"

#define TICK_MS     200
#define ARGS_EXTRA  16u
#define PROGRESS_MS 1000 /* a faster run shows no progress at all */

static volatile sig_atomic_t interrupted;

/* One run; lives on run_read's stack. */
struct run {
    struct cli *cli;
    struct report report;
    struct store_private *redis;
    char dir[64];      /* temporary, "" = none */
    const char *url;   /* of Redis; NULL = none */
    bool progress;     /* stderr is a terminal */
    bool has_progress; /* a progress line is on the screen */
    unsigned waited_ms;
};

static void on_signal(int number)
{
    interrupted = number;
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sigaction(SIGPIPE, &sa, NULL); /* caught, not ignored: children start with the default */
}

/* ---- the temporary Redis ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int start_redis(struct run *run, struct error *e)
{
    const char *tmp = getenv("TMPDIR");

    if (args_value(&run->cli->args, "redis") != NULL) {
        run->url = args_value(&run->cli->args, "redis");
        return 0;
    }
    if (tmp == NULL || strlen(tmp) > 40 || *tmp != '/')
        tmp = "/tmp";
    snprintf(run->dir, sizeof(run->dir), "%s/spanward-XXXXXX", tmp);
    if (mkdtemp(run->dir) == NULL) {
        int code = -errno;
        run->dir[0] = '\0';
        return error_set(e, code, "cannot make a temporary directory in %s: %s", tmp, strerror(-code));
    }
    int r = store_private_start(run->dir, true, &run->redis, e);
    if (r == 0)
        run->url = store_private_url(run->redis);
    return r;
}

static void stop_redis(struct run *run)
{
    if (run->redis != NULL)
        store_private_stop(run->redis);
    if (run->dir[0] != '\0')
        nftw(run->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- the probe ---- */

/* exec's argv is not const, but nothing writes to it. */
static char *word(const char *text)
{
    return (char *)(uintptr_t)text;
}

static size_t add_option(char **argv, size_t n, const struct args *a, const char *option, const char *probe_option)
{
    const char *value = args_value(a, option);

    if (value != NULL) {
        argv[n++] = word(probe_option);
        argv[n++] = word(value);
    }
    return n;
}

/* argv for the probe; free the array only. */
static char **probe_argv(const struct run *run)
{
    const struct args *a = &run->cli->args;
    char **argv = calloc(2 * a->n_rest + ARGS_EXTRA, sizeof(*argv));
    size_t n = 0;

    if (argv == NULL)
        return NULL;
    argv[n++] = word("spanward-probe");
    for (size_t i = 0; i < a->n_rest; i++) {
        argv[n++] = word("--read");
        argv[n++] = a->rest[i];
    }
    n = add_option(argv, n, a, "config", "--config");
    n = add_option(argv, n, a, "name", "--name");
    if (run->url != NULL) {
        argv[n++] = word("--redis");
        argv[n++] = word(run->url);
    }
    argv[n++] = word("--json");
    return argv;
}

static void show_progress(struct run *run, const struct child *probe)
{
    const struct args *a = &run->cli->args;
    char name[64];

    run->waited_ms += TICK_MS;
    if (!run->progress || run->waited_ms < PROGRESS_MS)
        return;
    for (size_t i = 0; i < a->n_rest; i++) {
        double at = child_progress(probe->pid, a->rest[i]);
        if (at < 0)
            continue;
        const char *slash = strrchr(a->rest[i], '/');
        const char *base = slash ? slash + 1 : a->rest[i];
        text_escape(name, sizeof(name), base, strlen(base));
        fprintf(stderr, "\r\033[Kreading %s: %.0f %%", name, 100 * at);
        run->has_progress = true;
        return;
    }
}

static void clear_progress(struct run *run)
{
    if (run->has_progress)
        fputs("\r\033[K", stderr);
    run->has_progress = false;
}

/* Takes the probe's records in until it closes its stdout. */
static int collect(struct run *run, const struct child *probe, struct error *e)
{
    struct line_reader reader;
    char *line;
    size_t len;
    int r;

    line_reader_init(&reader, probe->out_fd);
    for (;;) {
        r = line_reader_next(&reader, TICK_MS, &line, &len);
        if (interrupted != 0 || r == 0)
            break;
        if (r == -EAGAIN)
            show_progress(run, probe);
        else if (r < 0 && r != -EINTR)
            break;
        else if (r == 1 && (r = report_add(&run->report, line, len, e)) < 0)
            break;
    }
    line_reader_fini(&reader);
    clear_progress(run);
    if (r < 0 && r != -EBADMSG && r != -EINTR)
        error_set(e, r, "cannot read the probe's records: %s", strerror(-r));
    return r == 1 || r == -EINTR ? 0 : r;
}

static void wait_with_progress(struct run *run, const struct child *probe)
{
    while (interrupted == 0 && !child_has_ended(probe)) {
        struct timespec tick = {.tv_nsec = (run->waited_ms < TICK_MS ? 5 : TICK_MS) * 1000000L};
        nanosleep(&tick, NULL);
        if (tick.tv_nsec < TICK_MS * 1000000L)
            run->waited_ms += 5;
        else
            show_progress(run, probe);
    }
    clear_progress(run);
}

/* Exit code of the whole run so far: the probe's own, or ours when its records cannot be taken in. */
static int run_probe(struct run *run, enum child_stdout out)
{
    struct child probe;
    struct error e = {""};
    char **argv = probe_argv(run);

    if (argv == NULL)
        return cli_fail(run->cli, CLI_ERROR, "out of memory");
    int r = child_start(&probe, "spanward-probe", argv, out, &e);
    free(argv);
    if (r < 0)
        return cli_fail(run->cli, CLI_ERROR, "%s", e.text);
    if (out == CHILD_STDOUT_PIPE)
        r = collect(run, &probe, &e);
    else
        wait_with_progress(run, &probe);
    if (interrupted != 0 || r < 0)
        kill(probe.pid, SIGTERM);
    int code = child_wait(&probe);
    if (interrupted != 0)
        return 128 + interrupted;
    if (r < 0)
        return cli_fail(run->cli, CLI_ERROR, "%s", e.text);
    if (code == 128 + SIGPIPE)
        return code;
    if (code >= 126)
        return cli_fail(run->cli, CLI_ERROR, "spanward-probe was ended by signal %d (%s)", code - 128,
                        strsignal(code - 128));
    return code;
}

/* ---- what control makes of it ---- */

static int run_control(struct run *run)
{
    const char *config = args_value(&run->cli->args, "config");
    char *argv[] = {word("spanward-control"),
                    word("--once"),
                    word("--quiet"),
                    word("--dry-run"),
                    word("--redis"),
                    word(run->url),
                    word(config ? "--config" : NULL),
                    word(config),
                    NULL};
    struct child control;
    struct error e;

    if (child_start(&control, "spanward-control", argv, CHILD_STDOUT_NULL, &e) < 0)
        return cli_fail(run->cli, CLI_ERROR, "%s", e.text);
    int code = child_wait(&control);
    return interrupted != 0 ? 128 + interrupted : code;
}

static int print_entities(struct run *run)
{
    struct store *store;
    struct error e;
    int r = store_open(&(struct store_options){.url = run->url}, &store, &e);

    if (r < 0)
        return cli_fail(run->cli, CLI_ERROR, "%s", e.text);
    struct entity_span span = {.from_ns = run->report.first_ns, .until_ns = run->report.last_ns + 1};
    r = entity_sections(stdout, store, &run->cli->view, span, &e);
    store_close(store);
    return r < 0 ? cli_fail(run->cli, CLI_ERROR, "%s", e.text) : CLI_OK;
}

/* As the shell would need it: quoted when it holds anything but plain characters. */
static void put_file_name(FILE *out, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+=:,@%";
    char safe[512];

    text_escape(safe, sizeof(safe), name, strlen(name));
    bool quote = strspn(safe, plain) != strlen(safe) || *safe == '\0';
    fprintf(out, "%s%s%s", quote ? "'" : "", safe, quote ? "'" : "");
}

static void put_read_command(const struct run *run, const char *rest)
{
    const struct args *a = &run->cli->args;

    printf("  spanward read ");
    put_file_name(stdout, a->rest[0]);
    if (args_has(a, "config")) {
        printf(" --config ");
        put_file_name(stdout, args_value(a, "config"));
    }
    printf(" %s\n", rest);
}

static void print_next(const struct run *run)
{
    report_heading(stdout, &run->cli->view, "Next", "");
    put_read_command(run, "--json | jq 'select(.type==\"flow\")'");
    if (args_has(&run->cli->args, "redis"))
        printf("  spanward flows --redis %s --by latency\n", run->url);
    else
        put_read_command(run, "--redis URL   # keep it: then paths, flows, events");
    printf("  spanward-probe --help   # the same on a live SPAN port\n");
}

/* ---- the command ---- */

/*
 * Before anything is started: a name that is not there needs no Redis to be found out. Nothing is opened here, for a
 * pipe's writer would notice.
 */
static int check_files(const struct cli *cli)
{
    char safe[256];

    for (size_t i = 0; i < cli->args.n_rest; i++) {
        const char *path = cli->args.rest[i];
        struct stat st;
        text_escape(safe, sizeof(safe), path, strlen(path));
        if (strcmp(path, "-") == 0) /* standard input */
            continue;
        if (stat(path, &st) < 0 || access(path, R_OK) < 0)
            return cli_fail(cli, CLI_ERROR, "cannot open %s: %s", safe, strerror(errno));
        if (S_ISDIR(st.st_mode))
            return cli_fail(cli, CLI_ERROR, "%s is a directory; name the capture files in it", safe);
    }
    return CLI_OK;
}

/* Only what --config names: a capture is read the same on every machine. Its errors are found before anything starts.
 */
static int check_config(const struct cli *cli)
{
    const char *path = args_value(&cli->args, "config");
    struct config *config;
    struct error e;

    if (path == NULL)
        return CLI_OK;
    if (config_load(path, &config, &e) < 0)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    place_use_zone(config);
    config_free(config);
    return CLI_OK;
}

/* Probe, report, control; the probe's exit code counts where it still left something to show (a cut capture). */
static int read_for_people(struct run *run)
{
    struct error e;

    if (report_init(&run->report) < 0)
        return cli_fail(run->cli, CLI_ERROR, "out of memory");
    if (start_redis(run, &e) < 0)
        return cli_fail(run->cli, CLI_ERROR, "%s", e.text);
    int code = run_probe(run, CHILD_STDOUT_PIPE);
    if (code != CLI_OK && code != CLI_CUT)
        return code;
    report_print(stdout, &run->report, &run->cli->view);
    if (cli_flush(run->cli) != CLI_OK || interrupted != 0)
        return CLI_ERROR;
    int control = run_control(run);
    if (control == CLI_OK)
        control = print_entities(run);
    if (control != CLI_OK)
        return control;
    if (!args_has(&run->cli->args, "no-next"))
        print_next(run);
    return code;
}

static int run_read(struct cli *cli)
{
    struct run run = {.cli = cli, .progress = isatty(STDERR_FILENO) == 1};
    int code = check_files(cli);

    if (code == CLI_OK)
        code = check_config(cli);
    if (code != CLI_OK)
        return code;
    catch_signals();
    cli->view.no_note = true;
    if (cli->view.mode == TABLE_JSON) {
        run.url = args_value(&cli->args, "redis");
        return run_probe(&run, CHILD_STDOUT_INHERIT);
    }
    code = read_for_people(&run);
    if (interrupted == 0 && cli_flush(cli) != CLI_OK)
        code = CLI_ERROR;
    if (interrupted != 0)
        code = 128 + interrupted;
    stop_redis(&run);
    report_fini(&run.report);
    return code;
}

static const struct example examples[] = {
    {"read branch.pcapng", "verdict, loss by segment, latency by side, worst flows, faults"},
    {"read branch.pcapng --config sites.yaml", "with names for sites and services"},
    {"read big.pcap.gz --json | jq 'select(.type==\"flow\" and .tcp.s2c.lost_downstream_pkts>0)'",
     "every record, for programs"},
    {"read - < capture.pcap", "from standard input; so does: tcpdump -w - | spanward read -"},
    {"read monday.pcap --redis unix:/run/spanward/redis.sock", "keep the result in a Redis of yours"},
    {NULL, NULL},
};

static const struct option_def options[] = {
    {"json", NULL, 0, "one JSON object per line: flow, event, path, service, mirror, ledger, verdict"},
    {"config", "FILE", 0, "configuration file: sites, services, limits"},
    {"redis", "URL", 0, "publish into this Redis instead of a temporary one"},
    {"name", "NAME", 0, "name of the sensor in Redis"},
    {"no-next", NULL, 0, "do not print the next commands to try"},
    {"utc", NULL, 0, "show times in UTC instead of the local zone"},
    {"no-color", NULL, 0, "no colours (also: NO_COLOR=1, or no terminal)"},
    {NULL, NULL, 0, NULL},
};

const struct command command_read = {
    .name = "read",
    .group = "Captures",
    .summary = "analyse capture files: what they show about loss, latency and faults",
    .usage = "FILE...",
    .text = "Reads pcap and pcapng files (gzip too), through the same pipeline as a live port, and prints one page. "
            "Memory does not grow with "
            "the size of the file. Nothing needs to be set up: a private Redis is started and removed.\n"
            "With --json the output is one record per line, sorted by the time of the first packet.",
    .examples = examples,
    .options = options,
    .min_rest = 1,
    .max_rest = 1000,
    .run = run_read,
};

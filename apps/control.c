/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward-control: wiring of configuration, store, control core, feed and ticket delivery.
 *
 * Three ways to run: follow the store until SIGTERM; --once, catch up and exit; --replay, a window stream instead of
 * sensors. All state is in Redis and commits with its cursor, therefore the program may be killed at any time. When
 * Redis goes away the state in memory is dropped and read again after reconnecting: whatever Redis kept is the truth.
 *
 * Exit: 0 done, 1 failed, 2 wrong use, 3 a window stream was cut (what came before it was processed).
 */

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "apps/place.h"
#include "common/config.h"
#include "common/log.h"
#include "common/site.h"
#include "common/timefmt.h"
#include "control/control.h"
#include "control/dispatch.h"
#include "control/feed.h"
#include "control/hooks.h"
#include "control/localtime.h"
#include "control/outbox.h"
#include "control/replay.h"
#include "control/ticket_text.h"
#include "store/access.h"
#include "store/store.h"

#define POLL_MS             1000u
#define LIVE_STEPS          600u
#define DELIVER_ROWS        20u
#define TEMPLATE_DIR        "/etc/spanward/templates" /* what is not there is built in */
#define FLUSH_NS            (20 * NS_PER_S)
#define TRIAL_NS            (7 * 86400 * NS_PER_S)
#define BUSY_MS             100u
#define RECONNECT_MOST_S    30u
#define CIRCUIT_PATHS_BYTES 512u

static volatile int stop_flag;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop_flag = 1;
}

static const char help_text[] =
    "Examples:\n"
    "  spanward-control                              follow the sensors of this machine's Redis\n"
    "  spanward-control --redis redis://store:6379   follow those of another one\n"
    "  spanward-control --once                       take in what is there, and exit\n"
    "  spanward-control --replay history.gz          run a window stream (docs/SIMULATION.md)\n"
    "  spanward-control --check-config               check the configuration and the ticketing system, and exit\n"
    "\n"
    "Turns closed windows into incidents, recurring problems and tickets. State is kept in Redis;\n"
    "look at it with: spanward incidents | problems | tickets\n"
    "\n"
    "Options:\n"
    "  --redis URL      unix:/path, redis[s]://host[:port][/db], see docs/STORE.md\n"
    "                   (default: $SPANWARD_REDIS, store.redis, a private server in the state directory)\n"
    "  --config FILE    configuration (default: $SPANWARD_CONFIG, " PLACE_CONFIG ")\n"
    "  --once           catch up, deliver what is due, exit\n"
    "  --replay FILE    windows from a stream, plain or gzip; - is standard input\n"
    "  --dry-run        file no ticket, whatever tickets.mode says\n"
    "  --quiet          warnings and errors only\n"
    "  --check-config   exit 0 when the configuration is good and the ticketing systems are ready\n"
    "  --offline        with --check-config: do not ask the ticketing systems\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong use, 3 the stream was cut, 4 the configuration is good\n"
    "but a ticketing system is not ready (--check-config)\n";

struct arguments {
    const char *redis, *config, *replay;
    bool once, check, offline, dry_run, quiet;
};

/* Everything that is open. Freed in reverse by program_close. */
struct program {
    struct arguments args;
    struct config *config;
    struct store_private *private_redis;
    struct store *store;
    struct control *control;
    struct feed *feed;
    struct stream_reader *stream;
    struct dispatch *dispatch; /* NULL: no ticketing system */
    struct hooks *hooks;       /* NULL: none is taken */
    struct ticket_templates *templates;
    struct outbox_rules rules;
    struct control_options options;
    char install[40];
    char url[PLACE_URL_BYTES];
    struct store_access access;
    char zone[64];
    struct holidays holidays;
    struct control_circuit *circuits; /* of the configuration */
    char (*circuit_paths)[CIRCUIT_PATHS_BYTES];
};

static uint64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void wait_ns(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

    nanosleep(&t, NULL); /* a signal ends it early, as it should */
}

/* Returns -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"redis", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'},
        {"replay", required_argument, NULL, 'p'},
        {"once", no_argument, NULL, 'o'},
        {"check-config", no_argument, NULL, 'k'},
        {"dry-run", no_argument, NULL, 'd'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {"offline", no_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'r':
            a->redis = optarg;
            break;
        case 'c':
            a->config = optarg;
            break;
        case 'p':
            a->replay = optarg;
            break;
        case 'o':
            a->once = true;
            break;
        case 'k':
            a->check = true;
            break;
        case 'f':
            a->offline = true;
            break;
        case 'd':
            a->dry_run = true;
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'h':
            fputs(help_text, stdout);
            return 0;
        case 'v':
            puts("spanward-control " SPANWARD_VERSION);
            return 0;
        default:
            fputs("try: spanward-control --help\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "spanward-control: unexpected argument '%s'; try --help\n", argv[optind]);
        return 2;
    }
    return -1;
}

/* Ownership by rule: the first owners entry whose site glob matches a side of the path; then a site's owner; then
 * default. */
static const char *owner_of(const void *ctx, const char *object)
{
    const struct config *c = ctx;
    char sides[2][SITE_NAME_BYTES + 1];
    const char *tilde = strchr(object, '~');
    const char *fallback = "";

    snprintf(sides[0], sizeof(sides[0]), "%.*s", tilde != NULL ? (int)(tilde - object) : (int)strlen(object), object);
    snprintf(sides[1], sizeof(sides[1]), "%s", tilde != NULL ? tilde + 1 : "");
    for (size_t i = 0; i < c->n_owners; i++) {
        const struct config_owner *o = &c->owners[i];
        if (strcmp(o->match_kind, "default") == 0)
            fallback = o->owner;
        else if (strcmp(o->match_kind, "site") == 0 &&
                 (fnmatch(o->match, sides[0], 0) == 0 || fnmatch(o->match, sides[1], 0) == 0))
            return o->owner;
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        const struct config_site *s = &c->sites[i];
        if (s->owner != NULL && (strcmp(s->name, sides[0]) == 0 || strcmp(s->name, sides[1]) == 0))
            return s->owner;
    }
    return fallback;
}

/* For a new state; one that has an id keeps it. */
static void make_install_id(struct program *p)
{
    unsigned char random[8] = {0};

    if (getrandom(random, sizeof(random), 0) < 0)
        memcpy(random, &(uint64_t){wall_ns()}, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(p->install + 2 * i, 3, "%02x", random[i]);
}

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum log_level)i;
    }
    return LOG_LEVEL_INFO;
}

/* The paths behind a configured circuit: from its site to the peer, or to any, in either order of their names. */
static int make_circuits(struct program *p, struct error *e)
{
    size_t n = p->config->n_circuits;

    p->circuits = calloc(n + 1, sizeof(*p->circuits));
    p->circuit_paths = calloc(n + 1, sizeof(*p->circuit_paths));
    if (p->circuits == NULL || p->circuit_paths == NULL)
        return error_set(e, -ENOMEM, "no memory for the circuits");
    for (size_t i = 0; i < n; i++) {
        const struct config_circuit *k = &p->config->circuits[i];
        const char *peer = k->peer != NULL ? k->peer : "*";
        snprintf(p->circuit_paths[i], sizeof(p->circuit_paths[i]), "%s~%s,%s~%s", k->site, peer, peer, k->site);
        p->circuits[i] = (struct control_circuit){.name = k->id, .objects = p->circuit_paths[i]};
    }
    p->options.circuits = p->circuits;
    p->options.n_circuits = n;
    return 0;
}

static int load_settings(struct program *p, struct error *e)
{
    int rc = place_load_config(p->args.config, &p->config, e);

    if (rc != 0)
        return rc;
    log_init("spanward-control", p->args.quiet ? LOG_LEVEL_WARN : level_of(config_string(p->config, "log.level")));
    if (p->args.replay != NULL && !p->args.check) {
        rc = stream_open(p->args.replay, &p->stream, e);
        if (rc != 0)
            return rc;
    }
    const char *zone = config_string(p->config, "time.zone");
    if (zone[0] == '\0' && p->stream != NULL)
        zone = stream_reader_header(p->stream)->zone; /* its slots mean hours of that zone */
    snprintf(p->zone, sizeof(p->zone), "%s", zone);
    rc = local_init(p->zone, e);
    if (rc == 0 && !p->args.check)
        rc = dispatch_open(p->config, &p->dispatch, e);
    if (rc == 0) {
        const char *dir = config_string(p->config, "tickets.templates");
        rc = ticket_templates_load(dir[0] != '\0' ? dir : TEMPLATE_DIR, &p->templates, e);
    }
    rc = rc == 0 ? holidays_parse(&p->holidays, config_string(p->config, "time.holidays"), e) : rc;
    rc = rc == 0 ? feed_scopes_parse(config_string(p->config, "detect.scopes"), &(unsigned){0}, e) : rc;
    outbox_rules_read(p->config, &p->rules);
    make_install_id(p);
    p->options = (struct control_options){
        .detect = {.loss_share = config_double(p->config, "detect.loss_percent") / 100,
                   .rtt_factor = config_double(p->config, "detect.rtt_factor"),
                   .min_pkts = config_u64(p->config, "detect.min_packets"),
                   .holidays = &p->holidays},
        .reopen_window_ns = config_u64(p->config, "detect.reopen_window"),
        .zone = p->zone,
        .connector = dispatch_primary(p->dispatch),
        .dry_run = p->args.dry_run || strcmp(config_string(p->config, "tickets.mode"), "file") != 0,
        .rules = &p->rules,
        .install = p->install,
        .templates = p->templates,
        .now_wall_ns = wall_ns(),
        .owner = owner_of,
        .owner_ctx = p->config,
    };
    dispatch_notifiers(p->dispatch, p->options.notify, CONTROL_NOTIFIERS);
    return rc == 0 ? make_circuits(p, e) : rc;
}

static int open_store(struct program *p, struct error *e)
{
    char dir[PLACE_URL_BYTES - PLACE_REDIS_EXTRA];
    const char *env = getenv("SPANWARD_REDIS");
    bool named =
        p->args.redis != NULL || (env != NULL && env[0] != '\0') || config_string(p->config, "store.redis")[0] != '\0';
    int rc = store_access_load(p->config, &p->access, e);

    if (rc == 0 && named)
        rc = place_redis_url(p->args.redis, p->config, p->url, sizeof(p->url), e);
    if (rc == 0 && !named) {
        rc = place_state_dir(p->config, dir, sizeof(dir), e);
        rc = rc == 0 ? place_make_dir(dir, e) : rc;
        rc = rc == 0 ? store_private_start(dir, false, &p->private_redis, e) : rc;
        if (rc == 0)
            snprintf(p->url, sizeof(p->url), "%s", store_private_url(p->private_redis));
    }
    if (rc != 0)
        return rc;
    p->access.options.url = p->url;
    p->access.options.command_timeout_ms = 60000;
    return store_open(&p->access.options, &p->store, e);
}

/* tickets.mode: auto files nothing in the first days, so that people see first what would come. */
static void set_dry_run(struct program *p)
{
    const char *mode = config_string(p->config, "tickets.mode");
    bool fresh = wall_ns() < control_installed_ns(p->control) + TRIAL_NS;
    bool dry = p->args.dry_run || strcmp(mode, "dry-run") == 0 || (strcmp(mode, "auto") == 0 && fresh);

    p->options.dry_run = dry;
    control_set_dry_run(p->control, dry);
}

static int open_control(struct program *p, struct error *e)
{
    int rc = control_open(&p->options, p->store, &p->control, e);

    if (rc != 0)
        return rc;
    outbox_guard_restart(p->control, wall_ns());
    set_dry_run(p);
    p->feed = feed_new(p->store, p->control);
    if (p->feed == NULL)
        return error_set(e, -ENOMEM, "no memory for the feed");
    return feed_set_scopes(p->feed, config_string(p->config, "detect.scopes"), e);
}

static void close_control(struct program *p)
{
    feed_free(p->feed);
    control_close(p->control);
    p->feed = NULL;
    p->control = NULL;
}

static void program_close(struct program *p)
{
    close_control(p);
    store_close(p->store);
    store_access_fini(&p->access);
    if (p->private_redis != NULL)
        store_private_stop(p->private_redis);
    hooks_close(p->hooks);
    dispatch_close(p->dispatch);
    ticket_templates_free(p->templates);
    free(p->circuits);
    free(p->circuit_paths);
    stream_close(p->stream);
    config_free(p->config);
}

/* Waits for an answer, at most so long. */
static void wait_for_answer(struct program *p, uint64_t ns)
{
    struct pollfd fd = {.fd = dispatch_fd(p->dispatch), .events = POLLIN};

    poll(&fd, fd.fd >= 0, (int)(ns / NS_PER_MS) + 1); /* a signal ends it early, as it should */
}

/* After a replay or a catch-up: sends what is due and waits a little for what is not. */
static int flush_outbox(struct program *p, struct error *e)
{
    uint64_t until = wall_ns() + FLUSH_NS;
    int rc = 0;

    while (rc >= 0 && !stop_flag && p->dispatch != NULL && !p->options.dry_run) {
        rc = dispatch_run(p->dispatch, p->control, wall_ns(), e);
        uint64_t due = outbox_next_due_ns(p->control), now = wall_ns();
        if (!dispatch_is_busy(p->dispatch) && due >= until)
            break;
        if (now >= until + FLUSH_NS)
            break;
        wait_for_answer(p, dispatch_is_busy(p->dispatch) || due <= now ? 100 * NS_PER_MS : due - now);
    }
    return rc < 0 ? rc : 0;
}

static void report(struct program *p)
{
    struct control_totals t;

    control_totals(p->control, &t);
    log_info("%llu incidents, %llu problems, %llu tickets%s; %llu messages wait for delivery",
             (unsigned long long)t.incidents, (unsigned long long)t.problems, (unsigned long long)t.tickets,
             p->options.dry_run || p->dispatch == NULL ? " (dry run: none is sent)" : "",
             (unsigned long long)t.outbox_pending);
}

static int run_replay(struct program *p)
{
    struct replay_result result;
    struct error e = {""}, why;
    struct replay_options options = {.stop = &stop_flag};
    int rc = replay_run(p->control, p->stream, &options, &result, &e);

    if (rc != 0)
        log_error("%s", e.text);
    log_info("replayed %llu windows in %llu steps (%llu were known)", (unsigned long long)result.windows,
             (unsigned long long)result.steps, (unsigned long long)result.skipped_windows);
    if (rc == 0 && flush_outbox(p, &why) != 0) {
        log_error("%s", why.text);
        return 1;
    }
    report(p);
    return rc == 0 ? 0 : rc == -EPIPE ? 3 : 1;
}

static int run_once(struct program *p)
{
    struct error e;
    int rc;

    do
        rc = feed_poll(p->feed, true, LIVE_STEPS, &e);
    while (rc > 0 && !stop_flag);
    while (rc == 0 && !stop_flag && (rc = control_take_commands(p->control, 0, &e)) > 0)
        rc = 0;
    if (rc == 0)
        rc = flush_outbox(p, &e);
    if (rc < 0) {
        log_error("%s", e.text);
        return 1;
    }
    report(p);
    return 0;
}

/* Drops the state in memory, waits for Redis, reads the state again. 0, or -errno when that is hopeless. */
static int reload(struct program *p)
{
    struct error e;
    unsigned wait_s = 1;
    int rc = -EIO;

    close_control(p);
    while (!stop_flag && rc != 0) {
        wait_ns(wait_s * NS_PER_S);
        wait_s = wait_s * 2 < RECONNECT_MOST_S ? wait_s * 2 : RECONNECT_MOST_S;
        rc = store_is_broken(p->store) ? store_reconnect(p->store, &e) : 0;
        if (rc != 0)
            continue;
        rc = open_control(p, &e);
        if (rc != 0 && !store_is_broken(p->store)) {
            log_error("%s", e.text);
            return rc;
        }
    }
    if (rc == 0)
        log_info("connected to Redis again");
    return stop_flag ? 0 : rc;
}

/* Messages go out and come back while nothing else is to be done, at most so long. Commands are answered meanwhile. */
static int deliver_a_while(struct program *p, struct error *e)
{
    uint64_t until = wall_ns() + POLL_MS * NS_PER_MS;
    int rc = 0, taken = 0;

    do {
        rc = hooks_run(p->hooks, p->control, e);
        if (rc < 0)
            break;
        rc = dispatch_run(p->dispatch, p->control, wall_ns(), e);
        bool busy = rc > 0 || dispatch_is_busy(p->dispatch);
        if (rc >= 0 && busy)
            wait_for_answer(p, BUSY_MS * NS_PER_MS);
        /* With nothing else to do it waits for commands, so that people are answered at once. */
        taken = rc >= 0 ? control_take_commands(p->control, busy ? 0 : POLL_MS, e) : 0;
    } while (rc >= 0 && taken >= 0 && !stop_flag && wall_ns() < until);
    return rc < 0 ? rc : taken;
}

static int run_live(struct program *p)
{
    struct error e;

    if (hooks_open(p->config, &p->hooks, &e) != 0) {
        log_error("%s", e.text);
        return 1;
    }
    log_info("following the sensors in %s", p->private_redis != NULL ? "a private Redis" : "Redis");
    while (!stop_flag) {
        int rc = feed_poll(p->feed, false, LIVE_STEPS, &e);
        set_dry_run(p);
        if (rc > 0) /* there is more: only what needs no waiting */
            rc = dispatch_run(p->dispatch, p->control, wall_ns(), &e);
        else if (rc == 0)
            rc = deliver_a_while(p, &e);
        if (rc < 0) {
            log_warn("%s", e.text);
            if (reload(p) != 0)
                return 1;
        }
    }
    return 0;
}

struct findings {
    unsigned good, bad;
};

static void say_finding(void *ctx, const char *connector, bool good, const char *what, const char *how)
{
    struct findings *f = ctx;

    if (good) {
        f->good++;
        log_info("%s: %s", connector, what);
        return;
    }
    f->bad++;
    log_warn("%s: %s%s%s", connector, what, how[0] != '\0' ? "; " : "", how);
}

static int check_connectors(struct program *p)
{
    struct findings f = {0};
    struct error e = {""};
    int rc = p->args.offline ? 0 : dispatch_check(p->config, say_finding, &f, &e);

    if (rc < 0) {
        log_error("%s", e.text);
        return 1;
    }
    log_info("the configuration is good; tickets.mode: %s%s", config_string(p->config, "tickets.mode"),
             f.good + f.bad == 0 ? "; no ticketing system was asked" : "");
    return rc > 0 || f.bad > 0 ? 4 : 0;
}

int main(int argc, char **argv)
{
    struct program p = {0};
    struct sigaction action = {.sa_handler = on_signal};
    struct error e;
    int code = parse_arguments(argc, argv, &p.args);

    if (code >= 0)
        return code;
    log_init("spanward-control", LOG_LEVEL_INFO);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int rc = load_settings(&p, &e);
    if (rc == 0 && p.args.check) {
        code = check_connectors(&p);
        program_close(&p);
        return code;
    }
    rc = rc == 0 ? open_store(&p, &e) : rc;
    rc = rc == 0 ? open_control(&p, &e) : rc;
    if (rc != 0) {
        log_error("%s", e.text);
        program_close(&p);
        return 1;
    }
    code = p.args.replay != NULL ? run_replay(&p) : p.args.once ? run_once(&p) : run_live(&p);
    program_close(&p);
    return code;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward-control: wiring of configuration, store, control core, feed and ticket delivery.
 *
 * Three ways to run: follow the store until SIGTERM; --once, catch up and exit; --replay, a window stream instead of
 * sensors. All state is in Redis and commits with its cursor, therefore the program may be killed at any time. When
 * Redis goes away the state in memory is dropped and read again after reconnecting: whatever Redis kept is the truth.
 * SIGHUP does the same with new settings (settings.c).
 *
 * Exit: 0 done, 1 failed, 2 wrong use, 3 a window stream was cut (what came before it was processed).
 */

#include <errno.h>
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
#include "apps/reload.h"
#include "apps/settings.h"
#include "common/config.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "control/control.h"
#include "control/dispatch.h"
#include "control/feed.h"
#include "control/hooks.h"
#include "control/localtime.h"
#include "control/outbox.h"
#include "control/replay.h"
#include "store/access.h"
#include "store/schema.h"
#include "store/store.h"

#define POLL_MS          1000u
#define LIVE_STEPS       600u
#define DELIVER_ROWS     20u
#define FLUSH_NS         (20 * NS_PER_S)
#define TRIAL_NS         (7 * 86400 * NS_PER_S)
#define BUSY_MS          100u
#define RECONNECT_MOST_S 30u
#define LEASE_NS         (2 * NS_PER_S)
#define RELOAD_DRAIN_NS  (5 * NS_PER_S)

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
    struct settings *s; /* as of the last load of the configuration */
    struct store_private *private_redis;
    struct store *store;
    struct control *control;
    struct feed *feed;
    struct stream_reader *stream;
    struct hooks *hooks; /* NULL: none is taken */
    char install[40];
    char holder[SCHEMA_HOLDER_BYTES]; /* of the lease that says who runs here */
    uint64_t next_lease_ns;           /* monotonic would do, too */
    bool told_other;
    char url[PLACE_URL_BYTES];
    struct store_access access;
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

/* For a new state; one that has an id keeps it. */
static void make_install_id(struct program *p)
{
    unsigned char random[8] = {0};

    if (getrandom(random, sizeof(random), 0) < 0)
        memcpy(random, &(uint64_t){wall_ns()}, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(p->install + 2 * i, 3, "%02x", random[i]);
}

static struct settings_request request_of(const struct program *p)
{
    return (struct settings_request){.install = p->install,
                                     .dry_run = p->args.dry_run,
                                     .connect = !p->args.check,
                                     .zone = p->stream != NULL ? stream_reader_header(p->stream)->zone : ""};
}

static void set_log_level(const struct program *p, const struct config *c)
{
    log_set_level(p->args.quiet ? LOG_LEVEL_WARN : reload_log_level(c));
}

static int load_settings(struct program *p, struct error *e)
{
    struct config *config = NULL;
    int rc = place_load_config(p->args.config, &config, e);

    if (rc != 0)
        return rc;
    set_log_level(p, config);
    if (p->args.replay != NULL && !p->args.check)
        rc = stream_open(p->args.replay, &p->stream, e);
    if (rc != 0) {
        config_free(config);
        return rc;
    }
    make_install_id(p);
    const struct settings_request r = request_of(p);
    rc = settings_new(config, &r, &p->s, e);
    return rc == 0 ? local_init(p->s->zone, e) : rc;
}

static int open_store(struct program *p, struct error *e)
{
    char dir[PLACE_URL_BYTES - PLACE_REDIS_EXTRA];
    const char *env = getenv("SPANWARD_REDIS");
    bool named = p->args.redis != NULL || (env != NULL && env[0] != '\0') ||
                 config_string(p->s->config, "store.redis")[0] != '\0';
    int rc = store_access_load(p->s->config, &p->access, e);

    if (rc == 0 && named)
        rc = place_redis_url(p->args.redis, p->s->config, p->url, sizeof(p->url), e);
    if (rc == 0 && !named) {
        rc = place_state_dir(p->s->config, dir, sizeof(dir), e);
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
    const char *mode = config_string(p->s->config, "tickets.mode");
    bool fresh = wall_ns() < control_installed_ns(p->control) + TRIAL_NS;
    bool dry = p->args.dry_run || strcmp(mode, "dry-run") == 0 || (strcmp(mode, "auto") == 0 && fresh);

    p->s->options.dry_run = dry;
    control_set_dry_run(p->control, dry);
}

/* No other run has this text. */
static void name_holder(struct program *p)
{
    char host[64] = "";

    if (gethostname(host, sizeof(host) - 1) != 0)
        snprintf(host, sizeof(host), "a host without a name");
    snprintf(p->holder, sizeof(p->holder), "%.60s, process %d, started %llu", host, (int)getpid(),
             (unsigned long long)(wall_ns() / NS_PER_S));
}

/*
 * Who runs here, for `spanward restore` and for a second control on the same store, which is a mistake: each would
 * undo what the other writes. A store that refuses the lease (an older ACL) is worked on without it.
 */
static void renew_lease(struct program *p, bool seize)
{
    struct schema_holder other;
    struct error e = {""};
    int rc;

    if (!seize && wall_ns() < p->next_lease_ns)
        return;
    p->next_lease_ns = wall_ns() + LEASE_NS;
    rc = seize ? schema_lease_seize(p->store, SCHEMA_CONTROL, p->holder, &e)
               : schema_lease_take(p->store, SCHEMA_CONTROL, p->holder, &other, &e);
    if (rc == -EBUSY && !p->told_other)
        log_error("another spanward-control works on this Redis (%s): stop one of them", other.name);
    else if (rc == -EPROTO && !p->told_other)
        log_warn("%s", e.text);
    p->told_other = rc == -EBUSY || rc == -EPROTO;
}

static int open_control(struct program *p, struct error *e)
{
    int rc = control_open(&p->s->options, p->store, &p->control, e);

    if (rc != 0)
        return rc;
    bool first = p->holder[0] == '\0';
    if (first)
        name_holder(p);
    renew_lease(p, first);
    outbox_guard_restart(p->control, wall_ns());
    set_dry_run(p);
    p->feed = feed_new(p->store, p->control);
    if (p->feed == NULL)
        return error_set(e, -ENOMEM, "no memory for the feed");
    return feed_set_scopes(p->feed, config_string(p->s->config, "detect.scopes"), e);
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
    struct error e;

    if (p->store != NULL && p->holder[0] != '\0' && !store_is_broken(p->store))
        schema_lease_release(p->store, SCHEMA_CONTROL, p->holder, &e);
    close_control(p);
    store_close(p->store);
    store_access_fini(&p->access);
    if (p->private_redis != NULL)
        store_private_stop(p->private_redis);
    hooks_close(p->hooks);
    settings_free(p->s);
    stream_close(p->stream);
}

/* Waits for an answer, at most so long. */
static void wait_for_answer(struct program *p, uint64_t ns)
{
    struct pollfd fd = {.fd = dispatch_fd(p->s->dispatch), .events = POLLIN};

    poll(&fd, fd.fd >= 0, (int)(ns / NS_PER_MS) + 1); /* a signal ends it early, as it should */
}

/* After a replay or a catch-up: sends what is due and waits a little for what is not. */
static int flush_outbox(struct program *p, struct error *e)
{
    uint64_t until = wall_ns() + FLUSH_NS;
    int rc = 0;

    while (rc >= 0 && !stop_flag && p->s->dispatch != NULL && !p->s->options.dry_run) {
        rc = dispatch_run(p->s->dispatch, p->control, wall_ns(), e);
        uint64_t due = outbox_next_due_ns(p->control), now = wall_ns();
        if (!dispatch_is_busy(p->s->dispatch) && due >= until)
            break;
        if (now >= until + FLUSH_NS)
            break;
        wait_for_answer(p, dispatch_is_busy(p->s->dispatch) || due <= now ? 100 * NS_PER_MS : due - now);
    }
    return rc < 0 ? rc : 0;
}

static void report(struct program *p)
{
    struct control_totals t;

    control_totals(p->control, &t);
    log_info("%llu incidents, %llu problems, %llu tickets%s; %llu messages wait for delivery",
             (unsigned long long)t.incidents, (unsigned long long)t.problems, (unsigned long long)t.tickets,
             p->s->options.dry_run || p->s->dispatch == NULL ? " (dry run: none is sent)" : "",
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
        rc = dispatch_run(p->s->dispatch, p->control, wall_ns(), e);
        bool busy = rc > 0 || dispatch_is_busy(p->s->dispatch);
        if (rc >= 0 && busy)
            wait_for_answer(p, BUSY_MS * NS_PER_MS);
        /* With nothing else to do it waits for commands, so that people are answered at once. */
        taken = rc >= 0 ? control_take_commands(p->control, busy ? 0 : POLL_MS, e) : 0;
    } while (rc >= 0 && taken >= 0 && !stop_flag && !reload_is_due() && wall_ns() < until);
    return rc < 0 ? rc : taken;
}

/* Ends what is on its way to ticketing systems, as far as that goes without waiting for long. */
static int drain_dispatch(struct program *p, struct error *e)
{
    uint64_t until = wall_ns() + RELOAD_DRAIN_NS;
    int rc = 0;

    while (rc >= 0 && !stop_flag && dispatch_is_busy(p->s->dispatch) && wall_ns() < until) {
        wait_for_answer(p, BUSY_MS * NS_PER_MS);
        rc = dispatch_run(p->s->dispatch, p->control, wall_ns(), e);
    }
    return rc < 0 ? rc : 0;
}

/*
 * SIGHUP: the settings are made anew from the file and take over as a whole, or not at all. What is known of incidents
 * and tickets is in Redis and is read again. 0, or -errno when control cannot go on.
 */
static int take_over(struct program *p)
{
    const struct settings_request r = request_of(p);
    struct config *fresh = NULL;
    struct settings *settings = NULL;
    struct error e = {""};
    int rc;

    if (reload_read(p->args.config, p->s->config, RELOAD_LISTS, &fresh) != 0)
        return 0;
    rc = settings_new(fresh, &r, &settings, &e);
    if (rc != 0) {
        log_error("the configuration is not taken over, the old one stays: %s", e.text);
        return 0;
    }
    if (drain_dispatch(p, &e) != 0)
        log_warn("%s", e.text);
    close_control(p);
    hooks_close(p->hooks);
    p->hooks = NULL;
    settings_free(p->s);
    p->s = settings;
    set_log_level(p, p->s->config);
    if (hooks_open(p->s->config, &p->hooks, &e) != 0)
        log_error("no webhooks are taken until the next reload: %s", e.text);
    rc = store_is_broken(p->store) ? -EIO : open_control(p, &e);
    if (rc != 0 && !store_is_broken(p->store)) {
        log_error("%s", e.text);
        return rc;
    }
    log_info("the configuration was read again");
    return rc == 0 ? 0 : reload(p);
}

static int run_live(struct program *p)
{
    struct error e;

    if (hooks_open(p->s->config, &p->hooks, &e) != 0) {
        log_error("%s", e.text);
        return 1;
    }
    reload_on_hangup();
    log_info("following the sensors in %s", p->private_redis != NULL ? "a private Redis" : "Redis");
    while (!stop_flag) {
        if (reload_wanted() && take_over(p) != 0)
            return 1;
        renew_lease(p, false);
        int rc = feed_poll(p->feed, false, LIVE_STEPS, &e);
        set_dry_run(p);
        if (rc > 0) /* there is more: only what needs no waiting */
            rc = dispatch_run(p->s->dispatch, p->control, wall_ns(), &e);
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
    int rc = p->args.offline ? 0 : dispatch_check(p->s->config, say_finding, &f, &e);

    if (rc < 0) {
        log_error("%s", e.text);
        return 1;
    }
    log_info("the configuration is good; tickets.mode: %s%s", config_string(p->s->config, "tickets.mode"),
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

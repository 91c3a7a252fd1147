/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What scripts/score-store measures, one subcommand each; every result is one JSON object on stdout.
 *
 *   fill-memory URL PATHS       all tiers of PATHS paths at full retention: Redis memory per path
 *   publish URL WINDOWS ROUNDS  WINDOWS objects' base windows, ROUNDS times: CPU seconds of this process and of Redis
 *   fill-queries URL PATHS      a sensor of PATHS paths for queries, one of them with its whole history
 *   query URL                   the same look-ups through store/schema.h, without the CLI around them
 *   kill DIR KILLS              a private redis-server with AOF that is killed KILLS times while windows are published;
 *                               then all that is stored is compared with what was sent
 *   drops DIR                   a spool in memory and one on disk, both too small: what is stored and what was counted
 * as dropped must be all that was put
 *
 * Values come from a generator that gives each path its own rate, loss and latency, a daily curve and noise, so that
 * packed values have the lengths of real ones. "Full retention" counts every bucket as if it had the longest of the
 * spread expiry times: an upper bound.
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "analytics/publish.h"
#include "common/bytes.h"
#include "common/timefmt.h"
#include "store/schema.h"
#include "store/store.h"

#define SENSOR  "bench"
#define BASE_NS (10 * NS_PER_S)
#define NOW_NS  (1760400000ull * NS_PER_S)

static uint64_t state = 1;

static uint64_t random_u64(void)
{
    state += 0x9e3779b97f4a7c15ull;
    return mix64(state);
}

static double uniform(void)
{
    return (double)(random_u64() >> 11) / (double)(1ull << 53);
}

/* Log-normal around 1: what rates, delays and bursts look like. */
static double lognormal(double sigma)
{
    double a = uniform(), b = uniform();

    return exp(sigma * sqrt(-2 * log(a + 1e-12)) * cos(6.283185307 * b));
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static _Noreturn void die(const char *what, const struct error *e)
{
    fprintf(stderr, "bench-store: %s: %s\n", what, e != NULL ? e->text : strerror(errno));
    exit(1);
}

static struct store *open_url(const char *url)
{
    struct store *s = NULL;
    struct error e = {""};

    if (store_open(&(struct store_options){.url = url, .command_timeout_ms = 60000}, &s, &e) != 0)
        die("cannot connect", &e);
    return s;
}

/* A number of INFO. */
static double info(struct store *s, const char *section, const char *field)
{
    struct store_reply *r = store_command(s, "INFO %s", section);
    const char *at = r != NULL ? strstr(store_reply_string(r, NULL), field) : NULL;
    double v = at != NULL ? strtod(at + strlen(field) + 1, NULL) : 0;

    store_reply_free(r);
    return v;
}

/* ---- the generator ---- */

/* What a path is like; the same for the same number. */
struct nature {
    double rate_pps, asymmetry, loss, rtt_a_ns, rtt_b_ns, flows;
};

static struct nature nature_of(uint64_t path)
{
    state = mix64(path + 77);
    return (struct nature){.rate_pps = 40 * lognormal(1.8),
                           .asymmetry = 0.2 + uniform(),
                           .loss = uniform() < 0.5 ? 0 : 0.0005 * lognormal(1.5),
                           .rtt_a_ns = 8e6 * lognormal(1),
                           .rtt_b_ns = 6e5 * lognormal(1),
                           .flows = 0.4 * lognormal(1)};
}

static struct window_quantiles quantiles(double median_ns, uint64_t n)
{
    double x = median_ns * lognormal(0.1);
    struct window_quantiles q = {.n = n};

    if (n == 0)
        return q;
    struct hist h = {0};
    for (uint64_t i = 0; i < 60 && i < n; i++)
        hist_add(&h, (uint64_t)(x * lognormal(0.4)));
    window_quantiles_of(&q, &h);
    q.n = n;
    return q;
}

static void generate(const struct nature *p, uint64_t start_ns, uint64_t length_ns, struct window *w)
{
    double hour = (double)(start_ns / NS_PER_S % 86400) / 3600;
    double seconds = (double)length_ns / 1e9;
    double pkts = p->rate_pps * seconds * (0.3 + 0.7 * pow(sin((hour - 6) * 0.2618), 2)) * lognormal(0.5);
    double share[2] = {1, p->asymmetry};

    for (int d = 0; d < 2; d++) {
        struct window_dir *x = &w->c.dir[d];
        x->pkts = (uint64_t)(pkts * share[d]);
        x->bytes = (uint64_t)((double)x->pkts * (300 + 900 * uniform()));
        x->frame_bytes = x->bytes + 14 * x->pkts;
        x->data_pkts = x->pkts * 7 / 10;
        x->judged_pkts = x->data_pkts - (uint64_t)(uniform() < 0.3 ? uniform() * (double)x->data_pkts * 0.05 : 0);
        double lost = (double)x->data_pkts * p->loss * lognormal(0.8);
        x->lost_upstream_pkts = (uint64_t)(lost * uniform() + uniform());
        x->lost_downstream_pkts = (uint64_t)(lost * uniform());
        x->retrans_pkts = x->lost_upstream_pkts + x->lost_downstream_pkts;
        x->spurious_pkts = (uint64_t)(lost * 0.1 + uniform() * 0.4);
        x->retrans_pkts += x->spurious_pkts;
        x->reordered_pkts = uniform() < 0.1 ? (uint64_t)(1 + lost) : 0;
        x->dup_acks = (uint64_t)(lost * 2 + uniform() * 1.2);
        x->dup_pkts = uniform() < 0.02 ? 3 : 0;
        x->rst = (uint64_t)(p->flows * seconds * 0.1 * uniform());
        x->zero_windows = uniform() < 0.02;
        x->zero_window_us = x->zero_windows * 41234;
    }
    w->c.new_flows = (uint64_t)(p->flows * seconds * lognormal(0.3));
    w->c.ended_flows = (uint64_t)(p->flows * seconds * lognormal(0.3));
    w->c.connects = w->c.new_flows * 8 / 10;
    w->c.refused_connects = uniform() < 0.05;
    w->c.unanswered_connects = uniform() < 0.05;
    w->c.one_way_flows = w->c.ended_flows / 20;
    w->c.dns_queries = (uint64_t)(p->flows * seconds * 0.3);
    w->c.peak_1ms_bytes = (uint64_t)(3000 * lognormal(1));
    w->q[WINDOW_HIST_RTT_A] = quantiles(p->rtt_a_ns, w->c.dir[1].data_pkts / 2);
    w->q[WINDOW_HIST_RTT_B] = quantiles(p->rtt_b_ns, w->c.dir[0].data_pkts / 2);
    w->q[WINDOW_HIST_RESPONSE] = quantiles(p->rtt_b_ns * 5, w->c.connects);
    w->q[WINDOW_HIST_DNS] = quantiles(2e6, w->c.dns_queries);
    w->quality = window_quality_of(&w->c);
    w->start_ns = start_ns;
    w->length_ns = length_ns;
}

static void name_path(uint64_t path, struct window *w)
{
    w->scope = WINDOW_PATH;
    snprintf(w->name, sizeof(w->name), "Branch-%05" PRIu64 "~Datacentre-%" PRIu64, path, path % 7);
}

static void flush(struct store *s)
{
    struct schema_outcome o;

    if (schema_flush(s, &o) != 0 || o.refused != 0 || o.postponed != 0)
        die("cannot write", &(struct error){.text = "Redis refused"});
}

static void put(struct store *s, enum schema_tier tier, const struct window *w)
{
    if (schema_put_window(s, SENSOR, tier, BASE_NS, w) != 0)
        die("cannot write", NULL);
    if (store_pending(s) >= 4096)
        flush(s);
}

static void put_sensor(struct store *s)
{
    struct schema_sensor x = {
        .name = SENSOR, .version = "bench", .window_ns = BASE_NS, .data_ns = NOW_NS, .live = true};

    x.heartbeat_wall_ns = clock_ns(CLOCK_REALTIME);
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++) {
        uint64_t length_ns = schema_tier_length_ns(t, BASE_NS);
        x.latest_start_ns[t] = NOW_NS / length_ns * length_ns - length_ns;
    }
    if (schema_put_sensor(s, &x) != 0)
        die("cannot write", NULL);
    flush(s);
}

/* ---- memory ---- */

static const uint64_t keep_s[SCHEMA_TIER_COUNT] = {
#define X(symbol, name, length_s, kept_s, text) [SCHEMA_##symbol] = kept_s,
    SCHEMA_TIERS(X)
#undef X
};

/* The oldest bucket that is still there: its last write was the longest time to live ago. */
static uint64_t oldest_ns(enum schema_tier tier)
{
    uint64_t bucket_s = SCHEMA_BUCKET_WINDOWS * schema_tier_length_ns(tier, BASE_NS) / NS_PER_S;
    uint64_t longest_s = (keep_s[tier] + bucket_s) * 9 / 8;

    return ((NOW_NS / NS_PER_S - longest_s) / bucket_s - 1) * bucket_s * NS_PER_S;
}

static int fill_memory(const char *url, uint64_t n_paths)
{
    struct store *s = open_url(url);
    double before = info(s, "memory", "used_memory"), rss_before = info(s, "memory", "used_memory_rss");
    uint64_t n_windows = 0;

    for (uint64_t path = 0; path < n_paths; path++) {
        struct nature nature = nature_of(path);
        struct window w = {.length_ns = 0};
        name_path(path, &w);
        for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++) {
            uint64_t length_ns = schema_tier_length_ns(t, BASE_NS);
            for (uint64_t at = oldest_ns(t); at + length_ns <= NOW_NS; at += length_ns, n_windows++) {
                generate(&nature, at, length_ns, &w);
                put(s, t, &w);
            }
        }
        if (schema_put_object(s, SENSOR, WINDOW_PATH, w.name, NOW_NS) != 0)
            die("cannot write", NULL);
    }
    flush(s);
    double used = info(s, "memory", "used_memory") - before, rss = info(s, "memory", "used_memory_rss") - rss_before;
    printf("{\"paths\":%" PRIu64 ",\"windows\":%" PRIu64 ",\"used_mib_per_path\":%.3f,\"rss_mib_per_path\":%.3f}\n",
           n_paths, n_windows, used / 1048576 / (double)n_paths, rss / 1048576 / (double)n_paths);
    store_close(s);
    return 0;
}

/* ---- publishing ---- */

static const char *const mirrors[] = {"bench"};

static struct analytics_options options_for(const char *url)
{
    return (struct analytics_options){.n_rings = 1,
                                      .mirror_names = mirrors,
                                      .n_mirrors = 1,
                                      .sensor = SENSOR,
                                      .version = "bench",
                                      .window_ns = BASE_NS,
                                      .live = true,
                                      .store_url = url,
                                      .spool_bytes = 256u << 20};
}

static double cpu_s(void)
{
    return (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

static double redis_cpu_s(struct store *s)
{
    return info(s, "cpu", "used_cpu_sys") + info(s, "cpu", "used_cpu_user");
}

static void put_closed(struct publisher *p, enum schema_tier tier, uint64_t start_ns)
{
    uint64_t length_ns = schema_tier_length_ns(tier, BASE_NS);

    publisher_set_data_time(p, start_ns + length_ns);
    publisher_put_closed(
        p, &(struct schema_closed){
               .tier = tier, .parts = 1, .parts_expected = 1, .start_ns = start_ns, .length_ns = length_ns});
}

static int publish(const char *url, uint64_t n, uint64_t rounds)
{
    const struct analytics_options options = options_for(url);
    struct window *w = calloc(n, sizeof(*w));
    struct store *s = open_url(url);
    struct publisher *p = NULL;
    struct error e = {""};

    if (w == NULL || publisher_new(&options, &p, &e) != 0 || publisher_connect(p, &e) != 0)
        die("cannot publish", &e);
    for (uint64_t i = 0; i < n; i++) {
        struct nature nature = nature_of(i % 5000);
        w[i].scope = WINDOW_SERVICE;
        snprintf(w[i].name, sizeof(w[i].name), "Branch-%05" PRIu64 "~DC/service-%" PRIu64, i / 20, i % 20);
        generate(&nature, NOW_NS, BASE_NS, &w[i]);
    }
    publisher_begin(p, NOW_NS);
    double cpu = cpu_s(), redis = redis_cpu_s(s);
    uint64_t from = clock_ns(CLOCK_MONOTONIC);
    for (uint64_t r = 0; r < rounds; r++) {
        for (uint64_t i = 0; i < n; i++) {
            w[i].start_ns = NOW_NS + r * BASE_NS;
            publisher_put_window(p, SCHEMA_BASE, &w[i], 1, 1);
            publisher_put_object(p, w[i].scope, w[i].name, w[i].start_ns);
        }
        put_closed(p, SCHEMA_BASE, NOW_NS + r * BASE_NS);
        while (publisher_fill(p) > 0)
            publisher_step(p);
    }
    double wall = (double)(clock_ns(CLOCK_MONOTONIC) - from) / 1e9;
    cpu = (cpu_s() - cpu) / (double)rounds;
    redis = (redis_cpu_s(s) - redis) / (double)rounds;
    printf("{\"windows\":%" PRIu64 ",\"rounds\":%" PRIu64 ",\"probe_cpu_s_per_10s\":%.3f,\"redis_cpu_s_per_10s\":%.3f,"
           "\"wall_s_per_round\":%.3f,\"dropped\":%" PRIu64 "}\n",
           n, rounds, cpu, redis, wall / (double)rounds, publisher_dropped(p));
    publisher_finish(p, 5000);
    publisher_free(p);
    store_close(s);
    free(w);
    return 0;
}

/* ---- queries ---- */

#define QUERY_WINDOWS 4u /* coarse windows of all paths at once */

/* The last n_windows, oldest first, as a sensor writes them: Redis looks for a field of a bucket from its oldest on.
 * Only those that queries of all paths ask for are generated one by one, unless `all` are. */
static void fill_range(struct store *s, uint64_t path, enum schema_tier tier, uint64_t n_windows, bool all)
{
    uint64_t length_ns = schema_tier_length_ns(tier, BASE_NS), end_ns = NOW_NS / length_ns * length_ns;
    struct nature nature = nature_of(path);
    struct window w = {.length_ns = 0};

    name_path(path, &w);
    for (uint64_t left = n_windows; left > 0; left--) {
        if (all || left == n_windows || left <= QUERY_WINDOWS)
            generate(&nature, end_ns - left * length_ns, length_ns, &w);
        w.start_ns = end_ns - left * length_ns;
        put(s, tier, &w);
    }
}

/* NOW_NS ends a bucket of each tier: the queries find their buckets full, which is the most that they can cost. */
static int fill_queries(const char *url, uint64_t n_paths)
{
    struct store *s = open_url(url);

    for (uint64_t path = 0; path < n_paths; path++) {
        struct window w;
        name_path(path, &w);
        fill_range(s, path, SCHEMA_BASE, path == 0 ? 360 : SCHEMA_BUCKET_WINDOWS, path == 0);
        fill_range(s, path, SCHEMA_1MIN, SCHEMA_BUCKET_WINDOWS, false);
        fill_range(s, path, SCHEMA_15MIN, path == 0 ? 35 * 96 : SCHEMA_BUCKET_WINDOWS, path == 0);
        fill_range(s, path, SCHEMA_1H, QUERY_WINDOWS, true);
        if (schema_put_object(s, SENSOR, WINDOW_PATH, w.name, NOW_NS) != 0)
            die("cannot write", NULL);
    }
    flush(s);
    put_sensor(s);
    store_close(s);
    return 0;
}

struct timing {
    double wall_ms, cpu_ms; /* the best of some; cpu: of this process and of Redis together */
    double redis_ms;        /* of that, Redis's */
};

static struct timing timed(int (*query)(struct store *, const struct schema_sensor *), struct store *s,
                           const struct schema_sensor *x)
{
    struct timing best = {1e9, 1e9, 0};

    for (int i = 0; i < 7; i++) {
        double redis = redis_cpu_s(s), cpu = cpu_s();
        uint64_t from = clock_ns(CLOCK_MONOTONIC);
        if (query(s, x) != 0)
            die("query", NULL);
        double ms = (double)(clock_ns(CLOCK_MONOTONIC) - from) / 1e6;
        cpu = 1e3 * (cpu_s() - cpu);
        redis = 1e3 * (redis_cpu_s(s) - redis);
        best.wall_ms = ms < best.wall_ms ? ms : best.wall_ms;
        if (cpu + redis < best.cpu_ms) {
            best.cpu_ms = cpu + redis;
            best.redis_ms = redis;
        }
    }
    return best;
}

static void print_timing(const char *name, struct timing t)
{
    printf("%s\"%s_ms\":%.1f,\"%s_cpu_ms\":%.1f,\"%s_redis_ms\":%.1f", strcmp(name, "latest") == 0 ? "{" : ",", name,
           t.wall_ms, name, t.cpu_ms, name, t.redis_ms);
}

static int query_latest(struct store *s, const struct schema_sensor *x)
{
    struct window *w = NULL;
    size_t n = 0;
    int result = schema_window_latest(s, x, WINDOW_PATH, SCHEMA_BASE, &w, &n, NULL, NULL);

    free(w);
    return result;
}

static int query_coarse(struct store *s, const struct schema_sensor *x)
{
    uint64_t length_ns = schema_tier_length_ns(SCHEMA_15MIN, 0);
    struct window *w = NULL;
    size_t n = 0;
    int result = schema_window_all(s, x, WINDOW_PATH, SCHEMA_15MIN,
                                   x->latest_start_ns[SCHEMA_15MIN] - (QUERY_WINDOWS - 1) * length_ns, QUERY_WINDOWS,
                                   &w, &n, NULL, NULL);

    free(w);
    return result != 0 ? result : n % QUERY_WINDOWS == 0 ? 0 : -1;
}

static int query_series(struct store *s, const struct schema_sensor *x, enum schema_tier tier, uint64_t back_ns,
                        size_t want)
{
    struct window named, *w = NULL;
    size_t n = 0;

    name_path(0, &named);
    int result = schema_window_read(s, x, WINDOW_PATH, named.name, tier, NOW_NS - back_ns, NOW_NS, &w, &n, NULL, NULL);
    free(w);
    return result != 0 ? result : n == want ? 0 : -1;
}

static int query_hour(struct store *s, const struct schema_sensor *x)
{
    return query_series(s, x, SCHEMA_BASE, 3600 * NS_PER_S, 360);
}

static int query_month(struct store *s, const struct schema_sensor *x)
{
    return query_series(s, x, SCHEMA_15MIN, 35ull * 86400 * NS_PER_S, 35 * 96);
}

static int query(const char *url)
{
    struct store *s = open_url(url);
    struct schema_sensor x;
    struct error e = {""};

    if (schema_sensor_get(s, SENSOR, &x, &e) != 0)
        die("query", &e);
    print_timing("latest", timed(query_latest, s, &x));
    print_timing("coarse4", timed(query_coarse, s, &x));
    print_timing("hour_of_base", timed(query_hour, s, &x));
    print_timing("days35_of_15min", timed(query_month, s, &x));
    puts("}");
    store_close(s);
    return 0;
}

/* ---- kills ---- */

#define KILL_PATHS   50u
#define KILL_MS      400 /* between two kills, with the store away for a part of it */
#define WINDOWS_KILL 40u

static uint64_t truth_of(uint64_t window, uint64_t path)
{
    return mix64(window * 1000 + path) % 100000 + 1;
}

/* All that is read back against what was put: counters of windows, markers and events, each once. */
struct check {
    uint64_t missing, wrong, doubled, expected;
};

static void check_windows(struct store *s, const struct schema_sensor *x, uint64_t n_windows, struct check *c)
{
    for (uint64_t p = 0; p < KILL_PATHS; p++) {
        struct window named, *w = NULL;
        size_t n = 0;
        struct error e = {""};
        name_path(p, &named);
        if (schema_window_read(s, x, WINDOW_PATH, named.name, SCHEMA_BASE, 0, UINT64_MAX / 2, &w, &n, NULL, &e) != 0)
            die("cannot read", &e);
        c->expected += n_windows;
        c->missing += n_windows - n;
        for (size_t i = 0; i < n; i++)
            c->wrong += w[i].c.dir[0].pkts != truth_of((w[i].start_ns - NOW_NS) / BASE_NS, p);
        free(w);
    }
}

static void check_streams(struct store *s, uint64_t n_windows, struct check *c)
{
    struct schema_closed *closed = NULL;
    struct schema_event *events = NULL;
    size_t n = 0, n_events = 0;
    struct error e = {""};
    uint8_t *seen = calloc(n_windows, 1);

    if (seen == NULL || schema_closed_read(s, SENSOR, "", 1000000, 0, &closed, &n, NULL, &e) != 0 ||
        schema_event_read(s, SENSOR, "", 1000000, 0, &events, &n_events, NULL, &e) != 0)
        die("cannot read", &e);
    c->expected += 2 * n_windows;
    for (size_t i = 0; i < n; i++) {
        uint64_t window = (closed[i].start_ns - NOW_NS) / BASE_NS;
        if (closed[i].degraded)
            c->wrong++;
        if (seen[window]++ != 0)
            c->doubled++;
    }
    for (uint64_t i = 0; i < n_windows; i++)
        c->missing += seen[i] == 0;
    memset(seen, 0, n_windows);
    for (size_t i = 0; i < n_events; i++)
        c->doubled += seen[(events[i].ts_ns - NOW_NS) / BASE_NS]++ != 0;
    for (uint64_t i = 0; i < n_windows; i++)
        c->missing += seen[i] == 0;
    free(seen);
    free(closed);
    free(events);
}

static void put_one_window(struct publisher *p, uint64_t i)
{
    struct window w = {.scope = WINDOW_PATH, .start_ns = NOW_NS + i * BASE_NS, .length_ns = BASE_NS};
    struct schema_event ev = {
        .ts_ns = w.start_ns, .kind_name = "mirror.silent", .severity = EVENT_info, .detail = "{}"};

    for (uint64_t path = 0; path < KILL_PATHS; path++) {
        name_path(path, &w);
        w.c.dir[0].pkts = truth_of(i, path);
        w.c.dir[0].bytes = 100 * w.c.dir[0].pkts;
        w.c.dir[0].frame_bytes = 114 * w.c.dir[0].pkts;
        publisher_put_window(p, SCHEMA_BASE, &w, 1, 1);
        publisher_put_object(p, w.scope, w.name, w.start_ns);
    }
    publisher_put_event(p, &ev);
    put_closed(p, SCHEMA_BASE, w.start_ns);
}

static void step_for(struct publisher *p, long ms)
{
    uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)ms * NS_PER_MS;

    while (clock_ns(CLOCK_MONOTONIC) < until)
        if (publisher_step(p) == 0)
            pause_ms(1);
}

static pid_t pid_of(const char *url)
{
    struct store *s = open_url(url);
    pid_t pid = (pid_t)info(s, "server", "process_id");

    store_close(s);
    return pid;
}

static struct store_private *start(const char *dir)
{
    struct store_private *server = NULL;
    struct error e = {""};

    if (store_private_start(dir, false, &server, &e) != 0)
        die("cannot start redis-server", &e);
    return server;
}

static void report_check(const char *what, uint64_t n, const struct check *c, const struct publisher *p)
{
    printf("{\"%s\":%" PRIu64 ",\"expected\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"doubled\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"reconnects\":%" PRIu64 "}\n",
           what, n, c->expected, c->missing, c->wrong, c->doubled, publisher_dropped(p), publisher_reconnects(p));
}

/* So that each kill meets a publisher at work, however busy the machine is. */
static void wait_reconnect(struct publisher *p, uint64_t times)
{
    for (unsigned i = 0; i < 200 && publisher_reconnects(p) < times; i++)
        step_for(p, 50);
}

static int kill_often(const char *dir, uint64_t kills)
{
    struct store_private *server = start(dir);
    char url[600];
    snprintf(url, sizeof(url), "%s", store_private_url(server));
    const struct analytics_options options = options_for(url);
    struct publisher *p = NULL;
    struct check c = {0};
    struct schema_sensor x;
    struct error e = {""};
    uint64_t n = 0;

    if (publisher_new(&options, &p, &e) != 0 || publisher_connect(p, &e) != 0)
        die("cannot publish", &e);
    publisher_begin(p, NOW_NS);
    for (uint64_t k = 0; k <= kills; k++) {
        pid_t pid = pid_of(url);
        uint64_t at = random_u64() % WINDOWS_KILL; /* killed in the middle of the load, not between two batches */
        for (uint64_t i = 0; i < WINDOWS_KILL; i++) {
            put_one_window(p, n++);
            if (k < kills && i == at)
                kill(pid, SIGKILL);
            step_for(p, KILL_MS / (long)WINDOWS_KILL);
        }
        if (k == kills)
            break;
        store_private_stop(server);
        server = start(dir);
        wait_reconnect(p, k + 1);
    }
    publisher_finish(p, 20000);
    struct store *s = open_url(url);
    if (schema_sensor_get(s, SENSOR, &x, &e) != 0)
        die("cannot read", &e);
    check_windows(s, &x, n, &c);
    check_streams(s, n, &c);
    report_check("kills", kills, &c, p);
    bool good = c.missing + c.wrong + c.doubled + publisher_dropped(p) == 0 && publisher_reconnects(p) >= kills;
    publisher_free(p);
    store_close(s);
    store_private_stop(server);
    return good ? 0 : 1;
}

/* ---- drops ---- */

/* Puts markers only, so that each item is one entry that can be counted. disk: in the last place where they can go. */
static bool count_drops(const char *dir, bool disk)
{
    char url[600], spool[600];
    struct store_private *server = start(dir);
    snprintf(url, sizeof(url), "%s", store_private_url(server));
    snprintf(spool, sizeof(spool), "%s/spool", dir);
    struct analytics_options options = options_for(url);
    struct schema_closed *closed = NULL;
    struct publisher *p = NULL;
    struct error e = {""};
    uint64_t given = 20000;
    size_t stored = 0;

    options.sensor = disk ? "disk" : "memory";
    options.spool_bytes = 300000;
    options.spool_dir = disk ? spool : NULL;
    options.spool_disk_bytes = disk ? 200000 : 0;
    if (publisher_new(&options, &p, &e) != 0 || publisher_connect(p, &e) != 0)
        die("cannot publish", &e);
    kill(pid_of(url), SIGKILL);
    store_private_stop(server);
    for (uint64_t i = 0; i < given; i++) {
        put_closed(p, SCHEMA_BASE, NOW_NS + i * BASE_NS);
        if (i % 500 == 0)
            publisher_step(p);
    }
    uint64_t dropped = publisher_dropped(p);
    server = start(dir);
    publisher_finish(p, 15000);
    struct store *s = open_url(url);
    if (schema_closed_read(s, options.sensor, "", 1000000, 0, &closed, &stored, NULL, &e) != 0)
        die("cannot read", &e);
    bool newest = stored != 0 && closed[stored - 1].start_ns == NOW_NS + (given - 1) * BASE_NS;
    printf("{\"spool\":\"%s\",\"given\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"stored\":%zu,\"newest_kept\":%s}\n",
           options.sensor, given, publisher_dropped(p), stored, newest ? "true" : "false");
    bool good = newest && dropped != 0 && publisher_dropped(p) + stored == given;
    free(closed);
    store_close(s);
    publisher_free(p);
    store_private_stop(server);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t a = argc > 3 ? strtoull(argv[3], NULL, 10) : 0, b = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;

    signal(SIGPIPE, SIG_IGN);
    if (argc > 3 && strcmp(argv[1], "fill-memory") == 0)
        return fill_memory(argv[2], a);
    if (argc > 4 && strcmp(argv[1], "publish") == 0)
        return publish(argv[2], a, b);
    if (argc > 3 && strcmp(argv[1], "fill-queries") == 0)
        return fill_queries(argv[2], a);
    if (argc > 2 && strcmp(argv[1], "query") == 0)
        return query(argv[2]);
    if (argc > 3 && strcmp(argv[1], "kill") == 0)
        return kill_often(argv[2], a);
    if (argc > 2 && strcmp(argv[1], "drops") == 0) {
        bool memory = count_drops(argv[2], false);
        return count_drops(argv[2], true) && memory ? 0 : 1;
    }
    fputs(
        "usage: bench-store fill-memory URL PATHS | publish URL WINDOWS ROUNDS | fill-queries URL PATHS | query URL |\n"
        "                   kill DIR KILLS | drops DIR\n",
        stderr);
    return 2;
}

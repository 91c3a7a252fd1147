/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The simulator: a load model, a plan of faults, and one pass over time.
 *
 * A path has a size, a latency on each side, a small loss, and a shape of the day; minutes vary around it log-normally,
 * a slow component included. A scenario is a row of the table below: a function that plans faults before time begins. A
 * planned fault has occurrences (start, end) and an effect; the pass applies whichever occurrences are active. Counts
 * of lost packets are drawn (binomial, by Poisson or normal approximation), so that significance is that of real
 * counts.
 *
 * Randomness is hashing: each draw is a function of (seed, path, time, purpose), therefore any path or hour can be
 * computed alone and nothing depends on order. Limits: faults add on one path without interacting; load does not react
 * to loss.
 */

#include "control/simulate.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/localtime.h"
#include "control/stats.h"
#include "control/window_stream.h"

#define NS_PER_MIN       (60 * NS_PER_S)
#define NS_PER_HOUR      (3600 * NS_PER_S)
#define DEFAULT_END_DATE 20774 /* 2026-11-17, a Tuesday */

enum purpose { DRAW_PATH, DRAW_PLAN, DRAW_LOAD, DRAW_SLOW, DRAW_LOSS, DRAW_RTT, DRAW_CONNECT };

static uint64_t draw(uint64_t seed, uint64_t path, uint64_t time, enum purpose purpose, unsigned k)
{
    return mix64(mix64(seed + 0x9e3779b97f4a7c15ull * (path + 1)) ^ mix64(time * 64 + (uint64_t)purpose * 8 + k));
}

static double uniform(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) / 9007199254740992.0;
}

/* Sum of four 16-bit uniforms: close to normal within three deviations, and no transcendental. */
static double normal(uint64_t bits)
{
    double sum =
        (double)(bits & 0xFFFF) + (double)(bits >> 16 & 0xFFFF) + (double)(bits >> 32 & 0xFFFF) + (double)(bits >> 48);
    return (sum / 65536.0 - 2.0) * 1.7320508075688772;
}

static uint64_t draw_count(uint64_t bits, uint64_t n, double p)
{
    double mean = (double)n * p;

    if (mean <= 0)
        return 0;
    if (mean > 30) {
        double x = mean + sqrt(mean * (1 - p)) * normal(bits) + 0.5;
        return x <= 0 ? 0 : x >= (double)n ? n : (uint64_t)x;
    }
    double term = exp(-mean);
    double sum = term;
    double u = uniform(bits);
    uint64_t k = 0;
    while (u > sum && k < n) {
        k++;
        term *= mean / (double)k;
        sum += term;
    }
    return k;
}

struct sim_path {
    char name[WINDOW_NAME_BYTES];
    double bits_per_s[2]; /* at its busiest hour */
    double rtt_ms[2];
    double loss;
    double night; /* share of the load that is left at night */
    double peak_hour;
    uint32_t *occurrences; /* indices, by start */
    uint32_t n_occurrences, next, room;
};

/* One row per planted fault; the truth file lists them. */
struct sim_fault {
    const char *kind;
    uint32_t path;
    enum fault_class fault;
    enum fault_direction direction;
    bool upstream;                   /* of loss: before the tap */
    int weekday, from_hour, to_hour; /* -1 where it does not apply */
    double hit_rate, magnitude;
};

struct sim_occurrence {
    uint64_t start_ns, end_ns;
    uint32_t fault;
};

struct sim {
    const struct simulate_options *o;
    uint64_t start_ns, end_ns;
    int32_t first_date, n_dates;
    unsigned window_s;
    struct sim_path *path;
    uint32_t n_paths;
    struct sim_fault *fault;
    uint32_t n_faults, room_faults;
    struct sim_occurrence *occurrence;
    uint32_t n_occurrences, room_occurrences;
    bool failed;
};

static uint32_t add_fault(struct sim *s, const struct sim_fault *f)
{
    if (s->n_faults == s->room_faults) {
        uint32_t room = s->room_faults == 0 ? 64 : s->room_faults * 2;
        struct sim_fault *grown = realloc(s->fault, room * sizeof(*grown));
        if (grown == NULL) {
            s->failed = true;
            return 0;
        }
        s->fault = grown;
        s->room_faults = room;
    }
    s->fault[s->n_faults] = *f;
    return s->n_faults++;
}

static void add_occurrence(struct sim *s, uint32_t fault, uint64_t start_ns, uint64_t end_ns)
{
    if (end_ns <= s->start_ns || start_ns >= s->end_ns || s->failed)
        return;
    if (s->n_occurrences == s->room_occurrences) {
        uint32_t room = s->room_occurrences == 0 ? 64 : s->room_occurrences * 2;
        struct sim_occurrence *grown = realloc(s->occurrence, room * sizeof(*grown));
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        s->occurrence = grown;
        s->room_occurrences = room;
    }
    struct sim_path *p = &s->path[s->fault[fault].path];
    if (p->n_occurrences == p->room) {
        uint32_t room = p->room == 0 ? 8 : p->room * 2;
        uint32_t *grown = realloc(p->occurrences, room * sizeof(*grown));
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        p->occurrences = grown;
        p->room = room;
    }
    p->occurrences[p->n_occurrences++] = s->n_occurrences;
    s->occurrence[s->n_occurrences++] = (struct sim_occurrence){start_ns, end_ns, fault};
}

/* --- plans --- */

/* A fault in a weekly slot: begins in the slot's first minutes, lasts nearly to its end, misses some weeks. */
static void plan_weekly(struct sim *s, const struct sim_fault *f)
{
    uint32_t id = add_fault(s, f);

    for (int32_t d = 0; d < s->n_dates; d++) {
        int32_t date = s->first_date + d;
        uint64_t bits = draw(s->o->seed, f->path, (uint64_t)date, DRAW_PLAN, 1 + (id & 3));
        if (local_weekday(date) != f->weekday || uniform(bits) >= f->hit_rate)
            continue;
        uint64_t from = local_to_ns(date, (unsigned)f->from_hour, (unsigned)(bits >> 8 & 0x0F));
        uint64_t to = local_to_ns(date, (unsigned)f->to_hour, 0) - (bits >> 16 & 0x0F) * NS_PER_MIN;
        add_occurrence(s, id, from, to);
    }
}

static struct sim_fault random_effect(const struct sim *s, uint32_t path, uint64_t bits)
{
    struct sim_fault f = {.path = path, .weekday = -1, .from_hour = -1, .to_hour = -1, .hit_rate = 0};

    (void)s;
    switch (bits % 3) {
    case 0:
        f.fault = FAULT_LOSS;
        f.direction = bits >> 4 & 1 ? DIRECTION_A2B : DIRECTION_B2A;
        f.upstream = bits >> 5 & 1;
        f.magnitude = 0.02 + 0.06 * uniform(mix64(bits));
        break;
    case 1:
        f.fault = FAULT_LATENCY;
        f.direction = bits >> 4 & 1 ? DIRECTION_SIDE_A : DIRECTION_SIDE_B;
        f.magnitude = 5 + 10 * uniform(mix64(bits)); /* factor */
        break;
    default:
        f.fault = FAULT_CONNECT;
        f.direction = DIRECTION_BOTH;
        f.magnitude = 0.35 + 0.5 * uniform(mix64(bits));
        break;
    }
    return f;
}

/* Single faults at a rate per path and day, at any hour, for 15 to 135 minutes; mild ones stay below severity major. */
static void plan_one_offs(struct sim *s, uint32_t path, double per_day, bool mild)
{
    for (int32_t d = 0; d < s->n_dates; d++) {
        uint64_t bits = draw(s->o->seed, path, (uint64_t)(s->first_date + d), DRAW_PLAN, 0);
        if (uniform(bits) >= per_day)
            continue;
        struct sim_fault f = random_effect(s, path, mix64(bits + 1));
        f.kind = "one_off";
        if (mild)
            f.magnitude *= f.fault == FAULT_LOSS ? 0.45 : 0.55;
        uint64_t more = mix64(bits + 2);
        uint64_t start = local_to_ns(s->first_date + d, 0, 0) + more % (24 * 60) * NS_PER_MIN;
        add_occurrence(s, add_fault(s, &f), start, start + (15 + (more >> 32) % 120) * NS_PER_MIN);
    }
}

static void plan_noise(struct sim *s)
{
    for (uint32_t p = 0; p < s->n_paths; p++)
        plan_one_offs(s, p, 0.02, false);
}

/* One path in five has a weekly slot of three hours with a hit rate of 0.8 to 1; all have one-offs. */
static void plan_mixed(struct sim *s)
{
    for (uint32_t p = 0; p < s->n_paths; p++) {
        uint64_t bits = draw(s->o->seed, p, 0, DRAW_PLAN, 7);
        if (bits % 5 == 0) {
            struct sim_fault f = random_effect(s, p, mix64(bits + 1));
            f.kind = "weekly_slot";
            f.weekday = (int)((bits >> 8) % 7);
            f.from_hour = (int)(6 + (bits >> 16) % 14);
            f.to_hour = f.from_hour + 3;
            f.hit_rate = 0.8 + 0.2 * uniform(mix64(bits + 3));
            plan_weekly(s, &f);
        }
        plan_one_offs(s, p, 0.02, false);
    }
}

static void plan_demo(struct sim *s)
{
    static const char *const names[] = {"Branch-12~DC", "Branch-07~DC", "Branch-31~DC"};

    for (uint32_t p = 0; p < s->n_paths; p++)
        snprintf(s->path[p].name, sizeof(s->path[p].name), "%s", names[p]);
    plan_weekly(s, &(struct sim_fault){.kind = "weekly_slot",
                                       .path = 0,
                                       .fault = FAULT_LOSS,
                                       .direction = DIRECTION_B2A,
                                       .weekday = 1,
                                       .from_hour = 8,
                                       .to_hour = 11,
                                       .hit_rate = 0.9,
                                       .magnitude = 0.035});
    for (uint32_t p = 0; p < s->n_paths; p++)
        plan_one_offs(s, p, 0.03, true);
}

/* The scenarios: name, paths of its own (0: as asked for), plan, text. */
static const struct scenario {
    const char *name;
    uint32_t own_paths;
    void (*plan)(struct sim *s);
    const char *text;
} scenarios[] = {
    {"mixed", 0, plan_mixed, "weekly slots with misses on one path in five, one-offs on all"},
    {"noise", 0, plan_noise, "one-offs only: nothing recurs"},
    {"demo", 3, plan_demo, "three paths; loss towards Branch-12 every Tuesday 08:00-11:00"},
};

size_t simulate_scenarios(struct simulate_scenario *ret, size_t room)
{
    size_t n = sizeof(scenarios) / sizeof(scenarios[0]);

    for (size_t i = 0; i < n && i < room; i++)
        ret[i] = (struct simulate_scenario){scenarios[i].name, scenarios[i].text};
    return n;
}

/* --- time --- */

static void make_path(struct sim *s, uint32_t i)
{
    struct sim_path *p = &s->path[i];
    uint64_t bits = draw(s->o->seed, i, 0, DRAW_PATH, 0);
    uint64_t more = draw(s->o->seed, i, 0, DRAW_PATH, 1);

    snprintf(p->name, sizeof(p->name), "Branch-%05u~DC", i + 1);
    p->bits_per_s[0] = 2e6 * pow(20, uniform(bits));
    p->bits_per_s[1] = p->bits_per_s[0] * (1 + 3 * uniform(mix64(bits)));
    p->rtt_ms[0] = 4 + 40 * uniform(more);
    p->rtt_ms[1] = 0.3 + 2 * uniform(mix64(more));
    p->loss = 1e-5 * pow(10, uniform(mix64(more + 1)));
    p->night = 0.1 + 0.2 * uniform(mix64(more + 2));
    p->peak_hour = 10 + 4 * uniform(mix64(more + 3));
}

static double shape_of_day(const struct sim_path *p, const struct local_time *t)
{
    double hour = t->hour + t->minute / 60.0 - p->peak_hour;
    double bump = exp(-hour * hour / 18.0);
    double weekend = t->weekday >= 5 ? 0.25 : 1.0;
    double monday = t->weekday == 0 ? 1.15 : 1.0;

    return p->night + (1 - p->night) * bump * weekend * monday;
}

static void base_window(const struct sim *s, uint32_t i, uint64_t ns, const struct local_time *t, struct observation *o)
{
    const struct sim_path *p = &s->path[i];
    uint64_t load = draw(s->o->seed, i, ns / NS_PER_S, DRAW_LOAD, 0);
    double slow = 0.15 * normal(draw(s->o->seed, i, ns / NS_PER_HOUR, DRAW_SLOW, 0));
    double level = shape_of_day(p, t) * (1 + slow) * s->window_s;

    memset(o, 0, sizeof(*o));
    for (int d = 0; d < 2; d++) {
        double noise = 1 + 0.12 * normal(d == 0 ? load : mix64(load));
        o->dir[d].bytes = (uint64_t)(p->bits_per_s[d] / 8 * level * (noise > 0.2 ? noise : 0.2));
        o->dir[d].judged_pkts = o->dir[d].bytes / 1100;
        uint64_t lost =
            draw_count(draw(s->o->seed, i, ns / NS_PER_S, DRAW_LOSS, (unsigned)d), o->dir[d].judged_pkts, p->loss);
        o->dir[d].lost_downstream_pkts = lost;
        double rtt =
            p->rtt_ms[d] * 1e6 * (1 + 0.05 * normal(draw(s->o->seed, i, ns / NS_PER_S, DRAW_RTT, (unsigned)d)));
        o->rtt_p50_ns[d] = (uint64_t)rtt / 1000 * 1000;
        o->rtt_n[d] = o->dir[d].judged_pkts / 3 < UINT16_MAX ? o->dir[d].judged_pkts / 3 : UINT16_MAX;
    }
    o->connects = o->dir[0].judged_pkts / 60;
    o->failed_connects = draw_count(draw(s->o->seed, i, ns / NS_PER_S, DRAW_CONNECT, 0), o->connects, 0.004);
}

static void apply_fault(const struct sim *s, const struct sim_fault *f, uint64_t ns, double share,
                        struct observation *o)
{
    uint64_t bits = draw(s->o->seed, f->path, ns / NS_PER_S, DRAW_LOSS, 4);
    int d = f->direction == DIRECTION_B2A || f->direction == DIRECTION_SIDE_B;

    if (f->fault == FAULT_LOSS) {
        double p = f->magnitude * share * (1 + 0.25 * normal(mix64(bits)));
        uint64_t lost = draw_count(bits, o->dir[d].judged_pkts, p > 0 ? p : 0);
        if (f->upstream)
            o->dir[d].lost_upstream_pkts += lost;
        else
            o->dir[d].lost_downstream_pkts += lost;
    } else if (f->fault == FAULT_LATENCY && share >= 0.5) {
        o->rtt_p50_ns[d] =
            (uint64_t)((double)o->rtt_p50_ns[d] * f->magnitude * (1 + 0.1 * normal(bits))) / 1000 * 1000 + 3000000;
    } else if (f->fault == FAULT_CONNECT) {
        uint64_t failed = draw_count(bits, o->connects, f->magnitude * share);
        o->failed_connects += failed;
        o->connects -= failed < o->connects ? failed : o->connects;
    }
}

/* The share of the window [ns, ns + length) that an occurrence covers. */
static double covered(const struct sim_occurrence *x, uint64_t ns, uint64_t length_ns)
{
    uint64_t from = x->start_ns > ns ? x->start_ns : ns;
    uint64_t to = x->end_ns < ns + length_ns ? x->end_ns : ns + length_ns;

    return to > from ? (double)(to - from) / (double)length_ns : 0;
}

static bool write_step(struct sim *s, FILE *f, uint64_t ns)
{
    struct local_time t;
    uint64_t length_ns = s->window_s * NS_PER_S;

    local_from_ns(ns, &t);
    for (uint32_t i = 0; i < s->n_paths; i++) {
        struct sim_path *p = &s->path[i];
        struct observation o;
        base_window(s, i, ns, &t, &o);
        for (uint32_t k = p->next; k < p->n_occurrences; k++) {
            const struct sim_occurrence *x = &s->occurrence[p->occurrences[k]];
            if (x->start_ns >= ns + length_ns)
                break;
            double share = covered(x, ns, length_ns);
            if (share > 0)
                apply_fault(s, &s->fault[x->fault], ns, share, &o);
            else if (k == p->next)
                p->next++;
        }
        if (!stream_write_window(f, i, WINDOW_PATH, ns, (uint32_t)(o.connects + o.failed_connects), &o))
            return false;
    }
    return true;
}

/* --- files --- */

static void sort_occurrences(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_paths; i++) { /* few per path: insertion */
        struct sim_path *p = &s->path[i];
        for (uint32_t a = 1; a < p->n_occurrences; a++) {
            uint32_t x = p->occurrences[a];
            uint32_t b = a;
            for (; b > 0 && s->occurrence[p->occurrences[b - 1]].start_ns > s->occurrence[x].start_ns; b--)
                p->occurrences[b] = p->occurrences[b - 1];
            p->occurrences[b] = x;
        }
    }
}

static json_t *fault_to_json(const struct sim *s, uint32_t id)
{
    const struct sim_fault *f = &s->fault[id];
    json_t *list = json_array();

    for (uint32_t k = 0; k < s->n_occurrences; k++) {
        if (s->occurrence[k].fault == id)
            json_array_append_new(list, json_pack("{s:I,s:I}", "start_ns", (json_int_t)s->occurrence[k].start_ns,
                                                  "end_ns", (json_int_t)s->occurrence[k].end_ns));
    }
    json_t *j = json_pack("{s:i,s:s,s:s,s:s,s:s,s:f}", "id", (int)id, "kind", f->kind, "path", s->path[f->path].name,
                          "fault", fault_class_name(f->fault), "direction", fault_direction_name(f->direction),
                          "magnitude", f->magnitude);
    if (f->weekday >= 0)
        json_object_update_new(j, json_pack("{s:i,s:i,s:i,s:f}", "weekday", f->weekday, "from_hour", f->from_hour,
                                            "to_hour", f->to_hour, "hit_rate", f->hit_rate));
    if (f->fault == FAULT_LOSS)
        json_object_set_new(j, "side", json_string(f->upstream ? "upstream" : "downstream"));
    json_object_set_new(j, "occurrences", list);
    return j;
}

static int write_truth(const struct sim *s, const char *scenario, struct error *e)
{
    json_t *faults = json_array();

    for (uint32_t i = 0; i < s->n_faults; i++)
        json_array_append_new(faults, fault_to_json(s, i));
    json_t *j = json_pack("{s:i,s:s,s:I,s:i,s:i,s:I,s:I,s:i,s:s,s:o}", "version", 1, "scenario", scenario, "seed",
                          (json_int_t)s->o->seed, "weeks", (int)s->o->weeks, "paths", (int)s->n_paths, "start_ns",
                          (json_int_t)s->start_ns, "end_ns", (json_int_t)s->end_ns, "window_s", (int)s->window_s,
                          "zone", s->o->zone != NULL ? s->o->zone : "", "faults", faults);
    int rc = j != NULL && json_dump_file(j, s->o->truth_path, JSON_INDENT(1)) == 0 ? 0 : -1;
    json_decref(j);
    return rc == 0 ? 0 : error_set(e, -EIO, "cannot write the truth to %.120s", s->o->truth_path);
}

static ssize_t gz_write(void *cookie, const char *data, size_t len)
{
    int n = gzwrite(cookie, data, (unsigned)len);

    return n > 0 ? n : -1;
}

static int gz_close(void *cookie)
{
    return gzclose(cookie) == Z_OK ? 0 : -1;
}

/* A file for writing; compressed when its name ends in .gz. NULL with errno. */
static FILE *open_output(const char *path)
{
    size_t len = strlen(path);

    if (strcmp(path, "-") == 0)
        return stdout;
    if (len < 3 || strcmp(path + len - 3, ".gz") != 0)
        return fopen(path, "wb");
    gzFile gz = gzopen(path, "wb9");
    if (gz == NULL)
        return NULL;
    FILE *f = fopencookie(gz, "wb", (cookie_io_functions_t){.write = gz_write, .close = gz_close});
    if (f == NULL)
        gzclose(gz);
    return f;
}

/* Half a file is no file. A device or pipe is somebody else's and stays. */
static void remove_partial(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path);
}

static int write_stream(struct sim *s, struct error *e)
{
    struct stream_header h = {.window_s = s->window_s};
    bool to_stdout = strcmp(s->o->out_path, "-") == 0;
    FILE *f = open_output(s->o->out_path);

    if (f == NULL)
        return error_set(e, -errno, "cannot write %.120s: %s", s->o->out_path, strerror(errno));
    snprintf(h.zone, sizeof(h.zone), "%s", s->o->zone != NULL ? s->o->zone : "");
    bool ok = stream_write_header(f, &h);
    for (uint32_t i = 0; ok && i < s->n_paths; i++)
        ok = stream_write_name(f, i, WINDOW_PATH, s->path[i].name);
    for (uint64_t ns = s->start_ns; ok && ns < s->end_ns; ns += s->window_s * NS_PER_S)
        ok = write_step(s, f, ns);
    int code = ok ? 0 : errno;
    if ((to_stdout ? fflush(f) : fclose(f)) != 0 && code == 0)
        code = errno;
    if (code != 0 && !to_stdout)
        remove_partial(s->o->out_path);
    return code == 0 ? 0 : error_set(e, -code, "cannot write %.120s: %s", s->o->out_path, strerror(code));
}

static int check_options(const struct simulate_options *o, const struct scenario **ret, struct error *e)
{
    const char *name = o->scenario != NULL ? o->scenario : scenarios[0].name;

    *ret = NULL;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(scenarios[i].name, name) == 0)
            *ret = &scenarios[i];
    }
    if (*ret == NULL)
        return error_set(e, -EINVAL, "no scenario '%.60s'; see --help for the list", name);
    if (o->weeks < 1 || o->weeks > 520)
        return error_set(e, -EINVAL, "--weeks must be 1 to 520");
    if ((*ret)->own_paths == 0 && (o->paths < 1 || o->paths > 100000))
        return error_set(e, -EINVAL, "--paths must be 1 to 100000");
    if (o->window_s != 0 && (o->window_s % 60 != 0 || o->window_s > 3600))
        return error_set(e, -EINVAL, "the window must be full minutes, at most an hour");
    return 0;
}

static void free_sim(struct sim *s)
{
    for (uint32_t i = 0; s->path != NULL && i < s->n_paths; i++)
        free(s->path[i].occurrences);
    free(s->path);
    free(s->fault);
    free(s->occurrence);
}

int simulate_run(const struct simulate_options *o, struct error *e)
{
    const struct scenario *scenario;
    struct local_time t;
    struct sim s = {.o = o};
    int rc = check_options(o, &scenario, e);

    if (rc != 0)
        return rc;
    s.window_s = o->window_s != 0 ? o->window_s : 60;
    s.end_ns = o->end_ns != 0 ? o->end_ns : local_to_ns(DEFAULT_END_DATE, 0, 0);
    s.end_ns -= s.end_ns % (s.window_s * NS_PER_S);
    local_from_ns(s.end_ns, &t);
    s.n_dates = (int32_t)o->weeks * 7;
    s.first_date = t.date - s.n_dates;
    s.start_ns = local_to_ns(s.first_date, t.hour, t.minute);
    s.start_ns -= s.start_ns % (s.window_s * NS_PER_S);
    s.n_paths = scenario->own_paths != 0 ? scenario->own_paths : o->paths;
    s.path = calloc(s.n_paths, sizeof(*s.path));
    if (s.path == NULL)
        return error_set(e, -ENOMEM, "no memory for %u paths", s.n_paths);
    for (uint32_t i = 0; i < s.n_paths; i++)
        make_path(&s, i);
    scenario->plan(&s);
    sort_occurrences(&s);
    rc = s.failed ? error_set(e, -ENOMEM, "no memory for the plan") : 0;
    if (rc == 0)
        rc = write_stream(&s, e);
    if (rc == 0 && o->truth_path != NULL)
        rc = write_truth(&s, scenario->name, e);
    free_sim(&s);
    return rc;
}

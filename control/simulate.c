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

#include <errno.h>
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
#include "control/simulate_internal.h"
#include "control/stats.h"
#include "control/window_stream.h"

#define DEFAULT_END_DATE 20774 /* 2026-11-17, a Tuesday */

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
    double u = sim_uniform(bits);
    uint64_t k = 0;
    while (u > sum && k < n) {
        k++;
        term *= mean / (double)k;
        sum += term;
    }
    return k;
}

/* --- time --- */

static void make_path(struct sim *s, uint32_t i)
{
    struct sim_path *p = &s->path[i];
    uint64_t bits = sim_draw(s->o->seed, i, 0, DRAW_PATH, 0);
    uint64_t more = sim_draw(s->o->seed, i, 0, DRAW_PATH, 1);

    snprintf(p->name, sizeof(p->name), "Branch-%05u~DC", i + 1);
    p->bits_per_s[0] = 2e6 * pow(20, sim_uniform(bits));
    p->bits_per_s[1] = p->bits_per_s[0] * (1 + 3 * sim_uniform(mix64(bits)));
    p->rtt_ms[0] = 4 + 40 * sim_uniform(more);
    p->rtt_ms[1] = 0.3 + 2 * sim_uniform(mix64(more));
    p->loss = 1e-5 * pow(10, sim_uniform(mix64(more + 1)));
    p->night = 0.1 + 0.2 * sim_uniform(mix64(more + 2));
    p->peak_hour = 10 + 4 * sim_uniform(mix64(more + 3));
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
    uint64_t load = sim_draw(s->o->seed, i, ns / NS_PER_S, DRAW_LOAD, 0);
    double slow = 0.15 * normal(sim_draw(s->o->seed, i, ns / NS_PER_HOUR, DRAW_SLOW, 0));
    double level = shape_of_day(p, t) * (1 + slow) * s->window_s;
    if (p->growth > 0)
        level *= exp(log1p(p->growth) * (double)(ns - s->start_ns) / (7.0 * 24 * NS_PER_HOUR));

    memset(o, 0, sizeof(*o));
    for (int d = 0; d < 2; d++) {
        double noise = 1 + 0.12 * normal(d == 0 ? load : mix64(load));
        o->dir[d].bytes = (uint64_t)(p->bits_per_s[d] / 8 * level * (noise > 0.2 ? noise : 0.2));
        o->dir[d].judged_pkts = o->dir[d].bytes / 1100;
        double over = p->capacity_bits > 0 && d == 1 ? (double)o->dir[d].bytes * 8 / s->window_s / p->capacity_bits : 0;
        if (over > 1)
            o->dir[d].bytes = (uint64_t)((double)o->dir[d].bytes / over);
        uint64_t lost =
            draw_count(sim_draw(s->o->seed, i, ns / NS_PER_S, DRAW_LOSS, (unsigned)d), o->dir[d].judged_pkts, p->loss);
        o->dir[d].lost_downstream_pkts = lost;
        if (over > 1)
            o->dir[d].lost_downstream_pkts += (uint64_t)((double)o->dir[d].judged_pkts * fmin(0.2, 0.02 + (over - 1)));
        double rtt =
            p->rtt_ms[d] * 1e6 * (1 + 0.05 * normal(sim_draw(s->o->seed, i, ns / NS_PER_S, DRAW_RTT, (unsigned)d)));
        o->rtt_p50_ns[d] = (uint64_t)rtt / 1000 * 1000;
        o->rtt_n[d] = o->dir[d].judged_pkts / 3 < UINT16_MAX ? o->dir[d].judged_pkts / 3 : UINT16_MAX;
    }
    o->connects = o->dir[0].judged_pkts / 60;
    o->failed_connects = draw_count(sim_draw(s->o->seed, i, ns / NS_PER_S, DRAW_CONNECT, 0), o->connects, 0.004);
}

static void apply_fault(const struct sim *s, const struct sim_fault *f, uint64_t ns, double share, double grown,
                        struct observation *o)
{
    uint64_t bits = sim_draw(s->o->seed, f->path, ns / NS_PER_S, DRAW_LOSS, 4);
    int d = f->direction == DIRECTION_B2A || f->direction == DIRECTION_SIDE_B;

    if (strcmp(f->kind, "capacity") == 0)
        return; /* it comes from the load */

    if (f->fault == FAULT_LOSS) {
        double p = f->magnitude * share * (1 + 0.25 * normal(mix64(bits)));
        uint64_t lost = draw_count(bits, o->dir[d].judged_pkts, p > 0 ? p : 0);
        if (f->upstream)
            o->dir[d].lost_upstream_pkts += lost;
        else
            o->dir[d].lost_downstream_pkts += lost;
    } else if (f->ramp) {
        o->rtt_p50_ns[d] = (uint64_t)((double)o->rtt_p50_ns[d] * (1 + (f->magnitude - 1) * grown)) / 1000 * 1000;
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

/* The span of a kind that holds most of a window, or NULL. */
static const struct sim_span *span_at(const struct sim *s, enum sim_span_kind kind, uint64_t ns, uint64_t length_ns)
{
    for (uint32_t i = 0; i < s->n_spans[kind]; i++) {
        const struct sim_span *x = s->span[kind][i];
        if (x->start_ns < ns + length_ns && x->end_ns > ns)
            return x;
    }
    return NULL;
}

/* The mirror drops packets: the windows say so, and their counts look like loss and like unanswered connections. */
static void apply_capture_loss(const struct sim *s, const struct sim_span *x, uint32_t path, uint64_t ns,
                               struct observation *o)
{
    o->quality = WINDOW_UNSURE;
    for (unsigned d = 0; d < 2; d++) {
        uint64_t bits = sim_draw(s->o->seed, path, ns / NS_PER_S, DRAW_LOSS, 5 + d);
        o->dir[d].lost_upstream_pkts += draw_count(bits, o->dir[d].judged_pkts, x->share);
        o->dir[d].bytes = (uint64_t)((double)o->dir[d].bytes * (1 - x->share));
    }
    uint64_t failed = draw_count(sim_draw(s->o->seed, path, ns / NS_PER_S, DRAW_CONNECT, 5), o->connects, x->share * 2);
    o->failed_connects += failed;
    o->connects -= failed;
}

static void apply_faults(struct sim *s, uint32_t path, uint64_t ns, uint64_t length_ns, struct observation *o)
{
    struct sim_path *p = &s->path[path];

    for (uint32_t k = p->next; k < p->n_occurrences; k++) {
        const struct sim_occurrence *x = &s->occurrence[p->occurrences[k]];
        if (x->start_ns >= ns + length_ns)
            break;
        double share = covered(x, ns, length_ns);
        uint64_t since_ns = ns > x->start_ns ? ns - x->start_ns : 0;
        if (share > 0)
            apply_fault(s, &s->fault[x->fault], ns, share, (double)since_ns / (double)(x->end_ns - x->start_ns), o);
        else if (k == p->next)
            p->next++;
    }
}

static bool write_commands(struct sim *s, FILE *f, uint64_t until_ns)
{
    bool ok = true;

    for (; ok && s->next_command < s->n_commands && s->command[s->next_command].time_ns <= until_ns; s->next_command++)
        ok = stream_write_command(f, s->command[s->next_command].time_ns, s->command[s->next_command].json);
    return ok;
}

/* One window of one path as sensors would see it. */
static void make_window(struct sim *s, uint32_t path, uint64_t ns, const struct local_time *t,
                        const struct sim_span *capture, struct observation *o)
{
    base_window(s, path, ns, t, o);
    apply_faults(s, path, ns, s->window_s * NS_PER_S, o);
    if (capture != NULL)
        apply_capture_loss(s, capture, path, ns, o);
}

bool sim_observed(const struct sim *s, uint64_t ns)
{
    return span_at(s, SIM_OUTAGE, ns, s->window_s * NS_PER_S) == NULL;
}

bool sim_observe(struct sim *s, uint32_t path, uint64_t ns, struct observation *ret)
{
    struct local_time t;

    if (!sim_observed(s, ns))
        return false;
    local_from_ns(ns, &t);
    make_window(s, path, ns, &t, span_at(s, SIM_CAPTURE, ns, s->window_s * NS_PER_S), ret);
    return true;
}

static bool write_step(struct sim *s, FILE *f, uint64_t ns)
{
    struct local_time t;
    uint64_t length_ns = s->window_s * NS_PER_S;
    const struct sim_span *capture = span_at(s, SIM_CAPTURE, ns, length_ns);
    bool ok = write_commands(s, f, ns);

    if (!sim_observed(s, ns))
        return ok;
    local_from_ns(ns, &t);
    for (uint32_t i = 0; ok && i < s->n_paths; i++) {
        struct observation o;
        make_window(s, i, ns, &t, capture, &o);
        ok = stream_write_window(f, i, WINDOW_PATH, ns, (uint32_t)(o.connects + o.failed_connects), &o);
    }
    return ok;
}

/* --- files --- */

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
    ok = ok && write_commands(s, f, s->end_ns);
    int code = ok ? 0 : errno;
    if ((to_stdout ? fflush(f) : fclose(f)) != 0 && code == 0)
        code = errno;
    if (code != 0 && !to_stdout)
        remove_partial(s->o->out_path);
    return code == 0 ? 0 : error_set(e, -code, "cannot write %.120s: %s", s->o->out_path, strerror(code));
}

static int check_options(const struct simulate_options *o, const struct sim_scenario **ret, struct error *e)
{
    const char *name = o->scenario != NULL ? o->scenario : sim_scenarios[0].name;

    *ret = NULL;
    for (size_t i = 0; sim_scenarios[i].name != NULL; i++) {
        if (strcmp(sim_scenarios[i].name, name) == 0)
            *ret = &sim_scenarios[i];
    }
    if (*ret == NULL)
        return error_set(e, -EINVAL, "no scenario '%.60s'; see --list", name);
    if (o->weeks < 1 || o->weeks > 520)
        return error_set(e, -EINVAL, "--weeks must be 1 to 520");
    if ((*ret)->own_paths == 0 && (o->paths < 1 || o->paths > 100000))
        return error_set(e, -EINVAL, "--paths must be 1 to 100000");
    if (o->window_s != 0 && (o->window_s % 60 != 0 || o->window_s > 3600))
        return error_set(e, -EINVAL, "the window must be full minutes, at most an hour");
    return 0;
}

int simulate_run(const struct simulate_options *o, struct error *e)
{
    const struct sim_scenario *scenario;
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
    sim_plan_commands(&s);
    sim_sort(&s);
    rc = s.failed ? error_set(e, -ENOMEM, "no memory for the plan") : 0;
    if (rc == 0 && o->out_path != NULL)
        rc = write_stream(&s, e);
    if (rc == 0 && o->publish_url != NULL) {
        for (uint32_t i = 0; i < s.n_paths; i++)
            s.path[i].next = 0;
        s.next_command = 0;
        rc = sim_publish(&s, o->publish_url, e);
    }
    if (rc == 0 && o->truth_path != NULL)
        rc = sim_write_truth(&s, scenario->name, e);
    sim_free(&s);
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The core that all detectors share: per window one verdict, hysteresis over minutes, hours that teach.
 *
 * When a minute is out is the detector's business (control/detectors/). An anomaly begins when 7 of 9 minutes are out;
 * its onset is the first of them. It ends after 15 quiet minutes. Minutes that were not observed count for neither. A
 * window longer than a minute speaks for all of its minutes, so that coarser histories run through the same rules.
 *
 * Learning waits for the end of the local hour; what was out, or came while anomalous, is not learnt, nor anything on a
 * holiday, which is judged as a Sunday. Limits are computed once per hour and series, so that a quiet minute costs a
 * comparison.
 *
 * Beside the minutes, each hour is compared with its baseline as a whole (level.c): hours that lie a little above it,
 * one after the other, add up to a drift, which lowers the bar for minutes; a level that stays elsewhere for a week is
 * proposed as the new normal.
 */

#include "control/detect.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "control/detectors/measure.h"
#include "control/level.h"

#define ENTER_OUT                                          7
#define ENTER_OF                                           9
#define LEAVE_QUIET                                        15
#define SUSPECT_OUT                                        3
#define OBSERVED_MINUTES                                   30
#define FARTHEST_CODES                                     1280 /* a factor of 32 */
#define SUNDAY                                             6u

#define X(symbol, name, fault, direction, kind, how, side) extern const struct detector detector_##how;
METRICS(X)
#undef X

static const struct {
    const struct detector *detector;
    int side;
} detectors[METRIC_COUNT] = {
#define X(symbol, name, fault, direction, kind, how, side) {&detector_##how, side},
    METRICS(X)
#undef X
};

const struct metric_info metric_info[METRIC_COUNT] = {
#define X(symbol, name, fault, direction, kind, how, side) {name, fault, direction, kind},
    METRICS(X)
#undef X
};

enum metric metric_of(const char *name)
{
    enum metric m = 0;

    while (m < METRIC_COUNT && strcmp(metric_info[m].name, name) != 0)
        m++;
    return m;
}

const char *anomaly_state_name(enum anomaly_state s)
{
#define X(symbol, name) name,
    static const char *const names[ANOMALY_STATE_COUNT] = { ANOMALY_STATES(X) };
#undef X
    return names[s];
}

void observation_from_window(struct observation *o, const struct window *w)
{
    memset(o, 0, sizeof(*o));
    o->quality = w->quality;
    for (int d = 0; d < 2; d++) {
        o->dir[d].bytes = w->c.dir[d].bytes;
        o->dir[d].judged_pkts = w->c.dir[d].judged_pkts;
        o->dir[d].lost_upstream_pkts = w->c.dir[d].lost_upstream_pkts;
        o->dir[d].lost_downstream_pkts = w->c.dir[d].lost_downstream_pkts;
        o->dir[d].lost_unknown_pkts = w->c.dir[d].lost_unknown_pkts;
        o->rtt_n[d] = w->q[WINDOW_HIST_RTT_A + d].n;
        o->rtt_p50_ns[d] = w->q[WINDOW_HIST_RTT_A + d].p50_ns;
    }
    o->connects = w->c.connects;
    o->failed_connects = w->c.refused_connects + w->c.unanswered_connects;
    o->new_flows = w->c.new_flows;
}

void observation_merge(struct observation *into, const struct observation *from)
{
    if (from->quality > into->quality)
        return;
    if (from->quality < into->quality) { /* a sensor that saw well outweighs one that did not */
        *into = *from;
        return;
    }
    for (int d = 0; d < 2; d++) {
        into->dir[d].bytes += from->dir[d].bytes;
        into->dir[d].judged_pkts += from->dir[d].judged_pkts;
        into->dir[d].lost_upstream_pkts += from->dir[d].lost_upstream_pkts;
        into->dir[d].lost_downstream_pkts += from->dir[d].lost_downstream_pkts;
        into->dir[d].lost_unknown_pkts += from->dir[d].lost_unknown_pkts;
        if (from->rtt_n[d] > into->rtt_n[d]) { /* medians do not add: the larger sample speaks */
            into->rtt_n[d] = from->rtt_n[d];
            into->rtt_p50_ns[d] = from->rtt_p50_ns[d];
        }
    }
    into->connects += from->connects;
    into->failed_connects += from->failed_connects;
    into->new_flows += from->new_flows;
}

void series_init(struct series *x, enum metric metric)
{
    memset(x, 0, sizeof(*x));
    x->metric = (uint8_t)metric;
    x->s.version = SERIES_VERSION;
    x->s.exposure_date = INT32_MIN;
    x->s.state = ANOMALY_UNKNOWN;
    x->high = INFINITY;
    x->low = -INFINITY;
}

void series_fini(struct series *x)
{
    baseline_fini(&x->baseline);
}

struct series *series_new(enum metric metric)
{
    struct series *x = aligned_alloc(SERIES_LINE, sizeof(*x));

    if (x != NULL)
        series_init(x, metric);
    return x;
}

bool metric_present(enum metric metric, const struct observation *o)
{
    return detectors[metric].detector->present(o, detectors[metric].side);
}

bool metric_value(enum metric metric, const struct observation *o, uint32_t minutes, double *ret)
{
    const struct detect_params least = {.loss_share = 1, .rtt_factor = 1, .min_pkts = 1};
    struct detection d = {0};
    struct series empty;

    series_init(&empty, metric);
    if (detectors[metric].detector->judge(&empty, &least, o, detectors[metric].side, minutes, &d) == VERDICT_UNOBSERVED)
        return false;
    *ret = d.value;
    return true;
}

bool metric_observed(enum metric metric, const struct detect_params *p, const struct observation *o)
{
    struct measured v;

    switch (metric) {
#define X(symbol, name, fault, direction, kind, how, side)                                                             \
    case METRIC_##symbol:                                                                                              \
        return measure_##how(o, side, p, 1, &v);
        METRICS(X)
#undef X
    case METRIC_COUNT:
        break;
    }
    return false;
}

uint32_t series_exposure(const struct series *x, int32_t date)
{
    if (x->s.exposure_date == INT32_MIN || date > x->s.exposure_date || date <= x->s.exposure_date - EXPOSURE_DATES)
        return 0;
    if (date == x->s.exposure_date)
        return x->s.exposure_today;
    return x->exposure[(uint32_t)date % EXPOSURE_DATES];
}

static void note_exposure(struct series *x, int32_t date, unsigned hour)
{
    struct series_state *s = &x->s;

    if (s->exposure_date == INT32_MIN || date - s->exposure_date >= EXPOSURE_DATES) {
        memset(x->exposure, 0, sizeof(x->exposure));
        s->exposure_date = date;
        s->exposure_today = 0;
        x->dirty |= SERIES_DIRTY_EXPOSURE;
    }
    if (date > s->exposure_date) {
        x->exposure[(uint32_t)s->exposure_date % EXPOSURE_DATES] = s->exposure_today;
        for (int32_t d = s->exposure_date + 1; d <= date; d++)
            x->exposure[(uint32_t)d % EXPOSURE_DATES] = 0;
        s->exposure_date = date;
        s->exposure_today = 0;
        x->dirty |= SERIES_DIRTY_EXPOSURE;
    }
    if (date == s->exposure_date)
        s->exposure_today |= 1u << hour;
}

/* The hour that is being collected, as the bins see it. */
static void hour_time(const struct series_state *s, struct local_time *t)
{
    *t = (struct local_time){.date = s->hour_date,
                             .week = local_week(s->hour_date),
                             .weekday = s->holiday ? SUNDAY : local_weekday(s->hour_date),
                             .hour = s->hour};
    t->hour_of_week = (uint16_t)(t->weekday * 24u + t->hour);
}

static void derive_limits(struct series *x, const struct detect_params *p)
{
    const struct detector *d = detectors[x->metric].detector;
    struct local_time t;

    hour_time(&x->s, &t);
    x->limits_due = 0;
    x->high = INFINITY;
    x->low = -INFINITY;
    if (metric_info[x->metric].kind == METRIC_SHARE)
        baseline_view_counts(&x->baseline, &t, &x->view);
    else
        baseline_view_values(&x->baseline, &t, &x->view);
    x->level = (uint8_t)x->view.level;
    x->median_code = baseline_code(x->view.median);
    if (x->view.level != BASELINE_NONE && d->limits != NULL)
        d->limits(x, p);
}

static void learn_hour(struct series *x)
{
    struct series_state *s = &x->s;
    struct local_time t;

    hour_time(s, &t);
    if (s->hour_observed_minutes >= OBSERVED_MINUTES) {
        note_exposure(x, t.date, t.hour);
        level_hour(x);
    }
    if (s->holiday) {
        /* taught nothing */
    } else if (metric_info[x->metric].kind == METRIC_SHARE) {
        if (s->counts.windows > 0) {
            baseline_learn_counts(&x->baseline, &t, &s->counts);
            x->dirty |= SERIES_DIRTY_GROUP(t.weekday) | SERIES_DIRTY_GROUP(7);
        }
    } else if (s->n_pending > 0) {
        baseline_learn_values(&x->baseline, &t, s->pending, s->n_pending);
        x->dirty |= SERIES_DIRTY_GROUP(t.weekday) | SERIES_DIRTY_GROUP(7);
    }
    memset(s->pending, 0, sizeof(s->pending));
    memset(&s->counts, 0, sizeof(s->counts));
    s->n_pending = 0;
    s->hour_observed_minutes = 0;
    s->hour_out_minutes = 0;
    s->hour_codes = 0;
    s->hour_n = 0;
}

static void enter_hour(struct series *x, const struct detect_params *p, const struct local_time *t)
{
    if (x->s.hour_open)
        learn_hour(x);
    x->s.hour_open = 1;
    x->s.hour_date = t->date;
    x->s.hour = t->hour;
    x->s.holiday = holidays_has(p->holidays, t->date);
    derive_limits(x, p);
}

void series_restore(struct series *x)
{
    x->limits_due = x->s.hour_open;
}

void series_collect_codes(struct series *x, const uint16_t *codes, unsigned stride, unsigned n, bool taught)
{
    struct series_state *s = &x->s;
    int32_t sum = 0;
    unsigned observed = 0, pending = s->n_pending;

    for (unsigned i = 0; i < n; i++) {
        uint16_t code = codes[i * stride];
        if (code == SERIES_UNSEEN)
            continue;
        int32_t far = (int32_t)code - x->median_code;
        far = far > FARTHEST_CODES ? FARTHEST_CODES : far;
        sum += far < -FARTHEST_CODES ? -FARTHEST_CODES : far;
        observed++;
        if (taught && pending < BASELINE_HOURLY)
            s->pending[pending++] = code;
    }
    s->n_pending = (uint8_t)pending;
    s->hour_codes += sum;
    s->hour_n = (uint8_t)(s->hour_n + observed < UINT8_MAX ? s->hour_n + observed : UINT8_MAX);
}

/* What the hour will teach, and where it lies as a whole. */
static void collect(struct series *x, const struct detection *d, uint32_t minutes)
{
    struct series_state *s = &x->s;
    bool taught = d->verdict != VERDICT_OUT && s->state != ANOMALY_ANOMALOUS && s->state != ANOMALY_CLEARING;

    if (metric_info[x->metric].kind == METRIC_SHARE) {
        double hits = d->value * (double)d->n;
        if (!taught)
            return;
        s->counts.trials += (double)d->n;
        s->counts.hits += hits;
        s->counts.hits2_per_trial += hits * d->value;
        s->counts.windows += 1;
        return;
    }
    if (d->verdict >= VERDICT_OUT_WEAK)
        s->hour_out_minutes = (uint8_t)(s->hour_out_minutes + minutes < 60 ? s->hour_out_minutes + minutes : 60);
    uint16_t code = baseline_code(d->value);
    series_collect_codes(x, &code, 1, 1, taught);
}

/* Shifts `minutes` equal verdicts into the mask; gaps before them were not observed and count for nothing. */
static void shift_in(struct series_state *s, uint32_t start_minute, uint32_t minutes, bool out)
{
    uint32_t gap = start_minute > s->last_minute ? start_minute - s->last_minute : 0;
    uint32_t shift = gap + minutes;

    s->out_mask = (uint16_t)(shift >= 16 ? 0 : s->out_mask << shift);
    if (out)
        s->out_mask = (uint16_t)(s->out_mask | ((1u << (minutes < 9 ? minutes : 9)) - 1));
    s->out_mask = (uint16_t)(s->out_mask & ((1u << ENTER_OF) - 1));
}

static void hysteresis(struct series_state *s, struct detection *d, uint32_t end_minute, uint32_t minutes)
{
    bool out = d->verdict == VERDICT_OUT;
    int n_out;

    shift_in(s, end_minute - minutes, minutes, out);
    n_out = s->out_mask == 0 ? 0 : __builtin_popcount(s->out_mask);
    if (out || d->verdict == VERDICT_UNOBSERVED)
        s->quiet_minutes = out ? 0 : s->quiet_minutes;
    else
        s->quiet_minutes = (uint8_t)(s->quiet_minutes + minutes < 255 ? s->quiet_minutes + minutes : 255);
    if (out)
        s->bad_end_minute = end_minute;
    if (s->state == ANOMALY_ANOMALOUS || s->state == ANOMALY_CLEARING) {
        s->state = s->quiet_minutes > 0 ? ANOMALY_CLEARING : ANOMALY_ANOMALOUS;
        if (s->quiet_minutes >= LEAVE_QUIET) {
            s->state = ANOMALY_NORMAL;
            d->left = true;
        }
    } else if (n_out >= ENTER_OUT) {
        s->state = ANOMALY_ANOMALOUS;
        uint32_t oldest = 31u - (uint32_t)__builtin_clz(s->out_mask);          /* bit 0 is the minute that ends now */
        s->onset_minute = end_minute - (oldest + minutes) / minutes * minutes; /* whole windows */
        d->entered = true;
    } else if (n_out >= SUSPECT_OUT || d->verdict == VERDICT_OUT_WEAK) {
        s->state = ANOMALY_SUSPECT;
    } else if (d->verdict != VERDICT_UNOBSERVED) {
        s->state = d->verdict == VERDICT_UNKNOWN ? ANOMALY_UNKNOWN : ANOMALY_NORMAL;
    }
    s->last_minute = end_minute;
}

void series_step(struct series *x, const struct detect_params *p, const struct observation *o, uint32_t end_minute,
                 uint32_t minutes, const struct local_time *t, struct detection *ret)
{
    struct series_state *s = &x->s;

    if (x->limits_due)
        derive_limits(x, p);
    if (!s->hour_open || s->hour != t->hour || s->hour_date != t->date)
        enter_hour(x, p, t);
    *ret = (struct detection){0};
    ret->verdict = detectors[x->metric].detector->judge(x, p, o, detectors[x->metric].side, minutes, ret);
    x->dirty |= SERIES_DIRTY_STATE;
    if (ret->verdict == VERDICT_QUIET && s->state == ANOMALY_NORMAL && s->out_mask == 0) { /* nearly always */
        s->quiet_minutes = (uint8_t)(s->quiet_minutes + minutes < 255 ? s->quiet_minutes + minutes : 255);
        s->last_minute = end_minute;
    } else {
        hysteresis(s, ret, end_minute, minutes);
    }
    if (ret->verdict == VERDICT_UNOBSERVED)
        return;
    uint32_t observed = s->hour_observed_minutes + minutes;
    s->hour_observed_minutes = (uint8_t)(observed < 60 ? observed : 60);
    collect(x, ret, minutes);
}

bool series_abandon(struct series *x)
{
    if (x->s.state != ANOMALY_ANOMALOUS && x->s.state != ANOMALY_CLEARING)
        return false;
    x->s.state = ANOMALY_UNKNOWN;
    x->s.out_mask = 0;
    x->s.quiet_minutes = 0;
    x->dirty |= SERIES_DIRTY_STATE;
    return true;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The detector: per window one verdict, then hysteresis over minutes.
 *
 * Shares (loss, failed connections) are tested as counts: out when the share is at or above the configured one and
 * significantly above a quarter of it, or when it is far outside its own baseline (beta-binomial, p < 1e-4, five times
 * the mean and at least 0.3 of the configured share). Values (median RTT) are out above factor x median and at
 * four one-sided robust deviations of the logarithm, and only when that is 2 ms or more. Load is out above 4 x or below
 * a quarter at six deviations; from a fall-back bin it is a suspicion, no more.
 *
 * An anomaly begins when 7 of 9 minutes are out; its onset is the first of them. It ends after 15 quiet minutes.
 * Minutes that were not observed count for neither. A window longer than a minute speaks for all of its minutes, so
 * that coarser histories run through the same rules.
 *
 * Learning waits for the end of the local hour; what was out, or came while anomalous, is not learnt. Limits are
 * computed once per hour and series, so that a minute costs a comparison.
 */

#include "control/detect.h"

#include <math.h>
#include <string.h>
#include "control/stats.h"

#define ENTER_OUT                               7
#define ENTER_OF                                9
#define LEAVE_QUIET                             15
#define SUSPECT_OUT                             3
#define STATE_VERSION                           1u
#define SHARE_TAIL                              1e-4
#define SHARE_FACTOR                            5.0
#define SHARE_FLOOR                             0.3
#define THRESHOLD_NULL                          0.25
#define THRESHOLD_TAIL                          1e-3
#define THRESHOLD_RHO                           2e-4
#define CONNECT_SHARE                           0.2
#define CONNECT_LEAST                           20u
#define RTT_LEAST_N                             5u
#define RTT_SCORE                               4.0
#define RTT_LEAST_NS                            2e6
#define LOAD_SCORE                              6.0
#define LOAD_FACTOR                             4.0
#define OBSERVED_MINUTES                        30

#define X(symbol, name, fault, direction, kind) {name, fault, direction, kind},
const struct metric_info metric_info[METRIC_COUNT] = {METRICS(X)};
#undef X

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
    x->s.version = STATE_VERSION;
    x->s.exposure_date = INT32_MIN;
    x->s.state = ANOMALY_UNKNOWN;
    x->high = INFINITY;
    x->low = -INFINITY;
}

void series_fini(struct series *x)
{
    baseline_fini(&x->baseline);
}

bool metric_present(enum metric metric, const struct observation *o)
{
    switch (metric) {
    case METRIC_LOSS_A2B:
        return o->dir[0].judged_pkts > 0;
    case METRIC_LOSS_B2A:
        return o->dir[1].judged_pkts > 0;
    case METRIC_CONNECT:
        return o->connects + o->failed_connects >= CONNECT_LEAST;
    case METRIC_RTT_A:
        return o->rtt_n[0] > 0;
    case METRIC_RTT_B:
        return o->rtt_n[1] > 0;
    case METRIC_LOAD_A2B:
        return o->dir[0].bytes > 0;
    case METRIC_LOAD_B2A:
        return o->dir[1].bytes > 0;
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

static void hour_time(const struct series_state *s, struct local_time *t)
{
    *t = (struct local_time){.date = s->hour_date,
                             .week = local_week(s->hour_date),
                             .weekday = local_weekday(s->hour_date),
                             .hour = s->hour};
    t->hour_of_week = (uint16_t)(t->weekday * 24u + t->hour);
}

static void derive_limits(struct series *x, const struct local_time *t)
{
    x->high = INFINITY;
    x->low = -INFINITY;
    if (metric_info[x->metric].kind == METRIC_SHARE) {
        baseline_view_counts(&x->baseline, t, &x->view);
        return;
    }
    baseline_view_values(&x->baseline, t, &x->view);
    if (x->view.level == BASELINE_NONE)
        return;
    if (metric_info[x->metric].kind == METRIC_VALUE) { /* the factor is a parameter: see judge_rtt */
        x->high = fmax(x->view.median * exp(RTT_SCORE * x->view.spread_up), x->view.median + RTT_LEAST_NS);
        return;
    }
    x->high = x->view.median * exp(fmax(log(LOAD_FACTOR), LOAD_SCORE * x->view.spread_up));
    x->low = x->view.median * exp(-fmax(log(LOAD_FACTOR), LOAD_SCORE * x->view.spread_down));
}

static void learn_hour(struct series *x)
{
    struct series_state *s = &x->s;
    struct local_time t;

    hour_time(s, &t);
    if (s->hour_observed_minutes >= OBSERVED_MINUTES)
        note_exposure(x, t.date, t.hour);
    if (metric_info[x->metric].kind == METRIC_SHARE) {
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
}

static void enter_hour(struct series *x, const struct local_time *t)
{
    if (x->s.hour_open)
        learn_hour(x);
    x->s.hour_open = 1;
    x->s.hour_date = t->date;
    x->s.hour = t->hour;
    derive_limits(x, t);
}

void series_restore(struct series *x)
{
    struct local_time t;

    if (!x->s.hour_open)
        return;
    hour_time(&x->s, &t);
    derive_limits(x, &t);
}

static enum verdict judge_share(const struct series *x, double share_limit, uint64_t hits, uint64_t trials)
{
    double share = (double)hits / (double)trials;

    if (hits == 0 || share < SHARE_FLOOR * share_limit)
        return VERDICT_QUIET;
    if (share >= share_limit &&
        beta_binomial_tail(trials, share_limit * THRESHOLD_NULL, THRESHOLD_RHO, hits) < THRESHOLD_TAIL)
        return VERDICT_OUT;
    if (x->view.level == BASELINE_NONE || share < SHARE_FACTOR * x->view.mean)
        return VERDICT_QUIET;
    double mean = fmax(x->view.mean, 1e-5);
    return beta_binomial_tail(trials, mean, x->view.rho, hits) < SHARE_TAIL ? VERDICT_OUT : VERDICT_QUIET;
}

static enum verdict judge_loss(const struct series *x, const struct detect_params *p, const struct observation *o,
                               int dir, struct detection *d)
{
    uint64_t lost = o->dir[dir].lost_upstream_pkts + o->dir[dir].lost_downstream_pkts + o->dir[dir].lost_unknown_pkts;

    d->n = o->dir[dir].judged_pkts;
    if (lost > d->n) /* counted at the edge of a window */
        lost = d->n;
    if (o->quality != WINDOW_OK || d->n < p->min_pkts)
        return VERDICT_UNOBSERVED;
    d->value = (double)lost / (double)d->n;
    d->expected = x->view.mean;
    return judge_share(x, p->loss_share, lost, d->n);
}

static enum verdict judge_connect(const struct series *x, const struct observation *o, struct detection *d)
{
    d->n = o->connects + o->failed_connects;
    if (o->quality == WINDOW_BLIND || d->n < CONNECT_LEAST)
        return VERDICT_UNOBSERVED;
    d->value = (double)o->failed_connects / (double)d->n;
    d->expected = x->view.mean;
    return judge_share(x, CONNECT_SHARE, o->failed_connects, d->n);
}

static enum verdict judge_rtt(const struct series *x, const struct detect_params *p, const struct observation *o,
                              int side, struct detection *d)
{
    d->n = o->rtt_n[side];
    if (o->quality == WINDOW_BLIND || d->n < RTT_LEAST_N)
        return VERDICT_UNOBSERVED;
    d->value = (double)o->rtt_p50_ns[side];
    d->expected = x->view.median;
    if (x->view.level == BASELINE_NONE)
        return VERDICT_UNKNOWN;
    return d->value > x->high && d->value > p->rtt_factor * x->view.median ? VERDICT_OUT : VERDICT_QUIET;
}

static enum verdict judge_load(const struct series *x, const struct observation *o, int dir, uint32_t minutes,
                               struct detection *d)
{
    d->n = o->dir[dir].bytes;
    if (o->quality == WINDOW_BLIND)
        return VERDICT_UNOBSERVED;
    d->value = (double)o->dir[dir].bytes * 8.0 / (60.0 * minutes);
    d->expected = x->view.median;
    if (x->view.level == BASELINE_NONE)
        return VERDICT_UNKNOWN;
    if (d->value <= x->high && d->value >= x->low)
        return VERDICT_QUIET;
    return x->view.level == BASELINE_HOUR_OF_WEEK ? VERDICT_OUT : VERDICT_OUT_WEAK;
}

static enum verdict judge(const struct series *x, const struct detect_params *p, const struct observation *o,
                          uint32_t minutes, struct detection *d)
{
    switch ((enum metric)x->metric) {
    case METRIC_LOSS_A2B:
        return judge_loss(x, p, o, 0, d);
    case METRIC_LOSS_B2A:
        return judge_loss(x, p, o, 1, d);
    case METRIC_CONNECT:
        return judge_connect(x, o, d);
    case METRIC_RTT_A:
        return judge_rtt(x, p, o, 0, d);
    case METRIC_RTT_B:
        return judge_rtt(x, p, o, 1, d);
    case METRIC_LOAD_A2B:
        return judge_load(x, o, 0, minutes, d);
    case METRIC_LOAD_B2A:
        return judge_load(x, o, 1, minutes, d);
    case METRIC_COUNT:
        break;
    }
    return VERDICT_UNOBSERVED;
}

static void collect(struct series *x, const struct detection *d)
{
    struct series_state *s = &x->s;

    if (d->verdict == VERDICT_OUT || s->state == ANOMALY_ANOMALOUS || s->state == ANOMALY_CLEARING)
        return;
    if (metric_info[x->metric].kind == METRIC_SHARE) {
        double hits = d->value * (double)d->n;
        s->counts.trials += (double)d->n;
        s->counts.hits += hits;
        s->counts.hits2_per_trial += hits * d->value;
        s->counts.windows += 1;
    } else if (s->n_pending < BASELINE_HOURLY) {
        s->pending[s->n_pending++] = baseline_code(d->value);
    }
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

    if (!s->hour_open || s->hour != t->hour || s->hour_date != t->date)
        enter_hour(x, t);
    *ret = (struct detection){0};
    ret->verdict = judge(x, p, o, minutes, ret);
    if (ret->verdict != VERDICT_UNOBSERVED) {
        uint32_t observed = s->hour_observed_minutes + minutes;
        s->hour_observed_minutes = (uint8_t)(observed < 60 ? observed : 60);
    }
    hysteresis(s, ret, end_minute, minutes);
    if (ret->verdict != VERDICT_UNOBSERVED)
        collect(x, ret);
    x->dirty |= SERIES_DIRTY_STATE;
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

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What minutes do not show: slow drift, and a level that stays.
 *
 * Each observed hour has one number, the mean logarithm of value / baseline over all its minutes, out or not, in 16-bit
 * float codes (256 to an octave, nearly logarithmic). Drift of latency is a one-sided CUSUM (Page, Biometrika 1954) of
 * that number in units of the bin's upward spread, less an allowance of one; hours that are less than a tenth above the
 * baseline count downwards. At SERIES_DRIFTING (two days at a spread and a half, half a day at four) the detector's bar
 * comes down; it goes up again when the hours are as usual.
 *
 * A level has moved in an hour when most of its minutes were out, or (latency) when it lies a sixth and a spread and a
 * half higher. When that was so for seven days, with at least LEVEL_HOURS of them observed, the mean is proposed as the
 * new normal. Six usual hours in a row end it. A person approves: all bins move by the factor, in an instant, with
 * their shape and spread kept; or refuses: it stays a fault until it ends.
 */

#include "control/level.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define LOG_OF_CODE   (0.69314718055994531 / 256)
#define LEAST_SPREAD  0.05
#define ALLOWANCE     1.0
#define MOST_SCORE    4.0
#define LEAST_DRIFT   0.095 /* ln 1.1 */
#define LEVEL_LOG     0.14  /* ln 1.15 */
#define LEVEL_SCORE   1.5
#define LEVEL_HOURS   100u
#define LEVEL_MINUTES (7u * 1440u)
#define BACK_HOURS    6u

static bool elsewhere(const struct series *x, double log_ratio)
{
    const struct series_state *s = &x->s;

    if (2u * s->hour_out_minutes > s->hour_observed_minutes)
        return true;
    return metric_info[x->metric].kind == METRIC_VALUE && log_ratio >= LEVEL_LOG &&
           log_ratio >= LEVEL_SCORE * x->view.spread_up;
}

static void note_drift(struct series_state *s, double log_ratio, double spread)
{
    double score = log_ratio < LEAST_DRIFT ? fmin(0, log_ratio / spread) : fmin(MOST_SCORE, log_ratio / spread);
    double sum = (double)s->drift + fmax(score, -1) - ALLOWANCE;

    s->drift = (float)fmin(fmax(sum, 0), 2 * (double)SERIES_DRIFTING);
}

static void forget_level(struct series_state *s)
{
    s->level_hours = 0;
    s->back_hours = 0;
    s->level = 0;
    s->level_minute = 0;
    s->proposed_minute = 0;
    s->refused_minute = 0;
}

static void note_level(struct series_state *s, double log_ratio)
{
    s->back_hours = 0;
    if (s->level_hours == 0)
        s->level_minute = s->last_minute;
    s->level_hours = (uint16_t)(s->level_hours < UINT16_MAX ? s->level_hours + 1 : UINT16_MAX);
    s->level += (float)((log_ratio - (double)s->level) / (s->level_hours < LEVEL_HOURS ? s->level_hours : LEVEL_HOURS));
    if (s->level_hours >= LEVEL_HOURS && s->last_minute >= s->level_minute + LEVEL_MINUTES && s->proposed_minute == 0 &&
        s->refused_minute == 0)
        s->proposed_minute = s->last_minute;
}

void level_hour(struct series *x)
{
    struct series_state *s = &x->s;

    if (metric_info[x->metric].kind == METRIC_SHARE || x->view.level == BASELINE_NONE || s->hour_n == 0 || s->holiday)
        return;
    double log_ratio = s->hour_codes * LOG_OF_CODE / s->hour_n;
    if (metric_info[x->metric].kind == METRIC_VALUE)
        note_drift(s, log_ratio, fmax(x->view.spread_up, LEAST_SPREAD));
    if (elsewhere(x, log_ratio))
        note_level(s, log_ratio);
    else if (s->level_hours > 0 && ++s->back_hours >= BACK_HOURS)
        forget_level(s);
}

double level_factor(const struct series *x)
{
    return exp((double)x->s.level);
}

int series_approve(struct series *x, struct error *e)
{
    struct series_state *s = &x->s;

    if (s->proposed_minute == 0)
        return error_set(e, -EINVAL, "no new normal is proposed here");
    baseline_scale(&x->baseline, level_factor(x));
    forget_level(s);
    s->drift = 0;
    s->n_pending = 0;
    memset(s->pending, 0, sizeof(s->pending));
    s->hour_codes = 0;
    s->hour_n = 0;
    s->hour_out_minutes = 0;
    x->limits_due = s->hour_open;
    x->dirty |= SERIES_DIRTY_STATE;
    for (unsigned g = 0; g < BASELINE_GROUPS; g++)
        x->dirty |= SERIES_DIRTY_GROUP(g);
    return 0;
}

int series_refuse(struct series *x, uint32_t now_minute, struct error *e)
{
    if (x->s.proposed_minute == 0)
        return error_set(e, -EINVAL, "no new normal is proposed here");
    x->s.proposed_minute = 0;
    x->s.refused_minute = now_minute;
    x->dirty |= SERIES_DIRTY_STATE;
    return 0;
}

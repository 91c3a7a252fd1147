/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The short way of quiet minutes.
 *
 * Nearly all windows say nothing new: the share is small, the value lies within the hour's limits. What series_step
 * would do then is to count and to keep a code. Seven series are some forty cache lines per object, and a thousand
 * objects leave the cache each minute; here it is done for all metrics of one object in six. The series learn of it
 * when one of them is asked for: at the end of the hour, at a commit, when a window is not as usual, or when a person
 * approves a new normal.
 *
 * It is the same arithmetic in the same order, so how often it is settled changes no bit: sums of shares run on here
 * and are copied back, the rest are counts. A metric is taken in only while its series is normal and none of its last
 * nine minutes was out, in which state a quiet or unobserved minute touches nothing else.
 */

#include "control/quiet.h"

#include <string.h>
#include "control/detectors/measure.h"

_Static_assert(METRIC_COUNT <= 8, "a row of bits and counts");

static inline unsigned take_share(struct quiet *q, enum metric m, bool observed, const struct measured *v)
{
    if (!observed || m >= QUIET_SHARES) /* only shares come here */
        return 1;
    if (!share_is_small(v))
        return 0;
    struct baseline_counts *c = &q->counts[m];
    double hits = v->value * (double)v->n;
    c->trials += (double)v->n;
    c->hits += hits;
    c->hits2_per_trial += hits * v->value;
    c->windows += 1;
    q->n[m]++;
    return 1;
}

static inline unsigned take_value(struct quiet *q, enum metric m, bool observed, const struct measured *v,
                                  uint16_t *ret_code)
{
    unsigned lane = (unsigned)m - QUIET_SHARES;

    if (!observed)
        return 1;
    if (!(v->value <= q->high[lane] && v->value >= q->low[lane]))
        return 0;
    *ret_code = baseline_code(v->value);
    q->n[m]++;
    return 1;
}

static unsigned take_usual(struct quiet *q, const struct detect_params *p, const struct observation *o,
                           uint32_t end_minute)
{
    uint16_t code[METRIC_COUNT];
    unsigned taken = 0;

    if (q->windows == QUIET_WINDOWS)
        quiet_settle(q);
    memset(code, 0xFF, sizeof(code));
#define X(symbol, name, fault, direction, kind, how, side)                                                             \
    if (q->metrics & 1u << METRIC_##symbol) {                                                                          \
        struct measured v;                                                                                             \
        bool observed = measure_##how(o, side, p, q->minutes, &v);                                                     \
        taken |= (kind == METRIC_SHARE ? take_share(q, METRIC_##symbol, observed, &v)                                  \
                                       : take_value(q, METRIC_##symbol, observed, &v, &code[METRIC_##symbol]))         \
                 << METRIC_##symbol;                                                                                   \
    }
    METRICS(X)
#undef X
    memcpy(q->code[q->windows++], code + QUIET_SHARES, sizeof(q->code[0]));
    q->last_minute = end_minute;
    return taken;
}

/* The time may be that of a window that was not taken: while no minute was out, only its own step asks for it. */
static void settle_one(struct quiet *q, enum metric m)
{
    struct series *x = q->series[m];
    struct series_state *s = &x->s;
    unsigned minutes = (unsigned)q->n[m] * q->minutes;

    s->last_minute = q->last_minute;
    s->quiet_minutes = (uint8_t)(s->quiet_minutes + minutes < 255 ? s->quiet_minutes + minutes : 255);
    s->hour_observed_minutes =
        (uint8_t)(s->hour_observed_minutes + minutes < 60 ? s->hour_observed_minutes + minutes : 60);
    if (m < QUIET_SHARES) {
        s->counts = q->counts[m];
    } else {
        unsigned lane = (unsigned)m - QUIET_SHARES;
        if (q->windows > q->from[lane])
            series_collect_codes(x, &q->code[q->from[lane]][lane], QUIET_VALUES, q->windows - q->from[lane], true);
        q->from[lane] = q->windows;
    }
    q->n[m] = 0;
    x->dirty |= SERIES_DIRTY_STATE;
}

void quiet_settle(struct quiet *q)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (q->metrics & 1u << m)
            settle_one(q, m);
    }
    q->windows = 0;
    memset(q->from, 0, sizeof(q->from));
}

void quiet_leave(struct quiet *q, unsigned metrics)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (q->metrics & metrics & 1u << m)
            settle_one(q, m);
    }
    q->metrics &= ~metrics;
}

void quiet_join(struct quiet *q, struct series *x, uint32_t minutes)
{
    const struct series_state *s = &x->s;
    enum metric m = x->metric;
    bool value = m >= QUIET_SHARES;

    if (s->state != ANOMALY_NORMAL || s->out_mask != 0 || x->limits_due || (value && x->level == BASELINE_NONE) ||
        minutes > UINT8_MAX)
        return;
    if (q->metrics == 0) {
        q->date = s->hour_date;
        q->hour = s->hour;
        q->minutes = (uint8_t)minutes;
        q->windows = 0;
        q->last_minute = s->last_minute;
    }
    q->metrics |= 1u << m;
    q->series[m] = x;
    q->n[m] = 0;
    if (value) {
        q->from[m - QUIET_SHARES] = q->windows;
        q->high[m - QUIET_SHARES] = x->high;
        q->low[m - QUIET_SHARES] = x->low;
    } else {
        q->counts[m] = s->counts;
    }
}

unsigned quiet_take(struct quiet *q, const struct detect_params *p, const struct observation *o, uint32_t end_minute,
                    uint32_t minutes, const struct local_time *t)
{
    unsigned taken = 0;

    if (q->metrics == 0)
        return 0;
    if (q->hour == t->hour && q->date == t->date && q->minutes == minutes)
        taken = take_usual(q, p, o, end_minute);
    if (q->metrics != taken)
        quiet_leave(q, ~taken);
    return taken;
}

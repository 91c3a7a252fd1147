/* SPDX-License-Identifier: BSD-3-Clause */

/* Merging and judging windows; see window.h. */

#include "common/window.h"

#include <math.h>
#include <string.h>

#define MAX_CAPTURE_LOSS 0.01 /* share of bytes that the mirror may miss before loss is unsure */
#define MAX_ONE_WAY      0.5  /* share of ended flows with one direction only */

void window_counters_merge(struct window_counters *into, const struct window_counters *from)
{
    uint64_t peak = into->peak_1ms_bytes > from->peak_1ms_bytes ? into->peak_1ms_bytes : from->peak_1ms_bytes;

#define X(name, unit, text) into->dir[d].name += from->dir[d].name;
    for (int d = 0; d < 2; d++) {
        WINDOW_DIR_COUNTERS(X)
    }
#undef X
#define X(name, unit, text) into->name += from->name;
    WINDOW_COUNTERS(X)
#undef X
    into->peak_1ms_bytes = peak;
}

enum window_quality window_quality_of(const struct window_counters *c)
{
    uint64_t data = c->dir[0].data_pkts + c->dir[1].data_pkts;
    uint64_t judged = c->dir[0].judged_pkts + c->dir[1].judged_pkts;
    uint64_t missed = c->dir[0].capture_lost_bytes + c->dir[1].capture_lost_bytes;
    uint64_t bytes = c->dir[0].bytes + c->dir[1].bytes + missed;

    if (data > 0 && judged == 0)
        return WINDOW_BLIND;
    if ((double)missed > MAX_CAPTURE_LOSS * (double)bytes)
        return WINDOW_UNSURE;
    if (data > judged && (double)(data - judged) > MAX_ONE_WAY * (double)data)
        return WINDOW_UNSURE;
    return WINDOW_OK;
}

double rtt_coverage(uint64_t n, uint64_t ackable)
{
    if (ackable == 0)
        return NAN;
    return n < ackable ? (double)n / (double)ackable : 1; /* a bare FIN gives a sample, too */
}

double window_rtt_coverage(const struct window_counters *c, enum window_hist side, uint64_t n)
{
    unsigned towards = side == WINDOW_HIST_RTT_B ? 0 : 1;

    return rtt_coverage(n, c->dir[towards].judged_pkts + c->connects);
}

const char *window_quality_name(enum window_quality q)
{
    static const char *const names[] = {"ok", "unsure", "blind"};
    return names[q];
}

const char *window_scope_name(enum window_scope s)
{
#define X(symbol, name, text) name,
    static const char *const names[WINDOW_SCOPE_COUNT] = { WINDOW_SCOPES(X) };
#undef X
    return names[s];
}

enum window_scope window_scope_of(const char *name)
{
    unsigned s = 0;

    while (s < WINDOW_SCOPE_COUNT && strcmp(name, window_scope_name(s)) != 0)
        s++;
    return s;
}

void window_quantiles_of(struct window_quantiles *q, const struct hist *h)
{
    *q = (struct window_quantiles){.n = h->n};
    if (h->n == 0)
        return;
    q->min_ns = h->min_ns;
    q->p10_ns = hist_quantile_ns(h, 0.10);
    q->p50_ns = hist_quantile_ns(h, 0.50);
    q->p90_ns = hist_quantile_ns(h, 0.90);
    q->p99_ns = hist_quantile_ns(h, 0.99);
    q->max_ns = h->max_ns;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Faults that come again and again at no particular time.
 *
 * Chronic: the onsets of one fault on one path over twelve weeks are compared with those of the same class on all other
 * paths. How often healthy peers fail is a gamma distribution of rates (some are always a little worse), so counts are
 * negative binomial: p = P(X >= onsets). The peers are all lines of the class but those that are outliers themselves:
 * what a Poisson distribution of the mean rate would not produce once in ten thousand is left out and the mean taken
 * again, five times at most. What falls into a known pattern does not count, nor does what a circuit's failure
 * explains.
 *
 * Same branch again: the same comparison for all faults on the paths of a site, per path, against the other sites; it
 * needs three different faults of which none has more than three fifths, and leaves out what a chronic problem
 * says already.
 *
 * Both go through a Benjamini-Hochberg round of their own (q = 0.05) and also need six onsets in four distinct weeks,
 * p < 0.0001 and three times the peers' rate. With fewer than ten peers nothing is said.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"
#include "control/localtime.h"
#include "control/stats.h"

#define FALSE_DISCOVERY 0.05
#define MOST_P          1e-4
#define LEAST_ONSETS    6u
#define LEAST_WEEKS     4u
#define LEAST_RATIO     3.0
#define LEAST_FAULTS    3u
#define LEAST_PEERS     10u
#define OUTLIER_P       1e-4
#define ROUNDS          5
#define LEAST_DAYS      14.0
#define LEAST_SHAPE     0.05
#define MOST_SHAPE      1e4

/* One line, or one site, with what was counted on it. */
struct tally {
    struct control_object *object; /* of a site: its worst path */
    enum metric metric;
    const char *name;
    uint64_t onsets, weeks, faults, worst;
    uint64_t week_mask;
    double days;
    bool peer;
    double p, ratio;
};

struct tallies {
    struct tally *item;
    size_t n, room;
};

static struct tally *add_tally(struct control *c, struct tallies *t)
{
    if (t->n == t->room) {
        size_t room = t->room == 0 ? 128 : t->room * 2;
        struct tally *grown = realloc(t->item, room * sizeof(*grown));
        if (grown == NULL) {
            c->failed = true;
            return NULL;
        }
        t->item = grown;
        t->room = room;
    }
    t->item[t->n] = (struct tally){0};
    return &t->item[t->n++];
}

/* P(X >= k) of a negative binomial with this mean and shape. */
static double negative_binomial_tail(double mean, double shape, uint64_t k)
{
    double q = mean / (mean + shape);
    double term = exp(-shape * log1p(mean / shape));
    double below = 0;

    if (k == 0)
        return 1;
    /* The upper tail by its own terms, so that it keeps its digits when it is small. */
    for (uint64_t j = 0; j < k; j++) {
        below += term;
        term *= q * ((double)j + shape) / ((double)j + 1);
    }
    if (below < 0.9)
        return 1 - below;
    double above = 0;
    for (uint64_t j = k; j < k + 10000; j++) {
        above += term;
        term *= q * ((double)j + shape) / ((double)j + 1);
        if (term < above * 1e-12)
            break;
    }
    return above;
}

/* Mean rate per day of the peers. */
static double peers_rate(const struct tallies *t)
{
    double onsets = 0, days = 0;

    for (size_t i = 0; i < t->n; i++) {
        onsets += t->item[i].peer ? (double)t->item[i].onsets : 0;
        days += t->item[i].peer ? t->item[i].days : 0;
    }
    return days > 0 ? (onsets + 0.5) / days : 0;
}

/* Shape of the gamma distribution of rates, by moments: Var = mean + mean^2 / shape. */
static double peers_shape(const struct tallies *t, double rate)
{
    double excess = 0, square = 0;

    for (size_t i = 0; i < t->n; i++) {
        double mean = rate * t->item[i].days, off = (double)t->item[i].onsets - mean;
        if (!t->item[i].peer)
            continue;
        excess += off * off - mean;
        square += mean * mean;
    }
    double shape = excess > 0 ? square / excess : MOST_SHAPE;
    return shape < LEAST_SHAPE ? LEAST_SHAPE : shape > MOST_SHAPE ? MOST_SHAPE : shape;
}

/* p-values of all against their peers. Returns how many peers there are. */
static size_t compare_with_peers(struct tallies *t)
{
    size_t peers = t->n;

    for (size_t i = 0; i < t->n; i++)
        t->item[i].peer = true;
    for (int round = 0; round < ROUNDS; round++) {
        double rate = peers_rate(t);
        for (size_t i = 0; i < t->n; i++)
            t->item[i].peer =
                negative_binomial_tail(rate * t->item[i].days, MOST_SHAPE, t->item[i].onsets) >= OUTLIER_P;
    }
    double rate = peers_rate(t), shape = peers_shape(t, rate);
    for (size_t i = 0; i < t->n; i++) {
        peers -= !t->item[i].peer;
        t->item[i].p = negative_binomial_tail(rate * t->item[i].days, shape, t->item[i].onsets);
        t->item[i].ratio = (double)t->item[i].onsets / t->item[i].days / rate;
    }
    return peers;
}

static double observed_days(const struct series *x, int32_t today)
{
    unsigned hours = 0;

    for (int32_t d = today - RECURRENCE_DATES; d < today; d++)
        hours += (unsigned)__builtin_popcount(series_exposure(x, d));
    return hours / 24.0;
}

/* An onset of the last twelve weeks that nothing explains. */
static bool counts(struct control *c, struct control_object *o, enum metric m, const struct occurrence *x,
                   int32_t today, bool site, struct local_time *ret)
{
    if (x->flags & (OCCURRENCE_AGAIN | OCCURRENCE_EXPLAINED))
        return false;
    local_from_ns(x->onset_ns, ret);
    return ret->date >= today - RECURRENCE_DATES && ret->date < today &&
           !problem_explains(c, line_fingerprint(o, m), x->onset_ns, site);
}

static void tally_line(struct control *c, struct tally *t, struct control_object *o, enum metric m, int32_t today,
                       bool site)
{
    const struct history *h = &o->line[m].history;
    struct local_time at;
    int32_t first_week = local_week(today - RECURRENCE_DATES);
    uint64_t before = t->onsets;

    for (uint32_t i = 0; i < h->n; i++) {
        if (!counts(c, o, m, &h->item[i], today, site, &at))
            continue;
        t->onsets++;
        t->week_mask |= 1ull << ((unsigned)(at.week - first_week) & 63);
    }
    if (t->onsets - before > t->worst || t->object == NULL) {
        t->worst = t->onsets - before;
        t->object = o;
        t->metric = m;
    }
    t->faults += t->onsets > before;
    t->weeks = (uint64_t)__builtin_popcountll(t->week_mask);
}

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *x = a;
    const struct tally *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (int)x->metric - (int)y->metric;
}

/* Days without an onset that a rate at the lower end of its interval would not leave once in twenty times. */
static uint64_t clean_days(uint64_t onsets, double days)
{
    double low = ((double)onsets - 1.645 * sqrt((double)onsets)) / days;

    return (uint64_t)ceil(-log(0.05) / (low > 1e-3 ? low : 1e-3));
}

static void report(struct control *c, const struct tally *t, enum pattern_class class, double peers_per_12_weeks,
                   uint64_t now_ns)
{
    struct problem_finding f = {.object = t->object,
                                .metric = t->metric,
                                .class = class,
                                .onsets = t->onsets,
                                .days = (uint64_t)(t->days + 0.5),
                                .weeks = t->weeks,
                                .clean_days = clean_days(t->onsets, t->days),
                                .ratio = t->ratio,
                                .p_value = t->p};

    if (class == PATTERN_SITE)
        snprintf(f.text, sizeof(f.text), "the same branch again: %llu faults on %.40s", (unsigned long long)t->faults,
                 t->name);
    else
        snprintf(f.text, sizeof(f.text), "again and again, at no particular time");
    snprintf(
        f.evidence, sizeof(f.evidence),
        "%llu onsets in %.0f observed days and %llu weeks, %.1f times the rate of its peers (%.2g in twelve weeks); "
        "gamma-Poisson: p = %.2g",
        (unsigned long long)t->onsets, t->days, (unsigned long long)t->weeks, t->ratio, peers_per_12_weeks, t->p);
    problem_found(c, &f, now_ns);
}

static void judge(struct control *c, struct tallies *t, enum pattern_class class, uint64_t now_ns)
{
    double *p = t->n >= LEAST_PEERS ? malloc(t->n * sizeof(*p)) : NULL;

    if (p == NULL || compare_with_peers(t) < LEAST_PEERS) {
        free(p);
        return;
    }
    qsort(t->item, t->n, sizeof(*t->item), compare_tallies);
    for (size_t i = 0; i < t->n; i++)
        p[i] = t->item[i].p;
    double limit = benjamini_hochberg(p, t->n, FALSE_DISCOVERY);
    double rate = peers_rate(t);
    free(p);
    for (size_t i = 0; i < t->n; i++) {
        const struct tally *x = &t->item[i];
        if (x->p <= limit && x->p < MOST_P && x->onsets >= LEAST_ONSETS && x->weeks >= LEAST_WEEKS &&
            x->ratio >= LEAST_RATIO &&
            (class != PATTERN_SITE || (x->faults >= LEAST_FAULTS && 5 * x->worst <= 3 * x->onsets)))
            report(c, x, class, rate * RECURRENCE_DATES, now_ns);
    }
}

static void look_at_class(struct control *c, enum fault_class class, int32_t today, uint64_t now_ns)
{
    struct tallies t = {0};

    for (size_t i = 0; i < c->objects.n; i++) {
        struct control_object *o = c->objects.item[i];
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            if (o->scope != SCOPE_PATH || metric_info[m].fault != class || o->line[m].series == NULL)
                continue;
            double days = observed_days(o->line[m].series, today);
            struct tally *x = days >= LEAST_DAYS ? add_tally(c, &t) : NULL;
            if (x == NULL)
                continue;
            x->days = days;
            x->name = o->name;
            tally_line(c, x, o, m, today, false);
        }
    }
    judge(c, &t, PATTERN_CHRONIC, now_ns);
    free(t.item);
}

/* A path's faults belong to the sites on both sides; a site's days are those of all its paths. */
static void look_at_sites(struct control *c, int32_t today, uint64_t now_ns)
{
    struct tallies t = {0};

    for (size_t k = 0; k < causes_count(c); k++) {
        const struct cause *site = c->causes.item[k];
        struct tally *x = site->scope == SCOPE_SITE ? add_tally(c, &t) : NULL;
        if (x == NULL)
            continue;
        x->name = site->name;
        for (size_t i = 0; i < site->n; i++) {
            struct control_object *o = site->member[i];
            double days = 0;
            for (enum metric m = 0; m < METRIC_COUNT; m++) {
                if (o->line[m].series == NULL || metric_info[m].fault == FAULT_LOAD)
                    continue;
                double seen = observed_days(o->line[m].series, today);
                days = seen > days ? seen : days;
                if (seen >= LEAST_DAYS)
                    tally_line(c, x, o, m, today, true);
            }
            x->days += days;
        }
        if (x->days < LEAST_DAYS || x->object == NULL)
            t.n--;
    }
    judge(c, &t, PATTERN_SITE, now_ns);
    free(t.item);
}

void chronic_look(struct control *c, uint64_t now_ns)
{
    struct local_time t;

    local_from_ns(now_ns, &t);
    for (enum fault_class class = 0; class < FAULT_CLASS_COUNT; class ++) {
        if (class != FAULT_LOAD)
            look_at_class(c, class, t.date, now_ns);
    }
    look_at_sites(c, t.date, now_ns);
}

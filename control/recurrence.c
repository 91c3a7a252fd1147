/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Recurrence by counting cells.
 *
 * Onsets collapse to occupied cells (local date x slot of three hours, one slot beginning at every full hour), so that
 * ten alarms of one bad morning count once. For a slot that was occupied on K of T observed dates, of which k fell on
 * the n observed Tuesdays, chance alone puts k or more there with the hypergeometric tail; 168 cells are looked at,
 * hence the factor. A cell passes on k >= 4 (a weekday's dates are distinct weeks), k/n >= 0.6, (k/n)/(K/T) >= 3 and p
 * < 0.01. Unobserved slots are in neither count.
 *
 * Groups of weekdays ("weekdays", "weekends", "daily") are patterns with cell counts of their own. The lift over other
 * days cannot reach 3 there, so what is asked instead is that the hour stands out: the dates with any onset would hit
 * the slot this often with a binomial tail if their hours were uniform.
 *
 * Known bias: the look-back is 12 weeks, so a pattern that began a few weeks ago has its earlier clean weeks counted as
 * misses and confirms later than in a fresh history.
 */

#include "control/recurrence.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/localtime.h"
#include "control/stats.h"

#define LEAST_WEEKS     4u
#define LEAST_CANDIDATE 3u
#define LEAST_RATE      0.6
#define LEAST_LIFT      3.0
#define MOST_P          0.01
#define WEEKLY_CELLS    168.0
#define GROUP_CELLS     48.0 /* 24 slots, weekdays and weekends */
#define DAILY_CELLS     24.0
#define LEAST_GROUP     8u /* dates of a group of weekdays */
#define GRACE_MIN       5u
#define STRAY_MIN       45u /* an onset so far from all others of its slot is none of them */
#define MONTH_CELLS     (24.0 * MONTH_DAY_COUNT)
#define LEAST_ONSETS    20u /* for a period below a day */
#define LEAST_DATES     5u
#define NEAR_PHASE      0.1 /* of a period */

int history_add(struct history *h, const struct occurrence *o)
{
    if (h->n == HISTORY_MOST) {
        memmove(h->item, h->item + 1, (h->n - 1) * sizeof(*h->item));
        h->n--;
    }
    if (h->n == h->room) {
        uint32_t room = h->room == 0 ? 4 : h->room * 2;
        struct occurrence *item = realloc(h->item, room * sizeof(*item));
        if (item == NULL)
            return -ENOMEM;
        h->item = item;
        h->room = room;
    }
    h->item[h->n++] = *o;
    return 0;
}

void history_fini(struct history *h)
{
    free(h->item);
    *h = (struct history){0};
}

static void collect(struct recurrence_days *d, const struct history *h, int32_t today, uint32_t dates,
                    uint32_t (*exposure)(const void *ctx, int32_t date), const void *ctx)
{
    struct local_time t;
    int32_t known_from = INT32_MIN;

    memset(d, 0, sizeof(*d));
    d->first_date = today - (int32_t)dates;
    d->n = dates;
    if (h->n > 0 && (exposure == NULL || h->n == HISTORY_MOST)) { /* what came before has been forgotten */
        local_from_ns(h->item[0].onset_ns, &t);
        known_from = t.date + (exposure != NULL);
    }
    for (uint32_t i = 0; i <= d->n; i++) {
        int32_t date = d->first_date + (int32_t)i;
        if (date >= known_from)
            d->seen[i] = exposure != NULL ? exposure(ctx, date) : 0xFFFFFFu;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        local_from_ns(h->item[i].onset_ns, &t);
        if (t.date >= d->first_date && t.date >= known_from && t.date <= today &&
            !(h->item[i].flags & OCCURRENCE_EXPLAINED))
            d->onset[t.date - d->first_date] |= 1u << t.hour;
    }
}

void recurrence_collect(struct recurrence_days *d, const struct history *h, int32_t today,
                        uint32_t (*exposure)(const void *ctx, int32_t date), const void *ctx)
{
    collect(d, h, today, RECURRENCE_DATES, exposure, ctx);
}

void recurrence_collect_long(struct recurrence_days *d, const struct history *h, int32_t today,
                             uint32_t (*exposure)(const void *ctx, int32_t date), const void *ctx)
{
    collect(d, h, today, RECURRENCE_LONG, exposure, ctx);
}

/* The hours of a date and of the two after midnight, shifted so that bit 0 is the slot's first hour. */
static uint32_t slot_bits(const uint32_t *days, uint32_t i, unsigned slot)
{
    uint64_t bits = days[i] | (uint64_t)days[i + 1] << 24;

    return (uint32_t)(bits >> slot) & ((1u << RECURRENCE_SLOT) - 1);
}

static bool slot_occupied(const struct recurrence_days *d, uint32_t i, unsigned slot)
{
    return slot_bits(d->onset, i, slot) != 0;
}

static bool slot_seen(const struct recurrence_days *d, uint32_t i, unsigned slot)
{
    return __builtin_popcount(slot_bits(d->seen, i, slot)) >= 2 || slot_occupied(d, i, slot);
}

/* Weekdays as a set of bits. */
static void count_cell(const struct recurrence_days *d, unsigned weekdays, unsigned slot, struct recurrence_pattern *r)
{
    int32_t last_week = INT32_MIN;

    r->k = r->n = r->dates_hit = r->dates_seen = r->weeks = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        int32_t date = d->first_date + (int32_t)i;
        if (!slot_seen(d, i, slot))
            continue;
        bool occupied = slot_occupied(d, i, slot);
        bool inside = weekdays >> local_weekday(date) & 1u;
        r->dates_seen++;
        r->dates_hit += occupied;
        r->n += inside;
        r->k += inside && occupied;
        if (inside && occupied && local_week(date) != last_week) {
            r->weeks++;
            last_week = local_week(date);
        }
    }
    r->hit_rate = r->n > 0 ? (double)r->k / r->n : 0;
    double everywhere = r->dates_seen > 0 ? (double)r->dates_hit / r->dates_seen : 0;
    r->lift = everywhere > 0 ? r->hit_rate / everywhere : 0;
}

void recurrence_weekly_cell(const struct recurrence_days *d, uint8_t weekday, uint8_t slot,
                            struct recurrence_pattern *ret)
{
    *ret = (struct recurrence_pattern){
        .class = PATTERN_WEEKLY_SLOT, .weekday = weekday, .first_slot = slot, .last_slot = slot, .best_slot = slot};
    count_cell(d, 1u << weekday, slot, ret);
    double p = hypergeometric_tail(ret->dates_seen, ret->dates_hit, ret->n, ret->k) * WEEKLY_CELLS;
    ret->p_value = p < 1 ? p : 1;
    ret->passes =
        ret->weeks >= LEAST_WEEKS && ret->hit_rate >= LEAST_RATE && ret->lift >= LEAST_LIFT && ret->p_value < MOST_P;
}

/* The share of hours of the day that a uniformly placed onset day would hit with one slot. */
static double chance_of_slot(const struct recurrence_days *d, uint32_t *ret_dates)
{
    double hours = 0;
    uint32_t dates = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        hours += __builtin_popcount(d->onset[i]);
        dates += d->onset[i] != 0;
    }
    *ret_dates = dates;
    return dates == 0 ? 1 : 1 - pow(1 - RECURRENCE_SLOT / 24.0, hours / dates);
}

static void group_cell(const struct recurrence_days *d, enum pattern_class class, uint8_t slot,
                       struct recurrence_pattern *r)
{
    unsigned weekdays = class == PATTERN_WEEKDAYS ? 0x1Fu : class == PATTERN_WEEKENDS ? 0x60u : 0x7Fu;
    uint32_t dates;
    double chance = chance_of_slot(d, &dates);

    *r = (struct recurrence_pattern){.class = class, .first_slot = slot, .last_slot = slot, .best_slot = slot};
    count_cell(d, weekdays, slot, r);
    double cells = class == PATTERN_DAILY ? DAILY_CELLS : GROUP_CELLS;
    double by_hour = binomial_tail(dates, chance, r->dates_hit < dates ? r->dates_hit : dates) * cells;
    double by_day = class == PATTERN_DAILY ? 0 : hypergeometric_tail(r->dates_seen, r->dates_hit, r->n, r->k) * cells;
    r->p_value = fmin(1, fmax(by_hour, by_day));
    r->passes = r->weeks >= LEAST_WEEKS && r->k >= LEAST_GROUP && r->hit_rate >= LEAST_RATE && r->p_value < MOST_P;
}

/* Merges cells that pass and whose slots touch; keeps the best cell's numbers. Returns false when none passes. */
static bool best_of_weekday(const struct recurrence_days *d, uint8_t weekday, struct recurrence_pattern *best,
                            double *best_p)
{
    struct recurrence_pattern cell[24];
    int chosen = -1;

    for (uint8_t s = 0; s < 24; s++) {
        recurrence_weekly_cell(d, weekday, s, &cell[s]);
        if (cell[s].weeks >= LEAST_WEEKS && cell[s].p_value < *best_p)
            *best_p = cell[s].p_value;
        bool near = cell[s].k >= LEAST_CANDIDATE && cell[s].hit_rate >= LEAST_RATE && cell[s].lift >= LEAST_LIFT;
        if (!near || (chosen >= 0 && cell[chosen].passes && !cell[s].passes))
            continue;
        if (chosen < 0 || cell[s].passes > cell[chosen].passes || cell[s].p_value < cell[chosen].p_value)
            chosen = s;
    }
    if (chosen < 0)
        return false;
    *best = cell[chosen];
    bool passes = best->passes;
    while (best->first_slot > 0 && cell[best->first_slot - 1].passes == passes &&
           cell[best->first_slot - 1].k >= LEAST_CANDIDATE)
        best->first_slot--;
    while (best->last_slot < 23 && cell[best->last_slot + 1].passes == passes &&
           cell[best->last_slot + 1].k >= LEAST_CANDIDATE)
        best->last_slot++;
    return true;
}

static bool best_of_group(const struct recurrence_days *d, enum pattern_class class, struct recurrence_pattern *best,
                          double *best_p)
{
    struct recurrence_pattern cell;
    bool found = false;

    for (uint8_t s = 0; s < 24; s++) {
        group_cell(d, class, s, &cell);
        if (cell.weeks >= LEAST_WEEKS && cell.k >= LEAST_GROUP && cell.p_value < *best_p)
            *best_p = cell.p_value;
        if (cell.passes && (!found || cell.p_value < best->p_value)) {
            *best = cell;
            found = true;
        }
    }
    return found;
}

size_t recurrence_test(const struct recurrence_days *d, struct recurrence_pattern ret[RECURRENCE_PATTERNS],
                       double *ret_best_p)
{
    size_t n = 0;

    *ret_best_p = 1;
    for (enum pattern_class c = PATTERN_WEEKDAYS; c <= PATTERN_DAILY; c++) {
        /* A group that passes explains the single weekdays; "daily" asks nothing of the weekday and comes last. */
        if (best_of_group(d, c, &ret[n], ret_best_p))
            return 1;
    }
    for (uint8_t w = 0; w < 7; w++)
        n += best_of_weekday(d, w, &ret[n], ret_best_p);
    return n;
}

/* --- month ends --- */

bool recurrence_month_day(enum month_day which, int32_t date)
{
    struct local_time t, next;

    local_from_ns(local_to_ns(date, 12, 0), &t);
    if (which == MONTH_DAY_FIRST)
        return t.day == 1;
    int32_t ahead = 1; /* to the next day that counts */
    if (which == MONTH_DAY_LAST_WORKING) {
        if (t.weekday >= 5)
            return false;
        ahead = t.weekday == 4 ? 3 : 1;
    }
    local_from_ns(local_to_ns(date + ahead, 12, 0), &next);
    return next.day < t.day;
}

static void month_cell(const struct recurrence_days *d, const uint8_t *days, enum month_day which, uint8_t slot,
                       struct recurrence_pattern *r)
{
    *r = (struct recurrence_pattern){.class = PATTERN_MONTH_END,
                                     .weekday = (uint8_t)which,
                                     .first_slot = slot,
                                     .last_slot = slot,
                                     .best_slot = slot};
    for (uint32_t i = 0; i < d->n; i++) {
        if (!slot_seen(d, i, slot))
            continue;
        bool occupied = slot_occupied(d, i, slot);
        bool inside = days[i] >> which & 1;
        r->dates_seen++;
        r->dates_hit += occupied;
        r->n += inside;
        r->k += inside && occupied;
    }
    r->weeks = r->k;
    r->hit_rate = r->n > 0 ? (double)r->k / r->n : 0;
    double everywhere = r->dates_seen > 0 ? (double)r->dates_hit / r->dates_seen : 0;
    r->lift = everywhere > 0 ? r->hit_rate / everywhere : 0;
    r->p_value = fmin(1, hypergeometric_tail(r->dates_seen, r->dates_hit, r->n, r->k) * MONTH_CELLS);
    r->passes = r->k >= LEAST_WEEKS && r->hit_rate >= LEAST_RATE && r->lift >= LEAST_LIFT && r->p_value < MOST_P;
}

bool recurrence_month_end(const struct recurrence_days *d, struct recurrence_pattern *ret, double *best_p)
{
    struct recurrence_pattern cell;
    uint8_t days[RECURRENCE_LONG];
    bool found = false;

    for (uint32_t i = 0; i < d->n; i++) {
        days[i] = 0;
        for (enum month_day m = 0; m < MONTH_DAY_COUNT; m++)
            days[i] = (uint8_t)(days[i] | recurrence_month_day(m, d->first_date + (int32_t)i) << m);
    }
    for (enum month_day m = 0; m < MONTH_DAY_COUNT; m++) {
        for (uint8_t s = 0; s < 24; s++) {
            month_cell(d, days, m, s, &cell);
            if (cell.k >= LEAST_WEEKS && cell.p_value < *best_p)
                *best_p = cell.p_value;
            if (cell.passes && (!found || cell.p_value < ret->p_value)) {
                *ret = cell;
                found = true;
            }
        }
    }
    return found;
}

/* --- periods below a day --- */

/* Onsets as local minutes since 1970; an onset that follows a kept one within half the period belongs to it. */
static uint32_t declustered(const struct history *h, int32_t first_date, int32_t today, uint32_t period_min,
                            int64_t *ret)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < h->n; i++) {
        struct local_time t;
        local_from_ns(h->item[i].onset_ns, &t);
        int64_t minute = (int64_t)t.date * 1440 + t.hour * 60 + t.minute;
        if (t.date < first_date || t.date >= today || (h->item[i].flags & OCCURRENCE_EXPLAINED) ||
            (n > 0 && minute < ret[n - 1] + period_min / 2))
            continue;
        ret[n++] = minute;
    }
    return n;
}

/*
 * Rayleigh's test: phases of n onsets as unit vectors; the mean resultant is long when they agree. p by the
 * second-order approximation of Greenwood and Durand (1955).
 */
static double rayleigh(const int64_t *minute, uint32_t n, uint32_t period_min, double *ret_phase)
{
    double x = 0, y = 0, count = n;

    for (uint32_t i = 0; i < n; i++) {
        double angle = 2 * M_PI * (double)(minute[i] % period_min) / period_min;
        x += cos(angle);
        y += sin(angle);
    }
    double z = (x * x + y * y) / count;
    double phase = atan2(y, x) / (2 * M_PI);
    *ret_phase = phase < 0 ? phase + 1 : phase;
    double p = exp(-z) * (1 + (2 * z - z * z) / (4 * count));
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

/* How many onsets lie near the phase, and on how many dates. */
static uint32_t near_phase(const int64_t *minute, uint32_t n, uint32_t period_min, double phase, uint32_t *ret_dates)
{
    int64_t last_date = INT64_MIN;
    uint32_t near = 0;

    *ret_dates = 0;
    for (uint32_t i = 0; i < n; i++) {
        double off = fabs((double)(minute[i] % period_min) / period_min - phase);
        if (fmin(off, 1 - off) > NEAR_PHASE)
            continue;
        near++;
        *ret_dates += minute[i] / 1440 != last_date;
        last_date = minute[i] / 1440;
    }
    return near;
}

bool recurrence_hourly(const struct history *h, int32_t today, uint32_t (*exposure)(const void *ctx, int32_t date),
                       const void *ctx, struct recurrence_pattern *ret, double *best_p)
{
    static const uint32_t periods_min[] = {60, 120, 180, 240, 360, 480, 720};
    const double n_periods = sizeof(periods_min) / sizeof(periods_min[0]);
    int64_t minute[HISTORY_MOST];
    uint32_t hours = 0, dates = 0;

    for (int32_t d = today - RECURRENCE_SHORT; d < today; d++) {
        uint32_t seen = (uint32_t)__builtin_popcount(exposure(ctx, d));
        hours += seen;
        dates += seen >= 12;
    }
    for (size_t i = 0; i < (size_t)n_periods; i++) {
        uint32_t period = periods_min[i], hit_dates;
        uint32_t n = declustered(h, today - RECURRENCE_SHORT, today, period, minute);
        double phase;
        if (n < LEAST_ONSETS || hours < period / 60)
            continue;
        double p = fmin(1, rayleigh(minute, n, period, &phase) * n_periods);
        double rate = near_phase(minute, n, period, phase, &hit_dates) / (hours * 60.0 / period);
        if (rate < LEAST_RATE || hit_dates < LEAST_DATES || p >= MOST_P)
            continue;
        *ret = (struct recurrence_pattern){.class = PATTERN_HOURLY,
                                           .k = hit_dates < dates ? hit_dates : dates,
                                           .n = dates,
                                           .dates_hit = hit_dates,
                                           .dates_seen = dates,
                                           .weeks = LEAST_WEEKS,
                                           .hit_rate = rate < 1 ? rate : 1,
                                           .p_value = p,
                                           .period_min = period,
                                           .phase_min = (uint32_t)(phase * period + 0.5) % period,
                                           .passes = true};
        *best_p = p < *best_p ? p : *best_p;
        return true;
    }
    return false;
}

char *recurrence_period_text(char *buf, size_t size, uint32_t period_min, uint32_t phase_min)
{
    if (period_min == 60)
        snprintf(buf, size, "every hour, %u minutes past", phase_min);
    else
        snprintf(buf, size, "every %u hours, at %02u:%02u and so on", period_min / 60, phase_min / 60, phase_min % 60);
    return buf;
}

bool recurrence_matches(enum pattern_class class, uint8_t weekday, unsigned from_hour, unsigned to_hour, int32_t date,
                        unsigned hour)
{
    if (class == PATTERN_HOURLY || class == PATTERN_CHRONIC || class == PATTERN_SITE)
        return true; /* they have no slot */
    /* The onset may lie after midnight of the slot's date: try it as hour + 24 of the day before. */
    for (int back = 0; back <= 1; back++) {
        uint8_t day = local_weekday(date - back);
        unsigned at = hour + 24u * (unsigned)back;
        bool in_hours = at + 1 >= from_hour && at < to_hour + 1;
        bool in_days = class == PATTERN_DAILY || (class == PATTERN_WEEKLY_SLOT && day == weekday) ||
                       (class == PATTERN_WEEKDAYS && day < 5) || (class == PATTERN_WEEKENDS && day >= 5) ||
                       (class == PATTERN_MONTH_END && recurrence_month_day(weekday, date - back));
        if (in_hours && in_days)
            return true;
    }
    return false;
}

static int compare_unsigned(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a;
    unsigned y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

void recurrence_hours(const struct recurrence_pattern *p, const struct history *h, int32_t first_date,
                      unsigned *ret_from, unsigned *ret_to)
{
    unsigned start_min[HISTORY_MOST], end_min[HISTORY_MOST];
    unsigned n = 0;
    unsigned from = p->first_slot;
    unsigned to = p->last_slot + RECURRENCE_SLOT;

    for (uint32_t i = 0; i < h->n; i++) {
        struct local_time t;
        local_from_ns(h->item[i].onset_ns, &t);
        if (t.date < first_date || (h->item[i].flags & OCCURRENCE_EXPLAINED))
            continue;
        for (int back = 0; back <= 1; back++) {
            unsigned at = t.hour + 24u * (unsigned)back;
            bool day = p->class == PATTERN_WEEKLY_SLOT ? local_weekday(t.date - back) == p->weekday
                       : p->class == PATTERN_MONTH_END ? recurrence_month_day(p->weekday, t.date - back)
                                                       : true;
            if (!day || at < from || at >= to)
                continue;
            uint64_t length_min = (h->item[i].end_ns - h->item[i].onset_ns) / 60000000000u;
            start_min[n] = at * 60 + t.minute;
            end_min[n] = start_min[n] + (unsigned)(length_min < 24 * 60 ? length_min : 24 * 60);
            n++;
            break;
        }
    }
    *ret_from = from;
    *ret_to = to;
    if (n == 0)
        return;
    qsort(start_min, n, sizeof(*start_min), compare_unsigned);
    qsort(end_min, n, sizeof(*end_min), compare_unsigned);
    /* One onset in six may be a stray that happened to fall into the cell: far before the others, it is not the name.
     */
    unsigned first = 0;
    while (first < n / 6 && start_min[first + 1] - start_min[first] >= STRAY_MIN)
        first++;
    /* The other onsets all count; of the ends the upper quartile, so that one long day does not widen the name. */
    unsigned strays = 0;
    while (strays < n / 6 && n > 1 + strays && start_min[n - 1 - strays] - start_min[n - 2 - strays] >= STRAY_MIN)
        strays++;
    unsigned last = start_min[n - 1 - strays] + 1;
    unsigned end = end_min[(3 * n) / 4 < n ? (3 * n) / 4 : n - 1];
    end = end > last ? end : last;
    *ret_from = (start_min[first] + GRACE_MIN) / 60;
    *ret_to = end > GRACE_MIN ? (end - GRACE_MIN + 59) / 60 : 1;
    if (*ret_to <= *ret_from)
        *ret_to = *ret_from + 1;
}

char *recurrence_text(char *buf, size_t size, enum pattern_class class, uint8_t weekday, unsigned from_hour,
                      unsigned to_hour)
{
    static const char *const month_days[] = {
#define X(symbol, name) name " of the month",
        MONTH_DAYS(X)
#undef X
    };
    const char *days = class == PATTERN_WEEKLY_SLOT ? weekday_name(weekday)
                       : class == PATTERN_MONTH_END ? month_days[weekday % MONTH_DAY_COUNT]
                       : class == PATTERN_WEEKDAYS  ? "weekday (Mon\xe2\x80\x93"
                                                      "Fri)"
                       : class == PATTERN_WEEKENDS  ? "weekend day"
                                                    : "day";

    snprintf(buf, size, "every %s %02u:00\xe2\x80\x93%02u:00", days, from_hour % 24,
             to_hour % 24 == 0 ? 24 : to_hour % 24);
    return buf;
}

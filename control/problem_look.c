/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The weekly look: which faults recur.
 *
 * Once a local week every fingerprint with onsets in the last 12 weeks is tested (recurrence.c); the smallest p-value
 * of each takes part in one Benjamini-Hochberg round at q = 0.05. A pattern that passes confirms a problem; one that
 * comes near (three occurrences, p below 0.05) is kept as a candidate, and withdrawn when a later look no longer sees
 * it. What has no period is looked at after that (chronic.c). At the end clean slots are counted, fixes that worked
 * are told, and what nobody has owned for two weeks is said to be so.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/problem.h"
#include "control/stats.h"

#define FALSE_DISCOVERY 0.05
#define CANDIDATE_P     0.05
#define REOPEN_ONSETS   2
#define UNOWNED_DAYS    14u
#define DAY_NS          (86400 * NS_PER_S)

struct look {
    struct control_object *object;
    enum metric metric;
    size_t n_patterns;
    struct recurrence_pattern pattern[RECURRENCE_PATTERNS];
    int32_t first_date;
    double best_p;
};

static uint32_t exposure_of(const void *ctx, int32_t date)
{
    return series_exposure(ctx, date);
}

static int compare_looks(const void *a, const void *b)
{
    const struct look *x = a;
    const struct look *y = b;

    if (x->object != y->object) {
        if (x->object->scope != y->object->scope)
            return x->object->scope < y->object->scope ? -1 : 1;
        return strcmp(x->object->name, y->object->name);
    }
    return (int)x->metric - (int)y->metric;
}

/* All that the onsets of one line say. */
static void look_at_line(struct control *c, struct look *l, int32_t today, bool *ret_recent)
{
    struct recurrence_days days;
    const struct history *h = &l->object->line[l->metric].history;
    const struct series *x = control_exposure(c, l->object, l->metric);
    struct local_time first;

    l->best_p = 1;
    recurrence_collect(&days, h, today, exposure_of, x);
    l->first_date = days.first_date;
    *ret_recent = false;
    for (uint32_t d = 0; d < days.n; d++)
        *ret_recent |= days.onset[d] != 0;
    if (!*ret_recent)
        return;
    if (recurrence_hourly(h, today, exposure_of, x, &l->pattern[0], &l->best_p)) {
        l->n_patterns = 1; /* it explains every slot that it falls into */
        return;
    }
    l->n_patterns = recurrence_test(&days, l->pattern, &l->best_p);
    local_from_ns(h->item[0].onset_ns, &first);
    if (first.date >= days.first_date || (l->n_patterns == 1 && l->pattern[0].class != PATTERN_WEEKLY_SLOT))
        return;
    recurrence_collect_long(&days, h, today, exposure_of, x);
    if (l->n_patterns < RECURRENCE_PATTERNS && recurrence_month_end(&days, &l->pattern[l->n_patterns], &l->best_p))
        l->n_patterns++;
}

static struct look *look_at_all(struct control *c, int32_t today, size_t *ret_n)
{
    struct look *looks = NULL;
    size_t n = 0, room = 0;

    for (size_t i = 0; i < c->objects.n; i++) {
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            struct fault_line *line = &c->objects.item[i]->line[m];
            if (line->history.n == 0 || control_exposure(c, c->objects.item[i], m) == NULL)
                continue;
            if (n == room) {
                room = room == 0 ? 64 : room * 2;
                struct look *grown = realloc(looks, room * sizeof(*looks));
                if (grown == NULL) {
                    c->failed = true;
                    break;
                }
                looks = grown;
            }
            looks[n] = (struct look){.object = c->objects.item[i], .metric = m};
            bool recent;
            look_at_line(c, &looks[n], today, &recent);
            n += recent;
        }
    }
    if (n > 0)
        qsort(looks, n, sizeof(*looks), compare_looks);
    *ret_n = n;
    return looks;
}

/* The largest p-value that the round across fingerprints accepts. */
static double accepted_p(struct control *c, const struct look *looks, size_t n)
{
    double *p = malloc((n + 1) * sizeof(*p));

    if (p == NULL) {
        c->failed = true;
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        p[i] = looks[i].best_p;
    double accepted = benjamini_hochberg(p, n, FALSE_DISCOVERY);
    free(p);
    return accepted;
}

static bool hours_overlap(uint64_t from_a, uint64_t to_a, uint64_t from_b, uint64_t to_b)
{
    return from_a < to_b && from_b < to_a;
}

struct slot {
    enum pattern_class class;
    uint64_t weekday, from_hour, to_hour;
};

static bool same_slot(const struct entity_problem *e, const struct slot *s)
{
    if (e->pattern != s->class || (e->pattern == PATTERN_WEEKLY_SLOT && e->weekday != s->weekday))
        return false;
    if (e->pattern == PATTERN_MONTH_END && e->weekday != s->weekday)
        return false;
    if (s->class == PATTERN_HOURLY || s->class == PATTERN_CHRONIC || s->class == PATTERN_SITE)
        return true;
    /* An hour of drift is the same slot. */
    return hours_overlap(e->from_hour, e->to_hour + 1, s->from_hour, s->to_hour + 1);
}

/* The problem of this fingerprint in the slot, else a confirmed one of another fault of the object, else NULL. */
static struct problem *find_in_slot(struct control *c, const struct control_object *o, const char *fingerprint,
                                    const struct slot *s)
{
    struct problem *other = NULL;

    for (size_t i = 0; i < c->problems.n; i++) {
        struct entity_problem *e = &c->problems.item[i]->e;
        if (e->scope != o->scope || strcmp(e->object, o->name) != 0 || !same_slot(e, s))
            continue;
        if (strcmp(e->fingerprint, fingerprint) == 0)
            return c->problems.item[i];
        if (e->state != PROBLEM_CANDIDATE && e->state != PROBLEM_DUPLICATE && other == NULL)
            other = c->problems.item[i];
    }
    return other;
}

/* The test in words, for people who want to follow it. */
static void explain_evidence(struct entity_problem *e)
{
    if (e->pattern == PATTERN_HOURLY)
        snprintf(
            e->evidence, sizeof(e->evidence),
            "in %.0f %% of the observed periods of %llu min it began within a tenth of a period of minute %llu, on "
            "%llu of %llu dates; Rayleigh's test on its onsets, times 7 periods: p = %.2g",
            100 * e->hit_rate, (unsigned long long)e->period_min, (unsigned long long)e->from_min,
            (unsigned long long)e->occurrences, (unsigned long long)e->exposures, e->p_value);
    else
        snprintf(e->evidence, sizeof(e->evidence),
                 "%llu of %llu observed dates in the slot, %llu of %llu on all dates, lift %.1f; by chance, times the "
                 "cells looked at: p = %.2g",
                 (unsigned long long)e->occurrences, (unsigned long long)e->exposures, (unsigned long long)e->dates_hit,
                 (unsigned long long)e->dates_seen, e->lift, e->p_value);
}

static void take_numbers(struct entity_problem *e, const struct recurrence_pattern *r, const struct slot *s,
                         uint64_t now_ns)
{
    e->pattern = s->class;
    e->weekday = s->weekday;
    e->from_hour = s->from_hour;
    e->to_hour = s->to_hour;
    e->period_min = r->period_min;
    e->from_min = r->phase_min;
    if (s->class == PATTERN_HOURLY)
        recurrence_period_text(e->pattern_text, sizeof(e->pattern_text), r->period_min, r->phase_min);
    else
        recurrence_text(e->pattern_text, sizeof(e->pattern_text), s->class, (uint8_t)s->weekday, (unsigned)s->from_hour,
                        (unsigned)s->to_hour);
    e->occurrences = r->k;
    e->exposures = r->n;
    e->weeks = r->weeks;
    e->dates_hit = r->dates_hit;
    e->dates_seen = r->dates_seen;
    e->hit_rate = r->hit_rate;
    e->lift = r->lift;
    e->p_value = r->p_value;
    e->looked_ns = now_ns;
    e->clean_needed = clean_exposures_needed(r->k, r->n);
    explain_evidence(e);
}

static struct problem *create_problem(struct control *c, const struct look *l)
{
    struct problem *p = calloc(1, sizeof(*p));
    struct entity_incident who = {0};

    if (p == NULL || VECTOR_PUSH(c->problems, p) != 0) {
        free(p);
        c->failed = true;
        return NULL;
    }
    incident_describe(&who, l->object, l->metric);
    snprintf(p->e.id, sizeof(p->e.id), "PRB-%llu", (unsigned long long)++c->meta.problem_seq);
    snprintf(p->e.fingerprint, sizeof(p->e.fingerprint), "%s", who.fingerprint);
    snprintf(p->e.object, sizeof(p->e.object), "%s", who.object);
    p->e.scope = who.scope;
    p->e.direction = who.direction;
    p->e.fault = who.fault;
    p->e.severity = EVENT_minor;
    p->e.state = PROBLEM_CANDIDATE;
    return p;
}

/* Links incidents that are not closed (closed ones may have left memory) to their new problem, and takes over the
 * ticket of its fingerprints. */
static void adopt(struct control *c, struct problem *p, struct control_object *o)
{
    for (size_t i = 0; i < c->incidents.n; i++) {
        struct incident *x = c->incidents.item[i];
        if (x->object != o || x->e.state == INCIDENT_CLOSED || !problem_has_member(&p->e, x->e.fingerprint) ||
            !problem_matches(&p->e, x->e.onset_ns))
            continue;
        snprintf(x->e.problem, sizeof(x->e.problem), "%s", p->e.id);
        x->dirty = true;
    }
    for (enum metric m = 0; m < METRIC_COUNT && p->e.ticket[0] == '\0'; m++) {
        if (o->line[m].ticket[0] != '\0' && problem_has_member(&p->e, line_fingerprint(o, m)))
            snprintf(p->e.ticket, sizeof(p->e.ticket), "%s", o->line[m].ticket);
    }
}

static void add_member(struct problem *p, const char *fingerprint)
{
    size_t len = strlen(p->e.members);

    if (problem_has_member(&p->e, fingerprint) || len + FINGERPRINT_BYTES + 1 >= sizeof(p->e.members))
        return;
    snprintf(p->e.members + len, sizeof(p->e.members) - len, "%s%s", len > 0 ? "," : "", fingerprint);
    p->dirty = true;
}

static uint32_t onsets_since(const struct entity_problem *e, const struct history *h, uint64_t since_ns)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < h->n; i++)
        n += h->item[i].onset_ns > since_ns && problem_matches(e, h->item[i].onset_ns);
    return n;
}

/* A closed problem stays closed for the occurrences that it was closed with. */
static bool still_closed(struct control *c, struct problem *p, const struct history *h)
{
    if (p->e.state != PROBLEM_CLOSED)
        return false;
    if (onsets_since(&p->e, h, p->e.closed_ns) < REOPEN_ONSETS)
        return true;
    p->e.failed_fixes++;
    p->e.verify_from_ns = 0;
    p->e.closed_ns = 0;
    snprintf(p->e.reason, sizeof(p->e.reason), "it came back after it had been verified");
    problem_to_owner(c, p);
    return false;
}

/*
 * A problem without a period of which this slot explains most onsets: it came again and again, and now it is known
 * when. It keeps its id, owner and ticket.
 */
static struct problem *now_known_when(struct control *c, const char *fingerprint, const struct slot *s,
                                      const struct history *h, int32_t first_date)
{
    for (size_t i = 0; i < c->problems.n; i++) {
        struct problem *p = c->problems.item[i];
        uint32_t all = 0, inside = 0;
        if (p->e.pattern != PATTERN_CHRONIC || !problem_is_open(&p->e) || p->e.state >= PROBLEM_VERIFYING ||
            strcmp(p->e.fingerprint, fingerprint) != 0)
            continue;
        for (uint32_t k = 0; k < h->n; k++) {
            struct local_time t;
            local_from_ns(h->item[k].onset_ns, &t);
            if (t.date < first_date || (h->item[k].flags & (OCCURRENCE_AGAIN | OCCURRENCE_EXPLAINED)))
                continue;
            all++;
            inside += recurrence_matches(s->class, (uint8_t)s->weekday, (unsigned)s->from_hour, (unsigned)s->to_hour,
                                         t.date, t.hour);
        }
        if (5 * inside >= 3 * all)
            return p;
    }
    return NULL;
}

/* After the numbers: a candidate that is confirmed by them gets its owner, its ticket and its suspects. */
static void settle(struct control *c, struct problem *p, struct control_object *o, enum metric metric, bool confirmed,
                   uint64_t now_ns)
{
    const struct history *history = &o->line[metric].history;

    problem_sum(&p->e, history);
    p->dirty = true;
    if (p->e.state == PROBLEM_CANDIDATE && confirmed) {
        p->e.confirmed_ns = now_ns;
        problem_to_owner(c, p);
        adopt(c, p, o);
        change_suspects_problem(c, p, history, now_ns);
        ticket_sync_problem(c, p, now_ns);
    }
    problem_set_next_decision(&p->e);
}

static void take_pattern(struct control *c, const struct look *l, const struct recurrence_pattern *r, bool confirmed,
                         uint64_t now_ns)
{
    struct fault_line *line = &l->object->line[l->metric];
    unsigned from, to;

    bool no_slot = r->class == PATTERN_HOURLY;
    if (no_slot) {
        from = 0;
        to = 24;
    } else {
        recurrence_hours(r, &line->history, r->class == PATTERN_MONTH_END ? INT32_MIN : l->first_date, &from, &to);
    }
    struct slot s = {r->class, r->weekday, from, to};
    if (from >= 24 && r->class == PATTERN_WEEKLY_SLOT) { /* it belongs to the day that it really starts on */
        s.weekday = (s.weekday + 1) % 7;
        s.from_hour -= 24;
        s.to_hour -= 24;
    }
    const char *fingerprint = line_fingerprint(l->object, l->metric);
    struct problem *p = find_in_slot(c, l->object, fingerprint, &s);
    if (p != NULL && strcmp(p->e.fingerprint, fingerprint) != 0) {
        if (confirmed)
            add_member(p, fingerprint);
        return;
    }
    if (p == NULL && confirmed)
        p = now_known_when(c, fingerprint, &s, &line->history, l->first_date);
    if (p == NULL)
        p = create_problem(c, l);
    if (p == NULL || p->e.state == PROBLEM_DUPLICATE || still_closed(c, p, &line->history))
        return;
    p->e.looked_ns = now_ns;
    if (p->e.state == PROBLEM_VERIFYING)
        return; /* the rate that a fix is judged against is the one from before it */
    take_numbers(&p->e, r, &s, now_ns);
    settle(c, p, l->object, l->metric, confirmed, now_ns);
}

struct problem *problem_found(struct control *c, const struct problem_finding *f, uint64_t now_ns)
{
    struct look l = {.object = f->object, .metric = f->metric};
    struct slot s = {f->class, 0, 0, 24};
    const char *fingerprint = line_fingerprint(f->object, f->metric);
    struct problem *p = find_in_slot(c, f->object, fingerprint, &s);
    struct fault_line *line = &f->object->line[f->metric];

    if (p == NULL)
        p = create_problem(c, &l);
    if (p == NULL || p->e.state == PROBLEM_DUPLICATE || still_closed(c, p, &line->history))
        return NULL;
    p->e.looked_ns = now_ns;
    if (p->e.state == PROBLEM_VERIFYING)
        return p;
    p->e.pattern = f->class;
    p->e.to_hour = 24;
    p->e.occurrences = f->onsets;
    p->e.exposures = f->days;
    p->e.weeks = f->weeks;
    p->e.hit_rate = f->days > 0 ? (double)f->onsets / (double)f->days : 0;
    p->e.lift = f->ratio;
    p->e.p_value = f->p_value;
    p->e.clean_needed = f->clean_days;
    snprintf(p->e.pattern_text, sizeof(p->e.pattern_text), "%s", f->text);
    snprintf(p->e.evidence, sizeof(p->e.evidence), "%s", f->evidence);
    settle(c, p, f->object, f->metric, true, now_ns);
    return p;
}

/* What nobody owns does not stay quiet: it is one for the review. */
static void escalate(struct entity_problem *e, uint64_t now_ns)
{
    uint64_t days = now_ns > e->confirmed_ns ? (now_ns - e->confirmed_ns) / DAY_NS : 0;

    if (e->state == PROBLEM_CONFIRMED && e->owner[0] == '\0' && days >= UNOWNED_DAYS)
        snprintf(e->next_decision, sizeof(e->next_decision),
                 "nobody has owned it for %llu days: name an owner in the review", (unsigned long long)days);
}

/* What no look has refreshed: candidates go, the others count clean slots. */
static void after_look(struct control *c, uint64_t now_ns)
{
    for (size_t i = 0; i < c->problems.n; i++) {
        struct problem *p = c->problems.item[i];
        enum metric m;
        if (p->e.state == PROBLEM_CANDIDATE && p->e.looked_ns != now_ns) {
            char *id = strdup(p->e.id);
            if (id == NULL || VECTOR_PUSH(c->withdrawn, id) != 0)
                c->failed = true;
            free(p);
            c->problems.item[i--] = c->problems.item[--c->problems.n];
            continue;
        }
        struct control_object *o = problem_is_open(&p->e) ? problem_line(c, p, &m) : NULL;
        if (o == NULL)
            continue;
        const struct series *x = control_exposure(c, o, m);
        if (x != NULL)
            problem_count_clean(&p->e, x, now_ns);
        if (p->e.state == PROBLEM_VERIFYING && problem_fix_worked(&p->e, &o->line[m].history, now_ns)) {
            bool days =
                p->e.pattern == PATTERN_HOURLY || p->e.pattern == PATTERN_CHRONIC || p->e.pattern == PATTERN_SITE;
            p->e.closed_ns = now_ns;
            snprintf(p->e.reason, sizeof(p->e.reason), "verified: %llu clean %s, %llu were needed",
                     (unsigned long long)p->e.clean_exposures, days ? "days" : "slots",
                     (unsigned long long)p->e.clean_needed);
            problem_set_state(p, PROBLEM_CLOSED);
            ticket_sync_problem(c, p, now_ns);
        }
        problem_set_next_decision(&p->e);
        escalate(&p->e, now_ns);
        ticket_refresh_problem(c, p);
        p->dirty = true;
    }
}

static int compare_problems(const void *a, const void *b)
{
    const struct problem *const *x = a;
    const struct problem *const *y = b;
    size_t nx = strlen((*x)->e.id);
    size_t ny = strlen((*y)->e.id);

    return nx != ny ? (nx < ny ? -1 : 1) : strcmp((*x)->e.id, (*y)->e.id);
}

void problem_weekly_look(struct control *c, uint64_t now_ns)
{
    struct local_time t;
    size_t n;

    local_from_ns(now_ns, &t);
    struct look *looks = look_at_all(c, t.date, &n);
    double limit = n > 0 ? accepted_p(c, looks, n) : -1;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < looks[i].n_patterns; k++) {
            const struct recurrence_pattern *r = &looks[i].pattern[k];
            bool confirmed = r->passes && r->p_value <= limit;
            if (confirmed || r->p_value < CANDIDATE_P)
                take_pattern(c, &looks[i], r, confirmed, now_ns);
        }
    }
    free(looks);
    chronic_look(c, now_ns);
    after_look(c, now_ns);
    if (c->problems.n > 1)
        qsort(c->problems.item, c->problems.n, sizeof(*c->problems.item), compare_problems);
}

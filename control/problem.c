/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The life of a problem: what recurs, from candidate to verified. What makes one is in problem_look.c, what people do
 * with it in problem_acts.c.
 *
 * Several faults of one object with the same slot are one problem: the first in the order loss, connect, latency, load
 * leads, the others are members. A problem is closed by evidence only: in VERIFYING, after as many clean exposed slots
 * as refute the earlier hit rate at 5 %. An occurrence during VERIFYING is a failed fix and goes back to the owner; of
 * faults without a period the rates before and after are compared instead.
 */

#include "control/problem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/stats.h"

#define APERIODIC_P  0.05
#define DAY_NS       (86400 * NS_PER_S)
#define LOOK_BACK_NS (RECURRENCE_DATES * DAY_NS)

bool problem_is_open(const struct entity_problem *e)
{
    return e->state != PROBLEM_CANDIDATE && e->state != PROBLEM_CLOSED && e->state != PROBLEM_DUPLICATE;
}

struct problem *problem_find(struct control *c, const char *id)
{
    for (size_t i = 0; i < c->problems.n; i++) {
        if (strcmp(c->problems.item[i]->e.id, id) == 0)
            return c->problems.item[i];
    }
    return NULL;
}

struct control_object *problem_line(struct control *c, struct problem *p, enum metric *ret_metric)
{
    if (p->object == NULL)
        p->object = control_find_line(c, p->e.fingerprint, &p->metric);
    *ret_metric = p->metric;
    return p->object;
}

bool problem_has_member(const struct entity_problem *e, const char *fingerprint)
{
    return strcmp(e->fingerprint, fingerprint) == 0 || strstr(e->members, fingerprint) != NULL;
}

bool problem_matches(const struct entity_problem *e, uint64_t onset_ns)
{
    struct local_time t;

    local_from_ns(onset_ns, &t);
    return recurrence_matches(e->pattern, (uint8_t)e->weekday, (unsigned)e->from_hour, (unsigned)e->to_hour, t.date,
                              t.hour);
}

struct problem *problem_of(struct control *c, const char *fingerprint, uint64_t onset_ns)
{
    for (size_t i = 0; i < c->problems.n; i++) {
        struct problem *p = c->problems.item[i];
        if (problem_is_open(&p->e) && problem_has_member(&p->e, fingerprint) && problem_matches(&p->e, onset_ns))
            return p;
    }
    return NULL;
}

void problem_set_next_decision(struct entity_problem *e)
{
    const char *text = "";

    switch (e->state) {
    case PROBLEM_CANDIDATE:
        text = "none yet: wait for more evidence";
        break;
    case PROBLEM_CONFIRMED:
        text = "name an owner who finds the cause";
        break;
    case PROBLEM_ASSIGNED:
        text = e->failed_fixes > 0 ? "the fix did not hold: find the cause again, or redesign"
                                   : "find the cause: what happens on this side at this hour?";
        break;
    case PROBLEM_ROOT_CAUSE:
    case PROBLEM_KNOWN_ERROR:
        text = "schedule the fix, or accept the risk with an expiry";
        break;
    case PROBLEM_FIX_SCHEDULED:
        text = "carry the fix out and resolve";
        break;
    case PROBLEM_VERIFYING:
        text = "none: clean slots are being counted";
        break;
    case PROBLEM_CLOSED:
        text = "none: verified";
        break;
    case PROBLEM_RISK_ACCEPTED:
        text = "review the acceptance when it expires";
        break;
    case PROBLEM_DUPLICATE:
    case PROBLEM_STATE_COUNT:
        text = "none";
        break;
    }
    if (problem_is_open(e) && e->state < PROBLEM_VERIFYING && e->clean_needed > 0 &&
        e->clean_exposures >= e->clean_needed)
        text = "it seems to have stopped: say what fixed it, or resolve";
    snprintf(e->next_decision, sizeof(e->next_decision), "%s", text);
}

void problem_set_state(struct problem *p, enum problem_state state)
{
    p->e.state = state;
    problem_set_next_decision(&p->e);
    p->dirty = true;
}

/* Evidence over the occurrences in the slot: the sums that tickets and reviews show. */
void problem_sum(struct entity_problem *e, const struct history *h)
{
    double weighted = 0;
    double plain = 0;
    uint64_t n = 0;

    e->minutes_lost = e->exposure_n = e->lost_upstream_pkts = e->lost_downstream_pkts = e->lost_unknown_pkts = 0;
    e->first_ns = 0;
    e->peak = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct occurrence *o = &h->item[i];
        if (!problem_matches(e, o->onset_ns))
            continue;
        if (e->first_ns == 0)
            e->first_ns = o->onset_ns;
        if (o->onset_ns > e->last_ns)
            e->last_ns = o->onset_ns;
        e->minutes_lost += o->bad_minutes;
        e->exposure_n += o->exposure_n;
        e->lost_upstream_pkts += o->lost_upstream_pkts;
        e->lost_downstream_pkts += o->lost_downstream_pkts;
        e->lost_unknown_pkts += o->lost_unknown_pkts;
        e->peak = fmax(e->peak, (double)o->peak);
        e->baseline = (double)o->baseline;
        if (o->severity > e->severity)
            e->severity = (enum event_severity)o->severity;
        weighted += (double)o->value * (double)o->exposure_n;
        plain += (double)o->value;
        n++;
    }
    bool share = e->fault == FAULT_LOSS || e->fault == FAULT_CONNECT;
    e->value = n == 0 ? 0 : share && e->exposure_n > 0 ? weighted / (double)e->exposure_n : plain / (double)n;
}

/* Observed slots without an occurrence since the last one (or since the fix). */
void problem_count_clean(struct entity_problem *e, const struct series *x, uint64_t now_ns)
{
    struct local_time t, now;
    uint64_t since_ns = e->verify_from_ns > e->last_ns ? e->verify_from_ns : e->last_ns;

    local_from_ns(since_ns, &t);
    local_from_ns(now_ns, &now);
    e->clean_exposures = 0;
    bool whole_days = e->pattern == PATTERN_HOURLY || e->pattern == PATTERN_CHRONIC || e->pattern == PATTERN_SITE;
    for (int32_t date = t.date + 1; whole_days && date < now.date; date++)
        e->clean_exposures += __builtin_popcount(series_exposure(x, date)) >= 12;
    for (int32_t date = t.date; !whole_days && date < now.date; date++) {
        /* A date counts when all of its slot lies after the fix or occurrence. */
        if (local_to_ns(date, (unsigned)e->from_hour, 0) <= since_ns)
            continue;
        if (!recurrence_matches(e->pattern, (uint8_t)e->weekday, (unsigned)e->from_hour, (unsigned)e->to_hour, date,
                                (unsigned)e->from_hour % 24))
            continue;
        uint64_t hours = series_exposure(x, date) | (uint64_t)series_exposure(x, date + 1) << 24;
        uint64_t slot = ((1ull << (e->to_hour - e->from_hour)) - 1) << e->from_hour;
        e->clean_exposures += 2 * (unsigned)__builtin_popcountll(hours & slot) > (unsigned)__builtin_popcountll(slot);
    }
}

void problem_to_owner(struct control *c, struct problem *p)
{
    struct control_object *o = control_object_raw(c, p->e.scope, p->e.object);

    if (p->e.owner[0] == '\0' && o != NULL)
        snprintf(p->e.owner, sizeof(p->e.owner), "%s", control_owner(c, o, c->meta.cursor_ns));
    problem_set_state(p, p->e.owner[0] != '\0' ? PROBLEM_ASSIGNED : PROBLEM_CONFIRMED);
}

/* Onsets of a line before and after a fix, and the days of both. */
struct before_after {
    uint64_t onsets_before, onsets_after;
    double days_before, days_after;
};

static struct before_after split_at_fix(const struct entity_problem *e, const struct history *h, uint64_t now_ns)
{
    struct before_after v = {0};
    uint64_t from_ns = e->verify_from_ns > LOOK_BACK_NS ? e->verify_from_ns - LOOK_BACK_NS : 0;

    if (e->first_ns > from_ns)
        from_ns = e->first_ns;
    for (uint32_t i = 0; i < h->n; i++) {
        uint64_t at = h->item[i].onset_ns;
        if ((h->item[i].flags & (OCCURRENCE_AGAIN | OCCURRENCE_EXPLAINED)) || at < from_ns)
            continue;
        v.onsets_before += at < e->verify_from_ns;
        v.onsets_after += at >= e->verify_from_ns;
    }
    v.days_before = (double)(e->verify_from_ns - from_ns) / (double)DAY_NS;
    v.days_after = now_ns > e->verify_from_ns ? (double)(now_ns - e->verify_from_ns) / (double)DAY_NS : 0;
    return v;
}

/*
 * Without a period one onset refutes nothing: with a rate a third of the old one, would there be as many? (exact
 * binomial, 5 %). What has a period has failed with its first occurrence.
 */
static bool fix_has_failed(const struct entity_problem *e, const struct incident *i)
{
    if (i->e.onset_ns < e->verify_from_ns)
        return false; /* it had begun before the fix, and was noticed after it */
    if (e->pattern != PATTERN_CHRONIC && e->pattern != PATTERN_SITE)
        return true;
    const struct history *h = &i->object->line[i->metric].history;
    struct before_after v = split_at_fix(e, h, i->e.detected_ns);
    double share = v.days_after / 3 / (v.days_before + v.days_after / 3);
    return v.onsets_after >= 2 && binomial_tail(v.onsets_before + v.onsets_after, share, v.onsets_after) < APERIODIC_P;
}

/* The rate after the fix is below the one before it, by the same test the other way round. */
bool problem_fix_worked(const struct entity_problem *e, const struct history *h, uint64_t now_ns)
{
    if (e->pattern != PATTERN_CHRONIC && e->pattern != PATTERN_SITE)
        return e->clean_exposures >= e->clean_needed;
    struct before_after v = split_at_fix(e, h, now_ns);
    double share_before = v.days_before / (v.days_before + v.days_after);
    return v.days_after > 0 &&
           binomial_tail(v.onsets_before + v.onsets_after, share_before, v.onsets_before) < APERIODIC_P;
}

void problem_occurred(struct control *c, struct problem *p, struct incident *i)
{
    struct local_time last, now;

    local_from_ns(p->e.last_ns, &last);
    local_from_ns(i->e.onset_ns, &now);
    snprintf(i->e.problem, sizeof(i->e.problem), "%s", p->e.id);
    snprintf(i->e.ticket, sizeof(i->e.ticket), "%s", p->e.ticket);
    i->dirty = true;
    if (last.date != now.date) { /* the weekly look recounts; until then each date adds one */
        p->e.occurrences++;
        p->e.exposures++;
        p->e.weeks += last.week != now.week;
    }
    p->e.clean_exposures = 0;
    if (strcmp(p->e.fingerprint, i->e.fingerprint) == 0)
        problem_sum(&p->e, &i->object->line[i->metric].history);
    p->e.last_ns = i->e.onset_ns;
    if (p->e.state == PROBLEM_VERIFYING && fix_has_failed(&p->e, i)) {
        p->e.failed_fixes++;
        p->e.verify_from_ns = 0;
        snprintf(p->e.reason, sizeof(p->e.reason), "fix failed: it came back in %s", i->e.id);
        problem_to_owner(c, p);
    }
    p->dirty = true;
    ticket_sync_problem(c, p, i->e.detected_ns);
}

void problem_settled(struct control *c, struct problem *p, struct incident *i, uint64_t now_ns)
{
    if (strcmp(p->e.fingerprint, i->e.fingerprint) != 0)
        return; /* a member's numbers are not those of the leading fault */
    problem_sum(&p->e, &i->object->line[i->metric].history);
    p->dirty = true;
    ticket_sync_problem(c, p, now_ns);
}

/* --- from step to step --- */

void problem_tick(struct control *c, uint64_t now_ns)
{
    for (size_t i = 0; i < c->problems.n; i++) {
        struct problem *p = c->problems.item[i];
        if (p->e.state == PROBLEM_RISK_ACCEPTED && p->e.accepted_until_ns != 0 && now_ns >= p->e.accepted_until_ns) {
            snprintf(p->e.reason, sizeof(p->e.reason), "the acceptance of the risk by %.60s has expired",
                     p->e.approver);
            p->e.accepted_until_ns = 0;
            problem_to_owner(c, p);
            ticket_sync_problem(c, p, now_ns);
        }
        if (problem_is_open(&p->e) && p->e.ticket[0] == '\0')
            ticket_sync_problem(c, p, now_ns);
    }
}

static bool has_slot(const struct entity_problem *e)
{
    return e->pattern != PATTERN_CHRONIC && e->pattern != PATTERN_SITE;
}

bool problem_explains(struct control *c, const char *fingerprint, uint64_t onset_ns, bool chronic_too)
{
    for (size_t i = 0; i < c->problems.n; i++) {
        const struct entity_problem *e = &c->problems.item[i]->e;
        if (e->state != PROBLEM_DUPLICATE && (has_slot(e) || chronic_too) && problem_has_member(e, fingerprint) &&
            problem_matches(e, onset_ns))
            return true;
    }
    return false;
}

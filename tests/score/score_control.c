/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Compares what control made of a window stream with the truth about it (docs/SIMULATION.md); behind
 * scripts/score-control.
 *
 *   score_control measure TRUTH URL    one line of JSON: numerators and denominators, from control's entities at URL
 *   score_control report FILE [JSON]   sums such lines, prints a table against the targets, exits 1 when one is missed
 *
 * A problem or ticket has a planted cause when a fault was planted on its path (or behind its circuit), of its class
 * and direction, in its time. A recurring fault counts as found when a confirmed problem has its path, class and
 * direction. Kinds in the truth file that are not known here are causes, too, so that other generators can add some.
 */

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "store/entities.h"

#define MIN_NS     (60 * NS_PER_S)
#define GRACE_NS   (20 * MIN_NS)
#define LEAST_RATE 0.8
#define LEAST_HITS 6
#define LEAST_SEEN 10 /* minutes of a cascade that a sensor saw, for it to count */

/* name, text, target, least: 1 the value must be at least the target, -1 at most, 0 only told */
#define MEASURES(X)                                                                                                    \
    X(recall, "weekly slots found", 0.95, 1)                                                                           \
    X(sixth, "  confirmed by the 6th occurrence", 0.88, 1)                                                             \
    X(named, "  weekday and hours named right", 0.95, 1)                                                               \
    X(other, "daily, weekday, weekend faults found", 0.95, 1)                                                          \
    X(month_end, "month-end faults found", 0, 0)                                                                       \
    X(hourly, "hourly faults found", 0, 0)                                                                             \
    X(chronic, "chronic faults found", 0, 0)                                                                           \
    X(branch, "branches found where everything fails now and then", 0, 0)                                              \
    X(precision, "problems that were planted", 0.98, 1)                                                                \
    X(fixes, "fixes judged right, of those decided", 0.95, 1)                                                          \
    X(decided, "fixes decided", 0, 0)                                                                                  \
    X(suspects, "true change among the top two suspects", 0.9, 1)                                                      \
    X(cascades, "cascades: one incident, circuit named", 0.95, 1)                                                      \
    X(stray_incidents, "incident tickets without cause, per 100 paths and 12 weeks", 1, -1)                            \
    X(stray_problems, "problem tickets without cause, per 100 paths and 12 weeks", 1, -1)                              \
    X(blind, "tickets from capture loss, maintenance, outages", 0, -1)                                                 \
    X(onsets, "planted occurrences that became incidents", 0, 0)

enum measure {
#define X(name, text, target, least) M_##name,
    MEASURES(X)
#undef X
        MEASURE_COUNT
};
static const struct {
    const char *name, *text;
    double target;
    int least;
} measures[] = {
#define X(name, text, target, least) {#name, text, target, least},
    MEASURES(X)
#undef X
};

struct scores {
    double num[MEASURE_COUNT], den[MEASURE_COUNT];
};

static void count(struct scores *s, enum measure m, bool good)
{
    s->num[m] += good;
    s->den[m] += 1;
}

/* Everything of a kind, in memory. */
struct list {
    void *item;
    size_t n, room, size;
};

static int keep(void *ctx, const void *entity)
{
    struct list *l = ctx;

    if (l->n == l->room) {
        l->room = l->room == 0 ? 256 : 2 * l->room;
        l->item = realloc(l->item, l->room * l->size);
        if (l->item == NULL)
            return -ENOMEM;
    }
    memcpy((char *)l->item + l->n++ * l->size, entity, l->size);
    return 0;
}

static struct list load(struct store *s, enum entity_kind kind)
{
    struct list l = {.size = entity_size(kind)};
    struct error e = {""};

    if (entities_each(s, kind, keep, &l, &e) != 0) {
        fprintf(stderr, "score-control: %s\n", e.text);
        exit(1);
    }
    return l;
}

static uint64_t ns_of(const json_t *j, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(j, key));
}

static const char *text_of(const json_t *j, const char *key)
{
    const char *t = json_string_value(json_object_get(j, key));

    return t != NULL ? t : "";
}

static bool kind_is(const json_t *fault, const char *kind)
{
    return strcmp(text_of(fault, "kind"), kind) == 0;
}

static bool holds(const json_t *span, uint64_t ns)
{
    return ns + GRACE_NS >= ns_of(span, "start_ns") && ns < ns_of(span, "end_ns") + GRACE_NS;
}

static bool same_fault(const json_t *f, enum fault_class fault, enum fault_direction direction, const char *path)
{
    return strcmp(text_of(f, "path"), path) == 0 && strcmp(text_of(f, "fault"), fault_class_name(fault)) == 0 &&
           strcmp(text_of(f, "direction"), fault_direction_name(direction)) == 0;
}

static bool lists(const json_t *array, const char *path)
{
    const json_t *v;
    size_t i;

    json_array_foreach(array, i, v)
    {
        if (strcmp(json_string_value(v), path) == 0)
            return true;
    }
    return false;
}

struct world {
    json_t *truth;
    struct list incidents, problems, tickets, changes;
};

/* The planted fault that an incident comes from; any class on the path counts, since faults have side effects. */
static bool has_cause(const struct world *w, const struct entity_incident *i)
{
    const json_t *f, *o;
    size_t k, n;

    json_array_foreach(json_object_get(w->truth, "faults"), k, f)
    {
        if (strcmp(text_of(f, "path"), i->object) != 0)
            continue;
        json_array_foreach(json_object_get(f, "occurrences"), n, o)
        {
            if (holds(o, i->onset_ns))
                return true;
        }
    }
    json_array_foreach(json_object_get(w->truth, "cascades"), k, o)
    {
        bool here = lists(json_object_get(o, "paths"), i->object) || strcmp(text_of(o, "circuit"), i->object) == 0;
        if (here && holds(o, i->onset_ns))
            return true;
    }
    return false;
}

static bool in_spans(const struct world *w, const char *key, uint64_t ns)
{
    const json_t *o;
    size_t i;

    json_array_foreach(json_object_get(w->truth, key), i, o)
    {
        if (holds(o, ns))
            return true;
    }
    return false;
}

static bool recurring(const json_t *f)
{
    return json_object_get(f, "from_hour") != NULL || json_object_get(f, "period_min") != NULL ||
           json_object_get(f, "per_day") != NULL || kind_is(f, "drift") || kind_is(f, "capacity") ||
           kind_is(f, "flapping");
}

static bool problem_planted(const struct world *w, const struct entity_problem *p)
{
    const json_t *f;
    size_t i;

    json_array_foreach(json_object_get(w->truth, "faults"), i, f)
    {
        bool same = same_fault(f, p->fault, p->direction, p->object) ||
                    (strcmp(text_of(f, "path"), p->object) == 0 && kind_is(f, "capacity"));
        if (same && recurring(f))
            return true;
    }
    return false;
}

static const struct entity_problem *problem_of(const struct world *w, const json_t *f)
{
    const struct entity_problem *p = w->problems.item;

    for (size_t i = 0; i < w->problems.n; i++) {
        if (p[i].state != PROBLEM_CANDIDATE && same_fault(f, p[i].fault, p[i].direction, p[i].object))
            return &p[i];
    }
    return NULL;
}

static size_t occurrences_before(const json_t *f, uint64_t ns)
{
    const json_t *o;
    size_t i, n = 0;

    json_array_foreach(json_object_get(f, "occurrences"), i, o) n += ns_of(o, "start_ns") < ns;
    return n;
}

static bool hours_right(const json_t *f, const struct entity_problem *p)
{
    const json_t *weekday = json_object_get(f, "weekday");

    return (weekday == NULL ||
            (p->pattern == PATTERN_WEEKLY_SLOT && p->weekday == (uint64_t)json_integer_value(weekday))) &&
           p->from_hour == ns_of(f, "from_hour") && p->to_hour == ns_of(f, "to_hour");
}

static void score_fix(struct scores *s, const json_t *f, const struct entity_problem *p)
{
    const json_t *fix = json_object_get(f, "fix");

    if (fix == NULL || p == NULL)
        return;
    bool works = json_is_true(json_object_get(fix, "works"));
    bool closed = p->state == PROBLEM_CLOSED && p->failed_fixes == 0;
    bool asked = closed || p->failed_fixes > 0 || p->state == PROBLEM_VERIFYING;
    if (!asked)
        return; /* it was not known when the fix was told */
    count(s, M_decided, closed || p->failed_fixes > 0);
    if (!closed && p->failed_fixes == 0)
        return;
    count(s, M_fixes, works == closed);
    if (works != closed)
        fprintf(stderr, "fix misjudged: %s %s of %s %s, it %s\n", p->id, p->pattern_text, text_of(f, "kind"), p->object,
                works ? "works" : "does not work");
}

/* A branch is one thing to find, though the truth lists each kind of fault on it. */
static bool is_first_of_path(const struct world *w, const json_t *f)
{
    const json_t *o;
    size_t i;

    json_array_foreach(json_object_get(w->truth, "faults"), i, o)
    {
        if (kind_is(o, text_of(f, "kind")) && strcmp(text_of(o, "path"), text_of(f, "path")) == 0)
            return o == f;
    }
    return false;
}

static bool branch_found(const struct world *w, const char *path)
{
    const struct entity_problem *p = w->problems.item;

    for (size_t i = 0; i < w->problems.n; i++) {
        if (p[i].pattern == PATTERN_SITE && p[i].state != PROBLEM_CANDIDATE && strcmp(p[i].object, path) == 0)
            return true;
    }
    return false;
}

static void score_recurring(struct scores *s, const struct world *w, const json_t *f)
{
    const struct entity_problem *p = problem_of(w, f);
    size_t hits = json_array_size(json_object_get(f, "occurrences"));
    bool strong = json_real_value(json_object_get(f, "hit_rate")) >= LEAST_RATE;

    if (kind_is(f, "weekly_slot") && strong && hits >= LEAST_HITS) {
        count(s, M_recall, p != NULL);
        if (p == NULL)
            fprintf(stderr, "missed: %s %s %s, weekday %lld %02lld-%02lld, %zu occurrences\n", text_of(f, "path"),
                    text_of(f, "fault"), text_of(f, "direction"), (long long)ns_of(f, "weekday"),
                    (long long)ns_of(f, "from_hour"), (long long)ns_of(f, "to_hour"), hits);
        count(s, M_sixth, p != NULL && occurrences_before(f, p->confirmed_ns) <= LEAST_HITS);
        if (p != NULL)
            count(s, M_named, hours_right(f, p));
        if (p != NULL && !hours_right(f, p))
            fprintf(stderr, "misnamed: %s %s is weekday %lld %02lld-%02lld\n", p->id, p->pattern_text,
                    (long long)ns_of(f, "weekday"), (long long)ns_of(f, "from_hour"), (long long)ns_of(f, "to_hour"));
    } else if ((kind_is(f, "daily") || kind_is(f, "weekdays") || kind_is(f, "weekends")) && strong) {
        count(s, M_other, p != NULL);
    } else if (kind_is(f, "month_end") && hits >= 5) {
        count(s, M_month_end, p != NULL && p->pattern == PATTERN_MONTH_END);
    } else if (kind_is(f, "hourly")) {
        count(s, M_hourly, p != NULL && p->pattern == PATTERN_HOURLY);
        if (p == NULL || p->pattern != PATTERN_HOURLY)
            fprintf(stderr, "hourly missed: %s %s %s, every %lld min: %s %s\n", text_of(f, "path"), text_of(f, "fault"),
                    text_of(f, "direction"), (long long)ns_of(f, "period_min"), p != NULL ? p->id : "no problem",
                    p != NULL ? p->pattern_text : "");
    } else if (kind_is(f, "chronic")) {
        count(s, M_chronic, p != NULL);
    } else if (kind_is(f, "same_branch") && is_first_of_path(w, f)) {
        bool found = branch_found(w, text_of(f, "path"));
        count(s, M_branch, found);
        if (!found)
            fprintf(stderr, "same branch missed: %s\n", text_of(f, "path"));
    }
    score_fix(s, f, p);
}

/* The incident of an occurrence, or NULL. */
static const struct entity_incident *incident_at(const struct world *w, const json_t *f, const json_t *o)
{
    const struct entity_incident *i = w->incidents.item;

    for (size_t k = 0; k < w->incidents.n; k++) {
        if (same_fault(f, i[k].fault, i[k].direction, i[k].object) && holds(o, i[k].onset_ns))
            return &i[k];
    }
    return NULL;
}

/* "CHG-3 p=0.001, CHG-9 p=..." names a change of this title among its first two. */
static bool names_change(const struct world *w, const char *suspects, const char *title)
{
    const struct entity_register *c = w->changes.item;
    const char *at = suspects;

    for (int rank = 0; rank < 2 && at != NULL && *at != '\0'; rank++) {
        for (size_t k = 0; k < w->changes.n; k++) {
            size_t len = strlen(c[k].id);
            if (strncmp(at, c[k].id, len) == 0 && at[len] == ' ' && strcmp(c[k].title, title) == 0)
                return true;
        }
        at = strstr(at, ", ");
        at = at != NULL ? at + 2 : NULL;
    }
    return false;
}

static void score_change(struct scores *s, const struct world *w, const json_t *f)
{
    const json_t *o = json_array_get(json_object_get(f, "occurrences"), 0);
    const struct entity_incident *i = o != NULL ? incident_at(w, f, o) : NULL;
    const struct entity_incident *all = w->incidents.item;
    const char *suspects = i != NULL ? i->suspects : "";

    for (size_t k = 0; i != NULL && k < w->incidents.n; k++) { /* a member's evidence is with its parent */
        if (strcmp(all[k].id, i->parent) == 0)
            suspects = all[k].suspects;
    }
    if (i == NULL)
        return;
    bool named = names_change(w, suspects, text_of(f, "change"));
    count(s, M_suspects, named);
    if (!named)
        fprintf(stderr, "suspect missed: %s %s, '%s' is not in '%s'\n", i->id, i->object, text_of(f, "change"),
                suspects);
}

/* Minutes of a span in which sensors saw well. */
static uint64_t seen_minutes(const struct world *w, const json_t *span)
{
    static const char *const blind[] = {"outages", "capture_loss"};
    uint64_t seen = 0;

    for (uint64_t at = ns_of(span, "start_ns"); at < ns_of(span, "end_ns"); at += MIN_NS) {
        bool dark = false;
        const json_t *o;
        size_t k;
        for (size_t b = 0; b < 2; b++) {
            json_array_foreach(json_object_get(w->truth, blind[b]), k, o) dark |=
                at + MIN_NS > ns_of(o, "start_ns") && at < ns_of(o, "end_ns");
        }
        seen += !dark;
    }
    return seen;
}

static void score_cascade(struct scores *s, const struct world *w, const json_t *cascade)
{
    const struct entity_incident *i = w->incidents.item;
    char cause[200];
    size_t named = 0, alone = 0;

    if (seen_minutes(w, cascade) < LEAST_SEEN)
        return;
    snprintf(cause, sizeof(cause), "circuit %s", text_of(cascade, "circuit"));
    for (size_t k = 0; k < w->incidents.n; k++) {
        if (!holds(cascade, i[k].onset_ns) || i[k].parent[0] != '\0')
            continue;
        named += strcmp(i[k].cause, cause) == 0;
        if (i[k].cause[0] != '\0' || !lists(json_object_get(cascade, "paths"), i[k].object))
            continue;
        const json_t *f, *o;
        size_t a, b;
        bool other = false; /* another fault was planted there at that time */
        json_array_foreach(json_object_get(w->truth, "faults"), a, f)
        {
            json_array_foreach(json_object_get(f, "occurrences"), b, o) other |=
                strcmp(text_of(f, "path"), i[k].object) == 0 && holds(o, i[k].onset_ns);
        }
        alone += !other;
        if (!other)
            fprintf(stderr, "alone: %s %s %s %s, onset %llu s, detected %llu s, cleared %llu s\n", i[k].id, i[k].object,
                    fault_class_name(i[k].fault), fault_direction_name(i[k].direction),
                    (unsigned long long)(i[k].onset_ns / NS_PER_S), (unsigned long long)(i[k].detected_ns / NS_PER_S),
                    (unsigned long long)(i[k].cleared_ns / NS_PER_S));
    }
    count(s, M_cascades, named == 1 && alone == 0);
    if (named != 1 || alone != 0)
        fprintf(stderr, "cascade of %s at %llu s: %zu incidents name it, %zu paths stand alone\n",
                text_of(cascade, "circuit"), (unsigned long long)(ns_of(cascade, "start_ns") / NS_PER_S), named, alone);
}

/* Incident tickets: one stray incident makes its ticket stray. */
static void score_tickets(struct scores *s, const struct world *w)
{
    const struct entity_ticket *t = w->tickets.item;
    const struct entity_incident *i = w->incidents.item;
    double per = (double)json_integer_value(json_object_get(w->truth, "paths")) / 100 *
                 (double)json_integer_value(json_object_get(w->truth, "weeks")) / 12;

    for (size_t k = 0; k < w->tickets.n; k++) {
        for (size_t n = 0; n < w->incidents.n && t[k].problem[0] == '\0'; n++) {
            if (strcmp(i[n].ticket, t[k].id) != 0 || i[n].parent[0] != '\0' || has_cause(w, &i[n]))
                continue;
            bool blind = in_spans(w, "capture_loss", i[n].onset_ns) || in_spans(w, "outages", i[n].onset_ns) ||
                         in_spans(w, "maintenance", i[n].onset_ns);
            s->num[M_stray_incidents]++;
            s->num[M_blind] += blind;
            fprintf(stderr, "stray: %s %s %s %s %s value %g of %g %s\n", t[k].id, i[n].id, i[n].object,
                    fault_class_name(i[n].fault), fault_direction_name(i[n].direction), i[n].value, i[n].baseline,
                    i[n].cause);
            break;
        }
    }
    s->den[M_stray_incidents] += per;
    s->den[M_stray_problems] += per;
    s->den[M_blind] += 1;
}

static void score_problems(struct scores *s, const struct world *w)
{
    const struct entity_problem *p = w->problems.item;

    for (size_t k = 0; k < w->problems.n; k++) {
        if (p[k].state == PROBLEM_CANDIDATE)
            continue;
        bool good = problem_planted(w, &p[k]);
        count(s, M_precision, good);
        s->num[M_stray_problems] += !good;
        if (!good)
            fprintf(stderr, "stray: %s %s %s %s %s, %llu of %llu, p = %g\n", p[k].id, p[k].object,
                    fault_class_name(p[k].fault), fault_direction_name(p[k].direction), p[k].pattern_text,
                    (unsigned long long)p[k].occurrences, (unsigned long long)p[k].exposures, p[k].p_value);
    }
}

static void score_onsets(struct scores *s, const struct world *w, const json_t *f)
{
    const json_t *o;
    size_t i;

    if (kind_is(f, "drift") || kind_is(f, "capacity") || kind_is(f, "flapping"))
        return;
    json_array_foreach(json_object_get(f, "occurrences"), i, o) count(s, M_onsets, incident_at(w, f, o) != NULL);
}

static int measure(const char *truth, const char *url)
{
    struct store_options options = {.url = url};
    struct scores s = {0};
    struct store *store;
    struct error e = {""};
    json_error_t why;
    struct world w = {.truth = json_load_file(truth, 0, &why)};
    const json_t *f;
    size_t i;

    if (w.truth == NULL || store_open(&options, &store, &e) != 0) {
        fprintf(stderr, "score-control: %s\n", w.truth == NULL ? why.text : e.text);
        return 1;
    }
    w.incidents = load(store, ENTITY_INCIDENT);
    w.problems = load(store, ENTITY_PROBLEM);
    w.tickets = load(store, ENTITY_TICKET);
    w.changes = load(store, ENTITY_CHANGE);
    json_array_foreach(json_object_get(w.truth, "faults"), i, f)
    {
        score_recurring(&s, &w, f);
        score_onsets(&s, &w, f);
        if (json_object_get(f, "change") != NULL)
            score_change(&s, &w, f);
    }
    json_array_foreach(json_object_get(w.truth, "cascades"), i, f) score_cascade(&s, &w, f);
    score_problems(&s, &w);
    score_tickets(&s, &w);
    json_t *out = json_object();
    for (unsigned m = 0; m < MEASURE_COUNT; m++)
        json_object_set_new(out, measures[m].name, json_pack("[f,f]", s.num[m], s.den[m]));
    json_dumpf(out, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(out);
    json_decref(w.truth);
    free(w.incidents.item);
    free(w.problems.item);
    free(w.tickets.item);
    free(w.changes.item);
    store_close(store);
    return 0;
}

static int report(const char *path, const char *json_path)
{
    FILE *in = fopen(path, "r");
    struct scores s = {0};
    char line[8192];
    bool good = true;
    json_t *out = json_object();

    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        json_t *j = json_loads(line, 0, NULL);
        for (unsigned m = 0; m < MEASURE_COUNT; m++) {
            s.num[m] += json_real_value(json_array_get(json_object_get(j, measures[m].name), 0));
            s.den[m] += json_real_value(json_array_get(json_object_get(j, measures[m].name), 1));
        }
        json_decref(j);
    }
    if (in == NULL)
        return 1;
    fclose(in);
    for (unsigned m = 0; m < MEASURE_COUNT; m++) {
        double value = s.den[m] > 0 ? s.num[m] / s.den[m] : 0;
        bool holds_here = s.den[m] <= 0 || measures[m].least == 0 ||
                          (measures[m].least > 0 ? value >= measures[m].target : value <= measures[m].target);
        good &= holds_here;
        printf("%-62s %8.4f  %8g of %-8g %s %g %s\n", measures[m].text, value, s.num[m], s.den[m],
               measures[m].least > 0   ? ">="
               : measures[m].least < 0 ? "<="
                                       : "  ",
               measures[m].target,
               s.den[m] <= 0            ? "-"
               : measures[m].least == 0 ? ""
               : holds_here             ? "ok"
                                        : "MISSED");
        json_object_set_new(out, measures[m].name,
                            json_pack("{s:f,s:f,s:f,s:f,s:b}", "value", value, "of", s.den[m], "hits", s.num[m],
                                      "target", measures[m].target, "holds", (int)holds_here));
    }
    int rc = json_path != NULL ? json_dump_file(out, json_path, JSON_INDENT(1)) : 0;
    json_decref(out);
    return good && rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], argv[3]);
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "report") == 0)
        return report(argv[2], argc == 4 ? argv[3] : NULL);
    fputs("usage: score_control measure TRUTH URL | report FILE [JSON]\n", stderr);
    return 2;
}

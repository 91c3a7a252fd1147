/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which change may have done it? Software says suspect; a person says match.
 *
 * Onsets that fall within an hour after a change (or into its window) are compared with the share of time that such
 * hours cover: of n onsets on the objects that the change names, k fell into its hours, which are a share s of the time
 * observed; p = P(Binomial(n, s) >= k). Asked of all faults and of those of the same kind; the smaller p counts,
 * doubled. Changes of one title are one series ("weekly config push") and share their hours. So a change that names the
 * whole company has to explain more than one fault of one branch, and a change that is followed by a fault every time
 * beats one that was there once.
 *
 * For a problem there is a second question: did it begin with the change? Of its n onsets k came after it, which is a
 * share s of the time; the smaller of both p-values counts, doubled.
 *
 * Kept: up to three suspects with p < 0.1, the smallest p first, of equals the change that came last before the onset.
 * Limit: the look-back is what is in the histories (512 onsets), and since control's first data.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"
#include "control/stats.h"

#define NS_PER_MIN    (60 * NS_PER_S)
#define AFTER_NS      (60 * NS_PER_MIN)
#define ONE_ONSET_NS  (10 * NS_PER_MIN) /* faults of one object that begin so close together are one */
#define BEGAN_NS      (14 * 1440 * NS_PER_MIN)
#define MOST_P        0.1
#define MOST_SUSPECTS 3u

struct suspect {
    const char *id;
    double p;
    uint64_t start_ns;
};

/* The hours in which a change is suspect. */
static void hours_of(const struct entity_register *e, uint64_t *ret_from_ns, uint64_t *ret_to_ns)
{
    *ret_from_ns = e->start_ns;
    *ret_to_ns = (e->end_ns > e->start_ns ? e->end_ns : e->start_ns) + AFTER_NS;
}

static bool falls_into(const struct entity_register *e, uint64_t ns)
{
    uint64_t from, to;

    hours_of(e, &from, &to);
    return ns >= from && ns < to && (e->closed_ns == 0 || e->closed_ns > from);
}

/* A series: changes of one title. */
static bool same_series(const struct entity_register *a, const struct entity_register *b)
{
    return strcmp(a->title, b->title) == 0 && strcmp(a->objects, b->objects) == 0;
}

static bool series_holds(const struct control *c, const struct entity_register *change, uint64_t ns)
{
    for (size_t i = 0; i < c->registers[REGISTER_CHANGE].n; i++) {
        const struct entity_register *e = &c->registers[REGISTER_CHANGE].item[i]->e;
        if (same_series(e, change) && falls_into(e, ns))
            return true;
    }
    return false;
}

/* The share of [first, now) that the hours of a series cover; hours that overlap count twice, which is on the safe
 * side. */
static double series_share(const struct control *c, const struct entity_register *change, uint64_t now_ns)
{
    uint64_t first_ns = c->meta.first_ns, covered_ns = 0;

    for (size_t i = 0; i < c->registers[REGISTER_CHANGE].n; i++) {
        const struct entity_register *e = &c->registers[REGISTER_CHANGE].item[i]->e;
        uint64_t from, to;
        if (!same_series(e, change))
            continue;
        hours_of(e, &from, &to);
        from = from < first_ns ? first_ns : from;
        if (to > from && from < now_ns)
            covered_ns += to - from; /* the hours that are not over yet, too: a fault in them is certain of nothing */
    }
    if (now_ns <= first_ns + covered_ns)
        return 1;
    return (double)covered_ns / (double)(now_ns - first_ns);
}

/* k of n onsets lie in the hours of a change's series. */
struct near {
    uint64_t n, k;
};

/* Counts the onsets of an object: of one metric, or (METRIC_COUNT) of all, close ones once. */
static void count_onsets(const struct control *c, const struct control_object *o, const struct entity_register *change,
                         enum metric only, struct near *ret)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        const struct history *h = &o->line[m].history;
        for (uint32_t i = 0; (only == METRIC_COUNT || only == m) && i < h->n; i++) {
            bool first = !(h->item[i].flags & (OCCURRENCE_AGAIN | OCCURRENCE_EXPLAINED));
            for (enum metric other = 0; only == METRIC_COUNT && first && other < m; other++) {
                const struct history *x = &o->line[other].history;
                for (uint32_t j = x->n; first && j > 0; j--) {
                    uint64_t a = x->item[j - 1].onset_ns, b = h->item[i].onset_ns;
                    first = (a > b ? a - b : b - a) > ONE_ONSET_NS;
                }
            }
            ret->n += first;
            ret->k += first && series_holds(c, change, h->item[i].onset_ns);
        }
    }
}

/*
 * Two questions, the better answer doubled: do faults follow these changes, and do faults of this kind? A path that
 * fails every hour anyhow drowns the one new fault in the first.
 */
static double p_of_series(struct control *c, struct register_row *change, enum metric kind, uint64_t now_ns)
{
    struct near all = {0}, same = {0};
    size_t n_named;
    const uint32_t *named = register_named(c, change, &n_named);

    for (size_t i = 0; i < n_named; i++) {
        count_onsets(c, c->objects.item[named[i]], &change->e, METRIC_COUNT, &all);
        count_onsets(c, c->objects.item[named[i]], &change->e, kind, &same);
    }
    double share = series_share(c, &change->e, now_ns);
    double p = all.k == 0 ? 1 : binomial_tail(all.n, share, all.k);
    double p_same = same.k == 0 ? 1 : binomial_tail(same.n, share, same.k);
    p = 2 * (p < p_same ? p : p_same);
    return p < 1 ? p : 1;
}

static int compare_suspects(const void *a, const void *b)
{
    const struct suspect *x = a;
    const struct suspect *y = b;

    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return x->start_ns != y->start_ns ? (x->start_ns > y->start_ns ? -1 : 1) : strcmp(x->id, y->id);
}

static void write_suspects(char *ret, size_t size, struct suspect *list, size_t n)
{
    size_t len = 0;

    ret[0] = '\0';
    if (n > 1)
        qsort(list, n, sizeof(*list), compare_suspects);
    for (size_t i = 0; i < n && i < MOST_SUSPECTS && list[i].p < MOST_P && len < size; i++)
        len += (size_t)snprintf(ret + len, size - len, "%s%s p=%.2g", len > 0 ? ", " : "", list[i].id, list[i].p);
}

/* Does the change concern the incident's object, or one of the paths that failed with it? */
static bool concerns(struct control *c, struct register_row *change, const struct incident *i)
{
    if (register_names(c, change, i->object))
        return true;
    for (size_t k = 0; i->e.cause[0] != '\0' && k < c->incidents.n; k++) {
        const struct incident *m = c->incidents.item[k];
        if (strcmp(m->e.parent, i->e.id) == 0 && register_names(c, change, m->object))
            return true;
    }
    return false;
}

void change_suspects(struct control *c, struct incident *i, uint64_t now_ns)
{
    size_t n = 0, rows = c->registers[REGISTER_CHANGE].n;
    struct suspect *list = rows > 0 ? malloc(rows * sizeof(*list)) : NULL;

    for (size_t k = 0; list != NULL && k < rows; k++) {
        struct register_row *r = c->registers[REGISTER_CHANGE].item[k];
        if (falls_into(&r->e, i->e.onset_ns) && concerns(c, r, i))
            list[n++] = (struct suspect){r->e.id, p_of_series(c, r, i->metric, now_ns), r->e.start_ns};
    }
    if (list != NULL)
        write_suspects(i->e.suspects, sizeof(i->e.suspects), list, n);
    i->dirty = true;
    free(list);
}

/* The onsets of a problem against one change: those in its hours, and those since. */
static double p_of_problem(const struct control *c, const struct entity_problem *problem, const struct history *h,
                           const struct entity_register *change, uint64_t now_ns)
{
    uint64_t n = 0, inside = 0, after = 0, first_ns = 0;

    for (uint32_t i = 0; i < h->n; i++) {
        if ((h->item[i].flags & OCCURRENCE_AGAIN) || !problem_matches(problem, h->item[i].onset_ns))
            continue;
        first_ns = n == 0 ? h->item[i].onset_ns : first_ns;
        n++;
        inside += series_holds(c, change, h->item[i].onset_ns);
        after += h->item[i].onset_ns >= change->start_ns;
    }
    double p = inside > 0 ? binomial_tail(n, series_share(c, change, now_ns), inside) : 1;
    bool began = first_ns >= change->start_ns && first_ns < change->start_ns + BEGAN_NS;
    if (began && change->start_ns > c->meta.first_ns) {
        double since = (double)(now_ns - change->start_ns) / (double)(now_ns - c->meta.first_ns);
        double p_began = binomial_tail(n, since, after);
        p = p_began < p ? p_began : p;
    }
    return 2 * p < 1 ? 2 * p : 1;
}

void change_suspects_problem(struct control *c, struct problem *p, const struct history *h, uint64_t now_ns)
{
    size_t n = 0, rows = c->registers[REGISTER_CHANGE].n;
    struct suspect *list = rows > 0 ? malloc(rows * sizeof(*list)) : NULL;
    const struct control_object *o = control_object_raw(c, p->e.scope, p->e.object);

    for (size_t k = 0; list != NULL && o != NULL && k < rows; k++) {
        struct register_row *r = c->registers[REGISTER_CHANGE].item[k];
        if (r->e.start_ns < now_ns && register_names(c, r, o))
            list[n++] = (struct suspect){r->e.id, p_of_problem(c, &p->e, h, &r->e, now_ns), r->e.start_ns};
    }
    if (list != NULL)
        write_suspects(p->e.suspects, sizeof(p->e.suspects), list, n);
    free(list);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See carry.h. Let L be the last base window before the run. Of each coarser tier only the window that holds L can be
 * unfinished. Three cases, told apart by the markers in their order of writing:
 *   it was closed after L            stored as it should be: nothing to do if it is over, else it is the carry
 *   it was not, or holds data of a   made anew from the finer tier: its windows before that which holds L are whole,
 * and later time (the clock stepped    that one was just looked at back) so an hour costs at most 3 quarters, 14
 * minutes and 6 base windows of each object, however long the stop was.
 *
 * Accuracy: counters are exact as far as the stored values are (docs/SCHEMA.md); of latencies only quantiles are
 * stored, and those of a sum are off by less than the distance of the neighbouring ones (sparse_hist.h). Hosts below
 * the top of a window were never stored, so those of a continued window count from the restart.
 */

#include "analytics/carry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "analytics/sparse_hist.h"
#include "analytics/topn.h"
#include "common/bytes.h"
#include "common/timefmt.h"

#define PAGE_MARKERS 1024u
#define MAX_MARKERS  32768u /* of base windows of 1 s: more than 7 hours */

/* One object of one window, while it is summed up. Owner: its table. */
struct sum {
    char *name;
    uint8_t scope;
    bool degraded;
    struct window_counters c;
    struct sparse_hist hist[WINDOW_HIST_COUNT];
};

/* Open addressing over an index; slot 0 is empty, else 1 + index. Invariant: n <= n_slots / 2. */
struct sums {
    struct sum *at;
    uint32_t *slot;
    size_t n, size, n_slots;
};

/* The window of a tier that holds the last base window before the run. */
struct carried {
    bool exists; /* there is something to add */
    bool over;   /* it ended before the run began */
    bool stored; /* and is stored as it should be */
    bool degraded;
    uint32_t parts, parts_expected;
    uint64_t start_ns, length_ns;
    struct sums sums;
    struct schema_flow *top[SCHEMA_TOP_COUNT]; /* 1MIN and 1H only */
    size_t n_top[SCHEMA_TOP_COUNT];
};

struct carry {
    struct carried tier[SCHEMA_TIER_COUNT];
};

/* ---- sums ---- */

static uint64_t hash_name(unsigned scope, const char *name)
{
    uint64_t h = scope + 1;

    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++)
        h = mix64(h ^ *p);
    return h;
}

static uint32_t *find_slot(const struct sums *x, unsigned scope, const char *name)
{
    size_t mask = x->n_slots - 1;

    for (size_t i = hash_name(scope, name) & mask;; i = (i + 1) & mask) {
        const struct sum *s = x->slot[i] != 0 ? &x->at[x->slot[i] - 1] : NULL;
        if (s == NULL || (s->scope == scope && strcmp(s->name, name) == 0))
            return &x->slot[i];
    }
}

static int grow(struct sums *x)
{
    size_t size = x->size != 0 ? 2 * x->size : 64;
    struct sum *at = realloc(x->at, size * sizeof(*at));

    if (at == NULL)
        return -ENOMEM;
    x->at = at;
    uint32_t *slot = calloc(2 * size, sizeof(*slot));
    if (slot == NULL)
        return -ENOMEM;
    free(x->slot);
    x->slot = slot;
    x->size = size;
    x->n_slots = 2 * size;
    for (size_t i = 0; i < x->n; i++)
        *find_slot(x, x->at[i].scope, x->at[i].name) = (uint32_t)i + 1;
    return 0;
}

static const struct sum *sums_find(const struct sums *x, unsigned scope, const char *name)
{
    uint32_t slot = x->n_slots != 0 ? *find_slot(x, scope, name) : 0;

    return slot != 0 ? &x->at[slot - 1] : NULL;
}

static struct sum *sums_get(struct sums *x, unsigned scope, const char *name)
{
    if (x->n == x->size && grow(x) != 0)
        return NULL;
    uint32_t *slot = find_slot(x, scope, name);
    if (*slot != 0)
        return &x->at[*slot - 1];
    char *copy = strdup(name);
    if (copy == NULL)
        return NULL;
    x->at[x->n] = (struct sum){.name = copy, .scope = (uint8_t)scope};
    *slot = (uint32_t)++x->n;
    return &x->at[x->n - 1];
}

static void sum_fini(struct sum *s)
{
    free(s->name);
    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
        sparse_hist_fini(&s->hist[h]);
}

static void sums_fini(struct sums *x)
{
    for (size_t i = 0; i < x->n; i++)
        sum_fini(&x->at[i]);
    free(x->at);
    free(x->slot);
    *x = (struct sums){0};
}

/* A window whose quality is worse than its counters say was degraded by the sensor's own losses. */
static bool is_degraded(const struct window *w)
{
    return w->quality != WINDOW_OK && window_quality_of(&w->c) == WINDOW_OK;
}

static int sum_add_window(struct sum *s, const struct window *w)
{
    int result = 0;

    window_counters_merge(&s->c, &w->c);
    s->degraded |= is_degraded(w);
    for (unsigned h = 0; h < WINDOW_HIST_COUNT && result == 0; h++)
        result = sparse_hist_add_quantiles(&s->hist[h], &w->q[h]);
    return result;
}

static int sums_merge(struct sums *into, const struct sums *from)
{
    int result = 0;

    for (size_t i = 0; i < from->n && result == 0; i++) {
        const struct sum *f = &from->at[i];
        struct sum *s = sums_get(into, f->scope, f->name);
        if (s == NULL)
            return -ENOMEM;
        window_counters_merge(&s->c, &f->c);
        s->degraded |= f->degraded;
        for (unsigned h = 0; h < WINDOW_HIST_COUNT && result == 0; h++)
            result = sparse_hist_merge(&s->hist[h], &f->hist[h]);
    }
    return result;
}

/* parts of parts_expected, as the percentage that is missing: 0 only when nothing is. */
static uint8_t missing_of(uint32_t parts, uint32_t expected)
{
    if (parts >= expected || expected == 0)
        return 0;
    uint64_t pct = 100ull * (expected - parts) / expected;
    return pct == 0 ? 1 : (uint8_t)pct;
}

static void sum_to_window(const struct sum *s, const struct carried *x, struct window *ret)
{
    *ret = (struct window){.scope = s->scope,
                           .start_ns = x->start_ns,
                           .length_ns = x->length_ns,
                           .missing_pct = missing_of(x->parts, x->parts_expected),
                           .c = s->c};
    snprintf(ret->name, sizeof(ret->name), "%s", s->name);
    ret->quality = window_quality_of(&s->c);
    if (ret->quality == WINDOW_OK && (s->degraded || x->degraded))
        ret->quality = WINDOW_UNSURE;
    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
        sparse_hist_quantiles(&s->hist[h], &ret->q[h]);
}

/* ---- markers ---- */

/* The newest markers, newest first, back to the hour before that of the last base window before the run. The run may
 * begin within that one. */
struct markers {
    struct schema_closed *at;
    size_t n;
    bool any;         /* there is a base window before the run */
    uint64_t last_ns; /* its start */
};

static int read_markers(struct store *s, const char *sensor, uint64_t run_ns, struct markers *m, struct error *e)
{
    char before[SCHEMA_ID_BYTES] = "";
    uint64_t hour_ns = schema_tier_length_ns(SCHEMA_1H, 0);

    for (;;) {
        struct schema_closed *page = NULL;
        size_t n = 0;
        int result = schema_closed_back(s, sensor, before, PAGE_MARKERS, &page, &n, NULL, e);
        if (result != 0)
            return result;
        struct schema_closed *grown = n != 0 ? realloc(m->at, (m->n + n) * sizeof(*grown)) : NULL;
        if (n != 0 && grown == NULL) {
            free(page);
            return error_set(e, -ENOMEM, "no memory for markers");
        }
        bool enough = n == 0;
        for (size_t i = 0; i < n; i++) {
            m->at = grown;
            m->at[m->n++] = page[i];
            if (page[i].tier != SCHEMA_BASE || page[i].start_ns > run_ns)
                continue;
            if (!m->any) {
                m->any = true;
                m->last_ns = page[i].start_ns;
            }
            enough |= m->any && page[i].start_ns + hour_ns < m->last_ns - m->last_ns % hour_ns;
        }
        if (n != 0)
            memcpy(before, page[n - 1].id, sizeof(before));
        free(page);
        if (enough || m->n >= MAX_MARKERS)
            return 0;
    }
}

/* What the markers say about the window of `tier` that holds the last base window; all but its sums. */
static void look_at_tier(const struct markers *m, enum schema_tier tier, uint64_t base_length_ns, uint64_t run_ns,
                         bool shares_base, struct carried *x)
{
    bool closed = false, spoilt = false;

    x->length_ns = schema_tier_length_ns(tier, base_length_ns);
    x->start_ns = m->last_ns - m->last_ns % x->length_ns;
    x->over = x->start_ns + x->length_ns <= run_ns;
    x->parts_expected = (uint32_t)(x->length_ns / base_length_ns);
    x->exists = true;
    for (size_t i = 0; i < m->n; i++) { /* newest first */
        const struct schema_closed *c = &m->at[i];
        if (c->start_ns < x->start_ns || c->start_ns >= x->start_ns + x->length_ns)
            continue;
        if (c->tier == SCHEMA_BASE) {
            bool seen = false;
            for (size_t k = 0; k < i && !seen; k++)
                seen = m->at[k].tier == SCHEMA_BASE && m->at[k].start_ns == c->start_ns;
            spoilt |= c->start_ns > run_ns || (c->start_ns == run_ns && !shares_base) || !closed;
            if (!seen && c->start_ns < run_ns) {
                x->parts += c->parts;
                x->degraded |= c->degraded;
            }
        } else if (c->tier == tier) {
            closed = true;
        }
    }
    x->stored = closed && !spoilt;
}

/* ---- reading ---- */

static int add_stored(struct store *s, const struct schema_sensor *sensor, enum schema_tier tier, uint64_t start_ns,
                      struct sums *into, struct error *e)
{
    int result = 0;

    for (unsigned scope = 0; scope < WINDOW_SCOPE_COUNT && result == 0; scope++) {
        struct window *w = NULL;
        size_t n = 0;
        result = schema_window_at(s, sensor, scope, tier, start_ns, &w, &n, NULL, e);
        for (size_t i = 0; i < n && result == 0; i++) {
            struct sum *x = sums_get(into, scope, w[i].name);
            if (x == NULL || sum_add_window(x, &w[i]) != 0)
                result = error_set(e, -ENOMEM, "no memory to continue windows");
        }
        free(w);
    }
    return result;
}

/* The window of `tier` from the windows of the finer one. */
static int rebuild(struct store *s, const struct schema_sensor *sensor, struct carry *c, enum schema_tier tier,
                   uint64_t run_ns, struct error *e)
{
    struct carried *x = &c->tier[tier];
    unsigned finer = tier - 1;
    int result = 0;

    while (finer > SCHEMA_BASE && !schema_tier_exists(finer, sensor->window_ns))
        finer--;
    const struct carried *f = &c->tier[finer];
    uint64_t until_ns = finer == SCHEMA_BASE ? run_ns + f->exists : f->start_ns; /* with the one that is shared */
    for (uint64_t at = x->start_ns + (f->length_ns - x->start_ns % f->length_ns) % f->length_ns;
         at < until_ns && at < x->start_ns + x->length_ns && result == 0; at += f->length_ns)
        result = add_stored(s, sensor, finer, at, &x->sums, e);
    if (result == 0 && finer != SCHEMA_BASE && sums_merge(&x->sums, &f->sums) != 0)
        result = error_set(e, -ENOMEM, "no memory to continue windows");
    return result;
}

/* Flows of the lists of the running minute and hour. The hour's list is made of the minutes', should it be missing. */
static int load_tops(struct store *s, const struct schema_sensor *sensor, struct carried *x, struct error *e)
{
    int result = 0;

    for (unsigned k = 0; k < SCHEMA_TOP_COUNT && result == 0; k++)
        result = schema_top_read(s, sensor->name, k, x->start_ns, x->start_ns + x->length_ns,
                                 x->length_ns == schema_tier_length_ns(SCHEMA_1H, 0) ? TOPN_HOUR : TOPN_MINUTE,
                                 &x->top[k], &x->n_top[k], NULL, e);
    return result;
}

static int load_tier(struct store *s, const struct schema_sensor *sensor, struct carry *c, enum schema_tier tier,
                     uint64_t run_ns, bool finer_needed, struct error *e)
{
    struct carried *x = &c->tier[tier];
    int result = 0;

    if (x->stored && x->over && !finer_needed)
        return 0;
    if (x->stored)
        result = add_stored(s, sensor, tier, x->start_ns, &x->sums, e);
    else
        result = rebuild(s, sensor, c, tier, run_ns, e);
    if (result == 0 && !x->over && tier == SCHEMA_1MIN)
        result = load_tops(s, sensor, x, e);
    if (result == 0 && tier == SCHEMA_1H)
        result = load_tops(s, sensor, x, e);
    return result;
}

/*
 * The base window in which the run begins, if the one before ended within it: it is the newest. If both have written it
 * already, that was done before; if there are newer ones, the clock was set back, and the new window takes its place.
 */
static int load_base(struct store *s, const struct schema_sensor *sensor, struct carry *c, const struct markers *m,
                     uint64_t run_ns, struct error *e)
{
    struct carried *x = &c->tier[SCHEMA_BASE];
    unsigned times = 0;
    bool newest = false, later = false;

    x->length_ns = sensor->window_ns;
    for (size_t i = 0; i < m->n; i++) { /* newest first */
        bool base = m->at[i].tier == SCHEMA_BASE, same = base && m->at[i].start_ns == run_ns;
        newest |= same && times == 0 && !later;
        later |= base && !same;
        times += same;
    }
    if (times != 1 || !newest)
        return 0;
    x->exists = true;
    x->start_ns = run_ns;
    x->parts_expected = 1;
    return add_stored(s, sensor, SCHEMA_BASE, run_ns, &x->sums, e);
}

/* ---- what is finished here ---- */

static bool add_item(struct item ***end, struct item *x)
{
    if (x == NULL)
        return false;
    **end = x;
    *end = &x->next;
    return true;
}

static bool finish_objects(const struct carried *x, enum schema_tier tier, struct item ***end)
{
    for (size_t i = 0; i < x->sums.n; i++) {
        struct window w;
        sum_to_window(&x->sums.at[i], x, &w);
        struct item *item = item_new(ITEM_WINDOW, tier, x->start_ns, w.name);
        if (!add_item(end, item))
            return false;
        item->scope = (uint8_t)w.scope;
        item->parts = x->parts;
        item->parts_expected = x->parts_expected;
        schema_pack(&w, &item->packed);
    }
    return true;
}

static bool finish_tops(const struct carried *x, enum schema_tier tier, struct item ***end)
{
    for (unsigned k = 0; k < SCHEMA_TOP_COUNT; k++) {
        if (x->n_top[k] == 0)
            continue;
        struct item *item = item_new(ITEM_TOP, tier, x->start_ns, "");
        if (!add_item(end, item))
            return false;
        item->top = (uint8_t)k;
        item->list.flow = calloc(x->n_top[k], sizeof(*item->list.flow));
        for (size_t i = 0; item->list.flow != NULL && i < x->n_top[k]; i++) {
            char *json = strdup(x->top[k][i].json);
            if (json == NULL)
                return false;
            item->list.flow[item->list.n++] = (struct schema_flow){x->top[k][i].score, json};
        }
    }
    return true;
}

static bool finish_tier(const struct carried *x, enum schema_tier tier, struct item ***end)
{
    if (x->stored || x->parts == 0)
        return true;
    if (!finish_objects(x, tier, end) || (tier == SCHEMA_1H && !finish_tops(x, tier, end)))
        return false;
    if (!x->over)
        return true;
    struct item *item = item_new(ITEM_CLOSED, tier, x->start_ns + x->length_ns, "");
    if (!add_item(end, item))
        return false;
    item->closed = (struct schema_closed){.tier = tier,
                                          .degraded = x->degraded,
                                          .parts = x->parts,
                                          .parts_expected = x->parts_expected,
                                          .start_ns = x->start_ns,
                                          .length_ns = x->length_ns};
    return true;
}

static int finish(const struct carry *c, struct item **ret)
{
    struct item *first = NULL, **end = &first;
    bool good = true;

    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT && good; t++)
        good = !c->tier[t].exists || finish_tier(&c->tier[t], t, &end);
    if (good) {
        *ret = first;
        return 0;
    }
    while (first != NULL) {
        struct item *next = first->next;
        item_free(first);
        first = next;
    }
    return -ENOMEM;
}

/* ---- the whole ---- */

static int load_tiers(struct store *s, const struct schema_sensor *sensor, uint64_t run_ns, struct carry *c,
                      struct markers *m, struct error *e)
{
    int result = load_base(s, sensor, c, m, run_ns, e);

    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT && m->any; t++)
        if (schema_tier_exists(t, sensor->window_ns))
            look_at_tier(m, t, sensor->window_ns, run_ns, c->tier[SCHEMA_BASE].exists, &c->tier[t]);
    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT && m->any && result == 0; t++) {
        bool finer_needed = false;
        for (unsigned coarser = t + 1; coarser < SCHEMA_TIER_COUNT; coarser++)
            finer_needed |= c->tier[coarser].exists && !c->tier[coarser].stored;
        if (c->tier[t].exists)
            result = load_tier(s, sensor, c, t, run_ns, finer_needed, e);
    }
    return result;
}

int carry_load(struct store *s, const struct schema_sensor *sensor, uint64_t run_ns, struct carry **ret,
               struct item **ret_finished, struct error *e)
{
    struct carry *c = calloc(1, sizeof(*c));
    struct markers m = {.at = NULL};
    struct item *finished = NULL;
    int result = c != NULL ? read_markers(s, sensor->name, run_ns, &m, e) : error_set(e, -ENOMEM, "no memory");

    if (result == 0)
        result = load_tiers(s, sensor, run_ns, c, &m, e);
    free(m.at);
    if (result == 0 && finish(c, &finished) != 0)
        result = error_set(e, -ENOMEM, "no memory to continue windows");
    for (unsigned t = 0; c != NULL && t < SCHEMA_TIER_COUNT; t++)
        if (c->tier[t].over)
            sums_fini(&c->tier[t].sums);
    if (result != 0) {
        carry_free(c);
        return result;
    }
    *ret = c;
    *ret_finished = finished;
    return 0;
}

void carry_free(struct carry *c)
{
    if (c == NULL)
        return;
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++) {
        sums_fini(&c->tier[t].sums);
        for (unsigned k = 0; k < SCHEMA_TOP_COUNT; k++)
            schema_flows_free(c->tier[t].top[k], c->tier[t].n_top[k]);
    }
    free(c);
}

static const struct carried *carried_of(const struct carry *c, enum schema_tier tier, uint64_t start_ns)
{
    const struct carried *x = c != NULL ? &c->tier[tier] : NULL;

    return x != NULL && x->exists && !x->over && x->start_ns == start_ns ? x : NULL;
}

bool carry_window(const struct carry *c, const struct item *x, struct schema_packed *ret)
{
    const struct carried *k = carried_of(c, x->tier, x->time_ns);
    const struct sum *s = k != NULL ? sums_find(&k->sums, x->scope, x->name) : NULL;
    struct window w = {.scope = x->scope}, sent = {.scope = x->scope};
    struct sum both = {.scope = x->scope};

    if (k == NULL || !schema_unpack(&x->packed, &sent))
        return false;
    struct carried with = {.start_ns = k->start_ns, .length_ns = k->length_ns};
    if (x->tier != SCHEMA_BASE) {
        with.parts = x->parts + k->parts;
        with.parts_expected = x->parts_expected;
    }
    int result = sum_add_window(&both, &sent);
    if (s != NULL && result == 0) {
        window_counters_merge(&both.c, &s->c);
        both.degraded |= s->degraded;
        for (unsigned h = 0; h < WINDOW_HIST_COUNT && result == 0; h++)
            result = sparse_hist_merge(&both.hist[h], &s->hist[h]);
    }
    both.name = (char[]){""};
    if (result == 0) {
        sum_to_window(&both, &with, &w);
        schema_pack(&w, ret);
    }
    both.name = NULL;
    sum_fini(&both);
    return result == 0;
}

bool carry_closed(const struct carry *c, const struct item *x, struct schema_closed *ret)
{
    const struct carried *k = carried_of(c, x->closed.tier, x->closed.start_ns);

    if (k == NULL || x->closed.tier == SCHEMA_BASE)
        return false;
    *ret = x->closed;
    ret->parts += k->parts;
    if (ret->parts > ret->parts_expected)
        ret->parts = ret->parts_expected;
    ret->degraded |= k->degraded;
    return true;
}

static int compare_flows(const void *a, const void *b)
{
    const struct schema_flow *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return strcmp(x->json, y->json);
}

bool carry_top(const struct carry *c, const struct item *x, struct schema_flow **ret_flows, size_t *ret_n)
{
    const struct carried *k = carried_of(c, x->tier, x->time_ns);
    size_t max = x->tier == SCHEMA_1H ? TOPN_HOUR : TOPN_MINUTE, kept = 0, n;

    if (k == NULL || k->n_top[x->top] == 0)
        return false;
    struct schema_flow *all = malloc((k->n_top[x->top] + x->list.n) * sizeof(*all));
    if (all == NULL)
        return false;
    memcpy(all, k->top[x->top], k->n_top[x->top] * sizeof(*all));
    if (x->list.n != 0)
        memcpy(all + k->n_top[x->top], x->list.flow, x->list.n * sizeof(*all));
    n = k->n_top[x->top] + x->list.n;
    qsort(all, n, sizeof(*all), compare_flows);
    for (size_t i = 0; i < n && kept < max; i++)
        if (kept == 0 || compare_flows(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    *ret_flows = all;
    *ret_n = kept;
    return true;
}

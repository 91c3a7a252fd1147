/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Baselines: hour-of-week bins that decay and that forgive.
 *
 * A bin for values is a sketch of at most 14 centroids in code space. One hour's values are sorted, thinned to 8
 * points, merged with the centroids, and neighbours are joined while more than 14 are left, cheapest first in the sense
 * of Ward (J. H. Ward, JASA 1963), so that a far cluster (one polluted day) stays apart instead of smearing into the
 * mass. Quantiles interpolate between the centroids' middles. Only median and quartiles are used: one polluted week
 * among eight moves neither. A bin for proportions keeps four decayed sums, from which come the mean share and, by
 * moments, how much more the shares vary than a binomial would.
 *
 * Evidence halves in six weeks. A level speaks when it has three distinct weeks (hour of week) or dates (hour of day,
 * global). During the first three dates the finest level learns nothing: nothing could yet tell a fault from the
 * normal.
 *
 * Limits: weights are 16-bit; the fine level takes 60 values an hour at weight 16, hour-of-day four
 * points of a quarter each at weight 4, global the same at 1/8, so that six weeks' worth fits. Values below 1e-38 are
 * 0.
 */

#include "control/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALF_LIFE_DAYS 42.0
#define ENOUGH_PERIODS 3
#define HOUR_GROUPS    8u   /* an hour is thinned to so many points before it is merged */
#define SORT_RANGE     320u /* codes; a hour has at most 64 values, so counts fit a byte */
#define WEIGHT_WEEK    16.0
#define WEIGHT_DAY     4.0
#define WEIGHT_GLOBAL  0.125
#define QUARTER_POINTS 4u /* of an hour, for the two coarser levels */
#define QUARTILE_SIGMA 0.6744897501960817
#define LEAST_SPREAD   0.03
#define LEAST_RHO      1e-4
#define MOST_RHO       0.2

double baseline_value(uint16_t code)
{
    uint32_t bits = (uint32_t)code << 15;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return (double)f;
}

/* Positions are codes: nearly logarithmic, so distances are ratios. */
struct centroid {
    double code;
    double weight;
};

static double decay_since(const struct baseline_bin *bin, int32_t date)
{
    uint16_t days = (uint16_t)((uint16_t)date - bin->last_date);

    return days == 0 ? 1.0 : exp2(-(double)days / HALF_LIFE_DAYS);
}

/* Counts a new week or date of evidence and moves the bin's clock. */
static void touch(struct baseline_bin *bin, int32_t date, bool by_week)
{
    int32_t last = date - (int32_t)(uint16_t)((uint16_t)date - bin->last_date);
    bool is_new = bin->periods == 0 || (by_week ? local_week(last) != local_week(date) : last != date);

    if (is_new && bin->periods < UINT8_MAX)
        bin->periods++;
    bin->last_date = (uint16_t)date;
}

static void store_centroids(struct baseline_bin *bin, const struct centroid *c, size_t n)
{
    bin->n_centroids = 0;
    memset(&bin->u, 0, sizeof(bin->u));
    for (size_t i = 0; i < n; i++) {
        double weight = (double)(uint64_t)(c[i].weight + 0.5);
        if (weight < 1)
            continue;
        bin->u.sketch.value[bin->n_centroids] = (uint16_t)(c[i].code + 0.5);
        bin->u.sketch.weight[bin->n_centroids] = (uint16_t)(weight < 65535 ? weight : 65535);
        bin->n_centroids++;
    }
}

/*
 * Joins neighbours until BASELINE_CENTROIDS are left, each time those that lose least (Ward: the growth of the squared
 * distances). None grows beyond a seventh of the mass, so that quartiles stay resolved; a pair below that always exists
 * while more than 14 are left.
 */
static double join_cost(const struct centroid *a, const struct centroid *b, double limit)
{
    double weight = a->weight + b->weight;
    double distance = b->code - a->code;

    return weight <= limit ? a->weight * b->weight / weight * distance * distance : INFINITY;
}

#define MOST_COSTS ((BASELINE_CENTROIDS + HOUR_GROUPS + 3) / 4 * 4)

/* The first of the least; behind the last cost all are infinite. Four minima at a time: none waits for another. */
static size_t least_of(const double cost[MOST_COSTS], size_t n)
{
    double a = cost[0], b = cost[1], c = cost[2], d = cost[3];
    size_t first = 0;

    for (size_t i = 4; i < n; i += 4) {
        a = cost[i] < a ? cost[i] : a;
        b = cost[i + 1] < b ? cost[i + 1] : b;
        c = cost[i + 2] < c ? cost[i + 2] : c;
        d = cost[i + 3] < d ? cost[i + 3] : d;
    }
    a = a < b ? a : b;
    c = c < d ? c : d;
    a = a < c ? a : c;
    while (cost[first] != a)
        first++;
    return first;
}

static size_t join(struct centroid *c, size_t n)
{
    double cost[MOST_COSTS];
    double limit = 0;

    if (n <= BASELINE_CENTROIDS)
        return n;
    for (size_t i = 0; i < n; i++)
        limit += c[i].weight * (2.0 / BASELINE_CENTROIDS) * (1 + 1e-9);
    for (size_t i = 0; i < MOST_COSTS; i++)
        cost[i] = i + 1 < n ? join_cost(&c[i], &c[i + 1], limit) : INFINITY;
    while (n > BASELINE_CENTROIDS) {
        size_t best = least_of(cost, n - 1);
        double weight = c[best].weight + c[best + 1].weight;
        c[best].code = (c[best].code * c[best].weight + c[best + 1].code * c[best + 1].weight) / weight;
        c[best].weight = weight;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            c[i] = c[i + 1];
            cost[i - 1] = cost[i];
        }
        cost[n - 1] = INFINITY;
        if (best > 0)
            cost[best - 1] = join_cost(&c[best - 1], &c[best], limit);
        if (best + 1 < n)
            cost[best] = join_cost(&c[best], &c[best + 1], limit);
    }
    return n;
}

/* Sorted codes as at most HOUR_GROUPS runs. */
static size_t group_hour(const uint16_t *codes, size_t n, unsigned weight, struct centroid *out)
{
    size_t run = (n + HOUR_GROUPS - 1) / HOUR_GROUPS;
    size_t groups = 0;

    for (size_t i = 0; i < n; i += run) {
        size_t end = i + run < n ? i + run : n;
        double sum = 0;
        for (size_t k = i; k < end; k++)
            sum += codes[k];
        out[groups++] = (struct centroid){sum / (double)(end - i), (double)(weight * (end - i))};
    }
    return groups;
}

static void teach(struct baseline_bin *bin, int32_t date, bool by_week, const struct centroid *hour, size_t n,
                  double scale)
{
    struct centroid all[BASELINE_CENTROIDS + HOUR_GROUPS];
    size_t count = 0;
    size_t old = 0;

    if (bin->periods == 0)
        bin->last_date = (uint16_t)date;
    double keep = decay_since(bin, date);
    for (size_t i = 0; i < n || old < bin->n_centroids;) {
        bool take_old = i == n || (old < bin->n_centroids && bin->u.sketch.value[old] <= hour[i].code);
        if (take_old) {
            all[count++] = (struct centroid){bin->u.sketch.value[old], bin->u.sketch.weight[old] * keep};
            old++;
        } else {
            /* An hour of few, long windows must leave a trace, too: what is below one is dropped on storing. */
            all[count++] = (struct centroid){hour[i].code, fmax(1, hour[i].weight * scale)};
            i++;
        }
    }
    store_centroids(bin, all, join(all, count));
    touch(bin, date, by_week);
}

/* Shell sort with Ciura's gaps: an hour has 60 values. */
static void sort_any(uint16_t *codes, size_t n)
{
    static const size_t gaps[] = {23, 10, 4, 1};

    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        for (size_t i = gaps[g]; i < n; i++) {
            uint16_t x = codes[i];
            size_t k = i;
            for (; k >= gaps[g] && codes[k - gaps[g]] > x; k -= gaps[g])
                codes[k] = codes[k - gaps[g]];
            codes[k] = x;
        }
    }
}

/* Values of one hour mostly lie within a factor of two, 256 codes: then they are counted instead. */
static void sort_codes(uint16_t *codes, size_t n)
{
    uint8_t count[SORT_RANGE] = {0};
    uint64_t used[SORT_RANGE / 64] = {0}; /* which counts are not 0 */
    uint16_t low = UINT16_MAX, high = 0;

    for (size_t i = 0; i < n; i++) {
        low = codes[i] < low ? codes[i] : low;
        high = codes[i] > high ? codes[i] : high;
    }
    if (high - low >= (int)SORT_RANGE) {
        sort_any(codes, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned at = (unsigned)(codes[i] - low);
        count[at]++;
        used[at / 64] |= 1ull << at % 64;
    }
    for (size_t word = 0, at = 0; at < n; word++) {
        for (uint64_t bits = used[word]; bits != 0; bits &= bits - 1) {
            unsigned code = (unsigned)word * 64 + (unsigned)__builtin_ctzll(bits);
            for (unsigned k = count[code]; k > 0; k--)
                codes[at++] = (uint16_t)(low + code);
        }
    }
}

void baseline_fini(struct baseline *b)
{
    for (unsigned i = 0; i < BASELINE_GROUPS; i++)
        free(b->group[i]);
    *b = (struct baseline){0};
}

unsigned baseline_group_bins(unsigned group)
{
    return group == BASELINE_DAY_GROUP ? BASELINE_GROUP_BINS : 24;
}

struct baseline_bin *baseline_group(struct baseline *b, unsigned group)
{
    size_t size = baseline_group_bins(group) * sizeof(struct baseline_bin);

    if (b->group[group] == NULL) {
        b->group[group] = aligned_alloc(sizeof(struct baseline_bin), size); /* a bin is one cache line */
        if (b->group[group] != NULL)
            memset(b->group[group], 0, size);
    }
    return b->group[group];
}

/* NULL while the level's group does not exist. */
static struct baseline_bin *bin_of(const struct baseline *b, const struct local_time *t, enum baseline_level level)
{
    unsigned group = level == BASELINE_HOUR_OF_WEEK ? t->weekday : BASELINE_DAY_GROUP;
    unsigned index = level == BASELINE_GLOBAL ? 24 : t->hour;

    return b->group[group] != NULL ? &b->group[group][index] : NULL;
}

void baseline_learn_values(struct baseline *b, const struct local_time *t, uint16_t *codes, size_t n)
{
    struct centroid hour[HOUR_GROUPS], points[QUARTER_POINTS];

    if (n == 0)
        return;
    if (baseline_group(b, BASELINE_DAY_GROUP) == NULL || baseline_group(b, t->weekday) == NULL)
        return; /* without memory nothing is learnt; verdicts stay as they are */
    for (enum baseline_level level = BASELINE_GLOBAL; level <= BASELINE_HOUR_OF_WEEK; level++)
        __builtin_prefetch(bin_of(b, t, level), 1);
    sort_codes(codes, n);
    size_t groups = group_hour(codes, n, 1, hour);
    for (size_t i = 0; i < QUARTER_POINTS; i++)
        points[i] = (struct centroid){codes[(2 * i + 1) * n / (2 * QUARTER_POINTS)], (double)n / QUARTER_POINTS};
    struct baseline_bin *global = bin_of(b, t, BASELINE_GLOBAL);
    if (global->periods > ENOUGH_PERIODS)
        teach(bin_of(b, t, BASELINE_HOUR_OF_WEEK), t->date, true, hour, groups, WEIGHT_WEEK);
    teach(bin_of(b, t, BASELINE_HOUR_OF_DAY), t->date, false, points, QUARTER_POINTS, WEIGHT_DAY);
    teach(global, t->date, false, points, QUARTER_POINTS, WEIGHT_GLOBAL);
}

void baseline_scale(struct baseline *b, double factor)
{
    for (unsigned g = 0; g < BASELINE_GROUPS; g++) {
        for (unsigned i = 0; b->group[g] != NULL && i < baseline_group_bins(g); i++) {
            struct baseline_bin *bin = &b->group[g][i];
            for (unsigned k = 0; k < bin->n_centroids; k++)
                bin->u.sketch.value[k] = baseline_code(baseline_value(bin->u.sketch.value[k]) * factor);
        }
    }
}

static void teach_counts(struct baseline_bin *bin, int32_t date, bool by_week, const struct baseline_counts *c)
{
    double keep = bin->periods == 0 ? 0 : decay_since(bin, date);

    bin->u.counts.trials = bin->u.counts.trials * keep + c->trials;
    bin->u.counts.hits = bin->u.counts.hits * keep + c->hits;
    bin->u.counts.hits2_per_trial = bin->u.counts.hits2_per_trial * keep + c->hits2_per_trial;
    bin->u.counts.windows = bin->u.counts.windows * keep + c->windows;
    touch(bin, date, by_week);
}

void baseline_learn_counts(struct baseline *b, const struct local_time *t, const struct baseline_counts *c)
{
    struct baseline_bin *days = baseline_group(b, BASELINE_DAY_GROUP);

    if (days == NULL || baseline_group(b, t->weekday) == NULL)
        return;
    struct baseline_bin *global = bin_of(b, t, BASELINE_GLOBAL);
    if (global->periods > ENOUGH_PERIODS)
        teach_counts(bin_of(b, t, BASELINE_HOUR_OF_WEEK), t->date, true, c);
    teach_counts(bin_of(b, t, BASELINE_HOUR_OF_DAY), t->date, false, c);
    teach_counts(global, t->date, false, c);
}

double baseline_quantile(const struct baseline_bin *bin, double q)
{
    double total = 0;
    double before = 0;
    double last_middle = 0;
    double last_value = 0;

    for (unsigned i = 0; i < bin->n_centroids; i++)
        total += bin->u.sketch.weight[i];
    for (unsigned i = 0; i < bin->n_centroids; i++) {
        double value = baseline_value(bin->u.sketch.value[i]);
        double middle = before + bin->u.sketch.weight[i] / 2.0;
        if (middle >= q * total) {
            if (i == 0)
                return value;
            return last_value + (value - last_value) * (q * total - last_middle) / (middle - last_middle);
        }
        before += bin->u.sketch.weight[i];
        last_middle = middle;
        last_value = value;
    }
    return last_value;
}

/* The finest bin with enough evidence, or NULL. */
static const struct baseline_bin *finest(const struct baseline *b, const struct local_time *t,
                                         enum baseline_level *ret_level)
{
    for (enum baseline_level level = BASELINE_HOUR_OF_WEEK; level > BASELINE_NONE; level--) {
        const struct baseline_bin *bin = bin_of(b, t, level);
        if (bin != NULL && bin->periods >= ENOUGH_PERIODS) {
            *ret_level = level;
            return bin;
        }
    }
    return NULL;
}

void baseline_view_values(const struct baseline *b, const struct local_time *t, struct baseline_view *ret)
{
    *ret = (struct baseline_view){.level = BASELINE_NONE};
    const struct baseline_bin *bin = finest(b, t, &ret->level);
    if (bin == NULL)
        return;
    double low = baseline_quantile(bin, 0.25);
    double high = baseline_quantile(bin, 0.75);
    ret->median = baseline_quantile(bin, 0.5);
    ret->spread_up = LEAST_SPREAD;
    ret->spread_down = LEAST_SPREAD;
    if (ret->median > 0) {
        ret->spread_up = fmax(LEAST_SPREAD, log(high / ret->median) / QUARTILE_SIGMA);
        ret->spread_down = low > 0 ? fmax(LEAST_SPREAD, log(ret->median / low) / QUARTILE_SIGMA) : INFINITY;
    }
}

void baseline_view_counts(const struct baseline *b, const struct local_time *t, struct baseline_view *ret)
{
    *ret = (struct baseline_view){.level = BASELINE_NONE};
    const struct baseline_bin *bin = finest(b, t, &ret->level);
    if (bin == NULL)
        return;
    double trials = bin->u.counts.trials;
    double windows = bin->u.counts.windows;
    ret->mean = trials > 0 ? bin->u.counts.hits / trials : 0;
    ret->rho = LEAST_RHO;
    if (ret->mean > 0 && ret->mean < 1 && windows > 2 && trials > 2 * windows) {
        /* Pearson's statistic from the sums: sum of (x - np)^2 / (np(1-p)), whose mean is (w-1)(1 + (n-1) rho). */
        double p = ret->mean;
        double pearson = (bin->u.counts.hits2_per_trial - 2 * p * bin->u.counts.hits + p * p * trials) / (p * (1 - p));
        double dispersion = pearson / (windows - 1);
        ret->rho = fmin(MOST_RHO, fmax(LEAST_RHO, (dispersion - 1) / (trials / windows - 1)));
    }
}

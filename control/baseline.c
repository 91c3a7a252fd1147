/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Baselines: hour-of-week bins that decay and that forgive.
 *
 * A bin for values is a sketch of at most 14 centroids of about equal weight (the merging step of Dunning's t-digest
 * with a uniform size bound): one hour's values are sorted, merged with the centroids and regrouped. Quantiles
 * interpolate between the centroids' middles, so a quantile is right to about a fourteenth of the mass, which suffices
 * for the median and the quartiles; those are all that is used. Quartiles, not tails: one polluted week among eight
 * moves neither. A bin for proportions keeps four decayed sums, from which come the mean share and, by moments, how
 * much more the shares vary than a binomial would.
 *
 * Evidence halves in six weeks. A level speaks when it has three distinct weeks (hour of week) or dates (hour of day,
 * global). During the first three dates the finest level learns nothing: nothing could yet tell a fault from the
 * normal.
 *
 * Limits: weights are 16-bit; the fine level takes 60 values an hour at weight 16, hour-of-day at 4, global four
 * quartile points at 2 each, so that six weeks' worth fits. Values below 1e-38 are 0.
 */

#include "control/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALF_LIFE_DAYS 42.0
#define ENOUGH_PERIODS 3
#define WEIGHT_WEEK    16u
#define WEIGHT_DAY     4u
#define WEIGHT_GLOBAL  2u
#define GLOBAL_POINTS  4u
#define QUARTILE_SIGMA 0.6744897501960817
#define LEAST_SPREAD   0.03
#define LEAST_RHO      1e-4
#define MOST_RHO       0.2

uint16_t baseline_code(double value)
{
    float f = (float)value;
    uint32_t bits;

    if (!(f > 0))
        return 0;
    memcpy(&bits, &f, sizeof(bits));
    bits = (bits + 0x4000u) >> 15;
    return bits < 0xFF00u ? (uint16_t)bits : 0xFEFFu; /* below infinity */
}

double baseline_value(uint16_t code)
{
    uint32_t bits = (uint32_t)code << 15;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return (double)f;
}

struct centroid {
    double value;
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
        double weight = floor(c[i].weight + 0.5);
        if (weight < 1)
            continue;
        bin->u.sketch.value[bin->n_centroids] = baseline_code(c[i].value);
        bin->u.sketch.weight[bin->n_centroids] = (uint16_t)(weight < 65535 ? weight : 65535);
        bin->n_centroids++;
    }
}

/* Regroups ascending `all` into at most BASELINE_CENTROIDS of about equal weight. */
static size_t regroup(const struct centroid *all, size_t n, struct centroid out[BASELINE_CENTROIDS])
{
    double total = 0;
    double done = 0;
    size_t groups = 0;

    for (size_t i = 0; i < n; i++)
        total += all[i].weight;
    struct centroid open = {0, 0};
    for (size_t i = 0; i < n; i++) {
        open.value += all[i].value * all[i].weight;
        open.weight += all[i].weight;
        done += all[i].weight;
        bool full = done >= total * (double)(groups + 1) / BASELINE_CENTROIDS;
        if ((full || i + 1 == n) && open.weight > 0 && groups < BASELINE_CENTROIDS) {
            out[groups++] = (struct centroid){open.value / open.weight, open.weight};
            open = (struct centroid){0, 0};
        }
    }
    return groups;
}

static void teach(struct baseline_bin *bin, int32_t date, bool by_week, const uint16_t *codes, size_t n,
                  unsigned weight)
{
    struct centroid all[BASELINE_CENTROIDS + BASELINE_HOURLY];
    struct centroid grouped[BASELINE_CENTROIDS];
    double keep = decay_since(bin, date);
    size_t count = 0;
    size_t old = 0;

    if (bin->periods == 0)
        bin->last_date = (uint16_t)date;
    for (size_t i = 0; i < n || old < bin->n_centroids;) {
        bool take_old = i == n || (old < bin->n_centroids && bin->u.sketch.value[old] <= codes[i]);
        if (take_old) {
            all[count++] =
                (struct centroid){baseline_value(bin->u.sketch.value[old]), bin->u.sketch.weight[old] * keep};
            old++;
        } else {
            all[count++] = (struct centroid){baseline_value(codes[i]), weight};
            i++;
        }
    }
    store_centroids(bin, grouped, regroup(all, count, grouped));
    touch(bin, date, by_week);
}

static int compare_codes(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
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
    if (b->group[group] == NULL)
        b->group[group] = calloc(baseline_group_bins(group), sizeof(struct baseline_bin));
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
    uint16_t points[GLOBAL_POINTS];

    if (n == 0)
        return;
    qsort(codes, n, sizeof(*codes), compare_codes);
    for (size_t i = 0; i < GLOBAL_POINTS; i++)
        points[i] = codes[(2 * i + 1) * n / (2 * GLOBAL_POINTS)];
    struct baseline_bin *days = baseline_group(b, BASELINE_DAY_GROUP);
    if (days == NULL || baseline_group(b, t->weekday) == NULL)
        return; /* without memory nothing is learnt; verdicts stay as they are */
    struct baseline_bin *global = bin_of(b, t, BASELINE_GLOBAL);
    if (global->periods > ENOUGH_PERIODS)
        teach(bin_of(b, t, BASELINE_HOUR_OF_WEEK), t->date, true, codes, n, WEIGHT_WEEK);
    teach(bin_of(b, t, BASELINE_HOUR_OF_DAY), t->date, false, codes, n, WEIGHT_DAY);
    teach(global, t->date, false, points, GLOBAL_POINTS, WEIGHT_GLOBAL);
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

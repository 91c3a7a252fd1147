/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Seasons, learnt as the values come: the day and the week by the clock, and one period of any length.
 *
 * A profile is a mean per bin above a moving level, updated with 1/visits and never less than LEAST_RATE, so that a
 * shape may change over weeks. Beside it is the usual distance from that mean: where edges jitter or jobs run, the
 * profile knows that it knows little. A profile speaks once it foretold the values better than a plain moving level
 * did, measured on values that it had not seen; the best one speaks.
 *
 * The free period is the first high peak of the autocorrelation of the last 4,096 values (less their trend, outliers
 * cut), by FFT (Wiener-Khinchin), refined on its multiples. The search is repeated at growing distances, which keeps
 * its cost per value constant. A period found is filled from the values that it was found in.
 *
 * Limits: a free period is between 4 and 1,365 values, and needs three repetitions. The week has at most 2,048 bins.
 */

#include "control/season.h"

#include <math.h>
#include <string.h>
#include "control/tail.h"

#define DAY_S         86400.0
#define WEEK_S        604800.0
#define LEAST_RATE    0.2
#define LEAST_PEAK    0.3
#define NEARLY        0.88
#define GAIN          0.9
#define KEEP          1.1
#define FIRST_SEARCH  48u
#define SEARCH_EVERY  4096u
#define PRIOR_VISITS  2.0
#define WIDEST        12.0
#define LONGEST_SHARE 3.0
#define SHORTEST      4u
#define PI            3.14159265358979323846

void season_init(struct season *s)
{
    memset(s, 0, sizeof(*s));
    s->best = -1;
    s->next_search = FIRST_SEARCH;
    for (unsigned i = 0; i < SEASON_RING; i++) {
        s->cosine[i] = (float)cos(PI * i / SEASON_RING);
        s->minus_sine[i] = (float)-sin(PI * i / SEASON_RING);
    }
}

static void profile_start(struct profile *p, double period, double length, bool by_clock)
{
    memset(p, 0, sizeof(*p));
    p->bins = length < SEASON_BINS ? (unsigned)(length + 0.5) : SEASON_BINS;
    p->period = period;
    p->by_clock = by_clock;
}

void season_set_interval(struct season *s, double interval_s)
{
    s->interval_s = interval_s;
    if (interval_s <= DAY_S / 4)
        profile_start(&s->profile[SEASON_DAY], DAY_S, DAY_S / interval_s, true);
    if (interval_s <= WEEK_S / 7)
        profile_start(&s->profile[SEASON_WEEK], WEEK_S, WEEK_S / interval_s, true);
}

static void profile_move(struct profile *p, double time_s, double position)
{
    double at = (p->by_clock ? time_s : position) / p->period;

    p->last = p->now;
    p->now = (unsigned)((at - floor(at)) * p->bins);
    if (p->now >= p->bins)
        p->now = 0;
}

/* How wide the values of a bin lie, with a few visits' worth of the usual. */
static double bin_width(const struct profile *p, unsigned bin)
{
    double n = smaller((double)p->visits[bin], 1 / LEAST_RATE);

    return ((double)p->spread[bin] * n + p->typical_spread * PRIOR_VISITS) / (n + PRIOR_VISITS);
}

/* in_use: a profile that speaks keeps its word until it is clearly worse. */
static bool profile_usable(const struct profile *p, bool in_use)
{
    double least = smaller(p->bins * 0.5, 600);

    return p->bins > 0 && p->visits[p->now] > 0 && p->judged > larger(least, 12) &&
           p->error < (in_use ? KEEP : GAIN) * p->naive_error;
}

bool season_expect(struct season *s, double time_s, double position, double *ret_value, double *ret_width)
{
    int before = s->best;

    s->best = -1;
    for (int k = 0; k < SEASON_KINDS; k++) {
        struct profile *p = &s->profile[k];
        if (p->bins == 0)
            continue;
        profile_move(p, time_s, position);
        if (profile_usable(p, k == before) && (s->best < 0 || p->error < s->profile[s->best].error))
            s->best = k;
    }
    if (s->best < 0)
        return false;
    const struct profile *p = &s->profile[s->best];
    double wide = bin_width(p, p->now);
    wide = larger(wide, bin_width(p, p->now > 0 ? p->now - 1 : p->bins - 1));
    wide = larger(wide, bin_width(p, p->now + 1 < p->bins ? p->now + 1 : 0));
    *ret_value = p->level + (double)p->mean[p->now];
    *ret_width = p->typical_spread > 0 ? smaller(WIDEST, larger(1, wide / p->typical_spread)) : 1;
    return true;
}

static double clamp(double x, double most)
{
    return x > most ? most : x < -most ? -most : x;
}

static void profile_learn(struct profile *p, double value, double cut)
{
    float *mean = &p->mean[p->now];
    double visits = (double)p->visits[p->now];
    double rate = 1 / larger(p->bins, 100);

    if (p->level_n == 0) {
        p->level = value;
        p->slow = value;
    }
    p->level_n++;
    double level_rate = larger(rate, 1 / p->level_n);
    if (visits > 0) {
        double miss = value - p->level - (double)*mean;
        p->judged++;
        double judge_rate = larger(0.25 / larger(p->bins, 100), 1 / p->judged);
        p->error += judge_rate * (smaller(fabs(miss), cut * 2) - p->error);
        p->naive_error += judge_rate * (smaller(fabs(value - p->slow), cut * 2) - p->naive_error);
        p->typical_spread += judge_rate * (smaller(fabs(miss), cut) - p->typical_spread);
        double pull = larger(LEAST_RATE, 1 / (visits + 1));
        double width = (double)p->spread[p->now];
        p->spread[p->now] = (float)(width + larger(LEAST_RATE, 1 / visits) * (fabs(clamp(miss, cut * 2)) - width));
        *mean = (float)((double)*mean + pull * clamp(miss, cut));
        p->level += level_rate * clamp(miss, cut);
    } else {
        p->filled++;
        double above = value - p->level;
        if (p->filled * 2 > p->bins) /* the shape is mostly known: a stray first value may not distort it */
            above = clamp(above, larger(cut, 8 * p->typical_spread));
        *mean = (float)above;
        p->level += level_rate * clamp(above, larger(cut, 8 * p->typical_spread));
    }
    p->slow += larger(0.02, 1 / p->level_n) * clamp(value - p->slow, larger(cut * 2, 3 * p->naive_error));
    p->visits[p->now] = (float)(visits + 1);
}

/* In place, radix 2, n a power of two up to 2 * SEASON_RING. */
static void fft(struct season *s, unsigned n)
{
    for (unsigned i = 1, j = 0; i < n; i++) {
        unsigned bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            float re = s->re[i], im = s->im[i];
            s->re[i] = s->re[j];
            s->im[i] = s->im[j];
            s->re[j] = re;
            s->im[j] = im;
        }
    }
    for (unsigned half = 1; half < n; half *= 2) {
        unsigned stride = SEASON_RING / half; /* the tables hold half a turn */
        for (unsigned from = 0; from < n; from += 2 * half) {
            for (unsigned k = 0; k < half; k++) {
                float c = s->cosine[k * stride], d = s->minus_sine[k * stride];
                unsigned i = from + k;
                float re = s->re[i + half] * c - s->im[i + half] * d;
                float im = s->re[i + half] * d + s->im[i + half] * c;
                s->re[i + half] = s->re[i] - re;
                s->im[i + half] = s->im[i] - im;
                s->re[i] += re;
                s->im[i] += im;
            }
        }
    }
}

/* The last n values without their line, cut at three deviations, in re[]; the rest is 0. */
static void detrend(struct season *s, unsigned n, unsigned size)
{
    double mean = 0, slope = 0, middle = (n - 1) / 2.0, variance = 0;

    memset(s->re, 0, size * sizeof(*s->re));
    memset(s->im, 0, size * sizeof(*s->im));
    for (unsigned i = 0; i < n; i++)
        mean += (double)s->ring[(s->seen - n + i) % SEASON_RING] / n;
    for (unsigned i = 0; i < n; i++)
        slope += ((double)s->ring[(s->seen - n + i) % SEASON_RING] - mean) * (i - middle);
    slope /= (double)n * ((double)n * n - 1) / 12;
    for (int pass = 0; pass < 2; pass++) {
        double cut = pass == 0 ? INFINITY : 3 * sqrt(variance / n);
        for (unsigned i = 0; i < n; i++) {
            double x = (double)s->ring[(s->seen - n + i) % SEASON_RING] - mean - slope * (i - middle);
            variance += pass == 0 ? x * x : 0;
            s->re[i] = (float)clamp(x, cut);
        }
    }
}

/* Autocorrelation of the last n values in re[0 .. n/2]. False for a constant. */
static bool autocorrelate(struct season *s, unsigned n)
{
    unsigned size = 64;

    while (size < 2 * n)
        size *= 2;
    detrend(s, n, size);
    fft(s, size);
    for (unsigned i = 0; i < size; i++) {
        s->re[i] = s->re[i] * s->re[i] + s->im[i] * s->im[i];
        s->im[i] = 0;
    }
    fft(s, size); /* of a symmetric spectrum: the same as the inverse but for scale */
    float zero = s->re[0];
    if (!(zero > 0))
        return false;
    for (unsigned i = 0; i <= n / 2; i++)
        s->re[i] = s->re[i] / zero * (float)n / (float)(n - i);
    return true;
}

static unsigned local_peak(const struct season *s, unsigned from, unsigned to)
{
    unsigned best = from;

    for (unsigned i = from + 1; i <= to; i++)
        best = s->re[i] > s->re[best] ? i : best;
    return best;
}

/* The period of the last n values; 0 when there is none. */
static double find_period(struct season *s, unsigned n)
{
    unsigned most = (unsigned)(n / LONGEST_SHARE);
    unsigned from = 1;

    if (!autocorrelate(s, n))
        return 0;
    while (from < most && s->re[from] > 0.1f) /* down the slope of lag 0 */
        from++;
    if (from >= most)
        return 0;
    unsigned peak = local_peak(s, from, most);
    if ((double)s->re[peak] < larger(LEAST_PEAK, 5 / sqrt(n)) || peak < SHORTEST)
        return 0;
    for (unsigned i = from > SHORTEST ? from : SHORTEST; i < peak; i++) { /* the first that is nearly as high */
        if ((double)s->re[i] >= NEARLY * (double)s->re[peak] && s->re[i] >= s->re[i - 1] && s->re[i] >= s->re[i + 1]) {
            peak = local_peak(s, i, i + i / 8);
            break;
        }
    }
    double period = peak;
    for (unsigned k = 2; (k + 0.5) * period < n / 2.0 && k <= 16; k++) {
        unsigned guess = (unsigned)(k * period + 0.5);
        unsigned slack = 1 + (unsigned)(period / 16);
        unsigned at = local_peak(s, guess - slack, guess + slack);
        if ((double)s->re[at] < 0.5 * (double)s->re[peak])
            break;
        period = (double)at / k;
    }
    return period;
}

static bool much_alike(double a, double b)
{
    return fabs(a - b) < 0.03 * b;
}

static void search(struct season *s, double position)
{
    struct profile *p = &s->profile[SEASON_CYCLE];
    unsigned n = s->seen < SEASON_RING ? s->seen : SEASON_RING;
    double period = find_period(s, n);

    s->next_search = s->seen + (s->seen / 2 < SEARCH_EVERY ? s->seen / 2 : SEARCH_EVERY);
    if (period <= 0 || (s->interval_s > 0 && much_alike(period * s->interval_s, DAY_S)))
        return;
    if (p->bins > 0 && (much_alike(period, p->period) || profile_usable(p, true)) && p->error < GAIN * p->naive_error)
        return;
    profile_start(p, period, ceil(period), false);
    for (unsigned i = 0; i < n; i++) { /* positions of the past are approximate when values were missing */
        profile_move(p, 0, position - (n - 1 - i));
        profile_learn(p, (double)s->ring[(s->seen - n + i) % SEASON_RING],
                      p->judged > p->bins ? 4 * p->typical_spread : INFINITY);
    }
}

void season_learn(struct season *s, double value, double position, double cut)
{
    for (int k = 0; k < SEASON_KINDS; k++) {
        if (s->profile[k].bins > 0)
            profile_learn(&s->profile[k], value, cut);
    }
    s->ring[s->seen % SEASON_RING] = (float)value;
    if (++s->seen >= s->next_search)
        search(s, position);
    if (s->seen > 1u << 30) { /* far from wrapping; ring position and distance to the next search stay */
        s->seen -= 1u << 29;
        s->next_search -= 1u << 29;
    }
}

void season_shift(struct season *s, double by)
{
    for (int k = 0; k < SEASON_KINDS; k++) {
        s->profile[k].level += by;
        s->profile[k].slow += by;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tail probabilities by summing terms, each from its predecessor, the first by log-gamma; sums stop when a term
 * no longer matters (relative 1e-15 on the falling side). Tails that begin below the mode sum the other side instead.
 *
 * Sources: Wilson, "Probable inference", JASA 1927; Benjamini & Hochberg, JRSS B 1995. With z = 1.6449 the interval of
 * Wilson is one-sided 95 %.
 */

#include "control/stats.h"

#include <math.h>
#include <stdlib.h>

#define Z_95 1.6448536269514722

static double log_choose(double n, double k)
{
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

double hypergeometric_tail(uint64_t total, uint64_t white, uint64_t n, uint64_t k)
{
    uint64_t most = white < n ? white : n;
    uint64_t least = white + n > total ? white + n - total : 0;
    double sum = 0;

    if (k <= least)
        return 1;
    for (uint64_t i = k; i <= most; i++)
        sum += exp(log_choose((double)white, (double)i) + log_choose((double)(total - white), (double)(n - i)) -
                   log_choose((double)total, (double)n));
    return sum < 1 ? sum : 1;
}

/* Sums pmf(k), pmf(k+1), ... where pmf(i+1) = pmf(i) * (n-i)/(i+1) * (a+i)/(b+n-i-1); a = b = 0 means binomial with
 * odds. */
static double sum_up(double term, uint64_t n, uint64_t k, double a, double b, double odds)
{
    double sum = 0;

    for (uint64_t i = k;; i++) {
        sum += term;
        if (i >= n)
            break;
        double ratio = (double)(n - i) / (double)(i + 1);
        ratio *= a > 0 ? (a + (double)i) / (b + (double)(n - i) - 1) : odds;
        term *= ratio;
        if (ratio < 1 && term < sum * 1e-15)
            break;
    }
    return sum;
}

double binomial_tail(uint64_t n, double p, uint64_t k)
{
    if (k == 0)
        return 1;
    if (k > n || p <= 0)
        return 0;
    if (p >= 1)
        return 1;
    if ((double)k < (double)n * p) /* sum the lower tail, turned around */
        return 1 - binomial_tail(n, 1 - p, n - k + 1);
    double term = exp(log_choose((double)n, (double)k) + (double)k * log(p) + (double)(n - k) * log1p(-p));
    double sum = sum_up(term, n, k, 0, 0, p / (1 - p));
    return sum < 1 ? sum : 1;
}

static double beta_binomial_pmf(uint64_t n, double a, double b, uint64_t k)
{
    double log_beta = lgamma(a) + lgamma(b) - lgamma(a + b);

    return exp(log_choose((double)n, (double)k) + lgamma((double)k + a) + lgamma((double)(n - k) + b) -
               lgamma((double)n + a + b) - log_beta);
}

double beta_binomial_tail(uint64_t n, double mean, double rho, uint64_t k)
{
    if (rho <= 1e-9)
        return binomial_tail(n, mean, k);
    if (k == 0)
        return 1;
    if (k > n || mean <= 0)
        return 0;
    if (mean >= 1)
        return 1;
    if ((double)k < (double)n * mean)
        return 1 - beta_binomial_tail(n, 1 - mean, rho, n - k + 1);
    double a = mean * (1 / rho - 1);
    double b = (1 - mean) * (1 / rho - 1);
    double sum = sum_up(beta_binomial_pmf(n, a, b, k), n, k, a, b, 0);
    return sum < 1 ? sum : 1;
}

bool beta_binomial_beyond(uint64_t n, double mean, double rho, uint64_t k, double limit)
{
    double a = mean * (1 / rho - 1);
    double b = (1 - mean) * (1 / rho - 1);

    if (rho <= 1e-9 || b <= 1 || mean <= 0 || k == 0 || k > n || (double)k < (double)n * mean)
        return beta_binomial_tail(n, mean, rho, k) < limit;
    double term = beta_binomial_pmf(n, a, b, k), sum = 0;
    for (uint64_t i = k; i < n; i++) {
        double falling = (double)(n - i) / (b + (double)(n - i) - 1);
        double rising = (a + (double)i) / (double)(i + 1);
        double most = falling * (rising > 1 ? rising : 1); /* no later ratio is above it */
        sum += term;
        if (sum >= limit)
            return false;
        if (most < 1 && sum + term * most / (1 - most) < limit)
            return true;
        term *= falling * rising;
    }
    return sum + term < limit;
}

double wilson_lower(uint64_t k, uint64_t n)
{
    if (n == 0)
        return 0;
    double count = (double)n;
    double p = (double)k / count;
    double z2 = Z_95 * Z_95;
    double low =
        (p + z2 / (2 * count) - Z_95 * sqrt(p * (1 - p) / count + z2 / (4 * count * count))) / (1 + z2 / count);
    return low > 0 ? low : 0;
}

uint64_t clean_exposures_needed(uint64_t k, uint64_t n)
{
    double low = wilson_lower(k, n);

    if (low <= 0)
        return 1000;
    double m = ceil(log(0.05) / log1p(-low) - 1e-9);
    return m < 1 ? 1 : m > 1000 ? 1000 : (uint64_t)m;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double benjamini_hochberg(double *p, size_t n, double q)
{
    qsort(p, n, sizeof(*p), compare_doubles);
    for (size_t i = n; i > 0; i--) {
        if (p[i - 1] <= q * (double)i / (double)n)
            return p[i - 1];
    }
    return -1;
}

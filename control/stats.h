/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STATS_H
#define SPANWARD_STATS_H

/* The few distributions that verdicts rest on. Exact sums, no approximations; see docs/RECURRENCE.md for their use. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* P(X >= k), X = white balls among n drawn without replacement from `total` balls of which `white` are white. */
double hypergeometric_tail(uint64_t total, uint64_t white, uint64_t n, uint64_t k);

/* P(X >= k), X ~ Binomial(n, p). */
double binomial_tail(uint64_t n, double p, uint64_t k);

/* P(X >= k), X ~ Beta-binomial(n, mean, rho): a proportion that itself varies; rho in (0, 1) is the correlation
 * of two packets of one window. rho = 0 is the binomial. */
double beta_binomial_tail(uint64_t n, double mean, double rho, uint64_t k);
/* Whether that tail is below limit, by bounds instead of all terms: of large counts a small part of the work. */
bool beta_binomial_beyond(uint64_t n, double mean, double rho, uint64_t k, double limit);

/* Lower end of Wilson's one-sided 95 % interval for k of n. 0 when n = 0. */
double wilson_lower(uint64_t k, uint64_t n);

/* Clean exposures in a row that refute a hit rate of k/n at 5 %: smallest m >= ln .05 / ln(1 - wilson_lower). At
 * least 1. */
uint64_t clean_exposures_needed(uint64_t k, uint64_t n);

/*
 * Benjamini-Hochberg: the largest p-value that is accepted at false discovery rate q among `n` tests, or a
 * negative number when none is. `p` is sorted in place.
 */
double benjamini_hochberg(double *p, size_t n, double q);

#endif

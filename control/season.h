/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SEASON_H
#define SPANWARD_SEASON_H

/*
 * What a series usually does at this time of the day, of the week, or of a period that it turned out to have. Owner:
 * the scorer. See season.c.
 */

#include <stdbool.h>
#include <stdint.h>

#define SEASON_BINS 2048u
#define SEASON_RING 4096u

/*
 * One period's shape above a slowly moving level. Invariant: bins <= SEASON_BINS; bins = 0: not in use. Spread is how
 * far values of a bin usually lie from it.
 */
struct profile {
    unsigned bins;
    bool by_clock;
    double period; /* seconds by the clock, else positions */
    float mean[SEASON_BINS], spread[SEASON_BINS], visits[SEASON_BINS];
    unsigned now, last; /* bins of the current and the last value */
    double level, level_n, typical_spread;
    double error, naive_error, slow, judged; /* mean misses of the profile and of a plain moving level; rows judged */
    unsigned filled;                         /* bins with a visit */
};

enum season_kind { SEASON_DAY, SEASON_WEEK, SEASON_CYCLE, SEASON_KINDS };

struct season {
    struct profile profile[SEASON_KINDS];
    int best; /* index of the profile in use, or -1 */
    double interval_s, gap;
    float ring[SEASON_RING]; /* the last values, for finding a period */
    uint32_t seen, next_search;
    float re[2 * SEASON_RING], im[2 * SEASON_RING]; /* work space of the search */
    float cosine[SEASON_RING], minus_sine[SEASON_RING];
};

void season_init(struct season *s);
/* The usual time between values; makes the profiles by the clock. Once, when it is known. */
void season_set_interval(struct season *s, double interval_s);
/*
 * Moves to a time and a position (a count of intervals). True, with the expected value and how much wider than usual it
 * varies here (1 = as usual), when a season is known.
 */
bool season_expect(struct season *s, double time_s, double position, double *ret_value, double *ret_width);
/* The value at the place that season_expect moved to; `cut` is how far it may pull, infinity: all the way. */
void season_learn(struct season *s, double value, double position, double cut);
/* All levels move by this much. */
void season_shift(struct season *s, double by);

#endif

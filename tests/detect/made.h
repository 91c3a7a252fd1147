/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_MADE_H
#define SPANWARD_TESTS_MADE_H

/* Series of many kinds with anomalies of many kinds and the truth about them, from a seed. */

#include <stdbool.h>
#include <stdint.h>

#define MADE_MOST   12000u
#define MADE_EVENTS 3u

#define MADE_BASES(X)                                                                                                  \
    X(NOISE, "noise about a level")                                                                                    \
    X(CORRELATED, "correlated noise")                                                                                  \
    X(WALK, "random walk")                                                                                             \
    X(HEAVY, "heavy tails")                                                                                            \
    X(LATENCY, "skewed, log-normal")                                                                                   \
    X(DAILY, "daily wave, 5 min")                                                                                      \
    X(WEEKLY, "daily and weekly load, 30 min")                                                                         \
    X(COUNTS, "counts with a daily rate")                                                                              \
    X(BURSTY, "counts with bursts")                                                                                    \
    X(SPARSE, "few counts")                                                                                            \
    X(SHAPE, "repeated shape, its own period")                                                                         \
    X(JOBS, "regular spikes over a quiet level")                                                                       \
    X(CONSTANT, "nearly constant")                                                                                     \
    X(SAW, "saw-tooth")                                                                                                \
    X(TREND, "trend and daily wave")                                                                                   \
    X(SQUARE, "daily square, little noise")                                                                            \
    X(IRREGULAR, "slow wave, irregular times")

#define MADE_ANOMALIES(X)                                                                                              \
    X(SPIKE, "spike")                                                                                                  \
    X(DIP, "dip")                                                                                                      \
    X(SHIFT, "level shift that stays")                                                                                 \
    X(PLATEAU, "level shift for a while")                                                                              \
    X(LOUDER, "more variance")                                                                                         \
    X(QUIETER, "less variance")                                                                                        \
    X(STUCK, "stuck at one value")                                                                                     \
    X(SILENCE, "falls silent")                                                                                         \
    X(DRIFT, "slow drift")                                                                                             \
    X(BURST, "many spikes")                                                                                            \
    X(SKIPPED, "a season left out")                                                                                    \
    X(REVERSED, "a stretch backwards")

#define X(symbol, name) MADE_##symbol,
enum made_base { MADE_BASES(X) MADE_BASE_COUNT };
enum made_anomaly { MADE_ANOMALIES(X) MADE_ANOMALY_COUNT };
#undef X
extern const char *const made_base_names[MADE_BASE_COUNT];
extern const char *const made_anomaly_names[MADE_ANOMALY_COUNT];

/* from..to: rows that are anomalous; a level that stays ends after 100 rows. */
struct made_event {
    enum made_anomaly kind;
    uint32_t from, to;
};

struct made {
    uint32_t n;
    int64_t time_ns[MADE_MOST];
    double value[MADE_MOST];
    bool missing[MADE_MOST];
    struct made_event event[MADE_EVENTS];
    uint32_t n_events;
};

/* n_events 0..MADE_EVENTS anomalies of the kind, where it makes sense for the base (else fewer). */
void made_series(struct made *m, enum made_base base, enum made_anomaly anomaly, unsigned n_events, uint64_t seed);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SCORER_H
#define SPANWARD_SCORER_H

/*
 * How unusual is the next value of a series? A scorer sees one (time, value) after the other, of any unit and rhythm,
 * learns what is normal as it goes and says 0..1 for each, from 0.5 on: anomalous. Causal, deterministic, constant
 * memory. One scorer belongs to one thread. How it works: scorer.c and docs/DETECTION.md.
 */

#include <stdbool.h>
#include <stdint.h>

struct scorer;

/* What spoke loudest; names for people and tests. */
#define SCORER_REASONS(X)                                                                                              \
    X(NONE, "none")                                                                                                    \
    X(JUMP, "jump")         /* far from what the last values and the season predict */                                 \
    X(PLACE, "place")       /* far from the baseline, for this time of its season */                                   \
    X(SHIFT, "shift")       /* a little off, again and again to one side */                                            \
    X(RESTLESS, "restless") /* varies more than before */                                                              \
    X(CALM, "calm")         /* varies less than before */                                                              \
    X(STUCK, "stuck")       /* the same value too often in a row */
#define X(symbol, name) SCORER_##symbol,
enum scorer_reason { SCORER_REASONS(X) SCORER_REASON_COUNT };
#undef X
const char *scorer_reason_name(enum scorer_reason r);

struct scorer *scorer_new(void); /* NULL without memory */
void scorer_free(struct scorer *s);

/* Time in ns, not necessarily regular or ascending; value finite. ret_reason may be NULL. */
double scorer_step(struct scorer *s, int64_t time_ns, double value, enum scorer_reason *ret_reason);

#endif

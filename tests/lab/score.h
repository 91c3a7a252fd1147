/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_SCORE_H
#define SPANWARD_LAB_SCORE_H

/* The probe's verdicts and RTT samples on a capture of the lab, held against what the lab did. See score.c. */

#include <stdio.h>
#include "tests/lab/truth_read.h"

/* S(symbol, name): what is scored; the unit is one data segment. */
#define SCORE_CLASSES(S)                                                                                               \
    S(DOWNSTREAM, "downstream")                                                                                        \
    S(UPSTREAM, "upstream")                                                                                            \
    S(CAPTURE, "capture loss")                                                                                         \
    S(COPY, "duplicate")                                                                                               \
    S(HOP, "second hop")                                                                                               \
    S(REORDERED, "reordering")                                                                                         \
    S(SPURIOUS, "spurious")

enum score_class {
#define S(symbol, name) SCORE_##symbol,
    SCORE_CLASSES(S)
#undef S
        SCORE_COUNT
};

const char *score_class_name(enum score_class c);

struct class_score {
    uint64_t visible;                /* segments that suffered this, as far as the tap can see it */
    uint64_t found;                  /* of those: with a verdict of this class on their bytes */
    uint64_t apart;                  /* segments that suffered it without leaving a trace at the tap */
    uint64_t verdicts, right, wrong; /* verdicts about a segment that is apart are neither right nor wrong */
};

struct error_stat {
    uint64_t n;
    double median_pct, p99_pct, median_us, p99_us;
};

struct score {
    struct class_score class[SCORE_COUNT];
    uint64_t false_losses; /* verdicts of loss on bytes that nobody lost */
    uint64_t side_unknown; /* verdicts "lost, side unknown" on bytes that were lost */
    uint64_t capture_bytes, captured_lost_bytes_truth;
    uint64_t data_pkts, frames, flows;
    uint64_t unmatched; /* verdicts on flows that do not exist */
    uint64_t rtt_reference, rtt_samples, rtt_found, rtt_extra;
    uint64_t rtt_alone; /* apart: samples that rule 0 withholds, in neither of the first and third */
    struct error_stat ack_rtt, handshake;
    uint64_t min_rtt_flows; /* flows where both sides and a socket have a minimum */
    double min_rtt_median;  /* median of (client side + server side) / tcpi_min_rtt */
};

/* Runs PREFIX.pcapng through a worker. `explain` != NULL: one line per miss and per wrong verdict goes there. */
int score_run(const struct truth *t, const char *prefix, FILE *explain, struct score *ret, struct error *e);

/* -1 where there is nothing to divide by. */
double score_precision(const struct class_score *c);
double score_recall(const struct class_score *c);

#endif

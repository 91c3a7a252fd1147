/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_TRUTH_H
#define SPANWARD_LAB_TRUTH_H

/*
 * What really happened: one line per frame and per endpoint report (NDJSON), and sums per flow and direction. The
 * names are explained in docs/LAB.md.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/log.h"
#include "tests/lab/frame.h"
#include "tests/lab/rules.h"

/* Sums per flow and direction: C(field, what it counts). "Data" is a TCP segment with payload. */
#define LAB_TRUTH_COUNTERS(C)                                                                                          \
    C(sent_pkts, "frames that the sender emitted")                                                                     \
    C(sent_bytes, "their IP bytes")                                                                                    \
    C(data_pkts, "TCP segments with payload among them")                                                               \
    C(resent_pkts, "segments with bytes, SYN or FIN sent before")                                                      \
    C(resent_data_pkts, "those with payload")                                                                          \
    C(needless_pkts, "of these, all bytes were on their way or there already")                                         \
    C(untraced_pkts, "resends that the tap cannot know: it had seen neither these bytes nor later ones")               \
    C(tap_pkts, "frames that passed the tap")                                                                          \
    C(captured_pkts, "frames of which the capture has at least one copy")                                              \
    C(lost_up_pkts, "lost between sender and tap")                                                                     \
    C(lost_up_data_pkts, "those with payload")                                                                         \
    C(lost_down_pkts, "lost between tap and receiver")                                                                 \
    C(lost_down_data_pkts, "those with payload")                                                                       \
    C(missed_pkts, "delivered but not captured")                                                                       \
    C(missed_data_pkts, "those with payload")                                                                          \
    C(missed_data_bytes, "their payload bytes")                                                                        \
    C(copied_pkts, "captured a second time at once")                                                                   \
    C(hop_pkts, "captured a second time behind a router")                                                              \
    C(late_tap_pkts, "segments with payload that a younger one overtook before the tap")                               \
    C(late_out_pkts, "segments with payload that a younger one overtook before the receiver")                          \
    C(late_copy_pkts, "frames captured late")                                                                          \
    C(stalled_pkts, "frames that waited in a stall")                                                                   \
    C(delivered_pkts, "frames handed to the receiver")

struct lab_truth_sums {
#define C(field, text) uint64_t field;
    LAB_TRUTH_COUNTERS(C)
#undef C
};

/* One frame on its way. Times are ns since the epoch, 0 = did not happen. */
struct lab_frame {
    uint64_t number; /* in order of emission, from 1 */
    uint64_t in_ns;  /* when the relay took it from its sender */
    uint64_t tap_ns, out_ns;
    uint64_t captured_ns[2];
    uint64_t captured_as[2]; /* frame number in the capture, from 1 */
    uint32_t flow;
    uint16_t len;
    uint8_t to;     /* enum lab_side */
    uint8_t events; /* still to come; the relay's */
    bool resend, needless, late_tap, late_out, c2s;
    struct lab_frame_info info;
    struct lab_fate fate;
    uint8_t bytes[LAB_FRAME_MAX + 22];
};

struct lab_truth;

/* path ends in ".gz": compressed. NULL path: sums only. */
int lab_truth_open(const char *path, struct lab_truth **ret, struct error *e);

/* A frame was taken from its sender: fills in flow, c2s and resend. */
int lab_truth_sent(struct lab_truth *t, struct lab_frame *f);
/* Its fate is known: fills in needless. */
int lab_truth_judged(struct lab_truth *t, struct lab_frame *f);
/* It passes the tap now, or is handed to its receiver: fill in late_tap and late_out. */
void lab_truth_at_tap(struct lab_truth *t, struct lab_frame *f);
void lab_truth_at_out(struct lab_truth *t, struct lab_frame *f);
/* Nothing more will happen to it: writes its line. */
void lab_truth_done(struct lab_truth *t, const struct lab_frame *f);

/* Adds a line that is JSON already. */
void lab_truth_line(struct lab_truth *t, const char *json, size_t len);

struct lab_truth_sums lab_truth_total(const struct lab_truth *t);
size_t lab_truth_flows(const struct lab_truth *t);
/* A JSON array, one flow per line. */
void lab_truth_print_flows(const struct lab_truth *t, FILE *out);
void lab_truth_print_sums(const struct lab_truth_sums *s, FILE *out);

/* 0, or -EIO when a line could not be written. Frees t (NULL does nothing). */
int lab_truth_close(struct lab_truth *t);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_ORACLES_H
#define SPANWARD_LAB_ORACLES_H

/* What tshark and tcptrace say about the same capture, and which rule explains each difference. See oracles.c. */

#include "tests/lab/truth_read.h"

/* What a captured data segment really was. W(symbol, name) */
#define ORACLE_WHATS(W)                                                                                                \
    W(FIRST, "first transmission, in order")                                                                           \
    W(COPY, "copy made by the mirror")                                                                                 \
    W(AFTER_DOWN, "resend after a loss downstream")                                                                    \
    W(AFTER_UP, "resend after a loss upstream")                                                                        \
    W(NEEDLESS, "needless resend")                                                                                     \
    W(LATE, "overtaken in the network")                                                                                \
    W(LATE_COPY, "captured late")

enum oracle_what {
#define W(symbol, name) ORACLE_##symbol,
    ORACLE_WHATS(W)
#undef W
        ORACLE_WHAT_COUNT
};

/* tshark's words. T(symbol, field) */
#define TSHARK_FLAGS(T)                                                                                                \
    T(RETRANSMISSION, "tcp.analysis.retransmission")                                                                   \
    T(FAST, "tcp.analysis.fast_retransmission")                                                                        \
    T(SPURIOUS, "tcp.analysis.spurious_retransmission")                                                                \
    T(OUT_OF_ORDER, "tcp.analysis.out_of_order")                                                                       \
    T(LOST, "tcp.analysis.lost_segment")                                                                               \
    T(ACKED_LOST, "tcp.analysis.ack_lost_segment")

enum tshark_flag {
#define T(symbol, field) TSHARK_##symbol,
    TSHARK_FLAGS(T)
#undef T
        TSHARK_FLAG_COUNT
};

struct oracles {
    bool have_tshark, have_tcptrace;
    uint64_t what[ORACLE_WHAT_COUNT];                          /* data segments in the capture */
    uint64_t tshark[TSHARK_FLAG_COUNT][ORACLE_WHAT_COUNT + 1]; /* the last: frames without data */
    uint64_t tcptrace_rexmt, tcptrace_out_of_order;
    /* the same counts by tcptrace's rule, applied to the truth's headers: any overlap is a retransmission, all that
     * comes below the highest byte without one is out of order; and of what they consist */
    uint64_t rule_rexmt, rule_out_of_order;
    uint64_t rexmt_what[ORACLE_WHAT_COUNT], out_of_order_what[ORACLE_WHAT_COUNT];
};

const char *oracle_what_name(enum oracle_what w);
const char *tshark_flag_field(enum tshark_flag f);

/* A tool that is not installed is left out. */
int oracles_run(const struct truth *t, const char *prefix, struct oracles *ret, struct error *e);

#endif

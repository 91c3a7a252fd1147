/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_RULES_H
#define SPANWARD_LAB_RULES_H

/* Decides, frame by frame and in the order in which senders emit them, what the relay does to each. */

#include <stdbool.h>
#include <stdint.h>
#include "tests/lab/frame.h"
#include "tests/lab/scenario.h"

/* What a rule may ask about a frame. */
struct lab_facts {
    const struct lab_frame_info *info;
    enum lab_side to;
    uint32_t flow;     /* index in the truth's table */
    bool resend;       /* carries bytes, SYN or FIN that were sent before */
    uint64_t since_ns; /* the start of the run */
};

/* The outcome: a set of actions and the time that goes with each. */
struct lab_fate {
    uint32_t actions; /* 1 << enum lab_action */
    uint64_t by_ns[LAB_ACTION_COUNT];
};

static inline bool lab_fate_has(const struct lab_fate *f, enum lab_action a)
{
    return (f->actions >> a & 1) != 0;
}

struct lab_rules;

/* The scenario must outlive it. NULL when out of memory. */
struct lab_rules *lab_rules_new(const struct lab_scenario *s);
void lab_rules_free(struct lab_rules *r);

/* -ENOMEM when a per-flow counter cannot be kept. */
int lab_rules_judge(struct lab_rules *r, const struct lab_facts *facts, struct lab_fate *ret_fate);

/* One-way time between the tap and a side for this frame. */
uint64_t lab_rules_delay_ns(const struct lab_rules *r, enum lab_side side, const struct lab_frame_info *info);

/* How often rule i (in the scenario's order) hit. */
uint64_t lab_rules_hits(const struct lab_rules *r, size_t i);

#endif

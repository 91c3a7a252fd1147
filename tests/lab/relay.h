/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_RELAY_H
#define SPANWARD_LAB_RELAY_H

/* The wire between the two ends, with the tap in it. */

#include <stdbool.h>
#include <stdint.h>
#include "common/log.h"
#include "tests/lab/netns.h"
#include "tests/lab/pcapng.h"
#include "tests/lab/rules.h"
#include "tests/lab/scenario.h"
#include "tests/lab/truth.h"

struct lab_relay;

#define LAB_LATE_NS  1000000u
#define LAB_LATE_PCT 1u

/* Did the machine have too much other work for the scenario's times to be those that the stacks saw? */
static inline bool lab_was_busy(uint64_t late, uint64_t delivered)
{
    return late * 100 > delivered * LAB_LATE_PCT;
}

struct lab_relay_counts {
    uint64_t frames;        /* taken from the senders */
    uint64_t ignored;       /* multicast and what is neither IPv4 nor IPv6: never on the wire */
    uint64_t write_failed;  /* frames that a receiver's device refused */
    uint64_t mirrored;      /* sent to the scenario's mirror device */
    uint64_t mirror_failed; /* that it did not take */
    uint64_t in_flight_max;
    uint64_t delivered;
    uint64_t late;        /* of these, more than LAB_LATE_NS after their time: the machine had other work */
    uint64_t late_max_ns; /* by how much a frame left later than planned, at worst */
};

/* Takes what it is given by reference; all must outlive it. NULL when out of memory. */
struct lab_relay *lab_relay_new(const struct lab_scenario *s, const struct lab_netns ends[LAB_SIDES],
                                struct lab_rules *rules, struct lab_truth *truth, struct lab_pcapng *capture);
void lab_relay_free(struct lab_relay *r);

/* The scenario's mirror device, in the caller's namespace: it gets every captured frame when it is captured. */
int lab_relay_open_mirror(struct lab_relay *r, struct error *e);

/* Carries what is due, takes what is there. Then returns; *ret_wait_ns is the time to the next event (UINT64_MAX =
 * none): wait that long for lab_netns.tap_fd to become readable. -errno on an error that ends the run, -EFBIG when
 * the capture has reached its limit. */
int lab_relay_step(struct lab_relay *r, uint64_t *ret_wait_ns);

bool lab_relay_idle(const struct lab_relay *r);
/* Time of the last frame, in ns since the start. */
uint64_t lab_relay_last_ns(const struct lab_relay *r);
uint64_t lab_relay_since_ns(const struct lab_relay *r);
struct lab_relay_counts lab_relay_counts(const struct lab_relay *r);

#endif

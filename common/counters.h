/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_COUNTERS_H
#define SPANWARD_COUNTERS_H

/*
 * The ledger: every packet that was offered to the sensor is either processed or in one named drop.
 * The identity offered == processed + sum of drops is asserted in tests and shown to users. The names
 * are part of the JSON contract.
 */

#include <stdint.h>

/* name, description, what to do about it */
#define LEDGER_DROPS(X)                                                                                                \
    X(nic_missed, "dropped by the NIC because its ring was full", "more workers or queues; isolate the worker cores")  \
    X(nic_errors, "received with an error (FCS, length)", "check cable, optics and the SPAN session")                  \
    X(no_mbuf, "dropped for want of a packet buffer", "raise capture.mbufs")                                           \
    X(ring_full, "dropped because a ring between workers was full", "more workers")                                    \
    X(decode_short, "captured too short for its headers", "raise the snap length of the mirror or capture")            \
    X(decode_unknown, "a type that no decoder knows", "none: nothing to measure in it")                                \
    X(decode_bad, "a header that contradicts itself", "look at the sender; see events")                                \
    X(too_many_layers, "more nested headers than the limit", "look at the sender: loops look like this")               \
    X(table_full, "no room in the flow table", "raise capture.flows")                                                  \
    X(duplicate, "copies of packets already counted", "mirror one direction or one port only")                         \
    X(filtered, "left out by the capture filter", "none: as configured")

enum ledger_drop {
#define X(name, text, todo) LEDGER_##name,
    LEDGER_DROPS(X)
#undef X
        LEDGER_DROP_COUNT
};

/* Owner: one worker or the main thread; read by others only as a snapshot passed by value. */
struct ledger {
    uint64_t offered;
    uint64_t processed;
    uint64_t drops[LEDGER_DROP_COUNT];
    uint32_t unsupported; /* bit per drop that the driver cannot report: shown as null */
    uint32_t pad;
};

const char *ledger_drop_name(enum ledger_drop d);
const char *ledger_drop_text(enum ledger_drop d);
const char *ledger_drop_todo(enum ledger_drop d);
uint64_t ledger_drop_sum(const struct ledger *l);
void ledger_merge(struct ledger *into, const struct ledger *from);

#endif

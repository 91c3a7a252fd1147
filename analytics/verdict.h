/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_VERDICT_H
#define SPANWARD_VERDICT_H

/* What a mirror is worth: the verdict over a run, and the events about the mirror and the sensor itself. */

#include "analytics/analytics.h"
#include "common/record.h"

/* w: the mirror over the whole run. */
void verdict_of(struct verdict *ret, const struct window *w, const struct ledger *l);

/* What was already reported, per mirror, so that a lasting condition is one event. Owner: the analytics thread. */
struct mirror_watch {
    bool one_way, oversubscribed, silent, overloaded, had_traffic;
    unsigned quiet_windows, clean_windows;
};

/*
 * Each looks at one closed window and returns true with *ret_event filled in when something began or ended that people
 * should know. mirror: its number and name. minute: a window of a minute or more. base: every base window, w NULL when
 * the mirror showed nothing.
 */
bool watch_one_way(struct mirror_watch *m, uint32_t mirror, const char *name, const struct window *minute,
                   struct rec_event *ret_event);
bool watch_oversubscribed(struct mirror_watch *m, uint32_t mirror, const char *name, const struct window *minute,
                          uint64_t capacity_bits_per_s, struct rec_event *ret_event);
bool watch_silence(struct mirror_watch *m, uint32_t mirror, const char *name, const struct window *w, uint64_t start_ns,
                   struct rec_event *ret_event);
/* lost_pkts: by the sensor in this window; lost_messages: parts of records that found a ring full. */
bool watch_overload(struct mirror_watch *m, uint32_t mirror, const char *name, uint64_t start_ns, uint64_t lost_pkts,
                    bool lost_messages, const char *limit, struct rec_event *ret_event);

#endif

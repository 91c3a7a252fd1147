/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SEGMENTS_H
#define SPANWARD_SEGMENTS_H

/*
 * The part of the spool that is on disk: items in files of a directory, oldest first, bounded in bytes, with a checksum
 * on each. Whoever starts next finds what was left, also after SIGKILL in the middle of a write.
 *
 * Order: everything in the segments is older than what is in memory. A segment that is full is closed and another
 * begun; when the directory is over its limit or the disk is full, the oldest segment goes, and every item in it is
 * counted.
 *
 * Each segment names the run that wrote it by the start of its first window (see carry.h), and keeps the stream ids
 * from which its entries are numbered, fixed before the first of them is sent: a replay that was cut off and begins
 * anew gives the same ids. Owner: the analytics thread.
 */

#include "analytics/item.h"

struct segments;

struct segments_options {
    const char *dir;    /* made if absent */
    const char *sensor; /* segments of another sensor are left alone */
    uint64_t limit_bytes;
    uint64_t segment_bytes; /* 0: an eighth of the limit, at most 8 MiB */
};

/* Opens the directory for this process alone, and counts what is there. 0, -EBUSY when another process has it, -errno.
 */
int segments_open(const struct segments_options *options, struct segments **ret, struct error *e);
void segments_close(struct segments *s);

/* Items that are waiting, and the bytes that all files have. */
uint64_t segments_items(const struct segments *s);
uint64_t segments_bytes(const struct segments *s);

/* The start of this run's first window; segments that are begun afterwards carry it. */
void segments_set_run(struct segments *s, uint64_t first_start_ns);

/*
 * Appends the items of a list in their order and frees them, until `list` is NULL. On an error that dropping old
 * segments does not mend, the rest of the list is left to the caller. Drops are reported to on_drop.
 */
int segments_append(struct segments *s, struct item **list, struct error *e);

/* Called for each item that is given up: windows with their tier and start, so that markers can say so. */
void segments_on_drop(struct segments *s, void (*on_drop)(void *ctx, const struct item *x), void *ctx);

/* What the oldest segment is about. */
struct segment_head {
    uint64_t run_ns; /* of its run; UINT64_MAX: that had no window yet */
    bool ids_fixed;  /* closed and event count */
    struct schema_id closed, event;
};
/* False when there is nothing. */
bool segments_head(const struct segments *s, struct segment_head *ret);
/* True while nothing of the oldest segment was read by this process. */
bool segments_is_fresh(const struct segments *s);
/* Before the first item of the oldest segment is sent. */
int segments_fix_ids(struct segments *s, struct schema_id closed, struct schema_id event, struct error *e);

/*
 * Reads up to `max` items of the oldest segment that were not read yet. NULL when it is at its end. What does not
 * decode is counted as dropped.
 */
struct item *segments_read(struct segments *s, size_t max);
/* The store has all that was read: the segment is removed if that was its end. */
void segments_done(struct segments *s);
/* The store has not: what was read and not done will be read again. */
void segments_rewind(struct segments *s);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TRACK_H
#define SPANWARD_TRACK_H

/*
 * What connectors of trackers share beyond http.h: names for a request's key, comments that can be recognised, calls
 * with a formatted path, times.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "control/connectors/connector.h"
#include "control/connectors/http.h"

#define TRACK_KEY_HEX   32u /* of the create's key: 128 bits */
#define TRACK_REF_HEX   16u
#define TRACK_KEY_BYTES 64u

/* "spanward" SEP and the first 128 bits of the create's key. */
char *track_label(char ret[TRACK_KEY_BYTES], const struct connector_request *r, char sep);
/* What a comment of this request carries: "spanward-ref 0123456789abcdef". */
char *track_ref(char ret[TRACK_KEY_BYTES], const struct connector_request *r);
/* The body with a last line that holds the reference. malloc'd; NULL without memory. */
char *track_comment(const struct connector_request *r);

/*
 * One call with a JSON body (taken over; NULL: none) and a path. Returns whether it is done; *ret must be finished with
 * http_answer_fini either way.
 */
bool track_call(struct http *h, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Fills the answer of send, find, poll or check from a call that failed. Returns -EIO. */
int track_failed(const struct http_answer *a, struct connector_answer *ret);
/* For `present`: the answer to a GET of one ticket. 1 it is there, or hidden from us; 0 it is gone; -EIO and *ret. */
int track_present(struct http_answer *a, struct connector_answer *ret);
/* Our own refusal, with a reason. */
int track_refuse(struct connector_answer *ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "2026-11-17T10:00:00.000+0100", "...Z", "2026-11-17 10:00:00" (then UTC) to wall time; 0 when it is none. */
uint64_t track_time_ns(const char *text);
uint64_t track_now_ns(void);
/* UTC by strftime's format. */
void track_time_text(char *ret, size_t size, const char *format, uint64_t ns);

/*
 * What a poll has reported. An index lags behind, and times have seconds: polls ask for a while that they asked for
 * before, and leave out what is in here. Owner: the connector's context. The latest TRACK_SEEN are kept.
 */
#define TRACK_SEEN       1024u
#define TRACK_OVERLAP_NS (120 * 1000000000ull)
struct track_seen {
    uint64_t hash[TRACK_SEEN];
    unsigned n;
};
/* Whether this was asked before; from now on it was. */
bool track_seen(struct track_seen *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "" where a path leads to nothing or to no string: track_path(j, "fields", "status", "name", NULL). */
const char *track_path(const json_t *j, ...) __attribute__((sentinel));

#endif

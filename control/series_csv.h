/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SERIES_CSV_H
#define SPANWARD_SERIES_CSV_H

/*
 * A line `timestamp,value` of a series. Timestamps are ISO 8601 dates and times (a blank may stand for the T, a missing
 * zone means UTC) or numbers: seconds, milli-, micro- or nanoseconds since the epoch by their size. Either field may
 * stand in double quotes. Lines are not trusted: any bytes are either a row or an error.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

#define SERIES_LINE_BYTES 4096u

/* Fields point into the line, as they were. */
struct series_row {
    const char *time_text, *value_text;
    size_t time_len, value_len;
    int64_t time_ns;
    bool has_value; /* false: the field is empty */
    double value;   /* finite */
};

/* Days already computed; zeroed by the caller, one per stream. */
struct series_days {
    char text[10];
    bool known;
    int64_t days;
};

/* line without its end. 0, or -EINVAL with what is wrong. */
int series_row_parse(struct series_row *ret, const char *line, size_t len, struct series_days *days, struct error *e);
/* Whether a first line is a heading: two fields, of which neither is what a row has there. */
bool series_is_heading(const char *line, size_t len);

#endif

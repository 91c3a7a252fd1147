/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LOCALTIME_H
#define SPANWARD_LOCALTIME_H

/*
 * Local calendar of data time: hours of the week, dates and weeks, in the one zone of the process.
 *
 * A process has one zone (parameter time.zone), put into TZ once at start; glibc then knows all its daylight-saving
 * changes. In the autumn the repeated hour falls twice in its bin, in the spring one bin gets nothing that week. A date
 * is its number of days since 1970-01-01 in the local calendar, so that dates compare and subtract.
 */

#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

#define HOURS_PER_WEEK 168u

struct local_time {
    int32_t date;          /* local days since 1970-01-01 (a Thursday) */
    int32_t week;          /* weeks since the Monday 1969-12-29 */
    uint16_t hour_of_week; /* 0 = Monday 00 h */
    uint8_t weekday;       /* 0 = Monday */
    uint8_t hour;
    uint8_t minute;
    uint8_t day; /* of the month, from 1 */
};

/* zone: an IANA name or "" for the machine's. -EINVAL when there is no such zone. Before any thread starts. */
int local_init(const char *zone, struct error *e);
void local_from_ns(uint64_t ns, struct local_time *ret);
/* The inverse for hour h (0..47) of a date; in the spring's gap the hour after it. */
uint64_t local_to_ns(int32_t date, unsigned hour, unsigned minute);
uint8_t local_weekday(int32_t date);
int32_t local_week(int32_t date);
const char *weekday_name(uint8_t weekday);   /* "Tuesday" */
const char *weekday_plural(uint8_t weekday); /* "Tuesdays" */
/* "2026-11-17 08:03" or with offset "2026-11-17 08:03 +01:00"; returns buf. */
char *local_format(char *buf, size_t size, uint64_t ns, int with_offset);

#endif

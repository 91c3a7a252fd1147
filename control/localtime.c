/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Data time to local calendar and back; see localtime.h. Dates are computed from year, month and day (Howard Hinnant,
 * "chrono-compatible low-level date algorithms"), not from seconds, so that a day of 23 or 25 hours is one date.
 */

#include "control/localtime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/timefmt.h"

int local_init(const char *zone, struct error *e)
{
    char path[512];

    if (zone[0] != '\0') {
        const char *dir = getenv("TZDIR");
        snprintf(path, sizeof(path), "%s/%s", dir != NULL ? dir : "/usr/share/zoneinfo", zone);
        /* glibc takes an unknown name for UTC without a word; people would find their Tuesdays shifted. */
        bool rule = strchr(zone, ',') != NULL; /* a POSIX rule such as CET-1CEST,M3.5.0,M10.5.0/3 needs no tzdata */
        if (!rule &&
            (zone[0] == '/' || strstr(zone, "..") != NULL || (access(path, R_OK) != 0 && strcmp(zone, "UTC") != 0)))
            return error_set(e, -EINVAL, "time.zone '%.64s': no such zone in the machine's tzdata", zone);
        if (setenv("TZ", zone, 1) != 0)
            return error_set(e, -errno, "cannot set the time zone");
    }
    tzset();
    return 0;
}

static int32_t date_of(int year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + (int32_t)day_of_era - 719468;
}

uint8_t local_weekday(int32_t date)
{
    return (uint8_t)(((date % 7) + 7 + 3) % 7);
}

int32_t local_week(int32_t date)
{
    return (date + 3) / 7;
}

void local_from_ns(uint64_t ns, struct local_time *ret)
{
    time_t t = (time_t)(ns / NS_PER_S);
    struct tm tm;

    localtime_r(&t, &tm);
    ret->date = date_of(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday);
    ret->week = local_week(ret->date);
    ret->weekday = local_weekday(ret->date);
    ret->hour = (uint8_t)tm.tm_hour;
    ret->minute = (uint8_t)tm.tm_min;
    ret->day = (uint8_t)tm.tm_mday;
    ret->hour_of_week = (uint16_t)(ret->weekday * 24u + ret->hour);
}

uint64_t local_to_ns(int32_t date, unsigned hour, unsigned minute)
{
    struct tm tm = {.tm_year = 70, .tm_mday = date + 1, .tm_hour = (int)hour, .tm_min = (int)minute, .tm_isdst = -1};

    return (uint64_t)mktime(&tm) * NS_PER_S;
}

const char *weekday_name(uint8_t weekday)
{
    static const char *const names[7] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
    return names[weekday % 7];
}

const char *weekday_plural(uint8_t weekday)
{
    static const char *const names[7] = {"Mondays", "Tuesdays",  "Wednesdays", "Thursdays",
                                         "Fridays", "Saturdays", "Sundays"};
    return names[weekday % 7];
}

char *local_format(char *buf, size_t size, uint64_t ns, int with_offset)
{
    time_t t = (time_t)(ns / NS_PER_S);
    struct tm tm;
    size_t len;

    localtime_r(&t, &tm);
    len = strftime(buf, size, "%Y-%m-%d %H:%M", &tm);
    if (with_offset && len > 0) {
        long offset_min = tm.tm_gmtoff / 60;
        long magnitude = offset_min < 0 ? -offset_min : offset_min;
        snprintf(buf + len, size - len, " %c%02ld:%02ld", offset_min < 0 ? '-' : '+', magnitude / 60, magnitude % 60);
    }
    return buf;
}

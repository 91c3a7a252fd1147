/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_HOLIDAYS_H
#define SPANWARD_HOLIDAYS_H

/* Days on which a week is no week: compared with Sundays, and nothing is learnt. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

#define HOLIDAYS_MAX 256u

/* One date, or, with year 0, the same day of every year. */
struct holiday {
    int32_t year;
    uint8_t month, day;
};
struct holidays {
    struct holiday day[HOLIDAYS_MAX];
    size_t n;
};

/* "2026-04-03 12-25, 12-26": dates and yearly days, separated by blanks or commas. -EINVAL with the reason. */
int holidays_parse(struct holidays *ret, const char *text, struct error *e);
/* date: local days since 1970-01-01. h may be NULL. */
bool holidays_has(const struct holidays *h, int32_t date);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The list of holidays from the configuration (time.holidays). A site that is closed on a Thursday would look silent
 * against its Thursdays, and would teach them that silence is normal: so a holiday is judged by the bins of Sunday and
 * teaches nothing. Dates that move (Easter) have to be listed year by year.
 */

#include "control/holidays.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Year, month and day of a count of days (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static struct holiday civil(int32_t date)
{
    int32_t z = date + 719468;
    int32_t era = (z >= 0 ? z : z - 146096) / 146097;
    uint32_t of_era = (uint32_t)(z - era * 146097);
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint32_t m = (5 * of_year + 2) / 153;
    struct holiday ret = {.month = (uint8_t)(m < 10 ? m + 3 : m - 9),
                          .day = (uint8_t)(of_year - (153 * m + 2) / 5 + 1)};

    ret.year = (int32_t)year + era * 400 + (ret.month <= 2);
    return ret;
}

static bool parse_one(const char *word, struct holiday *ret)
{
    unsigned year = 0, month, day;
    int used = 0;

    if (sscanf(word, "%4u-%2u-%2u%n", &year, &month, &day, &used) != 3 || word[used] != '\0') {
        year = 0;
        used = 0;
        if (sscanf(word, "%2u-%2u%n", &month, &day, &used) != 2 || word[used] != '\0')
            return false;
    }
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *ret = (struct holiday){(int32_t)year, (uint8_t)month, (uint8_t)day};
    return true;
}

int holidays_parse(struct holidays *ret, const char *text, struct error *e)
{
    struct holidays list = {.n = 0};
    char word[16];

    while (*(text += strspn(text, ", \t")) != '\0') {
        size_t len = strcspn(text, ", \t");
        snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), text);
        if (list.n == HOLIDAYS_MAX)
            return error_set(e, -EINVAL, "time.holidays: more than %u days", HOLIDAYS_MAX);
        if (len >= sizeof(word) || !parse_one(word, &list.day[list.n]))
            return error_set(e, -EINVAL,
                             "time.holidays: '%s' is neither a date such as 2026-12-25 nor a day such as 12-25", word);
        list.n++;
        text += len;
    }
    *ret = list;
    return 0;
}

bool holidays_has(const struct holidays *h, int32_t date)
{
    if (h == NULL || h->n == 0)
        return false;
    struct holiday d = civil(date);
    for (size_t i = 0; i < h->n; i++) {
        if (h->day[i].month == d.month && h->day[i].day == d.day && (h->day[i].year == 0 || h->day[i].year == d.year))
            return true;
    }
    return false;
}

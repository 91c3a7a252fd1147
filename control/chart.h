/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CHART_H
#define SPANWARD_CHART_H

/*
 * Charts of a fault as SVG files that need nothing else: no script, no font, no link. All text in them is escaped.
 */

#include <stddef.h>
#include <stdint.h>
#include "store/entities.h"

#define CHART_MOST        16u /* occurrences that a chart of values shows */
#define CHART_VALUE_BYTES 64u

/* One occurrence as a chart wants it: local hour of the week, value and what was expected, in the fault's unit. */
struct chart_point {
    uint64_t onset_ns;
    double value, expected;
    uint64_t n; /* what the value rests on */
    uint16_t hour_of_week;
    uint16_t hours; /* how long it lasted, at least 1 */
};

/* Both: malloc'd, NUL-terminated; NULL without memory. title is any text. */

/* 7 × 24 cells: how often the fault was there in each hour of the week. */
char *chart_week(const char *title, const struct chart_point *point, size_t n);
/* The latest occurrences, oldest first: a bar for the value, a mark for what was expected, n below. */
char *chart_values(const char *title, enum fault_class fault, const struct chart_point *point, size_t n);
/* A value of a fault with its unit: "3.25 %", "12.4 ms", "940 Mbit/s". Returns buf. */
const char *chart_value_text(char buf[CHART_VALUE_BYTES], enum fault_class fault, double value);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/* The ledger, and that every enum that has names has one for each value and no two alike. */

#include <string.h>

#include "common/counters.h"
#include "common/events.h"
#include "common/record.h"
#include "tests/unit/unit.h"

START_TEST(ledger_merges_and_sums)
{
    struct ledger a = {.offered = 100, .processed = 90, .unsupported = 1}, b = {.offered = 7, .unsupported = 4};

    for (int i = 0; i < LEDGER_DROP_COUNT; i++)
        b.drops[i] = (uint64_t)i + 1;
    a.drops[LEDGER_nic_missed] = 10;
    ck_assert_uint_eq(ledger_drop_sum(&a), 10);
    ledger_merge(&a, &b);
    ck_assert_uint_eq(a.offered, 107);
    ck_assert_uint_eq(a.processed, 90);
    ck_assert_uint_eq(a.unsupported, 5);
    ck_assert_uint_eq(ledger_drop_sum(&a), 10 + LEDGER_DROP_COUNT * (LEDGER_DROP_COUNT + 1) / 2);
}
END_TEST

#define DISTINCT(function, count)                                                                                      \
    for (int i = 0; i < (int)(count); i++) {                                                                           \
        ck_assert_msg(function(i) != NULL && function(i)[0] != '\0', #function " %d", i);                              \
        for (int k = 0; k < i; k++)                                                                                    \
            ck_assert_str_ne(function(i), function(k));                                                                \
    }

START_TEST(names_are_complete_and_distinct)
{
    DISTINCT(ledger_drop_name, LEDGER_DROP_COUNT)
    DISTINCT(ledger_drop_text, LEDGER_DROP_COUNT)
    DISTINCT(event_kind_name, EVENT_KIND_COUNT)
    DISTINCT(event_severity_name, EVENT_SEVERITY_COUNT)
    DISTINCT(flow_end_name, FLOW_END_COUNT)
    DISTINCT(tcp_state_name, TCP_STATE_COUNT)
    DISTINCT(tunnel_type_name, TUNNEL_COUNT)
    for (int i = 0; i < LEDGER_DROP_COUNT; i++)
        ck_assert(ledger_drop_todo(i)[0] != '\0');
    ck_assert_str_eq(ledger_drop_name(LEDGER_filtered), "filtered");
    ck_assert_str_eq(event_kind_name(EVENT_MIRROR_SILENT), "mirror.silent");
    ck_assert_int_eq(event_kind_severity(EVENT_MIRROR_SILENT), EVENT_major);
    ck_assert_str_eq(tunnel_type_name(TUNNEL_TZSP), "tzsp");
    ck_assert_str_eq(tcp_state_name(TCP_RESET), "reset");
    ck_assert_str_eq(flow_end_name(FLOW_END_EOF), "eof");
}
END_TEST

UNIT_MAIN("counters", ledger_merges_and_sums, names_are_complete_and_distinct)

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_REPORT_H
#define SPANWARD_CLI_REPORT_H

/*
 * What a capture shows, on one page: made from the probe's records as they stream by, in memory that does not depend on
 * how many there are.
 */

#include <stdio.h>
#include "apps/cli/rows.h"
#include "apps/cli/table.h"
#include "common/events.h"
#include "common/log.h"

/* Rows per section, and how many kinds of events are told apart. */
#define REPORT_ROWS        8
#define REPORT_EVENT_KINDS 64

/* Owner: cmd_read. Borrowed nothing; report_fini frees all. */
struct report {
    struct worst flows, paths, services;
    json_t *verdicts, *ledgers; /* one per mirror */
    json_t *event_kinds;        /* kind -> row with count, first and last time, worst severity */
    uint64_t n_flows, n_events, n_records;
    uint64_t first_ns, last_ns; /* of flows; 0 = none */
};

int report_init(struct report *r);
void report_fini(struct report *r);

/* One NDJSON line. -EBADMSG with the reason when it is no record. Unknown types are counted and left alone. */
int report_add(struct report *r, const char *line, size_t len, struct error *e);

/* Prints the page: verdict, ledger, paths, services, flows, events. */
void report_print(FILE *out, struct report *r, const struct table_view *view);

/* A heading between sections. */
void report_heading(FILE *out, const struct table_view *view, const char *title, const char *note);

/* One mirror's verdict, "both directions, no copies, ..." and its notes; and its ledger. */
void report_verdict(FILE *out, const struct table_view *view, const json_t *verdict);
void report_ledger(FILE *out, const struct table_view *view, const json_t *ledger);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_ENTITY_ROWS_H
#define SPANWARD_CLI_ENTITY_ROWS_H

/* Incidents, problems and tickets as rows: control's own JSON and a few derived texts. */

#include <jansson.h>
#include <stdio.h>
#include "apps/cli/table.h"
#include "common/log.h"
#include "store/entities.h"

extern const struct column incident_columns[];
extern const struct column problem_columns[];
extern const struct column ticket_columns[];

/* A new array of all entities of a kind (incident, problem, ticket), in order of id; NULL with the reason in e. */
json_t *entity_rows(struct store *s, enum entity_kind kind, struct error *e);

/* Which incidents belong on a page: those that were bad between these times, data time. */
struct entity_span {
    uint64_t from_ns, until_ns;
};

/*
 * Prints incidents (of that time), problems and tickets, each under a heading; nothing when there is none. One line
 * says so when all three are empty.
 */
int entity_sections(FILE *out, struct store *s, const struct table_view *view, struct entity_span span,
                    struct error *e);

#endif

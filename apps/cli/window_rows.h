/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_WINDOW_ROWS_H
#define SPANWARD_CLI_WINDOW_ROWS_H

/*
 * Windows as rows of a table without a detour over JSON: ten thousand paths are shown in the time that their objects
 * would take to be made. --json still gets the objects of rows.h, one at a time.
 */

#include "apps/cli/rows.h"
#include "common/config.h"

struct window_row {
    const struct window *w;
    const char *sensor;
    struct badness rank;
};

/* Owner: the command. Invariant: the windows that the rows point to are in `owned`; sensors' names are the caller's. */
struct window_rows {
    const struct config *config; /* capacities of circuits; NULL: none */
    struct window_row *row;
    size_t n;
    struct window **owned;
    size_t n_owned;
};

/* Takes over the windows, whatever becomes of it. 0 or -ENOMEM. */
int window_rows_add(struct window_rows *r, struct window *windows, size_t n, const char *sensor);
void window_rows_fini(struct window_rows *r);

/* Worst first; what is no path and no service has no worst, there the most bytes go first. */
void window_rows_sort(struct window_rows *r);

/* See table_print_rows. */
int window_rows_print(FILE *out, const struct window_rows *r, const struct column *columns,
                      const struct table_view *view, struct error *e);

/* What the column's key names in the JSON row of the window, without making it. */
struct table_value window_row_value(const struct window_rows *r, const struct window_row *row, const char *key);
/* That JSON row; a new reference. */
json_t *window_row_json(const struct window_rows *r, const struct window_row *row);

#endif

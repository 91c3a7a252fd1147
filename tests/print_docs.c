/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Prints the generated documents: print_docs CONFIG | COUNTERS. The tables in common/ are the single source of names,
 * units and descriptions; docs/ holds their printed form so that it can be read without building anything.
 */

#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/counters.h"
#include "common/events.h"
#include "common/window.h"

struct row {
    const char *name, *unit, *text;
};

#define X(name, unit, text) {#name, unit, text},
static const struct row dir_rows[] = {WINDOW_DIR_COUNTERS(X)};
static const struct row window_rows[] = {WINDOW_COUNTERS(X)};
#undef X

static void print_rows(const char *title, const char *text, const struct row *rows, size_t n)
{
    printf("\n## %s\n\n%s\n\n| name | unit | meaning |\n|---|---|---|\n", title, text);
    for (size_t i = 0; i < n; i++)
        printf("| `%s` | %s | %s |\n", rows[i].name, rows[i].unit, rows[i].text);
}

static void print_counters(void)
{
    printf("# Counters and events\n\n"
           "<!-- Generated from common/counters.h, common/window.h and common/events.h by scripts/format; do not edit. "
           "-->\n\n"
           "## The ledger\n\n"
           "Every packet offered to the sensor is processed or in exactly one of these drops:\n"
           "`offered = processed + sum of drops`. A driver that cannot report one shows null, not 0.\n\n"
           "| drop | meaning | what to do |\n|---|---|---|\n");
    for (enum ledger_drop d = 0; d < LEDGER_DROP_COUNT; d++)
        printf("| `%s` | %s | %s |\n", ledger_drop_name(d), ledger_drop_text(d), ledger_drop_todo(d));
    print_rows(
        "Per window and direction",
        "For a mirror, a path, a service and a host. Direction 0 is a2b on a path (A is the site whose name sorts "
        "first), c2s\n(towards the server) elsewhere. Loss is split at the tap: upstream between the sender and "
        "the tap, downstream behind it.",
        dir_rows, sizeof(dir_rows) / sizeof(dir_rows[0]));
    print_rows("Per window", "Both directions together.", window_rows, sizeof(window_rows) / sizeof(window_rows[0]));
    printf("\n## Quality of a window\n\n| quality | meaning |\n|---|---|\n"
           "| `%s` | loss may be published and tickets may rest on it |\n"
           "| `%s` | the mirror missed more than 1 %% or showed mostly one direction: no ticket may rest on it |\n"
           "| `%s` | the sensor itself lost packets or never saw the flows' other half |\n",
           window_quality_name(WINDOW_OK), window_quality_name(WINDOW_UNSURE), window_quality_name(WINDOW_BLIND));
    printf("\n## Events\n\n| event | severity |\n|---|---|\n");
    for (enum event_kind k = 0; k < EVENT_KIND_COUNT; k++)
        printf("| `%s` | %s |\n", event_kind_name(k), event_severity_name(event_kind_severity(k)));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "CONFIG") == 0) {
        config_print_reference(stdout);
    } else if (argc == 2 && strcmp(argv[1], "COUNTERS") == 0) {
        print_counters();
    } else {
        fprintf(stderr, "usage: print_docs CONFIG|COUNTERS\n");
        return 2;
    }
    return fflush(stdout) != 0 || ferror(stdout);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* spanward events: what the sensors reported, oldest first, the newest at the bottom where the eye is. */

#include "apps/cli/command.h"

#include <stdlib.h>
#include <string.h>
#include "apps/cli/rows.h"
#include "apps/cli/source.h"
#include "common/timefmt.h"

#define DEFAULT_LIMIT 50u
#define ALL_EVENTS    100000u
#define DEFAULT_SINCE (24 * 3600 * NS_PER_S)

static json_t *row_of_event(const struct schema_event *ev, const char *sensor)
{
    json_t *detail = json_loads(ev->detail, JSON_ALLOW_NUL, NULL);
    json_t *row = json_object();

    json_object_set_new(row, "type", json_string("event"));
    json_object_set_new(row, "ts_ns", json_integer((json_int_t)ev->ts_ns));
    json_object_set_new(row, "kind", row_text(ev->kind_name, SIZE_MAX));
    json_object_set_new(row, "mirror", row_text(ev->mirror, SIZE_MAX));
    json_object_set_new(row, "subject", row_text(ev->subject, SIZE_MAX));
    json_object_set_new(row, "severity", json_string(event_severity_name(ev->severity)));
    json_object_set_new(row, "detail", detail != NULL ? detail : json_null());
    json_object_set_new(row, "sensor", row_text(sensor, SIZE_MAX));
    return row;
}

static int add_sensor(struct cli *cli, struct source *source, const struct schema_sensor *s, size_t max, json_t *rows)
{
    struct schema_event *events;
    struct error e;
    uint64_t since;
    size_t n;

    if (source_since(cli, s, DEFAULT_SINCE, &since) != CLI_OK)
        return CLI_USAGE;
    if (schema_event_range(source->store, s->name, since, UINT64_MAX / 2, max, &events, &n, &source->skipped, &e) < 0)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    for (size_t i = n; i-- > 0;)
        json_array_append_new(rows, row_of_event(&events[i], s->name));
    free(events);
    return CLI_OK;
}

static int run_events(struct cli *cli)
{
    struct source source;
    json_t *rows = json_array();
    size_t max = !args_has(&cli->args, "limit") ? DEFAULT_LIMIT : cli->view.limit == 0 ? ALL_EVENTS : cli->view.limit;
    int code = source_open(cli, SOURCE_SENSORS, &source);

    for (size_t i = 0; code == CLI_OK && i < source.n_sensors; i++)
        code = add_sensor(cli, &source, &source.sensor[i], max, rows);
    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    bool one = source.n_sensors == 1;
    source_warn_skipped(cli, &source);
    source_close(&source);
    cli->view.limit = 0;
    if (!one && cli->view.sort == NULL)
        cli->view.sort = "time";
    return cli_rows(cli, rows, "No events in that time.");
}

static const struct example examples[] = {
    {"events", "the last 24 hours"},
    {"events --since 10m --utc", "just now, in UTC"},
    {"events --json --limit 0 | jq 'select(.severity==\"major\")'", "for programs"},
    {NULL, NULL},
};
static const struct option_def options[] = {
    {"since", "DURATION", 0, "how far back from the newest data, 10m or 2h (default: 24h)"},
    {"sensor", "NAME", 0, "only this sensor"},
    {NULL, NULL, 0, NULL},
};
const struct command command_events = {
    .name = "events",
    .group = "What is happening",
    .summary = "what changed on the wire and about the mirror itself",
    .usage = "",
    .examples = examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = event_columns,
    .run = run_events,
};

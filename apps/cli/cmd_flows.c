/* SPDX-License-Identifier: BSD-3-Clause */

/* spanward flows: the worst finished flows that the sensors kept, by loss, latency or bytes. */

#include "apps/cli/command.h"

#include <string.h>
#include "apps/cli/rows.h"
#include "apps/cli/source.h"
#include "common/bytes.h"
#include "common/timefmt.h"

#define DEFAULT_LIMIT 20u
#define DEFAULT_SINCE (24 * 3600 * NS_PER_S)

static int choose_kind(const struct cli *cli, enum schema_top *ret)
{
    const char *name = args_value(&cli->args, "by");
    char safe[64];

    *ret = SCHEMA_TOP_LOSS;
    if (name == NULL)
        return CLI_OK;
    for (int k = 0; k < SCHEMA_TOP_COUNT; k++) {
        if (strcmp(name, schema_top_name((enum schema_top)k)) == 0) {
            *ret = (enum schema_top)k;
            return CLI_OK;
        }
    }
    text_escape(safe, sizeof(safe), name, strlen(name));
    return cli_fail(cli, CLI_USAGE, "--by is one of loss, latency and bytes, not '%s'", safe);
}

/* A flow without loss is no answer to "which flows lose", but still one to the other two questions. */
static void append_flows(json_t *rows, const struct schema_flow *flows, size_t n, enum schema_top kind,
                         const char *sensor, struct schema_skipped *skipped)
{
    for (size_t i = 0; i < n; i++) {
        if (kind == SCHEMA_TOP_LOSS && flows[i].score == 0)
            continue;
        json_t *row = row_of_flow(json_loads(flows[i].json, JSON_ALLOW_NUL, NULL));
        if (row == NULL) {
            skipped->corrupt++;
            continue;
        }
        json_object_set_new(row, "sensor", json_string(sensor));
        json_object_set_new(row, "score", json_integer((json_int_t)flows[i].score));
        json_array_append_new(rows, row);
    }
}

static int add_sensor(struct cli *cli, struct source *source, const struct schema_sensor *s, enum schema_top kind,
                      size_t max, json_t *rows)
{
    struct schema_flow *flows;
    struct error e;
    uint64_t since;
    size_t n;

    if (source_since(cli, s, DEFAULT_SINCE, &since) != CLI_OK)
        return CLI_USAGE;
    if (schema_top_read(source->store, s->name, kind, since, UINT64_MAX / 2, max, &flows, &n, &source->skipped, &e) < 0)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    append_flows(rows, flows, n, kind, s->name, &source->skipped);
    schema_flows_free(flows, n);
    return CLI_OK;
}

static struct badness badness_of_score(const json_t *row)
{
    return (struct badness){{(uint64_t)json_integer_value(json_object_get(row, "score"))}};
}

static int run_flows(struct cli *cli)
{
    struct source source;
    enum schema_top kind;
    json_t *rows = json_array();
    bool given = args_has(&cli->args, "limit");
    int code = choose_kind(cli, &kind);

    if (!given)
        cli->view.limit = DEFAULT_LIMIT;
    size_t max = cli->view.limit == 0 ? 100000 : cli->view.limit;
    if (code == CLI_OK)
        code = source_open(cli, SOURCE_SENSORS, &source);
    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    for (size_t i = 0; code == CLI_OK && i < source.n_sensors; i++)
        code = add_sensor(cli, &source, &source.sensor[i], kind, max, rows);
    source_warn_skipped(cli, &source);
    source_close(&source);
    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    rows_sort_worst(rows, badness_of_score);
    return cli_rows(cli, rows,
                    kind == SCHEMA_TOP_LOSS ? "No finished flow lost anything; try --by latency or --by bytes."
                                            : "No finished flows in that time.");
}

static const struct example examples[] = {
    {"flows", "the flows that lost most, with the side of the tap where it happened"},
    {"flows --by latency --since 1h", "the slowest of the last hour"},
    {"flows --by bytes --limit 5", "the largest"},
    {"flows --json | jq -r .community_id", "for looking them up elsewhere"},
    {NULL, NULL},
};
static const struct option_def options[] = {
    {"by", "WHAT", 'b', "loss (default), latency or bytes"},
    {"since", "DURATION", 0, "how far back from the newest data, 10m or 2h (default: 24h)"},
    {"sensor", "NAME", 0, "only this sensor"},
    {NULL, NULL, 0, NULL},
};
const struct command command_flows = {
    .name = "flows",
    .group = "What is happening",
    .summary = "the worst finished flows, by loss, latency or bytes",
    .usage = "",
    .text = "Sensors keep the worst flows of each minute for two hours and of each hour for seven days. For every flow "
            "of a capture use: "
            "spanward read FILE --json.",
    .examples = examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = flow_columns,
    .run = run_flows,
};

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward paths, services, circuits, vlans, tunnels and hosts: what the newest closed window says of every object,
 * worst or busiest first; with a name, that object's windows one after the other.
 *
 * One minute is the default: the base window (10 s) holds too few packets for a loss share to mean much. While no
 * minute is complete yet, the base windows are shown.
 */

#include "apps/cli/command.h"

#include <stdlib.h>
#include <string.h>
#include "apps/cli/rows.h"
#include "apps/cli/source.h"
#include "common/bytes.h"
#include "common/timefmt.h"

#define HISTORY_WINDOWS 30u
#define PATH_HISTORY    "time,flows,pkts,a-tap,tap-b,b-tap,tap-a,rtt-a,rtt-b,quality"
#define LINK_HISTORY    "time,out,in,peak,use,flows,lost-near,lost-far,rtt-near,rtt-far,quality"
#define SERVICE_HISTORY "time,flows,pkts,failed,lost-client,lost-server,rtt-client,rtt-server,response,quality"

static int choose_tier(const struct cli *cli, const struct schema_sensor *s, enum schema_tier *ret)
{
    const char *name = args_value(&cli->args, "tier");
    char safe[64];

    if (name == NULL) {
        *ret = schema_tier_exists(SCHEMA_1MIN, s->window_ns) && s->latest_start_ns[SCHEMA_1MIN] != UINT64_MAX
                   ? SCHEMA_1MIN
                   : SCHEMA_BASE;
        return CLI_OK;
    }
    for (int t = 0; t < SCHEMA_TIER_COUNT; t++) {
        if (strcmp(name, schema_tier_name((enum schema_tier)t)) == 0) {
            *ret = (enum schema_tier)t;
            return CLI_OK;
        }
    }
    text_escape(safe, sizeof(safe), name, strlen(name));
    return cli_fail(cli, CLI_USAGE, "--tier is one of base, 1min, 15min and 1h, not '%s'", safe);
}

/* The share of a circuit's capacity that its busier direction took; null where the capacity is not configured. */
static json_t *use_of(const struct config *c, const struct window *w)
{
    uint64_t bytes =
        w->c.dir[0].frame_bytes > w->c.dir[1].frame_bytes ? w->c.dir[0].frame_bytes : w->c.dir[1].frame_bytes;

    for (size_t i = 0; i < c->n_circuits && w->length_ns != 0; i++)
        if (strcmp(c->circuits[i].id, w->name) == 0 && c->circuits[i].capacity_bits_per_s != 0)
            return json_real(8e11 * (double)bytes / (double)w->length_ns / (double)c->circuits[i].capacity_bits_per_s);
    return json_null();
}

static bool is_link(enum window_scope scope)
{
    return scope != WINDOW_PATH && scope != WINDOW_SERVICE;
}

/* Most bytes first. */
static struct badness busyness(const json_t *row)
{
    double bytes = json_number_value(row_value(row, "derived.bytes"));

    return (struct badness){{bytes > 0 ? (uint64_t)bytes : 0, 0, 0}};
}

static struct badness rank_of(const struct window *w)
{
    if (is_link(w->scope))
        return (struct badness){{w->c.dir[0].bytes + w->c.dir[1].bytes, 0, 0}};
    return badness_of_window(w);
}

static int compare_windows(const void *a, const void *b)
{
    struct badness x = rank_of(a), y = rank_of(b);
    int order = badness_compare(&y, &x);

    return order != 0 ? order : strcmp(((const struct window *)a)->name, ((const struct window *)b)->name);
}

/* Rows cost more than windows: of ten thousand, only those that will be shown are made. */
static size_t keep_shown(struct cli *cli, struct window *windows, size_t n)
{
    size_t limit = cli->view.limit;

    if (cli->args.n_rest != 0 || cli->view.sort != NULL || limit == 0 || n <= limit)
        return n;
    qsort(windows, n, sizeof(*windows), compare_windows);
    cli->view.n_unseen += n - limit;
    return limit;
}

static void append_windows(json_t *rows, const struct config *c, const struct window *windows, size_t n,
                           const char *sensor)
{
    for (size_t i = 0; i < n; i++) {
        json_t *row = row_of_window(&windows[i], sensor);
        if (windows[i].scope == WINDOW_CIRCUIT)
            json_object_set_new(row, "use_pct", use_of(c, &windows[i]));
        json_array_append_new(rows, row);
    }
}

static int read_object(struct cli *cli, struct source *source, const struct schema_sensor *s, enum window_scope scope,
                       enum schema_tier tier, struct window **ret_windows, size_t *ret_n)
{
    uint64_t length = schema_tier_length_ns(tier, s->window_ns), latest = s->latest_start_ns[tier], since;
    struct error e;

    if (source_since(cli, s, HISTORY_WINDOWS * length, &since) != CLI_OK)
        return CLI_USAGE;
    if (schema_window_read(source->store, s, scope, cli->args.rest[0], tier, since, latest + 1, ret_windows, ret_n,
                           &source->skipped, &e) < 0)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    return CLI_OK;
}

/* Adds one sensor's windows to rows. */
static int add_sensor(struct cli *cli, struct source *source, const struct schema_sensor *s, enum window_scope scope,
                      json_t *rows)
{
    enum schema_tier tier = SCHEMA_BASE;
    struct window *windows = NULL;
    size_t n = 0;
    struct error e;
    int code = choose_tier(cli, s, &tier);

    if (code != CLI_OK || s->latest_start_ns[tier] == UINT64_MAX)
        return code;
    if (cli->args.n_rest > 0)
        code = read_object(cli, source, s, scope, tier, &windows, &n);
    else if (schema_window_latest(source->store, s, scope, tier, &windows, &n, &source->skipped, &e) < 0)
        code = cli_fail(cli, CLI_ERROR, "%s", e.text);
    n = code == CLI_OK ? keep_shown(cli, windows, n) : 0;
    append_windows(rows, source->config, windows, n, s->name);
    free(windows);
    return code;
}

static int run_windows(struct cli *cli, enum window_scope scope, const char *history, const char *empty)
{
    struct source source;
    json_t *rows = json_array();
    int code = source_open(cli, SOURCE_SENSORS, &source);

    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    for (size_t i = 0; code == CLI_OK && i < source.n_sensors; i++)
        code = add_sensor(cli, &source, &source.sensor[i], scope, rows);
    source_warn_skipped(cli, &source);
    source_close(&source);
    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    if (cli->args.n_rest == 0)
        rows_sort_worst(rows, is_link(scope) ? busyness : badness_of_scope);
    else if (cli->view.columns == NULL && cli->view.mode != TABLE_JSON)
        cli->view.columns = history;
    return cli_rows(cli, rows, empty);
}

static int run_paths(struct cli *cli)
{
    return run_windows(cli, WINDOW_PATH, PATH_HISTORY,
                       cli->args.n_rest ? "No windows of this path in that time; see: spanward paths"
                                        : "No path in the newest window.");
}

static int run_services(struct cli *cli)
{
    return run_windows(cli, WINDOW_SERVICE, SERVICE_HISTORY,
                       cli->args.n_rest ? "No windows of this service in that time; see: spanward services"
                                        : "No service in the newest window.");
}

static int run_links(struct cli *cli, enum window_scope scope)
{
    char empty[160];

    if (cli->args.n_rest != 0)
        snprintf(empty, sizeof(empty), "No windows of this %s in that time; see: spanward %ss",
                 window_scope_name(scope), window_scope_name(scope));
    else
        snprintf(empty, sizeof(empty), "No %s in the newest window.", window_scope_name(scope));
    return run_windows(cli, scope, LINK_HISTORY, empty);
}

static int run_circuits(struct cli *cli)
{
    return run_links(cli, WINDOW_CIRCUIT);
}

static int run_vlans(struct cli *cli)
{
    return run_links(cli, WINDOW_VLAN);
}

static int run_tunnels(struct cli *cli)
{
    return run_links(cli, WINDOW_TUNNEL);
}

static int run_hosts(struct cli *cli)
{
    return run_links(cli, WINDOW_HOST);
}

static const struct option_def options[] = {
    {"tier", "NAME", 't', "base (the sensor's own windows), 1min, 15min or 1h"},
    {"since", "DURATION", 0, "with a name: how far back, 2h or 7d (default: 30 windows)"},
    {"sensor", "NAME", 0, "only this sensor"},
    {NULL, NULL, 0, NULL},
};

static const struct example path_examples[] = {
    {"paths", "loss by segment and RTT by side, worst first"},
    {"paths 'branch-12~hq' --since 6h --tier 15min", "one path over the morning"},
    {"paths --sort -rtt-b --limit 10", "the ten slowest towards B"},
    {"paths --json | jq 'select(.quality!=\"ok\").path'", "where the mirror itself is in doubt"},
    {NULL, NULL},
};
const struct command command_paths = {
    .name = "paths",
    .group = "What is happening",
    .summary = "loss by segment and latency by side, path by path",
    .usage = "[PATH]",
    .text = "A path is a pair of sites A~B with the tap between them. Loss is told for each direction on each side of "
            "the tap, "
            "RTT for each side. Quality 'unsure' means that the mirror missed traffic: do not blame the network by it.",
    .examples = path_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = path_columns,
    .max_rest = 1,
    .run = run_paths,
};

static const struct example service_examples[] = {
    {"services", "failures, loss and response times, worst first"},
    {"services https --since 2h", "one service over the last two hours"},
    {"services --columns name,response,response-p90 --sort -response", "who answers slowly"},
    {NULL, NULL},
};
const struct command command_services = {
    .name = "services",
    .group = "What is happening",
    .summary = "failed connections, loss and response times, service by service",
    .usage = "[SERVICE]",
    .examples = service_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = service_columns,
    .max_rest = 1,
    .run = run_services,
};

static const struct example circuit_examples[] = {
    {"circuits", "the busiest first, against their capacity"},
    {"circuits C-4711 --since 7d --tier 1h", "one circuit, hour by hour"},
    {NULL, NULL},
};
const struct command command_circuits = {
    .name = "circuits",
    .group = "What is happening",
    .summary = "traffic, peaks and use of each configured circuit, with loss and latency on it",
    .usage = "[CIRCUIT]",
    .text = "A circuit is the sum of the paths from and to its site (circuits in the configuration). OUT comes from "
            "the site; what is lost NEAR was lost between the site and the tap, which is where the circuit is.",
    .examples = circuit_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = circuit_columns,
    .max_rest = 1,
    .run = run_circuits,
};

static const struct example vlan_examples[] = {
    {"vlans", "the busiest first"},
    {"vlans 120 --since 2h", "one VLAN over two hours"},
    {NULL, NULL},
};
const struct command command_vlans = {
    .name = "vlans",
    .group = "What is happening",
    .summary = "traffic, peaks, loss and latency, VLAN by VLAN",
    .usage = "[VLAN]",
    .examples = vlan_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = vlan_columns,
    .max_rest = 1,
    .run = run_vlans,
};

static const struct example tunnel_examples[] = {
    {"tunnels", "the busiest first"},
    {"tunnels --sort -rtt-near", "the slowest first"},
    {NULL, NULL},
};
const struct command command_tunnels = {
    .name = "tunnels",
    .group = "What is happening",
    .summary = "traffic, peaks, loss and latency inside each tunnel",
    .usage = "[TUNNEL]",
    .examples = tunnel_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = tunnel_columns,
    .max_rest = 1,
    .run = run_tunnels,
};

static const struct example host_examples[] = {
    {"hosts", "the busiest first"},
    {"hosts 10.12.0.21 --since 2h", "one host over two hours"},
    {NULL, NULL},
};
const struct command command_hosts = {
    .name = "hosts",
    .group = "What is happening",
    .summary = "the hosts with most bytes, of flows that ended",
    .usage = "[HOST]",
    .examples = host_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = host_columns,
    .max_rest = 1,
    .run = run_hosts,
};

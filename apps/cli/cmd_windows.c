/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward paths, services, circuits, vlans, tunnels and hosts: what the newest closed window says of every object,
 * worst or busiest first; with a name, that object's windows one after the other.
 *
 * One minute is the default: the base window (10 s) holds too few packets for a loss share to mean much. While no
 * minute is complete yet, the base windows are shown.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "apps/cli/rows.h"
#include "apps/cli/source.h"
#include "apps/cli/window_rows.h"
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
                      struct window_rows *rows)
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
    if (code == CLI_OK && window_rows_add(rows, windows, n, s->name) != 0)
        code = cli_fail(cli, CLI_ERROR, "out of memory");
    return code;
}

/* A name that was asked for and is not there is an error, as everywhere; that nothing is there at all is none. */
static int print_windows(struct cli *cli, const struct window_rows *rows, const char *empty)
{
    struct error e;

    if (rows->n == 0 && cli->args.n_rest != 0)
        return cli_fail(cli, CLI_ERROR, "%s", empty);
    if (rows->n == 0 && cli->view.mode == TABLE_HUMAN) {
        fprintf(stderr, "%s\n", empty);
        return CLI_OK;
    }
    int r = window_rows_print(stdout, rows, cli->command->columns, &cli->view, &e);
    return r < 0 ? cli_fail(cli, r == -EINVAL ? CLI_USAGE : CLI_ERROR, "%s", e.text) : CLI_OK;
}

static int run_windows(struct cli *cli, enum window_scope scope, const char *history, const char *empty)
{
    struct source source;
    int code = source_open(cli, SOURCE_SENSORS, &source);

    if (code != CLI_OK)
        return code;
    struct window_rows rows = {.config = source.config};
    for (size_t i = 0; code == CLI_OK && i < source.n_sensors; i++)
        code = add_sensor(cli, &source, &source.sensor[i], scope, &rows);
    source_warn_skipped(cli, &source);
    if (cli->args.n_rest == 0)
        window_rows_sort(&rows);
    else if (cli->view.columns == NULL && cli->view.mode != TABLE_JSON)
        cli->view.columns = history;
    if (code == CLI_OK)
        code = print_windows(cli, &rows, empty);
    window_rows_fini(&rows);
    source_close(&source);
    return code;
}

static int run_paths(struct cli *cli)
{
    return run_windows(cli, WINDOW_PATH, PATH_HISTORY,
                       cli->args.n_rest ? "no windows of this path in that time; see: spanward paths"
                                        : "No path in the newest window.");
}

static int run_services(struct cli *cli)
{
    return run_windows(cli, WINDOW_SERVICE, SERVICE_HISTORY,
                       cli->args.n_rest ? "no windows of this service in that time; see: spanward services"
                                        : "No service in the newest window.");
}

static int run_links(struct cli *cli, enum window_scope scope)
{
    char empty[160];

    if (cli->args.n_rest != 0)
        snprintf(empty, sizeof(empty), "no windows of this %s in that time; see: spanward %ss",
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

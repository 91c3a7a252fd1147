/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward simulate: weeks of windows with planted faults and the truth about them, for trying out control, thresholds
 * and tickets before a real fault comes. The stream goes to `spanward-control --replay`,
 * or straight into a store that control follows.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/localtime.h"
#include "control/simulate.h"

#define MAX_SCENARIOS 64u

static const struct column columns[] = {
    {"scenario", "SCENARIO", "scenario", COLUMN_TEXT, 0, "name, for --scenario"},
    {"text", "WHAT HAPPENS", "text", COLUMN_TEXT, 0, "what is planted in it"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static int list_scenarios(struct cli *cli)
{
    struct simulate_scenario list[MAX_SCENARIOS];
    size_t n = simulate_scenarios(list, MAX_SCENARIOS);
    json_t *rows = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(rows, json_pack("{s:s,s:s}", "scenario", list[i].name, "text", list[i].text));
    return cli_rows(cli, rows, "No scenarios.");
}

/* "2026-11-17" in the chosen zone, to ns. -EINVAL. */
static int parse_day(const char *text, uint64_t *ret_ns)
{
    struct tm tm = {.tm_isdst = -1};
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    time_t s = end != NULL && *end == '\0' ? mktime(&tm) : -1;

    if (s < 0)
        return -EINVAL;
    *ret_ns = (uint64_t)s * NS_PER_S;
    return 0;
}

static int parse_options(const struct cli *cli, struct simulate_options *o, struct error *e)
{
    const struct args *a = &cli->args;
    uint64_t weeks = 8, paths = 10, window = 60;
    const char *end = args_value(a, "end");
    char safe[64];
    int r = args_number(a, "weeks", 1, 520, &weeks, e);

    if (r == 0)
        r = args_number(a, "paths", 1, 100000, &paths, e);
    if (r == 0)
        r = args_number(a, "window", 60, 3600, &window, e);
    if (r == 0)
        r = args_number(a, "seed", 0, UINT64_MAX, &o->seed, e);
    if (r < 0)
        return r;
    if (end != NULL && parse_day(end, &o->end_ns) < 0) {
        text_escape(safe, sizeof(safe), end, strlen(end));
        return error_set(e, -EINVAL, "--end wants a date such as 2026-11-17, not '%s'", safe);
    }
    o->weeks = (unsigned)weeks;
    o->paths = (unsigned)paths;
    o->window_s = (unsigned)window;
    o->scenario = args_value(a, "scenario");
    o->out_path = args_value(a, "out");
    o->publish_url = args_value(a, "publish");
    o->truth_path = args_value(a, "truth");
    return 0;
}

static int run_simulate(struct cli *cli)
{
    struct simulate_options o = {.seed = 1, .zone = args_value(&cli->args, "zone")};
    struct error e;

    if (args_has(&cli->args, "list"))
        return list_scenarios(cli);
    if (args_value(&cli->args, "out") == NULL && args_value(&cli->args, "publish") == NULL)
        return cli_fail(cli, CLI_USAGE,
                        "needs --out FILE (- is standard output) or --publish URL; see: spanward simulate --help");
    if (local_init(o.zone != NULL ? o.zone : "", &e) < 0 || parse_options(cli, &o, &e) < 0)
        return cli_fail(cli, CLI_USAGE, "%s", e.text);
    int r = simulate_run(&o, &e);
    return r < 0 ? cli_fail(cli, r == -EINVAL ? CLI_USAGE : CLI_ERROR, "%s", e.text) : CLI_OK;
}

static const struct example examples[] = {
    {"simulate --list", "what can be planted"},
    {"simulate --weeks 12 --paths 50 --out history.sww.gz --truth truth.json", "three months of fifty paths"},
    {"simulate --out - --scenario demo | spanward-control --replay - --redis unix:/tmp/r.sock",
     "straight into control"},
    {NULL, NULL},
};
static const struct option_def options[] = {
    {"list", NULL, 0, "list the scenarios"},
    {"scenario", "NAME", 0, "which one (default: mixed)"},
    {"weeks", "N", 0, "how long, 1 to 520 (default: 8)"},
    {"paths", "N", 0, "how many paths (default: 10); some scenarios have their own"},
    {"window", "SECONDS", 0, "length of a window, full minutes (default: 60)"},
    {"seed", "N", 0, "of the random numbers; the same options give the same bytes (default: 1)"},
    {"zone", "ZONE", 0, "IANA zone in which hours of the week count"},
    {"end", "DATE", 0, "the day after the last one, 2026-11-17"},
    {"out", "FILE", 'o', "the window stream; - is standard output"},
    {"publish", "URL", 0, "through a Redis, in lockstep with the spanward-control that runs on it"},
    {"truth", "FILE", 0, "what was planted, as JSON"},
    {NULL, NULL, 0, NULL},
};

const struct command command_simulate = {
    .name = "simulate",
    .group = "What happens next",
    .summary = "make weeks of windows with planted faults, for spanward-control --replay",
    .usage = "--out FILE | --publish URL",
    .examples = examples,
    .sets = OPTIONS_OUTPUT,
    .options = options,
    .columns = columns,
    .run = run_simulate,
};

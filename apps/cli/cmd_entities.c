/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward incidents, problems, tickets: what control makes of it. Without a name a table, with an id everything about
 * that one, text of the ticket included.
 */

#include "apps/cli/command.h"

#include <string.h>
#include "apps/cli/entity_rows.h"
#include "apps/cli/source.h"
#include "common/bytes.h"

/* Takes rows; returns those whose `key` is `text`, as a new array. */
static json_t *keep(json_t *rows, const char *key, const char *text)
{
    json_t *kept = json_array(), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *value = json_string_value(json_object_get(row, key));
        if (value != NULL && strcasecmp(value, text) == 0)
            json_array_append(kept, row);
    }
    json_decref(rows);
    return kept;
}

static int show_one(struct cli *cli, json_t *rows)
{
    const char *id = cli->args.rest[0];
    char safe[64];
    struct error e;

    if (json_array_size(rows) == 0) {
        json_decref(rows);
        text_escape(safe, sizeof(safe), id, strlen(id));
        return cli_fail(cli, CLI_ERROR, "there is no '%s'; see: spanward %s", safe, cli->command->name);
    }
    if (cli->view.mode != TABLE_HUMAN)
        return cli_rows(cli, rows, "");
    int r = table_print_record(stdout, cli->command->columns, json_array_get(rows, 0), &cli->view, &e);
    json_decref(rows);
    return r < 0 ? cli_fail(cli, CLI_USAGE, "%s", e.text) : CLI_OK;
}

static int run_entities(struct cli *cli, enum entity_kind kind, const char *sort, const char *empty)
{
    struct source source;
    struct error e;
    int code = source_open(cli, SOURCE_ENTITIES, &source);

    if (code != CLI_OK)
        return code;
    json_t *rows = entity_rows(source.store, kind, &e);
    source_close(&source);
    if (rows == NULL)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    if (args_has(&cli->args, "state"))
        rows = keep(rows, "state", args_value(&cli->args, "state"));
    if (cli->args.n_rest > 0)
        return show_one(cli, keep(rows, "id", cli->args.rest[0]));
    if (cli->view.sort == NULL)
        cli->view.sort = sort;
    return cli_rows(cli, rows, empty);
}

static int run_incidents(struct cli *cli)
{
    return run_entities(cli, ENTITY_INCIDENT, "-onset", "No incidents.");
}

static int run_problems(struct cli *cli)
{
    return run_entities(cli, ENTITY_PROBLEM, "-last",
                        "No problems: nothing recurs, or there is too little history yet.");
}

static int run_tickets(struct cli *cli)
{
    return run_entities(cli, ENTITY_TICKET, "-updated", "No tickets.");
}

static const struct option_def options[] = {
    {"state", "STATE", 0, "only those in this state"},
    {NULL, NULL, 0, NULL},
};

static const struct example incident_examples[] = {
    {"incidents", "all that control remembers, newest first"},
    {"incidents --state open", "what is wrong now"},
    {"incidents --json | jq 'select(.scope==\"path\").object'", "for programs"},
    {NULL, NULL},
};
const struct command command_incidents = {
    .name = "incidents",
    .group = "What happens next",
    .summary = "faults: one line for one episode of one fault",
    .usage = "[ID]",
    .examples = incident_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = incident_columns,
    .max_rest = 1,
    .run = run_incidents,
};

static const struct example problem_examples[] = {
    {"problems", "what recurs, how sure that is, and who owns it"},
    {"problems PRB-1", "one problem with its evidence and its next decision"},
    {NULL, NULL},
};
const struct command command_problems = {
    .name = "problems",
    .group = "What happens next",
    .summary = "what recurs: pattern, evidence, owner, next decision",
    .usage = "[ID]",
    .text = "A problem is confirmed by a test: it hit k of n observed dates of its slot, in at least 4 weeks, and P is "
            "the probability that "
            "faults spread evenly over all dates would do that.",
    .examples = problem_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = problem_columns,
    .max_rest = 1,
    .run = run_problems,
};

static const struct example ticket_examples[] = {
    {"tickets", "one for each fault, and where it was filed"},
    {"tickets TKT-1", "its whole text"},
    {NULL, NULL},
};
const struct command command_tickets = {
    .name = "tickets",
    .group = "What happens next",
    .summary = "what was filed, or would be filed in dry-run",
    .usage = "[ID]",
    .examples = ticket_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = ticket_columns,
    .max_rest = 1,
    .run = run_tickets,
};

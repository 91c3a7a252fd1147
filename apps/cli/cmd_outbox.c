/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward outbox: what was told to the ticketing systems, what waits, what is dead; retry and drop, which go to
 * control as commands and leave an audit. Below the table of messages a line for each system that takes none now, with
 * the reason and what makes it go on.
 */

#include "apps/cli/command.h"

#include <string.h>
#include "apps/cli/entity_rows.h"
#include "apps/cli/send.h"
#include "apps/cli/source.h"
#include "common/bytes.h"
#include "common/timefmt.h"

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text != NULL ? text : "";
}

/* When a message that waits is tried next. */
static void derive_next(json_t *row)
{
    const char *state = text_of(row, "state");
    json_t *next = json_object_get(row, "next_at_wall_ns");
    bool waits = strcmp(state, "pending") == 0 || strcmp(state, "in_doubt") == 0;

    json_object_set_new(json_object_get(row, "derived"), "next",
                        waits && json_integer_value(next) > 0 ? json_copy(next) : json_null());
}

/* Rows as they are shown: of a state when one is asked for, else those that are not done. */
static json_t *choose(json_t *rows, const char *state, bool all)
{
    json_t *kept = json_array(), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *is = json_string_value(json_object_get(row, "state"));
        derive_next(row);
        bool done = is != NULL && (strcmp(is, "sent") == 0 || strcmp(is, "dropped") == 0);
        if (state != NULL ? is != NULL && strcmp(is, state) == 0 : all || !done)
            json_array_append(kept, row);
    }
    json_decref(rows);
    return kept;
}

static int act(struct cli *cli, struct source *source)
{
    const char *verb = cli->args.rest[0];
    char safe[64];

    if (strcmp(verb, "retry") != 0 && strcmp(verb, "drop") != 0) {
        text_escape(safe, sizeof(safe), verb, strlen(verb));
        return cli_fail(cli, CLI_USAGE, "no verb '%s': retry, drop", safe);
    }
    if (cli->args.n_rest != 2)
        return cli_fail(cli, CLI_USAGE, "%s needs the number of one message; see: spanward outbox", verb);
    return send_command(cli, source, strcmp(verb, "retry") == 0 ? "outbox.retry" : "outbox.drop", cli->args.rest[1],
                        NULL);
}

/* Systems that take nothing now, and why. */
static void tell_systems(const json_t *systems)
{
    uint64_t now_ns = wall_now_ns();
    const json_t *x;
    size_t i;

    json_array_foreach(systems, i, x)
    {
        const char *state = text_of(x, "state"), *name = text_of(x, "name"), *reason = text_of(x, "reason");
        uint64_t until_ns = (uint64_t)json_integer_value(json_object_get(x, "open_until_wall_ns"));
        if (strcmp(state, "active") != 0)
            printf("%s is %s: %s; it goes on when its settings change, or with: spanward outbox retry NUMBER\n", name,
                   state, reason);
        else if (until_ns > now_ns)
            printf("%s has failed five times or more: %s; the next try is in %llu s\n", name, reason,
                   (unsigned long long)((until_ns - now_ns) / NS_PER_S + 1));
    }
}

static int check_state(struct cli *cli, const char *state)
{
#define X(symbol, name) name,
    static const char *const names[OUTBOX_STATE_COUNT] = { OUTBOX_STATES(X) };
#undef X
    char safe[64];

    for (size_t i = 0; state != NULL && i < OUTBOX_STATE_COUNT; i++) {
        if (strcmp(names[i], state) == 0)
            return CLI_OK;
    }
    if (state == NULL)
        return CLI_OK;
    text_escape(safe, sizeof(safe), state, strlen(state));
    return cli_fail(cli, CLI_USAGE, "no state '%s': pending, in_doubt, sent, dead, dry_run or dropped", safe);
}

static int run_outbox(struct cli *cli)
{
    const char *state = args_value(&cli->args, "state");
    struct source source;
    struct error e;
    int code = check_state(cli, state);

    code = code == CLI_OK ? source_open(cli, SOURCE_ENTITIES, &source) : code;
    if (code != CLI_OK)
        return code;
    if (cli->args.n_rest > 0) {
        code = act(cli, &source);
        source_close(&source);
        return code;
    }
    json_t *rows = entity_rows(source.store, ENTITY_OUTBOX, &e);
    json_t *systems = rows != NULL ? entity_rows(source.store, ENTITY_CONNECTOR, &e) : NULL;
    source_close(&source);
    if (systems == NULL) {
        json_decref(rows);
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    }
    code = cli_rows(cli, choose(rows, state, args_has(&cli->args, "all")),
                    state != NULL ? "No message is in that state." : "Nothing waits and nothing is dead.");
    if (code == CLI_OK && cli->view.mode == TABLE_HUMAN)
        tell_systems(systems);
    json_decref(systems);
    return code;
}

static const struct option_def options[] = {
    {"state", "STATE", 0, "only those that are pending, in_doubt, sent, dead, dry_run or dropped"},
    {"all", NULL, 'a', "also what was sent or dropped"},
    {NULL, NULL, 0, NULL},
};

static const struct column columns[] = {
    {"seq", "NUMBER", "seq", COLUMN_COUNT, 0, "of the message"},
    {"connector", "SYSTEM", "connector", COLUMN_TEXT, 0, "ticketing system; empty: a dry run"},
    {"ticket", "TICKET", "ticket", COLUMN_TEXT, 0, "that it is about"},
    {"op", "OPERATION", "op", COLUMN_TEXT, 0, "create, update, comment, resolve, close or reopen"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "pending, in_doubt, sent, dead, dry_run or dropped"},
    {"attempts", "TRIES", "attempts", COLUMN_COUNT, 0, "so far"},
    {"error", "LAST ERROR", "last_error", COLUMN_TEXT, 5, "what the system said"},
    {"title", "TITLE", "title", COLUMN_TEXT, 6, "of the ticket"},
    {"next", "NEXT TRY", "derived.next", COLUMN_TIME, 4, "of what waits: not before this time"},
    {"created", "CREATED", "created_ns", COLUMN_TIME, COLUMN_EXTRA, "data time"},
    {"key", "KEY", "key", COLUMN_TEXT, COLUMN_EXTRA, "the same for every try"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static const struct example examples[] = {
    {"outbox", "what waits, what is dead, and what a dry run would have filed"},
    {"outbox --state dead", "dead letters with what the system said"},
    {"outbox retry 17", "try message 17 again now; wakes a paused system, too"},
    {"outbox drop 17", "never send message 17"},
    {NULL, NULL},
};

const struct command command_outbox = {
    .name = "outbox",
    .group = "What happens next",
    .summary = "messages to the ticketing systems: waiting, dead, sent",
    .usage = "[retry|drop NUMBER]",
    .text =
        "Messages of one ticket go in order. A create that is dead holds back what follows it, until it is tried again "
        "or dropped; a dropped create is made anew with the ticket's next change.",
    .examples = examples,
    .sets = OPTIONS_TABLE | OPTIONS_SEND,
    .options = options,
    .columns = columns,
    .max_rest = 2,
    .run = run_outbox,
};

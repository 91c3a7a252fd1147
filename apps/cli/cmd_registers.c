/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward change, maintenance, circuit, owner, silence: the registers of what people know and the tap cannot see.
 *
 * One command for all five, since they have one shape: `list` shows the rows, `ID` everything about one, `history [ID]`
 * who did what and when (from the audit), and `add`, `edit`, `close` go to control, which checks and keeps them. The
 * first word of the command line is the verb; what it is about follows.
 *
 * Times are local unless --utc is given: "2026-11-17 08:00", "08:00" (today), or "+2h" from now. Without --from a row
 * begins now, and "now" is control's data time, so that it also works on replayed histories.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "apps/cli/entity_rows.h"
#include "apps/cli/send.h"
#include "common/bytes.h"
#include "common/timefmt.h"

static const struct column columns[] = {
    {"id", "ID", "id", COLUMN_TEXT, 0, "of the row"},
    {"state", "STATE", "derived.state", COLUMN_STATE, 0, "planned, active, over, closed"},
    {"title", "TITLE", "title", COLUMN_TEXT, 0, "name or headline"},
    {"objects", "OBJECTS", "objects", COLUMN_NAME, 0, "paths, sites or circuits that it is about"},
    {"kind", "KIND", "derived.kind", COLUMN_TEXT, 5, "circuit, device or link; kind of change"},
    {"owner", "OWNER", "derived.owner", COLUMN_TEXT, 4, "who is in charge"},
    {"from", "FROM", "derived.start_ns", COLUMN_TIME, 2, "when it begins"},
    {"until", "UNTIL", "derived.end_ns", COLUMN_TIME, 3, "when it ends"},
    {"by", "BY", "actor", COLUMN_TEXT, 6, "who entered it"},
    {"reason", "REASON", "derived.reason", COLUMN_TEXT, COLUMN_EXTRA, "why, for the history"},
    {"closed", "CLOSED", "derived.closed_ns", COLUMN_TIME, COLUMN_EXTRA, "when it was taken back"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static const struct column history_columns[] = {
    {"at", "AT", "at_ns", COLUMN_TIME, 0, "data time at which it took effect"},
    {"by", "BY", "actor", COLUMN_TEXT, 0, "who"},
    {"verb", "WHAT", "verb", COLUMN_TEXT, 0, "what was asked for"},
    {"object", "OBJECT", "object", COLUMN_NAME, 3, "of what"},
    {"result", "RESULT", "result", COLUMN_TEXT, 0, "what came of it"},
    {"done", "DONE", "derived.done", COLUMN_YESNO, 4, "no: it was refused"},
    {"arguments", "ARGUMENTS", "arguments", COLUMN_TEXT, 5, "with which arguments"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static enum entity_kind kind_of(const struct cli *cli)
{
    static const enum entity_kind kinds[] = {ENTITY_CHANGE, ENTITY_MAINTENANCE, ENTITY_CIRCUIT, ENTITY_OWNER};
    static const char *const names[] = {"change", "maintenance", "circuit", "owner"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(cli->command->name, names[i]) == 0)
            return kinds[i];
    }
    return ENTITY_SILENCE;
}

/* --- times --- */

static bool read_clock(const struct cli *cli, const char *text, const char *format, bool today, uint64_t *ret_s)
{
    time_t now = (time_t)(wall_now_ns() / NS_PER_S);
    struct tm tm = {.tm_isdst = -1};

    if (today && cli->view.utc)
        gmtime_r(&now, &tm);
    else if (today)
        localtime_r(&now, &tm);
    if (today)
        tm.tm_sec = 0;
    const char *end = strptime(text, format, &tm);
    if (end == NULL || *end != '\0')
        return false;
    tm.tm_isdst = -1;
    time_t s = cli->view.utc ? timegm(&tm) : mktime(&tm);
    *ret_s = s > 0 ? (uint64_t)s : 0;
    return s > 0;
}

/* 1 and seconds, 0 when the option is absent, -EINVAL with the reason. */
static int time_option(const struct cli *cli, const char *name, uint64_t *ret_s, struct error *e)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    const char *text = args_value(&cli->args, name);
    uint64_t ns;
    char safe[64];

    if (text == NULL)
        return 0;
    if (text[0] == '+' && parse_duration(text + 1, &ns) == 0) {
        *ret_s = (wall_now_ns() + ns) / NS_PER_S;
        return 1;
    }
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (read_clock(cli, text, formats[i], false, ret_s))
            return 1;
    }
    if (read_clock(cli, text, "%H:%M", true, ret_s))
        return 1;
    text_escape(safe, sizeof(safe), text, strlen(text));
    return error_set(e, -EINVAL, "--%s wants a time such as '2026-11-17 08:00', 08:00 or +2h, not '%s'", name, safe);
}

static int put_time(const struct cli *cli, json_t *j, const char *option, const char *key, struct error *e)
{
    uint64_t s;
    int rc = time_option(cli, option, &s, e);

    if (rc == 1)
        json_object_set_new(j, key, json_integer((json_int_t)s));
    return rc < 0 ? rc : 0;
}

/* --- sending --- */

static int put_arguments(const struct cli *cli, json_t *j, struct error *e)
{
    static const char *const texts[] = {"title", "objects", "kind", "owner", "reason"};
    const char *lasts = args_value(&cli->args, "for");
    uint64_t ns;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *value = args_value(&cli->args, texts[i]);
        if (value != NULL && json_object_set_new(j, texts[i], json_string(value)) != 0)
            return error_set(e, -EINVAL, "--%s is not UTF-8", texts[i]);
    }
    if (args_has(&cli->args, "window"))
        json_object_set_new(j, "window", json_true());
    if (lasts != NULL && parse_duration(lasts, &ns) < 0)
        return error_set(e, -EINVAL, "--for wants a duration such as 30m, 2h or 7d");
    if (lasts != NULL)
        json_object_set_new(j, "lasts_s", json_integer((json_int_t)(ns / NS_PER_S)));
    int rc = put_time(cli, j, "from", "start_s", e);
    return rc == 0 ? put_time(cli, j, "until", "end_s", e) : rc;
}

/* "add TITLE" and "edit ID", "close ID": the second word is a title or an id. */
static int send(struct cli *cli, struct source *source, const char *verb)
{
    const char *word = cli->args.n_rest > 1 ? cli->args.rest[1] : "";
    bool add = strcmp(verb, "add") == 0;
    json_t *arguments = json_object();
    struct error e = {""};
    char name[32];

    if (!add && word[0] == '\0') {
        json_decref(arguments);
        return cli_fail(cli, CLI_USAGE, "%s what? Give its id; see: spanward %s list", verb, cli->command->name);
    }
    if (put_arguments(cli, arguments, &e) < 0) {
        json_decref(arguments);
        return cli_fail(cli, CLI_USAGE, "%s", e.text);
    }
    if (add && word[0] != '\0')
        json_object_set_new(arguments, "title", json_string(word));
    snprintf(name, sizeof(name), "%s.%s", cli->command->name, verb);
    return send_command(cli, source, name, add ? "" : word, arguments);
}

/* --- showing --- */

static const char *state_of(const json_t *row, uint64_t now_ns)
{
    uint64_t start = (uint64_t)json_integer_value(json_object_get(row, "start_ns"));
    uint64_t end = (uint64_t)json_integer_value(json_object_get(row, "end_ns"));

    if (json_integer_value(json_object_get(row, "closed_ns")) > 0)
        return "closed";
    if (now_ns < start)
        return "planned";
    return end != 0 && now_ns >= end ? "over" : "active";
}

/* 0 and "" stand for "none". */
static void derive(json_t *row, uint64_t now_ns)
{
    static const char *const times[] = {"start_ns", "end_ns", "closed_ns"};
    static const char *const texts[] = {"kind", "reason"};
    json_t *d = json_object_get(row, "derived");

    json_object_set_new(d, "state", json_string(state_of(row, now_ns)));
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        json_t *v = json_object_get(row, times[i]);
        json_object_set_new(d, times[i], json_integer_value(v) > 0 ? json_incref(v) : json_null());
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *v = json_string_value(json_object_get(row, texts[i]));
        json_object_set_new(d, texts[i], v != NULL && v[0] != '\0' ? json_string(v) : json_null());
    }
}

/* Keeps rows whose `key` begins with a register's name or is an id. */
static void keep(json_t *rows, const char *const *keys, const char *text, bool prefix)
{
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const json_t *row = json_array_get(rows, i);
        bool found = false;
        for (const char *const *k = keys; *k != NULL && !found; k++) {
            const char *v = json_string_value(json_object_get(row, *k));
            found = v != NULL &&
                    (prefix ? strncmp(v, text, strlen(text)) == 0 && v[strlen(text)] == '.' : strcasecmp(v, text) == 0);
        }
        if (!found)
            json_array_remove(rows, i);
    }
}

static int show_history(struct cli *cli, struct source *source)
{
    const char *id = cli->args.n_rest > 1 ? cli->args.rest[1] : NULL;
    struct error e;
    json_t *rows = entity_rows(source->store, ENTITY_AUDIT, &e), *row;
    size_t i;

    if (rows == NULL)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    keep(rows, (const char *const[]){"verb", NULL}, cli->command->name, true);
    if (id != NULL)
        keep(rows, (const char *const[]){"entity", "object", NULL}, id, false);
    json_array_foreach(rows, i, row) json_object_set_new(
        json_object_get(row, "derived"), "done", json_boolean(json_integer_value(json_object_get(row, "done")) != 0));
    if (cli->view.sort == NULL)
        cli->view.sort = "at";
    int r = table_print(stdout, history_columns, rows, &cli->view, &e);
    json_decref(rows);
    return r < 0 ? cli_fail(cli, CLI_USAGE, "%s", e.text) : CLI_OK;
}

static int show_rows(struct cli *cli, struct source *source, const char *id)
{
    struct error e;
    struct entity_meta meta = {0};
    json_t *rows = entity_rows(source->store, kind_of(cli), &e), *row;
    size_t i;

    if (rows == NULL || entities_get(source->store, ENTITY_META, "", &meta, &e) < 0) {
        json_decref(rows);
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    }
    json_array_foreach(rows, i, row) derive(row, meta.cursor_ns != 0 ? meta.cursor_ns : wall_now_ns());
    if (id == NULL)
        return cli_rows(cli, rows, "None.");
    keep(rows, (const char *const[]){"id", "title", NULL}, id, false);
    if (json_array_size(rows) != 1 || cli->view.mode != TABLE_HUMAN)
        return cli_rows(cli, rows, "There is none of that id; see: list");
    int r = table_print_record(stdout, columns, json_array_get(rows, 0), &cli->view, &e);
    json_decref(rows);
    return r < 0 ? cli_fail(cli, CLI_USAGE, "%s", e.text) : CLI_OK;
}

static int run(struct cli *cli)
{
    const char *verb = cli->args.n_rest > 0 ? cli->args.rest[0] : "list";
    bool sends = strcmp(verb, "add") == 0 || strcmp(verb, "edit") == 0 || strcmp(verb, "close") == 0;
    bool names_one = !sends && strcmp(verb, "list") != 0 && strcmp(verb, "history") != 0;
    struct source source;

    if (cli->args.n_rest > 1 && (names_one || strcmp(verb, "list") == 0))
        return cli_fail(cli, CLI_USAGE, "the verbs are add, edit, close, list and history");
    int code = source_open(cli, SOURCE_ENTITIES, &source);
    if (code != CLI_OK)
        return code;
    if (sends)
        code = send(cli, &source, verb);
    else if (strcmp(verb, "history") == 0)
        code = show_history(cli, &source);
    else
        code = show_rows(cli, &source, names_one ? verb : NULL);
    source_close(&source);
    return code;
}

#define TIMES                                                                                                          \
    {"from", "TIME", 0, "when it begins: '2026-11-17 08:00', 08:00, +2h (default: now)"},                              \
        {"until", "TIME", 0, "when it ends"}, {"for", "DURATION", 0, "how long it lasts, instead of --until"},
#define COMMON                                                                                                         \
    {"title", "TEXT", 0, "headline, also the word after 'add'"},                                                       \
        {"objects", "LIST", 'o', "paths, sites or circuit:NAME, with * and ?, separated by commas"},                   \
        {"owner", "NAME", 0, "who is in charge"}, {"reason", "TEXT", 0, "why, for the history"},

static const struct option_def timed_options[] = {COMMON TIMES{NULL, NULL, 0, NULL}};
static const struct option_def change_options[] = {
    COMMON TIMES{"kind", "KIND", 0, "what kind of change: firmware, config, carrier, ..."},
    {"window", NULL, 0, "faults are expected meanwhile: also a maintenance window"},
    {NULL, NULL, 0, NULL}};
static const struct option_def plain_options[] = {COMMON{"kind", "KIND", 0, "circuit, device or link"},
                                                  {NULL, NULL, 0, NULL}};

static const struct example change_examples[] = {
    {"change add firmware-7.4.2 -o Branch-12", "made just now; what breaks after it names it as a suspect"},
    {"change add new-carrier -o 'circuit:MPLS-3' --from 22:00 --for 2h --window", "planned, with a window"},
    {"change history CHG-1", "who entered and changed it"},
    {NULL, NULL},
};
static const struct example maintenance_examples[] = {
    {"maintenance add line-test -o 'Branch-1*' --from 22:00 --for 2h", "nothing is filed or learnt meanwhile"},
    {"maintenance close MNT-1", "over earlier than planned"},
    {NULL, NULL},
};
static const struct example circuit_examples[] = {
    {"circuit add MPLS-3 -o 'Branch-07~DC,Branch-12~DC' --owner carrier-x", "the paths behind a carrier's line"},
    {"circuit add core-sw-2 --kind device -o 'Branch-1?~DC'", "or behind a device"},
    {NULL, NULL},
};
static const struct example owner_examples[] = {
    {"owner add -o 'Branch-1*' --owner north-team", "faults of these sites go to the team"},
    {"owner add -o 'circuit:MPLS-3' --owner carrier-x", "and those of a circuit to its carrier"},
    {NULL, NULL},
};
static const struct example silence_examples[] = {
    {"silence add waiting-for-parts -o Branch-12~DC --for 3d", "nothing is filed; all is still kept and learnt"},
    {"silence list", "what is silent now"},
    {NULL, NULL},
};

#define REGISTER_COMMAND(symbol, what, list, about)                                                                    \
    const struct command command_##symbol = {                                                                          \
        .name = #symbol,                                                                                               \
        .group = "What people know",                                                                                   \
        .summary = what,                                                                                               \
        .usage = "[list | ID | history [ID] | add [TITLE] | edit ID | close ID]",                                      \
        .text = about,                                                                                                 \
        .examples = symbol##_examples,                                                                                 \
        .sets = OPTIONS_TABLE | OPTIONS_SEND,                                                                          \
        .options = list,                                                                                               \
        .columns = columns,                                                                                            \
        .max_rest = 2,                                                                                                 \
        .run = run,                                                                                                    \
    };
REGISTER_COMMAND(change, "what was changed, when and where: suspects for what breaks afterwards", change_options,
                 "A change with --window is also a maintenance window. Faults that begin soon after changes more often "
                 "than chance allows name them as suspects; a person says whether it is a match.")
REGISTER_COMMAND(maintenance, "planned work: no tickets, nothing learnt, no exposure", timed_options,
                 "When a window ends, what is still wrong is judged anew.")
REGISTER_COMMAND(circuit, "lines and devices, with the paths behind them", plain_options,
                 "When most of the paths behind one fail together, they become one incident with the circuit as its "
                 "cause.")
REGISTER_COMMAND(owner, "rules: who is in charge of which paths", plain_options,
                 "The first rule that fits gives an incident or problem its owner; rules of the configuration come "
                 "after those entered here.")
REGISTER_COMMAND(silence, "no notification for a while; data and learning go on", timed_options,
                 "A silence stops tickets only. When it ends, what is still wrong is filed.")

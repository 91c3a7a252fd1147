/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward ticket: what people do with one ticket, and everything about it.
 *
 * Every verb is a row of a table: how many words it wants, which of them is which argument, and what control calls it.
 * Control decides whether the state allows it; the answer is control's. `show` prints the ticket's text, below it which
 * messages about it went where, and who did what and when, people here and in the ticketing system alike.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "apps/cli/entity_rows.h"
#include "apps/cli/send.h"
#include "common/bytes.h"
#include "common/timefmt.h"

static const struct column history_columns[] = {
    {"at", "AT", "at_ns", COLUMN_TIME, 0, "data time at which it took effect"},
    {"by", "BY", "actor", COLUMN_TEXT, 0, "who; SYSTEM:PERSON when it was done in the ticketing system"},
    {"verb", "WHAT", "derived.verb", COLUMN_TEXT, 0, "what was asked for"},
    {"said", "WITH", "derived.said", COLUMN_TEXT, 5, "the words: owner, text, reason, change"},
    {"result", "RESULT", "result", COLUMN_TEXT, 0, "what came of it"},
    {"done", "DONE", "derived.done", COLUMN_YESNO, 4, "no: it was refused"},
    {"given", "GIVEN", "given_wall_ns", COLUMN_TIME, COLUMN_EXTRA, "when it was asked for, by the clock"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static const struct column message_columns[] = {
    {"seq", "NUMBER", "seq", COLUMN_COUNT, 0, "of the message"},
    {"connector", "SYSTEM", "connector", COLUMN_TEXT, 0, "ticketing system; empty: a dry run"},
    {"op", "OPERATION", "op", COLUMN_TEXT, 0, "create, update, comment, resolve, close or reopen"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "pending, in_doubt, sent, dead, dry_run or dropped"},
    {"attempts", "TRIES", "attempts", COLUMN_COUNT, 0, "so far"},
    {"error", "LAST ERROR", "last_error", COLUMN_TEXT, 5, "what the system said"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

/* word: what the words behind the id are, in order; NULL: none. The last one takes all that follow. */
static const struct verb {
    const char *name, *command;
    const char *word, *usage;
} verbs[] = {
    {"ack", "ticket.ack", NULL, "ack ID"},
    {"assign", "ticket.assign", "owner", "assign ID OWNER"},
    {"comment", "ticket.comment", "text", "comment ID TEXT"},
    {"resolve", "ticket.resolve", "reason", "resolve ID WHAT-FIXED-IT"},
    {"link-change", "link-change", "change", "link-change ID CHANGE"},
    {"merge", "ticket.merge", "into", "merge ID INTO"},
    {"accept-risk", "ticket.accept-risk", "reason", "accept-risk ID REASON --until DAY"},
};
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static bool is_id(const char *text)
{
    bool known =
        strncasecmp(text, "TKT-", 4) == 0 || strncasecmp(text, "PRB-", 4) == 0 || strncasecmp(text, "INC-", 4) == 0;

    return known && text[4] != '\0' && strspn(text + 4, "0123456789") == strlen(text + 4);
}

/* An id as control writes it. */
static void upper(char ret[32], const char *id)
{
    snprintf(ret, 32, "%.31s", id);
    for (char *p = ret; *p != '\0'; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
}

/* --- sending --- */

/* The words from `from` on as one text. malloc'd. */
static char *join(const struct cli *cli, size_t from)
{
    size_t size = 1;

    for (size_t i = from; i < cli->args.n_rest; i++)
        size += strlen(cli->args.rest[i]) + 1;
    char *text = calloc(1, size);
    for (size_t i = from; text != NULL && i < cli->args.n_rest; i++) {
        if (i > from)
            strcat(text, " ");
        strcat(text, cli->args.rest[i]);
    }
    return text;
}

/* --until: a day, or how long from control's data time on. 1, 0 when absent, -EINVAL. */
static int until(const struct cli *cli, uint64_t now_ns, uint64_t *ret_ns, struct error *e)
{
    const char *text = args_value(&cli->args, "until");
    struct tm tm = {.tm_isdst = -1};
    uint64_t ns;
    char safe[64];

    if (text == NULL)
        return 0;
    if (parse_duration(text + (text[0] == '+'), &ns) == 0) {
        *ret_ns = now_ns + ns;
        return 1;
    }
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    time_t t = end != NULL && *end == '\0' ? (cli->view.utc ? timegm(&tm) : mktime(&tm)) : (time_t)-1;
    if (t < 0) {
        text_escape(safe, sizeof(safe), text, strlen(text));
        return error_set(e, -EINVAL, "--until wants a day such as 2026-12-31, or 90d, not '%s'", safe);
    }
    *ret_ns = (uint64_t)t * NS_PER_S;
    return 1;
}

static int put_options(const struct cli *cli, struct source *source, json_t *arguments, struct error *e)
{
    const char *approver = args_value(&cli->args, "approver");
    struct entity_meta meta = {0};
    uint64_t until_ns = 0;

    if (entities_get(source->store, ENTITY_META, "", &meta, e) < 0)
        return -EIO;
    int rc = until(cli, meta.cursor_ns != 0 ? meta.cursor_ns : wall_now_ns(), &until_ns, e);
    if (rc == 1)
        json_object_set_new(arguments, "until_ns", json_integer((json_int_t)until_ns));
    if (approver != NULL)
        json_object_set_new(arguments, "approver", json_string(approver));
    return rc < 0 ? rc : 0;
}

static int send_verb(struct cli *cli, struct source *source, const struct verb *v)
{
    json_t *arguments = json_object();
    struct error e = {""};
    char id[32];

    upper(id, cli->args.rest[1]);
    if (v->word != NULL) {
        char *text = join(cli, 2);
        int rc = text != NULL ? json_object_set_new(arguments, v->word, json_string(text)) : -1;
        free(text);
        if (rc != 0) {
            json_decref(arguments);
            return cli_fail(cli, CLI_USAGE, "the text is not UTF-8");
        }
    }
    int rc = put_options(cli, source, arguments, &e);
    if (rc < 0) {
        json_decref(arguments);
        return cli_fail(cli, rc == -EINVAL ? CLI_USAGE : CLI_ERROR, "%s", e.text);
    }
    const char *change = args_value(&cli->args, "change");
    if (change != NULL && strcmp(v->name, "resolve") == 0) { /* the change first: the resolution then tells of it */
        int code = send_command(cli, source, "link-change", id, json_pack("{s:s}", "change", change));
        if (code != CLI_OK) {
            json_decref(arguments);
            return code;
        }
    }
    return send_command(cli, source, v->command, id, arguments);
}

/* --- showing --- */

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text != NULL ? text : "";
}

/* The ticket that an id means: its own, or that of the problem or incident. A new reference or NULL. */
static json_t *find_ticket(struct source *source, const char *id, struct error *e)
{
    static const char *const keys[] = {"id", "problem", "incident"};
    json_t *rows = entity_rows(source->store, ENTITY_TICKET, e), *row, *found = NULL;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < 3 && found == NULL; k++) {
            if (strcmp(text_of(row, keys[k]), id) == 0)
                found = json_incref(row);
        }
    }
    if (rows != NULL && found == NULL)
        error_set(e, -ENOENT, "no ticket for %.40s; see: spanward tickets", id);
    json_decref(rows);
    return found;
}

static bool is_about(const json_t *audit, const json_t *ticket)
{
    static const char *const keys[] = {"id", "problem", "incident"};

    for (size_t k = 0; k < 3; k++) {
        const char *id = text_of(ticket, keys[k]);
        if (id[0] != '\0' && (strcmp(text_of(audit, "object"), id) == 0 || strcmp(text_of(audit, "entity"), id) == 0))
            return true;
    }
    return false;
}

/* The words of a command, without their names: owner, reason, text. */
static json_t *words_of(const json_t *audit)
{
    static const char *const names[] = {"owner", "text", "reason", "change", "into"};
    json_t *arguments = json_loads(text_of(audit, "arguments"), 0, NULL), *said = json_null();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && json_is_null(said); i++) {
        const char *text = text_of(arguments, names[i]);
        if (text[0] != '\0')
            said = json_string(text);
    }
    json_decref(arguments);
    return said;
}

static void derive_history(json_t *row)
{
    json_t *derived = json_object_get(row, "derived");
    const char *verb = text_of(row, "verb"), *dot = strchr(verb, '.');

    json_object_set_new(derived, "done", json_boolean(json_integer_value(json_object_get(row, "done")) != 0));
    json_object_set_new(derived, "verb", json_string(dot != NULL ? dot + 1 : verb));
    json_object_set_new(derived, "said", words_of(row));
}

/* A new array of what was done with it. */
static json_t *history_of(struct source *source, const json_t *ticket, struct error *e)
{
    json_t *rows = entity_rows(source->store, ENTITY_AUDIT, e);

    for (size_t i = json_array_size(rows); i-- > 0;) {
        json_t *row = json_array_get(rows, i);
        if (is_about(row, ticket))
            derive_history(row);
        else
            json_array_remove(rows, i);
    }
    return rows;
}

/* A new array of the messages about it. */
static json_t *messages_of(struct source *source, const json_t *ticket, struct error *e)
{
    json_t *rows = entity_rows(source->store, ENTITY_OUTBOX, e);

    for (size_t i = json_array_size(rows); i-- > 0;) {
        if (strcmp(text_of(json_array_get(rows, i), "ticket"), text_of(ticket, "id")) != 0)
            json_array_remove(rows, i);
    }
    return rows;
}

static int print_part(const char *title, const struct column *columns, json_t *rows, const char *sort,
                      const struct table_view *view, struct error *e)
{
    struct table_view part = *view;

    if (json_array_size(rows) == 0)
        return 0;
    printf("\n%s\n", title);
    part.sort = sort;
    return table_print(stdout, columns, rows, &part, e);
}

static int print_ticket(struct cli *cli, json_t *ticket, json_t *messages, json_t *history)
{
    struct table_view view = cli->view;
    struct error e = {""};

    if (cli->view.mode == TABLE_JSON) {
        json_object_set(ticket, "messages", messages);
        json_object_set(ticket, "history", history);
        char *text = json_dumps(ticket, JSON_COMPACT | JSON_SORT_KEYS);
        if (text != NULL)
            puts(text);
        free(text);
        return text != NULL ? CLI_OK : cli_fail(cli, CLI_ERROR, "out of memory");
    }
    int rc = table_print_record(stdout, ticket_columns, ticket, &view, &e);
    rc = rc == 0 ? print_part("What was told", message_columns, messages, "seq", &view, &e) : rc;
    rc = rc == 0 ? print_part("What was done with it", history_columns, history, "at", &view, &e) : rc;
    return rc < 0 ? cli_fail(cli, CLI_USAGE, "%s", e.text) : CLI_OK;
}

static int show(struct cli *cli, struct source *source, const char *name)
{
    struct error e = {""};
    char id[32];

    upper(id, name);
    json_t *ticket = find_ticket(source, id, &e);
    json_t *messages = ticket != NULL ? messages_of(source, ticket, &e) : NULL;
    json_t *history = messages != NULL ? history_of(source, ticket, &e) : NULL;
    int code = history != NULL ? print_ticket(cli, ticket, messages, history) : cli_fail(cli, CLI_ERROR, "%s", e.text);

    json_decref(messages);
    json_decref(history);
    json_decref(ticket);
    return code;
}

/* --- the command --- */

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* Says what is wrong with the words, if something is. */
static int check_words(const struct cli *cli, const struct verb *v, bool shows)
{
    static const char *const names[] = {"show",    "ack",         "assign", "comment",
                                        "resolve", "link-change", "merge",  "accept-risk"};
    const struct args *a = &cli->args;
    char safe[64];

    if (v == NULL && !shows) {
        const char *near = nearest_name(a->rest[0], names, sizeof(names) / sizeof(names[0]));
        text_escape(safe, sizeof(safe), a->rest[0], strlen(a->rest[0]));
        return cli_fail(cli, CLI_USAGE, "there is no 'ticket %s'%s%s%s; see: spanward ticket --help", safe,
                        near != NULL ? " (did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?)" : "");
    }
    if (a->n_rest < 2 || !is_id(a->rest[1]))
        return cli_fail(cli, CLI_USAGE, "%s what? Give a ticket: TKT-n, or its PRB-n or INC-n; see: spanward tickets",
                        shows ? "show" : v->name);
    size_t most = shows || v->word == NULL                                         ? 2
                  : strcmp(v->word, "text") == 0 || strcmp(v->word, "reason") == 0 ? SIZE_MAX
                                                                                   : 3;
    if ((!shows && v->word != NULL && a->n_rest < 3) || a->n_rest > most)
        return cli_fail(cli, CLI_USAGE, "usage: spanward ticket %s", shows ? "show ID" : v->usage);
    if (!shows && strcmp(v->name, "accept-risk") == 0 && args_value(a, "until") == NULL)
        return cli_fail(cli, CLI_USAGE, "accept-risk needs --until: the day on which the acceptance expires");
    return CLI_OK;
}

static int run(struct cli *cli)
{
    bool bare = is_id(cli->args.rest[0]) && cli->args.n_rest == 1; /* "ticket TKT-1" shows it */
    bool shows = bare || strcmp(cli->args.rest[0], "show") == 0;
    const struct verb *v = find_verb(cli->args.rest[0]);
    struct source source;
    int code = bare ? CLI_OK : check_words(cli, v, shows);

    if (code != CLI_OK)
        return code;
    code = source_open(cli, SOURCE_ENTITIES, &source);
    if (code != CLI_OK)
        return code;
    code = shows ? show(cli, &source, cli->args.rest[bare ? 0 : 1]) : send_verb(cli, &source, v);
    source_close(&source);
    return code;
}

static const struct option_def options[] = {
    {"until", "DAY", 0, "of accept-risk: when the acceptance expires, 2026-12-31 or 90d"},
    {"approver", "NAME", 0, "of accept-risk: who answers for it (default: you)"},
    {"change", "CHANGE", 0, "of resolve: the change that fixed it"},
    {NULL, NULL, 0, NULL},
};

static const struct example examples[] = {
    {"ticket show TKT-1", "its text, where it was filed, who did what"},
    {"ticket ack TKT-1", "you have it: an incident is acknowledged, a problem without owner is yours"},
    {"ticket assign TKT-1 north-team", "somebody else has it"},
    {"ticket comment TKT-1 'carrier called, line test on Friday'", "also goes to the ticketing system"},
    {"ticket link-change TKT-1 CHG-7", "this change is behind it"},
    {"ticket resolve TKT-1 'replaced the SFP' --change CHG-9", "fixed: from now on clean slots are counted"},
    {"ticket merge TKT-4 TKT-1", "the same fault: TKT-4 is closed and goes on as TKT-1"},
    {"ticket accept-risk TKT-1 'site closes in March' --until 2027-03-31 --approver cto",
     "known and lived with, for a time"},
    {NULL, NULL},
};
const struct command command_ticket = {
    .name = "ticket",
    .group = "What happens next",
    .summary = "work on one ticket: show, ack, assign, comment, resolve, link-change, merge, accept-risk",
    .usage = "VERB ID [WORDS...]",
    .text =
        "ID is a ticket (TKT-n), or the problem (PRB-n) or incident (INC-n) behind it. A problem that is resolved is "
        "closed by evidence only: after enough clean slots, with the proof in the ticket. When it comes back before, "
        "the fix has failed and the ticket is opened again.",
    .examples = examples,
    .sets = OPTIONS_OUTPUT | OPTIONS_STORE | OPTIONS_SEND,
    .options = options,
    .columns = history_columns,
    .min_rest = 1,
    .max_rest = 64,
    .run = run,
};

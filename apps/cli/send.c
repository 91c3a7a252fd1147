/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A command goes into the inbox of the store (store/inbox.h); control carries it out and leaves the result in the
 * audit, which is waited for. Nothing here decides whether a command is good: control does, so that every way in has
 * the same rules. When control does not run, the command stays in the inbox and is carried out when it does; the
 * message says so.
 */

#include "apps/cli/send.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/bytes.h"
#include "store/inbox.h"

#define DEFAULT_TIMEOUT_S 5u
#define MAX_TIMEOUT_S     3600u

/* Who is at the keyboard: behind sudo the one who called it. */
static const char *actor_of(const struct cli *cli)
{
    const char *name = args_value(&cli->args, "as");
    const struct passwd *pw = getpwuid(getuid());

    if (name != NULL)
        return name;
    name = getenv("SUDO_USER");
    if (name != NULL && name[0] != '\0')
        return name;
    return pw != NULL ? pw->pw_name : "unknown";
}

static int fill(const struct cli *cli, struct inbox_command *c, const char *verb, const char *object,
                const json_t *arguments)
{
    char *text = arguments != NULL ? json_dumps(arguments, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const char *actor = actor_of(cli);
    bool fits = strlen(object) < sizeof(c->object) && strlen(actor) < sizeof(c->actor) &&
                (text == NULL || strlen(text) < sizeof(c->arguments));

    if (fits) {
        snprintf(c->actor, sizeof(c->actor), "%s", actor);
        snprintf(c->verb, sizeof(c->verb), "%s", verb);
        snprintf(c->object, sizeof(c->object), "%s", object);
        snprintf(c->arguments, sizeof(c->arguments), "%s", text != NULL ? text : "");
        c->given_wall_ns = wall_now_ns();
    }
    free(text);
    return fits ? CLI_OK : cli_fail(cli, CLI_USAGE, "a name or an argument is too long");
}

static int show_answer(struct cli *cli, const struct entity_audit *a)
{
    char *text = cli->view.mode == TABLE_JSON ? entity_encode(ENTITY_AUDIT, a) : NULL;

    if (text != NULL)
        puts(text);
    else if (a->done)
        puts(a->result);
    free(text);
    return a->done ? CLI_OK : cli_fail(cli, CLI_ERROR, "%s", a->result);
}

int send_command(struct cli *cli, struct source *source, const char *verb, const char *object, json_t *arguments)
{
    struct inbox_command *c = calloc(1, sizeof(*c));
    struct entity_audit *answer = calloc(1, sizeof(*answer));
    uint64_t timeout_s = DEFAULT_TIMEOUT_S;
    struct error e = {""};
    int code = CLI_ERROR;

    if (c == NULL || answer == NULL) {
        cli_fail(cli, CLI_ERROR, "out of memory");
    } else if (args_number(&cli->args, "timeout", 0, MAX_TIMEOUT_S, &timeout_s, &e) < 0) {
        code = cli_fail(cli, CLI_USAGE, "%s", e.text);
    } else if ((code = fill(cli, c, verb, object, arguments)) == CLI_OK) {
        int rc = inbox_put(source->store, c, &e);
        rc = rc == 0 ? inbox_wait(source->store, c->id, (unsigned)timeout_s * 1000, answer, &e) : rc;
        if (rc == 1)
            code = show_answer(cli, answer);
        else if (rc == 0)
            code = cli_fail(
                cli, CLI_ERROR,
                "control has not answered within %u s; the command waits for it (is spanward-control running?)",
                (unsigned)timeout_s);
        else
            code = cli_fail(cli, CLI_ERROR, "%s", e.text);
    }
    json_decref(arguments);
    free(c);
    free(answer);
    return code;
}

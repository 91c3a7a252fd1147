/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Commands of people: one door for all of them.
 *
 * A command comes from the inbox in the store or from a record of a window stream; both end in control_command, which
 * finds the verb in a table, lets it change the state, and keeps an audit entity that says who, when, what and what
 * came of it, refusals included. The change, the audit and the position in the inbox are committed together, so a
 * command is carried out once. It takes effect at data time: live that is the end of the last minute that was
 * processed, in a stream the time of the record.
 *
 * Verbs on faults go to control_act, the state machine's only entrance. An object that is no id names a path: the verb
 * then goes to all of its open problems (of one fault, when "fault" or "direction" say which), because who fixes a line
 * does not know our numbers.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/internal.h"
#include "store/inbox.h"

#define BATCH_COMMANDS 64u

const char *command_text_argument(const struct command_call *call, const char *const *names)
{
    for (; *names != NULL; names++) {
        const char *text = json_string_value(json_object_get(call->arguments, *names));
        if (text != NULL)
            return text;
    }
    return "";
}

bool command_number_argument(const struct command_call *call, const char *name, uint64_t *ret)
{
    const json_t *v = json_object_get(call->arguments, name);

    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

/* --- verbs on faults --- */

static enum control_verb verb_of(const char *name)
{
    enum control_verb v = 0;

    while (v < CONTROL_VERB_COUNT && strcmp(name, control_verb_name(v)) != 0)
        v++;
    return v;
}

static bool argument_allows(const struct command_call *call, const char *name, const char *value)
{
    const char *wanted = command_text_argument(call, (const char *const[]){name, NULL});

    return wanted[0] == '\0' || strcmp(wanted, value) == 0;
}

/* The verb for every open problem of an object. At least one must accept it. */
static int act_on_object(struct control *c, struct command_call *call, enum control_verb verb, const char *text,
                         struct error *e)
{
    size_t done = 0, found = 0;

    for (size_t i = 0; i < c->problems.n; i++) {
        struct entity_problem *p = &c->problems.item[i]->e;
        if (!problem_is_open(p) || strcmp(p->object, call->object) != 0 ||
            !argument_allows(call, "fault", fault_class_name(p->fault)) ||
            !argument_allows(call, "direction", fault_direction_name(p->direction)))
            continue;
        found++;
        if (control_act(c, verb, p->id, text, call->when_ns, e) != 0)
            continue;
        if (done++ == 0)
            snprintf(call->entity, sizeof(call->entity), "%s", p->id);
    }
    if (found == 0)
        return error_set(e, -ENOENT, "no open problem of '%.120s'", call->object);
    if (done == 0)
        return -EINVAL; /* e tells why the last one refused */
    snprintf(call->result, sizeof(call->result), "%s: %zu of %zu open problems of %.100s", call->verb, done, found,
             call->object);
    return 0;
}

static int act(struct control *c, struct command_call *call, struct error *e)
{
    const char *const names[] = {"text", "owner", "reason", NULL};
    const char *text = command_text_argument(call, names);
    enum control_verb verb = verb_of(call->verb);
    char id[WINDOW_NAME_BYTES];

    snprintf(id, sizeof(id), "%s", call->object);
    if (strncmp(id, "TKT-", 4) == 0) {
        const struct ticket *t = ticket_find(c, id);
        if (t == NULL)
            return error_set(e, -ENOENT, "no ticket %.40s", id);
        snprintf(id, sizeof(id), "%s", t->e.problem[0] != '\0' ? t->e.problem : t->e.incident);
    }
    if (strncmp(id, "PRB-", 4) != 0 && strncmp(id, "INC-", 4) != 0)
        return act_on_object(c, call, verb, text, e);
    int rc = control_act(c, verb, id, text, call->when_ns, e);
    if (rc == 0) {
        snprintf(call->entity, sizeof(call->entity), "%.20s", id);
        snprintf(call->result, sizeof(call->result), "%s: %.20s", call->verb, id);
    }
    return rc;
}

/* --- the door --- */

static const struct command_verb *find_verb(const char *name)
{
    static const struct command_verb on_faults = {"", act};
    static const struct command_verb *const tables[] = {register_verbs, baseline_verbs, outbox_verbs, ticket_verbs};

    if (verb_of(name) != CONTROL_VERB_COUNT)
        return &on_faults;
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct command_verb *v = tables[t]; v->name != NULL; v++) {
            if (strcmp(v->name, name) == 0)
                return v;
        }
    }
    return NULL;
}

/* Every text in it made safe to keep and to show. Keys are only compared. NULL when it is no JSON object. */
static json_t *read_arguments(const char *text)
{
    json_t *all = text == NULL || text[0] == '\0' ? json_object() : json_loads(text, 0, NULL);
    const char *key;
    json_t *v;
    void *next;

    if (!json_is_object(all)) {
        json_decref(all);
        return NULL;
    }
    json_object_foreach_safe(all, next, key, v)
    {
        size_t size = 4 * json_string_length(v) + 1;
        char *safe = json_is_string(v) ? malloc(size) : NULL;
        if (safe == NULL)
            continue;
        text_escape(safe, size, json_string_value(v), json_string_length(v));
        json_object_set_new(all, key, json_string(safe));
        free(safe);
    }
    return all;
}

static void fill_audit(struct control *c, struct entity_audit *a, const struct control_command *command,
                       uint64_t when_ns)
{
    c->meta.audit_seq++;
    if (command->id != NULL)
        snprintf(a->id, sizeof(a->id), "%s", command->id);
    else
        snprintf(a->id, sizeof(a->id), "%llu-%llu", (unsigned long long)(when_ns / NS_PER_MS),
                 (unsigned long long)c->meta.audit_seq);
    text_escape(a->actor, sizeof(a->actor), command->actor, strlen(command->actor));
    text_escape(a->verb, sizeof(a->verb), command->verb, strlen(command->verb));
    text_escape(a->object, sizeof(a->object), command->object, strlen(command->object));
    a->at_ns = when_ns;
    a->given_wall_ns = command->given_wall_ns;
}

static void carry_out(struct control *c, struct entity_audit *a, const json_t *arguments)
{
    const struct command_verb *verb = find_verb(a->verb);
    struct error e = {""};
    struct command_call call = {
        .actor = a->actor, .verb = a->verb, .object = a->object, .arguments = arguments, .when_ns = a->at_ns};
    int rc;

    if (arguments == NULL)
        rc = error_set(&e, -EINVAL, "the arguments are not a JSON object");
    else if (verb == NULL)
        rc = error_set(&e, -EINVAL, "no such verb '%s'", a->verb);
    else
        rc = verb->run(c, &call, &e);
    a->done = rc == 0;
    snprintf(a->result, sizeof(a->result), "%s", rc == 0 ? call.result : e.text);
    memcpy(a->entity, call.entity, sizeof(a->entity));
}

int control_command(struct control *c, const struct control_command *command, uint64_t when_ns,
                    struct entity_audit *ret)
{
    struct entity_audit *a = calloc(1, sizeof(*a));
    json_t *arguments = read_arguments(command->arguments);
    char *text = arguments != NULL ? json_dumps(arguments, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    if (a == NULL || VECTOR_PUSH(c->audits, a) != 0) {
        free(a);
        json_decref(arguments);
        free(text);
        c->failed = true;
        return -ENOMEM;
    }
    fill_audit(c, a, command, when_ns);
    snprintf(a->arguments, sizeof(a->arguments), "%s",
             text != NULL && strlen(text) < sizeof(a->arguments) ? text : "{}");
    carry_out(c, a, arguments);
    c->meta_dirty = true;
    if (ret != NULL)
        *ret = *a;
    json_decref(arguments);
    free(text);
    return 0;
}

int control_stream_command(struct control *c, const struct control_command *command, uint64_t when_ns)
{
    c->meta.command_count = when_ns == c->meta.command_ns ? c->meta.command_count + 1 : 1;
    c->meta.command_ns = when_ns;
    return control_command(c, command, when_ns, NULL);
}

void control_stream_position(const struct control *c, uint64_t *ret_ns, uint64_t *ret_count)
{
    *ret_ns = c->meta.command_ns;
    *ret_count = c->meta.command_count;
}

int control_take_commands(struct control *c, unsigned block_ms, struct error *e)
{
    struct inbox_command *list = NULL;
    size_t n = 0;
    int rc = c->store != NULL ? inbox_read(c->store, c->meta.inbox, BATCH_COMMANDS, block_ms, &list, &n, e) : 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct control_command command = {.id = list[i].id,
                                                .actor = list[i].actor,
                                                .verb = list[i].verb,
                                                .object = list[i].object,
                                                .arguments = list[i].arguments,
                                                .given_wall_ns = list[i].given_wall_ns};
        uint64_t when_ns = c->meta.cursor_ns != 0 ? c->meta.cursor_ns : list[i].given_wall_ns;
        rc = control_command(c, &command, when_ns, NULL);
        snprintf(c->meta.inbox, sizeof(c->meta.inbox), "%s", list[i].id);
    }
    free(list);
    if (rc == -ENOMEM)
        error_set(e, rc, "no memory for a command");
    if (rc == 0 && n > 0)
        rc = control_commit(c, e);
    return rc == 0 ? (int)n : rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The life of a ticket over there, followed here.
 *
 *   owner changed            -> assign, to the problem or else the incident
 *   resolved or closed there -> a problem goes to VERIFYING (it closes by evidence only), an incident is acknowledged
 *   in progress there        -> an incident is acknowledged
 *   "change CHG123"          -> link-change, whoever wrote it
 *
 * Each is a command like one from the command line, with "SYSTEM:PERSON" as its actor, so the state machine may refuse
 * it, and the audit shows both. A ticket remembers the last owner and state that it was told, so that a change that
 * comes twice, or only repeats what we filed, does nothing. Updates that would merely echo a change are not sent back.
 *
 * What does not count: a state that is asked for while a message of ours that changes it waits, since it will be as we
 * say; and what a webhook tells of a time before the last that is known, since it is late, or somebody plays it again.
 */

#include "control/backsync.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "control/connectors/track.h"
#include "control/internal.h"

static struct ticket *find_remote(struct control *c, const char *connector, const char *remote_id)
{
    for (size_t i = 0; remote_id[0] != '\0' && i < c->tickets.n; i++) {
        struct ticket *t = c->tickets.item[i];
        if (strcmp(t->e.remote_id, remote_id) == 0 && strcmp(t->e.connector, connector) == 0)
            return t;
    }
    return NULL;
}

/* A word with letters and at least two digits, as changes are numbered. */
static bool is_number(const char *word, size_t len)
{
    size_t digits = 0, letters = 0;

    for (size_t i = 0; i < len; i++) {
        digits += isdigit((unsigned char)word[i]) != 0;
        letters += isalpha((unsigned char)word[i]) != 0;
    }
    return digits >= 2 && digits + letters > 2;
}

static size_t word_length(const char *text)
{
    size_t len = 0;

    while (isalnum((unsigned char)text[len]) || text[len] == '-' || text[len] == '_')
        len++;
    while (len > 0 && (text[len - 1] == '-' || text[len - 1] == '_'))
        len--;
    return len;
}

/* After the word "change" (with "number", "#", ":" between), or a word that begins with CHG or CHANGE- and a number. */
bool backsync_find_change(const char *text, char *ret, size_t size)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (p != text && isalnum((unsigned char)p[-1]))
            continue;
        size_t len = word_length(p);
        const char *number = NULL;
        if (len >= 5 && strncasecmp(p, "chg", 3) == 0 && is_number(p, len)) {
            number = p;
        } else if (len == 6 && strncasecmp(p, "change", 6) == 0) {
            number = p + 6 + strspn(p + 6, " :#\t");
            if (strncasecmp(number, "number", 6) == 0)
                number += 6 + strspn(number + 6, " :#\t");
            len = word_length(number);
        }
        if (number != NULL && len > 0 && len < size && is_number(number, len)) {
            memcpy(ret, number, len);
            ret[len] = '\0';
            return true;
        }
    }
    return false;
}

static void command(struct control *c, const struct ticket *t, const struct connector_change *x, const char *verb,
                    const char *name, const char *value)
{
    char actor[ENTITY_OWNER_BYTES + 16];
    json_t *j = json_pack("{s:s%}", name, value, strlen(value));
    char *arguments = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;

    snprintf(actor, sizeof(actor), "%s:%.*s", t->e.connector, 40, x->author[0] != '\0' ? x->author : "somebody");
    uint64_t given_ns = x->when_wall_ns != 0 ? x->when_wall_ns : track_now_ns();
    const struct control_command one = {
        .actor = actor, .verb = verb, .object = t->e.id, .arguments = arguments, .given_wall_ns = given_ns};
    c->from_remote = true;
    control_command(c, &one, c->meta.cursor_ns, NULL);
    c->from_remote = false;
    free(arguments);
    json_decref(j);
}

static bool takes_verbs(const struct ticket *t)
{
    return t->e.problem[0] != '\0' || t->e.incident[0] != '\0';
}

static const char *owner_now(struct control *c, const struct ticket *t)
{
    const struct problem *p = t->e.problem[0] != '\0' ? problem_find(c, t->e.problem) : NULL;

    if (p != NULL)
        return p->e.owner;
    for (size_t i = 0; i < c->incidents.n; i++) {
        if (strcmp(c->incidents.item[i]->e.id, t->e.incident) == 0)
            return c->incidents.item[i]->e.owner;
    }
    return t->e.owner;
}

static void take_owner(struct control *c, struct ticket *t, const struct connector_change *x)
{
    if (!x->has_owner || strcmp(t->e.remote_owner, x->owner) == 0)
        return;
    snprintf(t->e.remote_owner, sizeof(t->e.remote_owner), "%s", x->owner);
    t->dirty = true;
    if (x->owner[0] != '\0' && strcmp(owner_now(c, t), x->owner) != 0 && takes_verbs(t))
        command(c, t, x, "assign", "owner", x->owner);
}

static void take_state(struct control *c, struct ticket *t, const struct connector_change *x)
{
    char reason[160];
    bool over = x->state == REMOTE_RESOLVED || x->state == REMOTE_CLOSED;

    if (x->state == REMOTE_UNKNOWN || x->state == t->e.remote_state || outbox_state_waits(c, t))
        return;
    bool was_over = t->e.remote_state == REMOTE_RESOLVED || t->e.remote_state == REMOTE_CLOSED;
    t->e.remote_state = x->state;
    t->dirty = true;
    if (t->e.told_closed || !takes_verbs(t))
        return; /* it is what we asked for */
    snprintf(reason, sizeof(reason), "%s in %s%s%.60s", remote_state_name(x->state), t->e.connector,
             x->resolution[0] != '\0' ? ": " : "", x->resolution);
    if (over && !was_over)
        command(c, t, x, t->e.problem[0] != '\0' ? "resolve" : "ack", "reason", reason);
    else if (x->state == REMOTE_IN_PROGRESS && t->e.problem[0] == '\0')
        command(c, t, x, "ack", "reason", reason);
}

bool backsync_apply(struct control *c, const char *connector, const struct connector_change *x)
{
    struct ticket *t = find_remote(c, connector, x->remote_id);
    char change[64];

    if (t == NULL)
        return false;
    bool late = x->was && x->when_wall_ns < t->e.remote_wall_ns;
    if (t->e.remote_wall_ns < x->when_wall_ns) {
        t->e.remote_wall_ns = x->when_wall_ns;
        t->dirty = true;
    }
    if (!late)
        take_owner(c, t, x);
    if (takes_verbs(t) && backsync_find_change(x->comment, change, sizeof(change)))
        command(c, t, x, "link-change", "change", change);
    if (!late)
        take_state(c, t, x);
    return true;
}

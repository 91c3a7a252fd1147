/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What people do with a ticket beyond the verbs of the state machine: acknowledge, comment, name the change behind it,
 * merge, accept the risk until a date. Each ends in control_act where a state changes, so that there is one machine,
 * and in an audit entity like every command.
 *
 * The object is TKT-n, or the PRB-n or INC-n behind it. To acknowledge a problem is to take it: who does becomes its
 * owner when it has none. To merge says that a fault is the same as another one: its problem becomes a duplicate, its
 * fingerprints become members of the other problem, and its ticket is closed with a word on where it goes on.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"

/* What an object's name stands for; pointers are NULL where there is none. */
struct subject {
    struct ticket *ticket;
    struct problem *problem;
    struct incident *incident; /* only where no problem speaks */
};

static int find_subject(struct control *c, const char *name, struct subject *ret, struct error *e)
{
    *ret = (struct subject){0};
    if (strncmp(name, "TKT-", 4) == 0) {
        ret->ticket = ticket_find(c, name);
        if (ret->ticket == NULL)
            return error_set(e, -ENOENT, "no ticket %.40s; see: spanward tickets", name);
        ret->problem = problem_find(c, ret->ticket->e.problem);
        ret->incident = ret->problem == NULL ? incident_by_id(c, ret->ticket->e.incident) : NULL;
    } else if (strncmp(name, "PRB-", 4) == 0) {
        ret->problem = problem_find(c, name);
        if (ret->problem == NULL)
            return error_set(e, -ENOENT, "no problem %.40s; see: spanward problems", name);
        ret->ticket = ticket_find(c, ret->problem->e.ticket);
    } else if (strncmp(name, "INC-", 4) == 0) {
        ret->incident = incident_by_id(c, name);
        if (ret->incident == NULL)
            return error_set(e, -ENOENT, "no open incident %.40s; see: spanward incidents", name);
        ret->ticket = ticket_find(c, ret->incident->e.ticket);
    } else {
        return error_set(e, -EINVAL, "'%.40s' is no ticket; TKT-n, PRB-n or INC-n is wanted", name);
    }
    return 0;
}

static const char *argument(const struct command_call *call, const char *name)
{
    return command_text_argument(call, (const char *const[]){name, NULL});
}

static void name_entity(struct command_call *call, const struct subject *s)
{
    const char *id = s->problem != NULL    ? s->problem->e.id
                     : s->incident != NULL ? s->incident->e.id
                     : s->ticket != NULL   ? s->ticket->e.id
                                           : "";

    snprintf(call->entity, sizeof(call->entity), "%s", id);
}

static void sync(struct control *c, const struct subject *s, uint64_t now_ns)
{
    if (s->problem != NULL)
        ticket_sync_problem(c, s->problem, now_ns);
    else if (s->incident != NULL)
        ticket_sync_incident(c, s->incident, now_ns);
}

static int verb_ack(struct control *c, struct command_call *call, struct error *e)
{
    struct subject s;
    int rc = find_subject(c, call->object, &s, e);

    if (rc != 0)
        return rc;
    name_entity(call, &s);
    if (s.problem != NULL && s.problem->e.owner[0] != '\0') {
        snprintf(call->result, sizeof(call->result), "%s is with %.60s already (%s)", s.problem->e.id,
                 s.problem->e.owner, problem_state_name(s.problem->e.state));
        return 0;
    }
    if (s.problem == NULL && s.incident == NULL)
        return error_set(e, -EINVAL, "%.40s is over: nothing to acknowledge", call->object);
    rc = s.problem != NULL ? control_act(c, CONTROL_ASSIGN, s.problem->e.id, call->actor, call->when_ns, e)
                           : control_act(c, CONTROL_ACK, s.incident->e.id, call->actor, call->when_ns, e);
    if (rc == 0 && s.problem != NULL)
        snprintf(call->result, sizeof(call->result), "%s has an owner: %.60s", s.problem->e.id, call->actor);
    else if (rc == 0)
        snprintf(call->result, sizeof(call->result), "%s is acknowledged by %.60s", s.incident->e.id, call->actor);
    return rc;
}

static int verb_assign(struct control *c, struct command_call *call, struct error *e)
{
    const char *owner = argument(call, "owner");
    struct subject s;
    int rc = find_subject(c, call->object, &s, e);

    if (rc != 0)
        return rc;
    if (owner[0] == '\0')
        return error_set(e, -EINVAL, "assign to whom?");
    name_entity(call, &s);
    if (s.problem == NULL && s.incident == NULL)
        return error_set(e, -EINVAL, "%.40s is over: nobody needs to have it", call->object);
    rc = control_act(c, CONTROL_ASSIGN, call->entity, owner, call->when_ns, e);
    if (rc == 0)
        snprintf(call->result, sizeof(call->result), "%s is with %.60s now", call->entity, owner);
    return rc;
}

/* What people fix is a problem; an incident ends when the fault does. */
static int verb_resolve(struct control *c, struct command_call *call, struct error *e)
{
    const char *reason = argument(call, "reason");
    struct subject s;
    int rc = find_subject(c, call->object, &s, e);

    if (rc != 0)
        return rc;
    name_entity(call, &s);
    if (s.problem == NULL && s.incident != NULL)
        return error_set(e, -EINVAL,
                         "%s ends by itself when the fault is gone; you may acknowledge it: spanward "
                         "ticket ack %s",
                         s.incident->e.id, s.incident->e.id);
    if (s.problem == NULL)
        return error_set(e, -EINVAL, "%.40s is over: nothing to resolve", call->object);
    if (reason[0] == '\0')
        return error_set(e, -EINVAL, "what fixed it?");
    rc = control_act(c, CONTROL_RESOLVE, s.problem->e.id, reason, call->when_ns, e);
    if (rc == 0)
        snprintf(call->result, sizeof(call->result), "%s is resolved: from now on clean slots are counted",
                 s.problem->e.id);
    return rc;
}

/* A comment goes to the ticketing system as it is; the audit keeps it here. */
static int verb_comment(struct control *c, struct command_call *call, struct error *e)
{
    const char *text = argument(call, "text");
    char body[4096];
    struct subject s;
    int rc = find_subject(c, call->object, &s, e);

    if (rc != 0)
        return rc;
    if (text[0] == '\0')
        return error_set(e, -EINVAL, "a comment without text");
    if (s.ticket == NULL)
        return error_set(e, -EINVAL, "%.40s has no ticket (yet)", call->object);
    snprintf(body, sizeof(body), "%s\n\nBy %.60s", text, call->actor);
    s.ticket->e.version++;
    s.ticket->dirty = true;
    if (!s.ticket->e.dry_run)
        outbox_tell(c, s.ticket, OUTBOX_COMMENT, body, call->when_ns);
    name_entity(call, &s);
    snprintf(call->result, sizeof(call->result), "%s: comment %s", s.ticket->e.id,
             s.ticket->e.dry_run ? "kept (the ticket is a dry run)" : "is on its way");
    return 0;
}

/* Which change is behind it: software only suspects, a person says match. */
static int verb_link_change(struct control *c, struct command_call *call, struct error *e)
{
    const char *change = argument(call, "change");
    struct subject s;
    int rc = find_subject(c, call->object, &s, e);

    if (rc != 0)
        return rc;
    if (change[0] == '\0' || strlen(change) >= sizeof(s.problem->e.change))
        return error_set(e, -EINVAL, "the number of a change is missing or too long");
    if (s.problem == NULL && s.incident == NULL)
        return error_set(e, -EINVAL, "%.40s is over: no change can be linked to it", call->object);
    if (s.problem != NULL) {
        snprintf(s.problem->e.change, sizeof(s.problem->e.change), "%s", change);
        s.problem->dirty = true;
    } else {
        snprintf(s.incident->e.change, sizeof(s.incident->e.change), "%s", change);
        s.incident->dirty = true;
    }
    name_entity(call, &s);
    sync(c, &s, call->when_ns);
    snprintf(call->result, sizeof(call->result), "%s: change %.64s", call->entity, change);
    return 0;
}

static bool list_has(const struct entity_problem *p, const char *fingerprint)
{
    return strcmp(p->fingerprint, fingerprint) == 0 || strstr(p->members, fingerprint) != NULL;
}

/* Later occurrences of the duplicate belong to the other problem. */
static void take_members(struct problem *to, const struct problem *from)
{
    char all[sizeof(from->e.members) + FINGERPRINT_BYTES + 1], *rest = all, *one;

    snprintf(all, sizeof(all), "%s,%s", from->e.fingerprint, from->e.members);
    while ((one = strsep(&rest, ",")) != NULL) {
        size_t len = strlen(to->e.members);
        if (strlen(one) != FINGERPRINT_BYTES - 1 || list_has(&to->e, one) ||
            len + FINGERPRINT_BYTES + 1 >= sizeof(to->e.members))
            continue;
        snprintf(to->e.members + len, sizeof(to->e.members) - len, "%s%s", len > 0 ? "," : "", one);
        to->dirty = true;
    }
}

static int merge_problems(struct control *c, struct command_call *call, const struct subject *from,
                          const struct subject *to, struct error *e)
{
    char reason[160];

    if (!problem_is_open(&to->problem->e))
        return error_set(e, -EINVAL, "%s is %s: nothing can be merged into it", to->problem->e.id,
                         problem_state_name(to->problem->e.state));
    snprintf(reason, sizeof(reason), "goes on as %s%s%s", to->problem->e.id, to->ticket != NULL ? ", " : "",
             to->ticket != NULL ? to->ticket->e.id : "");
    int rc = control_act(c, CONTROL_DUPLICATE, from->problem->e.id, reason, call->when_ns, e);
    if (rc == 0) {
        take_members(to->problem, from->problem);
        ticket_sync_problem(c, to->problem, call->when_ns);
    }
    return rc;
}

static int merge_incidents(struct control *c, struct command_call *call, const struct subject *from,
                           const struct subject *to, struct error *e)
{
    if (from->incident->e.parent[0] != '\0')
        return error_set(e, -EINVAL, "%s belongs to %s already", from->incident->e.id, from->incident->e.parent);
    if (to->incident->e.parent[0] != '\0')
        return error_set(e, -EINVAL, "%s belongs to %s: merge into that one", to->incident->e.id,
                         to->incident->e.parent);
    snprintf(from->incident->e.parent, sizeof(from->incident->e.parent), "%s", to->incident->e.id);
    from->incident->dirty = true;
    to->incident->e.members++;
    to->incident->dirty = true;
    ticket_hand_over(c, from->incident, to->incident, call->when_ns);
    return 0;
}

static int verb_merge(struct control *c, struct command_call *call, struct error *e)
{
    const char *into = argument(call, "into");
    struct subject from, to;
    int rc = find_subject(c, call->object, &from, e);

    if (rc == 0)
        rc = into[0] != '\0' ? find_subject(c, into, &to, e) : error_set(e, -EINVAL, "merge into which ticket?");
    if (rc != 0)
        return rc;
    bool problems = from.problem != NULL && to.problem != NULL,
         incidents = from.incident != NULL && to.incident != NULL;
    if (from.problem == to.problem && from.incident == to.incident)
        return error_set(e, -EINVAL, "%.40s and %.40s are one", call->object, into);
    if (!problems && !incidents)
        return error_set(e, -EINVAL,
                         "%.40s and %.40s are not of one kind, or one is over: problems merge with problems",
                         call->object, into);
    rc = problems ? merge_problems(c, call, &from, &to, e) : merge_incidents(c, call, &from, &to, e);
    if (rc == 0) {
        name_entity(call, &to);
        snprintf(call->result, sizeof(call->result), "%.40s goes on as %s", call->object, call->entity);
    }
    return rc;
}

/* An acceptance has somebody who answers for it, and an end. */
static int verb_accept_risk(struct control *c, struct command_call *call, struct error *e)
{
    const char *reason = argument(call, "reason"), *approver = argument(call, "approver");
    char text[160], until[32];
    uint64_t until_ns = 0;
    struct subject s;
    int rc = find_subject(c, call->object, &s, e);

    if (rc != 0)
        return rc;
    if (s.problem == NULL)
        return error_set(e, -EINVAL, "%.40s is no problem: the risk of what recurs can be accepted", call->object);
    if (!command_number_argument(call, "until_ns", &until_ns) || until_ns <= call->when_ns)
        return error_set(e, -EINVAL, "an acceptance needs a day in the future on which it expires");
    if (reason[0] == '\0')
        return error_set(e, -EINVAL, "an acceptance needs a reason");
    approver = approver[0] != '\0' ? approver : call->actor;
    snprintf(text, sizeof(text), "until %.10s, by %.40s: %.90s", local_format(until, sizeof(until), until_ns, 0),
             approver, reason);
    rc = control_act(c, CONTROL_ACCEPT_RISK, s.problem->e.id, text, call->when_ns, e);
    if (rc != 0)
        return rc;
    snprintf(s.problem->e.approver, sizeof(s.problem->e.approver), "%.60s", approver);
    s.problem->e.accepted_until_ns = until_ns;
    s.problem->dirty = true;
    name_entity(call, &s);
    snprintf(call->result, sizeof(call->result), "%s: the risk is accepted %.120s", call->entity, text);
    return 0;
}

const struct command_verb ticket_verbs[] = {
    {"ticket.ack", verb_ack},
    {"ticket.assign", verb_assign},
    {"ticket.comment", verb_comment},
    {"ticket.resolve", verb_resolve},
    {"link-change", verb_link_change},
    {"ticket.merge", verb_merge},
    {"ticket.accept-risk", verb_accept_risk},
    {NULL, NULL},
};

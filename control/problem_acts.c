/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What people do with incidents and problems: the verbs of control_act and the states that they lead to. A problem that
 * somebody calls resolved is verified, never closed.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "control/problem.h"

static int act_on_incident(struct control *c, enum control_verb verb, const char *id, const char *text,
                           uint64_t when_ns, struct error *e)
{
    for (size_t i = 0; i < c->incidents.n; i++) {
        struct incident *x = c->incidents.item[i];
        if (strcmp(x->e.id, id) != 0)
            continue;
        if (verb == CONTROL_ACK && x->e.state == INCIDENT_OPEN) {
            x->e.state = INCIDENT_ACKED;
            x->e.acked_ns = when_ns;
        } else if (verb == CONTROL_ASSIGN && x->e.state < INCIDENT_CLOSED) {
            snprintf(x->e.owner, sizeof(x->e.owner), "%s", text);
        } else {
            return error_set(e, -EINVAL, "%s is %s: it cannot be changed by %s", id, incident_state_name(x->e.state),
                             control_verb_name(verb));
        }
        x->dirty = true;
        ticket_sync_incident(c, x, when_ns);
        return 0;
    }
    return error_set(e, -ENOENT, "no open incident %s", id);
}

/* The state that a verb leads to from `from`, or -1. */
static int state_after(enum control_verb verb, enum problem_state from)
{
    bool working = from >= PROBLEM_CONFIRMED && from <= PROBLEM_FIX_SCHEDULED;

    switch (verb) {
    case CONTROL_ACK:
        return -1;
    case CONTROL_ASSIGN:
        return working ? (from == PROBLEM_CONFIRMED ? PROBLEM_ASSIGNED : (int)from) : -1;
    case CONTROL_ROOT_CAUSE:
        return working ? PROBLEM_ROOT_CAUSE : -1;
    case CONTROL_KNOWN_ERROR:
        return working ? PROBLEM_KNOWN_ERROR : -1;
    case CONTROL_SCHEDULE_FIX:
        return working ? PROBLEM_FIX_SCHEDULED : -1;
    case CONTROL_RESOLVE:
        return working || from == PROBLEM_RISK_ACCEPTED ? PROBLEM_VERIFYING : -1;
    case CONTROL_ACCEPT_RISK:
        return working ? PROBLEM_RISK_ACCEPTED : -1;
    case CONTROL_DUPLICATE:
        return from != PROBLEM_CLOSED ? PROBLEM_DUPLICATE : -1;
    case CONTROL_VERB_COUNT:
        break;
    }
    return -1;
}

int control_act(struct control *c, enum control_verb verb, const char *id, const char *text, uint64_t when_ns,
                struct error *e)
{
    struct problem *p;

    if (strncmp(id, "INC-", 4) == 0)
        return act_on_incident(c, verb, id, text, when_ns, e);
    p = problem_find(c, id);
    if (p == NULL)
        return error_set(e, -ENOENT, "no problem %s", id);
    int state = state_after(verb, p->e.state);
    if (state < 0)
        return error_set(e, -EINVAL, "%s is %s: it cannot be changed by %s", id, problem_state_name(p->e.state),
                         control_verb_name(verb));
    if (verb == CONTROL_ASSIGN)
        snprintf(p->e.owner, sizeof(p->e.owner), "%s", text);
    else
        snprintf(p->e.reason, sizeof(p->e.reason), "%s", text);
    if (verb == CONTROL_RESOLVE) {
        p->e.verify_from_ns = when_ns;
        p->e.clean_exposures = 0;
        snprintf(p->e.fix, sizeof(p->e.fix), "%s", text);
    }
    problem_set_state(p, (enum problem_state)state);
    ticket_sync_problem(c, p, when_ns);
    return 0;
}

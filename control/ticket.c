/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tickets: when it is worth telling people.
 *
 * A ticket belongs to a fingerprint, not to an incident: the next occurrence updates it. A problem adopts the ticket of
 * its fingerprints and speaks from then on. Incidents below major, members of another incident and flapping ones say
 * nothing. What it says is made in ticket_text.c from templates.
 *
 * Nothing is sent here: a changed text becomes one row of the outbox. An unchanged one (by hash) becomes nothing. A
 * problem that goes to VERIFYING resolves its ticket, one that is verified closes it with the proof; the weekly look
 * brings the text up to date without telling anybody.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"

struct ticket *ticket_find(struct control *c, const char *id)
{
    for (size_t i = 0; id[0] != '\0' && i < c->tickets.n; i++) {
        if (strcmp(c->tickets.item[i]->e.id, id) == 0)
            return c->tickets.item[i];
    }
    return NULL;
}

static struct ticket *ticket_create(struct control *c, const char *fingerprint, uint64_t now_ns)
{
    struct ticket *t = calloc(1, sizeof(*t));

    if (t == NULL || VECTOR_PUSH(c->tickets, t) != 0) {
        free(t);
        c->failed = true;
        return NULL;
    }
    snprintf(t->e.id, sizeof(t->e.id), "TKT-%llu", (unsigned long long)++c->meta.ticket_seq);
    snprintf(t->e.fingerprint, sizeof(t->e.fingerprint), "%s", fingerprint);
    t->e.created_ns = now_ns;
    t->e.dry_run = 1; /* until a create is on its way */
    return t;
}

/* What to tell: a problem that is being verified resolves its ticket, once. */
static enum outbox_op op_of(const struct ticket *t, const struct entity_problem *p, enum ticket_state state)
{
    bool over_there = t->e.remote_state == REMOTE_RESOLVED || t->e.remote_state == REMOTE_CLOSED;

    if (state == TICKET_CLOSED)
        return OUTBOX_CLOSE;
    return p != NULL && p->state == PROBLEM_VERIFYING && !over_there ? OUTBOX_RESOLVE : OUTBOX_UPDATE;
}

/* Turns a new text or state into one row of the outbox. p: the problem that speaks, or NULL; last: what to say at the
 * end instead of the whole text, or NULL. */
static void publish(struct control *c, struct ticket *t, enum ticket_state state, const struct entity_problem *p,
                    const char *last, uint64_t now_ns)
{
    char all[sizeof(t->e.title) + sizeof(t->e.body) + 160];
    char hash[FINGERPRINT_BYTES];
    bool live = !c->options.dry_run && c->connector[0] != '\0';
    enum outbox_op op;

    snprintf(all, sizeof(all), "%s|%d|%s|%s|%s", ticket_state_name(state), (int)t->e.severity, t->e.owner, t->e.title,
             t->e.body);
    hash_text(hash, all);
    if (strcmp(hash, t->e.content_hash) == 0)
        return;
    bool moved = live && !t->e.dry_run && strcmp(t->e.connector, c->connector) != 0; /* to another system */
    bool unfiled = t->e.version == 0 || (live && t->e.dry_run) || moved;
    if (unfiled && state == TICKET_CLOSED)
        op = OUTBOX_CLOSE; /* closed before anybody saw it: told only where it was a dry run all along */
    else
        op = unfiled ? OUTBOX_CREATE : op_of(t, p, state);
    memcpy(t->e.content_hash, hash, sizeof(hash));
    t->e.state = state;
    t->e.closed_ns = state == TICKET_CLOSED ? now_ns : 0;
    t->e.updated_ns = now_ns;
    t->e.version++;
    t->dirty = true;
    if (unfiled && live && op == OUTBOX_CLOSE)
        return;
    if (live)
        t->e.dry_run = 0;
    if (moved) {
        t->e.remote_id[0] = t->e.remote_url[0] = '\0';
        t->e.remote_state = REMOTE_UNKNOWN;
    }
    snprintf(t->e.connector, sizeof(t->e.connector), "%s", live ? c->connector : "");
    if (op == OUTBOX_RESOLVE)
        t->e.remote_state = REMOTE_RESOLVED; /* it will be; what comes back from there is no news */
    outbox_tell(c, t, op, op == OUTBOX_CLOSE && last != NULL ? last : t->e.body, now_ns);
}

void ticket_sync_incident(struct control *c, struct incident *i, uint64_t now_ns)
{
    struct fault_line *line = &i->object->line[i->metric];
    struct ticket *t = ticket_find(c, line->ticket);

    if (i->e.parent[0] != '\0' || i->e.flapping || i->e.state == INCIDENT_PENDING)
        return;
    if (i->e.suppressed[0] != '\0' && (i->e.ticket[0] == '\0' || i->e.state < INCIDENT_CLOSED))
        return;
    if (i->e.problem[0] != '\0' || (t != NULL && t->e.problem[0] != '\0')) { /* the problem speaks */
        struct problem *p = problem_find(c, i->e.problem);
        const char *id = p != NULL ? p->e.ticket : t != NULL ? t->e.id : "";
        if (strcmp(i->e.ticket, id) != 0) {
            snprintf(i->e.ticket, sizeof(i->e.ticket), "%s", id);
            i->dirty = true;
        }
        if (p != NULL && i->e.state == INCIDENT_CLOSED)
            problem_settled(c, p, i, now_ns);
        return;
    }
    if (i->e.ticket[0] == '\0' && i->e.severity < EVENT_major)
        return;
    if (t == NULL)
        t = ticket_create(c, i->e.fingerprint, now_ns);
    if (t == NULL)
        return;
    snprintf(line->ticket, sizeof(line->ticket), "%s", t->e.id);
    if (strcmp(i->e.ticket, t->e.id) != 0) {
        snprintf(i->e.ticket, sizeof(i->e.ticket), "%s", t->e.id);
        i->dirty = true;
    }
    t->e.severity = i->e.severity;
    snprintf(t->e.incident, sizeof(t->e.incident), "%s", i->e.id);
    snprintf(t->e.owner, sizeof(t->e.owner), "%s", i->e.owner);
    if (ticket_compose_incident(c, t, &i->e, &line->history) != 0)
        c->failed = true;
    publish(c, t, i->e.state == INCIDENT_CLOSED ? TICKET_CLOSED : TICKET_OPEN, NULL, NULL, now_ns);
}

void ticket_sync_problem(struct control *c, struct problem *p, uint64_t now_ns)
{
    enum metric m;
    struct control_object *o = problem_line(c, p, &m);
    struct ticket *t = ticket_find(c, p->e.ticket);

    bool ending = p->e.state == PROBLEM_CLOSED || p->e.state == PROBLEM_DUPLICATE;
    if (o == NULL || p->e.state == PROBLEM_CANDIDATE ||
        (!ending && register_find(c, REGISTER_SILENCE, o, now_ns) != NULL))
        return;
    if (t == NULL)
        t = ticket_create(c, p->e.fingerprint, now_ns);
    if (t == NULL)
        return;
    snprintf(p->e.ticket, sizeof(p->e.ticket), "%s", t->e.id);
    p->dirty = true;
    snprintf(o->line[m].ticket, sizeof(o->line[m].ticket), "%s", t->e.id);
    t->e.severity = p->e.severity;
    snprintf(t->e.problem, sizeof(t->e.problem), "%s", p->e.id);
    if (o->line[m].history.n > 0)
        snprintf(t->e.incident, sizeof(t->e.incident), "INC-%u",
                 o->line[m].history.item[o->line[m].history.n - 1].incident);
    snprintf(t->e.owner, sizeof(t->e.owner), "%s", p->e.owner);
    if (ticket_compose_problem(c, t, &p->e, &o->line[m].history) != 0)
        c->failed = true;
    char *proof = p->e.state == PROBLEM_CLOSED ? ticket_verified_text(c, t, &p->e, &o->line[m].history) : NULL;
    publish(c, t, ending ? TICKET_CLOSED : TICKET_OPEN, &p->e, proof, now_ns);
    free(proof);
}

void ticket_refresh_problem(struct control *c, struct problem *p)
{
    enum metric m;
    struct control_object *o = problem_line(c, p, &m);
    struct ticket *t = ticket_find(c, p->e.ticket);

    if (o == NULL || t == NULL || t->e.state == TICKET_CLOSED)
        return;
    if (ticket_compose_problem(c, t, &p->e, &o->line[m].history) != 0)
        c->failed = true;
    t->dirty = true;
}

void ticket_hand_over(struct control *c, struct incident *from, struct incident *to, uint64_t now_ns)
{
    struct fault_line *line = &from->object->line[from->metric];
    struct ticket *t = ticket_find(c, from->e.ticket);

    if (t == NULL || t->e.problem[0] != '\0' || t->e.state == TICKET_CLOSED)
        return;
    if (to->e.ticket[0] != '\0') { /* one fault, one ticket: this one is over */
        if (ticket_compose_incident(c, t, &from->e, &line->history) != 0)
            c->failed = true;
        publish(c, t, TICKET_CLOSED, NULL, NULL, now_ns);
        return;
    }
    snprintf(t->e.fingerprint, sizeof(t->e.fingerprint), "%s", to->e.fingerprint);
    snprintf(to->object->line[to->metric].ticket, sizeof(line->ticket), "%s", t->e.id);
    snprintf(to->e.ticket, sizeof(to->e.ticket), "%s", t->e.id);
    line->ticket[0] = '\0';
    t->dirty = true;
    ticket_sync_incident(c, to, now_ns);
}

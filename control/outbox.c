/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The outbox: loses nothing, doubles nothing that can be told apart.
 *
 * Making rows: a create and a close always make one; an update replaces the text of an update that waits and was never
 * tried, since nobody could have seen it. The key is SHA-256 of ticket|op|version.
 *
 * Sending: rows of one ticket go strictly in order; a row that waits, is in doubt or dead holds back its followers,
 * except that a dead update or close holds back nothing. Before a create the system is asked for the key when it can be
 * asked. Before the first byte leaves, the row is committed as IN_DOUBT, so that a kill between sending and recording
 * leaves the truth behind; it is then sent again with the same key. Failures back off with jitter; five in a row open
 * the circuit for a minute. 401/403 pause the connector until its settings change, 410 disables it likewise.
 *
 * Times here are wall times: delivery is the one part of control that lives in the present.
 */

#include "control/outbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/internal.h"

#define BACKOFF_FIRST_NS (2 * NS_PER_S)
#define BACKOFF_MOST_NS  (900 * NS_PER_S)
#define BREAKER_FAILURES 5
#define BREAKER_NS       (60 * NS_PER_S)

static bool waits(const struct outbox_row *r)
{
    return r->e.state == OUTBOX_ROW_PENDING || r->e.state == OUTBOX_ROW_IN_DOUBT;
}

bool outbox_is_waiting(const struct control *c, uint64_t seq)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        if (c->outbox.item[i]->e.seq == seq)
            return waits(c->outbox.item[i]) || c->outbox.item[i]->e.state == OUTBOX_ROW_DEAD;
    }
    return false;
}

static void fill_row(struct outbox_row *r, const struct ticket *t, enum outbox_op op)
{
    char text[128];

    r->e.op = op;
    r->e.version = t->e.version;
    r->e.severity = t->e.severity;
    snprintf(r->e.ticket, sizeof(r->e.ticket), "%s", t->e.id);
    snprintf(r->e.connector, sizeof(r->e.connector), "%s", t->e.connector);
    memcpy(r->e.title, t->e.title, sizeof(r->e.title));
    memcpy(r->e.body, t->e.body, sizeof(r->e.body));
    memcpy(r->e.body_hash, t->e.content_hash, sizeof(r->e.body_hash));
    snprintf(text, sizeof(text), "%s|%s|%" PRIu64, t->e.id, outbox_op_name(op), t->e.version);
    hash_text(r->e.key, text);
    r->dirty = true;
}

/* The update that nobody has seen yet, if it is the ticket's last row. */
static struct outbox_row *untried_update(struct control *c, const char *ticket)
{
    for (size_t i = c->outbox.n; i > 0; i--) {
        struct outbox_row *r = c->outbox.item[i - 1];
        if (strcmp(r->e.ticket, ticket) != 0)
            continue;
        bool untried = r->e.state == OUTBOX_ROW_PENDING && r->e.attempts == 0 && r->e.op == OUTBOX_UPDATE;
        return untried ? r : NULL;
    }
    return NULL;
}

void outbox_enqueue(struct control *c, const struct ticket *t, enum outbox_op op, uint64_t now_ns)
{
    struct outbox_row *r = op == OUTBOX_UPDATE ? untried_update(c, t->e.id) : NULL;

    if (r == NULL) {
        r = calloc(1, sizeof(*r));
        if (r == NULL || VECTOR_PUSH(c->outbox, r) != 0) {
            free(r);
            c->failed = true;
            return;
        }
        r->e.seq = ++c->meta.outbox_seq;
        r->e.state = t->e.connector[0] != '\0' ? OUTBOX_ROW_PENDING : OUTBOX_ROW_DRY_RUN;
    }
    r->e.created_ns = now_ns;
    fill_row(r, t, op);
}

uint64_t outbox_backoff_ns(uint64_t attempts, const char *key)
{
    uint64_t wait = BACKOFF_MOST_NS;
    uint64_t h = attempts + 1;

    if (attempts <= 9)
        wait = BACKOFF_FIRST_NS << (attempts > 0 ? attempts - 1 : 0);
    if (wait > BACKOFF_MOST_NS)
        wait = BACKOFF_MOST_NS;
    for (const char *p = key; *p != '\0'; p++)
        h = mix64(h ^ (unsigned char)*p);
    return wait - (wait / 2) * (h % 1000) / 1000;
}

static struct connector_status *status_of(struct control *c, const struct outbox_connector *x)
{
    struct connector_status *s = NULL;

    for (size_t i = 0; i < c->connectors.n && s == NULL; i++) {
        if (strcmp(c->connectors.item[i]->e.name, x->plug->name) == 0)
            s = c->connectors.item[i];
    }
    if (s == NULL) {
        s = calloc(1, sizeof(*s));
        if (s == NULL || VECTOR_PUSH(c->connectors, s) != 0) {
            free(s);
            return NULL;
        }
        snprintf(s->e.name, sizeof(s->e.name), "%s", x->plug->name);
    }
    if (strcmp(s->e.settings_hash, x->settings_hash) != 0) { /* somebody mended it: begin anew */
        snprintf(s->e.settings_hash, sizeof(s->e.settings_hash), "%s", x->settings_hash);
        s->e.state = CONNECTOR_ACTIVE;
        s->e.reason[0] = '\0';
        s->e.failures = 0;
        s->e.open_until_wall_ns = 0;
        s->dirty = true;
    }
    return s;
}

/* Whether an earlier row of the same ticket must go first. Rows are in order of seq. */
static bool held_back(const struct control *c, size_t index)
{
    const struct outbox_row *r = c->outbox.item[index];

    for (size_t i = 0; i < index; i++) {
        const struct outbox_row *earlier = c->outbox.item[i];
        bool blocks = waits(earlier) || (earlier->e.state == OUTBOX_ROW_DEAD && earlier->e.op == OUTBOX_CREATE);
        if (blocks && strcmp(earlier->e.ticket, r->e.ticket) == 0)
            return true;
    }
    return false;
}

static struct outbox_row *next_due(struct control *c, const char *connector, uint64_t now_wall_ns)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        struct outbox_row *r = c->outbox.item[i];
        if (waits(r) && r->e.next_at_wall_ns <= now_wall_ns && strcmp(r->e.connector, connector) == 0 &&
            !held_back(c, i))
            return r;
    }
    return NULL;
}

static void take_answer(struct control *c, struct outbox_row *r, struct connector_status *s,
                        const struct connector_answer *a, uint64_t now_wall_ns)
{
    struct ticket *t = ticket_find(c, r->e.ticket);
    uint64_t wait = outbox_backoff_ns(r->e.attempts, r->e.key);

    r->e.http_status = a->http_status > 0 ? (uint64_t)a->http_status : 0;
    snprintf(r->e.last_error, sizeof(r->e.last_error), "%s", a->outcome == CONNECTOR_DONE ? "" : a->text);
    r->e.next_at_wall_ns = now_wall_ns + (a->retry_after_ns > wait ? a->retry_after_ns : wait);
    switch (a->outcome) {
    case CONNECTOR_DONE:
        r->e.state = OUTBOX_ROW_SENT;
        r->e.done_wall_ns = now_wall_ns;
        snprintf(r->e.remote_id, sizeof(r->e.remote_id), "%s", a->remote_id);
        if (t != NULL && a->remote_id[0] != '\0') {
            snprintf(t->e.remote_id, sizeof(t->e.remote_id), "%s", a->remote_id);
            t->dirty = true;
        }
        s->e.failures = 0;
        s->e.sent++;
        break;
    case CONNECTOR_DOUBT: /* the row stays in doubt */
        s->e.failures++;
        break;
    case CONNECTOR_RETRY:
        r->e.state = OUTBOX_ROW_PENDING;
        s->e.failures++;
        break;
    case CONNECTOR_REFUSED:
        r->e.state = OUTBOX_ROW_DEAD;
        r->e.done_wall_ns = now_wall_ns;
        s->e.failed++;
        break;
    case CONNECTOR_PAUSE:
    case CONNECTOR_DISABLE:
        r->e.state = OUTBOX_ROW_PENDING;
        s->e.state = a->outcome == CONNECTOR_PAUSE ? CONNECTOR_PAUSED : CONNECTOR_DISABLED;
        snprintf(s->e.reason, sizeof(s->e.reason), "%s", a->text);
        break;
    }
    if (s->e.failures >= BREAKER_FAILURES)
        s->e.open_until_wall_ns = now_wall_ns + BREAKER_NS;
    r->dirty = true;
    s->dirty = true;
}

/* Sends one row: mark, ask or send, record. */
static int send_row(struct control *c, const struct outbox_connector *x, struct outbox_row *r,
                    struct connector_status *s, uint64_t now_wall_ns, struct error *e)
{
    const struct ticket *t = ticket_find(c, r->e.ticket);
    struct connector_request request = {.op = r->e.op,
                                        .key = r->e.key,
                                        .ticket = r->e.ticket,
                                        .title = r->e.title,
                                        .body = r->e.body,
                                        .remote_id = t != NULL ? t->e.remote_id : "",
                                        .severity = r->e.severity,
                                        .version = r->e.version,
                                        .created_ns = r->e.created_ns};
    struct connector_answer answer = {.outcome = CONNECTOR_RETRY};
    int found = 0;

    r->e.attempts++;
    r->e.state = OUTBOX_ROW_IN_DOUBT;
    r->dirty = true;
    int rc = control_commit(c, e);
    if (rc != 0)
        return rc;
    if (r->e.op == OUTBOX_CREATE && x->plug->find != NULL)
        found = x->plug->find(x->ctx, &request, &answer);
    if (found == 1)
        answer.outcome = CONNECTOR_DONE;
    else if (found == 0)
        x->plug->send(x->ctx, &request, &answer);
    take_answer(c, r, s, &answer, now_wall_ns);
    return control_commit(c, e);
}

int outbox_deliver(struct control *c, const struct outbox_connector *x, uint64_t now_wall_ns, unsigned max_rows,
                   struct error *e)
{
    struct connector_status *s = status_of(c, x);
    unsigned tried = 0;

    if (s == NULL)
        return error_set(e, -ENOMEM, "no memory for connector %s", x->plug->name);
    while (tried < max_rows && s->e.state == CONNECTOR_ACTIVE && s->e.open_until_wall_ns <= now_wall_ns) {
        struct outbox_row *r = next_due(c, x->plug->name, now_wall_ns);
        if (r == NULL)
            break;
        int rc = send_row(c, x, r, s, now_wall_ns, e);
        if (rc != 0)
            return rc;
        tried++;
    }
    return (int)tried;
}

uint64_t outbox_next_due_ns(const struct control *c)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < c->outbox.n; i++) {
        if (waits(c->outbox.item[i]) && c->outbox.item[i]->e.next_at_wall_ns < due && !held_back(c, i))
            due = c->outbox.item[i]->e.next_at_wall_ns;
    }
    for (size_t i = 0; due != UINT64_MAX && i < c->connectors.n; i++) {
        const struct entity_connector *s = &c->connectors.item[i]->e;
        if (s->state != CONNECTOR_ACTIVE)
            return UINT64_MAX;
        if (s->open_until_wall_ns > due)
            due = s->open_until_wall_ns;
    }
    return due;
}

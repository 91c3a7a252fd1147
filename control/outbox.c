/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The outbox: loses nothing, doubles nothing that can be told apart.
 *
 * Making rows: a create, a close, a reopening and a comment always make one; an update replaces the text of an update
 * that waits and was never tried, since nobody could have seen it. The key is SHA-256 of
 * installation|ticket|op|version. Every configured connector gets a row of its own; those that only notify are not
 * asked and keep no state.
 *
 * Sending: rows of one ticket and connector go strictly in order; a row that waits, is in doubt or a dead create holds
 * back its followers. Before the first byte leaves, the row is committed as IN_DOUBT, so that a kill between sending
 * and recording leaves the truth behind. A tracker is asked for the key before every create, and a create that may have
 * arrived is not repeated before it would have been visible: after the time in which a request can still take effect
 * (settle) and the tracker's index delay. Failures back off with jitter; five in a row open the circuit. 401/403 pause
 * the connector until its settings change, 410 disables it likewise.
 *
 * Creates beyond the limit of an hour wait in outbox_limit.c; what people do with messages is in outbox_verbs.c.
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
#include "control/content.h"
#include "control/internal.h"
#include "control/outbox_internal.h"

#define BREAKER_FAILURES 5
#define CLOCK_SLACK      (60 * NS_PER_S) /* by which the system's clock may be behind ours */

const struct outbox_rules outbox_default_rules = {
    .settle_ns = 30 * NS_PER_S,
    .retry_first_ns = 2 * NS_PER_S,
    .retry_most_ns = 900 * NS_PER_S,
    .breaker_ns = 60 * NS_PER_S,
    .poll_ns = 60 * NS_PER_S,
    .reconcile_ns = 86400 * NS_PER_S,
};

void outbox_rules_read(const struct config *config, struct outbox_rules *ret)
{
    *ret = (struct outbox_rules){
        .settle_ns = config_u64(config, "tickets.settle"),
        .retry_first_ns = config_u64(config, "tickets.retry_first"),
        .retry_most_ns = config_u64(config, "tickets.retry_most"),
        .breaker_ns = config_u64(config, "tickets.breaker"),
        .max_per_hour = config_u64(config, "tickets.max_per_hour"),
        .poll_ns = config_u64(config, "tickets.poll"),
        .reconcile_ns = config_u64(config, "tickets.reconcile"),
    };
}

const struct outbox_rules *outbox_rules_of(const struct control *c)
{
    return c->options.rules != NULL ? c->options.rules : &outbox_default_rules;
}

bool outbox_waits(const struct outbox_row *r)
{
    return r->e.state == OUTBOX_ROW_PENDING || r->e.state == OUTBOX_ROW_IN_DOUBT;
}

bool outbox_same_queue(const struct outbox_row *a, const struct outbox_row *b)
{
    return strcmp(a->e.ticket, b->e.ticket) == 0 && strcmp(a->e.connector, b->e.connector) == 0;
}

bool outbox_is_waiting(const struct control *c, uint64_t seq)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        if (c->outbox.item[i]->e.seq == seq)
            return outbox_waits(c->outbox.item[i]) || c->outbox.item[i]->e.state == OUTBOX_ROW_DEAD;
    }
    return false;
}

bool outbox_state_waits(const struct control *c, const struct ticket *t)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        const struct entity_outbox *r = &c->outbox.item[i]->e;
        if (outbox_waits(c->outbox.item[i]) &&
            (r->op == OUTBOX_REOPEN || r->op == OUTBOX_RESOLVE || r->op == OUTBOX_CLOSE) &&
            strcmp(r->ticket, t->e.id) == 0 && strcmp(r->connector, t->e.connector) == 0)
            return true;
    }
    return false;
}

/* --- making rows --- */

static void fill_row(struct control *c, struct outbox_row *r, const struct ticket *t, const char *connector,
                     enum outbox_op op, const char *body)
{
    char text[256];

    r->e.op = op;
    r->e.version = t->e.version;
    r->e.severity = t->e.severity;
    snprintf(r->e.ticket, sizeof(r->e.ticket), "%s", t->e.id);
    snprintf(r->e.connector, sizeof(r->e.connector), "%s", connector);
    memcpy(r->e.title, t->e.title, sizeof(r->e.title));
    snprintf(r->e.body, sizeof(r->e.body), "%s", body);
    memcpy(r->e.body_hash, t->e.content_hash, sizeof(r->e.body_hash));
    snprintf(text, sizeof(text), "%s|%s|%s|%" PRIu64, c->meta.install, t->e.id, outbox_op_name(op), t->e.version);
    hash_text(r->e.key, text);
    r->dirty = true;
}

/* The update that nobody has seen yet, if it is the queue's last row. */
static struct outbox_row *untried_update(struct control *c, const char *ticket, const char *connector)
{
    for (size_t i = c->outbox.n; i > 0; i--) {
        struct outbox_row *r = c->outbox.item[i - 1];
        if (strcmp(r->e.ticket, ticket) != 0 || strcmp(r->e.connector, connector) != 0)
            continue;
        bool untried = r->e.state == OUTBOX_ROW_PENDING && r->e.attempts == 0 && r->e.op == OUTBOX_UPDATE;
        return untried ? r : NULL;
    }
    return NULL;
}

void outbox_add_row(struct control *c, struct ticket *t, const char *connector, enum outbox_op op, const char *body,
                    uint64_t now_ns)
{
    struct outbox_row *r = op == OUTBOX_UPDATE ? untried_update(c, t->e.id, connector) : NULL;

    if (r == NULL) {
        r = calloc(1, sizeof(*r));
        if (r == NULL || VECTOR_PUSH(c->outbox, r) != 0) {
            free(r);
            c->failed = true;
            return;
        }
        r->e.seq = ++c->meta.outbox_seq;
        r->e.state = connector[0] != '\0' ? OUTBOX_ROW_PENDING : OUTBOX_ROW_DRY_RUN;
    }
    r->e.created_ns = now_ns;
    fill_row(c, r, t, connector, op, body);
    if (op == OUTBOX_CREATE && strcmp(connector, t->e.connector) == 0)
        memcpy(t->e.create_key, r->e.key, sizeof(t->e.create_key));
}

/* What was closed there must be opened again before an update makes sense; except where people are right to have closed
 * it, because the problem is being verified or somebody has taken the incident. */
static bool must_reopen(struct control *c, const struct ticket *t)
{
    if (!t->e.told_closed && t->e.remote_state != REMOTE_RESOLVED && t->e.remote_state != REMOTE_CLOSED)
        return false;
    if (t->e.told_closed)
        return true;
    const struct problem *p = t->e.problem[0] != '\0' ? problem_find(c, t->e.problem) : NULL;
    if (p != NULL)
        return p->e.state != PROBLEM_VERIFYING && p->e.state != PROBLEM_RISK_ACCEPTED;
    for (size_t i = 0; i < c->incidents.n; i++) {
        if (strcmp(c->incidents.item[i]->e.id, t->e.incident) == 0)
            return c->incidents.item[i]->e.state == INCIDENT_OPEN;
    }
    return true;
}

void outbox_tell(struct control *c, struct ticket *t, enum outbox_op op, const char *body, uint64_t now_ns)
{
    if (op == OUTBOX_UPDATE && must_reopen(c, t))
        op = OUTBOX_REOPEN;
    if (op == OUTBOX_CLOSE || op == OUTBOX_REOPEN || op == OUTBOX_CREATE)
        t->e.told_closed = op == OUTBOX_CLOSE;
    if (op == OUTBOX_REOPEN && t->e.remote_state > REMOTE_OPEN)
        t->e.remote_state = REMOTE_OPEN; /* it will be; later updates need not repeat it */
    t->dirty = true;
    bool known_there = c->from_remote && op == OUTBOX_UPDATE; /* an echo of what was done there */
    if (!known_there)
        outbox_add_row(c, t, t->e.connector, op, body, now_ns);
    for (size_t i = 0; t->e.connector[0] != '\0' && i < c->n_notify; i++)
        outbox_add_row(c, t, c->notify[i], op, body, now_ns);
}

void outbox_enqueue(struct control *c, struct ticket *t, enum outbox_op op, uint64_t now_ns)
{
    outbox_tell(c, t, op, t->e.body, now_ns);
}

void outbox_file_again(struct control *c, const char *ticket, uint64_t now_ns)
{
    struct ticket *t = ticket_find(c, ticket);

    if (t == NULL)
        return;
    t->e.remote_id[0] = '\0';
    t->e.remote_url[0] = '\0';
    t->e.remote_state = REMOTE_UNKNOWN;
    t->e.version++;
    t->e.told_closed = 0;
    t->dirty = true;
    outbox_add_row(c, t, t->e.connector, OUTBOX_CREATE, t->e.body, now_ns);
}

/* --- when --- */

uint64_t outbox_backoff_ns(const struct outbox_rules *rules, uint64_t attempts, const char *key)
{
    uint64_t wait = rules->retry_first_ns;
    uint64_t h = attempts + 1;

    for (uint64_t i = 1; i < attempts && wait < rules->retry_most_ns; i++)
        wait *= 2;
    if (wait > rules->retry_most_ns)
        wait = rules->retry_most_ns;
    for (const char *p = key; *p != '\0'; p++)
        h = mix64(h ^ (unsigned char)*p);
    return wait - (wait / 2) * (h % 1000) / 1000;
}

struct connector_status *outbox_status_by_name(const struct control *c, const char *name)
{
    for (size_t i = 0; i < c->connectors.n; i++) {
        if (strcmp(c->connectors.item[i]->e.name, name) == 0)
            return c->connectors.item[i];
    }
    return NULL;
}

static struct connector_status *status_of(struct control *c, const struct outbox_connector *x)
{
    struct connector_status *s = outbox_status_by_name(c, x->plug->name);

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

struct entity_connector *outbox_status(struct control *c, const struct outbox_connector *x)
{
    struct connector_status *s = status_of(c, x);

    return s != NULL ? &s->e : NULL;
}

/* What follows `name:` in a text of INFO; "" without it. */
static const char *info_field(const char *info, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = info; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, len) == 0 && at[len] == ':')
            return at + len + 1;
    }
    return "";
}

/*
 * How long the server has surely kept all that it acknowledged. 0 where that is not known: it was promoted (then it has
 * the replication id of the master before it), it is a node of a Cluster (INFO may be another's), or it does not say.
 */
static uint64_t trusted_ns(const char *info)
{
    const char *before = info_field(info, "master_replid2");
    bool promoted = strspn(before, "0") < 40;
    bool alone = strstr(info, "redis_mode:standalone") != NULL;

    return promoted || !alone ? 0 : strtoull(info_field(info, "uptime_in_seconds"), NULL, 10) * NS_PER_S;
}

void outbox_guard_restart(struct control *c, uint64_t now_wall_ns)
{
    struct store_reply *r = c->store != NULL ? store_command(c->store, "INFO") : NULL;
    uint64_t trusted = r != NULL ? trusted_ns(store_reply_string(r, NULL)) : 0;
    uint64_t settle = outbox_rules_of(c)->settle_ns;

    store_reply_free(r);
    c->creates_from_wall_ns = trusted < settle ? now_wall_ns + settle - trusted : 0;
}

/* Whether an earlier row of the same queue must go first. Rows are in order of seq. */
static bool held_back(const struct control *c, size_t index)
{
    const struct outbox_row *r = c->outbox.item[index];

    for (size_t i = 0; i < index; i++) {
        const struct outbox_row *earlier = c->outbox.item[i];
        bool blocks = outbox_waits(earlier) || (earlier->e.state == OUTBOX_ROW_DEAD && earlier->e.op == OUTBOX_CREATE);
        if (blocks && outbox_same_queue(earlier, r))
            return true;
    }
    return false;
}

static const struct connector *plug_by_name(const char *name)
{
    for (const struct connector *const *x = connectors; *x != NULL; x++) {
        if (strcmp((*x)->name, name) == 0)
            return *x;
    }
    return NULL;
}

/* When a row may be tried, as far as it alone is concerned. plug NULL: its connector is not known here. */
static uint64_t due_at(const struct control *c, const struct connector *plug, const struct outbox_row *r)
{
    uint64_t at = r->e.next_at_wall_ns;
    uint64_t visible = 0;

    if (r->e.op != OUTBOX_CREATE || plug == NULL || plug->find == NULL)
        return at;
    if (r->e.doubt_wall_ns != 0)
        visible = r->e.doubt_wall_ns + outbox_rules_of(c)->settle_ns + plug->index_delay_ns;
    if (visible < c->creates_from_wall_ns)
        visible = c->creates_from_wall_ns;
    return at > visible ? at : visible;
}

/* --- sending --- */

static struct outbox_row *next_due(struct control *c, const struct connector *plug, const struct connector_status *s,
                                   uint64_t now_wall_ns)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        struct outbox_row *r = c->outbox.item[i];
        if (outbox_waits(r) && strcmp(r->e.connector, plug->name) == 0 && due_at(c, plug, r) <= now_wall_ns &&
            !outbox_over_limit(c, s, r) && !held_back(c, i))
            return r;
    }
    return NULL;
}

static struct connector_request request_of(const struct control *c, const struct entity_ticket *t)
{
    return (struct connector_request){.op = OUTBOX_UPDATE,
                                      .key = t->content_hash,
                                      .create_key = t->create_key,
                                      .install = c->meta.install,
                                      .ticket = t->id,
                                      .problem = t->problem,
                                      .incident = t->incident,
                                      .title = t->title,
                                      .body = t->body,
                                      .owner = t->owner,
                                      .remote_id = t->remote_id,
                                      .severity = t->severity,
                                      .version = t->version,
                                      .created_ns = t->updated_ns,
                                      .opened_ns = t->created_ns};
}

struct delivery_job *outbox_ticket_job(struct control *c, const struct entity_ticket *t, enum delivery_kind kind)
{
    struct connector_request r = request_of(c, t);

    return delivery_job_new(kind, &r);
}

/* The same text as HTML, and charts with what opens or ends a ticket, where the system takes them. */
static struct delivery_job *job_with_extras(struct control *c, const struct connector *plug,
                                            const struct entity_ticket *t, struct connector_request *q)
{
    static const char *const names[TICKET_CHARTS] = {"hours-of-the-week.svg", "values.svg"};
    bool charts = q->op == OUTBOX_CREATE || q->op == OUTBOX_REOPEN || q->op == OUTBOX_CLOSE;
    struct connector_attachment attachment[TICKET_CHARTS];
    char *html = plug->can & CONNECTOR_HTML ? content_html(q->body) : NULL;
    char *svg[TICKET_CHARTS] = {NULL};

    if (charts && t != NULL && plug->can & CONNECTOR_SVG)
        ticket_charts(c, t, svg);
    for (unsigned i = 0; i < TICKET_CHARTS; i++) {
        if (svg[i] != NULL)
            attachment[q->n_attachments++] =
                (struct connector_attachment){names[i], "image/svg+xml", svg[i], strlen(svg[i])};
    }
    q->attachment = attachment;
    q->html = html;
    struct delivery_job *job = delivery_job_new(DELIVERY_SEND, q);
    for (unsigned i = 0; i < TICKET_CHARTS; i++)
        free(svg[i]);
    free(html);
    return job;
}

struct delivery_job *outbox_next_job(struct control *c, const struct outbox_connector *x, uint64_t now_wall_ns)
{
    static const struct entity_ticket none = {0};
    struct connector_status *s = status_of(c, x);

    if (s == NULL || s->e.state != CONNECTOR_ACTIVE || s->e.open_until_wall_ns > now_wall_ns)
        return NULL;
    outbox_keep_hour(c, s, now_wall_ns);
    struct outbox_row *r = next_due(c, x->plug, s, now_wall_ns);
    if (r == NULL)
        return NULL;
    const struct ticket *t = ticket_find(c, r->e.ticket);
    struct connector_request q = request_of(c, t != NULL ? &t->e : &none);
    q.op = r->e.op;
    q.key = r->e.key;
    if (q.op == OUTBOX_CREATE || q.create_key[0] == '\0')
        q.create_key = r->e.key;
    q.ticket = r->e.ticket;
    q.title = r->e.title;
    q.body = r->e.body;
    q.severity = r->e.severity;
    q.version = r->e.version;
    q.created_ns = r->e.created_ns;
    q.repeat = r->e.attempts > 0;
    struct delivery_job *job = job_with_extras(c, x->plug, t != NULL ? &t->e : NULL, &q);
    if (job == NULL)
        return NULL;
    job->seq = r->e.seq;
    r->e.attempts++;
    r->e.state = OUTBOX_ROW_IN_DOUBT;
    r->e.doubt_wall_ns = now_wall_ns;
    r->dirty = true;
    return job;
}

void outbox_take_health(struct control *c, const struct outbox_connector *x, const struct connector_answer *a,
                        uint64_t now_wall_ns)
{
    struct connector_status *s = status_of(c, x);

    if (s == NULL)
        return;
    s->dirty = true;
    switch (a->outcome) {
    case CONNECTOR_DONE:
    case CONNECTOR_REFUSED: /* it answers: it lives */
        s->e.failures = 0;
        s->e.open_until_wall_ns = 0;
        break;
    case CONNECTOR_DOUBT:
    case CONNECTOR_RETRY:
        s->e.failures++;
        break;
    case CONNECTOR_PAUSE:
    case CONNECTOR_DISABLE:
        s->e.state = a->outcome == CONNECTOR_PAUSE ? CONNECTOR_PAUSED : CONNECTOR_DISABLED;
        break;
    }
    if (a->outcome != CONNECTOR_DONE)
        snprintf(s->e.reason, sizeof(s->e.reason), "%s", a->text);
    if (s->e.failures >= BREAKER_FAILURES)
        s->e.open_until_wall_ns = now_wall_ns + outbox_rules_of(c)->breaker_ns;
}

static void take_success(struct control *c, const struct outbox_connector *x, struct outbox_row *r,
                         struct connector_status *s, const struct delivery_job *job, uint64_t now_wall_ns)
{
    const struct connector_answer *a = &job->answer;
    struct ticket *t = ticket_find(c, r->e.ticket);

    r->e.state = OUTBOX_ROW_SENT;
    r->e.done_wall_ns = now_wall_ns;
    r->e.last_error[0] = '\0';
    snprintf(r->e.remote_id, sizeof(r->e.remote_id), "%s", a->remote_id);
    s->e.sent++;
    s->e.found += job->was_there;
    if (r->e.op == OUTBOX_CREATE && !outbox_is_summary(r->e.ticket))
        s->e.hour_creates++;
    if (t == NULL || strcmp(t->e.connector, x->plug->name) != 0)
        return;
    if (a->remote_id[0] != '\0')
        snprintf(t->e.remote_id, sizeof(t->e.remote_id), "%s", a->remote_id);
    if (a->remote_url[0] != '\0')
        snprintf(t->e.remote_url, sizeof(t->e.remote_url), "%s", a->remote_url);
    if (r->e.op == OUTBOX_CREATE || r->e.op == OUTBOX_REOPEN)
        t->e.remote_state = a->state != REMOTE_UNKNOWN ? a->state : REMOTE_OPEN;
    else if (r->e.op == OUTBOX_CLOSE || r->e.op == OUTBOX_RESOLVE)
        t->e.remote_state = r->e.op == OUTBOX_CLOSE ? REMOTE_CLOSED : REMOTE_RESOLVED;
    if (r->e.op != OUTBOX_UPDATE && r->e.op != OUTBOX_COMMENT && t->e.remote_wall_ns + CLOCK_SLACK < now_wall_ns)
        t->e.remote_wall_ns = now_wall_ns - CLOCK_SLACK; /* what a webhook tells of an earlier time is over */
    t->dirty = true;
}

/* Somebody dropped it while it was on its way, and it has arrived: what is there is there. */
static void take_dropped(struct control *c, const struct outbox_connector *x, struct outbox_row *r,
                         struct connector_status *s, const struct delivery_job *job, uint64_t now_wall_ns)
{
    struct ticket *t = ticket_find(c, r->e.ticket);

    take_success(c, x, r, s, job, now_wall_ns);
    r->dirty = true;
    if (t != NULL && strcmp(t->e.connector, x->plug->name) == 0 && t->e.remote_id[0] != '\0')
        t->e.dry_run = 0;
}

struct outbox_row *outbox_row_by_seq(struct control *c, uint64_t seq)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        if (c->outbox.item[i]->e.seq == seq)
            return c->outbox.item[i];
    }
    return NULL;
}

void outbox_record(struct control *c, const struct outbox_connector *x, const struct delivery_job *job,
                   uint64_t now_wall_ns)
{
    const struct connector_answer *a = &job->answer;
    struct outbox_row *r = outbox_row_by_seq(c, job->seq);
    struct connector_status *s = status_of(c, x);

    outbox_take_health(c, x, a, now_wall_ns);
    if (r == NULL || s == NULL || strcmp(r->e.key, job->request.key) != 0)
        return;
    if (r->e.state == OUTBOX_ROW_DROPPED && a->outcome == CONNECTOR_DONE)
        take_dropped(c, x, r, s, job, now_wall_ns);
    if (!outbox_waits(r))
        return;
    uint64_t wait = outbox_backoff_ns(outbox_rules_of(c), r->e.attempts, r->e.key);
    r->e.http_status = a->http_status > 0 ? (uint64_t)a->http_status : 0;
    snprintf(r->e.last_error, sizeof(r->e.last_error), "%s", a->text);
    r->e.next_at_wall_ns = now_wall_ns + (a->retry_after_ns > wait ? a->retry_after_ns : wait);
    r->dirty = true;
    switch (a->outcome) {
    case CONNECTOR_DONE:
        take_success(c, x, r, s, job, now_wall_ns);
        break;
    case CONNECTOR_DOUBT: /* the row stays in doubt, from now on: a slow answer may just have been missed */
        r->e.doubt_wall_ns = now_wall_ns;
        break;
    case CONNECTOR_RETRY:
    case CONNECTOR_PAUSE:
    case CONNECTOR_DISABLE:
        r->e.state = OUTBOX_ROW_PENDING;
        r->e.doubt_wall_ns = 0;
        break;
    case CONNECTOR_REFUSED:
        r->e.state = OUTBOX_ROW_DEAD;
        r->e.done_wall_ns = now_wall_ns;
        s->e.failed++;
        break;
    }
}

int outbox_deliver(struct control *c, const struct outbox_connector *x, uint64_t now_wall_ns, unsigned max_rows,
                   struct error *e)
{
    unsigned tried = 0;

    while (tried < max_rows) {
        struct delivery_job *job = outbox_next_job(c, x, now_wall_ns);
        if (job == NULL)
            break;
        int rc = control_commit(c, e);
        if (rc == 0) {
            delivery_run(x->plug, x->ctx, job);
            outbox_record(c, x, job, now_wall_ns);
            rc = control_commit(c, e);
        }
        delivery_job_free(job);
        if (rc != 0)
            return rc;
        tried++;
    }
    return (int)tried;
}

uint64_t outbox_next_due_ns(const struct control *c)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < c->outbox.n; i++) {
        const struct outbox_row *r = c->outbox.item[i];
        const struct connector_status *s = outbox_waits(r) ? outbox_status_by_name(c, r->e.connector) : NULL;
        uint64_t due = outbox_waits(r) ? due_at(c, plug_by_name(r->e.connector), r) : 0;
        if (!outbox_waits(r) || (s != NULL && (s->e.state != CONNECTOR_ACTIVE || outbox_over_limit(c, s, r))))
            continue;
        if (s != NULL && s->e.open_until_wall_ns > due)
            due = s->e.open_until_wall_ns;
        if (due < least && !held_back(c, i))
            least = due;
    }
    return least;
}

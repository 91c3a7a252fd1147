/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One line per connector: an outbox_connector, its thread, and what it was last asked. In each round every idle thread
 * gets the most urgent job: the poll for changes when it is due, else the next row of the outbox, else a ticket of the
 * nightly comparison, else an alert that wants to be told again.
 *
 * Marks before jobs: the rows of all jobs of a round are marked as in doubt and committed together with what the last
 * round's answers said, so a delivery costs one commit. A job leaves only after that commit.
 *
 * The comparison walks all filed tickets and looks each up by its key, one request at a time and after everything else:
 * what the tracker has lost is filed again, what was answered without us is taken over, what changed there is applied.
 */

#include "control/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/backsync.h"
#include "control/internal.h"

#define MOST_CONNECTORS 16u
#define COMPARE_CLOSED  (7 * 86400 * NS_PER_S) /* tickets closed longer ago are left alone */

/* Owner: dispatch. `ready` is a job whose row is marked and not yet committed. */
struct line {
    struct outbox_connector x;
    struct delivery *thread;
    struct delivery_job *ready;
    size_t compare_at, refresh_at; /* index of the next ticket */
    bool comparing;
};

struct dispatch {
    struct line line[MOST_CONNECTORS];
    size_t n;
    size_t primary;
    int fd;
};

static int open_lines(const struct config *config, struct dispatch *d, struct error *e)
{
    const char *tracker = NULL;

    for (const struct connector *const *plug = connectors; *plug != NULL; plug++) {
        struct line *l = &d->line[d->n];
        int rc = (*plug)->open(config, &l->x.ctx, l->x.settings_hash, e);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        l->x.plug = *plug;
        d->n++;
        if (d->n == MOST_CONNECTORS)
            return error_set(e, -E2BIG, "more than %u ticketing systems are configured", MOST_CONNECTORS - 1);
        if (!((*plug)->can & CONNECTOR_TRACKS))
            continue;
        if (tracker != NULL)
            return error_set(e, -EINVAL,
                             "tickets.%s and tickets.%s are both configured, and one fault is one ticket: remove one",
                             tracker, (*plug)->name);
        tracker = (*plug)->name;
        d->primary = d->n - 1;
    }
    return 0;
}

static void close_lines(struct dispatch *d)
{
    for (size_t i = 0; i < d->n; i++) {
        delivery_stop(d->line[i].thread);
        delivery_job_free(d->line[i].ready);
        d->line[i].x.plug->close(d->line[i].x.ctx);
    }
}

int dispatch_open(const struct config *config, struct dispatch **ret, struct error *e)
{
    struct dispatch *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return error_set(e, -ENOMEM, "no memory for ticket delivery");
    d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = d->fd >= 0 ? open_lines(config, d, e) : error_set(e, -errno, "eventfd: %s", strerror(errno));
    for (size_t i = 0; rc == 0 && i < d->n; i++)
        rc = delivery_start(d->line[i].x.plug, d->line[i].x.ctx, d->fd, &d->line[i].thread, e);
    *ret = d;
    if (rc != 0 || d->n == 0) {
        dispatch_close(d);
        *ret = NULL;
    }
    return rc;
}

void dispatch_close(struct dispatch *d)
{
    if (d == NULL)
        return;
    close_lines(d);
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

const char *dispatch_primary(const struct dispatch *d)
{
    return d != NULL && d->n > 0 ? d->line[d->primary].x.plug->name : "";
}

size_t dispatch_notifiers(const struct dispatch *d, const char **ret, size_t most)
{
    size_t n = 0;

    for (size_t i = 0; d != NULL && i < d->n && n < most; i++) {
        if (i != d->primary)
            ret[n++] = d->line[i].x.plug->name;
    }
    return n;
}

int dispatch_fd(const struct dispatch *d)
{
    return d != NULL ? d->fd : -1;
}

bool dispatch_is_busy(const struct dispatch *d)
{
    for (size_t i = 0; d != NULL && i < d->n; i++) {
        if (!delivery_is_idle(d->line[i].thread) || d->line[i].ready != NULL)
            return true;
    }
    return false;
}

/* --- answers --- */

static void take_poll(struct control *c, struct line *l, struct delivery_job *job, uint64_t now_wall_ns)
{
    struct entity_connector *s = outbox_status(c, &l->x);

    if (s == NULL)
        return;
    job->answer.outcome = job->rc == 0 ? CONNECTOR_DONE : job->answer.outcome;
    outbox_take_health(c, &l->x, &job->answer, now_wall_ns);
    if (job->rc != 0)
        return;
    for (size_t i = 0; i < job->changes.n; i++)
        backsync_apply(c, l->x.plug->name, &job->changes.item[i]);
    snprintf(s->poll_cursor, sizeof(s->poll_cursor), "%s", job->changes.cursor);
    if (job->changes.more)
        s->polled_wall_ns = 0;
}

/* A ticket without rows that wait, so that what is found there is not just older than what we know. */
static bool is_quiet(const struct control *c, const struct entity_ticket *t)
{
    for (size_t i = 0; i < c->outbox.n; i++) {
        const struct entity_outbox *r = &c->outbox.item[i]->e;
        if (strcmp(r->ticket, t->id) == 0 && strcmp(r->connector, t->connector) == 0 && r->state != OUTBOX_ROW_SENT &&
            r->state != OUTBOX_ROW_DROPPED)
            return false;
    }
    return true;
}

static void take_compare(struct control *c, struct line *l, struct delivery_job *job, uint64_t now_wall_ns)
{
    const struct connector_answer *a = &job->answer;
    struct ticket *t = ticket_find(c, job->request.ticket);

    job->answer.outcome = job->rc >= 0 ? CONNECTOR_DONE : job->answer.outcome;
    outbox_take_health(c, &l->x, a, now_wall_ns);
    if (t == NULL || job->rc < 0 || !is_quiet(c, &t->e))
        return;
    t->e.reconciled_wall_ns = now_wall_ns;
    t->dirty = true;
    if (job->rc == 0) {
        if (t->e.state == TICKET_OPEN)
            outbox_file_again(c, t->e.id, c->meta.cursor_ns);
        return;
    }
    if (a->remote_id[0] == '\0')
        return; /* it is there, and nothing is known of it: somebody has moved it out of our sight */
    snprintf(t->e.remote_id, sizeof(t->e.remote_id), "%s", a->remote_id);
    struct connector_change x = {.state = a->state, .has_owner = (l->x.plug->can & CONNECTOR_OWNER) != 0};
    snprintf(x.remote_id, sizeof(x.remote_id), "%s", a->remote_id);
    snprintf(x.owner, sizeof(x.owner), "%s", a->owner);
    backsync_apply(c, l->x.plug->name, &x);
}

static int take_answers(struct dispatch *d, struct control *c, uint64_t now_wall_ns)
{
    int n = 0;

    for (size_t i = 0; i < d->n; i++) {
        struct line *l = &d->line[i];
        struct delivery_job *job = delivery_take(l->thread);
        if (job == NULL)
            continue;
        if (job->kind == DELIVERY_POLL)
            take_poll(c, l, job, now_wall_ns);
        else if (job->kind == DELIVERY_FIND)
            take_compare(c, l, job, now_wall_ns);
        else if (job->seq != 0)
            outbox_record(c, &l->x, job, now_wall_ns);
        else
            outbox_take_health(c, &l->x, &job->answer, now_wall_ns);
        delivery_job_free(job);
        n++;
    }
    return n;
}

/* --- jobs --- */

static struct delivery_job *poll_job(struct control *c, const struct line *l, struct entity_connector *s,
                                     uint64_t now_wall_ns)
{
    static const struct connector_request none = {0};
    uint64_t every = c->options.rules != NULL ? c->options.rules->poll_ns : outbox_default_rules.poll_ns;

    if (l->x.plug->poll == NULL || s->polled_wall_ns + every > now_wall_ns)
        return NULL;
    struct delivery_job *job = delivery_job_new(DELIVERY_POLL, &none);
    if (job != NULL) {
        snprintf(job->cursor, sizeof(job->cursor), "%s", s->poll_cursor);
        s->polled_wall_ns = now_wall_ns;
    }
    return job;
}

static struct delivery_job *compare_job(struct control *c, struct line *l, struct entity_connector *s,
                                        uint64_t now_wall_ns)
{
    uint64_t every = c->options.rules != NULL ? c->options.rules->reconcile_ns : outbox_default_rules.reconcile_ns;

    if (l->x.plug->find == NULL || every == 0)
        return NULL;
    if (!l->comparing) {
        if (s->reconciled_wall_ns + every > now_wall_ns)
            return NULL;
        l->comparing = s->reconciled_wall_ns != 0; /* a new installation has nothing to compare */
        l->compare_at = 0;
        s->reconciled_wall_ns = now_wall_ns;
    }
    while (l->comparing && l->compare_at < c->tickets.n) {
        const struct entity_ticket *t = &c->tickets.item[l->compare_at++]->e;
        bool old =
            t->state == TICKET_CLOSED && t->reconciled_wall_ns != 0 && t->closed_ns + COMPARE_CLOSED < now_wall_ns;
        if (strcmp(t->connector, l->x.plug->name) == 0 && t->create_key[0] != '\0' && !old && is_quiet(c, t))
            return outbox_ticket_job(c, t, DELIVERY_FIND);
    }
    l->comparing = false;
    return NULL;
}

static struct delivery_job *refresh_job(struct control *c, struct line *l, uint64_t now_wall_ns)
{
    uint64_t every = l->x.plug->refresh_ns;

    for (size_t i = 0; every > 0 && i < c->tickets.n; i++) {
        struct ticket *t = c->tickets.item[l->refresh_at++ % c->tickets.n];
        if (t->e.state != TICKET_OPEN || t->e.dry_run || t->e.connector[0] == '\0' ||
            t->told_wall_ns + every > now_wall_ns)
            continue;
        t->told_wall_ns = now_wall_ns;
        return outbox_ticket_job(c, &t->e, DELIVERY_SEND);
    }
    return NULL;
}

/* True when something must be committed before it leaves. */
static bool make_job(struct control *c, struct line *l, uint64_t now_wall_ns)
{
    struct entity_connector *s = outbox_status(c, &l->x);

    if (s == NULL || l->ready != NULL || !delivery_is_idle(l->thread) || s->state != CONNECTOR_ACTIVE ||
        s->open_until_wall_ns > now_wall_ns)
        return false;
    l->ready = poll_job(c, l, s, now_wall_ns);
    if (l->ready != NULL)
        return false;
    l->ready = outbox_next_job(c, &l->x, now_wall_ns);
    if (l->ready != NULL)
        return true;
    l->ready = compare_job(c, l, s, now_wall_ns);
    if (l->ready == NULL)
        l->ready = refresh_job(c, l, now_wall_ns);
    return false;
}

int dispatch_run(struct dispatch *d, struct control *c, uint64_t now_wall_ns, struct error *e)
{
    uint64_t drained;
    bool marked = false;
    int rc = 0;

    if (d == NULL)
        return 0;
    if (read(d->fd, &drained, sizeof(drained)) < 0) {
        /* nothing was finished since the last round */
    }
    int n = take_answers(d, c, now_wall_ns);
    for (size_t i = 0; i < d->n; i++)
        marked |= make_job(c, &d->line[i], now_wall_ns);
    if (n > 0 || marked)
        rc = control_commit(c, e);
    for (size_t i = 0; i < d->n; i++) {
        struct line *l = &d->line[i];
        if (l->ready == NULL)
            continue;
        if (rc != 0 || !delivery_submit(l->thread, l->ready))
            delivery_job_free(l->ready);
        l->ready = NULL;
    }
    return rc != 0 ? rc : n;
}

/* --- the read-only look --- */

struct check {
    void (*say)(void *ctx, const char *connector, bool good, const char *what, const char *how);
    void *ctx;
    const char *name;
};

static void pass_on(void *ctx, bool good, const char *what, const char *how)
{
    const struct check *x = ctx;

    x->say(x->ctx, x->name, good, what, how);
}

int dispatch_check(const struct config *config,
                   void (*say)(void *ctx, const char *connector, bool good, const char *what, const char *how),
                   void *say_ctx, struct error *e)
{
    struct dispatch d = {.fd = -1};
    int rc = open_lines(config, &d, e), bad = 0;

    for (size_t i = 0; rc == 0 && i < d.n; i++) {
        struct check x = {say, say_ctx, d.line[i].x.plug->name};
        if (d.line[i].x.plug->check == NULL)
            say(say_ctx, x.name, true, "has no read-only call that could be tried", "");
        else
            bad += d.line[i].x.plug->check(d.line[i].x.ctx, pass_on, &x) != 0;
    }
    close_lines(&d);
    return rc != 0 ? rc : bad;
}

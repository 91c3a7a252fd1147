/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One job slot per thread, guarded by a mutex: EMPTY -> WAITING (submit) -> RUNNING -> DONE -> EMPTY (take). One slot
 * is enough: a system gets one request at a time, in the outbox's order, and the next is chosen when the last is
 * recorded.
 *
 * A stop sets a flag that the HTTP and mail transfers look at, so that the join takes no longer than a second. The job
 * that was at work is dropped without a word: its row is marked as in doubt in Redis, which is the truth about it.
 */

#include "control/delivery.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "control/connectors/http.h"

enum slot_state { SLOT_EMPTY, SLOT_WAITING, SLOT_RUNNING, SLOT_DONE };

/* Owner: control's thread. state and job belong to the lock. */
struct delivery {
    const struct connector *plug;
    void *ctx;
    int notify_fd;
    atomic_bool stop;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    enum slot_state state;
    struct delivery_job *job;
};

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 1;
}

/* Copies into the arena; NULL stays "" but for html. */
static const char *keep(char **at, const char *text)
{
    char *copy = *at;
    size_t len = text_bytes(text);

    memcpy(copy, text != NULL ? text : "", len);
    *at += len;
    return copy;
}

static int copy_attachments(struct delivery_job *job, const struct connector_request *r)
{
    job->request.attachment = NULL;
    job->request.n_attachments = 0;
    if (r->n_attachments == 0)
        return 0;
    job->attachment = calloc(r->n_attachments, sizeof(*job->attachment));
    if (job->attachment == NULL)
        return -ENOMEM;
    job->request.attachment = job->attachment;
    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *from = &r->attachment[i];
        char *name = strdup(from->name), *type = strdup(from->type), *data = malloc(from->len + 1);
        if (data != NULL)
            memcpy(data, from->data, from->len);
        job->attachment[i] = (struct connector_attachment){name, type, data, from->len};
        job->request.n_attachments = i + 1;
        if (name == NULL || type == NULL || data == NULL)
            return -ENOMEM;
    }
    return 0;
}

struct delivery_job *delivery_job_new(enum delivery_kind kind, const struct connector_request *r)
{
    struct delivery_job *job = calloc(1, sizeof(*job));
    struct connector_request *q;
    char *at;

    if (job == NULL)
        return NULL;
    job->kind = kind;
    job->request = *r;
    q = &job->request;
    const char **field[] = {&q->key,   &q->create_key, &q->install, &q->ticket, &q->problem,  &q->incident,
                            &q->title, &q->body,       &q->html,    &q->owner,  &q->remote_id};
    size_t n = sizeof(field) / sizeof(field[0]), bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += text_bytes(*field[i]);
    job->text = at = malloc(bytes);
    if (at == NULL || copy_attachments(job, r) != 0) {
        delivery_job_free(job);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        *field[i] = *field[i] == NULL && field[i] == &q->html ? NULL : keep(&at, *field[i]);
    return job;
}

void delivery_job_free(struct delivery_job *job)
{
    if (job == NULL)
        return;
    for (size_t i = 0; i < job->request.n_attachments && job->attachment != NULL; i++) {
        free((void *)(uintptr_t)job->attachment[i].name);
        free((void *)(uintptr_t)job->attachment[i].type);
        free((void *)(uintptr_t)job->attachment[i].data);
    }
    free(job->attachment);
    free(job->text);
    connector_changes_fini(&job->changes);
    free(job);
}

void delivery_run(const struct connector *plug, void *ctx, struct delivery_job *job)
{
    struct connector_answer *a = &job->answer;

    *a = (struct connector_answer){.outcome = CONNECTOR_RETRY};
    switch (job->kind) {
    case DELIVERY_SEND:
        if (job->request.op == OUTBOX_CREATE && plug->find != NULL) {
            job->rc = plug->find(ctx, &job->request, a);
            job->was_there = job->rc > 0;
            if (job->rc > 0)
                a->outcome = CONNECTOR_DONE;
            if (job->rc != 0)
                return; /* it is there; or nobody knows, and nothing is created */
            *a = (struct connector_answer){.outcome = CONNECTOR_RETRY};
        }
        plug->send(ctx, &job->request, a);
        break;
    case DELIVERY_FIND:
        job->rc = plug->find(ctx, &job->request, a);
        if (job->rc == 0 && plug->present != NULL && job->request.remote_id[0] != '\0')
            job->rc = plug->present(ctx, &job->request, a);
        break;
    case DELIVERY_POLL:
        snprintf(job->changes.cursor, sizeof(job->changes.cursor), "%s", job->cursor);
        job->rc = plug->poll(ctx, job->cursor, &job->changes, a);
        break;
    }
}

static void *work(void *arg)
{
    struct delivery *d = arg;
    uint64_t one = 1;

    http_stop_flag(&d->stop);
    pthread_mutex_lock(&d->lock);
    while (!atomic_load(&d->stop)) {
        if (d->state != SLOT_WAITING) {
            pthread_cond_wait(&d->wake, &d->lock);
            continue;
        }
        d->state = SLOT_RUNNING;
        struct delivery_job *job = d->job;
        pthread_mutex_unlock(&d->lock);
        delivery_run(d->plug, d->ctx, job);
        pthread_mutex_lock(&d->lock);
        d->state = SLOT_DONE;
        if (write(d->notify_fd, &one, sizeof(one)) < 0) {
            /* the counter is full: whoever waits is awake anyway */
        }
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

int delivery_start(const struct connector *plug, void *ctx, int notify_fd, struct delivery **ret, struct error *e)
{
    struct delivery *d = calloc(1, sizeof(*d));
    sigset_t all, before;

    if (d == NULL)
        return error_set(e, -ENOMEM, "no memory for the delivery to %s", plug->name);
    d->plug = plug;
    d->ctx = ctx;
    d->notify_fd = notify_fd;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&d->thread, NULL, work, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free(d);
        return error_set(e, -rc, "no thread for the delivery to %s: %s", plug->name, strerror(rc));
    }
    *ret = d;
    return 0;
}

bool delivery_submit(struct delivery *d, struct delivery_job *job)
{
    pthread_mutex_lock(&d->lock);
    bool free_slot = d->state == SLOT_EMPTY;
    if (free_slot) {
        d->job = job;
        d->state = SLOT_WAITING;
        pthread_cond_signal(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return free_slot;
}

bool delivery_is_idle(struct delivery *d)
{
    pthread_mutex_lock(&d->lock);
    bool idle = d->state == SLOT_EMPTY;
    pthread_mutex_unlock(&d->lock);
    return idle;
}

struct delivery_job *delivery_take(struct delivery *d)
{
    struct delivery_job *job = NULL;

    pthread_mutex_lock(&d->lock);
    if (d->state == SLOT_DONE) {
        job = d->job;
        d->job = NULL;
        d->state = SLOT_EMPTY;
    }
    pthread_mutex_unlock(&d->lock);
    return job;
}

void delivery_stop(struct delivery *d)
{
    if (d == NULL)
        return;
    atomic_store(&d->stop, true);
    pthread_mutex_lock(&d->lock);
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    delivery_job_free(d->job);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->wake);
    free(d);
}

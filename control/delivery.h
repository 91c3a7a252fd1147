/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DELIVERY_H
#define SPANWARD_DELIVERY_H

/*
 * A thread for each connector, so that a system that is slow or gone never holds up a step of control, nor another
 * system. Jobs go in one at a time and come back finished; control records what came of them, together with its state.
 * A job owns all its text: nothing is shared between the threads but the job itself, which one of them has at a time.
 */

#include "control/connectors/connector.h"

enum delivery_kind {
    DELIVERY_SEND, /* for a CREATE of a system that can be asked: find first, and send only what is not there */
    DELIVERY_FIND,
    DELIVERY_POLL,
};

/* Owner: whoever holds it. request's strings point into `text`. */
struct delivery_job {
    enum delivery_kind kind;
    uint64_t seq; /* of the outbox row; 0: no row */
    struct connector_request request;
    struct connector_attachment *attachment;
    char *text;
    char cursor[128]; /* of a poll */
    /* What came of it. */
    int rc; /* of find and poll */
    bool was_there;
    struct connector_answer answer;
    struct connector_changes changes;
};

/* A job with copies of all that the request points to; NULL without memory. */
struct delivery_job *delivery_job_new(enum delivery_kind kind, const struct connector_request *r);
void delivery_job_free(struct delivery_job *job);
/* Runs a job in the calling thread. */
void delivery_run(const struct connector *plug, void *ctx, struct delivery_job *job);

struct delivery;
/* notify_fd: an eventfd that is written when a job is done. The context is the thread's from here to the stop. */
int delivery_start(const struct connector *plug, void *ctx, int notify_fd, struct delivery **ret, struct error *e);
/* Takes the job over. False while another one is at work or waits to be taken. */
bool delivery_submit(struct delivery *d, struct delivery_job *job);
bool delivery_is_idle(struct delivery *d);
/* The finished job, which is the caller's then; NULL when there is none. */
struct delivery_job *delivery_take(struct delivery *d);
/* Ends a request that runs (its outcome is in doubt), joins the thread. The context stays open. NULL is fine. */
void delivery_stop(struct delivery *d);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What people do with messages: try one again now (which also wakes its system), or give one up. A create that is given
 * up takes the messages behind it along, and its ticket is as if it had never been filed: the next change makes it
 * anew.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/internal.h"
#include "control/outbox_internal.h"

/* A message that somebody can still decide about: it waits or is dead. */
static int open_row(struct control *c, uint64_t seq, struct outbox_row **ret, struct error *e)
{
    struct outbox_row *r = outbox_row_by_seq(c, seq);

    if (r == NULL)
        return error_set(e, -ENOENT, "no message %" PRIu64 " waits or is dead; see: spanward outbox", seq);
    if (!outbox_waits(r) && r->e.state != OUTBOX_ROW_DEAD)
        return error_set(e, -EINVAL, "message %" PRIu64 " is %s: only what waits or is dead can be tried or dropped",
                         seq, outbox_state_name(r->e.state));
    *ret = r;
    return 0;
}

int outbox_retry(struct control *c, uint64_t seq, struct error *e)
{
    struct outbox_row *r = NULL;
    int rc = open_row(c, seq, &r, e);

    if (rc != 0)
        return rc;
    struct connector_status *s = outbox_status_by_name(c, r->e.connector);
    if (r->e.state == OUTBOX_ROW_DEAD)
        r->e.state = OUTBOX_ROW_PENDING;
    r->e.next_at_wall_ns = 0;
    r->e.done_wall_ns = 0;
    r->dirty = true;
    if (s != NULL) {
        s->e.state = CONNECTOR_ACTIVE;
        s->e.failures = 0;
        s->e.open_until_wall_ns = 0;
        s->dirty = true;
    }
    return 0;
}

static void drop_row(struct outbox_row *r)
{
    r->e.state = OUTBOX_ROW_DROPPED;
    r->dirty = true;
}

int outbox_drop(struct control *c, uint64_t seq, struct error *e)
{
    struct outbox_row *r = NULL;
    int rc = open_row(c, seq, &r, e);

    if (rc != 0)
        return rc;
    struct ticket *t = ticket_find(c, r->e.ticket);
    drop_row(r);
    if (r->e.op != OUTBOX_CREATE)
        return 0;
    for (size_t i = 0; i < c->outbox.n; i++) {
        struct outbox_row *later = c->outbox.item[i];
        if (later->e.seq > seq && outbox_same_queue(later, r) && outbox_waits(later))
            drop_row(later);
    }
    if (t != NULL && strcmp(t->e.connector, r->e.connector) == 0 && t->e.remote_id[0] == '\0') {
        t->e.dry_run = 1; /* nobody has seen it */
        t->dirty = true;
    }
    return 0;
}

static int verb_on_row(struct control *c, struct command_call *call,
                       int (*act)(struct control *, uint64_t, struct error *), const char *done, struct error *e)
{
    char *end;
    uint64_t seq = strtoull(call->object, &end, 10);

    if (end == call->object || *end != '\0')
        return error_set(e, -EINVAL, "'%.40s' is no number of a message; see: spanward outbox", call->object);
    const struct outbox_row *r = outbox_row_by_seq(c, seq);
    bool doubtful = r != NULL && r->e.state == OUTBOX_ROW_IN_DOUBT;
    int rc = act(c, seq, e);
    if (rc == 0)
        snprintf(call->result, sizeof(call->result), "message %" PRIu64 " %s%s", seq, done,
                 doubtful ? "; a try is under way or has lost its answer: it may have arrived" : "");
    return rc;
}

static int verb_retry(struct control *c, struct command_call *call, struct error *e)
{
    return verb_on_row(c, call, outbox_retry, "is tried again", e);
}

static int verb_drop(struct control *c, struct command_call *call, struct error *e)
{
    return verb_on_row(c, call, outbox_drop, "is dropped", e);
}

const struct command_verb outbox_verbs[] = {
    {"outbox.retry", verb_retry},
    {"outbox.drop", verb_drop},
    {NULL, NULL},
};

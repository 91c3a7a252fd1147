/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * tickets.max_per_hour: more new tickets in an hour than allowed wait for the next one, so that a bad hour cannot bury
 * the people who have to work on them.
 *
 * The count is kept by connector and clock hour and outlives restarts. What waits is told in one ticket of its own
 * ("LIM-" and the hour), opened when the limit is reached, told anew each hour, and closed when nothing waits. Only
 * creates that were never tried wait: one that may have arrived is brought to its end first.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"
#include "control/outbox_internal.h"

#define HOUR_NS        (3600 * NS_PER_S)
#define SUMMARY_PREFIX "LIM-"
#define SUMMARY_LINES  40u

bool outbox_is_summary(const char *ticket)
{
    return strncmp(ticket, SUMMARY_PREFIX, strlen(SUMMARY_PREFIX)) == 0;
}

bool outbox_over_limit(const struct control *c, const struct connector_status *s, const struct outbox_row *r)
{
    uint64_t most = outbox_rules_of(c)->max_per_hour;

    return most > 0 && s->e.hour_creates >= most && r->e.op == OUTBOX_CREATE && r->e.state == OUTBOX_ROW_PENDING &&
           !outbox_is_summary(r->e.ticket);
}

static bool waits_for_an_hour(const struct outbox_row *r, const struct connector_status *s)
{
    return r->e.state == OUTBOX_ROW_PENDING && r->e.op == OUTBOX_CREATE && !outbox_is_summary(r->e.ticket) &&
           strcmp(r->e.connector, s->e.name) == 0;
}

/* How many creates this hour has no room for. */
static size_t count_held(const struct control *c, const struct connector_status *s)
{
    uint64_t most = outbox_rules_of(c)->max_per_hour;
    size_t room = most > s->e.hour_creates ? (size_t)(most - s->e.hour_creates) : 0, n = 0;

    for (size_t i = 0; i < c->outbox.n; i++)
        n += waits_for_an_hour(c->outbox.item[i], s);
    return n > room ? n - room : 0;
}

static void compose_summary(const struct control *c, const struct connector_status *s, size_t held, struct ticket *t)
{
    size_t at, shown = 0;

    snprintf(t->e.title, sizeof(t->e.title), "Spanward: more than %" PRIu64 " new faults in an hour, %zu tickets wait",
             outbox_rules_of(c)->max_per_hour, held);
    at = (size_t)snprintf(t->e.body, sizeof(t->e.body),
                          "New tickets are limited to %" PRIu64
                          " an hour (tickets.max_per_hour). %zu faults wait for their ticket; they are filed hour by "
                          "hour.\nLook at all of them: spanward tickets, spanward outbox\n\n",
                          outbox_rules_of(c)->max_per_hour, held);
    for (size_t i = 0; i < c->outbox.n && shown < SUMMARY_LINES; i++) {
        const struct outbox_row *r = c->outbox.item[i];
        size_t room = sizeof(t->e.body) - at;
        if (!waits_for_an_hour(r, s) || strlen(r->e.title) + sizeof(r->e.ticket) + 8 > room)
            continue;
        at += (size_t)snprintf(t->e.body + at, room, "  %-8s %s\n", r->e.ticket, r->e.title);
        shown++;
    }
}

/* By the hour, and another one in the same hour, for this system or the next, by a number. */
static void name_summary(struct control *c, struct ticket *t, uint64_t now_wall_ns)
{
    char id[sizeof(t->e.id)];
    unsigned n = 1;

    snprintf(id, sizeof(id), SUMMARY_PREFIX "%llu", now_wall_ns / HOUR_NS);
    while (ticket_find(c, id) != NULL)
        snprintf(id, sizeof(id), SUMMARY_PREFIX "%llu-%u", now_wall_ns / HOUR_NS, ++n);
    memcpy(t->e.id, id, sizeof(t->e.id));
}

/* One ticket as long as creates are held back: opened, told anew each hour, closed. */
static void sync_summary(struct control *c, struct connector_status *s, bool new_hour, uint64_t now_wall_ns)
{
    size_t held = count_held(c, s);
    struct ticket *t = ticket_find(c, s->e.summary);
    enum outbox_op op = OUTBOX_UPDATE;

    if (t == NULL && held == 0)
        return;
    if (t == NULL) {
        t = calloc(1, sizeof(*t));
        if (t == NULL)
            return;
        name_summary(c, t, now_wall_ns);
        if (VECTOR_PUSH(c->tickets, t) != 0) {
            free(t);
            return;
        }
        snprintf(t->e.connector, sizeof(t->e.connector), "%s", s->e.name);
        snprintf(s->e.summary, sizeof(s->e.summary), "%s", t->e.id);
        t->e.severity = EVENT_major;
        t->e.created_ns = now_wall_ns;
        op = OUTBOX_CREATE;
    } else if (held > 0 && !new_hour) {
        return;
    }
    if (held > 0)
        compose_summary(c, s, held, t);
    if (held == 0) {
        snprintf(t->e.body, sizeof(t->e.body), "No ticket waits any more.\n");
        op = OUTBOX_CLOSE;
        s->e.summary[0] = '\0';
    }
    t->e.state = op == OUTBOX_CLOSE ? TICKET_CLOSED : TICKET_OPEN;
    t->e.closed_ns = op == OUTBOX_CLOSE ? now_wall_ns : 0;
    t->e.told_closed = op == OUTBOX_CLOSE;
    t->e.updated_ns = now_wall_ns;
    t->e.version++;
    t->dirty = true;
    s->dirty = true;
    outbox_add_row(c, t, s->e.name, op, t->e.body, now_wall_ns);
}

void outbox_keep_hour(struct control *c, struct connector_status *s, uint64_t now_wall_ns)
{
    uint64_t hour = now_wall_ns / HOUR_NS * HOUR_NS;
    bool fresh = s->e.hour_wall_ns != hour;

    if (fresh) {
        s->e.hour_wall_ns = hour;
        s->e.hour_creates = 0;
        s->dirty = true;
    }
    if (outbox_rules_of(c)->max_per_hour > 0 &&
        (s->e.hour_creates >= outbox_rules_of(c)->max_per_hour || s->e.summary[0] != '\0'))
        sync_summary(c, s, fresh, now_wall_ns);
}

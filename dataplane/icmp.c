/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See icmp.h. Requests that wait are states of the flow, newest first, at most ECHO_MAX of them: a flood of requests
 * makes the oldest count as unanswered. A reply counts once. An ICMP error about a request is an answer of another
 * kind: it is counted as an error (icmp_error.c), and the request no longer waits, so that a traceroute's probes are
 * not unanswered (RFC 792, RFC 4443).
 */

#include "dataplane/icmp.h"

#define ECHO_MAX 64u

/* head.dir: who asked. */
struct echo {
    struct app_head head;
    uint16_t seq;
    uint64_t asked_ns;
};
APP_STATE(echo);

bool icmp_is_error(uint8_t af, uint8_t type)
{
    return af == 4 ? type == 3 || type == 4 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

bool icmp_is_echo_request(uint8_t af, uint8_t type)
{
    return type == (af == 4 ? 8 : 128);
}

static struct echo *echo_at(const struct meter *m, uint32_t index)
{
    struct app_head *h = app_at(&m->pools->node, index);

    return h->kind == APP_ECHO ? (struct echo *)(void *)h : NULL;
}

static void unanswered(struct meter *m)
{
    m->f->side[0].other.icmp_unanswered++;
    METER_TALLY(m, icmp_unanswered, 1);
}

/* The oldest is the last in the list. */
static void give_up_oldest(struct meter *m)
{
    uint32_t *oldest = NULL;

    for (uint32_t *link = &m->f->app; *link != 0; link = &app_at(&m->pools->node, *link)->next)
        if (echo_at(m, *link) != NULL)
            oldest = link;
    if (oldest != NULL)
        app_remove(&m->pools->node, oldest);
    unanswered(m);
}

static void on_request(struct meter *m)
{
    if (app_count(m->f, &m->pools->node, APP_ECHO) >= ECHO_MAX)
        give_up_oldest(m);
    struct echo *e = app_add(m->f, &m->pools->node, APP_ECHO);
    if (e == NULL)
        return;
    e->head.dir = m->p->sender;
    e->seq = m->p->icmp_seq;
    e->asked_ns = m->now_ns;
}

/* The oldest request of `asker` with this number, or NULL. */
static uint32_t *find(struct meter *m, unsigned asker, uint16_t seq)
{
    uint32_t *found = NULL;

    for (uint32_t *link = &m->f->app; *link != 0; link = &app_at(&m->pools->node, *link)->next) {
        const struct echo *e = echo_at(m, *link);
        if (e != NULL && e->seq == seq && e->head.dir == asker)
            found = link;
    }
    return found;
}

static void on_reply(struct meter *m)
{
    uint32_t *link = find(m, 1u - m->p->sender, m->p->icmp_seq);

    if (link == NULL)
        return;
    rtt_add(&m->f->side[0].other.icmp_echo, m->now_ns - echo_at(m, *link)->asked_ns);
    app_remove(&m->pools->node, link);
}

void icmp_echo_failed(struct meter *m, unsigned asker, uint16_t seq)
{
    uint32_t *link = find(m, asker, seq);

    if (link != NULL)
        app_remove(&m->pools->node, link);
}

void icmp_meter(struct meter *m)
{
    const struct pkt *p = m->p;

    if (!(p->flags & PKT_L4_OK)) /* a later fragment */
        return;
    if (p->key.kind == KEY_ICMP_ECHO) {
        if (icmp_is_echo_request(p->key.af, p->icmp_type))
            on_request(m);
        else
            on_reply(m);
    } else if (icmp_is_error(p->key.af, p->icmp_type)) {
        METER_TALLY(m, icmp_errors, 1);
    }
}

void icmp_finish(struct meter *m)
{
    for (uint32_t n = app_count(m->f, &m->pools->node, APP_ECHO); n > 0; n--)
        unanswered(m);
}

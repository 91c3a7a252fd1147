/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See icmp.h. Requests that wait are pool nodes, oldest first, at most ECHO_MAX per flow: a flood of requests makes the
 * oldest count as unanswered. A reply counts once; silence of a traceroute's hops is not loss, and errors are counted
 * apart (RFC 792, RFC 4443).
 */

#include "dataplane/icmp.h"

#define ECHO_MAX 64u

bool icmp_is_error(uint8_t af, uint8_t type)
{
    return af == 4 ? type == 3 || type == 4 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

bool icmp_is_echo_request(uint8_t af, uint8_t type)
{
    return type == (af == 4 ? 8 : 128);
}

static void unanswered(struct meter *m)
{
    m->f->other.icmp_unanswered++;
    METER_TALLY(m, icmp_unanswered, 1);
}

static void on_request(struct meter *m)
{
    uint32_t *link = &m->f->other.echo, n = 0;

    while (*link != 0) {
        link = &pool_at(&m->pools->node, *link)->next;
        n++;
    }
    uint32_t index = pool_get(&m->pools->node);
    if (index == 0)
        return;
    struct range *r = &pool_at(&m->pools->node, index)->range;
    r->start = m->p->icmp_seq;
    r->flags = m->p->sender;
    r->seen_ns = m->now_ns;
    *link = index;
    if (n < ECHO_MAX)
        return;
    uint32_t oldest = m->f->other.echo;
    m->f->other.echo = pool_at(&m->pools->node, oldest)->next;
    pool_put(&m->pools->node, oldest);
    unanswered(m);
}

static void on_reply(struct meter *m)
{
    for (uint32_t *link = &m->f->other.echo; *link != 0; link = &pool_at(&m->pools->node, *link)->next) {
        struct range *r = &pool_at(&m->pools->node, *link)->range;
        if (r->start != m->p->icmp_seq || r->flags == m->p->sender)
            continue;
        rtt_add(&m->f->other.icmp_echo, m->now_ns - r->seen_ns);
        uint32_t index = *link;
        *link = r->next;
        pool_put(&m->pools->node, index);
        return;
    }
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
    if (m->f->key.kind == KEY_PORTS)
        return;
    while (m->f->other.echo != 0) {
        uint32_t index = m->f->other.echo;
        m->f->other.echo = pool_at(&m->pools->node, index)->next;
        pool_put(&m->pools->node, index);
        unanswered(m);
    }
}

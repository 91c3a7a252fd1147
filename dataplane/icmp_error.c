/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An ICMP error quotes the IP header of the packet that caused it and at least eight bytes behind it (RFC 792; RFC 4443
 * as much as fits): enough for addresses, ports and an echo's identifier. So the flow is found by its key, and the
 * error is counted there, by what it says: unreachable, time exceeded, too big. The quoted packet travelled from the
 * flow's sender to where the error comes from, so the sender of the quoted header is the endpoint that is told.
 *
 * Limits: a quote behind IPv6 extension headers, of a fragment other than the first, or from inside a tunnel whose
 * outer header alone is quoted finds no flow; behind a NAT the quote has the addresses that the router saw. The tunnel
 * and the VLAN of the key are those of the ICMP packet itself. With several workers the flow may live in another one,
 * which gets a notice where packets are shared out (reshard.c); with a queue per worker it hears nothing.
 */

#include "dataplane/icmp_error.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "dataplane/decode/decode.h"
#include "dataplane/icmp.h"
#include "dataplane/pmtu.h"

struct errors {
    struct app_head head;
    uint32_t count[4]; /* by enum icmp_what */
};
APP_STATE(errors);

static enum icmp_what what_is(uint8_t af, uint8_t type, uint8_t code)
{
    if (af == 4)
        return type == 3    ? (code == 4 ? ICMP_TOO_BIG : ICMP_UNREACHABLE)
               : type == 11 ? ICMP_TTL_EXCEEDED
                            : ICMP_OTHER_ERROR;
    return type == 1 ? ICMP_UNREACHABLE : type == 2 ? ICMP_TOO_BIG : type == 3 ? ICMP_TTL_EXCEEDED : ICMP_OTHER_ERROR;
}

/* Addresses and protocol; returns where the transport header begins, or NULL. */
static const uint8_t *quoted_v4(const uint8_t *q, const uint8_t *end, struct icmp_quote *ret)
{
    uint32_t header = end - q >= 20 ? (q[0] & 0x0fu) * 4u : 0;

    if (header < 20 || end - q < (ptrdiff_t)header || (load_be16(q + 6) & 0x1fff) != 0)
        return NULL;
    memcpy(ret->key.addr[0].byte, q + 12, 4);
    memcpy(ret->key.addr[1].byte, q + 16, 4);
    ret->key.proto = q[9];
    ret->ip_bytes = load_be16(q + 2);
    return q + header;
}

static const uint8_t *quoted_v6(const uint8_t *q, const uint8_t *end, struct icmp_quote *ret)
{
    if (end - q < 40)
        return NULL;
    memcpy(ret->key.addr[0].byte, q + 8, 16);
    memcpy(ret->key.addr[1].byte, q + 24, 16);
    ret->key.proto = q[6];
    ret->ip_bytes = 40u + load_be16(q + 4);
    return q + 40;
}

static int quoted_ports(const uint8_t *t, const uint8_t *end, struct icmp_quote *ret)
{
    struct flow_key *k = &ret->key;

    if (k->proto == 1 || k->proto == 58) {
        if (end - t < 8 || !icmp_is_echo_request(k->af, t[0]))
            return -EBADMSG;
        k->kind = KEY_ICMP_ECHO;
        k->port[0] = k->port[1] = load_be16(t + 4);
        ret->echo_seq = load_be16(t + 6);
    } else if (k->proto == 6 || k->proto == 17) {
        if (end - t < 4)
            return -EBADMSG;
        k->port[0] = load_be16(t);
        k->port[1] = load_be16(t + 2);
    }
    return 0;
}

int icmp_quote_parse(const struct pkt *p, struct icmp_quote *ret)
{
    const uint8_t *icmp = p->data + p->l4_off, *end = p->data + p->cap_len, *q = icmp + 8;

    if (!icmp_is_error(p->key.af, p->icmp_type) || p->l4_off > p->cap_len || end - icmp < 8)
        return -EBADMSG;
    *ret = (struct icmp_quote){.what = (uint8_t)what_is(p->key.af, p->icmp_type, p->icmp_code)};
    ret->key.af = p->key.af;
    ret->key.tunnel = p->key.tunnel;
    ret->key.tunnel_id = p->key.tunnel_id;
    ret->key.vlan = p->key.vlan;
    if (ret->what == ICMP_TOO_BIG)
        ret->mtu = p->key.af == 4 ? load_be16(icmp + 6) : load_be32(icmp + 4);
    const uint8_t *t = p->key.af == 4 ? quoted_v4(q, end, ret) : quoted_v6(q, end, ret);
    if (t == NULL || quoted_ports(t, end, ret) != 0)
        return -EBADMSG;
    struct pkt order = {.key = ret->key};
    key_finish(&order);
    ret->key = order.key;
    ret->sender = order.sender;
    return 0;
}

void icmp_error_meter(struct meter *m, const struct icmp_quote *q)
{
    struct errors *e = app_get(m->f, &m->pools->node, APP_ERRORS);

    if (e != NULL)
        e->count[q->what]++;
    if (q->key.kind == KEY_ICMP_ECHO)
        icmp_echo_failed(m, q->sender, q->echo_seq);
    if (q->what == ICMP_TOO_BIG)
        pmtu_told(m, q->sender, q->mtu);
}

void icmp_error_take(const struct app_head *h, struct rec_flow *r)
{
    const struct errors *e = (const struct errors *)(const void *)h;

    r->icmp_unreachable = e->count[ICMP_UNREACHABLE];
    r->icmp_ttl_exceeded = e->count[ICMP_TTL_EXCEEDED];
    r->icmp_too_big = e->count[ICMP_TOO_BIG];
    r->flags |= RFLOW_ICMP_ERRORS;
}

bool icmp_error_was_probe(const struct meter *m)
{
    const struct errors *e = m->f->app != 0 ? app_find(m->f, &m->pools->node, APP_ERRORS) : NULL;

    return e != NULL && e->count[ICMP_TTL_EXCEEDED] != 0;
}

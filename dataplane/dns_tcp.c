/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * DNS over TCP (RFC 1035 section 4.2.2, RFC 7766): each message has its length in front. The meter follows where the
 * next message begins in each direction, so it needs no reassembly: a message's header and question are at its start,
 * and what is in one segment is read. Several messages in a segment, and a length that came in a segment of its own,
 * are understood.
 *
 * Limits: a question that is cut by the end of a segment is not read (that transaction is missed); after a gap, in the
 * network or the mirror, the next segment that is exactly one message starts again. A repeat does not begin where the
 * next message begins, and is passed over.
 */

#include "dataplane/dns_tcp.h"

#include "common/bytes.h"
#include "common/seq.h"

enum stream_flags { STREAM_STARTED = 1, STREAM_HAS_LENGTH = 4 }; /* << endpoint */

struct dns_stream {
    struct app_head head;
    uint32_t next[2]; /* sequence number of the next length, or of the message when the length is known */
    uint16_t len[2];
};
APP_STATE(dns_stream);

static struct dns_stream *stream_of(struct meter *m)
{
    struct dns_stream *d = app_get(m->f, &m->pools->node, APP_DNS_TCP);
    unsigned s = m->p->sender;

    if (d != NULL && !(d->head.flags & STREAM_STARTED << s)) {
        d->head.flags |= (uint8_t)(STREAM_STARTED << s);
        d->next[s] = m->p->tcp_seq;
    }
    return d;
}

/* Reads the messages that begin in this segment at offset `at`. */
static void read_messages(struct meter *m, struct dns_pool *pool, struct dns_stream *d, uint32_t at)
{
    const struct pkt *p = m->p;
    const uint8_t *bytes = p->data + p->payload_off;
    unsigned s = p->sender;
    uint8_t has_length = (uint8_t)(STREAM_HAS_LENGTH << s);

    while (at < p->payload_len) {
        if (!(d->head.flags & has_length)) {
            if (at + 2 > p->payload_cap)
                break;
            d->len[s] = load_be16(bytes + at);
            d->head.flags |= has_length;
            at += 2;
        }
        if (at >= p->payload_len)
            break;
        uint32_t captured = p->payload_cap > at ? p->payload_cap - at : 0;
        dns_message(m, pool, bytes + at, captured < d->len[s] ? captured : d->len[s]);
        d->head.flags &= (uint8_t)~has_length;
        at += d->len[s];
    }
    d->next[s] = p->tcp_seq + at;
}

/* Two bytes that are the length of all the rest: a message that fills its segment. */
static bool is_one_message(const struct pkt *p)
{
    return p->payload_len > 14 && p->payload_cap >= 2 && load_be16(p->data + p->payload_off) + 2u == p->payload_len;
}

void dns_tcp_meter(struct meter *m, struct dns_pool *pool)
{
    const struct pkt *p = m->p;
    unsigned s = p->sender;

    if (!(p->flags & PKT_L4_OK) || p->payload_len == 0)
        return;
    struct dns_stream *d = stream_of(m);
    if (d == NULL)
        return;
    if (seq_lt(d->next[s], p->tcp_seq)) { /* something is missing */
        if (!is_one_message(p))
            return;
        d->next[s] = p->tcp_seq;
        d->head.flags &= (uint8_t) ~(STREAM_HAS_LENGTH << s);
    }
    uint32_t at = d->next[s] - p->tcp_seq;
    if (at < p->payload_len)
        read_messages(m, pool, d, at);
}

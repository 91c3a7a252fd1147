/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * RTCP (RFC 3550 section 6), on a port of its own or beside the media (RFC 5761): compound packets that begin with a
 * sender or receiver report. Encrypted ones (SRTCP) keep the first report's header in the clear but not its blocks, and
 * fail the plausibility check of the lengths or tell nonsense that is bounded by the fields' widths.
 *
 * A report block is the receiver's own view of one source, the whole way: fraction and number lost, jitter. It is kept
 * as it was reported last; it is not added to what the tap sees. LSR and DLSR give a round trip: the tap saw the sender
 * report that LSR names at T1, and sees the receiver's answer at T2, so T2 - T1 - DLSR is tap -> receiver -> tap.
 * Biased by the receiver's clock over DLSR and by its resolution of 15 us; negative ones are dropped.
 */

#include "dataplane/rtcp.h"

#include <string.h>

#include "common/bytes.h"
#include "common/timefmt.h"

#define TYPE_SR     200u
#define TYPE_RR     201u
#define BLOCK_BYTES 24u

/* A source's last sender report. */
struct rtcp_sender {
    struct app_head head;
    uint32_t ssrc, ntp_mid;
    uint64_t seen_ns;
};
APP_STATE(rtcp_sender);

/* One receiver's view of one source. head.dir: the receiver. */
struct rtcp_report {
    struct app_head head;
    uint32_t ssrc, reports;
    int32_t lost;
    uint32_t jitter; /* in the source's units */
    uint8_t fraction_max, fraction_last;
    uint8_t pad[6];
    struct rtt_small rtt;
};
APP_STATE(rtcp_report);

static void *find(const struct meter *m, enum app_kind kind, uint8_t dir, uint32_t ssrc)
{
    for (uint32_t i = m->f->app; i != 0; i = app_at(&m->pools->node, i)->next) {
        struct rtcp_sender *s = (struct rtcp_sender *)(void *)app_at(&m->pools->node, i);
        if (s->head.kind == kind && s->head.dir == dir && s->ssrc == ssrc)
            return s;
    }
    return NULL;
}

static void *find_or_add(struct meter *m, enum app_kind kind, uint8_t dir, uint32_t ssrc)
{
    struct rtcp_sender *s = find(m, kind, dir, ssrc);

    if (s != NULL || app_count(m->f, &m->pools->node, kind) >= RTCP_PER_FLOW)
        return s;
    s = app_add(m->f, &m->pools->node, kind);
    if (s == NULL)
        return NULL;
    s->head.dir = dir;
    s->ssrc = ssrc;
    return s;
}

static void on_sender(struct meter *m, const uint8_t *p)
{
    struct rtcp_sender *s = find_or_add(m, APP_RTCP_SENDER, m->p->sender, load_be32(p + 4));

    if (s == NULL)
        return;
    s->ntp_mid = load_be32(p + 8) << 16 | load_be32(p + 12) >> 16;
    s->seen_ns = m->now_ns;
}

static void on_block(struct meter *m, const uint8_t *b)
{
    uint32_t ssrc = load_be32(b), lsr = load_be32(b + 16), dlsr = load_be32(b + 20);
    struct rtcp_report *r = find_or_add(m, APP_RTCP, m->p->sender, ssrc);
    const struct rtcp_sender *s = find(m, APP_RTCP_SENDER, 1u - m->p->sender, ssrc);

    if (r == NULL)
        return;
    r->reports++;
    r->fraction_last = b[4];
    if (b[4] > r->fraction_max)
        r->fraction_max = b[4];
    r->lost = (int32_t)(load_be32(b + 4) << 8) >> 8; /* 24 bits with sign */
    r->jitter = load_be32(b + 12);
    if (s == NULL || lsr == 0 || lsr != s->ntp_mid)
        return;
    uint64_t held_ns = (uint64_t)dlsr * NS_PER_S >> 16, total_ns = m->now_ns - s->seen_ns;
    if (total_ns > held_ns)
        rtt_small_add_most(&r->rtt, total_ns - held_ns);
}

/* Do the lengths of the compound packet add up to the datagram? */
static bool is_compound(const uint8_t *p, uint32_t captured, uint32_t len)
{
    uint32_t at = 0;

    if (captured < 8 || (p[0] & 0xe0) != 0x80 || (p[1] != TYPE_SR && p[1] != TYPE_RR))
        return false;
    while (at + 4 <= captured && at < len) {
        if ((p[at] & 0xc0) != 0x80 || p[at + 1] < 192 || p[at + 1] > 223)
            return false;
        at += 4u + 4u * load_be16(p + at + 2);
    }
    return at == len || captured < len;
}

static void on_report(struct meter *m, const uint8_t *p, uint32_t len)
{
    uint32_t at = p[1] == TYPE_SR ? 28 : 8;

    if (p[1] == TYPE_SR && len >= 28)
        on_sender(m, p);
    for (unsigned i = 0; i < (p[0] & 0x1fu) && at + BLOCK_BYTES <= len; i++, at += BLOCK_BYTES)
        on_block(m, p + at);
}

bool rtcp_meter(struct meter *m)
{
    const uint8_t *p = m->p->data + m->p->payload_off;
    uint32_t captured = m->p->payload_cap, at = 0;

    if (!is_compound(p, captured, m->p->payload_len))
        return false;
    while (at + 8 <= captured) {
        uint32_t len = 4u + 4u * load_be16(p + at + 2), left = captured - at;
        if (p[at + 1] == TYPE_SR || p[at + 1] == TYPE_RR)
            on_report(m, p + at, len < left ? len : left);
        at += len;
    }
    return true;
}

void rtcp_take(const struct flow *f, const struct app_head *h, struct rec_rtcp *ret)
{
    const struct rtcp_report *r = (const struct rtcp_report *)(const void *)h;

    *ret = (struct rec_rtcp){
        .rtt = rtt_small_rec(&r->rtt),
        .reports = r->reports,
        .lost = r->lost,
        .jitter_units = r->jitter,
        .ssrc = r->ssrc,
        .dir = h->dir == f->client ? C2S : S2C,
        .fraction_max = r->fraction_max,
        .fraction_last = r->fraction_last,
    };
}

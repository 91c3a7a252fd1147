/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * RTP is recognised, not announced: version 2, a media payload type (RFC 3551), and four packets of one SSRC whose
 * sequence numbers follow each other. Until then a stream is on probation and is told to nobody; a flow gets a
 * few probations at a time, only among its first packets, and where none of them came to anything within twice as many
 * they all end.
 *
 * A stream is its SSRC and direction, never its payload type: comfort noise (type 13), DTMF events and a change of
 * codec share the sequence numbers. Loss is RFC 3550 A.3: expected (extended highest - first + 1) less received, where
 * copies within the last 64 numbers are known and do not count as received. A number below the highest that was not
 * seen yet is reordered. After a jump of more than 3000 two numbers in sequence start the count again (A.1).
 *
 * Numbers that pass during a silence of two seconds and more are a pause, told apart from loss: T.38 takes over, a
 * hold, or an outage; one stream alone cannot tell which.
 *
 * Jitter is RFC 3550 A.8, at the tap, in ns: the smoothed difference of spacing at the tap and in the timestamps. It
 * needs the clock rate: by table for static types; a dynamic one is measured over the first second and rounded to a
 * usual rate, and until then, and where no rate fits, there is no jitter. Packets with one timestamp (video frames) are
 * compared like all others, as the RFC has it. Silence suppression stops both clocks alike, so that a pause gives no
 * jitter.
 *
 * MOS is an estimate by the E-model (ITU-T G.107) in its common short form: R = 93.2 - Id - Ie,eff with Ie and Bpl from
 * G.113 for the codec, random loss, and a delay of 20 ms plus twice the jitter, since the true one-way delay is not
 * known at a tap. It is an upper bound, and null for codecs without published Ie.
 */

#include "dataplane/rtp.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "common/timefmt.h"

#define PROBATION      4u
#define PROBATIONS     4u  /* of a flow and direction at a time */
#define PROBATION_PKTS 64u /* of a flow: a stream that begins later is found only beside another */
#define MAX_MISORDER   100u
#define MAX_DROPOUT    3000u
#define PAUSE_NS       (2 * NS_PER_S)
#define RATE_AFTER_NS  NS_PER_S
#define ARRIVAL_SHIFT  8u /* arrival times in 256 ns: 32 bits last 18 minutes */

struct rtp_stream {
    struct app_head head; /* flags: enum stream_flags; count: in sequence so far, up to PROBATION */
    uint32_t ssrc, received;
    int32_t extra; /* 65536 for each wrap of the numbers, less what restarts jumped over */
    uint16_t base_seq, max_seq;
    uint8_t type; /* of the last packet that was no comfort noise */
    uint8_t rate; /* index into rates, 0 = not known */
    uint16_t reordered;
    uint16_t dup;
    uint16_t bad_seq;   /* the number that would make a jump a restart */
    uint64_t window;    /* bit i: max_seq - i was seen */
    uint64_t jitter_q4; /* ns, times 16 */
    uint32_t arrival, first_arrival, timestamp;
    union {
        uint32_t first_timestamp; /* while the rate is not known */
        uint32_t paused;          /* then: numbers that passed while nothing was sent */
    };
};
APP_STATE(rtp_stream);

enum stream_flags { STREAM_RATE_FAILED = 1 };

static const uint32_t rates[] = {0, 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 90000};
#define RATES (sizeof(rates) / sizeof(rates[0]))

uint32_t rtp_clock_hz(uint8_t type)
{
    static const uint32_t hz[35] = {
        [0] = 8000,   [3] = 8000,   [4] = 8000,   [5] = 8000,   [6] = 16000,  [7] = 8000,   [8] = 8000,   [9] = 8000,
        [10] = 44100, [11] = 44100, [12] = 8000,  [13] = 8000,  [14] = 90000, [15] = 8000,  [16] = 11025, [17] = 22050,
        [18] = 8000,  [25] = 90000, [26] = 90000, [28] = 90000, [31] = 90000, [32] = 90000, [33] = 90000, [34] = 90000,
    };
    return type < 35 ? hz[type] : 0;
}

static uint8_t rate_index(uint32_t hz)
{
    for (uint8_t i = 1; i < RATES; i++)
        if (rates[i] == hz)
            return i;
    return 0;
}

/* 72 to 76 with a marker are RTCP (RFC 5761). */
static bool is_media(uint8_t type)
{
    return rtp_clock_hz(type) != 0 || (type >= 96 && type <= 127);
}

int rtp_parse(const uint8_t *payload, uint32_t captured, uint32_t len, struct rtp_header *ret)
{
    if (captured < 12 || (payload[0] & 0xc0) != 0x80 || !is_media(payload[1] & 0x7f))
        return -EBADMSG;
    if (len < 12u + 4u * (payload[0] & 0x0f))
        return -EBADMSG;
    *ret = (struct rtp_header){.ssrc = load_be32(payload + 8),
                               .timestamp = load_be32(payload + 4),
                               .seq = load_be16(payload + 2),
                               .type = payload[1] & 0x7f};
    return 0;
}

/* ---- finding streams ---- */

static void restart(struct rtp_stream *s, const struct rtp_header *h, uint64_t now_ns)
{
    s->ssrc = h->ssrc;
    s->base_seq = s->max_seq = h->seq;
    s->type = h->type;
    s->head.count = 1;
    s->received = 1;
    s->window = 1;
    s->arrival = s->first_arrival = (uint32_t)(now_ns >> ARRIVAL_SHIFT);
    s->timestamp = h->timestamp;
    s->rate = rate_index(rtp_clock_hz(h->type));
    s->first_timestamp = s->rate == 0 ? h->timestamp : 0;
}

/* What a flow has in the packet's direction. */
struct found {
    struct rtp_stream *stream;    /* of the SSRC */
    struct rtp_stream *probation; /* the oldest one */
    uint32_t n_probation;
    bool any; /* a confirmed one, in either direction */
};

static struct found find(const struct meter *m, uint32_t ssrc)
{
    struct found found = {0};

    for (uint32_t i = m->f->app; i != 0; i = app_at(&m->pools->node, i)->next) {
        struct rtp_stream *s = (struct rtp_stream *)(void *)app_at(&m->pools->node, i);
        if (s->head.kind != APP_RTP)
            continue;
        bool confirmed = rtp_is_confirmed(&s->head);
        found.any |= confirmed;
        if (s->head.dir != m->p->sender)
            continue;
        if (s->ssrc == ssrc)
            found.stream = s;
        if (!confirmed) {
            found.probation = s;
            found.n_probation++;
        }
    }
    return found;
}

/* What is on probation still is no stream: noise looks like RTP now and then. Its nodes are others' from here on. */
static void end_probations(struct meter *m)
{
    uint32_t *link = &m->f->app;

    while (*link != 0) {
        struct app_head *h = app_at(&m->pools->node, *link);
        if (h->kind == APP_RTP && !rtp_is_confirmed(h))
            app_remove(&m->pools->node, link);
        else
            link = &h->next;
    }
}

/* A stream for a new SSRC; with too many on probation the oldest gives way. */
static void start(struct meter *m, const struct rtp_header *h, const struct found *found)
{
    struct rtp_stream *s = found->n_probation >= PROBATIONS ? found->probation : NULL;
    uint32_t pkts = m->f->side[0].pkts + m->f->side[1].pkts;

    if (!found->any && pkts > PROBATION_PKTS) {
        if (pkts > 2 * PROBATION_PKTS)
            end_probations(m);
        return;
    }
    if (s == NULL && app_count(m->f, &m->pools->node, APP_RTP) < RTP_PER_FLOW)
        s = app_add(m->f, &m->pools->node, APP_RTP);
    if (s == NULL)
        return;
    s->head.dir = m->p->sender;
    restart(s, h, m->now_ns);
}

bool rtp_is_confirmed(const struct app_head *h)
{
    return h->count >= PROBATION;
}

/* ---- counting ---- */

/* Spacing in the tap's clock and in the stream's, in ns; the difference goes into the average. */
static void track_jitter(struct rtp_stream *s, const struct rtp_header *h, uint32_t arrival)
{
    uint32_t hz = rates[s->rate];

    if (hz != 0) {
        int64_t at_tap_ns = (int64_t)(int32_t)(arrival - s->arrival) * (1 << ARRIVAL_SHIFT);
        int64_t in_stream_ns = (int64_t)(int32_t)(h->timestamp - s->timestamp) * (int64_t)NS_PER_S / hz;
        uint64_t d = (uint64_t)(at_tap_ns > in_stream_ns ? at_tap_ns - in_stream_ns : in_stream_ns - at_tap_ns);
        if (d < 10 * NS_PER_S) /* the sender's clock jumped: not jitter */
            s->jitter_q4 = (uint64_t)((int64_t)s->jitter_q4 + (int64_t)d - (int64_t)((s->jitter_q4 + 8) >> 4));
    }
    s->arrival = arrival;
    s->timestamp = h->timestamp;
}

/* The rate of a dynamic type, from how far both clocks came. */
static void learn_rate(struct rtp_stream *s)
{
    uint64_t ns = (uint64_t)(s->arrival - s->first_arrival) << ARRIVAL_SHIFT;

    if (s->rate != 0 || (s->head.flags & STREAM_RATE_FAILED) || ns < RATE_AFTER_NS)
        return;
    uint64_t hz = (uint64_t)(uint32_t)(s->timestamp - s->first_timestamp) * NS_PER_S / ns;
    for (uint8_t i = 1; i < RATES; i++)
        if (hz * 100 > (uint64_t)rates[i] * 95 && hz * 100 < (uint64_t)rates[i] * 105)
            s->rate = i;
    if (s->rate != 0)
        s->paused = 0;
    else
        s->head.flags |= STREAM_RATE_FAILED;
}

/* Below the highest number: a copy, or reordered. */
static void below(struct rtp_stream *s, uint16_t seq)
{
    uint16_t back = (uint16_t)(s->max_seq - seq);

    if (back < 64 && (s->window >> back & 1)) {
        s->dup = (uint16_t)(s->dup + (s->dup != UINT16_MAX));
        return;
    }
    if (back < 64)
        s->window |= 1ull << back;
    if (s->reordered != UINT16_MAX)
        s->reordered++;
    s->received++;
}

static void above(struct rtp_stream *s, uint16_t seq, uint16_t step)
{
    if (seq < s->max_seq)
        s->extra += 1 << 16;
    s->max_seq = seq;
    s->window = step < 64 ? s->window << step | 1 : 1;
    s->received++;
}

/* The numbers went on while the stream was silent for long. */
static bool is_pause(const struct rtp_stream *s, uint16_t step, uint64_t now_ns)
{
    uint64_t silent_ns = (uint64_t)((uint32_t)(now_ns >> ARRIVAL_SHIFT) - s->arrival) << ARRIVAL_SHIFT;

    return s->rate != 0 && step > 1 && silent_ns >= PAUSE_NS;
}

/* Far from the last number: two in sequence are a restart, whose first packet counts now; one alone is ignored. */
static bool is_restart(struct rtp_stream *s, uint16_t seq)
{
    bool restarted = seq == s->bad_seq;

    s->bad_seq = (uint16_t)(seq + 1);
    if (!restarted)
        return false;
    s->extra += (int32_t)s->max_seq + 2 - seq;
    s->max_seq = seq;
    s->window = 3;
    s->received += 2;
    return true;
}

static void on_packet(struct rtp_stream *s, const struct rtp_header *h, uint64_t now_ns)
{
    uint16_t step = (uint16_t)(h->seq - s->max_seq);

    if (!rtp_is_confirmed(&s->head) && step != 1) {
        if (step != 0) /* a copy of the mirror's proves nothing, in either way */
            restart(s, h, now_ns);
        return;
    }
    if (!rtp_is_confirmed(&s->head))
        s->head.count++;
    uint16_t back = (uint16_t)-step;
    if (back <= MAX_MISORDER) {
        below(s, h->seq);
        return;
    }
    if (step > MAX_DROPOUT) {
        if (!is_restart(s, h->seq))
            return;
    } else {
        if (is_pause(s, step, now_ns)) {
            s->extra -= step - 1;
            s->paused += step - 1u;
        }
        above(s, h->seq, step);
    }
    if (h->type != 13)
        s->type = h->type;
    if (s->rate == 0 && rtp_clock_hz(h->type) != 0) {
        s->rate = rate_index(rtp_clock_hz(h->type));
        s->paused = 0;
    }
    track_jitter(s, h, (uint32_t)(now_ns >> ARRIVAL_SHIFT));
    learn_rate(s);
}

void rtp_meter(struct meter *m)
{
    const struct pkt *p = m->p;
    struct rtp_header h;

    if (rtp_parse(p->data + p->payload_off, p->payload_cap, p->payload_len, &h) != 0)
        return;
    struct found found = find(m, h.ssrc);
    if (found.stream != NULL)
        on_packet(found.stream, &h, m->now_ns);
    else
        start(m, &h, &found);
}

/* ---- the result ---- */

/* Equipment impairment and robustness, ITU-T G.113 appendix I. */
static const struct {
    uint8_t type;
    double ie, bpl;
} codecs[] = {{0, 0, 25.1}, {8, 0, 25.1}, {18, 11, 19.0}, {4, 15, 16.1}, {3, 20, 10.0}};

uint16_t rtp_mos_centi(uint8_t type, uint64_t expected, uint64_t lost, uint64_t jitter_ns)
{
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        if (codecs[i].type != type || expected == 0)
            continue;
        double loss = 100.0 * (double)lost / (double)expected;
        double delay_ms = 20 + 2 * (double)jitter_ns / 1e6;
        double id = 0.024 * delay_ms + (delay_ms > 177.3 ? 0.11 * (delay_ms - 177.3) : 0);
        double r = 93.2 - id - (codecs[i].ie + (95 - codecs[i].ie) * loss / (loss + codecs[i].bpl));
        if (r <= 0)
            return 100;
        double mos = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
        return (uint16_t)(100 * (mos < 1 ? 1 : mos > 4.5 ? 4.5 : mos) + 0.5);
    }
    return 0;
}

void rtp_take(const struct flow *f, const struct app_head *h, struct rec_rtp *ret)
{
    const struct rtp_stream *s = (const struct rtp_stream *)(const void *)h;
    int64_t span = (int64_t)s->extra + s->max_seq - s->base_seq + 1;
    uint64_t expected = span > 0 ? (uint64_t)span : 0;

    *ret = (struct rec_rtp){
        .expected = expected,
        .lost = expected > s->received ? expected - s->received : 0,
        .reordered = s->reordered,
        .dup = s->dup,
        .jitter_ns = s->jitter_q4 >> 4,
        .paused = s->rate != 0 ? s->paused : 0,
        .ssrc = s->ssrc,
        .clock_hz = rates[s->rate],
        .dir = h->dir == f->client ? C2S : S2C,
        .payload_type = s->type,
    };
    ret->mos_centi = rtp_mos_centi(s->type, expected, ret->lost, ret->jitter_ns);
}

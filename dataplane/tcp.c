/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One TCP packet: connection state, handshake split, windows, and who asks the estimators (tcp_rtt.c) and the loss
 * classifier (tcp_loss.c) what. Sequence handling follows RFC 9293; SACK RFC 2018, DSACK RFC 2883, timestamps RFC 7323.
 *
 * The handshake splits the round trip at the tap: SYN -> SYN/ACK is the server's side, SYN/ACK -> ACK the client's. A
 * repeated SYN or SYN/ACK makes it ambiguous: no sample. A SYN/ACK that the mirror shows before its SYN: no sample.
 *
 * Picked up mid-stream, only bytes after the first ones seen are judged. Keep-alives and zero-window probes are neither
 * data nor loss.
 */

#include "common/seq.h"
#include "dataplane/icmp_error.h"
#include "dataplane/tcp_loss.h"
#include "dataplane/tcp_rtt.h"

/* Beside its flags, of which TCP_PSH and TCP_URG do not matter here, what a packet's kind is: it has a payload. */
#define KIND_DATA TCP_URG

/* Of a function that is inlined where the kind is a constant, so that no branch in it is the kind's. */
#define KIND         static inline __attribute__((always_inline))

#define UPDATE_PARTS 8u        /* of its window: nobody tells of less for its own sake (RFC 9293, 3.8.6.2.2) */
#define SANE_JUMP    (1 << 30) /* further ahead than any window: not of this connection */

static bool is_pure_syn(const struct pkt *p)
{
    return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

bool tcp_starts_anew(const struct flow *f, const struct pkt *p)
{
    const struct tcp_side *t = &f->side[p->sender];
    uint32_t isn_next = p->tcp_seq + 1;

    if (!(p->tcp_flags & TCP_SYN) || (p->tcp_flags & TCP_RST))
        return false;
    if (f->flags & FLOW_REFUSED)
        return false; /* a refused client that tries again: one episode */
    if (f->flags & FLOW_CLOSED)
        return !((t->flags & SIDE_SYN) && isn_next == t->base);
    if (!(p->tcp_flags & TCP_ACK)) {
        if ((t->flags & SIDE_SYN))
            return isn_next != t->base;
        if (t->flags & SIDE_BASE) /* captured late? then it fits what is known */
            return isn_next != t->base && isn_next != t->una;
        return false;
    }
    return (t->flags & SIDE_SYN) && isn_next != t->base;
}

static void track_ip_id(struct tcp_side *t, const struct pkt *p)
{
    if (!(p->flags & PKT_HAS_IP_ID))
        return;
    if (t->id_run == RUN_NONE)
        t->id_run = RUN_FIRST;
    else if ((int16_t)(p->ip_id - t->ip_id) <= 0)
        t->id_run = RUN_BROKEN;
    else if (t->id_run < RUN_MONOTONE)
        t->id_run++;
    t->ip_id = p->ip_id;
}

/* First SYN of a side: its sequence space begins. */
static void open_side(struct tcp_side *t, const struct pkt *p)
{
    t->base = p->tcp_seq + 1;
    t->nxt = t->base;
    t->una = p->tcp_seq;
    t->flags |= SIDE_SYN | SIDE_BASE | SIDE_DATA_SEEN;
    if (p->flags & PKT_HAS_SACK_PERM)
        t->flags |= SIDE_SACK_PERM;
}

static void repeated_syn(struct meter *m, unsigned s)
{
    struct tcp_side *t = &m->f->side[s];

    t->flags |= SIDE_SYN_REPEATED;
    rtt_forget(m, s);
    METER_COUNT(m, s, retrans_pkts, 1);
    if (is_pure_syn(m->p)) {
        trouble_of(m)->syn_retries++;
        METER_TALLY(m, syn_retries, 1);
    }
}

/* A client that was refused tries again, maybe with another sequence number: the same episode. */
static void reopen_refused(struct meter *m)
{
    struct flow *f = m->f;
    const struct pkt *p = m->p;
    struct tcp_side *t = &f->side[p->sender];

    rtt_forget(m, p->sender);
    f->flags &= (uint16_t)~FLOW_CLOSED;
    t->base = t->nxt = p->tcp_seq + 1;
    t->una = p->tcp_seq;
}

/* One of the handshake's two parts, which began at `since` and ends now; sets its flag if it can be known. */
static uint32_t handshake_part(struct meter *m, uint32_t since, unsigned flag)
{
    uint64_t part_ns = m->now_ns - flow_whole_ns(m->f, since);

    if (rtt_may_be_held(m, part_ns))
        return since;
    m->f->flags |= (uint16_t)flag;
    return rtt_pack(part_ns);
}

KIND void on_syn(struct meter *m, unsigned kind)
{
    struct flow *f = m->f;
    const struct pkt *p = m->p;
    unsigned s = p->sender;
    struct tcp_side *t = &f->side[s];
    struct tcp_side *peer = &f->side[1 - s];
    bool is_client = !(kind & TCP_ACK);

    if (t->flags & SIDE_SYN) {
        if ((f->flags & FLOW_REFUSED) && is_client)
            reopen_refused(m);
        repeated_syn(m, s);
        return;
    }
    if (is_client && (peer->flags & SIDE_SYN))
        f->flags |= FLOW_SYNACK_FIRST;
    open_side(t, p);
    rtt_sent(m, s, t->nxt);
    if (is_client) {
        f->syn_ns = (uint32_t)m->now_ns;
        return;
    }
    f->synack_ns = (uint32_t)m->now_ns;
    f->flags |= FLOW_SYNACK_SEEN;
    if (t->flags & peer->flags & SIDE_SACK_PERM)
        f->flags |= FLOW_SACK;
    if ((peer->flags & SIDE_SYN) && !(peer->flags & SIDE_SYN_REPEATED) && p->tcp_ack == peer->base)
        f->syn_ns = handshake_part(m, f->syn_ns, FLOW_HS_SERVER);
}

static void set_turn(struct flow *f, uint64_t now_ns)
{
    f->turn_ns = now_ns & TURN_MASK;
}

/* The client's first ACK of the SYN/ACK: the connection is up. */
static void on_established(struct meter *m)
{
    struct flow *f = m->f;
    const struct tcp_side *server = &f->side[1 - f->client];

    f->flags |= FLOW_ESTABLISHED;
    if (f->last_data != f->client)
        set_turn(f, m->now_ns);
    METER_TALLY(m, connects, 1);
    if (!(server->flags & SIDE_SYN_REPEATED) && !(f->flags & FLOW_SYNACK_FIRST))
        f->synack_ns = handshake_part(m, f->synack_ns, FLOW_HS_CLIENT);
}

static void on_rst(struct meter *m)
{
    struct flow *f = m->f;
    unsigned s = m->p->sender;
    bool unopened = (f->side[1 - s].flags & SIDE_SYN) && !(f->side[s].flags & SIDE_BASE) && f->client == 1 - s;

    METER_COUNT(m, s, rst, 1);
    if (unopened && !(f->flags & FLOW_REFUSED)) {
        f->flags |= FLOW_REFUSED;
        METER_TALLY(m, refused_connects, 1);
    }
    if (!(f->flags & FLOW_CLOSED))
        f->reset = 1;
    f->flags |= FLOW_CLOSED;
}

static void on_window(struct meter *m)
{
    unsigned s = m->p->sender;
    struct tcp_side *t = &m->f->side[s];

    if (m->p->tcp_window == 0 && !(t->flags & SIDE_ZERO_WINDOW)) {
        t->flags |= SIDE_ZERO_WINDOW;
        trouble_of(m)->dir[s].zero_since_ns = m->now_ns;
        METER_COUNT(m, s, zero_windows, 1);
    } else if (m->p->tcp_window != 0 && (t->flags & SIDE_ZERO_WINDOW)) {
        t->flags &= (uint16_t)~SIDE_ZERO_WINDOW;
        METER_COUNT(m, s, zero_window_us, (m->now_ns - trouble_of(m)->dir[s].zero_since_ns) / 1000);
    }
}

/* ---- what the packet acknowledges ---- */

/* A probe of one byte that the receiver took after all. */
static bool takes_probe(struct tcp_side *t, uint32_t ack)
{
    if (!(t->flags & SIDE_PROBE) || ack != t->nxt + 1)
        return false;
    t->nxt = ack;
    t->flags &= (uint16_t)~SIDE_PROBE;
    return true;
}

/* An ACK from before what its sender has sent since: it came late, and says nothing new. */
static bool is_overtaken(const struct meter *m, const struct pkt *p)
{
    const struct tcp_side *t = &m->f->side[p->sender];

    return (t->flags & SIDE_DATA_SEEN) && seq_lt(p->tcp_seq, t->nxt);
}

/* A pure ACK of what was acknowledged before, while nothing is outstanding. */
KIND bool is_idle_ack(const struct meter *m, const struct tcp_side *t, uint32_t ack, unsigned kind)
{
    const struct pkt *p = m->p;

    return !(kind & (TCP_SYN | TCP_FIN | KIND_DATA)) && ack == t->una && t->una == t->nxt &&
           (t->flags & SIDE_TROUBLE) && p->n_sack == 0 &&
           (p->tcp_window == m->f->side[p->sender].window || (t->flags & SIDE_FIN));
}

/* A pure ACK of what was acknowledged before, while data are outstanding. */
static void repeats_ack(struct meter *m, unsigned s)
{
    const struct pkt *p = m->p;
    unsigned before = m->f->side[p->sender].window;

    if (p->tcp_window == before) {
        METER_COUNT(m, p->sender, dup_acks, 1);
        if (p->n_sack == 0)
            loss_dup_ack(m, s);
    } else if (p->n_sack == 0 && p->tcp_window > before && p->tcp_window - before < before / UPDATE_PARTS) {
        loss_grown_ack(m, s);
    }
}

KIND void on_ack(struct meter *m, unsigned kind)
{
    const struct pkt *p = m->p;
    unsigned receiver = p->sender, s = 1 - receiver;
    struct tcp_side *t = &m->f->side[s];
    uint32_t ack = p->tcp_ack;

    if (!(t->flags & SIDE_DATA_SEEN)) { /* nothing seen yet that could be judged */
        if (!(t->flags & SIDE_ACK_SEEN) || seq_lt(t->una, ack))
            t->una = ack;
        t->flags |= SIDE_ACK_SEEN | SIDE_BASE;
        return;
    }
    takes_probe(t, ack);
    if (seq_diff(ack, t->nxt) > SANE_JUMP || seq_diff(t->una, ack) > SANE_JUMP)
        return;
    if (seq_lt(t->una, ack)) {
        if (rtt_is_bounded(m, receiver))
            rtt_acked(m, s, ack);
        else
            rtt_skip(m, s, ack);
        loss_acked(m, s, ack);
        t->una = ack;
    } else if (!(kind & (TCP_FIN | KIND_DATA)) && ack == t->una && t->una != t->nxt && !is_overtaken(m, p)) {
        repeats_ack(m, s);
    } else if (is_idle_ack(m, t, ack, kind)) {
        loss_idle_ack(m, s);
    }
    t->flags |= SIDE_ACK_SEEN;
    if (p->n_sack != 0)
        loss_sack(m, s, ack);
}

/* ---- what the packet carries ---- */

/* Zero or one byte just below the next expected, with all data acknowledged; or a byte against a closed window. */
KIND bool is_probe(struct meter *m, unsigned s, unsigned kind)
{
    const struct pkt *p = m->p;
    struct tcp_side *t = &m->f->side[s];
    bool closed_window = m->f->side[1 - s].flags & SIDE_ZERO_WINDOW;

    if ((kind & (TCP_SYN | TCP_FIN)) || p->payload_len > 1 || !(t->flags & SIDE_DATA_SEEN))
        return false;
    if (p->tcp_seq == t->nxt - 1 && (t->una == t->nxt || closed_window))
        return true;
    if (p->payload_len == 1 && closed_window && p->tcp_seq == t->nxt && t->una == t->nxt) {
        t->flags |= SIDE_PROBE;
        return true;
    }
    return false;
}

void tcp_response(struct meter *m, unsigned server, uint64_t total_ns)
{
    if (rtt_small_n(&m->f->rtt[server]) == 0)
        return;
    uint64_t response_ns = tcp_response_ns(m->f, server, total_ns);
    meter_stat(m, &m->f->response, response_ns);
    meter_hist(m, WINDOW_HIST_RESPONSE, response_ns);
}

/* Server response and client think time: bursts of new data that change sides. */
static void on_turn(struct meter *m, unsigned s)
{
    struct flow *f = m->f;
    unsigned client = f->client;
    uint64_t total_ns = since_turn_ns(f, m->now_ns);

    if (s != client && f->last_data == client)
        tcp_response(m, s, total_ns);
    else if (s == client && (f->last_data == 1 - client || (f->last_data == 2 && (f->flags & FLOW_ESTABLISHED))))
        meter_stat(m, &f->think, total_ns);
    set_turn(f, m->now_ns);
    f->last_data = s & 3;
}

/* The first data seen of a side without a SYN: what lies before is not judged. */
static void pick_up(struct tcp_side *t, uint32_t start, uint32_t end)
{
    bool ack_beyond = (t->flags & SIDE_ACK_SEEN) && seq_lt(start, t->una);

    if (!(t->flags & SIDE_ACK_SEEN))
        t->una = start - 1; /* even an ACK of what lies before is none that repeats another */
    t->base = ack_beyond ? seq_min(t->una, end) : start;
    t->nxt = ack_beyond ? seq_max(t->una, end) : end;
    t->flags |= SIDE_BASE | SIDE_DATA_SEEN;
}

/* A bare ACK whose sequence number is ahead tells of data that was not seen. */
static void shows_gap(struct meter *m, unsigned s, uint32_t seq)
{
    struct tcp_side *t = &m->f->side[s];
    int32_t jump = seq_diff(seq, t->nxt);

    if ((t->flags & SIDE_DATA_SEEN) && jump > 0 && jump <= SANE_JUMP)
        loss_gap(m, s, seq);
}

static void new_data(struct meter *m, unsigned s, uint32_t end)
{
    if (rtt_is_bounded(m, 1 - s))
        rtt_sent(m, s, end);
}

KIND void on_data(struct meter *m, unsigned kind)
{
    const struct pkt *p = m->p;
    unsigned s = p->sender;
    struct tcp_side *t = &m->f->side[s];
    uint32_t start = p->tcp_seq + ((kind & TCP_SYN) != 0);
    uint32_t end = start + p->payload_len + ((kind & TCP_FIN) != 0);
    bool is_new = true;

    if (t->flags & SIDE_TROUBLE)
        loss_mark(m, s);
    if (!(kind & (TCP_FIN | KIND_DATA))) {
        shows_gap(m, s, start);
        return;
    }
    if (kind & KIND_DATA) {
        m->f->data_pkts[s]++;
        m->is_data = true;
        m->is_judged = flow_is_two_way(m->f);
    }
    if (!(t->flags & SIDE_DATA_SEEN)) {
        pick_up(t, start, end);
        new_data(m, s, end);
    } else if (seq_diff(start, t->nxt) > SANE_JUMP || seq_diff(t->nxt, start) > SANE_JUMP) {
        return;
    } else if ((kind & TCP_SYN) && seq_lt(start, t->nxt)) { /* judged with the SYN that carries it */
        t->nxt = seq_max(t->nxt, end);
        is_new = false;
    } else if (start == t->nxt) {
        t->nxt = end;
        new_data(m, s, end);
    } else if (seq_lt(t->nxt, start)) {
        loss_gap(m, s, start); /* moves nxt to start */
        t->nxt = end;
        new_data(m, s, end);
    } else {
        loss_below(m, s, start, end);
        is_new = seq_lt(t->nxt, end);
        t->nxt = seq_max(t->nxt, end);
    }
    if (is_new && (kind & KIND_DATA))
        on_turn(m, s);
    if (is_new)
        track_ip_id(t, p);
}

static inline void on_fin(struct flow *f, unsigned s)
{
    f->side[s].flags |= SIDE_FIN;
    f->flags |= (f->side[1 - s].flags & SIDE_FIN) ? FLOW_CLOSED : 0;
}

static __attribute__((noinline)) void resolve(struct meter *m)
{
    for (unsigned e = 0; e < 2; e++)
        if (m->f->side[e].flags & SIDE_TROUBLE)
            loss_resolve(m, e);
}

/* What the packet is told by, in order; inlined once for each kind that is usual, where `kind` is a constant. */
KIND void meter_kind(struct meter *m, unsigned kind)
{
    struct flow *f = m->f;
    const struct pkt *p = m->p;
    unsigned s = p->sender;
    struct tcp_side *t = &f->side[s], *peer = &f->side[1 - s];
    uint32_t nxt = t->nxt, una = peer->una;

    if ((t->flags | peer->flags) & SIDE_TROUBLE)
        resolve(m);
    if (kind & TCP_SYN)
        on_syn(m, kind);
    else if ((kind & TCP_ACK) && !(f->flags & FLOW_ESTABLISHED) && s == f->client && (f->flags & FLOW_SYNACK_SEEN) &&
             p->tcp_ack == peer->base)
        on_established(m);
    if (kind & TCP_ACK)
        on_ack(m, kind);
    if (is_probe(m, s, kind))
        trouble_of(m)->dir[s].count.keepalives++;
    else
        on_data(m, kind);
    t->flags &= (uint16_t)~SIDE_GAP_OPEN;
    if (((t->flags | peer->flags) & SIDE_HELD_COPIES) && seq_le(nxt, p->tcp_seq) && seq_le(una, p->tcp_ack))
        trouble_of(m)->dir[s].in_order_ns = m->now_ns;
    if (p->flags & PKT_HAS_TS) {
        rtt_note_tsval(m, s, p->tsval);
        if (kind & TCP_ACK)
            rtt_match_tsecr(m, s, p->tsecr);
    }
    if (!(kind & (TCP_SYN | TCP_FIN)))
        on_window(m);
    t->window = p->tcp_window;
    if (kind & TCP_FIN)
        on_fin(f, s);
}

static __attribute__((noinline)) void meter_unusual(struct meter *m, unsigned kind)
{
    if (kind & TCP_RST)
        on_rst(m);
    else
        meter_kind(m, kind);
}

void tcp_meter(struct meter *m)
{
    const struct pkt *p = m->p;
    unsigned kind = (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) | (p->payload_len != 0 ? KIND_DATA : 0);

    if (__builtin_expect((m->now_ns ^ m->f->last_ns) >> FLOW_AGE_SHIFT != 0, 0))
        flow_age(m);
    if (!(p->flags & PKT_L4_OK))
        return;
    switch (kind) {
    case TCP_SYN:
        meter_kind(m, TCP_SYN);
        return;
    case TCP_SYN | TCP_ACK:
        meter_kind(m, TCP_SYN | TCP_ACK);
        return;
    case TCP_ACK:
        meter_kind(m, TCP_ACK);
        return;
    case TCP_ACK | KIND_DATA:
        meter_kind(m, TCP_ACK | KIND_DATA);
        return;
    case TCP_FIN | TCP_ACK:
        meter_kind(m, TCP_FIN | TCP_ACK);
        return;
    case TCP_FIN | TCP_ACK | KIND_DATA:
        meter_kind(m, TCP_FIN | TCP_ACK | KIND_DATA);
        return;
    default:
        meter_unusual(m, kind);
    }
}

/* On a one-way mirror the client's own ACKs tell that it had an answer. */
bool tcp_is_unanswered(const struct flow *f)
{
    unsigned client = f->client, server = 1 - client;

    return (f->side[client].flags & SIDE_SYN) && f->side[server].pkts == 0 && !(f->side[server].flags & SIDE_ACK_SEEN);
}

void tcp_finish(struct meter *m)
{
    struct flow *f = m->f;

    for (unsigned s = 0; s < 2; s++) {
        struct tcp_side *t = &f->side[s];
        loss_finish(m, s);
        rtt_finish(m, s);
        if (t->flags & SIDE_ZERO_WINDOW)
            METER_COUNT(m, s, zero_window_us, (f->last_ns - trouble_of(m)->dir[s].zero_since_ns) / 1000);
    }
    if (tcp_is_unanswered(f) && !icmp_error_was_probe(m))
        METER_TALLY(m, unanswered_connects, 1);
}

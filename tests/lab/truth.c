/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The truth about a run, kept by the one who caused it.
 *
 * A flow is a 5-tuple from its first frame to the next SYN with another initial sequence number, so that a port
 * used twice gives two flows; its client is the sender of the first frame. Per direction we keep the highest
 * sequence number sent, to know a resend, and the set of byte ranges that no rule has taken away, to know a needless
 * one. Sequence numbers are counted from the first one seen, in 64 bits.
 *
 * A segment is *late* where a younger one (by order of emission) of the same flow and direction passed the same
 * point before it: held frames count only when somebody did overtake them.
 */

#include "tests/lab/truth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LINE_BYTES 1024

/* Half open [lo, hi). */
struct span {
    int64_t lo, hi;
};

/* Ordered, apart from each other by at least one byte. */
struct spans {
    struct span *at;
    size_t n, room;
};

struct direction {
    struct lab_truth_sums sums;
    struct spans passed; /* bytes that were delivered or are on their way */
    int64_t tap_top;     /* the same of what the capture has */
    int64_t top;         /* highest end sent, from the first sequence number */
    uint64_t last_tap_no, last_out_no;
    uint32_t first_seq, syn_seq;
    bool started, syn_seen;
    uint64_t syn_tap_ns, syns, ack_tap_ns; /* for the handshake */
};

struct flow {
    struct in6_addr addr[2]; /* client, server */
    uint16_t port[2];
    uint8_t proto;
    uint8_t client_side;
    uint32_t next;           /* in its hash chain, 1 + index, 0 = end */
    struct direction dir[2]; /* [0] sent by the client */
};

/* Owner: the relay's thread. */
struct lab_truth {
    gzFile file;
    struct flow *flows;
    size_t n_flows, room;
    uint32_t buckets[4096]; /* 1 + index, newest first */
    int rc;
};

/* ---- byte ranges ---- */

static bool spans_hold(const struct spans *s, struct span x)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].lo <= x.lo && x.hi <= s->at[i].hi)
            return true;
    }
    return false;
}

static int spans_add(struct spans *s, struct span x)
{
    size_t first = s->n, last;

    if (s->n == s->room) {
        size_t room = s->room * 2 + 4;
        struct span *grown = realloc(s->at, room * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        s->at = grown;
        s->room = room;
    }
    while (first > 0 && s->at[first - 1].hi >= x.lo)
        first--;
    for (last = first; last < s->n && s->at[last].lo <= x.hi; last++) {
        x.lo = x.lo < s->at[last].lo ? x.lo : s->at[last].lo;
        x.hi = x.hi > s->at[last].hi ? x.hi : s->at[last].hi;
    }
    memmove(&s->at[first + 1], &s->at[last], (s->n - last) * sizeof(*s->at));
    s->n = s->n - (last - first) + 1;
    s->at[first] = x;
    return 0;
}

/* ---- flows ---- */

static uint32_t bucket_of(const struct lab_frame_info *i)
{
    uint32_t h = (uint32_t)i->proto + ((uint32_t)(i->sport ^ i->dport) << 8) + i->sport + i->dport;

    for (int k = 0; k < 16; k++)
        h += (uint32_t)(i->src.s6_addr[k] + i->dst.s6_addr[k]) << (k % 4 * 8);
    return (h * 2654435761u) >> 20;
}

static bool ends_match(const struct flow *f, const struct lab_frame_info *i, int client)
{
    const struct in6_addr *from = &f->addr[client], *to = &f->addr[!client];

    return f->proto == i->proto && f->port[client] == i->sport && f->port[!client] == i->dport &&
           memcmp(from, &i->src, sizeof(*from)) == 0 && memcmp(to, &i->dst, sizeof(*to)) == 0;
}

/* A SYN that starts another connection on the same ports. */
static bool starts_anew(const struct flow *f, const struct lab_frame_info *i)
{
    const struct direction *d = &f->dir[0];

    return i->proto == IPPROTO_TCP && (i->tcp_flags & (LAB_TCP_SYN | LAB_TCP_ACK)) == LAB_TCP_SYN &&
           (!d->syn_seen || d->syn_seq != i->seq);
}

static struct flow *flow_new(struct lab_truth *t, const struct lab_frame *f, uint32_t bucket)
{
    struct flow *flow;

    if (t->n_flows == t->room) {
        size_t room = t->room * 2 + 256;
        struct flow *grown = realloc(t->flows, room * sizeof(*grown));

        if (grown == NULL)
            return NULL;
        t->flows = grown;
        t->room = room;
    }
    flow = &t->flows[t->n_flows++];
    *flow = (struct flow){.addr = {f->info.src, f->info.dst},
                          .port = {f->info.sport, f->info.dport},
                          .proto = f->info.proto,
                          .client_side = (uint8_t)!f->to,
                          .next = t->buckets[bucket]};
    t->buckets[bucket] = (uint32_t)t->n_flows;
    return flow;
}

static struct flow *flow_of(struct lab_truth *t, struct lab_frame *f)
{
    uint32_t bucket = bucket_of(&f->info), i = t->buckets[bucket];
    struct flow *flow = NULL;

    for (; i != 0; i = flow->next) {
        flow = &t->flows[i - 1];
        f->c2s = ends_match(flow, &f->info, 0) && flow->client_side != f->to;
        if (f->c2s || ends_match(flow, &f->info, 1))
            break;
    }
    if (i == 0 || (f->c2s && starts_anew(flow, &f->info))) {
        f->c2s = true;
        flow = flow_new(t, f, bucket);
    }
    if (flow != NULL)
        f->flow = (uint32_t)(flow - t->flows);
    return flow;
}

static struct direction *direction_of(struct lab_truth *t, const struct lab_frame *f)
{
    return &t->flows[f->flow].dir[f->c2s ? 0 : 1];
}

/* ---- the life of a frame ---- */

/* The sequence space that a segment takes: payload, SYN and FIN. */
static struct span span_of(struct direction *d, const struct lab_frame_info *i)
{
    int64_t lo, len = i->payload_bytes;

    len += (i->tcp_flags & LAB_TCP_SYN) != 0;
    len += (i->tcp_flags & LAB_TCP_FIN) != 0;
    if (!d->started) {
        d->started = true;
        d->first_seq = i->seq;
        d->top = 0;
    }
    lo = d->top + (int32_t)(i->seq - (d->first_seq + (uint32_t)d->top));
    return (struct span){lo, lo + len};
}

int lab_truth_sent(struct lab_truth *t, struct lab_frame *f)
{
    struct flow *flow = flow_of(t, f);
    struct direction *d;

    if (flow == NULL)
        return -ENOMEM;
    d = direction_of(t, f);
    if (f->info.proto == IPPROTO_TCP) {
        struct span x = span_of(d, &f->info);

        if ((f->info.tcp_flags & LAB_TCP_SYN) != 0) {
            d->syn_seen = true;
            d->syn_seq = f->info.seq;
        }
        f->resend = x.hi > x.lo && x.lo < d->top;
        d->top = x.hi > d->top ? x.hi : d->top;
        d->sums.data_pkts += f->info.payload_bytes > 0;
        d->sums.resent_pkts += f->resend;
        d->sums.resent_data_pkts += f->resend && f->info.payload_bytes > 0;
    }
    d->sums.sent_pkts++;
    d->sums.sent_bytes += f->info.ip_bytes;
    return 0;
}

int lab_truth_judged(struct lab_truth *t, struct lab_frame *f)
{
    struct direction *d = direction_of(t, f);
    struct span x;

    if (f->info.proto != IPPROTO_TCP)
        return 0;
    x = span_of(d, &f->info);
    f->needless = f->resend && spans_hold(&d->passed, x);
    d->sums.needless_pkts += f->needless;
    if (x.hi == x.lo || lab_fate_has(&f->fate, LAB_LOSE_UP) || lab_fate_has(&f->fate, LAB_LOSE_DOWN))
        return 0;
    return spans_add(&d->passed, x);
}

/* SYN and SYN/ACK, each sent once, and the first ACK behind them date the handshake at the tap. */
static void note_handshake(struct direction *d, const struct lab_frame *f)
{
    if ((f->info.tcp_flags & LAB_TCP_SYN) != 0) {
        d->syns++;
        d->syn_tap_ns = f->tap_ns;
    } else if (d->ack_tap_ns == 0 && (f->info.tcp_flags & LAB_TCP_ACK) != 0) {
        d->ack_tap_ns = f->tap_ns;
    }
}

/* A resend at the front of all that was captured looks like a first transmission: its loss left no trace. */
static void note_front(struct direction *d, const struct lab_frame *f)
{
    struct span x = span_of(d, &f->info);

    if (x.hi == x.lo || lab_fate_has(&f->fate, LAB_MISS))
        return;
    d->sums.untraced_pkts += f->resend && x.lo >= d->tap_top;
    d->tap_top = x.hi > d->tap_top ? x.hi : d->tap_top;
}

void lab_truth_at_tap(struct lab_truth *t, struct lab_frame *f)
{
    struct direction *d = direction_of(t, f);

    if (f->info.proto == IPPROTO_TCP) {
        note_handshake(d, f);
        note_front(d, f);
    }
    d->sums.tap_pkts++;
    if (f->info.payload_bytes == 0)
        return;
    f->late_tap = f->number < d->last_tap_no;
    d->sums.late_tap_pkts += f->late_tap;
    if (!f->late_tap)
        d->last_tap_no = f->number;
}

void lab_truth_at_out(struct lab_truth *t, struct lab_frame *f)
{
    struct direction *d = direction_of(t, f);

    d->sums.delivered_pkts++;
    if (f->info.payload_bytes == 0)
        return;
    f->late_out = f->number < d->last_out_no;
    d->sums.late_out_pkts += f->late_out;
    if (!f->late_out)
        d->last_out_no = f->number;
}

static void add_fate(struct lab_truth_sums *s, const struct lab_frame *f)
{
    const struct lab_fate *fate = &f->fate;
    bool data = f->info.proto == IPPROTO_TCP && f->info.payload_bytes > 0;
    bool up = lab_fate_has(fate, LAB_LOSE_UP);
    bool down = !up && lab_fate_has(fate, LAB_LOSE_DOWN);
    bool missed = f->tap_ns != 0 && lab_fate_has(fate, LAB_MISS);
    bool again = f->captured_as[1] != 0;

    s->lost_up_pkts += up;
    s->lost_up_data_pkts += up && data;
    s->lost_down_pkts += down;
    s->lost_down_data_pkts += down && data;
    s->missed_pkts += missed;
    s->missed_data_pkts += missed && data;
    s->missed_data_bytes += missed && data ? f->info.payload_bytes : 0;
    s->captured_pkts += f->captured_as[0] != 0;
    s->copied_pkts += again && lab_fate_has(fate, LAB_COPY);
    s->hop_pkts += again && lab_fate_has(fate, LAB_HOP);
    s->late_copy_pkts += f->tap_ns != 0 && lab_fate_has(fate, LAB_HOLD_COPY);
    s->stalled_pkts += lab_fate_has(fate, LAB_STALL_UP) || lab_fate_has(fate, LAB_STALL_DOWN);
}

/* ---- lines ---- */

/* A bounded writer: what does not fit is cut, never written past the end. */
struct text {
    char at[LINE_BYTES];
    size_t len;
};

static void add(struct text *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *x, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(x->at + x->len, sizeof(x->at) - x->len, format, args);
    va_end(args);
    if (n > 0)
        x->len += (size_t)n < sizeof(x->at) - x->len ? (size_t)n : sizeof(x->at) - x->len - 1;
}

static void add_time(struct text *x, const char *name, uint64_t ns)
{
    if (ns == 0)
        add(x, ",\"%s\":null", name);
    else
        add(x, ",\"%s\":%llu", name, (unsigned long long)ns);
}

static void add_tcp(struct text *x, const struct lab_frame_info *i)
{
    char flags[9];
    size_t n = 0;

    for (int bit = 0; bit < 8; bit++) {
        if ((i->tcp_flags >> bit & 1) != 0)
            flags[n++] = "FSRPAUEC"[bit];
    }
    flags[n] = '\0';
    add(x, ",\"flags\":\"%s\",\"seq\":%u,\"ack\":%u", flags, i->seq, i->ack);
    if (i->n_sack == 0)
        return;
    add(x, ",\"sack\":[");
    for (unsigned k = 0; k < i->n_sack; k++)
        add(x, "%s[%u,%u]", k == 0 ? "" : ",", i->sack[k][0], i->sack[k][1]);
    add(x, "]");
}

static void add_captured(struct text *x, const struct lab_frame *f)
{
    const char *comma = "";

    add(x, ",\"captured\":[");
    for (int i = 0; i < 2; i++) {
        if (f->captured_as[i] == 0)
            continue;
        add(x, "%s{\"frame\":%llu,\"ts_ns\":%llu}", comma, (unsigned long long)f->captured_as[i],
            (unsigned long long)f->captured_ns[i]);
        comma = ",";
    }
    add(x, "]");
}

static void add_did(struct text *x, const struct lab_frame *f)
{
    const char *comma = "";

    add(x, ",\"did\":[");
    for (enum lab_action a = 0; a < LAB_ACTION_COUNT; a++) {
        if (!lab_fate_has(&f->fate, a))
            continue;
        add(x, "%s\"%s\"", comma, lab_action_name(a));
        comma = ",";
    }
    add(x, "]");
}

void lab_truth_line(struct lab_truth *t, const char *json, size_t len)
{
    if (t->file == NULL || t->rc != 0)
        return;
    if (gzwrite(t->file, json, (unsigned)len) != (int)len || gzputc(t->file, '\n') < 0)
        t->rc = -EIO;
}

void lab_truth_done(struct lab_truth *t, const struct lab_frame *f)
{
    struct text x = {.len = 0};

    add_fate(&direction_of(t, f)->sums, f);
    if (t->file == NULL)
        return;
    add(&x, "{\"type\":\"frame\",\"n\":%llu,\"flow\":%u,\"dir\":\"%s\",\"len\":%u,\"wire\":%u",
        (unsigned long long)f->number, f->flow, f->c2s ? "c2s" : "s2c", f->info.payload_bytes, f->len);
    if (f->info.proto == IPPROTO_TCP)
        add_tcp(&x, &f->info);
    add(&x, ",\"ip_id\":%u", f->info.ip_id);
    add_time(&x, "in_ns", f->in_ns);
    add_time(&x, "tap_ns", f->tap_ns);
    add_time(&x, "out_ns", f->out_ns);
    add_captured(&x, f);
    add_did(&x, f);
    add(&x, ",\"resend\":%s,\"needless\":%s,\"late_tap\":%s,\"late_out\":%s}", f->resend ? "true" : "false",
        f->needless ? "true" : "false", f->late_tap ? "true" : "false", f->late_out ? "true" : "false");
    lab_truth_line(t, x.at, x.len);
}

/* ---- sums ---- */

static void sums_add(struct lab_truth_sums *to, const struct lab_truth_sums *from)
{
#define C(field, text) to->field += from->field;
    LAB_TRUTH_COUNTERS(C)
#undef C
}

struct lab_truth_sums lab_truth_total(const struct lab_truth *t)
{
    struct lab_truth_sums total = {0};

    for (size_t i = 0; i < t->n_flows; i++) {
        sums_add(&total, &t->flows[i].dir[0].sums);
        sums_add(&total, &t->flows[i].dir[1].sums);
    }
    return total;
}

size_t lab_truth_flows(const struct lab_truth *t)
{
    return t->n_flows;
}

void lab_truth_print_sums(const struct lab_truth_sums *s, FILE *out)
{
    const char *comma = "";

    fputc('{', out);
#define C(field, text)                                                                                                 \
    fprintf(out, "%s\"" #field "\":%llu", comma, (unsigned long long)s->field);                                        \
    comma = ",";
    LAB_TRUTH_COUNTERS(C)
#undef C
    fputc('}', out);
}

static const char *proto_word(uint8_t proto)
{
    switch (proto) {
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_UDP:
        return "udp";
    case IPPROTO_ICMP:
        return "icmp";
    case IPPROTO_ICMPV6:
        return "icmp6";
    default:
        return "other";
    }
}

/* "null" where a SYN was repeated or is not there: such a handshake has no sample. */
static void print_handshake(const struct flow *f, FILE *out)
{
    const struct direction *c = &f->dir[0], *s = &f->dir[1];

    if (c->syns == 1 && s->syns == 1)
        fprintf(out, ",\"handshake_server_ns\":%lld", (long long)(s->syn_tap_ns - c->syn_tap_ns));
    else
        fprintf(out, ",\"handshake_server_ns\":null");
    if (s->syns == 1 && c->ack_tap_ns != 0)
        fprintf(out, ",\"handshake_client_ns\":%lld", (long long)(c->ack_tap_ns - s->syn_tap_ns));
    else
        fprintf(out, ",\"handshake_client_ns\":null");
}

static void print_flow(const struct flow *f, size_t i, FILE *out)
{
    char client[INET6_ADDRSTRLEN], server[INET6_ADDRSTRLEN];

    fprintf(out,
            "{\"type\":\"flow\",\"flow\":%zu,\"proto\":\"%s\",\"client\":\"%s\",\"client_port\":%u,"
            "\"server\":\"%s\",\"server_port\":%u,\"client_side\":\"%s\"",
            i, proto_word(f->proto), lab_addr_format(&f->addr[0], client), f->port[0],
            lab_addr_format(&f->addr[1], server), f->port[1], lab_side_name(f->client_side));
    if (f->proto == IPPROTO_TCP)
        print_handshake(f, out);
    fprintf(out, ",\"c2s\":");
    lab_truth_print_sums(&f->dir[0].sums, out);
    fprintf(out, ",\"s2c\":");
    lab_truth_print_sums(&f->dir[1].sums, out);
    fputc('}', out);
}

void lab_truth_print_flows(const struct lab_truth *t, FILE *out)
{
    fputs("[", out);
    for (size_t i = 0; i < t->n_flows; i++) {
        fputs(i == 0 ? "\n" : ",\n", out);
        print_flow(&t->flows[i], i, out);
    }
    fputs("]", out);
}

int lab_truth_open(const char *path, struct lab_truth **ret, struct error *e)
{
    struct lab_truth *t = calloc(1, sizeof(*t));
    size_t len = path == NULL ? 0 : strlen(path);

    if (t == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    if (path != NULL) {
        bool packed = len > 3 && strcmp(path + len - 3, ".gz") == 0;

        t->file = gzopen(path, packed ? "wb6e" : "wbTe");
        if (t->file == NULL) {
            int rc = error_set(e, errno > 0 ? -errno : -ENOMEM, "%s: cannot write", path);
            free(t);
            return rc;
        }
        gzbuffer(t->file, 1u << 18);
    }
    *ret = t;
    return 0;
}

int lab_truth_close(struct lab_truth *t)
{
    int rc;

    if (t == NULL)
        return 0;
    rc = t->rc;
    if (t->file != NULL && gzclose(t->file) != Z_OK && rc == 0)
        rc = -EIO;
    for (size_t i = 0; i < t->n_flows; i++) {
        free(t->flows[i].dir[0].passed.at);
        free(t->flows[i].dir[1].passed.at);
    }
    free(t->flows);
    free(t);
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Several workers on one input: the flow records, the sums over windows and the ledger are those of one worker, byte
 * for byte, on traffic that is made to be hard to share out (tunnels, fragments of what is inside and of the carrier,
 * copies near and far, DNS, ICMP errors) and on captures. And live, a lane that is full costs counted packets, nothing
 * else.
 */

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/spsc.h"
#include "common/timefmt.h"
#include "dataplane/reshard.h"
#include "dataplane/rx_pcap.h"
#include "tests/unit/unit.h"
#include "tests/unit/wrap.h"

#define RING_BYTES  (64u << 20)
#define WORKERS_MAX 7u
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* they need address space of their own */
#define MEMORY_CAN_BE_SHORT 0
#else
#define MEMORY_CAN_BE_SHORT 1
#endif

/* ---- what came out ---- */

struct outcome {
    uint8_t **flow; /* whole messages, sorted by content, worker number left out */
    size_t n_flows;
    struct window_counters sum[WINDOW_SCOPE_COUNT];
    uint64_t hist_n[WINDOW_SCOPE_COUNT][WINDOW_HIST_COUNT];
    struct ledger ledger;
    uint64_t clock_backwards, unmatched, malformed;
    uint64_t told; /* ICMP errors that found the flow which they quote */
    uint64_t pkts_of[WORKERS_MAX];
    struct {
        uint64_t start_ns, peak;
    } peak[4096];
    unsigned n_peaks;
};

static struct site_table *sites;
static struct service_table *services;

static size_t message_bytes(const uint8_t *m)
{
    return ((const struct rec_hdr *)(const void *)m)->len_bytes;
}

static int compare_messages(const void *a, const void *b)
{
    const uint8_t *x = *(uint8_t *const *)a, *y = *(uint8_t *const *)b;
    size_t n = message_bytes(x), m = message_bytes(y);
    int order = memcmp(x, y, n < m ? n : m);

    return order != 0 ? order : (n > m) - (n < m);
}

static void keep_flow(struct outcome *o, const struct rec_hdr *hdr)
{
    uint8_t *copy = malloc(hdr->len_bytes);

    memcpy(copy, hdr, hdr->len_bytes);
    ((struct rec_hdr *)(void *)copy)->worker = 0;
    const struct rec_flow *f = (const void *)copy;
    o->told += f->icmp_unreachable + f->icmp_ttl_exceeded + f->icmp_too_big;
    if ((o->n_flows & (o->n_flows - 1)) == 0)
        o->flow = realloc(o->flow, (2 * o->n_flows + 1) * sizeof(*o->flow));
    o->flow[o->n_flows++] = copy;
}

/* The largest of the parts, by window. */
static void keep_peak(struct outcome *o, const struct rec_window *w)
{
    unsigned i = 0;

    while (i < o->n_peaks && o->peak[i].start_ns != w->start_ns)
        i++;
    ck_assert_uint_lt(i, 4096);
    if (i == o->n_peaks)
        o->peak[o->n_peaks++].start_ns = w->start_ns;
    if (w->c.peak_1ms_bytes > o->peak[i].peak)
        o->peak[i].peak = w->c.peak_1ms_bytes;
}

static void drain(struct outcome *o, unsigned worker, struct spsc *ring)
{
    struct rec_window_end end = {0};
    const struct rec_hdr *hdr;
    size_t len;

    while ((hdr = spsc_peek(ring, &len)) != NULL) {
        const struct rec_window *w = (const void *)hdr;
        if (hdr->type == REC_FLOW)
            keep_flow(o, hdr);
        if (hdr->type == REC_WINDOW) {
            window_counters_merge(&o->sum[w->key.scope], &w->c);
            for (unsigned i = 0; i < WINDOW_HIST_COUNT; i++)
                o->hist_n[w->key.scope][i] += w->hist[i].n;
            if (w->key.scope == WINDOW_MIRROR)
                keep_peak(o, w);
        }
        if (hdr->type == REC_WINDOW_END)
            end = *(const struct rec_window_end *)(const void *)hdr;
        spsc_pop(ring);
    }
    ck_assert_uint_eq(end.ring_dropped + end.pool_exhausted + end.flows_evicted, 0);
    ck_assert_uint_eq(end.ledger.offered, end.ledger.processed + ledger_drop_sum(&end.ledger));
    ledger_merge(&o->ledger, &end.ledger);
    o->pkts_of[worker] = end.ledger.processed;
    o->clock_backwards += end.clock_backwards;
    o->unmatched += end.fragments_unmatched;
    o->malformed += end.fragments_malformed;
}

static void free_outcome(struct outcome *o)
{
    for (size_t i = 0; i < o->n_flows; i++)
        free(o->flow[i]);
    free(o->flow);
    free(o);
}

/* ---- runs ---- */

static bool general_only; /* of the workers to be made */

static struct worker *new_worker(unsigned i, struct spsc *ring)
{
    struct worker *w;
    const struct worker_options options = {
        .id = (uint16_t)i,
        .flows = 32768,
        .trouble_blocks = 65536,
        .dns_entries = 16384,
        .max_paths = 4096,
        .max_services = 4096,
        .tcp_idle_ns = 60 * NS_PER_S,
        .other_idle_ns = 20 * NS_PER_S,
        .closed_linger_ns = 5 * NS_PER_S,
        .active_ns = 45 * NS_PER_S,
        .window_ns = 10 * NS_PER_S,
        .general_only = general_only,
        .writer = {.ring = ring, .worker = (uint16_t)i},
        .sites = sites,
        .services = services,
    };

    ck_assert_int_eq(worker_new(&options, &w), 0);
    return w;
}

static struct reshard *new_reshard(struct worker *const *workers, unsigned n)
{
    struct reshard *r;
    const struct reshard_options options = {
        .workers = workers, .n_workers = n, .depth = 16, .window_ns = 10 * NS_PER_S, .may_wait = true};

    ck_assert_int_eq(reshard_new(&options, &r), 0);
    return r;
}

/* n workers on a file; n = 0: one, without the stage in front. */
static struct outcome *run(const char *path, unsigned n, const char *filter)
{
    struct outcome *o = calloc(1, sizeof(*o));
    struct spsc *ring[WORKERS_MAX];
    struct worker *w[WORKERS_MAX];
    struct rx_pcap *rx;
    struct error e = {""};
    int stop = 0;

    ck_assert_msg(rx_pcap_open(&path, 1, filter, &rx, &e) == 0, "%s", e.text);
    for (unsigned i = 0; i < (n == 0 ? 1 : n); i++)
        w[i] = new_worker(i, ring[i] = spsc_new(RING_BYTES));
    if (n == 0) {
        rx_pcap_run(rx, w[0], &stop, NULL, NULL, &e);
        worker_finish(w[0]);
    } else {
        struct reshard *r = new_reshard(w, n);
        ck_assert_int_eq(reshard_start_threads(r), 0);
        rx_pcap_run_resharded(rx, r, &stop, NULL, NULL, &e);
        reshard_join_threads(r);
        reshard_free(r);
    }
    for (unsigned i = 0; i < (n == 0 ? 1 : n); i++) {
        drain(o, i, ring[i]);
        worker_free(w[i]);
        spsc_free(ring[i]);
    }
    rx_pcap_close(rx);
    if (o->n_flows != 0)
        qsort(o->flow, o->n_flows, sizeof(*o->flow), compare_messages);
    return o;
}

static void show(const char *which, const uint8_t *m)
{
    const struct rec_flow *f = (const void *)m;

    printf(
        "%s: %u %u.%u.%u.%u:%u %u.%u.%u.%u:%u tunnel %u pkts %llu %llu dup %llu %llu hop %llu %llu end %u %llu..%llu\n",
        which, f->proto, f->addr[0].byte[0], f->addr[0].byte[1], f->addr[0].byte[2], f->addr[0].byte[3], f->port[0],
        f->addr[1].byte[0], f->addr[1].byte[1], f->addr[1].byte[2], f->addr[1].byte[3], f->port[1], f->tunnel,
        (unsigned long long)f->dir[0].pkts, (unsigned long long)f->dir[1].pkts, (unsigned long long)f->dir[0].dup_pkts,
        (unsigned long long)f->dir[1].dup_pkts, (unsigned long long)f->dir[0].second_hop_pkts,
        (unsigned long long)f->dir[1].second_hop_pkts, f->end, (unsigned long long)f->first_ns,
        (unsigned long long)f->last_ns);
}

static void compare_sums(const char *name, const struct outcome *one, const struct outcome *many)
{
    for (unsigned s = 0; s < WINDOW_SCOPE_COUNT; s++) {
        const struct window_counters *x = &one->sum[s], *y = &many->sum[s];
#define X(field, unit, text)                                                                                           \
    ck_assert_msg(x->field == y->field, "%s: %s " #field " is %llu, not %llu", name, window_scope_name(s),             \
                  (unsigned long long)y->field, (unsigned long long)x->field);
        if (s == WINDOW_MIRROR) { /* of the others each worker sees only its part of a millisecond */
            WINDOW_COUNTERS(X)
        }
#undef X
        ck_assert_msg(memcmp(x->dir, y->dir, sizeof(x->dir)) == 0, "%s: %s, directions", name, window_scope_name(s));
    }
}

static void compare_outcomes(const char *name, const struct outcome *one, const struct outcome *many)
{
    ck_assert_msg(one->n_flows == many->n_flows, "%s: %zu flows, not %zu", name, many->n_flows, one->n_flows);
    for (size_t i = 0; i < one->n_flows; i++) {
        if (compare_messages(&one->flow[i], &many->flow[i]) == 0)
            continue;
        for (size_t at = 0; at < message_bytes(one->flow[i]); at++)
            if (one->flow[i][at] != many->flow[i][at])
                printf("byte %zu of %zu (flow %zu): %u, not %u\n", at, message_bytes(one->flow[i]),
                       sizeof(struct rec_flow), many->flow[i][at], one->flow[i][at]);
        show("one", one->flow[i]);
        show("many", many->flow[i]);
        ck_abort_msg("%s: flow %zu of %zu differs", name, i, one->n_flows);
    }
    ck_assert_msg(memcmp(&one->ledger, &many->ledger, sizeof(one->ledger)) == 0, "%s: ledger", name);
    compare_sums(name, one, many);
    ck_assert_msg(memcmp(one->hist_n, many->hist_n, sizeof(one->hist_n)) == 0, "%s: histograms", name);
    ck_assert_uint_eq(one->clock_backwards, many->clock_backwards);
    ck_assert_uint_eq(one->unmatched, many->unmatched);
    ck_assert_uint_eq(one->malformed, many->malformed);
    ck_assert_uint_eq(one->n_peaks, many->n_peaks);
    for (unsigned i = 0; i < one->n_peaks; i++)
        ck_assert_msg(one->peak[i].start_ns == many->peak[i].start_ns && one->peak[i].peak == many->peak[i].peak,
                      "%s: peak of window %u", name, i);
}

static void check_file(const char *path, const char *filter)
{
    static const unsigned n_workers[] = {1, 2, 4, 7};
    struct outcome *one = run(path, 0, filter);

    for (unsigned i = 0; i < sizeof(n_workers) / sizeof(n_workers[0]); i++) {
        struct outcome *many = run(path, n_workers[i], filter);
        compare_outcomes(path, one, many);
        free_outcome(many);
    }
    general_only = true; /* and the quick way for clean packets makes the records of the general one */
    struct outcome *general = run(path, 0, filter);
    general_only = false;
    compare_outcomes(path, general, one);
    free_outcome(general);
    free_outcome(one);
}

/* ---- traffic ---- */

#define FRAMES_MAX  200000u
#define TALKS       400u
#define START_S     1700000005ull
#define HOSTS       30u
#define NO_WRAP     N_WRAPS
#define PAYLOAD_MAX 1200u
#define MS          1000000ull

struct frame {
    uint64_t ts_ns;
    uint32_t index, len, wire;
    uint8_t *byte;
};

enum talk_kind { TALK_TCP, TALK_UDP, TALK_DNS, TALK_ECHO, TALK_ERROR, TALK_KINDS };

struct talk {
    enum talk_kind kind;
    unsigned af, wrap, host[2];
    uint16_t port[2], id[2];
    uint32_t seq[2], acked[2];
    unsigned step;
    bool constant_id, copied, second_hop;
};

static struct talk talk[TALKS];
static struct frame frame[FRAMES_MAX];
static uint32_t n_frames;
static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(mix64(random_state) % n);
}

static void emit(uint64_t ts_ns, const struct packet *p)
{
    ck_assert_uint_lt(n_frames, FRAMES_MAX);
    struct frame *f = &frame[n_frames];

    *f = (struct frame){.ts_ns = ts_ns, .index = n_frames, .len = p->len, .wire = p->len, .byte = malloc(p->len)};
    memcpy(f->byte, p->byte, p->len);
    if (draw(50) == 0 && f->len > 80) /* sliced */
        f->len = 60 + draw(f->len - 60);
    n_frames++;
}

/* Cuts the payload of the frame's outermost IPv4 header into pieces, which come in any order, now and then not all. */
static void emit_fragments(uint64_t ts_ns, const struct packet *p, uint16_t id)
{
    static struct packet piece;
    uint32_t payload = p->len - 34, unit = 8 * (1 + payload / 8 / (2 + draw(3)));
    unsigned skip = draw(10), n = 0;

    for (uint32_t from = 0; from < payload; from += unit, n++) {
        uint32_t bytes = payload - from < unit ? payload - from : unit;
        bool more = from + bytes < payload;
        piece.len = 0;
        piece.wire_extra = 0;
        packet_put(&piece, p->byte, 34);
        packet_set_u16(&piece, 16, (uint16_t)(20 + bytes));
        packet_set_u16(&piece, 18, id);
        packet_set_u16(&piece, 20, (uint16_t)(from / 8 | (more ? 0x2000 : 0)));
        packet_put(&piece, p->byte + 34 + from, bytes);
        if (n != skip)
            emit(ts_ns + draw(300000), &piece);
    }
}

/* As it comes, in its tunnel, in pieces, and once more if the mirror copies. */
static void send_packet(struct talk *t, unsigned dir, uint64_t ts_ns, const struct packet *p)
{
    static struct packet wrapped;
    const struct packet *out = p;

    if (t->wrap != NO_WRAP && wrap_fits(&wraps[t->wrap], p)) {
        wrapped.len = 0;
        wraps[t->wrap].fn(&wrapped, p, dir);
        out = &wrapped;
    }
    bool is_ipv4 = out->byte[12] == 8 && out->byte[13] == 0;
    if (is_ipv4 && out->len > 100 && draw(12) == 0) {
        emit_fragments(ts_ns, out, (uint16_t)(1 + draw(60000)));
        return;
    }
    emit(ts_ns, out);
    if (!t->copied || draw(8) == 0)
        return;
    static struct packet copy;
    memcpy(&copy, out, offsetof(struct packet, byte) + out->len);
    if (t->second_hop) {
        copy.byte[5] ^= 0x40; /* other MACs, one hop less */
        copy.byte[11] ^= 0x40;
        if (is_ipv4)
            copy.byte[22]--;
    }
    emit(ts_ns + (t->second_hop ? 500000 : 3000), &copy);
}

static void start_packet(struct talk *t, struct packet *p, unsigned dir, uint8_t proto)
{
    struct ip_spec ip = {.proto = proto, .id = t->constant_id ? 0 : t->id[dir]++};
    unsigned at = t->af == 4 ? 3 : 15;

    ip.from[0] = ip.to[0] = t->af == 4 ? 10 : 0x20;
    ip.from[at] = (uint8_t)t->host[dir];
    ip.to[at] = (uint8_t)t->host[1 - dir];
    packet_ethernet(p, (uint8_t)(2 - dir), (uint8_t)(1 + dir), t->af == 4 ? 0x0800 : 0x86dd);
    if (t->af == 4)
        packet_ipv4(p, &ip);
    else
        packet_ipv6(p, &ip);
}

static void tcp_step(struct talk *t, uint64_t ts_ns, struct packet *p)
{
    unsigned dir = t->step < 3 ? t->step % 2 : draw(2);
    struct tcp_spec s = {.from = t->port[dir], .to = t->port[1 - dir], .window = 8000, .flags = TCP_ACK};
    uint32_t payload = t->step < 3 || draw(3) == 0 ? 0 : 1 + draw(PAYLOAD_MAX), advance = payload;

    if (t->step < 2) {
        s.flags = t->step == 0 ? TCP_SYN : TCP_SYN | TCP_ACK;
        advance = 1;
    }
    if (t->step > 40 && draw(30) == 0) {
        s.flags |= TCP_FIN;
        advance++;
    }
    s.seq = t->seq[dir];
    if (payload != 0 && draw(40) == 0) /* once more */
        s.seq -= payload;
    else
        t->seq[dir] += advance;
    s.ack = t->step == 0 ? 0 : draw(20) != 0 ? (t->acked[dir] = t->seq[1 - dir]) : t->acked[dir];
    start_packet(t, p, dir, 6);
    packet_tcp(p, &s);
    packet_payload(p, s.seq, payload);
    packet_finish(p);
    t->step++;
    if (payload == 0 || draw(60) != 0) /* else lost before the tap */
        send_packet(t, dir, ts_ns, p);
    if (t->step > 60 && draw(40) == 0) /* the ports are taken anew */
        t->step = 0;
}

static void udp_step(struct talk *t, uint64_t ts_ns, struct packet *p)
{
    unsigned dir = draw(2);
    uint32_t payload = draw(PAYLOAD_MAX);

    start_packet(t, p, dir, 17);
    packet_udp(p, t->port[dir], t->port[1 - dir], (uint16_t)payload);
    packet_payload(p, t->step++, payload);
    packet_finish(p);
    send_packet(t, dir, ts_ns, p);
}

static void dns_step(struct talk *t, uint64_t ts_ns, struct packet *p)
{
    for (unsigned dir = 0; dir < (draw(10) == 0 ? 1u : 2u); dir++) {
        start_packet(t, p, dir, 17);
        packet_udp(p, dir == 0 ? t->port[0] : 53, dir == 0 ? 53 : t->port[0], 12 + 17);
        packet_u16(p, (uint16_t)t->step);
        packet_u16(p, dir == 0 ? 0x0100 : 0x8180);
        packet_u32(p, 0x00010000);
        packet_u32(p, 0);
        packet_put(p,
                   "\x03www\x07"
                   "example",
                   13);
        packet_u8(p, 0);
        packet_u16(p, 1);
        packet_u16(p, 1);
        packet_finish(p);
        send_packet(t, dir, ts_ns + dir * 7 * MS, p);
    }
    t->step++;
}

static void echo_step(struct talk *t, uint64_t ts_ns, struct packet *p)
{
    for (unsigned dir = 0; dir < (draw(10) == 0 ? 1u : 2u); dir++) {
        start_packet(t, p, dir, t->af == 4 ? 1 : 58);
        packet_icmp(p, t->af == 4 ? (dir == 0 ? 8 : 0) : (dir == 0 ? 128 : 129), 0, t->port[0], (uint16_t)t->step);
        packet_payload(p, t->step, 56);
        packet_finish(p);
        send_packet(t, dir, ts_ns + dir * 3 * MS, p);
    }
    t->step++;
}

static void error_step(struct talk *t, uint64_t ts_ns, struct packet *p)
{
    static struct packet quoted;
    struct talk *about = &talk[draw(TALKS)];

    if (draw(2) == 0) { /* about a flow that is there */
        start_packet(about, &quoted, 0, about->kind == TALK_TCP ? 6 : 17);
        if (about->af != t->af)
            return;
        packet_udp(&quoted, about->port[0], about->kind == TALK_DNS ? 53 : about->port[1], 30);
    } else {
        start_packet(t, &quoted, 0, 17);
        packet_udp(&quoted, t->port[0], t->port[1], 30);
    }
    packet_finish(&quoted);
    start_packet(t, p, 1, t->af == 4 ? 1 : 58);
    if (draw(2) == 0)
        p->byte[p->l3 + (t->af == 4 ? 15 : 23)] = (uint8_t)(200 + draw(3)); /* from a router */
    bool too_big = t->step++ % 3 == 0;
    uint8_t type = t->af == 4 ? (too_big ? 3 : 11) : (too_big ? 2 : 3);
    packet_icmp(p, type, type == 3 && t->af == 4 ? 4 : 0, 0, 576);
    packet_put(p, quoted.byte + 14, quoted.len - 14);
    packet_finish(p);
    send_packet(t, 1, ts_ns, p);
}

static void other_frame(uint64_t ts_ns, struct packet *p)
{
    static const uint16_t type[] = {0x0806, 0x88cc, 0x1234, 0x0800, 0x8100};

    packet_ethernet(p, 0xff, 3, type[draw(5)]);
    packet_payload(p, draw(1000), 1 + draw(60));
    emit(ts_ns, p);
}

static void start_talks(void)
{
    for (unsigned i = 0; i < TALKS; i++) {
        struct talk *t = &talk[i];
        *t = (struct talk){.kind = draw(2) == 0 ? TALK_TCP : draw(TALK_KINDS), .af = draw(4) == 0 ? 6 : 4};
        t->wrap = draw(2) == 0 ? NO_WRAP : draw(N_WRAPS);
        t->host[0] = 1 + draw(HOSTS);
        t->host[1] = 40 + draw(HOSTS);
        t->port[0] = (uint16_t)(20000 + draw(30000));
        t->port[1] = (uint16_t)(draw(2) == 0 ? 443 : 7000 + draw(3));
        t->seq[0] = draw(UINT32_MAX);
        t->seq[1] = draw(UINT32_MAX);
        t->copied = draw(3) == 0;
        t->second_hop = draw(2) == 0;
        t->constant_id = draw(5) == 0;
        t->id[0] = (uint16_t)draw(65536);
        t->id[1] = (uint16_t)draw(65536);
    }
}

static int compare_frames(const void *a, const void *b)
{
    const struct frame *x = a, *y = b;

    if (x->ts_ns != y->ts_ns)
        return x->ts_ns < y->ts_ns ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void put32(FILE *f, uint32_t v)
{
    fwrite(&v, sizeof(v), 1, f);
}

static void write_frames(const char *path)
{
    FILE *f = fopen(path, "wb");
    const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1};

    ck_assert_ptr_nonnull(f);
    fwrite(header, sizeof(header), 1, f);
    qsort(frame, n_frames, sizeof(frame[0]), compare_frames);
    for (uint32_t i = 0; i < n_frames; i++) {
        uint64_t ts_ns = frame[i].ts_ns - (draw(500) == 0 ? 40 * MS : 0); /* the clock steps back now and then */
        put32(f, (uint32_t)(ts_ns / NS_PER_S));
        put32(f, (uint32_t)(ts_ns % NS_PER_S));
        put32(f, frame[i].len);
        put32(f, frame[i].wire);
        fwrite(frame[i].byte, 1, frame[i].len, f);
        free(frame[i].byte);
    }
    ck_assert_int_eq(fclose(f), 0);
    n_frames = 0;
}

static void make_traffic(const char *path, uint64_t seed, unsigned steps)
{
    static void (*const step[TALK_KINDS])(struct talk * t, uint64_t ts_ns,
                                          struct packet * p) = {tcp_step, udp_step, dns_step, echo_step, error_step};
    static struct packet p;
    uint64_t now_ns = START_S * NS_PER_S;

    random_state = seed;
    start_talks();
    for (unsigned i = 0; i < steps; i++) {
        struct talk *t = &talk[draw(TALKS)];
        if (draw(40) == 0)
            other_frame(now_ns, &p);
        else
            step[t->kind](t, now_ns, &p);
        now_ns += draw(2 * MS);
        if (draw(3000) == 0) /* quiet: idle time-outs, and windows without a packet */
            now_ns += draw(60) * NS_PER_S;
    }
    write_frames(path);
}

/* ---- tests ---- */

static char path[] = "/tmp/spanward-reshard-XXXXXX";

START_TEST(generated_traffic)
{
    make_traffic(path, 1 + (uint64_t)_i, 30000);
    check_file(path, NULL);
    check_file(path, "not udp");
}
END_TEST

START_TEST(work_is_shared_out)
{
    make_traffic(path, 42, 20000);
    struct outcome *o = run(path, 4, NULL);

    for (unsigned i = 0; i < 4; i++)
        ck_assert_msg(o->pkts_of[i] * 10 > o->ledger.processed, "worker %u has %llu of %llu", i,
                      (unsigned long long)o->pkts_of[i], (unsigned long long)o->ledger.processed);
    ck_assert_uint_gt(o->unmatched, 10); /* the traffic is as hard as it is meant to be */
    ck_assert_uint_gt(o->clock_backwards, 10);
    ck_assert_uint_gt(o->told, 20);
    ck_assert_uint_gt(o->ledger.drops[LEDGER_duplicate], 1000);
    ck_assert_uint_gt(o->n_flows, 300);
    free_outcome(o);
}
END_TEST

START_TEST(no_packet_at_all)
{
    n_frames = 0;
    write_frames(path);
    check_file(path, NULL);
}
END_TEST

START_TEST(captures)
{
    const char *dir = getenv("SPANWARD_CAPTURES");
    DIR *d = dir != NULL ? opendir(dir) : NULL;
    struct dirent *entry;
    unsigned n = 0;

    if (d == NULL) {
        printf("skipped: SPANWARD_CAPTURES names no folder of captures\n");
        return;
    }
    while ((entry = readdir(d)) != NULL) {
        char name[1024];
        const char *suffix = strrchr(entry->d_name, '.');
        if (suffix == NULL || strstr(".pcap.pcapng.cap.dmp", suffix) == NULL || entry->d_type != DT_REG)
            continue;
        snprintf(name, sizeof(name), "%s/%s", dir, entry->d_name);
        struct outcome *one = run(name, 0, NULL), *four = run(name, 4, NULL);
        compare_outcomes(name, one, four);
        free_outcome(one);
        free_outcome(four);
        n++;
    }
    closedir(d);
    ck_assert_uint_gt(n, 0);
}
END_TEST

/* ---- live ---- */

static uint64_t n_released;

static void count_release(void **owner, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        ++*(unsigned *)owner[i];
    n_released += n;
}

START_TEST(full_lanes_drop_and_count)
{
    enum { BURSTS = 200, WORKERS = 2, DEPTH = 4 };
    static struct batch b;
    static unsigned owned[BURSTS * BATCH_MAX];
    static uint8_t bytes[BURSTS * BATCH_MAX][64]; /* they are read when somebody works */
    struct spsc *ring[WORKERS];
    struct worker *w[WORKERS];
    struct reshard *r;
    struct packet *p = malloc(sizeof(*p));
    struct ledger sum = {0};

    for (unsigned i = 0; i < WORKERS; i++)
        w[i] = new_worker(i, ring[i] = spsc_new(RING_BYTES));
    const struct reshard_options options = {
        .workers = w, .n_workers = WORKERS, .depth = DEPTH, .window_ns = 10 * NS_PER_S, .release = count_release};
    ck_assert_int_eq(reshard_new(&options, &r), 0);
    for (unsigned k = 0; k < BURSTS; k++) { /* nobody works */
        void *owner[BATCH_MAX];
        struct talk t = {.af = 4, .host = {1, 2}, .id = {(uint16_t)(k + 1)}};
        b.n = BATCH_MAX;
        for (unsigned i = 0; i < BATCH_MAX; i++) {
            t.host[0] = i;
            start_packet(&t, p, 0, 17);
            packet_udp(p, 1000, 2000, 4);
            packet_payload(p, k, 4);
            packet_finish(p);
            memcpy(bytes[k * BATCH_MAX + i], p->byte, p->len);
            b.pkt[i] =
                (struct pkt){.data = bytes[k * BATCH_MAX + i], .ts_ns = START_S * NS_PER_S + k, .cap_len = p->len};
            b.pkt[i].wire_len = b.pkt[i].snap_len = p->len;
            b.pkt[i].rx_vlan = RX_NO_VLAN;
            owner[i] = &owned[k * BATCH_MAX + i];
        }
        reshard_burst(r, &b, owner);
        reshard_flush(r);
    }
    while (reshard_work(r, 0) || reshard_work(r, 1))
        ;
    reshard_tick(r, (START_S + 1) * NS_PER_S);
    while (reshard_work(r, 0) || reshard_work(r, 1))
        ;
    reshard_finish(r);
    while (reshard_work(r, 0) || reshard_work(r, 1))
        ;
    for (unsigned i = 0; i < WORKERS; i++) {
        ck_assert(reshard_is_over(r, i));
        ledger_merge(&sum, worker_ledger(w[i]));
    }
    ck_assert_uint_eq(sum.offered, BURSTS * BATCH_MAX);
    ck_assert_uint_eq(sum.offered, sum.processed + ledger_drop_sum(&sum));
    ck_assert_uint_eq(sum.drops[LEDGER_ring_full] + sum.processed, sum.offered);
    ck_assert_uint_gt(sum.processed, WORKERS * BATCH_MAX);
    ck_assert_uint_le(sum.processed, WORKERS * DEPTH * BATCH_MAX);
    for (unsigned i = 0; i < BURSTS * BATCH_MAX; i++)
        ck_assert_uint_eq(owned[i], 1); /* given back once, dropped or not */
    reshard_free(r);
    for (unsigned i = 0; i < WORKERS; i++) {
        worker_free(w[i]);
        spsc_free(ring[i]);
    }
    free(p);
}
END_TEST

/* A machine that has no room for all threads: those that did start end, and the workers are as they were. */
START_TEST(threads_that_cannot_start)
{
    enum { WORKERS = 4 };
    struct worker *w[WORKERS];
    struct spsc *ring[WORKERS];
    struct rlimit before, tight;
    unsigned long pages = 0;

    for (unsigned i = 0; i < WORKERS; i++)
        w[i] = new_worker(i, ring[i] = spsc_new(1 << 20));
    struct reshard *r = new_reshard(w, WORKERS);
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert(f != NULL && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + (10u << 20); /* one stack or so, not four */
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
    int error = reshard_start_threads(r);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
    ck_assert_int_ne(error, 0);
    reshard_free(r);
    for (unsigned i = 0; i < WORKERS; i++) {
        worker_finish(w[i]);
        ck_assert_uint_eq(worker_ledger(w[i])->offered, 0);
        worker_free(w[i]);
        spsc_free(ring[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reshard");
    TCase *tcase = tcase_create("reshard");
    int fd = mkstemp(path);

    if (fd < 0)
        return EXIT_FAILURE;
    close(fd);
    sites = site_table_new();
    services = service_table_new();
    site_table_finish(sites);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, generated_traffic, 0, 3);
    tcase_add_test(tcase, work_is_shared_out);
    tcase_add_test(tcase, no_packet_at_all);
    tcase_add_test(tcase, full_lanes_drop_and_count);
    if (MEMORY_CAN_BE_SHORT)
        tcase_add_test(tcase, threads_that_cannot_start);
    suite_add_tcase(suite, tcase);
    TCase *others = tcase_create("captures"); /* run by tests/golden */
    tcase_set_timeout(others, 120);
    tcase_add_test(others, captures);
    suite_add_tcase(suite, others);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    unlink(path);
    service_table_free(services);
    site_table_free(sites);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

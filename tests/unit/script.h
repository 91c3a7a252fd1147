/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_SCRIPT_H
#define SPANWARD_TESTS_SCRIPT_H

/*
 * TCP conversations as short scripts: one `struct step` is one segment at the tap. The client is 10.0.0.1:50000 with
 * first sequence number 1000, the server 10.0.1.2:443 with 5000, so data begin at 1001 and 5001. HANDSHAKE puts the
 * server 10 ms and the client 1 ms from the tap.
 */

#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

enum { CLIENT, SERVER };

struct step {
    double ms; /* since the start */
    unsigned dir;
    uint32_t seq, len, ack;
    uint8_t flags;         /* 0: ACK */
    int window;            /* 0: 8000; CLOSED: 0 */
    uint32_t tsval, tsecr; /* tsval 0: no option */
    uint16_t id;           /* 0: a counter of the sender's; NO_ID: 0 */
    uint8_t n_sack;
    uint32_t sack[4]; /* left, right, left, right */
    uint8_t ttl, mac; /* 0: the usual */
    bool sack_permitted;
};

#define CLOSED (-1)
#define NO_ID  0xffff

/* clang-format off */
#define STEP(t, side, from, n, a, ...) {.ms = (t), .dir = (side), .seq = (from), .len = (n), .ack = (a) __VA_OPT__(,) __VA_ARGS__}
/* clang-format on */
#define C(t, from, n, a, ...)    STEP(t, CLIENT, from, n, a, __VA_ARGS__)
#define S(t, from, n, a, ...)    STEP(t, SERVER, from, n, a, __VA_ARGS__)

#define SYN                      .flags = TCP_SYN
#define SYNACK                   .flags = TCP_SYN | TCP_ACK
#define FIN                      .flags = TCP_FIN | TCP_ACK
#define RST                      .flags = TCP_RST
#define TS(val, ecr)             .tsval = (val), .tsecr = (ecr)
#define SACK(left, right)        .n_sack = 1, .sack = {(left), (right)}
#define SACK2(left, right, l, r) .n_sack = 2, .sack = {(left), (right), (l), (r)}

#define HANDSHAKE                C(0, 1000, 0, 0, SYN), S(10, 5000, 0, 1001, SYNACK), C(11, 1001, 0, 5001)
#define SACK_HANDSHAKE                                                                                                 \
    C(0, 1000, 0, 0, SYN, .sack_permitted = true), S(10, 5000, 0, 1001, SYNACK, .sack_permitted = true),               \
        C(11, 1001, 0, 5001)

static inline uint8_t step_options(const struct step *s, uint8_t *ret)
{
    uint8_t n = 0;

    if (s->sack_permitted) {
        memcpy(ret, (const uint8_t[]){1, 1, 4, 2}, 4);
        n = 4;
    }
    if (s->tsval != 0) {
        memcpy(ret + n, (const uint8_t[]){1, 1, 8, 10}, 4);
        for (unsigned i = 0; i < 4; i++) {
            ret[n + 4 + i] = (uint8_t)(s->tsval >> (24 - 8 * i));
            ret[n + 8 + i] = (uint8_t)(s->tsecr >> (24 - 8 * i));
        }
        n = (uint8_t)(n + 12);
    }
    if (s->n_sack != 0) {
        memcpy(ret + n, (const uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * s->n_sack)}, 4);
        for (unsigned i = 0; i < 8u * s->n_sack; i++)
            ret[n + 4 + i] = (uint8_t)(s->sack[i / 4] >> (24 - 8 * (i % 4)));
        n = (uint8_t)(n + 4 + 8 * s->n_sack);
    }
    return n;
}

static inline void step_packet(struct packet *p, const struct step *s, uint16_t *next_id)
{
    static const uint8_t client[4] = {10, 0, 0, 1}, server[4] = {10, 0, 1, 2};
    struct ip_spec ip = {.proto = 6, .ttl = s->ttl};
    struct tcp_spec tcp = {.seq = s->seq, .ack = s->ack};

    ip.id = s->id == 0 ? next_id[s->dir]++ : s->id == NO_ID ? 0 : s->id;
    memcpy(ip.from, s->dir == CLIENT ? client : server, 4);
    memcpy(ip.to, s->dir == CLIENT ? server : client, 4);
    tcp.from = s->dir == CLIENT ? 50000 : 443;
    tcp.to = s->dir == CLIENT ? 443 : 50000;
    tcp.flags = s->flags != 0 ? s->flags : TCP_ACK;
    tcp.window = (uint16_t)(s->window == CLOSED ? 0 : s->window == 0 ? 8000 : s->window);
    tcp.n_options = step_options(s, tcp.option);
    packet_ethernet(p, (uint8_t)(s->dir + 1 + s->mac), (uint8_t)(2 - s->dir + s->mac), 0x0800);
    packet_ipv4(p, &ip);
    packet_tcp(p, &tcp);
    packet_payload(p, s->seq, s->len);
    packet_finish(p);
}

static inline void play_on(struct drive *d, const struct step *steps, size_t n)
{
    static struct packet p;
    uint16_t next_id[2] = {100, 20000};

    for (size_t i = 0; i < n; i++) {
        step_packet(&p, &steps[i], next_id);
        drive_packet(d, DRIVE_START + (uint64_t)(steps[i].ms * 1e6), &p);
    }
}

static inline struct drive *play_with(struct worker_options options, const struct step *steps, size_t n)
{
    struct drive *d = drive_new(options);

    play_on(d, steps, n);
    drive_finish(d);
    return d;
}

#define PLAY(...)                                                                                                      \
    ({                                                                                                                 \
        const struct step steps_[] = {__VA_ARGS__};                                                                    \
        play_with(drive_options(), steps_, sizeof(steps_) / sizeof(steps_[0]));                                        \
    })

/* The verdicts on what one side of the first flow sent: everything that is not named is 0. */
static inline void verdicts_are(const char *file, int line, const struct drive *d, unsigned side,
                                struct rec_tcp_dir want)
{
    const struct rec_tcp_dir *t = &d->flow[0].tcp[side];

    ck_assert_msg(d->n_flows != 0, "%s:%d: no flow", file, line);
#define SAME(name)                                                                                                     \
    ck_assert_msg(t->name == want.name, "%s:%d: %s " #name " is %llu, not %llu", file, line,                           \
                  side == C2S ? "c2s" : "s2c", (unsigned long long)t->name, (unsigned long long)want.name)
    SAME(retrans_pkts);
    SAME(lost_upstream_pkts);
    SAME(lost_downstream_pkts);
    SAME(lost_unknown_pkts);
    SAME(spurious_pkts);
    SAME(reordered_pkts);
    SAME(capture_lost_bytes);
    SAME(capture_gaps);
#undef SAME
}

#define VERDICTS(d, side, ...) verdicts_are(__FILE__, __LINE__, d, side, (struct rec_tcp_dir){__VA_ARGS__})

#endif

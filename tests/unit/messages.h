/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_MESSAGES_H
#define SPANWARD_MESSAGES_H

/* What a worker puts into its ring, made by hand for tests of analytics. */

#include <arpa/inet.h>
#include <string.h>
#include "common/record.h"
#include "common/spsc.h"
#include "tests/unit/unit.h"

#define SECOND 1000000000ull
#define T0     (1760000400ull * SECOND) /* a full hour */

struct window_message {
    struct rec_window w;
    struct hist_item items[64];
};

static inline struct ip_addr v4(const char *text)
{
    struct ip_addr a = {{0}};

    ck_assert_int_eq(inet_pton(AF_INET, text, a.byte), 1);
    return a;
}

static inline struct site_id site24(const char *text)
{
    return (struct site_id){.af = 4, .prefix_len = 24, .addr = v4(text)};
}

static inline struct rec_scope path_key(const char *a, const char *b)
{
    struct rec_scope k = {.scope = WINDOW_PATH};

    k.site[0] = site24(a);
    k.site[1] = site24(b);
    return k;
}

static inline struct rec_scope mirror_key(uint32_t mirror)
{
    return (struct rec_scope){.scope = WINDOW_MIRROR, .mirror = mirror};
}

/* A part with one histogram (RTT_A) of the samples given. */
static inline struct window_message part(struct rec_scope key, uint64_t start_ns, uint64_t pkts, const uint64_t *rtt_ns,
                                         unsigned n_rtt)
{
    struct window_message m = {.w = {.key = key, .start_ns = start_ns, .length_ns = 10 * SECOND}};
    struct hist h = {0};
    struct hist_item items[HIST_BUCKETS + 1];

    for (unsigned i = 0; i < n_rtt; i++)
        hist_add(&h, rtt_ns[i]);
    uint32_t n = hist_to_items(&h, items);
    ck_assert_uint_le(n, 64);
    memcpy(m.items, items, n * sizeof(items[0]));
    m.w.hist[0].n = h.n;
    m.w.hist[0].sum_ns = h.sum_ns;
    m.w.hist[0].min_ns = h.min_ns;
    m.w.hist[0].max_ns = h.max_ns;
    m.w.hist[0].n_items = n;
    m.w.hdr.type = REC_WINDOW;
    m.w.hdr.len_bytes = (uint32_t)(sizeof(m.w) + n * sizeof(items[0]));
    m.w.c.dir[0].pkts = pkts;
    m.w.c.dir[0].bytes = 100 * pkts;
    m.w.c.dir[0].frame_bytes = 114 * pkts;
    m.w.c.dir[0].data_pkts = m.w.c.dir[0].judged_pkts = pkts;
    m.w.c.new_flows = 1;
    return m;
}

static inline struct rec_window_end window_end(uint64_t start_ns, uint64_t offered)
{
    struct rec_window_end e = {.start_ns = start_ns, .length_ns = 10 * SECOND, .clock_ns = start_ns + 10 * SECOND};

    e.hdr.type = REC_WINDOW_END;
    e.hdr.len_bytes = sizeof(e);
    e.ledger.offered = offered;
    e.ledger.processed = offered - offered / 10;
    e.ledger.drops[LEDGER_duplicate] = offered / 10;
    return e;
}

static inline struct rec_flow tcp_flow(const char *client, const char *server, uint16_t port, uint64_t first_ns)
{
    struct rec_flow f = {.first_ns = first_ns,
                         .last_ns = first_ns + SECOND,
                         .addr = {v4(client), v4(server)},
                         .port = {port, 443},
                         .proto = 6,
                         .af = 4,
                         .end = FLOW_END_FIN,
                         .tcp_state = TCP_CLOSED,
                         .flags = RFLOW_TCP | RFLOW_CLIENT_KNOWN,
                         .service = {.port = 443, .proto = 6}};
    f.site[0] = site24("10.0.1.0");
    f.site[1] = site24("10.0.0.0");
    f.dir[0] = (struct rec_dir){.pkts = 10, .bytes = 1000, .frame_bytes = 1140};
    f.dir[1] = (struct rec_dir){.pkts = 9, .bytes = 9000, .frame_bytes = 9126, .dup_pkts = 2};
    f.hdr.type = REC_FLOW;
    f.hdr.len_bytes = sizeof(f);
    return f;
}

/* Puts a message into a ring, waiting for room as a file reader does. */
static inline void put_message(struct spsc *ring, const void *message)
{
    uint32_t len = ((const struct rec_hdr *)message)->len_bytes;
    void *p;

    while ((p = spsc_reserve(ring, len)) == NULL)
        ;
    memcpy(p, message, len);
    spsc_commit(ring);
}

static inline void put_eof(struct spsc *ring)
{
    struct rec_hdr h = {.len_bytes = sizeof(h), .type = REC_EOF};

    put_message(ring, &h);
}

#endif

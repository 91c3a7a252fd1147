/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_APP_H
#define SPANWARD_APP_H

/*
 * What only flows of some applications need: a list of pool nodes, one kind of state each, that hangs off the flow.
 *
 * A clean TCP flow has none and pays the four bytes of the list's head. Owner: the flow; the nodes go back to the pool
 * with it. Each kind has a file of its own: icmp.c (echo requests), icmp_error.c, rtp.c, rtcp.c, quic.c, dns_tcp.c,
 * pmtu.c, transit.c. A state that finds the pool empty is forgone, and its figures are then null or lower bounds.
 */

#include "dataplane/meter.h"

#define APP_KINDS(X)                                                                                                   \
    X(EXTRA, "tunnel and VLAN tags of the first packet")                                                               \
    X(ECHO, "echo request that waits")                                                                                 \
    X(ERRORS, "ICMP errors about this flow")                                                                           \
    X(RTP, "RTP stream, confirmed or on probation")                                                                    \
    X(RTCP, "what an RTCP receiver reports about one source")                                                          \
    X(RTCP_SENDER, "the last sender report of one source")                                                             \
    X(QUIC, "QUIC connection")                                                                                         \
    X(QUIC_SIDES, "spin bit, both sides")                                                                              \
    X(QUIC_FULL, "spin bit, whole round trips")                                                                        \
    X(DNS_TCP, "where DNS messages begin in the two byte streams")                                                     \
    X(PMTU, "packets that were too big for the path")                                                                  \
    X(TRANSIT, "time through the device between two sightings of one packet")

enum app_kind {
    APP_NONE,
#define X(name, text) APP_##name,
    APP_KINDS(X)
#undef X
};

/* Every state begins with this. */
struct app_head {
    uint32_t next;
    uint8_t kind; /* enum app_kind */
    uint8_t dir;  /* endpoint that it is about, where it is about one */
    uint8_t flags;
    uint8_t count;
};

#define APP_STATE(type) static_assert(sizeof(struct type) <= sizeof(union node), #type " fits a node")

static inline struct app_head *app_at(const struct pool *pool, uint32_t index)
{
    return (struct app_head *)(void *)pool_at(pool, index);
}

/* The first state of a kind, NULL without one. */
static inline void *app_find(const struct flow *f, const struct pool *pool, enum app_kind kind)
{
    for (uint32_t i = f->app; i != 0; i = app_at(pool, i)->next)
        if (app_at(pool, i)->kind == kind)
            return app_at(pool, i);
    return NULL;
}

/* A new state at the head of the list, zeroed but for its kind. NULL when the pool is empty. */
void *app_add(struct flow *f, struct pool *pool, enum app_kind kind);

/* The state of a kind, made when absent. */
void *app_get(struct flow *f, struct pool *pool, enum app_kind kind);

/* Unlinks the state that *link names and gives it back. */
void app_remove(struct pool *pool, uint32_t *link);

/* How many states of a kind there are. */
uint32_t app_count(const struct flow *f, const struct pool *pool, enum app_kind kind);

/* A packet over UDP that is no DNS, or any packet of a TCP flow on the ports of DNS. */
void app_udp(struct meter *m);

/* How many entries follow the flow's record. */
struct app_counts {
    uint16_t n_rtp, n_rtcp;
};
struct app_counts app_counts(const struct meter *m);

/* Fills in the record (NULL: none) and the entries behind it; all states go back to the pool. */
void app_take(struct meter *m, struct rec_flow *r, struct rec_rtp *rtp, struct rec_rtcp *rtcp);

#endif

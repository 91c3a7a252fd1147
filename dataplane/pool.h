/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_POOL_H
#define SPANWARD_POOL_H

/*
 * A bounded pool of 64-byte nodes: all state that only some flows need, for as long as they need it.
 *
 * Samples in flight beyond the inline four, holes, SACKed ranges and pending verdicts are singly linked lists of nodes,
 * named by a 32-bit index (0 = none), so that a clean flow pays 4 bytes per list. The memory is taken at start; when
 * the pool is empty the caller goes without and says so (null or a flag), never fails. Owner: one worker.
 */

#include <assert.h>
#include <stdint.h>
#include "common/site.h"

#define NODE_SENT_SLOTS 4u

enum node_flags {
    NODE_HAS_TS = 1 << 0,    /* tsval counts */
    NODE_HAS_IP_ID = 1 << 1, /* ip_id counts */
    NODE_SIGNALLED = 1 << 2, /* the receiver reported it missing, since signal_ns */
    NODE_COVERED = 1 << 3,   /* ACKed or SACKed, at covered_ns */
    NODE_NEW_GAP = 1 << 5,   /* hole: not the continuation of one counted before */
    NODE_FILL = 1 << 6,      /* in the list of repeats: filled a hole, the verdict has fallen */
    NODE_LATE = 1 << 7, /* a fill that is older than what exposed the hole: reordered, if the receiver noticed, too */
};

/* A hole (bytes not seen), a range that the receiver reported as arrived, or a repeat whose verdict is pending. */
struct range {
    uint32_t next;
    uint32_t start, end; /* sequence range [start, end) */
    uint16_t flags;      /* enum node_flags */
    uint16_t ip_id;
    uint32_t tsval; /* hole: of the segment that exposed it; pending: of the repeat */
    uint32_t pad;
    uint64_t seen_ns;    /* hole: when it was exposed; pending: when it was sent again */
    uint64_t signal_ns;  /* when the receiver first reported it missing */
    uint64_t covered_ns; /* when an ACK or SACK first covered it */
};

/* Samples in flight: a FIFO of (sequence end, time). */
struct sent {
    uint32_t next;
    uint8_t head, count; /* slots [head, head + count) are in use */
    uint8_t pad[2];
    uint32_t end[NODE_SENT_SLOTS];
    uint64_t ts_ns[NODE_SENT_SLOTS];
};

/* The outside of a tunnel, as the flow's first packet showed it. */
struct outer {
    uint32_t next;
    uint32_t id;
    uint8_t type;   /* enum tunnel_type */
    uint8_t af;     /* 0: no IP header around the tunnel */
    uint8_t sender; /* endpoint of the flow that sent this packet */
    uint8_t pad;
    struct ip_addr src, dst;
};

union node {
    uint32_t next; /* common first member of both */
    struct range range;
    struct sent sent;
    struct outer outer;
    uint8_t line[64];
};
static_assert(sizeof(union node) == 64, "one line a node");

struct pool {
    union node *node;
    uint32_t n;
    uint32_t free_head; /* nodes given back */
    uint32_t fresh;     /* nodes from here on were never used: their pages are untouched */
    uint32_t in_use;
    uint64_t exhausted; /* times that a caller went without */
};

int pool_init(struct pool *p, uint32_t n_nodes);
void pool_fini(struct pool *p);

static inline union node *pool_at(const struct pool *p, uint32_t index)
{
    return &p->node[index];
}

/* 0 when the pool is empty. The node is zeroed. */
static inline uint32_t pool_get(struct pool *p)
{
    uint32_t index = p->free_head;

    if (index != 0) {
        p->free_head = p->node[index].next;
    } else if (p->fresh <= p->n) {
        index = p->fresh++;
    } else {
        p->exhausted++;
        return 0;
    }
    p->node[index] = (union node){0};
    p->in_use++;
    return index;
}

static inline void pool_put(struct pool *p, uint32_t index)
{
    p->node[index].next = p->free_head;
    p->free_head = index;
    p->in_use--;
}

/* Gives back a whole list. */
static inline void pool_put_list(struct pool *p, uint32_t *head)
{
    while (*head != 0) {
        uint32_t next = p->node[*head].next;
        pool_put(p, *head);
        *head = next;
    }
}

#endif

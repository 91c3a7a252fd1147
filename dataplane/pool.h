/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_POOL_H
#define SPANWARD_POOL_H

/*
 * Bounded pools of equal blocks: all state that only some flows need, for as long as they need it.
 *
 * Samples in flight beyond the inline four, holes, SACKed ranges and pending verdicts are singly linked lists of
 * 64-byte nodes, named by a 32-bit index (0 = none). What a flow in trouble counts is a larger block, and so are the
 * 64-bit sums of a flow that outgrew its own counters. The memory is taken at start and touched when needed; when a
 * pool is empty the caller goes without and says so (null or a flag), never fails. Owner: one worker.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/record.h"
#include "dataplane/batch.h"
#include "dataplane/shard.h"

#define NODE_SENT_SLOTS 4u

enum node_flags {
    NODE_HAS_TS = 1 << 0,    /* tsval counts */
    NODE_HAS_IP_ID = 1 << 1, /* ip_id counts */
    NODE_SIGNALLED = 1 << 2, /* the receiver reported it missing, since signal_ns */
    NODE_COVERED = 1 << 3,   /* ACKed or SACKed, at covered_ns */
    NODE_YOUNG = 1 << 4,     /* repeat: of bytes that S had sent for the first time less than a round trip before */
    NODE_NEW_GAP = 1 << 5,   /* hole: not the continuation of one counted before */
    NODE_FILL = 1 << 6,      /* in the list of repeats: filled a hole */
    NODE_UPSTREAM = 1 << 9,  /* a fill: lost upstream, unless the first copy turns up */
    NODE_ECHO = 1 << 8,      /* in the list of repeats: judged spurious; R will answer it with a duplicate ACK */
    NODE_UNMISSED = 1 << 10, /* repeat: R had had time to complain of its first copy by duplicate ACKs, and had not */
    NODE_OLD_TICK = 1 << 11, /* repeat: S had sent something with the same TSval before, so its echo may be of that */
    NODE_ECHOED = 1 << 12,   /* repeat: an ACK said, by its TSecr, that this was the copy which R had needed */
    NODE_LATE = 1 << 7, /* a fill that is older than what exposed the hole: reordered, if the receiver noticed, too */
};

/* A hole (bytes not seen), a range that the receiver reported as arrived, or a repeat whose verdict is pending. */
struct range {
    uint32_t next;
    uint32_t start, end; /* sequence range [start, end) */
    uint16_t flags;      /* enum node_flags */
    uint16_t ip_id;
    uint32_t tsval;      /* hole: of the segment that exposed it; pending: of the repeat */
    uint32_t told_tsval; /* hole: the newest that S had sent when the receiver reported it missing */
    uint32_t nxt;        /* repeat: highest sequence end of the sender when it was sent again */
    uint64_t seen_ns;    /* hole: when it was exposed; pending: when it was sent again */
    uint64_t signal_ns;  /* when the receiver first reported it missing; of NODE_LATE: by how much it was overtaken */
    uint64_t covered_ns; /* when an ACK or SACK first covered it; of a repeat: listened_ns then; of what is missing: at
                            seen_ns */
    /* repeat: bytes of a segment. A node may hold a run of equal ones, of which only the last may be shorter */
    uint32_t segment_bytes;
};

/* Samples in flight: a FIFO of (sequence end, time). */
struct sent {
    uint32_t next;
    uint8_t head, count; /* slots [head, head + count) are in use */
    uint8_t pad[2];
    uint32_t end[NODE_SENT_SLOTS];
    uint64_t ts_ns[NODE_SENT_SLOTS];
};

/* What few flows have besides: the outside of a tunnel, as the first packet showed it, and VLAN tags without a window.
 */
struct extra {
    uint32_t next;
    uint8_t kind;   /* as in app.h: this node is one of a list */
    uint8_t sender; /* endpoint of the flow that sent this packet */
    uint8_t type;   /* enum tunnel_type; TUNNEL_NONE: there is no tunnel */
    uint8_t af;     /* 0: no IP header around the tunnel */
    uint32_t id;
    struct ip_addr src, dst;
    uint16_t vlan[MAX_VLANS];
};

union node {
    uint32_t next; /* common first member of both */
    struct range range;
    struct sent sent;
    struct extra extra;
    uint8_t line[64];
};
static_assert(sizeof(union node) == 64, "one line a node");

#define TROUBLE_MARKS 4u

/* Trouble of what one endpoint sends. */
struct tcp_trouble {
    uint32_t holes;   /* ranges not seen, ascending */
    uint32_t sacked;  /* ranges above una that the receiver has, ascending */
    uint32_t pending; /* repeats whose verdict waits, oldest first */
    uint32_t missing; /* ranges that the tap saw and the receiver reports missing */
    uint32_t n_nodes; /* of the four lists: bounded */
    uint64_t zero_since_ns;
    uint64_t mark_ns[TROUBLE_MARKS]; /* nxt at some moments of late, oldest first: how old are bytes that come again? */
    uint32_t mark_seq[TROUBLE_MARKS];
    uint32_t clock_tsval; /* what it sent at clock_ns, in its first trouble: how fast does its clock tick? */
    uint32_t held_copies; /* data that only the mirror showed late, by so much that it matters for round trips */
    uint64_t held_ns;     /* ... at most */
    uint64_t clock_ns;
    uint64_t in_order_ns; /* with SIDE_HELD_COPIES: when its latest packet came that was not overtaken */
    uint64_t dup_ack_ns;  /* the latest complaint without SACK */
    uint64_t overdue_ns;  /* when an ACK came that had been held up for longer than a time-out */
    uint64_t heard_ns;    /* in trouble: when the peer was last heard */
    uint64_t listened_ns; /* ... and for how long up to then, silence counted in part (loss_listened_ns) */
    uint64_t second_hop_pkts;
    uint64_t hop_ns;    /* when the latest of them was seen */
    uint32_t hop;       /* ... and where */
    uint32_t overtaken; /* segments that came late at R and not at the tap */
    struct rec_tcp_dir count;
};

/* All that a flow counts and remembers once something went wrong. */
struct trouble {
    uint32_t next_free;
    uint32_t sums; /* block of struct flow_sums, 0 = none */
    uint32_t syn_retries;
    uint32_t dns;          /* list of transactions over TCP */
    uint8_t mirror_misses; /* segments that nobody missed were not mirrored: what is not seen may yet have been sent */
    struct tcp_trouble dir[2];
};

/* What was spilled of a flow's small counters, per endpoint; statistics in the order of enum flow_stat. */
enum flow_stat { STAT_RTT_0, STAT_RTT_1, STAT_TS_RTT_0, STAT_TS_RTT_1, STAT_RESPONSE, STAT_THINK, STAT_COUNT };

struct flow_sums {
    uint32_t next_free, pad;
    uint64_t pkts[2], bytes[2], over_bytes[2], data_pkts[2], dup_pkts[2];
    uint64_t stat_n[STAT_COUNT], stat_sum_ns[STAT_COUNT];
};

struct pool {
    uint8_t *mem;
    uint32_t n, item_bytes;
    uint32_t free_head; /* items given back, linked by their first word */
    uint32_t fresh;     /* items from here on were never used: their pages are untouched */
    uint32_t in_use;
    uint64_t exhausted; /* times that a caller went without */
};

int pool_init(struct pool *p, uint32_t n_items, size_t item_bytes);
void pool_fini(struct pool *p);
size_t pool_bytes(const struct pool *p);

static inline void *pool_item(const struct pool *p, uint32_t index)
{
    return p->mem + (size_t)index * p->item_bytes;
}

/* 0 when the pool is empty. The item is zeroed. */
static inline uint32_t pool_get(struct pool *p)
{
    uint32_t index = p->free_head;

    if (index != 0) {
        memcpy(&p->free_head, pool_item(p, index), sizeof(p->free_head));
    } else if (p->fresh <= p->n) {
        index = p->fresh++;
    } else {
        p->exhausted++;
        return 0;
    }
    memset(pool_item(p, index), 0, p->item_bytes);
    p->in_use++;
    return index;
}

static inline void pool_put(struct pool *p, uint32_t index)
{
    memcpy(pool_item(p, index), &p->free_head, sizeof(p->free_head));
    p->free_head = index;
    p->in_use--;
}

/* For the pool of nodes: their size is a constant. */
static inline union node *pool_at(const struct pool *p, uint32_t index)
{
    return (union node *)(void *)(p->mem + (size_t)index * sizeof(union node));
}

/* Gives back a whole list of nodes. */
static inline void pool_put_list(struct pool *p, uint32_t *head)
{
    while (*head != 0) {
        uint32_t next = pool_at(p, *head)->next;
        pool_put(p, *head);
        *head = next;
    }
}

/* What flows between two addresses have shown of a mirror that holds copies back (rule 0, tcp_loss.c). */
struct held_evidence {
    uint64_t latest_ns;
    uint32_t longest_ns; /* what a copy was held for, at most */
    uint32_t copies;     /* that it held, none ten seconds apart */
    uint32_t noticed;    /* segments that came late at their receivers, too: that was the network */
};

/* All pools of a worker, and what its flows know together. */
struct pools {
    struct pool node, trouble, sums;
    struct trouble sink;               /* stands in for a block that there was none of */
    struct held_evidence held[SHARDS]; /* by part of the traffic, so that the number of workers does not matter */
    bool any_held;                     /* any of those has copies; without, nobody asks which part a packet is of */
};

int pools_init(struct pools *p, uint32_t blocks);
void pools_fini(struct pools *p);
size_t pools_bytes(const struct pools *p);

#endif

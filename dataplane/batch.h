/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BATCH_H
#define SPANWARD_BATCH_H

/*
 * A burst of packets on its way through the pipeline.
 *
 * An rx backend fills data, cap_len, wire_len and ts_ns; decode fills the rest; later stages only read it. The batch
 * knows neither mbufs nor files, so that a test builds one from literal bytes. A batch is reused: `n` says how many
 * entries count. Packet bytes stay valid until the backend's release.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/counters.h"
#include "common/record.h"
#include "common/site.h"

#define BATCH_MAX  32u
#define MAX_LAYERS 16u
#define MAX_VLANS  4u
#define RX_NO_VLAN 0xffffu
#define MAX_SACK   4u

/* Link types that an rx backend may deliver. */
enum link_type { LINK_ETHERNET, LINK_RAW_IP, LINK_SLL, LINK_SLL2, LINK_FDDI, LINK_NULL, LINK_COUNT };

/* What decode made of a packet. Below PKT_DROP0 it is processed; PKT_DROP0 + d is the ledger's drop d. */
enum pkt_verdict { PKT_FLOW, PKT_L2, PKT_DROP0 };

enum pkt_flags {
    PKT_HAS_IP_ID = 1 << 0,
    PKT_TRUNCATED = 1 << 1, /* the mirror captured less than was sent */
    PKT_FRAGMENT = 1 << 2,
    PKT_HAS_TS = 1 << 3,
    PKT_HAS_SACK_PERM = 1 << 5,
    PKT_L4_OK = 1 << 6, /* the L4 header is whole */
};

enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

/* What the key's ports mean. */
enum key_kind { KEY_PORTS, KEY_ICMP_ECHO, KEY_ICMP_OTHER };

/*
 * Identity of a biflow. The endpoint with the smaller (address, port) is endpoint 0, so that one look-up serves both
 * directions. Compared as 48 bytes: every byte is defined, and af keeps an IPv4 address from equalling an IPv6 one.
 */
struct flow_key {
    struct ip_addr addr[2];
    uint16_t port[2]; /* host order; ICMP echo: identifier in both; other ICMP: type << 8 | code in both */
    uint32_t tunnel_id;
    uint16_t vlan; /* 0 unless capture.vlan_in_key */
    uint8_t proto;
    uint8_t af;     /* 4 or 6 */
    uint8_t kind;   /* enum key_kind */
    uint8_t tunnel; /* enum tunnel_type */
    uint8_t zero[2];
};
static_assert(sizeof(struct flow_key) == 48, "flow_key is compared as bytes");

/* A key in short: that of an IPv4 flow whole, of an IPv6 flow with a digest of its addresses (see flow_table.h). */
struct short_key {
    union {
        uint64_t w[3]; /* written and read whole: stores of parts would delay the loads of words */
        struct {
            uint64_t addrs;   /* IPv4: both, as they lie in memory */
            uint16_t port[2]; /* from here on as in struct flow_key */
            uint32_t tunnel_id;
            uint16_t vlan;
            uint8_t proto, af, kind, tunnel;
            uint16_t tunnel_agg; /* not of the key: see struct flow */
        };
    };
};
static_assert(sizeof(struct short_key) == 24 && offsetof(struct short_key, port) == 8 &&
                  offsetof(struct flow_key, port) == 32,
              "the second part is copied as it is");

struct sack_block {
    uint32_t left, right;
};

/*
 * What a clean packet needs (clean.h) is in the first two lines. The key is complete only where a decoder walked the
 * layers: plain TCP has its id alone, and whoever needs the addresses calls pkt_complete_key.
 */
struct pkt {
    /* line 0, from the rx backend */
    const uint8_t *data;
    uint64_t ts_ns;
    uint32_t cap_len;
    uint32_t wire_len; /* without FCS */
    uint32_t snap_len; /* captured by the mirror; cap_len may be less, but holds the headers */
    uint16_t rx_vlan;  /* tag that the driver took off, RX_NO_VLAN: none */
    uint8_t has_id;    /* decode: id is there already */
    uint8_t has_key;   /* decode: key is complete */
    /* ... and what finds it again */
    uint64_t hash;
    uint64_t fingerprint;
    uint32_t flow;    /* index into the flow table, FLOW_NONE: not found yet */
    uint32_t hop;     /* where it was seen: MACs, VLANs, tunnel */
    uint32_t verdict; /* enum pkt_verdict or PKT_DROP0 + enum ledger_drop */
    uint32_t l2_hash; /* of the pair of MAC addresses: tells a second hop from a plain copy */

    /* line 1, from decode but for copy and notice */
    struct short_key id;
    uint32_t tcp_seq, tcp_ack;
    uint32_t tsval, tsecr;
    uint16_t ip_id;       /* the three from here are read as one word by dedup.c */
    uint16_t frag_off;    /* units of 8 bytes: 0 for a whole datagram and for the first fragment */
    uint32_t ip_bytes;    /* IP total length */
    uint32_t payload_len; /* on the wire, from the IP header */
    uint8_t tcp_flags;    /* the four from here are read as one word by clean.h */
    uint8_t n_sack;
    uint8_t copy;   /* dedup: enum copy_candidate */
    uint8_t notice; /* reshard: an ICMP error that counts elsewhere, here for the flow that it quotes only */
    uint16_t tcp_window;
    uint16_t flags; /* enum pkt_flags */
    uint8_t sender; /* endpoint (0, 1) that sent this packet */
    uint8_t ttl;
    uint8_t n_vlans;
    uint8_t pad;

    /* the rest, from decode */
    uint16_t l3_off; /* of the innermost IP header */
    uint16_t l4_off;
    uint16_t payload_off;
    uint16_t icmp_seq;
    uint32_t payload_cap; /* captured part of the payload */
    uint8_t tunnel;       /* enum tunnel_type that it came in: the innermost that is in the key, else the innermost */
    uint8_t outer_af;     /* of the IP header around that, 0 = there is none */
    uint16_t outer_off;   /* of the IP header around it, in data */
    uint32_t tunnel_id;   /* of that tunnel; key.tunnel and key.tunnel_id are set only where the id tells flows apart */
    uint8_t icmp_type, icmp_code;
    uint16_t vlan[MAX_VLANS]; /* the first n_vlans count */
    struct flow_key key;
    struct sack_block sack[MAX_SACK]; /* the first n_sack count */

    uint64_t copy_delay_ns; /* dedup: since the earlier sight of the same packet */
} __attribute__((aligned(64)));
static_assert(offsetof(struct pkt, id) == 64 && offsetof(struct pkt, l3_off) == 128, "lines as marked");

struct batch {
    uint32_t n;
    uint32_t mirror;
    enum link_type link;
    struct pkt pkt[BATCH_MAX];
};

/* The whole key of a packet of which the id is known; IPv4 only, since others always have it. */
static inline void pkt_complete_key(struct pkt *p)
{
    if (p->has_key)
        return;
    p->key.addr[0] = p->key.addr[1] = (struct ip_addr){0};
    memcpy(&p->key.addr[0], &p->id.addrs, 4);
    memcpy(&p->key.addr[1], (const char *)&p->id.addrs + 4, 4);
    memcpy(&p->key.port, &p->id.w[1], 8);
    memcpy(&p->key.vlan, &p->id.w[2], 8);
    p->has_key = 1;
}

static inline bool pkt_is_drop(const struct pkt *p)
{
    return p->verdict >= PKT_DROP0;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_FRAME_H
#define SPANWARD_LAB_FRAME_H

/*
 * The few header fields that rules and truth need, read from frames that a kernel has made a moment ago. Written
 * apart from the dataplane's decoders on purpose: what is used to check them must not share their faults.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_FRAME_MAX 1514

enum { LAB_TCP_FIN = 0x01, LAB_TCP_SYN = 0x02, LAB_TCP_RST = 0x04, LAB_TCP_ACK = 0x10 };

struct lab_frame_info {
    struct in6_addr src, dst; /* IPv4 mapped */
    uint16_t sport, dport;    /* ICMP echo: the identifier, twice */
    uint8_t proto;            /* of the transport */
    uint8_t tcp_flags;
    uint16_t ip_id; /* IPv6: 0 */
    uint32_t seq, ack;
    uint32_t payload_bytes; /* TCP and UDP */
    uint32_t ip_bytes;      /* IP total length */
    uint8_t n_sack;
    uint32_t sack[4][2]; /* left, right */
};

/* -EPROTO for what is no whole IPv4 or IPv6 packet without fragments and extension headers. */
int lab_frame_parse(const uint8_t *frame, size_t len, struct lab_frame_info *ret);

/* Makes of a frame what a mirror sees behind the next router: TTL or hop limit less 1, other MAC addresses. */
void lab_frame_second_hop(uint8_t *frame, size_t len);

#endif

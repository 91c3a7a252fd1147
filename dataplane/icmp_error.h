/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ICMP_ERROR_H
#define SPANWARD_ICMP_ERROR_H

/* ICMP errors, matched to the flow that they are about by the header that they quote. See icmp_error.c. */

#include "dataplane/app.h"

/* What an ICMP error says about another packet. */
struct icmp_quote {
    struct flow_key key; /* of that packet's flow */
    uint32_t mtu;        /* frag-needed and packet-too-big: of the next hop, 0 = not said */
    uint32_t ip_bytes;   /* length of the quoted packet */
    uint16_t echo_seq;   /* KEY_ICMP_ECHO */
    uint8_t sender;      /* endpoint of key that had sent it */
    uint8_t what;        /* enum icmp_what */
};

enum icmp_what { ICMP_UNREACHABLE, ICMP_TTL_EXCEEDED, ICMP_TOO_BIG, ICMP_OTHER_ERROR };

/* Reads the quoted header of an ICMP error. 0, or -EBADMSG. Bounded by what was captured. */
int icmp_quote_parse(const struct pkt *p, struct icmp_quote *ret);

/* m: of the flow that the quote is about, m->p the ICMP packet. */
void icmp_error_meter(struct meter *m, const struct icmp_quote *q);
void icmp_error_take(const struct app_head *h, struct rec_flow *r);

/* Did a hop on the way report that a packet of this flow died there? Then it was a probe, not silence. */
bool icmp_error_was_probe(const struct meter *m);

#endif

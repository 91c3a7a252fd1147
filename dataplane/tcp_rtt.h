/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TCP_RTT_H
#define SPANWARD_TCP_RTT_H

/* Round-trip times on both sides of the tap; the method is told in tcp_rtt.c. */

#include "dataplane/meter.h"

/* Endpoint s sent new data ending at `end`: wait for its ACK. */
void rtt_sent(struct meter *m, unsigned s, uint32_t end);

/* The peer of s acknowledged `ack`: sample if it fits exactly and unambiguously. */
void rtt_acked(struct meter *m, unsigned s, uint32_t ack);

/* TCP timestamps of the current packet: note its TSval, match its TSecr. */
void rtt_timestamps(struct meter *m);

/* Gives back what waits. */
void rtt_finish(struct meter *m, unsigned s);

#endif

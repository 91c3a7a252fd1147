/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ICMP_H
#define SPANWARD_ICMP_H

/* ICMP and ICMPv6: echo RTT by (flow, sequence number), unanswered requests, errors. */

#include "dataplane/app.h"

void icmp_meter(struct meter *m);

/* An error came back for the echo request `seq` of `asker`: it no longer waits. */
void icmp_echo_failed(struct meter *m, unsigned asker, uint16_t seq);

/* The flow ends: what still waits is unanswered. Before app_take. */
void icmp_finish(struct meter *m);

/* Destination unreachable, time exceeded, packet too big, parameter problem, source quench. */
bool icmp_is_error(uint8_t af, uint8_t type);
bool icmp_is_echo_request(uint8_t af, uint8_t type);

#endif

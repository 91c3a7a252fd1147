/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ICMP_H
#define SPANWARD_ICMP_H

/* ICMP and ICMPv6: echo RTT by (flow, sequence number), unanswered requests, errors. */

#include "dataplane/meter.h"

void icmp_meter(struct meter *m);
void icmp_finish(struct meter *m);

/* Destination unreachable, time exceeded, packet too big, parameter problem, source quench. */
bool icmp_is_error(uint8_t af, uint8_t type);
bool icmp_is_echo_request(uint8_t af, uint8_t type);

#endif

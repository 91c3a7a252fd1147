/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TRANSIT_H
#define SPANWARD_TRANSIT_H

/*
 * Transit latency: where a mirror shows one packet in front of a device and behind it (a second hop: another TTL, other
 * MAC addresses, VLAN or tunnel), the time between both sightings is the time through that device. It is exact to the
 * mirror's clock; what queues in the mirror's own output port is in it, too. Copies without a hop give none.
 */

#include "dataplane/app.h"

/* The current packet is a second sighting that took delay_ns. */
void transit_meter(struct meter *m, uint64_t delay_ns);
void transit_take(const struct app_head *h, struct rec_flow *r);

#endif

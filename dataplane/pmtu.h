/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PMTU_H
#define SPANWARD_PMTU_H

/* Packets too big for their path: does the sender adapt, or is this a black hole? See pmtu.c. */

#include "dataplane/app.h"

/* A router told `sender` that its packets are too big; mtu 0 = it did not say what fits. */
void pmtu_told(struct meter *m, unsigned sender, uint32_t mtu);

/* Every packet of a flow with FLOW_PMTU set; may clear it. */
void pmtu_meter(struct meter *m);

/* A TCP segment with bytes that were seen before and are not acknowledged. */
void pmtu_repeat(struct meter *m);

void pmtu_take(const struct flow *f, const struct app_head *h, struct rec_flow *r);

#endif

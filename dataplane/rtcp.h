/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RTCP_H
#define SPANWARD_RTCP_H

/* RTCP: what receivers say about loss and jitter, and the time to them. The method is told in rtcp.c. */

#include "dataplane/app.h"

#define RTCP_PER_FLOW 16u

/* False: this is no RTCP. */
bool rtcp_meter(struct meter *m);
void rtcp_take(const struct flow *f, const struct app_head *h, struct rec_rtcp *ret);

#endif

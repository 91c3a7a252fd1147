/* SPDX-License-Identifier: BSD-3-Clause */

/* See verdict_trace.h. */

#include "dataplane/verdict_trace.h"

void (*verdict_hook)(const struct verdict *v);
void (*rtt_hook)(const struct rtt_sample *sample);

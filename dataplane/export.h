/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_EXPORT_H
#define SPANWARD_EXPORT_H

/* A flow on its way out: struct flow to struct rec_flow, by value, into the ring. */

#include "dataplane/dns.h"
#include "dataplane/rec_writer.h"

void export_flow(struct meter *m, struct dns_pool *dns, struct rec_writer *out, enum flow_end end,
                 struct service_id service);

#endif

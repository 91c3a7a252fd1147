/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_EXPORT_H
#define SPANWARD_EXPORT_H

/* A flow on its way out: struct flow to struct rec_flow, by value, into the ring. */

#include "dataplane/dns.h"
#include "dataplane/rec_writer.h"

/* What the record itself does not hold; per endpoint. */
struct flow_names {
    struct flow_key key;
    struct site_id site[2];
    struct service_id service;
    uint16_t vlan[MAX_VLANS];
};

/* Also frees the flow's blocks and nodes. */
void export_flow(struct meter *m, const struct flow_names *names, struct dns_pool *dns, struct rec_writer *out,
                 enum flow_end end);

#endif

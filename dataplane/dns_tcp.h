/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DNS_TCP_H
#define SPANWARD_DNS_TCP_H

/* DNS over TCP: transactions of a byte stream. See dns_tcp.c. */

#include "dataplane/app.h"
#include "dataplane/dns.h"

/* A TCP segment to or from port 53. */
void dns_tcp_meter(struct meter *m, struct dns_pool *pool);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SERVICE_H
#define SPANWARD_SERVICE_H

/*
 * Services: names for server endpoints. A service is a list of proto/port, optionally restricted to prefixes; the
 * first match in order of definition wins, then the built-in list of well-known ports, else "tcp/PORT".
 * A *listed* port is one that has a name: where a flow has no SYN, the peer of a listed port is the client.
 */

#include <stdint.h>
#include <stdbool.h>
#include "common/site.h"

#define SERVICE_NAME_BYTES 48

/* named != 0: 1 + index into the table; else proto/port. */
struct service_id {
    uint16_t named;
    uint16_t port;
    uint8_t proto;
    uint8_t pad[3];
};

struct service_table;

struct service_table *service_table_new(void); /* holds the built-in list */
void service_table_free(struct service_table *t);

/* endpoint: "tcp/8443", "udp/53", "tcp/8000-8010", or with a prefix "tcp/443@10.0.0.0/8". -EINVAL, -ENOMEM. */
int service_table_add(struct service_table *t, const char *name, const char *endpoint);

bool service_is_listed(const struct service_table *t, uint8_t proto, uint16_t port);
struct service_id service_lookup(const struct service_table *t, uint8_t proto, uint16_t port,
                                 const struct ip_addr *server, uint8_t af);
void service_name(const struct service_table *t, struct service_id id, char *ret_name);

/* "tcp", "udp", "icmp", "icmp6", ... or the number; returns a static string or buf (at least 8 bytes). */
const char *proto_name(uint8_t proto, char *buf);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_COMMUNITY_ID_H
#define SPANWARD_COMMUNITY_ID_H

/*
 * Community ID flow hash v1 (Corelight, community-id-spec 1.0): "1:" + base64(SHA-1(seed, ordered endpoints, proto,
 * ports)). Computed when a record leaves, never per packet.
 */

#include <stdint.h>
#include "common/site.h"

#define COMMUNITY_ID_BYTES 32

/* Ports in host order; for ICMP and ICMPv6 port[0] is the type and port[1] the code. Writes a string. */
void community_id(char ret_id[COMMUNITY_ID_BYTES], uint16_t seed, const struct ip_addr addr[2], uint8_t af,
                  uint8_t proto, const uint16_t port[2]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Community ID v1. The hashed bytes are: seed (2), lower address, higher address, protocol, a zero byte, and for
 * TCP, UDP, SCTP, ICMP and ICMPv6 the two ports, all in network order. The lower endpoint is the one with the lower
 * address, or with the lower port when the addresses are equal; so both directions give one id.
 *
 * ICMP has no ports: the type stands for the first port. For types that come in pairs (echo and echo reply, ...) the
 * second is the type of the counterpart, which makes both directions one flow. For other types it is the code, and the
 * endpoints are not ordered: such messages have one direction only.
 *
 * Source: the Community ID specification 1.0 and its baseline of test values (tests/unit/test_community_id.c).
 */

#include "common/community_id.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

struct type_pair {
    uint8_t a, b;
};
static const struct type_pair icmp_pairs[] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}, {0, 0}};
static const struct type_pair icmp6_pairs[] = {{128, 129}, {133, 134}, {135, 136}, {130, 131},
                                               {139, 140}, {144, 145}, {0, 0}};

/* True with the counterpart in *ret_other when the type is one of a pair. */
static bool icmp_counterpart(const struct type_pair *pairs, uint16_t type, uint16_t *ret_other)
{
    for (; pairs->a != 0 || pairs->b != 0; pairs++) {
        if (type == pairs->a || type == pairs->b) {
            *ret_other = type == pairs->a ? pairs->b : pairs->a;
            return true;
        }
    }
    return false;
}

static size_t put(uint8_t *to, size_t at, const void *from, size_t len)
{
    memcpy(to + at, from, len);
    return at + len;
}

static size_t put_be16(uint8_t *to, size_t at, uint16_t value)
{
    to[at] = (uint8_t)(value >> 8);
    to[at + 1] = (uint8_t)value;
    return at + 2;
}

void community_id(char ret_id[COMMUNITY_ID_BYTES], uint16_t seed, const struct ip_addr addr[2], uint8_t af,
                  uint8_t proto, const uint16_t port[2])
{
    bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
    bool has_ports = icmp || proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
    uint16_t p[2] = {has_ports ? port[0] : 0, has_ports ? port[1] : 0};
    bool ordered = !icmp || icmp_counterpart(proto == IPPROTO_ICMP ? icmp_pairs : icmp6_pairs, port[0], &p[1]);
    size_t addr_len = af == 4 ? 4 : 16;
    int order = memcmp(addr[0].byte, addr[1].byte, addr_len);
    int low = ordered && (order > 0 || (order == 0 && p[0] > p[1]));
    uint8_t text[2 + 16 + 16 + 2 + 4], digest[SHA_DIGEST_LENGTH];
    size_t n = put_be16(text, 0, seed);

    n = put(text, n, addr[low].byte, addr_len);
    n = put(text, n, addr[!low].byte, addr_len);
    text[n++] = proto;
    text[n++] = 0;
    if (has_ports) {
        n = put_be16(text, n, p[low]);
        n = put_be16(text, n, p[!low]);
    }
    SHA1(text, n, digest);
    memcpy(ret_id, "1:", 2);
    EVP_EncodeBlock((unsigned char *)ret_id + 2, digest, sizeof(digest));
}

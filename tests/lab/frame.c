/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet, then IPv4 (RFC 791) or IPv6 (RFC 8200) without extension headers, then TCP, UDP or ICMP echo. Anything
 * else is refused: the stacks of the lab do not send it. The IPv4 header checksum of a second hop is updated as in
 * RFC 1624, equation 3.
 */

#include "tests/lab/frame.h"

#include <errno.h>
#include <string.h>

#define ETH_BYTES 14

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static struct in6_addr mapped(const uint8_t *v4)
{
    struct in6_addr a = {0};
    a.s6_addr[10] = a.s6_addr[11] = 0xff;
    memcpy(&a.s6_addr[12], v4, 4);
    return a;
}

static void parse_sack(const uint8_t *o, const uint8_t *end, struct lab_frame_info *ret)
{
    while (o < end && *o != 0) {
        size_t len = *o == 1 ? 1 : end - o > 1 && o[1] > 1 ? o[1] : 0;
        if (len == 0 || len > (size_t)(end - o))
            return;
        for (size_t at = 2; *o == 5 && at + 8 <= len && ret->n_sack < 4; at += 8) {
            ret->sack[ret->n_sack][0] = be32(o + at);
            ret->sack[ret->n_sack++][1] = be32(o + at + 4);
        }
        o += len;
    }
}

static int parse_tcp(const uint8_t *p, size_t len, struct lab_frame_info *ret)
{
    size_t header;

    if (len < 20)
        return -EPROTO;
    header = (size_t)(p[12] >> 4) * 4;
    if (header < 20 || header > len)
        return -EPROTO;
    ret->sport = be16(p);
    ret->dport = be16(p + 2);
    ret->seq = be32(p + 4);
    ret->ack = be32(p + 8);
    ret->tcp_flags = p[13];
    ret->payload_bytes = (uint32_t)(len - header);
    parse_sack(p + 20, p + header, ret);
    return 0;
}

static int parse_transport(const uint8_t *p, size_t len, struct lab_frame_info *ret)
{
    switch (ret->proto) {
    case IPPROTO_TCP:
        return parse_tcp(p, len, ret);
    case IPPROTO_UDP:
        if (len < 8)
            return -EPROTO;
        ret->sport = be16(p);
        ret->dport = be16(p + 2);
        ret->payload_bytes = (uint32_t)(len - 8);
        return 0;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        if (len < 8)
            return -EPROTO;
        ret->sport = ret->dport = be16(p + 4);
        return 0;
    default:
        return -EPROTO;
    }
}

static int parse_v4(const uint8_t *p, size_t len, struct lab_frame_info *ret)
{
    size_t header, total;

    if (len < 20)
        return -EPROTO;
    header = (size_t)(p[0] & 15) * 4;
    total = be16(p + 2);
    if (header < 20 || header > total || total > len || (be16(p + 6) & 0x3fff) != 0)
        return -EPROTO;
    ret->src = mapped(p + 12);
    ret->dst = mapped(p + 16);
    ret->proto = p[9];
    ret->ip_id = be16(p + 4);
    ret->ip_bytes = (uint32_t)total;
    return parse_transport(p + header, total - header, ret);
}

static int parse_v6(const uint8_t *p, size_t len, struct lab_frame_info *ret)
{
    size_t payload;

    if (len < 40)
        return -EPROTO;
    payload = be16(p + 4);
    if (payload + 40 > len)
        return -EPROTO;
    memcpy(&ret->src, p + 8, 16);
    memcpy(&ret->dst, p + 24, 16);
    ret->proto = p[6];
    ret->ip_bytes = (uint32_t)(payload + 40);
    return parse_transport(p + 40, payload, ret);
}

int lab_frame_parse(const uint8_t *frame, size_t len, struct lab_frame_info *ret)
{
    struct lab_frame_info info = {0};
    int rc = -EPROTO;

    if (len >= ETH_BYTES && be16(frame + 12) == 0x0800)
        rc = parse_v4(frame + ETH_BYTES, len - ETH_BYTES, &info);
    else if (len >= ETH_BYTES && be16(frame + 12) == 0x86dd)
        rc = parse_v6(frame + ETH_BYTES, len - ETH_BYTES, &info);
    if (rc == 0)
        *ret = info;
    return rc;
}

void lab_frame_second_hop(uint8_t *frame, size_t len)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0x0c, 1, 2, 0, 0, 0, 0x0c, 2};

    if (len < ETH_BYTES + 20)
        return;
    memcpy(frame, macs, sizeof(macs));
    if (be16(frame + 12) == 0x0800) {
        uint8_t *ip = frame + ETH_BYTES;
        uint32_t sum = (uint16_t)~be16(ip + 10) + (uint16_t)~be16(ip + 8);

        ip[8]--;
        sum += be16(ip + 8);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        ip[10] = (uint8_t)(~sum >> 8);
        ip[11] = (uint8_t)~sum;
    } else {
        frame[ETH_BYTES + 7]--;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QinQ (IEEE 802.1ad): a service tag 100 and a customer tag 20. VXLAN (RFC 7348): VNI 100 between 198.18.0.1 (left) and
 * 198.18.0.2, with a source port that depends on the inner addresses as the RFC wants it, and no UDP checksum. Address
 * translation keeps the host's bits, so that many clients stay many; checksums are updated as in RFC 1624.
 */

#include "tests/lab/wrap.h"

#include <string.h>

#define ETH_BYTES 14

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

static uint16_t header_sum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += get16(p + i);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static size_t wrap_qinq(const uint8_t *frame, size_t len, uint8_t *ret)
{
    static const uint8_t tags[8] = {0x88, 0xa8, 0, 100, 0x81, 0, 0, 20};

    memcpy(ret, frame, 12);
    memcpy(ret + 12, tags, sizeof(tags));
    memcpy(ret + 20, frame + 12, len - 12);
    return len + sizeof(tags);
}

static size_t wrap_vxlan(const uint8_t *frame, size_t len, enum lab_side to, uint64_t number, uint8_t *ret)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0xff, 1, 2, 0, 0, 0, 0xff, 2};
    uint8_t *ip = ret + ETH_BYTES, *udp = ip + 20, *vxlan = udp + 8;
    uint8_t hash = 0;

    memset(ret, 0, LAB_WRAP_MAX);
    memcpy(ret, to == LAB_RIGHT ? macs : macs + 6, 6);
    memcpy(ret + 6, to == LAB_RIGHT ? macs + 6 : macs, 6);
    put16(ret + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(36 + len));
    put16(ip + 4, (unsigned)(number & 0xffff));
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, (const uint8_t[]){198, 18, 0, to == LAB_RIGHT ? 1 : 2}, 4);
    memcpy(ip + 16, (const uint8_t[]){198, 18, 0, to == LAB_RIGHT ? 2 : 1}, 4);
    put16(ip + 10, header_sum(ip, 20));
    for (size_t i = 26; i < 38 && i < len; i++) /* addresses and ports of IPv4 without options */
        hash ^= frame[i];
    put16(udp, 49152u + hash);
    put16(udp + 2, 4789);
    put16(udp + 4, (unsigned)(16 + len));
    vxlan[0] = 8;
    vxlan[6] = 100;
    memcpy(ret + LAB_WRAP_MAX, frame, len);
    return len + LAB_WRAP_MAX;
}

size_t lab_wrap(enum lab_wrap_kind kind, const uint8_t *frame, size_t len, enum lab_side to, uint64_t number,
                uint8_t *ret)
{
    switch (kind) {
    case LAB_WRAP_QINQ:
        return wrap_qinq(frame, len, ret);
    case LAB_WRAP_VXLAN:
        return wrap_vxlan(frame, len, to, number, ret);
    case LAB_WRAP_NONE:
        break;
    }
    memcpy(ret, frame, len);
    return len;
}

/* One 16-bit word of what the sum covers has changed. */
static void adjust(uint8_t *sum, unsigned from, unsigned to)
{
    uint32_t s = (uint16_t)~get16(sum) + (uint16_t)~from + to;

    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    put16(sum, (uint16_t)~s);
}

void lab_translate(uint8_t *frame, size_t len, bool source, const struct lab_prefix *prefix)
{
    uint8_t *ip = frame + ETH_BYTES, *addr = ip + (source ? 12 : 16), new[4], *l4_sum = NULL;
    unsigned bits = prefix->len - 96u;

    if (len < ETH_BYTES + 28 || get16(frame + 12) != 0x0800 || prefix->len < 96)
        return;
    uint8_t *l4 = ip + (ip[0] & 15) * 4;
    for (unsigned i = 0; i < 4; i++) {
        unsigned here = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        uint8_t mask = (uint8_t)(0xff00u >> here);
        new[i] = (uint8_t)((prefix->addr.s6_addr[12 + i] & mask) | (addr[i] & ~mask));
    }
    if (ip[9] == IPPROTO_TCP && l4 + 18 <= frame + len)
        l4_sum = l4 + 16;
    else if (ip[9] == IPPROTO_UDP && get16(l4 + 6) != 0)
        l4_sum = l4 + 6;
    for (unsigned i = 0; i < 4; i += 2) {
        adjust(ip + 10, get16(addr + i), get16(new + i));
        if (l4_sum != NULL)
            adjust(l4_sum, get16(addr + i), get16(new + i));
    }
    memcpy(addr, new, 4);
}

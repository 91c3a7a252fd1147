/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The short way (plain.h) once more, for processors with AVX-512 and its byte permutations (VBMI): what most packets
 * are at most places, a segment with the usual timestamps and without a tag, has every header field at a known place of
 * 64 bytes. One register takes them in; one comparison tells whether it is such a packet; one permutation puts every
 * field where it belongs in struct pkt, in host order, with the endpoints in the order of the key. All other packets
 * take the narrow way. Whether the processor can is asked once, at the first burst; a test holds both ways and the walk
 * against each other.
 */

#include "dataplane/decode/wide.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define FROM 12u /* first byte that is taken in: the frame's type */

/* What has to be so: type, version and header length, no fragment, protocol, 32 bytes of TCP header, usual options. */
static const uint8_t known_mask[64] = {[0] = 0xff,  [1] = 0xff,  [2] = 0xff,  [8] = 0x3f,  [9] = 0xff, [11] = 0xff,
                                       [34] = 0xf0, [42] = 0xff, [43] = 0xff, [44] = 0xff, [45] = 0xff};
static const uint8_t known[64] = {
    [0] = 0x08, [2] = 0x45, [11] = 6, [34] = 0x80, [42] = 1, [43] = 1, [44] = 8, [45] = 10};

/* Where in struct pkt a member lies, from id on. */
#define AT(member) (offsetof(struct pkt, member) - offsetof(struct pkt, id))

static_assert(offsetof(struct pkt, l3_off) - offsetof(struct pkt, id) == 64, "one line");

/* Which byte goes there: two orders of the endpoints. */
#define FIELDS                                                                                                         \
    [AT(tcp_seq)] = 29, [AT(tcp_seq) + 1] = 28, [AT(tcp_seq) + 2] = 27, [AT(tcp_seq) + 3] = 26, [AT(tcp_ack)] = 33,    \
    [AT(tcp_ack) + 1] = 32, [AT(tcp_ack) + 2] = 31, [AT(tcp_ack) + 3] = 30, [AT(tsval)] = 49, [AT(tsval) + 1] = 48,    \
    [AT(tsval) + 2] = 47, [AT(tsval) + 3] = 46, [AT(tsecr)] = 53, [AT(tsecr) + 1] = 52, [AT(tsecr) + 2] = 51,          \
    [AT(tsecr) + 3] = 50, [AT(ip_id)] = 7, [AT(ip_id) + 1] = 6, [AT(ip_bytes)] = 5, [AT(ip_bytes) + 1] = 4,            \
    [AT(tcp_flags)] = 35, [AT(tcp_window)] = 37, [AT(tcp_window) + 1] = 36, [AT(ttl)] = 10
static const _Alignas(64) uint8_t order[2][64] = {
    {14, 15, 16, 17, 18, 19, 20, 21, 23, 22, 25, 24, FIELDS},
    {18, 19, 20, 21, 14, 15, 16, 17, 25, 24, 23, 22, FIELDS},
};
#undef FIELDS

/* What is the same for all of them, and who sent it. */
#define CONSTANTS                                                                                                      \
    [AT(id) + offsetof(struct short_key, proto)] = 6, [AT(id) + offsetof(struct short_key, af)] = 4,                   \
                                         [AT(flags)] = PKT_HAS_IP_ID | PKT_L4_OK | PKT_HAS_TS
static const _Alignas(64) uint8_t constant[2][64] = {{CONSTANTS}, {CONSTANTS, [AT(sender)] = 1}};
#undef CONSTANTS

bool decode_wide_can(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vbmi");
}

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

struct wide {
    __m512i mask, known;
    __mmask64 taken; /* bytes that come from the packet: those that order names */
};

static inline WIDE __attribute__((always_inline)) bool decode_one_wide(struct pkt *p, const struct wide *c)
{
    const uint32_t headers = 14 + 20 + 32; /* up to the payload */
    const uint8_t *h = p->data;
    uint32_t cap_len = p->cap_len, wire_len = p->wire_len;

    if (__builtin_expect(cap_len < headers || p->rx_vlan != RX_NO_VLAN, 0))
        return false;
    uint64_t there = cap_len - FROM < 64 ? (1ull << (cap_len - FROM)) - 1 : UINT64_MAX;
    __m512i frame = _mm512_maskz_loadu_epi8(there, h + FROM);
    uint32_t ip_bytes = load_be16(h + 16), end = 14 + ip_bytes;
    if (__builtin_expect(_mm512_cmpneq_epi8_mask(_mm512_and_si512(frame, c->mask), c->known) != 0, 0) ||
        __builtin_expect(end < headers || end > wire_len, 0))
        return false;
    uint64_t addrs = load_be64(h + 26);
    uint32_t ports = load_be32(h + 34);
    unsigned swap = (addrs >> 32 << 16 | ports >> 16) > ((addrs & UINT32_MAX) << 16 | (ports & UINT16_MAX));
    __m512i fields = _mm512_maskz_permutexvar_epi8(c->taken, _mm512_load_si512(order[swap]), frame);
    _mm512_store_si512(&p->id, _mm512_or_si512(fields, _mm512_load_si512(constant[swap])));
    p->payload_len = end - headers;
    if (__builtin_expect(p->snap_len < wire_len, 0))
        p->flags |= PKT_TRUNCATED;
    p->l3_off = 14;
    p->l4_off = 34;
    p->payload_off = (uint16_t)headers;
    p->payload_cap = (cap_len < end ? cap_len : end) - headers;
    p->tunnel = p->outer_af = 0;
    p->outer_off = 0;
    p->verdict = PKT_FLOW;
    p->l2_hash = l2_pair_hash(h);
    p->has_id = 1;
    p->has_key = 0;
    return true;
}

WIDE void decode_wide(struct batch *b, const struct decode_options *options)
{
    const __m512i named = _mm512_load_si512(order[0]);
    const struct wide c = {_mm512_loadu_si512(known_mask), _mm512_loadu_si512(known),
                           _mm512_test_epi8_mask(named, named)};

    for (uint32_t i = 0; i < b->n; i++) {
        if (i + DECODE_AHEAD < b->n)
            decode_fetch(&b->pkt[i + DECODE_AHEAD]);
        if (__builtin_expect(!decode_one_wide(&b->pkt[i], &c), 0))
            decode_narrow(&b->pkt[i], options);
    }
}

#else

bool decode_wide_can(void)
{
    return false;
}

void decode_wide(struct batch *b, const struct decode_options *options)
{
    for (uint32_t i = 0; i < b->n; i++)
        decode_narrow(&b->pkt[i], options);
}

#endif

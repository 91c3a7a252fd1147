/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The short way (plain.h) once more, for processors with AVX-512 and its byte permutations (VBMI): what most packets
 * are at most places, a segment with the usual timestamps or without any option, and with one VLAN tag at most, has
 * every header field at a known place of 64 bytes. One register takes them in; one comparison tells whether it is such
 * a packet; one permutation puts every field where it belongs in struct pkt, in host order, with the endpoints in the
 * order of the key. All other packets take the narrow way. Whether the processor can is asked once, at the first burst;
 * a test holds both ways and the walk against each other.
 */

#include "dataplane/decode/wide.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define FROM 12u /* first byte that is taken in: the frame's type, or that behind its tag */

/* The two kinds of segments: what has to be so (type, version and header length, no fragment, protocol, length of the
 * TCP header, options), what is the same for all of them and who sent it, and which byte goes where. */
enum shape { TIMESTAMPS, NO_OPTIONS, SHAPES };

static const uint32_t tcp_bytes[SHAPES] = {32, 20};

#define KNOWN_MASK [0] = 0xff, [1] = 0xff, [2] = 0xff, [8] = 0x3f, [9] = 0xff, [11] = 0xff, [34] = 0xf0
#define KNOWN      [0] = 0x08, [2] = 0x45, [11] = 6
static const uint8_t known_mask[SHAPES][64] = {{KNOWN_MASK, [42] = 0xff, [43] = 0xff, [44] = 0xff, [45] = 0xff},
                                               {KNOWN_MASK}};
static const uint8_t known[SHAPES][64] = {{KNOWN, [34] = 0x80, [42] = 1, [43] = 1, [44] = 8, [45] = 10},
                                          {KNOWN, [34] = 0x50}};
#undef KNOWN_MASK
#undef KNOWN

/* Where in struct pkt a member lies, from id on. */
#define AT(member) (offsetof(struct pkt, member) - offsetof(struct pkt, id))

static_assert(offsetof(struct pkt, l3_off) - offsetof(struct pkt, id) == 64, "one line");

/* Two orders of the endpoints. */
#define ENDPOINTS_0 14, 15, 16, 17, 18, 19, 20, 21, 23, 22, 25, 24
#define ENDPOINTS_1 18, 19, 20, 21, 14, 15, 16, 17, 25, 24, 23, 22
#define FIELDS                                                                                                         \
    [AT(tcp_seq)] = 29, [AT(tcp_seq) + 1] = 28, [AT(tcp_seq) + 2] = 27, [AT(tcp_seq) + 3] = 26, [AT(tcp_ack)] = 33,    \
    [AT(tcp_ack) + 1] = 32, [AT(tcp_ack) + 2] = 31, [AT(tcp_ack) + 3] = 30, [AT(ip_id)] = 7, [AT(ip_id) + 1] = 6,      \
    [AT(ip_bytes)] = 5, [AT(ip_bytes) + 1] = 4, [AT(tcp_flags)] = 35, [AT(tcp_window)] = 37,                           \
    [AT(tcp_window) + 1] = 36, [AT(ttl)] = 10
#define TIMES                                                                                                          \
    [AT(tsval)] = 49, [AT(tsval) + 1] = 48, [AT(tsval) + 2] = 47, [AT(tsval) + 3] = 46, [AT(tsecr)] = 53,              \
    [AT(tsecr) + 1] = 52, [AT(tsecr) + 2] = 51, [AT(tsecr) + 3] = 50
static const _Alignas(64) uint8_t order[SHAPES][2][64] = {
    {{ENDPOINTS_0, FIELDS, TIMES}, {ENDPOINTS_1, FIELDS, TIMES}},
    {{ENDPOINTS_0, FIELDS}, {ENDPOINTS_1, FIELDS}},
};
#undef ENDPOINTS_0
#undef ENDPOINTS_1
#undef FIELDS
#undef TIMES

#define CONSTANTS(more)                                                                                                \
    [AT(id) + offsetof(struct short_key, proto)] = 6, [AT(id) + offsetof(struct short_key, af)] = 4,                   \
                                         [AT(flags)] = PKT_HAS_IP_ID | PKT_L4_OK | (more)
static const _Alignas(64) uint8_t constant[SHAPES][2][64] = {
    {{CONSTANTS(PKT_HAS_TS)}, {CONSTANTS(PKT_HAS_TS), [AT(sender)] = 1}},
    {{CONSTANTS(0)}, {CONSTANTS(0), [AT(sender)] = 1}},
};
#undef CONSTANTS

bool decode_wide_can(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vbmi");
}

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

struct wide {
    __m512i mask[SHAPES], known[SHAPES];
    __mmask64 taken[SHAPES]; /* bytes that come from the packet: those that order names */
};

/* shape and l2_bytes, up to the IP header, are constants. */
static inline WIDE __attribute__((always_inline)) bool decode_shape(struct pkt *p, const struct wide *c,
                                                                    enum shape shape, uint32_t l2_bytes)
{
    const uint32_t headers = l2_bytes + 20 + tcp_bytes[shape];
    const uint8_t *ip = p->data + l2_bytes, *from = ip - (14 - FROM);
    uint32_t cap_len = p->cap_len, wire_len = p->wire_len, left = cap_len - (uint32_t)(from - p->data);

    if (__builtin_expect(cap_len < headers, 0))
        return false;
    __m512i frame = _mm512_maskz_loadu_epi8(left < 64 ? (1ull << left) - 1 : UINT64_MAX, from);
    uint32_t ip_bytes = load_be16(ip + 2), end = l2_bytes + ip_bytes;
    if (_mm512_cmpneq_epi8_mask(_mm512_and_si512(frame, c->mask[shape]), c->known[shape]) != 0 ||
        __builtin_expect(end < headers || end > wire_len, 0))
        return false;
    uint64_t addrs = load_be64(ip + 12);
    uint32_t ports = load_be32(ip + 20);
    unsigned swap = (addrs >> 32 << 16 | ports >> 16) > ((addrs & UINT32_MAX) << 16 | (ports & UINT16_MAX));
    __m512i fields = _mm512_maskz_permutexvar_epi8(c->taken[shape], _mm512_load_si512(order[shape][swap]), frame);
    _mm512_store_si512(&p->id, _mm512_or_si512(fields, _mm512_load_si512(constant[shape][swap])));
    p->payload_len = end - headers;
    if (__builtin_expect(p->snap_len < wire_len, 0))
        p->flags |= PKT_TRUNCATED;
    p->l3_off = (uint16_t)l2_bytes;
    p->l4_off = (uint16_t)(l2_bytes + 20);
    p->payload_off = (uint16_t)headers;
    p->payload_cap = (cap_len < end ? cap_len : end) - headers;
    p->tunnel = p->outer_af = 0;
    p->outer_off = 0;
    p->verdict = PKT_FLOW;
    p->l2_hash = l2_pair_hash(p->data);
    p->has_id = 1;
    p->has_key = 0;
    return true;
}

static inline WIDE __attribute__((always_inline)) bool decode_tagged(struct pkt *p, const struct wide *c)
{
    if (p->cap_len < 18 || load_be16(p->data + 12) != 0x8100 ||
        !(decode_shape(p, c, TIMESTAMPS, 18) || decode_shape(p, c, NO_OPTIONS, 18)))
        return false;
    p->n_vlans = 1;
    p->vlan[0] = load_be16(p->data + 14) & 0x0fff;
    return true;
}

static inline WIDE __attribute__((always_inline)) bool decode_one_wide(struct pkt *p, const struct wide *c)
{
    if (__builtin_expect(p->rx_vlan != RX_NO_VLAN, 0))
        return false;
    return decode_shape(p, c, TIMESTAMPS, 14) || decode_shape(p, c, NO_OPTIONS, 14) || decode_tagged(p, c);
}

WIDE void decode_wide(struct batch *b, const struct decode_options *options)
{
    struct wide c;

    for (unsigned shape = 0; shape < SHAPES; shape++) {
        __m512i any_order = _mm512_load_si512(order[shape][0]);
        c.mask[shape] = _mm512_loadu_si512(known_mask[shape]);
        c.known[shape] = _mm512_loadu_si512(known[shape]);
        c.taken[shape] = _mm512_test_epi8_mask(any_order, any_order);
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (i + DECODE_AHEAD < b->n)
            decode_fetch(&b->pkt[i + DECODE_AHEAD]);
        if (!decode_one_wide(&b->pkt[i], &c))
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

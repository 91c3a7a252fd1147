/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Packing windows. Most counters of most windows are zero, so a bitmap says which are there; frame_bytes and
 * judged_pkts follow closely from bytes and data_pkts, so their differences are stored. A histogram is stored as six
 * quantiles: those are bucket midpoints already, so steps between bucket numbers keep them exactly.
 *
 * The decoder trusts nothing: length, version, unknown bits, numbers that are zero or not minimal, and the checksum are
 * all checked, and the window is touched only when everything was right.
 */

#include "store/codec.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define LEVEL_MAX  3
#define INDEX_STEP 6 /* buckets per step at level 3 */

#define X(field)   (uint16_t)(offsetof(struct window_counters, field) / 8),
static const uint16_t traffic_fields[] = {CODEC_TRAFFIC_FIELDS(X)};
static const uint16_t quality_fields[] = {CODEC_QUALITY_FIELDS(X)};
#undef X
#define N_TRAFFIC (sizeof(traffic_fields) / sizeof(traffic_fields[0]))
#define N_QUALITY (sizeof(quality_fields) / sizeof(quality_fields[0]))
static_assert(N_TRAFFIC + N_QUALITY == sizeof(struct window_counters) / 8,
              "a counter was added to common/window.h: append it to a table in codec.h");
static_assert(N_TRAFFIC <= 42 && N_QUALITY <= 21, "level 3 must fit in CODEC_BYTES");

static_assert(N_TRAFFIC >= CODEC_TRAFFIC_V1 && N_QUALITY >= CODEC_QUALITY_V1, "fields are appended, never removed");

enum { FLAG_PLAIN = 4, FLAG_MISSING = 8, QUALITY_MASK = 3 };

/* A bounded cursor for both directions. bad: it ran over the end, or read what the encoder never writes. */
struct cursor {
    uint8_t *out;
    const uint8_t *in;
    size_t at, size;
    bool bad;
};

static void put_byte(struct cursor *c, unsigned v)
{
    if (c->at < c->size)
        c->out[c->at++] = (uint8_t)v;
    else
        c->bad = true;
}

static unsigned get_byte(struct cursor *c)
{
    if (c->at < c->size)
        return c->in[c->at++];
    c->bad = true;
    return 0;
}

static void put_varint(struct cursor *c, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_byte(c, (unsigned)(v & 0x7f) | 0x80);
    put_byte(c, (unsigned)v);
}

static uint64_t get_varint(struct cursor *c)
{
    uint64_t v = 0;

    if (c->at < c->size && c->in[c->at] < 0x80) /* most are this short */
        return c->in[c->at++];
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned b = get_byte(c);
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0) {
            if ((b == 0 && shift > 0) || (shift == 63 && b > 1))
                c->bad = true;
            return v;
        }
    }
    c->bad = true;
    return 0;
}

static unsigned top_bit(uint64_t v)
{
    return 63u - (unsigned)__builtin_clzll(v);
}

/* v rounded to its top bit and m more bits, saturating. */
static uint64_t round_bits(uint64_t v, unsigned m)
{
    unsigned top = top_bit(v);

    if (top <= m)
        return v;
    uint64_t half = 1ull << (top - m - 1);
    uint64_t rounded = v + half < v ? UINT64_MAX : v + half;
    return rounded & ~(2 * half - 1);
}

static void put_number(struct cursor *c, uint64_t v, unsigned level)
{
    if (level == 0 || v < 128) {
        put_varint(c, v);
        return;
    }
    unsigned extra = LEVEL_MAX - level;
    unsigned m = 1 + 8 * extra;
    v = round_bits(v, m);
    unsigned e = top_bit(v);
    uint64_t fraction = v & ((1ull << e) - 1);
    fraction = e >= m ? fraction >> (e - m) : fraction << (m - e);
    uint64_t bits = (uint64_t)(e - 7) << m | fraction;
    put_byte(c, 0x80u | (unsigned)(bits >> (8 * extra)));
    while (extra-- > 0)
        put_byte(c, (unsigned)(bits >> (8 * extra)) & 0xff);
}

static uint64_t get_number(struct cursor *c, unsigned level)
{
    if (level == 0)
        return get_varint(c);
    unsigned first = get_byte(c);
    if (first < 0x80)
        return first;
    unsigned extra = LEVEL_MAX - level;
    unsigned m = 1 + 8 * extra;
    uint64_t bits = first & 0x7f;
    while (extra-- > 0)
        bits = bits << 8 | get_byte(c);
    unsigned e = (unsigned)(bits >> m) + 7;
    uint64_t fraction = bits & ((1ull << m) - 1);
    if (e > 63) {
        c->bad = true;
        return 0;
    }
    return 1ull << e | (e >= m ? fraction << (e - m) : fraction >> (m - e));
}

/* 6 bits of exponent, 10 of mantissa: below 1024 exact, then to 2^-11. */
static unsigned float16_of(uint64_t v)
{
    if (v < 1024)
        return (unsigned)v;
    v = round_bits(v, 10);
    unsigned e = top_bit(v) - 10;
    return (e + 1) << 10 | ((unsigned)(v >> e) & 1023);
}

static uint64_t float16_value(unsigned f)
{
    unsigned e = f >> 10;

    return e == 0 ? f : (uint64_t)(1024 | (f & 1023)) << (e - 1);
}

/* crc_of[k][b]: what byte b does to the checksum with k bytes behind it. */
static uint8_t crc_of[8][256];

static void __attribute__((constructor)) fill_crc_tables(void)
{
    for (unsigned b = 0; b < 256; b++) {
        uint8_t crc = (uint8_t)b;
        for (int bit = 0; bit < 8; bit++)
            crc = (uint8_t)((crc & 0x80) != 0 ? (crc << 1) ^ 0x07 : crc << 1);
        crc_of[0][b] = crc;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++)
            crc_of[k][b] = crc_of[0][crc_of[k - 1][b]];
}

static uint8_t crc8(const uint8_t *p, size_t len)
{
    uint8_t crc = 0;

    for (; len >= 8; p += 8, len -= 8)
        crc = (uint8_t)(crc_of[7][p[0] ^ crc] ^ crc_of[6][p[1]] ^ crc_of[5][p[2]] ^ crc_of[4][p[3]] ^ crc_of[3][p[4]] ^
                        crc_of[2][p[5]] ^ crc_of[1][p[6]] ^ crc_of[0][p[7]]);
    for (; len > 0; p++, len--)
        crc = crc_of[0][*p ^ crc];
    return crc;
}

/* Replaces frame_bytes and judged_pkts by their differences; false when one would be negative. */
static bool to_differences(struct window_counters *c)
{
    for (int d = 0; d < 2; d++)
        if (c->dir[d].frame_bytes < c->dir[d].bytes || c->dir[d].judged_pkts > c->dir[d].data_pkts)
            return false;
    for (int d = 0; d < 2; d++) {
        c->dir[d].frame_bytes -= c->dir[d].bytes;
        c->dir[d].judged_pkts = c->dir[d].data_pkts - c->dir[d].judged_pkts;
    }
    return true;
}

static void from_differences(struct window_counters *c)
{
    for (int d = 0; d < 2; d++) {
        struct window_dir *x = &c->dir[d];
        x->frame_bytes = x->frame_bytes > UINT64_MAX - x->bytes ? UINT64_MAX : x->frame_bytes + x->bytes;
        x->judged_pkts = x->judged_pkts > x->data_pkts ? 0 : x->data_pkts - x->judged_pkts;
    }
}

/* Does any of the fields from `from` on count? */
static bool any_set(const uint64_t *counters, const uint16_t *field, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++)
        if (counters[field[i]] != 0)
            return true;
    return false;
}

static void put_fields(struct cursor *c, const uint64_t *counters, const uint16_t *field, size_t n, unsigned level)
{
    uint64_t present = 0;

    for (size_t i = 0; i < n; i++)
        if (counters[field[i]] != 0)
            present |= 1ull << i;
    put_varint(c, present);
    for (size_t i = 0; i < n; i++)
        if (counters[field[i]] != 0)
            put_number(c, counters[field[i]], level);
}

static void get_fields(struct cursor *c, uint64_t *counters, const uint16_t *field, size_t n, unsigned level)
{
    uint64_t present = get_varint(c);

    if (present >> n != 0)
        c->bad = true;
    for (size_t i = 0; i < n; i++)
        counters[field[i]] = 0;
    for (; present != 0 && !c->bad; present &= present - 1) {
        uint64_t v = get_number(c, level);
        counters[field[__builtin_ctzll(present)]] = v;
        if (v == 0)
            c->bad = true;
    }
}

static void put_quantiles(struct cursor *c, const struct window_quantiles *q, unsigned level)
{
    const uint64_t value[] = {q->p10_ns, q->p50_ns, q->p90_ns, q->p99_ns};
    unsigned min = float16_of(q->min_ns), max = float16_of(q->max_ns);
    uint32_t at = hist_index(float16_value(min));

    put_number(c, q->n, level);
    put_byte(c, min >> 8);
    put_byte(c, min & 0xff);
    put_byte(c, max >> 8);
    put_byte(c, max & 0xff);
    for (int i = 0; i < 4; i++) {
        uint32_t index = hist_index(value[i]);
        uint32_t step = index > at ? index - at : 0;
        if (level == LEVEL_MAX)
            step = (step + INDEX_STEP / 2) / INDEX_STEP;
        put_varint(c, step);
        at += level == LEVEL_MAX ? step * INDEX_STEP : step;
    }
}

static void get_quantiles(struct cursor *c, struct window_quantiles *q, unsigned level)
{
    uint64_t *const value[] = {&q->p10_ns, &q->p50_ns, &q->p90_ns, &q->p99_ns};

    q->n = get_number(c, level);
    unsigned min = get_byte(c) << 8;
    min |= get_byte(c);
    unsigned max = get_byte(c) << 8;
    max |= get_byte(c);
    q->min_ns = float16_value(min);
    q->max_ns = float16_value(max);
    uint64_t at = hist_index(q->min_ns);
    for (int i = 0; i < 4; i++) {
        at += get_varint(c) * (level == LEVEL_MAX ? INDEX_STEP : 1);
        if (at > HIST_BUCKETS + INDEX_STEP)
            c->bad = true;
        uint64_t v = at < HIST_BUCKETS ? hist_midpoint_ns((uint32_t)at) : q->max_ns;
        *value[i] = v < q->min_ns ? q->min_ns : v > q->max_ns ? q->max_ns : v;
    }
    if (q->n == 0 || q->min_ns > q->max_ns || min >> 10 > 54 || max >> 10 > 54)
        c->bad = true;
}

static size_t finish(struct cursor *c)
{
    if (c->bad)
        return 0;
    uint8_t crc = crc8(c->out, c->at);
    put_byte(c, crc);
    return c->bad ? 0 : c->at;
}

size_t codec_pack_traffic(uint8_t ret[CODEC_BYTES], const struct window *w)
{
    struct window_counters differences = w->c;
    bool can_differ = to_differences(&differences);
    bool later = any_set((const uint64_t *)&w->c, traffic_fields, CODEC_TRAFFIC_V1, N_TRAFFIC);
    unsigned missing = w->missing_pct > 100 ? 100 : w->missing_pct;
    unsigned version = missing != 0 || later ? 2 : 1;
    size_t len = 0;

    for (unsigned level = 0; level <= LEVEL_MAX && len == 0; level++) {
        /* Rounded as coarsely as at the last level, a difference says nothing. */
        bool plain = !can_differ || level == LEVEL_MAX;
        const struct window_counters *counters = plain ? &w->c : &differences;
        struct cursor c = {.out = ret, .size = CODEC_BYTES};
        put_byte(&c, version << 4 | level);
        put_byte(&c, ((unsigned)w->quality & QUALITY_MASK) | (plain ? FLAG_PLAIN : 0) | (missing ? FLAG_MISSING : 0));
        if (missing != 0)
            put_byte(&c, missing);
        put_fields(&c, (const uint64_t *)counters, traffic_fields, N_TRAFFIC, level);
        len = finish(&c);
    }
    assert(len > 0);
    return len;
}

size_t codec_pack_quality(uint8_t ret[CODEC_BYTES], const struct window *w)
{
    const uint64_t *counters = (const uint64_t *)&w->c;
    unsigned version = any_set(counters, quality_fields, CODEC_QUALITY_V1, N_QUALITY) ? 2 : 1;
    unsigned hists = 0;
    size_t len = 0;

    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
        hists |= w->q[h].n != 0 ? 1u << h : 0;
    if (hists == 0 && !any_set(counters, quality_fields, 0, N_QUALITY))
        return 0;
    for (unsigned level = 0; level <= LEVEL_MAX && len == 0; level++) {
        struct cursor c = {.out = ret, .size = CODEC_BYTES};
        put_byte(&c, version << 4 | 1 << 3 | level);
        put_byte(&c, hists);
        put_fields(&c, counters, quality_fields, N_QUALITY, level);
        for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
            if (w->q[h].n != 0)
                put_quantiles(&c, &w->q[h], level);
        len = finish(&c);
    }
    assert(len > 0);
    return len;
}

struct header {
    unsigned version, level, flags;
};

/* Checks what both halves have in common; the cursor then stands behind the two header bytes. */
static enum codec_result open_value(struct cursor *c, const uint8_t *value, size_t len, unsigned half,
                                    struct header *ret)
{
    if (len < 4 || len > CODEC_BYTES)
        return CODEC_CORRUPT;
    if (value[0] >> 4 < 1 || value[0] >> 4 > CODEC_VERSION)
        return CODEC_UNKNOWN_VERSION;
    if (crc8(value, len - 1) != value[len - 1])
        return CODEC_CORRUPT;
    if ((value[0] >> 3 & 1u) != half || (value[0] & 7) > LEVEL_MAX)
        return CODEC_CORRUPT;
    *c = (struct cursor){.in = value, .at = 2, .size = len - 1};
    *ret = (struct header){.version = value[0] >> 4, .level = value[0] & 7, .flags = value[1]};
    return CODEC_OK;
}

enum codec_result codec_unpack_traffic(struct window *w, const uint8_t *value, size_t len)
{
    struct window_counters counters = w->c;
    struct header h;
    struct cursor c;
    enum codec_result result = open_value(&c, value, len, 0, &h);

    if (result != CODEC_OK)
        return result;
    unsigned known = h.version == 1 ? 7u : 15u;
    unsigned missing = h.version > 1 && (h.flags & FLAG_MISSING) ? get_byte(&c) : 0;
    for (size_t i = h.version == 1 ? CODEC_TRAFFIC_V1 : N_TRAFFIC; i < N_TRAFFIC; i++)
        ((uint64_t *)&counters)[traffic_fields[i]] = 0;
    get_fields(&c, (uint64_t *)&counters, traffic_fields, h.version == 1 ? CODEC_TRAFFIC_V1 : N_TRAFFIC, h.level);
    if (c.bad || c.at != c.size || (h.flags & ~known) != 0 || (h.flags & QUALITY_MASK) > WINDOW_BLIND ||
        missing > 100 || ((h.flags & FLAG_MISSING) && missing == 0))
        return CODEC_CORRUPT;
    if ((h.flags & FLAG_PLAIN) == 0)
        from_differences(&counters);
    w->c = counters;
    w->quality = h.flags & QUALITY_MASK;
    w->missing_pct = (uint8_t)missing;
    return CODEC_OK;
}

enum codec_result codec_unpack_quality(struct window *w, const uint8_t *value, size_t len)
{
    struct window_counters counters = w->c;
    struct window_quantiles q[WINDOW_HIST_COUNT] = {0};
    struct header h;
    struct cursor c;
    enum codec_result result = open_value(&c, value, len, 1, &h);

    if (result != CODEC_OK)
        return result;
    for (size_t i = h.version == 1 ? CODEC_QUALITY_V1 : N_QUALITY; i < N_QUALITY; i++)
        ((uint64_t *)&counters)[quality_fields[i]] = 0;
    get_fields(&c, (uint64_t *)&counters, quality_fields, h.version == 1 ? CODEC_QUALITY_V1 : N_QUALITY, h.level);
    for (unsigned i = 0; i < WINDOW_HIST_COUNT && !c.bad; i++)
        if (h.flags >> i & 1)
            get_quantiles(&c, &q[i], h.level);
    if (c.bad || c.at != c.size || h.flags >> WINDOW_HIST_COUNT != 0)
        return CODEC_CORRUPT;
    w->c = counters;
    memcpy(w->q, q, sizeof(q));
    return CODEC_OK;
}

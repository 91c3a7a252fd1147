/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CAPFILE_BUILD_H
#define SPANWARD_CAPFILE_BUILD_H

/*
 * Capture files, byte by byte: every format in both byte orders. Packet i of a test holds the bytes i, i + 1, ..., so
 * that a packet taken from the wrong place is noticed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "tests/unit/unit.h"

struct bytes {
    uint8_t at[1 << 16];
    size_t n;
    bool big_endian;
};

static inline void put(struct bytes *b, const void *data, size_t n)
{
    ck_assert(b->n + n <= sizeof(b->at));
    memcpy(b->at + b->n, data, n);
    b->n += n;
}

static inline void put_number(struct bytes *b, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(v >> 8 * (b->big_endian ? size - 1 - i : i));
        put(b, &byte, 1);
    }
}

static inline void put16(struct bytes *b, unsigned v)
{
    put_number(b, v, 2);
}

static inline void put32(struct bytes *b, uint32_t v)
{
    put_number(b, v, 4);
}

static inline void put_data(struct bytes *b, unsigned i, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        uint8_t byte = (uint8_t)(i + k);
        put(b, &byte, 1);
    }
}

static inline void pcap_header(struct bytes *b, uint32_t magic, unsigned minor, uint32_t network)
{
    put32(b, magic);
    put16(b, 2);
    put16(b, minor);
    put32(b, 0);
    put32(b, 0);
    put32(b, 65535);
    put32(b, network);
}

static inline void pcap_packet(struct bytes *b, unsigned i, uint32_t s, uint32_t fraction, uint32_t cap_len,
                               uint32_t len)
{
    put32(b, s);
    put32(b, fraction);
    put32(b, cap_len);
    put32(b, len);
    put_data(b, i, cap_len);
}

/* A block is begun, filled, and ended: the lengths are known then. */
static inline size_t begin_block(struct bytes *b, uint32_t type)
{
    size_t start = b->n;

    put32(b, type);
    put32(b, 0);
    return start;
}

static inline void end_block(struct bytes *b, size_t start)
{
    while ((b->n - start) % 4 != 0)
        put(b, "", 1);
    uint32_t len = (uint32_t)(b->n - start) + 4;
    put32(b, len);
    size_t end = b->n;
    b->n = start + 4;
    put32(b, len);
    b->n = end;
}

static inline void option(struct bytes *b, unsigned code, const void *value, unsigned len)
{
    put16(b, code);
    put16(b, len);
    put(b, value, len);
    while (b->n % 4 != 0)
        put(b, "", 1);
}

static inline void section(struct bytes *b)
{
    size_t start = begin_block(b, 0x0a0d0d0a);

    put32(b, 0x1a2b3c4d);
    put16(b, 1);
    put16(b, 0);
    put_number(b, UINT64_MAX, 8);
    option(b, 1, "a comment", 9);
    end_block(b, start);
}

/* resolution < 0: none given */
static inline void interface(struct bytes *b, unsigned link, uint32_t snap_len, int resolution, int64_t offset_s)
{
    size_t start = begin_block(b, 1);

    put16(b, link);
    put16(b, 0);
    put32(b, snap_len);
    option(b, 2, "eth0", 4);
    if (resolution >= 0)
        option(b, 9, &(uint8_t){(uint8_t)resolution}, 1);
    if (offset_s != 0) {
        put16(b, 14);
        put16(b, 8);
        put_number(b, (uint64_t)offset_s, 8);
    }
    option(b, 0, "", 0);
    end_block(b, start);
}

static inline void enhanced(struct bytes *b, unsigned i, unsigned interface, uint64_t ticks, uint32_t cap_len,
                            uint32_t len)
{
    size_t start = begin_block(b, 6);

    put32(b, interface);
    put32(b, (uint32_t)(ticks >> 32));
    put32(b, (uint32_t)ticks);
    put32(b, cap_len);
    put32(b, len);
    put_data(b, i, cap_len);
    while (b->n % 4 != 0)
        put(b, "", 1);
    option(b, 2, "\0\0\0\1", 4);
    option(b, 0, "", 0);
    end_block(b, start);
}

static inline void simple(struct bytes *b, unsigned i, uint32_t cap_len, uint32_t len)
{
    size_t start = begin_block(b, 3);

    put32(b, len);
    put_data(b, i, cap_len);
    end_block(b, start);
}

static inline void obsolete(struct bytes *b, unsigned i, unsigned interface, uint64_t ticks, uint32_t cap_len,
                            uint32_t len)
{
    size_t start = begin_block(b, 2);

    put16(b, interface);
    put16(b, 0xffff);
    put32(b, (uint32_t)(ticks >> 32));
    put32(b, (uint32_t)ticks);
    put32(b, cap_len);
    put32(b, len);
    put_data(b, i, cap_len);
    end_block(b, start);
}

static inline void unknown(struct bytes *b, unsigned n)
{
    size_t start = begin_block(b, 0x80000001);

    put_data(b, 99, n);
    end_block(b, start);
}

/* Appends `data` as one gzip member. */
static inline void gzip(struct bytes *b, const void *data, size_t n)
{
    z_stream z = {.next_in = (void *)(uintptr_t)data, .avail_in = (unsigned)n};

    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = b->at + b->n;
    z.avail_out = (unsigned)(sizeof(b->at) - b->n);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    b->n += z.total_out;
    deflateEnd(&z);
}

/* Everything that a file may hold, in one section of each byte order. */
static inline void build_rich(struct bytes *b)
{
    for (unsigned s = 0; s < 2; s++) {
        b->big_endian = s == 1;
        section(b);
        unknown(b, 5);
        interface(b, 1, 40, -1, 0);
        interface(b, 101, 0, 9, 0);
        enhanced(b, s * 6, 0, 1000000, 30, 64);
        simple(b, s * 6 + 1, 40, 64); /* cut to the snap length of interface 0 */
        simple(b, s * 6 + 2, 20, 20);
        unknown(b, 0);
        obsolete(b, s * 6 + 3, 1, 2000000000, 25, 25);
        interface(b, 276, 0, 3, 0);
        enhanced(b, s * 6 + 4, 2, 3000, 1, 1);
        enhanced(b, s * 6 + 5, 1, 4000000000, 0, 77);
    }
}

#endif

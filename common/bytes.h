/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BYTES_H
#define SPANWARD_BYTES_H

/*
 * Loads from packet bytes (network order, unaligned), hashing, and text that is safe to show. Nothing here trusts a
 * length from the wire: callers compare with the captured length first.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

static inline uint32_t load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static inline void store_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

/* By n bits to the left, n below the width. */
static inline uint32_t rotate32(uint32_t v, unsigned n)
{
    return v << n | v >> (-n & 31);
}

static inline uint64_t rotate64(uint64_t v, unsigned n)
{
    return v << n | v >> (-n & 63);
}

/* Finaliser of MurmurHash3: every input bit flips each output bit with probability near one half. */
static inline uint64_t mix64(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

/* The 64x64->128 product folded to 64 bits: the step of wyhash and its kin. */
static inline uint64_t fold64(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Copies text from a packet so that no terminal, log or markup reader can be misled: control characters
 * (C0, DEL, C1 in UTF-8) and invalid UTF-8 become \xNN; '\\' becomes "\\\\". Always ends the string; returns its
 * length.
 */
size_t text_escape(char *ret, size_t size, const void *text, size_t len);

#endif

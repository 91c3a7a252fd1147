/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_RANDOM_H
#define SPANWARD_LAB_RANDOM_H

/*
 * SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): one word of state, any
 * seed is good. Rules and clients each have their own, so that one more rule does not change the draws of another.
 */

#include <stdint.h>
#include "tests/lab/scenario.h"

struct lab_random {
    uint64_t state;
};

static inline uint64_t lab_random_next(struct lab_random *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline struct lab_random lab_random_of(uint64_t seed, uint64_t stream)
{
    struct lab_random r = {seed * 0xd1342543de82ef95ull + stream};
    lab_random_next(&r);
    return r;
}

/* [0, 1) */
static inline double lab_random_unit(struct lab_random *r)
{
    return (double)(lab_random_next(r) >> 11) * 0x1p-53;
}

static inline uint64_t lab_random_in(struct lab_random *r, struct lab_range range)
{
    if (range.hi <= range.lo)
        return range.lo;
    return range.lo + lab_random_next(r) % (range.hi - range.lo + 1);
}

#endif

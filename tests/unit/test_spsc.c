/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The ring: order, wrapping at every alignment, a full ring that refuses and loses nothing, and two threads that pass
 * hundreds of thousands of messages of changing lengths (run it under ThreadSanitizer too: scripts/test --tsan).
 */

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "common/bytes.h"
#include "common/spsc.h"
#include "tests/unit/unit.h"

#define CAPACITY 4096

static size_t length_of(uint64_t i)
{
    return 8 + 8 * (mix64(i) % 100);
}

static int put_message(struct spsc *r, uint64_t i)
{
    size_t len = length_of(i);
    uint64_t *m = spsc_reserve(r, len);

    if (m == NULL)
        return 0;
    for (size_t k = 0; k < len / 8; k++)
        m[k] = i * 1000 + k;
    spsc_commit(r);
    return 1;
}

/* 1 with the message checked, 0 when the ring is empty, -1 when it is wrong. */
static int take_message(struct spsc *r, uint64_t i)
{
    size_t len = 0;
    const uint64_t *m = spsc_peek(r, &len);
    int good = 1;

    if (m == NULL)
        return 0;
    if (len != length_of(i))
        return -1;
    for (size_t k = 0; k < len / 8; k++)
        good &= m[k] == i * 1000 + k;
    spsc_pop(r);
    return good ? 1 : -1;
}

START_TEST(empty_and_uncommitted)
{
    struct spsc *r = spsc_new(CAPACITY);
    size_t len;

    ck_assert_ptr_null(spsc_peek(r, &len));
    uint64_t *m = spsc_reserve(r, 16);
    ck_assert_ptr_nonnull(m);
    ck_assert_ptr_null(spsc_peek(r, &len));
    ck_assert_ptr_eq(spsc_reserve(r, 8), m); /* given up, taken again */
    m[0] = 77;
    spsc_commit(r);
    const uint64_t *got = spsc_peek(r, &len);
    ck_assert_ptr_nonnull(got);
    ck_assert_ptr_eq(spsc_peek(r, &len), got); /* peeking twice is one message */
    ck_assert_uint_eq(len, 8);
    ck_assert_uint_eq(got[0], 77);
    ck_assert_uint_eq(spsc_used_bytes(r), 16);
    spsc_pop(r);
    ck_assert_uint_eq(spsc_used_bytes(r), 0);
    ck_assert_ptr_null(spsc_peek(r, &len));
    spsc_free(r);
    spsc_free(NULL);
}
END_TEST

START_TEST(a_full_ring_refuses_and_keeps_order)
{
    struct spsc *r = spsc_new(CAPACITY);
    uint64_t in = 0, out = 0;

    for (int round = 0; round < 3000; round++) {
        uint64_t burst = mix64((uint64_t)round) % 12;
        for (uint64_t i = 0; i < burst; i++)
            in += (uint64_t)put_message(r, in);
        ck_assert_uint_le(spsc_used_bytes(r), CAPACITY);
        for (uint64_t i = 0; i < mix64((uint64_t)round + 7777) % 12; i++) {
            int got = take_message(r, out);
            ck_assert_int_ge(got, 0);
            out += (uint64_t)got;
        }
    }
    while (take_message(r, out) == 1)
        out++;
    ck_assert_uint_eq(in, out);
    ck_assert_uint_gt(in, 1000);
    ck_assert_uint_eq(spsc_used_bytes(r), 0);
    spsc_free(r);
}
END_TEST

START_TEST(the_largest_message_always_fits_an_empty_ring)
{
    struct spsc *r = spsc_new(CAPACITY);
    size_t largest = CAPACITY / 4 - 8, len;

    for (size_t shift = 0; shift < CAPACITY; shift += 8) {
        ck_assert_ptr_nonnull(spsc_reserve(r, 8)); /* moves the start by 16 each time round */
        spsc_commit(r);
        ck_assert_ptr_nonnull(spsc_peek(r, &len));
        spsc_pop(r);
        uint64_t *m = spsc_reserve(r, largest);
        ck_assert_ptr_nonnull(m);
        memset(m, 0x5a, largest);
        spsc_commit(r);
        ck_assert_ptr_nonnull(spsc_peek(r, &len));
        ck_assert_uint_eq(len, largest);
        spsc_pop(r);
    }
    spsc_free(r);
}
END_TEST

#define N_MESSAGES 300000u

static void *produce(void *ring)
{
    for (uint64_t i = 0; i < N_MESSAGES;) {
        if (put_message(ring, i))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

START_TEST(two_threads)
{
    struct spsc *r = spsc_new(CAPACITY);
    pthread_t producer;
    int bad = 0;

    ck_assert_int_eq(pthread_create(&producer, NULL, produce, r), 0);
    for (uint64_t i = 0; i < N_MESSAGES && !bad;) {
        int got = take_message(r, i);
        bad = got < 0;
        i += got > 0;
        if (got == 0)
            sched_yield();
    }
    ck_assert(!bad); /* the producer would wait for ever: give the thread up with the process */
    pthread_join(producer, NULL);
    ck_assert_uint_eq(spsc_used_bytes(r), 0);
    spsc_free(r);
}
END_TEST

UNIT_MAIN("spsc", empty_and_uncommitted, a_full_ring_refuses_and_keeps_order,
          the_largest_message_always_fits_an_empty_ring, two_threads)

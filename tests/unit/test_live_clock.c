/* SPDX-License-Identifier: BSD-3-Clause */

/* The clock of live packets while somebody sets the system's. */

#include <stdlib.h>

#include "common/timefmt.h"
#include "dataplane/live_clock.h"
#include "tests/unit/unit.h"

#define EPOCH  (1700000000ull * NS_PER_S)
#define STEADY (5000ull * NS_PER_S) /* since the machine was started */

/* Asks every millisecond for `s` seconds from steady time *t on, the system's clock being `off_ns` away from EPOCH at
 * STEADY; checks that time never runs back and passes as the steady clock does, to a thousandth. Returns the last time.
 */
static uint64_t run(struct live_clock *c, uint64_t *t, unsigned s, int64_t off_ns)
{
    const uint64_t every_ns = NS_PER_MS;
    uint64_t last_ns = 0;

    for (uint64_t end = *t + s * NS_PER_S; *t < end; *t += every_ns) {
        uint64_t now_ns = live_clock_ns(c, *t, EPOCH + (*t - STEADY) + (uint64_t)off_ns);
        if (last_ns != 0) {
            ck_assert_uint_ge(now_ns - last_ns, every_ns - every_ns / 1000);
            ck_assert_uint_le(now_ns - last_ns, every_ns + every_ns / 1000);
        }
        last_ns = now_ns;
    }
    return last_ns - (*t - every_ns - STEADY) - EPOCH; /* how far from where it began */
}

START_TEST(small_corrections_are_followed_slowly)
{
    struct live_clock c = {0};
    uint64_t t = STEADY;

    ck_assert_int_eq((int64_t)run(&c, &t, 2, 0), 0);
    ck_assert_int_lt((int64_t)run(&c, &t, 1, 5 * (int64_t)NS_PER_MS), 2 * (int64_t)NS_PER_MS);
    ck_assert_int_eq((int64_t)run(&c, &t, 10, 5 * (int64_t)NS_PER_MS), 5 * (int64_t)NS_PER_MS);
    ck_assert_int_eq((int64_t)run(&c, &t, 20, -(int64_t)NS_PER_MS), -(int64_t)NS_PER_MS);
    ck_assert_uint_eq(c.steps, 0);
}
END_TEST

START_TEST(a_step_ahead_is_taken_at_once)
{
    struct live_clock c = {0};
    uint64_t t = STEADY;

    run(&c, &t, 1, 0);
    ck_assert_int_eq((int64_t)run(&c, &t, 1, 3600 * (int64_t)NS_PER_S), 3600 * (int64_t)NS_PER_S);
    ck_assert_uint_eq(c.steps, 1);
}
END_TEST

/* Windows go on to end after it: time passes, a thousandth slower. */
START_TEST(after_a_step_back_the_old_time_goes_on)
{
    struct live_clock c = {0};
    uint64_t t = STEADY;

    run(&c, &t, 1, 0);
    int64_t lag_ns = (int64_t)run(&c, &t, 30, -3600 * (int64_t)NS_PER_S);
    ck_assert(lag_ns < 0 && lag_ns >= -31 * (int64_t)NS_PER_MS);
    ck_assert_uint_eq(c.steps, 1);
    run(&c, &t, 1, 0); /* set right again: no jump, and no second step is counted */
    ck_assert_int_ge((int64_t)run(&c, &t, 60, 0), -(int64_t)NS_PER_MS);
    ck_assert_uint_eq(c.steps, 1);
}
END_TEST

UNIT_MAIN("live_clock", small_corrections_are_followed_slowly, a_step_ahead_is_taken_at_once,
          after_a_step_back_the_old_time_goes_on)

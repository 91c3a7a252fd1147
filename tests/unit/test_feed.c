/* SPDX-License-Identifier: BSD-3-Clause */

/* Following the store: windows published through the telemetry contract by one and by two sensors become steps, in
 * order, once each, across restarts; degraded minutes prove nothing; a lagging sensor is waited for, but not for ever.
 */

#include <time.h>
#include "control/feed.h"
#include "store/schema.h"
#include "tests/unit/control_fixture.h"

struct publisher {
    struct store *s;
    struct schema_sensor info;
    struct schema_id last;
};

static uint64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S;
}

static void publisher_init(struct publisher *p, struct store *s, const char *name)
{
    *p = (struct publisher){.s = s};
    snprintf(p->info.name, sizeof(p->info.name), "%s", name);
    snprintf(p->info.version, sizeof(p->info.version), "test");
    p->info.live = true;
    p->info.window_ns = 10 * NS_PER_S;
    p->info.n_workers = 1;
    for (int t = 0; t < SCHEMA_TIER_COUNT; t++)
        p->info.latest_start_ns[t] = UINT64_MAX;
}

/* One minute of one path with `lost` of 10,000 packets towards A. */
static void publish(struct publisher *p, uint64_t start_ns, uint64_t lost, bool degraded)
{
    struct window w = {.scope = WINDOW_PATH, .name = "A~B", .start_ns = start_ns, .length_ns = MIN_NS};
    struct schema_closed c = {.tier = SCHEMA_1MIN,
                              .degraded = degraded,
                              .parts = 6,
                              .parts_expected = 6,
                              .start_ns = start_ns,
                              .length_ns = MIN_NS};
    struct schema_outcome outcome;

    for (int d = 0; d < 2; d++) {
        w.c.dir[d].bytes = 10000000;
        w.c.dir[d].pkts = 12000;
        w.c.dir[d].data_pkts = 10000;
        w.c.dir[d].judged_pkts = 10000;
    }
    w.c.dir[1].lost_downstream_pkts = lost;
    ck_assert_int_eq(schema_put_window(p->s, p->info.name, SCHEMA_1MIN, p->info.window_ns, &w), 0);
    ck_assert_int_eq(schema_put_object(p->s, p->info.name, WINDOW_PATH, "A~B", start_ns), 0);
    schema_id_format(c.id, schema_id_next(&p->last, start_ns));
    ck_assert_int_eq(schema_put_closed(p->s, p->info.name, &c), 0);
    p->info.latest_start_ns[SCHEMA_1MIN] = start_ns;
    p->info.data_ns = start_ns + MIN_NS;
    p->info.heartbeat_wall_ns = wall_ns();
    ck_assert_int_eq(schema_put_sensor(p->s, &p->info), 0);
    ck_assert_int_eq(schema_flush(p->s, &outcome), 0);
    ck_assert_uint_eq(outcome.refused, 0);
}

static int poll_feed(struct feed *feed, bool catch_up)
{
    struct error e = {""};
    int n = feed_poll(feed, catch_up, 1000, &e);

    ck_assert_msg(n >= 0, "%s", e.text);
    return n;
}

START_TEST(minutes_become_an_incident)
{
    struct fixture f;
    struct publisher p;
    struct found found;

    fixture_start(&f);
    struct store *writer = connect_redis(store_private_url(f.redis));
    publisher_init(&p, writer, "edge");
    struct feed *feed = feed_new(f.store, f.c);
    ck_assert_int_eq(poll_feed(feed, false), 0); /* nobody there yet */
    int taken = 0;
    for (int m = 0; m < 90; m++) {
        uint64_t start_ns = FIXTURE_MONDAY_NS + (uint64_t)m * MIN_NS;
        publish(&p, start_ns, m >= 30 && m < 50 ? 300 : 0, m >= 60 && m < 80);
        if (m % 7 == 6)
            taken += poll_feed(feed, false);
        if (m % 20 == 19) { /* a restart: nothing twice, nothing left out */
            feed_free(feed);
            fixture_reopen(&f);
            feed = feed_new(f.store, f.c);
        }
    }
    taken += poll_feed(feed, false);
    ck_assert_int_eq(taken, 90);
    ck_assert_int_eq(poll_feed(feed, false), 0);
    ck_assert_uint_eq(control_cursor_ns(f.c), FIXTURE_MONDAY_NS + 90 * MIN_NS);
    ck_assert_uint_eq(control_sensor_cursor(f.c, "edge")->windows, 90);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_uint_eq(found.u.incident[0].onset_ns, FIXTURE_MONDAY_NS + 30 * MIN_NS);
    ck_assert_uint_eq(found.u.incident[0].end_ns, FIXTURE_MONDAY_NS + 50 * MIN_NS);
    /* Ten quiet minutes, twenty degraded ones that say nothing, then the last five. */
    ck_assert_uint_eq(found.u.incident[0].cleared_ns, FIXTURE_MONDAY_NS + 85 * MIN_NS);
    feed_free(feed);
    store_close(writer);
    fixture_stop(&f);
}
END_TEST

START_TEST(sensors_are_waited_for)
{
    struct fixture f;
    struct publisher a, b;

    fixture_start(&f);
    struct store *writer = connect_redis(store_private_url(f.redis));
    struct feed *feed = feed_new(f.store, f.c);
    publisher_init(&a, writer, "a");
    publisher_init(&b, writer, "b");
    publish(&a, FIXTURE_MONDAY_NS, 0, false);
    publish(&b, FIXTURE_MONDAY_NS, 0, false);
    ck_assert_int_eq(poll_feed(feed, false), 1); /* both views are one step */
    publish(&a, FIXTURE_MONDAY_NS + MIN_NS, 0, false);
    ck_assert_int_eq(poll_feed(feed, false), 0); /* b may still come */
    publish(&b, FIXTURE_MONDAY_NS + MIN_NS, 0, false);
    ck_assert_int_eq(poll_feed(feed, false), 1);
    for (uint64_t m = 2; m < 7; m++)
        publish(&a, FIXTURE_MONDAY_NS + m * MIN_NS, 0, false);
    ck_assert_int_eq(poll_feed(feed, false), 2); /* three minutes behind: goes on without b */
    ck_assert_int_eq(poll_feed(feed, true), 3);
    publish(&b, FIXTURE_MONDAY_NS + 2 * MIN_NS, 0, false); /* too late */
    uint64_t cursor = control_cursor_ns(f.c);
    poll_feed(feed, true);
    ck_assert_uint_eq(control_cursor_ns(f.c), cursor);
    ck_assert_uint_eq(control_sensor_cursor(f.c, "b")->closed_ns, FIXTURE_MONDAY_NS + 3 * MIN_NS);
    feed_free(feed);
    store_close(writer);
    fixture_stop(&f);
}
END_TEST

START_TEST(a_dead_store_is_an_error)
{
    struct fixture f;
    struct error e = {""};

    fixture_start(&f);
    struct feed *feed = feed_new(f.store, f.c);
    kill(redis_pid(f.store), SIGKILL);
    ck_assert_int_lt(feed_poll(feed, false, 10, &e), 0);
    ck_assert_str_ne(e.text, "");
    feed_free(feed);
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("feed", minutes_become_an_incident, sensors_are_waited_for, a_dead_store_is_an_error)

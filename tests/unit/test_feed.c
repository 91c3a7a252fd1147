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

/* A window of one object with `lost` of 10,000 packets towards A, and so many bytes in each direction. */
static void put(struct publisher *p, enum window_scope scope, const char *name, uint64_t start_ns, uint64_t lost,
                uint64_t bytes)
{
    bool minutes = p->info.window_ns < MIN_NS;
    struct window w = {.scope = scope, .start_ns = start_ns, .length_ns = minutes ? MIN_NS : p->info.window_ns};

    snprintf(w.name, sizeof(w.name), "%s", name);
    for (int d = 0; d < 2; d++) {
        w.c.dir[d].bytes = bytes;
        w.c.dir[d].pkts = 12000;
        w.c.dir[d].data_pkts = 10000;
        w.c.dir[d].judged_pkts = 10000;
    }
    w.c.dir[1].lost_downstream_pkts = lost;
    ck_assert_int_eq(schema_put_window(p->s, p->info.name, minutes ? SCHEMA_1MIN : SCHEMA_BASE, p->info.window_ns, &w),
                     0);
    ck_assert_int_eq(schema_put_object(p->s, p->info.name, scope, name, start_ns), 0);
}

/* The window that starts there is complete. */
static void put_closed(struct publisher *p, uint64_t start_ns, bool degraded)
{
    bool minutes = p->info.window_ns < MIN_NS;
    struct schema_closed c = {.tier = minutes ? SCHEMA_1MIN : SCHEMA_BASE,
                              .degraded = degraded,
                              .parts = minutes ? 6 : 1,
                              .parts_expected = minutes ? 6 : 1,
                              .start_ns = start_ns,
                              .length_ns = minutes ? MIN_NS : p->info.window_ns};
    struct schema_outcome outcome;

    schema_id_format(c.id, schema_id_next(&p->last, start_ns));
    ck_assert_int_eq(schema_put_closed(p->s, p->info.name, &c), 0);
    p->info.latest_start_ns[c.tier] = start_ns;
    p->info.data_ns = start_ns + c.length_ns;
    p->info.heartbeat_wall_ns = wall_ns();
    ck_assert_int_eq(schema_put_sensor(p->s, &p->info), 0);
    ck_assert_int_eq(schema_flush(p->s, &outcome), 0);
    ck_assert_uint_eq(outcome.refused, 0);
}

/* One minute of one path. */
static void publish(struct publisher *p, uint64_t start_ns, uint64_t lost, bool degraded)
{
    put(p, WINDOW_PATH, "A~B", start_ns, lost, 10000000);
    put_closed(p, start_ns, degraded);
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

/* detect.scopes: only what it names is judged. */
START_TEST(scopes_that_are_asked_for)
{
    static const struct {
        const char *scopes;
        size_t incidents;
    } cases[] = {{"path", 0}, {"path, service", 1}, {"service host", 2}};
    struct error e = {""};

    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        struct publisher p;
        struct found found;
        fixture_start(&f);
        struct store *writer = connect_redis(store_private_url(f.redis));
        publisher_init(&p, writer, "edge");
        struct feed *feed = feed_new(f.store, f.c);
        ck_assert_int_eq(feed_set_scopes(feed, "path,planet", &e), -EINVAL);
        ck_assert_int_eq(feed_set_scopes(feed, cases[k].scopes, &e), 0);
        for (uint64_t m = 0; m < 30; m++) {
            uint64_t start_ns = FIXTURE_MONDAY_NS + m * MIN_NS, lost = m >= 10 && m < 20 ? 400 : 0;
            put(&p, WINDOW_SERVICE, "HTTPS", start_ns, lost, 1000000);
            put(&p, WINDOW_HOST, "192.0.2.7", start_ns, lost, 1000000);
            publish(&p, start_ns, 0, false);
        }
        ck_assert_int_eq(poll_feed(feed, true), 30);
        fixture_find(&f, ENTITY_INCIDENT, &found);
        ck_assert_uint_eq(found.n, cases[k].incidents);
        for (size_t i = 0; i < found.n; i++) {
            const struct entity_incident *x = &found.u.incident[i];
            ck_assert(x->scope == (x->object[0] == 'H' ? SCOPE_SERVICE : SCOPE_HOST));
            ck_assert_uint_eq(x->onset_ns, FIXTURE_MONDAY_NS + 10 * MIN_NS);
        }
        feed_free(feed);
        store_close(writer);
        fixture_stop(&f);
    }
}
END_TEST

/* Five weeks of hours with little traffic on Sundays, then a Thursday as quiet as a Sunday: a fault, or a holiday. */
static size_t incidents_on_a_quiet_thursday(const char *holidays_text)
{
    struct holidays holidays;
    struct fixture f;
    struct publisher p;
    struct found found;
    struct error e = {""};

    fixture_start(&f);
    ck_assert_int_eq(holidays_parse(&holidays, holidays_text, &e), 0);
    f.options.detect.holidays = &holidays;
    fixture_reopen(&f);
    struct store *writer = connect_redis(store_private_url(f.redis));
    publisher_init(&p, writer, "edge");
    p.info.window_ns = HOUR_NS;
    struct feed *feed = feed_new(f.store, f.c);
    for (uint64_t day = 0; day < 39; day++) {
        bool quiet = day % 7 == 6 || day == 38;
        for (uint64_t h = 0; h < 24; h++) {
            uint64_t start_ns = FIXTURE_MONDAY_NS + day * DAY_NS + h * HOUR_NS;
            put(&p, WINDOW_PATH, "A~B", start_ns, 0, (quiet ? 20000000 : 400000000) + (day * 7 + h * 5) % 11 * 1000000);
            put_closed(&p, start_ns, false);
        }
        ck_assert_int_eq(poll_feed(feed, true), 24);
    }
    fixture_find(&f, ENTITY_INCIDENT, &found);
    for (size_t i = 0; i < found.n; i++) {
        ck_assert_int_eq(found.u.incident[i].fault, FAULT_LOAD);
        ck_assert_uint_eq(found.u.incident[i].onset_ns, FIXTURE_MONDAY_NS + 38 * DAY_NS);
    }
    feed_free(feed);
    store_close(writer);
    fixture_stop(&f);
    return found.n;
}

START_TEST(a_holiday_is_a_sunday)
{
    ck_assert_uint_gt(incidents_on_a_quiet_thursday(""), 0);
    ck_assert_uint_eq(incidents_on_a_quiet_thursday("2026-11-05"), 0);
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

UNIT_MAIN("feed", minutes_become_an_incident, sensors_are_waited_for, scopes_that_are_asked_for, a_holiday_is_a_sunday,
          a_dead_store_is_an_error)

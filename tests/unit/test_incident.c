/* SPDX-License-Identifier: BSD-3-Clause */

/* The life of an incident on a real Redis: grouping, reopening, flapping, severity, acknowledgement, silence of the
 * sensor. */

#include "tests/unit/control_fixture.h"

START_TEST(life_of_an_incident)
{
    struct fixture f;
    struct found found;
    struct error e;

    fixture_start(&f);
    fixture_until(&f, "A~B", FIXTURE_MONDAY_NS + HOUR_NS, 0);
    uint64_t onset = f.now_ns;
    fixture_until(&f, "A~B", onset + 7 * MIN_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    struct entity_incident *i = &found.u.incident[0];
    ck_assert_str_eq(i->id, "INC-1");
    ck_assert_int_eq(i->state, INCIDENT_PENDING);
    ck_assert_int_eq(i->severity, EVENT_minor);
    ck_assert_uint_eq(i->onset_ns, onset);
    ck_assert_int_eq(i->fault, FAULT_LOSS);
    ck_assert_int_eq(i->direction, DIRECTION_B2A);
    /* printf 'v1|path|A~B|b2a|loss' | sha256sum */
    ck_assert_str_eq(i->fingerprint, "2fbea576bfb24b7f44abe8104331e5b588d5eaa649cf57a745f891a49b72bd5a");
    fixture_until(&f, "A~B", onset + 10 * MIN_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(i->state, INCIDENT_OPEN);
    ck_assert_int_eq(control_act(f.c, CONTROL_ACK, "INC-1", "", f.now_ns, &e), 0);
    fixture_until(&f, "A~B", onset + 12 * MIN_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(i->state, INCIDENT_ACKED);
    /* A rise in severity takes the acknowledgement away. */
    fixture_until(&f, "A~B", onset + 30 * MIN_NS, 0.30);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(i->state, INCIDENT_OPEN);
    ck_assert_int_eq(i->severity, EVENT_critical);
    ck_assert_uint_eq(i->bad_minutes, 30);
    ck_assert_uint_eq(i->lost_upstream_pkts, 0);
    ck_assert_uint_gt(i->lost_downstream_pkts, 18 * 3000);
    fixture_until(&f, "A~B", onset + 45 * MIN_NS, 0);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(i->state, INCIDENT_CLEARED);
    ck_assert_uint_eq(i->end_ns, onset + 30 * MIN_NS);
    ck_assert_uint_eq(i->cleared_ns, onset + 45 * MIN_NS);
    fixture_until(&f, "A~B", onset + 75 * MIN_NS, 0);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(i->state, INCIDENT_CLOSED);
    ck_assert_int_eq(control_act(f.c, CONTROL_ACK, "INC-1", "", f.now_ns, &e), -ENOENT);
    fixture_stop(&f);
}
END_TEST

/* Who has acknowledged a fault that goes on for a day is asked again. */
START_TEST(an_acknowledgement_expires)
{
    struct fixture f;
    struct found found;
    struct error e;

    fixture_start(&f);
    fixture_until(&f, "A~B", FIXTURE_MONDAY_NS + HOUR_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + 9 * HOUR_NS, 0.03); /* after eight hours its severity rises */
    uint64_t acked_ns = f.now_ns;
    ck_assert_int_eq(control_act(f.c, CONTROL_ACK, "INC-1", "", acked_ns, &e), 0);
    fixture_until(&f, "A~B", acked_ns + DAY_NS - MIN_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_int_eq(found.u.incident[0].state, INCIDENT_ACKED);
    fixture_until(&f, "A~B", acked_ns + DAY_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(found.u.incident[0].state, INCIDENT_OPEN);
    ck_assert_uint_eq(found.u.incident[0].acked_ns, acked_ns);
    ck_assert_int_eq(control_act(f.c, CONTROL_ACK, "INC-1", "", f.now_ns, &e), 0);
    fixture_stop(&f);
}
END_TEST

START_TEST(sooner_reopens_later_is_new)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.03);
    fixture_until(&f, "A~B", f.now_ns + 25 * MIN_NS, 0); /* cleared after 15 */
    fixture_reopen(&f);                                  /* nothing was committed: the story starts again */
    ck_assert_uint_eq(control_cursor_ns(f.c), 0);
    f.now_ns = FIXTURE_MONDAY_NS;
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.03);
    fixture_until(&f, "A~B", f.now_ns + 25 * MIN_NS, 0);
    fixture_commit(&f);
    fixture_reopen(&f);
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_int_eq(found.u.incident[0].state, INCIDENT_OPEN);
    ck_assert_uint_eq(found.u.incident[0].transitions, 3);
    fixture_until(&f, "A~B", f.now_ns + 50 * MIN_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 2);
    ck_assert_int_eq(found.u.incident[0].state, INCIDENT_CLOSED);
    ck_assert_str_eq(found.u.incident[0].fingerprint, found.u.incident[1].fingerprint);
    fixture_stop(&f);
}
END_TEST

START_TEST(flapping_is_one_quiet_ticket)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    for (int i = 0; i < 8; i++) {
        fixture_until(&f, "A~B", f.now_ns + 8 * MIN_NS, 0.10);
        fixture_until(&f, "A~B", f.now_ns + 16 * MIN_NS, 0);
    }
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_uint_eq(found.u.incident[0].flapping, 1);
    ck_assert_uint_eq(found.u.incident[0].transitions, 16);
    fixture_find(&f, ENTITY_OUTBOX, &found);
    ck_assert_uint_lt(found.n, 8);
    fixture_until(&f, "A~B", f.now_ns + 4 * HOUR_NS, 0);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.u.incident[0].flapping, 0);
    ck_assert_int_eq(found.u.incident[0].state, INCIDENT_CLOSED);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_int_eq(found.u.ticket[0].state, TICKET_CLOSED);
    fixture_stop(&f);
}
END_TEST

START_TEST(one_object_one_speaker)
{
    struct fixture f;
    struct found found;
    struct observation bad = quiet_observation();

    fixture_start(&f);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    bad.dir[0].lost_upstream_pkts = 800; /* 8 %, and most connections fail */
    bad.connects = 50;
    bad.failed_connects = 150;
    for (int i = 0; i < 30; i++)
        fixture_step(&f, "A~B", &bad);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 2);
    ck_assert_str_eq(found.u.incident[0].parent, "");
    ck_assert_str_eq(found.u.incident[1].parent, "INC-1");
    ck_assert_int_eq(found.u.incident[0].fault, FAULT_LOSS);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_str_eq(found.u.ticket[0].incident, "INC-1");
    ck_assert_ptr_nonnull(strstr(found.u.ticket[0].title, "A ↔ B: loss towards B"));
    ck_assert_ptr_nonnull(strstr(found.u.ticket[0].body, "100 % were lost between A and the tap"));
    fixture_stop(&f);
}
END_TEST

START_TEST(minor_files_nothing)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0.03);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 0);
    fixture_stop(&f);
}
END_TEST

START_TEST(what_is_not_observed_is_not_open_for_ever)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.03);
    fixture_until(&f, "C~D", f.now_ns + 3 * HOUR_NS, 0); /* A~B is silent */
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_ge(found.u.incident[0].state, INCIDENT_CLEARED);
    ck_assert_str_eq(found.u.incident[0].suppressed, "not observed any more");
    fixture_stop(&f);
}
END_TEST

/* Names come from packets and configurations: whatever they hold, state stays storable and on one line. */
START_TEST(hostile_names)
{
    struct fixture f;
    struct found found;
    static const char name[] = "\x1b[31m<b>\xff\xfe\n~|x|{ctl}";

    fixture_start(&f);
    fixture_until(&f, name, f.now_ns + HOUR_NS, 0);
    fixture_until(&f, name, f.now_ns + 20 * MIN_NS, 0.30);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    for (const char *p = found.u.ticket[0].title; *p != '\0'; p++)
        ck_assert((unsigned char)*p >= 0x20);
    fixture_reopen(&f); /* the names with bars parse back */
    fixture_until(&f, name, f.now_ns + 20 * MIN_NS, 0.30);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_uint_eq(found.u.incident[0].bad_minutes, 40);
    fixture_stop(&f);
}
END_TEST

/* The order in which windows arrive within a minute is of no effect. */
START_TEST(order_of_windows_is_of_no_effect)
{
    char *dump[2];

    for (int turn = 0; turn < 2; turn++) {
        struct fixture f;
        static const char *const names[] = {"C~Z", "A~Z", "B~Z"};
        fixture_start(&f);
        for (int i = 0; i < 200; i++) {
            struct observation o = quiet_observation();
            if (i >= 100 && i < 130)
                o.dir[0].lost_downstream_pkts = 900;
            for (int k = 0; k < 3; k++)
                control_observe(f.c, control_object(f.c, WINDOW_PATH, names[turn == 0 ? k : 2 - k]), &o);
            control_step(f.c, f.now_ns, MIN_NS);
            f.now_ns += MIN_NS;
        }
        fixture_commit(&f);
        dump[turn] = dump_store(f.store);
        fixture_stop(&f);
    }
    ck_assert_uint_gt(strlen(dump[0]), 1000);
    ck_assert(strcmp(dump[0], dump[1]) == 0);
    free(dump[0]);
    free(dump[1]);
}
END_TEST

UNIT_MAIN("incident", life_of_an_incident, an_acknowledgement_expires, sooner_reopens_later_is_new,
          flapping_is_one_quiet_ticket, one_object_one_speaker, minor_files_nothing,
          what_is_not_observed_is_not_open_for_ever, hostile_names, order_of_windows_is_of_no_effect)

/* SPDX-License-Identifier: BSD-3-Clause */

/* Many paths at once: a circuit's failure is one incident with members, and a restart in the middle of it changes
 * nothing; chance is not a circuit. Silence, maintenance, and changes that are suspect. */

#include "control/internal.h"
#include "tests/unit/control_fixture.h"

#define PATHS 24u

static void say(struct fixture *f, const char *verb, const char *object, const char *arguments)
{
    const struct control_command x = {.actor = "ann", .verb = verb, .object = object, .arguments = arguments};
    struct entity_audit *a = calloc(1, sizeof(*a));

    ck_assert_int_eq(control_command(f->c, &x, f->now_ns, a), 0);
    ck_assert_msg(a->done, "%s", a->result);
    free(a);
}

/* Steps of all paths; those in `bad` (a bit each) lose a tenth towards A. */
static void many_until(struct fixture *f, uint64_t until_ns, uint32_t bad)
{
    char name[32];

    while (f->now_ns < until_ns) {
        for (unsigned p = 0; p < PATHS; p++) {
            struct observation o = quiet_observation();
            o.dir[1].lost_downstream_pkts = bad >> p & 1 ? 1000 : 0;
            snprintf(name, sizeof(name), "Branch-%02u~DC", p);
            control_observe(f->c, control_object(f->c, WINDOW_PATH, name), &o);
        }
        ck_assert(control_step(f->c, f->now_ns, f->window_ns));
        f->now_ns += f->window_ns;
    }
}

static void add_circuits(struct fixture *f)
{
    say(f, "circuit.add", "", "{\"title\":\"MPLS-1\",\"objects\":\"Branch-0?~DC\",\"owner\":\"carrier\"}");
    say(f, "circuit.add", "", "{\"title\":\"MPLS-2\",\"objects\":\"Branch-1?~DC\"}");
}

START_TEST(one_incident_for_a_circuit)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    add_circuits(&f);
    many_until(&f, f.now_ns + HOUR_NS, 0);
    many_until(&f, f.now_ns + 3 * MIN_NS, 0x0ff); /* two of its ten paths stay well */
    fixture_commit(&f);
    fixture_reopen(&f);
    many_until(&f, f.now_ns + 9 * MIN_NS, 0x0ff);
    fixture_commit(&f);
    fixture_reopen(&f);
    many_until(&f, f.now_ns + 28 * MIN_NS, 0x1ff); /* one more comes late */
    many_until(&f, f.now_ns + 2 * HOUR_NS, 0);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 10);
    size_t alone = 0;
    char parent[ENTITY_ID_BYTES] = "";
    for (size_t i = 0; i < found.n; i++) {
        const struct entity_incident *e = &found.u.incident[i];
        ck_assert_int_eq(e->state, INCIDENT_CLOSED);
        if (e->parent[0] != '\0')
            continue;
        alone++;
        snprintf(parent, sizeof(parent), "%s", e->id);
        ck_assert_str_eq(e->cause, "circuit MPLS-1");
        ck_assert_int_eq(e->scope, SCOPE_CIRCUIT);
        ck_assert_str_eq(e->object, "MPLS-1");
        ck_assert_str_eq(e->owner, "carrier");
        ck_assert_uint_eq(e->members, 9);
        ck_assert_uint_eq(e->onset_ns, FIXTURE_MONDAY_NS + HOUR_NS);
        ck_assert_uint_eq(e->end_ns, FIXTURE_MONDAY_NS + HOUR_NS + 40 * MIN_NS);
        ck_assert_double_eq_tol(e->value, 0.1, 1e-9);
    }
    ck_assert_uint_eq(alone, 1);
    for (size_t i = 0; i < found.n; i++)
        ck_assert(found.u.incident[i].parent[0] == '\0' || strcmp(found.u.incident[i].parent, parent) == 0);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_str_eq(found.u.ticket[0].incident, parent);
    fixture_stop(&f);
}
END_TEST

/* Two paths of ten are two incidents; so are three far apart in time. */
START_TEST(few_paths_are_no_circuit)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    add_circuits(&f);
    many_until(&f, f.now_ns + HOUR_NS, 0);
    many_until(&f, f.now_ns + 30 * MIN_NS, 0x003);
    many_until(&f, f.now_ns + 30 * MIN_NS, 0x103);
    many_until(&f, f.now_ns + 30 * MIN_NS, 0x500);
    many_until(&f, f.now_ns + 2 * HOUR_NS, 0);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 4);
    for (size_t i = 0; i < found.n; i++) {
        ck_assert_str_eq(found.u.incident[i].cause, "");
        ck_assert_str_eq(found.u.incident[i].parent, "");
    }
    fixture_stop(&f);
}
END_TEST

START_TEST(a_silence_holds_back_and_lets_go)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    many_until(&f, f.now_ns + HOUR_NS, 0);
    say(&f, "silence.add", "", "{\"objects\":\"Branch-03\",\"lasts_s\":3600,\"reason\":\"parts ordered\"}");
    many_until(&f, f.now_ns + 50 * MIN_NS, 1u << 3 | 1u << 5);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1); /* that of Branch-05 */
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 2);
    ck_assert_str_eq(found.u.incident[0].suppressed, "silence SIL-1");
    ck_assert_str_eq(found.u.incident[1].suppressed, "");
    many_until(&f, f.now_ns + 20 * MIN_NS, 1u << 3 | 1u << 5);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 2);
    fixture_stop(&f);
}
END_TEST

START_TEST(maintenance_is_not_observed)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    many_until(&f, f.now_ns + 2 * HOUR_NS, 0);
    say(&f, "change.add", "", "{\"title\":\"new line\",\"objects\":\"Branch-03\",\"lasts_s\":7200,\"window\":true}");
    many_until(&f, f.now_ns + 2 * HOUR_NS - 10 * MIN_NS, 1u << 3);
    many_until(&f, f.now_ns + 3 * HOUR_NS, 0);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 0);
    const struct control_object *o = control_object(f.c, WINDOW_PATH, "Branch-03~DC");
    const struct control_object *other = control_object(f.c, WINDOW_PATH, "Branch-04~DC");
    struct local_time t;
    local_from_ns(FIXTURE_MONDAY_NS, &t);
    ck_assert_uint_eq(series_exposure(o->line[METRIC_LOSS_B2A].series, t.date) & 0x0C, 0);
    ck_assert_uint_eq(series_exposure(other->line[METRIC_LOSS_B2A].series, t.date) & 0x0C, 0x0C);
    fixture_stop(&f);
}
END_TEST

/* Of two changes the one on the path, ten minutes before, comes first; one of another path is none. */
START_TEST(changes_are_suspect)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    f.window_ns = 15 * MIN_NS;
    many_until(&f, f.now_ns + 20 * DAY_NS, 0);
    say(&f, "change.add", "", "{\"title\":\"core\",\"objects\":\"*\"}");
    say(&f, "change.add", "", "{\"title\":\"elsewhere\",\"objects\":\"Branch-07\"}");
    many_until(&f, f.now_ns + 30 * MIN_NS, 1u << 9 | 1u << 11);
    say(&f, "change.add", "", "{\"title\":\"firmware\",\"objects\":\"Branch-03\"}");
    many_until(&f, f.now_ns + 2 * HOUR_NS, 1u << 3);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    const struct entity_incident *e = NULL;
    for (size_t i = 0; i < found.n; i++)
        e = strcmp(found.u.incident[i].object, "Branch-03~DC") == 0 ? &found.u.incident[i] : e;
    ck_assert_ptr_nonnull(e);
    ck_assert_ptr_nonnull(strstr(e->suspects, "CHG-3 p=0.004"));
    ck_assert_ptr_nonnull(strstr(e->suspects, "CHG-1"));
    ck_assert_ptr_null(strstr(e->suspects, "CHG-2"));
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("cause", one_incident_for_a_circuit, few_paths_are_no_circuit, a_silence_holds_back_and_lets_go,
          maintenance_is_not_observed, changes_are_suspect)

/* SPDX-License-Identifier: BSD-3-Clause */

/* Problems on a real Redis: confirmed at the right look, one ticket for one fault, adopted from its incidents, verified
 * by evidence, failed fixes, members, owners, and verbs that are refused. */

#include "tests/unit/control_fixture.h"

#define QUARTER_NS (15 * MIN_NS)

/* One week in windows of 15 minutes, with loss on Tuesday 08-11 when bad. */
static void week(struct fixture *f, double loss)
{
    uint64_t monday = f->now_ns;

    f->window_ns = QUARTER_NS;
    fixture_until(f, "Branch-12~DC", monday + DAY_NS + 8 * HOUR_NS, 0);
    fixture_until(f, "Branch-12~DC", monday + DAY_NS + 11 * HOUR_NS, loss);
    fixture_until(f, "Branch-12~DC", monday + WEEK_NS, 0);
}

static struct entity_problem the_problem(struct fixture *f)
{
    struct found found;

    fixture_find(f, ENTITY_PROBLEM, &found);
    ck_assert_uint_eq(found.n, 1);
    return found.u.problem[0];
}

START_TEST(confirmed_after_four_weeks)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    for (int w = 0; w < 4; w++) {
        week(&f, 0.03);
        fixture_find(&f, ENTITY_PROBLEM, &found);
        for (size_t i = 0; i < found.n; i++)
            ck_assert_int_eq(found.u.problem[i].state, PROBLEM_CANDIDATE);
        fixture_find(&f, ENTITY_TICKET, &found);
        ck_assert_uint_eq(found.n, 0);
    }
    fixture_until(&f, "Branch-12~DC", f.now_ns + HOUR_NS, 0); /* Monday: the look */
    struct entity_problem p = the_problem(&f);
    ck_assert_int_eq(p.state, PROBLEM_CONFIRMED);
    ck_assert_int_eq(p.pattern, PATTERN_WEEKLY_SLOT);
    ck_assert_uint_eq(p.weekday, 1);
    ck_assert_uint_eq(p.from_hour, 8);
    ck_assert_uint_eq(p.to_hour, 11);
    ck_assert_str_eq(p.pattern_text, "every Tuesday 08:00–11:00");
    ck_assert_uint_eq(p.occurrences, 4);
    ck_assert_uint_eq(p.exposures, 4);
    ck_assert_uint_eq(p.dates_seen, 28);
    ck_assert_double_eq_tol(p.p_value, 168.0 / 20475.0, 1e-9);
    ck_assert_uint_eq(p.clean_needed, 4);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_str_eq(found.u.ticket[0].title,
                     "Branch-12 ↔ DC: loss towards Branch-12, Tuesdays 08:00–11:00, 4 of 4 weeks");
    ck_assert_str_eq(found.u.ticket[0].problem, "PRB-1");
    ck_assert_str_eq(p.ticket, "TKT-1");
    fixture_stop(&f);
}
END_TEST

START_TEST(what_nobody_owns_is_escalated)
{
    struct fixture f;

    fixture_start(&f);
    for (int w = 0; w < 5; w++)
        week(&f, 0.03);
    ck_assert_ptr_null(strstr(the_problem(&f).next_decision, "review"));
    for (int w = 0; w < 2; w++)
        week(&f, 0.03);
    ck_assert_str_eq(the_problem(&f).next_decision, "nobody has owned it for 14 days: name an owner in the review");
    struct error e;
    ck_assert_int_eq(control_act(f.c, CONTROL_ASSIGN, "PRB-1", "ann", f.now_ns, &e), 0);
    week(&f, 0.03);
    ck_assert_ptr_null(strstr(the_problem(&f).next_decision, "review"));
    fixture_stop(&f);
}
END_TEST

START_TEST(problem_adopts_its_incidents_ticket)
{
    struct fixture f;
    struct found found;

    fixture_start(&f);
    for (int w = 0; w < 6; w++)
        week(&f, 0.08); /* major: the first Tuesday files */
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1); /* one fault, one ticket */
    ck_assert_str_eq(found.u.ticket[0].problem, "PRB-1");
    ck_assert_int_eq(found.u.ticket[0].state, TICKET_OPEN);
    ck_assert_ptr_nonnull(strstr(found.u.ticket[0].title, "Tuesdays 08:00–11:00, 6 of 6 weeks"));
    ck_assert_uint_eq(the_problem(&f).occurrences, 6);
    fixture_find(&f, ENTITY_OUTBOX, &found);
    size_t creates = 0;
    for (size_t i = 0; i < found.n; i++)
        creates += found.u.outbox[i].op == OUTBOX_CREATE;
    ck_assert_uint_eq(creates, 1);
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_str_eq(found.u.incident[i].ticket, "TKT-1");
    ck_assert_str_eq(found.u.incident[5].problem, "PRB-1");
    fixture_stop(&f);
}
END_TEST

START_TEST(closed_by_evidence)
{
    struct fixture f;
    struct found found;
    struct error e;

    fixture_start(&f);
    for (int w = 0; w < 5; w++)
        week(&f, 0.03);
    ck_assert_int_eq(control_act(f.c, CONTROL_RESOLVE, "PRB-1", "carrier replaced the line", f.now_ns, &e), 0);
    for (int w = 0; w < 3; w++) {
        ck_assert_int_eq(the_problem(&f).state, PROBLEM_VERIFYING);
        week(&f, 0);
        fixture_commit(&f);
        fixture_reopen(&f);
    }
    week(&f, 0);
    fixture_until(&f, "Branch-12~DC", f.now_ns + HOUR_NS, 0);
    struct entity_problem p = the_problem(&f);
    ck_assert_int_eq(p.state, PROBLEM_CLOSED);
    ck_assert_uint_ge(p.clean_exposures, p.clean_needed);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_int_eq(found.u.ticket[0].state, TICKET_CLOSED);
    /* The occurrences that it was closed with do not open it again. */
    week(&f, 0);
    ck_assert_int_eq(the_problem(&f).state, PROBLEM_CLOSED);
    fixture_stop(&f);
}
END_TEST

/* What had begun when somebody said that it is fixed is no failed fix. */
START_TEST(a_fix_in_the_middle_of_it)
{
    struct fixture f;
    struct error e;

    fixture_start(&f);
    for (int w = 0; w < 4; w++)
        week(&f, 0.03);
    uint64_t monday = f.now_ns, eight_ns = monday + DAY_NS + 8 * HOUR_NS;
    fixture_until(&f, "Branch-12~DC", eight_ns, 0);
    ck_assert_int_eq(control_act(f.c, CONTROL_RESOLVE, "PRB-1", "new line", eight_ns + 5 * MIN_NS, &e), 0);
    fixture_until(&f, "Branch-12~DC", eight_ns + HOUR_NS, 0.03);
    fixture_until(&f, "Branch-12~DC", monday + WEEK_NS, 0);
    struct entity_problem p = the_problem(&f);
    ck_assert_int_eq(p.state, PROBLEM_VERIFYING);
    ck_assert_uint_eq(p.failed_fixes, 0);
    week(&f, 0.03);
    ck_assert_uint_eq(the_problem(&f).failed_fixes, 1);
    fixture_stop(&f);
}
END_TEST

START_TEST(a_fix_that_fails)
{
    struct fixture f;
    struct found found;
    struct error e;

    fixture_start(&f);
    for (int w = 0; w < 5; w++)
        week(&f, 0.03);
    ck_assert_int_eq(control_act(f.c, CONTROL_ASSIGN, "PRB-1", "wan-team", f.now_ns, &e), 0);
    ck_assert_int_eq(the_problem(&f).state, PROBLEM_ASSIGNED);
    ck_assert_int_eq(control_act(f.c, CONTROL_RESOLVE, "PRB-1", "rebooted", f.now_ns, &e), 0);
    week(&f, 0);
    week(&f, 0.03);
    struct entity_problem p = the_problem(&f);
    ck_assert_int_eq(p.state, PROBLEM_ASSIGNED);
    ck_assert_uint_eq(p.failed_fixes, 1);
    ck_assert_str_eq(p.owner, "wan-team");
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_int_eq(found.u.ticket[0].state, TICKET_OPEN);
    ck_assert_ptr_nonnull(strstr(found.u.ticket[0].body, "failed fixes: 1"));
    fixture_stop(&f);
}
END_TEST

static const char *owner_by_rule(const void *ctx, const char *object)
{
    return strncmp(object, "Branch-", 7) == 0 ? ctx : "";
}

START_TEST(owner_by_rule_and_refused_verbs)
{
    struct fixture f;
    struct error e;

    fixture_start(&f);
    f.options.owner = owner_by_rule;
    f.options.owner_ctx = "branch-team";
    fixture_reopen(&f);
    for (int w = 0; w < 5; w++)
        week(&f, 0.03);
    struct entity_problem p = the_problem(&f);
    ck_assert_str_eq(p.owner, "branch-team");
    ck_assert_int_eq(p.state, PROBLEM_ASSIGNED);
    ck_assert_int_eq(control_act(f.c, CONTROL_ACK, "PRB-1", "", f.now_ns, &e), -EINVAL);
    ck_assert_int_eq(control_act(f.c, CONTROL_RESOLVE, "PRB-9", "", f.now_ns, &e), -ENOENT);
    ck_assert_int_eq(control_act(f.c, CONTROL_ACCEPT_RISK, "PRB-1", "until spring", f.now_ns, &e), 0);
    ck_assert_int_eq(control_act(f.c, CONTROL_ROOT_CAUSE, "PRB-1", "x", f.now_ns, &e), -EINVAL);
    ck_assert_int_eq(the_problem(&f).state, PROBLEM_RISK_ACCEPTED);
    fixture_stop(&f);
}
END_TEST

/* Two faults of one path in one slot are one problem with a member. */
START_TEST(members_share_a_problem)
{
    struct fixture f;
    struct found found;
    struct observation bad = quiet_observation(), good = quiet_observation();

    fixture_start(&f);
    f.window_ns = QUARTER_NS;
    bad.dir[1].lost_downstream_pkts = 300;
    bad.connects = 120;
    bad.failed_connects = 80;
    uint64_t monday = f.now_ns;
    for (int w = 0; w < 6; w++) {
        while (f.now_ns < monday + (uint64_t)(w + 1) * WEEK_NS) {
            uint64_t in_week = (f.now_ns - monday) % WEEK_NS;
            bool hit = in_week >= DAY_NS + 8 * HOUR_NS && in_week < DAY_NS + 11 * HOUR_NS;
            fixture_step(&f, "Branch-12~DC", hit ? &bad : &good);
        }
    }
    struct entity_problem p = the_problem(&f);
    ck_assert_int_eq(p.fault, FAULT_LOSS);
    ck_assert_uint_eq(strlen(p.members), 64);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("problem", confirmed_after_four_weeks, what_nobody_owns_is_escalated, problem_adopts_its_incidents_ticket,
          closed_by_evidence, a_fix_in_the_middle_of_it, a_fix_that_fails, owner_by_rule_and_refused_verbs,
          members_share_a_problem)

/* SPDX-License-Identifier: BSD-3-Clause */

/* What tickets say: from the entities to title and text, with hostile names, and the charts beside them. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/chart.h"
#include "control/content.h"
#include "control/internal.h"
#include "control/localtime.h"
#include "tests/unit/unit.h"

#define TUESDAY_NS 1790640000000000000ull /* 2026-09-29 00:00 UTC */
#define WEEK_NS    (7 * 86400 * NS_PER_S)

static struct control *open_control(const struct ticket_templates *templates)
{
    struct control_options options = {.zone = "UTC", .dry_run = true, .templates = templates};
    struct control *c;
    struct error e = {""};

    ck_assert_int_eq(local_init("UTC", &e), 0);
    ck_assert_msg(control_open(&options, NULL, &c, &e) == 0, "%s", e.text);
    return c;
}

static struct entity_problem a_problem(const char *object)
{
    struct entity_problem p = {.scope = SCOPE_PATH,
                               .direction = DIRECTION_B2A,
                               .fault = FAULT_LOSS,
                               .state = PROBLEM_ASSIGNED,
                               .severity = EVENT_major,
                               .pattern = PATTERN_WEEKLY_SLOT,
                               .weekday = 1,
                               .from_hour = 8,
                               .to_hour = 11,
                               .occurrences = 7,
                               .exposures = 8,
                               .dates_hit = 7,
                               .dates_seen = 56,
                               .hit_rate = 0.875,
                               .lift = 7,
                               .p_value = 0.0001,
                               .looked_ns = TUESDAY_NS + 8 * WEEK_NS,
                               .first_ns = TUESDAY_NS,
                               .last_ns = TUESDAY_NS + 6 * WEEK_NS,
                               .lost_upstream_pkts = 90,
                               .lost_downstream_pkts = 10,
                               .minutes_lost = 700,
                               .value = 0.0345,
                               .peak = 0.09,
                               .exposure_n = 123456};

    snprintf(p.id, sizeof(p.id), "PRB-1");
    snprintf(p.object, sizeof(p.object), "%s", object);
    snprintf(p.pattern_text, sizeof(p.pattern_text),
             "every Tuesday 08:00\xe2\x80\x93"
             "11:00");
    snprintf(p.next_decision, sizeof(p.next_decision), "find the cause");
    return p;
}

static void compose(struct control *c, struct ticket *t, const struct entity_problem *p)
{
    struct history h = {0};
    struct occurrence o = {.onset_ns = TUESDAY_NS + 8 * 3600 * NS_PER_S,
                           .end_ns = TUESDAY_NS + 10 * 3600 * NS_PER_S,
                           .exposure_n = 1000,
                           .bad_minutes = 100,
                           .value = 0.03f};

    *t = (struct ticket){0};
    snprintf(t->e.id, sizeof(t->e.id), "TKT-1");
    ck_assert_int_eq(history_add(&h, &o), 0);
    ck_assert_int_eq(ticket_compose_problem(c, t, p, &h), 0);
    history_fini(&h);
}

START_TEST(a_problem_says_where_what_when)
{
    struct control *c = open_control(NULL);
    struct entity_problem p = a_problem("Branch-12~DC");
    static struct ticket t;

    snprintf(p.suspects, sizeof(p.suspects), "CHG-3 p=0.0012, CHG-1 p=0.03");
    compose(c, &t, &p);
    ck_assert_str_eq(t.e.title, "Branch-12 \xe2\x86\x94 DC: loss towards Branch-12, Tuesdays 08:00\xe2\x80\x93"
                                "11:00, 7 of 8 weeks");
    ck_assert_ptr_nonnull(strstr(t.e.body, "p = 0.0001 (look of 2026-11-24)."));
    ck_assert_ptr_nonnull(
        strstr(t.e.body, "90 % were lost between DC and the tap, 10 % between the tap and Branch-12."));
    ck_assert_ptr_nonnull(
        strstr(t.e.body, "\n- CHG-3: change (by chance p=0.0012)\n- CHG-1: change (by chance p=0.03)\n"));
    ck_assert_ptr_nonnull(strstr(t.e.body, "Next decision: find the cause\nLook deeper: spanward problems PRB-1"));
    ck_assert_ptr_null(strstr(t.e.body, "Proof:"));
    char *html = content_html(t.e.body);
    ck_assert_ptr_nonnull(
        strstr(html, "<tr><td>2026-09-29 08:00</td><td>2026-09-29 10:00</td><td>100</td><td>3.00 %</td>"));
    free(html);
    control_close(c);
}
END_TEST

START_TEST(proof_when_it_stays_away)
{
    struct control *c = open_control(NULL);
    struct entity_problem p = a_problem("Branch-12~DC");
    struct history none = {0};
    static struct ticket t;

    p.state = PROBLEM_CLOSED;
    p.clean_exposures = 3;
    p.clean_needed = 3;
    p.verify_from_ns = TUESDAY_NS + 7 * WEEK_NS;
    snprintf(p.fix, sizeof(p.fix), "replaced the SFP");
    snprintf(p.change, sizeof(p.change), "CHG-9");
    char *text = ticket_verified_text(c, &t, &p, &none);
    ck_assert_ptr_nonnull(strstr(text, "Proof: 3 of 3 clean slots since 2026-11-17 00:00 +00:00"));
    ck_assert_ptr_nonnull(strstr(text, "a chance of 0.002."));
    ck_assert_ptr_nonnull(strstr(text, "What fixed it: replaced the SFP\nChange: CHG-9\n"));
    free(text);
    control_close(c);
}
END_TEST

START_TEST(hostile_names_stay_names)
{
    struct control *c = open_control(NULL);
    struct entity_problem p = a_problem("=cmd|' /C calc'!A0<script>alert(1)</script>[~admin]~\xff\x1b[31m\n  x  y");
    static struct ticket t;

    snprintf(p.reason, sizeof(p.reason), "x\n\nNext decision: pay me  {{where}}");
    compose(c, &t, &p);
    ck_assert_uint_le(content_characters(t.e.title), 120);
    ck_assert_int_eq(t.e.title[0], '\'');
    ck_assert_ptr_null(strpbrk(t.e.title, "\n\x1b\xff"));
    ck_assert_ptr_null(strstr(t.e.body, "\nNext decision: pay me"));
    ck_assert_ptr_nonnull(strstr(t.e.body, "{{where}}"));
    char *html = content_html(t.e.body);
    ck_assert_ptr_null(strstr(html, "<script"));
    free(html);
    control_close(c);
}
END_TEST

START_TEST(templates_of_ones_own)
{
    char dir[] = "/tmp/spanward-templates-XXXXXX", path[100];
    struct ticket_templates *templates;
    struct error e = {""};
    static struct ticket t;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/problem.txt", dir);
    FILE *f = fopen(path, "w");
    fputs("{{# ours }}\n\n[{{severity}}] {{where}}\n\nSlot {{slot}}{{?proof}} proven{{/}}\n", f);
    fclose(f);
    ck_assert_msg(ticket_templates_load(dir, &templates, &e) == 0, "%s", e.text);
    struct control *c = open_control(templates);
    struct entity_problem p = a_problem("A~B");
    compose(c, &t, &p);
    ck_assert_str_eq(t.e.title, "[major] A \xe2\x86\x94 B");
    ck_assert_str_eq(t.e.body, "Slot Tuesdays 08:00\xe2\x80\x93"
                               "11:00\n");
    control_close(c);
    ticket_templates_free(templates);
    f = fopen(path, "w");
    fputs("title {{wher}}\n\nbody\n", f);
    fclose(f);
    ck_assert_int_lt(ticket_templates_load(dir, &templates, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "unknown name 'wher'"));
    unlink(path);
    rmdir(dir);
}
END_TEST

START_TEST(charts)
{
    const struct chart_point p[] = {{TUESDAY_NS, 0.03, 0.001, 12345, 32, 3},
                                    {TUESDAY_NS + WEEK_NS, 0.05, 0.001, 500, 32, 1}};
    char *week = chart_week("A \xe2\x86\x94 B </text><script>", p, 2);
    char *values = chart_values("x & y", FAULT_LOSS, p, 2);

    ck_assert_ptr_null(strstr(week, "<script>"));
    ck_assert_ptr_nonnull(strstr(week, "&lt;script&gt;"));
    ck_assert_ptr_nonnull(strstr(week, ">2</text>")); /* Tuesday 08 h, twice */
    ck_assert_ptr_nonnull(strstr(values, "5.00 %"));
    ck_assert_ptr_nonnull(strstr(values, "x &amp; y"));
    ck_assert_ptr_nonnull(strstr(values, "</svg>\n"));
    free(week);
    free(values);
    week = chart_week("", NULL, 0);
    ck_assert_ptr_nonnull(strstr(week, "</svg>"));
    free(week);
}
END_TEST

UNIT_MAIN("ticket_text", a_problem_says_where_what_when, proof_when_it_stays_away, hostile_names_stay_names,
          templates_of_ones_own, charts)

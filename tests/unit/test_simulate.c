/* SPDX-License-Identifier: BSD-3-Clause */

/* The simulator: equal options give equal bytes, the truth tells what the stream holds, and control finds what was
 * planted and nothing else. */

#include <jansson.h>
#include "control/replay.h"
#include "control/simulate.h"
#include "tests/unit/control_fixture.h"

static char *slurp(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    *ret_len = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(*ret_len + 1);
    ck_assert_uint_eq(fread(data, 1, *ret_len, f), *ret_len);
    fclose(f);
    return data;
}

static struct simulate_options options(const char *out, const char *truth)
{
    return (struct simulate_options){.weeks = 2,
                                     .paths = 5,
                                     .seed = 3,
                                     .window_s = 300,
                                     .zone = "UTC",
                                     .scenario = "mixed",
                                     .out_path = out,
                                     .truth_path = truth};
}

START_TEST(same_options_same_bytes)
{
    char a[96], b[96], t[96];
    struct fixture f;
    struct error e = {""};
    size_t na, nb;

    fixture_start(&f);
    snprintf(a, sizeof(a), "%s/a", f.dir);
    snprintf(b, sizeof(b), "%s/b", f.dir);
    snprintf(t, sizeof(t), "%s/t", f.dir);
    struct simulate_options o = options(a, t);
    ck_assert_int_eq(simulate_run(&o, &e), 0);
    o.out_path = b;
    ck_assert_int_eq(simulate_run(&o, &e), 0);
    char *x = slurp(a, &na), *y = slurp(b, &nb);
    /* The header, five names, and a window per path and five minutes. */
    ck_assert_uint_eq(na, 64 * (1 + 5 + 5 * 14 * 288));
    ck_assert_uint_eq(na, nb);
    ck_assert_int_eq(memcmp(x, y, na), 0);
    free(y);
    o.seed = 4;
    ck_assert_int_eq(simulate_run(&o, &e), 0);
    y = slurp(b, &nb);
    ck_assert_int_ne(memcmp(x, y, na), 0);
    free(y);
    /* Compressed it is the same stream. */
    struct stream_reader *r;
    struct stream_record rec;
    size_t records = 0;
    int rc;
    snprintf(b, sizeof(b), "%s/b.gz", f.dir);
    o.seed = 3;
    o.out_path = b;
    ck_assert_int_eq(simulate_run(&o, &e), 0);
    y = slurp(b, &nb);
    ck_assert_uint_lt(nb, na * 3 / 4);
    ck_assert_int_eq(stream_open(b, &r, &e), 0);
    while ((rc = stream_read(r, &rec, &e)) == 1)
        records++;
    ck_assert_int_eq(rc, 0);
    stream_close(r);
    ck_assert_uint_eq((records + 1) * 64, na);
    free(x);
    free(y);
    fixture_stop(&f);
}
END_TEST

START_TEST(refuses)
{
    struct error e = {""};
    struct simulate_options o = options("/nonexistent/x", NULL);
    struct stat st;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    ck_assert_int_eq(simulate_run(&o, &e), -ENOENT);
    o.scenario = "nope";
    ck_assert_int_eq(simulate_run(&o, &e), -EINVAL);
    o = options("/nonexistent/x", NULL);
    o.weeks = 0;
    ck_assert_int_eq(simulate_run(&o, &e), -EINVAL);
    o.weeks = 1;
    o.window_s = 90;
    ck_assert_int_eq(simulate_run(&o, &e), -EINVAL);
    o = options("/dev/full", NULL);
    ck_assert_int_eq(simulate_run(&o, &e), -ENOSPC);
    ck_assert_int_eq(stat("/dev/full", &st), 0); /* half a file is removed, a device is not */
    ck_assert(S_ISCHR(st.st_mode));
}
END_TEST

/* Does a problem say what a planted slot is: path, class, weekday, hours within one of the planted. */
static bool names_it(const struct entity_problem *p, const json_t *fault)
{
    json_int_t from = json_integer_value(json_object_get(fault, "from_hour"));
    json_int_t to = json_integer_value(json_object_get(fault, "to_hour"));

    return strcmp(p->object, json_string_value(json_object_get(fault, "path"))) == 0 &&
           strcmp(fault_class_name(p->fault), json_string_value(json_object_get(fault, "fault"))) == 0 &&
           p->pattern == PATTERN_WEEKLY_SLOT &&
           (json_int_t)p->weekday == json_integer_value(json_object_get(fault, "weekday")) &&
           llabs((long long)p->from_hour - from) <= 1 && llabs((long long)p->to_hour - to) <= 1;
}

START_TEST(control_finds_what_was_planted)
{
    char out[96], truth[96];
    struct fixture f;
    struct error e = {""};
    struct stream_reader *r;
    struct replay_result result;
    struct replay_options ro = {0};
    struct found found;

    fixture_start(&f);
    snprintf(out, sizeof(out), "%s/w", f.dir);
    snprintf(truth, sizeof(truth), "%s/t", f.dir);
    struct simulate_options o = options(out, truth);
    o.weeks = 12;
    o.paths = 40;
    o.window_s = 900;
    ck_assert_int_eq(simulate_run(&o, &e), 0);
    ck_assert_int_eq(stream_open(out, &r, &e), 0);
    ck_assert_msg(replay_run(f.c, r, &ro, &result, &e) == 0, "%s", e.text);
    stream_close(r);
    fixture_find(&f, ENTITY_PROBLEM, &found);
    json_t *j = json_load_file(truth, 0, NULL);
    ck_assert_ptr_nonnull(j);
    size_t planted = 0, hits = 0, confirmed = 0, i;
    json_t *fault;
    json_array_foreach(json_object_get(j, "faults"), i, fault)
    {
        if (strcmp(json_string_value(json_object_get(fault, "kind")), "weekly_slot") != 0)
            continue;
        planted++;
        for (size_t k = 0; k < found.n; k++)
            hits += found.u.problem[k].state != PROBLEM_CANDIDATE && names_it(&found.u.problem[k], fault);
    }
    for (size_t k = 0; k < found.n; k++)
        confirmed += found.u.problem[k].state != PROBLEM_CANDIDATE;
    json_decref(j);
    ck_assert_uint_ge(planted, 4);
    ck_assert_uint_eq(hits, planted);
    ck_assert_uint_eq(confirmed, planted);
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("simulate", same_options_same_bytes, refuses, control_finds_what_was_planted)

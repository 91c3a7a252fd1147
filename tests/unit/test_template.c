/* SPDX-License-Identifier: BSD-3-Clause */

/* Templates: what stands in files, what is refused, and where text is cut. */

#include <errno.h>
#include <string.h>
#include "control/template.h"
#include "tests/unit/unit.h"

static const char *const names[] = {"a", "b", NULL};

static void check(const char *text, const char *a, const char *b, const char *wanted)
{
    const char *const values[] = {a, b};
    struct template *t;
    struct error e = {""};
    char out[200];

    ck_assert_msg(template_parse(text, strlen(text), "t", names, &t, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(template_render(t, values, out, sizeof(out)), strlen(wanted));
    ck_assert_str_eq(out, wanted);
    template_free(t);
}

static void refuse(const char *text, const char *part)
{
    struct template *t;
    struct error e = {""};

    ck_assert_int_eq(template_parse(text, strlen(text), "t", names, &t, &e), -EINVAL);
    ck_assert_msg(strstr(e.text, part) != NULL, "%s", e.text);
}

START_TEST(gaps_and_sections)
{
    check("x {{a}} y{{b}}", "1", "2", "x 1 y2");
    check("{{?a}}yes {{a}}{{/}}{{!a}}no{{/}}", "1", "", "yes 1");
    check("{{?a}}yes{{?b}}!{{/}}{{/}}{{!a}}no{{/}}", "", "2", "no");
    check("one\n{{# remark }}\n{{?a}}\ntwo {{a}}\n{{/}}\nthree\n", "1", "", "one\ntwo 1\nthree\n");
    check("one\n{{?a}}\ntwo\n{{/}}\nthree\n", "", "", "one\nthree\n");
    check("{{a}}", "{{b}} {{?a}}", "never", "{{b}} {{?a}}"); /* a value is not read again */
    check("", "", "", "");
}
END_TEST

START_TEST(what_is_refused)
{
    refuse("one\n{{c}}", "t:2: unknown name 'c'");
    refuse("{{?c}}{{/}}", "unknown name 'c'");
    refuse("{{?a}}", "not closed");
    refuse("{{/}}", "closes nothing");
    refuse("{{a", "{{ without }}");
    refuse("{{a\n}}", "{{ without }}");
    refuse("{{}}", "unknown name ''");
    refuse("{{?a}}{{?a}}{{?a}}{{?a}}{{?a}}{{?a}}{{?a}}{{?a}}{{?a}}", "more than 8");
}
END_TEST

START_TEST(cut_at_a_whole_character)
{
    const char *const values[] = {"\xe2\x86\x94\xe2\x86\x94", "\xc3\xbc"};
    struct template *t;
    struct error e;
    char out[16];

    ck_assert_int_eq(template_parse("x{{a}}{{b}}", 11, "t", names, &t, &e), 0);
    ck_assert_uint_eq(template_render(t, values, out, 6), 9);
    ck_assert_str_eq(out, "x\xe2\x86\x94");
    template_render(t, values, out, 8);
    ck_assert_str_eq(out, "x\xe2\x86\x94\xe2\x86\x94");
    template_render(t, values, out, 9);
    ck_assert_str_eq(out, "x\xe2\x86\x94\xe2\x86\x94");
    template_render(t, values, out, 1);
    ck_assert_str_eq(out, "");
    template_free(t);
}
END_TEST

UNIT_MAIN("template", gaps_and_sections, what_is_refused, cut_at_a_whole_character)

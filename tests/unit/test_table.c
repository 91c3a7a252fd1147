/* SPDX-License-Identifier: BSD-3-Clause */

/* The renderer: widths, shortening, order, and that programs get raw values. */

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "apps/cli/table.h"
#include "apps/cli/term.h"

static const struct column columns[] = {
    {"name", "NAME", "name", COLUMN_NAME, 0, "a name"},
    {"note", "NOTE", "note", COLUMN_TEXT, 0, "a text"},
    {"pkts", "PKTS", "c.pkts", COLUMN_COUNT, 0, "a number"},
    {"rtt", "RTT", "rtt_us", COLUMN_LATENCY, 3, "a latency"},
    {"bytes", "BYTES", "bytes", COLUMN_BYTES, 6, "a size"},
    {"extra", "EXTRA", "extra", COLUMN_TEXT, COLUMN_EXTRA, "only when asked for"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static char output[65536];

static int print(json_t *rows, const struct table_view *view, struct error *e)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int r = table_print(f, columns, rows, view, e);

    fclose(f);
    ck_assert_uint_lt(size, sizeof(output));
    memcpy(output, text, size + 1);
    free(text);
    return r;
}

static json_t *row(const char *name, const char *note, int pkts, double rtt_us)
{
    return json_pack("{s:s,s:s,s:{s:i},s:f,s:I,s:s}", "name", name, "note", note, "c", "pkts", pkts, "rtt_us", rtt_us,
                     "bytes", (json_int_t)pkts * 1000, "extra", "x");
}

static json_t *two_rows(void)
{
    return json_pack("[o,o]", row("a~b", "first", 5, 75), row("c~d", "second", 12345678, 30107));
}

START_TEST(width_of_text)
{
    ck_assert_uint_eq(text_width("abc"), 3);
    ck_assert_uint_eq(text_width("\xc2\xb5s"), 2);                /* micro sign */
    ck_assert_uint_eq(text_width("\xe6\x9d\xb1\xe4\xba\xac"), 4); /* two wide characters */
    ck_assert_uint_eq(text_width("e\xcc\x81"), 1);                /* e and a combining accent */
    ck_assert_uint_eq(text_width("\xff\xfe"), 2);                 /* no UTF-8: one column a byte */
}
END_TEST

static void expect_fit(const char *text, size_t width, enum text_cut cut, const char *want)
{
    char *got = text_fit(text, width, cut);

    ck_assert_str_eq(got, want);
    ck_assert_uint_le(text_width(got), width);
    free(got);
}

START_TEST(shortening)
{
    expect_fit("abcdef", 6, CUT_END, "abcdef");
    expect_fit("abcdef", 4, CUT_END, "abc\xe2\x80\xa6");
    expect_fit("abcdefghij", 5, CUT_MIDDLE, "ab\xe2\x80\xa6ij");
    expect_fit("abcdef", 1, CUT_MIDDLE, "\xe2\x80\xa6");
    expect_fit("abcdef", 0, CUT_END, "");
    /* a wide character is never halved: three columns hold one of them and the ellipsis */
    expect_fit("\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd", 4, CUT_END, "\xe6\x9d\xb1\xe2\x80\xa6");
    expect_fit("\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd", 5, CUT_MIDDLE, "\xe6\x9d\xb1\xe2\x80\xa6\xe9\x83\xbd");
    /* the accent stays with its letter */
    expect_fit("e\xcc\x81"
               "bcdef",
               3, CUT_END,
               "e\xcc\x81"
               "b\xe2\x80\xa6");
}
END_TEST

START_TEST(aligned_for_people)
{
    json_t *rows = two_rows();
    struct table_view view = {0};

    ck_assert_int_eq(print(rows, &view, NULL), 0);
    ck_assert_str_eq(output, "NAME  NOTE      PKTS      RTT    BYTES\n"
                             "a~b   first        5    75 \xc2\xb5s     5 kB\n"
                             "c~d   second  12.3 M  30.1 ms  12.3 GB\n");
    json_decref(rows);
}
END_TEST

START_TEST(unknown_is_a_dash_and_sorts_last)
{
    json_t *rows = json_pack("[{s:s,s:n},{s:s,s:i},{s:s,s:f}]", "name", "none", "rtt_us", "name", "slow", "rtt_us", 900,
                             "name", "fast", "rtt_us", 1.5);
    struct table_view view = {.columns = "name,rtt", .sort = "rtt"};

    print(rows, &view, NULL);
    ck_assert_str_eq(output, "NAME     RTT\nfast  1.5 \xc2\xb5s\nslow  900 \xc2\xb5s\nnone       -\n");
    view.sort = "-rtt";
    print(rows, &view, NULL);
    ck_assert_str_eq(output, "NAME     RTT\nslow  900 \xc2\xb5s\nfast  1.5 \xc2\xb5s\nnone       -\n");
    json_decref(rows);
}
END_TEST

static size_t longest_line(const char *text)
{
    size_t longest = 0;
    char line[4096];

    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)n, text);
        if (text_width(line) > longest)
            longest = text_width(line);
        text += n + (text[n] == '\n');
    }
    return longest;
}

START_TEST(narrow_terminals)
{
    json_t *rows = json_pack("[o]", row("2001:db8:1111::/48~2001:db8:2222::/48",
                                        "a text that has no end in sight, really", 12345678, 30107));
    for (unsigned width = 20; width <= 120; width++) {
        struct table_view view = {.width = width};
        print(rows, &view, NULL);
        char *note = strstr(output, " left out");
        if (note != NULL) { /* the note is text for people, it may wrap */
            while (note > output && note[-1] != '\n')
                note--;
            *note = '\0';
        }
        ck_assert_msg(longest_line(output) <= (width > 30 ? width : 30), "width %u:\n%s", width, output);
        ck_assert_ptr_nonnull(strstr(output, "12.3 M")); /* rank 0 numbers stay whole */
    }
    json_decref(rows);
}
END_TEST

START_TEST(least_needed_column_goes_first)
{
    json_t *rows = two_rows();
    struct table_view view = {.width = 36};

    print(rows, &view, NULL);
    ck_assert_ptr_null(strstr(output, "BYTES"));
    ck_assert_ptr_nonnull(strstr(output, "RTT"));
    ck_assert_ptr_nonnull(strstr(output, "1 column left out"));
    json_decref(rows);
}
END_TEST

START_TEST(limit_says_so)
{
    json_t *rows = two_rows();
    struct table_view view = {.limit = 1, .columns = "name"};

    print(rows, &view, NULL);
    ck_assert_str_eq(output, "NAME\na~b\n1 more row: --limit 0.\n");
    json_decref(rows);
}
END_TEST

START_TEST(raw_for_programs)
{
    json_t *rows = two_rows();
    struct table_view view = {.mode = TABLE_PLAIN, .sort = "-pkts", .width = 20};

    print(rows, &view, NULL);
    ck_assert_str_eq(output, "name\tnote\tpkts\trtt\tbytes\n"
                             "c~d\tsecond\t12345678\t30107\t12345678000\n"
                             "a~b\tfirst\t5\t75\t5000\n");
    view = (struct table_view){.mode = TABLE_JSON, .limit = 1};
    print(rows, &view, NULL);
    json_t *back = json_loads(output, 0, NULL);
    ck_assert(json_equal(back, json_array_get(rows, 0)));
    json_decref(back);
    view = (struct table_view){.mode = TABLE_JSON, .columns = "pkts,extra"};
    print(rows, &view, NULL);
    ck_assert_str_eq(output, "{\"pkts\":5,\"extra\":\"x\"}\n{\"pkts\":12345678,\"extra\":\"x\"}\n");
    json_decref(rows);
}
END_TEST

START_TEST(times_keep_every_nanosecond)
{
    json_t *value = json_integer(1700000000123456789);
    char buf[64];

    table_format(buf, sizeof(buf), COLUMN_TIME, value, true);
    ck_assert_str_eq(buf, "2023-11-14 22:13:20Z");
    json_decref(value);
    json_t *rows =
        json_pack("[{s:I},{s:I}]", "x", (json_int_t)1700000000123456789, "x", (json_int_t)1700000000123456788);
    static const struct column one[] = {{"x", "X", "x", COLUMN_TIME, 0, ""}, {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL}};
    struct table_view view = {.mode = TABLE_JSON, .sort = "x"};
    FILE *f = fmemopen(output, sizeof(output), "w");
    ck_assert_int_eq(table_print(f, one, rows, &view, NULL), 0);
    fclose(f);
    ck_assert_str_eq(output, "{\"x\":1700000000123456788}\n{\"x\":1700000000123456789}\n");
    json_decref(rows);
}
END_TEST

START_TEST(hostile_text)
{
    json_t *rows = json_pack("[{s:s,s:s}]", "name", "evil\033[2J\nname", "note", "tab\there");
    struct table_view view = {.columns = "name,note"};

    for (int mode = TABLE_HUMAN; mode <= TABLE_JSON; mode++) {
        view.mode = (enum table_mode)mode;
        print(rows, &view, NULL);
        ck_assert_ptr_null(strchr(output, '\033'));
        size_t lines = 0;
        for (const char *p = output; *p != '\0'; p++)
            lines += *p == '\n';
        ck_assert_uint_eq(lines, mode == TABLE_JSON ? 1 : 2);
    }
    json_decref(rows);
}
END_TEST

START_TEST(colour_only_when_wanted)
{
    json_t *value = json_string("critical");
    json_t *rows = json_pack("[{s:O}]", "s", value);
    static const struct column one[] = {{"s", "S", "s", COLUMN_STATE, 0, ""}, {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL}};

    for (int colour = 0; colour < 2; colour++) {
        struct table_view view = {.colour = colour};
        FILE *f = fmemopen(output, sizeof(output), "w");
        table_print(f, one, rows, &view, NULL);
        fclose(f);
        ck_assert_int_eq(strstr(output, "\033[31mcritical\033[0m") != NULL, colour);
    }
    json_decref(value);
    json_decref(rows);
}
END_TEST

START_TEST(unknown_columns)
{
    struct table_view view = {.columns = "name,nmae"};
    struct error e = {""};

    ck_assert_int_eq(table_check(columns, &view, &e), -EINVAL);
    ck_assert_str_eq(e.text, "no column 'nmae'; there are: name note pkts rtt bytes extra");
    view = (struct table_view){.sort = "-foo"};
    ck_assert_int_eq(table_check(columns, &view, &e), -EINVAL);
    view = (struct table_view){.columns = "all", .sort = "-rtt"};
    ck_assert_int_eq(table_check(columns, &view, &e), 0);
    view = (struct table_view){.columns = ""};
    ck_assert_int_eq(table_check(columns, &view, &e), -EINVAL);
}
END_TEST

START_TEST(long_lines_of_a_record)
{
    json_t *r = json_pack("{s:s}", "note", "short\n  one two three four five six\n  laid  out  by  its  author, wide");
    struct table_view view = {.width = 20, .columns = "note"};
    FILE *f = fmemopen(output, sizeof(output), "w");

    ck_assert_int_eq(table_print_record(f, columns, r, &view, NULL), 0);
    fclose(f);
    ck_assert_str_eq(output,
                     "NOTE\n  short\n    one two three\n    four five six\n    laid  out  by  its  author, wide\n");
    json_decref(r);
}
END_TEST

START_TEST(one_record)
{
    json_t *r = row("a~b", "line one\nline two\033", 5, 75);
    struct table_view view = {0};
    FILE *f = fmemopen(output, sizeof(output), "w");

    ck_assert_int_eq(table_print_record(f, columns, r, &view, NULL), 0);
    fclose(f);
    ck_assert_str_eq(output,
                     "NAME   a~b\nNOTE\n  line one\n  line two\\x1b\nPKTS   5\nRTT    75 \xc2\xb5s\nBYTES  5 kB\n"
                     "EXTRA  x\n");
    json_decref(r);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {width_of_text,
                                  shortening,
                                  aligned_for_people,
                                  unknown_is_a_dash_and_sorts_last,
                                  narrow_terminals,
                                  least_needed_column_goes_first,
                                  limit_says_so,
                                  raw_for_programs,
                                  times_keep_every_nanosecond,
                                  hostile_text,
                                  colour_only_when_wanted,
                                  unknown_columns,
                                  one_record,
                                  long_lines_of_a_record};
    term_init();
    return unit_run("table", tests, sizeof(tests) / sizeof(tests[0]));
}

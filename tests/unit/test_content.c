/* SPDX-License-Identifier: BSD-3-Clause */

/* One text in every notation, and that nothing in it acts. */

#include <string.h>
#include "control/content.h"
#include "tests/unit/unit.h"

static const char body[] = "What: Branch-12 & DC\n"
                           "\n"
                           "Evidence (the latest first)\n"
                           "  from              loss  expected\n"
                           "  2026-11-17 08:03  3 %   0 %\n"
                           "\n"
                           "Suspects\n"
                           "- CHG-1: <b>firmware</b>\n"
                           "- CHG-2\n"
                           "\n"
                           "  odd\n"
                           "  odder  one\n";

START_TEST(as_html)
{
    char *html = content_html(body);

    ck_assert_str_eq(html, "<p><strong>What:</strong> Branch-12 &amp; DC</p>\n"
                           "<p><strong>Evidence (the latest first)</strong></p>\n"
                           "<table>\n"
                           "<tr><th>from</th><th>loss</th><th>expected</th></tr>\n"
                           "<tr><td>2026-11-17 08:03</td><td>3 %</td><td>0 %</td></tr>\n"
                           "</table>\n"
                           "<p><strong>Suspects</strong></p>\n"
                           "<ul>\n"
                           "<li>CHG-1: &lt;b&gt;firmware&lt;/b&gt;</li>\n"
                           "<li>CHG-2</li>\n"
                           "</ul>\n"
                           "<pre>  odd\n  odder  one\n</pre>\n");
    free(html);
}
END_TEST

START_TEST(as_wiki)
{
    char *wiki = content_wiki("A: [~admin] \\[~admin] {code} x-y -z-\nh1. big\nList\n- *one*\n\n  a  b\n  c|d  e\n");

    ck_assert_str_eq(wiki, "*A:* \\[\\~admin\\] &#92;\\[\\~admin\\] \\{code\\} x-y \\-z\\-\n\n"
                           "h1&#46; big\n\n"
                           "*List*\n"
                           "* \\*one\\*\n\n"
                           "||a||b||\n"
                           "|c\\|d|e|\n\n");
    free(wiki);
}
END_TEST

START_TEST(as_a_document)
{
    json_t *doc = content_adf(body);
    char *text = content_from_adf(doc);

    ck_assert_str_eq(json_string_value(json_object_get(doc, "type")), "doc");
    ck_assert_uint_eq(json_array_size(json_object_get(doc, "content")), 6);
    ck_assert_ptr_nonnull(strstr(text, "CHG-1: <b>firmware</b>\n"));
    ck_assert_ptr_nonnull(strstr(text, "What: Branch-12 & DC\n"));
    free(text);
    json_decref(doc);
    doc = content_adf("not UTF-8: \xff\xfe, and \x1b[31m\n");
    text = content_from_adf(doc);
    ck_assert_str_eq(text, "not UTF-8: ??, and  [31m");
    free(text);
    json_decref(doc);
    doc = content_adf("");
    ck_assert_uint_eq(json_array_size(json_object_get(doc, "content")), 0);
    json_decref(doc);
}
END_TEST

START_TEST(journals_take_no_html)
{
    char *text = content_journal("[code]<b>x</b>[/CODE] [cod] [");

    ck_assert_str_eq(text, "(code]<b>x</b>(/CODE] [cod] [");
    free(text);
}
END_TEST

START_TEST(reading_html)
{
    char *text =
        content_from_html("<div>a &lt;b&gt; &amp;amp; &#65;&#x42; 1 < 2 &bogus; &#0;</div><p>change <b>CHG123</b></p>");

    ck_assert_str_eq(text, "a <b> &amp; AB 1 < 2 &bogus; \nchange CHG123");
    free(text);
    text = content_from_html("<unfinished");
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(lines)
{
    char out[64];

    ck_assert_str_eq(content_line(out, sizeof(out), "=cmd|x"), "'=cmd|x");
    ck_assert_str_eq(content_line(out, sizeof(out), "@here"), "'@here");
    ck_assert_str_eq(content_line(out, sizeof(out), "  a\tb\r\n\x1b[31mc \xff \xe2\x80\xaex"), "a b [31mc x");
    ck_assert_str_eq(content_line(out, 6,
                                  "Br\xc3\xbc"
                                  "cke"),
                     "Br\xc3\xbc"
                     "c");
    ck_assert_str_eq(content_line(out, 4,
                                  "Br\xc3\xbc"
                                  "cke"),
                     "Br");
    ck_assert_str_eq(content_line(out, sizeof(out), ""), "");
}
END_TEST

START_TEST(clipping)
{
    char a[] = "abcdef", b[] = "\xe2\x86\x94\xe2\x86\x94\xe2\x86\x94", c[] = "abc", d[] = "xyabc";

    ck_assert_str_eq(content_clip(a, 4), "abc\xe2\x80\xa6");
    ck_assert_str_eq(content_clip(b, 2), "\xe2\x86\x94\xe2\x80\xa6");
    ck_assert_str_eq(content_clip(c, 3), "abc");
    ck_assert_str_eq(content_clip(d, 4), "xy\xe2\x80\xa6"); /* room for three bytes */
    ck_assert_uint_eq(content_characters("\xe2\x86\x94x"), 2);
}
END_TEST

UNIT_MAIN("content", as_html, as_wiki, as_a_document, journals_take_no_html, reading_html, lines, clipping)

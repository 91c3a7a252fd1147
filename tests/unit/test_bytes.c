/* SPDX-License-Identifier: BSD-3-Clause */

/* Loads, mixing and the escape of hostile text. */

#include <string.h>

#include "common/bytes.h"
#include "tests/unit/unit.h"

static void expect(const char *raw, size_t len, const char *want)
{
    char buf[256];
    size_t n = text_escape(buf, sizeof(buf), raw, len);

    ck_assert_str_eq(buf, want);
    ck_assert_uint_eq(n, strlen(want));
}

START_TEST(loads_are_network_order_and_unaligned)
{
    const uint8_t b[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

    ck_assert_uint_eq(load_be16(b + 1), 0x0102);
    ck_assert_uint_eq(load_be32(b + 1), 0x01020304);
    ck_assert_uint_eq(load_be64(b + 1), 0x0102030405060708ull);
}
END_TEST

START_TEST(mix64_spreads_single_bits)
{
    int flips = 0;

    for (unsigned i = 0; i < 64; i++)
        flips += __builtin_popcountll(mix64(0x1234) ^ mix64(0x1234 ^ (1ull << i)));
    ck_assert_int_gt(flips, 64 * 24);
    ck_assert_int_lt(flips, 64 * 40);
}
END_TEST

START_TEST(escape_passes_what_is_safe)
{
    expect("", 0, "");
    expect("www.example.net", 15, "www.example.net");
    expect("B\xc3\xbcro \xe2\x82\xac \xf0\x9f\x98\x80", 14, "B\xc3\xbcro \xe2\x82\xac \xf0\x9f\x98\x80");
}
END_TEST

START_TEST(escape_stops_terminal_control)
{
    expect("\x1b[31m", 5, "\\x1b[31m");
    expect("a\0b\n\x7f", 5, "a\\x00b\\x0a\\x7f");
    expect("\xc2\x9b", 2, "\\xc2\\x9b");          /* C1 CSI in UTF-8 */
    expect("\xe2\x80\xae", 3, "\\xe2\\x80\\xae"); /* right-to-left override */
    expect("a\\x41", 5, "a\\\\x41");
}
END_TEST

START_TEST(escape_refuses_bad_utf8)
{
    expect("\xc0\xaf", 2, "\\xc0\\xaf");                   /* overlong '/' */
    expect("\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf");          /* overlong, three bytes */
    expect("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");          /* surrogate */
    expect("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
    expect("\xe2\x82", 2, "\\xe2\\x82");                   /* cut */
    expect("\x80g\xff", 3, "\\x80g\\xff");
    expect("\xc3(", 2, "\\xc3(");
}
END_TEST

START_TEST(escape_never_cuts_an_escape_or_a_character)
{
    char buf[8];

    ck_assert_uint_eq(text_escape(buf, 8, "abcd\x01", 5), 4);
    ck_assert_str_eq(buf, "abcd");
    ck_assert_uint_eq(text_escape(buf, 6, "abcd\xc3\xbc", 6), 4);
    ck_assert_str_eq(buf, "abcd");
    ck_assert_uint_eq(text_escape(buf, 7, "abcd\xc3\xbc", 6), 6);
    ck_assert_uint_eq(text_escape(buf, 1, "a", 1), 0);
    ck_assert_str_eq(buf, "");
    buf[0] = 'z';
    ck_assert_uint_eq(text_escape(buf, 0, "a", 1), 0);
    ck_assert_int_eq(buf[0], 'z');
}
END_TEST

UNIT_MAIN("bytes", loads_are_network_order_and_unaligned, mix64_spreads_single_bits, escape_passes_what_is_safe,
          escape_stops_terminal_control, escape_refuses_bad_utf8, escape_never_cuts_an_escape_or_a_character)

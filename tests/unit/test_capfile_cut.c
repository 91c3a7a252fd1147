/* SPDX-License-Identifier: BSD-3-Clause */

/* Capture files packed with gzip, and files of every kind cut at every byte. */

#include "tests/unit/capfile_read.h"

/* ---- gzip ---- */

START_TEST(gzip_members_are_one_file)
{
    struct bytes plain = {0}, packed = {0};

    build_rich(&plain);
    for (size_t at = 0; at < plain.n; at += 100)
        gzip(&packed, plain.at + at, plain.n - at < 100 ? plain.n - at : 100);
    gzip(&packed, "", 0);
    struct result r = read_built(&packed);
    expect_end(&r, 12, CAPFILE_EOF, "");
    expect_packet(&r, 11, 4000000000, 0, 77, 101);
    put(&packed, "\0\0\0\0\0\0\0", 7); /* padding */
    r = read_built(&packed);
    expect_end(&r, 12, CAPFILE_EOF, "");
}
END_TEST

START_TEST(gzip_damage_comes_after_the_packets)
{
    struct bytes plain = {0}, packed = {0};

    build_rich(&plain);
    gzip(&packed, plain.at, plain.n);
    packed.at[packed.n - 8] ^= 1; /* the checksum at the end */
    struct result r = read_built(&packed);
    expect_end(&r, 12, CAPFILE_CUT, "x.pcap is damaged: its gzip data before byte");
    packed.n -= 8;
    r = read_built(&packed);
    expect_end(&r, 12, CAPFILE_CUT, "x.pcap is cut: its gzip data ends early");
    expect_refused(packed.at, 12, "x.pcap is cut: its gzip data ends early");
    packed.n = 0;
    gzip(&packed, "", 0);
    expect_refused(packed.at, packed.n, "x.pcap is empty when unpacked");
}
END_TEST

/* ---- cuts ---- */

/* Where each packet of the file ends: when a prefix delivers one more than the prefix before it. */
static void expect_whole_packets(const struct bytes *b, const size_t *end_of, unsigned n_packets, size_t header)
{
    for (size_t cut = 0; cut <= b->n; cut++) {
        struct result r = read_bytes(b->at, cut, cut % 2 ? 3 : SIZE_MAX, 4096);
        unsigned whole = 0;
        while (whole < n_packets && end_of[whole] <= cut)
            whole++;
        if (cut < header) {
            ck_assert_int_lt(r.error, 0);
            continue;
        }
        ck_assert_int_eq(r.error, 0);
        ck_assert_msg(r.n == whole, "cut at %zu: %u packets instead of %u", cut, r.n, whole);
        ck_assert_msg(r.end == CAPFILE_EOF || strstr(r.text, "is cut at byte") != NULL, "cut at %zu: %s", cut, r.text);
        if (cut == b->n || (whole > 0 && cut == end_of[whole - 1]))
            ck_assert_int_eq(r.end, CAPFILE_EOF);
    }
}

START_TEST(pcap_cut_at_every_byte)
{
    struct bytes b = {0};
    size_t end_of[5];

    pcap_header(&b, 0xa1b23c4d, 4, 1);
    for (unsigned i = 0; i < 5; i++) {
        pcap_packet(&b, i, i, 0, 13 * i, 100);
        end_of[i] = b.n;
    }
    expect_whole_packets(&b, end_of, 5, 24);
    struct result r = read_bytes(b.at, b.n - 1, 1, 4096);
    expect_end(&r, 4, CAPFILE_CUT, "it ends inside a packet");
}
END_TEST

START_TEST(pcapng_cut_at_every_byte)
{
    struct bytes b = {0};
    size_t end_of[6];

    for (unsigned order = 0; order < 2; order++) {
        b.big_endian = order;
        section(&b);
        interface(&b, 1, 0, 9, 0);
        unknown(&b, 21);
        enhanced(&b, order * 3, 0, 5, 17, 17);
        end_of[order * 3] = b.n;
        simple(&b, order * 3 + 1, 11, 11);
        end_of[order * 3 + 1] = b.n;
        obsolete(&b, order * 3 + 2, 0, 6, 20, 20);
        end_of[order * 3 + 2] = b.n;
    }
    expect_whole_packets(&b, end_of, 6, 28);
    struct result r = read_bytes(b.at, b.n - 1, 1, 4096);
    expect_end(&r, 5, CAPFILE_CUT, "it ends inside a packet block");
}
END_TEST

START_TEST(gzip_cut_at_every_byte)
{
    struct bytes plain = {0}, packed = {0};
    unsigned last = 0;

    build_rich(&plain);
    gzip(&packed, plain.at, plain.n);
    for (size_t cut = 0; cut < packed.n; cut++) {
        struct result r = read_bytes(packed.at, cut, SIZE_MAX, 4096);
        if (r.error != 0)
            continue;
        ck_assert_int_eq(r.end, CAPFILE_CUT);
        ck_assert_uint_ge(r.n, last);
        last = r.n;
    }
    ck_assert_uint_eq(last, 12);
}
END_TEST

UNIT_MAIN("capfile_cut", gzip_members_are_one_file, gzip_damage_comes_after_the_packets, pcap_cut_at_every_byte,
          pcapng_cut_at_every_byte, gzip_cut_at_every_byte)

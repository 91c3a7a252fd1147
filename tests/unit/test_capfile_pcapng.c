/* SPDX-License-Identifier: BSD-3-Clause */

/* pcapng files: times, sections, interfaces and blocks, and where damage is. */

#include "tests/unit/capfile_read.h"

START_TEST(pcapng_time_resolutions)
{
    static const struct {
        int resolution;
        int64_t offset_s;
        uint64_t ticks, ts_ns;
    } rows[] = {
        {-1, 0, 1700000000123456, 1700000000123456000},
        {0, 0, 1700000000, 1700000000000000000},
        {3, 0, 1700000000123, 1700000000123000000},
        {6, 0, 1, 1000},
        {9, 0, 1700000000123456789, 1700000000123456789},
        {12, 0, 1700000000123456789, 1700000000123456},
        {19, 0, UINT64_MAX, 1844674407},
        {0x80 | 0, 0, 3, 3000000000},
        {0x80 | 1, 0, 3, 1500000000},
        {0x80 | 20, 0, 1 << 19, 500000000},
        {0x80 | 32, 0, 0x0000000180000000, 1500000000},
        {0x80 | 63, 0, UINT64_MAX, 1999999999},
        {-1, 1700000000, 5, 1700000000000005000},
        {9, -10, 12000000000, 2000000000},
        {9, -10, 3, 0},                /* before 1970 */
        {0, 0, UINT64_MAX, INT64_MAX}, /* beyond 2262 */
        {9, INT64_MAX, 1, INT64_MAX},  /* so is this */
        {9, INT64_MIN, UINT64_MAX, 0},
    };

    for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes b = {.big_endian = i & 1};
        section(&b);
        interface(&b, 1, 0, rows[i / 2].resolution, rows[i / 2].offset_s);
        enhanced(&b, 0, 0, rows[i / 2].ticks, 33, 60);
        struct result r = read_built(&b);
        expect_end(&r, 1, CAPFILE_EOF, "");
        expect_packet(&r, 0, rows[i / 2].ts_ns, 33, 60, 1);
    }
}
END_TEST

START_TEST(pcapng_sections_interfaces_and_blocks)
{
    struct bytes b = {0};

    build_rich(&b);
    struct result r = read_built(&b);
    expect_end(&r, 12, CAPFILE_EOF, "");
    for (unsigned s = 0; s < 12; s += 6) {
        expect_packet(&r, s, 1000000000, 30, 64, 1);
        expect_packet(&r, s + 1, 1000000000, 40, 64, 1); /* has no time of its own */
        expect_packet(&r, s + 2, 1000000000, 20, 20, 1);
        expect_packet(&r, s + 3, 2000000000, 25, 25, 101);
        expect_packet(&r, s + 4, 3000000000, 1, 1, 276);
        expect_packet(&r, s + 5, 4000000000, 0, 77, 101);
    }
}
END_TEST

START_TEST(pcapng_skips_blocks_larger_than_the_buffer)
{
    struct bytes b = {0};

    section(&b);
    interface(&b, 1, 0, -1, 0);
    unknown(&b, 30000);
    enhanced(&b, 0, 0, 1, 10, 10);
    for (size_t buffer = 128; buffer < 140; buffer += 4)
        for (size_t chunk = 1; chunk < 20000; chunk = chunk * 3 + 1) {
            struct result r = read_bytes(b.at, b.n, chunk, buffer);
            expect_end(&r, 1, CAPFILE_EOF, "");
        }
    struct result r = read_bytes(b.at, 20000, 100, 128);
    expect_end(&r, 0, CAPFILE_CUT, "x.pcap is cut at byte 20000: it ends inside a block");
}
END_TEST

START_TEST(pcapng_without_packets_is_empty_but_right)
{
    struct bytes b = {0};

    section(&b);
    struct result r = read_built(&b);
    expect_end(&r, 0, CAPFILE_EOF, "");
}
END_TEST

/* A section, an interface, a good packet, and then a bad block that `build` makes: its place is named. */
static void expect_damage(void (*build)(struct bytes *b), const char *what)
{
    for (unsigned order = 0; order < 2; order++) {
        struct bytes b = {.big_endian = order};
        char text[200];
        section(&b);
        interface(&b, 1, 0, -1, 0);
        enhanced(&b, 0, 0, 1, 10, 10);
        snprintf(text, sizeof(text), "x.pcap is damaged at byte %zu: %s", b.n, what);
        build(&b);
        unknown(&b, 60); /* so that the file does not end there */
        struct result r = read_built(&b);
        expect_end(&r, 1, CAPFILE_CUT, text);
    }
}

static void block_of_8(struct bytes *b)
{
    put32(b, 77);
    put32(b, 8);
}

static void block_of_odd_length(struct bytes *b)
{
    put32(b, 77);
    put32(b, 33);
}

static void huge_packet_block(struct bytes *b)
{
    put32(b, 6);
    put32(b, 0xfffffffc);
}

static void huge_interface(struct bytes *b)
{
    put32(b, 1);
    put32(b, 0x7ffffffc);
}

static void short_packet_block(struct bytes *b)
{
    put32(b, 6);
    put32(b, 28);
}

static void unequal_lengths(struct bytes *b)
{
    enhanced(b, 1, 0, 1, 10, 10);
    b->n -= 4;
    put32(b, 1234);
}

static void no_such_interface(struct bytes *b)
{
    enhanced(b, 1, 1, 1, 10, 10);
}

static void packet_longer_than_block(struct bytes *b)
{
    size_t start = b->n;

    enhanced(b, 1, 0, 1, 0, 0);
    size_t end = b->n;
    b->n = start + 20;
    put32(b, 13); /* the options leave 12 bytes */
    b->n = end;
}

static void simple_longer_than_block(struct bytes *b)
{
    simple(b, 1, 8, 9);
    memcpy(b->at + b->n - 8, "", 1);
    size_t end = b->n;
    b->n = end - 16;
    put32(b, 4096);
    b->n = end;
}

static void option_longer_than_block(struct bytes *b)
{
    size_t start = begin_block(b, 1);

    put32(b, 0);
    put32(b, 0);
    put16(b, 2);
    put16(b, 5);
    put32(b, 0);
    end_block(b, start);
}

static void absurd_resolution(struct bytes *b)
{
    interface(b, 1, 0, 20, 0);
}

static void unknown_version(struct bytes *b)
{
    size_t start = b->n;

    section(b);
    b->at[start + 12] = b->at[start + 13] = 2;
}

static void section_without_order(struct bytes *b)
{
    size_t start = b->n;

    section(b);
    b->at[start + 8] ^= 0x55;
}

START_TEST(pcapng_damage_is_located)
{
    expect_damage(block_of_8, "a block of 8 bytes");
    expect_damage(block_of_odd_length, "a block of 33 bytes");
    expect_damage(short_packet_block, "a block of 28 bytes");
    expect_damage(unequal_lengths, "a block of 56 bytes, whose end says 1234");
    expect_damage(no_such_interface, "a packet of interface 1, where the section has 1");
    expect_damage(packet_longer_than_block, "a packet of 13 captured bytes in a block of 44");
    expect_damage(simple_longer_than_block, "a packet of 4096 captured bytes in a block of 24");
    expect_damage(option_longer_than_block, "option 2 of an interface has 5 bytes, more than its block");
    expect_damage(absurd_resolution, "an interface with the time resolution 0x14");
    expect_damage(unknown_version, "a section of pcapng version 514.0");
    expect_damage(section_without_order, "a section header without byte order");
    expect_damage(huge_packet_block, "a packet block of 4294967292 bytes, more than can be");
    expect_damage(huge_interface, "a description of an interface of 2147483644 bytes, more than can be");
}
END_TEST

START_TEST(pcapng_interfaces_are_bounded)
{
    struct bytes b = {0};
    struct capfile *file = NULL;
    struct error e = {""};
    struct capfile_packet packet;
    enum capfile_status status;

    section(&b);
    size_t header = b.n;
    interface(&b, 1, 0, -1, 0);
    size_t one = b.n - header, n = header + 5000 * one;
    uint8_t *many = malloc(n);
    memcpy(many, b.at, header);
    for (unsigned i = 0; i < 5000; i++)
        memcpy(many + header + i * one, b.at + header, one);
    struct feed feed = {.at = many, .left = n, .chunk = SIZE_MAX};
    const struct capfile_input input = {.read = feed_read, .ctx = &feed};
    ck_assert_int_eq(capfile_open_input("many", &input, 65536, &file, &e), 0);
    while ((status = capfile_next(file, &packet)) == CAPFILE_REFILL)
        capfile_refill(file);
    ck_assert_int_eq(status, CAPFILE_CUT);
    ck_assert_uint_eq(capfile_interfaces(file), 4096);
    ck_assert(strstr(capfile_reason(file), "a section with more than 4096 interfaces") != NULL);
    capfile_close(file);
    free(many);
}
END_TEST

UNIT_MAIN("capfile_pcapng", pcapng_time_resolutions, pcapng_sections_interfaces_and_blocks,
          pcapng_skips_blocks_larger_than_the_buffer, pcapng_without_packets_is_empty_but_right,
          pcapng_damage_is_located, pcapng_interfaces_are_bounded)

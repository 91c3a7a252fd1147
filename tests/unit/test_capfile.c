/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Capture files, byte by byte: every format in both byte orders, through an input that gives as much or as little at a
 * time as the test says. Packet i of a test holds the bytes i, i + 1, ..., so that a packet taken from the wrong place
 * is noticed.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "dataplane/capfile.h"
#include "tests/unit/unit.h"

/* ---- building files ---- */

struct bytes {
    uint8_t at[1 << 16];
    size_t n;
    bool big_endian;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    ck_assert(b->n + n <= sizeof(b->at));
    memcpy(b->at + b->n, data, n);
    b->n += n;
}

static void put_number(struct bytes *b, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(v >> 8 * (b->big_endian ? size - 1 - i : i));
        put(b, &byte, 1);
    }
}

static void put16(struct bytes *b, unsigned v)
{
    put_number(b, v, 2);
}

static void put32(struct bytes *b, uint32_t v)
{
    put_number(b, v, 4);
}

static void put_data(struct bytes *b, unsigned i, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        uint8_t byte = (uint8_t)(i + k);
        put(b, &byte, 1);
    }
}

static void pcap_header(struct bytes *b, uint32_t magic, unsigned minor, uint32_t network)
{
    put32(b, magic);
    put16(b, 2);
    put16(b, minor);
    put32(b, 0);
    put32(b, 0);
    put32(b, 65535);
    put32(b, network);
}

static void pcap_packet(struct bytes *b, unsigned i, uint32_t s, uint32_t fraction, uint32_t cap_len, uint32_t len)
{
    put32(b, s);
    put32(b, fraction);
    put32(b, cap_len);
    put32(b, len);
    put_data(b, i, cap_len);
}

/* A block is begun, filled, and ended: the lengths are known then. */
static size_t begin_block(struct bytes *b, uint32_t type)
{
    size_t start = b->n;

    put32(b, type);
    put32(b, 0);
    return start;
}

static void end_block(struct bytes *b, size_t start)
{
    while ((b->n - start) % 4 != 0)
        put(b, "", 1);
    uint32_t len = (uint32_t)(b->n - start) + 4;
    put32(b, len);
    size_t end = b->n;
    b->n = start + 4;
    put32(b, len);
    b->n = end;
}

static void option(struct bytes *b, unsigned code, const void *value, unsigned len)
{
    put16(b, code);
    put16(b, len);
    put(b, value, len);
    while (b->n % 4 != 0)
        put(b, "", 1);
}

static void section(struct bytes *b)
{
    size_t start = begin_block(b, 0x0a0d0d0a);

    put32(b, 0x1a2b3c4d);
    put16(b, 1);
    put16(b, 0);
    put_number(b, UINT64_MAX, 8);
    option(b, 1, "a comment", 9);
    end_block(b, start);
}

/* resolution < 0: none given */
static void interface(struct bytes *b, unsigned link, uint32_t snap_len, int resolution, int64_t offset_s)
{
    size_t start = begin_block(b, 1);

    put16(b, link);
    put16(b, 0);
    put32(b, snap_len);
    option(b, 2, "eth0", 4);
    if (resolution >= 0)
        option(b, 9, &(uint8_t){(uint8_t)resolution}, 1);
    if (offset_s != 0) {
        put16(b, 14);
        put16(b, 8);
        put_number(b, (uint64_t)offset_s, 8);
    }
    option(b, 0, "", 0);
    end_block(b, start);
}

static void enhanced(struct bytes *b, unsigned i, unsigned interface, uint64_t ticks, uint32_t cap_len, uint32_t len)
{
    size_t start = begin_block(b, 6);

    put32(b, interface);
    put32(b, (uint32_t)(ticks >> 32));
    put32(b, (uint32_t)ticks);
    put32(b, cap_len);
    put32(b, len);
    put_data(b, i, cap_len);
    while (b->n % 4 != 0)
        put(b, "", 1);
    option(b, 2, "\0\0\0\1", 4);
    option(b, 0, "", 0);
    end_block(b, start);
}

static void simple(struct bytes *b, unsigned i, uint32_t cap_len, uint32_t len)
{
    size_t start = begin_block(b, 3);

    put32(b, len);
    put_data(b, i, cap_len);
    end_block(b, start);
}

static void obsolete(struct bytes *b, unsigned i, unsigned interface, uint64_t ticks, uint32_t cap_len, uint32_t len)
{
    size_t start = begin_block(b, 2);

    put16(b, interface);
    put16(b, 0xffff);
    put32(b, (uint32_t)(ticks >> 32));
    put32(b, (uint32_t)ticks);
    put32(b, cap_len);
    put32(b, len);
    put_data(b, i, cap_len);
    end_block(b, start);
}

static void unknown(struct bytes *b, unsigned n)
{
    size_t start = begin_block(b, 0x80000001);

    put_data(b, 99, n);
    end_block(b, start);
}

/* Appends `data` as one gzip member. */
static void gzip(struct bytes *b, const void *data, size_t n)
{
    z_stream z = {.next_in = (void *)(uintptr_t)data, .avail_in = (unsigned)n};

    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = b->at + b->n;
    z.avail_out = (unsigned)(sizeof(b->at) - b->n);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    b->n += z.total_out;
    deflateEnd(&z);
}

/* ---- reading them ---- */

struct feed {
    const uint8_t *at;
    size_t left;
    size_t chunk;     /* most that one read gives */
    unsigned signals; /* reads that a signal interrupts first */
    bool is_closed;
};

static int64_t feed_read(void *ctx, void *buf, size_t bytes)
{
    struct feed *f = ctx;
    size_t n = bytes < f->left ? bytes : f->left;

    if (f->signals > 0) {
        f->signals--;
        return -EINTR;
    }
    if (n > f->chunk)
        n = f->chunk;
    memcpy(buf, f->at, n);
    f->at += n;
    f->left -= n;
    return (int64_t)n;
}

static void feed_close(void *ctx)
{
    struct feed *f = ctx;

    ck_assert(!f->is_closed);
    f->is_closed = true;
}

#define KEPT 64
#define FEW  4u /* packets asked for at once */
struct result {
    int error; /* of the open */
    enum capfile_status end;
    unsigned n;
    struct capfile_packet packet[KEPT];
    char text[256];
};

static unsigned packet_bytes_wrong(const struct capfile_packet *p, unsigned i)
{
    unsigned wrong = 0;

    for (uint32_t k = 0; k < p->cap_len; k++)
        wrong += p->data[k] != (uint8_t)(i + k);
    return wrong;
}

/* Packets are looked at only when the reader asks to let go of them: they must have stayed as they were. */
static void let_go(const struct result *r, unsigned *from)
{
    for (; *from < r->n; (*from)++)
        ck_assert_msg(packet_bytes_wrong(&r->packet[*from], *from) == 0, "packet %u", *from);
}

static void read_all(struct capfile *file, struct result *r, unsigned max)
{
    unsigned from = 0, n = 1;

    while ((r->end = max == 1 ? capfile_next(file, &r->packet[r->n])
                              : capfile_next_few(file, &r->packet[r->n], max, &n)) < CAPFILE_EOF) {
        if (r->end == CAPFILE_PACKET) {
            ck_assert(n != 0 && n <= max);
            ck_assert_uint_lt(r->n += n, KEPT - FEW);
        } else {
            let_go(r, &from);
            capfile_refill(file);
        }
    }
    let_go(r, &from);
    snprintf(r->text, sizeof(r->text), "%s", capfile_reason(file));
    ck_assert((r->end == CAPFILE_CUT) == (r->text[0] != '\0'));
    ck_assert_uint_eq(capfile_next(file, &r->packet[r->n]), r->end);
}

static struct result read_bytes(const void *data, size_t n, size_t chunk, size_t buffer_bytes)
{
    /* Exactly as large as the data, so that ASan sees a read past its end. */
    uint8_t *copy = malloc(n + !n);
    struct feed feed = {.at = memcpy(copy, data, n), .left = n, .chunk = chunk};
    const struct capfile_input input = {.read = feed_read, .close = feed_close, .ctx = &feed};
    struct result r = {0};
    struct capfile *file = NULL;
    struct error e = {""};

    r.error = capfile_open_input("x.pcap", &input, buffer_bytes, &file, &e);
    if (r.error == 0) {
        read_all(file, &r, chunk == 1 ? 1 : FEW);
        capfile_close(file);
    } else {
        snprintf(r.text, sizeof(r.text), "%s", e.text);
        ck_assert(strstr(e.text, "x.pcap") != NULL);
    }
    ck_assert(feed.is_closed);
    free(copy);
    return r;
}

static struct result read_built(const struct bytes *b)
{
    struct result whole = read_bytes(b->at, b->n, SIZE_MAX, sizeof(b->at));
    struct result drip = read_bytes(b->at, b->n, 1, 4096);

    ck_assert_int_eq(whole.error, drip.error);
    ck_assert_int_eq(whole.end, drip.end);
    ck_assert_uint_eq(whole.n, drip.n);
    ck_assert_str_eq(whole.text, drip.text);
    return whole;
}

static void expect_packet(const struct result *r, unsigned i, uint64_t ts_ns, uint32_t cap_len, uint32_t wire_len,
                          uint32_t link)
{
    ck_assert_uint_lt(i, r->n);
    ck_assert_uint_eq(r->packet[i].ts_ns, ts_ns);
    ck_assert_uint_eq(r->packet[i].cap_len, cap_len);
    ck_assert_uint_eq(r->packet[i].wire_len, wire_len);
    ck_assert_uint_eq(r->packet[i].link, link);
}

static void expect_end(const struct result *r, unsigned n, enum capfile_status end, const char *text)
{
    ck_assert_int_eq(r->error, 0);
    ck_assert_uint_eq(r->n, n);
    ck_assert_msg(r->end == end, "end %u: %s", r->end, r->text);
    ck_assert_msg(strstr(r->text, text) != NULL, "%s", r->text);
}

static void expect_refused(const void *data, size_t n, const char *text)
{
    struct result r = read_bytes(data, n, SIZE_MAX, 4096);

    ck_assert_int_lt(r.error, 0);
    ck_assert_msg(strstr(r.text, text) != NULL, "%s", r.text);
    ck_assert(strchr(r.text, '\n') == NULL);
}

/* ---- pcap ---- */

START_TEST(pcap_in_all_variants)
{
    for (unsigned variant = 0; variant < 4; variant++) {
        struct bytes b = {.big_endian = variant & 1};
        bool is_ns = variant & 2;
        pcap_header(&b, is_ns ? 0xa1b23c4d : 0xa1b2c3d4, 4, 1);
        pcap_packet(&b, 0, 1700000000, 123456, 60, 60);
        pcap_packet(&b, 1, 4000000000u, 999999, 14, 1500); /* 2096: seconds are unsigned */
        pcap_packet(&b, 2, 0, 0, 0, 0);
        pcap_packet(&b, 3, 7, 1, 20, 10); /* the wire length cannot be the smaller one */
        struct result r = read_built(&b);
        expect_end(&r, 4, CAPFILE_EOF, "");
        expect_packet(&r, 0, 1700000000000000000ull + (is_ns ? 123456 : 123456000), 60, 60, 1);
        expect_packet(&r, 1, 4000000000000000000ull + (is_ns ? 999999 : 999999000), 14, 1500, 1);
        expect_packet(&r, 2, 0, 0, 0, 1);
        expect_packet(&r, 3, 7000000000ull + (is_ns ? 1 : 1000), 20, 20, 1);
    }
}
END_TEST

START_TEST(pcap_frame_check_sequence_is_no_part_of_a_packet)
{
    struct bytes b = {0};

    pcap_header(&b, 0xa1b2c3d4, 4, 0x24000001); /* FCS of 2 x 16 bits, Ethernet */
    pcap_packet(&b, 0, 1, 0, 64, 64);
    pcap_packet(&b, 1, 1, 0, 62, 64);
    pcap_packet(&b, 2, 1, 0, 40, 64);
    struct result r = read_built(&b);
    expect_end(&r, 3, CAPFILE_EOF, "");
    expect_packet(&r, 0, 1000000000, 60, 60, 1);
    expect_packet(&r, 1, 1000000000, 60, 60, 1);
    expect_packet(&r, 2, 1000000000, 40, 60, 1);
}
END_TEST

START_TEST(pcap_damage_is_located)
{
    struct bytes b = {0};

    pcap_header(&b, 0xa1b2c3d4, 4, 1);
    pcap_packet(&b, 0, 1, 0, 10, 10);
    pcap_packet(&b, 1, 1, 0, 0, 10);
    size_t second = 24 + 16 + 10;
    memcpy(b.at + second + 8, (uint8_t[]){1, 0, 4, 0}, 4); /* 256 KiB + 1 */
    struct result r = read_built(&b);
    expect_end(&r, 1, CAPFILE_CUT, "x.pcap is damaged at byte 50: a packet of 262145 captured bytes");

    memcpy(b.at + second + 8, (uint8_t[]){0, 0x20, 0, 0}, 4); /* more than the file has */
    r = read_bytes(b.at, b.n, SIZE_MAX, 16384);
    expect_end(&r, 1, CAPFILE_CUT, "x.pcap is cut at byte 66: it ends inside a packet");
    r = read_bytes(b.at, b.n, SIZE_MAX, 4096); /* more than the buffer has */
    expect_end(&r, 1, CAPFILE_CUT, "x.pcap is damaged at byte 50: a packet of 8208 bytes");
}
END_TEST

START_TEST(largest_packet_fits)
{
    struct bytes *b = calloc(1, sizeof(*b));
    size_t n = 24 + 16 + CAPFILE_PACKET_MAX;
    uint8_t *file_bytes = calloc(1, n);

    pcap_header(b, 0xa1b2c3d4, 4, 1);
    pcap_packet(b, 0, 1, 0, 0, 0);
    memcpy(file_bytes, b->at, b->n);
    memcpy(file_bytes + 24 + 8, (uint8_t[]){0, 0, 4, 0}, 4);
    for (size_t k = 0; k < CAPFILE_PACKET_MAX; k++)
        file_bytes[40 + k] = (uint8_t)k;
    struct result r = read_bytes(file_bytes, n, 1000, CAPFILE_PACKET_MAX + 16);
    expect_end(&r, 1, CAPFILE_EOF, "");
    expect_packet(&r, 0, 1000000000, CAPFILE_PACKET_MAX, CAPFILE_PACKET_MAX, 1);
    free(file_bytes);
    free(b);
}
END_TEST

START_TEST(other_formats_go_through_libpcap)
{
    struct bytes old = {0}, patched = {0}, packed = {0};

    pcap_header(&old, 0xa1b2c3d4, 2, 101); /* version 2.2 has the lengths in the other order */
    pcap_packet(&old, 0, 5, 250000, 30, 40);
    memcpy(old.at + 24 + 8, (uint8_t[]){40, 0, 0, 0, 30}, 5);
    pcap_header(&patched, 0xa1b2cd34, 4, 1);
    for (unsigned i = 0; i < 3; i++) {
        put32(&patched, i);
        put32(&patched, 0);
        put32(&patched, 20);
        put32(&patched, 20);
        put_number(&patched, 0, 8); /* interface, protocol, kind of packet */
        put_data(&patched, i, 20);
    }
    gzip(&packed, patched.at, patched.n);
    struct result r = read_built(&old);
    expect_end(&r, 1, CAPFILE_EOF, "");
    expect_packet(&r, 0, 5250000000, 30, 40, 12); /* raw IP by libpcap's number */
    r = read_built(&patched);
    expect_end(&r, 3, CAPFILE_EOF, "");
    expect_packet(&r, 2, 2000000000, 20, 20, 1);
    r = read_built(&packed);
    expect_end(&r, 3, CAPFILE_EOF, "");
    patched.n -= 5;
    r = read_built(&patched);
    expect_end(&r, 2, CAPFILE_CUT, "x.pcap is damaged at byte");
}
END_TEST

/* ---- pcapng ---- */

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

/* Everything that a file may hold, in one section of each byte order. */
static void build_rich(struct bytes *b)
{
    for (unsigned s = 0; s < 2; s++) {
        b->big_endian = s == 1;
        section(b);
        unknown(b, 5);
        interface(b, 1, 40, -1, 0);
        interface(b, 101, 0, 9, 0);
        enhanced(b, s * 6, 0, 1000000, 30, 64);
        simple(b, s * 6 + 1, 40, 64); /* cut to the snap length of interface 0 */
        simple(b, s * 6 + 2, 20, 20);
        unknown(b, 0);
        obsolete(b, s * 6 + 3, 1, 2000000000, 25, 25);
        interface(b, 276, 0, 3, 0);
        enhanced(b, s * 6 + 4, 2, 3000, 1, 1);
        enhanced(b, s * 6 + 5, 1, 4000000000, 0, 77);
    }
}

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

/* ---- files, pipes, refusals ---- */

START_TEST(refusals_name_the_file_and_the_reason)
{
    static const char text[] = "#!/bin/sh\necho this is no capture file, but long enough for its header\n";
    struct capfile *file = NULL;
    struct error e = {""};

    expect_refused("", 0, "x.pcap is empty");
    expect_refused(text, sizeof(text), "x.pcap is not a capture file that can be read");
    expect_refused("\xd4\xc3\xb2\xa1\2\0\4\0", 8, "x.pcap is cut: 8 of the 24 bytes of a pcap file header");
    expect_refused("\x0a\x0d\x0d\x0a", 4, "x.pcap is cut at byte 4: it ends inside a section header");
    expect_refused("\x28\xb5\x2f\xfd\0\0\0\0", 8, "x.pcap is packed with zstd");
    ck_assert_int_eq(capfile_open("/", 4096, &file, &e), -EISDIR);
    ck_assert_str_eq(e.text, "cannot read /: it is a directory, not a capture file");
    ck_assert_int_eq(capfile_open("/nonexistent\nfile", 4096, &file, &e), -ENOENT);
    ck_assert_str_eq(e.text, "cannot open /nonexistent\\x0afile: No such file or directory");
    char long_path[600];
    memset(long_path, 'd', sizeof(long_path));
    strcpy(long_path + 590, "/x.pcap");
    ck_assert_int_lt(capfile_open(long_path, 4096, &file, &e), 0);
    ck_assert(strncmp(e.text, "cannot open ...dddd", 19) == 0 && strstr(e.text, "/x.pcap: ") != NULL);
    ck_assert_ptr_null(file);
}
END_TEST

START_TEST(signal_lets_the_caller_decide)
{
    struct bytes b = {0};
    struct capfile *file = NULL;
    struct error e = {""};
    struct capfile_packet packet;

    pcap_header(&b, 0xa1b2c3d4, 4, 1);
    size_t header = b.n;
    pcap_packet(&b, 0, 1, 0, 10, 10);
    struct feed feed = {.at = b.at, .left = header + 4, .chunk = SIZE_MAX};
    const struct capfile_input input = {.read = feed_read, .ctx = &feed};
    ck_assert_int_eq(capfile_open_input("x", &input, 4096, &file, &e), 0);
    feed = (struct feed){.at = b.at + header + 4, .left = b.n - header - 4, .chunk = SIZE_MAX, .signals = 1};
    ck_assert_int_eq(capfile_next(file, &packet), CAPFILE_REFILL);
    capfile_refill(file);
    ck_assert_int_eq(capfile_next(file, &packet), CAPFILE_REFILL);
    capfile_refill(file);
    ck_assert_int_eq(capfile_next(file, &packet), CAPFILE_PACKET);
    ck_assert_uint_eq(packet.data[9], 9);
    capfile_close(file);
}
END_TEST

static void write_stream(int fd, const struct bytes *header, uint64_t bytes)
{
    struct bytes *b = calloc(1, sizeof(*b));

    for (unsigned i = 0; b->n + 1540 < sizeof(b->at); i++)
        pcap_packet(b, i, i, 0, 1500, 1500);
    if (write(fd, header->at, header->n) != (ssize_t)header->n)
        _exit(1);
    for (uint64_t sent = 0; sent < bytes; sent += b->n)
        for (size_t at = 0; at < b->n;) {
            ssize_t n = write(fd, b->at + at, b->n - at);
            if (n <= 0)
                _exit(1);
            at += (size_t)n;
        }
    _exit(0);
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

START_TEST(memory_does_not_depend_on_the_file)
{
    const uint64_t bytes = 300u << 20;
    struct bytes header = {0};
    struct capfile *file = NULL;
    struct capfile_packet packet;
    enum capfile_status status;
    struct error e = {""};
    uint64_t n = 0, sum = 0;
    int pipe_fd[2], status_of_writer;

    pcap_header(&header, 0xa1b2c3d4, 4, 1);
    ck_assert_int_eq(pipe(pipe_fd), 0);
    pid_t writer = fork();
    if (writer == 0)
        write_stream(pipe_fd[1], &header, bytes);
    close(pipe_fd[1]);
    ck_assert_int_eq(dup2(pipe_fd[0], STDIN_FILENO), STDIN_FILENO);
    long before_kib = peak_kib();
    ck_assert_int_eq(capfile_open("-", 4u << 20, &file, &e), 0);
    while ((status = capfile_next(file, &packet)) != CAPFILE_EOF) {
        ck_assert_int_ne(status, CAPFILE_CUT);
        if (status == CAPFILE_REFILL)
            capfile_refill(file);
        else
            n++, sum += packet.cap_len;
    }
    ck_assert_int_eq(waitpid(writer, &status_of_writer, 0), writer);
    ck_assert_int_eq(status_of_writer, 0);
    ck_assert_uint_ge(n * 1516, bytes);
    ck_assert_uint_eq(sum, n * 1500);
    ck_assert_uint_eq(capfile_read_bytes(file), 24 + n * 1516);
    ck_assert_int_lt(peak_kib() - before_kib, 64 << 10); /* ASan has some of it */
    capfile_close(file);
}
END_TEST

UNIT_MAIN("capfile", pcap_in_all_variants, pcap_frame_check_sequence_is_no_part_of_a_packet, pcap_damage_is_located,
          largest_packet_fits, other_formats_go_through_libpcap, pcapng_time_resolutions,
          pcapng_sections_interfaces_and_blocks, pcapng_skips_blocks_larger_than_the_buffer,
          pcapng_without_packets_is_empty_but_right, pcapng_damage_is_located, pcapng_interfaces_are_bounded,
          gzip_members_are_one_file, gzip_damage_comes_after_the_packets, pcap_cut_at_every_byte,
          pcapng_cut_at_every_byte, gzip_cut_at_every_byte, refusals_name_the_file_and_the_reason,
          signal_lets_the_caller_decide, memory_does_not_depend_on_the_file)

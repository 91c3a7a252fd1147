/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Capture files: pcap and what goes through libpcap, refusals, signals, memory. test_capfile_pcapng.c has pcapng,
 * test_capfile_cut.c gzip and files that end early.
 */

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capfile_read.h"

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
          largest_packet_fits, other_formats_go_through_libpcap, refusals_name_the_file_and_the_reason,
          signal_lets_the_caller_decide, memory_does_not_depend_on_the_file)

/* SPDX-License-Identifier: BSD-3-Clause */

/* Capture files through a worker: merging, link types, the filter, what is counted, and how it ends. */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/rx_pcap.h"
#include "tests/unit/rig.h"
#include "tests/unit/unit.h"

/* ---- files, written to a folder that goes away with the test ---- */

static char dir[] = "/tmp/spanward-rx-XXXXXX";
static char path[4][64];
static const char *const paths[] = {path[0], path[1], path[2], path[3]};

static bool make_dir(void)
{
    if (mkdtemp(dir) == NULL)
        return false;
    for (unsigned i = 0; i < 4; i++)
        snprintf(path[i], sizeof(path[i]), "%s/%u.pcap", dir, i);
    return true;
}

static void remove_dir(void)
{
    for (unsigned i = 0; i < 4; i++)
        unlink(path[i]);
    rmdir(dir);
}

static void put32(FILE *f, uint32_t v)
{
    fwrite(&v, sizeof(v), 1, f);
}

static FILE *create_pcap(unsigned i, uint32_t link)
{
    FILE *f = fopen(path[i], "wb");

    ck_assert_ptr_nonnull(f);
    put32(f, 0xa1b2c3d4);
    put32(f, 2 | 4 << 16);
    put32(f, 0);
    put32(f, 0);
    put32(f, 65535);
    put32(f, link);
    return f;
}

/* IPv4 and UDP from 10.0.0.1 to 10.0.0.2 with no payload, behind the link header. */
static const uint8_t ip_udp[28] = {0x45, 0, 0, 28, 0, 1, 0, 0,    64,   17, 0,  0, 10,
                                   0,    0, 1, 10, 0, 0, 2, 0x30, 0x39, 0,  80, 0, 8};
static const uint8_t ethernet[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};

static void put_packet(FILE *f, uint32_t s, const void *link_header, uint32_t link_bytes)
{
    put32(f, s);
    put32(f, 0);
    put32(f, link_bytes + 28);
    put32(f, link_bytes + 28);
    fwrite(link_header, 1, link_bytes, f);
    fwrite(ip_udp, 1, sizeof(ip_udp), f);
}

static void put_interface(FILE *f, uint16_t link)
{
    put32(f, 1);
    put32(f, 20);
    put32(f, link);
    put32(f, 0);
    put32(f, 20);
}

static void put_enhanced(FILE *f, uint32_t interface, uint32_t s)
{
    uint64_t us = s * 1000000ull;

    put32(f, 6);
    put32(f, 32 + 28);
    put32(f, interface);
    put32(f, (uint32_t)(us >> 32));
    put32(f, (uint32_t)us);
    put32(f, 28);
    put32(f, 28);
    fwrite(ip_udp, 1, sizeof(ip_udp), f);
    put32(f, 32 + 28);
}

static FILE *create_pcapng(unsigned i)
{
    FILE *f = fopen(path[i], "wb");

    ck_assert_ptr_nonnull(f);
    put32(f, 0x0a0d0d0a);
    put32(f, 28);
    put32(f, 0x1a2b3c4d);
    put32(f, 1);
    put32(f, UINT32_MAX);
    put32(f, UINT32_MAX);
    put32(f, 28);
    return f;
}

/* ---- running them ---- */

struct outcome {
    int error;
    enum rx_pcap_end end;
    struct ledger ledger;
    uint64_t clock_ns, clock_backwards;
    double progress;
    char text[256], warning[256];
};

static void note_progress(void *ctx, double share)
{
    *(double *)ctx = share;
}

static void drain(struct spsc *ring, struct outcome *o)
{
    const struct rec_hdr *hdr;
    size_t len;

    while ((hdr = spsc_peek(ring, &len)) != NULL) {
        if (hdr->type == REC_WINDOW_END)
            o->clock_backwards = ((const struct rec_window_end *)(const void *)hdr)->clock_backwards;
        spsc_pop(ring);
    }
}

static void run_open(struct rx_pcap *rx, struct outcome *o, int stop)
{
    struct error e = {""};
    struct rig rig;

    rig_init(&rig, 1u << 20);
    rig_start(&rig, rig_options(1000000 * NS_PER_S));
    o->end = rx_pcap_run(rx, rig.worker, &stop, note_progress, &o->progress, &e);
    snprintf(o->text, sizeof(o->text), "%s", e.text);
    if (rx_pcap_warning(rx) != NULL)
        snprintf(o->warning, sizeof(o->warning), "%s", rx_pcap_warning(rx));
    worker_finish(rig.worker);
    o->ledger = *worker_ledger(rig.worker);
    o->clock_ns = worker_clock_ns(rig.worker);
    drain(rig.ring, o);
    rig_fini(&rig);
}

static struct outcome run(unsigned n_files, const char *filter, int stop)
{
    struct outcome o = {0};
    struct rx_pcap *rx = NULL;
    struct error e = {""};

    o.error = rx_pcap_open(paths, n_files, filter, &rx, &e);
    snprintf(o.text, sizeof(o.text), "%s", e.text);
    if (o.error == 0) {
        run_open(rx, &o, stop);
        rx_pcap_close(rx);
    }
    uint64_t sum = o.ledger.processed;
    for (unsigned d = 0; d < LEDGER_DROP_COUNT; d++)
        sum += o.ledger.drops[d];
    ck_assert_uint_eq(sum, o.ledger.offered);
    return o;
}

/* ---- tests ---- */

START_TEST(files_are_merged_by_time_across_link_types)
{
    FILE *f[3] = {create_pcap(0, 1), create_pcap(1, 101), create_pcap(2, 1)};

    for (uint32_t i = 0; i < 3000; i++) { /* the third file begins after the others, as a rotated part does */
        unsigned to = i >= 2000 ? 2 : i % 7 == 0 || i % 5 == 0;
        put_packet(f[to], 1000 + i / 2, ethernet, to == 1 ? 0 : sizeof(ethernet));
    }
    for (unsigned i = 0; i < 3; i++)
        fclose(f[i]);
    struct outcome o = run(3, NULL, 0);
    ck_assert_int_eq(o.end, RX_PCAP_EOF);
    ck_assert_uint_eq(o.ledger.offered, 3000);
    ck_assert_uint_eq(o.ledger.drops[LEDGER_decode_bad] + o.ledger.drops[LEDGER_decode_unknown], 0);
    ck_assert_uint_eq(o.clock_backwards, 0);
    ck_assert_uint_eq(o.clock_ns, (1000 + 1499) * NS_PER_S);
}
END_TEST

START_TEST(filter_counts_what_it_leaves_out)
{
    FILE *f = create_pcap(0, 1);
    static const uint8_t arp[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6};

    for (uint32_t i = 0; i < 10; i++)
        put_packet(f, i, i < 7 ? ethernet : arp, 14);
    fclose(f);
    struct outcome o = run(1, "udp port 80", 0);
    ck_assert_uint_eq(o.ledger.offered, 10);
    ck_assert_uint_eq(o.ledger.drops[LEDGER_filtered], 3);
    o = run(1, "ether src 02:00:00:00:00:02", 0);
    ck_assert_uint_eq(o.ledger.drops[LEDGER_filtered], 0);
    o = run(1, "udp port 81", 0);
    ck_assert_uint_eq(o.ledger.drops[LEDGER_filtered], 10);
    o = run(1, "udp prot 80", 0);
    ck_assert_int_eq(o.error, -EINVAL);
    ck_assert(strstr(o.text, "capture.filter \"udp prot 80\": ") == o.text);
}
END_TEST

START_TEST(filter_of_loopback_frames_of_either_byte_order)
{
    FILE *f = create_pcap(0, 0);

    put_packet(f, 1, "\2\0\0\0", 4);
    put_packet(f, 2, "\0\0\0\2", 4);
    fclose(f);
    ck_assert_uint_eq(run(1, "udp port 80", 0).ledger.processed, 2);
    ck_assert_uint_eq(run(1, "ip6", 0).ledger.drops[LEDGER_filtered], 2);
}
END_TEST

START_TEST(filter_that_a_link_type_cannot_have)
{
    FILE *f = create_pcap(0, 101);

    put_packet(f, 1, "", 0);
    fclose(f);
    struct outcome o = run(1, "ether src 02:00:00:00:00:02", 0);
    ck_assert_int_eq(o.error, -EINVAL);
    ck_assert(strstr(o.text, "capture.filter") == o.text);
}
END_TEST

START_TEST(unsupported_interface_among_others_is_counted)
{
    FILE *f = create_pcapng(0);

    put_interface(f, 105);
    put_interface(f, 101);
    put_enhanced(f, 1, 1);
    put_enhanced(f, 0, 2);
    put_enhanced(f, 1, 300);
    put_enhanced(f, 0, 301);
    fclose(f);
    struct outcome o = run(1, NULL, 0);
    ck_assert_int_eq(o.end, RX_PCAP_EOF);
    ck_assert_uint_eq(o.ledger.offered, 4);
    ck_assert_uint_eq(o.ledger.processed, 2);
    ck_assert_uint_eq(o.ledger.drops[LEDGER_decode_unknown], 2);
    ck_assert(strstr(o.warning, "0.pcap has packets of link type IEEE802_11 (105), which is not supported") != NULL);
}
END_TEST

START_TEST(unsupported_link_type_alone_is_refused)
{
    FILE *f = create_pcapng(0);

    put_interface(f, 105);
    put_enhanced(f, 0, 2);
    fclose(f);
    struct outcome o = run(1, NULL, 0);
    ck_assert_int_eq(o.error, -EPROTONOSUPPORT);
    ck_assert(strstr(o.text, "0.pcap has link type IEEE802_11 (105), which is not supported") != NULL);
    fclose(create_pcap(0, 147));
    o = run(1, NULL, 0);
    ck_assert_int_eq(o.error, -EPROTONOSUPPORT);
    ck_assert_str_eq(o.warning, "");
}
END_TEST

START_TEST(cut_file_is_analysed_up_to_the_cut)
{
    FILE *f = create_pcap(0, 1);

    for (uint32_t i = 0; i < 100; i++)
        put_packet(f, i, ethernet, 14);
    fclose(f);
    ck_assert_int_eq(truncate(path[0], 24 + 58 * 99 + 20), 0);
    f = create_pcap(1, 1);
    put_packet(f, 200, ethernet, 14);
    fclose(f);
    struct outcome o = run(2, NULL, 0);
    ck_assert_int_eq(o.end, RX_PCAP_CUT);
    ck_assert_uint_eq(o.ledger.offered, 100);
    ck_assert(strstr(o.text, "0.pcap is cut at byte 5786: it ends inside a packet; analysed up to there") != NULL);
}
END_TEST

START_TEST(stop_and_progress)
{
    FILE *f = create_pcap(0, 1);

    for (uint32_t i = 0; i < 200000; i++)
        put_packet(f, i / 1000, ethernet, 14);
    fclose(f);
    struct outcome o = run(1, NULL, 0);
    ck_assert_int_eq(o.end, RX_PCAP_EOF);
    ck_assert_uint_eq(o.ledger.offered, 200000);
    ck_assert(o.progress > 0.3 && o.progress <= 1.0);
    o = run(1, NULL, 1);
    ck_assert_int_eq(o.end, RX_PCAP_STOPPED);
    ck_assert_uint_lt(o.ledger.offered, 200000);
}
END_TEST

START_TEST(first_unusable_file_is_named)
{
    fclose(create_pcap(0, 1));
    unlink(path[1]); /* of another test */
    struct outcome o = run(2, NULL, 0);
    ck_assert_int_eq(o.error, -ENOENT);
    ck_assert(strstr(o.text, path[1]) != NULL);
    ck_assert_int_eq(run(1, NULL, 0).end, RX_PCAP_EOF);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        files_are_merged_by_time_across_link_types,
        filter_counts_what_it_leaves_out,
        filter_of_loopback_frames_of_either_byte_order,
        filter_that_a_link_type_cannot_have,
        unsupported_interface_among_others_is_counted,
        unsupported_link_type_alone_is_refused,
        cut_file_is_analysed_up_to_the_cut,
        stop_and_progress,
        first_unusable_file_is_named,
    };
    if (!make_dir()) {
        perror(dir);
        return EXIT_FAILURE;
    }
    int status = unit_run("rx_pcap", tests, sizeof(tests) / sizeof(tests[0]));
    remove_dir();
    return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* RTP and RTCP through a worker, with values worked out by hand; and what only looks like them. */

#include <errno.h>

#include "dataplane/rtcp.h"
#include "dataplane/rtp.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

static struct packet packet;

static void udp_at(struct drive *d, double ms, bool back, const uint8_t *payload, uint32_t len)
{
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 1, 2}, .proto = 17};
    static uint16_t ip_id;

    if (back) {
        memcpy(ip.from, (const uint8_t[]){10, 0, 1, 2}, 4);
        memcpy(ip.to, (const uint8_t[]){10, 0, 0, 1}, 4);
    }
    ip.id = ++ip_id;
    packet_ethernet(&packet, back ? 2 : 1, back ? 1 : 2, 0x0800);
    packet_ipv4(&packet, &ip);
    packet_udp(&packet, back ? 20000 : 16000, back ? 16000 : 20000, (uint16_t)len);
    packet_put(&packet, payload, len);
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6), &packet);
}

static void put32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void rtp_at(struct drive *d, double ms, uint8_t type, uint16_t seq, uint32_t timestamp, uint32_t ssrc)
{
    uint8_t p[32] = {0x80, type, (uint8_t)(seq >> 8), (uint8_t)seq};

    put32(p + 4, timestamp);
    put32(p + 8, ssrc);
    udp_at(d, ms, false, p, sizeof(p));
}

/* `n` packets of 20 ms, 160 units of 8 kHz. */
static void steady(struct drive *d, double ms, unsigned n, uint16_t seq, uint32_t timestamp)
{
    for (unsigned i = 0; i < n; i++)
        rtp_at(d, ms + 20.0 * i, 0, (uint16_t)(seq + i), timestamp + 160 * i, 0xabcd);
}

START_TEST(a_clean_stream)
{
    struct drive *d = drive_new(drive_options());

    steady(d, 0, 50, 65520, 1000); /* numbers wrap */
    drive_finish(d);
    ck_assert_uint_eq(d->n_rtp, 1);
    ck_assert(d->rtp[0].ssrc == 0xabcd && d->rtp[0].dir == C2S && d->rtp[0].payload_type == 0);
    ck_assert_uint_eq(d->rtp[0].expected, 50);
    ck_assert_uint_eq(d->rtp[0].lost + d->rtp[0].reordered + d->rtp[0].dup + d->rtp[0].paused, 0);
    ck_assert_uint_lt(d->rtp[0].jitter_ns, 256); /* the resolution of arrival times */
    ck_assert_uint_eq(d->rtp[0].clock_hz, 8000);
    drive_free(d);
}
END_TEST

START_TEST(loss_reordering_and_copies)
{
    struct drive *d = drive_new(drive_options());

    steady(d, 0, 10, 100, 0); /* 100 to 109 */
    rtp_at(d, 220, 0, 111, 11 * 160, 0xabcd);
    rtp_at(d, 221, 0, 110, 10 * 160, 0xabcd); /* overtaken */
    rtp_at(d, 222, 0, 110, 10 * 160, 0xabcd); /* and sent twice by the network: another IP id */
    rtp_at(d, 300, 0, 115, 15 * 160, 0xabcd); /* 112 to 114 are lost */
    drive_finish(d);
    ck_assert_uint_eq(d->rtp[0].expected, 16);
    ck_assert_uint_eq(d->rtp[0].lost, 3);
    ck_assert_uint_eq(d->rtp[0].reordered, 1);
    ck_assert_uint_eq(d->rtp[0].dup, 1);
    drive_free(d);
}
END_TEST

/* One packet 16 ms late: J = 16/16 = 1 ms; the next is 16 ms too close: J = 1 + (16 - 1)/16 = 1.9375 ms. */
START_TEST(jitter_by_hand)
{
    struct drive *d = drive_new(drive_options());

    steady(d, 0, 5, 1, 0);
    rtp_at(d, 116, 0, 6, 5 * 160, 0xabcd);
    rtp_at(d, 120, 0, 7, 6 * 160, 0xabcd);
    drive_finish(d);
    ck_assert_uint_ge(d->rtp[0].jitter_ns, 1937000);
    ck_assert_uint_le(d->rtp[0].jitter_ns, 1938000);
    drive_free(d);
}
END_TEST

START_TEST(comfort_noise_shares_the_stream)
{
    struct drive *d = drive_new(drive_options());

    steady(d, 0, 5, 1, 0);
    rtp_at(d, 100, 13, 6, 5 * 160, 0xabcd);
    rtp_at(d, 900, 0, 7, 45 * 160, 0xabcd); /* silence: both clocks stood still together */
    rtp_at(d, 920, 101, 8, 46 * 160, 0xabcd);
    drive_finish(d);
    ck_assert_uint_eq(d->n_rtp, 1);
    ck_assert_uint_eq(d->rtp[0].expected, 8);
    ck_assert_uint_eq(d->rtp[0].lost, 0);
    ck_assert_uint_lt(d->rtp[0].jitter_ns, 1000);
    drive_free(d);
}
END_TEST

START_TEST(pauses_and_restarts_are_no_loss)
{
    struct drive *d = drive_new(drive_options());

    steady(d, 0, 10, 1, 0);
    steady(d, 5000, 10, 251, 250 * 160);  /* T.38 took over for 4.8 s */
    steady(d, 5200, 10, 40000, 5 * 1000); /* restarted: other numbers at once */
    drive_finish(d);
    ck_assert_uint_eq(d->rtp[0].paused, 240);
    ck_assert_uint_eq(d->rtp[0].expected, 30);
    ck_assert_uint_eq(d->rtp[0].lost, 0);
    drive_free(d);
}
END_TEST

/* A dynamic type at 48 kHz: known after a second, and only then there is jitter. */
START_TEST(the_clock_of_a_dynamic_type_is_learnt)
{
    for (unsigned n = 30; n <= 100; n += 70) {
        struct drive *d = drive_new(drive_options());
        for (unsigned i = 0; i < n; i++)
            rtp_at(d, 20.0 * i, 111, (uint16_t)i, 960 * i, 0x77);
        drive_finish(d);
        ck_assert_uint_eq(d->rtp[0].clock_hz, n == 100 ? 48000 : 0);
        ck_assert_uint_eq(d->rtp[0].mos_centi, 0); /* no published impairment */
        ck_assert_uint_eq(d->rtp[0].paused, 0);
        drive_free(d);
    }
}
END_TEST

START_TEST(two_sources_in_one_flow)
{
    struct drive *d = drive_new(drive_options());

    for (unsigned i = 0; i < 20; i++) {
        rtp_at(d, 20.0 * i, 0, (uint16_t)i, 160 * i, 1);
        rtp_at(d, 20.0 * i + 1, 96, (uint16_t)(500 + i), 3000 * i, 2);
    }
    drive_finish(d);
    ck_assert_uint_eq(d->n_rtp, 2);
    ck_assert(d->rtp[0].ssrc == 1 && d->rtp[1].ssrc == 2); /* in the order of their beginning */
    ck_assert(d->rtp[0].expected == 20 && d->rtp[1].expected == 20);
    drive_free(d);
}
END_TEST

/* Version 2 and a media type by chance, but no sequence: nothing is told. */
START_TEST(noise_is_no_stream)
{
    struct drive *d = drive_new(drive_options());

    for (unsigned i = 0; i < 200; i++)
        rtp_at(d, 20.0 * i, 0, (uint16_t)(i * 7919), 160 * i, i % 3 == 0 ? 0xabcd : i * 2654435761u);
    worker_tick(d->rig.worker, DRIVE_START + DRIVE_WINDOW);
    drive_drain(d);
    ck_assert_uint_eq(d->n_flows, 0);
    ck_assert_uint_eq(d->end.flows_active, 1);
    ck_assert_uint_eq(d->end.pool_in_use, 0); /* nothing is on probation any more */
    drive_finish(d);
    ck_assert_uint_eq(d->n_rtp, 0);
    drive_free(d);
}
END_TEST

START_TEST(headers)
{
    uint8_t p[16] = {0x80, 0x80 | 8, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    struct rtp_header h;

    ck_assert_int_eq(rtp_parse(p, 12, 12, &h), 0);
    ck_assert(h.type == 8 && h.seq == 0x102 && h.timestamp == 3 && h.ssrc == 4);
    ck_assert_int_eq(rtp_parse(p, 11, 12, &h), -EBADMSG);
    p[0] = 0x81; /* one contributor: 16 bytes */
    ck_assert_int_eq(rtp_parse(p, 12, 12, &h), -EBADMSG);
    ck_assert_int_eq(rtp_parse(p, 16, 16, &h), 0);
    p[0] = 0x40;
    ck_assert_int_eq(rtp_parse(p, 16, 16, &h), -EBADMSG);
    p[0] = 0x80;
    p[1] = 200 & 0x7f; /* RTCP */
    ck_assert_int_eq(rtp_parse(p, 16, 16, &h), -EBADMSG);
}
END_TEST

/* G.711 without loss: R = 93.2 - 0.024 x 20 = 92.72, MOS 4.40; with 5 % loss Ie,eff = 95 x 5/30.1 = 15.78: MOS 3.90;
 * with nothing left R = 92.72 - 95 x 100/125.1 = 16.78: MOS 1.16. */
START_TEST(mos_by_hand)
{
    ck_assert_uint_eq(rtp_mos_centi(0, 1000, 0, 0), 440);
    ck_assert_uint_eq(rtp_mos_centi(8, 1000, 50, 0), 390);
    ck_assert_uint_eq(rtp_mos_centi(0, 1000, 1000, 0), 116);
    ck_assert_uint_eq(rtp_mos_centi(96, 1000, 0, 0), 0);
    ck_assert_uint_eq(rtp_mos_centi(0, 0, 0, 0), 0);
}
END_TEST

/* ---- RTCP ---- */

static uint32_t sender_report(uint8_t *p, uint32_t ssrc, uint64_t ntp)
{
    memset(p, 0, 28);
    p[0] = 0x80;
    p[1] = 200;
    p[3] = 6;
    put32(p + 4, ssrc);
    put32(p + 8, (uint32_t)(ntp >> 32));
    put32(p + 12, (uint32_t)ntp);
    return 28;
}

static uint32_t receiver_report(uint8_t *p, uint32_t about, uint8_t fraction, int32_t lost, uint32_t lsr, uint32_t dlsr)
{
    memset(p, 0, 32);
    p[0] = 0x81;
    p[1] = 201;
    p[3] = 7;
    put32(p + 4, 99);
    put32(p + 8, about);
    put32(p + 12, (uint32_t)lost & 0xffffff);
    p[12] = fraction;
    put32(p + 20, 40);
    put32(p + 24, lsr);
    put32(p + 28, dlsr);
    return 32;
}

/* The report passes at 0 ms, is held for 0.5 s (32768/65536), and the answer passes at 530 ms: 30 ms. */
START_TEST(a_report_and_its_answer)
{
    struct drive *d = drive_new(drive_options());
    uint8_t p[64];

    udp_at(d, 0, false, p, sender_report(p, 7, 0x1122334455667788ull));
    udp_at(d, 530, true, p, receiver_report(p, 7, 64, -3, 0x33445566, 32768));
    udp_at(d, 700, true, p, receiver_report(p, 7, 16, 5, 0x11111111, 0)); /* names another report */
    drive_finish(d);
    ck_assert_uint_eq(d->n_rtcp, 1);
    ck_assert(d->rtcp[0].ssrc == 7 && d->rtcp[0].dir == S2C && d->rtcp[0].reports == 2);
    ck_assert(d->rtcp[0].fraction_max == 64 && d->rtcp[0].fraction_last == 16 && d->rtcp[0].lost == 5);
    ck_assert_uint_eq(d->rtcp[0].jitter_units, 40);
    ck_assert_uint_eq(d->rtcp[0].rtt.n, 1);
    ck_assert_uint_eq(d->rtcp[0].rtt.sum_ns, 30 * NS_PER_MS);
    drive_free(d);
}
END_TEST

START_TEST(lengths_that_do_not_add_up)
{
    struct drive *d = drive_new(drive_options());
    uint8_t p[64];
    uint32_t len = receiver_report(p, 7, 64, 3, 0, 0);

    p[3] = 6; /* shorter than the datagram */
    udp_at(d, 0, false, p, len);
    p[3] = 200; /* longer */
    udp_at(d, 1, false, p, len);
    drive_finish(d);
    ck_assert_uint_eq(d->n_rtcp, 0);
    drive_free(d);
}
END_TEST

UNIT_MAIN("media", a_clean_stream, loss_reordering_and_copies, jitter_by_hand, comfort_noise_shares_the_stream,
          pauses_and_restarts_are_no_loss, the_clock_of_a_dynamic_type_is_learnt, two_sources_in_one_flow,
          noise_is_no_stream, headers, mos_by_hand, a_report_and_its_answer, lengths_that_do_not_add_up)

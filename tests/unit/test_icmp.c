/* SPDX-License-Identifier: BSD-3-Clause */

/* Echo round trips by sequence number, what stays unanswered, and errors counted apart, over IPv4 and IPv6. */

#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

static struct packet packet;

/* type 8/0 (IPv4) stand for 128/129 over IPv6. */
static void icmp_at(struct drive *d, double ms, uint8_t af, bool back, uint8_t type, uint16_t id, uint16_t seq)
{
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 1, 2}, .proto = af == 4 ? 1 : 58};
    static uint16_t ip_id;

    if (back) {
        memcpy(ip.from, (const uint8_t[]){10, 0, 1, 2}, 4);
        memcpy(ip.to, (const uint8_t[]){10, 0, 0, 1}, 4);
    }
    ip.id = ++ip_id;
    packet_ethernet(&packet, back ? 2 : 1, back ? 1 : 2, af == 4 ? 0x0800 : 0x86dd);
    if (af == 4)
        packet_ipv4(&packet, &ip);
    else
        packet_ipv6(&packet, &ip);
    packet_icmp(&packet, type, 0, id, seq);
    packet_payload(&packet, ip_id, 32);
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6), &packet);
}

START_TEST(echo_by_sequence_number)
{
    for (uint8_t af = 4; af <= 6; af += 2) {
        struct drive *d = drive_new(drive_options());
        uint8_t request = af == 4 ? 8 : 128, reply = af == 4 ? 0 : 129;
        icmp_at(d, 0, af, false, request, 77, 1);
        icmp_at(d, 5, af, false, request, 77, 2);
        icmp_at(d, 8, af, true, reply, 77, 2);
        icmp_at(d, 9, af, true, reply, 77, 1);
        icmp_at(d, 13, af, true, reply, 77, 1); /* twice: counts once */
        icmp_at(d, 20, af, false, request, 77, 3);
        drive_finish(d);
        ck_assert_uint_eq(d->n_flows, 1);
        ck_assert_uint_eq(d->flow[0].icmp_echo.n, 2);
        ck_assert_uint_eq(d->flow[0].icmp_echo.min_ns, 3 * NS_PER_MS);
        ck_assert_uint_eq(d->flow[0].icmp_echo.max_ns, 9 * NS_PER_MS);
        ck_assert_uint_eq(d->flow[0].icmp_unanswered, 1);
        ck_assert_uint_eq(d->sum[WINDOW_MIRROR].icmp_unanswered, 1);
        ck_assert(d->flow[0].flags & RFLOW_CLIENT_KNOWN);
        ck_assert_uint_eq(d->flow[0].addr[C2S].byte[2], 0);
        drive_free(d);
    }
}
END_TEST

START_TEST(another_id_is_another_flow)
{
    struct drive *d = drive_new(drive_options());

    icmp_at(d, 0, 4, false, 8, 77, 1);
    icmp_at(d, 1, 4, true, 0, 78, 1);
    drive_finish(d);
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_uint_eq(d->flow[0].icmp_echo.n + d->flow[1].icmp_echo.n, 0);
    ck_assert_uint_eq(d->flow[1].addr[C2S].byte[2], 0); /* who is answered is the client */
    drive_free(d);
}
END_TEST

/* Both ends ping each other with one id: a request is answered by the other end's reply only. */
START_TEST(crossed_pings)
{
    struct drive *d = drive_new(drive_options());

    icmp_at(d, 0, 4, false, 8, 77, 1);
    icmp_at(d, 1, 4, true, 8, 77, 1);
    icmp_at(d, 4, 4, true, 0, 77, 1);
    icmp_at(d, 9, 4, false, 0, 77, 1);
    drive_finish(d);
    ck_assert_uint_eq(d->flow[0].icmp_echo.n, 2);
    ck_assert_uint_eq(d->flow[0].icmp_echo.min_ns, 4 * NS_PER_MS);
    ck_assert_uint_eq(d->flow[0].icmp_echo.max_ns, 8 * NS_PER_MS);
    drive_free(d);
}
END_TEST

START_TEST(a_flood_is_bounded)
{
    struct drive *d = drive_new(drive_options());

    for (uint16_t seq = 0; seq < 500; seq++)
        icmp_at(d, seq, 4, false, 8, 77, seq);
    icmp_at(d, 600, 4, true, 0, 77, 499);
    icmp_at(d, 601, 4, true, 0, 77, 0); /* given up long ago */
    drive_finish(d);
    ck_assert_uint_eq(d->flow[0].icmp_echo.n, 1);
    ck_assert_uint_eq(d->flow[0].icmp_unanswered, 499);
    drive_free(d);
}
END_TEST

START_TEST(errors_are_counted_apart)
{
    struct drive *d = drive_new(drive_options());

    icmp_at(d, 0, 4, true, 3, 0, 0);
    icmp_at(d, 1, 4, true, 11, 0, 0);
    icmp_at(d, 2, 6, true, 2, 0, 0);
    icmp_at(d, 3, 6, true, 135, 0, 0); /* a neighbour solicitation is none */
    icmp_at(d, 4, 4, true, 5, 0, 0);   /* nor is a redirect */
    drive_finish(d);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].icmp_errors, 3);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].icmp_unanswered, 0);
    drive_free(d);
}
END_TEST

UNIT_MAIN("icmp", echo_by_sequence_number, another_id_is_another_flow, crossed_pings, a_flood_is_bounded,
          errors_are_counted_apart)

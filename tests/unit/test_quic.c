/* SPDX-License-Identifier: BSD-3-Clause */

/* QUIC at the tap: the handshake's two halves, the spin bit by side, and bits that do not spin. */

#include <errno.h>

#include "dataplane/quic.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

enum { CLIENT, SERVER };

static struct packet packet;

static void quic_at(struct drive *d, double ms, unsigned dir, const uint8_t *head, uint32_t head_len, uint32_t len)
{
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 1, 2}, .proto = 17};
    static uint16_t ip_id;

    if (dir == SERVER) {
        memcpy(ip.from, (const uint8_t[]){10, 0, 1, 2}, 4);
        memcpy(ip.to, (const uint8_t[]){10, 0, 0, 1}, 4);
    }
    ip.id = ++ip_id;
    packet_ethernet(&packet, (uint8_t)(dir + 1), (uint8_t)(2 - dir), 0x0800);
    packet_ipv4(&packet, &ip);
    packet_udp(&packet, dir == SERVER ? 443 : 50000, dir == SERVER ? 50000 : 443, (uint16_t)len);
    packet_put(&packet, head, head_len);
    packet_payload(&packet, ip_id * 7919u, len - head_len);
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6), &packet);
}

static void initial(struct drive *d, double ms, unsigned dir, uint32_t version)
{
    const uint8_t first = version == 0x6b3343cf ? 0xd0 : 0xc0;
    const uint8_t head[] = {
        first, (uint8_t)(version >> 24), (uint8_t)(version >> 16), (uint8_t)(version >> 8), (uint8_t)version, 8};

    quic_at(d, ms, dir, head, sizeof(head), 1200);
}

static void spin(struct drive *d, double ms, unsigned dir, bool value)
{
    const uint8_t head[] = {(uint8_t)(0x40 | (value ? 0x20 : 0))};

    quic_at(d, ms, dir, head, 1, 100);
}

/* Server 10 ms, client 1 ms from the tap. */
static struct drive *connected(uint32_t version)
{
    struct drive *d = drive_new(drive_options());

    initial(d, 0, CLIENT, version);
    initial(d, 10, SERVER, version);
    initial(d, 11, CLIENT, version);
    return d;
}

START_TEST(the_handshake_is_split_at_the_tap)
{
    static const uint32_t versions[] = {1, 0x6b3343cf, 0xff00001d};

    for (unsigned i = 0; i < 3; i++) {
        struct drive *d = connected(versions[i]);
        drive_finish(d);
        ck_assert(d->flow[0].flags & RFLOW_QUIC);
        ck_assert_uint_eq(d->flow[0].quic_version, versions[i]);
        ck_assert_uint_eq(d->flow[0].quic_handshake_ns, 10 * NS_PER_MS);
        ck_assert_uint_eq(d->flow[0].quic_client_ns, 1 * NS_PER_MS);
        ck_assert_uint_eq(d->flow[0].spin_rtt_full.n, 0);
        drive_free(d);
    }
}
END_TEST

START_TEST(an_initial_sent_again_is_ambiguous)
{
    struct drive *d = drive_new(drive_options());

    initial(d, 0, CLIENT, 1);
    initial(d, 0.1, CLIENT, 1); /* one flight of two datagrams */
    initial(d, 10, SERVER, 1);
    drive_finish(d);
    ck_assert_uint_eq(d->flow[0].quic_handshake_ns, 10 * NS_PER_MS);
    drive_free(d);
    d = drive_new(drive_options());
    initial(d, 0, CLIENT, 1);
    initial(d, 300, CLIENT, 1);
    initial(d, 310, SERVER, 1);
    initial(d, 312, CLIENT, 1);
    drive_finish(d);
    ck_assert_uint_eq(d->flow[0].quic_handshake_ns, 0);
    ck_assert_uint_eq(d->flow[0].quic_client_ns, 2 * NS_PER_MS);
    drive_free(d);
}
END_TEST

/* Values at the tap: client 0, server 0, client 1 at 20, server 1 at 32 (12 ms), client 0 at 33.5 (1.5 ms; whole 13.5).
 */
START_TEST(each_side_by_its_edges)
{
    struct drive *d = connected(1);

    spin(d, 12, CLIENT, false);
    spin(d, 15, SERVER, false);
    spin(d, 20, CLIENT, true);
    spin(d, 21, CLIENT, true);
    spin(d, 32, SERVER, true);
    spin(d, 33.5, CLIENT, false);
    spin(d, 46, SERVER, false);
    drive_finish(d);
    const struct rec_flow *f = &d->flow[0];
    ck_assert_uint_eq(f->spin_rtt[S2C].n, 2);
    ck_assert_uint_eq(f->spin_rtt[S2C].min_ns, 12 * NS_PER_MS);
    ck_assert_uint_eq(f->spin_rtt[S2C].max_ns, 12500000);
    ck_assert_uint_eq(f->spin_rtt[C2S].n, 1);
    ck_assert_uint_eq(f->spin_rtt[C2S].sum_ns, 1500000);
    ck_assert_uint_eq(f->spin_rtt_full.n, 2); /* 33.5 - 20 and 46 - 32 */
    ck_assert_uint_eq(f->spin_rtt_full.sum_ns, 27500000);
    drive_free(d);
}
END_TEST

START_TEST(a_constant_bit_gives_nothing)
{
    struct drive *d = connected(1);

    for (unsigned i = 0; i < 50; i++)
        spin(d, 20 + i, i % 2, false);
    spin(d, 100, SERVER, true); /* one flip alone is no turn */
    drive_finish(d);
    ck_assert_uint_eq(d->flow[0].spin_rtt_full.n + d->flow[0].spin_rtt[0].n + d->flow[0].spin_rtt[1].n, 0);
    drive_free(d);
}
END_TEST

START_TEST(noise_gives_nothing)
{
    struct drive *d = connected(1);

    for (unsigned i = 0; i < 200; i++)
        spin(d, 20 + 0.1 * i, i % 2, (i * 2654435761u >> 13) & 1);
    drive_finish(d);
    ck_assert_uint_eq(d->flow[0].spin_rtt_full.n + d->flow[0].spin_rtt[0].n + d->flow[0].spin_rtt[1].n, 0);
    drive_free(d);
}
END_TEST

/* A server's packet that was overtaken shows the old value for a moment: no sample of 50 us comes of it. */
START_TEST(reordering_makes_no_short_sample)
{
    struct drive *d = connected(1);
    bool value = false;

    for (unsigned turn = 0; turn < 10; turn++) {
        double ms = 20 + 11.0 * turn;
        value = !value;
        spin(d, ms, CLIENT, value);
        spin(d, ms + 10, SERVER, value);
        if (turn == 5) {
            spin(d, ms + 10.05, SERVER, !value);
            spin(d, ms + 10.1, SERVER, value);
        }
    }
    drive_finish(d);
    ck_assert_uint_ge(d->flow[0].spin_rtt_full.n, 10);
    ck_assert_uint_ge(d->flow[0].spin_rtt_full.min_ns, 10 * NS_PER_MS);
    ck_assert_uint_ge(d->flow[0].spin_rtt[S2C].min_ns, 9 * NS_PER_MS);
    drive_free(d);
}
END_TEST

START_TEST(headers)
{
    uint8_t p[8] = {0xc3, 0, 0, 0, 1, 8, 0, 0};
    struct quic_header h;

    ck_assert_int_eq(quic_parse(p, 7, &h), 0);
    ck_assert(h.version == 1 && h.is_initial);
    ck_assert_int_eq(quic_parse(p, 6, &h), -EBADMSG);
    p[5] = 21; /* a connection id of more than 20 bytes */
    ck_assert_int_eq(quic_parse(p, 8, &h), -EBADMSG);
    p[5] = 8;
    p[0] = 0xe3; /* a handshake packet */
    ck_assert(quic_parse(p, 8, &h) == 0 && !h.is_initial);
    p[4] = 99;
    ck_assert_int_eq(quic_parse(p, 8, &h), -EBADMSG);
    p[0] = 0x40;
    ck_assert_int_eq(quic_parse(p, 8, &h), -EBADMSG);
}
END_TEST

UNIT_MAIN("quic", the_handshake_is_split_at_the_tap, an_initial_sent_again_is_ambiguous, each_side_by_its_edges,
          a_constant_bit_gives_nothing, noise_gives_nothing, reordering_makes_no_short_sample, headers)

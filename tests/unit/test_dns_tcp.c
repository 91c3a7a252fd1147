/* SPDX-License-Identifier: BSD-3-Clause */

/* DNS over TCP: messages with their length in front, several in a segment, a length alone, and gaps. */

#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

enum { CLIENT, SERVER };

static struct packet packet;
static uint8_t stream[2][4096];
static uint32_t at[2]; /* bytes written */

/* Appends a message with its length; returns how many bytes it took. */
static uint32_t message(unsigned dir, uint16_t id, uint8_t rcode)
{
    static const uint8_t question[] = {1, 'a', 2, 'b', 'c', 0, 0, 1, 0, 1};
    uint8_t *m = stream[dir] + at[dir];

    memset(m, 0, 14);
    m[1] = 12 + sizeof(question);
    m[2] = (uint8_t)(id >> 8);
    m[3] = (uint8_t)id;
    m[4] = dir == SERVER ? 0x80 : 0;
    m[5] = rcode;
    m[7] = 1;
    memcpy(m + 14, question, sizeof(question));
    at[dir] += 14 + sizeof(question);
    return 14 + sizeof(question);
}

/* Bytes [from, to) of a direction's stream as one segment. */
static void segment(struct drive *d, double ms, unsigned dir, uint32_t from, uint32_t to)
{
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 1, 2}, .proto = 6};
    const struct tcp_spec tcp = {.from = dir == SERVER ? 53 : 50000,
                                 .to = dir == SERVER ? 50000 : 53,
                                 .seq = (dir == SERVER ? 5001 : 1001) + from,
                                 .ack = dir == SERVER ? 1001 : 5001,
                                 .flags = TCP_ACK,
                                 .window = 8000};
    static uint16_t ip_id;

    if (dir == SERVER) {
        memcpy(ip.from, (const uint8_t[]){10, 0, 1, 2}, 4);
        memcpy(ip.to, (const uint8_t[]){10, 0, 0, 1}, 4);
    }
    ip.id = ++ip_id;
    packet_ethernet(&packet, (uint8_t)(dir + 1), (uint8_t)(2 - dir), 0x0800);
    packet_ipv4(&packet, &ip);
    packet_tcp(&packet, &tcp);
    packet_put(&packet, stream[dir] + from, to - from);
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6), &packet);
}

static struct drive *fresh(void)
{
    at[CLIENT] = at[SERVER] = 0;
    return drive_new(drive_options());
}

START_TEST(one_question)
{
    struct drive *d = fresh();

    segment(d, 0, CLIENT, 0, message(CLIENT, 7, 0));
    segment(d, 12, SERVER, 0, message(SERVER, 7, 3));
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 1);
    ck_assert_uint_eq(d->dns[0].id, 7);
    ck_assert_uint_eq(d->dns[0].rcode, 3);
    ck_assert_uint_eq(d->dns[0].rtt_ns, 12 * NS_PER_MS);
    ck_assert_mem_eq(d->dns[0].name, "a.bc", 4);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_queries, 1);
    drive_free(d);
}
END_TEST

START_TEST(several_in_a_segment_and_lengths_alone)
{
    struct drive *d = fresh();
    uint32_t one = message(CLIENT, 1, 0);

    message(CLIENT, 2, 0);
    message(CLIENT, 3, 0);
    segment(d, 0, CLIENT, 0, 2 * one);
    segment(d, 1, CLIENT, 2 * one, 2 * one + 2); /* the length of the third, then the rest */
    segment(d, 2, CLIENT, 2 * one + 2, 3 * one);
    segment(d, 3, CLIENT, 2 * one + 2, 3 * one); /* and again: a repeat is no second question */
    message(SERVER, 2, 0);
    segment(d, 10, SERVER, 0, one);
    message(SERVER, 1, 0);
    message(SERVER, 3, 0);
    segment(d, 20, SERVER, one, 3 * one);
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 3);
    ck_assert_uint_eq(d->dns[0].rtt_ns, 20 * NS_PER_MS);
    ck_assert_uint_eq(d->dns[1].rtt_ns, 10 * NS_PER_MS);
    ck_assert_uint_eq(d->dns[2].rtt_ns, 18 * NS_PER_MS);
    ck_assert_uint_eq(d->dns[2].retries, 0);
    drive_free(d);
}
END_TEST

START_TEST(after_a_gap_a_whole_message_starts_again)
{
    struct drive *d = fresh();
    uint32_t one = message(CLIENT, 1, 0);

    message(CLIENT, 2, 0);
    message(CLIENT, 3, 0);
    segment(d, 0, CLIENT, 0, one);
    segment(d, 2, CLIENT, 2 * one, 3 * one); /* the second was missed */
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 2);
    ck_assert_uint_eq(d->dns[1].id, 3);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_unanswered, 2);
    drive_free(d);
}
END_TEST

UNIT_MAIN("dns_tcp", one_question, several_in_a_segment_and_lengths_alone, after_a_gap_a_whole_message_starts_again)

/* SPDX-License-Identifier: BSD-3-Clause */

/* DNS questions from literal bytes, and transactions through a worker: RTT, retries, failures, case, bounds. */

#include <errno.h>
#include <stdio.h>

#include "dataplane/dns.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

/* A message with one question; flags as on the wire. Returns its length. */
static uint32_t message(uint8_t *ret, uint16_t id, uint16_t flags, const char *name, uint16_t qtype)
{
    const uint8_t header[12] = {(uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(flags >> 8), (uint8_t)flags, 0, 1};
    uint32_t n = sizeof(header);

    memcpy(ret, header, sizeof(header));
    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        ret[n++] = (uint8_t)label;
        memcpy(ret + n, name, label);
        n += (uint32_t)label;
        name += label + (name[label] == '.');
    }
    ret[n++] = 0;
    ret[n++] = (uint8_t)(qtype >> 8);
    ret[n++] = (uint8_t)qtype;
    ret[n++] = 0;
    ret[n++] = 1;
    return n;
}

/* Parses a copy that ends where the block ends. */
static int parse(const uint8_t *bytes, uint32_t n, struct dns_question *ret)
{
    uint8_t *block = malloc(n != 0 ? n : 1);

    memcpy(block, bytes, n);
    int r = dns_parse(block, n, ret);
    free(block);
    return r;
}

START_TEST(a_question)
{
    uint8_t m[512];
    struct dns_question q;
    uint32_t n = message(m, 0x1234, 0x8183, "www.Example.com", 28);

    ck_assert_int_eq(parse(m, n, &q), 0);
    ck_assert(q.id == 0x1234 && q.flags == 0x8183 && q.qtype == 28 && q.name_len == 15);
    ck_assert_mem_eq(q.name, "www.Example.com", 15);
    for (uint32_t cut = 0; cut < n; cut++)
        ck_assert_int_eq(parse(m, cut, &q), -EBADMSG);
    n = message(m, 1, 0, "", 2);
    ck_assert_int_eq(parse(m, n, &q), 0); /* the root */
    ck_assert_uint_eq(q.name_len, 0);
}
END_TEST

START_TEST(questions_that_are_none)
{
    uint8_t m[512];
    struct dns_question q;
    uint32_t n = message(m, 1, 0, "a.b", 1);

    m[5] = 2; /* two questions */
    ck_assert_int_eq(parse(m, n, &q), -EBADMSG);
    m[5] = 0;
    ck_assert_int_eq(parse(m, n, &q), -EBADMSG);
    m[5] = 1;
    m[2] = 0x28; /* an UPDATE */
    ck_assert_int_eq(parse(m, n, &q), -EBADMSG);
    m[2] = 0;
    m[12] = 0xc0; /* a pointer, and one to itself */
    m[13] = 12;
    ck_assert_int_eq(parse(m, n, &q), -EBADMSG);
    m[12] = 64; /* a label too long */
    ck_assert_int_eq(parse(m, n, &q), -EBADMSG);
    m[12] = 60; /* beyond the end */
    ck_assert_int_eq(parse(m, n, &q), -EBADMSG);
}
END_TEST

START_TEST(names_up_to_their_bound)
{
    static const unsigned last[] = {60, 61, 62, 63};
    uint8_t m[512];
    struct dns_question q;

    for (unsigned i = 0; i < 4; i++) {
        char name[300];
        snprintf(name, sizeof(name), "%063d.%063d.%063d.%0*d", 1, 2, 3, (int)last[i], 4);
        uint32_t n = message(m, 1, 0, name, 1);
        int r = parse(m, n, &q);
        ck_assert(r == 0 || r == -EBADMSG);
        if (r == 0)
            ck_assert(q.name_len == strlen(name) && memcmp(q.name, name, q.name_len) == 0);
        else
            ck_assert_uint_gt(strlen(name), 252); /* RFC 1035: 253 characters of text */
    }
}
END_TEST

/* ---- transactions ---- */

static struct packet packet;

static void say(struct drive *d, double ms, bool answer, uint16_t id, const char *name, uint16_t flags)
{
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 1, 53}, .proto = 17};
    static uint16_t ip_id;
    uint8_t m[512];
    uint32_t n = message(m, id, flags, name, 1);

    if (answer) {
        memcpy(ip.from, (const uint8_t[]){10, 0, 1, 53}, 4);
        memcpy(ip.to, (const uint8_t[]){10, 0, 0, 1}, 4);
    }
    ip.id = ++ip_id;
    packet_ethernet(&packet, 1, 2, 0x0800);
    packet_ipv4(&packet, &ip);
    packet_udp(&packet, answer ? 53 : 5000, answer ? 5000 : 53, (uint16_t)n);
    packet_put(&packet, m, n);
    packet_finish(&packet);
    drive_packet(d, DRIVE_START + (uint64_t)(ms * 1e6), &packet);
}

#define ASK(d, ms, id, name)           say(d, ms, false, id, name, 0x0100)
#define ANSWER(d, ms, id, name, rcode) say(d, ms, true, id, name, 0x8180 | (rcode))

START_TEST(a_transaction)
{
    struct drive *d = drive_new(drive_options());

    ASK(d, 0, 7, "example.com");
    ANSWER(d, 29.678, 7, "example.com", 3);
    ANSWER(d, 35, 7, "example.com", 0); /* a second answer changes nothing */
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 1);
    ck_assert_uint_eq(d->dns[0].flags, RDNS_ANSWERED | RDNS_QUERY_SEEN);
    ck_assert_uint_eq(d->dns[0].rtt_ns, 29678000);
    ck_assert_uint_eq(d->dns[0].rcode, 3);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_queries, 1);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_failures, 1);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_unanswered, 0);
    ck_assert_uint_eq(d->hist_n[WINDOW_PATH][WINDOW_HIST_DNS], 1);
    drive_free(d);
}
END_TEST

START_TEST(retries_count_from_the_first_question)
{
    struct drive *d = drive_new(drive_options());

    ASK(d, 0, 7, "example.com");
    ASK(d, 1000, 7, "EXAMPLE.com"); /* the same name */
    ASK(d, 1001, 7, "example.org"); /* the same id, another question */
    ANSWER(d, 1010, 7, "example.com", 0);
    ASK(d, 2000, 7, "example.com"); /* the id once more, after the answer */
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 3);
    ck_assert_uint_eq(d->dns[0].retries, 1);
    ck_assert_uint_eq(d->dns[0].rtt_ns, 1010 * NS_PER_MS);
    ck_assert(!(d->dns[1].flags & RDNS_ANSWERED) && !(d->dns[2].flags & RDNS_ANSWERED));
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_queries, 3);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_unanswered, 2);
    drive_free(d);
}
END_TEST

START_TEST(an_answer_without_its_question)
{
    struct drive *d = drive_new(drive_options());

    ANSWER(d, 0, 7, "example.com", 0);
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 1);
    ck_assert_uint_eq(d->dns[0].flags, RDNS_ANSWERED);
    ck_assert_uint_eq(d->hist_n[WINDOW_MIRROR][WINDOW_HIST_DNS], 0);
    drive_free(d);
}
END_TEST

START_TEST(more_than_a_flow_keeps)
{
    struct worker_options options = drive_options();
    struct drive *d = drive_new(options);

    for (uint16_t id = 0; id < DNS_PER_FLOW + 20; id++)
        ASK(d, id, id, "example.com");
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, DNS_PER_FLOW);
    ck_assert(d->flow[0].flags & RFLOW_DNS_TRUNCATED);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dns_queries, DNS_PER_FLOW + 20);
    drive_free(d);
    options.dns_entries = 3;
    d = drive_new(options);
    for (uint16_t id = 0; id < 10; id++)
        ASK(d, id, id, "example.com");
    drive_finish(d);
    ck_assert_uint_eq(d->n_dns, 3);
    ck_assert(d->flow[0].flags & RFLOW_DNS_TRUNCATED);
    ck_assert_uint_eq(d->end.pool_exhausted, 7);
    drive_free(d);
}
END_TEST

UNIT_MAIN("dns", a_question, questions_that_are_none, names_up_to_their_bound, a_transaction,
          retries_count_from_the_first_question, an_answer_without_its_question, more_than_a_flow_keeps)

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample capture against its truth (docs/samples/branch.truth.json, written by the relay that made it): flow by
 * flow and direction by direction. Frames are matched to flows by the 5-tuple, which no two flows of the sample share.
 *
 * What the capture cannot show is not asked for: a resend of a lost tail ("untraced") looks like a first transmission,
 * and the second copy of an IPv6 segment without payload like a duplicate ACK (no IP id, see METRICS, SPAN duplicates).
 */

#include <arpa/inet.h>
#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/record.h"
#include "tests/golden/harness.h"

static const char *folder;
static struct run run;
static json_t *truth;

static void setup(void)
{
    char path[4096];
    json_error_t why;

    snprintf(path, sizeof(path), "%s/branch.truth.json", folder);
    truth = json_load_file(path, 0, &why);
    ck_assert_msg(truth != NULL, "%s: %s", path, why.text);
    snprintf(path, sizeof(path), "%s/branch.pcapng", folder);
    run_capture(path, &run);
    ck_assert_msg(run.end >= 0, "%s: %s", path, run.error);
}

static void teardown(void)
{
    run_free(&run);
    json_decref(truth);
}

/* ---- matching ---- */

static const char *text_of(json_t *flow, const char *name)
{
    return json_string_value(json_object_get(flow, name));
}

static bool addr_is(const struct rec_flow *f, int end, const char *text)
{
    struct ip_addr a = {0};
    int af = strchr(text, ':') != NULL ? 6 : 4;

    ck_assert_int_eq(inet_pton(af == 6 ? AF_INET6 : AF_INET, text, a.byte), 1);
    return f->af == af && memcmp(&f->addr[end], &a, sizeof(a)) == 0;
}

static bool is_icmp(json_t *t)
{
    return strncmp(text_of(t, "proto"), "icmp", 4) == 0;
}

static bool matches(const struct rec_flow *f, json_t *t)
{
    const char *proto = text_of(t, "proto");
    bool tcp = strcmp(proto, "tcp") == 0;

    return ((f->flags & RFLOW_TCP) != 0) == tcp && (f->proto == 17) == (strcmp(proto, "udp") == 0) &&
           ((f->flags & RFLOW_ICMP) != 0) == is_icmp(t) &&
           (is_icmp(t) || (f->port[0] == json_integer_value(json_object_get(t, "client_port")) &&
                           f->port[1] == json_integer_value(json_object_get(t, "server_port")))) &&
           addr_is(f, 0, text_of(t, "client")) && addr_is(f, 1, text_of(t, "server"));
}

static const struct rec_flow *flow_of(json_t *t)
{
    for (size_t i = 0; i < run.n_flows; i++) {
        if (matches(&run.flow[i], t))
            return &run.flow[i];
    }
    ck_abort_msg("no record of %s port %lld -> %s", text_of(t, "client"),
                 (long long)json_integer_value(json_object_get(t, "client_port")), text_of(t, "server"));
    return NULL;
}

static uint64_t count(json_t *t, int dir, const char *name)
{
    json_t *n = json_object_get(json_object_get(t, dir == C2S ? "c2s" : "s2c"), name);

    ck_assert_msg(json_is_integer(n), "no %s in the truth", name);
    return (uint64_t)json_integer_value(n);
}

static void same(json_t *t, int dir, const char *what, uint64_t got, uint64_t want)
{
    ck_assert_msg(got == want, "%s port %lld, %s: %s is %llu, truth %llu", text_of(t, "client"),
                  (long long)json_integer_value(json_object_get(t, "client_port")), dir == C2S ? "c2s" : "s2c", what,
                  (unsigned long long)got, (unsigned long long)want);
}

#define EACH_FLOW(t)                                                                                                   \
    size_t i_;                                                                                                         \
    json_t *t;                                                                                                         \
    json_array_foreach(json_object_get(truth, "flows"), i_, t) for (int dir = C2S; dir <= S2C; dir++)

static bool measured(json_t *t)
{
    return strcmp(text_of(t, "proto"), "tcp") == 0 && (flow_of(t)->flags & RFLOW_ONE_WAY) == 0;
}

/* ---- tests ---- */

START_TEST(each_flow_has_a_record)
{
    ck_assert_uint_gt(run.n_flows, 100);
    ck_assert_uint_eq(run.n_flows, json_array_size(json_object_get(truth, "flows")));
    ck_assert_uint_eq(run.ledger.offered, json_integer_value(json_object_get(truth, "capture_frames")));
    ck_assert_uint_eq(run.ledger.offered, run.ledger.processed + ledger_drop_sum(&run.ledger));
}
END_TEST

START_TEST(frames_and_copies)
{
    EACH_FLOW(t)
    {
        const struct rec_dir *d = &flow_of(t)->dir[dir];
        uint64_t captured = count(t, dir, "captured_pkts"), copies = count(t, dir, "copied_pkts");

        same(t, dir, "pkts and copies", d->pkts + d->dup_pkts + d->second_hop_pkts, captured + copies);
        if (flow_of(t)->af == 4) {
            same(t, dir, "pkts", d->pkts, captured);
            same(t, dir, "dup_pkts", d->dup_pkts, copies);
        }
        ck_assert_uint_eq(d->second_hop_pkts, 0);
    }
}
END_TEST

START_TEST(handshakes)
{
    EACH_FLOW(t)
    {
        static const char *const names[2] = {"handshake_server_ns", "handshake_client_ns"};
        static const uint32_t flags[2] = {RFLOW_HAS_HANDSHAKE_SERVER, RFLOW_HAS_HANDSHAKE_CLIENT};
        const struct rec_flow *f = flow_of(t);
        json_t *want = json_object_get(t, names[dir]);

        if (!measured(t) || (f->flags & RFLOW_REFUSED) != 0)
            continue;
        ck_assert_int_eq((f->flags & flags[dir]) != 0, json_is_integer(want));
        if (json_is_integer(want))
            same(t, dir, names[dir], dir == 0 ? f->handshake_server_ns : f->handshake_client_ns,
                 (uint64_t)json_integer_value(want));
    }
}
END_TEST

START_TEST(retransmissions)
{
    EACH_FLOW(t)
    {
        const struct rec_tcp_dir *d = &flow_of(t)->tcp[dir];

        if (measured(t))
            same(t, dir, "retrans_pkts", d->retrans_pkts,
                 count(t, dir, "resent_pkts") - count(t, dir, "untraced_pkts"));
    }
}
END_TEST

START_TEST(capture_loss)
{
    EACH_FLOW(t)
    {
        if (measured(t))
            same(t, dir, "capture_lost_bytes", flow_of(t)->tcp[dir].capture_lost_bytes,
                 count(t, dir, "missed_data_bytes"));
    }
}
END_TEST

START_TEST(upstream_loss)
{
    EACH_FLOW(t)
    {
        if (measured(t))
            same(t, dir, "lost_upstream_pkts", flow_of(t)->tcp[dir].lost_upstream_pkts,
                 count(t, dir, "lost_up_data_pkts") - count(t, dir, "untraced_pkts"));
    }
}
END_TEST

START_TEST(downstream_loss)
{
    EACH_FLOW(t)
    {
        if (measured(t))
            same(t, dir, "lost_downstream_pkts", flow_of(t)->tcp[dir].lost_downstream_pkts,
                 count(t, dir, "lost_down_data_pkts"));
    }
}
END_TEST

START_TEST(spurious)
{
    EACH_FLOW(t)
    {
        if (measured(t))
            same(t, dir, "spurious_pkts", flow_of(t)->tcp[dir].spurious_pkts, count(t, dir, "needless_pkts"));
    }
}
END_TEST

START_TEST(reordering)
{
    EACH_FLOW(t)
    {
        uint64_t got = flow_of(t)->tcp[dir].reordered_pkts, want = count(t, dir, "late_tap_pkts");

        if (!measured(t))
            continue;
        /* an IPv6 ACK that was copied looks like one duplicate ACK, as after reordering behind the tap */
        if (flow_of(t)->af == 6 && got > want && got - want <= count(t, !dir, "copied_pkts"))
            continue;
        same(t, dir, "reordered_pkts", got, want);
    }
}
END_TEST

START_TEST(names_and_refusals)
{
    unsigned nxdomain = 0, unanswered = 0, refused = 0, silent = 0;

    for (size_t i = 0; i < run.n_flows; i++) {
        refused += (run.flow[i].flags & RFLOW_REFUSED) != 0;
        silent += (run.flow[i].flags & RFLOW_UNANSWERED) != 0;
        for (unsigned k = 0; k < run.flow[i].n_dns; k++) {
            nxdomain += (run.dns[i][k].flags & RDNS_ANSWERED) != 0 && run.dns[i][k].rcode == 3;
            unanswered += (run.dns[i][k].flags & RDNS_ANSWERED) == 0;
        }
    }
    ck_assert_uint_eq(nxdomain, 1);
    ck_assert_uint_eq(unanswered, 1);
    ck_assert_uint_eq(refused, 2);
    ck_assert_uint_eq(silent, 1);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("sample");
    TCase *c = tcase_create("truth");
    SRunner *r;
    int failed;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER-OF-SAMPLES\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, each_flow_has_a_record);
    tcase_add_test(c, frames_and_copies);
    tcase_add_test(c, handshakes);
    tcase_add_test(c, retransmissions);
    tcase_add_test(c, capture_loss);
    tcase_add_test(c, upstream_loss);
    tcase_add_test(c, downstream_loss);
    tcase_add_test(c, spurious);
    tcase_add_test(c, reordering);
    tcase_add_test(c, names_and_refusals);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

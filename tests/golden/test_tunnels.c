/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Real captures of tunnels: what must be inside, from README.tsv beside the captures and from tshark. Times in us.
 *
 * The captures are not part of the project: SPANWARD_CAPTURES names their folder, without it the test skips.
 */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/golden/harness.h"

#define US(ns) ((double)(ns) / 1000.0)

static struct run run;

static void open_capture(const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", captures_dir(), name);
    run_capture(path, &run);
    ck_assert_msg(run.end == 0, "%s: %s", name, run.error);

    const struct ledger *l = &run.ledger;
    uint64_t pkts = 0;
    for (size_t i = 0; i < run.n_flows; i++)
        pkts += run.flow[i].dir[0].pkts + run.flow[i].dir[1].pkts;
    ck_assert_uint_eq(l->offered, l->processed + ledger_drop_sum(l));
    ck_assert_uint_eq(l->processed, pkts + run.mirror.l2_pkts);
    ck_assert_uint_eq(ledger_drop_sum(l), 0); /* nothing in these is unreadable, copied or cut */
}

static uint32_t count(uint8_t proto, uint8_t tunnel)
{
    uint32_t n = 0;

    for (size_t i = 0; i < run.n_flows; i++)
        n += run.flow[i].proto == proto && run.flow[i].tunnel == tunnel;
    return n;
}

START_TEST(vxlan)
{
    static const double server_us[] = {96, 111, 79, 44}, client_us[] = {737, 739, 702, 716};
    static const double dns_us[] = {4604, 618, 109, 773, 72, 39, 135, 32};
    unsigned n_tcp = 0, n_dns = 0;

    open_capture("vxlan.pcap");
    ck_assert_uint_eq(run.n_flows, 13); /* and one NTP */
    ck_assert_uint_eq(run.ledger.processed, 100);
    for (size_t i = 0; i < run.n_flows; i++) {
        const struct rec_flow *f = &run.flow[i];
        ck_assert(f->tunnel == TUNNEL_VXLAN && f->tunnel_id == 5569041 && f->tunnel_af == 4);
        ck_assert(f->tunnel_src.byte[0] == 172 && f->tunnel_dst.byte[0] == 172);
        if (f->proto == 6) {
            ck_assert_double_eq_tol(US(f->handshake_server_ns), server_us[n_tcp], 0.5);
            ck_assert_double_eq_tol(US(f->handshake_client_ns), client_us[n_tcp], 0.5);
            n_tcp++;
        }
        for (unsigned k = 0; k < f->n_dns; k++)
            ck_assert_double_eq_tol(US(run.dns[i][k].rtt_ns), dns_us[n_dns++], 0.5);
    }
    ck_assert_uint_eq(n_tcp, 4);
    ck_assert_uint_eq(n_dns, 8);
    ck_assert_uint_eq(RUN_SUM(&run, retrans_pkts) + RUN_SUM(&run, capture_gaps), 0);
    run_free(&run);
}
END_TEST

START_TEST(geneve)
{
    open_capture("geneve-47101.pcap");
    ck_assert_uint_eq(run.n_flows, 1);
    const struct rec_flow *f = &run.flow[0];
    ck_assert(f->proto == 6 && f->tunnel == TUNNEL_GENEVE && f->tunnel_id == 4242 && f->port[S2C] == 443);
    ck_assert_double_eq_tol(US(f->handshake_server_ns), 149, 0.5);
    ck_assert_double_eq_tol(US(f->handshake_client_ns), 114, 0.5);
    ck_assert_uint_eq(RUN_SUM(&run, retrans_pkts) + RUN_SUM(&run, capture_gaps), 0);
    run_free(&run);
}
END_TEST

START_TEST(erspan)
{
    open_capture("decode-erspan-typeI-02.pcap");
    ck_assert_uint_eq(run.n_flows, 1);
    const struct rec_flow *f = &run.flow[0];
    ck_assert(f->proto == 1 && f->tunnel == TUNNEL_ERSPAN && f->tunnel_af == 4);
    ck_assert_uint_eq(f->icmp_echo.n, 21);
    ck_assert_uint_eq(f->icmp_unanswered, 0);
    ck_assert(f->n_vlans == 1 && f->vlan[0] == 1011);
    run_free(&run);
}
END_TEST

START_TEST(vlan_and_mpls)
{
    open_capture("mixed-vlan-mpls.pcap");
    ck_assert_uint_eq(run.n_flows, 3);
    ck_assert_uint_eq(count(6, TUNNEL_MPLS), 1);
    const struct rec_flow *f = &run.flow[0];
    ck_assert(f->tunnel == TUNNEL_MPLS && f->tunnel_id == 29 && f->tunnel_af == 0);
    ck_assert(f->port[S2C] == 23 && f->dir[C2S].pkts == 11);
    ck_assert_double_eq_tol(US(run.flow[1].handshake_server_ns), 182510, 0.5);
    ck_assert(run.flow[2].n_vlans == 1 && run.flow[2].vlan[0] == 4093);
    run_free(&run);
}
END_TEST

START_TEST(syslog_in_many_ways)
{
    open_capture("syslog.pcap");
    ck_assert_uint_eq(run.ledger.processed, 94);
    ck_assert_uint_eq(run.n_flows, 22);
    ck_assert_uint_eq(count(17, TUNNEL_PPPOE), 3);
    ck_assert_uint_eq(count(17, TUNNEL_6IN4), 1);
    ck_assert_uint_eq(count(17, TUNNEL_NONE) + count(6, TUNNEL_NONE), 18);
    for (size_t i = 0; i < run.n_flows; i++) {
        const struct rec_flow *f = &run.flow[i];
        if (f->tunnel == TUNNEL_6IN4)
            ck_assert(f->af == 6 && f->tunnel_af == 4 && f->tunnel_src.byte[0] == 193 && f->dir[C2S].pkts == 6);
        if (f->proto == 17)
            ck_assert(f->port[0] == 514 || f->port[1] == 514);
    }
    run_free(&run);
}
END_TEST

int main(void)
{
    if (captures_dir() == NULL) {
        printf("skipped: SPANWARD_CAPTURES names no folder of captures\n");
        return 77;
    }
    Suite *suite = suite_create("tunnels");
    TCase *tcase = tcase_create("tunnels");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, vxlan);
    tcase_add_test(tcase, geneve);
    tcase_add_test(tcase, erspan);
    tcase_add_test(tcase, vlan_and_mpls);
    tcase_add_test(tcase, syslog_in_many_ways);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

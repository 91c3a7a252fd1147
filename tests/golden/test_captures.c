/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Real captures with known stories, each through a worker.
 *
 * Stories   what README.tsv beside the captures says of each file, as numbers: handshake splits, losses by cause,
 * copies, DNS and ICMP times. Times are in us. Flows are numbered by their first packet. Sanity    for every file that
 * README.tsv lists: read to its end, the ledger's identity, windows that add up to the flows, and no flow with counts
 * that contradict one another. tcptrace  per connection: data packets, repeats, missed bytes, RTT samples. Where we
 * differ, the rule is beside the comparison.
 *
 * The captures are not part of the project: SPANWARD_CAPTURES names their folder, without it the test skips.
 */

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/golden/harness.h"

#define US(ns) ((double)(ns) / 1000.0)

/* name, value: of the run (r) or of one flow (f) */
#define FACTS(X)                                                                                                       \
    X(flows, r->n_flows)                                                                                               \
    X(copies, r->ledger.drops[LEDGER_duplicate])                                                                       \
    X(unknown, r->ledger.drops[LEDGER_decode_unknown])                                                                 \
    X(l2, r->mirror.l2_pkts)                                                                                           \
    X(connects, r->mirror.connects)                                                                                    \
    X(refused, r->mirror.refused_connects)                                                                             \
    X(unanswered, r->mirror.unanswered_connects)                                                                       \
    X(syn_retries, r->mirror.syn_retries)                                                                              \
    X(dns_queries, r->mirror.dns_queries)                                                                              \
    X(dns_failures, r->mirror.dns_failures)                                                                            \
    X(dns_unanswered, r->mirror.dns_unanswered)                                                                        \
    X(icmp_errors, r->mirror.icmp_errors)                                                                              \
    X(retrans, RUN_SUM(r, retrans_pkts))                                                                               \
    X(spurious, RUN_SUM(r, spurious_pkts))                                                                             \
    X(lost, RUN_SUM(r, lost_upstream_pkts) + RUN_SUM(r, lost_downstream_pkts) + RUN_SUM(r, lost_unknown_pkts))         \
    X(upstream, RUN_SUM(r, lost_upstream_pkts))                                                                        \
    X(downstream, RUN_SUM(r, lost_downstream_pkts))                                                                    \
    X(unseen_bytes, RUN_SUM(r, capture_lost_bytes))                                                                    \
    X(gaps, RUN_SUM(r, capture_gaps))                                                                                  \
    X(zero_windows, RUN_SUM(r, zero_windows))                                                                          \
    X(keepalives, RUN_SUM(r, keepalives))                                                                              \
    X(dup_acks, RUN_SUM(r, dup_acks))                                                                                  \
    X(rst, RUN_SUM(r, rst))                                                                                            \
    X(hs_server, (f->flags & RFLOW_HAS_HANDSHAKE_SERVER) ? US(f->handshake_server_ns) : -1)                            \
    X(hs_client, (f->flags & RFLOW_HAS_HANDSHAKE_CLIENT) ? US(f->handshake_client_ns) : -1)                            \
    X(think, f->think.n != 0 ? US(f->think.max_ns) : -1)                                                               \
    X(response, f->response.n != 0 ? US(f->response.max_ns) : -1)                                                      \
    X(rtt_server_n, f->rtt[S2C].n)                                                                                     \
    X(rtt_server_max, US(f->rtt[S2C].max_ns))                                                                          \
    X(rtt_server_sum, US(f->rtt[S2C].sum_ns))                                                                          \
    X(rtt_client_n, f->rtt[C2S].n)                                                                                     \
    X(rtt_client_sum, US(f->rtt[C2S].sum_ns))                                                                          \
    X(ts_server_min, US(f->ts_rtt[S2C].min_ns))                                                                        \
    X(echo_n, f->icmp_echo.n)                                                                                          \
    X(echo_min, US(f->icmp_echo.min_ns))                                                                               \
    X(echo_max, US(f->icmp_echo.max_ns))                                                                               \
    X(echo_sum, US(f->icmp_echo.sum_ns))                                                                               \
    X(c2s_pkts, f->dir[C2S].pkts)                                                                                      \
    X(s2c_pkts, f->dir[S2C].pkts)                                                                                      \
    X(hops, f->dir[C2S].second_hop_pkts + f->dir[S2C].second_hop_pkts)                                                 \
    X(vlans, f->n_vlans)                                                                                               \
    X(one_way, (f->flags & RFLOW_ONE_WAY) != 0)                                                                        \
    X(midstream, (f->flags & RFLOW_MIDSTREAM) != 0)                                                                    \
    X(flow_refused, (f->flags & RFLOW_REFUSED) != 0)                                                                   \
    X(flow_retries, f->syn_retries)                                                                                    \
    X(c2s_retrans, f->tcp[C2S].retrans_pkts)                                                                           \
    X(s2c_retrans, f->tcp[S2C].retrans_pkts)                                                                           \
    X(s2c_unseen, f->tcp[S2C].capture_lost_bytes)                                                                      \
    X(c2s_unseen, f->tcp[C2S].capture_lost_bytes)                                                                      \
    X(c2s_zero_us, f->tcp[C2S].zero_window_us)                                                                         \
    X(unreachable, f->icmp_unreachable)                                                                                \
    X(ttl_exceeded, f->icmp_ttl_exceeded)                                                                              \
    X(too_big, f->icmp_too_big)                                                                                        \
    X(echo_unanswered, f->icmp_unanswered)                                                                             \
    X(mtu, f->pmtu[C2S].mtu_bytes)                                                                                     \
    X(black_holes, r->n_events)                                                                                        \
    X(transit_n, f->transit.n)                                                                                         \
    X(transit_min, US(f->transit.min_ns))                                                                              \
    X(transit_max, US(f->transit.max_ns))                                                                              \
    X(rtp_n, f->n_rtp)                                                                                                 \
    X(rtp_expected, rtp->expected)                                                                                     \
    X(rtp_lost, rtp->lost)                                                                                             \
    X(rtp_paused, rtp->paused)                                                                                         \
    X(rtp_jitter, US(rtp->jitter_ns))                                                                                  \
    X(rtp2_expected, rtp[1].expected)                                                                                  \
    X(rtp2_lost, rtp[1].lost)                                                                                          \
    X(quic_version, f->quic_version)                                                                                   \
    X(quic_server, US(f->quic_handshake_ns))                                                                           \
    X(quic_client, US(f->quic_client_ns))                                                                              \
    X(spin_full_n, f->spin_rtt_full.n)                                                                                 \
    X(spin_full_sum, US(f->spin_rtt_full.sum_ns))                                                                      \
    X(spin_server_sum, US(f->spin_rtt[S2C].sum_ns))                                                                    \
    X(spin_server_max, US(f->spin_rtt[S2C].max_ns))                                                                    \
    X(spin_client_sum, US(f->spin_rtt[C2S].sum_ns))                                                                    \
    X(spin_client_min, US(f->spin_rtt[C2S].min_ns))                                                                    \
    X(dns_rtt, f->n_dns != 0 ? US(dns->rtt_ns) : -1)                                                                   \
    X(dns_rcode, f->n_dns != 0 ? dns->rcode : -1)                                                                      \
    X(dns_retries, f->n_dns != 0 ? dns->retries : -1)

enum fact_kind {
    END_OF_FACTS,
#define X(name, value) FACT_##name,
    FACTS(X)
#undef X
};

static const char *const fact_names[] = {"",
#define X(name, value) #name,
                                         FACTS(X)
#undef X
};

struct fact {
    enum fact_kind kind;
    double value;
    unsigned flow;
};

struct story {
    const char *file;
    struct fact fact[12];
};

#define OF(name, value)                                                                                                \
    {                                                                                                                  \
        FACT_##name, (value), 0                                                                                        \
    }
#define FLOW_OF(index, name, value)                                                                                    \
    {                                                                                                                  \
        FACT_##name, (value), (index)                                                                                  \
    }

/* Where flows are in their files. */
#define PMTU_FLOW  3
#define FAX_FLOW   4
#define RTP_JITTER 365.136

static const struct story stories[] = {
    /* handshakes and latency by side */
    {"latency1.pcapng",
     {OF(hs_server, 30107), OF(hs_client, 75), OF(rtt_server_max, 48778), OF(think, 66), OF(lost, 0)}},
    {"latency3.pcapng", {OF(hs_server, 23790), OF(hs_client, 14894), OF(think, 1345023)}},
    {"tcp_handshake.pcapng", {OF(hs_server, 132627), OF(hs_client, 141), OF(connects, 1)}},
    /* a repeated SYN gives no split; its repeats are no loss of data */
    {"6syns.dmp",
     {OF(flows, 2), OF(hs_server, -1), FLOW_OF(1, hs_server, -1), OF(flow_retries, 3), FLOW_OF(1, flow_retries, 1),
      OF(retrans, 8), OF(lost, 4), OF(spurious, 0), OF(c2s_retrans, 6), FLOW_OF(1, c2s_retrans, 2)}},
    {"fast_reuse.dmp", {OF(flows, 18), OF(connects, 17), OF(midstream, 1), OF(retrans, 0), OF(lost, 0), OF(gaps, 0)}},
    {"timestamp.pcap", {OF(hs_server, 50854), OF(ts_server_min, 50854), OF(rtt_client_n, 183), OF(retrans, 0)}},
    /* every sample of spindump's golden: to the right 32998 + 44683 + 34370, to the left 90 + 58 + 59; and likewise */
    {"trace_tcp_short.pcap",
     {OF(rtt_server_n, 3), OF(rtt_server_sum, 32998 + 44683 + 34370), OF(rtt_client_n, 3),
      OF(rtt_client_sum, 90 + 58 + 59), FLOW_OF(1, rtt_server_n, 3), FLOW_OF(1, rtt_server_sum, 34312 + 35675 + 33074),
      FLOW_OF(1, rtt_client_n, 5), FLOW_OF(1, rtt_client_sum, 117 + 43 + 23 + 28 + 27), OF(lost, 0)}},

    /* loss and its causes */
    {"tcp_retransmissions.pcapng",
     {OF(c2s_retrans, 5), OF(one_way, 1), OF(midstream, 1), OF(lost, 0), OF(spurious, 0)}}, /* one way: null, not 0 */
    {"tcp_dupack.pcapng", {OF(dup_acks, 3), OF(retrans, 1), OF(lost, 1), OF(spurious, 0)}},
    {"retransmit-timeout.pcapng", {OF(retrans, 1), OF(spurious, 1), OF(lost, 0)}},
    {"TCP_SACK.cap", {OF(retrans, 1), OF(upstream, 1), OF(lost, 1), OF(dup_acks, 4), OF(spurious, 0)}},
    /* the one DSACK names a segment that passed the tap once: copied behind it, no repeat */
    {"dsack.dmp",
     {OF(retrans, 7), OF(downstream, 7), OF(lost, 7), OF(spurious, 0), OF(rtt_server_n, 3900),
      OF(rtt_server_sum, 3900 * 585558.3), OF(dup_acks, 169)}},
    /* 38 repeats, each answered by a DSACK, and two fills with a newer TSval than what exposed their hole */
    {"weibo.pcap", {OF(spurious, 38), OF(retrans, 40), OF(upstream, 2), OF(downstream, 0), OF(gaps, 0)}},
    {"inconsistent_printer.pcapng", {OF(retrans, 2), OF(downstream, 2), OF(gaps, 0)}},

    /* what the mirror missed */
    {"http.dmp",
     {OF(flows, 61), FLOW_OF(34, s2c_unseen, 11686), FLOW_OF(48, s2c_unseen, 20440), FLOW_OF(50, s2c_unseen, 2920),
      OF(unseen_bytes, 11686 + 20440 + 2920), OF(zero_windows, 3), OF(lost, 0), OF(gaps, 5)}},
    {"smb2-peter-minus-p191.pcap",
     {OF(unseen_bytes, 2896), OF(gaps, 1), OF(spurious, 9), OF(retrans, 9), OF(lost, 0), OF(connects, 1)}},
    {"tcp-simple-gap2.pcap", {OF(unseen_bytes, 4), OF(gaps, 1), OF(vlans, 1), OF(hs_server, 270), OF(lost, 0)}},
    {"gap-data-missing.pcapng", {OF(flows, 1), OF(unseen_bytes, 1342), OF(gaps, 1), OF(spurious, 1), OF(lost, 0)}},
    {"vnc.pcap",
     {OF(flows, 2), OF(c2s_unseen, 1502), OF(s2c_unseen, 489758), FLOW_OF(1, c2s_unseen, 1447),
      FLOW_OF(1, s2c_unseen, 85167), OF(retrans, 0), OF(lost, 0)}},

    /* copies */
    {"double-vision.pcap",
     {OF(copies, 4), OF(flows, 2), OF(hops, 2), FLOW_OF(1, hops, 2), OF(retrans, 0), OF(transit_n, 2),
      FLOW_OF(1, transit_n, 2)}},
    {"ssh-dups.pcap", {OF(copies, 280), OF(flows, 1), OF(retrans, 0), OF(dup_acks, 0), OF(lost, 0), OF(hops, 0)}},
    {"m57-long-49583-80.pcap", {OF(copies, 113), OF(flows, 1), OF(retrans, 0), OF(dup_acks, 0), OF(hops, 0)}},
    {"vlan-collisions.pcap", {OF(copies, 28), OF(flows, 1), OF(hops, 28), OF(retrans, 0), OF(connects, 1)}},
    {"nowebaccess3.pcapng", {OF(copies, 0), OF(syn_retries, 2), OF(unanswered, 1), OF(dns_rtt, 10440)}},
    {"FAX-Call-t38-CA-TDM-SIP-FB-1.pcap", {OF(copies, 23)}}, /* SIP seen twice 0.2 to 1.4 ms apart, same IP id */

    /* one direction only: retries are counted, nobody failed to answer */
    {"ssh.client-side-half-duplex.pcap",
     {OF(flows, 20), OF(one_way, 1), OF(unanswered, 0), OF(lost, 0), OF(spurious, 0), OF(retrans, 9),
      OF(syn_retries, 2)}},

    /* windows */
    {"tcp_zerowindowdead.pcapng", {OF(zero_windows, 1), OF(c2s_zero_us, 23731524), OF(keepalives, 3), OF(retrans, 0)}},
    {"tcp_zerowindowrecovery.pcapng", {OF(zero_windows, 1), OF(c2s_zero_us, 10005), OF(retrans, 0)}},

    /* connections that do not come up */
    {"tcp_refuseconnection.pcapng", {OF(refused, 1), OF(flow_refused, 1), OF(unanswered, 0), OF(rst, 1)}},
    {"nowebaccess2.pcapng", {OF(flows, 1), OF(refused, 1), OF(rst, 3), OF(syn_retries, 2), OF(unanswered, 0)}},
    {"ftpserverdenied.pcap", {OF(flows, 1), OF(unanswered, 1), OF(syn_retries, 2), OF(lost, 0)}},
    {"http_espn_fail.pcapng",
     {OF(unanswered, 9), OF(syn_retries, 84), OF(connects, 7), OF(retrans, 84), OF(lost, 0), OF(keepalives, 11)}},
    {"BGP_hard_reset.cap", {OF(flows, 3), OF(rst, 1), OF(refused, 1), OF(lost, 0), FLOW_OF(2, hs_server, 16219)}},

    /* DNS and ICMP */
    {"nowebaccess1.pcapng",
     {OF(dns_queries, 2), OF(dns_unanswered, 2), OF(dns_retries, 3), FLOW_OF(1, dns_retries, 2)}},
    {"dns_query_nonexistent.pcapng", {OF(dns_rtt, 29678), OF(dns_rcode, 3), OF(dns_failures, 1)}},
    {"icmp_echo.pcapng",
     {OF(flows, 1), OF(echo_n, 4), OF(echo_min, 776), OF(echo_max, 5178), OF(echo_sum, 776 + 2395 + 2184 + 5178)}},
    /* a traceroute's silence is no loss: each probe was answered by an error */
    {"icmp_traceroute.pcapng",
     {OF(icmp_errors, 24), OF(echo_n, 3), OF(c2s_pkts, 27), OF(s2c_pkts, 3), OF(lost, 0), OF(ttl_exceeded, 24),
      OF(echo_unanswered, 0)}},
    {"destunreachable.pcap",
     {OF(icmp_errors, 3), OF(echo_n, 0), OF(c2s_pkts, 3), OF(unreachable, 3), OF(echo_unanswered, 0)}},
    /* the third probe is told that 1400 bytes fit; nobody goes on with more, so there is no black hole */
    {"path_MTU_discovery.cap",
     {OF(icmp_errors, 4), FLOW_OF(PMTU_FLOW, too_big, 1), FLOW_OF(PMTU_FLOW, mtu, 1400), OF(black_holes, 0)}},

    /* media: by SSRC, so that comfort noise (type 13) is no gap; T.38 takes over for 34 s in one direction */
    {"g711a.pcap", {OF(rtp_n, 1), OF(rtp_expected, 236), OF(rtp_lost, 0), OF(rtp_jitter, RTP_JITTER)}},
    {"FAX-Call-t38-CA-TDM-SIP-FB-1.pcap",
     {FLOW_OF(FAX_FLOW, rtp_n, 2), FLOW_OF(FAX_FLOW, rtp_expected, 159), FLOW_OF(FAX_FLOW, rtp_lost, 0),
      FLOW_OF(FAX_FLOW, rtp_paused, 1712), FLOW_OF(FAX_FLOW, rtp2_expected, 1171), FLOW_OF(FAX_FLOW, rtp2_lost, 0)}},

    /* QUIC: every sample of spindump's golden, as sums over those to the left, to the right, and of whole turns */
    {"trace_quic_v18_long_spin.pcap",
     {OF(quic_version, 0xff000012), OF(quic_server, 15023), OF(spin_client_sum, 9689 + 5919 + 3680),
      OF(spin_client_min, 3680), OF(spin_server_sum, 18868 + 13491 + 18528), OF(spin_server_max, 18868),
      OF(spin_full_n, 5), OF(spin_full_sum, 28557 + 24787 + 19410 + 17171 + 22208)}},
    {"quic-v2.pcapng",
     {OF(quic_version, 0x6b3343cf), OF(quic_server, 1772.351), OF(spin_full_n, 0), OF(spin_server_sum, 0)}},

    /* the link layer */
    {"mixed-vlan-mpls.pcap", {OF(connects, 2), FLOW_OF(1, hs_server, 182510), OF(lost, 0)}},
    {"arppoison.pcapng", {OF(l2, 4), OF(dns_queries, 27), OF(dns_unanswered, 0), FLOW_OF(1, hs_server, 23524)}},
    {"LACP.cap", {OF(l2, 20), OF(flows, 0)}},
    {"LLDP_and_CDP.cap", {OF(l2, 12), OF(flows, 0)}},
    {"3560_CDP.cap", {OF(l2, 3), OF(flows, 0)}},
    {"STP-TCN-TCAck.pcapng", {OF(l2, 5), OF(flows, 0)}},
    {"OSPF_broadcast_adjacencies.cap", {OF(flows, 6), OF(l2, 0)}},
    {"VRRP_failover.cap", {OF(flows, 3)}},
    {"HSRP_failover.cap", {OF(flows, 3), OF(c2s_pkts, 6)}},
    {"ISAKMP_sa_setup.cap", {OF(flows, 1), OF(c2s_pkts, 5), OF(s2c_pkts, 4)}},
    {"g711a.pcap", {OF(flows, 1), OF(c2s_pkts, 236), OF(one_way, 1)}},
};

static void capture_path(char *ret_path, size_t size, const char *file)
{
    ck_assert_int_lt(snprintf(ret_path, size, "%s/%s", captures_dir(), file), (int)size);
}

static void run_file(struct run *ret_run, const char *file)
{
    char path[1024];

    capture_path(path, sizeof(path), file);
    run_capture(path, ret_run);
    ck_assert_msg(ret_run->end == 0, "%s: end %d, %s", file, ret_run->end, ret_run->error);
}

static double value_of(const struct run *r, enum fact_kind kind, unsigned flow)
{
    static const struct rec_flow no_flow;
    static const struct rec_dns no_dns;
    static const struct rec_rtp no_rtp[2];
    const struct rec_flow *f = flow < r->n_flows ? &r->flow[flow] : &no_flow;
    const struct rec_dns *dns = flow < r->n_flows && f->n_dns != 0 ? r->dns[flow] : &no_dns;
    struct rec_rtp rtp[2] = {no_rtp[0], no_rtp[1]};

    for (unsigned i = 0; flow < r->n_flows && i < 2 && i < f->n_rtp; i++)
        rtp[i] = r->rtp[flow][i];

    switch (kind) {
#define X(name, value)                                                                                                 \
    case FACT_##name:                                                                                                  \
        return (double)(value);
        FACTS(X)
#undef X
    case END_OF_FACTS:
        break;
    }
    return -1;
}

START_TEST(tells_its_story)
{
    const struct story *s = &stories[_i];
    struct run r;

    run_file(&r, s->file);
    for (const struct fact *f = s->fact; f->kind != END_OF_FACTS; f++) {
        double value = value_of(&r, f->kind, f->flow);
        double tolerance = f->value > 1e9 ? 200000 : 1; /* a sum of 3900 rounded averages */
        if (f->value < 1e4 && f->value == (double)(int64_t)f->value)
            tolerance = 0.01; /* counts, and times short enough to be exact */
        ck_assert_msg(value >= f->value - tolerance && value <= f->value + tolerance,
                      "%s: %s of flow %u is %.1f, not %.1f", s->file, fact_names[f->kind], f->flow, value, f->value);
    }
    run_free(&r);
}
END_TEST

/* Every RTT of spindump's golden, in its order: ours are one flow each, by the time of the query. */
START_TEST(dns_as_spindump_saw_it)
{
    char path[1024], line[1024];
    struct run r;
    unsigned n = 0;

    run_file(&r, "trace_dns.pcap");
    capture_path(path, sizeof(path), "golden/trace_dns.pcap.spindump.txt");
    FILE *golden = fopen(path, "r");
    ck_assert_ptr_nonnull(golden);
    while (fgets(line, sizeof(line), golden) != NULL) {
        const char *rtt = strstr(line, " right ");
        if (strstr(line, " measurement ") == NULL || rtt == NULL)
            continue;
        double us = strtod(rtt + 7, NULL);
        bool found = false;
        for (size_t i = 0; i < r.n_flows && !found; i++)
            found = r.flow[i].n_dns == 1 && US(r.dns[i][0].rtt_ns) == us;
        ck_assert_msg(found, "no DNS transaction took %.0f us", us);
        n++;
    }
    fclose(golden);
    ck_assert_uint_eq(n, 13);
    ck_assert_uint_eq(r.n_flows, 13);
    run_free(&r);
}
END_TEST

/* ---- every file ---- */

#define SANE(condition) ck_assert_msg((condition), "%s: flow %zu: " #condition, file, i)

static void check_tcp_dir(const char *file, size_t i, const struct rec_flow *f, unsigned side)
{
    const struct rec_tcp_dir *t = &f->tcp[side];
    const struct rec_dir *d = &f->dir[side];
    uint64_t lost = (uint64_t)t->lost_upstream_pkts + t->lost_downstream_pkts + t->lost_unknown_pkts;

    SANE(t->data_pkts <= d->pkts && t->retrans_pkts <= d->pkts);
    SANE(t->spurious_pkts + t->lost_upstream_pkts <= t->retrans_pkts);
    SANE(t->retrans_bytes <= d->bytes);
    /* A loss without a repeat: on an unknown side, or the repeat is a gap of the mirror. */
    SANE(lost + t->spurious_pkts <= t->retrans_pkts + t->lost_unknown_pkts + t->capture_gaps);
    SANE((t->capture_gaps == 0) <= (t->capture_lost_bytes == 0));
    SANE(t->dup_acks + t->rst <= d->pkts && t->keepalives <= d->pkts);
    SANE(t->zero_windows <= d->pkts && t->zero_window_us <= (f->last_ns - f->first_ns) / 1000 + 1);
    SANE((t->zero_windows != 0) || t->zero_window_us == 0);
    if (f->flags & RFLOW_ONE_WAY)
        SANE(lost == 0 && t->capture_lost_bytes == 0);
}

static void check_rtt(const char *file, size_t i, const struct rec_flow *f, const struct rec_rtt *rtt)
{
    if (rtt->n == 0)
        return;
    SANE(rtt->min_ns <= rtt->max_ns && rtt->max_ns <= f->last_ns - f->first_ns);
    SANE(rtt->sum_ns >= rtt->max_ns && rtt->sum_ns <= rtt->n * rtt->max_ns);
}

static void check_flow(const char *file, size_t i, const struct rec_flow *f)
{
    SANE(f->first_ns <= f->last_ns && f->dir[C2S].pkts + f->dir[S2C].pkts != 0);
    SANE(((f->flags & RFLOW_ONE_WAY) != 0) == (f->dir[C2S].pkts == 0 || f->dir[S2C].pkts == 0));
    SANE((f->af == 4 || f->af == 6) && f->n_vlans <= 4 && f->end < FLOW_END_COUNT);
    for (unsigned side = 0; side < 2; side++) {
        check_tcp_dir(file, i, f, side);
        check_rtt(file, i, f, &f->rtt[side]);
        check_rtt(file, i, f, &f->ts_rtt[side]);
    }
    check_rtt(file, i, f, &f->response);
    check_rtt(file, i, f, &f->think);
    check_rtt(file, i, f, &f->icmp_echo);
    SANE(!(f->flags & RFLOW_HAS_HANDSHAKE_SERVER) || f->handshake_server_ns <= f->last_ns - f->first_ns);
    SANE(!(f->flags & RFLOW_HAS_HANDSHAKE_CLIENT) || f->handshake_client_ns <= f->last_ns - f->first_ns);
    SANE(!((f->flags & RFLOW_REFUSED) && (f->flags & RFLOW_UNANSWERED)));
}

/* Totals of the mirror's windows are the totals of the flows. */
static void check_sums(const char *file, const struct run *r)
{
    uint64_t pkts = 0, bytes = 0, copies = 0;

    for (size_t i = 0; i < r->n_flows; i++) {
        check_flow(file, i, &r->flow[i]);
        for (unsigned side = 0; side < 2; side++) {
            pkts += r->flow[i].dir[side].pkts;
            bytes += r->flow[i].dir[side].bytes;
            copies += r->flow[i].dir[side].dup_pkts + r->flow[i].dir[side].second_hop_pkts;
        }
    }
    const struct window_counters *m = &r->mirror;
    ck_assert_msg(r->ledger.offered == r->ledger.processed + ledger_drop_sum(&r->ledger), "%s: ledger", file);
    ck_assert_msg(r->ledger.offered != 0, "%s: nothing was read", file);
    ck_assert_msg(pkts + m->l2_pkts == r->ledger.processed, "%s: processed packets", file);
    ck_assert_msg(copies == r->ledger.drops[LEDGER_duplicate], "%s: copies", file);
    ck_assert_msg(m->dir[0].pkts + m->dir[1].pkts == pkts && m->dir[0].bytes + m->dir[1].bytes == bytes, "%s: windows",
                  file);
    ck_assert_msg(m->dir[0].retrans_pkts + m->dir[1].retrans_pkts == RUN_SUM(r, retrans_pkts), "%s: repeats", file);
    ck_assert_msg(m->dir[0].spurious_pkts + m->dir[1].spurious_pkts == RUN_SUM(r, spurious_pkts), "%s: spurious", file);
    ck_assert_msg(m->new_flows == r->n_flows && m->ended_flows == r->n_flows, "%s: flows", file);
}

START_TEST(all_files_are_read_and_sane)
{
    char path[1024], line[4096];
    unsigned n = 0;

    capture_path(path, sizeof(path), "README.tsv");
    FILE *list = fopen(path, "r");
    ck_assert_ptr_nonnull(list);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), list));
    while (fgets(line, sizeof(line), list) != NULL) {
        struct run r;
        line[strcspn(line, "\t\n")] = '\0';
        run_file(&r, line);
        check_sums(line, &r);
        run_free(&r);
        n++;
    }
    fclose(list);
    ck_assert_uint_eq(n, 60);
}
END_TEST

/* ---- tcptrace ---- */

/* One connection of tcptrace's long output: values of a->b, b->a. */
struct connection {
    char host[2][64];
    int64_t data_pkts[2], rexmt_pkts[2], rexmt_bytes[2], missed[2], rtt_n[2], dup_acks[2], zero_windows[2];
};

static const struct {
    const char *label;
    size_t offset;
} trace_fields[] = {
    {"actual data pkts:", offsetof(struct connection, data_pkts)},
    {"rexmt data pkts:", offsetof(struct connection, rexmt_pkts)},
    {"rexmt data bytes:", offsetof(struct connection, rexmt_bytes)},
    {"missed data:", offsetof(struct connection, missed)},
    {"RTT samples:", offsetof(struct connection, rtt_n)},
    {"duplicate acks:", offsetof(struct connection, dup_acks)},
    {"zero win adv:", offsetof(struct connection, zero_windows)},
};

/* "label: V [unit] label: V [unit]"; NA counts as 0. */
static void read_values(struct connection *c, const char *line)
{
    for (size_t i = 0; i < sizeof(trace_fields) / sizeof(trace_fields[0]); i++) {
        const char *label = trace_fields[i].label, *at = line;
        int64_t *value = (int64_t *)(void *)((char *)c + trace_fields[i].offset);
        if (strncmp(line + strspn(line, " \t"), label, strlen(label)) != 0)
            continue;
        for (unsigned side = 0; side < 2; side++) {
            at = strstr(at, label);
            ck_assert_ptr_nonnull(at);
            at += strlen(label);
            value[side] = strtoll(at, NULL, 10);
        }
    }
}

static bool next_connection(FILE *golden, struct connection *c)
{
    static char line[1024];
    bool in_it = strncmp(line, "TCP connection ", 15) == 0;
    unsigned id;

    memset(c, 0, sizeof(*c));
    while (fgets(line, sizeof(line), golden) != NULL) {
        bool begins = sscanf(line, "TCP connection %u:", &id) == 1;
        if (begins && in_it)
            return true;
        in_it = in_it || begins;
        char *host = strstr(line, "host ");
        if (in_it && host != NULL && strlen(host) > 13 && c->host[1][0] == '\0')
            sscanf(host + 5, "%*s %63s", c->host[c->host[0][0] != '\0']);
        else if (in_it)
            read_values(c, line);
    }
    line[0] = '\0';
    return in_it;
}

static void endpoint_text(const struct rec_flow *f, unsigned side, char *ret, size_t size)
{
    char ip[46];

    snprintf(ret, size, "%s:%u", ip_format(&f->addr[side], f->af, ip), f->port[side]);
}

/* The first flow of these endpoints that is not taken; *ret_a is the side that tcptrace calls a. */
static const struct rec_flow *match(const struct run *r, bool *taken, const struct connection *c, unsigned *ret_a)
{
    for (size_t i = 0; i < r->n_flows; i++) {
        char end[2][64];
        for (unsigned side = 0; side < 2; side++)
            endpoint_text(&r->flow[i], side, end[side], sizeof(end[side]));
        for (unsigned a = 0; a < 2 && !taken[i]; a++) {
            if (strcmp(end[a], c->host[0]) != 0 || strcmp(end[1 - a], c->host[1]) != 0)
                continue;
            taken[i] = true;
            *ret_a = a;
            return &r->flow[i];
        }
    }
    return NULL;
}

#define AGREE(ours, theirs)                                                                                            \
    ck_assert_msg((int64_t)(ours) == (theirs), "%s %s-%s: " #ours " is %" PRId64 ", tcptrace says %" PRId64, file,     \
                  c->host[0], c->host[1], (int64_t)(ours), (int64_t)(theirs))

static void compare_side(const char *file, const struct connection *c, const struct rec_flow *f, unsigned side,
                         unsigned column)
{
    const struct rec_tcp_dir *t = &f->tcp[side];

    AGREE(t->data_pkts, c->data_pkts[column]);
    AGREE(t->retrans_pkts, c->rexmt_pkts[column]);
    AGREE(t->capture_lost_bytes, c->missed[column]);
    AGREE(f->rtt[1 - side].n, c->rtt_n[column]);
    AGREE(t->zero_windows != 0, c->zero_windows[column] != 0); /* they count packets, we count transitions */
    /* They count a repeated SYN or FIN as a byte, we count payload. */
    int64_t control_bytes = c->rexmt_bytes[column] - (int64_t)t->retrans_bytes;
    ck_assert_msg(control_bytes >= 0 && control_bytes <= (int64_t)t->retrans_pkts, "%s: rexmt bytes", file);
    /* They count a FIN as a duplicate ACK; we do not, since it carries something new. */
    int64_t fins = c->dup_acks[column] - (int64_t)f->tcp[1 - side].dup_acks;
    ck_assert_msg(fins == 0 || fins == 1, "%s %s: duplicate ACKs %" PRId64 " more", file, c->host[0], fins);
}

START_TEST(counts_as_tcptrace_does)
{
    static const char *const files[] = {"6syns.dmp", "dsack.dmp", "fast_reuse.dmp", "http.dmp"};
    static const unsigned n_connections[] = {2, 1, 18, 61};
    const char *file = files[_i];
    char path[1024], name[256];
    struct connection c;
    struct run r;
    unsigned n = 0, a = 0;

    run_file(&r, file);
    bool *taken = calloc(r.n_flows + 1, sizeof(*taken));
    snprintf(name, sizeof(name), "golden/%s.tcptrace.txt", file);
    capture_path(path, sizeof(path), name);
    FILE *golden = fopen(path, "r");
    ck_assert_ptr_nonnull(golden);
    while (next_connection(golden, &c)) {
        const struct rec_flow *f = match(&r, taken, &c, &a);
        ck_assert_msg(f != NULL, "%s: no flow %s %s", file, c.host[0], c.host[1]);
        compare_side(file, &c, f, a, 0);
        compare_side(file, &c, f, 1 - a, 1);
        n++;
    }
    fclose(golden);
    ck_assert_uint_eq(n, n_connections[_i]);
    free(taken);
    run_free(&r);
}
END_TEST

int main(void)
{
    if (captures_dir() == NULL) {
        printf("skipped: the shared captures are not here (SPANWARD_CAPTURES)\n");
        return 77;
    }
    Suite *suite = suite_create("captures");
    TCase *tcase = tcase_create("captures");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, tells_its_story, 0, sizeof(stories) / sizeof(stories[0]));
    tcase_add_test(tcase, dns_as_spindump_saw_it);
    tcase_add_test(tcase, all_files_are_read_and_sane);
    tcase_add_loop_test(tcase, counts_as_tcptrace_does, 0, 4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

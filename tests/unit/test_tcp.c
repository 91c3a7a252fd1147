/* SPDX-License-Identifier: BSD-3-Clause */

/* TCP connections at the tap: handshakes, ends, windows, probes, turns and RTT samples; the scripts are in script.h. */

#include "dataplane/worker_state.h"
#include "tests/unit/script.h"

static const struct rec_flow *first(const struct drive *d)
{
    ck_assert_uint_ge(d->n_flows, 1);
    return &d->flow[0];
}

/* ---- handshakes ---- */

START_TEST(handshake_splits_at_the_tap)
{
    struct drive *d = PLAY(HANDSHAKE);
    const struct rec_flow *f = first(d);

    ck_assert(f->flags & RFLOW_HAS_HANDSHAKE_SERVER && f->flags & RFLOW_HAS_HANDSHAKE_CLIENT);
    ck_assert(f->flags & RFLOW_CLIENT_KNOWN && !(f->flags & RFLOW_MIDSTREAM));
    ck_assert_uint_eq(f->handshake_server_ns, 10 * NS_PER_MS);
    ck_assert_uint_eq(f->handshake_client_ns, 1 * NS_PER_MS);
    ck_assert_uint_eq(f->port[C2S], 50000);
    ck_assert_uint_eq(f->port[S2C], 443);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].connects, 1);
    ck_assert_int_eq(f->tcp_state, TCP_ESTABLISHED);
    drive_free(d);
}
END_TEST

START_TEST(repeated_syn_gives_no_server_split)
{
    struct drive *d =
        PLAY(C(0, 1000, 0, 0, SYN), C(1000, 1000, 0, 0, SYN), S(1010, 5000, 0, 1001, SYNACK), C(1011, 1001, 0, 5001));
    const struct rec_flow *f = first(d);

    ck_assert(!(f->flags & RFLOW_HAS_HANDSHAKE_SERVER));
    ck_assert_uint_eq(f->handshake_client_ns, 1 * NS_PER_MS);
    ck_assert_uint_eq(f->syn_retries, 1);
    ck_assert_uint_eq(f->rtt[S2C].n, 0);
    VERDICTS(d, C2S, .retrans_pkts = 1);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].syn_retries, 1);
    drive_free(d);
}
END_TEST

START_TEST(repeated_synack_gives_no_client_split)
{
    struct drive *d = PLAY(C(0, 1000, 0, 0, SYN), S(10, 5000, 0, 1001, SYNACK), S(1010, 5000, 0, 1001, SYNACK),
                           C(1011, 1001, 0, 5001));
    const struct rec_flow *f = first(d);

    ck_assert(!(f->flags & RFLOW_HAS_HANDSHAKE_CLIENT));
    ck_assert_uint_eq(f->rtt[C2S].n, 0);
    ck_assert_uint_eq(f->syn_retries, 0);
    VERDICTS(d, S2C, .retrans_pkts = 1);
    drive_free(d);
}
END_TEST

/* TCP Fast Open: a packet counts once, as a repeated SYN, whatever it carries. */
START_TEST(repeated_syn_with_data_counts_once)
{
    struct drive *d = PLAY(C(0, 1000, 100, 0, SYN), C(1000, 1000, 100, 0, SYN), S(1010, 5000, 0, 1101, SYNACK),
                           C(1011, 1101, 100, 5001), S(1021, 5001, 0, 1201));

    VERDICTS(d, C2S, .retrans_pkts = 1);
    ck_assert_uint_eq(first(d)->syn_retries, 1);
    ck_assert_uint_eq(first(d)->tcp[C2S].data_pkts, 3);
    drive_free(d);
}
END_TEST

START_TEST(synack_before_its_syn_gives_no_split)
{
    struct drive *d = PLAY(S(0, 5000, 0, 1001, SYNACK), C(0.5, 1000, 0, 0, SYN), C(1, 1001, 0, 5001));
    const struct rec_flow *f = first(d);

    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert(!(f->flags & (RFLOW_HAS_HANDSHAKE_SERVER | RFLOW_HAS_HANDSHAKE_CLIENT)));
    ck_assert_uint_eq(f->port[C2S], 50000); /* a SYN/ACK comes from the server */
    drive_free(d);
}
END_TEST

START_TEST(refused_and_tried_again_is_one_episode)
{
    struct drive *d = PLAY(C(0, 1000, 0, 0, SYN), S(1, 0, 0, 1001, .flags = TCP_RST | TCP_ACK), C(500, 7777, 0, 0, SYN),
                           S(501, 0, 0, 7778, .flags = TCP_RST | TCP_ACK), C(1000, 99, 0, 0, SYN),
                           S(1001, 0, 0, 100, .flags = TCP_RST | TCP_ACK));
    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert(first(d)->flags & RFLOW_REFUSED && !(first(d)->flags & RFLOW_UNANSWERED));
    ck_assert_uint_eq(first(d)->syn_retries, 2);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].refused_connects, 1);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].unanswered_connects, 0);
    ck_assert_int_eq(first(d)->end, FLOW_END_RST);
    drive_free(d);
}
END_TEST

START_TEST(unanswered_syns)
{
    struct drive *d = PLAY(C(0, 1000, 0, 0, SYN), C(1000, 1000, 0, 0, SYN), C(3000, 1000, 0, 0, SYN));

    ck_assert(first(d)->flags & RFLOW_UNANSWERED);
    ck_assert_int_eq(first(d)->tcp_state, TCP_SYN_SENT);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].unanswered_connects, 1);
    VERDICTS(d, C2S, .retrans_pkts = 2); /* never a loss of data */
    drive_free(d);
}
END_TEST

START_TEST(ports_used_again_are_another_flow)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 0, 5001, FIN), S(30, 5001, 0, 1002, FIN), C(31, 1002, 0, 5002),
                           C(100, 800000, 0, 0, SYN), S(110, 900000, 0, 800001, SYNACK), C(111, 800001, 0, 900001));
    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_int_eq(d->flow[0].end, FLOW_END_FIN);
    ck_assert_int_eq(d->flow[1].end, FLOW_END_EOF);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_uint_eq(d->flow[i].handshake_server_ns, 10 * NS_PER_MS);
    VERDICTS(d, C2S, 0);
    drive_free(d);
    /* and while the old one is still open */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(100, 800000, 0, 0, SYN), S(110, 900000, 0, 800001, SYNACK));
    ck_assert_uint_eq(d->n_flows, 2);
    drive_free(d);
}
END_TEST

/* ---- ends ---- */

START_TEST(late_packets_belong_to_the_closed_connection)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 0, 5001, FIN), S(30, 5001, 0, 1002, FIN), C(31, 1002, 0, 5002),
                           S(300, 5001, 0, 1002, FIN));
    ck_assert_uint_eq(d->n_flows, 1);
    ck_assert_int_eq(first(d)->tcp_state, TCP_CLOSED);
    VERDICTS(d, S2C, .retrans_pkts = 1, .spurious_pkts = 1); /* the FIN once more, though it was acknowledged */
    drive_free(d);
}
END_TEST

START_TEST(reset_in_the_middle)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), S(40, 5001, 0, 0, RST));

    ck_assert_int_eq(first(d)->end, FLOW_END_RST);
    ck_assert_int_eq(first(d)->tcp_state, TCP_RESET);
    ck_assert_uint_eq(first(d)->tcp[S2C].rst, 1);
    ck_assert_uint_eq(first(d)->tcp[C2S].rst, 0);
    ck_assert(!(first(d)->flags & RFLOW_REFUSED));
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

/* ---- windows and probes ---- */

START_TEST(zero_window_and_its_probes)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(31, 5001, 0, 1101, .window = CLOSED), C(231, 1101, 1, 5001),
             S(241, 5001, 0, 1101, .window = CLOSED), C(631, 1101, 1, 5001), S(641, 5001, 0, 1101, .window = CLOSED),
             S(700, 5001, 0, 1101), C(701, 1101, 100, 5001), S(711, 5001, 0, 1201));
    ck_assert_uint_eq(first(d)->tcp[S2C].zero_windows, 1);
    ck_assert_uint_eq(first(d)->tcp[S2C].zero_window_us, 669000);
    ck_assert_uint_eq(first(d)->tcp[C2S].keepalives, 2);
    ck_assert_uint_eq(first(d)->tcp[C2S].data_pkts, 2);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dir[S2C].zero_windows, 1);
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

START_TEST(a_probe_that_was_taken_is_no_gap)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(31, 5001, 0, 1101, .window = CLOSED),
                           C(231, 1101, 1, 5001), S(241, 5001, 0, 1102), C(242, 1102, 99, 5001), S(252, 5001, 0, 1201));
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

START_TEST(window_closed_until_the_end)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(31, 5001, 0, 1101, .window = CLOSED),
                           C(3031, 1101, 1, 5001), S(3041, 5001, 0, 1101, .window = CLOSED));
    ck_assert_uint_eq(first(d)->tcp[S2C].zero_window_us, 3010000);
    drive_free(d);
}
END_TEST

START_TEST(keepalives_are_no_repeats)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(31, 5001, 0, 1101), C(5000, 1100, 1, 5001),
                           S(5010, 5001, 0, 1101), C(9000, 1100, 0, 5001), S(9010, 5001, 0, 1101));
    ck_assert_uint_eq(first(d)->tcp[C2S].keepalives, 2);
    ck_assert_uint_eq(first(d)->tcp[S2C].dup_acks, 0);
    ck_assert_uint_eq(first(d)->tcp[C2S].data_pkts, 1);
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

/* ---- round trips ---- */

START_TEST(only_exact_and_unambiguous_acks_are_samples)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 1000, 5001), S(31, 5001, 0, 1501), S(32, 5001, 0, 2001));
    ck_assert_uint_eq(first(d)->rtt[S2C].n, 2); /* not the one in mid-segment */
    ck_assert_uint_eq(first(d)->rtt[S2C].max_ns, 12 * NS_PER_MS);
    ck_assert_uint_eq(first(d)->rtt[S2C].min_ns, 10 * NS_PER_MS);
    drive_free(d);
    /* Karn, strict: a later resend of anything before it */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(21, 1101, 100, 5001), C(230, 1001, 100, 5001), S(240, 5001, 0, 1201),
             C(250, 1201, 100, 5001), S(262, 5001, 0, 1301));
    ck_assert_uint_eq(first(d)->rtt[S2C].n, 2); /* SYN and the segment after it all */
    ck_assert_uint_eq(first(d)->rtt[S2C].max_ns, 12 * NS_PER_MS);
    drive_free(d);
}
END_TEST

START_TEST(many_in_flight_each_give_a_sample)
{
    static struct step steps[3 + 40] = {HANDSHAKE};

    for (unsigned i = 0; i < 20; i++) {
        steps[3 + i] = (struct step)C(20 + i, 1001 + 100 * i, 100, 5001);
        steps[23 + i] = (struct step)S(50 + i, 5001, 0, 1101 + 100 * i);
    }
    struct drive *d = play_with(drive_options(), steps, 43);
    ck_assert_uint_eq(first(d)->rtt[S2C].n, 21);
    ck_assert_uint_eq(first(d)->rtt[S2C].sum_ns, (10 + 20 * 30) * NS_PER_MS);
    ck_assert_uint_eq(d->hist_n[WINDOW_MIRROR][WINDOW_HIST_RTT_B], 21);
    ck_assert_uint_eq(d->hist_n[WINDOW_PATH][WINDOW_HIST_RTT_A] + d->hist_n[WINDOW_PATH][WINDOW_HIST_RTT_B], 22);
    drive_free(d);
    struct worker_options options = drive_options();
    options.trouble_blocks = 1; /* one node, of four */
    d = play_with(options, steps, 43);
    ck_assert_uint_eq(first(d)->rtt[S2C].n, 5);
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

/* Many in flight and long silences are no trouble: such a flow takes no block, and its nodes leave a quarter for
 * losses. */
START_TEST(an_ordinary_flow_takes_no_block)
{
    const struct step start[] = {HANDSHAKE}, late[] = {C(9000, 2001, 1, 5001), S(9001, 5001, 1, 2002)};
    struct worker_options options = drive_options();

    options.trouble_blocks = 16;
    struct drive *d = drive_new(options);
    play_on(d, start, 3);
    for (unsigned i = 0; i < 100; i++) {
        const struct step data = C(20 + i, 1001 + 10 * i, 10, 5001, TS(100 + i, 900));
        play_on(d, &data, 1);
    }
    ck_assert_uint_eq(d->rig.worker->pools.node.in_use, 12);
    const struct step ack = S(150, 5001, 0, 2001, TS(930, 101));
    play_on(d, &ack, 1);
    ck_assert_uint_eq(d->rig.worker->pools.node.in_use, 0);
    play_on(d, late, 2);
    ck_assert_uint_eq(d->rig.worker->pools.trouble.in_use, 0);
    drive_finish(d);
    ck_assert_uint_eq(d->end.pool_exhausted, 0);
    ck_assert(!(first(d)->flags & RFLOW_LOSS_UNSURE));
    drive_free(d);
}
END_TEST

START_TEST(timestamps_are_matched_once)
{
    struct drive *d = PLAY(
        C(0, 1000, 0, 0, .flags = TCP_SYN, TS(50, 0)), S(10, 5000, 0, 1001, .flags = TCP_SYN | TCP_ACK, TS(900, 50)),
        C(11, 1001, 0, 5001, TS(50, 900)), C(20, 1001, 100, 5001, TS(60, 900)), C(25, 1101, 100, 5001, TS(60, 900)),
        S(31, 5001, 0, 1201, TS(920, 60)), S(95, 5001, 10, 1201, TS(980, 60)));
    ck_assert_uint_eq(first(d)->ts_rtt[S2C].n, 2);
    ck_assert_uint_eq(first(d)->ts_rtt[S2C].max_ns, 11 * NS_PER_MS); /* from the first sight of 60 to its first echo */
    ck_assert_uint_eq(first(d)->ts_rtt[C2S].n, 1);
    ck_assert_uint_eq(first(d)->ts_rtt[C2S].min_ns, 1 * NS_PER_MS);
    drive_free(d);
}
END_TEST

/* A TSval that waits for long is counted in microseconds, and after half an hour not at all. On both ways: data and
 * ACKs in order are clean. */
START_TEST(a_timestamp_waits_for_long)
{
    const struct step start[] = {HANDSHAKE,
                                 C(20, 1001, 10, 5001, TS(100, 900)),
                                 S(22, 5001, 10, 1011, TS(500, 100)),
                                 C(23, 1011, 0, 5011, TS(101, 500)),
                                 S(5000, 5011, 10, 1011, TS(510, 100)),
                                 S(9000, 5021, 10, 1011, TS(520, 100))};
    const struct {
        double echo_ms;
        uint32_t samples;
        uint64_t max_us;
    } wait[] = {{9500, 2, 9477000}, {1500000, 2, 1499977000}, {2500000, 1, 2000}};

    for (unsigned i = 0; i < 6; i++) {
        struct worker_options options = drive_options();
        options.general_only = i % 2;
        options.tcp_idle_ns = 3600 * NS_PER_S;
        options.active_ns = 0;
        struct drive *d = drive_new(options);
        play_on(d, start, sizeof(start) / sizeof(start[0]));
        const struct step echo = S(wait[i / 2].echo_ms, 5031, 10, 1011, TS(999, 101));
        play_on(d, &echo, 1);
        drive_finish(d);
        ck_assert_uint_eq(first(d)->ts_rtt[S2C].n, wait[i / 2].samples);
        ck_assert_uint_eq(first(d)->ts_rtt[S2C].min_ns, 2 * NS_PER_MS);
        ck_assert_uint_le(first(d)->ts_rtt[S2C].max_ns, wait[i / 2].max_us * 1000 + 2000);
        ck_assert_uint_ge(first(d)->ts_rtt[S2C].max_ns + 2000, wait[i / 2].max_us * 1000);
        drive_free(d);
    }
}
END_TEST

START_TEST(tsecr_without_ack_flag_means_nothing)
{
    struct drive *d =
        PLAY(C(0, 1000, 0, 0, .flags = TCP_SYN, TS(50, 0)), S(5, 4000, 0, 0, .flags = TCP_PSH, TS(9, 50)));

    for (unsigned i = 0; i < d->n_flows; i++)
        ck_assert_uint_eq(d->flow[i].ts_rtt[S2C].n, 0);
    drive_free(d);
}
END_TEST

START_TEST(response_and_think_time)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(25, 1101, 100, 5001), S(36, 5001, 0, 1201), S(135, 5001, 500, 1201),
             S(136, 5501, 500, 1201), C(137, 1201, 0, 6001), C(636, 1201, 50, 6001));
    const struct rec_flow *f = first(d);

    ck_assert_uint_eq(f->response.n, 1);
    ck_assert_uint_eq(f->response.max_ns, 100 * NS_PER_MS); /* 135 - 25, less the 10 ms to the server */
    ck_assert_uint_eq(f->think.n, 2);                       /* since the handshake and since the response */
    ck_assert_uint_eq(f->think.min_ns, 9 * NS_PER_MS);
    ck_assert_uint_eq(f->think.max_ns, 500 * NS_PER_MS);
    ck_assert_uint_eq(d->hist_n[WINDOW_SERVICE][WINDOW_HIST_RESPONSE], 1);
    drive_free(d);
}
END_TEST

START_TEST(server_first_is_no_response)
{
    struct drive *d = PLAY(HANDSHAKE, S(50, 5001, 80, 1001), C(51, 1001, 0, 5081));

    ck_assert_uint_eq(first(d)->response.n, 0);
    drive_free(d);
}
END_TEST

/* Windows say what the flows say, in each scope. */
START_TEST(windows_are_the_sum_of_flows)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1201, 100, 5001),
                           S(31, 5001, 0, 1101, SACK(1201, 1301)), C(33, 1101, 100, 5001), S(43, 5001, 0, 1301),
                           C(50, 1301, 100, 5001), C(260, 1301, 100, 5001), S(271, 5001, 10, 1401));
    const struct rec_flow *f = first(d);

    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_upstream_pkts = 1, .lost_downstream_pkts = 1);
    for (unsigned scope = WINDOW_MIRROR; scope <= WINDOW_SERVICE; scope++) {
        const struct window_dir *w = d->sum[scope].dir;
        ck_assert_uint_eq(w[0].pkts + w[1].pkts, f->dir[0].pkts + f->dir[1].pkts);
        ck_assert_uint_eq(w[0].bytes + w[1].bytes, f->dir[0].bytes + f->dir[1].bytes);
        ck_assert_uint_eq(w[0].lost_upstream_pkts + w[1].lost_upstream_pkts, 1);
        ck_assert_uint_eq(w[0].lost_downstream_pkts + w[1].lost_downstream_pkts, 1);
        ck_assert_uint_eq(w[0].retrans_pkts + w[1].retrans_pkts, 2);
        ck_assert_uint_eq(w[0].judged_pkts + w[1].judged_pkts, w[0].data_pkts + w[1].data_pkts);
        ck_assert_uint_eq(d->sum[scope].connects, 1);
    }
    drive_free(d);
}
END_TEST

UNIT_MAIN("tcp", handshake_splits_at_the_tap, repeated_syn_gives_no_server_split, repeated_synack_gives_no_client_split,
          repeated_syn_with_data_counts_once, synack_before_its_syn_gives_no_split,
          refused_and_tried_again_is_one_episode, unanswered_syns, ports_used_again_are_another_flow,
          late_packets_belong_to_the_closed_connection, reset_in_the_middle, zero_window_and_its_probes,
          a_probe_that_was_taken_is_no_gap, window_closed_until_the_end, keepalives_are_no_repeats,
          only_exact_and_unambiguous_acks_are_samples, many_in_flight_each_give_a_sample,
          an_ordinary_flow_takes_no_block, a_timestamp_waits_for_long, timestamps_are_matched_once,
          tsecr_without_ack_flag_means_nothing, response_and_think_time, server_first_is_no_response,
          windows_are_the_sum_of_flows)

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The loss classifier, rule by rule, as conversations at the tap (script.h): the server's side answers in 10 ms, the
 * client's in 1 ms, so the whole round trip is 11 ms. Each test names all verdicts; what it does not name is 0. Where
 * evidence contradicts appearances: test_loss_evidence.c.
 */

#include "dataplane/worker_state.h"
#include "tests/unit/script.h"

/* ---- rule 0: the mirror reorders ---- */

START_TEST(data_just_after_its_ack_is_no_loss)
{
    struct drive *d =
        PLAY(HANDSHAKE, S(20, 5001, 0, 1101), C(21, 1001, 100, 5001), C(500, 1101, 10, 5001), S(510, 5001, 0, 1111));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 2); /* SYN and the last segment, not the reordered one */
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 0, 5101), S(21.5, 5001, 100, 1001), C(500, 1001, 0, 5101));
    VERDICTS(d, S2C, 0);
    drive_free(d);
}
END_TEST

START_TEST(data_long_after_its_ack_was_missed_and_is_spurious)
{
    struct drive *d = PLAY(HANDSHAKE, S(20, 5001, 0, 1101), C(80, 1001, 100, 5001), S(90, 5001, 0, 1101));
    VERDICTS(d, C2S, .capture_lost_bytes = 100, .capture_gaps = 1, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 0, 5101), S(23, 5001, 100, 1001), C(24, 1001, 0, 5101));
    VERDICTS(d, S2C, .capture_lost_bytes = 100, .capture_gaps = 1, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/* ---- rule 1: copies ---- */

START_TEST(copies_are_no_repeats)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(20.1, 1001, 100, 5001, .id = 7), S(30, 5001, 0, 1101));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 1);
    ck_assert_uint_eq(d->flow[0].dir[C2S].pkts, 3);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 2);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(50, 1001, 100, 5001, .id = 7, .ttl = 63, .mac = 9),
             S(60, 5001, 0, 1101));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].dir[C2S].second_hop_pkts, 1);
    drive_free(d);
}
END_TEST

START_TEST(a_repeat_with_the_same_ip_id_is_no_copy)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(300, 1001, 100, 5001, .id = 7), S(310, 5001, 0, 1101));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 0);
    drive_free(d);
}
END_TEST

START_TEST(equal_acks_without_ip_id_are_duplicate_acks)
{
    struct drive *d = PLAY(HANDSHAKE, S(20, 5001, 100, 1001), S(20.1, 5101, 100, 1001),
                           C(21, 1001, 0, 5001, .id = NO_ID), C(21.1, 1001, 0, 5001, .id = NO_ID),
                           C(21.2, 1001, 0, 5001, .id = NO_ID), C(21.3, 1001, 0, 5001, .id = NO_ID));
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 0);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].dup_acks, 4);
    drive_free(d);
}
END_TEST

/* ---- rule 2: bytes seen before ---- */

START_TEST(repeat_of_unacknowledged_bytes_is_lost_downstream)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(240, 5001, 0, 1101));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].retrans_bytes, 100);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].data_pkts, 2);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 1); /* Karn */
    drive_free(d);
}
END_TEST

START_TEST(repeat_of_acknowledged_bytes_is_spurious)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(300, 1001, 100, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(repeat_of_sacked_bytes_is_spurious)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1101, 100, 5001), S(30.5, 5001, 0, 1001, SACK(1101, 1201)),
             C(40, 1101, 100, 5001), C(41, 1001, 100, 5001), S(51, 5001, 0, 1201));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(dsack_makes_a_repeat_spurious)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(240, 5001, 0, 1101),
                           S(240.5, 5001, 0, 1101, SACK(1001, 1101)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    /* above the cumulative ACK: the first block lies within the second */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1101, 100, 5001), C(22, 1101, 100, 5001),
             C(25, 1001, 100, 5001), S(33, 5001, 0, 1001, SACK2(1101, 1201, 1101, 1201)), S(36, 5001, 0, 1201));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(an_echo_of_the_original_is_eifel)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(230, 1001, 100, 5001, TS(1210, 1)),
                           S(241, 5001, 0, 1101, TS(2, 1000)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(230, 1001, 100, 5001, TS(1210, 1)),
             S(241, 5001, 0, 1101, TS(2, 1210)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(an_ack_too_soon_was_for_the_original)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(233, 5001, 0, 1101));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(repeat_without_verdict_at_the_end_is_downstream)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), C(650, 1001, 100, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 2);
    drive_free(d);
}
END_TEST

/* ---- rule 3: a hole is filled ---- */

START_TEST(a_fill_with_a_newer_timestamp_was_lost_upstream)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.5, 1201, 100, 5001, TS(1000, 1)),
                           C(21, 1101, 100, 5001, TS(1012, 1)), S(31, 5001, 0, 1301, TS(2, 1000)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(a_fill_with_an_older_timestamp_was_reordered)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(21, 1201, 100, 5001, TS(1002, 1)),
             S(31, 5001, 0, 1101, SACK(1201, 1301)), C(90, 1101, 100, 5001, TS(1001, 1)), S(100, 5001, 0, 1301));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

#define FOUR_IN_ORDER                                                                                                  \
    C(20, 1001, 100, 5001, .id = 10), C(20.1, 1101, 100, 5001, .id = 11), C(20.2, 1201, 100, 5001, .id = 12),          \
        C(20.3, 1301, 100, 5001, .id = 13), C(21, 1501, 100, 5001, .id = 15)

START_TEST(growing_ip_ids_tell_the_age_of_a_fill)
{
    struct drive *d = PLAY(HANDSHAKE, FOUR_IN_ORDER, C(22, 1401, 100, 5001, .id = 16), S(32, 5001, 0, 1601));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, FOUR_IN_ORDER, S(31, 5001, 0, 1401, SACK(1501, 1601)), C(90, 1401, 100, 5001, .id = 14),
             S(100, 5001, 0, 1601));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

#define HOLE_WITHOUT_EVIDENCE C(20, 1001, 100, 5001, .id = NO_ID), C(20.5, 1201, 100, 5001, .id = NO_ID)

START_TEST(without_evidence_time_tells)
{
    struct drive *d = PLAY(HANDSHAKE, HOLE_WITHOUT_EVIDENCE, C(22, 1101, 100, 5001, .id = NO_ID), S(32, 5001, 0, 1301));
    VERDICTS(d, C2S, .reordered_pkts = 0); /* the receiver never complained: only the mirror had it out of order */
    drive_free(d);
    d = PLAY(HANDSHAKE, HOLE_WITHOUT_EVIDENCE, S(30.5, 5001, 0, 1101, SACK(1201, 1301)),
             C(30.8, 1101, 100, 5001, .id = NO_ID), S(41, 5001, 0, 1301));
    VERDICTS(d, C2S, .reordered_pkts = 1); /* sooner than the client could hear the complaint */
    drive_free(d);
    d = PLAY(HANDSHAKE, HOLE_WITHOUT_EVIDENCE, S(30.5, 5001, 0, 1101, SACK(1201, 1301)),
             C(32, 1101, 100, 5001, .id = NO_ID), S(42, 5001, 0, 1301));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, HOLE_WITHOUT_EVIDENCE, C(221, 1101, 100, 5001, .id = NO_ID), S(231, 5001, 0, 1301));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1); /* 200 ms are too long for reordering */
    drive_free(d);
}
END_TEST

START_TEST(a_bare_duplicate_ack_complains_too)
{
    struct drive *d = PLAY(HANDSHAKE, HOLE_WITHOUT_EVIDENCE, S(30, 5001, 0, 1101), S(30.5, 5001, 0, 1101),
                           C(32, 1101, 100, 5001, .id = NO_ID), S(42, 5001, 0, 1301));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    ck_assert_uint_eq(d->flow[0].tcp[S2C].dup_acks, 1);
    drive_free(d);
}
END_TEST

START_TEST(one_fill_of_two_holes_counts_once)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, .id = NO_ID), C(20.1, 1201, 100, 5001, .id = NO_ID),
                           C(20.2, 1401, 100, 5001, .id = NO_ID), S(30, 5001, 0, 1101, SACK2(1401, 1501, 1201, 1301)),
                           C(32, 1101, 300, 5001, .id = NO_ID), S(42, 5001, 0, 1501));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* ---- rule 4: never filled, then acknowledged ---- */

START_TEST(acknowledged_and_never_seen_is_capture_loss)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1201, 100, 5001), S(31, 5001, 0, 1301));
    VERDICTS(d, C2S, .capture_lost_bytes = 100, .capture_gaps = 1);
    drive_free(d);
    /* complained about for less than a round trip: it was only reordered behind the tap */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1201, 100, 5001), S(31, 5001, 0, 1101, SACK(1201, 1301)),
             S(35, 5001, 0, 1301));
    VERDICTS(d, C2S, .capture_lost_bytes = 100, .capture_gaps = 1);
    drive_free(d);
}
END_TEST

START_TEST(a_long_complaint_tells_of_a_repair_that_was_missed)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1201, 100, 5001),
                           S(31, 5001, 0, 1101, SACK(1201, 1301)), S(60, 5001, 0, 1301));
    VERDICTS(d, C2S, .capture_lost_bytes = 100, .capture_gaps = 1, .lost_unknown_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(seen_bytes_reported_missing)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1101, 100, 5001),
                           S(31, 5001, 0, 1001, SACK(1101, 1201)), S(60, 5001, 0, 1201));
    VERDICTS(d, C2S, .lost_downstream_pkts = 1, .capture_gaps = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1101, 100, 5001), S(31, 5001, 0, 1001, SACK(1101, 1201)),
             S(35, 5001, 0, 1201));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(a_partial_ack_closes_only_what_it_covers)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, .id = NO_ID), C(20.5, 1301, 100, 5001, .id = NO_ID),
                           S(31, 5001, 0, 1201), C(60, 1201, 100, 5001, .id = NO_ID), S(71, 5001, 0, 1401));
    VERDICTS(d, C2S, .capture_lost_bytes = 100, .capture_gaps = 1);
    drive_free(d);
}
END_TEST

START_TEST(an_ack_alone_shows_a_gap)
{
    struct drive *d = PLAY(HANDSHAKE, S(20, 5001, 0, 1401), S(25, 5001, 0, 1801), C(60, 1801, 100, 5001));
    VERDICTS(d, C2S, .capture_lost_bytes = 800, .capture_gaps = 1); /* one gap however many ACKs told of it */
    drive_free(d);
}
END_TEST

/* ---- rule 5 and the limits ---- */

START_TEST(a_hole_that_nobody_acknowledges_is_unknown)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1201, 100, 5001), S(31, 5001, 0, 1101));
    VERDICTS(d, C2S, .lost_unknown_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(one_way_counts_repeats_and_judges_nothing)
{
    struct drive *d = PLAY(C(0, 1000, 0, 0, SYN), C(11, 1001, 0, 5001), C(20, 1001, 100, 5001), C(300, 1001, 100, 5001),
                           C(310, 1301, 100, 5001), C(700, 1201, 100, 5001));
    ck_assert(d->flow[0].flags & RFLOW_ONE_WAY);
    VERDICTS(d, C2S, .retrans_pkts = 2);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dir[C2S].lost_upstream_pkts, 0);
    ck_assert_uint_eq(d->sum[WINDOW_MIRROR].dir[C2S].judged_pkts, 0);
    ck_assert(!(d->flow[0].flags & RFLOW_UNANSWERED));
    drive_free(d);
}
END_TEST

START_TEST(mid_stream_only_later_bytes_are_judged)
{
    struct drive *d = PLAY(C(0, 1001, 100, 5001), S(10, 5001, 0, 1101), C(20, 901, 100, 5001), C(21, 1101, 100, 5001),
                           S(31, 5001, 50, 1201));
    VERDICTS(d, C2S, 0);
    VERDICTS(d, S2C, 0);
    ck_assert(d->flow[0].flags & RFLOW_MIDSTREAM);
    drive_free(d);
    d = PLAY(S(0, 5001, 0, 1101), C(1, 1001, 100, 5001), C(2, 1101, 100, 5001), S(12, 5001, 0, 1201));
    VERDICTS(d, C2S, 0); /* the ACK was there first: what it covers was before our time */
    drive_free(d);
    d = PLAY(C(0, 1001, 100, 5001), C(0.1, 1101, 100, 5001), S(5, 5001, 0, 901), S(10, 5001, 0, 1001),
             S(20, 5001, 0, 1201));
    VERDICTS(d, S2C, 0); /* the first ACK of what lies before repeats none */
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

START_TEST(sequence_numbers_wrap)
{
    const uint32_t b = 0xffffffceu;
    struct drive *d =
        PLAY(C(0, b - 1, 0, 0, SYN), S(10, 5000, 0, b, SYNACK), C(11, b, 0, 5001), C(20, b, 100, 5001),
             C(20.5, b + 100, 100, 5001), S(31, 5001, 0, b + 200), C(40, b + 300, 100, 5001),
             S(50, 5001, 0, b + 200, SACK(b + 300, b + 400)), C(60, b + 200, 100, 5001), S(70, 5001, 0, b + 400));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 2); /* SYN, and the ACK at 31 ms */
    drive_free(d);
    d = PLAY(C(0, b - 1, 0, 0, SYN), S(10, 5000, 0, b, SYNACK), C(11, b, 0, 5001), C(20, b, 100, 5001),
             C(230, b, 100, 5001), S(240, 5001, 0, b + 100));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

START_TEST(timestamps_wrap)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(0xfffffffe, 1)), S(30, 5001, 0, 1101, TS(2, 0xfffffffe)),
             C(40, 1201, 100, 5001, TS(1, 2)), C(41, 1101, 100, 5001, TS(0xffffffff, 2)),
             S(50.5, 5001, 0, 1101, TS(2, 0xfffffffe)), S(51, 5001, 0, 1301, TS(3, 1)));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    ck_assert_uint_eq(d->flow[0].ts_rtt[S2C].n, 2);
    ck_assert_uint_eq(d->flow[0].ts_rtt[S2C].max_ns, 11 * NS_PER_MS);
    drive_free(d);
}
END_TEST

START_TEST(urgent_data_is_data)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 1, 5001, .flags = TCP_URG | TCP_PSH | TCP_ACK), S(30, 5001, 0, 1002),
                           C(40, 1002, 10, 5001), S(50, 5001, 0, 1012));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].data_pkts, 2);
    drive_free(d);
}
END_TEST

/* 300 holes of which none is ever filled: more than one direction may hold, and far more than a small pool has. */
static struct drive *many_holes(uint32_t blocks)
{
    struct worker_options options = drive_options();
    static struct step steps[400];
    const struct step start[] = {HANDSHAKE};
    size_t n = 3;

    options.trouble_blocks = blocks;
    memcpy(steps, start, sizeof(start));
    for (unsigned i = 0; i < 300; i++)
        steps[n++] = (struct step)C(20 + 0.01 * i, 1001 + 20 * i, 10, 5001);
    steps[n++] = (struct step)S(60, 5001, 0, 1001 + 20 * 299 + 10);
    return play_with(options, steps, n);
}

START_TEST(out_of_nodes_the_flow_is_unsure)
{
    struct drive *d = many_holes(8);

    ck_assert(d->flow[0].flags & RFLOW_LOSS_UNSURE);
    ck_assert_uint_le(d->flow[0].tcp[C2S].capture_lost_bytes, 299 * 10);
    ck_assert_uint_gt(d->end.pool_exhausted, 0);
    drive_free(d);
    d = many_holes(4096);
    ck_assert(d->flow[0].flags & RFLOW_LOSS_UNSURE); /* its own bound */
    drive_free(d);
}
END_TEST

START_TEST(enough_nodes_and_it_is_sure)
{
    struct drive *d = PLAY(HANDSHAKE, HOLE_WITHOUT_EVIDENCE, S(31, 5001, 0, 1301));

    ck_assert(!(d->flow[0].flags & RFLOW_LOSS_UNSURE));
    drive_free(d);
}
END_TEST

/* A jump beyond any window is not of this connection: neither a hole of a gigabyte nor a repeat. */
START_TEST(absurd_numbers_are_left_alone)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001 + 0x50000000u, 100, 5001), S(30, 5001, 0, 1001 + 0x60000000u),
             S(31, 5001, 0, 1001, SACK(0x90000000u, 0x90000100u)), C(40, 1001, 100, 5001), S(50, 5001, 0, 1101));
    VERDICTS(d, C2S, 0);
    drive_free(d);
}
END_TEST

UNIT_MAIN("loss", data_just_after_its_ack_is_no_loss, data_long_after_its_ack_was_missed_and_is_spurious,
          copies_are_no_repeats, a_repeat_with_the_same_ip_id_is_no_copy, equal_acks_without_ip_id_are_duplicate_acks,
          repeat_of_unacknowledged_bytes_is_lost_downstream, repeat_of_acknowledged_bytes_is_spurious,
          repeat_of_sacked_bytes_is_spurious, dsack_makes_a_repeat_spurious, an_echo_of_the_original_is_eifel,
          an_ack_too_soon_was_for_the_original, repeat_without_verdict_at_the_end_is_downstream,
          a_fill_with_a_newer_timestamp_was_lost_upstream, a_fill_with_an_older_timestamp_was_reordered,
          growing_ip_ids_tell_the_age_of_a_fill, without_evidence_time_tells, a_bare_duplicate_ack_complains_too,
          one_fill_of_two_holes_counts_once, acknowledged_and_never_seen_is_capture_loss,
          a_long_complaint_tells_of_a_repair_that_was_missed, seen_bytes_reported_missing,
          a_partial_ack_closes_only_what_it_covers, an_ack_alone_shows_a_gap,
          a_hole_that_nobody_acknowledges_is_unknown, one_way_counts_repeats_and_judges_nothing,
          mid_stream_only_later_bytes_are_judged, sequence_numbers_wrap, timestamps_wrap, urgent_data_is_data,
          out_of_nodes_the_flow_is_unsure, enough_nodes_and_it_is_sure, absurd_numbers_are_left_alone)

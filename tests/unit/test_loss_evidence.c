/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The loss classifier where a packet is not what it seems: answers that were held up, repeats nobody needed, what a
 * receiver without SACK does not say, copies that a mirror holds back. Conversations as in test_loss.c.
 */

#include "dataplane/worker_state.h"
#include "tests/unit/script.h"

/* ---- evidence against appearances ---- */

/* An ACK in less than the smallest RTT so far, but it echoes the repeat: the queue has drained, the loss was real. */
START_TEST(an_echo_of_the_repeat_outweighs_time)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(230, 1001, 100, 5001, TS(1210, 1)),
                           S(232, 5001, 0, 1101, TS(2, 1210)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* ACKs held back, then one for all: it leaps over the repeat and echoes what came before it. */
START_TEST(an_ack_that_leaps_over_a_repeat)
{
    struct drive *d =
        PLAY(C(0, 1000, 0, 0, SYN, .sack_permitted = true), S(10, 5000, 0, 1001, SYNACK, .sack_permitted = true),
             C(11, 1001, 0, 5001), C(20, 1001, 20000, 5001, TS(1000, 1)), C(20.1, 21001, 100, 5001, TS(1000, 1)),
             C(225, 21001, 100, 5001, TS(1205, 1)), S(240, 5001, 0, 21101, TS(2, 1000)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    d = PLAY(C(0, 1000, 0, 0, SYN, .sack_permitted = true), S(10, 5000, 0, 1001, SYNACK, .sack_permitted = true),
             C(11, 1001, 0, 5001), C(20, 1001, 200, 5001, TS(1000, 1)), C(20.1, 1201, 100, 5001, TS(1000, 1)),
             C(45, 1201, 100, 5001, TS(1025, 1)), S(56, 5001, 0, 1301, TS(2, 1000)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1); /* a delayed ACK, let go by the repeat */
    drive_free(d);
}
END_TEST

/* The same without timestamps: R had reported the gap by SACK, and no DSACK followed. */
START_TEST(a_gap_in_sack_outweighs_time)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.5, 1101, 100, 5001),
                           S(30.5, 5001, 0, 1001, SACK(1101, 1201)), C(40, 1001, 100, 5001), S(43, 5001, 0, 1201));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* Without SACK a needless repeat is answered by a duplicate ACK: that is no complaint about what is on its way. */
START_TEST(the_answer_to_a_needless_repeat_is_no_complaint)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1001, 100, 5001),
                           C(41, 1101, 100, 5001), S(50, 5001, 0, 1101), S(51, 5001, 0, 1201));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/* A FIN whose ACK was late, sent again: two ACKs say that both arrived, and no DSACK can. */
START_TEST(two_acks_of_a_repeat_at_the_end)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, FIN), C(230, 1001, 100, 5001, FIN), S(700, 5001, 0, 1102),
                           S(700.1, 5001, 0, 1102));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, FIN), C(230, 1001, 100, 5001, FIN), S(700, 5001, 0, 1102));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* A complaint of more than a round trip, but the ACK that ends it echoes the first copy: it was only late. */
START_TEST(a_late_first_copy_is_told_by_its_echo)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.5, 1101, 100, 5001, TS(1000, 1)),
                           S(31, 5001, 0, 1001, TS(2, 900), SACK(1101, 1201)), S(60, 5001, 0, 1201, TS(3, 1000)));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.5, 1101, 100, 5001, TS(1000, 1)),
             S(31, 5001, 0, 1001, TS(2, 900), SACK(1101, 1201)), S(35, 5001, 0, 1201, TS(3, 1012)));
    VERDICTS(d, C2S, .lost_downstream_pkts = 1, .capture_gaps = 1); /* the mirror missed the repeat */
    drive_free(d);
}
END_TEST

/* Two neighbours overtaken behind the tap arrive one after the other: each is told. */
START_TEST(neighbours_that_arrive_one_by_one)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001),
             S(31, 5001, 0, 1001, SACK(1201, 1301)), S(33, 5001, 0, 1101, SACK(1201, 1301)), S(34, 5001, 0, 1301));
    VERDICTS(d, C2S, .reordered_pkts = 2);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001),
             C(20.3, 1301, 100, 5001), S(31, 5001, 0, 1001, SACK(1301, 1401)),
             S(33, 5001, 0, 1001, SACK2(1101, 1201, 1301, 1401)), S(34, 5001, 0, 1401));
    VERDICTS(d, C2S, .reordered_pkts = 3); /* the one in the middle first */
    drive_free(d);
}
END_TEST

/* The DSACK may come long after the repeat, when the ACKs were held up: the wait begins when the repeat is covered. */
START_TEST(a_dsack_behind_held_acks)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(900, 5001, 0, 1101),
                           C(901, 1101, 100, 5001), S(902, 5001, 0, 1101, SACK(1001, 1101)), S(911, 5001, 0, 1201));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/* No IP id, and only some packets pass the mirror twice: an equal TSval behind a router is no repeat. */
START_TEST(a_second_hop_without_ip_id)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1), .id = NO_ID),
                           C(30, 1101, 100, 5001, TS(1010, 1), .id = NO_ID),
                           C(45, 1101, 100, 5001, TS(1010, 1), .id = NO_ID, .ttl = 63, .mac = 9),
                           C(50, 1201, 100, 5001, TS(1030, 1), .id = NO_ID), S(60, 5001, 0, 1301, TS(2, 1030)));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].dir[C2S].second_hop_pkts, 1);
    drive_free(d);
    /* a newer TSval: the sender did send it again, over another path */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1), .id = NO_ID),
             C(60, 1001, 100, 5001, TS(1040, 1), .id = NO_ID, .ttl = 63, .mac = 9), S(70, 5001, 0, 1101, TS(2, 1040)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* What was sent between two repeats, and after them, gives samples; what was in flight above one does not. */
START_TEST(only_what_is_in_flight_above_a_repeat_is_ambiguous)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(40, 1001, 100, 5001),
                           S(50, 5001, 0, 1201), C(60, 1201, 100, 5001), C(60.1, 1301, 100, 5001),
                           C(60.2, 1401, 100, 5001), C(65, 1401, 100, 5001), S(70, 5001, 0, 1301),
                           S(70.1, 5001, 0, 1401), S(75, 5001, 0, 1501), C(80, 1501, 100, 5001), S(90, 5001, 0, 1601));
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 4); /* SYN, 1301, 1401, 1601 */
    ck_assert_uint_eq(d->flow[0].rtt[S2C].max_ns, 10 * NS_PER_MS);
    drive_free(d);
}
END_TEST

/* Lost once, then sent twice more while the ACKs stood still: the DSACK is about the last, not about the first. */
START_TEST(a_dsack_is_about_one_repeat)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.5, 1101, 100, 5001, TS(1000, 1)),
                           S(31, 5001, 0, 1001, TS(2, 1), SACK(1101, 1201)), C(42, 1001, 100, 5001, TS(1022, 1)),
                           C(300, 1001, 100, 5001, TS(1280, 1)), S(400, 5001, 0, 1201, TS(3, 1022)),
                           S(401, 5001, 0, 1201, TS(290, 1022), SACK(1001, 1101)), S(1900, 5001, 1, 1201));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* Late by more than S had patience for: nothing was lost. */
START_TEST(a_first_copy_behind_its_fill)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(22, 1201, 100, 5001, TS(1002, 1)),
                           S(31, 5001, 0, 1101, TS(2, 1000), SACK(1201, 1301)), C(42, 1101, 100, 5001, TS(1022, 1)),
                           C(44, 1101, 100, 5001, TS(1001, 1)), S(52, 5001, 0, 1301, TS(3, 1022)));
    ck_assert_uint_eq(d->flow[0].tcp[C2S].lost_upstream_pkts, 0);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].lost_downstream_pkts, 0);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].reordered_pkts, 1);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].spurious_pkts, 1);
    drive_free(d);
}
END_TEST

/* ---- without SACK: what R does not say ---- */

#define LONG_RUN 600u

/* A time-out repeats all that is in flight; `complaints` duplicate ACKs came before. */
static struct drive *go_back(unsigned complaints)
{
    static struct step steps[2 * LONG_RUN + 16];
    const struct step start[] = {HANDSHAKE};
    size_t n = 3;

    memcpy(steps, start, sizeof(start));
    for (unsigned i = 0; i < LONG_RUN; i++)
        steps[n++] = (struct step)C(20 + 0.001 * i, 1001 + 100 * i, 100, 5001);
    for (unsigned i = 0; i < complaints; i++)
        steps[n++] = (struct step)S(31 + 0.01 * i, 5001, 0, 1001);
    for (unsigned i = 0; i < LONG_RUN; i++)
        steps[n++] = (struct step)C(400 + 0.001 * i, 1001 + 100 * i, 100, 5001);
    steps[n++] = (struct step)S(412, 5001, 0, 1001 + 100 * LONG_RUN);
    return play_with(drive_options(), steps, n);
}

/* More repeats than a direction has nodes: each is judged, and the flow is sure of it. */
START_TEST(a_long_replay_is_judged_whole)
{
    struct drive *d = go_back(0);

    VERDICTS(d, C2S, .retrans_pkts = LONG_RUN, .spurious_pkts = LONG_RUN);
    ck_assert(!(d->flow[0].flags & RFLOW_LOSS_UNSURE));
    drive_free(d);
    d = go_back(3);
    VERDICTS(d, C2S, .retrans_pkts = LONG_RUN, .spurious_pkts = LONG_RUN - 1, .lost_downstream_pkts = 1);
    ck_assert(!(d->flow[0].flags & RFLOW_LOSS_UNSURE));
    drive_free(d);
}
END_TEST

/* The flow ends before R has said a word: what was at its edge was needed, of the rest a sender without SACK knows
 * nothing. */
START_TEST(a_replay_that_is_never_answered)
{
#define REPLAY                                                                                                         \
    C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001), C(230, 1001, 100, 5001),               \
        C(230.1, 1101, 100, 5001), C(230.2, 1201, 100, 5001)
    struct drive *d = PLAY(HANDSHAKE, REPLAY);

    VERDICTS(d, C2S, .retrans_pkts = 3, .lost_downstream_pkts = 1, .spurious_pkts = 2);
    drive_free(d);
    d = PLAY(HANDSHAKE, REPLAY, S(241, 5001, 0, 1051), S(242, 5001, 0, 1051, RST));
    VERDICTS(d, C2S, .retrans_pkts = 3, .lost_downstream_pkts = 1, .spurious_pkts = 2);
    drive_free(d);
    d = PLAY(SACK_HANDSHAKE, REPLAY); /* with SACK it goes by what is missing */
    VERDICTS(d, C2S, .retrans_pkts = 3, .lost_downstream_pkts = 3);
    drive_free(d);
    /* unless the bytes are young, and nobody complains of them */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001),
             C(41, 1101, 100, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001),
             C(41, 1101, 100, 5001), C(41.1, 1201, 100, 5001), S(51.1, 5001, 0, 1101, SACK(1201, 1301)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
#undef REPLAY
}
END_TEST

/* The same between new data, so that no two share a node: verdicts without waiting, and the flow says so. */
START_TEST(a_replay_without_room_is_needless)
{
    static struct step steps[3 * LONG_RUN + 16];
    const struct step start[] = {HANDSHAKE};
    size_t n = 3;

    memcpy(steps, start, sizeof(start));
    for (unsigned i = 0; i < LONG_RUN; i++)
        steps[n++] = (struct step)C(20 + 0.001 * i, 1001 + 100 * i, 100, 5001);
    for (unsigned i = 0; i < LONG_RUN; i++) {
        steps[n++] = (struct step)C(400 + 0.002 * i, 1001 + 100 * i, 100, 5001);
        steps[n++] = (struct step)C(400.001 + 0.002 * i, 1001 + 100 * (LONG_RUN + i), 100, 5001);
    }
    steps[n++] = (struct step)S(412, 5001, 0, 1001 + 200 * LONG_RUN);
    struct drive *d = play_with(drive_options(), steps, n);
    VERDICTS(d, C2S, .retrans_pkts = LONG_RUN, .spurious_pkts = LONG_RUN);
    ck_assert(d->flow[0].flags & RFLOW_LOSS_UNSURE);
    drive_free(d);
}
END_TEST

/* A repeat that was needed moves the edge to the next gap, or over all that had been sent. */
START_TEST(an_edge_that_stands_between_tells)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001),
                           C(300, 1001, 100, 5001), S(312, 5001, 0, 1101), S(312.1, 5001, 0, 1201),
                           S(312.2, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001),
             C(300, 1001, 100, 5001), S(310, 5001, 0, 1101), C(311, 1101, 100, 5001), S(321, 5001, 0, 1201),
             C(322, 1201, 100, 5001), S(332, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 3, .lost_downstream_pkts = 3);
    drive_free(d);
}
END_TEST

/* The ACK of a part, while other gaps are being repaired, is complaint enough. */
START_TEST(a_partial_ack_complains)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001),
             C(20.3, 1301, 100, 5001), S(30.1, 5001, 0, 1001), S(30.3, 5001, 0, 1001), C(300, 1001, 100, 5001),
             S(310, 5001, 0, 1201), C(330, 1201, 100, 5001), S(340, 5001, 0, 1401), C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 2);
    drive_free(d);
}
END_TEST

/* Behind a mirror that shows everything twice, a burst of equal ACKs is one of duplicate ACKs, each with its copy. */
START_TEST(equal_acks_in_pairs)
{
#define PAIR(t, seq) S(t, seq, 100, 1001, .id = NO_ID), S((t) + 0.008, seq, 100, 1001, .id = NO_ID)
#define EQUAL(t)     C(t, 1001, 0, 5301, .id = NO_ID)
#define PAIRS(t, seq)                                                                                                  \
    PAIR(t, seq), PAIR((t) + 0.1, (seq) + 100), PAIR((t) + 0.2, (seq) + 200), PAIR((t) + 0.3, (seq) + 300)
    struct drive *d = PLAY(HANDSHAKE, PAIRS(20, 5001), PAIRS(20.4, 5401), PAIRS(20.8, 5801), EQUAL(21.9), EQUAL(21.908),
                           EQUAL(22), EQUAL(22.001), EQUAL(22.008), EQUAL(22.009), C(22.5, 1001, 0, 6201, .id = NO_ID));
    ck_assert_uint_eq(d->flow[0].dir[S2C].dup_pkts, 12);
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 3);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].dup_acks, 2);
    VERDICTS(d, S2C, .reordered_pkts = 1);
    drive_free(d);
    /* it may also show everything three times */
#define TRIPLE(t, seq) PAIR(t, seq), S((t) + 0.016, seq, 100, 1001, .id = NO_ID)
    d = PLAY(HANDSHAKE, TRIPLE(20, 5001), TRIPLE(20.1, 5101), TRIPLE(20.2, 5201), TRIPLE(20.3, 5301),
             TRIPLE(20.4, 5401), TRIPLE(20.5, 5501), TRIPLE(20.6, 5601), TRIPLE(20.7, 5701), EQUAL(21.9), EQUAL(21.908),
             EQUAL(21.916), C(22.5, 1001, 0, 5801, .id = NO_ID));
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 2);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].dup_acks, 0);
    drive_free(d);
    /* and a mirror of pairs something three times: of data time tells, of other packets an IP id that moves */
    d = PLAY(HANDSHAKE, PAIRS(20, 5001), PAIRS(20.4, 5401), PAIRS(20.8, 5801), TRIPLE(21.2, 6201),
             C(22.4, 1001, 0, 6201, .id = 7), C(22.5, 1001, 0, 6301, .id = 8), C(22.508, 1001, 0, 6301, .id = 8),
             C(22.516, 1001, 0, 6301, .id = 8));
    ck_assert_uint_eq(d->flow[0].dir[S2C].dup_pkts, 14);
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 2);
    VERDICTS(d, S2C, 0);
    drive_free(d);
    /* behind one that copies half of the packets it may be either, and is taken for a copy */
#define SINGLE(t, seq) S(t, seq, 100, 1001, .id = NO_ID)
    d = PLAY(HANDSHAKE, PAIRS(20, 5001), PAIRS(20.4, 5401), SINGLE(20.8, 5801), SINGLE(20.9, 5901), SINGLE(21, 6001),
             SINGLE(21.1, 6101), EQUAL(21.9), EQUAL(21.908), EQUAL(21.916), C(22.5, 1001, 0, 6201, .id = NO_ID));
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 2);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].dup_acks, 0);
    drive_free(d);
#undef SINGLE
#undef TRIPLE
#undef PAIRS
#undef EQUAL
#undef PAIR
}
END_TEST

/* Second hops come in bursts; that makes no copies of equal ACKs. */
START_TEST(second_hops_are_no_evidence_of_copies)
{
#define TWICE(t, seq) S(t, seq, 100, 1001, .id = NO_ID), S((t) + 0.1, seq, 100, 1001, .id = NO_ID, .ttl = 63, .mac = 9)
    struct drive *d = PLAY(HANDSHAKE, TWICE(20, 5001), TWICE(20.2, 5101), TWICE(20.4, 5201), TWICE(20.6, 5301),
                           TWICE(20.8, 5401), TWICE(21, 5501), C(23, 1001, 0, 5001, .id = NO_ID),
                           C(23.1, 1001, 0, 5001, .id = NO_ID), C(23.2, 1001, 0, 5001, .id = NO_ID));
    ck_assert_uint_eq(d->flow[0].dir[S2C].second_hop_pkts, 6);
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 0);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].dup_acks, 3);
    drive_free(d);
#undef TWICE
}
END_TEST

/* A complaint without SACK is about one byte. When that is there, the rest of the gap need not have been missing. */
START_TEST(a_complaint_about_the_head_of_a_gap)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.3, 1301, 100, 5001), S(30, 5001, 0, 1101), S(30.3, 5001, 0, 1101),
             C(60, 1101, 100, 5001), S(72, 5001, 0, 1401), C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1, .capture_lost_bytes = 100, .capture_gaps = 1);
    drive_free(d);
}
END_TEST

/* An ACK that brings the edge over a repeat and up to a hole makes a sender fill that, too, before R speaks of it. */
START_TEST(a_repair_tells_of_the_next_gap)
{
    struct drive *d =
        PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, .id = NO_ID), C(20.1, 1101, 100, 5001, .id = NO_ID),
             S(30.2, 5001, 0, 1001, SACK(1101, 1201)), C(31.5, 1001, 100, 5001, .id = NO_ID),
             C(36, 1301, 100, 5001, .id = NO_ID), S(41.5, 5001, 0, 1201), C(43, 1201, 100, 5001, .id = NO_ID),
             S(46, 5001, 0, 1201, SACK(1301, 1401)), S(53, 5001, 0, 1401), C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* The answer to a needless repeat acknowledges all that had been sent before it; a complaint does not. */
START_TEST(a_complaint_is_no_answer_to_a_repeat)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), S(30, 5001, 0, 1201), C(31, 1301, 100, 5001),
             C(31.3, 1201, 100, 5001), C(31.5, 1101, 100, 5001), S(41, 5001, 0, 1201), S(41.3, 5001, 0, 1401),
             S(41.5, 5001, 0, 1401), C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

/* Without SACK, behind a mirror that misses segments: an edge that moves over a fill had not waited for it. */
START_TEST(a_fill_that_the_edge_moves_over)
{
#define MISSED C(20, 1001, 100, 5001), C(20.1, 1201, 100, 5001), S(30, 5001, 0, 1301)
    struct drive *d =
        PLAY(HANDSHAKE, MISSED, C(50, 1301, 100, 5001), C(50.1, 1501, 100, 5001), S(60.1, 5001, 0, 1301),
             C(300, 1301, 100, 5001), C(300.1, 1401, 100, 5001), S(310, 5001, 0, 1601), C(2000, 1601, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 1, .spurious_pkts = 1, .capture_lost_bytes = 200,
             .capture_gaps = 2);
    drive_free(d);
    /* it did wait: the edge stops in front of the fill */
    d = PLAY(HANDSHAKE, MISSED, C(50, 1301, 100, 5001), C(50.1, 1501, 100, 5001), S(60.1, 5001, 0, 1301),
             C(300, 1301, 100, 5001), C(300.1, 1401, 100, 5001), S(310, 5001, 0, 1401), S(310.1, 5001, 0, 1601),
             C(2000, 1601, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 1, .lost_upstream_pkts = 1, .capture_lost_bytes = 100,
             .capture_gaps = 1);
    drive_free(d);
#undef MISSED
}
END_TEST

/* A network that is known to reorder, and a mirror that misses one segment in many, but has shown no repeat at all. */
START_TEST(a_long_complaint_where_segments_overtake)
{
    struct drive *d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1201, 100, 5001), S(30, 5001, 0, 1301),
                           C(50, 1301, 100, 5001), C(50.1, 1401, 100, 5001), S(60, 5001, 0, 1301, SACK(1401, 1501)),
                           S(61, 5001, 0, 1501), C(80, 1501, 100, 5001), C(80.1, 1601, 100, 5001),
                           S(90, 5001, 0, 1501, SACK(1601, 1701)), S(110, 5001, 0, 1701));
    VERDICTS(d, C2S, .reordered_pkts = 2, .capture_lost_bytes = 100, .capture_gaps = 1);
    drive_free(d);
}
END_TEST

/* A round trip so short that a repeat comes while the table still knows the first copy: its own copy is one, too. */
START_TEST(a_copy_of_a_quick_repeat)
{
#define TWICE(t) C(t, 1001, 100, 5001, .id = NO_ID), C((t) + 0.04, 1001, 100, 5001, .id = NO_ID)
    struct drive *d = PLAY(C(0, 1000, 0, 0, SYN, .id = NO_ID), S(0.5, 5000, 0, 1001, SYNACK),
                           C(0.6, 1001, 0, 5001, .id = NO_ID), TWICE(20), TWICE(20.8), S(21.4, 5001, 0, 1101));
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 2);
    ck_assert_uint_eq(d->flow[0].tcp[C2S].retrans_pkts, 1);
    drive_free(d);
#undef TWICE
}
END_TEST

/* Sent a moment ago and again, before anything could have been heard of it: needless, also where trouble has just
 * begun. */
START_TEST(young_bytes_at_the_beginning_of_trouble)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001),
                           S(50, 5001, 0, 1201), C(300, 1201, 100, 5001), C(300.1, 1001, 100, 5001),
                           C(300.3, 1201, 100, 5001), S(310.1, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 2);
    drive_free(d);
}
END_TEST

/* The same where a gap, not the repeat, is the beginning: of what overtook nothing, and of what was overtaken. */
START_TEST(young_bytes_when_a_gap_is_the_beginning)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001), C(40.1, 1301, 100, 5001),
             C(40.6, 1201, 100, 5001), C(40.8, 1101, 100, 5001), S(50, 5001, 0, 1201), S(50.1, 5001, 0, 1201),
             S(50.6, 5001, 0, 1401), S(50.8, 5001, 0, 1401), C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1, .reordered_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1201, 100, 5001), C(40.3, 1101, 100, 5001),
             C(40.4, 1101, 100, 5001), S(50, 5001, 0, 1101), S(50.3, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

/* Half a round trip is young, too. */
START_TEST(young_bytes_of_half_a_round_trip)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001),
                           C(45, 1201, 100, 5001), C(46, 1001, 100, 5001), C(46.1, 1101, 100, 5001),
                           S(55, 5001, 0, 1301), S(56, 5001, 0, 1301), S(56.1, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 2);
    drive_free(d);
}
END_TEST

/* ... and two thirds of the way to what is not, whenever S sends. The ACK comes too late to tell it by time. */
START_TEST(young_bytes_in_the_midst_of_trouble)
{
    struct drive *d =
        PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1001, 100, 5001),
             C(42.2, 1101, 100, 5001), C(44.4, 1201, 100, 5001), C(46.6, 1301, 100, 5001), C(48.8, 1401, 100, 5001),
             C(51, 1501, 100, 5001), S(52.2, 5001, 0, 1201), C(53.2, 1601, 100, 5001), C(53.4, 1301, 100, 5001),
             S(54.4, 5001, 0, 1301), S(63.4, 5001, 0, 1701), C(2000, 1701, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 2);
    drive_free(d);
}
END_TEST

/*
 * Sent again right behind its late first copy, whose loss nobody could know of. The ACK echoes a TSval that the repeat
 * shares with another one, which moved the edge before.
 */
START_TEST(an_echo_that_two_repeats_share)
{
    struct drive *d =
        PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.2, 1201, 100, 5001, TS(1001, 1)),
             S(30.2, 5001, 0, 1001, SACK(1201, 1301), TS(2, 990)), C(31.5, 1001, 100, 5001, TS(1012, 2)),
             C(31.6, 1101, 100, 5001, TS(1000, 1)), C(31.7, 1101, 100, 5001, TS(1012, 2)),
             S(41.5, 5001, 0, 1101, SACK(1201, 1301), TS(13, 1012)), S(41.6, 5001, 0, 1301, TS(13, 1012)));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 1, .reordered_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/* The way back stands still again behind the ACK that covers a repeat: what R says of it comes when that is over. */
START_TEST(a_dsack_behind_a_silence)
{
    struct drive *d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(245, 5001, 0, 1101),
                           C(246, 1101, 100, 5001), C(700, 1201, 100, 5001), S(945, 5001, 0, 1101, SACK(1001, 1101)),
                           S(945.1, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    /* and behind it comes first what R had said before */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(230, 1001, 100, 5001),
             S(245, 5001, 0, 1101), C(700, 1201, 100, 5001), S(945, 5001, 0, 1201),
             S(945.1, 5001, 0, 1201, SACK(1001, 1101)), S(945.2, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    /* a FIN overtakes it */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(245, 5001, 0, 1101, FIN),
             C(246, 1101, 0, 5002, FIN), S(256, 5002, 0, 1102), S(860, 5001, 0, 1101, SACK(1001, 1101)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/* A silence that ends without a word of it: the loss is told while the flow goes on. */
START_TEST(a_loss_behind_a_silence)
{
    const struct step steps[] = {
        SACK_HANDSHAKE,           C(20, 1001, 100, 5001), C(230, 1001, 100, 5001),  S(245, 5001, 0, 1101),
        C(900, 1101, 100, 5001),  S(910, 5001, 0, 1201),  C(1200, 1201, 100, 5001), S(1210, 5001, 0, 1301),
        C(1211, 1301, 100, 5001), S(1221, 5001, 0, 1401),
    };
    struct drive *d = drive_new(drive_options());

    play_on(d, steps, sizeof(steps) / sizeof(steps[0]));
    ck_assert_uint_eq(d->rig.worker->pools.node.in_use, 0);
    drive_finish(d);
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

static int earlier(const void *a, const void *b)
{
    double x = ((const struct step *)a)->ms, y = ((const struct step *)b)->ms;

    return (x > y) - (x < y);
}

/* A complaint, and then a silence: a mirror that has shown 200 segments would have shown a repeat. */
START_TEST(a_complaint_in_front_of_a_silence)
{
    static struct step steps[420];
    const struct step start[] = {HANDSHAKE};
    const struct step complaint[] = {
        C(300, 21001, 100, 5001), C(300.1, 21101, 100, 5001), S(310.1, 5001, 0, 21001),
        S(752, 5001, 0, 21001),   S(752.1, 5001, 0, 21201),   C(3000, 21201, 0, 5001),
    };
    size_t n = 3;

    memcpy(steps, start, sizeof(start));
    for (unsigned i = 0; i < 200; i++) {
        steps[n++] = (struct step)C(20 + i, 1001 + 100 * i, 100, 5001);
        steps[n++] = (struct step)S(30.5 + i, 5001, 0, 1101 + 100 * i);
    }
    qsort(steps + 3, n - 3, sizeof(*steps), earlier);
    memcpy(steps + n, complaint, sizeof(complaint));
    n += sizeof(complaint) / sizeof(complaint[0]);
    struct drive *d = play_with(drive_options(), steps, n);
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

/* The mirror shows a repeat behind what was sent after it, so the edge stops too early. The echo knows better. */
START_TEST(an_echo_outweighs_an_edge_between)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.1, 1101, 100, 5001, TS(1000, 1)),
                           C(20.2, 1201, 100, 5001, TS(1000, 1)), S(30.1, 5001, 0, 1001, TS(2, 990)),
                           S(30.2, 5001, 0, 1001, TS(2, 990)), C(31.5, 1301, 100, 5001, TS(1011, 2)),
                           C(31.6, 1001, 100, 5001, TS(1012, 2)), S(41.5, 5001, 0, 1301, TS(13, 1012)),
                           S(41.6, 5001, 0, 1401, TS(13, 1012)), C(2000, 1401, 0, 5001, TS(3000, 13)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* The answer to a needless repeat is the ACK that brings the edge over the next repeat: R had those bytes, too. */
START_TEST(an_edge_that_moves_in_an_answer)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001),
                           C(40.1, 1201, 100, 5001), C(60.2, 1001, 100, 5001), C(60.4, 1101, 100, 5001),
                           S(70.2, 5001, 0, 1301), S(70.4, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 2);
    drive_free(d);
    /* an answer in front of it: the edge had stood there */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001), C(40.1, 1201, 100, 5001),
             C(60.2, 1001, 100, 5001), C(60.4, 1101, 100, 5001), S(70.2, 5001, 0, 1101), S(70.4, 5001, 0, 1301),
             C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
    /* an ACK of more than had been sent before the first repeat is no answer to that */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001), C(40.1, 1201, 100, 5001),
             C(60.2, 1001, 100, 5001), C(60.3, 1301, 100, 5001), C(60.4, 1101, 100, 5001), S(70.4, 5001, 0, 1401),
             C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
    /* a receiver with SACK would tell of each by a DSACK */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(40, 1101, 100, 5001),
             C(40.1, 1201, 100, 5001), C(60.2, 1001, 100, 5001), C(60.4, 1101, 100, 5001), S(70.2, 5001, 0, 1301),
             S(70.4, 5001, 0, 1301), C(2000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
    /* where losses are known, this may be one more, and the answer lost */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), S(240, 5001, 0, 1101), C(900, 1101, 100, 5001),
             S(910, 5001, 0, 1201), C(1500, 1201, 100, 5001), S(1510, 5001, 0, 1301), C(2020, 1301, 100, 5001),
             S(2030, 5001, 0, 1401), C(2040, 1401, 100, 5001), C(2040.1, 1501, 100, 5001), C(2060.2, 1301, 100, 5001),
             C(2060.4, 1401, 100, 5001), S(2070.2, 5001, 0, 1601), S(2070.4, 5001, 0, 1601), C(4000, 1601, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 3, .spurious_pkts = 1, .lost_downstream_pkts = 2);
    drive_free(d);
}
END_TEST

/*
 * Two time-outs, and then an ACK that the later copy cannot have waited for so long: the way back stood still, and lost
 * the answers to the repeats.
 */
START_TEST(an_answer_that_is_overdue)
{
    struct drive *d =
        PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), C(640, 1001, 100, 5001),
             C(700, 1101, 100, 5001), S(1000, 5001, 0, 1101), S(1000.3, 5001, 0, 1201), C(3000, 1201, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 2);
    drive_free(d);
    /* a receiver with SACK would say so */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), C(640, 1001, 100, 5001),
             C(700, 1101, 100, 5001), S(1000, 5001, 0, 1101), S(1000.3, 5001, 0, 1201), C(3000, 1201, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 2);
    drive_free(d);
    /* of what R had asked for before, only the ACK was late */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), S(30.1, 5001, 0, 1001),
             C(31.5, 1001, 100, 5001), C(40, 1201, 100, 5001), S(500, 5001, 0, 1201), S(500.3, 5001, 0, 1301),
             C(3000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
    /* the latest copy may have been lost, and the next not mirrored, by a mirror that has missed segments before */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1201, 100, 5001), S(30, 5001, 0, 1301), C(50, 1301, 100, 5001),
             C(260, 1301, 100, 5001), C(670, 1301, 100, 5001), C(730, 1401, 100, 5001), S(1030, 5001, 0, 1401),
             S(1030.3, 5001, 0, 1501), C(3000, 1501, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 2, .capture_lost_bytes = 100, .capture_gaps = 1);
    drive_free(d);
    /* a complaint meanwhile, so the way back did not stand still */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(20.2, 1201, 100, 5001),
             C(230, 1001, 100, 5001), C(230.1, 1101, 100, 5001), S(240.2, 5001, 0, 1001), S(240.3, 5001, 0, 1101),
             S(900, 5001, 0, 1201), C(901, 1201, 100, 5001), S(911, 5001, 0, 1301), C(3000, 1301, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 3, .lost_downstream_pkts = 3);
    drive_free(d);
    /* the same behind two copies: the first was the repair that the complaint asked for */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(230, 1001, 100, 5001), C(640, 1001, 100, 5001),
             C(650, 1101, 100, 5001), S(660, 5001, 0, 1001), S(1000, 5001, 0, 1101), S(1000.3, 5001, 0, 1201),
             C(3000, 1201, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    /* in time for the later copy: the first was needed, and lost again or not */
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), C(20.1, 1101, 100, 5001), C(230, 1001, 100, 5001),
             C(640, 1001, 100, 5001), S(650, 5001, 0, 1101), C(660, 1101, 100, 5001), S(670, 5001, 0, 1201),
             C(3000, 1201, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 3, .lost_downstream_pkts = 3);
    drive_free(d);
}
END_TEST

/* A closed stack answers every FIN by the same ACK. Behind a mirror that makes copies now and then they are answers. */
START_TEST(equal_answers_that_were_held_up)
{
#define CLOSED_ACK(t) S(t, 5002, 0, 1102, .id = NO_ID)
    struct drive *d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(20.1, 1001, 100, 5001, .id = 7),
                           S(30, 5001, 0, 1101, FIN), C(31, 1101, 0, 5002, FIN), C(240, 1101, 0, 5002, FIN),
                           C(460, 1101, 0, 5002, FIN), CLOSED_ACK(760), CLOSED_ACK(760.001), CLOSED_ACK(760.002));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 2);
    drive_free(d);
    /* soon after the last of them it may be a copy */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(20.1, 1001, 100, 5001, .id = 7),
             S(30, 5001, 0, 1101, FIN), C(31, 1101, 0, 5002, FIN), C(240, 1101, 0, 5002, FIN), CLOSED_ACK(250),
             CLOSED_ACK(250.01));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
#undef CLOSED_ACK
}
END_TEST

/* Without IP id and timestamps. The mirror has copied none of 300 segments; then a sender that recovers sends twice. */
START_TEST(a_hasty_repeat_is_no_copy)
{
    static struct step steps[640];
    const struct step start[] = {HANDSHAKE};
    const struct step recovery[] = {
        C(400, 31001, 100, 5001, .id = NO_ID),
        C(400.1, 31101, 100, 5001, .id = NO_ID),
        S(410.1, 5001, 0, 31001),
        C(430, 31001, 100, 5001, .id = NO_ID),
        C(430.1, 31201, 100, 5001, .id = NO_ID),
        C(430.2, 31201, 100, 5001, .id = NO_ID),
        S(440, 5001, 0, 31201),
        S(440.1, 5001, 0, 31301),
        S(440.2, 5001, 0, 31301),
        C(2000, 31301, 0, 5001, .id = NO_ID),
    };
    size_t n = 3;

    memcpy(steps, start, sizeof(start));
    for (unsigned i = 0; i < 300; i++) {
        steps[n++] = (struct step)C(20 + i, 1001 + 100 * i, 100, 5001, .id = NO_ID);
        steps[n++] = (struct step)S(20.5 + i, 5001, 0, 1101 + 100 * i);
    }
    memcpy(steps + n, recovery, sizeof(recovery));
    n += sizeof(recovery) / sizeof(recovery[0]);
    struct drive *d = play_with(drive_options(), steps, n);
    ck_assert_uint_eq(d->flow[0].dir[C2S].dup_pkts, 0);
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_downstream_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/* A receiver that has read a little meanwhile says so in its duplicate ACK. */
START_TEST(a_complaint_with_a_grown_window)
{
    struct drive *d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(31, 1201, 100, 5001),
                           C(31.3, 1101, 100, 5001), S(41, 5001, 0, 1101, .window = 8010), S(41.3, 5001, 0, 1301));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, C(20, 1001, 100, 5001), S(30, 5001, 0, 1101), C(31, 1201, 100, 5001), C(31.3, 1101, 100, 5001),
             S(41, 5001, 0, 1101, .window = 16000), S(41.3, 5001, 0, 1301));
    VERDICTS(d, C2S, 0); /* a window that opens speaks for itself; the mirror had them out of order */
    drive_free(d);
}
END_TEST

/* What the table of fingerprints does not know (here: by its IP id) at a place where copies are seen. */
START_TEST(a_copy_that_the_table_forgot)
{
#define BEHIND .ttl = 63, .mac = 9
    struct drive *d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(21, 1001, 100, 5001, .id = 7, BEHIND),
                           C(21.5, 1101, 100, 5001, .id = 8), C(22, 1201, 100, 5001, .id = 9),
                           C(23, 1101, 100, 5001, .id = 1, BEHIND), S(31, 5001, 0, 1201), S(32, 5001, 0, 1301),
                           C(40, 1301, 100, 5001, .id = 10), S(50, 5001, 0, 1401));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].dir[C2S].second_hop_pkts, 1);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 4); /* the SYN and each but the first, whose ACK was not seen */
    drive_free(d);
    /* the receiver asked for it: of a repeat the mirror missed the first sight */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, .id = 7), C(21, 1001, 100, 5001, .id = 7, BEHIND),
             C(21.5, 1101, 100, 5001, .id = 8), C(22, 1201, 100, 5001, .id = 9), S(32, 5001, 0, 1101, SACK(1201, 1301)),
             C(34, 1101, 100, 5001, .id = 10, BEHIND), S(44, 5001, 0, 1301));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_downstream_pkts = 1);
    ck_assert_uint_eq(d->flow[0].dir[C2S].second_hop_pkts, 1);
    drive_free(d);
#undef BEHIND
}
END_TEST

/* ---- a fill with the TSval of what exposed its gap ---- */

/* Late by more than a round trip, but S had gone on with a newer TSval before R complained. */
START_TEST(a_clock_that_had_ticked_before_the_complaint)
{
    struct drive *d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.1, 1201, 100, 5001, TS(1000, 1)),
                           C(29, 1301, 100, 5001, TS(1009, 1)), S(30.1, 5001, 0, 1101, TS(2, 1000), SACK(1201, 1301)),
                           C(32, 1101, 100, 5001, TS(1000, 1)), S(42, 5001, 0, 1401, TS(14, 1000)));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
    /* only behind the complaint: that S had not heard of it then says nothing of the fill */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.1, 1201, 100, 5001, TS(1000, 1)),
             S(30.1, 5001, 0, 1101, TS(2, 1000), SACK(1201, 1301)), C(31.5, 1301, 100, 5001, TS(1001, 1)),
             C(32, 1101, 100, 5001, TS(1000, 1)), S(42, 5001, 0, 1401, TS(14, 1000)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
    /* no complaint, and a sender with a slow clock that sends all again */
    d = PLAY(SACK_HANDSHAKE, C(20, 1001, 100, 5001, TS(3000000000, 1)), C(20.1, 1201, 100, 5001, TS(3000000000, 1)),
             C(24, 1001, 100, 5001, TS(3000000000, 1)), C(24.1, 1101, 100, 5001, TS(3000000000, 1)),
             S(34.1, 5001, 0, 1301, TS(14, 3000000000)), C(2000, 1301, 0, 5001, TS(3000000200, 14)));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_upstream_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
}
END_TEST

/*
 * Segments overtaken at 20 ms, from which on the clock is watched; then a gap, after `ticks` of it. What fills the gap
 * has the same TSval as what exposed it, and comes behind the complaint. R is `rtt` from the tap.
 */
static struct drive *fill_in_a_tie(double rtt, double at, unsigned ticks)
{
#define DATA(t, seq, tsval) C(t, seq, 100, 5001, TS(tsval, 1), .id = NO_ID)
    const struct step steps[] = {
        C(0, 1000, 0, 0, SYN, .sack_permitted = true),
        S(rtt, 5000, 0, 1001, SYNACK, .sack_permitted = true),
        C(rtt + 0.1, 1001, 0, 5001),
        DATA(20, 1001, 1000),
        DATA(20.1, 1201, 1000),
        DATA(20.2, 1301, 1000),
        DATA(20.3, 1101, 999),
        S(20.3 + rtt, 5001, 0, 1401),
        DATA(at, 1401, 1000 + ticks),
        DATA(at + 0.1, 1601, 1000 + ticks),
        S(at + 0.1 + rtt, 5001, 0, 1501, SACK(1601, 1701)),
        DATA(at + 0.4 + rtt, 1501, 1000 + ticks),
        S(at + 0.4 + 2 * rtt, 5001, 0, 1701),
    };
#undef DATA
    return play_with(drive_options(), steps, sizeof(steps) / sizeof(steps[0]));
}

/* Where S's clock ticks every millisecond, it does so in every round trip of ten: an answer would show that. */
START_TEST(a_clock_that_must_have_ticked)
{
    struct drive *d = fill_in_a_tie(10, 40, 20);

    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
    d = fill_in_a_tie(10, 60, 10); /* every 4 ms */
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
    d = fill_in_a_tie(5, 26, 6); /* too few to know */
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
    d = fill_in_a_tie(0.4, 40, 20); /* a round trip of less than a tick */
    VERDICTS(d, C2S, .retrans_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
}
END_TEST

/* Sent again, and newer, in less than a round trip: S cannot have heard of the fill, so that was the first copy. */
START_TEST(a_repeat_right_behind_a_fill)
{
#define FILLED                                                                                                         \
    SACK_HANDSHAKE, C(20, 1001, 100, 5001, TS(1000, 1)), C(20.1, 1201, 100, 5001, TS(1000, 1)),                        \
        S(30.1, 5001, 0, 1101, TS(2, 1000), SACK(1201, 1301)), C(32, 1101, 100, 5001, TS(1000, 1))
    struct drive *d = PLAY(FILLED, C(32.3, 1101, 100, 5001, TS(1012, 2)), S(42, 5001, 0, 1301, TS(14, 1000)),
                           S(42.3, 5001, 0, 1301, TS(14, 1000), SACK(1101, 1201)));
    VERDICTS(d, C2S, .retrans_pkts = 1, .reordered_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
    /* a round trip later it may be the repeat of a repeat */
    d = PLAY(FILLED, C(44, 1101, 100, 5001, TS(1024, 2)), S(54, 5001, 0, 1301, TS(26, 1024)));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_upstream_pkts = 1, .lost_downstream_pkts = 1);
    drive_free(d);
    /* with the same TSval it may be the first copy itself */
    d = PLAY(FILLED, C(32.3, 1101, 100, 5001, TS(1000, 1)), S(42, 5001, 0, 1301, TS(14, 1000)),
             S(42.3, 5001, 0, 1301, TS(14, 1000), SACK(1101, 1201)));
    VERDICTS(d, C2S, .retrans_pkts = 2, .lost_upstream_pkts = 1, .spurious_pkts = 1);
    drive_free(d);
#undef FILLED
}
END_TEST

/*
 * An edge that moves over a repeat and stops at a gap, too soon for an answer to the repeat. A sender with SACK goes by
 * what was delivered after the gap, and that was nothing; one without repairs the gap wherever the edge stops.
 */
START_TEST(an_early_ack_tells_of_no_gap)
{
#define EARLY                                                                                                          \
    C(20, 1001, 100, 5001, .id = NO_ID), C(20.1, 1101, 100, 5001, .id = NO_ID), C(25, 1301, 100, 5001, .id = NO_ID),   \
        C(26, 1001, 100, 5001, .id = NO_ID), S(30.1, 5001, 0, 1201), C(31.5, 1201, 100, 5001, .id = NO_ID)
    struct drive *d = PLAY(SACK_HANDSHAKE, EARLY, S(35, 5001, 0, 1201, SACK(1301, 1401)),
                           S(36, 5001, 0, 1201, SACK2(1001, 1101, 1301, 1401)), S(41.5, 5001, 0, 1401));
    VERDICTS(d, C2S, .retrans_pkts = 1, .spurious_pkts = 1, .reordered_pkts = 1);
    drive_free(d);
    d = PLAY(HANDSHAKE, EARLY, S(35, 5001, 0, 1201), S(36, 5001, 0, 1201), S(41.5, 5001, 0, 1401),
             C(2000, 1401, 0, 5001));
    VERDICTS(d, C2S, .retrans_pkts = 2, .spurious_pkts = 1, .lost_upstream_pkts = 1);
    drive_free(d);
#undef EARLY
}
END_TEST

/* ---- rule 0 for samples: the mirror holds copies back ---- */

#define OVERTAKEN(t, seq)                                                                                              \
    C(t, (seq) + 100, 100, 5001, TS(1000 + (t), 1)), C((t) + 2, seq, 100, 5001, TS(999 + (t), 1)),                     \
        S((t) + 10, 5001, 0, (seq) + 200, TS(2, 1000 + (t)))

START_TEST(what_stands_alone_may_have_been_held)
{
    struct drive *d =
        PLAY(SACK_HANDSHAKE, OVERTAKEN(20, 1001), OVERTAKEN(50, 1201), C(100, 1401, 100, 5001), S(110, 5001, 0, 1501),
             C(600, 1501, 100, 5001), S(610, 5001, 0, 1601), C(700, 1601, 100, 5001), C(700.1, 1701, 100, 5001),
             S(710, 5001, 0, 1701), S(710.1, 5001, 0, 1801));
    VERDICTS(d, C2S, 0);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 3); /* the SYN; before it is known; and what has a neighbour */
    drive_free(d);
    /* the receiver missed it: the network's affair, and the times are right */
    d = PLAY(SACK_HANDSHAKE, OVERTAKEN(20, 1001), C(100, 1301, 100, 5001, TS(1100, 1)),
             C(102, 1201, 100, 5001, TS(1099, 1)), S(110, 5001, 0, 1201, SACK(1301, 1401)), S(112, 5001, 0, 1401),
             C(600, 1401, 100, 5001), S(610, 5001, 0, 1501));
    ck_assert_uint_eq(d->flow[0].tcp[C2S].reordered_pkts, 1);
    ck_assert_uint_eq(d->flow[0].rtt[S2C].n, 2); /* the SYN and the last */
    drive_free(d);
}
END_TEST

#define NEXT_CONNECTION                                                                                                \
    C(100, 1401, 0, 5001, RST), C(200, 90000, 0, 0, SYN), S(210, 70000, 0, 90001, SYNACK), C(211, 90001, 0, 70001)

/* What one connection has shown of the mirror holds for the handshake of the next, whose packets stand alone. */
START_TEST(a_handshake_behind_a_mirror_that_holds_copies)
{
    const uint32_t both = RFLOW_HAS_HANDSHAKE_SERVER | RFLOW_HAS_HANDSHAKE_CLIENT;
    struct drive *d = PLAY(SACK_HANDSHAKE, OVERTAKEN(20, 1001), OVERTAKEN(50, 1201), NEXT_CONNECTION);

    ck_assert_uint_eq(d->n_flows, 2);
    ck_assert_uint_eq(d->flow[0].flags & both, both);
    ck_assert_uint_eq(d->flow[1].flags & both, 0);
    drive_free(d);
    d = PLAY(SACK_HANDSHAKE, OVERTAKEN(20, 1001), NEXT_CONNECTION); /* once is no evidence */
    ck_assert_uint_eq(d->flow[1].flags & both, both);
    drive_free(d);
}
END_TEST

/* An ACK that another overtook brings its complaint late. */
START_TEST(a_complaint_behind_the_ack_that_covers_it)
{
    struct drive *d = PLAY(SACK_HANDSHAKE, C(20, 1101, 100, 5001, TS(1000, 1)), C(20.5, 1001, 100, 5001, TS(999, 1)),
                           S(31, 5001, 0, 1201), S(31.1, 5001, 0, 1001, SACK(1101, 1201)));
    VERDICTS(d, C2S, .reordered_pkts = 1);
    drive_free(d);
}
END_TEST

UNIT_MAIN("loss_evidence", an_echo_of_the_repeat_outweighs_time, an_ack_that_leaps_over_a_repeat,
          a_gap_in_sack_outweighs_time, the_answer_to_a_needless_repeat_is_no_complaint,
          two_acks_of_a_repeat_at_the_end, a_late_first_copy_is_told_by_its_echo, neighbours_that_arrive_one_by_one,
          a_dsack_behind_held_acks, a_second_hop_without_ip_id, only_what_is_in_flight_above_a_repeat_is_ambiguous,
          a_dsack_is_about_one_repeat, a_first_copy_behind_its_fill, a_long_replay_is_judged_whole,
          a_replay_that_is_never_answered, a_replay_without_room_is_needless, an_edge_that_stands_between_tells,
          a_partial_ack_complains, equal_acks_in_pairs, second_hops_are_no_evidence_of_copies,
          a_complaint_about_the_head_of_a_gap, a_repair_tells_of_the_next_gap, a_complaint_is_no_answer_to_a_repeat,
          a_fill_that_the_edge_moves_over, a_long_complaint_where_segments_overtake, a_copy_of_a_quick_repeat,
          young_bytes_at_the_beginning_of_trouble, young_bytes_when_a_gap_is_the_beginning,
          young_bytes_of_half_a_round_trip, young_bytes_in_the_midst_of_trouble, an_echo_that_two_repeats_share,
          a_dsack_behind_a_silence, a_loss_behind_a_silence, a_complaint_in_front_of_a_silence,
          an_echo_outweighs_an_edge_between, an_edge_that_moves_in_an_answer, an_answer_that_is_overdue,
          equal_answers_that_were_held_up, a_hasty_repeat_is_no_copy, a_complaint_with_a_grown_window,
          a_copy_that_the_table_forgot, a_clock_that_had_ticked_before_the_complaint, a_clock_that_must_have_ticked,
          a_repeat_right_behind_a_fill, an_early_ack_tells_of_no_gap, what_stands_alone_may_have_been_held,
          a_handshake_behind_a_mirror_that_holds_copies, a_complaint_behind_the_ack_that_covers_it)

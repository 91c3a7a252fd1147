/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the lab that need no network: the scenario language, rules, frames, and the truth's accounts. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/lab/frame.h"
#include "tests/lab/rules.h"
#include "tests/lab/scenario.h"
#include "tests/lab/truth.h"
#include "tests/lab/wrap.h"

static struct lab_scenario scenario;
static struct error e;

static void setup(void)
{
    lab_scenario_init(&scenario);
}

static void line(const char *text)
{
    e.text[0] = '\0';
    ck_assert_msg(lab_scenario_line(&scenario, text, &e) == 0, "%s: %s", text, e.text);
}

START_TEST(reads_statements)
{
    struct in6_addr addr;
    char text[INET6_ADDRSTRLEN];

    line("");
    line("# rule nonsense");
    line("epoch 2026-03-03T08:00:00Z");
    line("delay left 1.5ms match=10.12.0.0/24");
    line("delay both 300us");
    line("rate right 20M");
    line("size 3M");
    line("rule hold-up to=left kind=data every=97 burst=3 by=1ms-5ms between=10s-20s resend=no per-flow=on");
    line("traffic short client=2001:db8::10*8 server=2001:db8:1::1 req=200-900 resp=2k gap=5ms");
    ck_assert_uint_eq(scenario.epoch_ns, 1772524800000000000u);
    ck_assert_uint_eq(scenario.delays[0].by_ns, 1500000);
    ck_assert_uint_eq(scenario.delays[0].match.len, 120);
    ck_assert_uint_eq(scenario.delays[1].side, LAB_SIDES);
    ck_assert_uint_eq(scenario.rate_bits_per_s[LAB_RIGHT], 20000000);
    ck_assert_uint_eq(scenario.rate_bits_per_s[LAB_LEFT], 0);
    ck_assert_uint_eq(scenario.size_bytes, 3145728);
    ck_assert_uint_eq(scenario.rules[0].action, LAB_HOLD_UP);
    ck_assert_uint_eq(scenario.rules[0].by_ns.hi, 5000000);
    ck_assert_uint_eq(scenario.rules[0].between_ns.lo, 10000000000u);
    ck_assert_uint_eq(scenario.rules[0].resend, LAB_RESEND_NO);
    ck_assert_uint_eq(scenario.traffic[0].count, 100);
    ck_assert_uint_eq(scenario.traffic[0].resp_bytes.hi, 2048);
    addr = lab_addr_nth(&scenario.traffic[0].client, 7);
    ck_assert_str_eq(lab_addr_format(&addr, text), "2001:db8::17");
}
END_TEST

static const char *const bad_lines[] = {
    "nonsense",
    "time",
    "time 5",
    "time 5 s",
    "time -1s",
    "time 1e300s",
    "sack maybe",
    "epoch yesterday",
    "delay left 5ms match=10.0.0.0/33",
    "delay middle 5ms",
    "rule lose-down kind=data",
    "rule lose-down every=3 p=1%",
    "rule lose-down p=101%",
    "rule lose-down p=0.1",
    "rule vanish every=3",
    "rule lose-down every=3 size=4",
    "rule lose-down every=3 by=5ms-2ms",
    "traffic rr client=10.0.0.1",
    "traffic rr client=10.0.0.1 server=2001:db8::1",
    "traffic rr client=10.0.0.1*0 server=10.0.0.2",
    "traffic rr client=10.0.0.1 server=10.0.0.2 port=65536",
    "traffic rr from=both client=10.0.0.1 server=10.0.0.2",
    "sysctl both kernel.panic 1",
    "sysctl both net/../kernel/panic 1",
};

START_TEST(refuses_bad_lines)
{
    struct lab_scenario before = scenario;

    ck_assert_msg(lab_scenario_line(&scenario, bad_lines[_i], &e) == -EINVAL, "taken: %s", bad_lines[_i]);
    ck_assert_uint_gt(strlen(e.text), 5);
    ck_assert_mem_eq(&before, &scenario, sizeof(before));
}
END_TEST

/* ---- rules ---- */

static struct lab_frame_info data_info(void)
{
    struct lab_frame_info i = {
        .proto = IPPROTO_TCP, .payload_bytes = 1448, .sport = 443, .dport = 50000, .tcp_flags = LAB_TCP_ACK};
    struct lab_addrs a;

    memset(&a, 0, sizeof(a));
    a.first.s6_addr[10] = a.first.s6_addr[11] = 0xff;
    a.first.s6_addr[12] = 10;
    i.src = i.dst = a.first;
    i.dst.s6_addr[15] = 9;
    return i;
}

/* Judges n data frames of flows 0..flows-1 in turn; returns how often each action was taken. */
static void judge(struct lab_rules *r, unsigned n, unsigned flows, uint64_t step_ns,
                  unsigned ret_hits[LAB_ACTION_COUNT])
{
    struct lab_frame_info info = data_info();
    struct lab_fate fate;

    memset(ret_hits, 0, sizeof(unsigned) * LAB_ACTION_COUNT);
    for (unsigned i = 0; i < n; i++) {
        struct lab_facts facts = {&info, LAB_LEFT, i % flows, false, i * step_ns};

        ck_assert_int_eq(lab_rules_judge(r, &facts, &fate), 0);
        for (enum lab_action a = 0; a < LAB_ACTION_COUNT; a++)
            ret_hits[a] += lab_fate_has(&fate, a);
    }
}

static void judge_lines(const char *const *lines, unsigned n, unsigned flows, uint64_t step_ns,
                        unsigned ret_hits[LAB_ACTION_COUNT])
{
    struct lab_rules *r;

    for (; *lines != NULL; lines++)
        line(*lines);
    r = lab_rules_new(&scenario);
    ck_assert_ptr_nonnull(r);
    judge(r, n, flows, step_ns, ret_hits);
    lab_rules_free(r);
}

START_TEST(rules_count)
{
    const char *const lines[] = {"rule lose-up kind=data every=97", NULL};
    unsigned hits[LAB_ACTION_COUNT];

    judge_lines(lines, 9700, 7, 1, hits);
    ck_assert_uint_eq(hits[LAB_LOSE_UP], 100);
    ck_assert_uint_eq(hits[LAB_LOSE_DOWN], 0);
}
END_TEST

START_TEST(rules_count_per_flow)
{
    const char *const lines[] = {"rule lose-down every=10 per-flow=on burst=2", NULL};
    unsigned hits[LAB_ACTION_COUNT];

    judge_lines(lines, 400, 4, 1, hits); /* 100 frames per flow: the 10th and 11th, the 20th … */
    ck_assert_uint_eq(hits[LAB_LOSE_DOWN], 4 * 19);
}
END_TEST

START_TEST(rules_draw_by_seed)
{
    const char *const lines[] = {"seed 5", "rule miss p=2%", NULL};
    unsigned first[LAB_ACTION_COUNT], second[LAB_ACTION_COUNT];

    judge_lines(lines, 100000, 1, 1, first);
    setup();
    judge_lines(lines, 100000, 1, 1, second);
    ck_assert_uint_ge(first[LAB_MISS], 1800); /* 2000, sigma 44 */
    ck_assert_uint_le(first[LAB_MISS], 2200);
    ck_assert_uint_eq(first[LAB_MISS], second[LAB_MISS]);
}
END_TEST

START_TEST(one_frame_one_cause)
{
    const char *const lines[] = {"rule lose-up every=10", "rule lose-down every=5", "rule copy every=1 also=on", NULL};
    unsigned hits[LAB_ACTION_COUNT];

    judge_lines(lines, 1000, 1, 1, hits);
    ck_assert_uint_eq(hits[LAB_LOSE_UP], 100);
    /* where both fall on one frame, the second takes the next one */
    ck_assert_uint_ge(hits[LAB_LOSE_DOWN], 199);
    ck_assert_uint_eq(hits[LAB_COPY], 1000);
}
END_TEST

START_TEST(rules_look_at_what_they_should)
{
    const char *const lines[] = {"rule lose-up every=1 kind=syn",
                                 "rule lose-up every=1 port=444",
                                 "rule lose-up every=1 to=right",
                                 "rule lose-up every=1 resend=only",
                                 "rule lose-up every=1 match=10.0.1.0/24",
                                 "rule lose-up every=1 between=1s-2s",
                                 "rule lose-down every=1 match=10.0.0.9/32 skip=10 max=5",
                                 NULL};
    unsigned hits[LAB_ACTION_COUNT];

    judge_lines(lines, 100, 1, 1, hits);
    ck_assert_uint_eq(hits[LAB_LOSE_UP], 0);
    ck_assert_uint_eq(hits[LAB_LOSE_DOWN], 5);
}
END_TEST

START_TEST(a_stall_ends_for_all_at_once)
{
    struct lab_frame_info info = data_info();
    struct lab_rules *r;
    struct lab_fate fate;
    uint64_t end_ns = 0;

    line("rule stall-down every=10 max=1 by=100us");
    r = lab_rules_new(&scenario);
    for (unsigned i = 1; i <= 200; i++) {
        struct lab_facts facts = {&info, LAB_LEFT, 0, false, i * 1000};

        ck_assert_int_eq(lab_rules_judge(r, &facts, &fate), 0);
        ck_assert_int_eq(lab_fate_has(&fate, LAB_STALL_DOWN), i >= 10 && i < 110);
        if (i == 10)
            end_ns = facts.since_ns + fate.by_ns[LAB_STALL_DOWN];
        if (lab_fate_has(&fate, LAB_STALL_DOWN))
            ck_assert_uint_eq(facts.since_ns + fate.by_ns[LAB_STALL_DOWN], end_ns);
    }
    lab_rules_free(r);
}
END_TEST

/* ---- frames ---- */

/* IPv4, 20 bytes of TCP, 4 of payload. */
static const uint8_t frame_v4[58] = {2,   0,    0,    0,    0x0b, 1,    2, 0,    0, 0,    0x0a, 1,   8,  0, 0x45,
                                     0,   0,    44,   0x12, 0x34, 0x40, 0, 64,   6, 0x54, 0x82, 10,  0,  0, 1,
                                     192, 0,    2,    1,    0xc3, 0x50, 1, 0xbb, 0, 0,    0,    1,   0,  0, 0,
                                     2,   0x50, 0x18, 0,    0,    0,    0, 0,    0, 'd',  'a',  't', 'a'};

static uint16_t sum_of(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

START_TEST(parses_frames)
{
    struct lab_frame_info i;

    ck_assert_int_eq(lab_frame_parse(frame_v4, sizeof(frame_v4), &i), 0);
    ck_assert_uint_eq(i.sport, 50000);
    ck_assert_uint_eq(i.dport, 443);
    ck_assert_uint_eq(i.seq, 1);
    ck_assert_uint_eq(i.payload_bytes, 4);
    ck_assert_uint_eq(i.ip_id, 0x1234);
    for (size_t len = 0; len < sizeof(frame_v4); len++) {
        uint8_t *exact = malloc(len + 1); /* the sanitizer watches its end */

        memcpy(exact, frame_v4, len);
        ck_assert_int_eq(lab_frame_parse(exact, len, &i), -EPROTO);
        free(exact);
    }
}
END_TEST

START_TEST(second_hop_has_a_right_checksum)
{
    uint8_t f[sizeof(frame_v4)];
    uint16_t sum;

    memcpy(f, frame_v4, sizeof(f));
    f[24] = f[25] = 0;
    sum = (uint16_t)~sum_of(f + 14, 20);
    f[24] = (uint8_t)(sum >> 8);
    f[25] = (uint8_t)sum;
    for (int ttl = 64; ttl > 1; ttl--) {
        ck_assert_uint_eq(f[22], ttl);
        lab_frame_second_hop(f, sizeof(f));
        ck_assert_uint_eq(sum_of(f + 14, 20), 0xffff);
    }
    ck_assert_mem_ne(f, frame_v4, 12);
    ck_assert_mem_eq(f + 26, frame_v4 + 26, sizeof(f) - 26);
}
END_TEST

/* ---- truth ---- */

static struct lab_frame sent(struct lab_truth *t, uint64_t number, uint32_t seq, uint32_t len, uint32_t actions)
{
    struct lab_frame f = {.number = number, .to = LAB_LEFT, .info = data_info()};

    f.info.seq = seq;
    f.info.payload_bytes = len;
    f.fate.actions = actions;
    ck_assert_int_eq(lab_truth_sent(t, &f), 0);
    ck_assert_int_eq(lab_truth_judged(t, &f), 0);
    return f;
}

START_TEST(truth_knows_resends)
{
    const uint32_t start = UINT32_MAX - 1500; /* wraps */
    struct lab_truth *t;
    struct lab_frame f;

    ck_assert_int_eq(lab_truth_open(NULL, &t, &e), 0);
    f = sent(t, 1, start, 1000, 0);
    ck_assert(!f.resend);
    f = sent(t, 2, start + 1000, 1000, 1u << LAB_LOSE_DOWN);
    ck_assert(!f.resend);
    f = sent(t, 3, start + 2000, 1000, 0);
    ck_assert(!f.resend);
    f = sent(t, 4, start + 1000, 1000, 0); /* repairs the loss */
    ck_assert(f.resend && !f.needless);
    f = sent(t, 5, start + 1000, 1000, 0); /* once too often */
    ck_assert(f.resend && f.needless);
    f = sent(t, 6, start, 3000, 0); /* all of it is there */
    ck_assert(f.resend && f.needless);
    f = sent(t, 7, start + 2000, 2000, 0); /* half is new */
    ck_assert(f.resend && !f.needless);
    ck_assert_uint_eq(lab_truth_total(t).needless_pkts, 2);
    ck_assert_uint_eq(lab_truth_total(t).resent_data_pkts, 4);
    lab_truth_close(t);
}
END_TEST

START_TEST(truth_calls_only_the_overtaken_late)
{
    struct lab_truth *t;
    struct lab_frame a, b, c;

    ck_assert_int_eq(lab_truth_open(NULL, &t, &e), 0);
    a = sent(t, 1, 1, 1000, 1u << LAB_HOLD_UP);
    b = sent(t, 2, 1001, 1000, 0);
    c = sent(t, 3, 2001, 1000, 1u << LAB_HOLD_UP); /* held, but nobody is behind it */
    lab_truth_at_tap(t, &b);
    lab_truth_at_tap(t, &a);
    lab_truth_at_tap(t, &c);
    ck_assert(a.late_tap && !b.late_tap && !c.late_tap);
    lab_truth_close(t);
}
END_TEST

/* Passes the tap as the relay would have it. */
static void pass(struct lab_truth *t, struct lab_frame f)
{
    if (!lab_fate_has(&f.fate, LAB_LOSE_UP))
        lab_truth_at_tap(t, &f);
}

START_TEST(truth_knows_what_leaves_no_trace)
{
    struct lab_truth *t;

    ck_assert_int_eq(lab_truth_open(NULL, &t, &e), 0);
    pass(t, sent(t, 1, 1, 1000, 0));
    pass(t, sent(t, 2, 1001, 1000, 1u << LAB_LOSE_UP)); /* a hole: the next one shows it */
    pass(t, sent(t, 3, 2001, 1000, 0));
    pass(t, sent(t, 4, 1001, 1000, 0));
    ck_assert_uint_eq(lab_truth_total(t).untraced_pkts, 0);
    pass(t, sent(t, 5, 3001, 1000, 1u << LAB_LOSE_UP)); /* a lost tail */
    pass(t, sent(t, 6, 3001, 1000, 0));
    ck_assert_uint_eq(lab_truth_total(t).untraced_pkts, 1);
    pass(t, sent(t, 7, 4001, 1000, 1u << LAB_LOSE_DOWN)); /* seen, so its repair is known */
    pass(t, sent(t, 8, 4001, 1000, 0));
    ck_assert_uint_eq(lab_truth_total(t).untraced_pkts, 1);
    lab_truth_close(t);
}
END_TEST

/* ---- what stands in between ---- */

static const uint8_t plain[60] = {2,  0,  0, 0, 0,  1, 2, 0, 0,   0, 0, 2, 8, 0, 0x45, 0,  0, 46, 0,    7,    0,  0,
                                  64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1, 4, 0, 0,    53, 0, 26, 0x12, 0x34, 'a'};

START_TEST(wrapped_frames_hold_the_frame)
{
    static const uint8_t tags[8] = {0x88, 0xa8, 0, 100, 0x81, 0, 0, 20};
    uint8_t out[LAB_FRAME_MAX + LAB_WRAP_MAX];

    ck_assert_uint_eq(lab_wrap(LAB_WRAP_NONE, plain, sizeof(plain), LAB_LEFT, 1, out), sizeof(plain));
    ck_assert_mem_eq(out, plain, sizeof(plain));
    ck_assert_uint_eq(lab_wrap(LAB_WRAP_QINQ, plain, sizeof(plain), LAB_LEFT, 1, out), sizeof(plain) + 8);
    ck_assert_mem_eq(out, plain, 12);
    ck_assert_mem_eq(out + 12, tags, 8);
    ck_assert_mem_eq(out + 20, plain + 12, sizeof(plain) - 12);
    ck_assert_uint_eq(lab_wrap(LAB_WRAP_VXLAN, plain, sizeof(plain), LAB_RIGHT, 9, out), sizeof(plain) + 50);
    ck_assert_mem_eq(out + 50, plain, sizeof(plain));
    ck_assert(out[23] == 17 && out[36] == 4789 >> 8 && out[37] == (4789 & 255) && out[42] == 8 && out[48] == 100);
    ck_assert_uint_eq(out[16] << 8 | out[17], 20 + 8 + 8 + sizeof(plain));
}
END_TEST

START_TEST(translation_there_and_back_changes_nothing)
{
    struct lab_prefix outside = {.len = 96 + 16}, inside = {.len = 96 + 16};
    static const uint8_t translated[4] = {100, 64, 0, 1};
    uint8_t frame[sizeof(plain)];

    memcpy(&outside.addr.s6_addr[12], (const uint8_t[]){100, 64, 0, 0}, 4);
    memcpy(&inside.addr.s6_addr[12], (const uint8_t[]){10, 0, 0, 0}, 4);
    memcpy(frame, plain, sizeof(plain));
    lab_translate(frame, sizeof(frame), true, &outside);
    ck_assert_mem_eq(frame + 26, translated, 4);
    ck_assert_mem_ne(frame + 40, plain + 40, 2); /* the UDP checksum */
    lab_translate(frame, sizeof(frame), true, &inside);
    ck_assert_mem_eq(frame + 26, plain + 26, sizeof(plain) - 26);
}
END_TEST

START_TEST(sack_blocks_are_read)
{
    uint8_t f[14 + 20 + 32] = {[12] = 8, [14] = 0x45, [17] = 52, [22] = 64, [23] = 6, [46] = 0x80, [47] = 16};
    static const uint8_t options[12] = {1, 1, 5, 10, 0, 0, 1, 0, 0, 0, 2, 0};
    struct lab_frame_info info;

    memcpy(f + 54, options, sizeof(options));
    ck_assert_int_eq(lab_frame_parse(f, sizeof(f), &info), 0);
    ck_assert(info.n_sack == 1 && info.sack[0][0] == 256 && info.sack[0][1] == 512);
    f[57] = 200; /* longer than the header */
    ck_assert_int_eq(lab_frame_parse(f, sizeof(f), &info), 0);
    ck_assert_uint_eq(info.n_sack, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab-parts");
    TCase *c = tcase_create("parts");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, reads_statements);
    tcase_add_loop_test(c, refuses_bad_lines, 0, sizeof(bad_lines) / sizeof(bad_lines[0]));
    tcase_add_test(c, rules_count);
    tcase_add_test(c, rules_count_per_flow);
    tcase_add_test(c, rules_draw_by_seed);
    tcase_add_test(c, one_frame_one_cause);
    tcase_add_test(c, rules_look_at_what_they_should);
    tcase_add_test(c, a_stall_ends_for_all_at_once);
    tcase_add_test(c, parses_frames);
    tcase_add_test(c, second_hop_has_a_right_checksum);
    tcase_add_test(c, truth_knows_resends);
    tcase_add_test(c, truth_knows_what_leaves_no_trace);
    tcase_add_test(c, truth_calls_only_the_overtaken_late);
    tcase_add_test(c, wrapped_frames_hold_the_frame);
    tcase_add_test(c, translation_there_and_back_changes_nothing);
    tcase_add_test(c, sack_blocks_are_read);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

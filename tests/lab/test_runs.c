/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lab on trial: runs with real stacks, whose capture, truth and sockets must agree with each other.
 *
 * Three witnesses that share no code are compared: what the relay says it did, what the kernels' sockets count
 * (TCP_INFO), and what libpcap finds in the capture. Needs root and /dev/net/tun; exits 77 with the reason where
 * these are missing. Each run takes a second or two.
 */

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include "tests/lab/lab.h"
#include "tests/lab/netns.h"

static char folder[] = "/tmp/spanward-lab-XXXXXX";
static char capture_path[64], frames_path[64], summary_path[64];

/* ---- running ---- */

static int run_lines(const char *const *lines, struct lab_result *ret, struct error *e)
{
    static struct lab_scenario s;
    const struct lab_outputs out = {capture_path, frames_path, summary_path};

    lab_scenario_init(&s);
    for (; *lines != NULL; lines++)
        ck_assert_msg(lab_scenario_line(&s, *lines, e) == 0, "%s: %s", *lines, e->text);
    return lab_run(&s, &out, ret, e);
}

static struct lab_result run_ok(const char *const *lines)
{
    struct lab_result result;
    struct error e = {""};

    ck_assert_msg(run_lines(lines, &result, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(result.device_drops, 0);
    ck_assert_uint_eq(result.endpoints.not_settled, 0);
    return result;
}

/* ---- the capture, read by libpcap ---- */

struct captured {
    uint64_t frames, max_len, bad_tcp_checksums, tcp, not_ip;
};

/* The Internet checksum over the pseudo header and the segment: 0 when it is right. */
static uint16_t tcp_sum(const uint8_t *ip, const uint8_t *segment, size_t len)
{
    size_t addrs = ip[0] >> 4 == 4 ? 8 : 32;
    const uint8_t *p = ip + (addrs == 8 ? 12 : 8);
    uint64_t sum = IPPROTO_TCP + len;

    for (size_t i = 0; i < addrs; i += 2)
        sum += (uint64_t)(p[i] << 8 | p[i + 1]);
    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint64_t)segment[i] << 8 : segment[i];
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void look_at(const uint8_t *p, size_t len, struct captured *n)
{
    const uint8_t *ip = p + 14;
    unsigned version = ip[0] >> 4;

    n->frames++;
    n->max_len = len > n->max_len ? len : n->max_len;
    n->not_ip += version != 4 && version != 6;
    if (version == 4 && ip[9] == IPPROTO_TCP) {
        n->tcp++;
        n->bad_tcp_checksums += tcp_sum(ip, ip + 20, (size_t)(ip[2] << 8 | ip[3]) - 20) != 0;
    } else if (version == 6 && ip[6] == IPPROTO_TCP) {
        n->tcp++;
        n->bad_tcp_checksums += tcp_sum(ip, ip + 40, (size_t)(ip[4] << 8 | ip[5])) != 0;
    }
}

static struct captured read_capture(void)
{
    char why[PCAP_ERRBUF_SIZE];
    pcap_t *p = pcap_open_offline_with_tstamp_precision(capture_path, PCAP_TSTAMP_PRECISION_NANO, why);
    struct captured n = {0};
    struct pcap_pkthdr *h;
    const u_char *data;
    int64_t last_ns = 0;
    int rc;

    ck_assert_msg(p != NULL, "%s", why);
    while ((rc = pcap_next_ex(p, &h, &data)) == 1) {
        int64_t ns = h->ts.tv_sec * 1000000000 + h->ts.tv_usec;

        ck_assert_uint_eq(h->caplen, h->len);
        ck_assert_int_ge(ns, last_ns);
        last_ns = ns;
        look_at(data, h->caplen, &n);
    }
    ck_assert_int_eq(rc, PCAP_ERROR_BREAK);
    pcap_close(p);
    return n;
}

/* ---- the truth, read by jansson ---- */

struct read_truth {
    uint64_t frames, conns, dns_nxdomain, dns_lost, pings_ok, refused, timed_out;
    uint64_t captured, lost_up, lost_down, time_errors;
};

static void look_at_frame(json_t *o, struct read_truth *n)
{
    json_t *did = json_object_get(o, "did"), *captured = json_object_get(o, "captured");
    json_int_t in = json_integer_value(json_object_get(o, "in_ns"));
    json_int_t tap = json_integer_value(json_object_get(o, "tap_ns"));
    json_int_t out = json_integer_value(json_object_get(o, "out_ns"));
    const char *first = json_string_value(json_array_get(did, 0));

    n->frames++;
    n->captured += json_array_size(captured);
    n->lost_up += first != NULL && strcmp(first, "lose-up") == 0;
    n->lost_down += first != NULL && strcmp(first, "lose-down") == 0;
    /* nothing is seen before it was sent, or received before it was seen */
    n->time_errors += (tap != 0 && tap < in) || (out != 0 && out < tap) ||
                      (out == 0) != (first != NULL && strncmp(first, "lose", 4) == 0);
}

static void look_at_line(json_t *o, struct read_truth *n)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    const char *result = json_string_value(json_object_get(o, "result"));

    if (strcmp(type, "frame") == 0)
        look_at_frame(o, n);
    n->conns += strcmp(type, "conn") == 0;
    n->pings_ok += strcmp(type, "ping") == 0 && strcmp(result, "ok") == 0;
    n->dns_nxdomain += json_integer_value(json_object_get(o, "rcode")) == 3;
    n->dns_lost += strcmp(type, "dns") == 0 && strcmp(result, "timeout") == 0;
    n->refused += strcmp(type, "conn") == 0 && strcmp(result, "refused") == 0;
    n->timed_out += strcmp(type, "conn") == 0 && strcmp(result, "timeout") == 0;
}

static struct read_truth read_truth(void)
{
    gzFile f = gzopen(frames_path, "rb");
    struct read_truth n = {0};
    json_error_t why;
    char line[8192];

    ck_assert_ptr_nonnull(f);
    while (gzgets(f, line, sizeof(line)) != NULL) {
        json_t *o = json_loads(line, 0, &why);

        ck_assert_msg(o != NULL, "%s: %s", line, why.text);
        look_at_line(o, &n);
        json_decref(o);
    }
    gzclose(f);
    return n;
}

/* ---- tests ---- */

/* The stack's own surprises are off, so that it sends again what was lost and nothing else. */
#define CALM "tail-loss-probe off", "delay both 5ms"

/* A relay that was kept from running for long may have provoked a retransmission: not the lab's fault. */
static bool in_time(const struct lab_result *n)
{
    return n->relay.late_max_ns < 50000000;
}

static const char *const quiet_lines[] = {
    "tail-loss-probe off",
    "delay left 2ms",
    "delay right 300us",
    "traffic rr client=10.0.0.1*2 server=192.0.2.1 count=3 requests=5 resp=20k think=5ms server-think=1ms",
    "traffic bulk client=2001:db8:1::1 server=2001:db8:2::1 resp=500k req=100k",
    "traffic short from=right client=192.0.2.2 server=10.0.0.9 port=9000 count=20",
    "traffic refused client=10.0.0.1 server=192.0.2.1 port=81 count=2",
    "traffic blackhole client=10.0.0.1 server=192.0.2.99 timeout=500ms",
    "traffic dns client=10.0.0.1 server=192.0.2.53 count=8 requests=2 timeout=200ms",
    "traffic ping client=10.0.0.1 server=192.0.2.1 count=3 gap=10ms",
    "traffic ping client=2001:db8:1::1 server=2001:db8:2::1 count=3 gap=10ms",
    NULL};

START_TEST(without_rules_nothing_is_lost)
{
    struct lab_result n = run_ok(quiet_lines);
    struct captured c = read_capture();
    struct read_truth t = read_truth();
    json_error_t why;
    json_t *summary;

    ck_assert_uint_eq(n.total.lost_up_pkts + n.total.lost_down_pkts + n.total.missed_pkts, 0);
    ck_assert_uint_eq(n.total.resent_data_pkts, n.total.needless_pkts);
    if (in_time(&n))
        ck_assert_uint_eq(n.endpoints.total_retrans, 0);
    ck_assert_uint_eq(n.total.late_tap_pkts + n.total.late_out_pkts, 0);
    ck_assert_uint_eq(n.total.sent_pkts, n.total.delivered_pkts);
    ck_assert_uint_eq(n.endpoints.sent_bytes, n.endpoints.received_bytes);
    ck_assert_uint_ge(n.endpoints.received_bytes, 2 * 3 * 5 * 20480 + 600 * 1024);
    ck_assert_uint_eq(c.frames, n.total.sent_pkts);
    ck_assert_uint_eq(c.frames, n.capture_frames);
    ck_assert_uint_eq(c.not_ip, 0);
    ck_assert_uint_le(c.max_len, 1514);
    ck_assert_uint_gt(c.tcp, 500);
    ck_assert_uint_eq(c.bad_tcp_checksums, 0);
    ck_assert_uint_eq(t.frames, c.frames);
    ck_assert_uint_eq(t.time_errors, 0);
    ck_assert_uint_eq(t.conns, 2 * (6 + 1 + 20) + 2 + 1);
    ck_assert_uint_eq(t.refused, 2);
    ck_assert_uint_eq(t.timed_out, 1);
    ck_assert_uint_eq(t.dns_nxdomain, 1);
    ck_assert_uint_eq(t.dns_lost, 1);
    ck_assert_uint_eq(t.pings_ok, 6);
    summary = json_load_file(summary_path, 0, &why);
    ck_assert_msg(summary != NULL, "%s", why.text);
    ck_assert_uint_eq(json_array_size(json_object_get(summary, "flows")), n.flows);
    json_decref(summary);
}
END_TEST

/* Behind a translator the capture has other addresses, right checksums, and the hosts notice nothing. */
START_TEST(addresses_are_translated)
{
    static const char *const lines[] = {CALM,
                                        "nat 100.64.0.0/16",
                                        "rule lose-up kind=data every=97",
                                        "traffic bulk client=10.0.0.1*3 server=192.0.2.1 resp=500k",
                                        "traffic dns client=10.0.0.1 server=192.0.2.53 count=3 requests=2",
                                        NULL};
    struct lab_result n = run_ok(lines);
    struct captured c = read_capture();
    json_error_t why;
    json_t *summary = json_load_file(summary_path, 0, &why), *flow;
    size_t i;

    ck_assert_msg(summary != NULL, "%s", why.text);
    ck_assert_uint_eq(c.bad_tcp_checksums, 0);
    ck_assert_uint_eq(n.endpoints.total_retrans, n.total.resent_pkts);
    ck_assert_uint_eq(n.endpoints.not_ok, 0);
    ck_assert_uint_ge(n.flows, 6);
    json_array_foreach(json_object_get(summary, "flows"), i, flow)
        ck_assert_int_eq(strncmp(json_string_value(json_object_get(flow, "client")), "100.64.0.", 9), 0);
    json_decref(summary);
}
END_TEST

/* The device named in the scenario gets every frame of the capture, when it is captured. */
START_TEST(a_device_sees_the_capture_live)
{
    static const char *const lines[] = {CALM,
                                        "mirror lab0",
                                        "wrap qinq",
                                        "rule copy every=5",
                                        "rule miss every=7",
                                        "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=300k",
                                        NULL};
    char line[512];
    uint64_t received = 0;
    FILE *f;

    ck_assert_int_eq(unshare(CLONE_NEWNET), 0); /* this test is a process of its own */
    ck_assert_int_eq(system("ip link add lab0 type veth peer name lab1 && ip link set lab0 up mtu 9000 && "
                            "ip link set lab1 up mtu 9000 && sysctl -qw net.ipv6.conf.all.disable_ipv6=1"),
                     0);
    struct lab_result n = run_ok(lines);
    ck_assert_uint_eq(n.relay.mirrored, n.capture_frames);
    ck_assert_uint_eq(n.relay.mirror_failed, 0);
    f = fopen("/proc/thread-self/net/dev", "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f) != NULL)
        sscanf(line, " lab1: %*u %" SCNu64, &received);
    fclose(f);
    ck_assert_uint_ge(received, n.capture_frames);
    ck_assert_uint_le(received, n.capture_frames + 10); /* the host's own, before IPv6 was off */
}
END_TEST

static const struct {
    const char *lines[8];
} loss_runs[] = {
    {{CALM, "rule lose-up kind=data every=97", "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=3M", NULL}},
    {{CALM, "rule lose-down kind=data every=97", "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=3M", NULL}},
    {{CALM, "rule lose-up kind=data every=97", "sack off", "traffic bulk client=2001:db8::1 server=2001:db8::2 resp=2M",
      NULL}},
    {{CALM, "rule lose-down kind=data every=61", "timestamps off", "cc reno", "mss 1000",
      "traffic bulk client=10.0.0.1*3 server=192.0.2.1 resp=1M", NULL}},
};

START_TEST(each_drop_is_one_retransmission)
{
    struct lab_result n = run_ok(loss_runs[_i].lines);
    struct captured c = read_capture();
    struct read_truth t = read_truth();
    uint64_t drops = n.total.lost_up_pkts + n.total.lost_down_pkts;

    ck_assert_uint_ge(drops, 15);
    ck_assert_uint_eq(drops, n.rule_hits[0]);
    ck_assert_uint_eq(drops, t.lost_up + t.lost_down);
    /* The identity that holds whatever the machine's load does to timers … */
    ck_assert_uint_eq(n.endpoints.total_retrans, n.total.resent_pkts);
    ck_assert_uint_eq(drops, n.endpoints.total_retrans - n.total.needless_pkts);
    /* … and the exact one. Without SACK a sender resends what had arrived, too. */
    if (in_time(&n) && strcmp(loss_runs[_i].lines[3], "sack off") != 0)
        ck_assert_uint_eq(drops, n.endpoints.total_retrans);
    ck_assert_uint_eq(c.frames, n.total.sent_pkts - n.total.lost_up_pkts);
    ck_assert_uint_eq(n.total.delivered_pkts, n.total.sent_pkts - drops);
    ck_assert_uint_eq(t.time_errors, 0);
}
END_TEST

START_TEST(the_mirror_can_err_alone)
{
    static const char *const lines[] = {CALM,
                                        "rule miss every=50",
                                        "rule copy every=20",
                                        "rule hop every=30 by=120us",
                                        "rule hold-copy every=40 by=1ms",
                                        "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=1M",
                                        NULL};
    struct lab_result n = run_ok(lines);
    struct captured c = read_capture();
    struct read_truth t = read_truth();

    ck_assert_uint_eq(n.endpoints.total_retrans, 0);
    ck_assert_uint_eq(n.total.delivered_pkts, n.total.sent_pkts);
    ck_assert_uint_ge(n.total.missed_pkts, 15);
    ck_assert_uint_ge(n.total.copied_pkts, 40);
    ck_assert_uint_ge(n.total.hop_pkts, 25);
    ck_assert_uint_ge(n.total.late_copy_pkts, 15);
    ck_assert_uint_eq(c.frames, n.total.sent_pkts - n.total.missed_pkts + n.total.copied_pkts + n.total.hop_pkts);
    ck_assert_uint_eq(c.frames, t.captured);
}
END_TEST

START_TEST(held_frames_are_overtaken)
{
    static const char *const lines[] = {CALM,
                                        "rule hold-up kind=data every=40 by=300us",
                                        "rule hold-down kind=data every=60 by=300us",
                                        "rate right 100M",
                                        "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=2M",
                                        NULL};
    struct lab_result n = run_ok(lines);

    ck_assert_uint_ge(n.total.late_tap_pkts, 15);
    ck_assert_uint_gt(n.total.late_out_pkts, n.total.late_tap_pkts);
    ck_assert_uint_le(n.total.late_tap_pkts, n.rule_hits[0]);
    ck_assert_uint_eq(n.total.lost_up_pkts + n.total.lost_down_pkts, 0);
    ck_assert_uint_eq(n.endpoints.total_retrans, n.total.resent_pkts);
    ck_assert_uint_eq(n.total.needless_pkts, n.total.resent_pkts);
}
END_TEST

START_TEST(late_acks_make_needless_resends)
{
    static const char *const lines[] = {"delay both 5ms",
                                        "rule stall-up kind=ack to=right skip=200 every=100 max=2 by=700ms",
                                        "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=3M", NULL};
    struct lab_result n = run_ok(lines);

    ck_assert_uint_ge(n.total.needless_pkts, 1);
    ck_assert_uint_ge(n.endpoints.dsack_dups, 1);
    ck_assert_uint_eq(n.total.needless_pkts, n.total.resent_pkts);
    ck_assert_uint_eq(n.endpoints.total_retrans, n.total.resent_pkts);
}
END_TEST

START_TEST(limits_cut_a_run)
{
    static const char *const by_time[] = {"time 500ms",
                                          "traffic rr client=10.0.0.1 server=192.0.2.1 requests=100 think=1s", NULL};
    static const char *const by_size[] = {"size 200k", "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=5M", NULL};
    struct lab_result n;
    struct error e;

    ck_assert_int_eq(run_lines(by_time, &n, &e), -ETIME);
    ck_assert_int_eq(run_lines(by_size, &n, &e), -EFBIG);
    ck_assert_int_gt(read_capture().frames, 100);
}
END_TEST

/* The lab and its hosts as a process group of their own; returns its id. */
static pid_t start_endless(void)
{
    static const char *const lines[] = {
        "traffic rr client=10.0.0.1*4 server=192.0.2.1 count=1000 requests=100 think=50ms", NULL};
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct lab_result n;
        struct error e;

        setpgid(0, 0);
        _exit(run_lines(lines, &n, &e) == -EINTR ? 42 : 1);
    }
    setpgid(pid, pid);
    return pid;
}

static bool group_ends(pid_t group)
{
    const struct timespec step = {0, 20000000};

    for (int i = 0; i < 150; i++) {
        if (kill(-group, 0) != 0 && errno == ESRCH)
            return true;
        nanosleep(&step, NULL);
    }
    return false;
}

START_TEST(nothing_is_left_behind)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGKILL};
    const struct timespec second = {1, 0};
    pid_t pid = start_endless();
    int status;

    nanosleep(&second, NULL);
    ck_assert_int_eq(kill(pid, signals[_i]), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (signals[_i] != SIGKILL)
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    ck_assert(group_ends(pid));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lab-runs");
    TCase *c = tcase_create("runs");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, without_rules_nothing_is_lost);
    tcase_add_test(c, addresses_are_translated);
    tcase_add_test(c, a_device_sees_the_capture_live);
    tcase_add_loop_test(c, each_drop_is_one_retransmission, 0, sizeof(loss_runs) / sizeof(loss_runs[0]));
    tcase_add_test(c, the_mirror_can_err_alone);
    tcase_add_test(c, held_frames_are_overtaken);
    tcase_add_test(c, late_acks_make_needless_resends);
    tcase_add_test(c, limits_cut_a_run);
    tcase_add_loop_test(c, nothing_is_left_behind, 0, 3);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    struct error e;
    SRunner *r;
    int failed;

    if (lab_netns_possible(&e) < 0) {
        printf("skipped: %s\n", e.text);
        return 77;
    }
    if (mkdtemp(folder) == NULL)
        return EXIT_FAILURE;
    snprintf(capture_path, sizeof(capture_path), "%s/x.pcapng", folder);
    snprintf(frames_path, sizeof(frames_path), "%s/x.ndjson.gz", folder);
    snprintf(summary_path, sizeof(summary_path), "%s/x.json", folder);
    r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    unlink(capture_path);
    unlink(frames_path);
    unlink(summary_path);
    rmdir(folder);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

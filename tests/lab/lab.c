/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts the parts together and drives the one loop: relay steps, reports from the hosts, signals.
 *
 * A run has three phases. The clients run until their last round is over. Then the servers are asked to finish, and
 * the wire stays up so that their last ACKs arrive. When they have ended, frames in flight are delivered, and a quiet
 * time lets late retransmissions come.
 *
 * Fidelity: timer slack is set to 1 ns and the loop polls when the next event is near. Real-time priority, where the
 * machine grants it, keeps the compiler next door from stretching delays; the relay sleeps most of the time.
 */

#include "tests/lab/lab.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "tests/lab/traffic.h"

#define POLL_BELOW_NS  20000       /* nearer events are waited for without sleeping */
#define STEP_MAX_NS    20000000    /* look for ended processes at least this often */
#define QUIET_NS       300000000   /* after the last frame */
#define SERVERS_END_NS 10000000000 /* then they are killed */
#define REPORT_BYTES   65536

enum phase { PHASE_CLIENTS, PHASE_SERVERS, PHASE_DRAIN, PHASE_OVER };

/* Everything that a run owns; freed in one place. */
struct run {
    const struct lab_scenario *scenario;
    struct lab_netns ends[LAB_SIDES];
    bool ends_open, traffic_running, masked;
    struct lab_rules *rules;
    struct lab_truth *truth;
    struct lab_pcapng *capture;
    struct lab_relay *relay;
    struct lab_traffic_run traffic;
    struct lab_endpoints endpoints;
    sigset_t old_mask;
    int signal_fd, epoll_fd;
    int old_policy;
    struct sched_param old_priority;
    enum phase phase;
    uint64_t phase_since_ns;
    char report[REPORT_BYTES]; /* an unfinished line is kept at its start */
    size_t report_len;
};

/* ---- reports ---- */

static uint64_t number_after(const char *line, const char *name)
{
    const char *at = strstr(line, name);

    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* The lines are our own (host_tcp.c), so their form is known. */
static void count_report(struct lab_endpoints *n, const char *line)
{
    if (strncmp(line, "{\"type\":\"conn\"", 14) != 0)
        return;
    n->reports++;
    if (strstr(line, "\"result\":\"ok\"") == NULL)
        n->not_ok++;
    else if (strstr(line, "\"settled\":true") == NULL)
        n->not_settled++;
    n->total_retrans += number_after(line, "\"total_retrans\":");
    n->dsack_dups += number_after(line, "\"dsack_dups\":");
    n->sent_bytes += number_after(line, "\"sent_bytes\":");
    n->received_bytes += number_after(line, "\"received_bytes\":");
}

static void read_reports(struct run *r)
{
    ssize_t got;

    while ((got = read(r->traffic.report_fd, r->report + r->report_len, sizeof(r->report) - 1 - r->report_len)) > 0) {
        char *line = r->report, *end;

        r->report_len += (size_t)got;
        r->report[r->report_len] = '\0';
        while ((end = strchr(line, '\n')) != NULL) {
            *end = '\0';
            count_report(&r->endpoints, line);
            lab_truth_line(r->truth, line, (size_t)(end - line));
            line = end + 1;
        }
        r->report_len = strlen(line);
        memmove(r->report, line, r->report_len);
    }
}

/* ---- start and end ---- */

static int watch(struct run *r, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data = {.fd = fd}};

    return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static int watch_all(struct run *r, struct error *e)
{
    sigset_t mask;
    int rc = 0;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_BLOCK, &mask, &r->old_mask);
    r->masked = true;
    r->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->signal_fd < 0 || r->epoll_fd < 0)
        return error_set(e, -errno, "signalfd or epoll: %s", strerror(errno));
    rc = watch(r, r->signal_fd);
    for (int i = 0; rc == 0 && i < LAB_SIDES; i++)
        rc = watch(r, r->ends[i].tap_fd);
    return rc < 0 ? error_set(e, rc, "epoll: %s", strerror(-rc)) : 0;
}

static int open_all(struct run *r, const struct lab_outputs *out, struct error *e)
{
    const struct lab_scenario *s = r->scenario;
    int rc = lab_netns_possible(e);

    if (rc == 0)
        rc = lab_pcapng_open(out->capture, (uint32_t)(s->whole_udp ? 65535 : s->snap_bytes), &r->capture, e);
    if (rc == 0)
        rc = lab_truth_open(out->frames, &r->truth, e);
    if (rc == 0)
        rc = lab_netns_open_pair(s, r->ends, e);
    if (rc < 0)
        return rc;
    r->ends_open = true;
    r->rules = lab_rules_new(s);
    if (r->rules != NULL)
        r->relay = lab_relay_new(s, r->ends, r->rules, r->truth, r->capture);
    if (r->relay == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    rc = lab_relay_open_mirror(r->relay, e);
    return rc < 0 ? rc : watch_all(r, e);
}

static void set_fidelity(struct run *r)
{
    struct sched_param realtime = {.sched_priority = 1};

    r->old_policy = sched_getscheduler(0);
    sched_getparam(0, &r->old_priority);
    sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &realtime); /* fine without */
    prctl(PR_SET_TIMERSLACK, 1);
}

/* The first error is the one that counts; closing may add one (a full disk). */
static int close_all(struct run *r, int rc, struct error *e)
{
    int capture_rc, truth_rc;

    if (r->traffic_running)
        lab_traffic_end(&r->traffic);
    sched_setscheduler(0, r->old_policy, &r->old_priority);
    prctl(PR_SET_TIMERSLACK, 0);
    lab_relay_free(r->relay);
    lab_rules_free(r->rules);
    for (int i = 0; r->ends_open && i < LAB_SIDES; i++)
        lab_netns_close(&r->ends[i]);
    if (r->signal_fd >= 0)
        close(r->signal_fd);
    if (r->epoll_fd >= 0)
        close(r->epoll_fd);
    if (r->masked)
        sigprocmask(SIG_SETMASK, &r->old_mask, NULL);
    capture_rc = lab_pcapng_close(r->capture);
    truth_rc = lab_truth_close(r->truth);
    if (rc == 0 && capture_rc < 0)
        rc = error_set(e, capture_rc, "capture: %s", strerror(-capture_rc));
    if (rc == 0 && truth_rc < 0)
        rc = error_set(e, truth_rc, "truth: cannot write");
    return rc;
}

/* ---- the loop ---- */

static void set_phase(struct run *r, enum phase phase)
{
    r->phase = phase;
    r->phase_since_ns = lab_relay_since_ns(r->relay);
}

static void next_phase(struct run *r)
{
    uint64_t now = lab_relay_since_ns(r->relay);

    switch (r->phase) {
    case PHASE_CLIENTS:
        if (lab_traffic_reap(&r->traffic, false) > 0)
            break;
        lab_traffic_stop_servers(&r->traffic);
        set_phase(r, PHASE_SERVERS);
        break;
    case PHASE_SERVERS:
        if (lab_traffic_reap(&r->traffic, true) == 0 || now - r->phase_since_ns > SERVERS_END_NS)
            set_phase(r, PHASE_DRAIN);
        break;
    case PHASE_DRAIN:
        if (lab_relay_idle(r->relay) && now - lab_relay_last_ns(r->relay) > QUIET_NS &&
            now - r->phase_since_ns > QUIET_NS)
            set_phase(r, PHASE_OVER);
        break;
    case PHASE_OVER:
        break;
    }
}

/* -EINTR when a signal asks us to end. */
static int wait_for(struct run *r, uint64_t wait_ns)
{
    struct epoll_event events[4];
    struct signalfd_siginfo signal;
    struct timespec ts = {0, 0};
    int n;

    if (wait_ns > STEP_MAX_NS)
        wait_ns = STEP_MAX_NS;
    if (wait_ns > POLL_BELOW_NS)
        ts.tv_nsec = (long)(wait_ns - POLL_BELOW_NS / 2);
    n = epoll_pwait2(r->epoll_fd, events, 4, &ts, NULL);
    for (int i = 0; i < n; i++) {
        /* read it, or it would strike when the old mask is back */
        if (events[i].data.fd == r->signal_fd && read(r->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal))
            return -EINTR;
    }
    return n < 0 && errno != EINTR ? -errno : 0;
}

static int loop(struct run *r, struct error *e)
{
    uint64_t wait_ns, next_look_ns = 0;
    int rc = 0;

    while (rc == 0 && r->phase != PHASE_OVER) {
        rc = lab_relay_step(r->relay, &wait_ns);
        if (rc == -EFBIG)
            return error_set(e, rc, "the capture has reached its size limit of %llu bytes",
                             (unsigned long long)r->scenario->size_bytes);
        if (rc < 0)
            return error_set(e, rc, "relay: %s", strerror(-rc));
        rc = wait_for(r, wait_ns);
        if (lab_relay_since_ns(r->relay) < next_look_ns)
            continue;
        next_look_ns = lab_relay_since_ns(r->relay) + STEP_MAX_NS;
        read_reports(r);
        next_phase(r);
        if (next_look_ns > r->scenario->time_ns && r->phase == PHASE_CLIENTS)
            return error_set(e, -ETIME, "the time limit of %.1f s is over", (double)r->scenario->time_ns / 1e9);
    }
    return rc < 0 ? error_set(e, rc, "interrupted: %s", strerror(-rc)) : 0;
}

/* ---- results ---- */

static int collect(struct run *r, struct lab_result *ret, struct error *e)
{
    memset(ret, 0, sizeof(*ret));
    read_reports(r);
    ret->total = lab_truth_total(r->truth);
    ret->endpoints = r->endpoints;
    ret->relay = lab_relay_counts(r->relay);
    ret->flows = lab_truth_flows(r->truth);
    ret->capture_frames = lab_pcapng_frames(r->capture);
    ret->capture_bytes = lab_pcapng_bytes(r->capture);
    ret->ran_ns = lab_relay_since_ns(r->relay);
    for (size_t i = 0; i < r->scenario->n_rules; i++)
        ret->rule_hits[i] = lab_rules_hits(r->rules, i);
    for (int i = 0; i < LAB_SIDES; i++) {
        uint64_t lost;
        int rc = lab_netns_lost(&r->ends[i], &lost, e);

        if (rc < 0)
            return rc;
        ret->device_drops += lost;
    }
    return 0;
}

static int check(const struct run *r, const struct lab_result *n, struct error *e)
{
    if (n->device_drops + n->relay.write_failed > 0)
        return error_set(e, -EIO, "the lab itself lost %llu frames: its truth would be false",
                         (unsigned long long)(n->device_drops + n->relay.write_failed));
    if (r->traffic.failures > 0)
        return error_set(e, -ECHILD, "%zu hosts' processes failed", r->traffic.failures);
    return 0;
}

static int print_summary(const struct run *r, const struct lab_result *n, FILE *out, struct error *e)
{
    int rc = 0;

    fprintf(out, "{\"type\":\"lab\",\"ran_ns\":%llu,\"capture_frames\":%llu,\"total\":", (unsigned long long)n->ran_ns,
            (unsigned long long)n->capture_frames);
    lab_truth_print_sums(&n->total, out);
    fprintf(out,
            ",\n\"endpoints\":{\"reports\":%llu,\"not_ok\":%llu,\"not_settled\":%llu,"
            "\"total_retrans\":%llu,\"dsack_dups\":%llu,\"sent_bytes\":%llu,\"received_bytes\":%llu}",
            (unsigned long long)n->endpoints.reports, (unsigned long long)n->endpoints.not_ok,
            (unsigned long long)n->endpoints.not_settled, (unsigned long long)n->endpoints.total_retrans,
            (unsigned long long)n->endpoints.dsack_dups, (unsigned long long)n->endpoints.sent_bytes,
            (unsigned long long)n->endpoints.received_bytes);
    fprintf(out, ",\n\"delivered\":%llu,\"late\":%llu,\"late_max_ns\":%llu", (unsigned long long)n->relay.delivered,
            (unsigned long long)n->relay.late, (unsigned long long)n->relay.late_max_ns);
    fprintf(out, ",\n\"rules\":[");
    for (size_t i = 0; i < r->scenario->n_rules; i++)
        fprintf(out, "%s{\"action\":\"%s\",\"hits\":%llu}", i == 0 ? "" : ",",
                lab_action_name(r->scenario->rules[i].action), (unsigned long long)n->rule_hits[i]);
    fprintf(out, "]");
    for (int i = 0; rc == 0 && i < LAB_SIDES; i++) {
        fprintf(out, ",\n\"netstat_%s\":", lab_side_name(i));
        rc = lab_netns_print_netstat(&r->ends[i], out, e);
    }
    fprintf(out, ",\n\"flows\":");
    lab_truth_print_flows(r->truth, out);
    fprintf(out, "}\n");
    return rc;
}

static int write_summary(const struct run *r, const struct lab_result *n, const char *path, struct error *e)
{
    FILE *out = fopen(path, "we");
    int rc;

    if (out == NULL)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    rc = print_summary(r, n, out, e);
    if (fclose(out) != 0 && rc == 0)
        rc = error_set(e, -EIO, "%s: cannot write", path);
    return rc;
}

int lab_run(const struct lab_scenario *s, const struct lab_outputs *out, struct lab_result *ret, struct error *e)
{
    struct run *r = calloc(1, sizeof(*r));
    struct lab_result result;
    int rc;

    if (r == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    r->scenario = s;
    r->signal_fd = r->epoll_fd = -1;
    set_fidelity(r);
    rc = open_all(r, out, e);
    if (rc == 0)
        rc = lab_traffic_start(s, r->ends, &r->old_mask, &r->traffic, e);
    if (rc == 0) {
        r->traffic_running = true;
        rc = loop(r, e);
    }
    if (rc == 0)
        rc = collect(r, &result, e);
    if (rc == 0)
        rc = check(r, &result, e);
    if (rc == 0 && out->summary != NULL)
        rc = write_summary(r, &result, out->summary, e);
    rc = close_all(r, rc, e);
    if (rc == 0)
        *ret = result;
    free(r);
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame's way: sender -> (rules, delay, rate of the sender's link) -> tap -> (delay, rate of the receiver's
 * link) -> receiver. At the moment it is taken from the sender its fate is decided and its events are put on a
 * heap: pass the tap, be captured again, reach the receiver. The heap is ordered by time, then by age, so equal
 * times keep their order and the capture file comes out sorted.
 *
 * Clock: CLOCK_MONOTONIC, shifted once to the epoch that the scenario wants. A frame passes the tap at the planned
 * time, exactly; it reaches its receiver when write(2) is called, which is the planned time or somewhat later, and
 * that time is what the truth records. The write runs the receiver's stack, so an ACK is never older than out_ns.
 *
 * Limits: FRAMES_MAX frames in flight; above that we stop reading and the senders' queues (txqueuelen) hold the
 * rest. A drop there would be a loss that nobody chose: the lab looks for it at the end and fails.
 */

#include "tests/lab/relay.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/lab/wrap.h"

#define FRAMES_MAX    65536
#define READ_BURST    32
#define COPY_AFTER_NS 2000   /* of a second copy, when the rule does not say */
#define HOP_AFTER_NS  150000 /* the same for a second hop */

enum event_kind { EVENT_TAP, EVENT_AGAIN, EVENT_OUT };

struct event {
    uint64_t at_ns; /* since the start */
    uint64_t age;
    struct lab_frame *frame;
    enum event_kind kind;
};

/* Owner: the thread that steps it. heap[0] is the next event. Each frame in flight has events > 0. */
struct lab_relay {
    const struct lab_scenario *scenario;
    const struct lab_netns *ends;
    struct lab_rules *rules;
    struct lab_truth *truth;
    struct lab_pcapng *capture;
    uint64_t start_ns; /* monotonic */
    uint64_t epoch_ns;
    struct event *heap; /* room for three events per frame */
    size_t n_events;
    uint64_t age;
    struct lab_frame **spare;
    size_t n_spare;
    size_t in_flight;
    uint64_t tap_busy_ns[LAB_SIDES]; /* by direction: the sender's link is free from then on */
    uint64_t out_busy_ns[LAB_SIDES];
    uint64_t last_ns;
    struct lab_relay_counts counts;
    struct lab_prefix inside; /* of the left hosts, where their addresses are translated */
    int mirror_fd;            /* -1 = none */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t lab_relay_since_ns(const struct lab_relay *r)
{
    return clock_ns(CLOCK_MONOTONIC) - r->start_ns;
}

struct lab_relay *lab_relay_new(const struct lab_scenario *s, const struct lab_netns ends[LAB_SIDES],
                                struct lab_rules *rules, struct lab_truth *truth, struct lab_pcapng *capture)
{
    struct lab_relay *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->heap = malloc(sizeof(*r->heap) * FRAMES_MAX * 3);
    r->spare = malloc(sizeof(struct lab_frame *) * FRAMES_MAX);
    if (r->heap == NULL || r->spare == NULL) {
        lab_relay_free(r);
        return NULL;
    }
    r->scenario = s;
    r->ends = ends;
    r->rules = rules;
    r->truth = truth;
    r->capture = capture;
    r->mirror_fd = -1;
    for (size_t i = s->n_traffic; i > 0; i--) {
        const struct lab_traffic *t = &s->traffic[i - 1];
        r->inside.addr = t->from == LAB_LEFT ? t->client.first : t->server.first;
    }
    r->inside.len = s->nat.len;
    r->start_ns = clock_ns(CLOCK_MONOTONIC);
    r->epoch_ns = s->epoch_ns != 0 ? s->epoch_ns : clock_ns(CLOCK_REALTIME);
    return r;
}

void lab_relay_free(struct lab_relay *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->n_events; i++) {
        if (--r->heap[i].frame->events == 0)
            free(r->heap[i].frame);
    }
    for (size_t i = 0; i < r->n_spare; i++)
        free(r->spare[i]);
    if (r->mirror_fd >= 0)
        close(r->mirror_fd);
    free(r->spare);
    free(r->heap);
    free(r);
}

int lab_relay_open_mirror(struct lab_relay *r, struct error *e)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET};

    if (r->scenario->mirror[0] == '\0')
        return 0;
    at.sll_ifindex = (int)if_nametoindex(r->scenario->mirror);
    r->mirror_fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (at.sll_ifindex == 0 || r->mirror_fd < 0 || bind(r->mirror_fd, (struct sockaddr *)&at, sizeof(at)) != 0)
        return error_set(e, -errno, "mirror %s: %s", r->scenario->mirror, strerror(errno));
    return 0;
}

bool lab_relay_idle(const struct lab_relay *r)
{
    return r->n_events == 0;
}

uint64_t lab_relay_last_ns(const struct lab_relay *r)
{
    return r->last_ns;
}

struct lab_relay_counts lab_relay_counts(const struct lab_relay *r)
{
    return r->counts;
}

/* ---- the heap ---- */

static bool sooner(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->age < b->age;
}

static void push(struct lab_relay *r, uint64_t at_ns, enum event_kind kind, struct lab_frame *f)
{
    struct event e = {at_ns, r->age++, f, kind};
    size_t i = r->n_events++;

    f->events++;
    for (; i > 0 && sooner(&e, &r->heap[(i - 1) / 2]); i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = e;
}

static struct event pop(struct lab_relay *r)
{
    struct event top = r->heap[0], last = r->heap[--r->n_events];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < r->n_events) {
        if (child + 1 < r->n_events && sooner(&r->heap[child + 1], &r->heap[child]))
            child++;
        if (!sooner(&r->heap[child], &last))
            break;
        r->heap[i] = r->heap[child];
        i = child;
    }
    r->heap[i] = last;
    return top;
}

/* ---- frames ---- */

static struct lab_frame *frame_get(struct lab_relay *r)
{
    if (r->in_flight == FRAMES_MAX)
        return NULL;
    if (r->n_spare > 0)
        return r->spare[--r->n_spare];
    return malloc(sizeof(struct lab_frame));
}

static void frame_put(struct lab_relay *r, struct lab_frame *f)
{
    r->spare[r->n_spare++] = f;
}

static size_t captured_len(const struct lab_relay *r, const struct lab_frame *f, size_t len)
{
    if (len <= r->scenario->snap_bytes || (r->scenario->whole_udp && f->info.proto == IPPROTO_UDP))
        return len;
    return r->scenario->snap_bytes;
}

static void mirror(struct lab_relay *r, const uint8_t *frame, size_t len)
{
    if (r->mirror_fd < 0)
        return;
    if (send(r->mirror_fd, frame, len, 0) == (ssize_t)len)
        r->counts.mirrored++;
    else
        r->counts.mirror_failed++;
}

static int capture(struct lab_relay *r, struct lab_frame *f, uint64_t at_ns)
{
    int again = f->captured_as[0] != 0, rc;

    uint8_t seen[LAB_FRAME_MAX + LAB_WRAP_MAX];
    size_t len =
        lab_wrap((enum lab_wrap_kind)r->scenario->wrap, f->bytes, f->len, (enum lab_side)f->to, f->number, seen);

    mirror(r, seen, len);
    rc = lab_pcapng_write(r->capture, r->epoch_ns + at_ns, seen, captured_len(r, f, len), len);
    if (rc < 0)
        return rc;
    f->captured_as[again] = lab_pcapng_frames(r->capture);
    f->captured_ns[again] = r->epoch_ns + at_ns;
    return lab_pcapng_bytes(r->capture) > r->scenario->size_bytes ? -EFBIG : 0;
}

static uint64_t serialise_ns(uint64_t bits_per_s, const struct lab_frame *f)
{
    /* preamble, FCS and gap as on a real Ethernet */
    return bits_per_s == 0 ? 0 : (uint64_t)(f->len + 24) * 8 * 1000000000u / bits_per_s;
}

/* When a frame that comes to a link at at_ns has left it again. */
static uint64_t through_link(struct lab_relay *r, enum lab_side side, uint64_t *busy_ns, const struct lab_frame *f,
                             uint64_t at_ns)
{
    uint64_t begin = at_ns > *busy_ns ? at_ns : *busy_ns;

    *busy_ns = begin + serialise_ns(r->scenario->rate_bits_per_s[side], f);
    return *busy_ns;
}

static uint64_t by_ns(const struct lab_frame *f, enum lab_action a)
{
    return lab_fate_has(&f->fate, a) ? f->fate.by_ns[a] : 0;
}

/* A stall ends for all at one instant, however long each would have waited in front of its link: their order is kept.
 */
static uint64_t when_stall_ends(const struct lab_frame *f, enum lab_action stall, uint64_t began_ns, uint64_t at_ns)
{
    uint64_t end_ns = began_ns + by_ns(f, stall);

    return lab_fate_has(&f->fate, stall) && end_ns > at_ns ? end_ns : at_ns;
}

/* ---- events ---- */

static int at_tap(struct lab_relay *r, struct lab_frame *f, uint64_t at_ns)
{
    enum lab_side to = f->to;
    uint64_t held = by_ns(f, LAB_HOLD_COPY), again = 0, out;
    int rc = 0;

    f->tap_ns = r->epoch_ns + at_ns;
    lab_truth_at_tap(r->truth, f);
    if (!lab_fate_has(&f->fate, LAB_LOSE_DOWN)) {
        uint64_t unhindered_ns = f->in_ns - r->epoch_ns + lab_rules_delay_ns(r->rules, !to, &f->info);
        out = through_link(r, to, &r->out_busy_ns[to], f, at_ns);
        out = when_stall_ends(f, LAB_STALL_DOWN, unhindered_ns, out);
        out += lab_rules_delay_ns(r->rules, to, &f->info);
        push(r, out + by_ns(f, LAB_HOLD_DOWN), EVENT_OUT, f);
    }
    if (lab_fate_has(&f->fate, LAB_MISS))
        return 0;
    if (held > 0)
        push(r, at_ns + held, EVENT_AGAIN, f);
    else
        rc = capture(r, f, at_ns);
    if (lab_fate_has(&f->fate, LAB_COPY))
        again = by_ns(f, LAB_COPY) > 0 ? by_ns(f, LAB_COPY) : COPY_AFTER_NS;
    else if (lab_fate_has(&f->fate, LAB_HOP))
        again = by_ns(f, LAB_HOP) > 0 ? by_ns(f, LAB_HOP) : HOP_AFTER_NS;
    if (again > 0)
        push(r, at_ns + held + again, EVENT_AGAIN, f);
    return rc;
}

/* The second copy of a second hop is made on the frame itself, or on a clone while it still has to be delivered. */
static int captured_again(struct lab_relay *r, struct lab_frame *f, uint64_t at_ns)
{
    uint8_t original[LAB_FRAME_MAX];
    bool hop = lab_fate_has(&f->fate, LAB_HOP) && f->captured_as[0] != 0;
    int rc;

    if (!hop)
        return capture(r, f, at_ns);
    memcpy(original, f->bytes, f->len);
    lab_frame_second_hop(f->bytes, f->len);
    rc = capture(r, f, at_ns);
    memcpy(f->bytes, original, f->len);
    return rc;
}

static void at_out(struct lab_relay *r, struct lab_frame *f, uint64_t planned_ns)
{
    uint64_t now = lab_relay_since_ns(r);
    uint8_t out[LAB_FRAME_MAX];

    if (now - planned_ns > r->counts.late_max_ns)
        r->counts.late_max_ns = now - planned_ns;
    r->counts.delivered++;
    r->counts.late += now - planned_ns > LAB_LATE_NS;
    f->out_ns = r->epoch_ns + now;
    lab_truth_at_out(r->truth, f);
    memcpy(out, f->bytes, f->len); /* a second hop may still have to be captured as it was at the tap */
    if (f->to == LAB_LEFT && r->scenario->nat.len != 0)
        lab_translate(out, f->len, false, &r->inside);
    if (write(r->ends[f->to].tap_fd, out, f->len) != (ssize_t)f->len)
        r->counts.write_failed++;
}

static void event_over(struct lab_relay *r, struct lab_frame *f)
{
    if (--f->events > 0)
        return;
    lab_truth_done(r->truth, f);
    r->in_flight--;
    frame_put(r, f);
}

static int run_event(struct lab_relay *r, const struct event *e)
{
    struct lab_frame *f = e->frame;
    int rc = 0;

    switch (e->kind) {
    case EVENT_TAP:
        rc = at_tap(r, f, e->at_ns);
        break;
    case EVENT_AGAIN:
        rc = captured_again(r, f, e->at_ns);
        break;
    case EVENT_OUT:
        at_out(r, f, e->at_ns);
        break;
    }
    event_over(r, f);
    return rc;
}

/* ---- intake ---- */

/* The rest of a frame's way up to the tap. */
static void send_off(struct lab_relay *r, struct lab_frame *f, uint64_t now)
{
    enum lab_side from = !f->to;
    uint64_t at;

    r->in_flight++;
    if (r->in_flight > r->counts.in_flight_max)
        r->counts.in_flight_max = r->in_flight;
    if (lab_fate_has(&f->fate, LAB_LOSE_UP)) {
        f->events++;
        event_over(r, f);
        return;
    }
    at = when_stall_ends(f, LAB_STALL_UP, now, through_link(r, from, &r->tap_busy_ns[f->to], f, now));
    at += lab_rules_delay_ns(r->rules, from, &f->info);
    push(r, at + by_ns(f, LAB_HOLD_UP), EVENT_TAP, f);
}

static int take(struct lab_relay *r, struct lab_frame *f, uint64_t now)
{
    struct lab_facts facts = {&f->info, f->to, 0, false, now};
    int rc;

    f->number = ++r->counts.frames;
    f->in_ns = r->epoch_ns + now;
    r->last_ns = now;
    rc = lab_truth_sent(r->truth, f);
    if (rc < 0)
        return rc;
    facts.flow = f->flow;
    facts.resend = f->resend;
    rc = lab_rules_judge(r->rules, &facts, &f->fate);
    if (rc == 0)
        rc = lab_truth_judged(r->truth, f);
    if (rc == 0)
        send_off(r, f, now);
    return rc;
}

/* Reads one frame from the stack of a side. 1 = took one, 0 = there is none. */
static int read_one(struct lab_relay *r, enum lab_side from)
{
    struct lab_frame *f = frame_get(r);
    ssize_t len;
    int rc;

    if (f == NULL)
        return r->in_flight == FRAMES_MAX ? 0 : -ENOMEM;
    len = read(r->ends[from].tap_fd, f->bytes, sizeof(f->bytes));
    if (len < 0) {
        rc = errno == EAGAIN || errno == EINTR ? 0 : -errno;
        frame_put(r, f);
        return rc;
    }
    memset(f, 0, offsetof(struct lab_frame, bytes));
    f->len = (uint16_t)len;
    f->to = (uint8_t)!from;
    if (len > LAB_FRAME_MAX) {
        frame_put(r, f);
        return -EMSGSIZE; /* an offload is on after all */
    }
    if (from == LAB_LEFT && r->scenario->nat.len != 0)
        lab_translate(f->bytes, (size_t)len, true, &r->scenario->nat);
    if ((f->bytes[0] & 1) != 0 || lab_frame_parse(f->bytes, (size_t)len, &f->info) < 0) {
        r->counts.ignored++;
        frame_put(r, f);
        return 1;
    }
    rc = take(r, f, lab_relay_since_ns(r));
    return rc < 0 ? rc : 1;
}

static int read_side(struct lab_relay *r, enum lab_side from, bool *ret_more)
{
    for (int i = 0; i < READ_BURST; i++) {
        int rc = read_one(r, from);

        if (rc <= 0)
            return rc;
    }
    *ret_more = true;
    return 0;
}

int lab_relay_step(struct lab_relay *r, uint64_t *ret_wait_ns)
{
    uint64_t now = lab_relay_since_ns(r);
    bool more = false;
    int rc = 0;

    while (rc == 0 && r->n_events > 0 && r->heap[0].at_ns <= now) {
        struct event e = pop(r);

        rc = run_event(r, &e);
    }
    for (enum lab_side from = 0; rc == 0 && from < LAB_SIDES; from++)
        rc = read_side(r, from, &more);
    if (rc < 0)
        return rc;
    now = lab_relay_since_ns(r);
    *ret_wait_ns = UINT64_MAX;
    if (more)
        *ret_wait_ns = 0;
    else if (r->n_events > 0)
        *ret_wait_ns = r->heap[0].at_ns > now ? r->heap[0].at_ns - now : 0;
    return 0;
}

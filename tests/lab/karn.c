/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The oracle for ACK RTT: the frames of the truth in the order of the capture, without the mirror's copies. A sample is
 * an ACK that ends exactly at a segment which was sent once, with no later resend or late fill of anything before
 * it. Every segment in flight is remembered with its own taint, however many there are. Written apart from tcp_rtt.c on
 * purpose; it works on the truth's headers, so it cannot share the decoder's faults either.
 *
 * Rule 0 applies to both: in a flow whose copies the mirror held back, so that they were overtaken, by a 32nd of the
 * smaller round trip or more (two times at least, and one segment in 200), a sample needs neighbours, unless its own
 * round trip is 32 times what any was held: both its frames were captured within a 64th of that side's smallest round
 * trip after another frame of their direction that was not overtaken. Who was held back is taken from the truth here.
 */

#include "tests/lab/karn.h"

#include <errno.h>
#include <stdlib.h>

struct in_flight {
    const struct truth_frame *frame;
    bool tainted;
    bool alone; /* captured long after the frame before it */
};

struct side {
    struct in_flight *at; /* [head, n) wait for their ACK, ascending */
    size_t head, n;
    int64_t nxt, una;
    bool started;
    uint64_t top_tap_ns;  /* of what was captured so far, the latest at the tap */
    uint64_t in_order_ns; /* when the latest frame was captured that nothing had overtaken */
    uint64_t n_data, n_held, held_ns;
    uint64_t min_ns; /* smallest round trip tap <-> peer; 0 = none */
    bool held;       /* the mirror holds copies back */
};

struct karn {
    struct karn_sample *sample;
    size_t n, room;
};

static int by_capture(const void *a, const void *b)
{
    const struct truth_frame *const *x = a, *const *y = b;

    return (*x)->captured_as[0] < (*y)->captured_as[0] ? -1 : (*x)->captured_as[0] > (*y)->captured_as[0];
}

static int keep(struct karn *k, const struct truth_frame *data, const struct truth_frame *ack, bool alone)
{
    if (k->n == k->room) {
        k->room = k->room * 2 + 1024;
        struct karn_sample *grown = realloc(k->sample, k->room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        k->sample = grown;
    }
    k->sample[k->n++] = (struct karn_sample){
        .flow = data->flow, .dir = data->dir, .ack = data->hi, .true_ns = ack->tap_ns - data->tap_ns, .alone = alone};
    return 0;
}

static uint64_t least(const struct side *two)
{
    uint64_t a = two[0].min_ns, b = two[1].min_ns;

    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Was the frame captured so long after the one before it that it may have been held? `data` is the sample's direction.
 */
static bool is_alone(const struct side *two, const struct truth_frame *f, unsigned data)
{
    uint64_t held_ns = two[0].held_ns > two[1].held_ns ? two[0].held_ns : two[1].held_ns;

    return (two[0].held || two[1].held) && held_ns >= two[data].min_ns / 32 &&
           f->captured_ns[0] - two[f->dir].in_order_ns > two[data].min_ns / 64;
}

/* The frame is captured: does the mirror hold copies back? */
static void on_copy(struct side *two, const struct truth_frame *f)
{
    struct side *s = &two[f->dir];

    s->n_data += f->hi > f->lo;
    if (f->tap_ns >= s->top_tap_ns) {
        s->top_tap_ns = f->tap_ns;
        s->in_order_ns = f->captured_ns[0];
        return;
    }
    uint64_t by_ns = f->captured_ns[0] - f->tap_ns;
    if (f->hi == f->lo || least(two) == 0 || by_ns < least(two) / 32)
        return;
    s->n_held++;
    s->held_ns = by_ns > s->held_ns ? by_ns : s->held_ns;
    s->held |= s->n_held > 1 && s->n_held * 200 >= s->n_data;
}

static int on_ack(struct karn *k, struct side *two, const struct truth_frame *f, int64_t ack)
{
    struct side *s = &two[!f->dir];
    const struct in_flight *last = NULL;

    if (!s->started || ack <= s->una)
        return 0;
    s->una = ack;
    while (s->head < s->n && s->at[s->head].frame->hi <= ack)
        last = &s->at[s->head++];
    if (last == NULL || last->frame->hi != ack || last->tainted)
        return 0;
    bool alone = last->alone || is_alone(two, f, !f->dir);
    uint64_t rtt_ns = f->captured_ns[0] - last->frame->captured_ns[0];
    if (!alone && (s->min_ns == 0 || rtt_ns < s->min_ns))
        s->min_ns = rtt_ns;
    return keep(k, last->frame, f, alone);
}

static void on_data(struct side *two, const struct truth_frame *f)
{
    struct side *s = &two[f->dir];

    if (f->hi == f->lo)
        return;
    if (!s->started || f->lo >= s->nxt) {
        s->at[s->n++] = (struct in_flight){.frame = f, .alone = is_alone(two, f, f->dir)};
        s->nxt = f->hi;
        s->started = true;
        return;
    }
    for (size_t i = s->n; i > s->head && s->at[i - 1].frame->hi > f->lo; i--)
        s->at[i - 1].tainted = true;
    if (f->hi > s->nxt) {
        s->at[s->n++] = (struct in_flight){.frame = f, .tainted = true};
        s->nxt = f->hi;
    }
}

static int one_flow(struct karn *k, const struct truth *t, const struct truth_flow *flow)
{
    size_t total = flow->n_frames[0] + flow->n_frames[1], n = 0;
    const struct truth_frame **order = calloc(total + 1, sizeof(*order));
    struct side side[2] = {{.at = calloc(total + 1, sizeof(struct in_flight))},
                           {.at = calloc(total + 1, sizeof(struct in_flight))}};
    int rc = order == NULL || side[0].at == NULL || side[1].at == NULL ? -ENOMEM : 0;

    for (unsigned d = 0; rc == 0 && d < 2; d++)
        for (size_t i = 0; i < flow->n_frames[d]; i++)
            if (t->frame[flow->frames[d] + i].captured_as[0] != 0)
                order[n++] = &t->frame[flow->frames[d] + i];
    if (rc == 0)
        qsort(order, n, sizeof(*order), by_capture);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct truth_frame *f = order[i];
        if ((f->flags & 4) != 0)
            continue;
        if ((f->flags & 16) != 0)
            rc = on_ack(k, side, f, (int32_t)(f->ack - flow->first_seq[!f->dir]));
        on_data(side, f);
        on_copy(side, f);
    }
    free(order);
    free(side[0].at);
    free(side[1].at);
    return rc;
}

static int by_key(const void *a, const void *b)
{
    const struct karn_sample *x = a, *y = b;

    if (x->flow != y->flow)
        return x->flow < y->flow ? -1 : 1;
    if (x->dir != y->dir)
        return x->dir < y->dir ? -1 : 1;
    return x->ack < y->ack ? -1 : x->ack > y->ack;
}

int karn_samples(const struct truth *t, struct karn_sample **ret, size_t *ret_n)
{
    struct karn k = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < t->n_flows; i++)
        if (t->flow[i].proto == 6)
            rc = one_flow(&k, t, &t->flow[i]);
    if (rc < 0) {
        free(k.sample);
        return rc;
    }
    if (k.n != 0)
        qsort(k.sample, k.n, sizeof(*k.sample), by_key);
    *ret = k.sample;
    *ret_n = k.n;
    return 0;
}

struct karn_sample *karn_find(struct karn_sample *s, size_t n, uint32_t flow, uint8_t dir, int64_t ack)
{
    const struct karn_sample key = {.flow = flow, .dir = dir, .ack = ack};

    return n == 0 ? NULL : bsearch(&key, s, n, sizeof(*s), by_key);
}

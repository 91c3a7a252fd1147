/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The oracle for ACK RTT: the frames of the truth in the order of the capture, without the mirror's copies. A sample is
 * an ACK that ends exactly at a segment which was sent once, with no later resend or late fill of anything before
 * it. Every segment in flight is remembered with its own taint, however many there are. Written apart from tcp_rtt.c on
 * purpose; it works on the truth's headers, so it cannot share the decoder's faults either.
 */

#include "tests/lab/karn.h"

#include <errno.h>
#include <stdlib.h>

struct in_flight {
    const struct truth_frame *frame;
    bool tainted;
};

struct side {
    struct in_flight *at; /* [head, n) wait for their ACK, ascending */
    size_t head, n;
    int64_t nxt, una;
    bool started;
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

static int keep(struct karn *k, const struct truth_frame *data, const struct truth_frame *ack)
{
    if (k->n == k->room) {
        k->room = k->room * 2 + 1024;
        struct karn_sample *grown = realloc(k->sample, k->room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        k->sample = grown;
    }
    k->sample[k->n++] = (struct karn_sample){
        .flow = data->flow, .dir = data->dir, .ack = data->hi, .true_ns = ack->tap_ns - data->tap_ns};
    return 0;
}

static int on_ack(struct karn *k, struct side *s, const struct truth_frame *f, int64_t ack)
{
    const struct in_flight *last = NULL;

    if (!s->started || ack <= s->una)
        return 0;
    s->una = ack;
    while (s->head < s->n && s->at[s->head].frame->hi <= ack)
        last = &s->at[s->head++];
    return last != NULL && last->frame->hi == ack && !last->tainted ? keep(k, last->frame, f) : 0;
}

static void on_data(struct side *s, const struct truth_frame *f)
{
    if (f->hi == f->lo)
        return;
    if (!s->started || f->lo >= s->nxt) {
        s->at[s->n++] = (struct in_flight){.frame = f};
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
            rc = on_ack(k, &side[!f->dir], f, (int32_t)(f->ack - flow->first_seq[!f->dir]));
        on_data(&side[f->dir], f);
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

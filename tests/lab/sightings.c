/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which of the things that the relay did could anybody know who sees the capture alone? The questions are put to the
 * truth, not to the classifier's state, so that a weakness of the classifier is never excused as invisible:
 *
 *  downstream  the segment is in the capture, and so is a later transmission of some of its bytes
 *  upstream    its bytes are in the capture, for the first time after a younger segment had shown the gap; of several
 *              losses of the same bytes before that, the first
 *  capture     its bytes are not in the capture at all, and an ACK in the capture covers them
 *  duplicate,  the capture has it twice
 *  second hop
 *  reordering  first transmissions only. The capture has an ACK by which R says that it has younger bytes, but not
 *              these (else only the mirror may have had them out of order); and, if it happened before the tap, the
 *              capture has a younger segment earlier
 *  spurious    the resend and an earlier transmission of its bytes are in the capture
 *
 * Of a mirror that shows one direction only nothing but its copies is seen (a verdict on anything else is wrong), and
 * of a flow that was picked up on the way only what lies behind the first byte captured. A segment that R refused is
 * apart, too: to the tap it is lost downstream. Everything else is: a lost tail, a lost repair of something that had
 * not been seen missing.
 */

#include "tests/lab/sightings.h"

#include <errno.h>
#include <stdlib.h>

#define SEGMENT_MAX 65536

/* One direction of one flow. */
struct view {
    const struct truth_frame **by_lo; /* those with sequence space */
    size_t n;
    const struct truth_frame **captured; /* the same, in the order of the capture */
    int64_t *top;                        /* highest end captured before captured[i] */
    size_t n_captured;
    const struct truth_frame *back; /* frames of the other direction, in the order of emission */
    size_t n_back;
    bool two_way; /* the capture has something of the other direction */
    uint32_t first_seq;
};

static int by_lo(const void *a, const void *b)
{
    const struct truth_frame *x = *(const struct truth_frame *const *)a, *y = *(const struct truth_frame *const *)b;

    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

static int by_capture(const void *a, const void *b)
{
    const struct truth_frame *x = *(const struct truth_frame *const *)a, *y = *(const struct truth_frame *const *)b;

    return x->captured_as[0] < y->captured_as[0] ? -1 : x->captured_as[0] > y->captured_as[0];
}

static int view_open(const struct truth *t, const struct truth_flow *flow, unsigned d, struct view *v)
{
    size_t total = flow->n_frames[d] + 1;
    int64_t top = INT64_MIN;

    *v = (struct view){.by_lo = calloc(total, sizeof(*v->by_lo)),
                       .captured = calloc(total, sizeof(*v->captured)),
                       .top = calloc(total, sizeof(*v->top)),
                       .back = &t->frame[flow->frames[!d]],
                       .n_back = flow->n_frames[!d],
                       .first_seq = flow->first_seq[d]};
    if (v->by_lo == NULL || v->captured == NULL || v->top == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < flow->n_frames[d]; i++) {
        const struct truth_frame *f = &t->frame[flow->frames[d] + i];
        if (f->hi == f->lo)
            continue;
        v->by_lo[v->n++] = f;
        if (f->captured_as[0] != 0)
            v->captured[v->n_captured++] = f;
    }
    for (size_t i = 0; i < v->n_back && !v->two_way; i++)
        v->two_way = v->back[i].captured_as[0] != 0;
    qsort(v->by_lo, v->n, sizeof(*v->by_lo), by_lo);
    qsort(v->captured, v->n_captured, sizeof(*v->captured), by_capture);
    for (size_t i = 0; i < v->n_captured; i++) {
        v->top[i] = top;
        top = v->captured[i]->hi > top ? v->captured[i]->hi : top;
    }
    return 0;
}

static void view_close(struct view *v)
{
    free(v->by_lo);
    free(v->captured);
    free(v->top);
}

static int64_t top_before(const struct view *v, const struct truth_frame *f)
{
    size_t lo = 0, hi = v->n_captured;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (v->captured[mid]->captured_as[0] < f->captured_as[0])
            lo = mid + 1;
        else
            hi = mid;
    }
    return v->top[lo];
}

static size_t first_reaching(const struct view *v, int64_t beyond)
{
    size_t lo = 0, hi = v->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (v->by_lo[mid]->lo < beyond - SEGMENT_MAX)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Other transmissions g of bytes of f. */
#define EACH_OVERLAP(v, f, g)                                                                                          \
    const struct truth_frame *g;                                                                                       \
    for (size_t i_ = first_reaching(v, (f)->lo); i_ < (v)->n && (g = (v)->by_lo[i_])->lo < (f)->hi; i_++)              \
        if (g != (f) && g->hi > (f)->lo)

static bool is_captured(const struct truth_frame *f)
{
    return f->captured_as[0] != 0;
}

static bool sees_downstream(const struct view *v, const struct truth_frame *f)
{
    if (!is_captured(f))
        return false;
    EACH_OVERLAP(v, f, g)
    {
        if (is_captured(g) && g->n > f->n && g->captured_as[0] > f->captured_as[0])
            return true;
    }
    return false;
}

static bool sees_upstream(const struct view *v, const struct truth_frame *f)
{
    const struct truth_frame *repair = NULL;

    EACH_OVERLAP(v, f, g)
    {
        if (is_captured(g) && g->n < f->n)
            return false;
        if (truth_did(g, LAB_LOSE_UP) && g->n < f->n)
            return false;
        if (is_captured(g) && (repair == NULL || g->captured_as[0] < repair->captured_as[0]))
            repair = g;
    }
    return repair != NULL && top_before(v, repair) > f->lo;
}

static bool sees_capture_loss(const struct view *v, const struct truth_frame *f)
{
    if (v->n_captured == 0 || f->lo < v->captured[0]->lo)
        return false;
    EACH_OVERLAP(v, f, g)
    {
        if (is_captured(g) || g->out_ns == 0)
            return false;
    }
    for (size_t i = v->n_back; i > 0; i--) {
        const struct truth_frame *a = &v->back[i - 1];
        if (is_captured(a) && (a->flags & 16) != 0)
            return (int32_t)(a->ack - v->first_seq) >= f->hi;
    }
    return false;
}

enum report { REPORT_NOTHING, REPORT_HAS, REPORT_LACKS };

/* What does this ACK say of f? That R has it, or that it has something above, but not f. */
static enum report report_of(const struct view *v, const struct truth_frame *a, const struct truth_frame *f)
{
    bool above = false;

    if (!is_captured(a) || (a->flags & 16) == 0)
        return REPORT_NOTHING;
    if ((int32_t)(a->ack - v->first_seq) >= f->hi)
        return REPORT_HAS;
    for (unsigned i = 0; i < a->n_sack; i++) {
        int64_t left = (int32_t)(a->sack[i][0] - v->first_seq), right = (int32_t)(a->sack[i][1] - v->first_seq);
        if (left <= f->lo && f->hi <= right)
            return REPORT_HAS;
        above |= left >= f->hi;
    }
    return above ? REPORT_LACKS : REPORT_NOTHING;
}

/*
 * Before R says that it has f: a later ACK may leave f out for want of room, since it names three ranges at most.
 * Without SACK only the first gap is reported: two ACKs in a row that end where f begins.
 */
static bool is_complained_about(const struct view *v, const struct truth_frame *f)
{
    const struct truth_frame *last = NULL;

    for (size_t i = 0; i < v->n_back; i++) {
        const struct truth_frame *a = &v->back[i];
        enum report report = report_of(v, a, f);
        if (report != REPORT_NOTHING)
            return report == REPORT_LACKS;
        if (!is_captured(a) || a->len != 0 || (a->flags & 7) != 0)
            continue;
        if (last != NULL && a->ack == last->ack && (int32_t)(a->ack - v->first_seq) == f->lo)
            return true;
        last = a;
    }
    return false;
}

static bool sees_reordering(const struct view *v, const struct truth_frame *f)
{
    if (f->resend || f->refused || !is_captured(f))
        return false;
    EACH_OVERLAP(v, f, g)
    {
        if (is_captured(g) && g->captured_as[0] < f->captured_as[0])
            return false;
    }
    if (f->late_tap && top_before(v, f) <= f->lo)
        return false;
    return is_complained_about(v, f);
}

static bool sees_spurious(const struct view *v, const struct truth_frame *f)
{
    if (!is_captured(f))
        return false;
    EACH_OVERLAP(v, f, g)
    {
        if (is_captured(g) && g->captured_as[0] < f->captured_as[0])
            return true;
    }
    return false;
}

/* ---- all of them ---- */

struct list {
    struct sighting *at;
    size_t n, room;
};

static int add(struct list *l, const struct truth_frame *f, enum score_class class, bool visible)
{
    if (l->n == l->room) {
        l->room = l->room * 2 + 1024;
        struct sighting *grown = realloc(l->at, l->room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        l->at = grown;
    }
    l->at[l->n++] = (struct sighting){.frame = f, .class = (uint8_t) class, .visible = visible, .data = f->len != 0};
    return 0;
}

static int look_at(struct list *l, const struct view *v, const struct truth_frame *f)
{
    int rc = 0;

    if (!v->two_way)
        return f->captured_as[1] != 0 ? add(l, f, truth_did(f, LAB_HOP) ? SCORE_HOP : SCORE_COPY, true) : 0;
    if (truth_did(f, LAB_LOSE_UP))
        rc = add(l, f, SCORE_UPSTREAM, sees_upstream(v, f));
    else if (truth_did(f, LAB_LOSE_DOWN))
        rc = add(l, f, SCORE_DOWNSTREAM, sees_downstream(v, f));
    else if (truth_did(f, LAB_MISS))
        rc = add(l, f, SCORE_CAPTURE, sees_capture_loss(v, f));
    else if (f->refused)
        rc = add(l, f, SCORE_DOWNSTREAM, false);
    if (rc == 0 && f->captured_as[1] != 0)
        rc = add(l, f, truth_did(f, LAB_HOP) ? SCORE_HOP : SCORE_COPY, true);
    if (rc == 0 && (f->late_tap || f->late_out))
        rc = add(l, f, SCORE_REORDERED, sees_reordering(v, f));
    if (rc == 0 && f->needless)
        rc = add(l, f, SCORE_SPURIOUS, sees_spurious(v, f));
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct sighting *x = a, *y = b;

    if (x->frame->flow != y->frame->flow)
        return x->frame->flow < y->frame->flow ? -1 : 1;
    if (x->frame->dir != y->frame->dir)
        return x->frame->dir < y->frame->dir ? -1 : 1;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    return by_lo(&x->frame, &y->frame);
}

int sightings_of(const struct truth *t, struct sighting **ret, size_t *ret_n)
{
    struct list l = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 2 * t->n_flows; i++) {
        struct view v;
        if (t->flow[i / 2].proto != 6)
            continue;
        rc = view_open(t, &t->flow[i / 2], i % 2, &v);
        for (size_t k = 0; rc == 0 && k < v.n; k++)
            rc = look_at(&l, &v, v.by_lo[k]);
        view_close(&v);
    }
    if (rc < 0) {
        free(l.at);
        return rc;
    }
    if (l.n != 0)
        qsort(l.at, l.n, sizeof(*l.at), by_place);
    *ret = l.at;
    *ret_n = l.n;
    return 0;
}

size_t sightings_from(const struct sighting *s, size_t n, uint32_t flow, uint8_t dir, uint8_t class, int64_t lo)
{
    const struct truth_frame at = {.flow = flow, .dir = dir, .lo = lo - SEGMENT_MAX};
    const struct sighting key = {.frame = &at, .class = class};
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (by_place(&s[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See topn.h. A list is a heap whose root is the mildest of the worst: a flow enters if it is worse than that. Equal
 * scores keep who was there first. Hosts are counted exactly, up to the limit of struct objects; beyond it they share
 * "(other)".
 *
 * A host counts a flow when it ends (or is split), as a whole: a host's window says what finished in it.
 */

#include "analytics/topn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void topn_init(struct topn *t)
{
    *t = (struct topn){0};
    for (int k = 0; k < SCHEMA_TOP_COUNT; k++) {
        t->list[0][k].max = TOPN_MINUTE;
        t->list[1][k].max = TOPN_HOUR;
    }
}

void topn_fini(struct topn *t)
{
    for (int span = 0; span < 2; span++)
        for (int k = 0; k < SCHEMA_TOP_COUNT; k++)
            for (size_t i = 0; i < t->list[span][k].n; i++)
                free(t->list[span][k].flow[i].json);
}

static uint64_t mean_us(const struct rec_rtt *r)
{
    return r->n == 0 ? 0 : r->sum_ns / r->n / 1000;
}

uint64_t topn_score(enum schema_top kind, const struct rec_flow *f)
{
    uint64_t score = 0, a, b;

    switch (kind) {
    case SCHEMA_TOP_LOSS:
        if ((f->flags & RFLOW_TCP) == 0 || (f->flags & (RFLOW_ONE_WAY | RFLOW_SAMPLED)) != 0)
            return 0;
        for (int d = 0; d < 2; d++)
            score +=
                (uint64_t)f->tcp[d].lost_upstream_pkts + f->tcp[d].lost_downstream_pkts + f->tcp[d].lost_unknown_pkts;
        return score;
    case SCHEMA_TOP_LATENCY:
        a = mean_us(&f->rtt[0]);
        b = mean_us(&f->rtt[1]);
        return a > b ? a : b;
    case SCHEMA_TOP_BYTES:
        return f->dir[0].bytes + f->dir[1].bytes;
    case SCHEMA_TOP_COUNT:
        break;
    }
    return 0;
}

static bool list_wants(const struct topn_list *l, uint64_t score)
{
    return score != 0 && (l->n < l->max || score > l->flow[0].score);
}

bool topn_wants(const struct topn *t, const uint64_t score[SCHEMA_TOP_COUNT])
{
    for (int k = 0; k < SCHEMA_TOP_COUNT; k++)
        if (list_wants(&t->list[0][k], score[k]) || list_wants(&t->list[1][k], score[k]))
            return true;
    return false;
}

static void swap(struct schema_flow *a, struct schema_flow *b)
{
    struct schema_flow t = *a;

    *a = *b;
    *b = t;
}

static void sift_up(struct topn_list *l, size_t i)
{
    for (; i > 0 && l->flow[i].score < l->flow[(i - 1) / 2].score; i = (i - 1) / 2)
        swap(&l->flow[i], &l->flow[(i - 1) / 2]);
}

static void sift_down(struct topn_list *l, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < l->n; child++)
            if (l->flow[child].score < l->flow[least].score)
                least = child;
        if (least == i)
            return;
        swap(&l->flow[i], &l->flow[least]);
        i = least;
    }
}

static int list_add(struct topn_list *l, uint64_t score, const char *json)
{
    if (!list_wants(l, score))
        return 0;
    char *copy = strdup(json);
    if (copy == NULL)
        return -ENOMEM;
    if (l->n < l->max) {
        l->flow[l->n] = (struct schema_flow){score, copy};
        sift_up(l, l->n++);
    } else {
        free(l->flow[0].json);
        l->flow[0] = (struct schema_flow){score, copy};
        sift_down(l, 0);
    }
    return 0;
}

int topn_add(struct topn *t, const uint64_t score[SCHEMA_TOP_COUNT], const char *json)
{
    int result = 0;

    for (int span = 0; span < 2; span++)
        for (int k = 0; k < SCHEMA_TOP_COUNT && result == 0; k++)
            result = list_add(&t->list[span][k], score[k], json);
    return result;
}

static int compare_worst_first(const void *a, const void *b)
{
    const struct schema_flow *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return strcmp(x->json, y->json);
}

size_t topn_take(struct topn_list *l, struct schema_flow **ret_flows)
{
    size_t n = l->n;
    struct schema_flow *flows = n != 0 ? malloc(n * sizeof(*flows)) : NULL;

    if (flows == NULL)
        return 0;
    memcpy(flows, l->flow, n * sizeof(*flows));
    qsort(flows, n, sizeof(*flows), compare_worst_first);
    l->n = 0;
    *ret_flows = flows;
    return n;
}

static void add_direction(struct window_dir *w, const struct rec_dir *d, const struct rec_tcp_dir *t, bool judged)
{
    w->pkts += d->pkts;
    w->bytes += d->bytes;
    w->frame_bytes += d->frame_bytes;
    w->dup_pkts += d->dup_pkts;
    w->second_hop_pkts += d->second_hop_pkts;
    w->data_pkts += t->data_pkts;
    w->judged_pkts += judged ? t->data_pkts : 0;
    w->retrans_pkts += t->retrans_pkts;
    w->reordered_pkts += t->reordered_pkts;
    w->capture_lost_bytes += t->capture_lost_bytes;
    w->capture_gaps += t->capture_gaps;
    w->dup_acks += t->dup_acks;
    w->zero_windows += t->zero_windows;
    w->zero_window_us += t->zero_window_us;
    w->rst += t->rst;
    if (!judged)
        return;
    w->lost_upstream_pkts += t->lost_upstream_pkts;
    w->lost_downstream_pkts += t->lost_downstream_pkts;
    w->lost_unknown_pkts += t->lost_unknown_pkts;
    w->spurious_pkts += t->spurious_pkts;
}

int topn_add_hosts(struct objects *hosts, const struct rec_flow *f)
{
    bool judged = (f->flags & (RFLOW_ONE_WAY | RFLOW_SAMPLED)) == 0;

    if (f->af != 4 && f->af != 6)
        return 0;
    for (int end = 0; end < 2; end++) {
        struct rec_scope key = object_key_of_host(&f->addr[end], f->af);
        if (end == 1 && memcmp(&f->addr[0], &f->addr[1], sizeof(f->addr[0])) == 0)
            break;
        struct object *x = objects_get(hosts, &key);
        if (x == NULL)
            return -ENOMEM;
        for (int d = 0; d < 2; d++)
            add_direction(&x->c.dir[d], &f->dir[d], &f->tcp[d], judged);
        x->c.new_flows++;
        x->c.ended_flows++;
        x->c.one_way_flows += (f->flags & RFLOW_ONE_WAY) != 0;
        x->c.midstream_flows += (f->flags & RFLOW_MIDSTREAM) != 0;
        x->c.refused_connects += (f->flags & RFLOW_REFUSED) != 0;
        x->c.unanswered_connects += (f->flags & RFLOW_UNANSWERED) != 0;
        x->c.syn_retries += f->syn_retries;
        x->c.icmp_unanswered += f->icmp_unanswered;
    }
    return 0;
}

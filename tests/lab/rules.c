/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules are asked in the scenario's order. Each counts the frames that match it (over all, or per flow and
 * direction) and hits by number or by chance. A frame that was hit is left alone by later rules unless they say
 * "also": one frame, one cause, so that truth per class stays countable. A rule that may not hit keeps its hit
 * for the next frame that it may have: every=97 gives one loss in 97 frames, whatever other rules do.
 *
 * A stall is a hit that lasts: from the frame that triggers it, all that match wait until the same instant. A burst
 * is a hit that repeats for the next frames that match.
 */

#include "tests/lab/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/lab/random.h"

/* Counts of one rule, one per flow and direction or one for all. */
struct counter {
    uint64_t seen;
    uint64_t burst_left;
    uint64_t stalled_until_ns;
    bool due; /* a hit was owed but the frame was another rule's */
};

struct rule_state {
    struct lab_random random;
    struct counter *counters;
    size_t n_counters;
    uint64_t hits;
};

/* Owner: the relay. states[i] belongs to scenario->rules[i]. */
struct lab_rules {
    const struct lab_scenario *scenario;
    struct rule_state states[LAB_MAX_RULES];
};

struct lab_rules *lab_rules_new(const struct lab_scenario *s)
{
    struct lab_rules *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->scenario = s;
    for (size_t i = 0; i < s->n_rules; i++)
        r->states[i].random = lab_random_of(s->seed, 1000 + i);
    return r;
}

void lab_rules_free(struct lab_rules *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < LAB_MAX_RULES; i++)
        free(r->states[i].counters);
    free(r);
}

uint64_t lab_rules_hits(const struct lab_rules *r, size_t i)
{
    return r->states[i].hits;
}

uint64_t lab_rules_delay_ns(const struct lab_rules *r, enum lab_side side, const struct lab_frame_info *info)
{
    const struct lab_scenario *s = r->scenario;

    for (size_t i = 0; i < s->n_delays; i++) {
        const struct lab_delay *d = &s->delays[i];

        if ((d->side == LAB_SIDES || d->side == side) &&
            (lab_prefix_matches(&d->match, &info->src) || lab_prefix_matches(&d->match, &info->dst)))
            return d->by_ns;
    }
    return 0;
}

static bool kind_matches(uint32_t kind, const struct lab_frame_info *info)
{
    bool tcp = info->proto == IPPROTO_TCP;

    switch ((enum lab_kind)kind) {
    case LAB_ANY:
        return true;
    case LAB_DATA:
        return tcp && info->payload_bytes > 0;
    case LAB_ACK:
        return tcp && info->payload_bytes == 0 &&
               (info->tcp_flags & (LAB_TCP_SYN | LAB_TCP_FIN | LAB_TCP_RST | LAB_TCP_ACK)) == LAB_TCP_ACK;
    case LAB_SYN:
        return tcp && (info->tcp_flags & LAB_TCP_SYN) != 0;
    case LAB_FIN:
        return tcp && (info->tcp_flags & LAB_TCP_FIN) != 0;
    case LAB_UDP:
        return info->proto == IPPROTO_UDP;
    case LAB_ICMP:
        return info->proto == IPPROTO_ICMP || info->proto == IPPROTO_ICMPV6;
    }
    return false;
}

static bool rule_matches(const struct lab_rule *r, const struct lab_facts *f)
{
    const struct lab_frame_info *info = f->info;

    return (r->to == LAB_SIDES || r->to == f->to) && kind_matches(r->kind, info) &&
           (r->resend == LAB_RESEND_ANY || (r->resend == LAB_RESEND_ONLY) == f->resend) &&
           (r->port == 0 || r->port == info->sport || r->port == info->dport) && f->since_ns >= r->between_ns.lo &&
           f->since_ns <= r->between_ns.hi &&
           (lab_prefix_matches(&r->match, &info->src) || lab_prefix_matches(&r->match, &info->dst));
}

static struct counter *counter_of(const struct lab_rule *r, struct rule_state *st, const struct lab_facts *f)
{
    size_t i = r->per_flow ? (size_t)f->flow * LAB_SIDES + f->to : 0;

    if (i >= st->n_counters) {
        size_t n = (i + 1) * 2;
        struct counter *grown = realloc(st->counters, n * sizeof(*grown));

        if (grown == NULL)
            return NULL;
        memset(grown + st->n_counters, 0, (n - st->n_counters) * sizeof(*grown));
        st->counters = grown;
        st->n_counters = n;
    }
    return &st->counters[i];
}

static bool rule_hits(const struct lab_rule *r, struct rule_state *st, struct counter *c)
{
    bool hit = c->due;

    c->seen++;
    c->due = false;
    if (c->burst_left > 0) {
        c->burst_left--;
        return true;
    }
    if (c->seen <= r->skip || (r->max > 0 && st->hits >= r->max))
        return false;
    if (r->every > 0)
        hit = hit || (c->seen - r->skip) % r->every == 0;
    else
        hit = hit || lab_random_unit(&st->random) < r->probability;
    if (hit)
        c->burst_left = r->burst - 1;
    return hit;
}

static bool is_stall(const struct lab_rule *r)
{
    return r->action == LAB_STALL_UP || r->action == LAB_STALL_DOWN;
}

/* The time that a hit takes; a frame inside a stall waits for the rest of it. */
static uint64_t hit_ns(const struct lab_rule *r, struct rule_state *st, struct counter *c, const struct lab_facts *f)
{
    uint64_t by_ns = lab_random_in(&st->random, r->by_ns);

    if (is_stall(r))
        c->stalled_until_ns = f->since_ns + by_ns;
    return by_ns;
}

static int judge_one(const struct lab_rule *r, struct rule_state *st, const struct lab_facts *f, struct lab_fate *fate)
{
    struct counter *c;

    if (!rule_matches(r, f))
        return 0;
    c = counter_of(r, st, f);
    if (c == NULL)
        return -ENOMEM;
    if (is_stall(r) && f->since_ns < c->stalled_until_ns) {
        fate->actions |= 1u << r->action;
        fate->by_ns[r->action] = c->stalled_until_ns - f->since_ns;
        return 0;
    }
    if (!rule_hits(r, st, c))
        return 0;
    if (fate->actions != 0 && !r->also) {
        c->due = true;
        return 0;
    }
    fate->actions |= 1u << r->action;
    fate->by_ns[r->action] = hit_ns(r, st, c, f);
    st->hits++;
    return 0;
}

int lab_rules_judge(struct lab_rules *r, const struct lab_facts *facts, struct lab_fate *ret_fate)
{
    int rc = 0;

    memset(ret_fate, 0, sizeof(*ret_fate));
    for (size_t i = 0; rc == 0 && i < r->scenario->n_rules; i++)
        rc = judge_one(&r->scenario->rules[i], &r->states[i], facts, ret_fate);
    return rc;
}

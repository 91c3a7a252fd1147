/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The score of one run. The capture goes through a worker in this process, whose hooks (dataplane/verdict_trace.h) name
 * the bytes of every verdict and the ACK of every RTT sample; sightings.c says what could be seen, karn.c which samples
 * there are.
 *
 * A verdict is right when a segment of the same flow and direction that overlaps its bytes suffered just that. It takes
 * the oldest such segment that no verdict has taken yet, and its neighbours where one repeat covers several segments;
 * one segment is never taken twice, so that counting double is counted as wrong. Precision = right / (right + wrong),
 * recall = found / visible. A verdict about a segment that nobody could see suffer (a lucky one) is in neither.
 */

#include "tests/lab/score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/verdict_trace.h"
#include "tests/golden/harness.h"
#include "tests/lab/karn.h"
#include "tests/lab/sightings.h"

struct said {
    struct verdict v;
    struct flow_key key;
};

struct sample {
    struct rtt_sample s;
    struct flow_key key;
};

/* The hooks have no argument for their owner. */
static struct {
    struct said *said;
    size_t n_said, said_room;
    struct sample *sample;
    size_t n_samples, sample_room;
    bool out_of_memory;
} heard;

struct scoring {
    const struct truth *t;
    const struct truth_flow **by_tuple; /* ordered by end points, then first_captured_ns */
    struct sighting *sighting;
    size_t n_sightings;
    struct karn_sample *karn;
    size_t n_karn;
    FILE *explain;
    struct score *score;
};

const char *score_class_name(enum score_class c)
{
    static const char *const names[SCORE_COUNT] = {
#define S(symbol, name) name,
        SCORE_CLASSES(S)
#undef S
    };
    return names[c];
}

double score_precision(const struct class_score *c)
{
    return c->right + c->wrong != 0 ? (double)c->right / (double)(c->right + c->wrong) : -1;
}

double score_recall(const struct class_score *c)
{
    return c->visible != 0 ? (double)c->found / (double)c->visible : -1;
}

/* ---- listening ---- */

static bool grow(void **array, size_t *room, size_t n, size_t size)
{
    if (n < *room)
        return true;
    size_t wanted = *room * 2 + 1024;
    void *grown = realloc(*array, wanted * size);
    heard.out_of_memory |= grown == NULL;
    if (grown == NULL)
        return false;
    *array = grown;
    *room = wanted;
    return true;
}

static void hear_verdict(const struct verdict *v)
{
    if (grow((void **)&heard.said, &heard.said_room, heard.n_said, sizeof(*heard.said)))
        heard.said[heard.n_said++] = (struct said){*v, *v->key};
}

static void hear_sample(const struct rtt_sample *s)
{
    if (s->kind == RTT_ACK && grow((void **)&heard.sample, &heard.sample_room, heard.n_samples, sizeof(*heard.sample)))
        heard.sample[heard.n_samples++] = (struct sample){*s, *s->key};
}

/* ---- which flow? ---- */

static int compare_end(const struct ip_addr *a, uint16_t ap, const struct ip_addr *b, uint16_t bp)
{
    int order = memcmp(a, b, sizeof(*a));

    return order != 0 ? order : (int)ap - (int)bp;
}

static int compare_tuple(const struct truth_flow *x, const struct truth_flow *y)
{
    int order = compare_end(&x->addr[0], x->port[0], &y->addr[0], y->port[0]);

    return order != 0 ? order : compare_end(&x->addr[1], x->port[1], &y->addr[1], y->port[1]);
}

static int by_tuple(const void *a, const void *b)
{
    const struct truth_flow *x = *(const struct truth_flow *const *)a, *y = *(const struct truth_flow *const *)b;
    int order = compare_tuple(x, y);

    if (order != 0)
        return order;
    return x->first_captured_ns < y->first_captured_ns ? -1 : x->first_captured_ns > y->first_captured_ns;
}

/* The latest flow of these ends, as client and server, that had begun by first_ns. */
static const struct truth_flow *find_flow(const struct scoring *s, const struct flow_key *k, unsigned client,
                                          uint64_t first_ns)
{
    const struct truth_flow wanted = {.addr = {k->addr[client], k->addr[1 - client]},
                                      .port = {k->port[client], k->port[1 - client]},
                                      .first_captured_ns = first_ns};
    const struct truth_flow *at = &wanted;
    size_t low = 0, high = s->t->n_flows;

    while (low < high) { /* first one behind `wanted` */
        size_t mid = (low + high) / 2;
        if (by_tuple(&s->by_tuple[mid], &at) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low > 0 && compare_tuple(s->by_tuple[low - 1], &wanted) == 0)
        return s->by_tuple[low - 1];
    return low < s->t->n_flows && compare_tuple(s->by_tuple[low], &wanted) == 0 ? s->by_tuple[low] : NULL;
}

/* NULL, or the flow and the direction of what `sender` sends. */
static const struct truth_flow *place(const struct scoring *s, const struct flow_key *k, unsigned sender,
                                      uint64_t first_ns, uint8_t *ret_dir)
{
    const struct truth_flow *f = find_flow(s, k, sender, first_ns);

    *ret_dir = f == NULL;
    return f != NULL ? f : find_flow(s, k, 1 - sender, first_ns);
}

/* ---- verdicts ---- */

static const int class_of[VERDICT_COUNT] = {
    [VERDICT_upstream] = SCORE_UPSTREAM,
    [VERDICT_downstream] = SCORE_DOWNSTREAM,
    [VERDICT_unknown] = -1,
    [VERDICT_spurious] = SCORE_SPURIOUS,
    [VERDICT_reordered] = SCORE_REORDERED,
    [VERDICT_capture] = SCORE_CAPTURE,
    [VERDICT_copy] = SCORE_COPY,
    [VERDICT_hop] = SCORE_HOP,
};

struct claim {
    const struct truth_flow *flow;
    int64_t lo, hi;
    uint8_t dir;
    const struct verdict *v;
};

static bool overlaps(const struct truth_frame *f, const struct claim *c)
{
    return f->lo < c->hi && c->lo < f->hi;
}

/* Was anything on these bytes lost between the ends? */
static bool somebody_lost(const struct scoring *s, const struct claim *c)
{
    uint32_t flow = (uint32_t)(c->flow - s->t->flow);

    for (uint8_t class = SCORE_DOWNSTREAM; class <= SCORE_UPSTREAM; class ++)
        for (size_t i = sightings_from(s->sighting, s->n_sightings, flow, c->dir, class, c->lo); i < s->n_sightings;
             i++) {
            const struct sighting *g = &s->sighting[i];
            if (g->frame->flow != flow || g->frame->dir != c->dir || g->class != class || g->frame->lo >= c->hi)
                break;
            if (overlaps(g->frame, c))
                return true;
        }
    return false;
}

enum { WRONG, RIGHT, LUCKY };

/* Takes what the verdict is about. */
static int take(struct scoring *s, const struct claim *c, enum score_class class)
{
    uint32_t flow = (uint32_t)(c->flow - s->t->flow);
    int64_t taken_to = INT64_MIN;
    int outcome = WRONG;

    for (size_t i = sightings_from(s->sighting, s->n_sightings, flow, c->dir, (uint8_t) class, c->lo);
         i < s->n_sightings; i++) {
        struct sighting *g = &s->sighting[i];
        if (g->frame->flow != flow || g->frame->dir != c->dir || g->class != class || g->frame->lo >= c->hi)
            break;
        if (g->found || !overlaps(g->frame, c) || (g->frame->lo < taken_to && class != SCORE_CAPTURE))
            continue;
        g->found = true;
        taken_to = g->frame->hi;
        if (g->visible && g->data)
            outcome = RIGHT;
        else if (outcome == WRONG)
            outcome = LUCKY;
    }
    return outcome;
}

static void explain_claim(const struct scoring *s, const struct claim *c, const char *what)
{
    static const char *const names[VERDICT_COUNT] = {
#define X(name, field) #name,
        VERDICT_CLASSES(X)
#undef X
    };
    if (s->explain != NULL)
        fprintf(s->explain, "%s verdict %s: flow %td port %u %s bytes %lld-%lld at %llu\n", what, names[c->v->class],
                c->flow - s->t->flow, c->flow->port[0], c->dir ? "s2c" : "c2s", (long long)c->lo, (long long)c->hi,
                (unsigned long long)c->v->ts_ns);
}

static void judge(struct scoring *s, const struct said *said)
{
    struct claim c = {.v = &said->v};
    struct score *n = s->score;

    c.flow = place(s, &said->key, said->v.sender, said->v.flow_first_ns, &c.dir);
    if (c.flow == NULL || c.flow->proto != 6) {
        n->unmatched += c.flow == NULL && said->key.proto == 6;
        return;
    }
    c.lo = (int32_t)(said->v.seq_lo - c.flow->first_seq[c.dir]);
    c.hi = c.lo + (int32_t)(said->v.seq_hi - said->v.seq_lo);
    int class = class_of[said->v.class];
    bool is_loss = class == SCORE_UPSTREAM || class == SCORE_DOWNSTREAM || class < 0;
    bool lost = is_loss && somebody_lost(s, &c);

    n->false_losses += is_loss && !lost;
    n->side_unknown += class < 0 && lost;
    if (is_loss && !lost)
        explain_claim(s, &c, "false loss");
    if (class < 0 || c.lo == c.hi) /* copies of bare ACKs are not scored */
        return;
    if (class == SCORE_CAPTURE)
        n->capture_bytes += (uint64_t)(c.hi - c.lo);
    int outcome = take(s, &c, (enum score_class) class);
    n->class[class].verdicts++;
    n->class[class].right += outcome == RIGHT;
    n->class[class].wrong += outcome == WRONG;
    if (outcome == WRONG)
        explain_claim(s, &c, "wrong");
}

static void judge_all(struct scoring *s)
{
    for (size_t i = 0; i < heard.n_said; i++)
        judge(s, &heard.said[i]);
    for (size_t i = 0; i < s->n_sightings; i++) {
        const struct sighting *g = &s->sighting[i];
        struct class_score *c = &s->score->class[g->class];
        if (g->class == SCORE_CAPTURE && g->data)
            s->score->captured_lost_bytes_truth += g->frame->len;
        c->visible += g->visible && g->data;
        c->found += g->visible && g->data && g->found;
        c->apart += !g->visible && g->data;
        if (s->explain != NULL && g->visible && g->data && !g->found)
            fprintf(s->explain, "missed %s: flow %u %s bytes %lld-%lld frame %llu\n", score_class_name(g->class),
                    g->frame->flow, g->frame->dir ? "s2c" : "c2s", (long long)g->frame->lo, (long long)g->frame->hi,
                    (unsigned long long)g->frame->captured_as[0]);
    }
}

/* ---- round-trip times ---- */

struct errors {
    double *pct, *us;
    size_t n, room;
};

static void note_error(struct errors *x, uint64_t got_ns, uint64_t true_ns)
{
    double diff = fabs((double)got_ns - (double)true_ns);
    size_t room = x->room;

    if (!grow((void **)&x->pct, &room, x->n, sizeof(double)) || !grow((void **)&x->us, &x->room, x->n, sizeof(double)))
        return;
    x->pct[x->n] = true_ns != 0 ? 100 * diff / (double)true_ns : diff != 0 ? 100 : 0;
    x->us[x->n++] = diff / 1000;
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double quantile(double *x, size_t n, double q)
{
    if (n == 0)
        return 0;
    qsort(x, n, sizeof(*x), ascending);
    return x[(size_t)(q * (double)(n - 1))];
}

static struct error_stat errors_close(struct errors *x)
{
    struct error_stat r = {x->n, quantile(x->pct, x->n, 0.5), quantile(x->pct, x->n, 0.99), quantile(x->us, x->n, 0.5),
                           quantile(x->us, x->n, 0.99)};

    free(x->pct);
    free(x->us);
    return r;
}

static void judge_samples(struct scoring *s)
{
    struct errors ack = {0};

    for (size_t i = 0; i < heard.n_samples; i++) {
        const struct sample *x = &heard.sample[i];
        uint8_t dir;
        const struct truth_flow *f = place(s, &x->key, 1u - x->s.responder, x->s.flow_first_ns, &dir);
        struct karn_sample *k = f == NULL ? NULL
                                          : karn_find(s->karn, s->n_karn, (uint32_t)(f - s->t->flow), dir,
                                                      (int32_t)(x->s.seq - f->first_seq[dir]));
        s->score->rtt_samples++;
        s->score->rtt_extra += k == NULL;
        if (k == NULL || k->used)
            continue;
        k->used = true;
        s->score->rtt_found += !k->alone;
        note_error(&ack, x->s.rtt_ns, k->true_ns);
    }
    for (size_t i = 0; i < s->n_karn; i++) {
        s->score->rtt_reference += !s->karn[i].alone;
        s->score->rtt_alone += s->karn[i].alone;
    }
    s->score->ack_rtt = errors_close(&ack);
}

/* Handshakes against the relay, and the sum of both sides' minima against the sockets' own. */
static void judge_flows(struct scoring *s, const struct run *r)
{
    static const uint32_t flags[2] = {RFLOW_HAS_HANDSHAKE_SERVER, RFLOW_HAS_HANDSHAKE_CLIENT};
    struct errors handshake = {0};
    double *ratio = calloc(r->n_flows + 1, sizeof(*ratio));
    size_t n = 0;

    for (size_t i = 0; ratio != NULL && i < r->n_flows; i++) {
        const struct rec_flow *f = &r->flow[i];
        struct flow_key k = {.addr = {f->addr[0], f->addr[1]}, .port = {f->port[0], f->port[1]}};
        const struct truth_flow *t = (f->flags & RFLOW_TCP) ? find_flow(s, &k, 0, f->first_ns) : NULL;
        if (t == NULL)
            continue;
        for (unsigned side = 0; side < 2; side++)
            if ((f->flags & flags[side]) && t->handshake_ns[side] >= 0)
                note_error(&handshake, side ? f->handshake_client_ns : f->handshake_server_ns,
                           (uint64_t)t->handshake_ns[side]);
        if (f->rtt[0].n != 0 && f->rtt[1].n != 0 && t->min_rtt_us != 0)
            ratio[n++] = (double)(f->rtt[0].min_ns + f->rtt[1].min_ns) / 1000 / (double)t->min_rtt_us;
    }
    s->score->min_rtt_flows = n;
    s->score->min_rtt_median = quantile(ratio, n, 0.5);
    s->score->handshake = errors_close(&handshake);
    s->score->flows = r->n_flows;
    free(ratio);
}

/* ---- together ---- */

static int prepare(struct scoring *s)
{
    int rc = sightings_of(s->t, &s->sighting, &s->n_sightings);

    if (rc == 0)
        rc = karn_samples(s->t, &s->karn, &s->n_karn);
    s->by_tuple = calloc(s->t->n_flows + 1, sizeof(*s->by_tuple));
    if (rc < 0 || s->by_tuple == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->t->n_flows; i++)
        s->by_tuple[i] = &s->t->flow[i];
    qsort(s->by_tuple, s->t->n_flows, sizeof(*s->by_tuple), by_tuple);
    return 0;
}

static int run_probe(const char *prefix, struct run *ret, struct error *e)
{
    char path[4096];

    memset(&heard, 0, sizeof(heard));
    snprintf(path, sizeof(path), "%s.pcapng", prefix);
    verdict_hook = hear_verdict;
    rtt_hook = hear_sample;
    run_capture(path, ret);
    verdict_hook = NULL;
    rtt_hook = NULL;
    if (ret->end < 0)
        return error_set(e, ret->end, "%.200s", ret->error);
    return heard.out_of_memory ? error_set(e, -ENOMEM, "out of memory") : 0;
}

int score_run(const struct truth *t, const char *prefix, FILE *explain, struct score *ret, struct error *e)
{
    struct scoring s = {.t = t, .explain = explain, .score = ret};
    struct run run = {0};
    int rc;

    *ret = (struct score){.data_pkts = t->data_pkts, .frames = t->capture_frames};
    rc = prepare(&s) < 0 ? error_set(e, -ENOMEM, "out of memory") : run_probe(prefix, &run, e);
    if (rc == 0) {
        judge_all(&s);
        judge_samples(&s);
        judge_flows(&s, &run);
    }
    run_free(&run);
    free(heard.said);
    free(heard.sample);
    free(s.by_tuple);
    free(s.sighting);
    free(s.karn);
    return rc;
}

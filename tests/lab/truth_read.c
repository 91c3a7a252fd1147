/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See truth_read.h. The lines are those of truth.c; a line that is not understood is an error, since a score on half
 * a truth would look like one on the whole. Sequence numbers become 64-bit offsets, unwrapped in the order of emission.
 */

#include "tests/lab/truth_read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LINE_BYTES 4096
#define LOOK_BACK  20000   /* frames between a segment and its resend */
#define SETTLED_NS 2000000 /* its stack may be as slow as the machine is busy */

static uint64_t number(json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static bool yes(json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

static const char *text(json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s != NULL ? s : "";
}

static uint16_t actions_of(json_t *o)
{
    uint16_t did = 0;
    size_t i;
    json_t *name;

    json_array_foreach(json_object_get(o, "did"), i, name)
    {
        for (enum lab_action a = 0; a < LAB_ACTION_COUNT; a++)
            did |= (uint16_t)((strcmp(json_string_value(name), lab_action_name(a)) == 0) << a);
    }
    return did;
}

static uint8_t flags_of(const char *letters)
{
    uint8_t flags = 0;

    for (; *letters != '\0'; letters++) {
        const char *at = strchr("FSRPAUEC", *letters);
        if (at != NULL)
            flags |= (uint8_t)(1 << (at - "FSRPAUEC"));
    }
    return flags;
}

static struct truth_frame frame_of(json_t *o)
{
    struct truth_frame f = {
        .n = number(o, "n"),
        .in_ns = number(o, "in_ns"),
        .tap_ns = number(o, "tap_ns"),
        .out_ns = number(o, "out_ns"),
        .flow = (uint32_t)number(o, "flow"),
        .seq = (uint32_t)number(o, "seq"),
        .ack = (uint32_t)number(o, "ack"),
        .len = (uint16_t)number(o, "len"),
        .ip_id = (uint16_t)number(o, "ip_id"),
        .did = actions_of(o),
        .dir = strcmp(text(o, "dir"), "c2s") != 0,
        .flags = flags_of(text(o, "flags")),
        .resend = yes(o, "resend"),
        .needless = yes(o, "needless"),
        .late_tap = yes(o, "late_tap"),
        .late_out = yes(o, "late_out"),
    };
    size_t i;
    json_t *copy;

    json_array_foreach(json_object_get(o, "captured"), i, copy)
    {
        if (i < 2) {
            f.captured_as[i] = number(copy, "frame");
            f.captured_ns[i] = number(copy, "ts_ns");
        }
    }
    json_array_foreach(json_object_get(o, "sack"), i, copy)
    {
        if (f.n_sack < 4) {
            f.sack[f.n_sack][0] = (uint32_t)json_integer_value(json_array_get(copy, 0));
            f.sack[f.n_sack++][1] = (uint32_t)json_integer_value(json_array_get(copy, 1));
        }
    }
    return f;
}

/* ---- flows ---- */

static int address(json_t *o, const char *name, struct truth_flow *f, int end)
{
    f->af = strchr(text(o, name), ':') != NULL ? 6 : 4;
    return inet_pton(f->af == 6 ? AF_INET6 : AF_INET, text(o, name), &f->addr[end]) == 1 ? 0 : -EINVAL;
}

static int64_t or_null(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);

    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static int flow_of(json_t *o, struct truth_flow *f)
{
    const char *proto = text(o, "proto");

    f->proto = strcmp(proto, "tcp") == 0 ? 6 : strcmp(proto, "udp") == 0 ? 17 : 1;
    f->port[0] = (uint16_t)number(o, "client_port");
    f->port[1] = (uint16_t)number(o, "server_port");
    f->handshake_ns[0] = or_null(o, "handshake_server_ns");
    f->handshake_ns[1] = or_null(o, "handshake_client_ns");
    return address(o, "client", f, 0) < 0 || address(o, "server", f, 1) < 0 ? -EINVAL : 0;
}

static int read_flows(struct truth *t, json_t *root)
{
    json_t *flows = json_object_get(root, "flows"), *o, *ends = json_object_get(root, "endpoints");
    size_t i;
    int rc = 0;

    t->flow = calloc(json_array_size(flows) + 1, sizeof(*t->flow));
    if (t->flow == NULL)
        return -ENOMEM;
    json_array_foreach(flows, i, o)
    {
        if (rc == 0)
            rc = flow_of(o, &t->flow[t->n_flows++]);
    }
    t->total_retrans = number(ends, "total_retrans");
    t->dsack_dups = number(ends, "dsack_dups");
    t->not_settled = number(ends, "not_settled");
    t->not_ok = number(ends, "not_ok");
    t->capture_frames = number(root, "capture_frames");
    t->delivered = number(root, "delivered");
    t->late = number(root, "late");
    return rc;
}

/* Segments that the kernels of both ends say they dropped for an old timestamp. */
static uint64_t paws_drops(const json_t *root)
{
    static const char *const ends[] = {"netstat_left", "netstat_right"};
    uint64_t n = 0;

    for (unsigned i = 0; i < 2; i++)
        n += number(json_object_get(root, ends[i]), "TcpExt.PAWSEstab");
    return n;
}

static int read_summary(struct truth *t, const char *prefix, struct error *e)
{
    char path[4096];
    json_error_t why;

    snprintf(path, sizeof(path), "%s.truth.json", prefix);
    json_t *root = json_load_file(path, 0, &why);
    if (root == NULL)
        return error_set(e, -EINVAL, "%s: %.120s", path, why.text);
    int rc = read_flows(t, root);
    t->paws_drops = paws_drops(root);
    json_decref(root);
    return rc < 0 ? error_set(e, rc, "%s: a flow cannot be read", path) : 0;
}

/* ---- lines ---- */

/* A socket's view of its path. Ports used twice get the smaller of both. */
static void take_conn(struct truth *t, json_t *o)
{
    bool client = strcmp(text(o, "end"), "client") == 0;
    uint64_t port = number(o, client ? "local_port" : "peer_port"), rtt_us = number(o, "min_rtt_us");

    for (size_t i = 0; rtt_us != 0 && i < t->n_flows; i++) {
        struct truth_flow *f = &t->flow[i];
        char buf[INET6_ADDRSTRLEN];
        if (f->proto != 6 || f->port[0] != port ||
            strcmp(inet_ntop(f->af == 6 ? AF_INET6 : AF_INET, &f->addr[0], buf, sizeof(buf)),
                   text(o, client ? "local" : "peer")) != 0)
            continue;
        if (f->min_rtt_us == 0 || rtt_us < f->min_rtt_us)
            f->min_rtt_us = rtt_us;
    }
}

static int take_line(struct truth *t, json_t *o, size_t *room)
{
    if (strcmp(text(o, "type"), "conn") == 0)
        take_conn(t, o);
    if (strcmp(text(o, "type"), "frame") != 0)
        return 0;
    struct truth_frame f = frame_of(o);
    if (f.flow >= t->n_flows)
        return -EINVAL;
    if (t->flow[f.flow].proto != 6)
        return 0;
    if (t->n_frames == *room) {
        *room = *room * 2 + 4096;
        struct truth_frame *grown = realloc(t->frame, *room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        t->frame = grown;
    }
    t->frame[t->n_frames++] = f;
    return 0;
}

static int read_lines(struct truth *t, const char *prefix, struct error *e)
{
    char path[4096], line[LINE_BYTES];
    size_t room = 0;
    int rc = 0;

    snprintf(path, sizeof(path), "%s.truth.ndjson.gz", prefix);
    gzFile file = gzopen(path, "rbe");
    if (file == NULL)
        return error_set(e, -ENOENT, "%s: cannot read", path);
    while (rc == 0 && gzgets(file, line, sizeof(line)) != NULL) {
        json_t *o = json_loads(line, 0, NULL);
        rc = o != NULL ? take_line(t, o, &room) : -EINVAL;
        json_decref(o);
    }
    gzclose(file);
    return rc < 0 ? error_set(e, rc, "%s: a line cannot be read", path) : 0;
}

static int by_flow(const void *a, const void *b)
{
    const struct truth_frame *x = a, *y = b;

    if (x->flow != y->flow)
        return x->flow < y->flow ? -1 : 1;
    if (x->dir != y->dir)
        return x->dir < y->dir ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

/* Offsets from the first sequence number of each direction, and where its frames are. */
static void arrange(struct truth *t)
{
    int64_t top = 0;

    qsort(t->frame, t->n_frames, sizeof(*t->frame), by_flow);
    for (size_t i = 0; i < t->n_frames; i++) {
        struct truth_frame *f = &t->frame[i];
        struct truth_flow *flow = &t->flow[f->flow];
        if (flow->n_frames[f->dir]++ == 0) {
            flow->frames[f->dir] = i;
            flow->first_seq[f->dir] = f->seq;
            top = 0;
        }
        f->lo = top + (int32_t)(f->seq - (flow->first_seq[f->dir] + (uint32_t)top));
        f->hi = f->lo + f->len + ((f->flags & 2) != 0) + ((f->flags & 1) != 0);
        top = f->hi > top ? f->hi : top;
        if (f->captured_as[0] != 0 && (flow->first_captured_ns == 0 || f->captured_ns[0] < flow->first_captured_ns))
            flow->first_captured_ns = f->captured_ns[0];
        t->data_pkts += f->len != 0;
        t->resent_pkts += f->resend;
    }
}

/* The last frame of the other direction that acknowledges exactly up to `at`; acknowledgements only grow. */
static const struct truth_frame *last_ack(const struct truth *t, const struct truth_flow *flow, unsigned d, int64_t at)
{
    const struct truth_frame *back = &t->frame[flow->frames[!d]], *found = NULL;
    size_t low = 0, high = flow->n_frames[!d];

    while (low < high) {
        size_t mid = (low + high) / 2;
        int64_t ack = (int32_t)(back[mid].ack - flow->first_seq[d]);
        if (ack == at && (back[mid].flags & 20) == 16)
            found = &back[mid];
        if (ack <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return found;
}

/* Does the receiver report by SACK? Then it also says what it had twice. */
static bool reports(const struct truth *t, const struct truth_flow *flow, unsigned d)
{
    const struct truth_frame *back = &t->frame[flow->frames[!d]];

    for (size_t i = 0; i < flow->n_frames[!d]; i++)
        if (back[i].n_sack != 0)
            return true;
    return false;
}

/* Does the receiver report that it had these bytes twice (RFC 2883)? */
static bool had_twice(const struct truth *t, const struct truth_flow *flow, const struct truth_frame *f)
{
    const struct truth_frame *back = &t->frame[flow->frames[!f->dir]];

    for (size_t i = 0; i < flow->n_frames[!f->dir]; i++) {
        const struct truth_frame *a = &back[i];
        if (a->n < f->n || a->n_sack == 0 || (int32_t)(a->sack[0][0] - f->seq) > 0)
            continue;
        if ((int32_t)(a->sack[0][1] - f->seq) <= 0)
            continue;
        if ((int32_t)(a->sack[0][1] - a->ack) <= 0 || (a->n_sack > 1 && (int32_t)(a->sack[1][0] - a->sack[0][0]) <= 0 &&
                                                       (int32_t)(a->sack[0][1] - a->sack[1][1]) <= 0))
            return true;
    }
    return false;
}

/* Did R ask for these bytes, by `last` and no later, until their resend f was handed to it? */
static bool asks_until(const struct truth *t, const struct truth_flow *flow, const struct truth_frame *last,
                       const struct truth_frame *f)
{
    const struct truth_frame *end = &t->frame[flow->frames[!f->dir] + flow->n_frames[!f->dir]];

    return f->out_ns != 0 && last + 1 < end && last[1].in_ns >= f->out_ns;
}

/*
 * A receiver may drop what reaches it: an old timestamp behind a newer one (PAWS), a full buffer. It shows when it
 * still asks for just those bytes well after they were handed to it. A resend of such bytes was needed after all.
 * Without SACK nobody says that it was not: then its kernel must have counted such drops, and the resend have ended
 * the asking.
 */
static void note_refusals(struct truth *t, const struct truth_flow *flow, unsigned d)
{
    struct truth_frame *frame = &t->frame[flow->frames[d]];
    bool has_sack = reports(t, flow, d);

    for (size_t i = 0; i < flow->n_frames[d]; i++) {
        struct truth_frame *f = &frame[i];
        if (!f->needless)
            continue;
        bool any = false, all = has_sack || t->paws_drops != 0;
        for (size_t k = i; k > 0 && i - k < LOOK_BACK; k--) {
            struct truth_frame *g = &frame[k - 1];
            if (g->lo > f->lo || g->hi <= f->lo || g->out_ns == 0)
                continue;
            const struct truth_frame *ack = last_ack(t, flow, d, g->lo);
            any = true;
            all &= ack != NULL && ack->in_ns > g->out_ns + SETTLED_NS && (has_sack || asks_until(t, flow, ack, f));
        }
        f->needless = !(any && all) || had_twice(t, flow, f);
        t->needless_pkts += f->needless;
        for (size_t k = i; !f->needless && k > 0 && i - k < LOOK_BACK; k--)
            frame[k - 1].refused |= frame[k - 1].lo < f->hi && f->lo < frame[k - 1].hi && frame[k - 1].out_ns != 0;
    }
}

int truth_read(const char *prefix, struct truth **ret, struct error *e)
{
    struct truth *t = calloc(1, sizeof(*t));
    int rc = t == NULL ? error_set(e, -ENOMEM, "out of memory") : read_summary(t, prefix, e);

    if (rc == 0)
        rc = read_lines(t, prefix, e);
    if (rc < 0) {
        truth_free(t);
        return rc;
    }
    arrange(t);
    for (size_t i = 0; i < t->n_flows; i++)
        if (t->flow[i].proto == 6)
            for (unsigned d = 0; d < 2; d++)
                note_refusals(t, &t->flow[i], d);
    *ret = t;
    return 0;
}

void truth_free(struct truth *t)
{
    if (t == NULL)
        return;
    free(t->frame);
    free(t->flow);
    free(t);
}

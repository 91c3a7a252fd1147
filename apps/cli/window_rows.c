/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See window_rows.h. The keys are those of the columns in rows.c, and each gives what row_of_window would have put
 * there: a test holds the two against each other for every column of every scope.
 */

#include "apps/cli/window_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static struct table_value nothing(void)
{
    return (struct table_value){.kind = TABLE_NOTHING};
}

static struct table_value whole(uint64_t v)
{
    return (struct table_value){.kind = TABLE_WHOLE, .whole = (int64_t)v};
}

static struct table_value real(double v)
{
    return (struct table_value){.kind = TABLE_REAL, .real = v};
}

static struct table_value text(const char *t)
{
    return (struct table_value){.kind = TABLE_TEXT, .text = {t, strlen(t)}};
}

static bool is_judged(const struct window_dir *d)
{
    return d->data_pkts == 0 || d->judged_pkts != 0;
}

/* Loss of direction d on one side of the tap, in percent of its judged data segments. */
static struct table_value loss_pct(const struct window *w, int d, bool upstream)
{
    const struct window_dir *x = &w->c.dir[d];
    uint64_t lost = upstream ? x->lost_upstream_pkts : x->lost_downstream_pkts;

    return is_judged(x) && x->judged_pkts != 0 ? real(100 * (double)lost / (double)x->judged_pkts) : nothing();
}

/* Lost on one side of the tap: what side 0 sent and the tap did not see, and what it was sent and did not get. */
static struct table_value lost_at(const struct window *w, int side)
{
    const struct window_dir *from = &w->c.dir[side], *to = &w->c.dir[1 - side];

    return is_judged(from) && is_judged(to) ? whole(from->lost_upstream_pkts + to->lost_downstream_pkts) : nothing();
}

static struct table_value lost(const struct window *w)
{
    struct table_value a = lost_at(w, 0), b = lost_at(w, 1);

    return a.kind == TABLE_WHOLE ? whole((uint64_t)(a.whole + b.whole)) : nothing();
}

static struct table_value latency(const struct window *w, enum window_hist h, bool p90)
{
    const struct window_quantiles *q = &w->q[h];

    return q->n != 0 ? real((double)(p90 ? q->p90_ns : q->p50_ns) / 1e3) : nothing();
}

static struct table_value rate(const struct window *w, int d)
{
    return w->length_ns != 0 ? real(8e9 * (double)w->c.dir[d].frame_bytes / (double)w->length_ns) : nothing();
}

static struct table_value peak(const struct window *w)
{
    return w->c.peak_1ms_bytes != 0 ? real(8000.0 * (double)w->c.peak_1ms_bytes) : nothing();
}

/* The share of a circuit's capacity that its busier direction took; null where the capacity is not configured. */
static struct table_value use(const struct window_rows *r, const struct window *w)
{
    uint64_t a = w->c.dir[0].frame_bytes, b = w->c.dir[1].frame_bytes;
    const struct config *c = r->config;

    for (size_t i = 0; w->scope == WINDOW_CIRCUIT && c != NULL && i < c->n_circuits && w->length_ns != 0; i++)
        if (strcmp(c->circuits[i].id, w->name) == 0 && c->circuits[i].capacity_bits_per_s != 0)
            return real(8e11 * (double)(a > b ? a : b) / (double)w->length_ns /
                        (double)c->circuits[i].capacity_bits_per_s);
    return nothing();
}

/* Keys that are the same in the rows of all scopes. */
#define COMMON_KEYS(X)                                                                                                 \
    X("start_ns", whole(w->start_ns))                                                                                  \
    X("sensor", text(row->sensor))                                                                                     \
    X("quality", text(window_quality_name(w->quality)))                                                                \
    X("flows", whole(w->c.new_flows))                                                                                  \
    X("missing_pct", whole(w->missing_pct))                                                                            \
    X("derived.pkts", whole(w->c.dir[0].pkts + w->c.dir[1].pkts))                                                      \
    X("derived.bytes", whole(w->c.dir[0].bytes + w->c.dir[1].bytes))                                                   \
    X("derived.lost_pkts", lost(w))                                                                                    \
    X("failed_connects", whole(w->c.refused_connects + w->c.unanswered_connects))                                      \
    X("spurious_pkts", whole(w->c.dir[0].spurious_pkts + w->c.dir[1].spurious_pkts))                                   \
    X("reordered_pkts", whole(w->c.dir[0].reordered_pkts + w->c.dir[1].reordered_pkts))                                \
    X("capture_lost_bytes", whole(w->c.dir[0].capture_lost_bytes + w->c.dir[1].capture_lost_bytes))                    \
    X("response_us.p50", latency(w, WINDOW_HIST_RESPONSE, false))                                                      \
    X("response_us.p90", latency(w, WINDOW_HIST_RESPONSE, true))                                                       \
    X("peak_1ms_bits_per_s", peak(w))

#define PATH_KEYS(X)                                                                                                   \
    X("path", text(w->name))                                                                                           \
    X("derived.loss_pct.a_to_tap", loss_pct(w, 0, true))                                                               \
    X("derived.loss_pct.tap_to_b", loss_pct(w, 0, false))                                                              \
    X("derived.loss_pct.b_to_tap", loss_pct(w, 1, true))                                                               \
    X("derived.loss_pct.tap_to_a", loss_pct(w, 1, false))                                                              \
    X("rtt_a_us.p50", latency(w, WINDOW_HIST_RTT_A, false))                                                            \
    X("rtt_a_us.p90", latency(w, WINDOW_HIST_RTT_A, true))                                                             \
    X("rtt_b_us.p50", latency(w, WINDOW_HIST_RTT_B, false))                                                            \
    X("rtt_b_us.p90", latency(w, WINDOW_HIST_RTT_B, true))

#define OTHER_KEYS(X)                                                                                                  \
    X("id", text(w->name))                                                                                             \
    X("derived.lost_client_pkts", lost_at(w, 0))                                                                       \
    X("derived.lost_server_pkts", lost_at(w, 1))                                                                       \
    X("rtt_client_us.p50", latency(w, WINDOW_HIST_RTT_A, false))                                                       \
    X("rtt_server_us.p50", latency(w, WINDOW_HIST_RTT_B, false))                                                       \
    X("rate_bits_per_s.c2s", rate(w, 0))                                                                               \
    X("rate_bits_per_s.s2c", rate(w, 1))                                                                               \
    X("use_pct", use(r, w))

struct table_value window_row_value(const struct window_rows *r, const struct window_row *row, const char *key)
{
    const struct window *w = row->w;

#define X(name, value)                                                                                                 \
    if (key[0] == (name)[0] && strcmp(key, name) == 0)                                                                 \
        return value;
    COMMON_KEYS(X)
    if (w->scope == WINDOW_PATH) {
        PATH_KEYS(X)
    } else {
        OTHER_KEYS(X)
    }
#undef X
    return nothing();
}

json_t *window_row_json(const struct window_rows *r, const struct window_row *row)
{
    json_t *object = row_of_window(row->w, row->sensor);

    if (object != NULL && row->w->scope == WINDOW_CIRCUIT) {
        struct table_value v = use(r, row->w);
        json_object_set_new(object, "use_pct", v.kind == TABLE_REAL ? json_real(v.real) : json_null());
    }
    return object;
}

/* ---- rows ---- */

static bool is_link(enum window_scope scope)
{
    return scope != WINDOW_PATH && scope != WINDOW_SERVICE;
}

static struct badness rank_of(const struct window *w)
{
    if (is_link(w->scope))
        return (struct badness){{w->c.dir[0].bytes + w->c.dir[1].bytes, 0, 0}};
    return badness_of_window(w);
}

int window_rows_add(struct window_rows *r, struct window *windows, size_t n, const char *sensor)
{
    struct window **owned = realloc(r->owned, (r->n_owned + 1) * sizeof(struct window *));
    struct window_row *row = NULL;

    if (owned != NULL) {
        r->owned = owned;
        row = realloc(r->row, (r->n + n + 1) * sizeof(*row));
    }
    if (row == NULL) {
        free(windows);
        return -ENOMEM;
    }
    r->row = row;
    r->owned[r->n_owned++] = windows;
    for (size_t i = 0; i < n; i++)
        r->row[r->n++] = (struct window_row){&windows[i], sensor, rank_of(&windows[i])};
    return 0;
}

void window_rows_fini(struct window_rows *r)
{
    for (size_t i = 0; i < r->n_owned; i++)
        free(r->owned[i]);
    free(r->owned);
    free(r->row);
    *r = (struct window_rows){.row = NULL};
}

static int compare_rows(const void *a, const void *b)
{
    const struct window_row *x = a, *y = b;
    int order = badness_compare(&y->rank, &x->rank);

    return order != 0 ? order : strcmp(x->w->name, y->w->name);
}

void window_rows_sort(struct window_rows *r)
{
    if (r->n > 1)
        qsort(r->row, r->n, sizeof(*r->row), compare_rows);
}

static struct table_value value_at(const void *ctx, size_t row, const struct column *c)
{
    const struct window_rows *r = ctx;

    return window_row_value(r, &r->row[row], c->key);
}

static json_t *json_at(const void *ctx, size_t row)
{
    const struct window_rows *r = ctx;

    return window_row_json(r, &r->row[row]);
}

int window_rows_print(FILE *out, const struct window_rows *r, const struct column *columns,
                      const struct table_view *view, struct error *e)
{
    const struct table_rows rows = {.n = r->n, .ctx = r, .value = value_at, .json = json_at};

    return table_print_rows(out, columns, &rows, view, e);
}

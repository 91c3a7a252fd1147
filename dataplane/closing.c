/* SPDX-License-Identifier: BSD-3-Clause */

/* See closing.h. An entry costs some microseconds, since nothing of it is in a cache: PIECE_MOST keeps a piece below a
 * tenth of a millisecond. */

#include "dataplane/closing.h"

#define PIECE_LEAST 2u
#define PIECE_MOST  16u
#define SHARE       8u /* of a window, in which all is to be sent */

void closing_init(struct closing *c, struct agg_table tables[METER_TABLES], uint32_t mirror, struct rec_writer *out)
{
    *c = (struct closing){.tables = tables, .mirror = mirror, .out = out};
}

static void send_end(struct closing *c)
{
    struct rec_window_end *message = rec_reserve(c->out, REC_WINDOW_END, sizeof(*message));

    if (message == NULL)
        return;
    struct rec_hdr hdr = message->hdr;
    *message = c->end;
    message->hdr = hdr;
    message->ring_dropped = c->out->dropped;
    rec_commit(c->out);
}

static void send_some(struct closing *c, uint32_t n)
{
    for (unsigned i = 0; i < METER_TABLES && n != 0; i++) {
        uint32_t sent = agg_emit_some(&c->tables[i], n);
        n -= sent;
        c->sent += sent;
    }
    if (c->sent < c->total)
        return;
    c->is_open = false;
    send_end(c);
}

void closing_begin(struct closing *c, const struct rec_window_end *end)
{
    struct agg_end to = {.out = c->out, .start_ns = end->start_ns, .length_ns = end->length_ns};

    closing_finish(c);
    agg_at(&c->tables[METER_MIRROR], c->mirror); /* the sum has an entry, whatever is in it */
    c->total = c->sent = 0;
    for (unsigned i = 0; i < METER_TABLES; i++) {
        to.total = i == METER_SERVICE ? &c->tables[METER_MIRROR].entry[c->mirror] : NULL; /* its `before` by then */
        agg_close(&c->tables[i], &to);
        c->total += agg_waiting(&c->tables[i]);
    }
    c->end = *end;
    c->since_ns = end->clock_ns;
    c->is_open = true;
    send_some(c, PIECE_MOST);
}

void closing_finish(struct closing *c)
{
    if (c->is_open)
        send_some(c, c->total - c->sent);
}

void closing_piece(struct closing *c, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - c->since_ns, span_ns = c->end.length_ns / SHARE + 1;
    uint64_t due = passed_ns >= span_ns ? c->total : c->total * passed_ns / span_ns;
    uint64_t n = due > c->sent + PIECE_LEAST ? due - c->sent : PIECE_LEAST;

    send_some(c, n < PIECE_MOST ? (uint32_t)n : PIECE_MOST);
}

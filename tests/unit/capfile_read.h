/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CAPFILE_READ_H
#define SPANWARD_CAPFILE_READ_H

/*
 * Reads what capfile_build.h builds, through an input that gives as much or as little at a time as the test says, and
 * tells what came of it.
 */

#include <errno.h>
#include <stdio.h>

#include "dataplane/capfile.h"
#include "tests/unit/capfile_build.h"

struct feed {
    const uint8_t *at;
    size_t left;
    size_t chunk;     /* most that one read gives */
    unsigned signals; /* reads that a signal interrupts first */
    bool is_closed;
};

static inline int64_t feed_read(void *ctx, void *buf, size_t bytes)
{
    struct feed *f = ctx;
    size_t n = bytes < f->left ? bytes : f->left;

    if (f->signals > 0) {
        f->signals--;
        return -EINTR;
    }
    if (n > f->chunk)
        n = f->chunk;
    memcpy(buf, f->at, n);
    f->at += n;
    f->left -= n;
    return (int64_t)n;
}

static inline void feed_close(void *ctx)
{
    struct feed *f = ctx;

    ck_assert(!f->is_closed);
    f->is_closed = true;
}

#define KEPT 64
#define FEW  4u /* packets asked for at once */
struct result {
    int error; /* of the open */
    enum capfile_status end;
    unsigned n;
    struct capfile_packet packet[KEPT];
    char text[256];
};

static inline unsigned packet_bytes_wrong(const struct capfile_packet *p, unsigned i)
{
    unsigned wrong = 0;

    for (uint32_t k = 0; k < p->cap_len; k++)
        wrong += p->data[k] != (uint8_t)(i + k);
    return wrong;
}

/* Packets are looked at only when the reader asks to let go of them: they must have stayed as they were. */
static inline void let_go(const struct result *r, unsigned *from)
{
    for (; *from < r->n; (*from)++)
        ck_assert_msg(packet_bytes_wrong(&r->packet[*from], *from) == 0, "packet %u", *from);
}

static inline void read_all(struct capfile *file, struct result *r, unsigned max)
{
    unsigned from = 0, n = 1;

    while ((r->end = max == 1 ? capfile_next(file, &r->packet[r->n])
                              : capfile_next_few(file, &r->packet[r->n], max, &n)) < CAPFILE_EOF) {
        if (r->end == CAPFILE_PACKET) {
            ck_assert(n != 0 && n <= max);
            ck_assert_uint_lt(r->n += n, KEPT - FEW);
        } else {
            let_go(r, &from);
            capfile_refill(file);
        }
    }
    let_go(r, &from);
    snprintf(r->text, sizeof(r->text), "%s", capfile_reason(file));
    ck_assert((r->end == CAPFILE_CUT) == (r->text[0] != '\0'));
    ck_assert_uint_eq(capfile_next(file, &r->packet[r->n]), r->end);
}

static inline struct result read_bytes(const void *data, size_t n, size_t chunk, size_t buffer_bytes)
{
    /* Exactly as large as the data, so that ASan sees a read past its end. */
    uint8_t *copy = malloc(n + !n);
    struct feed feed = {.at = memcpy(copy, data, n), .left = n, .chunk = chunk};
    const struct capfile_input input = {.read = feed_read, .close = feed_close, .ctx = &feed};
    struct result r = {0};
    struct capfile *file = NULL;
    struct error e = {""};

    r.error = capfile_open_input("x.pcap", &input, buffer_bytes, &file, &e);
    if (r.error == 0) {
        read_all(file, &r, chunk == 1 ? 1 : FEW);
        capfile_close(file);
    } else {
        snprintf(r.text, sizeof(r.text), "%s", e.text);
        ck_assert(strstr(e.text, "x.pcap") != NULL);
    }
    ck_assert(feed.is_closed);
    free(copy);
    return r;
}

static inline struct result read_built(const struct bytes *b)
{
    struct result whole = read_bytes(b->at, b->n, SIZE_MAX, sizeof(b->at));
    struct result drip = read_bytes(b->at, b->n, 1, 4096);

    ck_assert_int_eq(whole.error, drip.error);
    ck_assert_int_eq(whole.end, drip.end);
    ck_assert_uint_eq(whole.n, drip.n);
    ck_assert_str_eq(whole.text, drip.text);
    return whole;
}

static inline void expect_packet(const struct result *r, unsigned i, uint64_t ts_ns, uint32_t cap_len,
                                 uint32_t wire_len, uint32_t link)
{
    ck_assert_uint_lt(i, r->n);
    ck_assert_uint_eq(r->packet[i].ts_ns, ts_ns);
    ck_assert_uint_eq(r->packet[i].cap_len, cap_len);
    ck_assert_uint_eq(r->packet[i].wire_len, wire_len);
    ck_assert_uint_eq(r->packet[i].link, link);
}

static inline void expect_end(const struct result *r, unsigned n, enum capfile_status end, const char *text)
{
    ck_assert_int_eq(r->error, 0);
    ck_assert_uint_eq(r->n, n);
    ck_assert_msg(r->end == end, "end %u: %s", r->end, r->text);
    ck_assert_msg(strstr(r->text, text) != NULL, "%s", r->text);
}

static inline void expect_refused(const void *data, size_t n, const char *text)
{
    struct result r = read_bytes(data, n, SIZE_MAX, 4096);

    ck_assert_int_lt(r.error, 0);
    ck_assert_msg(strstr(r.text, text) != NULL, "%s", r.text);
    ck_assert(strchr(r.text, '\n') == NULL);
}

#endif

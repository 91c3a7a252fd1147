/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONTROL_FIXTURE_H
#define SPANWARD_CONTROL_FIXTURE_H

/* A control core on a real Redis, driven with made observations on a clock of its own. */

#include <errno.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/control.h"
#include "control/localtime.h"
#include "control/outbox.h"
#include "tests/unit/private_redis.h"

#define FIXTURE_MONDAY_NS 1790553600000000000ull /* 2026-09-28 00:00 UTC, a Monday */
#define MIN_NS            (60 * NS_PER_S)
#define HOUR_NS           (3600 * NS_PER_S)
#define DAY_NS            (24 * HOUR_NS)
#define WEEK_NS           (7 * DAY_NS)

struct fixture {
    char dir[64];
    struct store_private *redis;
    struct store *store;
    struct control_options options;
    struct control *c;
    uint64_t now_ns;
    uint64_t window_ns;
};

static inline void fixture_reopen(struct fixture *f)
{
    struct error e = {""};

    control_close(f->c);
    f->c = NULL;
    ck_assert_msg(control_open(&f->options, f->store, &f->c, &e) == 0, "%s", e.text);
}

static inline void fixture_start(struct fixture *f)
{
    struct error e = {""};

    *f = (struct fixture){.now_ns = FIXTURE_MONDAY_NS, .window_ns = MIN_NS};
    need_redis();
    ck_assert_int_eq(local_init("UTC", &e), 0);
    make_temporary_dir(f->dir);
    f->redis = start_redis(f->dir);
    f->store = connect_redis(store_private_url(f->redis));
    f->options = (struct control_options){.detect = {.loss_share = 0.01, .rtt_factor = 3, .min_pkts = 200},
                                          .reopen_window_ns = 30 * MIN_NS,
                                          .zone = "UTC",
                                          .dry_run = true};
    fixture_reopen(f);
}

static inline void fixture_stop(struct fixture *f)
{
    control_close(f->c);
    store_close(f->store);
    store_private_stop(f->redis);
    remove_dir(f->dir);
}

static inline void fixture_commit(struct fixture *f)
{
    struct error e = {""};

    ck_assert_msg(control_commit(f->c, &e) == 0, "%s", e.text);
}

/* A quiet path: 10,000 judged packets a minute and direction, 20 ms and 1 ms, 200 connections. */
static inline struct observation quiet_observation(void)
{
    struct observation o = {.quality = WINDOW_OK, .connects = 200};

    for (int d = 0; d < 2; d++) {
        o.dir[d].bytes = 10000000;
        o.dir[d].judged_pkts = 10000;
        o.rtt_n[d] = 1000;
    }
    o.rtt_p50_ns[0] = 20000000;
    o.rtt_p50_ns[1] = 1000000;
    return o;
}

/* One step with one object. */
static inline void fixture_step(struct fixture *f, const char *name, const struct observation *o)
{
    struct control_object *object = control_object(f->c, WINDOW_PATH, name);

    ck_assert_ptr_nonnull(object);
    control_observe(f->c, object, o);
    ck_assert(control_step(f->c, f->now_ns, f->window_ns));
    f->now_ns += f->window_ns;
}

/* Steps until a time; loss_b2a is the share lost towards A, downstream of the tap. */
static inline void fixture_until(struct fixture *f, const char *name, uint64_t until_ns, double loss_b2a)
{
    struct observation o = quiet_observation();

    o.dir[1].lost_downstream_pkts = (uint64_t)(loss_b2a * 10000);
    while (f->now_ns < until_ns)
        fixture_step(f, name, &o);
}

struct found {
    size_t n;
    union {
        struct entity_incident incident[32];
        struct entity_problem problem[32];
        struct entity_ticket ticket[32];
        struct entity_outbox outbox[64];
    } u;
};

struct find_ctx {
    struct found *found;
    enum entity_kind kind;
};

static inline int keep_entity(void *ctx, const void *entity)
{
    struct find_ctx *x = ctx;
    size_t size = entity_size(x->kind);

    ck_assert_uint_lt((x->found->n + 1) * size, sizeof(x->found->u) + 1);
    memcpy((char *)&x->found->u + x->found->n * size, entity, size);
    x->found->n++;
    return 0;
}

/* Commits and reads what is in the store. */
static inline void fixture_find(struct fixture *f, enum entity_kind kind, struct found *found)
{
    struct find_ctx x = {found, kind};
    struct error e = {""};

    fixture_commit(f);
    memset(found, 0, sizeof(*found));
    ck_assert_msg(entities_each(f->store, kind, keep_entity, &x, &e) == 0, "%s", e.text);
}

static inline int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything in Redis as one sorted text in hex: equal states give equal texts. Free it. */
static inline char *dump_store(struct store *s)
{
    struct store_reply *keys = store_command(s, "KEYS *");
    size_t n_lines = 0, room = 64, total = 1;
    char **line = malloc(room * sizeof(*line));

    for (size_t k = 0; k < store_reply_count(keys); k++) {
        const char *key = store_reply_string(store_reply_element(keys, k), NULL);
        struct store_reply *v = store_command(s, "HGETALL %s", key);
        bool hash = store_reply_type(v) == STORE_ARRAY;
        if (!hash) {
            store_reply_free(v);
            v = store_command(s, "GET %s", key);
        }
        for (size_t i = 0; i < (hash ? store_reply_count(v) : 1); i += 2) {
            size_t len = 0;
            const char *field = hash ? store_reply_string(store_reply_element(v, i), NULL) : "";
            const char *data = store_reply_string(hash ? store_reply_element(v, i + 1) : v, &len);
            char *text = malloc(strlen(key) + strlen(field) + 2 * len + 4);
            int at = sprintf(text, "%s %s ", key, field);
            for (size_t b = 0; b < len; b++)
                at += sprintf(text + at, "%02x", (unsigned char)data[b]);
            if (n_lines == room)
                line = realloc(line, (room *= 2) * sizeof(*line));
            line[n_lines++] = text;
            total += strlen(text) + 1;
        }
        store_reply_free(v);
    }
    store_reply_free(keys);
    qsort(line, n_lines, sizeof(*line), compare_text);
    char *all = calloc(1, total);
    char *end = all;
    for (size_t i = 0; i < n_lines; i++) {
        end = stpcpy(end, line[i]);
        *end++ = '\n';
        free(line[i]);
    }
    free(line);
    return all;
}

#endif

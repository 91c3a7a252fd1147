/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_H
#define SPANWARD_STORE_H

/*
 * A connection to Redis and nothing else: connect, pipeline, reconnect, transactions. This folder is the only place
 * that includes <hiredis.h>; callers see opaque replies. What is written where is schema.h (telemetry) and
 * entities.h (control's own state).
 *
 * URLs: "unix:/path/redis.sock", "redis://[user:password@]host[:port][/db]", "host:port". A connection belongs to one
 * thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

struct store;
struct store_reply;

struct store_options {
    const char *url;
    const char *user, *password; /* NULL: from the URL, else none */
    unsigned connect_timeout_ms; /* 0: 2000 */
    unsigned command_timeout_ms; /* 0: 5000 */
};

/* 0 or -errno; e says what and where ("no Redis at unix:/run/x.sock: connection refused; start it or give --redis"). */
int store_open(const struct store_options *options, struct store **ret_store, struct error *e);
void store_close(struct store *s);

/* True after an I/O error; store_reconnect tries once, without waiting. */
bool store_is_broken(const struct store *s);
int store_reconnect(struct store *s, struct error *e);

/* One argument of a command; binary safe. */
struct store_arg {
    const void *data;
    size_t len;
};

/*
 * Pipeline: queue any number of commands, then flush. The callback sees every reply in order with the index of its
 * command. -EIO when the connection broke (what was applied is unknown: replay, since writes are absolute).
 */
int store_append(struct store *s, const struct store_arg *args, size_t n_args);
int store_flush(struct store *s, void (*on_reply)(void *ctx, size_t index, const struct store_reply *r), void *ctx);
size_t store_pending(const struct store *s);
/* Forgets the commands that were queued and not flushed. */
void store_discard(struct store *s);

/* One command, printf-like with hiredis's own formats (%s, %b, %lld). NULL on I/O error. Free the reply. */
struct store_reply *store_command(struct store *s, const char *format, ...);
struct store_reply *store_command_argv(struct store *s, const struct store_arg *args, size_t n_args);
void store_reply_free(struct store_reply *r);

enum store_reply_type { STORE_NIL, STORE_STRING, STORE_STATUS, STORE_INTEGER, STORE_ARRAY, STORE_ERROR };
enum store_reply_type store_reply_type(const struct store_reply *r);
const char *store_reply_string(const struct store_reply *r, size_t *ret_len); /* string, status and error */
long long store_reply_integer(const struct store_reply *r);
size_t store_reply_count(const struct store_reply *r);
const struct store_reply *store_reply_element(const struct store_reply *r, size_t i);

/*
 * A private redis-server on a unix socket in `dir` (0700), with AOF unless `volatile_` is set, for programs without a
 * configured Redis, demos and tests. Starts it (or joins the one that runs there) and waits until it answers; stop ends
 * only what start began.
 */
struct store_private;
int store_private_start(const char *dir, bool volatile_, struct store_private **ret, struct error *e);
const char *store_private_url(const struct store_private *p);
void store_private_stop(struct store_private *p);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_H
#define SPANWARD_STORE_H

/*
 * A connection to Redis and nothing else: connect, pipeline, reconnect, transactions. This folder is the only place
 * that includes <hiredis.h>; callers see opaque replies. What is written where is schema.h (telemetry) and
 * entities.h (control's own state).
 *
 * URLs (url.h): "unix:/path/redis.sock", "redis://[user:password@]host[:port][/db]", "host:port",
 * "redis+sentinel://host:port,host:port/NAME", "redis+cluster://host:port,host:port", and rediss for the same over TLS.
 * What of it is behind the URL (one server, Sentinels, a Cluster) makes no difference to the callers. A connection
 * belongs to one thread.
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
    unsigned command_timeout_ms; /* 0: 5000; silence for so long breaks the connection */

    const char *sentinel_user, *sentinel_password; /* NULL: Sentinels ask for none */
    const char *tls_ca;                            /* PEM file or directory; NULL: the system's. The URL goes first */
    const char *tls_cert, *tls_key;                /* the client's own; NULL: none */
    const char *tls_name;                          /* whom the servers must prove to be; NULL: the URL's host */
    bool tls_no_verify;                            /* believe any certificate */

    /*
     * Acknowledged writes of the last journal_ms (0: 30 s) are kept in up to journal_bytes (0: none) and repeated when
     * another server, or the same one anew, takes over. For a writer whose flushes are absolute values and explicit
     * ids.
     */
    size_t journal_bytes;
    unsigned journal_ms;
};

/* 0 or -errno; e says what and where ("no Redis at unix:/run/x.sock: connection refused; start it or give --redis"). */
int store_open(const struct store_options *options, struct store **ret_store, struct error *e);
void store_close(struct store *s);

/* True after an I/O error; store_reconnect tries once, without waiting. */
bool store_is_broken(const struct store *s);
int store_reconnect(struct store *s, struct error *e);

/* The URL without its password, and why the connection broke last ("": it did not), for messages. */
const char *store_shown(const struct store *s);
const char *store_why(const struct store *s);

/* Since store_open. */
struct store_stats {
    uint64_t reconnects;
    uint64_t redirects;                        /* MOVED and ASK followed */
    uint64_t waits;                            /* for a slot without a master, or in the middle of its migration */
    uint64_t map_changes;                      /* other owners of slots, another master */
    uint64_t repeated;                         /* commands of the journal sent again */
    uint64_t journal_bytes, journal_overflows; /* memory in use; commands that left it too soon for lack of it */
};
void store_stats_get(const struct store *s, struct store_stats *ret_stats);

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
 * What an error reply means for who sent the command:
 *   passing   not now: keep it and send it again later, over the same connection
 *   demoted   not here: the server is no master any more; reconnect and send it again
 *   access    never, until somebody mends the rights
 *   topology  not like this: the URL does not fit the deployment
 *   refused   never: something is wrong with this command alone
 */
#define STORE_FAULTS(X)                                                                                                \
    X(NONE, "none")                                                                                                    \
    X(PASSING, "passing")                                                                                              \
    X(DEMOTED, "demoted")                                                                                              \
    X(ACCESS, "access")                                                                                                \
    X(TOPOLOGY, "topology")                                                                                            \
    X(REFUSED, "refused")
#define X(symbol, name) STORE_FAULT_##symbol,
enum store_fault { STORE_FAULTS(X) STORE_FAULT_COUNT };
#undef X
const char *store_fault_name(enum store_fault f);
/* By the text of an error reply. */
enum store_fault store_fault_of(const char *text);
/* What to do about it, for messages; "" when nothing is known. */
const char *store_fault_todo(const char *text);
/* How much of it goes into a message: at most 100 bytes, without the stop at its end. */
int store_fault_length(const char *text);
/* "Redis refused WHAT: TEXT; TODO" into e; returns code. */
int store_refused(struct error *e, int code, const char *what, const char *text);

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

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A blocking connection to Redis with time-outs, whatever is behind the URL: one server (link.c), the master that
 * Sentinels name (sentinel.c), or a Cluster (cluster.c).
 *
 * Pipelines are encoded here (RESP2 arrays of bulk strings) into one buffer. To one server they go in chunks of at most
 * CHUNK_COMMANDS commands or CHUNK_BYTES bytes: after each chunk its replies are read, so neither Redis's output buffer
 * nor ours grows with the number of commands queued. A Cluster gets a flush as a whole, and the replies are kept until
 * they can be given back in order.
 *
 * After any I/O error the connection is broken for good: what was applied is unknown. The owner decides when to call
 * store_reconnect, which tries once. With Sentinels, a switch of the master breaks the connection, too, and so does a
 * refusal because the server is no master any more.
 *
 * What "acknowledged" means. store_flush returned 0 and the command's reply is no error: the master has applied it.
 * Redis copies to replicas and disk a moment later, so a master that dies may take acknowledged writes along. A writer
 * that asked for a journal gets them repeated at the successor, in order, before anything newer. What remains: a
 * writer that dies in the same moment as its master, and masters that were cut off for longer than the journal keeps.
 *
 * Limits: RESP2 only; a Cluster has no databases and takes no MULTI over several slots.
 */

#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/cluster.h"
#include "store/command.h"
#include "store/journal.h"
#include "store/link.h"
#include "store/route.h"
#include "store/sentinel.h"
#include "store/tls.h"
#include "store/url.h"

#define CHUNK_COMMANDS  1024
#define CHUNK_BYTES     (1u << 20)
#define JOURNAL_KEEP_MS 30000

/*
 * Owner: one thread. Invariant: broken, or there is a link (one server, Sentinels) or a map (Cluster). The link options
 * point into this struct.
 */
struct store {
    struct store_url url;
    struct tls *tls;
    struct link_options link_options, sentinel_options;
    char sentinel_user[128], sentinel_password[512];
    struct link *link;
    struct sentinel *sentinel; /* mode STORE_SENTINEL */
    struct cluster *cluster;   /* mode STORE_CLUSTER */
    bool broken, demoted;
    struct error why;
    struct journal journal;
    struct store_stats stats;
    uint64_t serial; /* of the link */

    char *out; /* encoded commands not yet sent */
    size_t out_len, out_size;
    size_t *end; /* where each queued command ends in out */
    size_t n_pending, pending_size;
};

/* ---- opening ---- */

static int take_text(char *to, size_t size, const char *text, const char *what, struct error *e)
{
    if (text != NULL && snprintf(to, size, "%s", text) >= (int)size)
        return error_set(e, -EINVAL, "%s is longer than %zu bytes", what, size - 1);
    return 0;
}

static int take_credentials(struct store *s, const struct store_options *o, struct error *e)
{
    int result = take_text(s->url.user, sizeof(s->url.user), o->user, "Redis user", e);

    if (result == 0)
        result = take_text(s->url.password, sizeof(s->url.password), o->password, "Redis password", e);
    if (result == 0)
        result = take_text(s->sentinel_user, sizeof(s->sentinel_user), o->sentinel_user, "Sentinel user", e);
    if (result == 0)
        result =
            take_text(s->sentinel_password, sizeof(s->sentinel_password), o->sentinel_password, "Sentinel password", e);
    return result;
}

static int open_tls(struct store *s, const struct store_options *o, struct error *e)
{
    const struct store_url_tls *u = &s->url.tls;
    struct tls_options t = {.ca = u->ca[0] != '\0' ? u->ca : o->tls_ca,
                            .cert = u->cert[0] != '\0' ? u->cert : o->tls_cert,
                            .key = u->key[0] != '\0' ? u->key : o->tls_key,
                            .name = u->name[0] != '\0' ? u->name : o->tls_name,
                            .no_verify = u->no_verify || o->tls_no_verify};

    return s->url.use_tls ? tls_new(&t, &s->tls, e) : 0;
}

static int open_mode(struct store *s, const struct store_options *o, struct error *e)
{
    s->link_options = (struct link_options){
        .tls = s->tls,
        .user = s->url.user,
        .password = s->url.password,
        .db = s->url.db,
        .connect_timeout_ms = o->connect_timeout_ms != 0 ? o->connect_timeout_ms : 2000,
        .command_timeout_ms = o->command_timeout_ms != 0 ? o->command_timeout_ms : 5000,
    };
    s->sentinel_options = s->link_options;
    s->sentinel_options.user = s->sentinel_user;
    s->sentinel_options.password = s->sentinel_password;
    s->sentinel_options.db = 0;
    journal_init(&s->journal, o->journal_bytes, o->journal_ms != 0 ? o->journal_ms : JOURNAL_KEEP_MS);
    switch (s->url.mode) {
    case STORE_SINGLE:
        return 0;
    case STORE_SENTINEL:
        return sentinel_new(&s->sentinel_options, s->url.at, s->url.n, s->url.master, &s->sentinel, e);
    case STORE_CLUSTER:
        return cluster_new(&s->link_options, s->url.at, s->url.n, &s->journal, &s->stats, &s->cluster, e);
    }
    return -EINVAL;
}

int store_open(const struct store_options *options, struct store **ret_store, struct error *e)
{
    struct store *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return error_set(e, -ENOMEM, "no memory for a connection to Redis");
    s->broken = true;
    int result = store_url_parse(options->url, &s->url, e);
    if (result == 0)
        result = take_credentials(s, options, e);
    if (result == 0)
        result = open_tls(s, options, e);
    if (result == 0)
        result = open_mode(s, options, e);
    if (result == 0)
        result = store_reconnect(s, e);
    if (result != 0) {
        store_close(s);
        return result;
    }
    s->stats = (struct store_stats){0};
    *ret_store = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    link_close(s->link);
    sentinel_free(s->sentinel);
    cluster_free(s->cluster);
    tls_free(s->tls);
    journal_fini(&s->journal);
    explicit_bzero(s->url.password, sizeof(s->url.password));
    explicit_bzero(s->sentinel_password, sizeof(s->sentinel_password));
    free(s->out);
    free(s->end);
    free(s);
}

/* ---- connecting ---- */

static void drop_link(struct store *s)
{
    link_close(s->link);
    s->link = NULL;
}

/* The server must be what the URL says it is. */
static int check_role(const struct store *s, struct error *e)
{
    if (link_mode(s->link) == LINK_IN_CLUSTER)
        return error_set(e, -EINVAL, "%s is a node of a Cluster; use redis+cluster://", link_shown(s->link));
    if (link_mode(s->link) == LINK_SENTINEL)
        return error_set(e, -EINVAL, "%s is a Sentinel; use redis+sentinel://host:port/NAME", link_shown(s->link));
    if (s->url.mode == STORE_SENTINEL && link_is_replica(s->link))
        return error_set(e, -EAGAIN, "%s is no master any more and the Sentinels have not chosen another; wait",
                         link_shown(s->link));
    return 0;
}

struct replay {
    struct error *e;
    int result;
};

static void take_replayed(void *ctx, size_t index, redisReply *r)
{
    struct replay *x = ctx;

    (void)index;
    if (r->type == REDIS_REPLY_ERROR && x->result == 0 && store_fault_of(r->str) != STORE_FAULT_REFUSED)
        x->result = error_set(x->e, -EAGAIN, "Redis takes no writes: %.100s; %s", r->str, store_fault_todo(r->str));
    free(r);
}

/* The journal once more, over the new link, before anything else. */
static int replay_journal(struct store *s, struct error *e)
{
    struct replay x = {.e = e};

    for (struct journal_blob *b = s->journal.first; b != NULL; b = b->next) {
        for (size_t at = 0, len, n; at < b->len && x.result == 0; at += len, s->stats.repeated += n) {
            len = journal_piece(b->bytes + at, b->len - at, &n);
            if (link_queue(s->link, b->bytes + at, len, n) != 0 ||
                links_exchange(&s->link, 1, s->link_options.command_timeout_ms, take_replayed, &x) != 0)
                return error_set(e, -EIO, "Redis at %.100s: %.100s", link_shown(s->link), link_why(s->link));
        }
    }
    return x.result;
}

static int connect_link(struct store *s, struct error *e)
{
    struct store_endpoint at = s->url.at[0];
    char before[320] = "";
    int result = 0;

    if (s->sentinel != NULL) {
        store_endpoint_show(&at, s->url.use_tls, before, sizeof(before));
        result = sentinel_find(s->sentinel, &at, e);
    }
    if (result == 0)
        result = link_open(&s->link_options, &at, &s->link, e);
    if (result == 0)
        result = check_role(s, e);
    if (result == 0)
        result = replay_journal(s, e);
    if (result != 0)
        drop_link(s);
    return result;
}

int store_reconnect(struct store *s, struct error *e)
{
    drop_link(s);
    s->broken = true;
    s->demoted = false;
    s->out_len = s->n_pending = 0;
    int result = s->cluster != NULL ? cluster_reconnect(s->cluster, e) : connect_link(s, e);
    if (result == 0) {
        s->broken = false;
        s->serial++;
        s->stats.reconnects++;
    }
    return result;
}

/* Gives up the connection; what was applied of the commands without a reply is unknown. */
static void give_up(struct store *s, const char *why)
{
    if (why != NULL)
        error_set(&s->why, -EIO, "%s", why);
    drop_link(s);
    s->broken = true;
}

bool store_is_broken(const struct store *s)
{
    return s->broken;
}

const char *store_shown(const struct store *s)
{
    return s->url.shown;
}

const char *store_why(const struct store *s)
{
    return s->why.text;
}

void store_stats_get(const struct store *s, struct store_stats *ret_stats)
{
    *ret_stats = s->stats;
    ret_stats->journal_bytes = s->journal.bytes;
    ret_stats->journal_overflows = s->journal.overflows;
}

/* ---- pipelines ---- */

/* Room for `more` bytes and one command more. */
static int out_grow(struct store *s, size_t more)
{
    if (s->n_pending == s->pending_size) {
        size_t size = s->pending_size != 0 ? 2 * s->pending_size : 256;
        size_t *end = realloc(s->end, size * sizeof(*end));
        if (end == NULL)
            return -ENOMEM;
        s->end = end;
        s->pending_size = size;
    }
    if (s->out_len + more <= s->out_size)
        return 0;
    size_t size = s->out_size != 0 ? s->out_size : 4096;
    while (size < s->out_len + more)
        size *= 2;
    char *out = realloc(s->out, size);
    if (out == NULL)
        return -ENOMEM;
    s->out = out;
    s->out_size = size;
    return 0;
}

/* "*3\r\n" or "$5\r\n"; returns what is behind it. */
static char *put_count(char *at, char sign, size_t n)
{
    *at++ = sign;
    at += command_decimal(at, n);
    memcpy(at, "\r\n", 2);
    return at + 2;
}

int store_append(struct store *s, const struct store_arg *args, size_t n_args)
{
    size_t need = 32;

    for (size_t i = 0; i < n_args; i++)
        need += args[i].len + 32;
    if (out_grow(s, need) != 0)
        return -ENOMEM;
    char *at = put_count(s->out + s->out_len, '*', n_args);
    for (size_t i = 0; i < n_args; i++) {
        at = put_count(at, '$', args[i].len);
        if (args[i].len != 0)
            memcpy(at, args[i].data, args[i].len);
        memcpy(at + args[i].len, "\r\n", 2);
        at += args[i].len + 2;
    }
    s->out_len = (size_t)(at - s->out);
    s->end[s->n_pending++] = s->out_len;
    return 0;
}

size_t store_pending(const struct store *s)
{
    return s->n_pending;
}

void store_discard(struct store *s)
{
    s->out_len = s->n_pending = 0;
}

static size_t start_of(const struct store *s, size_t i)
{
    return i > 0 ? s->end[i - 1] : 0;
}

/* A flush to one server: the next command without a reply, and who wants to see it. */
struct delivery {
    struct store *s;
    size_t next;
    bool keep;
    uint64_t now_ms;
    void (*on_reply)(void *, size_t, const struct store_reply *);
    void *ctx;
};

/* The journal keeps what was acknowledged and may be repeated; never a part of a transaction. */
static void keep(struct delivery *d, size_t i, const redisReply *r)
{
    struct store *s = d->s;
    struct store_arg args[8];
    size_t n_args, from = start_of(s, i);

    if (r->type == REDIS_REPLY_ERROR || (r->type == REDIS_REPLY_STATUS && strcmp(r->str, "QUEUED") == 0))
        return;
    if (route_split(s->out + from, s->end[i] - from, args, 8, &n_args) != 0 && route_is_repeatable(args, n_args))
        journal_add(&s->journal, 0, s->serial, d->now_ms, s->out + from, s->end[i] - from);
}

/* Sees every reply first: a demoted master is no use to somebody who has Sentinels to ask. */
static void look_at(struct store *s, const redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR && s->sentinel != NULL && store_fault_of(r->str) == STORE_FAULT_DEMOTED) {
        s->demoted = true;
        error_set(&s->why, -EIO, "%.100s is no master any more", s->link != NULL ? link_shown(s->link) : s->url.shown);
    }
}

static void deliver(void *ctx, size_t index, redisReply *r)
{
    struct delivery *d = ctx;
    size_t i = d->next++;

    (void)index;
    look_at(d->s, r);
    if (d->keep)
        keep(d, i, r);
    if (d->on_reply != NULL)
        d->on_reply(d->ctx, i, (const struct store_reply *)(const void *)r);
    free(r);
}

static int flush_link(struct store *s, struct delivery *d)
{
    for (size_t first = 0; first < s->n_pending;) {
        size_t from = start_of(s, first), end = first + 1;
        while (end < s->n_pending && end - first < CHUNK_COMMANDS && s->end[end] - from <= CHUNK_BYTES)
            end++;
        d->now_ms = link_clock_ms();
        if (link_queue(s->link, s->out + from, s->end[end - 1] - from, end - first) != 0 ||
            links_exchange(&s->link, 1, s->link_options.command_timeout_ms, deliver, d) != 0) {
            give_up(s, link_why(s->link));
            return -EIO;
        }
        first = end;
    }
    return 0;
}

static int flush_cluster(struct store *s, struct delivery *d)
{
    size_t n = s->n_pending;
    redisReply **reply = calloc(n + 1, sizeof(redisReply *));

    if (reply == NULL)
        return -ENOMEM;
    int result = cluster_run(s->cluster, s->out, s->end, n, d->keep, reply, &s->why);
    for (size_t i = 0; i < n; i++) {
        if (result == 0 && d->on_reply != NULL)
            d->on_reply(d->ctx, i, (const struct store_reply *)(const void *)reply[i]);
        free(reply[i]);
    }
    free(reply);
    if (result == -EIO)
        give_up(s, NULL);
    return result;
}

/* The Sentinels may have chosen another master since the last command. */
static bool is_usable(struct store *s)
{
    if (!s->broken && s->sentinel != NULL && sentinel_switched(s->sentinel)) {
        s->stats.map_changes++;
        give_up(s, "the Sentinels have chosen another master");
    }
    return !s->broken;
}

int store_flush(struct store *s, void (*on_reply)(void *ctx, size_t index, const struct store_reply *r), void *ctx)
{
    struct delivery d = {.s = s, .keep = s->journal.bytes_max != 0, .on_reply = on_reply, .ctx = ctx};
    int result = -EIO;

    if (is_usable(s))
        result = s->cluster != NULL ? flush_cluster(s, &d) : flush_link(s, &d);
    s->out_len = s->n_pending = 0;
    if (s->demoted && !s->broken)
        give_up(s, NULL);
    return result;
}

/* ---- single commands ---- */

static void keep_one(void *ctx, size_t index, redisReply *r)
{
    redisReply **to = ctx;

    (void)index;
    *to = r;
}

/* Sends the one encoded command and waits for its reply. */
static redisReply *call(struct store *s, const char *bytes, size_t len)
{
    struct store_arg args[16];
    redisReply *r = NULL;
    size_t n_args;

    if (s->cluster == NULL) {
        if (link_queue(s->link, bytes, len, 1) == 0)
            links_exchange(&s->link, 1, s->link_options.command_timeout_ms, keep_one, &r);
        if (r == NULL)
            give_up(s, link_why(s->link));
        else
            look_at(s, r);
        if (s->demoted && !s->broken)
            give_up(s, NULL);
        return r;
    }
    if (route_split(bytes, len, args, 16, &n_args) != 0 && n_args >= 2 && route_is(&args[0], "SCAN"))
        r = cluster_scan(s->cluster, args, n_args, &s->why);
    else if (cluster_run(s->cluster, bytes, &len, 1, false, &r, &s->why) != 0) {
        free(r);
        r = NULL;
    }
    if (r == NULL)
        give_up(s, NULL);
    return r;
}

struct store_reply *store_command(struct store *s, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    assert(s->n_pending == 0);
    if (!is_usable(s))
        return NULL;
    va_start(args, format);
    int len = redisvFormatCommand(&text, format, args);
    va_end(args);
    if (len < 0)
        return NULL;
    redisReply *r = call(s, text, (size_t)len);
    redisFreeCommand(text);
    return (struct store_reply *)(void *)r;
}

struct store_reply *store_command_argv(struct store *s, const struct store_arg *args, size_t n_args)
{
    assert(s->n_pending == 0);
    if (!is_usable(s) || store_append(s, args, n_args) != 0)
        return NULL;
    redisReply *r = call(s, s->out, s->out_len);
    s->out_len = s->n_pending = 0;
    return (struct store_reply *)(void *)r;
}

/* A struct store_reply is hiredis's reply under another name; these are the only conversions. */
static const redisReply *native(const struct store_reply *r)
{
    return (const redisReply *)(const void *)r;
}

void store_reply_free(struct store_reply *r)
{
    free(r);
}

enum store_reply_type store_reply_type(const struct store_reply *r)
{
    switch (native(r)->type) {
    case REDIS_REPLY_STRING:
        return STORE_STRING;
    case REDIS_REPLY_STATUS:
        return STORE_STATUS;
    case REDIS_REPLY_INTEGER:
        return STORE_INTEGER;
    case REDIS_REPLY_ARRAY:
        return STORE_ARRAY;
    case REDIS_REPLY_ERROR:
        return STORE_ERROR;
    default:
        return STORE_NIL;
    }
}

const char *store_reply_string(const struct store_reply *r, size_t *ret_len)
{
    const redisReply *n = native(r);
    bool text = n->type == REDIS_REPLY_STRING || n->type == REDIS_REPLY_STATUS || n->type == REDIS_REPLY_ERROR;

    if (ret_len != NULL)
        *ret_len = text ? (size_t)n->len : 0;
    return text ? n->str : "";
}

long long store_reply_integer(const struct store_reply *r)
{
    return native(r)->type == REDIS_REPLY_INTEGER ? native(r)->integer : 0;
}

size_t store_reply_count(const struct store_reply *r)
{
    return native(r)->type == REDIS_REPLY_ARRAY ? native(r)->elements : 0;
}

const struct store_reply *store_reply_element(const struct store_reply *r, size_t i)
{
    assert(i < store_reply_count(r));
    return (const struct store_reply *)(const void *)native(r)->element[i];
}

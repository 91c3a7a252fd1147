/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A blocking Redis connection over hiredis 0.14, with time-outs.
 *
 * Pipelines are encoded here (RESP2 arrays of bulk strings) into one buffer and sent in chunks of at most
 * CHUNK_COMMANDS commands or CHUNK_BYTES bytes: after each chunk its replies are read, so neither Redis's output buffer
 * nor ours grows with the number of commands queued. hiredis sends and parses.
 *
 * After any I/O error the connection is broken for good: what was applied is unknown. The owner decides when to call
 * store_reconnect, which tries once. A reply that arrives after its command timed out can never be taken for
 * another's, because the socket is closed.
 *
 * Limits: no TLS (hiredis 0.14 has none): "rediss://" is refused with a text that says so. RESP2 only.
 */

#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "store/url.h"

#define CHUNK_COMMANDS 1024
#define CHUNK_BYTES    (1u << 20)

/* One command of the pipeline: where it ends in the buffer. */
struct pending {
    size_t end;
};

/* Owner: one thread. Invariant: context == NULL or context->err != 0 <=> broken. */
struct store {
    redisContext *context;
    struct store_url url;
    unsigned connect_timeout_ms, command_timeout_ms;
    char *out; /* encoded commands not yet sent */
    size_t out_len, out_size;
    struct pending *pending;
    size_t n_pending, pending_size;
};

/*
 * A write to a connection that the server has closed raises SIGPIPE, which would end the program. It is kept from this
 * thread while hiredis works, and one that came is taken away; what the program does with SIGPIPE elsewhere stays as it
 * is.
 */
struct pipe_guard {
    sigset_t before;
    bool was_pending;
};

static void guard_pipe(struct pipe_guard *g)
{
    sigset_t pipe_only, pending;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    g->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &g->before);
}

static void unguard_pipe(const struct pipe_guard *g, bool failed)
{
    static const struct timespec at_once = {0};
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (failed && !g->was_pending)
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &g->before, NULL);
}

static struct timeval timeval_of_ms(unsigned ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static void drop_context(struct store *s)
{
    if (s->context != NULL)
        redisFree(s->context);
    s->context = NULL;
}

/* Sends a set-up command (AUTH, SELECT, PING) and turns every failure into one text. */
static int setup_command(struct store *s, int argc, const char **argv, const char *what, const char *todo,
                         struct error *e)
{
    redisReply *r = redisCommandArgv(s->context, argc, argv, NULL);

    if (r == NULL)
        return error_set(e, -EIO, "Redis at %s: %s failed: %s", s->url.shown, what, s->context->errstr);
    if (r->type == REDIS_REPLY_ERROR) {
        int code = strncmp(r->str, "LOADING", 7) == 0 ? -EAGAIN : -EACCES;
        error_set(e, code, "Redis at %s: %s refused: %.120s; %s", s->url.shown, what, r->str, todo);
        freeReplyObject(r);
        return code;
    }
    freeReplyObject(r);
    return 0;
}

static int authenticate(struct store *s, struct error *e)
{
    struct pipe_guard guard;
    int result = 0;

    guard_pipe(&guard);
    if (s->url.password[0] != '\0') {
        const char *with_user[] = {"AUTH", s->url.user, s->url.password};
        const char *without[] = {"AUTH", s->url.password};
        bool user = s->url.user[0] != '\0';
        result = setup_command(s, user ? 3 : 2, user ? with_user : without, "AUTH", "check user and password", e);
    }
    if (result == 0 && s->url.db != 0) {
        char db[12];
        snprintf(db, sizeof(db), "%u", s->url.db);
        const char *select[] = {"SELECT", db};
        result = setup_command(s, 2, select, "SELECT", "use a database that the server has", e);
    }
    if (result == 0) {
        const char *ping[] = {"PING"};
        result = setup_command(s, 1, ping, "PING", "give a user and password if the server asks for them", e);
    }
    return result;
}

int store_reconnect(struct store *s, struct error *e)
{
    struct timeval connect = timeval_of_ms(s->connect_timeout_ms);

    drop_context(s);
    s->out_len = s->n_pending = 0;
    if (s->url.unix_path[0] != '\0')
        s->context = redisConnectUnixWithTimeout(s->url.unix_path, connect);
    else
        s->context = redisConnectWithTimeout(s->url.host, s->url.port, connect);
    if (s->context == NULL)
        return error_set(e, -ENOMEM, "no memory for a connection to Redis");
    if (s->context->err != 0) {
        int code = errno != 0 ? -errno : -EIO;
        error_set(e, code, "no Redis at %s: %s; start it or give --redis", s->url.shown, s->context->errstr);
        drop_context(s);
        return code;
    }
    if (s->url.unix_path[0] == '\0')
        redisEnableKeepAlive(s->context);
    redisSetTimeout(s->context, timeval_of_ms(s->command_timeout_ms));
    int result = authenticate(s, e);
    if (result != 0)
        drop_context(s);
    return result;
}

static int take_credentials(struct store *s, const struct store_options *o, struct error *e)
{
    if (o->user != NULL && snprintf(s->url.user, sizeof(s->url.user), "%s", o->user) >= (int)sizeof(s->url.user))
        return error_set(e, -EINVAL, "Redis user is longer than %zu bytes", sizeof(s->url.user) - 1);
    if (o->password != NULL &&
        snprintf(s->url.password, sizeof(s->url.password), "%s", o->password) >= (int)sizeof(s->url.password))
        return error_set(e, -EINVAL, "Redis password is longer than %zu bytes", sizeof(s->url.password) - 1);
    return 0;
}

int store_open(const struct store_options *options, struct store **ret_store, struct error *e)
{
    struct store *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return error_set(e, -ENOMEM, "no memory for a connection to Redis");
    s->connect_timeout_ms = options->connect_timeout_ms != 0 ? options->connect_timeout_ms : 2000;
    s->command_timeout_ms = options->command_timeout_ms != 0 ? options->command_timeout_ms : 5000;
    int result = store_url_parse(options->url, &s->url, e);
    if (result == 0)
        result = take_credentials(s, options, e);
    if (result == 0)
        result = store_reconnect(s, e);
    if (result != 0) {
        store_close(s);
        return result;
    }
    *ret_store = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    drop_context(s);
    explicit_bzero(s->url.password, sizeof(s->url.password));
    free(s->out);
    free(s->pending);
    free(s);
}

bool store_is_broken(const struct store *s)
{
    return s->context == NULL || s->context->err != 0;
}

/* Room for `more` bytes in the out buffer. */
static int out_grow(struct store *s, size_t more)
{
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

int store_append(struct store *s, const struct store_arg *args, size_t n_args)
{
    size_t need = 32;

    for (size_t i = 0; i < n_args; i++)
        need += args[i].len + 32;
    if (out_grow(s, need) != 0)
        return -ENOMEM;
    if (s->n_pending == s->pending_size) {
        size_t size = s->pending_size != 0 ? 2 * s->pending_size : 256;
        struct pending *p = realloc(s->pending, size * sizeof(*p));
        if (p == NULL)
            return -ENOMEM;
        s->pending = p;
        s->pending_size = size;
    }
    s->out_len += (size_t)sprintf(s->out + s->out_len, "*%zu\r\n", n_args);
    for (size_t i = 0; i < n_args; i++) {
        s->out_len += (size_t)sprintf(s->out + s->out_len, "$%zu\r\n", args[i].len);
        if (args[i].len != 0)
            memcpy(s->out + s->out_len, args[i].data, args[i].len);
        s->out_len += args[i].len;
        memcpy(s->out + s->out_len, "\r\n", 2);
        s->out_len += 2;
    }
    s->pending[s->n_pending++].end = s->out_len;
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

/* Sends commands [first, end) and reads their replies. */
static int flush_chunk(struct store *s, size_t first, size_t end,
                       void (*on_reply)(void *, size_t, const struct store_reply *), void *ctx)
{
    size_t from = first > 0 ? s->pending[first - 1].end : 0;

    if (redisAppendFormattedCommand(s->context, s->out + from, s->pending[end - 1].end - from) != REDIS_OK)
        return -EIO;
    for (size_t i = first; i < end; i++) {
        void *reply = NULL;
        if (redisGetReply(s->context, &reply) != REDIS_OK)
            return -EIO;
        if (on_reply != NULL)
            on_reply(ctx, i, reply);
        freeReplyObject(reply);
    }
    return 0;
}

int store_flush(struct store *s, void (*on_reply)(void *ctx, size_t index, const struct store_reply *r), void *ctx)
{
    int result = store_is_broken(s) ? -EIO : 0;
    struct pipe_guard guard;

    guard_pipe(&guard);
    for (size_t first = 0; result == 0 && first < s->n_pending;) {
        size_t from = first > 0 ? s->pending[first - 1].end : 0;
        size_t end = first + 1;
        while (end < s->n_pending && end - first < CHUNK_COMMANDS && s->pending[end].end - from <= CHUNK_BYTES)
            end++;
        result = flush_chunk(s, first, end, on_reply, ctx);
        first = end;
    }
    unguard_pipe(&guard, result != 0);
    s->out_len = s->n_pending = 0;
    if (result != 0)
        drop_context(s);
    return result;
}

struct store_reply *store_command(struct store *s, const char *format, ...)
{
    struct pipe_guard guard;
    va_list args;

    assert(s->n_pending == 0);
    if (store_is_broken(s))
        return NULL;
    guard_pipe(&guard);
    va_start(args, format);
    void *r = redisvCommand(s->context, format, args);
    va_end(args);
    unguard_pipe(&guard, r == NULL);
    if (r == NULL)
        drop_context(s);
    return r;
}

struct store_reply *store_command_argv(struct store *s, const struct store_arg *args, size_t n_args)
{
    struct pipe_guard guard;
    void *r = NULL;

    assert(s->n_pending == 0);
    if (store_is_broken(s) || store_append(s, args, n_args) != 0)
        return NULL;
    guard_pipe(&guard);
    if (redisAppendFormattedCommand(s->context, s->out, s->out_len) != REDIS_OK ||
        redisGetReply(s->context, &r) != REDIS_OK) {
        drop_context(s);
        r = NULL;
    }
    unguard_pipe(&guard, r == NULL);
    s->out_len = s->n_pending = 0;
    return r;
}

/* A struct store_reply is hiredis's reply under another name; these are the only conversions. */
static const redisReply *native(const struct store_reply *r)
{
    return (const redisReply *)(const void *)r;
}

void store_reply_free(struct store_reply *r)
{
    if (r != NULL)
        freeReplyObject(r);
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

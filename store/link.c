/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A connection over a non-blocking socket. hiredis 0.14 knows neither TLS nor several servers, so sending, receiving
 * and waiting are ours, and so is the parsing of replies (resp.c).
 *
 * Sending and receiving go on at the same time: a server that stops reading because nobody takes its replies cannot
 * block us for ever. A time-out is silence: nothing could be sent and nothing came for so long. The time to connect
 * covers name, handshake and log-in together, except that a slow name server is not under our control (getaddrinfo).
 *
 * A failed link stays failed: what was applied of the commands without a reply is unknown, and a late reply can never
 * be taken for another command's.
 */

#include "store/link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "store/resp.h"
#include "store/store.h"

#define RECEIVE_BYTES    (64u << 10)
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_STEP_S 5
#define POLL_MAX         128 /* links that are waited for at once */

/* Owner: one thread. Invariant: awaited counts commands queued whose reply was not taken; failed <=> why is not "". */
struct link {
    int fd;
    struct tls_session *tls; /* NULL: plain */
    struct resp in;
    char *out; /* for the wire: [out_at, out_len) is not sent yet */
    size_t out_at, out_len, out_size;
    size_t awaited;
    uint64_t deadline_ms; /* while in an exchange */
    bool failed, is_replica;
    enum link_mode mode;
    struct error why;
    char shown[320];
};

uint64_t link_clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void link_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static int __attribute__((format(printf, 2, 3))) fail(struct link *l, const char *format, ...)
{
    va_list args;

    if (!l->failed) {
        va_start(args, format);
        vsnprintf(l->why.text, sizeof(l->why.text), format, args);
        va_end(args);
    }
    l->failed = true;
    return -EIO;
}

bool link_failed(const struct link *l)
{
    return l->failed;
}

const char *link_why(const struct link *l)
{
    return l->why.text;
}

enum link_mode link_mode(const struct link *l)
{
    return l->mode;
}

bool link_is_replica(const struct link *l)
{
    return l->is_replica;
}

const char *link_shown(const struct link *l)
{
    return l->shown;
}

/* ---- connecting ---- */

/* Waits until fd is ready; 0, -ETIMEDOUT or -errno. */
static int wait_fd(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = link_clock_ms();
        struct pollfd p = {.fd = fd, .events = events};
        if (now_ms >= deadline_ms)
            return -ETIMEDOUT;
        int n = poll(&p, 1, (int)(deadline_ms - now_ms));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* A connected socket, or -errno. A full backlog of a unix socket (EAGAIN) is waited for. */
static int connect_to(int family, const struct sockaddr *address, socklen_t len, uint64_t deadline_ms)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int code = 0;
    socklen_t code_len = sizeof(code);

    if (fd < 0)
        return -errno;
    while (connect(fd, address, len) != 0 && errno != EISCONN) {
        if (errno == EAGAIN && link_clock_ms() < deadline_ms) {
            link_sleep_ms(10);
            continue;
        }
        if (errno == EINTR)
            continue;
        code = errno == EINPROGRESS || errno == EALREADY ? -wait_fd(fd, POLLOUT, deadline_ms) : errno;
        if (code == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &code_len) != 0)
            code = errno;
        break;
    }
    if (code == 0)
        return fd;
    close(fd);
    return -code;
}

static int connect_unix(const char *path, uint64_t deadline_ms)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    return connect_to(AF_UNIX, (struct sockaddr *)&a, sizeof(a), deadline_ms);
}

static void tune_tcp(int fd)
{
    const int on = 1, idle = KEEPALIVE_IDLE_S, step = KEEPALIVE_STEP_S, tries = 3;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof(step));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
}

/* Tries each address of the name. ret_why is a text for messages. */
static int connect_tcp(const struct store_endpoint *at, uint64_t deadline_ms, const char **ret_why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    char port[8];
    int fd = -EHOSTUNREACH;

    snprintf(port, sizeof(port), "%u", at->port);
    int code = getaddrinfo(at->host, port, &hints, &list);
    if (code != 0) {
        *ret_why = gai_strerror(code);
        return -EHOSTUNREACH;
    }
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_to(a->ai_family, a->ai_addr, a->ai_addrlen, deadline_ms);
    freeaddrinfo(list);
    if (fd >= 0)
        tune_tcp(fd);
    return fd;
}

static int connect_socket(struct link *l, const struct store_endpoint *at, uint64_t deadline_ms, struct error *e)
{
    const char *why = NULL;
    bool is_unix = at->unix_path[0] != '\0';
    int fd = is_unix ? connect_unix(at->unix_path, deadline_ms) : connect_tcp(at, deadline_ms, &why);

    if (fd < 0)
        return error_set(e, fd, "no Redis at %s: %s; start it or give --redis", l->shown,
                         why != NULL ? why : strerror(-fd));
    l->fd = fd;
    return 0;
}

/* ---- bytes ---- */

/* Room for `more` bytes behind out_len. */
static int out_room(struct link *l, size_t more)
{
    if (l->out_at == l->out_len)
        l->out_at = l->out_len = 0;
    if (l->out_len + more <= l->out_size)
        return 0;
    size_t size = l->out_size != 0 ? l->out_size : 4096;
    while (size < l->out_len + more)
        size *= 2;
    char *out = realloc(l->out, size);
    if (out == NULL)
        return fail(l, "no memory to send");
    l->out = out;
    l->out_size = size;
    return 0;
}

/* What TLS wants to say goes behind what waits for the wire. */
static int drain_tls(struct link *l)
{
    size_t len;

    do {
        if (out_room(l, RECEIVE_BYTES) != 0)
            return -EIO;
        len = tls_take(l->tls, l->out + l->out_len, l->out_size - l->out_len);
        l->out_len += len;
    } while (len != 0);
    return 0;
}

/* Sends what the socket takes; sets *moved when it took something. */
static int send_some(struct link *l, bool *moved)
{
    while (l->out_at < l->out_len) {
        ssize_t n = send(l->fd, l->out + l->out_at, l->out_len - l->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n < 0)
            return fail(l, "%s", strerror(errno));
        l->out_at += (size_t)n;
        *moved = true;
    }
    return 0;
}

/* Decrypts what is there into the parser. */
static int feed_plain(struct link *l)
{
    char plain[16384];
    struct error e;

    for (;;) {
        ssize_t n = tls_read(l->tls, plain, sizeof(plain), &e);
        if (n == 0)
            return drain_tls(l);
        if (n < 0)
            return fail(l, "%s", e.text);
        if (resp_feed(&l->in, plain, (size_t)n) != 0)
            return fail(l, "no memory for a reply");
    }
}

/* Receives once; the bytes go to the parser, or to TLS alone while it shakes hands. */
static int receive_some(struct link *l, bool handshake, bool *moved)
{
    static _Thread_local char buf[RECEIVE_BYTES];
    ssize_t n;

    do {
        n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n < 0)
        return fail(l, "%s", strerror(errno));
    if (n == 0)
        return fail(l, "the server closed the connection");
    *moved = true;
    if (l->tls == NULL)
        return resp_feed(&l->in, buf, (size_t)n) == 0 ? 0 : fail(l, "no memory for a reply");
    if (tls_feed(l->tls, buf, (size_t)n) != 0)
        return fail(l, "no memory for TLS");
    return handshake ? 0 : feed_plain(l);
}

/* The next whole reply, or NULL. */
static redisReply *parse_reply(struct link *l)
{
    redisReply *reply = NULL;

    if (l->failed)
        return NULL;
    int result = resp_next(&l->in, &reply);
    if (result == -EPROTO)
        fail(l, "the server does not speak Redis's protocol: %s", l->in.why);
    else if (result != 0)
        fail(l, "no memory for a reply");
    return reply;
}

/* ---- TLS ---- */

static int shake_hands(struct link *l, uint64_t deadline_ms, struct error *e)
{
    struct error why = {""};
    bool moved;

    for (;;) {
        int result = tls_handshake(l->tls, &why);
        if (drain_tls(l) != 0 || send_some(l, &moved) != 0)
            return error_set(e, -EIO, "Redis at %s: %s", l->shown, l->why.text);
        if (result == 0)
            return 0;
        if (result != -EAGAIN)
            return error_set(e, result, "Redis at %.80s: %.160s", l->shown, why.text);
        result = wait_fd(l->fd, (short)(POLLIN | (l->out_at < l->out_len ? POLLOUT : 0)), deadline_ms);
        if (result != 0)
            return error_set(e, result, "Redis at %.150s: TLS handshake: %s; is it a TLS port?", l->shown,
                             strerror(-result));
        if (receive_some(l, true, &moved) != 0)
            return error_set(e, -EIO, "Redis at %s: TLS handshake: %s; is it a TLS port?", l->shown, l->why.text);
    }
}

/* ---- commands ---- */

int link_queue(struct link *l, const char *bytes, size_t len, size_t n_commands)
{
    if (l->failed)
        return -EIO;
    l->awaited += n_commands;
    if (l->tls == NULL) {
        if (out_room(l, len) != 0)
            return -EIO;
        memcpy(l->out + l->out_len, bytes, len);
        l->out_len += len;
        return 0;
    }
    struct error e;
    if (tls_write(l->tls, bytes, len, &e) != 0)
        return fail(l, "%s", e.text);
    return drain_tls(l);
}

/* Moves what can be moved on one link and hands over its replies. */
static void step(struct link *l, size_t index, short ready, unsigned timeout_ms,
                 void (*take)(void *, size_t, redisReply *), void *ctx)
{
    redisReply *r;
    bool moved = false;

    if (send_some(l, &moved) == 0 && (ready & (POLLIN | POLLERR | POLLHUP)) != 0)
        receive_some(l, false, &moved);
    while (l->awaited > 0 && (r = parse_reply(l)) != NULL) {
        l->awaited--;
        take(ctx, index, r);
    }
    if (moved)
        l->deadline_ms = link_clock_ms() + timeout_ms;
    else if (!l->failed && l->awaited > 0 && link_clock_ms() >= l->deadline_ms)
        fail(l, "no answer for %u ms", timeout_ms);
}

static bool is_busy(const struct link *l)
{
    return !l->failed && l->awaited > 0;
}

/* Up to POLL_MAX busy links from `first` on; returns how many, the milliseconds to wait in *ret_wait_ms. */
static size_t gather(struct link *const *links, size_t n, struct pollfd *p, size_t *which, int *ret_wait_ms)
{
    uint64_t now_ms = link_clock_ms(), next_ms = UINT64_MAX;
    size_t busy = 0;

    for (size_t i = 0; i < n && busy < POLL_MAX; i++) {
        const struct link *l = links[i];
        if (!is_busy(l))
            continue;
        p[busy] = (struct pollfd){.fd = l->fd, .events = (short)(POLLIN | (l->out_at < l->out_len ? POLLOUT : 0))};
        which[busy++] = i;
        if (l->deadline_ms < next_ms)
            next_ms = l->deadline_ms;
    }
    *ret_wait_ms = next_ms > now_ms ? (int)(next_ms - now_ms < 60000 ? next_ms - now_ms : 60000) : 0;
    return busy;
}

int links_exchange(struct link *const *links, size_t n, unsigned timeout_ms, void (*take)(void *, size_t, redisReply *),
                   void *ctx)
{
    struct pollfd p[POLL_MAX];
    size_t which[POLL_MAX], busy;
    int wait_ms, result = 0;

    for (size_t i = 0; i < n; i++) {
        links[i]->deadline_ms = link_clock_ms() + timeout_ms;
        if (is_busy(links[i]))
            step(links[i], i, 0, timeout_ms, take, ctx);
    }
    while ((busy = gather(links, n, p, which, &wait_ms)) != 0) {
        if (poll(p, busy, wait_ms) < 0 && errno != EINTR)
            for (size_t k = 0; k < busy; k++)
                fail(links[which[k]], "poll: %s", strerror(errno));
        for (size_t k = 0; k < busy; k++)
            if (is_busy(links[which[k]]))
                step(links[which[k]], which[k], p[k].revents, timeout_ms, take, ctx);
    }
    for (size_t i = 0; i < n; i++)
        if (links[i]->failed)
            result = -EIO;
    return result;
}

static void keep_reply(void *ctx, size_t index, redisReply *r)
{
    redisReply **keep = ctx;

    (void)index;
    *keep = r;
}

redisReply *link_call(struct link *l, int argc, const char *const *argv, unsigned timeout_ms)
{
    redisReply *r = NULL;
    char *text = NULL;
    int len = redisFormatCommandArgv(&text, argc, (const char **)(uintptr_t)argv, NULL);

    if (len < 0) {
        fail(l, "no memory for a command");
        return NULL;
    }
    int result = link_queue(l, text, (size_t)len, 1);
    explicit_bzero(text, (size_t)len); /* it may be a password */
    redisFreeCommand(text);
    if (result != 0)
        return NULL;
    links_exchange(&l, 1, timeout_ms, keep_reply, &r);
    if (l->out_at == l->out_len && l->tls == NULL && l->out != NULL)
        explicit_bzero(l->out, l->out_len);
    return r;
}

redisReply *link_glance(struct link *l)
{
    bool moved = false;

    if (l->failed)
        return NULL;
    redisReply *r = parse_reply(l);
    if (r == NULL && receive_some(l, false, &moved) == 0)
        r = parse_reply(l);
    return r;
}

/* ---- logging in ---- */

/* Runs a set-up command and turns every failure into one text. *ret may stay NULL for a reply nobody reads. */
static int setup(struct link *l, const struct link_options *o, int argc, const char *const *argv, const char *todo,
                 redisReply **ret, struct error *e)
{
    redisReply *r = link_call(l, argc, argv, o->command_timeout_ms);
    int code = 0;

    if (r == NULL)
        return error_set(e, -EIO, "Redis at %.80s: %s failed: %.80s; %s", l->shown, argv[0], l->why.text,
                         l->tls != NULL ? "does it ask for a client certificate (store.tls_cert)?"
                                        : "is it a Redis, and if its port speaks TLS, use rediss://");
    if (r->type == REDIS_REPLY_ERROR && ret == NULL) {
        enum store_fault fault = store_fault_of(r->str);
        bool passing = fault == STORE_FAULT_PASSING || fault == STORE_FAULT_DEMOTED;
        const char *known = store_fault_todo(r->str);
        code = error_set(e, passing ? -EAGAIN : -EACCES, "Redis at %.70s: %s refused: %.*s; %s", l->shown, argv[0],
                         store_fault_length(r->str), r->str, *known != '\0' ? known : todo);
    }
    if (ret != NULL)
        *ret = r;
    else
        free(r);
    return code;
}

/* The pairs of HELLO's answer. */
static void take_hello(struct link *l, const redisReply *r)
{
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        const redisReply *name = r->element[i], *value = r->element[i + 1];
        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
            continue;
        if (strcmp(name->str, "mode") == 0)
            l->mode = strcmp(value->str, "cluster") == 0    ? LINK_IN_CLUSTER
                      : strcmp(value->str, "sentinel") == 0 ? LINK_SENTINEL
                                                            : LINK_STANDALONE;
        else if (strcmp(name->str, "role") == 0)
            l->is_replica = strcmp(value->str, "master") != 0;
    }
}

static int log_in(struct link *l, const struct link_options *o, struct error *e)
{
    const char *const with_user[] = {"AUTH", o->user, o->password}, *const without[] = {"AUTH", o->password};
    const char *const hello[] = {"HELLO", "2"}, *const ping[] = {"PING"};
    bool password = o->password != NULL && o->password[0] != '\0', user = o->user != NULL && o->user[0] != '\0';
    redisReply *r = NULL;
    int result = 0;

    if (password)
        result = setup(l, o, user ? 3 : 2, user ? with_user : without, "check user and password", NULL, e);
    if (result == 0) {
        result = setup(l, o, 2, hello, "", &r, e);
        if (r != NULL)
            take_hello(l, r);
        if (r != NULL && r->type == REDIS_REPLY_ERROR && store_fault_of(r->str) == STORE_FAULT_PASSING)
            result = error_set(e, -EAGAIN, "Redis at %.100s: %.70s; %s", l->shown, r->str, store_fault_todo(r->str));
        free(r);
    }
    if (result == 0 && o->db != 0) {
        char db[12];
        snprintf(db, sizeof(db), "%u", o->db);
        const char *const select[] = {"SELECT", db};
        result = setup(l, o, 2, select, "use a database that the server has", NULL, e);
    }
    if (result == 0)
        result = setup(l, o, 1, ping, "give a user and password if the server asks for them", NULL, e);
    return result;
}

int link_open(const struct link_options *o, const struct store_endpoint *at, struct link **ret_link, struct error *e)
{
    uint64_t deadline_ms = link_clock_ms() + o->connect_timeout_ms;
    struct link *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return error_set(e, -ENOMEM, "no memory for a connection to Redis");
    l->fd = -1;
    resp_init(&l->in);
    store_endpoint_show(at, o->tls != NULL, l->shown, sizeof(l->shown));
    int result = connect_socket(l, at, deadline_ms, e);
    if (result == 0 && o->tls != NULL && at->unix_path[0] == '\0')
        result = tls_session_new(o->tls, at->host, &l->tls, e);
    if (result == 0 && l->tls != NULL)
        result = shake_hands(l, deadline_ms, e);
    if (result == 0)
        result = log_in(l, o, e);
    if (result != 0) {
        link_close(l);
        return result;
    }
    *ret_link = l;
    return 0;
}

void link_close(struct link *l)
{
    if (l == NULL)
        return;
    if (l->fd >= 0)
        close(l->fd);
    tls_session_free(l->tls);
    resp_fini(&l->in);
    free(l->out);
    free(l);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A small HTTP server (libmicrohttpd, one thread) in front of a bounded queue.
 *
 * The thread reads at most 1 MiB, checks the signature, parses, and queues the changes; control takes them between its
 * steps. A full queue answers 503, which all three systems try again. Answers: 204 taken, 400 not understood, 401 not
 * signed or wrongly, 404 no such system, 405 not POST, 413 too long. There is no TLS here: it is meant to listen on a
 * loopback address behind the web server that the house has, or in a network of its own; the signature protects what is
 * said, not that it is said.
 */

#include "control/hooks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/config.h"
#include "control/backsync.h"
#include "control/connectors/http.h"
#include "control/hook_parse.h"

#define BODY_BYTES   (1u << 20)
#define QUEUE_MOST   1024u
#define SECRET_BYTES 256u
#define TIMEOUT_S    10u
#define CONNECTIONS  32u

/* Owner: hooks_open's caller. queue and systems are guarded by lock; secrets do not change. */
struct hooks {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    char secret[HOOK_SYSTEM_COUNT][SECRET_BYTES]; /* "": not taken */
    struct {
        enum hook_system system;
        struct connector_change change;
    } * queue;
    size_t n;
};

/* A body on its way. */
struct upload {
    char *data;
    size_t len;
    bool too_long;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, status, r);

    MHD_destroy_response(r);
    return queued;
}

static enum hook_system system_of(const struct hooks *h, const char *path)
{
    enum hook_system s = 0;

    if (strncmp(path, "/hooks/", 7) != 0)
        return HOOK_SYSTEM_COUNT;
    while (s < HOOK_SYSTEM_COUNT && strcmp(path + 7, hook_system_name(s)) != 0)
        s++;
    return s < HOOK_SYSTEM_COUNT && h->secret[s][0] != '\0' ? s : HOOK_SYSTEM_COUNT;
}

/* All of it or nothing, so that a hook that is tried again is whole. */
static unsigned queue_changes(struct hooks *h, enum hook_system s, const struct connector_changes *changes)
{
    unsigned status = MHD_HTTP_NO_CONTENT;

    pthread_mutex_lock(&h->lock);
    if (h->n + changes->n > QUEUE_MOST) {
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
    } else {
        for (size_t i = 0; i < changes->n; i++) {
            h->queue[h->n].system = s;
            h->queue[h->n++].change = changes->item[i];
        }
    }
    pthread_mutex_unlock(&h->lock);
    return status;
}

static unsigned take(struct hooks *h, struct MHD_Connection *connection, const char *path, const char *method,
                     const struct upload *u)
{
    enum hook_system s = system_of(h, path);
    struct connector_changes changes = {0};
    const char *body = u->data != NULL ? u->data : "";

    if (s == HOOK_SYSTEM_COUNT)
        return MHD_HTTP_NOT_FOUND;
    if (strcmp(method, "POST") != 0)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    if (u->too_long)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, hook_system_header(s));
    if (!hook_verify(s, h->secret[s], header, body, u->len))
        return MHD_HTTP_UNAUTHORIZED;
    int rc = hook_parse(s, body, u->len, &changes);
    unsigned status = rc == 0         ? queue_changes(h, s, &changes)
                      : rc == -ENOMEM ? MHD_HTTP_SERVICE_UNAVAILABLE
                                      : MHD_HTTP_BAD_REQUEST;
    connector_changes_fini(&changes);
    return status;
}

static void take_bytes(struct upload *u, const char *data, size_t len)
{
    char *grown = u->len + len <= BODY_BYTES ? realloc(u->data, u->len + len + 1) : NULL;

    if (grown == NULL) {
        u->too_long = true;
        return;
    }
    memcpy(grown + u->len, data, len);
    u->data = grown;
    u->len += len;
    u->data[u->len] = '\0';
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    struct upload *u = *state;

    (void)version;
    if (u == NULL) {
        *state = calloc(1, sizeof(*u));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        if (!u->too_long)
            take_bytes(u, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return answer(connection, take(ctx, connection, path, method, u));
}

static void on_end(void *ctx, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    struct upload *u = *state;

    (void)ctx;
    (void)connection;
    (void)code;
    if (u != NULL)
        free(u->data);
    free(u);
    *state = NULL;
}

/* "127.0.0.1:8086", "[::1]:8086" */
static int listen_on(struct hooks *h, const char *text, struct error *e)
{
    char host[200];
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host))
        return error_set(e, -EINVAL, "tickets.hooks wants address:port, such as 127.0.0.1:8086");
    bool brackets = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - (brackets ? 2 : 0), text + (brackets ? 1 : 0));
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return error_set(e, -EINVAL, "tickets.hooks: '%.100s' is no address and port", text);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | (found->ai_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0);
    h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_SOCK_ADDR, found->ai_addr,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
                                 MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_END);
    freeaddrinfo(found);
    return h->daemon != NULL ? 0 : error_set(e, -EADDRINUSE, "tickets.hooks: cannot listen on %.100s", text);
}

/* 0 with "" where none is configured. */
static int read_secret(const struct config *config, enum hook_system s, char ret[SECRET_BYTES], struct error *e)
{
    static const char *const names[HOOK_SYSTEM_COUNT] = {
        "tickets.zammad.hook_secret_file", "tickets.jira.hook_secret_file", "tickets.pagerduty.hook_secret_file"};
    const char *path = config_string(config, names[s]);

    ret[0] = '\0';
    return path[0] != '\0' ? http_secret(names[s], path, "", ret, SECRET_BYTES, e) : 0;
}

int hooks_open(const struct config *config, struct hooks **ret, struct error *e)
{
    const char *where = config_string(config, "tickets.hooks");
    int rc = 0, secrets = 0;

    *ret = NULL;
    if (where[0] == '\0')
        return 0;
    struct hooks *h = calloc(1, sizeof(*h));
    if (h != NULL)
        h->queue = calloc(QUEUE_MOST, sizeof(*h->queue));
    if (h == NULL || h->queue == NULL) {
        free(h);
        return error_set(e, -ENOMEM, "no memory for webhooks");
    }
    pthread_mutex_init(&h->lock, NULL);
    for (enum hook_system s = 0; rc == 0 && s < HOOK_SYSTEM_COUNT; s++) {
        rc = read_secret(config, s, h->secret[s], e);
        secrets += h->secret[s][0] != '\0';
    }
    if (rc == 0 && secrets == 0)
        rc = error_set(e, -EINVAL, "tickets.hooks listens for nobody: no hook_secret_file is configured");
    rc = rc == 0 ? listen_on(h, where, e) : rc;
    if (rc != 0) {
        hooks_close(h);
        return rc;
    }
    *ret = h;
    return 0;
}

void hooks_close(struct hooks *h)
{
    if (h == NULL)
        return;
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon);
    OPENSSL_cleanse(h->secret, sizeof(h->secret));
    pthread_mutex_destroy(&h->lock);
    free(h->queue);
    free(h);
}

unsigned hooks_port(const struct hooks *h)
{
    return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

int hooks_run(struct hooks *h, struct control *c, struct error *e)
{
    size_t n;

    if (h == NULL)
        return 0;
    pthread_mutex_lock(&h->lock);
    n = h->n;
    for (size_t i = 0; i < n; i++)
        backsync_apply(c, hook_system_name(h->queue[i].system), &h->queue[i].change);
    h->n = 0;
    pthread_mutex_unlock(&h->lock);
    int rc = n > 0 ? control_commit(c, e) : 0;
    return rc == 0 ? (int)n : rc;
}

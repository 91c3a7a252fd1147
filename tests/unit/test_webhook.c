/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The webhook against a real HTTP server that keeps its own books: signatures, retries with one id, what statuses and
 * time-outs mean, and that a kill between sending and recording doubles nothing a receiver can tell apart.
 */

#include <jansson.h>
#include <microhttpd.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <sys/wait.h>
#include "control/connectors/webhook.h"
#include "tests/unit/control_fixture.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

struct post {
    char id[128], timestamp[32], signature[128], title[300], type[32];
    bool verified;
};

/* Statuses to answer with, then 200; 0 = close without an answer. */
struct server {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    int status[32];
    unsigned n_status, n_posts;
    const char *retry_after, *location;
    struct post post[64];
    unsigned port;
};

struct upload {
    char data[32768];
    size_t len;
};

static void header(struct MHD_Connection *c, const char *name, char *ret, size_t size)
{
    const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);

    snprintf(ret, size, "%s", v != NULL ? v : "");
}

/* An independent verification: the key is the base64 after the prefix, the text id.timestamp.body. */
static bool verify(const struct post *p, const struct upload *u)
{
    unsigned char key[64], digest[32];
    unsigned char encoded[64] = "v1,";
    char text[40000];
    unsigned len = 0;

    int n = EVP_DecodeBlock(key, (const unsigned char *)SECRET + 6, (int)strlen(SECRET) - 6);
    int text_len = snprintf(text, sizeof(text), "%s.%s.%.*s", p->id, p->timestamp, (int)u->len, u->data);
    HMAC(EVP_sha256(), key, n, (unsigned char *)text, (size_t)text_len, digest, &len);
    EVP_EncodeBlock(encoded + 3, digest, (int)len);
    return strcmp((char *)encoded, p->signature) == 0;
}

static void take_post(struct server *s, struct MHD_Connection *c, const struct upload *u)
{
    struct post *p = &s->post[s->n_posts < 63 ? s->n_posts : 63];
    json_t *j = json_loadb(u->data, u->len, 0, NULL);

    header(c, "webhook-id", p->id, sizeof(p->id));
    header(c, "webhook-timestamp", p->timestamp, sizeof(p->timestamp));
    header(c, "webhook-signature", p->signature, sizeof(p->signature));
    p->verified = verify(p, u);
    if (j != NULL) {
        snprintf(p->type, sizeof(p->type), "%s", json_string_value(json_object_get(j, "type")));
        snprintf(p->title, sizeof(p->title), "%s",
                 json_string_value(json_object_get(json_object_get(j, "data"), "title")));
        json_decref(j);
    }
    s->n_posts++;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    struct server *s = ctx;
    struct upload *u = *state;

    (void)url;
    (void)method;
    (void)version;
    if (u == NULL) {
        *state = calloc(1, sizeof(struct upload));
        return MHD_YES;
    }
    if (*size > 0) {
        if (u->len + *size <= sizeof(u->data)) {
            memcpy(u->data + u->len, data, *size);
            u->len += *size;
        }
        *size = 0;
        return MHD_YES;
    }
    pthread_mutex_lock(&s->lock);
    int status = s->n_posts < s->n_status ? s->status[s->n_posts] : 200;
    take_post(s, c, u);
    pthread_mutex_unlock(&s->lock);
    free(u);
    *state = NULL;
    if (status == 0)
        return MHD_NO; /* the connection closes without an answer */
    struct MHD_Response *r = MHD_create_response_from_buffer(2, (void *)"ok", MHD_RESPMEM_PERSISTENT);
    if (s->retry_after != NULL)
        MHD_add_response_header(r, "Retry-After", s->retry_after);
    if (s->location != NULL)
        MHD_add_response_header(r, "Location", s->location);
    enum MHD_Result queued = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return queued;
}

static void server_start(struct server *s)
{
    pthread_mutex_init(&s->lock, NULL);
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, s, MHD_OPTION_END);
    ck_assert_ptr_nonnull(s->daemon);
    s->port = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void server_stop(struct server *s)
{
    MHD_stop_daemon(s->daemon);
    pthread_mutex_destroy(&s->lock);
}

static void write_secret(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

struct hook {
    struct outbox_connector x;
    char secret[128];
};

static void hook_open(struct hook *h, const struct fixture *f, unsigned port)
{
    char url[64];
    struct error e = {""};

    snprintf(h->secret, sizeof(h->secret), "%s/secret", f->dir);
    write_secret(h->secret, SECRET "\n");
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", port);
    h->x.plug = &connector_webhook;
    ck_assert_msg(webhook_new(NULL, url, h->secret, &h->x.ctx, h->x.settings_hash, &e) == 0, "%s", e.text);
}

static void start_filing(struct fixture *f)
{
    fixture_start(f);
    f->options.dry_run = false;
    f->options.connector = "webhook";
    fixture_reopen(f);
}

static void incident(struct fixture *f, const char *name)
{
    fixture_until(f, name, f->now_ns + 60 * MIN_NS, 0);
    fixture_until(f, name, f->now_ns + 20 * MIN_NS, 0.10);
    fixture_commit(f);
}

static int deliver(struct fixture *f, struct hook *h, uint64_t now_ns)
{
    struct error e = {""};
    int n = outbox_deliver(f->c, &h->x, now_ns, 100, &e);

    ck_assert_msg(n >= 0, "%s", e.text);
    return n;
}

START_TEST(signed_created_updated_closed)
{
    struct fixture f;
    struct hook h;
    struct server s = {0};

    start_filing(&f);
    server_start(&s);
    hook_open(&h, &f, s.port);
    incident(&f, "A~B");
    ck_assert_int_eq(deliver(&f, &h, NS_PER_S), 1);
    fixture_until(&f, "A~B", f.now_ns + 30 * MIN_NS, 0);
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.10); /* reopened: an update */
    fixture_commit(&f);
    ck_assert_int_eq(deliver(&f, &h, NS_PER_S), 1);
    fixture_until(&f, "A~B", f.now_ns + 60 * MIN_NS, 0);
    fixture_commit(&f);
    ck_assert_int_eq(deliver(&f, &h, NS_PER_S), 1);
    ck_assert_uint_eq(s.n_posts, 3);
    ck_assert_str_eq(s.post[0].type, "ticket.created");
    ck_assert_str_eq(s.post[1].type, "ticket.updated");
    ck_assert_str_eq(s.post[2].type, "ticket.closed");
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(s.post[i].verified);
        ck_assert_uint_eq(strlen(s.post[i].id), 64);
        ck_assert_int_gt(atoll(s.post[i].timestamp), 1700000000);
    }
    ck_assert_str_eq(s.post[0].title, "A ↔ B: loss towards A, since 2026-09-28 01:00");
    h.x.plug->close(h.x.ctx);
    server_stop(&s);
    fixture_stop(&f);
}
END_TEST

START_TEST(retries_keep_their_id)
{
    struct fixture f;
    struct hook h;
    struct server s = {.n_status = 4, .status = {500, 0, 302, 429}, .location = "http://127.0.0.1:1/elsewhere"};
    uint64_t now = NS_PER_S;

    start_filing(&f);
    server_start(&s);
    hook_open(&h, &f, s.port);
    incident(&f, "A~B");
    unsigned tries = 0;
    while (deliver(&f, &h, now) == 1) { /* libcurl repeats by itself what a reused connection swallowed */
        now += 3600 * NS_PER_S;
        tries++;
    }
    ck_assert_uint_ge(tries, 4);
    ck_assert_uint_eq(s.n_posts, 5); /* four failures and the success */
    for (unsigned i = 1; i < s.n_posts; i++) {
        ck_assert_str_eq(s.post[i].id, s.post[0].id);
        ck_assert(s.post[i].verified);
    }
    h.x.plug->close(h.x.ctx);
    server_stop(&s);
    fixture_stop(&f);
}
END_TEST

START_TEST(statuses_mean_what_they_say)
{
    static const struct {
        int status;
        enum connector_outcome outcome;
    } rows[] = {{200, CONNECTOR_DONE},    {204, CONNECTOR_DONE},    {301, CONNECTOR_RETRY},   {400, CONNECTOR_REFUSED},
                {401, CONNECTOR_PAUSE},   {403, CONNECTOR_PAUSE},   {404, CONNECTOR_REFUSED}, {408, CONNECTOR_RETRY},
                {410, CONNECTOR_DISABLE}, {422, CONNECTOR_REFUSED}, {429, CONNECTOR_RETRY},   {503, CONNECTOR_RETRY}};
    struct fixture f;
    struct hook h;
    struct server s = {.n_status = sizeof(rows) / sizeof(rows[0]), .retry_after = "17"};
    struct connector_request r = {.key = "k", .ticket = "TKT-1", .title = "t", .body = "b", .remote_id = ""};
    struct connector_answer a;

    for (unsigned i = 0; i < s.n_status; i++)
        s.status[i] = rows[i].status;
    fixture_start(&f);
    server_start(&s);
    hook_open(&h, &f, s.port);
    for (unsigned i = 0; i < s.n_status; i++) {
        h.x.plug->send(h.x.ctx, &r, &a);
        ck_assert_msg(a.outcome == rows[i].outcome, "%d: %d", rows[i].status, (int)a.outcome);
        ck_assert_int_eq(a.http_status, rows[i].status);
        ck_assert_uint_eq(a.retry_after_ns, 17 * NS_PER_S);
    }
    server_stop(&s);
    h.x.plug->send(h.x.ctx, &r, &a); /* nobody there */
    ck_assert_int_eq(a.outcome, CONNECTOR_RETRY);
    ck_assert_int_eq(a.http_status, 0);
    h.x.plug->close(h.x.ctx);
    fixture_stop(&f);
}
END_TEST

/* Killed after the server has taken the request and before that is recorded: the same id comes again. */
START_TEST(kill_in_the_middle)
{
    struct fixture f;
    struct hook h;
    struct server s = {0};
    struct error e = {""};

    start_filing(&f);
    server_start(&s);
    hook_open(&h, &f, s.port);
    incident(&f, "A~B");
    control_close(f.c);
    f.c = NULL;
    pid_t child = fork();
    if (child == 0) {
        struct fixture mine = f;
        struct hook own;
        mine.store = connect_redis(store_private_url(f.redis));
        fixture_reopen(&mine);
        hook_open(&own, &mine, s.port);
        outbox_deliver(mine.c, &own.x, NS_PER_S, 100, &e);
        _exit(0);
    }
    for (int i = 0; i < 2000; i++) { /* as soon as the server has it */
        pthread_mutex_lock(&s.lock);
        unsigned n = s.n_posts;
        pthread_mutex_unlock(&s.lock);
        if (n > 0)
            break;
        usleep(200);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    fixture_reopen(&f);
    deliver(&f, &h, 3600 * NS_PER_S); /* sends again, or finds it recorded: both are right */
    ck_assert_int_eq(deliver(&f, &h, 7200 * NS_PER_S), 0);
    ck_assert_uint_ge(s.n_posts, 1);
    ck_assert_uint_le(s.n_posts, 2);
    for (unsigned i = 1; i < s.n_posts; i++)
        ck_assert_str_eq(s.post[i].id, s.post[0].id);
    h.x.plug->close(h.x.ctx);
    server_stop(&s);
    fixture_stop(&f);
}
END_TEST

START_TEST(secrets)
{
    unsigned char key[64];
    size_t len = 0;
    char hash[FINGERPRINT_BYTES], other[FINGERPRINT_BYTES], path[128];
    struct fixture f;
    struct error e = {""};
    void *ctx;

    ck_assert_int_eq(webhook_secret_parse(SECRET, strlen(SECRET), key, &len), 0);
    ck_assert_uint_eq(len, 24);
    static const char *const bad[] = {"",
                                      "whsec_",
                                      "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                      "whsec_short",
                                      "whsec_AAAA",
                                      "whsec_####9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(webhook_secret_parse(bad[i], strlen(bad[i]), key, &len), -EINVAL);
    fixture_start(&f);
    snprintf(path, sizeof(path), "%s/secret", f.dir);
    ck_assert_int_eq(webhook_new(NULL, "https://h/", path, &ctx, hash, &e), -ENOENT);
    write_secret(path, "whsec_AAAA");
    ck_assert_int_eq(webhook_new(NULL, "https://h/", path, &ctx, hash, &e), -EINVAL);
    ck_assert_ptr_null(strstr(e.text, "AAAA")); /* never in a message */
    ck_assert_int_eq(webhook_new(NULL, "file:///etc/passwd", "", &ctx, hash, &e), -EINVAL);
    write_secret(path, SECRET);
    ck_assert_int_eq(webhook_new(NULL, "https://h/", path, &ctx, hash, &e), 0);
    connector_webhook.close(ctx);
    ck_assert_int_eq(webhook_new(NULL, "https://h/", "", &ctx, other, &e), 0);
    connector_webhook.close(ctx);
    ck_assert_str_ne(hash, other);
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("webhook", signed_created_updated_closed, retries_keep_their_id, statuses_mean_what_they_say,
          kill_in_the_middle, secrets)

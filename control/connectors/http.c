/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The connectors' way to the network: libcurl's easy interface, one handle for each system.
 *
 * A request that may change something goes over a connection of its own (FRESH_CONNECT): libcurl repeats a request by
 * itself when a kept connection turns out to be dead before the first byte of an answer, and a server that died after
 * it had created a ticket would create a second one. GETs reuse the connection.
 *
 * What was sent and what was not: libcurl's codes up to the connection and the TLS handshake mean that no byte of the
 * request has left; every later one leaves it open. Retry-After is read as seconds or as an HTTP date (RFC
 * 9110, 10.2.3), at most a day. Answers are kept up to HTTP_ANSWER_BYTES.
 *
 * Secrets live in the headers' list and in libcurl's handle; they are wiped where they are ours, and appear in no
 * message: libcurl's texts name hosts and codes only. A stop flag of the calling thread ends a request within a second,
 * so that the program can end while a system is slow.
 */

#include "control/connectors/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "common/bytes.h"
#include "common/timefmt.h"

#define CONNECT_TIMEOUT_MS 5000L
#define DEFAULT_TIMEOUT_MS 15000L
#define RETRY_AFTER_MOST_S 86400
#define HEADERS            8u
#define SECRET_BYTES       1024u

/* Owner: a connector. Headers are whole lines; those that hold secrets are wiped on free. */
struct http {
    CURL *curl;
    char base[1024];
    char ca_file[1024], proxy[1024];
    long timeout_ms;
    char *header[HEADERS];
    unsigned n_headers;
    char *user, *password;
};

static _Thread_local const atomic_bool *stop;

void http_stop_flag(const atomic_bool *flag)
{
    stop = flag;
}

struct connector_change *connector_changes_add(struct connector_changes *c)
{
    if (c->n == c->room) {
        size_t room = c->room == 0 ? 16 : c->room * 2;
        struct connector_change *grown = realloc(c->item, room * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        c->item = grown;
        c->room = room;
    }
    c->item[c->n] = (struct connector_change){.state = REMOTE_UNKNOWN};
    return &c->item[c->n++];
}

void connector_changes_fini(struct connector_changes *c)
{
    free(c->item);
    *c = (struct connector_changes){0};
}

static void wipe(char *text)
{
    if (text != NULL)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

int http_open_endpoint(const struct config *config, const char *what, const char *url, struct http **ret,
                       struct error *e)
{
    struct http *h;

    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return error_set(e, -EINVAL, "%s must begin with https:// or http://", what);
    if (strlen(url) >= sizeof(h->base) || strpbrk(url, "# ") != NULL)
        return error_set(e, -EINVAL, "%s must be an address of at most %zu characters", what, sizeof(h->base) - 1);
    h = calloc(1, sizeof(*h));
    if (h == NULL)
        return error_set(e, -ENOMEM, "no memory for %s", what);
    snprintf(h->base, sizeof(h->base), "%s", url);
    h->timeout_ms = DEFAULT_TIMEOUT_MS;
    if (config != NULL) {
        h->timeout_ms = (long)(config_u64(config, "tickets.timeout") / NS_PER_MS);
        snprintf(h->ca_file, sizeof(h->ca_file), "%s", config_string(config, "tickets.ca_file"));
        snprintf(h->proxy, sizeof(h->proxy), "%s", config_string(config, "tickets.proxy"));
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    h->curl = curl_easy_init();
    if (h->curl == NULL) {
        free(h);
        return error_set(e, -ENOMEM, "libcurl cannot start");
    }
    *ret = h;
    return 0;
}

int http_open(const struct config *config, const char *what, const char *base_url, struct http **ret, struct error *e)
{
    if (strchr(base_url, '?') != NULL)
        return error_set(e, -EINVAL, "%s must be an address without a query", what);
    int rc = http_open_endpoint(config, what, base_url, ret, e);
    for (size_t len = rc == 0 ? strlen((*ret)->base) : 0; len > 0 && (*ret)->base[len - 1] == '/'; len--)
        (*ret)->base[len - 1] = '\0';
    return rc;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    curl_easy_cleanup(h->curl);
    for (unsigned i = 0; i < h->n_headers; i++)
        wipe(h->header[i]);
    wipe(h->user);
    wipe(h->password);
    free(h);
}

const char *http_base(const struct http *h)
{
    return h->base;
}

static int secret_from_file(const char *what, const char *path, char *ret, size_t size, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, size);
    int code = errno;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return error_set(e, -code, "%s %.120s: %s", what, path, strerror(code));
    size_t len = 0;
    while (len < (size_t)n && ret[len] != '\n' && ret[len] != '\r')
        len++;
    if (len == 0 || len == size) {
        OPENSSL_cleanse(ret, size);
        return error_set(e, -EINVAL, "%s %.120s: %s", what, path,
                         len == 0 ? "the first line is empty" : "the first line is too long");
    }
    ret[len] = '\0';
    return 0;
}

int http_secret(const char *what, const char *path, const char *env, char *ret, size_t size, struct error *e)
{
    const char *value;

    ret[0] = '\0';
    if (path[0] != '\0')
        return secret_from_file(what, path, ret, size, e);
    value = env != NULL ? getenv(env) : NULL;
    if (value == NULL || value[0] == '\0')
        return error_set(e, -ENOENT, "%s is not set, nor is the environment variable %s", what,
                         env != NULL ? env : "(none)");
    if (strlen(value) >= size || strpbrk(value, "\r\n") != NULL)
        return error_set(e, -EINVAL, "the environment variable %s is too long or has line ends", env);
    snprintf(ret, size, "%s", value);
    return 0;
}

int http_add_header(struct http *h, const char *line)
{
    if (h->n_headers == HEADERS)
        return -E2BIG;
    h->header[h->n_headers] = strdup(line);
    return h->header[h->n_headers] != NULL ? (h->n_headers++, 0) : -ENOMEM;
}

int http_basic(struct http *h, const char *user, const char *password)
{
    h->user = strdup(user);
    h->password = strdup(password);
    return h->user != NULL && h->password != NULL ? 0 : -ENOMEM;
}

int http_token(struct http *h, const struct config *config, const char *what, const char *env, const char *header,
               char hash[FINGERPRINT_BYTES], struct error *e)
{
    char secret[SECRET_BYTES], line[SECRET_BYTES + 64];
    int rc = http_secret(what, config_string(config, what), env, secret, sizeof(secret), e);

    if (rc != 0)
        return rc;
    snprintf(line, sizeof(line), "%.60s%s", header, secret);
    rc = http_add_header(h, line);
    http_hash(hash, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(line, sizeof(line));
    return rc == 0 ? 0 : error_set(e, rc, "no memory for %s", what);
}

int http_login(struct http *h, const struct config *config, const char *what, const char *env, const char *user,
               char hash[FINGERPRINT_BYTES], struct error *e)
{
    char secret[SECRET_BYTES];
    int rc = http_secret(what, config_string(config, what), env, secret, sizeof(secret), e);

    if (rc != 0)
        return rc;
    rc = http_basic(h, user, secret);
    http_hash(hash, user);
    http_hash(hash, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    return rc == 0 ? 0 : error_set(e, rc, "no memory for %s", what);
}

void http_hash(char hash[FINGERPRINT_BYTES], const char *text)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char digest[32];
    unsigned len = 0;

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, hash, strlen(hash)) != 1 || EVP_DigestUpdate(ctx, "|", 1) != 1 ||
        EVP_DigestUpdate(ctx, text, strlen(text)) != 1 || EVP_DigestFinal_ex(ctx, digest, &len) != 1)
        abort(); /* libcrypto without SHA-256 cannot run this program */
    EVP_MD_CTX_free(ctx);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}

/* --- one request --- */

struct transfer {
    struct http_answer *a;
    size_t room;
    bool cut;
};

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct http_answer *a = t->a;
    size_t bytes = size * n;

    if (a->len + bytes > HTTP_ANSWER_BYTES) {
        t->cut = true;
        return 0;
    }
    if (a->len + bytes + 1 > t->room) {
        size_t room = (a->len + bytes + 1) * 2;
        char *grown = realloc(a->body, room);
        if (grown == NULL)
            return 0;
        a->body = grown;
        t->room = room;
    }
    memcpy(a->body + a->len, data, bytes);
    a->len += bytes;
    a->body[a->len] = '\0';
    return bytes;
}

/* Seconds, or a date; at most a day. */
static uint64_t retry_after(const char *value)
{
    char *end;
    long long s = strtoll(value, &end, 10);

    if (end == value) {
        time_t when = curl_getdate(value, NULL);
        s = when == -1 ? 0 : (long long)(when - time(NULL));
    }
    s = s < 0 ? 0 : s > RETRY_AFTER_MOST_S ? RETRY_AFTER_MOST_S : s;
    return (uint64_t)s * NS_PER_S;
}

/* Copies the value when the line has that name: true. */
static bool header_value(const char *line, size_t len, const char *name, char *ret, size_t size)
{
    size_t skip = strlen(name), n = 0;

    if (len <= skip || strncasecmp(line, name, skip) != 0)
        return false;
    while (skip < len && (line[skip] == ' ' || line[skip] == '\t'))
        skip++;
    while (skip + n < len && n + 1 < size && line[skip + n] != '\r' && line[skip + n] != '\n') {
        ret[n] = line[skip + n];
        n++;
    }
    ret[n] = '\0';
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * n;
    char value[64];

    if (header_value(line, len, "retry-after:", value, sizeof(value)))
        t->a->retry_after_ns = retry_after(value);
    header_value(line, len, "etag:", t->a->etag, sizeof(t->a->etag));
    header_value(line, len, "location:", t->a->location, sizeof(t->a->location));
    return len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const atomic_bool *flag = ctx;

    (void)a, (void)b, (void)c, (void)d;
    return flag != NULL && atomic_load(flag);
}

static bool is_read(const struct http_request *q)
{
    return strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
}

static void classify_status(const struct http_request *q, struct http_answer *a)
{
    long s = a->status;

    snprintf(a->text, sizeof(a->text), "HTTP status %ld", s);
    if (s >= 200 && s < 300)
        a->outcome = CONNECTOR_DONE;
    else if (s == 401 || s == 403)
        a->outcome = CONNECTOR_PAUSE;
    else if (s == 410)
        a->outcome = CONNECTOR_DISABLE;
    else if (s >= 500)
        a->outcome = s == 503 || is_read(q) ? CONNECTOR_RETRY : CONNECTOR_DOUBT;
    else if (s == 408 || s == 425 || s == 429 || s < 400)
        a->outcome = CONNECTOR_RETRY; /* 3xx: a move that somebody has to confirm in the configuration */
    else
        a->outcome = CONNECTOR_REFUSED;
}

static void classify_error(CURL *curl, const struct http_request *q, CURLcode code, struct http_answer *a)
{
    curl_off_t sending_us = 0;

    curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &sending_us);
    snprintf(a->text, sizeof(a->text), "%s", curl_easy_strerror(code));
    a->outcome = CONNECTOR_RETRY;
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        break; /* no byte of the request has left */
    default:
        if (!is_read(q) && sending_us > 0) /* 0: connecting is as far as it came */
            a->outcome = CONNECTOR_DOUBT;
        break;
    }
}

static struct curl_slist *make_headers(const struct http *h, const struct http_request *q)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char line[256];

    if (q->json != NULL || q->type != NULL) {
        snprintf(line, sizeof(line), "Content-Type: %s", q->json != NULL ? "application/json" : q->type);
        list = curl_slist_append(list, line);
    }
    list = curl_slist_append(list, "Accept: application/json");
    for (unsigned i = 0; i < h->n_headers; i++)
        list = curl_slist_append(list, h->header[i]);
    for (unsigned i = 0; i < sizeof(q->header) / sizeof(q->header[0]) && q->header[i] != NULL; i++)
        list = curl_slist_append(list, q->header[i]);
    return list;
}

static curl_mime *make_parts(const struct http *h, const struct http_request *q)
{
    curl_mime *mime = q->n_parts > 0 ? curl_mime_init(h->curl) : NULL;

    for (size_t i = 0; mime != NULL && i < q->n_parts; i++) {
        curl_mimepart *part = curl_mime_addpart(mime);
        curl_mime_name(part, q->part[i].name);
        curl_mime_data(part, q->part[i].data, q->part[i].len);
        if (q->part[i].filename != NULL)
            curl_mime_filename(part, q->part[i].filename);
        if (q->part[i].type != NULL)
            curl_mime_type(part, q->part[i].type);
    }
    return mime;
}

static void set_common(const struct http *h, const char *url, struct transfer *t)
{
    CURL *curl = h->curl;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, h->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "spanward/" SPANWARD_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)stop);
    if (h->ca_file[0] != '\0')
        curl_easy_setopt(curl, CURLOPT_CAINFO, h->ca_file);
    if (h->proxy[0] != '\0')
        curl_easy_setopt(curl, CURLOPT_PROXY, h->proxy);
    if (h->user != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, h->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, h->password);
    }
}

static void set_body(const struct http *h, const struct http_request *q, const char *json, curl_mime *mime)
{
    CURL *curl = h->curl;
    const void *body = json != NULL ? (const void *)json : q->body;
    size_t len = json != NULL ? strlen(json) : q->len;

    if (mime != NULL) {
        curl_easy_setopt(curl, CURLOPT_MIMEPOST, mime);
    } else if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    } else if (strcmp(q->method, "POST") == 0 || strcmp(q->method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, is_read(q) ? 0L : 1L);
}

void http_do(struct http *h, const struct http_request *q, struct http_answer *ret)
{
    struct transfer t = {.a = ret};
    char url[4096];
    char *json = q->json != NULL ? json_dumps(q->json, JSON_COMPACT) : NULL;

    *ret = (struct http_answer){.outcome = CONNECTOR_RETRY};
    if ((q->json != NULL && json == NULL) ||
        (size_t)snprintf(url, sizeof(url), "%s%s", h->base, q->path) >= sizeof(url)) {
        snprintf(ret->text, sizeof(ret->text), "the request does not fit");
        free(json);
        return;
    }
    struct curl_slist *headers = make_headers(h, q);
    set_common(h, url, &t);
    curl_mime *mime = make_parts(h, q);
    set_body(h, q, json, mime);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(h->curl);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    if (code == CURLE_OK || (t.cut && ret->status != 0))
        classify_status(q, ret);
    else
        classify_error(h->curl, q, code, ret);
    if (ret->body != NULL && !t.cut)
        ret->json = json_loadb(ret->body, ret->len, JSON_DECODE_ANY, NULL);
    curl_easy_reset(h->curl); /* forgets what belongs to this call */
    curl_mime_free(mime);
    for (struct curl_slist *i = headers; i != NULL; i = i->next)
        OPENSSL_cleanse(i->data, strlen(i->data));
    curl_slist_free_all(headers);
    free(json);
}

void http_answer_fini(struct http_answer *a)
{
    json_decref(a->json);
    free(a->body);
    a->json = NULL;
    a->body = NULL;
}

void http_to_answer(const struct http_answer *a, struct connector_answer *ret)
{
    ret->outcome = a->outcome;
    ret->http_status = a->status;
    ret->retry_after_ns = a->retry_after_ns;
    snprintf(ret->text, sizeof(ret->text), "%s", a->text);
}

void http_reason(struct http_answer *a, const char *reason)
{
    char safe[160];
    size_t len = strlen(a->text);

    text_escape(safe, sizeof(safe), reason, strnlen(reason, 120));
    if (safe[0] != '\0')
        snprintf(a->text + len, sizeof(a->text) - len, ": %s", safe);
}

char *http_encode(char *ret, size_t size, const char *text)
{
    size_t at = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (isalnum(*p) || strchr("-._~", *p) != NULL) {
            if (at + 2 > size)
                break;
            ret[at++] = (char)*p;
        } else {
            if (at + 4 > size)
                break;
            snprintf(ret + at, 4, "%%%02X", *p);
            at += 3;
        }
    }
    ret[at] = '\0';
    return ret;
}

const char *http_string(const json_t *j, const char *name)
{
    static _Thread_local char numbers[8][24]; /* one call's arguments are alive together */
    static _Thread_local unsigned turn;
    const json_t *v = json_object_get(j, name);
    char *number = numbers[turn++ % 8];

    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_integer(v)) {
        snprintf(number, sizeof(numbers[0]), "%lld", (long long)json_integer_value(v));
        return number;
    }
    return "";
}

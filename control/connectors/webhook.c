/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Standard Webhooks 1.0 (standardwebhooks.com, specification of 2023): one POST per row.
 *
 * webhook-id is the row's key, so it is the same for every try and receivers can drop repeats. webhook-timestamp is the
 * time of the try. webhook-signature is "v1," and base64 of HMAC-SHA256 over "id.timestamp.body"; the secret is base64
 * after "whsec_", 24 to 64 bytes, read from a file. 2xx is success; 3xx is a failure and is not followed; 410 disables
 * the endpoint; 401/403 pause it; 408, 425, 429 and 5xx are tried again, with Retry-After; other 4xx are dead letters.
 * A webhook cannot be asked what it has, so delivery is at least once.
 *
 * Body: {"type":"ticket.created|updated|closed","timestamp":ISO 8601 of the data,"data":{"ticket":…,"version":…,
 * "severity":…,"title":…,"body":…}}. The network is http.h's.
 */

#include "control/connectors/connector.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"
#include "control/connectors/webhook.h"

#define SECRET_PREFIX "whsec_"
#define SECRET_LEAST  24u
#define SECRET_MOST   64u

/* Owner: the connector's user. The secret never leaves this struct but as a signature. */
struct webhook {
    unsigned char secret[SECRET_MOST];
    size_t secret_len; /* 0: unsigned, where no secret file is configured */
    struct http *http;
};

/* Base64 of `len` bytes without line ends; ret has room for 4/3. */
static void base64(char *ret, const unsigned char *data, size_t len)
{
    EVP_EncodeBlock((unsigned char *)ret, data, (int)len);
}

int webhook_secret_parse(const char *text, size_t len, unsigned char *ret, size_t *ret_len)
{
    unsigned char out[SECRET_MOST * 2];
    size_t prefix = strlen(SECRET_PREFIX);

    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    if (len < prefix || memcmp(text, SECRET_PREFIX, prefix) != 0)
        return -EINVAL;
    text += prefix;
    len -= prefix;
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > SECRET_MOST + 2)
        return -EINVAL;
    int n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
    if (n < 0)
        return -EINVAL;
    size_t bytes = (size_t)n - (text[len - 1] == '=') - (text[len - 2] == '='); /* OpenSSL counts the padding */
    if (bytes < SECRET_LEAST || bytes > SECRET_MOST)
        return -EINVAL;
    memcpy(ret, out, bytes);
    *ret_len = bytes;
    OPENSSL_cleanse(out, sizeof(out));
    return 0;
}

static int read_secret(struct webhook *w, const char *path, struct error *e)
{
    char text[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int code = errno;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return error_set(e, -code, "tickets.webhook.secret_file %.120s: %s", path, strerror(code));
    int rc = webhook_secret_parse(text, (size_t)n, w->secret, &w->secret_len);
    OPENSSL_cleanse(text, sizeof(text));
    if (rc != 0)
        return error_set(e, rc, "tickets.webhook.secret_file %.100s: expected whsec_ and base64 of 24 to 64 bytes",
                         path);
    return 0;
}

/* The hash says that something changed without saying what: the secret goes in through HMAC only. */
static void settings_hash(const struct webhook *w, char ret[FINGERPRINT_BYTES])
{
    unsigned char digest[32];
    unsigned len = 0;

    HMAC(EVP_sha256(), w->secret_len > 0 ? w->secret : (const unsigned char *)"-",
         w->secret_len > 0 ? (int)w->secret_len : 1, (const unsigned char *)http_base(w->http),
         strlen(http_base(w->http)), digest, &len);
    for (unsigned i = 0; i < len; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static void webhook_close(void *ctx)
{
    struct webhook *w = ctx;

    if (w == NULL)
        return;
    http_free(w->http);
    OPENSSL_cleanse(w->secret, sizeof(w->secret));
    free(w);
}

int webhook_new(const struct config *config, const char *url, const char *secret_file, void **ret_ctx,
                char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    struct webhook *w = calloc(1, sizeof(*w));
    int rc;

    if (w == NULL)
        return error_set(e, -ENOMEM, "no memory for the webhook");
    rc = http_open_endpoint(config, "tickets.webhook.url", url, &w->http, e);
    if (rc == 0 && secret_file[0] != '\0')
        rc = read_secret(w, secret_file, e);
    if (rc != 0) {
        webhook_close(w);
        return rc;
    }
    settings_hash(w, ret_hash);
    *ret_ctx = w;
    return 0;
}

static int webhook_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.webhook.url");

    if (url[0] == '\0')
        return 0;
    int rc = webhook_new(config, url, config_string(config, "tickets.webhook.secret_file"), ret_ctx, ret_hash, e);
    return rc == 0 ? 1 : rc;
}

static char *make_body(const struct connector_request *r)
{
    static const char *const types[OUTBOX_OP_COUNT] = {"ticket.created",   "ticket.updated",  "ticket.closed",
                                                       "ticket.commented", "ticket.resolved", "ticket.reopened"};
    static const char *const severities[EVENT_SEVERITY_COUNT] = {"info", "minor", "major", "critical"};
    char when[40];
    struct tm tm;
    time_t t = (time_t)(r->created_ns / NS_PER_S);

    gmtime_r(&t, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_t *j = json_pack("{s:s,s:s,s:{s:s,s:I,s:s,s:s,s:s}}", "type", types[r->op], "timestamp", when, "data",
                          "ticket", r->ticket, "version", (json_int_t)r->version, "severity", severities[r->severity],
                          "title", r->title, "body", r->body);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}

/* "v1,BASE64"; ret has room for 64 bytes. */
static int sign(const struct webhook *w, const char *id, const char *timestamp, const char *body, char ret[64])
{
    unsigned char digest[32];
    unsigned len = 0;
    size_t size = strlen(id) + strlen(timestamp) + strlen(body) + 3;
    char *text = malloc(size);

    if (text == NULL)
        return -ENOMEM;
    snprintf(text, size, "%s.%s.%s", id, timestamp, body);
    HMAC(EVP_sha256(), w->secret, (int)w->secret_len, (unsigned char *)text, size - 1, digest, &len);
    free(text);
    memcpy(ret, "v1,", 3);
    base64(ret + 3, digest, len);
    return 0;
}

static void webhook_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct webhook *w = ctx;
    struct http_answer answer;
    char timestamp[24], line[3][160], signature[64] = "";
    char *body = make_body(r);

    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)time(NULL));
    if (body == NULL || (w->secret_len > 0 && sign(w, r->key, timestamp, body, signature) != 0)) {
        snprintf(ret->text, sizeof(ret->text), "no memory for the request");
        free(body);
        return;
    }
    snprintf(line[0], sizeof(line[0]), "webhook-id: %s", r->key);
    snprintf(line[1], sizeof(line[1]), "webhook-timestamp: %s", timestamp);
    snprintf(line[2], sizeof(line[2]), "webhook-signature: %s", signature);
    const struct http_request q = {.method = "POST",
                                   .path = "",
                                   .body = body,
                                   .len = strlen(body),
                                   .type = "application/json",
                                   .header = {line[0], line[1], signature[0] != '\0' ? line[2] : NULL}};
    http_do(w->http, &q, &answer);
    http_to_answer(&answer, ret);
    http_answer_fini(&answer);
    free(body);
}

const struct connector connector_webhook = {
    .name = "webhook",
    .title = "Standard Webhooks 1.0",
    .open = webhook_open,
    .close = webhook_close,
    .send = webhook_send,
};

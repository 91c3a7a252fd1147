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
 * "severity":…,"title":…,"body":…}}. TLS certificates are checked; proxies come from the environment as libcurl reads
 * it.
 */

#include "control/connectors/connector.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/connectors/webhook.h"

#define SECRET_PREFIX     "whsec_"
#define SECRET_LEAST      24u
#define SECRET_MOST       64u
#define CONNECT_TIMEOUT_S 5L
#define TOTAL_TIMEOUT_S   15L
#define ANSWER_BYTES      4096u

/* Owner: the connector's user. The secret never leaves this struct but as a signature. */
struct webhook {
    char url[1024];
    unsigned char secret[SECRET_MOST];
    size_t secret_len; /* 0: unsigned, where no secret file is configured */
    CURL *curl;
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
         w->secret_len > 0 ? (int)w->secret_len : 1, (const unsigned char *)w->url, strlen(w->url), digest, &len);
    for (unsigned i = 0; i < len; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static void webhook_close(void *ctx)
{
    struct webhook *w = ctx;

    if (w == NULL)
        return;
    if (w->curl != NULL)
        curl_easy_cleanup(w->curl);
    OPENSSL_cleanse(w->secret, sizeof(w->secret));
    free(w);
}

int webhook_new(const char *url, const char *secret_file, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES],
                struct error *e)
{
    struct webhook *w = calloc(1, sizeof(*w));
    int rc = 0;

    if (w == NULL)
        return error_set(e, -ENOMEM, "no memory for the webhook");
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        rc = error_set(e, -EINVAL, "tickets.webhook.url must begin with https:// or http://");
    else if (strlen(url) >= sizeof(w->url))
        rc = error_set(e, -EINVAL, "tickets.webhook.url is longer than %zu characters", sizeof(w->url) - 1);
    else if (secret_file[0] != '\0')
        rc = read_secret(w, secret_file, e);
    if (rc == 0) {
        snprintf(w->url, sizeof(w->url), "%s", url);
        curl_global_init(CURL_GLOBAL_DEFAULT);
        w->curl = curl_easy_init();
        if (w->curl == NULL)
            rc = error_set(e, -ENOMEM, "libcurl cannot start");
    }
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
    int rc = webhook_new(url, config_string(config, "tickets.webhook.secret_file"), ret_ctx, ret_hash, e);
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

/* What comes back is kept only to be thrown away: at most ANSWER_BYTES are read. */
static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    size_t *seen = ctx;

    (void)data;
    *seen += size * n;
    return *seen <= ANSWER_BYTES ? size * n : 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct connector_answer *a = ctx;
    const char *name = "retry-after:";
    size_t len = size * n;
    char value[32];

    if (len > strlen(name) && strncasecmp(line, name, strlen(name)) == 0) {
        size_t rest = len - strlen(name) < sizeof(value) - 1 ? len - strlen(name) : sizeof(value) - 1;
        memcpy(value, line + strlen(name), rest);
        value[rest] = '\0';
        unsigned long s = strtoul(value, NULL, 10); /* a date reads as a small number: our own back-off rules then */
        a->retry_after_ns = (s < 86400 ? s : 86400) * NS_PER_S;
    }
    return len;
}

static void classify_status(long status, struct connector_answer *a)
{
    a->http_status = status;
    snprintf(a->text, sizeof(a->text), "HTTP status %ld", status);
    if (status >= 200 && status < 300)
        a->outcome = CONNECTOR_DONE;
    else if (status == 401 || status == 403)
        a->outcome = CONNECTOR_PAUSE;
    else if (status == 410)
        a->outcome = CONNECTOR_DISABLE;
    else if (status == 408 || status == 425 || status == 429 || status < 400 || status >= 500)
        a->outcome = CONNECTOR_RETRY; /* 3xx: a move that somebody has to confirm in the configuration */
    else
        a->outcome = CONNECTOR_REFUSED;
}

static void classify_error(CURLcode code, struct connector_answer *a)
{
    snprintf(a->text, sizeof(a->text), "%s", curl_easy_strerror(code));
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        a->outcome = CONNECTOR_RETRY; /* nothing was sent */
        break;
    case CURLE_WRITE_ERROR: /* a long answer that we cut off: its status line counts */
    default:
        a->outcome = CONNECTOR_DOUBT;
        break;
    }
}

static void perform(struct webhook *w, struct curl_slist *headers, const char *body, struct connector_answer *ret)
{
    CURL *curl = w->curl;
    size_t seen = 0;
    long status = 0;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, w->url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TOTAL_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "spanward/" SPANWARD_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &seen);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && status != 0))
        classify_status(status, ret);
    else
        classify_error(code, ret);
}

static void webhook_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct webhook *w = ctx;
    struct curl_slist *headers = NULL;
    char timestamp[24], line[256], signature[64] = "";
    char *body = make_body(r);

    *ret = (struct connector_answer){.outcome = CONNECTOR_RETRY};
    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)time(NULL));
    if (body == NULL || (w->secret_len > 0 && sign(w, r->key, timestamp, body, signature) != 0)) {
        snprintf(ret->text, sizeof(ret->text), "no memory for the request");
        free(body);
        return;
    }
    headers = curl_slist_append(headers, "content-type: application/json");
    headers = curl_slist_append(headers, "expect:");
    snprintf(line, sizeof(line), "webhook-id: %s", r->key);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof(line), "webhook-timestamp: %s", timestamp);
    headers = curl_slist_append(headers, line);
    if (signature[0] != '\0') {
        snprintf(line, sizeof(line), "webhook-signature: %s", signature);
        headers = curl_slist_append(headers, line);
    }
    perform(w, headers, body, ret);
    curl_slist_free_all(headers);
    free(body);
}

const struct connector connector_webhook = {
    .name = "webhook",
    .open = webhook_open,
    .close = webhook_close,
    .send = webhook_send,
};

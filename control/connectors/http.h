/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONNECTOR_HTTP_H
#define SPANWARD_CONNECTOR_HTTP_H

/*
 * JSON over HTTP for connectors: one base URL, one kind of authentication, and answers that are classified once for
 * all. Certificates are verified, redirects are failures, answers are bounded. Proxy, CA and time-out come from
 * tickets.proxy, tickets.ca_file and tickets.timeout. One thread at a time.
 */

#include <jansson.h>
#include <stdatomic.h>
#include "control/connectors/connector.h"

#define HTTP_ANSWER_BYTES (8u << 20) /* a longer answer is cut off: its status counts, its body does not */

struct http;

/*
 * base_url must be http:// or https:// without query; `what` is the parameter's name, for messages. config NULL: no
 * proxy or CA of our own, 15 s.
 */
int http_open(const struct config *config, const char *what, const char *base_url, struct http **ret, struct error *e);
/* For a single address, which may have a query; requests have the path "". */
int http_open_endpoint(const struct config *config, const char *what, const char *url, struct http **ret,
                       struct error *e);
void http_free(struct http *h);
const char *http_base(const struct http *h);

/*
 * A secret from a file's first line (path not "") or from the environment variable `env`. 0; -ENOENT when neither
 * gives one; -errno. The message names the parameter, never the value. At most size - 1 bytes; longer is -EINVAL.
 */
int http_secret(const char *what, const char *path, const char *env, char *ret, size_t size, struct error *e);

/* A header for every request, such as "Authorization: token x". Copied, and wiped on free. */
int http_add_header(struct http *h, const char *line);
/* HTTP Basic for every request. */
int http_basic(struct http *h, const char *user, const char *password);

/*
 * The secret of a parameter (a file's name; empty: the environment variable) as a header "Authorization: SCHEME"
 * SECRET, or as the password of HTTP Basic, for every request. Adds it to the settings hash. 0 or -errno.
 */
int http_token(struct http *h, const struct config *config, const char *what, const char *env, const char *header,
               char hash[FINGERPRINT_BYTES], struct error *e);
int http_login(struct http *h, const struct config *config, const char *what, const char *env, const char *user,
               char hash[FINGERPRINT_BYTES], struct error *e);

/* Adds text to a settings hash: order matters. The first call starts from "", secrets are fine. */
void http_hash(char hash[FINGERPRINT_BYTES], const char *text);

/* One part of a multipart/form-data request. */
struct http_part {
    const char *name;
    const char *filename; /* NULL: a field */
    const char *type;
    const void *data;
    size_t len;
};

/* json, or body with type, or parts; none for a request without a body. */
struct http_request {
    const char *method; /* "GET", "POST", "PUT", ... */
    const char *path;   /* behind the base URL, already encoded: "/issues.json?limit=1" */
    const json_t *json;
    const void *body;
    size_t len;
    const char *type; /* of body; json has its own */
    const struct http_part *part;
    size_t n_parts;
    const char *header[8]; /* for this request: "If-Match: x" */
};

/* Freed with http_answer_fini. body is NUL-terminated; json is NULL when the body is none. */
struct http_answer {
    enum connector_outcome outcome;
    long status; /* 0: there was no answer */
    uint64_t retry_after_ns;
    char etag[128], location[512];
    char text[200]; /* "HTTP status 503", or what libcurl says */
    char *body;
    size_t len;
    json_t *json;
};

/*
 * Outcomes by status: 2xx DONE; 401, 403 PAUSE; 410 DISABLE; 408, 425, 429, 3xx and 5xx RETRY; other 4xx REFUSED.
 * Without a status: RETRY when nothing can have arrived or the method is GET, else DOUBT. 5xx but 503 on a request that
 * is not a GET is DOUBT, too: a server may break after its work is done, a gateway says 502 or 504 of what its server
 * did.
 */
void http_do(struct http *h, const struct http_request *q, struct http_answer *ret);
void http_answer_fini(struct http_answer *a);
/* Copies outcome, status, Retry-After and text. */
void http_to_answer(const struct http_answer *a, struct connector_answer *ret);
/* Puts a reason of the system's own behind the text, escaped and cut: "HTTP status 422: Subject is empty". */
void http_reason(struct http_answer *a, const char *reason);

/* Percent-encodes for a query or a path segment. Returns ret; cut at a whole character when it does not fit. */
char *http_encode(char *ret, size_t size, const char *text);

/* A string member or "", a whole number as text (valid for the next 7 calls), never NULL. */
const char *http_string(const json_t *j, const char *name);

/* All requests of the calling thread end soon when the flag is set; NULL: none. */
void http_stop_flag(const atomic_bool *flag);

#endif

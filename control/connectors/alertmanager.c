/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Prometheus Alertmanager, API v2 (prometheus/alertmanager api/v2/openapi.yaml; tried with 0.25).
 *
 * An alert is its labels: the same labels are the same alert however often it is sent, so nothing has to be looked up.
 * Labels: alertname SpanwardFault, ticket, install, severity; annotations carry the text. A rise in severity is a new
 * alert by that, and the old one ends by itself within ALIVE. An open fault is sent again every minute with an end in
 * the future, and once more with its end when it is over: Alertmanager takes it as resolved. It keeps no comments and
 * tells nothing back (a silence stops notification, nothing more).
 */

#include "control/connectors/connector.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"

#define REFRESH_NS (60 * NS_PER_S)
#define ALIVE_NS   (5 * REFRESH_NS)

/* Owner: the connector's user. */
struct alertmanager {
    struct http *http;
};

static void alertmanager_close(void *ctx)
{
    struct alertmanager *x = ctx;

    if (x != NULL)
        http_free(x->http);
    free(x);
}

static int read_credentials(const struct config *config, struct alertmanager *x, char hash[FINGERPRINT_BYTES],
                            struct error *e)
{
    const char *user = config_string(config, "tickets.alertmanager.user");
    const char *token_file = config_string(config, "tickets.alertmanager.token_file");
    char secret[1024] = "", line[1060];
    int rc = 0;

    if (user[0] != '\0') {
        rc = http_secret("tickets.alertmanager.password_file",
                         config_string(config, "tickets.alertmanager.password_file"), "SPANWARD_ALERTMANAGER_PASSWORD",
                         secret, sizeof(secret), e);
        if (rc == 0 && http_basic(x->http, user, secret) != 0)
            rc = error_set(e, -ENOMEM, "no memory for Alertmanager");
    } else if (token_file[0] != '\0') {
        rc = http_secret("tickets.alertmanager.token_file", token_file, NULL, secret, sizeof(secret), e);
        snprintf(line, sizeof(line), "Authorization: Bearer %s", secret);
        if (rc == 0 && http_add_header(x->http, line) != 0)
            rc = error_set(e, -ENOMEM, "no memory for Alertmanager");
        OPENSSL_cleanse(line, sizeof(line));
    }
    http_hash(hash, user);
    http_hash(hash, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    return rc;
}

static int alertmanager_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES],
                             struct error *e)
{
    const char *url = config_string(config, "tickets.alertmanager.url");
    char hash[FINGERPRINT_BYTES] = "";

    if (url[0] == '\0')
        return 0;
    struct alertmanager *x = calloc(1, sizeof(*x));
    if (x == NULL)
        return error_set(e, -ENOMEM, "no memory for Alertmanager");
    int rc = http_open(config, "tickets.alertmanager.url", url, &x->http, e);
    rc = rc == 0 ? read_credentials(config, x, hash, e) : rc;
    if (rc != 0) {
        alertmanager_close(x);
        return rc;
    }
    http_hash(hash, url);
    memcpy(ret_hash, hash, sizeof(hash));
    *ret_ctx = x;
    return 1;
}

static void format_rfc3339(char ret[40], uint64_t ns)
{
    time_t t = (time_t)(ns / NS_PER_S);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(ret, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void alertmanager_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    static const char *const severities[EVENT_SEVERITY_COUNT] = {"info", "minor", "major", "critical"};
    struct alertmanager *x = ctx;
    bool over = r->op == OUTBOX_CLOSE || r->op == OUTBOX_RESOLVE;
    uint64_t now_ns = track_now_ns();
    struct http_answer a;
    char from[40], to[40];

    if (r->op == OUTBOX_COMMENT) {
        ret->outcome = CONNECTOR_DONE; /* it has no place for comments */
        return;
    }
    format_rfc3339(from, r->opened_ns < now_ns ? r->opened_ns : now_ns);
    format_rfc3339(to, over ? now_ns : now_ns + ALIVE_NS);
    json_t *j = json_pack("[{s:{s:s,s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s},s:s,s:s}]", "labels", "alertname", "SpanwardFault",
                          "ticket", r->ticket, "install", r->install[0] != '\0' ? r->install : "none", "severity",
                          severities[r->severity], "annotations", "summary", r->title, "description", r->body, "owner",
                          r->owner, "problem", r->problem, "startsAt", from, "endsAt", to);
    if (!track_call(x->http, &a, "POST", j, "/api/v2/alerts") && a.json != NULL)
        http_reason(&a, json_is_string(a.json) ? json_string_value(a.json) : http_string(a.json, "message"));
    http_to_answer(&a, ret);
    http_answer_fini(&a);
}

static int alertmanager_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct alertmanager *x = ctx;
    struct http_answer a;
    char what[300];

    bool alive = track_call(x->http, &a, "GET", NULL, "/api/v2/status");
    snprintf(what, sizeof(what), alive ? "Alertmanager %.40s answers" : "%.200s",
             alive ? track_path(a.json, "versionInfo", "version", NULL) : a.text);
    say(say_ctx, alive, what,
        alive ? "" : "is tickets.alertmanager.url the address without /api/v2, and Alertmanager up?");
    http_answer_fini(&a);
    return alive ? 0 : -EIO;
}

const struct connector connector_alertmanager = {
    .name = "alertmanager",
    .title = "Prometheus Alertmanager",
    .refresh_ns = REFRESH_NS,
    .open = alertmanager_open,
    .close = alertmanager_close,
    .send = alertmanager_send,
    .check = alertmanager_check,
};

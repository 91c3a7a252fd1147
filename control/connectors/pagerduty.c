/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * PagerDuty by the Events API v2. A notifier: it cannot be asked, and need not be, because an event is idempotent by
 * its dedup_key, which is that of the ticket's create. docs/TICKETS.md has the set-up; its webhook (v3) is taken by
 * control/hooks.c.
 *
 * Creating, updating, commenting and opening again are triggers: they open an alert or add to the open one. Resolve and
 * close resolve it. A trigger after that opens a new alert, which is what a fault that came back asks for. An owner in
 * an update acknowledges: somebody has it.
 *
 * Limits: summary 1,024 characters, dedup_key 255, the event 512 KB. A wrong routing key is a 400 like any invalid
 * event; the words tell them apart, for a wrong key pauses and an invalid event is a dead letter.
 */

#include "control/connectors/connector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"
#include "control/content.h"

#define KEY_CHARS    32u
#define SUMMARY_MOST 1024u
#define TEXT_MOST    30000u
#define SOURCE_MOST  255u

/* Owner: the connector's thread. */
struct pagerduty {
    struct http *http;
    char key[64];
};

static void pagerduty_close(void *ctx)
{
    struct pagerduty *p = ctx;

    if (p == NULL)
        return;
    http_free(p->http);
    explicit_bzero(p->key, sizeof(p->key));
    free(p);
}

static int pagerduty_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES],
                          struct error *e)
{
    const char *file = config_string(config, "tickets.pagerduty.routing_key_file");
    const char *url = config_string(config, "tickets.pagerduty.url");
    struct pagerduty *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return error_set(e, -ENOMEM, "no memory for PagerDuty");
    int rc =
        http_secret("tickets.pagerduty.routing_key_file", file, "SPANWARD_PAGERDUTY_KEY", p->key, sizeof(p->key), e);
    if (rc == -ENOENT && file[0] == '\0') {
        pagerduty_close(p);
        return 0; /* nobody asks for it */
    }
    if (rc == 0 && strlen(p->key) != KEY_CHARS)
        rc = error_set(e, -EINVAL, "tickets.pagerduty.routing_key_file: an integration key has %u characters",
                       KEY_CHARS);
    rc = rc == 0 ? http_open(config, "tickets.pagerduty.url", url, &p->http, e) : rc;
    if (rc != 0) {
        pagerduty_close(p);
        return rc;
    }
    ret_hash[0] = '\0';
    http_hash(ret_hash, url);
    http_hash(ret_hash, p->key);
    *ret_ctx = p;
    return 1;
}

/* Where: the title up to its first colon. */
static json_t *source_of(const char *title)
{
    char text[1600];

    snprintf(text, sizeof(text), "%s", title);
    char *colon = strstr(text, ": ");
    if (colon != NULL)
        *colon = '\0';
    return json_string(text[0] != '\0' ? content_clip(text, SOURCE_MOST) : "network");
}

static json_t *payload_of(const struct connector_request *r)
{
    static const char *const severities[EVENT_SEVERITY_COUNT] = {"info", "warning", "error", "critical"};
    char title[1600], when[32];
    char *body = strdup(r->body);
    time_t t = (time_t)(r->created_ns / NS_PER_S);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    content_clip(content_line(title, sizeof(title), r->title), SUMMARY_MOST);
    json_t *payload =
        json_pack("{s:s,s:o,s:s,s:s,s:s,s:{s:s,s:s,s:s,s:s,s:I}}", "summary", title[0] != '\0' ? title : "fault",
                  "source", source_of(title), "severity", severities[r->severity], "timestamp", when, "class",
                  r->problem[0] != '\0' ? "problem" : "incident", "custom_details", "ticket", r->ticket, "problem",
                  r->problem, "incident", r->incident, "text", body != NULL ? content_clip(body, TEXT_MOST) : "",
                  "version", (json_int_t)r->version);

    free(body);
    return payload;
}

/* A wrong routing key is about us, not about the event. */
static bool is_about_key(const json_t *answer)
{
    json_t *why;
    size_t i;

    json_array_foreach(json_object_get(answer, "errors"), i, why)
    {
        if (json_is_string(why) && strstr(json_string_value(why), "routing_key") != NULL)
            return true;
    }
    return false;
}

static bool enqueue(struct pagerduty *p, const struct connector_request *r, const char *action,
                    struct connector_answer *ret)
{
    struct http_answer a;
    json_t *event =
        json_pack("{s:s,s:s,s:s}", "routing_key", p->key, "event_action", action, "dedup_key", r->create_key);

    if (strcmp(action, "trigger") == 0) {
        json_object_set_new(event, "payload", payload_of(r));
        json_object_set_new(event, "client", json_string("Spanward"));
    }
    bool done = track_call(p->http, &a, "POST", event, "/v2/enqueue");
    const char *first = json_string_value(json_array_get(json_object_get(a.json, "errors"), 0));
    if (!done && first != NULL)
        http_reason(&a, first);
    http_to_answer(&a, ret);
    if (a.status == 400 && is_about_key(a.json))
        ret->outcome = CONNECTOR_PAUSE;
    if (ret->outcome == CONNECTOR_DOUBT) /* the same event again does no harm */
        ret->outcome = CONNECTOR_RETRY;
    if (done)
        ret->text[0] = '\0';
    http_answer_fini(&a);
    return done;
}

static void pagerduty_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct pagerduty *p = ctx;
    bool over = r->op == OUTBOX_RESOLVE || r->op == OUTBOX_CLOSE;
    bool done = enqueue(p, r, over ? "resolve" : "trigger", ret);

    if (done && !over && r->op == OUTBOX_UPDATE && r->owner[0] != '\0')
        done = enqueue(p, r, "acknowledge", ret);
    if (done)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", r->create_key);
}

/* There is no read-only call: that the address answers is all that can be asked. */
static int pagerduty_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct pagerduty *p = ctx;
    struct http_answer a;
    char text[300];

    track_call(p->http, &a, "GET", NULL, "/v2/enqueue");
    bool good = a.status != 0; /* any answer, usually 404 or 405 */
    snprintf(text, sizeof(text),
             good ? "%.150s answers; whether the key is right shows with the first event" : "%.150s: %.100s",
             http_base(p->http), a.text);
    say(say_ctx, good, text, good ? "" : "check tickets.pagerduty.url, proxy and firewall");
    http_answer_fini(&a);
    return good ? 0 : -EHOSTUNREACH;
}

const struct connector connector_pagerduty = {
    .name = "pagerduty",
    .title = "PagerDuty",
    .open = pagerduty_open,
    .close = pagerduty_close,
    .send = pagerduty_send,
    .check = pagerduty_check,
};

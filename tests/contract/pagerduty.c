/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * PagerDuty Events API v2 as documented.
 *
 * Sources: [O] developer.pagerduty.com/docs/events-api-v2-overview (response codes, limits); [A]
 * .../docs/send-alert-event (parameters, de-duplication, what each action does); [S] github.com/PagerDuty/api-schema,
 * events-v2/openapiv3.json (error bodies).
 *
 * There is no way to ask what is there: a test reads the alerts from the dump. Each alert is a ticket.
 */

#include "tests/contract/contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTING_KEY  "e93facc04764012d7bfb002500d5d1a6"
#define SUMMARY_MOST 1024u
#define KEY_MOST     255u
#define EVENT_BYTES  (512u * 1024)

static void invalid(struct contract_call *call, const char *why)
{
    contract_answer(
        call, 400,
        json_pack("{s:s,s:s,s:[s]}", "status", "invalid event", "message", "Event object is invalid", "errors", why));
}

/* The routing key in the body is the only credential. */
static bool authorize(struct contract_call *call)
{
    (void)call;
    return true;
}

static void unknown(struct contract_call *call)
{
    contract_answer(call, 404, NULL);
}

static json_t *fresh(void)
{
    return json_pack("{s:[]}", "tickets");
}

/* [A] Events apply to the open alert of their dedup_key; a resolved one stays, and a trigger makes a new one. */
static json_t *open_alert(struct contract_call *call, const char *key)
{
    json_t *t;
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (strcmp(contract_text(t, "key"), key) == 0 && strcmp(contract_text(t, "status"), "resolved") != 0)
            return t;
    }
    return NULL;
}

/* [A] payload: summary, source and severity are required. NULL when it is good. */
static const char *payload_fault(const json_t *payload)
{
    const char *summary = contract_text(payload, "summary"), *severity = contract_text(payload, "severity");
    size_t n = contract_characters(summary);

    if (!json_is_object(payload))
        return "'payload' is missing or invalid";
    if (summary[0] == '\0')
        return "'payload.summary' is missing or blank";
    if (n == SIZE_MAX || n > SUMMARY_MOST)
        return "'payload.summary' is too long";
    if (contract_text(payload, "source")[0] == '\0')
        return "'payload.source' is missing or blank";
    if (strcmp(severity, "critical") != 0 && strcmp(severity, "error") != 0 && strcmp(severity, "warning") != 0 &&
        strcmp(severity, "info") != 0)
        return "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')";
    const json_t *details = json_object_get(payload, "custom_details");
    if (details != NULL && !json_is_object(details))
        return "'payload.custom_details' is invalid";
    return NULL;
}

static const char *links_fault(const json_t *event)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(event, "links"), i, item)
    {
        if (strncmp(contract_text(item, "href"), "http", 4) != 0)
            return "'links' is invalid";
    }
    json_array_foreach(json_object_get(event, "images"), i, item)
    {
        if (strncmp(contract_text(item, "src"), "https://", 8) != 0) /* [A] must be served via HTTPS */
            return "'images' is invalid";
    }
    return NULL;
}

static void trigger(struct contract_call *call, const char *key)
{
    const json_t *payload = json_object_get(call->json, "payload");
    json_t *alert = open_alert(call, key);

    if (alert == NULL) {
        alert = json_pack("{s:s,s:s,s:[],s:o}", "key", key, "status", "triggered", "log", "id",
                          json_sprintf("P%lld", (long long)contract_next(call->state, "alerts")));
        json_array_append_new(contract_tickets(call), alert);
    }
    json_object_set(alert, "payload", (json_t *)payload);
    json_array_append_new(json_object_get(alert, "log"), json_string(contract_text(payload, "summary")));
    contract_touch(alert);
}

static void enqueue(struct contract_call *call)
{
    const char *action = contract_text(call->json, "event_action"), *key = contract_text(call->json, "dedup_key");
    const char *type = contract_header(call, "Content-Type");
    bool is_trigger = strcmp(action, "trigger") == 0;

    if (call->body_len > EVENT_BYTES) { /* [O] 512 KB */
        contract_answer(call, 413, NULL);
        return;
    }
    if (type == NULL || strncmp(type, "application/json", 16) != 0 || !json_is_object(call->json)) {
        invalid(call, "JSON is invalid");
        return;
    }
    if (strlen(contract_text(call->json, "routing_key")) != 32) {
        invalid(call, "Length of 'routing_key' is incorrect (should be 32 characters)");
        return;
    }
    if (strcmp(contract_text(call->json, "routing_key"), ROUTING_KEY) != 0 ||
        json_is_true(json_object_get(call->state, "_revoked"))) {
        invalid(call, "'routing_key' is invalid"); /* [S] there is no 401: a wrong key is an invalid event */
        return;
    }
    if (!is_trigger && strcmp(action, "acknowledge") != 0 && strcmp(action, "resolve") != 0) {
        invalid(call,
                "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')");
        return;
    }
    if (contract_characters(key) > KEY_MOST || (!is_trigger && key[0] == '\0')) {
        invalid(call, "'dedup_key' is missing or too long");
        return;
    }
    const char *fault = is_trigger ? payload_fault(json_object_get(call->json, "payload")) : NULL;
    fault = fault == NULL ? links_fault(call->json) : fault;
    if (fault != NULL) {
        invalid(call, fault);
        return;
    }
    if (is_trigger && key[0] == '\0')
        contract_violation(call, "a trigger without dedup_key: each try makes another alert");
    json_t *alert = is_trigger ? NULL : open_alert(call, key);
    if (is_trigger)
        trigger(call, key);
    else if (alert != NULL) /* [A] without an open alert they are dropped */
        json_object_set_new(alert, "status", json_string(strcmp(action, "resolve") == 0 ? "resolved" : "acknowledged"));
    contract_answer(call, 202,
                    json_pack("{s:s,s:s,s:s}", "status", "success", "message", "Event processed", "dedup_key", key));
}

static json_t *describe(const json_t *t)
{
    const json_t *payload = json_object_get(t, "payload");
    char *details = json_dumps(json_object_get(payload, "custom_details"), JSON_SORT_KEYS);
    json_t *j =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:O,s:i}", "id", contract_text(t, "id"), "key", contract_text(t, "key"),
                  "title", contract_text(payload, "summary"), "body", details != NULL ? details : "", "state",
                  strcmp(contract_text(t, "status"), "resolved") == 0 ? "resolved" : "open", "owner", "", "comments",
                  json_object_get(t, "log"), "attachments", 0);

    free(details);
    return j;
}

static int edit(json_t *t, const char *what, const char *value)
{
    if (strcmp(what, "state") != 0)
        return -EINVAL;
    json_object_set_new(t, "status", json_string(value));
    return 0;
}

static const struct contract_route routes[] = {
    {"POST", "v2/enqueue", enqueue},
    {NULL, NULL, NULL},
};
const struct contract_system contract_pagerduty = {
    .name = "pagerduty",
    .fresh = fresh,
    .authorize = authorize,
    .unknown = unknown,
    .routes = routes,
    .describe = describe,
    .edit = edit,
};

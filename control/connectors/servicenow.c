/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ServiceNow by the Table API: incident, problem, or em_event of Event Management. docs/TICKETS.md has the set-up.
 *
 * A record is found by its correlation_id. Updates replace short description, description, impact and urgency, which
 * may be repeated; what is said goes to the work notes with a reference, for which a repeated request looks first. To
 * resolve means state Resolved with a resolution code and notes; closing a resolved incident is the instance's own
 * business, after its days of grace, and the proof is said in the work notes. An incident that is closed for good
 * cannot be opened again: then a new one takes over, with the version behind the correlation_id, and names the old one.
 *
 * 403 has two meanings here: "Operation Failed" is a data policy or business rule, about this record only; any other is
 * about our rights. Events are idempotent by message_key, need no search and tell nothing back.
 *
 * Text is cut to its column's length here, because the instance would do so silently. In queries ^ is an operator:
 * values with it are not asked for. Times in queries and answers are UTC.
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

#define TIME_FORMAT "%Y-%m-%d %H:%M:%S"
#define TITLE_MOST  160u
#define TEXT_MOST   3900u
#define NODE_MOST   100u
#define PAGE        50
#define PAGES_MOST  10

enum table { TABLE_INCIDENT, TABLE_PROBLEM, TABLE_EVENT };

/* Owner: the connector's thread. */
struct servicenow {
    struct http *http;
    enum table table;
    char name[16], user[200], group[160], caller[160], close_code[80], resolution_code[80];
    struct track_seen seen;
};

/* What states are called, per table: [incident, problem]. */
static const char *const state_resolved[] = {"6", "106"};
static const char *const state_reopened[] = {"2", "103"};

static void servicenow_close(void *ctx)
{
    struct servicenow *s = ctx;

    if (s == NULL)
        return;
    http_free(s->http);
    free(s);
}

static int servicenow_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES],
                           struct error *e)
{
    const char *url = config_string(config, "tickets.servicenow.url");
    const char *table = config_string(config, "tickets.servicenow.table");
    struct servicenow *s;

    if (url[0] == '\0')
        return 0;
    if (config_string(config, "tickets.servicenow.user")[0] == '\0')
        return error_set(e, -EINVAL, "tickets.servicenow.user is missing");
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_set(e, -ENOMEM, "no memory for ServiceNow");
    s->table = strcmp(table, "problem") == 0    ? TABLE_PROBLEM
               : strcmp(table, "em_event") == 0 ? TABLE_EVENT
                                                : TABLE_INCIDENT;
    snprintf(s->name, sizeof(s->name), "%s", table);
    snprintf(s->user, sizeof(s->user), "%s", config_string(config, "tickets.servicenow.user"));
    snprintf(s->group, sizeof(s->group), "%s", config_string(config, "tickets.servicenow.group"));
    snprintf(s->caller, sizeof(s->caller), "%s", config_string(config, "tickets.servicenow.caller"));
    snprintf(s->close_code, sizeof(s->close_code), "%s", config_string(config, "tickets.servicenow.close_code"));
    snprintf(s->resolution_code, sizeof(s->resolution_code), "%s",
             config_string(config, "tickets.servicenow.resolution_code"));
    ret_hash[0] = '\0';
    int rc = http_open(config, "tickets.servicenow.url", url, &s->http, e);
    rc = rc == 0 ? http_login(s->http, config, "tickets.servicenow.password_file", "SPANWARD_SERVICENOW_PASSWORD",
                              s->user, ret_hash, e)
                 : rc;
    if (rc != 0) {
        servicenow_close(s);
        return rc;
    }
    http_hash(ret_hash, url);
    http_hash(ret_hash, table);
    *ret_ctx = s;
    return 1;
}

/* --- calls --- */

static int failed(struct http_answer *a, struct connector_answer *ret)
{
    const char *message = track_path(a->json, "error", "message", NULL);
    const char *detail = track_path(a->json, "error", "detail", NULL);
    char text[300];

    if (message[0] != '\0') {
        snprintf(text, sizeof(text), "%.100s: %.180s", message, detail);
        http_reason(a, text);
    }
    track_failed(a, ret);
    if (a->status == 403 && strcmp(message, "Operation Failed") == 0)
        ret->outcome = CONNECTOR_REFUSED; /* a policy about this record, not about our rights */
    if (a->status == 404 && message[0] == '\0')
        ret->outcome = CONNECTOR_RETRY; /* not the instance: something in front of it */
    return -EIO;
}

/* Text for a column: cut, and [code] takes no effect. A new reference; NULL without memory. */
static json_t *column(const char *text, size_t chars)
{
    char *safe = content_journal(text);
    json_t *j = safe != NULL ? json_string(content_clip(safe, chars)) : NULL;

    free(safe);
    return j;
}

static json_t *title_of(const struct connector_request *r)
{
    char title[512];

    return column(content_line(title, sizeof(title), r->title), TITLE_MOST);
}

/* 1 high to 3 low, as the shipped priority matrix reads them. */
static void set_urgency(json_t *record, enum event_severity severity)
{
    static const char *const impact[EVENT_SEVERITY_COUNT] = {"3", "3", "2", "1"};
    static const char *const urgency[EVENT_SEVERITY_COUNT] = {"3", "2", "1", "1"};

    json_object_set_new(record, "impact", json_string(impact[severity]));
    json_object_set_new(record, "urgency", json_string(urgency[severity]));
}

static bool patch(struct servicenow *s, struct http_answer *a, const char *id, json_t *record)
{
    return track_call(s->http, a, "PATCH", record, "/api/now/table/%s/%s", s->name, id);
}

static int patch_or_fail(struct servicenow *s, const char *id, json_t *record, struct connector_answer *ret)
{
    struct http_answer a;
    int rc = patch(s, &a, id, record) ? 0 : failed(&a, ret);

    http_answer_fini(&a);
    return rc;
}

/* The sys_id of the one user whom the name means, "" when there is none. */
static void find_user(struct servicenow *s, const char *owner, char ret[64])
{
    char query[600], encoded[900];
    struct http_answer a;

    ret[0] = '\0';
    if (owner[0] == '\0' || strchr(owner, '^') != NULL)
        return;
    snprintf(query, sizeof(query), "user_name=%s^ORemail=%s^ORname=%s", owner, owner, owner);
    if (track_call(s->http, &a, "GET", NULL,
                   "/api/now/table/sys_user?sysparm_query=%s&sysparm_limit=2&sysparm_fields=sys_id",
                   http_encode(encoded, sizeof(encoded), query))) {
        const json_t *list = json_object_get(a.json, "result");
        if (json_array_size(list) == 1)
            snprintf(ret, 64, "%s", http_string(json_array_get(list, 0), "sys_id"));
    }
    http_answer_fini(&a);
}

/* --- records --- */

static void set_url(const struct servicenow *s, struct connector_answer *ret)
{
    snprintf(ret->remote_url, sizeof(ret->remote_url), "%.120s/nav_to.do?uri=%s.do%%3Fsys_id%%3D%.40s",
             http_base(s->http), s->name, ret->remote_id);
}

static void attach(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *x = &r->attachment[i];
        char path[500], name[200];
        struct http_request q = {.method = "POST", .path = path, .body = x->data, .len = x->len, .type = x->type};
        struct http_answer a;
        snprintf(path, sizeof(path), "/api/now/attachment/file?table_name=%s&table_sys_id=%s&file_name=%s", s->name,
                 ret->remote_id, http_encode(name, sizeof(name), x->name));
        http_do(s->http, &q, &a);
        if (a.outcome != CONNECTOR_DONE)
            snprintf(ret->text, sizeof(ret->text), "without %.40s: %.100s", x->name, a.text);
        http_answer_fini(&a);
    }
}

static int create_as(struct servicenow *s, const struct connector_request *r, const char *key, const char *body,
                     struct connector_answer *ret)
{
    char user[64], display[128];
    struct http_answer a;
    json_t *record = json_pack("{s:o,s:o,s:s}", "short_description", title_of(r), "description",
                               column(body, TEXT_MOST), "correlation_id", key);

    snprintf(display, sizeof(display), "Spanward %.24s", r->ticket);
    json_object_set_new(record, "correlation_display", json_string(display));
    set_urgency(record, r->severity);
    if (s->group[0] != '\0')
        json_object_set_new(record, "assignment_group", json_string(s->group));
    if (s->caller[0] != '\0' && s->table == TABLE_INCIDENT)
        json_object_set_new(record, "caller_id", json_string(s->caller));
    find_user(s, r->owner, user);
    if (user[0] != '\0')
        json_object_set_new(record, "assigned_to", json_string(user));
    bool done = track_call(s->http, &a, "POST", record, "/api/now/table/%s", s->name);
    int rc = done ? 0 : failed(&a, ret);
    if (rc == 0) {
        http_to_answer(&a, ret);
        ret->text[0] = '\0';
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", track_path(a.json, "result", "sys_id", NULL));
        set_url(s, ret);
        if (ret->remote_id[0] == '\0') {
            ret->outcome = CONNECTOR_DOUBT;
            snprintf(ret->text, sizeof(ret->text), "the answer has no sys_id");
            rc = -EIO;
        }
    }
    http_answer_fini(&a);
    if (rc == 0)
        attach(s, r, ret);
    return rc;
}

static int update(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    char user[64];
    json_t *record =
        json_pack("{s:o,s:o}", "short_description", title_of(r), "description", column(r->body, TEXT_MOST));

    set_urgency(record, r->severity);
    find_user(s, r->owner, user);
    if (user[0] != '\0')
        json_object_set_new(record, "assigned_to", json_string(user));
    return patch_or_fail(s, r->remote_id, record, ret);
}

/* 1: the work notes hold the reference, 0 not, -EIO. */
static int has_note(struct servicenow *s, const char *id, const char *ref, struct connector_answer *ret)
{
    char query[300], encoded[500];
    struct http_answer a;

    snprintf(query, sizeof(query), "element_id=%s^valueLIKE%s", id, ref);
    bool done = track_call(s->http, &a, "GET", NULL,
                           "/api/now/table/sys_journal_field?sysparm_query=%s&sysparm_limit=1&sysparm_fields=sys_id",
                           http_encode(encoded, sizeof(encoded), query));
    int rc = done ? json_array_size(json_object_get(a.json, "result")) > 0 : failed(&a, ret);
    http_answer_fini(&a);
    return rc;
}

static json_t *note_text(const struct connector_request *r)
{
    char ref[TRACK_KEY_BYTES];
    char *body = strdup(r->body);
    json_t *note = NULL;

    if (body != NULL) {
        content_clip(body, TEXT_MOST);
        struct connector_request cut = *r;
        cut.body = body;
        char *text = track_comment(&cut);
        note = text != NULL ? column(text, TEXT_MOST + strlen(track_ref(ref, r)) + 60) : NULL;
        free(text);
    }
    free(body);
    return note;
}

static int comment(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    char ref[TRACK_KEY_BYTES];
    int there = r->repeat ? has_note(s, r->remote_id, track_ref(ref, r), ret) : 0;

    if (there != 0)
        return there < 0 ? there : 0;
    return patch_or_fail(s, r->remote_id, json_pack("{s:o}", "work_notes", note_text(r)), ret);
}

/* The record's state, malloc'd text in ret; 0 or -EIO. */
static int read_state(struct servicenow *s, const char *id, char *ret_state, size_t size, struct connector_answer *ret)
{
    struct http_answer a;
    bool done = track_call(s->http, &a, "GET", NULL, "/api/now/table/%s/%s?sysparm_fields=state", s->name, id);
    int rc = done ? 0 : failed(&a, ret);

    snprintf(ret_state, size, "%s", track_path(a.json, "result", "state", NULL));
    http_answer_fini(&a);
    return rc;
}

static enum remote_state state_of(const struct servicenow *s, const char *state)
{
    int n = atoi(state);

    if (s->table == TABLE_PROBLEM)
        return n >= 107 ? REMOTE_CLOSED : n == 106 ? REMOTE_RESOLVED : n > 101 ? REMOTE_IN_PROGRESS : REMOTE_OPEN;
    return n >= 7 ? REMOTE_CLOSED : n == 6 ? REMOTE_RESOLVED : n > 1 ? REMOTE_IN_PROGRESS : REMOTE_OPEN;
}

/* Resolves what is open; what is resolved or closed already only hears of it. */
static int resolve(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    char state[16];
    int rc = read_state(s, r->remote_id, state, sizeof(state), ret);

    if (rc != 0)
        return rc;
    if (state_of(s, state) >= REMOTE_RESOLVED)
        return state_of(s, state) == REMOTE_CLOSED ? 0 : comment(s, r, ret);
    json_t *record = json_pack("{s:s}", "state", state_resolved[s->table]);
    if (s->table == TABLE_INCIDENT) {
        json_object_set_new(record, "close_code", json_string(s->close_code));
        json_object_set_new(record, "close_notes", column(r->body, TEXT_MOST));
    } else {
        json_object_set_new(record, "resolution_code", json_string(s->resolution_code));
        json_object_set_new(record, "cause_notes", json_string("see the description and the work notes"));
        json_object_set_new(record, "fix_notes", column(r->body, TEXT_MOST));
    }
    return patch_or_fail(s, r->remote_id, record, ret);
}

static int look_up(struct servicenow *s, const char *query, struct connector_answer *ret);

/* A closed incident stays closed: a new one takes over, once. */
static int take_over(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    char key[100], label[TRACK_KEY_BYTES], query[200];

    snprintf(key, sizeof(key), "%s-%llu", track_label(label, r, '-'), (unsigned long long)r->version);
    snprintf(query, sizeof(query), "correlation_id=%s", key);
    int rc = look_up(s, query, ret);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    size_t size = strlen(r->body) + 200;
    char *body = malloc(size);
    if (body == NULL)
        return -ENOMEM;
    snprintf(body, size, "Continues %s %s, which is closed.\n\n%s", s->name, r->remote_id, r->body);
    rc = create_as(s, r, key, body, ret);
    free(body);
    return rc;
}

static int reopen(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    char state[16];
    int rc = read_state(s, r->remote_id, state, sizeof(state), ret);

    if (rc != 0)
        return rc;
    enum remote_state now = state_of(s, state);
    if (now == REMOTE_CLOSED && s->table == TABLE_INCIDENT)
        return take_over(s, r, ret);
    if (now >= REMOTE_RESOLVED)
        rc = patch_or_fail(s, r->remote_id, json_pack("{s:s}", "state", state_reopened[s->table]), ret);
    rc = rc == 0 ? update(s, r, ret) : rc;
    return rc == 0 ? comment(s, r, ret) : rc;
}

/* --- events --- */

static int send_event(struct servicenow *s, const struct connector_request *r, struct connector_answer *ret)
{
    static const char *const severities[EVENT_SEVERITY_COUNT] = {"4", "3", "2", "1"};
    char key[TRACK_KEY_BYTES], title[512], when[32], node[512];
    bool over = r->op == OUTBOX_RESOLVE || r->op == OUTBOX_CLOSE;
    time_t t = (time_t)(r->created_ns / NS_PER_S);
    struct http_answer a;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    content_line(title, sizeof(title), r->title);
    snprintf(node, sizeof(node), "%s", title);
    char *colon = strstr(node, ": ");
    if (colon != NULL)
        *colon = '\0';
    json_t *info = json_pack("{s:s,s:s,s:s,s:I,s:s}", "ticket", r->ticket, "problem", r->problem, "incident",
                             r->incident, "version", (json_int_t)r->version, "title", title);
    char *text = json_dumps(info, JSON_COMPACT);
    json_decref(info);
    json_t *event =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:s}", "source", "Spanward", "event_class",
                  r->install[0] != '\0' ? r->install : "spanward", "node", content_clip(node, NODE_MOST), "resource",
                  r->ticket, "metric_name", "network fault", "type", "network path", "message_key",
                  track_label(key, r, '-'), "severity", over ? "0" : severities[r->severity], "description",
                  column(r->body, TEXT_MOST), "additional_info", text != NULL ? text : "{}", "time_of_event", when);
    free(text);
    json_object_set_new(event, "resolution_state", json_string(over ? "Closing" : "New"));
    bool done = track_call(s->http, &a, "POST", event, "/api/now/table/em_event");
    int rc = done ? 0 : failed(&a, ret);
    http_answer_fini(&a);
    if (rc == 0)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", key);
    return rc;
}

/* --- the interface --- */

static void servicenow_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct servicenow *s = ctx;
    char label[TRACK_KEY_BYTES];
    int rc = 0;

    if (r->op != OUTBOX_CREATE)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", r->remote_id);
    if (s->table == TABLE_EVENT) {
        if (send_event(s, r, ret) == 0)
            ret->outcome = CONNECTOR_DONE;
        return;
    }
    switch (r->op) {
    case OUTBOX_CREATE:
        rc = create_as(s, r, track_label(label, r, '-'), r->body, ret);
        break;
    case OUTBOX_UPDATE:
        rc = update(s, r, ret);
        break;
    case OUTBOX_COMMENT:
        rc = comment(s, r, ret);
        break;
    case OUTBOX_RESOLVE:
    case OUTBOX_CLOSE:
        rc = resolve(s, r, ret);
        break;
    case OUTBOX_REOPEN:
        rc = reopen(s, r, ret);
        break;
    case OUTBOX_OP_COUNT:
        break;
    }
    if (rc == 0) {
        ret->outcome = CONNECTOR_DONE;
        if (r->op != OUTBOX_CREATE)
            attach(s, r, ret);
    }
}

#define FIELDS "sys_id,number,state,correlation_id,sys_updated_on,close_code,resolution_code,assigned_to.user_name"

/* The newest record that a query finds: 1, 0 or -EIO. */
static int look_up(struct servicenow *s, const char *query, struct connector_answer *ret)
{
    char full[300], encoded[500];
    struct http_answer a;

    snprintf(full, sizeof(full), "%s^ORDERBYDESCsys_created_on", query);
    bool done = track_call(s->http, &a, "GET", NULL,
                           "/api/now/table/%s?sysparm_query=%s&sysparm_limit=10&sysparm_fields=" FIELDS, s->name,
                           http_encode(encoded, sizeof(encoded), full));
    int rc = done ? 0 : failed(&a, ret);
    const json_t *list = json_object_get(a.json, "result"), *first = json_array_get(list, 0);
    if (rc == 0 && json_is_object(first)) {
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", http_string(first, "sys_id"));
        snprintf(ret->owner, sizeof(ret->owner), "%s", http_string(first, "assigned_to.user_name"));
        ret->state = state_of(s, http_string(first, "state"));
        ret->n_found = (unsigned)json_array_size(list);
        set_url(s, ret);
        rc = 1;
    }
    http_answer_fini(&a);
    return rc;
}

static int servicenow_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct servicenow *s = ctx;
    char query[200], label[TRACK_KEY_BYTES];

    if (s->table == TABLE_EVENT)
        return 0; /* sending it again is the same event */
    snprintf(query, sizeof(query), "correlation_idSTARTSWITH%s", track_label(label, r, '-'));
    int rc = look_up(s, query, ret);
    if (rc == 1 && ret->n_found > 1)
        ret->n_found = 1; /* those that took over from one another */
    return rc;
}

static int add_notes(struct servicenow *s, const char *id, const char *since, struct connector_changes *changes,
                     struct connector_answer *ret)
{
    char query[300], encoded[500];
    struct http_answer a;
    json_t *note;
    size_t i;

    snprintf(query, sizeof(query), "element_id=%s^sys_created_on>=%s^ORDERBYsys_created_on", id, since);
    bool done =
        track_call(s->http, &a, "GET", NULL,
                   "/api/now/table/sys_journal_field?sysparm_query=%s&sysparm_limit=%d&sysparm_fields=sys_id,value,"
                   "sys_created_by,sys_created_on",
                   http_encode(encoded, sizeof(encoded), query), PAGE);
    int rc = done ? 0 : failed(&a, ret);
    json_array_foreach(json_object_get(a.json, "result"), i, note)
    {
        if (rc != 0 || strcmp(http_string(note, "sys_created_by"), s->user) == 0 ||
            track_seen(&s->seen, "note %s", http_string(note, "sys_id")))
            continue;
        struct connector_change *x = connector_changes_add(changes);
        if (x == NULL) {
            rc = -ENOMEM;
            continue;
        }
        snprintf(x->remote_id, sizeof(x->remote_id), "%s", id);
        snprintf(x->author, sizeof(x->author), "%s", http_string(note, "sys_created_by"));
        snprintf(x->comment, sizeof(x->comment), "%s", http_string(note, "value"));
        x->when_wall_ns = track_time_ns(http_string(note, "sys_created_on"));
    }
    http_answer_fini(&a);
    return rc;
}

static int add_change(struct servicenow *s, const json_t *record, const char *since, struct connector_changes *changes,
                      struct connector_answer *ret)
{
    const char *id = http_string(record, "sys_id"), *when = http_string(record, "sys_updated_on");
    const char *state = http_string(record, "state"), *owner = http_string(record, "assigned_to.user_name");
    const char *code = http_string(record, "close_code");

    if (strcmp(when, changes->cursor) > 0)
        snprintf(changes->cursor, sizeof(changes->cursor), "%s", when);
    if (!track_seen(&s->seen, "%s|%s|%s|%s", id, when, state, owner)) {
        struct connector_change *x = connector_changes_add(changes);
        if (x == NULL)
            return -ENOMEM;
        snprintf(x->remote_id, sizeof(x->remote_id), "%s", id);
        x->state = state_of(s, state);
        x->has_owner = true;
        snprintf(x->owner, sizeof(x->owner), "%s", owner);
        snprintf(x->resolution, sizeof(x->resolution), "%s",
                 code[0] != '\0' ? code : http_string(record, "resolution_code"));
        x->when_wall_ns = track_time_ns(when);
    }
    return add_notes(s, id, since, changes, ret);
}

static int servicenow_poll(void *ctx, const char *cursor, struct connector_changes *changes,
                           struct connector_answer *ret)
{
    struct servicenow *s = ctx;
    char since[32], query[300], encoded[500];
    uint64_t cursor_ns = track_time_ns(cursor);
    size_t offset = 0, i;
    int rc = 0;

    if (cursor_ns == 0 || s->table == TABLE_EVENT) {
        track_time_text(changes->cursor, sizeof(changes->cursor), TIME_FORMAT, track_now_ns());
        return 0;
    }
    snprintf(changes->cursor, sizeof(changes->cursor), "%s", cursor);
    track_time_text(since, sizeof(since), TIME_FORMAT, cursor_ns - TRACK_OVERLAP_NS);
    snprintf(query, sizeof(query), "correlation_idSTARTSWITHspanward-^sys_updated_on>=%s^ORDERBYsys_updated_on", since);
    http_encode(encoded, sizeof(encoded), query);
    for (int page = 0; page < PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *record;
        bool done =
            track_call(s->http, &a, "GET", NULL,
                       "/api/now/table/%s?sysparm_query=%s&sysparm_limit=%d&sysparm_offset=%zu&sysparm_fields=" FIELDS,
                       s->name, encoded, PAGE, offset);
        rc = done ? 0 : failed(&a, ret);
        json_array_foreach(json_object_get(a.json, "result"), i, record)
        {
            rc = rc == 0 ? add_change(s, record, since, changes, ret) : rc;
        }
        size_t n = json_array_size(json_object_get(a.json, "result"));
        offset += n;
        http_answer_fini(&a);
        changes->more = n > 0;
        if (n == 0) /* a page may be shorter than asked for: only an empty one is the last */
            break;
    }
    return rc;
}

static int servicenow_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    static const char *const tables[] = {"", "sys_user", "sys_journal_field"};
    struct servicenow *s = ctx;
    char text[300], how[200];
    int rc = 0;

    for (size_t i = 0; i < 3 && (i == 0 || s->table != TABLE_EVENT); i++) {
        const char *table = i == 0 ? s->name : tables[i];
        struct http_answer a;
        bool good =
            track_call(s->http, &a, "GET", NULL, "/api/now/table/%s?sysparm_limit=1&sysparm_fields=sys_id", table);
        snprintf(text, sizeof(text), good ? "%.150s: table %s as %s" : "%.150s: table %s as %s: %.90s",
                 http_base(s->http), table, s->user, a.text);
        snprintf(how, sizeof(how), "give the user the role %s",
                 s->table == TABLE_EVENT ? "evt_mgmt_integration"
                 : i == 0                ? "itil"
                                         : "that reads this table");
        say(say_ctx, good, text, good ? "" : a.status == 401 ? "check tickets.servicenow.user and its password" : how);
        rc = good ? rc : -EACCES;
        http_answer_fini(&a);
        if (!good && i == 0)
            break;
    }
    return rc;
}

const struct connector connector_servicenow = {
    .name = "servicenow",
    .title = "ServiceNow",
    .can = CONNECTOR_TRACKS | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT | CONNECTOR_OWNER,
    .index_delay_ns = 10 * NS_PER_S,
    .open = servicenow_open,
    .close = servicenow_close,
    .send = servicenow_send,
    .find = servicenow_find,
    .poll = servicenow_poll,
    .check = servicenow_check,
};

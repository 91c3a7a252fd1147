/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Zammad by REST API v1 (access token). docs/TICKETS.md has the set-up; its webhook is taken by control/hooks.c.
 *
 * A ticket carries two tags: "spanward" for people and "spanward_KEY", by which the search finds it ('_' keeps it one
 * word for Elasticsearch). Articles cannot be changed: the text of an update is a further article, with a reference for
 * which a repeated request looks first. State and article go in one PUT, so they are there together or not at all.
 * Articles are internal notes in HTML, the charts hang on them.
 *
 * Zammad knows one end, "closed": resolve and close both lead there. A merged ticket speaks through another one; what
 * is told to it is refused, and a person decides. Search lags behind by the background job that feeds Elasticsearch.
 * An owner is set when Zammad knows a user of that login or address, and left alone otherwise.
 */

#include "control/connectors/connector.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"
#include "control/content.h"

#define TIME_FORMAT "%Y-%m-%dT%H:%M:%S.000Z"
#define TITLE_MOST  250u
#define PAGE        50
#define PAGES_MOST  10

/* Owner: the connector's thread. */
struct zammad {
    struct http *http;
    char group[320], customer[330];
    char self[320]; /* our login; "" as long as nobody asked */
    struct track_seen seen;
};

static void zammad_close(void *ctx)
{
    struct zammad *z = ctx;

    if (z == NULL)
        return;
    http_free(z->http);
    free(z);
}

static int zammad_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.zammad.url");
    struct zammad *z;

    if (url[0] == '\0')
        return 0;
    if (config_string(config, "tickets.zammad.group")[0] == '\0')
        return error_set(e, -EINVAL, "tickets.zammad.group is missing: the group that tickets go to");
    z = calloc(1, sizeof(*z));
    if (z == NULL)
        return error_set(e, -ENOMEM, "no memory for Zammad");
    snprintf(z->group, sizeof(z->group), "%s", config_string(config, "tickets.zammad.group"));
    snprintf(z->customer, sizeof(z->customer), "%s", config_string(config, "tickets.zammad.customer"));
    ret_hash[0] = '\0';
    int rc = http_open(config, "tickets.zammad.url", url, &z->http, e);
    rc = rc == 0 ? http_token(z->http, config, "tickets.zammad.token_file", "SPANWARD_ZAMMAD_TOKEN",
                              "Authorization: Token token=", ret_hash, e)
                 : rc;
    if (rc != 0) {
        zammad_close(z);
        return rc;
    }
    http_hash(ret_hash, url);
    http_hash(ret_hash, z->group);
    http_hash(ret_hash, z->customer);
    *ret_ctx = z;
    return 1;
}

/* --- calls --- */

static int failed(struct http_answer *a, struct connector_answer *ret)
{
    const char *why = http_string(a->json, "error_human");

    why = why[0] != '\0' ? why : http_string(a->json, "error");
    if (why[0] != '\0')
        http_reason(a, why);
    track_failed(a, ret);
    if (a->status == 404 && why[0] == '\0')
        ret->outcome = CONNECTOR_RETRY; /* not Zammad: something in front of it */
    if (a->status == 409)
        ret->outcome = CONNECTOR_RETRY;
    return -EIO;
}

static const char *self(struct zammad *z)
{
    struct http_answer a;

    if (z->self[0] == '\0') {
        if (track_call(z->http, &a, "GET", NULL, "/api/v1/users/me"))
            snprintf(z->self, sizeof(z->self), "%s", http_string(a.json, "login"));
        http_answer_fini(&a);
    }
    return z->self;
}

static json_t *attachments(const struct connector_request *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *x = &r->attachment[i];
        char *text = malloc(4 * (x->len / 3 + 1) + 1);
        if (text == NULL)
            break; /* a chart less */
        EVP_EncodeBlock((unsigned char *)text, x->data, (int)x->len);
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s}", "filename", x->name, "mime-type", x->type, "data", text));
        free(text);
    }
    return list;
}

static char *subject(char *ret, size_t size, const struct connector_request *r)
{
    return content_clip(content_line(ret, size, r->title), TITLE_MOST);
}

/* The request's text as an article; NULL without memory. */
static json_t *article(const struct connector_request *r)
{
    char title[512];
    char *text = track_comment(r);
    char *html = text != NULL ? content_html(text) : NULL;
    json_t *list = attachments(r), *j = NULL;

    if (html != NULL)
        j = json_pack("{s:s,s:s,s:s,s:s,s:b}", "subject", subject(title, sizeof(title), r), "body", html,
                      "content_type", "text/html", "type", "note", "internal", 1);
    if (j != NULL && json_array_size(list) > 0)
        json_object_set(j, "attachments", list);
    json_decref(list);
    free(html);
    free(text);
    return j;
}

static void set_common(json_t *ticket, const struct connector_request *r)
{
    static const char *const priorities[EVENT_SEVERITY_COUNT] = {"1 low", "2 normal", "3 high", "3 high"};
    char title[512];

    json_object_set_new(ticket, "title", json_string(subject(title, sizeof(title), r)));
    json_object_set_new(ticket, "priority", json_string(priorities[r->severity]));
    if (r->owner[0] != '\0')
        json_object_set_new(ticket, "owner", json_string(r->owner));
}

/* Sends a ticket (taken over), once more without an owner whom Zammad does not know. */
static bool send_ticket(struct zammad *z, struct http_answer *a, const char *method, const char *path, json_t *ticket)
{
    bool done = track_call(z->http, a, method, json_incref(ticket), "%s", path);

    if (!done && a->status == 422 && strstr(http_string(a->json, "error"), "'owner'") != NULL) {
        http_answer_fini(a);
        json_object_del(ticket, "owner");
        done = track_call(z->http, a, method, json_incref(ticket), "%s", path);
    }
    json_decref(ticket);
    return done;
}

static void set_id(const struct zammad *z, const json_t *ticket, struct connector_answer *ret)
{
    snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", http_string(ticket, "id"));
    snprintf(ret->remote_url, sizeof(ret->remote_url), "%.180s/#ticket/zoom/%.40s", http_base(z->http), ret->remote_id);
}

static int create(struct zammad *z, const struct connector_request *r, struct connector_answer *ret)
{
    char label[TRACK_KEY_BYTES], tags[96], customer[340];
    json_t *ticket = json_object();
    struct http_answer a;

    set_common(ticket, r);
    snprintf(tags, sizeof(tags), "spanward,%s", track_label(label, r, '_'));
    snprintf(customer, sizeof(customer), "guess:%s", z->customer[0] != '\0' ? z->customer : self(z));
    json_object_set_new(ticket, "tags", json_string(tags));
    json_object_set_new(ticket, "group", json_string(z->group));
    json_object_set_new(ticket, "customer_id", json_string(customer));
    json_object_set_new(ticket, "article", article(r));
    bool done = send_ticket(z, &a, "POST", "/api/v1/tickets", ticket);
    int rc = done ? 0 : failed(&a, ret);
    if (rc == 0) {
        http_to_answer(&a, ret);
        ret->text[0] = '\0';
        set_id(z, a.json, ret);
        if (ret->remote_id[0] == '\0') {
            ret->outcome = CONNECTOR_DOUBT;
            snprintf(ret->text, sizeof(ret->text), "the answer has no id");
            rc = -EIO;
        }
    }
    http_answer_fini(&a);
    return rc;
}

/* 1: an article holds the reference, 0 not, -EIO. */
static int has_article(struct zammad *z, const char *id, const char *ref, struct connector_answer *ret)
{
    struct http_answer a;
    json_t *x;
    size_t i;
    int rc = 0;

    if (!track_call(z->http, &a, "GET", NULL, "/api/v1/ticket_articles/by_ticket/%s", id))
        rc = failed(&a, ret);
    json_array_foreach(a.json, i, x)
    {
        if (rc == 0 && strstr(http_string(x, "body"), ref) != NULL)
            rc = 1;
    }
    http_answer_fini(&a);
    return rc;
}

/* A change of the ticket with an article that is there once. state "": as it is. */
static int put(struct zammad *z, const struct connector_request *r, const char *id, const char *state, bool fields,
               struct connector_answer *ret)
{
    char ref[TRACK_KEY_BYTES], path[200];
    int there = r->repeat ? has_article(z, id, track_ref(ref, r), ret) : 0;
    json_t *ticket = json_object();
    struct http_answer a;

    if (there < 0) {
        json_decref(ticket);
        return there;
    }
    if (fields)
        set_common(ticket, r);
    if (state[0] != '\0')
        json_object_set_new(ticket, "state", json_string(state));
    if (there == 0)
        json_object_set_new(ticket, "article", article(r));
    if (json_object_size(ticket) == 0) { /* said before, and nothing else to do */
        json_decref(ticket);
        return 0;
    }
    snprintf(path, sizeof(path), "/api/v1/tickets/%s", id);
    bool done = send_ticket(z, &a, "PUT", path, ticket);
    int rc = done ? 0 : failed(&a, ret);
    http_answer_fini(&a);
    return rc;
}

static void zammad_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct zammad *z = ctx;
    char id[128];
    int rc = 0;

    http_encode(id, sizeof(id), r->remote_id);
    if (r->op != OUTBOX_CREATE)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", r->remote_id);
    switch (r->op) {
    case OUTBOX_CREATE:
        rc = create(z, r, ret);
        break;
    case OUTBOX_UPDATE:
        rc = put(z, r, id, "", true, ret);
        break;
    case OUTBOX_COMMENT:
        rc = put(z, r, id, "", false, ret);
        break;
    case OUTBOX_RESOLVE:
    case OUTBOX_CLOSE:
        rc = put(z, r, id, "closed", false, ret);
        break;
    case OUTBOX_REOPEN:
        rc = put(z, r, id, "open", true, ret);
        break;
    case OUTBOX_OP_COUNT:
        break;
    }
    if (rc == 0)
        ret->outcome = CONNECTOR_DONE;
}

/* --- find and poll --- */

static enum remote_state state_of(const char *state)
{
    static const struct {
        const char *name;
        enum remote_state state;
    } states[] = {
        {"new", REMOTE_OPEN},
        {"open", REMOTE_IN_PROGRESS},
        {"pending reminder", REMOTE_IN_PROGRESS},
        {"pending close", REMOTE_IN_PROGRESS},
        {"closed", REMOTE_RESOLVED},
        {"merged", REMOTE_CLOSED},
    };

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].name, state) == 0)
            return states[i].state;
    }
    return REMOTE_UNKNOWN; /* a state of the installation's own */
}

/* "-" is Zammad's nobody. */
static const char *owner_of(const json_t *ticket)
{
    const char *owner = http_string(ticket, "owner");

    return strcmp(owner, "-") == 0 ? "" : owner;
}

static int zammad_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct zammad *z = ctx;
    char query[128], encoded[256], label[TRACK_KEY_BYTES];
    struct http_answer a;
    int rc = 0;

    snprintf(query, sizeof(query), "tags:\"%s\"", track_label(label, r, '_'));
    if (!track_call(z->http, &a, "GET", NULL, "/api/v1/tickets/search?query=%s&expand=true&page=1&per_page=10",
                    http_encode(encoded, sizeof(encoded), query)))
        rc = failed(&a, ret);
    const json_t *first = json_array_get(a.json, 0);
    if (rc == 0 && json_is_object(first)) {
        set_id(z, first, ret);
        ret->state = state_of(http_string(first, "state"));
        snprintf(ret->owner, sizeof(ret->owner), "%s", owner_of(first));
        ret->n_found = (unsigned)json_array_size(a.json);
        rc = 1;
    }
    http_answer_fini(&a);
    return rc;
}

static int zammad_present(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct zammad *z = ctx;
    struct http_answer a;
    char id[400];

    track_call(z->http, &a, "GET", NULL, "/api/v1/tickets/%s", http_encode(id, sizeof(id), r->remote_id));
    return track_present(&a, ret);
}

static int add_articles(struct zammad *z, const char *id, uint64_t since_ns, struct connector_changes *changes,
                        struct connector_answer *ret)
{
    struct http_answer a;
    json_t *x;
    size_t i;
    int rc = 0;

    if (!track_call(z->http, &a, "GET", NULL, "/api/v1/ticket_articles/by_ticket/%s", id))
        rc = failed(&a, ret);
    json_array_foreach(a.json, i, x)
    {
        uint64_t when = track_time_ns(http_string(x, "created_at"));
        if (rc != 0 || when < since_ns || strcasecmp(http_string(x, "created_by"), self(z)) == 0 ||
            track_seen(&z->seen, "article %s", http_string(x, "id")))
            continue;
        struct connector_change *c = connector_changes_add(changes);
        bool html = strcmp(http_string(x, "content_type"), "text/html") == 0;
        char *text = html ? content_from_html(http_string(x, "body")) : strdup(http_string(x, "body"));
        if (c == NULL || text == NULL) {
            rc = -ENOMEM;
        } else {
            snprintf(c->remote_id, sizeof(c->remote_id), "%s", id);
            snprintf(c->author, sizeof(c->author), "%s", http_string(x, "created_by"));
            snprintf(c->comment, sizeof(c->comment), "%s", text);
            c->when_wall_ns = when;
        }
        free(text);
    }
    http_answer_fini(&a);
    return rc;
}

static int add_change(struct zammad *z, const json_t *ticket, uint64_t since_ns, struct connector_changes *changes,
                      struct connector_answer *ret)
{
    const char *when = http_string(ticket, "updated_at"), *state = http_string(ticket, "state");
    char id[32];

    snprintf(id, sizeof(id), "%s", http_string(ticket, "id"));
    if (strcmp(when, changes->cursor) > 0)
        snprintf(changes->cursor, sizeof(changes->cursor), "%s", when);
    if (!track_seen(&z->seen, "%s|%s|%s|%s", id, when, state, owner_of(ticket))) {
        struct connector_change *c = connector_changes_add(changes);
        if (c == NULL)
            return -ENOMEM;
        snprintf(c->remote_id, sizeof(c->remote_id), "%s", id);
        c->state = state_of(state);
        c->has_owner = true;
        snprintf(c->owner, sizeof(c->owner), "%s", owner_of(ticket));
        c->when_wall_ns = track_time_ns(when);
    }
    return add_articles(z, id, since_ns, changes, ret);
}

static int zammad_poll(void *ctx, const char *cursor, struct connector_changes *changes, struct connector_answer *ret)
{
    struct zammad *z = ctx;
    uint64_t since_ns = track_time_ns(cursor);
    char since[40], query[128], encoded[300];
    size_t i;
    int rc = 0;

    if (since_ns == 0) {
        track_time_text(changes->cursor, sizeof(changes->cursor), TIME_FORMAT, track_now_ns());
        return 0;
    }
    snprintf(changes->cursor, sizeof(changes->cursor), "%s", cursor);
    since_ns -= TRACK_OVERLAP_NS;
    track_time_text(since, sizeof(since), TIME_FORMAT, since_ns);
    snprintf(query, sizeof(query), "tags:spanward AND updated_at:[\"%s\" TO *]", since);
    http_encode(encoded, sizeof(encoded), query);
    for (int page = 1; page <= PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *t;
        if (!track_call(
                z->http, &a, "GET", NULL,
                "/api/v1/tickets/search?query=%s&expand=true&sort_by=updated_at&order_by=asc&page=%d&per_page=%d",
                encoded, page, PAGE))
            rc = failed(&a, ret);
        json_array_foreach(a.json, i, t)
        {
            rc = rc == 0 ? add_change(z, t, since_ns, changes, ret) : rc;
        }
        /* There is no total: only an empty page is the last. */
        changes->more = rc == 0 && json_array_size(a.json) > 0;
        http_answer_fini(&a);
        if (!changes->more)
            break;
    }
    return rc;
}

/* --- check --- */

static int zammad_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct zammad *z = ctx;
    struct http_answer a;
    char text[400];
    json_t *g;
    size_t i;

    bool good = track_call(z->http, &a, "GET", NULL, "/api/v1/users/me");
    snprintf(text, sizeof(text), good ? "%.200s as %.100s" : "%.200s: %.100s", http_base(z->http),
             good ? http_string(a.json, "login") : a.text);
    say(say_ctx, good, text,
        good ? "" : "check tickets.zammad.url and the token (Profile, Token Access; permission ticket.agent)");
    http_answer_fini(&a);
    if (!good)
        return -EACCES;
    good = false;
    if (track_call(z->http, &a, "GET", NULL, "/api/v1/groups?page=1&per_page=200")) {
        json_array_foreach(a.json, i, g)
        {
            good |= strcmp(http_string(g, "name"), z->group) == 0;
        }
        snprintf(text, sizeof(text), "group %.200s", z->group);
        say(say_ctx, good, text,
            good ? ""
                 : "create it in Admin, Groups, and give the token's user the access full to it, or set "
                   "tickets.zammad.group");
    } else {
        good = a.status == 403; /* agents may not list groups; a create will tell */
        say(say_ctx, good, good ? "groups are not to be listed with this token" : a.text, "");
    }
    http_answer_fini(&a);
    return good ? 0 : -ENOENT;
}

const struct connector connector_zammad = {
    .name = "zammad",
    .title = "Zammad",
    .can = CONNECTOR_TRACKS | CONNECTOR_HTML | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT | CONNECTOR_OWNER,
    .index_delay_ns = 60 * NS_PER_S,
    .open = zammad_open,
    .close = zammad_close,
    .send = zammad_send,
    .find = zammad_find,
    .present = zammad_present,
    .poll = zammad_poll,
    .check = zammad_check,
};

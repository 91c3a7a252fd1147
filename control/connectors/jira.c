/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Jira: Cloud by REST API v3 (Basic email:token, documents in Atlassian Document Format), Data Center by v2 (Bearer
 * token, wiki markup). docs/TICKETS.md has the set-up.
 *
 * An issue carries two labels: "spanward" for people and "spanward-KEY", by which it is found. Updates replace summary
 * and description, which may be repeated; comments carry a reference and are looked for before they are repeated.
 * Statuses are understood by their category (new, indeterminate, done), never by name, since names are translated and
 * changed; a transition is chosen by where it leads, over at most four steps, and fields that its screen requires are
 * filled where we can (the resolution), else the refusal says which.
 *
 * Priority and assignee are set where project and account allow it; a screen without them is remembered and no reason
 * to refuse a ticket. Search lags behind writes: index_delay_ns. 409 means that somebody else writes: again later.
 *
 * Limits: summary 255, text 32,767 characters; longer text is cut. What is read back is in jira_read.c.
 */

#include "control/connectors/jira.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/timefmt.h"
#include "control/content.h"

#define SUMMARY_MOST  254u
#define TEXT_MOST     30000u /* of the body; escapes add to it */
#define STEPS_MOST    4
#define PAGE          50
#define COMMENT_PAGES 10

const char *jira_api(const struct jira *j)
{
    return j->cloud ? "/rest/api/3" : "/rest/api/2";
}

const char *jira_account_field(const struct jira *j)
{
    return j->cloud ? "accountId" : "name";
}

/* --- open and close --- */

static void jira_close(void *ctx)
{
    struct jira *j = ctx;

    if (j == NULL)
        return;
    http_free(j->http);
    free(j);
}

static int authenticate(struct jira *j, const struct config *config, char hash[FINGERPRINT_BYTES], struct error *e)
{
    static const char what[] = "tickets.jira.token_file", env[] = "SPANWARD_JIRA_TOKEN";
    const char *user = config_string(config, "tickets.jira.user");

    if (j->cloud && user[0] == '\0')
        return error_set(e, -EINVAL, "tickets.jira.user is missing: Jira Cloud wants the e-mail address of the token");
    return j->cloud ? http_login(j->http, config, what, env, user, hash, e)
                    : http_token(j->http, config, what, env, "Authorization: Bearer ", hash, e);
}

static int jira_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.jira.url");
    struct jira *j;

    if (url[0] == '\0')
        return 0;
    if (config_string(config, "tickets.jira.project")[0] == '\0')
        return error_set(e, -EINVAL, "tickets.jira.project is missing: the key of the project, like NET");
    j = calloc(1, sizeof(*j));
    if (j == NULL)
        return error_set(e, -ENOMEM, "no memory for Jira");
    j->cloud = strcmp(config_string(config, "tickets.jira.edition"), "cloud") == 0;
    snprintf(j->project, sizeof(j->project), "%s", config_string(config, "tickets.jira.project"));
    snprintf(j->type, sizeof(j->type), "%s", config_string(config, "tickets.jira.issue_type"));
    snprintf(j->resolution, sizeof(j->resolution), "%s", config_string(config, "tickets.jira.resolution"));
    ret_hash[0] = '\0';
    int rc = http_open(config, "tickets.jira.url", url, &j->http, e);
    rc = rc == 0 ? authenticate(j, config, ret_hash, e) : rc;
    if (rc != 0) {
        jira_close(j);
        return rc;
    }
    http_hash(ret_hash, url);
    http_hash(ret_hash, j->project);
    http_hash(ret_hash, j->type);
    http_hash(ret_hash, j->cloud ? "cloud" : "data-center");
    *ret_ctx = j;
    return 1;
}

/* --- calls --- */

/* Jira's own words: errorMessages, then errors by field. */
static void read_reason(struct http_answer *a)
{
    const char *first = json_string_value(json_array_get(json_object_get(a->json, "errorMessages"), 0));
    const char *field;
    char text[200];
    json_t *why;

    json_object_foreach(json_object_get(a->json, "errors"), field, why)
    {
        if (first == NULL && json_is_string(why)) {
            snprintf(text, sizeof(text), "%.40s: %.150s", field, json_string_value(why));
            first = text;
        }
    }
    if (first != NULL)
        http_reason(a, first);
}

/* The end of a failed step: what it means for the request. */
int jira_failed(struct http_answer *a, struct connector_answer *ret)
{
    read_reason(a);
    track_failed(a, ret);
    if (a->status == 409) /* somebody else writes at the same time */
        ret->outcome = CONNECTOR_RETRY;
    if (a->status == 404 && ret->outcome == CONNECTOR_REFUSED && a->json == NULL)
        ret->outcome = CONNECTOR_RETRY; /* not Jira: something in front of it */
    return -EIO;
}

static json_t *text_value(const struct jira *j, const char *text)
{
    char *cut = strdup(text), *wiki = NULL;
    json_t *value = NULL;

    if (cut == NULL)
        return NULL;
    content_clip(cut, TEXT_MOST);
    if (j->cloud) {
        value = content_adf(cut);
    } else {
        wiki = content_wiki(cut);
        value = wiki != NULL ? json_string(content_clip(wiki, TEXT_MOST)) : NULL;
    }
    free(wiki);
    free(cut);
    return value;
}

/* --- people --- */

static void remember_person(struct jira *j, const char *name, const char *account)
{
    struct jira_person *p = &j->person[j->n_people++ % JIRA_PEOPLE];

    snprintf(p->name, sizeof(p->name), "%s", name);
    snprintf(p->account, sizeof(p->account), "%s", account);
}

/* The account that our name for an owner means, "" when there is not exactly one. */
static const char *account_of(struct jira *j, const char *owner)
{
    char query[256], project[200];
    const char *found = "";
    struct http_answer a;
    json_t *u;
    size_t i;

    if (owner[0] == '\0')
        return "";
    for (unsigned k = 0; k < JIRA_PEOPLE && k < j->n_people; k++) {
        if (strcmp(j->person[k].name, owner) == 0)
            return j->person[k].account;
    }
    if (track_call(j->http, &a, "GET", NULL, "%s/user/assignable/search?project=%s&%s=%s&maxResults=10", jira_api(j),
                   http_encode(project, sizeof(project), j->project), j->cloud ? "query" : "username",
                   http_encode(query, sizeof(query), owner))) {
        json_array_foreach(a.json, i, u)
        {
            bool same = strcasecmp(http_string(u, "emailAddress"), owner) == 0 ||
                        strcasecmp(http_string(u, "displayName"), owner) == 0 ||
                        strcasecmp(http_string(u, "name"), owner) == 0;
            if (same || json_array_size(a.json) == 1)
                found = http_string(u, jira_account_field(j));
        }
        remember_person(j, owner, found);
        found = j->person[(j->n_people - 1) % JIRA_PEOPLE].account;
    } else {
        found = ""; /* not now: a ticket without assignee is better than none */
    }
    http_answer_fini(&a);
    return found;
}

/* Our name for a user of theirs. */
const char *jira_name_of(const struct jira *j, const json_t *user)
{
    const char *account = http_string(user, jira_account_field(j)), *mail = http_string(user, "emailAddress");

    for (unsigned k = 0; account[0] != '\0' && k < JIRA_PEOPLE && k < j->n_people; k++) {
        if (strcmp(j->person[k].account, account) == 0)
            return j->person[k].name;
    }
    if (!j->cloud && account[0] != '\0')
        return account;
    return mail[0] != '\0' ? mail : http_string(user, "displayName");
}

/* --- fields --- */

static const char *priority_of(enum event_severity severity)
{
    static const char *const names[EVENT_SEVERITY_COUNT] = {"Low", "Medium", "High", "Highest"};

    return names[severity];
}

/* Summary, description and, where allowed, priority and assignee. NULL without memory. */
static json_t *issue_fields(struct jira *j, const struct connector_request *r)
{
    char summary[512];
    const char *account = account_of(j, r->owner);
    json_t *fields = json_object();

    content_clip(content_line(summary, sizeof(summary), r->title), SUMMARY_MOST);
    json_object_set_new(fields, "summary", json_string(summary));
    json_object_set_new(fields, "description", text_value(j, r->body));
    if (!j->no_priority)
        json_object_set_new(fields, "priority", json_pack("{s:s}", "name", priority_of(r->severity)));
    if (account[0] != '\0')
        json_object_set_new(fields, "assignee", json_pack("{s:s}", jira_account_field(j), account));
    return fields;
}

/* Whether a refusal is about fields that we can do without; they are then taken out. */
static bool take_out(struct jira *j, const struct http_answer *a, json_t *fields)
{
    const json_t *errors = json_object_get(a->json, "errors");
    bool priority = json_object_get(errors, "priority") != NULL, assignee = json_object_get(errors, "assignee") != NULL;

    if (a->status != 400 || json_object_size(errors) != (size_t)priority + (size_t)assignee ||
        json_object_size(errors) == 0)
        return false;
    if (priority) {
        j->no_priority = true;
        json_object_del(fields, "priority");
    }
    if (assignee)
        json_object_del(fields, "assignee");
    return true;
}

/* Sends fields by method and path, once more without what the screens do not have. */
static bool send_fields(struct jira *j, struct http_answer *a, const char *method, const char *path, json_t *fields)
{
    bool done = track_call(j->http, a, method, json_pack("{s:O}", "fields", fields), "%s", path);

    if (!done && take_out(j, a, fields)) {
        http_answer_fini(a);
        done = track_call(j->http, a, method, json_pack("{s:O}", "fields", fields), "%s", path);
    }
    json_decref(fields);
    return done;
}

/* Attachments are worth a try; what fails is said and is no failure of the ticket. */
static void attach(struct jira *j, const struct connector_request *r, struct connector_answer *ret)
{
    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *x = &r->attachment[i];
        struct http_part part = {.name = "file", .filename = x->name, .type = x->type, .data = x->data, .len = x->len};
        char path[256], id[128];
        struct http_request q = {
            .method = "POST", .path = path, .part = &part, .n_parts = 1, .header = {"X-Atlassian-Token: no-check"}};
        struct http_answer a;
        snprintf(path, sizeof(path), "%s/issue/%s/attachments", jira_api(j),
                 http_encode(id, sizeof(id), ret->remote_id));
        http_do(j->http, &q, &a);
        if (a.outcome != CONNECTOR_DONE)
            snprintf(ret->text, sizeof(ret->text), "without %.40s: %.100s", x->name, a.text);
        http_answer_fini(&a);
    }
}

void jira_set_url(const struct jira *j, struct connector_answer *ret)
{
    snprintf(ret->remote_url, sizeof(ret->remote_url), "%.150s/browse/%.90s", http_base(j->http), ret->remote_id);
}

static int create(struct jira *j, const struct connector_request *r, struct connector_answer *ret)
{
    char label[TRACK_KEY_BYTES], path[64];
    struct http_answer a;
    json_t *fields = issue_fields(j, r);

    json_object_set_new(fields, "project", json_pack("{s:s}", "key", j->project));
    json_object_set_new(fields, "issuetype", json_pack("{s:s}", "name", j->type));
    json_object_set_new(fields, "labels", json_pack("[s,s]", "spanward", track_label(label, r, '-')));
    snprintf(path, sizeof(path), "%s/issue", jira_api(j));
    bool done = send_fields(j, &a, "POST", path, fields);
    int rc = 0;
    if (!done) {
        rc = jira_failed(&a, ret);
    } else if (http_string(a.json, "key")[0] == '\0') {
        http_to_answer(&a, ret);
        ret->outcome = CONNECTOR_DOUBT; /* 2xx without a key: not Jira's answer */
        snprintf(ret->text, sizeof(ret->text), "the answer has no key");
        rc = -EIO;
    } else {
        http_to_answer(&a, ret);
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", http_string(a.json, "key"));
        ret->text[0] = '\0';
        jira_set_url(j, ret);
    }
    http_answer_fini(&a);
    if (rc == 0)
        attach(j, r, ret);
    return rc;
}

static int update(struct jira *j, const struct connector_request *r, const char *id, struct connector_answer *ret)
{
    char path[256];
    struct http_answer a;

    snprintf(path, sizeof(path), "%s/issue/%s", jira_api(j), id);
    bool done = send_fields(j, &a, "PUT", path, issue_fields(j, r));
    int rc = done ? 0 : jira_failed(&a, ret);
    http_answer_fini(&a);
    return rc;
}

/* --- comments --- */

char *jira_comment_text(const struct jira *j, const json_t *comment)
{
    const json_t *body = json_object_get(comment, "body");

    return j->cloud ? content_from_adf(body) : strdup(json_is_string(body) ? json_string_value(body) : "");
}

/* 1: a comment with the reference is there, 0 not, -EIO. Newest first, all pages. */
static int has_comment(struct jira *j, const char *id, const char *ref, struct connector_answer *ret)
{
    size_t start = 0, i;
    int found = 0;

    for (int page = 0; page < COMMENT_PAGES && found == 0; page++) {
        struct http_answer a;
        json_t *c;
        if (!track_call(j->http, &a, "GET", NULL, "%s/issue/%s/comment?startAt=%zu&maxResults=%d&orderBy=-created",
                        jira_api(j), id, start, PAGE)) {
            found = jira_failed(&a, ret);
        } else {
            const json_t *list = json_object_get(a.json, "comments");
            json_array_foreach(list, i, c)
            {
                char *text = jira_comment_text(j, c);
                found |= text != NULL && strstr(text, ref) != NULL;
                free(text);
            }
            start += json_array_size(list);
            json_int_t total = json_integer_value(json_object_get(a.json, "total"));
            if (json_array_size(list) == 0 || (json_int_t)start >= total)
                page = COMMENT_PAGES;
        }
        http_answer_fini(&a);
    }
    return found;
}

static int comment(struct jira *j, const struct connector_request *r, const char *id, struct connector_answer *ret)
{
    char ref[TRACK_KEY_BYTES];
    struct http_answer a;

    int there = r->repeat ? has_comment(j, id, track_ref(ref, r), ret) : 0;
    if (there != 0)
        return there < 0 ? there : 0;
    char *text = track_comment(r);
    if (text == NULL)
        return -ENOMEM;
    bool done = track_call(j->http, &a, "POST", json_pack("{s:o}", "body", text_value(j, text)), "%s/issue/%s/comment",
                           jira_api(j), id);
    int rc = done ? 0 : jira_failed(&a, ret);
    http_answer_fini(&a);
    free(text);
    return rc;
}

/* --- transitions --- */

const char *jira_category(const json_t *status)
{
    return track_path(status, "statusCategory", "key", NULL);
}

/* Fills what a transition's screen requires; false and the field's name when we cannot. */
static bool screen_fields(const struct jira *j, const json_t *transition, json_t **ret, char *ret_missing, size_t size)
{
    const char *name;
    json_t *field, *value, *values = json_object();
    size_t i;

    json_object_foreach(json_object_get(transition, "fields"), name, field)
    {
        if (!json_is_true(json_object_get(field, "required")))
            continue;
        const json_t *allowed = json_object_get(field, "allowedValues");
        const json_t *choice = json_array_get(allowed, 0);
        if (strcmp(name, "resolution") != 0 || choice == NULL) {
            snprintf(ret_missing, size, "%s", name);
            json_decref(values);
            return false;
        }
        json_array_foreach(allowed, i, value)
        {
            if (strcasecmp(http_string(value, "name"), j->resolution) == 0)
                choice = value;
        }
        json_object_set_new(values, name, json_pack("{s:s}", "id", http_string(choice, "id")));
    }
    *ret = values;
    return true;
}

/* The transition that leads to a status of the category; else, on the way to done, one to indeterminate. */
static const json_t *choose(const json_t *list, const char *category, bool over)
{
    const json_t *second = NULL;
    json_t *t;
    size_t i;

    json_array_foreach(list, i, t)
    {
        const char *to = jira_category(json_object_get(t, "to"));
        if (strcmp(to, category) == 0)
            return t;
        if (over ? strcmp(to, "indeterminate") == 0 : strcmp(to, "done") != 0)
            second = t;
    }
    return second;
}

static int step(struct jira *j, const char *id, const char *category, bool over, struct connector_answer *ret)
{
    struct http_answer a, b;
    json_t *fields = NULL;
    char missing[64];
    int rc = 0;

    if (!track_call(j->http, &a, "GET", NULL, "%s/issue/%s/transitions?expand=transitions.fields", jira_api(j), id)) {
        rc = jira_failed(&a, ret);
        http_answer_fini(&a);
        return rc;
    }
    const json_t *t = choose(json_object_get(a.json, "transitions"), category, over);
    if (t == NULL) {
        rc = track_refuse(ret, "the workflow offers our account no transition to a status of category %s", category);
    } else if (!screen_fields(j, t, &fields, missing, sizeof(missing))) {
        rc = track_refuse(ret, "transition %.60s requires the field %.60s", http_string(t, "name"), missing);
    } else {
        json_t *body = json_pack("{s:{s:s}}", "transition", "id", http_string(t, "id"));
        if (json_object_size(fields) > 0)
            json_object_set(body, "fields", fields);
        if (!track_call(j->http, &b, "POST", body, "%s/issue/%s/transitions", jira_api(j), id))
            rc = jira_failed(&b, ret);
        http_answer_fini(&b);
        json_decref(fields);
    }
    http_answer_fini(&a);
    return rc;
}

/* Brings the issue into (or out of) a status of category done, by as many steps as the workflow wants. */
static int move(struct jira *j, const char *id, bool over, const char *wanted, struct connector_answer *ret)
{
    for (int i = 0; i < STEPS_MOST; i++) {
        struct http_answer a;
        if (!track_call(j->http, &a, "GET", NULL, "%s/issue/%s?fields=status", jira_api(j), id)) {
            int rc = jira_failed(&a, ret);
            http_answer_fini(&a);
            return rc;
        }
        bool done = strcmp(jira_category(json_object_get(json_object_get(a.json, "fields"), "status")), "done") == 0;
        http_answer_fini(&a);
        if (done == over)
            return 0;
        int rc = step(j, id, wanted, over, ret);
        if (rc != 0)
            return rc;
    }
    return track_refuse(ret, "the workflow led nowhere in %d transitions", STEPS_MOST);
}

/* --- send --- */

static void jira_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct jira *j = ctx;
    char id[128];
    int rc = 0;

    http_encode(id, sizeof(id), r->remote_id);
    if (r->op != OUTBOX_CREATE)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", r->remote_id);
    switch (r->op) {
    case OUTBOX_CREATE:
        rc = create(j, r, ret);
        break;
    case OUTBOX_UPDATE:
        rc = update(j, r, id, ret);
        break;
    case OUTBOX_COMMENT:
        rc = comment(j, r, id, ret);
        break;
    case OUTBOX_RESOLVE:
    case OUTBOX_CLOSE:
        rc = comment(j, r, id, ret);
        rc = rc == 0 ? move(j, id, true, "done", ret) : rc;
        break;
    case OUTBOX_REOPEN:
        rc = move(j, id, false, r->owner[0] != '\0' ? "indeterminate" : "new", ret);
        rc = rc == 0 ? update(j, r, id, ret) : rc;
        rc = rc == 0 ? comment(j, r, id, ret) : rc;
        break;
    case OUTBOX_OP_COUNT:
        break;
    }
    if (rc == 0) {
        ret->outcome = CONNECTOR_DONE;
        if (r->op != OUTBOX_CREATE)
            attach(j, r, ret);
    }
}

const struct connector connector_jira = {
    .name = "jira",
    .title = "Jira",
    .can = CONNECTOR_TRACKS | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT | CONNECTOR_OWNER,
    .index_delay_ns = 30 * NS_PER_S,
    .open = jira_open,
    .close = jira_close,
    .send = jira_send,
    .find = jira_find,
    .present = jira_present,
    .poll = jira_poll,
    .check = jira_check,
};

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Jira, what is read back: an issue by its label, what changed since a time, and whether everything is there to begin.
 *
 * Search lags behind writes (index_delay_ns), and polls see changes by minutes of Jira's own clock: they ask for two
 * minutes more than needed and skip what they have reported. A search for a label looks in all projects, since people
 * move issues; polls look in ours.
 */

#include "control/connectors/jira.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/timefmt.h"

#define PAGE           50
#define PAGES_MOST     10
#define COMMENTS_ASKED 20

static enum remote_state state_of(const json_t *status)
{
    const char *category = jira_category(status);

    return strcmp(category, "done") == 0            ? REMOTE_RESOLVED
           : strcmp(category, "indeterminate") == 0 ? REMOTE_IN_PROGRESS
           : strcmp(category, "new") == 0           ? REMOTE_OPEN
                                                    : REMOTE_UNKNOWN;
}

/* One page of a search; token and start belong to Cloud and Data Center. */
static bool search(struct jira *j, struct http_answer *a, const char *jql, const char *token, size_t start)
{
    char encoded[1024];

    if (!j->cloud)
        return track_call(j->http, a, "GET", NULL,
                          "%s/search?jql=%s&fields=status,assignee,resolution,updated,labels&startAt=%zu&maxResults=%d",
                          jira_api(j), http_encode(encoded, sizeof(encoded), jql), start, PAGE);
    json_t *q = json_pack("{s:s,s:i,s:[s,s,s,s,s]}", "jql", jql, "maxResults", PAGE, "fields", "status", "assignee",
                          "resolution", "updated", "labels");
    if (token[0] != '\0')
        json_object_set_new(q, "nextPageToken", json_string(token));
    return track_call(j->http, a, "POST", q, "%s/search/jql", jira_api(j));
}

static bool has_label(const json_t *issue, const char *label)
{
    json_t *l;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(issue, "fields"), "labels"), i, l)
    {
        if (json_is_string(l) && strcasecmp(json_string_value(l), label) == 0)
            return true;
    }
    return false;
}

int jira_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct jira *j = ctx;
    char label[TRACK_KEY_BYTES], jql[256];
    struct http_answer a;
    json_t *issue;
    size_t i;
    int rc = 0;

    track_label(label, r, '-');
    snprintf(jql, sizeof(jql), "labels = \"%s\" ORDER BY created ASC", label); /* in any project: people move issues */
    if (!search(j, &a, jql, "", 0)) {
        rc = jira_failed(&a, ret);
        http_answer_fini(&a);
        return rc;
    }
    json_array_foreach(json_object_get(a.json, "issues"), i, issue)
    {
        const json_t *fields = json_object_get(issue, "fields");
        if (!has_label(issue, label) || ret->n_found++ > 0)
            continue;
        snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", http_string(issue, "key"));
        ret->state = state_of(json_object_get(fields, "status"));
        snprintf(ret->owner, sizeof(ret->owner), "%s", jira_name_of(j, json_object_get(fields, "assignee")));
        jira_set_url(j, ret);
        rc = 1;
    }
    http_answer_fini(&a);
    return rc;
}

int jira_present(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct jira *j = ctx;
    struct http_answer a;
    char id[400];

    track_call(j->http, &a, "GET", NULL, "%s/issue/%s?fields=status", jira_api(j),
               http_encode(id, sizeof(id), r->remote_id));
    return track_present(&a, ret);
}

static const char *self_account(struct jira *j)
{
    struct http_answer a;

    if (j->self[0] == '\0') {
        if (track_call(j->http, &a, "GET", NULL, "%s/myself", jira_api(j)))
            snprintf(j->self, sizeof(j->self), "%s", http_string(a.json, jira_account_field(j)));
        http_answer_fini(&a);
    }
    return j->self;
}

static int add_comments(struct jira *j, const char *key, uint64_t since_ns, struct connector_changes *changes,
                        struct connector_answer *ret)
{
    struct http_answer a;
    size_t i;
    int rc = 0;

    if (!track_call(j->http, &a, "GET", NULL, "%s/issue/%s/comment?startAt=0&maxResults=%d&orderBy=-created",
                    jira_api(j), key, COMMENTS_ASKED))
        rc = jira_failed(&a, ret);
    const json_t *list = json_object_get(a.json, "comments");
    for (i = json_array_size(list); rc == 0 && i > 0; i--) { /* oldest first */
        const json_t *c = json_array_get(list, i - 1), *author = json_object_get(c, "author");
        uint64_t when = track_time_ns(http_string(c, "created"));
        if (when < since_ns || strcmp(http_string(author, jira_account_field(j)), self_account(j)) == 0 ||
            track_seen(&j->seen, "comment %s", http_string(c, "id")))
            continue;
        struct connector_change *x = connector_changes_add(changes);
        char *text = jira_comment_text(j, c);
        if (x == NULL || text == NULL) {
            rc = -ENOMEM;
        } else {
            snprintf(x->remote_id, sizeof(x->remote_id), "%s", key);
            snprintf(x->author, sizeof(x->author), "%s", jira_name_of(j, author));
            snprintf(x->comment, sizeof(x->comment), "%s", text);
            x->when_wall_ns = when;
        }
        free(text);
    }
    http_answer_fini(&a);
    return rc;
}

static int add_change(struct jira *j, const json_t *issue, uint64_t since_ns, uint64_t *newest_ns,
                      struct connector_changes *changes, struct connector_answer *ret)
{
    const json_t *fields = json_object_get(issue, "fields"), *assignee = json_object_get(fields, "assignee");
    uint64_t when = track_time_ns(http_string(fields, "updated"));
    const char *owner = json_is_object(assignee) ? jira_name_of(j, assignee) : "";

    if (when > *newest_ns)
        *newest_ns = when;
    if (when < since_ns || track_seen(&j->seen, "%s|%llu|%s|%s", http_string(issue, "key"), (unsigned long long)when,
                                      track_path(fields, "status", "id", NULL), owner))
        return 0;
    struct connector_change *x = connector_changes_add(changes);
    if (x == NULL)
        return -ENOMEM;
    snprintf(x->remote_id, sizeof(x->remote_id), "%s", http_string(issue, "key"));
    x->state = state_of(json_object_get(fields, "status"));
    x->has_owner = true;
    snprintf(x->owner, sizeof(x->owner), "%s", owner);
    snprintf(x->resolution, sizeof(x->resolution), "%s", track_path(fields, "resolution", "name", NULL));
    x->when_wall_ns = when;
    return add_comments(j, http_string(issue, "key"), since_ns, changes, ret);
}

int jira_poll(void *ctx, const char *cursor, struct connector_changes *changes, struct connector_answer *ret)
{
    struct jira *j = ctx;
    uint64_t since_ns = strtoull(cursor, NULL, 10), newest_ns = since_ns, now_ns = track_now_ns();
    char jql[256], token[256] = "";
    size_t start = 0, i;
    int rc = 0;

    if (since_ns == 0) {
        snprintf(changes->cursor, sizeof(changes->cursor), "%llu", (unsigned long long)now_ns);
        return 0;
    }
    since_ns -= TRACK_OVERLAP_NS;
    uint64_t minutes = (now_ns > since_ns ? now_ns - since_ns : 0) / (60 * NS_PER_S) + 1;
    snprintf(jql, sizeof(jql),
             "project = \"%s\" AND labels = \"spanward\" AND updated >= \"-%llum\" ORDER BY updated ASC", j->project,
             (unsigned long long)minutes);
    for (int page = 0; page < PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *issue;
        changes->more = false;
        if (!search(j, &a, jql, token, start)) {
            rc = jira_failed(&a, ret);
        } else {
            const json_t *list = json_object_get(a.json, "issues");
            json_array_foreach(list, i, issue)
            {
                rc = rc == 0 ? add_change(j, issue, since_ns, &newest_ns, changes, ret) : rc;
            }
            start += json_array_size(list);
            snprintf(token, sizeof(token), "%s", http_string(a.json, "nextPageToken"));
            changes->more = json_array_size(list) > 0 &&
                            (j->cloud ? token[0] != '\0'
                                      : (json_int_t)start < json_integer_value(json_object_get(a.json, "total")));
        }
        http_answer_fini(&a);
        if (!changes->more)
            break;
    }
    snprintf(changes->cursor, sizeof(changes->cursor), "%llu", (unsigned long long)newest_ns);
    return rc;
}

/* --- check --- */

static bool has_type(const json_t *project, const char *name)
{
    json_t *t;
    size_t i;

    json_array_foreach(json_object_get(project, "issueTypes"), i, t)
    {
        if (strcasecmp(http_string(t, "name"), name) == 0)
            return true;
    }
    return false;
}

static int check_project(struct jira *j, connector_say_fn *say, void *say_ctx)
{
    char text[300], key[200];
    struct http_answer a;
    int rc = 0;

    if (!track_call(j->http, &a, "GET", NULL, "%s/project/%s", jira_api(j),
                    http_encode(key, sizeof(key), j->project))) {
        snprintf(text, sizeof(text), "project %s: %.150s", j->project, a.text);
        say(say_ctx, false, text, "create it, or give our account the permission Browse projects");
        rc = -ENOENT;
    } else if (!has_type(a.json, j->type)) {
        snprintf(text, sizeof(text), "project %s has no issue type %s", j->project, j->type);
        say(say_ctx, false, text, "add it in Project settings, Issue types, or set tickets.jira.issue_type");
        rc = -ENOENT;
    } else {
        snprintf(text, sizeof(text), "project %s with issue type %s", j->project, j->type);
        say(say_ctx, true, text, "");
    }
    http_answer_fini(&a);
    return rc;
}

static int check_rights(struct jira *j, connector_say_fn *say, void *say_ctx)
{
    static const char *const rights[] = {"BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ADD_COMMENTS",
                                         "TRANSITION_ISSUES"};
    char text[200];
    struct http_answer a;
    int rc = 0;

    if (!track_call(j->http, &a, "GET", NULL,
                    "%s/mypermissions?projectKey=%s&permissions=BROWSE_PROJECTS,CREATE_ISSUES,EDIT_ISSUES,ADD_COMMENTS,"
                    "TRANSITION_ISSUES",
                    jira_api(j), j->project)) {
        say(say_ctx, false, a.text, "see whether the project can be seen");
        rc = -EACCES;
    }
    for (size_t i = 0; rc == 0 && i < sizeof(rights) / sizeof(rights[0]); i++) {
        const json_t *p = json_object_get(json_object_get(a.json, "permissions"), rights[i]);
        if (json_is_true(json_object_get(p, "havePermission")))
            continue;
        snprintf(text, sizeof(text), "the permission %s is missing", rights[i]);
        say(say_ctx, false, text, "grant it in the project's permission scheme");
        rc = -EACCES;
    }
    if (rc == 0)
        say(say_ctx, true, "rights to browse, create, edit, comment and transition", "");
    http_answer_fini(&a);
    return rc;
}

int jira_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct jira *j = ctx;
    struct http_answer a;
    char text[300];

    bool known = track_call(j->http, &a, "GET", NULL, "%s/myself", jira_api(j));
    snprintf(text, sizeof(text), known ? "%.200s as %.80s" : "%.200s: %.90s", http_base(j->http),
             known ? http_string(a.json, "displayName") : a.text);
    say(say_ctx, known, text,
        known ? ""
        : j->cloud
            ? "check tickets.jira.url, user (an e-mail address) and token (id.atlassian.com, Security, API tokens)"
            : "check tickets.jira.url and token (Profile, Personal access tokens)");
    http_answer_fini(&a);
    int rc = known ? check_project(j, say, say_ctx) : -EACCES;
    return rc == 0 ? check_rights(j, say, say_ctx) : rc;
}

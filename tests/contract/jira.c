/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Jira as documented: Cloud platform REST API v3 and Data Center REST API v2 (9.x/10.x).
 *
 * Sources: [C] developer.atlassian.com/cloud/jira/platform/rest/v3, by group; [D] developer.atlassian.com/server/jira/
 * platform/rest (Data Center v2); [ADF] developer.atlassian.com/cloud/jira/platform/apis/document/structure; [JQL]
 * support.atlassian.com, "JQL fields" and "JQL operators"; [68949] jira.atlassian.com/browse/JRACLOUD-68949 (length of
 * text); [2046] changelog CHANGE-2046 (old search removed); [rate] .../cloud/jira/platform/rate-limiting.
 *
 * The project is NET with issue types Incident and Task. Its workflow has names in German on purpose: a client that
 * goes by names of statuses or transitions instead of statusCategory fails here. Rules of text are in jira_text.c,
 * those of searches in jira_search.c; the sources are the same.
 */

#include "tests/contract/jira.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOUD_LOGIN   "monitoring@example.org:cloud-token"
#define DC_TOKEN      "dc-personal-access-token"
#define SELF_ACCOUNT  "5b10ac8d82e05b22cc7d4ef5"
#define SUMMARY_MOST  255u
#define LABEL_MOST    255u
#define COMMENTS_MOST 100

struct status {
    const char *id, *name, *category;
};
static const struct status statuses[] = {
    {"10000", "Offen", "new"}, {"10001", "In Arbeit", "indeterminate"}, {"10002", "Erledigt", "done"}};

/* From which status a transition leads where; one asks for a resolution on its screen. */
struct transition {
    const char *id, *name;
    int from, to;
    bool needs_resolution;
};
static const struct transition transitions[] = {
    {"11", "Beginnen", 0, 1, false},
    {"21", "Lösen", 1, 2, true},
    {"22", "Lösen", 0, 2, true},
    {"31", "Wieder öffnen", 2, 0, false},
};

bool jira_is_cloud(const struct contract_call *call)
{
    return json_is_true(json_object_get(call->state, "cloud"));
}

static json_t *errors(const char *message, const char *field, const char *why)
{
    json_t *messages = json_array(), *fields = json_object();

    if (message != NULL)
        json_array_append_new(messages, json_string(message));
    if (field != NULL)
        json_object_set_new(fields, field, json_string(why));
    return json_pack("{s:o,s:o}", "errorMessages", messages, "errors", fields);
}

void jira_refuse(struct contract_call *call, unsigned status, const char *message)
{
    contract_answer(call, status, errors(message, NULL, NULL));
}

void jira_refuse_field(struct contract_call *call, const char *field, const char *why)
{
    contract_answer(call, 400, errors(NULL, field, why));
}

/* [C] "Basic auth for REST APIs": email:token in Base64. [D] "Personal access tokens": Bearer. */
static bool authorize(struct contract_call *call)
{
    char wanted[256];
    const char *header = contract_header(call, "Authorization");

    if (jira_is_cloud(call)) {
        memcpy(wanted, "Basic ", 7);
        EVP_EncodeBlock((unsigned char *)wanted + 6, (const unsigned char *)CLOUD_LOGIN, (int)strlen(CLOUD_LOGIN));
    } else {
        snprintf(wanted, sizeof(wanted), "Bearer %s", DC_TOKEN);
    }
    if (header != NULL && strcmp(header, wanted) == 0 && !json_is_true(json_object_get(call->state, "_revoked")))
        return true;
    contract_add_header(call, "X-Seraph-LoginReason", "AUTHENTICATED_FAILED");
    contract_answer(
        call, 401,
        json_pack("{s:s,s:i}", "message", "Client must be authenticated to access this resource.", "status-code", 401));
    return false;
}

static void unknown(struct contract_call *call)
{
    contract_answer(call, 404, json_pack("{s:s,s:i}", "message", "null for uri", "status-code", 404));
}

static json_t *fresh(bool cloud)
{
    return json_pack("{s:b,s:[]}", "cloud", cloud, "tickets");
}

static json_t *fresh_cloud(void)
{
    return fresh(true);
}

static json_t *fresh_dc(void)
{
    return fresh(false);
}

/* --- issues --- */

static json_t *find_issue(struct contract_call *call)
{
    json_t *t;
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (strcmp(contract_text(t, "key"), call->part[0]) == 0 || strcmp(contract_text(t, "id"), call->part[0]) == 0)
            return t;
    }
    jira_refuse(call, 404,
                "Issue does not exist or you do not have permission to see it."); /* [C] 404 of "Get issue" */
    return NULL;
}

static bool take_labels(struct contract_call *call, const json_t *value, json_t *issue)
{
    const json_t *label;
    char why[400];
    size_t i;

    if (!json_is_array(value)) {
        jira_refuse_field(call, "labels", "data was not an array");
        return false;
    }
    json_array_foreach(value, i, label)
    {
        const char *text = json_string_value(label);
        if (text == NULL || strpbrk(text, " \t\n") != NULL || strlen(text) > LABEL_MOST) {
            snprintf(why, sizeof(why), "The label '%.200s' contains spaces which is invalid.",
                     text != NULL ? text : "");
            jira_refuse_field(call, "labels", why);
            return false;
        }
    }
    json_object_set(issue, "labels", (json_t *)value);
    return true;
}

static bool take_summary(struct contract_call *call, const json_t *value, json_t *issue)
{
    const char *text = json_string_value(value);

    if (text == NULL || text[0] == '\0') {
        jira_refuse_field(call, "summary", "You must specify a summary of the issue.");
        return false;
    }
    if (strpbrk(text, "\r\n") != NULL) {
        jira_refuse_field(call, "summary", "The summary is invalid because it contains newline characters.");
        return false;
    }
    if (contract_characters(text) > SUMMARY_MOST) {
        jira_refuse_field(call, "summary", "Summary must be less than 255 characters.");
        return false;
    }
    json_object_set_new(issue, "summary", json_string(text));
    return true;
}

/* Cloud knows accounts (GDPR: no user names), Data Center names. null takes the assignee away. */
static bool take_assignee(struct contract_call *call, const json_t *value, json_t *issue)
{
    const char *key = jira_is_cloud(call) ? "accountId" : "name";
    const char *who = json_string_value(json_object_get(value, key));

    if (json_is_null(value) || (json_object_get(value, key) != NULL && who == NULL)) {
        json_object_set_new(issue, "assignee", json_string(""));
        return true;
    }
    if (who == NULL || (jira_is_cloud(call) && strlen(who) != 24)) {
        jira_refuse_field(call, "assignee", "User does not exist.");
        return false;
    }
    json_object_set_new(issue, "assignee", json_string(who));
    return true;
}

static bool take_priority(struct contract_call *call, const json_t *value, json_t *issue)
{
    const char *name = contract_text(value, "name");

    if (!jira_word_in("Highest High Medium Low Lowest", name)) {
        jira_refuse_field(call, "priority", "The priority selected is invalid.");
        return false;
    }
    json_object_set_new(issue, "priority", json_string(name));
    return true;
}

/* Fields of a create or edit. False: answered. */
static bool take_fields(struct contract_call *call, const json_t *fields, json_t *issue)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)fields, name, value)
    {
        char *text = NULL, why[200];
        bool good = true;
        if (strcmp(name, "summary") == 0)
            good = take_summary(call, value, issue);
        else if (strcmp(name, "labels") == 0)
            good = take_labels(call, value, issue);
        else if (strcmp(name, "assignee") == 0)
            good = take_assignee(call, value, issue);
        else if (strcmp(name, "priority") == 0)
            good = take_priority(call, value, issue);
        else if (strcmp(name, "description") == 0) {
            good = jira_take_text(call, name, value, &text);
            if (good)
                json_object_set_new(issue, "text", json_string(text));
        } else if (strcmp(name, "project") != 0 && strcmp(name, "issuetype") != 0) {
            snprintf(why, sizeof(why), "Field '%.80s' cannot be set. It is not on the appropriate screen, or unknown.",
                     name);
            jira_refuse_field(call, name, why);
            good = false;
        }
        free(text);
        if (!good)
            return false;
    }
    return true;
}

static void note_double(struct contract_call *call, const json_t *issue)
{
    const json_t *label, *mine;
    json_t *t;
    size_t i, k, m;

    json_array_foreach(contract_tickets(call), i, t)
    {
        json_array_foreach(json_object_get(t, "labels"), k, label)
        {
            json_array_foreach(json_object_get(issue, "labels"), m, mine)
            {
                const char *text = json_string_value(mine);
                if (strncmp(text, "spanward-", 9) == 0 && json_equal(label, mine))
                    contract_violation(call, "a second issue with label %s", text);
            }
        }
    }
}

/* [C] Issues, "Create issue": 201 with id, key, self; 400 errors by field. */
static void create(struct contract_call *call)
{
    const json_t *fields = json_object_get(call->json, "fields");
    const json_t *type = json_object_get(fields, "issuetype");
    char id[32], key[32];

    if (!json_is_object(fields)) {
        jira_refuse(call, 400, "Invalid request payload. Refer to the REST API documentation and try again.");
        return;
    }
    if (strcmp(contract_text(json_object_get(fields, "project"), "key"), "NET") != 0) {
        jira_refuse_field(call, "project", "valid project is required");
        return;
    }
    if (!jira_word_in("Incident Task", contract_text(type, "name"))) {
        jira_refuse_field(call, "issuetype", "Specify a valid issue type");
        return;
    }
    if (json_object_get(fields, "summary") == NULL) {
        jira_refuse_field(call, "summary", "You must specify a summary of the issue.");
        return;
    }
    json_t *issue = json_pack("{s:i,s:s,s:s,s:[],s:[],s:i,s:[]}", "status", 0, "assignee", "", "text", "", "labels",
                              "comments", "attachments", 0, "changelog");
    if (!take_fields(call, fields, issue)) {
        json_decref(issue);
        return;
    }
    json_int_t n = contract_next(call->state, "issues");
    snprintf(id, sizeof(id), "%lld", (long long)(10000 + n));
    snprintf(key, sizeof(key), "NET-%lld", (long long)n);
    json_object_set_new(issue, "id", json_string(id));
    json_object_set_new(issue, "key", json_string(key));
    note_double(call, issue);
    contract_touch(issue);
    json_array_append_new(contract_tickets(call), issue);
    contract_answer(call, 201, json_pack("{s:s,s:s,s:s}", "id", id, "key", key, "self", key));
}

/* [C] "Edit issue": 204 without body. */
static void edit_issue(struct contract_call *call)
{
    json_t *issue = find_issue(call);
    const json_t *fields = json_object_get(call->json, "fields");

    if (issue == NULL)
        return;
    if (!json_is_object(fields)) {
        jira_refuse(call, 400, "one of 'fields' or 'update' required");
        return;
    }
    if (!take_fields(call, fields, issue))
        return;
    contract_touch(issue);
    contract_answer(call, 204, NULL);
}

/* [C] "Assign issue": 204. */
static void assign(struct contract_call *call)
{
    json_t *issue = find_issue(call);

    if (issue == NULL || !take_assignee(call, call->json, issue))
        return;
    contract_touch(issue);
    contract_answer(call, 204, NULL);
}

static json_t *person(const struct contract_call *call, const char *who)
{
    if (who[0] == '\0')
        return json_null();
    return json_pack("{s:s,s:s,s:b}", jira_is_cloud(call) ? "accountId" : "name", who, "displayName", who, "active", 1);
}

static json_t *status_json(int index)
{
    const struct status *s = &statuses[index];

    return json_pack("{s:s,s:s,s:{s:s}}", "id", s->id, "name", s->name, "statusCategory", "key", s->category);
}

static json_t *issue_fields(const struct contract_call *call, const json_t *issue, const char *wanted)
{
    json_t *f = json_object();
    int status = (int)json_integer_value(json_object_get(issue, "status"));
    char when[48];

    contract_time(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000+0000", contract_written_s(issue));
    bool all = strstr(wanted, "*all") != NULL;
    if (all || strstr(wanted, "summary") != NULL)
        json_object_set(f, "summary", json_object_get(issue, "summary"));
    if (all || strstr(wanted, "labels") != NULL)
        json_object_set(f, "labels", json_object_get(issue, "labels"));
    if (all || strstr(wanted, "status") != NULL)
        json_object_set_new(f, "status", status_json(status));
    if (all || strstr(wanted, "assignee") != NULL)
        json_object_set_new(f, "assignee", person(call, contract_text(issue, "assignee")));
    if (all || strstr(wanted, "updated") != NULL)
        json_object_set_new(f, "updated", json_string(when));
    if (all || strstr(wanted, "resolution") != NULL)
        json_object_set_new(f, "resolution",
                            contract_text(issue, "resolution")[0] == '\0'
                                ? json_null()
                                : json_pack("{s:s}", "name", contract_text(issue, "resolution")));
    return f;
}

json_t *jira_issue(const struct contract_call *call, const json_t *issue, const char *wanted)
{
    json_t *j = json_pack("{s:s}", "id", contract_text(issue, "id"));

    if (wanted == NULL || wanted[0] == '\0')
        return j; /* [C] search/jql: "default: id" */
    json_object_set(j, "key", json_object_get(issue, "key"));
    json_object_set_new(j, "fields", issue_fields(call, issue, wanted));
    return j;
}

static void get_issue(struct contract_call *call)
{
    json_t *issue = find_issue(call);
    const char *fields = contract_query(call, "fields");

    if (issue != NULL)
        contract_answer(call, 200, jira_issue(call, issue, fields != NULL ? fields : "*all"));
}

/* --- transitions --- */

static void get_transitions(struct contract_call *call)
{
    json_t *issue = find_issue(call), *list = json_array();
    const char *expand = contract_query(call, "expand");
    bool fields = expand != NULL && strstr(expand, "transitions.fields") != NULL;

    for (size_t i = 0; issue != NULL && i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        const struct transition *t = &transitions[i];
        if (t->from != json_integer_value(json_object_get(issue, "status")))
            continue;
        json_t *j = json_pack("{s:s,s:s,s:b,s:o}", "id", t->id, "name", t->name, "hasScreen", t->needs_resolution, "to",
                              status_json(t->to));
        if (fields && t->needs_resolution)
            json_object_set_new(j, "fields",
                                json_pack("{s:{s:b,s:[{s:s,s:s},{s:s,s:s}]}}", "resolution", "required", 1,
                                          "allowedValues", "id", "10000", "name", "Fertig", "id", "10001", "name",
                                          "Nicht reproduzierbar"));
        json_array_append_new(list, j);
    }
    if (issue != NULL)
        contract_answer(call, 200, json_pack("{s:o}", "transitions", json_incref(list)));
    json_decref(list);
}

/* [C] "Transition issue": 204; 400 when the transition is not available or a screen's required field is missing. */
static void do_transition(struct contract_call *call)
{
    json_t *issue = find_issue(call);
    const char *id = contract_text(json_object_get(call->json, "transition"), "id");
    const json_t *resolution = json_object_get(json_object_get(call->json, "fields"), "resolution");

    if (issue == NULL)
        return;
    for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        const struct transition *t = &transitions[i];
        if (strcmp(t->id, id) != 0 || t->from != json_integer_value(json_object_get(issue, "status")))
            continue;
        if (t->needs_resolution && !json_is_object(resolution)) {
            jira_refuse_field(call, "resolution", "Resolution is required.");
            return;
        }
        if (!t->needs_resolution && json_object_get(call->json, "fields") != NULL) {
            jira_refuse_field(call, "resolution",
                              "Field 'resolution' cannot be set. It is not on the appropriate screen, or unknown.");
            return;
        }
        json_object_set_new(issue, "status", json_integer(t->to));
        json_object_set_new(issue, "resolution", json_string(t->to == 2 ? "Fertig" : ""));
        contract_touch(issue);
        contract_answer(call, 204, NULL);
        return;
    }
    jira_refuse(call, 400, "It seems that you have tried to perform an illegal workflow operation.");
}

/* --- comments and attachments --- */

static void add_comment(struct contract_call *call)
{
    json_t *issue = find_issue(call);
    char id[32], *text = NULL;

    if (issue == NULL)
        return;
    if (!jira_take_text(call, "comment", json_object_get(call->json, "body"), &text))
        return;
    snprintf(id, sizeof(id), "%lld", (long long)(20000 + contract_next(call->state, "comment_ids")));
    json_array_append_new(
        json_object_get(issue, "comments"),
        json_pack("{s:s,s:s,s:s,s:f}", "id", id, "author", SELF_ACCOUNT, "text", text, "at", (double)time(NULL)));
    free(text);
    contract_touch(issue);
    contract_answer(call, 201, json_pack("{s:s}", "id", id));
}

static json_t *comment_json(const struct contract_call *call, const json_t *c)
{
    const char *text = contract_text(c, "text");
    char when[48];

    contract_time(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000+0000", json_real_value(json_object_get(c, "at")));
    json_t *j = json_pack("{s:s,s:o,s:s}", "id", contract_text(c, "id"), "author",
                          person(call, contract_text(c, "author")), "created", when);

    if (jira_is_cloud(call))
        json_object_set_new(j, "body",
                            json_pack("{s:s,s:i,s:[{s:s,s:[{s:s,s:s}]}]}", "type", "doc", "version", 1, "content",
                                      "type", "paragraph", "content", "type", "text", "text", text));
    else
        json_object_set_new(j, "body", json_string(text));
    return j;
}

/* [C] Issue comments, "Get comments": startAt, maxResults, total; orderBy created or -created. */
static void get_comments(struct contract_call *call)
{
    json_t *issue = find_issue(call);
    long start = contract_query_number(call, "startAt", 0), most = contract_query_number(call, "maxResults", 50);
    const char *order = contract_query(call, "orderBy");

    if (issue == NULL)
        return;
    if (start < 0 || most < 0) {
        jira_refuse(call, 400, "The startAt or maxResults parameter is not a number");
        return;
    }
    const json_t *all = json_object_get(issue, "comments");
    long total = (long)json_array_size(all);
    bool newest = order != NULL && strcmp(order, "-created") == 0;
    json_t *list = json_array();
    long size = (long)contract_pages(call, (unsigned)(most < COMMENTS_MOST ? most : COMMENTS_MOST));
    for (long i = start; i < total && i < start + size; i++)
        json_array_append_new(list, comment_json(call, json_array_get(all, (size_t)(newest ? total - 1 - i : i))));
    contract_answer(call, 200,
                    json_pack("{s:i,s:i,s:i,s:o}", "startAt", (int)start, "maxResults", (int)size, "total", (int)total,
                              "comments", list));
}

/* [C] Issue attachments, "Add attachment": X-Atlassian-Token: no-check, multipart, parts named "file". */
static void attach(struct contract_call *call)
{
    json_t *issue = find_issue(call);
    const char *token = contract_header(call, "X-Atlassian-Token"), *data;
    char filename[200];
    size_t len;

    if (issue == NULL)
        return;
    if (token == NULL || strcmp(token, "no-check") != 0) {
        contract_answer(call, 403, json_pack("{s:s}", "message", "XSRF check failed"));
        return;
    }
    if (!contract_multipart(call, "file", filename, sizeof(filename), &data, &len) || filename[0] == '\0' || len == 0) {
        contract_answer(call, 415, NULL);
        return;
    }
    json_object_set_new(issue, "attachments",
                        json_integer(json_integer_value(json_object_get(issue, "attachments")) + 1));
    contract_touch(issue);
    contract_answer(call, 200, json_pack("[{s:s,s:s,s:i}]", "id", "30000", "filename", filename, "size", (int)len));
}

/* --- what a check asks --- */

static void myself(struct contract_call *call)
{
    contract_answer(
        call, 200,
        json_pack("{s:s,s:s}", jira_is_cloud(call) ? "accountId" : "name", SELF_ACCOUNT, "displayName", "Monitoring"));
}

/* [C] User search, "Find users assignable to issues": query (Cloud) or username (Data Center), and project. */
static void assignable(struct contract_call *call)
{
    const char *text = contract_query(call, jira_is_cloud(call) ? "query" : "username");

    if (text == NULL || contract_query(call, "project") == NULL) {
        jira_refuse(call, 400, "The query parameters are required.");
        return;
    }
    if (strcmp(text, "noc@example.org") != 0) {
        contract_answer(call, 200, json_array());
        return;
    }
    contract_answer(call, 200,
                    json_pack("[{s:s,s:s,s:s,s:b}]", jira_is_cloud(call) ? "accountId" : "name",
                              jira_is_cloud(call) ? "5b10a2844c20165700ede21g" : "noc", "displayName", "Night Shift",
                              "emailAddress", "noc@example.org", "active", 1));
}

static void project(struct contract_call *call)
{
    if (strcmp(call->part[0], "NET") != 0) {
        contract_answer(call, 404, errors("No project could be found with key", NULL, NULL));
        return;
    }
    contract_answer(call, 200,
                    json_pack("{s:s,s:s,s:[{s:s,s:s},{s:s,s:s}]}", "id", "10000", "key", "NET", "issueTypes", "id",
                              "10004", "name", "Incident", "id", "10002", "name", "Task"));
}

/* [C] Permissions, "Get my permissions": `permissions` is required in v3. */
static void permissions(struct contract_call *call)
{
    const char *wanted = contract_query(call, "permissions");

    if (jira_is_cloud(call) && wanted == NULL) {
        jira_refuse(call, 400, "The 'permissions' query parameter is required.");
        return;
    }
    contract_answer(call, 200,
                    json_pack("{s:{s:{s:b},s:{s:b},s:{s:b},s:{s:b},s:{s:b}}}", "permissions", "BROWSE_PROJECTS",
                              "havePermission", 1, "CREATE_ISSUES", "havePermission", 1, "EDIT_ISSUES",
                              "havePermission", 1, "ADD_COMMENTS", "havePermission", 1, "TRANSITION_ISSUES",
                              "havePermission", 1));
}

/* --- for the tests --- */

static json_t *describe(const json_t *issue)
{
    const json_t *c;
    json_t *comments = json_array();
    const char *key = "";
    size_t i;

    json_array_foreach(json_object_get(issue, "comments"), i, c)
    {
        json_array_append(comments, json_object_get(c, "text"));
    }
    json_array_foreach(json_object_get(issue, "labels"), i, c)
    {
        if (strncmp(json_string_value(c), "spanward-", 9) == 0)
            key = json_string_value(c);
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:I}", "id", contract_text(issue, "key"), "key", key, "title",
                     contract_text(issue, "summary"), "body", contract_text(issue, "text"), "state",
                     json_integer_value(json_object_get(issue, "status")) == 2 ? "resolved" : "open", "owner",
                     contract_text(issue, "assignee"), "comments", comments, "attachments",
                     json_integer_value(json_object_get(issue, "attachments")));
}

static int edit(json_t *issue, const char *what, const char *value)
{
    if (strcmp(what, "owner") == 0) {
        json_object_set_new(issue, "assignee", json_string(value));
        return 0;
    }
    if (strcmp(what, "comment") == 0) {
        json_array_append_new(json_object_get(issue, "comments"),
                              json_pack("{s:o,s:s,s:s,s:f}", "id",
                                        json_sprintf("3%zu", json_array_size(json_object_get(issue, "comments"))),
                                        "author", "somebody", "text", value, "at", (double)time(NULL)));
        return 0;
    }
    if (strcmp(what, "state") != 0)
        return -EINVAL;
    for (int i = 0; i < 3; i++) {
        if (strcmp(statuses[i].category, value) == 0 || strcmp(statuses[i].name, value) == 0) {
            json_object_set_new(issue, "status", json_integer(i));
            json_object_set_new(issue, "resolution", json_string(i == 2 ? "Fertig" : ""));
            return 0;
        }
    }
    return -EINVAL;
}

/* [rate] 429, maybe with Retry-After. */
static json_t *too_many(void)
{
    return errors("Rate limit exceeded.", NULL, NULL);
}

static const struct contract_route cloud_routes[] = {
    {"POST", "rest/api/3/issue", create},
    {"GET", "rest/api/3/issue/*", get_issue},
    {"PUT", "rest/api/3/issue/*", edit_issue},
    {"PUT", "rest/api/3/issue/*/assignee", assign},
    {"GET", "rest/api/3/issue/*/transitions", get_transitions},
    {"POST", "rest/api/3/issue/*/transitions", do_transition},
    {"POST", "rest/api/3/issue/*/comment", add_comment},
    {"GET", "rest/api/3/issue/*/comment", get_comments},
    {"POST", "rest/api/3/issue/*/attachments", attach},
    {"GET", "rest/api/3/search/jql", jira_search_cloud},
    {"POST", "rest/api/3/search/jql", jira_search_cloud},
    {"GET", "rest/api/3/search", jira_search_gone},
    {"POST", "rest/api/3/search", jira_search_gone},
    {"GET", "rest/api/3/myself", myself},
    {"GET", "rest/api/3/project/*", project},
    {"GET", "rest/api/3/mypermissions", permissions},
    {"GET", "rest/api/3/user/assignable/search", assignable},
    {NULL, NULL, NULL},
};
const struct contract_system contract_jira_cloud = {
    .name = "jira-cloud",
    .fresh = fresh_cloud,
    .authorize = authorize,
    .unknown = unknown,
    .routes = cloud_routes,
    .describe = describe,
    .edit = edit,
    .too_many = too_many,
};

static const struct contract_route dc_routes[] = {
    {"POST", "rest/api/2/issue", create},
    {"GET", "rest/api/2/issue/*", get_issue},
    {"PUT", "rest/api/2/issue/*", edit_issue},
    {"PUT", "rest/api/2/issue/*/assignee", assign},
    {"GET", "rest/api/2/issue/*/transitions", get_transitions},
    {"POST", "rest/api/2/issue/*/transitions", do_transition},
    {"POST", "rest/api/2/issue/*/comment", add_comment},
    {"GET", "rest/api/2/issue/*/comment", get_comments},
    {"POST", "rest/api/2/issue/*/attachments", attach},
    {"GET", "rest/api/2/search", jira_search_dc},
    {"GET", "rest/api/2/myself", myself},
    {"GET", "rest/api/2/project/*", project},
    {"GET", "rest/api/2/mypermissions", permissions},
    {"GET", "rest/api/2/user/assignable/search", assignable},
    {NULL, NULL, NULL},
};
const struct contract_system contract_jira_dc = {
    .name = "jira-dc",
    .fresh = fresh_dc,
    .authorize = authorize,
    .unknown = unknown,
    .routes = dc_routes,
    .describe = describe,
    .edit = edit,
    .too_many = too_many,
};

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Zammad as documented: REST API v1 for tickets, articles, tags, search and groups.
 *
 * Sources: [I] docs.zammad.org/en/latest/api/intro.html (token, content type, expand, pagination, sorting); [T]
 * .../api/ticket/index.html; [A] .../api/ticket/articles.html; [G] .../api/ticket/tags.html; [S] .../api/ticket/
 * states.html; [E] .../appendix/elasticsearch (what is indexed, and that it happens in the background); [M]
 * app/controllers of the published source for the words of errors: 401, 403 "Not authorized", 404 "Couldn't find
 * Ticket with 'id'=n", 422 with error and error_human.
 *
 * HTML in an article is cleaned by the system; that something needs cleaning is a violation here.
 */

#include "tests/contract/contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOKEN      "zammad-access-token"
#define TITLE_MOST 250u /* column tickets.title */
#define PAGE_MOST  200u /* [I] hard limits for the maximum of returned objects */

static const char *const states[] = {"new", "open", "pending reminder", "closed", "merged", "pending close"};

static void refuse(struct contract_call *call, unsigned status, const char *why)
{
    contract_answer(call, status, json_pack("{s:s,s:s}", "error", why, "error_human", why));
}

static bool authorize(struct contract_call *call)
{
    const char *header = contract_header(call, "Authorization"), *type = contract_header(call, "Content-Type");

    if (header == NULL || strcmp(header, "Token token=" TOKEN) != 0 ||
        json_is_true(json_object_get(call->state, "_revoked"))) {
        refuse(call, 401, "Invalid token");
        return false;
    }
    if (call->body_len > 0 && (type == NULL || strncmp(type, "application/json", 16) != 0)) {
        refuse(call, 422, "Content type application/json is missing"); /* [I] "don't forget to provide" */
        return false;
    }
    return true;
}

static void unknown(struct contract_call *call)
{
    refuse(call, 404, "No route matches");
}

static json_t *fresh(void)
{
    return json_pack("{s:[]}", "tickets");
}

static json_t *find_ticket(struct contract_call *call)
{
    json_t *t;
    char why[200];
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (json_integer_value(json_object_get(t, "id")) == atoll(call->part[0]))
            return t;
    }
    snprintf(why, sizeof(why), "Couldn't find Ticket with 'id'=%.100s", call->part[0]);
    refuse(call, 404, why);
    return NULL;
}

static bool html_acts(const char *text)
{
    static const char *const bad[] = {"<script", "javascript:", " onerror", " onload", " onclick", "<iframe", "<img"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *at = strcasestr(text, bad[i]);
        if (at != NULL && (bad[i][0] == '<' || strchr("<", at[-1]) != NULL))
            return true;
    }
    return false;
}

/* [A] body is required; type note; content_type text/plain or text/html; attachments with base64 data. */
static bool take_article(struct contract_call *call, json_t *ticket, const json_t *article)
{
    const char *body = contract_text(article, "body"), *type = contract_text(article, "content_type");
    char when[48];
    json_t *a;
    size_t i;

    if (!json_is_object(article) || body[0] == '\0') {
        refuse(call, 422, "Need at least an 'article body' field.");
        return false;
    }
    if (contract_characters(body) == SIZE_MAX)
        contract_violation(call, "control characters in an article");
    if (strcmp(type, "text/html") == 0 && html_acts(body))
        contract_violation(call, "HTML that acts: %.200s", body);
    json_array_foreach(json_object_get(article, "attachments"), i, a)
    {
        const char *data = contract_text(a, "data");
        if (contract_text(a, "filename")[0] == '\0' || contract_text(a, "mime-type")[0] == '\0' || data[0] == '\0' ||
            strlen(data) % 4 != 0 ||
            strspn(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") != strlen(data)) {
            refuse(call, 422, "Attachment needs 'mime-type' or 'data' in base64");
            return false;
        }
        json_object_set_new(ticket, "_attachments",
                            json_integer(json_integer_value(json_object_get(ticket, "_attachments")) + 1));
    }
    contract_time(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000Z", (double)time(NULL));
    json_array_append_new(
        json_object_get(ticket, "_articles"),
        json_pack("{s:s,s:I,s:s,s:s,s:s,s:b,s:s}", "created_at", when, "id", contract_next(call->state, "articles"),
                  "body", body, "content_type", type[0] != '\0' ? type : "text/plain", "type", "note", "internal",
                  json_is_true(json_object_get(article, "internal")), "created_by", "spanward@example.org"));
    return true;
}

static bool known_state(const char *name)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i], name) == 0)
            return true;
    }
    return false;
}

/* The attributes of a create or update that name things. [M] unknown names: 422 "No lookup value found". */
static bool take_attributes(struct contract_call *call, json_t *ticket)
{
    static const char *const names[] = {"group", "state", "priority", "owner"};
    const char *title = contract_text(call->json, "title");
    char why[200];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *v = contract_text(call->json, names[i]);
        bool good = i == 0   ? strcmp(v, "Network") == 0
                    : i == 1 ? known_state(v)
                    : i == 2 ? strcmp(v, "1 low") == 0 || strcmp(v, "2 normal") == 0 || strcmp(v, "3 high") == 0
                             : strcmp(v, "noc@example.org") == 0 || strcmp(v, "-") == 0;
        if (json_object_get(call->json, names[i]) == NULL)
            continue;
        if (!good) {
            snprintf(why, sizeof(why), "No lookup value found for '%s': \"%.80s\"", names[i], v);
            refuse(call, 422, why);
            return false;
        }
        if (i == 1 && strncmp(v, "pending", 7) == 0 && json_object_get(call->json, "pending_time") == NULL) {
            refuse(call, 422, "Missing required value for field 'pending_time'!"); /* [S] */
            return false;
        }
        json_object_set_new(ticket, names[i], json_string(v));
    }
    if (title[0] != '\0') {
        if (contract_characters(title) > TITLE_MOST)
            contract_violation(call, "a title of more than %u characters", TITLE_MOST);
        json_object_set_new(ticket, "title", json_string(title));
    }
    return true;
}

static json_t *ticket_json(const json_t *t, bool expand)
{
    char when[48];
    json_t *j =
        json_pack("{s:O,s:s,s:s,s:i}", "id", json_object_get(t, "id"), "number", contract_text(t, "number"), "title",
                  contract_text(t, "title"), "article_count", (int)json_array_size(json_object_get(t, "_articles")));

    contract_time(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000Z", contract_written_s(t));
    json_object_set_new(j, "updated_at", json_string(when));
    if (expand) { /* [I] names beside the ids */
        json_object_set_new(j, "state", json_string(contract_text(t, "state")));
        json_object_set_new(j, "owner", json_string(contract_text(t, "owner")));
        json_object_set_new(j, "group", json_string(contract_text(t, "group")));
    }
    return j;
}

static void note_double(struct contract_call *call, const char *tags)
{
    json_t *t;
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        const char *at = strstr(contract_text(t, "tags"), "spanward_");
        if (at != NULL && strstr(tags, at) != NULL)
            contract_violation(call, "a second ticket with tag %s", at);
    }
}

/* [T] POST /tickets: title, group, customer (or customer_id "guess:mail"), article; 201. */
static void create(struct contract_call *call)
{
    const char *customer = contract_text(call->json, "customer"), *guess = contract_text(call->json, "customer_id");
    const char *tags = contract_text(call->json, "tags");

    if (!json_is_object(call->json) || contract_text(call->json, "title")[0] == '\0') {
        refuse(call, 422, "Missing required value for field 'title'!");
        return;
    }
    if (contract_text(call->json, "group")[0] == '\0') {
        refuse(call, 422, "Group can't be blank");
        return;
    }
    if (customer[0] == '\0' && (strncmp(guess, "guess:", 6) != 0 || strchr(guess, '@') == NULL)) {
        refuse(call, 422, "Missing required value for field 'customer'!");
        return;
    }
    json_t *t =
        json_pack("{s:s,s:s,s:s,s:[],s:i}", "state", "new", "owner", "-", "tags", tags, "_articles", "_attachments", 0);
    if (!take_attributes(call, t) || !take_article(call, t, json_object_get(call->json, "article"))) {
        json_decref(t);
        return;
    }
    note_double(call, tags);
    json_int_t id = contract_next(call->state, "ids");
    json_object_set_new(t, "id", json_integer(id));
    json_object_set_new(t, "number", json_sprintf("22%03lld", (long long)id));
    contract_touch(t);
    json_array_append_new(contract_tickets(call), t);
    contract_answer(call, 201, ticket_json(t, false));
}

static void show(struct contract_call *call)
{
    json_t *t = find_ticket(call);
    const char *expand = contract_query(call, "expand");

    if (t != NULL)
        contract_answer(call, 200, ticket_json(t, expand != NULL && strcmp(expand, "true") == 0));
}

/* [T] PUT /tickets/id: attributes and, if wanted, an article in one go; 200. */
static void update(struct contract_call *call)
{
    json_t *t = find_ticket(call);
    const json_t *article = json_object_get(call->json, "article");

    if (t == NULL)
        return;
    if (strcmp(contract_text(t, "state"), "merged") == 0) {
        refuse(call, 422, "The ticket is merged.");
        return;
    }
    if (!take_attributes(call, t) || (article != NULL && !take_article(call, t, article)))
        return;
    contract_touch(t);
    contract_answer(call, 200, ticket_json(t, false));
}

/* [A] POST /ticket_articles with ticket_id: 201. */
static void add_article(struct contract_call *call)
{
    snprintf(call->part[0], sizeof(call->part[0]), "%lld",
             (long long)json_integer_value(json_object_get(call->json, "ticket_id")));
    json_t *t = find_ticket(call);
    if (t == NULL || !take_article(call, t, call->json))
        return;
    contract_touch(t);
    contract_answer(call, 201, json_pack("{s:I}", "id", json_integer_value(json_object_get(call->state, "articles"))));
}

static void articles(struct contract_call *call)
{
    json_t *t = find_ticket(call);

    if (t != NULL)
        contract_answer(call, 200, json_incref(json_object_get(t, "_articles")));
}

/* [E] Terms field:"value" joined by AND, and ranges of updated_at. 1, 0, -1 not understood. */
static int term_matches(const json_t *t, const char *term)
{
    char field[40], value[200], written[48];

    if (sscanf(term, "%39[a-z_.]:\"%199[^\"]\"", field, value) == 2) {
        if (strcmp(field, "tags") == 0) { /* analysed by words: '-' and blanks part words, '_' does not */
            const char *at = strstr(contract_text(t, "tags"), value);
            return at != NULL && strchr(",", at[strlen(value)]) != NULL;
        }
        return strcmp(contract_text(t, field), value) == 0;
    }
    if (sscanf(term, "%39[a-z_.]:[%199s TO *]", field, value) == 2 && strcmp(field, "updated_at") == 0) {
        value[strcspn(value, " ")] = '\0';
        contract_time(written, sizeof(written), "%Y-%m-%dT%H:%M:%S", contract_written_s(t));
        return strncmp(written, value + (value[0] == '"'), 19) >= 0;
    }
    return strcmp(term, "tags:spanward") == 0 ? strstr(contract_text(t, "tags"), "spanward,") != NULL : -1;
}

static int query_matches(const json_t *t, const char *query)
{
    char text[600], *rest = text;
    int all = 1;

    snprintf(text, sizeof(text), "%s", query);
    while (rest != NULL) {
        char *term = rest;
        rest = strstr(rest, " AND ");
        if (rest != NULL) {
            *rest = '\0';
            rest += 5;
        }
        int m = term_matches(t, term);
        if (m < 0)
            return -1;
        all &= m;
    }
    return all;
}

static int compare_written(const void *a, const void *b)
{
    double x = contract_written_s(*(json_t *const *)a), y = contract_written_s(*(json_t *const *)b);

    return x < y ? -1 : x > y;
}

/* [T] Search with query, page and per_page [I], sort_by and order_by; with expand=true an array of tickets. */
static void search(struct contract_call *call)
{
    const char *query = contract_query(call, "query"), *expand = contract_query(call, "expand");
    long page = contract_query_number(call, "page", 1), per = contract_query_number(call, "per_page", 50);
    json_t **all = calloc(json_array_size(contract_tickets(call)) + 1, sizeof(json_t *));
    json_t *found = json_array(), *t;
    size_t i, n = 0;

    if (query == NULL || query[0] == '\0' || expand == NULL) {
        contract_violation(call, "a search that we could not read");
        contract_answer(call, 422, NULL);
    }
    json_array_foreach(contract_tickets(call), i, t)
    {
        int m = call->status == 422 ? 0 : query_matches(t, query);
        if (m < 0)
            contract_violation(call, "a query that Elasticsearch reads otherwise: %s", query);
        if (m == 1 && contract_visible(call, t))
            all[n++] = t;
    }
    if (contract_query(call, "sort_by") != NULL && n > 0)
        qsort(all, n, sizeof(json_t *), compare_written);
    size_t size = contract_pages(call, per > 0 && per < PAGE_MOST ? (unsigned)per : PAGE_MOST);
    for (i = (size_t)(page - 1) * size; i < n && i < (size_t)page * size; i++)
        json_array_append_new(found, ticket_json(all[i], true));
    free(all);
    if (call->status != 422)
        contract_answer(call, 200, json_incref(found));
    json_decref(found);
}

/* [G] */
static void tags(struct contract_call *call)
{
    const char *id = contract_query(call, "o_id");
    char *rest, text[400];
    json_t *list = json_array();

    snprintf(call->part[0], sizeof(call->part[0]), "%s", id != NULL ? id : "");
    json_t *t = find_ticket(call);
    snprintf(text, sizeof(text), "%s", t != NULL ? contract_text(t, "tags") : "");
    for (char *tag = strtok_r(text, ",", &rest); tag != NULL; tag = strtok_r(NULL, ",", &rest))
        json_array_append_new(list, json_string(tag));
    if (t != NULL)
        contract_answer(call, 200, json_pack("{s:O}", "tags", list));
    json_decref(list);
}

static void groups(struct contract_call *call)
{
    contract_answer(call, 200, json_pack("[{s:i,s:s,s:b}]", "id", 1, "name", "Network", "active", 1));
}

static void me(struct contract_call *call)
{
    contract_answer(call, 200,
                    json_pack("{s:i,s:s,s:s,s:[s]}", "id", 7, "login", "spanward@example.org", "email",
                              "spanward@example.org", "roles", "Agent"));
}

static json_t *describe(const json_t *t)
{
    json_t *comments = json_array(), *a;
    const char *key = strstr(contract_text(t, "tags"), "spanward_"), *body = "";
    char text[100];
    size_t i;

    snprintf(text, sizeof(text), "%s", key != NULL ? key : "");
    text[strcspn(text, ",")] = '\0';
    json_array_foreach(json_object_get(t, "_articles"), i, a)
    {
        if (i == 0)
            body = contract_text(a, "body");
        else
            json_array_append(comments, json_object_get(a, "body"));
    }
    const char *state = contract_text(t, "state");
    return json_pack("{s:o,s:s,s:s,s:s,s:s,s:s,s:o,s:O}", "id",
                     json_sprintf("%lld", (long long)json_integer_value(json_object_get(t, "id"))), "key", text,
                     "title", contract_text(t, "title"), "body", body, "state",
                     strcmp(state, "closed") == 0 ? "resolved" : "open", "owner", contract_text(t, "owner"), "comments",
                     comments, "attachments", json_object_get(t, "_attachments"));
}

static int edit(json_t *t, const char *what, const char *value)
{
    json_t *all = json_object_get(t, "_articles");
    char when[48];

    contract_time(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000Z", (double)time(NULL));
    if (strcmp(what, "comment") == 0)
        json_array_append_new(all, json_pack("{s:I,s:s,s:s,s:s,s:b,s:s,s:s}", "id",
                                             (json_int_t)(90000 + json_array_size(all)), "body", value, "content_type",
                                             "text/html", "type", "note", "internal", 0, "created_by",
                                             "emma@example.org", "created_at", when));
    else if (strcmp(what, "owner") == 0 || (strcmp(what, "state") == 0 && known_state(value)))
        json_object_set_new(t, what, json_string(value));
    else
        return -EINVAL;
    return 0;
}

static json_t *too_many(void)
{
    return json_pack("{s:s}", "error", "Too many requests");
}

static const struct contract_route routes[] = {
    {"POST", "api/v1/tickets", create},
    {"GET", "api/v1/tickets/search", search},
    {"GET", "api/v1/tickets/*", show},
    {"PUT", "api/v1/tickets/*", update},
    {"POST", "api/v1/ticket_articles", add_article},
    {"GET", "api/v1/ticket_articles/by_ticket/*", articles},
    {"GET", "api/v1/tags", tags},
    {"GET", "api/v1/groups", groups},
    {"GET", "api/v1/users/me", me},
    {NULL, NULL, NULL},
};
const struct contract_system contract_zammad = {
    .name = "zammad",
    .fresh = fresh,
    .authorize = authorize,
    .unknown = unknown,
    .routes = routes,
    .describe = describe,
    .edit = edit,
    .too_many = too_many,
};

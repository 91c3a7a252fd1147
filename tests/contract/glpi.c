/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * GLPI as documented: the REST API apirest.php of GLPI 10 for Ticket and Problem.
 *
 * Sources: [R] apirest.md of the published source, by section (Important, Init session, Get all items, Search items,
 * Add item(s), Update item(s), Errors); [C] src/CommonITILObject.php: status 1 new, 2 assigned, 3 planned, 4 waiting, 5
 * solved, 6 closed; search options 1 name, 2 id, 12 status, 19 last update, 21 content; [S] src/ITILSolution.php:
 * adding a solution solves the item, a solved or closed one takes none; [D] install schema: name varchar(255).
 *
 * Errors are arrays ["ERROR_CODE", "text"]. A search without result has no "data" at all. A session ends after a while
 * (here: when a test says so) with 401 ERROR_SESSION_TOKEN_INVALID.
 */

#include "tests/contract/contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_TOKEN "glpi-user-token"
#define APP_TOKEN  "glpi-app-token"
#define NAME_MOST  255u

static void refuse(struct contract_call *call, unsigned status, const char *code, const char *text)
{
    contract_answer(call, status, json_pack("[s,s]", code, text));
}

static bool same_header(const struct contract_call *call, const char *name, const char *wanted)
{
    const char *value = contract_header(call, name);

    return value != NULL && strcmp(value, wanted) == 0;
}

static bool authorize(struct contract_call *call)
{
    bool init = strstr(call->path, "apirest.php/initSession") != NULL;

    /* [R] Important: GET requests must have an empty body. */
    if (strcmp(call->method, "GET") == 0 && call->body_len > 0) {
        refuse(call, 400, "ERROR_JSON_PAYLOAD_FORBIDDEN", "GET Request should not have json payload (http body)");
        return false;
    }
    if (!same_header(call, "App-Token", APP_TOKEN)) {
        refuse(call, 400, "ERROR_WRONG_APP_TOKEN_PARAMETER", "parameter app_token seems wrong");
        return false;
    }
    if (init)
        return true;
    if (contract_header(call, "Session-Token") == NULL) {
        refuse(call, 400, "ERROR_SESSION_TOKEN_MISSING", "parameter session_token is missing or empty");
        return false;
    }
    if (!same_header(call, "Session-Token", contract_text(call->state, "session")) ||
        json_is_true(json_object_get(call->state, "_revoked"))) {
        refuse(call, 401, "ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid");
        return false;
    }
    return true;
}

static void unknown(struct contract_call *call)
{
    refuse(call, 400, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM", "resource not found or not an instance of CommonDBTM");
}

static json_t *fresh(void)
{
    return json_pack("{s:[],s:s}", "tickets", "session", "");
}

/* [R] Init session: user_token in Authorization, App-Token; 200 session_token, 401 ERROR_GLPI_LOGIN_USER_TOKEN. */
static void init_session(struct contract_call *call)
{
    char token[64];

    if (!same_header(call, "Authorization", "user_token " USER_TOKEN) ||
        json_is_true(json_object_get(call->state, "_revoked"))) {
        refuse(call, 401, "ERROR_GLPI_LOGIN_USER_TOKEN", "parameter user_token seems invalid");
        return;
    }
    snprintf(token, sizeof(token), "session-%lld", (long long)contract_next(call->state, "sessions"));
    json_object_set_new(call->state, "session", json_string(token));
    contract_answer(call, 200, json_pack("{s:s}", "session_token", token));
}

static void kill_session(struct contract_call *call)
{
    json_object_set_new(call->state, "session", json_string(""));
    contract_answer(call, 200, NULL);
}

static bool is_itil(const char *type)
{
    return strcmp(type, "Ticket") == 0 || strcmp(type, "Problem") == 0;
}

static json_t *find_item(struct contract_call *call, const char *type, json_int_t id)
{
    json_t *t;
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (json_integer_value(json_object_get(t, "id")) == id && strcmp(contract_text(t, "_type"), type) == 0)
            return t;
    }
    refuse(call, 404, "ERROR_ITEM_NOT_FOUND", "Item not found");
    return NULL;
}

/* [R] Add and update: {"input": object}. NULL: answered. */
static const json_t *input_of(struct contract_call *call)
{
    const json_t *input = json_object_get(call->json, "input");

    if (!json_is_object(input)) {
        refuse(call, 400, "ERROR_BAD_ARRAY", "input parameter must be an array of objects");
        return NULL;
    }
    return input;
}

static void check_html(struct contract_call *call, const char *text)
{
    if (strcasestr(text, "<script") != NULL || strcasestr(text, "<img") != NULL || strcasestr(text, "<iframe") != NULL)
        contract_violation(call, "HTML that acts: %.200s", text);
    if (contract_characters(text) == SIZE_MAX)
        contract_violation(call, "control characters");
}

static void take_fields(struct contract_call *call, json_t *item, const json_t *input)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)input, name, value)
    {
        if (strcmp(name, "name") == 0 && contract_characters(json_string_value(value)) > NAME_MOST)
            contract_violation(call, "a name of more than %u characters", NAME_MOST); /* [D] */
        if (strcmp(name, "content") == 0)
            check_html(call, json_string_value(value) != NULL ? json_string_value(value) : "");
        if (strcmp(name, "_users_id_assign") == 0)
            json_object_set(item, "_assigned", value);
        else
            json_object_set(item, name, value);
    }
}

static void note_double(struct contract_call *call, const json_t *item)
{
    const char *mine = strstr(contract_text(item, "content"), "[spanward:");
    char key[64];
    json_t *t;
    size_t i;

    if (mine == NULL)
        return;
    snprintf(key, sizeof(key), "%.*s", (int)strcspn(mine, "]"), mine);
    json_array_foreach(contract_tickets(call), i, t)
    {
        if (strstr(contract_text(t, "content"), key) != NULL)
            contract_violation(call, "a second item with %s", key);
    }
}

static void create_item(struct contract_call *call)
{
    const json_t *input = input_of(call);

    if (input == NULL)
        return;
    if (contract_text(input, "name")[0] == '\0' || contract_text(input, "content")[0] == '\0') {
        refuse(call, 400, "ERROR_GLPI_ADD", "Mandatory fields are not filled. Please correct: Title, Description");
        return;
    }
    json_t *t = json_pack("{s:s,s:i,s:[],s:i,s:i}", "_type", call->part[0], "status", 1, "_followups", "_attachments",
                          0, "_assigned", 0);
    take_fields(call, t, input);
    note_double(call, t);
    json_int_t id = contract_next(call->state, "ids");
    json_object_set_new(t, "id", json_integer(id));
    if (json_integer_value(json_object_get(t, "_assigned")) > 0)
        json_object_set_new(t, "status", json_integer(2)); /* [C] */
    contract_touch(t);
    json_array_append_new(contract_tickets(call), t);
    contract_add_header(call, "Location", "http://glpi/apirest.php/%s/%lld", call->part[0], (long long)id);
    contract_answer(call, 201, json_pack("{s:I,s:s}", "id", id, "message", ""));
}

/* [S] */
static void add_solution(struct contract_call *call, const json_t *input, json_t *item)
{
    json_int_t status = json_integer_value(json_object_get(item, "status"));

    if (status >= 5) {
        refuse(call, 400, "ERROR_GLPI_ADD", "The item is already solved");
        return;
    }
    check_html(call, contract_text(input, "content"));
    json_array_append_new(json_object_get(item, "_followups"),
                          json_pack("{s:s,s:i}", "content", contract_text(input, "content"), "users_id", 5));
    json_object_set_new(item, "status", json_integer(5));
    contract_touch(item);
    contract_answer(call, 201, json_pack("{s:I,s:s}", "id", contract_next(call->state, "solutions"), "message", ""));
}

static void add_followup(struct contract_call *call, const json_t *input, json_t *item)
{
    if (json_integer_value(json_object_get(item, "status")) == 6) { /* a closed item takes none without rights */
        refuse(call, 400, "ERROR_RIGHT_MISSING", "You don't have permission to perform this action.");
        return;
    }
    check_html(call, contract_text(input, "content"));
    json_array_append_new(json_object_get(item, "_followups"),
                          json_pack("{s:s,s:i,s:I}", "content", contract_text(input, "content"), "users_id", 5, "id",
                                    contract_next(call->state, "followups")));
    contract_touch(item);
    contract_answer(
        call, 201,
        json_pack("{s:I,s:s}", "id", json_integer_value(json_object_get(call->state, "followups")), "message", ""));
}

/* [R] Add item(s), special case of documents: multipart with uploadManifest {"input":{name,_filename}} and the file. */
static void add_document(struct contract_call *call)
{
    char filename[200], none[8];
    const char *data, *manifest_text;
    size_t len, manifest_len;

    if (!contract_multipart(call, "uploadManifest", none, sizeof(none), &manifest_text, &manifest_len) ||
        !contract_multipart(call, "filename[0]", filename, sizeof(filename), &data, &len) || filename[0] == '\0') {
        refuse(call, 400, "ERROR_UPLOAD_FILE_TOO_BIG_POST_MAX_SIZE", "uploadManifest or filename[0] is missing");
        return;
    }
    json_t *manifest = json_loadb(manifest_text, manifest_len, 0, NULL);
    const json_t *input = json_object_get(manifest, "input");
    const char *type = contract_text(input, "itemtype");
    json_t *item = is_itil(type) ? find_item(call, type, json_integer_value(json_object_get(input, "items_id"))) : NULL;
    if (item != NULL) {
        json_object_set_new(item, "_attachments",
                            json_integer(json_integer_value(json_object_get(item, "_attachments")) + 1));
        contract_answer(call, 201, json_pack("{s:i,s:s}", "id", 1, "message", "Document move succeeded."));
    } else if (call->answer == NULL) {
        refuse(call, 400, "ERROR_GLPI_ADD", "the document hangs on nothing");
    }
    json_decref(manifest);
}

static void create(struct contract_call *call)
{
    const char *type = call->part[0];

    if (is_itil(type)) {
        create_item(call);
        return;
    }
    if (strcmp(type, "Document") == 0) {
        add_document(call);
        return;
    }
    const json_t *input = input_of(call);
    if (input == NULL)
        return;
    json_t *item =
        find_item(call, contract_text(input, "itemtype"), json_integer_value(json_object_get(input, "items_id")));
    if (item == NULL)
        return;
    if (contract_text(input, "content")[0] == '\0')
        refuse(call, 400, "ERROR_GLPI_ADD", "Mandatory fields are not filled. Please correct: Description");
    else if (strcmp(type, "ITILFollowup") == 0)
        add_followup(call, input, item);
    else if (strcmp(type, "ITILSolution") == 0)
        add_solution(call, input, item);
    else
        unknown(call);
}

static json_t *item_json(const json_t *t)
{
    char when[40];
    json_t *j = json_pack("{s:O,s:s,s:O,s:s}", "id", json_object_get(t, "id"), "name", contract_text(t, "name"),
                          "status", json_object_get(t, "status"), "content", contract_text(t, "content"));

    contract_time(when, sizeof(when), "%Y-%m-%d %H:%M:%S", contract_written_s(t));
    json_object_set_new(j, "date_mod", json_string(when));
    return j;
}

static void get_item(struct contract_call *call)
{
    if (!is_itil(call->part[0])) {
        unknown(call);
        return;
    }
    json_t *t = find_item(call, call->part[0], atoll(call->part[1]));
    if (t != NULL)
        contract_answer(call, 200, item_json(t));
}

/* [R] Update item(s): 200 [{"15":true,"message":""}]; 207 and ERROR_GLPI_PARTIAL_UPDATE when it did not work out. */
static void update(struct contract_call *call)
{
    const json_t *input = is_itil(call->part[0]) ? input_of(call) : NULL;
    json_t *t = input != NULL ? find_item(call, call->part[0], atoll(call->part[1])) : NULL;

    if (input == NULL && call->answer == NULL)
        unknown(call);
    if (t == NULL)
        return;
    json_int_t was = json_integer_value(json_object_get(t, "status"));
    json_int_t is = json_integer_value(json_object_get(input, "status"));
    if (was == 6 && (is < 1 || is > 5)) { /* a closed item is read-only until its status is set back */
        contract_answer(call, 207,
                        json_pack("[s,[{s:b,s:s}]]", "ERROR_GLPI_PARTIAL_UPDATE", call->part[1], 0, "message",
                                  "You don't have permission to perform this action."));
        return;
    }
    if (json_object_get(input, "status") != NULL && (is < 1 || is > 6)) {
        refuse(call, 400, "ERROR_GLPI_UPDATE", "status");
        return;
    }
    take_fields(call, t, input);
    contract_touch(t);
    contract_answer(call, 200, json_pack("[{s:b,s:s}]", call->part[1], 1, "message", ""));
}

/* [R] Get sub items: 200, or 206 when the range leaves some out; Content-Range. */
static void sub_items(struct contract_call *call)
{
    json_t *t = is_itil(call->part[0]) ? find_item(call, call->part[0], atoll(call->part[1])) : NULL;
    const char *sub = call->part[2], *range = contract_query(call, "range");
    size_t from = 0, to = 49, i;
    json_t *list = json_array(), *f;

    if (t == NULL) {
        if (call->answer == NULL)
            unknown(call);
        json_decref(list);
        return;
    }
    if (strcmp(sub, "Ticket_User") == 0 || strcmp(sub, "Problem_User") == 0) {
        json_int_t who = json_integer_value(json_object_get(t, "_assigned"));
        if (who > 0)
            json_array_append_new(list, json_pack("{s:i,s:I,s:i}", "id", 1, "users_id", who, "type", 2));
    } else if (strcmp(sub, "ITILFollowup") == 0) {
        json_array_foreach(json_object_get(t, "_followups"), i, f)
        {
            json_array_append(list, f);
        }
    }
    if (range != NULL)
        sscanf(range, "%zu-%zu", &from, &to);
    size_t total = json_array_size(list);
    if (total > 0 && from >= total) {
        json_decref(list);
        refuse(call, 400, "ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count of data");
        return;
    }
    size_t size = contract_pages(call, (unsigned)(to - from + 1));
    json_t *part = json_array();
    for (i = from; i < total && i < from + size; i++)
        json_array_append(part, json_array_get(list, i));
    if (total > 0)
        contract_add_header(call, "Content-Range", "%zu-%zu/%zu", from, from + json_array_size(part) - 1, total);
    contract_answer(call, json_array_size(part) < total ? 206 : 200, part);
    json_decref(list);
}

/* --- search --- */

struct criterion {
    long field;
    const char *kind, *value, *link;
};

static unsigned read_criteria(const struct contract_call *call, struct criterion *ret)
{
    unsigned n = 0;
    char name[60];

    for (; n < 4; n++) {
        snprintf(name, sizeof(name), "criteria[%u][field]", n);
        ret[n].field = contract_query_number(call, name, -1);
        snprintf(name, sizeof(name), "criteria[%u][searchtype]", n);
        ret[n].kind = contract_query(call, name);
        snprintf(name, sizeof(name), "criteria[%u][value]", n);
        ret[n].value = contract_query(call, name);
        snprintf(name, sizeof(name), "criteria[%u][link]", n);
        ret[n].link = contract_query(call, name);
        if (ret[n].field < 0 || ret[n].kind == NULL || ret[n].value == NULL)
            break;
    }
    return n;
}

static bool matches(struct contract_call *call, const json_t *t, const struct criterion *c, unsigned n)
{
    char when[40];

    contract_time(when, sizeof(when), "%Y-%m-%d %H:%M:%S", contract_written_s(t));
    for (unsigned i = 0; i < n; i++) {
        bool contains = strcmp(c[i].kind, "contains") == 0;
        if (i > 0 && (c[i].link == NULL || strcmp(c[i].link, "AND") != 0))
            contract_violation(call, "criterion %u has no link AND", i);
        if (c[i].field == 21 && contains) {
            if (strstr(contract_text(t, "content"), c[i].value) == NULL)
                return false;
        } else if (c[i].field == 19 && strcmp(c[i].kind, "morethan") == 0) {
            if (strcmp(when, c[i].value) <= 0)
                return false;
        } else {
            contract_violation(call, "a criterion on field %ld %s", c[i].field, c[i].kind);
        }
    }
    return true;
}

static int compare_written(const void *a, const void *b)
{
    double x = contract_written_s(*(json_t *const *)a), y = contract_written_s(*(json_t *const *)b);

    return x < y ? -1 : x > y;
}

static json_t *row_json(const json_t *t)
{
    char when[40];

    contract_time(when, sizeof(when), "%Y-%m-%d %H:%M:%S", contract_written_s(t));
    return json_pack("{s:s,s:O,s:O,s:s}", "1", contract_text(t, "name"), "2", json_object_get(t, "id"), "12",
                     json_object_get(t, "status"), "19", when);
}

/* [R] Search items: criteria, range, sort, order, forcedisplay; totalcount, count, data; 200 or 206. */
static void search(struct contract_call *call)
{
    struct criterion c[4];
    unsigned n = read_criteria(call, c);
    const char *range = contract_query(call, "range"), *order = contract_query(call, "order");
    json_t **all = calloc(json_array_size(contract_tickets(call)) + 1, sizeof(json_t *)), *t, *data = json_array();
    size_t total = 0, from = 0, to = 49, i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (strcmp(contract_text(t, "_type"), call->part[0]) == 0 && contract_visible(call, t) &&
            matches(call, t, c, n))
            all[total++] = t;
    }
    if (contract_query_number(call, "sort", 1) == 19 && total > 0)
        qsort(all, total, sizeof(json_t *), compare_written);
    if (range != NULL)
        sscanf(range, "%zu-%zu", &from, &to);
    size_t size = contract_pages(call, (unsigned)(to - from + 1));
    bool down = order != NULL && strcmp(order, "DESC") == 0;
    for (i = from; i < total && i < from + size; i++)
        json_array_append_new(data, row_json(all[down ? total - 1 - i : i]));
    free(all);
    if (total > 0 && from >= total) {
        json_decref(data);
        refuse(call, 400, "ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count of data");
        return;
    }
    json_t *answer = json_pack("{s:i,s:i}", "totalcount", (int)total, "count", (int)json_array_size(data));
    bool part = json_array_size(data) < total;
    if (total > 0) {
        contract_add_header(call, "Content-Range", "%zu-%zu/%zu", from, from + json_array_size(data) - 1, total);
        json_object_set(answer, "data", data);
    }
    json_decref(data);
    contract_answer(call, part ? 206 : 200, answer);
}

/* [R] Get all items, of User only: searchText[name] is "contains". */
static void get_all(struct contract_call *call)
{
    static const char *const users[] = {"glpi", "tech", "tech-night", "spanward"};
    const char *text = contract_query(call, "searchText[name]");
    json_t *list = json_array();

    if (strcmp(call->part[0], "User") != 0) {
        json_decref(list);
        unknown(call);
        return;
    }
    for (int i = 0; i < 4; i++) {
        if (text == NULL || strstr(users[i], text) != NULL)
            json_array_append_new(list, json_pack("{s:i,s:s}", "id", i + 2, "name", users[i]));
    }
    contract_answer(call, 200, list);
}

static void get_user(struct contract_call *call)
{
    static const char *const users[] = {"glpi", "tech", "tech-night", "spanward"};
    long id = atol(call->part[0]);

    if (id < 2 || id > 5)
        refuse(call, 404, "ERROR_ITEM_NOT_FOUND", "Item not found");
    else
        contract_answer(call, 200, json_pack("{s:i,s:s}", "id", (int)id, "name", users[id - 2]));
}

/* [R] Get full session: what a check looks at. The rights of an ITIL type are bits; 4 is create. */
static void full_session(struct contract_call *call)
{
    contract_answer(call, 200,
                    json_pack("{s:{s:i,s:s,s:{s:i,s:i,s:i,s:s}}}", "session", "glpiID", 5, "glpiname", "spanward",
                              "glpiactiveprofile", "ticket", 168967, "problem", 34943, "followup", 15383, "name",
                              "Technician"));
}

static json_t *describe(const json_t *t)
{
    json_t *comments = json_array(), *f;
    const char *mark = strstr(contract_text(t, "content"), "[spanward:");
    json_int_t status = json_integer_value(json_object_get(t, "status")), who;
    char key[64] = "";
    size_t i;

    if (mark != NULL)
        snprintf(key, sizeof(key), "%.*s", (int)strcspn(mark + 10, "]"), mark + 10);
    json_array_foreach(json_object_get(t, "_followups"), i, f)
    {
        json_array_append(comments, json_object_get(f, "content"));
    }
    who = json_integer_value(json_object_get(t, "_assigned"));
    return json_pack("{s:o,s:s,s:s,s:s,s:s,s:o,s:o,s:O}", "id",
                     json_sprintf("%lld", (long long)json_integer_value(json_object_get(t, "id"))), "key", key, "title",
                     contract_text(t, "name"), "body", contract_text(t, "content"), "state",
                     status >= 5 ? "resolved" : "open", "owner",
                     who > 0 ? json_sprintf("%lld", (long long)who) : json_string(""), "comments", comments,
                     "attachments", json_object_get(t, "_attachments"));
}

static int edit(json_t *t, const char *what, const char *value)
{
    if (strcmp(what, "comment") == 0)
        json_array_append_new(json_object_get(t, "_followups"),
                              json_pack("{s:s,s:i,s:i}", "content", value, "users_id", 3, "id",
                                        (int)(90000 + json_array_size(json_object_get(t, "_followups")))));
    else if (strcmp(what, "owner") == 0)
        json_object_set_new(t, "_assigned", json_integer(atoll(value)));
    else if (strcmp(what, "state") == 0)
        json_object_set_new(t, "status", json_integer(atoll(value)));
    else
        return -EINVAL;
    return 0;
}

static const struct contract_route routes[] = {
    {"GET", "apirest.php/initSession", init_session},
    {"GET", "apirest.php/killSession", kill_session},
    {"GET", "apirest.php/getFullSession", full_session},
    {"GET", "apirest.php/search/*", search},
    {"GET", "apirest.php/User/*", get_user},
    {"GET", "apirest.php/*/*/*", sub_items},
    {"GET", "apirest.php/*/*", get_item},
    {"GET", "apirest.php/*", get_all},
    {"POST", "apirest.php/*", create},
    {"PUT", "apirest.php/*/*", update},
    {NULL, NULL, NULL},
};
const struct contract_system contract_glpi = {
    .name = "glpi",
    .fresh = fresh,
    .authorize = authorize,
    .unknown = unknown,
    .routes = routes,
    .describe = describe,
    .edit = edit,
};

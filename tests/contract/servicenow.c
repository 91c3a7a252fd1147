/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ServiceNow as documented: Table API for incident, problem and em_event, and Attachment API.
 *
 * Sources: [T] docs.servicenow.com, "Table API"; [RC] KB1479016 "REST API HTTP response codes"; [RL] "Inbound REST API
 * rate limiting"; [EM] "Event field format for event collection" and "Event collection via web service API"; [A]
 * "Attachment API"; [I] "Incident states", "Problem states" and the shipped business rules and data policies of the
 * incident and problem applications; [D] the shipped dictionary: short_description 160, description 4000,
 * correlation_id 100, close_notes 4000, correlation_display 100. [J] "Journal fields": [code] lets HTML through.
 *
 * A value that is too long for its column is cut silently on insert [D]: here that is a violation, since a client of
 * ours must cut on its own terms. The same holds for a query operator (^) that slipped in through a value.
 */

#include "tests/contract/contract.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN "spanward:now-password"

struct column {
    const char *table; /* NULL: both of incident and problem */
    const char *name;
    size_t most;
};
static const struct column columns[] = {
    {NULL, "short_description", 160},
    {NULL, "description", 4000},
    {NULL, "correlation_id", 100},
    {NULL, "correlation_display", 100},
    {NULL, "work_notes", 4000},
    {NULL, "comments", 4000},
    {NULL, "close_notes", 4000},
    {NULL, "assigned_to", 32},
    {NULL, "assignment_group", 80},
    {NULL, "impact", 40},
    {NULL, "urgency", 40},
    {NULL, "state", 40},
    {"incident", "close_code", 40},
    {"incident", "caller_id", 100},
    {"incident", "category", 40},
    {"problem", "resolution_code", 40},
    {"problem", "fix_notes", 4000},
    {"problem", "cause_notes", 4000},
    {"incident", "hold_reason", 40},
    {"incident", "opened_at", 40},
    {"problem", "known_error", 40},
    {"problem", "problem_state", 40},
    {"em_event", "source", 100},
    {"em_event", "event_class", 100},
    {"em_event", "node", 100},
    {"em_event", "resource", 100},
    {"em_event", "metric_name", 100},
    {"em_event", "type", 100},
    {"em_event", "message_key", 1024},
    {"em_event", "severity", 40},
    {"em_event", "description", 4000},
    {"em_event", "additional_info", 65536},
    {"em_event", "time_of_event", 40},
    {"em_event", "resolution_state", 40},
};

/* [T] error bodies: {"error":{"message","detail"},"status":"failure"}. */
static json_t *failure(const char *message, const char *detail)
{
    return json_pack("{s:{s:s,s:s},s:s}", "error", "message", message, "detail", detail, "status", "failure");
}

static void refuse(struct contract_call *call, unsigned status, const char *message, const char *detail)
{
    contract_answer(call, status, failure(message, detail));
}

static bool authorize(struct contract_call *call)
{
    char wanted[128] = "Basic ";
    const char *header = contract_header(call, "Authorization"), *accept = contract_header(call, "Accept");

    EVP_EncodeBlock((unsigned char *)wanted + 6, (const unsigned char *)LOGIN, (int)strlen(LOGIN));
    if (header == NULL || strcmp(header, wanted) != 0 || json_is_true(json_object_get(call->state, "_revoked"))) {
        refuse(call, 401, "User Not Authenticated", "Required to provide Auth information");
        return false;
    }
    /* [RC] 406: the format asked for is not there. */
    if (accept != NULL && strstr(accept, "json") == NULL && strstr(accept, "*/*") == NULL) {
        refuse(call, 406, "Invalid content-type", "Requested media type is not supported");
        return false;
    }
    return true;
}

static void unknown(struct contract_call *call)
{
    refuse(call, 400, "Requested URI does not represent any resource", call->path);
}

static json_t *fresh(void)
{
    return json_pack("{s:[]}", "tickets");
}

/* --- records --- */

static bool is_table(const char *table)
{
    return strcmp(table, "incident") == 0 || strcmp(table, "problem") == 0 || strcmp(table, "em_event") == 0;
}

static const struct column *column_of(const char *table, const char *name)
{
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        bool here = columns[i].table == NULL ? strcmp(table, "em_event") != 0 : strcmp(columns[i].table, table) == 0;
        if (here && strcmp(columns[i].name, name) == 0)
            return &columns[i];
    }
    return NULL;
}

/* [J] Between [code] and [/code] journal text is HTML. */
static bool journal_acts(const char *text)
{
    return strcasestr(text, "[code]") != NULL;
}

static void take_value(struct contract_call *call, json_t *record, const char *name, const char *text)
{
    const struct column *c = column_of(call->part[0], name);
    size_t n = contract_characters(text);

    if (c == NULL) { /* [T] unknown fields are ignored: what they carried is lost */
        contract_violation(call, "%s has no field %s", call->part[0], name);
        return;
    }
    if (n == SIZE_MAX || n > c->most)
        contract_violation(call, "%s is cut at %zu characters (%zu)", name, c->most, n);
    if (strcmp(name, "work_notes") == 0 || strcmp(name, "comments") == 0) {
        if (journal_acts(text))
            contract_violation(call, "HTML gets through %s", name);
        json_array_append_new(json_object_get(record, "_journal"),
                              json_pack("{s:s,s:s,s:s}", "value", text, "element", name, "sys_created_by", "spanward"));
    } else {
        json_object_set_new(record, name, json_string(text));
    }
}

/* [I] Incident: resolving needs a code and notes (data policy "Make close info mandatory"); a closed one is read-only
 * but for administrators. Problem: to resolve it a resolution code, cause and fix notes, and somebody assigned. */
static bool state_allowed(struct contract_call *call, const json_t *before, const json_t *after)
{
    const char *was = contract_text(before, "state"), *is = contract_text(after, "state");

    if (strcmp(call->part[0], "incident") == 0) {
        if (strcmp(was, "7") == 0 || strcmp(was, "8") == 0) {
            refuse(call, 403, "Operation Failed", "Operation against file 'incident' was aborted by Business Rule");
            return false;
        }
        if (strchr("123678", is[0]) == NULL || is[1] != '\0') {
            contract_violation(call, "incident state %s is none", is);
        }
        if ((strcmp(is, "6") == 0 || strcmp(is, "7") == 0) &&
            (contract_text(after, "close_code")[0] == '\0' || contract_text(after, "close_notes")[0] == '\0')) {
            refuse(call, 403, "Operation Failed",
                   "Data Policy Exception: The following fields are mandatory: Resolution code, Resolution notes");
            return false;
        }
        return true;
    }
    if (strcmp(was, "107") == 0 && strcmp(is, "107") != 0 && strcmp(is, "103") != 0) {
        refuse(call, 403, "Operation Failed", "Operation against file 'problem' was aborted by Business Rule");
        return false;
    }
    if (strcmp(is, "106") == 0 || strcmp(is, "107") == 0) {
        if (contract_text(after, "resolution_code")[0] == '\0' || contract_text(after, "cause_notes")[0] == '\0' ||
            contract_text(after, "fix_notes")[0] == '\0') {
            refuse(call, 403, "Operation Failed",
                   "Data Policy Exception: The following fields are mandatory: Cause notes, Fix notes");
            return false;
        }
    }
    return true;
}

static bool take_record(struct contract_call *call, json_t *record)
{
    const char *name, *state;
    json_t *value;

    if (!json_is_object(call->json)) { /* [T] 400 */
        refuse(call, 400, "Exception while reading request", "The payload is not valid JSON");
        return false;
    }
    json_t *after = json_deep_copy(record);
    json_object_foreach(call->json, name, value)
    {
        if (!json_is_string(value)) /* [T] examples send strings; numbers are converted */
            contract_violation(call, "%s is no string", name);
        else
            take_value(call, after, name, json_string_value(value));
    }
    state = contract_text(record, "state");
    if (strcmp(call->part[0], "em_event") != 0 && state[0] != '\0' && !state_allowed(call, record, after)) {
        json_decref(after);
        return false;
    }
    json_object_clear(record);
    json_object_update(record, after);
    json_decref(after);
    return true;
}

static void note_double(struct contract_call *call, const json_t *record)
{
    const char *key = contract_text(record, "correlation_id");
    json_t *t;
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (key[0] != '\0' && strcmp(contract_text(t, "correlation_id"), key) == 0 &&
            strcmp(contract_text(t, "_table"), call->part[0]) == 0)
            contract_violation(call, "a second %s with correlation_id %s", call->part[0], key);
    }
}

/* [EM] severity 0 to 5 and an alert by message_key: 0 closes it, 1 to 4 (re)opens it. additional_info is JSON text. */
static bool take_event(struct contract_call *call, json_t *record)
{
    const char *severity = contract_text(record, "severity"), *info = contract_text(record, "additional_info");
    const char *key = contract_text(record, "message_key");
    json_t *t, *parsed = json_loads(info, 0, NULL), *alert = NULL;
    size_t i;

    if (severity[0] < '0' || severity[0] > '5' || severity[1] != '\0')
        contract_violation(call, "severity %s", severity);
    if (info[0] != '\0' && !json_is_object(parsed))
        contract_violation(call, "additional_info is no JSON object");
    if (contract_text(record, "source")[0] == '\0' || key[0] == '\0' || contract_text(record, "node")[0] == '\0')
        contract_violation(call, "an event without source, node or message_key");
    json_decref(parsed);
    json_array_foreach(contract_tickets(call), i, t)
    {
        if (strcmp(contract_text(t, "_table"), "em_event") == 0 && strcmp(contract_text(t, "message_key"), key) == 0)
            alert = t;
    }
    json_object_set_new(record, "state", json_string(severity[0] == '0' ? "closed" : "open"));
    if (alert == NULL)
        return true;
    json_object_update(alert, record); /* an event about a known alert */
    contract_touch(alert);
    return false;
}

/* Users whom the instance knows: sys_id, user_name. */
static const char *const users[][2] = {{"6816f79cc0a8016401c5a33be04be441", "noc"},
                                       {"46d44a23a9fe19810012d100cca80666", "beth.anglin"}};

/* [T] sysparm_fields: only these, and fields of referenced records by a dotted name. */
static json_t *result_of(const struct contract_call *call, const json_t *record)
{
    const char *fields = contract_query(call, "sysparm_fields"), *name;
    json_t *copy = json_object(), *value;
    char when[40], list[400], *rest = list;

    contract_time(when, sizeof(when), "%Y-%m-%d %H:%M:%S", contract_written_s(record));
    json_object_foreach((json_t *)record, name, value)
    {
        if (name[0] != '_')
            json_object_set(copy, name, value);
    }
    json_object_set_new(copy, "sys_updated_on", json_string(when));
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        if (strcmp(contract_text(record, "assigned_to"), users[i][0]) == 0)
            json_object_set_new(copy, "assigned_to.user_name", json_string(users[i][1]));
    }
    if (fields == NULL) {
        json_object_del(copy, "assigned_to.user_name");
        return copy;
    }
    json_t *chosen = json_object();
    snprintf(list, sizeof(list), "%s", fields);
    while ((name = strsep(&rest, ",")) != NULL) {
        value = json_object_get(copy, name);
        json_object_set_new(chosen, name, value != NULL ? json_incref(value) : json_string(""));
    }
    json_decref(copy);
    return chosen;
}

/* [T] POST: 201, {"result":record}, Location. */
static void create(struct contract_call *call)
{
    const char *table = call->part[0];
    bool event = strcmp(table, "em_event") == 0, problem = strcmp(table, "problem") == 0;
    char id[40], number[32];

    if (!is_table(table)) {
        refuse(call, 400, "Invalid table", table);
        return;
    }
    json_t *record = json_pack("{s:s,s:[],s:i}", "_table", table, "_journal", "_attachments", 0);
    if (!event)
        json_object_set_new(record, "state", json_string(problem ? "101" : "1"));
    if (!take_record(call, record)) {
        json_decref(record);
        return;
    }
    json_int_t n = contract_next(call->state, "records");
    snprintf(id, sizeof(id), "%032llx", (unsigned long long)n * 0x9e3779b97f4a7c15ull);
    snprintf(number, sizeof(number), "%s%07lld", problem ? "PRB" : "INC", (long long)(10000 + n));
    json_object_set_new(record, "sys_id", json_string(id));
    if (!event)
        json_object_set_new(record, "number", json_string(number));
    note_double(call, record);
    contract_touch(record);
    contract_answer(call, 201, json_pack("{s:o}", "result", result_of(call, record)));
    if (!event || take_event(call, record))
        json_array_append(contract_tickets(call), record);
    json_decref(record);
}

static json_t *find_record(struct contract_call *call)
{
    json_t *t;
    size_t i;

    json_array_foreach(contract_tickets(call), i, t)
    {
        if (strcmp(contract_text(t, "sys_id"), call->part[1]) == 0 &&
            strcmp(contract_text(t, "_table"), call->part[0]) == 0)
            return t;
    }
    refuse(call, 404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval");
    return NULL;
}

static void get_record(struct contract_call *call)
{
    json_t *record = find_record(call);

    if (record != NULL)
        contract_answer(call, 200, json_pack("{s:o}", "result", result_of(call, record)));
}

/* [T] PATCH and PUT change the named fields. */
static void change(struct contract_call *call)
{
    json_t *record = find_record(call);

    if (record == NULL || !take_record(call, record))
        return;
    contract_touch(record);
    contract_answer(call, 200, json_pack("{s:o}", "result", result_of(call, record)));
}

/* --- queries --- */

/* One condition of an encoded query: field, operator, value. 1, 0, or -1 where it is none. */
static int condition_matches(const json_t *record, const char *condition)
{
    char field[64], written[40];
    size_t len = strspn(condition, "abcdefghijklmnopqrstuvwxyz_.");

    if (len == 0 || len >= sizeof(field))
        return -1;
    snprintf(field, sizeof(field), "%.*s", (int)len, condition);
    const char *op = condition + len;
    if (strcmp(field, "sys_updated_on") == 0 && strncmp(op, ">=", 2) == 0) {
        contract_time(written, sizeof(written), "%Y-%m-%d %H:%M:%S", contract_written_s(record));
        return strcmp(written, op + 2) >= 0;
    }
    if (op[0] == '=')
        return strcmp(contract_text(record, field), op + 1) == 0;
    if (strncmp(op, "STARTSWITH", 10) == 0)
        return strncmp(contract_text(record, field), op + 10, strlen(op + 10)) == 0;
    if (strncmp(op, "LIKE", 4) == 0)
        return strstr(contract_text(record, field), op + 4) != NULL;
    if (strcmp(field, "sys_created_on") == 0 && strncmp(op, ">=", 2) == 0)
        return strcmp(contract_text(record, field), op + 2) >= 0;
    if (strncmp(op, "ISNOTEMPTY", 10) == 0)
        return contract_text(record, field)[0] != '\0';
    return -1;
}

/* [T] sysparm_query: conditions joined by ^, ^ORDERBYfield. An invalid part is ignored by the system, which then
 * returns everything: a violation, for a search by key that is ignored finds a stranger's ticket. */
static bool query_matches(struct contract_call *call, const json_t *record, const char *query)
{
    char text[1024], *rest = text, *condition;
    bool all = true;

    snprintf(text, sizeof(text), "%s", query);
    while ((condition = strsep(&rest, "^")) != NULL) {
        if (strncmp(condition, "ORDERBY", 7) == 0 || condition[0] == '\0')
            continue;
        int m = condition_matches(record, condition);
        if (m < 0)
            contract_violation(call, "the query part %s is ignored", condition);
        all = all && m != 0;
    }
    return all;
}

/* sys_user: user_name=x^ORemail=x^ORname=x. */
static void list_users(struct contract_call *call)
{
    const char *query = contract_query(call, "sysparm_query");
    json_t *found = json_array();
    char wanted[80];

    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        snprintf(wanted, sizeof(wanted), "user_name=%s^", users[i][1]);
        if (query == NULL || strncmp(query, wanted, strlen(wanted)) == 0)
            json_array_append_new(found, json_pack("{s:s}", "sys_id", users[i][0]));
    }
    contract_answer(call, 200, json_pack("{s:o}", "result", found));
}

/* [T] GET: sysparm_query, sysparm_limit (default 10000), sysparm_offset, sysparm_fields; Link and X-Total-Count. */
static void list(struct contract_call *call)
{
    const char *query = contract_query(call, "sysparm_query");
    long limit = contract_query_number(call, "sysparm_limit", 10000);
    long offset = contract_query_number(call, "sysparm_offset", 0);
    json_t *found = json_array(), *t;
    bool down = query != NULL && strstr(query, "ORDERBYDESC") != NULL;
    size_t i, total = 0, n = json_array_size(contract_tickets(call));

    if (!is_table(call->part[0])) {
        json_decref(found);
        refuse(call, 400, "Invalid table", call->part[0]);
        return;
    }
    if (query == NULL && limit > 1)
        contract_violation(call, "a list without a query");
    if (offset > 0 && (query == NULL || strstr(query, "ORDERBY") == NULL))
        contract_violation(call, "paging without an order");
    limit = (long)contract_pages(call, limit > 0 ? (unsigned)limit : 0);
    for (i = 0; i < n; i++) {
        t = json_array_get(contract_tickets(call), down ? n - 1 - i : i);
        if (strcmp(contract_text(t, "_table"), call->part[0]) != 0 || !contract_visible(call, t) ||
            (query != NULL && !query_matches(call, t, query)))
            continue;
        if (total >= (size_t)offset && total < (size_t)offset + (size_t)limit)
            json_array_append_new(found, result_of(call, t));
        total++;
    }
    contract_add_header(call, "X-Total-Count", "%zu", total);
    if (total > (size_t)offset + (size_t)limit)
        contract_add_header(call, "Link", "<https://instance/%s?sysparm_offset=%ld>;rel=\"next\"", call->path,
                            offset + limit);
    contract_answer(call, 200, json_pack("{s:o}", "result", found));
}

/* Journal entries are rows of sys_journal_field: element_id, element, value, sys_created_by, sys_created_on. */
static void journal(struct contract_call *call)
{
    const char *query = contract_query(call, "sysparm_query");
    json_t *found = json_array(), *t, *entry;
    size_t i, k;

    json_array_foreach(contract_tickets(call), i, t)
    {
        json_array_foreach(json_object_get(t, "_journal"), k, entry)
        {
            json_t *row = json_deep_copy(entry);
            char when[40];
            contract_time(when, sizeof(when), "%Y-%m-%d %H:%M:%S", contract_written_s(t));
            json_object_set_new(row, "sys_created_on", json_string(when));
            json_object_set_new(row, "sys_id", json_sprintf("%s-%zu", contract_text(t, "sys_id"), k));
            json_object_set_new(row, "element_id", json_string(contract_text(t, "sys_id")));
            if (query != NULL && query_matches(call, row, query))
                json_array_append(found, row);
            json_decref(row);
        }
    }
    contract_answer(call, 200, json_pack("{s:o}", "result", found));
}

/* [A] POST /api/now/attachment/file with table_name, table_sys_id, file_name; the body is the file: 201. */
static void attach(struct contract_call *call)
{
    const char *table = contract_query(call, "table_name"), *id = contract_query(call, "table_sys_id");
    const char *name = contract_query(call, "file_name"), *type = contract_header(call, "Content-Type");

    if (table == NULL || id == NULL || name == NULL || type == NULL || call->body_len == 0) {
        refuse(call, 400, "Invalid attachment", "table_name, table_sys_id, file_name and a body are mandatory");
        return;
    }
    snprintf(call->part[0], sizeof(call->part[0]), "%s", table);
    snprintf(call->part[1], sizeof(call->part[1]), "%s", id);
    json_t *record = find_record(call);
    if (record == NULL)
        return;
    json_object_set_new(record, "_attachments",
                        json_integer(json_integer_value(json_object_get(record, "_attachments")) + 1));
    contract_answer(call, 201, json_pack("{s:{s:s,s:s}}", "result", "sys_id", "a1", "file_name", name));
}

/* --- for the tests --- */

static json_t *describe(const json_t *t)
{
    const char *table = contract_text(t, "_table"), *state = contract_text(t, "state");
    bool event = strcmp(table, "em_event") == 0;
    bool over = strcmp(state, "6") == 0 || strcmp(state, "7") == 0 || strcmp(state, "106") == 0 ||
                strcmp(state, "107") == 0 || strcmp(state, "closed") == 0;
    json_t *comments = json_array(), *entry;
    size_t i;

    json_array_foreach(json_object_get(t, "_journal"), i, entry)
    {
        json_array_append(comments, json_object_get(entry, "value"));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:I}", "id", contract_text(t, "sys_id"), "key",
                     contract_text(t, event ? "message_key" : "correlation_id"), "title",
                     contract_text(t, event ? "description" : "short_description"), "body",
                     contract_text(t, "description"), "state", over ? "resolved" : "open", "owner",
                     contract_text(t, "assigned_to"), "comments", comments, "attachments",
                     json_integer_value(json_object_get(t, "_attachments")));
}

static int edit(json_t *t, const char *what, const char *value)
{
    if (strcmp(what, "comment") == 0)
        json_array_append_new(json_object_get(t, "_journal"), json_pack("{s:s,s:s,s:s}", "value", value, "element",
                                                                        "work_notes", "sys_created_by", "beth.anglin"));
    else if (strcmp(what, "owner") == 0)
        json_object_set_new(t, "assigned_to", json_string(value));
    else if (strcmp(what, "state") == 0) {
        static const char *const by_hand[] = {"close_code", "close_notes", "resolution_code", "cause_notes",
                                              "fix_notes"};
        json_object_set_new(t, "state", json_string(value));
        for (size_t i = 0; i < sizeof(by_hand) / sizeof(by_hand[0]); i++) /* the form asks people for them */
            json_object_set_new(t, by_hand[i], json_string("by hand"));
    } else
        return -EINVAL;
    return 0;
}

/* [RL] 429 with Retry-After; the text as the page shows it. */
static json_t *too_many(void)
{
    return failure("Rate limit exceeded", "Request rejected by REST API rate limit rule");
}

static const struct contract_route routes[] = {
    {"POST", "api/now/table/*", create},
    {"GET", "api/now/table/sys_journal_field", journal},
    {"GET", "api/now/table/sys_user", list_users},
    {"GET", "api/now/table/*", list},
    {"GET", "api/now/table/*/*", get_record},
    {"PATCH", "api/now/table/*/*", change},
    {"PUT", "api/now/table/*/*", change},
    {"POST", "api/now/attachment/file", attach},
    {NULL, NULL, NULL},
};
const struct contract_system contract_servicenow = {
    .name = "servicenow",
    .fresh = fresh,
    .authorize = authorize,
    .unknown = unknown,
    .routes = routes,
    .describe = describe,
    .edit = edit,
    .too_many = too_many,
};

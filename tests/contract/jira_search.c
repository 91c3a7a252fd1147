/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Jira's search: the clauses of JQL that clients of ours need, anything else is refused. Cloud pages with
 * nextPageToken, the old search is gone ([2046]); Data Center pages with startAt. The index lags behind as the test
 * says. Sources: see jira.c.
 */

#include "tests/contract/jira.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEARCH_MOST 100 /* [C] "maxResults ... page size": fewer may be returned */

/* One clause of JQL, as far as clients of ours need it. 1 matches, 0 not, -1 no such clause. */
static int clause_matches(const json_t *issue, const char *clause)
{
    char field[32], op[4], value[256];
    const json_t *label;
    size_t i;
    int minutes;

    if (sscanf(clause, "%31[a-z] %3[=<>!] \"%255[^\"]\"", field, op, value) != 3)
        return -1;
    if (strcmp(field, "project") == 0 && strcmp(op, "=") == 0)
        return strcmp(value, "NET") == 0;
    if (strcmp(field, "labels") == 0 && strcmp(op, "=") == 0) {
        json_array_foreach(json_object_get(issue, "labels"), i, label)
        {
            if (strcasecmp(json_string_value(label), value) == 0)
                return 1;
        }
        return 0;
    }
    /* [JQL] relative times: "-5m"; minutes are the finest unit. */
    if (strcmp(field, "updated") == 0 && strcmp(op, ">=") == 0 && sscanf(value, "-%dm", &minutes) == 1)
        return contract_written_s(issue) >= (double)time(NULL) - 60.0 * minutes;
    return -1;
}

static int jql_matches(const json_t *issue, const char *jql)
{
    char text[1024], *rest = text, *clause;
    int all = 1;

    snprintf(text, sizeof(text), "%s", jql);
    char *order = strcasestr(text, " order by ");
    if (order != NULL)
        *order = '\0';
    while (rest != NULL) {
        clause = rest;
        rest = strstr(rest, " AND ");
        if (rest != NULL) {
            *rest = '\0';
            rest += 5;
        }
        int m = clause_matches(issue, clause);
        if (m < 0)
            return m;
        all &= m;
    }
    return all;
}

/* Issues that match, in order of creation; NULL: answered. */
static json_t *matching(struct contract_call *call, const char *jql)
{
    json_t *probe = json_pack("{s:[]}", "labels"), *found = json_array(), *issue;
    size_t i;

    int valid = jql != NULL && jql[0] != '\0' ? jql_matches(probe, jql) : -1;
    json_decref(probe);
    if (valid < 0 && jql != NULL && strcasestr(jql, "order by") == jql)
        jira_refuse(call, 400,
                    "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.");
    else if (valid < 0)
        jira_refuse(call, 400, "Error in the JQL Query: The query cannot be parsed.");
    if (call->answer != NULL) {
        json_decref(found);
        return NULL;
    }
    json_array_foreach(contract_tickets(call), i, issue)
    {
        if (contract_visible(call, issue) && jql_matches(issue, jql) == 1)
            json_array_append(found, issue);
    }
    return found;
}

/* [C] Issue search, "Search for issues using JQL enhanced search": nextPageToken, isLast, no total. */
void jira_search_cloud(struct contract_call *call)
{
    bool post = strcmp(call->method, "POST") == 0;
    const char *jql = post ? contract_text(call->json, "jql") : contract_query(call, "jql");
    const char *token = post ? contract_text(call->json, "nextPageToken") : contract_query(call, "nextPageToken");
    char *fields = post ? json_dumps(json_object_get(call->json, "fields"), JSON_ENCODE_ANY)
                        : strdup(contract_query(call, "fields") != NULL ? contract_query(call, "fields") : "");
    long most = post ? (long)json_integer_value(json_object_get(call->json, "maxResults"))
                     : contract_query_number(call, "maxResults", 50);
    json_t *found = matching(call, jql), *list = json_array();
    size_t at = token != NULL && strncmp(token, "next-", 5) == 0 ? (size_t)atol(token + 5) : 0, n = 0;
    size_t size = contract_pages(call, most > 0 && most < SEARCH_MOST ? (unsigned)most : SEARCH_MOST);

    for (; found != NULL && n < size && at + n < json_array_size(found); n++)
        json_array_append_new(list, jira_issue(call, json_array_get(found, at + n), fields));
    if (found != NULL) {
        bool last = at + n >= json_array_size(found);
        json_t *answer = json_pack("{s:O,s:b}", "issues", list, "isLast", last);
        if (!last)
            json_object_set_new(answer, "nextPageToken", json_sprintf("next-%zu", at + n));
        contract_answer(call, 200, answer);
    }
    free(fields);
    json_decref(list);
    json_decref(found);
}

/* [2046] The old search of Cloud is gone. */
void jira_search_gone(struct contract_call *call)
{
    jira_refuse(call, 410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.");
}

/* [D] "search": startAt, maxResults, total. */
void jira_search_dc(struct contract_call *call)
{
    const char *fields = contract_query(call, "fields");
    long start = contract_query_number(call, "startAt", 0), most = contract_query_number(call, "maxResults", 50);
    json_t *found = matching(call, contract_query(call, "jql")), *list = json_array();
    size_t size = contract_pages(call, most >= 0 && most < 1000 ? (unsigned)most : 1000u);

    for (size_t i = (size_t)start; found != NULL && i < (size_t)start + size && i < json_array_size(found); i++)
        json_array_append_new(list, jira_issue(call, json_array_get(found, i), fields != NULL ? fields : "*all"));
    if (found != NULL)
        contract_answer(call, 200,
                        json_pack("{s:i,s:i,s:i,s:O}", "startAt", (int)start, "maxResults", (int)size, "total",
                                  (int)json_array_size(found), "issues", list));
    json_decref(list);
    json_decref(found);
}

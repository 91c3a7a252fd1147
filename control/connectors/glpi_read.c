/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * GLPI, what is read back: an item by the mark in its content, what changed since a time, and whether everything is
 * there to begin. Times of GLPI are of its own zone: polls only compare them with one another.
 */

#include "control/connectors/glpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/content.h"

/* Search options of ITIL items. */
#define OPTION_ID       2
#define OPTION_STATUS   12
#define OPTION_MODIFIED 19
#define OPTION_CONTENT  21

static enum remote_state state_of(json_int_t status)
{
    return status >= STATUS_CLOSED     ? REMOTE_CLOSED
           : status == STATUS_SOLVED   ? REMOTE_RESOLVED
           : status >= STATUS_ASSIGNED ? REMOTE_IN_PROGRESS
           : status == STATUS_NEW      ? REMOTE_OPEN
                                       : REMOTE_UNKNOWN;
}

/* A value of a search row: a number, or text that holds one. */
static json_int_t row_number(const json_t *row, const char *option)
{
    return (json_int_t)atoll(http_string(row, option));
}

/* The login of the assigned user, "" for nobody. 0 or -EIO. */
static int read_owner(struct glpi *g, const char *id, char ret_owner[ENTITY_OWNER_BYTES], struct connector_answer *ret)
{
    struct http_answer a;
    json_t *x;
    size_t i;
    json_int_t who = 0;
    int rc =
        glpi_call(g, &a, "GET", NULL, "/%s/%s/%s_User?range=0-49", g->type, id, g->type) ? 0 : glpi_failed(&a, ret);

    json_array_foreach(a.json, i, x)
    {
        if (json_integer_value(json_object_get(x, "type")) == 2 && who == 0) /* 2: assigned */
            who = json_integer_value(json_object_get(x, "users_id"));
    }
    http_answer_fini(&a);
    if (rc == 0)
        snprintf(ret_owner, ENTITY_OWNER_BYTES, "%s", glpi_user_name(g, who));
    return rc;
}

#define SEARCH                                                                                                         \
    "/search/%s?criteria[0][field]=21&criteria[0][searchtype]=contains&criteria[0][value]=%s&forcedisplay[0]=2&"       \
    "forcedisplay[1]=12&forcedisplay[2]=19&sort=19"

int glpi_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct glpi *g = ctx;
    char mark[80], encoded[160];
    struct http_answer a;

    snprintf(mark, sizeof(mark), "[spanward:%.*s]", (int)TRACK_KEY_HEX, r->create_key);
    bool done = glpi_call(g, &a, "GET", NULL, SEARCH "&order=ASC&range=0-9", g->type,
                          http_encode(encoded, sizeof(encoded), mark));
    int rc = done ? 0 : glpi_failed(&a, ret);
    const json_t *data = json_object_get(a.json, "data"),
                 *row = json_array_get(data, 0); /* absent when nothing is found */
    if (rc == 0 && json_is_object(row)) {
        glpi_set_id(g, http_string(row, "2"), ret);
        ret->state = state_of(row_number(row, "12"));
        ret->n_found = (unsigned)json_array_size(data);
        rc = 1;
    }
    http_answer_fini(&a);
    if (rc == 1 && read_owner(g, ret->remote_id, ret->owner, ret) != 0)
        rc = -EIO;
    return rc;
}

int glpi_present(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct glpi *g = ctx;
    struct http_answer a;
    char id[400];

    glpi_call(g, &a, "GET", NULL, "/%s/%s", g->type, http_encode(id, sizeof(id), r->remote_id));
    return track_present(&a, ret);
}

static int add_followups(struct glpi *g, const char *id, bool first, struct connector_changes *changes,
                         struct connector_answer *ret)
{
    struct http_answer a;
    json_t *x;
    size_t i;
    int rc = 0;

    if (!glpi_call(g, &a, "GET", NULL, "/%s/%s/ITILFollowup?range=0-199&sort=id&order=ASC", g->type, id) &&
        strcmp(glpi_error_code(&a), "ERROR_RANGE_EXCEED_TOTAL") != 0)
        rc = glpi_failed(&a, ret);
    json_array_foreach(a.json, i, x)
    {
        if (rc != 0 || !json_is_object(x) || json_integer_value(json_object_get(x, "users_id")) == glpi_self(g) ||
            track_seen(&g->seen, "followup %s", http_string(x, "id")) || first)
            continue;
        struct connector_change *c = connector_changes_add(changes);
        char *text = content_from_html(http_string(x, "content"));
        if (c == NULL || text == NULL) {
            rc = -ENOMEM;
        } else {
            snprintf(c->remote_id, sizeof(c->remote_id), "%s", id);
            snprintf(c->author, sizeof(c->author), "%s",
                     glpi_user_name(g, json_integer_value(json_object_get(x, "users_id"))));
            snprintf(c->comment, sizeof(c->comment), "%s", text);
            c->when_wall_ns = track_now_ns(); /* GLPI's own time has no zone */
        }
        free(text);
    }
    http_answer_fini(&a);
    return rc;
}

static int add_change(struct glpi *g, const json_t *row, struct connector_changes *changes,
                      struct connector_answer *ret)
{
    char id[32], owner[ENTITY_OWNER_BYTES] = "";
    const char *when = http_string(row, "19");
    json_int_t status = row_number(row, "12");

    snprintf(id, sizeof(id), "%s", http_string(row, "2"));
    if (strcmp(when, changes->cursor) > 0)
        snprintf(changes->cursor, sizeof(changes->cursor), "%s", when);
    int rc = read_owner(g, id, owner, ret);
    if (rc != 0)
        return rc;
    if (!track_seen(&g->seen, "%s|%s|%lld|%s", id, when, (long long)status, owner)) {
        struct connector_change *c = connector_changes_add(changes);
        if (c == NULL)
            return -ENOMEM;
        snprintf(c->remote_id, sizeof(c->remote_id), "%s", id);
        c->state = state_of(status);
        c->has_owner = true;
        snprintf(c->owner, sizeof(c->owner), "%s", owner);
        c->when_wall_ns = track_now_ns();
    }
    return add_followups(g, id, false, changes, ret);
}

/* GLPI's newest time of change: what a first poll begins from. */
static int newest(struct glpi *g, struct connector_changes *changes, struct connector_answer *ret)
{
    struct http_answer a;
    bool done = glpi_call(g, &a, "GET", NULL, SEARCH "&order=DESC&range=0-0", g->type, "%5Bspanward%3A");
    int rc = done ? 0 : glpi_failed(&a, ret);
    const char *when = http_string(json_array_get(json_object_get(a.json, "data"), 0), "19");

    snprintf(changes->cursor, sizeof(changes->cursor), "%s", when[0] != '\0' ? when : "2000-01-01 00:00:00");
    http_answer_fini(&a);
    return rc;
}

int glpi_poll(void *ctx, const char *cursor, struct connector_changes *changes, struct connector_answer *ret)
{
    struct glpi *g = ctx;
    uint64_t cursor_ns = track_time_ns(cursor); /* as if it were UTC, there and back again */
    char since[32], encoded[64];
    size_t from = 0, i;
    struct tm tm;
    int rc = 0;

    if (cursor_ns == 0)
        return newest(g, changes, ret);
    snprintf(changes->cursor, sizeof(changes->cursor), "%s", cursor);
    time_t t = (time_t)((cursor_ns - TRACK_OVERLAP_NS) / NS_PER_S);
    gmtime_r(&t, &tm);
    strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &tm);
    http_encode(encoded, sizeof(encoded), since);
    for (int page = 0; page < GLPI_PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *row;
        bool done = glpi_call(g, &a, "GET", NULL,
                              SEARCH "&criteria[1][link]=AND&criteria[1][field]=19&criteria[1][searchtype]=morethan&"
                                     "criteria[1][value]=%s&order=ASC&range=%zu-%zu",
                              g->type, "%5Bspanward%3A", encoded, from, from + GLPI_PAGE - 1);
        bool end = !done && strcmp(glpi_error_code(&a), "ERROR_RANGE_EXCEED_TOTAL") == 0;
        rc = done || end ? 0 : glpi_failed(&a, ret);
        size_t n = 0;
        json_array_foreach(json_object_get(a.json, "data"), i, row)
        {
            rc = rc == 0 ? add_change(g, row, changes, ret) : rc;
            n++;
        }
        from += n;
        changes->more = rc == 0 && !end && (json_int_t)from < json_integer_value(json_object_get(a.json, "totalcount"));
        http_answer_fini(&a);
        if (!changes->more)
            break;
    }
    return rc;
}

int glpi_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct glpi *g = ctx;
    struct connector_answer why = {0};
    struct http_answer a;
    char text[400];

    g->session[0] = '\0';
    bool good = glpi_call(g, &a, "GET", NULL, "/getFullSession");
    const json_t *session = json_object_get(a.json, "session"),
                 *profile = json_object_get(session, "glpiactiveprofile");
    if (!good)
        glpi_failed(&a, &why);
    snprintf(text, sizeof(text), good ? "%.200s as %.80s" : "%.200s: %.150s", http_base(g->http),
             good ? http_string(session, "glpiname") : why.text);
    say(say_ctx, good, text,
        good ? ""
             : "check tickets.glpi.url, the user's API token (Preferences, Remote access keys) and the application "
               "token "
               "(Setup, General, API), and that the REST API is enabled");
    int rc = good ? 0 : -EACCES;
    if (good) { /* rights are bits: 4 create, 2 update */
        bool problem = strcmp(g->type, "Problem") == 0;
        json_int_t rights = json_integer_value(json_object_get(profile, problem ? "problem" : "ticket"));
        bool may = (rights & 4) != 0;
        snprintf(text, sizeof(text), "profile %.60s %s items of type %s", http_string(profile, "name"),
                 may ? "may create" : "may not create", g->type);
        say(say_ctx, may, text,
            may ? "" : "give the profile the right to create them (Administration, Profiles, Assistance)");
        rc = may ? 0 : -EACCES;
    }
    http_answer_fini(&a);
    return rc;
}

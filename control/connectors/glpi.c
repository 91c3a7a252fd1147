/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * GLPI 10 by its REST API (apirest.php): Ticket or Problem. docs/TICKETS.md has the set-up.
 *
 * A session is opened with the user's token when one is needed, and once more when GLPI says that it has ended. An item
 * is found by "[spanward:KEY]" at the end of its content, which every version can search; therefore an update keeps
 * that line. Updates replace name and content, which may be repeated; followups and solutions carry a reference, for
 * which a repeated request looks first.
 *
 * To resolve is to add a solution (status solved); GLPI or the requester closes it later. Closing sets the status.
 * Opening again sets the status back, to assigned or new. 206 is a page and good; 207 means that the one thing that we
 * asked for was not done: a refusal with GLPI's reason.
 *
 * Times of GLPI are of its own zone: polls only compare them with one another.
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

#define NAME_MOST  250u
#define TEXT_MOST  20000u
#define PAGE       50u
#define PAGES_MOST 10
#define PEOPLE     16u

/* Search options of ITIL items. */
#define OPTION_ID       2
#define OPTION_STATUS   12
#define OPTION_MODIFIED 19
#define OPTION_CONTENT  21

enum { STATUS_NEW = 1, STATUS_ASSIGNED = 2, STATUS_SOLVED = 5, STATUS_CLOSED = 6 };

struct person {
    json_int_t id;
    char name[ENTITY_OWNER_BYTES];
};

/* Owner: the connector's thread. */
struct glpi {
    struct http *http;
    char user_token[256], app_token[256], session[128];
    char type[16];
    json_int_t self; /* our user's id; 0 as long as nobody asked */
    struct person person[PEOPLE];
    unsigned n_people;
    struct track_seen seen;
};

static void glpi_close(void *ctx)
{
    struct glpi *g = ctx;

    if (g == NULL)
        return;
    http_free(g->http);
    explicit_bzero(g->user_token, sizeof(g->user_token));
    explicit_bzero(g->app_token, sizeof(g->app_token));
    explicit_bzero(g->session, sizeof(g->session));
    free(g);
}

static int read_secrets(struct glpi *g, const struct config *config, char hash[FINGERPRINT_BYTES], struct error *e)
{
    int rc = http_secret("tickets.glpi.user_token_file", config_string(config, "tickets.glpi.user_token_file"),
                         "SPANWARD_GLPI_USER_TOKEN", g->user_token, sizeof(g->user_token), e);

    if (rc != 0)
        return rc;
    rc = http_secret("tickets.glpi.app_token_file", config_string(config, "tickets.glpi.app_token_file"),
                     "SPANWARD_GLPI_APP_TOKEN", g->app_token, sizeof(g->app_token), e);
    if (rc == -ENOENT && config_string(config, "tickets.glpi.app_token_file")[0] == '\0')
        rc = 0; /* GLPI asks for one only where an API client has it */
    http_hash(hash, g->user_token);
    http_hash(hash, g->app_token);
    return rc;
}

static int glpi_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.glpi.url");
    struct glpi *g;

    if (url[0] == '\0')
        return 0;
    if (strstr(url, "/apirest.php") == NULL)
        return error_set(e, -EINVAL, "tickets.glpi.url must end in /apirest.php");
    g = calloc(1, sizeof(*g));
    if (g == NULL)
        return error_set(e, -ENOMEM, "no memory for GLPI");
    snprintf(g->type, sizeof(g->type), "%s", config_string(config, "tickets.glpi.type"));
    ret_hash[0] = '\0';
    int rc = http_open(config, "tickets.glpi.url", url, &g->http, e);
    rc = rc == 0 ? read_secrets(g, config, ret_hash, e) : rc;
    if (rc != 0) {
        glpi_close(g);
        return rc;
    }
    http_hash(ret_hash, url);
    http_hash(ret_hash, g->type);
    *ret_ctx = g;
    return 1;
}

/* --- sessions and calls --- */

/* One request with GLPI's headers; session: with the session's token, else to get one. */
static void call_once(struct glpi *g, struct http_answer *ret, const struct http_request *q, bool session)
{
    char app[300], token[300];
    struct http_request full = *q;
    unsigned n = 0;

    while (full.header[n] != NULL)
        n++;
    if (g->app_token[0] != '\0') {
        snprintf(app, sizeof(app), "App-Token: %s", g->app_token);
        full.header[n++] = app;
    }
    if (session)
        snprintf(token, sizeof(token), "Session-Token: %s", g->session);
    else
        snprintf(token, sizeof(token), "Authorization: user_token %s", g->user_token);
    full.header[n] = token;
    http_do(g->http, &full, ret);
    explicit_bzero(token, sizeof(token));
    explicit_bzero(app, sizeof(app));
}

/* false: *ret says why. */
static bool begin_session(struct glpi *g, struct http_answer *ret)
{
    const struct http_request q = {.method = "GET", .path = "/initSession"};

    call_once(g, ret, &q, false);
    if (ret->outcome != CONNECTOR_DONE)
        return false;
    snprintf(g->session, sizeof(g->session), "%s", http_string(ret->json, "session_token"));
    http_answer_fini(ret);
    return true;
}

static const char *error_code(const struct http_answer *a)
{
    const char *code = json_string_value(json_array_get(a->json, 0));

    return code != NULL ? code : "";
}

/* A request within a session, with a new one when the old one has ended. Returns whether it is done. */
static bool do_request(struct glpi *g, struct http_answer *ret, const struct http_request *q)
{
    for (int i = 0; i < 2; i++) {
        if (g->session[0] == '\0' && !begin_session(g, ret))
            return false;
        call_once(g, ret, q, true);
        if (ret->status != 401 || strcmp(error_code(ret), "ERROR_SESSION_TOKEN_INVALID") != 0 || i == 1)
            break;
        g->session[0] = '\0';
        http_answer_fini(ret);
    }
    return ret->outcome == CONNECTOR_DONE && ret->status != 207;
}

/* json is taken over. */
static bool call(struct glpi *g, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static bool call(struct glpi *g, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
{
    char path[2048];
    struct http_request q = {.method = method, .path = path, .json = json};
    va_list args;

    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    bool done = do_request(g, ret, &q);
    json_decref(json);
    return done;
}

/* The message of a partial failure: ["ERROR_GLPI_PARTIAL_UPDATE",[{"5":false,"message":"…"}]]. */
static const char *partial_reason(const json_t *j)
{
    const char *text = http_string(json_array_get(json_array_get(j, 1), 0), "message");

    return text[0] != '\0' ? text : http_string(json_array_get(j, 0), "message");
}

static int failed(struct http_answer *a, struct connector_answer *ret)
{
    const char *code = error_code(a), *why = json_string_value(json_array_get(a->json, 1));
    char text[300];

    if (a->status == 207)
        why = partial_reason(a->json);
    if (code[0] != '\0' || why != NULL) {
        snprintf(text, sizeof(text), "%.60s: %.200s", code, why != NULL ? why : "");
        http_reason(a, text);
    }
    track_failed(a, ret);
    if (a->status == 207)
        ret->outcome = CONNECTOR_REFUSED;
    if (strcmp(code, "ERROR_WRONG_APP_TOKEN_PARAMETER") == 0 || strcmp(code, "ERROR_NOT_ALLOWED_IP") == 0 ||
        strcmp(code, "ERROR_APP_TOKEN_PARAMETERS_MISSING") == 0)
        ret->outcome = CONNECTOR_PAUSE; /* 400, and yet about our credentials */
    if (strcmp(code, "ERROR_SQL") == 0 || a->status == 409 || (a->status == 404 && code[0] == '\0'))
        ret->outcome = CONNECTOR_RETRY;
    return -EIO;
}

/* --- people --- */

static const char *remember(struct glpi *g, json_int_t id, const char *name)
{
    struct person *p = &g->person[g->n_people++ % PEOPLE];

    p->id = id;
    snprintf(p->name, sizeof(p->name), "%s", name);
    return p->name;
}

/* The id of the user with this login, 0 when GLPI has none. */
static json_int_t user_id(struct glpi *g, const char *name)
{
    char encoded[256];
    struct http_answer a;
    json_int_t id = 0;
    json_t *u;
    size_t i;

    if (name[0] == '\0')
        return 0;
    for (unsigned k = 0; k < PEOPLE && k < g->n_people; k++) {
        if (strcmp(g->person[k].name, name) == 0)
            return g->person[k].id;
    }
    bool done =
        call(g, &a, "GET", NULL, "/User?searchText[name]=%s&range=0-49", http_encode(encoded, sizeof(encoded), name));
    json_array_foreach(a.json, i, u)
    {
        if (done && strcmp(http_string(u, "name"), name) == 0) /* the filter means "contains" */
            id = json_integer_value(json_object_get(u, "id"));
    }
    if (done)
        remember(g, id, name);
    http_answer_fini(&a);
    return id;
}

static const char *user_name(struct glpi *g, json_int_t id)
{
    struct http_answer a;
    const char *name = "";

    if (id == 0)
        return "";
    for (unsigned k = 0; k < PEOPLE && k < g->n_people; k++) {
        if (g->person[k].id == id)
            return g->person[k].name;
    }
    if (call(g, &a, "GET", NULL, "/User/%lld", (long long)id))
        name = remember(g, id, http_string(a.json, "name"));
    http_answer_fini(&a);
    return name;
}

static json_int_t self(struct glpi *g)
{
    struct http_answer a;

    if (g->self == 0) {
        if (call(g, &a, "GET", NULL, "/getFullSession"))
            g->self = json_integer_value(json_object_get(json_object_get(a.json, "session"), "glpiID"));
        http_answer_fini(&a);
    }
    return g->self;
}

/* --- items --- */

/* HTML of the body, cut, with the line by which the item is found. malloc'd. */
static char *item_html(const struct connector_request *r)
{
    size_t size = strlen(r->body) + TRACK_KEY_HEX + 40;
    char *text = malloc(size), *html = NULL;

    if (text != NULL) {
        snprintf(text, size, "%s", r->body);
        content_clip(text, TEXT_MOST);
        size_t len = strlen(text);
        snprintf(text + len, size - len, "\n\n[spanward:%.*s]\n", (int)TRACK_KEY_HEX, r->create_key);
        html = content_html(text);
    }
    free(text);
    return html;
}

static char *comment_html(const struct connector_request *r)
{
    char *text = track_comment(r), *html = NULL;

    if (text != NULL)
        html = content_html(text);
    free(text);
    return html;
}

/* Name, content, urgency, assignee: {"input":{...}}. */
static json_t *item_input(struct glpi *g, const struct connector_request *r)
{
    static const int urgency[EVENT_SEVERITY_COUNT] = {2, 3, 4, 5};
    char name[512];
    char *html = item_html(r);
    json_int_t who = user_id(g, r->owner);
    json_t *input =
        json_pack("{s:s,s:s,s:i,s:i}", "name", content_clip(content_line(name, sizeof(name), r->title), NAME_MOST),
                  "content", html != NULL ? html : "", "urgency", urgency[r->severity], "impact", urgency[r->severity]);

    free(html);
    if (who > 0)
        json_object_set_new(input, "_users_id_assign", json_integer(who));
    return input;
}

static void set_id(const struct glpi *g, const char *id, struct connector_answer *ret)
{
    const char *api = strstr(http_base(g->http), "/apirest.php");
    bool problem = strcmp(g->type, "Problem") == 0;

    snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", id);
    snprintf(ret->remote_url, sizeof(ret->remote_url), "%.*s/front/%s.form.php?id=%.20s",
             api != NULL ? (int)(api - http_base(g->http)) : 0, http_base(g->http), problem ? "problem" : "ticket", id);
}

static void attach(struct glpi *g, const struct connector_request *r, struct connector_answer *ret)
{
    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *x = &r->attachment[i];
        json_t *m = json_pack("{s:{s:s,s:[s],s:s,s:I}}", "input", "name", x->name, "_filename", x->name, "itemtype",
                              g->type, "items_id", (json_int_t)atoll(ret->remote_id));
        char *manifest = json_dumps(m, JSON_COMPACT);
        json_decref(m);
        if (manifest == NULL)
            return;
        const struct http_part parts[] = {
            {.name = "uploadManifest", .type = "application/json", .data = manifest, .len = strlen(manifest)},
            {.name = "filename[0]", .filename = x->name, .type = x->type, .data = x->data, .len = x->len},
        };
        const struct http_request q = {.method = "POST", .path = "/Document", .part = parts, .n_parts = 2};
        struct http_answer a;
        if (!do_request(g, &a, &q))
            snprintf(ret->text, sizeof(ret->text), "without %.40s: %.100s", x->name, a.text);
        http_answer_fini(&a);
        free(manifest);
    }
}

static int create(struct glpi *g, const struct connector_request *r, struct connector_answer *ret)
{
    struct http_answer a;
    bool done = call(g, &a, "POST", json_pack("{s:o}", "input", item_input(g, r)), "/%s", g->type);
    int rc = done ? 0 : failed(&a, ret);

    if (rc == 0) {
        http_to_answer(&a, ret);
        ret->text[0] = '\0';
        set_id(g, http_string(a.json, "id"), ret);
        if (atoll(ret->remote_id) <= 0) {
            ret->remote_id[0] = '\0';
            ret->outcome = CONNECTOR_DOUBT;
            snprintf(ret->text, sizeof(ret->text), "the answer has no id");
            rc = -EIO;
        }
    }
    http_answer_fini(&a);
    if (rc == 0)
        attach(g, r, ret);
    return rc;
}

static int put(struct glpi *g, const char *id, json_t *input, struct connector_answer *ret)
{
    struct http_answer a;
    bool done = call(g, &a, "PUT", json_pack("{s:o}", "input", input), "/%s/%s", g->type, id);
    /* 200 [{"15":true,"message":""}]: the item's own verdict counts. */
    bool refused = done && json_is_false(json_object_get(json_array_get(a.json, 0), id));
    int rc = done ? 0 : failed(&a, ret);

    if (refused)
        rc = track_refuse(ret, "GLPI did not change it: %.150s", http_string(json_array_get(a.json, 0), "message"));
    http_answer_fini(&a);
    return rc;
}

/* 1: a followup or solution holds the reference, 0 not, -EIO. */
static int has_text(struct glpi *g, const char *id, const char *sub, const char *ref, struct connector_answer *ret)
{
    size_t from = 0, i;
    int rc = 0;

    for (int page = 0; page < PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *x;
        if (!call(g, &a, "GET", NULL, "/%s/%s/%s?range=%zu-%zu", g->type, id, sub, from, from + PAGE - 1)) {
            bool end = strcmp(error_code(&a), "ERROR_RANGE_EXCEED_TOTAL") == 0;
            rc = end ? 0 : failed(&a, ret);
            http_answer_fini(&a);
            break;
        }
        json_array_foreach(a.json, i, x)
        {
            if (strstr(http_string(x, "content"), ref) != NULL)
                rc = 1;
        }
        size_t n = json_array_size(a.json);
        from += n;
        bool part = a.status == 206;
        http_answer_fini(&a);
        if (!part || n == 0)
            break;
    }
    return rc;
}

/* A followup or a solution, once. */
static int say_once(struct glpi *g, const struct connector_request *r, const char *sub, struct connector_answer *ret)
{
    char ref[TRACK_KEY_BYTES];
    struct http_answer a;
    int there = r->repeat ? has_text(g, r->remote_id, sub, track_ref(ref, r), ret) : 0;

    if (there != 0)
        return there < 0 ? there : 0;
    char *html = comment_html(r);
    bool done = call(g, &a, "POST",
                     json_pack("{s:{s:s,s:I,s:s}}", "input", "itemtype", g->type, "items_id",
                               (json_int_t)atoll(r->remote_id), "content", html != NULL ? html : ""),
                     "/%s", sub);
    int rc = done ? 0 : failed(&a, ret);
    http_answer_fini(&a);
    free(html);
    return rc;
}

/* The item's status, or -EIO. */
static int read_status(struct glpi *g, const char *id, struct connector_answer *ret)
{
    struct http_answer a;
    int rc = call(g, &a, "GET", NULL, "/%s/%s", g->type, id)
                 ? (int)json_integer_value(json_object_get(a.json, "status"))
                 : failed(&a, ret);

    http_answer_fini(&a);
    return rc;
}

/* Solves with the text as the solution; what is solved already gets the text as a followup. */
static int resolve(struct glpi *g, const struct connector_request *r, bool close, struct connector_answer *ret)
{
    int status = read_status(g, r->remote_id, ret);
    int rc = status < 0 ? status : 0;

    if (rc == 0 && status < STATUS_SOLVED)
        rc = say_once(g, r, "ITILSolution", ret);
    else if (rc == 0 && status == STATUS_SOLVED)
        rc = say_once(g, r, "ITILFollowup", ret);
    if (rc == 0 && close && status != STATUS_CLOSED)
        rc = put(g, r->remote_id, json_pack("{s:i}", "status", STATUS_CLOSED), ret);
    return rc;
}

static int reopen(struct glpi *g, const struct connector_request *r, struct connector_answer *ret)
{
    int status = read_status(g, r->remote_id, ret);
    int rc = status < 0 ? status : 0;

    if (rc == 0 && status >= STATUS_SOLVED)
        rc =
            put(g, r->remote_id, json_pack("{s:i}", "status", r->owner[0] != '\0' ? STATUS_ASSIGNED : STATUS_NEW), ret);
    rc = rc == 0 ? put(g, r->remote_id, item_input(g, r), ret) : rc;
    return rc == 0 ? say_once(g, r, "ITILFollowup", ret) : rc;
}

static void glpi_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct glpi *g = ctx;
    int rc = 0;

    if (r->op != OUTBOX_CREATE) {
        set_id(g, r->remote_id, ret);
        if (strspn(r->remote_id, "0123456789") != strlen(r->remote_id) || r->remote_id[0] == '\0') {
            track_refuse(ret, "'%.40s' is no id of GLPI", r->remote_id);
            return;
        }
    }
    switch (r->op) {
    case OUTBOX_CREATE:
        rc = create(g, r, ret);
        break;
    case OUTBOX_UPDATE:
        rc = put(g, r->remote_id, item_input(g, r), ret);
        break;
    case OUTBOX_COMMENT:
        rc = say_once(g, r, "ITILFollowup", ret);
        break;
    case OUTBOX_RESOLVE:
    case OUTBOX_CLOSE:
        rc = resolve(g, r, r->op == OUTBOX_CLOSE, ret);
        break;
    case OUTBOX_REOPEN:
        rc = reopen(g, r, ret);
        break;
    case OUTBOX_OP_COUNT:
        break;
    }
    if (rc == 0) {
        ret->outcome = CONNECTOR_DONE;
        if (r->op != OUTBOX_CREATE)
            attach(g, r, ret);
    }
}

/* --- find and poll --- */

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
    int rc = call(g, &a, "GET", NULL, "/%s/%s/%s_User?range=0-49", g->type, id, g->type) ? 0 : failed(&a, ret);

    json_array_foreach(a.json, i, x)
    {
        if (json_integer_value(json_object_get(x, "type")) == 2 && who == 0) /* 2: assigned */
            who = json_integer_value(json_object_get(x, "users_id"));
    }
    http_answer_fini(&a);
    if (rc == 0)
        snprintf(ret_owner, ENTITY_OWNER_BYTES, "%s", user_name(g, who));
    return rc;
}

#define SEARCH                                                                                                         \
    "/search/%s?criteria[0][field]=21&criteria[0][searchtype]=contains&criteria[0][value]=%s&forcedisplay[0]=2&"       \
    "forcedisplay[1]=12&forcedisplay[2]=19&sort=19"

static int glpi_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct glpi *g = ctx;
    char mark[80], encoded[160];
    struct http_answer a;

    snprintf(mark, sizeof(mark), "[spanward:%.*s]", (int)TRACK_KEY_HEX, r->create_key);
    bool done =
        call(g, &a, "GET", NULL, SEARCH "&order=ASC&range=0-9", g->type, http_encode(encoded, sizeof(encoded), mark));
    int rc = done ? 0 : failed(&a, ret);
    const json_t *data = json_object_get(a.json, "data"),
                 *row = json_array_get(data, 0); /* absent when nothing is found */
    if (rc == 0 && json_is_object(row)) {
        set_id(g, http_string(row, "2"), ret);
        ret->state = state_of(row_number(row, "12"));
        ret->n_found = (unsigned)json_array_size(data);
        rc = 1;
    }
    http_answer_fini(&a);
    if (rc == 1 && read_owner(g, ret->remote_id, ret->owner, ret) != 0)
        rc = -EIO;
    return rc;
}

static int glpi_present(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct glpi *g = ctx;
    struct http_answer a;
    char id[400];

    call(g, &a, "GET", NULL, "/%s/%s", g->type, http_encode(id, sizeof(id), r->remote_id));
    return track_present(&a, ret);
}

static int add_followups(struct glpi *g, const char *id, bool first, struct connector_changes *changes,
                         struct connector_answer *ret)
{
    struct http_answer a;
    json_t *x;
    size_t i;
    int rc = 0;

    if (!call(g, &a, "GET", NULL, "/%s/%s/ITILFollowup?range=0-199&sort=id&order=ASC", g->type, id) &&
        strcmp(error_code(&a), "ERROR_RANGE_EXCEED_TOTAL") != 0)
        rc = failed(&a, ret);
    json_array_foreach(a.json, i, x)
    {
        if (rc != 0 || !json_is_object(x) || json_integer_value(json_object_get(x, "users_id")) == self(g) ||
            track_seen(&g->seen, "followup %s", http_string(x, "id")) || first)
            continue;
        struct connector_change *c = connector_changes_add(changes);
        char *text = content_from_html(http_string(x, "content"));
        if (c == NULL || text == NULL) {
            rc = -ENOMEM;
        } else {
            snprintf(c->remote_id, sizeof(c->remote_id), "%s", id);
            snprintf(c->author, sizeof(c->author), "%s",
                     user_name(g, json_integer_value(json_object_get(x, "users_id"))));
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
    bool done = call(g, &a, "GET", NULL, SEARCH "&order=DESC&range=0-0", g->type, "%5Bspanward%3A");
    int rc = done ? 0 : failed(&a, ret);
    const char *when = http_string(json_array_get(json_object_get(a.json, "data"), 0), "19");

    snprintf(changes->cursor, sizeof(changes->cursor), "%s", when[0] != '\0' ? when : "2000-01-01 00:00:00");
    http_answer_fini(&a);
    return rc;
}

static int glpi_poll(void *ctx, const char *cursor, struct connector_changes *changes, struct connector_answer *ret)
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
    for (int page = 0; page < PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *row;
        bool done = call(g, &a, "GET", NULL,
                         SEARCH "&criteria[1][link]=AND&criteria[1][field]=19&criteria[1][searchtype]=morethan&"
                                "criteria[1][value]=%s&order=ASC&range=%zu-%zu",
                         g->type, "%5Bspanward%3A", encoded, from, from + PAGE - 1);
        bool end = !done && strcmp(error_code(&a), "ERROR_RANGE_EXCEED_TOTAL") == 0;
        rc = done || end ? 0 : failed(&a, ret);
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

static int glpi_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct glpi *g = ctx;
    struct connector_answer why = {0};
    struct http_answer a;
    char text[400];

    g->session[0] = '\0';
    bool good = call(g, &a, "GET", NULL, "/getFullSession");
    const json_t *session = json_object_get(a.json, "session"),
                 *profile = json_object_get(session, "glpiactiveprofile");
    if (!good)
        failed(&a, &why);
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

const struct connector connector_glpi = {
    .name = "glpi",
    .title = "GLPI",
    .can = CONNECTOR_TRACKS | CONNECTOR_HTML | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT | CONNECTOR_OWNER,
    .open = glpi_open,
    .close = glpi_close,
    .send = glpi_send,
    .find = glpi_find,
    .present = glpi_present,
    .poll = glpi_poll,
    .check = glpi_check,
};

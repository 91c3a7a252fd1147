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
 * What is read back is in glpi_read.c.
 */

#include "control/connectors/glpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/content.h"

#define NAME_MOST 250u
#define TEXT_MOST 20000u
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

const char *glpi_error_code(const struct http_answer *a)
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
        if (ret->status != 401 || strcmp(glpi_error_code(ret), "ERROR_SESSION_TOKEN_INVALID") != 0 || i == 1)
            break;
        g->session[0] = '\0';
        http_answer_fini(ret);
    }
    return ret->outcome == CONNECTOR_DONE && ret->status != 207;
}

/* json is taken over. */
bool glpi_call(struct glpi *g, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool glpi_call(struct glpi *g, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
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

int glpi_failed(struct http_answer *a, struct connector_answer *ret)
{
    const char *code = glpi_error_code(a), *why = json_string_value(json_array_get(a->json, 1));
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
    struct glpi_person *p = &g->person[g->n_people++ % GLPI_PEOPLE];

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
    for (unsigned k = 0; k < GLPI_PEOPLE && k < g->n_people; k++) {
        if (strcmp(g->person[k].name, name) == 0)
            return g->person[k].id;
    }
    bool done = glpi_call(g, &a, "GET", NULL, "/User?searchText[name]=%s&range=0-49",
                          http_encode(encoded, sizeof(encoded), name));
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

const char *glpi_user_name(struct glpi *g, json_int_t id)
{
    struct http_answer a;
    const char *name = "";

    if (id == 0)
        return "";
    for (unsigned k = 0; k < GLPI_PEOPLE && k < g->n_people; k++) {
        if (g->person[k].id == id)
            return g->person[k].name;
    }
    if (glpi_call(g, &a, "GET", NULL, "/User/%lld", (long long)id))
        name = remember(g, id, http_string(a.json, "name"));
    http_answer_fini(&a);
    return name;
}

json_int_t glpi_self(struct glpi *g)
{
    struct http_answer a;

    if (g->self == 0) {
        if (glpi_call(g, &a, "GET", NULL, "/getFullSession"))
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

void glpi_set_id(const struct glpi *g, const char *id, struct connector_answer *ret)
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
    bool done = glpi_call(g, &a, "POST", json_pack("{s:o}", "input", item_input(g, r)), "/%s", g->type);
    int rc = done ? 0 : glpi_failed(&a, ret);

    if (rc == 0) {
        http_to_answer(&a, ret);
        ret->text[0] = '\0';
        glpi_set_id(g, http_string(a.json, "id"), ret);
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
    bool done = glpi_call(g, &a, "PUT", json_pack("{s:o}", "input", input), "/%s/%s", g->type, id);
    /* 200 [{"15":true,"message":""}]: the item's own verdict counts. */
    bool refused = done && json_is_false(json_object_get(json_array_get(a.json, 0), id));
    int rc = done ? 0 : glpi_failed(&a, ret);

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

    for (int page = 0; page < GLPI_PAGES_MOST && rc == 0; page++) {
        struct http_answer a;
        json_t *x;
        if (!glpi_call(g, &a, "GET", NULL, "/%s/%s/%s?range=%zu-%zu", g->type, id, sub, from, from + GLPI_PAGE - 1)) {
            bool end = strcmp(glpi_error_code(&a), "ERROR_RANGE_EXCEED_TOTAL") == 0;
            rc = end ? 0 : glpi_failed(&a, ret);
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
    bool done = glpi_call(g, &a, "POST",
                          json_pack("{s:{s:s,s:I,s:s}}", "input", "itemtype", g->type, "items_id",
                                    (json_int_t)atoll(r->remote_id), "content", html != NULL ? html : ""),
                          "/%s", sub);
    int rc = done ? 0 : glpi_failed(&a, ret);
    http_answer_fini(&a);
    free(html);
    return rc;
}

/* The item's status, or -EIO. */
static int read_status(struct glpi *g, const char *id, struct connector_answer *ret)
{
    struct http_answer a;
    int rc = glpi_call(g, &a, "GET", NULL, "/%s/%s", g->type, id)
                 ? (int)json_integer_value(json_object_get(a.json, "status"))
                 : glpi_failed(&a, ret);

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
        glpi_set_id(g, r->remote_id, ret);
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

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Redmine over its REST API (www.redmine.org/projects/redmine/wiki/Rest_api; tried with 5.0.4).
 *
 * Our key is in an issue custom field that is "used as a filter"; issues are found by cf_N=KEY, which reads the
 * database. The field's number comes from the project (include=issue_custom_fields, Redmine 4.2), statuses, trackers
 * and priorities from their lists; all are asked for once and kept. A change is one PUT with subject, priority, status
 * and the text as a note, applied as a whole. The note ends in the request's reference, so a request that is repeated
 * can see whether its note has arrived. Redmine answers 204 and leaves the status alone when the workflow does not
 * allow the change: a status is therefore read back.
 *
 * Which of its three formats a Redmine uses cannot be asked, so text is put into what is literal in each: Textile and
 * CommonMark take what is in <pre> as it is but for tags (a blank behind each "<" makes none), Markdown drops the <pre>
 * and takes what is between the lines of tildes as code. Longer runs of tildes in the text are broken up.
 *
 * Back: issues of the project that were updated since the cursor, and their journals that are newer than the newest
 * seen and not our user's. Cursor: "SECONDS|JOURNAL".
 */

#include "control/connectors/connector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"

#define POLL_ISSUES 100
#define OVERLAP_S   2
#define NAME_BYTES  101
#define FENCE       "~~~~"

/* Owner: the connector's user. The numbers are 0 until they were asked for. */
struct redmine {
    struct http *http;
    char project[201], tracker[NAME_BYTES], field[NAME_BYTES];
    char resolved[NAME_BYTES], closed[NAME_BYTES], reopened[NAME_BYTES];
    int field_id, tracker_id, resolved_id, closed_id, reopened_id, user_id;
    int priority_id[EVENT_SEVERITY_COUNT]; /* 0: the system's default */
    bool known;
};

static void redmine_close(void *ctx)
{
    struct redmine *x = ctx;

    if (x != NULL)
        http_free(x->http);
    free(x);
}

static int redmine_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.redmine.url");

    if (url[0] == '\0')
        return 0;
    struct redmine *x = calloc(1, sizeof(*x));
    if (x == NULL)
        return error_set(e, -ENOMEM, "no memory for Redmine");
    snprintf(x->project, sizeof(x->project), "%s", config_string(config, "tickets.redmine.project"));
    snprintf(x->tracker, sizeof(x->tracker), "%s", config_string(config, "tickets.redmine.tracker"));
    snprintf(x->field, sizeof(x->field), "%s", config_string(config, "tickets.redmine.field"));
    snprintf(x->resolved, sizeof(x->resolved), "%s", config_string(config, "tickets.redmine.resolved"));
    snprintf(x->closed, sizeof(x->closed), "%s", config_string(config, "tickets.redmine.closed"));
    snprintf(x->reopened, sizeof(x->reopened), "%s", config_string(config, "tickets.redmine.reopened"));
    ret_hash[0] = '\0';
    int rc = http_open(config, "tickets.redmine.url", url, &x->http, e);
    rc = rc == 0 ? http_token(x->http, config, "tickets.redmine.key_file", "SPANWARD_REDMINE_KEY",
                              "X-Redmine-API-Key: ", ret_hash, e)
                 : rc;
    if (rc != 0) {
        redmine_close(x);
        return rc;
    }
    const char *const part[] = {url, x->project, x->tracker, x->field, x->resolved, x->closed, x->reopened};
    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
        http_hash(ret_hash, part[i]);
    *ret_ctx = x;
    return 1;
}

/* --- names and numbers --- */

/* The number of the entry with that name; "" is the first. 0: none. */
static int number_of(const json_t *list, const char *name)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (name[0] == '\0' || strcmp(http_string(one, "name"), name) == 0)
            return (int)json_integer_value(json_object_get(one, "id"));
    }
    return 0;
}

/* A list of the system's into *a. */
static bool ask(struct redmine *x, struct http_answer *a, const char *path)
{
    return track_call(x->http, a, "GET", NULL, "%s", path);
}

/* Minor is what is usual there; each step up is the next priority in the list. */
static void take_priorities(struct redmine *x, const json_t *list)
{
    size_t n = json_array_size(list), usual = 0;

    for (size_t i = 0; i < n; i++) {
        if (json_is_true(json_object_get(json_array_get(list, i), "is_default")))
            usual = i;
    }
    for (int s = 0; s < EVENT_SEVERITY_COUNT; s++) {
        size_t at = usual + (s > EVENT_minor ? (size_t)(s - EVENT_minor) : 0);
        at = at < n ? at : n - 1;
        x->priority_id[s] = n > 0 ? (int)json_integer_value(json_object_get(json_array_get(list, at), "id")) : 0;
    }
}

static int learn(struct redmine *x, struct connector_answer *ret)
{
    struct http_answer a;
    char path[700], encoded[610];
    int rc = 0;

    if (x->known)
        return 0;
    snprintf(path, sizeof(path), "/projects/%s.json?include=trackers,issue_custom_fields",
             http_encode(encoded, sizeof(encoded), x->project));
    if (ask(x, &a, path)) {
        const json_t *p = json_object_get(a.json, "project");
        x->field_id = number_of(json_object_get(p, "issue_custom_fields"), x->field);
        x->tracker_id = number_of(json_object_get(p, "trackers"), x->tracker);
    } else {
        rc = track_failed(&a, ret);
    }
    http_answer_fini(&a);
    if (rc == 0 && ask(x, &a, "/issue_statuses.json")) {
        const json_t *list = json_object_get(a.json, "issue_statuses");
        x->resolved_id = number_of(list, x->resolved);
        x->closed_id = number_of(list, x->closed);
        x->reopened_id = number_of(list, x->reopened);
    } else if (rc == 0) {
        rc = track_failed(&a, ret);
    }
    if (rc == 0)
        http_answer_fini(&a);
    if (rc == 0 && ask(x, &a, "/enumerations/issue_priorities.json"))
        take_priorities(x, json_object_get(a.json, "issue_priorities"));
    if (rc == 0)
        http_answer_fini(&a);
    if (rc == 0 && ask(x, &a, "/users/current.json"))
        x->user_id = (int)json_integer_value(json_object_get(json_object_get(a.json, "user"), "id"));
    if (rc == 0)
        http_answer_fini(&a);
    if (rc != 0)
        return rc;
    if (x->field_id == 0 || x->tracker_id == 0 || x->resolved_id == 0 || x->closed_id == 0 || x->reopened_id == 0) {
        ret->outcome = CONNECTOR_PAUSE;
        snprintf(ret->text, sizeof(ret->text),
                 "the project lacks its field, tracker or a status: see spanward-control "
                 "--check-config");
        return -EINVAL;
    }
    x->known = true;
    return 0;
}

static enum remote_state state_of(const struct redmine *x, const json_t *issue)
{
    const json_t *status = json_object_get(issue, "status");
    int id = (int)json_integer_value(json_object_get(status, "id"));

    if (id == x->resolved_id)
        return REMOTE_RESOLVED;
    if (id == x->closed_id || json_is_true(json_object_get(status, "is_closed")))
        return REMOTE_CLOSED;
    return id == x->reopened_id ? REMOTE_IN_PROGRESS : REMOTE_OPEN;
}

static void set_id(const struct redmine *x, const json_t *issue, struct connector_answer *ret)
{
    snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", http_string(issue, "id"));
    snprintf(ret->remote_url, sizeof(ret->remote_url), "%.200s/issues/%.20s", http_base(x->http), ret->remote_id);
}

/* {"errors":["Subject cannot be blank"]} */
static void add_errors(struct http_answer *a)
{
    const json_t *first = json_array_get(json_object_get(a->json, "errors"), 0);

    if (json_is_string(first))
        http_reason(a, json_string_value(first));
}

static int redmine_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct redmine *x = ctx;
    struct http_answer a;
    char encoded[610];
    int rc = learn(x, ret);

    if (rc != 0)
        return rc;
    if (!track_call(x->http, &a, "GET", NULL, "/issues.json?project_id=%s&status_id=*&cf_%d=%.64s&sort=id&limit=2",
                    http_encode(encoded, sizeof(encoded), x->project), x->field_id, r->create_key)) {
        add_errors(&a);
        rc = track_failed(&a, ret);
    } else {
        const json_t *list = json_object_get(a.json, "issues"), *first = json_array_get(list, 0);
        if (!json_is_array(list)) {
            snprintf(ret->text, sizeof(ret->text), "Redmine answered a search with something else");
            rc = -EIO;
        } else if (first != NULL) {
            set_id(x, first, ret);
            ret->state = state_of(x, first);
            snprintf(ret->owner, sizeof(ret->owner), "%s", track_path(first, "assigned_to", "name", NULL));
            ret->n_found = (unsigned)json_array_size(list);
            rc = 1;
        }
    }
    http_answer_fini(&a);
    return rc;
}

static int redmine_present(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct redmine *x = ctx;
    struct http_answer a;
    char id[400];

    track_call(x->http, &a, "GET", NULL, "/issues/%s.json", http_encode(id, sizeof(id), r->remote_id));
    return track_present(&a, ret);
}

/* --- send --- */

/* Text that means nothing but itself in Textile, Markdown and CommonMark, and the line `ref` ("" none). malloc'd. */
static char *literal(const char *body, const char *ref)
{
    size_t size = 2 * strlen(body) + strlen(ref) + 64, at = 0, tildes = 0;
    char *text = malloc(size);

    if (text == NULL)
        return NULL;
    at = (size_t)sprintf(text, "<pre>\n" FENCE "\n");
    for (const char *p = body; *p != '\0'; p++) {
        tildes = *p == '~' ? tildes + 1 : 0;
        text[at++] = *p;
        if ((*p == '<' && p[1] != ' ') || (tildes == strlen(FENCE) - 1 && p[1] == '~')) {
            text[at++] = ' ';
            tildes = 0;
        }
    }
    sprintf(text + at, "\n" FENCE "\n</pre>%s%s", ref[0] != '\0' ? "\n" : "", ref);
    return text;
}

/* Uploads one after the other; what is refused is left out, since the ticket matters more. */
static json_t *upload(struct redmine *x, const struct connector_request *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *one = &r->attachment[i];
        char path[500], encoded[400];
        struct http_answer a;
        snprintf(path, sizeof(path), "/uploads.json?filename=%s", http_encode(encoded, sizeof(encoded), one->name));
        const struct http_request q = {
            .method = "POST", .path = path, .body = one->data, .len = one->len, .type = "application/octet-stream"};
        http_do(x->http, &q, &a);
        const char *token = track_path(a.json, "upload", "token", NULL);
        if (a.outcome == CONNECTOR_DONE && token[0] != '\0')
            json_array_append_new(
                list, json_pack("{s:s,s:s,s:s}", "token", token, "filename", one->name, "content_type", one->type));
        http_answer_fini(&a);
    }
    return list;
}

static void create(struct redmine *x, const struct connector_request *r, struct connector_answer *ret)
{
    struct http_answer a;
    char *text = literal(r->body, "");
    json_t *issue =
        json_pack("{s:s,s:i,s:s,s:s*,s:[{s:i,s:s}]}", "project_id", x->project, "tracker_id", x->tracker_id, "subject",
                  r->title, "description", text, "custom_fields", "id", x->field_id, "value", r->create_key);

    free(text);
    if (x->priority_id[r->severity] != 0)
        json_object_set_new(issue, "priority_id", json_integer(x->priority_id[r->severity]));
    if (r->n_attachments > 0)
        json_object_set_new(issue, "uploads", upload(x, r));
    if (!track_call(x->http, &a, "POST", json_pack("{s:o}", "issue", issue), "/issues.json")) {
        add_errors(&a);
        track_failed(&a, ret);
    } else if (http_string(json_object_get(a.json, "issue"), "id")[0] == '\0') {
        ret->outcome = CONNECTOR_DOUBT;
        snprintf(ret->text, sizeof(ret->text), "Redmine took the issue and told no number");
    } else {
        http_to_answer(&a, ret);
        set_id(x, json_object_get(a.json, "issue"), ret);
        ret->state = REMOTE_OPEN;
    }
    http_answer_fini(&a);
}

static bool read_issue(struct redmine *x, const char *id, struct http_answer *a, struct connector_answer *ret)
{
    if (track_call(x->http, a, "GET", NULL, "/issues/%s.json?include=journals", id))
        return true;
    track_failed(a, ret);
    http_answer_fini(a);
    return false;
}

static bool has_note(const json_t *issue, const char *ref)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(issue, "journals"), i, one)
    {
        if (strstr(http_string(one, "notes"), ref) != NULL)
            return true;
    }
    return false;
}

static int wanted_status(const struct redmine *x, const struct connector_request *r, enum remote_state now)
{
    bool over = now == REMOTE_RESOLVED || now == REMOTE_CLOSED;

    if (r->op == OUTBOX_CLOSE)
        return now != REMOTE_CLOSED ? x->closed_id : 0;
    if (r->op == OUTBOX_RESOLVE)
        return !over ? x->resolved_id : 0;
    return r->op == OUTBOX_REOPEN && over ? x->reopened_id : 0;
}

static void put_issue(struct redmine *x, const struct connector_request *r, bool told, int status,
                      struct connector_answer *ret)
{
    char ref[TRACK_KEY_BYTES];
    json_t *issue = json_object();
    struct http_answer a;
    char *text = told ? NULL : literal(r->body, track_ref(ref, r));

    if (text != NULL)
        json_object_set_new(issue, "notes", json_string(text));
    free(text);
    if (r->op != OUTBOX_COMMENT) {
        json_object_set_new(issue, "subject", json_string(r->title));
        if (x->priority_id[r->severity] != 0)
            json_object_set_new(issue, "priority_id", json_integer(x->priority_id[r->severity]));
    }
    if (status != 0)
        json_object_set_new(issue, "status_id", json_integer(status));
    if (!told && r->n_attachments > 0)
        json_object_set_new(issue, "uploads", upload(x, r));
    if (!track_call(x->http, &a, "PUT", json_pack("{s:o}", "issue", issue), "/issues/%s.json", r->remote_id))
        add_errors(&a);
    http_to_answer(&a, ret);
    http_answer_fini(&a);
}

static void redmine_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct redmine *x = ctx;
    struct http_answer a;
    char ref[TRACK_KEY_BYTES];

    if (learn(x, ret) != 0)
        return;
    if (r->op == OUTBOX_CREATE) {
        create(x, r, ret);
        return;
    }
    if (r->remote_id[0] == '\0' || strspn(r->remote_id, "0123456789") != strlen(r->remote_id)) {
        track_refuse(ret, "the ticket has no number in Redmine");
        return;
    }
    if (!read_issue(x, r->remote_id, &a, ret))
        return;
    bool told = r->repeat && has_note(json_object_get(a.json, "issue"), track_ref(ref, r));
    int status = wanted_status(x, r, state_of(x, json_object_get(a.json, "issue")));
    http_answer_fini(&a);
    put_issue(x, r, told, status, ret);
    if (ret->outcome != CONNECTOR_DONE || status == 0 || !read_issue(x, r->remote_id, &a, ret))
        return;
    const json_t *issue = json_object_get(a.json, "issue");
    if (json_integer_value(json_object_get(json_object_get(issue, "status"), "id")) != status)
        track_refuse(ret, "Redmine left the status at %.60s: the workflow does not allow the change to our role",
                     track_path(issue, "status", "name", NULL));
    else
        set_id(x, issue, ret);
    http_answer_fini(&a);
}

/* --- poll --- */

static bool take_journal(const struct redmine *x, const json_t *issue, const json_t *j, struct connector_changes *ret)
{
    struct connector_change *c = connector_changes_add(ret);

    if (c == NULL)
        return false;
    snprintf(c->remote_id, sizeof(c->remote_id), "%s", http_string(issue, "id"));
    snprintf(c->author, sizeof(c->author), "%s", track_path(j, "user", "name", NULL));
    snprintf(c->comment, sizeof(c->comment), "%s", http_string(j, "notes"));
    c->when_wall_ns = track_time_ns(http_string(j, "created_on"));
    c->state = state_of(x, issue);
    c->has_owner = true;
    snprintf(c->owner, sizeof(c->owner), "%s", track_path(issue, "assigned_to", "name", NULL));
    if (c->state == REMOTE_RESOLVED || c->state == REMOTE_CLOSED)
        snprintf(c->resolution, sizeof(c->resolution), "%s", track_path(issue, "status", "name", NULL));
    return true;
}

static int poll_issue(struct redmine *x, const char *id, uint64_t from_s, uint64_t seen, uint64_t *newest,
                      struct connector_changes *ret, struct connector_answer *why)
{
    struct http_answer a;
    const json_t *one;
    size_t i;
    int rc = 0;

    if (!read_issue(x, id, &a, why))
        return why->http_status == 404 || why->http_status == 403 ? 0 : -EIO;
    const json_t *issue = json_object_get(a.json, "issue");
    json_array_foreach(json_object_get(issue, "journals"), i, one)
    {
        uint64_t number = strtoull(http_string(one, "id"), NULL, 10);
        int user = (int)json_integer_value(json_object_get(json_object_get(one, "user"), "id"));
        *newest = number > *newest ? number : *newest;
        if (number > seen && user != x->user_id && track_time_ns(http_string(one, "created_on")) >= from_s * NS_PER_S &&
            !take_journal(x, issue, one, ret))
            rc = -ENOMEM;
    }
    http_answer_fini(&a);
    return rc;
}

static int redmine_poll(void *ctx, const char *cursor, struct connector_changes *ret, struct connector_answer *why)
{
    struct redmine *x = ctx;
    struct http_answer a;
    uint64_t from_s = 0, seen = 0, latest_s, newest;
    char encoded[610], when[40];
    struct tm tm;
    size_t i;
    int rc = learn(x, why);

    if (rc != 0)
        return rc;
    sscanf(cursor, "%" SCNu64 "|%" SCNu64, &from_s, &seen);
    if (from_s == 0) { /* what was before us is not news */
        snprintf(ret->cursor, sizeof(ret->cursor), "%lld|0", (long long)time(NULL) - OVERLAP_S);
        return 0;
    }
    time_t t = (time_t)from_s;
    gmtime_r(&t, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!track_call(x->http, &a, "GET", NULL,
                    "/issues.json?project_id=%s&status_id=*&updated_on=%%3E%%3D%s&sort=updated_on&limit=%d",
                    http_encode(encoded, sizeof(encoded), x->project), when, POLL_ISSUES)) {
        http_answer_fini(&a);
        return track_failed(&a, why);
    }
    latest_s = from_s;
    newest = seen;
    const json_t *list = json_object_get(a.json, "issues"), *one;
    json_array_foreach(list, i, one)
    {
        uint64_t updated_s = track_time_ns(http_string(one, "updated_on")) / NS_PER_S;
        rc = rc == 0 ? poll_issue(x, http_string(one, "id"), from_s, seen, &newest, ret, why) : rc;
        latest_s = updated_s > latest_s ? updated_s : latest_s;
    }
    ret->more = json_array_size(list) == POLL_ISSUES && latest_s > from_s + OVERLAP_S;
    http_answer_fini(&a);
    if (rc == 0)
        snprintf(ret->cursor, sizeof(ret->cursor), "%" PRIu64 "|%" PRIu64,
                 latest_s > from_s + OVERLAP_S ? latest_s - OVERLAP_S : from_s, ret->more ? seen : newest);
    return rc;
}

/* --- check --- */

static int redmine_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct redmine *x = ctx;
    struct connector_answer why = {.outcome = CONNECTOR_RETRY};
    struct http_answer a;
    char what[300];
    int bad = 0;

    bool alive = ask(x, &a, "/users/current.json");
    snprintf(what, sizeof(what), alive ? "Redmine answers, as user %.100s" : "%.200s",
             alive ? track_path(a.json, "user", "login", NULL) : a.text);
    say(say_ctx, alive, what,
        alive ? "" : "the key is under My account, API access key; Administration, Settings, API must be enabled");
    http_answer_fini(&a);
    if (!alive)
        return -EIO;
    int rc = learn(x, &why);
    if (rc != 0 && why.http_status != 0) {
        snprintf(what, sizeof(what), "project %.100s: %.100s", x->project, why.text);
        say(say_ctx, false, what, "make the project and add our user with a role that may add and edit issues");
        return rc;
    }
    const struct {
        const char *kind, *name, *how;
        int id;
    } needed[] = {{"custom field", x->field,
                   "Administration, Custom fields, Issues: Text, used as a filter, for all trackers and projects",
                   x->field_id},
                  {"tracker", x->tracker,
                   "Project, Settings, Issue tracking: enable it, or set tickets.redmine.tracker", x->tracker_id},
                  {"status", x->resolved, "set tickets.redmine.resolved to one of the issue statuses", x->resolved_id},
                  {"status", x->closed, "set tickets.redmine.closed to one of the issue statuses", x->closed_id},
                  {"status", x->reopened, "set tickets.redmine.reopened to one of the issue statuses", x->reopened_id}};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        bool good = needed[i].id != 0;
        snprintf(what, sizeof(what), "%s %.100s is %s", needed[i].kind,
                 needed[i].name[0] != '\0' ? needed[i].name : "of the project", good ? "there" : "not there");
        say(say_ctx, good, what, good ? "" : needed[i].how);
        bad += !good;
    }
    return bad > 0 ? -EINVAL : 0;
}

const struct connector connector_redmine = {
    .name = "redmine",
    .title = "Redmine",
    .can = CONNECTOR_TRACKS | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT | CONNECTOR_OWNER,
    .open = redmine_open,
    .close = redmine_close,
    .send = redmine_send,
    .find = redmine_find,
    .present = redmine_present,
    .poll = redmine_poll,
    .check = redmine_check,
};

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Request Tracker 5 over REST 2.0 (docs.bestpractical.com/rt/5.0, RT::REST2; tried with 5.0.3).
 *
 * Our key is in a custom field of the queue; a ticket is found by TicketSQL on it, which reads the database itself, so
 * there is no index to wait for. A change of subject, priority or status is a PUT with If-Match (the ETag of the ticket
 * that was read just before); 412 means that somebody was faster, then it is read again. RT answers 200 even when it
 * refused a part of a change and says so in words; where they do not name the new status, the ticket is read again.
 * Text goes into a comment whose subject carries the request's reference: RT shows subjects in the list of
 * transactions, so a request that is repeated can see in one look whether its comment has arrived.
 *
 * Back: the queue's transactions that are newer than the newest seen and not of the user who creates our tickets, found
 * by TransactionSQL. Statuses: new is open; open and stalled are in progress; resolved is resolved; rejected and
 * deleted are closed. RT has no state beyond resolved, so a close and a resolve are the same there and differ in their
 * comment. Cursor: the number of a transaction.
 */

#include "control/connectors/connector.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"

#define REST              "/REST/2.0"
#define CONFLICTS         3
#define POLL_TRANSACTIONS 50
#define RIGHTS_HOW        "Admin > Queues > User Rights; or scripts/setup-rt, which gives what is missing"

/* Owner: the connector's user. */
struct rt {
    struct http *http;
    char queue[201], field[201];
    char self[ENTITY_OWNER_BYTES]; /* the user who created our tickets; "" until one was seen */
};

static void rt_close(void *ctx)
{
    struct rt *x = ctx;

    if (x != NULL)
        http_free(x->http);
    free(x);
}

static int read_credentials(const struct config *config, struct rt *x, char hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *user = config_string(config, "tickets.rt.user");

    if (user[0] != '\0')
        return http_login(x->http, config, "tickets.rt.password_file", "SPANWARD_RT_PASSWORD", user, hash, e);
    return http_token(x->http, config, "tickets.rt.token_file", "SPANWARD_RT_TOKEN", "Authorization: token ", hash, e);
}

static int rt_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.rt.url");
    char hash[FINGERPRINT_BYTES] = "";

    if (url[0] == '\0')
        return 0;
    struct rt *x = calloc(1, sizeof(*x));
    if (x == NULL)
        return error_set(e, -ENOMEM, "no memory for RT");
    snprintf(x->queue, sizeof(x->queue), "%s", config_string(config, "tickets.rt.queue"));
    snprintf(x->field, sizeof(x->field), "%s", config_string(config, "tickets.rt.field"));
    int rc = 0;
    if (strpbrk(x->queue, "'\"\\") != NULL || strpbrk(x->field, "'\"\\{}.") != NULL)
        rc = error_set(e, -EINVAL, "tickets.rt.queue and tickets.rt.field must not hold quotes, braces, dots or \\");
    rc = rc == 0 ? http_open(config, "tickets.rt.url", url, &x->http, e) : rc;
    rc = rc == 0 ? read_credentials(config, x, hash, e) : rc;
    if (rc != 0) {
        rt_close(x);
        return rc;
    }
    http_hash(hash, url);
    http_hash(hash, x->queue);
    http_hash(hash, x->field);
    memcpy(ret_hash, hash, sizeof(hash));
    *ret_ctx = x;
    return 1;
}

static int priority(enum event_severity s)
{
    static const int of[EVENT_SEVERITY_COUNT] = {
        [EVENT_info] = 10, [EVENT_minor] = 30, [EVENT_major] = 60, [EVENT_critical] = 90};
    return of[s];
}

static enum remote_state state_of(const char *status)
{
    static const struct {
        const char *name;
        enum remote_state state;
    } known[] = {{"new", REMOTE_OPEN},          {"open", REMOTE_IN_PROGRESS}, {"stalled", REMOTE_IN_PROGRESS},
                 {"resolved", REMOTE_RESOLVED}, {"rejected", REMOTE_CLOSED},  {"deleted", REMOTE_CLOSED}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, status) == 0)
            return known[i].state;
    }
    return REMOTE_UNKNOWN; /* a lifecycle of their own */
}

static bool is_over(enum remote_state s)
{
    return s == REMOTE_RESOLVED || s == REMOTE_CLOSED;
}

/* "Nobody" is RT's name for nobody. */
static const char *owner_of(const json_t *ticket)
{
    const char *owner = track_path(ticket, "Owner", "id", NULL);

    return strcmp(owner, "Nobody") == 0 ? "" : owner;
}

static void set_id(const struct rt *x, const char *id, struct connector_answer *ret)
{
    snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", id);
    snprintf(ret->remote_url, sizeof(ret->remote_url), "%.200s/Ticket/Display.html?id=%.20s", http_base(x->http), id);
}

static void add_message(struct http_answer *a)
{
    if (a->json != NULL)
        http_reason(a, http_string(a->json, "message"));
}

/* --- find --- */

static int rt_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct rt *x = ctx;
    struct http_answer a;
    char sql[600], encoded[1800];
    int rc = 0;

    snprintf(sql, sizeof(sql), "Queue = '%s' AND 'CF.{%s}' = '%.64s'", x->queue, x->field, r->create_key);
    http_encode(encoded, sizeof(encoded), sql);
    if (!track_call(x->http, &a, "GET", NULL, REST "/tickets?query=%s&fields=Status,Owner&orderby=id&per_page=2",
                    encoded)) {
        add_message(&a);
        rc = track_failed(&a, ret);
    } else {
        const json_t *items = json_object_get(a.json, "items");
        const json_t *first = json_array_get(items, 0);
        if (!json_is_array(items)) {
            snprintf(ret->text, sizeof(ret->text), "RT answered a search with something else");
            rc = -EIO;
        } else if (first != NULL) {
            set_id(x, http_string(first, "id"), ret);
            ret->state = state_of(http_string(first, "Status"));
            snprintf(ret->owner, sizeof(ret->owner), "%s", owner_of(first));
            ret->n_found = (unsigned)json_array_size(items);
            rc = 1;
        }
    }
    http_answer_fini(&a);
    return rc;
}

static int rt_present(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct rt *x = ctx;
    struct http_answer a;
    char id[400];

    track_call(x->http, &a, "GET", NULL, REST "/ticket/%s", http_encode(id, sizeof(id), r->remote_id));
    return track_present(&a, ret);
}

/* --- send --- */

static json_t *attachments(const struct connector_request *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct connector_attachment *one = &r->attachment[i];
        char *text = malloc(one->len / 3 * 4 + 8);
        if (text == NULL)
            break;
        EVP_EncodeBlock((unsigned char *)text, one->data, (int)one->len);
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:s}", "FileName", one->name, "FileType", one->type, "FileContent", text));
        free(text);
    }
    return list;
}

static void create(struct rt *x, const struct connector_request *r, struct connector_answer *ret)
{
    struct http_answer a;
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:i,s:{s:s}}", "Queue", x->queue, "Subject", r->title, "Content", r->body,
                          "ContentType", "text/plain", "Priority", priority(r->severity), "CustomFields", x->field,
                          r->create_key);

    if (j != NULL && r->owner[0] != '\0')
        json_object_set_new(j, "Owner", json_string(r->owner));
    if (j != NULL && r->n_attachments > 0)
        json_object_set_new(j, "Attachments", attachments(r));
    if (!track_call(x->http, &a, "POST", j, REST "/ticket")) {
        add_message(&a);
        track_failed(&a, ret);
    } else if (http_string(a.json, "id")[0] == '\0') {
        ret->outcome = CONNECTOR_DOUBT;
        snprintf(ret->text, sizeof(ret->text), "RT took the ticket and told no number");
    } else {
        http_to_answer(&a, ret);
        set_id(x, http_string(a.json, "id"), ret);
        ret->state = REMOTE_OPEN;
    }
    http_answer_fini(&a);
}

/* The ticket as it is. *a must be finished by the caller when this is true. */
static bool read_ticket(struct rt *x, const char *id, struct http_answer *a, struct connector_answer *ret)
{
    if (track_call(x->http, a, "GET", NULL, REST "/ticket/%s", id))
        return true;
    add_message(a);
    track_failed(a, ret);
    http_answer_fini(a);
    return false;
}

/* The status that the request asks for, "" when it is so already. */
static const char *wanted_status(const struct connector_request *r, const json_t *ticket)
{
    enum remote_state now = state_of(http_string(ticket, "Status"));

    if (r->op == OUTBOX_REOPEN)
        return is_over(now) ? "open" : "";
    if (r->op == OUTBOX_CLOSE || r->op == OUTBOX_RESOLVE)
        return is_over(now) ? "" : "resolved";
    return "";
}

/* What else has to become different, as the body of a PUT; empty when nothing has. */
static json_t *differences(const struct connector_request *r, const json_t *ticket, const char *status)
{
    json_t *j = json_object();

    if (r->op == OUTBOX_COMMENT)
        return j;
    if (strcmp(http_string(ticket, "Subject"), r->title) != 0)
        json_object_set_new(j, "Subject", json_string(r->title));
    if (atoi(http_string(ticket, "Priority")) != priority(r->severity))
        json_object_set_new(j, "Priority", json_integer(priority(r->severity)));
    if (status[0] != '\0')
        json_object_set_new(j, "Status", json_string(status));
    return j;
}

/* RT says in a list of sentences what it did. Where they do not name the status, the ticket is read again. */
static bool status_was_set(struct rt *x, const struct connector_request *r, const json_t *said, const char *status,
                           struct connector_answer *ret)
{
    struct http_answer ticket;
    char quoted[40];
    const json_t *one;
    size_t i;

    snprintf(quoted, sizeof(quoted), "to '%s'", status);
    json_array_foreach(said, i, one)
    {
        if (json_is_string(one) && strstr(json_string_value(one), quoted) != NULL)
            return true;
    }
    if (!read_ticket(x, r->remote_id, &ticket, ret))
        return false;
    bool set = strcmp(http_string(ticket.json, "Status"), status) == 0;
    http_answer_fini(&ticket);
    if (!set)
        track_refuse(ret, "RT did not set the status to %s: the right ModifyTicket or the queue's lifecycle", status);
    return set;
}

/* 1 done, 0 somebody was faster, -1 *ret says why not. */
static int put_fields(struct rt *x, const struct connector_request *r, const char *etag, json_t *change,
                      struct connector_answer *ret)
{
    const char *status = http_string(change, "Status");
    struct http_answer a;
    char path[200], match[160];

    snprintf(path, sizeof(path), REST "/ticket/%s", r->remote_id);
    snprintf(match, sizeof(match), "If-Match: %.128s", etag);
    const struct http_request q = {
        .method = "PUT", .path = path, .json = change, .header = {etag[0] != '\0' ? match : NULL}};
    http_do(x->http, &q, &a);
    add_message(&a);
    http_to_answer(&a, ret);
    int rc = a.outcome == CONNECTOR_DONE ? 1 : a.status == 412 ? 0 : -1;
    if (rc == 1 && status[0] != '\0' && !status_was_set(x, r, a.json, status, ret))
        rc = -1;
    http_answer_fini(&a);
    return rc;
}

/* 1 the comment is there, 0 it is not, -1 *ret says why nobody knows. */
static int has_comment(struct rt *x, const struct connector_request *r, struct connector_answer *ret)
{
    char ref[TRACK_KEY_BYTES];
    struct http_answer a;
    size_t i, n = 0;
    int rc = 0;

    track_ref(ref, r);
    for (unsigned page = 1; rc == 0 && page < 50; page++) {
        if (!track_call(x->http, &a, "GET", NULL, REST "/ticket/%s/history?fields=Type,Data&per_page=100&page=%u",
                        r->remote_id, page)) {
            track_failed(&a, ret);
            rc = -1;
        }
        const json_t *items = json_object_get(a.json, "items"), *one;
        json_array_foreach(items, i, one)
        {
            if (strstr(http_string(one, "Data"), ref) != NULL)
                rc = 1;
        }
        n = json_array_size(items);
        http_answer_fini(&a);
        if (n < 100)
            break;
    }
    return rc;
}

/* The status goes with the comment. */
static void add_comment(struct rt *x, const struct connector_request *r, const char *status,
                        struct connector_answer *ret)
{
    char subject[TRACK_KEY_BYTES];
    struct http_answer a;

    track_ref(subject, r);
    json_t *j = json_pack("{s:s,s:s,s:s}", "Content", r->body, "ContentType", "text/plain", "Subject", subject);
    if (j != NULL && status[0] != '\0')
        json_object_set_new(j, "Status", json_string(status));
    if (j != NULL && r->n_attachments > 0)
        json_object_set_new(j, "Attachments", attachments(r));
    if (!track_call(x->http, &a, "POST", j, REST "/ticket/%s/comment", r->remote_id))
        add_message(&a);
    http_to_answer(&a, ret);
    if (a.outcome == CONNECTOR_DONE && status[0] != '\0')
        status_was_set(x, r, a.json, status, ret);
    http_answer_fini(&a);
}

/* One try: 1 done, 0 somebody was faster, -1 *ret says why not. */
static int change_ticket(struct rt *x, const struct connector_request *r, struct connector_answer *ret)
{
    struct http_answer ticket;
    int told = r->repeat ? has_comment(x, r, ret) : 0, rc = 1;

    if (told == 0 && r->op == OUTBOX_COMMENT) { /* changes nothing else: no need to read */
        add_comment(x, r, "", ret);
        return ret->outcome == CONNECTOR_DONE ? 1 : -1;
    }
    if (told < 0 || !read_ticket(x, r->remote_id, &ticket, ret))
        return -1;
    const char *status = wanted_status(r, ticket.json);
    json_t *change = differences(r, ticket.json, told ? status : "");
    if (json_object_size(change) > 0)
        rc = put_fields(x, r, ticket.etag, change, ret);
    json_decref(change);
    http_answer_fini(&ticket);
    if (rc != 1)
        return rc;
    if (told)
        *ret = (struct connector_answer){.outcome = CONNECTOR_DONE};
    else
        add_comment(x, r, status, ret);
    return ret->outcome == CONNECTOR_DONE ? 1 : -1;
}

static void rt_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct rt *x = ctx;
    int rc = 0;

    if (r->op == OUTBOX_CREATE) {
        create(x, r, ret);
        return;
    }
    if (r->remote_id[0] == '\0' || strspn(r->remote_id, "0123456789") != strlen(r->remote_id)) {
        track_refuse(ret, "the ticket has no number in RT");
        return;
    }
    for (int i = 0; rc == 0 && i < CONFLICTS; i++)
        rc = change_ticket(x, r, ret);
    if (rc == 0)
        ret->outcome = CONNECTOR_RETRY; /* people type on this ticket just now */
    else if (rc == 1)
        set_id(x, r->remote_id, ret);
}

/* --- poll --- */

/* What a person wrote with a comment or an answer. */
static void read_content(struct rt *x, const char *txn, char *ret, size_t size)
{
    struct http_answer a;
    size_t i;

    if (track_call(x->http, &a, "GET", NULL, REST "/transaction/%s/attachments?fields=Content,ContentType", txn)) {
        const json_t *one;
        json_array_foreach(json_object_get(a.json, "items"), i, one)
        {
            if (ret[0] == '\0' && strncmp(http_string(one, "ContentType"), "text/", 5) == 0)
                snprintf(ret, size, "%s", http_string(one, "Content"));
        }
    }
    http_answer_fini(&a);
}

/* Our user, who created every ticket that has our key. "" as long as there is none. */
static int learn_ourselves(struct rt *x, struct connector_answer *why)
{
    struct http_answer a;
    char sql[600], encoded[1800];
    int rc = 0;

    if (x->self[0] != '\0')
        return 0;
    snprintf(sql, sizeof(sql), "Queue = '%s' AND 'CF.{%s}' IS NOT NULL", x->queue, x->field);
    http_encode(encoded, sizeof(encoded), sql);
    if (!track_call(x->http, &a, "GET", NULL, REST "/tickets?query=%s&fields=Creator&orderby=id&per_page=1", encoded))
        rc = track_failed(&a, why);
    else
        snprintf(x->self, sizeof(x->self), "%s",
                 track_path(json_array_get(json_object_get(a.json, "items"), 0), "Creator", "id", NULL));
    if (strpbrk(x->self, "'\\") != NULL)
        x->self[0] = '\0';
    http_answer_fini(&a);
    return rc;
}

/* The ticket as it is now, in every change of it: 1, 0 when it was taken away meanwhile, -EIO. One page of transactions
 * asks for each ticket once. */
static int ticket_now(struct rt *x, const struct connector_changes *page, const char *id, struct connector_change *ret,
                      struct connector_answer *why)
{
    struct http_answer ticket;

    for (size_t i = page->n; i > 0; i--) {
        const struct connector_change *earlier = &page->item[i - 1];
        if (strcmp(earlier->remote_id, id) != 0)
            continue;
        *ret = *earlier;
        ret->comment[0] = '\0';
        return 1;
    }
    if (!read_ticket(x, id, &ticket, why))
        return why->http_status == 404 || why->http_status == 403 ? 0 : -EIO;
    *ret = (struct connector_change){.has_owner = true, .state = state_of(http_string(ticket.json, "Status"))};
    snprintf(ret->remote_id, sizeof(ret->remote_id), "%s", id);
    snprintf(ret->owner, sizeof(ret->owner), "%s", owner_of(ticket.json));
    if (is_over(ret->state))
        snprintf(ret->resolution, sizeof(ret->resolution), "%s", http_string(ticket.json, "Status"));
    http_answer_fini(&ticket);
    return 1;
}

/* One transaction of somebody else: what was written, and the ticket as it is now. */
static int take_transaction(struct rt *x, const json_t *txn, struct connector_changes *ret,
                            struct connector_answer *why)
{
    const char *type = http_string(txn, "Type"), *author = track_path(txn, "Creator", "id", NULL);
    struct connector_change change, *c;
    char id[32];

    snprintf(id, sizeof(id), "%.30s", http_string(txn, "ObjectId"));
    if (strcmp(author, "RT_System") == 0 || id[0] == '\0')
        return 0;
    int rc = ticket_now(x, ret, id, &change, why);
    if (rc <= 0)
        return rc;
    c = connector_changes_add(ret);
    if (c == NULL)
        return -ENOMEM;
    *c = change;
    snprintf(c->author, sizeof(c->author), "%s", author);
    c->when_wall_ns = track_time_ns(http_string(txn, "Created"));
    if (strcmp(type, "Comment") == 0 || strcmp(type, "Correspond") == 0)
        read_content(x, http_string(txn, "id"), c->comment, sizeof(c->comment));
    return 0;
}

static bool ask_transactions(struct rt *x, const char *cursor, bool latest, struct http_answer *a)
{
    char sql[600], encoded[1800];
    size_t at = (size_t)snprintf(sql, sizeof(sql), "ObjectType = 'RT::Ticket' AND TicketQueue = '%s' AND id > %.20s",
                                 x->queue, cursor);

    if (!latest)
        snprintf(sql + at, sizeof(sql) - at, " AND Creator != '%s'", x->self);
    http_encode(encoded, sizeof(encoded), sql);
    return track_call(x->http, a, "GET", NULL,
                      REST
                      "/transactions?query=%s&fields=Type,Creator,Created,ObjectId&orderby=id&order=%s&per_page=%d",
                      encoded, latest ? "DESC" : "ASC", latest ? 1 : POLL_TRANSACTIONS);
}

static int rt_poll(void *ctx, const char *cursor, struct connector_changes *ret, struct connector_answer *why)
{
    struct rt *x = ctx;
    struct http_answer a;
    const json_t *one;
    bool first = cursor[0] == '\0' || strspn(cursor, "0123456789") != strlen(cursor);
    size_t i;
    int rc = learn_ourselves(x, why);

    if (rc != 0 || (!first && x->self[0] == '\0'))
        return rc; /* nothing of ours is there yet */
    if (!ask_transactions(x, first ? "0" : cursor, first, &a)) {
        add_message(&a);
        rc = track_failed(&a, why);
    }
    if (first && rc == 0) /* what was before us is not news */
        snprintf(ret->cursor, sizeof(ret->cursor), "0");
    json_array_foreach(json_object_get(a.json, "items"), i, one)
    {
        if (rc == 0 && !first)
            rc = take_transaction(x, one, ret, why);
        if (rc == 0)
            snprintf(ret->cursor, sizeof(ret->cursor), "%.20s", http_string(one, "id"));
    }
    ret->more = rc == 0 && !first && i == POLL_TRANSACTIONS;
    http_answer_fini(&a);
    return rc;
}

/* --- check --- */

static bool has_link(const json_t *thing, const char *ref)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(thing, "_hyperlinks"), i, one)
    {
        if (strcmp(http_string(one, "ref"), ref) == 0)
            return true;
    }
    return false;
}

static int check_queue(const struct rt *x, const json_t *queue, connector_say_fn *say, void *say_ctx)
{
    char what[300], how[300];
    const json_t *one;
    bool field = false;
    size_t i;

    json_array_foreach(json_object_get(queue, "TicketCustomFields"), i, one)
    {
        if (strcmp(http_string(one, "name"), x->field) == 0)
            field = true;
    }
    snprintf(what, sizeof(what), "custom field %.100s %s", x->field,
             field ? "is on the queue" : "is not on the queue, or the user may not see it");
    snprintf(how, sizeof(how), "scripts/setup-rt --queue '%.80s' --field '%.80s' on RT's machine makes and permits it",
             x->queue, x->field);
    say(say_ctx, field, what, field ? "" : how);
    bool may = has_link(queue, "create");
    say(say_ctx, may, may ? "tickets may be created" : "the user may not create tickets in the queue",
        may ? ""
            : "Admin > Queues > User Rights: CreateTicket, ShowTicket, ModifyTicket, CommentOnTicket; or "
              "scripts/setup-rt");
    return field && may ? 0 : -EINVAL;
}

/* What may be done with a ticket shows in the links of one: comment, and changes of status ("lifecycle"). */
static int check_rights(struct rt *x, connector_say_fn *say, void *say_ctx)
{
    struct http_answer list, ticket;
    char sql[300], encoded[900];

    snprintf(sql, sizeof(sql), "Queue = '%s'", x->queue);
    http_encode(encoded, sizeof(encoded), sql);
    bool seen =
        track_call(x->http, &list, "GET", NULL, REST "/tickets?query=%s&orderby=id&order=DESC&per_page=1", encoded);
    const char *id = http_string(json_array_get(json_object_get(list.json, "items"), 0), "id");
    if (!seen || id[0] == '\0') {
        say(say_ctx, seen,
            seen ? "no ticket is there yet (or ShowTicket is missing): other rights show with the first one"
                 : list.text,
            seen ? "" : RIGHTS_HOW);
        http_answer_fini(&list);
        return seen ? 0 : -EIO;
    }
    bool read = track_call(x->http, &ticket, "GET", NULL, REST "/ticket/%s", id);
    bool comments = has_link(ticket.json, "comment"), modifies = has_link(ticket.json, "lifecycle");
    bool good = read && comments && modifies;
    const char *what = !read       ? "tickets may not be read: the right ShowTicket is missing"
                       : !comments ? "tickets may not be commented on: the right CommentOnTicket is missing"
                       : !modifies ? "tickets may not be changed: the right ModifyTicket is missing, or the lifecycle "
                                     "leads nowhere"
                                   : "tickets may be read, commented on and changed";
    say(say_ctx, good, what, good ? "" : RIGHTS_HOW);
    http_answer_fini(&ticket);
    http_answer_fini(&list);
    return good ? 0 : -EACCES;
}

static int rt_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    struct rt *x = ctx;
    struct http_answer a;
    char what[300], how[300], encoded[700];
    int rc;

    bool alive = track_call(x->http, &a, "GET", NULL, REST "/rt");
    add_message(&a);
    if (alive)
        snprintf(what, sizeof(what), "RT %.40s answers", http_string(a.json, "Version"));
    else
        snprintf(what, sizeof(what), "%.200s", a.text);
    const char *mend = a.outcome == CONNECTOR_PAUSE ? "the token or the password is wrong: tickets.rt.token_file"
                                                    : "is tickets.rt.url the address without /REST/2.0, and RT up?";
    say(say_ctx, alive, what, alive ? "" : mend);
    http_answer_fini(&a);
    if (!alive)
        return -EIO;
    bool seen = track_call(x->http, &a, "GET", NULL, REST "/queue/%s", http_encode(encoded, sizeof(encoded), x->queue));
    snprintf(what, sizeof(what), "queue %.100s %s", x->queue,
             seen ? "is there" : "is not there, or the user may not see it");
    snprintf(how, sizeof(how), "scripts/setup-rt --queue '%.80s' on RT's machine makes it; or set tickets.rt.queue",
             x->queue);
    say(say_ctx, seen, what, seen ? "" : how);
    rc = seen ? check_queue(x, a.json, say, say_ctx) : -ENOENT;
    http_answer_fini(&a);
    return rc == 0 ? check_rights(x, say, say_ctx) : rc;
}

const struct connector connector_rt = {
    .name = "rt",
    .title = "Request Tracker 5",
    .can = CONNECTOR_TRACKS | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT | CONNECTOR_OWNER,
    .open = rt_open,
    .close = rt_close,
    .send = rt_send,
    .find = rt_find,
    .present = rt_present,
    .poll = rt_poll,
    .check = rt_check,
};

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What all contract servers share: see contract.h. One libmicrohttpd thread serves all requests of a server, so that
 * the order of faults is the order of requests.
 *
 * Requests under /_contract/ are the test's own and need no authorization: GET dump, GET violations, GET count; POST
 * fault, edit, index-delay with a JSON body. Scripts use them on a server that runs as a program (contract_main.c).
 */

#include "tests/contract/contract.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BODY   (2u << 20)
#define MAX_FAULTS 64u
#define MAX_LOG    512u

struct logged {
    char method[8];
    char path[256];
    char *body;
};

struct contract {
    const struct contract_system *system;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    char url[64];
    unsigned port;
    json_t *state;
    struct contract_fault fault[MAX_FAULTS];
    unsigned n_faults;
    double chance;
    uint64_t random;
    unsigned index_delay_ms, page_limit;
    bool revoked;
    json_t *violations;
    struct logged log[MAX_LOG]; /* the latest, a ring */
    unsigned long n_log;
};

struct upload {
    char *data;
    size_t len;
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- for the systems' files --- */

const char *contract_header(const struct contract_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *contract_query(const struct contract_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

long contract_query_number(const struct contract_call *call, const char *name, long fallback)
{
    const char *text = contract_query(call, name);
    char *end;

    if (text == NULL)
        return fallback;
    long n = strtol(text, &end, 10);
    return *text == '\0' || *end != '\0' || n < 0 ? -1 : n;
}

void contract_answer(struct contract_call *call, unsigned status, json_t *answer)
{
    json_decref(call->answer);
    call->status = status;
    call->answer = answer;
}

void contract_add_header(struct contract_call *call, const char *name, const char *format, ...)
{
    va_list args;

    if (call->n_headers == CONTRACT_HEADERS)
        return;
    snprintf(call->header[call->n_headers][0], sizeof(call->header[0][0]), "%s", name);
    va_start(args, format);
    vsnprintf(call->header[call->n_headers][1], sizeof(call->header[0][1]), format, args);
    va_end(args);
    call->n_headers++;
}

void contract_violation(struct contract_call *call, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_array_append_new(call->server->violations, json_sprintf("%s %s: %s", call->method, call->path, text));
}

json_t *contract_tickets(const struct contract_call *call)
{
    return json_object_get(call->state, "tickets");
}

json_int_t contract_next(json_t *state, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(state, name)) + 1;

    json_object_set_new(state, name, json_integer(n));
    return n;
}

void contract_touch(json_t *ticket)
{
    json_object_set_new(ticket, "_written_s", json_real(now_s()));
}

double contract_written_s(const json_t *ticket)
{
    return json_real_value(json_object_get(ticket, "_written_s"));
}

bool contract_visible(const struct contract_call *call, const json_t *ticket)
{
    return contract_written_s(ticket) + call->server->index_delay_ms / 1000.0 <= now_s();
}

unsigned contract_pages(const struct contract_call *call, unsigned wanted)
{
    unsigned limit = call->server->page_limit;

    return limit > 0 && limit < wanted ? limit : wanted;
}

/* Length of the UTF-8 character at p, 0 when it is none. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
               : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
               : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                             : 0;

    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return n;
}

size_t contract_characters(const char *text)
{
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; n++) {
        size_t len = utf8_length(p);
        if (len == 0 || (*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r') || *p == 0x7F)
            return SIZE_MAX;
        p += len;
    }
    return n;
}

const char *contract_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

void contract_time(char *ret, size_t size, const char *format, double wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    if (strftime(ret, size, format, &tm) == 0)
        ret[0] = '\0';
}

/* The value of a parameter in a Content-Disposition line. */
static bool disposition(const char *head, size_t len, const char *name, char *ret, size_t size)
{
    char wanted[40], text[512];

    snprintf(text, sizeof(text), "%.*s", (int)(len < sizeof(text) ? len : sizeof(text) - 1), head);
    snprintf(wanted, sizeof(wanted), "; %s=\"", name);
    const char *at = strstr(text, wanted);
    const char *end = at != NULL ? strchr(at + strlen(wanted), '"') : NULL;
    if (end == NULL)
        return false;
    at += strlen(wanted);
    snprintf(ret, size, "%.*s", (int)(end - at), at);
    return true;
}

bool contract_multipart(const struct contract_call *call, const char *name, char *ret_filename, size_t filename_size,
                        const char **ret_data, size_t *ret_len)
{
    const char *type = contract_header(call, "Content-Type");
    const char *mark = type != NULL ? strstr(type, "boundary=") : NULL;
    char boundary[128], part_name[100];

    if (mark == NULL || strncmp(type, "multipart/form-data", 19) != 0)
        return false;
    snprintf(boundary, sizeof(boundary), "--%s", mark + 9);
    const char *end = call->body + call->body_len;
    const char *at = memmem(call->body, call->body_len, boundary, strlen(boundary));
    while (at != NULL) {
        const char *head = at + strlen(boundary);
        const char *data = memmem(head, (size_t)(end - head), "\r\n\r\n", 4);
        const char *next = data != NULL ? memmem(data, (size_t)(end - data), boundary, strlen(boundary)) : NULL;
        if (next == NULL || next - data < 6)
            return false;
        if (disposition(head, (size_t)(data - head), "name", part_name, sizeof(part_name)) &&
            strcmp(part_name, name) == 0) {
            ret_filename[0] = '\0';
            disposition(head, (size_t)(data - head), "filename", ret_filename, filename_size);
            *ret_data = data + 4;
            *ret_len = (size_t)(next - data) - 6;
            return true;
        }
        at = next;
    }
    return false;
}

/* --- the server --- */

/* Matches a path against a pattern and fills the wildcards' parts. */
static bool route_matches(struct contract_call *call, const char *pattern)
{
    const char *p = call->path + (call->path[0] == '/');
    unsigned part = 0;

    while (*pattern != '\0') {
        if (*pattern != '*') {
            if (*pattern++ != *p++)
                return false;
            continue;
        }
        size_t len = strcspn(p, "/");
        if (len == 0 || len >= sizeof(call->part[0]) || part == CONTRACT_PARTS)
            return false;
        snprintf(call->part[part++], sizeof(call->part[0]), "%.*s", (int)len, p);
        p += len;
        pattern++;
    }
    return *p == '\0' || strcmp(p, "/") == 0;
}

static void serve_system(struct contract *c, struct contract_call *call)
{
    const struct contract_route *r;

    if (!c->system->authorize(call))
        return;
    for (r = c->system->routes; r->method != NULL; r++) {
        if (strcmp(r->method, call->method) == 0 && route_matches(call, r->pattern)) {
            r->serve(call);
            return;
        }
    }
    c->system->unknown(call);
}

static bool applies(const struct contract_fault *f, const char *method, const char *path)
{
    return f->count > 0 && (f->method == NULL || strcmp(f->method, method) == 0) &&
           (f->path_part == NULL || strstr(path, f->path_part) != NULL);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* The fault that this request meets, if any. */
static bool take_fault(struct contract *c, const struct contract_call *call, struct contract_fault *ret)
{
    static const struct contract_fault often[] = {
        {.kind = MEET_STATUS, .status = 500},
        {.kind = MEET_STATUS, .status = 503},
        {.kind = MEET_STATUS, .status = 429, .retry_after_s = 1},
        {.kind = MEET_DROP},
        {.kind = MEET_LATE},
        {.kind = MEET_LATE},
        {.kind = MEET_FAILED, .status = 504},
    };

    for (unsigned i = 0; i < c->n_faults; i++) {
        if (applies(&c->fault[i], call->method, call->path)) {
            c->fault[i].count--;
            *ret = c->fault[i];
            return true;
        }
    }
    if (c->chance <= 0 || strcmp(call->method, "GET") == 0)
        return false;
    if ((double)(next_random(&c->random) >> 11) / 9007199254740992.0 >= c->chance)
        return false;
    *ret = often[next_random(&c->random) % (sizeof(often) / sizeof(often[0]))];
    return true;
}

static void take_log(struct contract *c, const struct contract_call *call)
{
    struct logged *l = &c->log[c->n_log++ % MAX_LOG];

    free(l->body);
    l->body = strndup(call->body != NULL ? call->body : "", call->body_len);
    snprintf(l->method, sizeof(l->method), "%s", call->method);
    snprintf(l->path, sizeof(l->path), "%s", call->path);
}

static json_t *dump_locked(struct contract *c)
{
    json_t *all = json_array(), *ticket;
    size_t i;

    json_array_foreach(json_object_get(c->state, "tickets"), i, ticket)
    {
        json_array_append_new(all, c->system->describe(ticket));
    }
    return all;
}

static int edit_locked(struct contract *c, const char *id, const char *what, const char *value)
{
    json_t *ticket;
    size_t i;

    json_array_foreach(json_object_get(c->state, "tickets"), i, ticket)
    {
        json_t *d = c->system->describe(ticket);
        bool same = strcmp(contract_text(d, "id"), id) == 0 || strcmp(contract_text(d, "key"), id) == 0;
        json_decref(d);
        if (same) {
            int rc = c->system->edit(ticket, what, value);
            contract_touch(ticket);
            return rc;
        }
    }
    return -ENOENT;
}

static enum contract_fault_kind kind_of(const char *name)
{
    static const char *const names[] = {"status", "drop", "late", "failed", "stall"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum contract_fault_kind)i;
    }
    return MEET_STATUS;
}

/* The test's own requests. */
static void serve_test(struct contract *c, struct contract_call *call)
{
    const char *what = call->path + strlen("/_contract/");
    json_t *j = call->json;

    contract_answer(call, 200, NULL);
    if (strcmp(what, "dump") == 0) {
        contract_answer(call, 200, dump_locked(c));
    } else if (strcmp(what, "violations") == 0) {
        contract_answer(call, 200, json_incref(c->violations));
    } else if (strcmp(what, "count") == 0) {
        contract_answer(call, 200, json_pack("{s:I}", "requests", (json_int_t)c->n_log));
    } else if (strcmp(what, "edit") == 0) {
        int rc = edit_locked(c, contract_text(j, "id"), contract_text(j, "what"), contract_text(j, "value"));
        contract_answer(call, rc == 0 ? 200 : 404, NULL);
    } else if (strcmp(what, "index-delay") == 0) {
        c->index_delay_ms = (unsigned)json_integer_value(json_object_get(j, "ms"));
    } else if (strcmp(what, "random-faults") == 0) {
        c->chance = json_number_value(json_object_get(j, "chance"));
        c->random = (uint64_t)json_integer_value(json_object_get(j, "seed"));
    } else if (strcmp(what, "fault") == 0 && c->n_faults < MAX_FAULTS) {
        c->fault[c->n_faults++] = (struct contract_fault){
            .kind = kind_of(contract_text(j, "kind")),
            .status = (unsigned)json_integer_value(json_object_get(j, "status")),
            .retry_after_s = (unsigned)json_integer_value(json_object_get(j, "retry_after_s")),
            .count = (unsigned)json_integer_value(json_object_get(j, "count")),
            .stall_ms = (unsigned)json_integer_value(json_object_get(j, "stall_ms")),
        };
    } else {
        contract_answer(call, 404, NULL);
    }
}

static enum MHD_Result send_answer(struct contract_call *call)
{
    char *text = call->raw != NULL      ? call->raw
                 : call->answer != NULL ? json_dumps(call->answer, JSON_ENCODE_ANY)
                                        : NULL;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(text != NULL ? strlen(text) : 0, text, MHD_RESPMEM_MUST_FREE);

    if (text != NULL)
        MHD_add_response_header(r, "Content-Type", "application/json;charset=UTF-8");
    for (unsigned i = 0; i < call->n_headers; i++)
        MHD_add_response_header(r, call->header[i][0], call->header[i][1]);
    enum MHD_Result queued = MHD_queue_response(call->connection, call->status, r);
    MHD_destroy_response(r);
    return queued;
}

static void answer_fault(struct contract *c, struct contract_call *call, const struct contract_fault *f)
{
    contract_answer(call, f->status, f->status == 429 && c->system->too_many != NULL ? c->system->too_many() : NULL);
    call->n_headers = 0;
    if (f->retry_after_s > 0)
        contract_add_header(call, "Retry-After", "%u", f->retry_after_s);
}

/* Serves under the lock; false: close without an answer. */
static bool serve(struct contract *c, struct contract_call *call)
{
    struct contract_fault f;

    if (strncmp(call->path, "/_contract/", 11) == 0) {
        serve_test(c, call);
        return true;
    }
    take_log(c, call);
    bool faulty = take_fault(c, call, &f);
    if (!faulty || f.kind == MEET_LATE || f.kind == MEET_FAILED || f.kind == MEET_STALL)
        serve_system(c, call);
    if (!faulty)
        return true;
    if (f.kind == MEET_STATUS || f.kind == MEET_FAILED)
        answer_fault(c, call, &f);
    if (f.kind == MEET_STALL) {
        struct timespec t = {.tv_sec = f.stall_ms / 1000, .tv_nsec = (long)(f.stall_ms % 1000) * 1000000};
        pthread_mutex_unlock(&c->lock);
        nanosleep(&t, NULL);
        pthread_mutex_lock(&c->lock);
    }
    return f.kind != MEET_DROP && f.kind != MEET_LATE;
}

static enum MHD_Result on_complete(struct contract *c, struct MHD_Connection *connection, const char *path,
                                   const char *method, const struct upload *u)
{
    struct contract_call call = {.server = c,
                                 .state = c->state,
                                 .connection = connection,
                                 .method = method,
                                 .path = path,
                                 .body = u->data != NULL ? u->data : "",
                                 .body_len = u->len,
                                 .status = 500};

    call.json = u->len > 0 ? json_loadb(u->data, u->len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    pthread_mutex_lock(&c->lock);
    bool answers = serve(c, &call);
    enum MHD_Result result = answers ? send_answer(&call) : MHD_NO;
    pthread_mutex_unlock(&c->lock);
    json_decref(call.answer);
    json_decref(call.json);
    return result;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    struct upload *u = *state;

    (void)version;
    if (u == NULL) {
        *state = calloc(1, sizeof(*u));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        char *grown = u->len + *size <= MAX_BODY ? realloc(u->data, u->len + *size + 1) : NULL;
        if (grown == NULL)
            return MHD_NO;
        memcpy(grown + u->len, data, *size);
        u->data = grown;
        u->len += *size;
        u->data[u->len] = '\0';
        *size = 0;
        return MHD_YES;
    }
    return on_complete(ctx, connection, path, method, u);
}

static void on_end(void *ctx, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    struct upload *u = *state;

    (void)ctx;
    (void)connection;
    (void)code;
    if (u != NULL)
        free(u->data);
    free(u);
    *state = NULL;
}

struct contract *contract_start(const struct contract_system *system, unsigned port)
{
    struct contract *c = calloc(1, sizeof(*c));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (c == NULL)
        return NULL;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->system = system;
    c->state = system->fresh();
    c->violations = json_array();
    pthread_mutex_init(&c->lock, NULL);
    c->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, c, MHD_OPTION_SOCK_ADDR,
                                 &address, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
                                 MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (c->daemon == NULL) {
        contract_stop(c);
        return NULL;
    }
    c->port = MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%u", c->port);
    return c;
}

void contract_stop(struct contract *c)
{
    if (c == NULL)
        return;
    if (c->daemon != NULL)
        MHD_stop_daemon(c->daemon);
    for (unsigned i = 0; i < MAX_LOG; i++)
        free(c->log[i].body);
    json_decref(c->state);
    json_decref(c->violations);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

unsigned contract_port(const struct contract *c)
{
    return c->port;
}

const char *contract_url(const struct contract *c)
{
    return c->url;
}

void contract_fault(struct contract *c, const struct contract_fault *fault)
{
    pthread_mutex_lock(&c->lock);
    if (c->n_faults < MAX_FAULTS)
        c->fault[c->n_faults++] = *fault;
    pthread_mutex_unlock(&c->lock);
}

void contract_clear_faults(struct contract *c)
{
    pthread_mutex_lock(&c->lock);
    c->n_faults = 0;
    c->chance = 0;
    pthread_mutex_unlock(&c->lock);
}

void contract_random_faults(struct contract *c, double chance, uint64_t seed)
{
    pthread_mutex_lock(&c->lock);
    c->chance = chance;
    c->random = seed;
    pthread_mutex_unlock(&c->lock);
}

void contract_index_delay(struct contract *c, unsigned ms)
{
    pthread_mutex_lock(&c->lock);
    c->index_delay_ms = ms;
    pthread_mutex_unlock(&c->lock);
}

void contract_page_limit(struct contract *c, unsigned n)
{
    pthread_mutex_lock(&c->lock);
    c->page_limit = n;
    pthread_mutex_unlock(&c->lock);
}

void contract_revoke(struct contract *c, bool revoked)
{
    pthread_mutex_lock(&c->lock);
    c->revoked = revoked;
    json_object_set_new(c->state, "_revoked", json_boolean(revoked));
    pthread_mutex_unlock(&c->lock);
}

void contract_forget_sessions(struct contract *c)
{
    pthread_mutex_lock(&c->lock);
    json_object_set_new(c->state, "session", json_string(""));
    pthread_mutex_unlock(&c->lock);
}

json_t *contract_dump(struct contract *c)
{
    pthread_mutex_lock(&c->lock);
    json_t *all = dump_locked(c);
    pthread_mutex_unlock(&c->lock);
    return all;
}

static bool log_matches(const struct logged *l, const char *method, const char *path_part)
{
    return (method == NULL || strcmp(l->method, method) == 0) &&
           (path_part == NULL || strstr(l->path, path_part) != NULL);
}

unsigned contract_count(struct contract *c, const char *method, const char *path_part)
{
    unsigned n = 0;

    pthread_mutex_lock(&c->lock);
    for (unsigned long i = 0; i < c->n_log && i < MAX_LOG; i++)
        n += log_matches(&c->log[i], method, path_part);
    pthread_mutex_unlock(&c->lock);
    return n;
}

json_t *contract_last(struct contract *c, const char *method, const char *path_part)
{
    json_t *found = NULL;

    pthread_mutex_lock(&c->lock);
    for (unsigned long i = c->n_log; i > 0 && c->n_log - i < MAX_LOG && found == NULL; i--) {
        const struct logged *l = &c->log[(i - 1) % MAX_LOG];
        if (log_matches(l, method, path_part))
            found = json_loads(l->body, 0, NULL);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

unsigned contract_violations(struct contract *c, char *ret_first, size_t size)
{
    pthread_mutex_lock(&c->lock);
    unsigned n = (unsigned)json_array_size(c->violations);
    const char *first = json_string_value(json_array_get(c->violations, 0));
    snprintf(ret_first, size, "%s", first != NULL ? first : "");
    pthread_mutex_unlock(&c->lock);
    return n;
}

int contract_edit(struct contract *c, const char *id, const char *what, const char *value)
{
    pthread_mutex_lock(&c->lock);
    int rc = edit_locked(c, id, what, value);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Codecs and batches of control's entities; see entities.h for the keys.
 *
 * A field table per kind (name, type, offset, names of an enum) is made by the preprocessor from the same X-macro as
 * the struct, so encoder and decoder are two loops that no field can be missing from. JSON comes from jansson with
 * sorted keys and 17 significant digits: equal structs give equal bytes.
 *
 * A batch keeps its commands in one growing arena until commit, then pipelines MULTI, the commands and EXEC. Redis
 * applies all or nothing; a connection that breaks before the answer to EXEC leaves it open which, therefore the caller
 * reads its cursor back. An id in Redis is trusted no more than any other input: what does not decode is reported with
 * its key and skipped by nobody.
 */

#include "store/entities.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_PREFIX "sw1:{ctl}:"
#define KEY_BYTES  384

#define NAMES(fn, set, COUNT, LIST)                                                                                    \
    static const char *const set##_names[COUNT] = {LIST(NAME_OF)};                                                     \
    const char *fn(enum set v)                                                                                         \
    {                                                                                                                  \
        assert((unsigned)v < COUNT);                                                                                   \
        return set##_names[v];                                                                                         \
    }
#define NAME_OF(symbol, name) name,
NAMES(fault_scope_name, fault_scope, SCOPE_COUNT, FAULT_SCOPES)
NAMES(fault_class_name, fault_class, FAULT_CLASS_COUNT, FAULT_CLASSES)
NAMES(fault_direction_name, fault_direction, DIRECTION_COUNT, FAULT_DIRECTIONS)
NAMES(incident_state_name, incident_state, INCIDENT_STATE_COUNT, INCIDENT_STATES)
NAMES(problem_state_name, problem_state, PROBLEM_STATE_COUNT, PROBLEM_STATES)
NAMES(pattern_class_name, pattern_class, PATTERN_CLASS_COUNT, PATTERN_CLASSES)
NAMES(baseline_level_name, baseline_level, BASELINE_LEVEL_COUNT, BASELINE_LEVELS)
NAMES(ticket_state_name, ticket_state, TICKET_STATE_COUNT, TICKET_STATES)
NAMES(outbox_op_name, outbox_op, OUTBOX_OP_COUNT, OUTBOX_OPS)
NAMES(remote_state_name, remote_state, REMOTE_STATE_COUNT, REMOTE_STATES)
NAMES(outbox_state_name, outbox_state, OUTBOX_STATE_COUNT, OUTBOX_STATES)
NAMES(connector_state_name, connector_state, CONNECTOR_STATE_COUNT, CONNECTOR_STATES)

/* A set whose values belong to another header. */
#define SEVERITY_NAME(name) #name,
static const char *const event_severity_names[] = {EVENT_SEVERITIES(SEVERITY_NAME)};
_Static_assert((int)SCOPE_MIRROR == (int)WINDOW_MIRROR && (int)SCOPE_PATH == (int)WINDOW_PATH &&
                   (int)SCOPE_CIRCUIT == (int)WINDOW_CIRCUIT && (int)SCOPE_SITE == (int)WINDOW_SCOPE_COUNT,
               "scopes of windows come first, in their order");

enum field_type { FIELD_TEXT, FIELD_NUM, FIELD_REAL, FIELD_ENUM };

struct field {
    const char *name;
    const char *const *names; /* of an enum */
    size_t n_names;
    size_t offset;
    size_t size;
    enum field_type type;
};

#define COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define F_TEXT(n, s) {.name = #n, .offset = offsetof(struct ENTITY, n), .size = s, .type = FIELD_TEXT},
#define F_NUM(n)     {.name = #n, .offset = offsetof(struct ENTITY, n), .size = 8, .type = FIELD_NUM},
#define F_REAL(n)    {.name = #n, .offset = offsetof(struct ENTITY, n), .size = 8, .type = FIELD_REAL},
#define F_ENUM(n, set)                                                                                                 \
    {.name = #n,                                                                                                       \
     .names = set##_names,                                                                                             \
     .n_names = COUNT_OF(set##_names),                                                                                 \
     .offset = offsetof(struct ENTITY, n),                                                                             \
     .size = sizeof(unsigned),                                                                                         \
     .type = FIELD_ENUM},

#define ENTITY entity_meta
static const struct field meta_fields[] = {META_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_incident
static const struct field incident_fields[] = {INCIDENT_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_problem
static const struct field problem_fields[] = {PROBLEM_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_ticket
static const struct field ticket_fields[] = {TICKET_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_outbox
static const struct field outbox_fields[] = {OUTBOX_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_connector
static const struct field connector_fields[] = {CONNECTOR_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_register
static const struct field register_fields[] = {REGISTER_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_audit
static const struct field audit_fields[] = {AUDIT_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY
#define ENTITY entity_cursor
static const struct field cursor_fields[] = {CURSOR_FIELDS(F_TEXT, F_NUM, F_REAL, F_ENUM)};
#undef ENTITY

static const struct kind {
    const char *name;
    const struct field *fields;
    size_t n_fields;
    size_t size;
} kinds[ENTITY_KIND_COUNT] = {
    [ENTITY_META] = {"meta", meta_fields, COUNT_OF(meta_fields), sizeof(struct entity_meta)},
    [ENTITY_INCIDENT] = {"incident", incident_fields, COUNT_OF(incident_fields), sizeof(struct entity_incident)},
    [ENTITY_PROBLEM] = {"problem", problem_fields, COUNT_OF(problem_fields), sizeof(struct entity_problem)},
    [ENTITY_TICKET] = {"ticket", ticket_fields, COUNT_OF(ticket_fields), sizeof(struct entity_ticket)},
    [ENTITY_OUTBOX] = {"outbox", outbox_fields, COUNT_OF(outbox_fields), sizeof(struct entity_outbox)},
    [ENTITY_CONNECTOR] = {"connector", connector_fields, COUNT_OF(connector_fields), sizeof(struct entity_connector)},
    [ENTITY_CURSOR] = {"cursor", cursor_fields, COUNT_OF(cursor_fields), sizeof(struct entity_cursor)},
    [ENTITY_CHANGE] = {"change", register_fields, COUNT_OF(register_fields), sizeof(struct entity_register)},
    [ENTITY_MAINTENANCE] = {"maintenance", register_fields, COUNT_OF(register_fields), sizeof(struct entity_register)},
    [ENTITY_CIRCUIT] = {"circuit", register_fields, COUNT_OF(register_fields), sizeof(struct entity_register)},
    [ENTITY_OWNER] = {"owner", register_fields, COUNT_OF(register_fields), sizeof(struct entity_register)},
    [ENTITY_SILENCE] = {"silence", register_fields, COUNT_OF(register_fields), sizeof(struct entity_register)},
    [ENTITY_AUDIT] = {"audit", audit_fields, COUNT_OF(audit_fields), sizeof(struct entity_audit)},
};

size_t entity_size(enum entity_kind kind)
{
    return kinds[kind].size;
}

/* Text that was cut within a character must not make its entity unstorable: '?' stands for each byte of it. */
static json_t *text_to_json(const char *text)
{
    json_t *v = json_string(text);

    if (v == NULL) {
        char *ascii = strdup(text);
        for (char *p = ascii; p != NULL && *p != '\0'; p++) {
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        }
        v = ascii != NULL ? json_string(ascii) : NULL;
        free(ascii);
    }
    return v;
}

static json_t *field_to_json(const struct field *f, const unsigned char *base)
{
    const unsigned char *p = base + f->offset;
    uint64_t num;
    double real;
    unsigned value;

    switch (f->type) {
    case FIELD_TEXT:
        return text_to_json((const char *)p);
    case FIELD_NUM:
        memcpy(&num, p, sizeof(num));
        return json_integer((json_int_t)num);
    case FIELD_REAL:
        memcpy(&real, p, sizeof(real));
        return json_real(isfinite(real) ? real : 0.0);
    case FIELD_ENUM:
        memcpy(&value, p, sizeof(value));
        assert(value < f->n_names);
        return json_string(f->names[value]);
    }
    return NULL;
}

char *entity_encode(enum entity_kind kind, const void *entity)
{
    const struct kind *k = &kinds[kind];
    json_t *object = json_object();
    char *text = NULL;

    if (object == NULL)
        return NULL;
    for (size_t i = 0; i < k->n_fields; i++) {
        if (json_object_set_new(object, k->fields[i].name, field_to_json(&k->fields[i], entity)) != 0)
            goto out;
    }
    text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
out:
    json_decref(object);
    return text;
}

static int field_from_json(const struct field *f, const json_t *v, unsigned char *base)
{
    unsigned char *p = base + f->offset;
    double real;
    json_int_t num;

    switch (f->type) {
    case FIELD_TEXT:
        if (!json_is_string(v) || json_string_length(v) >= f->size)
            return -EBADMSG;
        memcpy(p, json_string_value(v), json_string_length(v) + 1);
        return 0;
    case FIELD_NUM:
        if (!json_is_integer(v) || (num = json_integer_value(v)) < 0)
            return -EBADMSG;
        memcpy(p, &(uint64_t){(uint64_t)num}, sizeof(uint64_t));
        return 0;
    case FIELD_REAL:
        if (!json_is_number(v))
            return -EBADMSG;
        real = json_number_value(v);
        memcpy(p, &real, sizeof(real));
        return 0;
    case FIELD_ENUM:
        for (unsigned i = 0; json_is_string(v) && i < f->n_names; i++) {
            if (strcmp(f->names[i], json_string_value(v)) == 0) {
                memcpy(p, &i, sizeof(i));
                return 0;
            }
        }
        return -EBADMSG;
    }
    return -EBADMSG;
}

int entity_decode(enum entity_kind kind, const char *json, size_t len, void *ret_entity, struct error *e)
{
    const struct kind *k = &kinds[kind];
    json_error_t why;
    json_t *object = json_loadb(json, len, 0, &why);
    unsigned char *entity = calloc(1, k->size);
    int rc = 0;

    if (entity == NULL) {
        rc = error_set(e, -ENOMEM, "no memory for a stored %s", k->name);
    } else if (!json_is_object(object)) {
        rc = error_set(e, -EBADMSG, "a stored %s is not a JSON object", k->name);
    } else {
        for (size_t i = 0; rc == 0 && i < k->n_fields; i++) {
            const json_t *v = json_object_get(object, k->fields[i].name);
            if (v != NULL && field_from_json(&k->fields[i], v, entity) != 0)
                rc = error_set(e, -EBADMSG, "a stored %s has a bad '%s'", k->name, k->fields[i].name);
        }
        if (rc == 0)
            memcpy(ret_entity, entity, k->size);
    }
    free(entity);
    json_decref(object);
    return rc;
}

static const char *learned_names[LEARNED_KIND_COUNT] = {"series", "bins", "history"};

static void learned_key(char key[KEY_BYTES], enum learned_kind kind, const char *name)
{
    if (name[0] == '\0')
        snprintf(key, KEY_BYTES, KEY_PREFIX "%s", learned_names[kind]);
    else
        snprintf(key, KEY_BYTES, KEY_PREFIX "%s:%s", learned_names[kind], name);
}

static void entity_key(char key[KEY_BYTES], enum entity_kind kind)
{
    snprintf(key, KEY_BYTES, KEY_PREFIX "%s", kinds[kind].name);
}

/* Ids end in numbers: INC-2 comes before INC-10. */
static int compare_ids(const void *a, const void *b)
{
    const struct store_reply *const *x = a;
    const struct store_reply *const *y = b;
    size_t nx, ny;
    const char *sx = store_reply_string(*x, &nx);
    const char *sy = store_reply_string(*y, &ny);

    if (nx != ny)
        return nx < ny ? -1 : 1;
    return memcmp(sx, sy, nx);
}

/* The pairs of an HGETALL in order of field; *ret_pairs alternates field and value and must be freed. */
static int sorted_pairs(const struct store_reply *r, const struct store_reply ***ret_pairs, size_t *ret_n)
{
    size_t n = store_reply_count(r) / 2;
    const struct store_reply **pairs = calloc(n + 1, 2 * sizeof(*pairs));

    if (pairs == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < 2 * n; i++) {
        pairs[i] = store_reply_element(r, i);
        if (store_reply_type(pairs[i]) != STORE_STRING) {
            free(pairs);
            return -EBADMSG;
        }
    }
    qsort(pairs, n, 2 * sizeof(*pairs), compare_ids);
    *ret_pairs = pairs;
    *ret_n = n;
    return 0;
}

static struct store_reply *get_all(struct store *s, const char *key, struct error *e, int *ret_rc)
{
    struct store_reply *r = store_command(s, "HGETALL %s", key);

    if (r == NULL) {
        *ret_rc = error_set(e, -EIO, "Redis went away while reading %s", key);
    } else if (store_reply_type(r) != STORE_ARRAY) {
        size_t len = 0;
        const char *text = store_reply_type(r) == STORE_ERROR ? store_reply_string(r, &len) : "no array";
        *ret_rc = error_set(e, -EBADMSG, "cannot read %s: %.*s", key, (int)(len > 0 ? len : 8), text);
        store_reply_free(r);
        r = NULL;
    }
    return r;
}

int entities_each(struct store *s, enum entity_kind kind, int (*visit)(void *ctx, const void *entity), void *ctx,
                  struct error *e)
{
    const struct store_reply **pairs;
    char key[KEY_BYTES];
    size_t n;
    int rc = 0;

    entity_key(key, kind);
    struct store_reply *r = get_all(s, key, e, &rc);
    if (r == NULL)
        return rc;
    rc = sorted_pairs(r, &pairs, &n);
    if (rc != 0) {
        store_reply_free(r);
        return error_set(e, rc, "cannot read %s", key);
    }
    void *entity = malloc(kinds[kind].size);
    if (entity == NULL)
        rc = error_set(e, -ENOMEM, "no memory for %s", key);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t len;
        const char *json = store_reply_string(pairs[2 * i + 1], &len);
        rc = entity_decode(kind, json, len, entity, e);
        if (rc == 0)
            rc = visit(ctx, entity);
    }
    free(entity);
    free(pairs);
    store_reply_free(r);
    return rc;
}

int entities_get(struct store *s, enum entity_kind kind, const char *id, void *ret_entity, struct error *e)
{
    char key[KEY_BYTES];
    struct store_reply *r;
    size_t len;
    int rc = -EBADMSG;

    entity_key(key, kind);
    r = kind == ENTITY_META ? store_command(s, "GET %s", key) : store_command(s, "HGET %s %s", key, id);
    if (r == NULL)
        return error_set(e, -EIO, "Redis went away while reading %s", key);
    switch (store_reply_type(r)) {
    case STORE_NIL:
        rc = 0;
        break;
    case STORE_STRING: {
        const char *json = store_reply_string(r, &len);
        rc = entity_decode(kind, json, len, ret_entity, e);
        rc = rc == 0 ? 1 : rc;
        break;
    }
    case STORE_ERROR:
        rc = error_set(e, -EBADMSG, "cannot read %s: %s", key, store_reply_string(r, &len));
        break;
    case STORE_STATUS:
    case STORE_INTEGER:
    case STORE_ARRAY:
        rc = error_set(e, -EBADMSG, "cannot read %s: unexpected type", key);
        break;
    }
    store_reply_free(r);
    return rc;
}

int learned_each(struct store *s, enum learned_kind kind, const char *name,
                 int (*visit)(void *ctx, const char *field, const void *data, size_t len), void *ctx, struct error *e)
{
    const struct store_reply **pairs;
    char key[KEY_BYTES];
    size_t n;
    int rc = 0;

    learned_key(key, kind, name);
    struct store_reply *r = get_all(s, key, e, &rc);
    if (r == NULL)
        return rc;
    rc = sorted_pairs(r, &pairs, &n);
    if (rc != 0) {
        store_reply_free(r);
        return error_set(e, rc, "cannot read %s", key);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t field_len, len;
        const char *field = store_reply_string(pairs[2 * i], &field_len);
        const char *data = store_reply_string(pairs[2 * i + 1], &len);
        rc = visit(ctx, field, data, len);
    }
    free(pairs);
    store_reply_free(r);
    return rc;
}

/*
 * Commands wait in an arena as (number of arguments, then length and bytes of each).
 * Invariant: once failed, nothing is added and commit reports it.
 */
struct entity_batch {
    struct store *store;
    unsigned char *arena;
    size_t len, size;
    size_t n_commands;
    bool failed;
};

struct entity_batch *entity_batch_new(struct store *s)
{
    struct entity_batch *b = calloc(1, sizeof(*b));

    if (b != NULL)
        b->store = s;
    return b;
}

void entity_batch_drop(struct entity_batch *b)
{
    if (b != NULL) {
        free(b->arena);
        free(b);
    }
}

static void batch_bytes(struct entity_batch *b, const void *data, size_t len)
{
    if (b->failed)
        return;
    if (b->len + len > b->size) {
        size_t size = (b->len + len) * 2 + 4096;
        unsigned char *arena = realloc(b->arena, size);
        if (arena == NULL) {
            b->failed = true;
            return;
        }
        b->arena = arena;
        b->size = size;
    }
    memcpy(b->arena + b->len, data, len);
    b->len += len;
}

static void batch_command(struct entity_batch *b, const struct store_arg *args, size_t n_args)
{
    batch_bytes(b, &n_args, sizeof(n_args));
    for (size_t i = 0; i < n_args; i++) {
        batch_bytes(b, &args[i].len, sizeof(args[i].len));
        batch_bytes(b, args[i].data, args[i].len);
    }
    b->n_commands++;
}

#define ARG(text) ((struct store_arg){text, strlen(text)})

static void entity_id(enum entity_kind kind, const void *entity, char id[64])
{
    const size_t size = 64;

    switch (kind) {
    case ENTITY_META:
    case ENTITY_KIND_COUNT:
        id[0] = '\0';
        break;
    case ENTITY_INCIDENT:
        snprintf(id, size, "%s", ((const struct entity_incident *)entity)->id);
        break;
    case ENTITY_PROBLEM:
        snprintf(id, size, "%s", ((const struct entity_problem *)entity)->id);
        break;
    case ENTITY_TICKET:
        snprintf(id, size, "%s", ((const struct entity_ticket *)entity)->id);
        break;
    case ENTITY_OUTBOX:
        snprintf(id, size, "%010" PRIu64, ((const struct entity_outbox *)entity)->seq);
        break;
    case ENTITY_CONNECTOR:
        snprintf(id, size, "%s", ((const struct entity_connector *)entity)->name);
        break;
    case ENTITY_CURSOR:
        snprintf(id, size, "%s", ((const struct entity_cursor *)entity)->sensor);
        break;
    case ENTITY_CHANGE:
    case ENTITY_MAINTENANCE:
    case ENTITY_CIRCUIT:
    case ENTITY_OWNER:
    case ENTITY_SILENCE:
        snprintf(id, size, "%s", ((const struct entity_register *)entity)->id);
        break;
    case ENTITY_AUDIT:
        snprintf(id, size, "%s", ((const struct entity_audit *)entity)->id);
        break;
    }
}

void entity_batch_put(struct entity_batch *b, enum entity_kind kind, const void *entity)
{
    char key[KEY_BYTES];
    char id[64];
    char *json = entity_encode(kind, entity);

    if (json == NULL) {
        b->failed = true;
        return;
    }
    entity_key(key, kind);
    entity_id(kind, entity, id);
    if (kind == ENTITY_META)
        batch_command(b, (struct store_arg[]){ARG("SET"), ARG(key), ARG(json)}, 3);
    else
        batch_command(b, (struct store_arg[]){ARG("HSET"), ARG(key), ARG(id), ARG(json)}, 4);
    free(json);
}

void entity_batch_delete(struct entity_batch *b, enum entity_kind kind, const char *id)
{
    char key[KEY_BYTES];

    entity_key(key, kind);
    batch_command(b, (struct store_arg[]){ARG("HDEL"), ARG(key), ARG(id)}, 3);
}

void entity_batch_put_learned(struct entity_batch *b, enum learned_kind kind, const char *name, const char *field,
                              const void *data, size_t len)
{
    char key[KEY_BYTES];

    learned_key(key, kind, name);
    batch_command(b, (struct store_arg[]){ARG("HSET"), ARG(key), ARG(field), {data, len}}, 4);
}

void entity_batch_delete_learned(struct entity_batch *b, enum learned_kind kind, const char *name, const char *field)
{
    char key[KEY_BYTES];

    learned_key(key, kind, name);
    batch_command(b, (struct store_arg[]){ARG("HDEL"), ARG(key), ARG(field)}, 3);
}

size_t entity_batch_count(const struct entity_batch *b)
{
    return b->n_commands;
}

struct exec_result {
    size_t n_commands;
    bool done;
    struct error error;
};

/* Replies are OK, QUEUED for each command, then EXEC's array; any error on the way makes EXEC refuse. */
static void on_exec_reply(void *ctx, size_t index, const struct store_reply *r)
{
    struct exec_result *x = ctx;
    size_t len = 0;

    if (store_reply_type(r) == STORE_ERROR && x->error.text[0] == '\0') {
        const char *text = store_reply_string(r, &len);
        error_set(&x->error, -EIO, "%.*s", (int)(len < 200 ? len : 200), text);
    }
    if (index == x->n_commands + 1 && store_reply_type(r) == STORE_ARRAY) {
        x->done = true;
        for (size_t i = 0; i < store_reply_count(r); i++) {
            const struct store_reply *one = store_reply_element(r, i);
            if (store_reply_type(one) == STORE_ERROR && x->error.text[0] == '\0') {
                const char *text = store_reply_string(one, &len);
                error_set(&x->error, -EIO, "%.*s", (int)(len < 200 ? len : 200), text);
            }
        }
    }
}

static int append_arena(const struct entity_batch *b)
{
    struct store_arg args[4];
    size_t at = 0;
    size_t n_args;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n_commands; i++) {
        memcpy(&n_args, b->arena + at, sizeof(n_args));
        at += sizeof(n_args);
        assert(n_args <= 4);
        for (size_t j = 0; j < n_args; j++) {
            memcpy(&args[j].len, b->arena + at, sizeof(size_t));
            at += sizeof(size_t);
            args[j].data = b->arena + at;
            at += args[j].len;
        }
        rc = store_append(b->store, args, n_args);
    }
    return rc;
}

int entity_batch_commit(struct entity_batch *b, struct error *e)
{
    struct exec_result x = {.n_commands = b->n_commands};
    int rc = 0;

    if (b->failed) {
        rc = error_set(e, -ENOMEM, "no memory for a change of state");
        goto out;
    }
    if (b->n_commands == 0)
        goto out;
    rc = store_append(b->store, (struct store_arg[]){ARG("MULTI")}, 1);
    if (rc == 0)
        rc = append_arena(b);
    if (rc == 0)
        rc = store_append(b->store, (struct store_arg[]){ARG("EXEC")}, 1);
    if (rc == 0)
        rc = store_flush(b->store, on_exec_reply, &x);
    if (rc != 0)
        error_set(e, rc, "Redis went away during a commit");
    else if (!x.done || x.error.text[0] != '\0')
        rc = error_set(e, -EIO, "Redis refused a commit: %.200s",
                       x.error.text[0] != '\0' ? x.error.text : "EXEC was aborted");
out:
    entity_batch_drop(b);
    return rc;
}

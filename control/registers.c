/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The registers: changes, maintenance windows, circuits, owners' rules and silences. What correlation needs to know and
 * no tap can see.
 *
 * All five have one shape (struct entity_register) and three verbs: NAME.add, NAME.edit, NAME.close. Nothing is
 * deleted; a row that was closed stays with the time and the person, and every command stays in the audit. A row names
 * its objects by patterns: a path ("Branch-12~DC"), a site on either side ("Branch-1*"), or "circuit:NAME" for the
 * paths behind one. Of circuits and owners only the open rows count; changes, maintenance and silences also have a
 * time.
 *
 * Which objects a row names is found out once, by fnmatch over its list, and kept with the row: again only for objects
 * that are new, or when the row (or a circuit, where it names one) has changed.
 */

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"

#define MOST_PATTERN 200u

static const char *const prefixes[REGISTER_COUNT] = {
#define X(symbol, name, prefix) prefix,
    REGISTERS(X)
#undef X
};

bool register_active(const struct entity_register *e, uint64_t ns)
{
    return ns >= e->start_ns && (e->end_ns == 0 || ns < e->end_ns) && (e->closed_ns == 0 || ns < e->closed_ns);
}

struct register_row *register_by_id(struct control *c, enum register_kind kind, const char *id)
{
    for (size_t i = 0; i < c->registers[kind].n; i++) {
        if (strcmp(c->registers[kind].item[i]->e.id, id) == 0)
            return c->registers[kind].item[i];
    }
    return NULL;
}

/* The next pattern of a list, without blanks; false at its end. */
static bool next_pattern(const char **at, char ret[MOST_PATTERN])
{
    while (**at == ',' || **at == ' ')
        (*at)++;
    if (**at == '\0')
        return false;
    size_t len = strcspn(*at, ",");
    size_t keep = len < MOST_PATTERN ? len : MOST_PATTERN - 1;
    memcpy(ret, *at, keep);
    while (keep > 0 && ret[keep - 1] == ' ')
        keep--;
    ret[keep] = '\0';
    *at += len;
    return true;
}

static bool pattern_matches(const char *pattern, const char *name)
{
    const char *tilde = strchr(name, '~');
    char side[WINDOW_NAME_BYTES];

    if (strpbrk(pattern, "*?[\\") == NULL) { /* most are plain names */
        size_t len = strlen(pattern);
        return strcmp(pattern, name) == 0 ||
               (tilde != NULL && (strcmp(pattern, tilde + 1) == 0 ||
                                  (len == (size_t)(tilde - name) && strncmp(pattern, name, len) == 0)));
    }
    if (fnmatch(pattern, name, 0) == 0)
        return true;
    if (tilde == NULL)
        return false;
    snprintf(side, sizeof(side), "%.*s", (int)(tilde - name), name);
    return fnmatch(pattern, side, 0) == 0 || fnmatch(pattern, tilde + 1, 0) == 0;
}

static bool circuit_is(const struct entity_register *circuit, const char *name)
{
    return strcmp(circuit->title, name) == 0 || strcmp(circuit->id, name) == 0;
}

bool patterns_name(const char *list, const char *name)
{
    char pattern[MOST_PATTERN];

    while (next_pattern(&list, pattern)) {
        if (pattern_matches(pattern, name))
            return true;
    }
    return false;
}

/* The paths behind open circuits of this name; lists of circuits do not name circuits again. */
static bool behind_circuit(const struct control *c, const char *circuit, const char *name)
{
    for (size_t i = 0; i < c->registers[REGISTER_CIRCUIT].n; i++) {
        const struct entity_register *e = &c->registers[REGISTER_CIRCUIT].item[i]->e;
        if (e->closed_ns == 0 && circuit_is(e, circuit) && patterns_name(e->objects, name))
            return true;
    }
    for (size_t i = 0; i < c->options.n_circuits; i++) {
        const struct control_circuit *k = &c->options.circuits[i];
        if (strcmp(k->name, circuit) == 0 && patterns_name(k->objects, name))
            return true;
    }
    return false;
}

static bool list_names(const struct control *c, const char *list, const struct control_object *o)
{
    char pattern[MOST_PATTERN];

    while (next_pattern(&list, pattern)) {
        bool circuit = strncmp(pattern, "circuit:", 8) == 0;
        if (circuit && o->scope == SCOPE_CIRCUIT && strcmp(pattern + 8, o->name) == 0)
            return true;
        if (circuit ? behind_circuit(c, pattern + 8, o->name) : pattern_matches(pattern, o->name))
            return true;
    }
    return false;
}

void register_row_free(struct register_row *r)
{
    if (r != NULL)
        free(r->named);
    free(r);
}

static int add_named(struct register_row *r, uint32_t number)
{
    if (r->n_named == r->room_named) {
        size_t room = r->room_named == 0 ? 4 : r->room_named * 2;
        uint32_t *grown = realloc(r->named, room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        r->named = grown;
        r->room_named = room;
    }
    r->named[r->n_named++] = number;
    return 0;
}

const uint32_t *register_named(struct control *c, struct register_row *r, size_t *ret_n)
{
    bool by_circuit = strstr(r->e.objects, "circuit:") != NULL;

    if (r->matched_version != r->version || (by_circuit && r->matched_circuits != c->circuits_version)) {
        r->n_named = 0;
        r->matched_objects = 0;
        r->matched_version = r->version;
        r->matched_circuits = c->circuits_version;
    }
    for (; r->matched_objects < c->objects.n; r->matched_objects++) {
        const struct control_object *o = c->objects.item[r->matched_objects];
        if (list_names(c, r->e.objects, o) && add_named(r, o->number) != 0) {
            c->failed = true;
            break;
        }
    }
    *ret_n = r->n_named;
    return r->named;
}

bool register_names(struct control *c, struct register_row *r, const struct control_object *o)
{
    size_t n;
    const uint32_t *named = register_named(c, r, &n);

    for (size_t from = 0; from < n;) { /* by halves */
        size_t middle = from + (n - from) / 2;
        if (named[middle] == o->number)
            return true;
        if (named[middle] < o->number)
            from = middle + 1;
        else
            n = middle;
    }
    return false;
}

const struct entity_register *register_find(struct control *c, enum register_kind kind, const struct control_object *o,
                                            uint64_t ns)
{
    for (size_t i = 0; i < c->registers[kind].n; i++) {
        struct register_row *r = c->registers[kind].item[i];
        if (register_active(&r->e, ns) && register_names(c, r, o))
            return &r->e;
    }
    return NULL;
}

const char *control_owner(struct control *c, const struct control_object *o, uint64_t now_ns)
{
    const struct entity_register *rule = register_find(c, REGISTER_OWNER, o, now_ns);

    if (rule != NULL)
        return rule->owner;
    for (size_t i = 0; o->scope == SCOPE_CIRCUIT && i < c->registers[REGISTER_CIRCUIT].n; i++) {
        const struct entity_register *e = &c->registers[REGISTER_CIRCUIT].item[i]->e;
        if (e->closed_ns == 0 && circuit_is(e, o->name) && e->owner[0] != '\0')
            return e->owner;
    }
    return c->options.owner != NULL ? c->options.owner(c->options.owner_ctx, o->name) : "";
}

/* --- maintenance --- */

/* The rows that are maintenance windows: a register of its own, and changes that have one. */
static struct register_row *maintenance_at(const struct control *c, size_t i)
{
    size_t n = c->registers[REGISTER_MAINTENANCE].n;

    return i < n ? c->registers[REGISTER_MAINTENANCE].item[i] : c->registers[REGISTER_CHANGE].item[i - n];
}

static void next_edge(uint64_t *edge_ns, uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns > now_ns && at_ns < *edge_ns)
        *edge_ns = at_ns;
}

void maintenance_update(struct control *c, uint64_t now_ns)
{
    size_t n = c->registers[REGISTER_MAINTENANCE].n + c->registers[REGISTER_CHANGE].n;
    bool any = false;

    if (n == 0 || (now_ns < c->maintained_until_ns && c->maintained_version == c->registers_version + 1 &&
                   c->maintained_objects == c->objects.n))
        return;
    c->maintained_until_ns = UINT64_MAX;
    c->maintained_version = c->registers_version + 1;
    c->maintained_objects = c->objects.n;
    for (size_t i = 0; c->any_maintenance && i < c->objects.n; i++)
        c->objects.item[i]->in_maintenance = false;
    for (size_t k = 0; k < n; k++) {
        struct register_row *r = maintenance_at(c, k);
        const struct entity_register *e = &r->e;
        bool window = k < c->registers[REGISTER_MAINTENANCE].n || e->window;
        if (!window)
            continue;
        next_edge(&c->maintained_until_ns, e->start_ns, now_ns);
        next_edge(&c->maintained_until_ns, e->end_ns, now_ns);
        next_edge(&c->maintained_until_ns, e->closed_ns, now_ns);
        if (!register_active(e, now_ns))
            continue;
        any = true;
        size_t n_named;
        const uint32_t *named = register_named(c, r, &n_named);
        for (size_t i = 0; i < n_named; i++)
            c->objects.item[named[i]]->in_maintenance = true;
    }
    c->any_maintenance = any;
}

/* --- verbs --- */

static uint64_t *sequence_of(struct control *c, enum register_kind kind)
{
    uint64_t *const seq[REGISTER_COUNT] = {
        [REGISTER_CHANGE] = &c->meta.change_seq,   [REGISTER_MAINTENANCE] = &c->meta.maintenance_seq,
        [REGISTER_CIRCUIT] = &c->meta.circuit_seq, [REGISTER_OWNER] = &c->meta.owner_seq,
        [REGISTER_SILENCE] = &c->meta.silence_seq,
    };

    return seq[kind];
}

static int copy_text(const struct command_call *call, const char *name, char *ret, size_t size, struct error *e)
{
    const char *text = json_string_value(json_object_get(call->arguments, name));

    if (text == NULL)
        return 0;
    if (strlen(text) >= size)
        return error_set(e, -EINVAL, "%s is longer than %zu bytes", name, size - 1);
    snprintf(ret, size, "%s", text);
    return 0;
}

/* Fields that a command may set; what it does not name stays. */
static int take_fields(struct entity_register *e, const struct command_call *call, struct error *error)
{
    uint64_t s;
    int rc = copy_text(call, "title", e->title, sizeof(e->title), error);

    rc = rc == 0 ? copy_text(call, "objects", e->objects, sizeof(e->objects), error) : rc;
    rc = rc == 0 ? copy_text(call, "kind", e->kind, sizeof(e->kind), error) : rc;
    rc = rc == 0 ? copy_text(call, "owner", e->owner, sizeof(e->owner), error) : rc;
    rc = rc == 0 ? copy_text(call, "reason", e->reason, sizeof(e->reason), error) : rc;
    if (rc != 0)
        return rc;
    if (command_number_argument(call, "start_s", &s) && s < UINT64_MAX / NS_PER_S)
        e->start_ns = s * NS_PER_S;
    if (command_number_argument(call, "end_s", &s) && s < UINT64_MAX / NS_PER_S)
        e->end_ns = s * NS_PER_S;
    if (command_number_argument(call, "lasts_s", &s) && s < UINT64_MAX / NS_PER_S / 2)
        e->end_ns = e->start_ns + s * NS_PER_S;
    if (json_is_boolean(json_object_get(call->arguments, "window")))
        e->window = json_is_true(json_object_get(call->arguments, "window"));
    return 0;
}

static int check_row(struct control *c, enum register_kind kind, const struct entity_register *e, struct error *error)
{
    if (e->objects[0] == '\0')
        return error_set(error, -EINVAL, "'objects' is missing: which paths, sites or circuits?");
    if (e->end_ns != 0 && e->end_ns <= e->start_ns)
        return error_set(error, -EINVAL, "it ends before it begins");
    if ((kind == REGISTER_CIRCUIT || kind == REGISTER_CHANGE) && e->title[0] == '\0')
        return error_set(error, -EINVAL, "'title' is missing");
    if (kind == REGISTER_OWNER && e->owner[0] == '\0')
        return error_set(error, -EINVAL, "'owner' is missing");
    if ((kind == REGISTER_MAINTENANCE || kind == REGISTER_SILENCE) && e->end_ns == 0)
        return error_set(error, -EINVAL, "it has no end");
    if (kind == REGISTER_CHANGE && e->window && e->end_ns == 0)
        return error_set(error, -EINVAL, "a change window needs an end");
    for (size_t i = 0; kind == REGISTER_CIRCUIT && i < c->registers[kind].n; i++) {
        const struct entity_register *other = &c->registers[kind].item[i]->e;
        if (other->closed_ns == 0 && strcmp(other->title, e->title) == 0 && strcmp(other->id, e->id) != 0)
            return error_set(error, -EEXIST, "%s has that name already", other->id);
    }
    return 0;
}

static void changed(struct control *c, struct register_row *r, struct command_call *call, const char *what)
{
    r->e.changed_ns = call->when_ns;
    r->dirty = true;
    r->version++;
    c->registers_version++;
    snprintf(call->entity, sizeof(call->entity), "%s", r->e.id);
    snprintf(call->result, sizeof(call->result), "%s %s", r->e.id, what);
}

static int add(struct control *c, enum register_kind kind, struct command_call *call, struct error *e)
{
    struct register_row *r = calloc(1, sizeof(*r));
    int rc = r == NULL ? -ENOMEM : 0;

    if (r != NULL) {
        /* Who owns what, and which line carries it, was so before somebody wrote it down. */
        bool timed = kind != REGISTER_CIRCUIT && kind != REGISTER_OWNER;
        r->e.start_ns = timed ? call->when_ns : 0;
        r->e.created_ns = call->when_ns;
        snprintf(r->e.actor, sizeof(r->e.actor), "%s", call->actor);
        rc = take_fields(&r->e, call, e);
    }
    rc = rc == 0 ? check_row(c, kind, &r->e, e) : rc;
    rc = rc == 0 ? VECTOR_PUSH(c->registers[kind], r) : rc;
    if (rc != 0) {
        register_row_free(r);
        return rc == -ENOMEM ? error_set(e, rc, "no memory") : rc;
    }
    snprintf(r->e.id, sizeof(r->e.id), "%s-%" PRIu64, prefixes[kind], ++*sequence_of(c, kind));
    changed(c, r, call, "added");
    c->circuits_version += kind == REGISTER_CIRCUIT;
    return 0;
}

static struct register_row *find_row(struct control *c, enum register_kind kind, const struct command_call *call,
                                     struct error *e)
{
    struct register_row *r = register_by_id(c, kind, call->object);

    for (size_t i = 0; r == NULL && kind == REGISTER_CIRCUIT && i < c->registers[kind].n; i++) {
        struct register_row *x = c->registers[kind].item[i];
        if (x->e.closed_ns == 0 && strcmp(x->e.title, call->object) == 0)
            r = x;
    }
    if (r == NULL)
        error_set(e, -ENOENT, "there is no %s", call->object[0] != '\0' ? call->object : "such id");
    else if (r->e.closed_ns != 0)
        error_set(e, -EINVAL, "%s was closed by %s", r->e.id, r->e.closed_by);
    return r != NULL && r->e.closed_ns == 0 ? r : NULL;
}

static int edit(struct control *c, enum register_kind kind, struct command_call *call, struct error *e)
{
    struct register_row *r = find_row(c, kind, call, e);

    if (r == NULL)
        return -EINVAL;
    struct entity_register *next = malloc(sizeof(*next));
    if (next == NULL)
        return error_set(e, -ENOMEM, "no memory");
    *next = r->e;
    int rc = take_fields(next, call, e);
    rc = rc == 0 ? check_row(c, kind, next, e) : rc;
    if (rc == 0) {
        r->e = *next;
        changed(c, r, call, "changed");
        c->circuits_version += kind == REGISTER_CIRCUIT;
    }
    free(next);
    return rc;
}

static int close_row(struct control *c, enum register_kind kind, struct command_call *call, struct error *e)
{
    struct register_row *r = find_row(c, kind, call, e);

    if (r == NULL)
        return -EINVAL;
    r->e.closed_ns = call->when_ns;
    snprintf(r->e.closed_by, sizeof(r->e.closed_by), "%s", call->actor);
    int rc = copy_text(call, "reason", r->e.reason, sizeof(r->e.reason), e);
    changed(c, r, call, "closed");
    c->circuits_version += kind == REGISTER_CIRCUIT;
    return rc;
}

#define X(symbol, name, prefix)                                                                                        \
    static int add_##symbol(struct control *c, struct command_call *call, struct error *e)                             \
    {                                                                                                                  \
        return add(c, REGISTER_##symbol, call, e);                                                                     \
    }                                                                                                                  \
    static int edit_##symbol(struct control *c, struct command_call *call, struct error *e)                            \
    {                                                                                                                  \
        return edit(c, REGISTER_##symbol, call, e);                                                                    \
    }                                                                                                                  \
    static int close_##symbol(struct control *c, struct command_call *call, struct error *e)                           \
    {                                                                                                                  \
        return close_row(c, REGISTER_##symbol, call, e);                                                               \
    }
REGISTERS(X)
#undef X

const struct command_verb register_verbs[] = {
#define X(symbol, name, prefix)                                                                                        \
    {name ".add", add_##symbol}, {name ".edit", edit_##symbol}, {name ".close", close_##symbol},
    REGISTERS(X)
#undef X
        {NULL, NULL},
};

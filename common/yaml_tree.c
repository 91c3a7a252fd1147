/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Builds the tree from libyaml's events, one function per kind of node. libyaml's own document loader would do it too,
 * but it reads the whole document before anyone can say that it is too deep or too large, and it resolves aliases,
 * with which ten lines can describe a billion nodes. Recursion here is bounded by YAML_MAX_DEPTH.
 */

#include "common/yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/bytes.h"

struct reader {
    yaml_parser_t yaml;
    const char *name;
    size_t n_nodes;
    struct error *e;
};

/* The next event; a syntax error becomes a message with its line. */
static int next_event(struct reader *r, yaml_event_t *ret_event)
{
    const yaml_parser_t *y = &r->yaml;

    if (yaml_parser_parse(&r->yaml, ret_event))
        return 0;
    if (y->error == YAML_MEMORY_ERROR)
        return error_set(r->e, -ENOMEM, "%s: out of memory", r->name);
    size_t line = y->error == YAML_READER_ERROR ? y->mark.line : y->problem_mark.line;
    return error_set(r->e, -EINVAL, "%s:%zu: not valid YAML: %s%s%s", r->name, line + 1,
                     y->context != NULL ? y->context : "", y->context != NULL ? ", " : "",
                     y->problem != NULL ? y->problem : "unreadable");
}

static struct yaml_node *node_new(struct reader *r, const yaml_event_t *ev, enum yaml_kind kind)
{
    struct yaml_node *n = ++r->n_nodes <= YAML_MAX_NODES ? calloc(1, sizeof(*n)) : NULL;

    if (n == NULL) {
        error_set(r->e, -ENOMEM, "%s:%zu: more than %u values, or out of memory", r->name, ev->start_mark.line + 1,
                  YAML_MAX_NODES);
        return NULL;
    }
    n->kind = kind;
    n->line = (unsigned)ev->start_mark.line + 1;
    return n;
}

static int add_child(struct yaml_node *parent, struct yaml_node *child)
{
    if (parent->n_children == parent->room) {
        size_t room = parent->room == 0 ? 8 : parent->room * 2;
        struct yaml_node **children = reallocarray(parent->children, room, sizeof(struct yaml_node *));
        if (children == NULL)
            return -ENOMEM;
        parent->children = children;
        parent->room = room;
    }
    parent->children[parent->n_children++] = child;
    return 0;
}

static int refuse_extras(struct reader *r, const yaml_event_t *ev, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor == NULL && tag == NULL)
        return 0;
    return error_set(r->e, -EINVAL, "%s:%zu: anchors and tags are not supported; write the value out", r->name,
                     ev->start_mark.line + 1);
}

static int scalar_text(struct reader *r, const yaml_event_t *ev, char **ret_text)
{
    const char *value = (const char *)ev->data.scalar.value;

    int err = refuse_extras(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
    if (err < 0)
        return err;
    if (strlen(value) != ev->data.scalar.length)
        return error_set(r->e, -EINVAL, "%s:%zu: a NUL byte in a value", r->name, ev->start_mark.line + 1);
    *ret_text = strdup(value);
    return *ret_text != NULL ? 0 : error_set(r->e, -ENOMEM, "%s: out of memory", r->name);
}

static int read_node(struct reader *r, const yaml_event_t *first, unsigned depth, struct yaml_node **ret);

static int read_sequence(struct reader *r, struct yaml_node *n, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        struct yaml_node *child = NULL;
        int err = next_event(r, &ev);
        if (err < 0)
            return err;
        bool end = ev.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            err = read_node(r, &ev, depth + 1, &child);
        yaml_event_delete(&ev);
        if (end || err < 0)
            return err;
        if (add_child(n, child) < 0) {
            yaml_tree_free(child);
            return error_set(r->e, -ENOMEM, "%s: out of memory", r->name);
        }
    }
}

/* The key in `ev` as text: a scalar that the mapping does not have yet. */
static int read_key(struct reader *r, const yaml_event_t *ev, const struct yaml_node *mapping, char **ret_key)
{
    size_t line = ev->start_mark.line + 1;
    char shown[80];

    if (ev->type != YAML_SCALAR_EVENT)
        return error_set(r->e, -EINVAL, "%s:%zu: a key must be a plain word", r->name, line);
    if (mapping->n_children >= YAML_MAX_KEYS)
        return error_set(r->e, -E2BIG, "%s:%zu: more than %u keys in one section", r->name, line, YAML_MAX_KEYS);
    int err = scalar_text(r, ev, ret_key);
    if (err < 0)
        return err;
    for (size_t i = 0; i < mapping->n_children; i++) {
        if (strcmp(mapping->children[i]->key, *ret_key) != 0)
            continue;
        text_escape(shown, sizeof(shown), *ret_key, strlen(*ret_key));
        free(*ret_key);
        *ret_key = NULL;
        return error_set(r->e, -EINVAL, "%s:%zu: key '%s' is here a second time; the first is in line %u", r->name,
                         line, shown, mapping->children[i]->line);
    }
    return 0;
}

static int read_mapping(struct reader *r, struct yaml_node *n, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        struct yaml_node *child = NULL;
        char *key = NULL;
        int err = next_event(r, &ev);
        if (err < 0)
            return err;
        bool end = ev.type == YAML_MAPPING_END_EVENT;
        unsigned line = (unsigned)ev.start_mark.line + 1;
        if (!end)
            err = read_key(r, &ev, n, &key);
        yaml_event_delete(&ev);
        if (end || err < 0)
            return err;
        err = next_event(r, &ev);
        if (err == 0) {
            err = read_node(r, &ev, depth + 1, &child);
            yaml_event_delete(&ev);
        }
        if (err == 0 && add_child(n, child) < 0)
            err = error_set(r->e, -ENOMEM, "%s: out of memory", r->name);
        if (err < 0) {
            yaml_tree_free(child);
            free(key);
            return err;
        }
        child->key = key;
        child->line = line;
    }
}

/* Reads the node that `first` begins; `first` stays the caller's. */
static int read_node(struct reader *r, const yaml_event_t *first, unsigned depth, struct yaml_node **ret)
{
    bool mapping = first->type == YAML_MAPPING_START_EVENT, sequence = first->type == YAML_SEQUENCE_START_EVENT;
    struct yaml_node *n;
    int err = 0;

    if (first->type == YAML_ALIAS_EVENT)
        return error_set(r->e, -EINVAL, "%s:%zu: aliases are not supported; write the value out", r->name,
                         first->start_mark.line + 1);
    if (depth > YAML_MAX_DEPTH)
        return error_set(r->e, -EINVAL, "%s:%zu: nested deeper than %u levels", r->name, first->start_mark.line + 1,
                         YAML_MAX_DEPTH);
    n = node_new(r, first, mapping ? YAML_MAPPING : sequence ? YAML_SEQUENCE : YAML_SCALAR);
    if (n == NULL)
        return -ENOMEM;
    if (mapping) {
        err = refuse_extras(r, first, first->data.mapping_start.anchor, first->data.mapping_start.tag);
        err = err < 0 ? err : read_mapping(r, n, depth);
    } else if (sequence) {
        err = refuse_extras(r, first, first->data.sequence_start.anchor, first->data.sequence_start.tag);
        err = err < 0 ? err : read_sequence(r, n, depth);
    } else {
        n->plain = first->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        err = scalar_text(r, first, &n->text);
    }
    if (err < 0) {
        yaml_tree_free(n);
        return err;
    }
    *ret = n;
    return 0;
}

static int read_stream(struct reader *r, struct yaml_node **ret_root)
{
    struct yaml_node *root = NULL;

    for (;;) {
        yaml_event_t ev;
        int err = next_event(r, &ev);
        if (err == 0 && ev.type == YAML_STREAM_END_EVENT) {
            *ret_root = root;
            return 0;
        }
        if (err == 0) {
            bool structural = ev.type == YAML_STREAM_START_EVENT || ev.type == YAML_DOCUMENT_START_EVENT ||
                              ev.type == YAML_DOCUMENT_END_EVENT;
            if (!structural && root != NULL)
                err = error_set(r->e, -EINVAL, "%s:%zu: a second document; only one is allowed", r->name,
                                ev.start_mark.line + 1);
            else if (!structural)
                err = read_node(r, &ev, 0, &root);
            yaml_event_delete(&ev);
        }
        if (err < 0) {
            yaml_tree_free(root);
            return err;
        }
    }
}

int yaml_tree_parse(const char *text, size_t len, const char *name, struct yaml_node **ret_root, struct error *e)
{
    struct reader r = {.name = name, .e = e};

    if (len > YAML_MAX_BYTES)
        return error_set(e, -E2BIG, "%s: larger than %u bytes; that is no configuration file", name, YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&r.yaml))
        return error_set(e, -ENOMEM, "%s: out of memory", name);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, len);
    int err = read_stream(&r, ret_root);
    yaml_parser_delete(&r.yaml);
    return err;
}

void yaml_tree_free(struct yaml_node *root)
{
    if (root == NULL)
        return;
    for (size_t i = 0; i < root->n_children; i++)
        yaml_tree_free(root->children[i]);
    free(root->children);
    free(root->key);
    free(root->text);
    free(root);
}

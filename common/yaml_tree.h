/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_YAML_TREE_H
#define SPANWARD_YAML_TREE_H

/*
 * A YAML document as a tree in which every node knows its line. Only what a configuration needs: one document of
 * mappings, sequences and scalars; anchors, aliases and tags are errors, which keeps the tree a tree. Bounded in
 * size, depth and number of nodes. Keys of a mapping are scalars and differ from one another.
 */

#include <stdbool.h>
#include <stddef.h>
#include "common/log.h"

#define YAML_MAX_BYTES (1u << 20)
#define YAML_MAX_DEPTH 8u
#define YAML_MAX_NODES 200000u
#define YAML_MAX_KEYS  256u /* in one mapping */

enum yaml_kind { YAML_SCALAR, YAML_MAPPING, YAML_SEQUENCE };

/* Owner: the parent, and the caller for the root. */
struct yaml_node {
    enum yaml_kind kind;
    unsigned line; /* from 1; of the key for a member of a mapping */
    bool plain;    /* a scalar without quotes */
    char *key;     /* in a mapping, else NULL */
    char *text;    /* of a scalar, else NULL; no NUL bytes inside */
    struct yaml_node **children;
    size_t n_children, room;
};

/* *ret_root is NULL for an empty document. name is used in messages. 0, -EINVAL, -E2BIG, -ENOMEM. */
int yaml_tree_parse(const char *text, size_t len, const char *name, struct yaml_node **ret_root, struct error *e);
void yaml_tree_free(struct yaml_node *root);

#endif

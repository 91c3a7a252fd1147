/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONFIG_TABLE_H
#define SPANWARD_CONFIG_TABLE_H

/*
 * Inside of the configuration, shared by config.c, config_read.c and config_table.c and by nobody else: the table of
 * scalars (from params.def) and the table of lists, with what can be done to a value without knowing its file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/config.h"
#include "common/yaml_tree.h"

#define CONFIG_MAX_STRING_BYTES 1024u /* where the table says nothing */
#define CONFIG_MAX_MIRRORS      16u

enum param_type { PARAM_U64, PARAM_DOUBLE, PARAM_BOOL, PARAM_STRING, PARAM_CHOICE, PARAM_DURATION, PARAM_SIZE };

struct param {
    const char *name;
    enum param_type type;
    const char *fallback, *min, *max, *unit;
    bool reload;
    const char *text;
};

/* The number of rows in params.def. */
enum {
#define P(name, ...) +1
    CONFIG_N_PARAMS = 0
#include "common/params.def"
#undef P
};
extern const struct param config_params[CONFIG_N_PARAMS];

/* `u` holds U64, BOOL, DURATION and SIZE; string is owned. */
struct value {
    uint64_t u;
    double d;
    char *string;
    bool is_set;
};

struct config_values {
    struct value value[CONFIG_N_PARAMS];
};

enum field_type { FIELD_STRING, FIELD_STRINGS, FIELD_RATE, FIELD_KIND };

/* FIELD_STRINGS has its count in the size_t right behind the pointer. */
struct field {
    const char *key;
    enum field_type type;
    size_t offset;
    bool required;
    const char *text;
};

struct list {
    const char *key;
    size_t items_offset; /* of the pointer in struct config; the count is right behind it */
    size_t item_bytes;
    const char *text;
    struct field fields[10]; /* ends with key NULL; the first names the object and must differ between objects */
};

enum { CONFIG_N_LISTS = 5 };
extern const struct list config_lists[CONFIG_N_LISTS];

/* Parses text as the parameter's type, without the ranges of numbers. Changes v->u or v->d, and only on success. */
bool config_value_parse(const struct param *param, const char *text, struct value *v);
bool config_value_in_range(const struct param *param, const struct value *v);
int config_value_compare(const struct param *param, const struct value *a, const struct value *b);

/* What is allowed: "a whole number from 1 to 64 workers". Returns buf. */
const char *config_param_describe(const struct param *param, char *buf, size_t size);

/* "2.5Gbit/s" in bit/s. */
bool config_rate_parse(const char *text, uint64_t *ret_bits_per_s);
/* Is `word` one of the words in "a,b,c"? */
bool config_is_choice(const char *choices, const char *word);
/* No control characters. */
bool config_is_clean(const char *text);

/* A list's place in the struct. */
char **config_list_items(struct config *c, const struct list *list);
size_t *config_list_count(struct config *c, const struct list *list);

/* Fills c, which holds the defaults, from the tree. `name` and lines go into e. On error c is partly filled. */
int config_read(const struct yaml_node *root, const char *name, struct config *c, struct error *e);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The configuration: a YAML tree checked against two tables. params.def lists the scalars by dotted name; `lists`
 * below describes the lists of objects, field by field, with their place in the struct. Parsing, checking, freeing and
 * the printed reference all walk these tables, so a new parameter is one row.
 *
 * A value is checked where it is read, and every message has the same form: "file:line: what is wrong, what is
 * allowed". Unknown names get the nearest known one as a suggestion (Levenshtein distance, at most a third of the
 * word). Relations between objects (the same prefix in two sites, a circuit at a site that does not exist) are checked
 * after their list was read, still with lines. Text is escaped in messages.
 *
 * The first error ends the work: later ones are often its consequence.
 */

#include "common/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/service.h"
#include "common/site.h"
#include "common/timefmt.h"
#include "common/yaml_tree.h"

enum param_type { PARAM_U64, PARAM_DOUBLE, PARAM_BOOL, PARAM_STRING, PARAM_CHOICE, PARAM_DURATION, PARAM_SIZE };

struct param {
    const char *name;
    enum param_type type;
    const char *fallback, *min, *max, *unit;
    bool reload;
    const char *text;
};

#define P(name, type, fallback, min, max, unit, reload, text)                                                          \
    {name, PARAM_##type, fallback, min, max, unit, reload, text},
static const struct param params[] = {
#include "common/params.def"
};
#undef P
#define N_PARAMS (sizeof(params) / sizeof(params[0]))

/* `u` holds U64, BOOL, DURATION and SIZE; string is owned. */
struct value {
    uint64_t u;
    double d;
    char *string;
    bool is_set;
};

struct config_values {
    struct value value[N_PARAMS];
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
    struct field fields[7]; /* ends with key NULL; the first names the object and must differ between objects */
};

#define FIELD(type, member, key, kind, required, text)                                                                 \
    {                                                                                                                  \
        key, kind, offsetof(struct type, member), required, text                                                       \
    }

static const struct list lists[] = {
    {"sites",
     offsetof(struct config, sites),
     sizeof(struct config_site),
     "Named sets of prefixes. An address belongs to the site with the longest prefix that holds it.",
     {FIELD(config_site, name, "name", FIELD_STRING, true, "name of the site"),
      FIELD(config_site, prefixes, "prefixes", FIELD_STRINGS, true, "list of prefixes: 10.1.0.0/16, 2001:db8::/32"),
      FIELD(config_site, owner, "owner", FIELD_STRING, false, "team or person who answers for it")}},
    {"services",
     offsetof(struct config, services),
     sizeof(struct config_service),
     "Names for server endpoints. The first match wins, then the built-in list of well-known ports.",
     {FIELD(config_service, name, "name", FIELD_STRING, true, "name of the service"),
      FIELD(config_service, endpoints, "endpoints", FIELD_STRINGS, true,
            "list of tcp/443, udp/5000-5010, sctp/36412, or with a prefix: tcp/443@10.0.0.0/8")}},
    {"mirrors",
     offsetof(struct config, mirrors),
     sizeof(struct config_mirror),
     "Captured ports.",
     {FIELD(config_mirror, name, "name", FIELD_STRING, true, "name of the mirror"),
      FIELD(config_mirror, device, "device", FIELD_STRING, true, "PCI address, port name or EAL device string"),
      FIELD(config_mirror, capacity_bits_per_s, "capacity", FIELD_RATE, false, "rate of the port, such as 10Gbit/s")}},
    {"circuits",
     offsetof(struct config, circuits),
     sizeof(struct config_circuit),
     "Carrier links behind a site.",
     {FIELD(config_circuit, id, "id", FIELD_STRING, true, "the carrier's circuit id"),
      FIELD(config_circuit, carrier, "carrier", FIELD_STRING, false, "name of the carrier"),
      FIELD(config_circuit, site, "site", FIELD_STRING, true, "name of a site, or the prefix of an automatic one"),
      FIELD(config_circuit, contact, "contact", FIELD_STRING, false, "how to reach the carrier"),
      FIELD(config_circuit, owner, "owner", FIELD_STRING, false, "team or person who answers for it"),
      FIELD(config_circuit, capacity_bits_per_s, "capacity", FIELD_RATE, false, "rate, such as 100Mbit/s")}},
    {"owners",
     offsetof(struct config, owners),
     sizeof(struct config_owner),
     "Who answers for what. The first match in the order of the file wins.",
     {FIELD(config_owner, match_kind, "kind", FIELD_KIND, true, "site, circuit, service or default"),
      FIELD(config_owner, match, "match", FIELD_STRING, false, "name, with * and ? as wildcards; not for default"),
      FIELD(config_owner, owner, "owner", FIELD_STRING, true, "team or person")}},
};
#define N_LISTS          (sizeof(lists) / sizeof(lists[0]))

#define MAX_STRING_BYTES 1024u /* where the table says nothing */
#define MAX_MIRRORS      16u

struct parser {
    const char *name;
    struct config *c;
    struct error *e;
};

/* Text of the file as it may be shown. */
struct shown {
    char text[96];
};

static struct shown show(const char *text)
{
    struct shown s = {""};

    text_escape(s.text, sizeof(s.text), text, strlen(text));
    return s;
}

/* ---- values ---- */

static const struct unit {
    const char *name;
    uint64_t factor;
} size_units[] =
    {{"", 1}, {"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}, {NULL, 0}},
  rate_units[] = {{"bit/s", 1},           {"kbit/s", 1000},          {"Mbit/s", 1000000},
                  {"Gbit/s", 1000000000}, {"Tbit/s", 1000000000000}, {NULL, 0}},
  no_units[] = {{"", 1}, {NULL, 0}};

/*
 * A decimal number with at most nine places after the point, times its unit. Exact: "2.5Gbit/s" is 2,500,000,000.
 * False when it is no such number, does not fit in 64 bits, or is not whole in the smallest unit.
 */
static bool parse_scaled(const char *p, const struct unit *units, uint64_t *ret)
{
    uint64_t whole = 0, fraction = 0, scale = 1, product;
    const char *start = p;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10u, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return false;
    if (p == start)
        return false;
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9' && scale < 1000000000; p++, scale *= 10)
            fraction = fraction * 10 + (uint64_t)(*p - '0');
        if (scale == 1)
            return false;
    }
    while (*p == ' ')
        p++;
    while (units->name != NULL && strcmp(units->name, p) != 0)
        units++;
    if (units->name == NULL || __builtin_mul_overflow(whole, units->factor, &product))
        return false;
    unsigned __int128 part = (unsigned __int128)fraction * units->factor;
    if (part % scale != 0 || __builtin_add_overflow(product, (uint64_t)(part / scale), &product))
        return false;
    *ret = product;
    return true;
}

/* Not strtod: that follows the locale and takes "inf", "nan" and hexadecimal. */
static bool parse_decimal(const char *p, double *ret)
{
    bool negative = *p == '-';
    double value = 0, place = 1;
    const char *start = p += negative;

    for (; *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (*p - '0');
    if (p == start || p - start > 15)
        return false;
    if (*p == '.') {
        double digits = 0;
        for (start = ++p; *p >= '0' && *p <= '9'; p++, place *= 10)
            digits = digits * 10 + (*p - '0');
        if (p == start || p - start > 15)
            return false;
        value += digits / place;
    }
    if (*p != '\0')
        return false;
    *ret = negative ? -value : value;
    return true;
}

static bool parse_bool(const char *text, uint64_t *ret)
{
    static const char *const words[2][4] = {{"false", "no", "off", "False"}, {"true", "yes", "on", "True"}};

    for (uint64_t v = 0; v < 2; v++) {
        for (int i = 0; i < 4; i++) {
            if (strcmp(text, words[v][i]) == 0) {
                *ret = v;
                return true;
            }
        }
    }
    return false;
}

/* Is `word` one of the words in "a,b,c"? */
static bool is_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = choices; len > 0 && *p != '\0'; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ',')) {
        if (strcspn(p, ",") == len && memcmp(p, word, len) == 0)
            return true;
    }
    return false;
}

static bool is_clean(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

static size_t max_string_bytes(const struct param *param)
{
    uint64_t max = MAX_STRING_BYTES;

    parse_scaled(param->max, no_units, &max); /* leaves it alone when there is none */
    return (size_t)max;
}

/* Parses text as the parameter's type; no ranges of numbers. */
static bool parse_value(const struct param *param, const char *text, struct value *v)
{
    switch (param->type) {
    case PARAM_U64:
        return parse_scaled(text, no_units, &v->u) && strchr(text, '.') == NULL && strchr(text, ' ') == NULL;
    case PARAM_DOUBLE:
        return parse_decimal(text, &v->d);
    case PARAM_BOOL:
        return parse_bool(text, &v->u);
    case PARAM_STRING:
        return is_clean(text) && strlen(text) <= max_string_bytes(param);
    case PARAM_CHOICE:
        return is_choice(param->min, text);
    case PARAM_DURATION:
        return parse_duration(text, &v->u) == 0;
    case PARAM_SIZE:
        return parse_scaled(text, size_units, &v->u);
    }
    return false;
}

static int compare_values(const struct param *param, const struct value *a, const struct value *b)
{
    if (param->type == PARAM_DOUBLE)
        return (a->d > b->d) - (a->d < b->d);
    return (a->u > b->u) - (a->u < b->u);
}

static bool in_range(const struct param *param, const struct value *v)
{
    struct value bound = {0};

    if (param->type == PARAM_CHOICE || param->type == PARAM_STRING)
        return true;
    if (param->min[0] != '\0' && parse_value(param, param->min, &bound) && compare_values(param, v, &bound) < 0)
        return false;
    return param->max[0] == '\0' || !parse_value(param, param->max, &bound) || compare_values(param, v, &bound) <= 0;
}

/* "a whole number from 1 to 64 workers" */
static const char *describe(const struct param *param, char *buf, size_t size)
{
    static const char *const kinds[] = {[PARAM_U64] = "a whole number",
                                        [PARAM_DOUBLE] = "a number",
                                        [PARAM_BOOL] = "true or false",
                                        [PARAM_STRING] = "text",
                                        [PARAM_CHOICE] = "one of",
                                        [PARAM_DURATION] = "a time such as 10s, 5m, 2h or 7d",
                                        [PARAM_SIZE] = "a size such as 64MiB"};

    switch (param->type) {
    case PARAM_BOOL:
        snprintf(buf, size, "%s", kinds[param->type]);
        break;
    case PARAM_STRING:
        snprintf(buf, size, "%s of at most %zu bytes", kinds[param->type], max_string_bytes(param));
        break;
    case PARAM_CHOICE:
        snprintf(buf, size, "%s %s", kinds[param->type], param->min);
        break;
    case PARAM_U64:
    case PARAM_DOUBLE:
    case PARAM_DURATION:
    case PARAM_SIZE:
        snprintf(buf, size, "%s from %s to %s%s%s", kinds[param->type], param->min, param->max,
                 param->type == PARAM_U64 ? " " : "", param->type == PARAM_U64 ? param->unit : "");
        break;
    }
    return buf;
}

/* ---- names ---- */

static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    size_t row[MAX + 1], la = strlen(a), lb = strlen(b);

    if (la > MAX || lb > MAX)
        return MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[lb];
}

struct suggestion {
    size_t distance;
    char text[64];
};

static void suggest(struct suggestion *s, const char *wrong, const char *known, size_t known_len)
{
    char word[64];

    snprintf(word, sizeof(word), "%.*s", (int)known_len, known);
    size_t d = edit_distance(wrong, word), limit = known_len < 3 ? 1 : (known_len + 2) / 3;
    if (d <= limit && (s->text[0] == '\0' || d < s->distance)) {
        s->distance = d;
        snprintf(s->text, sizeof(s->text), "%s", word);
    }
}

static int unknown_key(struct parser *p, const struct yaml_node *n, const char *where, const struct suggestion *s)
{
    bool section = where[0] != '\0', have = s->text[0] != '\0';

    return error_set(p->e, -EINVAL, "%s:%u: unknown key '%s'%s%s%s%s%s", p->name, n->line, show(n->key).text,
                     section ? " in " : "", where, have ? " (did you mean '" : "", s->text, have ? "'?)" : "");
}

/* Calls suggest with every name that may stand in the section `prefix` ("" or "capture."). */
static void suggest_in_section(struct suggestion *s, const char *wrong, const char *prefix)
{
    size_t len = strlen(prefix);

    for (size_t i = 0; i < N_PARAMS; i++)
        if (strncmp(params[i].name, prefix, len) == 0)
            suggest(s, wrong, params[i].name + len, strcspn(params[i].name + len, "."));
    for (size_t i = 0; len == 0 && i < N_LISTS; i++)
        suggest(s, wrong, lists[i].key, strlen(lists[i].key));
}

/* ---- reading the tree ---- */

static int set_param(struct parser *p, size_t index, const struct yaml_node *n)
{
    const struct param *param = &params[index];
    struct value *v = &p->c->values->value[index];
    char allowed[160];

    if (n->kind != YAML_SCALAR)
        return error_set(p->e, -EINVAL, "%s:%u: %s is one value, not a %s; allowed: %s", p->name, n->line, param->name,
                         n->kind == YAML_MAPPING ? "section" : "list", describe(param, allowed, sizeof(allowed)));
    if (!parse_value(param, n->text, v))
        return error_set(p->e, -EINVAL, "%s:%u: %s: '%s' is not %s", p->name, n->line, param->name, show(n->text).text,
                         describe(param, allowed, sizeof(allowed)));
    if (!in_range(param, v))
        return error_set(p->e, -ERANGE, "%s:%u: %s: %s is out of range; allowed: %s", p->name, n->line, param->name,
                         show(n->text).text, describe(param, allowed, sizeof(allowed)));
    if (param->type == PARAM_STRING || param->type == PARAM_CHOICE) {
        char *copy = strdup(n->text);
        if (copy == NULL)
            return error_set(p->e, -ENOMEM, "%s: out of memory", p->name);
        free(v->string);
        v->string = copy;
    }
    v->is_set = true;
    return 0;
}

/* An object's text: not empty, and nothing in it that could mislead a reader of a table or a key. */
static int check_text(struct parser *p, const struct yaml_node *n, const char *what, size_t max_bytes)
{
    if (n->kind != YAML_SCALAR || n->text[0] == '\0')
        return error_set(p->e, -EINVAL, "%s:%u: %s must be text and not empty", p->name, n->line, what);
    if (strlen(n->text) > max_bytes)
        return error_set(p->e, -EINVAL, "%s:%u: %s is longer than %zu bytes", p->name, n->line, what, max_bytes);
    if (!is_clean(n->text))
        return error_set(p->e, -EINVAL, "%s:%u: %s holds a control character: '%s'", p->name, n->line, what,
                         show(n->text).text);
    return 0;
}

static int set_string(struct parser *p, char **at, const struct yaml_node *n, const char *what)
{
    int err = check_text(p, n, what, MAX_STRING_BYTES);

    if (err < 0)
        return err;
    *at = strdup(n->text);
    return *at != NULL ? 0 : error_set(p->e, -ENOMEM, "%s: out of memory", p->name);
}

static int set_strings(struct parser *p, char ***at, const struct yaml_node *n, const char *what)
{
    size_t *count = (size_t *)(void *)(at + 1);

    if (n->kind != YAML_SEQUENCE || n->n_children == 0)
        return error_set(p->e, -EINVAL, "%s:%u: %s must be a list with at least one entry: [a, b]", p->name, n->line,
                         what);
    *at = calloc(n->n_children, sizeof(char *));
    if (*at == NULL)
        return error_set(p->e, -ENOMEM, "%s: out of memory", p->name);
    for (size_t i = 0; i < n->n_children; i++) {
        int err = set_string(p, &(*at)[i], n->children[i], what);
        if (err < 0)
            return err;
        *count = i + 1;
    }
    return 0;
}

static int set_field(struct parser *p, const struct field *f, char *item, const struct yaml_node *n)
{
    void *at = item + f->offset;

    switch (f->type) {
    case FIELD_STRING:
        return set_string(p, at, n, f->key);
    case FIELD_STRINGS:
        return set_strings(p, at, n, f->key);
    case FIELD_RATE:
        if (n->kind == YAML_SCALAR && parse_scaled(n->text, rate_units, at) && *(uint64_t *)at != 0)
            return 0;
        return error_set(p->e, -EINVAL, "%s:%u: %s: not a rate such as 100Mbit/s or 2.5Gbit/s", p->name, n->line,
                         f->key);
    case FIELD_KIND:
        if (n->kind == YAML_SCALAR && is_choice("site,circuit,service,default", n->text))
            return set_string(p, at, n, f->key);
        return error_set(p->e, -EINVAL, "%s:%u: kind must be site, circuit, service or default", p->name, n->line);
    }
    return -EINVAL;
}

static const struct yaml_node *member(const struct yaml_node *mapping, const char *key)
{
    for (size_t i = 0; i < mapping->n_children; i++)
        if (strcmp(mapping->children[i]->key, key) == 0)
            return mapping->children[i];
    return NULL;
}

static int read_object(struct parser *p, const struct list *list, char *item, const struct yaml_node *n)
{
    if (n->kind != YAML_MAPPING)
        return error_set(p->e, -EINVAL, "%s:%u: an entry of %s has keys: '- %s: ...'", p->name, n->line, list->key,
                         list->fields[0].key);
    for (size_t i = 0; i < n->n_children; i++) {
        const struct field *f = list->fields;
        struct suggestion s = {0};
        while (f->key != NULL && strcmp(f->key, n->children[i]->key) != 0)
            f++;
        if (f->key == NULL) {
            for (f = list->fields; f->key != NULL; f++)
                suggest(&s, n->children[i]->key, f->key, strlen(f->key));
            return unknown_key(p, n->children[i], list->key, &s);
        }
        int err = set_field(p, f, item, n->children[i]);
        if (err < 0)
            return err;
    }
    for (const struct field *f = list->fields; f->key != NULL; f++)
        if (f->required && member(n, f->key) == NULL)
            return error_set(p->e, -EINVAL, "%s:%u: an entry of %s lacks its %s: %s", p->name, n->line, list->key,
                             f->key, f->text);
    return 0;
}

static char **items_of(struct config *c, const struct list *list)
{
    return (char **)(void *)((char *)c + list->items_offset);
}

static size_t *count_of(struct config *c, const struct list *list)
{
    return (size_t *)(void *)(items_of(c, list) + 1);
}

static int read_list(struct parser *p, const struct list *list, const struct yaml_node *n)
{
    if (n->kind == YAML_SCALAR && n->text[0] == '\0')
        return 0; /* "sites:" with all entries commented out */
    if (n->kind != YAML_SEQUENCE)
        return error_set(p->e, -EINVAL, "%s:%u: %s is a list: each entry begins with '- %s: ...'", p->name, n->line,
                         list->key, list->fields[0].key);
    if (n->n_children == 0)
        return 0;
    char *items = calloc(n->n_children, list->item_bytes);
    if (items == NULL)
        return error_set(p->e, -ENOMEM, "%s: out of memory", p->name);
    *items_of(p->c, list) = items;
    *count_of(p->c, list) = n->n_children; /* entries that are not read yet are all zero and safe to free */
    for (size_t i = 0; i < n->n_children; i++) {
        int err = read_object(p, list, items + i * list->item_bytes, n->children[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

/* A mapping at `prefix`: its keys are parameters, sections below, or (at the top) lists. */
static int read_section(struct parser *p, const char *prefix, const struct yaml_node *n)
{
    if (n->kind == YAML_SCALAR && n->text[0] == '\0')
        return 0; /* "capture:" with nothing below */
    if (n->kind != YAML_MAPPING)
        return error_set(p->e, -EINVAL, "%s:%u: %.*s must be a section of 'key: value' lines", p->name, n->line,
                         prefix[0] != '\0' ? (int)strlen(prefix) - 1 : 8, prefix[0] != '\0' ? prefix : "the file");
    for (size_t i = 0; i < n->n_children; i++) {
        const struct yaml_node *child = n->children[i];
        struct suggestion s = {0};
        char name[128];
        int err = 1;
        size_t len = (size_t)snprintf(name, sizeof(name), "%s%s", prefix, child->key);
        bool word = len < sizeof(name) - 1 && child->key[0] != '\0' && strchr(child->key, '.') == NULL;

        for (size_t k = 0; word && err == 1 && k < N_PARAMS; k++) {
            if (strcmp(params[k].name, name) == 0) {
                err = set_param(p, k, child);
            } else if (strncmp(params[k].name, name, len) == 0 && params[k].name[len] == '.') {
                strcat(name, ".");
                err = read_section(p, name, child);
            }
        }
        for (size_t k = 0; word && err == 1 && prefix[0] == '\0' && k < N_LISTS; k++)
            if (strcmp(lists[k].key, name) == 0)
                err = read_list(p, &lists[k], child);
        if (err == 1) {
            suggest_in_section(&s, child->key, prefix);
            name[prefix[0] != '\0' ? strlen(prefix) - 1 : 0] = '\0';
            return unknown_key(p, child, name, &s);
        }
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- relations ---- */

static int compare_named(const void *a, const void *b)
{
    const struct yaml_node *const *x = a, *const *y = b;
    int order = strcmp((*x)->text, (*y)->text);

    return order != 0 ? order : (*x)->line < (*y)->line ? -1 : 1;
}

/* Names of a list's objects must differ. Owners have none. */
static int check_names(struct parser *p, const struct list *list, const struct yaml_node *n, size_t max_bytes)
{
    const struct yaml_node **names = calloc(n->n_children + 1, sizeof(*names));
    int err = names != NULL ? 0 : error_set(p->e, -ENOMEM, "%s: out of memory", p->name);

    for (size_t i = 0; err == 0 && i < n->n_children; i++) {
        names[i] = member(n->children[i], list->fields[0].key);
        err = check_text(p, names[i], list->fields[0].key, max_bytes);
    }
    if (err == 0)
        qsort(names, n->n_children, sizeof(*names), compare_named);
    for (size_t i = 1; err == 0 && i < n->n_children; i++)
        if (strcmp(names[i - 1]->text, names[i]->text) == 0)
            err = error_set(p->e, -EINVAL, "%s:%u: '%s' is in %s twice; the first is in line %u", p->name,
                            names[i]->line, show(names[i]->text).text, list->key, names[i - 1]->line);
    free(names);
    return err;
}

/* The line and site of the entry that has the prefix first; for the message about a prefix in two sites. */
static const struct yaml_node *find_prefix(const struct yaml_node *sites, const char *text, const char **ret_site)
{
    struct ip_addr addr, a;
    uint8_t af, len, f, l;

    ip_parse_cidr(text, &addr, &af, &len);
    for (size_t i = 0; i < sites->n_children; i++) {
        const struct yaml_node *prefixes = member(sites->children[i], "prefixes");
        for (size_t k = 0; k < prefixes->n_children; k++) {
            if (ip_parse_cidr(prefixes->children[k]->text, &a, &f, &l) == 0 && f == af && l == len &&
                memcmp(&a, &addr, sizeof(a)) == 0) {
                *ret_site = member(sites->children[i], "name")->text;
                return prefixes->children[k];
            }
        }
    }
    return NULL;
}

static int site_error(struct parser *p, int err, const struct yaml_node *sites, const struct yaml_node *prefix)
{
    const char *other = "";

    if (err == -EEXIST) {
        const struct yaml_node *first = find_prefix(sites, prefix->text, &other);
        return error_set(p->e, err, "%s:%u: prefix %s already belongs to site '%s' in line %u", p->name, prefix->line,
                         show(prefix->text).text, show(other).text, first != NULL ? first->line : 0);
    }
    if (err == -EINVAL)
        return error_set(p->e, err,
                         "%s:%u: '%s' is not a prefix such as 10.1.0.0/16 or 2001:db8::/32 (no bits set behind its "
                         "length)",
                         p->name, prefix->line, show(prefix->text).text);
    return error_set(p->e, err, "%s:%u: %s", p->name, prefix->line,
                     err == -E2BIG ? "more than 65000 sites" : "out of memory");
}

static int check_sites(struct parser *p, const struct yaml_node *sites)
{
    struct site_table *t = site_table_new();
    int err = t != NULL ? 0 : error_set(p->e, -ENOMEM, "%s: out of memory", p->name);

    for (size_t i = 0; err == 0 && i < sites->n_children; i++) {
        const struct yaml_node *name = member(sites->children[i], "name");
        const struct yaml_node *prefixes = member(sites->children[i], "prefixes");
        if (strpbrk(name->text, "~/") != NULL)
            err = error_set(p->e, -EINVAL, "%s:%u: the name of a site must not hold '~' or '/': '%s'", p->name,
                            name->line, show(name->text).text);
        for (size_t k = 0; err == 0 && k < prefixes->n_children; k++) {
            err = site_table_add(t, name->text, prefixes->children[k]->text);
            if (err < 0)
                site_error(p, err, sites, prefixes->children[k]);
        }
    }
    site_table_free(t);
    return err;
}

static int check_services(struct parser *p, const struct yaml_node *services)
{
    struct service_table *t = service_table_new();
    int err = t != NULL ? 0 : error_set(p->e, -ENOMEM, "%s: out of memory", p->name);

    for (size_t i = 0; err == 0 && i < services->n_children; i++) {
        const struct yaml_node *name = member(services->children[i], "name");
        const struct yaml_node *endpoints = member(services->children[i], "endpoints");
        if (strpbrk(name->text, "~/") != NULL)
            err = error_set(p->e, -EINVAL, "%s:%u: the name of a service must not hold '~' or '/': '%s'", p->name,
                            name->line, show(name->text).text);
        for (size_t k = 0; err == 0 && k < endpoints->n_children; k++) {
            const struct yaml_node *n = endpoints->children[k];
            err = service_table_add(t, name->text, n->text);
            if (err == -EINVAL)
                error_set(p->e, err,
                          "%s:%u: '%s' is not an endpoint such as tcp/443, udp/5000-5010 or tcp/443@10.0.0.0/8",
                          p->name, n->line, show(n->text).text);
            else if (err < 0)
                error_set(p->e, err, "%s:%u: %s", p->name, n->line,
                          err == -E2BIG ? "too many services" : "out of memory");
        }
    }
    service_table_free(t);
    return err;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int no_such_site(struct parser *p, const struct yaml_node *site)
{
    struct suggestion s = {0};

    for (size_t i = 0; i < p->c->n_sites; i++)
        suggest(&s, site->text, p->c->sites[i].name, strlen(p->c->sites[i].name));
    return error_set(p->e, -EINVAL, "%s:%u: there is no site '%s'%s%s%s", p->name, site->line, show(site->text).text,
                     s.text[0] != '\0' ? " (did you mean '" : "", show(s.text).text, s.text[0] != '\0' ? "'?)" : "");
}

static int check_circuits(struct parser *p, const struct yaml_node *circuits)
{
    size_t n_sites = p->c->n_sites;
    char **names = calloc(n_sites + 1, sizeof(char *));
    int err = names != NULL ? 0 : error_set(p->e, -ENOMEM, "%s: out of memory", p->name);

    for (size_t i = 0; names != NULL && i < n_sites; i++)
        names[i] = p->c->sites[i].name;
    if (names != NULL)
        qsort(names, n_sites, sizeof(char *), compare_strings);
    for (size_t i = 0; err == 0 && i < circuits->n_children; i++) {
        const struct yaml_node *site = member(circuits->children[i], "site");
        struct ip_addr addr;
        uint8_t af, len;
        bool prefix = strchr(site->text, '/') != NULL && ip_parse_cidr(site->text, &addr, &af, &len) == 0;
        if (!prefix && bsearch(&site->text, names, n_sites, sizeof(char *), compare_strings) == NULL)
            err = no_such_site(p, site);
    }
    free(names);
    return err;
}

static int check_mirrors(struct parser *p, const struct yaml_node *mirrors)
{
    if (mirrors->n_children <= MAX_MIRRORS)
        return 0;
    return error_set(p->e, -E2BIG, "%s:%u: more than %u mirrors; run a second sensor", p->name,
                     mirrors->children[MAX_MIRRORS]->line, MAX_MIRRORS);
}

static int check_owners(struct parser *p, const struct yaml_node *owners)
{
    for (size_t i = 0; i < owners->n_children; i++) {
        const struct yaml_node *n = owners->children[i];
        bool is_default = strcmp(member(n, "kind")->text, "default") == 0;
        if (is_default == (member(n, "match") != NULL))
            return error_set(p->e, -EINVAL, "%s:%u: an owner of kind %s %s a match", p->name, n->line,
                             member(n, "kind")->text, is_default ? "has no" : "needs");
    }
    return 0;
}

static int check_relations(struct parser *p, const struct yaml_node *root)
{
    static const struct {
        const char *key;
        size_t name_bytes; /* 0: the first field is no name */
        int (*check)(struct parser *p, const struct yaml_node *n);
    } checks[] = {{"sites", SITE_NAME_BYTES - 1, check_sites},
                  {"services", SERVICE_NAME_BYTES - 1, check_services},
                  {"mirrors", 63, check_mirrors},
                  {"circuits", 63, check_circuits},
                  {"owners", 0, check_owners}};

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        const struct yaml_node *n = member(root, checks[i].key);
        int err = 0;
        if (n == NULL || n->kind != YAML_SEQUENCE)
            continue;
        if (checks[i].name_bytes != 0)
            err = check_names(p, &lists[i], n, checks[i].name_bytes);
        if (err == 0 && checks[i].check != NULL)
            err = checks[i].check(p, n);
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- public ---- */

static struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->values = calloc(1, sizeof(*c->values));
    if (c->values == NULL)
        goto fail;
    for (size_t i = 0; i < N_PARAMS; i++) {
        struct value *v = &c->values->value[i];
        bool good = parse_value(&params[i], params[i].fallback, v) && in_range(&params[i], v);
        assert(good); /* a mistake in params.def */
        if (params[i].type != PARAM_STRING && params[i].type != PARAM_CHOICE)
            continue;
        v->string = strdup(params[i].fallback);
        if (v->string == NULL)
            goto fail;
    }
    return c;
fail:
    config_free(c);
    return NULL;
}

static void free_item(const struct list *list, char *item)
{
    for (const struct field *f = list->fields; f->key != NULL; f++) {
        char **at = (char **)(void *)(item + f->offset);
        if (f->type == FIELD_RATE)
            continue;
        if (f->type == FIELD_STRINGS && *at != NULL) {
            char **strings = *(char ***)(void *)at;
            for (size_t i = 0; i < *(size_t *)(void *)(at + 1); i++)
                free(strings[i]);
        }
        free(*at);
    }
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < N_LISTS; i++) {
        for (size_t k = 0; k < *count_of(c, &lists[i]); k++)
            free_item(&lists[i], *items_of(c, &lists[i]) + k * lists[i].item_bytes);
        free(*items_of(c, &lists[i]));
    }
    for (size_t i = 0; c->values != NULL && i < N_PARAMS; i++)
        free(c->values->value[i].string);
    free(c->values);
    free(c);
}

int config_parse(const char *text, size_t len, const char *name, struct config **ret_config, struct error *e)
{
    struct yaml_node *root = NULL;
    int err = yaml_tree_parse(text, len, name, &root, e);

    if (err < 0)
        return err;
    struct parser p = {.name = name, .c = config_new(), .e = e};
    if (p.c == NULL) {
        err = error_set(e, -ENOMEM, "%s: out of memory", name);
    } else if (root != NULL) {
        err = read_section(&p, "", root);
        if (err == 0 && root->kind == YAML_MAPPING)
            err = check_relations(&p, root);
    }
    yaml_tree_free(root);
    if (err < 0) {
        config_free(p.c);
        return err;
    }
    *ret_config = p.c;
    return 0;
}

/* Reads at most one byte more than a configuration may have. */
static int read_file(int fd, char *buf, size_t size, size_t *ret_len)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, buf + len, size - len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    *ret_len = len;
    return 0;
}

int config_load(const char *path, struct config **ret_config, struct error *e)
{
    const size_t room = YAML_MAX_BYTES + 1;
    size_t len = 0;

    if (path == NULL)
        return config_parse("", 0, "defaults", ret_config, e);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int err = -errno;
        return error_set(e, err, "%s: cannot open the configuration: %s", path, strerror(-err));
    }
    char *buf = malloc(room);
    int err = buf != NULL ? read_file(fd, buf, room, &len) : -ENOMEM;
    close(fd);
    if (err < 0)
        error_set(e, err, "%s: cannot read the configuration: %s", path, strerror(-err));
    else
        err = config_parse(buf, len, path, ret_config, e);
    free(buf);
    return err;
}

static const struct value *find_value(const struct config *c, const char *name, unsigned types)
{
    for (size_t i = 0; i < N_PARAMS; i++) {
        if (strcmp(params[i].name, name) == 0) {
            assert((types >> params[i].type & 1) != 0);
            return &c->values->value[i];
        }
    }
    fprintf(stderr, "params.def has no parameter '%s'\n", name); /* a programmer's mistake, found by any test */
    abort();
}

uint64_t config_u64(const struct config *c, const char *name)
{
    return find_value(c, name, 1u << PARAM_U64 | 1u << PARAM_DURATION | 1u << PARAM_SIZE)->u;
}

double config_double(const struct config *c, const char *name)
{
    return find_value(c, name, 1u << PARAM_DOUBLE)->d;
}

bool config_bool(const struct config *c, const char *name)
{
    return find_value(c, name, 1u << PARAM_BOOL)->u != 0;
}

const char *config_string(const struct config *c, const char *name)
{
    return find_value(c, name, 1u << PARAM_STRING | 1u << PARAM_CHOICE)->string;
}

bool config_is_set(const struct config *c, const char *name)
{
    return find_value(c, name, ~0u)->is_set;
}

const char *config_needs_restart(const struct config *running, const struct config *fresh)
{
    for (size_t i = 0; i < N_PARAMS; i++) {
        const struct value *a = &running->values->value[i], *b = &fresh->values->value[i];
        bool same = a->string != NULL ? strcmp(a->string, b->string) == 0 : compare_values(&params[i], a, b) == 0;
        if (!same && !params[i].reload)
            return params[i].name;
    }
    return NULL;
}

struct site_table *config_site_table(const struct config *c, struct error *e)
{
    struct site_table *t = site_table_new();
    int err = t != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; err == 0 && i < c->n_sites; i++)
        for (size_t k = 0; err == 0 && k < c->sites[i].n_prefixes; k++)
            err = site_table_add(t, c->sites[i].name, c->sites[i].prefixes[k]);
    if (err < 0) {
        error_set(e, err, "cannot build the table of sites: %s", strerror(-err));
        site_table_free(t);
        return NULL;
    }
    site_table_finish(t);
    return t;
}

struct service_table *config_service_table(const struct config *c, struct error *e)
{
    struct service_table *t = service_table_new();
    int err = t != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; err == 0 && i < c->n_services; i++)
        for (size_t k = 0; err == 0 && k < c->services[i].n_endpoints; k++)
            err = service_table_add(t, c->services[i].name, c->services[i].endpoints[k]);
    if (err < 0) {
        error_set(e, err, "cannot build the table of services: %s", strerror(-err));
        service_table_free(t);
        return NULL;
    }
    return t;
}

static void print_params(FILE *out)
{
    const char *section = "";
    size_t section_len = 0;
    char allowed[160];

    for (size_t i = 0; i < N_PARAMS; i++) {
        const struct param *p = &params[i];
        size_t len = strcspn(p->name, ".");
        if (len != section_len || strncmp(section, p->name, len) != 0) {
            section = p->name;
            section_len = len;
            fprintf(out, "\n## %.*s\n\n| parameter | allowed | default | reload | meaning |\n|---|---|---|---|---|\n",
                    (int)len, section);
        }
        fprintf(out, "| `%s` | %s | %s%s%s | %s | %s |\n", p->name, describe(p, allowed, sizeof(allowed)),
                p->fallback[0] != '\0' ? "`" : "", p->fallback[0] != '\0' ? p->fallback : "empty",
                p->fallback[0] != '\0' ? "`" : "", p->reload ? "yes" : "restart", p->text);
    }
}

static void print_lists(FILE *out)
{
    for (size_t i = 0; i < N_LISTS; i++) {
        fprintf(out, "\n## %s\n\n%s\n\n| key | needed | meaning |\n|---|---|---|\n", lists[i].key, lists[i].text);
        for (const struct field *f = lists[i].fields; f->key != NULL; f++)
            fprintf(out, "| `%s` | %s | %s |\n", f->key, f->required ? "yes" : "no", f->text);
    }
}

void config_print_reference(FILE *out)
{
    fprintf(
        out,
        "# Configuration\n\n"
        "<!-- Generated from common/params.def and common/config.c by scripts/format; do not edit. -->\n\n"
        "One YAML file. A dot in a name is a section: `capture.flows` is `flows` below `capture:`. Every key has a\n"
        "default, and the file may be empty. Unknown keys, values out of range and the same key twice are errors\n"
        "that name the line; nothing is half-applied. `reload: yes` means that SIGHUP takes the new value over;\n"
        "the lists are always taken over.\n\n"
        "```yaml\n"
        "sensor:\n"
        "  name: hq-span1\n"
        "window:\n"
        "  length: 10s\n"
        "sites:\n"
        "  - name: headquarters\n"
        "    prefixes: [10.1.0.0/16, \"2001:db8:1::/48\"]\n"
        "    owner: Team Core\n"
        "  - name: branch-12\n"
        "    prefixes: [10.12.0.0/16]\n"
        "services:\n"
        "  - name: erp\n"
        "    endpoints: [tcp/8443@10.1.0.0/16]\n"
        "circuits:\n"
        "  - id: C-4711\n"
        "    carrier: Example Telecom\n"
        "    site: branch-12\n"
        "    capacity: 100Mbit/s\n"
        "owners:\n"
        "  - kind: default\n"
        "    owner: Network Operations\n"
        "```\n");
    print_params(out);
    print_lists(out);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From the YAML tree to the configuration. A section's keys are looked up in the tables; a name that is not there gets
 * the nearest known one as a suggestion (Levenshtein distance, at most a third of the word). Every message has the same
 * form: "file:line: what is wrong, what is allowed", with text of the file escaped.
 *
 * Relations between objects (the same prefix in two sites, a circuit at a site that does not exist) are checked when
 * all is read, still with lines. All checks are at most n log n in the size of the file.
 *
 * The first error ends the work: later ones are often its consequence.
 */

#include "common/config_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/service.h"
#include "common/site.h"

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

    for (size_t i = 0; i < CONFIG_N_PARAMS; i++)
        if (strncmp(config_params[i].name, prefix, len) == 0)
            suggest(s, wrong, config_params[i].name + len, strcspn(config_params[i].name + len, "."));
    for (size_t i = 0; len == 0 && i < CONFIG_N_LISTS; i++)
        suggest(s, wrong, config_lists[i].key, strlen(config_lists[i].key));
}

static int set_param(struct parser *p, size_t index, const struct yaml_node *n)
{
    const struct param *param = &config_params[index];
    struct value *v = &p->c->values->value[index];
    char allowed[160];

    if (n->kind != YAML_SCALAR)
        return error_set(p->e, -EINVAL, "%s:%u: %s is one value, not a %s; allowed: %s", p->name, n->line, param->name,
                         n->kind == YAML_MAPPING ? "section" : "list",
                         config_param_describe(param, allowed, sizeof(allowed)));
    if (!config_value_parse(param, n->text, v))
        return error_set(p->e, -EINVAL, "%s:%u: %s: '%s' is not %s", p->name, n->line, param->name, show(n->text).text,
                         config_param_describe(param, allowed, sizeof(allowed)));
    if (!config_value_in_range(param, v))
        return error_set(p->e, -ERANGE, "%s:%u: %s: %s is out of range; allowed: %s", p->name, n->line, param->name,
                         show(n->text).text, config_param_describe(param, allowed, sizeof(allowed)));
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
    if (!config_is_clean(n->text))
        return error_set(p->e, -EINVAL, "%s:%u: %s holds a control character: '%s'", p->name, n->line, what,
                         show(n->text).text);
    return 0;
}

static int set_string(struct parser *p, char **at, const struct yaml_node *n, const char *what)
{
    int err = check_text(p, n, what, CONFIG_MAX_STRING_BYTES);

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
        if (n->kind == YAML_SCALAR && config_rate_parse(n->text, at) && *(uint64_t *)at != 0)
            return 0;
        return error_set(p->e, -EINVAL, "%s:%u: %s: not a rate such as 100Mbit/s or 2.5Gbit/s", p->name, n->line,
                         f->key);
    case FIELD_KIND:
        if (n->kind == YAML_SCALAR && config_is_choice("site,circuit,service,default", n->text))
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
    *config_list_items(p->c, list) = items;
    *config_list_count(p->c, list) = n->n_children; /* entries that are not read yet are all zero and safe to free */
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

        for (size_t k = 0; word && err == 1 && k < CONFIG_N_PARAMS; k++) {
            if (strcmp(config_params[k].name, name) == 0) {
                err = set_param(p, k, child);
            } else if (strncmp(config_params[k].name, name, len) == 0 && config_params[k].name[len] == '.') {
                strcat(name, ".");
                err = read_section(p, name, child);
            }
        }
        for (size_t k = 0; word && err == 1 && prefix[0] == '\0' && k < CONFIG_N_LISTS; k++)
            if (strcmp(config_lists[k].key, name) == 0)
                err = read_list(p, &config_lists[k], child);
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
    if (mirrors->n_children <= CONFIG_MAX_MIRRORS)
        return 0;
    return error_set(p->e, -E2BIG, "%s:%u: more than %u mirrors; run a second sensor", p->name,
                     mirrors->children[CONFIG_MAX_MIRRORS]->line, CONFIG_MAX_MIRRORS);
}

static int check_owners(struct parser *p, const struct yaml_node *owners)
{
    for (size_t i = 0; i < owners->n_children; i++) {
        const struct yaml_node *n = owners->children[i];
        bool is_default = strcmp(member(n, "kind")->text, "default") == 0;
        if (is_default == (member(n, "match") != NULL))
            return error_set(p->e, -EINVAL, "%s:%u: an owner of kind %s %s match", p->name, n->line,
                             member(n, "kind")->text, is_default ? "takes no" : "needs a");
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
            err = check_names(p, &config_lists[i], n, checks[i].name_bytes);
        if (err == 0 && checks[i].check != NULL)
            err = checks[i].check(p, n);
        if (err < 0)
            return err;
    }
    return 0;
}

int config_read(const struct yaml_node *root, const char *name, struct config *c, struct error *e)
{
    struct parser p = {.name = name, .c = c, .e = e};
    int err = read_section(&p, "", root);

    return err == 0 && root->kind == YAML_MAPPING ? check_relations(&p, root) : err;
}

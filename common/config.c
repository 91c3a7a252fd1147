/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The configuration's life: defaults from the table, then the file over them (config_read.c), then look-ups by name.
 * config_table.c holds the tables that say what there is; reading, freeing and the printed reference all walk them, so
 * a new parameter is one row in params.def and a new field of a list is one row there.
 *
 * A look-up by a name that is not in the table is a mistake in the program, not in the file: it ends the program.
 */

#include "common/config_table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/service.h"
#include "common/site.h"

static struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->values = calloc(1, sizeof(*c->values));
    if (c->values == NULL)
        goto fail;
    for (size_t i = 0; i < CONFIG_N_PARAMS; i++) {
        struct value *v = &c->values->value[i];
        bool good = config_value_parse(&config_params[i], config_params[i].fallback, v) &&
                    config_value_in_range(&config_params[i], v);
        assert(good); /* a mistake in params.def */
        if (config_params[i].type != PARAM_STRING && config_params[i].type != PARAM_CHOICE)
            continue;
        v->string = strdup(config_params[i].fallback);
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
    for (size_t i = 0; i < CONFIG_N_LISTS; i++) {
        for (size_t k = 0; k < *config_list_count(c, &config_lists[i]); k++)
            free_item(&config_lists[i], *config_list_items(c, &config_lists[i]) + k * config_lists[i].item_bytes);
        free(*config_list_items(c, &config_lists[i]));
    }
    for (size_t i = 0; c->values != NULL && i < CONFIG_N_PARAMS; i++)
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
    struct config *c = config_new();
    if (c == NULL)
        err = error_set(e, -ENOMEM, "%s: out of memory", name);
    else if (root != NULL)
        err = config_read(root, name, c, e);
    yaml_tree_free(root);
    if (err < 0) {
        config_free(c);
        return err;
    }
    *ret_config = c;
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
    for (size_t i = 0; i < CONFIG_N_PARAMS; i++) {
        if (strcmp(config_params[i].name, name) == 0) {
            assert((types >> config_params[i].type & 1) != 0);
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

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_value(size_t i, const struct value *a, const struct value *b)
{
    return a->string != NULL ? strcmp(a->string, b->string) == 0 : config_value_compare(&config_params[i], a, b) == 0;
}

static bool same_field(const struct field *f, char *a, char *b)
{
    char **x = (char **)(void *)(a + f->offset), **y = (char **)(void *)(b + f->offset);

    if (f->type == FIELD_RATE)
        return memcmp(x, y, sizeof(uint64_t)) == 0;
    if (f->type != FIELD_STRINGS)
        return same_text(*x, *y);
    size_t n = *(size_t *)(void *)(x + 1);
    bool same = n == *(size_t *)(void *)(y + 1);
    for (size_t i = 0; i < n && same; i++)
        same = same_text((*(char ***)(void *)x)[i], (*(char ***)(void *)y)[i]);
    return same;
}

/* The accessors of lists take no const; nothing is changed here. */
static bool same_list(const struct list *list, struct config *a, struct config *b)
{
    size_t n = *config_list_count(a, list);
    bool same = n == *config_list_count(b, list);

    for (size_t i = 0; i < n && same; i++)
        for (const struct field *f = list->fields; f->key != NULL && same; f++)
            same = same_field(f, *config_list_items(a, list) + i * list->item_bytes,
                              *config_list_items(b, list) + i * list->item_bytes);
    return same;
}

void config_changes(const struct config *running, const struct config *fresh, bool lists,
                    void (*changed)(void *ctx, const char *name), void *ctx)
{
    for (size_t i = 0; i < CONFIG_N_PARAMS; i++)
        if (!config_params[i].reload && !same_value(i, &running->values->value[i], &fresh->values->value[i]))
            changed(ctx, config_params[i].name);
    for (size_t i = 0; lists && i < CONFIG_N_LISTS; i++)
        if (!same_list(&config_lists[i], (struct config *)(uintptr_t)running, (struct config *)(uintptr_t)fresh))
            changed(ctx, config_lists[i].key);
}

int config_keep(struct config *fresh, const struct config *running, struct error *e)
{
    for (size_t i = 0; i < CONFIG_N_PARAMS; i++) {
        const struct value *from = &running->values->value[i];
        struct value *to = &fresh->values->value[i];
        if (config_params[i].reload)
            continue;
        char *string = from->string != NULL ? strdup(from->string) : NULL;
        if (from->string != NULL && string == NULL)
            return error_set(e, -ENOMEM, "no memory for the configuration");
        free(to->string);
        *to = *from;
        to->string = string;
    }
    return 0;
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

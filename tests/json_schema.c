/* SPDX-License-Identifier: BSD-3-Clause */

/* See json_schema.h. */

#include "tests/json_schema.h"

#include <stdio.h>
#include <string.h>

struct check {
    const json_t *root;
    char *why;
    size_t why_size;
    char path[256];
};

static bool is_type(const json_t *v, const char *type)
{
    if (strcmp(type, "number") == 0)
        return json_is_number(v);
    if (strcmp(type, "integer") == 0)
        return json_is_integer(v);
    if (strcmp(type, "string") == 0)
        return json_is_string(v);
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(v);
    if (strcmp(type, "null") == 0)
        return json_is_null(v);
    if (strcmp(type, "array") == 0)
        return json_is_array(v);
    return strcmp(type, "object") == 0 && json_is_object(v);
}

static bool fail(struct check *c, const char *what, const char *detail)
{
    snprintf(c->why, c->why_size, "%s: %s %s", c->path[0] != '\0' ? c->path : "(top)", what, detail);
    return false;
}

static bool check_type(struct check *c, const json_t *type, const json_t *v)
{
    size_t i;
    json_t *one;

    if (json_is_string(type) && is_type(v, json_string_value(type)))
        return true;
    json_array_foreach(type, i, one) if (is_type(v, json_string_value(one))) return true;
    return fail(c, "has the wrong type", json_is_string(type) ? json_string_value(type) : "");
}

static bool check_value(struct check *c, const json_t *schema, const json_t *v);

/* One level down, with the path kept for messages. */
static bool check_inner(struct check *c, const char *key, const json_t *schema, const json_t *v)
{
    size_t len = strlen(c->path);

    snprintf(c->path + len, sizeof(c->path) - len, "/%s", key);
    bool good = check_value(c, schema, v);
    if (good)
        c->path[len] = '\0';
    return good;
}

static bool check_object(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    const char *key;
    json_t *inner;
    size_t i;

    if (!json_is_object(v))
        return true;
    json_array_foreach(required, i, inner) if (json_object_get(v, json_string_value(inner)) ==
                                               NULL) return fail(c, "lacks", json_string_value(inner));
    json_object_foreach((json_t *)(size_t)v, key, inner)
    {
        const json_t *s = json_object_get(properties, key);
        if (s == NULL && json_is_false(json_object_get(schema, "additionalProperties")))
            return fail(c, "has the unknown key", key);
        if (s != NULL && !check_inner(c, key, s, inner))
            return false;
    }
    return true;
}

static bool check_keywords(struct check *c, const json_t *schema)
{
    static const char *const known[] = {"$schema", "title",    "description",          "$defs", "type",    "properties",
                                        "enum",    "required", "additionalProperties", "items", "minimum", "maximum"};
    const char *key;
    json_t *inner;

    json_object_foreach((json_t *)(size_t)schema, key, inner)
    {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(known[0]) && strcmp(key, known[i]) != 0)
            i++;
        if (i == sizeof(known) / sizeof(known[0]))
            return fail(c, "the schema has the unknown keyword", key);
    }
    return true;
}

static bool check_bounds(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *minimum = json_object_get(schema, "minimum"), *maximum = json_object_get(schema, "maximum");

    if (!json_is_number(v))
        return true;
    if (minimum != NULL && json_number_value(v) < json_number_value(minimum))
        return fail(c, "is below the minimum", "");
    if (maximum != NULL && json_number_value(v) > json_number_value(maximum))
        return fail(c, "is above the maximum", "");
    return true;
}

static bool check_enum(struct check *c, const json_t *values, const json_t *v)
{
    size_t i;
    json_t *one;

    json_array_foreach(values, i, one) if (json_equal(one, v)) return true;
    return fail(c, "is none of the values allowed:", json_is_string(v) ? json_string_value(v) : "");
}

static bool check_value(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *ref = json_object_get(schema, "$ref");
    const json_t *k;
    json_t *one;
    size_t i;

    if (ref != NULL) {
        const json_t *target =
            json_object_get(json_object_get(c->root, "$defs"), strrchr(json_string_value(ref), '/') + 1);
        return target != NULL ? check_value(c, target, v) : fail(c, "the schema lacks", json_string_value(ref));
    }
    if (!check_keywords(c, schema))
        return false;
    if ((k = json_object_get(schema, "type")) != NULL && !check_type(c, k, v))
        return false;
    if ((k = json_object_get(schema, "enum")) != NULL && !check_enum(c, k, v))
        return false;
    if (!check_bounds(c, schema, v) || !check_object(c, schema, v))
        return false;
    if ((k = json_object_get(schema, "items")) != NULL) {
        json_array_foreach(v, i, one) if (!check_inner(c, "[]", k, one)) return false;
    }
    return true;
}

bool json_schema_check(const json_t *schema, const json_t *value, char *why, size_t why_size)
{
    struct check c = {.root = schema, .why = why, .why_size = why_size};

    why[0] = '\0';
    return check_value(&c, schema, value);
}

bool json_schema_in_order(const json_t *schema, const json_t *value)
{
    void *at = json_object_iter(json_object_get(schema, "properties"));
    const char *key;
    json_t *inner;

    json_object_foreach((json_t *)(size_t)value, key, inner)
    {
        while (at != NULL && strcmp(json_object_iter_key(at), key) != 0)
            at = json_object_iter_next(json_object_get(schema, "properties"), at);
        if (at == NULL)
            return false;
    }
    return true;
}

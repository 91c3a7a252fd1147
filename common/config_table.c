/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The two tables of the configuration, the syntax of values, and the reference printed from the tables.
 *
 * Numbers are read by hand and exactly: "2.5Gbit/s" is 2,500,000,000 bit/s, "1.5GiB" a whole number of bytes, and what
 * does not fit in 64 bits is refused instead of wrapped. strtod is not used: it follows the locale and accepts "inf",
 * "nan" and hexadecimal.
 */

#include "common/config_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/timefmt.h"

#define P(name, type, fallback, min, max, unit, reload, text)                                                          \
    {name, PARAM_##type, fallback, min, max, unit, reload, text},
const struct param config_params[CONFIG_N_PARAMS] = {
#include "common/params.def"
};
#undef P

#define FIELD(type, member, key, kind, required, text)                                                                 \
    {                                                                                                                  \
        key, kind, offsetof(struct type, member), required, text                                                       \
    }

const struct list config_lists[CONFIG_N_LISTS] = {
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
     "Carrier links behind a site. What crosses the tap from or to the site is counted for its circuit; where a site "
     "has "
     "several, for the first in the order of the file whose peer and mirror fit.",
     {FIELD(config_circuit, id, "id", FIELD_STRING, true, "the carrier's circuit id"),
      FIELD(config_circuit, carrier, "carrier", FIELD_STRING, false, "name of the carrier"),
      FIELD(config_circuit, site, "site", FIELD_STRING, true, "name of a site, or the prefix of an automatic one"),
      FIELD(config_circuit, contact, "contact", FIELD_STRING, false, "how to reach the carrier"),
      FIELD(config_circuit, owner, "owner", FIELD_STRING, false, "team or person who answers for it"),
      FIELD(config_circuit, capacity_bits_per_s, "capacity", FIELD_RATE, false, "rate, such as 100Mbit/s"),
      FIELD(config_circuit, peer, "peer", FIELD_STRING, false,
            "only traffic with sites of this name, with * and ? as wildcards"),
      FIELD(config_circuit, mirror, "mirror", FIELD_STRING, false, "only traffic that this mirror shows")}},
    {"owners",
     offsetof(struct config, owners),
     sizeof(struct config_owner),
     "Who answers for what. The first match in the order of the file wins.",
     {FIELD(config_owner, match_kind, "kind", FIELD_KIND, true, "site, circuit, service or default"),
      FIELD(config_owner, match, "match", FIELD_STRING, false, "name, with * and ? as wildcards; not for default"),
      FIELD(config_owner, owner, "owner", FIELD_STRING, true, "team or person")}},
};

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
bool config_is_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = choices; len > 0 && *p != '\0'; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ',')) {
        if (strcspn(p, ",") == len && memcmp(p, word, len) == 0)
            return true;
    }
    return false;
}

bool config_is_clean(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

static size_t max_string_bytes(const struct param *param)
{
    uint64_t max = CONFIG_MAX_STRING_BYTES;

    parse_scaled(param->max, no_units, &max); /* leaves it alone when there is none */
    return (size_t)max;
}

/* Parses text as the parameter's type; no ranges of numbers. */
bool config_value_parse(const struct param *param, const char *text, struct value *v)
{
    switch (param->type) {
    case PARAM_U64:
        return parse_scaled(text, no_units, &v->u) && strchr(text, '.') == NULL && strchr(text, ' ') == NULL;
    case PARAM_DOUBLE:
        return parse_decimal(text, &v->d);
    case PARAM_BOOL:
        return parse_bool(text, &v->u);
    case PARAM_STRING:
        return config_is_clean(text) && strlen(text) <= max_string_bytes(param);
    case PARAM_CHOICE:
        return config_is_choice(param->min, text);
    case PARAM_DURATION:
        return parse_duration(text, &v->u) == 0;
    case PARAM_SIZE:
        return parse_scaled(text, size_units, &v->u);
    }
    return false;
}

int config_value_compare(const struct param *param, const struct value *a, const struct value *b)
{
    if (param->type == PARAM_DOUBLE)
        return (a->d > b->d) - (a->d < b->d);
    return (a->u > b->u) - (a->u < b->u);
}

bool config_value_in_range(const struct param *param, const struct value *v)
{
    struct value bound = {0};

    if (param->type == PARAM_CHOICE || param->type == PARAM_STRING)
        return true;
    if (param->min[0] != '\0' && config_value_parse(param, param->min, &bound) &&
        config_value_compare(param, v, &bound) < 0)
        return false;
    return param->max[0] == '\0' || !config_value_parse(param, param->max, &bound) ||
           config_value_compare(param, v, &bound) <= 0;
}

/* "a whole number from 1 to 64 workers" */
const char *config_param_describe(const struct param *param, char *buf, size_t size)
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

bool config_rate_parse(const char *text, uint64_t *ret_bits_per_s)
{
    return parse_scaled(text, rate_units, ret_bits_per_s);
}

char **config_list_items(struct config *c, const struct list *list)
{
    return (char **)(void *)((char *)c + list->items_offset);
}

size_t *config_list_count(struct config *c, const struct list *list)
{
    return (size_t *)(void *)(config_list_items(c, list) + 1);
}

static void print_params(FILE *out)
{
    const char *section = "";
    size_t section_len = 0;
    char allowed[160];

    for (size_t i = 0; i < CONFIG_N_PARAMS; i++) {
        const struct param *p = &config_params[i];
        size_t len = strcspn(p->name, ".");
        if (len != section_len || strncmp(section, p->name, len) != 0) {
            section = p->name;
            section_len = len;
            fprintf(out, "\n## %.*s\n\n| parameter | allowed | default | reload | meaning |\n|---|---|---|---|---|\n",
                    (int)len, section);
        }
        fprintf(out, "| `%s` | %s | %s%s%s | %s | %s |\n", p->name, config_param_describe(p, allowed, sizeof(allowed)),
                p->fallback[0] != '\0' ? "`" : "", p->fallback[0] != '\0' ? p->fallback : "empty",
                p->fallback[0] != '\0' ? "`" : "", p->reload ? "yes" : "restart", p->text);
    }
}

static void print_lists(FILE *out)
{
    for (size_t i = 0; i < CONFIG_N_LISTS; i++) {
        fprintf(out, "\n## %s\n\n%s\n\n| key | needed | meaning |\n|---|---|---|\n", config_lists[i].key,
                config_lists[i].text);
        for (const struct field *f = config_lists[i].fields; f->key != NULL; f++)
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

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Command lines against the command table.
 *
 * Options may stand anywhere after the command: --name VALUE, --name=VALUE, -x VALUE, -xVALUE; "--" ends them. A value
 * may begin with "-" (--sort -loss). An option given twice: the last one counts. getopt_long(3) is not used because it
 * cannot say which option was probably meant, and because the table with the help texts is needed anyway.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"

static const struct option_def help_option[] = {
    {"help", NULL, 'h', "show this text"},
    {NULL, NULL, 0, NULL},
};

static const struct option_def output_options[] = {
    {"json", NULL, 0, "one JSON object per line, raw values"},
    {"plain", NULL, 0, "tab-separated raw values under a header line"},
    {"utc", NULL, 0, "show times in UTC instead of the local zone"},
    {"no-color", NULL, 0, "no colours (also: NO_COLOR=1, or no terminal)"},
    {NULL, NULL, 0, NULL},
};

static const struct option_def row_options[] = {
    {"columns", "LIST", 'c', "show these columns, separated by commas, or 'all'"},
    {"sort", "COLUMN", 's', "sort by a column; -COLUMN sorts downwards"},
    {"limit", "N", 'n', "show at most N rows; 0 shows all"},
    {NULL, NULL, 0, NULL},
};

static const struct option_def store_options[] = {
    {"redis", "URL", 0,
     "unix:/path, redis[s]://host:port, redis+cluster://, redis+sentinel:// (also: SPANWARD_REDIS, store.redis in the "
     "configuration)"},
    {"config", "FILE", 0, "configuration file"},
    {NULL, NULL, 0, NULL},
};

static const struct option_def send_options[] = {
    {"as", "NAME", 0, "in whose name (default: the login name); kept in the history"},
    {"timeout", "SECONDS", 0, "how long to wait for control's answer (default: 5)"},
    {NULL, NULL, 0, NULL},
};

static const struct {
    unsigned set;
    const struct option_def *options;
} option_sets[] = {
    {OPTIONS_SEND, send_options},
    {OPTIONS_ROWS, row_options},
    {OPTIONS_OUTPUT, output_options},
    {OPTIONS_STORE, store_options},
};

void command_options(const struct command *c, void (*each)(void *ctx, const struct option_def *o), void *ctx)
{
    for (const struct option_def *o = c->options; o != NULL && o->name != NULL; o++)
        each(ctx, o);
    for (size_t i = 0; i < sizeof(option_sets) / sizeof(option_sets[0]); i++)
        for (const struct option_def *o = option_sets[i].options; (c->sets & option_sets[i].set) && o->name; o++)
            each(ctx, o);
    each(ctx, help_option);
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance; words of up to 31 letters, longer ones are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), row[32];

    if (la > 31 || lb > 31)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[lb];
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
    size_t best = SIZE_MAX, at = 0;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, names[i]);
        if (d < best) {
            best = d;
            at = i;
        }
    }
    return best != SIZE_MAX && best <= (strlen(word) + 2) / 3 ? names[at] : NULL;
}

struct search {
    const char *name;
    size_t len;
    char letter;
    const struct option_def *found;
    const char *names[MAX_OPTIONS];
    size_t n_names;
};

static void match_option(void *ctx, const struct option_def *o)
{
    struct search *s = ctx;

    if (s->letter != 0 ? o->letter == s->letter : strlen(o->name) == s->len && memcmp(o->name, s->name, s->len) == 0)
        s->found = o;
    if (s->n_names < MAX_OPTIONS)
        s->names[s->n_names++] = o->name;
}

static int unknown_option(const struct command *c, const char *arg, const struct search *s, struct error *e)
{
    char safe[64], word[32];

    text_escape(safe, sizeof(safe), arg, strcspn(arg, "="));
    snprintf(word, sizeof(word), "%.*s", (int)s->len, s->name ? s->name : "");
    const char *near = s->name ? nearest_name(word, s->names, s->n_names) : NULL;
    if (near != NULL)
        return error_set(e, -EINVAL, "unknown option '%s' (did you mean --%s?)", safe, near);
    return error_set(e, -EINVAL, "unknown option '%s'; see: spanward %s --help", safe, c->name);
}

/* argv[*i] begins with "-"; moves *i over its value. */
static int parse_option(struct args *ret, const struct command *c, int argc, char **argv, int *i, struct error *e)
{
    const char *arg = argv[*i], *value = NULL;
    struct search s = {0};

    if (arg[1] == '-') {
        s.name = arg + 2;
        s.len = strcspn(s.name, "=");
        value = s.name[s.len] == '=' ? s.name + s.len + 1 : NULL;
    } else {
        s.letter = arg[1];
        value = arg[2] != '\0' ? arg + 2 : NULL;
    }
    command_options(c, match_option, &s);
    if (s.found == NULL)
        return unknown_option(c, arg, &s, e);
    if (s.found->arg == NULL && value != NULL)
        return error_set(e, -EINVAL, "option --%s takes no value", s.found->name);
    if (s.found->arg != NULL && value == NULL) {
        if (*i + 1 >= argc)
            return error_set(e, -EINVAL, "option --%s needs a value: --%s %s", s.found->name, s.found->name,
                             s.found->arg);
        value = argv[++*i];
    }
    if (ret->n_options == MAX_OPTIONS)
        return error_set(e, -EINVAL, "too many options");
    ret->option[ret->n_options] = s.found;
    ret->value[ret->n_options++] = value ? value : "";
    return 0;
}

int args_parse(struct args *ret, const struct command *c, int argc, char **argv, struct error *e)
{
    bool options = true;

    ret->rest = argv;
    ret->n_rest = 0;
    ret->n_options = 0;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            int r = parse_option(ret, c, argc, argv, &i, e);
            if (r < 0)
                return r;
        } else {
            ret->rest[ret->n_rest++] = argv[i];
        }
    }
    if (args_has(ret, "help"))
        return 0;
    if (ret->n_rest < c->min_rest)
        return error_set(e, -EINVAL, "needs %s; see: spanward %s --help", c->usage, c->name);
    if (ret->n_rest > c->max_rest) {
        char safe[64];
        text_escape(safe, sizeof(safe), ret->rest[c->max_rest], strlen(ret->rest[c->max_rest]));
        return error_set(e, -EINVAL, "does not take '%s'; see: spanward %s --help", safe, c->name);
    }
    return 0;
}

const char *args_value(const struct args *a, const char *name)
{
    for (size_t i = a->n_options; i-- > 0;)
        if (strcmp(a->option[i]->name, name) == 0)
            return a->value[i];
    return NULL;
}

bool args_has(const struct args *a, const char *name)
{
    return args_value(a, name) != NULL;
}

int args_number(const struct args *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret, struct error *e)
{
    const char *text = args_value(a, name);
    char *end;

    if (text == NULL)
        return 0;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n < min || n > max) {
        char safe[64];
        text_escape(safe, sizeof(safe), text, strlen(text));
        return error_set(e, -EINVAL, "--%s wants a whole number from %llu to %llu, not '%s'", name,
                         (unsigned long long)min, (unsigned long long)max, safe);
    }
    *ret = n;
    return 0;
}

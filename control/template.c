/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A template is parsed once into a list of nodes: text, value, beginning of a section (with where it ends), end. To
 * render is one walk over the list; a section that does not apply is jumped over. There is no loop and no nesting by
 * recursion, so the work is bounded by the file's length and the values'.
 */

#include "control/template.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE_BYTES 65536u
#define DEPTH_MOST     8u

enum node_kind { NODE_TEXT, NODE_VALUE, NODE_IF, NODE_UNLESS, NODE_END };

struct node {
    enum node_kind kind;
    uint32_t at, len;  /* of a text, in the template's copy */
    uint32_t variable; /* of a value or section */
    uint32_t skip;     /* of a section: the node behind its end */
};

/* Owner: the caller of template_parse. Immutable after it. */
struct template
{
    char *text;
    struct node *node;
    size_t n, room;
};

/* Where the parser is; name and line are for messages. */
struct parser {
    struct template *t;
    const char *name;
    const char *const *variables;
    size_t len, at;
    unsigned line;
    size_t open[DEPTH_MOST];
    unsigned depth;
    struct error *e;
};

static int add_node(struct parser *p, struct node node)
{
    struct template *t = p->t;

    if (t->n == t->room) {
        size_t room = t->room == 0 ? 64 : t->room * 2;
        struct node *grown = realloc(t->node, room * sizeof(*grown));
        if (grown == NULL)
            return error_set(p->e, -ENOMEM, "no memory for template %.80s", p->name);
        t->node = grown;
        t->room = room;
    }
    t->node[t->n++] = node;
    return 0;
}

static int find_variable(struct parser *p, const char *name, size_t len, uint32_t *ret)
{
    for (uint32_t i = 0; p->variables[i] != NULL; i++) {
        if (strlen(p->variables[i]) == len && memcmp(p->variables[i], name, len) == 0) {
            *ret = i;
            return 0;
        }
    }
    return error_set(p->e, -EINVAL, "%.80s:%u: unknown name '%.*s'", p->name, p->line, len < 40 ? (int)len : 40, name);
}

static int open_section(struct parser *p, enum node_kind kind, const char *name, size_t len)
{
    uint32_t variable = 0;
    int rc = find_variable(p, name, len, &variable);

    if (rc != 0)
        return rc;
    if (p->depth == DEPTH_MOST)
        return error_set(p->e, -EINVAL, "%.80s:%u: more than %u sections in one another", p->name, p->line, DEPTH_MOST);
    p->open[p->depth++] = p->t->n;
    return add_node(p, (struct node){.kind = kind, .variable = variable});
}

/* A tag's inside without the braces. */
static int add_tag(struct parser *p, const char *inside, size_t len)
{
    uint32_t variable = 0;
    int rc;

    switch (len > 0 ? inside[0] : '\0') {
    case '#':
        return 0;
    case '?':
        return open_section(p, NODE_IF, inside + 1, len - 1);
    case '!':
        return open_section(p, NODE_UNLESS, inside + 1, len - 1);
    case '/':
        if (p->depth == 0)
            return error_set(p->e, -EINVAL, "%.80s:%u: {{/}} closes nothing", p->name, p->line);
        p->t->node[p->open[--p->depth]].skip = (uint32_t)p->t->n;
        return add_node(p, (struct node){.kind = NODE_END});
    default:
        rc = find_variable(p, inside, len, &variable);
        return rc == 0 ? add_node(p, (struct node){.kind = NODE_VALUE, .variable = variable}) : rc;
    }
}

static int add_text(struct parser *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        p->line += p->t->text[i] == '\n';
    if (from == to)
        return 0;
    return add_node(p, (struct node){.kind = NODE_TEXT, .at = (uint32_t)from, .len = (uint32_t)(to - from)});
}

/* Whether the tag [from, to) stands alone on its line and leaves none behind. */
static bool stands_alone(const struct parser *p, size_t from, size_t to)
{
    const char *text = p->t->text;
    bool silent = text[from + 2] == '?' || text[from + 2] == '!' || text[from + 2] == '/' || text[from + 2] == '#';

    return silent && (from == 0 || text[from - 1] == '\n') && text[to] == '\n';
}

static int parse_all(struct parser *p)
{
    const char *text = p->t->text;
    int rc = 0;

    while (rc == 0 && p->at < p->len) {
        const char *begin = strstr(text + p->at, "{{");
        const char *end = begin != NULL ? strstr(begin, "}}") : NULL;
        size_t from = begin != NULL ? (size_t)(begin - text) : p->len;
        rc = add_text(p, p->at, from);
        p->at = from;
        if (rc != 0 || begin == NULL)
            break;
        if (end == NULL || memchr(begin, '\n', (size_t)(end - begin)) != NULL)
            return error_set(p->e, -EINVAL, "%.80s:%u: {{ without }}", p->name, p->line);
        size_t to = (size_t)(end - text) + 2;
        rc = add_tag(p, begin + 2, (size_t)(end - begin) - 2);
        p->at = to;
        if (stands_alone(p, from, to)) {
            p->at++;
            p->line++;
        }
    }
    if (rc == 0 && p->depth > 0)
        rc = error_set(p->e, -EINVAL, "%.80s:%u: a section is not closed by {{/}}", p->name, p->line);
    return rc;
}

int template_parse(const char *text, size_t len, const char *name, const char *const *variables, struct template **ret,
                   struct error *e)
{
    if (len > TEMPLATE_BYTES)
        return error_set(e, -E2BIG, "%.80s is longer than %u bytes", name, TEMPLATE_BYTES);
    if (memchr(text, '\0', len) != NULL)
        return error_set(e, -EINVAL, "%.80s holds a zero byte", name);
    struct template *t = calloc(1, sizeof(*t));
    struct parser p = {.t = t, .name = name, .variables = variables, .len = len, .line = 1, .e = e};
    if (t != NULL)
        t->text = malloc(len + 1);
    if (t == NULL || t->text == NULL) {
        template_free(t);
        return error_set(e, -ENOMEM, "no memory for template %.80s", name);
    }
    memcpy(t->text, text, len);
    t->text[len] = '\0';
    int rc = parse_all(&p);
    if (rc != 0)
        template_free(t);
    else
        *ret = t;
    return rc;
}

void template_free(struct template *t)
{
    if (t == NULL)
        return;
    free(t->text);
    free(t->node);
    free(t);
}

/* Cut text must not end within a character. */
static void end_text(char *ret, size_t size, size_t len)
{
    size_t end = len < size ? len : size - 1;

    if (len >= size) {
        size_t start = end;
        while (start > 0 && ((unsigned char)ret[start - 1] & 0xC0) == 0x80)
            start--;
        if (start > 0 && (unsigned char)ret[start - 1] >= 0xC0) {
            unsigned char lead = (unsigned char)ret[start - 1];
            size_t whole = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
            if (end - (start - 1) < whole)
                end = start - 1;
        }
    }
    ret[end] = '\0';
}

size_t template_render(const struct template *t, const char *const *values, char *ret, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct node *n = &t->node[i];
        const char *text = n->kind == NODE_TEXT ? t->text + n->at : n->kind == NODE_VALUE ? values[n->variable] : "";
        size_t add = n->kind == NODE_TEXT ? n->len : strlen(text);
        if (len < size)
            memcpy(ret + len, text, add < size - len ? add : size - len);
        len += add;
        bool is_section = n->kind == NODE_IF || n->kind == NODE_UNLESS;
        if (is_section && (values[n->variable][0] != '\0') != (n->kind == NODE_IF))
            i = n->skip; /* the loop goes on behind the end */
    }
    if (size > 0)
        end_text(ret, size, len);
    return len;
}

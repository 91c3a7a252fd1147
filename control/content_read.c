/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Reading what people wrote in ticketing systems: plain text from an Atlassian Document or from HTML.
 *
 * Of a document the texts are taken in order, a line for each paragraph, heading and code block, to a depth of 16. Of
 * HTML the tags go, the entities that stand for characters are read, and what ends a block ends a line. Neither is a
 * parser that judges: whatever comes, text comes out, and it is only ever shown escaped or searched for the number of a
 * change.
 */

#include "control/content.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ADF_DEPTH 16u

static void read_adf(FILE *out, const json_t *node, unsigned depth)
{
    const char *type = json_string_value(json_object_get(node, "type"));
    const char *text = json_string_value(json_object_get(node, "text"));
    const json_t *child;
    size_t i;

    if (type == NULL || depth > ADF_DEPTH)
        return;
    if (strcmp(type, "text") == 0 && text != NULL)
        fputs(text, out);
    if (strcmp(type, "mention") == 0) {
        const char *who = json_string_value(json_object_get(json_object_get(node, "attrs"), "text"));
        fputs(who != NULL ? who : "", out);
    }
    json_array_foreach(json_object_get(node, "content"), i, child)
    {
        read_adf(out, child, depth + 1);
    }
    if (strcmp(type, "paragraph") == 0 || strcmp(type, "heading") == 0 || strcmp(type, "hardBreak") == 0 ||
        strcmp(type, "codeBlock") == 0)
        fputc('\n', out);
}

static char *trim_end(char *text)
{
    size_t n = text != NULL ? strlen(text) : 0;

    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return text;
}

char *content_from_adf(const json_t *doc)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    read_adf(out, doc, 0);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return trim_end(text);
}

/* --- HTML --- */

static const struct {
    const char *name;
    char c;
} entities[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}, {"nbsp", ' '}};

static void put_utf8(FILE *out, unsigned long c)
{
    if (c < 0x20 && c != '\n')
        return;
    if (c < 0x80) {
        fputc((int)c, out);
    } else if (c < 0x800) {
        fputc((int)(0xC0 | c >> 6), out);
        fputc((int)(0x80 | (c & 0x3F)), out);
    } else if (c < 0x10000 && (c < 0xD800 || c > 0xDFFF)) {
        fputc((int)(0xE0 | c >> 12), out);
        fputc((int)(0x80 | (c >> 6 & 0x3F)), out);
        fputc((int)(0x80 | (c & 0x3F)), out);
    } else if (c >= 0x10000 && c < 0x110000) {
        fputc((int)(0xF0 | c >> 18), out);
        fputc((int)(0x80 | (c >> 12 & 0x3F)), out);
        fputc((int)(0x80 | (c >> 6 & 0x3F)), out);
        fputc((int)(0x80 | (c & 0x3F)), out);
    }
}

/* An entity at p ("&..."); returns its length, 0 when it is none. */
static size_t read_entity(FILE *out, const char *p)
{
    size_t len = strcspn(p, ";");
    char *end;

    if (len < 2 || len > 10 || p[len] != ';')
        return 0;
    if (p[1] == '#') {
        bool hex = p[2] == 'x' || p[2] == 'X';
        unsigned long c = strtoul(p + (hex ? 3 : 2), &end, hex ? 16 : 10);
        if (end != p + len)
            return 0;
        put_utf8(out, c);
        return len + 1;
    }
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        if (strlen(entities[i].name) == len - 1 && strncmp(p + 1, entities[i].name, len - 1) == 0) {
            fputc(entities[i].c, out);
            return len + 1;
        }
    }
    return 0;
}

static bool ends_line(const char *tag)
{
    static const char *const tags[] = {"<br", "</p", "</div", "</li", "</tr", "</h"};

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        if (strncasecmp(tag, tags[i], strlen(tags[i])) == 0)
            return true;
    }
    return false;
}

char *content_from_html(const char *html)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    for (const char *p = html; *p != '\0';) {
        size_t len = *p == '&' ? read_entity(out, p) : 0;
        if (len > 0) {
            p += len;
        } else if (*p == '<' && (isalpha((unsigned char)p[1]) || p[1] == '/' || p[1] == '!')) {
            if (ends_line(p))
                fputc('\n', out);
            p += strcspn(p, ">");
            p += *p == '>';
        } else {
            fputc(*p++, out);
        }
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return trim_end(text);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Jira's rules of text: Cloud takes an Atlassian Document, whose nodes, marks and nesting are checked ([ADF]); Data
 * Center takes wiki markup, in which nothing but what a connector of ours writes may act ("Text Formatting Notation
 * Help" of Jira). At most 32,767 characters ([68949]). Sources: see jira.c.
 */

#include "tests/contract/jira.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MOST 32767u

/* [ADF] The nodes that Jira fields take, and what each may hold. NULL: text. */
static const char *const adf_children[][2] = {
    {"doc", "paragraph heading bulletList orderedList codeBlock table rule blockquote panel"},
    {"paragraph", "text hardBreak mention inlineCard"},
    {"heading", "text hardBreak"},
    {"bulletList", "listItem"},
    {"orderedList", "listItem"},
    {"listItem", "paragraph bulletList orderedList codeBlock"},
    {"codeBlock", "text"},
    {"table", "tableRow"},
    {"tableRow", "tableHeader tableCell"},
    {"tableHeader", "paragraph heading bulletList codeBlock"},
    {"tableCell", "paragraph heading bulletList codeBlock"},
};

bool jira_word_in(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = list; (p = strstr(p, word)) != NULL; p += len) {
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return true;
    }
    return false;
}

static bool adf_marks_valid(const json_t *node)
{
    const json_t *mark;
    size_t i;

    json_array_foreach(json_object_get(node, "marks"), i, mark)
    {
        const char *type = contract_text(mark, "type");
        if (!jira_word_in("strong em code strike underline link", type))
            return false;
        if (strcmp(type, "link") == 0 && contract_text(json_object_get(mark, "attrs"), "href")[0] == '\0')
            return false;
    }
    return true;
}

/* Appends the text of a valid tree to `text`; false where the tree is not valid. */
static bool adf_walk(const json_t *node, const char *allowed, json_t *text, unsigned depth)
{
    const char *type = contract_text(node, "type"), *children = "";
    const json_t *child;
    size_t i;

    if (depth > 12 || !jira_word_in(allowed, type))
        return false;
    if (strcmp(type, "text") == 0) { /* [ADF] text: minLength 1 */
        const char *t = contract_text(node, "text");
        if (t[0] == '\0' || contract_characters(t) == SIZE_MAX || !adf_marks_valid(node))
            return false;
        json_array_append_new(text, json_string(t));
        return true;
    }
    if (strcmp(type, "mention") == 0)
        json_array_append_new(text, json_string("@mention!"));
    if (strcmp(type, "heading") == 0) {
        json_int_t level = json_integer_value(json_object_get(json_object_get(node, "attrs"), "level"));
        if (level < 1 || level > 6)
            return false;
    }
    for (i = 0; i < sizeof(adf_children) / sizeof(adf_children[0]); i++) {
        if (strcmp(adf_children[i][0], type) == 0)
            children = adf_children[i][1];
    }
    const json_t *content = json_object_get(node, "content");
    if (content != NULL && !json_is_array(content))
        return false;
    if (jira_word_in("table tableRow tableCell tableHeader bulletList orderedList listItem", type) &&
        json_array_size(content) == 0)
        return false; /* [ADF] these need at least one child */
    json_array_foreach(content, i, child)
    {
        if (!adf_walk(child, children, text, depth + 1))
            return false;
    }
    if (jira_word_in("paragraph heading codeBlock tableRow listItem", type))
        json_array_append_new(text, json_string("\n"));
    return true;
}

static char *join(const json_t *parts)
{
    const json_t *part;
    size_t len = 0, i;

    json_array_foreach(parts, i, part)
    {
        len += json_string_length(part);
    }
    char *all = calloc(1, len + 1);
    json_array_foreach(parts, i, part)
    {
        strcat(all, json_string_value(part));
    }
    return all;
}

/* The plain text of an ADF document, malloc'd; NULL when it is not one. */
static char *adf_text(const json_t *doc)
{
    json_t *parts = json_array();
    bool valid = json_integer_value(json_object_get(doc, "version")) == 1 && adf_walk(doc, "doc", parts, 0);
    char *text = valid ? join(parts) : NULL;

    json_decref(parts);
    return text;
}

/* Markup that acts, in text of Data Center: a mention notifies, a macro runs. Within noformat nothing does. */
static bool wiki_acts(const char *text)
{
    bool quiet = false;

    for (const char *p = text; *p != '\0'; p++) {
        if (strncmp(p, "{noformat}", 10) == 0) {
            quiet = !quiet;
            p += 9;
        } else if (*p == '\\' && p[1] != '\0') {
            p++;
        } else if (!quiet && (strncmp(p, "[~", 2) == 0 || *p == '{' || *p == '!')) {
            return true;
        }
    }
    return quiet;
}

/* A body of text in the edition's own form. Fills ret_text (malloc'd). False: answered with a refusal. */
bool jira_take_text(struct contract_call *call, const char *field, const json_t *value, char **ret_text)
{
    char *text = NULL;

    if (jira_is_cloud(call)) {
        /* [C] "Create issue": rich text fields take an Atlassian Document. */
        if (!json_is_object(value)) {
            jira_refuse_field(call, field,
                              "Operation value must be an Atlassian Document (see the Atlassian Document Format)");
            return false;
        }
        text = adf_text(value);
        if (text == NULL) {
            jira_refuse(call, 400, "INVALID_INPUT");
            return false;
        }
        if (strstr(text, "@mention!") != NULL)
            contract_violation(call, "a mention in %s", field);
    } else {
        if (!json_is_string(value)) {
            jira_refuse_field(call, field, "Operation value must be a string");
            return false;
        }
        text = strdup(json_string_value(value));
        if (wiki_acts(text))
            contract_violation(call, "markup that acts in %s: %.200s", field, text);
    }
    if (contract_characters(text) > TEXT_MOST) { /* [68949] */
        free(text);
        jira_refuse_field(call, field,
                          "The entered text is too long. It exceeds the allowed limit of 32,767 characters.");
        return false;
    }
    *ret_text = text;
    return true;
}

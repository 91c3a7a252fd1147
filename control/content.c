/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The notations, see content.h. The body is cut into blocks once (next_block); a notation is a walk over the blocks
 * that writes into a growing buffer (open_memstream), or into JSON.
 *
 * Escapes: HTML by entities (& < > " '). Jira's wiki markup (Data Center, "Text Formatting Notation Help") by a
 * backslash before each special character; the backslash itself as &#92;, since two of them are a line break, and the
 * dot of a "h1." or "bq." that begins a line as &#46;. An Atlassian Document has no markup in text at all. ServiceNow's
 * journal fields let HTML through between [code] and [/code]: the bracket becomes a parenthesis.
 *
 * Limits: a table has at most 12 columns; further cells stay in the last one.
 */

#include "control/content.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLUMNS    12u
#define LABEL_MOST 24u

enum block_kind { BLOCK_END, BLOCK_PARAGRAPH, BLOCK_HEADING, BLOCK_LIST, BLOCK_TABLE, BLOCK_FIXED };

/* Whole lines of the body: [at, at + len). Tables and lists have several. */
struct block {
    enum block_kind kind;
    const char *at;
    size_t len;
    unsigned columns; /* of a table */
};

struct span {
    const char *at;
    size_t len;
};

/* Length of the UTF-8 character at p, which has at most `room` bytes; 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t room)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
               : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
               : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                             : 0;

    if (n > room)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return n;
}

/* C0, C1, line and paragraph separators, and what turns the direction of writing around. */
static bool is_control(const unsigned char *p, size_t n)
{
    if (n <= 1)
        return n == 0 || *p < 0x20 || *p == 0x7F;
    if (n == 2)
        return p[0] == 0xC2 && p[1] < 0xA0;
    return n == 3 && p[0] == 0xE2 &&
           ((p[1] == 0x80 && p[2] >= 0xA8 && p[2] <= 0xAE) || (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9));
}

/* A copy in which what is no UTF-8 is '?', and control characters but line ends are blanks. NULL without memory. */
static char *cleaned(const char *body)
{
    size_t left = strlen(body);
    char *text = malloc(left + 1);
    unsigned char *out = (unsigned char *)text;
    const unsigned char *p = (const unsigned char *)body;

    while (text != NULL && left > 0) {
        size_t n = utf8_length(p, left), len = n > 0 ? n : 1;
        if (n == 0)
            *out++ = '?';
        else if (*p != '\n' && is_control(p, n))
            *out++ = ' ';
        else {
            memcpy(out, p, n);
            out += n;
        }
        p += len;
        left -= len;
    }
    if (text != NULL)
        *out = '\0';
    return text;
}

static size_t line_length(const char *p)
{
    return strcspn(p, "\n");
}

static const char *after_line(const char *p)
{
    p += line_length(p);
    return *p == '\n' ? p + 1 : p;
}

static enum block_kind kind_of(const char *line)
{
    if (line[0] == ' ' && line[1] == ' ')
        return BLOCK_TABLE;
    return line[0] == '-' && line[1] == ' ' ? BLOCK_LIST : BLOCK_PARAGRAPH;
}

/* Cuts a row into cells. Returns how many. */
static unsigned row_cells(const char *line, size_t len, struct span *ret)
{
    const char *p = line, *end = line + len;
    unsigned n = 0;

    while (p < end) {
        while (p < end && *p == ' ')
            p++;
        const char *cell = p;
        while (p < end && (n == COLUMNS - 1 || !(p[0] == ' ' && (p + 1 == end || p[1] == ' '))))
            p++;
        if (p > cell)
            ret[n++] = (struct span){cell, (size_t)(p - cell)};
    }
    return n;
}

/* The next block at *p, which moves behind it. */
static struct block next_block(const char **p)
{
    struct span cells[COLUMNS];
    const char *at = *p;

    while (*at == '\n')
        at++;
    struct block b = {BLOCK_END, at, 0, 0};
    if (*at == '\0') {
        *p = at;
        return b;
    }
    b.kind = kind_of(at);
    if (b.kind == BLOCK_PARAGRAPH) {
        b.len = line_length(at);
        *p = after_line(at);
        if (**p != '\0' && **p != '\n' && kind_of(*p) != BLOCK_PARAGRAPH)
            b.kind = BLOCK_HEADING;
        return b;
    }
    const char *line = at;
    b.columns = row_cells(line, line_length(line), cells);
    for (; *line != '\0' && *line != '\n' && kind_of(line) == kind_of(at); line = after_line(line)) {
        if (b.kind == BLOCK_TABLE && row_cells(line, line_length(line), cells) != b.columns)
            b.kind = BLOCK_FIXED;
    }
    if (b.kind == BLOCK_TABLE && b.columns < 2)
        b.kind = BLOCK_FIXED;
    b.len = (size_t)(line - at);
    *p = line;
    return b;
}

/* The label of a paragraph with its colon, 0 when there is none. */
static size_t label_length(const struct block *b)
{
    size_t n = 0;

    while (n < b->len && n <= LABEL_MOST && b->at[n] != ':')
        n++;
    bool label = n > 0 && n < b->len && n <= LABEL_MOST && (n + 1 == b->len || b->at[n + 1] == ' ');
    return label && isalpha((unsigned char)b->at[0]) ? n + 1 : 0;
}

/* Calls each for every line of a block. */
static void each_line(const struct block *b, void (*each)(void *ctx, const char *line, size_t len), void *ctx)
{
    const char *end = b->at + b->len;

    for (const char *line = b->at; line < end; line = after_line(line))
        each(ctx, line, line_length(line));
}

/* --- HTML --- */

void content_xml(FILE *out, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (p[i]) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(p[i], out);
        }
    }
}

/* A row being written: what is around a cell, and how its text is escaped. */
struct rows {
    FILE *out;
    unsigned row;
};

static void html_row(void *ctx, const char *line, size_t len)
{
    struct rows *r = ctx;
    struct span cell[COLUMNS];
    unsigned n = row_cells(line, len, cell);
    const char *tag = r->row++ == 0 ? "th" : "td";

    fputs("<tr>", r->out);
    for (unsigned i = 0; i < n; i++) {
        fprintf(r->out, "<%s>", tag);
        content_xml(r->out, cell[i].at, cell[i].len);
        fprintf(r->out, "</%s>", tag);
    }
    fputs("</tr>\n", r->out);
}

static void html_item(void *ctx, const char *line, size_t len)
{
    struct rows *r = ctx;

    fputs("<li>", r->out);
    content_xml(r->out, line + 2, len - 2);
    fputs("</li>\n", r->out);
}

static void html_block(FILE *out, const struct block *b)
{
    struct rows rows = {out, 0};
    size_t label = b->kind == BLOCK_PARAGRAPH ? label_length(b) : 0;

    switch (b->kind) {
    case BLOCK_PARAGRAPH:
    case BLOCK_HEADING:
        fputs(label > 0 || b->kind == BLOCK_HEADING ? "<p><strong>" : "<p>", out);
        if (b->kind == BLOCK_HEADING)
            label = b->len;
        content_xml(out, b->at, label);
        if (label > 0)
            fputs("</strong>", out);
        content_xml(out, b->at + label, b->len - label);
        fputs("</p>\n", out);
        break;
    case BLOCK_LIST:
        fputs("<ul>\n", out);
        each_line(b, html_item, &rows);
        fputs("</ul>\n", out);
        break;
    case BLOCK_TABLE:
        fputs("<table>\n", out);
        each_line(b, html_row, &rows);
        fputs("</table>\n", out);
        break;
    case BLOCK_FIXED:
        fputs("<pre>", out);
        content_xml(out, b->at, b->len);
        fputs("</pre>\n", out);
        break;
    case BLOCK_END:
        break;
    }
}

/* Walks over all blocks into a string. */
static char *compose(const char *body, void (*write)(FILE *out, const struct block *b))
{
    char *text = NULL, *clean = cleaned(body);
    const char *p = clean;
    size_t size = 0;
    FILE *out = clean != NULL ? open_memstream(&text, &size) : NULL;

    if (out == NULL) {
        free(clean);
        return NULL;
    }
    for (struct block b = next_block(&p); b.kind != BLOCK_END; b = next_block(&p))
        write(out, &b);
    free(clean);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *content_html(const char *body)
{
    return compose(body, html_block);
}

/* --- Jira wiki markup --- */

/* A hyphen between letters or digits strikes nothing through. */
static bool wiki_special(const char *p, size_t i, size_t len)
{
    bool inside = i > 0 && i + 1 < len && isalnum((unsigned char)p[i - 1]) && isalnum((unsigned char)p[i + 1]);

    return p[i] == '-' ? !inside : strchr("{}[]*_+^~?!|#@", p[i]) != NULL;
}

static void wiki_text(FILE *out, const char *p, size_t len)
{
    size_t word = 0;

    while (word < len && isalnum((unsigned char)p[word]))
        word++;
    bool begins =
        word == 2 && word < len && p[word] == '.' &&
        ((tolower((unsigned char)p[0]) == 'h' && isdigit((unsigned char)p[1])) || strncasecmp(p, "bq", 2) == 0);
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '\\')
            fputs("&#92;", out);
        else if (p[i] == '&')
            fputs("&amp;", out);
        else if (begins && i == word)
            fputs("&#46;", out);
        else if (p[i] != '\0' && wiki_special(p, i, len))
            fprintf(out, "\\%c", p[i]);
        else
            fputc(p[i], out);
    }
}

static void wiki_row(void *ctx, const char *line, size_t len)
{
    struct rows *r = ctx;
    struct span cell[COLUMNS];
    unsigned n = row_cells(line, len, cell);
    const char *bar = r->row++ == 0 ? "||" : "|";

    for (unsigned i = 0; i < n; i++) {
        fputs(bar, r->out);
        wiki_text(r->out, cell[i].at, cell[i].len);
    }
    fprintf(r->out, "%s\n", bar);
}

static void wiki_item(void *ctx, const char *line, size_t len)
{
    struct rows *r = ctx;

    fputs("* ", r->out);
    wiki_text(r->out, line + 2, len - 2);
    fputc('\n', r->out);
}

static void wiki_block(FILE *out, const struct block *b)
{
    struct rows rows = {out, 0};
    size_t label = b->kind == BLOCK_HEADING ? b->len : b->kind == BLOCK_PARAGRAPH ? label_length(b) : 0;

    switch (b->kind) {
    case BLOCK_PARAGRAPH:
    case BLOCK_HEADING:
        if (label > 0) {
            fputc('*', out);
            wiki_text(out, b->at, label);
            fputc('*', out);
        }
        wiki_text(out, b->at + label, b->len - label);
        fputs(b->kind == BLOCK_HEADING ? "\n" : "\n\n", out);
        break;
    case BLOCK_LIST:
        each_line(b, wiki_item, &rows);
        fputc('\n', out);
        break;
    case BLOCK_TABLE:
    case BLOCK_FIXED: /* a row of its own for each line: nothing of it can end a macro */
        if (b->kind == BLOCK_TABLE)
            each_line(b, wiki_row, &rows);
        else
            each_line(b, wiki_item, &rows);
        fputc('\n', out);
        break;
    case BLOCK_END:
        break;
    }
}

char *content_wiki(const char *body)
{
    return compose(body, wiki_block);
}

/* --- ServiceNow --- */

char *content_journal(const char *body)
{
    char *text = cleaned(body);

    for (char *p = text; p != NULL && (p = strchr(p, '[')) != NULL; p++) {
        const char *name = p + 1 + (p[1] == '/');
        if (strncasecmp(name, "code]", 5) == 0)
            *p = '(';
    }
    return text;
}

/* --- Atlassian Document Format --- */

static json_t *adf_text(const char *p, size_t len, bool strong)
{
    json_t *node = json_pack("{s:s,s:o}", "type", "text", "text", json_stringn(p, len));

    if (node != NULL && strong)
        json_object_set_new(node, "marks", json_pack("[{s:s}]", "type", "strong"));
    return node;
}

/* A text node must not be empty: a paragraph of nothing has no children. */
static json_t *adf_paragraph(const char *p, size_t len, size_t label)
{
    json_t *content = json_array();

    if (label > 0)
        json_array_append_new(content, adf_text(p, label, true));
    if (len > label)
        json_array_append_new(content, adf_text(p + label, len - label, false));
    return json_pack("{s:s,s:o}", "type", "paragraph", "content", content);
}

struct adf_rows {
    json_t *content;
};

static void adf_item(void *ctx, const char *line, size_t len)
{
    struct adf_rows *r = ctx;

    json_array_append_new(r->content,
                          json_pack("{s:s,s:[o]}", "type", "listItem", "content", adf_paragraph(line + 2, len - 2, 0)));
}

static void adf_row(void *ctx, const char *line, size_t len)
{
    struct adf_rows *r = ctx;
    struct span cell[COLUMNS];
    unsigned n = row_cells(line, len, cell);
    const char *type = json_array_size(r->content) == 0 ? "tableHeader" : "tableCell";
    json_t *cells = json_array();

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(
            cells, json_pack("{s:s,s:[o]}", "type", type, "content", adf_paragraph(cell[i].at, cell[i].len, 0)));
    json_array_append_new(r->content, json_pack("{s:s,s:o}", "type", "tableRow", "content", cells));
}

static json_t *adf_block(const struct block *b)
{
    struct adf_rows rows = {NULL};
    size_t len = b->len;

    switch (b->kind) {
    case BLOCK_PARAGRAPH:
        return adf_paragraph(b->at, len, label_length(b));
    case BLOCK_HEADING:
        return json_pack("{s:s,s:{s:i},s:[o]}", "type", "heading", "attrs", "level", 3, "content",
                         adf_text(b->at, len, false));
    case BLOCK_LIST:
        rows.content = json_array();
        each_line(b, adf_item, &rows);
        return json_pack("{s:s,s:o}", "type", "bulletList", "content", rows.content);
    case BLOCK_TABLE:
        rows.content = json_array();
        each_line(b, adf_row, &rows);
        return json_pack("{s:s,s:o}", "type", "table", "content", rows.content);
    case BLOCK_FIXED:
        while (len > 0 && b->at[len - 1] == '\n')
            len--;
        return json_pack("{s:s,s:[o]}", "type", "codeBlock", "content", adf_text(b->at, len, false));
    case BLOCK_END:
        break;
    }
    return NULL;
}

json_t *content_adf(const char *body)
{
    json_t *content = json_array();
    char *clean = cleaned(body);
    const char *p = clean != NULL ? clean : "";

    for (struct block b = next_block(&p); b.kind != BLOCK_END; b = next_block(&p))
        json_array_append_new(content, adf_block(&b));
    free(clean);
    return json_pack("{s:i,s:s,s:o}", "version", 1, "type", "doc", "content", content);
}

/* --- characters --- */

size_t content_characters(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

char *content_clip(char *text, size_t chars)
{
    size_t n = 0, cut = 0, i = 0;

    for (; text[i] != '\0'; i++) {
        if (((unsigned char)text[i] & 0xC0) == 0x80)
            continue;
        if (n + 1 == chars)
            cut = i;
        if (n++ == chars)
            break;
    }
    if (text[i] == '\0' || chars == 0)
        return text;
    /* The ellipsis takes three bytes: where fewer are cut off, one more character makes room. */
    while (cut > 0 && strlen(text + cut) < 3) {
        do
            cut--;
        while (cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80);
    }
    if (strlen(text + cut) >= 3)
        memcpy(text + cut, "\xe2\x80\xa6", 4);
    else
        text[cut] = '\0';
    return text;
}

char *content_value(char *ret, size_t size, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strlen(text), out = 0;

    while (left > 0) {
        size_t n = utf8_length(p, left), len = n > 0 ? n : 1;
        bool blank = *p == ' ' || is_control(p, n);
        if (blank && out > 0 && ret[out - 1] != ' ' && out + 1 < size) {
            ret[out++] = ' ';
        } else if (!blank) {
            if (out + len >= size)
                break;
            memcpy(ret + out, p, len);
            out += len;
        }
        p += len;
        left -= len;
    }
    while (out > 0 && ret[out - 1] == ' ')
        out--;
    ret[out] = '\0';
    return ret;
}

char *content_line(char *ret, size_t size, const char *text)
{
    content_value(ret, size, text);
    if (ret[0] != '\0' && strchr("=+-@", ret[0]) != NULL && size > 2) {
        content_value(ret + 1, size - 1, text);
        ret[0] = '\'';
    }
    return ret;
}

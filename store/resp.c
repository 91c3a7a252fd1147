/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two passes over each reply. The first only finds its end: it skips texts by their length, counts nodes and bytes, and
 * goes on where it stopped when more bytes come, so that a long reply is looked at once. Then all memory is taken in
 * one piece, and the second pass, which can find nothing wrong any more, fills in the tree. hiredis 0.14 takes two
 * blocks an element and moves its whole buffer for each KB that it hands out; both cost more than decoding what was
 * asked for.
 *
 * Invariants: nothing is read behind `len`; a number that a server announces takes no memory, only bytes that came do;
 * the tree has at most RESP_DEPTH levels, and so has the recursion that builds it.
 *
 * Limits: lines (numbers, states, errors) of LINE_MAX_BYTES, texts of 512 MB as in Redis itself, NODES_MAX nodes.
 */

#include "store/resp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES    (64u << 10)
#define LINE_MAX_BYTES (64u << 10)
#define TEXT_MAX_BYTES (512ll << 20)
#define NODES_MAX      (1u << 23) /* of one reply; we never ask for a tenth of it */

void resp_init(struct resp *r)
{
    *r = (struct resp){.left = {1}, .nodes = 1};
}

void resp_fini(struct resp *r)
{
    free(r->bytes);
    *r = (struct resp){.bytes = NULL};
}

int resp_feed(struct resp *r, const void *bytes, size_t len)
{
    if (len == 0)
        return 0;
    if (r->at == r->len)
        r->at = r->len = 0;
    if (r->size - r->len < len && r->at != 0) { /* at most the start of one reply is moved */
        memmove(r->bytes, r->bytes + r->at, r->len - r->at);
        r->len -= r->at;
        r->at = 0;
    }
    if (r->size - r->len < len) {
        size_t size = r->size != 0 ? r->size : FIRST_BYTES;
        while (size - r->len < len)
            size *= 2;
        char *grown = realloc(r->bytes, size);
        if (grown == NULL)
            return -ENOMEM;
        r->bytes = grown;
        r->size = size;
    }
    memcpy(r->bytes + r->len, bytes, len);
    r->len += len;
    return 0;
}

/* ---- the first pass ---- */

enum part { PART_WHOLE, PART_MORE, PART_BAD };

static enum part bad(struct resp *r, const char *why)
{
    r->why = why;
    return PART_BAD;
}

/* The text of the line at `at`, there bytes of which came: its length without the end in *ret_len. */
static enum part find_line(struct resp *r, const char *at, size_t there, size_t *ret_len)
{
    const char *end = memchr(at, '\r', there < LINE_MAX_BYTES ? there : LINE_MAX_BYTES);

    if (end == NULL)
        return there < LINE_MAX_BYTES ? PART_MORE : bad(r, "a line without an end");
    if ((size_t)(end - at) + 1 == there)
        return PART_MORE;
    if (end[1] != '\n')
        return bad(r, "a line that ends with half an end");
    *ret_len = (size_t)(end - at);
    return PART_WHOLE;
}

/* The number of the line at `at`; the same results. */
static enum part find_number(struct resp *r, const char *at, size_t there, size_t *ret_len, long long *ret)
{
    bool negative = there != 0 && *at == '-';
    unsigned long long v = 0, most = negative ? 1ull << 63 : (1ull << 63) - 1;
    size_t i = negative;

    for (; i < there && at[i] != '\r'; i++) {
        unsigned digit = (unsigned)(at[i] - '0');
        if (digit > 9 || v > (most - digit) / 10)
            return bad(r, "a number that is none");
        v = v * 10 + digit;
    }
    if (there < i + 2)
        return PART_MORE;
    if (i == negative || at[i + 1] != '\n')
        return bad(r, "a number that is none");
    *ret_len = i;
    *ret = negative ? (long long)(0 - v) : (long long)v;
    return PART_WHOLE;
}

/* Opens an array of n elements, or counts a node that has none, and closes what is complete by it. */
static enum part count_node(struct resp *r, size_t elements)
{
    r->left[r->depth]--;
    if (elements > NODES_MAX - r->nodes)
        return bad(r, "an absurdly long array");
    r->nodes += elements;
    if (elements != 0) {
        if (r->depth + 1 == RESP_DEPTH)
            return bad(r, "arrays nested too deep");
        r->left[++r->depth] = elements;
    }
    while (r->depth > 0 && r->left[r->depth] == 0)
        r->depth--;
    return PART_WHOLE;
}

/* One node: its line, and the text behind it. */
static enum part scan_node(struct resp *r)
{
    size_t there = r->len - r->at - r->scanned, line = 0, text = 0;
    long long n = 0;

    if (there == 0) /* maybe there is no memory yet, either */
        return PART_MORE;
    const char *at = r->bytes + r->at + r->scanned;
    bool is_line = *at == '+' || *at == '-';
    if (!is_line && *at != ':' && *at != '$' && *at != '*')
        return bad(r, "an unknown type of reply");
    enum part part = is_line ? find_line(r, at + 1, there - 1, &line) : find_number(r, at + 1, there - 1, &line, &n);
    if (part != PART_WHOLE)
        return part;
    if ((*at == '$' && (n < -1 || n > TEXT_MAX_BYTES)) || (*at == '*' && (n < -1 || n > NODES_MAX)))
        return bad(r, "an absurd length");
    if (*at == '$' && n >= 0) {
        text = (size_t)n + 2;
        if (there - line - 3 < text)
            return PART_MORE;
        if (memcmp(at + 3 + line + n, "\r\n", 2) != 0)
            return bad(r, "a text without an end");
    }
    r->text_bytes += is_line ? line + 1 : text != 0 ? text - 1 : 0;
    r->scanned += 3 + line + text;
    return count_node(r, *at == '*' && n > 0 ? (size_t)n : 0);
}

/* ---- the second pass ---- */

/* Where the next node, pointer and text of a block go, and what is read next. */
struct builder {
    struct resp *r;
    const char *at;
    redisReply *node;
    redisReply **element;
    char *text;
};

static void put_text(struct builder *b, redisReply *node, int type, const char *text, size_t len)
{
    node->type = type;
    node->str = b->text;
    node->len = len;
    memcpy(b->text, text, len);
    b->text[len] = '\0';
    b->text += len + 1;
}

static redisReply *build_node(struct builder *b)
{
    redisReply *node = b->node++;
    const char *line = b->at + 1;
    char type = *b->at;
    size_t len = 0, there = (size_t)(b->r->bytes + b->r->len - line);
    bool is_line = type == '+' || type == '-';
    long long n = 0;

    if (is_line)
        find_line(b->r, line, there, &len);
    else
        find_number(b->r, line, there, &len, &n);
    b->at = line + len + 2;
    *node = (redisReply){.type = REDIS_REPLY_NIL};
    if (is_line) {
        put_text(b, node, type == '+' ? REDIS_REPLY_STATUS : REDIS_REPLY_ERROR, line, len);
    } else if (type == ':') {
        node->type = REDIS_REPLY_INTEGER;
        node->integer = n;
    } else if (type == '$' && n >= 0) {
        put_text(b, node, REDIS_REPLY_STRING, b->at, (size_t)n);
        b->at += n + 2;
    } else if (n >= 0) {
        node->type = REDIS_REPLY_ARRAY;
        node->elements = (size_t)n;
        node->element = b->element;
        b->element += n;
        for (size_t i = 0; i < node->elements; i++)
            node->element[i] = build_node(b);
    }
    return node;
}

static redisReply *build(struct resp *r)
{
    size_t nodes_bytes = r->nodes * sizeof(redisReply), elements_bytes = (r->nodes - 1) * sizeof(redisReply *);
    char *block = malloc(nodes_bytes + elements_bytes + r->text_bytes);

    if (block == NULL)
        return NULL;
    struct builder b = {.r = r,
                        .at = r->bytes + r->at,
                        .node = (redisReply *)(void *)block,
                        .element = (redisReply **)(void *)(block + nodes_bytes),
                        .text = block + nodes_bytes + elements_bytes};
    return build_node(&b);
}

int resp_next(struct resp *r, redisReply **ret)
{
    redisReply *reply = NULL;
    enum part part = r->why != NULL ? PART_BAD : PART_WHOLE;

    while (part == PART_WHOLE && r->depth + r->left[0] != 0)
        part = scan_node(r);
    if (part == PART_BAD)
        return -EPROTO;
    if (part == PART_WHOLE) {
        reply = build(r);
        if (reply == NULL)
            return -ENOMEM;
        r->at += r->scanned;
        r->scanned = r->text_bytes = 0;
        r->nodes = r->left[0] = 1;
    }
    *ret = reply;
    return 0;
}

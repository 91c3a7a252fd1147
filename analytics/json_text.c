/* SPDX-License-Identifier: BSD-3-Clause */

/* See json_text.h. Strings pass text_escape, so no control character, broken UTF-8 or direction mark reaches a reader.
 */

#include "analytics/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"

void json_text_fini(struct json_text *j)
{
    free(j->text);
    *j = (struct json_text){0};
}

void json_text_clear(struct json_text *j)
{
    j->len = 0;
    j->failed = false;
    if (j->text != NULL)
        j->text[0] = '\0';
}

static void put(struct json_text *j, const char *p, size_t len)
{
    if (j->failed)
        return;
    if (j->len + len + 1 > j->size) {
        size_t size = j->size != 0 ? 2 * j->size : 1024;
        while (size < j->len + len + 1)
            size *= 2;
        char *text = realloc(j->text, size);
        if (text == NULL) {
            j->failed = true;
            return;
        }
        j->text = text;
        j->size = size;
    }
    memcpy(j->text + j->len, p, len);
    j->len += len;
    j->text[j->len] = '\0';
}

static void put_str(struct json_text *j, const char *p)
{
    put(j, p, strlen(p));
}

/* A comma where one belongs, and the key. */
static void start(struct json_text *j, const char *key)
{
    if (j->len > 0 && j->text[j->len - 1] != '{' && j->text[j->len - 1] != '[')
        put(j, ",", 1);
    if (key != NULL) {
        put(j, "\"", 1);
        put_str(j, key);
        put(j, "\":", 2);
    }
}

void json_text_open(struct json_text *j, const char *key, char bracket)
{
    start(j, key);
    put(j, &bracket, 1);
}

void json_text_close(struct json_text *j, char bracket)
{
    put(j, &bracket, 1);
}

void json_text_u64(struct json_text *j, const char *key, uint64_t v)
{
    char text[24];

    start(j, key);
    put(j, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, v));
}

void json_text_i64(struct json_text *j, const char *key, int64_t v)
{
    char text[24];

    start(j, key);
    put(j, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, v));
}

void json_text_bool(struct json_text *j, const char *key, bool v)
{
    start(j, key);
    put_str(j, v ? "true" : "false");
}

void json_text_null(struct json_text *j, const char *key)
{
    start(j, key);
    put(j, "null", 4);
}

void json_text_us(struct json_text *j, const char *key, uint64_t ns)
{
    char text[40];

    start(j, key);
    put_str(j, format_us_json(text, sizeof(text), ns));
}

void json_text_decimal(struct json_text *j, const char *key, double v)
{
    char text[64];

    if (!isfinite(v)) {
        json_text_null(j, key);
        return;
    }
    int len = snprintf(text, sizeof(text), "%.4f", v);
    while (len > 1 && text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    start(j, key);
    put(j, text, (size_t)len);
}

void json_text_string(struct json_text *j, const char *key, const void *text, size_t len)
{
    char safe[1024];
    size_t n = text_escape(safe, sizeof(safe), text, len);

    start(j, key);
    put(j, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        if (safe[i] == '"' || safe[i] == '\\')
            put(j, "\\", 1);
        put(j, safe + i, 1);
    }
    put(j, "\"", 1);
}

void json_text_str(struct json_text *j, const char *key, const char *text)
{
    json_text_string(j, key, text, strlen(text));
}

void json_text_raw(struct json_text *j, const char *key, const char *json)
{
    start(j, key);
    put_str(j, json);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_JSON_TEXT_H
#define SPANWARD_JSON_TEXT_H

/*
 * JSON text into one growing buffer, in the order of the calls: for records that leave by the million, where building a
 * tree of objects would cost more than the measuring did. Commas are set by the writer; nesting is the caller's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Owner: one thread. Invariant: text[len] == 0 unless failed (no memory): then the text is not to be used. */
struct json_text {
    char *text;
    size_t len, size;
    bool failed;
};

void json_text_fini(struct json_text *j);
void json_text_clear(struct json_text *j);

/* key NULL: an element of an array, or the outermost value. */
void json_text_open(struct json_text *j, const char *key, char bracket);
void json_text_close(struct json_text *j, char bracket);
void json_text_u64(struct json_text *j, const char *key, uint64_t v);
void json_text_i64(struct json_text *j, const char *key, int64_t v);
void json_text_bool(struct json_text *j, const char *key, bool v);
void json_text_null(struct json_text *j, const char *key);
/* ns as microseconds with up to three decimals. */
void json_text_us(struct json_text *j, const char *key, uint64_t ns);
/* At least one and at most four decimals. */
void json_text_decimal(struct json_text *j, const char *key, double v);
/* Bytes that may come from a packet: made safe (text_escape) first, then quoted. Cut at 1023 escaped bytes. */
void json_text_string(struct json_text *j, const char *key, const void *text, size_t len);
/* A string of ours or a NUL-terminated one, treated alike. */
void json_text_str(struct json_text *j, const char *key, const char *text);
/* A piece of JSON made elsewhere. */
void json_text_raw(struct json_text *j, const char *key, const char *json);

#endif

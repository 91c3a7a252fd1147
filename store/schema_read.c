/* SPDX-License-Identifier: BSD-3-Clause */

/* See schema_read.h. */

#include "store/schema_read.h"

bool read_parse_u64(const char *text, size_t len, uint64_t *ret)
{
    uint64_t v = 0;

    if (len == 0 || len > 20)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

bool read_u64(const struct store_reply *r, uint64_t *ret)
{
    size_t len;
    const char *text = store_reply_string(r, &len);

    return read_parse_u64(text, len, ret);
}

void read_text(const struct store_reply *r, char *ret, size_t size)
{
    size_t len;
    const char *text = store_reply_string(r, &len);
    size_t n = strnlen(text, len);

    if (n >= size)
        n = size - 1;
    memcpy(ret, text, n);
    ret[n] = '\0';
}

bool read_is(const struct store_reply *r, const char *text)
{
    size_t len;
    const char *t = store_reply_string(r, &len);

    return len == strlen(text) && memcmp(t, text, len) == 0;
}

int read_connection_lost(struct error *e)
{
    return error_set(e, -EIO, "connection to Redis lost while reading; try again");
}

int read_discard(struct store *s, int result, struct error *e)
{
    store_discard(s);
    return error_set(e, result,
                     result == -ENOMEM ? "no memory for a request to Redis"
                                       : "empty or oversized name of a sensor or object");
}

int read_ask(struct store *s, const struct command *c, enum store_reply_type want, struct store_reply **ret,
             struct error *e)
{
    if (c->bad)
        return error_set(e, -EINVAL, "empty or oversized name of a sensor or object");
    struct store_reply *r = store_command_argv(s, c->arg, c->n);
    if (r == NULL)
        return read_connection_lost(e);
    enum store_reply_type type = store_reply_type(r);
    if (type == want || type == STORE_NIL) {
        *ret = r;
        return 0;
    }
    int result = store_refused(e, -EPROTO, "a read",
                               type == STORE_ERROR ? store_reply_string(r, NULL) : "unexpected type of reply");
    store_reply_free(r);
    return result;
}

bool read_decoded(enum codec_result r, struct schema_skipped *skipped)
{
    if (r == CODEC_UNKNOWN_VERSION)
        skipped->unknown_version++;
    else if (r == CODEC_CORRUPT)
        skipped->corrupt++;
    return r == CODEC_OK;
}

void read_note(struct schema_skipped *skipped, const char *kind, const char *name)
{
    if (skipped->first[0] == '\0')
        snprintf(skipped->first, sizeof(skipped->first), "%.15s %.*s", kind, WINDOW_NAME_BYTES - 1, name);
}

bool read_is_wrong_type(const struct store_reply *r)
{
    return store_reply_type(r) == STORE_ERROR && strncmp(store_reply_string(r, NULL), "WRONGTYPE", 9) == 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* A server's bytes, cut into replies: at once and in pieces (the first byte says how long) they are the same replies.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/resp.h"

#define REPLIES 64u

/* All that a reply holds, read once. */
static size_t sum_of(const redisReply *r)
{
    size_t sum = (size_t)r->type;

    if (r->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < r->elements; i++)
            sum = 31 * sum + sum_of(r->element[i]);
    } else if (r->str != NULL) {
        assert(r->str[r->len] == '\0');
        for (size_t i = 0; i < r->len; i++)
            sum = 31 * sum + (unsigned char)r->str[i];
    }
    return 31 * sum + (size_t)r->integer;
}

static size_t read_all(const uint8_t *data, size_t size, size_t piece, size_t sum[REPLIES])
{
    struct resp in;
    size_t n = 0;

    resp_init(&in);
    for (size_t at = 0; at < size && in.why == NULL; at += piece) {
        redisReply *r = NULL;
        if (resp_feed(&in, data + at, size - at < piece ? size - at : piece) != 0)
            abort();
        while (resp_next(&in, &r) == 0 && r != NULL) {
            if (n < REPLIES)
                sum[n++] = sum_of(r);
            free(r);
        }
    }
    resp_fini(&in);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole[REPLIES], pieces[REPLIES];

    if (size == 0)
        return 0;
    size_t n = read_all(data + 1, size - 1, size, whole);
    assert(read_all(data + 1, size - 1, (size_t)data[0] % 61 + 1, pieces) == n);
    assert(memcmp(whole, pieces, n * sizeof(whole[0])) == 0);
    return 0;
}

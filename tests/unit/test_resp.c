/* SPDX-License-Identifier: BSD-3-Clause */

/* Replies cut out of a stream: the same trees as hiredis makes of them, however the bytes are split; what is refused.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/resp.h"
#include "tests/unit/unit.h"

static const char stream[] = "+OK\r\n"
                             "-ERR no\r\n"
                             ":-9223372036854775808\r\n"
                             ":9223372036854775807\r\n"
                             "$0\r\n\r\n"
                             "$-1\r\n"
                             "*-1\r\n"
                             "*0\r\n"
                             "$7\r\na\r\n\0b\r\n\r\n"
                             "*2\r\n$1\r\n0\r\n*3\r\n$2\r\nk1\r\n$-1\r\n*0\r\n"
                             "*1\r\n*1\r\n*2\r\n:1\r\n+x\r\n"
                             "+\r\n";
#define STREAM_LEN (sizeof(stream) - 1)
#define N_REPLIES  12u

static void check_same(const redisReply *a, const redisReply *b)
{
    ck_assert_int_eq(a->type, b->type);
    switch (a->type) {
    case REDIS_REPLY_INTEGER:
        ck_assert(a->integer == b->integer);
        break;
    case REDIS_REPLY_ARRAY:
        ck_assert_uint_eq(a->elements, b->elements);
        for (size_t i = 0; i < a->elements; i++)
            check_same(a->element[i], b->element[i]);
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        ck_assert_uint_eq(a->len, b->len);
        ck_assert_mem_eq(a->str, b->str, b->len + 1);
        break;
    default:
        ck_assert_int_eq(a->type, REDIS_REPLY_NIL);
    }
}

/* What hiredis makes of the whole stream. */
static void read_known(redisReply *known[N_REPLIES])
{
    redisReader *reader = redisReaderCreate();

    ck_assert_int_eq(redisReaderFeed(reader, stream, STREAM_LEN), REDIS_OK);
    for (size_t i = 0; i < N_REPLIES; i++) {
        void *r = NULL;
        ck_assert_int_eq(redisReaderGetReply(reader, &r), REDIS_OK);
        ck_assert_ptr_nonnull(r);
        known[i] = r;
    }
    redisReaderFree(reader);
}

START_TEST(any_split)
{
    redisReply *known[N_REPLIES];

    read_known(known);
    for (size_t piece = 1; piece <= STREAM_LEN; piece++) {
        struct resp in;
        size_t n = 0;
        resp_init(&in);
        for (size_t at = 0; at < STREAM_LEN; at += piece) {
            redisReply *r = NULL;
            size_t len = STREAM_LEN - at < piece ? STREAM_LEN - at : piece;
            char *copy = malloc(len); /* of exactly that size: sanitizers see a read behind it */
            memcpy(copy, stream + at, len);
            ck_assert_int_eq(resp_feed(&in, copy, len), 0);
            free(copy);
            while (resp_next(&in, &r) == 0 && r != NULL) {
                ck_assert_uint_lt(n, N_REPLIES);
                check_same(r, known[n++]);
                free(r);
            }
        }
        ck_assert_uint_eq(n, N_REPLIES);
        resp_fini(&in);
    }
    for (size_t i = 0; i < N_REPLIES; i++)
        freeReplyObject(known[i]);
}
END_TEST

/* More than fits the first buffer, with replies that are handed out while the next has begun. */
START_TEST(long_replies)
{
    struct resp in;
    size_t n_text = 200000, taken = 0;
    char *text = malloc(n_text), head[32];

    memset(text, 'x', n_text);
    resp_init(&in);
    for (unsigned i = 0; i < 20; i++) {
        redisReply *r = NULL;
        size_t half = n_text / 2;
        int len = snprintf(head, sizeof(head), "*2\r\n:%u\r\n$%zu\r\n", i, n_text);
        ck_assert_int_eq(resp_feed(&in, head, (size_t)len), 0);
        ck_assert_int_eq(resp_feed(&in, text, half), 0);
        ck_assert_int_eq(resp_next(&in, &r), 0);
        ck_assert_ptr_null(r);
        ck_assert_int_eq(resp_feed(&in, text + half, n_text - half), 0);
        ck_assert_int_eq(resp_feed(&in, "\r\n:7\r\n*1\r\n", 10), 0);
        ck_assert_int_eq(resp_feed(&in, "$1\r\na\r\n", 7), 0);
        for (; resp_next(&in, &r) == 0 && r != NULL; taken++, free(r)) {
            if (taken % 3 != 0)
                continue;
            ck_assert_int_eq(r->element[0]->integer, i);
            ck_assert_uint_eq(r->element[1]->len, n_text);
            ck_assert_mem_eq(r->element[1]->str, text, n_text);
        }
    }
    ck_assert_uint_eq(taken, 60);
    resp_fini(&in);
    free(text);
}
END_TEST

START_TEST(refused)
{
    static const char *const bad[] = {
        "?\r\n",
        "%1\r\n",
        ":\r\n",
        ":-\r\n",
        ":+1\r\n",
        ":12a\r\n",
        ":1\rx",
        ":9223372036854775808\r\n",
        ":-9223372036854775809\r\n",
        ":99999999999999999999\r\n",
        "$-2\r\n",
        "$536870913\r\n",
        "$1\r\nabc",
        "*-2\r\n",
        "*8388609\r\n",
        "*8000000\r\n*8000000\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "+OK\rx\n",
        "*2\r\n:1\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct resp in;
        redisReply *r = NULL;
        resp_init(&in);
        ck_assert_int_eq(resp_feed(&in, bad[i], strlen(bad[i])), 0);
        ck_assert_msg(resp_next(&in, &r) == -EPROTO, "%zu", i);
        ck_assert_ptr_null(r);
        ck_assert_ptr_nonnull(in.why);
        ck_assert_int_eq(resp_feed(&in, "+OK\r\n", 5), 0);
        ck_assert_msg(resp_next(&in, &r) == -EPROTO, "%zu: broken for good", i);
        resp_fini(&in);
    }
}
END_TEST

START_TEST(a_line_has_an_end)
{
    struct resp in;
    redisReply *r = NULL;
    char text[4096];
    int result = 0;

    memset(text, 'x', sizeof(text));
    resp_init(&in);
    ck_assert_int_eq(resp_feed(&in, "-", 1), 0);
    for (unsigned i = 0; i < 32 && result == 0; i++) {
        ck_assert_int_eq(resp_feed(&in, text, sizeof(text)), 0);
        result = resp_next(&in, &r);
        ck_assert_ptr_null(r);
    }
    ck_assert_int_eq(result, -EPROTO);
    resp_fini(&in);
}
END_TEST

UNIT_MAIN("resp", any_split, long_replies, refused, a_line_has_an_end)

/* SPDX-License-Identifier: BSD-3-Clause */

/* Slots of keys (values of redis-server's CLUSTER KEYSLOT), keys of commands, redirections, maps, the journal. */

#include "store/route.h"

#include <stdlib.h>
#include <string.h>
#include "store/journal.h"
#include "tests/unit/unit.h"

START_TEST(slots)
{
    static const struct {
        const char *key;
        int slot;
    } known[] = {{"123456789", 12739},   {"foo", 12182}, {"{foo}:a", 12182}, {"a{foo}{bar}", 12182},
                 {"foo{}{bar}", 8363},   {"", 0},        {"{", 4092},        {"{user1000}.following", 3443},
                 {"foo{{bar}}zap", 4015}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        ck_assert_msg(route_key_slot(known[i].key, strlen(known[i].key)) == known[i].slot, "%s: %d", known[i].key,
                      route_key_slot(known[i].key, strlen(known[i].key)));
}
END_TEST

static int slot_of(const char *format, ...)
{
    struct store_arg args[16];
    va_list list;
    char *text;
    size_t n;

    va_start(list, format);
    int len = redisvFormatCommand(&text, format, list);
    va_end(list);
    ck_assert_int_gt(len, 0);
    ck_assert_uint_eq(route_split(text, (size_t)len, args, 16, &n), (size_t)len);
    int slot = route_command_slot(args, n);
    for (size_t cut = 0; cut < (size_t)len; cut++)
        ck_assert_uint_eq(route_split(text, cut, args, 16, &n), 0);
    free(text);
    return slot;
}

START_TEST(keys_of_commands)
{
    int foo = route_key_slot("foo", 3);

    ck_assert_int_eq(slot_of("GET foo"), foo);
    ck_assert_int_eq(slot_of("hset %b a b", "foo", (size_t)3), foo);
    ck_assert_int_eq(slot_of("PING"), ROUTE_NO_SLOT);
    ck_assert_int_eq(slot_of("SCAN 0 MATCH foo"), ROUTE_NO_SLOT);
    ck_assert_int_eq(slot_of("XREAD COUNT 5 BLOCK 100 STREAMS foo 0-0"), foo);
    ck_assert_int_eq(slot_of("XREAD COUNT 5 STREAMS"), ROUTE_NO_SLOT);
    ck_assert_int_eq(slot_of("XINFO STREAM foo"), foo);
    ck_assert_int_eq(slot_of("EVAL script 1 foo x"), foo);
    ck_assert_int_eq(slot_of("EVAL script 0 foo"), ROUTE_NO_SLOT);
    ck_assert_int_eq(slot_of("INFO memory"), ROUTE_NO_SLOT);
}
END_TEST

static bool repeatable(const char *text)
{
    struct store_arg args[8];
    size_t n = 0;
    char copy[128];

    strcpy(copy, text);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        args[n++] = (struct store_arg){word, strlen(word)};
    return route_is_repeatable(args, n);
}

START_TEST(what_may_be_repeated)
{
    ck_assert(repeatable("HSET k f v"));
    ck_assert(repeatable("XADD k 5-0 f v"));
    ck_assert(repeatable("SET k v EX 10"));
    ck_assert(!repeatable("SET k v NX EX 10"));
    ck_assert(!repeatable("SET k v EX 10 GET"));
    ck_assert(!repeatable("HINCRBY k f 1"));
    ck_assert(!repeatable("INCR k"));
    ck_assert(!repeatable("EXEC"));
    ck_assert(!repeatable("GET k"));
}
END_TEST

static redisReply *parse(const char *text)
{
    redisReader *reader = redisReaderCreate();
    void *r = NULL;

    ck_assert_int_eq(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    ck_assert_int_eq(redisReaderGetReply(reader, &r), REDIS_OK);
    ck_assert_ptr_nonnull(r);
    redisReaderFree(reader);
    return r;
}

START_TEST(redirections)
{
    static const struct {
        const char *text;
        enum route_answer answer;
        int slot, port;
        const char *host;
    } known[] = {{"-MOVED 3999 127.0.0.1:6381\r\n", ROUTE_MOVED, 3999, 6381, "127.0.0.1"},
                 {"-ASK 16383 ::1:7\r\n", ROUTE_ASK, 16383, 7, "::1"},
                 {"-MOVED 0 :6381\r\n", ROUTE_MOVED, 0, 6381, ""},
                 {"-TRYAGAIN Multiple keys\r\n", ROUTE_LATER, -1, 0, ""},
                 {"-CLUSTERDOWN Hash slot not served\r\n", ROUTE_LATER, -1, 0, ""},
                 {"-MOVED 16384 a:1\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-MOVED -1 a:1\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-MOVED 1 a:0\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-MOVED 1 a:65536\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-MOVED 1\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-MOVED\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-ASK 1 a:1 x\r\n", ROUTE_DONE, -1, 0, ""},
                 {"-ERR no\r\n", ROUTE_DONE, -1, 0, ""},
                 {"+OK\r\n", ROUTE_DONE, -1, 0, ""}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct store_endpoint to = {.port = 0};
        int slot = -1;
        redisReply *r = parse(known[i].text);
        ck_assert_msg(route_answer_of(r, &slot, &to) == known[i].answer, "%s", known[i].text);
        ck_assert_int_eq(slot, known[i].slot);
        ck_assert_str_eq(to.host, known[i].host);
        ck_assert_int_eq(to.port, known[i].port);
        freeReplyObject(r);
    }
}
END_TEST

static void count_range(void *ctx, int first, int last, const struct store_endpoint *master)
{
    int *sum = ctx;

    *sum += (last - first + 1) * master->port;
}

START_TEST(maps)
{
    static const char *const bad[] = {
        "+OK\r\n",
        "*1\r\n*2\r\n:0\r\n:5\r\n",
        "*1\r\n*3\r\n:5\r\n:0\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\na\r\n:0\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*1\r\n$1\r\na\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n$1\r\na\r\n",
        "*2\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n:7\r\n",
    };
    int sum = 0;
    redisReply *r = parse("*2\r\n*4\r\n:0\r\n:9\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n:2\r\n"
                          "*3\r\n:10\r\n:14\r\n*2\r\n$-1\r\n:100\r\n");

    ck_assert_int_eq(route_read_map(r, count_range, &sum), 15);
    ck_assert_int_eq(sum, 510);
    freeReplyObject(r);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r = parse(bad[i]);
        sum = 0;
        ck_assert_msg(route_read_map(r, count_range, &sum) < 0, "%zu", i);
        ck_assert_int_eq(sum, 0);
        freeReplyObject(r);
    }
}
END_TEST

START_TEST(journal_keeps_order_time_and_bounds)
{
    struct journal j;
    char command[100];

    memset(command, 'x', sizeof(command));
    journal_init(&j, 1 << 20, 1000);
    for (uint64_t i = 0; i < 100; i++) { /* two slots in turn: one blob each while it is young */
        command[0] = (char)i;
        journal_add(&j, (int)(i % 2), 1, 5000 + i, command, sizeof(command));
    }
    ck_assert_ptr_nonnull(j.first);
    ck_assert_ptr_eq(j.first->next, j.last);
    ck_assert_uint_eq(j.first->n_commands, 50);
    for (size_t i = 0; i < 50; i++)
        ck_assert_int_eq(j.last->bytes[i * 100], (char)(2 * i + 1));
    journal_add(&j, 0, 2, 5100, command, sizeof(command)); /* another connection, another blob */
    ck_assert_ptr_eq(j.first->next->next, j.last);
    journal_add(&j, 0, 2, 6225, command, sizeof(command)); /* the old ones are too old now */
    ck_assert_uint_eq(j.first->first_ms, 5100);
    ck_assert_uint_eq(j.overflows, 0);
    journal_fini(&j);
    ck_assert_uint_eq(j.bytes, 0);

    journal_init(&j, 300000, 1000);
    for (uint64_t i = 0; i < 10000; i++)
        journal_add(&j, 0, 1, 1, command, sizeof(command));
    ck_assert_uint_le(j.bytes, 300000);
    size_t kept = 0;
    for (struct journal_blob *b = j.first; b != NULL; b = b->next)
        kept += b->n_commands;
    ck_assert_uint_eq(kept + j.overflows, 10000);
    ck_assert_uint_gt(kept, 2000);
    journal_fini(&j);
    journal_init(&j, 0, 1000);
    journal_add(&j, 0, 1, 1, command, sizeof(command));
    ck_assert_ptr_null(j.first);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        slots, keys_of_commands, what_may_be_repeated, redirections, maps, journal_keeps_order_time_and_bounds};

    return unit_run("route", tests, sizeof(tests) / sizeof(tests[0]));
}

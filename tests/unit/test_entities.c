/* SPDX-License-Identifier: BSD-3-Clause */

/* Entities: codecs there and back, what they refuse, order, and that a batch is all or nothing on a real Redis. */

#include <errno.h>
#include <string.h>
#include "store/entities.h"
#include "tests/unit/private_redis.h"

START_TEST(there_and_back)
{
    struct entity_problem p, q;
    struct error e;

    memset(&p, 0, sizeof(p));
    strcpy(p.id, "PRB-7");
    strcpy(p.object, "Zürich~DC");
    p.state = PROBLEM_VERIFYING;
    p.severity = EVENT_critical;
    p.pattern = PATTERN_DAILY;
    p.first_ns = 1794898980000000001ull;
    p.p_value = 1.0 / 3;
    p.lift = 6.875;
    char *json = entity_encode(ENTITY_PROBLEM, &p);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(entity_decode(ENTITY_PROBLEM, json, strlen(json), &q, &e), 0);
    ck_assert_int_eq(memcmp(&p, &q, sizeof(p)), 0);
    char *again = entity_encode(ENTITY_PROBLEM, &q);
    ck_assert_str_eq(json, again);
    free(json);
    free(again);
}
END_TEST

START_TEST(decoder_refuses)
{
    static const struct {
        const char *json, *names;
    } bad[] = {
        {"", "JSON"},
        {"[]", "JSON"},
        {"{\"id\":7}", "id"},
        {"{\"id\":\"0123456789012345678901234567890\"}", "id"},
        {"{\"state\":\"sleeping\"}", "state"},
        {"{\"state\":3}", "state"},
        {"{\"first_ns\":-1}", "first_ns"},
        {"{\"lift\":\"x\"}", "lift"},
    };
    struct entity_problem p;
    struct error e;

    memset(&p, 0x55, sizeof(p));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(entity_decode(ENTITY_PROBLEM, bad[i].json, strlen(bad[i].json), &p, &e), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(e.text, bad[i].names));
    }
    ck_assert_int_eq(((unsigned char *)&p)[0], 0x55); /* untouched on failure */
    static const char newer[] = "{\"id\":\"PRB-1\",\"from_the_future\":{\"x\":1}}";
    ck_assert_int_eq(entity_decode(ENTITY_PROBLEM, newer, strlen(newer), &p, &e), 0);
    ck_assert_str_eq(p.id, "PRB-1");
    ck_assert_uint_eq(p.first_ns, 0);
}
END_TEST

START_TEST(cut_text_is_still_storable)
{
    struct entity_problem p;

    memset(&p, 0, sizeof(p));
    strcpy(p.reason, "half a character \xe2\x80");
    char *json = entity_encode(ENTITY_PROBLEM, &p);
    ck_assert_ptr_nonnull(json);
    ck_assert_ptr_nonnull(strstr(json, "half a character ??"));
    free(json);
}
END_TEST

static int collect_ids(void *ctx, const void *entity)
{
    strcat(ctx, ((const struct entity_incident *)entity)->id);
    strcat(ctx, " ");
    return 0;
}

static int stop_at_once(void *ctx, const void *entity)
{
    (void)ctx;
    (void)entity;
    return 42;
}

START_TEST(batches_and_order)
{
    char dir[64], ids[256] = "";
    struct error e = {""};
    struct entity_incident i;
    struct entity_meta meta = {.version = 1, .cursor_ns = 5};

    need_redis();
    make_temporary_dir(dir);
    struct store_private *redis = start_redis(dir);
    struct store *s = connect_redis(store_private_url(redis));
    ck_assert_int_eq(entities_get(s, ENTITY_META, "", &meta, &e), 0);
    struct entity_batch *b = entity_batch_new(s);
    memset(&i, 0, sizeof(i));
    for (int n = 12; n > 0; n--) {
        snprintf(i.id, sizeof(i.id), "INC-%d", n);
        entity_batch_put(b, ENTITY_INCIDENT, &i);
    }
    entity_batch_put(b, ENTITY_META, &meta);
    ck_assert_uint_eq(entity_batch_count(b), 13);
    ck_assert_int_eq(entity_batch_commit(b, &e), 0);
    ck_assert_int_eq(entities_each(s, ENTITY_INCIDENT, collect_ids, ids, &e), 0);
    ck_assert_str_eq(ids, "INC-1 INC-2 INC-3 INC-4 INC-5 INC-6 INC-7 INC-8 INC-9 INC-10 INC-11 INC-12 ");
    ck_assert_int_eq(entities_each(s, ENTITY_INCIDENT, stop_at_once, NULL, &e), 42);
    ck_assert_int_eq(entities_get(s, ENTITY_INCIDENT, "INC-3", &i, &e), 1);
    ck_assert_int_eq(entities_get(s, ENTITY_INCIDENT, "INC-33", &i, &e), 0);
    ck_assert_int_eq(entity_batch_commit(entity_batch_new(s), &e), 0); /* nothing to do */
    store_close(s);
    store_private_stop(redis);
    remove_dir(dir);
}
END_TEST

START_TEST(all_or_nothing)
{
    char dir[64], ids[256] = "";
    struct error e = {""};
    struct entity_incident i;

    need_redis();
    make_temporary_dir(dir);
    struct store_private *redis = start_redis(dir);
    struct store *s = connect_redis(store_private_url(redis));
    /* A server without room refuses commands while they are queued: EXEC must then do nothing. */
    store_reply_free(store_command(s, "CONFIG SET maxmemory 1"));
    struct entity_batch *b = entity_batch_new(s);
    memset(&i, 0, sizeof(i));
    strcpy(i.id, "INC-1");
    entity_batch_delete(b, ENTITY_INCIDENT, "INC-0");
    entity_batch_put(b, ENTITY_INCIDENT, &i);
    ck_assert_int_eq(entity_batch_commit(b, &e), -EIO);
    ck_assert_ptr_nonnull(strstr(e.text, "OOM"));
    store_reply_free(store_command(s, "CONFIG SET maxmemory 0"));
    ck_assert_int_eq(entities_each(s, ENTITY_INCIDENT, collect_ids, ids, &e), 0);
    ck_assert_str_eq(ids, "");
    /* A dead server is an error, not a crash. */
    b = entity_batch_new(s);
    entity_batch_put(b, ENTITY_INCIDENT, &i);
    kill(redis_pid(s), SIGKILL);
    ck_assert_int_eq(entity_batch_commit(b, &e), -EIO);
    store_close(s);
    store_private_stop(redis);
    remove_dir(dir);
}
END_TEST

static int check_blob(void *ctx, const char *field, const void *data, size_t len)
{
    ck_assert_str_eq(field, "path|A~B|loss_a2b");
    ck_assert_uint_eq(len, 5);
    ck_assert_int_eq(memcmp(data, "\0\1\r\n\377", 5), 0);
    ++*(int *)ctx;
    return 0;
}

START_TEST(learned_state_is_binary_safe)
{
    char dir[64];
    struct error e = {""};
    int seen = 0;

    need_redis();
    make_temporary_dir(dir);
    struct store_private *redis = start_redis(dir);
    struct store *s = connect_redis(store_private_url(redis));
    struct entity_batch *b = entity_batch_new(s);
    entity_batch_put_learned(b, LEARNED_SERIES, "", "path|A~B|loss_a2b", "\0\1\r\n\377", 5);
    entity_batch_put_learned(b, LEARNED_SERIES, "", "gone", "x", 1);
    entity_batch_delete_learned(b, LEARNED_SERIES, "", "gone");
    ck_assert_int_eq(entity_batch_commit(b, &e), 0);
    ck_assert_int_eq(learned_each(s, LEARNED_SERIES, "", check_blob, &seen, &e), 0);
    ck_assert_int_eq(seen, 1);
    store_close(s);
    store_private_stop(redis);
    remove_dir(dir);
}
END_TEST

UNIT_MAIN("entities", there_and_back, decoder_refuses, cut_text_is_still_storable, batches_and_order, all_or_nothing,
          learned_state_is_binary_safe)

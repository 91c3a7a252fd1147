/* SPDX-License-Identifier: BSD-3-Clause */

/* PagerDuty Events v2 against the contract server: one alert for one fault, whatever gets lost. */

#include "tests/unit/connector_fixture.h"

extern const struct connector connector_pagerduty;

#define KEY "e93facc04764012d7bfb002500d5d1a6"

static void open_pagerduty(struct bench *b, const char *key)
{
    unsetenv("SPANWARD_PAGERDUTY_KEY");
    bench_open(b, &connector_pagerduty, &contract_pagerduty, key,
               "  pagerduty:\n    url: %1$s\n    routing_key_file: %2$s\n");
}

START_TEST(a_life)
{
    struct bench b;

    open_pagerduty(&b, KEY "\n");
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "What: loss\n"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "open");
    assert_ticket(&b, "key", CREATE_KEY);
    struct connector_request r = request(&b, OUTBOX_UPDATE, "more");
    r.owner = "noc";
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    json_t *last = contract_last(b.server, "POST", "enqueue");
    ck_assert_str_eq(json_string_value(json_object_get(last, "event_action")), "acknowledge");
    json_decref(last);
    ck_assert_int_eq(tell(&b, OUTBOX_RESOLVE, "gone"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "resolved");
    ck_assert_int_eq(tell(&b, OUTBOX_CLOSE, "verified"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_REOPEN, "back"), CONNECTOR_DONE);
    json_t *all = contract_dump(b.server);
    ck_assert_uint_eq(json_array_size(all), 2); /* a resolved alert stays so: a new one rings */
    json_decref(all);
    bench_close(&b);
}
END_TEST

START_TEST(lost_answers_double_nothing)
{
    struct bench b;

    open_pagerduty(&b, KEY);
    meet(&b, MEET_LATE, 0, "POST", 1);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_RETRY);
    meet(&b, MEET_FAILED, 502, "POST", 1);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_RETRY);
    meet(&b, MEET_STATUS, 429, "POST", 1);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_RETRY);
    ck_assert_uint_eq(b.answer.retry_after_ns, 7 * NS_PER_S);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    json_decref(only_ticket(&b));
    bench_close(&b);
}
END_TEST

START_TEST(long_and_hostile_text)
{
    static char body[60000], title[3000];
    struct bench b;

    open_pagerduty(&b, KEY);
    memset(body, 'b', sizeof(body) - 1);
    memset(title, 't', sizeof(title) - 1);
    struct connector_request r = request(&b, OUTBOX_CREATE, body);
    r.title = title;
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    r = request(&b, OUTBOX_UPDATE, HOSTILE);
    r.title = "\x1b]0;x\x07";
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    bench_close(&b);
}
END_TEST

START_TEST(a_wrong_key_pauses)
{
    struct bench b;

    open_pagerduty(&b, "00000000000000000000000000000000");
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_PAUSE);
    ck_assert_ptr_nonnull(strstr(b.answer.text, "routing_key"));
    bench_close(&b);
}
END_TEST

/* Without a key it is not asked for; a key of the wrong length is an error that does not show it. */
START_TEST(configuration)
{
    struct config *config;
    struct error e = {""};
    char hash[FINGERPRINT_BYTES], path[64], text[200];
    void *ctx = NULL;

    unsetenv("SPANWARD_PAGERDUTY_KEY");
    ck_assert_int_eq(config_parse("", 0, "test", &config, &e), 0);
    ck_assert_int_eq(connector_pagerduty.open(config, &ctx, hash, &e), 0);
    config_free(config);
    write_secret_file(path, "too-short-a-key");
    snprintf(text, sizeof(text), "tickets:\n  pagerduty:\n    routing_key_file: %s\n", path);
    ck_assert_int_eq(config_parse(text, strlen(text), "test", &config, &e), 0);
    ck_assert_int_lt(connector_pagerduty.open(config, &ctx, hash, &e), 0);
    ck_assert_ptr_null(strstr(e.text, "too-short"));
    config_free(config);
    unlink(path);
}
END_TEST

UNIT_MAIN("pagerduty", a_life, lost_answers_double_nothing, long_and_hostile_text, a_wrong_key_pauses, configuration)

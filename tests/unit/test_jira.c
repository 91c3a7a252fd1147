/* SPDX-License-Identifier: BSD-3-Clause */

/* Jira, both editions, against the contract server: docs/TICKETS.md says what is promised. */

#include "tests/unit/connector_fixture.h"

extern const struct connector connector_jira;

static void open_cloud(struct bench *b)
{
    bench_open(b, &connector_jira, &contract_jira_cloud, "cloud-token\n",
               "  jira:\n    url: %1$s\n    user: monitoring@example.org\n    token_file: %2$s\n    project: NET\n");
}

static void open_dc(struct bench *b)
{
    bench_open(b, &connector_jira, &contract_jira_dc, "dc-personal-access-token",
               "  jira:\n    url: %1$s\n    edition: data-center\n    token_file: %2$s\n    project: NET\n"
               "    issue_type: Incident\n");
}

static void (*const editions[])(struct bench *b) = {open_cloud, open_dc};

START_TEST(a_life)
{
    struct bench b;
    struct connector_answer a;

    editions[_i](&b);
    ck_assert_int_eq(look(&b, &a), 0);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "What: loss\nSince: Tuesday\n"), CONNECTOR_DONE);
    ck_assert_str_eq(b.answer.remote_id, "NET-1");
    ck_assert_ptr_nonnull(strstr(b.answer.remote_url, "/browse/NET-1"));
    assert_ticket(&b, "state", "open");
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "What: more loss\n"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_COMMENT, "a remark"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_RESOLVE, "gone?"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "resolved");
    ck_assert_int_eq(look(&b, &a), 1);
    ck_assert_int_eq(a.state, REMOTE_RESOLVED);
    ck_assert_int_eq(tell(&b, OUTBOX_REOPEN, "it came back"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "open");
    ck_assert_int_eq(tell(&b, OUTBOX_CLOSE, "verified: 5 clean slots"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_CLOSE, "verified again"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "resolved");
    ck_assert_uint_eq(comments_of(&b), 5);
    bench_close(&b);
}
END_TEST

START_TEST(nothing_is_doubled)
{
    struct bench b;

    editions[_i](&b);
    stand_statuses(&b);
    stand_lost_answer(&b, MEET_LATE);
    stand_lost_comment(&b);
    bench_close(&b);
    editions[_i](&b);
    stand_lost_answer(&b, MEET_FAILED);
    bench_close(&b);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    struct bench b;
    struct connector_answer a;

    editions[_i](&b);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    snprintf(b.answer.remote_id, sizeof(b.answer.remote_id), "NET-99");
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "text"), CONNECTOR_REFUSED);
    ck_assert_ptr_nonnull(strstr(b.answer.text, "does not exist"));
    snprintf(b.answer.remote_id, sizeof(b.answer.remote_id), "NET-1");
    meet(&b, MEET_STATUS, 409, "PUT", 1);
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "text"), CONNECTOR_RETRY);
    contract_revoke(b.server, true);
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "text"), CONNECTOR_PAUSE);
    ck_assert_int_lt(look(&b, &a), 0);
    ck_assert_int_eq(a.outcome, CONNECTOR_PAUSE);
    bench_close(&b);
}
END_TEST

START_TEST(hostile_and_long_text)
{
    static char longer[20000];
    struct bench b;
    char title[600];

    editions[_i](&b);
    memset(title, 'x', sizeof(title) - 1);
    title[sizeof(title) - 1] = '\0';
    for (size_t i = 0; i + 3 < sizeof(longer); i += 2)
        memcpy(longer + i, "{\n", 3);
    struct connector_request r = request(&b, OUTBOX_CREATE, HOSTILE);
    r.title = "=HYPERLINK(\"x\")\n<script> [~admin]\x1b[31m";
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    assert_ticket(&b, "title", "'=HYPERLINK(\"x\") <script> [~admin] [31m");
    ck_assert_int_eq(tell(&b, OUTBOX_COMMENT, HOSTILE), CONNECTOR_DONE);
    r = request(&b, OUTBOX_UPDATE, longer);
    r.title = title;
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    bench_close(&b);
}
END_TEST

START_TEST(what_people_do_comes_back)
{
    struct connector_changes c;
    struct bench b;

    editions[_i](&b);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    poll_from_start(&b, &c);
    usleep(1100000); /* times have seconds here */
    contract_edit(b.server, "NET-1", "owner", "5b10a2844c20165700ede21g");
    contract_edit(b.server, "NET-1", "comment", "change CHG123");
    contract_edit(b.server, "NET-1", "state", "done");
    ck_assert_int_eq(tell(&b, OUTBOX_COMMENT, "our own words"), CONNECTOR_DONE);
    ck_assert_int_eq(poll_again(&b, &c), 0);
    ck_assert_uint_eq(c.n, 2);
    ck_assert_str_eq(c.item[0].remote_id, "NET-1");
    ck_assert_int_eq(c.item[0].state, REMOTE_RESOLVED);
    ck_assert_str_eq(c.item[0].resolution, "Fertig");
    ck_assert(c.item[0].has_owner);
    ck_assert_uint_gt(strlen(c.item[0].owner), 0);
    ck_assert_str_eq(c.item[1].comment, "change CHG123");
    ck_assert_str_ne(c.item[1].author, "");
    ck_assert_int_eq(poll_again(&b, &c), 0);
    ck_assert_uint_eq(c.n, 0);
    connector_changes_fini(&c);
    bench_close(&b);
}
END_TEST

START_TEST(pages_are_all_read)
{
    struct connector_changes c;
    struct bench b;
    char key[65];

    editions[_i](&b);
    poll_from_start(&b, &c);
    usleep(1100000);
    for (unsigned i = 0; i < 7; i++) {
        struct connector_request r = request(&b, OUTBOX_CREATE, "text");
        snprintf(key, sizeof(key), "%08u%056d", i, 0);
        r.create_key = r.key = key;
        ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    }
    contract_page_limit(b.server, 3);
    ck_assert_int_eq(poll_again(&b, &c), 0);
    ck_assert_uint_eq(c.n, 7);
    connector_changes_fini(&c);
    bench_close(&b);
}
END_TEST

START_TEST(people_and_attachments)
{
    static const struct connector_attachment svg = {"evidence.svg", "image/svg+xml", "<svg/>", 6};
    struct bench b;

    editions[_i](&b);
    struct connector_request r = request(&b, OUTBOX_CREATE, "text");
    r.owner = "noc@example.org";
    r.attachment = &svg;
    r.n_attachments = 1;
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    json_t *t = only_ticket(&b);
    ck_assert_str_ne(json_string_value(json_object_get(t, "owner")), "");
    ck_assert_int_eq(json_integer_value(json_object_get(t, "attachments")), 1);
    json_decref(t);
    r = request(&b, OUTBOX_UPDATE, "text");
    r.owner = "nobody they know";
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    bench_close(&b);
}
END_TEST

START_TEST(a_check_says_what_is_missing)
{
    struct bench b;
    struct said said = {0};

    editions[_i](&b);
    ck_assert_int_eq(connector_jira.check(b.ctx, take_said, &said), 0);
    ck_assert_uint_eq(said.bad, 0);
    ck_assert_uint_eq(said.good, 3);
    contract_revoke(b.server, true);
    ck_assert_int_lt(connector_jira.check(b.ctx, take_said, &said), 0);
    ck_assert_uint_eq(said.bad, 1);
    ck_assert_ptr_null(strstr(said.text, "token-"));
    bench_close(&b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_life,
                                  nothing_is_doubled,
                                  what_is_wrong_is_said,
                                  hostile_and_long_text,
                                  what_people_do_comes_back,
                                  pages_are_all_read,
                                  people_and_attachments,
                                  a_check_says_what_is_missing};
    Suite *suite = suite_create("jira");
    TCase *tcase = tcase_create("jira");

    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_loop_test(tcase, tests[i], 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Every tracker that has a contract server, through one life: what docs/TICKETS.md promises holds for each of them. A
 * test runs once for each line of the table.
 */

#include "tests/unit/connector_fixture.h"

extern const struct connector connector_jira, connector_servicenow, connector_zammad, connector_glpi;

/* The system, how it is configured, and what things are called there. */
static const struct tracker {
    const struct connector *plug;
    const struct contract_system *system;
    const char *secret, *yaml;
    const char *owner;           /* somebody whom it knows, as our configuration names them */
    const char *remote_owner;    /* the same, as people there set it */
    const char *remote_resolved; /* its state for resolved */
    enum remote_state closed;    /* what our closing makes of it */
    const char *missing;         /* an id that is none of its tickets */
    unsigned comments;           /* how many the life leaves behind, at least */
} trackers[] = {
    {&connector_jira, &contract_jira_cloud, "cloud-token\n",
     "  jira:\n    url: %1$s\n    user: monitoring@example.org\n    token_file: %2$s\n    project: NET\n",
     "noc@example.org", "5b10a2844c20165700ede21g", "done", REMOTE_RESOLVED, "NET-99", 5},
    {&connector_jira, &contract_jira_dc, "dc-personal-access-token",
     "  jira:\n    url: %1$s\n    edition: data-center\n    token_file: %2$s\n    project: NET\n"
     "    issue_type: Incident\n",
     "noc@example.org", "noc", "done", REMOTE_RESOLVED, "NET-99", 5},
    {&connector_servicenow, &contract_servicenow, "now-password",
     "  servicenow:\n    url: %1$s\n    user: spanward\n    password_file: %2$s\n", "noc",
     "6816f79cc0a8016401c5a33be04be441", "6", REMOTE_RESOLVED, "0123456789abcdef", 3},
    {&connector_servicenow, &contract_servicenow, "now-password",
     "  servicenow:\n    url: %1$s\n    user: spanward\n    password_file: %2$s\n    table: problem\n", "noc",
     "6816f79cc0a8016401c5a33be04be441", "106", REMOTE_RESOLVED, "0123456789abcdef", 3},
    {&connector_zammad, &contract_zammad, "zammad-access-token",
     "  zammad:\n    url: %1$s\n    token_file: %2$s\n    group: Network\n", "noc@example.org", "noc@example.org",
     "closed", REMOTE_RESOLVED, "4711", 6},
    {&connector_glpi, &contract_glpi, "glpi-user-token",
     "  glpi:\n    url: %1$s/apirest.php\n    user_token_file: %2$s\n", "tech", "3", "5", REMOTE_CLOSED, "4711", 4},
    {&connector_glpi, &contract_glpi, "glpi-user-token",
     "  glpi:\n    url: %1$s/apirest.php\n    user_token_file: %2$s\n    type: Problem\n", "tech", "3", "5",
     REMOTE_CLOSED, "4711", 4},
};
#define N_TRACKERS (int)(sizeof(trackers) / sizeof(trackers[0]))

static const struct tracker *open_tracker(struct bench *b, int i)
{
    const struct tracker *t = &trackers[i];

    setenv("SPANWARD_GLPI_APP_TOKEN", "glpi-app-token", 1);
    bench_open(b, t->plug, t->system, t->secret, t->yaml);
    return t;
}

/* The id of the only ticket, as contract_edit wants it. */
static const char *id_of(struct bench *b)
{
    return b->answer.remote_id;
}

START_TEST(a_life)
{
    struct bench b;
    struct connector_answer a;
    const struct tracker *t = open_tracker(&b, _i);

    ck_assert_int_eq(look(&b, &a), 0);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "What: loss\nSince: Tuesday\n"), CONNECTOR_DONE);
    ck_assert_uint_gt(strlen(b.answer.remote_id), 0);
    ck_assert_ptr_nonnull(strstr(b.answer.remote_url, contract_url(b.server)));
    assert_ticket(&b, "state", "open");
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "What: more loss\n"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_COMMENT, "a remark"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_RESOLVE, "gone?"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "resolved");
    ck_assert_int_eq(look(&b, &a), 1);
    ck_assert_int_eq(a.state, REMOTE_RESOLVED);
    ck_assert_int_eq(tell(&b, OUTBOX_REOPEN, "it came back"), CONNECTOR_DONE);
    assert_ticket(&b, "state", "open");
    ck_assert_int_eq(tell(&b, OUTBOX_RESOLVE, "gone again?"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_CLOSE, "verified: 5 clean slots"), CONNECTOR_DONE);
    ck_assert_int_eq(look(&b, &a), 1);
    ck_assert_int_eq(a.state, t->closed);
    ck_assert_uint_ge(comments_of(&b), t->comments);
    bench_close(&b);
}
END_TEST

START_TEST(nothing_is_doubled)
{
    struct bench b;

    open_tracker(&b, _i);
    stand_statuses(&b);
    stand_lost_answer(&b, MEET_LATE);
    stand_lost_comment(&b);
    bench_close(&b);
    open_tracker(&b, _i);
    stand_lost_answer(&b, MEET_FAILED);
    bench_close(&b);
}
END_TEST

/* The server thinks for longer than we wait, and makes the ticket all the same. */
START_TEST(a_slow_create_is_found)
{
    struct contract_fault slow = {.kind = MEET_STALL, .method = "POST", .count = 1, .stall_ms = 5000};
    struct bench b;
    struct connector_answer a;

    if (_i != 0)
        return; /* one system is enough to wait for */
    open_tracker(&b, _i);
    ck_assert_int_eq(look(&b, &a), 0); /* sessions are open: the next POST is the create */
    contract_fault(b.server, &slow);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DOUBT);
    sleep(2); /* now it has answered whom it lost */
    ck_assert_int_eq(look(&b, &a), 1);
    json_decref(only_ticket(&b));
    bench_close(&b);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    struct bench b;
    struct connector_answer a;
    char id[128];
    const struct tracker *t = open_tracker(&b, _i);

    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    snprintf(id, sizeof(id), "%s", b.answer.remote_id);
    snprintf(b.answer.remote_id, sizeof(b.answer.remote_id), "%s", t->missing);
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "text"), CONNECTOR_REFUSED);
    ck_assert_int_eq(b.answer.http_status, 404);
    ck_assert_uint_gt(strlen(b.answer.text), strlen("HTTP status 404"));
    snprintf(b.answer.remote_id, sizeof(b.answer.remote_id), "%s", id);
    meet(&b, MEET_STATUS, 412, NULL, 1);
    ck_assert_int_ne(tell(&b, OUTBOX_UPDATE, "text"), CONNECTOR_DONE);
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

    open_tracker(&b, _i);
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
    ck_assert_int_eq(tell(&b, OUTBOX_RESOLVE, HOSTILE), CONNECTOR_DONE);
    bench_close(&b);
}
END_TEST

START_TEST(what_people_do_comes_back)
{
    struct connector_changes c;
    struct bench b;
    const struct tracker *t = open_tracker(&b, _i);

    struct connector_request r = request(&b, OUTBOX_CREATE, "text");
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    poll_from_start(&b, &c);
    ck_assert_int_eq(poll_again(&b, &c), 0); /* the creation itself may be told */

    contract_edit(b.server, id_of(&b), "owner", t->remote_owner);
    contract_edit(b.server, id_of(&b), "comment", "change CHG123");
    contract_edit(b.server, id_of(&b), "state", t->remote_resolved);
    ck_assert_int_eq(tell(&b, OUTBOX_COMMENT, "our own words"), CONNECTOR_DONE);
    ck_assert_int_eq(poll_again(&b, &c), 0);
    ck_assert_uint_eq(c.n, 2);
    ck_assert_str_eq(c.item[0].remote_id, id_of(&b));
    ck_assert_int_eq(c.item[0].state, REMOTE_RESOLVED);
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

    open_tracker(&b, _i);
    poll_from_start(&b, &c);

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
    struct connector_answer a;
    const struct tracker *t = open_tracker(&b, _i);

    struct connector_request r = request(&b, OUTBOX_CREATE, "text");
    r.owner = t->owner;
    r.attachment = &svg;
    r.n_attachments = 1;
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    ck_assert_str_eq(b.answer.text, "");
    json_t *j = only_ticket(&b);
    ck_assert_str_eq(json_string_value(json_object_get(j, "owner")), t->remote_owner);
    ck_assert_int_eq(json_integer_value(json_object_get(j, "attachments")), 1);
    json_decref(j);
    ck_assert_int_eq(look(&b, &a), 1);
    ck_assert_str_eq(a.owner, t->owner); /* the name that we use, there and back */
    r = request(&b, OUTBOX_UPDATE, "text");
    r.owner = "nobody they know";
    ck_assert_int_eq(send_request(&b, &r), CONNECTOR_DONE);
    assert_ticket(&b, "owner", t->remote_owner);
    bench_close(&b);
}
END_TEST

/* What the search does not show is not lost: somebody may have moved it, or the index lags behind. */
START_TEST(what_is_not_found_may_be_there)
{
    struct bench b;
    struct connector_answer a = {.outcome = CONNECTOR_RETRY};
    const struct tracker *t = open_tracker(&b, _i);

    if (t->plug->present != NULL) {
        ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
        struct connector_request r = request(&b, OUTBOX_UPDATE, "");
        ck_assert_int_eq(t->plug->present(b.ctx, &r, &a), 1);
        meet(&b, MEET_STATUS, 403, "GET", 1);
        ck_assert_int_eq(t->plug->present(b.ctx, &r, &a), 1);
        meet(&b, MEET_STATUS, 503, "GET", 1);
        ck_assert_int_lt(t->plug->present(b.ctx, &r, &a), 0);
        r.remote_id = t->missing;
        ck_assert_int_eq(t->plug->present(b.ctx, &r, &a), 0);
    }
    bench_close(&b);
}
END_TEST

START_TEST(a_check_says_what_is_missing)
{
    struct bench b;
    struct said said = {0};
    const struct tracker *t = open_tracker(&b, _i);

    int rc = t->plug->check(b.ctx, take_said, &said);
    ck_assert_msg(rc == 0 && said.bad == 0, "%s", said.text);
    ck_assert_uint_gt(said.good, 1);
    contract_revoke(b.server, true);
    ck_assert_int_lt(t->plug->check(b.ctx, take_said, &said), 0);
    ck_assert_uint_eq(said.bad, 1);
    ck_assert_ptr_null(strstr(said.text, t->secret));
    bench_close(&b);
}
END_TEST

/* A closed incident of ServiceNow cannot be opened again: another one takes over, once. */
START_TEST(another_one_takes_over)
{
    struct bench b;
    struct connector_answer a;

    open_tracker(&b, 2);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    ck_assert_int_eq(tell(&b, OUTBOX_RESOLVE, "gone"), CONNECTOR_DONE);
    contract_edit(b.server, id_of(&b), "state", "7");
    char old[128];
    snprintf(old, sizeof(old), "%s", id_of(&b));
    struct connector_request r = request(&b, OUTBOX_REOPEN, "it came back");
    struct connector_answer first = {.outcome = CONNECTOR_RETRY}, second = first;
    r.remote_id = old;
    b.plug->send(b.ctx, &r, &first);
    r.repeat = true;
    b.plug->send(b.ctx, &r, &second);
    ck_assert_int_eq(first.outcome, CONNECTOR_DONE);
    ck_assert_str_ne(first.remote_id, old);
    ck_assert_str_eq(first.remote_id, second.remote_id);
    ck_assert_int_eq(look(&b, &a), 1);
    ck_assert_str_eq(a.remote_id, first.remote_id);
    json_t *all = contract_dump(b.server);
    ck_assert_uint_eq(json_array_size(all), 2);
    json_decref(all);
    bench_close(&b);
}
END_TEST

/* A session that has ended is opened again, and nothing is lost. */
START_TEST(a_session_ends)
{
    struct bench b;

    open_tracker(&b, 5);
    ck_assert_int_eq(tell(&b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    contract_forget_sessions(b.server);
    ck_assert_int_eq(tell(&b, OUTBOX_UPDATE, "more"), CONNECTOR_DONE);
    bench_close(&b);
}
END_TEST

int main(void)
{
    const TTest *const each[] = {a_life,
                                 nothing_is_doubled,
                                 a_slow_create_is_found,
                                 what_is_wrong_is_said,
                                 hostile_and_long_text,
                                 what_people_do_comes_back,
                                 pages_are_all_read,
                                 people_and_attachments,
                                 what_is_not_found_may_be_there,
                                 a_check_says_what_is_missing};
    Suite *suite = suite_create("trackers");
    TCase *tcase = tcase_create("trackers");

    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
        tcase_add_loop_test(tcase, each[i], 0, N_TRACKERS);
    tcase_add_test(tcase, another_one_takes_over);
    tcase_add_test(tcase, a_session_ends);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

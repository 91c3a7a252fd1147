/* SPDX-License-Identifier: BSD-3-Clause */

/* The outbox with a connector made of a script of answers: order, coalescing, back-off, breaker, dead letters, pauses,
 * dry runs, and what a restart between sending and recording leaves behind. */

#include "control/backsync.h"
#include "tests/unit/control_fixture.h"

/* Answers to give, one per call; what was asked. */
struct script {
    enum connector_outcome answer[64];
    unsigned n_answers, calls;
    uint64_t retry_after_ns;
    struct {
        enum outbox_op op;
        char key[FINGERPRINT_BYTES];
        char ticket[ENTITY_ID_BYTES];
        char title[256];
        uint64_t version;
    } seen[64];
    int found; /* what find says */
    unsigned finds;
};

static void script_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct script *s = ctx;

    ck_assert_uint_lt(s->calls, 64);
    s->seen[s->calls].op = r->op;
    s->seen[s->calls].version = r->version;
    snprintf(s->seen[s->calls].key, sizeof(s->seen[0].key), "%s", r->key);
    snprintf(s->seen[s->calls].ticket, sizeof(s->seen[0].ticket), "%s", r->ticket);
    snprintf(s->seen[s->calls].title, sizeof(s->seen[0].title), "%s", r->title);
    ret->outcome = s->calls < s->n_answers ? s->answer[s->calls] : CONNECTOR_DONE;
    ret->retry_after_ns = s->retry_after_ns;
    ret->http_status = 500;
    snprintf(ret->text, sizeof(ret->text), "scripted");
    if (ret->outcome == CONNECTOR_DONE)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "R-%u", s->calls);
    s->calls++;
}

static int script_find(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    struct script *s = ctx;

    ck_assert_int_eq(r->op, OUTBOX_CREATE);
    s->finds++;
    if (s->found == 1)
        snprintf(ret->remote_id, sizeof(ret->remote_id), "FOUND");
    return s->found;
}

static const struct connector plain = {.name = "script", .send = script_send};
static const struct connector asking = {.name = "script", .send = script_send, .find = script_find};

static void start_filing(struct fixture *f)
{
    fixture_start(f);
    f->options.dry_run = false;
    f->options.connector = "script";
    fixture_reopen(f);
}

/* A major incident from its beginning to its end: a create, then a close. */
static void incident(struct fixture *f, const char *name, bool to_the_end)
{
    fixture_until(f, name, f->now_ns + 60 * MIN_NS, 0);
    fixture_until(f, name, f->now_ns + 20 * MIN_NS, 0.10);
    if (to_the_end)
        fixture_until(f, name, f->now_ns + 60 * MIN_NS, 0);
    fixture_commit(f);
}

static int deliver(struct fixture *f, const struct connector *plug, struct script *s, uint64_t now_ns)
{
    struct error e = {""};
    struct outbox_connector x = {.plug = plug, .ctx = s, .settings_hash = "1"};
    int n = outbox_deliver(f->c, &x, now_ns, 100, &e);

    ck_assert_msg(n >= 0, "%s", e.text);
    return n;
}

static struct entity_outbox row(struct fixture *f, size_t index)
{
    struct found found;

    fixture_find(f, ENTITY_OUTBOX, &found);
    ck_assert_uint_lt(index, found.n);
    return found.u.outbox[index];
}

START_TEST(create_then_close_in_order)
{
    struct fixture f;
    struct script s = {.n_answers = 2, .answer = {CONNECTOR_RETRY, CONNECTOR_RETRY}};
    struct found found;

    start_filing(&f);
    incident(&f, "A~B", true);
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 1); /* the create fails; the close must wait */
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 0); /* nor before the back-off is over */
    uint64_t due = outbox_next_due_ns(f.c);
    ck_assert_uint_gt(due, NS_PER_S);
    ck_assert_uint_le(due, 3 * NS_PER_S);
    ck_assert_int_eq(deliver(&f, &plain, &s, due), 1);
    ck_assert_int_eq(deliver(&f, &plain, &s, due + 3600 * NS_PER_S), 2);
    ck_assert_uint_eq(s.calls, 4);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(s.seen[i].op, OUTBOX_CREATE);
        ck_assert_str_eq(s.seen[i].key, s.seen[0].key); /* stable over retries */
    }
    ck_assert_int_eq(s.seen[3].op, OUTBOX_CLOSE);
    ck_assert_str_ne(s.seen[3].key, s.seen[0].key);
    fixture_find(&f, ENTITY_OUTBOX, &found);
    ck_assert_uint_eq(found.n, 2);
    ck_assert_int_eq(found.u.outbox[0].state, OUTBOX_ROW_SENT);
    ck_assert_uint_eq(found.u.outbox[0].attempts, 3);
    ck_assert_str_eq(found.u.outbox[0].remote_id, "R-2");
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_str_eq(found.u.ticket[0].remote_id, "R-3");
    ck_assert_uint_eq(outbox_next_due_ns(f.c), UINT64_MAX);
    fixture_stop(&f);
}
END_TEST

START_TEST(pending_updates_coalesce)
{
    struct fixture f;
    struct script s = {0};

    start_filing(&f);
    for (int i = 0; i < 3; i++) { /* create, close, then reopening updates and closes */
        incident(&f, "A~B", true);
        fixture_until(&f, "A~B", f.now_ns + 60 * MIN_NS, 0);
    }
    incident(&f, "A~B", false);
    ck_assert_int_gt(deliver(&f, &plain, &s, NS_PER_S), 4);
    for (unsigned i = 1; i < s.calls; i++) {
        ck_assert_uint_gt(s.seen[i].version, s.seen[i - 1].version);
        ck_assert_int_ne(s.seen[i].op, OUTBOX_CREATE);
        bool two_updates = s.seen[i].op == OUTBOX_UPDATE && s.seen[i - 1].op == OUTBOX_UPDATE;
        ck_assert(!two_updates);
    }
    ck_assert_int_eq(s.seen[0].op, OUTBOX_CREATE);
    fixture_stop(&f);
}
END_TEST

START_TEST(dead_letters_hold_back_their_ticket_only)
{
    struct fixture f;
    struct script s = {.n_answers = 1, .answer = {CONNECTOR_REFUSED}};
    struct control_totals t;

    start_filing(&f);
    incident(&f, "A~B", true);
    incident(&f, "C~D", true);
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 3);
    ck_assert_str_eq(s.seen[1].ticket, "TKT-2");
    ck_assert_str_eq(s.seen[2].ticket, "TKT-2");
    ck_assert_int_eq(row(&f, 0).state, OUTBOX_ROW_DEAD);
    ck_assert_str_eq(row(&f, 0).last_error, "scripted");
    ck_assert_int_eq(row(&f, 1).state, OUTBOX_ROW_PENDING); /* a close without its create */
    fixture_reopen(&f);
    ck_assert_int_eq(deliver(&f, &plain, &s, 1000 * NS_PER_S), 0); /* still so after a restart */
    control_totals(f.c, &t);
    ck_assert_uint_eq(t.outbox_pending, 1);
    fixture_stop(&f);
}
END_TEST

START_TEST(pauses_end_with_new_settings)
{
    struct fixture f;
    struct script s = {.n_answers = 1, .answer = {CONNECTOR_PAUSE}};
    struct error e = {""};

    start_filing(&f);
    incident(&f, "A~B", true);
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 1);
    ck_assert_uint_eq(outbox_next_due_ns(f.c), UINT64_MAX);
    ck_assert_int_eq(deliver(&f, &plain, &s, 99999 * NS_PER_S), 0);
    fixture_reopen(&f);
    ck_assert_int_eq(deliver(&f, &plain, &s, 99999 * NS_PER_S), 0);
    struct outbox_connector mended = {.plug = &plain, .ctx = &s, .settings_hash = "2"};
    ck_assert_int_eq(outbox_deliver(f.c, &mended, 99999 * NS_PER_S, 100, &e), 2);
    fixture_stop(&f);
}
END_TEST

START_TEST(breaker_and_retry_after)
{
    struct fixture f;
    struct script s = {.n_answers = 7};
    uint64_t now = NS_PER_S;

    start_filing(&f);
    for (unsigned i = 0; i < 7; i++) {
        char name[16];
        s.answer[i] = CONNECTOR_RETRY;
        snprintf(name, sizeof(name), "A%u~B", i);
        incident(&f, name, false);
    }
    ck_assert_int_eq(deliver(&f, &plain, &s, now), 5); /* five in a row open the circuit */
    ck_assert_int_eq(deliver(&f, &plain, &s, now + 59 * NS_PER_S), 0);
    ck_assert_int_eq(deliver(&f, &plain, &s, now + 61 * NS_PER_S), 1); /* one probe, and it opens again */
    s.n_answers = 0;
    /* All seven, and the ends of those that were not observed any more. */
    ck_assert_int_ge(deliver(&f, &plain, &s, now + 7200 * NS_PER_S), 7);
    ck_assert_uint_eq(outbox_next_due_ns(f.c), UINT64_MAX);
    fixture_stop(&f);

    start_filing(&f);
    s = (struct script){.n_answers = 1, .answer = {CONNECTOR_RETRY}, .retry_after_ns = 500 * NS_PER_S};
    incident(&f, "A~B", false);
    ck_assert_int_eq(deliver(&f, &plain, &s, now), 1);
    ck_assert_uint_eq(outbox_next_due_ns(f.c), now + 500 * NS_PER_S);
    fixture_stop(&f);
}
END_TEST

START_TEST(asks_before_a_create)
{
    struct fixture f;
    struct script s = {.found = 1};

    start_filing(&f);
    incident(&f, "A~B", false);
    ck_assert_int_eq(deliver(&f, &asking, &s, NS_PER_S), 1);
    ck_assert_uint_eq(s.calls, 0); /* it was there already */
    ck_assert_uint_eq(s.finds, 1);
    ck_assert_str_eq(row(&f, 0).remote_id, "FOUND");
    fixture_stop(&f);
    start_filing(&f);
    s = (struct script){.found = -EIO};
    incident(&f, "A~B", false);
    ck_assert_int_eq(deliver(&f, &asking, &s, NS_PER_S), 1);
    ck_assert_uint_eq(s.calls, 0); /* no answer: not created either */
    ck_assert_int_eq(row(&f, 0).state, OUTBOX_ROW_PENDING);
    fixture_stop(&f);
}
END_TEST

START_TEST(dry_run_then_filed)
{
    struct fixture f;
    struct script s = {0};
    struct found found;

    fixture_start(&f);
    f.options.connector = "script";
    fixture_reopen(&f);
    incident(&f, "A~B", false);
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 0);
    ck_assert_int_eq(row(&f, 0).state, OUTBOX_ROW_DRY_RUN);
    f.options.dry_run = false;
    fixture_commit(&f);
    fixture_reopen(&f);
    fixture_until(&f, "A~B", f.now_ns + 30 * MIN_NS, 0);    /* cleared */
    fixture_until(&f, "A~B", f.now_ns + 20 * MIN_NS, 0.10); /* and back: now there is something to file */
    fixture_commit(&f);
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 1);
    ck_assert_int_eq(s.seen[0].op, OUTBOX_CREATE); /* nobody has seen the dry run's */
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_uint_eq(found.u.ticket[0].dry_run, 0);
    fixture_stop(&f);
}
END_TEST

/* Three of seven an hour, and one ticket that tells of the rest. */
START_TEST(too_many_wait_and_one_ticket_says_so)
{
    struct fixture f;
    struct script s = {0};
    struct outbox_rules rules = outbox_default_rules;
    uint64_t now = 1000 * HOUR_NS;
    unsigned creates = 0, summaries = 0;

    rules.max_per_hour = 3;
    fixture_start(&f);
    f.options.dry_run = false;
    f.options.connector = "script";
    f.options.rules = &rules;
    fixture_reopen(&f);
    for (unsigned i = 0; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof(name), "A%u~B%u", i, i);
        incident(&f, name, false);
    }
    for (unsigned hour = 0; hour < 4; hour++) {
        unsigned before = creates;
        deliver(&f, &plain, &s, now + hour * HOUR_NS);
        for (unsigned i = 0; i < s.calls; i++) {
            bool summary = strncmp(s.seen[i].ticket, "LIM-", 4) == 0;
            creates += s.seen[i].op == OUTBOX_CREATE && !summary;
            summaries += s.seen[i].op == OUTBOX_CREATE && summary;
            if (hour == 0 && summary)
                ck_assert_str_eq(s.seen[i].title, "Spanward: more than 3 new faults in an hour, 4 tickets wait");
        }
        s.calls = 0;
        ck_assert_uint_le(creates - before, 3);
        fixture_reopen(&f); /* the count outlives a restart */
    }
    ck_assert_uint_eq(creates, 7);
    ck_assert_uint_eq(summaries, 1);
    fixture_stop(&f);
}
END_TEST

/* A create that may have arrived is not repeated before it could have been found. */
START_TEST(a_doubtful_create_waits_until_it_would_be_seen)
{
    struct fixture f;
    struct script s = {.n_answers = 1, .answer = {CONNECTOR_DOUBT}};
    uint64_t now = 1000 * HOUR_NS;

    start_filing(&f);
    incident(&f, "A~B", false);
    ck_assert_int_eq(deliver(&f, &asking, &s, now), 1);
    ck_assert_int_eq(deliver(&f, &asking, &s, now + 29 * NS_PER_S), 0);
    fixture_reopen(&f); /* nor after a kill */
    ck_assert_int_eq(deliver(&f, &asking, &s, now + 29 * NS_PER_S), 0);
    s.found = 1;
    ck_assert_int_eq(deliver(&f, &asking, &s, now + 31 * NS_PER_S), 1);
    ck_assert_uint_eq(s.calls, 1); /* it was there: not sent again */
    ck_assert_uint_eq(s.finds, 2);
    ck_assert_str_eq(row(&f, 0).remote_id, "FOUND");
    fixture_stop(&f);
}
END_TEST

START_TEST(what_was_closed_is_reopened)
{
    struct fixture f;
    struct script s = {0};

    start_filing(&f);
    incident(&f, "A~B", true);
    fixture_until(&f, "A~B", f.now_ns + 60 * MIN_NS, 0);
    incident(&f, "A~B", false); /* a later occurrence */
    ck_assert_int_eq(deliver(&f, &plain, &s, NS_PER_S), 3);
    ck_assert_int_eq(s.seen[1].op, OUTBOX_CLOSE);
    ck_assert_int_eq(s.seen[2].op, OUTBOX_REOPEN);
    fixture_stop(&f);
}
END_TEST

START_TEST(by_hand)
{
    struct fixture f;
    struct script s = {.n_answers = 2, .answer = {CONNECTOR_REFUSED, CONNECTOR_REFUSED}};
    struct error e = {""};
    struct found found;

    start_filing(&f);
    incident(&f, "A~B", true);
    incident(&f, "C~D", true);
    ck_assert_int_ge(deliver(&f, &plain, &s, NS_PER_S), 2);
    ck_assert_int_eq(row(&f, 0).state, OUTBOX_ROW_DEAD);
    ck_assert_int_eq(outbox_retry(f.c, 99, &e), -ENOENT);
    ck_assert_int_eq(outbox_retry(f.c, row(&f, 0).seq, &e), 0);
    ck_assert_int_eq(outbox_drop(f.c, row(&f, 2).seq, &e), 0); /* the other's create, and with it its close */
    ck_assert_int_eq(deliver(&f, &plain, &s, 2 * NS_PER_S), 2);
    fixture_find(&f, ENTITY_OUTBOX, &found);
    ck_assert_int_eq(found.u.outbox[0].state, OUTBOX_ROW_SENT);
    ck_assert_int_eq(found.u.outbox[1].state, OUTBOX_ROW_SENT);
    ck_assert_int_eq(found.u.outbox[2].state, OUTBOX_ROW_DROPPED);
    ck_assert_int_eq(found.u.outbox[3].state, OUTBOX_ROW_DROPPED);
    fixture_stop(&f);
}
END_TEST

START_TEST(keys_differ_between_installations)
{
    struct fixture f;
    char key[2][FINGERPRINT_BYTES];

    for (int i = 0; i < 2; i++) {
        fixture_start(&f);
        f.options.dry_run = false;
        f.options.connector = "script";
        f.options.install = i == 0 ? "one" : "two";
        fixture_reopen(&f);
        incident(&f, "A~B", false);
        snprintf(key[i], sizeof(key[i]), "%s", row(&f, 0).key);
        fixture_stop(&f);
    }
    ck_assert_str_ne(key[0], key[1]);
}
END_TEST

/* A person takes an incident's ticket and resolves it there: once, whoever tells it how often. */
START_TEST(what_people_do_there)
{
    struct fixture f;
    struct script s = {0};
    struct connector_change x = {.remote_id = "R-0", .state = REMOTE_RESOLVED, .has_owner = true, .owner = "alice"};
    struct found found;

    start_filing(&f);
    incident(&f, "A~B", false);
    deliver(&f, &plain, &s, NS_PER_S);
    snprintf(x.author, sizeof(x.author), "alice");
    for (int i = 0; i < 3; i++)
        ck_assert(backsync_apply(f.c, "script", &x));
    snprintf(x.remote_id, sizeof(x.remote_id), "R-77");
    ck_assert(!backsync_apply(f.c, "script", &x));
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_str_eq(found.u.incident[0].owner, "alice");
    ck_assert_int_eq(found.u.incident[0].state, INCIDENT_ACKED);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_int_eq(found.u.ticket[0].remote_state, REMOTE_RESOLVED);
    ck_assert_int_eq(deliver(&f, &plain, &s, 2 * NS_PER_S), 0); /* no echo */
    fixture_stop(&f);
}
END_TEST

/* While our word that it is open again is on its way, what is there does not count; nor does an old webhook, ever. */
START_TEST(what_is_over_does_not_come_back)
{
    struct fixture f;
    struct script s = {0};
    struct connector_change x = {.remote_id = "R-0", .state = REMOTE_RESOLVED, .author = "alice"};
    struct found found;
    uint64_t wall = 500000 * HOUR_NS;

    start_filing(&f);
    incident(&f, "A~B", true);
    deliver(&f, &plain, &s, wall);
    fixture_until(&f, "A~B", f.now_ns + 60 * MIN_NS, 0);
    incident(&f, "A~B", false); /* a later occurrence: the reopening waits */
    snprintf(x.remote_id, sizeof(x.remote_id), "R-%u", s.calls - 1);
    x.when_wall_ns = wall;
    ck_assert(backsync_apply(f.c, "script", &x));
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(found.u.incident[found.n - 1].state, INCIDENT_OPEN);
    wall += HOUR_NS;
    ck_assert_int_eq(deliver(&f, &plain, &s, wall), 1);
    ck_assert_int_eq(s.seen[s.calls - 1].op, OUTBOX_REOPEN);
    snprintf(x.remote_id, sizeof(x.remote_id), "R-%u", s.calls - 1);
    x.was = true;
    x.has_owner = true;
    snprintf(x.owner, sizeof(x.owner), "mallory");
    ck_assert(backsync_apply(f.c, "script", &x)); /* it was resolved, an hour ago */
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(found.u.incident[found.n - 1].state, INCIDENT_OPEN);
    ck_assert_str_eq(found.u.incident[found.n - 1].owner, "");
    x.when_wall_ns = wall + NS_PER_S;
    snprintf(x.owner, sizeof(x.owner), "alice");
    ck_assert(backsync_apply(f.c, "script", &x)); /* now it is */
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_int_eq(found.u.incident[found.n - 1].state, INCIDENT_ACKED);
    ck_assert_str_eq(found.u.incident[found.n - 1].owner, "alice");
    fixture_stop(&f);
}
END_TEST

/* Dropped by hand while it was on its way, and it arrived: it is filed, and nothing files it again. */
START_TEST(dropped_on_its_way)
{
    struct fixture f;
    struct script s = {0};
    struct error e = {""};
    struct found found;
    struct outbox_connector x = {.plug = &plain, .ctx = &s, .settings_hash = "1"};

    start_filing(&f);
    incident(&f, "A~B", false);
    struct delivery_job *job = outbox_next_job(f.c, &x, NS_PER_S);
    ck_assert_ptr_nonnull(job);
    fixture_commit(&f);
    ck_assert_int_eq(outbox_drop(f.c, job->seq, &e), 0);
    delivery_run(&plain, &s, job);
    outbox_record(f.c, &x, job, 2 * NS_PER_S);
    delivery_job_free(job);
    fixture_commit(&f);
    ck_assert_int_eq(row(&f, 0).state, OUTBOX_ROW_SENT);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.u.ticket[0].dry_run, 0);
    ck_assert_str_eq(found.u.ticket[0].remote_id, "R-0");
    fixture_stop(&f);
}
END_TEST

/* Two systems over their limit in the same hour: a summary for each, with a name of its own. */
START_TEST(each_system_has_its_own_summary)
{
    static const struct connector second = {.name = "second", .send = script_send};
    struct fixture f;
    struct script s = {0}, s2 = {0};
    struct outbox_rules rules = outbox_default_rules;
    uint64_t now = 1000 * HOUR_NS;
    struct error e = {""};
    char summary[2][ENTITY_ID_BYTES] = {""};

    rules.max_per_hour = 2;
    fixture_start(&f);
    f.options.dry_run = false;
    f.options.connector = "script";
    f.options.rules = &rules;
    f.options.notify[0] = "second";
    fixture_reopen(&f);
    for (unsigned i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof(name), "A%u~B%u", i, i);
        incident(&f, name, false);
    }
    struct outbox_connector x2 = {.plug = &second, .ctx = &s2, .settings_hash = "1"};
    for (unsigned hour = 0; hour < 3; hour++) {
        deliver(&f, &plain, &s, now + hour * HOUR_NS);
        ck_assert_int_ge(outbox_deliver(f.c, &x2, now + hour * HOUR_NS, 100, &e), 0);
        fixture_reopen(&f);
    }
    struct script *const all[] = {&s, &s2};
    for (unsigned k = 0; k < 2; k++) {
        unsigned opened = 0, closed = 0;
        for (unsigned i = 0; i < all[k]->calls; i++) {
            if (strncmp(all[k]->seen[i].ticket, "LIM-", 4) != 0)
                continue;
            snprintf(summary[k], sizeof(summary[k]), "%s", all[k]->seen[i].ticket);
            opened += all[k]->seen[i].op == OUTBOX_CREATE;
            closed += all[k]->seen[i].op == OUTBOX_CLOSE;
        }
        ck_assert_uint_eq(opened, 1);
        ck_assert_uint_eq(closed, 1);
    }
    ck_assert_str_ne(summary[0], summary[1]);
    fixture_stop(&f);
}
END_TEST

START_TEST(changes_in_texts)
{
    static const struct {
        const char *text, *change;
    } rows[] = {{"fixed by change CHG0012345, see there", "CHG0012345"},
                {"chg123", "chg123"},
                {"Change: 4711", "4711"},
                {"change number NET-42.", "NET-42"},
                {"change of plans", NULL},
                {"we changed it", NULL},
                {"exchange 4711", NULL},
                {"", NULL}};
    char change[64];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool found = backsync_find_change(rows[i].text, change, sizeof(change));
        ck_assert_msg(found == (rows[i].change != NULL), "%s", rows[i].text);
        if (found)
            ck_assert_str_eq(change, rows[i].change);
    }
}
END_TEST

START_TEST(backoff_grows_within_bounds)
{
    for (uint64_t a = 1; a < 40; a++) {
        uint64_t full = a <= 9 ? (2 * NS_PER_S) << (a - 1) : 900 * NS_PER_S;
        full = full < 900 * NS_PER_S ? full : 900 * NS_PER_S;
        uint64_t wait = outbox_backoff_ns(&outbox_default_rules, a, "some key");
        ck_assert_uint_le(wait, full);
        ck_assert_uint_ge(wait, full / 2);
        ck_assert_uint_eq(wait, outbox_backoff_ns(&outbox_default_rules, a, "some key"));
    }
    ck_assert_uint_ne(outbox_backoff_ns(&outbox_default_rules, 3, "one"),
                      outbox_backoff_ns(&outbox_default_rules, 3, "two"));
}
END_TEST

UNIT_MAIN("outbox", create_then_close_in_order, pending_updates_coalesce, dead_letters_hold_back_their_ticket_only,
          pauses_end_with_new_settings, breaker_and_retry_after, asks_before_a_create, dry_run_then_filed,
          too_many_wait_and_one_ticket_says_so, a_doubtful_create_waits_until_it_would_be_seen,
          what_was_closed_is_reopened, by_hand, keys_differ_between_installations, what_people_do_there,
          what_is_over_does_not_come_back, dropped_on_its_way, each_system_has_its_own_summary, changes_in_texts,
          backoff_grows_within_bounds)

/* SPDX-License-Identifier: BSD-3-Clause */

/* The outbox with a connector made of a script of answers: order, coalescing, back-off, breaker, dead letters, pauses,
 * dry runs, and what a restart between sending and recording leaves behind. */

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
          backoff_grows_within_bounds)

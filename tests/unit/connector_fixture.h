/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONNECTOR_FIXTURE_H
#define SPANWARD_CONNECTOR_FIXTURE_H

/* A connector before a contract server, and requests as the outbox makes them. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/connectors/connector.h"
#include "tests/contract/contract.h"
#include "tests/unit/unit.h"

#define CREATE_KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct bench {
    struct contract *server;
    const struct connector *plug;
    struct config *config;
    void *ctx;
    char hash[FINGERPRINT_BYTES];
    char secret[64];
    struct connector_answer answer;
    unsigned n_keys;
    char key[FINGERPRINT_BYTES];
};

static inline void write_secret_file(char path[64], const char *secret)
{
    snprintf(path, 64, "/tmp/spanward-secret-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, secret, strlen(secret)), (ssize_t)strlen(secret));
    close(fd);
}

/* yaml: settings of the section tickets with %1$s for the server's URL and %2$s for the secret's file. */
static inline void bench_open(struct bench *b, const struct connector *plug, const struct contract_system *system,
                              const char *secret, const char *yaml)
{
    char text[4096];
    struct error e = {""};

    *b = (struct bench){.plug = plug};
    b->server = contract_start(system, 0);
    ck_assert_ptr_nonnull(b->server);
    write_secret_file(b->secret, secret);
    int n = snprintf(text, sizeof(text), "tickets:\n  timeout: 2s\n");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text + n, sizeof(text) - (size_t)n, yaml, contract_url(b->server), b->secret);
#pragma GCC diagnostic pop
    ck_assert_msg(config_parse(text, strlen(text), "test", &b->config, &e) == 0, "%s", e.text);
    ck_assert_msg(plug->open(b->config, &b->ctx, b->hash, &e) == 1, "%s", e.text);
    ck_assert_uint_eq(strlen(b->hash), 64);
}

static inline void bench_close(struct bench *b)
{
    char first[500];
    unsigned n = contract_violations(b->server, first, sizeof(first));

    b->plug->close(b->ctx);
    config_free(b->config);
    contract_stop(b->server);
    unlink(b->secret);
    ck_assert_msg(n == 0, "%u violations, first: %s", n, first);
}

static inline struct connector_request request(struct bench *b, enum outbox_op op, const char *body)
{
    snprintf(b->key, sizeof(b->key), "%064x", 0xabc0000u + ++b->n_keys);
    return (struct connector_request){.op = op,
                                      .key = op == OUTBOX_CREATE ? CREATE_KEY : b->key,
                                      .create_key = CREATE_KEY,
                                      .install = "test",
                                      .ticket = "TKT-1",
                                      .problem = "PRB-1",
                                      .incident = "INC-7",
                                      .title = "Branch-12 \xe2\x86\x94 DC: loss towards branch, Tuesdays",
                                      .body = body,
                                      .owner = "",
                                      .remote_id = b->answer.remote_id,
                                      .severity = EVENT_major,
                                      .version = b->n_keys,
                                      .created_ns = 1790553600000000000ull,
                                      .opened_ns = 1790553600000000000ull};
}

static inline enum connector_outcome send_request(struct bench *b, const struct connector_request *r)
{
    struct connector_answer a = {.outcome = CONNECTOR_RETRY};

    b->plug->send(b->ctx, r, &a);
    if (a.remote_id[0] == '\0')
        snprintf(a.remote_id, sizeof(a.remote_id), "%s", b->answer.remote_id);
    b->answer = a;
    return a.outcome;
}

static inline enum connector_outcome tell(struct bench *b, enum outbox_op op, const char *body)
{
    struct connector_request r = request(b, op, body);

    return send_request(b, &r);
}

static inline int look(struct bench *b, struct connector_answer *ret)
{
    struct connector_request r = request(b, OUTBOX_CREATE, "");

    *ret = (struct connector_answer){.outcome = CONNECTOR_RETRY};
    return b->plug->find(b->ctx, &r, ret);
}

/* A new reference to what the server knows about its only ticket. */
static inline json_t *only_ticket(struct bench *b)
{
    json_t *all = contract_dump(b->server);

    ck_assert_uint_eq(json_array_size(all), 1);
    json_t *one = json_incref(json_array_get(all, 0));
    json_decref(all);
    return one;
}

static inline void assert_ticket(struct bench *b, const char *what, const char *value)
{
    json_t *t = only_ticket(b);

    ck_assert_str_eq(json_string_value(json_object_get(t, what)), value);
    json_decref(t);
}

static inline size_t comments_of(struct bench *b)
{
    json_t *t = only_ticket(b);
    size_t n = json_array_size(json_object_get(t, "comments"));

    json_decref(t);
    return n;
}

static inline void meet(struct bench *b, enum contract_fault_kind kind, unsigned status, const char *method,
                        unsigned count)
{
    struct contract_fault f = {.kind = kind, .status = status, .method = method, .count = count, .retry_after_s = 7};

    contract_fault(b->server, &f);
}

/* Polls twice: the first sets the cursor. Changes must be finished. */
static inline void poll_from_start(struct bench *b, struct connector_changes *ret)
{
    struct connector_answer a = {0};

    *ret = (struct connector_changes){0};
    ck_assert_int_eq(b->plug->poll(b->ctx, "", ret, &a), 0);
    ck_assert_uint_eq(ret->n, 0);
    ck_assert_uint_gt(strlen(ret->cursor), 0);
}

static inline int poll_again(struct bench *b, struct connector_changes *c)
{
    struct connector_answer a = {0};
    char cursor[128];

    snprintf(cursor, sizeof(cursor), "%s", c->cursor);
    connector_changes_fini(c);
    return b->plug->poll(b->ctx, cursor, c, &a);
}

struct said {
    unsigned good, bad;
    char text[2048];
};

static inline void take_said(void *ctx, bool good, const char *what, const char *how)
{
    struct said *s = ctx;
    size_t len = strlen(s->text);

    *(good ? &s->good : &s->bad) += 1;
    snprintf(s->text + len, sizeof(s->text) - len, "%s|%s\n", what, how);
}

/* --- what every tracker has to stand; each test_NAME.c calls these with its bench --- */

/* Statuses that say what to do next, none of which makes a ticket. */
static inline void stand_statuses(struct bench *b)
{
    meet(b, MEET_STATUS, 503, "POST", 1);
    ck_assert_int_eq(tell(b, OUTBOX_CREATE, "text"), CONNECTOR_RETRY);
    meet(b, MEET_STATUS, 429, "POST", 1);
    ck_assert_int_eq(tell(b, OUTBOX_CREATE, "text"), CONNECTOR_RETRY);
    ck_assert_uint_eq(b->answer.retry_after_ns, 7 * NS_PER_S);
    meet(b, MEET_STATUS, 403, "POST", 1);
    ck_assert_int_eq(tell(b, OUTBOX_CREATE, "text"), CONNECTOR_PAUSE);
    meet(b, MEET_STATUS, 409, "POST", 1);
    ck_assert_int_ne(tell(b, OUTBOX_CREATE, "text"), CONNECTOR_DONE);
    json_t *all = contract_dump(b->server);
    ck_assert_uint_eq(json_array_size(all), 0);
    json_decref(all);
}

/* The answer to a create gets lost: in doubt, found by its key once the index has it, and not made twice. */
static inline void stand_lost_answer(struct bench *b, enum contract_fault_kind kind)
{
    struct connector_answer a;

    meet(b, kind, 504, "POST", 1);
    ck_assert_int_eq(tell(b, OUTBOX_CREATE, "text"), CONNECTOR_DOUBT);
    contract_index_delay(b->server, 60000);
    ck_assert_int_eq(look(b, &a), 0);
    contract_index_delay(b->server, 0);
    ck_assert_int_eq(look(b, &a), 1);
    ck_assert_uint_gt(strlen(a.remote_id), 0);
    ck_assert_uint_eq(a.n_found, 1);
    ck_assert_int_eq(a.state, REMOTE_OPEN);
    b->answer = a;
    json_decref(only_ticket(b));
}

/* A comment whose answer got lost is looked for before it is made again. */
static inline void stand_lost_comment(struct bench *b)
{
    struct connector_request r = request(b, OUTBOX_COMMENT, "said once");
    size_t before = comments_of(b);

    meet(b, MEET_LATE, 0, NULL, 1);
    ck_assert_int_ne(send_request(b, &r), CONNECTOR_DONE);
    r.repeat = true;
    ck_assert_int_eq(send_request(b, &r), CONNECTOR_DONE);
    ck_assert_uint_eq(comments_of(b), before + 1);
    ck_assert_int_eq(send_request(b, &r), CONNECTOR_DONE);
    ck_assert_uint_eq(comments_of(b), before + 1);
}

/* Names from packets that would act if they were markup. */
#define HOSTILE                                                                                                        \
    "Label: <script>alert(1)</script> [~admin] @here {code}x{code} !http://x/y.png! [code]<b>x</b>[/code]\n"           \
    "h1. not a heading\nbq. not a quote\n=1+1\n|| a || b ||\n\\[~admin] \\{code}\n- item [~admin] <img src=x>\n"       \
    "  a  b\n  [~x]  {noformat}\n"

#endif

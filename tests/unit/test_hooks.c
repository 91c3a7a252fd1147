/* SPDX-License-Identifier: BSD-3-Clause */

/* Webhooks of ticketing systems: only signed ones, and what they say reaches the fault. */

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "control/connectors/connector.h"
#include "control/hook_parse.h"
#include "control/hooks.h"
#include "control/internal.h"
#include "tests/unit/unit.h"

#define SECRET "s3cret"
#define ZAMMAD                                                                                                         \
    "{\"ticket\":{\"id\":5,\"state\":\"closed\",\"owner\":{\"login\":\"noc@example.org\"}},\"article\":{\"body\":"     \
    "\"<p>fixed by change <b>CHG123</b></p>\",\"content_type\":\"text/html\",\"created_by\":{\"login\":\"emma\"}}}"

static void sign(const EVP_MD *md, const char *prefix, const char *body, char ret[160])
{
    unsigned char digest[64];
    unsigned n = 0;

    HMAC(md, SECRET, (int)strlen(SECRET), (const unsigned char *)body, strlen(body), digest, &n);
    size_t len = (size_t)snprintf(ret, 160, "%s", prefix);
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(ret + len, 160 - len, "%02x", digest[i]);
}

START_TEST(signatures)
{
    char good[160], two[330];

    sign(EVP_sha1(), "sha1=", "body", good);
    ck_assert(hook_verify(HOOK_ZAMMAD, SECRET, good, "body", 4));
    ck_assert(!hook_verify(HOOK_ZAMMAD, SECRET, good, "bodY", 4));
    ck_assert(!hook_verify(HOOK_ZAMMAD, "", good, "body", 4));
    ck_assert(!hook_verify(HOOK_ZAMMAD, SECRET, NULL, "body", 4));
    ck_assert(!hook_verify(HOOK_ZAMMAD, SECRET, "sha1=", "body", 4));
    ck_assert(!hook_verify(HOOK_JIRA, SECRET, good, "body", 4));
    good[strlen(good) - 1] ^= 1;
    ck_assert(!hook_verify(HOOK_ZAMMAD, SECRET, good, "body", 4));
    sign(EVP_sha256(), "sha256=", "body", good);
    ck_assert(hook_verify(HOOK_JIRA, SECRET, good, "body", 4));
    sign(EVP_sha256(), "v1=", "body", good);
    snprintf(two, sizeof(two), "v1=00,%s", good);
    ck_assert(hook_verify(HOOK_PAGERDUTY, SECRET, two, "body", 4));
    /* RFC 2202, test case 2 */
    ck_assert(hook_verify(HOOK_ZAMMAD, "Jefe", "sha1=EFFCDF6AE5EB2FA2D27416D5F184DF9C259A7C79",
                          "what do ya want for nothing?", 28));
}
END_TEST

static void parse(enum hook_system s, const char *body, int wanted, size_t n, struct connector_changes *c)
{
    *c = (struct connector_changes){0};
    ck_assert_int_eq(hook_parse(s, body, strlen(body), c), wanted);
    ck_assert_uint_eq(c->n, n);
}

START_TEST(what_they_say)
{
    struct connector_changes c;

    parse(HOOK_ZAMMAD, ZAMMAD, 0, 2, &c);
    ck_assert_str_eq(c.item[0].remote_id, "5");
    ck_assert_int_eq(c.item[0].state, REMOTE_RESOLVED);
    ck_assert_str_eq(c.item[0].owner, "noc@example.org");
    ck_assert_str_eq(c.item[1].comment, "fixed by change CHG123");
    ck_assert_str_eq(c.item[1].author, "emma");
    connector_changes_fini(&c);
    parse(HOOK_ZAMMAD, "{\"ticket\":{\"id\":5},\"article\":{\"body\":\"x spanward-ref 01\"}}", 0, 1, &c);
    ck_assert(!c.item[0].has_owner);
    connector_changes_fini(&c);
    parse(HOOK_JIRA,
          "{\"issue\":{\"key\":\"NET-1\",\"fields\":{\"status\":{\"statusCategory\":{\"key\":\"done\"}},\"assignee\":"
          "null,"
          "\"resolution\":{\"name\":\"Fertig\"}}},\"comment\":{\"body\":\"ok\",\"author\":{\"displayName\":\"Mia\"}}}",
          0, 2, &c);
    ck_assert(c.item[0].has_owner && c.item[0].owner[0] == '\0');
    ck_assert_str_eq(c.item[0].resolution, "Fertig");
    ck_assert_str_eq(c.item[1].author, "Mia");
    connector_changes_fini(&c);
    parse(HOOK_PAGERDUTY,
          "{\"event\":{\"event_type\":\"incident.acknowledged\",\"agent\":{\"summary\":\"Earline\"},\"data\":{"
          "\"incident_key\":\"k\",\"status\":\"acknowledged\",\"assignees\":[{\"summary\":\"Earline\"}]}}}",
          0, 1, &c);
    ck_assert_int_eq(c.item[0].state, REMOTE_IN_PROGRESS);
    connector_changes_fini(&c);
    parse(HOOK_JIRA, "[]", -EBADMSG, 0, &c);
    parse(HOOK_ZAMMAD, "{\"ticket\":7}", -EBADMSG, 0, &c);
    parse(HOOK_PAGERDUTY, "not JSON", -EBADMSG, 0, &c);
}
END_TEST

static long post(unsigned port, const char *path, const char *body, size_t len, const char *signature)
{
    char url[100], line[200];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = NULL;
    long status = 0;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    snprintf(line, sizeof(line), "X-Hub-Signature: %s", signature);
    headers = curl_slist_append(headers, line);
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return status;
}

/* A filed ticket of a confirmed problem, in memory. */
static void plant(struct control *c)
{
    struct problem *p = calloc(1, sizeof(*p));
    struct ticket *t = calloc(1, sizeof(*t));

    p->e.state = PROBLEM_ASSIGNED;
    snprintf(p->e.id, sizeof(p->e.id), "PRB-1");
    snprintf(p->e.ticket, sizeof(p->e.ticket), "TKT-1");
    snprintf(t->e.id, sizeof(t->e.id), "TKT-1");
    snprintf(t->e.problem, sizeof(t->e.problem), "PRB-1");
    snprintf(t->e.connector, sizeof(t->e.connector), "zammad");
    snprintf(t->e.remote_id, sizeof(t->e.remote_id), "5");
    ck_assert_int_eq(VECTOR_PUSH(c->problems, p), 0);
    ck_assert_int_eq(VECTOR_PUSH(c->tickets, t), 0);
}

/* The time is the system's own, from the signed body: a signature does not age. */
START_TEST(when_it_was)
{
    static const struct {
        enum hook_system system;
        const char *body;
        uint64_t when_ns;
    } rows[] = {
        {HOOK_ZAMMAD, "{\"ticket\":{\"id\":5,\"state\":\"closed\",\"updated_at\":\"2026-11-17T10:00:00.250Z\"}}",
         1794909600250000000ull},
        {HOOK_JIRA, "{\"timestamp\":1794909600250,\"issue\":{\"key\":\"NET-5\",\"fields\":{}}}",
         1794909600250000000ull},
        {HOOK_PAGERDUTY,
         "{\"event\":{\"event_type\":\"incident.resolved\",\"occurred_at\":\"2026-11-17T10:00:00.250Z\",\"data\":"
         "{\"incident_key\":\"k\",\"status\":\"resolved\"}}}",
         1794909600250000000ull},
    };
    struct connector_changes c;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        parse(rows[i].system, rows[i].body, 0, 1, &c);
        ck_assert_uint_eq(c.item[0].when_wall_ns, rows[i].when_ns);
        ck_assert(c.item[0].was);
        connector_changes_fini(&c);
    }
    parse(HOOK_JIRA, "{\"timestamp\":-1,\"issue\":{\"key\":\"NET-5\",\"fields\":{}}}", 0, 1, &c);
    ck_assert(!c.item[0].was);
    connector_changes_fini(&c);
}
END_TEST

START_TEST(over_the_wire_to_the_fault)
{
    static char big[(1 << 20) + 100];
    char file[] = "/tmp/spanward-hook-XXXXXX", text[300], good[160];
    struct control_options options = {.zone = "UTC", .dry_run = true};
    struct config *config;
    struct control *c;
    struct hooks *h;
    struct error e = {""};

    int fd = mkstemp(file);
    ck_assert_int_eq(write(fd, SECRET "\n", 7), 7);
    close(fd);
    snprintf(text, sizeof(text), "tickets:\n  hooks: 127.0.0.1:0\n  zammad:\n    hook_secret_file: %s\n", file);
    ck_assert_msg(config_parse(text, strlen(text), "test", &config, &e) == 0, "%s", e.text);
    ck_assert_msg(hooks_open(config, &h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(control_open(&options, NULL, &c, &e), 0);
    plant(c);
    unsigned port = hooks_port(h);
    sign(EVP_sha1(), "sha1=", ZAMMAD, good);
    ck_assert_int_eq(post(port, "/hooks/zammad", ZAMMAD, strlen(ZAMMAD), "sha1=00"), 401);
    ck_assert_int_eq(post(port, "/hooks/jira", ZAMMAD, strlen(ZAMMAD), good), 404); /* no secret: not taken */
    ck_assert_int_eq(post(port, "/hooks/zammad", NULL, 0, good), 405);
    memset(big, ' ', sizeof(big));
    ck_assert_int_eq(post(port, "/hooks/zammad", big, sizeof(big), good), 413);
    ck_assert_int_eq(hooks_run(h, c, &e), 0);
    ck_assert_int_eq(post(port, "/hooks/zammad", ZAMMAD, strlen(ZAMMAD), good), 204);
    ck_assert_int_eq(hooks_run(h, c, &e), 2);
    const struct entity_problem *p = &c->problems.item[0]->e;
    ck_assert_str_eq(p->owner, "noc@example.org");
    ck_assert_str_eq(p->change, "CHG123");
    ck_assert_int_eq(p->state, PROBLEM_VERIFYING);                                    /* closed by evidence only */
    ck_assert_int_eq(post(port, "/hooks/zammad", ZAMMAD, strlen(ZAMMAD), good), 204); /* twice is once */
    ck_assert_int_eq(hooks_run(h, c, &e), 2);
    ck_assert_int_eq(p->state, PROBLEM_VERIFYING);
    control_close(c);
    hooks_close(h);
    config_free(config);
    unlink(file);
}
END_TEST

UNIT_MAIN("hooks", signatures, when_it_was, what_they_say, over_the_wire_to_the_fault)

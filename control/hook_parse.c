/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Three systems sign and describe their webhooks each in its own way:
 *
 *   Zammad     X-Hub-Signature: sha1=HEX, HMAC-SHA1 of the body (admin docs, "Webhook", payload); {"ticket", "article"}
 *   Jira       X-Hub-Signature: sha256=HEX, HMAC-SHA256 (Cloud since 2024, Data Center 10); {"issue", "comment"}
 *   PagerDuty  X-PagerDuty-Signature: v1=HEX[,v1=HEX...], HMAC-SHA256, several while a secret changes (webhooks v3,
 *              "Verifying signatures"); {"event": {"event_type", "agent", "data"}}
 *
 * The body is hostile until the signature is right, and still only data afterwards: bounded texts, known words. Our own
 * comments carry a reference (track.h) and are left out, so that what we told does not come back as news. A webhook may
 * come twice, late, or be played again by somebody who saw it: signatures do not age. So each change has the time that
 * the signed body says (ticket.updated_at, timestamp, event.occurred_at), and whoever applies the changes leaves out
 * states that are older than what is known, and takes what is already so for nothing new.
 */

#include "control/hook_parse.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/timefmt.h"
#include "control/connectors/track.h"
#include "control/content.h"

#define OUR_MARK "spanward-ref "
#define MOST_MS  4102444800000ll /* 2100-01-01 */

const char *hook_system_name(enum hook_system s)
{
#define X(symbol, name, header) name,
    static const char *const names[HOOK_SYSTEM_COUNT] = { HOOK_SYSTEMS(X) };
#undef X
    return names[s];
}

const char *hook_system_header(enum hook_system s)
{
#define X(symbol, name, header) header,
    static const char *const headers[HOOK_SYSTEM_COUNT] = { HOOK_SYSTEMS(X) };
#undef X
    return headers[s];
}

/* --- signatures --- */

/* One "PREFIX=HEX" up to a comma or the end. */
static bool one_matches(const char *text, size_t len, const char *prefix, const char *hex)
{
    size_t head = strlen(prefix), digits = strlen(hex);
    char given[2 * EVP_MAX_MD_SIZE + 1];

    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    if (len != head + digits || strncmp(text, prefix, head) != 0)
        return false;
    for (size_t i = 0; i < digits; i++)
        given[i] = (char)tolower((unsigned char)text[head + i]);
    return CRYPTO_memcmp(given, hex, digits) == 0;
}

bool hook_verify(enum hook_system s, const char *secret, const char *header, const void *body, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    const char *prefix = s == HOOK_ZAMMAD ? "sha1=" : s == HOOK_JIRA ? "sha256=" : "v1=";
    unsigned n = 0;
    bool match = false;

    if (secret[0] == '\0' || header == NULL)
        return false;
    if (HMAC(s == HOOK_ZAMMAD ? EVP_sha1() : EVP_sha256(), secret, (int)strlen(secret), body, len, digest, &n) == NULL)
        return false;
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    while (!match) {
        size_t one = strcspn(header, ",");
        match = one_matches(header, one, prefix, hex);
        if (header[one] == '\0')
            break;
        header += one + 1;
    }
    return match;
}

/* --- what they say --- */

/* A change of a ticket, or NULL without memory. when_ns: by the system's own clock, 0 when it does not say. */
static struct connector_change *add_change(struct connector_changes *changes, const char *id, uint64_t when_ns)
{
    struct connector_change *x = connector_changes_add(changes);

    if (x != NULL) {
        snprintf(x->remote_id, sizeof(x->remote_id), "%s", id);
        x->when_wall_ns = when_ns != 0 ? when_ns : track_now_ns();
        x->was = when_ns != 0;
    }
    return x;
}

/* A comment by somebody else; text is freed. */
static int add_comment(struct connector_changes *changes, const char *id, uint64_t when_ns, const char *author,
                       char *text)
{
    int rc = text != NULL ? 0 : -ENOMEM;

    if (rc == 0 && text[0] != '\0' && strstr(text, OUR_MARK) == NULL) {
        struct connector_change *x = add_change(changes, id, when_ns);
        if (x != NULL) {
            snprintf(x->author, sizeof(x->author), "%s", author);
            snprintf(x->comment, sizeof(x->comment), "%s", text);
        }
        rc = x != NULL ? 0 : -ENOMEM;
    }
    free(text);
    return rc;
}

static enum remote_state word_state(const char *word)
{
    static const struct {
        const char *word;
        enum remote_state state;
    } words[] = {
        /* Zammad's states */
        {"new", REMOTE_OPEN},
        {"open", REMOTE_IN_PROGRESS},
        {"pending reminder", REMOTE_IN_PROGRESS},
        {"pending close", REMOTE_IN_PROGRESS},
        {"closed", REMOTE_RESOLVED},
        {"merged", REMOTE_CLOSED},
        /* Jira's categories; "new" is there already */
        {"indeterminate", REMOTE_IN_PROGRESS},
        {"done", REMOTE_RESOLVED},
        /* PagerDuty's states */
        {"triggered", REMOTE_OPEN},
        {"acknowledged", REMOTE_IN_PROGRESS},
        {"resolved", REMOTE_RESOLVED},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].word, word) == 0)
            return words[i].state;
    }
    return REMOTE_UNKNOWN;
}

/* Zammad writes names as text or as an object, by version. */
static const char *name_or_text(const json_t *j, const char *key, const char *name)
{
    const json_t *v = json_object_get(j, key);

    return json_is_object(v) ? http_string(v, name) : http_string(j, key);
}

static int parse_zammad(const json_t *j, struct connector_changes *changes)
{
    const json_t *ticket = json_object_get(j, "ticket"), *article = json_object_get(j, "article");
    const char *owner = name_or_text(ticket, "owner", "login");
    uint64_t when_ns = track_time_ns(http_string(ticket, "updated_at"));
    char id[40], author[ENTITY_OWNER_BYTES];

    snprintf(id, sizeof(id), "%s", http_string(ticket, "id"));
    if (id[0] == '\0')
        return -EBADMSG;
    struct connector_change *x = add_change(changes, id, when_ns);
    if (x == NULL)
        return -ENOMEM;
    x->state = word_state(name_or_text(ticket, "state", "name"));
    x->has_owner = json_object_get(ticket, "owner") != NULL;
    snprintf(x->owner, sizeof(x->owner), "%s", strcmp(owner, "-") == 0 ? "" : owner);
    if (!json_is_object(article))
        return 0;
    snprintf(author, sizeof(author), "%s", name_or_text(article, "created_by", "login"));
    const char *body = http_string(article, "body");
    bool html = strcmp(http_string(article, "content_type"), "text/html") == 0;
    return add_comment(changes, id, when_ns, author, html ? content_from_html(body) : strdup(body));
}

static const char *jira_person(const json_t *user)
{
    const char *mail = http_string(user, "emailAddress"), *name = http_string(user, "name");

    return mail[0] != '\0' ? mail : name[0] != '\0' ? name : http_string(user, "displayName");
}

static int parse_jira(const json_t *j, struct connector_changes *changes)
{
    const json_t *issue = json_object_get(j, "issue"), *fields = json_object_get(issue, "fields");
    const json_t *comment = json_object_get(j, "comment"), *assignee = json_object_get(fields, "assignee");
    const char *key = http_string(issue, "key");
    json_int_t when_ms = json_integer_value(json_object_get(j, "timestamp"));
    uint64_t when_ns = when_ms > 0 && when_ms < MOST_MS ? (uint64_t)when_ms * NS_PER_MS : 0;

    if (key[0] == '\0')
        return -EBADMSG;
    if (json_is_object(fields)) {
        struct connector_change *x = add_change(changes, key, when_ns);
        if (x == NULL)
            return -ENOMEM;
        x->state = word_state(track_path(fields, "status", "statusCategory", "key", NULL));
        x->has_owner = assignee != NULL;
        snprintf(x->owner, sizeof(x->owner), "%s", jira_person(assignee));
        snprintf(x->resolution, sizeof(x->resolution), "%s", track_path(fields, "resolution", "name", NULL));
    }
    if (!json_is_object(comment))
        return 0;
    const json_t *body = json_object_get(comment, "body");
    return add_comment(changes, key, when_ns, jira_person(json_object_get(comment, "author")),
                       json_is_object(body) ? content_from_adf(body) : strdup(http_string(comment, "body")));
}

static int parse_pagerduty(const json_t *j, struct connector_changes *changes)
{
    const json_t *event = json_object_get(j, "event"), *data = json_object_get(event, "data");
    const char *type = http_string(event, "event_type"), *key = http_string(data, "incident_key");
    const char *who = track_path(event, "agent", "summary", NULL);
    uint64_t when_ns = track_time_ns(http_string(event, "occurred_at"));

    if (type[0] == '\0' || !json_is_object(data))
        return -EBADMSG;
    if (strcmp(type, "incident.annotated") == 0) /* a note names its incident by id only: nothing to find it by */
        key = track_path(data, "incident", "incident_key", NULL);
    if (key[0] == '\0')
        return 0;
    if (strcmp(type, "incident.annotated") == 0)
        return add_comment(changes, key, when_ns, who, strdup(http_string(data, "content")));
    struct connector_change *x = add_change(changes, key, when_ns);
    if (x == NULL)
        return -ENOMEM;
    const json_t *assignee = json_array_get(json_object_get(data, "assignees"), 0);
    x->state = word_state(http_string(data, "status"));
    x->has_owner = assignee != NULL;
    snprintf(x->owner, sizeof(x->owner), "%s", http_string(assignee, "summary"));
    snprintf(x->author, sizeof(x->author), "%s", who);
    return 0;
}

int hook_parse(enum hook_system s, const char *body, size_t len, struct connector_changes *changes)
{
    json_t *j = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -EBADMSG;

    switch (json_is_object(j) ? s : HOOK_SYSTEM_COUNT) {
    case HOOK_ZAMMAD:
        rc = parse_zammad(j, changes);
        break;
    case HOOK_JIRA:
        rc = parse_jira(j, changes);
        break;
    case HOOK_PAGERDUTY:
        rc = parse_pagerduty(j, changes);
        break;
    case HOOK_SYSTEM_COUNT:
        break;
    }
    json_decref(j);
    return rc;
}

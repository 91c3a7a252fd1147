/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Commands in a stream; see inbox.h. Waiting for the answer polls the audit hash, since a reply has to be a part of
 * control's commit and a commit can wake nobody: 20 ms at first, then 200 ms.
 */

#include "store/inbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "store/command.h"

#define INBOX_KEY    "sw1:{ctl}:inbox"
#define INBOX_KEPT   10000u
#define POLL_FAST_MS 20u
#define POLL_SLOW_MS 200u

int inbox_put(struct store *s, struct inbox_command *command, struct error *e)
{
    struct command c;
    size_t len = 0;

    command_start(&c, "XADD", INBOX_KEY, strlen(INBOX_KEY));
    command_text(&c, "MAXLEN");
    command_text(&c, "~");
    command_u64(&c, INBOX_KEPT);
    command_text(&c, "*");
    command_text(&c, "actor");
    command_text(&c, command->actor);
    command_text(&c, "verb");
    command_text(&c, command->verb);
    command_text(&c, "object");
    command_text(&c, command->object);
    command_text(&c, "arguments");
    command_text(&c, command->arguments);
    command_field(&c, "given", command->given_wall_ns);
    struct store_reply *r = store_command_argv(s, c.arg, c.n);
    if (r == NULL)
        return error_set(e, -EIO, "Redis went away while a command was sent");
    const char *text = store_reply_string(r, &len);
    int rc = 0;
    if (store_reply_type(r) != STORE_STRING || len >= sizeof(command->id))
        rc = error_set(e, -EPROTO, "Redis refused a command: %.*s", (int)(len < 120 ? len : 120), text);
    else
        snprintf(command->id, sizeof(command->id), "%.*s", (int)len, text);
    store_reply_free(r);
    return rc;
}

/* False when it does not fit or is no string. */
static bool take_text(char *ret, size_t size, const struct store_reply *r)
{
    size_t len = 0;
    const char *text = store_reply_type(r) == STORE_STRING ? store_reply_string(r, &len) : NULL;

    if (text == NULL || len >= size || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(ret, text, len);
    ret[len] = '\0';
    return true;
}

static bool take_fields(struct inbox_command *c, const struct store_reply *fields)
{
    char given[24] = "0";
    bool good = store_reply_type(fields) == STORE_ARRAY;

    for (size_t i = 0; good && i + 1 < store_reply_count(fields); i += 2) {
        const struct store_reply *value = store_reply_element(fields, i + 1);
        char name[16];
        if (!take_text(name, sizeof(name), store_reply_element(fields, i)))
            continue; /* of a later release */
        if (strcmp(name, "actor") == 0)
            good = take_text(c->actor, sizeof(c->actor), value);
        else if (strcmp(name, "verb") == 0)
            good = take_text(c->verb, sizeof(c->verb), value);
        else if (strcmp(name, "object") == 0)
            good = take_text(c->object, sizeof(c->object), value);
        else if (strcmp(name, "arguments") == 0)
            good = take_text(c->arguments, sizeof(c->arguments), value);
        else if (strcmp(name, "given") == 0)
            good = take_text(given, sizeof(given), value);
    }
    c->given_wall_ns = strtoull(given, NULL, 10);
    return good;
}

static size_t take_entries(const struct store_reply *list, struct inbox_command *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < store_reply_count(list); i++) {
        const struct store_reply *entry = store_reply_element(list, i);
        struct inbox_command *c = &ret[n];
        if (store_reply_count(entry) != 2 || !take_text(c->id, sizeof(c->id), store_reply_element(entry, 0)))
            continue;
        if (!take_fields(c, store_reply_element(entry, 1)))
            c->verb[0] = '\0';
        n++;
    }
    return n;
}

int inbox_read(struct store *s, const char *position, size_t max, unsigned block_ms, struct inbox_command **ret,
               size_t *ret_n, struct error *e)
{
    struct command c;
    int rc = 0;

    *ret = NULL;
    *ret_n = 0;
    command_start(&c, "XREAD", "COUNT", 5);
    command_u64(&c, max);
    if (block_ms > 0) {
        command_text(&c, "BLOCK");
        command_u64(&c, block_ms);
    }
    command_text(&c, "STREAMS");
    command_text(&c, INBOX_KEY);
    command_text(&c, position[0] != '\0' ? position : "0");
    struct store_reply *r = store_command_argv(s, c.arg, c.n);
    if (r == NULL)
        return error_set(e, -EIO, "Redis went away while commands were read");
    if (store_reply_type(r) == STORE_ERROR) {
        size_t len = 0;
        const char *text = store_reply_string(r, &len);
        rc = error_set(e, -EPROTO, "cannot read commands: %.*s", (int)(len < 160 ? len : 160), text);
    } else if (store_reply_type(r) == STORE_ARRAY && store_reply_count(r) == 1) {
        const struct store_reply *list = store_reply_element(store_reply_element(r, 0), 1);
        *ret = calloc(store_reply_count(list) + 1, sizeof(**ret));
        if (*ret == NULL)
            rc = error_set(e, -ENOMEM, "no memory for commands");
        else
            *ret_n = take_entries(list, *ret);
    }
    store_reply_free(r);
    return rc;
}

int inbox_wait(struct store *s, const char *id, unsigned timeout_ms, struct entity_audit *ret_audit, struct error *e)
{
    for (unsigned waited = 0;;) {
        int rc = entities_get(s, ENTITY_AUDIT, id, ret_audit, e);
        if (rc != 0 || waited >= timeout_ms)
            return rc;
        unsigned step = waited < 1000 ? POLL_FAST_MS : POLL_SLOW_MS;
        nanosleep(&(struct timespec){.tv_nsec = (long)step * 1000000}, NULL);
        waited += step;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A client of Redis Sentinel, after Redis's "Guidelines for Redis clients with support for Sentinel": ask the Sentinels
 * in turn for the master's address, connect there, let it confirm that it is a master (store.c does), and start again
 * with the Sentinels whenever the connection is lost.
 *
 * The connection to the Sentinel that answered stays open with a subscription to +switch-master, because an old master
 * that is only cut off from the others goes on taking writes that will be thrown away. The publisher's journal repeats
 * those of the last seconds at the new master.
 *
 * Limits: Sentinels that the given ones know are not learned from them; give all, or at least two.
 */

#include "store/sentinel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN_AGAIN_MS 5000

/* Owner: one store. Invariant: listener == NULL or subscribed. */
struct sentinel {
    const struct link_options *options;
    const struct store_endpoint *at;
    unsigned n, next;
    const char *master;
    struct store_endpoint found; /* what we told last */
    struct link *listener;
    uint64_t next_try_ms;
};

int sentinel_new(const struct link_options *options, const struct store_endpoint *at, unsigned n, const char *master,
                 struct sentinel **ret_sentinel, struct error *e)
{
    struct sentinel *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return error_set(e, -ENOMEM, "no memory for a connection to Sentinels");
    *s = (struct sentinel){.options = options, .at = at, .n = n, .master = master};
    *ret_sentinel = s;
    return 0;
}

void sentinel_free(struct sentinel *s)
{
    if (s == NULL)
        return;
    link_close(s->listener);
    free(s);
}

/* Two strings, host and port. */
static bool read_address(const redisReply *host, const redisReply *port, struct store_endpoint *ret)
{
    struct store_endpoint at = {.port = 0};
    char *end;

    if (host->type != REDIS_REPLY_STRING || port->type != REDIS_REPLY_STRING || host->len == 0 ||
        (size_t)host->len >= sizeof(at.host) || strlen(host->str) != (size_t)host->len)
        return false;
    unsigned long number = strtoul(port->str, &end, 10);
    if (port->str[0] < '0' || port->str[0] > '9' || *end != '\0' || number == 0 || number > 65535)
        return false;
    strcpy(at.host, host->str);
    at.port = (uint16_t)number;
    *ret = at;
    return true;
}

/* Asks l; -ENOENT: this Sentinel does not know the name. */
static int ask(struct sentinel *s, struct link *l, struct store_endpoint *ret, struct error *e)
{
    const char *const words[] = {"SENTINEL", "get-master-addr-by-name", s->master};
    redisReply *r = link_call(l, 3, words, s->options->command_timeout_ms);
    int result = 0;

    if (r == NULL)
        return error_set(e, -EIO, "Sentinel at %.100s: %.100s", link_shown(l), link_why(l));
    if (r->type == REDIS_REPLY_ERROR)
        result = error_set(e, -EACCES, "Sentinel at %.90s refused: %.100s", link_shown(l), r->str);
    else if (r->type == REDIS_REPLY_NIL)
        result = error_set(e, -ENOENT, "Sentinel at %.90s knows no master \"%s\"; see its \"sentinel monitor\"",
                           link_shown(l), s->master);
    else if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || !read_address(r->element[0], r->element[1], ret))
        result = error_set(e, -EPROTO, "Sentinel at %.100s gave no address of the master", link_shown(l));
    free(r);
    return result;
}

/* One Sentinel: its answer, and its news from now on. The subscription comes first, so that no change falls between. */
static int try_one(struct sentinel *s, const struct store_endpoint *at, struct store_endpoint *ret, struct error *e)
{
    static const char *const subscribe[] = {"SUBSCRIBE", "+switch-master"};
    struct link *asker = NULL, *listener = NULL;
    int result = link_open(s->options, at, &listener, e);

    if (result == 0) {
        redisReply *r = link_call(listener, 2, subscribe, s->options->command_timeout_ms);
        if (r == NULL)
            result = error_set(e, -EIO, "Sentinel at %.100s: %.100s", link_shown(listener), link_why(listener));
        else if (r->type == REDIS_REPLY_ERROR)
            result = error_set(e, -EACCES, "Sentinel at %.90s refused: %.100s", link_shown(listener), r->str);
        free(r);
    }
    if (result == 0)
        result = link_open(s->options, at, &asker, e);
    if (result == 0)
        result = ask(s, asker, ret, e);
    link_close(asker);
    if (result != 0) {
        link_close(listener);
        return result;
    }
    link_close(s->listener);
    s->listener = listener;
    return 0;
}

static int ask_all(struct sentinel *s, struct store_endpoint *ret, struct error *e)
{
    struct error first = {""}, other;
    int result = -EIO;

    for (unsigned i = 0; i < s->n; i++) {
        unsigned at = (s->next + i) % s->n;
        int code = try_one(s, &s->at[at], ret, i == 0 ? &first : &other);
        if (code == 0) {
            s->next = at;
            return 0;
        }
        if (i == 0)
            result = code;
    }
    s->next = (s->next + 1) % s->n;
    return error_set(e, result, "no Sentinel answers: %.220s", first.text);
}

int sentinel_find(struct sentinel *s, struct store_endpoint *ret_master, struct error *e)
{
    int result = ask_all(s, &s->found, e);

    if (result == 0)
        *ret_master = s->found;
    return result;
}

/* ["message", "+switch-master", "NAME OLDIP OLDPORT NEWIP NEWPORT"] about our master. */
static bool is_about_us(const struct sentinel *s, const redisReply *r)
{
    size_t len = strlen(s->master);

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3 || r->element[0]->type != REDIS_REPLY_STRING ||
        r->element[2]->type != REDIS_REPLY_STRING || strcmp(r->element[0]->str, "message") != 0)
        return false;
    return strncmp(r->element[2]->str, s->master, len) == 0 && r->element[2]->str[len] == ' ';
}

bool sentinel_switched(struct sentinel *s)
{
    struct store_endpoint now;
    bool news = false;
    redisReply *r;

    while (s->listener != NULL && (r = link_glance(s->listener)) != NULL) {
        news |= is_about_us(s, r);
        free(r);
    }
    if (s->listener != NULL && !link_failed(s->listener))
        return news;
    link_close(s->listener);
    s->listener = NULL;
    if (news)
        return true;
    if (link_clock_ms() < s->next_try_ms)
        return false;
    s->next_try_ms = link_clock_ms() + LISTEN_AGAIN_MS;
    return ask_all(s, &now, NULL) == 0 && (now.port != s->found.port || strcmp(now.host, s->found.host) != 0);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See route.h. The slot is CRC16 (XMODEM: polynomial 0x1021, start 0) modulo 16384 of what stands between the first '{'
 * and the first '}' behind it, if that is not empty, else of the whole key (Redis Cluster specification, "Key
 * distribution model").
 *
 * Limits: the key's place is known for the commands that this folder uses and the common ones beside them; a command
 * with keys in several slots goes to the slot of its first key, and Redis refuses it (CROSSSLOT).
 */

#include "store/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint16_t crc16(const char *data, size_t len)
{
    uint16_t crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((unsigned char)data[i] << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

int route_key_slot(const char *key, size_t len)
{
    const char *open = memchr(key, '{', len);

    if (open != NULL) {
        size_t rest = len - (size_t)(open - key) - 1;
        const char *close = memchr(open + 1, '}', rest);
        if (close != NULL && close != open + 1)
            return crc16(open + 1, (size_t)(close - open) - 1) % ROUTE_SLOTS;
    }
    return crc16(key, len) % ROUTE_SLOTS;
}

/* "*3\r\n" or "$5\r\n" at the cursor; false when it is not there. */
static bool take_number(const char **at, const char *end, char sign, size_t *ret)
{
    const char *c = *at;
    size_t v = 0;
    int digits = 0;

    if (c == end || *c++ != sign)
        return false;
    for (; c < end && *c >= '0' && *c <= '9' && digits < 10; c++, digits++)
        v = v * 10 + (size_t)(*c - '0');
    if (digits == 0 || end - c < 2 || c[0] != '\r' || c[1] != '\n')
        return false;
    *at = c + 2;
    *ret = v;
    return true;
}

size_t route_split(const char *bytes, size_t len, struct store_arg *ret_args, size_t max, size_t *ret_n)
{
    const char *at = bytes, *end = bytes + len;
    size_t count, arg_len;

    if (!take_number(&at, end, '*', &count) || count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (!take_number(&at, end, '$', &arg_len) || (size_t)(end - at) < 2 || arg_len > (size_t)(end - at) - 2 ||
            at[arg_len] != '\r' || at[arg_len + 1] != '\n')
            return 0;
        if (i < max)
            ret_args[i] = (struct store_arg){at, arg_len};
        at += arg_len + 2;
    }
    *ret_n = count < max ? count : max;
    return (size_t)(at - bytes);
}

bool route_is(const struct store_arg *verb, const char *name)
{
    return verb->len == strlen(name) && strncasecmp(verb->data, name, verb->len) == 0;
}

static bool is_one_of(const struct store_arg *verb, const char *const *names)
{
    while (*names != NULL && !route_is(verb, *names))
        names++;
    return *names != NULL;
}

int route_command_slot(const struct store_arg *args, size_t n)
{
    static const char *const keyless[] = {"PING",   "ECHO",    "INFO",     "SCAN",    "TIME",    "DBSIZE",
                                          "CLIENT", "CONFIG",  "COMMAND",  "ACL",     "CLUSTER", "WAIT",
                                          "ROLE",   "MULTI",   "EXEC",     "DISCARD", "HELLO",   "AUTH",
                                          "SELECT", "PUBLISH", "LASTSAVE", "UNWATCH", "SLOWLOG", NULL};
    static const char *const second[] = {"XGROUP", "XINFO", "OBJECT", "MEMORY", NULL};
    static const char *const scripts[] = {"EVAL", "EVALSHA", "FCALL", "EVAL_RO", "EVALSHA_RO", "FCALL_RO", NULL};
    size_t key = 1;

    if (n < 2 || is_one_of(&args[0], keyless))
        return ROUTE_NO_SLOT;
    if (is_one_of(&args[0], second)) {
        key = 2;
    } else if (is_one_of(&args[0], scripts)) {
        if (n < 4 || route_is(&args[2], "0"))
            return ROUTE_NO_SLOT;
        key = 3;
    } else if (route_is(&args[0], "XREAD") || route_is(&args[0], "XREADGROUP")) {
        while (key < n && !route_is(&args[key], "STREAMS"))
            key++;
        key++;
    }
    return key < n ? route_key_slot(args[key].data, args[key].len) : ROUTE_NO_SLOT;
}

bool route_is_repeatable(const struct store_arg *args, size_t n)
{
    static const char *const absolute[] = {"HSET",   "HDEL",     "ZADD", "ZREM", "ZREMRANGEBYSCORE", "ZREMRANGEBYRANK",
                                           "EXPIRE", "EXPIREAT", "XADD", "DEL",  "UNLINK",           NULL};

    if (n == 0)
        return false;
    if (is_one_of(&args[0], absolute))
        return true;
    if (!route_is(&args[0], "SET"))
        return false;
    for (size_t i = 3; i < n; i++) /* "only if it is (not) there" depends on when it is sent */
        if (route_is(&args[i], "NX") || route_is(&args[i], "XX") || route_is(&args[i], "GET"))
            return false;
    return true;
}

/* "HOST:PORT" with an IPv6 host bare, as Redis writes it; the last colon counts. */
static bool read_address(const char *text, struct store_endpoint *ret)
{
    const char *colon = strrchr(text, ':');
    struct store_endpoint at = {.port = 0};
    char *end;

    if (colon == NULL || (size_t)(colon - text) >= sizeof(at.host) || colon[1] < '0' || colon[1] > '9')
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (port == 0 || port > 65535 || *end != '\0')
        return false;
    memcpy(at.host, text, (size_t)(colon - text));
    at.port = (uint16_t)port;
    *ret = at;
    return true;
}

enum route_answer route_answer_of(const redisReply *r, int *ret_slot, struct store_endpoint *ret_to)
{
    bool moved;
    char *end;

    if (r->type != REDIS_REPLY_ERROR)
        return ROUTE_DONE;
    if (strncmp(r->str, "TRYAGAIN", 8) == 0 || strncmp(r->str, "CLUSTERDOWN", 11) == 0)
        return ROUTE_LATER;
    moved = strncmp(r->str, "MOVED ", 6) == 0;
    if (!moved && strncmp(r->str, "ASK ", 4) != 0)
        return ROUTE_DONE;
    const char *slot_text = r->str + (moved ? 6 : 4);
    unsigned long slot = strtoul(slot_text, &end, 10);
    if (*slot_text < '0' || *slot_text > '9' || slot >= ROUTE_SLOTS || *end != ' ' || !read_address(end + 1, ret_to))
        return ROUTE_DONE;
    *ret_slot = (int)slot;
    return moved ? ROUTE_MOVED : ROUTE_ASK;
}

static bool is_slot(const redisReply *r)
{
    return r->type == REDIS_REPLY_INTEGER && r->integer >= 0 && r->integer < ROUTE_SLOTS;
}

/* [first, last, [host, port, id, ...], replicas...] */
static bool read_range(const redisReply *r, int *ret_first, int *ret_last, struct store_endpoint *ret_master)
{
    struct store_endpoint at = {.port = 0};

    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || !is_slot(r->element[0]) || !is_slot(r->element[1]) ||
        r->element[0]->integer > r->element[1]->integer)
        return false;
    const redisReply *master = r->element[2];
    if (master->type != REDIS_REPLY_ARRAY || master->elements < 2)
        return false;
    const redisReply *host = master->element[0], *port = master->element[1];
    if (port->type != REDIS_REPLY_INTEGER || port->integer <= 0 || port->integer > 65535)
        return false;
    if (host->type == REDIS_REPLY_STRING && strcmp(host->str, "?") != 0) {
        if (host->len >= sizeof(at.host) || strlen(host->str) != host->len)
            return false;
        strcpy(at.host, host->str);
    } else if (host->type != REDIS_REPLY_NIL && host->type != REDIS_REPLY_STRING) {
        return false;
    }
    at.port = (uint16_t)port->integer;
    *ret_first = (int)r->element[0]->integer;
    *ret_last = (int)r->element[1]->integer;
    *ret_master = at;
    return true;
}

int route_read_map(const redisReply *r, void (*take)(void *, int first, int last, const struct store_endpoint *master),
                   void *ctx)
{
    struct store_endpoint master;
    int first, last, covered = 0;

    if (r->type != REDIS_REPLY_ARRAY || r->elements > ROUTE_SLOTS)
        return -EPROTO;
    for (size_t i = 0; i < r->elements; i++)
        if (!read_range(r->element[i], &first, &last, &master))
            return -EPROTO;
    for (size_t i = 0; i < r->elements; i++) {
        read_range(r->element[i], &first, &last, &master);
        take(ctx, first, last, &master);
        covered += last - first + 1;
    }
    return covered;
}

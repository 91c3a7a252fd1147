/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Redis URLs: the IANA "redis" and "rediss" schemes, the "unix:" form of our own, and "+sentinel" and "+cluster" behind
 * the scheme with several hosts. User, password, master name and TLS options are percent-decoded; a NUL in them is
 * refused, an IPv6 host stands in brackets. Everything is bounded; the text may come from a configuration file or a
 * command line.
 */

#include "store/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PORT  6379
#define SENTINEL_PORT 26379
#define MASTER_NAME   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_" /* what Sentinel allows */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Copies text[0..len) with %XX decoded; false when it does not fit or is malformed. */
static bool percent_decode(const char *text, size_t len, char *ret, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            if (len - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
                return false;
            c = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
            if (c == '\0')
                return false;
        }
        if (n + 1 >= size)
            return false;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return true;
}

static bool parse_number(const char *text, size_t len, uint32_t max, uint16_t *ret)
{
    uint32_t v = 0;

    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = v * 10 + (uint32_t)(text[i] - '0');
    }
    if (v > max)
        return false;
    *ret = (uint16_t)v;
    return true;
}

static int parse_unix(const char *path, struct store_url *u, struct error *e)
{
    struct store_endpoint *at = &u->at[0];
    size_t len = strcspn(path, "?");

    if (strncmp(path, "//", 2) == 0) {
        path += 2;
        len -= 2;
    }
    if (len == 0)
        return error_set(e, -EINVAL, "Redis URL: \"unix:\" without a path");
    if (len >= sizeof(at->unix_path))
        return error_set(e, -EINVAL, "Redis URL: the socket's path is longer than %zu bytes",
                         sizeof(at->unix_path) - 1);
    memcpy(at->unix_path, path, len);
    if (path[len] == '?') {
        const char *db = path + len + 1;
        if (strncmp(db, "db=", 3) != 0 || !parse_number(db + 3, strlen(db + 3), 65535, &u->db))
            return error_set(e, -EINVAL, "Redis URL: expected ?db=NUMBER after the path");
    }
    u->n = 1;
    snprintf(u->shown, sizeof(u->shown), "unix:%s", at->unix_path);
    return 0;
}

static int parse_credentials(const char *text, size_t len, struct store_url *u, struct error *e)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon != NULL ? (size_t)(colon - text) : len;

    if (!percent_decode(text, user_len, u->user, sizeof(u->user)))
        return error_set(e, -EINVAL, "Redis URL: malformed or oversized user name");
    if (colon != NULL && !percent_decode(colon + 1, len - user_len - 1, u->password, sizeof(u->password)))
        return error_set(e, -EINVAL, "Redis URL: malformed or oversized password");
    return 0;
}

static int parse_host(const char *text, size_t len, uint16_t default_port, struct store_endpoint *at, struct error *e)
{
    const char *end = text + len;
    const char *host = text;
    size_t host_len;

    if (len > 0 && *text == '[') {
        const char *close = memchr(text, ']', len);
        if (close == NULL)
            return error_set(e, -EINVAL, "Redis URL: '[' without ']'");
        host = text + 1;
        host_len = (size_t)(close - host);
        text = close + 1;
    } else {
        const char *colon = memchr(text, ':', len);
        host_len = colon != NULL ? (size_t)(colon - text) : len;
        text += host_len;
    }
    if (host_len == 0 || host_len >= sizeof(at->host))
        return error_set(e, -EINVAL, "Redis URL: host name missing or too long");
    memcpy(at->host, host, host_len);
    at->port = default_port;
    if (text < end &&
        (*text != ':' || !parse_number(text + 1, (size_t)(end - text) - 1, 65535, &at->port) || at->port == 0))
        return error_set(e, -EINVAL, "Redis URL: port is not a number from 1 to 65535");
    return 0;
}

/* "host:port,host:port"; one only when there is nothing to find by the others. */
static int parse_hosts(const char *text, size_t len, struct store_url *u, struct error *e)
{
    uint16_t port = u->mode == STORE_SENTINEL ? SENTINEL_PORT : DEFAULT_PORT;
    const char *end = text + len;
    int result = 0;

    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t one = (size_t)((comma != NULL ? comma : end) - text);
        if (u->n == STORE_ENDPOINTS_MAX)
            return error_set(e, -EINVAL, "Redis URL: more than %d hosts", STORE_ENDPOINTS_MAX);
        result = parse_host(text, one, port, &u->at[u->n], e);
        if (result != 0)
            return result;
        u->n++;
        if (comma == NULL)
            break;
        text = comma + 1;
    }
    if (u->mode == STORE_SINGLE && u->n > 1)
        return error_set(e, -EINVAL, "Redis URL: several hosts need redis+cluster:// or redis+sentinel://");
    return 0;
}

/* "/db" of one server, "/master[/db]" of Sentinels, nothing of a Cluster, which has database 0 alone. */
static int parse_path(const char *path, size_t len, struct store_url *u, struct error *e)
{
    if (u->mode == STORE_SENTINEL) {
        const char *slash = memchr(path, '/', len);
        size_t name_len = slash != NULL ? (size_t)(slash - path) : len;
        if (name_len == 0 || !percent_decode(path, name_len, u->master, sizeof(u->master)) ||
            u->master[strspn(u->master, MASTER_NAME)] != '\0')
            return error_set(e, -EINVAL,
                             "Redis URL: the master's name is missing, too long or not of "
                             "A-Z a-z 0-9 . - _; use "
                             "redis+sentinel://host:port,host:port/NAME");
        if (slash == NULL)
            return 0;
        len -= name_len + 1;
        path = slash + 1;
    }
    if (len == 0)
        return 0;
    if (u->mode == STORE_CLUSTER)
        return error_set(e, -EINVAL, "Redis URL: a Cluster has no databases; leave \"/...\" out");
    if (!parse_number(path, len, 65535, &u->db))
        return error_set(e, -EINVAL, "Redis URL: the database after '/' is not a number");
    return 0;
}

/* "ca=FILE&cert=FILE&key=FILE&name=HOST&verify=no" */
static int parse_query(const char *text, struct store_url *u, struct error *e)
{
    const struct {
        const char *name;
        char *to;
        size_t size;
    } known[] = {{"ca", u->tls.ca, sizeof(u->tls.ca)},
                 {"cert", u->tls.cert, sizeof(u->tls.cert)},
                 {"key", u->tls.key, sizeof(u->tls.key)},
                 {"name", u->tls.name, sizeof(u->tls.name)}};
    char verify[8];

    if (!u->use_tls)
        return error_set(e, -EINVAL, "Redis URL: options after '?' belong to rediss://; use that for TLS");
    while (*text != '\0') {
        size_t len = strcspn(text, "&"), name_len = strcspn(text, "=&");
        const char *value = text + name_len + 1;
        size_t value_len = name_len < len ? len - name_len - 1 : 0, i = 0;
        bool done = false;
        for (; i < sizeof(known) / sizeof(known[0]) && !done; i++)
            done = strlen(known[i].name) == name_len && memcmp(text, known[i].name, name_len) == 0 && value_len != 0 &&
                   percent_decode(value, value_len, known[i].to, known[i].size);
        if (!done && name_len == 6 && memcmp(text, "verify", 6) == 0 && value_len != 0 &&
            percent_decode(value, value_len, verify, sizeof(verify))) {
            u->tls.no_verify = strcmp(verify, "no") == 0;
            done = u->tls.no_verify || strcmp(verify, "yes") == 0;
        }
        if (!done)
            return error_set(e, -EINVAL,
                             "Redis URL: expected ca=FILE, cert=FILE, key=FILE, name=HOST or verify=no after '?'");
        text += len + (text[len] == '&');
    }
    return 0;
}

void store_endpoint_show(const struct store_endpoint *at, bool use_tls, char *ret, size_t size)
{
    if (at->unix_path[0] != '\0')
        snprintf(ret, size, "unix:%s", at->unix_path);
    else
        snprintf(ret, size, strchr(at->host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u", use_tls ? "rediss" : "redis",
                 at->host, at->port);
}

/* The first host stands for all: the text is for messages. */
static void show(struct store_url *u)
{
    static const char *const by_mode[] = {"", "+sentinel", "+cluster"};
    const struct store_endpoint *at = &u->at[0];
    int len =
        snprintf(u->shown, sizeof(u->shown), strchr(at->host, ':') != NULL ? "%s%s://[%.200s]:%u" : "%s%s://%.200s:%u",
                 u->use_tls ? "rediss" : "redis", by_mode[u->mode], at->host, at->port);

    if (u->n > 1)
        len += snprintf(u->shown + len, sizeof(u->shown) - (size_t)len, ",...");
    if (u->mode == STORE_SENTINEL)
        snprintf(u->shown + len, sizeof(u->shown) - (size_t)len, "/%s", u->master);
}

static int parse_tcp(const char *text, struct store_url *u, struct error *e)
{
    size_t authority = strcspn(text, "/?");
    const char *rest = text + authority;
    const char *at = memrchr(text, '@', authority);
    int result = 0;

    if (at != NULL) {
        result = parse_credentials(text, (size_t)(at - text), u, e);
        authority -= (size_t)(at - text) + 1;
        text = at + 1;
    }
    if (result == 0)
        result = parse_hosts(text, authority, u, e);
    size_t path_len = strcspn(rest, "?");
    if (result == 0)
        result = parse_path(rest + (path_len > 0), path_len - (path_len > 0), u, e);
    if (result == 0 && rest[path_len] == '?')
        result = parse_query(rest + path_len + 1, u, e);
    if (result == 0)
        show(u);
    return result;
}

int store_url_parse(const char *text, struct store_url *ret_url, struct error *e)
{
    static const struct {
        const char *prefix;
        enum store_mode mode;
        bool use_tls;
    } schemes[] = {{"redis://", STORE_SINGLE, false},
                   {"rediss://", STORE_SINGLE, true},
                   {"redis+sentinel://", STORE_SENTINEL, false},
                   {"rediss+sentinel://", STORE_SENTINEL, true},
                   {"redis+cluster://", STORE_CLUSTER, false},
                   {"rediss+cluster://", STORE_CLUSTER, true}};
    struct store_url u = {.mode = STORE_SINGLE};
    size_t i = 0;
    int result;

    if (text == NULL || *text == '\0')
        return error_set(e, -EINVAL, "Redis URL is empty; use unix:/path or redis://host:port");
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return error_set(e, -EINVAL, "Redis URL holds a space or control character");
    while (i < sizeof(schemes) / sizeof(schemes[0]) &&
           strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) != 0)
        i++;
    if (i < sizeof(schemes) / sizeof(schemes[0])) {
        u.mode = schemes[i].mode;
        u.use_tls = schemes[i].use_tls;
        result = parse_tcp(text + strlen(schemes[i].prefix), &u, e);
    } else if (strncasecmp(text, "unix:", 5) == 0) {
        result = parse_unix(text + 5, &u, e);
    } else if (strstr(text, "://") != NULL) {
        result = error_set(e, -EINVAL,
                           "Redis URL: unknown scheme; use unix:, redis://, rediss://, redis+sentinel:// or "
                           "redis+cluster://");
    } else {
        result = *text == '/' ? parse_unix(text, &u, e) : parse_tcp(text, &u, e);
    }
    if (result == 0)
        *ret_url = u;
    return result;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Redis URLs (the IANA "redis" scheme plus the "unix:" form of our own). User and password are percent-decoded; a NUL
 * in them is refused, an IPv6 host stands in brackets. Everything is bounded; the text may come from a configuration
 * file or a command line.
 */

#include "store/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PORT 6379

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
    size_t len = strcspn(path, "?");

    if (strncmp(path, "//", 2) == 0) {
        path += 2;
        len -= 2;
    }
    if (len == 0)
        return error_set(e, -EINVAL, "Redis URL: \"unix:\" without a path");
    if (len >= sizeof(u->unix_path))
        return error_set(e, -EINVAL, "Redis URL: socket path longer than %zu bytes; use a shorter directory",
                         sizeof(u->unix_path) - 1);
    memcpy(u->unix_path, path, len);
    if (path[len] == '?' &&
        (strncmp(path + len, "?db=", 4) != 0 || !parse_number(path + len + 4, strlen(path + len + 4), 65535, &u->db)))
        return error_set(e, -EINVAL, "Redis URL: only ?db=NUMBER may follow a socket path");
    snprintf(u->shown, sizeof(u->shown), "unix:%s", u->unix_path);
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

static int parse_host(const char *text, size_t len, struct store_url *u, struct error *e)
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
    if (host_len == 0 || host_len >= sizeof(u->host))
        return error_set(e, -EINVAL, "Redis URL: host name missing or too long");
    memcpy(u->host, host, host_len);
    if (text < end &&
        (*text != ':' || !parse_number(text + 1, (size_t)(end - text) - 1, 65535, &u->port) || u->port == 0))
        return error_set(e, -EINVAL, "Redis URL: port is not a number from 1 to 65535");
    return 0;
}

static int parse_tcp(const char *text, struct store_url *u, struct error *e)
{
    const char *slash = strchr(text, '/');
    size_t authority = slash != NULL ? (size_t)(slash - text) : strlen(text);
    const char *at = memrchr(text, '@', authority);
    int result = 0;

    u->port = DEFAULT_PORT;
    if (at != NULL) {
        result = parse_credentials(text, (size_t)(at - text), u, e);
        authority -= (size_t)(at - text) + 1;
        text = at + 1;
    }
    if (result == 0)
        result = parse_host(text, authority, u, e);
    if (result == 0 && slash != NULL && slash[1] != '\0' && !parse_number(slash + 1, strlen(slash + 1), 65535, &u->db))
        result = error_set(e, -EINVAL, "Redis URL: the database after '/' is not a number");
    if (result == 0)
        snprintf(u->shown, sizeof(u->shown), strchr(u->host, ':') ? "redis://[%s]:%u" : "redis://%s:%u", u->host,
                 u->port);
    return result;
}

int store_url_parse(const char *text, struct store_url *ret_url, struct error *e)
{
    struct store_url u = {0};
    int result;

    if (text == NULL || *text == '\0')
        return error_set(e, -EINVAL, "Redis URL is empty; use unix:/path or redis://host:port");
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return error_set(e, -EINVAL, "Redis URL holds a space or control character");
    if (strncasecmp(text, "unix:", 5) == 0)
        result = parse_unix(text + 5, &u, e);
    else if (strncasecmp(text, "redis://", 8) == 0)
        result = parse_tcp(text + 8, &u, e);
    else if (strncasecmp(text, "rediss://", 9) == 0)
        result = error_set(e, -EINVAL,
                           "Redis URL: TLS (rediss://) is not supported by this build; "
                           "use redis:// through a tunnel, or unix:");
    else if (strstr(text, "://") != NULL)
        result = error_set(e, -EINVAL, "Redis URL: unknown scheme; use unix:/path or redis://host:port");
    else if (*text == '/')
        result = parse_unix(text, &u, e);
    else
        result = parse_tcp(text, &u, e);
    if (result == 0)
        *ret_url = u;
    return result;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See track.h. A comment cannot be made idempotent by the systems' own means: therefore it ends in a reference, the
 * first 64 bits of the row's key, for which a repeated request looks before it comments again.
 */

#include "control/connectors/track.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/bytes.h"
#include "common/timefmt.h"

#define PATH_BYTES 2048u

char *track_label(char ret[TRACK_KEY_BYTES], const struct connector_request *r, char sep)
{
    snprintf(ret, TRACK_KEY_BYTES, "spanward%c%.*s", sep, (int)TRACK_KEY_HEX, r->create_key);
    return ret;
}

char *track_ref(char ret[TRACK_KEY_BYTES], const struct connector_request *r)
{
    snprintf(ret, TRACK_KEY_BYTES, "spanward-ref %.*s", (int)TRACK_REF_HEX, r->key);
    return ret;
}

char *track_comment(const struct connector_request *r)
{
    char ref[TRACK_KEY_BYTES];
    size_t size = strlen(r->body) + strlen(r->ticket) + sizeof(ref) + 16;
    char *text = malloc(size);

    if (text != NULL)
        snprintf(text, size, "%s\n\n%s, %s\n", r->body, r->ticket, track_ref(ref, r));
    return text;
}

bool track_call(struct http *h, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
{
    char path[PATH_BYTES];
    struct http_request q = {.method = method, .path = path, .json = json};
    va_list args;

    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    http_do(h, &q, ret);
    json_decref(json);
    return ret->outcome == CONNECTOR_DONE;
}

int track_failed(const struct http_answer *a, struct connector_answer *ret)
{
    http_to_answer(a, ret);
    return -EIO;
}

int track_present(struct http_answer *a, struct connector_answer *ret)
{
    int rc = 1;

    if (a->status == 404 || a->status == 410)
        rc = 0;
    else if (a->outcome != CONNECTOR_DONE && a->status != 403)
        rc = track_failed(a, ret);
    http_answer_fini(a);
    return rc;
}

int track_refuse(struct connector_answer *ret, const char *format, ...)
{
    va_list args;

    ret->outcome = CONNECTOR_REFUSED;
    va_start(args, format);
    vsnprintf(ret->text, sizeof(ret->text), format, args);
    va_end(args);
    return -EIO;
}

uint64_t track_time_ns(const char *text)
{
    struct tm tm = {0};
    unsigned ms = 0;
    int used = 0, zone_h = 0, zone_m = 0;
    char sep, sign = '+';

    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &sep, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, &used) < 7)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    text += used;
    if (*text == '.' && sscanf(text, ".%3u%n", &ms, &used) == 1) {
        text += used;
        text += strspn(text, "0123456789");
    }
    if (*text == '+' || *text == '-') {
        sign = *text;
        if (sscanf(text + 1, "%2d:%2d", &zone_h, &zone_m) < 2 && sscanf(text + 1, "%2d%2d", &zone_h, &zone_m) < 1)
            return 0;
    }
    time_t t = timegm(&tm);
    if (t < 0)
        return 0;
    int64_t shift = (zone_h * 60 + zone_m) * 60 * (sign == '-' ? -1 : 1);
    int64_t seconds = (int64_t)t - shift;
    return seconds < 0 ? 0 : (uint64_t)seconds * NS_PER_S + ms * NS_PER_MS;
}

uint64_t track_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void track_time_text(char *ret, size_t size, const char *format, uint64_t ns)
{
    time_t t = (time_t)(ns / NS_PER_S);
    struct tm tm;

    gmtime_r(&t, &tm);
    if (strftime(ret, size, format, &tm) == 0)
        ret[0] = '\0';
}

bool track_seen(struct track_seen *s, const char *format, ...)
{
    char text[1024];
    uint64_t h = 0xcbf29ce484222325ull;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (const char *p = text; *p != '\0'; p++)
        h = mix64(h ^ (unsigned char)*p);
    for (unsigned i = 0; i < s->n && i < TRACK_SEEN; i++) {
        if (s->hash[i] == h)
            return true;
    }
    s->hash[s->n++ % TRACK_SEEN] = h;
    if (s->n == 2 * TRACK_SEEN) /* stays above the size: the ring is full */
        s->n = TRACK_SEEN;
    return false;
}

const char *track_path(const json_t *j, ...)
{
    va_list names;
    const char *name;

    va_start(names, j);
    while ((name = va_arg(names, const char *)) != NULL)
        j = json_object_get(j, name);
    va_end(names);
    const char *text = json_string_value(j);
    return text != NULL ? text : "";
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Reading windows: one object over time, or all objects of a scope at one time. Every field is checked, and what does
 * not fit is skipped and counted, never believed.
 *
 * Cost: a range of n windows of one object takes n / 15 HGETALL; a window of all objects an HMGET per object, all in
 * one pipeline. Redis needs most of its time to find the key, and to look for each field from the hash's first on: that
 * is why both halves of a window are in one hash, and few windows. Ten thousand objects, four windows, full hashes: 34
 * ms of Redis's time with 15 windows, 73 ms with 30, 98 ms with 120 in two hashes.
 */

#include "store/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "common/timefmt.h"
#include "store/schema_read.h"

#define LARGE_PAGE  ((size_t)2 << 20)
#define BUCKETS_MAX 131072 /* of one read: 227 days of 10 s windows; an earlier start is moved up */

/* A growing array of windows; owner: the read in progress. */
struct windows {
    struct window *at;
    size_t n, size;
    int result;
};

/* Room for n at once, in large pages where the kernel has some: touching small ones costs as much as decoding. */
static int windows_reserve(struct windows *v, size_t n, struct error *e)
{
    size_t bytes = n * sizeof(*v->at);

    v->at =
        bytes < LARGE_PAGE ? malloc(bytes) : aligned_alloc(LARGE_PAGE, (bytes + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1));
    if (v->at == NULL)
        return error_set(e, -ENOMEM, "no memory for windows");
    if (bytes >= LARGE_PAGE)
        madvise(v->at, bytes, MADV_HUGEPAGE);
    v->size = n;
    return 0;
}

static struct window *windows_add(struct windows *v)
{
    if (v->n == v->size) {
        size_t size = v->size != 0 ? 2 * v->size : 64;
        struct window *p = realloc(v->at, size * sizeof(*p));
        if (p == NULL) {
            v->result = -ENOMEM;
            return NULL;
        }
        v->at = p;
        v->size = size;
    }
    return &v->at[v->n++];
}

/* The two fields of a window. */
enum half { TRAFFIC, QUALITY };

static bool take_half(struct window *w, const struct store_reply *value, enum half half, struct schema_skipped *skipped)
{
    size_t len;
    const uint8_t *bytes = (const uint8_t *)store_reply_string(value, &len);
    bool good = read_decoded(
        half == TRAFFIC ? codec_unpack_traffic(w, bytes, len) : codec_unpack_quality(w, bytes, len), skipped);

    if (!good)
        read_note(skipped, window_scope_name(w->scope), w->name);
    return good;
}

/* A foreign key, field or member of an object. */
static void skip_foreign(struct schema_skipped *skipped, enum window_scope scope, const char *name)
{
    skipped->foreign++;
    read_note(skipped, window_scope_name(scope), name);
}

/* An error in place of an object's values: a key of another type costs that object alone, the rest the whole read. */
static bool is_refusal(const struct store_reply *r, struct schema_skipped *skipped, enum window_scope scope,
                       const char *name)
{
    if (store_reply_type(r) != STORE_ERROR)
        return false;
    if (!read_is_wrong_type(r))
        return true;
    skip_foreign(skipped, scope, name);
    return false;
}

/*
 * A read of one object's buckets, a reply each. Windows of a bucket are collected in `slot` and handed over in order. A
 * quality half without traffic is not shown: the two are written together.
 */
struct series {
    struct windows out;
    struct schema_skipped *skipped;
    struct window pattern; /* scope, name, length */
    struct window slot[SCHEMA_BUCKET_WINDOWS];
    bool filled[SCHEMA_BUCKET_WINDOWS];
    uint64_t first_bucket_s, bucket_length_s, since_ns, until_ns;
    bool refused;
};

/* One half of all windows of a bucket; the fields may be in any order. */
static void take_bucket(struct series *x, const struct store_reply *r, enum half half, uint64_t bucket_s)
{
    for (size_t i = 0; i + 1 < store_reply_count(r); i += 2) {
        uint64_t field;
        if (!read_u64(store_reply_element(r, i), &field) || field >= 2ull * SCHEMA_BUCKET_WINDOWS) {
            if (half == TRAFFIC)
                skip_foreign(x->skipped, x->pattern.scope, x->pattern.name);
            continue;
        }
        if (field % 2 != half)
            continue;
        struct window *w = &x->slot[field / 2];
        if (half == TRAFFIC) {
            *w = x->pattern;
            w->start_ns = bucket_s * NS_PER_S + field / 2 * w->length_ns;
            x->filled[field / 2] = take_half(w, store_reply_element(r, i + 1), half, x->skipped);
        } else if (x->filled[field / 2]) {
            take_half(w, store_reply_element(r, i + 1), half, x->skipped);
        }
    }
}

static void on_bucket(void *ctx, size_t index, const struct store_reply *r)
{
    struct series *x = ctx;

    x->refused |= is_refusal(r, x->skipped, x->pattern.scope, x->pattern.name);
    for (enum half half = TRAFFIC; half <= QUALITY; half++)
        take_bucket(x, r, half, x->first_bucket_s + index * x->bucket_length_s);
    for (unsigned i = 0; i < SCHEMA_BUCKET_WINDOWS; i++) {
        struct window *w = &x->slot[i];
        if (x->filled[i] && w->start_ns >= x->since_ns && w->start_ns < x->until_ns) {
            struct window *out = windows_add(&x->out);
            if (out != NULL)
                *out = *w;
        }
        x->filled[i] = false;
    }
}

/* After the flush: what came of it. */
static int finish_windows(struct windows *v, int result, bool refused, struct window **ret_windows, size_t *ret_n,
                          struct error *e)
{
    if (result != 0)
        read_connection_lost(e);
    else if (v->result != 0)
        result = error_set(e, -ENOMEM, "no memory for windows");
    else if (refused)
        result = error_set(e, -EPROTO, "Redis refused to read windows; check the user's permissions");
    if (result != 0) {
        free(v->at);
        return result;
    }
    *ret_windows = v->at;
    *ret_n = v->n;
    return 0;
}

static int append_reads(struct store *s, const char *sensor, const struct series *x, uint64_t end_s)
{
    char key[KEY_BYTES];
    struct command c;
    int result = 0;

    for (uint64_t b = x->first_bucket_s; b < end_s && result == 0; b += x->bucket_length_s) {
        size_t len = key_windows(key, sensor, x->pattern.scope, x->pattern.name, x->pattern.length_ns / NS_PER_S, b);
        command_start(&c, "HGETALL", key, len);
        result = command_append(&c, s);
    }
    return result;
}

/* Narrows [since, until) to whole windows that can exist and to BUCKETS_MAX buckets; returns the end in seconds. */
static uint64_t set_range(struct series *x, const struct schema_sensor *sensor, enum schema_tier tier,
                          uint64_t since_ns, uint64_t until_ns)
{
    uint64_t latest = sensor->latest_start_ns[tier];
    uint64_t span = BUCKETS_MAX * x->bucket_length_s;

    if (latest != UINT64_MAX && until_ns > latest + x->pattern.length_ns)
        until_ns = latest + x->pattern.length_ns;
    uint64_t end_s = until_ns / NS_PER_S + (until_ns % NS_PER_S != 0);
    uint64_t from_s = since_ns / NS_PER_S;
    if (end_s > span && from_s < end_s - span)
        from_s = end_s - span;
    x->first_bucket_s = from_s / x->bucket_length_s * x->bucket_length_s;
    x->since_ns = since_ns;
    x->until_ns = until_ns;
    return end_s;
}

int schema_window_read(struct store *s, const struct schema_sensor *sensor, enum window_scope scope, const char *object,
                       enum schema_tier tier, uint64_t since_ns, uint64_t until_ns, struct window **ret_windows,
                       size_t *ret_n, struct schema_skipped *skipped, struct error *e)
{
    struct schema_skipped ignored = {0};
    struct series *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return error_set(e, -ENOMEM, "no memory for windows");
    x->skipped = skipped != NULL ? skipped : &ignored;
    x->pattern.scope = scope;
    snprintf(x->pattern.name, sizeof(x->pattern.name), "%s", object);
    x->pattern.length_ns = schema_tier_length_ns(tier, sensor->window_ns);
    x->bucket_length_s = SCHEMA_BUCKET_WINDOWS * (x->pattern.length_ns / NS_PER_S);
    uint64_t end_s = set_range(x, sensor, tier, since_ns, until_ns);
    int result = append_reads(s, sensor->name, x, end_s);
    if (result != 0) {
        read_discard(s, result, e);
    } else {
        result = store_flush(s, on_bucket, x);
        result = finish_windows(&x->out, result, x->refused, ret_windows, ret_n, e);
    }
    free(x);
    return result;
}

/*
 * A read of all objects in some windows of one bucket: a reply for each name of the list, with both halves of each
 * window.
 */
struct slice {
    struct windows out;
    struct schema_skipped *skipped;
    const char **name; /* owner: this array; the texts are the reply's */
    size_t n_names;
    struct window pattern; /* scope, length */
    uint64_t first, count; /* number of the first window since the epoch; how many */
    bool refused;
};

static void on_slice(void *ctx, size_t index, const struct store_reply *r)
{
    struct slice *x = ctx;
    const char *name = x->name[index];
    size_t name_bytes = strlen(name) + 1; /* read_names: it fits */

    x->refused |= is_refusal(r, x->skipped, x->pattern.scope, name);
    for (size_t i = 0; i < x->count && 2 * i + 1 < store_reply_count(r); i++) {
        const struct store_reply *traffic = store_reply_element(r, 2 * i), *quality = store_reply_element(r, 2 * i + 1);
        struct window *w = store_reply_type(traffic) == STORE_STRING ? windows_add(&x->out) : NULL;
        if (w == NULL)
            continue;
        *w = x->pattern;
        w->start_ns = (x->first + i) * w->length_ns;
        memcpy(w->name, name, name_bytes);
        if (!take_half(w, traffic, TRAFFIC, x->skipped))
            x->out.n--;
        else if (store_reply_type(quality) == STORE_STRING)
            take_half(w, quality, QUALITY, x->skipped);
    }
}

static int append_slice(struct store *s, const char *sensor, const struct slice *x)
{
    uint64_t length_s = x->pattern.length_ns / NS_PER_S, index = x->first % SCHEMA_BUCKET_WINDOWS;
    struct key_frame frame;
    char key[KEY_BYTES];
    int result =
        key_frame_windows(&frame, sensor, x->pattern.scope, length_s, (x->first - index) * length_s) ? 0 : -EINVAL;

    for (size_t i = 0; i < x->n_names && result == 0; i++) {
        struct command c;
        command_start(&c, "HMGET", key, key_framed(key, &frame, x->name[i]));
        for (uint64_t field = 2 * index; field < 2 * (index + x->count); field++)
            command_u64(&c, field);
        result = command_append(&c, s);
    }
    return result;
}

/* The windows first, first + 1, ... of one bucket; added to x->out. */
static int read_slice(struct store *s, const char *sensor, struct slice *x, struct error *e)
{
    int result = append_slice(s, sensor, x);

    if (result != 0)
        return read_discard(s, result, e);
    return store_flush(s, on_slice, x) == 0 ? 0 : read_connection_lost(e);
}

/* The names of a scope's objects whose last window started at since_ns or later; the texts are in *ret. Their times
 * stay in Redis, which takes longer to print them than to find them. */
static int read_names(struct store *s, const char *sensor, struct slice *x, uint64_t since_ns, struct store_reply **ret,
                      struct error *e)
{
    char key[KEY_BYTES];
    struct command c;

    command_start(&c, "ZRANGEBYSCORE", key, key_named(key, sensor, "obj", window_scope_name(x->pattern.scope)));
    command_u64(&c, since_ns / NS_PER_S);
    command_text(&c, "+inf");
    int result = read_ask(s, &c, STORE_ARRAY, ret, e);
    if (result != 0)
        return result;
    size_t n = store_reply_count(*ret);
    x->name = calloc(n + 1, sizeof(*x->name));
    if (x->name == NULL)
        return error_set(e, -ENOMEM, "no memory for a list of names");
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *name = store_reply_string(store_reply_element(*ret, i), &len);
        if (len != 0 && len < WINDOW_NAME_BYTES && strlen(name) == len)
            x->name[x->n_names++] = name;
        else
            skip_foreign(x->skipped, x->pattern.scope, name);
    }
    return 0;
}

int schema_window_all(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                      enum schema_tier tier, uint64_t start_ns, uint64_t n_windows, struct window **ret_windows,
                      size_t *ret_n, struct schema_skipped *skipped, struct error *e)
{
    struct schema_skipped ignored = {0};
    struct slice x = {.skipped = skipped != NULL ? skipped : &ignored};
    struct store_reply *names = NULL;

    if (n_windows == 0 || n_windows > SCHEMA_WINDOWS_AT_ONCE)
        return error_set(e, -EINVAL, "1 to %d windows at once", SCHEMA_WINDOWS_AT_ONCE);
    x.pattern.scope = scope;
    x.pattern.length_ns = schema_tier_length_ns(tier, sensor->window_ns);
    x.first = start_ns / x.pattern.length_ns;
    int result = read_names(s, sensor->name, &x, start_ns, &names, e);
    if (result == 0 && x.n_names != 0) /* at once: growing by copies costs more than reading */
        result = windows_reserve(&x.out, x.n_names * n_windows, e);
    for (uint64_t left = n_windows; left != 0 && result == 0; left -= x.count) {
        x.first += x.count;
        uint64_t in_bucket = SCHEMA_BUCKET_WINDOWS - x.first % SCHEMA_BUCKET_WINDOWS;
        x.count = left < in_bucket ? left : in_bucket;
        result = read_slice(s, sensor->name, &x, e);
    }
    if (result == 0)
        result = finish_windows(&x.out, 0, x.refused, ret_windows, ret_n, e);
    else
        free(x.out.at);
    free(x.name);
    store_reply_free(names);
    return result;
}

int schema_window_at(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                     enum schema_tier tier, uint64_t start_ns, struct window **ret_windows, size_t *ret_n,
                     struct schema_skipped *skipped, struct error *e)
{
    return schema_window_all(s, sensor, scope, tier, start_ns, 1, ret_windows, ret_n, skipped, e);
}

int schema_window_latest(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                         enum schema_tier tier, struct window **ret_windows, size_t *ret_n,
                         struct schema_skipped *skipped, struct error *e)
{
    if (sensor->latest_start_ns[tier] == UINT64_MAX) {
        *ret_windows = NULL;
        *ret_n = 0;
        return 0;
    }
    return schema_window_at(s, sensor, scope, tier, sensor->latest_start_ns[tier], ret_windows, ret_n, skipped, e);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See segments.h. A file is a header and records: length, CRC-32 and bytes of an item each. The last record may be torn
 * by a crash: it was never counted. A record whose checksum is wrong is counted as one drop and skipped; a length that
 * leads out of the file ends the segment. The header holds how far the store has it, so that a restart neither sends
 * nor counts much twice.
 *
 * Nothing is synced but a whole segment: what was written survives the death of the process, not that of the machine.
 */

#include "analytics/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define HEADER_BYTES 160
#define RECORD_HEAD  8
#define SEGMENT_MAX  (8u << 20)
#define SEGMENT_MIN  4096u
#define WRITE_BYTES  (256u << 10)
#define NAME_FORMAT  "%s/%016" PRIx64 ".seg"
#define PATH_BYTES   1200

static const char magic[8] = "SWSEG\r\n\1";

/* A file. Invariant: done_at <= read_at <= bytes; items = those behind done_at. */
struct segment {
    struct segment *next;
    uint64_t seq, bytes, read_at, done_at;
    uint64_t judged_at;     /* corrupt records before it were reported */
    uint64_t items, n_read; /* n_read: between done_at and read_at */
    struct segment_head head;
    bool touched; /* something of it was read */
    bool foreign; /* of another sensor, or not readable: left alone */
};

struct segments {
    char dir[1024];
    char sensor[SCHEMA_SENSOR_BYTES];
    uint64_t limit_bytes, segment_bytes, run_ns, next_seq;
    int lock, out; /* out: of the newest segment, -1 = none is being written */
    struct segment *first, *last;
    uint8_t *record; /* RECORD_HEAD + ITEM_BYTES_MAX */
    uint8_t *buffer; /* of records that are not written yet */
    size_t buffered;
    uint64_t buffered_items;
    void (*on_drop)(void *ctx, const struct item *x);
    void *ctx;
};

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t checksum(const uint8_t *p, size_t len)
{
    return (uint32_t)crc32(0, p, (uInt)len);
}

static void path_of(const struct segments *s, uint64_t seq, char ret[PATH_BYTES])
{
    snprintf(ret, PATH_BYTES, NAME_FORMAT, s->dir, seq);
}

static void write_header(const struct segments *s, const struct segment *g, uint8_t h[HEADER_BYTES])
{
    memset(h, 0, HEADER_BYTES);
    memcpy(h, magic, sizeof(magic));
    put64(h + 8, g->head.run_ns);
    put64(h + 16, g->head.ids_fixed);
    put64(h + 24, g->head.closed.ms);
    put64(h + 32, g->head.closed.seq);
    put64(h + 40, g->head.event.ms);
    put64(h + 48, g->head.event.seq);
    put64(h + 56, g->done_at);
    memcpy(h + 64, s->sensor, strlen(s->sensor));
    put32(h + HEADER_BYTES - 4, checksum(h, HEADER_BYTES - 4));
}

/* False when it is no header of this sensor. */
static bool read_header(const struct segments *s, struct segment *g, const uint8_t h[HEADER_BYTES])
{
    if (memcmp(h, magic, sizeof(magic)) != 0 || get32(h + HEADER_BYTES - 4) != checksum(h, HEADER_BYTES - 4) ||
        h[64 + SCHEMA_SENSOR_BYTES - 1] != 0 || strcmp((const char *)h + 64, s->sensor) != 0)
        return false;
    g->head = (struct segment_head){.run_ns = get64(h + 8),
                                    .ids_fixed = get64(h + 16) != 0,
                                    .closed = {get64(h + 24), get64(h + 32)},
                                    .event = {get64(h + 40), get64(h + 48)}};
    g->done_at = get64(h + 56);
    return g->done_at >= HEADER_BYTES;
}

/* Rewrites the header of a segment that is there. A failure costs repetition after a crash, nothing else. */
static int update_header(const struct segments *s, const struct segment *g)
{
    uint8_t h[HEADER_BYTES];
    char path[PATH_BYTES];
    int result = 0;

    path_of(s, g->seq, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    write_header(s, g, h);
    if (pwrite(fd, h, sizeof(h), 0) != (ssize_t)sizeof(h))
        result = errno != 0 ? -errno : -EIO;
    close(fd);
    return result;
}

/* The record at offset `at`: its bytes in s->record + RECORD_HEAD. Returns its whole length, 0 at the (torn) end. */
static size_t read_record(const struct segments *s, FILE *f, uint64_t at, uint64_t end, bool *ret_good)
{
    uint8_t *r = s->record;

    if (at + RECORD_HEAD > end || fread(r, 1, RECORD_HEAD, f) != RECORD_HEAD)
        return 0;
    uint32_t len = get32(r);
    if (len == 0 || len > ITEM_BYTES_MAX || at + RECORD_HEAD + len > end || fread(r + RECORD_HEAD, 1, len, f) != len)
        return 0;
    *ret_good = get32(r + 4) == checksum(r + RECORD_HEAD, len);
    return RECORD_HEAD + len;
}

static FILE *open_at(const struct segments *s, const struct segment *g, uint64_t at)
{
    char path[PATH_BYTES];

    path_of(s, g->seq, path);
    FILE *f = fopen(path, "re");
    if (f != NULL && fseeko(f, (off_t)at, SEEK_SET) != 0) {
        fclose(f);
        f = NULL;
    }
    return f;
}

/* Counts the items of a file that an earlier run left; cuts off what is torn. */
static void scan(struct segments *s, struct segment *g)
{
    uint8_t h[HEADER_BYTES];
    FILE *f = open_at(s, g, 0);
    bool good;
    size_t n;

    g->foreign = f == NULL || fread(h, 1, sizeof(h), f) != sizeof(h) || !read_header(s, g, h);
    if (!g->foreign && fseeko(f, (off_t)g->done_at, SEEK_SET) == 0) {
        uint64_t at = g->done_at;
        while ((n = read_record(s, f, at, g->bytes, &good)) != 0) {
            at += n;
            g->items++;
        }
        g->bytes = at;
        g->read_at = g->done_at;
    }
    if (f != NULL)
        fclose(f);
}

static void add_last(struct segments *s, struct segment *g)
{
    if (s->last == NULL)
        s->first = g;
    else
        s->last->next = g;
    s->last = g;
}

static int only_segments(const struct dirent *d)
{
    const char *name = d->d_name;

    return strlen(name) == 20 && strspn(name, "0123456789abcdef") == 16 && strcmp(name + 16, ".seg") == 0;
}

static int find_old(struct segments *s)
{
    struct dirent **list = NULL;
    int n = scandir(s->dir, &list, only_segments, alphasort), result = n < 0 ? -errno : 0;

    for (int i = 0; i < n; i++) {
        struct segment *g = result == 0 ? calloc(1, sizeof(*g)) : NULL;
        struct stat st;
        char path[PATH_BYTES];
        if (result == 0 && g == NULL)
            result = -ENOMEM;
        if (g != NULL) {
            g->seq = strtoull(list[i]->d_name, NULL, 16);
            path_of(s, g->seq, path);
            g->bytes = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
            s->next_seq = g->seq + 1;
            scan(s, g);
            add_last(s, g);
        }
        free(list[i]);
    }
    free(list);
    return result;
}

int segments_open(const struct segments_options *o, struct segments **ret, struct error *e)
{
    struct segments *s = calloc(1, sizeof(*s));
    char path[PATH_BYTES];
    int result = 0;

    if (s == NULL)
        return error_set(e, -ENOMEM, "no memory for the spool on disk");
    *s = (struct segments){.lock = -1, .out = -1, .run_ns = UINT64_MAX, .limit_bytes = o->limit_bytes};
    snprintf(s->dir, sizeof(s->dir), "%s", o->dir);
    snprintf(s->sensor, sizeof(s->sensor), "%s", o->sensor);
    s->segment_bytes = o->segment_bytes != 0 ? o->segment_bytes : o->limit_bytes / 8;
    if (s->segment_bytes > SEGMENT_MAX)
        s->segment_bytes = SEGMENT_MAX;
    if (s->segment_bytes < SEGMENT_MIN)
        s->segment_bytes = SEGMENT_MIN;
    s->record = malloc(RECORD_HEAD + ITEM_BYTES_MAX);
    s->buffer = malloc(WRITE_BYTES + RECORD_HEAD + ITEM_BYTES_MAX);
    snprintf(path, sizeof(path), "%s/lock", s->dir);
    if (s->record == NULL || s->buffer == NULL)
        result = error_set(e, -ENOMEM, "no memory for the spool on disk");
    else if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
        result = error_set(e, -errno, "cannot make the spool's directory %.200s: %s", s->dir, strerror(errno));
    else if ((s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        result = error_set(e, -errno, "cannot use the spool's directory %.200s: %s", s->dir, strerror(errno));
    else if (flock(s->lock, LOCK_EX | LOCK_NB) != 0)
        result = error_set(e, -EBUSY, "another probe uses the spool's directory %.200s; give each its own", s->dir);
    else if ((result = find_old(s)) != 0)
        error_set(e, result, "cannot read the spool's directory %.200s: %s", s->dir, strerror(-result));
    if (result != 0) {
        segments_close(s);
        return result;
    }
    *ret = s;
    return 0;
}

void segments_close(struct segments *s)
{
    if (s == NULL)
        return;
    while (s->first != NULL) {
        struct segment *next = s->first->next;
        free(s->first);
        s->first = next;
    }
    if (s->out >= 0)
        close(s->out);
    if (s->lock >= 0)
        close(s->lock);
    free(s->record);
    free(s->buffer);
    free(s);
}

uint64_t segments_items(const struct segments *s)
{
    uint64_t n = 0;

    for (const struct segment *g = s->first; g != NULL; g = g->next)
        n += g->foreign ? 0 : g->items;
    return n;
}

uint64_t segments_bytes(const struct segments *s)
{
    uint64_t n = 0;

    for (const struct segment *g = s->first; g != NULL; g = g->next)
        n += g->bytes;
    return n;
}

void segments_set_run(struct segments *s, uint64_t first_start_ns)
{
    s->run_ns = first_start_ns;
    if (s->out >= 0) { /* what was begun before has no windows of the run, or was begun without knowing its start */
        close(s->out);
        s->out = -1;
    }
}

void segments_on_drop(struct segments *s, void (*on_drop)(void *ctx, const struct item *x), void *ctx)
{
    s->on_drop = on_drop;
    s->ctx = ctx;
}

static struct segment *oldest(const struct segments *s)
{
    struct segment *g = s->first;

    while (g != NULL && g->foreign)
        g = g->next;
    return g;
}

static void remove_segment(struct segments *s, struct segment *g)
{
    struct segment **link = &s->first, *before = NULL;
    char path[PATH_BYTES];

    if (g == s->last && s->out >= 0) {
        close(s->out);
        s->out = -1;
    }
    path_of(s, g->seq, path);
    unlink(path);
    while (*link != g) {
        before = *link;
        link = &(*link)->next;
    }
    *link = g->next;
    if (s->last == g)
        s->last = before;
    free(g);
}

static void report_drop(struct segments *s, const struct item *x)
{
    if (s->on_drop != NULL)
        s->on_drop(s->ctx, x);
}

/* Gives up the oldest segment; false when there is none. */
static bool drop_oldest(struct segments *s)
{
    struct segment *g = oldest(s);
    bool good = false;
    size_t n;

    if (g == NULL)
        return false;
    FILE *f = open_at(s, g, g->done_at);
    uint64_t at = g->done_at, reported = 0;
    while (f != NULL && reported < g->items && (n = read_record(s, f, at, g->bytes, &good)) != 0) {
        struct item *x = good ? item_read(s->record + RECORD_HEAD, n - RECORD_HEAD) : NULL;
        report_drop(s, x);
        item_free(x);
        reported++;
        at += n;
    }
    for (; reported < g->items; reported++) /* the file itself went away */
        report_drop(s, NULL);
    if (f != NULL)
        fclose(f);
    remove_segment(s, g);
    return true;
}

static int begin_segment(struct segments *s)
{
    struct segment *g = calloc(1, sizeof(*g));
    uint8_t h[HEADER_BYTES];
    char path[PATH_BYTES];

    if (g == NULL)
        return -ENOMEM;
    g->seq = s->next_seq;
    g->head.run_ns = s->run_ns;
    g->bytes = g->read_at = g->done_at = HEADER_BYTES;
    path_of(s, g->seq, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    write_header(s, g, h);
    if (fd < 0 || write(fd, h, sizeof(h)) != (ssize_t)sizeof(h)) {
        int result = errno != 0 ? -errno : -ENOSPC;
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
        free(g);
        return result;
    }
    s->next_seq++;
    s->out = fd;
    add_last(s, g);
    return 0;
}

static void end_segment(struct segments *s)
{
    fdatasync(s->out);
    close(s->out);
    s->out = -1;
}

/* What is buffered goes to the newest segment, or nothing of it. */
static int flush(struct segments *s)
{
    struct segment *g = s->last;
    ssize_t n;

    if (s->buffered == 0)
        return 0;
    errno = 0;
    n = pwrite(s->out, s->buffer, s->buffered, (off_t)g->bytes);
    if (n != (ssize_t)s->buffered) {
        int result = n < 0 && errno != 0 ? -errno : -ENOSPC;
        if (ftruncate(s->out, (off_t)g->bytes) != 0)
            result = -EIO;
        return result;
    }
    g->bytes += s->buffered;
    g->items += s->buffered_items;
    s->buffered = s->buffered_items = 0;
    if (g->bytes >= s->segment_bytes)
        end_segment(s);
    return 0;
}

/* Flushes, on a full disk at the cost of the oldest segments. Without any room at all nothing stays buffered. */
static int flush_hard(struct segments *s)
{
    for (;;) {
        int result = s->out < 0 && s->buffered != 0 ? begin_segment(s) : 0;
        if (result == 0)
            result = flush(s);
        if (result == 0 || (result != -ENOSPC && result != -EDQUOT && result != -EFBIG))
            return result;
        if (!drop_oldest(s))
            return result;
    }
}

static void buffer_item(struct segments *s, const struct item *x)
{
    uint8_t *r = s->buffer + s->buffered;
    size_t n = item_write(x, r + RECORD_HEAD, ITEM_BYTES_MAX);

    if (n == 0) {
        report_drop(s, x);
        return;
    }
    put32(r, (uint32_t)n);
    put32(r + 4, checksum(r + RECORD_HEAD, n));
    s->buffered += RECORD_HEAD + n;
    s->buffered_items++;
}

int segments_append(struct segments *s, struct item **list, struct error *e)
{
    int result = 0;

    while (*list != NULL && result == 0) {
        struct item *x = *list;
        uint64_t room = WRITE_BYTES < s->segment_bytes ? WRITE_BYTES : s->segment_bytes;
        while (x != NULL && s->buffered < room) {
            buffer_item(s, x);
            x = x->next;
        }
        result = flush_hard(s);
        if (result != 0) {
            s->buffered = s->buffered_items = 0;
            break;
        }
        while (*list != x) {
            struct item *next = (*list)->next;
            item_free(*list);
            *list = next;
        }
        while (segments_bytes(s) > s->limit_bytes && oldest(s) != NULL && oldest(s) != s->last)
            drop_oldest(s);
    }
    return result == 0 ? 0 : error_set(e, result, "cannot write the spool in %.200s: %s", s->dir, strerror(-result));
}

bool segments_head(const struct segments *s, struct segment_head *ret)
{
    const struct segment *g = oldest(s);

    if (g == NULL)
        return false;
    *ret = g->head;
    return true;
}

bool segments_is_fresh(const struct segments *s)
{
    const struct segment *g = oldest(s);

    return g != NULL && !g->touched;
}

int segments_fix_ids(struct segments *s, struct schema_id closed, struct schema_id event, struct error *e)
{
    struct segment *g = oldest(s);

    if (g == NULL)
        return 0;
    g->head.ids_fixed = true;
    g->head.closed = closed;
    g->head.event = event;
    int result = update_header(s, g);
    return result == 0 ? 0 : error_set(e, result, "cannot write the spool in %.200s: %s", s->dir, strerror(-result));
}

struct item *segments_read(struct segments *s, size_t max)
{
    struct segment *g = oldest(s);
    FILE *f = g != NULL ? open_at(s, g, g->read_at) : NULL;
    struct item *first = NULL, **end = &first;
    bool good = false;
    size_t n;

    if (g != NULL)
        g->touched = true;
    while (f != NULL && max-- > 0 && (n = read_record(s, f, g->read_at, g->bytes, &good)) != 0) {
        struct item *x = good ? item_read(s->record + RECORD_HEAD, n - RECORD_HEAD) : NULL;
        g->read_at += n;
        g->n_read++;
        if (x == NULL) {
            if (g->read_at > g->judged_at)
                report_drop(s, NULL);
            g->judged_at = g->read_at > g->judged_at ? g->read_at : g->judged_at;
            continue;
        }
        *end = x;
        end = &x->next;
    }
    if (f != NULL)
        fclose(f);
    return first;
}

void segments_done(struct segments *s)
{
    struct segment *g = oldest(s);

    if (g == NULL)
        return;
    g->done_at = g->read_at;
    g->items -= g->n_read < g->items ? g->n_read : g->items;
    g->n_read = 0;
    if (g->items != 0) {
        update_header(s, g);
        return;
    }
    remove_segment(s, g);
}

void segments_rewind(struct segments *s)
{
    struct segment *g = oldest(s);

    if (g == NULL)
        return;
    g->read_at = g->done_at;
    g->n_read = 0;
}

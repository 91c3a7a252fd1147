/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Lines are kept in one arena as {key length, line length, key, line} with an array of offsets that is sorted when the
 * arena is full. Sorted runs are appended to the temporary file. At the end the runs are merged with a binary heap,
 * each read through a buffer of its own. If there are more than FAN_IN runs, groups of them are merged into longer runs
 * first, so that the buffers stay within the memory given (Knuth, TAOCP vol. 3, 5.4.1). The file is written once per
 * pass and never shrinks: it needs the size of the output per pass.
 *
 * The order is total (key, then text), so the result is the same for any memory size.
 */

#include "analytics/flowsort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MIN 65536
#define FAN_IN     64
#define BUFFER_MIN 4096

/* Before each line, in the arena and in the file. */
struct head {
    uint32_t key_len, line_len;
};

/* Part of the temporary file. Lines in it are sorted. */
struct run {
    uint64_t from, to;
};

/* Owner: the analytics thread. */
struct flowsort {
    char *arena;
    size_t arena_size, used;
    size_t *offset;
    size_t n_lines, offsets_size, memory;
    int fd; /* -1 until the first run */
    uint64_t file_len;
    struct run *run;
    size_t n_runs, runs_size;
    char dir[256];
    int failed;
    struct error why;
};

struct flowsort *flowsort_new(size_t memory_bytes)
{
    struct flowsort *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return NULL;
    f->memory = memory_bytes < MEMORY_MIN ? MEMORY_MIN : memory_bytes;
    f->fd = -1;
    return f;
}

void flowsort_free(struct flowsort *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f->arena);
    free(f->offset);
    free(f->run);
    free(f);
}

uint64_t flowsort_spilled_bytes(const struct flowsort *f)
{
    return f->file_len;
}

static int fail(struct flowsort *f, int code, const char *what, struct error *e)
{
    const char *todo = code == -ENOSPC ? "; free some space or set TMPDIR to a larger file system" : "";

    f->failed = code;
    if (f->dir[0] != '\0')
        error_set(&f->why, code, "sorting the output: %s in %.100s: %s%s", what, f->dir, strerror(-code), todo);
    else
        error_set(&f->why, code, "sorting the output: %s: %s%s", what, strerror(-code), todo);
    if (e != NULL)
        *e = f->why;
    return code;
}

static int open_temporary(struct flowsort *f, struct error *e)
{
    const char *const dirs[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int code = ENOENT;

    for (unsigned i = 0; i < 3; i++) {
        char path[300];
        if (dirs[i] == NULL || dirs[i][0] == '\0')
            continue;
        snprintf(f->dir, sizeof(f->dir), "%s", dirs[i]);
        f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (f->fd >= 0)
            return 0;
        snprintf(path, sizeof(path), "%s/spanward-XXXXXX", f->dir);
        f->fd = mkostemp(path, O_CLOEXEC);
        if (f->fd >= 0) {
            unlink(path);
            return 0;
        }
        code = errno;
        if (i == 0)
            break;
    }
    return fail(f, -code, "cannot make a temporary file", e);
}

/* Compares two lines that lie as {head, key, line}. */
static int compare(const char *a, const char *b)
{
    struct head x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    a += sizeof(x);
    b += sizeof(y);
    int order = memcmp(a, b, x.key_len < y.key_len ? x.key_len : y.key_len);
    if (order != 0)
        return order;
    if (x.key_len != y.key_len)
        return x.key_len < y.key_len ? -1 : 1;
    order = memcmp(a + x.key_len, b + y.key_len, x.line_len < y.line_len ? x.line_len : y.line_len);
    if (order != 0)
        return order;
    return x.line_len < y.line_len ? -1 : x.line_len > y.line_len;
}

static int compare_offsets(const void *a, const void *b, void *arena)
{
    return compare((const char *)arena + *(const size_t *)a, (const char *)arena + *(const size_t *)b);
}

static size_t length_at(const char *p)
{
    struct head h;

    memcpy(&h, p, sizeof(h));
    return sizeof(h) + h.key_len + h.line_len;
}

/* Appends to the file through a buffer. */
struct writer {
    struct flowsort *f;
    char *buf;
    size_t used, size;
};

static int writer_flush(struct writer *w, struct error *e)
{
    for (size_t at = 0; at < w->used;) {
        ssize_t n = pwrite(w->f->fd, w->buf + at, w->used - at, (off_t)w->f->file_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(w->f, n == 0 ? -ENOSPC : -errno, "cannot write", e);
        at += (size_t)n;
        w->f->file_len += (uint64_t)n;
    }
    w->used = 0;
    return 0;
}

static int writer_put(struct writer *w, const char *p, size_t len, struct error *e)
{
    while (len > 0) {
        if (w->used == w->size) {
            int result = writer_flush(w, e);
            if (result != 0)
                return result;
        }
        size_t n = w->size - w->used < len ? w->size - w->used : len;
        memcpy(w->buf + w->used, p, n);
        w->used += n;
        p += n;
        len -= n;
    }
    return 0;
}

static int add_run(struct flowsort *f, uint64_t from, struct error *e)
{
    if (f->n_runs == f->runs_size) {
        size_t size = f->runs_size != 0 ? 2 * f->runs_size : 16;
        struct run *p = realloc(f->run, size * sizeof(*p));
        if (p == NULL)
            return fail(f, -ENOMEM, "no memory", e);
        f->run = p;
        f->runs_size = size;
    }
    f->run[f->n_runs++] = (struct run){from, f->file_len};
    return 0;
}

static void sort_arena(struct flowsort *f)
{
    if (f->n_lines > 1)
        qsort_r(f->offset, f->n_lines, sizeof(*f->offset), compare_offsets, f->arena);
}

static int spill(struct flowsort *f, struct error *e)
{
    char buf[BUFFER_MIN * 4];
    struct writer w = {.f = f, .buf = buf, .size = sizeof(buf)};
    int result = f->fd < 0 ? open_temporary(f, e) : 0;
    uint64_t from = f->file_len;

    sort_arena(f);
    for (size_t i = 0; i < f->n_lines && result == 0; i++)
        result = writer_put(&w, f->arena + f->offset[i], length_at(f->arena + f->offset[i]), e);
    if (result == 0)
        result = writer_flush(&w, e);
    if (result == 0)
        result = add_run(f, from, e);
    f->used = f->n_lines = 0;
    return result;
}

static int reserve(struct flowsort *f, size_t len, struct error *e)
{
    if (f->used + len > f->arena_size) {
        size_t size = f->arena_size != 0 ? f->arena_size : MEMORY_MIN;
        while (size < f->used + len)
            size *= 2;
        char *p = realloc(f->arena, size);
        if (p == NULL)
            return fail(f, -ENOMEM, "no memory", e);
        f->arena = p;
        f->arena_size = size;
    }
    if (f->n_lines == f->offsets_size) {
        size_t size = f->offsets_size != 0 ? 2 * f->offsets_size : 256;
        size_t *p = realloc(f->offset, size * sizeof(*p));
        if (p == NULL)
            return fail(f, -ENOMEM, "no memory", e);
        f->offset = p;
        f->offsets_size = size;
    }
    return 0;
}

int flowsort_add(struct flowsort *f, const void *key, size_t key_len, const char *line, size_t line_len,
                 struct error *e)
{
    struct head h = {(uint32_t)key_len, (uint32_t)line_len};
    size_t len = sizeof(h) + key_len + line_len;
    int result = f->failed;

    if (result != 0) {
        if (e != NULL)
            *e = f->why;
        return result;
    }
    if (f->n_lines > 0 && f->used + len + (f->n_lines + 1) * sizeof(*f->offset) > f->memory)
        result = spill(f, e);
    if (result == 0)
        result = reserve(f, len, e);
    if (result != 0)
        return result;
    char *p = f->arena + f->used;
    memcpy(p, &h, sizeof(h));
    memcpy(p + sizeof(h), key, key_len);
    memcpy(p + sizeof(h) + key_len, line, line_len);
    f->offset[f->n_lines++] = f->used;
    f->used += len;
    return 0;
}

/* Reads a run line by line. `line` is the current one, NULL at the end. */
struct reader {
    struct run left;
    char *buf;
    size_t have, at, size;
    char *line;
};

/* At least `need` bytes from `at` on, if the run has them. */
static int reader_fill(struct flowsort *f, struct reader *r, size_t need, struct error *e)
{
    if (r->have - r->at >= need)
        return 0;
    memmove(r->buf, r->buf + r->at, r->have - r->at);
    r->have -= r->at;
    r->at = 0;
    if (need > r->size) {
        char *p = realloc(r->buf, need);
        if (p == NULL)
            return fail(f, -ENOMEM, "no memory", e);
        r->buf = p;
        r->size = need;
    }
    while (r->have < need && r->left.from < r->left.to) {
        size_t want = r->size - r->have;
        if (want > r->left.to - r->left.from)
            want = (size_t)(r->left.to - r->left.from);
        ssize_t n = pread(f->fd, r->buf + r->have, want, (off_t)r->left.from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(f, n == 0 ? -EIO : -errno, "cannot read back", e);
        r->have += (size_t)n;
        r->left.from += (uint64_t)n;
    }
    return 0;
}

static int reader_next(struct flowsort *f, struct reader *r, struct error *e)
{
    if (r->line != NULL)
        r->at += length_at(r->line);
    r->line = NULL;
    int result = reader_fill(f, r, sizeof(struct head), e);
    if (result != 0 || r->have - r->at < sizeof(struct head))
        return result;
    size_t len = length_at(r->buf + r->at);
    result = reader_fill(f, r, len, e);
    if (result == 0 && r->have - r->at >= len)
        r->line = r->buf + r->at;
    return result;
}

/* Sift down from i in a heap of readers by their current lines. */
static void sift(struct reader **heap, size_t n, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++)
            if (compare(heap[child]->line, heap[least]->line) < 0)
                least = child;
        if (least == i)
            return;
        struct reader *t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

/* Merges n runs; emit gets each line as it lies. */
static int merge(struct flowsort *f, const struct run *runs, size_t n, int (*emit)(void *, const char *, size_t),
                 void *ctx, struct error *e)
{
    struct reader reader[FAN_IN] = {0};
    struct reader *heap[FAN_IN];
    size_t size = f->memory / FAN_IN > BUFFER_MIN ? f->memory / FAN_IN : BUFFER_MIN;
    size_t live = 0;
    int result = 0;

    for (size_t i = 0; i < n && result == 0; i++) {
        reader[i] = (struct reader){.left = runs[i], .buf = malloc(size), .size = size};
        result = reader[i].buf == NULL ? fail(f, -ENOMEM, "no memory", e) : reader_next(f, &reader[i], e);
        if (result == 0 && reader[i].line != NULL)
            heap[live++] = &reader[i];
    }
    for (size_t i = live / 2; i-- > 0;)
        sift(heap, live, i);
    while (live > 0 && result == 0) {
        result = emit(ctx, heap[0]->line, length_at(heap[0]->line));
        if (result == 0)
            result = reader_next(f, heap[0], e);
        if (result == 0 && heap[0]->line == NULL)
            heap[0] = heap[--live];
        if (result == 0 && live > 0)
            sift(heap, live, 0);
    }
    for (size_t i = 0; i < n; i++)
        free(reader[i].buf);
    return result;
}

/* Where merged lines go: into a longer run, or to the caller. */
struct sink {
    struct writer writer;
    int (*take)(void *ctx, const char *line, size_t len);
    void *ctx;
    struct error *e;
};

static int emit_to_file(void *ctx, const char *p, size_t len)
{
    struct sink *s = ctx;

    return writer_put(&s->writer, p, len, s->e);
}

static int emit_to_caller(void *ctx, const char *p, size_t len)
{
    struct sink *s = ctx;
    struct head h;

    (void)len;
    memcpy(&h, p, sizeof(h));
    return s->take(s->ctx, p + sizeof(h) + h.key_len, h.line_len);
}

/* One pass: each group of FAN_IN runs becomes one. */
static int merge_pass(struct flowsort *f, struct error *e)
{
    size_t n = f->n_runs, made = 0;
    char buf[BUFFER_MIN * 4];
    int result = 0;

    for (size_t first = 0; first < n && result == 0; first += FAN_IN) {
        size_t group = n - first < FAN_IN ? n - first : FAN_IN;
        struct sink s = {.writer = {.f = f, .buf = buf, .size = sizeof(buf)}, .e = e};
        uint64_t from = f->file_len;
        result = merge(f, f->run + first, group, emit_to_file, &s, e);
        if (result == 0)
            result = writer_flush(&s.writer, e);
        f->run[made++] = (struct run){from, f->file_len};
    }
    f->n_runs = made;
    return result;
}

int flowsort_finish(struct flowsort *f, int (*take)(void *ctx, const char *line, size_t len), void *ctx,
                    struct error *e)
{
    struct sink s = {.take = take, .ctx = ctx, .e = e};
    int result = f->failed;

    if (result != 0) {
        if (e != NULL)
            *e = f->why;
        return result;
    }
    if (f->n_runs == 0) {
        sort_arena(f);
        for (size_t i = 0; i < f->n_lines && result == 0; i++)
            result = emit_to_caller(&s, f->arena + f->offset[i], 0);
        return result;
    }
    if (f->n_lines > 0)
        result = spill(f, e);
    free(f->arena);
    free(f->offset);
    f->arena = NULL;
    f->offset = NULL;
    f->arena_size = f->offsets_size = 0;
    while (result == 0 && f->n_runs > FAN_IN)
        result = merge_pass(f, e);
    return result == 0 ? merge(f, f->run, f->n_runs, emit_to_caller, &s, e) : result;
}

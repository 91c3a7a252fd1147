/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The codec of window streams; docs/SIMULATION.md has the layout. Every field is loaded byte-wise from a 64-byte
 * record, checked and only then used: a stream may come from anyone. Counts that do not fit their field saturate on
 * writing, and both halves of a share are scaled together so that the share survives.
 *
 * Limit: medians have 1 us, bytes 1 KiB; peaks, quantiles other than the median and per-cause connection failures are
 * not carried. They are not what control's verdicts rest on.
 */

#include "control/window_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "common/timefmt.h"

#define MAGIC           "SWWINDS1"
#define NAME_PART_BYTES 48u
#define BLOCK_RECORDS   4096u

struct stream_reader {
    gzFile file;
    struct stream_header header;
    uint64_t offset; /* of the next record, in the uncompressed stream */
    uint64_t last_start_s;
    unsigned at, filled;  /* bytes of block */
    uint32_t name_object; /* parts being joined: the object, and how many parts were seen */
    uint32_t name_parts;
    char name[WINDOW_NAME_BYTES];
    bool name_open;
    uint32_t text_parts, text_s; /* a command whose parts are being joined: how many, its time */
    size_t text_len;
    bool text_open;
    char text[STREAM_TEXT_BYTES];
    unsigned char block[BLOCK_RECORDS * STREAM_RECORD_BYTES];
};

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t get16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static void put32(unsigned char *p, uint64_t v)
{
    uint32_t x = v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;

    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(x >> (8 * i));
}

static void put16(unsigned char *p, uint64_t v)
{
    uint32_t x = v < UINT16_MAX ? (uint32_t)v : UINT16_MAX;

    p[0] = (unsigned char)x;
    p[1] = (unsigned char)(x >> 8);
}

/* 1 and a pointer to the next record, 0 at a clean end. */
static int next_record(struct stream_reader *r, const unsigned char **ret, struct error *e)
{
    if (r->filled - r->at < STREAM_RECORD_BYTES) {
        unsigned rest = r->filled - r->at;
        memmove(r->block, r->block + r->at, rest);
        r->at = 0;
        r->filled = rest;
        while (r->filled < sizeof(r->block)) {
            int n = gzread(r->file, r->block + r->filled, (unsigned)sizeof(r->block) - r->filled);
            if (n < 0) {
                int code = 0;
                const char *why = gzerror(r->file, &code);
                /* A cut gzip file ends in Z_BUF_ERROR: what came before is good. */
                return error_set(e, code == Z_BUF_ERROR ? -EPIPE : -EIO, "window stream, byte %llu: %.100s",
                                 (unsigned long long)r->offset, why);
            }
            if (n == 0)
                break;
            r->filled += (unsigned)n;
        }
        if (r->filled == 0)
            return 0;
        if (r->filled < STREAM_RECORD_BYTES)
            return error_set(e, -EPIPE, "window stream ends within a record at byte %llu: it was cut",
                             (unsigned long long)r->offset);
    }
    *ret = r->block + r->at;
    r->at += STREAM_RECORD_BYTES;
    r->offset += STREAM_RECORD_BYTES;
    return 1;
}

static int read_header(struct stream_reader *r, const char *path, struct error *e)
{
    const unsigned char *p = NULL;
    int rc = next_record(r, &p, e);

    if (rc <= 0 || memcmp(p, MAGIC, 8) != 0)
        return error_set(e, -EBADMSG, "%.120s is not a window stream (no " MAGIC " at its start)", path);
    r->header.window_s = get32(p + 12);
    if (get32(p + 8) != STREAM_RECORD_BYTES || r->header.window_s < 60 || r->header.window_s > 3600 ||
        r->header.window_s % 60 != 0)
        return error_set(e, -EBADMSG,
                         "%.120s: records of %u bytes, windows of %u s; expected %u and full minutes up to 60", path,
                         get32(p + 8), r->header.window_s, STREAM_RECORD_BYTES);
    memcpy(r->header.zone, p + 16, STREAM_ZONE_BYTES);
    r->header.zone[STREAM_ZONE_BYTES - 1] = '\0';
    return 0;
}

int stream_open(const char *path, struct stream_reader **ret, struct error *e)
{
    struct stream_reader *r = calloc(1, sizeof(*r));
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

    if (r == NULL || fd < 0) {
        int code = r == NULL ? ENOMEM : errno;
        free(r);
        if (fd >= 0)
            close(fd);
        return error_set(e, -code, "cannot open %.120s: %s", path, strerror(code));
    }
    r->file = gzdopen(fd, "rb");
    if (r->file == NULL) {
        close(fd);
        free(r);
        return error_set(e, -ENOMEM, "no memory to read %.120s", path);
    }
    gzbuffer(r->file, 64 * 1024); /* below half a block, so that a plain file is read into the block itself */
    int rc = read_header(r, path, e);
    if (rc != 0) {
        stream_close(r);
        return rc;
    }
    *ret = r;
    return 0;
}

const struct stream_header *stream_reader_header(const struct stream_reader *r)
{
    return &r->header;
}

void stream_close(struct stream_reader *r)
{
    if (r == NULL)
        return;
    gzclose(r->file);
    free(r);
}

static int damaged(const struct stream_reader *r, const char *what, struct error *e)
{
    return error_set(e, -EBADMSG, "window stream, byte %llu: %s", (unsigned long long)(r->offset - STREAM_RECORD_BYTES),
                     what);
}

/* Joins the parts of a name; true when `ret` holds the whole. Byte 1: part number, byte 2: 1 in the last part. */
static int take_name(struct stream_reader *r, const unsigned char *p, struct stream_record *ret, struct error *e)
{
    uint32_t part = p[1];
    uint32_t object = get32(p + 8);

    if (object >= STREAM_MAX_OBJECTS || p[3] >= WINDOW_SCOPE_COUNT)
        return damaged(r, "object number or scope out of range", e);
    if (part == 0) {
        memset(r->name, 0, sizeof(r->name));
        r->name_object = object;
        r->name_parts = 0;
        r->name_open = true;
    }
    if (!r->name_open || object != r->name_object || part != r->name_parts ||
        (part + 1) * NAME_PART_BYTES > sizeof(r->name) + NAME_PART_BYTES - 1)
        return damaged(r, "a name whose parts do not follow each other", e);
    size_t room = sizeof(r->name) - 1 - part * NAME_PART_BYTES;
    memcpy(r->name + part * NAME_PART_BYTES, p + 16, room < NAME_PART_BYTES ? room : NAME_PART_BYTES);
    r->name_parts++;
    if (p[2] == 0)
        return 0;
    r->name_open = false;
    if (r->name[0] == '\0')
        return damaged(r, "an empty name", e);
    ret->kind = STREAM_NAME;
    ret->scope = (enum window_scope)p[3];
    ret->object = object;
    memcpy(ret->name, r->name, sizeof(ret->name));
    return 1;
}

/* Joins the parts of a command as those of a name. Its time is checked against the windows'. */
static int take_command(struct stream_reader *r, const unsigned char *p, struct stream_record *ret, struct error *e)
{
    uint32_t time_s = get32(p + 4);
    size_t len = strnlen((const char *)p + 16, NAME_PART_BYTES);

    if (p[1] == 0) {
        if (time_s < r->last_start_s || time_s == 0)
            return damaged(r, "time goes backwards", e);
        r->text_open = true;
        r->text_parts = 0;
        r->text_len = 0;
        r->text_s = time_s;
    }
    if (!r->text_open || p[1] != r->text_parts || time_s != r->text_s || (len < NAME_PART_BYTES && p[2] == 0))
        return damaged(r, "a command whose parts do not follow each other", e);
    if (r->text_len + len >= sizeof(r->text))
        return damaged(r, "a command of more than 255 parts", e);
    memcpy(r->text + r->text_len, p + 16, len);
    r->text_len += len;
    r->text[r->text_len] = '\0';
    r->text_parts++;
    if (p[2] == 0)
        return 0;
    r->text_open = false;
    r->last_start_s = time_s;
    ret->kind = STREAM_COMMAND;
    ret->start_ns = time_s * NS_PER_S;
    ret->command = r->text;
    return 1;
}

static int take_window(struct stream_reader *r, const unsigned char *p, struct stream_record *ret, struct error *e)
{
    uint64_t start_s = get32(p + 4);

    if (p[1] > WINDOW_BLIND || p[3] >= WINDOW_SCOPE_COUNT || get32(p + 8) >= STREAM_MAX_OBJECTS)
        return damaged(r, "quality, scope or object number out of range", e);
    if (start_s < r->last_start_s)
        return damaged(r, "time goes backwards", e);
    if (start_s % r->header.window_s != 0 || start_s == 0)
        return damaged(r, "a window that does not start on a multiple of its length", e);
    r->last_start_s = start_s;
    ret->kind = STREAM_WINDOW;
    ret->scope = (enum window_scope)p[3];
    ret->object = get32(p + 8);
    ret->start_ns = start_s * NS_PER_S;
    ret->new_flows = get32(p + 12);
    memset(&ret->o, 0, sizeof(ret->o));
    ret->o.quality = (enum window_quality)p[1];
    for (int d = 0; d < 2; d++) {
        const unsigned char *q = p + 16 + 16 * d;
        ret->o.dir[d].bytes = (uint64_t)get32(q) * 1024;
        ret->o.dir[d].judged_pkts = get32(q + 4);
        ret->o.dir[d].lost_upstream_pkts = get32(q + 8);
        ret->o.dir[d].lost_downstream_pkts = get32(q + 12);
        ret->o.rtt_p50_ns[d] = (uint64_t)get32(p + 48 + 4 * d) * NS_PER_US;
        ret->o.rtt_n[d] = get16(p + 56 + 2 * d);
    }
    ret->o.new_flows = ret->new_flows;
    ret->o.connects = get16(p + 60);
    ret->o.failed_connects = get16(p + 62);
    return 1;
}

int stream_read(struct stream_reader *r, struct stream_record *ret, struct error *e)
{
    const unsigned char *p = NULL;
    int rc;

    while ((rc = next_record(r, &p, e)) == 1) {
        if (p[0] == STREAM_NAME)
            rc = take_name(r, p, ret, e);
        else if (p[0] == STREAM_WINDOW)
            rc = take_window(r, p, ret, e);
        else if (p[0] == STREAM_COMMAND)
            rc = take_command(r, p, ret, e);
        else
            rc = 0; /* of a later version: skipped */
        if (rc != 0)
            return rc;
    }
    return rc;
}

bool stream_write_header(FILE *f, const struct stream_header *h)
{
    unsigned char p[STREAM_RECORD_BYTES] = {0};

    memcpy(p, MAGIC, 8);
    put32(p + 8, STREAM_RECORD_BYTES);
    put32(p + 12, h->window_s);
    memcpy(p + 16, h->zone, strnlen(h->zone, STREAM_ZONE_BYTES - 1));
    return fwrite(p, sizeof(p), 1, f) == 1;
}

bool stream_write_name(FILE *f, uint32_t object, enum window_scope scope, const char *name)
{
    size_t len = strnlen(name, WINDOW_NAME_BYTES - 1);
    unsigned parts = (unsigned)((len + NAME_PART_BYTES - 1) / NAME_PART_BYTES);

    for (unsigned i = 0; i < parts; i++) {
        unsigned char p[STREAM_RECORD_BYTES] = {0};
        size_t from = i * NAME_PART_BYTES;
        p[0] = STREAM_NAME;
        p[1] = (unsigned char)i;
        p[2] = i + 1 == parts;
        p[3] = (unsigned char)scope;
        put32(p + 8, object);
        memcpy(p + 16, name + from, len - from < NAME_PART_BYTES ? len - from : NAME_PART_BYTES);
        if (fwrite(p, sizeof(p), 1, f) != 1)
            return false;
    }
    return true;
}

bool stream_write_command(FILE *f, uint64_t time_ns, const char *json)
{
    size_t len = strlen(json);
    size_t parts = len == 0 ? 1 : (len + NAME_PART_BYTES - 1) / NAME_PART_BYTES;

    if (len >= STREAM_TEXT_BYTES) {
        errno = EINVAL;
        return false;
    }
    for (size_t i = 0; i < parts; i++) {
        unsigned char p[STREAM_RECORD_BYTES] = {0};
        size_t from = i * NAME_PART_BYTES;
        p[0] = STREAM_COMMAND;
        p[1] = (unsigned char)i;
        p[2] = i + 1 == parts;
        put32(p + 4, time_ns / NS_PER_S);
        memcpy(p + 16, json + from, len - from < NAME_PART_BYTES ? len - from : NAME_PART_BYTES);
        if (fwrite(p, sizeof(p), 1, f) != 1)
            return false;
    }
    return true;
}

bool stream_write_window(FILE *f, uint32_t object, enum window_scope scope, uint64_t start_ns, uint32_t new_flows,
                         const struct observation *o)
{
    unsigned char p[STREAM_RECORD_BYTES] = {0};
    uint64_t connects = o->connects;
    uint64_t failed = o->failed_connects;

    while (connects > UINT16_MAX || failed > UINT16_MAX) {
        connects /= 2;
        failed /= 2;
    }
    p[0] = STREAM_WINDOW;
    p[1] = (unsigned char)o->quality;
    p[3] = (unsigned char)scope;
    put32(p + 4, start_ns / NS_PER_S);
    put32(p + 8, object);
    put32(p + 12, new_flows);
    for (int d = 0; d < 2; d++) {
        unsigned char *q = p + 16 + 16 * d;
        put32(q, o->dir[d].bytes / 1024);
        put32(q + 4, o->dir[d].judged_pkts);
        put32(q + 8, o->dir[d].lost_upstream_pkts);
        put32(q + 12, o->dir[d].lost_downstream_pkts);
        put32(p + 48 + 4 * d, o->rtt_p50_ns[d] / NS_PER_US);
        put16(p + 56 + 2 * d, o->rtt_n[d]);
    }
    put16(p + 60, connects);
    put16(p + 62, failed);
    return fwrite(p, sizeof(p), 1, f) == 1;
}

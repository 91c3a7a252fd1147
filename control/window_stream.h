/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_WINDOW_STREAM_H
#define SPANWARD_WINDOW_STREAM_H

/*
 * Window streams: closed windows in a file, fixed-width little-endian records in time order. The format is documented
 * byte by byte in docs/SIMULATION.md; this is its only codec. Reading streams through zlib, so a plain file, a gzip
 * file and a pipe are the same.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/log.h"
#include "control/detect.h"

#define STREAM_RECORD_BYTES 64u
#define STREAM_ZONE_BYTES   40u
#define STREAM_MAX_OBJECTS  (1u << 20)
#define STREAM_TEXT_BYTES   (255u * 48u + 1) /* of a command */

enum stream_kind { STREAM_NAME = 0, STREAM_WINDOW = 1, STREAM_COMMAND = 2 };

struct stream_header {
    uint32_t window_s;
    char zone[STREAM_ZONE_BYTES]; /* in which it was made; "" = not said */
};

struct stream_record {
    enum stream_kind kind;
    enum window_scope scope;
    uint32_t object;
    uint64_t start_ns; /* windows; of a command the time when it is given */
    uint32_t new_flows;
    struct observation o;
    char name[WINDOW_NAME_BYTES]; /* names: complete, its parts are joined */
    const char *command;          /* commands: JSON, complete, not checked; valid until the next record */
};

struct stream_reader;

/* path "-" is standard input. -ENOENT and the like, -EBADMSG when it is no window stream. */
int stream_open(const char *path, struct stream_reader **ret, struct error *e);
const struct stream_header *stream_reader_header(const struct stream_reader *r);
/* 1 and a record, 0 at the end, -EBADMSG for a damaged or -EPIPE for a truncated stream. Unknown kinds are skipped. */
int stream_read(struct stream_reader *r, struct stream_record *ret, struct error *e);
void stream_close(struct stream_reader *r);

/* Writing: into a FILE of the caller; false after a write error (errno). */
bool stream_write_header(FILE *f, const struct stream_header *h);
bool stream_write_name(FILE *f, uint32_t object, enum window_scope scope, const char *name);
/* json must be shorter than STREAM_TEXT_BYTES: -EINVAL in errno else. */
bool stream_write_command(FILE *f, uint64_t time_ns, const char *json);
bool stream_write_window(FILE *f, uint32_t object, enum window_scope scope, uint64_t start_ns, uint32_t new_flows,
                         const struct observation *o);

#endif

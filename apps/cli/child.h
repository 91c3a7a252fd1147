/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_CHILD_H
#define SPANWARD_CLI_CHILD_H

/* Running the other programs of this installation, and reading what they write line by line. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "common/log.h"

/* A started program. Owner: whoever started it; child_wait must be called once. */
struct child {
    pid_t pid;
    int out_fd; /* read end of its stdout, -1 when it writes elsewhere */
};

enum child_stdout { CHILD_STDOUT_INHERIT, CHILD_STDOUT_PIPE, CHILD_STDOUT_NULL };

/*
 * Starts `program` from the folder that holds our own binary, else from PATH. argv[0] is `program`. It gets SIGTERM
 * when we die.
 */
int child_start(struct child *ret, const char *program, char *const argv[], enum child_stdout out, struct error *e);

/* Its exit code, or 128 + signal. Closes out_fd. */
int child_wait(struct child *c);

/* True when it has ended; then child_wait does not block. */
bool child_has_ended(const struct child *c);

/* How far the process has read into `path`, 0..1; negative when unknown. */
double child_progress(pid_t pid, const char *path);

/* Splits a descriptor's bytes into lines; memory is bounded by the longest line. */
struct line_reader {
    int fd;
    char *buf;
    size_t start, end, size; /* waiting bytes are buf[start..end); one byte behind stays free */
    bool eof;
};
void line_reader_init(struct line_reader *r, int fd);
void line_reader_fini(struct line_reader *r);

/* 1 and a line without its newline (valid until the next call), 0 at the end, -EAGAIN after timeout_ms without a line,
 * -errno. */
int line_reader_next(struct line_reader *r, int timeout_ms, char **ret_line, size_t *ret_len);

#endif

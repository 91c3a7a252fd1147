/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LOG_H
#define SPANWARD_LOG_H

/*
 * Messages for people, on stderr, one line each: "spanward-probe: what, where, what to do". Only programs and
 * control log; libraries return -errno and fill an error text. Never called from the hot path.
 */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level); /* by any thread */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A reason that a library hands up to its caller; always one line, no full stop. */
struct error {
    char text[256];
};
/* Fills e (may be NULL) and returns code, so that `return error_set(e, -EINVAL, ...)` reads well. */
int error_set(struct error *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Messages for people; see log.h. A line is built first and written with one call, so that lines of several threads
 * or processes on one terminal do not mix. Newlines and control characters in it (a file name may hold them) are
 * escaped. With a journal stream (JOURNAL_STREAM set) the level goes first as "<3>", as
 * sd-daemon(3) defines it.
 */

#include "common/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"

static char program_name[32] = "spanward";
static atomic_uint max_level = LOG_LEVEL_INFO;

void log_init(const char *program, enum log_level level)
{
    snprintf(program_name, sizeof(program_name), "%s", program);
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

static void log_write(enum log_level level, const char *format, va_list args)
{
    static const char *const priority[] = {"<3>", "<4>", "<6>", "<7>"};
    static const char *const word[] = {"", "warning: ", "", "debug: "};
    char raw[1024], safe[2048], line[2200];

    if (level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    vsnprintf(raw, sizeof(raw), format, args);
    text_escape(safe, sizeof(safe), raw, strlen(raw));
    int n = snprintf(line, sizeof(line), "%s%s: %s%s\n", getenv("JOURNAL_STREAM") != NULL ? priority[level] : "",
                     program_name, word[level], safe);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        return; /* nobody left to tell */
}

#define LOG_FUNCTION(name, level)                                                                                      \
    void name(const char *format, ...)                                                                                 \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        log_write(level, format, args);                                                                                \
        va_end(args);                                                                                                  \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

int error_set(struct error *e, int code, const char *format, ...)
{
    va_list args;

    if (e == NULL)
        return code;
    /* Callers may pass e->text itself as an argument, to put words in front of it. */
    char text[sizeof(e->text)];
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    memcpy(e->text, text, sizeof(text));
    return code;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* What reaches stderr: one safe line for each message, levels, and the error text. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/unit.h"

static int saved_stderr;
static FILE *captured;

static void capture_begin(void)
{
    unsetenv("JOURNAL_STREAM");
    captured = tmpfile();
    fflush(stderr);
    saved_stderr = dup(2);
    ck_assert(captured != NULL && saved_stderr >= 0 && dup2(fileno(captured), 2) == 2);
}

static const char *capture_end(void)
{
    static char text[4096];

    dup2(saved_stderr, 2);
    close(saved_stderr);
    rewind(captured);
    text[fread(text, 1, sizeof(text) - 1, captured)] = '\0';
    fclose(captured);
    return text;
}

START_TEST(lines_and_levels)
{
    log_init("spanward-test", LOG_LEVEL_WARN);
    capture_begin();
    log_error("cannot open %s", "x");
    log_warn("late");
    log_info("hidden");
    log_debug("hidden");
    ck_assert_str_eq(capture_end(), "spanward-test: cannot open x\nspanward-test: warning: late\n");
}
END_TEST

START_TEST(hostile_text_stays_on_its_line)
{
    log_init("t", LOG_LEVEL_DEBUG);
    capture_begin();
    log_info("name '%s'", "a\nt: fake\x1b[2J");
    ck_assert_str_eq(capture_end(), "t: name 'a\\x0at: fake\\x1b[2J'\n");
}
END_TEST

START_TEST(long_text_is_cut_not_overrun)
{
    static char huge[20000];
    const char *out;

    memset(huge, '\x01', sizeof(huge) - 1);
    log_init("t", LOG_LEVEL_DEBUG);
    capture_begin();
    log_error("%s", huge);
    out = capture_end();
    ck_assert_uint_lt(strlen(out), 2300);
    ck_assert_int_eq(out[strlen(out) - 1], '\n');
}
END_TEST

START_TEST(errors_carry_text_and_code)
{
    struct error e = {"old"};

    ck_assert_int_eq(error_set(&e, -EINVAL, "%s:%d: bad", "f", 3), -EINVAL);
    ck_assert_str_eq(e.text, "f:3: bad");
    error_set(&e, -EIO, "reading: %s", e.text);
    ck_assert_str_eq(e.text, "reading: f:3: bad");
    ck_assert_int_eq(error_set(NULL, -ENOMEM, "x"), -ENOMEM);
}
END_TEST

UNIT_MAIN("log", lines_and_levels, hostile_text_stays_on_its_line, long_text_is_cut_not_overrun,
          errors_carry_text_and_code)

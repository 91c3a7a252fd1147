/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The terminal: width, colour and the width of text.
 *
 * Width is what a table may use. On a terminal it is the kernel's window size; COLUMNS overrides that and also
 * works where stdout is a pipe; a pipe without COLUMNS has no width, so nothing is shortened for programs that
 * read us. Colour needs a terminal that is not "dumb", and neither NO_COLOR (https://no-color.org) nor --no-color.
 *
 * Text width follows wcwidth(3) of the C.UTF-8 locale, which glibc always has: East Asian wide characters take two
 * columns, combining marks none. Limits: emoji sequences joined by U+200D are counted as their parts, so they may
 * leave a gap in a table; control characters never arrive here (text_escape has replaced them).
 */

#include "apps/cli/term.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define ELLIPSIS "\xe2\x80\xa6"

static const char *const style_sequence[STYLE_COUNT] = {
    [STYLE_PLAIN] = "",       [STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",
    [STYLE_BAD] = "\033[31m", [STYLE_WARN] = "\033[33m", [STYLE_GOOD] = "\033[32m",
};

void term_init(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

static unsigned columns_of_environment(void)
{
    const char *text = getenv("COLUMNS");
    char *end;

    if (text == NULL || *text == '\0')
        return 0;
    unsigned long n = strtoul(text, &end, 10);
    return *end == '\0' && n >= 20 && n <= 10000 ? (unsigned)n : 0;
}

void term_probe(struct term *t, int fd, bool no_colour)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    struct winsize size;

    t->tty = isatty(fd) == 1;
    t->width = columns_of_environment();
    if (t->width == 0 && t->tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        t->width = size.ws_col;
    t->colour =
        t->tty && !no_colour && (no_color == NULL || *no_color == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

void term_put(FILE *out, bool colour, enum term_style style, const char *text)
{
    if (colour && style != STYLE_PLAIN)
        fprintf(out, "%s%s\033[0m", style_sequence[style], text);
    else
        fputs(text, out);
}

/* The character at p and its length; an invalid byte is taken as itself. p is not at the end. */
static size_t next_char(const char *p, wchar_t *ret)
{
    mbstate_t state = {0};
    size_t n = mbrtowc(ret, p, strlen(p), &state);

    if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
        *ret = L'?';
        return 1;
    }
    return n;
}

static size_t char_width(wchar_t c)
{
    int w = wcwidth(c);

    return w < 0 ? 1 : (size_t)w;
}

size_t text_width(const char *text)
{
    size_t width = 0;
    wchar_t c;

    while (*text != '\0') {
        if (*text >= ' ' && *text <= '~') { /* most of them */
            text++;
            width++;
            continue;
        }
        text += next_char(text, &c);
        width += char_width(c);
    }
    return width;
}

/* Bytes of the longest prefix of at most `width` columns, marks of its last character included. */
static size_t prefix_bytes(const char *text, size_t width)
{
    size_t bytes = 0, used = 0;
    wchar_t c;

    while (text[bytes] != '\0') {
        size_t n = next_char(text + bytes, &c);
        if (used + char_width(c) > width)
            break;
        used += char_width(c);
        bytes += n;
    }
    return bytes;
}

/* Start of the longest suffix of at most `width` columns that does not begin with a combining mark. */
static const char *suffix_start(const char *text, size_t width)
{
    size_t left = text_width(text);
    wchar_t c;

    while (*text != '\0') {
        size_t n = next_char(text, &c), w = char_width(c);
        if (left <= width && w > 0)
            break;
        text += n;
        left -= w;
    }
    return text;
}

char *text_fit(const char *text, size_t width, enum text_cut cut)
{
    if (text_width(text) <= width)
        return strdup(text);
    if (width == 0)
        return strdup("");
    size_t tail_width = cut == CUT_MIDDLE ? (width - 1) / 2 : 0;
    size_t head = prefix_bytes(text, width - 1 - tail_width);
    const char *tail = suffix_start(text, tail_width);
    size_t size = head + sizeof(ELLIPSIS) + strlen(tail);
    char *ret = malloc(size);
    if (ret != NULL)
        snprintf(ret, size, "%.*s%s%s", (int)head, text, ELLIPSIS, tail);
    return ret;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_TERM_H
#define SPANWARD_CLI_TERM_H

/* What the terminal can do, and how wide text is on it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Set once at start, read-only afterwards. */
struct term {
    bool tty;       /* stdout is a terminal */
    bool colour;    /* escape sequences are welcome */
    unsigned width; /* in columns; 0: do not shorten anything */
};

enum term_style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_BAD, STYLE_WARN, STYLE_GOOD, STYLE_COUNT };

/* Call once before any other function here: sets LC_CTYPE to UTF-8, whatever the environment says. */
void term_init(void);

/* Looks at fd, COLUMNS, TERM and NO_COLOR; no_colour is the user's option. */
void term_probe(struct term *t, int fd, bool no_colour);

/* Writes `text` in `style`; without colour just the text. */
void term_put(FILE *out, bool colour, enum term_style style, const char *text);

/* Columns that `text` (UTF-8) takes on a terminal; invalid bytes count as one. */
size_t text_width(const char *text);

enum text_cut { CUT_END, CUT_MIDDLE };

/*
 * A copy of `text` at most `width` columns wide; what is left out becomes "…". Never cuts inside a character or
 * between a character and its combining marks. Free it.
 */
char *text_fit(const char *text, size_t width, enum text_cut cut);

#endif

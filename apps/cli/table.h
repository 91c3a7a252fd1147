/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_TABLE_H
#define SPANWARD_CLI_TABLE_H

/*
 * The one renderer of rows. A command makes a JSON array of objects with raw values (ns, us, bytes) and says in a
 * column table how a person wants to see them; --json, --plain, --columns, --sort and --limit then come for free.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include "apps/cli/term.h"
#include "common/log.h"

/* format, alignment to the right?, what --plain prints */
#define COLUMN_FORMATS(X)                                                                                              \
    X(TEXT, false)    /* string, shortened at its end */                                                               \
    X(NAME, false)    /* string, shortened in its middle: paths, endpoints */                                          \
    X(STATE, false)   /* a word with a colour: severities, states, qualities */                                        \
    X(COUNT, true)    /* 12 345, 1.2 M */                                                                              \
    X(BYTES, true)    /* 1.2 GB */                                                                                     \
    X(RATE, true)     /* bits per second */                                                                            \
    X(LATENCY, true)  /* microseconds */                                                                               \
    X(DURATION, true) /* nanoseconds */                                                                                \
    X(TIME, false)    /* nanoseconds since the epoch */                                                                \
    X(PERCENT, true)  /* 0..100 */                                                                                     \
    X(LOSS, true)     /* 0..100, coloured from 0.1 and 1 up */                                                         \
    X(YESNO, false)   /* boolean */

enum column_format {
#define X(name, right) COLUMN_##name,
    COLUMN_FORMATS(X)
#undef X
        COLUMN_FORMAT_COUNT
};

/*
 * rank: 0 is never left out; otherwise the highest rank goes first when the terminal is too narrow.
 * COLUMN_EXTRA is shown only when --columns asks for it.
 */
#define COLUMN_EXTRA 255
struct column {
    const char *name;   /* for --columns and --sort */
    const char *header; /* as shown */
    const char *key;    /* path of the value in a row, "rtt_a_us.p50" */
    enum column_format format;
    unsigned char rank;
    const char *text; /* one line for --help */
};

enum table_mode { TABLE_HUMAN, TABLE_PLAIN, TABLE_JSON };

/* How the user wants it; the zero value shows the default columns in the given order, all rows, for people. */
struct table_view {
    enum table_mode mode;
    const char *columns; /* "name,name", "all" or NULL */
    const char *sort;    /* "name" or "-name" or NULL */
    size_t limit;        /* 0: all rows */
    size_t n_unseen;     /* further rows that were not even made */
    bool utc;
    bool colour;
    unsigned width; /* 0: unlimited */
    unsigned indent;
    bool no_note; /* do not say that rows or columns were left out */
};

/* One value of a row, as it was measured. Texts and JSON belong to the row. */
struct table_value {
    enum { TABLE_NOTHING, TABLE_WHOLE, TABLE_REAL, TABLE_YESNO, TABLE_TEXT, TABLE_OTHER } kind;
    union {
        int64_t whole;
        double real;
        bool yes;
        struct {
            const char *at;
            size_t len;
        } text;
        const json_t *other;
    };
};
struct table_value table_value_of(const json_t *v); /* NULL and null: nothing */

/* Rows, wherever they are. Owner: the caller. */
struct table_rows {
    size_t n;
    const void *ctx;
    struct table_value (*value)(const void *ctx, size_t row, const struct column *c);
    json_t *(*json)(const void *ctx, size_t row); /* all of a row, a new reference; NULL: no memory */
};

/* Ends with an entry whose name is NULL. */
size_t column_count(const struct column *columns);
const struct column *column_find(const struct column *columns, const char *name);

/* The value at a dotted path; NULL where there is none or it is null. */
const json_t *row_value(const json_t *row, const char *key);

/* -EINVAL with the reason when view names a column that does not exist. */
int table_check(const struct column *columns, const struct table_view *view, struct error *e);

/* Prints `rows` (array of objects; may be reordered). 0, -EINVAL as above, -ENOMEM. Write errors show at fclose/fflush.
 */
int table_print(FILE *out, const struct column *columns, json_t *rows, const struct table_view *view, struct error *e);

int table_print_rows(FILE *out, const struct column *columns, const struct table_rows *rows,
                     const struct table_view *view, struct error *e);

/* One row as a list of names and values, every column of it; texts of several lines stay so. For people only. */
int table_print_record(FILE *out, const struct column *columns, const json_t *row, const struct table_view *view,
                       struct error *e);

/* One value as people see it; returns the style that fits it. Hostile text is escaped. */
enum term_style table_format(char *buf, size_t size, enum column_format format, const json_t *value, bool utc);
enum term_style table_format_value(char *buf, size_t size, enum column_format format, const struct table_value *value,
                                   bool utc);
/* Less than, equal to or greater than 0; a value that is not known comes last. */
int table_value_compare(const struct table_value *a, const struct table_value *b, bool down);

#endif

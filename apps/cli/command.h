/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_COMMAND_H
#define SPANWARD_CLI_COMMAND_H

/*
 * A command of `spanward`: one file with one `const struct command`, and one line in commands.def. Parsing, --help,
 * completion and the man page all read this table; nothing about a command is written down twice.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "apps/cli/table.h"
#include "apps/cli/term.h"
#include "common/log.h"

/* Exit codes, the same for every command: number, when. */
#define EXIT_CODES(X)                                                                                                  \
    X(OK, 0, "done")                                                                                                   \
    X(ERROR, 1, "something failed: a file, the configuration, Redis; one line on stderr says what to do")              \
    X(USAGE, 2, "the command line is wrong")                                                                           \
    X(CUT, 3, "a capture file is cut in the middle; everything before the cut was analysed")

enum exit_code {
#define X(name, number, text) CLI_##name = number,
    EXIT_CODES(X)
#undef X
};

/* An option; arg is the name of its value, NULL for a switch. Lists end with name NULL. */
struct option_def {
    const char *name;
    const char *arg;
    char letter; /* 0: none */
    const char *text;
};

struct example {
    const char *line; /* without the leading "spanward " */
    const char *text;
};

/* Sets of options that many commands share. */
enum option_set {
    OPTIONS_OUTPUT = 1 << 0, /* --json --plain --utc --no-color */
    OPTIONS_ROWS = 1 << 1,   /* --columns --sort --limit */
    OPTIONS_STORE = 1 << 2,  /* --redis --config */
    OPTIONS_SEND = 1 << 3,   /* --as --timeout */
};
#define OPTIONS_TABLE (OPTIONS_OUTPUT | OPTIONS_ROWS | OPTIONS_STORE)

#define MAX_OPTIONS   32u

/* A parsed command line. Everything points into argv. */
struct args {
    const char *program; /* "spanward" */
    char **rest;         /* what is not an option */
    size_t n_rest;
    const struct option_def *option[MAX_OPTIONS];
    const char *value[MAX_OPTIONS];
    size_t n_options;
};

struct command;

/* What a command gets; lives as long as the program. */
struct cli {
    const struct command *command;
    struct args args;
    struct term term;
    bool write_failed;      /* and a message about it was printed */
    struct table_view view; /* from the options; a command may fill in its own default sort and limit */
};

struct command {
    const char *name;
    const char *group;                /* heading in the overview */
    const char *summary;              /* a line without full stop */
    const char *usage;                /* what follows the name, "FILE..." or "" */
    const char *text;                 /* paragraphs for --help and the man page */
    const struct example *examples;   /* ends with line NULL */
    unsigned sets;                    /* enum option_set */
    const struct option_def *options; /* of its own; may be NULL */
    const struct column *columns;     /* may be NULL */
    unsigned min_rest, max_rest;
    int (*run)(struct cli *cli); /* an exit code */
};

extern const struct command *const command_table[]; /* ends with NULL */
const struct command *command_find(const char *name);

/* The entry of `names` (n strings) closest to `word`, NULL when none is near (a third of its letters). */
const char *nearest_name(const char *word, const char *const *names, size_t n);
const struct command *command_nearest(const char *name);

/* Calls each for every option that `c` takes, the shared ones included, in the order of --help. */
void command_options(const struct command *c, void (*each)(void *ctx, const struct option_def *o), void *ctx);

/* Parses what follows the command's name into ret->args (argv is reordered). -EINVAL with the reason. */
int args_parse(struct args *ret, const struct command *c, int argc, char **argv, struct error *e);
/* The last value given, NULL when absent; "" for a switch. */
const char *args_value(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
/* A whole number in min..max; untouched when absent. -EINVAL with the reason. */
int args_number(const struct args *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret, struct error *e);

/* help.c */
void help_overview(FILE *out, const struct term *t);
void help_command(FILE *out, const struct command *c, const struct term *t);
void help_man(FILE *out);
void help_bash(FILE *out);

/* Flushes stdout. CLI_ERROR when it or something before it could not be written; the first time with a message. */
int cli_flush(struct cli *cli);

/* Prints "spanward NAME: reason" on stderr and returns code. */
int cli_fail(const struct cli *cli, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Prints rows as the user asked and drops the reference. `empty` is the line for people when there are none (on stderr,
 * so that stdout stays data). Returns an exit code.
 */
int cli_rows(struct cli *cli, json_t *rows, const char *empty);

/* The whole program; main() only calls this. */
int cli_main(int argc, char **argv);

#endif

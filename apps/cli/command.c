/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From argv to a command and its exit code.
 *
 * stdout is data, stderr is messages. Output is flushed here, once, at the end: so a full disk is found out and becomes
 * an error instead of a short file, and a reader that went away (| head) ends us quietly, as it does cat(1): SIGPIPE
 * stays at its default.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/bytes.h"

#define COMMAND(symbol) extern const struct command command_##symbol;
#include "apps/cli/commands.def"
#undef COMMAND

const struct command *const command_table[] = {
#define COMMAND(symbol) &command_##symbol,
#include "apps/cli/commands.def"
#undef COMMAND
    NULL,
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; command_table[i] != NULL; i++)
        if (strcmp(command_table[i]->name, name) == 0)
            return command_table[i];
    return NULL;
}

const struct command *command_nearest(const char *name)
{
    const char *names[sizeof(command_table) / sizeof(command_table[0])];
    size_t n = 0;

    for (; command_table[n] != NULL; n++)
        names[n] = command_table[n]->name;
    const char *near = nearest_name(name, names, n);
    return near ? command_find(near) : NULL;
}

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
    va_list ap;

    fflush(stdout);
    fprintf(stderr, "spanward %s: ", cli->command->name);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return code;
}

int cli_flush(struct cli *cli)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_OK;
    if (!cli->write_failed && errno != EPIPE)
        fprintf(stderr, "spanward %s: cannot write the output: %s\n", cli->command->name,
                errno != 0 ? strerror(errno) : "an earlier part failed");
    cli->write_failed = true;
    return CLI_ERROR;
}

int cli_rows(struct cli *cli, json_t *rows, const char *empty)
{
    struct error e;

    if (rows == NULL)
        return cli_fail(cli, CLI_ERROR, "out of memory");
    if (json_array_size(rows) == 0 && cli->view.mode == TABLE_HUMAN) {
        fprintf(stderr, "%s\n", empty);
        json_decref(rows);
        return CLI_OK;
    }
    int r = table_print(stdout, cli->command->columns, rows, &cli->view, &e);
    json_decref(rows);
    if (r < 0)
        return cli_fail(cli, r == -EINVAL ? CLI_USAGE : CLI_ERROR, "%s", e.text);
    return CLI_OK;
}

/* Options that all commands share, into cli->view. */
static int view_of_options(struct cli *cli, struct error *e)
{
    const struct args *a = &cli->args;
    uint64_t limit = UINT64_MAX;

    if (args_has(a, "json") && args_has(a, "plain"))
        return error_set(e, -EINVAL, "--json and --plain exclude each other");
    cli->view = (struct table_view){
        .mode = args_has(a, "json")    ? TABLE_JSON
                : args_has(a, "plain") ? TABLE_PLAIN
                                       : TABLE_HUMAN,
        .columns = args_value(a, "columns"),
        .sort = args_value(a, "sort"),
        .utc = args_has(a, "utc"),
        .colour = cli->term.colour,
        .width = cli->term.width,
    };
    int r = args_number(a, "limit", 0, 1000000000, &limit, e);
    if (r < 0)
        return r;
    cli->view.limit = limit == UINT64_MAX ? 0 : (size_t)limit;
    if (cli->command->columns != NULL && (cli->command->sets & OPTIONS_ROWS))
        return table_check(cli->command->columns, &cli->view, e);
    return 0;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct error e;

    if (args_parse(&cli->args, cli->command, argc, argv, &e) < 0)
        return cli_fail(cli, CLI_USAGE, "%s", e.text);
    term_probe(&cli->term, STDOUT_FILENO, args_has(&cli->args, "no-color"));
    if (args_has(&cli->args, "help")) {
        help_command(stdout, cli->command, &cli->term);
        return CLI_OK;
    }
    if (view_of_options(cli, &e) < 0)
        return cli_fail(cli, CLI_USAGE, "%s", e.text);
    return cli->command->run(cli);
}

static int unknown_command(const char *name)
{
    const struct command *near = command_nearest(name);
    char safe[64];

    text_escape(safe, sizeof(safe), name, strlen(name));
    if (near != NULL)
        fprintf(stderr, "spanward: no command '%s' (did you mean '%s'?)\n", safe, near->name);
    else
        fprintf(stderr, "spanward: no command '%s'; see: spanward help\n", safe);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.args.program = argc > 0 ? argv[0] : "spanward"};
    const char *name = argc > 1 ? argv[1] : "help";

    term_init();
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, NULL, _IOFBF, 1u << 16);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    cli.command = command_find(name);
    if (cli.command == NULL)
        return unknown_command(name);
    int code = run_command(&cli, argc > 2 ? argc - 2 : 0, argv + (argc > 2 ? 2 : argc));
    if (code < 128 && cli_flush(&cli) != CLI_OK)
        return code == CLI_OK ? CLI_ERROR : code;
    return argc < 2 && code == CLI_OK ? CLI_USAGE : code;
}

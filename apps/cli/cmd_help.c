/* SPDX-License-Identifier: BSD-3-Clause */

/* The commands about the program itself: help, completion, man, version. Their texts are made in help.c. */

#include "apps/cli/command.h"

#include <string.h>

static int run_help(struct cli *cli)
{
    if (cli->args.n_rest == 0) {
        help_overview(stdout, &cli->term);
        return CLI_OK;
    }
    const struct command *c = command_find(cli->args.rest[0]);
    if (c == NULL)
        return cli_fail(cli, CLI_USAGE, "no such command; see: spanward help");
    help_command(stdout, c, &cli->term);
    return CLI_OK;
}

static int run_completion(struct cli *cli)
{
    if (strcmp(cli->args.rest[0], "bash") != 0)
        return cli_fail(cli, CLI_USAGE, "only bash is known; try: spanward completion bash");
    help_bash(stdout);
    return CLI_OK;
}

static int run_man(struct cli *cli)
{
    (void)cli;
    help_man(stdout);
    return CLI_OK;
}

static int run_version(struct cli *cli)
{
    if (cli->view.mode == TABLE_JSON)
        printf("{\"program\":\"spanward\",\"version\":\"%s\"}\n", SPANWARD_VERSION);
    else
        printf("spanward %s\n", SPANWARD_VERSION);
    return CLI_OK;
}

static const struct example help_examples[] = {
    {"help", "all commands"},
    {"help read", "one command, the same as: spanward read --help"},
    {NULL, NULL},
};
const struct command command_help = {
    .name = "help",
    .group = "About",
    .summary = "show the commands, or one of them",
    .usage = "[COMMAND]",
    .examples = help_examples,
    .max_rest = 1,
    .run = run_help,
};

static const struct example completion_examples[] = {
    {"completion bash > /etc/bash_completion.d/spanward", "for all users"},
    {NULL, NULL},
};
const struct command command_completion = {
    .name = "completion",
    .group = "About",
    .summary = "print a completion script for the shell",
    .usage = "bash",
    .examples = completion_examples,
    .min_rest = 1,
    .max_rest = 1,
    .run = run_completion,
};

static const struct example man_examples[] = {
    {"man | man -l -", "read it"},
    {"man > /usr/local/share/man/man1/spanward.1", "install it"},
    {NULL, NULL},
};
const struct command command_man = {
    .name = "man",
    .group = "About",
    .summary = "print the manual page (roff)",
    .usage = "",
    .examples = man_examples,
    .run = run_man,
};

static const struct example version_examples[] = {
    {"version", "name and number"},
    {NULL, NULL},
};
const struct command command_version = {
    .name = "version",
    .group = "About",
    .summary = "print the version",
    .usage = "",
    .examples = version_examples,
    .sets = OPTIONS_OUTPUT,
    .run = run_version,
};

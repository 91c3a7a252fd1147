/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_SEND_H
#define SPANWARD_CLI_SEND_H

/* Commands to control: the only thing that the CLI writes. A command that sends has OPTIONS_SEND in its sets. */

#include "apps/cli/command.h"
#include "apps/cli/source.h"

/*
 * Sends verb, object and arguments (a JSON object, whose reference is dropped; NULL: none) to control, waits for the
 * answer and prints it (--json: the audit entity). Returns an exit code; refused and unanswered commands are CLI_ERROR
 * with the reason on stderr.
 */
int send_command(struct cli *cli, struct source *source, const char *verb, const char *object, json_t *arguments);

#endif

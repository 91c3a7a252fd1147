/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A contract server as a program, for scripts: contract-server SYSTEM [--port N] prints its URL and serves until it is
 * terminated. What scripts may ask of it is at the top of contract.c.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/contract/contract.h"

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    const struct contract_system *system = NULL;
    unsigned port = 0;
    sigset_t set;
    int c, got;

    while ((c = getopt_long(argc, argv, "", options, NULL)) == 'p')
        port = (unsigned)strtoul(optarg, NULL, 10);
    for (unsigned i = 0; c == -1 && optind < argc && contract_systems[i] != NULL; i++) {
        if (strcmp(contract_systems[i]->name, argv[optind]) == 0)
            system = contract_systems[i];
    }
    if (system == NULL) {
        fputs("usage: contract-server SYSTEM [--port N]; systems:", stderr);
        for (unsigned i = 0; contract_systems[i] != NULL; i++)
            fprintf(stderr, " %s", contract_systems[i]->name);
        fputc('\n', stderr);
        return 2;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct contract *server = contract_start(system, port);
    if (server == NULL) {
        fprintf(stderr, "contract-server: cannot listen on port %u\n", port);
        return 1;
    }
    puts(contract_url(server));
    fflush(stdout);
    sigwait(&set, &got);
    contract_stop(server);
    return 0;
}

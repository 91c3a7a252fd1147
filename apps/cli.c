/* SPDX-License-Identifier: BSD-3-Clause */

/* spanward, the command line: wiring only. The commands are in apps/cli/, one file each. */

#include "apps/cli/command.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}

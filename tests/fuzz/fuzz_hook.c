/* SPDX-License-Identifier: BSD-3-Clause */

/* A webhook's body: the first byte chooses the system. */

#include <stdint.h>
#include "control/hook_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connector_changes changes = {0};

    if (size < 1)
        return 0;
    enum hook_system s = data[0] % HOOK_SYSTEM_COUNT;
    hook_parse(s, (const char *)data + 1, size - 1, &changes);
    connector_changes_fini(&changes);
    return 0;
}

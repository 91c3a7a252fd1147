/* SPDX-License-Identifier: BSD-3-Clause */

/* A template of a user's, rendered with values that hold gaps themselves, into a buffer that is too short. */

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include "control/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b", "where", NULL};
    static const char *const values[] = {"{{b}} {{?a}}", "",
                                         ("Br\xc3\xbc"
                                          "cke \xe2\x86\x94")};
    struct template *t = NULL;
    struct error e;
    char out[64];

    if (template_parse((const char *)data, size, "fuzz", names, &t, &e) != 0)
        return 0;
    size_t len = template_render(t, values, out, sizeof(out));
    assert(strlen(out) <= len && strlen(out) < sizeof(out));
    template_free(t);
    return 0;
}

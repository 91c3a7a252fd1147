/* SPDX-License-Identifier: BSD-3-Clause */

/* Redis URLs. Any text gives one or more places, each exactly one of a path and a
 * host, or a one-line reason that does not show the password. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_url u;
    struct error e = {""};
    char *text = malloc(size + 1);

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (store_url_parse(text, &u, &e) == 0) {
        assert(u.n >= 1 && u.n <= STORE_ENDPOINTS_MAX && (u.n == 1 || u.mode != STORE_SINGLE));
        for (unsigned i = 0; i < u.n; i++) {
            assert((u.at[i].unix_path[0] != '\0') != (u.at[i].host[0] != '\0'));
            assert(u.at[i].host[0] == '\0' || u.at[i].port != 0);
        }
        assert((u.master[0] != '\0') == (u.mode == STORE_SENTINEL));
        assert(strlen(u.shown) < sizeof(u.shown));
    } else {
        assert(e.text[0] != '\0' && strchr(e.text, '\n') == NULL);
    }
    free(text);
    return 0;
}

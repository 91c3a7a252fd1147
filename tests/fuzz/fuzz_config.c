/* SPDX-License-Identifier: BSD-3-Clause */

/* The configuration parser. Any text gives a configuration from which tables can be built, or a one-line reason. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/service.h"
#include "common/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c = NULL;
    struct error e = {""};

    int err = config_parse((const char *)data, size, "fuzz.yaml", &c, &e);
    assert((err < 0) == (c == NULL));
    if (err < 0) {
        assert(strncmp(e.text, "fuzz.yaml:", 10) == 0);
        for (const char *p = e.text; *p != '\0'; p++)
            assert((unsigned char)*p >= 0x20 && *p != 0x7f);
        return 0;
    }
    struct site_table *sites = config_site_table(c, &e);
    struct service_table *services = config_service_table(c, &e);
    assert(sites != NULL && services != NULL);
    site_table_free(sites);
    service_table_free(services);
    config_free(c);
    return 0;
}

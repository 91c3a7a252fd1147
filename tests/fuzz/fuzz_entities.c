/* SPDX-License-Identifier: BSD-3-Clause */

/* Stored entities: the first byte chooses the kind, the rest is its JSON. What decodes encodes, and encodes stably. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/entities.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {""};

    if (size == 0)
        return 0;
    enum entity_kind kind = (enum entity_kind)(data[0] % ENTITY_KIND_COUNT);
    void *entity = calloc(1, entity_size(kind));
    void *again = calloc(1, entity_size(kind));
    if (entity_decode(kind, (const char *)data + 1, size - 1, entity, &e) == 0) {
        char *json = entity_encode(kind, entity);
        assert(json != NULL);
        assert(entity_decode(kind, json, strlen(json), again, &e) == 0);
        char *twice = entity_encode(kind, again);
        assert(twice != NULL && strcmp(json, twice) == 0);
        free(json);
        free(twice);
    } else {
        assert(e.text[0] != '\0');
    }
    free(entity);
    free(again);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The records of the spool on disk: an item that is read is written as bytes that read the same; anything else is
 * refused without a read beyond its end.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/item.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct item *x = item_read(data, size);

    if (x == NULL)
        return 0;
    uint8_t *bytes = malloc(size + 1);
    size_t n = item_write(x, bytes, size + 1);
    assert(n == size);
    struct item *again = item_read(bytes, n);
    assert(again != NULL && again->kind == x->kind && again->time_ns == x->time_ns);
    assert(strcmp(again->name, x->name) == 0);
    item_free(again);
    item_free(x);
    free(bytes);
    return 0;
}

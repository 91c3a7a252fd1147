/* SPDX-License-Identifier: BSD-3-Clause */

/* The DNS question parser: whatever the bytes say, it reads only them and gives a name that fits. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_question q;

    memset(&q, 0xa5, sizeof(q));
    if (size > UINT32_MAX || dns_parse(data, (uint32_t)size, &q) != 0)
        return 0;
    assert(q.name_len <= DNS_NAME_MAX && 12u + q.name_len + 5u <= size + 1u);
    assert(q.name_len == 0 || memcmp(q.name, data + 13, data[12]) == 0);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a Redis Cluster may answer, and what we make of it: bytes go through our parser, each reply is read as a
 * redirection and as a map of slots; the bytes themselves are read as a command.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/resp.h"
#include "store/route.h"

static void check_range(void *ctx, int first, int last, const struct store_endpoint *master)
{
    (void)ctx;
    assert(first >= 0 && first <= last && last < ROUTE_SLOTS);
    assert(master->port != 0 && memchr(master->host, '\0', sizeof(master->host)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_endpoint to;
    struct store_arg args[8];
    redisReply *reply = NULL;
    struct resp in;
    size_t n = 0;
    int slot = 0;

    size_t len = route_split((const char *)data, size, args, 8, &n);
    assert(len <= size && n <= 8);
    if (len != 0)
        assert(route_command_slot(args, n) < ROUTE_SLOTS && (route_is_repeatable(args, n) || n > 0));
    resp_init(&in);
    if (resp_feed(&in, data, size) != 0)
        return 0;
    while (resp_next(&in, &reply) == 0 && reply != NULL) {
        enum route_answer a = route_answer_of(reply, &slot, &to);
        if (a == ROUTE_MOVED || a == ROUTE_ASK)
            assert(slot >= 0 && slot < ROUTE_SLOTS && to.port != 0);
        route_read_map(reply, check_range, NULL);
        free(reply);
    }
    resp_fini(&in);
    return 0;
}

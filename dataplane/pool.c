/* SPDX-License-Identifier: BSD-3-Clause */

/* The pool's memory; see pool.h. Node 0 is never handed out: index 0 means none. */

#include "dataplane/pool.h"

#include <errno.h>
#include <stddef.h>

#include "dataplane/memory.h"

int pool_init(struct pool *p, uint32_t n_nodes)
{
    union node *node = memory_map(((size_t)n_nodes + 1) * sizeof(*node));

    if (node == NULL)
        return -ENOMEM;
    *p = (struct pool){.node = node, .n = n_nodes, .fresh = 1};
    return 0;
}

void pool_fini(struct pool *p)
{
    memory_unmap(p->node, ((size_t)p->n + 1) * sizeof(*p->node));
    *p = (struct pool){0};
}

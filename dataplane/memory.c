/* SPDX-License-Identifier: BSD-3-Clause */

/* See memory.h. Explicit 2 MiB pages first (they cannot be broken up), transparent ones otherwise. */

#include "dataplane/memory.h"

#include <sys/mman.h>

#define HUGE_BYTES (2u << 20)

static size_t round_up(size_t bytes)
{
    return (bytes + HUGE_BYTES - 1) & ~(size_t)(HUGE_BYTES - 1);
}

void *memory_map(size_t bytes)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    size_t size = round_up(bytes);
    void *p = MAP_FAILED;

    if (bytes >= HUGE_BYTES)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, (flags & ~MAP_NORESERVE) | MAP_HUGETLB, -1, 0);
    if (p == MAP_FAILED)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_BYTES)
        madvise(p, size, MADV_HUGEPAGE);
    return p;
}

void memory_unmap(void *p, size_t bytes)
{
    if (p != NULL)
        munmap(p, round_up(bytes));
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See memory.h. Explicit 2 MiB pages first (they cannot be broken up), transparent ones otherwise: those need a mapping
 * that begins at a multiple of their size. A table that is a good part of a page gets a whole one: a walk through four
 * levels of page tables, in a virtual machine through sixteen, costs more than what it would save.
 */

#include "dataplane/memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_BYTES  (2u << 20)
#define HUGE_ENOUGH (HUGE_BYTES / 4)
#define PAGE_BYTES  4096u

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static _Thread_local size_t back_at_once;

void memory_back_at_once(size_t most_bytes)
{
    back_at_once = most_bytes;
}

static size_t round_up(size_t bytes)
{
    return (bytes + HUGE_BYTES - 1) & ~(size_t)(HUGE_BYTES - 1);
}

/* A mapping of whole huge pages, whose address is a multiple of their size. */
static void *map_aligned(size_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *p = mmap(NULL, size + HUGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)p & (HUGE_BYTES - 1);
    char *aligned = p + before;
    munmap(aligned + size, HUGE_BYTES - before);
    if (before != 0)
        munmap(p, before);
    return aligned;
}

/* An older kernel does not know how: then by touching. Where memory is short it stays as it is, and is so later. */
static void back(char *p, size_t size)
{
    if (madvise(p, size, MADV_POPULATE_WRITE) == 0 || errno != EINVAL)
        return;
    for (size_t at = 0; at < size; at += PAGE_BYTES)
        *(volatile char *)(p + at) = 0;
}

static void *map(size_t bytes, size_t size)
{
    void *p = MAP_FAILED;

    if (bytes >= HUGE_BYTES)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (p != MAP_FAILED)
        return p;
    p = map_aligned(size);
    if (p != NULL && bytes >= HUGE_ENOUGH)
        madvise(p, size, MADV_HUGEPAGE);
    return p;
}

void *memory_map(size_t bytes)
{
    size_t size = round_up(bytes);
    void *p = map(bytes, size);

    if (p != NULL && back_at_once != 0)
        back(p, size < back_at_once ? size : back_at_once);
    return p;
}

void memory_unmap(void *p, size_t bytes)
{
    if (p != NULL)
        munmap(p, round_up(bytes));
}

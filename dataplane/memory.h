/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_MEMORY_H
#define SPANWARD_MEMORY_H

/*
 * Large tables: anonymous mappings in huge pages where the system has them, else advised to be. Zeroed. Taken at
 * start and kept; the hot path never asks for memory.
 */

#include <stdbool.h>
#include <stddef.h>

void *memory_map(size_t bytes);           /* NULL without memory */
void memory_unmap(void *p, size_t bytes); /* takes NULL */

/*
 * Has what this thread maps from now on backed with memory at once, which is near the processor that it runs on, or
 * when it is touched, as it is at first. A huge page at its first touch takes up to 2 ms, in which a live worker would
 * lose thousands of packets; who reads a file touches less than it maps, and can wait.
 */
void memory_back_at_once(bool at_once);

#endif

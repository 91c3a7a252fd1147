/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_MEMORY_H
#define SPANWARD_MEMORY_H

/*
 * Large tables: anonymous mappings in huge pages where the system has them, else advised to be. Zeroed. Taken at
 * start and kept; the hot path never asks for memory.
 */

#include <stddef.h>

void *memory_map(size_t bytes);           /* NULL without memory */
void memory_unmap(void *p, size_t bytes); /* takes NULL */

/*
 * Has the first bytes of what this thread maps from now on, at most so many of each mapping, backed with memory at
 * once: near the processor that it runs on. All else is when it is touched; at first that is everything. A huge page at
 * its first touch takes up to 2 ms, in which a live worker would lose thousands of packets; who reads a file touches
 * less than it maps, and can wait.
 */
void memory_back_at_once(size_t most_bytes);

#endif

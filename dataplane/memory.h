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

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FLOWSORT_H
#define SPANWARD_FLOWSORT_H

/*
 * External merge sort of lines with binary keys: memory is bounded, the number of lines is not. Runs of sorted lines go
 * to one unlinked temporary file in $TMPDIR (else /var/tmp, else /tmp), so nothing is left behind, however the program
 * ends.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/log.h"

struct flowsort;

/* memory_bytes: for lines before they go to the file, at least 64 KiB. NULL without memory. */
struct flowsort *flowsort_new(size_t memory_bytes);
void flowsort_free(struct flowsort *f);

/*
 * Adds a line (without line end). Lines come out ascending by key bytes, shorter first; equal keys by their text. 0,
 * -ENOMEM, or the errno of the temporary file (-ENOSPC: e says where and what to do). After an error all further calls
 * fail.
 */
int flowsort_add(struct flowsort *f, const void *key, size_t key_len, const char *line, size_t line_len,
                 struct error *e);

/* Calls take for each line in order, once; stops at the first result that is not 0 and returns it. */
int flowsort_finish(struct flowsort *f, int (*take)(void *ctx, const char *line, size_t len), void *ctx,
                    struct error *e);

/* Bytes written to the temporary file so far. */
uint64_t flowsort_spilled_bytes(const struct flowsort *f);

#endif

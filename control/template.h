/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TEMPLATE_H
#define SPANWARD_TEMPLATE_H

/*
 * Text with gaps, for files that users change.
 *
 *   {{name}}              the value
 *   {{?name}} ... {{/}}   only where the value is not empty
 *   {{!name}} ... {{/}}   only where it is
 *   {{# remark }}         nothing
 *
 * A line that holds nothing but one of the latter three leaves no line behind. A value is put in as it is and never
 * read again: what looks like a gap in it is text.
 */

#include <stddef.h>
#include "common/log.h"

struct template;

/*
 * variables: the names that may stand in gaps, NULL at the end; must outlive the template. -EINVAL with "name:3: ..."
 * for unknown names, sections that are not closed, more than 8 in one another; -E2BIG above 64 KiB; -ENOMEM.
 */
int template_parse(const char *text, size_t len, const char *name, const char *const *variables, struct template **ret,
                   struct error *e);
void template_free(struct template *t);

/*
 * Writes at most size - 1 bytes, cut at a whole character, and a NUL. values has the order of the variables; none is
 * NULL. Returns the length of the whole text, as snprintf does.
 */
size_t template_render(const struct template *t, const char *const *values, char *ret, size_t size);

#endif

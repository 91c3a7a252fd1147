/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_JSON_SCHEMA_H
#define SPANWARD_JSON_SCHEMA_H

/*
 * Checks a JSON value against the part of JSON Schema that docs/schema/ uses: type, enum, properties, required,
 * additionalProperties (false), items, minimum, maximum and $ref into $defs. An unknown keyword is an error, so that
 * none is overlooked.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* False with the place and the reason in `why`. */
bool json_schema_check(const json_t *schema, const json_t *value, char *why, size_t why_size);

/* Keys of the object's top level in the order of the schema, those present in both? (NDJSON keeps the contract's
 * order.) */
bool json_schema_in_order(const json_t *schema, const json_t *value);

#endif

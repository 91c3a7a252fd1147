/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_SCHEMA_READ_H
#define SPANWARD_STORE_SCHEMA_READ_H

/*
 * What the readers of the telemetry contract share, for the files of this folder only. What is read was written by
 * another program, maybe of another release, maybe by hand: nothing of it is believed before it was checked.
 */

#include "store/codec.h"
#include "store/command.h"
#include "store/keys.h"
#include "store/schema.h"

/* Decimal digits only; false on anything else or overflow. */
bool read_parse_u64(const char *text, size_t len, uint64_t *ret);
bool read_u64(const struct store_reply *r, uint64_t *ret);
/* Text into a fixed array; cut when too long. An embedded NUL ends it. */
void read_text(const struct store_reply *r, char *ret, size_t size);
bool read_is(const struct store_reply *r, const char *text);

int read_connection_lost(struct error *e);
/* Gives up a pipeline that could not be built: nothing of it was sent. Returns result. */
int read_discard(struct store *s, int result, struct error *e);
/* Runs c; 0 and a reply of type `want` (or NIL), else the error. */
int read_ask(struct store *s, const struct command *c, enum store_reply_type want, struct store_reply **ret,
             struct error *e);

/* Counts what did not decode; true for CODEC_OK. */
bool read_decoded(enum codec_result r, struct schema_skipped *skipped);
/* Something of `kind` and `name` was left out and counted: keeps its name if it is the first. */
void read_note(struct schema_skipped *skipped, const char *kind, const char *name);
/* An error reply that is about this key alone: it holds another type. */
bool read_is_wrong_type(const struct store_reply *r);

#endif

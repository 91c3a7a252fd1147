/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_ROUTE_H
#define SPANWARD_STORE_ROUTE_H

/*
 * Where a command belongs in a Redis Cluster, and what the Cluster says about it: slots of keys, keys of encoded
 * commands, redirections, the map of slots. Pure functions over bytes and replies; nothing here has a connection.
 */

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/store.h"
#include "store/url.h"

#define ROUTE_SLOTS   16384
#define ROUTE_NO_SLOT (-1)

/* The slot of a key: CRC16 of its hash tag, if it has one, else of the whole. */
int route_key_slot(const char *key, size_t len);

/*
 * One command as it is sent (an array of bulk strings). Returns its length in bytes and up to max of its arguments, or
 * 0 when the bytes are no whole command.
 */
size_t route_split(const char *bytes, size_t len, struct store_arg *ret_args, size_t max, size_t *ret_n);

/* The slot of a command by its arguments; ROUTE_NO_SLOT when it has no key. */
int route_command_slot(const struct store_arg *args, size_t n);
bool route_is(const struct store_arg *verb, const char *name);
/* May the command be sent twice, with others of the same writer in the same order, without harm? */
bool route_is_repeatable(const struct store_arg *args, size_t n);

/* What the Cluster answers instead of doing it. */
enum route_answer { ROUTE_DONE, ROUTE_MOVED, ROUTE_ASK, ROUTE_LATER };
/* ROUTE_LATER: TRYAGAIN, CLUSTERDOWN. For MOVED and ASK *ret_slot and *ret_to; host "": the one that we asked. */
enum route_answer route_answer_of(const redisReply *r, int *ret_slot, struct store_endpoint *ret_to);

/*
 * CLUSTER SLOTS: calls take for each range with its master (host "" or "?": the server that we asked) and returns the
 * number of slots covered, or -EPROTO when the reply is not a map.
 */
int route_read_map(const redisReply *r, void (*take)(void *, int first, int last, const struct store_endpoint *master),
                   void *ctx);

#endif

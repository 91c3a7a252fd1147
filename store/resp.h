/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_RESP_H
#define SPANWARD_STORE_RESP_H

/* What a server sends, cut into replies (RESP2). For the files of this folder. */

#include <hiredis/hiredis.h>
#include <stddef.h>

#define RESP_DEPTH 8 /* arrays in arrays */

/* Owner: its link. bytes[0, len) came and was not handed out; the rest is how far the first reply of it was looked at.
 */
struct resp {
    char *bytes;
    size_t len, size;
    size_t at;                         /* start of the first reply */
    size_t scanned, nodes, text_bytes; /* nodes: with those that are announced */
    size_t left[RESP_DEPTH];           /* elements to come of each open array; left[0]: of the reply itself */
    unsigned depth;
    const char *why; /* a text once it is broken */
};

void resp_init(struct resp *r);
void resp_fini(struct resp *r);

/* Adds what came. -ENOMEM. */
int resp_feed(struct resp *r, const void *bytes, size_t len);

/*
 * The next reply if all of it is there, else NULL in *ret. It is one block: free() ends it. -EPROTO: what came is not
 * Redis's protocol, r->why says in which way, and the connection is of no more use. -ENOMEM.
 */
int resp_next(struct resp *r, redisReply **ret);

#endif

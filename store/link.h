/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_LINK_H
#define SPANWARD_STORE_LINK_H

/*
 * One connection to one Redis server (or Sentinel), plain or over TLS, and the exchange of commands and replies over
 * several of them at once. For the files of this folder.
 */

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"
#include "store/tls.h"
#include "store/url.h"

struct link;

/* Texts outlive the links. */
struct link_options {
    const struct tls *tls; /* NULL: plain */
    const char *user, *password;
    unsigned db;
    unsigned connect_timeout_ms, command_timeout_ms;
};

/* What the server said about itself when we connected; an old server (before 6.0) says nothing. */
enum link_mode { LINK_UNKNOWN, LINK_STANDALONE, LINK_IN_CLUSTER, LINK_SENTINEL };

/*
 * Connects, proves who we are, selects the database and waits for an answer to PING. -EAGAIN: it is there, but not
 * ready (loading); -EACCES: it refuses us; else why there is no connection. e says what, where and what to do.
 */
int link_open(const struct link_options *options, const struct store_endpoint *at, struct link **ret_link,
              struct error *e);
void link_close(struct link *l);
enum link_mode link_mode(const struct link *l);
bool link_is_replica(const struct link *l);
const char *link_shown(const struct link *l);

/* Queues n encoded commands; their replies are awaited by the next exchange. -ENOMEM or -EPROTO. */
int link_queue(struct link *l, const char *bytes, size_t len, size_t n_commands);

/*
 * Sends what is queued on all links and reads until every reply is there. take owns the reply (free); i is the link's
 * index. Each link may be silent for at most timeout_ms. A link that fails stays failed, with its reason; the others go
 * on. Returns -EIO when one failed.
 */
int links_exchange(struct link *const *links, size_t n, unsigned timeout_ms, void (*take)(void *, size_t, redisReply *),
                   void *ctx);
bool link_failed(const struct link *l);
const char *link_why(const struct link *l);

/* One command of plain words; NULL when the link failed. Free the reply. */
redisReply *link_call(struct link *l, int argc, const char *const *argv, unsigned timeout_ms);

/* What arrived without waiting (pushed messages); NULL: nothing, or the link failed. */
redisReply *link_glance(struct link *l);

uint64_t link_clock_ms(void);
void link_sleep_ms(unsigned ms);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_TLS_H
#define SPANWARD_STORE_TLS_H

/*
 * TLS between two memory buffers: plain bytes on one side, what goes over the wire on the other. The socket is the
 * caller's (link.c). The only place of this folder that knows OpenSSL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "common/log.h"

struct tls;         /* certificates and policy; may serve any number of sessions of one thread */
struct tls_session; /* one connection */

struct tls_options {
    const char *ca;         /* PEM file or hashed directory; NULL or "": the system's */
    const char *cert, *key; /* the client's own; NULL or "": none */
    const char *name;       /* whom the server must prove to be; NULL or "": the host that we connect to */
    bool no_verify;         /* believe any certificate */
};

int tls_new(const struct tls_options *options, struct tls **ret_tls, struct error *e);
void tls_free(struct tls *t);

int tls_session_new(const struct tls *t, const char *host, struct tls_session **ret_session, struct error *e);
void tls_session_free(struct tls_session *s);

/* 0 done, -EAGAIN wants more from the peer (send what tls_take gives first), -EPROTO with the reason. */
int tls_handshake(struct tls_session *s, struct error *e);

/* Bytes from the wire; -ENOMEM. */
int tls_feed(struct tls_session *s, const void *data, size_t len);
/* Bytes for the wire, up to size; 0: none. */
size_t tls_take(struct tls_session *s, void *buf, size_t size);

/* Plain bytes: length, 0 when there are none yet, -EPROTO or -ECONNRESET (the peer said goodbye). */
ssize_t tls_read(struct tls_session *s, void *buf, size_t size, struct error *e);
int tls_write(struct tls_session *s, const void *data, size_t len, struct error *e);

#endif

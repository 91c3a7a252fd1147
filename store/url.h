/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_URL_H
#define SPANWARD_STORE_URL_H

/*
 * A Redis URL, taken apart:
 *   unix:/path[?db=N]
 *   redis://[user:password@]host[:port][/db]                     one server; also "host[:port]"
 *   redis+sentinel://[user:password@]host[:port],.../NAME[/db]   the master that the Sentinels call NAME
 *   redis+cluster://[user:password@]host[:port],...              a Cluster, found through any of these nodes
 * and rediss://, rediss+sentinel://, rediss+cluster:// for the same over TLS, with
 * ?ca=FILE&cert=FILE&key=FILE&name=HOST and verify=no behind it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

#define STORE_ENDPOINTS_MAX  16
#define STORE_TLS_PATH_BYTES 256
#define STORE_HOST_BYTES     256

enum store_mode { STORE_SINGLE, STORE_SENTINEL, STORE_CLUSTER };

/* Invariant: exactly one of unix_path and host is not empty; port != 0 with a host. */
struct store_endpoint {
    char unix_path[108];
    char host[STORE_HOST_BYTES];
    uint16_t port;
};

/* TLS as the URL gives it; "" and false: not given. */
struct store_url_tls {
    char ca[STORE_TLS_PATH_BYTES], cert[STORE_TLS_PATH_BYTES], key[STORE_TLS_PATH_BYTES], name[STORE_HOST_BYTES];
    bool no_verify;
};

/* Invariant: n >= 1, and 1 in mode STORE_SINGLE. `shown` is the URL without its secret, for messages. */
struct store_url {
    enum store_mode mode;
    bool use_tls;
    struct store_endpoint at[STORE_ENDPOINTS_MAX];
    unsigned n;
    uint16_t db;
    char master[64]; /* STORE_SENTINEL */
    char user[128], password[512];
    struct store_url_tls tls;
    char shown[320];
};

/* -EINVAL with a text that says what is wrong; the password never appears in it. */
int store_url_parse(const char *text, struct store_url *ret_url, struct error *e);

/* "unix:/path", "redis://host:port", "rediss://[::1]:port" */
void store_endpoint_show(const struct store_endpoint *at, bool use_tls, char *ret, size_t size);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_URL_H
#define SPANWARD_STORE_URL_H

/* A Redis URL, taken apart: "unix:/path", "unix:///path?db=N", "redis://[user:password@]host[:port][/db]",
 * "host[:port]". */

#include <stdint.h>
#include "common/log.h"

/* Invariant: exactly one of unix_path and host is not empty. `shown` is the URL without its secret, for messages. */
struct store_url {
    char unix_path[108];
    char host[256];
    uint16_t port;
    uint16_t db;
    char user[128], password[512];
    char shown[320];
};

/* -EINVAL with a text that says what is wrong; the password never appears in it. */
int store_url_parse(const char *text, struct store_url *ret_url, struct error *e);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_ACCESS_H
#define SPANWARD_STORE_ACCESS_H

/* How to log in at Redis, as the configuration's section `store` tells: users, passwords, certificates, journal. */

#include "common/config.h"
#include "store/store.h"

/* The options' texts are here and in the configuration; both outlive the store_open. */
struct store_access {
    struct store_options options; /* all but url and time-outs */
    char password[512], sentinel_password[512];
};

/*
 * The password is the first of: the first line of store.password_file, $SPANWARD_REDIS_PASSWORD, the URL's own.
 * Likewise the Sentinels': store.sentinel_password_file, $SPANWARD_SENTINEL_PASSWORD. -errno when a file that is named
 * cannot be read or is empty.
 */
int store_access_load(const struct config *c, struct store_access *ret_access, struct error *e);
/* Wipes the passwords. */
void store_access_fini(struct store_access *a);

#endif

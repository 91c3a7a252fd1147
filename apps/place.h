/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PLACE_H
#define SPANWARD_PLACE_H

/* Where things are when nobody says so: the state directory, the configuration file, the private Redis. */

#include <stddef.h>
#include "common/config.h"
#include "common/log.h"

#define PLACE_CONFIG      "/etc/spanward/spanward.yaml"
#define PLACE_URL_BYTES   1100 /* a text of the configuration, and more */
#define PLACE_REDIS_EXTRA 32   /* "unix:" and "/redis.sock" */

/*
 * sensor.state_dir of c (may be NULL), else /var/lib/spanward as root, else $XDG_STATE_HOME/spanward, else
 * ~/.local/state/spanward. -ENOENT without a home directory, -ENAMETOOLONG.
 */
int place_state_dir(const struct config *c, char *ret_dir, size_t size, struct error *e);

/* Makes the directory and its parents, the last one 0700. */
int place_make_dir(const char *dir, struct error *e);

/*
 * The URL of Redis, the first of: `option`, SPANWARD_REDIS, store.redis of c (may be NULL), the private server's socket
 * in the state directory. An option with a password in it is refused (-EINVAL): argument lists are public.
 */
int place_redis_url(const char *option, const struct config *c, char *ret_url, size_t size, struct error *e);

/*
 * Loads `path`; NULL: SPANWARD_CONFIG, else PLACE_CONFIG if it exists, else defaults. Errors as of config_load.
 */
int place_load_config(const char *path, struct config **ret_config, struct error *e);

/* Local times are those of time.zone from here on, where it is set. Call before any thread starts. */
void place_use_zone(const struct config *c);

#endif

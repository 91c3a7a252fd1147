/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RELOAD_H
#define SPANWARD_RELOAD_H

/*
 * SIGHUP: the configuration is read again. What its reference (docs/CONFIG.md) marks with "reload: yes" is taken over;
 * of the rest the running values stay, and each one that differs is named. A file with a mistake changes nothing. The
 * outcome is told in the log.
 */

#include <stdbool.h>
#include "common/config.h"

/* From now on SIGHUP sets a flag instead of ending the program; _wanted takes the flag, _is_due only looks. */
void reload_on_hangup(void);
bool reload_wanted(void);
bool reload_is_due(void);

/* Or: a thread that waits for SIGHUP and calls take with each configuration that is good, which it may keep or free.
 * Call before any other thread starts. 0 or -errno. running outlives the thread, which lasts as long as the program. */
int reload_start(const char *path, const struct config *running, void (*take)(void *ctx, struct config *fresh),
                 void *ctx);

/*
 * Reads the file again (path as for place_load_config); *ret_fresh then has new values where a reload takes them over
 * and those of running elsewhere. RELOAD_LISTS: the lists (owners, circuits, ...) are new, too; RELOAD_SCALARS: they
 * count as needing a restart. -errno when the old configuration stays.
 */
enum reload_scope { RELOAD_SCALARS, RELOAD_LISTS };
int reload_read(const char *path, const struct config *running, enum reload_scope scope, struct config **ret_fresh);

/* log.level */
enum log_level reload_log_level(const struct config *c);

#endif

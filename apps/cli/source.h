/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_SOURCE_H
#define SPANWARD_CLI_SOURCE_H

/* Where a command gets its data: the configuration, a connection to Redis and the sensors in it. */

#include <stddef.h>
#include <stdint.h>
#include "apps/cli/command.h"
#include "common/config.h"
#include "store/schema.h"
#include "store/store.h"

/* Lives as long as the command runs. n_sensors is 0 when only entities are wanted. */
struct source {
    struct config *config;
    struct store *store;
    struct schema_sensor *sensor;
    size_t n_sensors;
    struct schema_skipped skipped;
};

enum source_want { SOURCE_ENTITIES, SOURCE_SENSORS, SOURCE_ANY_SENSORS /* none is no error */ };

/*
 * Opens what the options name (--config, --redis, --sensor). On failure the reason has been printed, the exit code is
 * returned and there is nothing to close. SOURCE_SENSORS: at least one sensor is there.
 */
int source_open(struct cli *cli, enum source_want want, struct source *ret);
void source_close(struct source *s);

/* "live", "reading" (a file), "stale" (no sign of life for a while), "done" (a file, finished), "stopped". */
const char *sensor_state(const struct schema_sensor *s, uint64_t now_wall_ns);
uint64_t wall_now_ns(void);

/* --since, or default_ns, back from the sensor's newest data; 0 when that is before the epoch. CLI_OK or CLI_USAGE. */
int source_since(const struct cli *cli, const struct schema_sensor *s, uint64_t default_ns, uint64_t *ret_ns);

/* Warns on stderr when values of an unknown version or corrupt ones were skipped. */
void source_warn_skipped(const struct cli *cli, const struct source *s);

#endif

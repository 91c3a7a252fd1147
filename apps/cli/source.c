/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Opening Redis for a command. The order of places is that of apps/place.c. The password, if any, comes from
 * store.password_file; it is never an option, because argument lists are public.
 *
 * "Newest data" is data time, not the wall clock: for a sensor that read last year's capture, the last hour is the last
 * hour of that capture.
 */

#include "apps/cli/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "apps/place.h"
#include "store/access.h"
#include "common/bytes.h"
#include "common/timefmt.h"

#define STALE_AFTER_NS (30 * NS_PER_S)

uint64_t wall_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

const char *sensor_state(const struct schema_sensor *s, uint64_t now_wall_ns)
{
    if (s->stopped)
        return s->live ? "stopped" : "done";
    if (now_wall_ns > s->heartbeat_wall_ns + STALE_AFTER_NS)
        return "stale";
    return s->live ? "live" : "reading";
}

static int open_store(const struct cli *cli, struct source *s, struct error *e)
{
    struct store_access access;
    char url[PLACE_URL_BYTES];
    int r = place_redis_url(args_value(&cli->args, "redis"), s->config, url, sizeof(url), e);

    if (r == 0)
        r = store_access_load(s->config, &access, e);
    if (r < 0)
        return r;
    access.options.url = url;
    r = store_open(&access.options, &s->store, e);
    store_access_fini(&access);
    return r;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct schema_sensor *)a)->name, ((const struct schema_sensor *)b)->name);
}

/* A sensor that cannot be read (another version, another type of key) is left out with a line; one that has just
 * expired without. A failure if there is no other, or if it is the one that was asked for. */
static int load_sensors(const struct cli *cli, struct source *s, const char *only, struct error *e)
{
    struct schema_list list;
    int r = schema_sensor_list(s->store, &list, e), unreadable = 0;

    if (r < 0)
        return r;
    s->sensor = calloc(list.n + 1, sizeof(*s->sensor));
    if (s->sensor == NULL)
        r = error_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        if (only != NULL && strcmp(only, list.item[i].name) != 0)
            continue;
        int got = schema_sensor_get(s->store, list.item[i].name, &s->sensor[s->n_sensors], e);
        if (got == 0)
            s->n_sensors++;
        else if (got == -EPROTO && only == NULL)
            unreadable = cli_fail(cli, got, "%s; it is left out", e->text);
        else if (got != -ENOENT)
            r = got;
    }
    if (r == 0 && s->n_sensors == 0 && unreadable != 0)
        r = error_set(e, unreadable, "no sensor in this Redis can be read");
    schema_list_free(&list);
    if (r == 0 && s->n_sensors > 1)
        qsort(s->sensor, s->n_sensors, sizeof(*s->sensor), compare_names);
    return r;
}

static int require_sensor(const struct cli *cli, const struct source *s)
{
    const char *only = args_value(&cli->args, "sensor");
    char safe[80];

    if (s->n_sensors > 0)
        return CLI_OK;
    if (only == NULL)
        return cli_fail(cli, CLI_ERROR,
                        "no sensor has written to this Redis yet; start spanward-probe with the same --redis");
    text_escape(safe, sizeof(safe), only, strlen(only));
    return cli_fail(cli, CLI_ERROR, "no sensor named '%s' in this Redis; see: spanward sensors", safe);
}

int source_open(struct cli *cli, enum source_want want, struct source *ret)
{
    struct source s = {0};
    struct error e = {""};
    int code = CLI_OK;

    if (place_load_config(args_value(&cli->args, "config"), &s.config, &e) < 0)
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    place_use_zone(s.config);
    if (open_store(cli, &s, &e) < 0)
        code = cli_fail(cli, CLI_ERROR, "%s", e.text);
    else if (want != SOURCE_ENTITIES && load_sensors(cli, &s, args_value(&cli->args, "sensor"), &e) < 0)
        code = cli_fail(cli, CLI_ERROR, "%s", e.text);
    else if (want == SOURCE_SENSORS)
        code = require_sensor(cli, &s);
    if (code != CLI_OK)
        source_close(&s);
    else
        *ret = s;
    return code;
}

void source_close(struct source *s)
{
    free(s->sensor);
    if (s->store != NULL)
        store_close(s->store);
    config_free(s->config);
    *s = (struct source){0};
}

int source_since(const struct cli *cli, const struct schema_sensor *s, uint64_t default_ns, uint64_t *ret_ns)
{
    const char *text = args_value(&cli->args, "since");
    uint64_t back = default_ns;

    if (text != NULL && parse_duration(text, &back) < 0) {
        char safe[64];
        text_escape(safe, sizeof(safe), text, strlen(text));
        return cli_fail(cli, CLI_USAGE, "--since wants a duration such as 10m, 2h or 7d, not '%s'", safe);
    }
    *ret_ns = s->data_ns > back ? s->data_ns - back : 0;
    return CLI_OK;
}

void source_warn_skipped(const struct cli *cli, const struct source *s)
{
    const struct schema_skipped *k = &s->skipped;
    uint64_t n = k->unknown_version + k->corrupt + k->foreign;
    char first[sizeof(k->first) + 64] = "";

    if (k->first[0] != '\0')
        text_escape(first, sizeof(first), k->first, strlen(k->first));
    if (n > 0)
        cli_fail(cli, CLI_OK,
                 "%" PRIu64 " value%s left out: %" PRIu64 " written by another release, %" PRIu64 " damaged, %" PRIu64
                 " that are not ours%s%s",
                 n, n == 1 ? " was" : "s were", k->unknown_version, k->corrupt, k->foreign,
                 first[0] != '\0' ? "; the first: " : "", first);
}

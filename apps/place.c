/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Default places, the same for the three programs, so that `spanward status` finds what `spanward-probe` started
 * without being told. The order everywhere: option, environment, configuration file, built-in.
 */

#include "apps/place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "store/url.h"

static const char *non_empty(const char *text)
{
    return text != NULL && *text != '\0' ? text : NULL;
}

int place_state_dir(const struct config *c, char *ret_dir, size_t size, struct error *e)
{
    const char *set = c != NULL ? non_empty(config_string(c, "sensor.state_dir")) : NULL;
    const char *xdg = non_empty(getenv("XDG_STATE_HOME")), *home = non_empty(getenv("HOME"));
    int n;

    if (set != NULL)
        n = snprintf(ret_dir, size, "%s", set);
    else if (geteuid() == 0)
        n = snprintf(ret_dir, size, "/var/lib/spanward");
    else if (xdg != NULL)
        n = snprintf(ret_dir, size, "%s/spanward", xdg);
    else if (home != NULL)
        n = snprintf(ret_dir, size, "%s/.local/state/spanward", home);
    else
        return error_set(e, -ENOENT, "no home directory for state; set HOME or sensor.state_dir");
    if (n < 0 || (size_t)n >= size)
        return error_set(e, -ENAMETOOLONG, "the state directory's name is too long; set sensor.state_dir");
    return 0;
}

int place_make_dir(const char *dir, struct error *e)
{
    char path[512];

    if (snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path))
        return error_set(e, -ENAMETOOLONG, "the name of directory %.100s... is too long", dir);
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return error_set(e, -errno, "cannot make directory %s: %s; set sensor.state_dir", path, strerror(errno));
        *p = '/';
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(e, -errno, "cannot make directory %s: %s; set sensor.state_dir", path, strerror(errno));
    return 0;
}

/* A malformed URL is judged where it is opened. */
static bool shows_password(const char *url)
{
    struct store_url u;
    bool shown = store_url_parse(url, &u, NULL) == 0 && u.password[0] != '\0';

    explicit_bzero(&u, sizeof(u));
    return shown;
}

int place_redis_url(const char *option, const struct config *c, char *ret_url, size_t size, struct error *e)
{
    const char *url = non_empty(option);
    char dir[PLACE_URL_BYTES - PLACE_REDIS_EXTRA];

    if (url != NULL && shows_password(url))
        return error_set(e, -EINVAL,
                         "a password in --redis is seen by everybody on this machine; put it into the file "
                         "store.password_file, $SPANWARD_REDIS_PASSWORD or $SPANWARD_REDIS");
    if (url == NULL)
        url = non_empty(getenv("SPANWARD_REDIS"));
    if (url == NULL && c != NULL)
        url = non_empty(config_string(c, "store.redis"));
    if (url != NULL) {
        if (strlen(url) >= size)
            return error_set(e, -ENAMETOOLONG, "the Redis URL is too long");
        strcpy(ret_url, url);
        return 0;
    }
    int r = place_state_dir(c, dir, sizeof(dir), e);
    if (r < 0)
        return r;
    if (snprintf(ret_url, size, "unix:%s/redis.sock", dir) >= (int)size)
        return error_set(e, -ENAMETOOLONG, "the state directory's name is too long; set sensor.state_dir");
    return 0;
}

int place_load_config(const char *path, struct config **ret_config, struct error *e)
{
    if (path == NULL)
        path = non_empty(getenv("SPANWARD_CONFIG"));
    if (path == NULL && access(PLACE_CONFIG, F_OK) == 0)
        path = PLACE_CONFIG;
    return config_load(path, ret_config, e);
}

void place_use_zone(const struct config *c)
{
    const char *zone = config_string(c, "time.zone");

    if (*zone == '\0')
        return;
    setenv("TZ", zone, 1);
    tzset();
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PRIVATE_REDIS_H
#define SPANWARD_PRIVATE_REDIS_H

/* A real redis-server for a test, in a directory of its own. Skips the whole program (77) when none is installed. */

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/store.h"
#include "tests/unit/unit.h"

static inline void need_redis(void)
{
    if (system("redis-server --version >/dev/null 2>&1") != 0) {
        fprintf(stderr, "skipped: redis-server is not installed\n");
        exit(77);
    }
}

static inline void make_temporary_dir(char ret_dir[64])
{
    snprintf(ret_dir, 64, "/tmp/spanward-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(ret_dir));
}

static inline void remove_dir(const char *dir)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static inline struct store_private *start_redis(const char *dir)
{
    struct store_private *p = NULL;
    struct error e = {""};

    ck_assert_msg(store_private_start(dir, true, &p, &e) == 0, "%s", e.text);
    return p;
}

static inline struct store *connect_redis(const char *url)
{
    struct store *s = NULL;
    struct error e = {""};

    ck_assert_msg(store_open(&(struct store_options){.url = url}, &s, &e) == 0, "%s", e.text);
    return s;
}

/* The server's process id, as it says itself. */
static inline pid_t redis_pid(struct store *s)
{
    struct store_reply *r = store_command(s, "INFO server");
    const char *at = r != NULL ? strstr(store_reply_string(r, NULL), "process_id:") : NULL;
    pid_t pid = at != NULL ? (pid_t)atoi(at + strlen("process_id:")) : 0;

    store_reply_free(r);
    ck_assert_int_gt(pid, 1);
    return pid;
}

#endif

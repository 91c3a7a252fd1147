/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See reload.h. A program with a loop looks at the flag in it; one whose main thread is busy with packets leaves the
 * signal to a thread of its own, which blocks in sigwait(3). There SIGHUP is blocked in all threads, so that no system
 * call of theirs is interrupted.
 */

#include "apps/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include "apps/place.h"
#include "common/log.h"

static volatile sig_atomic_t hung_up;

static void on_hangup(int number)
{
    (void)number;
    hung_up = 1;
}

void reload_on_hangup(void)
{
    const struct sigaction action = {.sa_handler = on_hangup};

    sigaction(SIGHUP, &action, NULL);
}

bool reload_is_due(void)
{
    return hung_up != 0;
}

bool reload_wanted(void)
{
    bool wanted = hung_up != 0;

    hung_up = 0;
    return wanted;
}

static void say_restart(void *ctx, const char *name)
{
    (void)ctx;
    log_warn("%s has changed, which needs a restart; the old value stays until then", name);
}

int reload_read(const char *path, const struct config *running, enum reload_scope scope, struct config **ret_fresh)
{
    struct config *fresh = NULL;
    struct error e = {""};
    int rc = place_load_config(path, &fresh, &e);

    if (rc == 0) {
        config_changes(running, fresh, scope == RELOAD_SCALARS, say_restart, NULL);
        rc = config_keep(fresh, running, &e);
    }
    if (rc != 0) {
        log_error("the configuration is not taken over, the old one stays: %s", e.text);
        config_free(fresh);
        return rc;
    }
    *ret_fresh = fresh;
    return 0;
}

enum log_level reload_log_level(const struct config *c)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *level = config_string(c, "log.level");
    unsigned i = 0;

    while (strcmp(names[i], level) != 0) /* it is one of them: the table says so */
        i++;
    return (enum log_level)i;
}

/* Written once, before the thread starts. */
static struct {
    const char *path;
    const struct config *running;
    void (*take)(void *ctx, struct config *fresh);
    void *ctx;
} waiter;

static void *wait_for_hangups(void *ctx)
{
    struct config *fresh;
    sigset_t set;
    int number;

    (void)ctx;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    while (sigwait(&set, &number) == 0)
        if (reload_read(waiter.path, waiter.running, RELOAD_SCALARS, &fresh) == 0)
            waiter.take(waiter.ctx, fresh);
    return NULL;
}

int reload_start(const char *path, const struct config *running, void (*take)(void *ctx, struct config *fresh),
                 void *ctx)
{
    pthread_t thread;
    sigset_t set;

    waiter.path = path;
    waiter.running = running;
    waiter.take = take;
    waiter.ctx = ctx;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    int code = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (code == 0)
        code = pthread_create(&thread, NULL, wait_for_hangups, NULL);
    if (code == 0)
        pthread_detach(thread);
    return -code;
}

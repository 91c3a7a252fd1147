/* SPDX-License-Identifier: BSD-3-Clause */

/* See memif_guard.h. */

#define ALLOW_EXPERIMENTAL_API 1 /* rte_intr_instance_alloc and its friends */

#include "dataplane/memif_guard.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <assert.h>
#include <rte_config.h>
#include <rte_interrupts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS     100
#define HOLD_MS     2000u
#define LOOK_US     20u
#define SOCKETS_MAX 256u

static_assert(RTE_MAX_LCORE <= MEMIF_GUARD_READERS, "every reader has a place");

bool memif_guard_is_needed(const char *device)
{
    return strncmp(device, "net_memif", 9) == 0;
}

static int socket_option(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* All of memif's; a listening one first tells of a peer whose own socket is not there yet. */
static nfds_t find_sockets(struct pollfd sockets[SOCKETS_MAX], bool listens[SOCKETS_MAX])
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    nfds_t n = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL && n < SOCKETS_MAX) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] == '.' || socket_option(fd, SO_DOMAIN) != AF_UNIX ||
            socket_option(fd, SO_TYPE) != SOCK_SEQPACKET)
            continue;
        listens[n] = socket_option(fd, SO_ACCEPTCONN) == 1;
        sockets[n++] = (struct pollfd){.fd = fd, .events = POLLIN | POLLRDHUP};
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* Has a peer something to say, within WAIT_MS? */
static bool wait_for_peers(const struct memif_guard *g)
{
    struct pollfd sockets[SOCKETS_MAX + 1];
    bool listens[SOCKETS_MAX];
    nfds_t n = find_sockets(sockets, listens);

    sockets[n] = (struct pollfd){.fd = g->wake_fd, .events = POLLIN};
    if (poll(sockets, n + 1, WAIT_MS) <= 0)
        return false;
    for (nfds_t i = 0; i < n; i++)
        if (sockets[i].revents != 0 && !listens[i])
            return true;
    return false;
}

static bool all_stand(struct memif_guard *g, uint64_t ask)
{
    for (unsigned i = 0; i < MEMIF_GUARD_READERS; i++)
        if (atomic_load(&g->reader[i].runs) && atomic_load(&g->reader[i].stood) != ask)
            return false;
    return true;
}

static void hold(struct memif_guard *g)
{
    uint64_t ask = atomic_fetch_add(&g->ask, 1) + 1;

    for (unsigned us = 0; us < HOLD_MS * 1000 && !all_stand(g, ask); us += LOOK_US)
        usleep(LOOK_US);
}

static void release(struct memif_guard *g)
{
    if (memif_guard_asks(g))
        atomic_fetch_add(&g->ask, 1);
}

static void on_turn(void *g_)
{
    struct memif_guard *g = g_;

    release(g);
    if (!atomic_load(&g->over) && wait_for_peers(g))
        hold(g);
}

void memif_guard_stand(struct memif_guard *g, unsigned reader)
{
    uint64_t ask = atomic_load(&g->ask);

    if ((ask & 1) == 0)
        return;
    atomic_store(&g->reader[reader].stood, ask);
    while (atomic_load(&g->ask) == ask)
        __builtin_ia32_pause();
}

int memif_guard_start(struct memif_guard *g, struct error *e)
{
    g->ready_fd = eventfd(1, EFD_CLOEXEC);
    g->wake_fd = eventfd(0, EFD_CLOEXEC);
    g->handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    if (g->ready_fd >= 0 && g->wake_fd >= 0 && g->handle != NULL && rte_intr_fd_set(g->handle, g->ready_fd) == 0 &&
        rte_intr_type_set(g->handle, RTE_INTR_HANDLE_EXT) == 0 &&
        rte_intr_callback_register(g->handle, on_turn, g) == 0)
        return 0;
    rte_intr_instance_free(g->handle);
    g->handle = NULL;
    return error_set(e, -EIO, "cannot watch memif's peers");
}

void memif_guard_stop(struct memif_guard *g)
{
    if (g->handle == NULL)
        return;
    atomic_store(&g->over, true);
    eventfd_write(g->wake_fd, 1);
    rte_intr_callback_unregister_sync(g->handle, on_turn, g);
    release(g);
    rte_intr_instance_free(g->handle);
    g->handle = NULL;
    close(g->ready_fd);
    close(g->wake_fd);
}

static void remove_socket(const char *device)
{
    const char *path = strstr(device, "socket=/");
    char file[108]; /* as long as a socket's path can be */

    if (path == NULL || (strstr(device, "role=server") == NULL && strstr(device, "role=master") == NULL))
        return;
    path += strlen("socket=");
    size_t len = strcspn(path, ",");
    if (len >= sizeof(file))
        return;
    memcpy(file, path, len);
    file[len] = '\0';
    unlink(file);
}

void memif_guard_leave_open(const char *const *devices, unsigned n_devices)
{
    for (unsigned i = 0; i < n_devices; i++)
        if (memif_guard_is_needed(devices[i]))
            remove_socket(devices[i]);
}

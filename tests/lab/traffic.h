/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_TRAFFIC_H
#define SPANWARD_LAB_TRAFFIC_H

/*
 * The hosts at both ends: ordinary processes on ordinary sockets. Each traffic line is one client process (a thread
 * per client address and parallel slot); each server address and port is one server process.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include "common/log.h"
#include "tests/lab/netns.h"
#include "tests/lab/scenario.h"

#define LAB_PROCESSES_MAX 512

struct lab_process {
    pid_t pid; /* 0 = has ended */
    bool server;
};

/* Owner: the lab. Reports are JSON lines, each one write(2) of less than PIPE_BUF. */
struct lab_traffic_run {
    struct lab_process processes[LAB_PROCESSES_MAX];
    size_t n_processes;
    size_t failures; /* processes that ended other than well */
    int report_fd;   /* non-blocking, reads what all processes report */
};

/* Starts servers, then clients. All processes die with the calling thread's process. `mask` is the signal mask that
 * they run with. On failure nothing is left running. */
int lab_traffic_start(const struct lab_scenario *s, const struct lab_netns ends[LAB_SIDES], const sigset_t *mask,
                      struct lab_traffic_run *ret, struct error *e);

/* Collects what has ended; returns how many servers or clients still run. */
size_t lab_traffic_reap(struct lab_traffic_run *t, bool servers);

/* Asks the servers to finish their connections and end. */
void lab_traffic_stop_servers(const struct lab_traffic_run *t);

/* Kills what still runs, waits for it, closes the pipe. */
void lab_traffic_end(struct lab_traffic_run *t);

#endif

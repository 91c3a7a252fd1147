/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_NETNS_H
#define SPANWARD_LAB_NETNS_H

/*
 * One end of the lab: a network namespace with a TAP device whose other side is a file descriptor of ours. The
 * namespace has no name; it lives as long as somebody holds `ns_fd` or runs in it, so that nothing is left behind
 * when the lab is killed.
 */

#include <stdint.h>
#include <stdio.h>
#include "common/log.h"
#include "tests/lab/scenario.h"

struct lab_netns {
    int ns_fd;
    int tap_fd; /* non-blocking, one Ethernet frame per read or write */
};

/* 0, or -EPERM or -ENODEV with the reason why the lab cannot run on this machine. */
int lab_netns_possible(struct error *e);

/* Makes both ends as the scenario wants them. On failure nothing is left open. */
int lab_netns_open_pair(const struct lab_scenario *s, struct lab_netns ret[LAB_SIDES], struct error *e);
void lab_netns_close(struct lab_netns *n);

/* Moves the calling thread into a namespace; the previous one is returned as a descriptor, or -errno. */
int lab_netns_enter(int ns_fd);
/* Goes back and closes the descriptor. Aborts when it cannot: going on in the wrong namespace is worse. */
void lab_netns_return(int previous_fd);

/* Frames that the TAP's queue dropped before the relay saw them: must be 0, or the truth has a hole. */
int lab_netns_lost(const struct lab_netns *n, uint64_t *ret_frames, struct error *e);

/* The counters of /proc/net/netstat and snmp that are not 0, as a JSON object. */
int lab_netns_print_netstat(const struct lab_netns *n, FILE *out, struct error *e);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_HOSTS_H
#define SPANWARD_LAB_HOSTS_H

/* The programs that run at the ends, one function each; called in the child process, in its namespace. */

#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include "tests/lab/random.h"
#include "tests/lab/scenario.h"

/* One thread of a client. */
struct lab_host {
    const struct lab_scenario *scenario;
    const struct lab_traffic *traffic;
    struct in6_addr client, server;
    struct lab_random random;
    int report_fd;
    uint32_t index; /* among the threads of the line */
};

/* What one round ended with. R(symbol, name in reports). */
#define LAB_RESULTS(R)                                                                                                 \
    R(OK, "ok")                                                                                                        \
    R(REFUSED, "refused")                                                                                              \
    R(TIMEOUT, "timeout")                                                                                              \
    R(FAILED, "failed")

enum lab_result {
#define R(symbol, name) LAB_RESULT_##symbol,
    LAB_RESULTS(R)
#undef R
};

/* The clients: one round each. */
void lab_host_tcp(struct lab_host *h);
void lab_host_dns(struct lab_host *h, uint64_t round);
void lab_host_ping(struct lab_host *h, uint64_t round);

/* The servers: run until SIGTERM, then finish what is open (at most 5 s) and return. */
void lab_serve_tcp(int listen_fd, const struct lab_traffic *t, int report_fd);
void lab_serve_dns(int fd, int report_fd);

/* Shared by them. */
socklen_t lab_sockaddr(const struct in6_addr *addr, uint16_t port, struct sockaddr_storage *ret);
void lab_report(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *lab_result_name(enum lab_result r);
enum lab_result lab_result_of_errno(int code);
void lab_sleep_ns(uint64_t ns);
/* Congestion control and MSS of the scenario. 0 or -errno. */
int lab_tcp_options(int fd, const struct lab_scenario *s);
void lab_timeout(int fd, uint64_t ns); /* for sends, receives and connect */

/* Set by SIGTERM in servers. */
extern volatile sig_atomic_t lab_stop;

#endif

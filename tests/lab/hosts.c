/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hosts' programs share: addresses, sleeping, reports. */

#include "tests/lab/hosts.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t lab_stop;

socklen_t lab_sockaddr(const struct in6_addr *addr, uint16_t port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (lab_addr_is_v4(addr)) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;

        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, &addr->s6_addr[12], 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    in6->sin6_addr = *addr;
    return sizeof(*in6);
}

const char *lab_result_name(enum lab_result r)
{
    static const char *const names[] = {
#define R(symbol, name) name,
        LAB_RESULTS(R)
#undef R
    };
    return names[r];
}

enum lab_result lab_result_of_errno(int code)
{
    switch (code) {
    case 0:
        return LAB_RESULT_OK;
    case ECONNREFUSED:
        return LAB_RESULT_REFUSED;
    case ETIMEDOUT:
    case EAGAIN:
    case EINPROGRESS:
        return LAB_RESULT_TIMEOUT;
    default:
        return LAB_RESULT_FAILED;
    }
}

/* One write, so that lines of several processes do not mix (pipe(7), PIPE_BUF). */
void lab_report(int fd, const char *format, ...)
{
    char line[PIPE_BUF];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (n <= 0 || n >= (int)sizeof(line) - 1)
        return;
    line[n] = '\n';
    while (write(fd, line, (size_t)n + 1) < 0 && errno == EINTR)
        continue;
}

void lab_sleep_ns(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR && !lab_stop)
        continue;
}

void lab_timeout(int fd, uint64_t ns)
{
    struct timeval tv = {(time_t)(ns / 1000000000u), (suseconds_t)(ns % 1000000000u / 1000)};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP client and server. A request opens with a fixed header that says how long it is, how long the server shall
 * think and how much it shall answer; so one server does request/response, bulk in either direction and short
 * connections. Payload bytes are a counter's, never zero for long: equal payloads would hide a mix-up.
 *
 * Both ends read TCP_INFO when everything they sent, FIN included, has been acknowledged. Only then does
 * tcpi_total_retrans hold every retransmission of the connection (SYN, SYN/ACK and FIN too), and can be compared
 * with what the relay dropped.
 */

#include "tests/lab/hosts.h"

#include <errno.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES    65536
#define IO_TIMEOUT_NS  60000000000u
#define SETTLE_NS      10000000000u /* for the last ACK */
#define SETTLE_STEP_NS 2000000u
#define FINISH_NS      5000000000u

/* First bytes of a request, in the machine's order: both ends are this program. */
struct request {
    uint32_t rest_bytes; /* behind this header */
    uint32_t magic;
    uint64_t think_ns;
    uint64_t resp_bytes;
};
#define REQUEST_MAGIC 0x6c616231u

struct tally {
    uint64_t sent_bytes, received_bytes;
};

static int send_bytes(int fd, const void *head, size_t head_len, uint64_t rest, struct tally *n)
{
    uint8_t chunk[CHUNK_BYTES];
    size_t len = head_len;

    for (size_t i = 0; i < sizeof(chunk); i++)
        chunk[i] = (uint8_t)(i * 31 + rest + (i >> 8));
    if (head_len > 0)
        memcpy(chunk, head, head_len);
    rest += head_len;
    while (rest > 0) {
        ssize_t done;

        len = rest < sizeof(chunk) ? (size_t)rest : sizeof(chunk);
        done = send(fd, chunk, len, MSG_NOSIGNAL);
        if (done < 0)
            return -errno;
        n->sent_bytes += (uint64_t)done;
        rest -= (uint64_t)done;
    }
    return 0;
}

/* 0, -EPIPE at the end of the stream, or -errno. */
static int receive_bytes(int fd, void *ret_head, size_t head_len, uint64_t rest, struct tally *n)
{
    uint8_t chunk[CHUNK_BYTES];
    uint64_t left = head_len + rest, at = 0;

    while (left > 0) {
        size_t want = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
        ssize_t done;

        if (at < head_len)
            want = head_len - (size_t)at;
        done = recv(fd, chunk, want, 0);
        if (done <= 0)
            return done == 0 ? -EPIPE : -errno;
        if (at < head_len)
            memcpy((uint8_t *)ret_head + at, chunk, (size_t)done);
        at += (uint64_t)done;
        left -= (uint64_t)done;
        n->received_bytes += (uint64_t)done;
    }
    return 0;
}

/* ---- endpoint truth ---- */

static int read_info(int fd, struct tcp_info *ret)
{
    socklen_t len = sizeof(*ret);

    memset(ret, 0, sizeof(*ret));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len);
}

/* Waits until our FIN is acknowledged: states FIN_WAIT2, TIME_WAIT and CLOSE. */
static bool settle(int fd, struct tcp_info *ret)
{
    enum { FIN_WAIT2 = 5, TIME_WAIT = 6, CLOSE = 7 };

    for (uint64_t waited = 0; waited < SETTLE_NS; waited += SETTLE_STEP_NS) {
        if (read_info(fd, ret) != 0)
            return false;
        if (ret->tcpi_state == FIN_WAIT2 || ret->tcpi_state == TIME_WAIT || ret->tcpi_state == CLOSE)
            return true;
        lab_sleep_ns(SETTLE_STEP_NS);
    }
    return false;
}

static void endpoint_text(const struct sockaddr_storage *a, char *ret_addr, unsigned *ret_port)
{
    struct in6_addr addr = {0};

    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)a;

        addr.s6_addr[10] = addr.s6_addr[11] = 0xff;
        memcpy(&addr.s6_addr[12], &in->sin_addr, 4);
        *ret_port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

        addr = in6->sin6_addr;
        *ret_port = ntohs(in6->sin6_port);
    }
    lab_addr_format(&addr, ret_addr);
}

struct names {
    char local[INET6_ADDRSTRLEN], peer[INET6_ADDRSTRLEN];
    unsigned local_port, peer_port;
};

static void report(int report_fd, const char *end, const struct names *n, enum lab_result result, bool settled,
                   const struct tally *t, const struct tcp_info *i)
{
    lab_report(report_fd,
               "{\"type\":\"conn\",\"end\":\"%s\",\"local\":\"%s\",\"local_port\":%u,\"peer\":\"%s\","
               "\"peer_port\":%u,\"result\":\"%s\",\"settled\":%s,\"sent_bytes\":%llu,"
               "\"received_bytes\":%llu,\"total_retrans\":%u,\"bytes_retrans\":%llu,"
               "\"dsack_dups\":%u,\"min_rtt_us\":%u,\"data_segs_out\":%u,\"data_segs_in\":%u,"
               "\"reord_seen\":%u,\"rcv_ooopack\":%u}",
               end, n->local, n->local_port, n->peer, n->peer_port, lab_result_name(result), settled ? "true" : "false",
               (unsigned long long)t->sent_bytes, (unsigned long long)t->received_bytes, i->tcpi_total_retrans,
               (unsigned long long)i->tcpi_bytes_retrans, i->tcpi_dsack_dups, i->tcpi_min_rtt, i->tcpi_data_segs_out,
               i->tcpi_data_segs_in, i->tcpi_reord_seen, i->tcpi_rcv_ooopack);
}

/* ---- the client ---- */

int lab_tcp_options(int fd, const struct lab_scenario *s)
{
    int mss = (int)s->mss_bytes;

    if (mss > 0 && setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) != 0)
        return -errno;
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, s->congestion, sizeof(s->congestion)) != 0)
        return -errno;
    return 0;
}

static int one_request(struct lab_host *h, int fd, struct tally *n)
{
    const struct lab_traffic *t = h->traffic;
    uint64_t bytes = lab_random_in(&h->random, t->req_bytes);
    struct request q = {.magic = REQUEST_MAGIC,
                        .rest_bytes = (uint32_t)(bytes > sizeof(q) ? bytes - sizeof(q) : 0),
                        .think_ns = lab_random_in(&h->random, t->server_think_ns),
                        .resp_bytes = lab_random_in(&h->random, t->resp_bytes)};
    int rc = send_bytes(fd, &q, sizeof(q), q.rest_bytes, n);

    return rc < 0 ? rc : receive_bytes(fd, NULL, 0, q.resp_bytes, n);
}

static int converse(struct lab_host *h, int fd, struct tally *n)
{
    uint64_t requests = lab_random_in(&h->random, h->traffic->requests);
    uint8_t rest;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < requests; i++) {
        if (i > 0)
            lab_sleep_ns(lab_random_in(&h->random, h->traffic->think_ns));
        rc = one_request(h, fd, n);
    }
    if (rc < 0)
        return rc;
    shutdown(fd, SHUT_WR);
    rc = (int)recv(fd, &rest, 1, 0);
    return rc < 0 ? -errno : rc == 0 ? 0 : -EPROTO;
}

static int client_socket(struct lab_host *h, struct names *n)
{
    struct sockaddr_storage from;
    socklen_t len = lab_sockaddr(&h->client, 0, &from);
    int fd = socket(from.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    rc = lab_tcp_options(fd, h->scenario);
    if (rc == 0 && bind(fd, (struct sockaddr *)&from, len) != 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    lab_timeout(fd, lab_random_in(&h->random, h->traffic->timeout_ns));
    lab_addr_format(&h->client, n->local);
    lab_addr_format(&h->server, n->peer);
    n->peer_port = (unsigned)h->traffic->port;
    return fd;
}

static void note_local_port(int fd, struct names *n)
{
    struct sockaddr_storage local;
    socklen_t len = sizeof(local);

    if (getsockname(fd, (struct sockaddr *)&local, &len) == 0)
        endpoint_text(&local, n->local, &n->local_port);
}

void lab_host_tcp(struct lab_host *h)
{
    struct sockaddr_storage to;
    socklen_t len = lab_sockaddr(&h->server, (uint16_t)h->traffic->port, &to);
    struct names names = {.local_port = 0};
    struct tally tally = {0};
    struct tcp_info info = {0};
    int fd = client_socket(h, &names), rc;
    bool settled = false;

    if (fd < 0) {
        report(h->report_fd, "client", &names, LAB_RESULT_FAILED, false, &tally, &info);
        return;
    }
    rc = connect(fd, (struct sockaddr *)&to, len) == 0 ? 0 : -errno;
    note_local_port(fd, &names);
    if (rc == 0) {
        lab_timeout(fd, IO_TIMEOUT_NS);
        rc = converse(h, fd, &tally);
    }
    if (rc == 0)
        settled = settle(fd, &info);
    else
        read_info(fd, &info);
    report(h->report_fd, "client", &names, lab_result_of_errno(-rc), settled, &tally, &info);
    close(fd);
}

/* ---- the server ---- */

struct connection {
    int fd, report_fd;
    atomic_uint *active;
};

static int answer_requests(int fd, struct tally *n)
{
    struct request q;
    int rc;

    for (;;) {
        uint64_t before = n->received_bytes;

        rc = receive_bytes(fd, &q, sizeof(q), 0, n);
        if (rc < 0) /* the end of the stream is fine between requests */
            return rc == -EPIPE && before == n->received_bytes ? 0 : rc;
        if (q.magic != REQUEST_MAGIC)
            return -EPROTO;
        rc = receive_bytes(fd, NULL, 0, q.rest_bytes, n);
        if (rc < 0)
            return rc;
        if (q.think_ns > 0)
            lab_sleep_ns(q.think_ns);
        rc = send_bytes(fd, NULL, 0, q.resp_bytes, n);
        if (rc < 0)
            return rc;
    }
}

static void *serve_connection(void *arg)
{
    struct connection *c = arg;
    struct sockaddr_storage local, peer;
    socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
    struct names names = {.local_port = 0};
    struct tally tally = {0};
    struct tcp_info info = {0};
    bool settled = false;
    int rc;

    if (getsockname(c->fd, (struct sockaddr *)&local, &local_len) == 0)
        endpoint_text(&local, names.local, &names.local_port);
    if (getpeername(c->fd, (struct sockaddr *)&peer, &peer_len) == 0)
        endpoint_text(&peer, names.peer, &names.peer_port);
    rc = answer_requests(c->fd, &tally);
    shutdown(c->fd, SHUT_WR);
    if (rc == 0)
        settled = settle(c->fd, &info);
    else
        read_info(c->fd, &info);
    report(c->report_fd, "server", &names, lab_result_of_errno(-rc), settled, &tally, &info);
    close(c->fd);
    atomic_fetch_sub(c->active, 1);
    free(c);
    return NULL;
}

static void start_connection(int fd, int report_fd, atomic_uint *active)
{
    struct connection *c = malloc(sizeof(*c));
    pthread_t thread;

    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct connection){fd, report_fd, active};
    lab_timeout(fd, IO_TIMEOUT_NS);
    atomic_fetch_add(active, 1);
    if (pthread_create(&thread, NULL, serve_connection, c) != 0) {
        atomic_fetch_sub(active, 1);
        close(fd);
        free(c);
        return;
    }
    pthread_detach(thread);
}

void lab_serve_tcp(int listen_fd, const struct lab_traffic *t, int report_fd)
{
    static atomic_uint active; /* outlives this function's frame, as the threads do */
    uint64_t pace = t->pace_bytes_per_s;
    int one = 1;

    if (pace > 0)
        setsockopt(listen_fd, SOL_SOCKET, SO_MAX_PACING_RATE, &pace, sizeof(pace));
    while (!lab_stop) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            start_connection(fd, report_fd, &active);
        } else if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) {
            lab_sleep_ns(1000000);
        }
    }
    for (uint64_t waited = 0; atomic_load(&active) > 0 && waited < FINISH_NS; waited += 10000000u) {
        struct timespec step = {0, 10000000};
        nanosleep(&step, NULL);
    }
}

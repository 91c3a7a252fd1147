/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DNS (RFC 1035) over UDP and ICMP echo. The name server answers each question with one address; a name that
 * starts with "nx" does not exist, one that starts with "lost" is never answered. A client goes through a short list
 * of names of which one is of each kind, unless the traffic line keeps to healthy names (requests=1).
 */

#include "tests/lab/hosts.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DNS_MAX 512

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int udp_socket(const struct lab_host *h)
{
    struct sockaddr_storage a;
    socklen_t len = lab_sockaddr(&h->client, 0, &a);
    int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&a, len) == 0) {
        len = lab_sockaddr(&h->server, (uint16_t)h->traffic->port, &a);
        if (connect(fd, (struct sockaddr *)&a, len) == 0)
            return fd;
    }
    close(fd);
    return -EIO;
}

/* ---- DNS ---- */

static size_t dns_query(uint8_t *at, uint16_t id, const char *name, uint16_t qtype)
{
    size_t len = 12;

    memset(at, 0, len);
    at[0] = (uint8_t)(id >> 8);
    at[1] = (uint8_t)id;
    at[2] = 1; /* recursion desired */
    at[5] = 1; /* one question */
    while (*name != '\0') {
        size_t label = strcspn(name, ".");

        at[len++] = (uint8_t)label;
        memcpy(at + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    at[len++] = 0;
    at[len++] = (uint8_t)(qtype >> 8);
    at[len++] = (uint8_t)qtype;
    at[len++] = 0;
    at[len++] = 1; /* IN */
    return len;
}

static const char *dns_name(const struct lab_host *h, uint64_t round)
{
    static const char *const names[] = {"www.example.net",        "mail.example.net",  "files.example.net",
                                        "nx-printer.example.net", "intra.example.net", "lost-zone.example.org",
                                        "update.example.com",     "time.example.net"};
    static const size_t healthy[] = {0, 1, 2, 4, 6, 7};

    if (h->traffic->requests.hi <= 1)
        return names[healthy[(round + h->index) % 6]];
    return names[round % 8];
}

void lab_host_dns(struct lab_host *h, uint64_t round)
{
    uint8_t packet[DNS_MAX];
    uint16_t id = (uint16_t)lab_random_next(&h->random);
    const char *name = dns_name(h, round);
    size_t len = dns_query(packet, id, name, 1 /* A */);
    enum lab_result result = LAB_RESULT_FAILED;
    uint64_t sent_ns = now_ns(), took_ns = 0;
    ssize_t got = -1;
    int fd = udp_socket(h);

    if (fd >= 0) {
        lab_timeout(fd, lab_random_in(&h->random, h->traffic->timeout_ns));
        if (send(fd, packet, len, 0) == (ssize_t)len)
            got = recv(fd, packet, sizeof(packet), 0);
        result = got >= 12 ? LAB_RESULT_OK : lab_result_of_errno(errno);
        took_ns = now_ns() - sent_ns;
        close(fd);
    }
    lab_report(h->report_fd,
               "{\"type\":\"dns\",\"id\":%u,\"query\":\"%s\",\"result\":\"%s\",\"rcode\":%d,"
               "\"took_ns\":%llu}",
               id, name, lab_result_name(result), got >= 12 ? packet[3] & 15 : -1, (unsigned long long)took_ns);
}

/* Turns the query in packet into its answer; 0 = say nothing. */
static size_t dns_answer(uint8_t *packet, size_t len)
{
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 80};

    if (len < 18 || len + sizeof(record) > DNS_MAX)
        return 0;
    if (memcmp(packet + 13, "lost", 4) == 0)
        return 0;
    packet[2] |= 0x80;
    packet[3] = 0x80;
    if (memcmp(packet + 13, "nx", 2) == 0) {
        packet[3] |= 3;
        return len;
    }
    packet[7] = 1;
    memcpy(packet + len, record, sizeof(record));
    return len + sizeof(record);
}

void lab_serve_dns(int fd, int report_fd)
{
    uint64_t queries = 0, answers = 0;

    while (!lab_stop) {
        uint8_t packet[DNS_MAX];
        struct sockaddr_storage from;
        socklen_t from_len = sizeof(from);
        ssize_t len = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &from_len);
        size_t out = 0;

        if (len < 0)
            continue;
        queries++;
        out = dns_answer(packet, (size_t)len);
        if (out > 0 && sendto(fd, packet, out, 0, (struct sockaddr *)&from, from_len) == (ssize_t)out)
            answers++;
    }
    lab_report(report_fd, "{\"type\":\"dns_server\",\"queries\":%llu,\"answers\":%llu}", (unsigned long long)queries,
               (unsigned long long)answers);
}

/* ---- ICMP echo ---- */

static uint16_t internet_checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0u);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* 64 bytes, like ping's. The kernel fills in the ICMPv6 checksum itself. */
static size_t echo_request(uint8_t *p, bool v4, uint16_t id, uint16_t seq)
{
    uint16_t sum;

    memset(p, 0, 64);
    p[0] = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    p[4] = (uint8_t)(id >> 8);
    p[5] = (uint8_t)id;
    p[6] = (uint8_t)(seq >> 8);
    p[7] = (uint8_t)seq;
    for (int i = 8; i < 64; i++)
        p[i] = (uint8_t)i;
    if (v4) {
        sum = internet_checksum(p, 64);
        p[2] = (uint8_t)(sum >> 8);
        p[3] = (uint8_t)sum;
    }
    return 64;
}

/* Reads until the reply to (id, seq) comes or the socket's time-out ends. */
static enum lab_result await_reply(int fd, bool v4, uint16_t id, uint16_t seq, uint64_t until_ns)
{
    uint8_t p[256];

    while (now_ns() < until_ns) {
        ssize_t n = recv(fd, p, sizeof(p), 0);
        ssize_t at = v4 ? (p[0] & 15) * 4 : 0;
        const uint8_t *icmp = p + at;

        if (n < 0)
            return lab_result_of_errno(errno);
        if (n >= at + 8 && icmp[0] == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) && (icmp[4] << 8 | icmp[5]) == id &&
            (icmp[6] << 8 | icmp[7]) == seq)
            return LAB_RESULT_OK;
    }
    return LAB_RESULT_TIMEOUT;
}

void lab_host_ping(struct lab_host *h, uint64_t round)
{
    bool v4 = lab_addr_is_v4(&h->client);
    uint16_t id = (uint16_t)(0x4c00 + h->index), seq = (uint16_t)(round + 1);
    uint64_t timeout_ns = lab_random_in(&h->random, h->traffic->timeout_ns), sent_ns = now_ns();
    enum lab_result result = LAB_RESULT_FAILED;
    struct sockaddr_storage a;
    uint8_t packet[64];
    socklen_t len = lab_sockaddr(&h->client, 0, &a);
    int fd = socket(a.ss_family, SOCK_RAW | SOCK_CLOEXEC, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0) {
        size_t size = echo_request(packet, v4, id, seq);

        lab_timeout(fd, timeout_ns);
        len = lab_sockaddr(&h->server, 0, &a);
        if (sendto(fd, packet, size, 0, (struct sockaddr *)&a, len) == (ssize_t)size)
            result = await_reply(fd, v4, id, seq, sent_ns + timeout_ns);
    }
    if (fd >= 0)
        close(fd);
    lab_report(h->report_fd, "{\"type\":\"ping\",\"id\":%u,\"seq\":%u,\"result\":\"%s\",\"took_ns\":%llu}", id, seq,
               lab_result_name(result), (unsigned long long)(now_ns() - sent_ns));
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fault-proxy PORT UPSTREAM-PORT SEED CHANCE [METHOD COMMAND]: stands on loopback between control and a ticketing
 * system and breaks things, as networks, gateways and overloaded servers do. CHANCE in percent of all requests meets
 * one of these, all alike:
 *
 *   500      answers 500 and passes nothing on             drop     closes without passing anything on
 *   429      answers 429 with Retry-After: 1               late500  passes it on, then answers 500
 *   503      answers 503                                   late     passes it on, then closes without an answer
 *                                                          stall    passes it on, and answers after the client gave up
 *
 * With METHOD and COMMAND the first request of that method waits until the shell has run COMMAND: somebody else who is
 * faster.
 *
 * One request per connection ("Connection: close" is put into every answer), one thread per connection. A system that
 * does not listen is a connection that closes. A request that was passed on is a line "METHOD PATH STATUS"; on SIGTERM
 * it prints how often it did what, as one JSON object.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_BYTES (4u << 20)
#define STALL_S    4u

#define FAULTS(X)                                                                                                      \
    X(PASS, "pass")                                                                                                    \
    X(E500, "500")                                                                                                     \
    X(E429, "429")                                                                                                     \
    X(E503, "503")                                                                                                     \
    X(DROP, "drop")                                                                                                    \
    X(LATE500, "late500")                                                                                              \
    X(LATE, "late")                                                                                                    \
    X(STALL, "stall")
#define X(symbol, name) FAULT_##symbol,
enum fault { FAULTS(X) FAULT_COUNT };
#undef X

static unsigned upstream_port, chance;
static const char *before_method, *before_command;
static atomic_bool before_done;
static atomic_uint_fast64_t random_state;
static atomic_uint done[FAULT_COUNT];

/* SplitMix64; the sequence is fixed by the seed, who gets which number is up to the threads. */
static uint64_t draw(void)
{
    uint64_t z = atomic_fetch_add(&random_state, 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* The end of the message in buf, 0 while it is incomplete. */
static size_t message_end(const char *buf, size_t len)
{
    const char *end = memmem(buf, len, "\r\n\r\n", 4);
    size_t body = 0;

    if (end == NULL)
        return 0;
    for (const char *line = buf; line < end; line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1) {
        if (strncasecmp(line, "content-length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
    }
    size_t whole = (size_t)(end - buf) + 4 + body;
    return whole <= len ? whole : 0;
}

/* A whole request; its length, 0 when the client went away. */
static size_t read_request(int fd, char *buf)
{
    size_t len = 0, whole = 0;

    while (len < MOST_BYTES - 1) {
        ssize_t n = recv(fd, buf + len, MOST_BYTES - 1 - len, 0);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        buf[len] = '\0';
        whole = message_end(buf, len);
        if (whole > 0)
            return whole;
    }
    return 0;
}

/* Asks the system for one answer on a connection that closes behind it; its length, 0 when it is not there. */
static size_t ask(const char *request, size_t len, char *answer)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)upstream_port)};
    const char *line_end = strstr(request, "\r\n");
    size_t got = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    size_t first = (size_t)(line_end - request) + 2;
    bool sent = write_all(fd, request, first) && write_all(fd, "Connection: close\r\n", 19) &&
                write_all(fd, request + first, len - first);
    while (sent && got < MOST_BYTES - 1) {
        ssize_t n = recv(fd, answer + got, MOST_BYTES - 1 - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(fd);
    return got;
}

static void reply(int fd, const char *status, const char *header)
{
    char text[300];
    int len =
        snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", status, header);

    write_all(fd, text, (size_t)len);
}

static void pass_back(int fd, const char *answer, size_t len)
{
    const char *line_end = len > 0 ? memmem(answer, len, "\r\n", 2) : NULL;

    if (line_end == NULL)
        return;
    size_t first = (size_t)(line_end - answer) + 2;
    if (write_all(fd, answer, first) && write_all(fd, "Connection: close\r\n", 19))
        write_all(fd, answer + first, len - first);
}

/* The other one goes first, once. */
static void run_before(const char *request)
{
    size_t len = before_method != NULL ? strlen(before_method) : 0;

    if (len == 0 || strncmp(request, before_method, len) != 0 || request[len] != ' ' ||
        atomic_exchange(&before_done, true))
        return;
    int status = system(before_command);
    if (status != 0)
        fprintf(stderr, "fault-proxy: %s: status %d\n", before_command, status);
}

static void tell(const char *request, const char *answer, size_t got)
{
    size_t line = strcspn(request, "\r\n");

    line = line > strlen(" HTTP/1.1") ? line - strlen(" HTTP/1.1") : line;
    printf("%.*s %.3s\n", (int)(line < 300 ? line : 300), request, got > 12 ? answer + 9 : "-");
    fflush(stdout);
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *request = malloc(MOST_BYTES), *answer = malloc(MOST_BYTES);
    size_t len = request != NULL && answer != NULL ? read_request(fd, request) : 0;

    if (len > 0) {
        uint64_t r = draw();
        enum fault f = r % 100 < chance ? FAULT_E500 + r / 100 % (FAULT_COUNT - 1) : FAULT_PASS;
        bool passes = f == FAULT_PASS || f >= FAULT_LATE500;
        size_t got = 0;
        if (passes) {
            run_before(request);
            got = ask(request, len, answer);
            tell(request, answer, got);
        }
        atomic_fetch_add(&done[f], 1);
        if (f == FAULT_STALL)
            sleep(STALL_S);
        if (f == FAULT_PASS || f == FAULT_STALL)
            pass_back(fd, answer, got);
        else if (f == FAULT_E500 || f == FAULT_LATE500)
            reply(fd, "500 Internal Server Error", "");
        else if (f == FAULT_E429)
            reply(fd, "429 Too Many Requests", "Retry-After: 1\r\n");
        else if (f == FAULT_E503)
            reply(fd, "503 Service Unavailable", "");
    }
    close(fd);
    free(request);
    free(answer);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listener = (int)(intptr_t)arg;

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0)
            continue;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
        else
            pthread_detach(thread);
    }
    return NULL;
}

int main(int argc, char **argv)
{
#define X(symbol, name) name,
    static const char *const names[FAULT_COUNT] = { FAULTS(X) };
#undef X
    struct sockaddr_in at = {.sin_family = AF_INET};
    pthread_t thread;
    sigset_t set;
    int got, on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 5 && argc != 7) {
        fputs("usage: fault-proxy PORT UPSTREAM-PORT SEED CHANCE [METHOD COMMAND]\n", stderr);
        return 2;
    }
    at.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    upstream_port = (unsigned)strtoul(argv[2], NULL, 10);
    atomic_store(&random_state, strtoull(argv[3], NULL, 10));
    chance = (unsigned)strtoul(argv[4], NULL, 10);
    if (argc == 7) {
        before_method = argv[5];
        before_command = argv[6];
    }
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 64) != 0) {
        fprintf(stderr, "fault-proxy: port %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)listener);
    sigwait(&set, &got);
    for (enum fault f = 0; f < FAULT_COUNT; f++)
        printf("%s\"%s\":%u", f == 0 ? "{" : ",", names[f], atomic_load(&done[f]));
    puts("}");
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_RUN_H
#define SPANWARD_CLI_RUN_H

/* The CLI's main in a child, and what it printed. CLI_MAIN is UNIT_MAIN with nothing in the environment. */

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "apps/cli/command.h"
#include "tests/unit/unit.h"

static char out[1 << 20], err[65536];

static inline void slurp(int fd, char *buf, size_t size)
{
    size_t used = 0;
    ssize_t n;

    while (used + 1 < size && (n = read(fd, buf + used, size - 1 - used)) > 0)
        used += (size_t)n;
    buf[used] = '\0';
    close(fd);
}

/* Runs cli_main in a child; words are separated by blanks. Returns its exit code; fills out and err. */
static inline int spanward(const char *line)
{
    char copy[512], *argv[40], *save;
    int argc = 0, status;
    FILE *o = tmpfile(), *e = tmpfile();

    snprintf(copy, sizeof(copy), "spanward %s", line);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(o), STDOUT_FILENO);
        dup2(fileno(e), STDERR_FILENO);
        exit(cli_main(argc, argv));
    }
    waitpid(pid, &status, 0);
    lseek(fileno(o), 0, SEEK_SET);
    lseek(fileno(e), 0, SEEK_SET);
    slurp(dup(fileno(o)), out, sizeof(out));
    slurp(dup(fileno(e)), err, sizeof(err));
    fclose(o);
    fclose(e);
    ck_assert_msg(WIFEXITED(status), "spanward %s died by signal %d\n%s", line, WTERMSIG(status), err);
    return WEXITSTATUS(status);
}

#define expect_in(text, part) ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text)

/* Exactly one line on stderr and nothing on stdout. */
static inline void expect_one_line(const char *part)
{
    expect_in(err, part);
    ck_assert_msg(strchr(err, '\n') == err + strlen(err) - 1, "not one line:\n%s", err);
    ck_assert_str_eq(out, "");
}

/* A flow's record as the probe prints it. */
static inline void flow_line(char *line, size_t size, const char *client, int client_port, int lost_upstream_pkts)
{
    static const char format[] =
        "{\"type\":\"flow\",\"community_id\":\"1:x\",\"proto\":\"tcp\",\"client\":\"%s\",\"client_port\":%d,"
        "\"server\":\"2001:db8::1\",\"server_port\":443,\"path\":\"A~B\",\"service\":\"https\","
        "\"first_ns\":1700000000000000000,\"last_ns\":1700000001000000000,"
        "\"c2s\":{\"pkts\":60,\"bytes\":1000},\"s2c\":{\"pkts\":40,\"bytes\":2000},"
        "\"tcp\":{\"syn_retries\":0,\"rtt_client_us\":{\"min\":1,\"max\":3,\"sum\":4.0,\"n\":2},"
        "\"rtt_server_us\":{\"min\":null,\"max\":null,\"sum\":0,\"n\":0},"
        "\"c2s\":{\"retrans_pkts\":1,\"lost_upstream_pkts\":%d,\"lost_downstream_pkts\":2,\"lost_unknown_pkts\":0},"
        "\"s2c\":{\"retrans_pkts\":2,\"lost_upstream_pkts\":3,\"lost_downstream_pkts\":4,\"lost_unknown_pkts\":1}}}";

    snprintf(line, size, format, client, client_port, lost_upstream_pkts);
}

static inline int cli_run_tests(const char *name, const TTest *const *tests, size_t n_tests)
{
    unsetenv("COLUMNS");
    unsetenv("SPANWARD_REDIS");
    unsetenv("SPANWARD_CONFIG");
    setenv("HOME", "/nonexistent", 1);
    term_init();
    return unit_run(name, tests, n_tests);
}

#define CLI_MAIN(name, ...)                                                                                            \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = {__VA_ARGS__};                                                                    \
        return cli_run_tests(name, tests, sizeof(tests) / sizeof(tests[0]));                                           \
    }

#endif

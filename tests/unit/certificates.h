/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TEST_CERTIFICATES_H
#define SPANWARD_TEST_CERTIFICATES_H

/* Certificates made for a test in its folder: NAME.pem and NAME.key; and redis-servers that speak nothing but TLS. */

#include "tests/unit/servers.h"

/* Ends the test program as skipped where there is no openssl. */
static inline void need_openssl(void)
{
    if (system("openssl version >/dev/null 2>&1") == 0)
        return;
    fprintf(stderr, "skipped: openssl is not installed\n");
    exit(77);
}

/* A shell's words, in the test's folder; they must succeed. */
static inline void __attribute__((format(printf, 2, 3))) run(const char *dir, const char *format, ...)
{
    char command[1024];
    va_list args;
    int len = snprintf(command, sizeof(command), "cd '%s' && (", dir);

    va_start(args, format);
    vsnprintf(command + len, sizeof(command) - (size_t)len, format, args);
    va_end(args);
    strcat(command, ") >>openssl.log 2>&1");
    ck_assert_msg(system(command) == 0, "%s", command);
}

static inline void make_ca(const char *dir, const char *name)
{
    run(dir,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout %s.key -out %s.pem -subj "
        "'/CN=%s' -days 2",
        name, name, name);
}

/* alt: what the certificate is for, as in "IP:127.0.0.1,DNS:redis.test". */
static inline void make_cert(const char *dir, const char *name, const char *ca, const char *alt, int days)
{
    run(dir,
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout %s.key -out %s.csr -subj '/CN=%s' "
        "&& "
        "echo 'subjectAltName=%s' >%s.ext && "
        "openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days %d -extfile %s.ext -out %s.pem",
        name, name, name, alt, name, name, ca, ca, days, name, name);
}

/* A server with certificate `name` of the authority "ca"; more: further arguments, NULL at the end, or NULL. */
static inline void start_tls_server(struct server *s, const char *dir, const char *name, const char *const *more)
{
    char cert[128], key[128], ca[128], port[8];
    const char *extra[32] = {"--port",         "0", "--tls-port",         port, "--tls-cert-file", cert,
                             "--tls-key-file", key, "--tls-ca-cert-file", ca};
    size_t n = 10;

    for (size_t i = 0; more != NULL && more[i] != NULL; i++)
        extra[n++] = more[i];
    s->port = free_port();
    snprintf(port, sizeof(port), "%d", s->port);
    snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
    snprintf(key, sizeof(key), "%s/%s.key", dir, name);
    snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
    start_server(s, dir, extra);
}

#endif

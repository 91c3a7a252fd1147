/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TLS 1.2 and 1.3 over OpenSSL 3, as a client, between memory BIOs. The socket's waiting and time-outs stay in one
 * place (link.c), the same for plain and encrypted connections, and a write to a dead peer cannot raise SIGPIPE.
 *
 * Verification is on unless switched off by name: the chain up to a trusted CA, the time, and the name (RFC 6125) or
 * address that the caller connects to, or the one that the configuration tells. A refusal says which of these failed.
 * Without verification the traffic is still encrypted, but anybody in between can read and change it.
 *
 * Limits: no revocation lists, no session resumption (connections last), keys without a passphrase only.
 */

#include "store/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tls {
    SSL_CTX *ctx;
    char name[256];
    bool verify;
};

/* Invariant: ssl owns both BIOs; `in` is what came from the wire, `out` what goes there. */
struct tls_session {
    SSL *ssl;
    BIO *in, *out;
    char expected[256];
};

static bool given(const char *text)
{
    return text != NULL && *text != '\0';
}

/* The newest reason of OpenSSL's queue, which is emptied. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

    if (text == NULL && code != 0 && ERR_SYSTEM_ERROR(code))
        text = strerror(ERR_GET_REASON(code));
    ERR_clear_error();
    return text != NULL ? text : "no reason given";
}

static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return 0;
}

static int load_trust(struct tls *t, const char *ca, struct error *e)
{
    struct stat st;

    if (!given(ca)) {
        if (SSL_CTX_set_default_verify_paths(t->ctx) != 1)
            return error_set(e, -ENOENT, "TLS: the system has no certificates of CAs; set store.tls_ca");
        return 0;
    }
    if (stat(ca, &st) != 0)
        return error_set(e, -errno, "TLS: cannot read CA certificates %.120s: %s", ca, strerror(errno));
    int ok = S_ISDIR(st.st_mode) ? SSL_CTX_load_verify_dir(t->ctx, ca) : SSL_CTX_load_verify_file(t->ctx, ca);
    if (ok != 1)
        return error_set(e, -EINVAL, "TLS: no CA certificate in %.120s: %s", ca, reason());
    return 0;
}

static int load_own(struct tls *t, const struct tls_options *o, struct error *e)
{
    if (!given(o->cert) && !given(o->key))
        return 0;
    if (!given(o->cert) || !given(o->key))
        return error_set(e, -EINVAL, "TLS: a client certificate needs both, certificate and key");
    if (SSL_CTX_use_certificate_chain_file(t->ctx, o->cert) != 1)
        return error_set(e, -EINVAL, "TLS: cannot use client certificate %.120s: %s", o->cert, reason());
    if (SSL_CTX_use_PrivateKey_file(t->ctx, o->key, SSL_FILETYPE_PEM) != 1)
        return error_set(e, -EINVAL, "TLS: cannot use client key %.120s: %s", o->key, reason());
    if (SSL_CTX_check_private_key(t->ctx) != 1)
        return error_set(e, -EINVAL, "TLS: client key %.100s does not belong to %.100s", o->key, o->cert);
    return 0;
}

int tls_new(const struct tls_options *o, struct tls **ret_tls, struct error *e)
{
    struct tls *t = calloc(1, sizeof(*t));

    if (t != NULL)
        t->ctx = SSL_CTX_new(TLS_client_method());
    if (t == NULL || t->ctx == NULL) {
        free(t);
        return error_set(e, -ENOMEM, "no memory for TLS");
    }
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_AUTO_RETRY);
    t->verify = !o->no_verify;
    SSL_CTX_set_verify(t->ctx, t->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    int result = 0;
    if (given(o->name)) {
        if (strlen(o->name) >= sizeof(t->name))
            result = error_set(e, -EINVAL, "TLS: the server's name is longer than %zu bytes", sizeof(t->name) - 1);
        else
            strcpy(t->name, o->name);
    }
    if (result == 0 && t->verify)
        result = load_trust(t, o->ca, e);
    if (result == 0)
        result = load_own(t, o, e);
    if (result != 0) {
        tls_free(t);
        return result;
    }
    *ret_tls = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

/* Whom the certificate must name, and SNI for what is a name. */
static bool expect_name(const struct tls *t, struct tls_session *s, const char *host)
{
    unsigned char address[16];
    const char *name = t->name[0] != '\0' ? t->name : host;
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);

    if (strlen(name) >= sizeof(s->expected))
        return false;
    strcpy(s->expected, name);
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 && SSL_set_tlsext_host_name(s->ssl, name) == 1;
}

int tls_session_new(const struct tls *t, const char *host, struct tls_session **ret_session, struct error *e)
{
    struct tls_session *s = calloc(1, sizeof(*s));

    if (s != NULL) {
        s->ssl = SSL_new(t->ctx);
        s->in = BIO_new(BIO_s_mem());
        s->out = BIO_new(BIO_s_mem());
    }
    if (s == NULL || s->ssl == NULL || s->in == NULL || s->out == NULL) {
        if (s != NULL) {
            BIO_free(s->in);
            BIO_free(s->out);
            SSL_free(s->ssl);
        }
        free(s);
        return error_set(e, -ENOMEM, "no memory for TLS");
    }
    BIO_set_mem_eof_return(s->in, -1);
    SSL_set_bio(s->ssl, s->in, s->out);
    SSL_set_connect_state(s->ssl);
    if (!expect_name(t, s, host)) {
        tls_session_free(s);
        return error_set(e, -EINVAL, "TLS: \"%.100s\" is not a name that a certificate can hold", host);
    }
    *ret_session = s;
    return 0;
}

void tls_session_free(struct tls_session *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    free(s);
}

/* Turns a failed SSL call into an error; -EAGAIN is not one. */
/* What to do about a certificate that is not believed. */
static const char *todo_of(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "renew it";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "check the clocks";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "connect by a name that it has, or give store.tls_name (?name=HOST)";
    default:
        return "give the CA that vouches for it: store.tls_ca (?ca=FILE)";
    }
}

static int failure(struct tls_session *s, int ret, struct error *e)
{
    switch (SSL_get_error(s->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return error_set(e, -ECONNRESET, "the server closed the connection");
    }
    long verdict = SSL_get_verify_result(s->ssl);
    if (verdict != X509_V_OK && (SSL_get_verify_mode(s->ssl) & SSL_VERIFY_PEER) != 0 && !SSL_is_init_finished(s->ssl)) {
        ERR_clear_error();
        return error_set(e, -EPROTO, "its certificate is refused as that of \"%.60s\": %.60s; %s", s->expected,
                         X509_verify_cert_error_string(verdict), todo_of(verdict));
    }
    return error_set(e, -EPROTO, "TLS failed: %s", reason());
}

int tls_handshake(struct tls_session *s, struct error *e)
{
    ERR_clear_error();
    int ret = SSL_do_handshake(s->ssl);
    return ret == 1 ? 0 : failure(s, ret, e);
}

int tls_feed(struct tls_session *s, const void *data, size_t len)
{
    size_t written = 0;

    return BIO_write_ex(s->in, data, len, &written) == 1 && written == len ? 0 : -ENOMEM;
}

size_t tls_take(struct tls_session *s, void *buf, size_t size)
{
    size_t len = 0;

    return BIO_read_ex(s->out, buf, size, &len) == 1 ? len : 0;
}

ssize_t tls_read(struct tls_session *s, void *buf, size_t size, struct error *e)
{
    size_t len = 0;

    ERR_clear_error();
    int ret = SSL_read_ex(s->ssl, buf, size, &len);
    if (ret == 1)
        return (ssize_t)len;
    int result = failure(s, ret, e);
    return result == -EAGAIN ? 0 : result;
}

int tls_write(struct tls_session *s, const void *data, size_t len, struct error *e)
{
    size_t written = 0;

    ERR_clear_error();
    int ret = SSL_write_ex(s->ssl, data, len, &written);
    if (ret == 1 && written == len)
        return 0;
    int result = failure(s, ret, e);
    return result == -EAGAIN ? error_set(e, -EPROTO, "TLS: the server asks for a new handshake") : result;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Mail (RFC 5321, 5322, 2045, 2047, 3207) through libcurl.
 *
 * Message-ID is the request's key at the sender's domain, so it is the same for every try and mail systems that drop
 * repeats can; In-Reply-To and References name the message that opened the ticket, so that readers show one thread. The
 * subject is the ticket's title in encoded words, the body quoted-printable, with HTML beside it and attachments where
 * there are any. Auto-Submitted keeps answering machines quiet.
 *
 * TLS is required unless the configuration says otherwise, and the certificate is verified. A mail that was handed over
 * is no ticket: nothing comes back. 4xx is tried again, 5xx is a dead letter; 530, 534, 535 and 538, or an
 * authentication that fails otherwise, pause the connector. A connection that breaks after the text was sent leaves it
 * in doubt, and the mail goes out again with the same Message-ID.
 */

#include "control/connectors/connector.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "control/connectors/http.h"

#define RECIPIENTS 20u

/* Owner: the connector's user. */
struct smtp {
    char url[1024], ca_file[1024];
    char from[321], domain[256];
    char to[1025];
    char user[256], password[512];
    long tls, timeout_ms;
};

static void smtp_close(void *ctx)
{
    struct smtp *x = ctx;

    if (x != NULL)
        OPENSSL_cleanse(x->password, sizeof(x->password));
    free(x);
}

/* An address without names, blanks or line ends. */
static bool is_address(const char *text)
{
    const char *at = strchr(text, '@');

    return at != NULL && at != text && at[1] != '\0' && strpbrk(text, " \t\r\n<>\",;") == NULL;
}

static int check_addresses(struct smtp *x, struct error *e)
{
    char list[sizeof(x->to)], *rest = list, *one;
    unsigned n = 0;

    if (!is_address(x->from))
        return error_set(e, -EINVAL, "tickets.smtp.from must be an address such as spanward@example.org");
    snprintf(x->domain, sizeof(x->domain), "%.255s", strchr(x->from, '@') + 1);
    memcpy(list, x->to, sizeof(list));
    while ((one = strsep(&rest, ",")) != NULL) {
        one += strspn(one, " ");
        if (!is_address(one) || ++n > RECIPIENTS)
            return error_set(e, -EINVAL, "tickets.smtp.to must be addresses separated by commas, at most %u",
                             RECIPIENTS);
    }
    return 0;
}

static int smtp_open(const struct config *config, void **ret_ctx, char ret_hash[FINGERPRINT_BYTES], struct error *e)
{
    const char *url = config_string(config, "tickets.smtp.url"), *tls = config_string(config, "tickets.smtp.tls");
    int rc = 0;

    if (url[0] == '\0')
        return 0;
    if (strncmp(url, "smtp://", 7) != 0 && strncmp(url, "smtps://", 8) != 0)
        return error_set(e, -EINVAL, "tickets.smtp.url must begin with smtp:// or smtps://");
    struct smtp *x = calloc(1, sizeof(*x));
    if (x == NULL)
        return error_set(e, -ENOMEM, "no memory for mail");
    snprintf(x->url, sizeof(x->url), "%s", url);
    snprintf(x->ca_file, sizeof(x->ca_file), "%s", config_string(config, "tickets.ca_file"));
    snprintf(x->from, sizeof(x->from), "%s", config_string(config, "tickets.smtp.from"));
    snprintf(x->to, sizeof(x->to), "%s", config_string(config, "tickets.smtp.to"));
    snprintf(x->user, sizeof(x->user), "%s", config_string(config, "tickets.smtp.user"));
    x->tls = strcmp(tls, "none") == 0       ? CURLUSESSL_NONE
             : strcmp(tls, "required") == 0 ? CURLUSESSL_ALL
                                            : CURLUSESSL_TRY;
    x->timeout_ms = (long)(config_u64(config, "tickets.timeout") / NS_PER_MS);
    rc = check_addresses(x, e);
    if (rc == 0 && x->user[0] != '\0')
        rc = http_secret("tickets.smtp.password_file", config_string(config, "tickets.smtp.password_file"),
                         "SPANWARD_SMTP_PASSWORD", x->password, sizeof(x->password), e);
    if (rc != 0) {
        smtp_close(x);
        return rc;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ret_hash[0] = '\0';
    const char *const part[] = {url, x->from, x->to, x->user, x->password, tls, x->ca_file};
    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
        http_hash(ret_hash, part[i]);
    *ret_ctx = x;
    return 1;
}

/* RFC 2047: UTF-8 in base64, words of at most 75 characters that end between characters, folded. ASCII stays as it is.
 */
static void encode_subject(char *ret, size_t size, const char *title)
{
    bool plain = strstr(title, "=?") == NULL;
    size_t at = 0, len = strlen(title);

    for (size_t i = 0; i < len; i++)
        plain = plain && (unsigned char)title[i] >= 0x20 && (unsigned char)title[i] < 0x7f;
    if (plain) {
        snprintf(ret, size, "Subject: %s", title);
        return;
    }
    at = (size_t)snprintf(ret, size, "Subject:");
    for (size_t i = 0; i < len;) {
        char part[48], word[80];
        size_t n = len - i < 42 ? len - i : 42;
        while (n > 1 && i + n < len && ((unsigned char)title[i + n] & 0xC0) == 0x80)
            n--;
        memcpy(part, title + i, n);
        for (size_t k = 0; k < n; k++)
            part[k] = (unsigned char)part[k] < 0x20 || part[k] == 0x7f ? ' ' : part[k];
        EVP_EncodeBlock((unsigned char *)word, (const unsigned char *)part, (int)n);
        at += (size_t)snprintf(ret + at, at < size ? size - at : 0, "%s =?UTF-8?B?%s?=", i > 0 ? "\r\n" : "", word);
        i += n;
    }
}

static struct curl_slist *make_headers(const struct smtp *x, const struct connector_request *r)
{
    struct curl_slist *list = NULL;
    char line[1200], when[64];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%a, %d %b %Y %H:%M:%S +0000", &tm); /* the programs never leave the C locale */
    snprintf(line, sizeof(line), "Date: %s", when);
    list = curl_slist_append(list, line);
    snprintf(line, sizeof(line), "From: Spanward <%s>", x->from);
    list = curl_slist_append(list, line);
    snprintf(line, sizeof(line), "To: %s", x->to);
    list = curl_slist_append(list, line);
    encode_subject(line, sizeof(line), r->title);
    list = curl_slist_append(list, line);
    snprintf(line, sizeof(line), "Message-ID: <%s@%s>", r->key, x->domain);
    list = curl_slist_append(list, line);
    if (strcmp(r->key, r->create_key) != 0) {
        snprintf(line, sizeof(line), "In-Reply-To: <%s@%s>", r->create_key, x->domain);
        list = curl_slist_append(list, line);
        snprintf(line, sizeof(line), "References: <%s@%s>", r->create_key, x->domain);
        list = curl_slist_append(list, line);
    }
    list = curl_slist_append(list, "Auto-Submitted: auto-generated");
    snprintf(line, sizeof(line), "X-Spanward-Ticket: %s", r->ticket);
    return curl_slist_append(list, line);
}

static void add_text(curl_mime *to, const char *text, const char *type)
{
    curl_mimepart *part = curl_mime_addpart(to);

    curl_mime_data(part, text, CURL_ZERO_TERMINATED);
    curl_mime_type(part, type);
    curl_mime_encoder(part, "quoted-printable");
}

static curl_mime *make_body(CURL *curl, const struct connector_request *r)
{
    curl_mime *mime = curl_mime_init(curl);

    if (r->html != NULL) {
        curl_mime *both = curl_mime_init(curl);
        add_text(both, r->body, "text/plain; charset=utf-8");
        add_text(both, r->html, "text/html; charset=utf-8");
        curl_mimepart *part = curl_mime_addpart(mime);
        curl_mime_subparts(part, both);
        curl_mime_type(part, "multipart/alternative");
    } else {
        add_text(mime, r->body, "text/plain; charset=utf-8");
    }
    for (size_t i = 0; i < r->n_attachments; i++) {
        curl_mimepart *part = curl_mime_addpart(mime);
        curl_mime_data(part, r->attachment[i].data, r->attachment[i].len);
        curl_mime_filename(part, r->attachment[i].name);
        curl_mime_type(part, r->attachment[i].type);
        curl_mime_encoder(part, "base64");
    }
    return mime;
}

static struct curl_slist *recipients(const struct smtp *x)
{
    char list[sizeof(x->to)], *rest = list, *one;
    struct curl_slist *to = NULL;

    memcpy(list, x->to, sizeof(list));
    while ((one = strsep(&rest, ",")) != NULL)
        to = curl_slist_append(to, one + strspn(one, " "));
    return to;
}

static void set_common(CURL *curl, const struct smtp *x)
{
    curl_easy_setopt(curl, CURLOPT_URL, x->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL, x->tls);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, x->timeout_ms);
    if (x->ca_file[0] != '\0')
        curl_easy_setopt(curl, CURLOPT_CAINFO, x->ca_file);
    if (x->user[0] != '\0') {
        curl_easy_setopt(curl, CURLOPT_USERNAME, x->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, x->password);
    }
}

static void classify(CURL *curl, CURLcode code, struct connector_answer *ret)
{
    curl_off_t sent = 0;
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_SIZE_UPLOAD_T, &sent);
    ret->http_status = status;
    if (code == CURLE_OK) {
        ret->outcome = CONNECTOR_DONE;
        return;
    }
    snprintf(ret->text, sizeof(ret->text), "%s (SMTP %ld)", curl_easy_strerror(code), status);
    if (code == CURLE_LOGIN_DENIED || status == 530 || status == 534 || status == 535 || status == 538)
        ret->outcome = CONNECTOR_PAUSE;
    else if (status >= 500 && code != CURLE_USE_SSL_FAILED)
        ret->outcome = CONNECTOR_REFUSED;
    else
        ret->outcome = sent > 0 && status < 400 ? CONNECTOR_DOUBT : CONNECTOR_RETRY;
}

static void smtp_send(void *ctx, const struct connector_request *r, struct connector_answer *ret)
{
    const struct smtp *x = ctx;
    CURL *curl = curl_easy_init();

    if (curl == NULL)
        return;
    struct curl_slist *to = recipients(x), *headers = make_headers(x, r);
    curl_mime *mime = make_body(curl, r);
    set_common(curl, x);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, x->from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, mime);
    classify(curl, curl_easy_perform(curl), ret);
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    curl_slist_free_all(to);
    curl_easy_cleanup(curl);
}

static size_t swallow(char *data, size_t size, size_t n, void *ctx)
{
    (void)data;
    (void)ctx;
    return size * n;
}

static int smtp_check(void *ctx, connector_say_fn *say, void *say_ctx)
{
    const struct smtp *x = ctx;
    struct connector_answer a = {.outcome = CONNECTOR_RETRY};
    CURL *curl = curl_easy_init();
    char what[300];

    if (curl == NULL)
        return -ENOMEM;
    set_common(curl, x);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "NOOP"); /* greets, STARTTLS, authenticates, and nothing else */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    classify(curl, curl_easy_perform(curl), &a);
    curl_easy_cleanup(curl);
    bool good = a.outcome == CONNECTOR_DONE;
    snprintf(what, sizeof(what), good ? "the mail server answers" : "%.200s", a.text);
    say(say_ctx, good, what,
        good                           ? ""
        : a.outcome == CONNECTOR_PAUSE ? "check tickets.smtp.user and its password"
        : x->tls == CURLUSESSL_ALL ? "is it up, does it offer STARTTLS, and is its certificate known (tickets.ca_file)?"
                                   : "is tickets.smtp.url right, and the server up?");
    return good ? 0 : -EIO;
}

const struct connector connector_smtp = {
    .name = "smtp",
    .title = "Mail",
    .can = CONNECTOR_HTML | CONNECTOR_SVG | CONNECTOR_PNG | CONNECTOR_COMMENT,
    .open = smtp_open,
    .close = smtp_close,
    .send = smtp_send,
    .check = smtp_check,
};

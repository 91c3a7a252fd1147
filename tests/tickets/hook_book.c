/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * hook-book PORT BOOK SECRET: a receiver of Standard Webhooks that keeps book. Each request whose signature is right is
 * a line "ID TICKET TYPE VERSION FIRST-SITE" at the end of BOOK, on the disk before the answer, and a line of BOOK.json
 * as it came; a wrong one gets 401 and a line "BAD". What a receiver does with repeats (drop equal ids) is left to
 * whoever reads the book.
 */

#include <fcntl.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct upload {
    char *data;
    size_t len;
};

static int book = -1, whole = -1;
static unsigned char key[128];
static int key_len;

static const char *header(struct MHD_Connection *c, const char *name)
{
    const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);

    return v != NULL ? v : "";
}

static bool is_signed(struct MHD_Connection *c, const struct upload *u)
{
    const char *id = header(c, "webhook-id"), *at = header(c, "webhook-timestamp");
    size_t size = strlen(id) + strlen(at) + u->len + 3;
    unsigned char digest[32], encoded[64] = "v1,";
    unsigned len = 0;
    char *text = malloc(size);

    snprintf(text, size, "%s.%s.", id, at);
    size_t before = strlen(text);
    memcpy(text + before, u->data, u->len);
    HMAC(EVP_sha256(), key, key_len, (unsigned char *)text, before + u->len, digest, &len);
    EVP_EncodeBlock(encoded + 3, digest, (int)len);
    free(text);
    return strcmp((char *)encoded, header(c, "webhook-signature")) == 0;
}

static unsigned keep_book(struct MHD_Connection *c, const struct upload *u)
{
    char line[600];
    json_t *j = is_signed(c, u) ? json_loadb(u->data, u->len, 0, NULL) : NULL;
    const json_t *d = json_object_get(j, "data");
    int len = 4;

    if (json_is_object(d))
        len = snprintf(line, sizeof(line), "%.64s %.24s %.30s %lld %.16s\n", header(c, "webhook-id"),
                       json_string_value(json_object_get(d, "ticket")), json_string_value(json_object_get(j, "type")),
                       (long long)json_integer_value(json_object_get(d, "version")),
                       json_string_value(json_object_get(d, "title")));
    else
        memcpy(line, "BAD\n", 5);
    bool kept = json_is_object(d) && write(whole, u->data, u->len) == (ssize_t)u->len && write(whole, "\n", 1) == 1;
    kept = write(book, line, (size_t)len) == len && fdatasync(book) == 0 && kept;
    json_decref(j);
    return d == NULL ? 401 : kept ? 204 : 500;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    struct upload *u = *state;

    (void)ctx, (void)url, (void)method, (void)version;
    if (u == NULL) {
        *state = calloc(1, sizeof(struct upload));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        u->data = realloc(u->data, u->len + *size + 1);
        memcpy(u->data + u->len, data, *size);
        u->len += *size;
        *size = 0;
        return MHD_YES;
    }
    unsigned status = u->data != NULL ? keep_book(c, u) : 400;
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    free(u->data);
    free(u);
    *state = NULL;
    return queued;
}

int main(int argc, char **argv)
{
    sigset_t set;
    int got;

    if (argc != 4) {
        fputs("usage: hook-book PORT BOOK SECRET\n", stderr);
        return 2;
    }
    const char *text = argv[3] + strlen("whsec_");
    size_t len = strlen(text);
    key_len =
        EVP_DecodeBlock(key, (const unsigned char *)text, (int)len) - (text[len - 1] == '=') - (text[len - 2] == '=');
    book = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char path[1024];
    snprintf(path, sizeof(path), "%s.json", argv[2]);
    whole = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, (uint16_t)strtoul(argv[1], NULL, 10), NULL,
                                            NULL, on_request, NULL, MHD_OPTION_END);
    if (book < 0 || whole < 0 || d == NULL) {
        fputs("hook-book: cannot open the book or listen\n", stderr);
        return 1;
    }
    sigwait(&set, &got);
    MHD_stop_daemon(d);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Backups: anything is refused or taken, never believed. The input's own last line stands for nothing, so that entries
 * are looked at, too: a right one is put behind it.
 */

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/backup.h"

static size_t seal(char *text, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    size_t entries = 0;

    for (size_t i = 0; i < len; i++)
        entries += text[i] == '\n';
    EVP_Digest(text, len, digest, &n, EVP_sha256(), NULL);
    len += (size_t)sprintf(text + len, "{\"entries\":%zu,\"sha256\":\"", entries != 0 ? entries - 1 : 0);
    for (unsigned i = 0; i < n; i++)
        len += (size_t)sprintf(text + len, "%02x", digest[i]);
    return len + (size_t)sprintf(text + len, "\"}\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 256);
    struct backup *b = NULL;
    struct backup_summary s;
    struct error e;

    memcpy(text, data, size);
    if (backup_parse(text, size, &b, &e) == 0)
        backup_free(b);
    if (size != 0 && text[size - 1] == '\n') {
        size_t len = seal(text, size);
        if (backup_parse(text, len, &b, &e) == 0) {
            backup_summary_get(b, &s);
            assert(s.keys <= s.entries && s.bytes == len);
            backup_free(b);
        }
    }
    free(text);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* Any text in every notation, and HTML and documents read back. */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "control/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), line[100];

    memcpy(text, data, size);
    text[size] = '\0';
    char *html = content_html(text), *wiki = content_wiki(text), *journal = content_journal(text);
    char *read = content_from_html(text);
    json_t *doc = content_adf(text);
    char *back = content_from_adf(doc);
    char *dumped = json_dumps(doc, 0); /* valid UTF-8, whatever came in */
    assert(html != NULL && wiki != NULL && journal != NULL && read != NULL && back != NULL && dumped != NULL);
    assert(strstr(html, "<script") == NULL && strstr(wiki, "\n{") == NULL);
    assert(strlen(content_line(line, sizeof(line), text)) < sizeof(line) && strchr(line, '\n') == NULL);
    content_clip(text, size % 50 + 1);
    free(dumped);
    free(back);
    json_decref(doc);
    free(read);
    free(journal);
    free(wiki);
    free(html);
    free(text);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* Reading top lists: the lists that start in a range of time, merged, each flow once. */

#include "store/schema.h"

#include <errno.h>
#include <stdlib.h>
#include "common/timefmt.h"
#include "store/schema_read.h"

/* Merging top lists: all flows of all lists, then sorted and made unique. Owner: the read in progress. */
struct tops {
    struct schema_flow *flow;
    size_t n, size;
    struct schema_skipped *skipped;
    int result;
};

static void add_flow(struct tops *x, uint64_t score, const char *json, size_t len)
{
    if (x->n == x->size) {
        size_t size = x->size != 0 ? 2 * x->size : 128;
        struct schema_flow *p = realloc(x->flow, size * sizeof(*p));
        if (p == NULL) {
            x->result = -ENOMEM;
            return;
        }
        x->flow = p;
        x->size = size;
    }
    char *copy = strndup(json, len);
    if (copy == NULL)
        x->result = -ENOMEM;
    else
        x->flow[x->n++] = (struct schema_flow){score, copy};
}

static void on_top(void *ctx, size_t index, const struct store_reply *r)
{
    struct tops *x = ctx;
    size_t len;
    const char *text = store_reply_string(r, &len);
    const char *end = text + len;

    (void)index;
    if (store_reply_type(r) != STORE_STRING)
        return;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        const char *tab = line_end != NULL ? memchr(text, '\t', (size_t)(line_end - text)) : NULL;
        uint64_t score;
        if (tab == NULL || !read_parse_u64(text, (size_t)(tab - text), &score) || tab[1] != '{')
            x->skipped->corrupt++;
        else
            add_flow(x, score, tab + 1, (size_t)(line_end - tab) - 1);
        text = line_end != NULL ? line_end + 1 : end;
    }
}

static int compare_flows(const void *a, const void *b)
{
    const struct schema_flow *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return strcmp(x->json, y->json);
}

static size_t sort_unique(struct schema_flow *flow, size_t n, size_t max)
{
    size_t kept = 0;

    if (n > 0)
        qsort(flow, n, sizeof(*flow), compare_flows);
    for (size_t i = 0; i < n; i++) {
        if (kept < max && (kept == 0 || compare_flows(&flow[kept - 1], &flow[i]) != 0))
            flow[kept++] = flow[i];
        else
            free(flow[i].json);
    }
    return kept;
}

/* Appends a GET for each list of the index that starts in the range: members are "tier:start". */
static int append_tops(struct store *s, const char *sensor, enum schema_top kind, const struct store_reply *index,
                       struct schema_skipped *skipped)
{
    int result = 0;

    for (size_t i = 0; i < store_reply_count(index) && result == 0; i++) {
        char member[48], key[KEY_BYTES];
        struct command c;
        uint64_t start_s;
        read_text(store_reply_element(index, i), member, sizeof(member));
        char *colon = strchr(member, ':');
        bool minute = strncmp(member, "1min:", 5) == 0;
        if (colon == NULL || (!minute && strncmp(member, "1h:", 3) != 0) ||
            !read_parse_u64(colon + 1, strlen(colon + 1), &start_s)) {
            skipped->foreign++;
            continue;
        }
        command_start(&c, "GET", key, key_top(key, sensor, kind, minute ? SCHEMA_1MIN : SCHEMA_1H, start_s));
        result = command_append(&c, s);
    }
    return result;
}

int schema_top_read(struct store *s, const char *sensor, enum schema_top kind, uint64_t since_ns, uint64_t until_ns,
                    size_t max, struct schema_flow **ret_flows, size_t *ret_n, struct schema_skipped *skipped,
                    struct error *e)
{
    struct schema_skipped ignored = {0};
    struct tops x = {.skipped = skipped != NULL ? skipped : &ignored};
    struct store_reply *index = NULL;
    struct command c;
    char key[KEY_BYTES];

    *ret_flows = NULL;
    *ret_n = 0;
    if (until_ns == 0)
        return 0;
    command_start(&c, "ZRANGEBYSCORE", key, key_sensor(key, sensor, "tops"));
    command_u64(&c, since_ns / NS_PER_S);
    command_u64(&c, (until_ns - 1) / NS_PER_S);
    int result = read_ask(s, &c, STORE_ARRAY, &index, e);
    if (result != 0)
        return result;
    result = append_tops(s, sensor, kind, index, x.skipped);
    store_reply_free(index);
    if (result != 0)
        read_discard(s, result, e);
    else if (store_flush(s, on_top, &x) != 0)
        result = read_connection_lost(e);
    else if (x.result != 0)
        result = error_set(e, -ENOMEM, "no memory for flows");
    if (result != 0) {
        schema_flows_free(x.flow, x.n);
        return result;
    }
    *ret_n = sort_unique(x.flow, x.n, max);
    *ret_flows = x.flow;
    return 0;
}

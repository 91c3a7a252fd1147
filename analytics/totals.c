/* SPDX-License-Identifier: BSD-3-Clause */

/* See totals.h. The order (scope, bytes, key) is total, so the same traffic gives the same output for any number of
 * workers. */

#include "analytics/totals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Objects with the place of their scope in the output. */
struct sorted {
    const struct object *x;
    uint64_t bytes;
    unsigned rank;
};

static int compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return memcmp(&x->x->key, &y->x->key, sizeof(x->x->key));
}

static struct sorted *sort_objects(const struct objects *o, const unsigned rank[WINDOW_SCOPE_COUNT])
{
    struct sorted *s = malloc((o->n + 1) * sizeof(*s));

    if (s == NULL)
        return NULL;
    for (size_t i = 0; i < o->n; i++)
        s[i] =
            (struct sorted){o->at[i], o->at[i]->c.dir[0].bytes + o->at[i]->c.dir[1].bytes, rank[o->at[i]->key.scope]};
    qsort(s, o->n, sizeof(*s), compare);
    return s;
}

void totals_write(const struct objects *totals, const struct object_names *names, struct ndjson *out,
                  struct json_text *j)
{
    static const unsigned rank[WINDOW_SCOPE_COUNT] = {
        [WINDOW_PATH] = 0, [WINDOW_SERVICE] = 1, [WINDOW_HOST] = 2,   [WINDOW_CIRCUIT] = 3,
        [WINDOW_VLAN] = 4, [WINDOW_TUNNEL] = 5,  [WINDOW_MIRROR] = 6,
    };
    struct sorted *s = sort_objects(totals, rank);

    if (s == NULL && out->result == 0)
        out->result = error_set(&out->error, -ENOMEM, "no memory for the records");
    for (size_t i = 0; s != NULL && i < totals->n; i++) {
        struct window w = {0};
        object_to_window(s[i].x, names, &w);
        ndjson_window(j, &w);
        ndjson_put(out, j);
    }
    free(s);
}

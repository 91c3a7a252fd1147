/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See circuits.h. A circuit's window is made of its paths' parts, turned so that direction 0 comes from the circuit's
 * site and side A of the tap is that site: lost_upstream of direction 0 and lost_downstream of direction 1 were lost
 * between the site and the tap, which is where the circuit is.
 *
 * Limits. The 1 ms peak is the largest of the paths' peaks, a lower bound when several paths burst together. Traffic
 * within one site does not cross its circuit and is not counted. The tap sees what passes the mirror, not what the site
 * sends elsewhere over the same circuit.
 */

#include "analytics/circuits.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static int compare_sites(const void *a, const void *b, void *ctx)
{
    const struct circuits *c = ctx;
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    int order = strcmp(c->names->circuits[x].site, c->names->circuits[y].site);

    return order != 0 ? order : (x > y) - (x < y);
}

int circuits_init(struct circuits *c, const struct object_names *names)
{
    size_t n = names->n_circuits;

    *c = (struct circuits){.names = names, .by_site = calloc(n + 1, sizeof(*c->by_site))};
    if (c->by_site == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++)
        c->by_site[i] = i;
    qsort_r(c->by_site, n, sizeof(*c->by_site), compare_sites, c);
    return 0;
}

void circuits_fini(struct circuits *c)
{
    free(c->by_site);
    *c = (struct circuits){0};
}

/* The first entry of by_site whose site is not before `site`. */
static size_t lower_bound(const struct circuits *c, const char *site)
{
    size_t from = 0, to = c->names->n_circuits;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(c->names->circuits[c->by_site[middle]].site, site) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool fits(const struct circuits *c, const struct config_circuit *x, uint32_t mirror, const char *peer)
{
    if (x->mirror != NULL && (mirror >= c->names->n_mirrors || strcmp(x->mirror, c->names->mirrors[mirror]) != 0))
        return false;
    return x->peer == NULL || fnmatch(x->peer, peer, 0) == 0;
}

int circuits_find(const struct circuits *c, const struct rec_scope *path, unsigned side)
{
    char site[SITE_NAME_BYTES], peer[SITE_NAME_BYTES];

    if (c->names->n_circuits == 0 || memcmp(&path->site[0], &path->site[1], sizeof(path->site[0])) == 0)
        return -1;
    site_name(c->names->sites, path->site[side], site);
    site_name(c->names->sites, path->site[1 - side], peer);
    for (size_t i = lower_bound(c, site); i < c->names->n_circuits; i++) {
        const struct config_circuit *x = &c->names->circuits[c->by_site[i]];
        if (strcmp(x->site, site) != 0)
            break;
        if (fits(c, x, path->mirror, peer))
            return (int)c->by_site[i];
    }
    return -1;
}

/* side 1: the site is side B of the path, so directions and sides change places. */
static int add_turned(struct object *x, const struct rec_window *part, unsigned side)
{
    const struct hist_item *items = (const struct hist_item *)(const void *)(part + 1);
    struct window_counters counters = part->c;
    int result = 0;

    if (side == 1) {
        counters.dir[0] = part->c.dir[1];
        counters.dir[1] = part->c.dir[0];
    }
    window_counters_merge(&x->c, &counters);
    for (unsigned h = 0; h < WINDOW_HIST_COUNT && result == 0; h++) {
        bool is_side = h == WINDOW_HIST_RTT_A || h == WINDOW_HIST_RTT_B;
        unsigned to = side == 1 && is_side ? WINDOW_HIST_RTT_A + WINDOW_HIST_RTT_B - h : h;
        result = sparse_hist_add(&x->hist[to], part->hist[h].n, part->hist[h].sum_ns, part->hist[h].min_ns,
                                 part->hist[h].max_ns, items, part->hist[h].n_items);
        items += part->hist[h].n_items;
    }
    return result;
}

int circuits_add_part(const struct circuits *c, struct objects *into, const struct rec_window *part)
{
    int result = 0;

    if (part->key.scope != WINDOW_PATH)
        return 0;
    for (unsigned side = 0; side < 2 && result == 0; side++) {
        int circuit = circuits_find(c, &part->key, side);
        if (circuit < 0)
            continue;
        struct rec_scope key = object_key_of_circuit((unsigned)circuit);
        struct object *x = objects_get(into, &key);
        result = x != NULL ? add_turned(x, part, side) : -ENOMEM;
    }
    return result;
}

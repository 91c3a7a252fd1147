/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sites by longest prefix. All prefixes are in one open-addressed hash table keyed by (family, length, masked
 * address), at most half full. A look-up probes it once for each prefix length in use, longest first: a handful of
 * lengths in any real plan, so a handful of probes per new flow, and no trie to balance. (Waldvogel et al.,
 * "Scalable High Speed IP Routing Lookups", 1997, without its binary search, which needs more lengths to pay.)
 *
 * Site names are found through a tree (tsearch) while the table is built; a site's index never changes.
 */

#include "common/site.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define MAX_SITES   65000u
#define FIRST_SLOTS 64u

/* Owner: the table. key.named == 0: the slot is empty; else 1 + site index, and the other fields are the prefix. */
struct slot {
    struct site_id key;
};

struct site {
    uint16_t index;
    char name[SITE_NAME_BYTES];
};

/* Invariant: a power of two of slots, at most half of them used; after finish nothing changes and threads may share it.
 */
struct site_table {
    struct slot *slots;
    size_t n_slots, n_used;
    struct site **sites;
    size_t n_sites, sites_room;
    void *by_name;
    bool length_used[2][129]; /* [0] IPv4, [1] IPv6 */
    uint8_t lengths[2][129];  /* those in use, longest first */
    unsigned n_lengths[2];
};

struct site_table *site_table_new(void)
{
    struct site_table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->slots = calloc(FIRST_SLOTS, sizeof(*t->slots));
    t->n_slots = FIRST_SLOTS;
    if (t->slots == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

static void keep(void *unused)
{
    (void)unused; /* the sites belong to t->sites, the tree has only its nodes to free */
}

void site_table_free(struct site_table *t)
{
    if (t == NULL)
        return;
    tdestroy(t->by_name, keep);
    for (size_t i = 0; i < t->n_sites; i++)
        free(t->sites[i]);
    free(t->sites);
    free(t->slots);
    free(t);
}

/* The first n bits of a word, all of them from 64 on. */
static uint64_t first_bits(unsigned n)
{
    return n < 64 ? ~(UINT64_MAX >> n) : UINT64_MAX;
}

static struct ip_addr mask_addr(const struct ip_addr *addr, unsigned prefix_len)
{
    struct ip_addr r;

    store_be64(r.byte, load_be64(addr->byte) & first_bits(prefix_len));
    store_be64(r.byte + 8, load_be64(addr->byte + 8) & first_bits(prefix_len > 64 ? prefix_len - 64 : 0));
    return r;
}

/* The slot with that prefix, or the empty one where it belongs. `masked` has no bits beyond prefix_len. */
static struct slot *find_slot(const struct site_table *t, uint8_t af, uint8_t prefix_len, const struct ip_addr *masked)
{
    uint64_t h = fold64(load_be64(masked->byte) ^ 0x9e3779b97f4a7c15ull,
                        load_be64(masked->byte + 8) ^ 0xc2b2ae3d27d4eb4full ^ (af * 256u + prefix_len));

    for (size_t i = h & (t->n_slots - 1);; i = (i + 1) & (t->n_slots - 1)) {
        struct slot *s = &t->slots[i];
        if (s->key.named == 0 ||
            (s->key.af == af && s->key.prefix_len == prefix_len && memcmp(&s->key.addr, masked, sizeof(*masked)) == 0))
            return s;
    }
}

static int grow_slots(struct site_table *t)
{
    struct slot *old = t->slots;
    size_t n_old = t->n_slots;
    struct slot *slots = calloc(n_old * 2, sizeof(*slots));

    if (slots == NULL)
        return -ENOMEM;
    t->slots = slots;
    t->n_slots = n_old * 2;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].key.named != 0)
            *find_slot(t, old[i].key.af, old[i].key.prefix_len, &old[i].key.addr) = old[i];
    free(old);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct site *)a)->name, ((const struct site *)b)->name);
}

static int find_or_add_site(struct site_table *t, const char *name, uint16_t *ret_index)
{
    struct site *s = calloc(1, sizeof(*s));
    struct site **found;
    int r = -ENOMEM;

    if (s == NULL)
        return -ENOMEM;
    memcpy(s->name, name, strlen(name) + 1);
    found = tfind(s, &t->by_name, compare_names);
    if (found != NULL) {
        *ret_index = (*found)->index;
        free(s);
        return 0;
    }
    if (t->n_sites >= MAX_SITES) {
        r = -E2BIG;
        goto fail;
    }
    if (t->n_sites == t->sites_room) {
        size_t room = t->sites_room == 0 ? 16 : t->sites_room * 2;
        struct site **sites = reallocarray(t->sites, room, sizeof(struct site *));
        if (sites == NULL)
            goto fail;
        t->sites = sites;
        t->sites_room = room;
    }
    s->index = (uint16_t)t->n_sites;
    if (tsearch(s, &t->by_name, compare_names) == NULL)
        goto fail;
    t->sites[t->n_sites++] = s;
    *ret_index = s->index;
    return 0;
fail:
    free(s);
    return r;
}

int site_table_add(struct site_table *t, const char *name, const char *cidr)
{
    struct ip_addr addr;
    uint8_t af, prefix_len;
    uint16_t index;

    if (name[0] == '\0' || strlen(name) >= SITE_NAME_BYTES)
        return -EINVAL;
    int r = ip_parse_cidr(cidr, &addr, &af, &prefix_len);
    if (r < 0)
        return r;
    if (2 * (t->n_used + 1) > t->n_slots && (r = grow_slots(t)) < 0)
        return r;
    struct slot *s = find_slot(t, af, prefix_len, &addr);
    if (s->key.named != 0)
        return strcmp(t->sites[s->key.named - 1]->name, name) == 0 ? 0 : -EEXIST;
    r = find_or_add_site(t, name, &index);
    if (r < 0)
        return r;
    s->key = (struct site_id){.named = (uint16_t)(index + 1), .af = af, .prefix_len = prefix_len, .addr = addr};
    t->n_used++;
    t->length_used[af == 6][prefix_len] = true;
    return 0;
}

void site_table_finish(struct site_table *t)
{
    for (int v6 = 0; v6 < 2; v6++) {
        t->n_lengths[v6] = 0;
        for (int len = 128; len >= 0; len--)
            if (t->length_used[v6][len])
                t->lengths[v6][t->n_lengths[v6]++] = (uint8_t)len;
    }
}

struct site_id site_lookup(const struct site_table *t, const struct ip_addr *addr, uint8_t af)
{
    int v6 = af == 6;

    for (unsigned i = 0; i < t->n_lengths[v6]; i++) {
        struct ip_addr masked = mask_addr(addr, t->lengths[v6][i]);
        const struct slot *s = find_slot(t, af, t->lengths[v6][i], &masked);
        if (s->key.named != 0)
            return (struct site_id){.named = s->key.named};
    }
    uint8_t automatic = v6 ? 48 : 24;
    return (struct site_id){.af = af, .prefix_len = automatic, .addr = mask_addr(addr, automatic)};
}

void site_name(const struct site_table *t, struct site_id id, char *ret_name)
{
    char text[INET6_ADDRSTRLEN];

    if (id.named != 0) {
        assert(id.named <= t->n_sites);
        snprintf(ret_name, SITE_NAME_BYTES, "%s", t->sites[id.named - 1]->name);
    } else {
        snprintf(ret_name, SITE_NAME_BYTES, "%s/%u", ip_format(&id.addr, id.af, text), id.prefix_len);
    }
}

size_t site_count(const struct site_table *t)
{
    return t->n_sites;
}

char *ip_format(const struct ip_addr *addr, uint8_t af, char *buf)
{
    if (inet_ntop(af == 6 ? AF_INET6 : AF_INET, addr->byte, buf, INET6_ADDRSTRLEN) == NULL)
        strcpy(buf, "?");
    return buf;
}

int ip_parse_cidr(const char *text, struct ip_addr *ret_addr, uint8_t *ret_af, uint8_t *ret_prefix_len)
{
    const char *slash = strchr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
    char host[INET6_ADDRSTRLEN];
    struct ip_addr addr = {0};

    if (n >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';
    bool v6 = memchr(host, ':', n) != NULL;
    unsigned max_len = v6 ? 128 : 32, len = max_len;

    if (inet_pton(v6 ? AF_INET6 : AF_INET, host, addr.byte) != 1)
        return -EINVAL;
    if (slash != NULL) {
        len = 0;
        if (slash[1] == '\0' || (slash[1] == '0' && slash[2] != '\0'))
            return -EINVAL;
        for (const char *p = slash + 1; *p != '\0'; p++) {
            if (*p < '0' || *p > '9')
                return -EINVAL;
            len = len * 10 + (unsigned)(*p - '0');
            if (len > max_len)
                return -EINVAL;
        }
    }
    struct ip_addr masked = mask_addr(&addr, len);
    if (memcmp(&masked, &addr, sizeof(addr)) != 0)
        return -EINVAL;
    *ret_addr = addr;
    *ret_af = v6 ? 6 : 4;
    *ret_prefix_len = (uint8_t)len;
    return 0;
}

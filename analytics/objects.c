/* SPDX-License-Identifier: BSD-3-Clause */

/* See objects.h. Keys are compared as bytes: struct rec_scope has no hidden padding and unused fields are zero. */

#include "analytics/objects.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "common/bytes.h"

/* Memory is bounded by these, not by the traffic: about 0.6 KB each and tier. */
#define LIMIT_MIRRORS  64
#define LIMIT_PATHS    65536
#define LIMIT_SERVICES 65536
#define LIMIT_HOSTS    65536
#define LIMIT_CIRCUITS 16384
#define LIMIT_VLANS    16384
#define LIMIT_TUNNELS  16384

#define SLAB_FIRST     16u /* objects */
#define MAPPING_LEAST  ((size_t)4 << 20)

static_assert(sizeof(struct rec_scope) == 56, "compared as bytes and hashed as words");

void objects_init(struct objects *o, uint64_t seed)
{
    *o = (struct objects){.seed = seed,
                          .limit = {[WINDOW_MIRROR] = LIMIT_MIRRORS,
                                    [WINDOW_PATH] = LIMIT_PATHS,
                                    [WINDOW_SERVICE] = LIMIT_SERVICES,
                                    [WINDOW_HOST] = LIMIT_HOSTS,
                                    [WINDOW_CIRCUIT] = LIMIT_CIRCUITS,
                                    [WINDOW_VLAN] = LIMIT_VLANS,
                                    [WINDOW_TUNNEL] = LIMIT_TUNNELS}};
}

static size_t slab_objects(size_t i)
{
    return (size_t)SLAB_FIRST << i;
}

/* Large ones are mappings of their own, in huge pages where the system lends them. */
static bool is_mapping(size_t i)
{
    return slab_objects(i) * sizeof(struct object) >= MAPPING_LEAST;
}

static struct object *new_slab(size_t i)
{
    size_t bytes = slab_objects(i) * sizeof(struct object);

    if (!is_mapping(i))
        return calloc(1, bytes);
    void *slab = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED)
        return NULL;
    madvise(slab, bytes, MADV_HUGEPAGE);
    return slab;
}

static void free_slab(struct objects *o, size_t i)
{
    if (is_mapping(i))
        munmap(o->slab[i], slab_objects(i) * sizeof(struct object));
    else
        free(o->slab[i]);
}

void objects_clear(struct objects *o)
{
    for (size_t i = 0; i < o->n; i++) {
        for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
            sparse_hist_fini(&o->at[i]->hist[h]);
    }
    for (; o->n_slabs != 0; o->n_slabs--)
        free_slab(o, o->n_slabs - 1);
    o->n = o->room = 0;
    memset(o->per_scope, 0, sizeof(o->per_scope));
    if (o->n_slots != 0)
        memset(o->slot, 0, o->n_slots * sizeof(*o->slot));
}

void objects_fini(struct objects *o)
{
    objects_clear(o);
    free(o->at);
    free(o->slot);
    o->at = NULL;
    o->slot = NULL;
    o->size = o->n_slots = 0;
}

static uint64_t hash_key(const struct objects *o, const struct rec_scope *key)
{
    uint64_t w[7], h = o->seed;

    memcpy(w, key, sizeof(w));
    for (unsigned i = 0; i < 7; i++)
        h = mix64(h ^ w[i]);
    return h;
}

static uint64_t slot_value(uint64_t hash, size_t index)
{
    return (hash & ~(uint64_t)UINT32_MAX) | (uint32_t)(index + 1);
}

static struct object *object_in(const struct objects *o, uint64_t slot)
{
    return o->at[(uint32_t)slot - 1];
}

/* The slot of key, or the empty one where it belongs. Another key is seen by its hash nearly always, without its
 * object. */
static uint64_t *find_slot(const struct objects *o, uint64_t hash, const struct rec_scope *key)
{
    size_t mask = o->n_slots - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint64_t slot = o->slot[i];
        if (slot == 0 || ((slot ^ hash) >> 32 == 0 && memcmp(&object_in(o, slot)->key, key, sizeof(*key)) == 0))
            return &o->slot[i];
    }
}

static int grow(struct objects *o)
{
    size_t size = o->size != 0 ? 2 * o->size : 64;
    struct object **at = realloc(o->at, size * sizeof(struct object *));

    if (at == NULL)
        return -ENOMEM;
    o->at = at;
    uint64_t *slot = calloc(2 * size, sizeof(*slot));
    if (slot == NULL)
        return -ENOMEM;
    free(o->slot);
    o->slot = slot;
    o->n_slots = 2 * size;
    o->size = size;
    for (size_t i = 0; i < o->n; i++) {
        uint64_t hash = hash_key(o, &o->at[i]->key);
        *find_slot(o, hash, &o->at[i]->key) = slot_value(hash, i);
    }
    return 0;
}

static struct object *new_object(struct objects *o)
{
    if (o->room == 0) {
        struct object *slab = o->n_slabs < OBJECT_SLABS ? new_slab(o->n_slabs) : NULL;
        if (slab == NULL)
            return NULL;
        o->room = slab_objects(o->n_slabs);
        o->slab[o->n_slabs++] = slab;
    }
    size_t last = o->n_slabs - 1;
    return &o->slab[last][slab_objects(last) - o->room--];
}

struct object *objects_get(struct objects *o, const struct rec_scope *key)
{
    struct rec_scope other = {.scope = key->scope};
    uint64_t hash = hash_key(o, key);

    if (o->n == o->size && grow(o) != 0)
        return NULL;
    uint64_t *slot = find_slot(o, hash, key);
    if (*slot != 0)
        return object_in(o, *slot);
    if (o->per_scope[key->scope] >= o->limit[key->scope]) {
        key = &other;
        hash = hash_key(o, key);
        slot = find_slot(o, hash, key);
        if (*slot != 0)
            return object_in(o, *slot);
    }
    struct object *x = new_object(o);
    if (x == NULL)
        return NULL;
    x->key = *key;
    *slot = slot_value(hash, o->n);
    o->at[o->n++] = x;
    o->per_scope[key->scope]++;
    return x;
}

int object_merge(struct object *into, const struct object *from)
{
    int result = 0;

    window_counters_merge(&into->c, &from->c);
    for (unsigned h = 0; h < WINDOW_HIST_COUNT && result == 0; h++)
        result = sparse_hist_merge(&into->hist[h], &from->hist[h]);
    return result;
}

int objects_merge(struct objects *into, const struct objects *from)
{
    int result = 0;

    for (size_t i = 0; i < from->n && result == 0; i++) {
        struct object *x = objects_get(into, &from->at[i]->key);
        result = x != NULL ? object_merge(x, from->at[i]) : -ENOMEM;
    }
    return result;
}

/* Which fields of a key tell apart the objects of a scope; the others are zero. */
enum { USES_MIRROR = 1, USES_SITE_0 = 2, USES_SITE_1 = 4, USES_SERVICE = 8 };
static const uint8_t scope_uses[WINDOW_SCOPE_COUNT] = {
    [WINDOW_MIRROR] = USES_MIRROR,
    [WINDOW_PATH] = USES_SITE_0 | USES_SITE_1,
    [WINDOW_SERVICE] = USES_SERVICE,
    [WINDOW_HOST] = USES_SITE_0,
    [WINDOW_CIRCUIT] = USES_SERVICE, /* named: 1 + its number in the configuration */
    [WINDOW_VLAN] = USES_MIRROR | USES_SERVICE,
    [WINDOW_TUNNEL] = USES_SITE_0 | USES_SITE_1 | USES_SERVICE,
};

bool object_key_normalise(struct rec_scope *ret_key, const struct rec_scope *key)
{
    struct rec_scope k = {.scope = key->scope};

    if (key->scope >= WINDOW_SCOPE_COUNT)
        return false;
    if (scope_uses[key->scope] & USES_MIRROR)
        k.mirror = key->mirror;
    if (scope_uses[key->scope] & USES_SITE_0)
        k.site[0] = key->site[0];
    if (scope_uses[key->scope] & USES_SITE_1)
        k.site[1] = key->site[1];
    if (scope_uses[key->scope] & USES_SERVICE)
        k.service = key->service;
    *ret_key = k;
    return true;
}

struct rec_scope object_key_of_circuit(unsigned circuit)
{
    return (struct rec_scope){.scope = WINDOW_CIRCUIT, .service.named = (uint16_t)(circuit + 1)};
}

struct rec_scope object_key_of_host(const struct ip_addr *addr, uint8_t af)
{
    struct rec_scope k = {.scope = WINDOW_HOST};

    k.site[0].af = af;
    k.site[0].prefix_len = af == 6 ? 128 : 32;
    k.site[0].addr = *addr;
    return k;
}

/* What found no room has no identity at all. */
static bool is_other(const struct rec_scope *key)
{
    bool no_site = key->site[0].named == 0 && key->site[0].af == 0;
    bool no_service = key->service.named == 0 && key->service.proto == 0 && key->service.port == 0;
    uint8_t uses = scope_uses[key->scope];

    return (!(uses & USES_SITE_0) || no_site) && (!(uses & USES_SERVICE) || no_service);
}

static void vlan_name(const struct object_names *names, const struct rec_scope *key, char *ret_name)
{
    char mirror[WINDOW_NAME_BYTES - 16] = "", inner[8] = "";

    if (names->n_mirrors > 1 && key->mirror < names->n_mirrors)
        snprintf(mirror, sizeof(mirror), "%s/", names->mirrors[key->mirror]);
    if (key->service.named != 0)
        snprintf(inner, sizeof(inner), ".%u", (key->service.named - 1u) & 0xfff);
    snprintf(ret_name, WINDOW_NAME_BYTES, "%s%u%s", mirror, key->service.port & 0xfffu, inner);
}

/* "vxlan/100 192.0.2.1~192.0.2.2", "mpls/16", "ipip 192.0.2.1~192.0.2.2" */
static void tunnel_name(const struct rec_scope *key, char *ret_name)
{
    uint32_t id = (uint32_t)key->service.named << 16 | key->service.port;
    char number[16] = "", ends[100] = "", a[46], b[46];

    if (id != 0)
        snprintf(number, sizeof(number), "/%u", id);
    if (key->site[0].af != 0)
        snprintf(ends, sizeof(ends), " %s~%s", ip_format(&key->site[0].addr, key->site[0].af, a),
                 ip_format(&key->site[1].addr, key->site[1].af, b));
    snprintf(ret_name, WINDOW_NAME_BYTES, "%s%s%s",
             key->service.proto < TUNNEL_COUNT ? tunnel_type_name(key->service.proto) : "tunnel", number, ends);
}

static void mirror_name(const struct object_names *names, uint32_t mirror, char *ret_name)
{
    if (mirror < names->n_mirrors)
        snprintf(ret_name, WINDOW_NAME_BYTES, "%s", names->mirrors[mirror]);
    else
        snprintf(ret_name, WINDOW_NAME_BYTES, "mirror-%u", mirror);
}

void object_name(const struct object_names *names, const struct rec_scope *key, char ret_name[WINDOW_NAME_BYTES])
{
    char a[SITE_NAME_BYTES], b[SITE_NAME_BYTES];

    if (key->scope == WINDOW_MIRROR) {
        mirror_name(names, key->mirror, ret_name);
    } else if (is_other(key)) {
        snprintf(ret_name, WINDOW_NAME_BYTES, "(other)");
    } else if (key->scope == WINDOW_PATH) {
        site_name(names->sites, key->site[0], a);
        site_name(names->sites, key->site[1], b);
        snprintf(ret_name, WINDOW_NAME_BYTES, "%s~%s", a, b);
    } else if (key->scope == WINDOW_SERVICE) {
        service_name(names->services, key->service, ret_name);
    } else if (key->scope == WINDOW_CIRCUIT) {
        snprintf(ret_name, WINDOW_NAME_BYTES, "%s", names->circuits[key->service.named - 1].id);
    } else if (key->scope == WINDOW_VLAN) {
        vlan_name(names, key, ret_name);
    } else if (key->scope == WINDOW_TUNNEL) {
        tunnel_name(key, ret_name);
    } else {
        ip_format(&key->site[0].addr, key->site[0].af, ret_name);
    }
}

void object_to_window(const struct object *x, const struct object_names *names, struct window *ret_window)
{
    struct window *w = ret_window;

    w->scope = x->key.scope;
    w->c = x->c;
    w->quality = window_quality_of(&x->c);
    object_name(names, &x->key, w->name);
    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
        sparse_hist_quantiles(&x->hist[h], &w->q[h]);
}

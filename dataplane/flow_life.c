/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How a flow begins and ends, which is none of a packet's usual business.
 *
 * At its beginning it learns what no later packet changes: who is the client, between which sites it goes, which
 * service, VLAN and tunnel it counts in, so that a packet counts by index. It ends when it is idle for too long,
 * closed, active for so long that a part of it is reported, taken over by another connection on its ports, evicted, or
 * when the input ends; then its record leaves.
 */

#include <string.h>

#include "dataplane/clean.h"
#include "dataplane/export.h"
#include "dataplane/extra.h"
#include "dataplane/icmp.h"
#include "dataplane/tcp_loss.h"
#include "dataplane/worker_state.h"

#define SWEEP_MAX    256u /* records looked at per burst, and how many of them may be live: bounded work */
#define EXPIRE_MAX   64u
#define FINISH_AHEAD 8u /* records fetched in front of the one that ends */

/* ---- the end ---- */

static enum flow_end closed_end(const struct flow *f, enum flow_end otherwise)
{
    if (!(f->flags & FLOW_CLOSED))
        return otherwise;
    return f->reset ? FLOW_END_RST : FLOW_END_FIN;
}

static struct service_id service_of(struct worker *w, const struct flow *f, const struct flow_key *key)
{
    return service_lookup(w->o.services, key->proto, key->kind == KEY_PORTS ? key->port[1 - f->client] : 0,
                          &key->addr[1 - f->client], key->af);
}

/* The tags of the first packet: its VLAN's window tells them, or else a node does. */
static void fill_vlans(struct worker *w, const struct flow *f, uint16_t vlan[MAX_VLANS])
{
    const struct extra *x = extra_of(f, &w->pools.node);
    const struct rec_scope *key = &w->agg[METER_VLAN].id[f->vlan_agg].key;

    if (x != NULL) {
        memcpy(vlan, x->vlan, sizeof(x->vlan));
    } else if (f->vlan_agg != 0) {
        vlan[0] = key->service.port;
        vlan[1] = key->service.named != 0 ? (uint16_t)(key->service.named - 1) : 0;
    }
}

/* In place, as meter_start does it. */
static inline void fill_names(struct worker *w, const struct flow *f, struct flow_names *names)
{
    const struct rec_scope *path = &w->agg[METER_PATH].id[f->path].key;

    flow_key_of(&w->table, f, &names->key);
    names->service = f->service != 0 ? w->agg[METER_SERVICE].id[f->service].key.service : service_of(w, f, &names->key);
    for (unsigned e = 0; e < 2; e++)
        names->site[e] =
            f->path != 0 ? path->site[e != f->path_a] : site_lookup(w->o.sites, &names->key.addr[e], names->key.af);
    memset(names->vlan, 0, sizeof(names->vlan));
    if (f->n_vlans != 0)
        fill_vlans(w, f, names->vlan);
}

void flow_end(struct worker *w, uint32_t index, enum flow_end end)
{
    struct flow *f = flow_at(&w->table, index);

    clean_settle(w);
    struct flow_names names;
    struct meter m;
    fill_names(w, f, &names);
    meter_init(w, &m, f, NULL, &names.key, f->last_ns);

    if (f->key.proto == 6)
        tcp_finish(&m);
    icmp_finish(&m);
    METER_TALLY(&m, ended_flows, 1);
    if (!flow_is_two_way(f))
        METER_TALLY(&m, one_way_flows, 1);
    export_flow(&m, &names, &w->dns, &w->o.writer, closed_end(f, end));
    agg_put(&w->agg[METER_PATH], f->path);
    agg_put(&w->agg[METER_SERVICE], f->service);
    if (f->flags & FLOW_IN_VLAN)
        agg_put(&w->agg[METER_VLAN], f->vlan_agg);
    if (f->flags & FLOW_IN_TUNNEL)
        agg_put(&w->agg[METER_TUNNEL], f->key.tunnel_agg);
    flow_table_release(&w->table, index);
}

uint64_t flow_idle_ns(const struct worker *w, const struct flow *f)
{
    if (f->flags & FLOW_CLOSED)
        return w->o.closed_linger_ns;
    return f->key.proto == 6 ? w->o.tcp_idle_ns : w->o.other_idle_ns;
}

static bool is_idle(const struct worker *w, const struct flow *f)
{
    return f->last_ns + flow_idle_ns(w, f) < w->clock_ns;
}

/* As many records as make a round of the table in flow_table_round_ns, within bounds. */
void flows_expire(struct worker *w)
{
    uint64_t passed_ns = w->clock_ns - w->swept_ns, round_ns = flow_table_round_ns(&w->table);
    uint64_t due = passed_ns >= round_ns ? w->table.fresh : w->table.fresh * passed_ns / round_ns;
    uint32_t records = due < SWEEP_MAX ? (uint32_t)due : SWEEP_MAX;

    if (records == 0)
        return;
    w->swept_ns = w->clock_ns;
    for (unsigned n = 0; n < EXPIRE_MAX; n++) {
        uint32_t index = flow_table_sweep(&w->table, &records), next;
        if (index == FLOW_NONE)
            return;
        next = index + SWEEP_AHEAD;
        if (next < w->table.fresh && is_idle(w, flow_at(&w->table, next)))
            flow_table_fetch_end(&w->table, next);
        if (is_idle(w, flow_at(&w->table, index)))
            flow_end(w, index, FLOW_END_IDLE);
    }
}

void flows_finish(struct worker *w)
{
    uint32_t cursor = 0, index;

    while ((index = flow_table_next(&w->table, &cursor)) != FLOW_NONE) {
        flow_table_fetch_ahead(&w->table, index, FINISH_AHEAD);
        flow_end(w, index, is_idle(w, flow_at(&w->table, index)) ? FLOW_END_IDLE : FLOW_END_EOF);
    }
}

/* ---- the beginning ---- */

/* Who is the client? The sender of a SYN; else the peer of a listed port; else whoever was first. */
static void learn_client(const struct worker *w, struct flow *f, const struct pkt *p)
{
    uint8_t proto = p->key.proto;
    bool has_syn = proto == 6 && (p->flags & PKT_L4_OK) && (p->tcp_flags & TCP_SYN);

    f->client = p->sender & 1u;
    if (has_syn) {
        f->client = ((p->tcp_flags & TCP_ACK) ? 1 - p->sender : p->sender) & 1u;
        f->flags |= FLOW_CLIENT_KNOWN;
        return;
    }
    if (proto == 6)
        f->flags |= FLOW_MIDSTREAM;
    if (f->key.kind == KEY_ICMP_ECHO) {
        f->client = (icmp_is_echo_request(f->key.af, p->icmp_type) ? p->sender : 1 - p->sender) & 1u;
        f->flags |= FLOW_CLIENT_KNOWN;
        return;
    }
    bool listed[2];
    for (unsigned e = 0; e < 2; e++)
        listed[e] = f->key.kind == KEY_PORTS && service_is_listed(w->o.services, proto, f->key.port[e]);
    if (listed[0] != listed[1]) {
        f->client = listed[0];
        f->flags |= FLOW_CLIENT_KNOWN;
    } else if (listed[0] && f->key.port[0] != f->key.port[1]) {
        f->client = f->key.port[0] > f->key.port[1] ? 0 : 1;
        f->flags |= FLOW_CLIENT_KNOWN;
    }
}

/* Side A of a path is the site whose name sorts first; within one site it is the client. */
static bool client_is_a(const struct worker *w, const struct site_id *client, const struct site_id *server)
{
    char name[2][SITE_NAME_BYTES];

    site_name(w->o.sites, *client, name[0]);
    site_name(w->o.sites, *server, name[1]);
    return strcmp(name[0], name[1]) <= 0;
}

/* Names are made for the first flow of a path only: later ones find it one way round or the other. */
static void learn_path(struct worker *w, struct flow *f, const struct pkt *p)
{
    struct agg_table *paths = &w->agg[METER_PATH];
    const struct site_id client = site_lookup(w->o.sites, &p->key.addr[f->client], p->key.af);
    const struct site_id server = site_lookup(w->o.sites, &p->key.addr[1 - f->client], p->key.af);
    const struct rec_scope from_client = {.scope = WINDOW_PATH, .mirror = w->o.mirror, .site = {client, server}};

    f->path_a = f->client;
    if ((f->path = (uint16_t)agg_find(paths, &from_client)) != 0)
        return;
    const struct rec_scope from_server = {.scope = WINDOW_PATH, .mirror = w->o.mirror, .site = {server, client}};
    f->path_a = 1u - f->client;
    if ((f->path = (uint16_t)agg_find(paths, &from_server)) != 0)
        return;
    bool forward = client_is_a(w, &client, &server);
    f->path_a = (forward ? f->client : 1u - f->client) & 1u;
    f->path = (uint16_t)agg_get(paths, forward ? &from_client : &from_server);
}

static void learn_service(struct worker *w, struct flow *f, const struct pkt *p)
{
    struct rec_scope key = {.scope = WINDOW_SERVICE, .mirror = w->o.mirror, .service = service_of(w, f, &p->key)};

    f->service = (uint16_t)agg_get(&w->agg[METER_SERVICE], &key);
}

void flow_learn_vlan(struct worker *w, struct flow *f, const struct pkt *p)
{
    struct rec_scope key = {.scope = WINDOW_VLAN, .mirror = w->o.mirror, .service = {.port = p->vlan[0], .proto = 1}};

    if (p->n_vlans > 1)
        key.service.named = (uint16_t)(p->vlan[1] + 1);
    f->vlan_agg = (uint16_t)agg_get(&w->agg[METER_VLAN], &key);
    f->flags |= FLOW_IN_VLAN;
}

/* What the flow's first packet was in. GTP-U has an id for each direction of each user: those are left out. */
static void learn_tunnel(struct worker *w, struct flow *f, const struct pkt *p)
{
    struct rec_scope key = {.scope = WINDOW_TUNNEL, .mirror = w->o.mirror, .service.proto = p->tunnel};
    uint32_t id = p->tunnel == TUNNEL_GTPU ? 0 : p->tunnel_id;

    key.service.named = (uint16_t)(id >> 16);
    key.service.port = (uint16_t)id;
    const struct extra *x = extra_of(f, &w->pools.node);
    if (x != NULL && x->af != 0) {
        bool turn = memcmp(&x->src, &x->dst, sizeof(x->src)) > 0;
        for (unsigned e = 0; e < 2; e++) {
            key.site[e].af = x->af;
            key.site[e].prefix_len = x->af == 6 ? 128 : 32;
            key.site[e].addr = (e == 1) != turn ? x->dst : x->src;
        }
    }
    f->key.tunnel_agg = (uint16_t)agg_get(&w->agg[METER_TUNNEL], &key);
    f->flags |= FLOW_IN_TUNNEL;
}

static void start_flow(struct worker *w, uint32_t index, struct pkt *p)
{
    struct flow *f = flow_at(&w->table, index);

    f->first_ns = f->last_ns = p->ts_ns;
    f->first_tick = active_tick(w, p->ts_ns);
    f->last_data = 2;
    f->n_vlans = p->n_vlans & 7u;
    f->l2_bytes = p->l3_off < UINT8_MAX ? (uint8_t)p->l3_off : UINT8_MAX;
    if (p->key.kind != KEY_PORTS) {
        f->side[0].other.first_icmp_type = p->icmp_type;
        f->side[0].other.first_icmp_code = p->icmp_code;
    }
    if (p->n_vlans != 0)
        flow_learn_vlan(w, f, p);
    if (p->tunnel != TUNNEL_NONE || p->n_vlans > 2 || (p->n_vlans != 0 && f->vlan_agg == 0))
        extra_keep(f, p, &w->pools.node);
    if (p->tunnel != TUNNEL_NONE)
        learn_tunnel(w, f, p);
    learn_client(w, f, p);
    learn_path(w, f, p);
    learn_service(w, f, p);

    struct meter m;
    meter_init(w, &m, f, p, &p->key, p->ts_ns);
    METER_TALLY(&m, new_flows, 1);
    if (f->flags & FLOW_MIDSTREAM)
        METER_TALLY(&m, midstream_flows, 1);
}

/* FLOW_NONE: no room even after evicting. */
uint32_t flow_make(struct worker *w, struct pkt *p)
{
    uint32_t victim = FLOW_NONE;
    uint32_t index = flow_table_insert(&w->table, p->hash, &p->id, &p->key, &victim);

    if (index == FLOW_NONE && victim != FLOW_NONE) {
        w->table.evicted += !(flow_at(&w->table, victim)->flags & FLOW_CLOSED); /* what was over loses nothing */
        flow_end(w, victim, FLOW_END_EVICTED);
        index = flow_table_insert(&w->table, p->hash, &p->id, &p->key, &victim);
    }
    if (index != FLOW_NONE)
        start_flow(w, index, p);
    return index;
}

/* A flow found under the key may be over: too long idle, too long active, or its ports were taken for another
 * connection. */
bool flow_is_over(const struct worker *w, const struct flow *f, const struct pkt *p, enum flow_end *ret_end)
{
    *ret_end = FLOW_END_IDLE;
    if (p->ts_ns - f->last_ns > flow_idle_ns(w, f) && p->ts_ns > f->last_ns)
        return true;
    if (f->key.proto == 6 && (p->flags & PKT_L4_OK) && tcp_starts_anew(f, p))
        return true;
    *ret_end = FLOW_END_ACTIVE;
    return (f->flags & FLOW_SPLIT) || (w->o.active_ns != 0 && p->ts_ns - f->first_ns > w->o.active_ns);
}

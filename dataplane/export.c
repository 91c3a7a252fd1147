/* SPDX-License-Identifier: BSD-3-Clause */

/* See export.h. Endpoints become client and server here; everything that cannot be known is left flagged as such. */

#include "dataplane/export.h"

#include <string.h>

#include "dataplane/app.h"
#include "dataplane/outer.h"

static enum tcp_state state_of(const struct flow *f)
{
    const struct tcp_hot *client = &f->tcp[f->client], *server = &f->tcp[1 - f->client];

    if (f->reset)
        return TCP_RESET;
    if (f->flags & FLOW_CLOSED)
        return TCP_CLOSED;
    if ((client->flags | server->flags) & SIDE_FIN)
        return TCP_CLOSING;
    if (tcp_is_unanswered(f))
        return TCP_SYN_SENT;
    return TCP_ESTABLISHED;
}

static uint32_t flags_of(const struct flow *f)
{
    static const struct {
        uint32_t from, to;
    } map[] = {
        {FLOW_CLIENT_KNOWN, RFLOW_CLIENT_KNOWN},
        {FLOW_MIDSTREAM, RFLOW_MIDSTREAM},
        {FLOW_REFUSED, RFLOW_REFUSED},
        {FLOW_LOSS_UNSURE, RFLOW_LOSS_UNSURE},
        {FLOW_HS_SERVER, RFLOW_HAS_HANDSHAKE_SERVER},
        {FLOW_HS_CLIENT, RFLOW_HAS_HANDSHAKE_CLIENT},
        {FLOW_DNS_TRUNCATED, RFLOW_DNS_TRUNCATED},
    };
    uint32_t flags = 0;

    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (f->flags & map[i].from)
            flags |= map[i].to;
    if (!flow_is_two_way(f))
        flags |= RFLOW_ONE_WAY;
    if (f->key.proto == 6) {
        flags |= RFLOW_TCP;
        if (tcp_is_unanswered(f))
            flags |= RFLOW_UNANSWERED;
    }
    if (f->key.kind != KEY_PORTS)
        flags |= RFLOW_ICMP;
    return flags;
}

static void fill_identity(struct rec_flow *r, const struct flow *f)
{
    for (unsigned side = 0; side < 2; side++) {
        unsigned endpoint = side == C2S ? f->client : 1 - f->client;
        r->addr[side] = f->key.addr[endpoint];
        r->port[side] = f->key.port[endpoint];
        r->site[side] = f->site[endpoint];
    }
    if (f->key.kind != KEY_PORTS) {
        r->port[C2S] = f->first_icmp_type;
        r->port[S2C] = f->first_icmp_code;
    }
    r->proto = f->key.proto;
    r->af = f->key.af;
    r->n_vlans = f->n_vlans;
    memcpy(r->vlan, f->vlan, sizeof(r->vlan));
    r->tunnel = f->key.tunnel;
    r->tunnel_id = f->key.tunnel_id;
}

static struct rec_rtt rec_of(const struct rtt_stat *r)
{
    return (struct rec_rtt){.n = r->n, .min_ns = r->min_ns, .max_ns = r->max_ns, .sum_ns = r->sum_ns};
}

static struct rec_rtt rec_of_hot(const struct rtt_hot *r)
{
    return (struct rec_rtt){.n = r->n, .min_ns = rtt_unpack(r->min), .max_ns = rtt_unpack(r->max), .sum_ns = r->sum_ns};
}

static void fill_counts(struct rec_flow *r, const struct flow *f)
{
    for (unsigned side = 0; side < 2; side++) {
        unsigned endpoint = side == C2S ? f->client : 1 - f->client;
        const struct tcp_cold *c = &f->cold[endpoint];
        r->dir[side] = (struct rec_dir){.pkts = f->pkts[endpoint],
                                        .bytes = f->bytes[endpoint],
                                        .frame_bytes = f->frame_bytes[endpoint],
                                        .dup_pkts = c->dup_pkts,
                                        .second_hop_pkts = c->second_hop_pkts};
        r->tcp[side] = c->count;
        r->tcp[side].data_pkts = f->data_pkts[endpoint];
        r->rtt[side] = rec_of_hot(&f->rtt[endpoint]);
        r->ts_rtt[side] = rec_of(&f->ts_rtt[endpoint]);
    }
    r->handshake_server_ns = f->handshake_server_ns;
    r->handshake_client_ns = f->handshake_client_ns;
    r->response = rec_of(&f->response);
    r->think = rec_of(&f->think);
    r->icmp_echo = rec_of(&f->icmp_echo);
    r->syn_retries = f->syn_retries;
    r->icmp_unanswered = f->icmp_unanswered;
}

void export_flow(struct meter *m, struct dns_pool *dns, struct rec_writer *out, enum flow_end end,
                 struct service_id service)
{
    struct flow *f = m->f;
    uint32_t n_dns = dns_finish(m, dns);
    const struct app_counts n = app_counts(m);
    size_t dns_bytes = n_dns * sizeof(struct rec_dns), rtp_bytes = n.n_rtp * sizeof(struct rec_rtp);
    struct rec_flow *r =
        rec_reserve(out, REC_FLOW, sizeof(*r) + dns_bytes + rtp_bytes + n.n_rtcp * sizeof(struct rec_rtcp));

    if (r == NULL) {
        outer_take(f, NULL, m->pool);
        dns_take(f, dns, NULL, 0);
        app_take(m, NULL, NULL, NULL);
        return;
    }
    memset((char *)r + sizeof(r->hdr), 0, sizeof(*r) - sizeof(r->hdr));
    r->first_ns = f->first_ns;
    r->last_ns = f->last_ns;
    r->end = (uint8_t)end;
    r->tcp_state = (uint8_t)state_of(f);
    r->flags = flags_of(f);
    r->service = service;
    fill_identity(r, f);
    outer_take(f, r, m->pool);
    fill_counts(r, f);
    r->n_dns = (uint16_t)n_dns;
    r->n_rtp = n.n_rtp;
    r->n_rtcp = n.n_rtcp;
    uint8_t *attached = (uint8_t *)(r + 1);
    dns_take(f, dns, (struct rec_dns *)(void *)attached, n_dns);
    attached += dns_bytes;
    app_take(m, r, (struct rec_rtp *)(void *)attached, (struct rec_rtcp *)(void *)(attached + rtp_bytes));
    rec_commit(out);
}

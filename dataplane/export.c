/* SPDX-License-Identifier: BSD-3-Clause */

/* See export.h. Endpoints become client and server here; everything that cannot be known is left flagged as such. */

#include "dataplane/export.h"

#include <string.h>

#include "dataplane/app.h"
#include "dataplane/icmp_error.h"
#include "dataplane/extra.h"

static enum tcp_state state_of(const struct flow *f)
{
    const struct tcp_side *client = &f->side[f->client], *server = &f->side[1 - f->client];

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

static uint32_t flags_of(const struct meter *m)
{
    const struct flow *f = m->f;
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
        if (tcp_is_unanswered(f) && !icmp_error_was_probe(m))
            flags |= RFLOW_UNANSWERED;
    }
    if (f->key.kind != KEY_PORTS)
        flags |= RFLOW_ICMP;
    return flags;
}

static void fill_identity(struct rec_flow *r, const struct flow *f, const struct flow_names *names)
{
    for (unsigned side = 0; side < 2; side++) {
        unsigned endpoint = side == C2S ? f->client : 1 - f->client;
        r->addr[side] = names->key.addr[endpoint];
        r->port[side] = names->key.port[endpoint];
        r->site[side] = names->site[endpoint];
    }
    if (f->key.kind != KEY_PORTS) {
        r->port[C2S] = f->side[0].other.first_icmp_type;
        r->port[S2C] = f->side[0].other.first_icmp_code;
    }
    r->service = names->service;
    r->proto = f->key.proto;
    r->af = f->key.af;
    r->n_vlans = f->n_vlans;
    memcpy(r->vlan, names->vlan, sizeof(r->vlan));
    r->tunnel = f->key.tunnel;
    r->tunnel_id = f->key.tunnel_id;
}

static struct rec_rtt rec_of(const struct rtt_small *r, const struct flow_sums *sums, unsigned which)
{
    struct rec_rtt rec = rtt_small_rec(r);

    rec.n += sums->stat_n[which];
    rec.sum_ns += sums->stat_sum_ns[which];
    return rec;
}

static struct rec_dir dir_of(const struct flow *f, const struct trouble *t, const struct flow_sums *sums, unsigned e)
{
    struct rec_dir d = {.pkts = f->side[e].pkts + sums->pkts[e],
                        .bytes = f->side[e].bytes + sums->bytes[e],
                        .dup_pkts = f->dup_pkts[e] + sums->dup_pkts[e],
                        .second_hop_pkts = t->dir[e].second_hop_pkts};

    d.frame_bytes = d.bytes + d.pkts * f->l2_bytes + f->over_bytes[e] + sums->over_bytes[e];
    return d;
}

static void fill_tcp(struct rec_flow *r, const struct flow *f, const struct trouble *t, const struct flow_sums *sums)
{
    for (unsigned side = 0; side < 2; side++) {
        unsigned endpoint = side == C2S ? f->client : 1 - f->client;
        r->tcp[side] = t->dir[endpoint].count;
        r->tcp[side].data_pkts = (uint32_t)(f->data_pkts[endpoint] + sums->data_pkts[endpoint]);
        r->rtt[side] = rec_of(&f->rtt[endpoint], sums, STAT_RTT_0 + endpoint);
        r->ts_rtt[side] = rec_of(&f->ts_rtt[endpoint], sums, STAT_TS_RTT_0 + endpoint);
    }
    r->handshake_server_ns = (f->flags & FLOW_HS_SERVER) ? rtt_unpack(f->syn_ns) : 0;
    r->handshake_client_ns = (f->flags & FLOW_HS_CLIENT) ? rtt_unpack(f->synack_ns) : 0;
    r->response = rec_of(&f->response, sums, STAT_RESPONSE);
    r->think = rec_of(&f->think, sums, STAT_THINK);
    r->syn_retries = t->syn_retries;
}

static void fill_counts(struct rec_flow *r, const struct meter *m)
{
    static const struct trouble no_trouble;
    static const struct flow_sums no_sums;
    const struct flow *f = m->f;
    const struct trouble *t = f->trouble != 0 ? pool_item(&m->pools->trouble, f->trouble) : &no_trouble;
    const struct flow_sums *sums = t->sums != 0 ? pool_item(&m->pools->sums, t->sums) : &no_sums;

    for (unsigned side = 0; side < 2; side++)
        r->dir[side] = dir_of(f, t, sums, side == C2S ? f->client : 1 - f->client);
    if (f->key.proto == 6) {
        fill_tcp(r, f, t, sums);
        return;
    }
    const struct rtt_stat *echo = &f->side[0].other.icmp_echo;
    r->icmp_echo =
        (struct rec_rtt){.n = echo->n, .min_ns = echo->min_ns, .max_ns = echo->max_ns, .sum_ns = echo->sum_ns};
    r->icmp_unanswered = f->side[0].other.icmp_unanswered;
}

static void free_blocks(struct meter *m)
{
    struct flow *f = m->f;

    if (f->trouble == 0)
        return;
    struct trouble *t = trouble_of(m);
    if (t->sums != 0)
        pool_put(&m->pools->sums, t->sums);
    pool_put(&m->pools->trouble, f->trouble);
    f->trouble = 0;
}

void export_flow(struct meter *m, const struct flow_names *names, struct dns_pool *dns, struct rec_writer *out,
                 enum flow_end end)
{
    struct flow *f = m->f;
    uint32_t n_dns = dns_finish(m, dns);
    const struct app_counts n = app_counts(m);
    size_t dns_bytes = n_dns * sizeof(struct rec_dns), rtp_bytes = n.n_rtp * sizeof(struct rec_rtp);
    struct rec_flow *r =
        rec_reserve(out, REC_FLOW, sizeof(*r) + dns_bytes + rtp_bytes + n.n_rtcp * sizeof(struct rec_rtcp));

    if (r != NULL) {
        memset((char *)r + sizeof(r->hdr), 0, sizeof(*r) - sizeof(r->hdr));
        r->first_ns = f->first_ns;
        r->last_ns = f->last_ns;
        r->end = (uint8_t)end;
        r->tcp_state = f->key.proto == 6 ? (uint8_t)state_of(f) : 0;
        r->flags = flags_of(m);
        fill_identity(r, f, names);
        const struct extra *x = extra_of(f, &m->pools->node);
        if (x != NULL)
            extra_fill(f, x, r);
        fill_counts(r, m);
        r->n_dns = (uint16_t)n_dns;
        r->n_rtp = n.n_rtp;
        r->n_rtcp = n.n_rtcp;
        uint8_t *attached = (uint8_t *)(r + 1);
        dns_take(m, dns, (struct rec_dns *)(void *)attached, n_dns);
        attached += dns_bytes;
        app_take(m, r, (struct rec_rtp *)(void *)attached, (struct rec_rtcp *)(void *)(attached + rtp_bytes));
        rec_commit(out);
    } else {
        dns_take(m, dns, NULL, 0);
        app_take(m, NULL, NULL, NULL);
    }
    free_blocks(m);
}

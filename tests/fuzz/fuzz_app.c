/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The meters of applications behind whole headers: the input is a list of payloads for UDP, TCP port 53 and ICMP
 * errors, between two hosts, in both directions. Whatever they say, reads stay inside and all state is given back.
 */

#include <assert.h>
#include <stdlib.h>

#include "common/timefmt.h"
#include "dataplane/worker.h"
#include "tests/unit/packet.h"

static struct packet packet;

static void headers(uint8_t kind, uint32_t seq, uint32_t len)
{
    struct ip_spec ip = {.from = {10, 0, 0, 1}, .to = {10, 0, 0, 2}, .id = (uint16_t)(seq + 1)};
    bool back = (kind & 1) != 0;
    uint16_t ports[2] = {40000, (kind & 8) != 0 ? 443 : 41000};

    ip.from[3] = back ? 2 : 1;
    ip.to[3] = back ? 1 : 2;
    packet_ethernet(&packet, 1, 2, 0x0800);
    switch (kind >> 1 & 3) {
    case 0:
    case 1:
        ip.proto = 17;
        packet_ipv4(&packet, &ip);
        packet_udp(&packet, ports[back], ports[!back], (uint16_t)len);
        break;
    case 2: {
        const struct tcp_spec tcp = {.from = back ? 53 : 40000, .to = back ? 40000 : 53, .seq = seq, .flags = TCP_ACK};
        ip.proto = 6;
        packet_ipv4(&packet, &ip);
        packet_tcp(&packet, &tcp);
        break;
    }
    default:
        ip.proto = 1;
        packet_ipv4(&packet, &ip);
        packet_icmp(&packet, (kind & 16) != 0 ? 3 : (kind & 32) != 0 ? 11 : 8, (kind & 16) != 0 ? 4 : 0, 0, 600);
        break;
    }
}

static void play(struct worker *w, const uint8_t *data, size_t size)
{
    static struct batch b;
    uint64_t ts_ns = NS_PER_S;
    uint32_t seq[2] = {0};

    while (size > 3) {
        uint32_t len = data[1] < size - 3 ? data[1] : (uint32_t)size - 3;
        headers(data[0], seq[data[0] & 1], len);
        packet_put(&packet, data + 3, len);
        packet_finish(&packet);
        seq[data[0] & 1] += len;
        ts_ns += (uint64_t)data[2] * NS_PER_MS;
        uint8_t *bytes = malloc(packet.len);
        memcpy(bytes, packet.byte, packet.len);
        b.n = 1;
        b.link = LINK_ETHERNET;
        b.pkt[0] = (struct pkt){.data = bytes,
                                .ts_ns = ts_ns,
                                .cap_len = packet.len,
                                .snap_len = packet.len,
                                .wire_len = packet.len,
                                .rx_vlan = RX_NO_VLAN};
        worker_process(w, &b);
        free(bytes);
        data += 3 + len;
        size -= 3 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct site_table *sites;
    static struct service_table *services;
    struct worker *w;

    if (sites == NULL) {
        sites = site_table_new();
        services = service_table_new();
        site_table_finish(sites);
    }
    const struct worker_options options = {.flows = 64,
                                           .trouble_blocks = 64,
                                           .dns_entries = 32,
                                           .max_paths = 4,
                                           .max_services = 8,
                                           .tcp_idle_ns = 600 * NS_PER_S,
                                           .other_idle_ns = 120 * NS_PER_S,
                                           .closed_linger_ns = NS_PER_S,
                                           .window_ns = 10 * NS_PER_S,
                                           .sites = sites,
                                           .services = services};
    assert(worker_new(&options, &w) == 0);
    play(w, data, size);
    worker_finish(w);
    const struct ledger *l = worker_ledger(w);
    assert(l->offered == l->processed + ledger_drop_sum(l));
    worker_free(w);
    return 0;
}

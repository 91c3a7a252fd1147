/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * make-capture FILE FLOWS PACKETS: the benchmark's TCP traffic (traffic.h) as a pcap file with nanoseconds: every flow
 * opens, then flows are visited at random. Frames are 66 bytes and a byte or two of data, whole.
 */

#include <stdio.h>
#include <stdlib.h>

#include "common/timefmt.h"
#include "tests/bench/traffic.h"

#define BATCHES 64u

static void put_packet(FILE *f, const struct pkt *p)
{
    const uint32_t header[4] = {(uint32_t)(p->ts_ns / NS_PER_S), (uint32_t)(p->ts_ns % NS_PER_S), p->cap_len,
                                p->wire_len};

    fwrite(header, sizeof(header), 1, f);
    fwrite(p->data, 1, p->cap_len, f);
}

static uint64_t put_batches(FILE *f, const struct batch *batches, uint64_t left)
{
    uint64_t n = 0;

    for (uint32_t b = 0; b < BATCHES; b++)
        for (uint32_t i = 0; i < batches[b].n && n < left; i++, n++)
            put_packet(f, &batches[b].pkt[i]);
    return n;
}

int main(int argc, char **argv)
{
    static struct batch batches[BATCHES];
    static uint32_t ids[BATCHES * BATCH_MAX];
    const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1};
    struct traffic traffic;

    if (argc != 4) {
        fputs("Usage: make-capture FILE FLOWS PACKETS\n", stderr);
        return 2;
    }
    uint32_t flows = (uint32_t)strtoul(argv[2], NULL, 10);
    uint64_t packets = strtoull(argv[3], NULL, 10), n = 0;
    FILE *f = fopen(argv[1], "wb");
    if (f == NULL || flows < 64 || traffic_init(&traffic, flows, MIX_TCP, 64, BATCHES * BATCH_MAX) != 0) {
        fputs("make-capture: cannot write that\n", stderr);
        return 1;
    }
    fwrite(header, sizeof(header), 1, f);
    for (uint64_t first = 0; n < packets && first < 3ull * flows; first += BATCHES * BATCH_MAX) {
        traffic_fill_in_turn(&traffic, batches, BATCHES, (uint32_t)first);
        n += put_batches(f, batches, packets - n);
    }
    while (n < packets) {
        traffic_fill(&traffic, batches, BATCHES, ids);
        n += put_batches(f, batches, packets - n);
    }
    traffic_fini(&traffic);
    if (fclose(f) != 0) {
        perror("make-capture");
        return 1;
    }
    return 0;
}

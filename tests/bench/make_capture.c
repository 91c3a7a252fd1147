/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * make-capture FILE FLOWS PACKETS: the benchmark's TCP traffic (traffic.h) as a pcap file with nanoseconds: every flow
 * opens, then flows are visited at random. Frames are 66 bytes and a byte or two of data, whole.
 */

#include <stdio.h>
#include <stdlib.h>

#include "common/timefmt.h"
#include "tests/bench/traffic.h"

#define CHUNK 2048u /* frames at a time */

static void put_frame(FILE *f, const struct frame *k)
{
    const uint32_t header[4] = {(uint32_t)(k->ts_ns / NS_PER_S), (uint32_t)(k->ts_ns % NS_PER_S), k->cap_len,
                                k->wire_len};

    fwrite(header, sizeof(header), 1, f);
    fwrite(k->data, 1, k->cap_len, f);
}

static uint64_t put_chunk(FILE *f, const struct frame *frames, uint64_t left)
{
    uint64_t n = left < CHUNK ? left : CHUNK;

    for (uint64_t i = 0; i < n; i++)
        put_frame(f, &frames[i]);
    return n;
}

int main(int argc, char **argv)
{
    static struct frame frames[CHUNK];
    static uint32_t ids[CHUNK];
    const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1};
    struct traffic traffic;

    if (argc != 4) {
        fputs("Usage: make-capture FILE FLOWS PACKETS\n", stderr);
        return 2;
    }
    uint32_t flows = (uint32_t)strtoul(argv[2], NULL, 10);
    uint64_t packets = strtoull(argv[3], NULL, 10), n = 0;
    FILE *f = fopen(argv[1], "wb");
    if (f == NULL || flows < 64 || traffic_init(&traffic, flows, MIX_TCP, 64, CHUNK) != 0) {
        fputs("make-capture: cannot write that\n", stderr);
        return 1;
    }
    fwrite(header, sizeof(header), 1, f);
    for (uint64_t first = 0; n < packets && first < 3ull * flows; first += CHUNK) {
        traffic_fill_in_turn(&traffic, frames, CHUNK, (uint32_t)first);
        n += put_chunk(f, frames, packets - n);
    }
    while (n < packets) {
        traffic_fill(&traffic, frames, CHUNK, ids);
        n += put_chunk(f, frames, packets - n);
    }
    traffic_fini(&traffic);
    if (fclose(f) != 0) {
        perror("make-capture");
        return 1;
    }
    return 0;
}

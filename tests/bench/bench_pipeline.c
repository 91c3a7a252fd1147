/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench-pipeline: how fast is the pipeline, measured against what the memory of this machine allows?
 *
 * Time is taken around a chunk of bursts whose frames were written before (untimed, into a reused buffer of less than
 * 1 MiB). As behind a device, one batch is filled again for every burst from 32 bytes of description a packet: that is
 * timed, too. The roofline runs in the same process on the same flow ids, chunk by chunk in turn with the pipeline,
 * so that a noisy neighbour hits both: per packet it prefetches and touches one bucket line and two record lines, with
 * no logic. Figures are medians over the chunks. Stage times come from separate chunks, timed between the stages by the
 * time stamp counter.
 *
 * The floor is the same with what the pipeline itself cannot do without: a bucket, a set of fingerprints, three lines
 * of a record of its size. What the pipeline takes beyond that is logic.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <x86intrin.h>

#include "dataplane/fetch.h"
#include "dataplane/flow.h"
#include "dataplane/memory.h"
#include "dataplane/worker.h"
#include "tests/bench/traffic.h"

#define CHUNK_PKTS     2048u
#define LINE           64u
#define ROOFLINE_BURST 32u
#define CHUNKS_MAX     200000u
#define SETS           16384u /* of fingerprints, as many as dedup.c has */

static_assert(CHUNK_PKTS % BATCH_MAX == 0, "whole bursts");

struct options {
    uint32_t flows, frame;
    double seconds;
    enum mix mix;
    bool json;
};

/* The roofline's and the floor's own tables, of the same sizes as the pipeline's. */
struct roofline {
    uint8_t *bucket, *record, *set;
    uint64_t bucket_mask;
    uint64_t packets; /* so far */
};

/* What is touched of them per packet. */
struct touch {
    uint64_t record_bytes;
    unsigned lines; /* of a record */
    bool set;       /* a set of fingerprints, too */
};

static const struct touch roofline_touch = {.record_bytes = 2 * LINE, .lines = 2};
static const struct touch floor_touch = {.record_bytes = sizeof(struct flow), .lines = 3, .set = true};

struct samples {
    double *ns;
    uint32_t n;
};

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(struct samples *s)
{
    if (s->n == 0)
        return 0;
    qsort(s->ns, s->n, sizeof(*s->ns), compare);
    return s->ns[s->n / 2];
}

static void add(struct samples *s, double ns)
{
    if (s->n < CHUNKS_MAX)
        s->ns[s->n++] = ns;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-pipeline: %s\n", what);
    exit(1);
}

/* ---- roofline ---- */

static void roofline_init(struct roofline *r, uint32_t flows)
{
    uint64_t buckets = 1, record_bytes = floor_touch.record_bytes;

    while (buckets * 8 * 3 < (uint64_t)flows * 4)
        buckets <<= 1;
    r->bucket_mask = buckets - 1;
    r->bucket = memory_map(buckets * LINE);
    r->record = memory_map(flows * record_bytes);
    r->set = memory_map(SETS * LINE);
    if (r->bucket == NULL || r->record == NULL || r->set == NULL)
        die("no memory for the roofline");
    for (uint32_t i = 0; i < flows; i++)
        r->record[i * record_bytes] = 1;
    memset(r->bucket, 1, buckets * LINE);
    memset(r->set, 1, SETS * LINE);
}

/* Inlined with a constant, so that its loops are unrolled. */
static inline __attribute__((always_inline)) uint64_t roofline_burst(struct roofline *r, const struct touch *t,
                                                                     const uint32_t *ids, uint32_t n)
{
    uint64_t sum = 0, hash[ROOFLINE_BURST];

    for (uint32_t i = 0; i < n; i++) {
        hash[i] = (uint64_t)ids[i] * 0x9e3779b97f4a7c15ull >> 20;
        fetch(r->bucket + (hash[i] & r->bucket_mask) * LINE);
    }
    for (uint32_t i = 0; t->set && i < n; i++) /* each packet has another */
        fetch(r->set + ((hash[i] ^ r->packets++ * 0x9e3779b1) & (SETS - 1)) * LINE);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *record = r->record + (uint64_t)ids[i] * t->record_bytes;
        sum += r->bucket[(hash[i] & r->bucket_mask) * LINE];
        for (unsigned line = 0; line < t->lines; line++)
            fetch(record + line * LINE);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *record = r->record + (uint64_t)ids[i] * t->record_bytes;
        for (unsigned line = 0; line < t->lines; line++)
            record[line * LINE + 8]++;
    }
    return sum;
}

static inline __attribute__((always_inline)) double time_touches(struct roofline *r, const struct touch *t,
                                                                 const uint32_t *ids)
{
    uint64_t sum = 0;
    double start = now_ns();

    for (uint32_t first = 0; first < CHUNK_PKTS; first += ROOFLINE_BURST)
        sum += roofline_burst(r, t, ids + first, ROOFLINE_BURST);
    __asm__ volatile("" : : "r"(sum)); /* so that the loads are not optimised away */
    return (now_ns() - start) / CHUNK_PKTS;
}

static double time_roofline(struct roofline *r, const uint32_t *ids)
{
    return time_touches(r, &roofline_touch, ids);
}

static double time_floor(struct roofline *r, const uint32_t *ids)
{
    return time_touches(r, &floor_touch, ids);
}

/* ---- pipeline ---- */

/* A tunnelled flow has a node, one with losses a block and nodes. */
static bool has_blocks(enum mix mix)
{
    return mix == MIX_VXLAN || mix == MIX_LOSS;
}

static struct worker *make_worker(const struct options *o, struct site_table *sites, struct service_table *services)
{
    struct worker *w;

    if (sites == NULL || services == NULL || site_table_add(sites, "Branch", "10.0.0.0/8") != 0 ||
        site_table_add(sites, "DC", "192.0.2.0/24") != 0)
        die("no memory");
    site_table_finish(sites);
    const struct worker_options options = {
        .backed = true,
        .flows = o->mix == MIX_NEW ? o->flows * 8 : o->flows + o->flows / 64 + 1024,
        .trouble_blocks = (has_blocks(o->mix) ? o->flows : o->flows / 16) + 4096,
        .dns_entries = 64,
        .max_paths = 64,
        .max_services = 64,
        .tcp_idle_ns = 3600ull * 1000000000,
        .other_idle_ns = 3600ull * 1000000000,
        .closed_linger_ns = 100000000,
        .window_ns = 10ull * 1000000000,
        .sites = sites,
        .services = services,
    };
    if (worker_new(&options, &w) != 0)
        die("no memory for the tables");
    return w;
}

static double time_pipeline(struct worker *w, struct batch *batch, const struct frame *frames)
{
    double start = now_ns();

    for (uint32_t first = 0; first < CHUNK_PKTS; first += BATCH_MAX) {
        traffic_receive(batch, frames + first, BATCH_MAX);
        worker_process(w, batch);
    }
    return (now_ns() - start) / CHUNK_PKTS;
}

static void time_stages(struct worker *w, struct batch *batch, const struct frame *frames, double ns_per_tick,
                        struct samples *stages)
{
    uint64_t ticks[WORKER_STAGES] = {0};

    for (uint32_t first = 0; first < CHUNK_PKTS; first += BATCH_MAX) {
        traffic_receive(batch, frames + first, BATCH_MAX);
        worker_process_timed(w, batch, ticks);
    }
    for (unsigned i = 0; i < WORKER_STAGES; i++)
        add(&stages[i], (double)ticks[i] * ns_per_tick / CHUNK_PKTS);
}

static double measure_tick(void)
{
    double start_ns = now_ns();
    uint64_t start = __rdtsc();

    while (now_ns() - start_ns < 5e6)
        ;
    return (now_ns() - start_ns) / (double)(__rdtsc() - start);
}

/* Opens every flow: its SYN, SYN/ACK, ACK. */
static void warm_up(struct traffic *t, struct worker *w, struct batch *batch, struct frame *frames)
{
    for (unsigned round = 0; round < 4; round++) {
        for (uint64_t first = 0; first < t->n_flows; first += CHUNK_PKTS) {
            traffic_fill_in_turn(t, frames, CHUNK_PKTS, (uint32_t)first);
            time_pipeline(w, batch, frames);
        }
    }
}

/* Medians over the chunks. */
struct result {
    double ns, roof_ns, floor_ns, bytes_per_flow, stage_ns[WORKER_STAGES];
};

static void print_text(const struct options *o, const struct result *r)
{
    printf("%s, %u flows, %u-byte frames: %.2f Mpps, %.1f ns per packet; roofline %.1f ns, ratio %.2f; floor %.1f ns; "
           "%.0f bytes per flow\n",
           mix_name(o->mix), o->flows, o->frame, 1e3 / r->ns, r->ns, r->roof_ns, r->ns / r->roof_ns, r->floor_ns,
           r->bytes_per_flow);
    for (unsigned i = 0; i < WORKER_STAGES; i++)
        printf("  %-10s %6.2f ns\n", worker_stage_name(i), r->stage_ns[i]);
}

static void print_json(const struct options *o, const struct result *r)
{
    printf("{\"mpps\":%.3f,\"ns_per_pkt\":%.2f,\"roofline_ns_per_pkt\":%.2f,\"ratio\":%.3f,\"bytes_per_flow\":%.1f,"
           "\"stages\":{",
           1e3 / r->ns, r->ns, r->roof_ns, r->ns / r->roof_ns, r->bytes_per_flow);
    for (unsigned i = 0; i < WORKER_STAGES; i++)
        printf("%s\"%s\":%.2f", i == 0 ? "" : ",", worker_stage_name(i), r->stage_ns[i]);
    printf("},\"floor_ns_per_pkt\":%.2f,\"flows\":%u,\"frame\":%u,\"mix\":\"%s\"}\n", r->floor_ns, o->flows, o->frame,
           mix_name(o->mix));
}

static void measure(const struct options *o, struct traffic *traffic, struct worker *w)
{
    static struct batch batch;
    static struct frame frames[CHUNK_PKTS];
    static uint32_t ids[CHUNK_PKTS];
    struct samples pipeline = {.ns = calloc(CHUNKS_MAX, sizeof(double))};
    struct samples roof = {.ns = calloc(CHUNKS_MAX, sizeof(double))};
    struct samples least = {.ns = calloc(CHUNKS_MAX, sizeof(double))}, stages[WORKER_STAGES];
    struct roofline roofline = {.packets = 0};

    for (unsigned i = 0; i < WORKER_STAGES; i++)
        stages[i] = (struct samples){.ns = calloc(CHUNKS_MAX, sizeof(double))};
    double ns_per_tick = measure_tick();
    roofline_init(&roofline, o->flows);
    if (o->mix != MIX_NEW)
        warm_up(traffic, w, &batch, frames);
    double end_ns = now_ns() + o->seconds * 1e9;
    for (unsigned chunk = 0; now_ns() < end_ns || chunk < 4; chunk++) {
        traffic_fill(traffic, frames, CHUNK_PKTS, ids);
        if (chunk % 8 == 7)
            time_stages(w, &batch, frames, ns_per_tick, stages);
        else
            add(&pipeline, time_pipeline(w, &batch, frames));
        add(&roof, time_roofline(&roofline, ids));
        if (chunk % 8 == 3) /* seldom: it takes its part of the caches */
            add(&least, time_floor(&roofline, ids));
    }
    struct result r = {.ns = median(&pipeline),
                       .roof_ns = median(&roof),
                       .floor_ns = median(&least),
                       .bytes_per_flow = worker_bytes_per_flow(w, o->flows)};
    for (unsigned i = 0; i < WORKER_STAGES; i++) {
        r.stage_ns[i] = median(&stages[i]);
        free(stages[i].ns);
    }
    o->json ? print_json(o, &r) : print_text(o, &r);
    free(least.ns);
    free(roof.ns);
    free(pipeline.ns);
}

static void run(const struct options *o)
{
    struct site_table *sites = site_table_new();
    struct service_table *services = service_table_new();
    struct traffic traffic;

    if (traffic_init(&traffic, o->flows, o->mix, o->frame, CHUNK_PKTS) != 0)
        die("no memory for the flows");
    struct worker *w = make_worker(o, sites, services);
    measure(o, &traffic, w);
    worker_free(w);
    traffic_fini(&traffic);
    service_table_free(services);
    site_table_free(sites);
}

static void usage(void)
{
    fputs("Examples:\n"
          "  bench-pipeline --flows 1000000 --seconds 5 --json\n"
          "  bench-pipeline --flows 65536 --mix dup\n"
          "Usage: bench-pipeline [--flows N] [--frame BYTES] [--seconds S] [--mix tcp|new|imix|dup|vxlan|udp|loss] "
          "[--json]\n",
          stdout);
}

int main(int argc, char **argv)
{
    static const struct option table[] = {
        {"flows", required_argument, NULL, 'n'},
        {"frame", required_argument, NULL, 'f'},
        {"seconds", required_argument, NULL, 's'},
        {"mix", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.flows = 1000000, .frame = 64, .seconds = 3, .mix = MIX_TCP};
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'n')
            o.flows = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 'f')
            o.frame = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.seconds = strtod(optarg, NULL);
        else if (c == 'm' && mix_parse(optarg, &o.mix) != 0)
            die("--mix takes tcp, new, imix, dup, vxlan, udp or loss");
        else if (c == 'j')
            o.json = true;
        else if (c == 'h')
            return usage(), 0;
        else if (c == '?')
            return 2;
    }
    if (o.flows < 64 || o.flows > 100000000 || o.frame < 64 || o.frame > 9000 || o.seconds <= 0)
        die("--flows 64..100000000, --frame 64..9000, --seconds above 0");
    run(&o);
    return 0;
}

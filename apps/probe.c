/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward-probe: capture, measure, aggregate, publish. Wiring only: an rx backend feeds workers, the workers' rings
 * feed analytics, analytics feeds Redis and the NDJSON records.
 *
 *   reading files   this thread reads, and is the worker if there is one only; it waits when analytics is behind, so
 *                   that nothing is lost
 *   live            this thread is the EAL main lcore (signals, port statistics); one lcore per worker
 *
 * Exit codes: 0 done, 1 error, 2 usage, 3 a capture file was cut and analysed up to the cut.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analytics/analytics.h"
#include "apps/place.h"
#include "apps/reload.h"
#include "common/config.h"
#include "common/timefmt.h"
#include "dataplane/rx_dpdk.h"
#include "dataplane/rx_pcap.h"
#include "store/access.h"
#include "store/store.h"

#define WORKERS_MAX        64
#define FILES_MAX          1024
#define MIRROR_NAME_BYTES  64
#define DNS_ENTRIES        65536u
#define FILE_LANE_BURSTS   64u
#define FILE_BUCKETS       32768u /* a large page */
#define FILE_RING_BYTES    (2u << 20)
#define FILE_TCP_IDLE_NS   (600 * NS_PER_S)
#define FILE_OTHER_IDLE_NS (120 * NS_PER_S)

enum exit_code { EXIT_DONE, EXIT_ERROR, EXIT_USAGE, EXIT_CUT };

static volatile int stop;

/* What the command line said. */
struct options {
    const char *files[FILES_MAX];
    unsigned n_files;
    const char *devices[RX_DPDK_PORTS_MAX];
    unsigned n_devices;
    const char *config, *redis, *name, *records, *eal;
    unsigned workers; /* 0: as configured */
    uint64_t duration_ns;
    bool json, check_config;
};

/* Everything that lives as long as the program. */
struct probe {
    struct options o;
    struct config *config;
    struct site_table *sites;
    struct service_table *services;
    unsigned workers_per_mirror;
    unsigned n_workers; /* of all mirrors */
    uint32_t ring_mirror[WORKERS_MAX];
    struct spsc *ring[WORKERS_MAX];
    struct worker *worker[WORKERS_MAX];

    struct store_private *redis;
    char redis_url[PLACE_URL_BYTES];
    struct store_access access;
    char spool_dir[PLACE_URL_BYTES]; /* "": no spool on disk */
    char device_name[RX_DPDK_PORTS_MAX][MIRROR_NAME_BYTES];
    const char *mirror_name[RX_DPDK_PORTS_MAX];
    uint64_t mirror_capacity[RX_DPDK_PORTS_MAX];
    char sensor[64];

    FILE *records;         /* NULL: none */
    char records_tmp[512]; /* written under this name, renamed when whole; "": written in place */
};

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* ---- the command line ---- */

static void usage(FILE *out)
{
    fputs("Examples:\n"
          "  spanward-probe --read capture.pcapng --json            flow, path and ledger records on stdout\n"
          "  spanward-probe --read a.pcap --read b.pcap.gz --redis unix:/run/redis.sock\n"
          "  spanward-probe --port net_af_packet0,iface=eth1        measure what reaches eth1\n"
          "  spanward-probe --port 0000:03:00.0 --workers 4         a NIC bound to DPDK\n"
          "\n"
          "Usage: spanward-probe --read FILE... | --port DEVICE... [options]\n"
          "  --read FILE      capture file (pcap, pcapng, gzip); repeat to merge several by time\n"
          "  --port DEVICE    EAL device string or PCI address; repeat for several mirrors; else the configured ones\n"
          "  --config FILE    configuration (default: " PLACE_CONFIG " if it exists)\n"
          "  --redis URL      unix:/path or redis://host:port (live without it: a private server)\n"
          "  --name NAME      name of this sensor\n"
          "  --json           records as NDJSON on stdout\n"
          "  --records FILE   the same into a file, whole or not at all\n"
          "  --workers N      workers per mirror, or on the files (default: capture.workers)\n"
          "  --duration TIME  stop after 30s, 5m, ... (live)\n"
          "  --eal ARGS       further DPDK EAL options in one string\n"
          "  --check-config   check the configuration and exit\n"
          "  --help, --version\n"
          "Exit: 0 done, 1 error, 2 usage, 3 a capture was cut and analysed up to the cut.\n",
          out);
}

static int add(const char **list, unsigned *n, unsigned max, const char *value, const char *what)
{
    if (*n == max) {
        log_error("more than %u %s", max, what);
        return EXIT_USAGE;
    }
    list[(*n)++] = value;
    return EXIT_DONE;
}

static int take_workers(struct options *o, const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);

    if (*end != '\0' || n < 1 || n > WORKERS_MAX) {
        log_error("--workers takes a number from 1 to %d, not \"%s\"", WORKERS_MAX, value);
        return EXIT_USAGE;
    }
    o->workers = (unsigned)n;
    return EXIT_DONE;
}

static int take_option(struct options *o, int c)
{
    switch (c) {
    case 'r':
        return add(o->files, &o->n_files, FILES_MAX, optarg, "files");
    case 'p':
        return add(o->devices, &o->n_devices, RX_DPDK_PORTS_MAX, optarg, "ports");
    case 'c':
        o->config = optarg;
        break;
    case 'u':
        o->redis = optarg;
        break;
    case 'n':
        o->name = optarg;
        break;
    case 'j':
        o->json = true;
        break;
    case 'o':
        o->records = optarg;
        break;
    case 'w':
        return take_workers(o, optarg);
    case 'd':
        if (parse_duration(optarg, &o->duration_ns) == 0)
            break;
        log_error("--duration takes a time such as 30s or 5m, not \"%s\"", optarg);
        return EXIT_USAGE;
    case 'e':
        o->eal = optarg;
        break;
    case 'k':
        o->check_config = true;
        break;
    default: /* getopt has said what is wrong */
        fputs("Try spanward-probe --help\n", stderr);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static int parse_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"read", required_argument, NULL, 'r'},     {"port", required_argument, NULL, 'p'},
        {"config", required_argument, NULL, 'c'},   {"redis", required_argument, NULL, 'u'},
        {"name", required_argument, NULL, 'n'},     {"json", no_argument, NULL, 'j'},
        {"records", required_argument, NULL, 'o'},  {"workers", required_argument, NULL, 'w'},
        {"duration", required_argument, NULL, 'd'}, {"eal", required_argument, NULL, 'e'},
        {"check-config", no_argument, NULL, 'k'},   {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout);
            exit(EXIT_DONE);
        }
        if (c == 'V') {
            puts("spanward-probe " SPANWARD_VERSION);
            exit(EXIT_DONE);
        }
        int code = take_option(o, c);
        if (code != EXIT_DONE)
            return code;
    }
    if (optind < argc) {
        log_error("what is \"%s\"? Files go behind --read, devices behind --port", argv[optind]);
        return EXIT_USAGE;
    }
    if (o->n_files != 0 && o->n_devices != 0) {
        log_error("--read and --port exclude each other");
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* ---- configuration ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

/* A device that nobody named goes by its interface, else by the device string up to the first comma. */
static void name_after_device(char ret_name[static MIRROR_NAME_BYTES], const char *device)
{
    const char *iface = strstr(device, "iface=");
    const char *from = iface != NULL ? iface + strlen("iface=") : device;

    snprintf(ret_name, MIRROR_NAME_BYTES, "%.*s", (int)strcspn(from, ","), from);
}

/* Ports from the command line, else the configured mirrors; a file is a mirror of its own name. */
static int choose_mirrors(struct probe *p)
{
    struct options *o = &p->o;

    if (o->n_files != 0) {
        p->mirror_name[0] = p->config->n_mirrors == 1 ? p->config->mirrors[0].name : base_name(o->files[0]);
        return EXIT_DONE;
    }
    if (o->n_devices == 0) {
        for (size_t i = 0; i < p->config->n_mirrors && i < RX_DPDK_PORTS_MAX; i++)
            o->devices[o->n_devices++] = p->config->mirrors[i].device;
    }
    if (o->n_devices == 0) {
        log_error("nothing to capture: give --port DEVICE, --read FILE or mirrors in the configuration");
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < o->n_devices; i++) {
        name_after_device(p->device_name[i], o->devices[i]);
        p->mirror_name[i] = p->device_name[i];
        for (size_t k = 0; k < p->config->n_mirrors; k++) {
            if (strcmp(p->config->mirrors[k].device, o->devices[i]) != 0)
                continue;
            p->mirror_name[i] = p->config->mirrors[k].name;
            p->mirror_capacity[i] = p->config->mirrors[k].capacity_bits_per_s;
        }
    }
    return EXIT_DONE;
}

/* Every mirror has as many; worker i reads mirror i / (workers per mirror). */
static int choose_workers(struct probe *p)
{
    unsigned n_mirrors = p->o.n_files != 0 ? 1 : p->o.n_devices;

    p->workers_per_mirror = p->o.workers != 0 ? p->o.workers : (unsigned)config_u64(p->config, "capture.workers");
    p->n_workers = n_mirrors * p->workers_per_mirror;
    if (p->n_workers > WORKERS_MAX) {
        log_error("%u workers for each of %u mirrors are more than %d", p->workers_per_mirror, n_mirrors, WORKERS_MAX);
        return EXIT_ERROR;
    }
    for (unsigned i = 0; i < p->n_workers; i++)
        p->ring_mirror[i] = i / p->workers_per_mirror;
    return EXIT_DONE;
}

static void choose_name(struct probe *p)
{
    const char *configured = config_string(p->config, "sensor.name");

    if (p->o.name != NULL)
        snprintf(p->sensor, sizeof(p->sensor), "%s", p->o.name);
    else if (*configured != '\0')
        snprintf(p->sensor, sizeof(p->sensor), "%s", configured);
    else if (gethostname(p->sensor, sizeof(p->sensor) - 1) != 0)
        snprintf(p->sensor, sizeof(p->sensor), "sensor");
}

static int configure(struct probe *p)
{
    struct error e;

    if (place_load_config(p->o.config, &p->config, &e) != 0) {
        log_error("%s", e.text);
        return EXIT_ERROR;
    }
    log_set_level(reload_log_level(p->config));
    p->sites = config_site_table(p->config, &e);
    p->services = p->sites != NULL ? config_service_table(p->config, &e) : NULL;
    if (p->services == NULL) {
        log_error("%s", e.text);
        return EXIT_ERROR;
    }
    choose_name(p);
    if (p->o.check_config)
        return EXIT_DONE;
    int code = choose_mirrors(p);
    return code == EXIT_DONE ? choose_workers(p) : code;
}

/* ---- where results go ---- */

/* Live: the state directory's spool, if there shall be one. */
static int find_spool(struct probe *p)
{
    char dir[PLACE_URL_BYTES - PLACE_REDIS_EXTRA];
    struct error e;

    if (p->o.n_files != 0 || config_u64(p->config, "store.spool_disk") == 0)
        return EXIT_DONE;
    if (place_state_dir(p->config, dir, sizeof(dir), &e) != 0 || place_make_dir(dir, &e) != 0) {
        log_error("%s", e.text);
        return EXIT_ERROR;
    }
    snprintf(p->spool_dir, sizeof(p->spool_dir), "%s/spool", dir);
    return EXIT_DONE;
}

/* Live without a named Redis: a private one in the state directory. Reading files: only when one is named. */
static int find_redis(struct probe *p)
{
    struct error e;
    char dir[PLACE_URL_BYTES - PLACE_REDIS_EXTRA];
    bool named =
        p->o.redis != NULL || getenv("SPANWARD_REDIS") != NULL || *config_string(p->config, "store.redis") != '\0';

    if (store_access_load(p->config, &p->access, &e) != 0)
        goto failed;
    if (p->o.n_files != 0) { /* one capture is no business of the appliance's own store, unless said so */
        if (p->o.redis != NULL && place_redis_url(p->o.redis, p->config, p->redis_url, sizeof(p->redis_url), &e) != 0)
            goto failed;
        return EXIT_DONE;
    }
    if (named) {
        if (place_redis_url(p->o.redis, p->config, p->redis_url, sizeof(p->redis_url), &e) != 0)
            goto failed;
        return EXIT_DONE;
    }
    if (place_state_dir(p->config, dir, sizeof(dir), &e) != 0 || place_make_dir(dir, &e) != 0 ||
        store_private_start(dir, false, &p->redis, &e) != 0)
        goto failed;
    snprintf(p->redis_url, sizeof(p->redis_url), "%s", store_private_url(p->redis));
    return EXIT_DONE;
failed:
    log_error("%s", e.text);
    return EXIT_ERROR;
}

/* A regular file is written beside its place and renamed when it is whole; a pipe or device is written as it is. */
static int open_records(struct probe *p)
{
    struct stat st;
    const char *path = p->o.records;

    if (p->o.json) {
        p->records = stdout;
        return EXIT_DONE;
    }
    if (path == NULL)
        return EXIT_DONE;
    bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    if (!in_place && snprintf(p->records_tmp, sizeof(p->records_tmp), "%s.part", path) >= (int)sizeof(p->records_tmp)) {
        log_error("the name of --records is too long");
        return EXIT_ERROR;
    }
    p->records = fopen(in_place ? path : p->records_tmp, "w");
    if (p->records != NULL)
        return EXIT_DONE;
    log_error("cannot write records to %s: %s", path, strerror(errno));
    p->records_tmp[0] = '\0';
    return EXIT_ERROR;
}

/* The last word on the records: whole under their name, or gone with a reason. */
static int close_records(struct probe *p, bool ok)
{
    int code = EXIT_DONE;

    if (p->records == NULL)
        return code;
    if (fflush(p->records) != 0 && ok) {
        log_error("cannot write records to %s: %s", p->o.json ? "standard output" : p->o.records, strerror(errno));
        code = EXIT_ERROR;
    }
    if (p->records != stdout)
        fclose(p->records);
    if (p->records_tmp[0] == '\0')
        return code;
    if (!ok || code != EXIT_DONE) {
        unlink(p->records_tmp);
    } else if (rename(p->records_tmp, p->o.records) != 0) {
        log_error("cannot name the records %s: %s", p->o.records, strerror(errno));
        code = EXIT_ERROR;
    }
    return code;
}

/* ---- workers ---- */

static uint64_t setting_ns(const struct probe *p, const char *name, uint64_t for_files_ns)
{
    bool files = p->o.n_files != 0;

    return files && !config_is_set(p->config, name) ? for_files_ns : config_u64(p->config, name);
}

/* Live, the ring has to hold what comes while the store is slow. A file waits, and then a ring that stays in the cache
 * is the better one: a large one would be filled once with fresh pages, and each record fetched from memory again. */
static size_t ring_bytes(const struct probe *p)
{
    uint64_t wanted = config_u64(p->config, "capture.ring");
    size_t bytes = 1 << 20;

    if (p->o.n_files != 0 && !config_is_set(p->config, "capture.ring"))
        wanted = FILE_RING_BYTES;
    while (bytes < wanted)
        bytes <<= 1;
    return bytes;
}

static int make_worker(void *probe, unsigned i)
{
    struct probe *p = probe;
    const struct config *c = p->config;

    p->ring[i] = spsc_new(ring_bytes(p));
    const struct worker_options options = {
        .id = (uint16_t)i,
        .mirror = p->ring_mirror[i],
        .flows = (uint32_t)(config_u64(c, "capture.flows") / p->n_workers),
        .buckets = p->o.n_files != 0 ? FILE_BUCKETS : 0,
        .backed = p->o.n_files == 0,
        .trouble_blocks = (uint32_t)(config_u64(c, "capture.trouble_blocks") / p->n_workers),
        .dns_entries = DNS_ENTRIES,
        .max_paths = (uint32_t)config_u64(c, "window.max_paths"),
        .max_services = (uint32_t)config_u64(c, "window.max_services"),
        .tcp_idle_ns = setting_ns(p, "flow.tcp_idle", FILE_TCP_IDLE_NS),
        .other_idle_ns = setting_ns(p, "flow.other_idle", FILE_OTHER_IDLE_NS),
        .active_ns = setting_ns(p, "flow.active", 0),
        .closed_linger_ns = config_u64(c, "flow.closed_linger"),
        .window_ns = config_u64(c, "window.length"),
        .vlan_in_key = config_bool(c, "capture.vlan_in_key"),
        .writer = {.ring = p->ring[i], .worker = (uint16_t)i, .may_wait = p->o.n_files != 0},
        .sites = p->sites,
        .services = p->services,
    };
    if (p->ring[i] == NULL || worker_new(&options, &p->worker[i]) != 0) {
        log_error("no memory for worker %u: lower capture.flows or capture.ring", i);
        return EXIT_ERROR;
    }
    return EXIT_DONE;
}

static int make_workers(struct probe *p)
{
    for (unsigned i = 0; i < p->n_workers; i++)
        if (make_worker(p, i) != EXIT_DONE)
            return EXIT_ERROR;
    return EXIT_DONE;
}

static int start_analytics(struct probe *p, struct rx_dpdk *rx, struct analytics **ret)
{
    struct error e;
    const struct analytics_options options = {
        .rings = p->ring,
        .n_rings = p->n_workers,
        .ring_mirror = p->ring_mirror,
        .sites = p->sites,
        .services = p->services,
        .mirror_names = p->mirror_name,
        .n_mirrors = p->o.n_files != 0 ? 1 : p->o.n_devices,
        .mirror_capacity_bits_per_s = p->mirror_capacity,
        .circuits = p->config->circuits,
        .n_circuits = p->config->n_circuits,
        .sensor = p->sensor,
        .version = SPANWARD_VERSION,
        .window_ns = config_u64(p->config, "window.length"),
        .live = p->o.n_files == 0,
        .store_url = p->redis_url[0] != '\0' ? p->redis_url : NULL,
        .store = &p->access.options,
        .spool_bytes = config_u64(p->config, "store.spool"),
        .spool_dir = p->spool_dir[0] != '\0' ? p->spool_dir : NULL,
        .spool_disk_bytes = config_u64(p->config, "store.spool_disk"),
        .stop = &stop,
        .ndjson = p->records,
        .nic_ledger = rx != NULL ? rx_dpdk_ledger : NULL,
        .nic_ctx = rx,
    };
    if (analytics_start(&options, ret, &e) == 0)
        return EXIT_DONE;
    log_error("%s", e.text);
    return EXIT_ERROR;
}

/* What went wrong behind the workers, and for live runs the account. */
static int report(const struct probe *p, const struct analytics_result *r)
{
    int code = EXIT_DONE;

    if (r->status != 0) {
        log_error("%s", r->error.text);
        code = EXIT_ERROR;
    }
    for (unsigned i = 0; i < r->n_mirrors && p->o.n_files == 0; i++) {
        const struct ledger *l = &r->mirror[i].ledger;
        log_info("%s: %llu packets offered, %llu processed, %llu dropped, copies and unknown frames included",
                 r->mirror[i].name, (unsigned long long)l->offered, (unsigned long long)l->processed,
                 (unsigned long long)ledger_drop_sum(l));
    }
    if (r->spool_waiting != 0)
        log_warn("%llu records wait in the spool on disk for Redis: the next run of this sensor sends them",
                 (unsigned long long)r->spool_waiting);
    if (r->ring_dropped != 0)
        log_warn("%llu records found the ring to analytics full: raise capture.ring",
                 (unsigned long long)r->ring_dropped);
    if (r->flows_evicted != 0)
        log_warn("%llu flows were cut short because the flow table was full: raise capture.flows",
                 (unsigned long long)r->flows_evicted);
    return code;
}

/* ---- the two modes ---- */

/* In this thread; others that there may be finish with nothing. */
static enum rx_pcap_end run_one_worker(struct probe *p, struct rx_pcap *rx, struct error *e)
{
    enum rx_pcap_end end = rx_pcap_run(rx, p->worker[0], &stop, NULL, NULL, e);

    for (unsigned i = 0; i < p->n_workers; i++)
        worker_finish(p->worker[i]);
    return end;
}

static enum rx_pcap_end run_files(struct probe *p, struct rx_pcap *rx, struct error *e)
{
    struct reshard *r;
    const struct reshard_options options = {
        .workers = p->worker,
        .n_workers = p->n_workers,
        .depth = FILE_LANE_BURSTS,
        .window_ns = config_u64(p->config, "window.length"),
        .vlan_in_key = config_bool(p->config, "capture.vlan_in_key"),
        .may_wait = true,
    };

    if (p->n_workers == 1)
        return run_one_worker(p, rx, e);
    int error = reshard_new(&options, &r);
    if (error == 0 && (error = reshard_start_threads(r)) != 0)
        reshard_free(r);
    if (error != 0) {
        log_warn("cannot start %u workers (%s): one reads the files alone", p->n_workers, strerror(-error));
        return run_one_worker(p, rx, e);
    }
    enum rx_pcap_end end = rx_pcap_run_resharded(rx, r, &stop, NULL, NULL, e);
    reshard_join_threads(r);
    reshard_free(r);
    return end;
}

static int read_files(struct probe *p)
{
    struct rx_pcap *rx;
    struct analytics *a;
    struct analytics_result result;
    struct error e;

    if (rx_pcap_open(p->o.files, p->o.n_files, config_string(p->config, "capture.filter"), &rx, &e) != 0) {
        log_error("%s", e.text);
        return EXIT_ERROR;
    }
    int code = open_records(p);
    if (code == EXIT_DONE)
        code = make_workers(p);
    if (code == EXIT_DONE)
        code = start_analytics(p, NULL, &a);
    if (code != EXIT_DONE) {
        close_records(p, false);
        rx_pcap_close(rx);
        return code;
    }
    e.text[0] = '\0';
    enum rx_pcap_end end = run_files(p, rx, &e);
    analytics_join(a, &result);
    if (rx_pcap_warning(rx) != NULL)
        log_warn("%s", rx_pcap_warning(rx));
    rx_pcap_close(rx);
    code = report(p, &result);
    if (code == EXIT_DONE)
        code = close_records(p, true);
    else
        close_records(p, false);
    if (e.text[0] != '\0')
        log_warn("%s", e.text);
    return code == EXIT_DONE && end == RX_PCAP_CUT ? EXIT_CUT : code;
}

/* 0, 1, or 2 for the third word of a choice. */
static int choice(const char *word, const char *zeroth, const char *first)
{
    return strcmp(word, zeroth) == 0 ? 0 : strcmp(word, first) == 0 ? 1 : 2;
}

static void say_trouble(void *mirror_name, const char *name, uint64_t value)
{
    log_warn("%s: the driver counts %s = %llu", (const char *)mirror_name, name, (unsigned long long)value);
}

static int capture(struct probe *p)
{
    struct rx_dpdk *rx;
    struct analytics *a;
    struct analytics_result result;
    struct error e;
    const struct rx_dpdk_options options = {
        .devices = p->o.devices,
        .n_devices = p->o.n_devices,
        .n_workers = p->workers_per_mirror,
        .reshard = (enum rx_reshard)choice(config_string(p->config, "capture.reshard"), "auto", "on"),
        .wait = (enum rx_wait)choice(config_string(p->config, "capture.rx"), "poll", "interrupt"),
        .window_ns = config_u64(p->config, "window.length"),
        .vlan_in_key = config_bool(p->config, "capture.vlan_in_key"),
        .cpus = config_string(p->config, "capture.cpus"),
        .n_mbufs = (uint32_t)config_u64(p->config, "capture.mbufs"),
        .snap_bytes = (uint32_t)config_u64(p->config, "capture.snaplen"),
        .filter = config_string(p->config, "capture.filter"),
        .eal_args = p->o.eal,
    };

    if (rx_dpdk_open(&options, &rx, &e) != 0) {
        log_error("%s", e.text);
        return EXIT_ERROR;
    }
    int code = open_records(p);
    if (code == EXIT_DONE && !rx_dpdk_on_lcores(rx, make_worker, p)) /* their memory is to be near them */
        code = EXIT_ERROR;
    if (code == EXIT_DONE)
        code = start_analytics(p, rx, &a);
    if (code != EXIT_DONE) {
        close_records(p, false);
        rx_dpdk_close(rx);
        return code;
    }
    log_info("sensor %s captures on %s%s with %u worker%s, Redis at %s", p->sensor, p->mirror_name[0],
             p->o.n_devices > 1 ? " and more" : "", p->n_workers, p->n_workers > 1 ? "s" : "", p->redis_url);
    for (unsigned i = 0; i < p->o.n_devices; i++) {
        char text[RX_DPDK_TEXT];
        rx_dpdk_describe(rx, i, text);
        log_info("mirror %s: %s", p->mirror_name[i], text);
    }
    if (rx_dpdk_run(rx, p->worker, &stop, p->o.duration_ns, &e) != 0) {
        log_error("%s", e.text);
        code = EXIT_ERROR;
    }
    analytics_join(a, &result);
    int reported = report(p, &result);
    for (unsigned i = 0; i < p->o.n_devices; i++)
        rx_dpdk_trouble(rx, i, say_trouble, (void *)(uintptr_t)p->mirror_name[i]);
    rx_dpdk_close(rx);
    code = code != EXIT_DONE ? code : reported;
    int closed = close_records(p, code == EXIT_DONE);
    return code != EXIT_DONE ? code : closed;
}

/* The only parameter of the probe that a reload takes over. */
static void take_configuration(void *ctx, struct config *fresh)
{
    (void)ctx;
    log_set_level(reload_log_level(fresh));
    config_free(fresh);
    log_info("the configuration was read again");
}

static int take_hangups(struct probe *p)
{
    int code = reload_start(p->o.config, p->config, take_configuration, p);

    if (code == 0)
        return EXIT_DONE;
    log_error("cannot wait for signals: %s", strerror(-code));
    return EXIT_ERROR;
}

static void cleanup(struct probe *p)
{
    for (unsigned i = 0; i < p->n_workers; i++) {
        worker_free(p->worker[i]);
        spsc_free(p->ring[i]);
    }
    if (p->redis != NULL)
        store_private_stop(p->redis);
    store_access_fini(&p->access);
    site_table_free(p->sites);
    service_table_free(p->services);
    config_free(p->config);
}

int main(int argc, char **argv)
{
    static struct probe p; /* large, and zero */
    const struct sigaction on_stop = {.sa_handler = on_signal};

    log_init("spanward-probe", LOG_LEVEL_INFO);
    int code = parse_options(&p.o, argc, argv);
    if (code == EXIT_DONE)
        code = configure(&p);
    if (code == EXIT_DONE && p.o.check_config) {
        puts("configuration is fine");
        cleanup(&p);
        return EXIT_DONE;
    }
    sigaction(SIGINT, &on_stop, NULL);
    sigaction(SIGTERM, &on_stop, NULL);
    if (code == EXIT_DONE && p.o.n_files == 0) {
        rx_dpdk_stand_aside(p.o.n_devices, p.workers_per_mirror, config_string(p.config, "capture.cpus"));
        code = take_hangups(&p);
    } else {
        sigaction(SIGHUP, &on_stop, NULL); /* a terminal that closes ends what reads files for it */
    }
    if (code == EXIT_DONE)
        code = find_redis(&p);
    if (code == EXIT_DONE)
        code = find_spool(&p);
    if (code == EXIT_DONE)
        code = p.o.n_files != 0 ? read_files(&p) : capture(&p);
    cleanup(&p);
    return code;
}

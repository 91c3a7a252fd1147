/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See port.h. Everything that a driver says it cannot do is left out instead of asked for, and what it said it could is
 * checked afterwards where a silent refusal would make wrong numbers (the RSS key).
 *
 * Losses before us: imissed, ierrors and rx_nombuf of the driver, and what only an extended statistic tells
 * (missed_xstats). net_af_packet does not know what the kernel threw away for want of room in its ring, but its sockets
 * are ours: PACKET_STATISTICS tells. Drivers that cannot know show "not supported", never 0. A driver on an interface
 * of the kernel may take nothing at all (an XDP program that was replaced, a queue that nobody reads): as long as not
 * one packet came, all that the interface received count as missed.
 *
 * The link: from the driver, or from the kernel's interface for drivers that sit on one and always say "up".
 */

#define ALLOW_EXPERIMENTAL_API 1 /* rte_eth_read_clock */

#include "dataplane/port.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <rte_cycles.h>
#include <rte_mbuf_dyn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/eal.h"

#define JUMBO_MTU  9600u
#define TX_RING    64u
#define RETA_MAX   2048u
#define XSTATS_MAX 1024

static bool is_driver(const struct port *p, const char *name)
{
    return strcmp(p->driver, name) == 0;
}

/* ---- spreading ---- */

const uint8_t *port_rss_key(void)
{
    static uint8_t key[PORT_RSS_KEY_BYTES];

    for (unsigned i = 0; i < sizeof(key); i++)
        key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    return key;
}

/* Toeplitz of one 16-bit word, the most significant bit first: the key's windows repeat after 16 bits. */
static uint32_t toeplitz(uint16_t word)
{
    uint32_t hash = 0;

    for (unsigned i = 0; i < 16; i++)
        if (word & (0x8000u >> i))
            hash ^= i == 0 ? 0x6d5a6d5au : 0x6d5a6d5au << i | 0x6d5a6d5au >> (32 - i);
    return hash;
}

void port_predict(uint8_t queue_of[static 65536], const uint16_t *reta, unsigned n)
{
    for (unsigned fold = 0; fold < 65536; fold++)
        queue_of[fold] = (uint8_t)reta[toeplitz(__builtin_bswap16((uint16_t)fold)) & (n - 1)];
}

#define RSS_ADDRESSES                                                                                                  \
    (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_IPV6 |                    \
     RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER | RTE_ETH_RSS_IPV6_EX)

/* Addresses alone where "IPv4" takes in TCP and UDP; drivers with a class per protocol do not offer it and hash ports,
 * too. 0: no RSS that we could use. */
static uint64_t rss_types(struct port *p, const struct rte_eth_dev_info *info)
{
    uint64_t offered = info->flow_type_rss_offloads, types = offered & RSS_ADDRESSES;

    if (!(offered & RTE_ETH_RSS_IPV4)) {
        types = offered & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
        p->hashes_ports = true;
    }
    if ((offered & RTE_ETH_RSS_LEVEL_MASK) == RTE_ETH_RSS_LEVEL_INNERMOST)
        types |= RTE_ETH_RSS_LEVEL_INNERMOST;
    return types;
}

static bool can_spread(struct port *p, const struct rte_eth_dev_info *info, unsigned n_workers)
{
    if (info->max_rx_queues < n_workers)
        return false;
    if (is_driver(p, "net_af_packet"))
        return true;
    return eal_is_pci(p->device) && info->reta_size <= RETA_MAX && rss_types(p, info) != 0;
}

static int choose_spread(struct port *p, const struct rte_eth_dev_info *info, const struct port_options *o,
                         struct error *e)
{
    bool every_queue = is_driver(p, "net_af_packet") || is_driver(p, "net_af_xdp"); /* each has part of the traffic */

    p->n_queues = every_queue ? info->max_rx_queues : 1;
    if (p->n_queues > PORT_QUEUES_MAX)
        return error_set(e, -E2BIG, "%s has more than %u queues", p->device, PORT_QUEUES_MAX);
    if (o->n_workers == 1) {
        p->spread = PORT_SINGLE;
    } else if (o->reshard != PORT_RESHARD_ON && can_spread(p, info, o->n_workers)) {
        p->spread = PORT_QUEUES;
        p->n_queues = (uint16_t)o->n_workers;
    } else if (o->reshard == PORT_RESHARD_OFF) {
        return error_set(e, -ENOTSUP,
                         "%s cannot spread flows over %u workers by itself%s: allow capture.reshard or use one worker",
                         p->device, o->n_workers, is_driver(p, "net_af_packet") ? " (add qpairs=N to the device)" : "");
    } else {
        p->spread = PORT_RESHARD;
    }
    if (every_queue && p->spread == PORT_QUEUES && info->max_rx_queues != o->n_workers)
        return error_set(e, -EINVAL, "%s has %u queues, but there are %u workers: make them equal", p->device,
                         info->max_rx_queues, o->n_workers);
    return 0;
}

static void rss_config(struct port *p, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
    if (p->spread != PORT_QUEUES || !eal_is_pci(p->device))
        return;
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_key = (uint8_t *)(uintptr_t)port_rss_key();
    conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size != 0 ? info->hash_key_size : 40;
    conf->rx_adv_conf.rss_conf.rss_hf = rss_types(p, info);
}

/* Did the NIC take the key? Then an even redirection table, and the prediction from the one that it has. */
static int rss_check(struct port *p, const struct rte_eth_dev_info *info, struct error *e)
{
    uint8_t key[PORT_RSS_KEY_BYTES] = {0};
    struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = sizeof(key)};
    struct rte_eth_rss_reta_entry64 entry[RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];
    uint16_t reta[RETA_MAX], n = info->reta_size;

    if (p->spread != PORT_QUEUES || !eal_is_pci(p->device))
        return 0;
    if (rte_eth_dev_rss_hash_conf_get(p->id, &conf) == 0 && memcmp(key, port_rss_key(), 40) != 0)
        return error_set(e, -ENOTSUP, "%s does not take a symmetric RSS key: set capture.reshard: on", p->device);
    if (n == 0 || (n & (n - 1)) != 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        entry[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
        entry[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % p->n_queues);
    }
    rte_eth_dev_rss_reta_update(p->id, entry, n); /* what it has in the end counts */
    if (rte_eth_dev_rss_reta_query(p->id, entry, n) != 0)
        return 0;
    for (unsigned i = 0; i < n; i++)
        reta[i] = entry[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    p->queue_of = malloc(65536);
    if (p->queue_of != NULL)
        port_predict(p->queue_of, reta, n);
    return 0;
}

/* ---- frames ---- */

/* A mirror may carry jumbo frames: as large as the device allows and, without scattered frames, a buffer holds. */
static uint32_t largest_mtu(const struct rte_eth_dev_info *info, uint32_t snap_bytes)
{
    uint32_t overhead = info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu
                            ? info->max_rx_pktlen - info->max_mtu
                            : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    bool scatters = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    uint32_t mtu = scatters || snap_bytes > JUMBO_MTU + overhead ? JUMBO_MTU
                   : snap_bytes > overhead                       ? snap_bytes - overhead
                                                                 : RTE_ETHER_MIN_MTU;

    if (mtu > info->max_mtu)
        mtu = info->max_mtu;
    if (info->max_rx_pktlen > overhead && mtu > info->max_rx_pktlen - overhead)
        mtu = info->max_rx_pktlen - overhead;
    return mtu < RTE_ETHER_MIN_MTU ? RTE_ETHER_MIN_MTU : mtu;
}

static int setup_queues(struct port *p, const struct port_options *o, struct error *e)
{
    uint16_t rx_ring = o->rx_ring, tx_ring = TX_RING;
    unsigned socket = (unsigned)rte_eth_dev_socket_id(p->id);

    rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx_ring, &tx_ring);
    p->rx_ring = rx_ring;
    for (uint16_t q = 0; q < p->n_queues; q++) {
        int error = rte_eth_rx_queue_setup(p->id, q, rx_ring, socket, NULL, o->mbufs);
        if (error != 0)
            return error_set(e, error, "%s: receive queue %u: %s", p->device, q, strerror(-error));
        error =
            rte_eth_tx_queue_setup(p->id, q, tx_ring, socket, NULL); /* some start only with as many; none is used */
        if (error != 0)
            return error_set(e, error, "%s: send queue %u: %s", p->device, q, strerror(-error));
    }
    return 0;
}

/* ---- time ---- */

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void watch_clock(struct port *p)
{
    uint64_t ticks;

    if (!p->has_hw_time)
        return;
    uint64_t before_ns = now_ns();
    if (rte_eth_read_clock(p->id, &ticks) == 0)
        hw_clock_sample(&p->clock, ticks, before_ns + (now_ns() - before_ns) / 2);
}

/* Time stamps are of use only when the counter can be read beside the system's clock. */
static void setup_clock(struct port *p, const struct rte_eth_conf *conf)
{
    uint64_t ticks;

    p->has_hw_time = (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_TIMESTAMP) &&
                     rte_mbuf_dyn_rx_timestamp_register(&p->time_offset, &p->time_flag) == 0 &&
                     rte_eth_read_clock(p->id, &ticks) == 0;
    watch_clock(p);
}

/* ---- losses ---- */

/* Drivers that do not know what was lost before them. */
static bool knows_missed(const struct port *p)
{
    static const char *const blind[] = {"net_memif", "net_ring", "net_tap", "net_null", "net_virtio_user"};

    for (unsigned i = 0; i < sizeof(blind) / sizeof(blind[0]); i++)
        if (is_driver(p, blind[i]))
            return false;
    return !is_driver(p, "net_af_packet") || p->n_packet_fds == p->n_queues;
}

static bool is_our_socket(int fd, unsigned ifindex)
{
    struct sockaddr_ll addr = {0};
    socklen_t len = sizeof(addr);
    int domain = 0;
    socklen_t domain_len = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 && domain == AF_PACKET &&
           getsockname(fd, (struct sockaddr *)(void *)&addr, &len) == 0 && addr.sll_ifindex == (int)ifindex;
}

static void find_sockets(struct port *p)
{
    unsigned ifindex = if_nametoindex(p->iface);
    DIR *dir = is_driver(p, "net_af_packet") && ifindex != 0 ? opendir("/proc/self/fd") : NULL;
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL && p->n_packet_fds < PORT_QUEUES_MAX) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && is_our_socket(fd, ifindex))
            p->packet_fd[p->n_packet_fds++] = fd;
    }
    if (dir != NULL)
        closedir(dir);
}

/* Reading resets: the sum is ours. */
static void watch_sockets(struct port *p)
{
    for (unsigned i = 0; i < p->n_packet_fds; i++) {
        struct tpacket_stats s = {0};
        socklen_t len = sizeof(s);
        if (getsockopt(p->packet_fd[i], SOL_PACKET, PACKET_STATISTICS, &s, &len) == 0)
            p->packet_drops += s.tp_drops;
    }
}

/* Losses that these drivers leave out of imissed. */
static uint64_t missed_xstats(const struct port *p)
{
    static const char *const names[] = {"rx_phy_discard_packets"}; /* mlx5: the port's own buffer was full */
    uint64_t sum = 0, id, value;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (rte_eth_xstats_get_id_by_name(p->id, names[i], &id) == 0 &&
            rte_eth_xstats_get_by_id(p->id, &id, &value, 1) == 1)
            sum += value;
    return sum;
}

/* Of /proc, which shows this process's network namespace. 0: there is none. */
static uint64_t iface_received(const struct port *p)
{
    FILE *f = p->iface[0] != '\0' ? fopen("/proc/self/net/dev", "re") : NULL;
    char line[512], name[IFNAMSIZ];
    unsigned long long pkts = 0;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, " %15[^: ]: %*u %llu", name, &pkts) == 2 && strcmp(name, p->iface) == 0)
            break;
        else
            pkts = 0;
    if (f != NULL)
        fclose(f);
    return pkts;
}

/* What the interface had a look ago, if the driver still has not had one packet. */
static uint64_t untaken(struct port *p, const struct rte_eth_stats *s)
{
    uint64_t before = p->iface_before;

    if (s->ipackets != p->base.ipackets || p->iface[0] == '\0')
        return 0;
    p->iface_before = iface_received(p);
    return before > p->iface_base ? before - p->iface_base : 0;
}

static void watch_stats(struct port *p)
{
    struct rte_eth_stats s;

    watch_sockets(p);
    if (rte_eth_stats_get(p->id, &s) != 0)
        return;
    uint64_t none = untaken(p, &s);
    uint64_t missed = s.imissed - p->base.imissed + p->packet_drops + (eal_is_pci(p->device) ? missed_xstats(p) : 0);
    atomic_store_explicit(&p->missed, missed > none ? missed : none, memory_order_relaxed);
    atomic_store_explicit(&p->errors, s.ierrors - p->base.ierrors, memory_order_relaxed);
    atomic_store_explicit(&p->no_mbuf, s.rx_nombuf - p->base.rx_nombuf, memory_order_relaxed);
}

void port_ledger(struct port *p, struct ledger *ret_nic)
{
    *ret_nic = (struct ledger){0};
    ret_nic->drops[LEDGER_nic_missed] = atomic_load_explicit(&p->missed, memory_order_relaxed);
    ret_nic->drops[LEDGER_nic_errors] = atomic_load_explicit(&p->errors, memory_order_relaxed);
    ret_nic->drops[LEDGER_no_mbuf] = atomic_load_explicit(&p->no_mbuf, memory_order_relaxed);
    if (!p->counts_missed)
        ret_nic->unsupported |= 1u << LEDGER_nic_missed;
}

static bool is_trouble(const char *name)
{
    static const char *const words[] = {"err", "drop", "discard", "miss", "fault", "no_buf", "nombuf", "out_of_buf"};

    if (strncmp(name, "tx", 2) == 0 || strstr(name, "tx_") != NULL)
        return false;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(name, words[i]) != NULL)
            return true;
    return false;
}

void port_trouble(const struct port *p, void (*say)(void *ctx, const char *name, uint64_t value), void *ctx)
{
    struct rte_eth_xstat_name *name = calloc(XSTATS_MAX, sizeof(*name));
    struct rte_eth_xstat *value = calloc(XSTATS_MAX, sizeof(*value));
    int n = name != NULL && value != NULL ? rte_eth_xstats_get(p->id, value, XSTATS_MAX) : 0;

    if (n > 0 && n <= XSTATS_MAX && rte_eth_xstats_get_names(p->id, name, XSTATS_MAX) == n)
        for (int i = 0; i < n; i++)
            if (value[i].value != 0 && value[i].id < (uint64_t)n && is_trouble(name[value[i].id].name))
                say(ctx, name[value[i].id].name, value[i].value);
    free(name);
    free(value);
}

/* ---- link ---- */

/* Asked of a socket, not of /sys, which may show another network namespace. */
static enum port_link kernel_link(const struct port *p)
{
    struct ifreq request = {.ifr_flags = 0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return PORT_LINK_UNKNOWN;
    memcpy(request.ifr_name, p->iface, sizeof(request.ifr_name));
    bool exists = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    close(fd);
    return exists && (request.ifr_flags & IFF_RUNNING) ? PORT_LINK_UP : PORT_LINK_DOWN;
}

static void watch_link(struct port *p)
{
    struct rte_eth_link link = {0};
    enum port_link now = PORT_LINK_UNKNOWN;

    if (p->iface[0] != '\0')
        now = kernel_link(p);
    else if (rte_eth_link_get_nowait(p->id, &link) == 0)
        now = link.link_status ? PORT_LINK_UP : PORT_LINK_DOWN;
    atomic_store_explicit(&p->link, (int)now, memory_order_relaxed);
}

void port_watch(struct port *p)
{
    watch_stats(p);
    watch_clock(p);
    watch_link(p);
}

/* ---- start and stop ---- */

static void name_iface(struct port *p)
{
    const char *iface = strncmp(p->driver, "net_af_", 7) == 0 ? strstr(p->device, "iface=") : NULL;

    if (iface != NULL)
        snprintf(p->iface, sizeof(p->iface), "%.*s", (int)strcspn(iface + 6, ","), iface + 6);
}

static int configure(struct port *p, const struct rte_eth_dev_info *info, const struct port_options *o, struct error *e)
{
    struct rte_eth_conf conf = {0};

    rss_config(p, info, &conf);
    conf.rxmode.offloads = info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TIMESTAMP);
    conf.rxmode.mtu = p->mtu = largest_mtu(info, o->snap_bytes);
    conf.intr_conf.rxq = o->interrupts;
    int error = rte_eth_dev_configure(p->id, p->n_queues, p->n_queues, &conf);
    if (error != 0 && o->interrupts) { /* without them it sleeps by time */
        conf.intr_conf.rxq = 0;
        error = rte_eth_dev_configure(p->id, p->n_queues, p->n_queues, &conf);
    }
    if (error != 0)
        return error_set(e, error, "%s does not take its configuration: %s", p->device, strerror(-error));
    error = setup_queues(p, o, e);
    if (error != 0)
        return error;
    error = rte_eth_dev_start(p->id);
    if (error != 0)
        return error_set(e, error, "%s does not start: %s", p->device, strerror(-error));
    setup_clock(p, &conf);
    p->has_interrupts = conf.intr_conf.rxq != 0;
    return 0;
}

int port_start(struct port *p, uint16_t id, const struct port_options *o, struct error *e)
{
    struct rte_eth_dev_info info;
    int error = rte_eth_dev_info_get(id, &info);

    p->id = id;
    p->device = o->device;
    if (error != 0)
        return error_set(e, error, "%s: cannot read its capabilities: %s", o->device, strerror(-error));
    snprintf(p->driver, sizeof(p->driver), "%s", info.driver_name);
    name_iface(p);
    error = choose_spread(p, &info, o, e);
    if (error == 0)
        error = configure(p, &info, o, e);
    if (error == 0)
        error = rss_check(p, &info, e);
    if (error != 0)
        return error;
    if (rte_eth_promiscuous_enable(id) != 0) /* software drivers may refuse: they see everything anyway */
        rte_eth_allmulticast_enable(id);
    find_sockets(p);
    watch_sockets(p);
    p->packet_drops = 0;
    p->counts_missed = knows_missed(p);
    rte_eth_stats_get(id, &p->base);
    p->iface_base = p->iface_before = iface_received(p);
    watch_link(p);
    return 0;
}

void port_stop(struct port *p)
{
    rte_eth_dev_stop(p->id);
    rte_eth_dev_close(p->id);
    free(p->queue_of);
    p->queue_of = NULL;
}

void port_describe(const struct port *p, char *ret_text, size_t size)
{
    static const char *const spread[] = {"one worker", "a queue per worker", "shared out by one thread"};

    snprintf(ret_text, size, "%s: %s, %u queue%s of %u, MTU %u, %s, time by %s%s%s", p->device, p->driver, p->n_queues,
             p->n_queues == 1 ? "" : "s", p->rx_ring, p->mtu, spread[p->spread],
             p->has_hw_time ? "the NIC's clock" : "the system's clock, per burst",
             p->counts_missed ? "" : "; what is lost before it cannot be counted",
             atomic_load_explicit(&((struct port *)(uintptr_t)p)->link, memory_order_relaxed) == PORT_LINK_DOWN
                 ? "; the link is down"
                 : "");
}

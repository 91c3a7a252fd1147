/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See rx_pcap.h. Packets stay in the buffers of their files (capfile.h) while a burst is processed. When a file's
 * buffer holds no further packet, the burst is flushed before the buffer is filled again: no packet is copied.
 *
 * Merging: the file with the earliest next packet is read on until another file's next packet is earlier, so that
 * files which do not overlap in time, the parts of a rotated capture, cost one comparison per packet.
 *
 * A burst holds packets of one link type only: a change of link type ends it early. Packets of a link type that is
 * not supported are offered and dropped as unknown. capture.filter is compiled by libpcap, once per link type; BSD
 * loopback frames are filtered as raw IP, behind their header, because its byte order is that of the capturing host.
 * A filter that cannot be compiled for a link type (an Ethernet address for raw IP) fails the open of a file that
 * begins with it, and matches nothing if it only turns up later.
 */

#include "dataplane/rx_pcap.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/capfile.h"
#include "dataplane/memory.h"

#define BUFFER_BYTES_MAX (1u << 20) /* larger ones read no faster */
#define BUFFER_BYTES_MIN (2 * CAPFILE_PACKET_MAX)
#define BUFFERS_BYTES    (64u << 20) /* for all files together, as far as BUFFER_BYTES_MIN allows */
#define PROGRESS_PKTS    0x10000u    /* packets between two looks at *stop and reports of progress */
#define NULL_BYTES       4u          /* BSD loopback header */
#define LINK_UNSUPPORTED LINK_COUNT

struct source {
    struct capfile *file;
    bool has_next;
    const struct capfile_packet *next; /* in the file's buffer, if has_next: one of */
    struct capfile_packet ready[BATCH_MAX];
    unsigned n_ready;
    uint32_t known_link; /* LINKTYPE that `link` was looked up for */
    enum link_type link; /* or LINK_UNSUPPORTED */
};

struct link_filter {
    bool is_compiled;
    struct bpf_program program;
    char text[PCAP_ERRBUF_SIZE]; /* why it is not compiled */
};

/* The members behind `batch` are set while rx_pcap_run runs. */
struct rx_pcap {
    struct source *source;
    unsigned n_sources;
    uint64_t total_bytes;
    bool has_filter;
    struct link_filter filter[LINK_COUNT];
    struct error reason; /* of the first cut file; empty: none */
    struct error warning;
    uint64_t n_unsupported;
    struct batch batch;

    struct worker *worker;   /* or NULL and: */
    struct reshard *reshard; /* several */
    const volatile int *stop;
    bool stopped;
    uint64_t n_pkts;
    void (*on_progress)(void *ctx, double share);
    void *ctx;
};

/* ---- link types and filters ---- */

/* LINKTYPE_ numbers; 12 is raw IP in files by libpcap's number for it. */
static enum link_type link_of(uint32_t linktype)
{
    switch (linktype) {
    case 1:
        return LINK_ETHERNET;
    case 12:
    case 101:
    case 228: /* IPv4 only */
    case 229: /* IPv6 only */
        return LINK_RAW_IP;
    case 113:
        return LINK_SLL;
    case 276:
        return LINK_SLL2;
    case 10:
        return LINK_FDDI;
    case 0:
    case 108: /* OpenBSD loopback */
        return LINK_NULL;
    default:
        return LINK_UNSUPPORTED;
    }
}

static const char *linktype_name(uint32_t linktype)
{
    const char *name = pcap_datalink_val_to_name((int)linktype);

    return name != NULL ? name : "unknown";
}

static void compile_filter(struct link_filter *f, int dlt, const char *filter)
{
    pcap_t *pcap = pcap_open_dead(dlt, CAPFILE_PACKET_MAX);

    if (pcap == NULL) {
        snprintf(f->text, sizeof(f->text), "out of memory");
        return;
    }
    f->is_compiled = pcap_compile(pcap, &f->program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!f->is_compiled)
        snprintf(f->text, sizeof(f->text), "%s", pcap_geterr(pcap));
    pcap_close(pcap);
}

static void compile_filters(struct rx_pcap *rx, const char *filter)
{
    static const int dlt[LINK_COUNT] = {
        [LINK_ETHERNET] = DLT_EN10MB, [LINK_RAW_IP] = DLT_RAW, [LINK_SLL] = DLT_LINUX_SLL,
        [LINK_SLL2] = DLT_LINUX_SLL2, [LINK_FDDI] = DLT_FDDI,  [LINK_NULL] = DLT_RAW,
    };

    rx->has_filter = filter != NULL && *filter != '\0';
    for (unsigned link = 0; rx->has_filter && link < LINK_COUNT; link++)
        compile_filter(&rx->filter[link], dlt[link], filter);
}

static bool is_wanted(const struct rx_pcap *rx, const struct source *s)
{
    const struct link_filter *f = &rx->filter[s->link];
    uint32_t skip = s->link == LINK_NULL ? NULL_BYTES : 0;

    if (!f->is_compiled || s->next->cap_len < skip)
        return false;
    const struct pcap_pkthdr hdr = {.caplen = s->next->cap_len - skip, .len = s->next->wire_len - skip};
    return pcap_offline_filter(&f->program, &hdr, s->next->data + skip) != 0;
}

/* ---- packets ---- */

static void flush(struct rx_pcap *rx)
{
    if (rx->batch.n != 0 && rx->reshard != NULL)
        reshard_burst(rx->reshard, &rx->batch, NULL);
    else if (rx->batch.n != 0)
        worker_process(rx->worker, &rx->batch);
    rx->batch.n = 0;
}

/* No packet is needed any more. */
static void let_go(struct rx_pcap *rx)
{
    flush(rx);
    if (rx->reshard != NULL)
        reshard_settle(rx->reshard);
}

static void count_drop(struct rx_pcap *rx, enum ledger_drop why)
{
    if (rx->reshard != NULL)
        reshard_count(rx->reshard, why, 1);
    else if (why == LEDGER_filtered)
        worker_count_filtered(rx->worker, 1);
    else
        worker_count_unknown(rx->worker, 1);
}

/* Packets in the batch may lie in the source's buffer, so they go before it is refilled. */
static void fetch_more(struct rx_pcap *rx, struct source *s)
{
    enum capfile_status status;

    s->next = s->ready;
    s->n_ready = 0;
    while ((status = capfile_next_few(s->file, s->ready, BATCH_MAX, &s->n_ready)) == CAPFILE_REFILL) {
        let_go(rx);
        rx->stopped = rx->stop != NULL && *rx->stop;
        if (rx->stopped)
            return;
        capfile_refill(s->file);
    }
    s->has_next = status == CAPFILE_PACKET;
    if (status == CAPFILE_CUT && rx->stop != NULL && *rx->stop) { /* libpcap takes the signal for a fault */
        rx->stopped = true;
        return;
    }
    if (s->has_next && s->next->link != s->known_link) {
        s->known_link = s->next->link;
        s->link = link_of(s->next->link);
    }
    if (status == CAPFILE_CUT && rx->reason.text[0] == '\0')
        error_set(&rx->reason, -EIO, "%s; analysed up to there", capfile_reason(s->file));
}

/* Finds the source's next packet. */
static inline void fetch(struct rx_pcap *rx, struct source *s)
{
    if (s->next + 1 < s->ready + s->n_ready)
        s->next++;
    else
        fetch_more(rx, s);
}

static void count_unsupported(struct rx_pcap *rx, const struct source *s)
{
    count_drop(rx, LEDGER_decode_unknown);
    if (rx->n_unsupported++ == 0)
        error_set(&rx->warning, 0, "%s has packets of link type %s (%u), which is not supported; they are not analysed",
                  capfile_name(s->file), linktype_name(s->known_link), s->known_link);
}

static inline void add_packet(struct rx_pcap *rx, const struct source *s, const struct capfile_packet *from)
{
    if (rx->batch.n != 0 && rx->batch.link != s->link)
        flush(rx);
    rx->batch.link = s->link;
    struct pkt *p = &rx->batch.pkt[rx->batch.n++];
    p->data = from->data;
    p->cap_len = from->cap_len < UINT16_MAX ? from->cap_len : UINT16_MAX; /* offsets in struct pkt have 16 bits */
    p->snap_len = from->cap_len;
    p->wire_len = from->wire_len;
    p->ts_ns = from->ts_ns;
    p->rx_vlan = RX_NO_VLAN;
    if (rx->batch.n == BATCH_MAX)
        flush(rx);
}

static void take_packet(struct rx_pcap *rx, const struct source *s)
{
    if (s->link == LINK_UNSUPPORTED)
        count_unsupported(rx, s);
    else if (rx->has_filter && !is_wanted(rx, s))
        count_drop(rx, LEDGER_filtered);
    else
        add_packet(rx, s, s->next);
}

/* The source's packets that are ready, the last of them excepted. Returns how many. */
static unsigned take_ready(struct rx_pcap *rx, struct source *s)
{
    const struct capfile_packet *first = s->next, *last = s->ready + s->n_ready - 1;

    if (s->link == LINK_UNSUPPORTED || rx->has_filter)
        return 0;
    for (; s->next < last; s->next++)
        add_packet(rx, s, s->next);
    return (unsigned)(last - first);
}

/* ---- files ---- */

static int check_links(const struct rx_pcap *rx, const struct source *s, const char *filter, struct error *e)
{
    unsigned n = capfile_interfaces(s->file), n_supported = 0;

    for (unsigned i = 0; i < n; i++) {
        enum link_type link = link_of(capfile_interface_link(s->file, i));
        if (link == LINK_UNSUPPORTED)
            continue;
        n_supported++;
        if (rx->has_filter && !rx->filter[link].is_compiled)
            return error_set(e, -EINVAL, "capture.filter \"%s\": %s", filter, rx->filter[link].text);
    }
    if (n == 0 || n_supported != 0)
        return 0;
    uint32_t linktype = capfile_interface_link(s->file, 0);
    return error_set(e, -EPROTONOSUPPORT,
                     "%s has link type %s (%u), which is not supported; convert it to Ethernet or raw IP",
                     capfile_name(s->file), linktype_name(linktype), linktype);
}

static int open_source(struct rx_pcap *rx, struct source *s, const char *path, const char *filter, struct error *e)
{
    size_t buffer_bytes = BUFFERS_BYTES / rx->n_sources;

    if (buffer_bytes > BUFFER_BYTES_MAX)
        buffer_bytes = BUFFER_BYTES_MAX;
    if (buffer_bytes < BUFFER_BYTES_MIN)
        buffer_bytes = BUFFER_BYTES_MIN;
    int error = capfile_open(path, buffer_bytes, &s->file, e);
    if (error != 0)
        return error;
    rx->total_bytes += capfile_total_bytes(s->file);
    s->known_link = UINT32_MAX;
    fetch_more(rx, s);
    return check_links(rx, s, filter, e);
}

int rx_pcap_open(const char *const *paths, unsigned n_paths, const char *filter, struct rx_pcap **ret_rx,
                 struct error *e)
{
    struct rx_pcap *rx = memory_map(sizeof(*rx)); /* a batch begins at a line, which is more than calloc promises */
    int error = 0;

    if (rx != NULL)
        rx->source = calloc(n_paths, sizeof(*rx->source));
    if (rx == NULL || rx->source == NULL) {
        rx_pcap_close(rx);
        return error_set(e, -ENOMEM, "out of memory");
    }
    rx->n_sources = n_paths;
    compile_filters(rx, filter);
    for (unsigned i = 0; i < n_paths && error == 0; i++)
        error = open_source(rx, &rx->source[i], paths[i], filter, e);
    if (error != 0) {
        rx_pcap_close(rx);
        return error;
    }
    *ret_rx = rx;
    return 0;
}

void rx_pcap_close(struct rx_pcap *rx)
{
    if (rx == NULL)
        return;
    for (unsigned link = 0; link < LINK_COUNT; link++)
        if (rx->filter[link].is_compiled)
            pcap_freecode(&rx->filter[link].program);
    for (unsigned i = 0; i < rx->n_sources; i++)
        capfile_close(rx->source[i].file);
    free(rx->source);
    memory_unmap(rx, sizeof(*rx));
}

const char *rx_pcap_warning(const struct rx_pcap *rx)
{
    return rx->warning.text[0] != '\0' ? rx->warning.text : NULL;
}

/* ---- merging ---- */

/* Of several with the same time, the first. */
static struct source *earliest(struct rx_pcap *rx, const struct source *except)
{
    struct source *first = NULL;

    for (unsigned i = 0; i < rx->n_sources; i++) {
        struct source *s = &rx->source[i];
        if (s != except && s->has_next && (first == NULL || s->next->ts_ns < first->next->ts_ns))
            first = s;
    }
    return first;
}

static double share_read(const struct rx_pcap *rx)
{
    uint64_t read_bytes = 0;

    for (unsigned i = 0; i < rx->n_sources; i++)
        if (capfile_total_bytes(rx->source[i].file) != 0)
            read_bytes += capfile_read_bytes(rx->source[i].file);
    return rx->total_bytes != 0 ? (double)read_bytes / (double)rx->total_bytes : 0;
}

/* Reads s as long as its next packet comes before that of `other` (NULL: to its end). */
static void read_source(struct rx_pcap *rx, struct source *s, const struct source *other)
{
    bool wins_ties = s < other;

    do {
        uint64_t n = 1;
        if (other == NULL)
            n += take_ready(rx, s);
        take_packet(rx, s);
        fetch(rx, s);
        rx->n_pkts += n;
        if (rx->n_pkts % PROGRESS_PKTS < n) {
            rx->stopped = rx->stopped || *rx->stop;
            if (rx->on_progress != NULL)
                rx->on_progress(rx->ctx, share_read(rx));
        }
    } while (
        !rx->stopped && s->has_next &&
        (other == NULL || s->next->ts_ns < other->next->ts_ns || (wins_ties && s->next->ts_ns == other->next->ts_ns)));
}

static enum rx_pcap_end run(struct rx_pcap *rx, const volatile int *stop, void (*on_progress)(void *ctx, double share),
                            void *ctx, struct error *e)
{
    struct source *s;

    rx->stop = stop;
    rx->on_progress = on_progress;
    rx->ctx = ctx;
    while (!rx->stopped && (s = earliest(rx, NULL)) != NULL)
        read_source(rx, s, earliest(rx, s));
    let_go(rx);
    if (rx->stopped)
        return RX_PCAP_STOPPED;
    if (rx->reason.text[0] == '\0')
        return RX_PCAP_EOF;
    error_set(e, -EIO, "%s", rx->reason.text);
    return RX_PCAP_CUT;
}

enum rx_pcap_end rx_pcap_run(struct rx_pcap *rx, struct worker *w, const volatile int *stop,
                             void (*on_progress)(void *ctx, double share), void *ctx, struct error *e)
{
    rx->worker = w;
    return run(rx, stop, on_progress, ctx, e);
}

enum rx_pcap_end rx_pcap_run_resharded(struct rx_pcap *rx, struct reshard *workers, const volatile int *stop,
                                       void (*on_progress)(void *ctx, double share), void *ctx, struct error *e)
{
    rx->reshard = workers;
    enum rx_pcap_end end = run(rx, stop, on_progress, ctx, e);
    reshard_finish(workers);
    return end;
}

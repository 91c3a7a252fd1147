/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See rx_pcap.h. libpcap reads the formats; gzip goes through zlib by way of fopencookie. libpcap hands out one packet
 * at a time in a buffer that it reuses, so bytes are copied into the burst's arena; headers need no more than
 * KEEP_BYTES of each, except DNS messages, which are short.
 *
 * A burst holds packets of one link type only: a change of link type between merged files ends it early.
 */

#include "dataplane/rx_pcap.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "common/timefmt.h"

#define KEEP_BYTES        2048u
#define FILE_BUFFER_BYTES (256u << 10)

struct source {
    const char *path;
    pcap_t *pcap;
    FILE *file;
    uint64_t file_bytes;
    int dlt;
    enum link_type link;
    struct bpf_program filter;
    bool has_filter;

    /* the packet that is next, if has_next */
    bool has_next;
    struct pcap_pkthdr *hdr;
    const uint8_t *data;
};

struct rx_pcap {
    struct source *source;
    unsigned n_sources;
    bool cut;
    uint64_t total_bytes;
    struct batch batch;
    uint8_t arena[BATCH_MAX][KEEP_BYTES];
};

static ssize_t gz_cookie_read(void *cookie, char *buf, size_t size)
{
    return gzread(cookie, buf, (unsigned)(size > INT32_MAX ? INT32_MAX : size));
}

static int gz_cookie_close(void *cookie)
{
    return gzclose(cookie) == Z_OK ? 0 : -1;
}

/* Opens for reading; a gzip stream is unpacked on the way. */
static int open_file(struct source *s, struct error *e)
{
    FILE *f = fopen(s->path, "rb");
    struct stat st;

    if (f == NULL)
        return error_set(e, -errno, "cannot open %s: %s", s->path, strerror(errno));
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        return error_set(e, -EISDIR, "cannot read %s: it is a directory, not a capture file", s->path);
    }
    s->file_bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    int first = fgetc(f), second = first == EOF ? EOF : fgetc(f);
    if (first == EOF) {
        fclose(f);
        return error_set(e, -EINVAL, "%s is empty: no capture file header", s->path);
    }
    if (first == 0x1f && second == 0x8b) {
        gzFile gz = gzopen(s->path, "rb");
        fclose(f);
        if (gz == NULL)
            return error_set(e, -ENOMEM, "cannot unpack %s: out of memory", s->path);
        gzbuffer(gz, FILE_BUFFER_BYTES);
        f = fopencookie(gz, "rb", (cookie_io_functions_t){.read = gz_cookie_read, .close = gz_cookie_close});
        if (f == NULL) {
            gzclose(gz);
            return error_set(e, -ENOMEM, "cannot unpack %s: out of memory", s->path);
        }
    } else if (fseek(f, 0, SEEK_SET) != 0) { /* a pipe: put back what was looked at */
        ungetc(second, f);
        ungetc(first, f);
    }
    setvbuf(f, NULL, _IOFBF, FILE_BUFFER_BYTES);
    s->file = f;
    return 0;
}

static int link_of(int dlt, enum link_type *ret_link)
{
    switch (dlt) {
    case DLT_EN10MB:
        *ret_link = LINK_ETHERNET;
        return 0;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
    case 101: /* LINKTYPE_RAW, where libpcap does not map it */
        *ret_link = LINK_RAW_IP;
        return 0;
    case DLT_LINUX_SLL:
        *ret_link = LINK_SLL;
        return 0;
    case DLT_LINUX_SLL2:
        *ret_link = LINK_SLL2;
        return 0;
    case DLT_FDDI:
        *ret_link = LINK_FDDI;
        return 0;
    case DLT_NULL:
    case DLT_LOOP:
        *ret_link = LINK_NULL;
        return 0;
    default:
        return -EPROTONOSUPPORT;
    }
}

static int set_filter(struct source *s, const char *filter, struct error *e)
{
    if (filter == NULL || *filter == '\0')
        return 0;
    if (pcap_compile(s->pcap, &s->filter, filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return error_set(e, -EINVAL, "capture.filter \"%s\": %s", filter, pcap_geterr(s->pcap));
    s->has_filter = true;
    return 0;
}

static int open_source(struct source *s, const char *filter, struct error *e)
{
    char text[PCAP_ERRBUF_SIZE];
    int error = open_file(s, e);

    if (error != 0)
        return error;
    s->pcap = pcap_fopen_offline_with_tstamp_precision(s->file, PCAP_TSTAMP_PRECISION_NANO, text);
    if (s->pcap == NULL) {
        fclose(s->file);
        s->file = NULL;
        return error_set(e, -EINVAL, "%s is not a capture file that can be read: %s", s->path, text);
    }
    s->dlt = pcap_datalink(s->pcap);
    if (link_of(s->dlt, &s->link) != 0) {
        const char *name = pcap_datalink_val_to_name(s->dlt);
        return error_set(e, -EPROTONOSUPPORT,
                         "%s has link type %s (%d), which is not supported; convert it to Ethernet or raw IP", s->path,
                         name != NULL ? name : "unknown", s->dlt);
    }
    return set_filter(s, filter, e);
}

/* Fetches the source's next packet. A damaged end is remembered once, in e. */
static void fetch(struct rx_pcap *rx, struct source *s, struct error *e)
{
    int result = pcap_next_ex(s->pcap, &s->hdr, &s->data);

    s->has_next = result == 1;
    if (result != -1)
        return;
    if (!rx->cut)
        error_set(e, -EIO, "%s is cut or damaged: %s; analysed up to there", s->path, pcap_geterr(s->pcap));
    rx->cut = true;
}

int rx_pcap_open(const char *const *paths, unsigned n_paths, const char *filter, struct rx_pcap **ret_rx,
                 struct error *e)
{
    struct rx_pcap *rx = calloc(1, sizeof(*rx));
    int error = 0;

    if (rx != NULL)
        rx->source = calloc(n_paths, sizeof(*rx->source));
    if (rx == NULL || rx->source == NULL) {
        rx_pcap_close(rx);
        return error_set(e, -ENOMEM, "out of memory");
    }
    rx->n_sources = n_paths;
    for (unsigned i = 0; i < n_paths && error == 0; i++) {
        rx->source[i].path = paths[i];
        error = open_source(&rx->source[i], filter, e);
        rx->total_bytes += rx->source[i].file_bytes;
    }
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
    for (unsigned i = 0; i < rx->n_sources; i++) {
        struct source *s = &rx->source[i];
        if (s->has_filter)
            pcap_freecode(&s->filter);
        if (s->pcap != NULL)
            pcap_close(s->pcap); /* closes the file as well */
    }
    free(rx->source);
    free(rx);
}

/* With nanosecond precision tv_usec holds nanoseconds. A time before 1970 is taken as 1970. */
static uint64_t time_ns(const struct pcap_pkthdr *h)
{
    if (h->ts.tv_sec < 0)
        return 0;
    return (uint64_t)h->ts.tv_sec * NS_PER_S + (uint64_t)h->ts.tv_usec;
}

static struct source *earliest(struct rx_pcap *rx)
{
    struct source *first = NULL;

    for (unsigned i = 0; i < rx->n_sources; i++) {
        struct source *s = &rx->source[i];
        if (s->has_next && (first == NULL || time_ns(s->hdr) < time_ns(first->hdr)))
            first = s;
    }
    return first;
}

static void add_packet(struct rx_pcap *rx, const struct source *s)
{
    struct batch *b = &rx->batch;
    struct pkt *p = &b->pkt[b->n];
    uint32_t keep = s->hdr->caplen < KEEP_BYTES ? s->hdr->caplen : KEEP_BYTES;

    memcpy(rx->arena[b->n], s->data, keep);
    p->data = rx->arena[b->n];
    p->cap_len = keep;
    p->snap_len = s->hdr->caplen;
    p->wire_len = s->hdr->len > s->hdr->caplen ? s->hdr->len : s->hdr->caplen;
    p->ts_ns = time_ns(s->hdr);
    b->n++;
}

static void flush(struct rx_pcap *rx, struct worker *w)
{
    if (rx->batch.n != 0)
        worker_process(w, &rx->batch);
    rx->batch.n = 0;
}

static double share_read(const struct rx_pcap *rx)
{
    uint64_t read_bytes = 0;

    for (unsigned i = 0; i < rx->n_sources; i++) {
        off_t at = lseek(fileno(rx->source[i].file), 0, SEEK_CUR);
        read_bytes += at > 0 ? (uint64_t)at : 0;
    }
    return rx->total_bytes != 0 ? (double)read_bytes / (double)rx->total_bytes : 0;
}

enum rx_pcap_end rx_pcap_run(struct rx_pcap *rx, struct worker *w, const volatile int *stop,
                             void (*on_progress)(void *ctx, double share), void *ctx, struct error *e)
{
    uint64_t n = 0;
    struct source *s;

    for (unsigned i = 0; i < rx->n_sources; i++)
        fetch(rx, &rx->source[i], e);
    while ((s = earliest(rx)) != NULL) {
        if (s->has_filter && pcap_offline_filter(&s->filter, s->hdr, s->data) == 0) {
            worker_count_filtered(w, 1);
        } else {
            if (rx->batch.n != 0 && rx->batch.link != s->link)
                flush(rx, w);
            rx->batch.link = s->link;
            add_packet(rx, s);
            if (rx->batch.n == BATCH_MAX)
                flush(rx, w);
        }
        fetch(rx, s, e);
        if ((++n & 0xffff) == 0) {
            if (*stop)
                break;
            if (on_progress != NULL)
                on_progress(ctx, share_read(rx));
        }
    }
    flush(rx, w);
    if (s != NULL)
        return RX_PCAP_STOPPED;
    return rx->cut ? RX_PCAP_CUT : RX_PCAP_EOF;
}

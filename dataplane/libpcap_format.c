/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Capture files in formats that are not read here, through libpcap: old versions of pcap, patched kernels' variants,
 * whatever libpcap learns. It reads our (unpacked) bytes by way of fopencookie.
 *
 * libpcap reuses its buffer for every packet, so each one is followed by CAPFILE_REFILL: right, and slow.
 */

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/timefmt.h"
#include "dataplane/capfile_format.h"

struct libpcap_state {
    pcap_t *pcap; /* owns the FILE */
};

static ssize_t read_cookie(void *cookie, char *buf, size_t bytes)
{
    struct capfile *file = cookie;

    if (file->start == file->end) {
        file->base += file->end;
        file->start = file->end = 0;
        if (!file->input_ended && capfile_fill(file) != 0) {
            errno = EINTR;
            return -1;
        }
    }
    size_t here = file->end - file->start, n = bytes < here ? bytes : here;
    memcpy(buf, file->buf + file->start, n);
    file->start += n;
    return (ssize_t)n;
}

static bool knows(const uint8_t *head, size_t bytes)
{
    (void)head;
    (void)bytes;
    return true;
}

static int open_file(struct capfile *file, struct error *e)
{
    struct libpcap_state *state = calloc(1, sizeof(*state));
    FILE *f = fopencookie(file, "rb", (cookie_io_functions_t){.read = read_cookie});
    char text[PCAP_ERRBUF_SIZE];

    file->state = state;
    if (state == NULL || f == NULL) {
        if (f != NULL)
            fclose(f);
        return error_set(e, -ENOMEM, "out of memory");
    }
    state->pcap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, text);
    if (state->pcap == NULL) {
        fclose(f);
        return error_set(e, -EINVAL, "%s is not a capture file that can be read: %s", file->name, text);
    }
    file->n_interfaces = 1;
    return 0;
}

static uint32_t interface_link(const struct capfile *file, unsigned i)
{
    const struct libpcap_state *state = file->state;

    (void)i;
    return (uint32_t)pcap_datalink(state->pcap);
}

/* With nanosecond precision tv_usec holds nanoseconds. A time before 1970 is taken as 1970. */
static uint64_t time_ns(const struct pcap_pkthdr *hdr)
{
    __int128 ns = (__int128)hdr->ts.tv_sec * (__int128)NS_PER_S + hdr->ts.tv_usec;

    if (ns < 0)
        return 0;
    return ns > INT64_MAX ? (uint64_t)INT64_MAX : (uint64_t)ns;
}

static enum capfile_status next_packet(struct capfile *file, struct capfile_packet *ret_packet)
{
    struct libpcap_state *state = file->state;
    struct pcap_pkthdr *hdr;

    if (!file->recycled)
        return CAPFILE_REFILL;
    int result = pcap_next_ex(state->pcap, &hdr, &ret_packet->data);
    if (result == PCAP_ERROR_BREAK)
        return file->reason.text[0] != '\0' ? CAPFILE_CUT : CAPFILE_EOF;
    if (result != 1)
        return capfile_damaged(file, "%s", pcap_geterr(state->pcap));
    if (hdr->caplen > CAPFILE_PACKET_MAX)
        return capfile_damaged(file, "a packet of %u captured bytes", hdr->caplen);
    file->recycled = false;
    ret_packet->ts_ns = time_ns(hdr);
    ret_packet->link = interface_link(file, 0);
    capfile_set_lengths(ret_packet, hdr->caplen, hdr->len, 0);
    return CAPFILE_PACKET;
}

static void close_file(struct capfile *file)
{
    struct libpcap_state *state = file->state;

    if (state != NULL && state->pcap != NULL)
        pcap_close(state->pcap);
}

const struct capfile_format libpcap_format = {
    .knows = knows, .open = open_file, .next = next_packet, .interface_link = interface_link, .close = close_file};

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CAPFILE_H
#define SPANWARD_CAPFILE_H

/*
 * A capture file as a stream of packets: pcap, pcapng and what libpcap knows beyond them; plain or gzip; a file, a
 * pipe or standard input ("-"). Nothing is ever sought, and memory does not depend on the file.
 *
 *     while ((status = capfile_next(file, &packet)) != CAPFILE_EOF && status != CAPFILE_CUT) {
 *         if (status == CAPFILE_PACKET)
 *             keep(packet);                  its bytes stay where they are ...
 *         else
 *             finish_all(), capfile_refill(file);         ... until this call
 *     }
 *
 * So a burst is processed where it was read; only whoever asks for the refill decides when that is.
 */

#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

#define CAPFILE_PACKET_MAX (256u << 10) /* captured bytes; more means a damaged file. libpcap draws the same line */
#define CAPFILE_BUFFER_MIN 64u          /* holds the files' own headers. Packets need room, too */

enum capfile_status {
    CAPFILE_PACKET, /* *ret_packet is filled in */
    CAPFILE_REFILL, /* the next packet is not in the buffer: let go of all packets, then capfile_refill */
    CAPFILE_EOF,    /* a clean end */
    CAPFILE_CUT,    /* the end in the middle of something, or damage; capfile_reason says which and where */
};

struct capfile_packet {
    const uint8_t *data; /* valid until the next capfile_refill or capfile_close */
    uint64_t ts_ns;      /* at most INT64_MAX */
    uint32_t cap_len;    /* bytes at data */
    uint32_t wire_len;   /* >= cap_len; both without FCS where the file says that there is one */
    uint32_t link;       /* LINKTYPE_ number of the tcpdump project's registry */
};

/* Where bytes come from. read gives 1 ... bytes, 0 at the end, or -errno; -EINTR is handed on, not retried. */
struct capfile_input {
    int64_t (*read)(void *ctx, void *buf, size_t bytes);
    void (*close)(void *ctx); /* or NULL */
    void *ctx;
    uint64_t total_bytes; /* 0: not known */
};

struct capfile;

/* Opens path ("-": standard input) and reads its header. -errno with a line that names the file. */
int capfile_open(const char *path, size_t buffer_bytes, struct capfile **ret_file, struct error *e);
/* The same from any input, which is closed by capfile_close, or at once on failure. */
int capfile_open_input(const char *name, const struct capfile_input *input, size_t buffer_bytes,
                       struct capfile **ret_file, struct error *e);
void capfile_close(struct capfile *file);

enum capfile_status capfile_next(struct capfile *file, struct capfile_packet *ret_packet);
/* The same for up to max > 0 packets of one link type that are there already; if the status is CAPFILE_PACKET, *ret_n
 * says how many. Only where looking ahead tells nothing new about the file's interfaces are there more than one. */
enum capfile_status capfile_next_few(struct capfile *file, struct capfile_packet *ret_packets, unsigned max,
                                     unsigned *ret_n);
/* Reads once. May read nothing when a signal came; then capfile_next asks again. */
void capfile_refill(struct capfile *file);

/* Why CAPFILE_CUT: one line with the file's name and the place. */
const char *capfile_reason(const struct capfile *file);
/* The file's name, short and safe to show. */
const char *capfile_name(const struct capfile *file);

/* Interfaces known so far: of a pcapng file those of the current section, otherwise one. */
unsigned capfile_interfaces(const struct capfile *file);
uint32_t capfile_interface_link(const struct capfile *file, unsigned i);

/* Progress, in bytes as stored (packed, if gzip). The total is 0 for a pipe. */
uint64_t capfile_read_bytes(const struct capfile *file);
uint64_t capfile_total_bytes(const struct capfile *file);

#endif

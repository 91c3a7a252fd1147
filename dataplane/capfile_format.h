/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CAPFILE_FORMAT_H
#define SPANWARD_CAPFILE_FORMAT_H

/*
 * What a file format sees of a capture file: a window of unpacked bytes, buf[start..end), which only capfile.c fills.
 * A format consumes from the front. Before it looks at n bytes it asks capfile_has(n); when they are not there it
 * returns capfile_lacking(n), which knows whether that means refill, end of file or a cut file.
 */

#include <stdbool.h>
#include <string.h>
#include "dataplane/capfile.h"

#define CAPFILE_NAME_BYTES 128u

struct capfile_format {
    /* Do the file's first bytes belong to this format? */
    bool (*knows)(const uint8_t *head, size_t bytes);
    /* Reads the file header. -errno and e. */
    int (*open)(struct capfile *file, struct error *e);
    enum capfile_status (*next)(struct capfile *file, struct capfile_packet *ret_packet);
    /* Up to max packets of one link type that next would give, or none, which says nothing. NULL: one at a time. */
    unsigned (*next_few)(struct capfile *file, struct capfile_packet *ret_packets, unsigned max);
    uint32_t (*interface_link)(const struct capfile *file, unsigned i);
    void (*close)(struct capfile *file); /* or NULL */
};
extern const struct capfile_format pcap_format, pcapng_format, libpcap_format;

/* Owned by the thread that opened it. start <= end <= size at all times. */
struct capfile {
    uint8_t *buf;
    size_t start, end, size;
    const struct capfile_format *format;
    void *state;     /* the format's own */
    bool is_swapped; /* numbers are big-endian */
    bool input_ended;
    bool recycled; /* a refill came since the last packet: for formats that keep one packet only */
    size_t want;   /* bytes that the format needs from start; <= size */
    uint64_t base; /* offset of buf[0] in the unpacked file */
    unsigned n_interfaces;

    struct capfile_input input;
    struct unpack *unpack; /* NULL: a plain file */
    uint64_t read_bytes;
    struct error reason; /* set once: capfile_next then stays at CAPFILE_CUT */
    char name[CAPFILE_NAME_BYTES];
};

static inline bool capfile_has(const struct capfile *file, size_t bytes)
{
    return file->end - file->start >= bytes;
}

/* Notes that the file ends inside of `what` and returns CAPFILE_CUT. */
enum capfile_status capfile_cut(struct capfile *file, const char *what);
/* At a record's start: n bytes of it, of the kind `what`, are needed and not there. */
enum capfile_status capfile_lacking(struct capfile *file, size_t bytes, const char *what);
/* Notes damage at the current place and returns CAPFILE_CUT. */
enum capfile_status capfile_damaged(struct capfile *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Reads once into the free part of buf. 0, -EINTR when a signal came first. The end and faults are noted in file. */
int capfile_fill(struct capfile *file);

static inline uint16_t capfile_load16(const struct capfile *file, const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return file->is_swapped ? __builtin_bswap16(v) : v;
}

static inline uint32_t capfile_load32(const struct capfile *file, const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return file->is_swapped ? __builtin_bswap32(v) : v;
}

static inline uint64_t capfile_load64(const struct capfile *file, const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return file->is_swapped ? __builtin_bswap64(v) : v;
}

/* Both lengths less the frame check sequence, which is the last of the bytes on the wire. */
static inline void capfile_set_lengths(struct capfile_packet *p, uint32_t cap_len, uint32_t wire_len,
                                       uint32_t fcs_bytes)
{
    p->wire_len = wire_len > cap_len ? wire_len : cap_len;
    if (p->wire_len >= fcs_bytes)
        p->wire_len -= fcs_bytes;
    p->cap_len = cap_len < p->wire_len ? cap_len : p->wire_len;
}

#endif

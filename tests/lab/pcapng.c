/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcapng (draft-ietf-opsawg-pcapng): a section header, one interface description with if_tsresol 9, then enhanced
 * packet blocks. Written through one large stdio buffer so that a burst of frames costs the relay no system call
 * each. The byte order is the machine's, as the format intends.
 */

#include "tests/lab/pcapng.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (1u << 20)

/* Owner: the relay. last_ns only grows. */
struct lab_pcapng {
    FILE *file;
    uint64_t frames, bytes, last_ns;
    int rc; /* the first error, kept until close */
};

static void put(struct lab_pcapng *p, const void *data, size_t len)
{
    if (p->rc == 0 && fwrite(data, 1, len, p->file) != len)
        p->rc = errno > 0 ? -errno : -EIO;
    p->bytes += len;
}

static void put_headers(struct lab_pcapng *p, uint32_t snap_bytes)
{
    static const char application[] = "spanward lab";
    const uint32_t section[] = {0x0a0d0d0a,
                                48,
                                0x1a2b3c4d,
                                1 /* major 1, minor 0 */,
                                UINT32_MAX,
                                UINT32_MAX,
                                (uint32_t)(12u << 16 | 4u) /* shb_userappl */};
    const uint32_t end[] = {0, 48};
    const uint32_t interface[] = {1, 32, 1 /* Ethernet */, snap_bytes, 1u << 16 | 9 /* if_tsresol, 1 byte */, 9, 0, 32};

    put(p, section, sizeof(section));
    put(p, application, 12);
    put(p, end, sizeof(end));
    put(p, interface, sizeof(interface));
}

int lab_pcapng_open(const char *path, uint32_t snap_bytes, struct lab_pcapng **ret, struct error *e)
{
    struct lab_pcapng *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    p->file = fopen(path, "we");
    if (p->file == NULL) {
        int rc = error_set(e, -errno, "%s: %s", path, strerror(errno));
        free(p);
        return rc;
    }
    setvbuf(p->file, NULL, _IOFBF, BUFFER_BYTES);
    put_headers(p, snap_bytes);
    *ret = p;
    return 0;
}

int lab_pcapng_write(struct lab_pcapng *p, uint64_t ts_ns, const void *frame, size_t captured, size_t original)
{
    static const uint8_t zeros[4];
    size_t padding = (4 - captured % 4) % 4;
    uint32_t total = (uint32_t)(32 + captured + padding);
    const uint32_t head[] = {
        6, total, 0, (uint32_t)(ts_ns >> 32), (uint32_t)ts_ns, (uint32_t)captured, (uint32_t)original};

    assert(ts_ns >= p->last_ns && captured <= original);
    p->last_ns = ts_ns;
    put(p, head, sizeof(head));
    put(p, frame, captured);
    put(p, zeros, padding);
    put(p, &total, sizeof(total));
    p->frames++;
    return p->rc;
}

uint64_t lab_pcapng_frames(const struct lab_pcapng *p)
{
    return p->frames;
}

uint64_t lab_pcapng_bytes(const struct lab_pcapng *p)
{
    return p->bytes;
}

int lab_pcapng_close(struct lab_pcapng *p)
{
    int rc;

    if (p == NULL)
        return 0;
    rc = p->rc;
    if (fclose(p->file) != 0 && rc == 0)
        rc = -errno;
    free(p);
    return rc;
}

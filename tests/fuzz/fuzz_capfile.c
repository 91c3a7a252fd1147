/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The reader of capture files. The same bytes are read three times: at one go, in drips, and in drips through a
 * small buffer. The first two give the same packets and the same end; the third the same packets until one does not
 * fit. Formats that go to libpcap are left out: their parser is not ours.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/capfile.h"

#define FEW 5u /* packets asked for at once, where the input comes at one go */

struct feed {
    const uint8_t *at;
    size_t left, chunk;
};

struct run {
    int error;
    enum capfile_status end;
    uint64_t n, digest;
    uint64_t digest_at; /* digest after stop_after packets */
    uint64_t stop_after;
};

static int64_t feed_read(void *ctx, void *buf, size_t bytes)
{
    struct feed *f = ctx;
    size_t n = bytes < f->left ? bytes : f->left;

    if (n > f->chunk)
        n = f->chunk;
    if (n > 0)
        memcpy(buf, f->at, n);
    f->at += n;
    f->left -= n;
    return (int64_t)n;
}

static uint64_t digest_packet(uint64_t digest, const struct capfile_packet *p)
{
    assert(p->cap_len <= p->wire_len && p->cap_len <= CAPFILE_PACKET_MAX && p->ts_ns <= INT64_MAX);
    digest = (digest ^ p->ts_ns ^ p->wire_len ^ (uint64_t)p->link << 32) * 0x9e3779b97f4a7c15ull;
    for (uint32_t i = 0; i < p->cap_len; i++)
        digest = (digest ^ p->data[i]) * 0x100000001b3ull;
    return digest;
}

static void check_reason(const char *reason, bool is_cut)
{
    assert((*reason != '\0') == is_cut);
    for (const char *c = reason; *c != '\0'; c++)
        assert((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static struct run read_through(const uint8_t *data, size_t size, size_t chunk, size_t buffer_bytes, uint64_t stop_after)
{
    struct feed feed = {data, size, chunk};
    const struct capfile_input input = {.read = feed_read, .ctx = &feed};
    struct run r = {.stop_after = stop_after};
    struct capfile *file = NULL;
    struct capfile_packet packet[FEW];
    struct error e = {""};
    unsigned n = 1;

    r.error = capfile_open_input("fuzz", &input, buffer_bytes, &file, &e);
    if (r.error != 0) {
        check_reason(e.text, true);
        return r;
    }
    while ((r.end = chunk != SIZE_MAX ? capfile_next(file, packet) : capfile_next_few(file, packet, FEW, &n)) <
           CAPFILE_EOF) {
        if (r.end == CAPFILE_REFILL) {
            capfile_refill(file);
            continue;
        }
        for (unsigned i = 0; i < n; i++) {
            r.digest = digest_packet(r.digest, &packet[i]);
            if (++r.n == stop_after)
                r.digest_at = r.digest;
        }
    }
    check_reason(capfile_reason(file), r.end == CAPFILE_CUT);
    for (unsigned i = 0; i < capfile_interfaces(file); i++)
        (void)capfile_interface_link(file, i);
    capfile_close(file);
    return r;
}

static bool is_ours(const uint8_t *data, size_t size)
{
    static const uint8_t magic[][4] = {{0xd4, 0xc3, 0xb2, 0xa1}, {0xa1, 0xb2, 0xc3, 0xd4}, {0x4d, 0x3c, 0xb2, 0xa1},
                                       {0xa1, 0xb2, 0x3c, 0x4d}, {0x0a, 0x0d, 0x0d, 0x0a}, {0x1f, 0x8b, 8, 0}};

    for (size_t i = 0; size >= 4 && i < sizeof(magic) / sizeof(magic[0]); i++)
        if (memcmp(data, magic[i], 4) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!is_ours(data, size))
        return 0;
    /* A buffer no larger than the input, so that ASan sees a read behind the last byte. Unpacked data can be larger. */
    size_t buffer_bytes = size > 1024 ? size : 1024;
    struct run small = read_through(data, size, 5, 512, 0);
    struct run whole = read_through(data, size, SIZE_MAX, buffer_bytes, small.n);
    struct run drips = read_through(data, size, 7, buffer_bytes, small.n);

    assert(whole.error == drips.error && whole.end == drips.end);
    assert(whole.n == drips.n && whole.digest == drips.digest);
    assert(whole.n >= small.n && whole.digest_at == (small.n != 0 ? small.digest : 0));
    return 0;
}

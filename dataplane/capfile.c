/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The bytes of a capture file: from a file, a pipe or standard input, unpacked if they are gzip (RFC 1952, any number
 * of members, through zlib), into one buffer of fixed size that slides over the file. The formats (pcap_format.c,
 * pcapng_format.c, libpcap_format.c) find packets in the buffer and leave them there; see capfile.h for the contract.
 *
 * The buffer moves only in capfile_refill: what is left of a record goes to the front when it is the smaller part, or
 * when the rest would not fit behind it. A record that is larger than the buffer is damage. Nothing that is read from
 * the file decides how much memory is taken. No more is read at once than stays in a core's cache until it is looked
 * at, beside what the pipeline touches meanwhile. (Mapping the file was tried: its page faults cost more than the
 * copying.)
 *
 * Faults of the input (a gzip stream that ends early, a read error) show up behind the last whole packet, so that
 * everything before is delivered. Bytes behind the last gzip member that are no further member are padding, as for
 * gzip(1).
 */

#include "dataplane/capfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/bytes.h"
#include "dataplane/capfile_format.h"

#define PACKED_BYTES (256u << 10)
#define READ_BYTES   (256u << 10) /* at once; half or twice as much is as good */
#define HEAD_BYTES   28u          /* a pcapng section header; enough to tell all formats */
#define NAME_TAIL    100u

struct unpack {
    z_stream z;
    bool between_members, packed_ended;
    uint8_t packed[PACKED_BYTES];
};

/* ---- texts ---- */

/* A name of any length and content, as one short line: of a long path the end says most. */
static void shorten_name(char ret[CAPFILE_NAME_BYTES], const char *name)
{
    size_t len = strlen(name), tail = len > NAME_TAIL ? len - NAME_TAIL : 0;
    size_t at = 0;

    if (tail != 0)
        at = (size_t)snprintf(ret, CAPFILE_NAME_BYTES, "...");
    text_escape(ret + at, CAPFILE_NAME_BYTES - at, name + tail, len - tail);
}

static uint64_t offset(const struct capfile *file)
{
    return file->base + file->start;
}

static const char *of_what(const struct capfile *file)
{
    return file->unpack != NULL ? " of the unpacked data" : "";
}

enum capfile_status capfile_damaged(struct capfile *file, const char *format, ...)
{
    char what[128];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    error_set(&file->reason, -EIO, "%s is damaged at byte %llu%s: %s", file->name, (unsigned long long)offset(file),
              of_what(file), what);
    return CAPFILE_CUT;
}

enum capfile_status capfile_cut(struct capfile *file, const char *what)
{
    error_set(&file->reason, -EIO, "%s is cut at byte %llu%s: it ends inside a %s", file->name,
              (unsigned long long)(file->base + file->end), of_what(file), what);
    return CAPFILE_CUT;
}

enum capfile_status capfile_lacking(struct capfile *file, size_t bytes, const char *what)
{
    if (bytes > file->size)
        return capfile_damaged(file, "a %s of %zu bytes, more than can be", what, bytes);
    if (!file->input_ended) {
        file->want = bytes;
        return CAPFILE_REFILL;
    }
    if (file->reason.text[0] != '\0') /* the input's own fault */
        return CAPFILE_CUT;
    return file->start == file->end ? CAPFILE_EOF : capfile_cut(file, what);
}

/* ---- input ---- */

static int64_t read_input(struct capfile *file, void *buf, size_t bytes)
{
    int64_t n = file->input.read(file->input.ctx, buf, bytes);

    if (n > 0)
        file->read_bytes += (uint64_t)n;
    else if (n < 0 && n != -EINTR)
        error_set(&file->reason, (int)n, "cannot read %s at byte %llu: %s", file->name,
                  (unsigned long long)file->read_bytes, strerror((int)-n));
    return n;
}

/* Gets at least `bytes` packed bytes unless they end. 0 or -errno. */
static int get_packed(struct capfile *file, size_t bytes)
{
    struct unpack *u = file->unpack;

    if (u->z.avail_in >= bytes || u->packed_ended)
        return 0;
    memmove(u->packed, u->z.next_in, u->z.avail_in);
    u->z.next_in = u->packed;
    while (u->z.avail_in < bytes && !u->packed_ended) {
        int64_t n = read_input(file, u->packed + u->z.avail_in, PACKED_BYTES - u->z.avail_in);
        if (n < 0)
            return (int)n;
        u->packed_ended = n == 0;
        u->z.avail_in += (unsigned)n;
    }
    return 0;
}

/* After a member's end: true if another one follows. */
static bool next_member(struct unpack *u)
{
    if (u->z.avail_in < 2 || u->z.next_in[0] != 0x1f || u->z.next_in[1] != 0x8b)
        return false;
    u->between_members = false;
    return inflateReset(&u->z) == Z_OK;
}

/* As capfile_input's read. */
static int64_t read_unpacked(struct capfile *file, void *buf, size_t bytes)
{
    struct unpack *u = file->unpack;

    u->z.next_out = buf;
    u->z.avail_out = bytes > UINT32_MAX ? UINT32_MAX : (unsigned)bytes;
    unsigned room = u->z.avail_out;
    while (u->z.avail_out == room) {
        int result = get_packed(file, u->between_members ? 2 : 1);
        if (result != 0)
            return result;
        if (u->between_members && !next_member(u))
            return 0;
        if (u->z.avail_in == 0)
            return error_set(&file->reason, -EIO, "%s is cut: its gzip data ends early, at byte %llu", file->name,
                             (unsigned long long)file->read_bytes);
        result = inflate(&u->z, Z_NO_FLUSH);
        u->between_members = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR && u->z.avail_out == room)
            return error_set(&file->reason, -EIO, "%s is damaged: its gzip data before byte %llu: %s", file->name,
                             (unsigned long long)(file->read_bytes - u->z.avail_in),
                             u->z.msg != NULL ? u->z.msg : "cannot be unpacked");
    }
    return room - u->z.avail_out;
}

int capfile_fill(struct capfile *file)
{
    uint8_t *to = file->buf + file->end;
    size_t room = file->size - file->end;
    if (room > READ_BYTES)
        room = READ_BYTES;
    int64_t n = file->unpack != NULL ? read_unpacked(file, to, room) : read_input(file, to, room);

    if (n == -EINTR)
        return -EINTR;
    if (n > 0)
        file->end += (size_t)n;
    else
        file->input_ended = true;
    return 0;
}

void capfile_refill(struct capfile *file)
{
    file->recycled = true;
    if (file->input_ended || file->want == 0)
        return;
    if (file->end - file->start <= file->start || file->start + file->want > file->size) {
        memmove(file->buf, file->buf + file->start, file->end - file->start);
        file->base += file->start;
        file->end -= file->start;
        file->start = 0;
    }
    if (file->end < file->size)
        (void)capfile_fill(file); /* -EINTR: the caller sees CAPFILE_REFILL again */
}

/* ---- opening ---- */

/* Fills the buffer with at least `bytes` unless the file has less. */
static int get_head(struct capfile *file, size_t bytes, struct error *e)
{
    while (!file->input_ended && !capfile_has(file, bytes))
        if (capfile_fill(file) != 0)
            return error_set(e, -EINTR, "cannot read %s: interrupted", file->name);
    if (file->reason.text[0] != '\0')
        return error_set(e, -EIO, "%s", file->reason.text);
    return 0;
}

static int start_unpacking(struct capfile *file, struct error *e)
{
    struct unpack *u = calloc(1, sizeof(*u));

    if (u == NULL || inflateInit2(&u->z, 15 + 16) != Z_OK) {
        free(u);
        return error_set(e, -ENOMEM, "cannot unpack %s: out of memory", file->name);
    }
    u->z.avail_in = (unsigned)(file->end - file->start); /* no more than get_head left: see open_format */
    memcpy(u->packed, file->buf + file->start, u->z.avail_in);
    u->z.next_in = u->packed;
    u->packed_ended = file->input_ended;
    file->unpack = u;
    file->start = file->end = 0;
    file->input_ended = false;
    return get_head(file, HEAD_BYTES, e);
}

/* The packer of other packed files, or NULL. */
static const char *other_packer(const uint8_t *head, size_t bytes)
{
    static const struct {
        uint8_t magic[4];
        const char *name;
    } packers[] = {{{0x28, 0xb5, 0x2f, 0xfd}, "zstd"},
                   {{0x04, 0x22, 0x4d, 0x18}, "lz4"},
                   {{0xfd, '7', 'z', 'X'}, "xz"},
                   {{'B', 'Z', 'h', '9'}, "bzip2"},
                   {{'P', 'K', 3, 4}, "zip"}};

    for (size_t i = 0; bytes >= 4 && i < sizeof(packers) / sizeof(packers[0]); i++)
        if (memcmp(head, packers[i].magic, 4) == 0)
            return packers[i].name;
    return NULL;
}

static int choose_format(struct capfile *file, struct error *e)
{
    static const struct capfile_format *const formats[] = {&pcap_format, &pcapng_format, &libpcap_format};
    size_t bytes = file->end - file->start;

    if (bytes == 0)
        return error_set(e, -EINVAL, "%s is empty%s: no capture file header", file->name,
                         file->unpack != NULL ? " when unpacked" : "");
    const char *packer = other_packer(file->buf + file->start, bytes);
    if (packer != NULL)
        return error_set(e, -EINVAL, "%s is packed with %s: unpack it first; only gzip is unpacked here", file->name,
                         packer);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]) && file->format == NULL; i++)
        if (formats[i]->knows(file->buf + file->start, bytes))
            file->format = formats[i];
    return file->format->open(file, e); /* the last one knows all */
}

static int open_format(struct capfile *file, struct error *e)
{
    size_t size = file->size;

    if (file->size > PACKED_BYTES)
        file->size = PACKED_BYTES; /* what is read ahead may have to move to where packed bytes are kept */
    int error = get_head(file, HEAD_BYTES, e);
    file->size = size;
    if (error != 0)
        return error;
    if (capfile_has(file, 2) && file->buf[0] == 0x1f && file->buf[1] == 0x8b) {
        error = start_unpacking(file, e);
        if (error != 0)
            return error;
    }
    return choose_format(file, e);
}

int capfile_open_input(const char *name, const struct capfile_input *input, size_t buffer_bytes,
                       struct capfile **ret_file, struct error *e)
{
    struct capfile *file = calloc(1, sizeof(*file));
    int error;

    if (file != NULL) {
        file->input = *input;
        file->size = buffer_bytes < CAPFILE_BUFFER_MIN ? CAPFILE_BUFFER_MIN : buffer_bytes;
        file->buf = malloc(file->size);
        shorten_name(file->name, name);
    }
    if (file == NULL || file->buf == NULL) {
        if (file == NULL && input->close != NULL)
            input->close(input->ctx);
        capfile_close(file);
        return error_set(e, -ENOMEM, "out of memory");
    }
    error = open_format(file, e);
    if (error != 0) {
        capfile_close(file);
        return error;
    }
    *ret_file = file;
    return 0;
}

static int64_t read_fd(void *ctx, void *buf, size_t bytes)
{
    ssize_t n = read((int)(intptr_t)ctx, buf, bytes);

    return n < 0 ? -errno : n;
}

static void close_fd(void *ctx)
{
    close((int)(intptr_t)ctx);
}

int capfile_open(const char *path, size_t buffer_bytes, struct capfile **ret_file, struct error *e)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct capfile_input input = {.read = read_fd, .close = is_stdin ? NULL : close_fd, .ctx = (void *)(intptr_t)fd};
    char name[CAPFILE_NAME_BYTES];
    struct stat st = {0};

    shorten_name(name, is_stdin ? "standard input" : path);
    if (fd < 0)
        return error_set(e, -errno, "cannot open %s: %s", name, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (!is_stdin)
            close(fd);
        return error_set(e, -EISDIR, "cannot read %s: it is a directory, not a capture file", name);
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        input.total_bytes = (uint64_t)st.st_size;
    return capfile_open_input(is_stdin ? "standard input" : path, &input, buffer_bytes, ret_file, e);
}

void capfile_close(struct capfile *file)
{
    if (file == NULL)
        return;
    if (file->format != NULL && file->format->close != NULL)
        file->format->close(file);
    if (file->unpack != NULL)
        inflateEnd(&file->unpack->z);
    if (file->input.close != NULL)
        file->input.close(file->input.ctx);
    free(file->unpack);
    free(file->state);
    free(file->buf);
    free(file);
}

/* ---- reading ---- */

enum capfile_status capfile_next(struct capfile *file, struct capfile_packet *ret_packet)
{
    return file->format->next(file, ret_packet);
}

enum capfile_status capfile_next_few(struct capfile *file, struct capfile_packet *ret_packets, unsigned max,
                                     unsigned *ret_n)
{
    unsigned n = file->format->next_few != NULL ? file->format->next_few(file, ret_packets, max) : 0;

    *ret_n = n != 0 ? n : 1;
    return n != 0 ? CAPFILE_PACKET : file->format->next(file, ret_packets);
}

const char *capfile_reason(const struct capfile *file)
{
    return file->reason.text;
}

const char *capfile_name(const struct capfile *file)
{
    return file->name;
}

unsigned capfile_interfaces(const struct capfile *file)
{
    return file->n_interfaces;
}

uint32_t capfile_interface_link(const struct capfile *file, unsigned i)
{
    return file->format->interface_link(file, i);
}

uint64_t capfile_read_bytes(const struct capfile *file)
{
    return file->read_bytes;
}

uint64_t capfile_total_bytes(const struct capfile *file)
{
    return file->input.total_bytes;
}

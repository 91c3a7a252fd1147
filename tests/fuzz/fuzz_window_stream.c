/* SPDX-License-Identifier: BSD-3-Clause */

/* Window streams: any file is read to its end or refused with a reason, and what is read is within its bounds. */

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/window_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct stream_reader *r = NULL;
    struct stream_record rec;
    struct error e = {""};
    int fd = memfd_create("stream", MFD_CLOEXEC);
    int rc;

    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    lseek(fd, 0, SEEK_SET);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rc = stream_open(path, &r, &e);
    assert((rc == 0) == (r != NULL) && (rc == 0 || e.text[0] != '\0'));
    while (rc >= 0 && r != NULL && (rc = stream_read(r, &rec, &e)) == 1) {
        assert(rec.kind == STREAM_COMMAND || (rec.object < STREAM_MAX_OBJECTS && rec.scope < WINDOW_SCOPE_COUNT));
        assert(rec.kind != STREAM_COMMAND || strlen(rec.command) < STREAM_TEXT_BYTES);
        assert(rec.kind != STREAM_NAME || (rec.name[0] != '\0' && memchr(rec.name, 0, sizeof(rec.name)) != NULL));
        assert(rec.kind != STREAM_WINDOW || (rec.start_ns > 0 && rec.o.quality <= WINDOW_BLIND));
    }
    stream_close(r);
    close(fd);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See holder.h. A process is known by its host's name and boot id, its namespace of process ids, its number and its
 * start time: a number alone may have been given to another process since. On the same host but after another boot, or
 * in the same namespace but with another start time, the holder is dead.
 */

#include "analytics/holder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_BYTES 48

struct holder {
    char host[HOST_BYTES];
    char boot[16];
    unsigned long long pid, start, space;
};

/* When the process started, in clock ticks since boot; 0 when there is no such process. */
static unsigned long long start_of(unsigned long long pid)
{
    char path[64], line[512];
    unsigned long long start = 0;

    snprintf(path, sizeof(path), "/proc/%llu/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    char *p = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL; /* names may hold anything */
    fclose(f);
    for (int field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p != NULL)
        start = strtoull(p, NULL, 10);
    return start;
}

static void describe(struct holder *h)
{
    char link[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

    *h = (struct holder){.boot = "-", .pid = (unsigned long long)getpid()};
    if (gethostname(h->host, sizeof(h->host) - 1) != 0 || h->host[0] == '\0')
        snprintf(h->host, sizeof(h->host), "localhost");
    if (f != NULL) {
        if (fscanf(f, "%8[0-9a-f]", h->boot) != 1)
            snprintf(h->boot, sizeof(h->boot), "-");
        fclose(f);
    }
    ssize_t n = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);
    char *number = n > 0 ? strchr(link, '[') : NULL;
    h->space = number != NULL ? strtoull(number + 1, NULL, 10) : 0;
    h->start = start_of(h->pid);
}

void holder_describe(char ret_text[SCHEMA_HOLDER_BYTES])
{
    struct holder h;

    describe(&h);
    snprintf(ret_text, SCHEMA_HOLDER_BYTES, "%s, process %llu (started %llu, pids %llu, boot %s)", h.host, h.pid,
             h.start, h.space, h.boot);
}

enum holder_state holder_look(const char *text)
{
    struct holder self, h = {.pid = 0};

    if (sscanf(text, "%47[^,], process %llu (started %llu, pids %llu, boot %15[^)])", h.host, &h.pid, &h.start,
               &h.space, h.boot) != 5)
        return HOLDER_UNKNOWN;
    describe(&self);
    if (strcmp(h.host, self.host) != 0)
        return HOLDER_UNKNOWN;
    if (strcmp(h.boot, self.boot) != 0)
        return self.boot[0] != '-' && h.boot[0] != '-' ? HOLDER_DEAD : HOLDER_UNKNOWN;
    if (h.space != self.space || h.start == 0)
        return HOLDER_UNKNOWN;
    return start_of(h.pid) == h.start ? HOLDER_ALIVE : HOLDER_DEAD;
}

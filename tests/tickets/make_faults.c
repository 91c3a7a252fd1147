/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * make-faults COUNT TRUTH > STREAM: a window stream with COUNT faults, each on a path of its own between sites of its
 * own, and what must become of them: a line "OBJECT open|closed" for each in TRUTH.
 *
 * All paths are quiet for an hour, then each loses every tenth packet for 20 minutes (severity major, so it is filed),
 * begun in one of ten successive minutes. Of four faults, one goes on to the end; one returns within the reopen window
 * and goes on; one returns so and ends; one just ends. The stream goes on until what has ended is closed.
 */

#include <stdio.h>
#include <stdlib.h>
#include "common/timefmt.h"
#include "control/window_stream.h"

#define START_NS 1790553600000000000ull /* 2026-09-28 00:00 UTC, a Monday */
#define MINUTES  170u

static bool is_bad(unsigned path, unsigned minute)
{
    unsigned onset = 60 + path % 10;
    unsigned kind = path / 10 % 4;

    if (minute < onset)
        return false;
    if (minute < onset + 20)
        return true;
    bool returns = minute >= onset + 40 && (kind == 1 || minute < onset + 55);
    return kind == 0 || ((kind == 1 || kind == 2) && returns);
}

int main(int argc, char **argv)
{
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    FILE *truth = count > 0 ? fopen(argv[2], "w") : NULL;
    bool good = stream_write_header(stdout, &(struct stream_header){.window_s = 60, .zone = "UTC"});
    char name[64];

    if (truth == NULL) {
        fputs("usage: make-faults COUNT TRUTH > STREAM\n", stderr);
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "A%04u~B%04u", i, i);
        fprintf(truth, "%s %s\n", name, i / 10 % 4 < 2 ? "open" : "closed");
        good = good && stream_write_name(stdout, i, WINDOW_PATH, name);
    }
    for (unsigned m = 0; m < MINUTES; m++) {
        for (unsigned i = 0; i < count; i++) {
            struct observation o = {.quality = WINDOW_OK, .connects = 200};
            for (int d = 0; d < 2; d++) {
                o.dir[d].bytes = 10000000;
                o.dir[d].judged_pkts = 10000;
                o.rtt_n[d] = 1000;
                o.rtt_p50_ns[d] = 20000000;
            }
            o.dir[1].lost_downstream_pkts = is_bad(i, m) ? 1000 : 0;
            good = good && stream_write_window(stdout, i, WINDOW_PATH, START_NS + m * 60 * NS_PER_S, 10, &o);
        }
    }
    good = fflush(stdout) == 0 && fclose(truth) == 0 && good;
    if (!good)
        perror("make-faults");
    return good ? 0 : 1;
}

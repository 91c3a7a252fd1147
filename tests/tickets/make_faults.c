/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * make-faults COUNT TRUTH [WEEKS] > STREAM: a window stream with COUNT faults, each on a path of its own between sites
 * of its own, and what must become of them: a line "OBJECT open|closed" for each in TRUTH.
 *
 * All paths are quiet for an hour, then each loses every tenth packet for 20 minutes (severity major, so it is filed),
 * begun in one of ten successive minutes. Of four faults, one goes on to the end; one returns within the reopen window
 * and goes on; one returns so and ends; one just ends. The stream goes on until what has ended is closed.
 *
 * With WEEKS: so many weeks of five-minute windows in which each path loses packets for an hour and a half on one
 * weekday at 08:00, the first path on Mondays, the next on Tuesdays: problems that are confirmed. The last two paths
 * are quiet but for one fault, three quarters of an hour before the end, that goes on: incidents.
 */

#include <stdio.h>
#include <stdlib.h>
#include "common/timefmt.h"
#include "control/window_stream.h"

#define START_NS     1790553600000000000ull /* 2026-09-28 00:00 UTC, a Monday */
#define MINUTES      170u
#define WEEK_MINUTES (7u * 1440u)

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

/* Ten thousand packets a minute and direction; every tenth is lost when it is bad. */
static bool write_window(unsigned path, unsigned minute, unsigned minutes, bool bad)
{
    struct observation o = {.quality = WINDOW_OK, .connects = 200 * minutes};

    for (int d = 0; d < 2; d++) {
        o.dir[d].bytes = 10000000ull * minutes;
        o.dir[d].judged_pkts = 10000ull * minutes;
        o.rtt_n[d] = 1000 * minutes;
        o.rtt_p50_ns[d] = 20000000;
    }
    o.dir[1].lost_downstream_pkts = bad ? 1000ull * minutes : 0;
    return stream_write_window(stdout, path, WINDOW_PATH, START_NS + minute * 60 * NS_PER_S, 10 * minutes, &o);
}

/* minute: since the first Monday, 00:00. */
static bool is_bad_weekly(unsigned path, unsigned count, unsigned minute, unsigned end)
{
    unsigned of_week = minute % WEEK_MINUTES, from = path % 5 * 1440 + 480;

    if (path + 2 >= count)
        return minute + 45 >= end;
    return of_week >= from && of_week < from + 90;
}

static bool write_weeks(unsigned count, unsigned weeks)
{
    unsigned end = weeks * WEEK_MINUTES;
    bool good = true;

    for (unsigned m = 0; m < end; m += 5) {
        for (unsigned i = 0; i < count; i++)
            good = good && write_window(i, m, 5, is_bad_weekly(i, count, m, end));
    }
    return good;
}

static bool write_minutes(unsigned count)
{
    bool good = true;

    for (unsigned m = 0; m < MINUTES; m++) {
        for (unsigned i = 0; i < count; i++)
            good = good && write_window(i, m, 1, is_bad(i, m));
    }
    return good;
}

int main(int argc, char **argv)
{
    unsigned count = argc == 3 || argc == 4 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned weeks = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    FILE *truth = count > 0 ? fopen(argv[2], "w") : NULL;
    bool good = stream_write_header(stdout, &(struct stream_header){.window_s = weeks > 0 ? 300 : 60, .zone = "UTC"});
    char name[64];

    if (truth == NULL) {
        fputs("usage: make-faults COUNT TRUTH [WEEKS] > STREAM\n", stderr);
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "A%04u~B%04u", i, i);
        fprintf(truth, "%s %s\n", name, i / 10 % 4 < 2 ? "open" : "closed");
        good = good && stream_write_name(stdout, i, WINDOW_PATH, name);
    }
    good = good && (weeks > 0 ? write_weeks(count, weeks) : write_minutes(count));
    good = fflush(stdout) == 0 && fclose(truth) == 0 && good;
    if (!good)
        perror("make-faults");
    return good ? 0 : 1;
}

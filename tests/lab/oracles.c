/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Other tools on the same capture. tshark flags frames, so each flag is put beside what that frame really was; the
 * table needs no model of tshark. tcptrace only gives sums per connection, so its rule is applied to the headers of
 * the truth in the order of the capture, and the sums must agree; what they consist of is known again.
 */

#include "tests/lab/oracles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct seen {
    const struct truth_frame *frame;
    uint8_t what; /* enum oracle_what */
};

const char *oracle_what_name(enum oracle_what w)
{
    static const char *const names[ORACLE_WHAT_COUNT] = {
#define W(symbol, name) name,
        ORACLE_WHATS(W)
#undef W
    };
    return names[w];
}

const char *tshark_flag_field(enum tshark_flag f)
{
    static const char *const fields[TSHARK_FLAG_COUNT] = {
#define T(symbol, field) field,
        TSHARK_FLAGS(T)
#undef T
    };
    return fields[f];
}

/* To tcptrace all that takes sequence space is data: a SYN or FIN that comes twice is a retransmission, too. */
static bool is_counted(const struct truth_frame *f)
{
    return f->hi != f->lo;
}

static enum oracle_what what_is(const struct truth *t, const struct truth_frame *f)
{
    const struct truth_flow *flow = &t->flow[f->flow];

    if (!f->resend && truth_did(f, LAB_HOLD_COPY))
        return ORACLE_LATE_COPY;
    if (!f->resend)
        return f->late_tap ? ORACLE_LATE : ORACLE_FIRST;
    if (f->needless)
        return ORACLE_NEEDLESS;
    for (size_t i = 0; i < flow->n_frames[f->dir]; i++) {
        const struct truth_frame *g = &t->frame[flow->frames[f->dir] + i];
        if (g->n >= f->n)
            break;
        if (g->lo < f->hi && f->lo < g->hi && truth_did(g, LAB_LOSE_DOWN))
            return ORACLE_AFTER_DOWN;
    }
    return ORACLE_AFTER_UP;
}

/* Frame i of the capture is seen[i]; frames that are no TCP stay empty. */
static struct seen *by_number(const struct truth *t)
{
    struct seen *seen = calloc(t->capture_frames + 1, sizeof(*seen));

    for (size_t i = 0; seen != NULL && i < t->n_frames; i++) {
        const struct truth_frame *f = &t->frame[i];
        enum oracle_what what = f->captured_as[0] != 0 && is_counted(f) ? what_is(t, f) : ORACLE_FIRST;
        for (unsigned k = 0; k < 2; k++)
            if (f->captured_as[k] != 0 && f->captured_as[k] <= t->capture_frames)
                seen[f->captured_as[k]] = (struct seen){f, (uint8_t)(k == 0 ? what : ORACLE_COPY)};
    }
    return seen;
}

/* ---- tcptrace's rule ---- */

struct spans {
    int64_t (*at)[2];
    size_t n, room;
};

/* Adds [lo, hi); returns whether any of it was there. */
static int spans_add(struct spans *s, int64_t lo, int64_t hi)
{
    size_t first = s->n, last;
    bool overlap = false;

    if (s->n == s->room) {
        s->room = s->room * 2 + 16;
        int64_t(*grown)[2] = realloc(s->at, s->room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        s->at = grown;
    }
    while (first > 0 && s->at[first - 1][1] >= lo)
        first--;
    for (last = first; last < s->n && s->at[last][0] <= hi; last++) {
        overlap |= s->at[last][0] < hi && lo < s->at[last][1];
        lo = lo < s->at[last][0] ? lo : s->at[last][0];
        hi = hi > s->at[last][1] ? hi : s->at[last][1];
    }
    memmove(&s->at[first + 1], &s->at[last], (s->n - last) * sizeof(*s->at));
    s->n = s->n - (last - first) + 1;
    s->at[first][0] = lo;
    s->at[first][1] = hi;
    return overlap;
}

static int apply_rule(const struct truth *t, const struct seen *seen, struct oracles *o)
{
    struct spans *spans = calloc(2 * t->n_flows + 1, sizeof(*spans));
    int rc = spans == NULL ? -ENOMEM : 0;

    for (uint64_t i = 1; rc >= 0 && i <= t->capture_frames; i++) {
        const struct truth_frame *f = seen[i].frame;
        if (f == NULL || !is_counted(f))
            continue;
        struct spans *s = &spans[2 * f->flow + f->dir];
        int64_t top = s->n != 0 ? s->at[s->n - 1][1] : INT64_MIN;
        rc = spans_add(s, f->lo, f->hi);
        o->what[seen[i].what]++;
        o->rule_rexmt += rc == 1;
        o->rexmt_what[seen[i].what] += rc == 1;
        o->rule_out_of_order += rc == 0 && f->lo < top;
        o->out_of_order_what[seen[i].what] += rc == 0 && f->lo < top;
    }
    for (size_t i = 0; spans != NULL && i < 2 * t->n_flows; i++)
        free(spans[i].at);
    free(spans);
    return rc < 0 ? rc : 0;
}

/* ---- the tools ---- */

static bool installed(const char *tool)
{
    char command[128];

    snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", tool);
    return system(command) == 0;
}

static void take_tshark_line(const struct truth *t, const struct seen *seen, struct oracles *o, char *line)
{
    char *at = line;
    uint64_t frame = strtoull(strsep(&at, "\t"), NULL, 10);

    for (unsigned i = 0; i < TSHARK_FLAG_COUNT && at != NULL; i++) {
        const char *field = strsep(&at, "\t\n");
        if (field == NULL || field[0] == '\0' || frame == 0 || frame > t->capture_frames)
            continue;
        bool data = seen[frame].frame != NULL && seen[frame].frame->len != 0;
        o->tshark[i][data ? seen[frame].what : ORACLE_WHAT_COUNT]++;
    }
}

static int run_tshark(const struct truth *t, const struct seen *seen, const char *prefix, struct oracles *o)
{
    char command[8192], line[1024];
    size_t len =
        (size_t)snprintf(command, sizeof(command),
                         "nice tshark -n -r '%s.pcapng' -Y tcp.analysis.flags -T fields -e frame.number", prefix);

    for (unsigned i = 0; i < TSHARK_FLAG_COUNT; i++)
        len += (size_t)snprintf(command + len, sizeof(command) - len, " -e %s", tshark_flag_field(i));
    snprintf(command + len, sizeof(command) - len, " 2>/dev/null");
    FILE *f = popen(command, "re");
    if (f == NULL)
        return -errno;
    while (fgets(line, sizeof(line), f) != NULL)
        take_tshark_line(t, seen, o, line);
    return pclose(f) == 0 ? 0 : -EIO;
}

/* Two columns, "rexmt data pkts: 12 rexmt data pkts: 0". */
static uint64_t both_columns(const char *line, const char *name)
{
    uint64_t sum = 0;

    for (const char *at = strstr(line, name); at != NULL; at = strstr(at + 1, name))
        sum += strtoull(at + strlen(name), NULL, 10);
    return sum;
}

/* It reads microseconds in a pcap only; editcap comes with tshark. */
static int run_tcptrace(const char *prefix, struct oracles *o)
{
    char command[8192], line[1024];

    snprintf(command, sizeof(command),
             "editcap -F pcap '%s.pcapng' '%s.tcptrace.pcap' && nice tcptrace -n -l '%s.tcptrace.pcap' 2>/dev/null",
             prefix, prefix, prefix);
    FILE *f = popen(command, "re");
    if (f == NULL)
        return -errno;
    while (fgets(line, sizeof(line), f) != NULL) {
        o->tcptrace_rexmt += both_columns(line, "rexmt data pkts:");
        o->tcptrace_out_of_order += both_columns(line, "outoforder pkts:");
    }
    snprintf(command, sizeof(command), "%s.tcptrace.pcap", prefix);
    unlink(command);
    return pclose(f) == 0 ? 0 : -EIO;
}

int oracles_run(const struct truth *t, const char *prefix, struct oracles *ret, struct error *e)
{
    struct seen *seen = by_number(t);
    int rc = seen == NULL ? -ENOMEM : 0;

    *ret = (struct oracles){.have_tshark = installed("tshark"), .have_tcptrace = installed("tcptrace editcap")};
    if (rc == 0)
        rc = apply_rule(t, seen, ret);
    if (rc == 0 && ret->have_tshark)
        rc = run_tshark(t, seen, prefix, ret);
    if (rc == 0 && ret->have_tcptrace)
        rc = run_tcptrace(prefix, ret);
    free(seen);
    return rc < 0 ? error_set(e, rc, "the comparison with other tools failed: %s", strerror(-rc)) : 0;
}

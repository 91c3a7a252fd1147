/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Runs that nobody chose: a scenario drawn from a seed, so that rules which fit the matrix too well are found out.
 *
 * Round trip (0.2 to 300 ms, log-uniform) and where in it the tap is, address family, SACK, timestamps, congestion
 * control, segment size, link rate, what wraps the frames, the kind of traffic, and one to four impairments with
 * their strengths are independent draws. Volume follows from them: a flow that loses p of its segments sends about
 * 1.2 / sqrt(p) segments a round trip (Mathis and others, 1997), so the number of flows is what makes a run end.
 *
 * Limits: a link's queue never drops; what the mirror holds back it holds for less than 3 % of the round trip, since
 * its times are all that a probe has.
 */

#include "tests/lab/heldout.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/random.h"

#define SEGMENT_BYTES 1400.0
#define GOAL_S        12.0 /* of one run, about */
#define FLOWS_MAX     240.0

struct draw {
    struct lab_random random;
    struct heldout *out;
    double rtt_ms;
    double loss; /* sum of the probabilities that slow a flow down */
    bool v6, clean;
};

static double unit(struct draw *d)
{
    return lab_random_unit(&d->random);
}

static bool chance(struct draw *d, double p)
{
    return unit(d) < p;
}

static double log_uniform(struct draw *d, double lo, double hi)
{
    return lo * pow(hi / lo, unit(d));
}

static void add(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + len, size - len, format, args);
    va_end(args);
}

#define SAY(d, ...) add((d)->out->statements, sizeof((d)->out->statements), __VA_ARGS__)

static void draw_stack(struct draw *d)
{
    static const char *const controls[] = {"cubic", "reno", "bbr"};
    static const unsigned sizes[] = {536, 900, 1200, 1380};
    double left = 0.05 + 0.9 * unit(d);

    d->v6 = chance(d, 0.35);
    d->rtt_ms = log_uniform(d, 0.2, 300);
    SAY(d, "delay left %uus;delay right %uus", (unsigned)(d->rtt_ms * 500 * left),
        (unsigned)(d->rtt_ms * 500 * (1 - left)));
    if (chance(d, 0.35))
        SAY(d, ";sack off");
    if (chance(d, 0.4))
        SAY(d, ";timestamps off");
    SAY(d, ";cc %s", controls[lab_random_next(&d->random) % 3]);
    if (chance(d, 0.4))
        SAY(d, ";mss %u", sizes[lab_random_next(&d->random) % 4]);
    if (chance(d, 0.25))
        SAY(d, ";rate %s %uM", chance(d, 0.5) ? "left" : "right", (unsigned)log_uniform(d, 30, 500));
    if (chance(d, 0.3))
        SAY(d, ";wrap %s", chance(d, 0.5) ? "vxlan" : "qinq");
    if (!d->v6 && chance(d, 0.2))
        SAY(d, ";nat 100.64.0.0/16");
}

/* Most of what overtakes does so by less than a round trip. */
static double hold_us(struct draw *d)
{
    return chance(d, 0.7) ? unit(d) * fmin(d->rtt_ms * 800, 6000) : log_uniform(d, 100, 6000);
}

/* What the network does. */
static void draw_network(struct draw *d)
{
    double p;

    if (chance(d, 0.5)) {
        p = log_uniform(d, 0.2, 8);
        unsigned burst = chance(d, 0.3) ? 2 + (unsigned)(unit(d) * 8) : 1;
        SAY(d, ";rule lose-down kind=data p=%.2f%% burst=%u", p / burst, burst);
        d->loss += p / 100 / burst;
    }
    if (chance(d, 0.5)) {
        p = log_uniform(d, 0.2, 8);
        unsigned burst = chance(d, 0.3) ? 2 + (unsigned)(unit(d) * 8) : 1;
        SAY(d, ";rule lose-up kind=data p=%.2f%% burst=%u", p / burst, burst);
        d->loss += p / 100 / burst;
    }
    if (chance(d, 0.25)) {
        p = log_uniform(d, 0.3, 3);
        SAY(d, ";rule hold-up kind=data resend=no p=%.2f%% by=%uus-%uus", p, 20 + (unsigned)(unit(d) * 100),
            200 + (unsigned)hold_us(d));
        d->loss += p / 300;
    }
    if (chance(d, 0.2)) {
        p = log_uniform(d, 0.3, 3);
        SAY(d, ";rule hold-down kind=data resend=no p=%.2f%% by=%uus-%uus", p, 20 + (unsigned)(unit(d) * 100),
            200 + (unsigned)hold_us(d));
        d->loss += p / 300;
    }
    if (chance(d, 0.2))
        SAY(d, ";rule lose-%s kind=ack p=%.2f%%", chance(d, 0.5) ? "up" : "down", log_uniform(d, 0.5, 20));
    if (chance(d, 0.15)) {
        SAY(d, ";rule stall-up kind=ack every=%u by=%ums per-flow=on", 40 + (unsigned)(unit(d) * 200),
            400 + (unsigned)(unit(d) * 600));
        d->loss += 0.005;
    }
}

/* What the mirror does. */
static void draw_mirror(struct draw *d)
{
    bool every = chance(d, 0.3);

    if (chance(d, 0.35)) {
        unsigned burst = chance(d, 0.4) ? 2 + (unsigned)(unit(d) * 10) : 1;
        SAY(d, ";rule miss kind=%s p=%.2f%% burst=%u", chance(d, 0.3) ? "any" : "data", log_uniform(d, 0.1, 3) / burst,
            burst);
    }
    if (chance(d, 0.25))
        SAY(d, ";rule copy p=%.1f%% by=%uus also=on", every ? 100 : log_uniform(d, 1, 60),
            1 + (unsigned)(unit(d) * 50));
    else if (chance(d, 0.3))
        SAY(d, ";rule hop p=%.1f%% by=%uus-%uus also=on", every ? 100 : log_uniform(d, 1, 60),
            20 + (unsigned)(unit(d) * 100), 200 + (unsigned)log_uniform(d, 10, 5000));
    if (chance(d, 0.15))
        SAY(d, ";rule hold-copy p=%.2f%% by=5us-%uus", log_uniform(d, 0.5, 5),
            10 + (unsigned)(fmin(d->rtt_ms, 50) * 28));
}

static void draw_traffic(struct draw *d, double data_pkts)
{
    const char *client = d->v6 ? "2001:db8:1::1" : "10.0.0.1", *server = d->v6 ? "2001:db8:2::1" : "192.0.2.1";
    double window = d->loss > 0 ? 1.22 / sqrt(d->loss) : 400;
    double each = fmin(window, 400) * GOAL_S * 1000 / (d->rtt_ms + 10); /* segments of one flow */
    double flows = fmin(FLOWS_MAX, fmax(4, ceil(data_pkts / each)));
    unsigned parallel = (unsigned)ceil(flows / 4);
    char *text = d->out->traffic;
    size_t size = sizeof(d->out->traffic);
    double bytes = data_pkts * SEGMENT_BYTES / (4.0 * parallel);

    text[0] = '\0';
    add(text, size, "traffic %s client=%s*4 server=%s*2 parallel=%u ", "rr", client, server, parallel);
    switch (lab_random_next(&d->random) % 5) {
    case 0:
        add(text, size, "req=%.0f resp=200", bytes);
        break;
    case 1:
        add(text, size, "requests=%u req=200-%.0f resp=200-%.0f", 20u, 200 + bytes / 20, 200 + bytes / 20);
        break;
    case 2:
        add(text, size, "count=%u req=300 resp=%.0f", 10u, bytes / 10);
        break;
    default:
        add(text, size, "resp=%.0f", bytes);
    }
}

void heldout_draw(uint64_t seed, unsigned i, uint64_t data_pkts, struct heldout *ret)
{
    struct draw d = {.random = lab_random_of(seed, 500000 + i), .out = ret};

    memset(ret, 0, sizeof(*ret));
    draw_stack(&d);
    d.clean = chance(&d, 0.12);
    if (!d.clean)
        draw_network(&d);
    draw_mirror(&d);
    SAY(&d, ";seed %u", 1 + (unsigned)(lab_random_next(&d.random) % 1000000));
    draw_traffic(&d, (double)data_pkts);
    d.clean |= strstr(ret->statements, "lose-") == NULL && strstr(ret->statements, "stall") == NULL &&
               strstr(ret->statements, "hold-up") == NULL && strstr(ret->statements, "hold-down") == NULL;
    snprintf(ret->name, sizeof(ret->name), "%sseed %llu.%u", d.clean ? "clean, " : "", (unsigned long long)seed, i);
    ret->run = (struct matrix_run){ret->name, ret->statements, ret->traffic, ret->traffic};
}

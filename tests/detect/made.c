/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Made series: a base, its noise apart from its course so that anomalies can touch either, nuisances (missing rows,
 * empty values, uneven times) and anomalies whose size is drawn relative to the base's own noise. Everything follows
 * from the seed (SplitMix64, Box-Muller).
 */

#include "tests/detect/made.h"

#include <math.h>
#include <string.h>

#define X(symbol, name) name,
const char *const made_base_names[MADE_BASE_COUNT] = {MADE_BASES(X)};
const char *const made_anomaly_names[MADE_ANOMALY_COUNT] = {MADE_ANOMALIES(X)};
#undef X

#define PI       3.14159265358979323846
#define START_NS 1767225600000000000ll /* 2026-01-01, a Thursday */

static uint64_t rng;

static uint64_t next64(void)
{
    uint64_t z = rng += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static double uniform(void)
{
    return ((double)(next64() >> 11) + 0.5) / 9007199254740992.0;
}

static double between(double a, double b)
{
    return a + (b - a) * uniform();
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * PI * uniform());
}

static double poisson(double rate)
{
    if (rate > 60)
        return fmax(0, rint(rate + sqrt(rate) * normal()));
    double limit = exp(-rate), product = uniform();
    unsigned n = 0;
    while (product > limit) {
        n++;
        product *= uniform();
    }
    return n;
}

/* What a base looks like: course + noise; sd is the usual size of the noise, step the seconds between rows. */
static double course[MADE_MOST], noise[MADE_MOST];
static struct {
    double sd, level, step;
    unsigned period; /* rows of a season, 0: none */
    bool counts, floor0;
} shape;

static double wave(double phase, double harmonic)
{
    return sin(2 * PI * phase) + harmonic * sin(4 * PI * phase + 1) + harmonic * 0.5 * sin(6 * PI * phase + 2);
}

static void make_noise(enum made_base base, uint32_t n)
{
    double keep = base == MADE_CORRELATED ? between(0.5, 0.95) : 0, last = 0;

    for (uint32_t i = 0; i < n; i++) {
        double e = normal();
        switch (base) {
        case MADE_HEAVY: /* Student's t, 3 degrees of freedom */
            e = e / sqrt((pow(normal(), 2) + pow(normal(), 2) + pow(normal(), 2)) / 3);
            break;
        case MADE_CORRELATED:
            e = last = keep * last + e * sqrt(1 - keep * keep);
            break;
        case MADE_LATENCY:
            e = (exp(0.4 * e) - 1) / 0.4;
            break;
        case MADE_CONSTANT:
            e = uniform() < 0.02 ? rint(e * 1.5) : 0;
            break;
        default:
            break;
        }
        noise[i] = e * shape.sd;
    }
}

static void make_course(enum made_base base, uint32_t n)
{
    double amplitude = shape.sd * between(4, 15), harmonic = between(0, 0.6), start = uniform(), walk = 0, at = start;
    double slope = between(-1, 1) * 20 * shape.sd / n, weekend = between(0.3, 0.7), duty = between(0.25, 0.6);

    for (uint32_t i = 0; i < n; i++) {
        double seconds = i * shape.step, day = seconds / 86400, x = shape.level;
        unsigned weekday = ((unsigned)day + 3) % 7;
        switch (base) {
        case MADE_WALK:
            x += walk += shape.sd * normal();
            break;
        case MADE_DAILY:
        case MADE_IRREGULAR:
            x += amplitude * wave(day + start, harmonic);
            break;
        case MADE_TREND:
            x += amplitude * wave(day + start, harmonic) + slope * i;
            break;
        case MADE_WEEKLY:
            x = shape.level * (0.6 + 0.4 * wave(day + 0.6, 0.3)) * (weekday >= 5 ? weekend : 1);
            noise[i] *= fmax(0.3, x / shape.level);
            break;
        case MADE_COUNTS:
        case MADE_BURSTY:
            x = shape.level * (1 + 0.8 * sin(2 * PI * (day + start)));
            break;
        case MADE_SHAPE:
            at += (1 + 0.01 * normal()) / shape.period;
            x += amplitude * (exp(-pow((at - floor(at) - 0.4) * 14, 2)) * 2 + 0.6 * wave(at, 0.3));
            break;
        case MADE_JOBS:
            x += (i % shape.period) < 2 + (unsigned)(next64() % 2) ? amplitude * between(0.8, 1.2) : 0;
            break;
        case MADE_SAW:
            x += amplitude * 2 * ((i % shape.period) / (double)shape.period);
            break;
        case MADE_SQUARE:
            x += day + start - floor(day + start) < duty ? amplitude * 2 : 0;
            break;
        default:
            break;
        }
        course[i] = x;
    }
}

static void choose_shape(enum made_base base)
{
    double scale = pow(10, between(-2, 4));

    memset(&shape, 0, sizeof(shape));
    shape.step = base == MADE_WEEKLY ? 1800 : 300;
    shape.sd = scale;
    shape.level = scale * between(5, 60);
    switch (base) {
    case MADE_WEEKLY:
        shape.sd = shape.level * between(0.01, 0.05);
        shape.period = 48;
        break;
    case MADE_COUNTS:
    case MADE_BURSTY:
        shape.level = between(8, 200);
        shape.sd = sqrt(shape.level);
        shape.period = 288;
        shape.counts = shape.floor0 = true;
        break;
    case MADE_SPARSE:
        shape.level = between(0.05, 1.5);
        shape.sd = sqrt(shape.level) + 0.5;
        shape.counts = shape.floor0 = true;
        break;
    case MADE_SHAPE:
    case MADE_JOBS:
    case MADE_SAW:
        shape.step = 60;
        shape.period = 24 + (unsigned)(next64() % 200);
        shape.sd = base == MADE_SHAPE ? scale * between(0.1, 1) : scale;
        break;
    case MADE_DAILY:
    case MADE_TREND:
    case MADE_SQUARE:
    case MADE_IRREGULAR:
        shape.period = 288;
        shape.sd = base == MADE_SQUARE ? scale * between(0.01, 0.2) : scale;
        break;
    case MADE_CONSTANT:
        shape.sd = 1;
        shape.level = rint(shape.level * 100);
        break;
    case MADE_LATENCY:
        shape.level = scale * 4;
        shape.floor0 = true;
        break;
    default:
        break;
    }
}

/* Whether an anomaly would be one at all. */
static bool makes_sense(enum made_base base, enum made_anomaly a)
{
    bool seasonal = shape.period > 0;

    switch (a) {
    case MADE_SKIPPED:
        return seasonal;
    case MADE_REVERSED:
        return base == MADE_SHAPE || base == MADE_SAW || base == MADE_WEEKLY;
    case MADE_QUIETER:
        return base != MADE_CONSTANT && base != MADE_SPARSE && base != MADE_WALK && base != MADE_SQUARE;
    case MADE_STUCK:
        return base != MADE_CONSTANT && base != MADE_SPARSE;
    case MADE_DIP:
        return base != MADE_COUNTS && base != MADE_BURSTY && base != MADE_SPARSE && base != MADE_LATENCY;
    case MADE_LOUDER:
        return base != MADE_SPARSE;
    case MADE_SILENCE:
        return base != MADE_SPARSE && base != MADE_WALK && base != MADE_LATENCY;
    case MADE_DRIFT:
        return base != MADE_WALK;
    default:
        return true;
    }
}

/* How large a jump has to be for people to call it one. */
static double jump_size(enum made_base base)
{
    double most = base == MADE_HEAVY                            ? 2.5
                  : base == MADE_LATENCY || base == MADE_BURSTY ? 2
                  : base == MADE_CONSTANT                       ? 2
                                                                : 1;

    return shape.sd * most * between(6, 14);
}

static void plant(enum made_base base, enum made_anomaly a, struct made_event *ev, uint32_t from, uint32_t n)
{
    double sign = a == MADE_DIP || (!shape.floor0 && uniform() < 0.5) ? -1 : 1, size = jump_size(base);
    double held = course[from] + noise[from], factor = between(3, 5), level_size = size * between(0.5, 1);
    uint32_t length = 1;

    if (a == MADE_SPIKE || a == MADE_DIP)
        length = 1 + (uint32_t)(next64() % 3);
    else if (a == MADE_SHIFT)
        length = n - from;
    else if (a == MADE_SKIPPED || a == MADE_REVERSED)
        length = shape.period;
    else
        length = 40 + (uint32_t)(next64() % 120);
    *ev = (struct made_event){a, from, a == MADE_SHIFT ? from + 100 : from + length};
    for (uint32_t i = from; i < from + length && i < n; i++) {
        double part = (double)(i - from) / length;
        switch (a) {
        case MADE_SPIKE:
        case MADE_DIP:
            course[i] += (a == MADE_DIP ? -1 : sign) * size;
            break;
        case MADE_SHIFT:
        case MADE_PLATEAU:
            course[i] += sign * level_size;
            break;
        case MADE_LOUDER:
            noise[i] =
                noise[i] * factor + (base == MADE_CONSTANT || base == MADE_WALK ? 2 * factor * normal() * shape.sd : 0);
            break;
        case MADE_QUIETER:
            noise[i] *= 0.1;
            break;
        case MADE_STUCK:
            course[i] = held;
            noise[i] = 0;
            break;
        case MADE_SILENCE:
            course[i] = base == MADE_COUNTS || base == MADE_BURSTY ? 0 : shape.level - 12 * shape.sd;
            noise[i] = 0;
            break;
        case MADE_DRIFT:
            course[i] += sign * size * part;
            break;
        case MADE_BURST:
            course[i] += uniform() < 0.25 ? sign * size : 0;
            break;
        case MADE_SKIPPED:
            course[i] = course[from];
            break;
        case MADE_REVERSED:
            break;
        case MADE_ANOMALY_COUNT:
            break;
        }
    }
    if (a == MADE_REVERSED) {
        for (uint32_t i = 0; i < length / 2; i++) {
            double x = course[from + i];
            course[from + i] = course[from + length - 1 - i];
            course[from + length - 1 - i] = x;
        }
    }
}

static void finish_values(struct made *m, enum made_base base)
{
    for (uint32_t i = 0; i < m->n; i++) {
        double x = course[i] + noise[i];
        if (base == MADE_BURSTY) /* the rate itself varies */
            x = poisson(fmax(0, course[i]) * exp(0.4 * normal()) * (uniform() < 0.004 ? between(2, 4) : 1));
        else if (shape.counts)
            x = poisson(fmax(0, course[i]) + (base == MADE_COUNTS ? fabs(noise[i]) * 0 : 0));
        else if (base == MADE_CONSTANT)
            x = rint(x);
        m->value[i] = shape.floor0 ? fmax(0, x) : x;
    }
}

/* Counts are drawn after planting, so their variance and their being stuck are planted into the counts. */
static void plant_counts(struct made *m)
{
    for (uint32_t k = 0; k < m->n_events; k++) {
        const struct made_event *ev = &m->event[k];
        for (uint32_t i = ev->from; shape.counts && i < ev->to && i < m->n; i++) {
            if (ev->kind == MADE_STUCK)
                m->value[i] = m->value[ev->from];
            else if (ev->kind == MADE_QUIETER)
                m->value[i] = rint(fmax(0, course[i]));
            else if (ev->kind == MADE_LOUDER)
                m->value[i] = fmax(0, rint(course[i] + 4 * sqrt(course[i]) * normal()));
        }
    }
}

static void make_times(struct made *m, enum made_base base)
{
    bool jitter = base == MADE_IRREGULAR, gaps = uniform() < 0.25, holes = uniform() < 0.15;
    uint32_t gap_at = (uint32_t)(m->n * between(0.3, 0.9)), gap = 5 + (uint32_t)(next64() % 100);
    double seconds = 0;

    for (uint32_t i = 0; i < m->n; i++) {
        bool in_event = false;
        for (uint32_t k = 0; k < m->n_events; k++)
            in_event |= i + 5 >= m->event[k].from && i < m->event[k].to + 5;
        seconds = i * shape.step + (jitter ? shape.step * between(0, 0.9) : 0);
        m->time_ns[i] = START_NS + (int64_t)(seconds * 1e9);
        m->missing[i] = !in_event && ((holes && uniform() < 0.02) || (gaps && i >= gap_at && i < gap_at + gap));
    }
}

void made_series(struct made *m, enum made_base base, enum made_anomaly anomaly, unsigned n_events, uint64_t seed)
{
    rng = seed * 0x2545f4914f6cdd1dull + (uint64_t)base * 977 + (uint64_t)anomaly * 131 + 7;
    next64();
    memset(m->event, 0, sizeof(m->event));
    choose_shape(base);
    m->n = base == MADE_WEEKLY ? 48 * 7 * 7 : 4000;
    m->n_events = makes_sense(base, anomaly) ? n_events : 0;
    make_noise(base, m->n);
    make_course(base, m->n);
    for (uint32_t k = 0; k < m->n_events; k++) {
        double part = (0.3 + 0.65 * (k + uniform() * 0.5) / m->n_events);
        uint32_t from = (uint32_t)(part * m->n);
        if (from + 400 > m->n)
            from = m->n - 400;
        if (anomaly == MADE_SHIFT && k + 1 < m->n_events)
            m->event[k] = (struct made_event){0};
        plant(base, anomaly, &m->event[k], from, m->n);
    }
    finish_values(m, base);
    plant_counts(m);
    make_times(m, base);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How good is the scorer, and what would others do? Runs methods over made series (made.c) and prints, per kind of
 * anomaly, recall and delay, per kind of series, false alarms, and the totals.
 *
 * An event is found when a row from its first to its last is labelled; a level that stays must be found within 100
 * rows. A false alarm is an episode (labels with fewer than 6 unlabelled rows between) that begins outside of any event
 * and of the 30 rows after it (a return from an anomaly may well be noticed). The first 100 rows are not judged.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/detect/methods.h"
#include "tests/detect/made.h"

#define AFTER    30u
#define FIRST    100u
#define MERGE    6u
#define MAX_SEEN 4096u

struct tally {
    unsigned events, found, false_alarms, episodes;
    uint64_t rows, false_rows, true_rows, labelled_true;
    unsigned n_delays;
    double delay[MAX_SEEN];
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_delay(struct tally *t)
{
    qsort(t->delay, t->n_delays, sizeof(*t->delay), compare);
    return t->n_delays > 0 ? t->delay[t->n_delays / 2] : NAN;
}

static bool excused(const struct made *m, uint32_t row, bool *ret_inside)
{
    bool excuse = false;

    *ret_inside = false;
    for (uint32_t k = 0; k < m->n_events; k++) {
        const struct made_event *e = &m->event[k];
        *ret_inside |= row >= e->from && row < e->to;
        excuse |= row >= e->from && row < e->to + AFTER;
    }
    return excuse;
}

static void judge(const struct made *m, const bool *label, struct tally *by_anomaly, struct tally *by_base)
{
    uint32_t last = 0;
    bool any = false;

    for (uint32_t k = 0; k < m->n_events; k++) {
        struct tally *t = by_anomaly;
        t->events++;
        by_base->events++;
        for (uint32_t i = m->event[k].from; i < m->event[k].to && i < m->n; i++) {
            if (!label[i])
                continue;
            t->found++;
            by_base->found++;
            if (t->n_delays < MAX_SEEN)
                t->delay[t->n_delays++] = i - m->event[k].from;
            break;
        }
    }
    for (uint32_t i = FIRST; i < m->n; i++) {
        bool inside, excuse = excused(m, i, &inside);
        by_base->rows += !m->missing[i];
        by_anomaly->rows += !m->missing[i];
        by_anomaly->true_rows += inside;
        by_anomaly->labelled_true += inside && label[i];
        if (!label[i])
            continue;
        by_base->false_rows += !excuse;
        by_anomaly->false_rows += !excuse;
        bool begins = !any || i - last >= MERGE;
        by_base->episodes += begins;
        by_anomaly->episodes += begins;
        by_base->false_alarms += begins && !excuse;
        by_anomaly->false_alarms += begins && !excuse;
        any = true;
        last = i;
    }
}

static void run(const struct method *method, const struct made *m, bool *label)
{
    void *state = method->start();

    for (uint32_t i = 0; i < m->n; i++)
        label[i] = !m->missing[i] && method->step(state, m->time_ns[i], m->value[i]) >= 0.5;
    method->end(state);
}

static struct tally anomalies[MADE_ANOMALY_COUNT], bases[MADE_BASE_COUNT];
static struct tally matrix[MADE_BASE_COUNT][MADE_ANOMALY_COUNT];
static struct made made;
static bool label[MADE_MOST];

static void print_matrix(void)
{
    for (int b = 0; b < MADE_BASE_COUNT; b++) {
        printf("  %-34s", made_base_names[b]);
        for (int a = 0; a < MADE_ANOMALY_COUNT; a++) {
            if (matrix[b][a].events > 0)
                printf(" %4.0f", 100.0 * matrix[b][a].found / matrix[b][a].events);
            else
                printf("    -");
        }
        printf("\n");
    }
}

/* Returns F1. */
static double report(const struct method *method, bool detail, double seconds)
{
    struct tally all = {0};

    for (int a = 0; a < MADE_ANOMALY_COUNT; a++) {
        struct tally *t = &anomalies[a];
        if (detail)
            printf("  %-34s recall %5.1f %%  delay %4.0f  rows %4.1f %%  false %.3f/1000\n", made_anomaly_names[a],
                   100.0 * t->found / t->events, median_delay(t), 100.0 * t->labelled_true / t->true_rows,
                   1000.0 * t->false_alarms / t->rows);
        all.events += t->events;
        all.found += t->found;
        all.true_rows += t->true_rows;
        all.labelled_true += t->labelled_true;
    }
    for (int b = 0; b < MADE_BASE_COUNT; b++) {
        struct tally *t = &bases[b];
        if (detail)
            printf("  %-34s recall %5.1f %%  false alarms %.3f/1000, rows %.3f/1000\n", made_base_names[b],
                   100.0 * t->found / t->events, 1000.0 * t->false_alarms / t->rows, 1000.0 * t->false_rows / t->rows);
        all.false_alarms += t->false_alarms;
        all.rows += t->rows;
        all.false_rows += t->false_rows;
    }
    double precision = (double)all.found / fmax(1, all.found + all.false_alarms),
           recall = (double)all.found / all.events;
    if (detail)
        print_matrix();
    printf("%-24s precision %.3f  recall %.3f  F1 %.3f  false alarms %.3f/1000  false rows %.3f/1000  true rows %.2f  "
           "%.2f us\n",
           method->name, precision, recall, 2 * precision * recall / fmax(1e-9, precision + recall),
           1000.0 * all.false_alarms / all.rows, 1000.0 * all.false_rows / all.rows,
           (double)all.labelled_true / all.true_rows, seconds * 1e6 / all.rows);
    return 2 * precision * recall / fmax(1e-9, precision + recall);
}

static double score(const struct method *method, uint64_t from, uint64_t to, bool detail)
{
    clock_t spent = 0;

    memset(anomalies, 0, sizeof(anomalies));
    memset(bases, 0, sizeof(bases));
    memset(matrix, 0, sizeof(matrix));
    for (uint64_t seed = from; seed <= to; seed++) {
        for (enum made_base b = 0; b < MADE_BASE_COUNT; b++) {
            for (enum made_anomaly a = 0; a < MADE_ANOMALY_COUNT; a++) {
                made_series(&made, b, a, 1 + (seed & 1), seed);
                clock_t start = clock();
                run(method, &made, label);
                spent += clock() - start;
                judge(&made, label, &anomalies[a], &bases[b]);
                matrix[b][a].events += made.n_events;
                for (uint32_t k = 0; k < made.n_events; k++) {
                    bool found = false;
                    for (uint32_t i = made.event[k].from; i < made.event[k].to && i < made.n; i++)
                        found |= label[i];
                    matrix[b][a].found += found;
                }
            }
        }
    }
    return report(method, detail, (double)spent / CLOCKS_PER_SEC);
}

/* A series as CSV with its truth and the labels, for looking. */
static void dump(int base, int anomaly, uint64_t seed)
{
    made_series(&made, (enum made_base)base, (enum made_anomaly)anomaly, 1 + (seed & 1), seed);
    printf("timestamp,value\n");
    for (uint32_t i = 0; i < made.n; i++) {
        bool inside;
        excused(&made, i, &inside);
        if (getenv("TRUTH") != NULL)
            printf("%u,%.8g,%d\n", i, made.value[i], inside);
        else if (!made.missing[i])
            printf("%lld,%.8g\n", (long long)(made.time_ns[i] / 1000000000), made.value[i]);
    }
}

int main(int argc, char **argv)
{
    uint64_t from = 1, to = 3;
    const char *name = "scorer";
    bool detail = false, good = true;
    double least = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc && sscanf(argv[++i], "%lu-%lu", &from, &to) >= 1)
            continue;
        if (strcmp(argv[i], "--method") == 0 && i + 1 < argc)
            name = argv[++i];
        else if (strcmp(argv[i], "--least") == 0 && i + 1 < argc)
            least = atof(argv[++i]); /* fails below this F1 */
        else if (strcmp(argv[i], "--detail") == 0)
            detail = true;
        else if (strcmp(argv[i], "--dump") == 0 && i + 3 < argc) {
            dump(atoi(argv[i + 1]), atoi(argv[i + 2]), strtoull(argv[i + 3], NULL, 10));
            return 0;
        }
    }
    for (const struct method *m = methods; m->name != NULL; m++) {
        if (strcmp(name, "all") == 0 || strcmp(name, m->name) == 0)
            good &= score(m, from, to, detail) >= least;
    }
    return good ? 0 : 1;
}

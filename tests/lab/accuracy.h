/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_ACCURACY_H
#define SPANWARD_LAB_ACCURACY_H

/* What a session of the score-keeper has done so far, and how it is told (accuracy_report.c). */

#include "tests/lab/heldout.h"
#include "tests/lab/lab.h"
#include "tests/lab/matrix.h"
#include "tests/lab/oracles.h"
#include "tests/lab/score.h"

#define RUNS_MAX 64

struct options {
    unsigned long long held_out; /* seed: these runs instead of the matrix; 0 = the matrix */
    unsigned runs, data_pkts;    /* how many of them, of what size */
    bool full, keep, rescore, no_oracles, list;
    unsigned oracles_every; /* only each nth run is compared with other tools, which are slow */
    const char *dir, *json, *markdown, *explain, *only;
};

struct done {
    const struct matrix_run *run;
    struct score score;
    struct oracles oracles;
    uint64_t total_retrans;
    double late_pct; /* frames that left the relay too late */
    bool busy;
};

struct session {
    struct options o;
    struct done done[RUNS_MAX];
    size_t n_done;
    FILE *explain;
    struct heldout drawn[RUNS_MAX];
};

void print_done(const struct done *d);
void print_totals(const struct session *s);

/* All of docs/ACCURACY.md's limits. */
bool limits_hold(const struct session *s);

int write_json(const struct session *s, const char *path);
int write_markdown(const struct session *s, const char *path);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SIMULATE_H
#define SPANWARD_SIMULATE_H

/*
 * Weeks of windows as sensors would send them, with planted faults and the truth about them. Behind `spanward
 * simulate`; docs/SIMULATION.md documents the stream and the truth file. The same options give the same bytes.
 */

#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

struct simulate_options {
    unsigned weeks; /* 1..520 */
    unsigned paths; /* 1..100000; ignored by scenarios with paths of their own */
    uint64_t seed;
    unsigned window_s;       /* 0: 60; full minutes */
    uint64_t end_ns;         /* 0: 2026-11-17 00:00 in the process's zone */
    const char *zone;        /* as given to local_init, for the header; "" = not said */
    const char *scenario;    /* NULL: "mixed" */
    const char *publish_url; /* NULL: none; a Redis whose control is followed in lockstep */
    const char *out_path;    /* NULL: none; "-": standard output; a name that ends in .gz is compressed */
    const char *truth_path;  /* NULL: none */
};

/* 0, -EINVAL (options), or -errno of the files; nothing half-written stays behind when it fails. */
int simulate_run(const struct simulate_options *o, struct error *e);

struct simulate_scenario {
    const char *name;
    const char *text;
};
/* The table of scenarios, for --help. */
size_t simulate_scenarios(struct simulate_scenario *ret, size_t room);

#endif

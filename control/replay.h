/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_REPLAY_H
#define SPANWARD_REPLAY_H

/* Runs a window stream through the control core. Windows before the cursor are skipped, so a replay continues where
 * the last one was committed. */

#include <stdbool.h>
#include <stdint.h>
#include "control/control.h"
#include "control/window_stream.h"

struct replay_options {
    uint64_t commit_steps; /* steps per commit; 0: 10080 */
    uint64_t max_steps;    /* stop, committed, after so many new steps; 0: at the end */
    const volatile int *stop;
};

struct replay_result {
    uint64_t steps, windows, skipped_windows, commands;
    bool at_end;
};

/* 0 or -errno; what was read before an error has been processed and committed (-EPIPE: the stream was cut). */
int replay_run(struct control *c, struct stream_reader *r, const struct replay_options *options,
               struct replay_result *ret, struct error *e);

#endif

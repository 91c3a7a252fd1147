/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_HOLDER_H
#define SPANWARD_HOLDER_H

/* Who holds a sensor's name: a line of text that no other run has, and whether the run that it names is still there. */

#include <stddef.h>
#include "store/schema.h"

enum holder_state {
    HOLDER_ALIVE,
    HOLDER_DEAD,
    HOLDER_UNKNOWN, /* on another machine, or in another container */
};

/* This process: "HOST, process PID (started TICKS, pids NAMESPACE, boot ID)". */
void holder_describe(char ret_text[SCHEMA_HOLDER_BYTES]);
enum holder_state holder_look(const char *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PROBLEM_H
#define SPANWARD_PROBLEM_H

/* Shared by problem.c, problem_look.c and problem_acts.c only; what others need of problems is in internal.h. */

#include "control/internal.h"

/* Whether its leading fault, or a member, has this fingerprint. */
bool problem_has_member(const struct entity_problem *e, const char *fingerprint);
/* The text that says what a person should do next. */
void problem_set_next_decision(struct entity_problem *e);
void problem_set_state(struct problem *p, enum problem_state state);
/* Open work: assigned when it has (or a rule gives it) an owner, else confirmed. */
void problem_to_owner(struct control *c, struct problem *p);

/* Evidence over the occurrences in its slot: the sums that tickets and reviews show. */
void problem_sum(struct entity_problem *e, const struct history *h);
/* Observed slots without an occurrence since the last one (or since the fix). */
void problem_count_clean(struct entity_problem *e, const struct series *x, uint64_t now_ns);
/* The evidence after a fix suffices to close it. */
bool problem_fix_worked(const struct entity_problem *e, const struct history *h, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TICKET_TEXT_H
#define SPANWARD_TICKET_TEXT_H

/*
 * What tickets say. Templates are files (control/templates/), built in and replaceable; the first line is the title,
 * the rest behind an empty line the text, in the layout that control/content.h reads.
 */

#include "common/log.h"

#define TICKET_TEMPLATES(X)                                                                                            \
    X(PROBLEM, "problem")                                                                                              \
    X(INCIDENT, "incident")                                                                                            \
    X(VERIFIED, "verified")
#define X(symbol, name) TICKET_TEMPLATE_##symbol,
enum ticket_template { TICKET_TEMPLATES(X) TICKET_TEMPLATE_COUNT };
#undef X

/* Names of gaps: symbol, name, what it is. */
#define TICKET_GAPS(X)                                                                                                 \
    X(WHERE, "where", "path or other object: Branch-12 \xe2\x86\x94 DC")                                               \
    X(WHAT, "what", "fault and its side: loss towards Branch-12")                                                      \
    X(SLOT, "slot",                                                                                                    \
      "when it recurs, short: Tuesdays 08:00\xe2\x80\x93"                                                              \
      "11:00")                                                                                                         \
    X(PATTERN, "pattern",                                                                                              \
      "when it recurs: every Tuesday 08:00\xe2\x80\x93"                                                                \
      "11:00")                                                                                                         \
    X(HITS, "hits", "how often, short: 7 of 8 weeks")                                                                  \
    X(COUNT, "count", "how often: in 7 of 8 observed weeks")                                                           \
    X(IMPACT, "impact", "bad minutes, average and worst value, over how many packets")                                 \
    X(SIDE, "side", "on which side of the tap; empty where that is not known")                                         \
    X(SINCE, "since", "first onset of a problem, onset of an incident")                                                \
    X(ONSET, "onset", "the same without its zone, for titles")                                                         \
    X(LATEST, "latest", "latest onset")                                                                                \
    X(SURE, "sure", "the test's numbers, and of which look they are")                                                  \
    X(SEVERITY, "severity", "minor, major, critical")                                                                  \
    X(OCCURRENCE, "occurrence", "of an incident: the number of this occurrence; empty for the first")                  \
    X(CAUSE, "cause", "circuit or site behind several paths; mostly empty")                                            \
    X(STATE, "state", "state of the problem or incident")                                                              \
    X(OWNER, "owner", "owner, or \"nobody yet\"")                                                                      \
    X(REASON, "reason", "why it is in this state; may be empty")                                                       \
    X(CHANGE, "change", "the change that a person said is behind it; may be empty")                                    \
    X(FIX, "fix", "what fixed it, in the words of who resolved it; may be empty")                                      \
    X(PROOF, "proof", "clean slots since the fix and what they are worth; empty while nobody said that it is fixed")   \
    X(EVIDENCE, "evidence", "table of the latest occurrences")                                                         \
    X(SUSPECTS, "suspects", "list of changes that it follows; may be empty")                                           \
    X(SIMILAR, "similar", "list of earlier problems like it and what fixed them; may be empty")                        \
    X(DECISION, "decision", "the next decision asked for")                                                             \
    X(COMMAND, "command", "the command that shows more")                                                               \
    X(TICKET, "ticket", "TKT-n")                                                                                       \
    X(ID, "id", "PRB-n or INC-n")
#define X(symbol, name, text) TICKET_GAP_##symbol,
enum ticket_gap { TICKET_GAPS(X) TICKET_GAPS_N };
#undef X

/* Immutable; may be shared by controls of one thread. */
struct ticket_templates;

/*
 * Reads problem.txt, incident.txt and verified.txt of a folder; what is not there is built in. dir "": all built in.
 * -EINVAL with file and line.
 */
int ticket_templates_load(const char *dir, struct ticket_templates **ret, struct error *e);
void ticket_templates_free(struct ticket_templates *t);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONTRACT_JIRA_H
#define SPANWARD_CONTRACT_JIRA_H

/* What the parts of Jira's contract share. */

#include "tests/contract/contract.h"

bool jira_is_cloud(const struct contract_call *call);
/* Answers with one errorMessage, or with an error of one field (400). */
void jira_refuse(struct contract_call *call, unsigned status, const char *message);
void jira_refuse_field(struct contract_call *call, const char *field, const char *why);
/* Whether a word stands in a list of words with blanks between. */
bool jira_word_in(const char *list, const char *word);
/* Takes a text in the edition's notation, malloc'd and plain; false: it was refused and answered. */
bool jira_take_text(struct contract_call *call, const char *field, const json_t *value, char **ret_text);
/* An issue as Jira shows it; wanted: the fields, separated by commas, with "*all" all of them. */
json_t *jira_issue(const struct contract_call *call, const json_t *issue, const char *wanted);

void jira_search_cloud(struct contract_call *call);
void jira_search_gone(struct contract_call *call);
void jira_search_dc(struct contract_call *call);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/* All systems that have a contract server. */

#include "tests/contract/contract.h"

#include <stddef.h>

const struct contract_system *const contract_systems[] = {
    &contract_jira_cloud,
    &contract_jira_dc,
    &contract_servicenow,
    &contract_zammad,
    &contract_glpi,
    &contract_pagerduty,
    NULL,
};

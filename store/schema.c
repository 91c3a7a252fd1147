/* SPDX-License-Identifier: BSD-3-Clause */

/* Tables, names and stream ids of the telemetry contract; see schema.h. */

#include "store/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "store/codec.h"
#include "store/keys.h"

#define X(symbol, name, length_s, keep_s, text) [SCHEMA_##symbol] = {name, length_s * 1000000000ull},
static const struct {
    const char *name;
    uint64_t length_ns;
} tiers[SCHEMA_TIER_COUNT] = {SCHEMA_TIERS(X)};
#undef X

const char *schema_tier_name(enum schema_tier t)
{
    return tiers[t].name;
}

uint64_t schema_tier_length_ns(enum schema_tier t, uint64_t base_length_ns)
{
    return t == SCHEMA_BASE ? base_length_ns : tiers[t].length_ns;
}

bool schema_tier_exists(enum schema_tier t, uint64_t base_length_ns)
{
    return t == SCHEMA_BASE || tiers[t].length_ns > base_length_ns;
}

const char *schema_top_name(enum schema_top t)
{
#define X(symbol, name) name,
    static const char *const names[SCHEMA_TOP_COUNT] = { SCHEMA_TOPS(X) };
#undef X
    return names[t];
}

struct schema_id schema_id_next(struct schema_id *last, uint64_t ts_ns)
{
    uint64_t ms = ts_ns / 1000000;

    if (ms > last->ms) {
        last->ms = ms;
        last->seq = 0;
    } else {
        last->seq++;
    }
    return *last;
}

void schema_id_format(char ret_text[SCHEMA_ID_BYTES], struct schema_id id)
{
    snprintf(ret_text, SCHEMA_ID_BYTES, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

void schema_list_free(struct schema_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->item[i].name);
    free(l->item);
    *l = (struct schema_list){0};
}

void schema_flows_free(struct schema_flow *flows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(flows[i].json);
    free(flows);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* Names of the ledger, of events and of flow states, each from its X-macro table. */

#include "common/counters.h"
#include "common/events.h"
#include "common/record.h"

#define X(name, text, todo) [LEDGER_##name] = {#name, text, todo},
static const struct {
    const char *name, *text, *todo;
} ledger_drops[LEDGER_DROP_COUNT] = {LEDGER_DROPS(X)};
#undef X

const char *ledger_drop_name(enum ledger_drop d)
{
    return ledger_drops[d].name;
}

const char *ledger_drop_text(enum ledger_drop d)
{
    return ledger_drops[d].text;
}

const char *ledger_drop_todo(enum ledger_drop d)
{
    return ledger_drops[d].todo;
}

uint64_t ledger_drop_sum(const struct ledger *l)
{
    uint64_t sum = 0;

    for (int i = 0; i < LEDGER_DROP_COUNT; i++)
        sum += l->drops[i];
    return sum;
}

void ledger_merge(struct ledger *into, const struct ledger *from)
{
    into->offered += from->offered;
    into->processed += from->processed;
    for (int i = 0; i < LEDGER_DROP_COUNT; i++)
        into->drops[i] += from->drops[i];
    into->unsupported |= from->unsupported;
}

static const char *const severity_names[] = {
#define X(name) #name,
    EVENT_SEVERITIES(X)
#undef X
};

#define X(symbol, name, severity) [EVENT_##symbol] = {name, EVENT_##severity},
static const struct {
    const char *name;
    enum event_severity severity;
} event_kinds[EVENT_KIND_COUNT] = {EVENT_KINDS(X)};
#undef X

const char *event_kind_name(enum event_kind k)
{
    return event_kinds[k].name;
}

enum event_severity event_kind_severity(enum event_kind k)
{
    return event_kinds[k].severity;
}

const char *event_severity_name(enum event_severity s)
{
    return severity_names[s];
}

const char *flow_end_name(enum flow_end e)
{
    static const char *const names[FLOW_END_COUNT] = {"fin", "rst", "idle", "active", "evicted", "eof"};
    return names[e];
}

const char *tcp_state_name(enum tcp_state s)
{
    static const char *const names[TCP_STATE_COUNT] = {"syn_sent", "established", "closing", "closed", "reset"};
    return names[s];
}

const char *tunnel_type_name(enum tunnel_type t)
{
    static const char *const names[TUNNEL_COUNT] = {"none", "vxlan", "vxlan-gpe", "geneve", "gre",  "erspan", "gtpu",
                                                    "ipip", "6in4",  "mpls",      "pppoe",  "l2tp", "tzsp"};
    return names[t];
}

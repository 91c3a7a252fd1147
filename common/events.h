/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_EVENTS_H
#define SPANWARD_EVENTS_H

/*
 * Event kinds, the single list: enum, JSON name, default severity. What makes an event is either the dataplane (with
 * packet time) or analytics (about the mirror itself).
 */

#define EVENT_SEVERITIES(X)                                                                                            \
    X(info)                                                                                                            \
    X(minor)                                                                                                           \
    X(major)                                                                                                           \
    X(critical)

/* symbol, JSON name, severity */
#define EVENT_KINDS(X)                                                                                                 \
    X(MIRROR_ONE_WAY, "mirror.one_way", minor)                                                                         \
    X(MIRROR_OVERSUBSCRIBED, "mirror.oversubscribed", minor)                                                           \
    X(MIRROR_SILENT, "mirror.silent", major)                                                                           \
    X(SENSOR_OVERLOAD_BEGIN, "sensor.overload_begin", major)                                                           \
    X(SENSOR_OVERLOAD_END, "sensor.overload_end", info)                                                                \
    X(PMTU_BLACKHOLE, "pmtu.blackhole", major)

enum event_severity {
#define X(name) EVENT_##name,
    EVENT_SEVERITIES(X)
#undef X
        EVENT_SEVERITY_COUNT
};

enum event_kind {
#define X(symbol, name, severity) EVENT_##symbol,
    EVENT_KINDS(X)
#undef X
        EVENT_KIND_COUNT
};

const char *event_kind_name(enum event_kind k);
enum event_severity event_kind_severity(enum event_kind k);
const char *event_severity_name(enum event_severity s);

#endif

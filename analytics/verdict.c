/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Is this mirror fit to measure with? Four faults of SPAN sessions make every number behind them wrong, and each leaves
 * a trace: one direction missing (data segments of flows of which only one side was ever seen), copies (the same packet
 * twice), slicing (captured shorter than sent), and oversubscription (data acknowledged that the mirror never showed).
 *
 * Limits: asymmetric routing around the tap looks like one direction missing; the note says so. UDP alone cannot prove
 * capture loss. Without any TCP data and two-way flow, directions cannot be judged and are null.
 */

#include "analytics/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/events.h"

#define ONE_WAY_SHARE       0.5  /* of data segments in two-way flows below which directions are missing */
#define ONE_WAY_EVENT_SHARE 0.1  /* the same for an event */
#define ONE_WAY_EVENT_PKTS  50   /* data segments that an event rests on at least */
#define DUPLICATE_NOTE_PCT  1.0  /* copies worth a note */
#define CAPTURE_LOSS_LIMIT  0.01 /* share of bytes missed above which loss is unsure */
#define CAPTURE_GAPS_MIN    10   /* gaps that an event rests on at least */
#define PEAK_SHARE          0.97 /* of capacity in 1 ms, to call the port full */
#define SILENT_WINDOWS      6
#define OVERLOAD_CLEAN      3 /* windows without loss until an overload is over */

static void __attribute__((format(printf, 2, 3))) note(struct verdict *v, const char *format, ...)
{
    va_list args;

    if (v->n_notes == VERDICT_NOTES)
        return;
    va_start(args, format);
    vsnprintf(v->note[v->n_notes++], VERDICT_NOTE_BYTES, format, args);
    va_end(args);
}

static uint64_t both(const struct window *w, size_t offset)
{
    uint64_t a, b;

    memcpy(&a, (const char *)&w->c.dir[0] + offset, sizeof(a));
    memcpy(&b, (const char *)&w->c.dir[1] + offset, sizeof(b));
    return a + b;
}
#define BOTH(w, field) both(w, offsetof(struct window_dir, field))

static void judge_directions(struct verdict *v, const struct window *w)
{
    uint64_t data = BOTH(w, data_pkts), judged = BOTH(w, judged_pkts);

    if (data > 0) {
        v->has_both_directions = true;
        v->both_directions = (double)judged >= ONE_WAY_SHARE * (double)data;
        if (!v->both_directions)
            note(v,
                 "%.0f %% of TCP data belongs to flows of which only one direction is mirrored: mirror both directions "
                 "(rx and tx), or the traffic returns another way; loss cannot be judged for them",
                 100.0 * (double)(data - judged) / (double)data);
        else if (judged < data)
            note(v, "%.2g %% of TCP data belongs to flows seen in one direction only",
                 100.0 * (double)(data - judged) / (double)data);
    } else if (w->c.ended_flows > w->c.one_way_flows) {
        v->has_both_directions = v->both_directions = true;
    } else {
        note(v, "no two-way traffic yet: whether both directions are mirrored cannot be told");
    }
}

static void judge_copies(struct verdict *v, const struct window *w)
{
    uint64_t copies = BOTH(w, dup_pkts) + BOTH(w, second_hop_pkts);
    uint64_t all = BOTH(w, pkts) + copies;

    v->duplicate_pct = all != 0 ? 100.0 * (double)copies / (double)all : 0;
    if (v->duplicate_pct >= DUPLICATE_NOTE_PCT)
        note(v,
             "%.1f %% of packets are copies: mirror one port or one direction of each link only (copies are left out "
             "of all counts)",
             v->duplicate_pct);
    if (BOTH(w, second_hop_pkts) != 0)
        note(v, "%" PRIu64 " packets were seen again behind another device: the mirror shows two hops of one path",
             BOTH(w, second_hop_pkts));
}

static void judge_capture(struct verdict *v, const struct window *w)
{
    uint64_t lost = BOTH(w, capture_lost_bytes), bytes = BOTH(w, bytes) + lost;

    v->has_capture_loss = BOTH(w, judged_pkts) != 0;
    if (v->has_capture_loss)
        v->capture_loss_pct = 100.0 * (double)lost / (double)bytes;
    if (v->has_capture_loss && (double)lost > CAPTURE_LOSS_LIMIT * (double)bytes)
        note(v,
             "the mirror missed %.1f %% of the bytes (they were acknowledged but never seen): the SPAN port may be "
             "oversubscribed; loss figures are unsure",
             v->capture_loss_pct);
    v->truncated = w->c.truncated_pkts != 0;
    if (v->truncated)
        note(v, "%" PRIu64 " packets were captured shorter than sent: fine while their headers are whole",
             w->c.truncated_pkts);
}

void verdict_of(struct verdict *ret, const struct window *w, const struct ledger *l)
{
    struct verdict v = {0};

    if (l->offered == 0)
        note(&v, "no packets yet: check the SPAN session, the cable and the port");
    else
        judge_directions(&v, w);
    judge_copies(&v, w);
    judge_capture(&v, w);
    uint64_t own = l->drops[LEDGER_nic_missed] + l->drops[LEDGER_no_mbuf] + l->drops[LEDGER_ring_full];
    if (own != 0)
        note(&v, "the sensor itself dropped %" PRIu64 " packets: see the ledger; windows with drops are marked", own);
    if (l->drops[LEDGER_table_full] != 0)
        note(&v, "%" PRIu64 " packets found the flow table full: raise capture.flows", l->drops[LEDGER_table_full]);
    *ret = v;
}

static void event_start(struct rec_event *ev, enum event_kind kind, uint64_t ts_ns, uint32_t mirror, const char *name)
{
    *ev = (struct rec_event){
        .ts_ns = ts_ns, .kind = (uint16_t)kind, .severity = (uint8_t)event_kind_severity(kind), .mirror = mirror};
    ev->hdr.len_bytes = sizeof(*ev);
    ev->hdr.type = REC_EVENT;
    snprintf(ev->subject, sizeof(ev->subject), "%s", name);
}

static void event_number(struct rec_event *ev, const char *key, uint64_t v)
{
    struct rec_kv *kv = &ev->kv[ev->n_kv++];

    snprintf(kv->key, sizeof(kv->key), "%s", key);
    kv->number = v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static void event_text(struct rec_event *ev, const char *key, const char *text)
{
    struct rec_kv *kv = &ev->kv[ev->n_kv++];

    snprintf(kv->key, sizeof(kv->key), "%s", key);
    snprintf(kv->text, sizeof(kv->text), "%s", text);
}

bool watch_one_way(struct mirror_watch *m, uint32_t mirror, const char *name, const struct window *minute,
                   struct rec_event *ret_event)
{
    uint64_t data = BOTH(minute, data_pkts), judged = BOTH(minute, judged_pkts);

    if (data < ONE_WAY_EVENT_PKTS)
        return false;
    bool now = (double)judged < ONE_WAY_EVENT_SHARE * (double)data;
    bool clear = (double)judged >= ONE_WAY_SHARE * (double)data;
    bool begins = now && !m->one_way;
    m->one_way = now || (m->one_way && !clear);
    if (!begins)
        return false;
    event_start(ret_event, EVENT_MIRROR_ONE_WAY, minute->start_ns + minute->length_ns, mirror, name);
    event_number(ret_event, "data_pkts", data);
    event_number(ret_event, "two_way_data_pkts", judged);
    return true;
}

bool watch_oversubscribed(struct mirror_watch *m, uint32_t mirror, const char *name, const struct window *minute,
                          uint64_t capacity_bits_per_s, struct rec_event *ret_event)
{
    uint64_t lost = BOTH(minute, capture_lost_bytes), bytes = BOTH(minute, bytes) + lost;
    uint64_t gaps = BOTH(minute, capture_gaps);
    bool now = gaps >= CAPTURE_GAPS_MIN && (double)lost > CAPTURE_LOSS_LIMIT * (double)bytes;
    bool full =
        capacity_bits_per_s != 0 && (double)minute->c.peak_1ms_bytes * 8000 >= PEAK_SHARE * (double)capacity_bits_per_s;
    bool begins = now && !m->oversubscribed;

    m->oversubscribed = now;
    if (!begins)
        return false;
    event_start(ret_event, EVENT_MIRROR_OVERSUBSCRIBED, minute->start_ns + minute->length_ns, mirror, name);
    event_number(ret_event, "capture_lost_bytes", lost);
    event_number(ret_event, "seen_bytes", bytes - lost);
    event_number(ret_event, "capture_gaps", gaps);
    event_number(ret_event, "peak_1ms_bytes", minute->c.peak_1ms_bytes);
    if (capacity_bits_per_s != 0)
        event_text(ret_event, "port", full ? "full" : "not full");
    return true;
}

bool watch_silence(struct mirror_watch *m, uint32_t mirror, const char *name, const struct window *w, uint64_t start_ns,
                   struct rec_event *ret_event)
{
    if (w != NULL && BOTH(w, pkts) + w->c.l2_pkts != 0) {
        m->had_traffic = true;
        m->silent = false;
        m->quiet_windows = 0;
        return false;
    }
    m->quiet_windows++;
    if (m->silent || !m->had_traffic || m->quiet_windows < SILENT_WINDOWS)
        return false;
    m->silent = true;
    event_start(ret_event, EVENT_MIRROR_SILENT, start_ns, mirror, name);
    event_number(ret_event, "quiet_windows", m->quiet_windows);
    return true;
}

bool watch_overload(struct mirror_watch *m, uint32_t mirror, const char *name, uint64_t start_ns, uint64_t lost_pkts,
                    bool lost_messages, const char *limit, struct rec_event *ret_event)
{
    bool now = lost_pkts != 0 || lost_messages;

    m->clean_windows = now ? 0 : m->clean_windows + 1;
    if (now && !m->overloaded) {
        m->overloaded = true;
        event_start(ret_event, EVENT_SENSOR_OVERLOAD_BEGIN, start_ns, mirror, name);
        event_text(ret_event, "limit", limit);
        event_number(ret_event, "lost_pkts", lost_pkts);
        return true;
    }
    if (m->overloaded && m->clean_windows >= OVERLOAD_CLEAN) {
        m->overloaded = false;
        event_start(ret_event, EVENT_SENSOR_OVERLOAD_END, start_ns, mirror, name);
        return true;
    }
    return false;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the score-keeper says: on the terminal, as JSON, and as docs/ACCURACY.md; and the limits that it holds a session
 * against. The tables are printed from struct score alone, so that every figure has been counted once.
 */

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/accuracy.h"

/* ---- the terminal ---- */

static void print_ratio(FILE *out, double r)
{
    if (r < 0)
        fputs("     –", out);
    else
        fprintf(out, " %.3f", r);
}

void print_done(const struct done *d)
{
    const struct score *n = &d->score;

    printf("%-44s %7llu data, %llu false losses, %llu side unknown\n", d->run->name, (unsigned long long)n->data_pkts,
           (unsigned long long)n->false_losses, (unsigned long long)n->side_unknown);
    if (d->busy)
        printf("  the machine was busy: %.1f %% of the frames left the relay late\n", d->late_pct);
    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        const struct class_score *x = &n->class[c];
        if (x->visible + x->verdicts + x->apart == 0)
            continue;
        printf("  %-13s %6llu seen %6llu found %6llu verdicts %5llu wrong %5llu apart  P", score_class_name(c),
               (unsigned long long)x->visible, (unsigned long long)x->found, (unsigned long long)x->verdicts,
               (unsigned long long)x->wrong, (unsigned long long)x->apart);
        print_ratio(stdout, score_precision(x));
        fputs(" R", stdout);
        print_ratio(stdout, score_recall(x));
        putchar('\n');
    }
    printf("  RTT: %llu of %llu samples, %llu extra, %llu apart, error median %.4f %% p99 %.4f %% (%.3f, %.3f us); "
           "handshakes %llu, "
           "p99 %.4f %%; min/tcpi_min_rtt %.4f\n",
           (unsigned long long)n->rtt_found, (unsigned long long)n->rtt_reference, (unsigned long long)n->rtt_extra,
           (unsigned long long)n->rtt_alone, n->ack_rtt.median_pct, n->ack_rtt.p99_pct, n->ack_rtt.median_us,
           n->ack_rtt.p99_us, (unsigned long long)n->handshake.n, n->handshake.p99_pct, n->min_rtt_median);
    fflush(stdout);
}

static struct class_score total_of(const struct session *s, unsigned c)
{
    struct class_score sum = {0};

    for (size_t i = 0; i < s->n_done; i++) {
        const struct class_score *x = &s->done[i].score.class[c];
        sum.visible += x->visible;
        sum.found += x->found;
        sum.apart += x->apart;
        sum.verdicts += x->verdicts;
        sum.right += x->right;
        sum.wrong += x->wrong;
    }
    return sum;
}

static double least(const struct session *s, unsigned c, double (*ratio)(const struct class_score *))
{
    double worst = 2;

    for (size_t i = 0; i < s->n_done; i++) {
        double r = ratio(&s->done[i].score.class[c]);
        if (r >= 0 && s->done[i].score.class[c].visible >= 20 && r < worst)
            worst = r;
    }
    return worst > 1 ? -1 : worst;
}

/* ---- limits ---- */

static double limit_of(unsigned c)
{
    return c == SCORE_SPURIOUS ? 0.97 : 0.99;
}

/* Nobody lost anything, whatever else happened to the packets or to the mirror. */
static bool is_lossless(const struct done *d)
{
    const struct class_score *down = &d->score.class[SCORE_DOWNSTREAM], *up = &d->score.class[SCORE_UPSTREAM];

    return down->visible + down->apart + up->visible + up->apart == 0;
}

/* Few cases leave room for two by chance; the full matrix has enough of them. */
static bool within(const struct session *s, uint64_t good, uint64_t of, double limit)
{
    return (double)(of - good) <= (1 - limit) * (double)of + (s->o.full ? 0 : 2);
}

static bool run_holds(const struct session *s, const struct done *d)
{
    const struct score *n = &d->score;

    return (!is_lossless(d) || n->false_losses == 0) && within(s, n->rtt_found, n->rtt_reference, 0.99) &&
           (n->ack_rtt.median_pct <= 1 || n->ack_rtt.median_us <= 5) && n->ack_rtt.p99_pct <= 3 &&
           (n->handshake.median_pct <= 1 || n->handshake.median_us <= 5) && n->handshake.p99_pct <= 3;
}

bool limits_hold(const struct session *s)
{
    bool ok = true;

    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        struct class_score sum = total_of(s, c);
        ok &=
            within(s, sum.right, sum.right + sum.wrong, limit_of(c)) && within(s, sum.found, sum.visible, limit_of(c));
    }
    for (size_t i = 0; i < s->n_done; i++)
        ok &= run_holds(s, &s->done[i]);
    return ok && s->n_done != 0;
}

/* A session of which no run was made holds nothing. */
static void print_misses(const struct session *s)
{
    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        struct class_score sum = total_of(s, c);
        if (!within(s, sum.right, sum.right + sum.wrong, limit_of(c)))
            printf("misses: precision of %s\n", score_class_name(c));
        if (!within(s, sum.found, sum.visible, limit_of(c)))
            printf("misses: recall of %s\n", score_class_name(c));
    }
    for (size_t i = 0; i < s->n_done; i++)
        if (!run_holds(s, &s->done[i]))
            printf("misses: %s (%s)\n", s->done[i].run->name,
                   is_lossless(&s->done[i]) && s->done[i].score.false_losses != 0 ? "false losses" : "RTT");
}

void print_totals(const struct session *s)
{
    printf("\nall %zu runs      seen    found   wrong   apart  precision (least)  recall (least)\n", s->n_done);
    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        struct class_score x = total_of(s, c);
        printf("  %-13s %7llu %7llu %7llu %7llu ", score_class_name(c), (unsigned long long)x.visible,
               (unsigned long long)x.found, (unsigned long long)x.wrong, (unsigned long long)x.apart);
        print_ratio(stdout, score_precision(&x));
        print_ratio(stdout, least(s, c, score_precision));
        print_ratio(stdout, score_recall(&x));
        print_ratio(stdout, least(s, c, score_recall));
        putchar('\n');
    }
    print_misses(s);
}

/* ---- files ---- */

static json_t *ratio_json(double r)
{
    return r < 0 ? json_null() : json_real(r);
}

static json_t *done_json(const struct done *d)
{
    const struct score *n = &d->score;
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "run", d->run->name, "data_pkts", (json_int_t)n->data_pkts,
                          "flows", (json_int_t)n->flows, "false_losses", (json_int_t)n->false_losses, "side_unknown",
                          (json_int_t)n->side_unknown, "total_retrans", (json_int_t)d->total_retrans);
    json_t *classes = json_object();

    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        const struct class_score *x = &n->class[c];
        json_object_set_new(classes, score_class_name(c),
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "visible", (json_int_t)x->visible, "found",
                                      (json_int_t)x->found, "apart", (json_int_t)x->apart, "verdicts",
                                      (json_int_t)x->verdicts, "wrong", (json_int_t)x->wrong, "precision",
                                      ratio_json(score_precision(x)), "recall", ratio_json(score_recall(x))));
    }
    json_object_set_new(o, "classes", classes);
    json_object_set_new(o, "rtt",
                        json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "reference",
                                  (json_int_t)n->rtt_reference, "found", (json_int_t)n->rtt_found, "extra",
                                  (json_int_t)n->rtt_extra, "apart", (json_int_t)n->rtt_alone, "median_pct",
                                  n->ack_rtt.median_pct, "p99_pct", n->ack_rtt.p99_pct, "p99_us", n->ack_rtt.p99_us,
                                  "handshake_p99_pct", n->handshake.p99_pct, "min_vs_tcpi", n->min_rtt_median));
    return o;
}

int write_json(const struct session *s, const char *path)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->n_done; i++)
        json_array_append_new(all, done_json(&s->done[i]));
    json_t *o = json_pack("{s:b, s:o}", "holds", limits_hold(s), "runs", all);
    int rc = json_dump_file(o, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(o);
    return rc;
}

static void cell(FILE *out, double r)
{
    if (r < 0)
        fputs(" – |", out);
    else
        fprintf(out, " %.4f |", r);
}

static void class_table(const struct session *s, FILE *out)
{
    fputs("| class | seen | found | wrong | apart | precision | least of a run | recall | least of a run |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
          out);
    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        struct class_score x = total_of(s, c);
        fprintf(out, "| %s | %llu | %llu | %llu | %llu |", score_class_name(c), (unsigned long long)x.visible,
                (unsigned long long)x.found, (unsigned long long)x.wrong, (unsigned long long)x.apart);
        cell(out, score_precision(&x));
        cell(out, least(s, c, score_precision));
        cell(out, score_recall(&x));
        cell(out, least(s, c, score_recall));
        fputc('\n', out);
    }
}

static void run_table(const struct session *s, FILE *out)
{
    fputs("\n## Run by run\n\nPrecision / recall; “–”: the run has none of it.\n\n| run | data packets |", out);
    for (unsigned c = 0; c < SCORE_COUNT; c++)
        fprintf(out, " %s |", score_class_name(c));
    fputs(" false losses | side unknown |\n| --- | --- |", out);
    for (unsigned c = 0; c < SCORE_COUNT + 2; c++)
        fputs(" --- |", out);
    fputc('\n', out);
    for (size_t i = 0; i < s->n_done; i++) {
        const struct score *n = &s->done[i].score;
        fprintf(out, "| %s | %llu |", s->done[i].run->name, (unsigned long long)n->data_pkts);
        for (unsigned c = 0; c < SCORE_COUNT; c++) {
            double p = score_precision(&n->class[c]), r = score_recall(&n->class[c]);
            if (p < 0 && r < 0)
                fputs(" – |", out);
            else if (p < 0)
                fprintf(out, " – / %.3f |", r);
            else if (r < 0)
                fprintf(out, " %.3f / – |", p);
            else
                fprintf(out, " %.3f / %.3f |", p, r);
        }
        fprintf(out, " %llu | %llu |\n", (unsigned long long)n->false_losses, (unsigned long long)n->side_unknown);
    }
}

static void rtt_table(const struct session *s, FILE *out)
{
    fputs(
        "\n## Round-trip times\n\n"
        "“Share” is that of the samples which an offline strict-Karn analysis of the same capture finds. *Apart* are\n"
        "those that rule 0 withholds: where the mirror holds copies back by more than a 32nd of the round trip, a "
        "frame\n"
        "that stands alone may have been held, and nothing tells. The error is that of every sample given, against "
        "the\n"
        "times at which the frames passed the tap. “min / tcpi” is the sum of both sides' smallest\n"
        "sample over the smaller `tcpi_min_rtt` of both sockets, at the median of the flows.\n\n"
        "| run | samples | share | extra | apart | error: median | p99 | handshakes | p99 | min / tcpi |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        out);
    for (size_t i = 0; i < s->n_done; i++) {
        const struct score *n = &s->done[i].score;
        fprintf(out,
                "| %s | %llu | %.4f | %llu | %llu | %.3f %%, %.3f µs | %.3f %%, %.3f µs | %llu | %.3f %% | %.3f |\n",
                s->done[i].run->name, (unsigned long long)n->rtt_samples,
                n->rtt_reference != 0 ? (double)n->rtt_found / (double)n->rtt_reference : 1,
                (unsigned long long)n->rtt_extra, (unsigned long long)n->rtt_alone, n->ack_rtt.median_pct,
                n->ack_rtt.median_us, n->ack_rtt.p99_pct, n->ack_rtt.p99_us, (unsigned long long)n->handshake.n,
                n->handshake.p99_pct, n->min_rtt_median);
    }
}

/* Which rule of docs/METRICS.md says what tshark's flag on such a frame should have been. */
static const char *rule_for_tshark(unsigned flag, unsigned what)
{
    if (what == ORACLE_WHAT_COUNT)
        return "a frame without data: an ACK of bytes that the mirror missed (rule 4), or a FIN or SYN";
    if (flag == TSHARK_LOST || flag == TSHARK_ACKED_LOST)
        return "rule 3 or 4: a gap is a gap until it is filled; what it was is said later";
    switch (what) {
    case ORACLE_COPY:
        return "rule 1: a copy is not a retransmission; tshark knows no copies";
    case ORACLE_AFTER_DOWN:
        return flag == TSHARK_OUT_OF_ORDER ? "rule 2: these bytes were seen before"
               : flag == TSHARK_SPURIOUS   ? "tshark: spurious when at or below the last ACK; rule 2: evidence"
                                           : "agrees: rule 2, lost downstream";
    case ORACLE_AFTER_UP:
        return flag == TSHARK_OUT_OF_ORDER ? "tshark: below the initial RTT; rule 3: TSval, IP id or R's complaint"
               : flag == TSHARK_SPURIOUS   ? "tshark: at or below the last ACK, even if never seen; rule 3"
                                           : "agrees: rule 3, lost upstream";
    case ORACLE_NEEDLESS:
        return flag == TSHARK_SPURIOUS ? "agrees: rule 2, spurious" : "rule 2: DSACK, Eifel or time, after the ACK";
    case ORACLE_LATE:
        return flag == TSHARK_OUT_OF_ORDER ? "agrees: rule 3, reordered" : "rule 3: older than what exposed the gap";
    case ORACLE_LATE_COPY:
        return "rule 0: only the mirror reordered it";
    default:
        return "rule 0 or 4: in order in the network; the mirror's gap misleads";
    }
}

static void tshark_table(const struct session *s, FILE *out)
{
    fputs("\n## Against tshark\n\n"
          "Every data segment that tshark 4.0 flags, by what it really was, over the runs of the next table.\n\n"
          "| tshark says | it was | frames | rule |\n| --- | --- | --- | --- |\n",
          out);
    for (unsigned f = 0; f < TSHARK_FLAG_COUNT; f++)
        for (unsigned w = 0; w <= ORACLE_WHAT_COUNT; w++) {
            uint64_t n = 0;
            for (size_t i = 0; i < s->n_done; i++)
                n += s->done[i].oracles.tshark[f][w];
            if (n != 0)
                fprintf(out, "| `%s` | %s | %llu | %s |\n", tshark_flag_field(f),
                        w == ORACLE_WHAT_COUNT ? "no data" : oracle_what_name(w), (unsigned long long)n,
                        rule_for_tshark(f, w));
        }
}

static void tcptrace_row(FILE *out, const struct done *d)
{
    const struct oracles *o = &d->oracles;

    fprintf(out, "| %s | %llu |", d->run->name, (unsigned long long)o->tcptrace_rexmt);
    fprintf(out, " %llu | %llu | %llu |", (unsigned long long)o->rexmt_what[ORACLE_COPY],
            (unsigned long long)(o->rexmt_what[ORACLE_AFTER_DOWN] + o->rexmt_what[ORACLE_AFTER_UP]),
            (unsigned long long)o->rexmt_what[ORACLE_NEEDLESS]);
    fprintf(out, " %lld | %llu |", (long long)o->tcptrace_rexmt - (long long)o->rule_rexmt,
            (unsigned long long)o->tcptrace_out_of_order);
    fprintf(out, " %llu | %llu | %llu | %lld |\n",
            (unsigned long long)(o->out_of_order_what[ORACLE_AFTER_UP] + o->out_of_order_what[ORACLE_AFTER_DOWN]),
            (unsigned long long)o->out_of_order_what[ORACLE_LATE],
            (unsigned long long)o->out_of_order_what[ORACLE_LATE_COPY],
            (long long)o->tcptrace_out_of_order - (long long)o->rule_out_of_order);
}

static void tcptrace_table(const struct session *s, FILE *out)
{
    fputs("\n## Against tcptrace\n\n"
          "tcptrace calls every overlap a retransmission and all that comes below the highest byte without one out of "
          "order.\nThe columns say what these segments were: copies are none (rule 1); a fill of an upstream gap is a "
          "retransmission to\nus (rule 3). “Rest” is what its own rule, applied to the truth's headers, does not "
          "explain.\n\n"
          "| run | `rexmt` | copies | after loss | needless | rest | `outoforder` | upstream fills | overtaken | "
          "captured late | rest |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
          out);
    for (size_t i = 0; i < s->n_done; i++) {
        const struct done *d = &s->done[i];
        if (d->oracles.have_tcptrace && strstr(d->run->statements, "wrap ") != NULL)
            fprintf(out, "| %s | it does not look into these frames | | | | | | | | | |\n", d->run->name);
        else if (d->oracles.have_tcptrace)
            tcptrace_row(out, d);
    }
}

int write_markdown(const struct session *s, const char *path)
{
    FILE *out = fopen(path, "we");

    if (out == NULL)
        return -errno;
    fprintf(out,
            "# Accuracy\n\nWritten by `scripts/accuracy%s --markdown`: %zu runs of [the lab](LAB.md), whose relay "
            "knows what it did to each frame.\n",
            s->o.full ? " --full" : "", s->n_done);
    fputs("The unit is one data segment that suffered something, matched with the probe's verdicts by flow, direction "
          "and byte\n"
          "range. *Apart* are those that left no trace at the tap (a lost tail, the loss of a repeat of what had not "
          "been\n"
          "seen missing): they are in neither figure. [METRICS.md](METRICS.md) has the rules.\n\n",
          out);
    class_table(s, out);
    fprintf(out,
            "\nThe limits (0.99; spurious 0.97; no false loss in runs without loss; RTT within 1 %% or 5 µs at the "
            "median, 3 "
            "%% at\np99; 99 %% of the samples) %s.\n",
            limits_hold(s) ? "hold" : "do **not** hold");
    run_table(s, out);
    rtt_table(s, out);
    if (!s->o.no_oracles) {
        tshark_table(s, out);
        tcptrace_table(s, out);
    }
    return fclose(out) == 0 ? 0 : -EIO;
}

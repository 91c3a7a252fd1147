/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * accuracy: runs the lab's matrix, scores the probe on each capture, and prints how often it was right.
 * scripts/accuracy calls it; docs/ACCURACY.md is its output (--markdown). A run that exists already (--rescore) is not
 * made again, so that a changed classifier is scored on the same traffic.
 */

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/lab.h"
#include "tests/lab/matrix.h"
#include "tests/lab/oracles.h"
#include "tests/lab/score.h"

#define RUNS_MAX 64

struct options {
    bool full, keep, rescore, no_oracles, list;
    unsigned oracles_every; /* only each nth run is compared with other tools, which are slow */
    const char *dir, *json, *markdown, *explain, *only;
};

struct done {
    const struct matrix_run *run;
    struct score score;
    struct oracles oracles;
    uint64_t relay_resends, relay_untraced, total_retrans;
};

struct session {
    struct options o;
    struct done done[RUNS_MAX];
    size_t n_done;
    FILE *explain;
};

static void print_help(FILE *out)
{
    fputs("Examples:\n"
          "  accuracy                              # the short matrix\n"
          "  accuracy --full --markdown docs/ACCURACY.md\n"
          "  accuracy --dir /var/tmp/x --keep --only spurious --explain /tmp/why.txt\n"
          "  accuracy --dir /var/tmp/x --rescore   # the same captures again, without the lab\n"
          "\n"
          "Usage: accuracy [--full] [--only WORD] [--dir FOLDER [--keep | --rescore]] [--json FILE]\n"
          "                [--markdown FILE] [--explain FILE] [--no-oracles | --oracles-every N] [--list]\n"
          "Exit: 0 the limits hold, 1 they do not or something failed, 2 usage, 77 this machine cannot run the lab.\n",
          out);
}

/* ---- one run ---- */

static int add_statements(struct lab_scenario *s, const char *statements, struct error *e)
{
    char copy[4096], *at = copy, *line;
    int rc = 0;

    snprintf(copy, sizeof(copy), "%s", statements);
    while (rc == 0 && (line = strsep(&at, ";")) != NULL)
        rc = lab_scenario_line(s, line, e);
    return rc;
}

static int make_run(const struct matrix_run *m, bool full, const char *prefix, struct error *e)
{
    char capture[4200], frames[4200], summary[4200];
    const struct lab_outputs out = {capture, frames, summary};
    struct lab_scenario *s = malloc(sizeof(*s));
    struct lab_result result;

    if (s == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    snprintf(capture, sizeof(capture), "%s.pcapng", prefix);
    snprintf(frames, sizeof(frames), "%s.truth.ndjson.gz", prefix);
    snprintf(summary, sizeof(summary), "%s.truth.json", prefix);
    lab_scenario_init(s);
    int rc = add_statements(s, "snap 160;time 10m;size 2G", e);
    if (rc == 0)
        rc = add_statements(s, m->statements, e);
    if (rc == 0)
        rc = add_statements(s, full ? m->traffic : m->small, e);
    if (rc == 0)
        rc = lab_run(s, &out, &result, e);
    free(s);
    return rc;
}

static void remove_run(const char *prefix)
{
    static const char *const suffixes[] = {".pcapng", ".truth.ndjson.gz", ".truth.json"};
    char path[4200];

    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", prefix, suffixes[i]);
        unlink(path);
    }
}

static int score_one(struct session *s, const struct matrix_run *m, const char *prefix, struct error *e)
{
    struct done *d = &s->done[s->n_done];
    struct truth *t;
    int rc = truth_read(prefix, &t, e);

    if (rc < 0)
        return rc;
    *d = (struct done){.run = m, .relay_resends = t->resent_pkts, .total_retrans = t->total_retrans};
    if (s->explain != NULL)
        fprintf(s->explain, "== %s\n", m->name);
    rc = score_run(t, prefix, s->explain, &d->score, e);
    if (rc == 0 && !s->o.no_oracles && s->n_done % s->o.oracles_every == 0)
        rc = oracles_run(t, prefix, &d->oracles, e);
    truth_free(t);
    s->n_done += rc == 0;
    return rc;
}

/* ---- the terminal ---- */

static void print_ratio(FILE *out, double r)
{
    if (r < 0)
        fputs("     –", out);
    else
        fprintf(out, " %.3f", r);
}

static void print_done(const struct done *d)
{
    const struct score *n = &d->score;

    printf("%-44s %7llu data, %llu false losses, %llu side unknown\n", d->run->name, (unsigned long long)n->data_pkts,
           (unsigned long long)n->false_losses, (unsigned long long)n->side_unknown);
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
    printf(
        "  RTT: %llu of %llu samples, %llu extra, error median %.4f %% p99 %.4f %% (%.3f, %.3f us); handshakes %llu, "
        "p99 %.4f %%; min/tcpi_min_rtt %.4f\n",
        (unsigned long long)n->rtt_found, (unsigned long long)n->rtt_reference, (unsigned long long)n->rtt_extra,
        n->ack_rtt.median_pct, n->ack_rtt.p99_pct, n->ack_rtt.median_us, n->ack_rtt.p99_us,
        (unsigned long long)n->handshake.n, n->handshake.p99_pct, n->min_rtt_median);
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

static bool is_clean(const struct done *d)
{
    return strncmp(d->run->name, "clean", 5) == 0;
}

/* Few cases leave room for two by chance; the full matrix has enough of them. */
static bool within(const struct session *s, uint64_t good, uint64_t of, double limit)
{
    return (double)(of - good) <= (1 - limit) * (double)of + (s->o.full ? 0 : 2);
}

static bool run_holds(const struct session *s, const struct done *d)
{
    const struct score *n = &d->score;

    return (!is_clean(d) || n->false_losses == 0) && within(s, n->rtt_found, n->rtt_reference, 0.99) &&
           (n->ack_rtt.median_pct <= 1 || n->ack_rtt.median_us <= 5) && n->ack_rtt.p99_pct <= 3 &&
           (n->handshake.median_pct <= 1 || n->handshake.median_us <= 5) && n->handshake.p99_pct <= 3;
}

static bool limits_hold(const struct session *s)
{
    bool ok = true;

    for (unsigned c = 0; c < SCORE_COUNT; c++) {
        struct class_score sum = total_of(s, c);
        ok &=
            within(s, sum.right, sum.right + sum.wrong, limit_of(c)) && within(s, sum.found, sum.visible, limit_of(c));
    }
    for (size_t i = 0; i < s->n_done; i++)
        ok &= run_holds(s, &s->done[i]);
    return ok;
}

static void print_totals(const struct session *s)
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
                        json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "reference", (json_int_t)n->rtt_reference,
                                  "found", (json_int_t)n->rtt_found, "extra", (json_int_t)n->rtt_extra, "median_pct",
                                  n->ack_rtt.median_pct, "p99_pct", n->ack_rtt.p99_pct, "p99_us", n->ack_rtt.p99_us,
                                  "handshake_p99_pct", n->handshake.p99_pct, "min_vs_tcpi", n->min_rtt_median));
    return o;
}

static int write_json(const struct session *s, const char *path)
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
        "“Share” is that of the samples which an offline strict-Karn analysis of the same capture finds; the error is\n"
        "against the times at which the relay passed the frames on. “min / tcpi” is the sum of both sides' smallest\n"
        "sample over the smaller `tcpi_min_rtt` of both sockets, at the median of the flows.\n\n"
        "| run | samples | share | extra | error: median | p99 | handshakes | p99 | min / tcpi |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        out);
    for (size_t i = 0; i < s->n_done; i++) {
        const struct score *n = &s->done[i].score;
        fprintf(out, "| %s | %llu | %.4f | %llu | %.3f %%, %.3f µs | %.3f %%, %.3f µs | %llu | %.3f %% | %.3f |\n",
                s->done[i].run->name, (unsigned long long)n->rtt_samples,
                n->rtt_reference != 0 ? (double)n->rtt_found / (double)n->rtt_reference : 1,
                (unsigned long long)n->rtt_extra, n->ack_rtt.median_pct, n->ack_rtt.median_us, n->ack_rtt.p99_pct,
                n->ack_rtt.p99_us, (unsigned long long)n->handshake.n, n->handshake.p99_pct, n->min_rtt_median);
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
    for (size_t i = 0; i < s->n_done; i++)
        if (s->done[i].oracles.have_tcptrace)
            tcptrace_row(out, &s->done[i]);
}

static int write_markdown(const struct session *s, const char *path)
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
            "\nThe limits (0.99; spurious 0.97; no false loss in clean runs; RTT within 1 %% or 5 µs at the median, 3 "
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

/* ---- main ---- */

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"full", no_argument, NULL, 'f'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"rescore", no_argument, NULL, 'r'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"markdown", required_argument, NULL, 'm'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"explain", required_argument, NULL, 'e'},
                                            {"oracles-every", required_argument, NULL, 'O'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"no-oracles", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int c;

    o->oracles_every = 1;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'f':
            o->full = true;
            break;
        case 'k':
            o->keep = true;
            break;
        case 'r':
            o->rescore = o->keep = true;
            break;
        case 'd':
            o->dir = optarg;
            break;
        case 'j':
            o->json = optarg;
            break;
        case 'm':
            o->markdown = optarg;
            break;
        case 'o':
            o->only = optarg;
            break;
        case 'e':
            o->explain = optarg;
            break;
        case 'O':
            o->oracles_every = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'l':
            o->list = true;
            break;
        case 'n':
            o->no_oracles = true;
            break;
        case 'h':
            return 1;
        default:
            return -EINVAL;
        }
    }
    return optind == argc && o->oracles_every != 0 && (!o->keep || o->dir != NULL) ? 0 : -EINVAL;
}

static bool is_wanted(const struct options *o, const struct matrix_run *m)
{
    return (o->full || m->small != NULL) && (o->only == NULL || strstr(m->name, o->only) != NULL);
}

/* A run that the machine disturbed (a full device queue) is made once more. */
static int run_one(struct session *s, const struct matrix_run *m, size_t i, struct error *e)
{
    char prefix[4096];
    int rc = 0;

    snprintf(prefix, sizeof(prefix), "%s/run%02zu", s->o.dir, i);
    if (!s->o.rescore)
        rc = make_run(m, s->o.full, prefix, e);
    if (rc == -EIO)
        rc = make_run(m, s->o.full, prefix, e);
    if (rc == 0)
        rc = score_one(s, m, prefix, e);
    if (!s->o.keep)
        remove_run(prefix);
    if (rc == 0)
        print_done(&s->done[s->n_done - 1]);
    else
        fprintf(stderr, "accuracy: %s: %s\n", m->name, e->text);
    return rc;
}

static int run_all(struct session *s)
{
    int rc = 0;
    struct error e;

    for (size_t i = 0; i < matrix_runs && i < RUNS_MAX && rc != -EINTR; i++)
        if (is_wanted(&s->o, &matrix[i])) {
            int one = run_one(s, &matrix[i], i, &e);
            rc = one < 0 ? one : rc;
        }
    print_totals(s);
    if (s->o.json != NULL && write_json(s, s->o.json) < 0)
        rc = -EIO;
    if (s->o.markdown != NULL && write_markdown(s, s->o.markdown) < 0)
        rc = -EIO;
    printf("\nthe limits %s\n", limits_hold(s) ? "hold" : "do NOT hold");
    return rc == 0 && limits_hold(s) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int with_folder(struct session *s)
{
    char made[] = "/tmp/accuracy-XXXXXX";
    bool own = s->o.dir == NULL;
    struct error e;

    if (!s->o.rescore && lab_netns_possible(&e) < 0) {
        printf("skipped: %s\n", e.text);
        return 77;
    }
    if (own)
        s->o.dir = mkdtemp(made);
    else
        mkdir(s->o.dir, 0755);
    if (s->o.dir == NULL)
        return EXIT_FAILURE;
    if (s->o.explain != NULL)
        s->explain = fopen(s->o.explain, "we");
    int code = run_all(s);
    if (s->explain != NULL)
        fclose(s->explain);
    if (own)
        rmdir(made);
    return code;
}

int main(int argc, char **argv)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc = s == NULL ? -ENOMEM : parse(argc, argv, &s->o), code = EXIT_SUCCESS;

    if (rc != 0) {
        print_help(rc < 0 ? stderr : stdout);
        code = rc < 0 ? 2 : EXIT_SUCCESS;
    } else if (s->o.list) {
        for (size_t i = 0; i < matrix_runs; i++)
            printf("%2zu %s %s\n", i, matrix[i].small != NULL ? "short" : "     ", matrix[i].name);
    } else {
        code = with_folder(s);
    }
    free(s);
    return code;
}

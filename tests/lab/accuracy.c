/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * accuracy: runs the lab's matrix, scores the probe on each capture, and prints how often it was right.
 * scripts/accuracy calls it; docs/ACCURACY.md is its output (--markdown). A run that exists already (--rescore) is not
 * made again, so that a changed classifier is scored on the same traffic.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/accuracy.h"

static void print_help(FILE *out)
{
    fputs("Examples:\n"
          "  accuracy                              # the short matrix\n"
          "  accuracy --full --markdown docs/ACCURACY.md\n"
          "  accuracy --dir /var/tmp/x --keep --only spurious --explain /tmp/why.txt\n"
          "  accuracy --dir /var/tmp/x --rescore   # the same captures again, without the lab\n"
          "  accuracy --held-out 7 --runs 20       # scenarios drawn from a seed, not those of the matrix\n"
          "\n"
          "Usage: accuracy [--full | --held-out SEED [--runs N] [--size PACKETS]] [--only WORD] [--json FILE]\n"
          "                [--dir FOLDER [--keep | --rescore]]\n"
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
    int rc = add_statements(s, "snap 192;time 10m;size 2G", e);
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
    *d = (struct done){.run = m,
                       .total_retrans = t->total_retrans,
                       .late_pct = t->delivered != 0 ? 100 * (double)t->late / (double)t->delivered : 0,
                       .busy = lab_was_busy(t->late, t->delivered)};
    if (s->explain != NULL)
        fprintf(s->explain, "== %s\n   %s;%s\n", m->name, m->statements, m->traffic);
    rc = score_run(t, prefix, s->explain, &d->score, e);
    if (rc == 0 && !s->o.no_oracles && s->n_done % s->o.oracles_every == 0)
        rc = oracles_run(t, prefix, &d->oracles, e);
    truth_free(t);
    s->n_done += rc == 0;
    return rc;
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
                                            {"held-out", required_argument, NULL, 'H'},
                                            {"runs", required_argument, NULL, 'R'},
                                            {"size", required_argument, NULL, 's'},
                                            {"no-oracles", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int c;

    o->oracles_every = 1;
    o->runs = 24;
    o->data_pkts = 110000;
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
        case 'H':
            o->held_out = strtoull(optarg, NULL, 10);
            o->full = true;
            break;
        case 'R':
            o->runs = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            o->data_pkts = (unsigned)strtoul(optarg, NULL, 10);
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
    return optind == argc && o->oracles_every != 0 && o->runs != 0 && o->runs <= RUNS_MAX &&
                   (!o->keep || o->dir != NULL)
               ? 0
               : -EINVAL;
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

/* The run's scenario, from the matrix or drawn; NULL behind the last. */
static const struct matrix_run *run_at(const struct session *s, size_t i, struct heldout *room)
{
    if (s->o.held_out == 0)
        return i < matrix_runs && i < RUNS_MAX ? &matrix[i] : NULL;
    if (i >= s->o.runs)
        return NULL;
    heldout_draw(s->o.held_out, (unsigned)i, s->o.data_pkts, room);
    return &room->run;
}

static int run_all(struct session *s)
{
    const struct matrix_run *m;
    int rc = 0;
    struct error e;

    for (size_t i = 0; rc != -EINTR && (m = run_at(s, i, &s->drawn[i])) != NULL; i++)
        if (is_wanted(&s->o, m)) {
            int one = run_one(s, m, i, &e);
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

static void list_runs(struct session *s)
{
    const struct matrix_run *m;

    for (size_t i = 0; (m = run_at(s, i, &s->drawn[0])) != NULL; i++)
        printf("%2zu %s %s\n   %s;%s\n", i, m->small != NULL ? "short" : "     ", m->name, m->statements, m->traffic);
}

int main(int argc, char **argv)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc = s == NULL ? -ENOMEM : parse(argc, argv, &s->o), code = EXIT_SUCCESS;

    if (rc != 0) {
        print_help(rc < 0 ? stderr : stdout);
        code = rc < 0 ? 2 : EXIT_SUCCESS;
    } else if (s->o.list) {
        list_runs(s);
    } else {
        code = with_folder(s);
    }
    free(s);
    return code;
}

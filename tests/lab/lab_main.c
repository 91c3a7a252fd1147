/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lab: real TCP stacks, a wire that loses, delays, reorders and duplicates on purpose, and the truth about it.
 *
 * This is the command around lab_run(); scripts/lab calls it. Results are named after --out: OUT.pcapng,
 * OUT.truth.ndjson.gz (one line per frame), OUT.truth.json (sums).
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/lab/lab.h"

#define EXIT_CANNOT_RUN 77 /* what meson and automake take for "skipped" */
#define EXIT_CUT        3

static void print_help(FILE *out)
{
    fputs("Examples:\n"
          "  lab --out /tmp/x scenario.lab\n"
          "  lab --out /tmp/x -e 'delay left 5ms' -e 'rule lose-down kind=data every=97' \\\n"
          "      -e 'traffic bulk client=10.0.0.1 server=192.0.2.1 resp=3M'\n"
          "\n"
          "Usage: lab --out PREFIX [-e STATEMENT]... [--no-frames] [FILE]...\n"
          "  Writes PREFIX.pcapng, PREFIX.truth.ndjson.gz and PREFIX.truth.json.\n"
          "  -e, --statement  one line of a scenario, after the files\n"
          "  --no-frames      no truth per frame, only sums\n"
          "  --actions        what a rule can do\n"
          "Exit: 0 done, 1 failed, 2 usage, 3 cut short by a limit or a signal, 77 this machine cannot run it.\n"
          "The language is in docs/LAB.md.\n",
          out);
}

static void print_actions(void)
{
#define A(symbol, name, text) printf("%-10s %s\n", name, text);
    LAB_ACTIONS(A)
#undef A
}

static void print_result(const char *prefix, const struct lab_result *n)
{
    const struct lab_truth_sums *t = &n->total;

    printf("%s.pcapng: %llu frames, %llu bytes, %llu flows in %.1f s\n", prefix, (unsigned long long)n->capture_frames,
           (unsigned long long)n->capture_bytes, (unsigned long long)n->flows, (double)n->ran_ns / 1e9);
    printf("  data %llu, lost upstream %llu, lost downstream %llu, missed %llu, copies %llu, second hops "
           "%llu\n",
           (unsigned long long)t->data_pkts, (unsigned long long)t->lost_up_pkts, (unsigned long long)t->lost_down_pkts,
           (unsigned long long)t->missed_pkts, (unsigned long long)t->copied_pkts, (unsigned long long)t->hop_pkts);
    printf("  overtaken before the tap %llu, behind it %llu; captured late %llu; resent %llu, needless "
           "%llu\n",
           (unsigned long long)t->late_tap_pkts, (unsigned long long)t->late_out_pkts,
           (unsigned long long)t->late_copy_pkts, (unsigned long long)t->resent_pkts,
           (unsigned long long)t->needless_pkts);
    printf("  sockets: %llu reports (%llu not ok, %llu not settled), total_retrans %llu, dsack_dups %llu\n",
           (unsigned long long)n->endpoints.reports, (unsigned long long)n->endpoints.not_ok,
           (unsigned long long)n->endpoints.not_settled, (unsigned long long)n->endpoints.total_retrans,
           (unsigned long long)n->endpoints.dsack_dups);
    printf("  relay: at most %llu frames in flight, at most %.3f ms late\n", (unsigned long long)n->relay.in_flight_max,
           (double)n->relay.late_max_ns / 1e6);
    if (lab_was_busy(n->relay.late, n->relay.delivered))
        printf(
            "  the machine was busy: %.1f %% of the frames left more than %.0f ms late; times are true, but not those "
            "of the scenario\n",
            100 * (double)n->relay.late / (double)n->relay.delivered, LAB_LATE_NS / 1e6);
}

struct arguments {
    const char *prefix;
    bool no_frames, help, actions;
    const char *statements[64];
    size_t n_statements;
};

static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'}, {"statement", required_argument, NULL, 'e'},
        {"no-frames", no_argument, NULL, 'n'}, {"actions", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},      {0}};
    int c;

    while ((c = getopt_long(argc, argv, "o:e:h", options, NULL)) != -1) {
        if (c == 'o')
            a->prefix = optarg;
        else if (c == 'e' && a->n_statements < 64)
            a->statements[a->n_statements++] = optarg;
        else if (c == 'n')
            a->no_frames = true;
        else if (c == 'a')
            a->actions = true;
        else if (c == 'h')
            a->help = true;
        else
            return -EINVAL;
    }
    return a->prefix != NULL || a->help || a->actions ? 0 : -EINVAL;
}

static int read_scenario(const struct arguments *a, char **files, int n_files, struct lab_scenario *s, struct error *e)
{
    int rc = 0;

    lab_scenario_init(s);
    for (int i = 0; rc == 0 && i < n_files; i++)
        rc = lab_scenario_file(s, files[i], e);
    for (size_t i = 0; rc == 0 && i < a->n_statements; i++) {
        struct error why;

        rc = lab_scenario_line(s, a->statements[i], &why);
        if (rc < 0)
            error_set(e, rc, "'%.60s': %.180s", a->statements[i], why.text);
    }
    if (rc == 0 && s->n_traffic == 0)
        rc = error_set(e, -EINVAL, "the scenario has no traffic line");
    return rc;
}

static int run(const struct arguments *a, const struct lab_scenario *s)
{
    char capture[4096], frames[4096], summary[4096];
    struct lab_outputs out = {capture, a->no_frames ? NULL : frames, summary};
    struct lab_result result;
    struct error e;
    int rc;

    if (lab_netns_possible(&e) < 0) {
        fprintf(stderr, "lab: cannot run here: %s\n", e.text);
        return EXIT_CANNOT_RUN;
    }
    if (snprintf(capture, sizeof(capture), "%s.pcapng", a->prefix) >= (int)sizeof(capture) - 20) {
        fprintf(stderr, "lab: --out is too long\n");
        return EXIT_FAILURE;
    }
    snprintf(frames, sizeof(frames), "%.4070s.truth.ndjson.gz", a->prefix);
    snprintf(summary, sizeof(summary), "%.4070s.truth.json", a->prefix);
    rc = lab_run(s, &out, &result, &e);
    if (rc == 0) {
        print_result(a->prefix, &result);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "lab: %s\n", e.text);
    return rc == -ETIME || rc == -EFBIG || rc == -EINTR ? EXIT_CUT : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    struct lab_scenario *s;
    struct error e;
    int code = EXIT_FAILURE;

    if (parse_arguments(argc, argv, &a) < 0) {
        print_help(stderr);
        return 2;
    }
    if (a.help || a.actions) {
        if (a.help)
            print_help(stdout);
        else
            print_actions();
        return EXIT_SUCCESS;
    }
    s = malloc(sizeof(*s));
    if (s == NULL)
        return EXIT_FAILURE;
    if (read_scenario(&a, argv + optind, argc - optind, s, &e) < 0)
        fprintf(stderr, "lab: %s\n", e.text);
    else
        code = run(&a, s);
    free(s);
    return code;
}

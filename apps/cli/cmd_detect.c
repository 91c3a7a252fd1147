/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward detect: a score for every row of a series, as the rows come.
 *
 * What was read is scored and written before more is read, so that behind a pipe each row is answered at once, and a
 * file of any length takes constant memory. The score is rounded before the label is taken from it, so that a reader of
 * the output finds label = 1 exactly where score >= 0.5.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/bytes.h"
#include "control/scorer.h"
#include "control/series_csv.h"

#define CHUNK_BYTES 65536u
#define HEADING     "timestamp,value,anomaly_score,label\n"
#define SCORE_STEPS 10000u /* four decimals */

/* Invariant: in[0..n_in) is not scored yet, out[0..n_out) not written yet. */
struct stream {
    int fd;
    struct scorer *scorer;
    struct series_days days;
    uint64_t line;
    size_t n_in, n_out;
    char in[SERIES_LINE_BYTES + CHUNK_BYTES];
    char out[2 * CHUNK_BYTES];
};

static int write_out(struct stream *s)
{
    for (size_t at = 0; at < s->n_out;) {
        ssize_t n = write(STDOUT_FILENO, s->out + at, s->n_out - at);
        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    s->n_out = 0;
    return 0;
}

static int put(struct stream *s, const char *p, size_t n)
{
    int r = s->n_out + n > sizeof(s->out) ? write_out(s) : 0;

    memcpy(s->out + s->n_out, p, n);
    s->n_out += n;
    return r;
}

/* ",0.1234,0\n" */
static int put_score(struct stream *s, double score)
{
    unsigned steps = (unsigned)lround(score * SCORE_STEPS);
    char text[] = ",0.0000,0\n";

    text[1] = (char)('0' + steps / SCORE_STEPS);
    for (unsigned i = 6, rest = steps; i > 2; i--, rest /= 10)
        text[i] = (char)('0' + rest % 10);
    text[8] = steps * 2 >= SCORE_STEPS ? '1' : '0';
    return put(s, text, sizeof(text) - 1);
}

/* One line without its end. */
static int take_line(struct stream *s, const char *line, size_t len, struct error *e)
{
    struct series_row row;

    s->line++;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (s->line == 1) {
        if (len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
            line += 3;
            len -= 3;
        }
        if (series_is_heading(line, len))
            return 0;
    }
    if (len == 0)
        return 0; /* an empty line is no row */
    if (len > SERIES_LINE_BYTES)
        return error_set(e, -EINVAL, "the row is longer than %u bytes", SERIES_LINE_BYTES);
    int r = series_row_parse(&row, line, len, &s->days, e);
    if (r < 0)
        return r;
    double score = row.has_value ? scorer_step(s->scorer, row.time_ns, row.value, NULL) : 0;
    r = put(s, line, len);
    r = r == 0 ? put_score(s, score) : r;
    return r == 0 ? 0 : error_set(e, r, "cannot write: %s", strerror(-r));
}

/* All whole lines of in[]; the rest moves to its start. */
static int take_lines(struct stream *s, bool at_end, struct error *e)
{
    size_t at = 0;
    int r = 0;

    while (r == 0 && at < s->n_in) {
        const char *end = memchr(s->in + at, '\n', s->n_in - at);
        if (end == NULL && !at_end)
            break;
        size_t len = end != NULL ? (size_t)(end - s->in) - at : s->n_in - at;
        r = take_line(s, s->in + at, len, e);
        at += len + (end != NULL);
    }
    if (r == 0 && s->n_in - at > SERIES_LINE_BYTES) {
        s->line++;
        return error_set(e, -EINVAL, "the row is longer than %u bytes", SERIES_LINE_BYTES);
    }
    memmove(s->in, s->in + at, s->n_in - at);
    s->n_in -= at;
    return r;
}

/* 0, -EINVAL for a bad row, other -errno. */
static int run_stream(struct stream *s, struct error *e)
{
    int r = put(s, HEADING, sizeof(HEADING) - 1);

    while (r == 0) {
        ssize_t n = read(s->fd, s->in + s->n_in, CHUNK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(e, -EIO, "cannot read: %s", strerror(errno));
        s->n_in += (size_t)n;
        r = take_lines(s, n == 0, e);
        int w = write_out(s);
        if (r == 0 && w != 0)
            r = error_set(e, w, "cannot write: %s", strerror(-w));
        if (n == 0)
            break;
    }
    return r;
}

static int run_detect(struct cli *cli)
{
    const char *path = cli->args.rest[0];
    struct stream *s = calloc(1, sizeof(*s));
    struct error e = {""};
    char safe[256];

    text_escape(safe, sizeof(safe), path, strlen(path));
    if (s == NULL || (s->scorer = scorer_new()) == NULL) {
        free(s);
        return cli_fail(cli, CLI_ERROR, "no memory");
    }
    s->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int r = s->fd < 0 ? error_set(&e, -EIO, "%s", strerror(errno)) : run_stream(s, &e);
    int code = CLI_OK;
    if (r == -EINVAL)
        code = cli_fail(cli, CLI_USAGE, "%s, line %llu: %s", safe, (unsigned long long)s->line, e.text);
    else if (r < 0)
        code = cli_fail(cli, CLI_ERROR, "%s: %s", safe, e.text);
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    scorer_free(s->scorer);
    free(s);
    return code;
}

static const struct example examples[] = {
    {"detect latency.csv > scored.csv", "a score and a label for every row"},
    {"detect latency.csv | awk -F, '$4 == 1'", "only what is anomalous"},
    {"detect - | tee scored.csv", "rows from a pipe, answered one by one"},
    {NULL, NULL},
};

const struct command command_detect = {
    .name = "detect",
    .group = "What happens next",
    .summary = "score any series of timestamp,value for anomalies, as it comes",
    .usage = "FILE.csv",
    .text =
        "Reads rows timestamp,value and writes timestamp,value,anomaly_score,label: both fields as they were, a "
        "score from 0 to 1, and the label 1 where the score is 0.5 or more. A score rests on the rows before it and "
        "nothing else. Times without a zone are UTC; an empty value scores 0. A row that cannot be read ends the run "
        "with its line number and exit code 2. How a score comes about: docs/DETECTION.md.",
    .examples = examples,
    .min_rest = 1,
    .max_rest = 1,
    .run = run_detect,
};

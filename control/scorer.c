/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The scorer: six questions about each value, each answered as a surprise against the series' own past.
 *
 *   jump      the miss of a one-step prediction (predict.c), in units of its usual size
 *   place     the distance from the season's expectation or, without a season, from the slow level (season.c)
 *   shift     moving means of the signed misses, over 8 and 32 values: little, but again and again
 *   restless  the size of recent misses against the usual
 *   calm      the reverse
 *   stuck     how often the same value came in a row
 *
 * Each question has a tail (tail.c) that turns its magnitude into -ln p, extrapolated beyond what was seen, so heavy
 * tails, correlated noise and counts raise their own bar. A value is anomalous when any surprise exceeds ALARM, larger
 * in the first hours. What was surprising is learnt, but cut at the bar: what comes again and again stops to alarm.
 *
 * An alarm lasts while values stay out, HOLD values at most. A level that stays is then taken for the new one (all of
 * the model moves), the old one is remembered, and a return to it is no second alarm. Models learn little while it
 * lasts.
 *
 * Units: values are centred and scaled by the first WARM_UP ones, so that any unit will do. Missing values and gaps
 * widen what is expected and are no anomaly by themselves.
 */

#include "control/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "control/predict.h"
#include "control/season.h"
#include "control/tail.h"

#define WARM_UP    16u
#define ALARM      11.0
#define EARLY      20.0
#define LEARNT     0.85
#define WEARY      0.05
#define JUMPS      6u
#define BARS_EVERY 16u
#define WAIT       64u
#define LEAST_RUN  4
#define WEARY      0.05
#define JUMPS      6u
#define WAIT       64u
#define LEAST_RUN  4
#define HOLD       40u
#define GRACE      3u
#define STAY_OUT   0.45
#define MEMORY     4000.0
#define SCALE_RATE (1.0 / 300)
#define SLOW_RATE  (1.0 / 150)
#define CUT        3.0
#define SHORT_RATE (1.0 / 8)
#define AWAY_RATE  (1.0 / 12)
#define LONG_RATE  (1.0 / 32)
#define SIZE_RATE  (1.0 / 14)
#define KEEP_OLD   4000u
#define NS         1e-9

enum question { Q_JUMP, Q_PLACE, Q_SHORT, Q_LONG, Q_AWAY, Q_RESTLESS, Q_CALM, Q_STUCK, Q_COUNT };

/* What a question is about, its tail before anything was seen, and how much more surprise than ALARM it needs. */
static const struct {
    enum scorer_reason reason;
    double threshold, scale, need;
} questions[Q_COUNT] = {
    [Q_JUMP] = {SCORER_JUMP, 2.6, 0.75, 1.0},         [Q_PLACE] = {SCORER_PLACE, 2.6, 0.75, 1.0},
    [Q_SHORT] = {SCORER_SHIFT, 2.2, 0.5, 1.15},       [Q_LONG] = {SCORER_SHIFT, 2.2, 0.5, 1.25},
    [Q_RESTLESS] = {SCORER_RESTLESS, 2.2, 0.7, 1.25}, [Q_CALM] = {SCORER_CALM, 2.2, 0.5, 1.3},
    [Q_AWAY] = {SCORER_PLACE, 2.2, 0.6, 1.1},         [Q_STUCK] = {SCORER_STUCK, 2.0, 1.0, 1.0},
};

/* A jump that alarmed or would have; size 0: none. */
struct jump {
    double position, size;
};

/* Everything about a series. Invariant: all values inside are (value - centre) / unit - offset. */
struct scorer {
    uint64_t n;
    double first[WARM_UP];
    double centre, unit, quantum; /* quantum: the smallest step seen */

    double last_s, interval_s, position;
    double intervals[WARM_UP];

    double slow, slow_n;
    double miss_size, place_size; /* usual sizes */
    double short_mean, long_mean, away_mean, recent_size, usual_size, size_n;
    double place_before, place_var, place_cov; /* for the correlation of places */
    double last_value, run, repeats, breaks;
    double last_season;
    bool had_season;
    struct tail tail[Q_COUNT];
    double per_bar[Q_COUNT], far; /* 1 / bar; an outlier's magnitude of a jump */
    struct predictor predictor;

    struct jump jumps[JUMPS];
    unsigned n_jumps;
    double alarms; /* begun, fading with MEMORY */
    float waiting[WAIT][Q_COUNT];
    uint64_t place_since;   /* row in which the meaning of place changed */
    uint64_t waiting_since; /* rows before are not in waiting[] */
    uint32_t alarm_rows, quiet_rows, alarm_of_many;
    double alarm_place, alarm_spread; /* mean place during the alarm, and how far from it values were */
    double old_by;                    /* how far the level moved when it was last accepted; 0: none */
    uint32_t old_age;
    struct season season;
};

#define X(symbol, name) name,
static const char *const reason_names[SCORER_REASON_COUNT] = {SCORER_REASONS(X)};
#undef X

const char *scorer_reason_name(enum scorer_reason r)
{
    return reason_names[r];
}

struct scorer *scorer_new(void)
{
    struct scorer *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    season_init(&s->season);
    for (unsigned q = 0; q < Q_COUNT; q++)
        tail_init(&s->tail[q], questions[q].threshold, questions[q].scale, MEMORY);
    return s;
}

void scorer_free(struct scorer *s)
{
    free(s);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Middle of the positive ones, 0 when there is none. */
static double positive_median(const double *values, unsigned n)
{
    double sorted[WARM_UP];
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++) {
        if (values[i] > 0)
            sorted[kept++] = values[i];
    }
    qsort(sorted, kept, sizeof(*sorted), compare);
    return kept > 0 ? sorted[kept / 2] : 0;
}

/* Time to a position counted in usual intervals. Returns the intervals passed. */
static double advance_time(struct scorer *s, double time_s)
{
    double passed = time_s - s->last_s;

    s->last_s = time_s;
    if (s->n > 0 && s->n <= WARM_UP)
        s->intervals[s->n - 1] = passed;
    if (s->n == WARM_UP) {
        s->interval_s = positive_median(s->intervals, WARM_UP);
        if (s->interval_s > 0)
            season_set_interval(&s->season, s->interval_s);
    }
    double steps = s->interval_s > 0 && passed > 0 ? passed / s->interval_s : 1;
    if (fabs(steps - rint(steps)) < 0.15 && steps > 0.5) /* nearly regular */
        steps = rint(steps);
    s->position += steps;
    return steps;
}

static void take_first(struct scorer *s, double value)
{
    double away[WARM_UP];

    s->first[s->n] = value;
    if (s->n + 1 < WARM_UP)
        return;
    memcpy(away, s->first, sizeof(away));
    qsort(away, WARM_UP, sizeof(*away), compare);
    s->centre = away[WARM_UP / 2];
    s->unit = 0;
    for (unsigned i = 0; i < WARM_UP; i++)
        s->unit += fabs(s->first[i] - s->centre) / WARM_UP;
    if (!(s->unit > 1e-9 * fabs(s->centre)))
        s->unit = larger(fabs(s->centre) * 0.01, 1e-9);
    predictor_init(&s->predictor, 0);
    s->recent_size = s->usual_size = 1;
    s->waiting_since = 2 * WARM_UP;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : a > 0 ? 1e3 : 0;
}

struct look {
    double x, steps;
    bool season_known;
    double season, width;
    double miss, place;
    double magnitude[Q_COUNT];
    double surprise; /* the largest, in units of the bar */
    double point;    /* the largest of the questions about this very value */
    enum scorer_reason reason;
};

static void measure(struct scorer *s, struct look *l)
{
    double wide = l->width * (1 + 0.25 * smaller(8, l->steps > 1.5 ? l->steps - 1 : 0));
    double least = 0.3 * s->quantum;

    predictor_expect(&s->predictor, s->slow, l->season, s->last_season);
    l->miss = predictor_miss(&s->predictor, l->x);
    l->place = l->x - l->season;
    l->magnitude[Q_JUMP] = ratio(fabs(l->miss), larger(s->miss_size, least) * wide);
    l->magnitude[Q_PLACE] = ratio(fabs(l->place), larger(s->place_size, least) * wide);
    double q = ratio(l->miss, larger(s->miss_size, least) * wide);
    q = larger(-4, smaller(4, q));
    s->short_mean += SHORT_RATE * (q - s->short_mean);
    s->long_mean += LONG_RATE * (q - s->long_mean);
    double p = ratio(l->place, larger(s->place_size, least) * wide);
    s->away_mean += AWAY_RATE * (larger(-8, smaller(8, p)) - s->away_mean);
    l->magnitude[Q_AWAY] = fabs(s->away_mean) * 3.8;
    s->recent_size += SIZE_RATE * (fabs(q) - s->recent_size);
    l->magnitude[Q_SHORT] = fabs(s->short_mean) * 3.1; /* deviations of the mean of independent misses */
    l->magnitude[Q_LONG] = fabs(s->long_mean) * 6.3;
    double more = log(larger(s->recent_size, 1e-4) / larger(s->usual_size, 1e-4)) * 6;
    l->magnitude[Q_RESTLESS] = larger(0, more);
    l->magnitude[Q_CALM] = larger(0, -more);
    l->magnitude[Q_STUCK] = s->run;
}

/* How tired of alarms we are: the first two that a series raises cost nothing. */
static double weary(const struct scorer *s)
{
    return larger(0, s->alarms - 2);
}

/*
 * -ln P(so many repeats in a row), the chance of a repeat being known from all values so far (beta-binomial). Where
 * runs come in clusters, the lengths of past runs know better; the smaller surprise counts.
 */
static double stuck_surprise(const struct scorer *s)
{
    double again = s->run - 1;
    double before = larger(0, s->repeats - again), breaks = s->breaks + 1;

    if (s->run < LEAST_RUN)
        return 0;
    /* The product of (before + .5 + i) / (before + breaks + .5 + i), i = 0 .. again - 1 */
    double chance = lgamma(before + 0.5) - lgamma(before + 0.5 + again) + lgamma(before + breaks + 0.5 + again) -
                    lgamma(before + breaks + 0.5);
    return smaller(chance, tail_surprise(&s->tail[Q_STUCK], s->run));
}

/* The bar is higher while little was seen, and where neighbours say the same, so that n values are fewer than n. */
static double bar(const struct scorer *s, enum question q)
{
    double n = (double)s->n;
    double need = ALARM * questions[q].need * (1 + WEARY * weary(s));

    if (q == Q_PLACE || q == Q_AWAY) {
        double same = s->place_var > 0 ? larger(0, smaller(0.999, s->place_cov / s->place_var)) : 0;
        n = (double)(s->n - s->place_since) * (1 - same) / (1 + same) / (q == Q_AWAY ? 6 : 1);
    } else if (q == Q_LONG) {
        n /= 20;
    } else if (q == Q_RESTLESS || q == Q_CALM) {
        n = smaller(n, 4 * s->breaks) / 8; /* where values seldom change, sizes of steps are few */
    } else if (q != Q_JUMP) {
        n /= 8;
    }
    return need * (1 + EARLY / (n + EARLY / 2));
}

/* Bars move slowly; they are worked out anew now and then. */
static void refresh_bars(struct scorer *s)
{
    for (enum question q = 0; q < Q_COUNT; q++)
        s->per_bar[q] = 1 / bar(s, q);
    s->far = tail_magnitude(&s->tail[Q_JUMP], 0.6 * ALARM);
}

static void weigh(struct scorer *s, struct look *l)
{
    double worst = 0;

    if (s->n % BARS_EVERY == 0 || s->n < 16 * BARS_EVERY)
        refresh_bars(s);

    l->reason = SCORER_NONE;
    l->surprise = 0;
    l->point = 0;
    for (enum question q = 0; q < Q_COUNT; q++) {
        if (q >= Q_SHORT && q <= Q_CALM && s->n < 4 * WARM_UP)
            continue;
        double surprise = q == Q_STUCK ? stuck_surprise(s) : tail_surprise(&s->tail[q], l->magnitude[q]);
        surprise *= s->per_bar[q];
        if (surprise > worst) {
            worst = surprise;
            l->reason = questions[q].reason;
        }
        if (q == Q_JUMP || q == Q_PLACE || q == Q_STUCK)
            l->point = larger(l->point, surprise);
    }
    l->surprise = worst;
}

static void note_place(struct scorer *s, double place)
{
    double cut = 4 * s->place_size;
    double p = larger(-cut, smaller(cut, place));

    s->place_var += 0.005 * (p * p - s->place_var);
    s->place_cov += 0.005 * (p * s->place_before - s->place_cov);
    s->place_before = p;
}

/* Sizes follow quickly at first; a value counts for no more than the bar allows. */
static void learn_sizes(struct scorer *s, const struct look *l, double pace)
{
    double rate = larger(SCALE_RATE, 1 / (s->size_n + 1)) * pace;
    double miss = fabs(l->miss) / l->width, place = fabs(l->place) / l->width;

    s->size_n++;
    double cut = s->size_n < 12 || s->miss_size <= 0 ? INFINITY : larger(6 * s->miss_size, s->quantum);
    s->miss_size += rate * (smaller(miss, cut) - s->miss_size);
    cut = s->size_n < 12 || s->place_size <= 0 ? INFINITY : larger(6 * s->place_size, s->quantum);
    s->place_size += rate * (smaller(place, cut) - s->place_size);
    s->usual_size += rate * (smaller(l->magnitude[Q_JUMP], 4) - s->usual_size);
}

static void learn_tail(struct scorer *s, enum question q, double magnitude)
{
    if (magnitude > s->tail[q].threshold)
        magnitude = smaller(magnitude, tail_magnitude(&s->tail[q], LEARNT * ALARM * (1 + weary(s))));
    tail_learn(&s->tail[q], magnitude);
}

/* Questions about many values speak of the same thing for a while; they are learnt when that has passed. */
static void learn_tails(struct scorer *s, const struct look *l)
{
    float *waiting = s->waiting[s->n % WAIT];

    if (s->n >= s->waiting_since + WAIT) {
        for (enum question q = Q_SHORT; q <= Q_CALM; q++)
            learn_tail(s, q, (double)waiting[q]);
    }
    for (enum question q = Q_SHORT; q <= Q_CALM; q++)
        waiting[q] = (float)l->magnitude[q];
    learn_tail(s, Q_JUMP, l->magnitude[Q_JUMP]);
    learn_tail(s, Q_PLACE, l->magnitude[Q_PLACE]);
}
/* The run of equal values; its length is learnt when it ends. */
static void note_run(struct scorer *s, double x)
{
    double step = fabs(x - s->last_value);

    if (step <= 1e-12 * fabs(x)) {
        s->run++;
        s->repeats++;
        return;
    }
    s->breaks++;
    tail_learn(&s->tail[Q_STUCK], s->run);
    s->run = 1;
    s->quantum = s->quantum == 0 || step < s->quantum ? step : s->quantum;
    s->last_value = x;
}

static void learn(struct scorer *s, const struct look *l, bool in_alarm)
{
    double pace = in_alarm ? 0.25 : 1;
    double jump = l->magnitude[Q_JUMP];
    double weight = jump > CUT ? (CUT / jump) * (CUT / jump) : 1;

    s->slow_n++;
    double slow_rate = larger(SLOW_RATE, 1 / s->slow_n) * pace;
    double cut = s->size_n < 12 ? INFINITY : CUT * larger(s->place_size, s->quantum);
    s->slow += slow_rate * larger(-cut, smaller(cut, l->x - s->slow));
    if (!in_alarm || s->alarm_rows <= 1)
        learn_tails(s, l);
    note_place(s, l->place);
    learn_sizes(s, l, pace);
    double out = s->far * larger(s->miss_size, 0.3 * s->quantum) * l->width;
    predictor_learn(&s->predictor, l->x, weight * pace, s->n < 2 * WARM_UP ? INFINITY : out);
    season_learn(&s->season, l->x, s->position,
                 s->n < 4 * WARM_UP ? INFINITY : 4 * larger(s->place_size, s->quantum) * l->width);
    s->last_season = l->season;
    if (l->season_known != s->had_season) {
        s->had_season = l->season_known;
        predictor_fade(&s->predictor, 0.3);
        s->size_n = smaller(s->size_n, 60);
        tail_init(&s->tail[Q_PLACE], questions[Q_PLACE].threshold, questions[Q_PLACE].scale, MEMORY);
        tail_init(&s->tail[Q_AWAY], questions[Q_AWAY].threshold, questions[Q_AWAY].scale, MEMORY);
        s->waiting_since = s->n;
        s->away_mean = 0;
        s->place_since = s->n;
        if (l->season_known) { /* what surprised before is expected now */
            s->alarms = smaller(s->alarms, 1);
        }
        s->place_size = l->season_known ? s->season.profile[s->season.best].error : s->place_size * 2;
    }
}

static void move_level(struct scorer *s, double by)
{
    s->slow += by;
    s->last_season += by;
    season_shift(&s->season, by);
    s->place_before = 0;
    s->old_by = -by;
    s->old_age = 0;
}

static void end_alarm(struct scorer *s)
{
    s->alarm_rows = 0;
    s->quiet_rows = 0;
    s->short_mean = 0;
    s->long_mean = 0;
    s->away_mean *= 0.3;
    s->recent_size = s->usual_size;
    s->waiting_since = s->n;
}

/* The level stays where the alarm's values are, if they agree on one; the way back is remembered. */
static void accept_level(struct scorer *s)
{
    double by = s->alarm_place;

    if (fabs(by) > 1.5 * s->place_size && s->alarm_spread < 0.5 * fabs(by))
        move_level(s, by);
    end_alarm(s);
}

/*
 * A jump like one before it, a day or a week after that one or at the distance that two before it had, belongs to a
 * season that is not known yet.
 */
static bool comes_regularly(struct scorer *s, const struct look *l)
{
    struct jump now = {s->position, l->miss};
    bool regular = false;
    double day = s->interval_s > 0 ? 86400 / s->interval_s : 0;

    for (unsigned i = 0; i < JUMPS; i++) {
        const struct jump *a = &s->jumps[i];
        double apart = now.position - a->position;
        if (a->size == 0 || apart < 8 || fabs(now.size - a->size) > 0.4 * fabs(a->size))
            continue;
        double slack = 1.5 + 0.01 * apart;
        regular |= day > 8 && (fabs(apart - day) < slack || fabs(apart - 7 * day) < slack);
        for (unsigned k = 0; k < JUMPS; k++) {
            const struct jump *b = &s->jumps[k];
            regular |= b->size != 0 && fabs(now.size - b->size) < 0.4 * fabs(b->size) && b->position < a->position &&
                       fabs(a->position - b->position - apart) < slack;
        }
    }
    s->jumps[s->n_jumps++ % JUMPS] = now;
    return regular;
}

/* Whether an alarm begins with this value. */
static bool alarm_begins(struct scorer *s, const struct look *l)
{
    if (l->surprise < 1)
        return false;
    if (s->old_by != 0 && s->old_age < KEEP_OLD && fabs(l->place - s->old_by) < 2.5 * s->place_size) {
        move_level(s, s->old_by); /* back to where it was: known */
        s->old_by = 0;
        return false;
    }
    if (comes_regularly(s, l))
        return false;
    s->alarm_place = 0;
    s->alarm_spread = 0;
    s->alarm_of_many = l->reason == SCORER_SHIFT || l->reason == SCORER_RESTLESS || l->reason == SCORER_CALM;
    s->alarms++;
    return true;
}

/* True while the value belongs to an alarm. */
static bool alarm_state(struct scorer *s, const struct look *l)
{
    unsigned bins = s->season.best >= 0 ? s->season.profile[s->season.best].bins : 0;
    unsigned hold = bins < 4 * HOLD ? HOLD : bins < 16 * HOLD ? bins / 4 : 4 * HOLD;

    s->old_age++;
    s->alarms -= s->alarms / MEMORY;
    if (s->alarm_rows == 0 && !alarm_begins(s, l))
        return false;
    s->alarm_rows++;
    s->alarm_place += (l->place - s->alarm_place) / s->alarm_rows;
    s->alarm_spread += (fabs(l->place - s->alarm_place) - s->alarm_spread) / s->alarm_rows;
    bool out = s->alarm_rows == 1 || (s->alarm_of_many ? l->surprise : l->point) >= STAY_OUT;
    s->quiet_rows = out ? 0 : s->quiet_rows + 1;
    if (s->quiet_rows >= GRACE)
        end_alarm(s);
    else if (s->alarm_rows >= hold)
        accept_level(s);
    return out;
}

static double score_of(double surprise)
{
    return surprise < 1 ? 0.5 * surprise : 1 - 0.5 * exp(1 - surprise);
}

double scorer_step(struct scorer *s, int64_t time_ns, double value, enum scorer_reason *ret_reason)
{
    struct look l;

    l.width = 1;
    if (ret_reason != NULL)
        *ret_reason = SCORER_NONE;
    l.steps = advance_time(s, (double)time_ns * NS);
    if (s->n < WARM_UP) {
        take_first(s, value);
        s->n++;
        return 0;
    }
    l.x = (value - s->centre) / s->unit;
    s->n++;
    note_run(s, l.x);
    l.season = s->slow;
    l.season_known = season_expect(&s->season, s->last_s, s->position, &l.season, &l.width);
    measure(s, &l);
    weigh(s, &l);
    bool alarm = alarm_state(s, &l);
    learn(s, &l, s->alarm_rows > 0);
    double surprise = alarm ? larger(1, l.surprise) : smaller(0.98, l.surprise);
    if (ret_reason != NULL && alarm)
        *ret_reason = l.reason;
    return score_of(surprise);
}

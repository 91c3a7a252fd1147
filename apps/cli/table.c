/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rows to text: the only place that lays out a table.
 *
 * Values stay raw (ns, us, bytes, percent) until the last moment, so that sorting, --json and --plain never see
 * a rounded number. For people each value is formatted once into a cell; then the columns get their width: the
 * natural one if the terminal has room. If not, texts are shortened and columns left out by their rank (fit_width), and
 * a last line says so.
 *
 * Numbers are aligned right and never shortened: half a number is a wrong number. A value that is not known is "-".
 * Text may come from packets: every string goes through text_escape before it is measured or printed.
 *
 * --plain prints raw values separated by tabs under a header line, --json one object per line.
 */

#include "apps/cli/table.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"

#define GAP         2u
#define TEXT_MIN    10u
#define CELL_BYTES  1024u
#define MAX_COLUMNS 64u

struct cell {
    char *text;
    enum term_style style;
};

/* Lives during one table_print. Invariant: cells has n_rows * n entries. */
struct layout {
    const struct column *column[MAX_COLUMNS];
    size_t width[MAX_COLUMNS];
    size_t n, n_rows, n_hidden;
    struct cell *cells;
};

size_t column_count(const struct column *columns)
{
    size_t n = 0;

    while (columns[n].name != NULL)
        n++;
    return n;
}

const struct column *column_find(const struct column *columns, const char *name)
{
    for (; columns->name != NULL; columns++)
        if (strcmp(columns->name, name) == 0)
            return columns;
    return NULL;
}

const json_t *row_value(const json_t *row, const char *key)
{
    char part[64];

    while (row != NULL) {
        size_t n = strcspn(key, ".");
        if (n >= sizeof(part))
            return NULL;
        memcpy(part, key, n);
        part[n] = '\0';
        row = json_object_get(row, part);
        if (key[n] == '\0')
            break;
        key += n + 1;
    }
    return json_is_null(row) ? NULL : row;
}

static bool align_right(enum column_format format)
{
    static const bool right[COLUMN_FORMAT_COUNT] = {
#define X(name, right) right,
        COLUMN_FORMATS(X)
#undef X
    };
    return right[format];
}

/* Words that deserve a colour, wherever they come from. */
static enum term_style word_style(const char *word)
{
    static const struct {
        const char *word;
        enum term_style style;
    } words[] = {
        {"critical", STYLE_BAD}, {"major", STYLE_BAD},      {"blind", STYLE_BAD},     {"dead", STYLE_BAD},
        {"open", STYLE_BAD},     {"minor", STYLE_WARN},     {"unsure", STYLE_WARN},   {"pending", STYLE_WARN},
        {"acked", STYLE_WARN},   {"candidate", STYLE_WARN}, {"in_doubt", STYLE_WARN}, {"stale", STYLE_WARN},
        {"ok", STYLE_GOOD},      {"closed", STYLE_GOOD},    {"cleared", STYLE_GOOD},  {"done", STYLE_GOOD},
        {"live", STYLE_GOOD},    {"confirmed", STYLE_BAD},  {"sent", STYLE_GOOD},     {"info", STYLE_DIM},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(words[i].word, word) == 0)
            return words[i].style;
    return STYLE_PLAIN;
}

static uint64_t whole(double v)
{
    return v <= 0 ? 0 : v >= 1.8e19 ? UINT64_MAX : (uint64_t)v;
}

/* Integers keep all their bits: a time in ns does not fit a double. */
static uint64_t unsigned_of(const json_t *value)
{
    if (json_is_integer(value))
        return json_integer_value(value) < 0 ? 0 : (uint64_t)json_integer_value(value);
    return whole(json_number_value(value));
}

static enum term_style format_number(char *buf, size_t size, enum column_format format, const json_t *value, bool utc)
{
    double v = json_number_value(value);

    switch (format) {
    case COLUMN_COUNT:
        format_count(buf, size, unsigned_of(value));
        return STYLE_PLAIN;
    case COLUMN_BYTES:
        format_bytes(buf, size, unsigned_of(value));
        return STYLE_PLAIN;
    case COLUMN_RATE:
        format_rate_bits(buf, size, v);
        return STYLE_PLAIN;
    case COLUMN_LATENCY:
        format_latency_us(buf, size, v);
        return STYLE_PLAIN;
    case COLUMN_DURATION:
        format_duration(buf, size, unsigned_of(value));
        return STYLE_PLAIN;
    case COLUMN_TIME:
        format_time(buf, size, unsigned_of(value), utc);
        return STYLE_PLAIN;
    case COLUMN_PERCENT:
    case COLUMN_LOSS:
        format_percent(buf, size, v, 100);
        if (format == COLUMN_PERCENT)
            return STYLE_PLAIN;
        return v >= 1 ? STYLE_BAD : v >= 0.1 ? STYLE_WARN : STYLE_PLAIN;
    case COLUMN_TEXT:
    case COLUMN_NAME:
    case COLUMN_STATE:
    case COLUMN_YESNO:
    case COLUMN_FORMAT_COUNT:
        break;
    }
    if (json_is_integer(value))
        snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(buf, size, "%g", v);
    return STYLE_PLAIN;
}

enum term_style table_format(char *buf, size_t size, enum column_format format, const json_t *value, bool utc)
{
    if (value == NULL || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0)) {
        snprintf(buf, size, "-");
        return STYLE_DIM;
    }
    if (json_is_number(value))
        return format_number(buf, size, format, value, utc);
    if (json_is_boolean(value)) {
        snprintf(buf, size, "%s", json_is_true(value) ? "yes" : "no");
        return STYLE_PLAIN;
    }
    if (json_is_string(value)) {
        text_escape(buf, size, json_string_value(value), json_string_length(value));
        return format == COLUMN_STATE ? word_style(buf) : STYLE_PLAIN;
    }
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    text_escape(buf, size, dump ? dump : "", dump ? strlen(dump) : 0);
    free(dump);
    return STYLE_PLAIN;
}

/* ---- which columns, in which order, which rows ---- */

static int unknown_column(const struct column *columns, const char *name, size_t len, struct error *e)
{
    char list[160] = "", safe[64];
    size_t used = 0;

    for (; columns->name != NULL && used + 2 < sizeof(list); columns++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? " " : "", columns->name);
    text_escape(safe, sizeof(safe), name, len);
    return error_set(e, -EINVAL, "no column '%s'; there are: %s", safe, list);
}

static int add_column(struct layout *l, const struct column *columns, const char *name, size_t len, struct error *e)
{
    char text[64];

    snprintf(text, sizeof(text), "%.*s", (int)len, name);
    const struct column *c = column_find(columns, text);
    if (c == NULL || l->n == MAX_COLUMNS)
        return unknown_column(columns, name, len, e);
    l->column[l->n++] = c;
    return 0;
}

static int choose_columns(struct layout *l, const struct column *columns, const struct table_view *view,
                          struct error *e)
{
    if (view->columns == NULL || strcmp(view->columns, "all") == 0) {
        for (; columns->name != NULL && l->n < MAX_COLUMNS; columns++)
            if (view->columns != NULL || columns->rank != COLUMN_EXTRA)
                l->column[l->n++] = columns;
        return 0;
    }
    for (const char *p = view->columns; *p != '\0';) {
        size_t len = strcspn(p, ",");
        int r = add_column(l, columns, p, len, e);
        if (r < 0)
            return r;
        p += len + (p[len] == ',');
    }
    return l->n > 0 ? 0 : error_set(e, -EINVAL, "--columns names no column");
}

static const struct column *sort_column(const struct column *columns, const struct table_view *view, bool *ret_down)
{
    *ret_down = view->sort[0] == '-';
    return column_find(columns, view->sort + *ret_down);
}

int table_check(const struct column *columns, const struct table_view *view, struct error *e)
{
    struct layout l = {0};
    bool down;
    int r = choose_columns(&l, columns, view, e);

    if (r == 0 && view->sort != NULL && sort_column(columns, view, &down) == NULL)
        return unknown_column(columns, view->sort + down, strlen(view->sort + down), e);
    return r;
}

struct sort_order {
    const char *key;
    bool down;
};

/* Unknown values come last in either direction. */
static int compare_rows(const void *a, const void *b, void *ctx)
{
    const struct sort_order *order = ctx;
    const json_t *x = row_value(*(json_t *const *)a, order->key), *y = row_value(*(json_t *const *)b, order->key);
    int c;

    if (x == NULL || y == NULL)
        return (x == NULL) - (y == NULL);
    if (json_is_integer(x) && json_is_integer(y))
        c = (json_integer_value(x) > json_integer_value(y)) - (json_integer_value(x) < json_integer_value(y));
    else if (json_is_number(x) && json_is_number(y))
        c = (json_number_value(x) > json_number_value(y)) - (json_number_value(x) < json_number_value(y));
    else if (json_is_string(x) && json_is_string(y))
        c = strcmp(json_string_value(x), json_string_value(y));
    else
        c = (int)json_typeof(x) - (int)json_typeof(y);
    return order->down ? -c : c;
}

/* Borrowed row pointers in display order; free the array only. */
static json_t **ordered_rows(const struct column *columns, json_t *rows, const struct table_view *view, size_t *ret_n)
{
    size_t n = json_array_size(rows);
    json_t **list = calloc(n + 1, sizeof(*list));

    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        list[i] = json_array_get(rows, i);
    if (view->sort != NULL) {
        struct sort_order order;
        order.key = sort_column(columns, view, &order.down)->key;
        qsort_r(list, n, sizeof(*list), compare_rows, &order);
    }
    *ret_n = view->limit > 0 && view->limit < n ? view->limit : n;
    return list;
}

/* ---- for programs ---- */

static void print_json(FILE *out, const struct layout *l, const json_t *row, bool project)
{
    if (!project) {
        json_dumpf(row, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
        fputc('\n', out);
        return;
    }
    json_t *part = json_object();
    for (size_t i = 0; i < l->n; i++) {
        const json_t *value = row_value(row, l->column[i]->key);
        json_object_set_new(part, l->column[i]->name, value ? json_deep_copy(value) : json_null());
    }
    json_dumpf(part, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', out);
    json_decref(part);
}

static void print_plain_value(FILE *out, enum column_format format, const json_t *value)
{
    char buf[CELL_BYTES];

    if (format == COLUMN_TIME && json_is_number(value))
        format_time(buf, sizeof(buf), unsigned_of(value), true);
    else if (json_is_integer(value))
        snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(buf, sizeof(buf), "%.15g", json_real_value(value));
    else
        table_format(buf, sizeof(buf), format, value, true);
    fputs(buf, out);
}

static void print_for_programs(FILE *out, const struct layout *l, json_t **rows, const struct table_view *view)
{
    bool json = view->mode == TABLE_JSON;

    for (size_t c = 0; !json && c < l->n; c++)
        fprintf(out, "%s%s", c ? "\t" : "", l->column[c]->name);
    if (!json)
        fputc('\n', out);
    for (size_t r = 0; r < l->n_rows; r++) {
        if (json) {
            print_json(out, l, rows[r], view->columns != NULL);
            continue;
        }
        for (size_t c = 0; c < l->n; c++) {
            if (c)
                fputc('\t', out);
            print_plain_value(out, l->column[c]->format, row_value(rows[r], l->column[c]->key));
        }
        fputc('\n', out);
    }
}

/* ---- for people ---- */

static int make_cells(struct layout *l, json_t **rows, bool utc)
{
    char buf[CELL_BYTES];

    l->cells = calloc(l->n_rows * l->n + 1, sizeof(*l->cells));
    if (l->cells == NULL)
        return -ENOMEM;
    for (size_t c = 0; c < l->n; c++)
        l->width[c] = text_width(l->column[c]->header);
    for (size_t r = 0; r < l->n_rows; r++) {
        for (size_t c = 0; c < l->n; c++) {
            struct cell *cell = &l->cells[r * l->n + c];
            const struct column *col = l->column[c];
            cell->style = table_format(buf, sizeof(buf), col->format, row_value(rows[r], col->key), utc);
            cell->text = strdup(buf);
            if (cell->text == NULL)
                return -ENOMEM;
            size_t w = text_width(buf);
            if (w > l->width[c])
                l->width[c] = w;
        }
    }
    return 0;
}

static bool is_shown(const struct layout *l, size_t c)
{
    return l->width[c] > 0;
}

static size_t total_width(const struct layout *l, const struct table_view *view)
{
    size_t total = view->indent, shown = 0;

    for (size_t c = 0; c < l->n; c++) {
        total += l->width[c];
        shown += is_shown(l, c);
    }
    return total + (shown > 0 ? (shown - 1) * GAP : 0);
}

/* The widest text column that can still shrink, or n. */
static size_t widest_text(const struct layout *l)
{
    size_t best = l->n, width = TEXT_MIN;

    for (size_t c = 0; c < l->n; c++) {
        enum column_format f = l->column[c]->format;
        if ((f == COLUMN_TEXT || f == COLUMN_NAME) && l->width[c] > width) {
            best = c;
            width = l->width[c];
        }
    }
    return best;
}

/* The shown column of the highest rank (the rightmost of these), or n. */
static size_t least_needed(const struct layout *l)
{
    size_t best = l->n;
    unsigned rank = 1;

    for (size_t c = 0; c < l->n; c++) {
        if (is_shown(l, c) && l->column[c]->rank >= rank) {
            best = c;
            rank = l->column[c]->rank;
        }
    }
    return best;
}

/*
 * Too wide? In this order: texts give up what they have above a third of the terminal, columns of rank 5 and more go,
 * texts shrink to TEXT_MIN, the other ranked columns go. A table of stumps tells less than one without its last
 * columns.
 */
static void fit_width(struct layout *l, const struct table_view *view)
{
    if (view->width == 0)
        return;
    while (total_width(l, view) > view->width) {
        size_t text = widest_text(l), column = least_needed(l);
        bool text_is_long = text < l->n && l->width[text] > view->width / 3;
        if (text < l->n && (text_is_long || column == l->n || l->column[column]->rank < 5)) {
            l->width[text]--;
        } else if (column < l->n) {
            l->width[column] = 0;
            l->n_hidden++;
        } else {
            break;
        }
    }
}

static void put_spaces(FILE *out, size_t n)
{
    fprintf(out, "%*s", (int)n, "");
}

/* One cell, padded on the right side for its column; the last column gets no trailing blanks. */
static void put_cell(FILE *out, const struct layout *l, size_t c, const char *text, enum term_style style, bool colour,
                     bool last)
{
    enum text_cut cut = l->column[c]->format == COLUMN_NAME ? CUT_MIDDLE : CUT_END;
    char *fitted = text_fit(text, l->width[c], cut);

    if (fitted == NULL)
        return;
    size_t pad = l->width[c] - text_width(fitted);
    bool right = align_right(l->column[c]->format);
    if (right)
        put_spaces(out, pad);
    term_put(out, colour, style, fitted);
    if (!right && !last)
        put_spaces(out, pad);
    free(fitted);
}

/* row == n_rows prints the header. */
static void put_line(FILE *out, const struct layout *l, size_t row, const struct table_view *view)
{
    size_t last = 0;
    bool first = true;

    for (size_t c = 0; c < l->n; c++)
        if (is_shown(l, c))
            last = c;
    put_spaces(out, view->indent);
    for (size_t c = 0; c < l->n; c++) {
        if (!is_shown(l, c))
            continue;
        if (!first)
            put_spaces(out, GAP);
        first = false;
        if (row == l->n_rows)
            put_cell(out, l, c, l->column[c]->header, STYLE_BOLD, view->colour, c == last);
        else
            put_cell(out, l, c, l->cells[row * l->n + c].text, l->cells[row * l->n + c].style, view->colour, c == last);
    }
    fputc('\n', out);
}

static int print_for_people(FILE *out, struct layout *l, json_t **rows, const struct table_view *view)
{
    int r = make_cells(l, rows, view->utc);

    if (r == 0) {
        fit_width(l, view);
        put_line(out, l, l->n_rows, view);
        for (size_t row = 0; row < l->n_rows; row++)
            put_line(out, l, row, view);
    }
    for (size_t i = 0; l->cells != NULL && i < l->n_rows * l->n; i++)
        free(l->cells[i].text);
    free(l->cells);
    return r;
}

/* What is not shown, and how to see it; nothing when all is. */
static void put_note(FILE *out, const struct layout *l, size_t rows_left_out, const struct table_view *view)
{
    char note[160] = "";
    size_t n = 0;

    if (rows_left_out > 0)
        n += (size_t)snprintf(note, sizeof(note), "%zu more row%s: --limit 0. ", rows_left_out,
                              rows_left_out == 1 ? "" : "s");
    if (l->n_hidden > 0)
        snprintf(note + n, sizeof(note) - n, "%zu column%s left out: wider terminal or --columns.", l->n_hidden,
                 l->n_hidden == 1 ? "" : "s");
    if (*note == '\0')
        return;
    put_spaces(out, view->indent);
    term_put(out, view->colour, STYLE_DIM, note);
    fputc('\n', out);
}

int table_print(FILE *out, const struct column *columns, json_t *rows, const struct table_view *view, struct error *e)
{
    struct layout l = {0};
    int r = table_check(columns, view, e);

    if (r < 0)
        return r;
    choose_columns(&l, columns, view, e);
    json_t **list = ordered_rows(columns, rows, view, &l.n_rows);
    if (list == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    if (view->mode == TABLE_HUMAN) {
        r = print_for_people(out, &l, list, view);
        if (r < 0)
            error_set(e, r, "out of memory");
        if (!view->no_note)
            put_note(out, &l, json_array_size(rows) - l.n_rows + view->n_unseen, view);
    } else {
        print_for_programs(out, &l, list, view);
    }
    free(list);
    return r;
}

/* ---- one row ---- */

/* One escaped line, folded at blanks to fit between indent and width; what is laid out with blanks stays as it is. */
static void put_folded(FILE *out, const char *line, size_t indent, unsigned width)
{
    bool keep = width == 0 || strstr(line + strspn(line, " "), "  ") != NULL;
    size_t column = indent, hang = indent + strspn(line, " ");

    for (bool first = true; *line != '\0'; first = false) {
        size_t n = first ? strspn(line, " ") : 0;
        n += strcspn(line + n, " ");
        char *word = strndup(line, n);
        size_t w = word != NULL ? text_width(word) : 0;
        if (!first && !keep && column + 1 + w > width) {
            fprintf(out, "\n%*s", (int)hang, "");
            column = hang;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fputs(word != NULL ? word : "", out);
        free(word);
        column += w;
        line += n + (line[n] == ' ');
    }
    fputc('\n', out);
}

/* A text of several lines, each escaped, the later ones indented. */
static void put_lines(FILE *out, const char *text, size_t indent, unsigned width)
{
    char line[CELL_BYTES];

    for (bool first = true; *text != '\0'; first = false) {
        size_t n = strcspn(text, "\n");
        text_escape(line, sizeof(line), text, n);
        if (!first && n > 0)
            put_spaces(out, indent);
        put_folded(out, line, indent, width);
        text += n + (text[n] == '\n');
    }
}

/* A name and its value; a text of several lines starts on a line of its own. */
static void put_field(FILE *out, const struct column *column, const json_t *value, size_t name_width,
                      const struct table_view *view)
{
    const char *text = json_string_value(value);
    bool several = text != NULL && strchr(text, '\n') != NULL;
    char buf[CELL_BYTES];

    term_put(out, view->colour, STYLE_BOLD, column->header);
    if (column->format == COLUMN_TEXT && text != NULL && *text != '\0') {
        size_t indent = several ? GAP : name_width + GAP;
        if (several)
            fputc('\n', out);
        put_spaces(out, several ? indent : indent - text_width(column->header));
        put_lines(out, text, indent, view->width);
        return;
    }
    put_spaces(out, name_width + GAP - text_width(column->header));
    enum term_style style = table_format(buf, sizeof(buf), column->format, value, view->utc);
    term_put(out, view->colour, style, buf);
    fputc('\n', out);
}

int table_print_record(FILE *out, const struct column *columns, const json_t *row, const struct table_view *view,
                       struct error *e)
{
    struct layout l = {0};
    struct table_view all = *view;
    size_t width = 0;

    if (all.columns == NULL)
        all.columns = "all";
    int r = choose_columns(&l, columns, &all, e);
    for (size_t c = 0; r == 0 && c < l.n; c++)
        if (text_width(l.column[c]->header) > width)
            width = text_width(l.column[c]->header);
    for (size_t c = 0; r == 0 && c < l.n; c++)
        put_field(out, l.column[c], row_value(row, l.column[c]->key), width, view);
    return r;
}

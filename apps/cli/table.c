/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rows to text: the only place that lays out a table. What one value looks like is table_value.c's.
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
#include <inttypes.h>
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
    size_t at; /* where its text starts in layout.text */
    uint32_t width;
    enum term_style style;
};

/* Lives during one table_print. Invariant: cells has n_rows * n entries; row has n_rows numbers of rows. */
struct layout {
    const struct table_rows *rows;
    size_t *row;
    const struct column *column[MAX_COLUMNS];
    size_t width[MAX_COLUMNS];
    size_t n, n_rows, n_hidden;
    struct cell *cells;
    char *text; /* of all cells, each with its end */
    size_t text_len, text_size;
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
    const struct table_rows *rows;
    const struct column *column;
    bool down;
};

static int compare_rows(const void *a, const void *b, void *ctx)
{
    const struct sort_order *o = ctx;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    struct table_value x = o->rows->value(o->rows->ctx, i, o->column), y = o->rows->value(o->rows->ctx, j, o->column);
    int c = table_value_compare(&x, &y, o->down);

    return c != 0 ? c : (i > j) - (i < j);
}

/* Numbers of the rows in display order, and how many of them are shown. */
static int order_rows(struct layout *l, const struct column *columns, const struct table_view *view)
{
    size_t n = l->rows->n;

    l->row = calloc(n + 1, sizeof(*l->row));
    if (l->row == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        l->row[i] = i;
    if (view->sort != NULL) {
        struct sort_order order = {.rows = l->rows};
        order.column = sort_column(columns, view, &order.down);
        qsort_r(l->row, n, sizeof(*l->row), compare_rows, &order);
    }
    l->n_rows = view->limit > 0 && view->limit < n ? view->limit : n;
    return 0;
}

/* ---- for programs ---- */

static int print_json(FILE *out, const struct layout *l, size_t row_number, bool project)
{
    json_t *row = l->rows->json(l->rows->ctx, row_number), *part;

    if (row == NULL)
        return -ENOMEM;
    if (project) {
        part = json_object();
        for (size_t i = 0; i < l->n; i++) {
            const json_t *value = row_value(row, l->column[i]->key);
            json_object_set_new(part, l->column[i]->name, value ? json_deep_copy(value) : json_null());
        }
        json_decref(row);
        row = part;
    }
    json_dumpf(row, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', out);
    json_decref(row);
    return 0;
}

static void print_plain_value(FILE *out, enum column_format format, const struct table_value *v)
{
    char buf[CELL_BYTES];

    if (format == COLUMN_TIME && v->kind == TABLE_WHOLE)
        format_time(buf, sizeof(buf), v->whole < 0 ? 0 : (uint64_t)v->whole, true);
    else if (v->kind == TABLE_WHOLE)
        snprintf(buf, sizeof(buf), "%" PRId64, v->whole);
    else if (v->kind == TABLE_REAL)
        snprintf(buf, sizeof(buf), "%.15g", v->real);
    else
        table_format_value(buf, sizeof(buf), format, v, true);
    fputs(buf, out);
}

static int print_for_programs(FILE *out, const struct layout *l, const struct table_view *view)
{
    bool json = view->mode == TABLE_JSON;
    int r = 0;

    for (size_t c = 0; !json && c < l->n; c++)
        fprintf(out, "%s%s", c ? "\t" : "", l->column[c]->name);
    if (!json)
        fputc('\n', out);
    for (size_t i = 0; i < l->n_rows && r == 0; i++) {
        if (json) {
            r = print_json(out, l, l->row[i], view->columns != NULL);
            continue;
        }
        for (size_t c = 0; c < l->n; c++) {
            struct table_value v = l->rows->value(l->rows->ctx, l->row[i], l->column[c]);
            if (c)
                fputc('\t', out);
            print_plain_value(out, l->column[c]->format, &v);
        }
        fputc('\n', out);
    }
    return r;
}

/* ---- for people ---- */

/* Room for one text more, the longest possible. */
static int text_room(struct layout *l)
{
    if (l->text_len + CELL_BYTES <= l->text_size)
        return 0;
    size_t size = l->text_size != 0 ? 2 * l->text_size : 16 * CELL_BYTES;
    char *text = realloc(l->text, size);
    if (text == NULL)
        return -ENOMEM;
    l->text = text;
    l->text_size = size;
    return 0;
}

static int make_cells(struct layout *l, bool utc)
{
    l->cells = calloc(l->n_rows * l->n + 1, sizeof(*l->cells));
    if (l->cells == NULL)
        return -ENOMEM;
    for (size_t c = 0; c < l->n; c++)
        l->width[c] = text_width(l->column[c]->header);
    for (size_t r = 0; r < l->n_rows; r++) {
        for (size_t c = 0; c < l->n; c++) {
            struct cell *cell = &l->cells[r * l->n + c];
            const struct column *col = l->column[c];
            struct table_value v = l->rows->value(l->rows->ctx, l->row[r], col);
            if (text_room(l) != 0)
                return -ENOMEM;
            char *text = l->text + l->text_len;
            cell->at = l->text_len;
            cell->style = table_format_value(text, CELL_BYTES, col->format, &v, utc);
            cell->width = (uint32_t)text_width(text);
            l->text_len += strlen(text) + 1;
            if (cell->width > l->width[c])
                l->width[c] = cell->width;
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
    static const char blanks[] = "                                                                ";

    for (; n >= sizeof(blanks) - 1; n -= sizeof(blanks) - 1)
        fwrite(blanks, 1, sizeof(blanks) - 1, out);
    fwrite(blanks, 1, n, out);
}

/* One cell, padded on the right side for its column; the last column gets no trailing blanks. */
static void put_cell(FILE *out, const struct layout *l, size_t c, const char *text, size_t width, enum term_style style,
                     bool colour, bool last)
{
    enum text_cut cut = l->column[c]->format == COLUMN_NAME ? CUT_MIDDLE : CUT_END;
    char *fitted = width > l->width[c] ? text_fit(text, l->width[c], cut) : NULL;
    bool right = align_right(l->column[c]->format);

    if (width > l->width[c] && fitted == NULL)
        return;
    size_t pad = l->width[c] - (fitted != NULL ? text_width(fitted) : width);
    if (right)
        put_spaces(out, pad);
    term_put(out, colour, style, fitted != NULL ? fitted : text);
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
        const char *header = l->column[c]->header;
        const struct cell *cell = &l->cells[row * l->n + c];
        if (row == l->n_rows)
            put_cell(out, l, c, header, text_width(header), STYLE_BOLD, view->colour, c == last);
        else
            put_cell(out, l, c, l->text + cell->at, cell->width, cell->style, view->colour, c == last);
    }
    fputc('\n', out);
}

static int print_for_people(FILE *out, struct layout *l, const struct table_view *view)
{
    int r = make_cells(l, view->utc);

    if (r == 0) {
        fit_width(l, view);
        put_line(out, l, l->n_rows, view);
        for (size_t row = 0; row < l->n_rows; row++)
            put_line(out, l, row, view);
    }
    free(l->cells);
    free(l->text);
    return r;
}

/* What is not shown, and how to see it; nothing when all is. */
static void put_note(FILE *out, const struct layout *l, size_t rows_left_out, const struct table_view *view)
{
    char note[160] = "";
    size_t n = 0;

    if (rows_left_out > 0)
        n += (size_t)snprintf(note, sizeof(note), "%zu more row%s: --limit 0.%s", rows_left_out,
                              rows_left_out == 1 ? "" : "s", l->n_hidden > 0 ? " " : "");
    if (l->n_hidden > 0)
        snprintf(note + n, sizeof(note) - n, "%zu column%s left out: wider terminal or --columns.", l->n_hidden,
                 l->n_hidden == 1 ? "" : "s");
    if (*note == '\0')
        return;
    put_spaces(out, view->indent);
    term_put(out, view->colour, STYLE_DIM, note);
    fputc('\n', out);
}

int table_print_rows(FILE *out, const struct column *columns, const struct table_rows *rows,
                     const struct table_view *view, struct error *e)
{
    struct layout l = {.rows = rows};
    int r = table_check(columns, view, e);

    if (r < 0)
        return r;
    choose_columns(&l, columns, view, e);
    r = order_rows(&l, columns, view);
    if (r == 0 && view->mode == TABLE_HUMAN) {
        r = print_for_people(out, &l, view);
        if (!view->no_note)
            put_note(out, &l, rows->n - l.n_rows + view->n_unseen, view);
    } else if (r == 0) {
        r = print_for_programs(out, &l, view);
    }
    free(l.row);
    return r == 0 ? 0 : error_set(e, r, "out of memory");
}

static struct table_value json_row_value(const void *ctx, size_t row, const struct column *c)
{
    return table_value_of(row_value(json_array_get(ctx, row), c->key));
}

static json_t *json_row(const void *ctx, size_t row)
{
    return json_incref(json_array_get(ctx, row));
}

int table_print(FILE *out, const struct column *columns, json_t *rows, const struct table_view *view, struct error *e)
{
    const struct table_rows all = {.n = json_array_size(rows), .ctx = rows, .value = json_row_value, .json = json_row};

    return table_print_rows(out, columns, &all, view, e);
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

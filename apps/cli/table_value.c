/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One value as people see it, and which of two comes first. Values are whole numbers, real ones, texts or whatever JSON
 * holds beside them; what a number means (bytes, microseconds, percent) is the column's format.
 *
 * Whole numbers keep all their bits: a time in ns does not fit a double. Every text is escaped here.
 */

#include "apps/cli/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"

struct table_value table_value_of(const json_t *v)
{
    struct table_value ret = {.kind = TABLE_NOTHING};

    if (v == NULL)
        return ret;
    switch (json_typeof(v)) {
    case JSON_NULL:
        break;
    case JSON_INTEGER:
        ret.kind = TABLE_WHOLE;
        ret.whole = json_integer_value(v);
        break;
    case JSON_REAL:
        ret.kind = TABLE_REAL;
        ret.real = json_real_value(v);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        ret.kind = TABLE_YESNO;
        ret.yes = json_is_true(v);
        break;
    case JSON_STRING:
        ret.kind = TABLE_TEXT;
        ret.text.at = json_string_value(v);
        ret.text.len = json_string_length(v);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        ret.kind = TABLE_OTHER;
        ret.other = v;
        break;
    }
    return ret;
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

static double real_of(const struct table_value *v)
{
    return v->kind == TABLE_WHOLE ? (double)v->whole : v->real;
}

static uint64_t unsigned_of(const struct table_value *v)
{
    if (v->kind == TABLE_WHOLE)
        return v->whole < 0 ? 0 : (uint64_t)v->whole;
    return v->real <= 0 ? 0 : v->real >= 1.8e19 ? UINT64_MAX : (uint64_t)v->real;
}

static enum term_style format_number(char *buf, size_t size, enum column_format format, const struct table_value *value,
                                     bool utc)
{
    double v = real_of(value);

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
    if (value->kind == TABLE_WHOLE)
        snprintf(buf, size, "%" PRId64, value->whole);
    else
        snprintf(buf, size, "%g", v);
    return STYLE_PLAIN;
}

enum term_style table_format_value(char *buf, size_t size, enum column_format format, const struct table_value *value,
                                   bool utc)
{
    switch (value->kind) {
    case TABLE_WHOLE:
    case TABLE_REAL:
        return format_number(buf, size, format, value, utc);
    case TABLE_YESNO:
        snprintf(buf, size, "%s", value->yes ? "yes" : "no");
        return STYLE_PLAIN;
    case TABLE_TEXT:
        if (value->text.len == 0)
            break;
        text_escape(buf, size, value->text.at, value->text.len);
        return format == COLUMN_STATE ? word_style(buf) : STYLE_PLAIN;
    case TABLE_OTHER: {
        char *dump = json_dumps(value->other, JSON_COMPACT | JSON_ENCODE_ANY);
        text_escape(buf, size, dump ? dump : "", dump ? strlen(dump) : 0);
        free(dump);
        return STYLE_PLAIN;
    }
    case TABLE_NOTHING:
        break;
    }
    snprintf(buf, size, "-");
    return STYLE_DIM;
}

enum term_style table_format(char *buf, size_t size, enum column_format format, const json_t *value, bool utc)
{
    struct table_value v = table_value_of(value);

    return table_format_value(buf, size, format, &v, utc);
}

int table_value_compare(const struct table_value *a, const struct table_value *b, bool down)
{
    bool a_number = a->kind == TABLE_WHOLE || a->kind == TABLE_REAL;
    bool b_number = b->kind == TABLE_WHOLE || b->kind == TABLE_REAL;
    int c;

    if (a->kind == TABLE_NOTHING || b->kind == TABLE_NOTHING)
        return (a->kind == TABLE_NOTHING) - (b->kind == TABLE_NOTHING);
    if (a->kind == TABLE_WHOLE && b->kind == TABLE_WHOLE)
        c = (a->whole > b->whole) - (a->whole < b->whole);
    else if (a_number && b_number)
        c = (real_of(a) > real_of(b)) - (real_of(a) < real_of(b));
    else if (a->kind == TABLE_TEXT && b->kind == TABLE_TEXT)
        c = strcmp(a->text.at, b->text.at);
    else
        c = (int)a->kind - (int)b->kind;
    return down ? -c : c;
}

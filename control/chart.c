/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two charts, each one walk into a string (open_memstream).
 *
 * The week: a cell's shade is its count against the largest; the count stands in it, so that nothing is told by colour
 * alone. The values: bars from zero, which is the only honest base for a bar, against the largest of value and
 * expected; a line across the bar is what was expected. Shades have enough contrast for print without colours.
 *
 * Sizes are fixed (760 × 236, 760 × 260) and scale with the page (viewBox).
 */

#include "control/chart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/content.h"
#include "control/localtime.h"

#define WEEK_CELL_W  28
#define WEEK_CELL_H  24
#define WEEK_LEFT    60
#define WEEK_TOP     48
#define VALUE_LEFT   70
#define VALUE_TOP    40
#define VALUE_WIDTH  670
#define VALUE_HEIGHT 150
#define TITLE_CHARS  110u

static void escaped(FILE *out, const char *text)
{
    content_xml(out, text, strlen(text));
}

static void head(FILE *out, int width, int height, const char *title)
{
    char line[512];

    content_clip(content_value(line, sizeof(line), title), TITLE_CHARS);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"10\" y=\"18\" font-size=\"13\">",
            width, height, width, height);
    escaped(out, line);
    fputs("</text>\n", out);
}

static char *finish(FILE *out, char **text)
{
    fputs("</svg>\n", out);
    if (fclose(out) == 0)
        return *text;
    free(*text);
    return NULL;
}

/* --- the week --- */

static void week_cell(FILE *out, unsigned day, unsigned hour, unsigned count, unsigned most)
{
    double share = most > 0 ? (double)count / most : 0;
    int shade = count == 0 ? 245 : (int)(225 - 165 * share);
    unsigned x = WEEK_LEFT + hour * WEEK_CELL_W, y = WEEK_TOP + day * WEEK_CELL_H;

    fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" fill=\"rgb(%d,%d,%d)\" stroke=\"#fff\"/>\n", x, y,
            WEEK_CELL_W, WEEK_CELL_H, count == 0 ? 245 : 200, shade, shade);
    if (count > 0)
        fprintf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"middle\" fill=\"%s\">%u</text>\n", x + WEEK_CELL_W / 2,
                y + 16, share > 0.6 ? "#fff" : "#000", count);
}

char *chart_week(const char *title, const struct chart_point *point, size_t n)
{
    unsigned count[HOURS_PER_WEEK] = {0}, most = 0;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        for (unsigned h = 0; h < point[i].hours && h < HOURS_PER_WEEK; h++)
            count[(point[i].hour_of_week + h) % HOURS_PER_WEEK]++;
    }
    for (unsigned h = 0; h < HOURS_PER_WEEK; h++)
        most = count[h] > most ? count[h] : most;
    head(out, WEEK_LEFT + 24 * WEEK_CELL_W + 28, WEEK_TOP + 7 * WEEK_CELL_H + 20, title);
    for (unsigned h = 0; h <= 24; h += 3)
        fprintf(out, "<text x=\"%u\" y=\"40\" text-anchor=\"middle\">%02u</text>\n", WEEK_LEFT + h * WEEK_CELL_W, h);
    for (unsigned day = 0; day < 7; day++) {
        fprintf(out, "<text x=\"10\" y=\"%u\">%.3s</text>\n", WEEK_TOP + day * WEEK_CELL_H + 16,
                weekday_name((uint8_t)day));
        for (unsigned h = 0; h < 24; h++)
            week_cell(out, day, h, count[day * 24 + h], most);
    }
    return finish(out, &text);
}

/* --- the values --- */

const char *chart_value_text(char buf[CHART_VALUE_BYTES], enum fault_class fault, double value)
{
    buf[0] = '\0';
    switch (fault) {
    case FAULT_LOSS:
    case FAULT_CONNECT:
        snprintf(buf, CHART_VALUE_BYTES, "%.2f %%", value * 100);
        break;
    case FAULT_LATENCY:
        format_latency_us(buf, CHART_VALUE_BYTES, value / 1000);
        break;
    case FAULT_LOAD:
        format_rate_bits(buf, CHART_VALUE_BYTES, value);
        break;
    case FAULT_CLASS_COUNT:
        break;
    }
    return buf;
}

static void value_bar(FILE *out, enum fault_class fault, const struct chart_point *p, unsigned x, unsigned width,
                      double largest)
{
    double scale = largest > 0 ? VALUE_HEIGHT / largest : 0;
    unsigned base = VALUE_TOP + VALUE_HEIGHT;
    char value[CHART_VALUE_BYTES], when[32], count[32];

    fprintf(out, "<rect x=\"%u\" y=\"%.1f\" width=\"%u\" height=\"%.1f\" fill=\"#b33\"/>\n", x, base - p->value * scale,
            width, p->value * scale);
    fprintf(out, "<line x1=\"%d\" x2=\"%u\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#000\" stroke-width=\"2\"/>\n", (int)x - 3,
            x + width + 3, base - p->expected * scale, base - p->expected * scale);
    fprintf(out, "<text x=\"%u\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"9\">", x + width / 2,
            base - p->value * scale - 3);
    escaped(out, chart_value_text(value, fault, p->value));
    fprintf(out, "</text>\n<text x=\"%u\" y=\"%u\" text-anchor=\"middle\" font-size=\"9\">%.5s</text>\n", x + width / 2,
            base + 14, local_format(when, sizeof(when), p->onset_ns, 0) + 5);
    fprintf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"middle\" font-size=\"9\">", x + width / 2, base + 28);
    escaped(out, format_count(count, sizeof(count), p->n));
    fputs("</text>\n", out);
}

char *chart_values(const char *title, enum fault_class fault, const struct chart_point *point, size_t n)
{
    size_t first = n > CHART_MOST ? n - CHART_MOST : 0, shown = n - first, size = 0;
    double largest = 0;
    char *text = NULL, top[CHART_VALUE_BYTES];
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    for (size_t i = first; i < n; i++) {
        largest = point[i].value > largest ? point[i].value : largest;
        largest = point[i].expected > largest ? point[i].expected : largest;
    }
    head(out, VALUE_LEFT + VALUE_WIDTH + 20, VALUE_TOP + VALUE_HEIGHT + 70, title);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", VALUE_LEFT - 6, VALUE_TOP + 8);
    escaped(out, chart_value_text(top, fault, largest));
    fprintf(out, "</text>\n<text x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>\n", VALUE_LEFT - 6,
            VALUE_TOP + VALUE_HEIGHT);
    fprintf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"#888\"/>\n", VALUE_LEFT,
            VALUE_LEFT + VALUE_WIDTH, VALUE_TOP + VALUE_HEIGHT, VALUE_TOP + VALUE_HEIGHT);
    unsigned pitch = shown > 0 ? (unsigned)(VALUE_WIDTH / shown) : 0;
    unsigned width = pitch > 60 ? 40 : pitch * 2 / 3;
    for (size_t i = 0; i < shown; i++)
        value_bar(out, fault, &point[first + i], (unsigned)(VALUE_LEFT + i * pitch + (pitch - width) / 2), width,
                  largest);
    fprintf(out,
            "<text x=\"%d\" y=\"%d\">bars: value in the bad minutes; lines: expected; below: date and what it rests on "
            "(n)</text>\n",
            VALUE_LEFT, VALUE_TOP + VALUE_HEIGHT + 52);
    return finish(out, &text);
}

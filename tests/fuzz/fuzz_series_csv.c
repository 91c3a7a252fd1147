/* SPDX-License-Identifier: BSD-3-Clause */

/* Lines of timestamp,value, and the scorer behind them: no input may crash it or make a score outside 0..1. */

#include <stdlib.h>
#include <string.h>
#include "control/scorer.h"
#include "control/series_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scorer *s = scorer_new();
    struct series_days days = {0};

    for (size_t at = 0; s != NULL && at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t len = end != NULL ? (size_t)(end - data) - at : size - at;
        char *line = malloc(len + (len == 0)); /* of its own: reading beyond it is found */
        struct series_row row;
        struct error e;
        if (line == NULL)
            break;
        memcpy(line, data + at, len);
        series_is_heading(line, len);
        if (series_row_parse(&row, line, len, &days, &e) == 0 && row.has_value) {
            double score = scorer_step(s, row.time_ns, row.value, NULL);
            if (!(score >= 0 && score <= 1))
                abort();
        }
        free(line);
        at += len + 1;
    }
    scorer_free(s);
    return 0;
}

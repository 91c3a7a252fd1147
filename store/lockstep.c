/* SPDX-License-Identifier: BSD-3-Clause */

/* Expiry on data time; see lockstep.h. A bucket goes when its end is as old as its tier keeps; it is named by its
 * start. */

#include "store/lockstep.h"

#include <errno.h>
#include "common/timefmt.h"
#include "store/command.h"
#include "store/keys.h"

static const uint64_t keep_s[SCHEMA_TIER_COUNT] = {
#define X(symbol, name, length, keep, text) keep,
    SCHEMA_TIERS(X)
#undef X
};

int lockstep_forget(struct store *s, const char *sensor, enum schema_tier tier, uint64_t base_length_ns,
                    enum window_scope scope, const char *name, uint64_t data_ns)
{
    uint64_t length_s = schema_tier_length_ns(tier, base_length_ns) / NS_PER_S;
    uint64_t span_s = length_s * SCHEMA_BUCKET_WINDOWS, now_s = data_ns / NS_PER_S;
    char key[KEY_BYTES];
    struct command c;

    if (length_s == 0)
        return -EINVAL;
    if (now_s % span_s >= length_s || now_s < keep_s[tier] + 2 * span_s) /* not the first window of a bucket */
        return 0;
    uint64_t bucket_s = (now_s - keep_s[tier]) / span_s * span_s - span_s;
    size_t len = key_windows(key, sensor, scope, name, length_s, bucket_s);
    command_start(&c, "DEL", key, len);
    return command_append(&c, s);
}

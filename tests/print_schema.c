/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Prints docs/SCHEMA.md from the tables of store/: keys, tiers, top lists and the fields of the codecs in the order of
 * their bits. The prose between them stands here. A test compares the printed form with the file.
 */

#include <stdio.h>
#include "store/codec.h"
#include "store/keys.h"

static void print_keys(void)
{
    puts("## Keys\n\n| key | type | holds |\n|---|---|---|");
    puts("| `" KEY_REGISTRY "` | zset | names of sensors, score: last heartbeat in s |");
#define X(tail, type, text) puts("| `sw1:{SENSOR}:" tail "` | " type " | " text " |");
    SCHEMA_KEYS(X)
#undef X
    puts("\nNames (SENSOR, OBJECT, MIRROR) are escaped: letters, digits and `-._~/()` stay, every other byte is `%XX`. "
         "SCOPE is\n"
         "one of those below. LENGTH is the window length in seconds, BUCKET the start of the bucket in seconds:");
    printf("a bucket holds %d windows and starts at a multiple of %d x LENGTH, so a hash stays a listpack with Redis's "
           "defaults.\n"
           "Window N of a bucket, 0..%d, has the fields 2N (traffic and loss) and 2N+1 (latency and quality, if "
           "there is any).\n\n",
           SCHEMA_BUCKET_WINDOWS, SCHEMA_BUCKET_WINDOWS, SCHEMA_BUCKET_WINDOWS - 1);
    puts("| scope | its objects |\n|---|---|");
#define X(symbol, name, text) puts("| `" name "` | " text " |");
    WINDOW_SCOPES(X)
#undef X
    puts("");
}

static void print_sensor(void)
{
    puts(
        "## Sensors\n\n`sensor` has `schema` (1), `version` of the program, `live` and `stopped` (0 or 1), `n_mirrors` "
        "and `mirror_N`, `latest_TIER`\n"
        "(start of the newest closed window in ns), and these numbers, of the running program:\n\n"
        "| field | unit | what |\n|---|---|---|");
#define X(field, unit, text) puts("| `" #field "` | " unit " | " text " |");
    SCHEMA_SENSOR_NUMBERS(X)
#undef X
    printf(
        "\n`lease` names the run that writes under this name; it expires %u s after its last renewal, which comes with "
        "every heartbeat.\n\n",
        SCHEMA_LEASE_MS / 1000);
}

static void print_tier(const char *name, unsigned length_s, unsigned keep_s, const char *text)
{
    char length[24] = "window.length";

    if (length_s != 0)
        snprintf(length, sizeof(length), "%u s", length_s);
    printf("| `%s` | %s | %u h | %s |\n", name, length, keep_s / 3600, text);
}

static void print_tiers(void)
{
    puts("## Tiers\n\n| tier | length | kept after the last write | what |\n|---|---|---|---|");
#define X(symbol, name, length_s, keep_s, text) print_tier(name, length_s, keep_s, text);
    SCHEMA_TIERS(X)
#undef X
    puts("\nThe expiry of a bucket is the time above plus the bucket's span, spread by up to an eighth from a hash of "
         "its key.\n"
         "A coarse tier that is not longer than window.length does not exist.\n");
}

static void print_streams(void)
{
    puts("## Streams\n\n"
         "Ids are explicit, `MS-SEQ`, from data time, always growing; an id that was written before is refused by "
         "Redis, which\n"
         "makes a replay harmless. `closed` has an entry when all windows of a period are stored:\n"
         "`tier`, `start`, `length` (ns), `degraded` (0 or 1), `parts` and `expected` (base windows). `events` has "
         "`ts` (ns), `kind`,\n"
         "`severity`, `mirror`, `subject`, `detail` (a JSON object). Readers keep their own cursor.\n");
    puts("## Top lists\n\nLines `SCORE<TAB>JSON`, worst first; the JSON is the flow record of docs/schema/flow.json. "
         "KIND is one of:");
#define X(symbol, name) puts("- `" name "`");
    SCHEMA_TOPS(X)
#undef X
    puts("\nTIER is `1min` (32 flows, kept 2 h) or `1h` (64 flows, kept 7 d); members of `tops` are `TIER:START`, "
         "score START in s.\n");
}

static void print_fields(const char *title, const char *const *fields, size_t n, size_t n_v1)
{
    printf("### %s\n\n| bit | field | since version |\n|---|---|---|\n", title);
    for (size_t i = 0; i < n; i++)
        printf("| %zu | `%s` | %d |\n", i, fields[i], i < n_v1 ? 1 : 2);
    puts("");
}

static void print_codec(void)
{
#define X(field) #field,
    static const char *const traffic[] = { CODEC_TRAFFIC_FIELDS(X) };
    static const char *const quality[] = { CODEC_QUALITY_FIELDS(X) };
#undef X
    printf("## Packed windows (versions 1 to %d, at most %d bytes per value)\n\n", CODEC_VERSION, CODEC_BYTES);
    puts("| bytes | holds |\n|---|---|\n"
         "| 1 | version << 4, half << 3 (0 traffic, 1 quality), level 0..3 |\n"
         "| 1 | traffic: bits 0-1 quality (0 ok, 1 unsure, 2 blind), bit 2 plain, bit 3 missing; quality: bit h set: "
         "histogram h has samples |\n"
         "| 0 or 1 | version 2, with missing: percentage of the window's time that the sensor did not watch, 1..100 |\n"
         "| varint | bit i set: field i is not zero |\n"
         "| ... | the fields that are not zero, in order, as numbers |\n"
         "| ... | quality half, for each histogram with samples (side A or client, side B or server, response, DNS): n "
         "as a number, min and "
         "max as float16 (big endian), p10, p50, p90, p99 as varint steps in histogram buckets, from min's bucket on "
         "(level 3: in sixes) |\n"
         "| 1 | CRC-8, polynomial 0x07, of all before |\n\n"
         "Unless plain is set, frame_bytes is stored less bytes, and judged_pkts as data_pkts less judged_pkts.\n\n"
         "A number at level 0 is a LEB128 varint and exact. If a value would be longer than 64 bytes, the next level "
         "is used: below 128 a\n"
         "number is its byte; above, the byte has bit 7 set and, with 2, 1 or 0 bytes that follow (level 1, 2, 3), "
         "holds 6 bits of exponent\n"
         "less 7 and the top bits of the mantissa without its leading one. Relative error at most 2^-18, 2^-10, 1/4.\n"
         "float16: below 1024 the value in ns; else 6 bits of exponent + 1 and 10 of mantissa; error at most 2^-11. "
         "Times are ns.\n\n"
         "A value is written in the oldest version that can hold it; version 1 has no missing time and only the fields "
         "marked so below.\n"
         "A reader skips and counts values of other versions and values that do not decode.\n");
    print_fields("Traffic half", traffic, sizeof(traffic) / sizeof(traffic[0]), CODEC_TRAFFIC_V1);
    print_fields("Quality half", quality, sizeof(quality) / sizeof(quality[0]), CODEC_QUALITY_V1);
}

int main(void)
{
    printf("# What is in Redis: telemetry contract version %d\n\n", SCHEMA_VERSION);
    puts("<!-- Generated by tests/print_schema.c from the tables of store/: build/tests/print_schema > docs/SCHEMA.md "
         "-->\n\n"
         "Written by the probe, read by control and the CLI, only through store/schema.h. All values are absolute: "
         "writing a window\n"
         "again changes nothing. Everything expires, counted from its last write.\n");
    print_keys();
    print_sensor();
    print_tiers();
    print_streams();
    print_codec();
    puts("## Ledgers\n\n`ledger:MIRROR` has `offered`, `processed`, `unsupported` (a bit for each drop that the driver "
         "cannot report) and a\n"
         "field for each drop of docs/COUNTERS.md; offered = processed + sum of drops.");
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The codecs of the store. Any bytes either decode or are refused; what decodes can be packed again, and exactly so
 * when the value is of the exact level. The first byte chooses the half, the rest is the value; its checksum is mended,
 * so that the fuzzer gets past it.
 */

#include <assert.h>
#include <string.h>

#include "store/codec.h"

static uint8_t crc8(const uint8_t *p, size_t len)
{
    unsigned crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x80 ? crc << 1 ^ 0x07 : crc << 1) & 0xff;
    }
    return (uint8_t)crc;
}

static void decode(uint8_t half, const uint8_t *value, size_t len)
{
    struct window w = {.scope = WINDOW_PATH}, again = {.scope = WINDOW_PATH};
    uint8_t out[CODEC_BYTES];
    enum codec_result r = half & 1 ? codec_unpack_quality(&w, value, len) : codec_unpack_traffic(&w, value, len);

    if (r != CODEC_OK) {
        assert(memcmp(&w, &again, sizeof(w)) == 0);
        return;
    }
    size_t n = half & 1 ? codec_pack_quality(out, &w) : codec_pack_traffic(out, &w);
    assert(n <= CODEC_BYTES);
    if (n == 0)
        return;
    r = half & 1 ? codec_unpack_quality(&again, out, n) : codec_unpack_traffic(&again, out, n);
    assert(r == CODEC_OK);
    if ((out[0] & 7) == 0)
        assert(memcmp(&w.c, &again.c, sizeof(w.c)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t value[2 * CODEC_BYTES];

    if (size == 0)
        return 0;
    decode(data[0], data + 1, size - 1);
    if (size < 3 || size > sizeof(value))
        return 0;
    memcpy(value, data + 1, size - 1);
    value[size - 2] = crc8(value, size - 2);
    decode(data[0], value, size - 1);
    return 0;
}

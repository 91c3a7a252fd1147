/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Text from packets, made safe to show. Names in DNS, LLDP, TLS and the like are chosen by strangers: a terminal
 * escape in one of them could rewrite what the operator reads, a lone continuation byte breaks JSON.
 *
 * What passes: printable ASCII except the backslash, and well-formed UTF-8 as in RFC 3629 (no overlong forms, no
 * surrogates, nothing above U+10FFFF) outside of C1, of the line and paragraph separators and of the marks that change
 * the direction of text (U+202A..202E, U+2066..2069), with which one name can be made to look like another. All
 * else becomes \xNN, byte by byte, and the backslash is doubled, so the result can be read back without doubt.
 * A result that does not fit is cut in front of a whole escape or character.
 */

#include "common/bytes.h"

#include <stdbool.h>

/* Length of the UTF-8 sequence at p (1..4), its code point in *ret_cp; 0 when it is not well-formed. */
static size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 0x6 ? 2 : p[0] >> 4 == 0xe ? 3 : p[0] >> 3 == 0x1e ? 4 : 0;

    if (n == 0 || n > len)
        return 0;
    uint32_t cp = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        cp = cp << 6 | (p[i] & 0x3fu);
    }
    if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 0;
    *ret_cp = cp;
    return n;
}

static bool is_safe(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == '\\')
        return false;
    return !(cp >= 0x2028 && cp <= 0x202e) && !(cp >= 0x2066 && cp <= 0x2069) && cp != 0xfeff;
}

size_t text_escape(char *ret, size_t size, const void *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = text;
    size_t used = 0;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        size_t n = utf8_decode(p + i, len - i, &cp);

        if (n != 0 && is_safe(cp)) {
            if (used + n >= size)
                break;
            memcpy(ret + used, p + i, n);
            used += n;
            i += n;
        } else if (p[i] == '\\') {
            if (used + 2 >= size)
                break;
            memcpy(ret + used, "\\\\", 2);
            used += 2;
            i++;
        } else {
            if (used + 4 >= size)
                break;
            const char escape[4] = {'\\', 'x', hex[p[i] >> 4], hex[p[i] & 15]};
            memcpy(ret + used, escape, 4);
            used += 4;
            i++;
        }
    }
    ret[used] = '\0';
    return used;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_WEBHOOK_H
#define SPANWARD_WEBHOOK_H

/* What tests and other connectors use of the webhook beyond struct connector. */

#include <stddef.h>
#include "control/connectors/connector.h"

extern const struct connector connector_webhook;

/* A context for connector_webhook. config NULL: defaults. secret_file "": unsigned. */
int webhook_new(const struct config *config, const char *url, const char *secret_file, void **ret_ctx,
                char ret_hash[FINGERPRINT_BYTES], struct error *e);

/* "whsec_BASE64", white space at the end allowed, to at most 64 bytes. -EINVAL. */
int webhook_secret_parse(const char *text, size_t len, unsigned char *ret, size_t *ret_len);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RX_PCAP_H
#define SPANWARD_RX_PCAP_H

/*
 * Capture files as input: what capfile.h reads, of the link types in batch.h.
 *
 * Several files are merged by time, as mergecap does, so that the parts of a rotated capture need no order on the
 * command line. Files are streamed: memory does not depend on their size.
 */

#include <stdint.h>
#include "common/log.h"
#include "dataplane/reshard.h"
#include "dataplane/worker.h"

struct rx_pcap;

/*
 * Opens all files and looks at their first packets. -errno with a line that names the file. A file whose interfaces,
 * as far as they are described before its first packet, all have unsupported link types is refused.
 */
int rx_pcap_open(const char *const *paths, unsigned n_paths, const char *filter, struct rx_pcap **ret_rx,
                 struct error *e);
void rx_pcap_close(struct rx_pcap *rx);

enum rx_pcap_end {
    RX_PCAP_EOF,     /* all files were read to their end */
    RX_PCAP_CUT,     /* a file is cut or damaged: all packets before were analysed */
    RX_PCAP_STOPPED, /* *stop was set */
};

/* Feeds everything to the worker; *stop may be set by a signal handler. The first cut file's reason is put in e. */
enum rx_pcap_end rx_pcap_run(struct rx_pcap *rx, struct worker *w, const volatile int *stop,
                             void (*on_progress)(void *ctx, double share), void *ctx, struct error *e);

/* The same for several workers, whose threads run; ends with reshard_finish. The records are those of one worker. */
enum rx_pcap_end rx_pcap_run_resharded(struct rx_pcap *rx, struct reshard *workers, const volatile int *stop,
                                       void (*on_progress)(void *ctx, double share), void *ctx, struct error *e);

/* After the run: one line about packets that could not be used (of an unsupported link type), or NULL. */
const char *rx_pcap_warning(const struct rx_pcap *rx);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What is varied: round trip 0.2 to 300 ms, loss 0 to 10 % on either side and in either direction, SACK, timestamps,
 * segment size, congestion control, IPv4 and IPv6, one flow to two thousand, bulk, requests, many short connections,
 * and what stands in between (NAT, VXLAN, QinQ). The mirror errs alone, the network errs alone, and both at once.
 *
 * The number of flows makes up for what loss and distance take from each, so that a run takes seconds, not minutes.
 */

#include "tests/lab/matrix.h"

#define BULK4(n, bytes) "traffic bulk client=10.0.0.1*4 server=192.0.2.1*2 parallel=" #n " resp=" bytes
#define BULK6(n, bytes) "traffic bulk client=2001:db8:1::1*4 server=2001:db8:2::1*2 parallel=" #n " resp=" bytes
#define PUSH4(n, bytes) "traffic bulk client=10.0.0.1*4 server=192.0.2.1*2 parallel=" #n " req=" bytes " resp=200"
#define PUSH6(n, bytes)                                                                                                \
    "traffic bulk client=2001:db8:1::1*4 server=2001:db8:2::1*2 parallel=" #n " req=" bytes " resp=200"

const struct matrix_run matrix[] = {
    /* nothing is lost */
    {"clean, 20 ms", "delay both 5ms", BULK4(4, "10M"), BULK4(1, "2M")},
    {"clean, 0.2 ms, IPv6", "delay both 50us", BULK6(4, "10M"), BULK6(1, "1M")},
    {"clean, all copied", "delay both 2ms;rule copy every=1", BULK4(4, "10M"), BULK4(1, "1M")},
    {"clean, all copied, IPv6", "delay both 2ms;rule copy every=1 by=20us", BULK6(4, "10M"), BULK6(1, "1M")},
    {"clean, all twice routed", "delay both 5ms;rule hop every=1 by=300us", BULK4(4, "10M"), BULK4(1, "1M")},
    {"clean, mirror reorders", "delay both 5ms;rule hold-copy p=5% by=50us-1500us", BULK4(4, "10M"), BULK4(1, "2M")},
    /* one thing at a time */
    {"downstream 1 %", "delay left 9ms;delay right 1ms;rule lose-down kind=data p=1%", BULK4(10, "4M"), BULK4(2, "1M")},
    {"downstream 10 %, no SACK", "sack off;delay both 2ms;rule lose-down kind=data p=10%", BULK4(20, "2M"), NULL},
    {"downstream 3 %, no timestamps, IPv6", "timestamps off;delay both 4ms;rule lose-down kind=data p=3%",
     PUSH6(20, "2M"), PUSH6(2, "500k")},
    {"upstream 1 %", "delay left 1ms;delay right 9ms;rule lose-up kind=data p=1%", BULK4(10, "4M"), BULK4(2, "1M")},
    {"upstream 10 %, no timestamps", "timestamps off;delay both 2ms;rule lose-up kind=data p=10%", PUSH4(20, "2M"),
     NULL},
    {"upstream 3 %, no SACK, no timestamps", "sack off;timestamps off;delay both 4ms;rule lose-up kind=data p=3%",
     BULK4(20, "2M"), BULK4(2, "500k")},
    {"both sides 2 %, 300 ms, bbr",
     "cc bbr;delay left 100ms;delay right 50ms;rule lose-up kind=data p=1%;"
     "rule lose-down kind=data p=1%",
     BULK4(60, "700k"), NULL},
    {"capture loss 1 %", "delay both 5ms;rule miss kind=data p=1%", BULK4(4, "10M"), BULK4(1, "2M")},
    {"capture loss 3 %, bursts, IPv6", "delay both 5ms;rule miss kind=data p=0.5% burst=6", BULK6(4, "10M"), NULL},
    {"second hop 100 %, 15 ms", "delay both 10ms;rule hop every=1 by=5ms-15ms", BULK4(4, "10M"), NULL},
    {"second hop 30 %, loss 1 %, IPv6",
     "delay both 10ms;rule hop p=30% by=200us;"
     "rule lose-down kind=data p=1% also=on",
     BULK6(12, "3M"), NULL},
    {"copies 20 %, loss 2 %", "delay both 5ms;rule lose-down kind=data p=2% ;rule copy p=20% by=5us", BULK4(15, "3M"),
     BULK4(2, "1M")},
    {"reordered before the tap 2 %", "delay both 5ms;rule hold-up kind=data resend=no p=2% by=100us-3ms",
     BULK4(10, "4M"), BULK4(2, "1M")},
    {"reordered before the tap, no timestamps, no SACK",
     "sack off;timestamps off;delay both 5ms;rule hold-up kind=data resend=no p=1% by=100us-3ms", BULK4(10, "4M"),
     NULL},
    {"reordered behind the tap 2 %", "delay both 5ms;rule hold-down kind=data resend=no p=2% by=100us-3ms",
     PUSH4(10, "4M"), NULL},
    {"spurious by late ACKs", "delay both 5ms;rule stall-up kind=ack to=right every=60 by=700ms per-flow=on",
     "traffic rr client=10.0.0.1*4 server=192.0.2.1*2 parallel=25 count=6 resp=250k",
     "traffic rr client=10.0.0.1*4 server=192.0.2.1 parallel=2 count=3 resp=250k"},
    {"spurious without SACK", "sack off;delay both 5ms;rule stall-up kind=ack to=right every=60 by=700ms per-flow=on",
     "traffic rr client=10.0.0.1*4 server=192.0.2.1*2 parallel=25 count=6 resp=250k", NULL},
    {"spurious without timestamps",
     "timestamps off;delay both 5ms;rule stall-up kind=ack to=right every=60 by=700ms per-flow=on",
     "traffic rr client=10.0.0.1*4 server=192.0.2.1*2 parallel=25 count=6 resp=250k", NULL},
    /* together */
    {"all at once",
     "delay left 8ms;delay right 2ms;rule lose-up kind=data p=1%;rule lose-down kind=data p=1%;"
     "rule miss kind=data p=0.5%;rule copy p=5%;rule hold-up kind=data resend=no p=0.5% by=200us-2ms;rule lose-down "
     "kind=ack p=1%",
     BULK4(15, "3M"), BULK4(2, "1M")},
    {"up, down and missed, no SACK",
     "sack off;delay both 5ms;rule lose-up kind=data p=1%;rule lose-down kind=data p=1%;"
     "rule miss kind=data p=0.5%",
     BULK4(15, "3M"), BULK4(2, "1M")},
    {"up, down and missed, no timestamps, IPv6",
     "timestamps off;delay both 5ms;rule lose-up kind=data p=1%;"
     "rule lose-down kind=data p=1%;rule miss kind=data p=0.5%",
     BULK6(15, "3M"), NULL},
    {"loss in bursts, reno, MSS 536",
     "cc reno;mss 536;delay both 5ms;rule lose-up kind=data p=0.3% burst=4;"
     "rule lose-down kind=data p=0.3% burst=4",
     BULK4(15, "2M"), NULL},
    {"requests, both ways, loss 2 %", "delay both 3ms;rule lose-up kind=data p=1%;rule lose-down kind=data p=1%",
     "traffic rr client=10.0.0.1*4 server=192.0.2.1*2 parallel=25 count=20 requests=20 req=500-4000 resp=500-8000",
     "traffic rr client=10.0.0.1*4 server=192.0.2.1*2 parallel=2 count=5 requests=20 req=500-4000 resp=500-8000"},
    {"4000 short connections, loss 2 %, IPv6", "delay both 1ms;rule lose-up p=1%;rule lose-down p=1%",
     "traffic short client=2001:db8:1::1*4 server=2001:db8:2::1*2 parallel=25 count=20 req=2k resp=70k",
     "traffic short client=2001:db8:1::1*4 server=2001:db8:2::1 parallel=4 count=8 req=2k resp=20k"},
    {"behind a NAT, loss 1 %",
     "nat 100.64.0.0/16;delay both 5ms;rule lose-up kind=data p=1%;rule lose-down kind=data p=1%", BULK4(12, "3M"),
     BULK4(2, "500k")},
    {"in VXLAN, copies, loss 1 %",
     "wrap vxlan;delay both 5ms;rule lose-up kind=data p=1%;rule lose-down kind=data p=1%;rule copy p=10%",
     BULK4(12, "3M"), BULK4(2, "500k")},
    {"in QinQ, second hops, capture loss 1 %",
     "wrap qinq;delay both 5ms;rule lose-down kind=data p=1%;rule miss kind=data p=1%;rule hop p=20%", BULK4(12, "3M"),
     NULL},
    {"one flow, 100 Mbit/s link, loss 0.2 %", "rate left 100M;delay both 1ms;rule lose-down kind=data p=0.2%",
     "traffic bulk client=10.0.0.1 server=192.0.2.1 resp=150M", NULL},
    /* what the mirror does not show */
    {"picked up on the way, loss 2 %",
     "delay both 5ms;rule miss between=0ms-400ms p=100%;rule lose-up kind=data p=1%;rule lose-down kind=data p=1%",
     BULK4(12, "3M"), BULK4(2, "1M")},
    {"clean, since one-way, nothing may be judged",
     "delay both 5ms;rule miss to=right p=100%;"
     "rule lose-up to=left kind=data p=1%;rule lose-down to=left kind=data p=1%;rule copy to=left p=5% also=on",
     BULK4(12, "3M"), BULK4(2, "500k")},
};
const size_t matrix_runs = sizeof(matrix) / sizeof(matrix[0]);

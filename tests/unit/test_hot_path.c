/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * After start the hot path takes no memory, makes no system call and takes no lock.
 *
 * A child process builds a worker and lets it see enough traffic for every stage to have run once; then it goes into
 * seccomp's strict mode, in which any system call but read, write and exit kills it at once (mmap, futex, brk,
 * clock_gettime by trap, all of them). In that mode it goes on with traffic that opens and closes flows, loses
 * segments, expires, evicts and closes windows. Calls of the allocator and of the lock functions are counted by
 * functions of the same name here, which the linker prefers to the C library's: a small malloc makes no system call.
 *
 * The same for the stage in front of several workers. That the test can fail is tested too.
 */

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/spsc.h"
#include "common/timefmt.h"
#include "dataplane/reshard.h"
#include "tests/bench/traffic.h"
#include "tests/unit/unit.h"

#define FLOWS   2000u
#define BATCHES 64u
#define ROUNDS  150u
#define RING    (32u << 20)

static volatile unsigned n_calls; /* of what must not be called */
static volatile bool counts;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

void *malloc(size_t size)
{
    n_calls += counts;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    n_calls += counts;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    n_calls += counts;
    return __libc_realloc(p, size);
}

void free(void *p)
{
    n_calls += counts;
    __libc_free(p);
}

#define COUNTED(name, type)                                                                                            \
    int name(type *x)                                                                                                  \
    {                                                                                                                  \
        static int (*real)(type * x);                                                                                  \
        n_calls += counts;                                                                                             \
        if (real == NULL)                                                                                              \
            real = (int (*)(type *))dlsym(RTLD_NEXT, #name);                                                           \
        return real(x);                                                                                                \
    }
COUNTED(pthread_mutex_lock, pthread_mutex_t)
COUNTED(pthread_mutex_trylock, pthread_mutex_t)
COUNTED(pthread_spin_lock, pthread_spinlock_t)
COUNTED(pthread_rwlock_rdlock, pthread_rwlock_t)
COUNTED(pthread_rwlock_wrlock, pthread_rwlock_t)

/* ---- a worker ---- */

static struct batch batch;
static struct frame frames[BATCHES * BATCH_MAX];
static uint32_t ids[BATCHES * BATCH_MAX];

struct rig {
    struct traffic traffic;
    struct spsc *ring;
    struct worker *worker;
    uint64_t seen; /* messages */
};

static void rig_start(struct rig *r, enum mix mix)
{
    struct site_table *sites = site_table_new();
    struct service_table *services = service_table_new();
    const struct worker_options options = {
        .flows = FLOWS / 2, /* too few: flows are evicted, too */
        .trouble_blocks = 512,
        .dns_entries = 64,
        .max_paths = 64,
        .max_services = 64,
        .tcp_idle_ns = 2 * NS_PER_S,
        .other_idle_ns = 2 * NS_PER_S,
        .active_ns = 20 * NS_PER_S,
        .closed_linger_ns = NS_PER_S,
        .window_ns = NS_PER_S,
        .writer = {.ring = r->ring = spsc_new(RING)},
        .sites = sites,
        .services = services,
    };

    site_table_finish(sites);
    ck_assert_int_eq(traffic_init(&r->traffic, FLOWS, mix, 64, BATCHES * BATCH_MAX), 0);
    r->traffic.gap_ns = 20000; /* a window every 50000 packets */
    ck_assert_int_eq(worker_new(&options, &r->worker), 0);
}

static void rig_drain(struct rig *r)
{
    size_t len;

    while (spsc_peek(r->ring, &len) != NULL) {
        spsc_pop(r->ring);
        r->seen++;
    }
}

/* Every 64th packet is lost on the way to the tap: holes, repeats that never come, the pool. */
static void lose_some(struct batch *b, unsigned round)
{
    for (uint32_t i = (round * 7) % 64; i < b->n; i += 64)
        b->pkt[i].cap_len = 10;
}

static void rig_round(struct rig *r, unsigned round)
{
    traffic_fill(&r->traffic, frames, BATCHES * BATCH_MAX, ids);
    for (uint32_t b = 0; b < BATCHES; b++) {
        traffic_receive(&batch, frames + b * BATCH_MAX, BATCH_MAX);
        lose_some(&batch, round);
        worker_process(r->worker, &batch);
    }
    worker_tick(r->worker, r->traffic.now_ns);
    if (round % 50 == 49) { /* quiet: all expire */
        r->traffic.now_ns += 10 * NS_PER_S;
        for (unsigned i = 0; i < FLOWS / 32; i++)
            worker_tick(r->worker, r->traffic.now_ns);
    }
    rig_drain(r);
}

static void be_strict(void)
{
    counts = true;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        syscall(SYS_exit, 77);
}

/* exit_group is forbidden as well. */
static void __attribute__((noreturn)) end(bool ok)
{
    syscall(SYS_exit, ok ? 0 : 1);
    __builtin_unreachable();
}

static void run_worker(enum mix mix)
{
    struct rig r = {.seen = 0};

    rig_start(&r, mix);
    for (unsigned round = 0; round < 3; round++)
        rig_round(&r, round);
    be_strict();
    for (unsigned round = 3; round < ROUNDS; round++)
        rig_round(&r, round);
    end(n_calls == 0 && r.seen > 100 && worker_ledger(r.worker)->offered > BATCHES * BATCH_MAX * (ROUNDS - 10));
}

static void run_tcp(void)
{
    run_worker(MIX_TCP);
}

static void run_new(void)
{
    run_worker(MIX_NEW);
}

static void run_dup(void)
{
    run_worker(MIX_DUP);
}

static uint64_t n_released;

static void release(void **owner, uint32_t n)
{
    (void)owner;
    n_released += n;
}

static void run_front(void)
{
    struct rig r = {.seen = 0};
    struct reshard *front;
    void *owner[BATCH_MAX] = {NULL};

    rig_start(&r, MIX_TCP);
    const struct reshard_options options = {
        .workers = &r.worker, .n_workers = 1, .depth = 4, .window_ns = NS_PER_S, .release = release};
    ck_assert_int_eq(reshard_new(&options, &front), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round == 3)
            be_strict();
        traffic_fill(&r.traffic, frames, BATCHES * BATCH_MAX, ids);
        for (uint32_t b = 0; b < BATCHES; b++) {
            traffic_receive(&batch, frames + b * BATCH_MAX, BATCH_MAX);
            reshard_burst(front, &batch, owner);
            reshard_flush(front);
            while (b % 8 == 7 && reshard_work(front, 0)) /* in between, lanes are full and drop */
                ;
        }
        reshard_tick(front, r.traffic.now_ns);
        rig_drain(&r);
    }
    reshard_finish(front);
    while (reshard_work(front, 0))
        ;
    const struct ledger *l = worker_ledger(r.worker);
    end(n_calls == 0 && n_released == l->offered && l->offered == ROUNDS * BATCHES * BATCH_MAX &&
        l->offered == l->processed + ledger_drop_sum(l) && l->drops[LEDGER_ring_full] != 0);
}

/* What is forbidden is found. */
static void run_syscall(void)
{
    be_strict();
    syscall(SYS_getppid);
    end(true);
}

static void run_malloc(void)
{
    void *volatile spare = malloc(16);

    be_strict();
    free(spare);
    end(n_calls == 0);
}

static void run_lock(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&mutex); /* finds the real one */
    pthread_mutex_unlock(&mutex);
    be_strict();
    pthread_mutex_lock(&mutex);
    end(n_calls == 0);
}

/* ---- */

enum fate { FATE_FINE, FATE_COUNTED, FATE_KILLED, FATE_CANNOT };

static enum fate fate_of(void (*run)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        run();
        _exit(1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return FATE_KILLED;
    if (!WIFEXITED(status))
        abort();
    return WEXITSTATUS(status) == 77 ? FATE_CANNOT : WEXITSTATUS(status) == 0 ? FATE_FINE : FATE_COUNTED;
}

START_TEST(worker_is_quiet)
{
    ck_assert_int_eq(fate_of(run_tcp), FATE_FINE);
    ck_assert_int_eq(fate_of(run_new), FATE_FINE);
    ck_assert_int_eq(fate_of(run_dup), FATE_FINE);
}
END_TEST

START_TEST(front_is_quiet)
{
    ck_assert_int_eq(fate_of(run_front), FATE_FINE);
}
END_TEST

START_TEST(the_test_can_fail)
{
    ck_assert_int_eq(fate_of(run_syscall), FATE_KILLED);
    ck_assert_int_eq(fate_of(run_malloc), FATE_COUNTED);
    ck_assert_int_eq(fate_of(run_lock), FATE_COUNTED);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {worker_is_quiet, front_is_quiet, the_test_can_fail};

    if (fate_of(run_malloc) == FATE_CANNOT) {
        puts("skipped: no seccomp here");
        return 77;
    }
    return unit_run("hot_path", tests, 3);
}

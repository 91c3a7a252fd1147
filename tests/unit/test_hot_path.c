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

#include "dataplane/reshard.h"
#include "tests/bench/traffic.h"
#include "tests/unit/rig.h"
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

struct load {
    struct traffic traffic;
    struct rig rig;
    uint64_t seen; /* messages */
};

static void load_start(struct load *l, enum mix mix)
{
    struct worker_options options = rig_options(NS_PER_S);

    options.flows = FLOWS / 2; /* too few: flows are evicted, too */
    options.trouble_blocks = 512;
    options.dns_entries = 64;
    options.tcp_idle_ns = options.other_idle_ns = 2 * NS_PER_S;
    options.active_ns = 20 * NS_PER_S;
    options.closed_linger_ns = NS_PER_S;
    ck_assert_int_eq(traffic_init(&l->traffic, FLOWS, mix, 64, BATCHES * BATCH_MAX), 0);
    l->traffic.gap_ns = 20000; /* a window every 50000 packets */
    rig_init(&l->rig, RING);
    rig_start(&l->rig, options);
}

static void load_drain(struct load *l)
{
    size_t len;

    while (spsc_peek(l->rig.ring, &len) != NULL) {
        spsc_pop(l->rig.ring);
        l->seen++;
    }
}

/* Every 64th packet is lost on the way to the tap: holes, repeats that never come, the pool. */
static void lose_some(struct batch *b, unsigned round)
{
    for (uint32_t i = (round * 7) % 64; i < b->n; i += 64)
        b->pkt[i].cap_len = 10;
}

static void load_round(struct load *l, unsigned round)
{
    traffic_fill(&l->traffic, frames, BATCHES * BATCH_MAX, ids);
    for (uint32_t b = 0; b < BATCHES; b++) {
        traffic_receive(&batch, frames + b * BATCH_MAX, BATCH_MAX);
        lose_some(&batch, round);
        worker_process(l->rig.worker, &batch);
    }
    worker_tick(l->rig.worker, l->traffic.now_ns);
    if (round % 50 == 49) { /* quiet: all expire */
        l->traffic.now_ns += 10 * NS_PER_S;
        for (unsigned i = 0; i < FLOWS / 32; i++)
            worker_tick(l->rig.worker, l->traffic.now_ns);
    }
    load_drain(l);
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
    struct load load = {.seen = 0};

    load_start(&load, mix);
    for (unsigned round = 0; round < 3; round++)
        load_round(&load, round);
    be_strict();
    for (unsigned round = 3; round < ROUNDS; round++)
        load_round(&load, round);
    end(n_calls == 0 && load.seen > 100 &&
        worker_ledger(load.rig.worker)->offered > BATCHES * BATCH_MAX * (ROUNDS - 10));
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
    struct load load = {.seen = 0};
    struct reshard *front;
    void *owner[BATCH_MAX] = {NULL};

    load_start(&load, MIX_TCP);
    const struct reshard_options options = {
        .workers = &load.rig.worker, .n_workers = 1, .depth = 4, .window_ns = NS_PER_S, .release = release};
    ck_assert_int_eq(reshard_new(&options, &front), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round == 3)
            be_strict();
        traffic_fill(&load.traffic, frames, BATCHES * BATCH_MAX, ids);
        for (uint32_t b = 0; b < BATCHES; b++) {
            traffic_receive(&batch, frames + b * BATCH_MAX, BATCH_MAX);
            reshard_burst(front, &batch, owner);
            reshard_flush(front);
            while (b % 8 == 7 && reshard_work(front, 0)) /* in between, lanes are full and drop */
                ;
        }
        reshard_tick(front, load.traffic.now_ns);
        load_drain(&load);
    }
    reshard_finish(front);
    while (reshard_work(front, 0))
        ;
    const struct ledger *l = worker_ledger(load.rig.worker);
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

// Runs a compute grid on the CPU: one fiber for each thread of a threadgroup, 32 to a simdgroup, some threadgroups at the same time. Threads
// meet at barriers and in exchanges of a simdgroup; when they do not all meet at the same place, that is an error, as it would be undefined
// on a GPU. Threadgroup memory starts poisoned and is guarded, and so is every buffer of the software device: a fault is an error with the
// kernel's name. watch.h keeps a record of who wrote and read every byte.
#include "runtime.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <memory>
#include <string>
#include <vector>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "watch.h"

namespace {

const unsigned SimdWidth = 32;
const size_t StackBytes = 64 * 1024;
const size_t GuardBytes = 64;
const size_t GroupsAtOnce = 3;
const unsigned char Poison = 0xFF;  // NaN as a float, -1 as an integer

enum class State { Ready, AtBarrier, InExchange, Done };

struct Fiber {
    ucontext_t start;
    jmp_buf resume;
    bool started;
    State state;
    KqPosition position;
    const char* file;
    int line;
    unsigned size, width;
    unsigned exchanges;
    char values[2][16];  // by turns: a thread may offer the next value while others still read this one
    const Fiber* simdgroup;
};

struct Group {
    KqThread run;
    KqArguments arguments;
    uint32_t number;  // from 1
    uint32_t epoch;   // barriers so far
    std::vector<Fiber> fibers;
    std::vector<char> stacks;
    std::vector<unsigned> order;
    std::vector<unsigned char> memory[KQ_SLOTS];
    Watch watch;  // of threadgroup memory
    std::string error;
    jmp_buf scheduler;
};

thread_local Group* group;
thread_local Watch* device_watch;
thread_local uint32_t run_flags;
thread_local Fiber* current;
thread_local sigjmp_buf fault;
thread_local bool guarded;
struct sigaction previous;

void on_fault(int signal, siginfo_t* info, void* context) {
    if (guarded) siglongjmp(fault, 1);
    if (previous.sa_flags & SA_SIGINFO) previous.sa_sigaction(signal, info, context);
    else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) previous.sa_handler(signal);
    else { sigaction(signal, &previous, nullptr); raise(signal); }
}

void install_fault_handler() {
    static bool installed = [] {
        struct sigaction action = {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        return sigaction(SIGSEGV, &action, &previous) == 0;
    }();
    (void)installed;
}

void begin_fiber() {
    group->run(&group->arguments, &current->position);
    current->state = State::Done;
    _longjmp(group->scheduler, 1);
}

void suspend(State state, const char* file, int line) {
    current->state = state;
    current->file = file;
    current->line = line;
    if (_setjmp(current->resume) == 0) _longjmp(group->scheduler, 1);
}

void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(group->scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

std::string where(const char* what, const Fiber& fiber) {
    const char* name = strrchr(fiber.file, '/');
    return std::string(what) + " at " + (name ? name + 1 : fiber.file) + ":" + std::to_string(fiber.line);
}

// When a whole simdgroup waits in the same exchange, every thread may read the values of all.
bool exchange(Group& g, bool& progress) {
    for (size_t first = 0; first < g.fibers.size(); first += SimdWidth) {
        size_t end = first + SimdWidth < g.fibers.size() ? first + SimdWidth : g.fibers.size(), waiting = 0;
        for (size_t i = first; i < end; i++) waiting += g.fibers[i].state == State::InExchange;
        if (waiting != end - first) continue;
        for (size_t i = first; i < end; i++) {
            Fiber& f = g.fibers[i];
            if (f.line != g.fibers[first].line || f.file != g.fibers[first].file || f.size != g.fibers[first].size) {
                g.error = where("divergent exchange", g.fibers[first]) + " and " + std::to_string(f.line);
                return false;
            }
            f.width = (unsigned)(end - first);
            f.simdgroup = &g.fibers[first];
        }
        for (size_t i = first; i < end; i++) g.fibers[i].state = State::Ready;
        progress = true;
    }
    return true;
}

void start_group(Group& g) {
    for (size_t i = 0; i < g.fibers.size(); i++) {
        Fiber& f = g.fibers[i];
        getcontext(&f.start);
        f.start.uc_stack.ss_sp = &g.stacks[i * StackBytes];
        f.start.uc_stack.ss_size = StackBytes;
        f.start.uc_link = nullptr;
        makecontext(&f.start, begin_fiber, 0);
        f.started = false;
        f.exchanges = 0;
        f.state = State::Ready;
    }
}

enum class Step { Done, Goes, Failed };

// Lets every thread run until it waits for others.
Step step_group(Group& g) {
    bool progress = false;
    group = &g;
    for (unsigned i : g.order) {
        if (g.fibers[i].state == State::Ready) { resume(g.fibers[i]); progress = true; }
    }
    if (!g.error.empty() || !exchange(g, progress)) return Step::Failed;
    size_t done = 0, waiting = 0;
    for (Fiber& f : g.fibers) { done += f.state == State::Done; waiting += f.state == State::AtBarrier; }
    if (done == g.fibers.size()) return Step::Done;
    if (waiting == g.fibers.size()) {
        for (Fiber& f : g.fibers) {
            if (f.line != g.fibers[0].line) { g.error = where("divergent barrier", f); return Step::Failed; }
            f.state = State::Ready;
        }
        g.epoch++;
        progress = true;
    }
    if (progress) return Step::Goes;
    for (Fiber& f : g.fibers) {
        if (f.state == State::Done) continue;
        g.error = where(f.state == State::AtBarrier ? "divergent barrier" : "divergent exchange", f);
        return Step::Failed;
    }
    return Step::Failed;
}

void set_order(Group& g, uint32_t seed) {
    g.order.resize(g.fibers.size());
    for (unsigned i = 0; i < g.order.size(); i++) g.order[i] = i;
    for (size_t i = g.order.size(); seed != 0 && i > 1; i--) {
        seed = seed * 1664525u + 1013904223u;
        std::swap(g.order[i - 1], g.order[(seed >> 8) % i]);
    }
}

void set_positions(Group& g, const uint32_t at[3], const uint32_t size[3], const uint32_t group_size[3], const uint32_t grid[3], const uint32_t groups[3]) {
    uint32_t count = (uint32_t)g.fibers.size();
    for (uint32_t index = 0; index < count; index++) {
        KqPosition& p = g.fibers[index].position;
        uint32_t thread[3] = {index % size[0], index / size[0] % size[1], index / (size[0] * size[1])};
        for (int d = 0; d < 3; d++) {
            p.thread_position_in_threadgroup[d] = thread[d];
            p.threadgroup_position_in_grid[d] = at[d];
            p.thread_position_in_grid[d] = at[d] * group_size[d] + thread[d];
            p.threads_per_threadgroup[d] = size[d];
            p.threads_per_grid[d] = grid[d];
            p.threadgroups_per_grid[d] = groups[d];
        }
        p.thread_index_in_threadgroup[0] = index;
        p.thread_index_in_simdgroup[0] = index % SimdWidth;
        p.simdgroup_index_in_threadgroup[0] = index / SimdWidth;
        p.simdgroups_per_threadgroup[0] = (count + SimdWidth - 1) / SimdWidth;
        p.threads_per_simdgroup[0] = SimdWidth;
    }
}

struct Grid {
    const KqKernel* kernel;
    const KqArguments* arguments;
    const uint32_t *size, *group_size;
    uint32_t seed, groups[3], next[3], started;
};

bool prepare_next(Grid& grid, Group& g) {
    if (grid.next[2] == grid.groups[2]) return false;
    uint32_t threads[3], at[3], count = 1;
    for (int d = 0; d < 3; d++) {
        at[d] = grid.next[d];
        uint32_t rest = grid.size[d] - at[d] * grid.group_size[d];
        threads[d] = rest < grid.group_size[d] ? rest : grid.group_size[d];
        count *= threads[d];
    }
    for (int d = 0; d < 3; d++) {
        if (++grid.next[d] < grid.groups[d] || d == 2) break;
        grid.next[d] = 0;
    }
    g.run = grid.kernel->run;
    g.arguments = *grid.arguments;
    g.number = ++grid.started;
    g.epoch = 0;
    if (g.fibers.size() != count) {
        g.fibers = std::vector<Fiber>(count);
        g.stacks.resize(count * StackBytes);
        set_order(g, grid.seed);
    }
    g.watch.forget();
    for (int i = 0; i < KQ_SLOTS; i++) {
        if (g.arguments.threadgroup_bytes[i] == 0) continue;
        g.memory[i].assign(g.arguments.threadgroup_bytes[i] + GuardBytes, Poison);
        g.arguments.threadgroup_memory[i] = g.memory[i].data();
        g.watch.add("threadgroup memory", i, g.memory[i].data(), g.arguments.threadgroup_bytes[i]);
    }
    set_positions(g, at, threads, grid.group_size, grid.size, grid.groups);
    start_group(g);
    return true;
}

bool is_intact(Group& g) {
    for (int i = 0; i < KQ_SLOTS; i++) {
        for (size_t q = g.arguments.threadgroup_bytes[i]; g.arguments.threadgroup_bytes[i] != 0 && q < g.memory[i].size(); q++) {
            if (g.memory[i][q] != Poison) { g.error = "write beyond threadgroup memory"; return false; }
        }
    }
    return true;
}

__attribute__((noinline)) bool run_grid(Grid& grid, std::vector<std::unique_ptr<Group>>& running, std::string& error) {
    for (size_t i = 0; i < GroupsAtOnce; i++) {
        std::unique_ptr<Group> g(new Group());
        if (prepare_next(grid, *g)) running.push_back(std::move(g));
    }
    for (size_t turn = grid.seed; !running.empty(); turn++) {
        size_t chosen = grid.seed == 0 ? 0 : turn % running.size();
        Group& g = *running[chosen];
        Step step = step_group(g);
        if (step == Step::Goes) continue;
        if (step == Step::Failed || !is_intact(g)) { error = g.error; return false; }
        if (!prepare_next(grid, g)) running.erase(running.begin() + (long)chosen);
    }
    return true;
}

// Subnormal operands and results become zero, as on Apple's GPUs. Gives back the mode that was.
#if defined(__x86_64__)
unsigned long flush_subnormals() { unsigned long was = _mm_getcsr(); _mm_setcsr((unsigned)was | 0x8040); return was; }
void restore_mode(unsigned long was) { _mm_setcsr((unsigned)was); }
unsigned long get_mode() { return _mm_getcsr(); }
void round_toward_zero() { _mm_setcsr(_mm_getcsr() | 0x6000); }
#else
unsigned long get_mode() { unsigned long was; __asm__ volatile("mrs %0, fpcr" : "=r"(was)); return was; }
void restore_mode(unsigned long was) { __asm__ volatile("msr fpcr, %0" : : "r"(was)); }
unsigned long flush_subnormals() { unsigned long was = get_mode(); restore_mode(was | 1ul << 24); return was; }
void round_toward_zero() { restore_mode(get_mode() | 3ul << 22); }
#endif

// A fault leaves fibers where they are and comes back here: what is still needed then must not be in registers of a loop.
__attribute__((noinline)) bool run_guarded(Grid& grid, std::vector<std::unique_ptr<Group>>& running, std::string& error) {
    if (sigsetjmp(fault, 1) == 0) return run_grid(grid, running, error);
    error = "access beyond a buffer";
    return false;
}

// Every load and store of a shader, as clang's thread sanitizer reports it.
void watch(const void* address, size_t bytes, bool writes) {
    if (group == nullptr || !group->error.empty()) return;
    uint32_t thread = current->position.thread_index_in_threadgroup[0] + 1;
    std::string error = group->watch.access(address, bytes, writes, 0, thread, group->epoch);
    if (error.empty()) error = device_watch->access(address, bytes, writes, group->number, thread, group->epoch);
    if (!error.empty()) group->error = error;
}

}  // namespace

extern "C" {

void __tsan_init() {}
#define KQ_WATCH(bytes) \
    void __tsan_read##bytes(void* p) { watch(p, bytes, false); } \
    void __tsan_write##bytes(void* p) { watch(p, bytes, true); } \
    void __tsan_unaligned_read##bytes(void* p) { watch(p, bytes, false); } \
    void __tsan_unaligned_write##bytes(void* p) { watch(p, bytes, true); }
KQ_WATCH(1) KQ_WATCH(2) KQ_WATCH(4) KQ_WATCH(8) KQ_WATCH(16)

void* __tsan_memset(void* to, int value, size_t bytes) { watch(to, bytes, true); return memset(to, value, bytes); }
void* __tsan_memcpy(void* to, const void* from, size_t bytes) { watch(to, bytes, true); watch(from, bytes, false); return memcpy(to, from, bytes); }
void* __tsan_memmove(void* to, const void* from, size_t bytes) { watch(to, bytes, true); watch(from, bytes, false); return memmove(to, from, bytes); }

void kq_threadgroup_barrier(const char* file, int line) { suspend(State::AtBarrier, file, line); }

// Offers a value to the other threads of the simdgroup, and waits for theirs.
void kq_exchange(const void* value, unsigned size, const char* file, int line) {
    memcpy(current->values[current->exchanges++ % 2], value, size);
    current->size = size;
    suspend(State::InExchange, file, line);
}

// What a lane offered in the last exchange; null if there is no such lane.
const void* kq_offered(unsigned lane) {
    if (run_flags & KQ_NARROW_SHUFFLE) lane = (lane & 15) | (current->position.thread_index_in_simdgroup[0] & 16);
    return lane < current->width ? current->simdgroup[lane].values[(current->exchanges - 1) % 2] : nullptr;
}

unsigned kq_lane() { return current->position.thread_index_in_simdgroup[0]; }

bool kq_matrix_backward() { return (run_flags & KQ_MATRIX_BACKWARD) != 0; }

__attribute__((visibility("default"))) int kq_dispatch(
    const KqKernel* kernel, const KqArguments* bound, const uint32_t grid[3], const uint32_t size[3], uint32_t flags, char* error,
    int error_bytes) {
    install_fault_handler();
    Watch written;
    std::vector<std::unique_ptr<Group>> running;
    std::string text;
    Grid work = {kernel, bound, grid, size, flags >> KQ_SEED_SHIFT, {}, {}, 0};
    for (int d = 0; d < 3; d++) work.groups[d] = (grid[d] + size[d] - 1) / size[d];
    for (int i = 0; i < KQ_SLOTS; i++) {
        if (kernel->written >> i & 1) written.add("buffer", i, bound->buffers[i], bound->buffer_bytes[i]);
    }
    device_watch = &written;
    run_flags = flags;
    const unsigned long mode = get_mode();
    if (flags & KQ_FLUSH_SUBNORMALS) flush_subnormals();
    if (flags & KQ_TOWARD_ZERO) round_toward_zero();
    guarded = true;
    const bool ok = run_guarded(work, running, text);
    guarded = false;
    restore_mode(mode);
    group = nullptr;
    device_watch = nullptr;
    if (!ok) snprintf(error, (size_t)error_bytes, "%s", text.c_str());
    return ok ? 0 : 1;
}
}

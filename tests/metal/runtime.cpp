// Runs a compute grid on the CPU: one fiber for each thread of a threadgroup, 32 to a simdgroup. Threads meet at barriers and in
// exchanges of a simdgroup; when they do not all meet at the same place, that is an error, as it would be undefined on a GPU. Threadgroup
// memory starts poisoned and is guarded, and so is every buffer of the software device: a fault is an error with the kernel's name.
#include "runtime.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <string>
#include <vector>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

const unsigned SimdWidth = 32;
const size_t StackBytes = 64 * 1024;
const size_t GuardBytes = 64;
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
    const KqArguments* arguments;
    std::vector<Fiber> fibers;
    std::vector<char> stacks;
    std::vector<unsigned> order;
    std::string error;
    jmp_buf scheduler;
};

thread_local Group* group;
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
    group->run(group->arguments, &current->position);
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

bool run_group(Group& g) {
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
    for (;;) {
        bool progress = false;
        for (unsigned i : g.order) {
            if (g.fibers[i].state == State::Ready) { resume(g.fibers[i]); progress = true; }
        }
        if (!exchange(g, progress)) return false;
        size_t done = 0, waiting = 0;
        for (Fiber& f : g.fibers) { done += f.state == State::Done; waiting += f.state == State::AtBarrier; }
        if (done == g.fibers.size()) return true;
        if (waiting == g.fibers.size()) {
            for (Fiber& f : g.fibers) {
                if (f.line != g.fibers[0].line) { g.error = where("divergent barrier", f); return false; }
                f.state = State::Ready;
            }
            progress = true;
        }
        if (progress) continue;
        for (Fiber& f : g.fibers) {
            if (f.state == State::Done) continue;
            g.error = where(f.state == State::AtBarrier ? "divergent barrier" : "divergent exchange", f);
            return false;
        }
    }
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

bool run_grid(Group& g, KqArguments& arguments, const uint32_t grid[3], const uint32_t size[3], uint32_t seed) {
    uint32_t groups[3], at[3];
    for (int d = 0; d < 3; d++) groups[d] = (grid[d] + size[d] - 1) / size[d];
    std::vector<unsigned char> memory[KQ_SLOTS];
    for (at[2] = 0; at[2] < groups[2]; at[2]++) for (at[1] = 0; at[1] < groups[1]; at[1]++) for (at[0] = 0; at[0] < groups[0]; at[0]++) {
        uint32_t threads[3], count = 1;
        for (int d = 0; d < 3; d++) {
            uint32_t rest = grid[d] - at[d] * size[d];
            threads[d] = rest < size[d] ? rest : size[d];
            count *= threads[d];
        }
        if (g.fibers.size() != count) {
            g.fibers = std::vector<Fiber>(count);
            g.stacks.resize(count * StackBytes);
            set_order(g, seed);
        }
        for (int i = 0; i < KQ_SLOTS; i++) {
            if (arguments.threadgroup_bytes[i] == 0) continue;
            memory[i].assign(arguments.threadgroup_bytes[i] + GuardBytes, Poison);
            arguments.threadgroup_memory[i] = memory[i].data();
        }
        set_positions(g, at, threads, size, grid, groups);
        if (!run_group(g)) return false;
        for (int i = 0; i < KQ_SLOTS; i++) {
            for (size_t q = arguments.threadgroup_bytes[i]; q < memory[i].size(); q++) {
                if (memory[i][q] != Poison) { g.error = "write beyond threadgroup memory"; return false; }
            }
        }
    }
    return true;
}

// Subnormal operands and results become zero, as on Apple's GPUs. Gives back the mode that was.
#if defined(__x86_64__)
unsigned long flush_subnormals() { unsigned long was = _mm_getcsr(); _mm_setcsr((unsigned)was | 0x8040); return was; }
void restore_mode(unsigned long was) { _mm_setcsr((unsigned)was); }
unsigned long get_mode() { return _mm_getcsr(); }
#else
unsigned long get_mode() { unsigned long was; __asm__ volatile("mrs %0, fpcr" : "=r"(was)); return was; }
void restore_mode(unsigned long was) { __asm__ volatile("msr fpcr, %0" : : "r"(was)); }
unsigned long flush_subnormals() { unsigned long was = get_mode(); restore_mode(was | 1ul << 24); return was; }
#endif

}  // namespace

extern "C" {

void kq_threadgroup_barrier(const char* file, int line) { suspend(State::AtBarrier, file, line); }

bool kq_shuffle_xor(void* value, unsigned size, unsigned mask, const char* file, int line) {
    unsigned turn = current->exchanges++ % 2;
    memcpy(current->values[turn], value, size);
    current->size = size;
    suspend(State::InExchange, file, line);
    unsigned lane = current->position.thread_index_in_simdgroup[0] ^ mask;
    if (lane >= current->width) return false;
    memcpy(value, current->simdgroup[lane].values[turn], size);
    return true;
}

__attribute__((visibility("default"))) int kq_dispatch(
    KqThread run, const KqArguments* bound, const uint32_t grid[3], const uint32_t size[3], uint32_t flags, char* error, int error_bytes) {
    install_fault_handler();
    KqArguments arguments = *bound;
    Group g;
    g.run = run;
    g.arguments = &arguments;
    group = &g;
    volatile unsigned long mode = get_mode();
    volatile bool ok = false;
    if (flags & KQ_FLUSH_SUBNORMALS) flush_subnormals();
    guarded = true;
    if (sigsetjmp(fault, 1) == 0) ok = run_grid(g, arguments, grid, size, flags >> KQ_SEED_SHIFT);
    else g.error = "access beyond a buffer";
    guarded = false;
    restore_mode(mode);
    group = nullptr;
    if (!ok) snprintf(error, (size_t)error_bytes, "%s", g.error.c_str());
    return ok ? 0 : 1;
}
}

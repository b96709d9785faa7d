// Runs exported kernels on request. A request on the standard input is struct request, then for every buffer its bytes; the answer on the
// standard output is the bytes of the buffers marked as outputs. Behind every buffer is a page that faults.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

enum { BUFFERS = 8, PAGE = 4096 };

struct request {
    int32_t operation, format, tier, rows;
    int64_t numbers[8];
    int64_t lengths[BUFFERS];
    int64_t flags[BUFFERS]; // 1: an output, 2: aligned to 64 bytes
};

int kquant_run(const struct request *request, char **buffers);

// What compiled code expects of a runtime. Bit 2 says that the processor has dot products.
int g_cpuFeatures;
uintptr_t __security_cookie = 0x5DEECE66D;
void RhpFallbackFailFast(void) { abort(); }
void RhpReversePInvoke(void *frame) { (void)frame; }
void RhpReversePInvokeReturn(void *frame) { (void)frame; }

void kquant_fail(int code) {
    fprintf(stderr, "a kernel threw: %d\n", code);
    abort();
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static size_t whole_pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

// The buffer ends where the page begins, less what makes its start a multiple of its alignment.
static char *allocate(size_t bytes, size_t alignment) {
    size_t size = whole_pages((bytes + alignment - 1) / alignment * alignment);
    char *start = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + size, PAGE, PROT_NONE) != 0) {
        fail("mmap");
    }
    return start + size - (bytes + alignment - 1) / alignment * alignment;
}

static void release(char *buffer, size_t bytes, size_t alignment) {
    size_t padded = (bytes + alignment - 1) / alignment * alignment;
    munmap(buffer + padded - whole_pages(padded), whole_pages(padded) + PAGE);
}

int main(void) {
    if (getauxval(AT_HWCAP) >> 20 & 1) {
        g_cpuFeatures |= 4;
    }

    struct request request;
    while (fread(&request, sizeof request, 1, stdin) == 1) {
        char *buffers[BUFFERS];
        for (int i = 0; i < BUFFERS; i++) {
            size_t alignment = request.flags[i] & 2 ? 64 : 1;
            buffers[i] = allocate(request.lengths[i], alignment);
            if (request.lengths[i] != 0 && fread(buffers[i], request.lengths[i], 1, stdin) != 1) {
                fail("read");
            }
        }

        int32_t status = kquant_run(&request, buffers);
        fwrite(&status, sizeof status, 1, stdout);
        for (int i = 0; i < BUFFERS; i++) {
            if (request.flags[i] & 1) {
                fwrite(buffers[i], 1, request.lengths[i], stdout);
            }
            release(buffers[i], request.lengths[i], request.flags[i] & 2 ? 64 : 1);
        }
        fflush(stdout);
    }
    return 0;
}

// A Metal device in software: real Objective-C classes with the selectors, arguments and ownership of Metal's, whose kernels are the
// shaders compiled for the CPU. What Metal's validation layer rejects is reported; what fails on a device can be made to fail.
#include "foundation.h"
#include "runtime.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    NSUInteger width, height, depth;
} MTLSize;

enum { MaxThreads = 1024, MaxBytesInline = 4096, MaxThreadgroupBytes = 32768, GuardBytes = 1 << 16 };

// What goes wrong on purpose.
enum {
    FailNoDevice = 1, FailNoDefaultDevice = 2, FailPipeline = 4, FailCommit = 8, FailCompile = 16, FailQueue = 32, FailBuffer = 64,
    OldCompileOptions = 128
};

static uint32_t run_flags, failures;
static const char* compiled_library;
static long no_copy_buffers, command_buffers;
static int last_math_mode;

void kq_forget_misuse(void);

void kq_configure(uint32_t flags, uint32_t fail, const char* library) {
    kq_forget_misuse();
    run_flags = flags;
    failures = fail;
    free((void*)compiled_library);
    compiled_library = library == NULL ? NULL : strdup(library);
    no_copy_buffers = command_buffers = 0;
    last_math_mode = -1;
}

long kq_no_copy_buffers(void) { return no_copy_buffers; }

long kq_command_buffers(void) { return command_buffers; }

int kq_math_mode(void) { return last_math_mode; }

@interface KQFunction : NSObject {
@public
    const KqKernel* kernel;
    KqDispatch dispatch;
}
@end
@implementation KQFunction
@end

@interface KQLibrary : NSObject {
@public
    const KqKernel* kernels;
    KqDispatch dispatch;
}
@end
@implementation KQLibrary
- (id)newFunctionWithName:(NSString*)name {
    for (const KqKernel* kernel = kernels; kernel->name != NULL; kernel++) {
        if (strcmp(kernel->name, [name UTF8String]) != 0) continue;
        KQFunction* function = [KQFunction alloc];
        function->kernel = kernel;
        function->dispatch = dispatch;
        return function;
    }
    return nil;
}
@end

@interface KQPipeline : NSObject {
@public
    const KqKernel* kernel;
    KqDispatch dispatch;
}
@end
@implementation KQPipeline
- (NSUInteger)maxTotalThreadsPerThreadgroup {
    return MaxThreads;
}

- (NSUInteger)threadExecutionWidth {
    return 32;
}
@end

// Its last byte lies before pages that fault.
@interface KQBuffer : NSObject {
@public
    char* bytes;
    NSUInteger length;
    void* mapping;
    size_t mapped;
}
@end
@implementation KQBuffer
- (void*)contents {
    return bytes;
}

- (NSUInteger)length {
    return length;
}

- (void)dealloc {
    if (mapping != NULL) munmap(mapping, mapped);
    [super dealloc];
}
@end

typedef struct Work {
    struct Work* next;
    const KqKernel* kernel;
    KqDispatch dispatch;
    KqArguments arguments;
    uint32_t grid[3], group[3];
    void* copies[KQ_SLOTS];
    KQBuffer* held[KQ_SLOTS];
} Work;

@class KQEncoder;

@interface KQCommandBuffer : NSObject {
@public
    Work *first, *last;
    NSUInteger status;
    KQEncoder* open;
    NSError* failure;
}
@end

@interface KQEncoder : NSObject {
@public
    KqArguments arguments;
    NSUInteger bytes[KQ_SLOTS];
    void* copies[KQ_SLOTS];
    KQBuffer* held[KQ_SLOTS];
    KQPipeline* pipeline;
    KQCommandBuffer* commands;
    BOOL ended;
}
@end

@implementation KQEncoder
- (void)setComputePipelineState:(KQPipeline*)state {
    [state retain];
    [pipeline release];
    pipeline = state;
}

- (void)unbind:(NSUInteger)index {
    [held[index] release];
    held[index] = nil;
    free(copies[index]);
    copies[index] = NULL;
}

- (void)setBuffer:(KQBuffer*)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
    if (index >= KQ_SLOTS || (buffer != nil && offset >= buffer->length)) {
        kq_report_misuse("buffer %lu at offset %lu", index, offset);
        return;
    }
    [buffer retain];
    [self unbind:index];
    held[index] = buffer;
    arguments.buffers[index] = buffer == nil ? NULL : buffer->bytes + offset;
}

- (void)setBytes:(const void*)source length:(NSUInteger)length atIndex:(NSUInteger)index {
    if (index >= KQ_SLOTS || length == 0 || length > MaxBytesInline) {
        kq_report_misuse("%lu bytes for buffer %lu", length, index);
        return;
    }
    [self unbind:index];
    copies[index] = malloc(length);
    memcpy(copies[index], source, length);
    bytes[index] = length;
    arguments.buffers[index] = copies[index];
}

- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
    if (index >= KQ_SLOTS || length > MaxThreadgroupBytes || length % 16 != 0) {
        kq_report_misuse("%lu bytes of threadgroup memory", length);
        return;
    }
    arguments.threadgroup_bytes[index] = length;
}

- (void)dispatchThreads:(MTLSize)grid threadsPerThreadgroup:(MTLSize)group {
    NSUInteger threads = group.width * group.height * group.depth;
    if (ended || pipeline == nil) {
        kq_report_misuse(ended ? "dispatch after endEncoding" : "dispatch without a pipeline");
        return;
    }
    if (threads == 0 || threads > MaxThreads || grid.width == 0 || grid.height == 0 || grid.depth == 0 || (grid.width | grid.height) >> 32) {
        kq_report_misuse("grid %lux%lux%lu of groups of %lu", grid.width, grid.height, grid.depth, threads);
        return;
    }
    const KqKernel* kernel = pipeline->kernel;
    for (int i = 0; i < KQ_SLOTS; i++) {
        if ((kernel->buffers >> i & 1 && arguments.buffers[i] == NULL)
            || (kernel->threadgroup_buffers >> i & 1 && arguments.threadgroup_bytes[i] == 0)) {
            kq_report_misuse("%s: nothing bound at %d", kernel->name, i);
            return;
        }
    }
    Work* work = calloc(1, sizeof *work);
    work->kernel = kernel;
    work->dispatch = pipeline->dispatch;
    work->arguments = arguments;
    for (int i = 0; i < KQ_SLOTS; i++) {
        // Slots that the kernel does not have keep what an earlier one used; it must not see them.
        if (!(kernel->threadgroup_buffers >> i & 1)) work->arguments.threadgroup_bytes[i] = 0;
        if (!(kernel->buffers >> i & 1)) continue;
        work->held[i] = [held[i] retain];
        if (copies[i] == NULL) continue;
        work->copies[i] = malloc(bytes[i]);
        memcpy(work->copies[i], copies[i], bytes[i]);
        work->arguments.buffers[i] = work->copies[i];
    }
    NSUInteger sizes[6] = {grid.width, grid.height, grid.depth, group.width, group.height, group.depth};
    for (int d = 0; d < 3; d++) {
        work->grid[d] = (uint32_t)sizes[d];
        work->group[d] = (uint32_t)sizes[d + 3];
    }
    if (commands->last != NULL) commands->last->next = work;
    else commands->first = work;
    commands->last = work;
}

- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)group {
    MTLSize grid = {groups.width * group.width, groups.height * group.height, groups.depth * group.depth};
    [self dispatchThreads:grid threadsPerThreadgroup:group];
}

- (void)endEncoding {
    if (ended) kq_report_misuse("endEncoding twice");
    ended = YES;
    commands->open = nil;
}

- (void)dealloc {
    if (!ended) kq_report_misuse("encoder released before endEncoding");
    for (NSUInteger i = 0; i < KQ_SLOTS; i++) [self unbind:i];
    [pipeline release];
    [commands release];
    [super dealloc];
}
@end

@implementation KQCommandBuffer
- (id)computeCommandEncoder {
    if (open != nil) kq_report_misuse("two open encoders");
    KQEncoder* encoder = [KQEncoder alloc];
    encoder->commands = [self retain];
    open = encoder;
    return [encoder autorelease];
}

- (void)commit {
    if (open != nil || status != 0) kq_report_misuse(open != nil ? "commit before endEncoding" : "commit twice");
    status = 4;
    for (Work* work = first; work != NULL && status == 4; work = work->next) {
        char text[512], error[256] = "";
        if (failures & FailCommit) snprintf(error, sizeof error, "the device was lost");
        else if (work->dispatch(work->kernel->run, &work->arguments, work->grid, work->group, run_flags, error, sizeof error) == 0) continue;
        snprintf(text, sizeof text, "%s: %s", work->kernel->name, error);
        status = 5;
        failure = [[NSError errorWithText:text] retain];
    }
}

- (void)waitUntilCompleted {
    if (status == 0) kq_report_misuse("waitUntilCompleted before commit");
}

- (NSUInteger)status {
    return status;
}

- (id)error {
    return failure;
}

- (void)dealloc {
    while (first != NULL) {
        Work* work = first;
        first = work->next;
        for (int i = 0; i < KQ_SLOTS; i++) {
            [work->held[i] release];
            free(work->copies[i]);
        }
        free(work);
    }
    [failure release];
    [super dealloc];
}
@end

@interface KQQueue : NSObject
@end
@implementation KQQueue
- (id)commandBuffer {
    command_buffers++;
    return [[KQCommandBuffer alloc] autorelease];
}
@end

@interface MTLCompileOptions : NSObject
@end
@implementation MTLCompileOptions
- (void)setMathMode:(NSInteger)mode {
    last_math_mode = (int)mode;
}

- (void)setFastMathEnabled:(BOOL)enabled {
    last_math_mode = enabled ? 2 : 0;
}

- (BOOL)respondsToSelector:(SEL)selector {
    if (failures & OldCompileOptions && strcmp(sel_getName(selector), "setMathMode:") == 0) return NO;
    return [super respondsToSelector:selector];
}
@end

@interface KQData : NSObject {
@public
    void* bytes;
    size_t length;
}
@end
@implementation KQData
- (void)dealloc {
    free(bytes);
    [super dealloc];
}
@end

id dispatch_data_create(const void* bytes, size_t length, id queue, id destructor) {
    (void)queue;
    (void)destructor;
    KQData* data = [KQData alloc];
    data->bytes = malloc(length);
    data->length = length;
    memcpy(data->bytes, bytes, length);
    return data;
}

@interface KQDevice : NSObject
@end
@implementation KQDevice
- (NSString*)name {
    return [NSString stringWithUTF8String:"software device"];
}

- (NSUInteger)maxBufferLength {
    return 6UL << 30;
}

- (id)newCommandQueue {
    return failures & FailQueue ? nil : [KQQueue alloc];
}

- (id)newBufferWithLength:(NSUInteger)length options:(NSUInteger)options {
    if (length == 0 || options != 0) kq_report_misuse("new buffer of %lu bytes, options %lu", length, options);
    if (length == 0 || length > [self maxBufferLength] || failures & FailBuffer) return nil;
    size_t page = (size_t)getpagesize(), pages = (length + page - 1) / page * page;
    KQBuffer* buffer = [KQBuffer alloc];
    buffer->mapped = pages + GuardBytes;
    buffer->mapping = mmap(NULL, buffer->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect((char*)buffer->mapping + pages, GuardBytes, PROT_NONE);
    buffer->bytes = (char*)buffer->mapping + pages - length;
    buffer->length = length;
    memset(buffer->bytes, 0xA5, length);
    return buffer;
}

- (id)newBufferWithBytesNoCopy:(void*)bytes length:(NSUInteger)length options:(NSUInteger)options deallocator:(id)deallocator {
    if (((uintptr_t)bytes | length) % (NSUInteger)getpagesize() != 0 || length == 0 || deallocator != nil || options != 0) {
        kq_report_misuse("no-copy buffer of %lu bytes at %p, options %lu", length, bytes, options);
        return nil;
    }
    if (length > [self maxBufferLength] || failures & FailBuffer) return nil;
    KQBuffer* buffer = [KQBuffer alloc];
    buffer->bytes = bytes;
    buffer->length = length;
    no_copy_buffers++;
    return buffer;
}

- (id)loadLibrary:(const char*)path error:(NSError**)error {
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        if (error != NULL) *error = [NSError errorWithText:dlerror()];
        return nil;
    }
    KQLibrary* library = [KQLibrary alloc];
    library->kernels = dlsym(handle, "kq_kernels");
    library->dispatch = (KqDispatch)dlsym(handle, "kq_dispatch");
    return library;
}

- (id)newLibraryWithURL:(NSURL*)url error:(NSError**)error {
    return [self loadLibrary:[[url path] UTF8String] error:error];
}

- (id)newLibraryWithData:(KQData*)data error:(NSError**)error {
    char path[] = "/tmp/kq-library-XXXXXX";
    int file = mkstemp(path);
    if (file < 0 || write(file, data->bytes, data->length) != (ssize_t)data->length) kq_report_misuse("cannot write %s", path);
    close(file);
    id library = [self loadLibrary:path error:error];
    unlink(path);
    return library;
}

// The compiler ran before: what is wanted has to be the text that it compiled.
- (id)newLibraryWithSource:(NSString*)source options:(MTLCompileOptions*)options error:(NSError**)error {
    void* handle = compiled_library == NULL ? NULL : dlopen(compiled_library, RTLD_NOW | RTLD_LOCAL);
    const char* known = handle == NULL ? NULL : dlsym(handle, "kq_source");
    if (failures & FailCompile || options == nil || known == NULL || strcmp(known, [source UTF8String]) != 0) {
        if (error != NULL) *error = [NSError errorWithText:"program_source:1:1: error: not the source that was compiled"];
        return nil;
    }
    return [self loadLibrary:compiled_library error:error];
}

- (id)newComputePipelineStateWithFunction:(KQFunction*)function error:(NSError**)error {
    if (failures & FailPipeline) {
        if (error != NULL) *error = [NSError errorWithText:"the compiler service gave up"];
        return nil;
    }
    KQPipeline* pipeline = [KQPipeline alloc];
    pipeline->kernel = function->kernel;
    pipeline->dispatch = function->dispatch;
    return pipeline;
}
@end

id MTLCreateSystemDefaultDevice(void) { return failures & (FailNoDevice | FailNoDefaultDevice) ? nil : [KQDevice alloc]; }

id MTLCopyAllDevices(void) {
    KQDevice* device = failures & FailNoDevice ? nil : [KQDevice alloc];
    NSArray* devices = [NSArray newWithObject:device];
    [device release];
    return devices;
}

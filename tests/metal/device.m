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
    OldCompileOptions = 128, EmptyNoCopy = 1 << 8, NilNoCopy = 1 << 9, StaleNoCopy = 1 << 10, Width64 = 1 << 11, FewThreads = 1 << 12,
    SmallBuffers = 1 << 13, OutOfMemory = 1 << 14, RefusedLibrary = 1 << 15, OldFamily = 1 << 16, SeparateMemory = 1 << 17,
    SmallWorkingSet = 1 << 18, TowardZero = 1 << 19, NarrowShuffle = 1 << 20, MatrixBackward = 1 << 21, NoMatrixPipeline = 1 << 22
};

static uint32_t run_flags, failures;
static const char* compiled_library;
static long no_copy_buffers, command_buffers;
static int last_math_mode;
static NSUInteger last_language;

void kq_forget_misuse(void);

void kq_configure(uint32_t flags, uint32_t fail, const char* library) {
    kq_forget_misuse();
    run_flags = flags | (fail & TowardZero ? KQ_TOWARD_ZERO : 0) | (fail & NarrowShuffle ? KQ_NARROW_SHUFFLE : 0)
        | (fail & MatrixBackward ? KQ_MATRIX_BACKWARD : 0);
    failures = fail;
    free((void*)compiled_library);
    compiled_library = library == NULL ? NULL : strdup(library);
    no_copy_buffers = command_buffers = 0;
    last_math_mode = -1;
    last_language = 0;
}

long kq_no_copy_buffers(void) { return no_copy_buffers; }

long kq_command_buffers(void) { return command_buffers; }

int kq_math_mode(void) { return last_math_mode; }

unsigned long kq_language_version(void) { return last_language; }

// A driver leaves objects in the pool of its caller that the caller never sees.
static void leave_in_pool(void) { [[NSObject alloc] autorelease]; }

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
- (NSArray*)functionNames {
    NSUInteger count = 0;
    while (kernels[count].name != NULL) count++;
    NSArray* names = [NSArray newWithCapacity:count];
    for (NSUInteger i = 0; i < count; i++) [names add:[NSString stringWithUTF8String:kernels[i].name]];
    return [names autorelease];
}

- (id)newFunctionWithName:(NSString*)name {
    leave_in_pool();
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
    return failures & FewThreads ? 32 : MaxThreads;
}

- (NSUInteger)threadExecutionWidth {
    return failures & Width64 ? 64 : 32;
}
@end

// Its last byte lies before pages that fault. What the processor sees are the same bytes, unless they are stale.
@interface KQBuffer : NSObject {
@public
    char* bytes;
    char* visible;
    NSUInteger length;
    void* mapping;
    size_t mapped;
}
@end
@implementation KQBuffer
- (void*)contents {
    return visible;
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
@class KQCommandBuffer;

// Committed work lies here until somebody waits for it, or for something behind it.
@interface KQQueue : NSObject {
@public
    KQCommandBuffer *first, *last;
}
@end

@interface KQCommandBuffer : NSObject {
@public
    Work *first, *last;
    NSUInteger status;
    KQEncoder* open;
    NSError* failure;
    KQQueue* queue;
    KQCommandBuffer* next;
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
    arguments.buffer_bytes[index] = buffer == nil ? 0 : buffer->length - offset;
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
    arguments.buffer_bytes[index] = length;
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
    if (status != 0) return;
    status = 2;
    [self retain];
    if (queue->last != nil) queue->last->next = self;
    else queue->first = self;
    queue->last = self;
}

- (void)run {
    status = 4;
    for (Work* work = first; work != NULL && status == 4; work = work->next) {
        char text[512], error[256] = "";
        if (failures & FailCommit) snprintf(error, sizeof error, "the device was lost");
        else if (failures & OutOfMemory) snprintf(error, sizeof error, "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)");
        else if (work->dispatch(work->kernel, &work->arguments, work->grid, work->group, run_flags, error, sizeof error) == 0) continue;
        snprintf(text, sizeof text, "%s: %s", work->kernel->name, error);
        status = 5;
        failure = [[NSError errorWithText:text] retain];
    }
}

- (void)waitUntilCompleted {
    if (status == 0) kq_report_misuse("waitUntilCompleted before commit");
    while (status == 2) {
        KQCommandBuffer* earliest = queue->first;
        queue->first = earliest->next;
        if (queue->first == nil) queue->last = nil;
        [earliest run];
        [earliest release];
    }
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
    [queue release];
    [super dealloc];
}
@end

@implementation KQQueue
- (id)commandBuffer {
    command_buffers++;
    KQCommandBuffer* buffer = [KQCommandBuffer alloc];
    buffer->queue = [self retain];
    return [buffer autorelease];
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

- (void)setLanguageVersion:(NSUInteger)version {
    last_language = version;
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
    return failures & SmallBuffers ? 1UL << 18 : 6UL << 30;
}

- (NSUInteger)recommendedMaxWorkingSetSize {
    return failures & SmallWorkingSet ? 1UL << 18 : 12UL << 30;
}

- (BOOL)hasUnifiedMemory {
    return failures & SeparateMemory ? NO : YES;
}

- (BOOL)supportsFamily:(NSInteger)family {
    return family <= (failures & OldFamily ? 1005 : 1007);
}

- (id)newCommandQueue {
    leave_in_pool();
    return failures & FailQueue ? nil : [KQQueue alloc];
}

static KQBuffer* new_buffer(NSUInteger length, int filling) {
    size_t page = (size_t)getpagesize(), pages = (length + page - 1) / page * page;
    KQBuffer* buffer = [KQBuffer alloc];
    buffer->mapped = pages + GuardBytes;
    buffer->mapping = mmap(NULL, buffer->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect((char*)buffer->mapping + pages, GuardBytes, PROT_NONE);
    buffer->bytes = buffer->visible = (char*)buffer->mapping + pages - length;
    buffer->length = length;
    if (filling != 0) memset(buffer->bytes, filling, length);
    return buffer;
}

- (id)newBufferWithLength:(NSUInteger)length options:(NSUInteger)options {
    leave_in_pool();
    if (length == 0 || options != 0) kq_report_misuse("new buffer of %lu bytes, options %lu", length, options);
    if (length == 0 || length > [self maxBufferLength] || failures & FailBuffer) return nil;
    return new_buffer(length, 0xA5);
}

- (id)newBufferWithBytesNoCopy:(void*)bytes length:(NSUInteger)length options:(NSUInteger)options deallocator:(id)deallocator {
    leave_in_pool();
    if (((uintptr_t)bytes | length) % (NSUInteger)getpagesize() != 0 || length == 0 || deallocator != nil || options != 0) {
        kq_report_misuse("no-copy buffer of %lu bytes at %p, options %lu", length, bytes, options);
        return nil;
    }
    if (length > [self maxBufferLength] || failures & (FailBuffer | NilNoCopy)) return nil;
    no_copy_buffers++;
    if (failures & StaleNoCopy) {
        // The GPU sees what was there before the file.
        KQBuffer* stale = new_buffer(length, 0);
        stale->visible = bytes;
        return stale;
    }
    KQBuffer* buffer = [KQBuffer alloc];
    if (failures & EmptyNoCopy) return buffer;
    buffer->bytes = buffer->visible = bytes;
    buffer->length = length;
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
    if (failures & RefusedLibrary) {
        if (error != NULL) *error = [NSError errorWithText:"library was built for another system"];
        return nil;
    }
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
    leave_in_pool();
    if (failures & FailPipeline || (failures & NoMatrixPipeline && strstr(function->kernel->name, "matrix") != NULL)) {
        if (error != NULL) *error = [NSError errorWithText:"the compiler service gave up"];
        return nil;
    }
    KQPipeline* pipeline = [KQPipeline alloc];
    pipeline->kernel = function->kernel;
    pipeline->dispatch = function->dispatch;
    return pipeline;
}
@end

id MTLCreateSystemDefaultDevice(void) {
    leave_in_pool();
    return failures & (FailNoDevice | FailNoDefaultDevice) ? nil : [KQDevice alloc];
}

id MTLCopyAllDevices(void) {
    NSArray* devices = [NSArray newWithCapacity:1];
    if (failures & FailNoDevice) return devices;
    KQDevice* device = [KQDevice alloc];
    [devices add:device];
    [device release];
    return devices;
}

#include "foundation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long live_objects;
static char misuse[512];

long kq_live_objects(void) { return __atomic_load_n(&live_objects, __ATOMIC_SEQ_CST); }

const char* kq_misuse(void) { return misuse; }

void kq_forget_misuse(void) { misuse[0] = 0; }

void kq_report_misuse(const char* format, ...) {
    if (misuse[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(misuse, sizeof misuse, format, arguments);
    va_end(arguments);
}

// Autorelease pools, under the names of Apple's runtime. A pool is the height of a stack.
static __thread id* pool;
static __thread long pool_height, pool_capacity, open_pools;

void* objc_autoreleasePoolPush(void) {
    open_pools++;
    return (void*)(pool_height + 1);
}

void objc_autoreleasePoolPop(void* token) {
    open_pools--;
    while (pool_height > (long)token - 1) [(NSObject*)pool[--pool_height] release];
}

@implementation NSObject
+ (void)initialize {
}

+ (id)alloc {
    NSObject* object = class_createInstance((Class)self, 0);
    object->references = 1;
    __atomic_add_fetch(&live_objects, 1, __ATOMIC_SEQ_CST);
    return object;
}

+ (id)new {
    return [[self alloc] init];
}

- (id)init {
    return self;
}

- (id)retain {
    __atomic_add_fetch(&references, 1, __ATOMIC_SEQ_CST);
    return self;
}

- (void)release {
    if (__atomic_sub_fetch(&references, 1, __ATOMIC_SEQ_CST) == 0) [self dealloc];
}

- (id)autorelease {
    if (open_pools == 0) kq_report_misuse("%s autoreleased without a pool", object_getClassName(self));
    if (pool_height == pool_capacity) {
        pool_capacity = pool_capacity == 0 ? 64 : pool_capacity * 2;
        pool = realloc(pool, (size_t)pool_capacity * sizeof(id));
    }
    pool[pool_height++] = self;
    return self;
}

- (void)dealloc {
    __atomic_sub_fetch(&live_objects, 1, __ATOMIC_SEQ_CST);
    object_dispose(self);
}

- (BOOL)respondsToSelector:(SEL)selector {
    return class_respondsToSelector(object_getClass(self), selector);
}
@end

@implementation NSString
+ (id)stringWithUTF8String:(const char*)text {
    NSString* string = [self alloc];
    string->text = strdup(text);
    return [string autorelease];
}

- (const char*)UTF8String {
    return text;
}

- (void)dealloc {
    free(text);
    [super dealloc];
}
@end

@implementation NSURL
+ (id)fileURLWithPath:(NSString*)path {
    NSURL* url = [self alloc];
    url->path = [path retain];
    return [url autorelease];
}

- (NSString*)path {
    return path;
}

- (void)dealloc {
    [path release];
    [super dealloc];
}
@end

@implementation NSError
+ (id)errorWithText:(const char*)text {
    NSError* error = [self alloc];
    error->description = [[NSString stringWithUTF8String:text] retain];
    return [error autorelease];
}

- (NSString*)localizedDescription {
    return description;
}

- (void)dealloc {
    [description release];
    [super dealloc];
}
@end

@implementation NSArray
+ (id)newWithCapacity:(NSUInteger)capacity {
    NSArray* array = [self alloc];
    array->items = malloc((capacity + 1) * sizeof(id));
    return array;
}

- (void)add:(id)object {
    items[count++] = [(NSObject*)object retain];
}

- (NSUInteger)count {
    return count;
}

- (id)objectAtIndex:(NSUInteger)index {
    if (index >= count) kq_report_misuse("object %lu of %lu", index, count);
    return index < count ? items[index] : nil;
}

- (void)dealloc {
    for (NSUInteger i = 0; i < count; i++) [(NSObject*)items[i] release];
    free(items);
    [super dealloc];
}
@end

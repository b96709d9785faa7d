// As much of Foundation as the backend uses, on GCC's Objective-C runtime, and the switches of the software device.
#pragma once

#include <objc/message.h>
#include <objc/objc.h>
#include <objc/runtime.h>
#include <stdint.h>

typedef unsigned long NSUInteger;
typedef long NSInteger;

__attribute__((objc_root_class))
@interface NSObject {
    Class isa;
    long references;
}
+ (id)alloc;
+ (id)new;
- (id)init;
- (id)retain;
- (void)release;
- (id)autorelease;
- (void)dealloc;
- (BOOL)respondsToSelector:(SEL)selector;
@end

@interface NSString : NSObject {
    char* text;
}
+ (id)stringWithUTF8String:(const char*)text;
- (const char*)UTF8String;
@end

@interface NSURL : NSObject {
    NSString* path;
}
+ (id)fileURLWithPath:(NSString*)path;
- (NSString*)path;
@end

@interface NSError : NSObject {
    NSString* description;
}
+ (id)errorWithText:(const char*)text;
- (NSString*)localizedDescription;
@end

@interface NSArray : NSObject {
    id* items;
    NSUInteger count;
}
+ (id)newWithCapacity:(NSUInteger)capacity;
- (void)add:(id)object;
- (NSUInteger)count;
- (id)objectAtIndex:(NSUInteger)index;
@end

// What Metal's validation layer would report; the first is kept.
void kq_report_misuse(const char* format, ...) __attribute__((format(printf, 1, 2)));

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace KQuant.Metal.ObjC;

/// <summary>
/// The functions of Objective-C's runtime, Metal and libdispatch, and <c>objc_msgSend</c> once for every shape of message: all arguments
/// have the machine's own types, and no message returns a struct. On arm64 a message must never be sent as a variadic function.
/// </summary>
internal static unsafe partial class ObjCRuntime
{
    private const string ObjC = "/usr/lib/libobjc.A.dylib";
    private const string System = "/usr/lib/libSystem.B.dylib";
    private const string Metal = "/System/Library/Frameworks/Metal.framework/Metal";
    private const string Send = "objc_msgSend";

    [LibraryImport(ObjC, EntryPoint = "objc_getClass", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint GetClass(string name);

    [LibraryImport(ObjC, EntryPoint = "sel_registerName", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint RegisterSelector(string name);

    [LibraryImport(ObjC, EntryPoint = "objc_autoreleasePoolPush")]
    public static partial nint PushPool();

    [LibraryImport(ObjC, EntryPoint = "objc_autoreleasePoolPop")]
    public static partial void PopPool(nint pool);

    [LibraryImport(Metal, EntryPoint = "MTLCreateSystemDefaultDevice")]
    public static partial nint CreateSystemDefaultDevice();

    [LibraryImport(Metal, EntryPoint = "MTLCopyAllDevices")]
    public static partial nint CopyAllDevices();

    [LibraryImport(System, EntryPoint = "dispatch_data_create")]
    public static partial nint CreateData(void* bytes, nuint length, nint queue, nint destructor);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForObject(nint receiver, nint selector);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForObject(nint receiver, nint selector, nint argument);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForObject(nint receiver, nint selector, nint argument, nint* error);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForObject(nint receiver, nint selector, nint argument, nint options, nint* error);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForObjectAt(nint receiver, nint selector, nuint index);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForBuffer(nint receiver, nint selector, nuint length, nuint options);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nint SendForBuffer(nint receiver, nint selector, void* bytes, nuint length, nuint options, nint deallocator);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void* SendForPointer(nint receiver, nint selector);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial nuint SendForUnsigned(nint receiver, nint selector);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial byte SendForBool(nint receiver, nint selector, nint argument);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial byte SendForBool(nint receiver, nint selector);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector, nint argument);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoidUnsigned(nint receiver, nint selector, nuint argument);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector, byte flag);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector, nuint length, nuint index);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector, nint buffer, nuint offset, nuint index);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector, void* bytes, nuint length, nuint index);

    [LibraryImport(ObjC, EntryPoint = Send)]
    public static partial void SendVoid(nint receiver, nint selector, MTLSize grid, MTLSize group);
}

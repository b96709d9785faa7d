// The system module that kernels are compiled against: the types the compiler knows by name and the few members kernels call. A kernel that
// calls anything else does not compile, and so cannot pass by accident. Intrinsics are generated from the framework's own (see Generator).

namespace System
{
    public class Object
    {
        private IntPtr _methodTable;
    }

    public struct Void { }
    public abstract class ValueType { }
    public abstract class Enum : ValueType { }
    public struct Boolean { }
    public struct Char { }
    public struct SByte { }
    public struct Byte { }
    public struct Int16 { }
    public struct UInt16 { }
    public struct Int32 { }
    public struct UInt32 { }
    public struct Int64 { }
    public struct UInt64 { }
    public struct IntPtr { }
    public struct UIntPtr { }
    public struct Single
    {
        public const float NaN = 0f / 0f;

        public static bool IsInfinity(float value) => (BitConverter.SingleToUInt32Bits(value) & 0x7FFF_FFFF) == 0x7F80_0000;
    }

    public struct Double { }
    public struct Nullable<T> where T : struct { }

    public struct ValueTuple<T1, T2>
    {
        public T1 Item1;
        public T2 Item2;

        public ValueTuple(T1 item1, T2 item2)
        {
            Item1 = item1;
            Item2 = item2;
        }
    }

    public sealed class String { public readonly int Length; }
    public abstract class Array { }
    public class Array<T> : Array { }
    public abstract class Delegate { }
    public abstract class MulticastDelegate : Delegate { }
    public class Exception { }
    public class Type { }
    public struct RuntimeTypeHandle { }
    public struct RuntimeMethodHandle { }
    public struct RuntimeFieldHandle { }
    public struct TypedReference { }

    public class Attribute { }
    public enum AttributeTargets { All = 0x7FFF }

    public sealed class AttributeUsageAttribute : Attribute
    {
        public AttributeUsageAttribute(AttributeTargets targets) { }
        public bool AllowMultiple { get => false; set { } }
        public bool Inherited { get => false; set { } }
    }

    public sealed class FlagsAttribute : Attribute { }
    public sealed class ParamArrayAttribute : Attribute { }
    public sealed class ObsoleteAttribute : Attribute { }

    public readonly ref struct ReadOnlySpan<T>
    {
        private readonly ref T _reference;
        private readonly int _length;

        public unsafe ReadOnlySpan(void* pointer, int length)
        {
            _reference = ref *(T*)pointer;
            _length = length;
        }

        public int Length { [Runtime.CompilerServices.NonVersionable] get => _length; }

        public ref readonly T this[int index]
        {
            [Runtime.CompilerServices.Intrinsic]
            get
            {
                if ((uint)index >= (uint)_length)
                {
                    Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowIndexOutOfRangeException();
                }

                return ref Runtime.CompilerServices.Unsafe.Add(ref _reference, index);
            }
        }
    }

    public static class Math
    {
        public static int Min(int a, int b) => a < b ? a : b;
        public static int Max(int a, int b) => a > b ? a : b;
    }

    public static class BitConverter
    {
        [Runtime.CompilerServices.Intrinsic]
        public static unsafe float UInt32BitsToSingle(uint value) => *(float*)&value;

        [Runtime.CompilerServices.Intrinsic]
        public static unsafe uint SingleToUInt32Bits(float value) => *(uint*)&value;
    }
}

namespace System.Reflection
{
    public sealed class DefaultMemberAttribute : Attribute { public DefaultMemberAttribute(string name) { } }
}

namespace System.Runtime
{
    public sealed class RuntimeExportAttribute : Attribute { public RuntimeExportAttribute(string name) { } }

    public sealed class RuntimeImportAttribute : Attribute
    {
        public RuntimeImportAttribute(string library, string name) { }
    }
}

namespace System.Runtime.CompilerServices
{
    public sealed class IntrinsicAttribute : Attribute { }
    public sealed class NonVersionableAttribute : Attribute { }
    public sealed class ExtensionAttribute : Attribute { }
    public sealed class IsReadOnlyAttribute : Attribute { }
    public sealed class IsByRefLikeAttribute : Attribute { }
    public sealed class IsUnmanagedAttribute : Attribute { }
    public sealed class InlineArrayAttribute : Attribute { public InlineArrayAttribute(int length) { } }
    public sealed class FixedBufferAttribute : Attribute { public FixedBufferAttribute(Type type, int length) { } }
    public sealed class UnsafeValueTypeAttribute : Attribute { }
    public sealed class SkipLocalsInitAttribute : Attribute { }
    public sealed class CompilerGeneratedAttribute : Attribute { }
    public sealed class RefSafetyRulesAttribute : Attribute { public RefSafetyRulesAttribute(int version) { } }
    public sealed class CompilationRelaxationsAttribute : Attribute { public CompilationRelaxationsAttribute(int value) { } }
    public sealed class RuntimeCompatibilityAttribute : Attribute { public bool WrapNonExceptionThrows { get => false; set { } } }
    public sealed class MethodImplAttribute : Attribute { public MethodImplAttribute(MethodImplOptions options) { } }
    public enum MethodImplOptions { NoInlining = 8, AggressiveInlining = 256, AggressiveOptimization = 512, InternalCall = 4096 }
    public static class IsVolatile { }

    public sealed class CompilerFeatureRequiredAttribute : Attribute
    {
        public CompilerFeatureRequiredAttribute(string name) { }
        public bool IsOptional { get => false; set { } }
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class TypeForwardedToAttribute : Attribute { public TypeForwardedToAttribute(Type type) { } }

    public static class RuntimeHelpers
    {
        public static unsafe int OffsetToStringData => sizeof(IntPtr) + sizeof(int);
    }

    public static class RuntimeFeature
    {
        public const string ByRefFields = "";
        public const string NumericIntPtr = "";
        public const string UnmanagedSignatureCallingConvention = "";
        public const string VirtualStaticsInInterfaces = "";
        public const string DefaultImplementationsOfInterfaces = "";
    }

    // The bodies are the compiler's.
    public static unsafe class Unsafe
    {
        [Intrinsic] public static ref T Add<T>(ref T source, int offset) => ref Add(ref source, offset);
        [Intrinsic] public static ref T Add<T>(ref T source, nint offset) => ref Add(ref source, offset);
        [Intrinsic] public static ref TTo As<TFrom, TTo>(ref TFrom source) => ref As<TFrom, TTo>(ref source);
        [Intrinsic] public static T ReadUnaligned<T>(void* source) => ReadUnaligned<T>(source);
        [Intrinsic] public static void InitBlockUnaligned(void* start, byte value, uint bytes) => Fill(start, value, bytes);
        [Intrinsic] public static void CopyBlockUnaligned(void* destination, void* source, uint bytes) => Copy(destination, source, bytes);

        private static void Fill(void* start, byte value, uint bytes)
        {
            for (uint i = 0; i < bytes; i++)
            {
                ((byte*)start)[i] = value;
            }
        }

        private static void Copy(void* destination, void* source, uint bytes)
        {
            for (uint i = 0; i < bytes; i++)
            {
                ((byte*)destination)[i] = ((byte*)source)[i];
            }
        }
    }
}

namespace System.Runtime.InteropServices
{
    public enum LayoutKind { Sequential = 0, Explicit = 2, Auto = 3 }
    public enum UnmanagedType { }

    public sealed class StructLayoutAttribute : Attribute
    {
        public StructLayoutAttribute(LayoutKind kind) { }
        public int Size;
        public int Pack;
    }

    public sealed class InAttribute : Attribute { }
    public sealed class OutAttribute : Attribute { }
}

namespace Internal.Runtime.CompilerHelpers
{
    using System.Runtime;
    using System.Runtime.CompilerServices;

    internal static class StartupCodeHelpers { }

    // What the compiler calls where code could throw. Kernels do not throw: the host stops.
    internal static class ThrowHelpers
    {
        [RuntimeImport("*", "kquant_fail")]
        [MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void Fail(int code);

        public static void ThrowIndexOutOfRangeException() => Fail(1);
        private static void ThrowOverflowException() => Fail(2);
        private static void ThrowDivideByZeroException() => Fail(3);
        private static void ThrowNullReferenceException() => Fail(4);
        private static void ThrowPlatformNotSupportedException() => Fail(5);
        private static void ThrowArgumentOutOfRangeException() => Fail(6);
    }
}

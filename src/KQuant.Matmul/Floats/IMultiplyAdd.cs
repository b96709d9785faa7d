using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Floats;

/// <summary>How a product is added to a sum.</summary>
internal interface IMultiplyAdd
{
    /// <summary>Whether it is rounded once, as the canonical order wants it.</summary>
    static abstract bool IsFused { get; }

    static abstract float MultiplyAdd(float a, float b, float c);

    static abstract Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c);
}

/// <summary>Rounded once; computed in software, some ten times slower, where the processor has no such instruction.</summary>
internal readonly struct FusedMultiplyAdd : IMultiplyAdd
{
    /// <summary>Whether this processor has the instruction.</summary>
    public static bool IsHardwareAccelerated => Fma.IsSupported || AdvSimd.IsSupported;

    public static bool IsFused => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.FusedMultiplyAdd(a, b, c);
}

/// <summary>The product is rounded, then the sum.</summary>
internal readonly struct SeparateMultiplyAdd : IMultiplyAdd
{
    public static bool IsFused => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MultiplyAdd(float a, float b, float c) => (a * b) + c;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) => (a * b) + c;
}

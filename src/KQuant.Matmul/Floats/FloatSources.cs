using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>float32 as it is.</summary>
internal readonly unsafe struct F32Source : IFloatSource
{
    public static QuantFormat Format => QuantFormat.F32;

    public static int DirectRows => 32;

    public static float Load(byte* source, nint index) => ((float*)source)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load512(byte* source, nint index) => Vector512.Load((float*)source + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load256(byte* source, nint index) => Vector256.Load((float*)source + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load128(byte* source, nint index) => Vector128.Load((float*)source + index);
}

/// <summary>bfloat16: the upper half of a float32.</summary>
internal readonly unsafe struct BF16Source : IFloatSource
{
    public static QuantFormat Format => QuantFormat.BF16;

    public static int DirectRows => 96;

    public static float Load(byte* source, nint index) => (float)((BFloat16*)source)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load512(byte* source, nint index) =>
        (Vector512.WidenLower(Vector256.Load((ushort*)source + index).ToVector512Unsafe()) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load256(byte* source, nint index) =>
        (Vector256.WidenLower(Vector128.Load((ushort*)source + index).ToVector256Unsafe()) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load128(byte* source, nint index) =>
        (Vector128.WidenLower(Vector64.Load((ushort*)source + index).ToVector128Unsafe()) << 16).AsSingle();
}

/// <summary>
/// binary16, by integer shifts and one exact multiplication: moving the 15 low bits into a float32's places gives the value times
/// 2^-112, subnormals included; what comes out at 2^16 or above was an infinity or a NaN and gets the full exponent.
/// </summary>
internal readonly unsafe struct F16Source : IFloatSource
{
    private const float TwoTo112 = 5.192296858534828e33f;
    private const int KeepBits = unchecked((int)0x8FFF_E000);
    private const int FullExponent = 0x7F80_0000;
    private const float FirstNonFinite = 65536f;

    public static QuantFormat Format => QuantFormat.F16;

    public static int DirectRows => 12;

    public static float Load(byte* source, nint index) => (float)((Half*)source)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load512(byte* source, nint index)
    {
        Vector512<int> bits = Vector512.WidenLower(Vector256.Load((short*)source + index).ToVector512Unsafe()) << 13;
        Vector512<float> value = (bits & Vector512.Create(KeepBits)).AsSingle() * Vector512.Create(TwoTo112);
        return Vector512.ConditionalSelect(
            Vector512.GreaterThanOrEqual(Vector512.Abs(value), Vector512.Create(FirstNonFinite)),
            value | Vector512.Create(FullExponent).AsSingle(),
            value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load256(byte* source, nint index)
    {
        Vector256<int> bits = Vector256.WidenLower(Vector128.Load((short*)source + index).ToVector256Unsafe()) << 13;
        Vector256<float> value = (bits & Vector256.Create(KeepBits)).AsSingle() * Vector256.Create(TwoTo112);
        Vector256<float> nonFinite = Vector256.GreaterThanOrEqual(Vector256.Abs(value), Vector256.Create(FirstNonFinite));
        return value | (nonFinite & Vector256.Create(FullExponent).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load128(byte* source, nint index)
    {
        Vector128<int> bits = Vector128.WidenLower(Vector64.Load((short*)source + index).ToVector128Unsafe()) << 13;
        Vector128<float> value = (bits & Vector128.Create(KeepBits)).AsSingle() * Vector128.Create(TwoTo112);
        Vector128<float> nonFinite = Vector128.GreaterThanOrEqual(Vector128.Abs(value), Vector128.Create(FirstNonFinite));
        return value | (nonFinite & Vector128.Create(FullExponent).AsSingle());
    }
}

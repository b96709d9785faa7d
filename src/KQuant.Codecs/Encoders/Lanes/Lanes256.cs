using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>Eight lanes.</summary>
internal readonly unsafe struct Lanes256(Vector256<float> value) : ILanes<Lanes256>
{
    private const float Magic = 12582912f;

    /// <summary>The largest number below one half: what <see cref="MidpointRounding.AwayFromZero"/> adds before it truncates.</summary>
    private const float AlmostHalf = 0.49999997f;

    private readonly Vector256<float> _value = value;

    public static int Count => Vector256<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Create(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator +(Lanes256 left, Lanes256 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator -(Lanes256 left, Lanes256 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator *(Lanes256 left, Lanes256 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator /(Lanes256 left, Lanes256 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator &(Lanes256 left, Lanes256 right) => new(left._value & right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator |(Lanes256 left, Lanes256 right) => new(left._value | right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator <(Lanes256 left, Lanes256 right) => new(Vector256.LessThan(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator >(Lanes256 left, Lanes256 right) => new(Vector256.GreaterThan(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 AreEqual(Lanes256 left, Lanes256 right) => new(Vector256.Equals(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Select(Lanes256 mask, Lanes256 whenSet, Lanes256 whenNot) =>
        new(Vector256.ConditionalSelect(mask._value, whenSet._value, whenNot._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Any(Lanes256 mask) => mask._value.AsInt32().ExtractMostSignificantBits() != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Min(Lanes256 left, Lanes256 right) => new(Vector256.MinNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Max(Lanes256 left, Lanes256 right) => new(Vector256.MaxNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Abs(Lanes256 value) => new(Vector256.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Round(Lanes256 value) => new(Vector256.Round(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Sqrt(Lanes256 value) => new(Vector256.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 NearestInt(Lanes256 value) => new(Vector256.ConvertToSingle(Integers(value._value)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 NearestSmallInt(Lanes256 value) =>
        new(value._value + Vector256.Create(Magic) - Vector256.Create(Magic));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LowByte(Lanes256 value) =>
        new(Vector256.ConvertToSingle(Vector256.ConvertToInt32Native(value._value) & Vector256.Create(0xFF)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreCodes(int low, int high, byte* destination) => StoreBytes(
        Vector256.Max(Vector256.Min(Integers(_value), Vector256.Create(high)), Vector256.Create(low)) - Vector256.Create(low), destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreTruncated(int high, byte* destination) =>
        StoreBytes(Vector256.Min(Vector256.ConvertToInt32(_value), Vector256.Create(high)), destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreRounded(sbyte* destination)
    {
        Vector256<float> half = Vector256.ConditionalSelect(Vector256.Create(float.NegativeZero), _value, Vector256.Create(AlmostHalf));
        StoreBytes(Vector256.ConvertToInt32(_value + half), (byte*)destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* destination) => _value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreBytes(Vector256<int> codes, byte* destination)
    {
        Vector128<short> words = Vector128.Narrow(codes.GetLower(), codes.GetUpper());
        Unsafe.WriteUnaligned(destination, Vector128.Narrow(words, words).AsUInt64().ToScalar());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Integers(Vector256<float> value) =>
        ((value + Vector256.Create(Magic)).AsInt32() & Vector256.Create(0x007F_FFFF)) - Vector256.Create(0x0040_0000);
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>Four lanes.</summary>
internal readonly unsafe struct Lanes128(Vector128<float> value) : ILanes<Lanes128>
{
    private const float Magic = 12582912f;

    /// <summary>The largest number below one half: what <see cref="MidpointRounding.AwayFromZero"/> adds before it truncates.</summary>
    private const float AlmostHalf = 0.49999997f;

    private readonly Vector128<float> _value = value;

    public static int Count => Vector128<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Create(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator +(Lanes128 left, Lanes128 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator -(Lanes128 left, Lanes128 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator *(Lanes128 left, Lanes128 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator /(Lanes128 left, Lanes128 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator &(Lanes128 left, Lanes128 right) => new(left._value & right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator |(Lanes128 left, Lanes128 right) => new(left._value | right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator <(Lanes128 left, Lanes128 right) => new(Vector128.LessThan(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator >(Lanes128 left, Lanes128 right) => new(Vector128.GreaterThan(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 AreEqual(Lanes128 left, Lanes128 right) => new(Vector128.Equals(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Select(Lanes128 mask, Lanes128 whenSet, Lanes128 whenNot) =>
        new(Vector128.ConditionalSelect(mask._value, whenSet._value, whenNot._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Any(Lanes128 mask) => mask._value.AsInt32().ExtractMostSignificantBits() != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Min(Lanes128 left, Lanes128 right) => new(Vector128.MinNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Max(Lanes128 left, Lanes128 right) => new(Vector128.MaxNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Abs(Lanes128 value) => new(Vector128.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Round(Lanes128 value) => new(Vector128.Round(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Sqrt(Lanes128 value) => new(Vector128.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 NearestInt(Lanes128 value) => new(Vector128.ConvertToSingle(Integers(value._value)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 NearestSmallInt(Lanes128 value) =>
        new(value._value + Vector128.Create(Magic) - Vector128.Create(Magic));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LowByte(Lanes128 value) =>
        new(Vector128.ConvertToSingle(Vector128.ConvertToInt32Native(value._value) & Vector128.Create(0xFF)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreCodes(int low, int high, byte* destination) => StoreBytes(
        Vector128.Max(Vector128.Min(Integers(_value), Vector128.Create(high)), Vector128.Create(low)) - Vector128.Create(low), destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreTruncated(int high, byte* destination) =>
        StoreBytes(Vector128.Min(Vector128.ConvertToInt32(_value), Vector128.Create(high)), destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreRounded(sbyte* destination)
    {
        Vector128<float> half = Vector128.ConditionalSelect(Vector128.Create(float.NegativeZero), _value, Vector128.Create(AlmostHalf));
        StoreBytes(Vector128.ConvertToInt32(_value + half), (byte*)destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* destination) => _value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreBytes(Vector128<int> codes, byte* destination)
    {
        Vector128<short> words = Vector128.Narrow(codes, codes);
        Unsafe.WriteUnaligned(destination, Vector128.Narrow(words, words).AsUInt32().ToScalar());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Integers(Vector128<float> value) =>
        ((value + Vector128.Create(Magic)).AsInt32() & Vector128.Create(0x007F_FFFF)) - Vector128.Create(0x0040_0000);
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>Sixteen lanes.</summary>
internal readonly unsafe struct Lanes512(Vector512<float> value) : ILanes<Lanes512>
{
    private const float Magic = 12582912f;

    /// <summary>The largest number below one half: what <see cref="MidpointRounding.AwayFromZero"/> adds before it truncates.</summary>
    private const float AlmostHalf = 0.49999997f;

    private readonly Vector512<float> _value = value;

    public static int Count => Vector512<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Create(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator +(Lanes512 left, Lanes512 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator -(Lanes512 left, Lanes512 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator *(Lanes512 left, Lanes512 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator /(Lanes512 left, Lanes512 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator &(Lanes512 left, Lanes512 right) => new(left._value & right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator |(Lanes512 left, Lanes512 right) => new(left._value | right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator <(Lanes512 left, Lanes512 right) => new(Vector512.LessThan(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator >(Lanes512 left, Lanes512 right) => new(Vector512.GreaterThan(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 AreEqual(Lanes512 left, Lanes512 right) => new(Vector512.Equals(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Select(Lanes512 mask, Lanes512 whenSet, Lanes512 whenNot) =>
        new(Vector512.ConditionalSelect(mask._value, whenSet._value, whenNot._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Any(Lanes512 mask) => mask._value.AsInt32().ExtractMostSignificantBits() != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Min(Lanes512 left, Lanes512 right) => new(Vector512.MinNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Max(Lanes512 left, Lanes512 right) => new(Vector512.MaxNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Abs(Lanes512 value) => new(Vector512.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Round(Lanes512 value) => new(Vector512.Round(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Sqrt(Lanes512 value) => new(Vector512.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 NearestInt(Lanes512 value) => new(Vector512.ConvertToSingle(Integers(value._value)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 NearestSmallInt(Lanes512 value) =>
        new(value._value + Vector512.Create(Magic) - Vector512.Create(Magic));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LowByte(Lanes512 value) =>
        new(Vector512.ConvertToSingle(Vector512.ConvertToInt32Native(value._value) & Vector512.Create(0xFF)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreCodes(int low, int high, byte* destination) => StoreBytes(
        Vector512.Max(Vector512.Min(Integers(_value), Vector512.Create(high)), Vector512.Create(low)) - Vector512.Create(low), destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreTruncated(int high, byte* destination) =>
        StoreBytes(Vector512.Min(Vector512.ConvertToInt32(_value), Vector512.Create(high)), destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreRounded(sbyte* destination)
    {
        Vector512<float> half = Vector512.ConditionalSelect(Vector512.Create(float.NegativeZero), _value, Vector512.Create(AlmostHalf));
        StoreBytes(Vector512.ConvertToInt32(_value + half), (byte*)destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* destination) => _value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreBytes(Vector512<int> codes, byte* destination)
    {
        Avx512F.ConvertToVector128Byte(codes).Store(destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Integers(Vector512<float> value) =>
        ((value + Vector512.Create(Magic)).AsInt32() & Vector512.Create(0x007F_FFFF)) - Vector512.Create(0x0040_0000);
}

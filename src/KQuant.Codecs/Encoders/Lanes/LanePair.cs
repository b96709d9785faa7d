using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>Twice as many lanes: two chains of operations that do not wait for each other.</summary>
internal readonly unsafe struct LanePair<T>(T first, T second) : ILanes<LanePair<T>>
    where T : struct, ILanes<T>
{
    private readonly T _first = first;
    private readonly T _second = second;

    public static int Count => 2 * T.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Create(float value) => new(T.Create(value), T.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Load(float* source) => new(T.Load(source), T.Load(source + T.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator +(LanePair<T> left, LanePair<T> right) => new(left._first + right._first, left._second + right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator -(LanePair<T> left, LanePair<T> right) => new(left._first - right._first, left._second - right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator *(LanePair<T> left, LanePair<T> right) => new(left._first * right._first, left._second * right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator /(LanePair<T> left, LanePair<T> right) => new(left._first / right._first, left._second / right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator &(LanePair<T> left, LanePair<T> right) => new(left._first & right._first, left._second & right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator |(LanePair<T> left, LanePair<T> right) => new(left._first | right._first, left._second | right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator <(LanePair<T> left, LanePair<T> right) => new(left._first < right._first, left._second < right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> operator >(LanePair<T> left, LanePair<T> right) => new(left._first > right._first, left._second > right._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> AreEqual(LanePair<T> left, LanePair<T> right) =>
        new(T.AreEqual(left._first, right._first), T.AreEqual(left._second, right._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Select(LanePair<T> mask, LanePair<T> whenSet, LanePair<T> whenNot) => new(
        T.Select(mask._first, whenSet._first, whenNot._first), T.Select(mask._second, whenSet._second, whenNot._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Any(LanePair<T> mask) => T.Any(mask._first) || T.Any(mask._second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Min(LanePair<T> left, LanePair<T> right) => new(T.Min(left._first, right._first), T.Min(left._second, right._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Max(LanePair<T> left, LanePair<T> right) => new(T.Max(left._first, right._first), T.Max(left._second, right._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Abs(LanePair<T> value) => new(T.Abs(value._first), T.Abs(value._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Round(LanePair<T> value) => new(T.Round(value._first), T.Round(value._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> Sqrt(LanePair<T> value) => new(T.Sqrt(value._first), T.Sqrt(value._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> NearestInt(LanePair<T> value) => new(T.NearestInt(value._first), T.NearestInt(value._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> NearestSmallInt(LanePair<T> value) => new(T.NearestSmallInt(value._first), T.NearestSmallInt(value._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanePair<T> LowByte(LanePair<T> value) => new(T.LowByte(value._first), T.LowByte(value._second));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreCodes(int low, int high, byte* destination)
    {
        _first.StoreCodes(low, high, destination);
        _second.StoreCodes(low, high, destination + T.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreTruncated(int high, byte* destination)
    {
        _first.StoreTruncated(high, destination);
        _second.StoreTruncated(high, destination + T.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreRounded(sbyte* destination)
    {
        _first.StoreRounded(destination);
        _second.StoreRounded(destination + T.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* destination)
    {
        _first.Store(destination);
        _second.Store(destination + T.Count);
    }
}

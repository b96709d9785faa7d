namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>
/// Some float32 values that do not know of each other: what an encoder computes for one group of weights, for as many groups at once as
/// there are lanes. Every operation rounds as the scalar one does; none is a fused multiply-add.
/// </summary>
/// <remarks>Comparisons give masks, all bits or none of a lane, that only <c>&amp;</c>, <c>|</c>, <see cref="Select"/> and <see cref="Any"/> take.</remarks>
internal unsafe interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    /// <summary>Number of lanes: 4, 8, 16 or twice or four times that.</summary>
    static abstract int Count { get; }

    /// <summary>One value in all lanes.</summary>
    static abstract TSelf Create(float value);

    /// <summary>As many values as there are lanes.</summary>
    static abstract TSelf Load(float* source);

    /// <summary>Sum, lane by lane.</summary>
    static abstract TSelf operator +(TSelf left, TSelf right);

    /// <summary>Difference, lane by lane.</summary>
    static abstract TSelf operator -(TSelf left, TSelf right);

    /// <summary>Product, lane by lane.</summary>
    static abstract TSelf operator *(TSelf left, TSelf right);

    /// <summary>Quotient, lane by lane.</summary>
    static abstract TSelf operator /(TSelf left, TSelf right);

    /// <summary>Where both masks are set.</summary>
    static abstract TSelf operator &(TSelf left, TSelf right);

    /// <summary>Where one of two masks is set.</summary>
    static abstract TSelf operator |(TSelf left, TSelf right);

    /// <summary>Mask of where the left value is less; not where one is NaN.</summary>
    static abstract TSelf operator <(TSelf left, TSelf right);

    /// <summary>Mask of where the left value is larger; not where one is NaN.</summary>
    static abstract TSelf operator >(TSelf left, TSelf right);

    /// <summary>Mask of where the values are equal; not where one is NaN.</summary>
    static abstract TSelf AreEqual(TSelf left, TSelf right);

    /// <summary>One value where a mask is set, the other where it is not.</summary>
    static abstract TSelf Select(TSelf mask, TSelf whenSet, TSelf whenNot);

    /// <summary>Whether a mask is set anywhere.</summary>
    static abstract bool Any(TSelf mask);

    /// <summary>The lesser of two numbers, whichever of two zeros.</summary>
    static abstract TSelf Min(TSelf left, TSelf right);

    /// <summary>The larger of two numbers, whichever of two zeros.</summary>
    static abstract TSelf Max(TSelf left, TSelf right);

    /// <summary>Magnitudes.</summary>
    static abstract TSelf Abs(TSelf value);

    /// <summary>Nearest integers, ties to even.</summary>
    static abstract TSelf Round(TSelf value);

    /// <summary>Square roots.</summary>
    static abstract TSelf Sqrt(TSelf value);

    /// <summary><see cref="Rounding.NearestInt(float)"/>, whatever the value is.</summary>
    static abstract TSelf NearestInt(TSelf value);

    /// <summary><see cref="Rounding.NearestInt(float)"/> for values below 2^22 in magnitude.</summary>
    static abstract TSelf NearestSmallInt(TSelf value);

    /// <summary>The lowest eight bits of integers: what is left of them in a byte.</summary>
    static abstract TSelf LowByte(TSelf value);

    /// <summary><see cref="Rounding.NearestInt(float, int, int)"/>, counted from the lowest code, as bytes.</summary>
    void StoreCodes(int low, int high, byte* destination);

    /// <summary>The integer parts, at most <paramref name="high"/>, as bytes.</summary>
    void StoreTruncated(int high, byte* destination);

    /// <summary>The nearest integers, halves away from zero, as signed bytes.</summary>
    void StoreRounded(sbyte* destination);

    /// <summary>Stores the values.</summary>
    void Store(float* destination);
}

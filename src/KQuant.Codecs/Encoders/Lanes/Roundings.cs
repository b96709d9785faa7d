using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>How values become the nearest integers.</summary>
internal interface IRounding
{
    static abstract T NearestInt<T>(T value)
        where T : struct, ILanes<T>;
}

/// <summary>For values that are known to be below 2^22 in magnitude.</summary>
internal readonly struct SmallRounding : IRounding
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T NearestInt<T>(T value)
        where T : struct, ILanes<T> => T.NearestSmallInt(value);
}

/// <summary>For any values.</summary>
internal readonly struct AnyRounding : IRounding
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T NearestInt<T>(T value)
        where T : struct, ILanes<T> => T.NearestInt(value);
}

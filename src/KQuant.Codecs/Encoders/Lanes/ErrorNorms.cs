using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>What a fit minimises the weighted sum of.</summary>
internal interface IErrorNorm
{
    static abstract T Of<T>(T error)
        where T : struct, ILanes<T>;
}

/// <summary>Squared errors.</summary>
internal readonly struct SquaredNorm : IErrorNorm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Of<T>(T error)
        where T : struct, ILanes<T> => error * error;
}

/// <summary>Magnitudes of errors.</summary>
internal readonly struct AbsoluteNorm : IErrorNorm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Of<T>(T error)
        where T : struct, ILanes<T> => T.Abs(error);
}

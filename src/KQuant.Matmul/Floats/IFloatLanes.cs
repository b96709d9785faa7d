using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>
/// Sixteen float32 lanes: the unit in which every float product is summed, whatever the width of the machine's vectors. An
/// implementation holds them in one, two or four registers.
/// </summary>
internal unsafe interface IFloatLanes<TSelf>
    where TSelf : struct, IFloatLanes<TSelf>
{
    /// <summary>The instruction set it is written for.</summary>
    static abstract KernelTier Tier { get; }

    /// <summary>Whether <see cref="MultiplyAdd"/> rounds once, as the canonical order wants it.</summary>
    static virtual bool IsFused => true;

    /// <summary>Activation rows of a full tile, up to 4.</summary>
    static abstract int TileRows { get; }

    /// <summary>Weight rows (or vectors of weight columns) of a full tile, 2 or 4: with the rows, what the registers hold.</summary>
    static abstract int TileColumns { get; }

    /// <summary>Sixteen floats.</summary>
    static abstract TSelf Load(float* source);

    /// <summary>Sixteen weights from number <paramref name="index"/> on, widened.</summary>
    static abstract TSelf Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource;

    /// <summary>One value in all lanes.</summary>
    static abstract TSelf Broadcast(float value);

    /// <summary><c>a * b + c</c>, rounded once if <see cref="IsFused"/>.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    /// <summary>Lane by lane.</summary>
    static abstract TSelf Add(TSelf a, TSelf b);

    /// <summary>Stores sixteen floats.</summary>
    static abstract void Store(TSelf value, float* destination);

    /// <summary>The sums over the lanes, each in the canonical order: lane j with j + 8, then with j + 4, j + 2, j + 1.</summary>
    static abstract Vector128<float> Sum(TSelf a, TSelf b, TSelf c, TSelf d);
}

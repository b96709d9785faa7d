using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>From weights that follow each other to lanes.</summary>
internal static unsafe class LaneLayout
{
    /// <summary>Copies runs of values so that each becomes a lane.</summary>
    /// <param name="sources">Where the runs begin; a multiple of four of them.</param>
    /// <param name="lanes">How many there are.</param>
    /// <param name="offset">Values to skip in each.</param>
    /// <param name="count">Values to copy of each, a multiple of four.</param>
    /// <param name="destination">Receives the first value of every run, the second, ...</param>
    /// <param name="stride">How far these are from each other.</param>
    public static void Transpose(float** sources, int lanes, nint offset, int count, float* destination, nint stride)
    {
        for (int lane = 0; lane < lanes; lane += 4)
        {
            float* a = sources[lane] + offset;
            float* b = sources[lane + 1] + offset;
            float* c = sources[lane + 2] + offset;
            float* d = sources[lane + 3] + offset;
            float* to = destination + lane;
            for (nint i = 0; i < count; i += 4)
            {
                (Vector128<float> ab, Vector128<float> abHigh) = Zip(Vector128.Load(a + i), Vector128.Load(b + i));
                (Vector128<float> cd, Vector128<float> cdHigh) = Zip(Vector128.Load(c + i), Vector128.Load(d + i));
                (Vector128<double> first, Vector128<double> second) = Zip(ab.AsDouble(), cd.AsDouble());
                (Vector128<double> third, Vector128<double> fourth) = Zip(abHigh.AsDouble(), cdHigh.AsDouble());
                first.AsSingle().Store(to);
                second.AsSingle().Store(to + stride);
                third.AsSingle().Store(to + (2 * stride));
                fourth.AsSingle().Store(to + (3 * stride));
                to += 4 * stride;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float> Low, Vector128<float> High) Zip(Vector128<float> left, Vector128<float> right) => Sse.IsSupported
        ? (Sse.UnpackLow(left, right), Sse.UnpackHigh(left, right))
        : (AdvSimd.Arm64.ZipLow(left, right), AdvSimd.Arm64.ZipHigh(left, right));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<double> Low, Vector128<double> High) Zip(Vector128<double> left, Vector128<double> right) => Sse2.IsSupported
        ? (Sse2.UnpackLow(left, right), Sse2.UnpackHigh(left, right))
        : (AdvSimd.Arm64.ZipLow(left, right), AdvSimd.Arm64.ZipHigh(left, right));
}

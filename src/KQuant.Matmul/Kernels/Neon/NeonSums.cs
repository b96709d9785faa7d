using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>Sums of activation codes: what minima are multiplied with.</summary>
internal static unsafe class NeonSums
{
    /// <summary>Bytes that the sums of a unit take, one for every minimum of a K-quant block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Bytes(bool hasMin, int subBlock) => !hasMin ? 0 : subBlock == 16 ? 32 : 16;

    /// <summary>Stores sixteen sums of sixteen codes, or eight of 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(short* sums, bool hasMin, int subBlock, byte* destination)
    {
        if (!hasMin)
        {
            return;
        }

        Vector128<short> low = AdvSimd.LoadVector128(sums), high = AdvSimd.LoadVector128(sums + 8);
        if (subBlock == 16)
        {
            low.Store((short*)destination);
            high.Store((short*)destination + 8);
        }
        else
        {
            AdvSimd.Arm64.AddPairwise(low, high).Store((short*)destination);
        }
    }

    /// <summary>Four sums as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadFour(short* sums) =>
        AdvSimd.ConvertToSingle(AdvSimd.SignExtendWideningLower(AdvSimd.LoadVector64(sums)));
}

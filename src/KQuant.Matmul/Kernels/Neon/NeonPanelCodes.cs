using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs.Decoding;

#pragma warning disable CA1857 // Operands that must be constants are, once methods are inlined.

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>Codes of four rows on their way into a panel.</summary>
internal static unsafe class NeonPanelCodes
{
    /// <summary>Stores sixteen unpacked codes of each row as the weights' integers, arranged.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<TCodes, TDot>(Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, sbyte* codes)
        where TCodes : struct, INeonCodes
        where TDot : struct, INeonDot
    {
        if (TCodes.Shift > 0)
        {
            c0 = AdvSimd.ShiftRightArithmetic(c0, (byte)TCodes.Shift);
            c1 = AdvSimd.ShiftRightArithmetic(c1, (byte)TCodes.Shift);
            c2 = AdvSimd.ShiftRightArithmetic(c2, (byte)TCodes.Shift);
            c3 = AdvSimd.ShiftRightArithmetic(c3, (byte)TCodes.Shift);
        }

        TDot.Interleave(ref c0, ref c1, ref c2, ref c3);
        c0.Store(codes);
        c1.Store(codes + 16);
        c2.Store(codes + 32);
        c3.Store(codes + 48);
    }
}

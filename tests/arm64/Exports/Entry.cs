using System.Runtime;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Kernels.Neon;

namespace KQuant.Arm64.Exports;

/// <summary>The one function that the host calls. It chooses by type what the tables of the assemblies choose by object.</summary>
internal static unsafe class Entry
{
    /// <summary>Runs a request.</summary>
    /// <param name="request">What to run.</param>
    /// <param name="buffers"><see cref="Request.Buffers"/> of them.</param>
    /// <returns>0, -1 if there is no such kernel, or what the operation says.</returns>
    [RuntimeExport("kquant_run")]
    internal static int Run(Request* request, byte** buffers)
    {
        switch ((Operation)request->Operation)
        {
            case Operation.Capabilities:
                return (AdvSimd.Arm64.IsSupported ? 1 : 0) | (Dp.IsSupported ? 2 : 0);
            case Operation.Decode:
                return Decode(request, buffers);
            case Operation.Quantize:
                ActivationView view = View(request, buffers, (int)request->Numbers[1], (ActivationScheme)request->Numbers[2]);
                TieredQuantizer<NeonQuantizer>.Quantize((float*)buffers[0], (int)request->Numbers[0], view, 0);
                return 0;
            default:
                return request->Tier == (int)KernelTier.NeonDot
                    ? Multiply<NeonDotProduct>(request, buffers)
                    : Multiply<NeonWideningProduct>(request, buffers);
        }
    }

    private static int Decode(Request* request, byte** buffers)
    {
        byte* source = buffers[0];
        float* destination = (float*)buffers[1];
        nint blocks = (nint)request->Numbers[0];
        bool isPortable = request->Tier == (int)KernelTier.Portable;
        switch ((QuantFormat)request->Format)
        {
            case QuantFormat.F16: PortableFloatDecoders.F16(source, destination, blocks); break;
            case QuantFormat.BF16: PortableFloatDecoders.BF16(source, destination, blocks); break;
            case QuantFormat.Q4_0 when isPortable: PortableFlatDecoders.Q4_0(source, destination, blocks); break;
            case QuantFormat.Q4_1 when isPortable: PortableFlatDecoders.Q4_1(source, destination, blocks); break;
            case QuantFormat.Q5_0 when isPortable: PortableFlatDecoders.Q5_0(source, destination, blocks); break;
            case QuantFormat.Q5_1 when isPortable: PortableFlatDecoders.Q5_1(source, destination, blocks); break;
            case QuantFormat.Q8_0 when isPortable: PortableFlatDecoders.Q8_0(source, destination, blocks); break;
            case QuantFormat.Q2_K when isPortable: PortableKDecoders.Q2_K(source, destination, blocks); break;
            case QuantFormat.Q3_K when isPortable: PortableKDecoders.Q3_K(source, destination, blocks); break;
            case QuantFormat.Q4_K when isPortable: PortableKDecoders.Q4_K(source, destination, blocks); break;
            case QuantFormat.Q5_K when isPortable: PortableKDecoders.Q5_K(source, destination, blocks); break;
            case QuantFormat.Q6_K when isPortable: PortableKDecoders.Q6_K(source, destination, blocks); break;
            case QuantFormat.Q4_0: NeonDecoders.Flat<NeonQ4_0>(source, destination, blocks); break;
            case QuantFormat.Q4_1: NeonDecoders.Flat<NeonQ4_1>(source, destination, blocks); break;
            case QuantFormat.Q5_0: NeonDecoders.Flat<NeonQ5_0>(source, destination, blocks); break;
            case QuantFormat.Q5_1: NeonDecoders.Flat<NeonQ5_1>(source, destination, blocks); break;
            case QuantFormat.Q8_0: NeonDecoders.Flat<NeonQ8_0>(source, destination, blocks); break;
            case QuantFormat.Q2_K: NeonDecoders.K<NeonQ2_K>(source, destination, blocks); break;
            case QuantFormat.Q3_K: NeonDecoders.K<NeonQ3_K>(source, destination, blocks); break;
            case QuantFormat.Q4_K: NeonDecoders.K<NeonQ4_K>(source, destination, blocks); break;
            case QuantFormat.Q5_K: NeonDecoders.K<NeonQ5_K>(source, destination, blocks); break;
            case QuantFormat.Q6_K: NeonDecoders.K<NeonQ6_K>(source, destination, blocks); break;
            default: return -1;
        }

        return 0;
    }

    private static int Multiply<TDot>(Request* request, byte** buffers)
        where TDot : struct, INeonDot => (QuantFormat)request->Format switch
        {
            QuantFormat.Q4_0 => Flat<NeonQ4_0, TDot>(request, buffers),
            QuantFormat.Q4_1 => Flat<NeonQ4_1, TDot>(request, buffers),
            QuantFormat.Q5_0 => Flat<NeonQ5_0, TDot>(request, buffers),
            QuantFormat.Q5_1 => Flat<NeonQ5_1, TDot>(request, buffers),
            QuantFormat.Q8_0 => Flat<NeonQ8_0, TDot>(request, buffers),
            QuantFormat.Q2_K => K<NeonQ2_K, TDot>(request, buffers),
            QuantFormat.Q3_K => K<NeonQ3_K, TDot>(request, buffers),
            QuantFormat.Q4_K => K<NeonQ4_K, TDot>(request, buffers),
            QuantFormat.Q5_K => K<NeonQ5_K, TDot>(request, buffers),
            QuantFormat.Q6_K => K<NeonQ6_K, TDot>(request, buffers),
            _ => -1,
        };

    private static int Flat<TCodes, TDot>(Request* request, byte** buffers)
        where TCodes : struct, INeonFlatCodes
        where TDot : struct, INeonDot => (Operation)request->Operation switch
        {
            Operation.Row => Run<NeonFlatRowProduct<TCodes, TDot>>(request, buffers, ActivationScheme.Block32),
            Operation.Panel => Run<NeonPanelProduct<NeonFlatPanel<TCodes, TDot>>>(request, buffers, ActivationScheme.Block32),
            _ => -1,
        };

    private static int K<TCodes, TDot>(Request* request, byte** buffers)
        where TCodes : struct, INeonKCodes
        where TDot : struct, INeonDot => (Operation)request->Operation switch
        {
            Operation.Row => Run<NeonRowProduct<TCodes, TDot>>(request, buffers, ActivationScheme.Block256),
            Operation.Panel => Run<NeonPanelProduct<NeonPanel<TCodes, TDot>>>(request, buffers, ActivationScheme.Block256),
            _ => -1,
        };

    private static int Run<TProduct>(Request* request, byte** buffers, ActivationScheme scheme)
        where TProduct : struct, INeonProduct
    {
        int units = (int)request->Numbers[2], rows = request->Rows, weightRows = (int)request->Numbers[0];
        float** outputs = (float**)buffers[7];
        for (int row = 0; row < rows; row++)
        {
            outputs[row] = (float*)buffers[6] + ((nint)row * weightRows);
        }

        TProduct.Arrange(View(request, buffers, units, scheme), null, rows, buffers[4]);
        var task = new ProductTask
        {
            Weights = buffers[0],
            WeightRowBytes = (nint)request->Numbers[1],
            WeightRows = weightRows,
            Units = units,
            TailBlocks = (int)request->Numbers[3],
            Activations = buffers[4],
            Rows = rows,
            Outputs = outputs,
        };
        TProduct.Run(task, buffers[5]);
        return 0;
    }

    // Buffers 1 to 3 are codes, scales and sums.
    private static ActivationView View(Request* request, byte** buffers, int units, ActivationScheme scheme) => new()
    {
        Codes = (sbyte*)buffers[1],
        CodeStride = 256 * units,
        Scales = (float*)buffers[2],
        Sums = (short*)buffers[3],
        Units = units,
        Scheme = scheme,
    };
}

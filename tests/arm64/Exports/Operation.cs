namespace KQuant.Arm64.Exports;

/// <summary>What can be run.</summary>
internal enum Operation
{
    /// <summary>Says which tiers the processor has: bit 0 Neon, bit 1 NeonDot. It is the status of the answer.</summary>
    Capabilities,

    /// <summary>Decodes. Number 0: blocks. Buffers: blocks, floats.</summary>
    Decode,

    /// <summary>Quantizes a row. Numbers: values, units, scheme. Buffers: values, codes, scales, sums.</summary>
    Quantize,

    /// <summary>
    /// Multiplies with the row kernel. Numbers: weight rows, bytes of a weight row, units, blocks in the last unit. Buffers: weights,
    /// codes, scales, sums, arranged activations, scratch, outputs (row after row), and room for a pointer to each of them.
    /// </summary>
    Row,

    /// <summary>The same with the panel kernel.</summary>
    Panel,
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>A run of rows inside a stored tensor: all of it, one expert of a stack, or the gate half of a fused one.</summary>
/// <param name="Tensor">The stored tensor.</param>
/// <param name="Offset">Where the run begins in it, in bytes.</param>
/// <param name="Scale">What decodes the tensor, all of which is then the run, to float32; null for one that is stored as it is read.</param>
/// <param name="Strides">Where its elements are when rows are not stored one after the other: transposed or interleaved.</param>
internal readonly record struct TensorPart(SafetensorsTensor Tensor, long Offset, Fp8Scale? Scale = null, Strides? Strides = null)
{
    /// <summary>Collects rows that are not stored one after the other.</summary>
    /// <param name="strides">Where elements are.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="elementBytes">2 or 4.</param>
    /// <param name="destination">Whole rows.</param>
    public void Gather(Strides strides, long firstRow, int columns, int elementBytes, Span<byte> destination)
    {
        if (elementBytes == sizeof(ushort))
        {
            Gather(strides, firstRow, columns, MemoryMarshal.Cast<byte, ushort>(destination));
        }
        else
        {
            Gather(strides, firstRow, columns, MemoryMarshal.Cast<byte, uint>(destination));
        }
    }

    // Along what is stored closer together. Through the mapping: a read of the file for each few bytes would take longer.
    private void Gather<T>(Strides strides, long firstRow, int columns, Span<T> destination)
        where T : unmanaged
    {
        int rows = destination.Length / columns;
        bool isTransposed = strides.Row < strides.Column;
        (int outer, int inner) = isTransposed ? (columns, rows) : (rows, columns);
        (long outerStep, long innerStep) = isTransposed ? (strides.Column, strides.Row) : (strides.Row, strides.Column);
        int length = checked((int)(((inner - 1) * innerStep) + 1) * Unsafe.SizeOf<T>());
        for (int o = 0; o < outer; o++)
        {
            long first = (firstRow * strides.Row) + (o * outerStep);
            using HeldBytes held = Tensor.Acquire(Offset + (first * Unsafe.SizeOf<T>()), length);
            ReadOnlySpan<T> source = MemoryMarshal.Cast<byte, T>(held.Span);
            for (int i = 0; i < inner; i++)
            {
                destination[isTransposed ? (i * columns) + o : (o * columns) + i] = source[(int)(i * innerStep)];
            }
        }
    }
}

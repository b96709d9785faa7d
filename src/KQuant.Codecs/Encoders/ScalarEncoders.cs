using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders;

/// <summary>The encoders of the block structs as table entries: the specification.</summary>
internal static unsafe class ScalarEncoders
{
    public static void Encode<TBlock>(in EncodeTask task)
        where TBlock : unmanaged, IQuantBlock<TBlock>
    {
        int blocks = task.RowLength / TBlock.WeightsPerBlock;
        var options = new EncodeOptions
        {
            Importance = new ReadOnlySpan<float>(task.Importance, task.Importance is null ? 0 : task.RowLength),
        };
        for (nint row = 0; row < task.Rows; row++)
        {
            TBlock.Encode(
                new ReadOnlySpan<float>(task.Weights + (row * task.RowLength), task.RowLength),
                new Span<TBlock>((TBlock*)task.Blocks + (row * blocks), blocks),
                options);
        }
    }
}

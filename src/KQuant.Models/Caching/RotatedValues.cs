using KQuant.Codecs;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Values that are rotated before they are stored; sums of them are turned back once.</summary>
/// <param name="values">Stores what was rotated.</param>
/// <param name="rotation">The rotation.</param>
internal sealed unsafe class RotatedValues(ValueStore values, ActivationTransform rotation) : ValueStore(values.Heads, values.HeadSize)
{
    public override SlotMemory Memory => values.Memory;

    public override int ScratchLength => values.ScratchLength;

    public override void Store(int head, int slot, float* value)
    {
        rotation.Apply(new Span<float>(value, HeadSize));
        values.Store(head, slot, value);
    }

    public override void Accumulate(
        AttentionKernel kernel, int head, SlotRange range, float* weights, int rows, nint weightStride, float* outputs, float* scratch) =>
        values.Accumulate(kernel, head, range, weights, rows, weightStride, outputs, scratch);

    public override void FinishOutputs(float* outputs, int rows)
    {
        values.FinishOutputs(outputs, rows);
        for (int row = 0; row < rows; row++)
        {
            rotation.ApplyTransposed(new Span<float>(outputs + ((nint)row * Stride), HeadSize));
        }
    }

    public override CacheSpan Read(int head, int slot, int count, float* scratch) => values.Read(head, slot, count, scratch);

    public override ValueStore Fork(int slots) => new RotatedValues(values.Fork(slots), rotation);
}

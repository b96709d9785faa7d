using KQuant.Codecs;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Keys that are rotated before they are stored, and queries before they are scored: products stay what they were.</summary>
/// <param name="keys">Stores what was rotated.</param>
/// <param name="rotation">The rotation.</param>
internal sealed unsafe class RotatedKeys(KeyStore keys, ActivationTransform rotation) : KeyStore(keys.Heads, keys.HeadSize)
{
    public override SlotMemory Memory => keys.Memory;

    public override int ScratchLength => keys.ScratchLength;

    public override void Store(int head, int slot, float* key)
    {
        rotation.Apply(new Span<float>(key, HeadSize));
        keys.Store(head, slot, key);
    }

    public override void PrepareQueries(float* queries, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            rotation.Apply(new Span<float>(queries + ((nint)row * HeadSize), HeadSize));
        }

        keys.PrepareQueries(queries, rows);
    }

    public override void Score(
        AttentionKernel kernel, int head, SlotRange range, float* queries, int rows, float* scores, nint stride, float* scratch) =>
        keys.Score(kernel, head, range, queries, rows, scores, stride, scratch);

    public override CacheSpan Read(int head, int block, int count, float* scratch) => keys.Read(head, block, count, scratch);

    public override KeyStore Fork(int slots) => new RotatedKeys(keys.Fork(slots), rotation);
}

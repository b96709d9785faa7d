using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul.Vectors;

namespace KQuant.Matmul.Backends;

/// <content>The operations between products, in plain loops: the specification of those of other backends.</content>
public sealed partial class ManagedBackend : ILayerBackend
{
    /// <inheritdoc/>
    void ILayerBackend.AddRow(BackendBuffer y, BackendBuffer addend, int rows, int width)
    {
        Span<float> values = y.Values[..(rows * width)];
        ReadOnlySpan<float> row = addend.Values[..width];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] += row[i % width];
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.Norm(
        BackendBuffer stream, BackendBuffer? added, BackendBuffer? addedWeights, BackendBuffer weights, BackendBuffer target, in NormShape shape)
    {
        int width = shape.Width;
        for (int row = 0; row < shape.Rows; row++)
        {
            Span<float> x = stream.Values.Slice(row * width, width);
            if (added is not null)
            {
                ReadOnlySpan<float> more = added.Values.Slice(row * width, width);
                float inverse = addedWeights is null ? 1 : RowMath.InverseRootMeanSquare(more, shape.Epsilon);
                for (int i = 0; i < width; i++)
                {
                    x[i] += addedWeights is null ? more[i] : more[i] * inverse * addedWeights.Values[i];
                }
            }

            RowMath.Normalize(x, weights.Values[..width], shape.Epsilon, target.Values.Slice(row * width, width));
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.GateBySilu(BackendBuffer gate, BackendBuffer up, int count) => RowMath.GateBySilu(gate.Values[..count], up.Values[..count]);

    /// <inheritdoc/>
    void ILayerBackend.PrepareHeads(
        BackendBuffer queries, BackendBuffer keys, BackendBuffer values, BackendBuffer? norms, BackendBuffer angles, in BackendCache cache,
        in HeadShape shape, ReadOnlySpan<AttentionRow> rows)
    {
        int size = shape.Size;
        foreach (AttentionRow row in rows)
        {
            int slot = (int)row.Slot;
            ReadOnlySpan<float> turn = angles.Values.Slice((int)row.Row * shape.Rotated, shape.Rotated);
            for (int head = 0; head < shape.Heads; head++)
            {
                PrepareHead(queries.Values.Slice((((int)row.Row * shape.Heads) + head) * size, size), norms is null ? default : norms.Values[..size], turn, shape);
            }

            for (int head = 0; head < shape.KeyHeads; head++)
            {
                int at = (((int)row.Row * shape.KeyHeads) + head) * size;
                Span<float> key = keys.Values.Slice(at, size);
                PrepareHead(key, norms is null ? default : norms.Values.Slice(size, size), turn, shape);
                Span<float> block = cache.Keys.Values.Slice(((head * cache.Capacity) + (slot / 16 * 16)) * size, size * 16);
                for (int i = 0; i < size; i++)
                {
                    block[(i * 16) + (slot % 16)] = key[i];
                }

                values.Values.Slice(at, size).CopyTo(cache.Values.Values[(((head * cache.Capacity) + slot) * cache.ValueStride)..]);
            }
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.Attend(BackendBuffer queries, in BackendCache cache, BackendBuffer outputs, in HeadShape shape, ReadOnlySpan<AttentionRow> rows)
    {
        int size = shape.Size;
        foreach (AttentionRow row in rows)
        {
            for (int head = 0; head < shape.Heads; head++)
            {
                int at = (((int)row.Row * shape.Heads) + head) * size;
                Span<float> output = outputs.Values.Slice(at, size);
                output.Clear();
                float largest = float.NegativeInfinity, sum = 0;
                for (int start = (int)row.Start; start < (int)row.End;)
                {
                    int end = SoftmaxParts.GetEnd(start, (int)row.End);
                    float[] values = new float[size];
                    float partSum = Attend(
                        queries.Values.Slice(at, size), head / (shape.Heads / shape.KeyHeads), cache, shape, row, (start, end), values,
                        out float partLargest);
                    SoftmaxParts.Merge(ref largest, ref sum, output, partLargest, partSum, values);
                    start = end;
                }

                for (int i = 0; i < size; i++)
                {
                    output[i] /= sum;
                }
            }
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.Route(BackendBuffer scores, BackendBuffer ids, BackendBuffer weights, in RouteShape shape)
    {
        for (int row = 0; row < shape.Rows; row++)
        {
            ChooseExperts(
                scores.Values.Slice(row * shape.Experts, shape.Experts),
                MemoryMarshal.Cast<float, int>(ids.Values).Slice(row * shape.PerRow, shape.PerRow),
                weights.Values.Slice(row * shape.PerRow, shape.PerRow),
                shape);
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.GatherMultiply(BackendWeights experts, BackendBuffer x, BackendBuffer ids, int pairs, int perRow, BackendBuffer y)
    {
        QuantizedTensor tensor = BackendArguments.Weights<View>(experts).Tensor;
        int rows = pairs / perRow, columns = tensor.Shape.Columns;
        int[] chosen = MemoryMarshal.Cast<float, int>(ids.Values)[..pairs].ToArray();
        GatherMultiply(experts, x, [rows, 1, 1, columns], default, new IndexArray(chosen, [rows, perRow]), y);
    }

    /// <inheritdoc/>
    void ILayerBackend.AddWeighted(BackendBuffer x, BackendBuffer weights, BackendBuffer target, int rows, int perRow, int width)
    {
        for (int row = 0; row < rows; row++)
        {
            AddWeighted(
                x.Values.Slice(row * perRow * width, perRow * width), weights.Values.Slice(row * perRow, perRow), target.Values.Slice(row * width, width));
        }
    }

    /// <summary>The experts of a row; the scores become probabilities, and -1 where they were chosen.</summary>
    internal static void ChooseExperts(Span<float> scores, Span<int> ids, Span<float> weights, in RouteShape shape)
    {
        float all = RowMath.Exponentiate(scores), sum = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            scores[i] /= all;
        }

        for (int k = 0; k < ids.Length; k++)
        {
            int best = 0;
            for (int i = 1; i < scores.Length; i++)
            {
                // Written so that an expert without a number is never chosen twice.
                best = scores[i] > scores[best] ? i : best;
            }

            ids[k] = best;
            weights[k] = scores[best];
            sum += scores[best];
            scores[best] = -1;
        }

        float divisor = Math.Max(sum, shape.LeastSum);
        for (int k = 0; k < weights.Length && shape.Normalizes; k++)
        {
            weights[k] /= divisor;
        }
    }

    /// <summary>The weighted sum of some rows.</summary>
    internal static void AddWeighted(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, Span<float> target)
    {
        int width = target.Length;
        for (int i = 0; i < width; i++)
        {
            target[i] = x[i] * weights[0];
        }

        for (int k = 1; k < weights.Length; k++)
        {
            RowMath.AddScaled(x.Slice(k * width, width), weights[k], target);
        }
    }

    private static float Attend(
        ReadOnlySpan<float> query, int keyHead, in BackendCache cache, in HeadShape shape, in AttentionRow row, (int Start, int End) part,
        Span<float> values, out float largest)
    {
        int size = shape.Size, start = part.Start, end = part.End;
        float[] scores = new float[end - start];
        for (int slot = start; slot < end; slot++)
        {
            ReadOnlySpan<float> block = cache.Keys.Values.Slice(((keyHead * cache.Capacity) + (slot / 16 * 16)) * size, size * 16);
            float even = 0, odd = 0;
            for (int i = 0; i < size; i++)
            {
                ref float sum = ref i % 2 == 0 ? ref even : ref odd;
                sum = float.FusedMultiplyAdd(query[i] * shape.Scale, block[(i * 16) + (slot % 16)], sum);
            }

            scores[slot - start] = row.Sees((uint)slot) ? even + odd : float.NegativeInfinity;
        }

        float all = RowMath.Exponentiate(scores, out largest);
        for (int i = 0; i < size; i++)
        {
            float sum = 0;
            for (int slot = start; slot < end; slot++)
            {
                sum = float.FusedMultiplyAdd(scores[slot - start], cache.Values.Values[(((keyHead * cache.Capacity) + slot) * cache.ValueStride) + i], sum);
            }

            values[i] = sum;
        }

        return all;
    }

    private static void PrepareHead(Span<float> head, ReadOnlySpan<float> norm, ReadOnlySpan<float> turn, in HeadShape shape)
    {
        if (!norm.IsEmpty)
        {
            RowMath.Normalize(head, norm, shape.Epsilon, head);
        }

        int half = shape.Rotated / 2;
        for (int i = 0; i < half; i++)
        {
            int first = shape.Interleaved ? 2 * i : i, second = shape.Interleaved ? (2 * i) + 1 : i + half;
            (float a, float b, float cosine, float sine) = (head[first], head[second], turn[i], turn[half + i]);
            head[first] = (a * cosine) - (b * sine);
            head[second] = (b * cosine) + (a * sine);
        }
    }
}

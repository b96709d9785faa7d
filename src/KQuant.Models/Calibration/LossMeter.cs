using System.Numerics.Tensors;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Recipes;
using KQuant.Models.Computing;
using KQuant.Models.Products;

namespace KQuant.Models.Calibration;

/// <summary>
/// Measures what errors in the outputs of each weight cost a model: one tensor after the other is quantized coarsely, alone, and the
/// divergence of the distributions that follow is divided by the expected squared error of its outputs.
/// </summary>
/// <param name="model">The model, with <paramref name="substituted"/> around its products.</param>
/// <param name="substituted">Takes the quantized weights.</param>
/// <param name="tokens">Texts, of which each token's distribution counts.</param>
internal sealed class LossMeter(LanguageModel model, SubstitutedProducts substituted, int[][] tokens)
{
    private readonly float[][] _expected = new float[tokens.Length][];

    /// <summary>Remembers the distributions of the model as it is.</summary>
    public void Begin(CancellationToken cancellation)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            _expected[i] = Predict(i, cancellation);
        }
    }

    /// <summary>Divergence for a unit of error; null for weights that lose nothing when they are quantized.</summary>
    /// <param name="parts">The weights that lie in one tensor.</param>
    /// <param name="moments">Their inputs.</param>
    /// <param name="cancellation">Ends it between two texts.</param>
    public double? Measure(IReadOnlyList<ModelWeight> parts, InputMoments moments, CancellationToken cancellation)
    {
        float[] importance = new float[moments.Squares.Length];
        double all = moments.Counts.Sum();
        for (int i = 0; i < importance.Length; i++)
        {
            long count = moments.Counts[i / moments.Columns];
            importance[i] = count > 0 ? (float)(moments.Squares[i] / count) : 1;
        }

        double error = 0;
        var substitutes = new Dictionary<string, ModelWeight>();
        var owned = new List<QuantizedTensor>();
        try
        {
            foreach (ModelWeight part in parts)
            {
                QuantizedTensor encoded = Encode(part.Tensor, importance, moments, all, ref error);
                owned.Add(encoded);
                substitutes[part.Name] = part.IsStack ? ModelWeight.MatrixStack(part.Name, encoded, part.Bias) : ModelWeight.Matrix(part.Name, encoded, part.Bias, part.StoredName);
            }

            if (error <= 0)
            {
                return null;
            }

            substituted.Substitutes = substitutes;
            double divergence = 0;
            long count = 0;
            for (int i = 0; i < tokens.Length; i++)
            {
                float[] found = Predict(i, cancellation);
                divergence += Diverge(_expected[i], found);
                count += tokens[i].Length;
            }

            return divergence / count / error;
        }
        finally
        {
            substituted.Substitutes = new Dictionary<string, ModelWeight>();
            owned.ForEach(tensor => tensor.Dispose());
        }
    }

    private static QuantizedTensor Encode(QuantizedTensor tensor, float[] importance, InputMoments moments, double all, ref double error)
    {
        QuantShape shape = tensor.Shape;
        QuantCodec codec = QuantizationPlan.FitWidth(QuantCodec.Get(QuantFormat.Q3_K), shape.Columns);
        int perExpert = checked((int)(shape.Rows * shape.Columns));
        var weights = new float[perExpert];
        var decoded = new float[perExpert];
        var bytes = new byte[codec.GetByteCount((long)perExpert * shape.Experts)];
        for (int expert = 0; expert < shape.Experts; expert++)
        {
            for (int row = 0; row < shape.Rows; row++)
            {
                tensor.DecodeRow((expert * shape.Rows) + row, weights.AsSpan(row * shape.Columns, shape.Columns));
            }

            int at = moments.Counts.Length > 1 ? expert : 0;
            ReadOnlySpan<float> squares = importance.AsSpan(at * moments.Columns, moments.Columns);
            Span<byte> encoded = bytes.AsSpan(checked((int)(expert * codec.GetByteCount(perExpert))), checked((int)codec.GetByteCount(perExpert)));
            codec.Encode(weights, encoded, new EncodeOptions { Importance = squares, RowLength = shape.Columns, Overflow = ScaleOverflow.Keep });
            codec.Decode(encoded, decoded);
            double share = moments.Counts.Length > 1 && all > 0 ? moments.Counts[expert] / all : 1.0 / shape.Experts;
            error += share * OutputError.Measure(weights, decoded, squares, shape.Columns).Error;
        }

        return QuantizedTensor.FromMemory(codec, shape, bytes);
    }

    /// <summary>Logarithms of the probabilities behind every token of a text.</summary>
    private float[] Predict(int text, CancellationToken cancellation)
    {
        int vocabulary = model.Config.VocabularySize;
        var logits = new float[(long)tokens[text].Length * vocabulary];
        using KeyValueCache cache = model.CreateCache();
        model.Forward(tokens[text], cache, logits, cancellation);
        var row = new float[vocabulary];
        for (int i = 0; i < tokens[text].Length; i++)
        {
            LogSoftmax.Compute(logits.AsSpan(i * vocabulary, vocabulary), row);
            row.CopyTo(logits.AsSpan(i * vocabulary, vocabulary));
        }

        return logits;
    }

    private double Diverge(float[] expected, float[] found)
    {
        int vocabulary = model.Config.VocabularySize;
        var probabilities = new float[vocabulary];
        var differences = new float[vocabulary];
        double sum = 0;
        for (int start = 0; start < expected.Length; start += vocabulary)
        {
            ReadOnlySpan<float> reference = expected.AsSpan(start, vocabulary);
            TensorPrimitives.Exp(reference, probabilities);
            TensorPrimitives.Subtract(reference, found.AsSpan(start, vocabulary), differences);
            sum += Math.Max(0, TensorPrimitives.Dot<float>(probabilities, differences));
        }

        return sum;
    }
}

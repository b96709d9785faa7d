using System.Numerics.Tensors;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.Models.Computing;
using KQuant.Models.Generation;

namespace KQuant.Models.Evaluation;

/// <summary>Measures formats of caches: on random keys, values and queries without a model, and on a text that a model writes.</summary>
public static class CacheErrorMeter
{
    private const int Queries = 4;
    private const int Block = CacheStore.BlockSize;

    /// <summary>Measures a pair of formats.</summary>
    /// <param name="keys">How keys are stored.</param>
    /// <param name="values">How values are stored.</param>
    /// <param name="headSize">Values of a head.</param>
    /// <param name="tokens">Keys and values, Gaussian and independent.</param>
    /// <param name="seed">Makes them.</param>
    /// <returns>What was found; the same for the same arguments.</returns>
    /// <exception cref="ArgumentException">A format has no such heads, or there are no tokens.</exception>
    public static CacheQuality Measure(CacheFormat keys, CacheFormat values, int headSize = 128, int tokens = 1024, int seed = 42)
    {
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        keys.CheckHeads(headSize, nameof(headSize));
        values.CheckHeads(headSize, nameof(headSize));
        tokens = checked(tokens + Block - 1) / Block * Block;
        var random = new Random(seed);
        float[] keyRows = Gaussian(random, tokens * headSize), valueRows = Gaussian(random, tokens * headSize), queries = Gaussian(random, Queries * headSize);
        (double keyCosine, double error, double bias) = MeasureKeys(keys, headSize, keyRows, queries);
        return new CacheQuality
        {
            KeyCosine = keyCosine,
            ValueCosine = MeasureValues(values, headSize, valueRows),
            ProductError = error,
            ProductBias = bias,
            OutputCosine = MeasureOutputs(keys, values, headSize, keyRows, valueRows, queries),
        };
    }

    /// <summary>Lets a model continue a prompt with a cache in f16 and with another, always by the most likely token.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="options">How the other cache stores.</param>
    /// <param name="maxTokens">Tokens to write at most.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Both texts, and how far the distributions are apart over the first of them.</returns>
    /// <exception cref="ArgumentException">There is no prompt, or the options do not fit the model.</exception>
    public static CacheComparison Compare(
        LanguageModel model, ReadOnlySpan<int> prompt, CacheOptions options, int maxTokens = 64, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        if (prompt.IsEmpty)
        {
            throw new ArgumentException("The prompt has no tokens.", nameof(prompt));
        }

        int[] tokens = prompt.ToArray();
        CacheOptions dense = CacheOptions.Uniform(CacheFormat.F16);
        int[] first = Write(model, tokens, dense, maxTokens, cancellationToken), second = Write(model, tokens, options, maxTokens, cancellationToken);
        double[] divergences = Diverge(model, tokens, first, dense, options, cancellationToken);
        int length = tokens.Length + first.Length;
        return new CacheComparison
        {
            DenseTokens = first,
            OtherTokens = second,
            CommonTokens = first.AsSpan().CommonPrefixLength(second),
            MeanDivergence = divergences.Average(),
            MaxDivergence = divergences.Max(),
            DenseBytes = model.GetCacheByteCount(length, options: dense),
            OtherBytes = model.GetCacheByteCount(length, options: options),
        };
    }

    private static int[] Write(LanguageModel model, int[] prompt, CacheOptions options, int maxTokens, CancellationToken cancellation)
    {
        using KeyValueCache cache = model.CreateCache(options);
        var generation = new GenerationOptions { Cache = cache, MaxTokens = maxTokens, Sampling = SamplingOptions.Greedy };
        return [.. model.Generate(prompt, generation, cancellation).Select(token => token.Id)];
    }

    /// <summary>The divergence from the first distribution at each token that was written.</summary>
    private static double[] Diverge(
        LanguageModel model, int[] prompt, int[] written, CacheOptions first, CacheOptions second, CancellationToken cancellation)
    {
        using KeyValueCache one = model.CreateCache(first), other = model.CreateCache(second);
        model.Forward(prompt.AsSpan(0, prompt.Length - 1), one, default, cancellation);
        model.Forward(prompt.AsSpan(0, prompt.Length - 1), other, default, cancellation);
        int vocabulary = model.Config.VocabularySize;
        float[] logits = new float[vocabulary], expected = new float[vocabulary], actual = new float[vocabulary];
        var divergences = new double[Math.Max(1, written.Length)];
        for (int i = 0; i < divergences.Length; i++)
        {
            int[] token = [i == 0 ? prompt[^1] : written[i - 1]];
            model.Forward(token, one, logits, cancellation);
            LogSoftmax.Compute(logits, expected);
            model.Forward(token, other, logits, cancellation);
            LogSoftmax.Compute(logits, actual);
            TensorPrimitives.Subtract(expected, actual, actual);
            TensorPrimitives.Exp(expected, expected);
            divergences[i] = Math.Max(0, TensorPrimitives.Dot<float>(expected, actual));
        }

        return divergences;
    }

    private static unsafe (double Cosine, double Error, double Bias) MeasureKeys(CacheFormat format, int headSize, float[] rows, float[] queries)
    {
        int tokens = rows.Length / headSize;
        using KeyStore store = format.CreateKeys(1, headSize);
        store.Reserve(tokens);
        float[] copy = [.. rows], prepared = [.. rows], decoded = new float[rows.Length];
        float[] scores = new float[Queries * tokens], exact = new float[scores.Length], scratch = new float[store.ScratchLength];
        fixed (float* row = copy, original = prepared, query = queries.AsSpan().ToArray(), result = scores, memory = scratch)
        {
            for (int token = 0; token < tokens; token++)
            {
                store.Store(0, token, row + ((long)token * headSize));
            }

            // Rotated, if keys are: that changes no cosine.
            store.PrepareQueries(original, tokens);
            for (int block = 0; block < tokens / Block; block++)
            {
                CacheSpan read = store.Read(0, block, 1, memory);
                for (int i = 0; i < Block * headSize; i++)
                {
                    decoded[(((block * Block) + (i % Block)) * headSize) + (i / Block)] = read[i];
                }
            }

            store.PrepareQueries(query, Queries);
            store.Score(AttentionKernel.Best, 0, new SlotRange(0, tokens), query, Queries, result, tokens, memory);
        }

        double squares = 0, errors = 0, sum = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            double product = Dot(queries, i / tokens * headSize, rows, i % tokens * headSize, headSize), error = scores[i] - product;
            (squares, errors, sum) = (squares + (product * product), errors + (error * error), sum + error);
        }

        double unit = Math.Sqrt(squares / scores.Length);
        return (MeanCosine(prepared, decoded, headSize), Math.Sqrt(errors / scores.Length) / unit, sum / scores.Length / unit);
    }

    private static unsafe double MeasureValues(CacheFormat format, int headSize, float[] rows)
    {
        int tokens = rows.Length / headSize;
        using ValueStore store = format.CreateValues(1, headSize);
        store.Reserve(tokens);
        float[] copy = [.. rows], decoded = new float[rows.Length], weights = new float[Block * Block];
        float[] outputs = new float[Block * store.Stride], scratch = new float[store.ScratchLength];
        fixed (float* row = copy, weight = weights, result = outputs, memory = scratch)
        {
            for (int token = 0; token < tokens; token++)
            {
                store.Store(0, token, row + ((long)token * headSize));
            }

            for (int first = 0; first < tokens; first += Block)
            {
                // Each sum has one value of weight 1.
                weights.AsSpan().Clear();
                for (int i = 0; i < Block; i++)
                {
                    weights[(i * Block) + i] = 1;
                }

                store.Accumulate(AttentionKernel.Best, 0, new SlotRange(first, first + Block), weight, Block, Block, result, memory);
                store.FinishOutputs(result, Block);
                for (int i = 0; i < Block; i++)
                {
                    outputs.AsSpan(i * store.Stride, headSize).CopyTo(decoded.AsSpan((first + i) * headSize));
                }
            }
        }

        return MeanCosine(rows, decoded, headSize);
    }

    private static double MeasureOutputs(CacheFormat keys, CacheFormat values, int headSize, float[] keyRows, float[] valueRows, float[] queries)
    {
        float[][] outputs = [.. (((CacheFormat Keys, CacheFormat Values)[])[(keys, values), (CacheFormat.F32, CacheFormat.F32)]).Select(formats =>
        {
            using AttentionCache cache = new KeyValueCacheBuilder().WithKeys(formats.Keys).WithValues(formats.Values).WithHeads(1, headSize).Build();
            for (int start = 0; start < keyRows.Length; start += headSize)
            {
                cache.Append(keyRows.AsSpan(start, headSize), valueRows.AsSpan(start, headSize));
            }

            var found = new float[queries.Length];
            cache.Attend(queries, found);
            return found;
        })];
        return MeanCosine(outputs[1], outputs[0], headSize);
    }

    private static float[] Gaussian(Random random, int count)
    {
        var numbers = new float[count];
        for (int i = 0; i < count; i++)
        {
            numbers[i] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return numbers;
    }

    private static double MeanCosine(float[] rows, float[] others, int size)
    {
        double sum = 0;
        for (int start = 0; start < rows.Length; start += size)
        {
            double lengths = Dot(rows, start, rows, start, size) * Dot(others, start, others, start, size);
            sum += lengths > 0 ? Dot(rows, start, others, start, size) / Math.Sqrt(lengths) : 0;
        }

        return sum / (rows.Length / size);
    }

    private static double Dot(float[] left, int leftStart, float[] right, int rightStart, int size)
    {
        double sum = 0;
        for (int i = 0; i < size; i++)
        {
            sum += (double)left[leftStart + i] * right[rightStart + i];
        }

        return sum;
    }
}

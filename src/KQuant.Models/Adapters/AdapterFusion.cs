using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Matmul;
using KQuant.Models.Products;
using KQuant.Models.Transformers;
using KQuant.Models.Weights;

namespace KQuant.Models.Adapters;

/// <summary>
/// Adapters become part of a model: terms are added to decoded weights in float32, which are encoded again. What no adapter touches keeps its
/// bytes.
/// </summary>
public static class AdapterFusion
{
    /// <summary>
    /// A plan for <see cref="ModelConverter.Convert"/> that adds adapters to the weights of a model. Adapted weights get the codecs that they have.
    /// </summary>
    /// <param name="source">A checkpoint folder, a GGUF file, or a checkpoint that becomes one. It stays the caller's.</param>
    /// <param name="adapters">The adapters, added one after the other.</param>
    /// <param name="floats">f32, f16 or bf16 for adapted weights and, as <see cref="QuantizationPlan.Dequantize"/> has it, for others; null for the codecs that they have.</param>
    /// <returns>The plan.</returns>
    /// <exception cref="ModelFormatException">An adapter is for another model, or the model is not well-formed or cannot be run.</exception>
    /// <exception cref="NotSupportedException">An adapter acts on a tied embedding in one place only, or a codec that a weight has cannot encode.</exception>
    /// <example>
    /// <code>
    /// using var source = ModelSource.Open("Qwen3-0.6B");
    /// var adapter = new AppliedAdapter { Adapter = LoraAdapter.Load("my-adapter") };
    /// ModelConverter.Convert(AdapterFusion.CreatePlan(source, [adapter]), "fused");
    /// </code>
    /// </example>
    public static QuantizationPlan CreatePlan(ModelSource source, IReadOnlyList<AppliedAdapter> adapters, QuantCodec? floats = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(adapters);
        Dictionary<ModelTensor, FusedTensor> fused = Fuse(source, adapters);
        ModelTensor[] tensors = [.. source.Tensors.Select(tensor => fused.GetValueOrDefault(tensor) ?? tensor)];
        return floats is not null
            ? QuantizationPlan.DequantizeChanged(source, tensors, tensor => tensor is FusedTensor ? null : tensor.Codec, floats, allFloats: source is ModelFolder)
            : QuantizationPlan.EncodeChanged(source, tensors, tensor => (tensor as FusedTensor)?.Original.Codec);
    }

    private static Dictionary<ModelTensor, FusedTensor> Fuse(ModelSource source, IReadOnlyList<AppliedAdapter> adapters)
    {
        var weights = new ModelWeights(source);
        try
        {
            return Fuse(source, weights, adapters);
        }
        finally
        {
            weights.DisposeViews();
        }
    }

    private static Dictionary<ModelTensor, FusedTensor> Fuse(ModelSource source, ModelWeights weights, IReadOnlyList<AppliedAdapter> adapters)
    {
        var config = ModelConfig.Read(source);
        using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        var products = new ProcessorProducts(context);

        // Only the names and shapes of its weights are wanted, and the rows of those with DoRA.
        using var transformer = new Transformer(config, weights, context, products, contextLength: 1, loaded: null, default);
        var fused = new Dictionary<ModelTensor, FusedTensor>();
        var binding = new AdapterBinding(config, transformer.Weights);
        foreach (AppliedAdapter adapter in adapters)
        {
            Dictionary<string, LowRankTerm> terms = binding.Bind(adapter);
            foreach (IGrouping<string, ModelWeight> parts in transformer.Weights.GroupBy(weight => weight.StoredName))
            {
                long row = 0;
                foreach (ModelWeight part in parts)
                {
                    if (terms.TryGetValue(part.Name, out LowRankTerm? term))
                    {
                        if (term.OnlyLooksUp && !transformer.Weights.Any(weight => weight.Name == "lm_head.weight"))
                        {
                            throw new NotSupportedException(
                                $"{adapter.Adapter.Path}: the adapter changes the embedding where tokens are looked up and not where it makes the logits; one matrix cannot be both.");
                        }

                        ModelTensor stored = weights.Find(parts.Key)!;
                        if (stored.Codec is not { } codec)
                        {
                            throw new NotSupportedException($"{source.Path}: tensor '{stored.Name}' is {stored.FormatName}, which cannot be encoded.");
                        }

                        if (!fused.TryGetValue(stored, out FusedTensor? tensor))
                        {
                            fused.Add(stored, tensor = new FusedTensor(stored));
                        }

                        tensor.Add(row, term);
                    }

                    row += part.Tensor.Shape.Rows;
                }
            }
        }

        return fused;
    }
}

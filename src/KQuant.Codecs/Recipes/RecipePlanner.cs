using System.Text.RegularExpressions;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Recipes;

/// <summary>Applies a recipe to the tensors of a model.</summary>
internal sealed partial class RecipePlanner
{
    private readonly QuantizationRecipe _recipe;
    private readonly RecipeModel _model;
    private readonly RecipeOptions _options;
    private readonly bool[] _used;
    private readonly bool[] _usedExclusions;
    private readonly int _layers;
    private readonly int _values;
    private readonly bool _isTied;
    private int _nextValue;
    private int _nextDown;

    public RecipePlanner(IEnumerable<ModelTensor> tensors, QuantizationRecipe recipe, RecipeModel model, RecipeOptions options)
    {
        _recipe = recipe;
        _model = model;
        _options = options;
        _used = new bool[options.Overrides.Count];
        _usedExclusions = new bool[options.Excluded.Count];
        TensorKinds[] kinds = [.. tensors.Select(tensor => TensorKindNames.Classify(tensor.Name, TensorRoles.Classify(tensor.Name)))];
        int found = tensors.Select(tensor => TensorKindNames.LayerOf(tensor.Name)).Append(-1).Max() + 1;
        _layers = recipe.IsLlamaCpp && model.LayerCount is > 0 and <= int.MaxValue ? (int)model.LayerCount : found;
        _values = kinds.Count(kind => (kind & TensorKinds.ValueLike) != 0);
        _isTied = !kinds.Contains(TensorKinds.Output);
    }

    // What llama.cpp leaves alone whatever the recipe, by parts of the name.
    [GeneratedRegex(
        @"_norm\.weight|ffn_gate_inp\.weight|ffn_gate_tid2eid\.weight|altup|laurel|per_layer_model_proj|^position_embd\.weight$"
        + @"|^token_types\.weight$|ssm_conv1d|shortconv\.conv\.weight|indexer\.[kq]_proj\.weight"
        + @"|time_mix_(first|w[012]|v[012]|a[012]|g[12]|decay_w[12]|lerp_fused)\.weight|attn_rel_b\.weight"
        + @"|\.position_embd|sam\.pos_embd|sam\.neck\.|sam\.net_|\.rel_pos|\.patch_embd|\.patch_merger|a\.rvq\.codebook|mm\.a\.code_embd")]
    private static partial Regex NeverInLlamaCpp { get; }

    /// <summary>Decides about all tensors, in the order in which llama.cpp counts: layer by layer, by name.</summary>
    public Dictionary<ModelTensor, TensorDecision> Decide(IEnumerable<ModelTensor> tensors)
    {
        var decisions = new Dictionary<ModelTensor, TensorDecision>(ReferenceEqualityComparer.Instance);
        foreach (ModelTensor tensor in tensors
            .OrderBy(tensor => TensorKindNames.LayerOf(tensor.Name)).ThenBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            decisions[tensor] = Decide(tensor);
        }

        return decisions;
    }

    /// <summary>The first pattern that no tensor has; null for none.</summary>
    public string? FindUnused()
    {
        int index = Array.IndexOf(_used, false), excluded = Array.IndexOf(_usedExclusions, false);
        return index >= 0 ? _options.Overrides[index].Pattern.ToString() : excluded >= 0 ? _options.Excluded[excluded].ToString() : null;
    }

    private TensorDecision Decide(ModelTensor tensor)
    {
        TensorRole role = TensorRoles.Classify(tensor.Name);
        TensorKinds kind = TensorKindNames.Classify(tensor.Name, role);

        // Looked for first and everywhere: a pattern that finds only what stays is no mistake in spelling.
        (bool isExcluded, int index) = (false, -1);
        for (int i = 0; i < _options.Excluded.Count; i++)
        {
            bool matches = _options.Excluded[i].IsMatch(tensor.Name);
            _usedExclusions[i] |= matches;
            isExcluded |= matches;
        }

        for (int i = 0; i < _options.Overrides.Count; i++)
        {
            if (_options.Overrides[i].Pattern.IsMatch(tensor.Name))
            {
                _used[i] = true;
                index = index < 0 ? i : index;
            }
        }

        if (FindReasonToStay(tensor, role) is PlanReason reason)
        {
            return new TensorDecision(null, reason);
        }

        if (isExcluded)
        {
            return new TensorDecision(null, PlanReason.Excluded);
        }

        if (!_options.Requantize && tensor.Codec is { IsQuantized: true })
        {
            return new TensorDecision(null, null);
        }

        if (_options.EmbeddingCodec is QuantCodec embedding && (kind & (TensorKinds.Embedding | TensorKinds.PerLayerEmbedding)) != 0)
        {
            return new TensorDecision(embedding, null, "as the embedding's codec");
        }

        bool isOutput = kind == TensorKinds.Output || (_isTied && IsTiedKind(kind));
        if (_options.OutputCodec is QuantCodec output && isOutput && (kind == TensorKinds.Output || !_options.IsPure))
        {
            return new TensorDecision(output, null, "as the output's codec");
        }

        if (index >= 0)
        {
            return new TensorDecision(_options.Overrides[index].Codec, null, $"by '{_options.Overrides[index].Pattern}'");
        }

        return _options.IsPure ? new TensorDecision(_recipe.Codec, null) : ByRules(tensor.Name, isOutput ? TensorKinds.Output : kind);
    }

    private bool IsTiedKind(TensorKinds kind) =>
        kind == TensorKinds.Embedding || (_recipe.IsLlamaCpp && kind == TensorKinds.PerLayerEmbedding);

    private TensorDecision ByRules(string name, TensorKinds kind)
    {
        bool isValue = (kind & TensorKinds.ValueLike) != 0, isDown = (kind & TensorKinds.Down) != 0;
        int layer = TensorKindNames.LayerOf(name);
        (int index, int count) = (layer, _layers);
        if (_recipe.IsLlamaCpp && isValue)
        {
            (index, count) = (_nextValue, _values);
        }
        else if (_recipe.IsLlamaCpp && isDown && (_model.ExpertCount <= 1 || layer < 0))
        {
            index = _nextDown;
        }

        _nextValue += isValue ? 1 : 0;
        _nextDown += isDown ? 1 : 0;
        foreach (RecipeRule rule in _recipe.Rules)
        {
            if ((rule.Tensors & kind) != 0 && Holds(rule.When, index, count))
            {
                return new TensorDecision(QuantCodec.Get(rule.Codec), null, rule.ToString());
            }
        }

        return new TensorDecision(_recipe.Codec, null);
    }

    private bool Holds(RecipeCondition when, int index, int count)
    {
        return Is(RecipeCondition.MoreBits, index < count / 8 || index >= 7 * count / 8 || (index - (count / 8)) % 3 == 2)
            && Is(RecipeCondition.FirstTwo, index < 2)
            && Is(RecipeCondition.FirstFour, index < 4)
            && Is(RecipeCondition.FirstEighth, index < count / 8)
            && Is(RecipeCondition.FirstSixteenth, index < count / 16)
            && Is(RecipeCondition.WideGroups, _model.HasWideGroups)
            && Is(RecipeCondition.EightExperts, _model.ExpertCount == 8)
            && Is(RecipeCondition.SeventyBillion, _model.HasSeventyBillion)
            && Is(RecipeCondition.Falcon, _model.IsFalcon)
            && Is(RecipeCondition.Importance, _options.HasImportance);

        bool Is(RecipeCondition condition, bool value) => value || !when.HasFlag(condition);
    }

    private PlanReason? FindReasonToStay(ModelTensor tensor, TensorRole role)
    {
        if (!_recipe.IsLlamaCpp || !_model.IsGguf)
        {
            return QuantizationPlan.FindReasonToStay(tensor, role);
        }

        // As llama.cpp counts them, dimensions of one at the outside are none.
        int dimensions = tensor.Shape.Length - tensor.Shape.TakeWhile(dimension => dimension == 1).Count();
        return dimensions is < 2 or > 3 ? PlanReason.NotAMatrix
            : !tensor.Name.EndsWith("weight", StringComparison.Ordinal) ? PlanReason.NotAWeight
            : NeverInLlamaCpp.IsMatch(tensor.Name) ? PlanReason.Recipe
            : null;
    }
}

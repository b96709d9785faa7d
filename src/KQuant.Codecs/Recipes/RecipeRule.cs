namespace KQuant.Codecs.Recipes;

/// <summary>A line of a recipe: these tensors get that codec, when.</summary>
/// <param name="Tensors">Which tensors.</param>
/// <param name="Codec">Their codec.</param>
/// <param name="When">When.</param>
internal readonly record struct RecipeRule(TensorKinds Tensors, QuantFormat Codec, RecipeCondition When = RecipeCondition.Always)
{
    private static readonly (RecipeCondition Condition, string Text)[] Conditions =
    [
        (RecipeCondition.MoreBits, "in the outer eighths and every third layer between"),
        (RecipeCondition.FirstTwo, "in the first two"),
        (RecipeCondition.FirstFour, "in the first four"),
        (RecipeCondition.FirstEighth, "in the first eighth of the layers"),
        (RecipeCondition.FirstSixteenth, "in the first sixteenth of the layers"),
        (RecipeCondition.WideGroups, "with four or more queries to a key head"),
        (RecipeCondition.EightExperts, "with eight experts"),
        (RecipeCondition.SeventyBillion, "with 80 layers"),
        (RecipeCondition.Falcon, "of Falcon"),
        (RecipeCondition.Importance, "with an importance matrix"),
    ];

    private static readonly (TensorKinds Kinds, string Text)[] Names =
    [
        (TensorKinds.Attention, "attention"),
        (TensorKinds.ValueLike, "v (also fused)"),
        (TensorKinds.Down, "down"),
        (TensorKinds.Shared, "shared experts"),
        (TensorKinds.Output, "output"),
        (TensorKinds.Embedding, "embedding"),
        (TensorKinds.PerLayerEmbedding, "embedding of each layer"),
        (TensorKinds.Query, "q"),
        (TensorKinds.Key, "k"),
        (TensorKinds.Value, "v"),
        (TensorKinds.FusedQkv, "fused qkv"),
        (TensorKinds.LatentKeyValue, "kv_b"),
        (TensorKinds.AttentionOutput, "attention output"),
        (TensorKinds.SelfOutput, "self-attention output"),
        (TensorKinds.OutsideOutput, "output of other attention"),
        (TensorKinds.LinearOutput, "linear attention output"),
        (TensorKinds.LinearQkv, "linear attention qkv"),
        (TensorKinds.LinearGate, "linear attention gate"),
    ];

    /// <summary>The line in words: <c>down=q6_k in the first eighth of the layers</c>.</summary>
    public override string ToString()
    {
        TensorKinds rest = Tensors;
        RecipeCondition when = When;
        var names = new List<string>();
        foreach ((TensorKinds kinds, string text) in Names)
        {
            if ((rest & kinds) == kinds)
            {
                names.Add(text);
                rest &= ~kinds;
            }
        }

        string[] conditions = [.. Conditions.Where(pair => when.HasFlag(pair.Condition)).Select(pair => " " + pair.Text)];
        return $"{string.Join(", ", names)}={QuantCodec.Get(Codec).Name}{string.Concat(conditions)}";
    }
}

using static KQuant.Codecs.QuantFormat;
using static KQuant.Codecs.Recipes.RecipeCondition;
using static KQuant.Codecs.Recipes.TensorKinds;
using FileType = KQuant.Codecs.Files.GgufFileType;

namespace KQuant.Codecs.Recipes;

/// <summary>
/// What llama-quantize of llama.cpp decides, as tables. Of the lines of a recipe that fit a tensor the first counts; tensors that none fits
/// get the codec of the recipe. Tied embeddings are an output.
/// </summary>
internal static class LlamaRecipes
{
    // Of every recipe: how the output is stored, and what models with eight experts, whose attention is small, get.
    private static readonly RecipeRule[] Common =
    [
        new(Output,          Q8_0, Falcon),
        new(Output,          Q6_K),
        new(ValueLike | Key, Q8_0, EightExperts),
    ];

    public static QuantizationRecipe[] All { get; } =
    [
        Recipe("q2_k", Q2_K, FileType.Q2_K,
        [
            new(ValueLike,       Q5_K, SeventyBillion),
            new(ValueLike,       Q4_K, WideGroups),
            new(ValueLike,       Q3_K),
            new(AttentionOutput, Q2_K, Falcon),
            new(AttentionOutput, Q5_K, EightExperts),
            new(AttentionOutput, Q3_K),
            new(Down,            Q3_K),
        ]),
        Recipe("q2_k_s", Q2_K, FileType.Q2_K_S,
        [
            new(ValueLike,       Q5_K, SeventyBillion | WideGroups),
            new(ValueLike,       Q4_K, WideGroups),
            new(Down,            Q4_K, FirstEighth),
        ], needsImportance: true),
        Recipe("q3_k_s", Q3_K, FileType.Q3_K_S,
        [
            new(ValueLike,       Q5_K, SeventyBillion),
            new(AttentionOutput, Q3_K, Falcon),
            new(AttentionOutput, Q5_K, EightExperts),
        ]),
        Recipe("q3_k_m", Q3_K, FileType.Q3_K_M,
        [
            new(ValueLike,       Q5_K, SeventyBillion),
            new(ValueLike,       Q5_K, FirstTwo),
            new(ValueLike,       Q4_K),
            new(AttentionOutput, Q3_K, Falcon),
            new(AttentionOutput, Q5_K, EightExperts),
            new(AttentionOutput, Q4_K),
            new(Down,            Q5_K, FirstSixteenth),
            new(Down,            Q4_K, MoreBits),
            new(Down,            Q3_K, Falcon),
            new(Down,            Q4_K),
        ]),
        Recipe("q3_k_l", Q3_K, FileType.Q3_K_L,
        [
            new(ValueLike,       Q5_K),
            new(AttentionOutput, Q4_K, Falcon),
            new(AttentionOutput, Q3_K, EightExperts),
            new(AttentionOutput, Q5_K),
            new(Down,            Q4_K, Falcon),
            new(Down,            Q5_K),
        ]),
        Recipe("q4_k_s", Q4_K, FileType.Q4_K_S,
        [
            new(ValueLike,       Q5_K, SeventyBillion),
            new(ValueLike,       Q5_K, FirstFour),
            new(AttentionOutput, Q4_K, Falcon),
            new(AttentionOutput, Q5_K, EightExperts),
            new(Down,            Q4_K, Falcon),
            new(Down,            Q5_K, FirstEighth),
        ]),
        Recipe("q4_k_m", Q4_K, FileType.Q4_K_M,
        [
            new(ValueLike,       Q6_K, MoreBits),
            new(ValueLike,       Q5_K, SeventyBillion),
            new(AttentionOutput, Q4_K, Falcon),
            new(AttentionOutput, Q5_K, EightExperts),
            new(Down,            Q6_K, Falcon | FirstSixteenth),
            new(Down,            Q5_K, Falcon | MoreBits),
            new(Down,            Q4_K, Falcon),
            new(Down,            Q6_K, MoreBits),
        ]),
        Recipe("q5_k_s", Q5_K, FileType.Q5_K_S, []),
        Recipe("q5_k_m", Q5_K, FileType.Q5_K_M,
        [
            new(ValueLike,       Q6_K, MoreBits),
            new(Down,            Q6_K, MoreBits),
        ]),
        Recipe("q6_k", Q6_K, FileType.Q6_K, []),
        new("llama.q8_0", Q8_0, FileType.Q8_0, []) { IsLlamaCpp = true },
        Recipe("q4_0", Q4_0, FileType.Q4_0, [new(Down, Q4_1, Importance | FirstEighth)]),
        Recipe("q4_1", Q4_1, FileType.Q4_1, []),
        Recipe("q5_0", Q5_0, FileType.Q5_0, [new(Down, Q5_1, Importance | FirstEighth)]),
        Recipe("q5_1", Q5_1, FileType.Q5_1, []),
    ];

    private static QuantizationRecipe Recipe(string name, QuantFormat codec, FileType fileType, RecipeRule[] rules, bool needsImportance = false) =>
        new("llama." + name, codec, fileType, [.. Common, .. rules]) { IsLlamaCpp = true, NeedsImportance = needsImportance };
}

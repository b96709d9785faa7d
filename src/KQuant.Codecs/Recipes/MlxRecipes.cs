using static KQuant.Codecs.QuantFormat;
using static KQuant.Codecs.Recipes.RecipeCondition;
using static KQuant.Codecs.Recipes.TensorKinds;
using FileType = KQuant.Codecs.Files.GgufFileType;

namespace KQuant.Codecs.Recipes;

/// <summary>
/// The presets of mlx-kquant, as tables. Of the lines of a recipe that fit a tensor the first counts; tensors that none fits get the codec
/// of the recipe. They reach further than mlx-kquant's in this: shared and routed experts of every spelling, low-rank and fused
/// projections are weights like others, what holds for the down projection of a layer holds for those of its experts, and embeddings that
/// are the output as well are stored like one.
/// </summary>
internal static class MlxRecipes
{
    public static QuantizationRecipe[] All { get; } =
    [
        new("q2_k", Q2_K, FileType.Q2_K,
        [
            new(Output,                 Q3_K),
            new(Value | LinearOutput,   Q3_K),
            new(OutsideOutput,          Q3_K),
        ]),
        new("q3_k_m", Q3_K, FileType.Q3_K_M,
        [
            new(Output,                 Q5_K),
            new(Value | LinearOutput,   Q5_K),
            new(Down,                   Q5_K, MoreBits),
        ]),
        new("q4_k_s", Q4_K, FileType.Q4_K_S,
        [
            new(Output,                 Q6_K),
            new(Value,                  Q6_K),
            new(LinearOutput,           Q5_K),
        ]),
        new("q4_k_m", Q4_K, FileType.Q4_K_M,
        [
            new(Output,                 Q6_K),
            new(Value,                  Q6_K),
            new(LinearOutput,           Q5_K),
            new(Down,                   Q6_K, MoreBits),
        ]),
        new("q4_k_moe", Q4_K, FileType.Q4_K_M,
        [
            new(Output,                 Q6_K),
            new(Value,                  Q6_K),
            new(LinearOutput,           Q5_K),
            new(Down,                   Q6_K, MoreBits),
            new(Shared,                 Q5_K),
        ]),
        new("q4_k_xl", Q4_K, FileType.Q4_K_M,
        [
            new(Output,                 Q6_K),
            new(Value | Down,           Q6_K),
            new(LinearOutput,           Q8_0),
            new(LinearQkv,              Q6_K),
            new(LinearGate,             Q5_K),
        ]),
        new("q5_k_s", Q5_K, FileType.Q5_K_S,
        [
            new(Output,                 Q6_K),
            new(Value | LinearOutput,   Q6_K),
        ]),
        new("q5_k_m", Q5_K, FileType.Q5_K_M,
        [
            new(Output,                 Q6_K),
            new(Value | LinearOutput,   Q6_K),
            new(Down,                   Q6_K, MoreBits),
        ]),
        new("q5_k_moe", Q5_K, FileType.Q5_K_M,
        [
            new(Output,                 Q6_K),
            new(Value | LinearOutput,   Q6_K),
            new(Down,                   Q6_K, MoreBits),
            new(Shared,                 Q6_K),
        ]),
        new("q5_k_xl", Q5_K, FileType.Q5_K_M,
        [
            new(Output,                 Q6_K),
            new(Value | Down,           Q6_K),
            new(LinearOutput,           Q8_0),
            new(LinearQkv | LinearGate, Q6_K),
        ]),
        new("q6_k", Q6_K, FileType.Q6_K, []),
        new("q6_k_xl", Q6_K, FileType.Q6_K,
        [
            new(Output | Embedding,                    Q8_0),
            new(SelfOutput,                            Q6_K),
            new(LinearOutput | LinearQkv | LinearGate, Q8_0),
            new(Down,                                  Q8_0, MoreBits),
            new(Attention,                             Q8_0),
        ]),
        new("q8", Q8_0, FileType.Q8_0, []),
    ];
}

namespace KQuant.Codecs.Recipes;

/// <summary>Which weight of its layer a tensor is: what the rules of a recipe tell apart.</summary>
[Flags]
internal enum TensorKinds
{
    None = 0,
    Output = 1,
    Embedding = 1 << 1,
    PerLayerEmbedding = 1 << 2,
    Query = 1 << 3,
    Key = 1 << 4,
    Value = 1 << 5,
    FusedQkv = 1 << 6,
    LatentKeyValue = 1 << 7,
    SelfOutput = 1 << 8,
    OtherAttention = 1 << 9,
    LinearOutput = 1 << 10,
    LinearQkv = 1 << 11,
    LinearGate = 1 << 12,
    OtherLinear = 1 << 13,
    DenseInput = 1 << 14,
    DenseDown = 1 << 15,
    SharedInput = 1 << 16,
    SharedDown = 1 << 17,
    RoutedInput = 1 << 18,
    RoutedDown = 1 << 19,
    OutsideOutput = 1 << 20,

    /// <summary>What llama.cpp treats as the matrix of values: also where they are made together with others.</summary>
    ValueLike = Value | FusedQkv | LatentKeyValue,

    AttentionOutput = SelfOutput | OutsideOutput,

    /// <summary>Everything in self-attention.</summary>
    Attention = Query | Key | ValueLike | SelfOutput | OtherAttention,
    Down = DenseDown | SharedDown | RoutedDown,
    Shared = SharedInput | SharedDown,
}

using KQuant.Codecs;

namespace KQuant.Models.Adapters;

/// <summary>
/// What an adapter adds to one weight W [outputs, inputs]: <c>s B A</c>, or for a stack of experts one such product for each. With DoRA the rows
/// of the sum are brought to given lengths.
/// </summary>
/// <remarks>
/// An embedding is a weight like others, [tokens, values]: the row of a token is one of B, times A, whatever the two are called in a file.
/// </remarks>
public sealed class LoraWeight
{
    internal LoraWeight(string name, AdapterMatrix a, AdapterMatrix b, float scale, AdapterMatrix? magnitude)
    {
        Name = name;
        IsStack = a.Shape.Length == 3;
        Matrices = IsStack ? (int)a.Shape[0] : 1;
        Rank = (int)a.Shape[^2];
        Inputs = (int)a.Shape[^1];
        Outputs = (int)b.Shape[^2];
        Scale = scale;
        A = a.Values;
        B = b.Values;
        Magnitude = magnitude?.Values ?? default(ReadOnlyMemory<float>);
        Codec = a.Codec == b.Codec ? a.Codec : QuantCodec.Get(QuantFormat.F32);
    }

    /// <summary>The name of the weight in a checkpoint, such as <c>model.layers.0.self_attn.q_proj.weight</c>.</summary>
    public string Name { get; }

    /// <summary>Whether the weight is a stack of matrices, those of experts.</summary>
    public bool IsStack { get; }

    /// <summary>Matrices of the stack; 1 for a single matrix.</summary>
    public int Matrices { get; }

    /// <summary>Rows of A and columns of B.</summary>
    public int Rank { get; }

    /// <summary>Columns of A, which are those of the weight.</summary>
    public int Inputs { get; }

    /// <summary>Rows of B, which are those of the weight.</summary>
    public int Outputs { get; }

    /// <summary>s, with everything that the format makes it from: alpha over the rank, or over its root.</summary>
    public float Scale { get; }

    /// <summary>A, [rank, inputs] or [matrices, rank, inputs].</summary>
    public ReadOnlyMemory<float> A { get; }

    /// <summary>B, [outputs, rank] or [matrices, outputs, rank].</summary>
    public ReadOnlyMemory<float> B { get; }

    /// <summary>The length of each row of the sum, [outputs], with DoRA; else empty.</summary>
    public ReadOnlyMemory<float> Magnitude { get; }

    /// <summary>Whether rows of the sum are brought to given lengths.</summary>
    public bool IsDora => !Magnitude.IsEmpty;

    /// <summary>The format in which A and B were stored: f32, f16 or bf16, or what a GGUF file has.</summary>
    public QuantCodec Codec { get; }

    /// <summary>Numbers of A, B and the lengths.</summary>
    public long Parameters => A.Length + B.Length + (long)Magnitude.Length;

    /// <summary>The dimensions of the weight that it belongs to.</summary>
    internal QuantShape Shape => QuantShape.Stack(Matrices, Outputs, Inputs);

    /// <summary>Whether rows of B are in the order of GGUF files, where that is another: for rotating neighbours.</summary>
    internal bool HasGgufRows { get; init; }

    /// <summary>Whether an embedding is adapted where tokens are looked up, and not where it makes the logits too.</summary>
    internal bool OnlyLooksUp { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} rank {Rank}, {Shape}";
}

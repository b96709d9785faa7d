using KQuant.Codecs;
using KQuant.Matmul.Layers;

namespace KQuant.Models.Products;

/// <summary>
/// Weights that a model multiplies with, under the name that Hugging Face checkpoints give them: one matrix, or a stack of them of which
/// every row of x has its own (experts, heads).
/// </summary>
/// <remarks>
/// Rows of a fused matrix have their own name, <c>self_attn.q_proj.weight</c>, and that of what they are cut from, <c>self_attn.qkv_proj.weight</c>.
/// </remarks>
internal sealed class ModelWeight
{
    private readonly QuantizedEmbedding? _table;

    private ModelWeight(string name, string? storedName, QuantizedTensor tensor, bool isStack, ReadOnlyMemory<float> bias)
    {
        Name = name;
        StoredName = storedName ?? name;
        Tensor = tensor;
        Bias = bias;
        if (isStack)
        {
            Stack = new QuantizedSwitchLinear(tensor);
        }
        else
        {
            _table = new QuantizedEmbedding(tensor);
        }
    }

    /// <summary>What it is called, <c>.weight</c> included.</summary>
    public string Name { get; }

    /// <summary>What the tensor is called that it is part of; mostly <see cref="Name"/>.</summary>
    public string StoredName { get; }

    /// <summary>[outputs, inputs], or [matrices, outputs, inputs].</summary>
    public QuantizedTensor Tensor { get; }

    /// <summary>What is added to results, [outputs] or [matrices, outputs]; or empty.</summary>
    public ReadOnlyMemory<float> Bias { get; }

    /// <summary>Values of a row of x.</summary>
    public int Inputs => Tensor.Shape.Columns;

    /// <summary>Values of a row of y.</summary>
    public int Outputs => (int)Tensor.Shape.Rows;

    /// <summary>Whether rows choose among matrices.</summary>
    public bool IsStack => _table is null;

    /// <summary>The product with the one matrix, without bias.</summary>
    public QuantizedLinear Linear => Table.AsLinear();

    /// <summary>The rows of the one matrix, to look them up.</summary>
    public QuantizedEmbedding Table => _table ?? throw new InvalidOperationException($"{Name} is a stack of matrices.");

    /// <summary>The product with a stack, without bias; null for one matrix.</summary>
    public QuantizedSwitchLinear? Stack { get; }

    /// <summary>One matrix.</summary>
    public static ModelWeight Matrix(string name, QuantizedTensor tensor, ReadOnlyMemory<float> bias = default, string? storedName = null) =>
        new(name, storedName, tensor, isStack: false, bias);

    /// <summary>A stack of matrices.</summary>
    public static ModelWeight MatrixStack(string name, QuantizedTensor tensor, ReadOnlyMemory<float> bias = default) =>
        new(name, null, tensor, isStack: true, bias);
}

using KQuant.Matmul.Layers;
using KQuant.Models.Weights;

namespace KQuant.Models.Transformers;

/// <summary>The weights of a mixture of experts.</summary>
internal sealed class ExpertLayer
{
    public ExpertLayer(ModelConfig config, ModelWeights weights, string prefix)
    {
        ExpertConfig experts = config.Experts!;
        string mixtral = prefix + "block_sparse_moe.";
        string block = weights.Contains(mixtral + "gate.weight") ? mixtral : prefix + "mlp.";
        Router = TransformerLayer.Linear(weights, block + "gate", experts.Count, config.HiddenSize, hasBias: false);
        Gate = Stack("gate_proj", experts.IntermediateSize, config.HiddenSize);
        Up = Stack("up_proj", experts.IntermediateSize, config.HiddenSize);
        Down = Stack("down_proj", config.HiddenSize, experts.IntermediateSize);
        if (experts.SharedIntermediateSize > 0)
        {
            string shared = block + "shared_expert.";
            SharedGate = TransformerLayer.Linear(weights, shared + "gate_proj", experts.SharedIntermediateSize, config.HiddenSize, false);
            SharedUp = TransformerLayer.Linear(weights, shared + "up_proj", experts.SharedIntermediateSize, config.HiddenSize, false);
            SharedDown = TransformerLayer.Linear(weights, shared + "down_proj", config.HiddenSize, experts.SharedIntermediateSize, false);
            SharedRouter = weights.Vector(block + "shared_expert_gate.weight", config.HiddenSize);
        }

        QuantizedSwitchLinear Stack(string name, int rows, int columns) =>
            new(weights.Stack($"{block}switch_mlp.{name}.weight", experts.Count, rows, columns));
    }

    public QuantizedLinear Router { get; }

    public QuantizedSwitchLinear Gate { get; }

    public QuantizedSwitchLinear Up { get; }

    public QuantizedSwitchLinear Down { get; }

    public QuantizedLinear? SharedGate { get; }

    public QuantizedLinear? SharedUp { get; }

    public QuantizedLinear? SharedDown { get; }

    /// <summary>The weights of the sigmoid that the shared expert is multiplied with.</summary>
    public float[]? SharedRouter { get; }
}

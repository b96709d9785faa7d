using KQuant.Matmul.Backends;
using KQuant.Models.Products;

namespace KQuant.Models.Transformers;

/// <summary>A gated feed-forward layer, <c>down(act(gate(x)) * up(x))</c>.</summary>
internal sealed unsafe class DenseFeedForward : LayerFeedForward
{
    private readonly ModelWeight _gate;
    private readonly ModelWeight _up;
    private readonly ModelWeight _down;
    private readonly GateWork _activation;

    /// <param name="weights">The weights of the layer's feed-forward part.</param>
    /// <param name="activation">Gates; shared by all layers.</param>
    public DenseFeedForward(WeightLoader weights, GateWork activation)
    {
        ModelConfig config = weights.Config;
        int inner = config.IntermediateSize;
        ModelWeight[] gates = weights.Parts(
            "gate_up_proj", config.HiddenSize, config.HasFeedForwardBias, ("gate_proj", inner), ("up_proj", inner));
        (_gate, _up) = (gates[0], gates[1]);
        _down = weights.Matrix("down_proj", config.HiddenSize, inner, config.HasFeedForwardBias);
        _activation = activation;
    }

    public override void Forward(LayerActivations activations, StepContext step)
    {
        int rows = step.Rows;
        IModelProducts products = step.Products;
        var input = new ProductInput(activations.FeedForwardInput.Pointer, rows);
        long inner = (long)rows * _gate.Outputs;
        float* gate = activations.Gate.Reserve(inner);
        float* up = activations.Up.Reserve(inner);
        products.Multiply(_gate, input, gate, step.Cancellation);
        products.Multiply(_up, input, up, step.Cancellation);
        products.Finish(step.Cancellation);
        float* gated = LayerActivations.Bring(activations.Gate, activations.Gated, inner);
        _activation.Run(gated, up, rows, _gate.Outputs, step.Matmul, step.Cancellation);
        float* output = activations.FeedForwardOutput.Reserve((long)rows * _down.Outputs);
        products.Multiply(_down, new ProductInput(gated, rows), output, step.Cancellation);
        products.Finish(step.Cancellation);
    }

    public override bool CanRecord(StepRecorder recorder) => _activation.Activation == GateActivation.Silu && recorder.Has(_gate, _up, _down);

    public override void Record(StepRecorder recorder)
    {
        int inner = recorder.Rows * _gate.Outputs;
        BackendBuffer gate = recorder.Reserve(inner, nameof(gate)), up = recorder.Reserve(inner, nameof(up));
        recorder.Multiply(_gate, recorder.Input, gate);
        recorder.Multiply(_up, recorder.Input, up);
        recorder.Backend.GateBySilu(gate, up, inner);
        recorder.Multiply(_down, gate, recorder.Output);
    }
}

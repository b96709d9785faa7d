using System.Numerics.Tensors;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Vectors;
using KQuant.Models.Products;

namespace KQuant.Models.Transformers;

/// <summary>
/// A mixture of experts: the router's scores in float32, the best few experts of every token, their outputs weighted and added in the
/// order of descending score.
/// </summary>
internal sealed unsafe class ExpertFeedForward : LayerFeedForward
{
    private readonly ExpertConfig _experts;
    private readonly ModelWeight _router;
    private readonly float[]? _choiceBias;
    private readonly ModelWeight _gate;
    private readonly ModelWeight _up;
    private readonly ModelWeight _down;
    private readonly Shared? _shared;
    private readonly GateWork _activation;
    private readonly WeightedSumWork _sum;

    /// <param name="layer">The weights of the layer.</param>
    /// <param name="activation">Gates; shared by all layers.</param>
    /// <param name="sum">Adds the outputs of experts; shared by all layers.</param>
    public ExpertFeedForward(WeightLoader layer, GateWork activation, WeightedSumWork sum)
    {
        _experts = layer.Config.Experts!;
        _activation = activation;
        _sum = sum;
        int hidden = layer.Config.HiddenSize;
        (string block, string router, string stacks) = Array.Find(Places, place => layer.Contains(place.Block + place.Router)) is { Block: not null } found ? found : Places[^1];
        WeightLoader weights = layer.Enter(block);
        _router = weights.Matrix(router, _experts.Count, hidden, _experts.HasBias);
        _choiceBias = _experts.HasChoiceBias ? weights.Parameter("gate.e_score_correction_bias", _experts.Count) : null;
        WeightLoader experts = weights.Enter(stacks);
        _gate = experts.Stack("gate_proj", _experts.Count, _experts.IntermediateSize, hidden, _experts.HasBias);
        _up = experts.Stack("up_proj", _experts.Count, _experts.IntermediateSize, hidden, _experts.HasBias);
        _down = experts.Stack("down_proj", _experts.Count, hidden, _experts.IntermediateSize, _experts.HasBias);
        _shared = _experts.SharedIntermediateSize > 0 ? new Shared(layer, _experts) : null;
    }

    /// <summary>Where families keep the router and the stacks. The last one is named when none is there.</summary>
    private static (string Block, string Router, string Stacks)[] Places { get; } =
    [
        ("block_sparse_moe.", "gate", "switch_mlp."), ("block_sparse_moe.", "router.layer", "switch_mlp."), ("mlp.", "router", "experts."),
        ("mlp.", "gate", "switch_mlp."),
    ];

    public override void Forward(LayerActivations activations, StepContext step)
    {
        int rows = step.Rows, perRow = _experts.PerToken, pairs = checked(rows * perRow);
        IModelProducts products = step.Products;
        float* input = activations.FeedForwardInput.Pointer;
        Span<float> probabilities = activations.RouterProbabilities.Get((long)rows * _experts.Count);
        products.Multiply(_router, new ProductInput(input, rows), activations.RouterProbabilities.Pointer, step.Cancellation);
        products.Finish(step.Cancellation);
        Span<int> ids = activations.ExpertIds.Get(pairs);
        Span<float> weights = activations.ExpertWeights.Get(pairs);
        for (int row = 0; row < rows; row++)
        {
            Choose(
                probabilities.Slice(row * _experts.Count, _experts.Count), ids.Slice(row * perRow, perRow), weights.Slice(row * perRow, perRow));
        }

        long inner = (long)pairs * _gate.Outputs;
        float* gate = activations.Gate.Reserve(inner);
        float* up = activations.Up.Reserve(inner);
        var sent = new ProductInput(input, rows, activations.ExpertIds.Pointer, perRow);
        products.Multiply(_gate, sent, gate, step.Cancellation);
        products.Multiply(_up, sent, up, step.Cancellation);
        products.Finish(step.Cancellation);
        float* gated = LayerActivations.Bring(activations.Gate, activations.Gated, inner);
        _activation.Run(gated, up, pairs, _gate.Outputs, step.Matmul, step.Cancellation);
        float* down = activations.ExpertOutputs.Reserve((long)pairs * _down.Outputs);
        products.Multiply(_down, new ProductInput(gated, pairs, activations.ExpertIds.Pointer), down, step.Cancellation);
        products.Finish(step.Cancellation);
        float* output = activations.FeedForwardOutput.Reserve((long)rows * _down.Outputs);
        _sum.Run(down, activations.ExpertWeights.Pointer, output, rows, perRow, _down.Outputs, step.Matmul, step.Cancellation);
        if (_shared is not null)
        {
            AddShared(_shared, activations, step);
        }
    }

    public override bool CanRecord(StepRecorder recorder) =>
        _shared is null && _experts.Score == RouterScore.Softmax && _choiceBias is null && _experts.WeightScale == 1
        && _router.Bias.IsEmpty && _activation.Activation == GateActivation.Silu && _gate.Bias.IsEmpty && _up.Bias.IsEmpty && _down.Bias.IsEmpty
        && recorder.Has(_router, _gate, _up, _down);

    public override void Record(StepRecorder recorder)
    {
        int rows = recorder.Rows, perRow = _experts.PerToken, pairs = rows * perRow, inner = pairs * _gate.Outputs;
        BackendBuffer scores = recorder.Reserve(rows * _experts.Count, nameof(scores)), ids = recorder.Reserve(pairs, nameof(ids));
        BackendBuffer weights = recorder.Reserve(pairs, nameof(weights)), gate = recorder.Reserve(inner, nameof(gate));
        BackendBuffer up = recorder.Reserve(inner, nameof(up)), down = recorder.Reserve(pairs * _down.Outputs, nameof(down));
        recorder.Multiply(_router, recorder.Input, scores);
        recorder.Backend.Route(scores, ids, weights, new RouteShape(rows, _experts.Count, perRow, _experts.Normalizes, _experts.LeastSum));
        recorder.Multiply(_gate, recorder.Input, ids, pairs, perRow, gate);
        recorder.Multiply(_up, recorder.Input, ids, pairs, perRow, up);
        recorder.Backend.GateBySilu(gate, up, inner);
        recorder.Multiply(_down, gate, ids, pairs, 1, down);
        recorder.Backend.AddWeighted(down, weights, recorder.Output, rows, perRow, _down.Outputs);
    }

    /// <summary>The best experts of a token, best first, and their weights.</summary>
    private void Choose(Span<float> probabilities, Span<int> ids, Span<float> weights)
    {
        if (_experts.Score == RouterScore.Sigmoid)
        {
            TensorPrimitives.Sigmoid(probabilities, probabilities);
        }
        else
        {
            RowMath.Divide(probabilities, RowMath.Exponentiate(probabilities), probabilities);
        }

        float sum = 0;
        for (int k = 0; k < ids.Length; k++)
        {
            ids[k] = FindBest(probabilities, ids[..k]);
            weights[k] = probabilities[ids[k]];
            sum += weights[k];
        }

        if (_experts.Normalizes)
        {
            RowMath.Divide(weights, Math.Max(sum, _experts.LeastSum), weights);
        }

        if (_experts.WeightScale != 1)
        {
            TensorPrimitives.Multiply(weights, _experts.WeightScale, weights);
        }
    }

    /// <summary>The best expert that is not chosen yet, the first of equal ones.</summary>
    private int FindBest(ReadOnlySpan<float> probabilities, ReadOnlySpan<int> chosen)
    {
        int best = -1;
        float bestScore = 0;
        for (int i = 0; i < probabilities.Length; i++)
        {
            float score = _choiceBias is null ? probabilities[i] : probabilities[i] + _choiceBias[i];

            // Written so that an expert without a number is chosen once at most, and only when no other is left.
            if ((best < 0 || score > bestScore || (float.IsNaN(bestScore) && !float.IsNaN(score))) && !chosen.Contains(i))
            {
                (best, bestScore) = (i, score);
            }
        }

        return best;
    }

    private void AddShared(Shared shared, LayerActivations activations, StepContext step)
    {
        int rows = step.Rows;
        IModelProducts products = step.Products;
        var input = new ProductInput(activations.FeedForwardInput.Pointer, rows);
        long inner = (long)rows * shared.Gate.Outputs;
        float* gate = activations.SharedGate.Reserve(inner);
        float* up = activations.SharedUp.Reserve(inner);
        Span<float> scores = activations.SharedRouter.Get(rows);
        products.Multiply(shared.Gate, input, gate, step.Cancellation);
        products.Multiply(shared.Up, input, up, step.Cancellation);
        if (shared.Router is not null)
        {
            products.Multiply(shared.Router, input, activations.SharedRouter.Pointer, step.Cancellation);
        }

        products.Finish(step.Cancellation);
        float* gated = LayerActivations.Bring(activations.SharedGate, activations.SharedGated, inner);
        _activation.Run(gated, up, rows, shared.Gate.Outputs, step.Matmul, step.Cancellation);
        int width = shared.Down.Outputs;
        Span<float> outputs = activations.SharedOutput.Get((long)rows * width);
        products.Multiply(shared.Down, new ProductInput(gated, rows), activations.SharedOutput.Pointer, step.Cancellation);
        products.Finish(step.Cancellation);
        for (int row = 0; row < rows; row++)
        {
            float share = shared.Router is null ? 1 : 1 / (1 + MathF.Exp(-scores[row]));
            var target = new Span<float>(activations.FeedForwardOutput.Pointer + ((long)row * width), width);
            TensorPrimitives.MultiplyAdd(outputs.Slice(row * width, width), share, target, target);
        }
    }

    /// <summary>The expert that every token goes through, and the weights of the sigmoid that it is multiplied with, if it is.</summary>
    private sealed class Shared
    {
        public Shared(WeightLoader layer, ExpertConfig experts)
        {
            int hidden = layer.Config.HiddenSize, inner = experts.SharedIntermediateSize;
            string place = Array.Find(Blocks, block => layer.Contains(block + "down_proj") || layer.Contains(block + "output_linear")) ?? Blocks[0];
            WeightLoader weights = layer.Enter(place);
            ModelWeight[] gates = weights.Parts("input_linear", hidden, false, ("gate_proj", inner), ("up_proj", inner));
            (Gate, Up) = (gates[0], gates[1]);
            Down = weights.Matrix(weights.Contains("output_linear") ? "output_linear" : "down_proj", hidden, inner);
            Router = experts.HasSharedGate ? layer.Row("mlp.shared_expert_gate", hidden) : null;
        }

        public ModelWeight Gate { get; }

        public ModelWeight Up { get; }

        public ModelWeight Down { get; }

        public ModelWeight? Router { get; }

        private static string[] Blocks { get; } = ["mlp.shared_expert.", "mlp.shared_experts.", "shared_mlp."];
    }
}

using System.Numerics.Tensors;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>One layer: attention and a feed-forward layer, each between norms, each added to the stream.</summary>
/// <param name="norms">Its norms.</param>
/// <param name="attention">How its tokens see one another.</param>
/// <param name="feedForward">What it does with each.</param>
/// <param name="scale">What both are multiplied with before they are added.</param>
internal sealed unsafe class DecoderLayer(LayerNorms norms, LayerAttention attention, LayerFeedForward feedForward, float scale)
{
    public LayerAttention Attention => attention;

    public LayerFeedForward FeedForward => feedForward;

    /// <summary>Computes what the layer adds to the stream. The last addition happens with the next norm.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="activations">Where to compute.</param>
    /// <param name="step">The step.</param>
    public void Forward(ResidualStream stream, LayerActivations activations, StepContext step)
    {
        long values = (long)step.Rows * stream.Width;
        stream.Normalize(norms.Input, activations.AttentionInput.Reserve(values), step);
        Keep(activations.Input);
        attention.Forward(activations, step);
        Scale(activations.AttentionOutput);
        stream.Add(activations.AttentionOutput, norms.PostAttention, step.Rows, activations.KeepsAll);
        stream.Normalize(norms.FeedForward, activations.FeedForwardInput.Reserve(values), step);
        Keep(activations.Middle);
        feedForward.Forward(activations, step);
        Scale(activations.FeedForwardOutput);
        stream.Add(activations.FeedForwardOutput, norms.PostFeedForward, step.Rows, activations.KeepsAll);

        void Scale(NativeBuffer<float> output)
        {
            if (scale != 1)
            {
                var all = new Span<float>(output.Pointer, checked((int)values));
                TensorPrimitives.Multiply(all, scale, all);
            }
        }

        void Keep(NativeBuffer<float> target)
        {
            if (activations.KeepsAll)
            {
                target.Copy(stream.Values, values);
            }
        }
    }

    /// <summary>Whether <see cref="Record"/> does what <see cref="Forward"/> does, for this step.</summary>
    public bool CanRecord(StepRecorder recorder, StepContext step) => scale == 1 && Attention.CanRecord(recorder, step) && FeedForward.CanRecord(recorder);

    /// <summary>The same on a backend.</summary>
    public void Record(StepRecorder recorder, float epsilon, StepContext step)
    {
        recorder.Normalize(norms.Input, epsilon);
        Attention.Record(recorder, step);
        (recorder.HasOutput, recorder.OutputNorm) = (true, norms.PostAttention);
        recorder.Normalize(norms.FeedForward, epsilon);
        FeedForward.Record(recorder);
        (recorder.HasOutput, recorder.OutputNorm) = (true, norms.PostFeedForward);
    }
}

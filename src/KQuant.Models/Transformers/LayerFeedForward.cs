namespace KQuant.Models.Transformers;

/// <summary>What a layer does with each token by itself.</summary>
internal abstract class LayerFeedForward
{
    /// <summary>From <see cref="LayerActivations.FeedForwardInput"/> to <see cref="LayerActivations.FeedForwardOutput"/>.</summary>
    /// <param name="activations">Where the layer computes.</param>
    /// <param name="step">The step.</param>
    public abstract void Forward(LayerActivations activations, StepContext step);

    /// <summary>Whether <see cref="Record"/> does what <see cref="Forward"/> does.</summary>
    public virtual bool CanRecord(StepRecorder recorder) => false;

    /// <summary>The same on a backend, from <see cref="StepRecorder.Input"/> to <see cref="StepRecorder.Output"/>.</summary>
    public virtual void Record(StepRecorder recorder) => throw new NotSupportedException();
}

using KQuant.Models.Caching;

namespace KQuant.Models.Transformers;

/// <summary>
/// How the tokens of a layer see those before them. Each kind has weights and a state of its own; states are in the caches of texts, so
/// that they are forked and cut back with them.
/// </summary>
internal abstract class LayerAttention
{
    /// <summary>The state of a text without tokens.</summary>
    /// <param name="format">How keys and values are stored, for kinds that have them.</param>
    /// <param name="maxSize">Tokens to remember at most; 0 for all.</param>
    /// <param name="chunk">The most tokens of a text in a step.</param>
    public abstract LayerState CreateState(LayerCacheFormat format, int maxSize, int chunk);

    /// <summary>
    /// From <see cref="LayerActivations.AttentionInput"/> to <see cref="LayerActivations.AttentionOutput"/>. The states of the texts see the
    /// rows of the step, but count them only when the step is complete.
    /// </summary>
    /// <param name="activations">Where the layer computes.</param>
    /// <param name="step">The step.</param>
    public abstract void Forward(LayerActivations activations, StepContext step);

    /// <summary>Whether <see cref="Record"/> does what <see cref="Forward"/> does, for this step.</summary>
    public virtual bool CanRecord(StepRecorder recorder, StepContext step) => false;

    /// <summary>The same on a backend, from <see cref="StepRecorder.Input"/> to <see cref="StepRecorder.Output"/>.</summary>
    public virtual void Record(StepRecorder recorder, StepContext step) => throw new NotSupportedException();
}

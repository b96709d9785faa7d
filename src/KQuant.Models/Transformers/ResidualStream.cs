using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>
/// The values that go from layer to layer, and what is to be added to them: that happens together with the next norm, in one pass.
/// </summary>
/// <param name="width">Values of a row.</param>
/// <param name="epsilon">Added to mean squares in norms.</param>
internal sealed unsafe class ResidualStream(int width, float epsilon) : IDisposable
{
    private readonly NativeBuffer<float> _values = new();
    private readonly NativeBuffer<float> _copy = new();
    private readonly NormWork _work = new(epsilon);
    private float* _added;
    private float[]? _addedNorm;

    /// <summary>Values of a row.</summary>
    public int Width => width;

    /// <summary>The values, [rows][width], without what is still to be added.</summary>
    public float* Values => _values.Pointer;

    /// <summary>Begins a step.</summary>
    /// <returns>The values, to be filled.</returns>
    public Span<float> Begin(int rows)
    {
        _added = null;
        _addedNorm = null;
        return _values.Get((long)rows * width);
    }

    /// <summary>Adds values when the next norm is computed; they stay as they are until then.</summary>
    /// <param name="added">The values.</param>
    /// <param name="norm">Weights to normalize them with first, or null.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="isKept">Whether the values stay as they are for ever.</param>
    public void Add(NativeBuffer<float> added, float[]? norm, int rows, bool isKept)
    {
        _added = isKept && norm is not null ? _copy.Copy(added.Pointer, (long)rows * width) : added.Pointer;
        _addedNorm = norm;
    }

    /// <summary>Adds what is to be added, and normalizes.</summary>
    /// <param name="weights">Weights of the norm; null for none.</param>
    /// <param name="target">Its results.</param>
    /// <param name="step">The step.</param>
    public void Normalize(float[]? weights, float* target, StepContext step)
    {
        _work.Run(_values.Pointer, _added, _addedNorm, weights, target, step.Rows, width, step.Matmul, step.Cancellation);
        _added = null;
        _addedNorm = null;
    }

    public void Dispose()
    {
        _values.Dispose();
        _copy.Dispose();
    }
}

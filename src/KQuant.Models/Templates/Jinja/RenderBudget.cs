using System.Runtime.CompilerServices;

namespace KQuant.Models.Templates;

/// <summary>
/// What one rendering may use up: steps, which are about 100 nanoseconds of processor time each, and bytes, which count once however soon
/// they are free again. Templates come with model files and are not trusted; both bounds are far above what a real one needs, and grow with
/// the conversation, which is the caller's own.
/// </summary>
/// <param name="inputLength">Characters of the conversation.</param>
/// <param name="cancellationToken">Ends the rendering.</param>
internal sealed class RenderBudget(long inputLength, CancellationToken cancellationToken)
{
    private const long LeastSteps = 10_000_000, LeastBytes = 64L << 20;
    private const long MostSteps = 2 * LeastSteps, MostBytes = 1L << 30;
    private const int BytesOfCharacter = 32;
    private const int StepsBetweenLooks = 1 << 11;

    private readonly long _maxSteps = Math.Min(LeastSteps + inputLength, MostSteps);
    private readonly long _maxBytes = Math.Min(LeastBytes + (BytesOfCharacter * inputLength), MostBytes);
    private long _nextLook = StepsBetweenLooks;

    /// <summary>Steps so far.</summary>
    public long Steps { get; private set; }

    /// <summary>Bytes so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Counts work before it is done.</summary>
    public void Step(long count)
    {
        Steps += count;
        if (Steps >= _nextLook || count < 0)
        {
            if (Steps > _maxSteps || count < 0)
            {
                throw new TemplateException($"the template takes more than {_maxSteps} steps");
            }

            cancellationToken.ThrowIfCancellationRequested();
            _nextLook = Steps + StepsBetweenLooks;
        }

        RuntimeHelpers.EnsureSufficientExecutionStack();
    }

    /// <summary>Counts memory before it is taken.</summary>
    public void Allocate(long bytes)
    {
        Bytes += bytes;
        if (Bytes > _maxBytes || bytes < 0)
        {
            throw new TemplateException($"the template uses more than {_maxBytes} bytes of memory");
        }
    }
}

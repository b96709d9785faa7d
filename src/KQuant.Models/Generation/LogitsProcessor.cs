namespace KQuant.Models.Generation;

/// <summary>
/// Changes what may come next: looks at the logits of every token before it is chosen. Grammars are such processors, and programs may have
/// their own (<see cref="GenerationOptions.Processors"/>).
/// </summary>
public abstract class LogitsProcessor
{
    /// <summary>Whether the text is complete, so that nothing can follow: it ends without another token.</summary>
    public virtual bool IsComplete => false;

    /// <summary>A text begins. One with a state of its own for every text returns a new object; others themselves.</summary>
    /// <param name="prompt">What stands before the text.</param>
    /// <param name="endTokens">The tokens that end it.</param>
    /// <returns>The processor of this text.</returns>
    public virtual LogitsProcessor Begin(ReadOnlySpan<int> prompt, IReadOnlyList<int> endTokens) => this;

    /// <summary>Changes the logits of the next token, before penalties and sampling.</summary>
    /// <param name="tokens">The tokens so far, prompt included.</param>
    /// <param name="logits">One per token of the vocabulary; negative infinity for what must not come.</param>
    public abstract void Process(ReadOnlySpan<int> tokens, Span<float> logits);

    /// <summary>A token was chosen.</summary>
    /// <param name="token">It.</param>
    public virtual void Accept(int token)
    {
    }
}

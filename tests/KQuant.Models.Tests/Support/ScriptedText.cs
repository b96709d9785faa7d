using KQuant.Models.Generation;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Tests;

/// <summary>Makes a model begin its first text as a script says, as far as other processors allow it; later texts are its own.</summary>
internal sealed class ScriptedText(Tokenizer tokenizer, string script) : LogitsProcessor
{
    private readonly int[] _script = tokenizer.Encode(script, addSpecialTokens: false);
    private int _start = -1;
    private bool _isOver;

    public override LogitsProcessor Begin(ReadOnlySpan<int> prompt, IReadOnlyList<int> endTokens)
    {
        (_isOver, _start) = (_start >= 0, prompt.Length);
        return this;
    }

    public override void Process(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        int at = tokens.Length - _start;
        if (!_isOver && at < _script.Length)
        {
            logits[_script[at]] += 1e6f;
        }
    }
}

using System.Diagnostics;
using KQuant.Models.Transformers;

namespace KQuant.Models.Generation;

/// <summary>
/// Generates any number of texts together, step by step; texts come and go between steps. A step has the next token of every text that is
/// being written, and of prompts as much as there is room for, in equal parts: a long one keeps nobody waiting.
/// </summary>
/// <remarks>One call at a time. What is alone in a step has the bits that it would have by itself.</remarks>
/// <param name="runner">Takes the steps; others may take theirs in between.</param>
internal sealed class StepScheduler(ModelRunner runner)
{
    private readonly List<TextGenerator> _texts = [];
    private readonly List<TextGenerator> _finished = [];
    private readonly List<int> _counts = [];
    private readonly ModelStep _step = new();
    private float[] _logits = [];

    /// <summary>Texts that go on.</summary>
    public int Count => _texts.Count;

    /// <summary>Adds a text.</summary>
    /// <param name="text">The text; it stays its owner's.</param>
    /// <exception cref="ContextLengthException">Its prompt does not fit behind what its cache holds.</exception>
    /// <exception cref="ArgumentException">A token is not in the vocabulary, or the cache is another model's.</exception>
    public void Admit(TextGenerator text)
    {
        runner.Check(text.Pending, text.Cache);
        _texts.Add(text);
    }

    /// <summary>Takes a text out; its cache holds what was read.</summary>
    /// <returns>False when it was not there, or has finished.</returns>
    public bool Remove(TextGenerator text) => _texts.Remove(text);

    /// <summary>Takes a step with all texts that there is room for.</summary>
    /// <param name="results">Receives the tokens that were chosen; none for texts whose prompts are not yet read.</param>
    /// <param name="cancellation">Ends it early; all texts are as before then.</param>
    public void Advance(List<StepResult> results, CancellationToken cancellation)
    {
        Plan();
        _step.Clear();
        int outputs = 0;
        for (int i = 0; i < _texts.Count; i++)
        {
            if (_counts[i] > 0)
            {
                ReadOnlySpan<int> pending = _texts[i].Pending;
                bool isRead = _counts[i] == pending.Length;
                _step.Add(_texts[i].Cache, pending[.._counts[i]], isRead ? StepOutputs.Last : StepOutputs.None);
                outputs += isRead ? 1 : 0;
            }
        }

        int vocabulary = runner.Config.VocabularySize;
        if (_logits.Length < outputs * vocabulary)
        {
            _logits = new float[outputs * vocabulary];
        }

        Span<float> logits = _logits.AsSpan(0, outputs * vocabulary);
        long start = Stopwatch.GetTimestamp();
        runner.Run(_step, logits, cancellation);
        TimeSpan time = Stopwatch.GetElapsedTime(start);
        for (int i = 0; i < _texts.Count; i++)
        {
            if (_counts[i] > 0)
            {
                _texts[i].Measure(time);
            }
        }

        Choose(logits, results);
    }

    /// <summary>How many tokens of each text go into the next step.</summary>
    private void Plan()
    {
        _counts.Clear();
        int room = runner.ChunkSize, prompts = 0;
        foreach (TextGenerator text in _texts)
        {
            bool isWritten = text.Pending.Length == 1;
            int count = isWritten && room > 0 ? 1 : 0;
            _counts.Add(count);
            room -= count;
            prompts += isWritten ? 0 : 1;
        }

        for (int i = 0; i < _texts.Count && room > 0; i++)
        {
            int pending = _texts[i].Pending.Length;
            if (pending > 1)
            {
                _counts[i] = Math.Min(pending, Math.Max(1, room / prompts--));
                room -= _counts[i];
            }
        }

        // What short prompts leave is for long ones.
        for (int i = 0; i < _texts.Count && room > 0; i++)
        {
            int more = Math.Min(_texts[i].Pending.Length - _counts[i], room);
            _counts[i] += more;
            room -= more;
        }
    }

    private void Choose(Span<float> logits, List<StepResult> results)
    {
        int vocabulary = runner.Config.VocabularySize;
        int served = 0;
        for (int i = 0, row = 0; i < _texts.Count; i++)
        {
            served += _counts[i] > 0 ? 1 : 0;
            if (_counts[i] > 0 && _texts[i].Pending.IsEmpty)
            {
                results.Add(new StepResult(_texts[i], Choose(_texts[i], logits.Slice(row++ * vocabulary, vocabulary))));
                if (_texts[i].IsFinished)
                {
                    _finished.Add(_texts[i]);
                }
            }
        }

        if (served < _texts.Count)
        {
            PutLast();
        }

        foreach (TextGenerator text in _finished)
        {
            _texts.Remove(text);
        }

        _finished.Clear();
    }

    /// <summary>Chooses the next token of a text. What is wrong with one, such as a processor of the caller's, ends it alone.</summary>
    private static GeneratedToken? Choose(TextGenerator text, Span<float> logits)
    {
        try
        {
            return text.Accept(logits);
        }
        catch (Exception exception)
        {
            text.Fail(exception);
            return null;
        }
    }

    /// <summary>Those that had their turn wait behind those that had none.</summary>
    private void PutLast()
    {
        TextGenerator[] order = [.. _texts.Where((_, i) => _counts[i] == 0), .. _texts.Where((_, i) => _counts[i] > 0)];
        _texts.Clear();
        _texts.AddRange(order);
    }
}

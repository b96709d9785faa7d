using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Tests.Grammars;

/// <summary>Texts of a model that knows nothing: random logits behind a grammar.</summary>
internal static class RandomTexts
{
    /// <summary>Writes a text; tokens that close something become likelier the longer it is, so that it comes to an end.</summary>
    public static string Write(Grammar grammar, Tokenizer tokenizer, Random random)
    {
        LogitsProcessor text = grammar.CreateProcessor(tokenizer).Begin([], tokenizer.EosIds);
        var ids = new List<int>();
        var logits = new float[tokenizer.VocabularySize];
        bool[] closes = [.. Enumerable.Range(0, logits.Length).Select(id => tokenizer.Decode([id]) is { } piece
            && piece.TrimEnd() is { Length: > 0 } end && end[^1] is '"' or '}' or ']')];
        while (!text.IsComplete)
        {
            float haste = ids.Count / 40f;
            for (int id = 0; id < logits.Length; id++)
            {
                logits[id] = (-MathF.Log(-MathF.Log(random.NextSingle() + 1e-9f) + 1e-9f)) + (closes[id] || tokenizer.EosIds.Contains(id) ? haste : 0);
            }

            text.Process([.. ids], logits);
            int best = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(logits);
            if (float.IsNegativeInfinity(logits[best]) || ids.Count > 5000)
            {
                throw new InvalidOperationException($"The text does not go on, or not end, behind {tokenizer.Decode([.. ids])}");
            }

            text.Accept(best);
            if (tokenizer.EosIds.Contains(best))
            {
                break;
            }

            ids.Add(best);
        }

        return tokenizer.Decode([.. ids]);
    }
}

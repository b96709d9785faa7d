using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Models of <see cref="RandomCheckpoint"/>s, whose folders are written once.</summary>
internal sealed class RandomModels : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    /// <summary>Loads one without its tokenizer.</summary>
    public LanguageModel Load(string name, ModelOptions? options = null)
    {
        string path = _folder[name];
        lock (_folder)
        {
            if (!Directory.Exists(path))
            {
                RandomCheckpoint.Create(name).Write(path);
            }
        }

        return LanguageModel.Load(path, (options ?? new ModelOptions()) with { LoadTokenizer = false });
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>The logits of the last of some tokens, behind a cache.</summary>
    public static float[] Logits(LanguageModel model, KeyValueCache cache, ReadOnlySpan<int> tokens)
    {
        var logits = new float[model.Config.VocabularySize];
        model.Forward(tokens, cache, logits);
        return logits;
    }
}

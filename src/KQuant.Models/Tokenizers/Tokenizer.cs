using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Text to token ids and back: the byte-pair tokenizers of Hugging Face <c>tokenizer.json</c> files and those inside GGUF files.
/// Immutable; all members are safe to call from several threads at once.
/// </summary>
public sealed class Tokenizer
{
    private Tokenizer()
    {
    }

    /// <summary>One more than the largest token id.</summary>
    public int VocabularySize { get; }

    /// <summary>The token that begins a text, or null if the model names none.</summary>
    public int? BosId { get; }

    /// <summary>The tokens that end generation, in ascending order.</summary>
    public IReadOnlyList<int> EosIds { get; } = [];

    /// <summary>Whether <see cref="Encode"/> begins with <see cref="BosId"/> when it adds special tokens.</summary>
    public bool AddsBos { get; }

    /// <summary>
    /// Loads a tokenizer: the <c>tokenizer.json</c> of a Hugging Face folder, such a file itself, or that of a GGUF file.
    /// </summary>
    /// <param name="path">A folder with a <c>tokenizer.json</c>, or a file.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="ModelFormatException">The file is missing, not well-formed, or needs a component that is not known.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Tokenizer Load(string path) => throw new NotSupportedException(path);

    /// <summary>The tokenizer of an open GGUF file.</summary>
    /// <param name="file">The file; not needed any more afterwards.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="ModelFormatException">The file has no tokenizer, or one of a kind that is not known.</exception>
    public static Tokenizer FromGguf(GgufFile file) => throw new NotSupportedException(file?.Path);

    /// <summary>Token ids of a text.</summary>
    /// <param name="text">The text; halves of surrogate pairs count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether to add what the model wants around a text, such as the token that begins it.
    /// False for a rendered chat template, which has them already.</param>
    /// <param name="parseSpecialTokens">Whether the names of special tokens in the text mean those tokens. False for text of untrusted
    /// origin.</param>
    /// <returns>The ids.</returns>
    public int[] Encode(string text, bool addSpecialTokens = true, bool parseSpecialTokens = true) => throw new NotSupportedException(text);

    /// <summary>The text of token ids.</summary>
    /// <param name="ids">The ids; those that name no token are left out.</param>
    /// <param name="skipSpecialTokens">Whether to leave special tokens out.</param>
    /// <returns>The text, with U+FFFD for what is no UTF-8.</returns>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false) => throw new NotSupportedException();

    /// <summary>A decoder for tokens that come one by one.</summary>
    /// <param name="skipSpecialTokens">Whether to leave special tokens out.</param>
    /// <returns>A new decoder.</returns>
    public StreamingDecoder CreateDecoder(bool skipSpecialTokens = true) => throw new NotSupportedException();

    /// <summary>The spelling of a token in the vocabulary, such as <c>Ġthe</c>; null if there is no such id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The spelling or null.</returns>
    public string? GetToken(int id) => throw new NotSupportedException();

    /// <summary>The id of a token by its spelling in the vocabulary.</summary>
    /// <param name="token">The spelling.</param>
    /// <param name="id">The id, or -1.</param>
    /// <returns>Whether there is such a token.</returns>
    public bool TryGetId(string token, out int id) => throw new NotSupportedException();

    /// <summary>Whether a token is special: control, not text.</summary>
    /// <param name="id">The id.</param>
    /// <returns>Whether it is.</returns>
    public bool IsSpecial(int id) => throw new NotSupportedException();
}

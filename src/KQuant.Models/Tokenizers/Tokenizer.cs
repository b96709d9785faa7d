using System.Buffers;
using System.Text;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Text to token ids and back: the tokenizers of Hugging Face <c>tokenizer.json</c> files (byte-pair, Unigram, WordPiece) and those inside GGUF files.
/// Immutable; all members are safe to call from several threads at once.
/// </summary>
/// <remarks>
/// A text is cut at the tokens that were added to the vocabulary; what lies between them is normalized, cut into pieces and each piece
/// joined to tokens. The ids of a <c>tokenizer.json</c> are those of Hugging Face's <c>tokenizers</c>, those of a GGUF file llama.cpp's.
/// The time for a text of n characters is of the order of n log n whatever it contains.
/// </remarks>
/// <example>
/// <code>
/// var tokenizer = Tokenizer.Load("Qwen3-0.6B");
/// int[] ids = tokenizer.Encode("Hello there");
/// string text = tokenizer.Decode(ids);
/// </code>
/// </example>
public sealed class Tokenizer
{
    private readonly TokenizerParts _parts;
    private readonly AddedTokenCutter? _addedRaw;
    private readonly AddedTokenCutter? _addedNormalized;
    private readonly bool _normalizesControls;

    internal Tokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _addedRaw = MakeCutter(false);
        _addedNormalized = MakeCutter(true);
        _normalizesControls = parts.Added.Any(token => token is { Normalized: true, Special: true });
    }

    /// <summary>One more than the largest token id.</summary>
    public int VocabularySize => _parts.Spellings.Count;

    /// <summary>The token that begins a text, or null if the model names none.</summary>
    public int? BosId => _parts.BosId;

    /// <summary>The tokens that end generation, in ascending order.</summary>
    public IReadOnlyList<int> EosIds => _parts.EosIds;

    /// <summary>The token for what has no token, or null.</summary>
    public int? UnknownId => _parts.UnknownId;

    /// <summary>The token that fills up short sequences of a batch, or null.</summary>
    public int? PadId => _parts.PadId;

    /// <summary>Whether <see cref="Encode"/> begins with <see cref="BosId"/> when it adds special tokens.</summary>
    public bool AddsBos => BosId is int bos && _parts.Prefix.AsSpan().Contains(bos);

    /// <summary>
    /// Loads a tokenizer: the <c>tokenizer.json</c> of a Hugging Face folder, such a file itself, or that of a GGUF file.
    /// </summary>
    /// <param name="path">A folder with a <c>tokenizer.json</c>, or a file.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="ModelFormatException">The file is missing, not well-formed, or needs a component that is not known.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Tokenizer Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            string json = Path.Combine(path, "tokenizer.json");
            return File.Exists(json)
                ? new Tokenizer(TokenizerJson.Load(json))
                : throw new ModelFormatException(path, "the folder has no tokenizer.json");
        }

        if (!File.Exists(path))
        {
            throw new ModelFormatException(path, "there is no such file or folder");
        }

        if (!GgufFile.HasMagic(path))
        {
            return new Tokenizer(TokenizerJson.Load(path));
        }

        using GgufFile file = GgufFile.Open(path);
        return FromGguf(file);
    }

    /// <summary>The tokenizer of an open GGUF file.</summary>
    /// <param name="file">The file; not needed any more afterwards.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="ModelFormatException">The file has no tokenizer, or one of a kind that is not known.</exception>
    public static Tokenizer FromGguf(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return new Tokenizer(GgufTokenizer.Load(file.Path, file.Metadata));
    }

    /// <summary>Token ids of a text.</summary>
    /// <param name="text">The text; halves of surrogate pairs count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether to add what the model wants around a text, such as the token that begins it.
    /// False for a rendered chat template, which has them already.</param>
    /// <param name="parseSpecialTokens">Whether the names of special tokens in the text mean those tokens. False for text of untrusted
    /// origin.</param>
    /// <returns>The ids.</returns>
    /// <exception cref="TimeoutException">A regular expression of the tokenizer that backtracks does not come to an end.</exception>
    public int[] Encode(string text, bool addSpecialTokens = true, bool parseSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        try
        {
            int length = Encoding.UTF8.GetBytes(text, bytes);
            return EncodeUtf8(bytes.AsSpan(0, length), addSpecialTokens, parseSpecialTokens);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>How many tokens a text has: as many as <see cref="Encode"/> gives, without an array of them.</summary>
    /// <param name="text">The text; halves of surrogate pairs count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether those count that the model wants around a text.</param>
    /// <param name="parseSpecialTokens">Whether the names of special tokens in the text mean those tokens.</param>
    /// <returns>The number.</returns>
    /// <exception cref="TimeoutException">A regular expression of the tokenizer that backtracks does not come to an end.</exception>
    /// <example>
    /// <code>
    /// int tokens = tokenizer.CountTokens("It is a truth universally acknowledged");
    /// </code>
    /// </example>
    public int CountTokens(ReadOnlySpan<char> text, bool addSpecialTokens = true, bool parseSpecialTokens = true)
    {
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        try
        {
            int length = Encoding.UTF8.GetBytes(text, bytes);
            var state = new EncodeState(_parts.Model) { IsCounting = true };
            EncodeText(bytes.AsSpan(0, length), parseSpecialTokens, state);
            state.Forget();
            return checked(state.Count + (addSpecialTokens ? _parts.Prefix.Length + _parts.Suffix.Length : 0));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>
    /// Token ids of a rendered chat template in which the texts of messages are marked: control tokens that the template wrote are those
    /// tokens, in the texts of messages they are text.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="marks">What stands for other characters in it; null for nothing.</param>
    internal int[] EncodeChat(string text, ContentMarks? marks)
    {
        var state = new EncodeState(_parts.Model) { Marks = marks };
        EncodeText(Encoding.UTF8.GetBytes(text), parseSpecialTokens: true, state);
        return state.Ids.ToArray();
    }

    /// <summary>What each token is in a text.</summary>
    internal TokenPieces Pieces => _parts.Pieces;

    /// <summary>The added tokens: those that control, or those that are text.</summary>
    internal IReadOnlyCollection<string> AddedTexts(bool special) =>
        [.. _parts.Added.Where(token => token.Special == special).Select(token => Encoding.UTF8.GetString(token.Content)).Distinct()];

    /// <summary>Whether a conversation begins with <see cref="BosId"/> even where its template does not write it: llama.cpp's rule.</summary>
    internal bool BeginsChats => _parts.BeginsChats;

    /// <summary>The text of token ids.</summary>
    /// <param name="ids">The ids; those that name no token are left out.</param>
    /// <param name="skipSpecialTokens">Whether to leave special tokens out.</param>
    /// <returns>The text, with U+FFFD for what is no UTF-8.</returns>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        using var bytes = new ByteBuffer();
        TokenPieces pieces = _parts.Pieces;
        bool first = true, owesSpace = false;
        int runStart = -1;
        foreach (int id in ids)
        {
            if (!pieces.IsKnown(id) || (skipSpecialTokens && (pieces.Kinds[id] & TokenKinds.Special) != 0))
            {
                continue;
            }

            bool isByte = pieces.ReplacesWholeRuns && (pieces.Kinds[id] & TokenKinds.Byte) != 0;
            if (!isByte)
            {
                EndByteRun(bytes, ref runStart);
            }
            else if (runStart < 0)
            {
                runStart = bytes.Length;
            }

            ReadOnlySpan<byte> piece = pieces.Bytes[id];
            bytes.Add(owesSpace ? " "u8 : []);
            owesSpace = (pieces.Kinds[id] & TokenKinds.EndsWord) != 0;
            bytes.Add(first && pieces.TrimsFirstToken && !isByte ? piece.TrimStart((byte)' ') : piece);
            first = false;
        }

        EndByteRun(bytes, ref runStart);
        ReadOnlySpan<byte> text = bytes.Bytes;
        for (int i = 0; i < pieces.LeadingSpaces && text.StartsWith(" "u8); i++)
        {
            text = text[1..];
        }

        return Encoding.UTF8.GetString(text);
    }

    /// <summary>A decoder for tokens that come one by one.</summary>
    /// <param name="skipSpecialTokens">Whether to leave special tokens out.</param>
    /// <param name="continuesText">Whether text stands before the first token: then a space at its beginning is text, too, while tokenizers
    /// that put a space before every text would take it off.</param>
    /// <returns>A new decoder.</returns>
    public StreamingDecoder CreateDecoder(bool skipSpecialTokens = true, bool continuesText = false) =>
        new(_parts.Pieces, skipSpecialTokens, continuesText);

    /// <summary>The spelling of a token in the vocabulary, such as <c>Ġthe</c>; null if there is no such id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The spelling or null.</returns>
    public string? GetToken(int id) => _parts.Pieces.IsKnown(id) ? Encoding.UTF8.GetString(_parts.Spellings[id]) : null;

    /// <summary>The id of a token by its spelling in the vocabulary.</summary>
    /// <param name="token">The spelling.</param>
    /// <param name="id">The id, or -1.</param>
    /// <returns>Whether there is such a token.</returns>
    public bool TryGetId(string token, out int id)
    {
        ArgumentNullException.ThrowIfNull(token);
        return _parts.Spellings.TryGet(Encoding.UTF8.GetBytes(token), out id);
    }

    /// <summary>Whether a token is special: control, not text.</summary>
    /// <param name="id">The id.</param>
    /// <returns>Whether it is.</returns>
    public bool IsSpecial(int id) => _parts.Pieces.IsKnown(id) && (_parts.Pieces.Kinds[id] & TokenKinds.Special) != 0;

    private static void EndByteRun(ByteBuffer bytes, ref int start)
    {
        if (start >= 0 && !System.Text.Unicode.Utf8.IsValid(bytes.Bytes[start..]))
        {
            int count = bytes.Length - start;
            bytes.Advance(-count);
            for (int i = 0; i < count; i++)
            {
                bytes.Add("\uFFFD"u8);
            }
        }

        start = -1;
    }

    private AddedTokenCutter? MakeCutter(bool normalized)
    {
        AddedToken[] tokens = [.. _parts.Added.Where(token => token.Normalized == normalized)];
        return tokens.Length == 0 ? null : new AddedTokenCutter(tokens, _parts.Overlap);
    }

    private int[] EncodeUtf8(ReadOnlySpan<byte> text, bool addSpecialTokens, bool parseSpecialTokens)
    {
        var state = new EncodeState(_parts.Model);
        if (addSpecialTokens)
        {
            state.Ids.Add(_parts.Prefix);
        }

        EncodeText(text, parseSpecialTokens, state);
        if (addSpecialTokens)
        {
            state.Ids.Add(_parts.Suffix);
        }

        return state.Ids.ToArray();
    }

    private void EncodeText(ReadOnlySpan<byte> text, bool parseSpecialTokens, EncodeState state)
    {
        int at = 0;
        foreach (TokenMatch match in Find(_addedRaw, text, parseSpecialTokens))
        {
            EncodeSegment(text[at..match.Start], parseSpecialTokens, state);
            state.Ids.Add(match.Token.Id);
            state.IsAtStart = false;
            at = match.End;
        }

        EncodeSegment(text[at..], parseSpecialTokens, state);
    }

    private void EncodeSegment(ReadOnlySpan<byte> segment, bool parseSpecialTokens, EncodeState state)
    {
        if (segment.IsEmpty)
        {
            return;
        }

        // Marks keep tokens from being found, so they stay until the last search for tokens that matters.
        segment = _normalizesControls ? segment : Restore(segment, state);
        using ByteBuffer first = new(), second = new();
        ByteBuffer free = first, used = second;
        foreach (Normalizer normalizer in _parts.Normalizers)
        {
            free.Clear();
            if (normalizer.TryNormalize(segment, free))
            {
                segment = free.Bytes;
                (free, used) = (used, free);
            }
        }

        var sink = new PieceSink(_parts.Steps, 0, state);
        int at = 0;
        foreach (TokenMatch match in Find(_addedNormalized, segment, parseSpecialTokens))
        {
            sink.Accept(Restore(segment[at..match.Start], state));
            state.Ids.Add(match.Token.Id);
            state.IsAtStart = false;
            at = match.End;
        }

        sink.Accept(Restore(segment[at..], state));
    }

    /// <summary>A text with the characters that marks stand for.</summary>
    private static ReadOnlySpan<byte> Restore(ReadOnlySpan<byte> text, EncodeState state)
    {
        // Private-use characters begin with one of these bytes.
        return state.Marks is { } marks && text.IndexOfAnyInRange((byte)0xEE, (byte)0xEF) >= 0
            ? Encoding.UTF8.GetBytes(marks.Restore(Encoding.UTF8.GetString(text)))
            : text;
    }

    private static List<TokenMatch> Find(AddedTokenCutter? cutter, ReadOnlySpan<byte> text, bool specials)
    {
        var matches = new List<TokenMatch>();
        cutter?.Find(text, specials, matches);
        return matches;
    }
}

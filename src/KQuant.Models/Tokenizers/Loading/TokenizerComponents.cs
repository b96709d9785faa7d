using System.Text;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the normalizer, pre-tokenizer and decoder sections of a <c>tokenizer.json</c>.</summary>
internal sealed class TokenizerComponents
{
    private const int MaxComponents = 64;
    private readonly DecoderSteps _decoder = new();
    private int _byteLevels;
    private int _components;

    public List<Normalizer> Normalizers { get; } = [];

    public List<PreTokenizer> Steps { get; } = [];

    /// <summary>Whether the model sees bytes: the last step would spell them in the byte alphabet.</summary>
    public bool IsByteLevel { get; private set; }

    public void AddNormalizers(JsonPlace section)
    {
        if (section.IsNull)
        {
            return;
        }

        Count(section);
        switch (section.Type)
        {
            case "Sequence":
                foreach (JsonPlace part in section["normalizers"].Elements())
                {
                    AddNormalizers(part);
                }

                break;
            case "NFC": Normalizers.Add(new UnicodeNormalizer(UnicodeForm.Nfc)); break;
            case "NFD": Normalizers.Add(new UnicodeNormalizer(UnicodeForm.Nfd)); break;
            case "NFKC": Normalizers.Add(new UnicodeNormalizer(UnicodeForm.Nfkc)); break;
            case "NFKD": Normalizers.Add(new UnicodeNormalizer(UnicodeForm.Nfkd)); break;
            case "StripAccents": Normalizers.Add(new MarkRemover(nonSpacingOnly: false)); break;
            case "Nmt": Normalizers.Add(new NmtNormalizer()); break;
            case "BertNormalizer": AddBert(section); break;
            case "Precompiled": AddCharacterMap(section["precompiled_charsmap"]); break;
            case "Lowercase": Normalizers.Add(new LowercaseNormalizer()); break;
            case "Prepend": Normalizers.Add(new SurroundNormalizer(Bytes(section["prepend"]), [])); break;
            case "Append": Normalizers.Add(new SurroundNormalizer([], Bytes(section["append"]))); break;
            case "Strip":
                Normalizers.Add(new StripNormalizer(section["strip_left"].AsFlag(false), section["strip_right"].AsFlag(false)));
                break;
            case "Replace":
                byte[] content = Bytes(section["content"]);
                Normalizers.Add(section["pattern"]["Regex"].IsNull
                    ? new ReplaceNormalizer(NotEmpty(section["pattern"]["String"]), content)
                    : new RegexReplaceNormalizer(Regex(section["pattern"]["Regex"]), content));
                break;
            default:
                throw Unsupported(section);
        }
    }

    public void AddPreTokenizers(JsonPlace section, bool keepsSpelling)
    {
        AddSteps(section);
        IsByteLevel &= !keepsSpelling;
        if (_byteLevels > 0 && !IsByteLevel)
        {
            // A step behind ByteLevel sees its spelling, and so does the model then.
            return;
        }

        if (IsByteLevel)
        {
            Steps.RemoveAt(Steps.Count - 1);
        }
    }

    public void AddDecoders(JsonPlace section)
    {
        if (section.IsNull)
        {
            _decoder.JoinsWithSpaces = true;
            return;
        }

        Count(section);
        switch (section.Type)
        {
            case "Sequence":
                foreach (JsonPlace part in section["decoders"].Elements())
                {
                    AddDecoders(part);
                }

                break;
            case "ByteLevel": _decoder.AddByteLevel(); break;
            case "WordPiece":
                JsonPlace prefix = section["prefix"];
                _decoder.AddWordPiece(prefix.IsNull ? "##"u8.ToArray() : Bytes(prefix), section["cleanup"].AsFlag(true));
                break;
            case "BPEDecoder":
                JsonPlace suffix = section["suffix"];
                _decoder.AddWordEnds(suffix.IsNull ? "</w>"u8.ToArray() : NotEmpty(suffix));
                break;
            case "ByteFallback": _decoder.FallsBackToBytes = true; break;
            case "Fuse": _decoder.IsFused = true; break;
            case "Metaspace":
                _decoder.AddReplace(NotEmpty(section["replacement"]), " "u8.ToArray());
                _decoder.TrimsFirstToken |= Scheme(section) != PrependScheme.Never;
                break;
            case "Replace":
                if (!section["pattern"]["Regex"].IsNull)
                {
                    throw section["pattern"].Error("is a regular expression, which is not supported in a decoder");
                }

                _decoder.AddReplace(NotEmpty(section["pattern"]["String"]), Bytes(section["content"]));
                break;
            case "Strip":
                if (section["content"].AsText() != " " || section["stop"].AsNumber(0, int.MaxValue) != 0)
                {
                    throw section.Error("strips other than leading spaces, which is not supported");
                }

                _decoder.AddStrip(section["start"].AsNumber(0, 1000));
                break;
            default:
                throw Unsupported(section);
        }
    }

    /// <summary>What each token is in a text.</summary>
    public TokenPieces MakePieces(TokenTable tokens, AddedToken[] added)
    {
        var kinds = new TokenKinds[tokens.Count];
        for (int id = 0; id < kinds.Length; id++)
        {
            kinds[id] = tokens[id].IsEmpty ? TokenKinds.None : TokenKinds.Known;
        }

        foreach (AddedToken token in added)
        {
            kinds[token.Id] |= token.Special ? TokenKinds.Special : TokenKinds.None;
        }

        return _decoder.MakePieces(tokens, kinds);
    }

    private static byte[] Bytes(JsonPlace place) => Encoding.UTF8.GetBytes(place.AsText());

    private static byte[] NotEmpty(JsonPlace place) => place.AsText().Length > 0 ? Bytes(place) : throw place.Error("is empty");

    private static Codecs.ModelFormatException Unsupported(JsonPlace section) =>
        section["type"].Error($"is '{Printable.Shorten(section.Type)}', which is not supported");

    private static RegexMatcher Regex(JsonPlace place)
    {
        try
        {
            return new RegexMatcher(place.AsText());
        }
        catch (ArgumentException exception)
        {
            throw place.Error($"is '{Printable.Shorten(place.AsText())}', a regular expression that cannot be used: {Printable.Shorten(exception.Message)}");
        }
    }

    private static PrependScheme Scheme(JsonPlace section)
    {
        JsonPlace scheme = section["prepend_scheme"];
        return scheme.IsNull
            ? section["add_prefix_space"].AsFlag(true) ? PrependScheme.Always : PrependScheme.Never
            : Word(scheme, ("always", PrependScheme.Always), ("first", PrependScheme.First), ("never", PrependScheme.Never));
    }

    private static SplitBehavior Behavior(JsonPlace place) => Word(
        place,
        ("Isolated", SplitBehavior.Isolated),
        ("Removed", SplitBehavior.Removed),
        ("MergedWithPrevious", SplitBehavior.MergedWithPrevious),
        ("MergedWithNext", SplitBehavior.MergedWithNext),
        ("Contiguous", SplitBehavior.Contiguous));

    private static T Word<T>(JsonPlace place, params ReadOnlySpan<(string Word, T Value)> words)
    {
        string text = place.AsText();
        foreach ((string word, T value) in words)
        {
            if (word == text)
            {
                return value;
            }
        }

        throw place.Error($"is '{Printable.Shorten(text)}', which is not known");
    }

    private void AddSteps(JsonPlace section)
    {
        if (section.IsNull)
        {
            return;
        }

        Count(section);
        IsByteLevel = false;
        switch (section.Type)
        {
            case "Sequence":
                foreach (JsonPlace part in section["pretokenizers"].Elements())
                {
                    AddSteps(part);
                }

                break;
            case "ByteLevel":
                if (section["add_prefix_space"].AsFlag(true))
                {
                    Steps.Add(new PrefixSpace());
                }

                if (section["use_regex"].AsFlag(true))
                {
                    Steps.Add(new WordSplitter(WordRules.Gpt2));
                }

                Steps.Add(new ByteSpelling());
                IsByteLevel = _byteLevels++ == 0;
                break;
            case "Split": AddSplit(section); break;
            case "Metaspace":
                Steps.Add(new Metaspace(NotEmpty(section["replacement"]), Scheme(section), section["split"].AsFlag(true)));
                break;
            case "Digits": Steps.Add(new NumberScanner(section["individual_digits"].AsFlag(false) ? 1 : int.MaxValue)); break;
            case "Punctuation":
                JsonPlace behavior = section["behavior"];
                Steps.Add(new CharacterSplitter(SplitCharacters.Punctuation, behavior.IsNull ? SplitBehavior.Isolated : Behavior(behavior)));
                break;
            case "BertPreTokenizer":
                Steps.Add(new CharacterSplitter(SplitCharacters.WhiteSpace, SplitBehavior.Removed));
                Steps.Add(new CharacterSplitter(SplitCharacters.Punctuation, SplitBehavior.Isolated));
                break;
            case "Whitespace": Steps.Add(new WhitespaceSplitter()); break;
            case "WhitespaceSplit": Steps.Add(new CharacterSplitter(SplitCharacters.WhiteSpace, SplitBehavior.Removed)); break;
            case "CharDelimiterSplit": Steps.Add(new LiteralSplitter(NotEmpty(section["delimiter"]), SplitBehavior.Removed, false)); break;
            default: throw Unsupported(section);
        }
    }

    private void AddBert(JsonPlace section)
    {
        bool cleans = section["clean_text"].AsFlag(true), separates = section["handle_chinese_chars"].AsFlag(true);
        bool lowers = section["lowercase"].AsFlag(true);
        if (cleans || separates)
        {
            Normalizers.Add(new BertNormalizer(cleans, separates));
        }

        if (section["strip_accents"].AsFlag(lowers))
        {
            Normalizers.Add(new UnicodeNormalizer(UnicodeForm.Nfd));
            Normalizers.Add(new MarkRemover(nonSpacingOnly: true));
        }

        if (lowers)
        {
            Normalizers.Add(new LowercaseNormalizer());
        }
    }

    private void AddCharacterMap(JsonPlace map)
    {
        if (map.IsNull || map.AsText().Length == 0)
        {
            return;
        }

        try
        {
            Normalizers.Add(new CharacterMap(Convert.FromBase64String(map.AsText())));
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            throw map.Error(exception is FormatException ? "is not base64" : exception.Message);
        }
    }

    private void AddSplit(JsonPlace section)
    {
        SplitBehavior behavior = Behavior(section["behavior"]);
        bool invert = section["invert"].AsFlag(false);
        JsonPlace pattern = section["pattern"];
        if (pattern["Regex"].IsNull)
        {
            Steps.Add(new LiteralSplitter(NotEmpty(pattern["String"]), behavior, invert));
            return;
        }

        // The word families match everything, so that only their matches are kept says the same as that all is kept.
        if (KnownPatterns.TryGet(pattern["Regex"].AsText(), out Scanner? scanner)
            && (behavior == SplitBehavior.Isolated || (behavior == SplitBehavior.Removed && invert && scanner is WordSplitter)))
        {
            Steps.Add(scanner);
            return;
        }

        Steps.Add(new RegexSplitter(Regex(pattern["Regex"]), behavior, invert));
    }

    private void Count(JsonPlace section)
    {
        if (++_components > MaxComponents)
        {
            throw section.Error($"is component {_components}; at most {MaxComponents} are taken");
        }
    }
}

using System.Text;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Grammars;

/// <summary>Grammars as people write them: what fits, what is refused, and what a model may say with them.</summary>
public class GrammarTests
{
    private static readonly Tokenizer Tiny = Tokenizer.Load(RepositoryFiles.Fixture("models", "tiny-dense"));

    [TestCase("root ::= \"a\" | \"b\" \"c\"", "a bc", "b c abc ab")]
    [TestCase("root ::= [a-c]+ [^a-c]", "ax bcd abc\u00e9 a\ud83d\ude00", "x a ab")]
    [TestCase("root ::= \"x\"{2,3} \"y\"? \"z\"*", "xx xxx xxy xxzz xxxyz", "x xxxx xxyy")]
    [TestCase("root ::= \"x\"{2} \"y\"{,2} \"z\"{1,}", "xxz xxyyzz", "xx xyz xxyyyz")]
    [TestCase("root ::= (\"a\" | [0-9] ){2}  # a remark\n", "aa a1 99", "a abc")]
    [TestCase("# first\nroot ::= item\n  | item \",\" root\nitem ::= \"\\x41\" | \"\\u00e9\" | \"\\U0001F600\" | \"\\\"\"\r\n", "A \u00e9 \ud83d\ude00 \" A,\u00e9", "B , A,")]
    [TestCase("root ::= .", "a \u00e9 \ud83d\ude00", "ab")]
    [TestCase("root ::= [\\]\\-a-]+", "] - a a]-", "b")]
    [TestCase("root ::= term (\"+\" term)*\nterm ::= \"(\" root \")\" | [0-9]+", "1 1+23 (1+2)+3 ((((4))))", "1+ (1 1+)")]
    [TestCase("root ::= \"\" | \"ab\" root", "ab abab", "a aba")]
    [TestCase("root ::= ((\"a\"*)*)+", "a aaa", "b")]
    public void WhatFits(string text, string fits, string others)
    {
        var grammar = Grammar.Parse(text);
        Assert.That(fits.Split(' ').Where(word => !grammar.IsMatch(word)), Is.Empty);
        Assert.That(others.Split(' ').Where(grammar.IsMatch), Is.Empty);
        Assert.That(grammar.ToString(), Is.EqualTo(text));
    }

    [Test]
    public void CharactersAreWholeOnesOfUtf8()
    {
        int[] edges = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0x10FFFF, 'a', 0xE9, 0x20AC, 0x1F600];
        var random = new Random(3);
        for (int i = 0; i < 60; i++)
        {
            int first = edges[random.Next(edges.Length)] + random.Next(-2, 3), last = edges[random.Next(edges.Length)] + random.Next(-2, 3);
            if (first > last || !Rune.IsValid(first) || !Rune.IsValid(last))
            {
                continue;
            }

            var grammar = Grammar.Parse($"root ::= [\\U{first:X8}-\\U{last:X8}]");
            foreach (int edge in edges.Concat([first, last]))
            {
                for (int point = edge - 2; point <= edge + 2; point++)
                {
                    if (Rune.IsValid(point))
                    {
                        Assert.That(grammar.IsMatch(new Rune(point).ToString()), Is.EqualTo(point >= first && point <= last), $"{point:X} in {first:X}-{last:X}");
                    }
                }
            }
        }
    }

    [TestCase("", "no rule 'root'")]
    [TestCase("root ::= other", "no rule 'other'")]
    [TestCase("root = \"a\"", "Line 1 of the grammar: '::=' is missing")]
    [TestCase("root ::= \"a", "a text does not end")]
    [TestCase("root ::= \"a\nb\"", "ends on its line")]
    [TestCase("root ::= [a", "does not end")]
    [TestCase("root ::= [z-a]", "ends before it begins")]
    [TestCase("root ::= (\"a\"", "a group does not end")]
    [TestCase("root ::= \"a\" )", "')' is not expected")]
    [TestCase("root ::= \"\\q\"", "is no escape")]
    [TestCase("root ::= \"\\uD800\"", "hexadecimal digits")]
    [TestCase("root ::= \"a\"{3,2}", "a number of repetitions")]
    [TestCase("root ::= \"a\"{99999999999}", "a number of repetitions")]
    [TestCase("root ::= \"a\"\nroot ::= \"b\"", "is there twice")]
    [TestCase("root ::= <think>", "by its id")]
    [TestCase("root ::= root \"a\" | \"a\"", "begins with itself")]
    [TestCase("root ::= a\na ::= \"\"? b\nb ::= \" \"* root \"x\" | \"x\"", "begins with itself")]
    [TestCase("root ::= \"a\" root", "never ends")]
    [TestCase("root ::= [^\\U00000000-\\U0010FFFF]", "never ends")]
    [TestCase("root ::= \"abc\"{1000000}", "states")]
    public void WhatMakesNoSenseIsSaid(string text, string message) =>
        Assert.That(() => Grammar.Parse(text), Throws.InstanceOf<GrammarException>().With.Message.Contains(message));

    [Test]
    public void HostileGrammarsEndInASentence()
    {
        Assert.That(() => Grammar.Parse("root ::= " + new string('(', 1_000_000)), Throws.InstanceOf<GrammarException>().With.Message.Contains("nests too deep"));
        Assert.That(() => Grammar.Parse(new string(' ', 5_000_000)), Throws.InstanceOf<GrammarException>().With.Message.Contains("characters"));

        // Every way to cut a run of letters into words.
        var ambiguous = Grammar.Parse("root ::= \"a\"{0,3000} \"b\" | (\"a\"? ){0,3000} \"c\"");
        Assert.That(() => ambiguous.IsMatch(new string('a', 3000)), Throws.InstanceOf<GrammarException>().With.Message.Contains("ambiguous"));

        // Nests as deep as it may and no deeper, without a dead end.
        var nested = Grammar.Parse("root ::= \"(\" root \")\" | \"x\"");
        Assert.That(nested.IsMatch(new string('(', 500) + "x" + new string(')', 500)), Is.True);
        Assert.That(nested.IsMatch(new string('(', 600) + "x" + new string(')', 600)), Is.False);
    }

    [Test]
    public void MemoryIsBoundedHoweverLongATextIs()
    {
        // Every number of open brackets is a state of its own, twenty thousand of them.
        var grammar = Grammar.Parse("root ::= [a-z]{0,20000} \".\"");
        LogitsProcessor text = grammar.CreateProcessor(Tiny).Begin([], Tiny.EosIds);
        int letter = Tiny.Encode("a", addSpecialTokens: false).Single();
        var logits = new float[Tiny.VocabularySize];
        for (int i = 0; i < 20_000; i++)
        {
            if (i % 400 == 0)
            {
                logits.AsSpan().Clear();
                text.Process([], logits);
                Assert.That(logits[letter], Is.Zero);
            }

            text.Accept(letter);
        }

        logits.AsSpan().Clear();
        text.Process([], logits);
        Assert.That(logits.Count(logit => logit == 0), Is.EqualTo(1), "only the point is left");
    }

    [Test]
    public void TokensAreThoseThatGoOn()
    {
        var grammar = Grammar.Parse("root ::= \"the \" [a-z]+ \".\" ");
        LogitsProcessor text = grammar.CreateProcessor(Tiny).Begin([], Tiny.EosIds);
        foreach (int id in Tiny.Encode("the same", addSpecialTokens: false))
        {
            var logits = new float[Tiny.VocabularySize + 7];
            text.Process([], logits);
            Assert.That(logits[id], Is.Zero);
            Assert.That(logits.AsSpan(Tiny.VocabularySize).ToArray(), Has.All.EqualTo(float.NegativeInfinity), "rows of the head without a token");
            text.Accept(id);
        }

        var last = new float[Tiny.VocabularySize];
        text.Process([], last);
        for (int id = 0; id < last.Length; id++)
        {
            string piece = Tiny.Decode([id]);
            bool goesOn = !Tiny.IsSpecial(id) && piece.Length > 0 && (piece.All(char.IsAsciiLetterLower) || (piece[^1] == '.' && piece[..^1].All(char.IsAsciiLetterLower)));
            Assert.That(last[id] == 0, Is.EqualTo(goesOn), piece);
        }

        text.Accept(Tiny.Encode(".", addSpecialTokens: false).Single());
        Assert.That(text.IsComplete, Is.True);
    }

    [Test]
    public void ControlTokensComeByTheirIdsAndEndTokensAtTheEnd()
    {
        int special = Enumerable.Range(0, Tiny.VocabularySize).First(id => Tiny.IsSpecial(id) && !Tiny.EosIds.Contains(id));
        LogitsProcessor text = Grammar.Parse($"root ::= <[{special}]> \"x\"*").CreateProcessor(Tiny).Begin([], Tiny.EosIds);
        var logits = new float[Tiny.VocabularySize];
        text.Process([], logits);
        Assert.That(logits.Select((logit, id) => (logit, id)).Where(pair => pair.logit == 0).Select(pair => pair.id), Is.EqualTo([special]));
        text.Accept(special);
        logits.AsSpan().Clear();
        text.Process([], logits);
        Assert.That(Tiny.EosIds.Select(id => logits[id]), Has.All.Zero);
        Assert.That(() => text.Accept(special), Throws.InstanceOf<GrammarException>());
        text.Accept(Tiny.EosIds[0]);
        Assert.That(text.IsComplete, Is.True);
    }

    [Test]
    public void AModelSaysWhatItMay()
    {
        using LanguageModel model = LanguageModel.Load(RepositoryFiles.Fixture("models", "tiny-dense"));
        var grammar = Grammar.Parse("root ::= answer (\", \" answer){2}\nanswer ::= \"yes\" | \"no\"");
        var options = new GenerationOptions
        {
            Processors = [grammar.CreateProcessor(model.Tokenizer)],
            Sampling = new SamplingOptions { Temperature = 2, Seed = 1 },
            MaxTokens = 100,
            TopLogProbabilities = 5,
        };
        GeneratedToken[] tokens = [.. model.Generate(model.Tokenizer.Encode("Is it?"), options)];
        string text = string.Concat(tokens.Select(token => token.Text));
        Assert.That(text, Does.Match("^(yes|no)(, (yes|no)){2}$"));
        Assert.That(tokens[^1].FinishReason, Is.EqualTo(FinishReason.EndOfText), "nothing can follow");
        Assert.That(tokens.SelectMany(token => token.Top), Has.All.Matches<TokenProbability>(top => float.IsFinite(top.LogProbability)));
    }

    [Test]
    public async Task TextsOfABatchHaveStatesOfTheirOwn()
    {
        using LanguageModel model = LanguageModel.Load(RepositoryFiles.Fixture("models", "tiny-dense"));
        var options = new GenerationOptions
        {
            Processors = [Grammar.Parse("root ::= [a-z]{3,9} \"!\"").CreateProcessor(model.Tokenizer)],
            Sampling = new SamplingOptions { Temperature = 1.5f, Seed = 5 },
        };
        var texts = new string[4];
        await foreach (BatchToken token in model.GenerateBatchAsync([.. Enumerable.Range(0, 4).Select(i => new[] { i + 10 })], options))
        {
            texts[token.Text] += token.Token.Text;
        }

        Assert.That(texts, Has.All.Match("^[a-z]{3,9}!$"));
        Assert.That(texts, Is.Unique);
    }

    [Test]
    public void AProcessorOfOnesOwnSeesEveryToken()
    {
        using LanguageModel model = LanguageModel.Load(RepositoryFiles.Fixture("models", "tiny-dense"));
        int[] prompt = model.Tokenizer.Encode("It was");
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 12, StopTokens = [] };
        int[] free = [.. model.Generate(prompt, options).Select(token => token.Id)];
        var without = new Without(free[3]);
        int[] bound = [.. model.Generate(prompt, options with { Processors = [without] }).Select(token => token.Id)];
        Assert.That(bound, Has.No.Member(free[3]));
        Assert.That(bound.Take(3), Is.EqualTo(free.Take(3)));
        Assert.That(without.Seen, Is.EqualTo(Enumerable.Range(prompt.Length, 12)));
    }

    private sealed class Without(int token) : LogitsProcessor
    {
        public List<int> Seen { get; } = [];

        public override void Process(ReadOnlySpan<int> tokens, Span<float> logits)
        {
            Seen.Add(tokens.Length);
            logits[token] = float.NegativeInfinity;
        }
    }
}

using System.Globalization;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.TestKit;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests;

/// <summary>The table of docs/embed.md of what a call allocates is what calls allocate.</summary>
[NonParallelizable]
public partial class AllocationTableTests
{
    private const int Tokens = 400;

    private static readonly GenerationOptions Greedy = new() { Sampling = SamplingOptions.Greedy, MaxTokens = Tokens, StopTokens = [] };

    [Test]
    public void CallsAllocateWhatTheTableSays()
    {
        using LanguageModel model = LanguageModel.Load(RepositoryFiles.Fixture("models", "tiny-dense"));
        using IChatClient client = model.AsIChatClient();
        using KeyValueCache cache = model.CreateCache();
        using MatmulContext context = new();
        QuantCodec codec = QuantCodec.Get(QuantFormat.Q4_K);
        float[] weights = Numbers.Gaussian(256 * 512, 1), x = Numbers.Gaussian(8 * 512, 2), y = new float[8 * 256], row = new float[512];
        float[] logits = new float[model.Config.VocabularySize];
        byte[] bytes = new byte[codec.GetByteCount(weights.Length)];
        using QuantizedTensor tensor = QuantizedTensor.Encode(codec, new QuantShape(256, 512), weights);
        long[] ids = [3, 1, 200, 7];
        var sampler = new Sampler(new SamplingOptions { Temperature = 0.7f, TopK = 40, TopP = 0.9f, Seed = 1 });
        int[] prompt = model.Tokenizer.Encode("It is a truth universally acknowledged");
        const string text = "It is a truth universally acknowledged, that a single man must be in want of a wife.";
        TemplateMessage[] messages = [new("user", text)];
        ChatMessage[] chat = [new(ChatRole.User, text)];
        var chatOptions = new ChatOptions { Temperature = 0, RawRepresentationFactory = _ => Greedy };
        var calls = new Dictionary<string, (int Count, Action Call)>
        {
            ["QuantCodec.Encode"] = (1, () => codec.Encode(weights, bytes)),
            ["QuantCodec.Decode"] = (1, () => codec.Decode(bytes, weights)),
            ["QuantizedTensor.DecodeRow"] = (1, () => tensor.DecodeRow(5, row)),
            ["QuantizedMatmul.Multiply"] = (1, () => QuantizedMatmul.Multiply(tensor, x, y, context)),
            ["QuantizedMatmul.Dot"] = (1, () => QuantizedMatmul.Dot(tensor, ids, x.AsSpan(0, 512), y.AsSpan(0, 4), context)),
            ["QuantizedMatmul.TopK"] = (1, () => QuantizedMatmul.TopK(tensor, x.AsSpan(0, 512), 4, ids, y.AsSpan(0, 4), context)),
            ["Tokenizer.CountTokens"] = (1, () => model.Tokenizer.CountTokens(text)),
            ["Tokenizer.Encode"] = (1, () => model.Tokenizer.Encode(text)),
            ["LanguageModel.EncodeChat"] = (1, () => model.EncodeChat(messages)),
            ["LanguageModel.Forward"] = (Tokens, () => Forward(Tokens)),
            ["Sampler.Sample"] = (Tokens, () => Sample(Tokens)),
            ["LanguageModel.Generate"] = (Tokens, () => Generate()),
            ["LanguageModel.GenerateAsync"] = (Tokens, () => GenerateAsync().GetAwaiter().GetResult()),
            ["IChatClient.GetStreamingResponseAsync"] = (Tokens, () => ChatAsync().GetAwaiter().GetResult()),
        };

        var written = new Dictionary<string, long>();
        foreach (Match line in Row.Matches(File.ReadAllText(Path.Combine(RepositoryFiles.Root, "docs", "embed.md"))))
        {
            written[line.Groups["call"].Value] = long.Parse(line.Groups["bytes"].Value, NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
        }

        Assert.That(written.Keys, Is.EquivalentTo(calls.Keys));
        Assert.Multiple(() =>
        {
            foreach ((string name, (int count, Action call)) in calls)
            {
                long least = Measure(call) / count;
                Assert.That(least, Is.InRange(written[name] / 2, written[name]), name);
            }
        });

        void Forward(int count)
        {
            cache.Clear();
            for (int i = 0; i < count; i++)
            {
                int token = prompt[i % prompt.Length];
                model.Forward(new ReadOnlySpan<int>(in token), cache, logits);
            }
        }

        void Sample(int count)
        {
            for (int i = 0; i < count; i++)
            {
                sampler.Sample(logits, prompt);
            }
        }

        void Generate()
        {
            cache.Clear();
            foreach (GeneratedToken token in model.Generate(prompt, Greedy with { Cache = cache }))
            {
                _ = token.Id;
            }
        }

        async Task GenerateAsync()
        {
            cache.Clear();
            await foreach (GeneratedToken token in model.GenerateAsync(prompt, Greedy with { Cache = cache }))
            {
                _ = token.Id;
            }
        }

        async Task ChatAsync()
        {
            await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(chat, chatOptions))
            {
                _ = update.Role;
            }
        }
    }

    [GeneratedRegex(@"^\| `(?<call>[A-Z]\w+\.\w+)`[^|]*\|[^|]*\| (?<bytes>[\d,]+) \|", RegexOptions.Multiline)]
    private static partial Regex Row { get; }

    // Other threads of the process allocate once in a while, and a collection ends an allocation context early: what a call allocates is the least.
    private static long Measure(Action call)
    {
        long least = long.MaxValue;
        for (int i = 0; i < 20; i++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            call();
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        return least;
    }
}

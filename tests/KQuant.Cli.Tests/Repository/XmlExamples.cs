using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Matmul;
using KQuant.Matmul.Layers;
using KQuant.Models;
using KQuant.Models.Adapters;
using KQuant.Models.Evaluation;
using KQuant.Models.Export;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Models.Templates;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;
using Microsoft.Extensions.AI;

namespace KQuant.Cli.Tests.Repository;

/// <summary>The examples in the documentation of public members, compiled and run.</summary>
public partial class XmlExamples
{
    private const string This = "tests/KQuant.Cli.Tests/Repository/XmlExamples.cs";

    private static readonly string[] Projects = ["src/KQuant.Matmul", "src/KQuant.Models"];

    private TemporaryFolder _folder = null!;
    private string _previousFolder = "";
    private TextWriter _previousOutput = null!;

    [GeneratedRegex(@"/// <code>\n(?<body>.*?)\n[ ]*/// </code>", RegexOptions.Singleline)]
    private static partial Regex Code { get; }

    [GeneratedRegex(@"[ ]*#region (?<name>\w+)\n(?<body>.*?)\n[ ]*#endregion", RegexOptions.Singleline)]
    private static partial Regex Region { get; }

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        _previousFolder = Environment.CurrentDirectory;
        Environment.CurrentDirectory = _folder.Path;
        _previousOutput = Console.Out;
        Console.SetOut(TextWriter.Null);
        Directory.CreateDirectory("Qwen3-0.6B");
        foreach (string file in Directory.GetFiles(TestModels.TinyDense))
        {
            File.Copy(file, Path.Combine("Qwen3-0.6B", Path.GetFileName(file)));
        }
    }

    [TearDown]
    public void TearDown()
    {
        Console.SetOut(_previousOutput);
        Environment.CurrentDirectory = _previousFolder;
        _folder.Dispose();
    }

    [Test]
    public void EveryExampleIsOneOfThese()
    {
        string[] regions = [.. Region.Matches(KeptText.Read(This)).Select(match => Plain(match.Groups["body"].Value))];
        string[] examples = [.. Projects
            .SelectMany(folder => Directory.GetFiles(Path.Combine(RepositoryFiles.Root, folder), "*.cs", SearchOption.AllDirectories))
            .SelectMany(file => Code.Matches(File.ReadAllText(file).ReplaceLineEndings("\n")))
            .Select(match => Plain(WebUtility.HtmlDecode(match.Groups["body"].Value.Replace("///", "", StringComparison.Ordinal))))];
        Assert.That(examples, Is.EquivalentTo(regions).And.Length.GreaterThanOrEqualTo(20));

        static string Plain(string code) => string.Join('\n', code.Split('\n').Select(line => line.Trim()));
    }

    [Test]
    public void ExampleOfContext()
    {
        #region context
        // One for the whole program: it has threads and scratch memory.
        using var context = new MatmulContext(new MatmulOptions { Activations = ActivationPrecision.Float32 });
        Console.WriteLine($"q4_k runs on {context.GetTier(QuantCodec.Get(QuantFormat.Q4_K))}");
        #endregion
        Assert.That(context.GetTier(QuantCodec.Get(QuantFormat.Q4_K)), Is.Not.EqualTo(default(KernelTier)).Or.EqualTo(KernelTier.Scalar));
    }

    [Test]
    public void ExampleOfOptions()
    {
        #region options
        var everywhere = new MatmulOptions { Deterministic = true };                  // the same bits on every machine
        var exact = new MatmulOptions { Activations = ActivationPrecision.Float32 };   // activations are not rounded to eight bits
        #endregion
        Assert.That((everywhere.Deterministic, exact.Deterministic), Is.EqualTo((true, false)));
    }

    [Test]
    public void ExampleOfMultiply()
    {
        QuantizedTensor weights = Weights(1);
        using var context = new MatmulContext();
        float[] x = TestModels.Weights(3, 3 * 256);
        #region multiply
        float[] y = new float[3 * weights.Shape.Rows];             // three rows of x: y = x W^T
        QuantizedMatmul.Multiply(weights, x, y, context);
        #endregion
        Assert.That(y, Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public void ExampleOfTransposed()
    {
        QuantizedTensor weights = Weights(1);
        using var context = new MatmulContext();
        float[] dy = TestModels.Weights(3, 3 * 64);
        #region transposed
        float[] dx = new float[3 * weights.Shape.Columns];         // what the gradient dy of y = x W^T is for x
        QuantizedMatmul.MultiplyTransposed(weights, dy, dx, context);
        #endregion
        Assert.That(dx, Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public void ExampleOfGather()
    {
        QuantizedTensor experts = Weights(4);
        using var context = new MatmulContext();
        float[] x = TestModels.Weights(3, 3 * 256);
        #region gather
        // Three tokens, two experts for each: six rows of results.
        var chosen = new IndexArray([0, 3, 1, 2, 3, 0], [3, 2]);
        float[] y = new float[6 * experts.Shape.Rows];
        QuantizedMatmul.GatherMultiply(experts, x, [3, 1, 1, experts.Shape.Columns], default, chosen, y, context);
        #endregion
        Assert.That(y, Has.None.NaN.And.None.Zero);
    }

    [Test]
    public void ExampleOfPack()
    {
        QuantizedTensor weights = Weights(1);
        using var context = new MatmulContext();
        float[] x = TestModels.Weights(3, 3 * 256), y = new float[3 * 64];
        #region pack
        using PackedTensor packed = PackedTensor.Pack(weights, context);   // once
        QuantizedMatmul.Multiply(packed, x, y, context);                   // then again and again, for a few rows each time
        #endregion
        Assert.That(y, Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public void ExampleOfLinear()
    {
        QuantizedTensor weights = Weights(1);
        using var context = new MatmulContext();
        float[] x = TestModels.Weights(3, 3 * 256), bias = new float[64], dy = TestModels.Weights(4, 3 * 64), dx = new float[3 * 256];
        #region linear
        var layer = new QuantizedLinear(weights, bias);
        float[] y = new float[3 * layer.Outputs];
        layer.Forward(x, y, context);                              // y = x W^T + bias
        layer.Backward(dy, dx, context);                           // the gradient for x; W stays as it is
        #endregion
        Assert.That(y.Concat(dx), Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public void ExampleOfEmbedding()
    {
        QuantizedTensor weights = Weights(1);
        using var context = new MatmulContext();
        float[] logits = new float[2 * 64];
        #region embedding
        var embedding = new QuantizedEmbedding(weights);
        float[] rows = new float[2 * embedding.Dimensions];
        embedding.Lookup([7, 5], rows, context);                   // decodes two rows of the matrix
        embedding.AsLinear().Forward(rows, logits, context);       // and the same matrix as the head
        #endregion
        Assert.That(logits, Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public void ExampleOfSwitch()
    {
        QuantizedTensor experts = Weights(4);
        using var context = new MatmulContext();
        float[] x = TestModels.Weights(3, 3 * 256);
        #region switch
        var layer = new QuantizedSwitchLinear(experts);
        int[] ids = [0, 3, 1, 2, 3, 0];                            // two experts for each of three tokens
        float[] y = new float[ids.Length * layer.Outputs];
        layer.Forward(x, ids, y, context);
        #endregion
        Assert.That(y, Has.None.NaN.And.None.Zero);
    }

    [Test]
    public void ExampleOfLoad()
    {
        #region load
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");      // a checkpoint folder or a GGUF file
        Console.WriteLine($"{model.Config.Architecture}, {model.WeightCount} weights");
        #endregion
        Assert.That(model.WeightCount, Is.Positive);
    }

    [Test]
    public void ExampleOfGenerate()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region generate
        int[] prompt = model.Tokenizer.Encode("It is a truth universally acknowledged");
        foreach (GeneratedToken token in model.Generate(prompt, new GenerationOptions { MaxTokens = 32 }))
        {
            Console.Write(token.Text);
        }
        #endregion
        Assert.That(prompt, Is.Not.Empty);
    }

    [Test]
    public void ExampleOfChat()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region chat
        int[] prompt = model.EncodeChat([new TemplateMessage("system", "Be brief."), new TemplateMessage("user", "Who is Elizabeth?")]);
        string answer = string.Concat(model.Generate(prompt).Select(token => token.Text));
        #endregion
        Assert.That(answer, Is.Not.Null);
    }

    [Test]
    public void ExampleOfCache()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region cache
        using KeyValueCache cache = model.CreateCache();
        var options = new GenerationOptions { Cache = cache, MaxTokens = 16 };
        _ = model.Generate(model.Tokenizer.Encode("Mr. Darcy"), options).Count();
        _ = model.Generate(model.Tokenizer.Encode(" was", addSpecialTokens: false), options).Count();   // goes on where the first ended
        #endregion
        Assert.That(cache.Length, Is.GreaterThan(16));
    }

    [Test]
    public void ExampleOfForward()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region forward
        using KeyValueCache cache = model.CreateCache();
        float[] logits = new float[model.Config.VocabularySize];
        model.Forward(model.Tokenizer.Encode("It is a"), cache, logits);   // of the token that comes next
        #endregion
        Assert.That(logits, Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public void ExampleOfFork()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        using KeyValueCache cache = model.CreateCache();
        float[] logits = new float[model.Config.VocabularySize];
        #region fork
        model.Forward(model.Tokenizer.Encode("A long prompt"), cache, logits);
        using KeyValueCache other = cache.Fork();                          // two texts that begin alike, read once
        cache.TryTruncate(2);                                              // back to its first two tokens
        #endregion
        Assert.That((cache.Length, other.Length > 2), Is.EqualTo((2, true)));
    }

    [Test]
    public void ExampleOfTokenizer()
    {
        #region tokenizer
        var tokenizer = Tokenizer.Load("Qwen3-0.6B");
        int[] ids = tokenizer.Encode("Hello there");
        string text = tokenizer.Decode(ids);
        #endregion
        Assert.That(text, Is.EqualTo("Hello there"));
    }

    [Test]
    public void ExampleOfRender()
    {
        #region render
        ChatTemplate? template = ChatTemplate.Load("Qwen3-0.6B");
        string? text = template?.Render([new TemplateMessage("user", "Who is Elizabeth?")]);
        #endregion
        Assert.That(text, Does.Contain("Who is Elizabeth?"));
    }

    [Test]
    public void ExampleOfExport()
    {
        #region export
        using var export = GgufExport.Create(ModelFolder.Open("Qwen3-0.6B"));
        ModelConverter.Convert(QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.Q4_K)), "model.gguf");
        #endregion
        Assert.That(File.Exists("model.gguf"));
    }

    [Test]
    public void ExampleOfReadingAdapters()
    {
        TestAdapter.Reference("init").WritePeft("my-adapter");
        using var output = new StringWriter();
        Console.SetOut(output);
        #region adapter
        LoraAdapter adapter = LoraAdapter.Load("my-adapter");
        Console.WriteLine($"{adapter.Format}, {adapter.Weights.Count} weights, {adapter.Parameters} parameters");
        #endregion
        Assert.That(output.ToString(), Does.StartWith("Peft, 12 weights, 43008 parameters"));
    }

    [Test]
    public void ExampleOfUsingAdapters()
    {
        TestAdapter.Reference("init").WriteMlx("my-adapter");
        #region adapters
        LoraAdapter adapter = LoraAdapter.Load("my-adapter");
        var options = new ModelOptions { Adapters = [new AppliedAdapter { Adapter = adapter, Scale = 0.5f }] };
        #endregion
        using var model = LanguageModel.Load("Qwen3-0.6B", options);
        Assert.That(model.Options.Adapters, Has.Count.EqualTo(1));
    }

    [Test]
    public void ExampleOfConvertingAdapters()
    {
        TestAdapter.Reference("init").WriteMlx("my-adapter");
        #region save
        var adapter = LoraAdapter.Load("my-adapter");
        using var model = ModelSource.Open("Qwen3-0.6B");
        adapter.Save("my-adapter.gguf", AdapterFormat.Gguf, new AdapterSaveOptions { Model = ModelConfig.Read(model) });
        #endregion
        Assert.That(LoraAdapter.Load("my-adapter.gguf").Weights, Has.Count.EqualTo(12));
    }

    [Test]
    public void ExampleOfFusing()
    {
        TestAdapter.Reference("init").WriteMlx("my-adapter");
        #region fuse
        using var source = ModelSource.Open("Qwen3-0.6B");
        var adapter = new AppliedAdapter { Adapter = LoraAdapter.Load("my-adapter") };
        ModelConverter.Convert(AdapterFusion.CreatePlan(source, [adapter]), "fused");
        #endregion
        Assert.That(File.Exists("fused/config.json"));
    }

    [Test]
    public void ExampleOfCounting()
    {
        Tokenizer tokenizer = Tokenizer.Load("Qwen3-0.6B");
        #region count
        int tokens = tokenizer.CountTokens("It is a truth universally acknowledged");
        #endregion
        Assert.That(tokens, Is.Positive);
    }

    [Test]
    public void ExampleOfCacheBytes()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region bytes
        long half = model.GetCacheByteCount(512, options: CacheOptions.Uniform(CacheFormat.F16));
        Console.WriteLine($"{model.GetCacheByteCount(512)} bytes for 512 tokens, {half} in binary16");
        #endregion
        Assert.That(half, Is.Positive);
    }

    [Test]
    public void ExampleOfFormats()
    {
        #region formats
        var options = new ModelOptions { Cache = CacheOptions.Uniform(CacheFormat.Q4_0.WithRotation()) };
        int bytes = CacheFormat.TurboQuantMse(3).GetKeyByteCount(headSize: 128);   // 50: 3 bits for each value, and a scale
        #endregion
        Assert.That((options.Cache.Keys.Name, bytes), Is.EqualTo(("rotated q4_0", 50)));
    }

    [Test]
    public void ExampleOfCacheWithoutModel()
    {
        float[] keys = TestModels.Weights(1, 8 * 128), values = TestModels.Weights(2, 8 * 128), queries = TestModels.Weights(3, 16 * 128), outputs = new float[16 * 128];
        #region builder
        using AttentionCache cache = new KeyValueCacheBuilder()
            .WithKeys(CacheFormat.TurboQuantProd(4)).WithValues(CacheFormat.TurboQuantMse(4))
            .WithHeads(8, size: 128).WithCapacity(4096).Build();
        cache.Append(keys, values);
        cache.Attend(queries, outputs);
        #endregion
        Assert.That((cache.Length, outputs.Any(value => value != 0)), Is.EqualTo((1, true)));
    }

    [Test]
    public void ExampleOfSavedCache()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        using KeyValueCache cache = model.CreateCache();
        float[] logits = new float[model.Config.VocabularySize];
        #region saved
        model.Forward(model.Tokenizer.Encode("A long prompt"), cache, logits);
        cache.Save("prompt.cache");
        using KeyValueCache again = model.LoadCache("prompt.cache");   // perhaps in another process
        #endregion
        Assert.That(again.Length, Is.EqualTo(cache.Length));
    }

    [Test]
    public async Task ExampleOfSession()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region session
        using var session = new ChatSession(model);
        session.Messages.Add(new TemplateMessage("system", "Be brief."));
        await foreach (GeneratedToken token in session.AskAsync("Who is Elizabeth?"))
        {
            Console.Write(token.Text);
        }

        session.Messages[1] = new TemplateMessage("user", "Who is Mr. Darcy?");   // another question in its place
        session.Messages.RemoveAt(2);
        string answer = string.Concat(session.Answer().Select(token => token.Text));
        #endregion
        Assert.That(session.Messages[2].Content, Is.EqualTo(answer));
    }

    [Test]
    public void ExampleOfGrammar()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region grammar
        var grammar = Grammar.Parse("""
            root   ::= answer (", " answer)*
            answer ::= "yes" | "no"
            """);
        var options = new GenerationOptions { Processors = [grammar.CreateProcessor(model.Tokenizer)], MaxTokens = 32 };
        string text = string.Concat(model.Generate(model.Tokenizer.Encode("Is it?"), options).Select(token => token.Text));
        #endregion
        Assert.That(text, Does.Match("^(yes|no)"));
    }

    [Test]
    public void ExampleOfSchema()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        #region schema
        var person = Grammar.FromJsonSchema(JsonNode.Parse("""
            {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}
            """)!);
        var options = new GenerationOptions { Processors = [person.CreateProcessor(model.Tokenizer)], MaxTokens = 64 };
        #endregion
        Assert.That(options.Processors, Has.Count.EqualTo(1));
    }

    [Test]
    public void ExampleOfPerplexity()
    {
        using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");
        File.WriteAllText("text.txt", string.Concat(Enumerable.Repeat("It is a truth universally acknowledged. ", 100)));
        #region perplexity
        int[] tokens = model.Tokenizer.Encode(File.ReadAllText("text.txt"));
        PerplexityResult result = PerplexityMeter.Measure(model, tokens, new PerplexityOptions { WindowLength = 128, MaxWindows = 2 });
        Console.WriteLine($"{result.Perplexity:F2} over {result.Tokens} tokens");
        #endregion
        Assert.That(result.Perplexity, Is.GreaterThan(1));
    }

    [Test]
    public async Task ExampleOfClient()
    {
#pragma warning disable CA1859 // the interface is the point
        #region client
        using IChatClient client = LanguageModel.Load("Qwen3-0.6B").AsIChatClient(ownsModel: true);
        ChatResponse answer = await client.GetResponseAsync("Who is Elizabeth?");
        Console.WriteLine(answer.Text);
        #endregion
#pragma warning restore CA1859
        Assert.That(answer.Messages, Is.Not.Empty);
    }

    [Test]
    public void ExampleOfSampling()
    {
        #region sampling
        var sampling = new SamplingOptions { Temperature = 0.7f, TopP = 0.9f, MinP = 0.05f, Seed = 1 };
        var options = new GenerationOptions { Sampling = sampling, StopSequences = ["\n\n"] };
        #endregion
        Assert.That(options.Sampling, Is.SameAs(sampling));
    }

    private static QuantizedTensor Weights(int experts) =>
        RandomTensors.Create(QuantFormat.Q4_K, experts == 1 ? new QuantShape(64, 256) : QuantShape.Stack(experts, 64, 256));
}

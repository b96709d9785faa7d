using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.TestKit;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests;

/// <summary>What the makers of a model say about sampling holds where nobody says otherwise.</summary>
public class DefaultSamplingTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(RepositoryFiles.Fixture("models", "tiny-dense")))
        {
            File.Copy(file, _folder[Path.GetFileName(file)]);
        }
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("""{"do_sample":true,"temperature":0.7,"top_k":40,"top_p":0.9}""", 0.7f, 0.9f, 40, 0, 1)]
    [TestCase("""{"do_sample":true,"min_p":0.1,"repetition_penalty":1.05,"top_k":-1}""", 1, 0, 0, 0.1f, 1.05f)]
    [TestCase("""{"do_sample":true,"temperature":null}""", 1, 0, 50, 0, 1)]
    [TestCase("""{"do_sample":true}""", 1, 0, 50, 0, 1)]
    [TestCase("""{"do_sample":true,"top_k":null,"top_p":1.0,"temperature":0.6}""", 0.6f, 0, 50, 0, 1)]
    [TestCase("""{"do_sample":true,"top_k":0,"top_p":0.95}""", 1, 0.95f, 0, 0, 1)]
    [TestCase("""{"do_sample":true,"top_k":1}""", 1, 0, 1, 0, 1)]
    [TestCase("""{"do_sample":false,"temperature":0.7}""", 0, 0, 0, 0, 1)]
    [TestCase("""{"do_sample":false,"temperature":-1,"top_k":7,"repetition_penalty":1.1}""", 0, 0, 0, 0, 1.1f)]
    [TestCase("""{"temperature":0.7}""", 0, 0, 0, 0, 1)]
    [TestCase("{}", 0, 0, 0, 0, 1)]
    [TestCase(null, 0, 0, 0, 0, 1)]
    public void AFolderSays(string? json, float temperature, float topP, int topK, float minP, float penalty)
    {
        SamplingOptions sampling = Load(json);
        Assert.That(
            (sampling.Temperature, sampling.TopP, sampling.TopK, sampling.MinP, sampling.RepetitionPenalty),
            Is.EqualTo((temperature, topP, topK, minP, penalty)));
    }

    [TestCase("""{"do_sample":true,"temperature":-1}""", "'temperature' is -1")]
    [TestCase("""{"do_sample":true,"top_p":1.5}""", "'top_p' is 1.5")]
    [TestCase("""{"do_sample":true,"top_k":2.5}""", "'top_k' is 2.5")]
    [TestCase("""{"do_sample":true,"temperature":"hot"}""", "'temperature' is \"hot\"")]
    [TestCase("""{"do_sample":1}""", "'do_sample' is 1")]
    public void WhatMakesNoSenseIsSaid(string json, string message) =>
        Assert.That(() => Load(json), Throws.InstanceOf<ModelFormatException>().With.Message.Contains(message).And.Message.Contains("generation_config.json"));

    [TestCase(null)]
    [TestCase("{}")]
    [TestCase("""{"do_sample":false}""")]
    [TestCase("""{"do_sample":false,"temperature":0.7,"top_k":20}""")]
    [TestCase("""{"temperature":0.6,"top_p":0.9}""")]
    [TestCase("""{"do_sample":true}""")]
    [TestCase("""{"do_sample":true,"top_k":0,"top_p":1.0}""")]
    [TestCase("""{"do_sample":true,"top_k":-1,"top_p":0.8}""")]
    [TestCase("""{"do_sample":true,"top_k":20,"min_p":0.05,"repetition_penalty":1.05}""")]
    [TestCase("""{"repetition_penalty":1.2}""")]
    public void AGgufSaysWhatItsFolderSays(string? json)
    {
        SamplingOptions folder = Load(json);
        using var export = GgufExport.Create(ModelFolder.Open(_folder.Path));
        using var other = new TemporaryFolder();
        ModelConverter.Convert(QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.Q8_0)), other["model.gguf"]);
        using LanguageModel gguf = LanguageModel.Load(other["model.gguf"], new ModelOptions { LoadTokenizer = false });
        Assert.That(gguf.DefaultSampling with { XtcExceptions = folder.XtcExceptions }, Is.EqualTo(folder));

        // llama.cpp draws where a file says nothing: a folder that is greedy by its own words says so there, too.
        if (json?.Contains("do_sample", StringComparison.Ordinal) == true)
        {
            Assert.That(export.Metadata.GetNumber("general.sampling.temp"), Is.EqualTo(folder.Temperature));
        }

        // It also has a top-k of 40, a top-p of 0.95 and a min-p of 0.05 of its own.
        if (folder.Temperature > 0)
        {
            Assert.That(export.Metadata.GetNumber("general.sampling.top_k"), Is.EqualTo(folder.TopK));
            Assert.That(export.Metadata.GetNumber("general.sampling.top_p"), Is.EqualTo(folder.TopP == 0 ? 1 : folder.TopP));
            Assert.That(export.Metadata.GetNumber("general.sampling.min_p"), Is.EqualTo(folder.MinP));
        }
    }

    [TestCase(null, 64)]
    [TestCase(7, 7)]
    [TestCase(0, 0)]
    [TestCase(-1, int.MaxValue)]
    public void APenaltyOfAGgufIsForAsManyTokensAsLlamaCppHas(int? stored, int expected)
    {
        SamplingOptions sampling = LoadGguf(metadata =>
        {
            metadata.Set("general.sampling.penalty_repeat", 1.1f);
            if (stored is int tokens)
            {
                metadata.Set("general.sampling.penalty_last_n", tokens);
            }
        });
        Assert.That((sampling.RepetitionPenalty, sampling.PenaltyContext), Is.EqualTo((1.1f, expected)));
    }

    /// <summary>llama.cpp takes the keys that are there and keeps its own defaults for others; a temperature of 0 leaves nothing to choose from.</summary>
    [TestCase("temp", 0.7f, 0.7f, 40, 0.95f, 0.05f)]
    [TestCase("top_k", 20, 0.8f, 20, 0.95f, 0.05f)]
    [TestCase("top_k", 0, 0.8f, 0, 0.95f, 0.05f)]
    [TestCase("top_p", 0.8f, 0.8f, 40, 0.8f, 0.05f)]
    [TestCase("top_p", 1f, 0.8f, 40, 0f, 0.05f)]
    [TestCase("min_p", 0f, 0.8f, 40, 0.95f, 0f)]
    [TestCase("penalty_repeat", 1.1f, 0.8f, 40, 0.95f, 0.05f)]
    [TestCase("temp", 0f, 0f, 0, 0f, 0f)]
    public void WhatAGgufLeavesOutIsAsInLlamaCpp(string key, float value, float temperature, int topK, float topP, float minP)
    {
        SamplingOptions sampling = LoadGguf(
            metadata =>
            {
                foreach (string other in metadata.Keys.Where(name => name.StartsWith("general.sampling.", StringComparison.Ordinal)).ToArray())
                {
                    metadata.Remove(other);
                }

                metadata.Set("general.sampling." + key, value);
            });
        Assert.That((sampling.Temperature, sampling.TopK, sampling.TopP, sampling.MinP), Is.EqualTo((temperature, topK, topP, minP)));
    }

    [Test]
    public void ANumberOfTokensThatIsNoneIsSaid() => Assert.That(
        () => LoadGguf(metadata => metadata.Set("general.sampling.penalty_last_n", -2)),
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains("'general.sampling.penalty_last_n' is -2"));

    [Test]
    public void APenaltyOfAFolderIsForTheWholeTextAndOthersForTwentyTokens()
    {
        Assert.That(Load("""{"repetition_penalty":1.1}""").PenaltyContext, Is.EqualTo(int.MaxValue));
        Assert.That(Load("""{"repetition_penalty":1.0}""").PenaltyContext, Is.EqualTo(20));
        Assert.That(Load("""{"do_sample":true}""").PenaltyContext, Is.EqualTo(20));
    }

    /// <summary>Who gives a penalty of his own says how strong it is; what it is for stays what the makers say.</summary>
    [TestCase("""{"repetition_penalty":1.1}""", int.MaxValue)]
    [TestCase("{}", 20)]
    public async Task APenaltyOfAChatClientIsForTheTokensOfTheMakers(string json, int tokens)
    {
        File.WriteAllText(_folder["generation_config.json"], json);
        using LanguageModel model = LanguageModel.Load(_folder.Path);
        string question = string.Concat(Enumerable.Repeat("Who is Elizabeth and what does she say of him? ", 4));
        int[] prompt = model.EncodeChat([new TemplateMessage("user", question)]);
        string Text(SamplingOptions sampling) =>
            string.Concat(model.Generate(prompt, new GenerationOptions { Sampling = sampling, MaxTokens = 40 }).Select(token => token.Text));
        var wanted = new SamplingOptions { RepetitionPenalty = 1.9f, PresencePenalty = 0.5f, PenaltyContext = tokens };
        Assert.That(Text(wanted), Is.Not.EqualTo(Text(wanted with { PenaltyContext = tokens == 20 ? int.MaxValue : 20 })), "it matters here");

        using IChatClient client = model.AsIChatClient();
        ChatResponse answer = await client.GetResponseAsync(question, new ChatOptions
        {
            PresencePenalty = 0.5f,
            MaxOutputTokens = 40,
            AdditionalProperties = new() { ["repetition_penalty"] = 1.9f },
        });
        Assert.That(answer.Text, Is.EqualTo(Text(wanted)));
    }

    [Test]
    public void AGgufSaysTheSame()
    {
        using var other = new TemporaryFolder();
        using (var export = GgufExport.Create(ModelFolder.Open(_folder.Path)))
        {
            ModelConverter.Convert(QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.Q8_0)), other["model.gguf"]);
        }

        using LanguageModel folder = LanguageModel.Load(_folder.Path), gguf = LanguageModel.Load(other["model.gguf"]);
        Assert.That(gguf.DefaultSampling with { XtcExceptions = folder.DefaultSampling.XtcExceptions }, Is.EqualTo(folder.DefaultSampling));
        Assert.That(gguf.DefaultSampling.TopK, Is.EqualTo(40));
    }

    [Test]
    public async Task ItHoldsWhereNobodySaysOtherwise()
    {
        using LanguageModel model = LanguageModel.Load(_folder.Path);
        int[] prompt = model.EncodeChat([new TemplateMessage("user", "Who is Elizabeth?")]);
        string Text(SamplingOptions? sampling) =>
            string.Concat(model.Generate(prompt, new GenerationOptions { Sampling = sampling, MaxTokens = 20 }).Select(token => token.Text));
        string own = Text(model.DefaultSampling with { Seed = 3 });
        Assert.That(own, Is.Not.EqualTo(Text(SamplingOptions.Greedy)).And.Not.EqualTo(Text(new SamplingOptions { Temperature = 1, Seed = 3 })));
        Assert.That(Enumerable.Range(0, 8).Select(_ => Text(null)).Distinct().Count(), Is.GreaterThan(1), "without options it draws");

        using IChatClient client = model.AsIChatClient();
        ChatResponse answer = await client.GetResponseAsync("Who is Elizabeth?", new ChatOptions { Seed = 3, MaxOutputTokens = 20 });
        Assert.That(answer.Text, Is.EqualTo(own));
        answer = await client.GetResponseAsync("Who is Elizabeth?", new ChatOptions { Temperature = 0, MaxOutputTokens = 20 });
        Assert.That(answer.Text, Is.EqualTo(Text(SamplingOptions.Greedy)));
    }

    private SamplingOptions LoadGguf(Action<GgufMetadata> change)
    {
        using var export = GgufExport.Create(ModelFolder.Open(_folder.Path));
        change(export.Metadata);
        using var other = new TemporaryFolder();
        ModelConverter.Convert(QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.Q8_0)), other["model.gguf"]);
        using LanguageModel model = LanguageModel.Load(other["model.gguf"], new ModelOptions { LoadTokenizer = false });
        return model.DefaultSampling;
    }

    private SamplingOptions Load(string? json)
    {
        File.Delete(_folder["generation_config.json"]);
        if (json is not null)
        {
            File.WriteAllText(_folder["generation_config.json"], json);
        }

        using LanguageModel model = LanguageModel.Load(_folder.Path, new ModelOptions { LoadTokenizer = false });
        return model.DefaultSampling;
    }
}

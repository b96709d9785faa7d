using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Conversations read only what is new, and their history may be changed in any way.</summary>
public class ChatSessionTests
{
    private static readonly GenerationOptions Short = new() { Sampling = SamplingOptions.Greedy, MaxTokens = 6 };

    private LanguageModel _model = null!;

    [OneTimeSetUp]
    public void SetUp() => _model = LanguageModel.Load(RepositoryFiles.Fixture("models", "tiny-dense"));

    [OneTimeTearDown]
    public void TearDown() => _model.Dispose();

    [Test]
    public void ATurnReadsOnlyWhatIsNew()
    {
        using var session = new ChatSession(_model);
        session.Messages.Add(new TemplateMessage("system", "Be kind."));
        string first = Text(session.Ask("Who is Elizabeth?", Short));
        Assert.That((session.ReusedTokens, session.Messages.Count), Is.EqualTo((0, 3)));
        Assert.That(session.Messages[2], Is.EqualTo(new TemplateMessage("assistant", first)));
        int before = session.Cache.Length;
        string second = Text(session.Ask("And Mr. Darcy?", Short));
        Assert.That(session.ReusedTokens, Is.GreaterThanOrEqualTo(before - Short.MaxTokens).And.LessThan(session.PromptTokens));
        Assert.That(second, Is.EqualTo(Fresh(session.Messages.SkipLast(1))));
        Assert.That(session.PromptTokens, Is.EqualTo(_model.EncodeChat([.. session.Messages.SkipLast(1)]).Length));
        Assert.That(session.CountTokens(), Is.EqualTo(_model.EncodeChat([.. session.Messages]).Length));
    }

    [Test]
    public async Task TheHistoryMayBeChangedInAnyWay()
    {
        using var session = new ChatSession(_model);
        foreach (string question in (string[])["Who is Elizabeth?", "And Mr. Darcy?", "And Jane?"])
        {
            await foreach (GeneratedToken token in session.AskAsync(question, Short))
            {
                Assert.That(token.FinishReason, Is.Not.EqualTo(FinishReason.StopSequence));
            }
        }

        // Shorter.
        session.Messages.RemoveAt(5);
        Assert.That(Text(session.Answer(Short)), Is.EqualTo(Fresh(session.Messages.SkipLast(1))));
        Assert.That(session.ReusedTokens, Is.EqualTo(session.PromptTokens - 1), "all but the last token was there");

        // An earlier message is another one.
        session.Messages[2] = new TemplateMessage("user", "And her sister?");
        Assert.That(Text(session.Ask("Why?", Short)), Is.EqualTo(Fresh(session.Messages.SkipLast(1))));
        Assert.That(session.ReusedTokens, Is.GreaterThan(10).And.LessThan(session.PromptTokens / 2));

        // Something before everything.
        session.Messages.Insert(0, new TemplateMessage("system", "Be kind."));
        Assert.That(Text(session.Ask("Why?", Short)), Is.EqualTo(Fresh(session.Messages.SkipLast(1))));

        // Nothing.
        session.Clear();
        Assert.That((session.Messages.Count, session.Cache.Length), Is.EqualTo((0, 0)));
        Assert.That(Text(session.Ask("Why?", Short)), Is.EqualTo(Fresh(session.Messages.SkipLast(1))));
    }

    [Test]
    public void ACacheThatCannotBeCutBackIsReadAgain()
    {
        using var session = new ChatSession(_model, new ChatSessionOptions { MaxCacheSize = 16 });
        string text = string.Join(' ', Enumerable.Repeat("It was a dark evening.", 160));
        _ = Text(session.Ask(text, Short));
        session.Messages[0] = new TemplateMessage("user", "Yes. " + text);
        string answer = Text(session.Ask("Why?", Short));
        Assert.That(session.ReusedTokens, Is.Zero);
        using var fresh = new ChatSession(_model, new ChatSessionOptions { MaxCacheSize = 16 });
        foreach (TemplateMessage message in session.Messages.SkipLast(1))
        {
            fresh.Messages.Add(message);
        }

        Assert.That(answer, Is.EqualTo(Text(fresh.Answer(Short))));
    }

    [Test]
    public void WhatEndsEarlyIsAMessageAndWhatNeverBeganIsNone()
    {
        using var session = new ChatSession(_model);
        string first = session.Ask("Who is Elizabeth?", Short).First().Text;
        Assert.That(session.Messages[^1], Is.EqualTo(new TemplateMessage("assistant", first)));

        using var source = new CancellationTokenSource();
        Assert.That(
            () =>
            {
                foreach (GeneratedToken _ in session.Ask("And Mr. Darcy?", Short with { MaxTokens = 50, StopTokens = [] }, source.Token))
                {
                    source.Cancel();
                }
            },
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(session.Messages.Select(message => message.Role), Is.EqualTo(["user", "assistant", "user", "assistant"]));

        string tooLong = string.Join(' ', Enumerable.Repeat("word", _model.ContextLength));
        Assert.That(() => session.Ask(tooLong, Short).Count(), Throws.InstanceOf<ContextLengthException>());
        Assert.That(session.Messages, Has.Count.EqualTo(4));
        Assert.That(Text(session.Ask("Why?", Short)), Is.EqualTo(Fresh(session.Messages.SkipLast(1))), "the conversation goes on");
    }

    [Test]
    public void ArgumentsAreCheckedAtTheCall()
    {
        using var session = new ChatSession(_model);
        using LanguageModel other = LanguageModel.Load(_model.Path);
        using KeyValueCache cache = other.CreateCache();
        Assert.That(() => session.Ask(null!), Throws.ArgumentNullException);
        Assert.That(() => session.AskAsync("x", Short with { MaxTokens = 0 }), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => session.Answer(Short with { Cache = cache }), Throws.ArgumentException.With.Message.Contains("a cache of its own"));
        Assert.That(() => new ChatSession(_model, new ChatSessionOptions { Cache = cache }), Throws.ArgumentException.With.Message.Contains("another model"));
        Assert.That(() => new ChatSession(_model, new ChatSessionOptions { MaxCacheSize = 3 }), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void AConversationIsSavedAndGoesOn()
    {
        using var folder = new TemporaryFolder();
        string expected;
        System.Text.Json.Nodes.JsonArray saved;
        using (var session = new ChatSession(_model))
        {
            _ = Text(session.Ask("Who is Elizabeth?", Short));
            session.Cache.Save(folder["cache"]);
            saved = [.. session.Messages.Select(message => message.ToJson())];
            expected = Text(session.Ask("And Mr. Darcy?", Short));
        }

        using var again = new ChatSession(_model, new ChatSessionOptions { Cache = _model.LoadCache(folder["cache"]) });
        foreach (System.Text.Json.Nodes.JsonNode? message in saved)
        {
            again.Messages.Add(TemplateMessage.FromJson((System.Text.Json.Nodes.JsonObject)message!));
        }

        Assert.That(Text(again.Ask("And Mr. Darcy?", Short)), Is.EqualTo(expected));
        Assert.That(again.ReusedTokens, Is.GreaterThan(10));
    }

    [Test]
    public void AMessageIsItsJson()
    {
        var json = (System.Text.Json.Nodes.JsonObject)System.Text.Json.Nodes.JsonNode.Parse("""{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}""")!;
        Assert.That(TemplateMessage.FromJson(json).ToJson().ToJsonString(), Is.EqualTo(json.ToJsonString()));
        Assert.That(new TemplateMessage("user", "Hi").ToJson().ToJsonString(), Is.EqualTo("""{"role":"user","content":"Hi"}"""));
    }

    private static string Text(IEnumerable<GeneratedToken> tokens) => string.Concat(tokens.Select(token => token.Text));

    private string Fresh(IEnumerable<TemplateMessage> messages) => Text(_model.Generate(_model.EncodeChat([.. messages]), Short));
}

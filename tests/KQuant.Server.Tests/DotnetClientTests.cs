using System.ClientModel;
using System.Text;
using System.Text.Json;
using KQuant.Models;
using KQuant.TestKit;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Embeddings;

namespace KQuant.Server.Tests;

/// <summary>OpenAI's own package for .NET against the server.</summary>
public class DotnetClientTests
{
    private static readonly ChatMessage[] Messages = [new SystemChatMessage("Be brief."), new UserChatMessage("Who is Elizabeth?")];

    private static readonly ChatTool Weather = ChatTool.CreateFunctionTool(
        "weather",
        "Tells it.",
        BinaryData.FromString("""{"type":"object","properties":{"city":{"enum":["Bath","London"]}},"required":["city"],"additionalProperties":false}"""));

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;
    private OpenAIClient _client = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model, options =>
        {
            options.ModelName = "org/tiny";
            options.ApiKeys.Add("secret");
        });
        _client = Connect("secret");
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task AnswersComeWholeAndInPieces()
    {
        ChatClient chat = _client.GetChatClient("org/tiny");
        var options = new ChatCompletionOptions { Temperature = 0, MaxOutputTokenCount = 20 };
        ChatCompletion whole = await chat.CompleteChatAsync(Messages, options);
        Assert.That((whole.FinishReason, whole.Usage.OutputTokenCount), Is.EqualTo((ChatFinishReason.Length, 20)));
        var text = new StringBuilder();
        int? tokens = null;
        await foreach (StreamingChatCompletionUpdate update in chat.CompleteChatStreamingAsync(Messages, options))
        {
            text.Append(string.Concat(update.ContentUpdate.Select(part => part.Text)));
            tokens = update.Usage?.OutputTokenCount ?? tokens;
        }

        Assert.That((text.ToString(), tokens), Is.EqualTo((whole.Content[0].Text, 20)));
    }

    [Test]
    public async Task ACallIsMadeAndItsResultRead()
    {
        ChatClient chat = _client.GetChatClient("org/tiny");
        var options = new ChatCompletionOptions { Temperature = 0, Tools = { Weather }, ToolChoice = ChatToolChoice.CreateRequiredChoice(), AllowParallelToolCalls = false };
        ChatCompletion answer = await chat.CompleteChatAsync(Messages, options);
        Assert.That(answer.FinishReason, Is.EqualTo(ChatFinishReason.ToolCalls));
        ChatToolCall call = answer.ToolCalls.Single();
        using var arguments = JsonDocument.Parse(call.FunctionArguments);
        Assert.That((call.FunctionName, arguments.RootElement.GetProperty("city").GetString()), Is.EqualTo(("weather", "Bath")).Or.EqualTo(("weather", "London")));
        ChatCompletion next = await chat.CompleteChatAsync(
            [.. Messages, new AssistantChatMessage(answer), new ToolChatMessage(call.Id, "rain")], new ChatCompletionOptions { Tools = { Weather }, MaxOutputTokenCount = 4 });
        Assert.That(next.Usage.InputTokenCount, Is.GreaterThan(answer.Usage.InputTokenCount));
    }

    [Test]
    public async Task AnAnswerFitsItsSchema()
    {
        var options = new ChatCompletionOptions
        {
            Temperature = 1,
            ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat(
                "weather",
                BinaryData.FromString("""{"type":"object","properties":{"wet":{"type":"boolean"}},"required":["wet"],"additionalProperties":false}"""),
                jsonSchemaIsStrict: true),
        };
        ChatCompletion answer = await _client.GetChatClient("org/tiny").CompleteChatAsync(Messages, options);
        using var value = JsonDocument.Parse(answer.Content[0].Text);
        Assert.That(value.RootElement.GetProperty("wet").ValueKind, Is.AnyOf(JsonValueKind.True, JsonValueKind.False));
    }

    [Test]
    public async Task EmbeddingsAreThoseOfTheModel()
    {
        EmbeddingClient embedder = _client.GetEmbeddingClient("org/tiny");
        OpenAIEmbeddingCollection found = await embedder.GenerateEmbeddingsAsync(["Mr. Darcy", "a dark evening"]);
        using var own = _model.AsIEmbeddingGenerator();
        var expected = await own.GenerateAsync(["Mr. Darcy", "a dark evening"]);
        Assert.That(found.Select(embedding => embedding.ToFloats().ToArray()), Is.EqualTo(expected.Select(embedding => embedding.Vector.ToArray())));
        Assert.That(found.Usage.InputTokenCount, Is.EqualTo(expected.Usage!.InputTokenCount));
    }

    [Test]
    public async Task ErrorsAreWhatTheServerSays()
    {
        ClientResultException wrong = (await Assert.ThrowsAsync<ClientResultException>(() =>
            _client.GetChatClient("org/tiny").CompleteChatAsync(Messages, new ChatCompletionOptions { Temperature = 7 })))!;
        Assert.That(wrong.Status, Is.EqualTo(400));
        Assert.That(wrong.Message, Does.Contain("'temperature' is 7; it should be a number from 0 to 2."));
        ClientResultException stranger = (await Assert.ThrowsAsync<ClientResultException>(() =>
            Connect("guess").GetChatClient("org/tiny").CompleteChatAsync(Messages)))!;
        Assert.That(stranger.Status, Is.EqualTo(401));
    }

    private OpenAIClient Connect(string key) => new(new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(_server.Address, "v1") });
}

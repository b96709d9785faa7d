using System.Net;
using System.Text.Json;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>Texts and their tokens: what llama-server's helpers and the counts say.</summary>
public class TokenTests
{
    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model);
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task ATextComesBackFromItsTokens()
    {
        const string text = "Elizabeth smiled. \U0001F600 naïve <|im_start|>";
        foreach (bool parses in (bool[])[true, false])
        {
            JsonElement answer = await _server.PostAsync(
                "/tokenize", JsonSerializer.Serialize(new Dictionary<string, object> { ["content"] = text, ["parse_special"] = parses }));
            int[] tokens = [.. answer.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32())];
            Assert.That(tokens, Is.EqualTo(_model.Tokenizer.Encode(text, addSpecialTokens: false, parseSpecialTokens: parses)));
            JsonElement back = await _server.PostAsync("/detokenize", $$"""{"tokens":[{{string.Join(',', tokens)}}]}""");
            Assert.That(back.GetProperty("content").GetString(), Is.EqualTo(text));
        }

        JsonElement whole = await _server.PostAsync("/tokenize", """{"content":"a","add_special":true}""");
        Assert.That(whole.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32()), Is.EqualTo(_model.Tokenizer.Encode("a")));
        Assert.That((await _server.PostAsync("/detokenize", """{"tokens":[]}""")).ToString(), Is.EqualTo("""{"content":""}"""));
    }

    [Test]
    public async Task PiecesAreTextsOrBytes()
    {
        const string text = "She said \U0001F600";
        JsonElement answer = await _server.PostAsync("/tokenize", JsonSerializer.Serialize(new { content = text, with_pieces = true }));
        var bytes = new List<byte>();
        bool hasBytes = false;
        foreach (JsonElement token in answer.GetProperty("tokens").EnumerateArray())
        {
            JsonElement piece = token.GetProperty("piece");
            bool isText = piece.ValueKind == JsonValueKind.String;
            hasBytes |= !isText;
            bytes.AddRange(isText ? System.Text.Encoding.UTF8.GetBytes(piece.GetString()!) : piece.EnumerateArray().Select(value => value.GetByte()));
        }

        Assert.That(System.Text.Encoding.UTF8.GetString([.. bytes]), Is.EqualTo(text));
        Assert.That(hasBytes, "the emoji is no token of this vocabulary");
    }

    [Test]
    public async Task AConversationIsRenderedAsItIsRead()
    {
        const string conversation = """{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"},{"role":"assistant","content":"She"}]}""";
        string prompt = (await _server.PostAsync("/apply-template", conversation)).GetProperty("prompt").GetString()!;
        Assert.That(prompt, Is.EqualTo("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nShe"));
        JsonElement count = await _server.PostAsync("/v1/chat/completions/input_tokens", conversation);
        Assert.That(count.GetProperty("input_tokens").GetInt32(), Is.EqualTo(_model.Tokenizer.Encode(prompt, addSpecialTokens: false).Length));
    }

    [Test]
    public async Task PromptsAreCounted()
    {
        int first = _model.Tokenizer.Encode("It is a truth").Length;
        JsonElement count = await _server.PostAsync("/v1/completions/input_tokens", """{"prompt":["It is a truth",[1,2,3]]}""");
        Assert.That(count.ToString(), Is.EqualTo($$"""{"object":"response.input_tokens","input_tokens":{{first + 3}}}"""));
    }

    [TestCase("/tokenize", "{}", "content")]
    [TestCase("/tokenize", """{"content":3}""", "content")]
    [TestCase("/tokenize", """{"content":"a","with_pieces":1}""", "with_pieces")]
    [TestCase("/detokenize", "{}", "tokens")]
    [TestCase("/detokenize", """{"tokens":"a"}""", "tokens")]
    [TestCase("/detokenize", """{"tokens":[1,99999]}""", "tokens[1]")]
    [TestCase("/apply-template", """{"messages":[]}""", "messages")]
    public async Task WhatIsWrongIsSaid(string path, string body, string parameter) =>
        Assert.That((await _server.FailAsync(path, body, HttpStatusCode.BadRequest)).GetProperty("param").GetString(), Is.EqualTo(parameter));
}
